//! Workers for tests: what reads files is real, everything else is a script.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A worker program in `place` that reads files as the real one does and does the rest as `script`, in sh, says.
pub(crate) fn scripted(place: &Path, script: &str) -> PathBuf {
    let tests = std::env::current_exe().expect("this program");
    let target = tests.parent().and_then(Path::parent).expect("the folder of builds");
    let reader = target.join("examples/reader");
    std::fs::create_dir_all(place).expect("made");
    let worker = place.join("worker.sh");
    let text = format!("#!/bin/sh\n[ \"$1\" = read ] && exec '{}'\n{script}\n", reader.display());
    std::fs::write(&worker, text).expect("written");
    std::fs::set_permissions(&worker, std::fs::Permissions::from_mode(0o755)).expect("made runnable");
    worker
}

/// One that imports, trains and answers in a moment.
pub(crate) fn stub(place: &Path) -> PathBuf {
    scripted(place, include_str!("stub-worker.sh"))
}
