//! What a run starts from: base, merged checkpoints, adapter and value head (S-099, S-104, S-124, S-125).

use std::path::Path;

use contract::problem::Problem;
use contract::spec::RunSpec;
use contract::stage::{Stage, Tuning};
use contract::targets;
use model::CausalLm;
use model::arch::LoadOptions;
use model::kernels::Kernels;
use model::lora::LoraConfig;
use model::train::{Method, ValueHead, freeze_patterns};
use model::weights::Quant;
use rundir::chain::{self, VALUE_HEAD};

use crate::facts;
use crate::problems::of_model;

/// A model ready to be tuned.
pub(super) struct Start<B: Kernels> {
    /// With the adapter that goes on, if one does.
    pub(super) model: CausalLm<B>,
    /// The same without an adapter, sharing its weights; for ppo.
    pub(super) backbone: Option<CausalLm<B>>,
    /// Whether the last checkpoint's adapter is trained further.
    pub(super) continues: bool,
}

/// Loads the base (or the whole model that stands first in the chain) and merges the chain.
pub(super) fn load<B: Kernels>(spec: &RunSpec, device: &B::Device) -> Result<Start<B>, Problem> {
    if let Some(problem) = chain::problems(spec).into_iter().next() {
        return Err(problem);
    }
    let links: Vec<&Path> = spec.adapters.iter().map(|link| Path::new(&link.folder)).collect();
    let base = Path::new(&spec.model.folder);
    let (model, continues) =
        crate::chain::load::<B>(base, &links, spec.merged_adapters(), load_options(spec), device)?;
    let backbone = (spec.stage == Stage::Ppo).then(|| {
        let mut backbone = model.clone();
        backbone.remove_adapter();
        backbone
    });
    Ok(Start { model, backbone, continues })
}

/// How the base is held: as the settings ask under an adapter; what is trained as a whole is f32 (S-056).
fn load_options(spec: &RunSpec) -> LoadOptions {
    let double = spec.hyper.double_quantization;
    let quantization = match (spec.tuning, spec.hyper.quantization_bit.as_str()) {
        (Tuning::Full | Tuning::Freeze, _) | (_, "none") => Quant::None,
        (_, "int8") => Quant::Int8,
        (_, "nf4") => Quant::Nf4 { double },
        (_, "fp4") => Quant::Fp4 { double },
        (Tuning::Lora | Tuning::None, _) => Quant::Keep,
    };
    LoadOptions { quantization }
}

/// What learns.
pub(super) fn method<B: Kernels>(spec: &RunSpec, model: &CausalLm<B>) -> Result<Method, Problem> {
    let (hyper, layers) = (&spec.hyper, model.config.num_hidden_layers);
    let block = facts::block(&model.config);
    if let Some(problem) = targets::missing(hyper, spec.tuning, &block).into_iter().next() {
        return Err(problem);
    }
    let maps: Vec<&str> = model.config.linears().iter().map(|map| map.name).collect();
    Ok(match spec.tuning {
        Tuning::Full => Method::Full,
        Tuning::None => Method::Nothing,
        Tuning::Freeze => {
            let patterns = freeze_patterns(layers, hyper.num_layer_trainable, &hyper.name_module_trainable);
            Method::Freeze(patterns.map_err(|error| of_model(error).field("num_layer_trainable"))?)
        }
        Tuning::Lora => Method::Lora(LoraConfig {
            r: hyper.lora_rank,
            alpha: hyper.lora_alpha,
            dropout: hyper.lora_dropout,
            target_modules: targets::spelt(&hyper.lora_target, &maps),
            use_rslora: hyper.use_rslora,
            use_dora: hyper.use_dora,
            modules_to_save: hyper.modules_to_save.clone(),
            ..LoraConfig::default()
        }),
    })
}

/// The value head of rm and ppo: in rm that of the last checkpoint (S-104), in ppo that of a policy that goes on;
/// else a fresh one, which in ppo expects nothing yet (S-132).
pub(super) fn head<B: Kernels>(
    spec: &RunSpec,
    continues: bool,
    width: usize,
    device: &B::Device,
) -> Result<Option<ValueHead<B>>, Problem> {
    if !spec.stage.has_value_head() {
        return Ok(None);
    }
    // Old and new values of ppo are to differ by what was learnt, not by chance.
    let dropout = if spec.stage == Stage::Rm { spec.hyper.value_head_dropout as f32 } else { 0.0 };
    let last = spec.adapters.last().filter(|_| continues || spec.stage == Stage::Rm);
    let kept = last.map(|last| Path::new(&last.folder).join(VALUE_HEAD));
    match kept.filter(|path| path.is_file()) {
        Some(path) => ValueHead::load(&path, "", width, dropout, device).map(Some).map_err(of_model),
        None if spec.stage == Stage::Ppo => Ok(Some(ValueHead::zero(width, dropout, device))),
        None => Ok(Some(ValueHead::fresh(width, dropout, spec.hyper.seed, device))),
    }
}
