//! The form for a new run: questions at the left, what the model will see at the right.

use contract::chat::Voice;
use contract::dataset::DatasetView;
use contract::model::ModelView;
use contract::param::Group;
use contract::params::PARAMS;
use contract::specification::SpecificationRead;
use contract::{Stage, Tuning};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::bar::Bar;
use super::cost::CostCard;
use super::from_file::FromFile;
use super::more_datasets::{MoreDatasets, without};
use super::start_from::{RewardModel, StartFrom};
use crate::browser::value_of;
use crate::components::field::{Field, described_by};
use crate::components::part::{Part, settled};
use crate::components::safe_textarea::SafeTextarea;
use crate::forms::foresight::foresee;
use crate::forms::param_field::Section;
use crate::forms::preview::PreviewPane;
use crate::forms::state::{Asked, Form, fits};
use crate::forms::template_select::TemplateSelect;
use crate::pages::Head;
use crate::ports::{Problems, list_voices, readable_datasets, readable_models};
use crate::words::amounts::{rows, weights};
use crate::words::{field_text, words};

/// The page.
#[component]
pub(crate) fn NewRun() -> impl IntoView {
    let w = &words().runs;
    let all = Resource::new(
        || (),
        |()| async {
            Ok::<_, Problems>((readable_models().await?, readable_datasets().await?, list_voices().await?))
        },
    );
    let measures = use_query_map()
        .with_untracked(|query| query.get("tuning").is_some_and(|key| key == Tuning::None.key()));
    let (title, text) = if measures { (w.measure, w.measure_text) } else { (w.new_title, w.new_text) };
    view! {
        <Head title text/>
        {settled(all, |(models, datasets, voices)| choose(models, datasets, voices))}
    }
    .into_any()
}

/// The form, or the step that comes before it.
fn choose(models: Vec<ModelView>, datasets: Vec<DatasetView>, voices: Vec<Voice>) -> AnyView {
    let w = &words().runs;
    let models: Vec<_> = models.into_iter().filter(|model| model.state == "ready").collect();
    let first = |text, href, go| {
        view! { <div class="card pad empty"><p>{text}</p><p><a class="btn primary" href=href>{go}</a></p></div> }.into_any()
    };
    if models.is_empty() {
        return first(w.need_model, "/models", w.need_model_go);
    }
    if datasets.is_empty() {
        return first(w.need_data, "/datasets", w.need_data_go);
    }
    let query = use_query_map().get_untracked();
    let asked = |key: &str| query.get(key).unwrap_or_default();
    let [model, dataset, from, stage, tuning] = ["model", "dataset", "from", "stage", "tuning"].map(asked);
    let asked = Asked { model: &model, dataset: &dataset, from: &from, stage: &stage, tuning: &tuning };
    // Settings travel in the address under their own names.
    let values = PARAMS.iter().filter_map(|param| Some((param.key.to_owned(), query.get(param.key)?)));
    let draft = Form::first(&models, &datasets, &voices, asked, values.collect());
    let given = RwSignal::new(None::<SpecificationRead>);
    let stock = StoredValue::new((models, datasets, voices));
    // A file that is read begins the form anew.
    let form = move || {
        let (models, datasets, voices) = stock.get_value();
        let draft = given.get().map_or_else(|| draft.clone(), |read| read.draft);
        fill_in(Form::new(models, datasets, voices, draft))
    };
    view! { <FromFile given/>{form} }.into_any()
}

/// The form itself.
fn fill_in(form: Form) -> AnyView {
    let taken = foresee(form);
    view! {
        <div class="new-run">
            <div class="questions">
                <Goal form/><Data form/><Size form/><CostCard taken/>
            </div>
            <PreviewPane form/>
        </div>
        <Bar form taken/>
    }
    .into_any()
}

fn error_of(form: Form, key: &'static str) -> Signal<Option<String>> {
    let lang = words().lang;
    Signal::derive(move || form.problem_of(key).map(|problem| field_text(lang, &problem)))
}

#[component]
fn Goal(form: Form) -> impl IntoView {
    let w = &words().runs;
    let stages = Stage::OFFERED.map(|stage| {
        let (name, text) = goal_words(stage);
        let on = move || form.stage() == stage;
        view! {
            <label class="choice card-choice">
                <input type="radio" name="stage" value=stage.key() checked=on prop:checked=on on:change=move |_| form.choose_stage(stage)/>
                <span><strong>{name}</strong><span class="small">{text}</span></span>
            </label>
        }
    });
    let tunings = [
        (Tuning::Lora, w.tuning_lora, w.tuning_lora_text),
        (Tuning::Full, w.tuning_full, w.tuning_full_text),
        (Tuning::Freeze, w.tuning_freeze, w.tuning_freeze_text),
        (Tuning::None, w.tuning_none, w.tuning_none_text),
    ]
    .map(|(tuning, name, text)| {
        let on = move || form.tuning() == tuning;
        let out = move || match form.stage() {
            Stage::Ppo => tuning != Tuning::Lora,
            stage => stage.wants_lora() && !tuning.keeps_base(),
        };
        view! {
            <label class="choice card-choice">
                <input type="radio" name="tuning" value=tuning.key() checked=on prop:checked=on disabled=out
                    on:change=move |_| form.change(|draft| draft.tuning = tuning.key().to_owned())/>
                <span><strong>{name}</strong><span class="small">{text}</span></span>
            </label>
        }
    });
    view! {
        <section class="form-section" aria-labelledby="goal">
            <h2 id="goal"><span class="step-number" aria-hidden="true">"1"</span>{w.goal}</h2>
            <fieldset class="choices"><legend class="visually-hidden">{w.goal}</legend>{stages.into_iter().collect_view()}</fieldset>
            <Field id="model" label=w.model error=error_of(form, "model")>
                <select class="input" id="model" aria-describedby=described_by("model") on:change=move |event| form.choose_model(value_of(&event))>
                    {model_options(form)}
                </select>
            </Field>
            <StartFrom form/>
            <Part when=move || form.stage() == Stage::Ppo><RewardModel form/></Part>
            <fieldset class="choices">
                <legend>{w.tuning}</legend>{tunings.into_iter().collect_view()}
                <Part when=move || form.stage().wants_lora()><p class="small">{w.goal_lora_only}</p></Part>
            </fieldset>
        </section>
    }
    .into_any()
}

fn goal_words(stage: Stage) -> (&'static str, &'static str) {
    let w = &words().runs;
    match stage {
        Stage::Sft => (w.goal_sft, w.goal_sft_text),
        Stage::Pt => (w.goal_pt, w.goal_pt_text),
        Stage::Rm => (w.goal_rm, w.goal_rm_text),
        Stage::Dpo => (w.goal_dpo, w.goal_dpo_text),
        Stage::Ppo => (w.goal_ppo, w.goal_ppo_text),
    }
}

fn model_options(form: Form) -> impl IntoView {
    form.models
        .get_value()
        .into_iter()
        .map(|model| {
            let id = model.id.0.clone();
            let selected = move || form.draft.with(|draft| draft.model == id);
            let size =
                model.facts.map(|facts| format!(" · {}", weights(facts.parameters))).unwrap_or_default();
            view! { <option value=model.id.0 selected=selected>{format!("{}{size}", model.name)}</option> }
        })
        .collect_view()
}

#[component]
fn Data(form: Form) -> impl IntoView {
    let w = words();
    let stage = Memo::new(move |_| form.stage());
    let fitting = move || {
        form.datasets.get_value().into_iter().filter(|dataset| fits(dataset, stage.get())).collect::<Vec<_>>()
    };
    let options = move || {
        fitting()
            .into_iter()
            .map(|dataset| {
                let id = dataset.id.0.clone();
                let selected = move || form.draft.with(|draft| draft.dataset == id);
                let count = rows(w.lang, dataset.inspection.usable_in(stage.get()));
                view! { <option value=dataset.id.0 selected=selected>{format!("{} · {count}", dataset.name)}</option> }
            })
            .collect_view()
    };
    let none = Memo::new(move |_| fitting().is_empty());
    view! {
        <section class="form-section" aria-labelledby="data">
            <h2 id="data"><span class="step-number" aria-hidden="true">"2"</span>{w.runs.data_section}</h2>
            <Field id="dataset" label=w.runs.dataset help=w.runs.dataset_fits error=error_of(form, "dataset")>
                <select class="input" id="dataset" aria-describedby=described_by("dataset") on:change=move |event| {
                    let chosen = value_of(&event);
                    form.change(|draft| {
                        draft.more_datasets = without(&draft.more_datasets, &chosen);
                        draft.dataset = chosen;
                    });
                }>{options}</select>
            </Field>
            <Part when=move || none.get()><p class="notice warn">{w.runs.dataset_none}" "<a class="link" href="/datasets">{w.runs.need_data_go}</a></p></Part>
            <Part when=move || stage.get() != Stage::Pt><Template form/></Part>
            <Section form groups=&[Group::Data]/>
        </section>
    }
    .into_any()
}

#[component]
fn Template(form: Form) -> impl IntoView {
    let w = &words().runs;
    let system = RwSignal::new(form.draft.with_untracked(|draft| draft.system.clone()));
    Effect::new(move |_| {
        let text = system.get();
        if form.draft.with_untracked(|draft| draft.system != text) {
            form.change(|draft| draft.system = text);
        }
    });
    view! {
        <Field id="template" label=w.template help=w.template_help error=error_of(form, "template")>
            <TemplateSelect id="template" value=Signal::derive(move || form.draft.with(|draft| draft.template.clone()))
                on_choose=Callback::new(move |chosen| form.change(|draft| draft.template = chosen))/>
        </Field>
        <Part when=move || form.draft.with(|draft| draft.template == "default")><p class="small" role="status">{w.template_default}</p></Part>
        <a class="link small" href="/templates">{words().templates.link}</a>
        <Field id="system" label=w.system unit=w.optional help=w.system_help>
            <SafeTextarea id="system" value=system rows=2 described_by=described_by("system")/>
        </Field>
    }
    .into_any()
}

#[component]
fn Size(form: Form) -> impl IntoView {
    let w = &words().runs;
    let name = form.draft.with_untracked(|draft| draft.name.clone());
    view! {
        <section class="form-section" aria-labelledby="size">
            <h2 id="size"><span class="step-number" aria-hidden="true">"3"</span>{w.size_section}</h2>
            <Field id="name" label=w.name unit=w.optional help=w.name_help error=error_of(form, "name")>
                <input class="input" id="name" name="name" type="text" autocomplete="off" value=name aria-describedby=described_by("name")
                    on:input=move |event| {
                        let typed = value_of(&event);
                        form.change(|draft| draft.name = typed);
                    }/>
            </Field>
            <Section form groups=&[Group::Size, Group::Lora, Group::Preference]/>
        </section>
        <details class="card fold expert">
            <summary>{w.expert}" "<span class="tiny">{w.expert_text}</span></summary>
            <div class="fold-body fields"><MoreDatasets form/><Section form groups=&[Group::Expert]/></div>
        </details>
    }
    .into_any()
}
