//! Datasets: formats, column mapping, what was found in a file, and the preview of one row.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::DatasetId;
use crate::row_reason::RowReason;
use crate::stage::Stage;

pub use crate::mixing::{Behaviour, Mixing, mixing_weights, source_prefixes};

/// Kind of file, from its extension (S-071).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// One JSON array of objects.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// A table with a header line; the separator (comma, semicolon, tab or bar) is found in the file.
    Csv,
    /// Plain text, one document a line.
    Txt,
    /// Apache Parquet: columns, compressed.
    Parquet,
    /// An Excel workbook. One sheet of it becomes JSON Lines as it is uploaded; no dataset is of this kind.
    Xlsx,
}

impl FileKind {
    /// The kind of a file name; `None` when Burnish cannot read it.
    pub fn of_name(name: &str) -> Option<Self> {
        match name.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
            "json" => Some(Self::Json),
            "jsonl" => Some(Self::Jsonl),
            "csv" | "tsv" | "tab" => Some(Self::Csv),
            "txt" => Some(Self::Txt),
            "parquet" => Some(Self::Parquet),
            "xlsx" | "xlsm" => Some(Self::Xlsx),
            _ => None,
        }
    }

    /// The extension, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Txt => "txt",
            Self::Parquet => "parquet",
            Self::Xlsx => "xlsx",
        }
    }
}

/// How rows are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataFormat {
    /// Columns `instruction`, `input`, `output` (and `history`).
    Alpaca,
    /// A prompt and a response column under any name.
    PromptResponse,
    /// A list of `{role, content}` (or ShareGPT's `{from, value}`) in one column.
    Messages,
    /// Plain text for pre-training, or questions for ppo.
    Text,
    /// A question with a better and a worse answer: columns `chosen` and `rejected`, or one column that holds a
    /// list of two, the better first (S-144).
    Pairs,
}

impl DataFormat {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Alpaca, Self::PromptResponse, Self::Messages, Self::Text, Self::Pairs];

    /// The key in forms.
    pub fn key(self) -> &'static str {
        match self {
            Self::Alpaca => "alpaca",
            Self::PromptResponse => "prompt_response",
            Self::Messages => "messages",
            Self::Text => "text",
            Self::Pairs => "pairs",
        }
    }

    /// Reads a key.
    pub fn parse(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.key() == key)
    }

    /// Whether a stage can learn from rows of this format: the stage decides how they are read. Pairs also teach
    /// their better answer, lines of plain text are questions for ppo (S-140), and anything is text for pre-training.
    pub fn fits(self, stage: Stage) -> bool {
        match stage {
            Stage::Pt | Stage::Ppo => true,
            Stage::Sft => self != Self::Text,
            Stage::Rm | Stage::Dpo => self == Self::Pairs,
        }
    }

    /// Stages that rows of this format are written for, best first: files whose answers are all missing are prompts.
    pub fn suits(self) -> &'static [Stage] {
        match self {
            Self::Text => &[Stage::Pt],
            Self::Pairs => &[Stage::Dpo, Stage::Sft, Stage::Ppo],
            Self::Alpaca | Self::PromptResponse | Self::Messages => &[Stage::Sft, Stage::Ppo],
        }
    }
}

/// Which column plays which part (S-005, S-078). `None`: no such column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// How rows are read.
    pub format: DataFormat,
    /// Column of the question (for [`DataFormat::Text`], of the text).
    #[serde(default)]
    pub prompt: Option<String>,
    /// Column appended to the question on a new line.
    #[serde(default)]
    pub query: Option<String>,
    /// Column of the answer (for [`DataFormat::Pairs`] without `chosen`, of a list of two, the better first).
    #[serde(default)]
    pub response: Option<String>,
    /// Column of earlier turns, a list of `[question, answer]` (S-223).
    #[serde(default)]
    pub history: Option<String>,
    /// Column of the system text.
    #[serde(default)]
    pub system: Option<String>,
    /// Column of the message list, for [`DataFormat::Messages`].
    #[serde(default)]
    pub messages: Option<String>,
    /// Column of the better answer, for [`DataFormat::Pairs`]: a text, or the whole conversation as messages.
    #[serde(default)]
    pub chosen: Option<String>,
    /// Column of the worse answer, for [`DataFormat::Pairs`].
    #[serde(default)]
    pub rejected: Option<String>,
}

impl Mapping {
    /// A mapping of `format` with no column chosen.
    pub fn empty(format: DataFormat) -> Self {
        Self {
            format,
            prompt: None,
            query: None,
            response: None,
            history: None,
            system: None,
            messages: None,
            chosen: None,
            rejected: None,
        }
    }

    /// The column of each part, by the part's name.
    pub fn parts(&self) -> [(&'static str, Option<&str>); 8] {
        [
            ("prompt", self.prompt.as_deref()),
            ("query", self.query.as_deref()),
            ("response", self.response.as_deref()),
            ("history", self.history.as_deref()),
            ("messages", self.messages.as_deref()),
            ("system", self.system.as_deref()),
            ("chosen", self.chosen.as_deref()),
            ("rejected", self.rejected.as_deref()),
        ]
    }

    /// Whether no column plays any part: it is not known yet how rows are read.
    pub fn names_nothing(&self) -> bool {
        self.parts().iter().all(|(_, column)| column.is_none())
    }
}

/// One row as text, in column order. Long cells are cut for display.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowView {
    /// Row, from 1.
    pub row: u64,
    /// One text a column.
    pub cells: Vec<String>,
    /// Where it came from, if the dataset was made of several files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<crate::origin::FileRow>,
    /// Why the row is left out of training, if it is.
    #[serde(flatten, with = "crate::row_reason::told")]
    pub left_out: Option<RowReason>,
}

/// What reading the whole file found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// Kind of file.
    pub kind: FileKind,
    /// Encoding it was read as, for example `UTF-8`.
    pub encoding: String,
    /// Columns in order of first appearance.
    pub columns: Vec<String>,
    /// Fields of columns that hold objects, as `column.field`: they can play a part as columns do.
    #[serde(default)]
    pub fields: Vec<String>,
    /// Rows in the file.
    pub rows: u64,
    /// Rows that can teach under the mapping, in the stage of [`Inspection::suited`].
    pub usable: u64,
    /// Rows that can teach, by stage; empty where they were not counted apart.
    #[serde(default)]
    pub stages: BTreeMap<Stage, u64>,
    /// The suggested (or chosen) mapping.
    pub mapping: Mapping,
}

impl Inspection {
    /// Rows that a stage can learn from.
    pub fn usable_in(&self, stage: Stage) -> u64 {
        match self.stages.get(&stage) {
            Some(rows) => *rows,
            None if self.stages.is_empty() && self.mapping.format.fits(stage) => self.usable,
            None => 0,
        }
    }

    /// The stage that rows are counted and left out for: the best that can learn from any.
    pub fn suited(&self) -> Stage {
        let stages = self.mapping.format.suits();
        stages.iter().copied().find(|stage| self.usable_in(*stage) > 0).unwrap_or(stages[0])
    }
}

/// A dataset in a list or at the head of its page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetView {
    /// Identifier.
    pub id: DatasetId,
    /// Label.
    pub name: String,
    /// File name as uploaded.
    pub file_name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the file, hex.
    pub sha256: String,
    /// When it came, milliseconds since 1970.
    pub created_ms: i64,
    /// What is in it.
    pub inspection: Inspection,
    /// Version, from 1: an edit makes the next one; files are never changed in place.
    #[serde(default = "first")]
    pub version: u32,
    /// Whether no newer version exists.
    #[serde(default = "yes")]
    pub newest: bool,
    /// What is worth knowing beside its rows.
    #[serde(default)]
    pub findings: Vec<crate::registry::Finding>,
    /// Files it was made of.
    #[serde(default = "one")]
    pub files: u64,
}

fn one() -> u64 {
    1
}

fn first() -> u32 {
    1
}

fn yes() -> bool {
    true
}

/// What made a version out of the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// Cells of a row were written anew.
    Edited {
        /// Row, from 1.
        row: u64,
        /// Columns that changed.
        columns: Vec<String>,
    },
    /// A row was taken out.
    Removed {
        /// Row, from 1.
        row: u64,
    },
}

/// A version of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetVersion {
    /// Identifier of the version; what a run keeps.
    pub id: DatasetId,
    /// Number, from 1.
    pub version: u32,
    /// When it was made, milliseconds since 1970.
    pub created_ms: i64,
    /// Rows in it.
    pub rows: u64,
    /// What made it; `None` for the file as it came.
    pub change: Option<Change>,
    /// Runs that learned from it.
    pub runs: u64,
}

/// Which rows are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsQuery {
    /// The first one, from 1, counted among the rows found.
    pub start: u64,
    /// How many, at most 200.
    pub count: u64,
    /// Text that a cell must hold, capitals or not; empty: any row.
    #[serde(default)]
    pub text: String,
    /// Only rows that are left out of training.
    #[serde(default)]
    pub left_out: bool,
}

/// A cell to be edited, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Column.
    pub column: String,
    /// Its text; JSON where `json` says so.
    pub text: String,
    /// Whether the text is JSON (lists, numbers, nothing).
    pub json: bool,
}

/// A row, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FullRow {
    /// Row, from 1.
    pub row: u64,
    /// Every column of the dataset.
    pub cells: Vec<Cell>,
}

/// An edit of one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowEdit {
    /// Row, from 1.
    pub row: u64,
    /// Its cells as they are to be; `None`: the row is taken out.
    pub cells: Option<Vec<Cell>>,
}

/// A page of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsPage {
    /// Columns shown.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<RowView>,
    /// Rows found in all; without a search, the rows of the dataset.
    pub total: u64,
}

/// What the preview pane asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewRequest {
    /// Dataset.
    pub dataset: DatasetId,
    /// Model whose tokenizer and chat template are used.
    pub model: crate::ids::ModelId,
    /// Stage.
    pub stage: Stage,
    /// Template key, see [`crate::templates`].
    pub template: String,
    /// System text; empty: the template's own.
    #[serde(default)]
    pub system: String,
    /// Longest question, tokens (S-028).
    pub max_source_length: usize,
    /// Longest answer, tokens (S-028).
    pub max_target_length: usize,
    /// Corrected, or as the original did it.
    #[serde(default)]
    pub behaviour: Behaviour,
    /// Words of control tokens in texts become the tokens; else they are plain text.
    #[serde(default)]
    pub control_tokens_in_text: bool,
    /// Row, from 1.
    pub row: u64,
    /// In pre-training: the block that the row begins in, as it is read; else the row's own tokens.
    #[serde(default)]
    pub in_block: bool,
    /// With [`Self::in_block`]: the number of the block, from 1; `None`: that of the row.
    #[serde(default)]
    pub block: Option<u64>,
}

/// A block of pre-training: texts one after the other, as the model reads them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Its number among those of the dataset, from 1.
    pub number: u64,
    /// The first row it holds tokens of.
    pub first_row: u64,
    /// The last one.
    pub last_row: u64,
    /// Whether no other follows.
    pub last: bool,
}

/// One token of the preview.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewToken {
    /// Token id.
    pub id: u32,
    /// Its text; bytes that are no character on their own show as U+FFFD.
    pub text: String,
    /// Special token of the tokenizer.
    pub special: bool,
    /// Counts in the loss (its label is not -100).
    pub learned: bool,
    /// Lost to the length limits; the model never sees it.
    pub cut: bool,
}

/// What the model will see of one row (S-147).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// Row, from 1.
    pub row: u64,
    /// Rows in the dataset.
    pub rows: u64,
    /// Tokens in order, cut ones included where they would have stood.
    pub tokens: Vec<PreviewToken>,
    /// Tokens the model sees.
    pub seen: usize,
    /// Tokens that teach.
    pub learned: usize,
    /// Tokens cut off.
    pub cut: usize,
    /// The second sequence of rm and dpo: the same question with the worse answer; else empty.
    #[serde(default)]
    pub rejected: Vec<PreviewToken>,
    /// The reference answer that ppo (and sft with generation) keeps beside the prompt, never trained on; else
    /// empty.
    #[serde(default)]
    pub reference: Vec<PreviewToken>,
    /// The block that the tokens are, in pre-training.
    #[serde(default)]
    pub block: Option<Block>,
    /// Why the row is left out, if it is.
    #[serde(flatten, with = "crate::row_reason::told")]
    pub left_out: Option<RowReason>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspection(format: DataFormat, usable: u64, stages: &[(Stage, u64)]) -> Inspection {
        Inspection {
            kind: FileKind::Jsonl,
            encoding: "UTF-8".to_owned(),
            columns: Vec::new(),
            fields: Vec::new(),
            rows: 9,
            usable,
            stages: stages.iter().copied().collect(),
            mapping: Mapping::empty(format),
        }
    }

    #[test]
    fn rows_are_counted_for_the_best_stage_that_can_learn_from_any() {
        let prompts =
            inspection(DataFormat::Messages, 4, &[(Stage::Sft, 0), (Stage::Ppo, 4), (Stage::Pt, 4)]);
        assert_eq!((prompts.suited(), prompts.usable_in(Stage::Sft)), (Stage::Ppo, 0));
        let answered = inspection(DataFormat::Messages, 3, &[(Stage::Sft, 3), (Stage::Ppo, 4)]);
        assert_eq!((answered.suited(), answered.usable_in(Stage::Dpo)), (Stage::Sft, 0));
        let none = inspection(DataFormat::Pairs, 0, &[(Stage::Dpo, 0)]);
        assert_eq!(none.suited(), Stage::Dpo);
    }

    #[test]
    fn an_inspection_from_before_stages_were_counted_goes_by_its_format() {
        let mut old = serde_json::to_value(inspection(DataFormat::Alpaca, 5, &[])).expect("serialises");
        old.as_object_mut().expect("an object").remove("stages");
        let old: Inspection = serde_json::from_value(old).expect("is read");
        assert_eq!((old.suited(), old.usable_in(Stage::Sft), old.usable_in(Stage::Rm)), (Stage::Sft, 5, 0));
    }

    #[test]
    fn s_071_the_kind_comes_from_the_text_after_the_last_dot() {
        let kinds = [
            ("a.csv", Some(FileKind::Csv)),
            ("a.TSV", Some(FileKind::Csv)),
            ("a.tab", Some(FileKind::Csv)),
            ("a.b.JSON", Some(FileKind::Json)),
            ("a.jsonl", Some(FileKind::Jsonl)),
            ("a.txt", Some(FileKind::Txt)),
            ("a.parquet", Some(FileKind::Parquet)),
            ("a.XLSX", Some(FileKind::Xlsx)),
            ("a.xlsm", Some(FileKind::Xlsx)),
            ("a.xls", None),
            ("a.ods", None),
            ("a.py", None),
            ("csv", None),
        ];
        for (name, kind) in kinds {
            assert_eq!(FileKind::of_name(name), kind, "{name}");
        }
    }
}
