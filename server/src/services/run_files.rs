//! The files a run leaves for other programs: numbers, logs, answers, curves (S-161, S-162, S-185, S-190).

use std::path::{Path, PathBuf};

use contract::prediction::FILE as PREDICTIONS;
use contract::results::ALL_FILE;
use contract::{Problem, RunId};

use super::runs;
use crate::error::Fault;
use crate::state::AppState;

/// Files at the root of a run that may be taken away; a specification names folders of this machine and may not.
const NAMES: [&str; 7] = [
    PREDICTIONS,
    "train_results.json",
    "eval_results.json",
    "predict_results.json",
    ALL_FILE,
    "trainer_log.jsonl",
    "trainer_state.json",
];
/// Folder of the event files of TensorBoard.
const CURVES: &str = "runs";

/// Names of the files that are there, in a fixed order.
///
/// # Errors
/// A run that is gone, a disk that does not answer.
pub async fn names(state: &AppState, id: &RunId) -> Result<Vec<String>, Fault> {
    runs::find(state, id).await?;
    let folder = state.run_folder(id);
    state.lanes.in_turn(format!("files {id}"), move || there(&folder)).await
}

/// Where the file of a name lies.
///
/// # Errors
/// A run or a file that is not there.
pub async fn path(state: &AppState, id: &RunId, name: &str) -> Result<PathBuf, Fault> {
    let found = names(state, id).await?.into_iter().find(|there| there == name);
    let name = found.ok_or_else(|| Problem::not_found("file"))?;
    Ok(state.run_folder(id).join(name))
}

fn there(folder: &Path) -> Vec<String> {
    let is_file = |path: &Path| path.symlink_metadata().is_ok_and(|found| found.is_file());
    let mut names: Vec<String> =
        NAMES.into_iter().filter(|name| is_file(&folder.join(name))).map(str::to_owned).collect();
    let curves = std::fs::read_dir(folder.join(CURVES)).into_iter().flatten().flatten();
    let mut curves: Vec<String> = curves
        .filter(|entry| is_file(&entry.path()))
        .filter_map(|entry| Some(format!("{CURVES}/{}", entry.file_name().to_str()?)))
        .collect();
    curves.sort();
    names.append(&mut curves);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_for_others_are_named_and_no_link_is_followed() {
        let place = tempfile::tempdir().expect("a folder");
        let write = |name: &str| std::fs::write(place.path().join(name), "{}").expect("written");
        std::fs::create_dir(place.path().join(CURVES)).expect("made");
        let all = ["spec.json", "trainer_log.jsonl", ALL_FILE, "runs/events.2", "runs/events.1"];
        all.into_iter().for_each(write);
        std::os::unix::fs::symlink("/etc/passwd", place.path().join("train_results.json")).expect("linked");
        let expected = [ALL_FILE, "trainer_log.jsonl", "runs/events.1", "runs/events.2"];
        assert_eq!(there(place.path()), expected);
        assert!(there(&place.path().join("none")).is_empty());
    }
}
