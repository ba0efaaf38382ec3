//! Several files as one dataset (S-073): their rows, one file after the other, written as one file. What is written is
//! what every later reader reads, so that rows, health, edits, training and export know one file; where a row came from
//! is told by how many rows each file gave.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use contract::Code;
use contract::dataset::{FileKind, Mapping};
use contract::health::Progress;
use contract::origin::{SourceFile, by_name, is_hidden, missing_shards, place_of};
use contract::problem::Problem;
use contract::reading::{Gather, Inspected, Named};
use contract::registry::Finding;
use contract::row_reason::RowReason;
use corpus::source::folder::{check_digest, digests_of, one_kind};
use corpus::source::limits::{told, told_all};
use corpus::source::{open_chosen, xlsx};
use corpus::{Row, Rows};

use crate::edit::{digest, json, unwritten};
use crate::inspect::{inspected, sheet};

/// Time between two tellings of progress.
const BETWEEN: Duration = Duration::from_millis(100);
/// Rows between two looks at the clock.
const ROWS_BETWEEN: u64 = 256;
/// Names and sheets that are told of many.
const TOLD: usize = 8;

/// Reads the files in the order of their names and writes their rows.
///
/// # Errors
/// `dataset.mixed_kinds` and `dataset.other_columns`, naming two files; `dataset.empty` where no file has a row;
/// `dataset.unpacks_too_large`; what reading a file finds broken, naming the file and its row.
pub(crate) fn gather(asked: Gather, tell: &mut dyn FnMut(Progress)) -> Result<Inspected, Problem> {
    let Gather { mut files, mapping, open, digest: declared, encoding, sheet: wanted, target, most } = asked;
    files.retain(|file| !is_hidden(&file.name));
    files.sort_by(|a, b| by_name(&a.name, &b.name));
    if let Some(pair) = files.windows(2).find(|pair| pair[0].name == pair[1].name) {
        let name = told(&pair[0].name);
        return Err(Problem::new(Code::UploadNameTwice, format!("Two files are called {name}."))
            .with("name", name)
            .hint("Rename one of them."));
    }
    let names = || files.iter().map(|file| file.name.as_str());
    let kind = one_kind(names())?.ok_or_else(no_rows)?;
    let target = PathBuf::from(target);
    let written = Writing::new(&target, kind, most).map_err(unwritten)?;
    let scratch = Scratch(target.with_extension("sheet"));
    let missing = missing_shards(names());
    let mut pass = Pass { written, scratch, tell, told: Instant::now(), rows: 0, found: Found::default() };
    for file in &files {
        let read = pass.take(file, encoding.as_deref(), sheet(&wanted));
        read.map_err(|problem| problem.file(&file.name))?;
    }
    let Pass { written, found, .. } = pass;
    written.end().map_err(unwritten)?;
    if found.files.is_empty() {
        return Err(no_rows());
    }
    let kind = stored_kind(kind);
    let of_file = |problem| placed(problem, &found.files);
    let inspection = inspected(&target, kind, mapping, open).map_err(of_file)?;
    found.agree(&inspection.mapping)?;
    let findings = found.findings(missing, declared.as_deref());
    let written = digest(&target).map_err(unwritten)?;
    Ok(Inspected { inspection, findings, written: Some(written), files: found.files })
}

/// What rows of files of this kind are written as.
fn stored_kind(kind: FileKind) -> FileKind {
    // Lines of a text belong together, which JSON Lines do not say.
    if kind == FileKind::Txt { FileKind::Txt } else { FileKind::Jsonl }
}

fn no_rows() -> Problem {
    Problem::new(Code::DatasetEmpty, "None of these files holds a row.").hint("Choose files with rows.")
}

/// Names the file and the row there in place of the row of all.
fn placed(mut problem: Problem, files: &[SourceFile]) -> Problem {
    if let Some(place) = &mut problem.place
        && let Some((index, row)) = place.row.and_then(|row| place_of(files, row))
    {
        (place.file, place.row, place.byte) = (Some(files[index].name.clone()), Some(row), None);
    }
    problem
}

/// A file that is removed in the end.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // never written is as good
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What was found in the files.
#[derive(Default)]
struct Found {
    files: Vec<SourceFile>,
    /// The columns of each of them; files of the same columns share them.
    columns: Vec<Rc<BTreeSet<String>>>,
    known: HashMap<Rc<BTreeSet<String>>, ()>,
    empty: Vec<String>,
    encodings: BTreeSet<String>,
    sheets: Vec<Finding>,
}

impl Found {
    fn note(&mut self, file: SourceFile, columns: BTreeSet<String>) {
        let columns = Rc::new(columns);
        let columns = self.known.get_key_value(&columns).map_or(columns, |(known, ())| Rc::clone(known));
        self.known.entry(Rc::clone(&columns)).or_default();
        self.files.push(file);
        self.columns.push(columns);
    }

    /// Whether every file has the columns by which rows are read: where it is not known yet how they are, every column.
    fn agree(&self, mapping: &Mapping) -> Result<(), Problem> {
        let Some((first, others)) = self.columns.split_first() else { return Ok(()) };
        let whole = |column: &str| {
            let name = column.split('.').next().unwrap_or(column);
            if first.contains(column) { column.to_owned() } else { name.to_owned() }
        };
        // What is added to a question, and what stood before it, not every row has.
        let may_miss = ["query", "history", "system"];
        let parts = mapping.parts().into_iter().filter(|(part, _)| !may_miss.contains(part));
        let needed: BTreeSet<String> = match mapping.names_nothing() {
            true => self.columns.iter().flat_map(|columns| columns.iter().cloned()).collect(),
            false => parts.filter_map(|(_, column)| column.map(whole)).collect(),
        };
        let all = std::iter::once(first).chain(others);
        for (columns, file) in all.zip(&self.files) {
            let lacks: Vec<String> = needed.iter().filter(|one| !columns.contains(*one)).cloned().collect();
            if lacks.is_empty() {
                continue;
            }
            let has = |columns: &Rc<BTreeSet<String>>| lacks.iter().any(|one| columns.contains(one));
            let other = self.columns.iter().position(has).unwrap_or(0);
            let (one, other) = (told(&self.files[other].name), told(&file.name));
            let missing = told_all(&lacks);
            let message = format!("“{other}” has no column {missing}, which “{one}” is read by.");
            return Err(Problem::new(Code::DatasetOtherColumns, message)
                .with("one", one)
                .with("other", other)
                .with("columns", missing)
                .file(&file.name)
                .hint("Give the columns of both the same names, or make a dataset of each file."));
        }
        Ok(())
    }

    fn findings(&self, missing: Vec<String>, declared: Option<&str>) -> Vec<Finding> {
        let empty = || self.empty.iter().take(TOLD).cloned().collect();
        let digests: Vec<_> = self.files.iter().map(digests_in).collect();
        let mut findings: Vec<Finding> = check_digest(&digests, declared).into_iter().collect();
        findings.extend((!missing.is_empty()).then_some(Finding::ShardsMissing { names: missing }));
        let files = self.empty.len() as u64;
        findings.extend((files > 0).then(|| Finding::EmptyFiles { names: empty(), files }));
        let encodings = self.encodings.iter().take(TOLD).cloned();
        findings.extend(encodings.map(|encoding| Finding::Converted { encoding }));
        findings.extend(self.sheets.iter().cloned());
        findings
    }
}

fn digests_in(file: &SourceFile) -> contract::reading::Digests {
    contract::reading::Digests { sha1: file.sha1.clone(), sha256: file.sha256.clone(), bytes: file.bytes }
}

/// Going through the files.
struct Pass<'t> {
    written: Writing,
    scratch: Scratch,
    tell: &'t mut dyn FnMut(Progress),
    told: Instant,
    rows: u64,
    found: Found,
}

impl Pass<'_> {
    fn take(&mut self, file: &Named, encoding: Option<&str>, sheet: xlsx::Sheet<'_>) -> Result<(), Problem> {
        let path = Path::new(&file.path);
        let digests = digests_of(path)?;
        self.say();
        let rows = match self.open(file, encoding, sheet) {
            Err(problem) if problem.code == Code::DatasetEmpty => None,
            opened => Some(opened?),
        };
        let (mut count, mut columns) = (0, BTreeSet::new());
        if let Some(rows) = &rows
            && !matches!(rows.encoding().name(), "UTF-8" | "binary")
        {
            self.found.encodings.insert(rows.encoding().name().to_owned());
        }
        for row in rows.into_iter().flatten() {
            let row = match row {
                Err(problem) if problem.code == Code::DatasetEmpty => break,
                row => row?,
            };
            count += 1;
            for (name, _) in &row.cells {
                if !columns.contains(name) {
                    columns.insert(name.clone());
                }
            }
            self.written.row(&row)?;
            self.rows += 1;
            if self.rows.is_multiple_of(ROWS_BETWEEN) {
                self.say();
            }
        }
        if count == 0 {
            self.found.empty.push(file.name.clone());
            return Ok(());
        }
        let contract::reading::Digests { sha1, sha256, bytes } = digests;
        let name = file.name.clone();
        self.found.note(SourceFile { name, bytes, rows: count, sha1, sha256 }, columns);
        Ok(())
    }

    fn open(
        &mut self,
        file: &Named,
        encoding: Option<&str>,
        sheet: xlsx::Sheet<'_>,
    ) -> Result<Rows, Problem> {
        let (path, kind) = (Path::new(&file.path), FileKind::of_name(&file.name));
        let kind = kind.unwrap_or(FileKind::Jsonl);
        if kind != FileKind::Xlsx {
            return open_chosen(path, kind, encoding);
        }
        let findings = xlsx::convert(path, sheet, &self.scratch.0)?.findings();
        if self.found.sheets.len() < TOLD {
            self.found.sheets.extend(findings);
        }
        open_chosen(&self.scratch.0, FileKind::Jsonl, None)
    }

    /// Tells that it goes on.
    fn say(&mut self) {
        if self.told.elapsed() >= BETWEEN {
            (self.tell)(Progress { rows: self.rows, ..Progress::default() });
            self.told = Instant::now();
        }
    }
}

/// The file that is written.
struct Writing {
    out: BufWriter<File>,
    kind: FileKind,
    bytes: u64,
    most: u64,
}

impl Writing {
    fn new(target: &Path, kind: FileKind, most: u64) -> std::io::Result<Self> {
        let out = BufWriter::with_capacity(1 << 20, File::create(target)?);
        Ok(Self { out, kind: stored_kind(kind), bytes: 0, most })
    }

    fn row(&mut self, row: &Row) -> Result<(), Problem> {
        let mut line = match (&row.fault, self.kind) {
            (Some(reason), _) => unreadable(reason),
            (None, FileKind::Txt) => {
                let text = row.cells.first().and_then(|(_, value)| value.as_str()).unwrap_or_default();
                text.to_owned()
            }
            (None, _) => json(row).to_string(),
        };
        line.push('\n');
        self.bytes += line.len() as u64;
        if self.bytes > self.most {
            let most = self.most >> 20;
            let message = format!("The rows of these files come to more than {most} MiB.");
            return Err(Problem::new(Code::DatasetUnpacksTooLarge, message)
                .hint("Make several datasets of them; a run can learn from many."));
        }
        self.out.write_all(line.as_bytes()).map_err(unwritten)
    }

    fn end(self) -> std::io::Result<()> {
        self.out.into_inner()?.sync_all()
    }
}

/// A line in place of a row that cannot be read, left out for the same reason.
fn unreadable(reason: &RowReason) -> String {
    match reason {
        RowReason::Unreadable { problem } if problem.code == Code::DatasetNotAnObject => "null".to_owned(),
        _ => "{".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use contract::dataset::DataFormat;
    use contract::reading::Sheet;

    use super::*;

    struct Made {
        place: tempfile::TempDir,
        asked: Gather,
    }

    fn made(files: &[(&str, &[u8])]) -> Made {
        let place = tempfile::tempdir().expect("a folder");
        let named = files.iter().enumerate().map(|(index, (name, bytes))| {
            let path = place.path().join(index.to_string());
            std::fs::write(&path, bytes).expect("written");
            Named { path: path.to_string_lossy().into_owned(), name: (*name).to_owned() }
        });
        let files = named.collect();
        let target = place.path().join("target").to_string_lossy().into_owned();
        let (mapping, digest, encoding, sheet) = (None, None, None, Sheet::First);
        let asked = Gather { files, mapping, open: false, digest, encoding, sheet, target, most: 1 << 20 };
        Made { place, asked }
    }

    impl Made {
        fn gathered(self) -> Result<(Inspected, String), Problem> {
            let target = self.asked.target.clone();
            let inspected = gather(self.asked, &mut |_| {})?;
            let text = std::fs::read_to_string(target).expect("UTF-8");
            assert!(!self.place.path().join("target.sheet").exists());
            Ok((inspected, text))
        }
    }

    fn place(problem: &Problem) -> (Option<&str>, Option<u64>) {
        let place = problem.place.as_ref().expect("a place");
        (place.file.as_deref(), place.row)
    }

    #[test]
    fn s_073_rows_of_all_files_follow_one_another_in_the_order_of_names() {
        let (found, text) = made(&[
            ("d/part-10.csv", b"prompt,response\nten,10\n"),
            ("d/.part-0.csv", b"hidden"),
            ("d/part-2.csv", b"prompt,response\r\ntwo,\"2\"\r\ntwo,\r\n"),
            ("d/part-1.csv", b""),
        ])
        .gathered()
        .expect("one dataset");
        assert_eq!(
            text,
            "{\"prompt\":\"two\",\"response\":\"2\"}\n{\"prompt\":\"two\",\"response\":null}\n{\"prompt\":\"ten\",\"response\":\"10\"}\n"
        );
        let rows: Vec<_> = found.files.iter().map(|file| (file.name.as_str(), file.rows)).collect();
        assert_eq!(rows, [("d/part-2.csv", 2), ("d/part-10.csv", 1)]);
        assert_eq!(found.inspection.kind, FileKind::Jsonl);
        assert_eq!((found.inspection.rows, found.inspection.usable), (3, 2));
        let names = vec!["d/part-1.csv".to_owned()];
        assert_eq!(found.findings, [Finding::EmptyFiles { names, files: 1 }]);
        let written = found.written.expect("written");
        assert_eq!(written.bytes, text.len() as u64);
        assert_eq!(found.files[1].sha1.len(), 40);
    }

    #[test]
    fn s_073_files_of_another_kind_or_of_other_columns_are_refused_by_both_names() {
        let problem = made(&[("a.jsonl", b"{}"), ("b.csv", b"q\nx\n")]).gathered().expect_err("mixed");
        assert_eq!(problem.code, Code::DatasetMixedKinds);
        assert_eq!((problem.params["one"].as_str(), problem.params["other"].as_str()), ("a.jsonl", "b.csv"));
        let book = made(&[("a.csv", b"q\nx\n"), ("b.xlsx", b"PK")]).gathered().expect_err("mixed");
        assert_eq!(book.code, Code::DatasetMixedKinds);
        let zip = made(&[("a.csv", b"q\nx\n"), ("b.zip", b"PK")]).gathered().expect_err("no rows");
        assert_eq!((zip.code, place(&zip).0), (Code::DatasetUnknownKind, Some("b.zip")));
        let one = b"{\"prompt\":\"a\",\"response\":\"b\"}\n";
        let other = b"{\"question\":\"a\",\"response\":\"b\"}\n";
        let problem = made(&[("1.jsonl", one), ("2.jsonl", other)]).gathered().expect_err("columns");
        assert_eq!((problem.code, place(&problem).0), (Code::DatasetOtherColumns, Some("2.jsonl")));
        assert_eq!(
            (problem.params["one"].as_str(), problem.params["columns"].as_str()),
            ("1.jsonl", "prompt")
        );
        let twice = made(&[("a.csv", b"q\nx\n"), ("a.csv", b"q\nx\n")]).gathered().expect_err("twice");
        assert_eq!(twice.code, Code::UploadNameTwice);
    }

    #[test]
    fn s_073_a_part_that_not_every_row_needs_may_be_missing_from_a_file() {
        let one = b"{\"instruction\":\"a\",\"input\":\"i\",\"output\":\"b\"}\n";
        let other = b"{\"output\":\"b\",\"instruction\":\"a\"}\n";
        let (found, _) = made(&[("1.json", one), ("2.jsonl", other)]).gathered().expect("one dataset");
        assert_eq!((found.inspection.mapping.format, found.inspection.usable), (DataFormat::Alpaca, 2));
    }

    #[test]
    fn s_073_what_is_broken_is_placed_in_its_file_and_what_can_be_spared_is_left_out() {
        let good = b"{\"prompt\":\"a\",\"response\":\"b\"}\n";
        let spared = b"{\"prompt\":\"a\",\"response\":\"b\"}\n{\"prompt\":\n[1]\n";
        let (found, text) = made(&[("1.jsonl", good), ("2.jsonl", spared)]).gathered().expect("read");
        assert_eq!((found.inspection.rows, found.inspection.usable), (4, 2));
        assert!(text.ends_with("{\nnull\n"), "{text}");
        let ragged = b"prompt,response\na,b\nc,d,e,f\n";
        let problem = made(&[("1.csv", b"prompt,response\na,b\n"), ("2.csv", ragged)]).gathered();
        assert_eq!(place(&problem.expect_err("ragged")), (Some("2.csv"), Some(2)));
    }

    #[test]
    fn s_073_every_file_is_read_in_its_own_encoding() {
        let latin = "prompt,response\nWie süß schmeckt grüner Tee?,Gar nicht süß für die Größe.\n";
        let latin: Vec<u8> = latin.chars().map(|c| u8::try_from(u32::from(c)).expect("latin-1")).collect();
        let utf8 = "prompt,response\n壶?,好\n";
        let mut made = made(&[("1.csv", &latin), ("2.csv", utf8.as_bytes())]);
        if let Err(problem) = gather(made.asked.clone(), &mut |_| {}) {
            assert_eq!((problem.code, place(&problem).0), (Code::DatasetEncodingUnsure, Some("1.csv")));
            made.asked.encoding = problem.readings().into_iter().next().map(|one| one.name);
        }
        let (found, text) = made.gathered().expect("read");
        assert!(text.contains("süß") && text.contains('壶'), "{text}");
        assert!(matches!(found.findings[..], [Finding::Converted { .. }]), "{:?}", found.findings);
    }

    #[test]
    fn s_073_texts_stay_texts_and_a_missing_shard_is_said() {
        let (found, text) =
            made(&[("t-00002-of-00003.txt", b"three\r\n\r\nfour"), ("t-00000-of-00003.txt", b"one\ntwo\n")])
                .gathered()
                .expect("read");
        assert_eq!((text.as_str(), found.inspection.kind), ("one\ntwo\nthree\n\nfour\n", FileKind::Txt));
        assert_eq!(found.files.iter().map(|file| file.rows).collect::<Vec<_>>(), [2, 3]);
        let names = vec!["t-00001-of-00003.txt".to_owned()];
        assert_eq!(found.findings, [Finding::ShardsMissing { names }]);
    }

    #[test]
    fn s_073_more_than_the_limit_is_not_written_and_nothing_is_no_dataset() {
        let line = format!("{{\"text\":\"{}\"}}\n", "x".repeat(600_000));
        let problem = made(&[("1.jsonl", line.as_bytes()), ("2.jsonl", line.as_bytes())]).gathered();
        assert_eq!(problem.expect_err("too large").code, Code::DatasetUnpacksTooLarge);
        for files in [&[("1.csv", b"".as_slice())][..], &[(".a", b"x")], &[]] {
            assert_eq!(made(files).gathered().expect_err("nothing").code, Code::DatasetEmpty);
        }
    }
}
