//! How the rows of a file that is one JSON object lie in it.

use serde_json::{Map, Value};

use crate::source::Row;
use crate::source::limits::ARTICLE_LIMIT;
use crate::source::row::size_of_value;

/// Members that hold the rows where several could, likelier first.
const ROWS: [&str; 3] = ["rows", "data", "examples"];

/// Where the rows are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// The object is a row.
    Row,
    /// A list of rows in this member.
    Envelope(String),
    /// Every member is a row; its name is none of the columns.
    Keyed,
    /// Every member is a column.
    Columns,
}

/// What the value of a member is, as far as its first name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A list of objects that are no messages.
    Objects,
    /// A list of messages: a conversation, which is one row's.
    Talk,
    /// A list of something else.
    List,
    /// A list of nothing.
    Nothing,
    /// An object whose first name is a number from 0 on, as pandas names rows.
    Numbered,
    /// Another object.
    Object,
    /// A text, a number and the like.
    Plain,
}

/// A member of the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// The first name inside an object.
    pub(super) first: Option<String>,
}

impl Shape {
    /// Decides by the members of the object; `whole`: these are all.
    pub(super) fn of(members: &[Member], whole: bool) -> Self {
        let mut lists = members.iter().filter(|member| member.kind == Kind::Objects);
        let only = lists.next().filter(|_| lists.next().is_none()).map(|member| member.name.as_str());
        let named = ROWS.into_iter().find(|name| {
            let is_list = |kind| matches!(kind, Kind::Objects | Kind::Nothing);
            members.iter().any(|member| member.name == *name && is_list(member.kind))
        });
        if let Some(name) = named.or(only) {
            return Self::Envelope(name.to_owned());
        }
        let all = |kind: Kind| members.len() > 1 && members.iter().all(|member| member.kind == kind);
        // Objects of different names are the columns of one row.
        let alike = members.iter().all(|member| member.first == members[0].first);
        if all(Kind::Numbered) || (whole && all(Kind::List)) {
            Self::Columns
        } else if all(Kind::Object) && alike {
            Self::Keyed
        } else {
            Self::Row
        }
    }
}

/// The rows of columns, lists or objects of numbered cells, one after the other.
pub(super) struct Columns {
    columns: Vec<(String, std::vec::IntoIter<Value>)>,
}

impl Columns {
    /// The columns that the members of an object are; the object itself where they are of different lengths.
    pub(super) fn of(row: Row) -> Result<Self, Row> {
        let length = |value: &Value| match value {
            Value::Array(items) => Some(items.len()),
            Value::Object(map) => Some(map.len()),
            _ => None,
        };
        let mut lengths = row.cells.iter().map(|(_, value)| length(value));
        let first = lengths.next().flatten();
        if first.is_none() || lengths.any(|length| length != first) {
            return Err(row);
        }
        let cells = |value: Value| match value {
            Value::Array(items) => items,
            Value::Object(map) => map.into_iter().map(|(_, value)| value).collect(),
            other => vec![other],
        };
        let columns = row.cells.into_iter().map(|(name, value)| (name, cells(value).into_iter()));
        Ok(Self { columns: columns.collect() })
    }
}

impl Iterator for Columns {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        let cells = self.columns.iter_mut().map(|(name, cells)| Some((name.clone(), cells.next()?)));
        cells.collect::<Option<_>>().map(Row::new)
    }
}

/// The rows of an element of a list of rows: itself, the row that a dataset viewer wraps, or the questions of an
/// article as SQuAD has them. `None`: each question repeats its text, and all of them would be longer than a row may
/// be.
pub(super) fn rows_of_element(row: Row) -> Option<Vec<Row>> {
    if let (Some(_), Some(Value::Object(inner))) = (row.get("row_idx"), row.get("row")) {
        return Some(vec![Row::new(inner.clone().into_iter().collect())]);
    }
    match row.get("paragraphs") {
        Some(Value::Array(paragraphs)) if paragraphs.iter().all(|one| one["qas"].is_array()) => {
            let repeated = |one: &Value| {
                one["qas"].as_array().map_or(0, Vec::len).saturating_mul(size_of_value(&one["context"]))
            };
            let bytes = paragraphs.iter().map(repeated).fold(0, usize::saturating_add);
            let rows = || paragraphs.iter().filter_map(Value::as_object).flat_map(questions).collect();
            (bytes <= ARTICLE_LIMIT).then(rows)
        }
        _ => Some(vec![row]),
    }
}

fn questions(paragraph: &Map<String, Value>) -> Vec<Row> {
    let context = paragraph.get("context").cloned().unwrap_or_default();
    let questions = paragraph.get("qas").and_then(Value::as_array);
    let row = |question: &Value| {
        let answer = question.pointer("/answers/0/text").cloned().unwrap_or_default();
        let cells = [
            ("context", context.clone()),
            ("question", question["question"].clone()),
            ("answer", answer),
            ("id", question["id"].clone()),
        ];
        Row::new(cells.map(|(name, value)| (name.to_owned(), value)).into())
    };
    questions.into_iter().flatten().map(row).collect()
}
