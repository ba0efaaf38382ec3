//! The chart in words: a summary, what the axis leaves out, and a table of values.

use leptos::prelude::*;

use super::drawing::Drawing;
use crate::feed::{Feed, Point};
use crate::words::amounts::{loss, num};
use crate::words::{fill, words};

/// Train rows of the table, about.
const ROWS: usize = 20;

/// First, last, lowest and highest value.
fn course(points: &[Point]) -> Option<[String; 4]> {
    let (first, last) = (points.first()?, points.last()?);
    let values = || points.iter().map(|point| point.loss);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    Some([first.loss, last.loss, low, high].map(|value| loss(Some(value))))
}

/// The curves in one or two sentences.
pub(super) fn summary(feed: &Feed, nothing: &str) -> String {
    let w = &words().runs;
    let mut said = Vec::new();
    if let Some([first, last, low, high]) = course(&feed.train) {
        let count = num(feed.train.len() as u64);
        said.push(fill(w.chart_summary, &[&count, &first, &last, &low, &high]));
    }
    if let Some([first, last, low, high]) = course(&feed.eval) {
        said.push(fill(w.chart_eval, &[&first, &last, &low, &high]));
    }
    if said.is_empty() { nothing.to_owned() } else { said.join(" ") }
}

/// What a look at the curves alone would get wrong: where the axis starts, what lies beyond it, what has no number.
pub(super) fn notes(drawing: &Drawing, feed: &Feed) -> String {
    let w = &words().runs;
    let starts = drawing.starts_at.map(|low| fill(w.chart_from, &[&loss(Some(low))]));
    let beyond: Vec<String> = drawing.clipped.iter().map(|one| loss(Some(one.point.loss))).collect();
    let beyond = (!beyond.is_empty()).then(|| fill(w.chart_clipped, &[&beyond.join(", ")]));
    let holes = feed.holes.len() as u64;
    let holes = (holes > 0).then(|| fill(w.chart_holes, &[&num(holes)]));
    [starts, beyond, holes].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// A row: step, train loss, eval loss.
type Values = (u64, Option<f64>, Option<f64>);

/// Rows of the table: every eval point, train points spread over the run, and the lowest and highest of them.
fn rows(feed: &Feed) -> Vec<Values> {
    let every = feed.train.len().div_ceil(ROWS).max(1);
    let by_loss = |a: &(usize, &Point), b: &(usize, &Point)| a.1.loss.total_cmp(&b.1.loss);
    let numbered = || feed.train.iter().enumerate();
    let extremes = [numbered().min_by(by_loss), numbered().max_by(by_loss)].map(|one| one.map(|(at, _)| at));
    let kept =
        |at: usize| at.is_multiple_of(every) || at + 1 == feed.train.len() || extremes.contains(&Some(at));
    let mut rows: Vec<Values> = numbered()
        .filter(|(at, _)| kept(*at))
        .map(|(_, point)| (point.step, Some(point.loss), None))
        .collect();
    for point in &feed.eval {
        match rows.iter_mut().find(|row| row.0 == point.step) {
            Some(row) => row.2 = Some(point.loss),
            None => {
                let train = feed.train.iter().find(|p| p.step == point.step).map(|p| p.loss);
                rows.push((point.step, train, Some(point.loss)));
            }
        }
    }
    rows.sort_by_key(|row| row.0);
    rows
}

/// The values as a table.
#[component]
pub(crate) fn DataTable(feed: Signal<Feed>) -> impl IntoView {
    let w = &words().runs;
    let rows = move || {
        feed.with(rows)
            .into_iter()
            .map(|(step, train, eval)| {
                view! { <tr><td>{num(step)}</td><td>{loss(train)}</td><td>{loss(eval)}</td></tr> }
            })
            .collect_view()
    };
    view! {
        <table class="num">
            <thead><tr><th scope="col">{w.step}</th><th scope="col">{w.train_loss}</th><th scope="col">{w.eval_loss}</th></tr></thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(count: u32) -> Feed {
        let train =
            (1..=count).map(|step| Point { step: u64::from(step), loss: 4.0 / f64::from(step) }).collect();
        Feed { train, eval: vec![Point { step: 7, loss: 1.0 }], ..Feed::default() }
    }

    #[test]
    fn the_table_names_every_eval_point_with_its_train_loss() {
        let rows = rows(&feed(40));
        assert!(rows.contains(&(7, Some(4.0 / 7.0), Some(1.0))));
        assert!(rows.len() <= 25 && rows.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn the_highest_and_the_lowest_value_stand_in_the_table_and_in_the_summary() {
        let mut feed = feed(400);
        (feed.train[333].loss, feed.train[222].loss) = (77.5, -1.25);
        let rows = rows(&feed);
        assert!(rows.contains(&(334, Some(77.5), None)) && rows.contains(&(223, Some(-1.25), None)));
        let said = summary(&feed, "");
        assert!(said.contains("77.500") && said.contains("-1.250") && said.contains("400"), "{said}");
    }

    #[test]
    fn an_axis_that_does_not_start_at_zero_says_so_and_one_that_does_says_nothing() {
        let flat = Feed {
            train: vec![Point { step: 1, loss: 3.9 }, Point { step: 2, loss: 3.8 }],
            ..Feed::default()
        };
        assert!(notes(&Drawing::of(&flat, 400.0, 0.0), &flat).contains("3.7"));
        assert_eq!(notes(&Drawing::of(&feed(40), 400.0, 0.0), &feed(40)), "");
        let lost = Feed { holes: vec![41, 42], ..feed(40) };
        assert!(notes(&Drawing::of(&lost, 400.0, 0.0), &lost).contains('2'));
    }
}
