//! One process that holds a model: commands go in on stdin, deltas come out on stdout, a line each.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contract::Code;
use contract::Problem;
use contract::chat::{ChatDelta, ChatMessage};
use contract::generation::GenerationSettings;
use contract::worker::{GenerateCommand, GenerateLine};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::mpsc;

use super::Weights;
use crate::config::Config;
use crate::executor;

/// Bytes of stderr kept for the reason of a crash.
const LAST_WORDS: usize = 4096;
/// Questions that wait for a process at most.
const QUESTIONS: usize = 32;
/// Pieces of an answer that wait for its reader: more than an answer has.
const PIECES: usize = 4096;

#[derive(Default)]
struct Shared {
    asked: HashMap<u64, mpsc::Sender<ChatDelta>>,
    loaded: bool,
    gone: Option<Problem>,
    last_words: String,
}

type Lines = mpsc::Sender<GenerateCommand>;

/// A running process. Dropped, it ends.
pub struct Speaker {
    commands: Lines,
    shared: Arc<Mutex<Shared>>,
    next: AtomicU64,
    end: tokio_util::sync::CancellationToken,
}

/// The deltas of one answer. Dropped before the end, it cancels.
pub struct Answer {
    request: u64,
    deltas: mpsc::Receiver<ChatDelta>,
    /// Room in the queue for taking the question back: `None` when that was done.
    cancel: Option<mpsc::OwnedPermit<GenerateCommand>>,
    speaker: Arc<Speaker>,
    done: bool,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Speaker {
    /// Starts a process and tells it what to load.
    pub fn start(config: &Config, weights: &Weights) -> Result<Self, Problem> {
        let mut child = executor::command(config)
            .arg("generate")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|why| {
                let worker = config.worker.display();
                Problem::new(Code::WorkerMissing, format!("The worker {worker} could not be started: {why}."))
                    .hint("Build or install burnish-worker; burnish doctor says where it is looked for.")
            })?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Problem::new(Code::WorkerMissing, "The worker could not be talked to."));
        };
        // a question, and room for taking it back; what is to be loaded comes first
        let (commands, queue) = mpsc::channel(2 * QUESTIONS + 1);
        let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
        let load = GenerateCommand::Load {
            model: text(&weights.model),
            chain: weights.chain.iter().map(|path| text(path)).collect(),
        };
        // the queue is empty and in our hands: this cannot fail
        let _ = commands.try_send(load);
        let shared = Arc::new(Mutex::new(Shared::default()));
        let end = tokio_util::sync::CancellationToken::new();
        tokio::spawn(write_lines(stdin, queue));
        tokio::spawn(read_words(stderr, shared.clone()));
        tokio::spawn(read_lines(child, stdout, shared.clone(), end.clone()));
        Ok(Self { commands, shared, next: AtomicU64::new(1), end })
    }

    /// Whether the process ended or could not load its model.
    pub fn is_gone(&self) -> bool {
        lock(&self.shared).gone.is_some()
    }

    /// Whether it is answering somebody.
    pub fn is_busy(&self) -> bool {
        !lock(&self.shared).asked.is_empty()
    }

    /// Asks; the answer begins with `Loading` while the model is not loaded yet.
    ///
    /// # Errors
    /// `chat.seats_busy` when too many questions wait, and the reason why a process is gone.
    pub fn ask(
        self: &Arc<Self>,
        template: String,
        messages: Vec<ChatMessage>,
        settings: GenerationSettings,
    ) -> Result<Answer, Problem> {
        let request = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, deltas) = mpsc::channel(PIECES);
        let mut shared = lock(&self.shared);
        if let Some(problem) = &shared.gone {
            return Err(problem.clone());
        }
        let room = || self.commands.clone().try_reserve_owned().map_err(|_| busy());
        let (question, cancel) = (room()?, room()?);
        if !shared.loaded {
            // the receiver is in our hands: this cannot fail
            let _ = sender.try_send(ChatDelta::Loading);
        }
        shared.asked.insert(request, sender);
        question.send(GenerateCommand::Generate { request, template, messages, settings });
        drop(shared);
        Ok(Answer { request, deltas, cancel: Some(cancel), speaker: self.clone(), done: false })
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl Answer {
    /// The next delta; `None` after `Done` or `Error`.
    pub async fn next(&mut self) -> Option<ChatDelta> {
        if self.done {
            return None;
        }
        let Some(delta) = self.deltas.recv().await else {
            // cut off: more waited than anybody read
            self.cancel();
            self.done = true;
            let problem = Problem::new(Code::ChatLost, "The answer was read too slowly.");
            return Some(ChatDelta::Error { problem: problem.hint("Ask again.") });
        };
        self.done = !matches!(delta, ChatDelta::Loading | ChatDelta::Ready { .. } | ChatDelta::Text { .. });
        Some(delta)
    }

    /// Asks the worker to stop; `Done` still comes.
    pub fn cancel(&mut self) {
        if let Some(room) = self.cancel.take() {
            room.send(GenerateCommand::Cancel { request: self.request });
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.done {
            self.cancel();
        }
        lock(&self.speaker.shared).asked.remove(&self.request);
    }
}

fn busy() -> Problem {
    Problem::new(Code::ChatSeatsBusy, "Too many questions wait for this model.")
        .hint("Wait until an answer is complete, or stop one.")
}

async fn write_lines(mut stdin: ChildStdin, mut queue: mpsc::Receiver<GenerateCommand>) {
    while let Some(command) = queue.recv().await {
        let Ok(mut line) = serde_json::to_vec(&command) else { continue };
        line.push(b'\n');
        if stdin.write_all(&line).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
}

async fn read_words(mut stderr: ChildStderr, shared: Arc<Mutex<Shared>>) {
    let mut buffer = vec![0; 1024];
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        let mut shared = lock(&shared);
        shared.last_words.push_str(&String::from_utf8_lossy(&buffer[..read]));
        let extra = shared.last_words.len().saturating_sub(LAST_WORDS);
        let cut = (extra..=shared.last_words.len()).find(|at| shared.last_words.is_char_boundary(*at));
        shared.last_words.drain(..cut.unwrap_or(0));
    }
}

async fn read_lines(
    mut child: Child,
    stdout: ChildStdout,
    shared: Arc<Mutex<Shared>>,
    end: tokio_util::sync::CancellationToken,
) {
    let mut lines = BufReader::new(stdout).lines();
    loop {
        let line = tokio::select! {
            () = end.cancelled() => break,
            line = lines.next_line() => line,
        };
        let Ok(Some(line)) = line else { break };
        match serde_json::from_str::<GenerateLine>(&line) {
            Ok(line) => hand_out(&shared, line),
            Err(why) => tracing::warn!("a line of a generating worker is damaged: {why}"),
        }
    }
    if end.is_cancelled() {
        let _ = child.start_kill();
    }
    let status = child.wait().await;
    let mut shared = lock(&shared);
    let how = status.map_or_else(|why| why.to_string(), |status| status.to_string());
    if !end.is_cancelled() {
        let words = executor::last_line(&shared.last_words);
        tracing::warn!("a generating worker ended ({how}); its last words: {words}");
    }
    let problem = Problem::new(Code::ChatCrashed, format!("The model's process ended ({how})."))
        .hint("Ask again: it starts anew. If it happens again, the machine may be short of memory.");
    let problem = shared.gone.get_or_insert(problem).clone();
    for (_, sender) in shared.asked.drain() {
        // whoever asked may have left
        let _ = sender.try_send(ChatDelta::Error { problem: problem.clone() });
    }
}

fn hand_out(shared: &Mutex<Shared>, line: GenerateLine) {
    let mut shared = lock(shared);
    if line.request != 0 {
        let ended = matches!(line.delta, ChatDelta::Done { .. } | ChatDelta::Error { .. });
        let sender = shared.asked.get(&line.request);
        // whoever asked may have left; who does not read is cut off, and the others wait for nobody
        let lost = sender.is_some_and(|sender| sender.try_send(line.delta).is_err());
        if ended || lost {
            shared.asked.remove(&line.request);
        }
        return;
    }
    match line.delta {
        ChatDelta::Ready { .. } => shared.loaded = true,
        ChatDelta::Error { problem } => {
            for (_, sender) in shared.asked.drain() {
                let _ = sender.try_send(ChatDelta::Error { problem: problem.clone() });
            }
            shared.gone = Some(problem);
        }
        _ => {}
    }
}
