//! The weights that learn: loading, one step, measuring, saving and restoring.

mod start;

use std::collections::BTreeMap;
use std::path::Path;

use contract::checkpoint::Lineage;
use contract::cost::{self, Planned};
use contract::event::Kind;
use contract::params::Hyper;
use contract::problem::Problem;
use contract::sizes::Sizes;
use contract::spec::RunSpec;
use contract::stage::Tuning;
use corpus::{Encoded, collate};
use model::CausalLm;
use model::kernels::Kernels;
use model::train::{
    Batch, Judged, Method, Normalisation, OptimConfig, Options, Row, Schedule, ScheduleKind, Trainer,
    ValueHead, Wants,
};
use model::weights::{HostTensor, TensorSource, Weights, write_safetensors};
use rundir::chain::{ADAPTER, VALUE_HEAD, WHOLE_MODEL};
use rundir::{Checkpoint, CheckpointWriter};

use crate::checkpoint::OPTIMIZER;
use crate::problems::{of_file, of_model};
use crate::{facts, memory};

/// A model in training.
pub struct Learner<B: Kernels> {
    trainer: Trainer<B>,
    tuning: Tuning,
    base: String,
    schedule: Schedule,
    clip: Option<f64>,
    normalisation: Normalisation,
    lineage: Lineage,
    backbone: Option<CausalLm<B>>,
}

/// What one optimizer step did.
#[derive(Clone, Debug, Default)]
pub struct Made {
    /// Loss of the step.
    pub loss: f64,
    /// L2 norm of all gradients before clipping.
    pub grad_norm: f64,
    /// Learning rate it was made with.
    pub learning_rate: f64,
    /// Tokens read, padding not counted.
    pub tokens: u64,
    /// Numbers of the stage.
    pub metrics: BTreeMap<String, f64>,
    /// Answers worth showing.
    pub samples: Vec<Kind>,
}

/// A measurement over held-out rows: sums, so that batches of any size add up.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    loss: f64,
    metrics: BTreeMap<String, f64>,
    count: f64,
}

impl Measured {
    /// Adds a mean over `count` tokens or pairs.
    pub fn add(&mut self, loss: f64, metrics: &BTreeMap<String, f64>, count: usize) {
        let count = count as f64;
        self.loss += loss * count;
        self.count += count;
        for (name, value) in metrics {
            *self.metrics.entry(name.clone()).or_default() += value * count;
        }
    }

    /// Mean loss, if anything counted.
    pub fn loss(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.loss / self.count)
    }

    /// Means of the stage's numbers.
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        self.metrics.iter().map(|(name, sum)| (name.clone(), sum / self.count.max(1.0))).collect()
    }
}

impl<B: Kernels> Learner<B> {
    /// Loads the model of a run, merges the checkpoints it starts from (S-124) and makes ready what learns; `total`
    /// is the number of steps of the run.
    ///
    /// # Errors
    /// Whatever is wrong with a folder or the settings.
    pub fn load(spec: &RunSpec, total: u64, device: &B::Device) -> Result<Self, Problem> {
        let hyper = &spec.hyper;
        let start::Start { model, backbone, continues } = start::load::<B>(spec, device)?;
        let width = model.config.hidden_size;
        let further = continues && spec.tuning.learns();
        let method = if further { Method::LoadedLora } else { start::method(spec, &model)? };
        let optim = OptimConfig {
            beta1: hyper.adam_beta1,
            beta2: hyper.adam_beta2,
            eps: hyper.adam_epsilon,
            weight_decay: hyper.weight_decay,
        };
        let options =
            Options { noise: hyper.neftune_noise_alpha as f32, recompute: hyper.gradient_checkpointing };
        let head = start::head::<B>(spec, continues, width, device)?;
        let mut trainer =
            Trainer::new(model, method, optim, hyper.seed).map_err(of_model)?.with_options(options);
        if let Some(head) = head {
            trainer = trainer.with_head(head);
        }
        let lineage = Lineage {
            stage: spec.stage,
            tuning: spec.tuning,
            base: spec.model.digest.clone(),
            merged: spec.adapters[..spec.merged_adapters()].iter().map(|link| link.digest.clone()).collect(),
            hidden_size: width,
            value_head: trainer.head().is_some(),
        };
        Ok(Self {
            trainer,
            tuning: spec.tuning,
            base: spec.model.name.clone(),
            schedule: schedule(hyper, total),
            clip: (hyper.max_grad_norm > 0.0).then_some(hyper.max_grad_norm),
            normalisation: match hyper.loss_normalisation.as_str() {
                "batches" => Normalisation::MeanOfMicroBatchMeans,
                _ => Normalisation::TokensOfStep,
            },
            lineage,
            backbone,
        })
    }

    /// The base with everything merged and no adapter, for a reward model beside a PPO policy (S-200). Shares its
    /// weights with the policy.
    pub fn take_backbone(&mut self) -> Option<CausalLm<B>> {
        self.backbone.take()
    }

    /// Numbers of weights: all of them, and those that learn.
    pub fn counts(&self) -> (u64, u64) {
        let (all, trainable) = self.trainer.model().parameter_counts();
        let count = |head: &ValueHead<B>| -> usize {
            head.params().iter().map(|param| param.shape.iter().product::<usize>()).sum()
        };
        let head = self.trainer.head().map_or(0, count);
        let learning = if self.tuning.learns() { trainable + head } else { 0 };
        ((all + head) as u64, learning as u64)
    }

    /// The trainer, for a stage's own loss.
    pub fn trainer(&mut self) -> &mut Trainer<B> {
        &mut self.trainer
    }

    /// The trainer as it is.
    pub fn trainer_ref(&self) -> &Trainer<B> {
        &self.trainer
    }

    /// The model as it is.
    pub fn model(&self) -> &CausalLm<B> {
        self.trainer.model()
    }

    /// Updates made so far.
    pub fn updates(&self) -> u64 {
        self.trainer.updates()
    }

    /// Learning rate of optimizer step `step` (from 1).
    pub fn rate(&self, step: u64) -> f64 {
        self.schedule.rate(step - 1)
    }

    /// Clips, updates and forgets gathered gradients; returns their norm.
    pub fn update(&mut self, step: u64) -> f64 {
        let rate = self.rate(step);
        self.trainer.optimizer_step(rate, self.clip)
    }

    /// Makes optimizer step `step` (from 1) over micro-batches with the plain cross-entropy.
    ///
    /// # Errors
    /// When a row holds a token the model does not know.
    pub fn step(&mut self, step: u64, batches: &[Batch]) -> Result<Made, Problem> {
        let learning_rate = self.rate(step);
        let report =
            self.trainer.step(batches, self.normalisation, learning_rate, self.clip).map_err(of_model)?;
        Ok(Made {
            loss: report.loss,
            grad_norm: report.grad_norm,
            learning_rate,
            tokens: tokens(batches),
            ..Made::default()
        })
    }

    /// Makes optimizer step `step` (from 1) over micro-batches with a loss of the stage's own; `judge` is asked once
    /// per micro-batch for that batch's loss.
    ///
    /// # Errors
    /// When a row holds a token the model does not know.
    pub fn judged_step<J: FnOnce(&[Row]) -> Judged>(
        &mut self,
        step: u64,
        batches: &[Batch],
        wants: Wants,
        judge: impl Fn(&Trainer<B>, &Batch) -> Result<J, Problem>,
    ) -> Result<Made, Problem> {
        let mut made = Made { learning_rate: self.rate(step), tokens: tokens(batches), ..Made::default() };
        let share = 1.0 / batches.len().max(1) as f64;
        for batch in batches {
            let judge = judge(&self.trainer, batch)?;
            let judged = self.trainer.judged_step(batch, wants, share, judge).map_err(of_model)?;
            made.loss += judged.loss * share;
            for (name, value) in judged.metrics {
                *made.metrics.entry(name).or_default() += value * share;
            }
        }
        made.grad_norm = self.update(step);
        Ok(made)
    }

    /// Adds the loss over all counted tokens of a batch to a measurement.
    ///
    /// # Errors
    /// When a row holds a token the model does not know.
    pub fn measure(&self, batch: &Batch, measured: &mut Measured) -> Result<(), Problem> {
        let (sum, counted) = self.trainer.eval_loss(batch).map_err(of_model)?;
        measured.add(sum / counted.max(1) as f64, &BTreeMap::new(), counted);
        Ok(())
    }

    /// Writes weights and optimizer moments into a checkpoint; gives the name of the weights' file and what they were
    /// trained on.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(
        &self,
        writer: &CheckpointWriter,
        model_folder: &Path,
    ) -> Result<(&'static str, Lineage), Problem> {
        let folder = writer.half_made();
        match self.tuning {
            // Nothing was trained, and nothing is saved.
            Tuning::None => {}
            Tuning::Lora => self.trainer.save_adapter(folder, &self.base).map_err(of_model)?,
            Tuning::Full | Tuning::Freeze => {
                self.trainer.save_full(folder).map_err(of_model)?;
                for name in facts::COMPANIONS.iter().filter(|name| model_folder.join(name).is_file()) {
                    let path = model_folder.join(name);
                    std::fs::copy(&path, folder.join(name)).map_err(|why| of_file(&path, "copy", &why))?;
                }
            }
        }
        if let Some(head) = self.trainer.head() {
            head.save(&writer.file(VALUE_HEAD)).map_err(of_model)?;
        }
        let (_, moments) = self.trainer.optimizer_state();
        write_safetensors(&writer.file(OPTIMIZER), &moments).map_err(of_model)?;
        Ok((weights_file(self.tuning), self.lineage.clone()))
    }

    /// Goes on from a checkpoint: weights, value head and moments. The step decides everything else.
    ///
    /// # Errors
    /// When the checkpoint does not fit the model.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), Problem> {
        self.load_weights(checkpoint)?;
        let updates = checkpoint.manifest().loop_state.updates.unwrap_or(checkpoint.step());
        let moments = tensors_of(&checkpoint.path().join(OPTIMIZER))?;
        self.trainer.load_optimizer_state(updates, moments).map_err(of_model)
    }

    /// Takes the weights and the value head of a checkpoint (S-182).
    ///
    /// # Errors
    /// When the checkpoint does not fit the model.
    pub fn load_weights(&mut self, checkpoint: &Checkpoint) -> Result<(), Problem> {
        let mut tensors = tensors_of(&checkpoint.path().join(weights_file(self.tuning)))?;
        if self.trainer.head().is_some() {
            let head = tensors_of(&checkpoint.path().join(VALUE_HEAD))?.into_iter();
            tensors.extend(
                head.map(|tensor| HostTensor { name: tensor.name.replace(".summary", ""), ..tensor }),
            );
        }
        self.trainer.load_trainable_tensors(&tensors).map_err(of_model)
    }
}

/// Every tensor of a safetensors file.
fn tensors_of(path: &Path) -> Result<Vec<HostTensor>, Problem> {
    let weights = Weights::open(path).map_err(of_model)?;
    let one = |name: String| {
        let shape = weights.shape(&name).unwrap_or_default();
        weights.read(&name).map(|values| HostTensor { name, shape, values })
    };
    weights.names().into_iter().map(one).collect::<Result<_, _>>().map_err(of_model)
}

/// Tokens of some batches, padding not counted.
pub fn tokens(batches: &[Batch]) -> u64 {
    batches.iter().flat_map(|batch| &batch.attention_mask).filter(|mask| **mask != 0).count() as u64
}

/// File of a checkpoint whose hash is its digest.
fn weights_file(tuning: Tuning) -> &'static str {
    match tuning {
        Tuning::Lora | Tuning::None => ADAPTER,
        Tuning::Full | Tuning::Freeze => WHOLE_MODEL,
    }
}

/// The schedule of a run; the warm-up is rounded up as in transformers.
fn schedule(hyper: &Hyper, total: u64) -> Schedule {
    let kind = match hyper.lr_scheduler_type.as_str() {
        "linear" => ScheduleKind::Linear,
        "constant" | "constant_with_warmup" => ScheduleKind::Constant,
        "cosine_with_restarts" => {
            ScheduleKind::CosineWithRestarts { cycles: u32::try_from(hyper.lr_num_cycles).unwrap_or(1) }
        }
        "polynomial" => ScheduleKind::Polynomial { power: hyper.lr_power, end: hyper.lr_end },
        _ => ScheduleKind::Cosine,
    };
    let warmup_steps = hyper.warmup(total);
    Schedule { kind, learning_rate: hyper.learning_rate, warmup_steps, total_steps: total }
}

/// A left-padded batch of rows, through the collation that the tests hold against the reference.
pub fn batch(rows: &[Encoded], pad_id: u32) -> Batch {
    let padded = collate(rows, pad_id);
    Batch {
        input_ids: padded.input_ids,
        attention_mask: padded.attention_mask,
        labels: padded.labels,
        b: padded.b,
        t: padded.t,
    }
}

/// Refuses a run that learns from `rows` examples of these sizes, and is measured on `held`, where it cannot fit into
/// this machine's memory, before anything large is loaded: by the estimate that the form shows.
///
/// # Errors
/// `worker.too_little_memory` with the estimate.
pub fn check_memory(spec: &RunSpec, sizes: &Sizes, rows: u64, held: u64) -> Result<(), Problem> {
    let facts = facts::read(Path::new(&spec.model.folder))?;
    let planned = Planned {
        facts: &facts,
        stage: spec.stage,
        tuning: spec.tuning,
        hyper: &spec.hyper,
        sizes,
        rows,
        held,
    };
    let refusal = planned.cost().and_then(|cost| cost::refusal(&cost, memory::of_machine()));
    refusal.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::stage::Stage;

    #[test]
    fn the_warm_up_is_rounded_up_and_begins_at_zero() {
        let mut hyper = Hyper::read(&Default::default(), Stage::Sft, Tuning::Lora).expect("defaults");
        hyper.warmup_ratio = 0.03;
        let schedule = schedule(&hyper, 40);
        assert_eq!(schedule.warmup_steps, 2);
        assert_eq!(schedule.rate(0), 0.0);
        assert_eq!(schedule.rate(2), hyper.learning_rate);
        hyper.lr_scheduler_type = "constant".to_owned();
        assert_eq!(super::schedule(&hyper, 40).rate(39), hyper.learning_rate);
        assert_eq!(super::schedule(&hyper, 40).rate(0), hyper.learning_rate, "no warm-up");
        hyper.lr_scheduler_type = "cosine_with_restarts".to_owned();
        hyper.lr_num_cycles = 2;
        hyper.warmup_ratio = 0.0;
        let restarts = super::schedule(&hyper, 40);
        assert!(restarts.rate(19) < 0.1 * hyper.learning_rate && restarts.rate(20) == hyper.learning_rate);
    }

    #[test]
    fn measurements_of_batches_of_any_size_add_up() {
        let mut measured = Measured::default();
        assert_eq!(measured.loss(), None);
        let metrics = |x| BTreeMap::from([("accuracy".to_owned(), x)]);
        measured.add(1.0, &metrics(1.0), 3);
        measured.add(5.0, &metrics(0.0), 1);
        assert_eq!((measured.loss(), measured.metrics()["accuracy"]), (Some(2.0), 0.75));
    }
}
