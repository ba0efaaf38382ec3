//! Event files for TensorBoard (S-185): what `trainer_log.jsonl` says, as curves that its readers draw.
//!
//! They lie in `runs/` of a run, where transformers puts them, under the tags of its `TensorBoardCallback`. Every
//! attempt writes a file of its own, for TensorBoard reads the files of a folder one after the other, by name. The file
//! of a later attempt begins by saying from which step on it makes the run again: TensorBoard then forgets what the
//! files before hold of those steps, so that no step is drawn twice, though nothing written is ever taken back (S-180).

mod message;
mod record;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use contract::problem::Problem;
use serde_json::{Map, Value};

use self::message::Event;
use crate::problems::of_file;

/// Folder of a run that holds them, as `TrainingArguments.logging_dir` of transformers begins.
pub const FOLDER: &str = "runs";
/// What the name of every such file begins with; TensorBoard looks for it.
const NAME: &str = "events.out.tfevents.";

/// The event file of one attempt.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Begins a file in the run at `run`, whose next step is the one after `after`; `None`: it begins anew, from before
    /// its first step.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn begin(run: &Path, after: Option<u64>) -> Result<Self, Problem> {
        let folder = run.join(FOLDER);
        std::fs::create_dir_all(&folder).map_err(|why| of_file(&folder, "create", &why))?;
        let newest = newest(&folder).map_err(|why| of_file(&folder, "read", &why))?;
        // Two attempts may begin within a second, and clocks are set back: the names must stay in order all the same.
        let seconds = newest.map_or(0, |newest| newest + 1).max(now().as_secs());
        let name = format!("{NAME}{seconds:010}.burnish.{}.0", std::process::id());
        let path = folder.join(name);
        let file = OpenOptions::new().append(true).create_new(true).open(&path);
        let file = file.map_err(|why| of_file(&path, "create", &why))?;
        let mut begun = Self { path, file };
        begun.append(&[Event::Version])?;
        if newest.is_some() {
            begun.append(&[Event::Restart { step: after.map_or(0, |after| after + 1) }])?;
        }
        Ok(begun)
    }

    /// Adds the numbers of a line of the log, under the names of transformers: `eval_loss` is `eval/loss`, `loss` is
    /// `train/loss`. What is no number is left out.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn add(&mut self, step: u64, line: &Map<String, Value>) -> Result<(), Problem> {
        let number = |(name, value): (&String, &Value)| Some((tag(name), value.as_f64()?));
        let scalars = line.iter().filter_map(number).map(|(tag, value)| Event::Scalar { step, tag, value });
        self.append(&scalars.collect::<Vec<_>>())
    }

    /// Appends records in one write, so that a killed worker leaves whole ones but for the last.
    fn append(&mut self, events: &[Event]) -> Result<(), Problem> {
        let seconds = now().as_secs_f64();
        let bytes: Vec<u8> = events.iter().flat_map(|event| record::framed(&event.encode(seconds))).collect();
        self.file.write_all(&bytes).map_err(|why| of_file(&self.path, "write", &why))
    }
}

/// Time since 1970.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Seconds in the name of the newest event file of a folder.
fn newest(folder: &Path) -> std::io::Result<Option<u64>> {
    let mut newest = None;
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let seconds = name.to_str().and_then(|name| name.strip_prefix(NAME)?.split('.').next()?.parse().ok());
        newest = newest.max(seconds);
    }
    Ok(newest)
}

/// The tag of a number of the log. Source: `rewrite_logs` in `transformers/integrations/integration_utils.py`.
fn tag(name: &str) -> String {
    match name.strip_prefix("eval_") {
        Some(rest) => format!("eval/{rest}"),
        None => format!("train/{name}"),
    }
}

#[cfg(test)]
pub(crate) mod tests;
