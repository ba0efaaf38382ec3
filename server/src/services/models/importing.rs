//! Imports that are going on: each can be ended at once, whatever its worker is doing.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contract::files::{self, Unread};
use contract::{Code, ModelId, Problem};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

/// Most bytes that are kept of what a worker says.
const MOST_SAID: u64 = 1 << 20;

/// Longest wait for a worker that was killed: one that hangs in the system's own code dies when that lets go of it.
const KILLED_WITHIN: Duration = Duration::from_secs(2);

/// Longest path that is repeated in a sentence, characters.
const SHOWN: usize = 200;

/// What ends each import.
#[derive(Debug, Default)]
pub struct Importing(Mutex<HashMap<ModelId, CancellationToken>>);

impl Importing {
    fn lock(&self) -> MutexGuard<'_, HashMap<ModelId, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What ends the import of this model; so does the end of `parent`.
    pub(super) fn begin(&self, id: &ModelId, parent: &CancellationToken) -> CancellationToken {
        let stop = parent.child_token();
        self.lock().insert(id.clone(), stop.clone());
        stop
    }

    /// Ends the import of this model, if it goes on.
    pub(super) fn stop(&self, id: &ModelId) {
        if let Some(stop) = self.lock().remove(id) {
            stop.cancel();
        }
    }

    /// The import has ended by itself.
    pub(super) fn ended(&self, id: &ModelId) {
        self.lock().remove(id);
    }
}

/// Runs a worker to its end and gives what it said; nothing where `stop` ended it.
pub(super) async fn output(
    command: &mut Command,
    stop: &CancellationToken,
) -> std::io::Result<Option<Output>> {
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.process_group(0).kill_on_drop(true).spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let ended = async {
        let (stdout, stderr, status) = tokio::try_join!(said(out), said(err), child.wait())?;
        Ok(Output { status, stdout, stderr })
    };
    tokio::select! {
        ended = ended => return ended.map(Some),
        () = stop.cancelled() => {}
    }
    if tokio::time::timeout(KILLED_WITHIN, child.kill()).await.is_err() {
        tracing::warn!("a worker that was killed has not ended yet");
    }
    Ok(None)
}

/// What comes out of a pipe, as much of it as is kept.
async fn said(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        (&mut pipe).take(MOST_SAID).read_to_end(&mut bytes).await?;
        // The rest is drained, so that the worker never waits.
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    }
    Ok(bytes)
}

/// What a path on the server's disk leads to: a folder that can be listed, or a regular file that can be read. What is
/// not there and what the server may not read are one to who asks.
pub(super) fn source(path: &str) -> Result<PathBuf, Problem> {
    let source = Path::new(path.trim());
    let nothing = || {
        let shown: String = path.trim().chars().filter(|c| !c.is_control()).take(SHOWN).collect();
        Problem::new(Code::ModelNoSuchPath, format!("There is nothing to read at {shown}."))
            .with("path", shown)
            .field("path")
            .hint("Give the whole path of a model folder or a GGUF file on the server's disk.")
    };
    if !source.is_absolute() {
        return Err(nothing());
    }
    if std::fs::metadata(source).is_ok_and(|found| found.is_dir()) {
        std::fs::read_dir(source).map_err(|_| nothing())?;
        return Ok(source.to_owned());
    }
    match files::open(source) {
        Ok(_) => Ok(source.to_owned()),
        Err(Unread::Io(_)) => Err(nothing()),
        Err(why) => Err(why.problem(source).field("path")),
    }
}
