//! Which column plays which part.

use contract::DatasetId;
use contract::dataset::{DataFormat, Inspection, Mapping};
use leptos::prelude::*;

use crate::browser::value_of;
use crate::components::field::Field;
use crate::components::notice::ProblemList;
use crate::components::part::part;
use crate::ports::remap_dataset;
use crate::words::words;

/// A part a column can play: label, how to read it, how to set it.
type Part = (&'static str, &'static str, fn(&mut Mapping) -> &mut Option<String>);

/// The parts a format has.
fn parts(format: DataFormat) -> Vec<Part> {
    let w = &words().data;
    let prompt: Part = ("prompt", w.col_prompt, |m| &mut m.prompt);
    let query: Part = ("query", w.col_query, |m| &mut m.query);
    let response: Part = ("response", w.col_response, |m| &mut m.response);
    let history: Part = ("history", w.col_history, |m| &mut m.history);
    let system: Part = ("system", w.col_system, |m| &mut m.system);
    let messages: Part = ("messages", w.col_messages, |m| &mut m.messages);
    match format {
        DataFormat::Alpaca | DataFormat::PromptResponse => vec![prompt, query, response, history, system],
        DataFormat::Messages => vec![messages, system],
        DataFormat::Pairs => vec![
            prompt,
            query,
            ("chosen", w.col_chosen, |m| &mut m.chosen),
            ("rejected", w.col_rejected, |m| &mut m.rejected),
            ("response", w.col_pair, |m| &mut m.response),
            history,
            system,
        ],
        DataFormat::Text => vec![("prompt", w.col_text, |m| &mut m.prompt)],
    }
}

fn format_name(format: DataFormat) -> &'static str {
    let w = &words().data;
    match format {
        DataFormat::Alpaca => w.format_alpaca,
        DataFormat::PromptResponse => w.format_prompt_response,
        DataFormat::Messages => w.format_messages,
        DataFormat::Text => w.format_text,
        DataFormat::Pairs => w.format_pairs,
    }
}

/// The form; applying it reads the file again.
#[component]
pub(crate) fn MappingForm(id: DatasetId, inspection: Inspection, version: RwSignal<u32>) -> impl IntoView {
    let w = &words().data;
    let mapping = RwSignal::new(inspection.mapping.clone());
    let before = StoredValue::new(inspection.mapping);
    let columns = StoredValue::new([inspection.columns, inspection.fields].concat());
    let remap = Action::new(move |mapping: &Mapping| remap_dataset(id.clone(), mapping.clone()));
    let pending = remap.pending();
    Effect::new(move |_| {
        if let Some(Ok(_)) = remap.value().get() {
            version.update(|version| *version += 1);
        }
    });
    let problems =
        Signal::derive(move || remap.value().get().and_then(Result::err).map(|p| p.0).unwrap_or_default());
    let changed = move || before.with_value(|before| mapping.with(|now| now != before));
    let format = Memo::new(move |_| mapping.with(|mapping| mapping.format));
    view! {
        <section class="card pad" aria-labelledby="columns">
            <h2 id="columns">{w.columns}</h2>
            <p class="small">{w.columns_text}</p>
            <div class="fields">
                <Field id="format" label=w.format>
                    <select class="input" id="format" on:change=move |event| {
                        if let Some(format) = DataFormat::parse(&value_of(&event)) {
                            mapping.update(|mapping| mapping.format = format);
                        }
                    }>
                        {DataFormat::ALL.map(|format| view! {
                            <option value=format.key() selected=mapping.get_untracked().format == format>{format_name(format)}</option>
                        }).into_iter().collect_view()}
                    </select>
                </Field>
                {part(move || parts(format.get()).into_iter().map(|part| view! { <Column part mapping columns/> }).collect_view())}
            </div>
            <ProblemList problems/>
            <button type="button" class="btn" disabled=move || pending.get() || !changed() on:click=move |_| {
                remap.dispatch(mapping.get_untracked());
            }>{move || if pending.get() { w.applying } else { w.apply }}</button>
        </section>
    }
    .into_any()
}

#[component]
fn Column(part: Part, mapping: RwSignal<Mapping>, columns: StoredValue<Vec<String>>) -> impl IntoView {
    let w = &words().data;
    let (key, label, slot) = part;
    let now = slot(&mut mapping.get_untracked()).clone();
    let id = format!("column-{key}");
    let options = columns
        .get_value()
        .into_iter()
        .map(|column| {
            let selected = now.as_deref() == Some(column.as_str());
            view! { <option value=column.clone() selected=selected>{column.clone()}</option> }
        })
        .collect_view();
    view! {
        <Field id=id.clone() label>
            <select class="input" id=id on:change=move |event| {
                let chosen = Some(value_of(&event)).filter(|name| !name.is_empty());
                mapping.update(|mapping| *slot(mapping) = chosen);
            }>
                <option value="" selected=now.is_none()>{w.no_column}</option>
                {options}
            </select>
        </Field>
    }
    .into_any()
}
