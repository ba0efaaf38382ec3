//! The chart itself: lines, axes, a crosshair for pointer and keyboard, a summary and a table in words.

use std::fmt::Write as _;

use leptos::html;
use leptos::prelude::*;

use super::scale::{Scale, label};
use super::smooth::{smooth, thin};
use crate::components::part::Part;
use crate::feed::{Feed, Point};
use crate::words::amounts::{loss as loss_text, num};
use crate::words::{fill, words};

const HEIGHT: f64 = 320.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 26.0;
/// Width drawn before the browser says its own.
const FIRST_WIDTH: f64 = 860.0;

/// Everything one drawing needs.
#[derive(Clone, Debug, PartialEq)]
struct Drawing {
    x: Scale,
    y: Scale,
    smoothed: Vec<Point>,
    raw: String,
    line: String,
    eval: String,
}

impl Drawing {
    fn of(feed: &Feed, width: f64, weight: f64) -> Self {
        let last = feed.train.last().or(feed.eval.last()).map_or(1, |point| point.step);
        let steps = feed.total_steps.max(last).max(1) as f64;
        let x = Scale::new((0.0, steps), (LEFT, width - RIGHT));
        let y = Scale::new(range(feed), (HEIGHT - BOTTOM, TOP));
        let smoothed = smooth(&feed.train, weight);
        let buckets = (width / 2.0).max(50.0) as usize;
        Self {
            raw: path(&thin(&feed.train, buckets), &x, &y),
            line: path(&thin(&smoothed, buckets), &x, &y),
            eval: path(&feed.eval, &x, &y),
            x,
            y,
            smoothed,
        }
    }
}

/// Lowest and highest loss with a little air; a few wild values at the start do not flatten the rest.
fn range(feed: &Feed) -> (f64, f64) {
    let mut values: Vec<f64> = feed.train.iter().chain(&feed.eval).map(|point| point.loss).collect();
    values.sort_by(f64::total_cmp);
    let Some(low) = values.first() else { return (0.0, 4.0) };
    let cap = values[(values.len() - 1) * 995 / 1000];
    let air = ((cap - low) * 0.06).max(0.02);
    ((low - air).max(0.0), cap + air)
}

fn path(points: &[Point], x: &Scale, y: &Scale) -> String {
    let mut text = String::with_capacity(points.len() * 13);
    for (index, point) in points.iter().enumerate() {
        let pen = if index == 0 { 'M' } else { 'L' };
        let _ = write!(text, "{pen}{:.1} {:.1}", x.at(point.step as f64), y.at(point.loss).max(TOP));
    }
    text
}

/// The point at or nearest to a step.
fn nearest(points: &[Point], step: f64) -> Option<Point> {
    points
        .iter()
        .copied()
        .min_by(|a, b| (a.step as f64 - step).abs().total_cmp(&(b.step as f64 - step).abs()))
}

/// The step the crosshair moves to from `now` by `by` points.
fn moved(points: &[Point], now: Option<u64>, by: i64) -> Option<u64> {
    let last = points.len().checked_sub(1)?;
    let at = now.and_then(|step| points.iter().position(|point| point.step >= step)).unwrap_or(last);
    let to = if now.is_none() { last } else { at.saturating_add_signed(by as isize).min(last) };
    points.get(to).map(|point| point.step)
}

/// Loss over steps: train raw and smoothed, eval as dots.
#[component]
pub(crate) fn LossChart(#[prop(into)] feed: Signal<Feed>) -> impl IntoView {
    let w = &words().runs;
    let width = RwSignal::new(FIRST_WIDTH);
    let weight = RwSignal::new(0.6f64);
    let cursor = RwSignal::new(None::<u64>);
    let drawing = Memo::new(move |_| feed.with(|feed| Drawing::of(feed, width.get(), weight.get())));
    let frame = NodeRef::<html::Div>::new();
    let measure = move || {
        if let Some(div) = frame.get_untracked() {
            let wide = f64::from(div.client_width());
            if wide > 100.0 {
                width.set(wide);
            }
        }
    };
    Effect::new(move |_| {
        measure();
        let handle = window_event_listener(leptos::ev::resize, move |_| measure());
        on_cleanup(move || handle.remove());
    });
    let step_at = move |pixel: f64| {
        drawing.with_untracked(|d| nearest(&d.smoothed, d.x.value(pixel)).map(|point| point.step))
    };
    let keys = move |event: web_sys::KeyboardEvent| {
        let by = match event.key().as_str() {
            "ArrowLeft" => -1,
            "ArrowRight" => 1,
            "PageUp" => -10,
            "PageDown" => 10,
            "Escape" => return cursor.set(None),
            _ => return,
        };
        event.prevent_default();
        cursor.update(|now| *now = drawing.with_untracked(|d| moved(&d.smoothed, *now, by)));
    };
    view! {
        <section class="card pad chart-card" aria-labelledby="loss-title">
            <div class="chart-head">
                <h2 id="loss-title">{w.loss}</h2>
                <div class="legend">
                    <span><i class="key key-train"></i>{w.train_smoothed}</span>
                    <span><i class="key key-eval"></i>{w.eval}</span>
                    <label class="smoothing"><span>{w.smoothing}</span>
                        <input type="range" min="0" max="0.98" step="0.02" value="0.6"
                            on:input=move |event| {
                                weight.set(crate::browser::value_of(&event).parse().unwrap_or(0.6));
                            }/>
                    </label>
                </div>
            </div>
            <div class="chart" node_ref=frame tabindex="0" role="application" aria-label=w.loss
                aria-describedby="chart-summary"
                on:keydown=keys
                on:pointermove=move |event| cursor.set(step_at(f64::from(event.offset_x())))
                on:pointerleave=move |_| cursor.set(None)
            >
                <svg viewBox=move || format!("0 0 {} {HEIGHT}", width.get()) preserveAspectRatio="xMinYMin meet" aria-hidden="true">
                    {move || axes(&drawing.get(), width.get())}
                    <path class="raw" d=move || drawing.with(|d| d.raw.clone())></path>
                    <path class="smooth" d=move || drawing.with(|d| d.line.clone())></path>
                    <path class="eval" d=move || drawing.with(|d| d.eval.clone())></path>
                    {move || dots(&drawing.get(), &feed.get())}
                    {move || crosshair(&drawing.get(), &feed.get(), cursor.get(), width.get())}
                </svg>
                <Part when=move || feed.with(|feed| feed.train.is_empty() && feed.eval.is_empty())>
                    <p class="chart-empty small">{w.chart_empty}</p>
                </Part>
            </div>
            <p class="visually-hidden" id="chart-summary">{move || summary(&feed.get())}" "{w.chart_keys}</p>
            <p class="visually-hidden" aria-live="polite">{move || spoken(&drawing.get(), &feed.get(), cursor.get())}</p>
            <details class="chart-table">
                <summary>{w.chart_table}</summary>
                <DataTable feed/>
            </details>
        </section>
    }
    .into_any()
}

fn axes(drawing: &Drawing, width: f64) -> impl IntoView + use<> {
    let ys = drawing.y.ticks(5);
    let xs = drawing.x.ticks(if width < 500.0 { 3 } else { 6 });
    let (x, y) = (drawing.x, drawing.y);
    let rows = ys
        .iter()
        .map(|tick| {
            let at = y.at(*tick);
            view! {
                <line class="gridline" x1=LEFT x2=width - RIGHT y1=at y2=at></line>
                <text class="tick tick-y" x=LEFT - 10.0 y=at + 4.0>{label(*tick, &ys)}</text>
            }
        })
        .collect_view();
    let columns = xs
        .iter()
        .filter(|tick| tick.fract() == 0.0)
        .map(|tick| view! { <text class="tick" x=x.at(*tick) y=HEIGHT - 6.0>{num(*tick as u64)}</text> })
        .collect_view();
    (rows, columns)
}

fn dots(drawing: &Drawing, feed: &Feed) -> impl IntoView + use<> {
    let (x, y) = (drawing.x, drawing.y);
    feed.eval
        .iter()
        .map(|point| view! { <circle class="dot" cx=x.at(point.step as f64) cy=y.at(point.loss).max(TOP) r="3.6"></circle> })
        .collect_view()
}

/// The values under the crosshair: smoothed, raw, and the eval point of the same step.
fn values(drawing: &Drawing, feed: &Feed, step: u64) -> (Option<f64>, Option<f64>, Option<f64>) {
    let of = |points: &[Point]| points.iter().find(|point| point.step == step).map(|point| point.loss);
    (of(&drawing.smoothed), of(&feed.train), of(&feed.eval))
}

fn crosshair(drawing: &Drawing, feed: &Feed, cursor: Option<u64>, width: f64) -> impl IntoView + use<> {
    let w = &words().runs;
    cursor.map(|step| {
        let (smoothed, raw, eval) = values(drawing, feed, step);
        let x = drawing.x.at(step as f64);
        let box_width = 158.0;
        let left = if x + box_width + 20.0 > width { x - box_width - 10.0 } else { x + 10.0 };
        let train = format!("{} {} ({})", w.train, loss_text(smoothed), loss_text(raw));
        let eval = eval.map(|value| format!("{} {}", w.eval, loss_text(Some(value))));
        let height = if eval.is_some() { 66.0 } else { 48.0 };
        view! {
            <line class="cross" x1=x x2=x y1=TOP y2=HEIGHT - BOTTOM></line>
            <rect class="cross-box" x=left y="16" width=box_width height=height rx="8"></rect>
            <text class="cross-title" x=left + 12.0 y="36">{fill(w.step_n, &[&num(step)])}</text>
            <text class="cross-text" x=left + 12.0 y="54">{train}</text>
            {eval.map(|eval| view! { <text class="cross-text" x=left + 12.0 y="71">{eval}</text> })}
        }
    })
}

fn spoken(drawing: &Drawing, feed: &Feed, cursor: Option<u64>) -> String {
    let w = &words().runs;
    let Some(step) = cursor else { return String::new() };
    let (smoothed, _, eval) = values(drawing, feed, step);
    let eval = eval.map(|value| format!(", {} {}", w.eval, loss_text(Some(value)))).unwrap_or_default();
    format!("{}: {} {}{eval}", fill(w.step_n, &[&num(step)]), w.train, loss_text(smoothed))
}

fn summary(feed: &Feed) -> String {
    let w = &words().runs;
    let (Some(first), Some(last)) = (feed.train.first(), feed.train.last()) else {
        return w.chart_empty.to_owned();
    };
    let low = feed.train.iter().map(|point| point.loss).fold(f64::INFINITY, f64::min);
    let count = num(feed.train.len() as u64);
    fill(
        w.chart_summary,
        &[&count, &loss_text(Some(first.loss)), &loss_text(Some(last.loss)), &loss_text(Some(low))],
    )
}

/// Rows of the table in words: every eval point, and train points spread over the run.
fn table_rows(feed: &Feed) -> Vec<(u64, Option<f64>, Option<f64>)> {
    let every = feed.train.len().div_ceil(20).max(1);
    let mut rows: Vec<(u64, Option<f64>, Option<f64>)> = feed
        .train
        .iter()
        .enumerate()
        .filter(|(index, _)| index % every == 0 || index + 1 == feed.train.len())
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

#[component]
fn DataTable(feed: Signal<Feed>) -> impl IntoView {
    let w = &words().runs;
    let rows = move || {
        table_rows(&feed.get())
            .into_iter()
            .map(|(step, train, eval)| {
                view! { <tr><td>{num(step)}</td><td>{loss_text(train)}</td><td>{loss_text(eval)}</td></tr> }
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

    fn feed() -> Feed {
        let train =
            (1..=40u32).map(|step| Point { step: u64::from(step), loss: 4.0 / f64::from(step) }).collect();
        Feed { train, eval: vec![Point { step: 7, loss: 1.0 }], total_steps: 40, ..Feed::default() }
    }

    #[test]
    fn a_path_starts_with_a_move_and_stays_inside() {
        let drawing = Drawing::of(&feed(), 400.0, 0.6);
        assert!(drawing.line.starts_with("M") && drawing.line.matches('L').count() == 39);
        assert!(!drawing.line.contains("NaN") && !drawing.line.contains('-'));
    }

    #[test]
    fn an_empty_run_draws_axes_and_no_line() {
        let drawing = Drawing::of(&Feed::default(), 860.0, 0.6);
        assert_eq!(drawing.line, "");
        assert!(!drawing.y.ticks(5).is_empty());
    }

    #[test]
    fn the_crosshair_starts_at_the_end_and_stops_at_the_ends() {
        let points = feed().train;
        assert_eq!(moved(&points, None, -1), Some(40));
        assert_eq!(moved(&points, Some(40), 1), Some(40));
        assert_eq!(moved(&points, Some(40), -1), Some(39));
        assert_eq!(moved(&points, Some(1), -10), Some(1));
        assert_eq!(moved(&[], None, 1), None);
    }

    #[test]
    fn the_table_names_every_eval_point_with_its_train_loss() {
        let rows = table_rows(&feed());
        assert!(rows.contains(&(7, Some(4.0 / 7.0), Some(1.0))));
        assert!(rows.len() <= 23 && rows.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
