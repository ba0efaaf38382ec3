//! What a run's model answers before it is trained: asked once, greedily, and kept with the run.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use contract::chat::{ChatDelta, ChatMessage, ChatRequest, ChatTarget};
use contract::generation::GenerationSettings;
use contract::system::BeforeAnswer;
use contract::{Problem, RunId};

use super::chat;
use crate::error::Fault;
use crate::state::AppState;
use crate::store::runs::RunRow;

/// Longest answer, tokens: enough to see that the model does not know.
const MAX_NEW_TOKENS: u32 = 60;

/// Runs whose model is being asked (`None`), or could not be asked and nobody was told yet.
#[derive(Debug, Default)]
pub struct Asking(Mutex<HashMap<RunId, Option<Problem>>>);

impl Asking {
    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Option<Problem>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the caller is to ask; else why the last try failed, told once.
    fn begin(&self, run: &RunId) -> Result<(), Option<Problem>> {
        match self.lock().entry(run.clone()) {
            Entry::Vacant(free) => {
                free.insert(None);
                Ok(())
            }
            Entry::Occupied(taken) if taken.get().is_some() => Err(taken.remove()),
            Entry::Occupied(_) => Err(None),
        }
    }

    fn end(&self, run: &RunId, problem: Option<Problem>) {
        let mut asking = self.lock();
        match problem {
            Some(problem) => asking.insert(run.clone(), Some(problem)),
            None => asking.remove(run),
        };
    }
}

/// The answer kept with a run. Where there is none the model is asked in the background, once however many look; why
/// that failed is told once, and the next look asks again.
pub async fn of(
    state: &AppState,
    run: &RunRow,
    question: &str,
) -> Result<(Option<BeforeAnswer>, Option<Problem>), Fault> {
    let id = &run.summary.id;
    if let Some(kept) = state.store.before_answer(id).await? {
        return Ok((Some(kept), None));
    }
    if let Err(problem) = state.before.begin(id) {
        return Ok((None, problem));
    }
    // It may have been kept between the two looks.
    if let Some(kept) = state.store.before_answer(id).await? {
        state.before.end(id, None);
        return Ok((Some(kept), None));
    }
    let (state, id) = (state.clone(), id.clone());
    let request = request(run, question);
    state.clone().tasks.spawn(async move {
        let made = tokio::select! {
            () = state.shutdown.cancelled() => return,
            made = make(&state, &id, request) => made,
        };
        let problem = made.err().and_then(|fault| fault.into_problems().into_iter().next());
        state.before.end(&id, problem);
    });
    Ok((None, None))
}

/// The model a run starts from, asked with the run's template.
fn request(run: &RunRow, question: &str) -> ChatRequest {
    ChatRequest {
        target: ChatTarget { model: run.model.clone(), run: None, step: None },
        template: Some(run.spec.template.clone()),
        messages: vec![ChatMessage { role: "user".to_owned(), content: question.to_owned() }],
        settings: GenerationSettings { max_new_tokens: MAX_NEW_TOKENS, ..GenerationSettings::greedy() },
    }
}

async fn make(state: &AppState, run: &RunId, request: ChatRequest) -> Result<(), Fault> {
    let question = request.messages.last().map(|last| last.content.clone()).unwrap_or_default();
    let mut kept =
        BeforeAnswer { question, answer: String::new(), reason: String::new(), digest: String::new() };
    let mut answer = chat::answer(state, request).await?;
    while let Some(delta) = answer.next().await {
        match delta {
            ChatDelta::Loading => {}
            ChatDelta::Ready { digest, .. } => kept.digest = digest,
            ChatDelta::Text { text } => kept.answer.push_str(&text),
            ChatDelta::Error { problem } => return Err(problem.into()),
            ChatDelta::Done { reason, .. } => {
                kept.reason = reason;
                return state.store.keep_before_answer(run, &kept).await;
            }
        }
    }
    // The process went before it said why; the next look asks again.
    tracing::warn!(%run, "the answer from before training was broken off");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_asks_at_a_time_and_a_failure_is_told_once() {
        let (asking, run) = (Asking::default(), RunId("r".to_owned()));
        assert_eq!(asking.begin(&run), Ok(()));
        assert_eq!(asking.begin(&run), Err(None), "it is being asked");
        let gone = Problem::not_found("model");
        asking.end(&run, Some(gone.clone()));
        assert_eq!(asking.begin(&run), Err(Some(gone)), "told");
        assert_eq!(asking.begin(&run), Ok(()), "asked again");
        asking.end(&run, None);
        assert_eq!(asking.begin(&run), Ok(()));
    }
}
