//! The tour: what is going on, what the model said before, and the way to the comparison.

use std::time::Duration;

use contract::run::RunView;
use contract::system::{BeforeAnswer, TourView};
use contract::{Problem, RunId, RunState};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::browser::encode;
use crate::chat::{Answer, Phase, Turn};
use crate::components::part::{loaded, part};
use crate::components::transcript::TurnView;
use crate::live::Watched;
use crate::ports::get_tour;
use crate::verdict::{Course, Verdict};
use crate::words::{problem_text, words};

/// Pause between two looks whether the model has answered.
const EVERY: Duration = Duration::from_millis(1500);

/// The banner, when the run is a tour.
#[component]
pub(crate) fn Tour(run: RunView, watched: Watched, judged: Memo<Verdict>) -> impl IntoView {
    let id = run.summary.id;
    let tour = Resource::new(|| (), move |()| get_tour(id.clone()));
    loaded(tour, move |tour| tour.ok().flatten().map(|tour| view! { <Banner tour watched judged/> }))
}

#[component]
fn Banner(tour: TourView, watched: Watched, judged: Memo<Verdict>) -> impl IntoView {
    let w = &words().runs;
    let Watched { feed, state, .. } = watched;
    let saved = Memo::new(move |_| feed.with(|feed| !feed.checkpoints.is_empty()));
    let text = move || match state.get() {
        RunState::Queued => w.tour_queued,
        RunState::Preparing | RunState::Running | RunState::Stopping => w.tour_training,
        _ if !saved.get() => w.tour_nothing,
        RunState::Failed => w.tour_failed,
        RunState::Stopped => w.tour_stopped,
        RunState::Finished => match judged.with(|verdict| verdict.course) {
            None | Some(Course::Better) => w.tour_done,
            Some(_) => w.tour_over,
        },
    };
    let href = format!("/playground?run={}&q={}", tour.run, encode(&tour.question));
    let compare = move || {
        (state.get().is_ended() && saved.get())
            .then(|| view! { <a class="btn primary" href=href.clone()>{w.compare}</a> })
    };
    view! {
        <section class="tour" aria-labelledby="tour">
            <div>
                <h2 id="tour">{w.tour}</h2>
                <p>{text}</p>
                {compare}
            </div>
            <Before tour/>
        </section>
    }
    .into_any()
}

/// The kept answer as a turn of a conversation.
fn turn(kept: BeforeAnswer) -> Turn {
    let BeforeAnswer { question, answer, reason, digest } = kept;
    let (reason, digest) = (Some(reason), Some(digest));
    Turn {
        question,
        answer: Answer { phase: Phase::Over, text: answer, digest, reason, ..Answer::default() },
    }
}

/// What the model answered before training: kept with the run, so that it is the same at every look. While the server
/// asks the model, the page looks again.
#[component]
fn Before(tour: TourView) -> impl IntoView {
    let w = words();
    let run = StoredValue::new(tour.run);
    let before: RwSignal<(Option<BeforeAnswer>, Option<Problem>)> =
        RwSignal::new((tour.before, tour.problem));
    Effect::new(move |_| {
        if before.with(|(kept, problem)| kept.is_none() && problem.is_none()) {
            set_timeout(move || look_again(run, before), EVERY);
        }
    });
    let shown = part(move || match before.get() {
        (Some(kept), _) => view! { <div class="talk"><TurnView turn=turn(kept)/></div> }.into_any(),
        (None, Some(problem)) => view! { <p class="error">{problem_text(w.lang, &problem)}</p> }.into_any(),
        (None, None) => view! { <p class="small">{w.runs.tour_later}</p> }.into_any(),
    });
    view! { <div class="before"><p class="tiny">{w.runs.tour_before}</p>{shown}</div> }.into_any()
}

/// Asks the server once more, unless the page was left.
fn look_again(run: StoredValue<RunId>, before: RwSignal<(Option<BeforeAnswer>, Option<Problem>)>) {
    let Some(run) = run.try_get_value() else { return };
    spawn_local(async move {
        let found = match get_tour(run).await {
            Ok(tour) => tour.map(|tour| (tour.before, tour.problem)).unwrap_or_default(),
            // The connection may come back.
            Err(_) => Default::default(),
        };
        before.try_set(found);
    });
}
