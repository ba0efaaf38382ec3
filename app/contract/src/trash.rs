//! What was deleted: it waits for a while, can be brought back, and shows the space it takes.

use serde::{Deserialize, Serialize};

/// Days in which a deletion can be undone.
pub const KEPT_DAYS: i64 = 30;
/// The same, milliseconds.
pub const KEPT_MS: i64 = KEPT_DAYS * 24 * 3_600_000;

/// What can be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A run with its checkpoints.
    Run,
    /// A dataset with every version.
    Dataset,
    /// A base model.
    Model,
}

impl Kind {
    /// The key in the store.
    pub fn key(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Dataset => "dataset",
            Self::Model => "model",
        }
    }
}

/// Something that was deleted and can be brought back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// What it is.
    pub kind: Kind,
    /// Identifier; of a dataset, its family's.
    pub id: String,
    /// Label.
    pub name: String,
    /// When it was deleted, milliseconds since 1970.
    pub deleted_ms: i64,
    /// Space it takes on the disk.
    pub bytes: u64,
}

impl Deleted {
    /// Days until it goes for good, rounded up.
    pub fn days_left(&self, now_ms: i64) -> i64 {
        const DAY: i64 = KEPT_MS / KEPT_DAYS;
        ((self.deleted_ms + KEPT_MS - now_ms).clamp(0, KEPT_MS) + DAY - 1) / DAY
    }
}

/// The runs that use something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// How many.
    pub runs: u64,
    /// Labels of the newest ones.
    pub names: Vec<String>,
}

impl Usage {
    /// The labels in one line; more than those named are marked.
    pub fn line(&self) -> String {
        let more = if self.runs > self.names.len() as u64 { ", …" } else { "" };
        format!("{}{more}", self.names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_can_be_undone_for_thirty_days() {
        let day = 24 * 3_600_000;
        let deleted =
            Deleted { kind: Kind::Run, id: "r".to_owned(), name: "n".to_owned(), deleted_ms: 1000, bytes: 0 };
        assert_eq!(deleted.days_left(1000), 30);
        assert_eq!((deleted.days_left(1000 + 29 * day), deleted.days_left(1001 + 29 * day)), (1, 1));
        assert_eq!((deleted.days_left(1001), deleted.days_left(1000 + 30 * day)), (30, 0));
        assert_eq!((deleted.days_left(99 * day), deleted.days_left(-99 * day)), (0, 30), "clocks jump");
    }

    #[test]
    fn runs_in_the_way_are_named() {
        let usage = Usage { runs: 3, names: vec!["a".to_owned(), "b".to_owned()] };
        assert_eq!(usage.line(), "a, b, …");
    }
}
