//! Building a model from files or from random numbers, and writing it back.

use std::path::Path;

use super::{CausalLm, Layer, Linear, Param};
use crate::config::ModelConfig;
use crate::error::{ModelError, Result};
use crate::kernels::Kernels;
use crate::rng::Rng;
use crate::weights::write::{write_file, write_streamed};
use crate::weights::{TensorSource, Weights};

/// Where values come from: name and shape in, values out.
type Values<'a> = &'a mut dyn FnMut(&str, &[usize]) -> Result<Vec<f32>>;

struct Builder<'a, B: Kernels> {
    config: &'a ModelConfig,
    device: &'a B::Device,
    values: Values<'a>,
    index: u64,
}

impl<B: Kernels> Builder<'_, B> {
    fn param(&mut self, name: String, shape: &[usize]) -> Result<Param<B>> {
        let values = (self.values)(&name, shape)?;
        let cols = shape.last().copied().unwrap_or(1);
        let value = B::from_host(values, shape.iter().product::<usize>() / cols, cols, self.device);
        Ok(Param { name, shape: shape.to_vec(), value, trainable: false })
    }

    fn linear(&mut self, name: String, outer: usize, inner: usize, bias: bool) -> Result<Linear<B>> {
        let weight = self.param(format!("{name}.weight"), &[outer, inner])?;
        let bias = if bias { Some(self.param(format!("{name}.bias"), &[outer])?) } else { None };
        self.index += 1;
        Ok(Linear { weight, bias, lora: None, index: self.index })
    }

    fn layer(&mut self, layer: usize) -> Result<Layer<B>> {
        let c = self.config;
        let (d, wide, narrow, inner) = (c.hidden_size, c.query_width(), c.key_width(), c.intermediate_size);
        let (qkv, out, mlp) = (c.qkv_bias, c.output_bias, c.mlp_bias);
        let at = |part: &str| format!("model.layers.{layer}.{part}");
        Ok(Layer {
            input_norm: self.param(at("input_layernorm.weight"), &[d])?,
            q: self.linear(at("self_attn.q_proj"), wide, d, qkv)?,
            k: self.linear(at("self_attn.k_proj"), narrow, d, qkv)?,
            v: self.linear(at("self_attn.v_proj"), narrow, d, qkv)?,
            o: self.linear(at("self_attn.o_proj"), d, wide, out)?,
            post_norm: self.param(at("post_attention_layernorm.weight"), &[d])?,
            gate: self.linear(at("mlp.gate_proj"), inner, d, mlp)?,
            up: self.linear(at("mlp.up_proj"), inner, d, mlp)?,
            down: self.linear(at("mlp.down_proj"), d, inner, mlp)?,
        })
    }
}

impl<B: Kernels> CausalLm<B> {
    fn build(config: ModelConfig, device: &B::Device, values: Values) -> Result<Self> {
        let mut builder = Builder { config: &config, device, values, index: 0 };
        let (vocab, d) = (config.vocab_size, config.hidden_size);
        let embed = builder.param("model.embed_tokens.weight".into(), &[vocab, d])?;
        let layers = (0..config.num_hidden_layers).map(|i| builder.layer(i)).collect::<Result<Vec<_>>>()?;
        let norm = builder.param("model.norm.weight".into(), &[d])?;
        let head = match config.tie_word_embeddings {
            true => None,
            false => Some(builder.param("lm_head.weight".into(), &[vocab, d])?),
        };
        let frequencies = config.rope_frequencies();
        Ok(Self {
            config,
            device: device.clone(),
            embed,
            layers,
            norm,
            head,
            adapter: None,
            saved: Default::default(),
            frequencies,
        })
    }

    /// Builds a model from weights. Fails with the tensor that is missing or has another shape.
    pub fn load(config: ModelConfig, weights: &dyn TensorSource, device: &B::Device) -> Result<Self> {
        let mut values = |name: &str, shape: &[usize]| {
            if let Some(found) = weights.shape(name).filter(|found| found != shape) {
                return Err(ModelError::new(
                    "weights.shape",
                    format!("Tensor \"{name}\" has shape {found:?}, config.json asks for {shape:?}."),
                )
                .hint("config.json and the weights belong to different models."));
            }
            weights.read(name)
        };
        Self::build(config, device, &mut values)
    }

    /// Opens a Hugging Face folder: `config.json` and safetensors.
    pub fn open(folder: &Path, device: &B::Device) -> Result<Self> {
        let path = folder.join("config.json");
        let text = std::fs::read(&path).map_err(|error| ModelError::io(&path, &error))?;
        Self::load(ModelConfig::from_json(&text)?, &Weights::open_folder(folder)?, device)
    }

    /// A model with fresh weights: normal with the configuration's deviation, norms one, biases zero.
    pub fn init_random(config: ModelConfig, seed: u64, device: &B::Device) -> Result<Self> {
        let mut rng = Rng::new(seed);
        let deviation = config.initializer_range;
        let mut values = |name: &str, shape: &[usize]| {
            let count = shape.iter().product();
            Ok(if name.ends_with("norm.weight") {
                vec![1.0; count]
            } else if name.ends_with(".bias") {
                vec![0.0; count]
            } else {
                rng.normals(count, deviation)
            })
        };
        Self::build(config, device, &mut values)
    }

    /// Writes the base weights and `config.json` to a folder (merge an adapter first to include it).
    pub fn save_folder(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(|error| ModelError::io(folder, &error))?;
        let mut params = Vec::new();
        self.visit(|param| {
            if !param.name.starts_with(crate::lora::PREFIX) {
                params.push((param.name.clone(), param.shape.clone(), param.value.clone()));
            }
        });
        let shapes: Vec<_> = params.iter().map(|(name, shape, _)| (name.clone(), shape.clone())).collect();
        let values = |i: usize| Ok(B::to_host(&params[i].2));
        write_streamed(&folder.join("model.safetensors"), &shapes, values)?;
        let mut config = self.config.clone();
        config.dtype = Some("float32".into());
        write_file(&folder.join("config.json"), format!("{:#}\n", config.to_json()).as_bytes())
    }
}
