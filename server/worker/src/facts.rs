//! `burnish.json`: what a model folder holds, checked against its weights.

use std::io::Read;
use std::path::Path;

use contract::Code;
use contract::files;
use contract::model::{ModelFacts, ModelShape, TensorShape};
use contract::problem::Problem;
use corpus::ModelTokenizer;
use model::ModelConfig;
use model::config::LinearShape;
use model::weights::{self, GGUF_FILE, TensorSource};
use sha2::{Digest, Sha256};

use crate::problems::{of_file, of_model, of_unread};

/// File name of the facts within a model folder.
pub const FILE: &str = "burnish.json";
/// Files of a model folder beside configuration and weights.
pub const COMPANIONS: [&str; 5] = [
    "tokenizer.json",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
];

/// Checks a model folder (shapes of all tensors, tokenizer against vocabulary), then writes and returns its facts.
///
/// # Errors
/// What does not fit, naming file or tensor.
pub fn write(folder: &Path, source: &str, license: Option<String>) -> Result<ModelFacts, Problem> {
    let facts = gather(folder, source, license)?;
    let path = folder.join(FILE);
    let text = serde_json::to_vec_pretty(&facts).map_err(|why| {
        Problem::new(Code::ModelFacts, format!("The facts cannot be written: {why}.")).with("why", why)
    })?;
    rundir::write_atomically(&path, &text)?;
    Ok(facts)
}

fn gather(folder: &Path, source: &str, license: Option<String>) -> Result<ModelFacts, Problem> {
    let config = read_config(folder)?;
    let weights = weights::open_folder(folder).map_err(of_model)?;
    let parameters = check_shapes(&config, weights.as_ref())?;
    let tokenizer = tokenizer(folder)?;
    // Added tokens beyond the embedding (padding, pictures) do no harm as long as no text needs them.
    check_tokens(tokenizer.own_vocab_size(), config.vocab_size)?;
    Ok(ModelFacts {
        architecture: config.architecture.name().to_owned(),
        parameters,
        vocab_size: config.vocab_size as u64,
        layers: config.num_hidden_layers as u64,
        hidden_size: config.hidden_size as u64,
        intermediate_size: config.intermediate_size as u64,
        context_length: config.max_position_embeddings as u64,
        digest: digest(folder)?,
        has_chat_template: tokenizer.chat_template().is_some(),
        license,
        source: source.to_owned(),
        shape: Some(shape(&config, folder)?),
    })
}

/// The folder's tokenizer. What must work before a model is ready is tried here.
fn tokenizer(folder: &Path) -> Result<ModelTokenizer, Problem> {
    let tokenizer = ModelTokenizer::load(folder)?;
    tokenizer.try_out()?;
    match corpus::template::probe(&tokenizer) {
        Err(problem) if problem.code == Code::TemplateFailed => Err(problem.hint(
            "Take the chat template out of the folder (chat_template.jinja, or chat_template in tokenizer_config.json) \
             and import it again; then choose a built-in template.",
        )),
        // One that does not compile is never rendered; built-in templates still serve.
        Err(problem) if problem.code != Code::TemplateBroken => Err(problem),
        _ => Ok(tokenizer),
    }
}

/// Fails where a tokenizer has more tokens than the embedding has rows.
///
/// # Errors
/// `model.tokenizer_too_large`.
pub fn check_tokens(tokens: usize, rows: usize) -> Result<(), Problem> {
    if tokens <= rows {
        return Ok(());
    }
    let message = format!("The tokenizer has {tokens} tokens, but the model's vocabulary has only {rows}.");
    Err(Problem::new(Code::ModelTokenizerTooLarge, message)
        .with("tokens", tokens)
        .with("rows", rows)
        .file("tokenizer.json")
        .hint("Take tokenizer.json and config.json from the same model."))
}

/// The tensors of a block of a model.
pub fn block(config: &ModelConfig) -> Vec<TensorShape> {
    let numbers = |shape: &[usize]| shape.iter().map(|size| *size as u64).collect();
    let linear = |linear: &LinearShape| TensorShape {
        name: format!("{}.weight", linear.name),
        shape: numbers(&[linear.outer, linear.inner]),
    };
    let first = format!("{}.0.", config.layers_prefix());
    let vectors = config.tensors().into_iter().filter_map(|(name, shape)| {
        let name = name.strip_prefix(&first).filter(|_| shape.len() == 1)?.to_owned();
        Some(TensorShape { name, shape: numbers(&shape) })
    });
    config.linears().iter().map(linear).chain(vectors).collect()
}

/// What decides the cost of training a model of this configuration.
fn shape(config: &ModelConfig, folder: &Path) -> Result<ModelShape, Problem> {
    Ok(ModelShape {
        block: block(config),
        query_width: config.query_width() as u64,
        key_width: config.key_width() as u64,
        file_bytes: file_bytes(folder)?,
    })
}

/// The facts of a model folder; those of an older build are completed.
///
/// # Errors
/// When they, the configuration or the weights cannot be read.
pub fn read(folder: &Path) -> Result<ModelFacts, Problem> {
    let path = folder.join(FILE);
    let bytes = files::read_named(&path).map_err(|why| of_unread(&path, &why))?;
    let mut facts: ModelFacts = serde_json::from_slice(&bytes).map_err(|why| {
        Problem::new(Code::ModelFacts, format!("The facts cannot be read: {why}.")).with("why", why)
    })?;
    if facts.shape.is_none() {
        facts.shape = Some(shape(&read_config(folder)?, folder)?);
    }
    Ok(facts)
}

/// Bytes of the weights in their files.
fn file_bytes(folder: &Path) -> Result<u64, Problem> {
    let single = [GGUF_FILE, "model.safetensors"].into_iter().find(|name| folder.join(name).is_file());
    let names = single.map_or_else(|| shards(folder), |name| Ok(vec![name.to_owned()]))?;
    let size = |name: &String| {
        let path = folder.join(name);
        files::regular(&path).map(|found| found.len()).map_err(|why| of_unread(&path, &why))
    };
    names.iter().map(size).sum()
}

/// Reads `config.json` of a model folder.
///
/// # Errors
/// When it cannot be read or names something this build cannot run.
pub fn read_config(folder: &Path) -> Result<ModelConfig, Problem> {
    let path = folder.join("config.json");
    let bytes = files::read_named(&path).map_err(|why| of_unread(&path, &why))?;
    ModelConfig::from_json(&bytes).map_err(of_model)
}

/// Compares the header of the weights with what the configuration asks for; gives the number of weights.
///
/// # Errors
/// When a tensor is missing or has another shape.
pub fn check_shapes(config: &ModelConfig, weights: &dyn TensorSource) -> Result<u64, Problem> {
    let mut count = 0;
    for (name, shape) in config.tensors() {
        // Some published folders leave out the first part of every name.
        let bare = name.split_once('.').map_or(name.as_str(), |(_, bare)| bare);
        match weights.shape(&name).or_else(|| weights.shape(bare)) {
            Some(found) if found == shape => count += shape.iter().product::<usize>() as u64,
            Some(found) => {
                return Err(Problem::new(
                    Code::WeightsShape,
                    format!("Tensor {name} has shape {found:?}, but config.json asks for {shape:?}."),
                )
                .with("name", &name)
                .field(name)
                .hint("config.json and the weights belong to different models."));
            }
            None => {
                let why = weights.read(&name).err().map(of_model);
                return Err(why.unwrap_or_else(|| Problem::not_found("tensor")).field(name));
            }
        }
    }
    Ok(count)
}

/// SHA-256 of `model.safetensors` or `model.gguf`, or of the hex digests of all shards in order of their names.
///
/// # Errors
/// When a file cannot be read.
pub fn digest(folder: &Path) -> Result<String, Problem> {
    for name in [GGUF_FILE, "model.safetensors"] {
        if folder.join(name).is_file() {
            return file_digest(&folder.join(name));
        }
    }
    let mut sha = Sha256::new();
    for shard in shards(folder)? {
        sha.update(file_digest(&folder.join(shard))?);
    }
    Ok(format!("{:x}", sha.finalize()))
}

/// Names of the shards in `model.safetensors.index.json`, in order; each is a plain file name.
///
/// # Errors
/// When the index is damaged or names something else than a file beside it.
pub fn shards(folder: &Path) -> Result<Vec<String>, Problem> {
    weights::safetensors::shards(folder).map_err(|why| of_model(why).file("model.safetensors.index.json"))
}

/// SHA-256 of a file, hex.
///
/// # Errors
/// When it cannot be read.
pub fn file_digest(path: &Path) -> Result<String, Problem> {
    let failed = |why| of_file(path, "read", &why);
    let (mut file, _) = files::open(path).map_err(|why| of_unread(path, &why))?;
    let (mut sha, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            return Ok(format!("{:x}", sha.finalize()));
        }
        sha.update(&buffer[..read]);
    }
}

/// End tokens that `generation_config.json` of a model folder names.
pub fn generation_eos(folder: &Path) -> Vec<u32> {
    model::config::generation_eos(
        &files::read_named(&folder.join("generation_config.json")).unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_must_lie_beside_their_index() {
        let place = tempfile::tempdir().expect("a folder");
        let write = |text: &str| {
            std::fs::write(place.path().join("model.safetensors.index.json"), text).expect("written")
        };
        write(r#"{"weight_map":{"a":"m-2.safetensors","b":"m-1.safetensors","c":"m-2.safetensors"}}"#);
        assert_eq!(shards(place.path()).expect("fine"), ["m-1.safetensors", "m-2.safetensors"]);
        for bad in ["../x.safetensors", "/etc/passwd", "m.bin"] {
            write(&format!(r#"{{"weight_map":{{"a":"{bad}"}}}}"#));
            assert_eq!(shards(place.path()).expect_err(bad).code, Code::WeightsBroken);
        }
    }
}
