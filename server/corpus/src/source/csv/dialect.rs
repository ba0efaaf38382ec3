//! What separates the cells of a table: said by a line `sep=…`, or guessed from the head of the file.

use csv::ByteRecord;

use super::records;

/// Separators that are guessed; the first where nothing decides between them.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// How the cells of a table are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    /// The byte between two cells.
    pub(super) separator: u8,
    /// Bytes of the line that says so, its end included.
    pub(super) skip: usize,
}

impl Dialect {
    /// Decides by the first bytes of a table; `whole`: nothing comes after them.
    pub(super) fn of(head: &[u8], whole: bool) -> Self {
        declared(head).unwrap_or_else(|| Self { separator: guessed(head, whole), skip: 0 })
    }
}

/// The line `sep=;` that spreadsheets write in front of the header.
fn declared(head: &[u8]) -> Option<Dialect> {
    let (quoted, rest) = match head.strip_prefix(b"\"") {
        Some(rest) => (true, rest),
        None => (false, head),
    };
    let (key, rest) = rest.split_at_checked(4)?;
    let (separator, rest) = rest.split_first()?;
    if !key.eq_ignore_ascii_case(b"sep=") || separator.is_ascii_alphanumeric() || !separator.is_ascii() {
        return None;
    }
    let rest = if quoted { rest.strip_prefix(b"\"")? } else { rest };
    let end = match rest {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        _ => return None,
    };
    let plain = !matches!(separator, b'"' | b'\r' | b'\n' | 0);
    plain.then(|| Dialect { separator: *separator, skip: head.len() - rest.len() + end })
}

fn guessed(head: &[u8], whole: bool) -> u8 {
    let mut best: Option<(u8, Fit)> = None;
    for separator in SEPARATORS {
        let Some(fit) = Fit::of(head, whole, separator) else { continue };
        if best.is_none_or(|(_, other)| fit.is_better_than(other)) {
            best = Some((separator, fit));
        }
    }
    best.map_or(SEPARATORS[0], |(separator, _)| separator)
}

/// How well a separator makes a table of the head.
#[derive(Clone, Copy)]
struct Fit {
    /// Whether every record could be read.
    sound: bool,
    /// Share of the records that are as wide as the header.
    share: f64,
    /// Share of the separators that a blank follows, as a comma of prose has it.
    before_blank: f64,
}

impl Fit {
    /// `None`: no header of at least two cells, or fewer than half of the records are as wide.
    fn of(head: &[u8], whole: bool, separator: u8) -> Option<Self> {
        let mut reader = records(head, separator);
        let mut widths = Vec::new();
        let mut record = ByteRecord::new();
        let (mut gaps, mut blanks) = (0_usize, 0_usize);
        let sound = loop {
            match reader.read_byte_record(&mut record) {
                Ok(true) => {
                    widths.push(record.len());
                    gaps += record.len().saturating_sub(1);
                    blanks += record.iter().skip(1).filter(|cell| cell.starts_with(b" ")).count();
                }
                // The head may end inside a record.
                Ok(false) => {
                    widths.truncate(widths.len().saturating_sub(usize::from(!whole)));
                    break true;
                }
                Err(_) => break false,
            }
        };
        let (header, records) = widths.split_first().filter(|(header, _)| **header > 1)?;
        let fitting = records.iter().filter(|width| *width == header).count();
        let share = if records.is_empty() { 1.0 } else { fitting as f64 / records.len() as f64 };
        (share >= 0.5).then(|| Self { sound, share, before_blank: blanks as f64 / gaps.max(1) as f64 })
    }

    fn is_better_than(self, other: Self) -> bool {
        let share = self.share.total_cmp(&other.share);
        let prose = other.before_blank.total_cmp(&self.before_blank);
        self.sound.cmp(&other.sound).then(share).then(prose).is_gt()
    }
}

/// A separator in a sentence: what a person types for it.
pub(super) fn shown(separator: u8) -> String {
    match separator {
        b'\t' => "Tab".to_owned(),
        other => char::from(other).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn separator(text: &str) -> char {
        char::from(Dialect::of(text.as_bytes(), true).separator)
    }

    #[test]
    fn the_separator_that_makes_a_table_is_found() {
        for (text, wanted) in [
            ("question,answer\nQ,A\n", ','),
            ("question;answer\nQ;A\n", ';'),
            ("frage\tantwort\nJa?\tNein, doch; ja\n", '\t'),
            ("问题|回答\n你好，吗?|好\n", '|'),
            ("q;a\nOne, two, three;four, five\nsix, seven;eight\n", ';'),
            ("name;preis;menge\nA;1,5;2,5\nB;0,75;3,25\n", ';'),
            ("preis, in EUR;menge\n1, 5;2\n3, 5;4\n", ';'),
            ("q,a\none;two,three;four\n", ','),
            ("q;x,a;y\none;two,three;four\n", ','),
            ("\"q;1\",\"a;1\"\r\"x;y\",\"z;w\"\r", ','),
            ("\"q, 1\";\"a, 1\"\r\n\"x, y\";\"z, w\"\r\n", ';'),
            ("text\nHello, world; hello\nyou\n", ','),
            ("id|text\n1|a,b\n2|c\td\n", '|'),
            ("q;a\nx;\"y\nz;w\n", ';'),
            ("", ','),
        ] {
            assert_eq!(separator(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn a_record_that_the_head_cuts_off_decides_nothing() {
        let text = "q;a,b\nx;y\nz;w,v\nh";
        assert_eq!(Dialect::of(text.as_bytes(), false).separator, b';');
    }

    #[test]
    fn a_first_line_may_say_it() {
        for (text, wanted) in [
            ("sep=;\nq;a\n", Some((b';', 6))),
            ("sep=\t\r\nq\ta\n", Some((b'\t', 7))),
            ("SEP=^\rq^a\r", Some((b'^', 6))),
            ("\"sep=|\"\nq|a\n", Some((b'|', 8))),
            ("sep=ab\nq,a\n", None),
            ("sep=\nx\n", None),
            ("sep,a\n;,x\n", None),
            ("sep=;", None),
        ] {
            let found = declared(text.as_bytes()).map(|dialect| (dialect.separator, dialect.skip));
            assert_eq!(found, wanted, "{text:?}");
        }
    }
}
