//! Finds the weights and the template of a question and puts it to the process that holds them.

use std::path::{Path, PathBuf};

use contract::Code;
use contract::Problem;
use contract::chat::{ChatRequest, ChatTarget};
use contract::checkpoint::chosen;
use contract::spec::CheckpointKey;
use contract::templates::{is_known, suggest};

use super::{chain, models, runs};
use crate::error::Fault;
use crate::generation::{Answer, Weights};
use crate::state::AppState;
use crate::store::runs::RunRow;

/// Begins an answer.
pub async fn answer(state: &AppState, request: ChatRequest) -> Result<Answer, Fault> {
    let problems = request.settings.problems();
    if !problems.is_empty() {
        return Err(Fault::Problems(problems));
    }
    let asked = request.messages.last().filter(|last| last.role == "user" && !last.content.trim().is_empty());
    if asked.is_none() {
        return Err(Problem::new(Code::ChatNoQuestion, "Ask something first.").into());
    }
    let (weights, template, system) = resolve(state, &request).await?;
    let mut messages = request.messages;
    if let Some(system) = system
        && messages.iter().all(|message| message.role != "system")
    {
        let content = system;
        messages.insert(0, contract::chat::ChatMessage { role: "system".to_owned(), content });
    }
    Ok(state.pool.ask(&weights, &template, &messages, &request.settings)?)
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
            return Err(Problem::new(Code::ModelNotReady, format!("{} is not ready.", model.name))
                .with("name", &model.name)
                .into());
        };
        let own = suggest(&model.name, &facts.architecture, facts.has_chat_template);
        let template = request.template.clone().unwrap_or_else(|| own.to_owned());
        if !is_known(&template) {
            let message = format!("Template {template} does not exist.");
            return Err(Problem::new(Code::FormUnknownChoice, message).field("template").into());
        }
        let weights = Weights { model: state.model_folder(&target.model), chain: Vec::new() };
        return Ok((weights, template, None));
    };
    let run = runs::find(state, id).await?;
    if state.store.model(&run.model).await?.is_none() {
        return Err(Problem::new(Code::RunModelGone, "The base model of this run was deleted.").into());
    }
    let system = run.spec.system_texts().into_iter().next().filter(|text| !text.is_empty());
    let template = run.spec.template.clone();
    Ok((weights(state, target, &run).await?, template, system))
}

/// Model and chain of the asked checkpoint, or of the one that stands for the run: what was merged when it was
/// trained, then itself.
async fn weights(state: &AppState, target: &ChatTarget, run: &RunRow) -> Result<Weights, Fault> {
    let checkpoints = runs::checkpoints(state, &run.summary.id).await?;
    let Some(chosen) = chosen(&checkpoints, run.spec.hyper.load_best_model_at_end) else {
        let none = Problem::new(Code::RunNoCheckpoint, "This run has no checkpoint yet.");
        return Err(none.hint("Wait for the first.").into());
    };
    let step = target.step.unwrap_or(chosen.step);
    let key = CheckpointKey { run: run.summary.id.clone(), step };
    let found = chain::find(state, &key, "step").await.map_err(|_| {
        Problem::new(Code::RunNoSuchCheckpoint, format!("The checkpoint of step {step} is gone."))
            .with("step", step)
    })?;
    let chain: Vec<_> = run.spec.chain_to(found);
    if let Some(gone) = chain.iter().find(|link| !Path::new(&link.folder).is_dir()) {
        let (step, name) = (gone.step, &gone.name);
        let message = format!("The checkpoint of step {step} of \"{name}\" is not there any more.");
        return Err(Problem::new(Code::ChainGone, message)
            .with("step", step)
            .with("name", name)
            .hint("This run was trained on top of it.")
            .into());
    }
    let chain = chain.into_iter().map(|link| PathBuf::from(link.folder)).collect();
    Ok(Weights { model: PathBuf::from(&run.spec.model.folder), chain })
}
