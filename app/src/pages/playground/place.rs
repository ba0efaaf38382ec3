//! Where a pane's model answers: on the server, or in this browser.

use contract::Code;
use contract::Problem;
use contract::carry::EngineNews;
use contract::chat::{ChatDelta, ChatTarget};
use leptos::prelude::*;

use crate::browser::engine::{self, EngineId};
use crate::browser::{checked_of, encode};
use crate::chat::Talk;
use crate::words::amounts::{file_size, size};
use crate::words::{fill, problem_text, words};

/// How far the model has come into this browser.
#[derive(Clone, Debug, Default, PartialEq)]
enum Stage {
    /// The server answers.
    #[default]
    Server,
    /// Its size is being asked for.
    Asked,
    /// Its size is known; nothing has been fetched.
    Offered { bytes: u64, kept: u64 },
    /// It is being fetched.
    Fetching { loaded: u64, total: u64 },
    /// It answers here.
    Here { kept: bool },
    /// It cannot.
    Refused(Problem),
}

/// The place of a pane; copyable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    stage: RwSignal<Stage>,
    worker: RwSignal<Option<EngineId>>,
    /// Tokens a second of the answers that were given here.
    speeds: RwSignal<Vec<f64>>,
    talk: Talk,
}

/// The median of speeds; nothing where nothing was measured.
fn median(speeds: &[f64]) -> Option<f64> {
    let mut sorted = speeds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// The problem of a browser that cannot run a model.
fn no_worker() -> Problem {
    let message = "This browser cannot run the model: it has no module workers or no WebAssembly.";
    Problem::new(Code::EngineNoWorker, message)
}

impl Place {
    /// At first the server answers.
    pub(crate) fn new(talk: Talk) -> Self {
        Self { stage: RwSignal::default(), worker: RwSignal::new(None), speeds: RwSignal::default(), talk }
    }

    /// Back to the server; the model's memory is freed, what was fetched stays kept.
    pub(crate) fn leave(self) {
        self.give_up(None, Stage::Server);
    }

    fn refuse(self, problem: Problem) {
        self.give_up(Some(problem.clone()), Stage::Refused(problem));
    }

    fn give_up(self, why: Option<Problem>, then: Stage) {
        if let Some(Some(id)) = self.worker.try_get_untracked() {
            engine::close(id);
        }
        self.worker.try_set(None);
        self.speeds.try_set(Vec::new());
        self.talk.lose_engine(why);
        self.stage.try_set(then);
    }

    fn enter(self, target: &ChatTarget) {
        self.leave();
        self.stage.set(Stage::Asked);
        let id = engine::open(move |said| match said {
            Some(text) => self.hear(&text),
            None => self.refuse(no_worker()),
        });
        match id {
            None => self.refuse(no_worker()),
            Some(id) => {
                self.worker.set(Some(id));
                engine::describe(id, &query(target));
            }
        }
    }

    fn hear(self, text: &str) {
        if let Ok(news) = serde_json::from_str::<EngineNews>(text) {
            match news {
                EngineNews::Size { bytes, kept } => {
                    self.stage.try_set(Stage::Offered { bytes, kept });
                    if kept >= bytes {
                        self.load();
                    }
                }
                EngineNews::Progress { loaded, total } => {
                    self.stage.try_set(Stage::Fetching { loaded, total });
                }
                EngineNews::Loaded { kept } => {
                    self.talk.engine.try_set(self.worker.get_untracked());
                    self.stage.try_set(Stage::Here { kept });
                    engine::keep_pages();
                }
                EngineNews::Kept { .. } => {}
                EngineNews::Refused { problem } => self.refuse(problem),
            }
        } else if let Ok(delta) = serde_json::from_str::<ChatDelta>(text) {
            // The first token's time is that of the question: one token alone measures nothing.
            if let ChatDelta::Done { tokens: 2.., tokens_per_second, .. } = &delta {
                self.speeds.try_update(|speeds| speeds.push(*tokens_per_second));
            }
            self.talk.take(delta);
        }
    }

    fn load(self) {
        if let Some(Some(id)) = self.worker.try_get_untracked() {
            let total = match self.stage.get_untracked() {
                Stage::Offered { bytes, .. } => bytes,
                _ => 0,
            };
            self.stage.set(Stage::Fetching { loaded: 0, total });
            engine::send(id, engine::LOAD);
        }
    }
}

/// A target as the query of the server's routes for weights.
fn query(target: &ChatTarget) -> String {
    let mut query = format!("model={}", encode(target.model.as_str()));
    if let Some(run) = &target.run {
        query.push_str(&format!("&run={}", encode(run.as_str())));
    }
    if let Some(step) = target.step {
        query.push_str(&format!("&step={step}"));
    }
    query
}

/// The switch of a pane with what it leads to.
#[component]
pub(crate) fn PlaceSwitch(place: Place, voice: RwSignal<String>) -> impl IntoView {
    let w = words();
    let stage = place.stage;
    let elsewhere = move || !matches!(stage.get(), Stage::Server | Stage::Refused(_));
    on_cleanup(move || place.leave());
    let state = move || match stage.get() {
        Stage::Server => ().into_any(),
        Stage::Asked => view! { <span class="small">{w.play.place_asking}</span> }.into_any(),
        Stage::Offered { bytes, kept } => {
            let label = fill(w.play.place_load, &[&file_size(bytes - kept)]);
            view! { <button type="button" class="btn" on:click=move |_| place.load()>{label}</button> }
                .into_any()
        }
        Stage::Fetching { loaded, total } => {
            let text = fill(w.play.place_fetching, &[&size(loaded), &size(total)]);
            view! {
                <progress class="small-bar" max=total.to_string() value=loaded.to_string() aria-label=w.play.place_bar></progress>
                <span class="small num">{text}</span>
                <button type="button" class="btn quiet" on:click=move |_| place.leave()>{w.play.place_cancel}</button>
            }
            .into_any()
        }
        Stage::Here { kept } => view! {
            <span class="small">{w.play.place_here}</span>
            {move || place.speeds.with(|speeds| median(speeds)).map(|speed| {
                let text = fill(w.play.place_speed, &[&format!("{speed:.1}")]);
                view! { <span class="small num">{text}</span> }
            })}
            {(!kept).then(|| view! { <span class="small">{w.play.place_not_kept}</span> })}
        }
        .into_any(),
        Stage::Refused(problem) => {
            view! { <span class="error" role="alert">{problem_text(w.lang, &problem)}</span> }.into_any()
        }
    };
    view! {
        <div class="place">
            <label class="check">
                <input type="checkbox" prop:checked=elsewhere on:change=move |event| {
                    match (checked_of(&event), serde_json::from_str::<ChatTarget>(&voice.get_untracked())) {
                        (true, Ok(target)) => place.enter(&target),
                        _ => place.leave(),
                    }
                }/>
                <span>{w.play.place}</span>
            </label>
            {state}
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use contract::{ModelId, RunId};

    use super::*;

    #[test]
    fn a_speed_is_said_once_it_was_measured() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[1.0, 6.0, 8.0]), Some(6.0));
    }

    #[test]
    fn a_target_becomes_a_query() {
        let mut target = ChatTarget { model: ModelId("m 1".to_owned()), run: None, step: Some(4) };
        assert_eq!(query(&target), "model=m%201&step=4");
        target.run = Some(RunId("r".to_owned()));
        assert_eq!(query(&target), "model=m%201&run=r&step=4");
    }
}
