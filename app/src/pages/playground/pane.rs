//! One pane: who answers, the conversation, whose weights spoke.

use contract::chat::Voice;
use contract::generation::GenerationSettings;
use leptos::prelude::*;

use super::around::{Around, asked_with};
use super::place::{Place, PlaceSwitch};
use super::{key, voice_of};
use crate::browser::value_of;
use crate::chat::{Phase, Talk};
use crate::components::part::Part;
use crate::components::transcript::Transcript;
use crate::words::{fill, voice_name, words};

/// A pane's state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pane {
    /// Key of the voice chosen.
    pub(crate) voice: RwSignal<String>,
    /// Place of the system text it is asked with among those of the voice.
    pub(crate) system: RwSignal<usize>,
    /// The conversation.
    pub(crate) talk: Talk,
    /// Where it is held.
    pub(crate) place: Place,
}

impl Pane {
    /// A pane with a voice chosen.
    pub(crate) fn new(voice: &Voice) -> Self {
        let talk = Talk::new();
        let voice = RwSignal::new(key(&voice.target));
        Self { voice, system: RwSignal::new(0), talk, place: Place::new(talk) }
    }

    /// Asks the voice chosen; `beside` answers the same question.
    pub(crate) fn ask(
        self,
        voices: StoredValue<Vec<Voice>>,
        beside: Option<Self>,
        settings: GenerationSettings,
        question: String,
    ) {
        let find = |pane: Self| voice_of(voices, &pane.voice.get_untracked());
        let Some(voice) = find(self) else { return };
        let with = asked_with(&voice, beside.and_then(find).as_ref(), self.system.get_untracked());
        self.talk.ask(voice.target, with, settings, question);
    }
}

/// The pane drawn.
#[component]
pub(crate) fn PaneView(
    pane: Pane,
    /// Key of the voice in the other pane, while there are two.
    beside: Signal<Option<String>>,
    voices: StoredValue<Vec<Voice>>,
    index: usize,
) -> impl IntoView {
    let w = &words().play;
    let id = format!("voice-{index}");
    let options = voices
        .get_value()
        .into_iter()
        .map(|voice| {
            let value = key(&voice.target);
            let own = value.clone();
            let selected = move || pane.voice.with(|chosen| *chosen == own);
            view! { <option value=value selected=selected>{voice_name(&voice)}</option> }
        })
        .collect_view();
    let is_run = move || pane.voice.with(|chosen| chosen.contains("\"run\":\""));
    let answer = move || pane.talk.current.get().map(|turn| turn.answer);
    let chip = move || match answer().map(|answer| answer.phase) {
        Some(Phase::Loading) => ("chip live", w.loading),
        Some(Phase::Speaking | Phase::Asked) => ("chip live", w.speaking),
        _ if is_run() => ("chip ok", w.trained),
        _ => ("chip", w.base),
    };
    let digest = move || answer().and_then(|a| a.digest).map(|d| fill(w.digest, &[&d])).unwrap_or_default();
    let speed = move || {
        answer().and_then(|a| a.speed).map(|s| fill(w.speed, &[&format!("{s:.0}")])).unwrap_or_default()
    };
    let name = fill(w.pane, &[&index.to_string()]);
    view! {
        <section class="card pane" aria-label=name>
            <div class="pane-head">
                <label class="visually-hidden" for=id.clone()>{w.voice}</label>
                <select class="input voice" id=id on:change=move |event| {
                    pane.talk.clear();
                    pane.place.leave();
                    pane.system.set(0);
                    pane.voice.set(value_of(&event));
                }>{options}</select>
                <span class=move || chip().0>{move || chip().1}</span>
            </div>
            <PlaceSwitch place=pane.place voice=pane.voice/>
            <Around pane beside voices index/>
            <div class="pane-talk" aria-live="polite" aria-busy=move || pane.talk.busy().to_string() tabindex="0" role="log" aria-label=w.answer>
                <Part when=move || pane.talk.current.with(Option::is_none)><p class="small">{w.no_question}</p></Part>
                <Transcript talk=pane.talk/>
            </div>
            <div class="pane-foot"><span>{digest}</span><span class="num">{speed}</span></div>
        </section>
    }
    .into_any()
}
