//! Loads a model from its folder, ready to answer.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use contract::checkpoint::Manifest;
use contract::model::{ModelFacts, short_digest, with_adapter};
use contract::problem::Problem;
use corpus::ModelTokenizer;
use model::arch::LoadOptions;
use model::kernels::Kernels;
use model::weights::Quant;
use serde::de::DeserializeOwned;
use speech::Speaker;

use crate::chain::{self, whole_first};
use crate::device;
use crate::facts;

/// Loads a base model and the checkpoints on top of it, in order: a whole model that stands first takes the base's place,
/// adapters are merged but for the last.
pub(super) fn load(folder: &Path, chain: &[&Path]) -> Result<Speaker, Problem> {
    let whole = whole_first(chain);
    let mut digest = short_digest(&digest_of(whole.unwrap_or(folder))?);
    for adapter in &chain[usize::from(whole.is_some())..] {
        let lora = json::<Manifest>(&adapter.join("manifest.json")).map_or_else(String::new, |m| m.digest);
        digest = with_adapter(&digest, &lora);
    }
    let tokenizer_folder = whole.filter(|path| path.join("tokenizer.json").exists()).unwrap_or(folder);
    let tokenizer = ModelTokenizer::load(tokenizer_folder)?;
    let kind = device::choose("auto")?.kind;
    device::on(kind, Load { folder, chain, tokenizer, digest, quantization: quantization(kind) })
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

/// Loads a model and everything on top of it.
struct Load<'a> {
    folder: &'a Path,
    chain: &'a [&'a Path],
    tokenizer: ModelTokenizer,
    digest: String,
    quantization: Quant,
}

impl device::Work for Load<'_> {
    type Out = Result<Speaker, Problem>;

    fn run<B: Kernels>(self, device: B::Device) -> Self::Out {
        let Self { folder, chain, tokenizer, digest, quantization } = self;
        // The last adapter stays on top: the words are those of the browser, which shares the base with other adapters.
        let merged = chain.len().saturating_sub(1);
        let (mut model, _) = chain::load::<B>(folder, chain, merged, LoadOptions { quantization }, &device)?;
        model.settle_adapter();
        let stop = facts::generation_eos(whole_first(chain).unwrap_or(folder));
        Ok(Speaker::new(model, tokenizer, digest, stop))
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
