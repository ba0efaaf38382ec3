//! What can go wrong in a run directory.

use std::path::{Path, PathBuf};

use contract::Code;
use contract::problem::Problem;

/// An error that names the file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("could not {doing} {path}: {source}")]
    Io {
        /// `read`, `write`, `create` …
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The content is not what it should be.
    #[error("{path}: {why}")]
    Broken {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl Error {
    pub(crate) fn at(path: &Path, doing: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    pub(crate) fn broken(path: &Path, why: impl Into<String>) -> Self {
        Self::Broken { path: path.to_owned(), why: why.into() }
    }

    /// Whether the disk is full (or the quota used up).
    pub fn is_disk_full(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let full = error.is_disk_full();
        let code = match &error {
            _ if full => Code::DiskFull,
            Error::Io { .. } => Code::DiskIo,
            Error::Broken { .. } => Code::RunFolderBroken,
        };
        let (path, why) = match &error {
            Error::Io { path, source, .. } => (path, source.to_string()),
            Error::Broken { path, why } => (path, why.clone()),
        };
        let problem = Self::new(code, format!("{error}.")).with("path", path.display()).with("why", why);
        if full { problem.hint("Free some space on this disk, then resume the run.") } else { problem }
    }
}
