//! Building a model from files or from random numbers, and writing it back.

use std::collections::VecDeque;
use std::path::Path;

use super::attention::Attention;
use super::family::NormKind;
use super::feed::Feed;
use super::{CausalLm, Layer, Linear, Norm, Param, Ropes, SavedModules, files};
use crate::config::{HEAD, ModelConfig};
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

    fn norm(&mut self, name: &str, width: usize) -> Result<Norm<B>> {
        let kind = self.config.architecture.family().norm;
        let weight = self.param(format!("{name}.weight"), &[width])?;
        let bias = match kind {
            NormKind::Layer => Some(self.param(format!("{name}.bias"), &[width])?),
            _ => None,
        };
        Ok(Norm { kind, weight, bias })
    }

    fn layer(&mut self, layer: usize) -> Result<Layer<B>> {
        let (config, family) = (self.config, self.config.architecture.family());
        let (d, names) = (config.hidden_size, family.norms);
        let at = |part: &str| format!("{}.{layer}.{part}", family.layers);
        let mut linears = VecDeque::new();
        for shape in config.linears() {
            linears.push_back(self.linear(at(shape.name), shape.outer, shape.inner, shape.bias)?);
        }
        let mut take = |count: usize| linears.drain(..count).collect::<Vec<_>>();
        let (qkv, mut output, up, mut down) =
            (take(family.qkv.len()), take(1), take(family.up.len()), take(1));
        let mut wide = |name: Option<&str>| name.map(|name| self.norm(&at(name), d)).transpose();
        let (after_attention, after_feed) = (wide(names.after_attention)?, wide(names.after_feed)?);
        let head_norms = match names.heads {
            Some([q, k]) => Some([self.norm(&at(q), config.head_dim)?, self.norm(&at(k), config.head_dim)?]),
            None => None,
        };
        let window = config.window(layer).unwrap_or(0);
        Ok(Layer {
            attention_norm: self.norm(&at(names.before_attention), d)?,
            attention: Attention { qkv, output: output.remove(0), head_norms, window },
            after_attention,
            feed_norm: self.norm(&at(names.before_feed), d)?,
            feed: Feed { up, down: down.remove(0), gated: family.gated, activation: family.activation },
            after_feed,
        })
    }
}

impl<B: Kernels> CausalLm<B> {
    fn build(config: ModelConfig, device: &B::Device, values: Values) -> Result<Self> {
        let mut builder = Builder { config: &config, device, values, index: 0 };
        let (vocab, d, family) = (config.vocab_size, config.hidden_size, config.architecture.family());
        let embed = builder.param(family.embed.into(), &[vocab, d])?;
        let positions = match family.positions {
            Some(name) => Some(builder.param(name.into(), &[config.max_position_embeddings, d])?),
            None => None,
        };
        let layers = (0..config.num_hidden_layers).map(|i| builder.layer(i)).collect::<Result<Vec<_>>>()?;
        let norm = builder.norm(family.final_norm, d)?;
        let head = match config.tie_word_embeddings {
            true => None,
            false => Some(builder.param(HEAD.into(), &[vocab, d])?),
        };
        let (ropes, device, saved) = (Ropes::new(&config), device.clone(), SavedModules::default());
        Ok(Self { config, device, embed, positions, layers, norm, head, adapter: None, saved, ropes })
    }

    /// Builds a model from weights. Fails with the tensor that is missing or has another shape.
    pub fn load(config: ModelConfig, weights: &dyn TensorSource, device: &B::Device) -> Result<Self> {
        let of = config.clone();
        let mut values = |name: &str, shape: &[usize]| files::read(&of, weights, name, shape);
        Self::build(config, device, &mut values)
    }

    /// Opens a Hugging Face folder: `config.json` and safetensors.
    pub fn open(folder: &Path, device: &B::Device) -> Result<Self> {
        let path = folder.join("config.json");
        let text = std::fs::read(&path).map_err(|error| ModelError::io(&path, &error))?;
        Self::load(ModelConfig::from_json(&text)?, &Weights::open_folder(folder)?, device)
    }

    /// A model with fresh weights: normal with the configuration's deviation, norms neutral, biases zero.
    pub fn init_random(config: ModelConfig, seed: u64, device: &B::Device) -> Result<Self> {
        let mut rng = Rng::new(seed);
        let deviation = config.initializer_range;
        let from_one = config.architecture.family().norm == NormKind::RmsFromOne;
        let neutral = if from_one { 0.0 } else { 1.0 };
        let mut values = |name: &str, shape: &[usize]| {
            let count = shape.iter().product();
            Ok(match shape {
                // Vectors are norms and biases.
                [_] if name.ends_with(".weight") => vec![neutral; count],
                [_] => vec![0.0; count],
                _ => rng.normals(count, deviation),
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
        let shape_of = |name: &str, shape: &[usize]| files::file_shape(&self.config, name, shape);
        let shapes: Vec<_> =
            params.iter().map(|(name, shape, _)| (name.clone(), shape_of(name, shape))).collect();
        let values = |i: usize| {
            let (name, shape, value) = &params[i];
            Ok(files::to_file(&self.config, name, shape, B::to_host(value)))
        };
        write_streamed(&folder.join("model.safetensors"), &shapes, values)?;
        let mut config = self.config.clone();
        config.dtype = Some("float32".into());
        write_file(&folder.join("config.json"), format!("{:#}\n", config.to_json()).as_bytes())
    }
}
