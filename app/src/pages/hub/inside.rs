//! What a repository holds: size and licence, what can be fetched, what is not fetched and why.

use contract::hub::{HubChoice, HubKind, HubRepo, NewTransfer, Refusal};
use leptos::prelude::*;

use super::{Card, Shown, license};
use crate::browser::value_of;
use crate::components::field::{Field, described_by};
use crate::ports::hub_start;
use crate::words::amounts::{num, size};
use crate::words::{Hub, fill, words};

/// The repository with its choices.
#[component]
pub(super) fn Inside(repo: HubRepo, card: Card) -> impl IntoView {
    let w = &words().hub;
    let choices = repo.choices();
    let name = repo.repo.clone();
    let short = repo.commit.get(..10).unwrap_or_default().to_owned();
    let revision = RwSignal::new(repo.revision.clone());
    let again = name.clone();
    let license = license(repo.license.as_deref());
    let gated = repo.gated.then(|| format!(" · {}", w.gated));
    let back = card.hits.get_untracked().map(|hits| {
        view! { <button type="button" class="link" on:click=move |_| card.shown.set(Shown::Hits(hits.clone()))>{w.back}</button> }
    });
    view! {
        <div class="hub-inside">
            {back}
            <div><strong class="break">{name}</strong>
                <div class="small">{license}{gated}" · "<span class="mono">{short}</span></div></div>
            <div class="hub-search">
                <Field id="hub-revision" label=w.revision help=w.revision_hint>
                    <input class="input" id="hub-revision" type="text" autocomplete="off" spellcheck="false" maxlength="120"
                        aria-describedby=described_by("hub-revision") prop:value=move || revision.get() on:input=move |event| revision.set(value_of(&event))/>
                </Field>
                <button type="button" class="btn" disabled=move || card.busy.get()
                    on:click=move |_| card.look(again.clone(), revision.get_untracked())>{w.show_revision}</button>
            </div>
            <Choices repo=repo.clone() choices card/>
            <LeftOut repo/>
        </div>
    }
    .into_any()
}

fn label_of(choice: &HubChoice) -> String {
    let w = &words().hub;
    match choice.label.as_str() {
        "safetensors" => fill(w.folder_choice, &[&num(choice.files.len() as u64)]),
        split if choice.files.len() > 1 => fill(w.split_choice, &[split, &num(choice.files.len() as u64)]),
        path => path.to_owned(),
    }
}

#[component]
fn Choices(repo: HubRepo, choices: Vec<HubChoice>, card: Card) -> impl IntoView {
    let w = &words().hub;
    if choices.is_empty() {
        let text = if repo.kind == HubKind::Model { w.choice_none_model } else { w.choice_none_dataset };
        return view! { <p class="notice warn">{text}</p> }.into_any();
    }
    let chosen = RwSignal::new(0usize);
    let name = RwSignal::new(String::new());
    let bytes: Vec<u64> = choices.iter().map(|choice| choice.bytes).collect();
    let options = choices
        .iter()
        .enumerate()
        .map(|(index, choice)| view! { <option value=index.to_string()>{format!("{} · {}", label_of(choice), size(choice.bytes))}</option> })
        .collect_view();
    let lacks: Vec<Vec<String>> = choices.iter().map(|choice| choice.missing.clone()).collect();
    let missing = move || {
        let missing = lacks.get(chosen.get()).filter(|missing| !missing.is_empty())?;
        Some(fill(w.split_missing, &[&missing.join(", ")]))
    };
    let fetch = move |_| {
        let Some(choice) = choices.get(chosen.get_untracked()) else { return };
        let new = NewTransfer {
            kind: repo.kind,
            repo: repo.repo.clone(),
            revision: repo.revision.clone(),
            name: name.get_untracked(),
            files: choice.files.clone(),
        };
        card.ask(async move {
            hub_start(new).await?;
            card.began.try_update(|began| *began += 1);
            Ok(card.hits.try_get_untracked().flatten().map_or(Shown::Nothing, Shown::Hits))
        });
    };
    let text = move || fill(w.fetch, &[&size(bytes.get(chosen.get()).copied().unwrap_or_default())]);
    view! {
        <Field id="hub-choice" label=w.what>
            <select class="input" id="hub-choice" on:change=move |event| chosen.set(value_of(&event).parse().unwrap_or(0))>{options}</select>
        </Field>
        <p class="small break" role="status">{missing}</p>
        <Field id="hub-name" label=w.name unit=words().runs.optional>
            <input class="input" id="hub-name" type="text" maxlength="120" autocomplete="off" on:input=move |event| name.set(value_of(&event))/>
        </Field>
        <button type="button" class="btn primary" disabled=move || card.busy.get() on:click=fetch>{text}</button>
    }
    .into_any()
}

fn refusal(w: &'static Hub, why: Refusal) -> &'static str {
    match why {
        Refusal::Script => w.refused_script,
        Refusal::Pickle => w.refused_pickle,
        Refusal::UnsafeName => w.refused_name,
        Refusal::Folder => w.refused_folder,
        Refusal::NotNeeded => w.refused_not_needed,
    }
}

#[component]
fn LeftOut(repo: HubRepo) -> impl IntoView {
    let w = &words().hub;
    let out: Vec<_> = repo.files.into_iter().filter_map(|file| Some((file.path, file.refused?))).collect();
    if out.is_empty() {
        return ().into_any();
    }
    let summary = fill(w.left_out, &[&num(out.len() as u64)]);
    let lines = out
        .into_iter()
        .take(60)
        .map(|(path, why)| view! { <li class="small"><span class="mono break">{path}</span>": "{refusal(w, why)}</li> })
        .collect_view();
    view! { <details><summary class="small">{summary}</summary><ul class="plain">{lines}</ul></details> }
        .into_any()
}
