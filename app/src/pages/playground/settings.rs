//! How the next token is chosen.

use contract::Stage;
use contract::generation::GenerationSettings;
use leptos::html;
use leptos::prelude::*;

use crate::browser::{checked_of, value_of};
use crate::components::field::{Field, described_by};
use crate::components::safe_textarea::SafeTextarea;
use crate::words::{field_text, fill, words};

/// Settings that open as the stage of who answers wants it ([`GenerationSettings::opening`]) and follow it until
/// somebody changes them.
pub(crate) fn opened(
    stage: impl Fn() -> Option<Stage> + Copy + Send + Sync + 'static,
) -> RwSignal<GenerationSettings> {
    let settings = RwSignal::new(GenerationSettings::opening(untrack(stage)));
    Effect::new(move |former: Option<GenerationSettings>| {
        let opening = GenerationSettings::opening(stage());
        if former.is_some_and(|former| former != opening && settings.get_untracked() == former) {
            settings.set(opening.clone());
        }
        opening
    });
    settings
}

/// Greedy or drawn, in one press.
#[component]
pub(crate) fn GreedySwitch(settings: RwSignal<GenerationSettings>) -> impl IntoView {
    let w = &words().play;
    view! {
        <label class="check greedy" title=w.greedy_help>
            <input type="checkbox" prop:checked=move || settings.with(|s| !s.do_sample)
                checked=settings.with_untracked(|s| !s.do_sample)
                on:change=move |event| settings.update(|s| s.do_sample = !checked_of(&event))/>
            <span>{w.greedy_switch}</span>
        </label>
    }
    .into_any()
}

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
            <details>
                <summary>{w.play.more}</summary>
                <Value settings id="min_p" label=w.play.min_p help=w.play.min_p_help get=|s| s.min_p set=|s, v| s.min_p = v/>
                <Value settings id="repetition_penalty" label=w.play.repetition help=w.play.repetition_help
                    get=|s| s.repetition_penalty set=|s, v| s.repetition_penalty = v/>
                <Value settings id="num_beams" label=w.play.beams help=w.play.beams_help
                    get=|s| f64::from(s.num_beams) set=|s, v| s.num_beams = v.clamp(0.0, 1e6) as u32/>
                <Value settings id="length_penalty" label=w.play.length_penalty help=w.play.length_penalty_help
                    get=|s| s.length_penalty set=|s, v| s.length_penalty = v/>
                <Seed settings/>
                <Stops settings/>
            </details>
            <form method="dialog" class="row end"><button class="btn primary">{w.studio.close}</button></form>
        </dialog>
    }
    .into_any()
}

/// The error of a setting, in the reader's language.
fn error_of(settings: RwSignal<GenerationSettings>, id: &'static str) -> Signal<Option<String>> {
    let lang = words().lang;
    Signal::derive(move || {
        let problems = settings.with(GenerationSettings::problems);
        let found = problems.iter().find(|problem| problem.form_key() == Some(id));
        found.map(|problem| field_text(lang, problem))
    })
}

/// The seed; empty draws anew each time.
#[component]
fn Seed(settings: RwSignal<GenerationSettings>) -> impl IntoView {
    let w = words();
    let first = settings.get_untracked().seed.map(|seed| seed.to_string()).unwrap_or_default();
    view! {
        <Field id="seed" label=w.play.seed help=w.play.seed_help error=error_of(settings, "seed")>
            <input class="input num" id="seed" type="text" inputmode="numeric" autocomplete="off" value=first
                aria-describedby=described_by("seed")
                on:input=move |event| settings.update(|s| s.seed = value_of(&event).trim().parse().ok())/>
        </Field>
    }
    .into_any()
}

/// Stop texts, one a line.
#[component]
fn Stops(settings: RwSignal<GenerationSettings>) -> impl IntoView {
    let w = words();
    let error = error_of(settings, "stop");
    let value = RwSignal::new(settings.get_untracked().stop.join("\n"));
    Effect::new(move || {
        let stop =
            value.with(|text| text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect());
        settings.update(|s| s.stop = stop);
    });
    view! {
        <Field id="stop" label=w.play.stop_texts help=w.play.stop_texts_help error=error>
            <SafeTextarea id="stop" value rows=2 described_by=described_by("stop")/>
        </Field>
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
    let error = error_of(settings, id);
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
