//! Files on their way in, before they have a name: each is removed, or goes back where it came from, unless it is kept.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use contract::reading::Written;
use contract::{Code, Problem};

/// How long what a client may go on with is kept after its last byte.
pub const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Folder of the data directory with uploads that may go on.
pub const OPEN: &str = "resumable";

/// What is done with a file nobody had a use for.
type Return = Box<dyn FnOnce() + Send + Sync>;

/// A file that is removed, or goes back where it came from, unless it is kept.
pub struct Temporary {
    path: PathBuf,
    /// Bytes written.
    pub bytes: u64,
    /// SHA-256, hex.
    pub sha256: String,
    back: Option<Return>,
}

impl Temporary {
    /// One that is about to be written; size and digest are for the writer to fill in.
    pub fn made(path: PathBuf) -> Self {
        Self { path, bytes: 0, sha256: String::new(), back: None }
    }

    /// A file that goes back by `back` unless it is kept or refused. The digest is for the caller to fill in.
    pub fn returning(path: PathBuf, bytes: u64, back: Return) -> Self {
        Self { path, bytes, sha256: String::new(), back: Some(back) }
    }

    /// It is of no use, now or later.
    pub fn refuse(&mut self) {
        self.back = None;
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// It was written by another.
    pub fn written(&mut self, written: Written) {
        (self.bytes, self.sha256) = (written.bytes, written.sha256);
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        match self.back.take() {
            Some(back) if self.path.exists() => back(),
            // renamed away when it was kept
            _ => drop(std::fs::remove_file(&self.path)),
        }
    }
}

/// Whether a file or folder was last changed longer than [`KEPT`] ago; one that cannot be looked at is not.
pub fn is_old(path: &Path) -> bool {
    age(path) > KEPT
}

/// How long ago a file or folder was last changed; nothing where it cannot be looked at.
pub fn age(path: &Path) -> Duration {
    let changed = std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    changed.and_then(|then| SystemTime::now().duration_since(then).ok()).unwrap_or_default()
}

/// The problem of a body that ended too early.
pub fn aborted() -> Problem {
    Problem::new(Code::UploadAborted, "The upload ended before the file was whole.").hint("Send it again.")
}

/// The problem of a file above the limit.
pub fn too_large(limit: u64) -> Problem {
    let size = match limit {
        0..1_048_576 => format!("{limit} bytes"),
        1_048_576..1_073_741_824 => format!("{} MiB", limit >> 20),
        _ => format!("{} GiB", limit >> 30),
    };
    Problem::new(Code::UploadTooLarge, format!("The file is larger than {size}."))
        .with("limit", size)
        .hint("Split it, or start the server with a larger BURNISH_MAX_UPLOAD.")
}
