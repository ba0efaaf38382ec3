//! What a person has typed so far, and what is wrong with it.

use std::collections::BTreeMap;

use contract::chat::Voice;
use contract::check::check;
use contract::checkup::CheckupRequest;
use contract::dataset::{Behaviour, DatasetView, PreviewRequest, source_prefixes};
use contract::measuring::{Measuring, Rows};
use contract::model::{ModelView, TensorShape};
use contract::params::{Hyper, param};
use contract::plan::Plan;
use contract::spec::{CheckpointKey, Draft};
use contract::templates::suggest;
use contract::{DatasetId, ModelId, Problem, Stage, Tuning, targets};
use leptos::prelude::*;

/// The form; copyable, its parts are signals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    /// Everything typed.
    pub(crate) draft: RwSignal<Draft>,
    /// Whether the button was pressed once: from then on missing choices are named too.
    pub(crate) tried: RwSignal<bool>,
    /// What the server refused.
    pub(crate) refused: RwSignal<Vec<Problem>>,
    /// Models and datasets to choose from.
    pub(crate) models: StoredValue<Vec<ModelView>>,
    /// Datasets.
    pub(crate) datasets: StoredValue<Vec<DatasetView>>,
    /// Checkpoints of earlier runs.
    pub(crate) voices: StoredValue<Vec<Voice>>,
}

/// What the address of the form asks for; empty where it asks for nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked<'a> {
    /// Model id.
    pub(crate) model: &'a str,
    /// Dataset id.
    pub(crate) dataset: &'a str,
    /// Checkpoint to start from, `RUN:STEP`.
    pub(crate) from: &'a str,
    /// Stage key.
    pub(crate) stage: &'a str,
    /// Tuning key.
    pub(crate) tuning: &'a str,
}

/// Whether a stage can learn from any row of a dataset. One whose columns have yet to be named fits none.
pub(crate) fn fits(dataset: &DatasetView, stage: Stage) -> bool {
    dataset.inspection.usable_in(stage) > 0
}

/// The template a model starts with.
pub(crate) fn template_for(models: &[ModelView], model: &str) -> String {
    let model = models.iter().find(|m| m.id.0 == model);
    let facts = model.and_then(|m| m.facts.as_ref());
    let own = facts.is_none_or(|facts| facts.has_chat_template);
    let architecture = facts.map_or("", |facts| facts.architecture.as_str());
    suggest(model.map_or("", |m| m.name.as_str()), architecture, own).to_owned()
}

/// The form as it opens: asked-for choices, else the starter model and the newest dataset that fits.
pub(crate) fn first_draft(models: &[ModelView], datasets: &[DatasetView], asked: (&str, &str)) -> Draft {
    let model = models.iter().find(|m| m.id.0 == asked.0);
    let model = model.or_else(|| models.iter().find(|m| m.starter)).or(models.first());
    let dataset = datasets.iter().find(|d| d.id.0 == asked.1);
    let dataset = dataset.or_else(|| datasets.iter().find(|d| fits(d, Stage::Sft))).or(datasets.first());
    let stage = match dataset {
        Some(dataset) if dataset.inspection.usable > 0 && !fits(dataset, Stage::Sft) => {
            dataset.inspection.suited()
        }
        _ => Stage::Sft,
    };
    let scratch = model.and_then(|m| m.facts.as_ref()).is_some_and(|facts| facts.source == "scratch");
    let full = stage == Stage::Pt || (scratch && !stage.wants_lora());
    let tuning = if full { Tuning::Full } else { Tuning::Lora };
    let model = model.map(|m| m.id.0.clone()).unwrap_or_default();
    Draft {
        template: template_for(models, &model),
        model,
        dataset: dataset.map(|d| d.id.0.clone()).unwrap_or_default(),
        stage: stage.key().to_owned(),
        tuning: tuning.key().to_owned(),
        ..Draft::default()
    }
}

impl Form {
    /// The draft that an address asks for.
    pub(crate) fn first(
        models: &[ModelView],
        datasets: &[DatasetView],
        voices: &[Voice],
        asked: Asked<'_>,
        values: BTreeMap<String, String>,
    ) -> Draft {
        let mut draft = first_draft(models, datasets, (asked.model, asked.dataset));
        if let Some(from) = CheckpointKey::parse(asked.from) {
            draft.adapters = asked.from.to_owned();
            // It is asked as it was trained (S-222).
            let from = Some(from);
            if let Some(voice) = voices.iter().find(|voice| voice.checkpoint() == from) {
                draft.template.clone_from(&voice.template);
                draft.system = voice.systems.first().cloned().unwrap_or_default();
            }
        }
        if let Some(stage) = Stage::parse(asked.stage) {
            draft.stage = stage.key().to_owned();
        }
        if let Some(tuning) = Tuning::parse(asked.tuning) {
            draft.tuning = tuning.key().to_owned();
        }
        draft.values = values;
        draft
    }

    /// A form over what there is to choose from.
    pub(crate) fn new(
        models: Vec<ModelView>,
        datasets: Vec<DatasetView>,
        voices: Vec<Voice>,
        draft: Draft,
    ) -> Self {
        Self {
            draft: RwSignal::new(draft),
            tried: RwSignal::new(false),
            refused: RwSignal::default(),
            models: StoredValue::new(models),
            datasets: StoredValue::new(datasets),
            voices: StoredValue::new(voices),
        }
    }

    /// Changes the draft; what the server said of the old one is forgotten.
    pub(crate) fn change(self, change: impl FnOnce(&mut Draft)) {
        self.draft.update(change);
        if !self.refused.with_untracked(Vec::is_empty) {
            self.refused.set(Vec::new());
        }
    }

    /// Chooses a model and the template that goes with it; checkpoints of another model are let go.
    pub(crate) fn choose_model(self, model: String) {
        let template = self.models.with_value(|models| template_for(models, &model));
        self.change(|draft| {
            draft.model = model;
            draft.template = template;
            draft.adapters.clear();
            draft.reward_model.clear();
        });
    }

    /// Chooses a stage; a dataset that does not fit gives way to one that does.
    pub(crate) fn choose_stage(self, stage: Stage) {
        let datasets = self.datasets.get_value();
        // A reward model is measured and trained as one; everything else starts from what answers.
        let chosen = self.draft.with_untracked(|draft| CheckpointKey::parse(&draft.adapters));
        let judge = chosen.is_some()
            && self
                .voices
                .with_value(|voices| voices.iter().any(|voice| voice.judges && voice.checkpoint() == chosen));
        self.change(|draft| {
            draft.stage = stage.key().to_owned();
            let measures = draft.tuning == Tuning::None.key() && stage != Stage::Ppo;
            if stage.wants_lora() && !measures {
                draft.tuning = Tuning::Lora.key().to_owned();
            }
            if stage != Stage::Ppo {
                draft.reward_model.clear();
            }
            let keeps = match stage {
                Stage::Rm => judge || !measures,
                _ => !judge,
            };
            if !keeps {
                draft.adapters.clear();
            }
            if stage != Stage::Sft {
                // Its field goes away, and what cannot be seen must not be refused (S-053).
                draft.values.remove("predict_with_generate");
            }
            let keeps = datasets.iter().any(|d| d.id.0 == draft.dataset && fits(d, stage));
            draft.more_datasets.clear();
            if !keeps {
                let other = datasets.iter().find(|d| fits(d, stage));
                draft.dataset = other.map(|d| d.id.0.clone()).unwrap_or_default();
            }
        });
    }

    /// The tensors of a block of the chosen model, where they are known.
    pub(crate) fn block(self) -> Option<Vec<TensorShape>> {
        let chosen = self.draft.with(|draft| draft.model.clone());
        self.models.with_value(|models| {
            let model = models.iter().find(|model| model.id.0 == chosen)?;
            Some(model.facts.as_ref()?.shape.as_ref()?.block.clone())
        })
    }

    /// Stage chosen.
    pub(crate) fn stage(self) -> Stage {
        self.draft.with(|draft| Stage::parse(&draft.stage).unwrap_or(Stage::Sft))
    }

    /// Method chosen.
    pub(crate) fn tuning(self) -> Tuning {
        self.draft.with(|draft| Tuning::parse(&draft.tuning).unwrap_or(Tuning::Lora))
    }

    /// Every problem worth showing now: of what was typed always, of what is missing once tried.
    pub(crate) fn problems(self) -> Vec<Problem> {
        let tried = self.tried.get();
        let mut problems = self.draft.with(|draft| {
            let typed =
                |problem: &Problem| problem.form_key().is_some_and(|key| draft.values.contains_key(key));
            check(draft)
                .err()
                .unwrap_or_default()
                .into_iter()
                .filter(|p| tried || typed(p))
                .collect::<Vec<_>>()
        });
        problems.extend(self.missing_layers());
        problems.extend(self.refused.get());
        problems
    }

    /// Chosen layers that the model does not have (S-040).
    fn missing_layers(self) -> Vec<Problem> {
        let (stage, tuning) = (self.stage(), self.tuning());
        let hyper = self.draft.with(|draft| Hyper::read(&draft.values, stage, tuning).ok());
        let found = hyper.zip(self.block());
        found.map(|(hyper, block)| targets::missing(&hyper, tuning, &block)).unwrap_or_default()
    }

    /// The problem of one field.
    pub(crate) fn problem_of(self, key: &str) -> Option<Problem> {
        self.problems().into_iter().find(|problem| problem.form_key() == Some(key))
    }

    /// Rows learned from, rounds, steps; `None` while something is missing or wrong.
    pub(crate) fn plan(self) -> Option<Plan> {
        let draft = self.draft.get();
        let (stage, tuning) = (self.stage(), self.tuning());
        let usable = self.datasets.with_value(|datasets| {
            let rows =
                |id: &str| datasets.iter().find(|d| d.id.0 == id).map(|d| d.inspection.usable_in(stage));
            let more = draft.more_datasets.split(',').filter_map(rows);
            Some(std::iter::once(rows(&draft.dataset)?).chain(more).collect::<Vec<_>>())
        })?;
        Some(Plan::of(&usable, &Hyper::read(&draft.values, stage, tuning).ok()?, stage))
    }

    /// Where nothing learns: how many questions are answered; else `None`.
    pub(crate) fn answers(self) -> Option<u64> {
        let (stage, tuning) = (self.stage(), self.tuning());
        let hyper = self.draft.with(|draft| Hyper::read(&draft.values, stage, tuning)).ok()?;
        let rows = Rows { train: 0, eval: self.plan()?.held, streamed: false };
        (!tuning.learns()).then(|| Measuring::plan(&hyper, stage, tuning, rows).answers)
    }

    /// What the server is asked about the rows of each dataset; `None` while something is missing or wrong.
    pub(crate) fn checkups(self) -> Option<Vec<CheckupRequest>> {
        self.draft.with(|draft| {
            let stage = Stage::parse(&draft.stage)?;
            let hyper = Hyper::read(&draft.values, stage, Tuning::parse(&draft.tuning)?).ok()?;
            let more = draft.more_datasets.split(',').filter(|id| !id.is_empty());
            let datasets: Option<Vec<_>> =
                std::iter::once(draft.dataset.as_str()).chain(more).map(DatasetId::parse).collect();
            let texts = (draft.template.as_str(), draft.system.trim());
            CheckupRequest::sampling(&datasets?, &ModelId::parse(&draft.model)?, stage, texts, &hyper)
        })
    }

    /// Ids and names of the chosen datasets, in the order in which they are read.
    pub(crate) fn chosen_datasets(self) -> Vec<(String, String)> {
        let ids = self.draft.with(dataset_ids);
        self.datasets.with_value(|all| {
            let name = |id: String| {
                let name = all.iter().find(|one| one.id.0 == id).map(|one| one.name.clone());
                name.map(|name| (id, name))
            };
            ids.into_iter().filter_map(name).collect()
        })
    }

    /// What the preview needs of a row of one of the chosen datasets, counted from 0; `None` while something is missing or
    /// wrong.
    pub(crate) fn preview_request(self, which: usize, row: u64) -> Option<PreviewRequest> {
        self.draft.with(|draft| {
            let stage = Stage::parse(&draft.stage)?;
            let hyper = Hyper::read(&draft.values, stage, Tuning::parse(&draft.tuning)?).ok();
            let limit = |get: fn(&Hyper) -> usize| hyper.as_ref().map_or(512, get);
            let datasets = dataset_ids(draft);
            let which = if which < datasets.len() { which } else { 0 };
            // The dataset's own system text goes before that of the run, as in training.
            let prefix = hyper.as_ref().and_then(|hyper| {
                let mut prefixes = source_prefixes(&hyper.source_prefix, datasets.len()).ok()?;
                prefixes.swap_remove(which).filter(|text| !text.is_empty())
            });
            Some(PreviewRequest {
                dataset: DatasetId::parse(datasets.get(which)?)?,
                model: ModelId::parse(&draft.model)?,
                stage,
                template: draft.template.clone(),
                system: prefix.unwrap_or_else(|| draft.system.trim().to_owned()),
                max_source_length: limit(|hyper| hyper.max_source_length),
                max_target_length: limit(|hyper| hyper.max_target_length),
                behaviour: hyper
                    .as_ref()
                    .and_then(|hyper| Behaviour::parse(&hyper.behaviour))
                    .unwrap_or_default(),
                control_tokens_in_text: hyper.as_ref().is_some_and(|hyper| hyper.control_tokens_in_text),
                row,
                in_block: true,
                block: None,
            })
        })
    }
}

/// Ids of the datasets of a draft, in the order in which they are read.
fn dataset_ids(draft: &Draft) -> Vec<String> {
    let more = draft.more_datasets.split(',').filter(|id| !id.is_empty());
    std::iter::once(draft.dataset.as_str()).chain(more).map(str::to_owned).collect()
}

/// What stands in a field: what was typed, else the default.
pub(crate) fn shown(draft: &Draft, key: &str, stage: Stage, tuning: Tuning) -> String {
    let default = || param(key).map_or("", |param| (param.default)(stage, tuning)).to_owned();
    draft.values.get(key).cloned().unwrap_or_else(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_147_the_datasets_of_a_mix_are_asked_for_in_the_order_in_which_they_are_read() {
        let draft = |more: &str| Draft {
            dataset: "b".to_owned(),
            more_datasets: more.to_owned(),
            ..Draft::default()
        };
        assert_eq!(dataset_ids(&draft("")), ["b"]);
        assert_eq!(dataset_ids(&draft("c,,a")), ["b", "c", "a"]);
    }

    #[test]
    fn a_field_shows_its_default_until_something_is_typed() {
        let mut draft = Draft::default();
        assert_eq!(shown(&draft, "learning_rate", Stage::Sft, Tuning::Full), "5e-5");
        draft.values.insert("learning_rate".to_owned(), String::new());
        assert_eq!(shown(&draft, "learning_rate", Stage::Sft, Tuning::Full), "");
    }
}
