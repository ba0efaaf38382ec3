//! How a run went by its own numbers: what was measured before, what of the model that stands for it.

use contract::Stage;
use contract::checkpoint::chosen;

use crate::feed::{Feed, Point};

/// What tells how a run went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Loss over held-out rows.
    #[default]
    EvalLoss,
    /// Loss over the rows it learns from, where nothing was held out or measured twice.
    TrainLoss,
    /// Reward of its answers (ppo): higher is better.
    Reward,
}

/// Which way it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// Better than before.
    Better,
    /// About as before.
    Same,
    /// Worse than before.
    Worse,
    /// Far worse: the loss burst.
    Burst,
    /// The last measurement was no finite number.
    Lost,
}

/// How a run went.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    /// Which way; `None`: there is nothing to compare.
    pub(crate) course: Option<Course>,
    /// By what.
    pub(crate) measure: Measure,
    /// First value; of the eval loss the one before training.
    pub(crate) before: f64,
    /// Value of the checkpoint that stands for an ended run, where it was measured; else the last value.
    pub(crate) after: f64,
    /// Step of `after`.
    pub(crate) step: u64,
    /// Step and value of a later, worse measurement.
    pub(crate) later: Option<(u64, f64)>,
    /// Step of the newest checkpoint.
    pub(crate) saved: Option<u64>,
    /// Whether the checkpoint that stands for the run was not measured although others were.
    pub(crate) saved_unmeasured: bool,
    /// Whether no rows were held out.
    pub(crate) nothing_held_out: bool,
    /// Whether held-out rows were measured, but not before training.
    pub(crate) base_unmeasured: bool,
}

/// Share of a value within which another counts as the same: held-out rows are the same ones each time, steps are not.
const SAME: (f64, f64) = (0.01, 0.05);
/// A loss this many times as high as before has burst.
const BURST: f64 = 1.5;

fn course(measure: Measure, before: f64, after: f64) -> Course {
    let same = if measure == Measure::EvalLoss { SAME.0 } else { SAME.1 } * before.abs();
    let gain = if measure == Measure::Reward { after - before } else { before - after };
    match gain {
        gain if gain > same => Course::Better,
        gain if gain >= -same => Course::Same,
        _ if measure != Measure::Reward && before > 0.0 && after > BURST * before => Course::Burst,
        _ => Course::Worse,
    }
}

/// Means of both ends of a noisy curve, and its last step; `None` with fewer than two points.
fn ends(points: &[Point]) -> Option<(f64, f64, u64)> {
    let last = points.last().filter(|_| points.len() > 1)?;
    let count = (points.len() / 10).clamp(1, 20);
    let mean = |part: &[Point]| part.iter().map(|point| point.loss / count as f64).sum::<f64>();
    Some((mean(&points[..count]), mean(&points[points.len() - count..]), last.step))
}

/// Judges a run. `best`: whether the checkpoint of the lowest eval loss stands for it (S-182); `ended`: whether it is
/// over, so that a checkpoint stands for it at all.
pub(crate) fn judge(feed: &Feed, stage: Stage, best: bool, ended: bool) -> Verdict {
    let stands = chosen(&feed.checkpoints, best).filter(|_| ended);
    let mut verdict = Verdict {
        saved: feed.checkpoints.iter().map(|one| one.step).max(),
        base_unmeasured: feed.eval.first().is_some_and(|first| first.step > 0),
        nothing_held_out: stage != Stage::Ppo
            && feed.setup.as_ref().is_some_and(|setup| setup.eval_rows == 0),
        ..Verdict::default()
    };
    let noisy = |verdict: &mut Verdict, measure, points: &[Point]| {
        if let Some((before, after, step)) = ends(points) {
            let course = Some(course(measure, before, after));
            *verdict = Verdict { course, measure, before, after, step, ..verdict.clone() };
        }
    };
    match feed.eval.as_slice() {
        _ if stage == Stage::Ppo => {
            let none = Vec::new();
            noisy(&mut verdict, Measure::Reward, feed.metrics.get("reward").unwrap_or(&none));
        }
        [first, .., last] if first.step == 0 => {
            let measured = stands.and_then(|one| one.eval_loss.map(|loss| Point { step: one.step, loss }));
            let after = measured.filter(|point| point.loss.is_finite()).unwrap_or(*last);
            verdict.course = Some(course(Measure::EvalLoss, first.loss, after.loss));
            (verdict.before, verdict.after, verdict.step) = (first.loss, after.loss, after.step);
            let later = last.step > after.step && last.loss > after.loss;
            verdict.later = later.then_some((last.step, last.loss));
            verdict.saved_unmeasured = stands.is_some() && measured.is_none();
        }
        _ => noisy(&mut verdict, Measure::TrainLoss, &feed.train),
    }
    let (train, eval) = (feed.train.last(), feed.eval.last());
    let after = |lost: u64, last: Option<&Point>| last.is_none_or(|last| lost > last.step).then_some(lost);
    let lost = feed.holes.last().and_then(|step| after(*step, train));
    let lost =
        lost.or_else(|| feed.eval_lost.filter(|_| stage != Stage::Ppo).and_then(|step| after(step, eval)));
    // A checkpoint from before the loss went astray still stands.
    if let Some(step) = lost.filter(|_| stands.is_none_or(|one| one.mark.is_none())) {
        (verdict.course, verdict.step) = (Some(Course::Lost), step);
    }
    verdict
}

#[cfg(test)]
mod tests {
    use contract::checkpoint::CheckpointView;

    use super::*;
    use crate::feed::Setup;

    fn points(values: &[(u64, f64)]) -> Vec<Point> {
        values.iter().map(|(step, loss)| Point { step: *step, loss: *loss }).collect()
    }

    fn saved(step: u64, eval_loss: Option<f64>) -> CheckpointView {
        CheckpointView { step, eval_loss, mark: None, digest: String::new() }
    }

    fn feed(eval: &[(u64, f64)], checkpoints: Vec<CheckpointView>) -> Feed {
        Feed { eval: points(eval), checkpoints, ..Feed::default() }
    }

    fn sft(feed: &Feed, ended: bool) -> Verdict {
        judge(feed, Stage::Sft, true, ended)
    }

    #[test]
    fn a_burst_is_no_success_however_it_ended() {
        let feed = feed(&[(0, 4.5), (3, 35.37)], vec![saved(3, Some(35.37))]);
        for ended in [true, false] {
            let verdict = sft(&feed, ended);
            assert_eq!((verdict.course, verdict.after, verdict.saved), (Some(Course::Burst), 35.37, Some(3)));
        }
    }

    #[test]
    fn s_182_an_ended_run_is_judged_by_the_checkpoint_that_stands_for_it() {
        let feed = feed(&[(0, 4.5), (63, 2.9), (84, 5.1)], vec![saved(84, Some(5.1)), saved(63, Some(2.9))]);
        let verdict = sft(&feed, true);
        assert_eq!(
            (verdict.course, verdict.step, verdict.later),
            (Some(Course::Better), 63, Some((84, 5.1)))
        );
        assert_eq!(judge(&feed, Stage::Sft, false, true).course, Some(Course::Worse), "the newest stands");
        assert_eq!(
            sft(&feed, false).course,
            Some(Course::Worse),
            "while it learns the last measurement tells"
        );
    }

    #[test]
    fn what_was_saved_at_a_stop_is_judged_by_the_last_measurement() {
        let feed = feed(&[(0, 4.5), (20, 4.49)], vec![saved(25, None)]);
        let verdict = sft(&feed, true);
        assert_eq!((verdict.course, verdict.step, verdict.saved_unmeasured), (Some(Course::Same), 20, true));
    }

    #[test]
    fn without_held_out_rows_the_train_loss_is_all_there_is() {
        let train = points(&[(1, 4.0), (2, 3.9), (3, 9.0)]);
        let setup = Some(Setup { eval_rows: 0, ..Setup::default() });
        let feed = Feed { train, setup, ..Feed::default() };
        let verdict = sft(&feed, true);
        assert_eq!((verdict.measure, verdict.course), (Measure::TrainLoss, Some(Course::Burst)));
        assert!(verdict.nothing_held_out && verdict.saved.is_none());
        assert_eq!(sft(&Feed::default(), true).course, None);
    }

    #[test]
    fn an_eval_loss_that_was_not_measured_before_training_is_no_measure_of_it() {
        let mut feed = feed(&[(100, 2.0), (200, 2.5)], vec![saved(100, Some(2.0))]);
        feed.train = points(&[(1, 4.0), (200, 2.0)]);
        let verdict = sft(&feed, true);
        assert_eq!((verdict.measure, verdict.course), (Measure::TrainLoss, Some(Course::Better)));
        assert!(verdict.base_unmeasured);
    }

    #[test]
    fn a_policy_is_judged_by_its_reward() {
        let mut feed = feed(&[(0, 1.0), (9, 9.0)], Vec::new());
        feed.metrics.insert("reward".to_owned(), points(&[(1, -1.0), (2, 0.5)]));
        let verdict = judge(&feed, Stage::Ppo, true, true);
        assert_eq!((verdict.measure, verdict.course), (Measure::Reward, Some(Course::Better)));
    }

    #[test]
    fn a_loss_that_is_no_number_at_the_end_is_said() {
        let mut feed = feed(&[(0, 4.5)], Vec::new());
        (feed.train, feed.holes) = (points(&[(1, 4.0)]), vec![2, 3]);
        assert_eq!((sft(&feed, true).course, sft(&feed, true).step), (Some(Course::Lost), 3));
        feed.train.push(Point { step: 4, loss: 4.0 });
        assert_eq!(sft(&feed, true).course, Some(Course::Same), "it found back");
        feed.eval_lost = Some(4);
        assert_eq!(sft(&feed, true).course, Some(Course::Lost));
    }
}
