//! Workbooks written for a test, part by part.

use std::io::Write;
use std::path::{Path, PathBuf};

use contract::problem::Problem;
use corpus::source::xlsx::{Converted, Sheet, convert};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const RELATIONS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006/relationships";

/// A workbook to be.
pub(crate) struct Workbook {
    parts: Vec<(String, Vec<u8>)>,
    sheets: String,
    relations: String,
    count: usize,
    properties: String,
}

impl Workbook {
    pub(crate) fn new() -> Self {
        let (parts, sheets, relations, properties) = Default::default();
        Self { parts, sheets, relations, count: 0, properties }
    }

    /// A workbook of one sheet with this inside `sheetData`.
    pub(crate) fn of(rows: &str) -> Self {
        Self::new().sheet("Sheet1", "", rows)
    }

    /// Adds a sheet; `state`: more attributes of it.
    pub(crate) fn sheet(self, name: &str, state: &str, rows: &str) -> Self {
        self.raw_sheet(
            name,
            state,
            &format!("<worksheet xmlns=\"{MAIN}\"><sheetData>{rows}</sheetData></worksheet>"),
        )
    }

    /// Adds a sheet by its whole part.
    pub(crate) fn raw_sheet(mut self, name: &str, state: &str, part: &str) -> Self {
        self.count += 1;
        let id = self.count;
        self.sheets += &format!("<sheet name=\"{name}\" sheetId=\"{id}\" r:id=\"rId{id}\" {state}/>");
        self.relations += &format!(
            "<Relationship Id=\"rId{id}\" Type=\"{RELATIONS}/worksheet\" Target=\"worksheets/sheet{id}.xml\"/>"
        );
        self.part(&format!("xl/worksheets/sheet{id}.xml"), part.as_bytes())
    }

    /// Adds shared texts, each the inside of its `si`.
    pub(crate) fn shared(self, texts: &[&str]) -> Self {
        let texts: String = texts.iter().map(|text| format!("<si>{text}</si>")).collect();
        self.part("xl/sharedStrings.xml", format!("<sst xmlns=\"{MAIN}\">{texts}</sst>").as_bytes())
    }

    /// Adds formats of numbers; cells name them from 0.
    pub(crate) fn formats(self, codes: &[&str]) -> Self {
        let codes = || (0..).zip(codes);
        let own: String = codes()
            .map(|(id, code)| format!("<numFmt numFmtId=\"{}\" formatCode=\"{code}\"/>", 164 + id))
            .collect();
        let cells: String = codes().map(|(id, _)| format!("<xf numFmtId=\"{}\"/>", 164 + id)).collect();
        let part = format!(
            "<styleSheet xmlns=\"{MAIN}\"><numFmts>{own}</numFmts><cellStyleXfs><xf numFmtId=\"14\"/></cellStyleXfs><cellXfs>{cells}</cellXfs></styleSheet>"
        );
        self.part("xl/styles.xml", part.as_bytes())
    }

    /// Adds attributes of the workbook's own properties.
    pub(crate) fn properties(mut self, attributes: &str) -> Self {
        self.properties = format!("<workbookPr {attributes}/>");
        self
    }

    pub(crate) fn part(mut self, name: &str, bytes: &[u8]) -> Self {
        self.parts.retain(|(own, _)| own != name);
        self.parts.push((name.to_owned(), bytes.to_vec()));
        self
    }

    /// Writes it.
    pub(crate) fn save(self, folder: &Path) -> PathBuf {
        let top = format!(
            "<Relationships xmlns=\"{PACKAGE}\"><Relationship Id=\"rId1\" Type=\"{RELATIONS}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
        );
        let main = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<workbook xmlns=\"{MAIN}\" xmlns:r=\"{RELATIONS}\">{}<sheets>{}</sheets></workbook>",
            self.properties, self.sheets
        );
        let relations = format!("<Relationships xmlns=\"{PACKAGE}\">{}</Relationships>", self.relations);
        let mut parts = vec![
            ("_rels/.rels".to_owned(), top.into_bytes()),
            ("xl/workbook.xml".to_owned(), main.into_bytes()),
            ("xl/_rels/workbook.xml.rels".to_owned(), relations.into_bytes()),
        ];
        parts.retain(|(name, _)| !self.parts.iter().any(|(own, _)| own.replace('\\', "/") == *name));
        let path = folder.join("book.xlsx");
        let mut zip = ZipWriter::new(std::fs::File::create(&path).expect("creates"));
        for (name, bytes) in parts.into_iter().chain(self.parts) {
            zip.start_file(name, SimpleFileOptions::default()).expect("begins");
            zip.write_all(&bytes).expect("writes");
        }
        zip.finish().expect("ends");
        path
    }

    /// The lines that a sheet of it becomes.
    pub(crate) fn read(self, sheet: Sheet<'_>) -> Result<(Vec<String>, Converted), Problem> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = self.save(folder.path());
        let target = folder.path().join("data.jsonl");
        let converted = convert(&path, sheet, &target)?;
        let text = std::fs::read_to_string(&target).expect("reads");
        Ok((text.lines().map(str::to_owned).collect(), converted))
    }
}

/// A row of cells with texts of their own.
pub(crate) fn row(number: usize, texts: &[&str]) -> String {
    let cells: String =
        texts.iter().map(|text| format!("<c t=\"inlineStr\"><is><t>{text}</t></is></c>")).collect();
    format!("<row r=\"{number}\">{cells}</row>")
}
