//! The answers that a run was measured by (S-190): pages of them for people, all of them as CSV for a spreadsheet. The
//! file is the worker's own and is read line by line.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use axum::body::Body;
use contract::metric;
use contract::prediction::{FILE, PAGE, Prediction, PredictionPage, PredictionQuery};
use contract::{Problem, RunId};

use super::runs;
use super::streamed::streamed;
use crate::error::Fault;
use crate::state::AppState;

/// Longest line that is read, bytes: a question and two answers at the longest that a run can be set to.
const LONGEST: u64 = 16 << 20;

/// A page of the answers of a run; an empty one where nothing was answered.
///
/// # Errors
/// A run that is gone, a disk that fails or does not answer.
pub async fn page(state: &AppState, id: &RunId, query: PredictionQuery) -> Result<PredictionPage, Fault> {
    runs::find(state, id).await?;
    let path = state.run_folder(id).join(FILE);
    let read = {
        let path = path.clone();
        state.lanes.in_turn(format!("predictions {id}"), move || select(&path, &query)).await?
    };
    read.map_err(Fault::disk("read", &path))
}

/// A line that was looked at.
#[derive(Clone, Copy, Debug)]
struct Seen {
    number: u64,
    offset: u64,
    score: f64,
}

fn select(path: &Path, query: &PredictionQuery) -> std::io::Result<PredictionPage> {
    let mut page = PredictionPage::default();
    let Some(lines) = Lines::open(path)? else { return Ok(page) };
    let wanted = query.search.trim().to_lowercase();
    let (mut seen, mut names) = (Vec::new(), BTreeSet::new());
    for line in lines {
        let (number, offset, row) = line?;
        page.all = number;
        let score = row.scores.get(&query.score).copied();
        let is_it = (!query.differing || row.differs()) && (wanted.is_empty() || row.holds(&wanted));
        // An answer without that score stands at the end, whichever way it is sorted.
        let last = if query.highest_first { f64::NEG_INFINITY } else { f64::INFINITY };
        if is_it {
            seen.push(Seen { number, offset, score: score.unwrap_or(last) });
        }
        names.extend(row.scores.into_keys());
    }
    page.found = seen.len() as u64;
    if !query.score.is_empty() {
        seen.sort_by(|a, b| match query.highest_first {
            true => b.score.total_cmp(&a.score),
            false => a.score.total_cmp(&b.score),
        });
    }
    page.scores = in_order(names);
    let mut file = File::open(path)?;
    let from = usize::try_from(query.offset).unwrap_or(usize::MAX);
    for one in seen.into_iter().skip(from).take(PAGE as usize) {
        file.seek(SeekFrom::Start(one.offset))?;
        let mut line = Vec::new();
        BufReader::new(&mut file).take(LONGEST).read_until(b'\n', &mut line)?;
        page.rows.push((one.number, read(&line)));
    }
    Ok(page)
}

/// Names of scores as pages show them: known ones first.
fn in_order(names: BTreeSet<String>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort_by_key(|name| metric::find(name).map_or(usize::MAX, |(at, _)| at));
    names
}

fn read(line: &[u8]) -> Prediction {
    serde_json::from_slice(line).unwrap_or_default()
}

/// The lines of a file of answers: number from 1, first byte, answer. One that cannot be read is empty, so that numbers
/// stay those of the file.
struct Lines {
    file: BufReader<File>,
    number: u64,
    offset: u64,
}

impl Lines {
    fn open(path: &Path) -> std::io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => {
                Ok(Some(Self { file: BufReader::with_capacity(1 << 18, file), number: 0, offset: 0 }))
            }
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(why),
        }
    }
}

impl Iterator for Lines {
    type Item = std::io::Result<(u64, u64, Prediction)>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        match (&mut self.file).take(LONGEST).read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(read_bytes) => {
                let offset = self.offset;
                self.offset += read_bytes as u64;
                self.number += 1;
                Some(Ok((self.number, offset, read(&line))))
            }
            Err(why) => Some(Err(why)),
        }
    }
}

/// All answers of a run as CSV, as it is being written.
///
/// # Errors
/// A run that is gone, or one without answers.
pub async fn csv(state: &AppState, id: &RunId) -> Result<Body, Fault> {
    runs::find(state, id).await?;
    let path = state.run_folder(id).join(FILE);
    let open = {
        let path = path.clone();
        // A worker scores every answer alike: the first has all columns, and the file is gone through once.
        let open = move || {
            let first = Lines::open(&path)?.and_then(|mut lines| lines.next()).transpose()?;
            let names =
                first.map(|(_, _, row)| in_order(row.scores.into_keys().collect())).unwrap_or_default();
            Ok::<_, std::io::Error>(Lines::open(&path)?.map(|lines| (lines, names)))
        };
        state.lanes.in_turn(format!("predictions {id}"), open).await?
    };
    let open = open.map_err(Fault::disk("read", &path))?;
    let (lines, names) = open.ok_or_else(|| Problem::not_found("predictions"))?;
    Ok(streamed(move |out| write_csv(lines, &names, out)))
}

/// Where spreadsheets find that a file is UTF-8.
const MARK: &[u8] = "\u{feff}".as_bytes();

fn write_csv(lines: Lines, scores: &[String], mut out: impl Write) -> std::io::Result<()> {
    out.write_all(MARK)?;
    let mut out = csv::Writer::from_writer(out);
    let columns = ["dataset", "row", "question", "label", "predict"].map(str::to_owned);
    out.write_record(columns.iter().chain(scores).chain([&"prompt".to_owned(), &"problem".to_owned()]))?;
    for line in lines {
        let (_, _, row) = line?;
        let number = if row.row == 0 { String::new() } else { row.row.to_string() };
        let mut cells = vec![harmless(&row.dataset), number];
        cells.extend([&row.question, &row.label, &row.predict].map(|text| harmless(text)));
        cells.extend(scores.iter().map(|name| row.scores.get(name).map(f64::to_string).unwrap_or_default()));
        cells.push(harmless(&row.prompt));
        cells.push(row.problem.map(|problem| harmless(&problem.to_string())).unwrap_or_default());
        out.write_record(&cells)?;
    }
    out.flush()
}

/// A text that no spreadsheet takes for a formula (S14): one that begins like one begins with an apostrophe.
fn harmless(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(rows: &[(&str, &str, f64)]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        for (number, (label, predict, score)) in rows.iter().enumerate() {
            let row = Prediction {
                question: format!("Question {number}"),
                label: (*label).to_owned(),
                predict: (*predict).to_owned(),
                scores: [("rouge-l".to_owned(), *score), ("bleu-4".to_owned(), 1.0)].into(),
                row: number as u64 + 1,
                ..Prediction::default()
            };
            writeln!(file, "{}", serde_json::to_string(&row).expect("JSON")).expect("written");
        }
        file
    }

    #[test]
    fn s_190_answers_are_searched_sorted_and_turned() {
        let rows: Vec<_> =
            (0..60).map(|at| ("red", if at % 2 == 0 { " red" } else { "Blue" }, f64::from(at % 7))).collect();
        let file = file(&rows);
        let numbers = |query: PredictionQuery| {
            let page = select(file.path(), &query).expect("reads");
            assert_eq!((page.all, page.scores.join(" ").as_str()), (60, "rouge-l bleu-4"));
            (page.found, page.rows.iter().map(|(number, _)| *number).collect::<Vec<_>>())
        };
        let all = PredictionQuery::default();
        assert_eq!(numbers(all.clone()), (60, (1..=25).collect()));
        assert_eq!(numbers(PredictionQuery { offset: 50, ..all.clone() }), (60, (51..=60).collect()));
        let (found, differing) = numbers(PredictionQuery { differing: true, ..all.clone() });
        assert!(found == 30 && differing.iter().all(|number| number % 2 == 0), "{differing:?}");
        assert_eq!(numbers(PredictionQuery { search: " BLUE".to_owned(), ..all.clone() }).0, 30);
        assert_eq!(
            numbers(PredictionQuery { search: "question 59".to_owned(), ..all.clone() }),
            (1, vec![60])
        );
        let by =
            |highest_first| PredictionQuery { score: "rouge-l".to_owned(), highest_first, ..all.clone() };
        assert_eq!(numbers(by(false)).1[..3], [1, 8, 15], "equal ones in the order of the data");
        assert_eq!(numbers(by(true)).1[..3], [7, 14, 21]);
        assert!(numbers(PredictionQuery { offset: u64::MAX, ..all }).1.is_empty());
    }

    #[test]
    fn a_run_without_answers_has_none_and_a_broken_line_keeps_its_number() {
        let place = tempfile::tempdir().expect("a folder");
        let none = select(&place.path().join(FILE), &PredictionQuery::default()).expect("reads");
        assert_eq!(none, PredictionPage::default());
        let mut file = file(&[("a", "b", 1.0)]);
        write!(file, "not JSON\n{{\"label\":\"x\",\"predict\":\"y\"}}").expect("written");
        let page = select(file.path(), &PredictionQuery::default()).expect("reads");
        assert_eq!((page.all, page.rows.len(), page.rows[2].1.predict.as_str()), (3, 3, "y"));
    }

    #[test]
    fn s14_a_spreadsheet_finds_no_formula() {
        let file = file(&[("=1+1", "@SUM(A1)", 2.5), ("a \"b\",\nc", "-5", 1.0)]);
        let mut out = Vec::new();
        let lines = Lines::open(file.path()).expect("opens").expect("there");
        write_csv(lines, &["rouge-l".to_owned()], &mut out).expect("written");
        let text = out.strip_prefix(MARK).expect("the mark");
        let mut read = csv::Reader::from_reader(text);
        let rows: Vec<csv::StringRecord> = read.records().map(|row| row.expect("reads")).collect();
        assert_eq!([&rows[0][3], &rows[0][4], &rows[0][5]], ["'=1+1", "'@SUM(A1)", "2.5"]);
        assert_eq!([&rows[1][1], &rows[1][3], &rows[1][4]], ["2", "a \"b\",\nc", "'-5"]);
    }
}
