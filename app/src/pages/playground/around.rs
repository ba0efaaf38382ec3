//! What stands around a question: template and system text, as in training (S-222, S-032, S-061).

use contract::chat::Voice;
use contract::templates::MODEL_TEMPLATE;
use leptos::prelude::*;

use super::pane::Pane;
use super::voice_of;
use crate::browser::value_of;
use crate::chat::AskedWith;
use crate::words::{fill, template_name, words};

/// A run beside its own base: where the base has no template of its own, it is asked with the run's, so that both answer
/// the same prompt.
fn template(voice: &Voice, beside: Option<&Voice>) -> String {
    let alone = voice.target.run.is_none() && voice.template != MODEL_TEMPLATE;
    let run = beside
        .filter(|other| alone && other.target.run.is_some() && other.target.model == voice.target.model);
    run.unwrap_or(voice).template.clone()
}

/// What a voice is asked with; `system`: the place of the text chosen among [`Voice::systems`].
pub(super) fn asked_with(voice: &Voice, beside: Option<&Voice>, system: usize) -> AskedWith {
    // the first is the server's choice, too
    let chosen = (system > 0).then(|| voice.systems.get(system).cloned()).flatten();
    AskedWith { template: Some(template(voice, beside)), system: chosen }
}

/// A line that says it, where there is something to say, and a choice where rows were trained with several system texts.
#[component]
pub(super) fn Around(
    pane: Pane,
    /// The other pane, while there are two.
    beside: Signal<Option<String>>,
    voices: StoredValue<Vec<Voice>>,
    index: usize,
) -> impl IntoView {
    move || {
        let w = &words().play;
        let voice = pane.voice.with(|key| voice_of(voices, key))?;
        let other = beside.get().and_then(|key| voice_of(voices, &key));
        let key = template(&voice, other.as_ref());
        let foreign = voice.target.run.is_none() && key != MODEL_TEMPLATE;
        let of_run = other.filter(|_| foreign && key != voice.template);
        let said = match of_run {
            Some(run) => Some(fill(w.template_of_run, &[&template_name(&key), &run.name])),
            None => foreign.then(|| fill(w.template_of_family, &[&template_name(&key)])),
        };
        let said = said.map(|said| view! { <p class="small">{said}</p> });
        let shown = |text: &str| if text.is_empty() { w.system_none.to_owned() } else { text.to_owned() };
        let system = match voice.systems.as_slice() {
            [] => None,
            [one] => {
                Some(view! { <p class="small break">{fill(w.system_text, &[&shown(one)])}</p> }.into_any())
            }
            several => {
                let id = format!("system-{index}");
                let chosen = pane.system.get();
                let options = several.iter().enumerate().map(|(at, text)| {
                    view! { <option value=at.to_string() selected=at == chosen>{shown(text)}</option> }
                });
                Some(
                    view! {
                        <label class="small" for=id.clone()>{w.system_choice}</label>
                        <select class="input" id=id on:change=move |event| {
                            pane.talk.clear();
                            pane.system.set(value_of(&event).parse().unwrap_or(0));
                        }>{options.collect_view()}</select>
                    }
                    .into_any(),
                )
            }
        };
        (said.is_some() || system.is_some()).then(|| view! { <div class="pane-around">{said}{system}</div> })
    }
}

#[cfg(test)]
mod tests {
    use contract::chat::ChatTarget;
    use contract::{ModelId, RunId};

    use super::*;

    fn voice(model: &str, run: Option<&str>, template: &str) -> Voice {
        Voice {
            target: ChatTarget {
                model: ModelId(model.to_owned()),
                run: run.map(|run| RunId(run.to_owned())),
                step: run.map(|_| 1),
            },
            name: String::new(),
            kind: String::new(),
            template: template.to_owned(),
            systems: vec!["Be brief.".to_owned(), "Be kind.".to_owned()],
            suggestion: None,
            stage: None,
            chosen: true,
            judges: false,
            mark: None,
        }
    }

    #[test]
    fn s_061_a_base_without_a_template_is_asked_with_that_of_its_run() {
        let (bare, own) = (voice("m", None, "default"), voice("m", None, MODEL_TEMPLATE));
        let (run, other) = (voice("m", Some("r"), "vicuna"), voice("n", Some("s"), "vicuna"));
        assert_eq!(template(&bare, Some(&run)), "vicuna");
        assert_eq!(template(&bare, Some(&other)), "default", "another model's run says nothing about it");
        assert_eq!(template(&bare, None), "default");
        assert_eq!(template(&own, Some(&run)), MODEL_TEMPLATE);
        assert_eq!(template(&run, Some(&bare)), "vicuna", "a run is asked as it was trained");
    }

    #[test]
    fn s_032_another_system_text_than_the_first_goes_with_the_question() {
        let run = voice("m", Some("r"), "vicuna");
        assert_eq!(asked_with(&run, None, 0).system, None);
        assert_eq!(asked_with(&run, None, 1).system.as_deref(), Some("Be kind."));
        assert_eq!(asked_with(&run, None, 2).system, None);
    }
}
