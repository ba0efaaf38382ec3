//! Forty files that are not what they should be (R11): each gives one clear error that says where, or is read as what
//! it is; nothing panics.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use contract::Code;
use contract::dataset::FileKind;
use contract::problem::Problem;
use corpus::inspect::inspect;
use corpus::source::encoding::to_gb18030;

/// What must come of a file: an error of this code, at this row and byte; or so many rows in this encoding.
enum Wanted {
    Error(Code, Option<u64>, Option<u64>),
    Rows(u64, &'static str),
}
use Wanted::{Error, Rows};

fn utf16(text: &str, little: bool) -> Vec<u8> {
    let units = text.encode_utf16();
    if little {
        units.flat_map(u16::to_le_bytes).collect()
    } else {
        units.flat_map(u16::to_be_bytes).collect()
    }
}

fn cases() -> Vec<(&'static str, Vec<u8>, Wanted)> {
    let deep = |depth: usize| {
        format!("{{\"prompt\":{}1{},\"response\":\"a\"}}", "[".repeat(depth), "]".repeat(depth))
    };
    let gbk = to_gb18030("prompt,response\n你好吗今天,我很好谢谢\n第二个问题,第二个回答\n");
    let mut broken_gbk = gbk.clone();
    broken_gbk[40] = 0xFF;
    let jsonl = |text: &str| text.as_bytes().to_vec();
    vec![
        ("empty.json", vec![], Error(Code::DatasetEmpty, None, None)),
        ("empty.csv", vec![], Error(Code::DatasetEmpty, None, None)),
        ("mark_only.jsonl", vec![0xEF, 0xBB, 0xBF], Error(Code::DatasetEmpty, None, None)),
        ("spaces.jsonl", jsonl(" \n\n  \n"), Error(Code::DatasetEmpty, None, None)),
        ("header_only.csv", jsonl("prompt,response\n"), Error(Code::DatasetEmpty, None, None)),
        ("empty_array.json", jsonl("[]"), Error(Code::DatasetEmpty, None, None)),
        ("gzip_cut.json", vec![0x1F, 0x8B, 8, 0, 0, 0], Error(Code::DatasetNotText, None, Some(0))),
        ("workbook.csv", jsonl("PK\u{3}\u{4}xl/worksheets"), Error(Code::DatasetNotText, None, Some(0))),
        ("zstd.jsonl", vec![0x28, 0xB5, 0x2F, 0xFD, 0, 0], Error(Code::DatasetNotText, None, Some(0))),
        ("paper.txt", jsonl("%PDF-1.7 ..."), Error(Code::DatasetNotText, None, Some(0))),
        ("picture.csv", b"\x89PNG\r\n\x1a\n".to_vec(), Error(Code::DatasetNotText, None, Some(0))),
        ("parquet_as.json", jsonl("PAR1xxxxPAR1"), Error(Code::DatasetNotText, None, Some(0))),
        ("short.parquet", jsonl("PAR1"), Error(Code::DatasetParquetBroken, None, None)),
        ("text.parquet", jsonl("prompt,response\nq,a\n"), Error(Code::DatasetParquetBroken, None, None)),
        (
            "lying.parquet",
            b"PAR1\0\0\0\0\xFF\xFF\xFF\x7FPAR1".to_vec(),
            Error(Code::DatasetParquetBroken, None, None),
        ),
        (
            "footer.parquet",
            b"PAR1\x15\x02\x19\xFC\xFF\xFF\x0F\x08\0\0\0PAR1".to_vec(),
            Error(Code::DatasetParquetBroken, None, None),
        ),
        ("bad_utf8.txt", b"fine\nab\xFFc\n".to_vec(), Error(Code::DatasetNotUtf8, Some(2), Some(7))),
        (
            "bad_utf8.jsonl",
            b"{\"a\":\"b\"}\n{\"a\":\"\xC3(\"}\n".to_vec(),
            Error(Code::DatasetNotUtf8, Some(2), Some(16)),
        ),
        ("bad_utf8.csv", b"q,a\nx,\xFF\n".to_vec(), Error(Code::DatasetNotUtf8, Some(1), Some(6))),
        (
            "latin1.csv",
            b"prompt,response\ncaf\xE9,na\xEFve\n".to_vec(),
            Error(Code::DatasetEncodingUnsure, None, None),
        ),
        ("overlong.txt", b"\xC0\x80\n".to_vec(), Error(Code::DatasetNotUtf8, Some(1), Some(0))),
        ("surrogate.txt", b"\xED\xA0\x80\n".to_vec(), Error(Code::DatasetNotUtf8, Some(1), Some(0))),
        ("nul.txt", b"a\0b\n".to_vec(), Error(Code::DatasetNulByte, Some(1), Some(1))),
        ("nul.csv", b"q,a\nx,y\nx,\0\n".to_vec(), Error(Code::DatasetNulByte, Some(2), Some(10))),
        ("nul.jsonl", b"{\"a\":\"\0\"}\n".to_vec(), Error(Code::DatasetNulByte, Some(1), Some(6))),
        ("broken_gbk.csv", broken_gbk, Error(Code::DatasetNotUtf8, Some(2), Some(40))),
        (
            "half_pair.csv",
            [utf16("\u{FEFF}prompt,response\nq,", true), vec![0x3D, 0xD8, 0x0A, 0x00]].concat(),
            Error(Code::DatasetNotUtf8, Some(1), Some(38)),
        ),
        ("ragged.csv", jsonl("q,a\nx,y\nx,y,z\n"), Error(Code::DatasetRaggedRow, Some(2), Some(8))),
        ("ragged.tsv", jsonl("q\ta\nx\ty\nx\ty\tz\n"), Error(Code::DatasetRaggedRow, Some(2), Some(8))),
        ("open_quote.csv", jsonl("q,a\nQ,\"A\nR,B\n"), Error(Code::DatasetQuoteOpen, Some(1), Some(6))),
        (
            "late_quote.tab",
            jsonl("q\ta\nx\ty\nQ\t\"A\n\"R\"\tB\n"),
            Error(Code::DatasetQuoteOpen, Some(2), Some(10)),
        ),
        (
            "quoted_word.csv",
            jsonl("q;a\n\"Ja\" sagte er;B\n"),
            Error(Code::DatasetQuoteOpen, Some(1), Some(4)),
        ),
        ("short_row.csv", jsonl("q,a\nx\n"), Error(Code::DatasetRaggedRow, Some(1), Some(4))),
        ("column_twice.csv", jsonl("q,q\nx,y\n"), Error(Code::DatasetColumnTwice, None, Some(0))),
        (
            "key_twice.jsonl",
            jsonl("{\"a\":1}\n{\"a\":1,\"a\":2}\n"),
            Error(Code::DatasetColumnTwice, Some(2), Some(17)),
        ),
        ("comma.json", jsonl("[{\"a\":1} {\"a\":2}]"), Error(Code::DatasetJsonBroken, Some(2), Some(9))),
        ("unclosed.json", jsonl("[{\"a\":1}"), Error(Code::DatasetJsonBroken, Some(2), Some(8))),
        ("number.json", jsonl("42"), Error(Code::DatasetJsonBroken, Some(1), Some(0))),
        ("list_of_texts.json", jsonl("[\"a\", \"b\"]"), Rows(2, "UTF-8")),
        ("list_of_numbers.json", jsonl("[1, 2]"), Error(Code::DatasetNotAnObject, Some(1), Some(1))),
        ("cut.jsonl", jsonl("{\"a\":1}\n{\"a\":\n"), Rows(2, "UTF-8")),
        ("every_line_cut.jsonl", jsonl("{\"a\":\n{\"a\":\n"), Error(Code::DatasetJsonBroken, Some(1), None)),
        ("list_lines.jsonl", jsonl("[1,2]\n"), Error(Code::DatasetNotAnObject, Some(1), Some(0))),
        ("deep.jsonl", deep(10_000).into_bytes(), Error(Code::DatasetJsonTooDeep, Some(1), None)),
        (
            "deep.json",
            format!("[{}]", deep(10_000)).into_bytes(),
            Error(Code::DatasetJsonTooDeep, Some(1), None),
        ),
        ("half_a_word.jsonl", jsonl("{\"a\":tru}\n"), Error(Code::DatasetJsonBroken, Some(1), None)),
        ("no_answers.jsonl", jsonl("{\"prompt\":\"q\",\"response\":\"\"}\n"), Rows(1, "UTF-8")),
        ("gbk.csv", gbk, Rows(2, "GB18030")),
        ("mark.csv", b"\xEF\xBB\xBFprompt,response\nq,a\n".to_vec(), Rows(1, "UTF-8 (BOM)")),
        ("utf16le.csv", utf16("\u{FEFF}prompt,response\n水,火\n", true), Rows(1, "UTF-16LE")),
        ("utf16be.csv", utf16("\u{FEFF}prompt,response\n水,火\n", false), Rows(1, "UTF-16BE")),
        ("crlf.jsonl", jsonl("{\"prompt\":\"q\",\"response\":\"a\"}\r\n"), Rows(1, "UTF-8")),
        ("no_last_line_end.csv", jsonl("prompt,response\nq,a"), Rows(1, "UTF-8")),
    ]
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn place(problem: &Problem) -> (Option<u64>, Option<u64>) {
    let place = problem.place.clone().unwrap_or_default();
    (place.row, place.byte)
}

#[test]
fn r_11_forty_bad_files_give_one_clear_error_each() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    let cases = cases();
    let errors = cases.iter().filter(|(_, _, wanted)| matches!(wanted, Error(..))).count();
    assert!(errors >= 40, "{errors}");
    for (name, bytes, wanted) in cases {
        let path = write(folder.path(), name, &bytes);
        let found = inspect(&path, FileKind::of_name(name).unwrap(), None);
        let fits = match (&found, &wanted) {
            (Err(problem), Error(code, row, byte)) => {
                let told = place(problem);
                // A byte of None: it lies inside the row, where exactly is the parser's to say.
                let there = *row == told.0 && (byte.is_none() || *byte == told.1);
                let helps = problem.hint.is_some() && !problem.message.is_empty();
                problem.code == *code && there && helps
            }
            (Ok(found), Rows(rows, encoding)) => found.rows == *rows && found.encoding == *encoding,
            _ => false,
        };
        if !fits {
            wrong.push(format!("{name}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A line of 50 MB is refused without being held.
#[test]
fn r_11_a_very_long_line_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "long.jsonl", &vec![b'x'; 50 << 20]);
    let problem = inspect(&path, FileKind::Jsonl, None).unwrap_err();
    assert_eq!((problem.code.as_str(), place(&problem)), ("dataset.row_too_long", (Some(1), Some(0))));
}
