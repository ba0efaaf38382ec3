//! Models and datasets from the hub: search, look inside, fetch, and watch it come.

mod inside;
mod transfers;

use contract::Problem;
use contract::hub::{HubHit, HubHits, HubKind, HubRepo};
use leptos::prelude::*;

use self::inside::Inside;
use self::transfers::Transfers;
use crate::browser::value_of;
use crate::components::field::{Field, described_by};
use crate::components::notice::ProblemList;
use crate::components::part::part;
use crate::ports::{Problems, hub_search, look_into_hub};
use crate::words::amounts::num;
use crate::words::{fill, words};

/// What the card shows below its search.
#[derive(Clone, Debug, PartialEq)]
enum Shown {
    Nothing,
    Hits(HubHits),
    Repo(HubRepo),
}

/// The state of the card.
#[derive(Clone, Copy)]
struct Card {
    kind: HubKind,
    shown: RwSignal<Shown>,
    /// The list one came from.
    hits: RwSignal<Option<HubHits>>,
    busy: RwSignal<bool>,
    problems: RwSignal<Vec<Problem>>,
    /// Rises when a transfer began.
    began: RwSignal<u32>,
}

impl Card {
    fn ask(self, asked: impl Future<Output = Result<Shown, Problems>> + 'static) {
        self.busy.set(true);
        self.problems.set(Vec::new());
        leptos::task::spawn_local(async move {
            let answer = asked.await;
            self.busy.try_set(false);
            match answer {
                Ok(shown) => {
                    if let Shown::Hits(hits) = &shown {
                        self.hits.try_set(Some(hits.clone()));
                    }
                    self.shown.try_set(shown);
                }
                Err(problems) => {
                    self.problems.try_set(problems.0);
                }
            }
        });
    }

    fn search(self, text: String) {
        let kind = self.kind;
        self.ask(async move { hub_search(kind, text).await.map(Shown::Hits) });
    }

    fn look(self, repo: String, revision: String) {
        let kind = self.kind;
        self.ask(async move { look_into_hub(kind, repo, revision).await.map(Shown::Repo) });
    }
}

/// The card, with what is on its way below it. `landed` rises when something arrived.
#[component]
pub(crate) fn FromHub(kind: HubKind, landed: RwSignal<u32>) -> impl IntoView {
    let w = &words().hub;
    let card = Card {
        kind,
        shown: RwSignal::new(Shown::Nothing),
        hits: RwSignal::new(None),
        busy: RwSignal::new(false),
        problems: RwSignal::default(),
        began: RwSignal::new(0),
    };
    let text = RwSignal::new(String::new());
    let (about, hint) = match kind {
        HubKind::Model => (w.text_models, w.search_hint_models),
        HubKind::Dataset => (w.text_datasets, w.search_hint_datasets),
    };
    view! {
        <section class="card pad hub" id="from-hub" aria-labelledby="hub">
            <h3 id="hub">{w.title}</h3>
            <p class="small">{about}</p>
            <form class="hub-search" role="search" on:submit=move |event| {
                event.prevent_default();
                card.search(text.get_untracked());
            }>
                <Field id="hub-text" label=w.search_label help=hint>
                    <input class="input" id="hub-text" type="search" autocomplete="off" spellcheck="false" maxlength="100"
                        aria-describedby=described_by("hub-text") on:input=move |event| text.set(value_of(&event))/>
                </Field>
                <button type="submit" class="btn" disabled=move || card.busy.get()>{w.search}</button>
            </form>
            <div role="status" class="small">{move || card.busy.get().then_some(w.searching)}</div>
            <ProblemList problems=card.problems/>
            {part(move || match card.shown.get() {
                Shown::Nothing => ().into_any(),
                Shown::Hits(hits) => view! { <Hits hits card/> }.into_any(),
                Shown::Repo(repo) => view! { <Inside repo card/> }.into_any(),
            })}
            <Transfers kind began=card.began landed/>
        </section>
    }
    .into_any()
}

#[component]
fn Hits(hits: HubHits, card: Card) -> impl IntoView {
    let w = &words().hub;
    let line = match hits.host.as_str() {
        "" => w.offline.to_owned(),
        host => fill(w.found_at, &[host]),
    };
    if hits.hits.is_empty() {
        return view! { <p class="small">{w.none}</p> }.into_any();
    }
    let rows = hits.hits.into_iter().map(|hit| view! { <Hit hit card/> }).collect_view();
    view! { <p class="small">{line}</p><ul class="plain hub-hits">{rows}</ul> }.into_any()
}

/// Licence, use and state of a hit in a line.
fn about(hit: &HubHit) -> String {
    let w = &words().hub;
    let mut parts = vec![license(hit.license.as_deref())];
    if hit.downloads > 0 {
        parts.push(fill(w.downloads, &[&num(hit.downloads)]));
    }
    parts.extend(hit.gated.then(|| w.gated.to_owned()));
    parts.extend(hit.cached.then(|| w.cached.to_owned()));
    parts.join(" · ")
}

/// The licence in words.
fn license(name: Option<&str>) -> String {
    let w = &words().hub;
    name.map_or_else(|| w.license_unknown.to_owned(), |name| fill(w.license, &[name]))
}

#[component]
fn Hit(hit: HubHit, card: Card) -> impl IntoView {
    let w = &words().hub;
    let about = about(&hit);
    let label = fill(w.look_label, &[&hit.repo]);
    let repo = hit.repo.clone();
    view! {
        <li class="sample">
            <div class="grow"><strong class="break">{hit.repo}</strong><div class="small">{about}</div></div>
            <button type="button" class="btn" aria-label=label disabled=move || card.busy.get()
                on:click=move |_| card.look(repo.clone(), String::new())>{w.look}</button>
        </li>
    }
    .into_any()
}
