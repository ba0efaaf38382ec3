//! The versions of a dataset: what made each, and who learned from it.

use contract::DatasetId;
use contract::dataset::{Change, DatasetVersion};
use leptos::prelude::*;

use crate::components::part::settled;
use crate::ports::dataset_versions;
use crate::words::amounts::{ago, now_ms, num, rows};
use crate::words::{fill, words};

/// The card; nothing while there is one version only.
#[component]
pub(crate) fn Versions(id: DatasetId, newest: bool, number: u32) -> impl IntoView {
    let here = id.clone();
    let versions = Resource::new(move || id.clone(), dataset_versions);
    settled(versions, move |all| if all.len() > 1 { card(all, &here, newest, number) } else { ().into_any() })
}

/// What made a version, in words.
fn reason(change: Option<&Change>) -> String {
    let w = &words().data;
    match change {
        None => w.version_first.to_owned(),
        Some(Change::Edited { row, columns }) => fill(w.version_edited, &[&num(*row), &columns.join(", ")]),
        Some(Change::Removed { row }) => fill(w.version_removed, &[&num(*row)]),
    }
}

fn card(all: Vec<DatasetVersion>, here: &DatasetId, newest: bool, number: u32) -> AnyView {
    let w = words();
    let top = all.first().map(|version| format!("/datasets/{}", version.id)).unwrap_or_default();
    let old = (!newest).then(|| {
        view! { <p class="notice warn">{fill(w.data.version_old, &[&num(number.into())])}" "<a class="link" href=top>{w.data.version_open_newest}</a></p> }
    });
    let lines = all
        .into_iter()
        .map(|version| {
            let shown = version.id == *here;
            let mut about = vec![reason(version.change.as_ref()), rows(w.lang, version.rows)];
            if version.runs > 0 {
                about.push(fill(w.data.version_runs, &[&num(version.runs)]));
            }
            about.push(ago(w.lang, now_ms(), version.created_ms));
            let name = fill(w.data.version_n, &[&num(version.version.into())]);
            view! {
                <li class="version">
                    <a class="strong" href=format!("/datasets/{}", version.id) aria-current=shown.then_some("page")>{name}</a>
                    {shown.then(|| view! { " "<span class="chip">{w.data.version_here}</span> })}
                    <span class="small break">{about.join(" · ")}</span>
                </li>
            }
        })
        .collect_view();
    view! {
        {old}
        <section class="card pad versions" aria-labelledby="versions">
            <h2 id="versions">{w.data.versions}</h2>
            <p class="small">{w.data.versions_text}</p>
            <ul class="plain">{lines}</ul>
        </section>
    }
    .into_any()
}
