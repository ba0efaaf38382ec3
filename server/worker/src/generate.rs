//! Answers requests: JSON lines in on stdin, JSON lines out on stdout (`contract::worker`).

mod inbox;
mod speaker;

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::ExitCode;

use contract::Code;
use contract::chat::{ChatDelta, ChatMessage};
use contract::generation::GenerationSettings;
use contract::problem::Problem;
use contract::worker::{GenerateCommand, GenerateLine};

use crate::{output, problems};
use inbox::Inbox;
use speech::{Piece, Question, Speaker};

/// Serves until stdin is closed.
pub fn serve() -> ExitCode {
    let inbox = Inbox::listen();
    let mut speaker = None;
    while let Some(command) = inbox.next() {
        let served = match command {
            Err(problem) => say(0, ChatDelta::Error { problem }),
            Ok(command) => serve_one(command, &mut speaker, &inbox),
        };
        // Nobody reads any more.
        if served.is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

fn serve_one(command: GenerateCommand, speaker: &mut Option<Speaker>, inbox: &Inbox) -> std::io::Result<()> {
    match command {
        GenerateCommand::Load { model, chain } => {
            say(0, ChatDelta::Loading)?;
            // The old model goes first, so that two never lie in memory.
            *speaker = None;
            let chain: Vec<&Path> = chain.iter().map(Path::new).collect();
            match guarded(|| speaker::load(Path::new(&model), &chain)) {
                Ok(loaded) => {
                    let digest = loaded.digest().to_owned();
                    *speaker = Some(loaded);
                    say(0, ChatDelta::Ready { digest, prompt_tokens: 0 })
                }
                Err(problem) => say(0, ChatDelta::Error { problem }),
            }
        }
        GenerateCommand::Generate { request, .. } if inbox.is_cancelled(request) => {
            inbox.forget(request);
            say(request, ChatDelta::taken_back())
        }
        GenerateCommand::Generate { request, template, messages, settings } => {
            let answered = guarded(|| {
                let speaker = speaker.as_ref().ok_or_else(|| {
                    Problem::new(Code::ChatNothingLoaded, "No model is loaded.").hint("Load a model first.")
                })?;
                answer(speaker, &template, &messages, &settings, &mut |piece| {
                    let heard = match piece {
                        Piece::Said(delta) => say(request, delta).is_ok(),
                        Piece::Silent => true,
                    };
                    heard && !inbox.is_cancelled(request)
                })
            });
            inbox.forget(request);
            match answered {
                Ok(()) => Ok(()),
                Err(problem) => say(request, ChatDelta::Error { problem }),
            }
        }
        GenerateCommand::Cancel { .. } => Ok(()),
    }
}

/// Answers piece by piece; `emit` returns false once the answer is no longer wanted, and is asked after silent pieces too.
fn answer(
    speaker: &Speaker,
    template: &str,
    messages: &[ChatMessage],
    settings: &GenerationSettings,
    emit: &mut dyn FnMut(Piece) -> bool,
) -> Result<(), Problem> {
    let seed = u64::from_ne_bytes(rundir::now_ms().to_ne_bytes());
    let mut reply = speaker.ask(&Question { template, messages, settings, seed, clock: speaker::clock })?;
    while let Some(piece) = reply.next() {
        if !emit(piece?) {
            reply.cancel();
        }
    }
    Ok(())
}

fn say(request: u64, delta: ChatDelta) -> std::io::Result<()> {
    output::line(&GenerateLine { request, delta })
}

fn guarded<T>(work: impl FnOnce() -> Result<T, Problem>) -> Result<T, Problem> {
    std::panic::catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|payload| Err(problems::of_panic(&*payload)))
}
