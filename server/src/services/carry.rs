//! What a model consists of, for a browser that wants to run it itself.

use std::path::{Path, PathBuf};

use contract::Code;
use contract::Problem;
use contract::carry::{MOST_BYTES, Parcel, ParcelFile, adapter_prefix};
use contract::chat::{ChatRequest, ChatTarget};
use contract::checkpoint::{FileEntry, Manifest};
use contract::generation::GenerationSettings;
use contract::model::{ModelFacts, short_digest, with_adapter};
use rundir::chain::is_whole;
use serde::de::DeserializeOwned;

use super::{chat, models, runs};
use crate::error::Fault;
use crate::generation::Weights;
use crate::state::AppState;

/// Weights of a model, in the order of preference.
const WEIGHTS: [&str; 2] = ["model.gguf", "model.safetensors"];
/// The rest of a model; what is not there is left out.
const BESIDE: [&str; 6] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
];
const ADAPTER: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];

/// A file of a parcel and where it lies.
pub(super) struct Found {
    pub(super) file: ParcelFile,
    pub(super) path: PathBuf,
}

/// What a target consists of.
///
/// # Errors
/// A target that is gone, weights in several files, or more than a browser can hold.
pub async fn parcel(state: &AppState, target: &ChatTarget) -> Result<Parcel, Fault> {
    let (mut parcel, found) = gather(state, target).await?;
    parcel.files = found.into_iter().map(|one| one.file).collect();
    Ok(parcel)
}

/// A parcel, still without its files, and these.
pub(super) async fn gather(state: &AppState, target: &ChatTarget) -> Result<(Parcel, Vec<Found>), Fault> {
    let (weights, template, system) = resolve(state, target).await?;
    let name = match &target.run {
        Some(run) => runs::find(state, run).await?.summary.name,
        None => models::find(state, &target.model).await?.name,
    };
    let collected = tokio::task::spawn_blocking(move || collect(&weights)).await??;
    let Collected { digest, parameters, found } = collected;
    let bytes: u64 = found.iter().map(|one| one.file.bytes).sum();
    if bytes > MOST_BYTES {
        let message = format!("This model takes {} MB; a browser holds less.", bytes / 1_000_000);
        return Err(Problem::new(Code::EngineTooLarge, message)
            .with("megabytes", bytes / 1_000_000)
            .hint("Talk to it on the server.")
            .into());
    }
    Ok((Parcel { name, parameters, digest, template, system, files: Vec::new() }, found))
}

/// Where a file of a target lies; only files of its parcel are found.
pub async fn file(state: &AppState, target: &ChatTarget, name: &str) -> Result<PathBuf, Fault> {
    let (weights, ..) = resolve(state, target).await?;
    let found = tokio::task::spawn_blocking(move || collect(&weights)).await??.found;
    let one = found.into_iter().find(|one| one.file.name == name);
    Ok(one.ok_or_else(|| Problem::not_found("file"))?.path)
}

async fn resolve(state: &AppState, target: &ChatTarget) -> Result<(Weights, String, Option<String>), Fault> {
    let settings = GenerationSettings::default();
    let request = ChatRequest { target: target.clone(), template: None, messages: Vec::new(), settings };
    chat::resolve(state, &request).await
}

/// What weights are called, how many the base has, and their files.
struct Collected {
    digest: String,
    parameters: u64,
    found: Vec<Found>,
}

fn collect(weights: &Weights) -> Result<Collected, Problem> {
    let base = Folder::read(&weights.model);
    let whole = weights.chain.first().filter(|first| is_whole(first)).map(|first| Folder::read(first));
    let source = whole.as_ref().unwrap_or(&base);
    let main = WEIGHTS.into_iter().find_map(|name| source.find(name, name, &source.digest));
    let mut found = vec![main.ok_or_else(|| {
        Problem::new(Code::EngineShards, "The weights of this model lie in several files.")
            .hint("Talk to it on the server.")
    })?];
    for name in BESIDE {
        let beside = source.find(name, name, &source.digest);
        found.extend(beside.or_else(|| base.find(name, name, &source.digest)));
    }
    let mut digest = short_digest(&source.digest);
    for (at, path) in weights.chain.iter().skip(usize::from(whole.is_some())).enumerate() {
        let folder = Folder::read(path);
        digest = with_adapter(&digest, &folder.digest);
        let named = |name| folder.find(name, &format!("{}{name}", adapter_prefix(at)), &folder.digest);
        found.extend(ADAPTER.into_iter().filter_map(named));
    }
    Ok(Collected { digest, parameters: base.parameters, found })
}

/// A model or a checkpoint, with what its facts and its manifest tell.
struct Folder<'a> {
    path: &'a Path,
    /// SHA-256 of its weights, hex.
    digest: String,
    parameters: u64,
    files: Vec<FileEntry>,
}

impl<'a> Folder<'a> {
    fn read(path: &'a Path) -> Self {
        let facts: Option<ModelFacts> = json(&path.join("burnish.json"));
        let manifest: Option<Manifest> = json(&path.join("manifest.json"));
        let parameters = facts.as_ref().map_or(0, |facts| facts.parameters);
        let of_manifest = manifest.as_ref().map(|manifest| manifest.digest.clone());
        let digest = facts.map(|facts| facts.digest).or(of_manifest).unwrap_or_default();
        Self { path, digest, parameters, files: manifest.map(|manifest| manifest.files).unwrap_or_default() }
    }

    /// A file under the name the engine knows it by; `digest` is that of the weights it goes with.
    fn find(&self, file: &str, name: &str, digest: &str) -> Option<Found> {
        let path = self.path.join(file);
        let bytes = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file)?.len();
        let listed = self.files.iter().find(|entry| entry.name == file).map(|entry| entry.sha256.clone());
        let own = || (WEIGHTS.contains(&file) && !self.digest.is_empty()).then(|| self.digest.clone());
        let key = format!("{digest}/{name}/{bytes}");
        let file = ParcelFile { name: name.to_owned(), bytes, key, sha256: listed.or_else(own) };
        Some(Found { file, path })
    }
}

fn json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}
