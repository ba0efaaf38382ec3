//! One attempt at a run: claims it, trains, and reports how it ended, whatever happens.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::ExitCode;

use contract::Code;
use contract::event::Kind;
use contract::problem::Problem;
use rundir::{AttemptDir, RunDir, RunResult, WorkerInfo, now_ms};

use crate::preparing::Preparing;
use crate::report::Reporter;
use crate::signals::Signals;
use crate::stages::{self, Ears, Ending, Job};
use crate::{memory, problems};

/// Works on the run directory at `folder`. The exit code is 0 when the run is finished or stopped.
pub fn train(folder: &Path, number: Option<u32>) -> ExitCode {
    match begin(folder, number).and_then(|(run, attempt)| work(&run, &attempt)) {
        Ok(code) => code,
        Err(problem) => {
            // There is no event log to say it in; stderr goes to the attempt's stderr.log.
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn begin(folder: &Path, number: Option<u32>) -> Result<(RunDir, AttemptDir), Problem> {
    let run = RunDir::open(folder)?;
    if let Some(busy) = run.live_attempt()? {
        return Err(Problem::new(
            Code::RunBusy,
            format!("Attempt {busy} of this run is still being worked on."),
        )
        .with("attempt", busy));
    }
    let attempt = match number {
        None => run.begin_attempt()?,
        Some(number) => {
            let attempt = run.attempt(number);
            std::fs::create_dir_all(attempt.path())
                .map_err(|why| problems::of_file(attempt.path(), "create", &why))?;
            attempt
        }
    };
    Ok((run, attempt))
}

fn work(run: &RunDir, attempt: &AttemptDir) -> Result<ExitCode, Problem> {
    let signals = Signals::install().map_err(|why| {
        Problem::new(Code::WorkerSignals, format!("Signals cannot be handled: {why}.")).with("why", why)
    })?;
    let _claim = attempt.claim(&WorkerInfo::of_this_process(env!("CARGO_PKG_VERSION")))?;
    let run = &run.worked_on_by(attempt.number());
    let mut report = Reporter::new(attempt.event_writer()?);
    let ending = guarded(|| go(run, &signals, &mut report));
    let step = report.step;
    let (last, code) = match ending {
        Ok(Ending::Stopped) => (Kind::Stopped { step }, ExitCode::SUCCESS),
        Ok(Ending::Finished) => {
            run.finish(&RunResult { attempt: attempt.number(), step, finished_ms: now_ms() })?;
            let (seconds, peak_memory_bytes) = (report.seconds(), memory::peak());
            (Kind::Finished { step, seconds, peak_memory_bytes }, ExitCode::SUCCESS)
        }
        Err(problem) => (Kind::Failed { problem, step }, ExitCode::FAILURE),
    };
    report.event(last)?;
    Ok(code)
}

fn go(run: &RunDir, signals: &Signals, report: &mut Reporter) -> Result<Ending, Problem> {
    if let Some(result) = run.result()? {
        report.step = result.step;
        report.log("info", "This run is finished already.")?;
        return Ok(Ending::Finished);
    }
    report.preparing("reading_data")?;
    let preparing = Preparing::watch(Ears::new(run.control(), signals.clone()));
    run.sweep()?;
    let spec = run.spec()?;
    stages::run(Job { run, spec: &spec, signals, report, preparing })
}

/// Turns a panic into a problem, so that the event log says why the run ended.
fn guarded<T>(work: impl FnOnce() -> Result<T, Problem>) -> Result<T, Problem> {
    std::panic::catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|payload| Err(problems::of_panic(&*payload)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_problem_that_says_what_happened() {
        let broken = guarded::<()>(|| panic!("index 7 out of bounds"));
        let problem = broken.expect_err("panicked");
        assert!(problem.code == Code::WorkerPanicked && problem.message.contains("index 7"), "{problem}");
        let full = guarded::<()>(|| std::panic::panic_any("out of memory".to_owned()));
        assert_eq!(full.expect_err("panicked").code, Code::WorkerOutOfMemory);
    }
}
