//! What a run will take, from the shape of its model alone: weights that learn (S-107) and memory. The form shows it
//! before launch, and the worker refuses what cannot fit into its machine by the same numbers.

use crate::model::{ModelFacts, TensorShape};
use crate::params::Hyper;
use crate::stage::{Stage, Tuning};

/// Logits that are held at a time, numbers: the loss is taken over pieces of the vocabulary's rows.
const LOGITS: u64 = 1 << 24;
/// Bytes for each number that learns: gradient and both moments of AdamW.
const LEARNING: u64 = 12;

/// Weights of one kind that learn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learning {
    /// Their name within a block, for example `self_attn.q_proj`; else that of the part.
    pub name: String,
    /// Blocks they stand in; 0: they stand beside the blocks.
    pub blocks: u64,
    /// Numbers that learn, all blocks together.
    pub count: u64,
}

/// What a run takes. Estimates; bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// What learns, in the order of the model.
    pub learning: Vec<Learning>,
    /// All weights, adapter and value head included.
    pub parameters: u64,
    /// Base and adapter as they lie in memory.
    pub weight_bytes: u64,
    /// Gradients and moments.
    pub optimizer_bytes: u64,
    /// What the way back needs of the longest batch.
    pub activation_bytes: u64,
}

impl Cost {
    /// Numbers that learn.
    pub fn trainable(&self) -> u64 {
        self.learning.iter().map(|part| part.count).sum()
    }

    /// All memory together, bytes.
    pub fn bytes(&self) -> u64 {
        self.weight_bytes + self.optimizer_bytes + self.activation_bytes
    }
}

/// Estimates a run whose longest row has `length` tokens; `None` for a model whose shape was not noted at its import.
pub fn estimate(
    facts: &ModelFacts,
    stage: Stage,
    tuning: Tuning,
    hyper: &Hyper,
    length: u64,
) -> Option<Cost> {
    let shape = facts.shape.as_ref()?;
    let mut learning = match tuning {
        Tuning::Lora => adapter(facts, &shape.block, hyper),
        Tuning::Full => vec![beside("model", facts.parameters)],
        Tuning::Freeze => frozen(facts, &shape.block, hyper),
    };
    let mut added: u64 =
        if tuning == Tuning::Lora { learning.iter().map(|part| part.count).sum() } else { 0 };
    if stage.has_value_head() {
        learning.push(beside("value_head", facts.hidden_size + 1));
        added += facts.hidden_size + 1;
    }
    let tokens = hyper.per_device_train_batch_size as u64 * length;
    let kept = 3 * facts.hidden_size + 2 * (shape.query_width + shape.key_width + facts.intermediate_size);
    let kept = match hyper.gradient_checkpointing {
        true => facts.layers * facts.hidden_size + kept,
        false => facts.layers * kept,
    };
    let logits = (tokens * facts.vocab_size).min(LOGITS);
    let trainable: u64 = learning.iter().map(|part| part.count).sum();
    Some(Cost {
        parameters: facts.parameters + added,
        weight_bytes: base_bytes(facts, tuning, hyper)? + 4 * added,
        optimizer_bytes: LEARNING * trainable,
        activation_bytes: 4 * (tokens * kept + logits),
        learning,
    })
}

fn beside(name: &str, count: u64) -> Learning {
    Learning { name: name.to_owned(), blocks: 0, count }
}

/// Name of a linear map within its block; `None` for vectors.
fn linear(tensor: &TensorShape) -> Option<(&str, u64, u64)> {
    match tensor.shape[..] {
        [outer, inner] => Some((tensor.name.trim_end_matches(".weight"), outer, inner)),
        _ => None,
    }
}

/// A low-rank adapter: `r (in + out)` for each linear map, with DoRA one length for each output row.
fn adapter(facts: &ModelFacts, block: &[TensorShape], hyper: &Hyper) -> Vec<Learning> {
    let wanted = |name: &str| {
        let last = name.rsplit('.').next();
        hyper.lora_target.iter().any(|target| target == "all-linear" || last == Some(target))
    };
    let part = |(name, outer, inner): (&str, u64, u64)| {
        let lengths = if hyper.use_dora { outer } else { 0 };
        let count = facts.layers * (hyper.lora_rank as u64 * (outer + inner) + lengths);
        Learning { name: name.to_owned(), blocks: facts.layers, count }
    };
    let mut parts: Vec<_> =
        block.iter().filter_map(linear).filter(|(name, ..)| wanted(name)).map(part).collect();
    let table = facts.vocab_size * facts.hidden_size;
    parts.extend(hyper.modules_to_save.iter().map(|name| beside(name, table)));
    parts
}

/// Some blocks, or parts of them (S-038, S-039).
fn frozen(facts: &ModelFacts, block: &[TensorShape], hyper: &Hyper) -> Vec<Learning> {
    let blocks = hyper.num_layer_trainable.unsigned_abs().min(facts.layers);
    let of = |module: &str| {
        let within =
            |tensor: &&TensorShape| module == "all" || tensor.name.split('.').any(|part| part == module);
        let each: u64 = block.iter().filter(within).map(|tensor| tensor.shape.iter().product::<u64>()).sum();
        Learning { name: module.to_owned(), blocks, count: blocks * each }
    };
    match hyper.name_module_trainable.iter().find(|module| *module == "all") {
        Some(all) => vec![of(all)],
        None => hyper.name_module_trainable.iter().map(|module| of(module)).collect(),
    }
}

/// Memory of the base: f32 where it learns, else as its file has it or with linear maps in fewer bits.
fn base_bytes(facts: &ModelFacts, tuning: Tuning, hyper: &Hyper) -> Option<u64> {
    let shape = facts.shape.as_ref()?;
    if tuning != Tuning::Lora || hyper.quantization_bit == "none" {
        return Some(4 * facts.parameters);
    }
    if !hyper.quantised() {
        return Some(shape.file_bytes);
    }
    let linears = || shape.block.iter().filter_map(linear);
    let numbers: u64 = facts.layers * linears().map(|(_, outer, inner)| outer * inner).sum::<u64>();
    let rows: u64 = facts.layers * linears().map(|(_, outer, _)| outer).sum::<u64>();
    let small = match (hyper.quantization_bit.as_str(), hyper.double_quantization) {
        ("int8", _) => numbers + 4 * rows,
        // A scale for each block of 64: one byte and a share of its own scale, or four.
        (_, true) => numbers / 2 + numbers / 64 + numbers / 4096,
        (_, false) => numbers / 2 + numbers / 16,
    };
    let rest = facts.parameters.saturating_sub(numbers) as f64 / facts.parameters.max(1) as f64;
    Some(small + (rest * shape.file_bytes as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelShape;

    fn tensor(name: &str, shape: &[u64]) -> TensorShape {
        TensorShape { name: name.to_owned(), shape: shape.to_vec() }
    }

    /// SmolLM2-135M in a file of about 5.5 bits a weight.
    fn starter() -> ModelFacts {
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

    fn hyper(tuning: Tuning, values: &[(&str, &str)]) -> Hyper {
        let values = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Hyper::read(&values, Stage::Sft, tuning).expect("valid")
    }

    fn of(tuning: Tuning, values: &[(&str, &str)]) -> Cost {
        estimate(&starter(), Stage::Sft, tuning, &hyper(tuning, values), 50).expect("a shape")
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
        let judge =
            estimate(&starter(), Stage::Rm, Tuning::Lora, &hyper(Tuning::Lora, &[]), 80).expect("a shape");
        assert_eq!(judge.trainable(), 2_442_240 + 577);
    }

    #[test]
    fn memory_falls_with_the_bits_of_the_base() {
        let bytes = |form: &str| of(Tuning::Lora, &[("quantization_bit", form)]).bytes();
        // Measured with four rows of about 50 tokens: 775 MB on an f32 base.
        assert!((750..=800).contains(&(bytes("none") / 1_000_000)), "{}", bytes("none"));
        assert!(bytes("file") < bytes("none") - 400_000_000, "{}", bytes("file"));
        assert!(bytes("nf4") < bytes("int8") && bytes("int8") < bytes("none"));
        let single = of(Tuning::Lora, &[("quantization_bit", "nf4"), ("double_quantization", "false")]);
        assert!(single.weight_bytes > of(Tuning::Lora, &[("quantization_bit", "nf4")]).weight_bytes);
        let twice = of(Tuning::Lora, &[("gradient_checkpointing", "true")]);
        assert!(twice.activation_bytes < of(Tuning::Lora, &[]).activation_bytes / 3);
        let mut older = starter();
        older.shape = None;
        assert_eq!(estimate(&older, Stage::Sft, Tuning::Lora, &hyper(Tuning::Lora, &[]), 80), None);
    }
}
