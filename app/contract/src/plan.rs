//! How long a run will be, before it starts.

use crate::dataset::Mixing;
use crate::health::HealthReport;
use crate::params::{Hyper, held_out};
use crate::sizes::Sizes;
use crate::stage::Stage;

/// Rows from which on training begins before all of them are prepared.
pub const LARGE: u64 = 100_000;

/// Rows, rounds and steps of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Examples learned from in a round: rows, or blocks in pre-training once they are counted.
    pub rows: u64,
    /// Examples held out.
    pub held: u64,
    /// Rounds.
    pub rounds: f64,
    /// Optimizer steps.
    pub steps: u64,
    /// Whether a step limit decides, not the rounds.
    pub limited: bool,
    /// Whether the number of steps is known (plain text has to be cut into blocks first).
    pub exact: bool,
    /// Whether `rows` are blocks of plain text.
    pub blocks: bool,
}

impl Plan {
    /// Of a run over datasets with so many usable rows each.
    pub fn of(usable: &[u64], hyper: &Hyper, stage: Stage) -> Self {
        let most = if hyper.max_samples > 0 { hyper.max_samples } else { u64::MAX };
        let used: u64 = usable.iter().map(|rows| rows.min(&most)).sum();
        let drawn = usable.len() > 1 && Mixing::parse(&hyper.mixing) != Some(Mixing::Concatenate);
        let held = held_out(used, hyper.dev_ratio);
        Self {
            rows: used - held,
            held,
            rounds: hyper.num_train_epochs,
            steps: hyper.total_steps(used - held),
            limited: hyper.max_steps > 0,
            exact: hyper.max_steps > 0 || (stage != Stage::Pt && !drawn),
            blocks: false,
        }
    }

    /// The same once the examples were looked at: plain text is counted in blocks.
    #[must_use]
    pub fn over(self, examples: &Examples, hyper: &Hyper, stage: Stage) -> Self {
        if stage != Stage::Pt || examples.count == 0 {
            return self;
        }
        let held = held_out(examples.count, hyper.dev_ratio);
        let rows = examples.count - held;
        let exact = self.limited || !examples.sampled;
        Self { rows, held, steps: hyper.total_steps(rows), exact, blocks: true, ..self }
    }
}

/// The examples of a run, from the reports on its datasets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Examples {
    /// Their sizes, of all or of some of them.
    pub sizes: Sizes,
    /// How many there are in a round, held-out ones included.
    pub count: u64,
    /// Whether only some of them were looked at.
    pub sampled: bool,
}

impl Examples {
    /// Those of reports, one for each dataset.
    pub fn of<'r>(reports: impl IntoIterator<Item = &'r HealthReport>, hyper: &Hyper) -> Self {
        let mut all = Self::default();
        for report in reports {
            all.sizes.merge(&report.sizes);
            let rows = report.rows * report.every;
            let share = match hyper.max_samples {
                most if most > 0 && rows > most => most as f64 / rows as f64,
                _ => 1.0,
            };
            all.count += ((report.examples * report.every) as f64 * share).round() as u64;
            all.sampled |= report.every > 1 || share < 1.0;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::Tuning;

    fn hyper(pairs: &[(&str, &str)]) -> Hyper {
        let values = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Hyper::read(&values, Stage::Sft, Tuning::Lora).expect("valid")
    }

    fn report(rows: u64, examples: u64, every: u64) -> HealthReport {
        let mut sizes = Sizes::default();
        (0..examples).for_each(|_| sizes.add(32, 32));
        HealthReport { rows, used: rows, examples, sizes, ..HealthReport::new(Stage::Pt, every) }
    }

    #[test]
    fn rows_times_rounds_are_the_steps_that_will_be_made() {
        let hyper =
            hyper(&[("dev_ratio", "0"), ("num_train_epochs", "3"), ("per_device_train_batch_size", "4")]);
        let plan = Plan::of(&[100], &hyper, Stage::Sft);
        assert_eq!((plan.rows, plan.held, plan.steps, plan.limited, plan.exact), (100, 0, 75, false, true));
    }

    #[test]
    fn held_out_rows_and_a_limit_are_counted() {
        let plan = Plan::of(&[50], &hyper(&[("dev_ratio", "0.1"), ("max_steps", "7")]), Stage::Sft);
        assert_eq!((plan.rows, plan.held, plan.steps, plan.limited), (45, 5, 7, true));
        let values = [("dev_ratio", "0.12"), ("per_device_train_batch_size", "1")];
        let plan = Plan::of(&[20], &hyper(&values), Stage::Sft);
        assert_eq!((plan.rows, plan.steps), (17, 51), "as the trainer counts: 3 of 20 are held out");
    }

    #[test]
    fn datasets_read_one_after_the_other_add_up_and_drawn_ones_promise_nothing() {
        let of = |mixing: &str| {
            let hyper = hyper(&[("dev_ratio", "0"), ("max_samples", "40"), ("mixing", mixing)]);
            Plan::of(&[100, 30], &hyper, Stage::Sft)
        };
        assert_eq!((of("concatenate").rows, of("concatenate").exact), (70, true));
        assert!(!of("until_longest").exact);
    }

    #[test]
    fn plain_text_is_counted_in_blocks_once_it_was_looked_at() {
        let hyper = hyper(&[("dev_ratio", "0.1"), ("per_device_train_batch_size", "4")]);
        let plan = Plan::of(&[50], &hyper, Stage::Pt);
        assert!(!plan.exact && !plan.blocks);
        let all = Examples::of([&report(50, 20, 1)], &hyper);
        let known = plan.over(&all, &hyper, Stage::Pt);
        assert_eq!((known.rows, known.held, known.steps, known.exact, known.blocks), (18, 2, 15, true, true));
        let some = Examples::of([&report(50, 20, 10)], &hyper);
        assert_eq!((some.count, some.sampled, some.sizes.count), (200, true, 20));
        assert!(!plan.over(&some, &hyper, Stage::Pt).exact);
        assert_eq!(plan.over(&all, &hyper, Stage::Sft), plan, "rows are rows");
    }

    #[test]
    fn the_first_rows_alone_have_their_share_of_the_examples() {
        let all = Examples::of([&report(100, 40, 1), &report(10, 4, 1)], &hyper(&[("max_samples", "50")]));
        assert_eq!((all.count, all.sampled), (24, true));
    }
}
