//! A model from scratch: random weights and a tokenizer trained on a dataset's own texts.

use std::path::Path;

use contract::Code;
use contract::dataset::{DataFormat, FileKind, Mapping};
use contract::model::{ModelFacts, ScratchShape, ScratchSize};
use contract::problem::Problem;
use contract::row_reason::RowReason;
use corpus::conversation::{Conversation, text_of};
use corpus::source::{self, Row};
use corpus::{ModelTokenizer, TokenizerFiles};
use model::{CausalLm, Cpu, ModelConfig};
use serde_json::json;

use crate::facts;
use crate::import::in_new_folder;
use crate::problems::{of_file, of_model};

/// Seed of the first weights: the same dataset and size give the same model.
const SEED: u64 = 42;
/// Longest sequence of a new model, tokens.
const CONTEXT: usize = 2048;
/// The tokenizer learns from this many characters at most.
const MOST_TEXT: usize = 64 << 20;

/// Makes the model folder `target`.
///
/// # Errors
/// An unknown size, a dataset that cannot be read or teaches nothing, or a disk that refuses.
pub fn create(target: &Path, size: &str, dataset: &Path, mapping: &str) -> Result<ModelFacts, Problem> {
    let keys: Vec<_> = ScratchSize::ALL.iter().map(|size| size.key()).collect();
    let shape = ScratchSize::parse(size).map(ScratchSize::shape).ok_or_else(|| {
        Problem::new(Code::ModelSize, format!("Size {size} does not exist."))
            .with("size", size)
            .hint(format!("Choose one of {}.", keys.join(", ")))
    })?;
    let mapping: Mapping = serde_json::from_str(mapping).map_err(|why| {
        Problem::new(Code::DatasetMapping, format!("The column mapping is damaged: {why}.")).with("why", why)
    })?;
    let texts = texts(dataset, &mapping)?;
    in_new_folder(target, |half| {
        let files = corpus::tokenizer::train::train(texts.into_iter(), shape.vocab_size)?;
        write_tokenizer(half, &files)?;
        let tokenizer = ModelTokenizer::load(half)?;
        let config = config(shape, &tokenizer);
        let generation = json!({
            "bos_token_id": config.bos_token_id, "eos_token_id": config.eos_token_ids, "pad_token_id": config.pad_token_id,
        });
        put(half, "generation_config.json", format!("{generation:#}\n").as_bytes())?;
        let made = CausalLm::<Cpu>::init_random(config, SEED, &Default::default()).map_err(of_model)?;
        made.save_folder(half).map_err(of_model)?;
        facts::write(half, "scratch", None)
    })
}

fn config(shape: ScratchShape, tokenizer: &ModelTokenizer) -> ModelConfig {
    ModelConfig {
        vocab_size: tokenizer.vocab_size(),
        hidden_size: shape.hidden_size,
        intermediate_size: shape.intermediate_size,
        num_hidden_layers: shape.layers,
        num_attention_heads: shape.heads,
        num_key_value_heads: shape.kv_heads,
        head_dim: shape.hidden_size / shape.heads,
        rms_norm_eps: 1e-5,
        tie_word_embeddings: true,
        max_position_embeddings: CONTEXT,
        dtype: Some("float32".to_owned()),
        bos_token_id: tokenizer.bos_id(),
        eos_token_ids: tokenizer.eos_id().into_iter().collect(),
        pad_token_id: Some(tokenizer.pad_id()),
        ..ModelConfig::default()
    }
}

fn texts(dataset: &Path, mapping: &Mapping) -> Result<Vec<String>, Problem> {
    let name = dataset.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let kind = FileKind::of_name(&name).ok_or_else(|| {
        Problem::new(Code::DatasetKind, format!("{name} is of no kind Burnish reads."))
            .hint("Use a .json, .jsonl, .csv, .parquet or .txt file.")
    })?;
    let (mut texts, mut size, mut first_reason) = (Vec::new(), 0, None);
    for row in source::open(dataset, kind)? {
        match row_texts(&row?, mapping) {
            Ok(more) => {
                size += more.iter().map(String::len).sum::<usize>();
                texts.extend(more);
            }
            Err(reason) => {
                first_reason.get_or_insert(reason);
            }
        }
        if size > MOST_TEXT {
            break;
        }
    }
    if texts.is_empty() {
        return Err(first_reason.unwrap_or(RowReason::NoRows).none_usable(None));
    }
    Ok(texts)
}

fn row_texts(row: &Row, mapping: &Mapping) -> Result<Vec<String>, RowReason> {
    if mapping.format == DataFormat::Text {
        return text_of(row, mapping).map(|text| vec![text]);
    }
    let conversation = Conversation::asked(row, mapping)?;
    let turns = conversation.turns.into_iter().flat_map(|(question, answer)| [question, answer]);
    Ok(conversation.system.into_iter().chain(turns).filter(|text| !text.is_empty()).collect())
}

fn write_tokenizer(folder: &Path, files: &TokenizerFiles) -> Result<(), Problem> {
    put(folder, "tokenizer.json", &files.tokenizer_json)?;
    put(folder, "tokenizer_config.json", &files.tokenizer_config_json)
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Problem> {
    let path = folder.join(name);
    std::fs::write(&path, bytes).map_err(|why| of_file(&path, "write", &why))
}
