//! Finds the weights and the template of a question and puts it to the process that holds them.

use std::path::PathBuf;

use contract::Problem;
use contract::chat::{ChatRequest, ChatTarget};
use contract::templates::{MODEL_TEMPLATE, is_known};
use rundir::RunDir;

use super::{models, runs};
use crate::error::Fault;
use crate::generation::{Answer, Weights};
use crate::state::AppState;

/// Begins an answer.
pub async fn answer(state: &AppState, request: ChatRequest) -> Result<Answer, Fault> {
    let problems = request.settings.problems();
    if !problems.is_empty() {
        return Err(Fault::Problems(problems));
    }
    let asked = request.messages.last().filter(|last| last.role == "user" && !last.content.trim().is_empty());
    if asked.is_none() {
        return Err(Problem::new("chat.no_question", "Ask something first.").into());
    }
    let (weights, template, system) = resolve(state, &request).await?;
    let mut messages = request.messages;
    if let Some(system) = system
        && messages.iter().all(|message| message.role != "system")
    {
        let content = system;
        messages.insert(0, contract::chat::ChatMessage { role: "system".to_owned(), content });
    }
    let speaker = state.pool.speaker(&weights)?;
    Ok(speaker.ask(template, messages, request.settings))
}

/// Weights, template key and the system text a run was trained with.
pub(super) async fn resolve(
    state: &AppState,
    request: &ChatRequest,
) -> Result<(Weights, String, Option<String>), Fault> {
    let target = &request.target;
    let Some(id) = &target.run else {
        let model = models::find(state, &target.model).await?;
        let Some(facts) = model.facts.filter(|_| model.state == "ready") else {
            return Err(Problem::new("model.not_ready", format!("{} is not ready.", model.name)).into());
        };
        let own = if facts.has_chat_template { MODEL_TEMPLATE } else { "default" };
        let template = request.template.clone().unwrap_or_else(|| own.to_owned());
        if !is_known(&template) {
            let message = format!("Template {template} does not exist.");
            return Err(Problem::new("form.unknown_choice", message).field("template").into());
        }
        let weights = Weights { model: state.model_folder(&target.model), checkpoint: None };
        return Ok((weights, template, None));
    };
    let run = runs::find(state, id).await?;
    if state.store.model(&run.model).await?.is_none() {
        return Err(Problem::new("run.model_gone", "The base model of this run was deleted.").into());
    }
    let checkpoint = checkpoint(state, target).await?;
    let weights = Weights { model: PathBuf::from(run.spec.model.folder), checkpoint: Some(checkpoint) };
    let system = Some(run.spec.system).filter(|text| !text.is_empty());
    Ok((weights, run.spec.template, system))
}

/// The folder of the asked checkpoint; without a step the best, else the last.
async fn checkpoint(state: &AppState, target: &ChatTarget) -> Result<PathBuf, Fault> {
    let none =
        || Problem::new("run.no_checkpoint", "This run has no checkpoint yet.").hint("Wait for the first.");
    let run = target.run.clone().unwrap_or_default();
    let folder = RunDir::open(&state.run_folder(&run)).map_err(|_| none())?;
    let found = tokio::task::spawn_blocking(move || folder.checkpoints()).await??;
    let newest = found.first().ok_or_else(none)?;
    let of = |step: u64| found.iter().find(|checkpoint| checkpoint.step() == step);
    let best = newest.manifest().loop_state.best_step;
    match target.step {
        None => Ok(best.and_then(of).unwrap_or(newest).path().to_owned()),
        Some(step) => Ok(of(step)
            .ok_or_else(|| {
                Problem::new("run.no_such_checkpoint", format!("The checkpoint of step {step} is gone."))
            })?
            .path()
            .to_owned()),
    }
}
