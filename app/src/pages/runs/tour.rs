//! The tour: what is going on, what the model said before, and the way to the comparison.

use contract::RunState;
use contract::chat::ChatTarget;
use contract::generation::GenerationSettings;
use contract::run::RunView;
use contract::system::TourView;
use leptos::prelude::*;

use crate::browser::encode;
use crate::chat::Talk;
use crate::components::part::{Part, loaded};
use crate::components::transcript::Transcript;
use crate::live::Watched;
use crate::ports::get_tour;
use crate::words::words;

/// Longest answer of the model before training, tokens: enough to see that it does not know.
const SHORT: u32 = 60;

/// The banner, when the run is a tour.
#[component]
pub(crate) fn Tour(run: RunView, watched: Watched) -> impl IntoView {
    let id = run.summary.id.clone();
    let tour = Resource::new(|| (), move |()| get_tour(id.clone()));
    let run = StoredValue::new(run);
    loaded(tour, move |tour| {
        tour.ok().flatten().map(|tour| view! { <Banner tour run=run.get_value() watched/> })
    })
}

#[component]
fn Banner(tour: TourView, run: RunView, watched: Watched) -> impl IntoView {
    let w = &words().runs;
    let state = watched.state;
    let text = move || match state.get() {
        RunState::Finished => w.tour_done,
        RunState::Failed | RunState::Stopped => w.tour_failed,
        _ => w.tour_training,
    };
    let href = format!("/playground?run={}&q={}", run.summary.id, encode(&tour.question));
    let compare = move || {
        (state.get() == RunState::Finished)
            .then(|| view! { <a class="btn primary" href=href.clone()>{w.compare}</a> })
    };
    view! {
        <section class="tour" aria-labelledby="tour">
            <div>
                <h2 id="tour">{w.tour}</h2>
                <p>{text}</p>
                {compare}
            </div>
            <Before tour run state/>
        </section>
    }
    .into_any()
}

/// Asks the base model once, while the run goes on.
#[component]
fn Before(tour: TourView, run: RunView, state: RwSignal<RunState>) -> impl IntoView {
    let w = words();
    let talk = Talk::new(w.play.lost);
    let question = StoredValue::new(tour.question);
    let target = StoredValue::new(ChatTarget { model: run.model, run: None, step: None });
    let template = StoredValue::new(run.template);
    Effect::new(move |asked: Option<bool>| {
        let ready = matches!(state.get(), RunState::Running | RunState::Finished);
        if ready && asked != Some(true) {
            let settings =
                GenerationSettings { do_sample: false, max_new_tokens: SHORT, ..Default::default() };
            talk.ask(target.get_value(), Some(template.get_value()), settings, question.get_value());
        }
        ready || asked == Some(true)
    });
    on_cleanup(move || talk.hang_up());
    view! {
        <div class="before">
            <p class="tiny">{w.runs.tour_before}</p>
            <Part when=move || talk.current.with(Option::is_none)>
                <p class="small">{w.runs.tour_later}</p>
            </Part>
            <Transcript talk/>
        </div>
    }
    .into_any()
}
