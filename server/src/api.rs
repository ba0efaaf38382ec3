//! REST under `/api/v1`: thin skins over the services. Errors are `{"problems": […]}`.

pub mod tus;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::{
    CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use contract::Code;
use contract::carry::{HandOver, Parcel};
use contract::chat::ChatTarget;
use contract::dataset::DatasetView;
use contract::digest::Digest;
use contract::listed::Listed;
use contract::model::ModelView;
use contract::reading::Sheet;
use contract::run::{RunSummary, RunView};
use contract::specification::SpecificationRead;
use contract::{DatasetId, Problem, RunId};
use serde::Deserialize;
use tower::ServiceExt;
use tower_http::services::ServeFile;

use crate::error::Fault;
use crate::middleware::NO_PAGE_POLICY;
use crate::services::{
    carry, checkpoint_zip, datasets, datasets::Datasets, predictions, registry, run_files, runs::Runs, sets,
    specification, takeaway, uploads, uploads::Incoming,
};
use crate::state::AppState;

/// Query of an upload.
#[derive(Debug, Deserialize)]
pub struct Upload {
    /// `dataset` (when left out), `model`; `part` of a dataset of several files, `there`, which
    /// names those that have come, and `set`, which makes the dataset.
    /// See [`crate::services::sets`].
    #[serde(default)]
    kind: Option<String>,
    /// File name.
    #[serde(default)]
    name: String,
    /// Id of the folder that the files of a model or of one dataset share.
    #[serde(default)]
    upload: Option<String>,
    /// Id of an upload of `/api/v1/resumable` that is whole: it is the file, and the body is empty.
    #[serde(default)]
    resumable: Option<String>,
    /// Label of a dataset.
    #[serde(default)]
    title: Option<String>,
    /// How a dataset's rows are read, JSON.
    #[serde(default)]
    mapping: Option<String>,
    /// Whether the mapping leaves open what the file shows, as an entry of `dataset_info.json` may.
    #[serde(default)]
    open: bool,
    /// SHA-1 or SHA-256 a dataset's file should have, hex.
    #[serde(default, alias = "sha1")]
    digest: Option<String>,
    /// Encoding of a dataset's file, where a person chose one.
    #[serde(default)]
    encoding: Option<String>,
    /// Sheet of a workbook; without one, the first that holds rows.
    #[serde(default)]
    sheet: Option<String>,
    /// Whether a question is the answer where several sheets hold rows and none is named.
    #[serde(default)]
    ask: bool,
}

/// `POST /api/v1/uploads`: the raw body is the file, or an upload that is whole is. Asked again for an upload that was
/// taken in, it answers the same.
pub async fn upload(
    State(state): State<AppState>,
    Query(query): Query<Upload>,
    body: Body,
) -> Result<Json<serde_json::Value>, Fault> {
    let set = query.upload.as_ref().filter(|_| query.kind.as_deref() == Some("set"));
    let id = set.map(|id| format!("{}{id}", sets::SET)).or_else(|| query.resumable.clone());
    if let Some(answer) = id.as_deref().and_then(|id| state.resumable.answer(id)) {
        return Ok(Json(answer));
    }
    let answer = take_in(&state, query, body).await?;
    if let Some(id) = id {
        state.resumable.finish(&id, &answer);
    }
    Ok(Json(answer))
}

async fn take_in(state: &AppState, query: Upload, body: Body) -> Result<serde_json::Value, Fault> {
    let file = query.resumable.map_or(Incoming::Body(body), Incoming::Upload);
    match query.kind.as_deref() {
        Some("part") => {
            let id = query.upload.unwrap_or_default();
            let bytes = sets::take(state, &id, &query.name, file).await?;
            Ok(serde_json::json!({ "upload": id, "name": query.name, "bytes": bytes }))
        }
        Some("there") => {
            let id = query.upload.unwrap_or_default();
            let files = sets::there(state, &id)?;
            let files =
                files.into_iter().map(|(name, bytes)| serde_json::json!({ "name": name, "bytes": bytes }));
            Ok(serde_json::json!({ "upload": id, "files": files.collect::<Vec<_>>() }))
        }
        kind @ (None | Some("dataset" | "set")) => {
            let mapping = query.mapping.as_deref().map(serde_json::from_str).transpose().map_err(|_| {
                Problem::new(Code::UploadBadMapping, "The columns of this file cannot be read.")
                    .field("mapping")
            })?;
            let sheet = match query.sheet.filter(|name| !name.is_empty()) {
                Some(name) => Sheet::Named(name),
                None if query.ask => Sheet::Ask,
                None => Sheet::First,
            };
            let digest = query.digest.filter(|text| !text.trim().is_empty());
            digest.as_deref().map(Digest::parse).transpose()?;
            let declared = uploads::Declared {
                sheet,
                title: query.title,
                mapping,
                open: query.open,
                digest,
                encoding: query.encoding.filter(|name| !name.is_empty()),
            };
            let view = match kind {
                Some("set") => sets::finish(state, &query.upload.unwrap_or_default(), declared).await?,
                _ => uploads::dataset(state, &query.name, declared, file).await?,
            };
            Ok(serde_json::to_value(view)?)
        }
        Some("model") => {
            let id = query.upload.unwrap_or_default();
            let bytes = uploads::model_file(state, &id, &query.name, file).await?;
            Ok(serde_json::json!({ "upload": id, "name": query.name, "bytes": bytes }))
        }
        Some(kind) => Err(Problem::new(
            Code::UploadUnknownKind,
            format!("{kind} is neither dataset, part, set nor model."),
        )
        .into()),
    }
}

/// `POST /api/v1/samples/{name}`: takes a starter dataset in.
pub async fn sample(
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<Json<DatasetView>, Fault> {
    Ok(Json(uploads::sample(&state, &name).await?))
}

/// `POST /api/v1/registry`: the raw body is a `dataset_info.json`; the answer is what it names.
pub async fn read_registry(
    State(state): State<AppState>,
    body: axum::body::Bytes,
) -> Result<Json<Vec<contract::registry::Registered>>, Fault> {
    Ok(Json(registry::read(&state, &body).await?))
}

/// `GET /api/v1/dataset_info.json`: every dataset here, for other toolkits.
pub async fn write_registry(State(state): State<AppState>) -> Result<impl IntoResponse, Fault> {
    let text = registry::write(&state).await?;
    Ok((to_keep("dataset_info.json"), [(CONTENT_TYPE, "application/json")], text))
}

/// `GET /api/v1/datasets/{id}/file`: the file of a dataset as it is kept, under the name that the register gives it.
pub async fn dataset_file(
    State(state): State<AppState>,
    Path(id): Path<String>,
    request: axum::extract::Request,
) -> Result<impl IntoResponse, Fault> {
    let id = DatasetId::parse(&id).ok_or_else(|| Problem::not_found("dataset"))?;
    let row = datasets::find(&state, &id).await?;
    let path = datasets::file(&state, &row);
    Ok((to_keep(&registry::file_name(&row.view)), ServeFile::new(path).oneshot(request).await))
}

/// Headers of what people supplied: browsers keep it as a file under this name and never show it as a page of this
/// server. Programs, and the page's own `fetch`, read it as before.
fn to_keep(name: &str) -> [(HeaderName, String); 2] {
    // Part of a header, and of the name of a file on someone's disk.
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let name: String = name.rsplit('/').next().unwrap_or_default().chars().filter(|c| safe(*c)).collect();
    [
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        (CONTENT_SECURITY_POLICY, NO_PAGE_POLICY.to_owned()),
    ]
}

/// `GET /api/v1/datasets`.
pub async fn datasets(State(state): State<AppState>) -> Result<Json<Vec<Listed<DatasetView>>>, Fault> {
    Ok(Json(Datasets(state).all().await?))
}

/// `GET /api/v1/models`.
pub async fn models(State(state): State<AppState>) -> Result<Json<Vec<Listed<ModelView>>>, Fault> {
    Ok(Json(state.store.list_models().await?))
}

/// `GET /api/v1/runs`.
pub async fn runs(State(state): State<AppState>) -> Result<Json<Vec<Listed<RunSummary>>>, Fault> {
    Ok(Json(Runs(state).all().await?))
}

/// `POST /api/v1/specifications`: the raw body is a specification, YAML or JSON; the answer is the form it fills in.
pub async fn read_specification(
    State(state): State<AppState>,
    text: String,
) -> Result<Json<SpecificationRead>, Fault> {
    Ok(Json(specification::read(&state, text).await?))
}

/// `POST /api/v1/runs`: the raw body is a specification, YAML or JSON; launches its run (S-050). With a header
/// `Idempotency-Key`, the same request sent again answers with the same run (R5).
pub async fn launch(
    State(state): State<AppState>,
    headers: HeaderMap,
    text: String,
) -> Result<impl IntoResponse, Fault> {
    // What is no text is no key, and is refused as one.
    let key = headers.get("idempotency-key").map(|key| key.to_str().unwrap_or_default());
    let run = specification::run(&state, text, key).await?;
    Ok((StatusCode::CREATED, Json(serde_json::json!({ "run": run }))))
}

/// `GET /api/v1/runs/{id}/specification.yaml`: the run as a file of settings.
pub async fn specification_yaml(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Fault> {
    let id = run_of(&id)?;
    let text = specification::write(&state, &id, false).await?;
    Ok((to_keep("specification.yaml"), [(CONTENT_TYPE, "application/yaml")], text))
}

/// `GET /api/v1/runs/{id}/specification.json`: the same as JSON.
pub async fn specification_json(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Fault> {
    let id = run_of(&id)?;
    let text = specification::write(&state, &id, true).await?;
    Ok((to_keep("specification.json"), [(CONTENT_TYPE, "application/json")], text))
}

/// The run that a path names.
fn run_of(id: &str) -> Result<RunId, Problem> {
    RunId::parse(id).ok_or_else(|| Problem::not_found("run"))
}

/// `GET /api/v1/runs/{id}`.
pub async fn run(State(state): State<AppState>, Path(id): Path<String>) -> Result<Json<RunView>, Fault> {
    let id = run_of(&id)?;
    Ok(Json(Runs(state).view(&id).await?))
}

/// `GET /api/v1/runs/{id}/file?name=…`: a file that the run leaves for other programs.
pub async fn run_file(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(FileName { name }): Query<FileName>,
    request: axum::extract::Request,
) -> Result<impl IntoResponse, Fault> {
    let id = run_of(&id)?;
    let path = run_files::path(&state, &id, &name).await?;
    Ok((to_keep(&name), ServeFile::new(path).oneshot(request).await))
}

/// `GET /api/v1/runs/{id}/predictions.csv`: the answers it was measured by, for a spreadsheet.
pub async fn predictions(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Fault> {
    let id = run_of(&id)?;
    let body = predictions::csv(&state, &id).await?;
    Ok((to_keep("predictions.csv"), [(CONTENT_TYPE, "text/csv; charset=utf-8")], body))
}

/// `GET /api/v1/runs/{id}/checkpoints/{step}/zip`: the checkpoint as PEFT and transformers open it.
pub async fn checkpoint_zip(
    State(state): State<AppState>,
    Path((id, step)): Path<(String, u64)>,
) -> Result<impl IntoResponse, Fault> {
    let id = run_of(&id)?;
    let name = format!("{id}-step-{step}.zip");
    let body = checkpoint_zip::zip(&state, id, step).await?;
    Ok((to_keep(&name), [(CONTENT_TYPE, "application/zip")], body))
}

/// `GET /api/v1/weights?model=…&run=…&step=…`: what a model consists of, for a browser that runs it itself.
pub async fn parcel(
    State(state): State<AppState>,
    Query(target): Query<ChatTarget>,
) -> Result<Json<Parcel>, Fault> {
    Ok(Json(carry::parcel(&state, &target).await?))
}

/// A file of a parcel or of a run.
#[derive(Debug, Deserialize)]
pub struct FileName {
    name: String,
}

/// `GET /api/v1/weights/file?…&name=…`: one of its files, in whole or a range of it.
pub async fn parcel_file(
    State(state): State<AppState>,
    Query(target): Query<ChatTarget>,
    Query(FileName { name }): Query<FileName>,
    request: axum::extract::Request,
) -> Result<impl IntoResponse, Fault> {
    let path = carry::file(&state, &target, &name).await?;
    Ok((to_keep(&name), ServeFile::new(path).oneshot(request).await))
}

/// `GET /api/v1/takeaway.zip?model=…&run=…&title=…`: a page with the model in it.
pub async fn take_away(
    State(state): State<AppState>,
    Query(target): Query<ChatTarget>,
    Query(texts): Query<HandOver>,
) -> Result<impl IntoResponse, Fault> {
    let (body, bytes) = takeaway::page(&state, target, texts).await?;
    let kind = [(CONTENT_TYPE, "application/zip".to_owned()), (CONTENT_LENGTH, bytes.to_string())];
    Ok((to_keep("page.zip"), kind, body))
}

/// `GET /healthz`: 200 while a run could be launched, else 503 with the parts that fail.
pub async fn health(State(state): State<AppState>) -> (StatusCode, String) {
    let failing = crate::health::failing(&state).await;
    match failing.is_empty() {
        true => (StatusCode::OK, "ok\n".to_owned()),
        false => (StatusCode::SERVICE_UNAVAILABLE, format!("failing: {}\n", failing.join(", "))),
    }
}

/// Any other path under `/api/v1`.
pub async fn nothing() -> (StatusCode, Json<serde_json::Value>) {
    let problem = Problem::new(Code::NotFound, "There is nothing under this address.");
    (StatusCode::NOT_FOUND, Json(serde_json::json!({ "problems": [problem] })))
}
