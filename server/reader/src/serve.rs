//! Lines in, lines out.

use std::io::{BufRead, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{ExitCode, exit};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use contract::Code;
use contract::health::Progress;
use contract::problem::Problem;
use contract::reading::{LONGEST_LINE, PROTOCOL, ReadLine, ReadRequest, allowance};
use contract::worker::EXIT_PROBLEM;
use serde::Serialize;

use crate::watch::Watch;
use crate::{edit, gather, health, inspect, limits, preview, register, rows, specification};

/// Answers requests until stdin ends, within `memory` bytes beyond what the process starts with.
pub fn serve(memory: u64) -> ExitCode {
    if let Err(problem) = limits::set(memory) {
        // nobody may be listening any more
        let _ = write(&ReadLine::Refused(problem));
        return ExitCode::FAILURE;
    }
    let watch = Watch::default();
    let (sender, requests) = channel();
    let watching = watch.clone();
    std::thread::spawn(move || watching.keep());
    std::thread::spawn(move || take_lines(&sender));
    let reading = std::thread::Builder::new().stack_size(limits::STACK);
    let done = reading.spawn(move || answer_all(&requests, &watch));
    match done.map(std::thread::JoinHandle::join) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Hands requests over. When stdin ends nobody waits for an answer any more, so the process ends, even at work.
fn take_lines(sender: &Sender<Vec<u8>>) -> ! {
    let mut input = std::io::stdin().lock();
    loop {
        let mut line = Vec::new();
        let read = input.by_ref().take(LONGEST_LINE as u64 + 1).read_until(b'\n', &mut line);
        if !matches!(read, Ok(1..)) || line.len() > LONGEST_LINE || sender.send(line).is_err() {
            exit(0);
        }
    }
}

fn answer_all(requests: &Receiver<Vec<u8>>, watch: &Watch) {
    if write(&ReadLine::Ready { protocol: PROTOCOL }).is_err() {
        return;
    }
    while let Ok(line) = requests.recv() {
        let answer = match serde_json::from_slice::<ReadRequest>(&line) {
            Ok(request) => catch_unwind(AssertUnwindSafe(|| answer(request, watch))),
            Err(why) => Ok(Err(Problem::new(
                Code::WorkerCommand,
                format!("A reading process was asked what it does not know: {why}."),
            )
            .with("why", why))),
        };
        watch.end();
        let panicked = answer.is_err();
        let line = match answer.unwrap_or_else(|_| Err(broken())) {
            Ok(value) => ReadLine::Done(value),
            Err(problem) => ReadLine::Refused(problem),
        };
        if write(&line).is_err() {
            return;
        }
        if panicked {
            // what a panic left behind is not read on with
            exit(EXIT_PROBLEM);
        }
    }
}

/// The problem of a file that a parser was not prepared for.
fn broken() -> Problem {
    Problem::new(Code::ReadingCrashed, "This cannot be read: its form is one that the reader did not expect.")
        .hint("Save it again with another program, or report it with the file.")
}

fn answer(request: ReadRequest, watch: &Watch) -> Result<serde_json::Value, Problem> {
    match request {
        ReadRequest::Inspect(asked) => {
            begin(watch, &[&asked.file]);
            value(inspect::inspect(*asked))
        }
        ReadRequest::Gather(asked) => {
            let files: Vec<&str> = asked.files.iter().map(|file| file.path.as_str()).collect();
            let mut renewed = begin(watch, &files);
            value(gather::gather(*asked, &mut |progress| renewed.tell(progress)))
        }
        ReadRequest::DigestFile(asked) => {
            begin(watch, &[&asked.file]);
            value(corpus::source::folder::digests_of(Path::new(&asked.file)))
        }
        ReadRequest::FindRows(asked) => {
            begin(watch, &[&asked.stored.file]);
            value(rows::find(&asked))
        }
        ReadRequest::TakeRow(asked) => {
            begin(watch, &[&asked.stored.file]);
            value(rows::take(&asked))
        }
        ReadRequest::ChangeRow(asked) => {
            begin(watch, &[&asked.stored.file]);
            value(edit::change(&asked))
        }
        ReadRequest::PreviewRow(asked) => {
            begin(watch, &[&asked.stored.file]);
            value(preview::of_row(&asked))
        }
        ReadRequest::CheckHealth(asked) => {
            let mut renewed = begin(watch, &[]);
            value(health::check(*asked, &mut |progress| renewed.tell(progress)))
        }
        ReadRequest::FirstQuestion(asked) => {
            begin(watch, &[]);
            value(rows::first_question(&asked))
        }
        ReadRequest::ReadRegister(asked) => {
            begin(watch, &[]);
            value(register::read(&asked.text))
        }
        ReadRequest::WriteRegister(asked) => {
            let files: Vec<&str> = asked.datasets.iter().map(|dataset| dataset.file.as_str()).collect();
            begin(watch, &files);
            value(register::write(&asked.datasets))
        }
        ReadRequest::ReadSpecification(asked) => {
            begin(watch, &[]);
            value(specification::read(&asked.text))
        }
    }
}

/// Time that progress renews.
struct Renewed<'w> {
    watch: &'w Watch,
    allowed: Duration,
}

impl Renewed<'_> {
    fn tell(&mut self, progress: Progress) {
        self.watch.begin(self.allowed);
        working(self.allowed, Some(progress));
    }
}

/// Begins a request on files.
fn begin<'w>(watch: &'w Watch, files: &[&str]) -> Renewed<'w> {
    let size = |file: &&str| std::fs::metadata(file).map_or(0, |meta| meta.len());
    let allowed = allowance(files.iter().map(size).sum());
    watch.begin(allowed);
    working(allowed, None);
    Renewed { watch, allowed }
}

fn working(allowed: Duration, progress: Option<Progress>) {
    let within_ms = u64::try_from(allowed.as_millis()).unwrap_or(u64::MAX);
    if write(&ReadLine::Working { within_ms, progress }).is_err() {
        exit(0);
    }
}

fn value<T: Serialize>(answer: Result<T, Problem>) -> Result<serde_json::Value, Problem> {
    serde_json::to_value(answer?).map_err(|why| {
        Problem::new(Code::WorkerOddAnswer, format!("An answer could not be written: {why}."))
            .with("why", why)
    })
}

/// Writes one line at once. Longer ones than agreed are refused in its place.
///
/// # Errors
/// When nobody reads any more.
pub(crate) fn write(line: &ReadLine) -> std::io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    if bytes.len() >= LONGEST_LINE {
        let most = LONGEST_LINE >> 20;
        let problem = Problem::new(
            Code::ReadingTooLarge,
            format!("This is more than {most} MiB, too much to be shown."),
        )
        .with("most", most)
        .hint("Work on the file outside Burnish, and upload it again.");
        bytes = serde_json::to_vec(&ReadLine::Refused(problem))?;
    }
    bytes.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&bytes)?;
    out.flush()
}
