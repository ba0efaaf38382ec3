//! The chart itself: lines, axes, a crosshair for pointer and keyboard, what it shows in words.

use leptos::html;
use leptos::prelude::*;

use super::drawing::{BOTTOM, Drawing, HEIGHT, Reading, TOP, pixel};
use super::table::{DataTable, notes, summary};
use crate::components::part::Part;
use crate::feed::Feed;
use crate::words::amounts::{loss as loss_text, num};
use crate::words::{fill, words};

/// Width drawn before the browser says its own.
const FIRST_WIDTH: f64 = 860.0;

/// Loss over steps: train raw and smoothed, eval as dots. `over`: no further step will come.
#[component]
pub(crate) fn LossChart(#[prop(into)] feed: Signal<Feed>, #[prop(into)] over: Signal<bool>) -> impl IntoView {
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
    let step_at =
        move |pixel: f64| drawing.with_untracked(|d| feed.with_untracked(|feed| d.step_at(feed, pixel)));
    let nothing = move || if over.get() { w.chart_nothing } else { w.chart_empty };
    let noted = Memo::new(move |_| feed.with(|feed| drawing.with(|d| notes(d, feed))));
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
        cursor.update(|now| *now = drawing.with_untracked(|d| d.moved(*now, by)));
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
                        <span class="num">{move || format!("{:.2}", weight.get())}</span>
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
                    {move || marks(&drawing.get())}
                    {move || crosshair(&drawing.get(), &feed.get(), cursor.get(), width.get())}
                </svg>
                <Part when=move || feed.with(|feed| feed.train.is_empty() && feed.eval.is_empty())>
                    <p class="chart-empty small">{nothing}</p>
                </Part>
            </div>
            <Part when=move || noted.with(|text| !text.is_empty())><p class="small chart-notes">{move || noted.get()}</p></Part>
            <p class="visually-hidden" id="chart-summary">{move || feed.with(|feed| summary(feed, nothing()))}" "{w.chart_keys}</p>
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
    let Some(y) = drawing.y else { return ().into_any() };
    let (x, left, right) = (drawing.x, drawing.left, drawing.right);
    let rows = drawing
        .ticks
        .iter()
        .map(|(tick, text)| {
            let at = y.at(*tick);
            view! {
                <line class="gridline" x1=left x2=right y1=at y2=at></line>
                <text class="tick tick-y" x=left - 10.0 y=at + 4.0>{text.clone()}</text>
            }
        })
        .collect_view();
    let columns = x
        .ticks(if width < 500.0 { 3 } else { 6 })
        .iter()
        .filter(|tick| tick.fract() == 0.0)
        .map(|tick| view! { <text class="tick" x=x.at(*tick) y=HEIGHT - 6.0>{num(*tick as u64)}</text> })
        .collect_view();
    (rows, columns).into_any()
}

fn dots(drawing: &Drawing, feed: &Feed) -> impl IntoView + use<> {
    let x = drawing.x;
    let dot = |y| {
        move |point: &crate::feed::Point| {
            view! { <circle class="dot" cx=x.at(point.step as f64) cy=pixel(&y, point.loss) r="3.6"></circle> }
        }
    };
    drawing.y.map(|y| feed.eval.iter().map(dot(y)).collect_view())
}

/// Points beyond the axis with their values, and steps without a number.
fn marks(drawing: &Drawing) -> impl IntoView + use<> {
    let x = drawing.x;
    let clipped = drawing
        .clipped
        .iter()
        .map(|one| {
            let at = x.at(one.point.step as f64);
            let (tip, base, text) = if one.above {
                (TOP - 8.0, TOP, TOP + 14.0)
            } else {
                (HEIGHT - BOTTOM + 8.0, HEIGHT - BOTTOM, HEIGHT - BOTTOM - 6.0)
            };
            let arrow = format!("M{:.1} {base}h10l-5 {}z", at - 5.0, tip - base);
            view! {
                <path class="clipped" d=arrow></path>
                <text class="clipped-value" x=at y=text>{loss_text(Some(one.point.loss))}</text>
            }
        })
        .collect_view();
    let y = HEIGHT - BOTTOM - 4.0;
    let holes = drawing
        .holes
        .iter()
        .map(
            |at| view! { <path class="hole" d=format!("M{:.1} {}l6 6m0 -6l-6 6", at - 3.0, y - 3.0)></path> },
        )
        .collect_view();
    (clipped, holes)
}

/// What stands at a step, a line each.
fn lines(reading: &Reading) -> Vec<String> {
    let w = &words().runs;
    let named = [(w.train, reading.train), (w.smoothed, reading.smoothed), (w.eval, reading.eval)];
    named
        .into_iter()
        .filter(|(_, value)| value.is_some())
        .map(|(name, value)| format!("{name} {}", loss_text(value)))
        .collect()
}

fn crosshair(drawing: &Drawing, feed: &Feed, cursor: Option<u64>, width: f64) -> impl IntoView + use<> {
    let w = &words().runs;
    cursor.map(|step| {
        let lines = lines(&Reading::at(drawing, feed, step));
        let x = drawing.x.at(step as f64);
        let box_width = 158.0;
        let left = if x + box_width + 20.0 > width { x - box_width - 10.0 } else { x + 10.0 };
        let height = 32.0 + 17.0 * lines.len() as f64;
        let texts = lines.into_iter().enumerate().map(|(at, line)| {
            view! { <text class="cross-text" x=left + 12.0 y=54.0 + 17.0 * at as f64>{line}</text> }
        });
        view! {
            <line class="cross" x1=x x2=x y1=TOP y2=HEIGHT - BOTTOM></line>
            <rect class="cross-box" x=left y="16" width=box_width height=height rx="8"></rect>
            <text class="cross-title" x=left + 12.0 y="36">{fill(w.step_n, &[&num(step)])}</text>
            {texts.collect_view()}
        }
    })
}

fn spoken(drawing: &Drawing, feed: &Feed, cursor: Option<u64>) -> String {
    let w = &words().runs;
    let Some(step) = cursor else { return String::new() };
    let lines = lines(&Reading::at(drawing, feed, step));
    format!("{}: {}", fill(w.step_n, &[&num(step)]), lines.join(", "))
}
