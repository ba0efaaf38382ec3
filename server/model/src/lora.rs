//! Low-rank adapters in PEFT's format.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::arch::{CausalLm, Linear, LoraPart, Magnitude, Param, Weight};
use crate::config::ModelConfig;
use crate::error::Code;
use crate::error::{ModelError, Result};
use crate::kernels::{Kernels, product};
use crate::rng::Rng;
use crate::weights::write::write_file;
use crate::weights::{HostTensor, TensorSource, Weights, write_safetensors};

/// Linear maps an adapter can sit on.
pub const TARGETS: [&str; 17] = [
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "gate_proj",
    "up_proj",
    "down_proj",
    "qkv_proj",
    "gate_up_proj",
    "c_attn",
    "c_proj",
    "c_fc",
    "query_key_value",
    "dense",
    "dense_h_to_4h",
    "dense_4h_to_h",
    "W_pack",
];

/// What PEFT puts before the names of an adapter's tensors.
pub(crate) const PREFIX: &str = "base_model.model.";

/// Shape of an adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraConfig {
    /// Rank.
    pub r: usize,
    /// The product is scaled by `alpha / r`.
    pub alpha: f64,
    /// Share of the adapter's input dropped in training, 0 to below 1.
    pub dropout: f64,
    /// Names of linear maps, or `all-linear`.
    pub target_modules: Vec<String>,
    /// Scale by `alpha / sqrt(r)` instead.
    pub use_rslora: bool,
    /// Other ranks for some modules.
    pub rank_pattern: BTreeMap<String, usize>,
    /// Other alphas for some modules.
    pub alpha_pattern: BTreeMap<String, f64>,
    /// Only these layers; all of them when absent.
    pub layers_to_transform: Option<Vec<usize>>,
    /// Learn the length of each adapted output row by itself (DoRA, arXiv:2402.09353).
    #[serde(default)]
    pub use_dora: bool,
    /// Whole tensors trained and saved along with the adapter: `lm_head`, `embed_tokens`.
    #[serde(default)]
    pub modules_to_save: Vec<String>,
}

/// Tensors that may be trained as a whole along with an adapter.
pub const SAVABLE: [&str; 2] = ["lm_head", "embed_tokens"];

/// What families call the embedding, in files.
const EMBEDDINGS: [&str; 3] = ["embed_tokens", "word_embeddings", "wte"];

/// The one of [`SAVABLE`] that a module is, given the last part of its name in files.
pub fn savable(last: &str) -> Option<&'static str> {
    let usual = if EMBEDDINGS.contains(&last) { "embed_tokens" } else { last };
    SAVABLE.into_iter().find(|name| *name == usual)
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            r: 8,
            alpha: 16.0,
            dropout: 0.0,
            target_modules: vec!["all-linear".into()],
            use_rslora: false,
            rank_pattern: BTreeMap::new(),
            alpha_pattern: BTreeMap::new(),
            layers_to_transform: None,
            use_dora: false,
            modules_to_save: Vec::new(),
        }
    }
}

fn matches(module: &str, pattern: &str) -> bool {
    module == pattern || module.strip_suffix(pattern).is_some_and(|rest| rest.ends_with('.'))
}

fn layer_of(module: &str) -> Option<usize> {
    let rest = module.strip_prefix("model.layers.").or_else(|| module.strip_prefix("transformer.h."))?;
    rest.split('.').next()?.parse().ok()
}

impl LoraConfig {
    /// Checks every field; names the one that is wrong.
    pub fn check(&self) -> Result<()> {
        let fail = |message: String| Err(ModelError::new(Code::LoraConfig, &*message).with("why", &message));
        if self.r == 0 || self.rank_pattern.values().any(|r| *r == 0) {
            return fail("The rank r of a LoRA adapter must be at least 1.".into());
        }
        if !self.alpha.is_finite() || !(0.0..1.0).contains(&self.dropout) {
            return fail("LoRA alpha must be a number, dropout at least 0 and below 1.".into());
        }
        if let Some(name) = self.modules_to_save.iter().find(|name| !SAVABLE.contains(&name.as_str())) {
            return fail(format!(
                "\"{name}\" cannot be saved along with an adapter; {} can.",
                SAVABLE.join(" and ")
            ));
        }
        let known =
            |name: &String| name == "all-linear" || TARGETS.iter().any(|target| matches(name, target));
        match self.target_modules.iter().find(|name| !known(name)) {
            Some(name) => fail(format!(
                "\"{name}\" is not a linear map of this model; there are {}.",
                TARGETS.join(", ")
            )),
            None if self.target_modules.is_empty() => fail("LoRA needs at least one target module.".into()),
            None => Ok(()),
        }
    }

    fn covers(&self, module: &str) -> bool {
        let layer = match (&self.layers_to_transform, layer_of(module)) {
            (Some(layers), Some(layer)) => layers.contains(&layer),
            _ => true,
        };
        layer && self.target_modules.iter().any(|target| target == "all-linear" || matches(module, target))
    }

    /// Rank on a module.
    pub fn rank(&self, module: &str) -> usize {
        self.rank_and_scale(module).0
    }

    /// Rank and scale on a module.
    fn rank_and_scale(&self, module: &str) -> (usize, f64) {
        let rank = self.rank_pattern.iter().find(|(key, _)| matches(module, key)).map_or(self.r, |(_, r)| *r);
        let alpha =
            self.alpha_pattern.iter().find(|(key, _)| matches(module, key)).map_or(self.alpha, |(_, a)| *a);
        (rank, alpha / if self.use_rslora { (rank as f64).sqrt() } else { rank as f64 })
    }

    /// Reads PEFT's `adapter_config.json`.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let fail = |message: String| {
            ModelError::new(Code::LoraConfig, format!("adapter_config.json: {message}."))
                .with("why", &message)
        };
        let value: Value = serde_json::from_slice(bytes).map_err(|error| fail(error.to_string()))?;
        let get = |name: &str| value.get(name).filter(|value| !value.is_null());
        if let Some(kind) = get("peft_type").and_then(Value::as_str).filter(|kind| *kind != "LORA") {
            return Err(fail(format!("peft_type \"{kind}\" is not supported, only LORA")));
        }
        for name in ["lora_bias", "use_qalora", "layer_replication", "target_parameters"] {
            let set = get(name).is_some_and(|value| *value != json!(false) && *value != json!([]));
            if set {
                return Err(fail(format!("\"{name}\" is set, which is not supported")));
            }
        }
        let list = |name: &str| match get(name) {
            Some(Value::String(name)) => vec![name.clone()],
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        if let Some(pattern) = list("layers_pattern").iter().find(|p| !["layers", "h"].contains(&p.as_str()))
        {
            return Err(fail(format!("\"layers_pattern\" \"{pattern}\" names no list of layers")));
        }
        let targets = match get("target_modules") {
            Some(Value::String(name)) => vec![name.clone()],
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => return Err(fail("\"target_modules\" is missing".into())),
        };
        // Right for GPT-2, whose files hold linear maps transposed; A and B are the same either way.
        let turned =
            targets.iter().all(|name| name.rsplit('.').next().is_some_and(|last| last.starts_with("c_")));
        if get("fan_in_fan_out") == Some(&json!(true)) && !turned {
            return Err(fail("\"fan_in_fan_out\" is set, which is not supported".into()));
        }
        let map = |name: &str| get(name).and_then(Value::as_object).cloned().unwrap_or_default();
        let layers = get("layers_to_transform").map(|value| match value {
            Value::Array(list) => list.iter().filter_map(Value::as_u64).map(|n| n as usize).collect(),
            other => other.as_u64().map(|n| n as usize).into_iter().collect(),
        });
        let config = Self {
            r: get("r").and_then(Value::as_u64).ok_or_else(|| fail("\"r\" is missing".into()))? as usize,
            alpha: get("lora_alpha")
                .and_then(Value::as_f64)
                .ok_or_else(|| fail("\"lora_alpha\" is missing".into()))?,
            dropout: get("lora_dropout").and_then(Value::as_f64).unwrap_or(0.0),
            target_modules: targets,
            use_rslora: get("use_rslora").and_then(Value::as_bool).unwrap_or(false),
            rank_pattern: map("rank_pattern")
                .into_iter()
                .filter_map(|(k, v)| Some((k, v.as_u64()? as usize)))
                .collect(),
            alpha_pattern: map("alpha_pattern")
                .into_iter()
                .filter_map(|(k, v)| Some((k, v.as_f64()?)))
                .collect(),
            layers_to_transform: layers,
            use_dora: get("use_dora").and_then(Value::as_bool).unwrap_or(false),
            modules_to_save: (list("modules_to_save").into_iter())
                .map(|name| savable(&name).map_or(name, str::to_owned))
                .collect(),
        };
        config.check()?;
        Ok(config)
    }

    /// As PEFT's `adapter_config.json` for a model of this shape, under the names that its files have; `base` is the base
    /// model's name.
    pub fn to_json_for(&self, model: &ModelConfig, base: &str) -> Value {
        let family = model.architecture.family();
        let embedding = family.embed.trim_end_matches(".weight").rsplit('.').next().unwrap_or_default();
        let own = |name: &String| if name == "embed_tokens" { embedding.to_owned() } else { name.clone() };
        let modules_to_save = self.modules_to_save.iter().map(own).collect();
        let mut json = Self { modules_to_save, ..self.clone() }.to_json(base);
        json["fan_in_fan_out"] = json!(family.transposed);
        json
    }

    /// As PEFT's `adapter_config.json`; `base` is the base model's name.
    pub fn to_json(&self, base: &str) -> Value {
        let targets: Vec<&str> = match self.target_modules.iter().any(|name| name == "all-linear") {
            true => TARGETS.to_vec(),
            false => self.target_modules.iter().map(String::as_str).collect(),
        };
        let saved = match self.modules_to_save.as_slice() {
            [] => Value::Null,
            names => json!(names),
        };
        json!({
            "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base, "inference_mode": true,
            "r": self.r, "lora_alpha": self.alpha, "lora_dropout": self.dropout, "target_modules": targets,
            "bias": "none", "fan_in_fan_out": false, "init_lora_weights": true, "modules_to_save": saved,
            "use_rslora": self.use_rslora, "use_dora": self.use_dora, "rank_pattern": self.rank_pattern,
            "alpha_pattern": self.alpha_pattern, "layers_to_transform": self.layers_to_transform,
            "layers_pattern": null,
        })
    }
}

fn adapter_param<B: Kernels>(
    name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
    device: &B::Device,
) -> Param<B> {
    let cols = shape.last().copied().unwrap_or(1);
    let value = B::from_host(values, shape.iter().product::<usize>() / cols, cols, device);
    Param { name, shape, value, trainable: true }
}

/// Values of an adapter tensor: name and shape in. `None`: take what the base model has there.
type Values<'a> = &'a mut dyn FnMut(&str, &[usize]) -> Result<Option<Vec<f32>>>;

fn part<B: Kernels>(
    linear: &Linear<B>,
    config: &LoraConfig,
    device: &B::Device,
    values: Values,
) -> Result<LoraPart<B>> {
    let module = linear.weight.name().trim_end_matches(".weight");
    let (rank, scale) = config.rank_and_scale(module);
    let (outer, inner) = (linear.weight.shape()[0], linear.weight.shape()[1]);
    let mut param = |side: &str, rows: usize, cols: usize| {
        let name = format!("{PREFIX}{module}.lora_{side}.weight");
        let found = values(&name, &[rows, cols])?.unwrap_or_else(|| vec![0.0; rows * cols]);
        Ok::<_, ModelError>(adapter_param::<B>(name, vec![rows, cols], found, device))
    };
    let (a, b) = (param("A", rank, inner)?, param("B", outer, rank)?);
    let part = LoraPart { a, b, scale: scale as f32, dropout: config.dropout as f32, magnitude: None };
    if !config.use_dora {
        return Ok(part);
    }
    let base = Magnitude::<B>::squared_lengths(&linear.weight.dense(device));
    let name = format!("{PREFIX}{module}.lora_magnitude_vector");
    let lengths = match values(&name, &[outer])? {
        Some(found) => found,
        None => B::to_host(&part.adapted_lengths(linear.weight.operand(), &base)),
    };
    let value = adapter_param::<B>(name, vec![outer], lengths, device);
    Ok(LoraPart { magnitude: Some(Magnitude { value, base }), ..part })
}

impl<B: Kernels> CausalLm<B> {
    /// Puts an adapter on the model and freezes the base.
    fn put_adapter(&mut self, config: &LoraConfig, values: Values) -> Result<()> {
        config.check()?;
        self.remove_adapter();
        self.set_trainable(|_| false);
        let device = self.device.clone();
        let mut found = false;
        for linear in self.layers.iter_mut().flat_map(|layer| layer.linears_mut()) {
            if config.covers(linear.weight.name().trim_end_matches(".weight")) {
                linear.lora = Some(part(linear, config, &device, values)?);
                found = true;
            }
        }
        if !found {
            return Err(ModelError::new(
                Code::LoraConfig,
                "The adapter sits on no linear map of this model.",
            )
            .hint(format!("Its linear maps are {}.", self.config.linear_names().join(", "))));
        }
        for module in &config.modules_to_save {
            let saved = self.saved_module(module, values)?;
            if module == "lm_head" { self.saved.head = Some(saved) } else { self.saved.embed = Some(saved) }
        }
        let mut config = config.clone();
        if config.target_modules.iter().any(|name| name == "all-linear") {
            config.target_modules = self.config.linear_names().into_iter().map(str::to_owned).collect();
        }
        self.adapter = Some(config);
        Ok(())
    }

    /// The adapter's own copy of a whole tensor.
    fn saved_module(&self, module: &str, values: Values) -> Result<Weight<B>> {
        let (name, base) = match module {
            "lm_head" => ("lm_head.weight", self.head.as_ref().unwrap_or(&self.embed)),
            _ => (self.embed.name(), &self.embed),
        };
        let (name, shape) = (format!("{PREFIX}{name}"), base.shape().to_vec());
        Ok(Weight::Dense(match values(&name, &shape)? {
            Some(values) => adapter_param::<B>(name, shape, values, &self.device),
            None => Param { name, shape, value: base.dense(&self.device), trainable: true },
        }))
    }

    /// Puts a fresh adapter on the model: A uniform within `1 / sqrt(in)` (Kaiming, a = sqrt 5), B zero. The base
    /// is frozen.
    ///
    /// # Errors
    /// When the shape is wrong, or a target names no linear map of this model (S-040).
    pub fn attach_adapter(&mut self, config: &LoraConfig, seed: u64) -> Result<()> {
        self.check_targets(config)?;
        let mut rng = Rng::new(seed);
        self.put_adapter(config, &mut |name, shape| {
            let fresh = name.ends_with("lora_A.weight");
            Ok(fresh.then(|| rng.uniforms(shape[0] * shape[1], 1.0 / (shape[1] as f64).sqrt())))
        })
    }

    /// Refuses a target that names none of this model's linear maps. Those of adapters that are read are taken as they
    /// are: PEFT writes names that the base does not have, too.
    fn check_targets(&self, config: &LoraConfig) -> Result<()> {
        let linears = self.config.linears();
        let is_there = |target: &String| {
            target == "all-linear" || linears.iter().any(|linear| matches(linear.name, target))
        };
        match config.target_modules.iter().find(|target| !is_there(target)) {
            Some(target) => {
                let why = format!("\"{target}\" is not a linear map of this model");
                Err(ModelError::new(Code::LoraConfig, format!("{why}."))
                    .with("why", &why)
                    .hint(format!("Its linear maps are {}.", self.config.linear_names().join(", "))))
            }
            None => Ok(()),
        }
    }

    /// Reads a PEFT folder and puts its adapter on the model.
    pub fn load_adapter(&mut self, folder: &Path) -> Result<()> {
        let path = folder.join("adapter_config.json");
        let text = contract::files::read_named(&path).map_err(|why| ModelError::unread(&path, &why))?;
        let config = LoraConfig::from_json(&text)?;
        self.put_weights(&config, &Weights::open(&folder.join("adapter_model.safetensors"))?)
    }

    /// As [`CausalLm::load_adapter`], from the bytes of `adapter_config.json` and `adapter_model.safetensors`.
    pub fn load_adapter_bytes(&mut self, config: &[u8], weights: &[u8]) -> Result<()> {
        self.put_weights(&LoraConfig::from_json(config)?, &Weights::from_bytes(weights)?)
    }

    fn put_weights(&mut self, config: &LoraConfig, weights: &Weights) -> Result<()> {
        self.put_adapter(config, &mut |name, shape| match weights.shape(name) {
            Some(found) if found != shape => Err(ModelError::new(
                Code::WeightsShape,
                format!("Adapter tensor \"{name}\" has shape {found:?}, this model needs {shape:?}."),
            )
            .with("name", name)
            .hint("The adapter was made for another base model.")),
            _ => weights.read(name).map(Some),
        })
    }

    /// Values of the adapter, under PEFT's names.
    pub fn adapter_tensors(&self) -> Vec<HostTensor> {
        let mut tensors = Vec::new();
        self.visit(|param| {
            if param.name.starts_with(PREFIX) {
                let values = B::to_host(&param.value);
                tensors.push(HostTensor { name: param.name.clone(), shape: param.shape.clone(), values });
            }
        });
        tensors
    }

    /// Writes a PEFT folder; `base` is the base model's name.
    pub fn save_adapter(&self, folder: &Path, base: &str) -> Result<()> {
        let Some(config) = &self.adapter else {
            return Err(ModelError::new(Code::LoraNone, "This model has no adapter to save."));
        };
        std::fs::create_dir_all(folder).map_err(|error| ModelError::io(folder, &error))?;
        write_safetensors(&folder.join("adapter_model.safetensors"), &self.adapter_tensors())?;
        let json = config.to_json_for(&self.config, base);
        write_file(&folder.join("adapter_config.json"), format!("{json:#}\n").as_bytes())
    }

    /// Takes the adapter away; the base stays as it was.
    pub fn remove_adapter(&mut self) {
        self.adapter = None;
        self.saved = Default::default();
        for linear in self.layers.iter_mut().flat_map(|layer| layer.linears_mut()) {
            linear.lora = None;
        }
    }

    /// Makes an adapter ready for answers: LoRA stays on top of its base, the magnitudes of DoRA, which every token
    /// would have to compute anew from the whole weight, are merged.
    pub fn settle_adapter(&mut self) {
        let mut adapters =
            self.layers.iter().flat_map(|layer| layer.linears()).filter_map(|l| l.lora.as_ref());
        if adapters.any(|lora| lora.magnitude.is_some()) {
            self.merge_adapter();
        }
    }

    /// Adds the adapter to the base weights and takes it away. Weights in blocks that it changes become dense.
    pub fn merge_adapter(&mut self) {
        let device = self.device.clone();
        for linear in self.layers.iter_mut().flat_map(|layer| layer.linears_mut()) {
            if let Some(lora) = linear.lora.take() {
                let change = product(&lora.b.value, &lora.a.value).mul_scalar(lora.scale);
                let gain =
                    lora.magnitude.as_ref().map(|m| lora.gain(linear.weight.operand(), m).0.transpose());
                let merged = linear.weight.dense(&device) + change;
                linear.weight.replace(match gain {
                    Some(gain) => merged * gain,
                    None => merged,
                });
            }
        }
        if let Some(head) = self.saved.head.take() {
            self.head = Some(head.renamed("lm_head.weight"));
            self.config.tie_word_embeddings = false;
        }
        if let Some(embed) = self.saved.embed.take() {
            if self.config.tie_word_embeddings {
                // The output matrix keeps what the base had; only the embedding was trained.
                self.head = Some(self.embed.clone().renamed("lm_head.weight"));
                self.config.tie_word_embeddings = false;
            }
            self.embed = embed.renamed(self.config.architecture.family().embed);
        }
        self.adapter = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_choose_rank_alpha_and_layers() {
        let mut config = LoraConfig { target_modules: vec!["q_proj".into()], ..LoraConfig::default() };
        config.rank_pattern.insert("q_proj".into(), 2);
        config.layers_to_transform = Some(vec![1]);
        assert!(
            config.covers("model.layers.1.self_attn.q_proj")
                && !config.covers("model.layers.0.self_attn.q_proj")
        );
        assert!(!config.covers("model.layers.1.self_attn.k_proj"));
        assert_eq!(config.rank_and_scale("model.layers.1.self_attn.q_proj"), (2, 8.0));
        config.use_rslora = true;
        assert_eq!(config.rank_and_scale("x.v_proj").1, 16.0 / 8f64.sqrt());
    }

    #[test]
    fn survives_a_round_trip_and_names_errors() {
        let config =
            LoraConfig { target_modules: vec!["v_proj".into()], dropout: 0.1, ..LoraConfig::default() };
        assert_eq!(LoraConfig::from_json(config.to_json("x").to_string().as_bytes()).unwrap(), config);
        let bad = LoraConfig { target_modules: vec!["router".into()], ..LoraConfig::default() };
        assert!(bad.check().unwrap_err().to_string().contains("router"));
        let mut json = config.to_json("x");
        json["fan_in_fan_out"] = json!(true);
        let error = LoraConfig::from_json(json.to_string().as_bytes()).unwrap_err().to_string();
        assert!(error.contains("fan_in_fan_out"), "{error}");
        json["fan_in_fan_out"] = json!(false);
        json["layers_pattern"] = json!("blocks");
        let error = LoraConfig::from_json(json.to_string().as_bytes()).unwrap_err().to_string();
        assert!(error.contains("blocks"), "{error}");
        let saving = LoraConfig { modules_to_save: vec!["router".into()], ..config };
        assert!(saving.check().unwrap_err().to_string().contains("lm_head"));
    }
}
