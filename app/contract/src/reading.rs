//! What a reading process is asked about files of people, and how it answers: `burnish-worker read`, one JSON line each
//! way. The server itself opens none of these files; see [`crate::worker`].

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::checkup::CheckupRequest;
use crate::dataset::{
    Change, FileKind, FullRow, Inspection, Mapping, Preview, PreviewRequest, RowEdit, RowsPage, RowsQuery,
};
use crate::health::{HealthReport, Progress};
use crate::origin::SourceFile;
use crate::problem::Problem;
use crate::registry::{Finding, Registered};
use crate::specification::Setting;
use crate::stage::Stage;

/// Rises whenever a request or an answer changes its shape. A process that speaks another one is not asked.
pub const PROTOCOL: u32 = 2;

/// Longest line in either direction, bytes.
pub const LONGEST_LINE: usize = 16 << 20;

/// Memory that a process may take beyond what it starts with, bytes: the largest rows, tokenizer and sample of rows
/// together stay well below it.
pub const MEMORY: u64 = 1 << 30;

/// How long any request may take, or go on without progress.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Bytes of a file for which a request may take a second more.
pub const BYTES_A_SECOND: u64 = 4 << 20;

/// How long a request on a file of that many bytes may take without progress.
pub fn allowance(bytes: u64) -> Duration {
    PATIENCE + Duration::from_secs(bytes / BYTES_A_SECOND)
}

/// A request with the answer it has.
pub trait Reading: Into<ReadRequest> {
    /// What it is answered with.
    type Answer: DeserializeOwned + Send;
}

macro_rules! readings {
    ($($(#[doc = $doc:literal])* $name:ident -> $answer:ty,)*) => {
        /// A line on a reading process's stdin. Requests are answered one after the other.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "read", rename_all = "snake_case")]
        pub enum ReadRequest {
            $($(#[doc = $doc])* $name(Box<$name>),)*
        }

        $(
            impl From<$name> for ReadRequest {
                fn from(request: $name) -> Self {
                    Self::$name(Box::new(request))
                }
            }

            impl Reading for $name {
                type Answer = $answer;
            }
        )*
    };
}

readings! {
    /// What a file holds.
    Inspect -> Inspected,
    /// What several files hold, as one.
    Gather -> Inspected,
    /// Digests of a file.
    DigestFile -> Digests,
    /// A page of rows.
    FindRows -> RowsPage,
    /// One row, whole.
    TakeRow -> FullRow,
    /// The file with one row changed.
    ChangeRow -> Changed,
    /// The tokens of a row.
    PreviewRow -> Preview,
    /// Health of a dataset.
    CheckHealth -> HealthReport,
    /// The first question.
    FirstQuestion -> Option<String>,
    /// A register that comes in.
    ReadRegister -> Vec<Registered>,
    /// A register that goes out.
    WriteRegister -> String,
    /// A run as a file that comes in.
    ReadSpecification -> Vec<Setting>,
}

/// Reads a run as somebody wrote it down (S-050).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadSpecification {
    /// YAML or JSON.
    pub text: String,
}

/// A dataset's file and what is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// Its path.
    pub file: String,
    /// What was found in it.
    pub found: Inspection,
    /// Rows of each text of a plain text file that was made of several; empty: the file is one text.
    #[serde(default)]
    pub texts: Vec<u64>,
}

/// Reads a whole file that has just come in, or anew under another mapping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inspect {
    /// Its path.
    pub file: String,
    /// Its name as people know it; empty where it has come in before.
    pub name: String,
    /// Its kind.
    pub kind: FileKind,
    /// How rows are read; `None`: as the file suggests.
    pub mapping: Option<Mapping>,
    /// Whether the mapping leaves open what the file shows, see [`Registered::open`].
    pub open: bool,
    /// Digest it should have, hex: of SHA-1 or SHA-256.
    pub digest: Option<String>,
    /// Encoding that a person chose; `None`: as its bytes say.
    pub encoding: Option<String>,
    /// Which sheet of a workbook is read.
    pub sheet: Sheet,
    /// Path of the file to write where the one that came in is not what later readers read: in UTF-8, or as the rows of a
    /// sheet.
    pub target: String,
}

/// Which sheet of a workbook is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sheet {
    /// The first that holds rows; one that is not hidden, if there is.
    #[default]
    First,
    /// The same, unless several that are not hidden hold rows: then a person is asked.
    Ask,
    /// The one of this name.
    Named(String),
}

/// Answers [`Inspect`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inspected {
    /// What the file holds.
    pub inspection: Inspection,
    /// What is worth knowing beside it.
    pub findings: Vec<Finding>,
    /// The file that was written in its place.
    pub written: Option<Written>,
    /// The files as they came, in order.
    pub files: Vec<SourceFile>,
}

/// A file that is to become part of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Its path.
    pub path: String,
    /// Its name as people know it, with folders; the order of the files and their kinds come from it.
    pub name: String,
}

/// Reads several files and writes their rows as one (S-073): plain text stays plain text, other rows become JSON Lines.
/// Tells its progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gather {
    /// The files, in any order; hidden ones are passed over.
    pub files: Vec<Named>,
    /// How rows are read; `None`: as the files suggest.
    pub mapping: Option<Mapping>,
    /// Whether the mapping leaves open what the files show, see [`Registered::open`].
    pub open: bool,
    /// Digest that is declared, hex.
    pub digest: Option<String>,
    /// Encoding that a person chose for files whose bytes do not say theirs.
    pub encoding: Option<String>,
    /// Which sheet of each workbook is read.
    pub sheet: Sheet,
    /// Path of the file to write.
    pub target: String,
    /// Bytes it may have.
    pub most: u64,
}

/// Computes digests of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DigestFile {
    /// Its path.
    pub file: String,
}

/// Answers [`DigestFile`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// SHA-1, hex.
    pub sha1: String,
    /// SHA-256, hex.
    pub sha256: String,
    /// Bytes of the file.
    pub bytes: u64,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Bytes.
    pub bytes: u64,
    /// SHA-256, hex.
    pub sha256: String,
}

/// Reads a page of rows, or searches for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindRows {
    /// The dataset.
    pub stored: Stored,
    /// Which rows.
    pub query: RowsQuery,
}

/// Reads one row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TakeRow {
    /// The dataset.
    pub stored: Stored,
    /// Row, from 1.
    pub row: u64,
}

/// Writes a file anew with one row changed or taken out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangeRow {
    /// The dataset.
    pub stored: Stored,
    /// Path of the new file.
    pub target: String,
    /// The edit.
    pub edit: RowEdit,
}

/// Answers [`ChangeRow`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Changed {
    /// What was changed.
    pub change: Change,
    /// What the new file holds.
    pub inspection: Inspection,
    /// The new file.
    pub written: Written,
}

/// Formats and encodes one row as training does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PreviewRow {
    /// The dataset.
    pub stored: Stored,
    /// Folder of the model.
    pub model: String,
    /// Row, template and limits.
    pub request: PreviewRequest,
}

/// Encodes every row, or one of some, and counts; tells its progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckHealth {
    /// The dataset.
    pub stored: Stored,
    /// Its name.
    pub name: String,
    /// Folder of the model.
    pub model: String,
    /// Tokens the model has positions for.
    pub positions: u64,
    /// One of how many rows is read.
    pub every: u64,
    /// Template and limits.
    pub request: CheckupRequest,
}

/// Looks for the question of the first usable row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FirstQuestion {
    /// The dataset.
    pub stored: Stored,
    /// How rows are read.
    pub stage: Stage,
}

/// Reads a `dataset_info.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadRegister {
    /// Its text.
    pub text: String,
}

/// Writes a `dataset_info.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WriteRegister {
    /// Datasets in order, under names that differ.
    pub datasets: Vec<ToRegister>,
}

/// A dataset on its way into a register.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToRegister {
    /// Its name.
    pub name: String,
    /// Its path here.
    pub file: String,
    /// Name of its file as people know it.
    pub file_name: String,
    /// Its SHA-1, hex, where it is known.
    pub sha1: Option<String>,
    /// How rows are read.
    pub mapping: Mapping,
}

/// A line on a reading process's stdout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadLine {
    /// The first one: the process is ready, and speaks this [`PROTOCOL`].
    Ready {
        /// What it speaks.
        protocol: u32,
    },
    /// It is at work. Where no further line comes within the time named, it hangs.
    Working {
        /// Milliseconds until the next line.
        within_ms: u64,
        /// How far it is, where that is known.
        progress: Option<Progress>,
    },
    /// The answer.
    Done(serde_json::Value),
    /// It cannot be answered, and why.
    Refused(Problem),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_travels_with_its_name() {
        let request = ReadRequest::from(ReadRegister { text: "{}".to_owned() });
        let line = serde_json::to_string(&request).unwrap();
        assert_eq!(line, r#"{"read":"read_register","text":"{}"}"#);
        assert_eq!(serde_json::from_str::<ReadRequest>(&line).unwrap(), request);
    }

    #[test]
    fn a_larger_file_has_more_time() {
        assert_eq!(allowance(0), PATIENCE);
        assert_eq!(allowance(20 << 20), PATIENCE + Duration::from_secs(5));
    }
}
