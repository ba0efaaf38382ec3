//! How long a run will take: its arithmetic by the speed of the machine, and what does not grow with it. The weights of
//! the terms were fitted to runs on the CPU; `make bench` shows how near they come.

use super::Planned;
use super::learning::linear;
use crate::measuring::{Measuring, Rows};
use crate::plan::LARGE;
use crate::stage::{Stage, Tuning};

/// Floating-point operations a second in products of matrices, as `burnish-worker speed` times them.
pub type Speed = f64;

/// Share of that speed which a step in a model of width [`TIMED`] reaches.
const REACHED: f64 = 0.98;
/// Inner size of the products that are timed.
const TIMED: f64 = 576.0;
/// Width at which products reach half of the speed they reach in wide models.
const HALF: f64 = 200.0;
/// Operations in whose time attention does one: its scores are read and written several times, bound by memory.
const SCORES: f64 = 10.0;
/// Passes that a way back through attention takes.
const SCORES_BACK: f64 = 3.0;
/// Passes that a way back takes where the weights learn: one for what flows back, and less for their gradients, whose
/// products are wide.
const WEIGHTS: f64 = 1.7;
/// Ways of every token through the output matrix in whose time dpo finds how likely its answers are, twice.
const LIKELY: f64 = 2.5;
/// Share of the speed which drawing answers token by token reaches.
const DRAWN: f64 = 0.15;
/// Operations in whose time one layer is gone through for a drawn token, however narrow it is.
const TURN: f64 = 1.1e8;
/// Operations in whose time one number that learns is updated, bound by memory whatever the width.
const UPDATE: f64 = 4000.0;
/// Bytes a second that a checkpoint is written, hashed and read back with.
const WRITTEN: f64 = 7.3e8;
/// Seconds in which one weight is read and laid out before the first step.
const LOADED: f64 = 1.9e-8;
/// Seconds before the first step and after the last.
const AROUND: f64 = 0.05;

/// Operations of one token's way through parts of the model, by which everything is counted.
struct Token {
    /// The linear maps of all blocks.
    maps: f64,
    /// The adapters on them.
    adapters: f64,
    /// Attention over the tokens before it.
    attention: f64,
    /// The output matrix.
    head: f64,
}

fn token(plan: &Planned, length: f64) -> Option<Token> {
    let shape = plan.facts.shape.as_ref()?;
    let layers = plan.facts.layers as f64;
    let maps: u64 = shape.block.iter().filter_map(linear).map(|(_, outer, inner)| outer * inner).sum();
    let trainable: u64 = plan.cost()?.trainable();
    Some(Token {
        maps: 2.0 * layers * maps as f64,
        adapters: if plan.tuning == Tuning::Lora { 2.0 * trainable as f64 } else { 0.0 },
        attention: SCORES * 2.0 * layers * shape.query_width as f64 * length,
        head: 2.0 * (plan.facts.vocab_size * plan.facts.hidden_size) as f64,
    })
}

/// Seconds a run takes on a machine of this speed; `None` for a model of unknown shape.
pub fn seconds(plan: &Planned, speed: Speed) -> Option<f64> {
    let Planned { facts, stage, tuning, hyper, sizes, .. } = *plan;
    let sequences = if stage.wants_pairs() { 2.0 } else { 1.0 };
    // Answers of ppo are three quarters of the longest on average (S-203).
    let answer = if stage == Stage::Ppo { 0.75 * hyper.max_target_length as f64 } else { 0.0 };
    let mean = sizes.mean() + answer;
    let learned = if stage == Stage::Ppo { answer } else { mean * sizes.learned_share() };
    let one = token(plan, mean / sequences)?;
    let steps = hyper.total_steps(plan.rows);
    let batch = (hyper.per_device_train_batch_size as u64).min(plan.rows).max(1);
    let round = plan.rows.div_ceil(batch).div_ceil(hyper.gradient_accumulation_steps.max(1) as u64).max(1);
    // Examples of a step on average; the last one of a round may have fewer.
    let examples = plan.rows as f64 / round as f64;
    let batches = (plan.rows.div_ceil(batch) as f64 / round as f64).max(1.0);

    // Passes of the blocks and of the output matrix over the tokens.
    let forth = mean * (one.maps + one.adapters + one.attention);
    let head = if stage == Stage::Rm { 0.0 } else { learned * one.head };
    let back = match tuning {
        Tuning::Lora => mean * (one.maps + 2.0 * one.adapters + SCORES_BACK * one.attention) + head,
        Tuning::Full => mean * (WEIGHTS * one.maps + SCORES_BACK * one.attention) + 2.0 * head,
        Tuning::Freeze => {
            let learns = hyper.num_layer_trainable.unsigned_abs().min(facts.layers) as f64;
            let depth = if hyper.num_layer_trainable < 0 { 1.0 } else { learns / facts.layers.max(1) as f64 };
            depth * mean * (WEIGHTS * one.maps + SCORES_BACK * one.attention) + head
        }
        Tuning::None => 0.0,
    };
    let again = if hyper.gradient_checkpointing { forth } else { 0.0 };
    let learn = forth + head + back + again;
    let epochs = hyper.ppo_epochs.max(1) as f64;
    let (operations, drawn) = match stage {
        Stage::Pt | Stage::Sft | Stage::Rm => (learn, 0.0),
        Stage::Dpo => (learn + forth + head + LIKELY * mean * one.head, 0.0),
        // The policy and its reference say how likely each token was, the reward model judges, entropies are measured.
        Stage::Ppo => {
            (epochs * (learn + head) + 3.0 * forth + 3.0 * head, answer * (one.maps + one.head) / DRAWN)
        }
    };
    let trainable = plan.cost()?.trainable() as f64;
    let updates = if stage == Stage::Ppo { epochs } else { 1.0 };
    let reached = speed * reached(facts.hidden_size as f64);
    // The answers of a batch are drawn together.
    let turns = batches * answer * facts.layers as f64 * TURN;
    let step =
        examples * operations / reached + (updates * UPDATE * trainable + examples * drawn + turns) / speed;
    let measuring = measuring(plan) * (forth + head) / reached;
    let before = AROUND + LOADED * facts.parameters as f64;
    Some(before + steps as f64 * step + measuring + saving(plan, steps, trainable))
}

/// Share of the machine's speed that the products of a model of this width reach.
fn reached(width: f64) -> f64 {
    let share = |width: f64| width / (width + HALF);
    REACHED * share(width) / share(TIMED)
}

/// Ways forth over a held-out example, answers included.
fn measuring(plan: &Planned) -> f64 {
    let (train, eval) = (plan.rows, plan.held);
    let streamed = plan.stage != Stage::Pt && train + eval >= LARGE;
    Measuring::plan(plan.hyper, plan.stage, plan.tuning, Rows { train, eval, streamed }).passes()
}

/// Seconds spent on checkpoints: what learns, or the whole model, and two moments of each number that learns.
fn saving(plan: &Planned, steps: u64, trainable: f64) -> f64 {
    let whole = if plan.tuning == Tuning::Lora { trainable } else { plan.facts.parameters as f64 };
    let times = steps.div_ceil(plan.hyper.save_every(steps).max(1));
    times as f64 * 4.0 * (whole + 2.0 * trainable) / WRITTEN
}

#[cfg(test)]
mod tests {
    use super::super::tests::{hyper, planned, rows, starter};
    use super::*;

    fn of(stage: Stage, tuning: Tuning, values: &[(&str, &str)]) -> f64 {
        let (facts, hyper, sizes) = (starter(), hyper(stage, tuning, values), rows(100, 50));
        seconds(&planned(&facts, stage, tuning, &hyper, &sizes), 1e11).expect("a shape")
    }

    #[test]
    fn time_grows_with_what_is_to_be_done() {
        let lora = of(Stage::Sft, Tuning::Lora, &[]);
        assert!(lora > AROUND && lora.is_finite());
        let twice = of(Stage::Sft, Tuning::Lora, &[("num_train_epochs", "6")]);
        assert!((1.8..2.1).contains(&(twice / lora)), "{twice} {lora}");
        assert!(of(Stage::Sft, Tuning::Full, &[]) > 1.3 * lora, "gradients of every weight");
        assert!(of(Stage::Sft, Tuning::Lora, &[("gradient_checkpointing", "true")]) > 1.2 * lora);
        assert!(of(Stage::Dpo, Tuning::Lora, &[]) > 1.2 * lora, "and the reference");
        let last = of(Stage::Sft, Tuning::Freeze, &[("num_layer_trainable", "2")]);
        assert!(last < of(Stage::Sft, Tuning::Full, &[]), "{last}");
        assert!(of(Stage::Sft, Tuning::Lora, &[("max_steps", "1000000")]) > 100.0 * lora);
    }

    /// Runs of the starter model that were timed: stage, tuning, rows, tokens of a row and of these learned, settings
    /// beside three steps (two in ppo), the machine's speed in 10^9 operations a second, and the seconds it took.
    type Timed = (Stage, Tuning, (u64, u64, u64), &'static [(&'static str, &'static str)], f64, f64);
    const BATCH: &str = "per_device_train_batch_size";
    const TIMED_RUNS: [Timed; 7] = [
        (Stage::Dpo, Tuning::Lora, (16, 117, 28), &[(BATCH, "8"), ("quantization_bit", "nf4")], 137.0, 31.4),
        (
            Stage::Ppo,
            Tuning::Lora,
            (8, 68, 0),
            &[(BATCH, "4"), ("max_target_length", "48"), ("max_steps", "2")],
            137.0,
            15.9,
        ),
        (Stage::Pt, Tuning::Freeze, (1, 1024, 1024), &[(BATCH, "2")], 154.0, 26.5),
        (Stage::Pt, Tuning::Full, (4, 64, 64), &[(BATCH, "2")], 137.0, 33.8),
        (Stage::Rm, Tuning::Lora, (96, 87, 14), &[(BATCH, "16"), ("lora_rank", "4")], 137.0, 15.8),
        (Stage::Sft, Tuning::Full, (4, 53, 12), &[(BATCH, "2")], 154.0, 26.8),
        (
            Stage::Sft,
            Tuning::Lora,
            (96, 44, 7),
            &[(BATCH, "16"), ("gradient_checkpointing", "true")],
            137.0,
            15.9,
        ),
    ];

    #[test]
    fn runs_that_were_timed_are_foreseen_within_a_half() {
        for (stage, tuning, (rows, tokens, learned), values, speed, took) in TIMED_RUNS {
            let mut settings = vec![("max_steps", "3"), ("dev_ratio", "0")];
            settings.retain(|(key, _)| values.iter().all(|(other, _)| other != key));
            settings.extend(values);
            let (facts, hyper) = (starter(), hyper(stage, tuning, &settings));
            let mut sizes = crate::sizes::Sizes::default();
            (0..rows).for_each(|_| sizes.add(tokens, learned));
            let plan = Planned { rows, held: 0, ..planned(&facts, stage, tuning, &hyper, &sizes) };
            let ratio = seconds(&plan, speed * 1e9).expect("a shape") / took;
            assert!((1.0 / 1.5..1.5).contains(&ratio), "{stage:?} {tuning:?}: {ratio}");
        }
    }

    #[test]
    fn a_batch_larger_than_the_rows_is_no_longer_than_the_rows() {
        let all = of(Stage::Sft, Tuning::Lora, &[("per_device_train_batch_size", "100")]);
        let more = of(Stage::Sft, Tuning::Lora, &[("per_device_train_batch_size", "512")]);
        assert_eq!(all, more);
    }

    #[test]
    fn held_out_rows_are_measured_before_and_on_the_way() {
        let (facts, sizes) = (starter(), rows(100, 50));
        let hyper = hyper(Stage::Sft, Tuning::Lora, &[("eval_steps", "25")]);
        let plan = planned(&facts, Stage::Sft, Tuning::Lora, &hyper, &sizes);
        let more = seconds(&Planned { held: 50, ..plan }, 1e11).expect("a shape");
        let none = seconds(&plan, 1e11).expect("a shape");
        assert!(more > 1.01 * none && more < 1.3 * none, "{more} {none}");
    }
}
