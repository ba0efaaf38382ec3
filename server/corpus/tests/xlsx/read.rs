//! What sheets say.

use std::path::Path;

use contract::Code;
use contract::dataset::FileKind;
use contract::registry::Finding;
use corpus::inspect::inspect;
use corpus::source::xlsx::{Sheet, convert};

use crate::workbook::{Workbook, row};

fn lines(book: Workbook) -> Vec<String> {
    book.read(Sheet::First).expect("reads").0
}

fn cells(cells: &str) -> String {
    format!("{}<row r=\"2\">{cells}</row>", row(1, &["a", "b", "c"]))
}

#[test]
fn texts_are_those_of_the_sheet() {
    let long = "水".repeat(32_767);
    let shared = [
        "<t>question</t>",
        "<t>answer</t>",
        "<t xml:space=\"preserve\"> one &amp; two\nthree </t>",
        "<r><rPr><b/></rPr><t xml:space=\"preserve\">rich </t></r><r><t>text</t></r>",
        "<t>東京</t><rPh sb=\"0\" eb=\"2\"><t>トウキョウ</t></rPh><phoneticPr fontId=\"1\"/>",
        "<t>&#x1F600;_x000D_ok_x005F_x0041_</t>",
        &format!("<t>{long}</t>"),
        "<t> </t>",
    ];
    let rows = "<row r=\"1\"><c r=\"A1\" t=\"s\"><v>0</v></c><c r=\"B1\" t=\"s\"><v>1</v></c></row>
        <row r=\"2\"><c r=\"A2\" t=\"s\"><v>2</v></c><c r=\"B2\" t=\"s\"><v>3</v></c></row>
        <row r=\"3\"><c r=\"A3\" t=\"s\"><v>4</v></c><c r=\"B3\" t=\"s\"><v>5</v></c></row>
        <row r=\"4\"><c r=\"A4\" t=\"s\"><v>6</v></c><c r=\"B4\" t=\"s\"><v>7</v></c></row>
        <row r=\"5\"><c r=\"A5\" t=\"inlineStr\"><is><r><t>in</t></r><r><t>line</t></r></is></c><c r=\"B5\" t=\"str\"><f>A5&amp;\"x\"</f><v>formula &lt; text</v></c></row>";
    let found = lines(Workbook::of(rows).shared(&shared));
    assert_eq!(
        found,
        [
            r#"{"question":" one & two\nthree ","answer":"rich text"}"#.to_owned(),
            r#"{"question":"東京","answer":"😀\rok_x0041_"}"#.to_owned(),
            format!(r#"{{"question":"{long}","answer":null}}"#),
            r#"{"question":"inline","answer":"formula < text"}"#.to_owned(),
        ]
    );
}

#[test]
fn numbers_truth_values_and_errors_are_what_they_are() {
    let rows = cells(
        "<c r=\"A2\"><v>0</v></c><c r=\"B2\" t=\"b\"><v>0</v></c><c r=\"C2\" t=\"e\"><v>#N/A</v></c>",
    ) + "<row r=\"3\"><c r=\"A3\"><v>1.0</v></c><c r=\"B3\" t=\"b\"><v>1</v></c><c r=\"C3\"><f>1/0</f><v>0.5</v></c></row>
        <row r=\"4\"><c r=\"A4\" t=\"n\"><v>1.2300000000000001E-2</v></c><c r=\"B4\"><v>12345678901</v></c><c r=\"C4\" s=\"1\"><v>0.25</v></c></row>
        <row r=\"5\"><c r=\"A5\" t=\"e\"><v>#SPILL!</v></c><c r=\"B5\" t=\"e\"><v>#DIV/0!</v></c></row>";
    let (found, converted) =
        Workbook::of(&rows).formats(&["General", "0%"]).read(Sheet::First).expect("reads");
    assert_eq!(
        found,
        [
            r#"{"a":0,"b":false,"c":null}"#,
            r#"{"a":1,"b":true,"c":0.5}"#,
            r#"{"a":0.0123,"b":12345678901,"c":0.25}"#,
            r#"{"a":null,"b":null,"c":null}"#,
        ]
    );
    assert_eq!((converted.errors, converted.first_error), (3, Some(2)));
    assert!(converted.findings().contains(&Finding::ErrorCells { cells: 3, row: 2 }));
}

#[test]
fn days_are_iso_texts_in_both_systems() {
    let formats = ["yyyy-mm-dd", "dd/mm/yyyy hh:mm", "h:mm", "[h]:mm:ss"];
    let rows = |day: u32| {
        cells(&format!(
            "<c r=\"A2\" s=\"0\"><v>{day}</v></c><c r=\"B2\" s=\"1\"><v>{day}.4166666667</v></c><c r=\"C2\" s=\"2\"><v>0.5</v></c><c r=\"D2\" s=\"3\"><v>1.25</v></c><c r=\"E2\" t=\"d\"><v>2026-11-30</v></c>"
        ))
    };
    let wanted = [
        r#"{"a":"2026-11-30","b":"2026-11-30T10:00:00","c":"12:00:00","column 4":"30:00:00","column 5":"2026-11-30"}"#,
    ];
    assert_eq!(lines(Workbook::of(&rows(46_356)).formats(&formats)), wanted);
    for yes in ["date1904=\"1\"", "date1904=\"true\""] {
        assert_eq!(lines(Workbook::of(&rows(44_894)).formats(&formats).properties(yes)), wanted);
    }
}

#[test]
fn sparse_rows_keep_their_columns_and_empty_ones_are_none() {
    let rows = "<row r=\"3\"><c r=\"B3\" t=\"str\"><v>q</v></c><c r=\"D3\" t=\"str\"><v>a</v></c></row>
        <row r=\"4\"/>
        <row r=\"5\" spans=\"1:4\"><c r=\"B5\" s=\"1\"/><c r=\"D5\" t=\"str\"><v></v></c></row>
        <row r=\"9\"><c r=\"D9\" t=\"str\"><v>only an answer</v></c></row>
        <row r=\"11\"><c r=\"A11\"><v>7</v></c><c r=\"B11\" t=\"str\"><v>x</v></c></row>
        <row r=\"1048576\"><c r=\"XFD1048576\" t=\"str\"><v>far</v></c></row>";
    assert_eq!(
        lines(Workbook::of(rows)),
        [
            r#"{"q":null,"a":"only an answer"}"#,
            r#"{"column 1":7,"q":"x","a":null}"#,
            r#"{"column 1":null,"q":null,"a":null,"column 16384":"far"}"#,
        ]
    );
}

#[test]
fn cells_without_places_follow_one_another() {
    let rows = "<row><c t=\"str\"><v>q</v></c><c t=\"str\"><v>a</v></c></row><row><c t=\"str\"><v>x</v></c><c/><c><v>1</v></c></row>";
    assert_eq!(lines(Workbook::of(rows)), [r#"{"q":"x","a":null,"column 3":1}"#]);
}

#[test]
fn a_table_without_a_header_is_read_from_its_first_row_on() {
    let rows = row(1, &["good", "1"]) + &row(2, &["bad", "1"]) + &row(3, &["good", "1"]);
    let found = lines(Workbook::of(&rows));
    assert_eq!((found.len(), found[0].as_str()), (3, r#"{"column 1":"good","column 2":"1"}"#));
    let found = lines(Workbook::of(&(row(1, &["question", ""]) + &row(2, &["x", "y"]))));
    assert_eq!(found, [r#"{"question":"x","column 2":"y"}"#]);
    let rows = "<row r=\"1\"><c><v>2019</v></c><c t=\"b\"><v>1</v></c></row><row r=\"2\"><c><v>5</v></c><c><v>6</v></c></row>";
    assert_eq!(lines(Workbook::of(rows)), [r#"{"2019":5,"true":6}"#]);
}

#[test]
fn a_name_given_twice_is_refused_with_its_row() {
    for header in [row(4, &["q", "a", " q "]), row(4, &["column 3", "a"])] {
        let rows = header + "<row r=\"5\"><c><v>1</v></c><c><v>2</v></c><c><v>3</v></c></row>";
        let problem = Workbook::of(&rows).read(Sheet::First).expect_err("twice");
        assert_eq!(problem.code, Code::DatasetColumnTwice);
        assert!(problem.place.is_some_and(|place| place.row.is_some() && place.field.is_some()));
    }
}

fn three_sheets() -> Workbook {
    Workbook::new()
        .sheet("Lists", "state=\"hidden\"", &(row(1, &["k"]) + &row(2, &["v"])))
        .sheet("Cover", "", "")
        .sheet("Header", "", &row(1, &["q", "a"]))
        .sheet("Fragen &amp; 回答", "", &(row(1, &["q", "a"]) + &row(2, &["x", "y"])))
        .sheet("More", "", &(row(1, &["q", "a"]) + &row(2, &["z", "w"])))
}

#[test]
fn the_first_sheet_with_rows_is_read_unless_another_is_named() {
    let (found, converted) = three_sheets().read(Sheet::First).expect("reads");
    assert_eq!(found, [r#"{"q":"x","a":"y"}"#]);
    assert_eq!((converted.sheet.as_str(), converted.hidden), ("Fragen & 回答", false));
    assert_eq!(converted.others, ["Lists", "Cover", "Header", "More"]);
    for (name, wanted, hidden) in [("More", r#"{"q":"z","a":"w"}"#, false), ("Lists", r#"{"k":"v"}"#, true)] {
        let (found, converted) = three_sheets().read(Sheet::Named(name)).expect("reads");
        assert_eq!(found, [wanted]);
        assert_eq!((converted.sheet.as_str(), converted.hidden), (name, hidden));
    }
    let problem = three_sheets().read(Sheet::Named("Moon")).expect_err("no such sheet");
    assert_eq!((problem.code, problem.params["name"].as_str()), (Code::DatasetNoSuchSheet, "Moon"));
    let problem = three_sheets().read(Sheet::Named("Cover")).expect_err("no rows");
    assert_eq!(problem.code, Code::DatasetEmpty);
}

#[test]
fn who_asks_is_shown_how_sheets_begin_where_several_hold_rows() {
    let problem = three_sheets().read(Sheet::Ask).expect_err("two sheets");
    assert_eq!(problem.code, Code::DatasetSheetUnsure);
    let readings = problem.readings();
    assert_eq!(
        readings.iter().map(|reading| reading.name.as_str()).collect::<Vec<_>>(),
        ["Fragen & 回答", "More"]
    );
    assert_eq!(
        (readings[1].columns.as_slice(), readings[1].rows.as_slice()),
        (["q".to_owned(), "a".to_owned()].as_slice(), [vec!["z".to_owned(), "w".to_owned()]].as_slice())
    );
    let one = Workbook::new()
        .sheet("Cover", "", "")
        .sheet("Only", "", &(row(1, &["q"]) + &row(2, &["x"])))
        .sheet("Lists", "state=\"veryHidden\"", &(row(1, &["k"]) + &row(2, &["v"])));
    assert_eq!(one.read(Sheet::Ask).expect("clear").1.sheet, "Only");
    let hidden = Workbook::new().sheet("Lists", "state=\"hidden\"", &(row(1, &["k"]) + &row(2, &["v"])));
    let (found, converted) = hidden.read(Sheet::Ask).expect("clear");
    assert_eq!((found.len(), converted.hidden), (1, true));
}

#[test]
fn hidden_rows_are_rows_and_are_said() {
    let rows = row(1, &["q", "a"])
        + &row(2, &["x", "y"])
        + &row(3, &["z", "w"]).replace("<row ", "<row hidden=\"1\" ")
        + "<row r=\"4\" hidden=\"1\"/>";
    let (found, converted) = Workbook::of(&rows).read(Sheet::First).expect("reads");
    assert_eq!((found.len(), converted.hidden_rows), (2, 1));
    assert!(converted.findings().contains(&Finding::HiddenRows { rows: 1 }));
}

#[test]
fn names_of_parts_are_those_that_the_workbook_gives() {
    let relations = "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">
        <Relationship Id=\"rId1\" Type=\"http://purl.oclc.org/ooxml/officeDocument/relationships/worksheet\" Target=\"/xl/Data.xml\"/>
        <Relationship Id=\"x\" Type=\"http://purl.oclc.org/ooxml/officeDocument/relationships/sharedStrings\" Target=\"Words.xml\"/>
        </Relationships>";
    let rows = "<x:worksheet xmlns:x=\"u\"><x:sheetData><x:row><x:c t=\"s\"><x:v>0</x:v></x:c></x:row><x:row><x:c><x:v>1</x:v></x:c></x:row></x:sheetData></x:worksheet>";
    let book = Workbook::of("")
        .part("xl\\_rels\\workbook.xml.rels", relations.as_bytes())
        .part("xl/data.xml", format!("\u{feff}{rows}").as_bytes())
        .part("XL/words.xml", b"<sst><si><t>q</t></si></sst>");
    assert_eq!(lines(book), [r#"{"q":1}"#]);
}

#[test]
fn what_a_sheet_becomes_is_a_dataset() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = row(1, &["question", "answer"])
        + "<row r=\"2\"><c t=\"str\"><v>Is it on?</v></c><c t=\"b\"><v>0</v></c></row><row r=\"3\"><c t=\"str\"><v>How many?</v></c><c><v>0</v></c></row>";
    let target = folder.path().join("data.jsonl");
    convert(&Workbook::of(&rows).save(folder.path()), Sheet::First, &target).expect("converts");
    let found = inspect(&target, FileKind::Jsonl, None).expect("is read");
    assert_eq!((found.rows, found.usable, found.columns.len()), (2, 2, 2), "0 and false are answers");
    assert_eq!(found.mapping.response.as_deref(), Some("answer"));
}

/// Saved by openpyxl 3.1, XlsxWriter 3.3 and LibreOffice, as people have them.
#[test]
fn workbooks_of_other_programs_say_what_they_were_given() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/xlsx/files");
    let folder = tempfile::tempdir().expect("a folder");
    let mut checked = 0;
    for entry in std::fs::read_dir(fixtures).expect("a folder").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "xlsx") {
            continue;
        }
        let target = folder.path().join("data.jsonl");
        convert(&path, Sheet::First, &target)
            .unwrap_or_else(|problem| panic!("{}: {problem:?}", path.display()));
        let found = std::fs::read_to_string(&target).expect("reads");
        let wanted = std::fs::read_to_string(path.with_extension("jsonl")).expect("what it was given");
        assert_eq!(found, wanted, "{}", path.display());
        checked += 1;
    }
    assert!(checked >= 3, "{checked}");
}
