//! Low-rank adapters in PEFT's format.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::arch::{CausalLm, Linear, LoraPart, Param};
use crate::error::{ModelError, Result};
use crate::kernels::{Kernels, product};
use crate::rng::Rng;
use crate::weights::write::write_file;
use crate::weights::{HostTensor, TensorSource, Weights, write_safetensors};

/// Linear maps an adapter can sit on.
pub const TARGETS: [&str; 7] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

const PREFIX: &str = "base_model.model.";

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
        }
    }
}

fn matches(module: &str, pattern: &str) -> bool {
    module == pattern || module.strip_suffix(pattern).is_some_and(|rest| rest.ends_with('.'))
}

fn layer_of(module: &str) -> Option<usize> {
    module.strip_prefix("model.layers.")?.split('.').next()?.parse().ok()
}

impl LoraConfig {
    /// Checks every field; names the one that is wrong.
    pub fn check(&self) -> Result<()> {
        let fail = |message: String| Err(ModelError::new("lora.config", message));
        if self.r == 0 || self.rank_pattern.values().any(|r| *r == 0) {
            return fail("The rank r of a LoRA adapter must be at least 1.".into());
        }
        if !self.alpha.is_finite() || !(0.0..1.0).contains(&self.dropout) {
            return fail("LoRA alpha must be a number, dropout at least 0 and below 1.".into());
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

    /// Rank and scale on a module.
    fn rank_and_scale(&self, module: &str) -> (usize, f64) {
        let rank = self.rank_pattern.iter().find(|(key, _)| matches(module, key)).map_or(self.r, |(_, r)| *r);
        let alpha =
            self.alpha_pattern.iter().find(|(key, _)| matches(module, key)).map_or(self.alpha, |(_, a)| *a);
        (rank, alpha / if self.use_rslora { (rank as f64).sqrt() } else { rank as f64 })
    }

    /// Reads PEFT's `adapter_config.json`.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let fail =
            |message: String| ModelError::new("lora.config", format!("adapter_config.json: {message}."));
        let value: Value = serde_json::from_slice(bytes).map_err(|error| fail(error.to_string()))?;
        let get = |name: &str| value.get(name).filter(|value| !value.is_null());
        if let Some(kind) = get("peft_type").and_then(Value::as_str).filter(|kind| *kind != "LORA") {
            return Err(fail(format!("peft_type \"{kind}\" is not supported, only LORA")));
        }
        for name in ["use_dora", "modules_to_save", "fan_in_fan_out", "lora_bias", "use_qalora"] {
            let set = get(name).is_some_and(|value| *value != json!(false) && *value != json!([]));
            if set {
                return Err(fail(format!("\"{name}\" is set, which is not supported")));
            }
        }
        let targets = match get("target_modules") {
            Some(Value::String(name)) => vec![name.clone()],
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => return Err(fail("\"target_modules\" is missing".into())),
        };
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
        };
        config.check()?;
        Ok(config)
    }

    /// As PEFT's `adapter_config.json`; `base` is the base model's name.
    pub fn to_json(&self, base: &str) -> Value {
        let targets: Vec<&str> = match self.target_modules.iter().any(|name| name == "all-linear") {
            true => TARGETS.to_vec(),
            false => self.target_modules.iter().map(String::as_str).collect(),
        };
        json!({
            "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base, "inference_mode": true,
            "r": self.r, "lora_alpha": self.alpha, "lora_dropout": self.dropout, "target_modules": targets,
            "bias": "none", "fan_in_fan_out": false, "init_lora_weights": true, "modules_to_save": null,
            "use_rslora": self.use_rslora, "use_dora": false, "rank_pattern": self.rank_pattern,
            "alpha_pattern": self.alpha_pattern, "layers_to_transform": self.layers_to_transform,
            "layers_pattern": null,
        })
    }
}

fn part<B: Kernels>(
    linear: &Linear<B>,
    config: &LoraConfig,
    a: Vec<f32>,
    b: Vec<f32>,
    device: &B::Device,
) -> LoraPart<B> {
    let module = linear.weight.name.trim_end_matches(".weight");
    let (rank, scale) = config.rank_and_scale(module);
    let (outer, inner) = (linear.weight.shape[0], linear.weight.shape[1]);
    let param = |side: &str, rows: usize, cols: usize, values: Vec<f32>| Param {
        name: format!("{PREFIX}{module}.lora_{side}.weight"),
        shape: vec![rows, cols],
        value: B::from_host(values, rows, cols, device),
        trainable: true,
    };
    LoraPart {
        a: param("A", rank, inner, a),
        b: param("B", outer, rank, b),
        scale: scale as f32,
        dropout: config.dropout as f32,
    }
}

impl<B: Kernels> CausalLm<B> {
    /// Puts an adapter on the model and freezes the base. `values(name, count)` gives A and B of each module.
    fn put_adapter(
        &mut self,
        config: &LoraConfig,
        mut values: impl FnMut(&str, [usize; 2]) -> Result<Vec<f32>>,
    ) -> Result<()> {
        config.check()?;
        self.remove_adapter();
        self.set_trainable(|_| false);
        let device = self.device.clone();
        for linear in self.layers.iter_mut().flat_map(|layer| layer.linears_mut()) {
            let module = linear.weight.name.trim_end_matches(".weight").to_owned();
            if !config.covers(&module) {
                continue;
            }
            let rank = config.rank_and_scale(&module).0;
            let a = values(&format!("{PREFIX}{module}.lora_A.weight"), [rank, linear.weight.shape[1]])?;
            let b = values(&format!("{PREFIX}{module}.lora_B.weight"), [linear.weight.shape[0], rank])?;
            linear.lora = Some(part(linear, config, a, b, &device));
        }
        self.adapter = Some(config.clone());
        Ok(())
    }

    /// Puts a fresh adapter on the model: A uniform within `1 / sqrt(in)` (Kaiming, a = sqrt 5), B zero. The base
    /// is frozen.
    pub fn attach_adapter(&mut self, config: &LoraConfig, seed: u64) -> Result<()> {
        let mut rng = Rng::new(seed);
        self.put_adapter(config, |name, [rows, cols]| {
            let fresh = name.ends_with("lora_A.weight");
            Ok(if fresh {
                rng.uniforms(rows * cols, 1.0 / (cols as f64).sqrt())
            } else {
                vec![0.0; rows * cols]
            })
        })
    }

    /// Reads a PEFT folder and puts its adapter on the model.
    pub fn load_adapter(&mut self, folder: &Path) -> Result<()> {
        let path = folder.join("adapter_config.json");
        let text = std::fs::read(&path).map_err(|error| ModelError::io(&path, &error))?;
        let config = LoraConfig::from_json(&text)?;
        let weights = Weights::open(&folder.join("adapter_model.safetensors"))?;
        self.put_adapter(&config, |name, shape| match weights.shape(name) {
            Some(found) if found != shape => Err(ModelError::new(
                "weights.shape",
                format!("Adapter tensor \"{name}\" has shape {found:?}, this model needs {shape:?}."),
            )
            .hint("The adapter was made for another base model.")),
            _ => weights.read(name),
        })
    }

    /// Values of the adapter, under PEFT's names.
    pub fn adapter_tensors(&self) -> Vec<HostTensor> {
        let mut tensors = Vec::new();
        self.visit(|param| {
            if param.name.contains(".lora_") {
                let values = B::to_host(&param.value);
                tensors.push(HostTensor { name: param.name.clone(), shape: param.shape.clone(), values });
            }
        });
        tensors
    }

    /// Writes a PEFT folder; `base` is the base model's name.
    pub fn save_adapter(&self, folder: &Path, base: &str) -> Result<()> {
        let Some(config) = &self.adapter else {
            return Err(ModelError::new("lora.none", "This model has no adapter to save."));
        };
        std::fs::create_dir_all(folder).map_err(|error| ModelError::io(folder, &error))?;
        write_safetensors(&folder.join("adapter_model.safetensors"), &self.adapter_tensors())?;
        write_file(&folder.join("adapter_config.json"), format!("{:#}\n", config.to_json(base)).as_bytes())
    }

    /// Takes the adapter away; the base stays as it was.
    pub fn remove_adapter(&mut self) {
        self.adapter = None;
        for linear in self.layers.iter_mut().flat_map(|layer| layer.linears_mut()) {
            linear.lora = None;
        }
    }

    /// Adds the adapter to the base weights and takes it away.
    pub fn merge_adapter(&mut self) {
        for linear in self.layers.iter_mut().flat_map(|layer| layer.linears_mut()) {
            if let Some(lora) = linear.lora.take() {
                let change = product(&lora.b.value, &lora.a.value).mul_scalar(lora.scale);
                linear.weight.value = linear.weight.value.clone() + change;
            }
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
        json["use_dora"] = json!(true);
        assert!(
            LoraConfig::from_json(json.to_string().as_bytes()).unwrap_err().to_string().contains("use_dora")
        );
    }
}
