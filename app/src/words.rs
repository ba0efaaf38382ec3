//! Every sentence the pages can say, in both languages side by side: a table cannot lack one of them.

pub(crate) mod amounts;
mod data;
mod health;
mod help;
mod hub;
mod limits;
mod models;
mod play;
mod problems;
mod row_reason;
mod runs;
mod status;
mod studio;
mod templates;
mod verdict;

use contract::chat::Voice;
use contract::checkpoint::Mark;
use contract::templates::{MODEL_TEMPLATE, UserTemplate};
use leptos::prelude::use_context;

pub(crate) use hub::Hub;
pub(crate) use limits::{limit_name, own_name};
pub(crate) use problems::{field_text, problem_text};
pub(crate) use row_reason::reason_text;
pub(crate) use runs::Runs;
pub(crate) use status::{Standing, now_line, run_status, state_word};
pub(crate) use verdict::{objection, verdict_text};

/// Language of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lang {
    /// English.
    En,
    /// Chinese, simplified.
    Zh,
}

impl Lang {
    /// The value of `<html lang>`.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh-CN",
        }
    }

    /// Reads a cookie value, a `lang` attribute or the head of an `Accept-Language` header.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        match text.get(..2) {
            Some("en") => Some(Self::En),
            Some("zh") => Some(Self::Zh),
            _ => None,
        }
    }

    /// One of two texts.
    pub(crate) fn pick<'a>(self, en: &'a str, zh: &'a str) -> &'a str {
        match self {
            Self::En => en,
            Self::Zh => zh,
        }
    }

    /// One of a declaration's two texts.
    pub(crate) fn of(self, words: contract::param::Words) -> &'static str {
        match self {
            Self::En => words.en,
            Self::Zh => words.zh,
        }
    }
}

macro_rules! table {
    ($name:ident { $($key:ident: $en:literal, $zh:literal;)* }) => {
        /// One page's sentences in one language.
        #[derive(Debug)]
        pub(crate) struct $name {
            $(pub(crate) $key: &'static str,)*
        }

        impl $name {
            pub(crate) const EN: Self = Self { $($key: $en,)* };
            pub(crate) const ZH: Self = Self { $($key: $zh,)* };
            /// Every entry in both languages, for the tests.
            #[cfg(test)]
            pub(crate) const PAIRS: &[(&str, &str, &str)] = &[$((stringify!($key), $en, $zh),)*];
        }
    };
}
pub(crate) use table;

/// All tables of one language.
#[derive(Debug)]
pub(crate) struct Words {
    /// The language.
    pub(crate) lang: Lang,
    /// Frame, start page, settings.
    pub(crate) studio: studio::Studio,
    /// Datasets.
    pub(crate) data: data::Data,
    /// Models.
    pub(crate) models: models::Models,
    /// Health before a run.
    pub(crate) health: health::Health,
    /// Templates.
    pub(crate) templates: templates::Templates,
    /// Model hub.
    pub(crate) hub: hub::Hub,
    /// Runs.
    pub(crate) runs: runs::Runs,
    /// Playground.
    pub(crate) play: play::Play,
    /// Manual.
    pub(crate) help: help::Help,
}

static EN: Words = Words {
    lang: Lang::En,
    studio: studio::Studio::EN,
    data: data::Data::EN,
    models: models::Models::EN,
    health: health::Health::EN,
    templates: templates::Templates::EN,
    hub: hub::Hub::EN,
    runs: runs::Runs::EN,
    play: play::Play::EN,
    help: help::Help::EN,
};
static ZH: Words = Words {
    lang: Lang::Zh,
    studio: studio::Studio::ZH,
    data: data::Data::ZH,
    models: models::Models::ZH,
    health: health::Health::ZH,
    templates: templates::Templates::ZH,
    hub: hub::Hub::ZH,
    runs: runs::Runs::ZH,
    play: play::Play::ZH,
    help: help::Help::ZH,
};

/// The tables of a language.
pub(crate) fn of(lang: Lang) -> &'static Words {
    match lang {
        Lang::En => &EN,
        Lang::Zh => &ZH,
    }
}

/// The tables of the page being drawn.
pub(crate) fn words() -> &'static Words {
    of(use_context::<Lang>().unwrap_or(Lang::En))
}

/// Puts values where a sentence says `{0}`, `{1}`.
pub(crate) fn fill(sentence: &str, values: &[&str]) -> String {
    let (mut text, mut rest) = (String::new(), sentence);
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let place =
            after.split_once('}').and_then(|(at, more)| Some((values.get(at.parse::<usize>().ok()?)?, more)));
        rest = match place {
            Some((value, more)) => {
                text.push_str(value);
                more
            }
            None => {
                text.push('{');
                after
            }
        };
    }
    text + rest
}

/// How a checkpoint stands by its eval loss, in a few words.
pub(crate) fn mark_word(w: &Words, mark: Mark) -> &'static str {
    match mark {
        Mark::Best => w.runs.best,
        Mark::Lowest => w.runs.lowest,
        Mark::NoBetter => w.runs.no_better,
    }
}

/// What people call a template, by its key.
pub(crate) fn template_name(key: &str) -> String {
    match UserTemplate::of_key(key) {
        Some(Ok(own)) => own.name,
        _ if key == MODEL_TEMPLATE => words().runs.template_model.to_owned(),
        _ => key.to_owned(),
    }
}

/// What a model or a checkpoint is called: `Kettle & Co support, step 60 · Best`.
pub(crate) fn voice_name(voice: &Voice) -> String {
    let w = words();
    // Step 0 is an adapter as it came: it is the only one of its run.
    let Some(step) = voice.target.step.filter(|step| *step > 0) else { return voice.name.clone() };
    let name = fill(w.runs.lineage_step, &[&voice.name, &step.to_string()]);
    match voice.mark {
        Some(mark) => format!("{name} · {}", mark_word(w, mark)),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs() -> Vec<(&'static str, &'static str, &'static str)> {
        [
            studio::Studio::PAIRS,
            data::Data::PAIRS,
            models::Models::PAIRS,
            health::Health::PAIRS,
            templates::Templates::PAIRS,
            hub::Hub::PAIRS,
            runs::Runs::PAIRS,
            play::Play::PAIRS,
            help::Help::PAIRS,
        ]
        .concat()
    }

    #[test]
    fn what_is_put_into_a_sentence_is_no_sentence_itself() {
        assert_eq!(fill("{1} of {0}, {2} {query}", &["{1}{0}", "{0"]), "{0 of {1}{0}, {2} {query}");
        assert_eq!(fill("{", &["x"]), "{");
    }

    #[test]
    fn no_sentence_is_empty_and_both_languages_take_the_same_values() {
        for (key, en, zh) in pairs() {
            assert!(!en.trim().is_empty() && !zh.trim().is_empty(), "{key}");
            for value in ["{0}", "{1}", "{2}"] {
                assert_eq!(en.contains(value), zh.contains(value), "{key} {value}");
            }
        }
    }

    #[test]
    fn no_sentence_shouts() {
        for (key, en, zh) in pairs() {
            assert!(!en.contains('!') && !zh.contains('!'), "{key}");
        }
    }

    #[test]
    fn a_language_is_read_from_cookie_or_header() {
        assert_eq!(Lang::read("zh-CN,zh;q=0.9"), Some(Lang::Zh));
        assert_eq!(Lang::read("EN"), Some(Lang::En));
        assert_eq!(Lang::read("fr"), None);
        assert_eq!(Lang::read(""), None);
    }

    #[test]
    fn values_stand_where_the_sentence_wants_them() {
        assert_eq!(fill("{1} of {0}", &["9", "3"]), "3 of 9");
    }
}
