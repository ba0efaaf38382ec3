//! A curve without axes, for numbers that stand beside their name.

use leptos::prelude::*;

use super::scale::Scale;
use crate::feed::Point;

const WIDTH: f64 = 220.0;
const HEIGHT: f64 = 44.0;
/// Points drawn at most; between them a curve this small shows nothing.
const MOST: usize = 220;

fn path(points: &[Point]) -> String {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
    let low = points.iter().map(|point| point.loss).fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|point| point.loss).fold(f64::NEG_INFINITY, f64::max);
    let x = Scale::new((first.step as f64, last.step as f64), (2.0, WIDTH - 2.0));
    let y = Scale::new((low, high), (HEIGHT - 3.0, 3.0));
    let every = points.len().div_ceil(MOST).max(1);
    let drawn = points.iter().enumerate().filter(|(at, _)| at % every == 0 || at + 1 == points.len());
    drawn
        .map(|(at, point)| {
            let letter = if at == 0 { 'M' } else { 'L' };
            format!("{letter}{:.1} {:.1}", x.at(point.step as f64), y.at(point.loss))
        })
        .collect()
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
        assert!(path.starts_with('M') && path.matches('L').count() <= MOST + 1);
        assert!(path.contains("L218.0 ") && !path.contains("NaN") && !path.contains('-'));
        assert_eq!(super::path(&[]), "");
    }
}
