//! Files made to do harm are read or refused, each by one clear error, in little time and on a small stack (F2 to F4,
//! N11 to N13, R11).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "hostile/files.rs"]
mod files;
#[path = "hostile/parquet.rs"]
mod parquet;

use std::path::Path;
use std::time::{Duration, Instant};

use contract::Code;
use contract::dataset::{DataFormat, FileKind, Mapping};
use contract::problem::Problem;
use contract::stage::Stage;
use corpus::inspect::{inspect, row, rows};

/// The stack of a thread that reads, as a server has it.
const STACK: usize = 2 << 20;

/// Runs on a small stack.
fn on_a_small_stack<T: Send>(read: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, read).unwrap().join().unwrap()
    })
}

fn mapping() -> Mapping {
    Mapping {
        prompt: Some("prompt".into()),
        response: Some("response".into()),
        ..Mapping::empty(DataFormat::PromptResponse)
    }
}

/// The problem of a file, if it has one; every way of reading it ends.
fn tried(path: &Path, kind: FileKind) -> Option<Problem> {
    let found = inspect(path, kind, None);
    let page = rows(path, kind, (&mapping(), Stage::Sft), 1, 200);
    let second = row(path, kind, 2);
    for problem in [page.err(), second.err()].into_iter().flatten() {
        assert!(problem.to_string().len() < 8_000, "{} echoes the file", problem.code.as_str());
    }
    found.err()
}

fn write(folder: &Path, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.join("file");
    std::fs::write(&path, bytes).unwrap();
    path
}

fn code(bytes: &[u8], kind: FileKind) -> Result<u64, &'static str> {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), bytes);
    on_a_small_stack(|| {
        inspect(&path, kind, None).map(|found| found.rows).map_err(|problem| problem.code.as_str())
    })
}

#[test]
fn every_hostile_file_is_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let files = files::files();
    assert!(files.len() >= 150, "{}", files.len());
    let mut slow = Vec::new();
    for (name, kind, bytes) in files {
        let path = write(folder.path(), &bytes);
        let begun = Instant::now();
        let problem = on_a_small_stack(|| tried(&path, kind));
        if let Some(problem) = problem {
            assert!(problem.hint.is_some() && !problem.message.is_empty(), "{name}");
            assert!(problem.to_string().len() < 8_000, "{name} is echoed");
        }
        if begun.elapsed() > Duration::from_secs(20) {
            slow.push((name, kind, begun.elapsed()));
        }
    }
    assert!(slow.is_empty(), "{slow:?}");
}

#[test]
fn f_2_columns_of_parquet_that_nest_or_lie_are_refused() {
    assert_eq!(code(&parquet::nested(30_000), FileKind::Parquet), Err("dataset.columns_too_deep"));
    assert_eq!(code(&parquet::nested(10), FileKind::Parquet), Err("dataset.empty"));
    let children = parquet::named(&[("r", Some(0x7FFF_FFFF)), ("a", None)], 0);
    assert_eq!(code(&children, FileKind::Parquet), Err("dataset.parquet_broken"));
    assert_eq!(code(&parquet::columns(10_001), FileKind::Parquet), Err("dataset.too_many_columns"));
}

#[test]
fn n_11_parquet_that_is_small_only_because_it_is_packed_is_refused() {
    use parquet::{Page, dictionary_bomb, gzip, lists, nulls, one_column, prefixes, snappy, zstd};
    let refused = Err("dataset.unpacks_too_large");
    let parquet = |bytes: &[u8]| code(bytes, FileKind::Parquet);
    assert_eq!(parquet(&nulls(1_000_000_000)), refused);
    assert_eq!(parquet(&nulls(1_000)), Ok(1_000));
    assert_eq!(parquet(&dictionary_bomb(4 << 20, 900_000)), refused);
    assert_eq!(parquet(&dictionary_bomb(1_000, 1_000)), Ok(1_000));
    assert_eq!(parquet(&lists(500_000, 100_000)), refused);
    assert_eq!(parquet(&lists(100_000_000, 1)), Err("dataset.too_many_values"));
    assert_eq!(parquet(&lists(1_000, 10)), Ok(1));
    assert_eq!(parquet(&prefixes(1 << 20, 100_000)), refused);
    let size = 200 << 20;
    for (codec, data) in [(2, gzip(size)), (6, zstd(size)), (1, snappy(size))] {
        assert_eq!(parquet(&one_column(codec, &[Page::data(size, data, 1, 0)], 1)), refused, "codec {codec}");
    }
    assert_eq!(parquet(&one_column(2, &[Page::data(100, gzip(size), 1, 0)], 1)), refused);
    for (codec, data) in [(6, zstd(size)), (1, snappy(size))] {
        let lies = one_column(codec, &[Page::data(100, data, 1, 0)], 1);
        assert_eq!(parquet(&lies), Err("dataset.parquet_broken"), "codec {codec}");
    }
}

#[test]
fn f_3_n_12_rows_of_too_many_values_are_refused_before_they_are_built() {
    for (one, count) in [("0", 1_100_000), ("{}", 200_000), ("{\"a\":1}", 150_000)] {
        let row =
            |count: usize| format!("{{\"prompt\":[{}],\"response\":\"a\"}}\n", vec![one; count].join(","));
        assert_eq!(code(row(count).as_bytes(), FileKind::Jsonl), Err("dataset.too_many_values"), "{one}");
        assert_eq!(
            code(format!("[{}]", row(count)).as_bytes(), FileKind::Json),
            Err("dataset.too_many_values")
        );
        assert_eq!(code(row(count / 10).as_bytes(), FileKind::Jsonl), Ok(1), "{one}");
    }
}

#[test]
fn f_4_n_13_columns_are_counted_over_all_rows() {
    let many = Err("dataset.too_many_columns");
    assert_eq!(code(&[vec![b','; 300_000], vec![b'\n']].concat(), FileKind::Csv), many);
    let keys = |count: usize| {
        let members: Vec<String> = (0..count).map(|n| format!("\"k{n:06}\":1")).collect();
        format!("{{{}}}\n", members.join(","))
    };
    assert_eq!(code(keys(300_000).as_bytes(), FileKind::Jsonl), many);
    assert_eq!(code(keys(10_000).as_bytes(), FileKind::Jsonl), Ok(1));
    let by_row = |count: usize| (0..count).map(|n| format!("{{\"k{n}\":1}}\n")).collect::<String>();
    assert_eq!(code(by_row(10_001).as_bytes(), FileKind::Jsonl), many);
    assert_eq!(code(by_row(10_000).as_bytes(), FileKind::Jsonl), Ok(10_000));
    let long = format!("{{\"{}\":1}}\n", "n".repeat(1_001));
    assert_eq!(code(long.as_bytes(), FileKind::Jsonl), Err("dataset.column_name_too_long"));
}

/// Twice the columns take twice the time, not four times.
#[test]
fn f_4_time_grows_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let time = |columns: usize| {
        let names: Vec<String> = (0..columns).map(|n| format!("n{n}")).collect();
        let line = format!("{}\n", vec!["some words"; columns].join(","));
        let path = write(folder.path(), format!("{}\n{}", names.join(","), line.repeat(100)).as_bytes());
        let best = |_| {
            let begun = Instant::now();
            inspect(&path, FileKind::Csv, None).unwrap();
            rows(&path, FileKind::Csv, (&mapping(), Stage::Sft), 1, 100).unwrap();
            begun.elapsed()
        };
        (0..3).map(best).min().unwrap()
    };
    let (small, large) = (time(4_000), time(8_000));
    assert!(large < small * 3, "{small:?} {large:?}");
}

#[test]
fn n_18_problems_do_not_echo_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..5_000).map(|n| format!("{}{n}", "n".repeat(150))).collect();
    let path =
        write(folder.path(), format!("{}\n{}\n", names.join(","), vec!["x"; 5_000].join(",")).as_bytes());
    let mapping = Mapping { prompt: Some("p".repeat(100_000)), ..mapping() };
    let problem = inspect(&path, FileKind::Csv, Some(mapping)).unwrap_err();
    assert_eq!(problem.code, Code::DatasetNoSuchColumn);
    assert!(serde_json::to_string(&problem).unwrap().len() < 8_000);
}

#[cfg(unix)]
#[test]
fn n_20_f_15_what_is_no_file_is_refused_at_once() {
    use std::os::unix::net::UnixListener;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let fifo = at("pipe.jsonl");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let _socket = UnixListener::bind(at("socket.jsonl")).unwrap();
    std::fs::create_dir(at("folder.jsonl")).unwrap();
    for (from, to) in
        [("/dev/zero", "device.jsonl"), ("/proc/self/mem", "mem.jsonl"), ("/proc/kmsg", "kmsg.jsonl")]
    {
        std::os::unix::fs::symlink(from, at(to)).unwrap();
    }
    for name in ["pipe", "socket", "folder", "device", "mem"] {
        let path = at(&format!("{name}.jsonl"));
        for kind in [FileKind::Jsonl, FileKind::Parquet] {
            assert_eq!(inspect(&path, kind, None).unwrap_err().code, Code::DatasetNotAFile, "{name}");
        }
    }
    std::os::unix::fs::symlink(at("loop.jsonl"), at("loop.jsonl")).unwrap();
    assert_eq!(inspect(&at("loop.jsonl"), FileKind::Jsonl, None).unwrap_err().code, Code::DatasetUnreadable);
    let proc = Path::new("/proc/self/status");
    assert_eq!(inspect(proc, FileKind::Txt, None).unwrap_err().code, Code::DatasetNotAFile);
}

/// Cells of a wide page are cut, and say so.
#[test]
fn f_3_a_page_of_wide_rows_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("{}\n", vec!["x".repeat(1_500); 100].join(","));
    let names: Vec<String> = (0..100).map(|n| format!("n{n}")).collect();
    let path = write(folder.path(), format!("{}\n{}", names.join(","), line.repeat(20)).as_bytes());
    let page = |count: usize| rows(&path, FileKind::Csv, (&mapping(), Stage::Sft), 1, count).unwrap();
    assert_eq!(page(20)[0].cells[0].chars().count(), 1_500);
    assert_eq!(page(200)[0].cells[0].chars().count(), 801);
}
