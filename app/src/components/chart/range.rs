//! Which values the axis shows: all of them, or all but a few wild ones that would flatten the rest.

use crate::feed::Point;

/// Fewest steps of which some may lie beyond the axis.
const ENOUGH: usize = 100;
/// Hundredths of the steps that may lie beyond the axis at either end.
const WILD_HUNDREDTHS: usize = 1;
/// How many times as far as all others a value has to lie to be wild.
const WILD: f64 = 4.0;
/// Free share of the axis above and below.
const AIR: f64 = 0.06;
/// Magnitude beyond which differences would overflow.
const LARGEST: f64 = 1e300;

/// Both ends of the axis for train and eval loss; `None`: there is nothing to show. Every value lies between them but
/// wild train values, of which there is at most one in a hundred at either end. An axis of values above 0 starts at 0
/// where that takes no more than half of it.
pub(crate) fn range(train: &[Point], eval: &[Point]) -> Option<(f64, f64)> {
    let value = |point: &Point| point.loss.clamp(-LARGEST, LARGEST);
    let mut steps: Vec<f64> = train.iter().map(value).collect();
    steps.sort_by(f64::total_cmp);
    let measured = || eval.iter().map(value);
    let low = measured().chain(steps.first().copied()).min_by(f64::total_cmp)?;
    let high = measured().chain(steps.last().copied()).max_by(f64::total_cmp)?;
    let (mut bottom, mut top) = (low, high);
    if steps.len() >= ENOUGH {
        let wild = (steps.len() - 1) * WILD_HUNDREDTHS / 100;
        let body_low = measured().fold(steps[wild.max(1)], f64::min);
        let body_high = measured().fold(steps[steps.len() - 1 - wild.max(1)], f64::max);
        let body = body_high - body_low;
        if body > 0.0 && high - body_low > WILD * body {
            top = body_high;
        }
        if body > 0.0 && body_high - low > WILD * body {
            bottom = body_low;
        }
    }
    let span = top - bottom;
    let air = match span {
        span if span > 0.0 => span * AIR,
        _ if top == 0.0 => 1.0,
        _ => top.abs() * AIR,
    };
    let from_zero = bottom >= 0.0 && (bottom <= top / 2.0 || bottom < air);
    Some((if from_zero { 0.0 } else { bottom - air }, top + air))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[f64]) -> Vec<Point> {
        values.iter().enumerate().map(|(at, loss)| Point { step: at as u64 + 1, loss: *loss }).collect()
    }

    #[test]
    fn the_highest_value_of_a_short_run_is_within() {
        let (low, high) = range(&points(&[4.691, 4.2, 4.595, 4.1]), &points(&[4.5, 35.37])).expect("values");
        assert!(low <= 4.1 && high > 35.37);
    }

    #[test]
    fn a_few_wild_steps_of_a_long_run_do_not_flatten_the_rest_but_measurements_always_stand_within() {
        let mut values: Vec<f64> = (0..200).map(|step| 3.0 - f64::from(step) / 200.0).collect();
        values[7] = 900.0;
        values[90] = -700.0;
        let (low, high) = range(&points(&values), &[]).expect("values");
        assert!(low > 0.0 && high < 4.0, "{low} {high}");
        let (_, high) = range(&points(&values), &points(&[950.0])).expect("values");
        assert!(high > 950.0);
    }

    #[test]
    fn any_values_have_an_axis_of_some_length() {
        for values in
            [&[0.0][..], &[2.0, 2.0], &[-3.0], &[1e18, 1e18], &[1e-12, 3e-12], &[-1e308, 1e308], &[-0.5, 0.5]]
        {
            let (low, high) = range(&points(values), &[]).expect("values");
            assert!(
                low < high && low.is_finite() && high.is_finite() && (high - low).is_finite(),
                "{values:?}"
            );
            assert!(
                values.iter().all(|value| (low..=high).contains(&value.clamp(-LARGEST, LARGEST))),
                "{values:?}"
            );
        }
        assert_eq!(range(&[], &[]), None);
    }

    #[test]
    fn an_axis_starts_at_zero_where_that_costs_no_more_than_half() {
        assert_eq!(range(&points(&[1.0, 4.0]), &[]).map(|(low, _)| low), Some(0.0));
        assert!(range(&points(&[3.0, 4.0]), &[]).is_some_and(|(low, _)| low > 2.0 && low < 3.0));
        assert!(range(&points(&[-1.0, 4.0]), &[]).is_some_and(|(low, _)| low < -1.0));
    }
}
