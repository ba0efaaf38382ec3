//! A model, its optimizer and the gradients gathered since the last step.

use std::path::Path;

use super::grads::clip_factor;
use super::outputs::{in_order, read_rows};
use super::{
    AdamW, Batch, Grads, Judged, Normalisation, OptimConfig, Row, RowGrads, ValueHead, Wants, covers, outputs,
};
use crate::arch::{CausalLm, Mode, Param, Pass, Upstream};
use crate::error::Code;
use crate::error::{ModelError, Result};
use crate::kernels::{Kernels, Mat};
use crate::lora::{LoraConfig, PREFIX};
use crate::rng::splitmix;
use crate::weights::HostTensor;

/// Which tensors training changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// All of them.
    Full,
    /// A fresh adapter on a frozen base.
    Lora(LoraConfig),
    /// The adapter the model already has, on a frozen base.
    LoadedLora,
    /// Tensors whose name holds the dotted parts of one of these (see [`super::covers`]).
    Freeze(Vec<String>),
    /// None of them: the model is only measured, with the adapter it has.
    Nothing,
}

/// Loss of one micro-batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MicroLoss {
    /// Sum of negative log-likelihoods over counted tokens, nats.
    pub sum: f64,
    /// Counted tokens.
    pub counted: usize,
    /// What this micro-batch adds to the loss of the step.
    pub scaled: f64,
}

impl MicroLoss {
    /// Mean per counted token.
    pub fn mean(&self) -> f64 {
        self.sum / self.counted.max(1) as f64
    }
}

/// What an optimizer step did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepReport {
    /// Loss of the step, normalised as asked.
    pub loss: f64,
    /// Per micro-batch.
    pub micro: Vec<MicroLoss>,
    /// L2 norm of all gradients before clipping.
    pub grad_norm: f64,
}

/// Settings of the forward pass in training.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Options {
    /// NEFTune: strength of the noise on embeddings; 0 = off.
    pub noise: f32,
    /// Compute each layer anew on the way back instead of keeping it: slower, far less memory.
    pub recompute: bool,
}

/// Trains a model.
pub struct Trainer<B: Kernels> {
    model: CausalLm<B>,
    head: Option<ValueHead<B>>,
    optimizer: AdamW<B>,
    grads: Grads<B>,
    options: Options,
    /// Seed of dropout; with the step and micro-batch it decides every mask.
    seed: u64,
    micro: u64,
}

/// Part of a micro-batch between its forward and its backward pass.
struct Half<B: Kernels> {
    rows: Vec<usize>,
    pass: Pass<B>,
    hidden: Mat<B>,
    mode: Mode,
    seen: Vec<Row>,
}

impl<B: Kernels> Trainer<B> {
    /// Prepares a model for training; `seed` draws a fresh adapter and all dropout masks.
    pub fn new(mut model: CausalLm<B>, method: Method, optim: OptimConfig, seed: u64) -> Result<Self> {
        let learns = method != Method::Nothing;
        if model.is_quantised() && matches!(method, Method::Full | Method::Freeze(_)) {
            return Err(ModelError::new(
                Code::TrainQuantised,
                "Quantization is only compatible with the LoRA method.",
            )
            .hint("Train an adapter, or load the model without quantization."));
        }
        match method {
            Method::Full => {
                model.remove_adapter();
                model.set_trainable(|_| true);
            }
            Method::Lora(config) => model.attach_adapter(&config, seed)?,
            Method::LoadedLora if model.adapter().is_none() => {
                return Err(ModelError::new(Code::LoraNone, "This model has no adapter to go on with."));
            }
            Method::LoadedLora => model.set_trainable(|name| name.starts_with(PREFIX)),
            Method::Freeze(parts) => {
                model.remove_adapter();
                model.set_trainable(|name| parts.iter().any(|part| covers(name, part)));
            }
            Method::Nothing => model.set_trainable(|_| false),
        }
        if learns && model.parameter_counts().1 == 0 {
            return Err(ModelError::new(Code::TrainNothing, "No tensor of this model would be trained."));
        }
        let (optimizer, grads, options) = (AdamW::new(optim), Grads::default(), Options::default());
        Ok(Self { model, head: None, optimizer, grads, options, seed, micro: 0 })
    }

    /// Sets noise and recomputation.
    #[must_use]
    pub fn with_options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Trains a value head along.
    #[must_use]
    pub fn with_head(mut self, head: ValueHead<B>) -> Self {
        self.head = Some(head);
        self
    }

    /// The value head, if there is one.
    pub fn head(&self) -> Option<&ValueHead<B>> {
        self.head.as_ref()
    }

    fn mask(&self) -> u64 {
        splitmix(self.seed ^ splitmix(self.optimizer.steps() << 20 ^ self.micro))
    }

    fn mode(&self, mask: u64, side: u64) -> Mode {
        let Options { noise, recompute } = self.options;
        Mode { dropout: Some(splitmix(mask ^ side)), noise, recompute, ..Mode::default() }
    }

    fn sides(batch: &Batch) -> [Vec<usize>; 2] {
        if B::splits_batches() && batch.b > 1 { batch.halves() } else { [(0..batch.b).collect(), vec![]] }
    }

    /// The model as it is now.
    pub fn model(&self) -> &CausalLm<B> {
        &self.model
    }

    /// The model as it is now, to be changed (loading a checkpoint).
    pub fn model_mut(&mut self) -> &mut CausalLm<B> {
        &mut self.model
    }

    /// Ends training.
    pub fn into_model(self) -> CausalLm<B> {
        self.model
    }

    /// Gradients gathered since the last optimizer step.
    pub fn grads(&self) -> &Grads<B> {
        &self.grads
    }

    /// Forward and backward over one micro-batch; every counted token weighs `token_weight` in the loss (see
    /// [`Normalisation::token_weights`]).
    pub fn micro_step(&mut self, batch: &Batch, token_weight: f64) -> Result<MicroLoss> {
        self.model.check(batch)?;
        let mask = self.mask();
        let [left, right] = Self::sides(batch);
        let model = &self.model;
        let run = |rows: &[usize], side: u64| {
            let packed = batch.pack_rows(rows);
            let weights = vec![token_weight as f32; packed.target_ids.len()];
            model.loss_and_grads(packed, weights, self.mode(mask, side))
        };
        let (nll, grads) = if right.is_empty() {
            run(&left, 0)
        } else {
            let ((mut nll, mut grads), (more, others)) = B::pair(|| run(&left, 0), || run(&right, 1));
            nll.extend(more);
            grads.merge(others);
            (nll, grads)
        };
        self.grads.merge(grads);
        self.micro += 1;
        let sum: f64 = nll.iter().map(|x| f64::from(*x)).sum();
        Ok(MicroLoss { sum, counted: nll.len(), scaled: sum * token_weight })
    }

    /// Forward and backward over one micro-batch under any loss: `judge` sees each row's numbers (see [`Wants`]) and
    /// gives their gradients, which are scaled by `scale` and gathered.
    ///
    /// # Errors
    /// When the batch holds a token the model does not know.
    pub fn judged_step(
        &mut self,
        batch: &Batch,
        wants: Wants,
        scale: f64,
        judge: impl FnOnce(&[Row]) -> Judged,
    ) -> Result<Judged> {
        self.model.check(batch)?;
        let mask = self.mask();
        let [left, right] = Self::sides(batch);
        let this = &*self;
        let halves = if right.is_empty() {
            vec![this.forward_half(batch, left, wants, this.mode(mask, 0))]
        } else {
            let forward = |rows, side| this.forward_half(batch, rows, wants, this.mode(mask, side));
            let (left, right) = B::pair(|| forward(left, 0), || forward(right, 1));
            vec![left, right]
        };
        let mut rows = vec![Row::default(); batch.b];
        for half in &halves {
            for (row, seen) in half.rows.iter().zip(&half.seen) {
                rows[*row] = seen.clone();
            }
        }
        let judged = judge(&rows);
        let mut halves = halves.into_iter();
        let grads = match (halves.next(), halves.next()) {
            (Some(left), Some(right)) => {
                let back = |half| this.backward_half(half, &judged.rows, scale);
                let (mut grads, more) = B::pair(|| back(left), || back(right));
                grads.merge(more);
                grads
            }
            (Some(half), None) => this.backward_half(half, &judged.rows, scale),
            _ => Grads::default(),
        };
        self.grads.merge(grads);
        self.micro += 1;
        Ok(judged)
    }

    fn forward_half(&self, batch: &Batch, rows: Vec<usize>, wants: Wants, mode: Mode) -> Half<B> {
        let pass = self.model.begin(batch.pack_rows(&rows), mode);
        let hidden = self.model.final_hidden(&pass);
        let nll =
            if wants.log_probs { self.model.packed_nll(pass.packed(), &hidden, mode) } else { Vec::new() };
        let seen = read_rows(&self.model, self.head.as_ref(), pass.packed(), &hidden, nll, wants, mode);
        Half { seen: in_order(batch, &rows, seen), rows, pass, hidden, mode }
    }

    fn backward_half(&self, half: Half<B>, judged: &[RowGrads], scale: f64) -> Grads<B> {
        let scaled = |x: &f32| (f64::from(*x) * scale) as f32;
        let of = |row: &usize| judged.get(*row);
        let log_probs = half.rows.iter().filter_map(of).flat_map(|grads| &grads.log_probs);
        // The model speaks of negative log-likelihoods.
        let weights: Vec<f32> = log_probs.map(|x| -scaled(x)).collect();
        let values: Vec<f32> =
            half.rows.iter().filter_map(of).flat_map(|grads| &grads.values).map(scaled).collect();
        let mut grads = Grads::default();
        let hidden = self.head.as_ref().filter(|_| !values.is_empty()).map(|head| {
            head.backward(&half.hidden, values, half.mode.dropout, self.model.device(), &mut grads)
        });
        let upstream = Upstream { weights: (!weights.is_empty()).then_some(weights), hidden };
        let (_, more) = self.model.backward_from(half.pass, upstream);
        grads.merge(more);
        grads
    }

    /// Numbers of each row of a batch as the model stands, without dropout and gradients; with `without_adapter` the
    /// base model's.
    ///
    /// # Errors
    /// When the batch holds a token the model does not know.
    pub fn outputs(&self, batch: &Batch, wants: Wants, without_adapter: bool) -> Result<Vec<Row>> {
        let mode = Mode { without_adapter, ..Mode::default() };
        outputs(&self.model, self.head.as_ref(), batch, wants, mode)
    }

    /// Clips the gathered gradients to `max_grad_norm`, makes one AdamW update and forgets them. Returns the norm
    /// before clipping. A norm that is not finite leaves the model as it was.
    pub fn optimizer_step(&mut self, lr: f64, max_grad_norm: Option<f64>) -> f64 {
        let grads = std::mem::take(&mut self.grads);
        let norm = grads.global_norm();
        self.micro = 0;
        if norm.is_finite() {
            self.optimizer.step(
                &mut self.model,
                self.head.as_mut(),
                &grads,
                lr,
                clip_factor(norm, max_grad_norm),
            );
        }
        norm
    }

    /// Throws the gathered gradients away.
    pub fn forget_gradients(&mut self) {
        self.grads = Grads::default();
        self.micro = 0;
    }

    /// Updates made so far.
    pub fn updates(&self) -> u64 {
        self.optimizer.steps()
    }

    /// One whole step over several micro-batches.
    pub fn step(
        &mut self,
        batches: &[Batch],
        normalisation: Normalisation,
        lr: f64,
        max_grad_norm: Option<f64>,
    ) -> Result<StepReport> {
        let mut report = StepReport::default();
        for (batch, weight) in batches.iter().zip(normalisation.token_weights(batches)) {
            let micro = self.micro_step(batch, weight)?;
            report.loss += micro.scaled;
            report.micro.push(micro);
        }
        report.grad_norm = self.optimizer_step(lr, max_grad_norm);
        Ok(report)
    }

    /// Sum of negative log-likelihoods and number of counted tokens, without dropout.
    pub fn eval_loss(&self, batch: &Batch) -> Result<(f64, usize)> {
        self.model.check(batch)?;
        let nll = self.model.nll(&batch.pack(), Mode::default());
        Ok((nll.iter().map(|x| f64::from(*x)).sum(), nll.len()))
    }

    /// Writes the adapter as a PEFT folder; `base` is the base model's name.
    pub fn save_adapter(&self, folder: &Path, base: &str) -> Result<()> {
        self.model.save_adapter(folder, base)
    }

    /// Writes the whole model, a copy with the adapter merged if there is one.
    pub fn save_full(&self, folder: &Path) -> Result<()> {
        if self.model.adapter().is_none() {
            return self.model.save_folder(folder);
        }
        let mut merged = self.model.clone();
        merged.merge_adapter();
        merged.save_folder(folder)
    }

    /// Number of updates made and both moments of every tensor, for a checkpoint.
    pub fn optimizer_state(&self) -> (u64, Vec<HostTensor>) {
        (self.optimizer.steps(), self.optimizer.state())
    }

    /// Goes on from stored optimizer state.
    pub fn load_optimizer_state(&mut self, steps: u64, tensors: Vec<HostTensor>) -> Result<()> {
        self.optimizer.load_state(steps, tensors, &self.model, self.head.as_ref())
    }

    /// Every trainable tensor, for a checkpoint.
    pub fn trainable_tensors(&self) -> Vec<HostTensor> {
        let mut tensors = Vec::new();
        let mut take = |param: &Param<B>| {
            if param.trainable {
                let values = B::to_host(&param.value);
                tensors.push(HostTensor { name: param.name.clone(), shape: param.shape.clone(), values });
            }
        };
        self.model.visit(&mut take);
        self.head.iter().flat_map(ValueHead::params).for_each(&mut take);
        tensors
    }

    /// Takes trainable tensors back. Fails when one is missing or has another shape.
    pub fn load_trainable_tensors(&mut self, tensors: &[HostTensor]) -> Result<()> {
        let device = self.model.device().clone();
        let mut wrong = None;
        let mut restore = |param: &mut Param<B>| {
            if !param.trainable {
                return;
            }
            match tensors.iter().find(|tensor| tensor.name == param.name && tensor.shape == param.shape) {
                Some(tensor) => {
                    let [rows, cols] = param.value.dims();
                    param.value = B::from_host(tensor.values.clone(), rows, cols, &device);
                }
                None => wrong = Some(param.name.clone()),
            }
        };
        self.model.visit_mut(&mut restore);
        self.head.iter_mut().flat_map(ValueHead::params_mut).for_each(&mut restore);
        match wrong {
            Some(name) => Err(ModelError::new(
                Code::CheckpointTensors,
                format!("The checkpoint lacks \"{name}\" in this shape."),
            )
            .with("name", name)
            .hint("Resume with the same model and the same LoRA settings.")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
