//! What a run will take, before it starts: weights that learn (S-107), memory and time. The form shows it, the server
//! refuses to queue what cannot fit and the worker to load it, all by the same numbers.

mod fit;
mod learning;
mod memory;
mod time;

use crate::model::ModelFacts;
use crate::params::Hyper;
use crate::sizes::{Load, Sizes};
use crate::stage::{Stage, Tuning};
pub use fit::{Fit, Offer, offer, refusal};
pub use learning::Learning;
pub use time::{Speed, seconds};

/// A run that has not started.
#[derive(Clone, Copy, Debug)]
pub struct Planned<'a> {
    /// The model.
    pub facts: &'a ModelFacts,
    /// What it teaches.
    pub stage: Stage,
    /// What learns.
    pub tuning: Tuning,
    /// Settings.
    pub hyper: &'a Hyper,
    /// Sizes of the examples, of all or of some of them.
    pub sizes: &'a Sizes,
    /// Examples learned from in a round: rows, or blocks in pre-training.
    pub rows: u64,
    /// Examples held out.
    pub held: u64,
}

/// Memory a run takes at its peak. Estimates; bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// What learns, in the order of the model.
    pub learning: Vec<Learning>,
    /// All weights, adapter and value head included.
    pub parameters: u64,
    /// The program and its tokenizer.
    pub program_bytes: u64,
    /// Base and adapter as they lie in memory.
    pub weight_bytes: u64,
    /// Gradients and moments.
    pub optimizer_bytes: u64,
    /// What the way back needs of the largest batch.
    pub activation_bytes: u64,
    /// That batch.
    pub load: Load,
}

impl Cost {
    /// Numbers that learn.
    pub fn trainable(&self) -> u64 {
        self.learning.iter().map(|part| part.count).sum()
    }

    /// All memory together, bytes.
    pub fn bytes(&self) -> u64 {
        self.program_bytes + self.weight_bytes + self.optimizer_bytes + self.activation_bytes
    }
}

impl Planned<'_> {
    /// Examples worked on: those learned from, else those measured.
    fn worked(&self) -> u64 {
        if self.tuning.learns() { self.rows } else { self.held }
    }

    /// Estimates the memory; `None` for a model whose shape was not noted at its import.
    pub fn cost(&self) -> Option<Cost> {
        let load = Load::of(self.stage, self.hyper, self.sizes, self.worked());
        memory::estimate(self.facts, self.stage, self.tuning, self.hyper, load)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ModelShape, TensorShape};

    fn tensor(name: &str, shape: &[u64]) -> TensorShape {
        TensorShape { name: name.to_owned(), shape: shape.to_vec() }
    }

    /// SmolLM2-135M in a file of about 5.5 bits a weight.
    pub(super) fn starter() -> ModelFacts {
        let linears = [
            ("self_attn.q_proj.weight", [576, 576]),
            ("self_attn.k_proj.weight", [192, 576]),
            ("self_attn.v_proj.weight", [192, 576]),
            ("self_attn.o_proj.weight", [576, 576]),
            ("mlp.gate_proj.weight", [1536, 576]),
            ("mlp.up_proj.weight", [1536, 576]),
            ("mlp.down_proj.weight", [576, 1536]),
        ];
        let mut block: Vec<_> = linears.iter().map(|(name, shape)| tensor(name, shape)).collect();
        block.extend(
            ["input_layernorm.weight", "post_attention_layernorm.weight"].map(|name| tensor(name, &[576])),
        );
        ModelFacts {
            architecture: "llama".to_owned(),
            parameters: 134_515_008,
            vocab_size: 49_152,
            layers: 30,
            hidden_size: 576,
            intermediate_size: 1536,
            context_length: 8192,
            digest: String::new(),
            has_chat_template: true,
            license: None,
            source: "gguf".to_owned(),
            shape: Some(ModelShape { block, query_width: 576, key_width: 192, file_bytes: 92_000_000 }),
        }
    }

    pub(super) fn hyper(stage: Stage, tuning: Tuning, values: &[(&str, &str)]) -> Hyper {
        let values = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Hyper::read(&values, stage, tuning).expect("valid")
    }

    /// Rows of one size, half of which is learned.
    pub(super) fn rows(count: u64, tokens: u64) -> Sizes {
        let mut sizes = Sizes::default();
        (0..count).for_each(|_| sizes.add(tokens, tokens / 2));
        sizes
    }

    pub(super) fn planned<'a>(
        facts: &'a ModelFacts,
        stage: Stage,
        tuning: Tuning,
        hyper: &'a Hyper,
        sizes: &'a Sizes,
    ) -> Planned<'a> {
        Planned { facts, stage, tuning, hyper, sizes, rows: sizes.count, held: 0 }
    }

    fn cost_of(stage: Stage, tuning: Tuning, values: &[(&str, &str)], sizes: &Sizes) -> Cost {
        planned(&starter(), stage, tuning, &hyper(stage, tuning, values), sizes).cost().expect("a shape")
    }

    fn of(tuning: Tuning, values: &[(&str, &str)]) -> Cost {
        cost_of(Stage::Sft, tuning, values, &rows(38, 50))
    }

    #[test]
    fn s_107_what_learns_is_counted_part_by_part() {
        let cost = of(Tuning::Lora, &[]);
        // Counted by transformers and PEFT: 2,442,240 of rank 8 on all linear layers.
        assert_eq!((cost.trainable(), cost.parameters), (2_442_240, 134_515_008 + 2_442_240));
        assert_eq!(
            cost.learning[0],
            Learning { name: "self_attn.q_proj".to_owned(), blocks: 30, count: 276_480 }
        );
        let two = of(Tuning::Lora, &[("lora_target", "q_proj,v_proj")]);
        assert_eq!(
            two.learning.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(),
            ["self_attn.q_proj", "self_attn.v_proj"]
        );
        let dora = of(Tuning::Lora, &[("lora_target", "q_proj"), ("use_dora", "true")]);
        assert_eq!(dora.trainable(), 276_480 + 30 * 576);
        let saved = of(Tuning::Lora, &[("modules_to_save", "embed_tokens,lm_head")]);
        assert_eq!(saved.trainable(), 2_442_240 + 2 * 49_152 * 576);
        assert_eq!(of(Tuning::Full, &[]).trainable(), 134_515_008);
        let blocks = of(Tuning::Freeze, &[("num_layer_trainable", "2")]);
        assert_eq!(blocks.trainable(), 2 * 3 * 576 * 1536);
        let whole = of(Tuning::Freeze, &[("num_layer_trainable", "-1"), ("name_module_trainable", "all")]);
        assert_eq!(whole.trainable(), 2 * 576 * 576 + 2 * 192 * 576 + 3 * 576 * 1536 + 2 * 576);
        let judge = cost_of(Stage::Rm, Tuning::Lora, &[], &rows(38, 50));
        assert_eq!(judge.trainable(), 2_442_240 + 577);
    }

    #[test]
    fn what_the_rows_hold_counts_and_not_what_they_may_hold() {
        // Said before: 3.3 GB at the default lengths of 512 + 512, 398.8 GB for 512 rows at once of the 38 there are.
        let default = of(Tuning::Lora, &[]);
        let long = of(Tuning::Lora, &[("max_source_length", "8192"), ("max_target_length", "8192")]);
        assert_eq!(default, long);
        assert!(default.bytes() < 400_000_000, "{}", default.bytes());
        let all = of(Tuning::Lora, &[("per_device_train_batch_size", "38")]);
        let more = of(Tuning::Lora, &[("per_device_train_batch_size", "512")]);
        assert_eq!((all.bytes(), all.load), (more.bytes(), more.load));
        assert!(more.bytes() < 4_000_000_000, "{}", more.bytes());
    }

    #[test]
    fn memory_falls_with_the_bits_of_the_base() {
        let bytes = |form: &str| of(Tuning::Lora, &[("quantization_bit", form)]).bytes();
        assert!(bytes("file") < bytes("none") - 400_000_000, "{}", bytes("file"));
        assert!(bytes("nf4") < bytes("int8") && bytes("int8") < bytes("none"));
        let single = of(Tuning::Lora, &[("quantization_bit", "nf4"), ("double_quantization", "false")]);
        assert!(single.weight_bytes > of(Tuning::Lora, &[("quantization_bit", "nf4")]).weight_bytes);
        let twice = of(Tuning::Lora, &[("gradient_checkpointing", "true")]);
        assert!(twice.activation_bytes < of(Tuning::Lora, &[]).activation_bytes);
        let (mut older, sizes) = (starter(), rows(38, 50));
        older.shape = None;
        let hyper = hyper(Stage::Sft, Tuning::Lora, &[]);
        assert_eq!(planned(&older, Stage::Sft, Tuning::Lora, &hyper, &sizes).cost(), None);
    }

    #[test]
    fn a_smaller_batch_is_offered_that_fits_and_keeps_the_step() {
        let (facts, sizes) = (starter(), rows(4000, 900));
        let hyper = |values: &[(&str, &str)]| hyper(Stage::Sft, Tuning::Lora, values);
        let wide = hyper(&[("per_device_train_batch_size", "48"), ("gradient_accumulation_steps", "2")]);
        let plan = planned(&facts, Stage::Sft, Tuning::Lora, &wide, &sizes);
        let needed = plan.cost().expect("a shape").bytes();
        for room in [needed / 2, needed / 5, needed / 20] {
            let Some(Offer::Batch { rows, accumulation }) = offer(&plan, room) else {
                panic!("{room} of {needed} is enough for some batch");
            };
            assert_eq!(rows * accumulation, 96, "as many rows a step");
            let with = |rows: usize| {
                let hyper = Hyper {
                    per_device_train_batch_size: rows,
                    gradient_accumulation_steps: 96 / rows,
                    ..wide.clone()
                };
                Planned { hyper: &hyper, ..plan }.cost().expect("a shape").bytes()
            };
            assert!(with(rows) <= room, "it fits");
            let next = (rows + 1..48).find(|more| 96 % more == 0);
            assert!(next.is_none_or(|more| with(more) > room), "{rows}: no larger one does");
        }
        assert_eq!(offer(&plan, 1_000), Some(Offer::Nothing));
        let all = Planned { tuning: Tuning::Full, ..plan };
        assert_eq!(offer(&all, 1_500_000_000), Some(Offer::Adapter));
    }

    #[test]
    fn what_cannot_fit_is_refused_and_what_is_not_known_is_not() {
        let cost = of(Tuning::Lora, &[]);
        let needed = cost.bytes();
        assert_eq!(refusal(&cost, needed), None);
        assert_eq!(refusal(&cost, 0), None, "a machine that does not say");
        let problem = refusal(&cost, needed - 1).expect("too large");
        assert_eq!(problem.code, crate::Code::WorkerTooLittleMemory);
        assert_eq!(Fit::of(needed, needed, needed - 1), Fit::Tight);
        assert_eq!(Fit::of(needed, needed - 1, 0), Fit::TooLarge);
        assert_eq!(Fit::of(needed, 2 * needed, needed), Fit::Fits);
    }
}
