//! What a file may ask of the machine. Everything a reader holds or counts because a file says so is bounded here, and
//! each bound is far above what files of real conversations need.

use contract::Code;
use contract::limits::Limit;
use contract::problem::Problem;

/// Values of a file that is one object of columns, which is held whole: a hundred thousand rows of twenty columns.
pub const COLUMN_VALUES_LIMIT: usize = 2_000_000;

/// Bytes of the texts of an article once each of its questions has one (64 MiB): ten thousand times those of SQuAD.
pub const ARTICLE_LIMIT: usize = 64 << 20;

/// Members of the one object of a file that are looked at before it is known how it holds its rows.
pub const MEMBERS_LOOKED_AT: usize = 100_000;

/// Bytes of a sample of rows (64 MiB); rows are held as values there.
pub const SAMPLE_LIMIT: usize = 64 << 20;

/// Characters that a page of rows shows in all its cells, about: 200 rows of 40 columns in full. In wider tables the
/// cells are cut shorter.
pub const PAGE_CHARS: usize = 16_000_000;

/// Bytes of the names of all columns of a Parquet file with those of the groups around each (16 MiB).
pub const PATHS_LIMIT: usize = 16 << 20;

/// Columns of all row groups of a Parquet file together; each costs some 500 bytes.
pub const CHUNKS_LIMIT: usize = 200_000;

/// Elements of all lists in the footer of a Parquet file: statistics, encodings and the like.
pub const ELEMENTS_LIMIT: usize = 4_000_000;

/// Rows that each byte of a Parquet file adds to that.
pub const ROWS_PER_BYTE: u64 = 8;

/// Bytes of the header of a page (16 MiB); statistics of long texts are in it.
pub const HEADER_LIMIT: usize = 16 << 20;

/// Bytes of all pages that are held at a time (256 MiB): of each column its dictionary and what its batch of rows lies in.
pub const HELD_LIMIT: usize = 256 << 20;

/// Values of all lists that a batch of rows holds.
pub const BATCH_VALUES_LIMIT: usize = 2_000_000;

/// Bytes that the rows of the smallest of Parquet files may become, one after the other (1 GiB). A text that is in the
/// file once may be that of every row.
pub const UNPACKED_BASE: u64 = 1 << 30;

/// Characters of a name of a person's file that a problem repeats.
const TOLD_CHARS: usize = 80;

/// Names that a problem lists.
const TOLD_NAMES: usize = 20;

/// A name of a file for a sentence: its beginning where it is long.
pub fn told(name: &str) -> String {
    match name.char_indices().nth(TOLD_CHARS) {
        Some((at, _)) => format!("{}…", &name[..at]),
        None => name.to_owned(),
    }
}

/// Names of a file for a sentence: the first ones.
pub fn told_all(names: &[String]) -> String {
    let mut listed: Vec<String> = names.iter().take(TOLD_NAMES).map(|name| told(name)).collect();
    listed.extend((names.len() > TOLD_NAMES).then(|| "…".to_owned()));
    listed.join(", ")
}

/// The problem of a column's name longer than [`Limit::NameBytes`].
pub fn name_too_long(name: &str) -> Problem {
    let message = format!("The name of a column is longer than {} bytes.", Limit::NameBytes.get());
    Problem::new(Code::DatasetColumnNameTooLong, message)
        .with("most", Limit::NameBytes.get())
        .field(told(name))
        .hint("Name columns by a few words; texts belong into rows.")
}

/// The problem of more columns than [`Limit::Columns`], or of names above [`Limit::NamesBytes`].
pub fn too_many_columns() -> Problem {
    Problem::new(
        Code::DatasetTooManyColumns,
        format!("The file has more than {} columns.", Limit::Columns.get()),
    )
    .with("most", Limit::Columns.get())
    .hint("Keep the columns that are questions and answers; make rows of the others.")
}

/// The problem of a row of more than `most` values.
pub fn too_many_values(most: usize) -> Problem {
    Problem::new(Code::DatasetTooManyValues, format!("This row holds more than {most} values."))
        .with("most", most)
        .hint("Split it into shorter rows, or leave out lists of numbers.")
}

/// The problem of a Parquet file that is small only because it is packed; `what` of it.
pub fn unpacks_too_large(what: &str) -> Problem {
    let message = format!("This file is far larger unpacked than its size says: {what} is above the limit.");
    Problem::new(Code::DatasetUnpacksTooLarge, message)
        .hint("Split it into smaller files, or write it as JSON Lines.")
}

/// Counts the values of a JSON text before any of them is built: a value is one, a member of an object two more, an
/// object four more, as they cost memory. What is no JSON is counted as if it were.
#[derive(Clone, Debug, Default)]
pub struct Values {
    count: usize,
}

impl Values {
    /// Notes a byte outside strings.
    pub fn note(&mut self, byte: u8) {
        self.count += match byte {
            b',' | b'[' => 1,
            b':' => 2,
            b'{' => 5,
            _ => 0,
        };
    }

    /// The values so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether a text holds more than `most` values.
    pub fn exceed(text: &str, most: usize) -> bool {
        // Each byte counts five at most.
        if text.len() <= most / 5 {
            return false;
        }
        let (mut values, mut in_string, mut escaped) = (Self::default(), false, false);
        for byte in text.bytes() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                _ if !in_string => values.note(byte),
                _ => {}
            }
        }
        values.count > most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_outside_strings() {
        let wide = |unit: &str| unit.repeat(20);
        assert!(Values::exceed(&wide("[0,0,0],"), 79));
        assert!(!Values::exceed(&wide("[0,0,0],"), 80));
        assert!(Values::exceed(&wide("{\"a\":1},"), 159));
        assert!(!Values::exceed(&wide("{\"a\":1},"), 160));
        assert!(!Values::exceed(&format!("\"{}\"", wide(",[{\\\",:")), 1));
    }

    #[test]
    fn long_names_are_told_by_their_beginnings() {
        let names: Vec<String> = (0..30).map(|n| format!("{n} {}", "長".repeat(200))).collect();
        assert_eq!(told(&names[0]).chars().count(), TOLD_CHARS + 1);
        assert!(told_all(&names).chars().count() < (TOLD_CHARS + 3) * (TOLD_NAMES + 1));
        assert_eq!(told_all(&["a".to_owned(), "b".to_owned()]), "a, b");
    }
}
