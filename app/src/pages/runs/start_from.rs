//! What a run starts from: the model, or a checkpoint of an earlier run; and for ppo who judges.

use contract::chat::Voice;
use contract::{ModelId, Stage, Tuning, spec};
use leptos::prelude::*;

use crate::browser::value_of;
use crate::components::field::{Field, described_by};
use crate::components::part::{Part, part};
use crate::forms::state::{Form, shown};
use crate::words::{field_text, voice_name, words};

/// Whether a run may start from it.
fn starts(voice: &Voice) -> bool {
    voice.stage.is_some_and(|stage| stage != Stage::Rm)
}

/// Whether it judges pairs by its value head.
fn judges(voice: &Voice) -> bool {
    voice.judges
}

/// Which checkpoints a stage takes: a reward model is measured as one and may be trained further (S-104), everything
/// else starts from what answers.
fn taken(stage: Stage, tuning: Tuning) -> fn(&Voice) -> bool {
    match (stage, tuning) {
        (Stage::Rm, Tuning::None) => judges,
        (Stage::Rm, _) => |voice| voice.stage.is_some(),
        _ => starts,
    }
}

/// Checkpoints on a model that may stand where `wanted` says.
fn on_model(voices: &[Voice], model: &str, wanted: fn(&Voice) -> bool) -> Vec<(String, String)> {
    voices
        .iter()
        .filter(|voice| ModelId::parse(model).is_some_and(|model| voice.target.model == model))
        .filter(|voice| wanted(voice))
        .filter_map(|voice| Some((voice.checkpoint()?.text(), voice_name(voice))))
        .collect()
}

/// The checkpoint to start from.
#[component]
pub(crate) fn StartFrom(form: Form) -> impl IntoView {
    let w = words();
    let found = Memo::new(move |_| {
        let model = form.draft.with(|draft| draft.model.clone());
        let wanted = taken(form.stage(), form.tuning());
        form.voices.with_value(|voices| on_model(voices, &model, wanted))
    });
    let error = Signal::derive(move || form.problem_of("adapters").map(|p| field_text(w.lang, &p)));
    let chosen = Memo::new(move |_| form.draft.with(|draft| draft.adapters.clone()));
    let choose = move |event| form.change(|draft| draft.adapters = value_of(&event));
    part(move || {
        let options = found.get();
        let label = match (form.stage(), form.tuning()) {
            (Stage::Rm, Tuning::None) => w.runs.judged_one,
            (_, Tuning::None) => w.runs.adapter_one,
            _ => w.runs.start_from,
        };
        (!options.is_empty()).then(|| {
            view! {
                <Field id="adapters" label=label help=w.runs.start_from_help error=error>
                    <select class="input" id="adapters" aria-describedby=described_by("adapters")
                        aria-invalid=move || error.get().is_some().then_some("true") on:change=choose>
                        <option value="" selected=move || chosen.with(String::is_empty)>{w.runs.start_from_base}</option>
                        <Options options chosen/>
                    </select>
                </Field>
                <Part when=move || refers_to_base(form)><p class="notice warn">{w.runs.refers_to_base}</p></Part>
            }
        })
    })
}

/// Whether the reference would be the model without the checkpoint's adapter (S-021).
fn refers_to_base(form: Form) -> bool {
    let resumes =
        form.draft.with(|draft| shown(draft, "resume_lora_training", form.stage(), form.tuning())) == "true";
    let starts = form.draft.with(|draft| !draft.adapters.is_empty());
    starts && spec::refers_to_base(form.stage(), form.tuning(), resumes)
}

/// The reward model of a ppo run.
#[component]
pub(crate) fn RewardModel(form: Form) -> impl IntoView {
    let w = words();
    let found = Memo::new(move |_| {
        let model = form.draft.with(|draft| draft.model.clone());
        form.voices.with_value(|voices| on_model(voices, &model, |voice| voice.judges))
    });
    let error = Signal::derive(move || form.problem_of("reward_model").map(|p| field_text(w.lang, &p)));
    let chosen = Memo::new(move |_| form.draft.with(|draft| draft.reward_model.clone()));
    let choose = move |event| form.change(|draft| draft.reward_model = value_of(&event));
    part(move || {
        let options = found.get();
        if options.is_empty() {
            return view! { <p class="notice warn">{w.runs.judge_missing}</p> }.into_any();
        }
        view! {
            <Field id="reward_model" label=w.runs.judge help=w.runs.judge_help error=error>
                <select class="input" id="reward_model" aria-describedby=described_by("reward_model")
                    aria-invalid=move || error.get().is_some().then_some("true") on:change=choose>
                    <option value="" selected=move || chosen.with(String::is_empty)>{w.runs.judge_none}</option>
                    <Options options chosen/>
                </select>
            </Field>
        }
        .into_any()
    })
}

#[component]
fn Options(options: Vec<(String, String)>, chosen: Memo<String>) -> impl IntoView {
    options
        .into_iter()
        .map(|(value, name)| {
            let own = value.clone();
            view! { <option value=value selected=move || chosen.with(|chosen| *chosen == own)>{name}</option> }
        })
        .collect_view()
        .into_any()
}

#[cfg(test)]
mod tests {
    use contract::RunId;
    use contract::chat::ChatTarget;

    use super::*;

    #[test]
    fn only_checkpoints_on_the_same_model_are_offered() {
        let voice = |model: &str, stage, step| Voice {
            target: ChatTarget {
                model: ModelId(model.to_owned()),
                run: Some(RunId("r1".to_owned())),
                step: Some(step),
            },
            name: "run".to_owned(),
            kind: "run".to_owned(),
            template: String::new(),
            systems: Vec::new(),
            suggestion: None,
            stage: Some(stage),
            chosen: true,
            judges: stage == Stage::Rm,
            mark: None,
        };
        let voices = [voice("m1", Stage::Sft, 5), voice("m2", Stage::Sft, 6), voice("m1", Stage::Rm, 7)];
        let names = |wanted: fn(&Voice) -> bool| {
            on_model(&voices, "m1", wanted).into_iter().map(|(key, _)| key).collect::<Vec<_>>()
        };
        assert_eq!(names(starts), ["r1:5"]);
        assert_eq!(names(|voice| voice.judges), ["r1:7"]);
        assert_eq!(names(taken(Stage::Rm, Tuning::Lora)), ["r1:5", "r1:7"], "S-104: it is trained further");
        assert_eq!(names(taken(Stage::Rm, Tuning::None)), ["r1:7"], "only a reward model judges");
        assert_eq!(names(taken(Stage::Dpo, Tuning::None)), ["r1:5"]);
    }
}
