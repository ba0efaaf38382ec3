//! From a draft to a queued run.

use contract::Code;
use contract::check::{Checked, check};
use contract::dataset::{DataFormat, DatasetView};
use contract::model::ModelView;
use contract::reading::FirstQuestion;
use contract::run::RunSummary;
use contract::spec::{DatasetRef, Draft, FORMAT, ModelRef, RunSpec};
use contract::targets::missing;
use contract::trash::Kind;
use contract::{Problem, RunId, RunState, Stage, label};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{chain, datasets, pins, room};
use crate::error::Fault;
use crate::readers::Lane;
use crate::state::AppState;
use crate::store::datasets::DatasetRow;
use crate::store::inputs;
use crate::store::launching::LaunchKey;
use crate::store::runs::RunRow;

/// Longest key of a launch, characters.
const LONGEST_KEY: usize = 200;

/// The key by which a client may ask for the launch of `asked` again (R5).
///
/// # Errors
/// One that is empty, too long, or not of printable ASCII.
pub fn key(key: &str, asked: &impl Serialize) -> Result<LaunchKey, Fault> {
    if key.is_empty() || key.len() > LONGEST_KEY || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let text = format!("The key of a launch has 1 to {LONGEST_KEY} letters, digits or signs.");
        return Err(Problem::new(Code::FormUnknownChoice, text).field("idempotency_key").into());
    }
    let asked = format!("{:x}", Sha256::digest(serde_json::to_vec(asked)?));
    Ok(LaunchKey { key: key.to_owned(), asked })
}

/// Checks a draft in words and against what is there, then queues it. Asked again under the same key, it answers with the
/// run that it made (R5).
pub async fn launch(state: &AppState, draft: &Draft, key: Option<LaunchKey>) -> Result<RunId, Fault> {
    // The same request again waits for the first, and does none of its work.
    let mut turn = None;
    if let Some(key) = &key {
        turn = state.lanes.turn(format!("launch {}", key.key)).await;
        if let Some(run) = state.store.launched(key).await? {
            return Ok(run);
        }
    }
    let _turn = turn;
    let row = checked(state, draft, false).await?;
    enter(state, row, key.as_ref()).await
}

/// Launches the tour's run.
pub(super) async fn tour(state: &AppState, draft: &Draft) -> Result<RunId, Fault> {
    let row = checked(state, draft, true).await?;
    enter(state, row, None).await
}

/// Queues a run that was checked: what it stands on is pinned first.
async fn enter(state: &AppState, row: RunRow, key: Option<&LaunchKey>) -> Result<RunId, Fault> {
    let pins = inputs::pins(&row.spec);
    pins::hold(state, &pins).await?;
    let launched = state.store.launch(&row, key).await;
    if !matches!(&launched, Ok(Ok(run)) if *run == row.summary.id) {
        pins::release(state, &pins).await;
    }
    let run = launched?.map_err(|lacking| {
        let field = if lacking.kind == Kind::Run { "adapters" } else { lacking.kind.key() };
        Problem::not_found(lacking.kind.key()).field(field)
    })?;
    state.wake.notify_one();
    Ok(run)
}

async fn checked(state: &AppState, draft: &Draft, tour: bool) -> Result<RunRow, Fault> {
    let checked = check(draft).map_err(Fault::Problems)?;
    let dataset = state.store.dataset(&checked.dataset).await?;
    let model = state.store.model(&checked.model).await?;
    let mut problems = Vec::new();
    if let Err(problem) = fits(dataset.as_ref().map(|row| &row.view), checked.stage) {
        problems.push(problem);
    }
    let mut more = Vec::new();
    for id in &checked.more_datasets {
        let further = state.store.dataset(id).await?;
        match fits(further.as_ref().map(|row| &row.view), checked.stage) {
            Err(problem) => problems.push(problem.field("more_datasets")),
            Ok(()) => more.extend(further),
        }
    }
    if let Err(problem) = speaks(model.as_ref(), &checked) {
        problems.push(problem);
    }
    let shape = model.as_ref().and_then(|model| model.facts.as_ref()?.shape.as_ref());
    problems.extend(shape.map_or(Vec::new(), |shape| missing(&checked.hyper, checked.tuning, &shape.block)));
    let (Some(dataset), Some(model), true) = (dataset, model, problems.is_empty()) else {
        return Err(Fault::Problems(problems));
    };
    let all: Vec<_> = std::iter::once(&dataset).chain(&more).collect();
    if let Some(problem) =
        model.facts.as_ref().and_then(|facts| room::too_large(state, &checked, &all, facts))
    {
        return Err(problem.into());
    }
    let row = queued(state, checked, (&dataset, &more), &model, tour).await?;
    let spec = row.spec.clone();
    // Manifests and headers only: milliseconds.
    let problems = tokio::task::spawn_blocking(move || rundir::chain::problems(&spec)).await?;
    if !problems.is_empty() {
        return Err(Fault::Problems(problems));
    }
    Ok(row)
}

fn fits(dataset: Option<&DatasetView>, stage: Stage) -> Result<(), Problem> {
    let Some(dataset) = dataset else { return Err(Problem::not_found("dataset").field("dataset")) };
    let found = &dataset.inspection;
    if found.usable_in(stage) > 0 {
        return Ok(());
    }
    if !found.mapping.format.fits(stage) {
        let (message, hint) = match found.mapping.format {
            DataFormat::Text => (
                "Plain text has no answers to learn from.",
                "Choose pre-training (pt), or a dataset with questions and answers.",
            ),
            _ => (
                "This goal compares two answers, and the rows hold one.",
                "Choose a dataset of pairs, or map its better and its worse answer.",
            ),
        };
        return Err(Problem::new(Code::FormStageFormat, message).field("stage").hint(hint));
    }
    let hint = match found.usable {
        0 => "Open the dataset and choose which columns are the question and the answer.".to_owned(),
        _ => format!("Its rows suit {}; choose that goal, or a dataset with answers.", found.suited().key()),
    };
    Err(Problem::new(Code::DatasetNoUsableRows, "No row of this dataset can teach.")
        .field("dataset")
        .hint(hint))
}

fn speaks(model: Option<&ModelView>, checked: &Checked) -> Result<(), Problem> {
    let Some(model) = model else { return Err(Problem::not_found("model").field("model")) };
    let Some(facts) = model.facts.as_ref().filter(|_| model.state == "ready") else {
        return Err(Problem::new(Code::ModelNotReady, format!("{} is not ready.", model.name))
            .with("name", &model.name)
            .field("model")
            .hint("Wait until its import is complete, or choose another model."));
    };
    if checked.template == contract::templates::MODEL_TEMPLATE
        && !facts.has_chat_template
        && checked.stage != Stage::Pt
    {
        return Err(Problem::new(
            Code::FormNoChatTemplate,
            format!("{} brings no chat template.", model.name),
        )
        .field("template")
        .hint("Choose one of the built-in templates, for example default."));
    }
    Ok(())
}

async fn queued(
    state: &AppState,
    checked: Checked,
    (dataset, more): (&DatasetRow, &[DatasetRow]),
    model: &ModelView,
    tour: bool,
) -> Result<RunRow, Fault> {
    let now = state.clock.now_ms();
    let view = &dataset.view;
    let name = match checked.name.as_str() {
        "" => label::cleaned(&format!("{} on {}", model.name, view.name), label::MAX_NAME),
        name => name.to_owned(),
    };
    let names: Vec<_> = std::iter::once(dataset).chain(more).map(|row| row.view.name.as_str()).collect();
    let chain = chain::resolve(state, &checked).await?;
    let spec = RunSpec {
        format: FORMAT,
        run: RunId(state.ids.next()),
        name: name.clone(),
        stage: checked.stage,
        tuning: checked.tuning,
        model: ModelRef {
            id: model.id.clone(),
            name: model.name.clone(),
            folder: state.model_folder(&model.id).to_string_lossy().into_owned(),
            digest: model.facts.as_ref().map(|facts| facts.digest.clone()).unwrap_or_default(),
        },
        dataset: dataset_ref(state, dataset),
        more_datasets: more.iter().map(|row| dataset_ref(state, row)).collect(),
        prepared: state.config.folder("prepared").to_string_lossy().into_owned(),
        template: checked.template,
        system: checked.system,
        hyper: checked.hyper,
        adapters: chain.adapters,
        reward_model: chain.reward_model,
        brought: None,
    };
    let asked = FirstQuestion { stored: datasets::stored(state, dataset), stage: spec.stage };
    let suggestion = state.readers.ask(Lane::Launch, asked).await?;
    Ok(RunRow {
        summary: RunSummary {
            id: spec.run.clone(),
            name,
            state: RunState::Queued,
            stage: spec.stage,
            tuning: spec.tuning,
            model_name: model.name.clone(),
            dataset_name: names.join(" + "),
            step: 0,
            total_steps: 0,
            remaining_s: None,
            loss: None,
            eval_loss: None,
            created_ms: now,
            updated_ms: now,
            brought: false,
        },
        model: model.id.clone(),
        dataset: view.id.clone(),
        suggestion,
        tour,
        attempt: 0,
        problem: None,
        spec,
    })
}

fn dataset_ref(state: &AppState, row: &DatasetRow) -> DatasetRef {
    let view = &row.view;
    DatasetRef {
        id: view.id.clone(),
        name: view.name.clone(),
        file: datasets::file(state, row).to_string_lossy().into_owned(),
        kind: view.inspection.kind,
        mapping: view.inspection.mapping.clone(),
        sha256: view.sha256.clone(),
        rows: view.inspection.rows,
        texts: datasets::texts(row),
    }
}
