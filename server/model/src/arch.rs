//! Decoder-only language models. Llama and Qwen2 share one code path: they differ in biases only.

mod backward;
mod layer;
mod linear;
mod load;

use crate::config::ModelConfig;
use crate::kernels::{Heads, Kernels, Mat, Rotary, Targets, Want};
use crate::lora::LoraConfig;
use crate::train::{Batch, Grads, Packed};
pub(crate) use layer::{Layer, LayerState};
pub use linear::{Linear, LoraPart};

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
}

/// A decoder with its output matrix.
#[derive(Clone, Debug)]
pub struct CausalLm<B: Kernels> {
    /// Shape.
    pub config: ModelConfig,
    pub(crate) device: B::Device,
    pub(crate) embed: Param<B>,
    pub(crate) layers: Vec<Layer<B>>,
    pub(crate) norm: Param<B>,
    /// `None` when tied to the embedding.
    pub(crate) head: Option<Param<B>>,
    pub(crate) adapter: Option<LoraConfig>,
    pub(crate) frequencies: Vec<f32>,
}

/// A finished forward pass that can be gone back through.
pub struct Pass<B: Kernels> {
    packed: Packed,
    mode: Mode,
    rotary: Rotary,
    states: Vec<LayerState<B>>,
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
        }
    }

    fn eps(&self) -> f32 {
        self.config.rms_norm_eps as f32
    }

    pub(crate) fn head_matrix(&self) -> &Mat<B> {
        self.head.as_ref().map_or(&self.embed.value, |head| &head.value)
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
        let rotary = Rotary::new(&packed.positions, &self.frequencies);
        let mut x = B::gather_rows(&self.embed.value, &packed.ids);
        let mut states = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let (next, state) = layer.forward(x, self.heads(), self.eps(), &rotary, &packed.segments, mode);
            states.push(state);
            x = next;
        }
        Pass { packed, mode, rotary, states, x }
    }

    /// Hidden states `[tokens, d]` of a packed batch after `layers` layers; after all of them, normed.
    pub fn hidden(&self, packed: &Packed, layers: usize, mode: Mode) -> Mat<B> {
        let rotary = Rotary::new(&packed.positions, &self.frequencies);
        let mut x = B::gather_rows(&self.embed.value, &packed.ids);
        for layer in self.layers.iter().take(layers) {
            x = layer.forward(x, self.heads(), self.eps(), &rotary, &packed.segments, mode).0;
        }
        if layers < self.layers.len() { x } else { B::rms_norm(&x, &self.norm.value, self.eps()) }
    }

    /// `hidden head^T`: logits `[tokens, vocab]`.
    pub fn logits(&self, hidden: &Mat<B>) -> Mat<B> {
        B::affine(hidden, self.head_matrix(), None)
    }

    /// Logits of a whole batch on the host, `[b, t, vocab]` flat, zeros at padding.
    pub fn batch_logits(&self, batch: &Batch, mode: Mode) -> Vec<f32> {
        let packed = batch.pack();
        let logits = self.logits(&self.hidden(&packed, self.layers.len(), mode));
        packed.unpack(&B::to_host(&logits), batch.t, batch.b)
    }

    /// Negative log-likelihoods of the targets, in their order.
    pub fn nll(&self, packed: &Packed, mode: Mode) -> Vec<f32> {
        let hidden = self.hidden(packed, self.layers.len(), mode);
        let chosen = B::gather_rows(&hidden, &packed.target_rows);
        let targets = Targets { ids: packed.target_ids.clone(), weights: Vec::new() };
        if targets.ids.is_empty() {
            return Vec::new();
        }
        B::cross_entropy(&chosen, self.head_matrix(), &targets, Want::Loss).nll
    }

    /// An empty cache with room for `capacity` tokens.
    pub fn new_cache(&self, capacity: usize) -> KvCache<B> {
        let layers = self.layers.iter().map(|_| B::new_cache(capacity, self.heads())).collect();
        KvCache { layers, len: 0, capacity }
    }

    /// Feeds the next tokens of one sequence; returns their normed hidden states `[ids, d]`.
    pub fn forward_cached(&self, ids: &[u32], cache: &mut KvCache<B>, mode: Mode) -> Mat<B> {
        let start = cache.len as u32;
        let positions: Vec<u32> = (start..start + ids.len() as u32).collect();
        let rotary = Rotary::new(&positions, &self.frequencies);
        let mut x = B::gather_rows(&self.embed.value, ids);
        for (layer, cache) in self.layers.iter().zip(&mut cache.layers) {
            x = layer.forward_cached(x, self.heads(), self.eps(), &rotary, cache, mode);
        }
        cache.len += ids.len();
        B::rms_norm(&x, &self.norm.value, self.eps())
    }

    /// Feeds the next tokens of one sequence; returns the logits after the last of them.
    pub fn next_logits(&self, ids: &[u32], cache: &mut KvCache<B>, mode: Mode) -> Vec<f32> {
        let hidden = self.forward_cached(ids, cache, mode);
        let last = B::gather_rows(&hidden, &[ids.len() as u32 - 1]);
        B::to_host(&self.logits(&last))
    }

    /// Visits every tensor: base weights in file order, then adapters.
    pub fn visit(&self, mut see: impl FnMut(&Param<B>)) {
        see(&self.embed);
        for layer in &self.layers {
            layer.params().into_iter().for_each(&mut see);
        }
        see(&self.norm);
        self.head.iter().for_each(&mut see);
        for linear in self.layers.iter().flat_map(Layer::linears) {
            linear.lora.iter().for_each(|lora| {
                see(&lora.a);
                see(&lora.b);
            });
        }
    }

    /// Visits every tensor and lets it be changed.
    pub fn visit_mut(&mut self, mut see: impl FnMut(&mut Param<B>)) {
        see(&mut self.embed);
        for layer in &mut self.layers {
            see(&mut layer.input_norm);
            see(&mut layer.post_norm);
            for linear in layer.linears_mut() {
                see(&mut linear.weight);
                linear.bias.iter_mut().for_each(&mut see);
                if let Some(lora) = &mut linear.lora {
                    see(&mut lora.a);
                    see(&mut lora.b);
                }
            }
        }
        see(&mut self.norm);
        self.head.iter_mut().for_each(&mut see);
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
        (all, trainable)
    }

    /// Loss and gradients of a packed batch; `weights` is d loss / d nll of each target.
    pub fn loss_and_grads(&self, packed: Packed, weights: Vec<f32>, mode: Mode) -> (Vec<f32>, Grads<B>) {
        let pass = self.begin(packed, mode);
        self.backward(pass, weights)
    }
}
