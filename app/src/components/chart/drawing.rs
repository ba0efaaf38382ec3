//! Everything one drawing of the chart needs, from a feed and a width. Pure, so that what is drawn can be compared with
//! what is true.

use std::fmt::Write as _;

use super::range::range;
use super::scale::{Scale, label};
use super::smooth::{smooth, thin};
use crate::feed::{Feed, Point};
use crate::words::amounts::num;

/// Height of the chart.
pub(crate) const HEIGHT: f64 = 320.0;
/// Free space at the top.
pub(crate) const TOP: f64 = 10.0;
/// Space for the labels below.
pub(crate) const BOTTOM: f64 = 26.0;
/// Least space for the labels at the left.
const LEFT: f64 = 44.0;
/// Least space at the right, where half of the last label stands.
const RIGHT: f64 = 12.0;
/// Width of a letter of a label, about.
const LETTER: f64 = 6.6;
/// Labels of the y axis, about.
const TICKS: usize = 5;
/// Marks closer than this are drawn as one.
const APART: f64 = 44.0;
/// An eval point this close to the pointer is read before a step that is closer.
const SNAP: f64 = 6.0;

/// A point beyond the axis, drawn at its end with its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Clipped {
    /// The point; of several close by, the one farthest out.
    pub(crate) point: Point,
    /// Whether it lies above the axis.
    pub(crate) above: bool,
}

/// One drawing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Drawing {
    /// Steps to pixels.
    pub(crate) x: Scale,
    /// Losses to pixels; `None`: there is nothing to draw.
    pub(crate) y: Option<Scale>,
    /// Where the plot begins.
    pub(crate) left: f64,
    /// Where it ends.
    pub(crate) right: f64,
    /// Values the y axis shows, with their texts.
    pub(crate) ticks: Vec<(f64, String)>,
    /// Lowest value of the y axis, when that is above 0.
    pub(crate) starts_at: Option<f64>,
    /// Smoothed train loss.
    pub(crate) smoothed: Vec<Point>,
    /// Path of the train loss.
    pub(crate) raw: String,
    /// Path of the smoothed train loss.
    pub(crate) line: String,
    /// Path of the eval loss.
    pub(crate) eval: String,
    /// Train points beyond the axis.
    pub(crate) clipped: Vec<Clipped>,
    /// Pixels of steps whose loss was no finite number.
    pub(crate) holes: Vec<f64>,
    /// Steps the crosshair can stand on, ascending.
    pub(crate) stops: Vec<u64>,
}

impl Drawing {
    /// The drawing of a feed, so many pixels wide, smoothed by `weight` (0 to 0.98).
    pub(crate) fn of(feed: &Feed, width: f64, weight: f64) -> Self {
        let last = feed.train.last().into_iter().chain(feed.eval.last()).map(|point| point.step).max();
        let last = last.into_iter().chain(feed.holes.last().copied()).max().unwrap_or(1);
        let steps = feed.total_steps.max(last).max(1) as f64;
        let limits = range(&feed.train, &feed.eval);
        let y = limits.map(|limits| Scale::new(limits, (HEIGHT - BOTTOM, TOP)));
        let ticks = y.map(|y| y.ticks(TICKS)).unwrap_or_default();
        let ticks: Vec<_> = ticks.iter().map(|tick| (*tick, label(*tick, &ticks))).collect();
        let longest = ticks.iter().map(|(_, text)| text.len()).max().unwrap_or(0) as f64;
        let left = LEFT.max(14.0 + LETTER * longest);
        let right = width - RIGHT.max(LETTER * num(steps as u64).len() as f64 / 2.0);
        let x = Scale::new((0.0, steps), (left, right));
        let smoothed = smooth(&feed.train, weight);
        let buckets = (width / 2.0).max(50.0) as usize;
        let draw = |points: &[Point]| y.map(|y| path(points, &feed.holes, &x, &y)).unwrap_or_default();
        let mut stops: Vec<u64> = feed.train.iter().chain(&feed.eval).map(|point| point.step).collect();
        stops.sort_unstable();
        stops.dedup();
        Self {
            raw: draw(&thin(&feed.train, buckets)),
            line: draw(&thin(&smoothed, buckets)),
            eval: draw(&feed.eval),
            clipped: limits.map(|limits| clipped(&feed.train, limits, &x)).unwrap_or_default(),
            holes: apart(feed.holes.iter().map(|step| x.at(*step as f64))),
            starts_at: limits.map(|(low, _)| low).filter(|low| *low > 0.0),
            x,
            y,
            left,
            right,
            ticks,
            smoothed,
            stops,
        }
    }

    /// The step that a pointer at this pixel reads.
    pub(crate) fn step_at(&self, feed: &Feed, pixel: f64) -> Option<u64> {
        let wanted = self.x.value(pixel);
        let close = |point: &Point| (self.x.at(point.step as f64) - pixel).abs() <= SNAP;
        let eval = nearest(&feed.eval, wanted).filter(close);
        eval.or_else(|| nearest(&feed.train, wanted))
            .or_else(|| nearest(&feed.eval, wanted))
            .map(|point| point.step)
    }

    /// The step the crosshair moves to from `now` by `by` stops.
    pub(crate) fn moved(&self, now: Option<u64>, by: i64) -> Option<u64> {
        let last = self.stops.len().checked_sub(1)?;
        let Some(now) = now else { return self.stops.last().copied() };
        let at = self.stops.iter().position(|step| *step >= now).unwrap_or(last);
        self.stops.get(at.saturating_add_signed(by as isize).min(last)).copied()
    }
}

/// Values at a step: of the train loss, smoothed, and of the eval loss.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    /// Train loss of the step.
    pub(crate) train: Option<f64>,
    /// Smoothed train loss.
    pub(crate) smoothed: Option<f64>,
    /// Eval loss measured after the step.
    pub(crate) eval: Option<f64>,
}

impl Reading {
    /// What stands at a step.
    pub(crate) fn at(drawing: &Drawing, feed: &Feed, step: u64) -> Self {
        let of = |points: &[Point]| points.iter().find(|point| point.step == step).map(|point| point.loss);
        Self { train: of(&feed.train), smoothed: of(&drawing.smoothed), eval: of(&feed.eval) }
    }
}

/// A value's pixel; one beyond the axis stands at its end.
pub(crate) fn pixel(y: &Scale, value: f64) -> f64 {
    y.at(value).clamp(TOP, HEIGHT - BOTTOM)
}

/// Lines through points; between two of them with a hole the pen is lifted. A point alone becomes a dot.
fn path(points: &[Point], holes: &[u64], x: &Scale, y: &Scale) -> String {
    let hole = |from: u64, to: u64| {
        let next = holes.partition_point(|hole| *hole <= from);
        holes.get(next).is_some_and(|hole| *hole < to)
    };
    let begins = |index: usize| index == 0 || hole(points[index - 1].step, points[index].step);
    let mut text = String::with_capacity(points.len() * 13);
    for (index, point) in points.iter().enumerate() {
        let alone = begins(index) && (index + 1 == points.len() || begins(index + 1));
        let (pen, dot) = (if begins(index) { 'M' } else { 'L' }, if alone { "h0" } else { "" });
        // Writing to a text cannot fail.
        let _ = write!(text, "{pen}{:.1} {:.1}{dot}", x.at(point.step as f64), pixel(y, point.loss));
    }
    text
}

/// Points beyond the axis; of several close by at one end, the farthest out.
fn clipped(train: &[Point], (low, high): (f64, f64), x: &Scale) -> Vec<Clipped> {
    let mut found: Vec<Clipped> = Vec::new();
    for point in train.iter().filter(|point| point.loss > high || point.loss < low) {
        let one = Clipped { point: *point, above: point.loss > high };
        let near = |other: &&mut Clipped| {
            other.above == one.above
                && (x.at(other.point.step as f64) - x.at(point.step as f64)).abs() < APART
        };
        match found.iter_mut().rev().find(near) {
            Some(other) => {
                let (out, known) = (point.loss, other.point.loss);
                if (one.above && out > known) || (!one.above && out < known) {
                    *other = one;
                }
            }
            None => found.push(one),
        }
    }
    found
}

/// Pixels with those left out that would be drawn over the one before.
fn apart(pixels: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut kept: Vec<f64> = Vec::new();
    for pixel in pixels {
        if kept.last().is_none_or(|last| pixel - last >= SNAP) {
            kept.push(pixel);
        }
    }
    kept
}

/// The point at or nearest to a step.
fn nearest(points: &[Point], step: f64) -> Option<Point> {
    let far = |point: &Point| (point.step as f64 - step).abs();
    points.iter().copied().min_by(|a, b| far(a).total_cmp(&far(b)))
}

#[cfg(test)]
mod tests {
    use proptest::num::f64 as f64_class;
    use proptest::prelude::*;

    use super::*;

    fn feed() -> Feed {
        let train =
            (1..=40u32).map(|step| Point { step: u64::from(step), loss: 4.0 / f64::from(step) }).collect();
        let eval = vec![Point { step: 0, loss: 4.5 }, Point { step: 7, loss: 1.0 }];
        Feed { train, eval, total_steps: 40, ..Feed::default() }
    }

    /// Pixels of a path, and which of them begin a line.
    fn drawn(path: &str) -> Vec<(f64, f64, bool)> {
        let parts = path.split_inclusive(['M', 'L']).collect::<Vec<_>>();
        let pens = path.chars().filter(|letter| matches!(letter, 'M' | 'L'));
        let numbers =
            parts.iter().skip(1).map(|part| part.trim_end_matches(['M', 'L']).trim_end_matches("h0"));
        pens.zip(numbers)
            .map(|(pen, text)| {
                let (x, y) = text.split_once(' ').expect("two numbers");
                (x.parse().expect("x"), y.parse().expect("y"), pen == 'M')
            })
            .collect()
    }

    /// Whether every point of a curve that is drawn is a true one, and its extremes are among them. Half a unit of the
    /// last digit of a pixel is what writing loses.
    fn is_true(path: &str, points: &[Point], drawing: &Drawing) -> Result<(), TestCaseError> {
        let y = drawing.y.expect("an axis");
        let ends = [y.value(HEIGHT - BOTTOM), y.value(TOP)];
        let near = |a: f64, b: f64| (a - b).abs() <= 0.051;
        let expected = |point: &Point| (drawing.x.at(point.step as f64), pixel(&y, point.loss));
        let pixels = drawn(path);
        for (x, at, _) in &pixels {
            let truth =
                points.iter().map(expected).any(|(true_x, true_y)| near(*x, true_x) && near(*at, true_y));
            prop_assert!(truth, "({x}, {at}) is no point of the curve");
        }
        let by_loss = |a: &&Point, b: &&Point| a.loss.total_cmp(&b.loss);
        for extreme in [points.iter().min_by(by_loss), points.iter().max_by(by_loss)].into_iter().flatten() {
            let (x, at) = expected(extreme);
            prop_assert!(
                pixels.iter().any(|(px, py, _)| near(*px, x) && near(*py, at)),
                "{extreme:?} is not drawn"
            );
            let within = (ends[0]..=ends[1]).contains(&extreme.loss);
            let marked = drawing.clipped.iter().any(|one| one.point.loss == extreme.loss);
            prop_assert!(within || marked, "{extreme:?} lies beyond the axis, unmarked");
        }
        Ok(())
    }

    fn values() -> impl Strategy<Value = Vec<f64>> {
        let ordinary = proptest::collection::vec(0.0..6.0f64, 1..400);
        let signed = proptest::collection::vec(-50.0..50.0f64, 1..40);
        let any = proptest::collection::vec(
            f64_class::POSITIVE
                | f64_class::NEGATIVE
                | f64_class::NORMAL
                | f64_class::SUBNORMAL
                | f64_class::ZERO,
            1..60,
        );
        let constant = (-9.0..9.0f64, 1..30usize).prop_map(|(value, count)| vec![value; count]);
        let spiked = (proptest::collection::vec(0.5..3.0f64, 120..300), 0..120usize, 50.0..1e6f64);
        let spiked = spiked.prop_map(|(mut values, at, spike)| {
            values[at] = spike;
            values
        });
        prop_oneof![ordinary, signed, any, constant, spiked]
    }

    fn points(values: &[f64], every: u64) -> Vec<Point> {
        values
            .iter()
            .enumerate()
            .map(|(at, loss)| Point { step: 1 + at as u64 * every, loss: *loss })
            .collect()
    }

    proptest! {
        #[test]
        fn what_is_drawn_is_true_for_any_series(
            train in values(), eval in proptest::collection::vec(0.0..40.0f64, 0..12), width in 200.0..1400.0f64,
        ) {
            let feed = Feed { train: points(&train, 1), eval: points(&eval, 9), ..Feed::default() };
            let drawing = Drawing::of(&feed, width, 0.6);
            is_true(&drawing.raw, &feed.train, &drawing)?;
            is_true(&drawing.eval, &feed.eval, &drawing)?;
            let y = drawing.y.expect("an axis");
            for point in &feed.eval {
                prop_assert!((TOP..=HEIGHT - BOTTOM).contains(&y.at(point.loss)), "a measurement is never clipped");
            }
            let span = y.value(TOP) - y.value(HEIGHT - BOTTOM);
            for (tick, _) in &drawing.ticks {
                prop_assert!((y.value(y.at(*tick)) - tick).abs() <= 1e-6 * span, "{tick} stands elsewhere");
            }
            for text in [&drawing.raw, &drawing.line, &drawing.eval] {
                prop_assert!(!text.contains("NaN") && !text.contains("inf"));
            }
            prop_assert!(feed.train.len() >= 100 || train.iter().any(|v| v.abs() > 1e300) || drawing.clipped.is_empty());
        }

        #[test]
        fn the_crosshair_reads_what_the_feed_holds(train in values(), at in 0.0..1.0f64) {
            let feed = Feed { train: points(&train, 1), ..Feed::default() };
            let drawing = Drawing::of(&feed, 700.0, 0.9);
            let pixel = drawing.left + at * (drawing.right - drawing.left);
            let step = drawing.step_at(&feed, pixel).expect("a step");
            let reading = Reading::at(&drawing, &feed, step);
            prop_assert_eq!(reading.train, feed.train.iter().find(|point| point.step == step).map(|point| point.loss));
        }
    }

    #[test]
    fn the_highest_value_is_drawn_where_it_is() {
        let eval = vec![Point { step: 0, loss: 4.5 }, Point { step: 3, loss: 35.37 }];
        let train = points(&[4.691, 4.595, 4.2], 1);
        let drawing = Drawing::of(&Feed { train, eval, total_steps: 3, ..Feed::default() }, 860.0, 0.6);
        let y = drawing.y.expect("an axis");
        let (_, at, _) = drawn(&drawing.eval)[1];
        assert!((y.value(at) - 35.37).abs() < 0.1, "{}", y.value(at));
        assert!(drawing.clipped.is_empty());
    }

    #[test]
    fn a_path_starts_with_a_move_and_stays_inside() {
        let drawing = Drawing::of(&feed(), 400.0, 0.6);
        assert!(drawing.line.starts_with("M") && drawing.line.matches('L').count() == 39);
        assert!(!drawing.line.contains("NaN") && !drawing.line.contains('-'));
    }

    #[test]
    fn a_run_without_numbers_has_no_axis() {
        let drawing = Drawing::of(&Feed::default(), 860.0, 0.6);
        assert_eq!((drawing.line.as_str(), drawing.y, drawing.ticks.len()), ("", None, 0));
        assert_eq!((drawing.step_at(&Feed::default(), 90.0), drawing.moved(None, 1)), (None, None));
    }

    #[test]
    fn there_is_room_for_the_last_label_of_a_long_run() {
        let right = |total_steps| Drawing::of(&Feed { total_steps, ..feed() }, 860.0, 0.6).right;
        assert_eq!(right(40), 860.0 - RIGHT);
        assert!(right(100_000) < right(40));
    }

    #[test]
    fn the_pen_is_lifted_over_a_hole_and_a_point_alone_is_a_dot() {
        let train = [1, 2, 5, 7].map(|step| Point { step, loss: 2.0 }).to_vec();
        let feed = Feed { train, holes: vec![3, 4, 6], ..Feed::default() };
        let drawing = Drawing::of(&feed, 400.0, 0.0);
        let begins: Vec<bool> = drawn(&drawing.raw).iter().map(|(_, _, begins)| *begins).collect();
        assert_eq!(begins, [true, false, true, true]);
        assert_eq!(drawing.raw.matches("h0").count(), 2);
        assert_eq!(drawing.holes.len(), 3);
    }

    #[test]
    fn a_wild_step_is_marked_with_its_value() {
        let mut values = vec![2.0; 200];
        (values[1], values[150]) = (1.5, 500.0);
        values[20] = 2.4;
        values[21] = 2.5;
        let drawing = Drawing::of(&Feed { train: points(&values, 1), ..Feed::default() }, 860.0, 0.6);
        assert_eq!(drawing.clipped, [Clipped { point: Point { step: 151, loss: 500.0 }, above: true }]);
        assert!(drawing.y.is_some_and(|y| y.value(TOP) < 5.0));
    }

    #[test]
    fn the_crosshair_starts_at_the_end_stops_at_the_ends_and_reaches_measurements() {
        let drawing = Drawing::of(&feed(), 860.0, 0.6);
        assert_eq!(drawing.moved(None, -1), Some(40));
        assert_eq!(drawing.moved(Some(40), 1), Some(40));
        assert_eq!(drawing.moved(Some(40), -1), Some(39));
        assert_eq!(drawing.moved(Some(1), -10), Some(0), "before training");
        assert_eq!(drawing.step_at(&feed(), drawing.left + 1.0), Some(0));
        let at_seven = drawing.x.at(7.3);
        assert_eq!(drawing.step_at(&feed(), at_seven), Some(7));
        let reading = Reading::at(&drawing, &feed(), 7);
        assert_eq!((reading.train, reading.eval), (Some(4.0 / 7.0), Some(1.0)));
    }
}
