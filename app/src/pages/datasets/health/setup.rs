//! For which run the rows are counted: stage, model, template, limits.

use std::time::Duration;

use contract::checkup::{CheckupRequest, Holdout};
use contract::dataset::DatasetView;
use contract::model::ModelView;
use contract::params::Hyper;
use contract::{DatasetId, ModelId, Stage, Tuning};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::browser::value_of;
use crate::components::field::{Field, described_by};
use crate::components::part::Part;
use crate::forms::state::{fits, template_for};
use crate::forms::template_select::TemplateSelect;
use crate::words::words;

/// Pause after the last change before rows are counted anew.
const CALM: Duration = Duration::from_millis(500);

/// What was chosen; copyable, its parts are signals.
#[derive(Clone, Copy)]
pub(super) struct Setup {
    dataset: StoredValue<DatasetId>,
    models: StoredValue<Vec<ModelView>>,
    stages: StoredValue<Vec<Stage>>,
    stage: RwSignal<Stage>,
    /// Model id.
    pub(super) model: RwSignal<String>,
    template: RwSignal<String>,
    source: RwSignal<String>,
    target: RwSignal<String>,
    /// What is asked of the server; `None` while a limit is no number.
    pub(super) asked: RwSignal<Option<CheckupRequest>>,
}

/// What a run of the stage is set to unless a person says otherwise.
pub(super) fn usual(stage: Stage) -> Option<Hyper> {
    Hyper::read(&Default::default(), stage, Tuning::Lora).ok()
}

/// A limit as typed.
fn limit(text: &str) -> Option<usize> {
    text.trim().parse().ok().filter(|tokens| (2..=32_768).contains(tokens))
}

impl Setup {
    /// The stage that suits, and the asked-for (else the first) model. `None` when no stage fits.
    pub(super) fn new(dataset: &DatasetView, models: Vec<ModelView>) -> Option<Self> {
        let order = [Stage::Sft, Stage::Pt, Stage::Rm, Stage::Dpo, Stage::Ppo];
        let stages: Vec<Stage> = order.into_iter().filter(|stage| fits(dataset, *stage)).collect();
        let query = use_query_map().get_untracked();
        let asked =
            query.get("stage").and_then(|key| Stage::parse(&key)).filter(|stage| stages.contains(stage));
        let pairs = stages.iter().copied().find(|stage| stage.wants_pairs());
        let suited = Some(dataset.inspection.suited()).filter(|stage| stages.contains(stage));
        let stage = asked.or(pairs).or(suited).or_else(|| stages.first().copied())?;
        let wanted = query.get("model").unwrap_or_default();
        let model = models.iter().find(|m| m.id.0 == wanted).or_else(|| models.iter().find(|m| m.starter));
        let model = model.or(models.first())?.id.0.clone();
        let template = template_for(&models, &model);
        let setup = Self {
            dataset: StoredValue::new(dataset.id.clone()),
            stages: StoredValue::new(stages),
            stage: RwSignal::new(stage),
            template: RwSignal::new(template),
            model: RwSignal::new(model),
            models: StoredValue::new(models),
            source: RwSignal::new("512".to_owned()),
            target: RwSignal::new("512".to_owned()),
            asked: RwSignal::new(None),
        };
        setup.asked.set(setup.request());
        Some(setup)
    }

    fn request(self) -> Option<CheckupRequest> {
        Some(CheckupRequest {
            dataset: self.dataset.get_value(),
            model: ModelId(self.model.get()),
            stage: self.stage.get(),
            template: self.template.get(),
            max_source_length: limit(&self.source.get())?,
            max_target_length: limit(&self.target.get())?,
            behaviour: contract::dataset::Behaviour::Corrected,
            control_tokens_in_text: false,
            system: String::new(),
            sample: false,
            holdout: usual(self.stage.get())
                .map(|hyper| Holdout { dev_ratio: hyper.dev_ratio, seed: hyper.seed }),
        })
    }

    /// Both limits at once.
    pub(super) fn set_limits(self, tokens: u64) {
        self.source.set(tokens.to_string());
        self.target.set(tokens.to_string());
    }
}

fn stage_name(stage: Stage) -> &'static str {
    let w = &words().health;
    match stage {
        Stage::Pt => w.stage_pt,
        Stage::Sft => w.stage_sft,
        Stage::Rm => w.stage_rm,
        Stage::Ppo => w.stage_ppo,
        Stage::Dpo => w.stage_dpo,
    }
}

/// The questions.
#[component]
pub(super) fn SetupForm(setup: Setup) -> impl IntoView {
    let w = words();
    let timer = StoredValue::new(None::<TimeoutHandle>);
    Effect::new(move |before: Option<()>| {
        let request = setup.request();
        if before.is_none() {
            return;
        }
        if let Some(timer) = timer.get_value() {
            timer.clear();
        }
        let later = set_timeout_with_handle(
            move || {
                setup.asked.try_set(request);
            },
            CALM,
        );
        timer.set_value(later.ok());
    });
    let stages = setup.stages.get_value().into_iter().map(move |stage| {
        view! { <option value=stage.key() selected=move || setup.stage.get() == stage>{stage_name(stage)}</option> }
    });
    let models = setup.models.get_value().into_iter().map(move |model| {
        let id = model.id.0.clone();
        view! { <option value=model.id.0 selected=move || setup.model.with(|now| *now == id)>{model.name}</option> }
    });
    view! {
        <section class="card pad fields two-fields" aria-label=w.health.setup>
            <Field id="stage" label=w.health.stage>
                <select class="input" id="stage" on:change=move |event| {
                    if let Some(stage) = Stage::parse(&value_of(&event)) {
                        setup.stage.set(stage);
                    }
                }>{stages.collect_view()}</select>
            </Field>
            <Field id="model" label=w.runs.model>
                <select class="input" id="model" on:change=move |event| {
                    let model = value_of(&event);
                    setup.template.set(setup.models.with_value(|models| template_for(models, &model)));
                    setup.model.set(model);
                }>{models.collect_view()}</select>
            </Field>
            <Part when=move || setup.stage.get() != Stage::Pt><Template setup/></Part>
            <Limit id="source-limit" label=w.health.source_limit text=setup.source/>
            <Part when=move || setup.stage.get() != Stage::Pt>
                <Limit id="target-limit" label=words().health.target_limit text=setup.target/>
            </Part>
        </section>
    }
    .into_any()
}

#[component]
fn Template(setup: Setup) -> impl IntoView {
    let w = &words().runs;
    view! {
        <Field id="template" label=w.template>
            <TemplateSelect id="template" value=setup.template on_choose=Callback::new(move |chosen| setup.template.set(chosen))/>
        </Field>
    }
    .into_any()
}

#[component]
fn Limit(id: &'static str, label: &'static str, text: RwSignal<String>) -> impl IntoView {
    let wrong = words().health.limit_wrong;
    let error = Signal::derive(move || limit(&text.get()).is_none().then(|| wrong.to_owned()));
    view! {
        <Field id label error>
            <input class="input num" id=id type="text" inputmode="numeric" autocomplete="off" aria-describedby=described_by(id)
                prop:value=move || text.get() value=text.get_untracked() on:input=move |event| text.set(value_of(&event))/>
        </Field>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_whole_number_in_range() {
        assert_eq!(limit(" 512 "), Some(512));
        for bad in ["", "1", "32769", "-5", "5.0", "x"] {
            assert_eq!(limit(bad), None, "{bad}");
        }
    }
}
