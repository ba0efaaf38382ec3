//! Whether a run fits into a machine, and what would.

use super::{Cost, Planned};
use crate::code::Code;
use crate::params::param;
use crate::problem::Problem;
use crate::stage::Tuning;

/// How what a run needs compares with what a machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It fits into what is free.
    Fits,
    /// It fits into the machine once other programs give memory back.
    Tight,
    /// It is larger than the machine and is refused.
    TooLarge,
}

impl Fit {
    /// Compares bytes needed with those of the machine and, of these, those free now; 0 of the machine: not known.
    pub fn of(needed: u64, machine: u64, free: u64) -> Self {
        match needed {
            _ if machine == 0 || needed <= free => Self::Fits,
            _ if needed <= machine => Self::Tight,
            _ => Self::TooLarge,
        }
    }
}

/// The problem of a run that does not fit into a machine of so many bytes; `None` when it fits.
pub fn refusal(cost: &Cost, machine: u64) -> Option<Problem> {
    let needed = cost.bytes();
    if Fit::of(needed, machine, machine) != Fit::TooLarge {
        return None;
    }
    let gb = |bytes: u64| bytes as f64 / 1e9;
    let (needed, there) = (gb(needed), gb(machine));
    let message = format!("This run needs about {needed:.1} GB of memory; the machine has {there:.1} GB.");
    let hint = "Use fewer rows at once, shorter lengths, LoRA instead of full tuning, or a smaller model.";
    let problem = Problem::new(Code::WorkerTooLittleMemory, message)
        .with("needed", format!("{needed:.1}"))
        .with("there", format!("{there:.1}"));
    Some(problem.hint(hint))
}

/// Other settings of a run too large as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// So many rows at once, gathered over so many batches: every step learns from as many rows as before.
    Batch {
        /// Rows of a batch.
        rows: usize,
        /// Batches of a step.
        accumulation: usize,
    },
    /// No batch fits, but with an adapter one does.
    Adapter,
    /// No batch fits.
    Nothing,
}

/// The largest smaller batch that fits into so many bytes, gradients gathered so that a step stays as it is. `None` for
/// a model of unknown shape.
pub fn offer(plan: &Planned, bytes: u64) -> Option<Offer> {
    // Rows of a step that are there at all: 512 at once of 38 are 38.
    let asked = plan.hyper.per_device_train_batch_size;
    let there = usize::try_from(plan.worked()).unwrap_or(usize::MAX).max(1);
    let step = asked.saturating_mul(plan.hyper.gradient_accumulation_steps.max(1));
    let gathered = |rows: usize| if plan.tuning.learns() { step / rows } else { 1 };
    let mut hyper = plan.hyper.clone();
    let mut batch = |rows: usize| {
        (hyper.per_device_train_batch_size, hyper.gradient_accumulation_steps) = (rows, gathered(rows));
        let cost = Planned { hyper: &hyper, ..*plan }.cost()?;
        (cost.bytes() <= bytes).then_some(Offer::Batch { rows, accumulation: gathered(rows) })
    };
    let accumulation = param("gradient_accumulation_steps");
    let whole = |rows: &usize| {
        let gathered = gathered(*rows).to_string();
        step.is_multiple_of(*rows) && accumulation.is_some_and(|param| param.check(&gathered).is_ok())
    };
    let smaller = (1..asked.min(there.saturating_add(1))).rev();
    if let Some(found) = smaller.filter(whole).find_map(&mut batch) {
        return Some(found);
    }
    plan.cost()?;
    if plan.tuning.keeps_base() {
        return Some(Offer::Nothing);
    }
    hyper.per_device_train_batch_size = 1;
    hyper.quantization_bit = "file".to_owned();
    let adapter = Planned { hyper: &hyper, tuning: Tuning::Lora, ..*plan }.cost()?;
    Some(if adapter.bytes() <= bytes { Offer::Adapter } else { Offer::Nothing })
}
