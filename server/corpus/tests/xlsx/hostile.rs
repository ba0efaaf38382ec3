//! Workbooks that are made to harm, or broken: each ends with one clear problem, and takes neither time nor memory.

use std::io::Write;

use contract::Code;
use contract::problem::Problem;
use corpus::source::xlsx::{Sheet, convert};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::workbook::{Workbook, row};

fn refused(book: Workbook) -> Problem {
    book.read(Sheet::First).expect_err("refused")
}

fn refused_bytes(bytes: &[u8]) -> Problem {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("book.xlsx");
    std::fs::write(&path, bytes).expect("writes");
    convert(&path, Sheet::First, &folder.path().join("data.jsonl")).expect_err("refused")
}

fn sheet_with(cell: &str) -> Workbook {
    Workbook::of(&(row(1, &["a"]) + &row(2, &["b"]) + "<row r=\"7\">" + cell + "</row>"))
}

#[test]
fn a_part_that_unpacks_to_far_more_is_refused_before_it_is_read() {
    let zeros = vec![b' '; 16 << 20];
    assert_eq!(
        refused(Workbook::of("").part("xl/worksheets/sheet1.xml", &zeros)).code,
        Code::DatasetXlsxTooMuch
    );
    assert_eq!(refused(Workbook::of("").part("xl/media/image1.png", &zeros)).code, Code::DatasetXlsxTooMuch);
    let many =
        (0..160).fold(Workbook::of(""), |book, n| book.part(&format!("xl/{n}.xml"), &zeros[..4 << 20]));
    assert_eq!(refused(many).code, Code::DatasetXlsxTooMuch, "640 MiB in parts of 4");
}

#[test]
fn a_part_that_is_longer_than_the_archive_says_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows: String = (1..2000).map(|number| row(number, &["x"])).collect();
    let path = Workbook::of(&rows).save(folder.path());
    let mut bytes = std::fs::read(&path).expect("reads");
    let name = b"xl/worksheets/sheet1.xml";
    // The directory of the archive, where its size once unpacked stands 22 bytes before the name.
    let at = bytes.windows(name.len()).rposition(|window| window == name).expect("is there");
    bytes[at - 22..at - 18].copy_from_slice(&100_u32.to_le_bytes());
    assert_eq!(refused_bytes(&bytes).code, Code::DatasetXlsxBroken);
}

#[test]
fn an_archive_of_very_many_parts_is_refused() {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for number in 0..20_000 {
        zip.start_file(number.to_string(), SimpleFileOptions::default()).expect("begins");
    }
    let bytes = zip.finish().expect("ends").into_inner();
    assert_eq!(refused_bytes(&bytes).code, Code::DatasetXlsxTooMuch);
}

#[test]
fn what_a_sheet_says_of_its_size_reserves_nothing() {
    let rows = row(1, &["a"]) + &row(2, &["b"]);
    let part = format!(
        "<worksheet><dimension ref=\"A1:XFD1048576\"/><cols><col min=\"1\" max=\"16384\"/></cols><sheetData>{rows}</sheetData></worksheet>"
    );
    let texts = "<sst count=\"99999999999999\" uniqueCount=\"99999999999999\"><si><t>x</t></si></sst>";
    let book = Workbook::new().raw_sheet("S", "", &part).part("xl/sharedStrings.xml", texts.as_bytes());
    assert_eq!(book.read(Sheet::First).expect("reads").0, [r#"{"a":"b"}"#]);
    let part = part.replace("A1:XFD1048576", "ZZZZZZZZ99999999999:A1");
    assert_eq!(Workbook::new().raw_sheet("S", "", &part).read(Sheet::First).expect("reads").0.len(), 1);
}

#[test]
fn cells_out_of_place_are_refused_with_their_row() {
    for cell in [
        "<c r=\"XFE7\"><v>1</v></c>",
        "<c r=\"AAAAAAAAAAAAA7\"><v>1</v></c>",
        "<c r=\"A8\"><v>1</v></c>",
        "<c r=\"B7\"><v>1</v></c><c r=\"B7\"><v>2</v></c>",
        "<c r=\"B7\"><v>1</v></c><c r=\"A7\"><v>2</v></c>",
        "<c r=\"7\"><v>1</v></c>",
        "<c r=\"A7\" t=\"s\"><v>99</v></c>",
        "<c r=\"A7\" t=\"s\"><v>x</v></c>",
        "<c r=\"A7\" t=\"s\"><v>-1</v></c>",
        "<c r=\"A7\"><v>1e999</v></c>",
        "<c r=\"A7\"><v>NaN</v></c>",
        "<c r=\"A7\"><v>one</v></c>",
        "<c r=\"A7\" t=\"b\"><v>2</v></c>",
        "<c r=\"A7\" t=\"moon\"><v>2</v></c>",
    ] {
        let problem = refused(sheet_with(cell));
        assert_eq!(problem.code, Code::DatasetXlsxBroken, "{cell}");
        assert_eq!(problem.place.and_then(|place| place.row), Some(7), "{cell}");
    }
    for rows in [
        "<row r=\"1048577\"><c><v>1</v></c></row>",
        "<row r=\"99999999999999999999999\"><c><v>1</v></c></row>",
        "<row r=\"0\"><c><v>1</v></c></row>",
        "<row r=\"x\"><c><v>1</v></c></row>",
        "<row r=\"2\"><c><v>1</v></c></row><row r=\"1\"><c><v>1</v></c></row>",
    ] {
        assert_eq!(refused(Workbook::of(rows)).code, Code::DatasetXlsxBroken, "{rows}");
    }
    let most: String = (0..16_385).map(|_| "<c><v>1</v></c>").collect();
    assert_eq!(refused(sheet_with(&most)).code, Code::DatasetXlsxBroken);
}

#[test]
fn entities_of_its_own_and_document_types_are_refused() {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]><sst><si><t>&b;</t></si></sst>";
    assert_eq!(
        refused(sheet_with("").part("xl/sharedStrings.xml", bomb.as_bytes())).code,
        Code::DatasetXlsxBroken
    );
    let outside = "<!DOCTYPE x SYSTEM \"file:///etc/passwd\"><sst/>";
    assert_eq!(
        refused(sheet_with("").part("xl/sharedStrings.xml", outside.as_bytes())).code,
        Code::DatasetXlsxBroken
    );
    for entity in ["&b;", "&#0;", "&#x110000;", "&#xD800;"] {
        let cell = format!("<c t=\"inlineStr\"><is><t>{entity}</t></is></c>");
        assert_eq!(refused(sheet_with(&cell)).code, Code::DatasetXlsxBroken, "{entity}");
    }
}

#[test]
fn deep_or_broken_xml_is_refused() {
    let deep = "<r>".repeat(200_000);
    let sheet = |part: &str| Workbook::new().raw_sheet("S", "", part);
    for part in [
        format!("<worksheet>{deep}"),
        format!("<worksheet><sheetData><row><c><is>{deep}"),
        "<worksheet><sheetData><row><c><v>1</v>".to_owned(),
        "<worksheet><sheetData><row><c><v>1</c></row></sheetData></worksheet>".to_owned(),
        "<worksheet><sheetData><row r=1><c/></row></sheetData></worksheet>".to_owned(),
        "\u{1}\u{2}<<<>>>".to_owned(),
    ] {
        let problem = refused(sheet(&part));
        assert_eq!(problem.code, Code::DatasetXlsxBroken, "{}", &part[..part.len().min(60)]);
    }
    let wide: Vec<u8> = "<worksheet/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let book = Workbook::new().raw_sheet("S", "", "").part("xl/workbook.xml", &wide);
    assert_eq!(refused(book).code, Code::DatasetXlsxBroken);
    assert_eq!(refused(sheet("")).code, Code::DatasetEmpty);
}

#[test]
fn a_text_or_row_that_is_longer_than_any_is_refused() {
    // Letters that do not pack well, lest the ratio be what is refused.
    let text: String = (0_u64..34 << 20)
        .map(|n| char::from(b'a' + (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60) as u8))
        .collect();
    let problem = refused(sheet_with(&format!("<c t=\"inlineStr\"><is><t>{text}</t></is></c>")));
    assert_eq!(problem.code, Code::DatasetXlsxTooMuch);
    let cells = format!("<c t=\"inlineStr\"><is><t>{}</t></is></c>", &text[..1 << 20]).repeat(34);
    assert_eq!(refused(sheet_with(&cells)).code, Code::DatasetRowTooLong);
}

#[test]
fn one_long_text_in_very_many_cells_does_not_fill_the_disk() {
    // 32,000 letters that each of 40,000 cells shares: 2 MB become 1.2 GB.
    let rows: String =
        (2..40_002).map(|number| format!("<row r=\"{number}\"><c t=\"s\"><v>0</v></c></row>")).collect();
    let book = Workbook::of(&(row(1, &["a"]) + &rows)).shared(&[&format!("<t>{}</t>", "x".repeat(32_000))]);
    assert_eq!(refused(book).code, Code::DatasetXlsxTooMuch);
}

#[test]
fn sheets_and_formats_are_counted() {
    let many = (0..1100).fold(Workbook::new(), |book, n| book.sheet(&n.to_string(), "", ""));
    assert_eq!(refused(many).code, Code::DatasetXlsxTooMuch);
    let formats: String = "<xf numFmtId=\"0\"/>".repeat(70_000);
    let styles = format!("<styleSheet><cellXfs>{formats}</cellXfs></styleSheet>");
    assert_eq!(
        refused(sheet_with("").part("xl/styles.xml", styles.as_bytes())).code,
        Code::DatasetXlsxTooMuch
    );
}

#[test]
fn files_that_are_no_workbooks_say_what_to_do() {
    assert_eq!(refused_bytes(b"").code, Code::DatasetEmpty);
    assert_eq!(refused_bytes(b"question,answer\nx,y\n").code, Code::DatasetXlsxBroken);
    assert_eq!(refused_bytes(b"PK\x03\x04").code, Code::DatasetXlsxBroken);
    let compound = [0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1];
    let name: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    // The name begins in one block that is read and ends in the next.
    let locked = [compound.as_slice(), &vec![0; (1 << 16) - 10], &name, &[0; 99]].concat();
    assert_eq!(refused_bytes(&locked).code, Code::DatasetXlsxLocked);
    assert_eq!(refused_bytes(&[compound.as_slice(), &[0; 4096]].concat()).code, Code::DatasetUnknownKind);
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("mimetype", SimpleFileOptions::default()).expect("begins");
    zip.write_all(b"application/vnd.oasis.opendocument.spreadsheet").expect("writes");
    assert_eq!(refused_bytes(&zip.finish().expect("ends").into_inner()).code, Code::DatasetXlsxBroken);
    let missing =
        Workbook::new().raw_sheet("S", "", "").part("xl/_rels/workbook.xml.rels", b"<Relationships/>");
    assert_eq!(refused(missing).code, Code::DatasetXlsxBroken);
}

#[test]
fn whatever_bytes_are_changed_there_is_an_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let book = sheet_with("<c r=\"A7\" t=\"s\"><v>0</v></c>").shared(&["<t>x</t>"]).formats(&["yyyy"]);
    let whole = std::fs::read(book.save(folder.path())).expect("reads");
    let (path, target) = (folder.path().join("changed.xlsx"), folder.path().join("data.jsonl"));
    for at in (0..whole.len()).step_by(3) {
        for bytes in [whole[..at].to_vec(), [&whole[..at], &[whole[at] ^ 0x55], &whole[at + 1..]].concat()] {
            std::fs::write(&path, bytes).expect("writes");
            let _ = convert(&path, Sheet::First, &target);
        }
    }
}
