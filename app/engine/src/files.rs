//! A model from the bytes of its files.

use std::collections::BTreeMap;

use contract::Code;
use contract::carry::adapter_prefix;
use contract::problem::Problem;
use corpus::ModelTokenizer;
use model::arch::LoadOptions;
use model::weights::{GGUF_FILE, Gguf, Quant, TensorSource, Weights};
use model::{CausalLm, Cpu, ModelConfig};
use sha2::{Digest, Sha256};
use speech::{Speaker, of_model};

/// Files by name, and the one that is coming in.
#[derive(Default)]
pub struct Files {
    whole: BTreeMap<String, Vec<u8>>,
    coming: Option<(String, Vec<u8>)>,
}

impl Files {
    /// Begins a file; its pieces follow.
    pub fn begin(&mut self, name: &str, bytes: usize) {
        self.coming = Some((name.to_owned(), Vec::with_capacity(bytes)));
    }

    /// Takes the next piece.
    pub fn feed(&mut self, piece: &[u8]) {
        if let Some((_, bytes)) = &mut self.coming {
            bytes.extend_from_slice(piece);
        }
    }

    /// Ends the file and checks it where its SHA-256 (hex) is known.
    ///
    /// # Errors
    /// A file that is not what it should be; it is dropped.
    pub fn end(&mut self, sha256: Option<&str>) -> Result<(), Problem> {
        let Some((name, bytes)) = self.coming.take() else { return Ok(()) };
        if sha256.is_some_and(|known| !known.eq_ignore_ascii_case(&format!("{:x}", Sha256::digest(&bytes)))) {
            let message = format!("{name} is not what it should be: its SHA-256 differs.");
            return Err(Problem::new(Code::EngineDigest, message).file(name).hint("Load it again."));
        }
        self.whole.insert(name, bytes);
        Ok(())
    }

    fn get(&self, name: &str) -> Option<&[u8]> {
        self.whole.get(name).map(Vec::as_slice)
    }

    fn need(&self, name: &str) -> Result<&[u8], Problem> {
        self.get(name).ok_or_else(|| missing(name))
    }

    /// Takes a file out, so that its bytes need not lie twice in memory.
    fn take(&mut self, name: &str) -> Option<Vec<u8>> {
        self.whole.remove(name)
    }
}

fn missing(name: &str) -> Problem {
    Problem::new(Code::ModelFileMissing, format!("The model comes without {name}.")).file(name)
}

/// Builds the model: matrices stay in the blocks they are stored in, adapters are merged but for the last, which stays on top.
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
    let config_of = |at: usize| format!("{}adapter_config.json", adapter_prefix(at));
    let mut at = 0;
    while let Some(config) = files.get(&config_of(at)) {
        let weights = files.need(&format!("{}adapter_model.safetensors", adapter_prefix(at)))?;
        model.load_adapter_bytes(config, weights).map_err(of_model)?;
        at += 1;
        if files.get(&config_of(at)).is_some() {
            model.merge_adapter();
        }
    }
    model.settle_adapter();
    let tokenizer = ModelTokenizer::from_files(files.need("tokenizer.json")?, |name| files.get(name))?;
    let stop = model::config::generation_eos(files.get("generation_config.json").unwrap_or_default());
    Ok(Speaker::new(model, tokenizer, digest.to_owned(), stop))
}
