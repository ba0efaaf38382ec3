//! One dataset: the verdict, how it is read, its rows.

use contract::DatasetId;
use contract::dataset::DatasetView;
use contract::trash::Kind;
use leptos::prelude::*;
use leptos_router::hooks::{use_navigate, use_params_map};

use super::digest::CompareDigest;
use super::mapping::MappingForm;
use super::register::Badges;
use super::rows::Rows;
use super::versions::Versions;
use crate::components::confirm::ConfirmDelete;
use crate::components::notice::ProblemList;
use crate::components::page_title::PageTitle;
use crate::components::part::settled;
use crate::components::undo::{Undo, offer};
use crate::ports::{dataset_files, delete_dataset, get_dataset};
use crate::words::amounts::{num, rows, size};
use crate::words::{Words, fill, words};

/// The page.
#[component]
pub(crate) fn Dataset() -> impl IntoView {
    let params = use_params_map();
    let version = RwSignal::new(0u32);
    let dataset = Resource::new(
        move || (DatasetId(params.read().get("id").unwrap_or_default()), version.get()),
        |(id, _)| get_dataset(id),
    );
    settled(dataset, move |dataset| view! { <Found dataset version/> }.into_any())
}

/// The heading and the sentence below it.
fn verdict(w: &Words, dataset: &DatasetView) -> (String, String) {
    let (all, usable) = (dataset.inspection.rows, dataset.inspection.usable);
    match all - usable.min(all) {
        _ if usable == 0 => (w.data.verdict_none.to_owned(), w.data.verdict_none_text.to_owned()),
        0 => (fill(w.data.verdict_all, &[&rows(w.lang, all)]), w.data.verdict_all_text.to_owned()),
        out => (
            fill(w.data.verdict_some, &[&num(usable), &rows(w.lang, all)]),
            fill(w.data.verdict_some_text, &[&rows(w.lang, out)]),
        ),
    }
}

#[component]
fn Found(dataset: DatasetView, version: RwSignal<u32>) -> impl IntoView {
    let w = words();
    let (heading, text) = verdict(w, &dataset);
    let use_it = format!("/runs/new?dataset={}", dataset.id);
    let health = format!("/datasets/{}/health", dataset.id);
    let usable = dataset.inspection.usable > 0;
    let inspection = dataset.inspection.clone();
    view! {
        <PageTitle text=format!("{} · {}", dataset.name, w.studio.product)/>
        <div class="head">
            <div>
                <p class="crumb"><a href="/datasets">{w.data.title}</a>" / "{dataset.name.clone()}</p>
                <h1>{heading}</h1><p>{text}</p>
            </div>
            <div class="row">
                <Delete dataset=dataset.clone()/>
                {usable.then(|| view! { <a class="btn" href=health>{w.health.link}</a> })}
                {usable.then(|| view! { <a class="btn primary" href=use_it>{w.data.use_in_run}</a> })}
            </div>
        </div>
        <div class="grid two dataset-grid">
            <MappingForm id=dataset.id.clone() inspection version/>
            <Facts dataset=dataset.clone() version/>
        </div>
        <Versions id=dataset.id.clone() newest=dataset.newest number=dataset.version/>
        <Rows id=dataset.id version may_edit=dataset.newest/>
    }
    .into_any()
}

#[component]
fn Delete(dataset: DatasetView) -> impl IntoView {
    let w = &words().data;
    let id = dataset.id.clone();
    let delete = Action::new(move |_: &()| delete_dataset(id.clone()));
    let navigate = use_navigate();
    let (undo, id, name) = (use_context::<Undo>(), dataset.id.clone(), dataset.name.clone());
    Effect::new(move |_| {
        if let Some(Ok(())) = delete.value().get() {
            offer(undo, Kind::Dataset, id.as_str(), &name);
            navigate("/datasets", Default::default());
        }
    });
    let problems =
        Signal::derive(move || delete.value().get().and_then(Result::err).map(|p| p.0).unwrap_or_default());
    view! {
        <ConfirmDelete title=w.delete_title text=fill(w.delete_text, &[&dataset.name]) of=(Kind::Dataset, dataset.id.0.clone())
            on_confirm=Callback::new(move |()| { delete.dispatch(()); })/>
        <ProblemList problems/>
    }
    .into_any()
}

#[component]
fn Facts(dataset: DatasetView, version: RwSignal<u32>) -> impl IntoView {
    let w = &words().data;
    let encoding = match dataset.inspection.encoding.as_str() {
        "UTF-8" => "UTF-8".to_owned(),
        other => fill(w.read_as, &[other]),
    };
    let several =
        (dataset.files > 1).then(|| view! { <SourceFiles id=dataset.id.clone() files=dataset.files/> });
    let kept = format!("/api/v1/datasets/{}/file", dataset.id);
    let compare = dataset.clone();
    let short = dataset.sha256.get(..16).unwrap_or_default().to_owned();
    view! {
        <section class="card pad" aria-labelledby="file">
            <h2 id="file">{w.facts}</h2>
            <dl>
                <dt>{w.file}</dt><dd class="break">{dataset.file_name}</dd>
                <dt>{w.rows}</dt><dd>{num(dataset.inspection.rows)}</dd>
                <dt>{w.usable}</dt><dd>{num(dataset.inspection.usable)}</dd>
                <dt>{w.size}</dt><dd>{size(dataset.bytes)}</dd>
                <dt>{w.versions}</dt><dd>{dataset.version}</dd>
                <dt>{w.encoding}</dt><dd>{encoding}</dd>
                <dt>{w.digest}</dt><dd class="mono" title=dataset.sha256>{short}</dd>
            </dl>
            <p class="badges" role="status"><Badges findings=dataset.findings/></p>
            {several}
            <CompareDigest dataset=compare version/>
            <p><a class="link small" href=kept rel="external" download="">{w.download}</a></p>
        </section>
    }
    .into_any()
}

/// The files it was made of; the first ones of many.
#[component]
fn SourceFiles(id: DatasetId, files: u64) -> impl IntoView {
    let w = words();
    let list = Resource::new(move || id.clone(), dataset_files);
    settled(list, move |all| {
        let more = files.saturating_sub(all.len() as u64);
        let lines = all
            .into_iter()
            .map(|file| {
                let about = format!("{} · {}", rows(w.lang, file.rows), size(file.bytes));
                view! { <li class="version"><span class="break" title=file.sha256>{file.name}</span><span class="small num">{about}</span></li> }
            })
            .collect_view();
        let rest =
            (more > 0).then(|| view! { <li class="small">{fill(w.data.files_more, &[&num(more)])}</li> });
        view! {
            <details class="files">
                <summary class="small">{fill(w.data.files_of, &[&num(files)])}</summary>
                <ul class="plain">{lines}{rest}</ul>
            </details>
        }
        .into_any()
    })
}
