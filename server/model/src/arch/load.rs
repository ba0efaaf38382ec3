//! Building a model from files or from random numbers, and writing it back.

use std::collections::VecDeque;
use std::path::Path;

use super::attention::Attention;
use super::family::NormKind;
use super::feed::Feed;
use super::{CausalLm, Frozen, Layer, Linear, Norm, Param, Ropes, SavedModules, Weight, files};
use crate::config::{HEAD, ModelConfig};
use crate::error::{ModelError, Result};
use crate::kernels::{Kernels, Mat};
use crate::rng::Rng;
use crate::weights::write::{write_file, write_streamed};
use crate::weights::{self, Blocks, Quant, TensorSource};

/// How a model is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// What becomes of the matrices. All but [`Quant::None`] freezes them: only an adapter can be trained (S-056).
    pub quantization: Quant,
}

/// Where values come from.
trait Values {
    /// Values of a tensor of this shape.
    fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>>;
    /// A matrix as it is stored, where that is smaller than f32.
    fn stored(&mut self, name: &str, shape: &[usize]) -> Result<Option<Blocks>>;
}

/// Values of files, as this family stores them.
struct Files<'a> {
    config: ModelConfig,
    source: &'a dyn TensorSource,
}

impl Values for Files<'_> {
    fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        files::read(&self.config, self.source, name, shape)
    }

    fn stored(&mut self, name: &str, shape: &[usize]) -> Result<Option<Blocks>> {
        // What a file holds in another form (fused, transposed) is read as f32.
        let stored = files::file_name(self.source, name);
        if self.source.shape(stored).is_none_or(|found| found != shape)
            || files::file_shape(&self.config, name, shape) != shape
        {
            return Ok(None);
        }
        self.source.read_blocks(stored)
    }
}

/// Fresh values: normal with a deviation, norms neutral, biases zero.
struct Fresh {
    rng: Rng,
    deviation: f64,
    neutral: f32,
}

impl Values for Fresh {
    fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let count = shape.iter().product();
        Ok(match shape {
            // Vectors are norms and biases.
            [_] if name.ends_with(".weight") => vec![self.neutral; count],
            [_] => vec![0.0; count],
            _ => self.rng.normals(count, self.deviation),
        })
    }

    fn stored(&mut self, _name: &str, _shape: &[usize]) -> Result<Option<Blocks>> {
        Ok(None)
    }
}

struct Builder<'a, B: Kernels> {
    config: &'a ModelConfig,
    device: &'a B::Device,
    values: &'a mut dyn Values,
    quant: Quant,
    index: u64,
}

impl<B: Kernels> Builder<'_, B> {
    fn param(&mut self, name: String, shape: &[usize]) -> Result<Param<B>> {
        let values = self.values.read(&name, shape)?;
        let cols = shape.last().copied().unwrap_or(1);
        let value = B::from_host(values, shape.iter().product::<usize>() / cols, cols, self.device);
        Ok(Param { name, shape: shape.to_vec(), value, trainable: false })
    }

    /// A matrix, in blocks where the options ask for it; only linear maps are quantised anew.
    fn weight(&mut self, name: String, shape: [usize; 2], linear: bool) -> Result<Weight<B>> {
        let blocks = match self.quant {
            Quant::None => None,
            Quant::Keep => self.values.stored(&name, &shape)?,
            quant if linear => quant.apply(&self.values.read(&name, &shape)?, shape[0], shape[1]),
            _ => self.values.stored(&name, &shape)?,
        };
        Ok(match blocks {
            Some(blocks) => {
                let blocks = B::put_blocks(blocks, self.device);
                Weight::Frozen(Frozen { name, shape: shape.to_vec(), blocks })
            }
            None => Weight::Dense(self.param(name, &shape)?),
        })
    }

    fn linear(&mut self, name: String, outer: usize, inner: usize, bias: bool) -> Result<Linear<B>> {
        let weight = self.weight(format!("{name}.weight"), [outer, inner], true)?;
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
        let (d, names) = (config.hidden_size, config.layer_norms());
        let at = |part: &str| format!("{}.{layer}.{part}", family.layers);
        let mut linears = VecDeque::new();
        for shape in config.linears() {
            linears.push_back(self.linear(at(shape.name), shape.outer, shape.inner, shape.bias)?);
        }
        let mut take = |count: usize| linears.drain(..count).collect::<Vec<_>>();
        let (qkv, mut output, up, mut down) =
            (take(family.qkv.len()), take(1), take(family.up.len()), take(1));
        let mut wide = |name: Option<&str>| name.map(|name| self.norm(&at(name), d)).transpose();
        let (attention_norm, after_attention) = (wide(names.before_attention)?, wide(names.after_attention)?);
        let (feed_norm, after_feed) = (wide(names.before_feed)?, wide(names.after_feed)?);
        let head_norms = match (names.heads, config.head_norm_widths()) {
            (Some([q, k]), [wide, narrow]) => Some([self.norm(&at(q), wide)?, self.norm(&at(k), narrow)?]),
            (None, _) => None,
        };
        let (fused, neighbours) = (family.fused, family.neighbours);
        let (window, rotates) = (config.window(layer).unwrap_or(0), config.rotates(layer));
        let output = output.remove(0);
        Ok(Layer {
            sequence: config.sequence,
            attention_norm,
            attention: Attention { qkv, output, head_norms, fused, window, rotates, neighbours },
            after_attention,
            feed_norm,
            feed: Feed { up, down: down.remove(0), gated: family.gated, activation: family.activation },
            after_feed,
        })
    }
}

/// A tensor waiting to be written.
enum Stored<B: Kernels> {
    Dense(Mat<B>),
    Blocks(B::Blocks),
}

impl<B: Kernels> CausalLm<B> {
    fn build(
        config: ModelConfig,
        device: &B::Device,
        values: &mut dyn Values,
        options: LoadOptions,
    ) -> Result<Self> {
        let quant = options.quantization;
        let mut builder = Builder { config: &config, device, values, quant, index: 0 };
        let (vocab, d, family) = (config.vocab_size, config.hidden_size, config.architecture.family());
        let embed = builder.weight(family.embed.into(), [vocab, d], false)?;
        let positions = match family.positions {
            Some(name) => Some(builder.param(name.into(), &[config.max_position_embeddings, d])?),
            None => None,
        };
        let embed_norm = family.embed_norm.map(|name| builder.norm(name, d)).transpose()?;
        let layers = (0..config.num_hidden_layers).map(|i| builder.layer(i)).collect::<Result<Vec<_>>>()?;
        let norm = builder.norm(family.final_norm, d)?;
        let head = match config.tie_word_embeddings {
            true => None,
            false => Some(builder.weight(HEAD.into(), [vocab, d], false)?),
        };
        let (ropes, device, saved) = (Ropes::new(&config), device.clone(), SavedModules::default());
        let adapter = None;
        Ok(Self { config, device, embed, positions, embed_norm, layers, norm, head, adapter, saved, ropes })
    }

    /// Builds a model from weights, all f32. Fails with the tensor that is missing or has another shape.
    pub fn load(config: ModelConfig, weights: &dyn TensorSource, device: &B::Device) -> Result<Self> {
        Self::load_with(config, weights, device, LoadOptions::default())
    }

    /// As [`CausalLm::load`], quantised as asked.
    pub fn load_with(
        config: ModelConfig,
        weights: &dyn TensorSource,
        device: &B::Device,
        options: LoadOptions,
    ) -> Result<Self> {
        let mut values = Files { config: config.clone(), source: weights };
        Self::build(config, device, &mut values, options)
    }

    /// Opens a model folder (`config.json` and safetensors or a kept GGUF file), all f32.
    pub fn open(folder: &Path, device: &B::Device) -> Result<Self> {
        Self::open_with(folder, device, LoadOptions::default())
    }

    /// As [`CausalLm::open`], quantised as asked.
    pub fn open_with(folder: &Path, device: &B::Device, options: LoadOptions) -> Result<Self> {
        let path = folder.join("config.json");
        let text = contract::files::read_named(&path).map_err(|why| ModelError::unread(&path, &why))?;
        let weights = weights::open_folder(folder)?;
        Self::load_with(ModelConfig::from_json(&text)?, weights.as_ref(), device, options)
    }

    /// A model with fresh weights: normal with the configuration's deviation, norms neutral, biases zero.
    pub fn init_random(config: ModelConfig, seed: u64, device: &B::Device) -> Result<Self> {
        Self::init_random_with(config, seed, device, LoadOptions::default())
    }

    /// As [`CausalLm::init_random`], quantised as asked.
    pub fn init_random_with(
        config: ModelConfig,
        seed: u64,
        device: &B::Device,
        options: LoadOptions,
    ) -> Result<Self> {
        let from_one = config.architecture.family().norm == NormKind::RmsFromOne;
        let neutral = if from_one { 0.0 } else { 1.0 };
        let mut values = Fresh { rng: Rng::new(seed), deviation: config.initializer_range, neutral };
        Self::build(config, device, &mut values, options)
    }

    /// Writes the base weights and `config.json` to a folder (merge an adapter first to include it).
    pub fn save_folder(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(|error| ModelError::io(folder, &error))?;
        let mut params = Vec::new();
        self.visit(|param| {
            if !param.name.starts_with(crate::lora::PREFIX) {
                params.push((param.name.clone(), param.shape.clone(), Stored::Dense(param.value.clone())));
            }
        });
        self.visit_frozen(|frozen| {
            params.push((frozen.name.clone(), frozen.shape.clone(), Stored::Blocks(frozen.blocks.clone())));
        });
        let shape_of = |name: &str, shape: &[usize]| files::file_shape(&self.config, name, shape);
        let shapes: Vec<_> =
            params.iter().map(|(name, shape, _)| (name.clone(), shape_of(name, shape))).collect();
        let values = |i: usize| {
            let (name, shape, value) = &params[i];
            let values = match value {
                Stored::Dense(value) => B::to_host(value),
                Stored::Blocks(blocks) => B::to_host(&B::blocks_to_dense(blocks, &self.device)),
            };
            Ok(files::to_file(&self.config, name, shape, values))
        };
        write_streamed(&folder.join("model.safetensors"), &shapes, values)?;
        let mut config = self.config.clone();
        config.dtype = Some("float32".into());
        write_file(&folder.join("config.json"), format!("{:#}\n", config.to_json()).as_bytes())
    }
}
