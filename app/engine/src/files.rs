//! A model from the bytes of its files.

use std::collections::BTreeMap;

use contract::problem::Problem;
use corpus::ModelTokenizer;
use model::arch::LoadOptions;
use model::weights::{GGUF_FILE, Gguf, Quant, TensorSource, Weights};
use model::{CausalLm, Cpu, ModelConfig};
use speech::{Speaker, of_model};

/// Prefix of an adapter's files.
const ADAPTER: &str = "adapter/";

/// Files by name.
#[derive(Default)]
pub struct Files(BTreeMap<String, Vec<u8>>);

impl Files {
    /// Puts a file in.
    pub fn put(&mut self, name: &str, bytes: Vec<u8>) {
        self.0.insert(name.to_owned(), bytes);
    }

    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }

    fn need(&self, name: &str) -> Result<&[u8], Problem> {
        self.get(name).ok_or_else(|| missing(name))
    }

    /// Takes a file out, so that its bytes need not lie twice in memory.
    fn take(&mut self, name: &str) -> Option<Vec<u8>> {
        self.0.remove(name)
    }
}

fn missing(name: &str) -> Problem {
    Problem::new("model.file_missing", format!("The model comes without {name}.")).file(name)
}

/// Builds the model: matrices stay in the blocks they are stored in, an adapter is applied on top.
///
/// # Errors
/// A file that is missing or broken.
pub fn load(mut files: Files, digest: &str) -> Result<Speaker, Problem> {
    let weights: Box<dyn TensorSource> = match files.take(GGUF_FILE) {
        Some(bytes) => Box::new(Gguf::from_bytes(bytes).map_err(of_model)?),
        None => {
            let bytes = files.take("model.safetensors").ok_or_else(|| missing("model.safetensors"))?;
            Box::new(Weights::from_bytes(bytes).map_err(of_model)?)
        }
    };
    let config = ModelConfig::from_json(files.need("config.json")?).map_err(of_model)?;
    let options = LoadOptions { quantization: Quant::Keep };
    let mut model = CausalLm::<Cpu>::load_with(config, weights.as_ref(), &Default::default(), options)
        .map_err(of_model)?;
    drop(weights);
    if let Some(config) = files.get(&format!("{ADAPTER}adapter_config.json")) {
        let weights = files.need(&format!("{ADAPTER}adapter_model.safetensors"))?;
        model.load_adapter_bytes(config, weights).map_err(of_model)?;
    }
    let tokenizer = ModelTokenizer::from_bytes(
        files.need("tokenizer.json")?,
        files.get("tokenizer_config.json"),
        files.get("special_tokens_map.json"),
        files.get("chat_template.jinja"),
    )?;
    let stop = model::config::generation_eos(files.get("generation_config.json").unwrap_or_default());
    Ok(Speaker::new(model, tokenizer, digest.to_owned(), stop))
}
