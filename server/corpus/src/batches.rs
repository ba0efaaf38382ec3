//! Rows in batches, a text file's lines put together again.

use contract::dataset::FileKind;
use contract::problem::Problem;
use serde_json::Value;

use crate::mix::{Mixed, MixedRows, Part};

/// Rows encoded together, at most.
const BATCH_ROWS: usize = 2048;

/// Text held of one batch before it is encoded, bytes, at most (and one row more).
const BATCH_BYTES: usize = 8 << 20;

/// Text of lines put together, bytes: from here on the next line that begins with a letter begins another stretch.
const STRETCH_BYTES: usize = 64 << 10;

/// Where no line begins with a letter, any line does from here on, bytes.
const LONGEST_STRETCH: usize = 1 << 20;

/// Reads one of `every` rows, batch after batch.
pub(crate) struct Batches<'p> {
    rows: MixedRows<'p>,
    parts: &'p [Part],
    every: u64,
    joins: bool,
    /// Read already, but of the next batch.
    held: Option<Mixed>,
}

impl<'p> Batches<'p> {
    /// With `joins`, lines that stand together in one text file are one row, with their line breaks: a file is a text,
    /// and a blank line is part of it. Long ones come in stretches, of which all but the first go on
    /// ([`Mixed::begins`]).
    pub(crate) fn new(rows: MixedRows<'p>, parts: &'p [Part], every: u64, joins: bool) -> Self {
        Self { rows, parts, every, joins, held: None }
    }

    /// The next batch; empty at the end.
    ///
    /// # Errors
    /// What reading finds broken.
    pub(crate) fn next(&mut self) -> Result<Vec<Mixed>, Problem> {
        let (mut batch, mut bytes): (Vec<Mixed>, usize) = (Vec::new(), 0);
        while let Some(mut next) = self.take()? {
            bytes += next.row.size();
            if let Some(last) = batch.last_mut().filter(|last| self.goes_on(last, &next)) {
                if join(last, &next) {
                    continue;
                }
                next.begins = false;
            }
            if batch.len() >= BATCH_ROWS || bytes > BATCH_BYTES && !batch.is_empty() {
                self.held = Some(next);
                break;
            }
            batch.push(next);
        }
        Ok(batch)
    }

    fn take(&mut self) -> Result<Option<Mixed>, Problem> {
        if let Some(held) = self.held.take() {
            return Ok(Some(held));
        }
        let Some(row) = self.rows.next() else { return Ok(None) };
        let row = row?;
        for passed in self.rows.by_ref().take(usize::try_from(self.every).map_or(0, |every| every - 1)) {
            passed?;
        }
        Ok(Some(row))
    }

    /// Whether a line follows another of the same text. A set that is read again begins a new one.
    fn goes_on(&self, last: &Mixed, next: &Mixed) -> bool {
        self.joins
            && self.parts[last.part].files.kind == FileKind::Txt
            && (last.part, last.file) == (next.part, next.file)
            && next.number > last.number
    }
}

/// Puts a line behind others, if it belongs to the same stretch; else they end with the line break alone.
fn join(last: &mut Mixed, next: &Mixed) -> bool {
    let (Some(text), Some(line)) = (text_of(last), next.row.cells.first().and_then(|cell| cell.1.as_str()))
    else {
        return false;
    };
    text.push('\n');
    let inside = line.chars().next().is_none_or(char::is_whitespace);
    let joins = text.len() < STRETCH_BYTES || inside && text.len() < LONGEST_STRETCH;
    if joins {
        text.push_str(line);
        last.rows += 1;
    }
    joins
}

fn text_of(mixed: &mut Mixed) -> Option<&mut String> {
    match mixed.row.cells.first_mut()? {
        (_, Value::String(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use contract::dataset::{DataFormat, Mapping, Mixing};
    use proptest::prelude::*;

    use super::*;
    use crate::mix::mixed;
    use crate::source::folder::list;

    fn part(path: &std::path::Path) -> Part {
        Part {
            name: "set".to_owned(),
            files: list(path).unwrap(),
            mapping: Mapping::empty(DataFormat::Text),
            prefix: None,
            weight: 1.0,
        }
    }

    /// Text, rows and whether it begins a text, of every row.
    fn all(parts: &[Part], joins: bool) -> Vec<(String, u64, bool)> {
        let rows = mixed(parts, Mixing::Concatenate, 0, 1).unwrap();
        let mut batches = Batches::new(rows, parts, 1, joins);
        let mut all = Vec::new();
        loop {
            let batch = batches.next().unwrap();
            if batch.is_empty() {
                return all;
            }
            all.extend(batch.into_iter().map(|mut row| {
                (text_of(&mut row).map(|text| text.clone()).unwrap_or_default(), row.rows, row.begins)
            }));
        }
    }

    #[test]
    fn a_text_file_is_one_text_and_others_stay_rows() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
        };
        write("poems/1.txt", "A\r\n\r\n B\n");
        write("poems/2.txt", "C\nD");
        write("rows.jsonl", "{\"text\":\"E\"}\n{\"text\":\"F\"}\n");
        let parts = [part(&folder.path().join("poems")), part(&folder.path().join("rows.jsonl"))];
        let texts =
            |joins| all(&parts, joins).into_iter().map(|(text, rows, _)| (text, rows)).collect::<Vec<_>>();
        let whole = [("A\n\n B", 3), ("C\nD", 2), ("E", 1), ("F", 1)];
        assert_eq!(texts(true), whole.map(|(text, rows)| (text.to_owned(), rows)));
        assert_eq!(texts(false).len(), 7, "line by line");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn stretches_of_a_long_file_are_the_file(lines in prop::collection::vec("[a ]{0,2}[b水]{0,9000}", 1..60)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("long.txt");
            std::fs::write(&path, lines.join("\n") + "\n").unwrap();
            let found = all(&[part(&path)], true);
            let text: String = found.iter().map(|(text, ..)| text.as_str()).collect();
            prop_assert_eq!(text, lines.join("\n"));
            prop_assert_eq!(found.iter().map(|(_, rows, _)| rows).sum::<u64>(), lines.len() as u64);
            prop_assert!(found.iter().enumerate().all(|(at, (.., begins))| *begins == (at == 0)));
        }
    }
}
