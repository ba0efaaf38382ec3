//! Where rows come from: folders, Parquet, converted encodings (S-070 to S-077).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use contract::dataset::{DataFormat, FileKind, Mapping};
use contract::registry::Finding;
use contract::{Code, Problem};
use corpus::inspect::{inspect, row, rows};
use corpus::source::encoding::to_gb18030;
use corpus::source::folder::{check_digest, digests_of, list};
use corpus::{Conversation, Row, open};
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use proptest::prelude::*;
use serde_json::Value;

const SCHEMA: &str = "message row { REQUIRED BYTE_ARRAY prompt (UTF8); OPTIONAL BYTE_ARRAY response (UTF8); \
    REQUIRED INT64 score; }";

/// Rows in groups of 40; every seventh answer is missing.
fn parquet(path: &Path, count: usize, compression: Compression) {
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, properties).unwrap();
    let numbers: Vec<usize> = (0..count).collect();
    for group in numbers.chunks(40) {
        let mut groups = writer.next_row_group().unwrap();
        let text = |what: &str, n: usize| ByteArray::from(format!("{what} {n} 水").into_bytes());
        let prompts: Vec<_> = group.iter().map(|n| text("question", *n)).collect();
        let there: Vec<usize> = group.iter().copied().filter(|n| n % 7 != 0).collect();
        let answers: Vec<_> = there.iter().map(|n| text("answer", *n)).collect();
        let levels: Vec<i16> = group.iter().map(|n| i16::from(n % 7 != 0)).collect();
        let mut column = groups.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&prompts, None, None).unwrap();
        column.close().unwrap();
        let mut column = groups.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&answers, Some(&levels), None).unwrap();
        column.close().unwrap();
        let mut column = groups.next_column().unwrap().unwrap();
        let scores: Vec<i64> = group.iter().map(|n| *n as i64).collect();
        column.typed::<Int64Type>().write_batch(&scores, None, None).unwrap();
        column.close().unwrap();
        groups.close().unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn parquet_rows_come_in_order_with_every_compression() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let zstd = Compression::ZSTD(ZstdLevel::default());
    for compression in
        [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::GZIP(Default::default()), zstd]
    {
        parquet(&path, 100, compression);
        let found = inspect(&path, FileKind::Parquet, None).unwrap();
        assert_eq!((found.rows, found.usable), (100, 85), "{compression:?}");
        assert_eq!((found.encoding.as_str(), found.mapping.format), ("Parquet", DataFormat::PromptResponse));
        assert_eq!(found.columns, ["prompt", "response", "score"]);
        let last = row(&path, FileKind::Parquet, 100).unwrap();
        assert_eq!(last.get("prompt"), Some(&Value::from("question 99 水")));
        assert_eq!(last.get("score"), Some(&Value::from(99)));
        let page = rows(&path, FileKind::Parquet, (&found.mapping, found.suited()), 50, 1).unwrap();
        assert!(page[0].left_out.as_ref().is_some_and(|why| why.is_empty_answer()));
    }
}

/// A table whose answers are a truth value, a whole number, a double and a float.
fn typed(path: &Path) {
    use parquet::data_type::{BoolType, DoubleType, FloatType, Int32Type};
    let schema = "message m { required binary q (UTF8); required boolean t; required int32 n; required double d; required float f; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let file = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::default())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    macro_rules! column {
        ($kind:ty, $values:expr) => {
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<$kind>().write_batch(&$values, None, None).unwrap();
            column.close().unwrap();
        };
    }
    column!(ByteArrayType, [ByteArray::from("Q"), ByteArray::from("Q")]);
    column!(BoolType, [false, true]);
    column!(Int32Type, [0, -1]);
    column!(DoubleType, [0.0, 0.1]);
    column!(FloatType, [0.0, 0.1]);
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn one_table_gives_the_same_rows_whatever_its_file_kind() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let parquet = folder.path().join("a.parquet");
    typed(&parquet);
    let files = [
        parquet,
        write("a.csv", "q,t,n,d,f\nQ,False,0,0.0,0.0\nQ,True,-1,0.1,0.1\n"),
        write(
            "a.json",
            r#"[{"q":"Q","t":false,"n":0,"d":0.0,"f":0.0},{"q":"Q","t":true,"n":-1,"d":0.1,"f":0.1}]"#,
        ),
        write(
            "a.jsonl",
            "{\"q\":\"Q\",\"t\":false,\"n\":0,\"d\":0.0,\"f\":0.0}\n{\"q\":\"Q\",\"t\":true,\"n\":-1,\"d\":0.1,\"f\":0.1}",
        ),
    ];
    for (column, answers) in
        [("t", ["False", "True"]), ("n", ["0", "-1"]), ("d", ["0.0", "0.1"]), ("f", ["0.0", "0.1"])]
    {
        let mapping = Mapping {
            prompt: Some("q".into()),
            response: Some(column.into()),
            ..Mapping::empty(DataFormat::PromptResponse)
        };
        for path in &files {
            let kind = FileKind::of_name(path.to_str().unwrap()).unwrap();
            let found = inspect(path, kind, Some(mapping.clone())).unwrap();
            assert_eq!((found.rows, found.usable), (2, 2), "{}", path.display());
            let talk = |row: Result<Row, Problem>| Conversation::from_row(&row.unwrap(), &mapping).unwrap();
            let said: Vec<String> =
                open(path, kind).unwrap().map(|row| talk(row).turns.remove(0).1).collect();
            assert_eq!(said, answers, "{}", path.display());
        }
    }
}

#[test]
fn an_unknown_compression_is_one_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    parquet(&path, 10, Compression::UNCOMPRESSED);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes.truncate(middle);
    std::fs::write(&path, bytes).unwrap();
    let problem = inspect(&path, FileKind::Parquet, None).unwrap_err();
    assert_eq!(problem.code, Code::DatasetParquetBroken);
    assert!(problem.hint.is_some());
}

#[test]
fn s_073_a_folder_of_files_of_one_type_is_one_dataset() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("b.jsonl", "{\"a\":3}\n");
    write("a.jsonl", "{\"a\":1}\n{\"a\":2}\n");
    write(".DS_Store", "x");
    let files = list(folder.path()).unwrap();
    assert_eq!((files.paths.len(), files.kind), (2, FileKind::Jsonl));
    let read: Vec<_> = files.rows().map(|row| row.unwrap().get("a").unwrap().as_i64().unwrap()).collect();
    assert_eq!(read, [1, 2, 3]);
    write("b.jsonl", "{\"a\":\n");
    let problem = files.rows().find_map(Result::err).unwrap();
    let place = problem.place.unwrap();
    assert_eq!((place.file.as_deref(), place.row), (Some("b.jsonl"), Some(1)));
    write("c.csv", "a\n1\n");
    assert_eq!(list(folder.path()).unwrap_err().code, Code::DatasetMixedKinds);
}

#[test]
fn s_074_s_075_a_single_file_and_what_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    assert_eq!(list(&path).unwrap_err().code, Code::DatasetNotFound);
    std::fs::write(&path, "q\nx\n").unwrap();
    assert_eq!(list(&path).unwrap().kind, FileKind::Csv);
    let script = folder.path().join("load.py");
    std::fs::write(&script, "print()").unwrap();
    assert_eq!(
        list(&script).unwrap_err().code,
        Code::DatasetUnknownKind,
        "S-072: scripts are not read, let alone run"
    );
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(list(empty.path()).unwrap_err().code, Code::DatasetNotFound);
}

#[test]
fn s_070_s_076_a_wrong_hash_is_a_finding() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.txt");
    std::fs::write(&path, "abc").unwrap();
    let sha1 = "a9993e364706816aba3e25717850c26c9cd0d89d";
    let digests = digests_of(&path).unwrap();
    assert_eq!((digests.sha1.as_str(), digests.bytes), (sha1, 3));
    let one = std::slice::from_ref(&digests);
    let upper = sha1.to_uppercase();
    assert_eq!(check_digest(one, Some(&upper)), Some(Finding::Sha1Matches { sha1: sha1.into() }));
    let zeros = "0".repeat(40);
    assert_eq!(
        check_digest(one, Some(&zeros)),
        Some(Finding::Sha1Differs { wanted: zeros, found: sha1.into() })
    );
    let sha256 = digests.sha256.clone();
    assert_eq!(check_digest(one, Some(&sha256)), Some(Finding::Sha256Matches { sha256 }));
    let ones = "1".repeat(64);
    assert!(matches!(check_digest(one, Some(&ones)), Some(Finding::Sha256Differs { .. })));
    assert_eq!((check_digest(one, None), check_digest(one, Some("00"))), (None, None));
    let two = [digests.clone(), digests];
    assert_eq!(check_digest(&two, Some(sha1)), Some(Finding::Sha1Unchecked { files: 2 }));
}

#[test]
fn a_row_that_cannot_be_read_is_counted_and_left_out_under_every_mapping() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let chat = |text: &str| {
        format!(
            r#"{{"messages":[{{"role":"user","content":"{text}"}},{{"role":"assistant","content":"A"}}]}}"#
        )
    };
    let pair = |text: &str| format!(r#"{{"prompt":"{text}","chosen":"A","rejected":"B"}}"#);
    let talk = |text: &str| format!(r#"{{"prompt":"{text}","response":"A","score":NaN}}"#);
    let text = |text: &str| format!(r#"{{"text":"{text}"}}"#);
    let lines: [&dyn Fn(&str) -> String; 4] = [&chat, &pair, &talk, &text];
    for line in lines {
        std::fs::write(&path, [line("Q"), line("\\ud83d"), line("R"), "{\"cut".to_owned()].join("\n"))
            .unwrap();
        let found = inspect(&path, FileKind::Jsonl, None).unwrap();
        assert_eq!((found.rows, found.usable), (4, 2), "{:?}", found.mapping);
        let page = rows(&path, FileKind::Jsonl, (&found.mapping, contract::stage::Stage::Sft), 1, 4).unwrap();
        let unreadable = |view: &contract::dataset::RowView| {
            matches!(view.left_out, Some(contract::RowReason::Unreadable { .. }))
        };
        assert_eq!(page.iter().map(unreadable).collect::<Vec<_>>(), [false, true, false, true]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the bytes, a reader of any kind ends without a panic.
    #[test]
    fn s27_random_bytes_of_a_file_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), mark in 0_usize..4) {
        let folder = tempfile::tempdir().unwrap();
        let heads: [&[u8]; 4] = [b"", b"PAR1", &[0xFF, 0xFE], &[0xFE, 0xFF]];
        let whole = [heads[mark], &bytes, if mark == 1 { b"PAR1" } else { b"" }].concat();
        for kind in ["json", "jsonl", "csv", "txt", "parquet"] {
            let path = folder.path().join(format!("a.{kind}"));
            std::fs::write(&path, &whole).unwrap();
            if let Ok(rows) = open(&path, FileKind::of_name(&path.to_string_lossy()).unwrap()) {
                prop_assert!(rows.count() <= whole.len() + 1);
            }
        }
    }

    /// A Parquet file with one byte changed is read or refused, never more.
    #[test]
    fn s27_a_changed_byte_of_parquet_never_panics(at in 0_usize..10_000, to in any::<u8>()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        parquet(&path, 60, Compression::SNAPPY);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at % bytes.len();
        bytes[at] = to;
        std::fs::write(&path, bytes).unwrap();
        if let Ok(rows) = open(&path, FileKind::Parquet) {
            prop_assert!(rows.take(1000).count() <= 1000);
        }
    }

    /// The same rows come out of UTF-8, UTF-16 and GB18030.
    #[test]
    fn converted_text_is_the_same_text(cells in prop::collection::vec("[a-z的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得]{1,12}", 1..20)) {
        let folder = tempfile::tempdir().unwrap();
        let text: String = std::iter::once("中文的问题和一些有用的话,回答").chain(cells.iter().map(String::as_str))
            .map(|line| format!("{line}\n")).collect();
        let utf16: Vec<u8> = format!("\u{FEFF}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut read = Vec::new();
        for bytes in [text.clone().into_bytes(), utf16, to_gb18030(&text)] {
            let path = folder.path().join("a.txt");
            std::fs::write(&path, bytes).unwrap();
            read.push(open(&path, FileKind::Txt).unwrap().collect::<Result<Vec<_>, _>>().unwrap());
        }
        prop_assert_eq!(&read[0], &read[1]);
        prop_assert_eq!(&read[0], &read[2]);
    }
}
