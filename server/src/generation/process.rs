//! One process that holds a model: commands go in on stdin, deltas come out on stdout, a line each.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contract::Code;
use contract::Problem;
use contract::chat::{ChatDelta, ChatMessage};
use contract::generation::GenerationSettings;
use contract::worker::{GenerateCommand, GenerateLine};
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::mpsc;
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::sync::CancellationToken;

use super::Weights;
use crate::config::Config;
use crate::executor;
use crate::readers::odd;

/// Bytes of stderr kept for the reason of a crash.
const LAST_WORDS: usize = 4096;
/// Questions that wait for a process at most.
const QUESTIONS: usize = 32;
/// Pieces of an answer that wait for its reader: more than an answer has.
const PIECES: usize = 4096;
/// Longest line that a process may write, bytes: far more than a piece of an answer has.
const LONGEST_LINE: usize = 16 << 20;
/// How long a process that says nothing more may take to end.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Shared {
    asked: HashMap<u64, Asked>,
    loaded: bool,
    gone: Option<Gone>,
    last_words: String,
}

/// Somebody who waits for an answer.
struct Asked {
    sender: mpsc::Sender<ChatDelta>,
    /// Whether the process has taken the question up.
    begun: bool,
}

/// How a process came to be gone.
enum Gone {
    /// It failed.
    Failed(Problem),
    /// Everybody left before its model was loaded.
    Left,
}

type Lines = mpsc::Sender<GenerateCommand>;

/// A running process. Dropped, it ends; so it does when everybody leaves while its model is being loaded.
pub struct Speaker {
    commands: Lines,
    shared: Arc<Mutex<Shared>>,
    next: AtomicU64,
    end: CancellationToken,
}

/// Why a question was not taken.
#[derive(Debug)]
pub enum Refused {
    /// The process was given up, because everybody had left: a new one will answer.
    Left,
    /// Too many questions wait, or the process is gone.
    Problem(Problem),
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
            .map_err(|why| executor::missing(config, &why))?;
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
        let end = CancellationToken::new();
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
    /// `chat.seats_busy` when too many questions wait, the reason why a process is gone, and [`Refused::Left`].
    pub fn ask(
        self: &Arc<Self>,
        template: String,
        messages: Vec<ChatMessage>,
        settings: GenerationSettings,
    ) -> Result<Answer, Refused> {
        let request = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, deltas) = mpsc::channel(PIECES);
        let mut shared = lock(&self.shared);
        match &shared.gone {
            None => {}
            Some(Gone::Left) => return Err(Refused::Left),
            Some(Gone::Failed(problem)) => return Err(Refused::Problem(problem.clone())),
        }
        let room = || self.commands.clone().try_reserve_owned().map_err(|_| Refused::Problem(busy()));
        let (question, cancel) = (room()?, room()?);
        if !shared.loaded {
            // the receiver is in our hands: this cannot fail
            let _ = sender.try_send(ChatDelta::Loading);
        }
        shared.asked.insert(request, Asked { sender, begun: false });
        question.send(GenerateCommand::Generate { request, template, messages, settings });
        drop(shared);
        Ok(Answer { request, deltas, cancel: Some(cancel), speaker: self.clone(), done: false })
    }

    /// Nobody is left for whom a model is being loaded: it is given up, since loading hears no wish to stop.
    fn give_up_if_left(&self, shared: &mut Shared) {
        if !shared.loaded && shared.gone.is_none() && shared.asked.is_empty() {
            shared.gone = Some(Gone::Left);
            self.end.cancel();
        }
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

    /// Takes the question back; `Done` still comes, at once where the worker has not taken it up yet.
    pub fn cancel(&mut self) {
        let Some(room) = self.cancel.take() else { return };
        room.send(GenerateCommand::Cancel { request: self.request });
        let mut shared = lock(&self.speaker.shared);
        if let Entry::Occupied(asked) = shared.asked.entry(self.request)
            && !asked.get().begun
        {
            // there is room: all that came before is `Loading`
            let _ = asked.remove().sender.try_send(ChatDelta::taken_back());
        }
        self.speaker.give_up_if_left(&mut shared);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.done {
            self.cancel();
        }
        let mut shared = lock(&self.speaker.shared);
        shared.asked.remove(&self.request);
        self.speaker.give_up_if_left(&mut shared);
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
    end: CancellationToken,
) {
    let mut lines = FramedRead::new(stdout, LinesCodec::new_with_max_length(LONGEST_LINE));
    let broken = loop {
        let line = tokio::select! {
            () = end.cancelled() => break None,
            line = lines.next() => line,
        };
        match line {
            None => break None,
            Some(Err(why)) => break Some(odd(&why)),
            Some(Ok(line)) => match serde_json::from_str::<GenerateLine>(&line) {
                Ok(line) => hand_out(&shared, line),
                Err(why) => tracing::warn!("a line of a generating worker is damaged: {why}"),
            },
        }
    };
    // who asks from now on is told at once, or finds another process
    if let Some(problem) = &broken {
        lock(&shared).fail(problem);
    }
    let how = match ended(&mut child, broken.is_some() || end.is_cancelled()).await {
        Ok(status) => status.to_string(),
        Err(why) => why.to_string(),
    };
    let mut shared = lock(&shared);
    if !end.is_cancelled() {
        let words = executor::last_line(&shared.last_words);
        tracing::warn!("a generating worker ended ({how}); its last words: {words}");
    }
    shared.fail(
        &Problem::new(Code::ChatCrashed, format!("The model's process ended ({how})."))
            .hint("Ask again: it starts anew. If it happens again, the machine may be short of memory."),
    );
}

/// Waits for the end of a process that is read no more; one that is to be ended, or takes its time, is killed.
async fn ended(child: &mut Child, kill: bool) -> std::io::Result<std::process::ExitStatus> {
    if !kill && let Ok(status) = tokio::time::timeout(GRACE, child.wait()).await {
        return status;
    }
    // it may have ended meanwhile
    let _ = child.start_kill();
    child.wait().await
}

impl Shared {
    /// It is gone: everybody who waits hears why. The first reason stays.
    fn fail(&mut self, problem: &Problem) {
        let problem = match self.gone.get_or_insert_with(|| Gone::Failed(problem.clone())) {
            Gone::Failed(first) => first.clone(),
            Gone::Left => problem.clone(),
        };
        for (_, asked) in self.asked.drain() {
            // whoever asked may have left
            let _ = asked.sender.try_send(ChatDelta::Error { problem: problem.clone() });
        }
    }
}

fn hand_out(shared: &Mutex<Shared>, line: GenerateLine) {
    let mut shared = lock(shared);
    if line.request != 0 {
        let ended = matches!(line.delta, ChatDelta::Done { .. } | ChatDelta::Error { .. });
        // whoever asked may have left
        let Entry::Occupied(mut asked) = shared.asked.entry(line.request) else { return };
        asked.get_mut().begun = true;
        // who does not read is cut off, and the others wait for nobody
        if asked.get().sender.try_send(line.delta).is_err() || ended {
            asked.remove();
        }
        return;
    }
    match line.delta {
        ChatDelta::Ready { .. } => shared.loaded = true,
        ChatDelta::Error { problem } => shared.fail(&problem),
        _ => {}
    }
}
