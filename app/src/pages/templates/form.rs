//! The parts of a template as they are typed, and what the model will see of a row.

use contract::dataset::{DatasetView, PreviewRequest};
use contract::model::ModelView;
use contract::templates::{BUILTIN, UserTemplate, builtin};
use contract::{DatasetId, ModelId, Problem, Stage};
use leptos::prelude::*;

use crate::browser::{checked_of, value_of};
use crate::components::field::{Field, described_by};
use crate::components::notice::ProblemList;
use crate::components::safe_textarea::SafeTextarea;
use crate::forms::preview::RowPreview;
use crate::ports::save_template;
use crate::words::{field_text, words};

/// What was typed; copyable, its parts are signals.
#[derive(Clone, Copy)]
pub(super) struct Draft {
    name: RwSignal<String>,
    prefix: RwSignal<String>,
    system: RwSignal<String>,
    prompt: RwSignal<String>,
    sep: RwSignal<String>,
    history: RwSignal<bool>,
    stops: RwSignal<String>,
}

impl Draft {
    /// A draft that begins with a plain turn.
    pub(super) fn new() -> Self {
        let text = |text: &str| RwSignal::new(text.to_owned());
        Self {
            name: text(""),
            prefix: text(""),
            system: text(""),
            prompt: text("Question: {query}\nAnswer: "),
            sep: text("\n"),
            history: RwSignal::new(true),
            stops: text(""),
        }
    }

    /// Shows a template in the form.
    pub(super) fn set(self, template: &UserTemplate) {
        self.name.set(template.name.clone());
        self.prefix.set(template.prefix.clone());
        self.system.set(template.system.clone());
        self.prompt.set(template.prompt.clone());
        self.sep.set(template.sep.clone());
        self.history.set(template.use_history);
        self.stops.set(template.stop_words.join("\n"));
    }

    /// The template as it stands.
    fn template(self) -> UserTemplate {
        UserTemplate {
            name: self.name.get(),
            prefix: self.prefix.get(),
            system: self.system.get(),
            prompt: self.prompt.get(),
            sep: self.sep.get(),
            use_history: self.history.get(),
            stop_words: stops(&self.stops.get()),
        }
    }

    /// What is wrong with it; a name is not missed while it is only looked at.
    fn problems(self) -> Vec<Problem> {
        self.named().checked().err().unwrap_or_default()
    }

    /// The template under its name, or under a stand-in.
    fn named(self) -> UserTemplate {
        let mut template = self.template();
        if template.name.trim().is_empty() {
            template.name = "draft".to_owned();
        }
        template
    }
}

/// Stop words, one a line; `\n` is written out.
fn stops(text: &str) -> Vec<String> {
    text.lines().filter(|line| !line.trim().is_empty()).map(|line| line.replace("\\n", "\n")).collect()
}

/// A built-in template as a beginning.
fn from_builtin(name: &str) -> Option<UserTemplate> {
    let known = builtin(name)?;
    Some(UserTemplate {
        name: String::new(),
        prefix: known.prefix.to_owned(),
        prompt: known.prompt.to_owned(),
        sep: known.sep.to_owned(),
        use_history: known.use_history,
        ..UserTemplate::default()
    })
}

/// The form.
#[component]
pub(super) fn Form(draft: Draft, version: RwSignal<u32>) -> impl IntoView {
    let w = &words().templates;
    let refused = RwSignal::new(Vec::<Problem>::new());
    let save = Action::new(|template: &UserTemplate| save_template(template.clone()));
    let pending = save.pending();
    let saved = RwSignal::new(false);
    Effect::new(move |_| match save.value().get() {
        Some(Ok(())) => {
            saved.set(true);
            refused.set(Vec::new());
            version.update(|version| *version += 1);
        }
        Some(Err(problems)) => refused.set(problems.0),
        None => {}
    });
    let starts =
        BUILTIN.iter().map(|one| view! { <option value=one.name>{one.name}</option> }).collect_view();
    view! {
        <section class="card pad fields" aria-labelledby="make">
            <h2 id="make">{w.make}</h2>
            <Field id="start-from" label=w.start_from>
                <select class="input" id="start-from" on:change=move |event| {
                    if let Some(template) = from_builtin(&value_of(&event)) {
                        draft.set(&template);
                    }
                }><option value="">{w.start_none}</option>{starts}</select>
            </Field>
            <Field id="template-name" label=w.name help=w.name_help>
                <input class="input" id="template-name" type="text" maxlength="120" autocomplete="off" aria-describedby=described_by("template-name")
                    prop:value=move || draft.name.get() on:input=move |event| draft.name.set(value_of(&event))/>
            </Field>
            <Part id="prompt" part="prompt" label=w.prompt help=w.prompt_help value=draft.prompt rows=3 draft/>
            <Part id="prefix" part="prefix" label=w.prefix help="" value=draft.prefix rows=2 draft/>
            <Part id="system-form" part="system" label=w.system help=w.system_help value=draft.system rows=2 draft/>
            <Part id="sep" part="sep" label=w.sep help="" value=draft.sep rows=1 draft/>
            <Part id="stops" part="stop_words" label=w.stops help=w.stops_help value=draft.stops rows=2 draft/>
            <label class="check"><input type="checkbox" id="history" prop:checked=move || draft.history.get() checked=true
                on:change=move |event| draft.history.set(checked_of(&event))/><span>{w.history}</span></label>
            <ProblemList problems=refused/>
            <div class="row">
                <button type="button" class="btn primary" disabled=move || pending.get() on:click=move |_| {
                    saved.set(false);
                    save.dispatch(draft.template());
                }>{w.save}</button>
                <span class="small" role="status">{move || saved.get().then_some(w.saved)}</span>
            </div>
        </section>
    }
    .into_any()
}

#[component]
fn Part(
    id: &'static str,
    part: &'static str,
    label: &'static str,
    help: &'static str,
    value: RwSignal<String>,
    rows: u32,
    draft: Draft,
) -> impl IntoView {
    let lang = words().lang;
    let error = Signal::derive(move || {
        let problems = draft.problems();
        problems
            .iter()
            .find(|problem| problem.form_key() == Some(part))
            .map(|problem| field_text(lang, problem))
    });
    view! {
        <Field id label help error>
            <SafeTextarea id value rows described_by=described_by(id)/>
        </Field>
    }
    .into_any()
}

/// A row through the template, as it is typed.
#[component]
pub(super) fn Preview(models: Vec<ModelView>, datasets: Vec<DatasetView>, draft: Draft) -> impl IntoView {
    let w = &words().templates;
    let model = RwSignal::new(
        models.iter().find(|m| m.starter).or(models.first()).map(|m| m.id.0.clone()).unwrap_or_default(),
    );
    let dataset = RwSignal::new(datasets.first().map(|d| d.id.0.clone()).unwrap_or_default());
    let row = RwSignal::new(1u64);
    let wanted = Callback::new(move |row| {
        let template = draft.named().checked().ok()?;
        Some(PreviewRequest {
            dataset: DatasetId(dataset.get()),
            model: ModelId(model.get()),
            stage: Stage::Sft,
            template: template.key(),
            system: String::new(),
            max_source_length: 512,
            max_target_length: 512,
            behaviour: contract::dataset::Behaviour::Corrected,
            control_tokens_in_text: false,
            row,
            in_block: false,
            block: None,
        })
    });
    let models = models.into_iter().map(|m| view! { <option value=m.id.0>{m.name}</option> }).collect_view();
    let datasets =
        datasets.into_iter().map(|d| view! { <option value=d.id.0>{d.name}</option> }).collect_view();
    view! {
        <div class="health-left">
            <section class="card pad fields two-fields">
                <Field id="preview-model" label=w.preview_model>
                    <select class="input" id="preview-model" on:change=move |event| model.set(value_of(&event))>{models}</select>
                </Field>
                <Field id="preview-data" label=w.preview_data>
                    <select class="input" id="preview-data" on:change=move |event| dataset.set(value_of(&event))>{datasets}</select>
                </Field>
            </section>
            <RowPreview wanted row/>
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_words_are_lines_and_a_line_end_can_be_written() {
        assert_eq!(stops("<|im_end|>\n\n###\\n\n"), ["<|im_end|>", "###\n"]);
    }

    #[test]
    fn a_builtin_template_is_a_beginning() {
        let vicuna = from_builtin("vicuna").expect("known");
        assert!(vicuna.prompt.contains("{query}") && vicuna.use_history);
        assert_eq!(from_builtin(""), None);
    }
}
