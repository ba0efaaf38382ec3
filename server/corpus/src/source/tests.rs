use super::*;
use serde_json::Value;

fn all(bytes: &[u8], kind: FileKind) -> Result<Vec<Row>, Problem> {
    read(std::io::Cursor::new(bytes.to_vec()), kind)?.collect()
}

fn problem(bytes: &[u8], kind: FileKind) -> Problem {
    all(bytes, kind).unwrap_err()
}

fn place(problem: &Problem) -> (Option<u64>, Option<u64>) {
    let place = problem.place.clone().unwrap_or_default();
    (place.row, place.byte)
}

#[test]
fn broken_json_line_names_row_and_byte() {
    let found = problem(b"{\"a\":1}\n\n{\"a\":\n", FileKind::Jsonl);
    assert_eq!(found.code, Code::DatasetJsonBroken);
    assert_eq!(place(&found).0, Some(2), "blank lines are no rows");
    assert!(place(&found).1 >= Some(9));
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let rows = all(b"\xEF\xBB\xBFq,a\nx,y\n", FileKind::Csv).unwrap();
    assert_eq!(rows[0].cells[0].0, "q");
}

#[test]
fn ragged_csv_names_row() {
    let found = problem(b"q,a\nx,y\nx,y,z\n", FileKind::Csv);
    assert_eq!((found.code.as_str(), place(&found)), ("dataset.ragged_row", (Some(2), Some(8))));
}

#[test]
fn empty_files_of_each_kind_are_refused() {
    for kind in [FileKind::Json, FileKind::Jsonl, FileKind::Csv, FileKind::Txt] {
        assert_eq!(problem(b"", kind).code, Code::DatasetEmpty);
        assert_eq!(problem(b"\xEF\xBB\xBF", kind).code, Code::DatasetEmpty);
    }
    assert_eq!(problem(b"[]", FileKind::Json).code, Code::DatasetEmpty);
    assert_eq!(problem(b"q,a\n", FileKind::Csv).code, Code::DatasetEmpty);
}

#[test]
fn invalid_utf8_names_row_and_byte() {
    for (kind, bytes, byte) in [
        (FileKind::Txt, b"ok\nab\xFFc\n".to_vec(), 5),
        (FileKind::Jsonl, b"{\"a\":1}\n{\"a\":\"\xC3(\"}\n".to_vec(), 14),
        (FileKind::Csv, b"q\nok\n\xFF\n".to_vec(), 5),
    ] {
        let found = problem(&bytes, kind);
        assert_eq!((found.code.as_str(), place(&found)), ("dataset.not_utf8", (Some(2), Some(byte))));
    }
}

#[test]
fn nul_bytes_and_utf16_are_refused() {
    assert_eq!(problem(b"a\0b\n", FileKind::Txt).code, Code::DatasetNulByte);
    assert_eq!(
        problem(b"\xFF\xFEa\0", FileKind::Csv).code,
        Code::DatasetEmpty,
        "UTF-16 is read: a header alone"
    );
}

#[test]
fn deep_json_is_refused_before_it_is_parsed() {
    let deep = format!("[{{\"a\":{}{}}}]", "[".repeat(200), "]".repeat(200));
    assert_eq!(problem(deep.as_bytes(), FileKind::Json).code, Code::DatasetJsonTooDeep);
    let line = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
    assert_eq!(problem(line.as_bytes(), FileKind::Jsonl).code, Code::DatasetJsonTooDeep);
}

#[test]
fn a_row_over_the_limit_is_refused_without_holding_it() {
    for kind in [FileKind::Json, FileKind::Jsonl, FileKind::Csv, FileKind::Txt] {
        let head: &[u8] = match kind {
            FileKind::Json => b"[{\"a\":\"",
            FileKind::Jsonl => b"{\"a\":\"",
            FileKind::Csv => b"a,b\n\"",
            FileKind::Txt | FileKind::Parquet => b"",
        };
        let body = std::io::repeat(b'x').take(ROW_LIMIT as u64 * 8);
        let input = BufReader::new(std::io::Cursor::new(head.to_vec()).chain(body));
        let found = read(input, kind).unwrap().find_map(Result::err).unwrap();
        assert_eq!((found.code.as_str(), place(&found).0), ("dataset.row_too_long", Some(1)), "{kind:?}");
    }
}

#[test]
fn json_array_streams_elements_and_names_the_broken_one() {
    let rows = all(br#" [ {"a": "x]}\"," } , {"a": {"b": [1]}} ] "#, FileKind::Json).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].get("a"), Some(&Value::from("x]}\",")));
    let found = problem(br#"[{"a":1}, {"a" 2}]"#, FileKind::Json);
    assert_eq!((found.code.as_str(), place(&found)), ("dataset.json_broken", (Some(2), Some(15))));
    assert_eq!(problem(br#"[{"a":1}"#, FileKind::Json).code, Code::DatasetJsonBroken);
    assert_eq!(problem(br#"[1]"#, FileKind::Json).code, Code::DatasetNotAnObject);
    assert_eq!(problem(br#"[{"a":1}] x"#, FileKind::Json).code, Code::DatasetJsonBroken);
}

#[test]
fn csv_quotes_line_breaks_and_empty_cells() {
    let rows = all(b"q,a\n\"x, \"\"y\"\"\nz\",\n", FileKind::Csv).unwrap();
    assert_eq!(rows[0].get("q"), Some(&Value::from("x, \"y\"\nz")));
    assert_eq!(rows[0].get("a"), Some(&Value::Null));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        for kind in [FileKind::Json, FileKind::Jsonl, FileKind::Csv, FileKind::Txt] {
            if let Ok(rows) = read(std::io::Cursor::new(bytes.clone()), kind) {
                proptest::prop_assert!(rows.count() <= bytes.len() + 1);
            }
        }
    }

    #[test]
    fn json_like_text_never_panics(text in "[\\[\\]{}\",:a1\\\\ \n\t]{0,80}") {
        for kind in [FileKind::Json, FileKind::Jsonl, FileKind::Csv] {
            if let Ok(rows) = read(std::io::Cursor::new(text.clone().into_bytes()), kind) {
                proptest::prop_assert!(rows.count() <= text.len() + 1);
            }
        }
    }
}
