//! A model whose configuration ties the output matrix to the embedding, while its weights bring a matrix of their own.

use std::path::Path;

use contract::Code;
use contract::files;
use contract::problem::Problem;
use model::weights::Weights;
use serde_json::Value;

use crate::facts;
use crate::problems::{of_file, of_model, of_unread};

/// Name of an output matrix in the weights.
const HEAD: &str = "lm_head.weight";

/// Unties the copied folder when its weights hold an output matrix that differs from the embedding: it was trained, so
/// it is what answers; transformers 5 reads such a folder the same way.
pub(super) fn untie(folder: &Path) -> Result<(), Problem> {
    let config = facts::read_config(folder)?;
    if !config.tie_word_embeddings {
        return Ok(());
    }
    let weights = Weights::open_folder(folder).map_err(of_model)?;
    let names = config.tensors();
    let Some((embedding, shape)) = names.first() else { return Ok(()) };
    // Some published folders leave out the first part of every name.
    let bare = embedding.split_once('.').map_or(embedding.as_str(), |(_, bare)| bare);
    for embedding in [embedding.as_str(), bare] {
        if weights.differ(HEAD, embedding, shape).map_err(of_model)? {
            return set_untied(folder);
        }
    }
    Ok(())
}

fn set_untied(folder: &Path) -> Result<(), Problem> {
    let path = folder.join("config.json");
    let bytes = files::read_named(&path).map_err(|why| of_unread(&path, &why))?;
    let broken = |why: serde_json::Error| {
        Problem::new(Code::ConfigBroken, format!("config.json is not JSON: {why}.")).with("why", why)
    };
    let mut config: Value = serde_json::from_slice(&bytes).map_err(broken)?;
    config["tie_word_embeddings"] = Value::Bool(false);
    let text = serde_json::to_vec_pretty(&config).map_err(broken)?;
    std::fs::write(&path, text).map_err(|why| of_file(&path, "write", &why))
}
