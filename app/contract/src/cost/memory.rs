//! Peak memory of a training process on the CPU. The terms follow what the trainer holds at a time; their weights were
//! fitted to measured peaks, see `tests/worker/peaks.rs` of the worker.

use super::Cost;
use super::learning::{adapter, beside, frozen, linear};
use crate::model::{ModelFacts, ModelShape};
use crate::params::Hyper;
use crate::sizes::Load;
use crate::stage::{Stage, Tuning};

/// Names of the norm before attention in all families that have one.
const BEFORE: [&str; 3] = ["input_layernorm.weight", "ln_1.weight", "ln_attn.weight"];
/// The program, bytes.
const PROGRAM: u64 = 26_000_000;
/// What its second thread takes beside what it works on, bytes.
const SECOND: u64 = 9_000_000;
/// What a run with adapters takes beside them, bytes: their small products are made anew at every step, and the places
/// of those before are not all used again.
const ADAPTED: u64 = 7_500_000;
/// Bytes a tokenizer takes for each token of its vocabulary.
const TOKENIZER: u64 = 700;
/// Logits that are held at a time on each thread, numbers, unless these are fewer than [`LOGIT_ROWS`] rows.
const LOGITS: u64 = 1 << 22;
/// Rows of logits that are held in any case.
const LOGIT_ROWS: u64 = 64;
/// Bytes of a number.
const F32: u64 = 4;
/// What the allocator holds beside what is used, hundredths.
const HOLES: u64 = 8;

/// Estimates a run whose largest batch is `load`; `None` for a model whose shape was not noted at its import.
pub(super) fn estimate(
    facts: &ModelFacts,
    stage: Stage,
    tuning: Tuning,
    hyper: &Hyper,
    load: Load,
) -> Option<Cost> {
    let shape = facts.shape.as_ref()?;
    let mut learning = match tuning {
        Tuning::Lora => adapter(facts, &shape.block, hyper),
        Tuning::Full => vec![beside("model", facts.parameters)],
        Tuning::Freeze => frozen(facts, &shape.block, hyper),
        Tuning::None => Vec::new(),
    };
    let mut added: u64 =
        if tuning == Tuning::Lora { learning.iter().map(|part| part.count).sum() } else { 0 };
    if stage.has_value_head() {
        if tuning.learns() {
            learning.push(beside("value_head", facts.hidden_size + 1));
        }
        added += facts.hidden_size + 1;
    }
    let trainable: u64 = learning.iter().map(|part| part.count).sum();
    let held = Held { facts, shape, tuning, hyper, load, trainable };
    let (kept, passing) = held.activations();
    let kept = kept + held.logits();
    let activations = kept + passing;
    let adapted = if tuning == Tuning::Lora { ADAPTED } else { 0 };
    let program = PROGRAM + TOKENIZER * facts.vocab_size + (held.sides() - 1) * SECOND + adapted;
    let with_holes = |bytes: u64| bytes + bytes / 100 * HOLES;
    Some(Cost {
        parameters: facts.parameters + added,
        program_bytes: with_holes(program),
        weight_bytes: with_holes(base_bytes(facts, tuning, hyper)? + F32 * added),
        optimizer_bytes: with_holes(held.peak(kept, passing).saturating_sub(activations)),
        activation_bytes: with_holes(activations),
        load,
        learning,
    })
}

/// What a step holds beside the weights.
struct Held<'a> {
    facts: &'a ModelFacts,
    shape: &'a ModelShape,
    tuning: Tuning,
    hyper: &'a Hyper,
    load: Load,
    trainable: u64,
}

impl Held<'_> {
    /// Halves of a batch that are worked on side by side.
    fn sides(&self) -> u64 {
        self.load.sequences.clamp(1, 2)
    }

    /// Numbers that a block keeps of each token for the way back: its input, what its maps gave and what attention made
    /// of it; with adapters their inner products.
    fn kept(&self) -> u64 {
        let d = self.facts.hidden_size;
        let linears = || self.shape.block.iter().filter_map(linear);
        let outputs: u64 = linears().map(|(_, outer, _)| outer).sum();
        let vectors = self.shape.block.iter().filter(|tensor| tensor.shape.len() == 1);
        let norms: u64 = vectors
            .filter(|tensor| tensor.name.ends_with(".weight"))
            .map(|tensor| match tensor.name.contains("q_norm") {
                true => self.shape.query_width,
                false if tensor.name.contains("k_norm") => self.shape.key_width,
                false => d,
            })
            .sum();
        // Those before the two parts need nothing of their own: what goes into them is counted already. OLMo 2 has none.
        let before = self.shape.block.iter().any(|tensor| BEFORE.iter().any(|name| tensor.name == *name));
        let norms = norms.saturating_sub(if before { 2 * d } else { 0 });
        let inner = if self.tuning == Tuning::Lora {
            self.hyper.lora_rank as u64 * linears().count() as u64
        } else {
            0
        };
        outputs + self.shape.query_width + norms + inner
    }

    /// What the largest batch keeps until its way back has passed, and what the block that is on its way back takes,
    /// bytes.
    fn activations(&self) -> (u64, u64) {
        let (layers, kept, bytes) = (self.facts.layers, self.kept(), F32 * self.load.tokens);
        // A block makes its products anew and their gradients; with checkpointing what it keeps as well.
        match self.hyper.gradient_checkpointing {
            _ if !self.tuning.learns() => (0, bytes * kept),
            true => (bytes * layers * self.facts.hidden_size, bytes * 3 * kept),
            false => (bytes * layers * kept, bytes * 2 * kept),
        }
    }

    /// Whether the output matrix learns.
    fn head_learns(&self) -> bool {
        self.tuning == Tuning::Full || !self.hyper.modules_to_save.is_empty()
    }

    /// Logits of both halves, bytes.
    fn logits(&self) -> u64 {
        if self.load.learned == 0 {
            return 0;
        }
        let rows = self.load.learned.div_ceil(self.sides());
        let most = (LOGITS / self.facts.vocab_size.max(1)).max(LOGIT_ROWS);
        let held = rows.div_ceil(rows.div_ceil(most)) * self.facts.vocab_size;
        let table = self.facts.vocab_size * self.facts.hidden_size;
        let numbers = if self.head_learns() { 2 * held + 2 * table } else { held };
        F32 * self.sides() * numbers
    }

    /// Everything at its highest beside the weights, bytes; `kept` and `passing` as in [`Held::activations`].
    fn peak(&self, kept: u64, passing: u64) -> u64 {
        let (moments, gradients) = (2 * F32 * self.trainable, F32 * self.trainable);
        let gathered = if self.hyper.gradient_accumulation_steps > 1 { gradients } else { 0 };
        // Gradients grow while what was kept goes. Those of two halves are added up, which takes a third copy; a
        // checkpoint copies both moments.
        let copies = if self.sides() > 1 { 3 } else { 1 };
        let step = moments + gathered + passing + kept.max(copies * gradients);
        // The largest tensor is copied once more where the whole model is saved; DoRA measures the lengths of rows over
        // copies, a quarter of what the maps would take as f32.
        let table = F32 * self.facts.vocab_size * self.facts.hidden_size;
        let maps = || self.shape.block.iter().filter_map(linear);
        let copied = match self.tuning {
            Tuning::Lora if self.hyper.use_dora => {
                self.facts.layers * maps().map(|(_, outer, inner)| outer * inner).sum::<u64>()
            }
            Tuning::Lora | Tuning::None => 0,
            Tuning::Full | Tuning::Freeze => table,
        };
        step.max(2 * moments) + copied
    }
}

/// Memory of the base: f32 where it learns, else as its file has it or with linear maps in fewer bits.
fn base_bytes(facts: &ModelFacts, tuning: Tuning, hyper: &Hyper) -> Option<u64> {
    let shape = facts.shape.as_ref()?;
    if !tuning.keeps_base() || hyper.quantization_bit == "none" {
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
