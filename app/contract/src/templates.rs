//! Prompt templates: the built-in ones word for word (S-220), and those people write themselves.

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::label;
use crate::problem::Problem;

/// The key that means "the model's own chat template".
pub const MODEL_TEMPLATE: &str = "model";

/// A built-in template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Builtin {
    /// Key.
    pub name: &'static str,
    /// Text before the first turn; followed by `sep` when not empty.
    pub prefix: &'static str,
    /// One turn, with `{query}`.
    pub prompt: &'static str,
    /// Text between turns.
    pub sep: &'static str,
    /// Whether earlier turns are kept.
    pub use_history: bool,
}

/// Every built-in template (S-220).
pub const BUILTIN: &[Builtin] = &[
    Builtin { name: "vanilla", prefix: "", prompt: "{query}", sep: "", use_history: false },
    Builtin {
        name: "default",
        prefix: "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions.",
        prompt: "Human: {query}\nAssistant: ",
        sep: "\n",
        use_history: true,
    },
    Builtin {
        name: "alpaca",
        prefix: "Below is an instruction that describes a task. Write a response that appropriately completes the request.",
        prompt: "### Instruction:\n{query}\n\n### Response:\n",
        sep: "\n\n",
        use_history: true,
    },
    Builtin {
        name: "vicuna",
        prefix: "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions.",
        prompt: "USER: {query} ASSISTANT: ",
        sep: "</s>",
        use_history: true,
    },
    Builtin {
        name: "belle",
        prefix: "",
        prompt: "Human: {query}\n\nBelle: ",
        sep: "\n\n",
        use_history: true,
    },
    Builtin { name: "linly", prefix: "", prompt: "User: {query}\nBot: ", sep: "\n", use_history: true },
    Builtin {
        name: "billa",
        prefix: "",
        prompt: "Human: {query}\nAssistant: ",
        sep: "\n",
        use_history: true,
    },
    Builtin { name: "ziya", prefix: "", prompt: "<human>:{query}\n<bot>:", sep: "\n", use_history: true },
    Builtin {
        name: "aquila",
        prefix: "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the human's questions.",
        prompt: "Human: {query}###Assistant: ",
        sep: "###",
        use_history: true,
    },
    Builtin {
        name: "intern",
        prefix: "",
        prompt: "<|User|>:{query}<eoh>\n<|Bot|>:",
        sep: "<eoa>\n",
        use_history: true,
    },
    Builtin {
        name: "baichuan",
        prefix: "",
        prompt: "<reserved_102>{query}<reserved_103>",
        sep: "",
        use_history: true,
    },
];

/// The built-in template of that name.
pub fn builtin(name: &str) -> Option<&'static Builtin> {
    BUILTIN.iter().find(|template| template.name == name)
}

/// Whether a form may carry this key.
pub fn is_known(key: &str) -> bool {
    key == MODEL_TEMPLATE
        || builtin(key).is_some()
        || UserTemplate::of_key(key).is_some_and(|own| own.is_ok())
}

/// Begins the key of a template that is written out in the key itself.
const USER: &str = "user:";

/// Longest text of a part of a user template, characters.
pub const MAX_PART: usize = 4000;

/// Most stop words of a user template.
pub const MAX_STOPS: usize = 8;

/// A template made in the browser. It travels whole inside its key ([`UserTemplate::key`]), so a run keeps the one it
/// was launched with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserTemplate {
    /// Label.
    pub name: String,
    /// System text where none is given; as in the built-in ones it stands before the first turn.
    #[serde(default)]
    pub prefix: String,
    /// How a system text is written, with `{system}`; empty: the text followed by `sep`.
    #[serde(default)]
    pub system: String,
    /// One turn up to where the answer begins, with `{query}` exactly once.
    pub prompt: String,
    /// Text between turns.
    #[serde(default)]
    pub sep: String,
    /// Whether earlier turns are kept.
    #[serde(default)]
    pub use_history: bool,
    /// Where an answer ends. The first is written behind every answer and learnt; without any, the model's own end
    /// token is.
    #[serde(default)]
    pub stop_words: Vec<String>,
}

impl UserTemplate {
    /// The key of a draft and a specification.
    pub fn key(&self) -> String {
        format!("{USER}{}", serde_json::to_string(self).unwrap_or_default())
    }

    /// The template a key holds; `None` when the key is none of a user template.
    pub fn of_key(key: &str) -> Option<Result<Self, Vec<Problem>>> {
        let text = key.strip_prefix(USER)?;
        let read = serde_json::from_str::<Self>(text).map_err(|error| {
            vec![
                Problem::new(Code::TemplateBroken, format!("The template cannot be read: {error}."))
                    .with("why", error)
                    .field("template")
                    .hint("Save it again."),
            ]
        });
        Some(read.and_then(|template| template.checked()))
    }

    /// Checks every part.
    ///
    /// # Errors
    /// Every problem, each naming its part.
    pub fn checked(mut self) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        match label::required(&self.name) {
            Ok(name) => self.name = name,
            Err(problem) => problems.push(problem),
        }
        let mut need = |sound: bool, part: &str, problem: Problem, hint: &str| {
            if !sound {
                problems.push(problem.field(part).hint(hint));
            }
        };
        let count = |text: &str, what: &str| text.matches(what).count();
        need(
            count(&self.prompt, "{query}") == 1,
            "prompt",
            Problem::new(
                Code::TemplateQueryOnce,
                format!(
                    "The turn must hold {{query}} once; it holds it {} times.",
                    count(&self.prompt, "{query}")
                ),
            )
            .with("mark", "{query}")
            .with("count", count(&self.prompt, "{query}")),
            "Write {query} where the question stands.",
        );
        need(
            self.system.is_empty() || count(&self.system, "{system}") == 1,
            "system",
            Problem::new(Code::TemplateSystemOnce, "The form of the system text must hold {system} once.")
                .with("mark", "{system}"),
            "Write {system} where the text stands, or leave the field empty.",
        );
        let parts = [
            ("prefix", &self.prefix),
            ("system", &self.system),
            ("prompt", &self.prompt),
            ("sep", &self.sep),
        ];
        for (part, text) in parts.into_iter().chain(self.stop_words.iter().map(|word| ("stop_words", word))) {
            need(
                text.chars().count() <= MAX_PART,
                part,
                Problem::new(Code::FormTooLong, format!("This part is longer than {MAX_PART} characters."))
                    .with("most", MAX_PART),
                "Shorten it.",
            );
            need(
                !text.contains('\0'),
                part,
                Problem::new(Code::FormNul, "This part holds a NUL character."),
                "Remove it.",
            );
        }
        need(
            self.stop_words.len() <= MAX_STOPS,
            "stop_words",
            Problem::new(Code::FormTooMany, format!("A template has at most {MAX_STOPS} stop words."))
                .with("most", MAX_STOPS),
            "Keep those that end an answer.",
        );
        need(
            self.stop_words.iter().all(|word| !word.trim().is_empty()),
            "stop_words",
            Problem::new(Code::FormBlank, "A stop word is empty."),
            "Remove it.",
        );
        if problems.is_empty() { Ok(self) } else { Err(problems) }
    }
}

/// Families whose models were trained with one of the built-in templates: a part of the model's name, lower case, or of
/// its architecture.
const FAMILIES: &[(&str, &str)] = &[
    ("vicuna", "vicuna"),
    ("alpaca", "alpaca"),
    ("belle", "belle"),
    ("linly", "linly"),
    ("billa", "billa"),
    ("ziya", "ziya"),
    ("aquila", "aquila"),
    ("internlm", "intern"),
    ("baichuan", "baichuan"),
];

/// The template to start with: the model's own where it has one, else the one of its family, by its name or its
/// architecture, else `default`.
pub fn suggest(model_name: &str, architecture: &str, has_chat_template: bool) -> &'static str {
    if has_chat_template {
        return MODEL_TEMPLATE;
    }
    let name = model_name.to_lowercase();
    let of =
        |text: &str| FAMILIES.iter().find(|(part, _)| text.contains(part)).map(|(_, template)| *template);
    of(&name).or_else(|| of(architecture)).unwrap_or("default")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chatml() -> UserTemplate {
        UserTemplate {
            name: "ChatML".into(),
            system: "<|im_start|>system\n{system}<|im_end|>\n".into(),
            prompt: "<|im_start|>user\n{query}<|im_end|>\n<|im_start|>assistant\n".into(),
            sep: "\n".into(),
            use_history: true,
            stop_words: vec!["<|im_end|>".into()],
            ..UserTemplate::default()
        }
    }

    #[test]
    fn s_220_a_template_of_ones_own_travels_in_its_key() {
        let own = chatml();
        assert_eq!(UserTemplate::of_key(&own.key()), Some(Ok(own.clone())));
        assert!(is_known(&own.key()));
        assert_eq!(UserTemplate::of_key("default"), None);
        assert!(!is_known("user:{") && !is_known("user:{}"));
    }

    #[test]
    fn every_fault_of_a_template_is_named_with_its_part() {
        let bad = UserTemplate {
            name: " ".into(),
            prompt: "{query} {query}".into(),
            system: "none".into(),
            stop_words: vec![String::new()],
            ..UserTemplate::default()
        };
        let problems = bad.checked().unwrap_err();
        let keys: Vec<_> = problems.iter().filter_map(Problem::form_key).collect();
        assert_eq!(keys, ["name", "prompt", "system", "stop_words"]);
    }

    #[test]
    fn s_061_the_family_of_a_model_suggests_its_template() {
        assert_eq!(suggest("Qwen2.5-0.5B-Instruct", "qwen2", true), "model");
        assert_eq!(suggest("lmsys/vicuna-7b-v1.5", "llama", false), "vicuna");
        assert_eq!(suggest("Baichuan-13B-Chat", "baichuan", false), "baichuan");
        assert_eq!(suggest("internlm-chat-7b", "internlm", false), "intern");
        assert_eq!(suggest("pythia-160m", "gpt_neox", false), "default");
        for (architecture, template) in [
            ("baichuan", "baichuan"),
            ("internlm", "intern"),
            ("aquila", "aquila"),
            ("bloom", "default"),
            ("falcon", "default"),
            ("olmo2", "default"),
        ] {
            assert_eq!(suggest("our own", architecture, false), template, "{architecture}");
        }
        assert_eq!(suggest("Ziya-13B", "baichuan", false), "ziya", "a name says more");
    }
}
