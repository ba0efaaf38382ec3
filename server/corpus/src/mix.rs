//! Several datasets in one run: the first rows of each, its own columns and system text, one after the other or mixed
//! by weight (S-023, S-029, S-032, S-077 to S-080).

use contract::Code;
use contract::dataset::{Mapping, Mixing};
use contract::problem::Problem;

use crate::sampler::Draw;
use crate::source::Row;
use crate::source::folder::{Files, FolderRows};

/// One dataset of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Label, for errors.
    pub name: String,
    /// Its files.
    pub files: Files,
    /// Its columns.
    pub mapping: Mapping,
    /// System text of every row without its own (S-032, S-079).
    pub prefix: Option<String>,
    /// How often it is drawn, beside the others; above 0.
    pub weight: f64,
}

/// A row and where it is from.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixed {
    /// Index of the part.
    pub part: usize,
    /// Row of that part, from 1.
    pub number: u64,
    /// Rows it holds: more than one where lines of a text file are put together.
    pub rows: u64,
    /// Its file among those of the part, from 1.
    pub file: usize,
    /// Whether a text begins with it; false where it goes on with the text of the row before.
    pub begins: bool,
    /// The row.
    pub row: Row,
}

/// Rows of all parts.
#[derive(Debug)]
pub struct MixedRows<'p> {
    parts: &'p [Part],
    readers: Vec<Reader>,
    mixing: Mixing,
    draw: Draw,
    max_samples: u64,
    over: bool,
}

#[derive(Debug)]
struct Reader {
    rows: FolderRows,
    number: u64,
    read_whole: bool,
}

/// Rows of the parts, at most `max_samples` of each (0: all). The same seed gives the same order.
///
/// # Errors
/// `form.weights` when a weight is not a number above 0; reading errors come from the iterator, naming dataset and
/// file.
pub fn mixed(parts: &[Part], mixing: Mixing, max_samples: u64, seed: u64) -> Result<MixedRows<'_>, Problem> {
    if let Some(part) = parts.iter().find(|part| !(part.weight.is_finite() && part.weight > 0.0)) {
        return Err(Problem::new(Code::FormWeights, format!("The weight of {} must be above 0.", part.name))
            .field("weights")
            .hint("Give every dataset a weight such as 1."));
    }
    let reader = |part: &Part| Reader { rows: part.files.rows(), number: 0, read_whole: false };
    Ok(MixedRows {
        parts,
        readers: parts.iter().map(reader).collect(),
        mixing,
        draw: Draw::new(seed),
        max_samples: if max_samples == 0 { u64::MAX } else { max_samples },
        over: false,
    })
}

impl MixedRows<'_> {
    /// The next row of one part; `None` at its end.
    fn take(&mut self, index: usize) -> Option<Result<Mixed, Problem>> {
        let reader = self.readers.get_mut(index)?;
        if reader.number >= self.max_samples {
            return None;
        }
        let row = reader.rows.next()?;
        reader.number += 1;
        let (number, file, name) = (reader.number, reader.rows.file(), &self.parts[index].name);
        let mixed = |row| Mixed { part: index, number, rows: 1, file, begins: true, row };
        Some(row.map(mixed).map_err(|mut problem| {
            problem.message = format!("{name}: {}", problem.message);
            problem
        }))
    }

    fn concatenated(&mut self) -> Option<Result<Mixed, Problem>> {
        for index in 0..self.parts.len() {
            if self.readers[index].read_whole {
                continue;
            }
            if let Some(row) = self.take(index) {
                return Some(row);
            }
            self.readers[index].read_whole = true;
        }
        None
    }

    fn drawn(&mut self) -> Option<Result<Mixed, Problem>> {
        let index = self.draw.by_weight(self.parts.iter().map(|part| part.weight))?;
        if let Some(row) = self.take(index) {
            return Some(row);
        }
        self.readers[index].read_whole = true;
        let all = self.readers.iter().all(|reader| reader.read_whole);
        if self.mixing == Mixing::UntilShortest || all || self.readers[index].number == 0 {
            return None;
        }
        self.readers[index] = Reader { rows: self.parts[index].files.rows(), number: 0, read_whole: true };
        self.take(index)
    }
}

impl Iterator for MixedRows<'_> {
    type Item = Result<Mixed, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = match self.mixing {
            Mixing::Concatenate => self.concatenated(),
            Mixing::UntilShortest | Mixing::UntilLongest => self.drawn(),
        };
        self.over = !matches!(next, Some(Ok(_)));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::folder::list;
    use contract::dataset::DataFormat;

    fn parts(folder: &std::path::Path, sizes: &[(usize, f64)]) -> Vec<Part> {
        let part = |(index, (rows, weight)): (usize, &(usize, f64))| {
            let path = folder.join(format!("{index}.txt"));
            let text: String = (1..=*rows).map(|row| format!("{index}:{row}\n")).collect();
            std::fs::write(&path, text).unwrap();
            Part {
                name: format!("set {index}"),
                files: list(&path).unwrap(),
                mapping: Mapping::empty(DataFormat::Text),
                prefix: None,
                weight: *weight,
            }
        };
        sizes.iter().enumerate().map(part).collect()
    }

    fn taken(parts: &[Part], mixing: Mixing, most: u64) -> Vec<(usize, u64)> {
        let rows = mixed(parts, mixing, most, 7).unwrap();
        rows.map(|row| row.map(|row| (row.part, row.number)).unwrap()).collect()
    }

    #[test]
    fn s_029_s_080_the_first_rows_of_each_one_set_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let parts = parts(folder.path(), &[(3, 1.0), (5, 9.0)]);
        let all = taken(&parts, Mixing::Concatenate, 0);
        assert_eq!(all.len(), 8);
        assert_eq!(taken(&parts, Mixing::Concatenate, 2), [(0, 1), (0, 2), (1, 1), (1, 2)]);
    }

    #[test]
    fn weights_decide_how_often_a_set_is_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let parts = parts(folder.path(), &[(1000, 3.0), (1000, 1.0)]);
        let rows = taken(&parts, Mixing::UntilShortest, 0);
        assert_eq!(rows, taken(&parts, Mixing::UntilShortest, 0), "the same seed, the same order");
        let first = rows.iter().filter(|(part, _)| *part == 0).count();
        assert_eq!(first, 1000, "the set drawn oftener ends first");
        assert!((250..=420).contains(&(rows.len() - first)), "{}", rows.len());
    }

    #[test]
    fn the_longest_set_is_read_whole_and_shorter_ones_begin_again() {
        let folder = tempfile::tempdir().unwrap();
        let parts = parts(folder.path(), &[(10, 1.0), (100, 1.0)]);
        let rows = taken(&parts, Mixing::UntilLongest, 0);
        assert_eq!(rows.iter().filter(|(part, _)| *part == 1).count(), 100);
        assert!(rows.iter().filter(|row| **row == (0, 1)).count() > 3);
    }

    #[test]
    fn a_weight_of_nothing_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let parts = parts(folder.path(), &[(1, weight)]);
            assert_eq!(mixed(&parts, Mixing::UntilShortest, 0, 1).unwrap_err().code, Code::FormWeights);
        }
    }
}
