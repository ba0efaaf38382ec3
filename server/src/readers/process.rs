//! One reading process. Dropped, it ends.

use std::ops::ControlFlow;
use std::process::Stdio;
use std::time::Duration;

use contract::health::Progress;
use contract::reading::{LONGEST_LINE, MEMORY, PROTOCOL, ReadLine, ReadRequest};
use contract::{Code, Problem};
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::task::JoinHandle;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};

use crate::config::Config;
use crate::executor;

/// How long a process may take to start, or to take a request up.
const START: Duration = Duration::from_secs(20);
/// How much later than the process itself the server loses patience with it.
const GRACE: Duration = Duration::from_secs(5);
/// Bytes of stderr kept for the reason of an end.
const LAST_WORDS: usize = 4096;
/// Memory set aside at once, KiB: less than the allocator would take, for it counts against the limit.
const ARENA: (&str, &str) = ("MIMALLOC_ARENA_RESERVE", "65536");

/// Why there is no answer.
pub(super) enum Failed {
    /// The process had ended before it took the request up.
    NotBegun,
    /// The process refused, and is ready for the next.
    Refused(Problem),
    /// The process ended at work.
    Ended,
    /// The process hangs.
    Hung,
    /// Whoever watches gave up.
    GivenUp,
    /// An answer that is not what was agreed.
    Odd(Problem),
}

/// A process that is ready.
pub(super) struct Process {
    child: Child,
    input: ChildStdin,
    lines: FramedRead<ChildStdout, LinesCodec>,
    last_words: JoinHandle<String>,
}

/// A request as the process takes it.
pub(super) fn line(request: &ReadRequest) -> Result<Vec<u8>, Problem> {
    let mut line = serde_json::to_vec(request).map_err(|why| odd(&why))?;
    if line.len() >= LONGEST_LINE {
        let most = LONGEST_LINE >> 20;
        return Err(Problem::new(Code::ReadingTooLarge, format!("This is more than {most} MiB."))
            .with("most", most)
            .hint("Work on the file outside Burnish, and upload it again."));
    }
    line.push(b'\n');
    Ok(line)
}

/// An answer that is not what was agreed.
pub(crate) fn odd(why: &dyn std::fmt::Display) -> Problem {
    Problem::new(Code::WorkerOddAnswer, format!("The worker's answer is not what was agreed: {why}."))
        .with("why", why)
        .hint("Use a worker of the same version as the server.")
}

impl Process {
    /// Starts a process, which limits itself and says so.
    pub(super) async fn start(config: &Config) -> Result<Self, Problem> {
        let mut child = executor::command(config)
            .args(["read", "--memory", &MEMORY.to_string()])
            .envs([ARENA])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|why| executor::missing(config, &why))?;
        let (Some(input), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Problem::new(Code::WorkerMissing, "The worker could not be talked to."));
        };
        let last_words = tokio::spawn(keep_words(stderr));
        let lines = FramedRead::new(stdout, LinesCodec::new_with_max_length(LONGEST_LINE));
        let mut process = Self { child, input, lines, last_words };
        match tokio::time::timeout(START, process.next()).await {
            Ok(Some(Ok(ReadLine::Ready { protocol: PROTOCOL }))) => Ok(process),
            Ok(Some(Ok(ReadLine::Refused(problem)))) => Err(problem),
            Ok(Some(Ok(line))) => Err(odd(&format!("{line:?}").chars().take(100).collect::<String>())),
            Ok(Some(Err(problem))) => Err(problem),
            Ok(None) => Err(process.why(Failed::Ended).await),
            Err(_) => Err(process.why(Failed::Hung).await),
        }
    }

    async fn next(&mut self) -> Option<Result<ReadLine, Problem>> {
        let line = match self.lines.next().await? {
            Ok(line) => line,
            Err(LinesCodecError::Io(_)) => return None,
            Err(why) => return Some(Err(odd(&why))),
        };
        Some(serde_json::from_str(&line).map_err(|why| odd(&why)))
    }

    /// Puts a request and hears it out.
    pub(super) async fn ask(
        &mut self,
        line: &[u8],
        watch: &mut (dyn FnMut(Progress) -> ControlFlow<()> + Send),
    ) -> Result<serde_json::Value, Failed> {
        let put = async { self.input.write_all(line).await.is_ok() && self.input.flush().await.is_ok() };
        match tokio::time::timeout(START, put).await {
            Ok(true) => {}
            Ok(false) => return Err(Failed::NotBegun),
            Err(_) => return Err(Failed::Hung),
        }
        let (mut within, mut begun) = (START, false);
        loop {
            let line = match tokio::time::timeout(within, self.next()).await {
                Err(_) => return Err(Failed::Hung),
                Ok(None) if begun => return Err(Failed::Ended),
                Ok(None) => return Err(Failed::NotBegun),
                Ok(Some(line)) => line.map_err(Failed::Odd)?,
            };
            match line {
                ReadLine::Working { within_ms, progress } => {
                    (within, begun) = (Duration::from_millis(within_ms).saturating_add(GRACE), true);
                    if progress.is_some_and(|progress| watch(progress).is_break()) {
                        return Err(Failed::GivenUp);
                    }
                }
                ReadLine::Done(value) => return Ok(value),
                ReadLine::Refused(problem) => return Err(Failed::Refused(problem)),
                ReadLine::Ready { .. } => return Err(Failed::Odd(odd(&"ready twice"))),
            }
        }
    }

    /// Ends the process and says why there was no answer.
    pub(super) async fn why(mut self, failed: Failed) -> Problem {
        let killed = !matches!(failed, Failed::Ended | Failed::NotBegun);
        if killed {
            let _ = self.child.start_kill();
        }
        let status = match tokio::time::timeout(GRACE, self.child.wait()).await {
            Ok(Ok(status)) => status.to_string(),
            _ => "unknown".to_owned(),
        };
        let words = tokio::time::timeout(GRACE, self.last_words).await;
        let words = words.ok().and_then(Result::ok).unwrap_or_default();
        let told = executor::last_line(&words);
        match failed {
            Failed::Odd(problem) | Failed::Refused(problem) => problem,
            Failed::GivenUp => Problem::new(Code::DataCancelled, "Reading the data was stopped.")
                .hint("Start it again when you like."),
            Failed::Hung => {
                tracing::warn!("a reading process hung and was ended; its last words: {told}");
                Problem::new(Code::ReadingTooSlow, "Reading was given up: it went on without end.")
                    .hint("The file, the chat template or the tokenizer asks for far more work than its size lets expect.")
            }
            Failed::Ended | Failed::NotBegun => {
                tracing::warn!("a reading process ended ({status}); its last words: {told}");
                of_end(&words)
            }
        }
    }
}

/// What the end of a process says about the file it read. Nothing of its words is shown: they may hold paths.
fn of_end(words: &str) -> Problem {
    if words.contains("memory allocation of") || words.contains("out of memory") {
        return Problem::new(
            Code::ReadingMemory,
            "Reading this takes more memory than any honest file needs.",
        )
        .hint("Split the file, or look for a value, a list or a page that grows when it is unpacked.");
    }
    if words.contains("overflowed its stack") {
        return Problem::new(Code::ReadingDepth, "This nests deeper than anything that can be read.")
            .hint("Flatten it: lists in lists and groups in groups, a few levels at most.");
    }
    Problem::new(Code::ReadingCrashed, "This cannot be read: its form is one that the reader did not expect.")
        .hint("Save it again with another program, or report it with the file.")
}

/// The end of what a process says on stderr.
async fn keep_words(mut stderr: ChildStderr) -> String {
    let (mut words, mut buffer) = (Vec::new(), vec![0; 1024]);
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        words.extend_from_slice(&buffer[..read]);
        words.drain(..words.len().saturating_sub(LAST_WORDS));
    }
    String::from_utf8_lossy(&words).into_owned()
}
