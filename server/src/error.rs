//! The one error of the server. Whatever a person can act on travels as [`Problem`]s; everything else is
//! logged here, once, under an id, and shows as that id.

use std::path::{Path, PathBuf};

use app::ports::Problems;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use contract::Code;
use contract::Problem;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A person's input, with what to do about it.
    #[error("{}", .0.first().map(ToString::to_string).unwrap_or_default())]
    Problems(Vec<Problem>),
    /// The database.
    #[error("database: {0}")]
    Store(#[from] sqlx::Error),
    /// A file or folder of the data directory.
    #[error("could not {doing} {path}: {source}")]
    Disk {
        /// `read`, `write` …
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A run directory.
    #[error("{0}")]
    RunDir(#[from] rundir::Error),
    /// JSON that this server wrote and cannot read back.
    #[error("stored JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A background task died.
    #[error("task: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Fault {
    /// For `map_err`: an operation on `path` failed.
    pub fn disk(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Disk { doing, path, source }
    }

    /// The status a problem is answered with: one of the server's own (5xx) only where the server failed.
    pub fn status(problem: &Problem) -> StatusCode {
        match problem.code {
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::UploadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Code::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
            Code::Busy
            | Code::BuildChanged
            | Code::ChatSeatsBusy
            | Code::DatasetInUse
            | Code::ModelInUse
            | Code::RunBusy
            | Code::RunStoodOn
            | Code::UploadOffset
            | Code::RunTraining => StatusCode::CONFLICT,
            Code::ReadingBusy => StatusCode::SERVICE_UNAVAILABLE,
            Code::ServerFault => StatusCode::INTERNAL_SERVER_ERROR,
            Code::DiskSlow => StatusCode::SERVICE_UNAVAILABLE,
            Code::ClientTooMany | Code::UploadTooMany => StatusCode::TOO_MANY_REQUESTS,
            Code::ServerSlow => StatusCode::GATEWAY_TIMEOUT,
            Code::UploadStalled => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    /// What the person sees. Faults of the server are logged under the id they show.
    pub fn into_problems(self) -> Vec<Problem> {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match self {
            Self::Problems(problems) => problems,
            Self::Disk { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded) => {
                vec![
                    Problem::new(Code::DiskFull, "The disk is full.")
                        .hint("Free some space where Burnish keeps its data, then try again."),
                ]
            }
            fault => {
                let id = uuid::Uuid::new_v4().simple().to_string();
                let id = &id[..8];
                tracing::error!(id, "{fault}");
                vec![
                    Problem::new(
                        Code::ServerFault,
                        format!("Something went wrong on the server (fault {id})."),
                    )
                    .with("id", id)
                    .hint("Try again; the server's log says more under this number."),
                ]
            }
        }
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self::Problems(vec![problem])
    }
}

impl From<Fault> for Problems {
    fn from(fault: Fault) -> Self {
        Self(fault.into_problems())
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let problems = self.into_problems();
        let status = problems.first().map_or(StatusCode::INTERNAL_SERVER_ERROR, Self::status);
        (status, Json(serde_json::json!({ "problems": problems }))).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_the_server_hides_its_words_and_a_full_disk_does_not() {
        let problems = Fault::Store(sqlx::Error::PoolClosed).into_problems();
        assert_eq!(problems[0].code, Code::ServerFault);
        assert!(!problems[0].message.contains("pool"));
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let response = Fault::disk("write", Path::new("/x"))(full).into_response();
        assert_eq!(response.status(), StatusCode::INSUFFICIENT_STORAGE);
    }
}
