//! What can go wrong in a run directory.

use std::path::{Path, PathBuf};

use contract::Code;
use contract::problem::{Problem, name_of};

/// An error that names the file: with its whole path in words of its own, which are for logs, by its name alone as a
/// [`Problem`], which people read.
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
    /// The attempt that writes was revoked, or another one was begun.
    #[error("attempt {attempt} was given up and writes no more")]
    Revoked {
        /// Its number.
        attempt: u32,
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
            Error::Revoked { .. } => Code::WorkerRevoked,
            Error::Broken { .. } => Code::RunFolderBroken,
        };
        let (name, why, message) = match &error {
            Error::Io { doing, path, source } => {
                let name = name_of(path);
                let message = format!("Could not {doing} {name}: {source}.");
                (name, source.to_string(), message)
            }
            Error::Revoked { .. } => {
                return Self::new(code, "This attempt was given up: what it makes counts no more.");
            }
            Error::Broken { path, why } => {
                let name = name_of(path);
                let message = format!("{name}: {why}.");
                (name, why.clone(), message)
            }
        };
        let problem = Self::new(code, message).with("path", name).with("why", why);
        if full { problem.hint("Free some space on this disk, then resume the run.") } else { problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_the_file_and_not_where_the_server_keeps_it() {
        let path = Path::new("/srv/burnish/runs/r1/spec.json");
        let lost = Error::at(path, "read")(std::io::Error::from(std::io::ErrorKind::NotFound));
        let broken = Error::broken(path, "is damaged: EOF while parsing");
        let full = Error::at(path, "write")(std::io::Error::from(std::io::ErrorKind::StorageFull));
        for (error, code) in [(lost, Code::DiskIo), (broken, Code::RunFolderBroken), (full, Code::DiskFull)] {
            assert!(error.to_string().contains("/srv/burnish/runs"), "the log has the path: {error}");
            let problem = Problem::from(error);
            assert_eq!((problem.code, problem.params["path"].as_str()), (code, "spec.json"));
            let told = serde_json::to_string(&problem).expect("serialises");
            assert!(!told.contains('/') && told.contains("spec.json"), "{told}");
        }
    }
}
