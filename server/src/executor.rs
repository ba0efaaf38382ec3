//! Starts worker processes. A training worker is on its own: it has its own process group and log files, and
//! lives on when the server goes.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use contract::{Code, Problem, RunId};
use rundir::{AttemptDir, RunDir};
use tokio::process::{Child, Command};

use crate::config::Config;
use crate::error::Fault;
use crate::proc;
use crate::state::AppState;

/// What a worker may see of the server's environment.
const ENVIRONMENT: &[&str] = &[
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "RUST_LOG",
    "RUST_BACKTRACE",
    "RAYON_NUM_THREADS",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_PATH",
    "CUDA_HOME",
];

/// How long a worker keeps memory it has freed, milliseconds: a step of training frees and asks for so many sizes that
/// what waits to be used again would be a fifth of its memory.
const KEEPS_FREED_MS: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "50");

/// The worker program with a small environment and nothing on stdin.
pub fn command(config: &Config) -> Command {
    let mut command = Command::new(&config.worker);
    command.env_clear().envs([KEEPS_FREED_MS]).stdin(Stdio::null());
    command.env(contract::limits::VARIABLE, config.reading.to_string());
    for (key, value) in std::env::vars_os() {
        let known = key.to_str().is_some_and(|key| ENVIRONMENT.contains(&key));
        let ours = key.to_str().is_some_and(|key| key.starts_with("BURNISH_WORKER_"));
        if known || ours {
            command.env(key, value);
        }
    }
    command
}

/// The problem of a worker that does not start. Where it was looked for is in the log.
pub fn missing(config: &Config, why: &std::io::Error) -> Problem {
    tracing::error!("the worker {} could not be started: {why}", config.worker.display());
    Problem::new(Code::WorkerMissing, format!("The worker could not be started: {why}."))
        .hint("Build or install burnish-worker; burnish doctor says where it is looked for.")
}

/// The last line of a worker's output that says something; empty when none does.
pub fn last_line(output: &str) -> &str {
    output.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
}

fn log(path: &Path) -> Result<Stdio, Fault> {
    Ok(File::create(path).map_err(Fault::disk("create", path))?.into())
}

fn spawn(config: &Config, folder: &RunDir, attempt: &AttemptDir) -> Result<Child, Fault> {
    command(config)
        .arg("train")
        .arg(folder.path())
        .args(["--attempt", &attempt.number().to_string()])
        .process_group(0)
        .stdout(log(&attempt.path().join("stdout.log"))?)
        .stderr(log(&attempt.stderr_path())?)
        .spawn()
        .map_err(Fault::disk("start", &config.worker))
}

/// Starts the worker of an attempt and notes its process in the store before waiting for it.
pub async fn train(
    state: &AppState,
    run: &RunId,
    folder: &RunDir,
    attempt: &AttemptDir,
) -> Result<(), Fault> {
    let mut child = spawn(&state.config, folder, attempt)?;
    let number = attempt.number();
    // A process that ended already has no start; 0 matches none and the queue sees it as gone.
    let pid = child.id().unwrap_or(0);
    let start = proc::start_ticks(pid).unwrap_or(0);
    let noted = state.store.set_process(run, number, pid, start).await;
    if noted.is_err() {
        // What nobody knows of could not be stopped.
        let _ = child.start_kill();
    }
    let (state, run) = (state.clone(), run.clone());
    tokio::spawn(async move {
        if let Ok(status) = child.wait().await {
            state.exits.note(run, number, status);
        }
        state.wake.notify_one();
    });
    noted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_last_that_says_something() {
        assert_eq!((last_line("one\n two \n\n"), last_line("\n")), ("two", ""));
    }
}
