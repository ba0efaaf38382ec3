//! `/api/v1/resumable`: uploads by the tus protocol ([`contract::tus`]), for pages and for its clients. What is done with
//! a file that is whole, `POST /api/v1/uploads?resumable=…` says.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, HeaderName, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use contract::{Code, Problem, tus};

use crate::error::Fault;
use crate::state::AppState;

type Headers<const N: usize> = [(HeaderName, String); N];

const RESUMABLE: HeaderName = HeaderName::from_static(tus::RESUMABLE);
const OFFSET: HeaderName = HeaderName::from_static(tus::OFFSET);
const LENGTH: HeaderName = HeaderName::from_static(tus::LENGTH);

fn version() -> (HeaderName, String) {
    (RESUMABLE, tus::VERSION.to_owned())
}

fn number(headers: &HeaderMap, name: &str) -> Result<u64, Problem> {
    let value = headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok());
    value.ok_or_else(|| {
        Problem::new(Code::UploadBadHeader, format!("The header {name} is to be a number of bytes."))
            .with("name", name)
    })
}

/// `OPTIONS`: what is spoken here.
pub async fn options(State(state): State<AppState>) -> (StatusCode, Headers<4>) {
    let said = |name, value: &str| (HeaderName::from_static(name), value.to_owned());
    let headers = [
        version(),
        said("tus-version", tus::VERSION),
        said("tus-extension", "creation,termination"),
        said("tus-max-size", &state.resumable.limit().to_string()),
    ];
    (StatusCode::NO_CONTENT, headers)
}

/// `POST`: opens an upload of `Upload-Length` bytes.
pub async fn create(
    State(state): State<AppState>,
    headers: HeaderMap,
) -> Result<(StatusCode, Headers<3>), Fault> {
    let length = number(&headers, tus::LENGTH)?;
    let id = state.ids.next();
    state.resumable.create(id.clone(), length)?;
    let place = format!("{}/{id}", tus::PATH);
    Ok((StatusCode::CREATED, [version(), (LOCATION, place), (OFFSET, "0".to_owned())]))
}

/// `HEAD`: where to go on.
pub async fn offset(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Headers<3>), Fault> {
    let (offset, length) = state.resumable.offset(&id).await?;
    Ok((StatusCode::OK, [version(), (OFFSET, offset.to_string()), (LENGTH, length.to_string())]))
}

/// `PATCH`: the bytes from `Upload-Offset` on.
pub async fn append(
    State(state): State<AppState>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Headers<2>), Fault> {
    if headers.get(CONTENT_TYPE).is_none_or(|kind| kind.as_bytes() != tus::KIND.as_bytes()) {
        let problem =
            Problem::new(Code::UploadBadHeader, format!("The content type is to be {}.", tus::KIND));
        return Err(problem.with("name", CONTENT_TYPE.as_str()).into());
    }
    let offset = state.resumable.append(&id, number(&headers, tus::OFFSET)?, body).await?;
    Ok((StatusCode::NO_CONTENT, [version(), (OFFSET, offset.to_string())]))
}

/// `DELETE`: gives an upload up.
pub async fn remove(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Headers<1>), Fault> {
    state.resumable.remove(&id).await?;
    Ok((StatusCode::NO_CONTENT, [version()]))
}
