//! A run's events folded into what its page shows. Pure: the server draws with it, the browser goes on.

use std::collections::BTreeMap;

use contract::Problem;
use contract::checkpoint::CheckpointView;
use contract::event::{DatasetRows, Kind, Measure, What};
use contract::results::Results;
use contract::wire::Numbered;

/// A point of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    /// Step.
    pub(crate) step: u64,
    /// Loss.
    pub(crate) loss: f64,
}

/// The last step's numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Latest {
    /// Step.
    pub(crate) step: u64,
    /// Loss.
    pub(crate) loss: Option<f64>,
    /// Learning rate.
    pub(crate) learning_rate: f64,
    /// Gradient norm.
    pub(crate) grad_norm: Option<f64>,
    /// Rounds so far.
    pub(crate) epoch: f64,
    /// Tokens a second.
    pub(crate) tokens_per_second: f64,
    /// Memory of the worker, bytes.
    pub(crate) memory_bytes: u64,
    /// Seconds left.
    pub(crate) remaining_s: Option<f64>,
}

/// What the worker found when it began.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Setup {
    /// Device.
    pub(crate) device: String,
    /// Weights that learn.
    pub(crate) trainable: u64,
    /// All weights.
    pub(crate) parameters: u64,
    /// Rows trained on.
    pub(crate) train_rows: u64,
    /// Rows held out.
    pub(crate) eval_rows: u64,
    /// What each dataset gave.
    pub(crate) datasets: Vec<DatasetRows>,
}

/// A measuring on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Underway {
    /// How it is measured.
    pub(crate) by: Measure,
    /// Rows measured so far.
    pub(crate) done: u64,
    /// Rows in all.
    pub(crate) of: u64,
}

/// An answer given on the way.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    /// Step it was given after.
    pub(crate) step: u64,
    /// The prompt.
    pub(crate) prompt: String,
    /// The answer.
    pub(crate) answer: String,
    /// Its numbers by name.
    pub(crate) scores: BTreeMap<String, f64>,
    /// Why there is no answer.
    pub(crate) problem: Option<Problem>,
}

/// Everything known of a run from its events.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Feed {
    /// The next ordinal wanted.
    pub(crate) next: u64,
    /// Steps of the whole run; 0 until known.
    pub(crate) total_steps: u64,
    /// What the worker does before its first step.
    pub(crate) phase: Option<String>,
    /// Set once training began.
    pub(crate) setup: Option<Setup>,
    /// Set while held-out rows are measured.
    pub(crate) measuring: Option<Underway>,
    /// Train loss, ascending steps.
    pub(crate) train: Vec<Point>,
    /// Steps whose train loss was no finite number, ascending.
    pub(crate) holes: Vec<u64>,
    /// Eval loss, ascending steps.
    pub(crate) eval: Vec<Point>,
    /// Step of the last measurement, when its eval loss was no finite number.
    pub(crate) eval_lost: Option<u64>,
    /// Numbers of the stage by name, ascending steps.
    pub(crate) metrics: BTreeMap<String, Vec<Point>>,
    /// The newest answers given on the way, newest first.
    pub(crate) samples: Vec<Sample>,
    /// The last step.
    pub(crate) latest: Option<Latest>,
    /// The checkpoints that are there, newest first: the server's list, not a fold of events, for old ones are removed.
    pub(crate) checkpoints: Vec<CheckpointView>,
    /// Lines for the log: level and text.
    pub(crate) log: Vec<(String, String)>,
    /// Seconds the last attempt took, once finished.
    pub(crate) seconds: Option<f64>,
    /// The numbers of the run, once everything was made and measured.
    pub(crate) results: Option<Results>,
}

/// Before the name of a number that was measured on held-out rows.
pub(crate) const HELD_OUT: &str = "eval ";
/// Log lines kept.
const LOG_LINES: usize = 500;
/// Answers kept.
const SAMPLES: usize = 8;

impl Feed {
    /// Folds a list of events.
    pub(crate) fn of(events: &[Numbered]) -> Self {
        let mut feed = Self::default();
        events.iter().for_each(|event| {
            feed.take(event);
        });
        feed
    }

    /// Takes an event. False when it is not the next one: an old one is skipped, a later one means a gap and
    /// the caller must ask again from [`Feed::next`].
    pub(crate) fn take(&mut self, event: &Numbered) -> bool {
        if event.ord != self.next {
            return false;
        }
        self.next += 1;
        if let What::Known(kind) = &event.event.what {
            self.apply(kind);
        }
        true
    }

    fn apply(&mut self, kind: &Kind) {
        // Answers and lines for the log are given while it is measured; everything else comes after it.
        if !matches!(kind, Kind::Sample { .. } | Kind::Log { .. }) {
            self.measuring = None;
        }
        match kind {
            Kind::Preparing { phase } => self.phase = Some(phase.clone()),
            Kind::Started {
                from_step,
                total_steps,
                device,
                trainable_params,
                total_params,
                train_rows,
                eval_rows,
                datasets,
                ..
            } => {
                self.total_steps = *total_steps;
                self.results = None;
                // A resumed attempt makes the steps after its checkpoint again.
                self.train.retain(|point| point.step <= *from_step);
                self.holes.retain(|step| step <= from_step);
                self.eval_lost = self.eval_lost.filter(|step| step <= from_step);
                self.eval.retain(|point| point.step <= *from_step);
                self.metrics.values_mut().for_each(|points| points.retain(|point| point.step <= *from_step));
                self.samples.retain(|sample| sample.step <= *from_step);
                self.setup = Some(Setup {
                    device: device.clone(),
                    trainable: *trainable_params,
                    parameters: *total_params,
                    train_rows: *train_rows,
                    eval_rows: *eval_rows,
                    datasets: datasets.clone(),
                });
            }
            Kind::Step {
                step,
                loss,
                learning_rate,
                grad_norm,
                epoch,
                tokens_per_second,
                memory_bytes,
                remaining_s,
                metrics,
            } => {
                self.trained(*step, *loss);
                self.measured(*step, metrics, "");
                self.latest = Some(Latest {
                    step: *step,
                    loss: *loss,
                    learning_rate: *learning_rate,
                    grad_norm: *grad_norm,
                    epoch: *epoch,
                    tokens_per_second: *tokens_per_second,
                    memory_bytes: *memory_bytes,
                    remaining_s: *remaining_s,
                });
            }
            Kind::Eval { step, eval_loss, metrics } => {
                let loss = eval_loss.filter(|loss| loss.is_finite());
                // Measuring answers has no loss and leaves the last one.
                if loss.is_some() {
                    push(&mut self.eval, *step, loss);
                }
                self.eval_lost = (loss.is_none() && metrics.is_empty()).then_some(*step);
                self.measured(*step, metrics, HELD_OUT);
            }
            Kind::Measuring { by, done, of, remaining_s, .. } => {
                self.measuring = Some(Underway { by: *by, done: *done, of: *of });
                if let Some(latest) = &mut self.latest {
                    latest.remaining_s = *remaining_s;
                }
            }
            Kind::Sample { step, prompt, answer, scores, problem, .. } => {
                // A resumed attempt gives the answers again that a stop broke off.
                self.samples.retain(|sample| sample.step != *step || sample.prompt != *prompt);
                self.samples.truncate(SAMPLES - 1);
                let (prompt, answer) = (prompt.clone(), answer.clone());
                let (scores, problem) = (scores.clone(), problem.clone());
                self.samples.insert(0, Sample { step: *step, prompt, answer, scores, problem });
            }
            Kind::Log { level, text } => self.say(level, text.clone()),
            Kind::Results { results } => self.results = Some(results.clone()),
            Kind::Checkpoint { .. } | Kind::Stopped { .. } => {}
            Kind::Finished { seconds, .. } => self.seconds = Some(*seconds),
            Kind::Failed { problem, .. } => self.say("error", problem.to_string()),
        }
    }

    /// Adds the numbers of a stage; those of held-out rows carry a prefix.
    fn measured(&mut self, step: u64, metrics: &BTreeMap<String, f64>, prefix: &str) {
        for (name, value) in metrics {
            push(self.metrics.entry(format!("{prefix}{name}")).or_default(), step, Some(*value));
        }
    }

    fn trained(&mut self, step: u64, loss: Option<f64>) {
        self.holes.retain(|hole| *hole < step);
        let loss = loss.filter(|loss| loss.is_finite());
        if loss.is_none() {
            self.holes.push(step);
        }
        push(&mut self.train, step, loss);
    }

    fn say(&mut self, level: &str, text: String) {
        if self.log.len() == LOG_LINES {
            self.log.remove(0);
        }
        self.log.push((level.to_owned(), text));
    }
}

/// Adds a point; one that repeats or precedes the last step replaces what it repeats.
fn push(points: &mut Vec<Point>, step: u64, loss: Option<f64>) {
    while points.last().is_some_and(|last| last.step >= step) {
        points.pop();
    }
    if let Some(loss) = loss.filter(|loss| loss.is_finite()) {
        points.push(Point { step, loss });
    }
}

#[cfg(test)]
mod tests {
    use contract::event::Event;

    use super::*;

    fn numbered(ord: u64, kind: Kind) -> Numbered {
        Numbered { ord, attempt: 1, event: Event { seq: ord, at_ms: 0, what: kind.into() } }
    }

    fn step(step: u64, loss: f64) -> Kind {
        Kind::Step {
            step,
            loss: Some(loss),
            learning_rate: 1e-4,
            grad_norm: None,
            epoch: 0.1,
            tokens_per_second: 10.0,
            memory_bytes: 1,
            remaining_s: None,
            metrics: Default::default(),
        }
    }

    fn started(from_step: u64) -> Kind {
        Kind::Started {
            from_step,
            total_steps: 9,
            device: "cpu".to_owned(),
            trainable_params: 1,
            total_params: 2,
            train_rows: 3,
            eval_rows: 0,
            dropped_rows: 0,
            cut_rows: 0,
            datasets: Vec::new(),
            worker: String::new(),
        }
    }

    #[test]
    fn an_event_that_was_seen_is_not_drawn_twice() {
        let mut feed = Feed::of(&[numbered(0, step(1, 3.0))]);
        assert!(!feed.take(&numbered(0, step(1, 3.0))));
        assert_eq!((feed.train.len(), feed.next), (1, 1));
    }

    #[test]
    fn a_gap_is_refused_and_the_next_ordinal_stays() {
        let mut feed = Feed::of(&[numbered(0, step(1, 3.0))]);
        assert!(!feed.take(&numbered(2, step(3, 2.0))));
        assert_eq!(feed.next, 1);
        assert!(feed.take(&numbered(1, step(2, 2.5))));
        assert_eq!(feed.train.len(), 2);
    }

    #[test]
    fn a_resumed_attempt_draws_its_steps_once() {
        let feed = Feed::of(&[
            numbered(0, started(0)),
            numbered(1, step(1, 3.0)),
            numbered(2, step(2, 2.0)),
            numbered(3, started(1)),
            numbered(4, step(2, 2.0)),
        ]);
        assert_eq!(feed.train.iter().map(|point| point.step).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn only_the_newest_state_of_a_measuring_is_kept_until_it_is_over() {
        let measuring =
            |done| Kind::Measuring { step: 1, by: Measure::Loss, done, of: 256, remaining_s: Some(40.0) };
        let mut feed = Feed::of(&[numbered(0, step(1, 3.0)), numbered(1, measuring(0))]);
        assert!(feed.take(&numbered(2, measuring(128))));
        assert_eq!(feed.measuring, Some(Underway { by: Measure::Loss, done: 128, of: 256 }));
        assert_eq!(feed.latest.as_ref().and_then(|latest| latest.remaining_s), Some(40.0));
        feed.take(&numbered(3, Kind::Log { level: "info".to_owned(), text: "x".to_owned() }));
        assert!(feed.measuring.is_some());
        feed.take(&numbered(4, Kind::Eval { step: 1, eval_loss: Some(2.0), metrics: Default::default() }));
        assert_eq!(feed.measuring, None);
        let stopped = Feed::of(&[numbered(0, measuring(8)), numbered(1, Kind::Stopped { step: 1 })]);
        assert_eq!(stopped.measuring, None);
    }

    #[test]
    fn an_answer_given_again_takes_the_place_of_the_first() {
        let sample = |prompt: &str, answer: &str| Kind::Sample {
            step: 4,
            prompt: prompt.to_owned(),
            answer: answer.to_owned(),
            reference: None,
            scores: Default::default(),
            problem: None,
        };
        let feed = Feed::of(&[
            numbered(0, sample("a", "1")),
            numbered(1, started(4)),
            numbered(2, sample("a", "1")),
            numbered(3, sample("b", "2")),
        ]);
        let prompts: Vec<_> = feed.samples.iter().map(|sample| sample.prompt.as_str()).collect();
        assert_eq!(prompts, ["b", "a"]);
    }

    #[test]
    fn measuring_answers_at_the_end_leaves_the_last_eval_loss() {
        let eval = |step, eval_loss, metrics| Kind::Eval { step, eval_loss, metrics };
        let answered = BTreeMap::from([("rouge-l".to_owned(), 40.0)]);
        let events = [
            eval(0, Some(4.0), BTreeMap::new()),
            eval(9, Some(2.0), BTreeMap::new()),
            eval(9, None, answered),
        ];
        let feed = Feed::of(
            &events.into_iter().enumerate().map(|(ord, kind)| numbered(ord as u64, kind)).collect::<Vec<_>>(),
        );
        assert_eq!(feed.eval.iter().map(|point| point.step).collect::<Vec<_>>(), [0, 9]);
        assert_eq!(feed.eval_lost, None);
    }

    #[test]
    fn losses_that_are_no_numbers_are_remembered_by_their_step() {
        let lost = |number| {
            let mut made = step(number, 0.0);
            if let Kind::Step { loss, .. } = &mut made {
                *loss = None;
            }
            made
        };
        let feed = Feed::of(&[
            numbered(0, step(1, 3.0)),
            numbered(1, lost(2)),
            numbered(2, lost(3)),
            numbered(3, started(2)),
        ]);
        assert_eq!((feed.train.len(), feed.holes), (1, vec![2]));
    }

    #[test]
    fn a_loss_that_is_no_number_leaves_a_hole() {
        let mut points = vec![Point { step: 1, loss: 2.0 }];
        push(&mut points, 2, Some(f64::NAN));
        push(&mut points, 3, None);
        assert_eq!(points.len(), 1);
    }
}
