//! What a model consists of, for a browser that wants to run it itself.

use std::path::{Path, PathBuf};

use contract::Problem;
use contract::carry::{MOST_BYTES, Parcel, ParcelFile, adapter_prefix};
use contract::chat::{ChatRequest, ChatTarget};
use contract::checkpoint::Manifest;
use contract::generation::GenerationSettings;
use contract::model::ModelFacts;
use rundir::chain::is_whole;

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
    let base = weights.model.clone();
    let (digest, found) = tokio::task::spawn_blocking(move || collect(&weights)).await??;
    let parameters = facts(&base).map_or(0, |facts| facts.parameters);
    let bytes: u64 = found.iter().map(|one| one.file.bytes).sum();
    if bytes > MOST_BYTES {
        let message = format!("This model takes {} MB; a browser holds less.", bytes / 1_000_000);
        return Err(Problem::new("engine.too_large", message).hint("Talk to it on the server.").into());
    }
    Ok((Parcel { name, parameters, digest, template, system, files: Vec::new() }, found))
}

/// Where a file of a target lies; only files of its parcel are found.
pub async fn file(state: &AppState, target: &ChatTarget, name: &str) -> Result<PathBuf, Fault> {
    let (weights, ..) = resolve(state, target).await?;
    let (_, found) = tokio::task::spawn_blocking(move || collect(&weights)).await??;
    let one = found.into_iter().find(|one| one.file.name == name);
    Ok(one.ok_or_else(|| Problem::not_found("file"))?.path)
}

async fn resolve(state: &AppState, target: &ChatTarget) -> Result<(Weights, String, Option<String>), Fault> {
    let settings = GenerationSettings::default();
    let request = ChatRequest { target: target.clone(), template: None, messages: Vec::new(), settings };
    chat::resolve(state, &request).await
}

fn collect(weights: &Weights) -> Result<(String, Vec<Found>), Problem> {
    let base = &weights.model;
    let whole = weights.chain.first().map(PathBuf::as_path).filter(|first| is_whole(first));
    let source = whole.unwrap_or(base);
    let base_digest = digest_of(source);
    let mut found = Vec::new();
    let main = WEIGHTS.into_iter().find_map(|name| find(source, name, name, &base_digest));
    found.push(main.ok_or_else(|| {
        Problem::new("engine.shards", "The weights of this model lie in several files.")
            .hint("Talk to it on the server.")
    })?);
    for name in BESIDE {
        let tokenizer = whole.and_then(|folder| find(folder, name, name, &base_digest));
        found.extend(tokenizer.or_else(|| find(base, name, name, &base_digest)));
    }
    let mut digest = short(&base_digest);
    for (at, folder) in weights.chain.iter().skip(usize::from(whole.is_some())).enumerate() {
        let own = digest_of(folder);
        digest = format!("{digest} + lora {}", short(&own));
        for name in ADAPTER {
            found.extend(find(folder, name, &format!("{}{name}", adapter_prefix(at)), &own));
        }
    }
    Ok((digest, found))
}

fn find(folder: &Path, file: &str, name: &str, digest: &str) -> Option<Found> {
    let path = folder.join(file);
    let bytes = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file)?.len();
    let listed = manifest(folder).and_then(|m| m.files.into_iter().find(|entry| entry.name == file));
    let facts = || facts(folder).filter(|_| WEIGHTS.contains(&file)).map(|facts| facts.digest);
    let sha256 = listed.map(|entry| entry.sha256).or_else(facts);
    let key = format!("{digest}/{name}/{bytes}");
    Some(Found { file: ParcelFile { name: name.to_owned(), bytes, key, sha256 }, path })
}

/// SHA-256 of the weights in a folder, as its facts or its manifest tell it.
fn digest_of(folder: &Path) -> String {
    let facts = facts(folder).map(|facts| facts.digest);
    facts.or_else(|| manifest(folder).map(|manifest| manifest.digest)).unwrap_or_default()
}

fn facts(folder: &Path) -> Option<ModelFacts> {
    serde_json::from_slice(&std::fs::read(folder.join("burnish.json")).ok()?).ok()
}

fn manifest(folder: &Path) -> Option<Manifest> {
    serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).ok()?).ok()
}

fn short(digest: &str) -> String {
    match (digest.get(..4), digest.get(4..8)) {
        (Some(left), Some(right)) => format!("{left}·{right}"),
        _ => digest.to_owned(),
    }
}
