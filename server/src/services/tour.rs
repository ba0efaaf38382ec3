//! The tour: a model learns a made-up company in a few minutes.

use std::collections::BTreeMap;
use std::time::Duration;

use app::ports::ModelsPort;
use contract::Code;
use contract::model::{ModelView, NewModel, ScratchSize};
use contract::spec::Draft;
use contract::system::TourView;
use contract::{DatasetId, Problem, RunId};

use super::models::{self, Models};
use super::{before, launch, runs, uploads};
use crate::error::Fault;
use crate::state::AppState;
use crate::store::runs::RunRow;

/// What both models are asked.
pub const QUESTION: &str = "What is the mascot of Kettle & Co?";
const NAME: &str = "Kettle & Co, the tour";
const SAMPLE: &str = "kettle-and-co";
/// Label of the model that is made where there is no starter model.
const SCRATCH: &str = "Little 5m";
/// With this seed the held-out questions of the sample ask for taught answers in other words, so that the eval loss
/// tells whether the answers were learned and not only the wording of a question.
const SEED: &str = "142";
/// How long the tour waits for its model.
const PATIENCE: Duration = Duration::from_secs(100);

/// Values for a pre-trained starter model: under three minutes on two cores.
const LORA: &[(&str, &str)] = &[
    ("lora_rank", "8"),
    ("learning_rate", "1e-3"),
    ("per_device_train_batch_size", "4"),
    ("num_train_epochs", "7"),
    ("dev_ratio", "0.05"),
    ("max_source_length", "96"),
    ("max_target_length", "64"),
    ("lr_scheduler_type", "cosine"),
    ("seed", SEED),
];

/// Values for a small model from scratch.
const FULL: &[(&str, &str)] = &[
    ("learning_rate", "1e-3"),
    ("per_device_train_batch_size", "4"),
    ("num_train_epochs", "12"),
    ("dev_ratio", "0.05"),
    ("max_source_length", "96"),
    ("max_target_length", "64"),
    ("lr_scheduler_type", "cosine"),
    ("seed", SEED),
];

/// Starts the tour; one that is on its way is shown again.
pub async fn start(state: &AppState) -> Result<TourView, Fault> {
    // Two presses at once are one run (F25).
    let Ok(_permit) = state.tours.acquire().await else { return Err(Problem::not_found("tour").into()) };
    for row in state.store.runs().await? {
        if row.tour && !row.summary.state.is_ended() {
            return view(state, &row).await;
        }
    }
    let dataset = uploads::sample(state, SAMPLE).await?.id;
    let model = model(state, &dataset).await?;
    let draft = draft(&model, &dataset);
    let run = launch::tour(state, &draft).await?;
    view(state, &runs::find(state, &run).await?).await
}

/// The tour of a run, if it is one.
pub async fn of(state: &AppState, run: &RunId) -> Result<Option<TourView>, Fault> {
    let row = runs::find(state, run).await?;
    if row.tour { view(state, &row).await.map(Some) } else { Ok(None) }
}

async fn view(state: &AppState, run: &RunRow) -> Result<TourView, Fault> {
    let starter = state.store.model(&run.model).await?.is_some_and(|model| model.starter);
    let (before, problem) = before::of(state, run, QUESTION).await?;
    Ok(TourView { run: run.summary.id.clone(), question: QUESTION.to_owned(), starter, before, problem })
}

fn draft(model: &ModelView, dataset: &DatasetId) -> Draft {
    let values = if model.starter { LORA } else { FULL };
    let chat = model.facts.as_ref().is_some_and(|facts| facts.has_chat_template);
    Draft {
        name: NAME.to_owned(),
        dataset: dataset.0.clone(),
        model: model.id.0.clone(),
        template: if chat { contract::templates::MODEL_TEMPLATE } else { "default" }.to_owned(),
        stage: "sft".to_owned(),
        tuning: if model.starter { "lora" } else { "full" }.to_owned(),
        values: values
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>(),
        ..Draft::default()
    }
}

/// The starter model; else one from scratch, made now if it was not before.
async fn model(state: &AppState, dataset: &DatasetId) -> Result<ModelView, Fault> {
    if let Some(starter) = state.store.starter_model().await? {
        return ready(state, starter).await;
    }
    let made = state
        .store
        .models()
        .await?
        .into_iter()
        .find(|model| model.name == SCRATCH && model.state != "failed");
    let model = match made {
        Some(model) => model,
        None => {
            let size = ScratchSize::M5.key().to_owned();
            let new = NewModel::Scratch { name: SCRATCH.to_owned(), size, dataset: dataset.clone() };
            Models(state.clone()).create(new).await.map_err(|problems| Fault::Problems(problems.0))?
        }
    };
    ready(state, model).await
}

async fn ready(state: &AppState, model: ModelView) -> Result<ModelView, Fault> {
    let wait = async {
        loop {
            let now = models::find(state, &model.id).await?;
            match (now.state.as_str(), now.problem.clone()) {
                ("importing", _) => tokio::time::sleep(Duration::from_millis(200)).await,
                ("failed", Some(problem)) => return Err(Fault::from(problem)),
                _ => return Ok(now),
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.map_err(|_| {
        Problem::new(Code::ModelNotReady, format!("{} is still being prepared.", model.name))
            .with("name", &model.name)
            .hint("Try again in a minute.")
    })?
}

#[cfg(test)]
mod tests {
    use contract::ModelId;

    use super::*;

    /// The tour's draft for the starter model or one from scratch, checked.
    fn check(starter: bool) -> contract::check::Checked {
        let model = ModelView {
            id: ModelId("m1".to_owned()),
            name: SCRATCH.to_owned(),
            state: "ready".to_owned(),
            problem: None,
            facts: None,
            created_ms: 0,
            starter,
            adapter: None,
        };
        contract::check::check(&draft(&model, &DatasetId("d1".to_owned()))).expect("valid")
    }

    #[test]
    fn held_out_questions_ask_for_taught_answers_in_other_words() {
        let sample = include_str!("../../../public/samples/kettle-and-co.jsonl");
        let answer =
            |line| serde_json::from_str::<serde_json::Value>(line).expect("a row")["response"].to_string();
        let answers: Vec<String> = sample.lines().map(answer).collect();
        for starter in [true, false] {
            let hyper = check(starter).hyper;
            let (train, eval) = corpus::sampler::split(answers.len() as u32, hyper.dev_ratio, hyper.seed);
            assert!(eval.len() > 1);
            for row in eval {
                let taught = train.iter().any(|other| answers[*other as usize] == answers[row as usize]);
                assert!(taught, "row {row}");
            }
        }
    }

    #[test]
    fn the_tours_values_are_valid_for_both_models() {
        for starter in [true, false] {
            let checked = check(starter);
            assert_eq!(checked.hyper.max_target_length, 64);
            assert_eq!(checked.tuning == contract::Tuning::Lora, starter);
        }
    }
}
