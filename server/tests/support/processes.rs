//! Processes that scripts of tests note by their numbers.

use std::path::Path;

/// The processes that were started: each noted its number in the file `pids` of this folder.
pub(crate) fn started(place: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(place.join("pids")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Whether a process is there and no zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
