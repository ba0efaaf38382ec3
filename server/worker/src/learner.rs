//! The weights that learn: loading, one step, measuring, saving and restoring.

use std::path::Path;

use contract::params::Hyper;
use contract::problem::Problem;
use contract::spec::RunSpec;
use contract::stage::Tuning;
use corpus::{Encoded, collate};
use model::lora::LoraConfig;
use model::train::{Batch, Method, Normalisation, OptimConfig, Schedule, ScheduleKind, Trainer};
use model::weights::{HostTensor, TensorSource, Weights, write_safetensors};
use model::{CausalLm, Cpu, cost};
use rundir::{Checkpoint, CheckpointWriter};

use crate::checkpoint::OPTIMIZER;
use crate::problems::{of_file, of_model};
use crate::{facts, memory};

/// A model in training.
pub struct Learner {
    trainer: Trainer<Cpu>,
    tuning: Tuning,
    base: String,
    schedule: Schedule,
    clip: Option<f64>,
}

/// What one optimizer step did.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// Mean loss over the counted tokens of the step.
    pub loss: f64,
    /// L2 norm of all gradients before clipping.
    pub grad_norm: f64,
    /// Learning rate it was made with.
    pub learning_rate: f64,
    /// Tokens read, padding not counted.
    pub tokens: u64,
}

impl Learner {
    /// Loads the base model of a run and makes ready what learns; `total` is the number of steps of the run.
    ///
    /// # Errors
    /// Whatever is wrong with the model's folder or the LoRA settings.
    pub fn load(spec: &RunSpec, total: u64) -> Result<Self, Problem> {
        let hyper = &spec.hyper;
        let folder = Path::new(&spec.model.folder);
        let base = CausalLm::<Cpu>::open(folder, &Default::default()).map_err(of_model)?;
        let optim = OptimConfig { weight_decay: hyper.weight_decay, ..OptimConfig::default() };
        let trainer = Trainer::new(base, method(spec), optim, hyper.seed).map_err(of_model)?;
        Ok(Self {
            trainer,
            tuning: spec.tuning,
            base: spec.model.name.clone(),
            schedule: schedule(hyper, total),
            clip: (hyper.max_grad_norm > 0.0).then_some(hyper.max_grad_norm),
        })
    }

    /// Numbers of weights: all of them, and those that learn.
    pub fn counts(&self) -> (u64, u64) {
        let (all, trainable) = self.trainer.model().parameter_counts();
        (all as u64, trainable as u64)
    }

    /// Makes optimizer step `step` (from 1) over micro-batches; every counted token weighs the same.
    ///
    /// # Errors
    /// When a row holds a token the model does not know.
    pub fn step(&mut self, step: u64, batches: &[Batch]) -> Result<Made, Problem> {
        let learning_rate = self.schedule.rate(step - 1);
        let report = self
            .trainer
            .step(batches, Normalisation::TokensOfStep, learning_rate, self.clip)
            .map_err(of_model)?;
        let tokens =
            batches.iter().flat_map(|batch| &batch.attention_mask).filter(|mask| **mask != 0).count();
        Ok(Made { loss: report.loss, grad_norm: report.grad_norm, learning_rate, tokens: tokens as u64 })
    }

    /// Mean loss over all counted tokens of the batches.
    ///
    /// # Errors
    /// When a row holds a token the model does not know.
    pub fn evaluate(&self, batches: impl Iterator<Item = Batch>) -> Result<f64, Problem> {
        let (mut sum, mut count) = (0.0, 0);
        for batch in batches {
            let (more, counted) = self.trainer.eval_loss(&batch).map_err(of_model)?;
            sum += more;
            count += counted;
        }
        Ok(sum / count.max(1) as f64)
    }

    /// Writes weights and optimizer moments into a checkpoint; gives the name of the weights' file.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(&self, writer: &CheckpointWriter, model_folder: &Path) -> Result<&'static str, Problem> {
        let folder = writer.half_made();
        match self.tuning {
            Tuning::Lora => self.trainer.save_adapter(folder, &self.base).map_err(of_model)?,
            Tuning::Full => {
                self.trainer.save_full(folder).map_err(of_model)?;
                for name in facts::COMPANIONS.iter().filter(|name| model_folder.join(name).is_file()) {
                    let path = model_folder.join(name);
                    std::fs::copy(&path, folder.join(name)).map_err(|why| of_file(&path, "copy", &why))?;
                }
            }
        }
        let (_, moments) = self.trainer.optimizer_state();
        write_safetensors(&writer.file(OPTIMIZER), &moments).map_err(of_model)?;
        Ok(weights_file(self.tuning))
    }

    /// Goes on from a checkpoint: weights and moments. The step decides everything else.
    ///
    /// # Errors
    /// When the checkpoint does not fit the model.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), Problem> {
        let read = |name: &str| -> Result<Vec<HostTensor>, Problem> {
            let weights = Weights::open(&checkpoint.path().join(name)).map_err(of_model)?;
            let one = |name: String| {
                let shape = weights.shape(&name).unwrap_or_default();
                weights.read(&name).map(|values| HostTensor { name, shape, values })
            };
            weights.names().into_iter().map(one).collect::<Result<_, _>>().map_err(of_model)
        };
        self.trainer.load_trainable_tensors(&read(weights_file(self.tuning))?).map_err(of_model)?;
        self.trainer.load_optimizer_state(checkpoint.step(), read(OPTIMIZER)?).map_err(of_model)
    }
}

/// File of a checkpoint whose hash is its digest.
fn weights_file(tuning: Tuning) -> &'static str {
    match tuning {
        Tuning::Lora => "adapter_model.safetensors",
        Tuning::Full => "model.safetensors",
    }
}

fn method(spec: &RunSpec) -> Method {
    let hyper = &spec.hyper;
    match spec.tuning {
        Tuning::Full => Method::Full,
        Tuning::Lora => Method::Lora(LoraConfig {
            r: hyper.lora_rank,
            alpha: hyper.lora_alpha,
            dropout: hyper.lora_dropout,
            target_modules: hyper.lora_target.clone(),
            ..LoraConfig::default()
        }),
    }
}

/// The schedule of a run; the warm-up is rounded up as in transformers.
fn schedule(hyper: &Hyper, total: u64) -> Schedule {
    let kind = match hyper.lr_scheduler_type.as_str() {
        "linear" => ScheduleKind::Linear,
        "constant" => ScheduleKind::Constant,
        _ => ScheduleKind::Cosine,
    };
    let warmup_steps = (hyper.warmup_ratio * total as f64).ceil() as u64;
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

/// Refuses a run that cannot fit into this machine's memory, before anything large is loaded.
///
/// # Errors
/// `worker.out_of_memory` with the estimate.
pub fn check_memory(spec: &RunSpec, longest_row: usize) -> Result<(), Problem> {
    let config = facts::read_config(Path::new(&spec.model.folder))?;
    let hyper = &spec.hyper;
    let rows = hyper.per_device_train_batch_size;
    let cost = cost::estimate(&config, &method(spec), rows, longest_row, hyper.gradient_accumulation_steps);
    let machine = memory::of_machine();
    if machine == 0 || cost.total_bytes() <= machine {
        return Ok(());
    }
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    let (needed, there) = (gib(cost.total_bytes()), gib(machine));
    Err(Problem::new(
        "worker.out_of_memory",
        format!("This run needs about {needed:.1} GiB of memory; the machine has {there:.1} GiB."),
    )
    .hint("Use fewer rows at once, shorter lengths, LoRA instead of full tuning, or a smaller model."))
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
    }
}
