//! Decoder-only language models. All families share one code path; one file per family holds what differs.

mod attention;
mod backward;
mod baichuan;
mod bloom;
mod embedding;
mod falcon;
pub(crate) mod family;
mod feed;
mod files;
mod gemma2;
mod gemma3;
mod glm;
mod gpt2;
mod granite;
mod internlm;
mod layer;
mod linear;
mod llama;
mod load;
mod mistral;
mod norm;
mod olmo2;
mod ops;
mod phi3;
mod qwen2;
mod qwen3;
mod rope;
mod smollm3;
mod weight;

use crate::config::ModelConfig;
use crate::error::Code;
use crate::error::{ModelError, Result};
use crate::kernels::{CrossEntropy, Heads, Kernels, Mat, Segment, Targets, Want};
use crate::lora::LoraConfig;
use crate::train::{Batch, Grads, Packed};
pub use backward::Upstream;
pub(crate) use files::transposed;
use layer::Fore;
pub(crate) use layer::{Layer, LayerState};
pub use linear::{Linear, LoraPart, Magnitude};
pub use load::LoadOptions;
use norm::Norm;
use rope::{Ropes, Rotaries};
pub use weight::{Frozen, Weight};

/// A named tensor of a model.
#[derive(Clone, Debug)]
pub struct Param<B: Kernels> {
    /// Name as transformers (or PEFT) spells it.
    pub name: String,
    /// Shape in files; `value` is always a matrix.
    pub shape: Vec<usize>,
    /// Values; vectors are `[1, n]`.
    pub value: Mat<B>,
    /// Whether training changes it.
    pub trainable: bool,
}

/// How a forward pass is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mode {
    /// Leave adapters out: the base model speaks.
    pub without_adapter: bool,
    /// Seed of the dropout masks; `None` outside training.
    pub dropout: Option<u64>,
    /// NEFTune: strength of the noise on embeddings in training; 0 = off (arXiv:2310.05914).
    pub noise: f32,
    /// Keep only the input of each layer and compute the rest anew on the way back.
    pub recompute: bool,
}

/// A decoder with its output matrix.
#[derive(Clone, Debug)]
pub struct CausalLm<B: Kernels> {
    /// Shape.
    pub config: ModelConfig,
    pub(crate) device: B::Device,
    pub(crate) embed: Weight<B>,
    /// Learned positions (GPT-2).
    pub(crate) positions: Option<Param<B>>,
    /// On the embeddings (BLOOM).
    pub(crate) embed_norm: Option<Norm<B>>,
    pub(crate) layers: Vec<Layer<B>>,
    pub(crate) norm: Norm<B>,
    /// `None` when tied to the embedding.
    pub(crate) head: Option<Weight<B>>,
    pub(crate) adapter: Option<LoraConfig>,
    /// Whole copies of tensors that the adapter brings along.
    pub(crate) saved: SavedModules<B>,
    pub(crate) ropes: Ropes,
}

/// Tensors an adapter replaces as a whole (PEFT's `modules_to_save`); unused while the adapter is off.
#[derive(Clone, Debug, Default)]
pub(crate) struct SavedModules<B: Kernels> {
    /// Instead of the output matrix (or of the tied embedding there).
    pub(crate) head: Option<Weight<B>>,
    /// Instead of the embedding.
    pub(crate) embed: Option<Weight<B>>,
}

/// What a layer leaves for the way back.
enum Kept<B: Kernels> {
    /// Everything.
    State(Box<LayerState<B>>),
    /// Its input alone.
    Input(Mat<B>),
}

/// A finished forward pass that can be gone back through.
pub struct Pass<B: Kernels> {
    packed: Packed,
    mode: Mode,
    rotaries: Rotaries,
    /// Embeddings before their norm, where they have one.
    plain: Option<Mat<B>>,
    states: Vec<Kept<B>>,
    /// After the last layer, before the final norm, `[tokens, d]`.
    x: Mat<B>,
}

/// Keys and values of a sequence being decoded.
#[derive(Clone)]
pub struct KvCache<B: Kernels> {
    layers: Vec<B::Cache>,
    len: usize,
    capacity: usize,
}

impl<B: Kernels> Pass<B> {
    /// The batch that was passed.
    pub fn packed(&self) -> &Packed {
        &self.packed
    }
}

impl<B: Kernels> KvCache<B> {
    /// Tokens held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Tokens there is room for without asking for more memory.
    pub fn capacity(&self) -> usize {
        self.capacity
    }
}

impl<B: Kernels> CausalLm<B> {
    pub(crate) fn heads(&self) -> Heads {
        Heads {
            query: self.config.num_attention_heads,
            key: self.config.num_key_value_heads,
            dim: self.config.head_dim,
            scale: self.config.score_scale() as f32,
            softcap: self.config.attention_softcap.unwrap_or(0.0) as f32,
            window: 0,
            alibi: self.config.alibi,
        }
    }

    fn eps(&self) -> f32 {
        self.config.rms_norm_eps as f32
    }

    /// The output matrix, the adapter's own copy where it has one.
    pub(crate) fn head_weight(&self, mode: Mode) -> &Weight<B> {
        let own = self.saved.head.as_ref().filter(|_| !mode.without_adapter);
        own.or(self.head.as_ref()).unwrap_or(&self.embed)
    }

    /// The embedding, the adapter's own copy where it has one.
    pub(crate) fn embed_weight(&self, mode: Mode) -> &Weight<B> {
        self.saved.embed.as_ref().filter(|_| !mode.without_adapter).unwrap_or(&self.embed)
    }

    fn fore<'a>(&self, rotaries: &'a Rotaries, segments: &'a [Segment], mode: Mode) -> Fore<'a> {
        let residual = self.config.residual_multiplier as f32;
        Fore { heads: self.heads(), eps: self.eps(), residual, rotaries, segments, mode }
    }

    /// Normed hidden states as the output matrix takes them: divided by what the logits are.
    fn for_head(&self, hidden: &Mat<B>) -> Mat<B> {
        let divisor = self.config.logits_scaling as f32;
        if divisor == 1.0 { hidden.clone() } else { hidden.clone().div_scalar(divisor) }
    }

    /// Cross-entropy of `hidden head^T`, over bent logits where the family bends them.
    pub(crate) fn cross_entropy(
        &self,
        hidden: &Mat<B>,
        head: &Weight<B>,
        targets: &Targets,
        want: Want,
    ) -> CrossEntropy<B> {
        let hidden = &self.for_head(hidden);
        let mut result = match self.config.final_softcap {
            Some(cap) => ops::capped_cross_entropy(hidden, head.operand(), targets, want, cap as f32),
            None => B::cross_entropy(hidden, head, targets, want),
        };
        result.d_hidden = result.d_hidden.map(|d_hidden| self.for_head(&d_hidden));
        result
    }

    /// Checks a batch against this model; names the row that is wrong.
    pub fn check(&self, batch: &Batch) -> Result<()> {
        batch.check(self.config.vocab_size)?;
        let most = self.config.max_position_embeddings;
        if self.positions.is_none() || batch.t <= most {
            return Ok(());
        }
        let long = batch
            .attention_mask
            .chunks(batch.t)
            .position(|row| row.iter().filter(|real| **real != 0).count() > most);
        match long {
            Some(row) => Err(ModelError::new(
                Code::BatchTooLong,
                format!(
                    "Row {} of the batch is longer than the {most} positions this model has learned.",
                    row + 1
                ),
            )
            .with("row", row + 1)
            .with("most", most)
            .hint("Choose a shorter cut-off.")),
            None => Ok(()),
        }
    }

    /// Where the model lies.
    pub fn device(&self) -> &B::Device {
        &self.device
    }

    /// Configuration of the attached adapter.
    pub fn adapter(&self) -> Option<&LoraConfig> {
        self.adapter.as_ref()
    }

    /// Runs the layers over a packed batch, keeping what the way back needs.
    pub fn begin(&self, packed: Packed, mode: Mode) -> Pass<B> {
        let rotaries = self.ropes.at(&packed.positions, longest(&packed.segments));
        let plain = self.embedded(&packed, mode);
        let mut x = self.embed_normed(&plain);
        let mut states = Vec::with_capacity(self.layers.len());
        let fore = self.fore(&rotaries, &packed.segments, mode);
        for layer in &self.layers {
            let input = mode.recompute.then(|| x.clone());
            let (next, state) = layer.forward(x, &fore);
            states.push(input.map_or_else(|| Kept::State(Box::new(state)), Kept::Input));
            x = next;
        }
        let plain = self.embed_norm.is_some().then_some(plain);
        Pass { packed, mode, rotaries, plain, states, x }
    }

    /// Hidden states `[tokens, d]` of a packed batch after `layers` layers; after all of them, normed.
    pub fn hidden(&self, packed: &Packed, layers: usize, mode: Mode) -> Mat<B> {
        let rotaries = self.ropes.at(&packed.positions, longest(&packed.segments));
        let mut x = self.embed_normed(&self.embedded(packed, mode));
        let fore = self.fore(&rotaries, &packed.segments, mode);
        for layer in self.layers.iter().take(layers) {
            x = layer.forward(x, &fore).0;
        }
        if layers < self.layers.len() { x } else { self.norm.forward(&x, self.eps()) }
    }

    /// `hidden head^T`: logits `[tokens, vocab]`.
    pub fn logits(&self, hidden: &Mat<B>) -> Mat<B> {
        self.logits_in(hidden, Mode::default())
    }

    /// Logits `[tokens, vocab]` with the output matrix of a mode.
    pub fn logits_in(&self, hidden: &Mat<B>, mode: Mode) -> Mat<B> {
        let logits = self.head_weight(mode).operand().affine(&self.for_head(hidden), None);
        match self.config.final_softcap {
            Some(cap) => ops::softcap::<B>(logits, cap as f32),
            None => logits,
        }
    }

    /// Logits of a whole batch on the host, `[b, t, vocab]` flat, zeros at padding.
    pub fn batch_logits(&self, batch: &Batch, mode: Mode) -> Vec<f32> {
        let packed = batch.pack();
        let logits = self.logits_in(&self.hidden(&packed, self.layers.len(), mode), mode);
        packed.unpack(&B::to_host(&logits), batch.t, batch.b)
    }

    /// Negative log-likelihoods of the targets, in their order.
    pub fn nll(&self, packed: &Packed, mode: Mode) -> Vec<f32> {
        let hidden = self.hidden(packed, self.layers.len(), mode);
        self.packed_nll(packed, &hidden, mode)
    }

    /// An empty cache with room for `capacity` tokens.
    pub fn new_cache(&self, capacity: usize) -> KvCache<B> {
        let layers = self.layers.iter().map(|_| B::new_cache(capacity, self.heads())).collect();
        KvCache { layers, len: 0, capacity }
    }

    /// Feeds the next tokens of one sequence; returns their normed hidden states `[ids, d]`.
    pub fn forward_cached(&self, ids: &[u32], cache: &mut KvCache<B>, mode: Mode) -> Mat<B> {
        B::together(|| self.feed(ids, &[Segment { start: 0, len: ids.len() }], &mut [cache], mode))
    }

    /// Feeds the next tokens of several sequences, one segment and one cache for each.
    fn feed(&self, ids: &[u32], segments: &[Segment], caches: &mut [&mut KvCache<B>], mode: Mode) -> Mat<B> {
        let mut positions = Vec::with_capacity(ids.len());
        for (segment, cache) in segments.iter().zip(caches.iter()) {
            positions.extend(cache.len as u32..(cache.len + segment.len) as u32);
        }
        let reach = caches.iter().map(|cache| cache.capacity.max(cache.len)).max().unwrap_or(0);
        let rotaries = self.ropes.at(&positions, reach);
        let mut x = self.embed_normed(&self.looked_up(ids, &positions, None, mode));
        let fore = self.fore(&rotaries, segments, mode);
        for (i, layer) in self.layers.iter().enumerate() {
            let mut caches: Vec<&mut B::Cache> =
                caches.iter_mut().map(|cache| &mut cache.layers[i]).collect();
            x = layer.forward_cached(x, &fore, &mut caches);
        }
        for (segment, cache) in segments.iter().zip(caches) {
            cache.len += segment.len;
        }
        self.norm.forward(&x, self.eps())
    }

    /// Feeds one token to each of several sequences; returns the logits after each.
    pub fn next_logits_of(&self, ids: &[u32], caches: &mut [&mut KvCache<B>], mode: Mode) -> Vec<Vec<f32>> {
        let segments: Vec<Segment> = (0..ids.len()).map(|start| Segment { start, len: 1 }).collect();
        let logits = B::together(|| {
            let hidden = self.feed(ids, &segments, caches, mode);
            B::to_host(&self.logits_in(&hidden, mode))
        });
        logits.chunks(self.config.vocab_size).map(<[f32]>::to_vec).collect()
    }

    /// Feeds the next tokens of one sequence; returns the logits after the last of them.
    pub fn next_logits(&self, ids: &[u32], cache: &mut KvCache<B>, mode: Mode) -> Vec<f32> {
        let hidden = self.forward_cached(ids, cache, mode);
        let last = B::gather_rows(&hidden, &[ids.len() as u32 - 1]);
        B::to_host(&self.logits_in(&last, mode))
    }

    /// Visits every dense tensor: base weights in file order, then adapters. Weights in blocks are not among them,
    /// see [`CausalLm::visit_frozen`].
    pub fn visit(&self, mut see: impl FnMut(&Param<B>)) {
        self.embed.param().into_iter().for_each(&mut see);
        self.positions.iter().for_each(&mut see);
        self.embed_norm.iter().flat_map(Norm::params).for_each(&mut see);
        for layer in &self.layers {
            layer.params().into_iter().for_each(&mut see);
        }
        self.norm.params().for_each(&mut see);
        self.head.iter().filter_map(Weight::param).for_each(&mut see);
        for linear in self.layers.iter().flat_map(Layer::linears) {
            linear.lora.iter().flat_map(LoraPart::params).for_each(&mut see);
        }
        self.saved.head.iter().chain(&self.saved.embed).filter_map(Weight::param).for_each(&mut see);
    }

    /// Visits every weight that is kept in blocks.
    pub fn visit_frozen(&self, mut see: impl FnMut(&Frozen<B>)) {
        let linears = self.layers.iter().flat_map(Layer::linears).map(|linear| &linear.weight);
        for weight in std::iter::once(&self.embed).chain(linears).chain(&self.head) {
            if let Weight::Frozen(frozen) = weight {
                see(frozen);
            }
        }
    }

    /// Whether any weight is kept in blocks.
    pub fn is_quantised(&self) -> bool {
        let mut any = false;
        self.visit_frozen(|_| any = true);
        any
    }

    /// Visits every dense tensor and lets it be changed.
    pub fn visit_mut(&mut self, mut see: impl FnMut(&mut Param<B>)) {
        self.embed.param_mut().into_iter().for_each(&mut see);
        self.positions.iter_mut().for_each(&mut see);
        self.embed_norm.iter_mut().flat_map(Norm::params_mut).for_each(&mut see);
        for layer in &mut self.layers {
            layer.norms_mut().flat_map(Norm::params_mut).for_each(&mut see);
            for linear in layer.linears_mut() {
                linear.weight.param_mut().into_iter().for_each(&mut see);
                linear.bias.iter_mut().for_each(&mut see);
                linear.lora.iter_mut().flat_map(LoraPart::params_mut).for_each(&mut see);
            }
        }
        self.norm.params_mut().for_each(&mut see);
        let saved = self.saved.head.iter_mut().chain(&mut self.saved.embed);
        self.head.iter_mut().chain(saved).filter_map(Weight::param_mut).for_each(&mut see);
    }

    /// Marks exactly the tensors for which `wanted` holds as trainable.
    pub fn set_trainable(&mut self, wanted: impl Fn(&str) -> bool) {
        self.visit_mut(|param| param.trainable = wanted(&param.name));
    }

    /// Number of values, all and trainable.
    pub fn parameter_counts(&self) -> (usize, usize) {
        let (mut all, mut trainable) = (0, 0);
        self.visit(|param| {
            let count = param.shape.iter().product::<usize>();
            all += count;
            trainable += if param.trainable { count } else { 0 };
        });
        self.visit_frozen(|frozen| all += frozen.shape.iter().product::<usize>());
        (all, trainable)
    }

    /// Loss and gradients of a packed batch; `weights` is d loss / d nll of each target.
    pub fn loss_and_grads(&self, packed: Packed, weights: Vec<f32>, mode: Mode) -> (Vec<f32>, Grads<B>) {
        let pass = self.begin(packed, mode);
        self.backward(pass, weights)
    }
}

/// Tokens of the longest row.
fn longest(segments: &[Segment]) -> usize {
    segments.iter().map(|segment| segment.len).max().unwrap_or(0)
}
