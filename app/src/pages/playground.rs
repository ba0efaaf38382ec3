//! The playground: one question, one or two models side by side.

mod around;
mod pane;
mod place;
mod settings;

use contract::Stage;
use contract::chat::{ChatTarget, Voice};
use contract::generation::GenerationSettings;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use self::pane::{Pane, PaneView};
use self::settings::{GreedySwitch, SettingsDialog};
use crate::components::icon::{Glyph, Icon};
use crate::components::part::{part, settled};
use crate::components::safe_textarea::SafeTextarea;
use crate::pages::Head;
use crate::ports::list_voices;
use crate::words::{fill, words};

/// The page.
#[component]
pub(crate) fn Playground() -> impl IntoView {
    let w = &words().play;
    let voices = Resource::new(|| (), |()| list_voices());
    view! {
        <div class="playground">
            <Head title=w.title text=w.text/>
            {settled(voices, talk)}
        </div>
    }
    .into_any()
}

/// Key of a voice in a select.
pub(crate) fn key(target: &ChatTarget) -> String {
    serde_json::to_string(target).unwrap_or_default()
}

/// The voice of a key.
fn voice_of(voices: StoredValue<Vec<Voice>>, key: &str) -> Option<Voice> {
    let target = serde_json::from_str::<ChatTarget>(key).ok()?;
    voices.with_value(|voices| voices.iter().find(|voice| voice.target == target).cloned())
}

/// Who speaks at first: the base and the run asked for (else the newest run), or two of what there is. Without a step
/// the checkpoint that stands for the run speaks.
fn first_voices(voices: &[Voice], run: Option<&str>, step: Option<u64>) -> (Voice, Option<Voice>) {
    let of_run = |voice: &&Voice| match (&voice.target.run, run) {
        (Some(id), Some(asked)) => id.0 == asked,
        (of_run, _) => of_run.is_some() && run.is_none(),
    };
    let wanted = |voice: &&Voice| match step {
        Some(_) => voice.target.step == step,
        None => voice.chosen,
    };
    let trained = voices.iter().filter(of_run).find(wanted);
    let trained = trained.or_else(|| voices.iter().filter(of_run).find(|voice| voice.chosen));
    let trained = trained.or_else(|| voices.iter().find(of_run));
    let Some(trained) = trained else { return (voices[0].clone(), voices.get(1).cloned()) };
    let base = voices.iter().find(|v| v.target.run.is_none() && v.target.model == trained.target.model);
    match base {
        Some(base) => (base.clone(), Some(trained.clone())),
        None => (trained.clone(), None),
    }
}

/// Whether what an address asks for is not there (any more): the run, or its checkpoint of that step.
fn is_gone(voices: &[Voice], run: Option<&str>, step: Option<u64>) -> bool {
    let is_it = |voice: &Voice| {
        let of_run = voice.target.run.as_ref().map(|id| id.0.as_str()) == run;
        of_run && (step.is_none() || voice.target.step == step)
    };
    run.is_some() && !voices.iter().any(is_it)
}

fn talk(voices: Vec<Voice>) -> AnyView {
    let w = words();
    // A reward model judges; it does not speak.
    let voices: Vec<_> = voices.into_iter().filter(|voice| voice.stage != Some(Stage::Rm)).collect();
    if voices.is_empty() {
        return view! {
            <div class="card pad empty"><p>{w.play.empty}</p>
                <p class="row"><a class="btn primary" href="/">{w.studio.nav_start}</a><a class="btn" href="/models">{w.studio.nav_models}</a></p>
            </div>
        }
        .into_any();
    }
    view! { <Talking voices/> }.into_any()
}

#[component]
fn Talking(voices: Vec<Voice>) -> impl IntoView {
    let w = words();
    let query = use_query_map().get_untracked();
    let step = query.get("step").and_then(|step| step.parse().ok());
    let (left, right) = first_voices(&voices, query.get("run").as_deref(), step);
    let suggestion = right.as_ref().and_then(|v| v.suggestion.clone()).or_else(|| left.suggestion.clone());
    let two = RwSignal::new(right.is_some());
    let gone = is_gone(&voices, query.get("run").as_deref(), step);
    let panes = [Pane::new(&left), Pane::new(right.as_ref().unwrap_or(&left))];
    let voices = StoredValue::new(voices);
    let settings = settings::opened(move || stage_of(voices, &panes, two.get()));
    let text = RwSignal::new(String::new());
    let busy = Memo::new(move |_| panes.iter().any(|pane| pane.talk.busy()));
    let ask = move |question: String| {
        let question = question.trim().to_owned();
        if question.is_empty() || busy.get_untracked() || !settings.get_untracked().problems().is_empty() {
            return;
        }
        let count = if two.get_untracked() { 2 } else { 1 };
        for (at, pane) in panes.iter().enumerate().take(count) {
            let beside = (count > 1).then(|| panes[1 - at]);
            pane.ask(voices, beside, settings.get_untracked(), question.clone());
        }
        text.set(String::new());
    };
    // A link that brings a question asks it, once, with the likeliest tokens so that it can be repeated.
    if let Some(question) = query.get("q") {
        settings.set(GenerationSettings::greedy());
        Effect::new(move |asked: Option<()>| {
            if asked.is_none() {
                ask(question.clone());
            }
        });
    }
    let beside = |at: usize| Signal::derive(move || two.get().then(|| panes[1 - at].voice.get()));
    let [beside_left, beside_right] = [beside(0), beside(1)];
    on_cleanup(move || panes.iter().for_each(|pane| pane.talk.hang_up()));
    view! {
        {gone.then(|| view! { <p class="notice warn" role="status">{w.play.gone}</p> })}
        <div class="panes" class:one=move || !two.get()>
            <PaneView pane=panes[0] beside=beside_left voices index=1/>
            {part(move || two.get().then(|| view! { <PaneView pane=panes[1] beside=beside_right voices index=2/> }))}
        </div>
        <Suggestion suggestion panes=panes ask=Callback::new(ask)/>
        <div class="card composer">
            <label class="visually-hidden" for="question">{w.play.question}</label>
            <Composer text two busy ask=Callback::new(ask) stop=Callback::new(move |()| panes.iter().for_each(|pane| pane.talk.stop()))/>
            <div class="composer-foot">
                <SettingsDialog settings/>
                <GreedySwitch settings/>
                <button type="button" class="btn quiet" on:click=move |_| two.update(|two| *two = !*two)>
                    {move || if two.get() { w.play.one_pane } else { w.play.two_panes }}
                </button>
                <button type="button" class="btn quiet" on:click=move |_| panes.iter().for_each(|pane| pane.talk.clear())>{w.play.clear}</button>
                <span class="tiny keys-hint" id="question-help">{w.play.keys}</span>
            </div>
        </div>
    }
    .into_any()
}

/// The stage of the run that answers; where two do, of the one at the right.
fn stage_of(voices: StoredValue<Vec<Voice>>, panes: &[Pane; 2], two: bool) -> Option<Stage> {
    let stage = |pane: &Pane| pane.voice.with(|chosen| voice_of(voices, chosen)?.stage);
    let [left, right] = panes;
    if two { stage(right).or_else(|| stage(left)) } else { stage(left) }
}

#[component]
fn Suggestion(suggestion: Option<String>, panes: [Pane; 2], ask: Callback<String>) -> impl IntoView {
    let w = &words().play;
    let fresh = move || panes.iter().all(|pane| pane.talk.current.with(Option::is_none));
    move || {
        suggestion.clone().filter(|_| fresh()).map(|question| {
            let text = fill(w.suggestion, &[&question]);
            view! { <p><button type="button" class="btn suggestion" on:click=move |_| ask.run(question.clone())>{text}</button></p> }
        })
    }
}

#[component]
fn Composer(
    text: RwSignal<String>,
    two: RwSignal<bool>,
    busy: Memo<bool>,
    ask: Callback<String>,
    stop: Callback<()>,
) -> impl IntoView {
    let w = &words().play;
    let keys = Callback::new(move |event: web_sys::KeyboardEvent| {
        let newline = event.shift_key() || event.is_composing();
        if event.key() == "Enter" && !newline {
            event.prevent_default();
            ask.run(text.get_untracked());
        }
    });
    view! {
        <div class="composer-line">
            <SafeTextarea id="question" value=text rows=1 placeholder=w.question described_by="question-help" on_key=keys/>
            {move || if busy.get() {
                view! { <button type="button" class="btn" on:click=move |_| stop.run(())>{w.stop}</button> }.into_any()
            } else {
                let label = move || if two.get() { w.ask } else { w.ask_one };
                view! { <button type="button" class="btn primary" on:click=move |_| ask.run(text.get_untracked())>{label}<Icon glyph=Glyph::Up/></button> }.into_any()
            }}
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use contract::{ModelId, RunId};

    use super::*;

    fn voice(model: &str, run: Option<&str>) -> Voice {
        let run = run.map(|run| RunId(run.to_owned()));
        let kind = if run.is_some() { "run" } else { "base" }.to_owned();
        let target = ChatTarget { model: ModelId(model.to_owned()), run, step: None };
        let (name, template) = (model.to_owned(), String::new());
        Voice {
            target,
            name,
            kind,
            template,
            systems: Vec::new(),
            suggestion: None,
            stage: None,
            chosen: false,
            judges: false,
            mark: None,
        }
    }

    #[test]
    fn s_182_the_checkpoint_that_stands_for_a_run_speaks_and_not_the_newest() {
        let of = |run: &str, step, chosen| {
            let mut voice = Voice { chosen, ..voice("b", Some(run)) };
            voice.target.step = Some(step);
            voice
        };
        let voices = [of("r2", 9, false), of("r2", 6, true), of("r1", 40, true), voice("b", None)];
        let step = |run, step| first_voices(&voices, run, step).1.and_then(|voice| voice.target.step);
        assert_eq!((step(Some("r2"), None), step(None, None)), (Some(6), Some(6)));
        assert_eq!((step(Some("r2"), Some(9)), step(Some("r1"), None)), (Some(9), Some(40)));
    }

    #[test]
    fn a_run_asked_for_stands_beside_its_own_base() {
        let voices = [voice("a", None), voice("b", None), voice("b", Some("r1")), voice("a", Some("r2"))];
        let (left, right) = first_voices(&voices, Some("r2"), None);
        assert_eq!((left, right), (voices[0].clone(), Some(voices[3].clone())));
    }

    #[test]
    fn without_a_run_the_newest_is_taken_and_without_any_two_bases() {
        let voices = [voice("b", None), voice("b", Some("r1"))];
        assert_eq!(first_voices(&voices, None, None), (voices[0].clone(), Some(voices[1].clone())));
        let bases = [voice("a", None)];
        assert_eq!(first_voices(&bases, Some("gone"), None), (bases[0].clone(), None));
    }

    #[test]
    fn a_checkpoint_is_asked_by_its_step_and_one_that_is_gone_is_not_made_up() {
        let of = |step| {
            let mut voice = Voice { chosen: step == 40, ..voice("b", Some("r1")) };
            voice.target.step = Some(step);
            voice
        };
        let voices = [voice("b", None), of(60), of(40)];
        let asked =
            |step| first_voices(&voices, Some("r1"), Some(step)).1.and_then(|voice| voice.target.step);
        assert_eq!(
            (asked(60), asked(20)),
            (Some(60), Some(40)),
            "the one that stands for the run answers instead"
        );
        assert!(is_gone(&voices, Some("r1"), Some(20)) && is_gone(&voices, Some("r2"), None));
        assert!(!is_gone(&voices, Some("r1"), Some(60)) && !is_gone(&voices, Some("r1"), None));
        assert!(!is_gone(&voices, None, None));
    }
}
