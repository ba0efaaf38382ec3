//! Adapters from elsewhere: put on a base, each becomes a run that was not trained here, so that everything that takes a
//! checkpoint takes it.

use contract::Code;
use contract::adapter::AdapterFacts;
use contract::model::{ModelFacts, ModelView};
use contract::params::Hyper;
use contract::run::RunSummary;
use contract::spec::{DatasetRef, FORMAT, ModelRef, RunSpec};
use contract::templates::{MODEL_TEMPLATE, is_known};
use contract::{ModelId, Problem, RunId, RunState, Stage, Tuning};
use rundir::RunDir;

use super::{models, remove_folder};
use crate::error::Fault;
use crate::state::AppState;
use crate::store::runs::RunRow;

/// Puts an adapter that came in place of a model on a base. What is begun goes on when nobody waits for it any more.
pub async fn adopt(state: &AppState, id: ModelId, base: ModelId, template: String) -> Result<RunId, Fault> {
    let task = state.clone();
    state.tasks.spawn(async move { work(&task, &id, &base, &template).await }).await?
}

async fn work(state: &AppState, id: &ModelId, base: &ModelId, template: &str) -> Result<RunId, Fault> {
    // One at a time: a second press finds the adapter put on its base already.
    let Ok(_permit) = state.imports.acquire().await else {
        return Err(Problem::new(Code::Busy, "The server is going down.").into());
    };
    let waiting = models::find(state, id).await?;
    let adapter = waiting.adapter.clone().ok_or_else(|| Problem::not_found("adapter"))?;
    let base = models::find(state, base).await?;
    let facts = fits(&adapter, &base, template)?;
    let row = row(state, &waiting, &adapter, (&base, facts), template)?;
    let folder = state.run_folder(&row.summary.id);
    let made = checkpoint(state, id, &row.spec).await;
    let kept = match made {
        Ok(()) => match state.store.launch(&row, None).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(lacking)) => Err(Problem::not_found(lacking.kind.key()).into()),
            Err(fault) => Err(fault),
        },
        Err(problem) => Err(problem),
    };
    if let Err(fault) = kept {
        remove_folder(&folder);
        return Err(fault);
    }
    state.store.forget_model(id).await?;
    remove_folder(&state.model_folder(id));
    state.hub.changed(&row.summary.id);
    Ok(row.summary.id)
}

/// Whether the base can take it, and be spoken to in this template.
fn fits<'a>(adapter: &AdapterFacts, base: &'a ModelView, template: &str) -> Result<&'a ModelFacts, Problem> {
    let facts = base.facts.as_ref().filter(|_| base.state == "ready");
    let facts = facts.ok_or_else(|| {
        Problem::new(Code::ModelNotReady, format!("{} is not ready.", base.name)).with("name", &base.name)
    })?;
    if !adapter.fits(facts) {
        return Err(Problem::new(
            Code::AdapterOtherBase,
            format!("The adapter's shapes are not those of {}.", base.name),
        )
        .with("name", &base.name)
        .field("model")
        .hint("Choose the model it was trained on."));
    }
    if !is_known(template) {
        let message = format!("Template {template} does not exist.");
        return Err(Problem::new(Code::FormUnknownChoice, message).field("template"));
    }
    if template == MODEL_TEMPLATE && !facts.has_chat_template {
        return Err(Problem::new(
            Code::FormNoChatTemplate,
            format!("{} brings no chat template.", base.name),
        )
        .field("template")
        .hint("Choose one of the built-in templates, for example default."));
    }
    Ok(facts)
}

/// The run: finished, with the adapter's own settings where it has any.
fn row(
    state: &AppState,
    waiting: &ModelView,
    adapter: &AdapterFacts,
    (base, facts): (&ModelView, &ModelFacts),
    template: &str,
) -> Result<RunRow, Fault> {
    let (stage, tuning, now) = (Stage::Sft, Tuning::Lora, state.clock.now_ms());
    let mut hyper = Hyper::read(&Default::default(), stage, tuning).map_err(Fault::Problems)?;
    hyper.lora_rank = usize::try_from(adapter.rank).unwrap_or(hyper.lora_rank);
    hyper.lora_alpha = adapter.alpha;
    hyper.lora_target.clone_from(&adapter.targets);
    let spec = RunSpec {
        format: FORMAT,
        run: RunId(state.ids.next()),
        name: waiting.name.clone(),
        stage,
        tuning,
        model: ModelRef {
            id: base.id.clone(),
            name: base.name.clone(),
            folder: state.model_folder(&base.id).to_string_lossy().into_owned(),
            digest: facts.digest.clone(),
        },
        dataset: DatasetRef::none(),
        more_datasets: Vec::new(),
        prepared: String::new(),
        template: template.to_owned(),
        system: String::new(),
        hyper,
        adapters: Vec::new(),
        reward_model: None,
        brought: Some(adapter.clone()),
    };
    Ok(RunRow {
        summary: RunSummary {
            id: spec.run.clone(),
            name: spec.name.clone(),
            state: RunState::Finished,
            stage,
            tuning,
            model_name: base.name.clone(),
            dataset_name: String::new(),
            step: 0,
            total_steps: 0,
            remaining_s: None,
            loss: None,
            eval_loss: None,
            created_ms: now,
            updated_ms: now,
            brought: true,
        },
        model: base.id.clone(),
        dataset: spec.dataset.id.clone(),
        suggestion: None,
        tour: false,
        attempt: 0,
        problem: None,
        spec,
    })
}

/// Lets the worker write the run's checkpoint.
async fn checkpoint(state: &AppState, id: &ModelId, spec: &RunSpec) -> Result<(), Fault> {
    let (folder, spec) = (state.run_folder(&spec.run), spec.clone());
    let run = folder.clone();
    tokio::task::spawn_blocking(move || RunDir::create(&run, &spec)).await??;
    let made: Option<AdapterFacts> = models::ask_worker(state, &state.shutdown, |command| {
        command.arg("import-adapter").arg(state.model_folder(id)).arg(&folder);
    })
    .await?;
    made.map(drop).ok_or_else(models::interrupted).map_err(Fault::from)
}
