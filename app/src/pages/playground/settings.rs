//! How the next token is chosen.

use contract::generation::GenerationSettings;
use leptos::html;
use leptos::prelude::*;

use crate::browser::{checked_of, value_of};
use crate::components::field::{Field, described_by};
use crate::words::{field_text, fill, words};

/// A line that says the settings, and opens their dialog.
#[component]
pub(crate) fn SettingsDialog(settings: RwSignal<GenerationSettings>) -> impl IntoView {
    let w = words();
    let dialog = NodeRef::<html::Dialog>::new();
    let line = move || {
        settings.with(|s| {
            let tokens = s.max_new_tokens.to_string();
            if s.do_sample {
                fill(w.play.sample_line, &[&s.temperature.to_string(), &s.top_p.to_string(), &tokens])
            } else {
                fill(w.play.greedy_line, &[&tokens])
            }
        })
    };
    view! {
        <button type="button" class="btn quiet settings-line" on:click=move |_| {
            if let Some(dialog) = dialog.get_untracked() {
                let _ = dialog.show_modal();
            }
        }><span class="visually-hidden">{w.play.settings}": "</span>{line}</button>
        <dialog class="dialog" node_ref=dialog aria-label=w.play.settings>
            <h2>{w.play.settings}</h2>
            <label class="check">
                <input type="checkbox" prop:checked=move || settings.with(|s| !s.do_sample)
                    on:change=move |event| settings.update(|s| s.do_sample = !checked_of(&event))/>
                <span>{w.play.greedy}</span>
            </label>
            <Value settings id="temperature" label=w.play.temperature help=w.play.temperature_help
                get=|s| s.temperature set=|s, v| s.temperature = v/>
            <Value settings id="top_p" label=w.play.top_p help=w.play.top_p_help get=|s| s.top_p set=|s, v| s.top_p = v/>
            <Value settings id="top_k" label=w.play.top_k help=w.play.top_k_help
                get=|s| f64::from(s.top_k) set=|s, v| s.top_k = v.clamp(0.0, 1e6) as u32/>
            <Value settings id="max_new_tokens" label=w.play.max_new_tokens help=w.play.max_help
                get=|s| f64::from(s.max_new_tokens) set=|s, v| s.max_new_tokens = v.clamp(0.0, 1e6) as u32/>
            <form method="dialog" class="row end"><button class="btn primary">{w.studio.close}</button></form>
        </dialog>
    }
    .into_any()
}

#[component]
fn Value(
    settings: RwSignal<GenerationSettings>,
    id: &'static str,
    label: &'static str,
    help: &'static str,
    get: fn(&GenerationSettings) -> f64,
    set: fn(&mut GenerationSettings, f64),
) -> impl IntoView {
    let lang = words().lang;
    let error = Signal::derive(move || {
        let problems = settings.with(GenerationSettings::problems);
        problems
            .iter()
            .find(|problem| problem.form_key() == Some(id))
            .map(|problem| field_text(lang, problem))
    });
    let first = get(&settings.get_untracked()).to_string();
    view! {
        <Field id label help error=error>
            <input class="input num" id=id type="text" inputmode="decimal" autocomplete="off" value=first
                aria-describedby=described_by(id)
                aria-invalid=move || error.get().is_some().then_some("true")
                on:input=move |event| {
                    let typed = value_of(&event).trim().parse::<f64>().unwrap_or(f64::NAN);
                    settings.update(|s| set(s, typed));
                }/>
        </Field>
    }
    .into_any()
}
