//! How long rows are, with a limit that is dragged along (or moved with the arrow keys) and says what it keeps.

use contract::health::{BUCKETS, Histogram};
use leptos::prelude::*;

use super::setup::Setup;
use crate::browser::value_of;
use crate::words::amounts::{num, rows};
use crate::words::{fill, words};

const HEIGHT: f64 = 120.0;
const WIDTH: f64 = 600.0;

/// First and last bucket drawn: those that hold rows, and one more on each side.
fn window(lengths: &Histogram) -> (usize, usize) {
    let last = BUCKETS.len() - 1;
    let first = lengths.rows.iter().position(|rows| *rows > 0).unwrap_or(0);
    let end = lengths.rows.iter().rposition(|rows| *rows > 0).unwrap_or(last);
    (first.saturating_sub(1).min(last), (end + 1).min(last))
}

/// The bucket whose end keeps most rows whole without reaching for the last few: nine of ten.
fn first_cutoff(lengths: &Histogram, (first, last): (usize, usize)) -> usize {
    let wanted = lengths.quantile(0.9);
    BUCKETS.iter().position(|end| u64::from(*end) >= wanted).unwrap_or(last).clamp(first, last)
}

/// The card.
#[component]
pub(super) fn Lengths(lengths: Histogram, setup: Setup) -> impl IntoView {
    let w = words();
    let range = window(&lengths);
    let (first, last) = range;
    let cutoff = RwSignal::new(first_cutoff(&lengths, range));
    let spread = [num(lengths.shortest), num(lengths.quantile(0.5)), num(lengths.longest)];
    let text = fill(w.health.lengths_text, &[&spread[0], &spread[1], &spread[2]]);
    let all = lengths.counted();
    let kept = lengths.clone();
    let said = Memo::new(move |_| {
        let limit = u64::from(BUCKETS[cutoff.get().min(BUCKETS.len() - 1)]);
        fill(w.health.cutoff_text, &[&num(limit), &num(kept.within(limit)), &rows(w.lang, all)])
    });
    let end = |index: usize| num(u64::from(BUCKETS[index.min(BUCKETS.len() - 1)]));
    view! {
        <section class="card pad lengths" aria-labelledby="lengths">
            <h2 id="lengths">{w.health.lengths}</h2>
            <p class="small">{text}</p>
            <div class="histogram">
                <Bars lengths range cutoff/>
                <input type="range" class="cutoff" id="cutoff" aria-label=w.health.cutoff min=first max=last step="1"
                    value=cutoff.get_untracked() prop:value=move || cutoff.get().to_string()
                    aria-valuetext=move || said.get()
                    on:input=move |event| {
                        if let Ok(index) = value_of(&event).parse::<usize>() {
                            cutoff.set(index.clamp(first, last));
                        }
                    }/>
                <div class="scale tiny num"><span>{end(first)}</span><span>{end(last)}</span></div>
            </div>
            <p class="cutoff-said" role="status">{move || said.get()}</p>
            <button type="button" class="btn" on:click=move |_| {
                setup.set_limits(u64::from(BUCKETS[cutoff.get_untracked().min(BUCKETS.len() - 1)]));
            }>{w.health.cutoff_use}</button>
        </section>
    }
    .into_any()
}

#[component]
fn Bars(lengths: Histogram, range: (usize, usize), cutoff: RwSignal<usize>) -> impl IntoView {
    let w = words();
    let (first, last) = range;
    let wide = WIDTH / (last - first + 1) as f64;
    let most = lengths.rows.iter().copied().max().unwrap_or(1).max(1) as f64;
    // the last bar drawn also holds what is longer than the scale
    let count = move |index: usize| -> u64 {
        let beyond = if index == last { lengths.rows.iter().skip(last + 1).sum() } else { 0 };
        lengths.rows.get(index).copied().unwrap_or_default() + beyond
    };
    let bars = (first..=last)
        .map(|index| {
            let rows_here = count(index);
            let tall = if rows_here == 0 { 0.0 } else { (rows_here as f64 / most * (HEIGHT - 4.0)).max(2.0) };
            let text = fill(w.health.bucket, &[&rows(w.lang, rows_here), &num(u64::from(BUCKETS[index]))]);
            let place = (index - first) as f64 * wide;
            let beyond = move || cutoff.get() < index;
            view! {
                <rect class="length-bar" class:beyond=beyond x=format!("{:.1}", place + 1.0) y=format!("{:.1}", HEIGHT - tall)
                    width=format!("{:.1}", (wide - 2.0).max(1.0)) height=format!("{tall:.1}")><title>{text}</title></rect>
            }
        })
        .collect_view();
    let at = move || format!("{:.1}", (cutoff.get().saturating_sub(first) + 1) as f64 * wide);
    view! {
        <svg class="bars" viewBox=format!("0 0 {WIDTH} {HEIGHT}") preserveAspectRatio="none" aria-hidden="true">
            {bars}
            <line class="cut-line" x1=at x2=at y1="0" y2=HEIGHT/>
        </svg>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_shows_where_rows_are_and_the_limit_starts_where_most_are_kept() {
        let mut lengths = Histogram::default();
        for tokens in [20, 21, 22, 23, 24, 25, 26, 27, 28, 2000] {
            lengths.add(tokens);
        }
        let range = window(&lengths);
        assert!(BUCKETS[range.0] < 20 && BUCKETS[range.1] >= 2000);
        assert_eq!(BUCKETS[first_cutoff(&lengths, range)], 32, "nine of ten are at most 32 long");
        assert!(window(&Histogram::default()).1 < BUCKETS.len());
    }
}
