//! Errors of other packages as problems a person can act on.

use std::path::Path;

use contract::Code;
use contract::files::Unread;
use contract::problem::{Problem, name_of};
pub use speech::of_model;

/// A file that could not be read or written, named by the last part of its path.
pub fn of_file(path: &Path, doing: &str, error: &std::io::Error) -> Problem {
    let full = is_full(error);
    let code = if full { Code::DiskFull } else { Code::DiskIo };
    let problem = Problem::new(code, format!("Could not {doing} {}: {error}.", name_of(path)))
        .with("path", name_of(path))
        .with("why", error);
    if full { problem.hint("Free some space on this disk and try again.") } else { problem }
}

/// A file that people brought and that is not read.
pub fn of_unread(path: &Path, why: &Unread) -> Problem {
    match why {
        Unread::Io(error) if is_full(error) => of_file(path, "copy", error),
        _ => why.problem(path),
    }
}

fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

/// What a panic said, as a problem.
pub fn of_panic(payload: &(dyn std::any::Any + Send)) -> Problem {
    let said = payload.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
    let short: String = said.lines().next().unwrap_or_default().chars().take(300).collect();
    let memory = ["memory", "alloc", "capacity overflow"].iter().any(|word| said.contains(word));
    if memory {
        return Problem::new(Code::WorkerOutOfMemory, format!("The memory did not suffice: {short}."))
            .hint("Use fewer rows at once, shorter lengths or a smaller model, then resume.");
    }
    Problem::new(Code::WorkerPanicked, format!("The worker met an error it did not expect: {short}."))
        .with("why", short)
        .hint("Resume the run; if it happens again, report it with the attempt's stderr.log.")
}
