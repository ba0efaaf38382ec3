//! The typed set of hyperparameters.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{PARAMS, param};
use crate::code::Code;
use crate::param::{Kind, Param};
use crate::problem::Problem;
use crate::stage::{Stage, Tuning};

/// The checked hyperparameters of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hyper {
    /// Rounds through the data.
    pub num_train_epochs: f64,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Rows of a micro-batch.
    pub per_device_train_batch_size: usize,
    /// LoRA rank.
    pub lora_rank: usize,
    /// LoRA alpha; the scale is alpha / rank.
    pub lora_alpha: f64,
    /// LoRA dropout, 0 to 0.9.
    pub lora_dropout: f64,
    /// Layers with LoRA.
    pub lora_target: Vec<String>,
    /// Longest question, tokens.
    pub max_source_length: usize,
    /// Longest answer, tokens.
    pub max_target_length: usize,
    /// Share of rows held out; 1, where nothing learns: all of them.
    pub dev_ratio: f64,
    /// First rows to use; 0: all.
    pub max_samples: u64,
    /// `corrected` or `original`, see [`crate::dataset::Behaviour`].
    pub behaviour: String,
    /// Words of control tokens in texts become the tokens; else they are plain text.
    pub control_tokens_in_text: bool,
    /// System text of each dataset, see [`crate::dataset::source_prefixes`].
    pub source_prefix: String,
    /// `concatenate`, `until_shortest` or `until_longest`, see [`crate::dataset::Mixing`].
    pub mixing: String,
    /// Weight of each dataset, see [`crate::dataset::mixing_weights`].
    pub mixing_weights: String,
    /// Micro-batches a step.
    pub gradient_accumulation_steps: usize,
    /// `cosine`, `linear`, `constant`, `constant_with_warmup`, `cosine_with_restarts`, `polynomial`.
    pub lr_scheduler_type: String,
    /// Share of steps with a rising learning rate.
    pub warmup_ratio: f64,
    /// Steps at most; 0: the epochs decide.
    pub max_steps: u64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Clip; 0: never.
    pub max_grad_norm: f64,
    /// Steps between evaluations; 0: a tenth of the run.
    pub eval_steps: u64,
    /// Held-out rows measured at a time; 0: all of them. See [`crate::measuring`].
    pub max_eval_samples: u64,
    /// Share of a run that measuring may take, 0 to 0.9; 0: no bound. See [`crate::measuring`].
    pub eval_share: f64,
    /// Measure all held-out rows once, at the end.
    pub eval_all_at_end: bool,
    /// Steps between checkpoints; 0: a quarter of the run.
    pub save_steps: u64,
    /// Seed.
    pub seed: u64,
    /// `auto`, `cpu`, `cuda`.
    pub device: String,
    /// Scale by alpha / sqrt(rank).
    pub use_rslora: bool,
    /// Learn the lengths of rows by themselves.
    pub use_dora: bool,
    /// Layers trained as a whole along with LoRA.
    pub modules_to_save: Vec<String>,
    /// Train the last adapter of the chain further; false: merge it and begin a new one (S-021).
    pub resume_lora_training: bool,
    /// Freeze: last blocks that learn; below 0 the first ones.
    pub num_layer_trainable: i64,
    /// Freeze: parts of those blocks.
    pub name_module_trainable: Vec<String>,
    /// Measure by answering, too.
    pub predict_with_generate: bool,
    /// Answers made at most; 0: one to each held-out question.
    pub predict_samples: usize,
    /// Temperature of these answers; 0: greedy.
    pub predict_temperature: f64,
    /// Top-p of these answers.
    pub predict_top_p: f64,
    /// Beams of these answers; 1: none (S-030).
    pub eval_num_beams: usize,
    /// Warm-up in steps; 0: the ratio decides.
    pub warmup_steps: u64,
    /// Cosine restarts.
    pub lr_num_cycles: u64,
    /// Power of the polynomial.
    pub lr_power: f64,
    /// Last rate of the polynomial.
    pub lr_end: f64,
    /// AdamW beta 1.
    pub adam_beta1: f64,
    /// AdamW beta 2.
    pub adam_beta2: f64,
    /// AdamW epsilon.
    pub adam_epsilon: f64,
    /// `tokens` or `batches`.
    pub loss_normalisation: String,
    /// Newest checkpoints kept.
    pub save_total_limit: usize,
    /// Measurements without progress before the end; 0: never.
    pub early_stopping_patience: u64,
    /// `stop` or `skip`.
    pub nan_policy: String,
    /// NEFTune strength; 0: off.
    pub neftune_noise_alpha: f64,
    /// Compute layers anew on the way back.
    pub gradient_checkpointing: bool,
    /// DPO: hold to the reference.
    pub dpo_beta: f64,
    /// `sigmoid`, `ipo`, `hinge`.
    pub dpo_loss: String,
    /// DPO: share of wrong labels.
    pub dpo_label_smoothing: f64,
    /// Dropout before the value head.
    pub value_head_dropout: f64,
    /// PPO: passes over each batch of answers.
    pub ppo_epochs: usize,
    /// PPO: KL coefficient at the start.
    pub ppo_init_kl: f64,
    /// PPO: KL to keep, nats per answer.
    pub ppo_target_kl: f64,
    /// PPO: answers the coefficient adapts over.
    pub ppo_horizon: f64,
    /// PPO: ratio clip.
    pub ppo_clip: f64,
    /// PPO: value clip.
    pub ppo_value_clip: f64,
    /// PPO: weight of the value loss.
    pub ppo_value_weight: f64,
    /// PPO: discount.
    pub ppo_gamma: f64,
    /// PPO: look-ahead.
    pub ppo_lambda: f64,
    /// PPO: normalise rewards.
    pub ppo_score_norm: bool,
    /// PPO: whiten token rewards.
    pub ppo_whiten_rewards: bool,
    /// PPO: policy KL above which a batch ends early; 0: never.
    pub ppo_early_stop_kl: f64,
    /// Whether the best checkpoint stands for the run, see [`crate::checkpoint::chosen`].
    pub load_best_model_at_end: bool,
    /// Form of the frozen base: `file`, `none` (f32), `int8`, `nf4` or `fp4`.
    pub quantization_bit: String,
    /// 4 bits: scales in 8 bits as well.
    pub double_quantization: bool,
}

impl Hyper {
    /// Reads typed values; one that is missing, empty or does not apply takes its default. Returns every problem found,
    /// and refuses what the original asserted against instead of passing it over (S-053).
    pub fn read(
        values: &BTreeMap<String, String>,
        stage: Stage,
        tuning: Tuning,
    ) -> Result<Self, Vec<Problem>> {
        let text = |key: &str| -> String {
            let Some(param) = param(key) else { return String::new() };
            let typed = values.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
            let asked = typed.filter(|_| (param.applies)(stage, tuning));
            asked.unwrap_or((param.default)(stage, tuning)).to_owned()
        };
        let problems: Vec<_> = PARAMS
            .iter()
            .filter(|param| (param.applies)(stage, tuning))
            .filter_map(|param| param.check(&text(param.key)).err())
            .chain(answers_elsewhere(values, stage))
            .collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self::of(text))
    }

    /// What a stored set chooses that this build does not know: written by another one, or damaged. It is an error and
    /// never a default: whoever trained by it would train something else.
    pub fn unknown_choice(&self) -> Option<String> {
        let stored = serde_json::to_value(self).ok()?;
        let odd = |param: &&Param| {
            matches!(param.kind, Kind::Choice(_))
                && stored[param.key].as_str().is_some_and(|text| param.check(text).is_err())
        };
        let param = PARAMS.iter().find(odd)?;
        Some(format!("{} is {}", param.key, stored[param.key]))
    }

    /// The set of checked texts.
    fn of(text: impl Fn(&str) -> String) -> Self {
        let float = |key: &str| text(key).parse::<f64>().unwrap_or_default();
        let int = |key: &str| text(key).parse::<u64>().unwrap_or_default();
        let size = |key: &str| text(key).parse::<usize>().unwrap_or_default();
        let whole = |key: &str| text(key).parse::<i64>().unwrap_or_default();
        let flag = |key: &str| text(key) == "true";
        let names = |key: &str| -> Vec<String> {
            let typed = text(key);
            let names = typed.split(',').map(str::trim).filter(|name| !name.is_empty() && *name != "none");
            names.map(str::to_owned).collect()
        };
        Self {
            num_train_epochs: float("num_train_epochs"),
            learning_rate: float("learning_rate"),
            per_device_train_batch_size: size("per_device_train_batch_size"),
            lora_rank: size("lora_rank"),
            lora_alpha: float("lora_alpha"),
            lora_dropout: float("lora_dropout"),
            lora_target: names("lora_target"),
            max_source_length: size("max_source_length"),
            max_target_length: size("max_target_length"),
            dev_ratio: float("dev_ratio"),
            max_samples: int("max_samples"),
            behaviour: text("behaviour"),
            control_tokens_in_text: flag("control_tokens_in_text"),
            source_prefix: text("source_prefix"),
            mixing: text("mixing"),
            mixing_weights: text("mixing_weights"),
            gradient_accumulation_steps: size("gradient_accumulation_steps"),
            lr_scheduler_type: text("lr_scheduler_type"),
            warmup_ratio: float("warmup_ratio"),
            max_steps: int("max_steps"),
            weight_decay: float("weight_decay"),
            max_grad_norm: float("max_grad_norm"),
            eval_steps: int("eval_steps"),
            max_eval_samples: int("max_eval_samples"),
            eval_share: float("eval_share"),
            eval_all_at_end: flag("eval_all_at_end"),
            save_steps: int("save_steps"),
            seed: int("seed"),
            device: text("device"),
            use_rslora: flag("use_rslora"),
            use_dora: flag("use_dora"),
            modules_to_save: names("modules_to_save"),
            resume_lora_training: flag("resume_lora_training"),
            num_layer_trainable: whole("num_layer_trainable"),
            name_module_trainable: names("name_module_trainable"),
            predict_with_generate: flag("predict_with_generate"),
            predict_samples: size("predict_samples"),
            predict_temperature: float("predict_temperature"),
            predict_top_p: float("predict_top_p"),
            eval_num_beams: size("eval_num_beams"),
            warmup_steps: int("warmup_steps"),
            lr_num_cycles: int("lr_num_cycles"),
            lr_power: float("lr_power"),
            lr_end: float("lr_end"),
            adam_beta1: float("adam_beta1"),
            adam_beta2: float("adam_beta2"),
            adam_epsilon: float("adam_epsilon"),
            loss_normalisation: text("loss_normalisation"),
            save_total_limit: size("save_total_limit"),
            early_stopping_patience: int("early_stopping_patience"),
            nan_policy: text("nan_policy"),
            neftune_noise_alpha: float("neftune_noise_alpha"),
            gradient_checkpointing: flag("gradient_checkpointing"),
            dpo_beta: float("dpo_beta"),
            dpo_loss: text("dpo_loss"),
            dpo_label_smoothing: float("dpo_label_smoothing"),
            value_head_dropout: float("value_head_dropout"),
            ppo_epochs: size("ppo_epochs"),
            ppo_init_kl: float("ppo_init_kl"),
            ppo_target_kl: float("ppo_target_kl"),
            ppo_horizon: float("ppo_horizon"),
            ppo_clip: float("ppo_clip"),
            ppo_value_clip: float("ppo_value_clip"),
            ppo_value_weight: float("ppo_value_weight"),
            ppo_gamma: float("ppo_gamma"),
            ppo_lambda: float("ppo_lambda"),
            ppo_score_norm: flag("ppo_score_norm"),
            ppo_whiten_rewards: flag("ppo_whiten_rewards"),
            ppo_early_stop_kl: float("ppo_early_stop_kl"),
            load_best_model_at_end: flag("load_best_model_at_end"),
            quantization_bit: text("quantization_bit"),
            double_quantization: flag("double_quantization"),
        }
    }

    /// Whether the base is quantised when it is loaded; blocks that its file has already do not count.
    pub fn quantised(&self) -> bool {
        matches!(self.quantization_bit.as_str(), "int8" | "nf4" | "fp4")
    }

    /// Steps of warm-up of a run of `total` steps; a share is rounded up as in transformers. A constant rate has none.
    /// A warm-up is shorter than its run: the rate of its first step is 0, and a run of such steps would teach nothing.
    pub fn warmup(&self, total: u64) -> u64 {
        let asked = match (self.lr_scheduler_type.as_str(), self.warmup_steps) {
            ("constant", _) => 0,
            (_, 0) => (self.warmup_ratio * total as f64).ceil() as u64,
            (_, steps) => steps,
        };
        asked.min(total.saturating_sub(1))
    }

    /// Optimizer steps a run makes over `train_rows` rows (or blocks): HF's rule, the last micro-batches
    /// of a round make a step of their own.
    pub fn total_steps(&self, train_rows: u64) -> u64 {
        if self.max_steps > 0 {
            return self.max_steps;
        }
        if train_rows == 0 {
            return 0;
        }
        (self.steps_a_round(train_rows) as f64 * self.num_train_epochs).ceil() as u64
    }

    /// Optimizer steps of one round through `train_rows` rows, at least 1.
    pub fn steps_a_round(&self, train_rows: u64) -> u64 {
        let batches = train_rows.div_ceil(self.per_device_train_batch_size.max(1) as u64);
        batches.div_ceil(self.gradient_accumulation_steps.max(1) as u64).max(1)
    }

    /// Steps between evaluations once `total` is known.
    pub fn eval_every(&self, total: u64) -> u64 {
        if self.eval_steps > 0 { self.eval_steps } else { total.div_ceil(10).max(1) }
    }

    /// Steps between checkpoints once `total` is known.
    pub fn save_every(&self, total: u64) -> u64 {
        if self.save_steps > 0 { self.save_steps } else { total.div_ceil(4).max(1) }
    }
}

/// Measuring by answering is asked of a stage that does not answer (S-053).
fn answers_elsewhere(values: &BTreeMap<String, String>, stage: Stage) -> Option<Problem> {
    let key = "predict_with_generate";
    let asked = values.get(key).is_some_and(|text| text.trim() == "true");
    (asked && stage != Stage::Sft).then(|| {
        let message = format!("`predict_with_generate` cannot be set at the stage {}.", stage.key());
        Problem::new(Code::FormPredictStage, message)
            .with("stage", stage.key())
            .field(key)
            .hint("Only fine-tuning (sft) measures by answering; leave it out.")
    })
}

/// Fields that an older specification lacks are read as the defaults of fine-tuning with LoRA.
impl Default for Hyper {
    fn default() -> Self {
        let default = |key: &str| param(key).map_or("", |param| (param.default)(Stage::Sft, Tuning::Lora));
        Self::of(|key| default(key).to_owned())
    }
}
