//! What a workbook says of itself: its sheets, the formats of its cells, and the texts that cells share.

use contract::limits::Limit;
use std::collections::HashMap;

use contract::problem::Problem;
use quick_xml::events::BytesStart;

use super::formats::Format;
use super::package::{Package, broken, too_much};
use super::xml::{Token, Xml, attribute, says_yes, unescaped};

/// Sheets of a workbook, at most.
const MOST_SHEETS: usize = 1000;

/// What one part may say of others, at most.
const MOST_RELATIONS: usize = 10_000;

/// Formats of cells, at most: as many as spreadsheet programs keep.
const MOST_FORMATS: usize = 65_536;

/// A sheet of cells.
#[derive(Clone, Debug)]
pub(super) struct SheetPart {
    pub(super) name: String,
    /// Not shown by the program that made it.
    pub(super) hidden: bool,
    /// Name of the part in the archive.
    pub(super) part: String,
}

/// An opened workbook.
pub(super) struct Book {
    pub(super) package: Package,
    /// Sheets of cells in the order of their tabs; those of charts are none.
    pub(super) sheets: Vec<SheetPart>,
    pub(super) texts: Texts,
    pub(super) formats: Vec<Format>,
    /// Days are counted from 1904, not from 1900.
    pub(super) since_1904: bool,
}

/// Texts that cells share, one after the other.
#[derive(Default)]
pub(super) struct Texts {
    all: String,
    ends: Vec<usize>,
}

impl Texts {
    fn push(&mut self, text: &str) {
        self.all.push_str(text);
        self.ends.push(self.all.len());
    }

    /// Text `index`, from 0.
    pub(super) fn get(&self, index: usize) -> Option<&str> {
        let start = index.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.all.get(start..*self.ends.get(index)?)
    }
}

/// What one part says of another.
struct Relation {
    /// The last part of its type, such as `worksheet`.
    kind: String,
    /// Name of the part in the archive.
    part: String,
}

impl Book {
    /// Reads everything but the cells.
    pub(super) fn open(mut package: Package) -> Result<Self, Problem> {
        let top = relations(&mut package, "")?;
        let main = top.into_values().find(|relation| relation.kind == "officeDocument");
        let main = main.ok_or_else(|| broken("no part of it is a workbook"))?.part;
        let relations = relations(&mut package, &main)?;
        let part_of = |kind: &str, usual: &str| {
            let named = relations.values().find(|relation| relation.kind == kind);
            named.map_or_else(|| resolved(&main, usual), |relation| relation.part.clone())
        };
        let (texts, styles) =
            (part_of("sharedStrings", "sharedStrings.xml"), part_of("styles", "styles.xml"));
        let (sheets, since_1904) = sheets(&mut package, &main, &relations)?;
        let texts = shared_texts(&mut package, &texts)?;
        let formats = formats(&mut package, &styles)?;
        Ok(Self { package, sheets, texts, formats, since_1904 })
    }
}

/// The name of a part as another one names it: from its own folder on, or from the top.
fn resolved(from: &str, target: &str) -> String {
    if let Some(whole) = target.strip_prefix('/') {
        return whole.to_owned();
    }
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut names: Vec<&str> = folder.split('/').filter(|name| !name.is_empty()).collect();
    for name in target.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            other => names.push(other),
        }
    }
    names.join("/")
}

/// What a part (the archive itself where the name is empty) says of others, by the ids it gives them.
fn relations(package: &mut Package, of: &str) -> Result<HashMap<String, Relation>, Problem> {
    let (folder, name) = of.rsplit_once('/').unwrap_or(("", of));
    let own = format!("{folder}/_rels/{name}.rels");
    let mut all = HashMap::new();
    each(package, &own, |tag| {
        if tag.local_name().as_ref() != "Relationship" {
            return Ok(());
        }
        let value = |name| Ok::<_, Problem>(attribute(tag, name)?.unwrap_or_default());
        let (id, kind, target) = (value("Id")?, value("Type")?, value("Target")?);
        let kind = kind.rsplit('/').next().unwrap_or_default().to_owned();
        all.insert(id, Relation { kind, part: resolved(of, &target) });
        if all.len() > MOST_RELATIONS {
            return Err(too_much(format!("more than {MOST_RELATIONS} relations of one part")));
        }
        Ok(())
    })?;
    Ok(all)
}

/// Hands every element of a part over as it begins; nothing where there is no such part.
fn each(
    package: &mut Package,
    part: &str,
    mut take: impl FnMut(&BytesStart<'_>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let Some(part) = package.part(part)? else { return Ok(()) };
    let mut xml = Xml::new(part);
    loop {
        match xml.next()? {
            Token::Open(tag) => take(&tag)?,
            Token::End => return Ok(()),
            Token::Close(_) | Token::Text(_) | Token::Other => {}
        }
    }
}

fn sheets(
    package: &mut Package,
    main: &str,
    relations: &HashMap<String, Relation>,
) -> Result<(Vec<SheetPart>, bool), Problem> {
    if !package.holds(main) {
        return Err(broken("the part with its sheets is missing"));
    }
    let (mut sheets, mut since_1904) = (Vec::new(), false);
    each(package, main, |tag| {
        match tag.local_name().as_ref() {
            "workbookPr" => since_1904 |= says_yes(tag, "date1904")?,
            "sheet" => {
                let name = attribute(tag, "name")?.unwrap_or_default();
                let hidden = attribute(tag, "state")?.is_some_and(|state| state != "visible");
                let relation = attribute(tag, "id")?.and_then(|id| relations.get(&id));
                if let Some(relation) = relation.filter(|relation| relation.kind == "worksheet") {
                    sheets.push(SheetPart { name, hidden, part: relation.part.clone() });
                }
                if sheets.len() > MOST_SHEETS {
                    return Err(too_much(format!("more than {MOST_SHEETS} sheets")));
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    if sheets.is_empty() {
        return Err(broken("it has no sheet of cells"));
    }
    Ok((sheets, since_1904))
}

fn formats(package: &mut Package, part: &str) -> Result<Vec<Format>, Problem> {
    let (mut own, mut formats) = (HashMap::new(), Vec::new());
    // Cells name the formats of this list; others are named like it.
    let mut of_cells = false;
    each(package, part, |tag| {
        match tag.local_name().as_ref() {
            "numFmt" => {
                let number = number(tag, "numFmtId")?;
                if let Some(code) = attribute(tag, "formatCode")? {
                    own.insert(number, Format::of_code(&code));
                }
            }
            "cellXfs" => of_cells = true,
            "cellStyleXfs" | "cellStyles" | "dxfs" => of_cells = false,
            "xf" if of_cells => {
                let number = number(tag, "numFmtId")?;
                formats.push(own.get(&number).copied().unwrap_or_else(|| Format::built_in(number)));
            }
            _ => {}
        }
        if formats.len().max(own.len()) > MOST_FORMATS {
            return Err(too_much(format!("more than {MOST_FORMATS} formats")));
        }
        Ok(())
    })?;
    Ok(formats)
}

fn number(tag: &BytesStart<'_>, name: &str) -> Result<u64, Problem> {
    Ok(attribute(tag, name)?.and_then(|number| number.trim().parse().ok()).unwrap_or_default())
}

fn shared_texts(package: &mut Package, part: &str) -> Result<Texts, Problem> {
    let mut texts = Texts::default();
    let Some(part) = package.part(part)? else { return Ok(texts) };
    let mut xml = Xml::new(part);
    loop {
        match xml.next()? {
            Token::Open(tag) if tag.local_name().as_ref() == "si" => {
                let text = text(&mut xml, "si")?;
                texts.push(&text);
            }
            Token::End => return Ok(texts),
            Token::Open(_) | Token::Close(_) | Token::Text(_) | Token::Other => {}
        }
    }
}

/// The text of an element that has just begun, up to its end: of all its runs, but not how they are pronounced.
pub(super) fn text(xml: &mut Xml<'_>, element: &str) -> Result<String, Problem> {
    let (mut whole, mut run) = (String::new(), String::new());
    let (mut inside, mut keeps, mut spoken) = (false, false, false);
    loop {
        match xml.next()? {
            Token::Open(tag) => match tag.local_name().as_ref() {
                "rPh" => spoken = true,
                "t" => {
                    (inside, keeps) = (true, attribute(&tag, "space")?.as_deref() == Some("preserve"));
                    run.clear();
                }
                _ => {}
            },
            Token::Text(text) if inside && !spoken => run.push_str(&text),
            Token::Close(tag) => match tag.local_name().as_ref() {
                "rPh" => spoken = false,
                "t" if inside => {
                    inside = false;
                    // Blanks around a text are part of it only where the file says so.
                    let blank = [' ', '\t', '\r', '\n'];
                    let run = if keeps { run.as_str() } else { run.trim_matches(blank) };
                    whole.push_str(&unescaped(run.to_owned()));
                }
                name if name == element => return Ok(whole),
                _ => {}
            },
            Token::End => return Ok(whole),
            Token::Text(_) | Token::Other => {}
        }
        if whole.len().max(run.len()) > Limit::RowBytes.get() {
            return Err(too_much("a text of more than 32 MiB"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named_from_their_folder_or_from_the_top() {
        for (from, target, wanted) in [
            ("xl/workbook.xml", "worksheets/sheet1.xml", "xl/worksheets/sheet1.xml"),
            ("xl/workbook.xml", "/xl/worksheets/sheet1.xml", "xl/worksheets/sheet1.xml"),
            ("xl/workbook.xml", "../custom/a.xml", "custom/a.xml"),
            ("xl/workbook.xml", "../../../a.xml", "a.xml"),
            ("", "xl/workbook.xml", "xl/workbook.xml"),
            ("workbook.xml", "./sheet.xml", "sheet.xml"),
        ] {
            assert_eq!(resolved(from, target), wanted, "{from} {target}");
        }
    }

    #[test]
    fn shared_texts_are_found_by_their_number() {
        let mut texts = Texts::default();
        ["a", "", "水"].into_iter().for_each(|text| texts.push(text));
        assert_eq!([0, 1, 2, 3].map(|index| texts.get(index)), [Some("a"), Some(""), Some("水"), None]);
        assert_eq!(Texts::default().get(0), None);
    }
}
