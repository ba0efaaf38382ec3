//! Loads a model from its folder, ready to answer.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use contract::checkpoint::Manifest;
use contract::model::ModelFacts;
use contract::problem::Problem;
use corpus::ModelTokenizer;
use model::CausalLm;
use model::arch::LoadOptions;
use model::kernels::Kernels;
use model::weights::Quant;
use serde::de::DeserializeOwned;
use speech::Speaker;

use crate::device;
use crate::facts::{self, short_digest};
use crate::problems::of_model;

/// Loads a base model and, if given, a checkpoint: a PEFT adapter or a whole model.
pub(super) fn load(folder: &Path, checkpoint: Option<&Path>) -> Result<Speaker, Problem> {
    let whole = checkpoint.filter(|path| !path.join("adapter_config.json").exists());
    let source = whole.unwrap_or(folder);
    let adapter = checkpoint.filter(|_| whole.is_none());
    let mut digest = short_digest(&digest_of(source)?);
    if let Some(adapter) = adapter {
        let lora = json::<Manifest>(&adapter.join("manifest.json")).map_or_else(String::new, |m| m.digest);
        digest = format!("{digest} + lora {}", short_digest(&lora));
    }
    let tokenizer_folder = whole.filter(|path| path.join("tokenizer.json").exists()).unwrap_or(folder);
    let tokenizer = ModelTokenizer::load(tokenizer_folder)?;
    let kind = device::choose("auto")?.kind;
    device::on(kind, Load { source, adapter, tokenizer, digest, quantization: quantization(kind) })
}

/// On a CPU decoding is bound by reading weights, so blocks stay blocks, as in the browser; a GPU has no product of
/// its own for them.
fn quantization(kind: device::Kind) -> Quant {
    if kind == device::Kind::Cpu { Quant::Keep } else { Quant::None }
}

/// Seconds since the first call.
pub(super) fn clock() -> f64 {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    BEGUN.get_or_init(Instant::now).elapsed().as_secs_f64()
}

/// Loads a model, with an adapter on top if there is one.
struct Load<'a> {
    source: &'a Path,
    adapter: Option<&'a Path>,
    tokenizer: ModelTokenizer,
    digest: String,
    quantization: Quant,
}

impl device::Work for Load<'_> {
    type Out = Result<Speaker, Problem>;

    fn run<B: Kernels>(self, device: B::Device) -> Self::Out {
        let options = LoadOptions { quantization: self.quantization };
        let mut model = CausalLm::<B>::open_with(self.source, &device, options).map_err(of_model)?;
        if let Some(adapter) = self.adapter {
            // On top, not merged: the words are those of the browser, which shares the base with other adapters.
            model.load_adapter(adapter).map_err(of_model)?;
        }
        let stop = facts::generation_eos(self.source);
        Ok(Speaker::new(model, self.tokenizer, self.digest, stop))
    }
}

/// The digest that stands in the folder, or a fresh one.
fn digest_of(folder: &Path) -> Result<String, Problem> {
    let facts = json::<ModelFacts>(&folder.join(facts::FILE)).map(|facts| facts.digest);
    let manifest = || json::<Manifest>(&folder.join("manifest.json")).map(|manifest| manifest.digest);
    facts.or_else(manifest).map_or_else(|| facts::digest(folder), Ok)
}

fn json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}
