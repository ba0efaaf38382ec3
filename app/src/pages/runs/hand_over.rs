//! A run's checkpoint as a page of its own, to be handed over.

use contract::carry::{HandOver as Texts, PageSize};
use contract::chat::ChatTarget;
use contract::checkpoint::chosen;
use contract::run::RunView;
use contract::{Problem, RunId};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

use super::show::method;
use crate::browser::{checked_of, encode, value_of};
use crate::components::field::{Field, described_by};
use crate::components::page_title::PageTitle;
use crate::components::part::settled;
use crate::components::safe_textarea::SafeTextarea;
use crate::ports::{Problems, get_run, handed_over_size, list_voices};
use crate::words::amounts::{file_size, num};
use crate::words::{field_text, fill, words};

/// What the page begins with.
struct Begun {
    run: RunView,
    bytes: PageSize,
    suggestion: Option<String>,
}

/// The page.
#[component]
pub(crate) fn HandOver() -> impl IntoView {
    let params = use_params_map();
    let begun = Resource::new(move || RunId(params.read().get("id").unwrap_or_default()), begin);
    settled(begun, |(run, bytes, suggestion)| {
        view! { <Found begun=Begun { run, bytes, suggestion }/> }.into_any()
    })
}

async fn begin(id: RunId) -> Result<(RunView, PageSize, Option<String>), Problems> {
    let run = get_run(id).await?;
    let target = target(&run);
    let voices = list_voices().await?;
    let suggestion = voices.into_iter().find(|voice| voice.target.run == target.run);
    let bytes = handed_over_size(target).await?;
    Ok((run, bytes, suggestion.and_then(|voice| voice.suggestion)))
}

fn target(run: &RunView) -> ChatTarget {
    ChatTarget { model: run.model.clone(), run: Some(run.summary.id.clone()), step: None }
}

/// Where the zip is made.
fn address(target: &ChatTarget, texts: &Texts) -> String {
    let run = target.run.as_ref().map_or("", RunId::as_str);
    let both = texts.both.to_string();
    let pairs = [
        ("model", target.model.as_str()),
        ("run", run),
        ("title", &texts.title),
        ("introduction", &texts.introduction),
        ("prompts", &texts.prompts),
        ("trained", &texts.trained),
        ("both", &both),
    ];
    let query = pairs.map(|(key, value)| format!("{key}={}", encode(value))).join("&");
    format!("/api/v1/takeaway.zip?{query}")
}

#[component]
fn Found(begun: Begun) -> impl IntoView {
    let w = words();
    let Begun { run, bytes, suggestion } = begun;
    let summary = &run.summary;
    let tuning = method(w, summary.tuning);
    // What is handed over is the checkpoint that stands for the run, which need not be its last step.
    let stands = chosen(&run.checkpoints, run.hyper.load_best_model_at_end);
    let step = num(stands.map_or(summary.step, |checkpoint| checkpoint.step));
    let said = [tuning.as_str(), &summary.dataset_name, &step, &summary.model_name];
    let trained = RwSignal::new(match run.brought {
        Some(_) => fill(w.runs.page_brought_text, &[&summary.model_name]),
        None => fill(w.runs.page_trained_text, &said),
    });
    let title = RwSignal::new(summary.name.clone());
    let introduction = RwSignal::new(String::new());
    let prompts = RwSignal::new(suggestion.unwrap_or_default());
    let both = RwSignal::new(bytes.both.is_some());
    let texts = Memo::new(move |_| Texts {
        title: title.get(),
        introduction: introduction.get(),
        prompts: prompts.get(),
        trained: trained.get(),
        both: both.get(),
    });
    let wrong = move |field: &'static str| {
        Signal::derive(move || {
            let of_field = |problem: &Problem| {
                problem.place.as_ref().and_then(|place| place.field.as_deref()) == Some(field)
            };
            texts.with(Texts::problems).into_iter().find(of_field).map(|problem| field_text(w.lang, &problem))
        })
    };
    let target = target(&run);
    let download = move || {
        let bytes = bytes.both.filter(|_| both.get()).unwrap_or(bytes.alone);
        let label = fill(w.runs.page_download, &[&file_size(bytes)]);
        if texts.with(|texts| texts.problems().is_empty()) {
            let href = texts.with(|texts| address(&target, texts));
            view! { <a class="btn primary" href=href download="page.zip" rel="external">{label}</a> }
                .into_any()
        } else {
            view! { <button type="button" class="btn primary" disabled=true>{label}</button> }.into_any()
        }
    };
    let back = format!("/runs/{}", run.summary.id);
    view! {
        <PageTitle text=format!("{} · {}", w.runs.hand_over, w.studio.product)/>
        <div class="head"><div>
            <p class="crumb"><a href="/runs">{w.runs.title}</a>" / "<a href=back>{run.summary.name.clone()}</a></p>
            <h1>{w.runs.hand_over}</h1><p>{w.runs.hand_over_text}</p>
        </div></div>
        <div class="card pad grid form-narrow">
            <Field id="title" label=w.runs.page_title error=wrong("title")>
                <input class="input" id="title" aria-describedby=described_by("title") prop:value=title on:input=move |event| title.set(value_of(&event))/>
            </Field>
            <Text id="introduction" label=w.runs.page_introduction help=w.runs.page_introduction_help value=introduction error=wrong("introduction")/>
            <Text id="prompts" label=w.runs.page_prompts help=w.runs.page_prompts_help value=prompts error=wrong("prompts")/>
            <Text id="trained" label=w.runs.page_trained value=trained error=wrong("trained")/>
            {bytes.both.is_some().then(|| view! { <label class="check"><input type="checkbox" prop:checked=both on:change=move |event| both.set(checked_of(&event))/><span>{w.runs.page_both}</span></label> })}
            <p class="row">{download}</p>
        </div>
    }
    .into_any()
}

#[component]
fn Text(
    id: &'static str,
    label: &'static str,
    #[prop(default = "")] help: &'static str,
    value: RwSignal<String>,
    error: Signal<Option<String>>,
) -> impl IntoView {
    view! {
        <Field id=id label=label help=help error=error>
            <SafeTextarea id=id value=value rows=3 described_by=described_by(id)/>
        </Field>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use contract::ModelId;

    use super::*;

    #[test]
    fn texts_travel_in_the_address_whatever_they_hold() {
        let target =
            ChatTarget { model: ModelId("m".to_owned()), run: Some(RunId("r".to_owned())), step: None };
        let texts = Texts { title: "A & B?".to_owned(), both: true, ..Texts::default() };
        let query = "model=m&run=r&title=A%20%26%20B%3F&introduction=&prompts=&trained=&both=true";
        assert_eq!(address(&target, &texts), format!("/api/v1/takeaway.zip?{query}"));
    }
}
