//! A curve without axes, for numbers that stand beside their name.

use leptos::prelude::*;

use super::scale::Scale;
use super::smooth::thin;
use crate::feed::Point;

const WIDTH: f64 = 220.0;
const HEIGHT: f64 = 44.0;
/// Stretches of the curve of which the lowest and the highest point are drawn.
const BUCKETS: usize = 110;

fn path(points: &[Point]) -> String {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
    let low = points.iter().map(|point| point.loss).fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|point| point.loss).fold(f64::NEG_INFINITY, f64::max);
    // A constant runs through the middle.
    let air = if high > low { 0.0 } else { low.abs().max(1.0) };
    let x = Scale::new((first.step as f64, last.step as f64), (2.0, WIDTH - 2.0));
    let y = Scale::new((low - air, high + air), (HEIGHT - 3.0, 3.0));
    let at = |(index, point): (usize, &Point)| {
        let letter = if index == 0 { 'M' } else { 'L' };
        format!("{letter}{:.1} {:.1}", x.at(point.step as f64), y.at(point.loss))
    };
    let mut text: String = thin(points, BUCKETS).iter().enumerate().map(at).collect();
    if points.len() == 1 {
        text.push_str("h0");
    }
    text
}

/// The curve; its meaning stands beside it in words.
#[component]
pub(crate) fn Spark(#[prop(into)] points: Signal<Vec<Point>>) -> impl IntoView {
    view! {
        <svg class="spark" viewBox=format!("0 0 {WIDTH} {HEIGHT}") preserveAspectRatio="none" aria-hidden="true">
            <path class="smooth" d=move || points.with(|points| path(points))></path>
        </svg>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_stays_inside_and_ends_with_its_last_point() {
        let points: Vec<Point> =
            (1..=1000u32).map(|step| Point { step: u64::from(step), loss: f64::from(step % 7) }).collect();
        let path = path(&points);
        assert!(path.starts_with('M') && path.matches('L').count() <= 2 * BUCKETS + 1);
        assert!(path.contains("L218.0 ") && !path.contains("NaN") && !path.contains('-'));
        assert_eq!(super::path(&[]), "");
    }

    #[test]
    fn a_single_spike_of_a_long_curve_is_drawn() {
        let mut points: Vec<Point> = (1..=1000).map(|step| Point { step, loss: 1.0 }).collect();
        points[501].loss = 9.0;
        assert!(path(&points).contains(" 3.0"), "it reaches the top");
    }

    #[test]
    fn one_point_and_a_constant_can_be_seen() {
        assert_eq!(path(&[Point { step: 4, loss: 2.0 }]), "M2.0 22.0h0");
        for loss in [0.0, -3.0, 1e18, 1e-12] {
            let flat = path(&[Point { step: 1, loss }, Point { step: 2, loss }]);
            assert_eq!(flat, "M2.0 22.0L218.0 22.0", "{loss}");
        }
    }
}
