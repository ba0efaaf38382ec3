//! Datasets from inside the server: versions, searches, the register, templates.

#![expect(clippy::expect_used, reason = "a broken set-up is to fail the test where it breaks")]

#[path = "datasets/several.rs"]
mod several;
#[path = "support/worker.rs"]
mod worker;

use std::path::Path;

use app::ports::{DatasetsPort, TemplatesPort, TrashPort};
use axum::body::Body;
use contract::Code;
use contract::dataset::{Cell, Change, DataFormat, DatasetView, Mapping, RowEdit, RowsQuery};
use contract::registry::Finding;
use contract::spec::Draft;
use contract::templates::UserTemplate;
use server::services::launch::launch;
use server::services::uploads::{self, Declared};
use server::services::{datasets::Datasets, registry, templates::Templates, trash::Trash};
use server::{AppState, config::Config};

const ROWS: &str = "{\"prompt\":\"Who?\",\"response\":\"Ember.\"}\n{\"prompt\":\"Where?\",\"response\":\"\"}\n{\"prompt\":\"When?\",\"response\":\"<b>Now</b>\"}\n";

async fn studio(place: &Path) -> AppState {
    let worker = worker::stub(place);
    AppState::open(Config::for_testing(place, &worker)).await.expect("opens")
}

async fn uploaded(state: &AppState, declared: Declared) -> DatasetView {
    uploads::dataset(state, "tea.jsonl", declared, Body::from(ROWS)).await.expect("taken in")
}

fn find(text: &str, left_out: bool) -> RowsQuery {
    RowsQuery { start: 1, count: 25, text: text.to_owned(), left_out }
}

fn set(row: u64, column: &str, text: &str) -> RowEdit {
    let cell = Cell { column: column.to_owned(), text: text.to_owned(), json: false };
    RowEdit { row, cells: Some(vec![cell]) }
}

#[tokio::test]
async fn an_edit_makes_a_version_and_the_old_one_stays_as_it_was() {
    let place = tempfile::tempdir().expect("a folder");
    let state = studio(place.path()).await;
    let service = Datasets(state.clone());
    let first = uploaded(&state, Declared::default()).await;
    let second = service.edit(first.id.clone(), set(2, "response", "Here.")).await.expect("edited");
    assert_eq!((second.version, second.newest, second.inspection.usable), (2, true, 3));
    assert_ne!((&second.id, &second.sha256), (&first.id, &first.sha256));
    let old = service.get(first.id.clone()).await.expect("still there");
    assert_eq!((old.version, old.newest, old.sha256), (1, false, first.sha256));
    let rows = service.rows(first.id.clone(), find("", false)).await.expect("read").rows;
    assert_eq!(rows[1].cells[1], "", "what a run saw is not touched");
    let again = service.edit(first.id.clone(), set(1, "prompt", "x")).await.expect_err("an old version");
    assert_eq!(again.0[0].code, Code::EditOldVersion);
    let versions = service.versions(second.id.clone()).await.expect("listed");
    let change = Change::Edited { row: 2, columns: vec!["response".to_owned()] };
    assert_eq!(
        (versions.len(), versions[0].change.clone(), versions[1].change.clone()),
        (2, Some(change), None)
    );
    assert_eq!(service.list().await.expect("listed").len(), 1, "the list shows the newest only");
    service.rename(second.id.clone(), "pot".to_owned()).await.expect("renamed");
    assert_eq!(service.get(first.id.clone()).await.expect("there").name, "pot", "versions share their label");
    service.delete(second.id).await.expect("deleted");
    assert!(service.get(first.id.clone()).await.is_err(), "with every version");
    Trash(state).purge(contract::trash::Kind::Dataset, first.id.0).await.expect("for good");
    assert_eq!(std::fs::read_dir(place.path().join("data/datasets")).expect("a folder").count(), 0);
}

#[tokio::test]
async fn a_file_with_columns_nobody_knows_is_taken_in_and_waits_for_a_mapping() {
    let place = tempfile::tempdir().expect("a folder");
    let state = studio(place.path()).await;
    let body = Body::from("{\"note\":\"None.\"}\n{\"asked\":\"Tea?\",\"said\":\"Yes.\"}\n");
    let view = uploads::dataset(&state, "odd.jsonl", Declared::default(), body).await.expect("taken in");
    assert_eq!((view.inspection.rows, view.inspection.usable), (2, 0));
    let draft = Draft {
        dataset: view.id.0.clone(),
        model: "m".to_owned(),
        template: "alpaca".to_owned(),
        stage: "sft".to_owned(),
        tuning: "lora".to_owned(),
        ..Draft::default()
    };
    let refused = launch(&state, &draft, None).await.expect_err("nothing to learn").into_problems();
    assert!(refused.iter().any(|problem| problem.code == Code::DatasetNoUsableRows), "{refused:?}");
    let mapping = Mapping {
        prompt: Some("asked".to_owned()),
        response: Some("said".to_owned()),
        ..Mapping::empty(DataFormat::PromptResponse)
    };
    let mapped = Datasets(state.clone()).remap(view.id, mapping).await.expect("mapped");
    assert_eq!((mapped.inspection.rows, mapped.inspection.usable), (2, 1));
}

#[tokio::test]
async fn rows_are_found_by_what_they_hold_and_by_why_they_are_left_out() {
    let place = tempfile::tempdir().expect("a folder");
    let state = studio(place.path()).await;
    let service = Datasets(state.clone());
    let id = uploaded(&state, Declared::default()).await.id;
    let found = service.rows(id.clone(), find("NOW", false)).await.expect("read");
    assert_eq!((found.total, found.rows[0].row), (1, 3));
    let out = service.rows(id.clone(), find("", true)).await.expect("read");
    assert_eq!((out.total, out.rows[0].row), (1, 2));
    assert!(out.rows[0].left_out.is_some());
    assert_eq!(service.rows(id.clone(), find("nothing of that", false)).await.expect("read").total, 0);
    let whole = service.row(id, 3).await.expect("read");
    assert_eq!(whole.cells[1].text, "<b>Now</b>");
}

#[tokio::test]
async fn s_006_s_070_a_register_brings_columns_and_digests_and_goes_back() {
    let place = tempfile::tempdir().expect("a folder");
    let state = studio(place.path()).await;
    let text = format!(
        "{{\"tea\": {{\"file_name\": \"tea.jsonl\", \"file_sha1\": \"{}\", \"columns\": {{\"prompt\": \"prompt\", \"response\": \"response\"}}}}}}",
        "0".repeat(40)
    );
    let entry = registry::read(&state, text.as_bytes()).await.expect("a register").remove(0);
    let declared = Declared {
        title: Some(entry.name.clone()),
        mapping: Some(entry.mapping.clone()),
        digest: Some("0".repeat(40)),
        ..Declared::default()
    };
    let view = uploaded(&state, declared).await;
    assert!(
        matches!(view.findings[..], [Finding::Sha1Differs { .. }]),
        "a mark, no crash: {:?}",
        view.findings
    );
    assert_eq!(view.inspection.mapping, entry.mapping);
    let kept = Datasets(state.clone()).get(view.id).await.expect("kept");
    assert_eq!(kept.findings, view.findings);
    let back = registry::read(&state, registry::write(&state).await.expect("written").as_bytes())
        .await
        .expect("reads back");
    assert_eq!((back[0].name.as_str(), &back[0].mapping), ("tea", &entry.mapping));
}

#[tokio::test]
async fn templates_are_kept_by_name_and_checked() {
    let place = tempfile::tempdir().expect("a folder");
    let service = Templates(studio(place.path()).await);
    let template = |prompt: &str| UserTemplate {
        name: "mine".to_owned(),
        prompt: prompt.to_owned(),
        ..UserTemplate::default()
    };
    service.save(template("Q: {query}\nA: ")).await.expect("kept");
    service.save(template("{query} = ")).await.expect("replaced");
    let all = service.list().await.expect("listed");
    assert_eq!((all.len(), all[0].template.prompt.as_str()), (1, "{query} = "));
    let problems = service.save(template("no place")).await.expect_err("refused");
    assert_eq!(problems.0[0].form_key(), Some("prompt"));
    service.delete(all[0].id.clone()).await.expect("deleted");
    assert!(service.delete(all[0].id.clone()).await.is_err());
}
