//! A model, its optimizer and the gradients gathered since the last step.

use std::path::Path;

use super::grads::clip_factor;
use super::{AdamW, Batch, Grads, Normalisation, OptimConfig};
use crate::arch::{CausalLm, Mode};
use crate::error::{ModelError, Result};
use crate::kernels::Kernels;
use crate::lora::LoraConfig;
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
    /// Tensors whose name contains one of these.
    Freeze(Vec<String>),
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

/// Trains a model.
pub struct Trainer<B: Kernels> {
    model: CausalLm<B>,
    optimizer: AdamW<B>,
    grads: Grads<B>,
    /// Seed of dropout; with the step and micro-batch it decides every mask.
    seed: u64,
    micro: u64,
}

impl<B: Kernels> Trainer<B> {
    /// Prepares a model for training; `seed` draws a fresh adapter and all dropout masks.
    pub fn new(mut model: CausalLm<B>, method: Method, optim: OptimConfig, seed: u64) -> Result<Self> {
        match method {
            Method::Full => {
                model.remove_adapter();
                model.set_trainable(|_| true);
            }
            Method::Lora(config) => model.attach_adapter(&config, seed)?,
            Method::LoadedLora if model.adapter().is_none() => {
                return Err(ModelError::new("lora.none", "This model has no adapter to go on with."));
            }
            Method::LoadedLora => model.set_trainable(|name| name.contains(".lora_")),
            Method::Freeze(parts) => {
                model.set_trainable(|name| parts.iter().any(|part| name.contains(part.as_str())));
            }
        }
        if model.parameter_counts().1 == 0 {
            return Err(ModelError::new("train.nothing", "No tensor of this model would be trained."));
        }
        Ok(Self { model, optimizer: AdamW::new(optim), grads: Grads::default(), seed, micro: 0 })
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
        batch.check(self.model.config.vocab_size)?;
        let mask = splitmix(self.seed ^ splitmix(self.optimizer.steps() << 20 ^ self.micro));
        let [left, right] = if B::splits_batches() && batch.b > 1 {
            batch.halves()
        } else {
            [(0..batch.b).collect(), vec![]]
        };
        let model = &self.model;
        let run = |rows: &[usize], side: u64| {
            let packed = batch.pack_rows(rows);
            let weights = vec![token_weight as f32; packed.target_ids.len()];
            let mode = Mode { without_adapter: false, dropout: Some(splitmix(mask ^ side)) };
            model.loss_and_grads(packed, weights, mode)
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

    /// Clips the gathered gradients to `max_grad_norm`, makes one AdamW update and forgets them. Returns the norm
    /// before clipping. A norm that is not finite leaves the model as it was.
    pub fn optimizer_step(&mut self, lr: f64, max_grad_norm: Option<f64>) -> f64 {
        let grads = std::mem::take(&mut self.grads);
        let norm = grads.global_norm();
        self.micro = 0;
        if norm.is_finite() {
            self.optimizer.step(&mut self.model, &grads, lr, clip_factor(norm, max_grad_norm));
        }
        norm
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
        batch.check(self.model.config.vocab_size)?;
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
        self.optimizer.load_state(steps, tensors, &self.model)
    }

    /// Every trainable tensor, for a checkpoint.
    pub fn trainable_tensors(&self) -> Vec<HostTensor> {
        let mut tensors = Vec::new();
        self.model.visit(|param| {
            if param.trainable {
                let values = B::to_host(&param.value);
                tensors.push(HostTensor { name: param.name.clone(), shape: param.shape.clone(), values });
            }
        });
        tensors
    }

    /// Takes trainable tensors back. Fails when one is missing or has another shape.
    pub fn load_trainable_tensors(&mut self, tensors: &[HostTensor]) -> Result<()> {
        let device = self.model.device().clone();
        let mut wrong = None;
        self.model.visit_mut(|param| {
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
        });
        match wrong {
            Some(name) => Err(ModelError::new(
                "checkpoint.tensors",
                format!("The checkpoint lacks \"{name}\" in this shape."),
            )
            .hint("Resume with the same model and the same LoRA settings.")),
            None => Ok(()),
        }
    }
}
