//! Why a row is left out: a kind with what belongs to it. English is written here once; other languages are the page's.

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::problem::{MAX_SAID, Problem, cut};

/// Whose message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Whoever asks.
    User,
    /// Whoever answers.
    Assistant,
}

/// Why a row cannot teach. Numbers of turns and messages count from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum RowReason {
    /// The row itself cannot be read.
    Unreadable {
        /// What is wrong with it.
        problem: Box<Problem>,
    },
    /// Plain text where answers are needed.
    PlainText,
    /// The column of the question is empty.
    EmptyQuestion {
        /// Column.
        column: String,
    },
    /// The column of the answer (or of the better or the worse one) is empty.
    EmptyAnswer {
        /// Column.
        column: String,
    },
    /// The column of the text is empty.
    EmptyText {
        /// Column.
        column: String,
    },
    /// A list where one text is needed.
    IsList {
        /// Column.
        column: String,
    },
    /// An object where one text is needed.
    IsObject {
        /// Column.
        column: String,
    },
    /// Something else where a list is needed.
    NotAList {
        /// Column.
        column: String,
    },
    /// An earlier turn that is no question with an answer.
    BrokenTurn {
        /// Turn.
        number: usize,
        /// Column.
        column: String,
    },
    /// A message without role or text.
    BrokenMessage {
        /// Message.
        number: usize,
    },
    /// A message that is empty.
    EmptyMessage {
        /// Message.
        number: usize,
        /// Whose it is.
        side: Side,
    },
    /// A message of the wrong side.
    WrongRole {
        /// Message.
        number: usize,
        /// Role it has.
        role: String,
        /// Side that is expected.
        wanted: Side,
    },
    /// A message of a tool, or one that calls a tool.
    ToolMessage {
        /// Message.
        number: usize,
    },
    /// A chat that may call tools.
    ToolColumn {
        /// Column of the tools.
        column: String,
    },
    /// Every answer is marked as not to be learned.
    NothingLearned,
    /// Nothing is asked.
    NoQuestion {
        /// Column.
        column: String,
    },
    /// Messages without an answer.
    NoAnswer {
        /// Column.
        column: String,
    },
    /// No column for the worse answer.
    NoWorseColumn,
    /// A list that does not hold two texts.
    NotTwoTexts {
        /// Column.
        column: String,
    },
    /// Another number of answers than two.
    AnswerCount {
        /// Column.
        column: String,
        /// Answers.
        count: usize,
    },
    /// Two conversations about different questions.
    DifferentQuestions {
        /// Column of the better answer.
        better: String,
        /// Column of the worse one.
        worse: String,
    },
    /// The template refuses the conversation.
    Refused {
        /// In its own words.
        problem: Box<Problem>,
    },
    /// Too little text for one example.
    TooShort,
    /// There is no row at all.
    NoRows,
    /// Reasons beyond those told apart.
    Others,
}

impl RowReason {
    /// Whether an answer is missing, which is what `empty answers` counts.
    pub fn is_empty_answer(&self) -> bool {
        matches!(
            self,
            Self::EmptyAnswer { .. }
                | Self::NoAnswer { .. }
                | Self::EmptyMessage { side: Side::Assistant, .. }
        )
    }

    /// The problem of data of which no row can teach; this is why the first (`row`, from 1) cannot.
    pub fn none_usable(self, row: Option<u64>) -> Problem {
        let message = format!("No row of the dataset can teach; the first is left out because {self}.");
        let problem = Problem::new(Code::DatasetNoUsableRows, message)
            .hint("Choose which columns hold the question and the answer.");
        let problem = row.into_iter().fold(problem, Problem::row);
        Problem { reason: Some(Box::new(self.short())), ..problem }
    }

    /// The reason with names no longer than a problem repeats them.
    fn short(mut self) -> Self {
        match &mut self {
            Self::EmptyQuestion { column: name }
            | Self::EmptyAnswer { column: name }
            | Self::EmptyText { column: name }
            | Self::IsList { column: name }
            | Self::IsObject { column: name }
            | Self::NotAList { column: name }
            | Self::BrokenTurn { column: name, .. }
            | Self::WrongRole { role: name, .. }
            | Self::ToolColumn { column: name }
            | Self::NoQuestion { column: name }
            | Self::NoAnswer { column: name }
            | Self::NotTwoTexts { column: name }
            | Self::AnswerCount { column: name, .. } => *name = cut(name.as_str(), MAX_SAID),
            Self::DifferentQuestions { better, worse } => {
                (*better, *worse) = (cut(better.as_str(), MAX_SAID), cut(worse.as_str(), MAX_SAID));
            }
            // Problems are short already.
            Self::Unreadable { .. } | Self::Refused { .. } => {}
            Self::PlainText
            | Self::BrokenMessage { .. }
            | Self::EmptyMessage { .. }
            | Self::ToolMessage { .. }
            | Self::NothingLearned
            | Self::NoWorseColumn
            | Self::TooShort
            | Self::NoRows
            | Self::Others => {}
        }
        self
    }
}

/// English, a sentence without a full stop.
/// A reason in an answer: its English sentence as `left_out`, which programs read, and itself as `left_out_reason`.
pub(crate) mod told {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::RowReason;

    #[derive(Serialize)]
    struct Told<'a> {
        left_out: Option<String>,
        left_out_reason: Option<&'a RowReason>,
    }

    #[derive(Deserialize)]
    struct Heard {
        left_out_reason: Option<RowReason>,
    }

    pub(crate) fn serialize<S: Serializer>(reason: &Option<RowReason>, to: S) -> Result<S::Ok, S::Error> {
        let left_out = reason.as_ref().map(ToString::to_string);
        Told { left_out, left_out_reason: reason.as_ref() }.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<RowReason>, D::Error> {
        Ok(Heard::deserialize(from)?.left_out_reason)
    }
}

impl std::fmt::Display for RowReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable { problem } => {
                write!(f, "it cannot be read: {}", problem.message.trim_end_matches('.'))
            }
            Self::PlainText => f.write_str("plain text has no answers; choose pre-training for it"),
            Self::EmptyQuestion { column } | Self::EmptyAnswer { column } | Self::EmptyText { column } => {
                write!(f, "{column} is empty")
            }
            Self::IsList { column } => write!(f, "{column} is a list where one text is needed"),
            Self::IsObject { column } => write!(f, "{column} is an object where one text is needed"),
            Self::NotAList { column } => write!(f, "{column} is not a list"),
            Self::BrokenTurn { number, column } => {
                write!(f, "turn {number} of {column} is not [question, answer]")
            }
            Self::BrokenMessage { number } => write!(f, "message {number} has no role and text"),
            Self::EmptyMessage { number, .. } => write!(f, "message {number} is empty"),
            Self::WrongRole { number, role, wanted } => {
                let wanted = match wanted {
                    Side::User => "a user",
                    Side::Assistant => "an assistant",
                };
                write!(f, "message {number} is from “{role}” where {wanted} message is expected")
            }
            Self::ToolMessage { number } => write!(f, "message {number} calls a tool or comes from one"),
            Self::ToolColumn { column } => write!(f, "{column} holds tools, which are not trained on"),
            Self::NothingLearned => f.write_str("every answer has weight 0"),
            Self::NoQuestion { column } => write!(f, "{column} ends with no question"),
            Self::NoAnswer { column } => write!(f, "{column} holds no answer"),
            Self::NoWorseColumn => f.write_str("no column holds the worse answer"),
            Self::NotTwoTexts { column } => write!(f, "{column} is not a list of two texts"),
            Self::AnswerCount { column, count } => {
                write!(f, "{column} holds {count} answers where two are needed")
            }
            Self::DifferentQuestions { better, worse } => {
                write!(f, "{better} and {worse} answer different questions")
            }
            Self::Refused { problem } => write!(f, "the template refuses it: {}", problem.message),
            Self::TooShort => f.write_str("it holds too little text"),
            Self::NoRows => f.write_str("it holds no rows"),
            Self::Others => f.write_str("other reasons"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::RowView;

    #[test]
    fn a_row_tells_its_reason_as_a_sentence_and_as_a_kind() {
        let reason = RowReason::EmptyMessage { number: 2, side: Side::Assistant };
        let rows = [Some(reason.clone()), None].map(|left_out| RowView {
            row: 3,
            cells: Vec::new(),
            from: None,
            left_out,
        });
        for row in rows {
            let json = serde_json::to_value(&row).expect("serialises");
            let sentence = row.left_out.as_ref().map(ToString::to_string);
            assert_eq!(json["left_out"].as_str().map(str::to_owned), sentence);
            assert_eq!(serde_json::from_value::<RowView>(json).expect("is read"), row);
        }
    }

    #[test]
    fn a_reason_travels_as_a_code_with_what_belongs_to_it() {
        let reason = RowReason::EmptyAnswer { column: "output".to_owned() };
        let text = serde_json::to_string(&reason).unwrap();
        assert_eq!(text, r#"{"code":"empty_answer","column":"output"}"#);
        assert_eq!(serde_json::from_str::<RowReason>(&text).unwrap(), reason);
        let problem = reason.none_usable(Some(3));
        let back: Problem = serde_json::from_str(&serde_json::to_string(&problem).unwrap()).unwrap();
        assert_eq!((back.code, back.reason.is_some()), (Code::DatasetNoUsableRows, true));
        let problem = RowReason::EmptyAnswer { column: "列".repeat(1 << 16) }.none_usable(None);
        assert!(
            serde_json::to_string(&problem).unwrap().len() < 6000,
            "a name of any length is told in short"
        );
    }

    #[test]
    fn an_empty_question_is_no_empty_answer() {
        let column = || "output".to_owned();
        assert!(RowReason::EmptyAnswer { column: column() }.is_empty_answer());
        assert!(RowReason::EmptyMessage { number: 2, side: Side::Assistant }.is_empty_answer());
        assert!(!RowReason::EmptyQuestion { column: column() }.is_empty_answer());
    }
}
