//! What is being measured, and how far it is.

use contract::event::Measure;
use leptos::prelude::*;

use crate::feed::Underway;
use crate::live::Watched;
use crate::words::amounts::num;
use crate::words::{Words, fill, words};

/// A line while held-out rows are measured; nothing else.
#[component]
pub(super) fn MeasuringNow(watched: Watched) -> impl IntoView {
    let w = words();
    let said = Memo::new(move |_| {
        // A worker that died in the middle says no more.
        let live = watched.state.get().is_live();
        watched.feed.with(|feed| feed.measuring.filter(|_| live).map(|underway| line(w, underway)))
    });
    move || said.get().map(|text| view! { <p class="small num measuring">{text}</p> })
}

fn line(w: &Words, Underway { by, done, of }: Underway) -> String {
    let said = match by {
        Measure::Loss => w.runs.measuring_rows,
        Measure::Answers => w.runs.measuring_answers,
    };
    fill(said, &[&num(done), &num(of)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Lang;

    #[test]
    fn both_languages_say_how_many_rows_of_how_many() {
        for lang in [Lang::En, Lang::Zh] {
            let said = |by| line(crate::words::of(lang), Underway { by, done: 120, of: 256 });
            for text in [said(Measure::Loss), said(Measure::Answers)] {
                assert!(text.contains("120") && text.contains("256"), "{text}");
            }
            assert_ne!(said(Measure::Loss), said(Measure::Answers));
        }
    }
}
