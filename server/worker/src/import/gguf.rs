//! A GGUF file becomes a model folder: configuration and tokenizer as Hugging Face writes them, the weights as the
//! file has them (`model.gguf`), so that neither disk nor memory ever holds them in f32.

use std::path::Path;

use contract::problem::Problem;
use corpus::tokenizer::gguf::{GgufTokenizer, files_from_gguf};
use model::weights::{Gguf, GgufValue, keep_in_folder};
use serde_json::json;

use super::folder::MAX_LICENSE;
use crate::facts;
use crate::problems::{of_file, of_model};

/// Keeps the weights, converts configuration and tokenizer; gives the licence the file names.
pub(super) fn convert(file: &Path, folder: &Path) -> Result<Option<String>, Problem> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let gguf = Gguf::read(file).map_err(|why| of_model(why).file(name.clone()))?;
    // First the tokenizer: it fails fast, the weights are long.
    let source = tokenizer(&gguf);
    facts::check_tokens(source.tokens.len(), gguf.config().vocab_size)?;
    let files = files_from_gguf(&source).map_err(|problem| problem.file(name.clone()))?;
    keep_in_folder(&gguf, file, folder).map_err(|why| of_model(why).file(name))?;
    let config = gguf.config();
    // The end of a turn and of a message, where the file knows them beside the end of a text.
    let named = |key: &str| gguf.metadata().get(&format!("tokenizer.ggml.{key}_token_id"))?.as_u64();
    let mut ends: Vec<u64> = config.eos_token_ids.iter().map(|id| u64::from(*id)).collect();
    ends.extend(["eot", "eom"].into_iter().filter_map(named));
    let generation = json!({
        "bos_token_id": config.bos_token_id, "eos_token_id": ends, "pad_token_id": config.pad_token_id,
    });
    let generation = format!("{generation:#}\n");
    for (name, bytes) in [
        ("tokenizer.json", files.tokenizer_json.as_slice()),
        ("tokenizer_config.json", files.tokenizer_config_json.as_slice()),
        ("generation_config.json", generation.as_bytes()),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, bytes).map_err(|why| of_file(&path, "write", &why))?;
    }
    Ok(text(&gguf, "general.license").filter(|name| !name.is_empty() && name.len() <= MAX_LICENSE))
}

fn text(gguf: &Gguf, key: &str) -> Option<String> {
    gguf.metadata().get(key).and_then(GgufValue::as_str).map(str::to_owned)
}

fn tokenizer(gguf: &Gguf) -> GgufTokenizer {
    let at = |key: &str| gguf.metadata().get(&format!("tokenizer.ggml.{key}"));
    let texts = |key: &str| at(key).and_then(GgufValue::as_texts).unwrap_or_default().to_vec();
    let id = |key: &str| at(key).and_then(GgufValue::as_u64).and_then(|id| u32::try_from(id).ok());
    GgufTokenizer {
        model: text(gguf, "tokenizer.ggml.model").unwrap_or_default(),
        pre: text(gguf, "tokenizer.ggml.pre").unwrap_or_default(),
        tokens: texts("tokens"),
        merges: texts("merges"),
        token_types: at("token_type").and_then(GgufValue::as_numbers).unwrap_or_default().to_vec(),
        scores: at("scores").and_then(GgufValue::as_floats).unwrap_or_default().to_vec(),
        no_space_prefix: at("add_space_prefix").and_then(GgufValue::as_bool) == Some(false),
        bos: id("bos_token_id"),
        eos: id("eos_token_id"),
        unk: id("unknown_token_id"),
        pad: id("padding_token_id"),
        add_bos: at("add_bos_token").and_then(GgufValue::as_bool),
        chat_template: text(gguf, "tokenizer.chat_template"),
    }
}
