//! Several files at once: what they become, said before they are sent.

use contract::dataset::FileKind;
use contract::origin::{by_name, is_hidden, missing_shards};
use leptos::prelude::*;

use crate::browser::sets::Picked;
use crate::words::amounts::{num, size};
use crate::words::{fill, words};

/// Names that are shown of many.
const SHOWN: usize = 6;

/// What becomes of several files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Becomes {
    /// One dataset of all.
    One,
    /// One of each.
    Each,
}

/// Files that were chosen together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Several {
    /// Names of those that hold rows, in the order in which they are read.
    names: Vec<String>,
    bytes: u64,
    /// Names of the others.
    passed: Vec<String>,
    about: About,
}

/// What names say of files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct About {
    /// Two that cannot become one dataset.
    mixed: Option<(String, String)>,
    /// A name that two of them have.
    twice: Option<String>,
    /// Shards that are not among them.
    missing: Vec<String>,
}

impl About {
    /// Of names in order.
    fn of(names: &[&str]) -> Self {
        let json = |kind| matches!(kind, Some(FileKind::Json | FileKind::Jsonl));
        let kind = |name: &str| FileKind::of_name(name);
        let first = names.first().copied().unwrap_or_default();
        let same = |name: &str| kind(name) == kind(first) || json(kind(name)) && json(kind(first));
        let other = names.iter().find(|name| !same(name));
        Self {
            mixed: other.map(|other| (first.to_owned(), (*other).to_owned())),
            twice: names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].to_owned()),
            missing: missing_shards(names.iter().copied()),
        }
    }
}

impl Several {
    /// Sorts files out and gives back those that hold rows: hidden ones, and those that hold none by their names, are
    /// passed over.
    pub(super) fn of(files: Vec<Picked>) -> (Self, Vec<Picked>) {
        let holds = |one: &Picked| !is_hidden(&one.name) && FileKind::of_name(&one.name).is_some();
        let (mut taken, others): (Vec<_>, Vec<_>) = files.into_iter().partition(holds);
        taken.sort_by(|a, b| by_name(&a.name, &b.name));
        let passed = others.into_iter().map(|one| one.name).filter(|name| !is_hidden(name)).collect();
        let names: Vec<String> = taken.iter().map(|one| one.name.clone()).collect();
        let bytes = taken.iter().map(|one| one.file.size() as u64).sum();
        let about = About::of(&names.iter().map(String::as_str).collect::<Vec<_>>());
        (Self { names, bytes, passed, about }, taken)
    }

    /// Whether they can become one dataset as far as their names tell; what their columns are is seen when they are read.
    pub(super) fn fit(&self) -> bool {
        self.about.mixed.is_none() && self.about.twice.is_none()
    }

    /// What they most likely are to become.
    pub(super) fn guess(&self) -> Becomes {
        if self.fit() { Becomes::One } else { Becomes::Each }
    }
}

/// The first names of many in a sentence.
fn listed<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    let more = if names.len() > SHOWN { ", …" } else { "" };
    names.take(SHOWN).collect::<Vec<_>>().join(", ") + more
}

/// The question what they become, with a guess.
#[component]
pub(super) fn Together(several: Several, becomes: RwSignal<Becomes>) -> impl IntoView {
    let w = &words().data;
    let legend = fill(w.several_legend, &[&num(several.names.len() as u64), &size(several.bytes)]);
    let guess = match (&several.about.mixed, &several.about.twice) {
        (Some((one, other)), _) => fill(w.several_mixed, &[one, other]),
        (None, Some(name)) => fill(w.several_twice, &[name]),
        (None, None) => w.several_guess.to_owned(),
    };
    let names = listed(several.names.iter().map(String::as_str));
    let notes = [
        (w.several_passed, listed(several.passed.iter().map(String::as_str))),
        (w.several_missing, listed(several.about.missing.iter().map(String::as_str))),
    ]
    .into_iter()
    .filter(|(_, names)| !names.is_empty())
    .map(|(text, names)| view! { <p class="small break">{fill(text, &[&names])}</p> })
    .collect_view();
    let fit = several.fit();
    let choice = move |one: Becomes, value: &'static str, name: &'static str, text: String| {
        let on = move || becomes.get() == one;
        view! {
            <label class="choice card-choice">
                <input type="radio" name="becomes" value=value checked=on prop:checked=on disabled=one == Becomes::One && !fit
                    on:change=move |_| becomes.set(one)/>
                <span><strong>{name}</strong><span class="small break">{text}</span></span>
            </label>
        }
    };
    view! {
        <fieldset class="readings">
            <legend>{legend}</legend>
            <p class="small break">{names}</p>
            {choice(Becomes::One, "one", w.several_one, guess)}
            {choice(Becomes::Each, "each", w.several_each, w.several_each_text.to_owned())}
            {notes}
        </fieldset>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_073_names_tell_what_cannot_be_one_dataset_and_what_is_missing() {
        assert_eq!(About::of(&["a.json", "b.jsonl"]), About::default());
        let mixed = About::of(&["a.csv", "b.csv", "c.xlsx"]).mixed;
        assert_eq!(mixed, Some(("a.csv".to_owned(), "c.xlsx".to_owned())));
        assert_eq!(About::of(&["a.csv", "a.csv"]).twice, Some("a.csv".to_owned()));
        assert_eq!(About::of(&["t-0-of-2.csv"]).missing, ["t-1-of-2.csv"]);
        assert_eq!(About::of(&[]), About::default());
    }

    #[test]
    fn many_names_are_shown_by_the_first() {
        let names = ["a"; 9];
        assert_eq!(listed(names.into_iter()), "a, a, a, a, a, a, …");
        assert_eq!(listed(names.into_iter().take(2)), "a, a");
    }
}
