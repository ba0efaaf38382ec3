//! What a run measures on held-out rows, and when: a function of its settings and its numbers of rows alone. Form,
//! estimate and worker take it from here, and a resumed run measures what it would have measured.
//!
//! Work is counted in forward passes over one row (in rm and dpo: one pair), so that the bound on the share of
//! measuring does not depend on a clock.

use crate::params::Hyper;
use crate::stage::{Stage, Tuning};

/// Rows that the first and the last measuring draw at least, and questions that are answered at least, if so many are
/// held out: the bound may be exceeded by these.
const LEAST: u64 = 8;
/// Before a draw has fewer rows than these (or than three quarters of those wished), measurings become rarer.
const ENOUGH: u64 = 32;
/// What an answer takes, forward passes over its row, about: each of its tokens, which reads every weight again, takes as
/// long as six that are read together, and some answers are longer than the row's own.
const ANSWER: f64 = 8.0;

/// Rows a run has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Rows learned from.
    pub train: u64,
    /// Rows held out.
    pub eval: u64,
    /// Whether training begins while later rows are still prepared: then nothing is measured before the first step.
    pub streamed: bool,
}

/// The plan of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measuring {
    /// Optimizer steps of the run.
    pub total_steps: u64,
    /// Rows of the fixed draw, measured each time; 0: none are held out.
    pub rows: u64,
    /// Whether they are measured before the first step.
    pub first: bool,
    /// They are measured after every so many steps, and after the last.
    pub every: u64,
    /// They are also measured after every so many steps, where a checkpoint is saved.
    pub saves: u64,
    /// Rows measured once more at the end, all that are held out; 0: not asked for, or the draw has them all.
    pub all: u64,
    /// Held-out questions answered at the end.
    pub answers: u64,
    /// Work of a mean optimizer step, forward passes over a row.
    pub step_passes: f64,
    /// Work of measuring a row, forward passes over it.
    pub row_passes: f64,
    /// Work of answering a question, forward passes over its row; about.
    pub answer_passes: f64,
}

/// Forward passes that learning from a row takes, and measuring it. A way back costs one pass for what flows back and,
/// where every weight learns, one for the weights; frozen blocks have none. dpo asks the reference as well.
fn passes(hyper: &Hyper, stage: Stage, tuning: Tuning) -> (f64, f64) {
    let back = match tuning {
        Tuning::Full => 2.0,
        Tuning::Lora => 1.0,
        Tuning::Freeze | Tuning::None => 0.0,
    };
    let again = if hyper.gradient_checkpointing { 1.0 } else { 0.0 };
    let reference = if stage == Stage::Dpo { 1.0 } else { 0.0 };
    (1.0 + back + again + reference, 1.0 + reference)
}

/// So many rows, or fewer where a most is set; 0 sets none.
fn at_most(rows: u64, most: u64) -> u64 {
    if most == 0 { rows } else { rows.min(most) }
}

/// How many of so many wished fit into a budget, but at least a few.
fn within(budget: u64, wished: u64) -> u64 {
    budget.clamp(wished.min(LEAST), wished)
}

impl Measuring {
    /// What a run of these settings measures.
    ///
    /// The draw has [`Hyper::max_eval_samples`] rows at most, and all measuring takes no more than
    /// [`Hyper::eval_share`] of the run's work: where it would, measurings become rarer, at last only the first and the
    /// last are left, then the draw becomes smaller. Answers, where asked for, may take half of that share. Where nothing
    /// learns there is no work to take a share of: everything asked for is measured, once.
    pub fn plan(hyper: &Hyper, stage: Stage, tuning: Tuning, rows: Rows) -> Self {
        let total_steps = hyper.total_steps(rows.train);
        let (learned, measured) = passes(hyper, stage, tuning);
        let mean_rows = rows.train as f64 / hyper.steps_a_round(rows.train) as f64;
        let step_passes = learned * mean_rows;
        let share = hyper.eval_share;
        let budget = if share > 0.0 && tuning.learns() {
            share / (1.0 - share) * total_steps as f64 * step_passes
        } else {
            f64::INFINITY
        };
        let asked = if stage == Stage::Sft && hyper.predict_with_generate {
            at_most(rows.eval, hyper.predict_samples as u64)
        } else {
            0
        };
        let budget = if asked > 0 { budget / 2.0 } else { budget };
        let plan = Self {
            total_steps,
            rows: at_most(rows.eval, hyper.max_eval_samples),
            first: !rows.streamed || !tuning.learns(),
            every: hyper.eval_every(total_steps),
            saves: hyper.save_every(total_steps),
            all: 0,
            answers: within((budget / ANSWER) as u64, asked),
            step_passes,
            row_passes: measured,
            answer_passes: ANSWER,
        };
        let plan = plan.bounded((budget / measured) as u64, hyper.eval_steps == 0);
        let all = if hyper.eval_all_at_end && rows.eval > plan.rows { rows.eval } else { 0 };
        Self { all, ..plan }
    }

    /// The same with no more than `budget` rows measured in all.
    fn bounded(self, budget: u64, free: bool) -> Self {
        let enough = ENOUGH.min(self.rows - self.rows / 4).max(LEAST.min(self.rows)).max(1);
        let plan = if self.times().saturating_mul(enough) <= budget {
            self
        } else {
            self.rarer((budget / enough).saturating_sub(1 + u64::from(self.first)), free)
        };
        Self { rows: within(budget / plan.times().max(1), self.rows), ..plan }
    }

    /// The same with at most `between` measurings between the first and the last. Where the interval is `free`, it is
    /// that of the checkpoints, so that each is compared with the others as long as possible.
    fn rarer(self, between: u64, free: bool) -> Self {
        let inner = self.total_steps.saturating_sub(1);
        let grown =
            |every: u64, most: u64| every * (inner / most.saturating_add(1).saturating_mul(every) + 1);
        let saved = inner / self.saves;
        if between < saved || (free && saved > 0) {
            let every = grown(self.saves, between);
            return Self { every, saves: every, ..self };
        }
        Self { every: grown(self.every, between - saved), ..self }
    }

    /// Whether the draw is measured after `step`; 0 is before the first one.
    pub fn at(&self, step: u64) -> bool {
        let due = match step {
            0 => self.first,
            _ if step >= self.total_steps => step == self.total_steps,
            _ => step.is_multiple_of(self.every) || step.is_multiple_of(self.saves),
        };
        due && self.rows > 0
    }

    /// How often the draw is measured.
    pub fn times(&self) -> u64 {
        self.times_from(0)
    }

    /// How often the draw is measured after `step` and later steps.
    fn times_from(&self, step: u64) -> u64 {
        if self.rows == 0 || step > self.total_steps {
            return 0;
        }
        let inner = self.total_steps.saturating_sub(1);
        let until = |last: u64| {
            let both = self.every / gcd(self.every, self.saves) * self.saves;
            last / self.every + last / self.saves - last / both
        };
        let first = u64::from(step == 0 && self.first);
        let last = u64::from(self.total_steps > 0);
        first + until(inner) - until(step.saturating_sub(1).min(inner)) + last
    }

    /// Rows still to be measured once `step` is made and nothing is measured after it yet.
    pub fn rows_from(&self, step: u64) -> u64 {
        self.times_from(step) * self.rows + self.all
    }

    /// All work of measuring, answers included, forward passes over a row.
    pub fn passes(&self) -> f64 {
        self.rows_from(0) as f64 * self.row_passes + self.answers as f64 * self.answer_passes
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn hyper(stage: Stage, tuning: Tuning, values: &[(&str, &str)]) -> Hyper {
        let values: BTreeMap<_, _> =
            values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Hyper::read(&values, stage, tuning).expect("valid")
    }

    fn sft(values: &[(&str, &str)], train: u64, eval: u64) -> Measuring {
        let rows = Rows { train, eval, streamed: train + eval >= 100_000 };
        Measuring::plan(&hyper(Stage::Sft, Tuning::Lora, values), Stage::Sft, Tuning::Lora, rows)
    }

    fn steps(plan: &Measuring) -> Vec<u64> {
        (0..=plan.total_steps + 2).filter(|step| plan.at(*step)).collect()
    }

    #[test]
    fn three_steps_on_a_hundred_thousand_rows_measure_a_few_rows_once() {
        let plan = sft(&[("max_steps", "3")], 95_000, 5_000);
        assert_eq!((steps(&plan), plan.rows, plan.times()), (vec![3], 8, 1));
        let smaller = sft(&[("max_steps", "3")], 45_000, 5_000);
        assert_eq!((steps(&smaller), smaller.rows), (vec![0, 3], 8), "the base and the end, always");
    }

    #[test]
    fn a_long_run_draws_256_rows_each_time() {
        let plan = sft(&[("num_train_epochs", "1")], 95_000, 5_000);
        assert_eq!((plan.rows, plan.first, plan.all), (256, false, 0));
        assert_eq!(plan.times() as usize, steps(&plan).len());
        assert!(plan.times() > 10, "ten times in a run, and where it is saved");
        assert_eq!(sft(&[("max_eval_samples", "0"), ("eval_share", "0")], 95_000, 5_000).rows, 5_000);
        let all = sft(&[("eval_all_at_end", "true")], 95_000, 5_000);
        assert_eq!((all.rows, all.all, all.rows_from(all.total_steps)), (256, 5_000, 5_256));
        assert_eq!(sft(&[("eval_all_at_end", "true")], 200, 20).all, 0, "the draw has them all");
    }

    #[test]
    fn a_small_run_is_measured_as_ever() {
        // 38 rows, 2 of them held out, 3 rounds of 9 steps.
        let plan = sft(&[("num_train_epochs", "3")], 36, 2);
        assert_eq!((plan.total_steps, plan.rows, plan.every, plan.saves), (27, 2, 3, 7));
        assert_eq!(steps(&plan), [0, 3, 6, 7, 9, 12, 14, 15, 18, 21, 24, 27]);
    }

    #[test]
    fn what_does_not_fit_becomes_rarer_before_it_becomes_smaller() {
        let plan = sft(&[("max_steps", "100")], 2_000, 256);
        // 800 passes of learning, 88 of measuring: the two that always are, 44 rows each.
        assert_eq!((steps(&plan), plan.rows), (vec![0, 100], 44));
        let plan = sft(&[("max_steps", "200"), ("eval_steps", "10")], 2_000, 256);
        assert_eq!((steps(&plan), plan.rows), (vec![0, 50, 100, 150, 200], 35), "where it is saved");
        let plan = sft(&[("max_steps", "400"), ("eval_steps", "10"), ("save_steps", "400")], 2_000, 256);
        assert!(plan.every.is_multiple_of(10) && plan.times() > 8, "{plan:?}");
        let asked = sft(&[("max_steps", "400"), ("eval_steps", "10"), ("eval_share", "0")], 2_000, 256);
        assert_eq!((asked.every, asked.rows, asked.times()), (10, 256, 41));
    }

    #[test]
    fn answers_share_the_bound() {
        let values = [("predict_with_generate", "true"), ("num_train_epochs", "3")];
        assert_eq!(sft(&values, 95, 5).answers, 5, "as few are always answered");
        assert_eq!(sft(&values, 950, 50).answers, 39);
        assert_eq!(sft(&values, 95_000, 5_000).answers, 64);
        assert_eq!(sft(&[("num_train_epochs", "3")], 95_000, 5_000).answers, 0);
        let short = sft(&[values[0], ("max_steps", "3")], 95_000, 5_000);
        assert_eq!((short.answers, short.rows), (8, 8));
    }

    #[test]
    fn nothing_held_out_is_never_measured() {
        let plan = sft(&[("dev_ratio", "0"), ("eval_all_at_end", "true")], 100, 0);
        assert_eq!((steps(&plan), plan.times(), plan.rows_from(0)), (vec![], 0, 0));
        let rows = Rows { train: 50, eval: 0, streamed: false };
        let ppo = hyper(Stage::Ppo, Tuning::Lora, &[]);
        assert_eq!(Measuring::plan(&ppo, Stage::Ppo, Tuning::Lora, rows).passes(), 0.0);
    }

    #[test]
    fn s_160_where_nothing_learns_everything_is_measured_once() {
        let plan = |values: &[(&str, &str)], eval| {
            let rows = Rows { train: 0, eval, streamed: eval >= 100_000 };
            Measuring::plan(&hyper(Stage::Sft, Tuning::None, values), Stage::Sft, Tuning::None, rows)
        };
        let all = plan(&[("predict_samples", "0")], 150_000);
        assert_eq!((steps(&all), all.rows, all.answers, all.all), (vec![0], 150_000, 150_000, 0));
        let some = plan(&[("max_eval_samples", "20"), ("predict_samples", "5")], 300);
        assert_eq!((steps(&some), some.rows, some.answers, some.total_steps), (vec![0], 20, 5, 0));
        assert_eq!(plan(&[("predict_with_generate", "false")], 300).answers, 0);
    }

    proptest! {
        /// Whatever is set, measuring keeps to its share but for the few rows that are always measured, and counting
        /// agrees with looking.
        #[test]
        fn measuring_keeps_to_its_share(
            train in 1_u64..600, eval in 0_u64..900, limit in 0_u64..400, every in 0_u64..60, saves in 0_u64..60,
            most in 0_u64..400, share in 1_u64..60, stage in 0_usize..4, generate: bool, streamed: bool,
        ) {
            let stage = [Stage::Pt, Stage::Sft, Stage::Rm, Stage::Dpo][stage];
            let generate = generate && stage == Stage::Sft;
            let text = |n: u64| n.to_string();
            let share = share as f64 / 100.0;
            let typed = [
                ("max_steps", text(limit)), ("eval_steps", text(every)), ("save_steps", text(saves)),
                ("max_eval_samples", text(most)), ("eval_share", share.to_string()),
                ("predict_with_generate", generate.to_string()),
            ];
            let values: Vec<(&str, &str)> = typed.iter().map(|(key, value)| (*key, value.as_str())).collect();
            let hyper = hyper(stage, Tuning::Lora, &values);
            let plan = Measuring::plan(&hyper, stage, Tuning::Lora, Rows { train, eval, streamed });
            let seen = steps(&plan);
            prop_assert_eq!(seen.len() as u64, plan.times());
            for step in 0..=plan.total_steps + 1 {
                let left = seen.iter().filter(|at| **at >= step).count() as u64;
                prop_assert_eq!(plan.rows_from(step), left * plan.rows);
            }
            let learning = plan.total_steps as f64 * plan.step_passes;
            let always = 2.0 * LEAST as f64 * plan.row_passes + if generate { LEAST as f64 * ANSWER } else { 0.0 };
            prop_assert!(plan.passes() <= share / (1.0 - share) * learning + always + 1e-6);
            let wished = if most == 0 { eval } else { eval.min(most) };
            prop_assert!((wished.min(LEAST)..=wished).contains(&plan.rows));
            prop_assert!(eval == 0 || plan.at(plan.total_steps));
        }
    }
}
