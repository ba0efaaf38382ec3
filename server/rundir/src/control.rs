//! Requests from server to worker, as files: they also cross a shared file system, unlike signals.

use std::path::PathBuf;

use crate::{Error, files};

/// What the server may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Save a checkpoint, then stop.
    Stop,
    /// Save a checkpoint and go on.
    Checkpoint,
}

impl Request {
    fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Checkpoint => "checkpoint",
        }
    }
}

/// The `control` folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    folder: PathBuf,
}

impl Control {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Asks. Asking twice is the same as once.
    pub fn request(&self, request: Request) -> Result<(), Error> {
        files::write_atomically(&self.folder.join(request.name()), b"")
    }

    /// Whether it was asked and not yet taken.
    pub fn is_requested(&self, request: Request) -> bool {
        self.folder.join(request.name()).exists()
    }

    /// Takes a request: true once for each time it was asked.
    pub fn take(&self, request: Request) -> Result<bool, Error> {
        let path = self.folder.join(request.name());
        match std::fs::rename(&path, self.seen(request)) {
            Ok(()) => Ok(true),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(why) => Err(Error::at(&path, "take")(why)),
        }
    }

    /// Whether the worker has taken it.
    pub fn is_seen(&self, request: Request) -> bool {
        self.seen(request).exists()
    }

    /// Withdraws every request and forgets which were seen.
    pub fn clear_all(&self) -> Result<(), Error> {
        for request in [Request::Stop, Request::Checkpoint] {
            for path in [self.folder.join(request.name()), self.seen(request)] {
                match std::fs::remove_file(&path) {
                    Err(why) if why.kind() != std::io::ErrorKind::NotFound => {
                        return Err(Error::at(&path, "remove")(why));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn seen(&self, request: Request) -> PathBuf {
        self.folder.join(format!("{}.seen", request.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_request_is_taken_once_and_then_seen() {
        let (_place, run) = testing::run();
        let control = run.control();
        assert!(!control.take(Request::Checkpoint).expect("asked"));
        control.request(Request::Checkpoint).expect("written");
        control.request(Request::Checkpoint).expect("written again");
        assert!(control.is_requested(Request::Checkpoint) && !control.is_requested(Request::Stop));
        assert!(control.take(Request::Checkpoint).expect("taken"));
        assert!(!control.take(Request::Checkpoint).expect("asked"));
        assert!(control.is_seen(Request::Checkpoint));
        control.clear_all().expect("cleared");
        assert!(!control.is_seen(Request::Checkpoint));
    }
}
