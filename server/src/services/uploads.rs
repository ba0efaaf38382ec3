//! Files that come in over the network: streamed to a temporary file, hashed on the way, and given a name
//! only when they are whole and good. Whatever ends early leaves nothing.

use std::path::{Path, PathBuf};

use axum::body::Body;
use contract::Code;
use contract::dataset::{DatasetView, FileKind, Mapping};
use contract::files;
use contract::reading::{Inspect, Inspected, Sheet, Written};
use contract::registry::Finding;
use contract::{DatasetId, Problem, label};
use futures::StreamExt;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use super::remove_folder;
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

/// Longest file name that is kept, characters.
const MAX_FILE_NAME: usize = 200;

/// A file that is removed unless it is kept.
pub struct Temporary {
    path: PathBuf,
    /// Bytes written.
    pub bytes: u64,
    /// SHA-256, hex.
    pub sha256: String,
}

impl Temporary {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// It was written by another.
    pub fn written(&mut self, written: Written) {
        (self.bytes, self.sha256) = (written.bytes, written.sha256);
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // renamed away when it was kept
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes what a killed server left half-made.
pub fn sweep(config: &Config) {
    for (kind, prefix) in [("uploads", ""), ("datasets", "new-")] {
        for entry in std::fs::read_dir(config.folder(kind)).into_iter().flatten().flatten() {
            if !entry.file_name().to_string_lossy().starts_with(prefix) {
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

/// Streams a request's body into a temporary file.
pub async fn receive(state: &AppState, body: Body) -> Result<Temporary, Fault> {
    let path = place(state);
    let mut file = tokio::fs::File::create(&path).await.map_err(Fault::disk("create", &path))?;
    // from here on the guard removes the file whenever this future ends early, an aborted request included
    let mut kept = Temporary { path: path.clone(), bytes: 0, sha256: String::new() };
    let (mut sha, limit) = (Sha256::new(), state.config.max_upload);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| {
            Problem::new(Code::UploadAborted, "The upload ended before the file was whole.")
                .hint("Send it again.")
        })?;
        kept.bytes += chunk.len() as u64;
        if kept.bytes > limit {
            return Err(too_large(limit).into());
        }
        sha.update(&chunk);
        file.write_all(&chunk).await.map_err(Fault::disk("write", &path))?;
    }
    file.flush().await.map_err(Fault::disk("write", &path))?;
    file.sync_all().await.map_err(Fault::disk("write", &path))?;
    kept.sha256 = format!("{:x}", sha.finalize());
    Ok(kept)
}

/// The problem of a file above the limit.
pub fn too_large(limit: u64) -> Problem {
    let size = match limit {
        0..1_048_576 => format!("{limit} bytes"),
        1_048_576..1_073_741_824 => format!("{} MiB", limit >> 20),
        _ => format!("{} GiB", limit >> 30),
    };
    Problem::new(Code::UploadTooLarge, format!("The file is larger than {size}."))
        .with("limit", size)
        .hint("Split it, or start the server with a larger BURNISH_MAX_UPLOAD.")
}

/// Reads a dataset's file name: its last part, and a kind Burnish can read.
fn file_name(name: &str) -> Result<(String, FileKind), Fault> {
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
        "xls" | "xlsb" | "xlt" | "xltx" | "xltm" | "ods" | "fods" | "ots" | "numbers" | "et" => {
            "Open it in a spreadsheet program and save it as .xlsx, or export the sheet as CSV."
        }
        _ => "Upload a .jsonl, .json, .csv, .tsv, .xlsx, .parquet or .txt file.",
    }
}

/// Takes a dataset in: streamed, inspected, stored.
pub async fn dataset(
    state: &AppState,
    name: &str,
    declared: Declared,
    body: Body,
) -> Result<DatasetView, Fault> {
    let (name, kind) = file_name(name)?;
    let file = receive(state, body).await?;
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
    /// SHA-1 it should have, hex.
    pub sha1: Option<String>,
    /// Encoding that a person chose for it; `None`: as its bytes say.
    pub encoding: Option<String>,
    /// Which sheet of a workbook is read.
    pub sheet: Sheet,
}

/// Takes a file of the hub in under a label of its own.
pub async fn from_hub(state: &AppState, path: &str, title: &str, body: Body) -> Result<DatasetView, Fault> {
    let (name, kind) = file_name(path)?;
    let file = receive(state, body).await?;
    keep(state, file, &name, title, kind, Declared::default()).await
}

/// Where the next temporary file goes.
pub fn place(state: &AppState) -> PathBuf {
    state.config.folder("uploads").join(format!("part-{}", state.ids.next()))
}

/// A temporary file that is about to be written; size and digest are for the writer to fill in.
pub fn made(path: PathBuf) -> Temporary {
    Temporary { path, bytes: 0, sha256: String::new() }
}

async fn keep(
    state: &AppState,
    file: Temporary,
    file_name: &str,
    title: &str,
    kind: FileKind,
    declared: Declared,
) -> Result<DatasetView, Fault> {
    let target = place(state);
    // removes the file whatever ends this early
    let mut made = made(target.clone());
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let asked = Inspect {
        file: path(file.path()),
        kind,
        mapping: declared.mapping,
        sha1: declared.sha1,
        encoding: declared.encoding,
        sheet: declared.sheet,
        target: path(&target),
    };
    let read = state.readers.ask(Lane::of_bytes(file.bytes), asked).await;
    let Inspected { inspection, findings, written } = read.map_err(|problem| problem.file(file_name))?;
    let file = match written {
        Some(written) => {
            made.written(written);
            made
        }
        None => file,
    };
    let lineage =
        Lineage { file_name: file_name.to_owned(), title: title.to_owned(), findings, before: None };
    store(state, file, lineage, inspection).await
}

/// Where a dataset comes from.
pub struct Lineage {
    /// File name as people know it.
    pub file_name: String,
    /// Label.
    pub title: String,
    /// What is worth knowing beside its rows.
    pub findings: Vec<Finding>,
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
        },
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
    state.store.add_dataset(&mut tx, row).await?;
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
    if let Some(row) = state.store.dataset_by_sha256(&format!("{:x}", Sha256::digest(&bytes))).await? {
        return Ok(row.view);
    }
    let file = receive(state, Body::from(bytes)).await?;
    let kind = FileKind::of_name(&file_name).unwrap_or(FileKind::Jsonl);
    keep(state, file, &file_name, title, kind, Declared::default()).await
}

/// The folder that the files of one model upload go to. The id comes from the browser.
pub fn folder(state: &AppState, upload: &str) -> Result<PathBuf, Fault> {
    let id = contract::ModelId::parse(upload).ok_or_else(|| {
        Problem::new(Code::UploadBadId, "The upload's id may hold letters, digits and - only.")
            .field("upload")
    })?;
    Ok(state.config.folder("uploads").join(format!("model-{id}")))
}

/// Takes one file of a model in.
pub async fn model_file(state: &AppState, upload: &str, name: &str, body: Body) -> Result<u64, Fault> {
    let folder = folder(state, upload)?;
    model_file_name(name)?;
    let file = receive(state, body).await?;
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
