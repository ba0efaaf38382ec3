use super::*;
use contract::limits::Limit;
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
    let found = problem(b"\n\n{\"a\":\n", FileKind::Jsonl);
    assert_eq!(found.code, Code::DatasetJsonBroken);
    assert_eq!(place(&found).0, Some(1), "blank lines are no rows");
    assert!(place(&found).1 >= Some(2));
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
            FileKind::Txt | FileKind::Parquet | FileKind::Xlsx => b"",
        };
        let body = std::io::repeat(b'x').take(Limit::RowBytes.value() * 8);
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

#[test]
fn tables_of_other_separators_are_read_as_columns() {
    let wanted = all("frage,antwort\nJa?,\"1,5; nein\"\n".as_bytes(), FileKind::Csv).unwrap();
    for text in [
        "frage;antwort\nJa?;\"1,5; nein\"\n",
        "frage\tantwort\r\nJa?\t1,5; nein\r\n",
        "frage|antwort\rJa?|1,5; nein\r",
        "\u{FEFF}sep=;\r\nfrage;antwort\r\nJa?; \"1,5; nein\"",
        "\u{FEFF}\"frage\" ; \"antwort\" \n\"Ja?\" ; \"1,5; nein\" \n",
        "sep=|\nfrage|antwort\nJa?|1,5; nein\n",
    ] {
        assert_eq!(all(text.as_bytes(), FileKind::Csv).unwrap(), wanted, "{text:?}");
    }
}

#[test]
fn a_ragged_row_names_the_separator_that_was_found() {
    for (text, separator, at) in [
        ("q,a\nx,y\nx,y,z\n", ",", (Some(2), Some(8))),
        ("q;a\nx,1;y\nx\n", ";", (Some(2), Some(10))),
        ("sep=;\nq;a\n\nx;y;z\n", ";", (Some(1), Some(11))),
        ("q\ta\nx\t \"y\"\nx\ty\nx\ty\nx\ty\tz\n", "Tab", (Some(4), Some(19))),
    ] {
        let found = problem(text.as_bytes(), FileKind::Csv);
        assert_eq!((found.code, place(&found)), (Code::DatasetRaggedRow, at), "{text:?}");
        assert_eq!(found.params.get("separator").map(String::as_str), Some(separator));
    }
}

#[test]
fn a_quote_that_swallows_rows_is_refused_where_it_opens() {
    for (text, row, field, byte) in [
        ("question,answer\nQ,\"A\nR,B\n", Some(1), Some("answer"), 18),
        ("问题;回答\n\"一;二\n三;四\n\"五\";六\n", Some(1), Some("问题"), 14),
        ("q\ta\nx\ty\nz\t \"w\nv\tu\n", Some(2), Some("a"), 11),
        ("q,a\n\"x\" said y,z\n", Some(1), Some("q"), 4),
        ("q,\"a\nx,y\n", None, None, 2),
    ] {
        let found = problem(text.as_bytes(), FileKind::Csv);
        assert_eq!((found.code, place(&found)), (Code::DatasetQuoteOpen, (row, Some(byte))), "{text:?}");
        assert_eq!(found.place.unwrap().field.as_deref(), field);
    }
    let mut rows = read(std::io::Cursor::new("q,a\nx,y\nz,\"w\n"), FileKind::Csv).unwrap();
    assert!(rows.next().unwrap().is_ok(), "rows before it are read");
}

#[test]
fn a_line_that_cannot_be_read_costs_that_row_and_no_other() {
    let good = r#"{"q":"x"}"#;
    for bad in
        [r#"{"q":"\ud83d"}"#, r#"{"q":"\ude00!"}"#, r#"{"q":"#, "42", "null", "[1]", "oops", r#"{"q":"cut o"#]
    {
        for (text, at) in [
            (format!("{good}\n{bad}\n{good}\n"), 1),
            (format!("\n{bad}\n\n{good}\n{good}"), 0),
            (format!("{good}\n{good}\n{bad}"), 2),
        ] {
            let rows = all(text.as_bytes(), FileKind::Jsonl).unwrap();
            let faulty: Vec<bool> = rows.iter().map(|row| row.fault.is_some()).collect();
            let wanted: Vec<bool> = (0..3).map(|index| index == at).collect();
            assert_eq!(faulty, wanted, "{text}");
        }
        assert_eq!(
            place(&problem(format!("{bad}\n{bad}\n").as_bytes(), FileKind::Jsonl)).0,
            Some(1),
            "{bad}"
        );
    }
}

#[test]
fn a_file_of_twenty_unreadable_rows_is_refused_at_its_first() {
    for (count, refused) in [(19, false), (20, true), (400, true)] {
        let text = format!("{}{{\"a\":1}}\n", "{\"a\":\n".repeat(count));
        let found = all(text.as_bytes(), FileKind::Jsonl);
        assert_eq!(found.is_err(), refused, "{count}");
        if let Err(problem) = found {
            assert_eq!((problem.code, place(&problem).0), (Code::DatasetJsonBroken, Some(1)));
        }
    }
    let late = format!("{{\"a\":1}}\n{}", "[]\n".repeat(50));
    assert_eq!(all(late.as_bytes(), FileKind::Jsonl).unwrap().len(), 51);
}

#[test]
fn half_a_character_in_an_array_costs_its_row_and_a_broken_array_the_file() {
    let rows = all(br#"[{"a":"x"},{"a":["\ud83d"]},{"a":"\ud83d\ude00"}]"#, FileKind::Json).unwrap();
    let faulty: Vec<bool> = rows.iter().map(|row| row.fault.is_some()).collect();
    assert_eq!(faulty, [false, true, false]);
    assert_eq!(rows[2].get("a"), Some(&Value::from("\u{1F600}")));
    let found = problem(br#"[{"a":"x"},{"a":"\ud83d"},{"a":1 2}]"#, FileKind::Json);
    assert_eq!((found.code, place(&found)), (Code::DatasetJsonBroken, (Some(3), Some(33))));
    assert_eq!(problem(br#"[{"a":"\ud83d"}]"#, FileKind::Json).code, Code::DatasetJsonBroken);
    let rows = all(br#"[{"a":NaN},{"a":[-Infinity,"NaN"]}]"#, FileKind::Json).unwrap();
    assert_eq!(rows[1].get("a"), Some(&serde_json::json!([null, "NaN"])));
}

/// Rows as JSON texts.
fn texts(rows: &[Row]) -> Vec<String> {
    let object = |row: &Row| Value::Object(row.cells.iter().cloned().collect()).to_string();
    rows.iter().map(object).collect()
}

#[test]
fn one_object_that_holds_rows_is_read_as_those() {
    let wanted = [r#"{"q":"a","a":"b"}"#, r#"{"q":"c","a":"d"}"#];
    for text in [
        r#"[{"q":"a","a":"b"},{"q":"c","a":"d"}]"#,
        r#"{"data":[{"q":"a","a":"b"},{"q":"c","a":"d"}]}"#,
        r#" {"version":"1.1","note":{"by":["x","]}"]},"items":[{"q":"a","a":"b"},{"q":"c","a":"d"}],"n":2}"#,
        r#"{"features":[{"name":"q"}],"rows":[{"row_idx":0,"row":{"q":"a","a":"b"},"truncated_cells":[]},
            {"row_idx":1,"row":{"q":"c","a":"d"}}],"num_rows_total":2}"#,
        r#"{"x1":{"q":"a","a":"b"},"x2":{"q":"c","a":"d"}}"#,
        r#"{"0":{"q":"a","a":"b"},"1":{"q":"c","a":"d"}}"#,
        r#"{"q":["a","c"],"a":["b","d"]}"#,
        r#"{"q":{"0":"a","1":"c"},"a":{"0":"b","1":"d"}}"#,
        "{\"q\":\"a\",\"a\":\"b\"}\n{\"q\":\"c\",\"a\":\"d\"}\n",
    ] {
        assert_eq!(texts(&all(text.as_bytes(), FileKind::Json).unwrap()), wanted, "{text}");
    }
}

#[test]
fn json_over_many_lines_is_read_under_the_name_of_json_lines() {
    for text in [
        "[{\"q\":\"a\"},\n {\"q\":\"b\"}]\n",
        "\u{FEFF}[\n  {\n    \"q\": \"a\"\n  },\n  {\n    \"q\": \"b\"\n  }\n]",
        "{\n  \"q\": \"a\"\n}\n{\n  \"q\": \"b\"\n}\n",
        "{\r\n\"data\": [{\"q\": \"a\"}, {\"q\": \"b\"}]\r\n}",
    ] {
        let rows = read(std::io::Cursor::new(text.to_owned()), FileKind::Jsonl).unwrap();
        assert_eq!(rows.kind(), FileKind::Json, "{text}");
        let rows: Vec<Row> = rows.map(Result::unwrap).collect();
        assert_eq!(texts(&rows), [r#"{"q":"a"}"#, r#"{"q":"b"}"#], "{text}");
    }
    let rows = read(std::io::Cursor::new("{\"q\":\"a\"}\n[1]\n"), FileKind::Jsonl).unwrap();
    assert_eq!(rows.kind(), FileKind::Jsonl);
}

#[test]
fn one_object_that_is_a_row_stays_one() {
    for text in [
        r#"{"q":"a","a":"b"}"#,
        r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#,
        r#"{"id":1,"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"}]}"#,
        r#"{"prompt":"a","chosen":[{"content":"b","role":"assistant"}],"rejected":[{"content":"c","role":"assistant"}]}"#,
        r#"{"translation":{"en":"a","de":"b"}}"#,
        r#"{"input":{"text":"a"},"output":{"label":"b"}}"#,
        r#"{"q":["a","b"],"a":["c"]}"#,
    ] {
        assert_eq!(texts(&all(text.as_bytes(), FileKind::Json).unwrap()), [text]);
    }
    assert_eq!(problem(br#"{"version":1,"data":[]}"#, FileKind::Json).code, Code::DatasetEmpty);
}

#[test]
fn questions_of_articles_are_rows() {
    let text = r#"{"version":"2.0","data":[{"title":"T","paragraphs":[
        {"context":"C","qas":[{"question":"Q1","id":"1","answers":[{"text":"A1","answer_start":0},{"text":"x"}]},
                               {"question":"Q2","id":"2","answers":[],"is_impossible":true}]},
        {"qas":[{"answers":[{"text":"A3"}],"question":"Q3","id":"3"}],"context":"D"}]},
        {"title":"U","paragraphs":[]}]}"#;
    let rows = all(text.as_bytes(), FileKind::Json).unwrap();
    assert_eq!(
        texts(&rows),
        [
            r#"{"context":"C","question":"Q1","answer":"A1","id":"1"}"#,
            r#"{"context":"C","question":"Q2","answer":null,"id":"2"}"#,
            r#"{"context":"D","question":"Q3","answer":"A3","id":"3"}"#,
        ]
    );
}

#[test]
fn errors_inside_an_object_of_rows_keep_their_places() {
    for (text, row, byte) in [
        (r#"{"data":[{"q":1},{"q" 2}]}"#, 2, 22),
        (r#"{"v":"1","rows":[{"q":1},{"q":2}] "w":3}"#, 3, 34),
        (r#"{"x":{"q":1},"y":{"q":tru}}"#, 2, 25),
        (r#"{"data":[{"q":1}]"#, 2, 17),
        (r#"{"data":[{"q":1}]}]"#, 2, 18),
        (r#"{"q":["a"],"a":["b",]}"#, 1, 20),
    ] {
        let found = problem(text.as_bytes(), FileKind::Json);
        assert_eq!((found.code, place(&found)), (Code::DatasetJsonBroken, (Some(row), Some(byte))), "{text}");
    }
}

#[test]
fn an_object_of_rows_longer_than_any_row_is_streamed() {
    let count = Limit::RowBytes.get() / 1000 + 2000;
    let filler = "x".repeat(980);
    let row = |index: usize| format!("{{\"q\":\"{index} {filler}\"}}");
    let list: Vec<String> = (0..count).map(row).collect();
    let keyed: Vec<String> =
        list.iter().enumerate().map(|(index, row)| format!("\"k{index}\":{row}")).collect();
    for text in [format!("{{\"v\":1,\"data\":[{}]}}", list.join(",")), format!("{{{}}}", keyed.join(","))] {
        assert!(text.len() > Limit::RowBytes.get());
        let rows = read(std::io::Cursor::new(text.into_bytes()), FileKind::Json).unwrap();
        assert_eq!(
            rows.map(|row| row.map(|row| row.cells.len())).collect::<Result<Vec<_>, _>>(),
            Ok(vec![1; count])
        );
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]
    #[test]
    fn s27_random_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        for kind in [FileKind::Json, FileKind::Jsonl, FileKind::Csv, FileKind::Txt] {
            if let Ok(rows) = read(std::io::Cursor::new(bytes.clone()), kind) {
                proptest::prop_assert!(rows.count() <= bytes.len() + 1);
            }
        }
    }

    #[test]
    fn s27_json_like_text_never_panics(text in "[\\[\\]{}\",:a1\\\\ \n\t]{0,80}") {
        for kind in [FileKind::Json, FileKind::Jsonl, FileKind::Csv] {
            if let Ok(rows) = read(std::io::Cursor::new(text.clone().into_bytes()), kind) {
                proptest::prop_assert!(rows.count() <= text.len() + 1);
            }
        }
    }

    #[test]
    fn a_table_comes_back_with_any_separator(
        separator in proptest::sample::select(vec![b',', b';', b'\t', b'|']),
        wide in 1_usize..4,
        cells in proptest::collection::vec("[a,;\t| \"\n\r水']{0,8}", 3..24),
    ) {
        // One column says nothing of what would separate it from others.
        let wide = if separator == b',' { wide } else { wide.max(2) };
        let mut out = ::csv::WriterBuilder::new().delimiter(separator).from_writer(Vec::new());
        let names = ["question", "antwort", "备注"];
        out.write_record(&names[..wide]).unwrap();
        let records: Vec<&[String]> = cells.chunks_exact(wide).collect();
        for record in &records {
            out.write_record(*record).unwrap();
        }
        let rows = all(&out.into_inner().unwrap(), FileKind::Csv).unwrap();
        let read: Vec<Vec<&str>> = rows
            .iter()
            .map(|row| row.cells.iter().map(|(_, cell)| cell.as_str().unwrap_or_default()).collect())
            .collect();
        proptest::prop_assert_eq!(read, records);
    }
}
