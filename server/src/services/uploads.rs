//! Files that come in over the network: streamed to a temporary file, hashed on the way, and given a name
//! only when they are whole and good. Whatever ends early leaves nothing.

use std::path::{Path, PathBuf};

use axum::body::Body;
use contract::Code;
use contract::dataset::{DatasetView, FileKind, Mapping};
use contract::files;
use contract::origin::SourceFile;
use contract::reading::{Inspect, Inspected, Sheet};
use contract::registry::Finding;
use contract::{DatasetId, Problem, label};
use futures::StreamExt;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use super::incoming::{self, Temporary};
use super::{remove_folder, sets};
use crate::config::Config;
use crate::error::Fault;
use crate::readers::Lane;
use crate::state::AppState;
use crate::store::datasets::DatasetRow;

/// Starter datasets: name, file and label.
const SAMPLES: &[(&str, &str, &str)] = &[
    ("kettle-and-co", "kettle-and-co.jsonl", "Kettle & Co"),
    ("kettle-pairs", "kettle-pairs.jsonl", "Kettle & Co, better and worse answers"),
    ("kettle-story", "kettle-story.txt", "The story of Kettle & Co"),
    ("everyday-en-zh", "everyday-en-zh.jsonl", "Everyday English and Chinese"),
];

/// How the folder of a model's files begins.
const MODEL: &str = "model-";

/// Longest file name that is kept, characters.
const MAX_FILE_NAME: usize = 200;

/// Removes what a killed server left half-made. The files of a model or of a dataset that came in so far
/// stay for a day: a page may be sending the rest.
pub fn sweep(config: &Config) {
    for (kind, prefix) in [("uploads", ""), ("datasets", "new-")] {
        for entry in std::fs::read_dir(config.folder(kind)).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let kept = name.starts_with(MODEL) || name.starts_with(sets::SET);
            let goes_on = kind == "uploads" && kept && !incoming::is_old(&entry.path());
            if !name.starts_with(prefix) || goes_on {
                continue;
            }
            if entry.path().is_dir() {
                remove_folder(&entry.path());
            } else {
                // gone already is as good
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// What a request brings.
pub enum Incoming {
    /// The file itself.
    Body(Body),
    /// Id of an upload that is whole.
    Upload(String),
}

impl From<Body> for Incoming {
    fn from(body: Body) -> Self {
        Self::Body(body)
    }
}

impl Incoming {
    /// The file, whole.
    pub(super) async fn file(self, state: &AppState) -> Result<Temporary, Fault> {
        match self {
            Self::Body(body) => receive(state, body).await,
            Self::Upload(id) => state.resumable.take(&id).await,
        }
    }
}

/// Streams a request's body into a temporary file.
async fn receive(state: &AppState, body: Body) -> Result<Temporary, Fault> {
    let path = place(state);
    let mut file = tokio::fs::File::create(&path).await.map_err(Fault::disk("create", &path))?;
    // from here on the guard removes the file whenever this future ends early, an aborted request included
    let mut kept = Temporary::made(path.clone());
    let (mut sha, limit) = (Sha256::new(), state.config.max_upload);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| incoming::aborted())?;
        kept.bytes += chunk.len() as u64;
        if kept.bytes > limit {
            return Err(incoming::too_large(limit).into());
        }
        sha.update(&chunk);
        file.write_all(&chunk).await.map_err(Fault::disk("write", &path))?;
    }
    file.flush().await.map_err(Fault::disk("write", &path))?;
    file.sync_all().await.map_err(Fault::disk("write", &path))?;
    kept.sha256 = format!("{:x}", sha.finalize());
    Ok(kept)
}

/// Reads a dataset's file name: its last part, and a kind Burnish can read.
pub(super) fn file_name(name: &str) -> Result<(String, FileKind), Fault> {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean = label::cleaned(name, MAX_FILE_NAME);
    let Some(kind) = FileKind::of_name(&clean) else {
        return Err(Problem::new(
            Code::DatasetUnknownKind,
            format!("Burnish cannot read “{clean}” as a dataset."),
        )
        .hint(advice(&clean))
        .into());
    };
    Ok((clean, kind))
}

/// What to do with a file that cannot be read, by its name.
fn advice(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    match extension.as_str() {
        "zip" | "gz" | "tgz" | "tar" | "bz2" | "xz" | "7z" | "rar" | "zst" => {
            "Unpack it and choose the files in it; several become one dataset."
        }
        "xls" | "xlsb" | "xlt" | "xltx" | "xltm" | "ods" | "fods" | "ots" | "numbers" | "et" => {
            "Open it in a spreadsheet program and save it as .xlsx, or export the sheet as CSV."
        }
        _ => "Upload a .jsonl, .json, .csv, .tsv, .xlsx, .parquet or .txt file.",
    }
}

/// Takes a dataset in: its file comes once its name is known to be of use, is inspected, stored.
pub async fn dataset(
    state: &AppState,
    name: &str,
    declared: Declared,
    file: impl Into<Incoming>,
) -> Result<DatasetView, Fault> {
    file_name(name)?;
    let file = file.into().file(state).await?;
    named(state, name, declared, file).await
}

/// Makes a dataset of a file that is here whole.
pub(super) async fn named(
    state: &AppState,
    name: &str,
    declared: Declared,
    file: Temporary,
) -> Result<DatasetView, Fault> {
    let (name, kind) = file_name(name)?;
    let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
    let title = declared.title.clone().unwrap_or_else(|| stem.to_owned());
    let title = Some(label::cleaned(&title, label::MAX_NAME)).filter(|title| !title.is_empty());
    let title = title.unwrap_or_else(|| label::cleaned(&name, label::MAX_NAME));
    keep(state, file, &name, &title, kind, declared).await
}

/// What a register says about a file.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// Label.
    pub title: Option<String>,
    /// How rows are read; `None`: as the file suggests.
    pub mapping: Option<Mapping>,
    /// Whether that leaves open what the file shows, as an entry of a register may (S-006).
    pub open: bool,
    /// Digest it should have, hex: of SHA-1 or SHA-256 (S-070).
    pub digest: Option<String>,
    /// Encoding that a person chose for it; `None`: as its bytes say.
    pub encoding: Option<String>,
    /// Which sheet of a workbook is read.
    pub sheet: Sheet,
}

/// Takes a file of the hub in under a label of its own.
pub async fn from_hub(state: &AppState, path: &str, title: &str, body: Body) -> Result<DatasetView, Fault> {
    let file = receive(state, body).await?;
    named(state, path, Declared { title: Some(title.to_owned()), ..Declared::default() }, file).await
}

/// Where the next temporary file goes.
pub fn place(state: &AppState) -> PathBuf {
    state.config.folder("uploads").join(format!("part-{}", state.ids.next()))
}

async fn keep(
    state: &AppState,
    mut file: Temporary,
    file_name: &str,
    title: &str,
    kind: FileKind,
    declared: Declared,
) -> Result<DatasetView, Fault> {
    let target = place(state);
    // removes the file whatever ends this early
    let mut made = Temporary::made(target.clone());
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let asked = Inspect {
        file: path(file.path()),
        name: file_name.to_owned(),
        kind,
        mapping: declared.mapping,
        open: declared.open,
        digest: declared.digest,
        encoding: declared.encoding,
        sheet: declared.sheet,
        target: path(&target),
    };
    let read = state.readers.ask(Lane::of_bytes(file.bytes), asked).await;
    let Inspected { inspection, findings, written, files } = read.map_err(|problem| {
        if !is_worth_asking_again(&problem) {
            file.refuse();
        }
        problem.file(file_name)
    })?;
    let file = match written {
        Some(written) => {
            made.written(written);
            file.refuse();
            made
        }
        None => file,
    };
    let lineage =
        Lineage { file_name: file_name.to_owned(), title: title.to_owned(), findings, files, before: None };
    store(state, file, lineage, inspection).await
}

/// Whether the same file may be read after all: the person is asked something, or it is the server that failed.
pub(super) fn is_worth_asking_again(problem: &Problem) -> bool {
    matches!(problem.code, Code::DatasetEncodingUnsure | Code::DatasetSheetUnsure)
        || !Fault::status(problem).is_client_error()
}

/// Where a dataset comes from.
pub struct Lineage {
    /// File name as people know it.
    pub file_name: String,
    /// Label.
    pub title: String,
    /// What is worth knowing beside its rows.
    pub findings: Vec<Finding>,
    /// The files it was made of, in order.
    pub files: Vec<SourceFile>,
    /// The version it was made from, and how.
    pub before: Option<(DatasetRow, contract::dataset::Change)>,
}

/// Gives a file that was read whole its place and its row; what fails leaves nothing.
pub async fn store(
    state: &AppState,
    file: Temporary,
    lineage: Lineage,
    inspection: contract::dataset::Inspection,
) -> Result<DatasetView, Fault> {
    let kind = inspection.kind;
    let id = DatasetId(state.ids.next());
    let stored = format!("data.{}", kind.extension());
    let (family, version, change) = match lineage.before {
        Some((before, change)) => (before.family, before.view.version + 1, Some(change)),
        None => (id.clone(), 1, None),
    };
    let row = DatasetRow {
        file: format!("datasets/{id}/{stored}"),
        family,
        change,
        view: DatasetView {
            id: id.clone(),
            name: lineage.title,
            file_name: lineage.file_name,
            bytes: file.bytes,
            sha256: file.sha256.clone(),
            created_ms: state.clock.now_ms(),
            inspection,
            version,
            newest: true,
            findings: lineage.findings,
            files: lineage.files.len().max(1) as u64,
        },
        files: lineage.files,
    };
    let folder = state.config.folder("datasets");
    let (half, whole) = (folder.join(format!("new-{id}")), folder.join(id.as_str()));
    std::fs::create_dir_all(&half).map_err(Fault::disk("create", &half))?;
    let moved = std::fs::rename(file.path(), half.join(stored)).map_err(Fault::disk("move", file.path()));
    let stored = match moved {
        Ok(()) => commit(state, &row, &half, &whole).await,
        Err(fault) => Err(fault),
    };
    if let Err(fault) = stored {
        remove_folder(&half);
        remove_folder(&whole);
        return Err(fault);
    }
    Ok(row.view)
}

async fn commit(state: &AppState, row: &DatasetRow, half: &Path, whole: &Path) -> Result<(), Fault> {
    let mut tx = state.store.begin().await?;
    if !state.store.add_dataset(&mut tx, row).await? {
        return Err(Problem::not_found("dataset").into());
    }
    std::fs::rename(half, whole).map_err(Fault::disk("move", half))?;
    tx.commit().await?;
    Ok(())
}

/// Takes a starter dataset in; one that is there already is answered as it is.
pub async fn sample(state: &AppState, name: &str) -> Result<DatasetView, Fault> {
    let Some((_, file_name, title)) = SAMPLES.iter().find(|(known, ..)| *known == name) else {
        return Err(Problem::not_found("sample").into());
    };
    let file_name = (*file_name).to_owned();
    let source = state.config.site_root.join("samples").join(&file_name);
    let bytes = tokio::fs::read(&source).await.map_err(|why| {
        tracing::warn!("{} cannot be read: {why}", source.display());
        Problem::new(Code::SampleMissing, format!("The starter dataset {file_name} is not installed."))
            .hint("Start Burnish with make serve, or give --site-root the folder that make serve built.")
    })?;
    // Two presses at once are one dataset.
    let Ok(_permit) = state.samples.acquire().await else { return Err(Problem::not_found("sample").into()) };
    if let Some(row) = state.store.dataset_by_sha256(&format!("{:x}", Sha256::digest(&bytes))).await? {
        return Ok(row.view);
    }
    let file = receive(state, Body::from(bytes)).await?;
    let kind = FileKind::of_name(&file_name).unwrap_or(FileKind::Jsonl);
    keep(state, file, &file_name, title, kind, Declared::default()).await
}

/// The folder that the files of one model upload go to. The id comes from the browser.
pub fn folder(state: &AppState, upload: &str) -> Result<PathBuf, Fault> {
    Ok(state.config.folder("uploads").join(format!("{MODEL}{}", upload_id(upload)?)))
}

/// The id that several files share, as a part of a path.
pub(super) fn upload_id(upload: &str) -> Result<contract::ModelId, Problem> {
    contract::ModelId::parse(upload).ok_or_else(|| {
        Problem::new(Code::UploadBadId, "The upload's id may hold letters, digits and - only.")
            .field("upload")
    })
}

/// SHA-256 of a text, hex.
pub(super) fn digest_of(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))
}

/// Takes one file of a model in.
pub async fn model_file(
    state: &AppState,
    upload: &str,
    name: &str,
    file: impl Into<Incoming>,
) -> Result<u64, Fault> {
    let folder = folder(state, upload)?;
    model_file_name(name)?;
    let file = file.into().file(state).await?;
    std::fs::create_dir_all(&folder).map_err(Fault::disk("create", &folder))?;
    let path = folder.join(name);
    std::fs::rename(file.path(), &path).map_err(Fault::disk("move", &path))?;
    Ok(file.bytes)
}

/// Only plain names, and no format that can run code when it is read.
fn model_file_name(name: &str) -> Result<(), Problem> {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if name.is_empty() || name.len() > 200 || !plain || name.starts_with('.') {
        return Err(Problem::new(Code::UploadBadName, format!("A model file may not be called “{name}”."))
            .with("name", name)
            .field("name")
            .hint("Use letters, digits, dots, - and _ only."));
    }
    if files::is_program(name) {
        return Err(Problem::new(
            Code::UploadProgram,
            format!("{name} is a program, which is never run here."),
        )
        .with("name", name)
        .field("name")
        .hint("A model needs its configuration, its tokenizer and its weights only."));
    }
    if files::is_pickle(name) {
        return Err(Problem::new(
            Code::UploadPickle,
            format!("{name} is a pickle file, which can run code."),
        )
        .with("name", name)
        .field("name")
        .hint("Use the model's .safetensors or .gguf files."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_model_files_stay_in_their_folder_and_run_nothing() {
        for bad in ["", "..", ".hidden", "a/b", "a\\b", "ä", "a b"] {
            assert_eq!(model_file_name(bad).expect_err(bad).code, Code::UploadBadName);
        }
        for bad in ["model.bin", "x.PT", "m.pkl", "x.npy", "x.npz", "x.joblib", "x.ckpt"] {
            assert_eq!(model_file_name(bad).expect_err(bad).code, Code::UploadPickle);
        }
        for bad in ["config.py", "RUN.SH", "x.so"] {
            assert_eq!(model_file_name(bad).expect_err(bad).code, Code::UploadProgram);
        }
        for good in ["model.safetensors", "tokenizer.json", "SmolLM2-135M.Q4_1.gguf"] {
            model_file_name(good).expect(good);
        }
    }

    #[test]
    fn a_dataset_keeps_the_last_part_of_its_name() {
        assert_eq!(file_name("../../etc/a b.JSONL").expect("a kind").0, "a b.JSONL");
        assert!(file_name("notes.docx").is_err());
        assert_eq!(file_name("Fragen.XLSM").expect("a kind").1, FileKind::Xlsx);
        for (name, says) in [("old.xls", "save it as .xlsx"), ("a.ODS", "save it as .xlsx"), ("xls", ".csv")]
        {
            let problems = file_name(name).expect_err("no kind").into_problems();
            assert_eq!(problems[0].code, Code::DatasetUnknownKind, "{name}");
            assert!(problems[0].hint.as_ref().is_some_and(|hint| hint.contains(says)), "{name}");
        }
    }
}
