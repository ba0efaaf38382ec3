//! A model's own chat template, rendered as transformers renders it.

mod guard;
mod methods;
mod skeleton;
mod spans;
mod syntax;
pub(super) mod values;

use std::sync::Arc;

use contract::Code;
use contract::chat::ChatMessage;
use contract::problem::Problem;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, Value};

use super::limits::{CALLS, FUEL, WORDS};
use super::{Piece, budget, clock, python, shield};
use crate::tokenizer::ModelTokenizer;
use skeleton::{Skeleton, Skeletons};

/// A compiled chat template and the special tokens of its tokenizer.
#[derive(Clone)]
pub struct ChatTemplate {
    environment: Arc<Environment<'static>>,
    bos: Option<String>,
    eos: Option<String>,
    turn_marks: Arc<Vec<String>>,
    skeletons: Arc<Skeletons>,
    system_ok: bool,
    now: i64,
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTemplate").field("bos", &self.bos).field("eos", &self.eos).finish_non_exhaustive()
    }
}

/// What a template may be given besides messages.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// Tools, as JSON; null when there are none.
    pub tools: serde_json::Value,
    /// Further variables, an object.
    pub variables: serde_json::Map<String, serde_json::Value>,
}

impl ChatTemplate {
    /// Compiles `source` for a tokenizer.
    ///
    /// # Errors
    /// `template.broken` with the line.
    pub fn new(source: &str, tokenizer: &ModelTokenizer) -> Result<Self, Problem> {
        let marks = tokenizer.special_tokens().into_iter().chain(tokenizer.added_tokens()).collect();
        Self::with_tokens(source, tokenizer.bos_token(), tokenizer.eos_token(), marks)
    }

    /// Compiles `source` with begin and end token, and all tokens a turn may end with, given as text.
    ///
    /// # Errors
    /// `template.broken` with the line.
    pub fn with_tokens(
        source: &str,
        bos: Option<&str>,
        eos: Option<&str>,
        mut turn_marks: Vec<String>,
    ) -> Result<Self, Problem> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        let syntax = syntax.map_err(|error| broken(&error))?;
        let guard = || guard::guarded(&without_generation_tags(source), &syntax);
        let source = crate::panics::caught(guard).ok_or_else(unforeseen)?.map_err(|error| broken(&error))?;
        environment.set_syntax(syntax);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(CALLS);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_unknown_method_callback(methods::call);
        values::install(&mut environment);
        methods::install(&mut environment);
        environment.add_filter("tojson", python::tojson);
        environment.add_function("raise_exception", raise);
        environment.set_formatter(|out, _, value| {
            out.write_str(&python::display(value)?).map_err(|_| Error::from(ErrorKind::WriteFailure))
        });
        environment.add_template_owned("chat", source).map_err(|error| broken(&error))?;
        turn_marks.retain(|mark| !mark.trim().is_empty());
        let mut template = Self {
            environment: Arc::new(environment),
            bos: bos.map(str::to_owned),
            eos: eos.map(str::to_owned),
            turn_marks: Arc::new(turn_marks),
            skeletons: Arc::default(),
            system_ok: true,
            now: clock::now(),
        };
        let probe = [super::message("system", "s"), super::message("user", "u")];
        template.system_ok = template.render(&probe, true, &Extras::default()).is_ok();
        Ok(template)
    }

    /// Sets the time `strftime_now` tells, seconds since 1970 in UTC; at first the time of compiling.
    #[must_use]
    pub fn at(mut self, seconds: i64) -> Self {
        self.now = seconds;
        self.skeletons = Arc::default();
        self
    }

    /// Renders messages; `open` asks for the opening of an answer (`add_generation_prompt`).
    ///
    /// # Errors
    /// `template.refused` with the words of `raise_exception`, or `template.failed`.
    pub fn render(&self, messages: &[ChatMessage], open: bool, extras: &Extras) -> Result<String, Problem> {
        let messages = messages
            .iter()
            .map(|message| serde_json::json!({"role": message.role, "content": message.content}))
            .collect();
        self.render_json(&serde_json::Value::Array(messages), open, extras)
    }

    /// Renders messages that may carry more than role and content (tool calls, thoughts).
    ///
    /// # Errors
    /// As [`ChatTemplate::render`].
    pub fn render_json(
        &self,
        messages: &serde_json::Value,
        open: bool,
        extras: &Extras,
    ) -> Result<String, Problem> {
        let mut context = std::collections::BTreeMap::new();
        for (name, value) in &extras.variables {
            context.insert(name.clone(), serialized(value));
        }
        context.insert("messages".to_owned(), serialized(messages));
        context.insert("tools".to_owned(), serialized(&extras.tools));
        context.insert("documents".to_owned(), Value::from(()));
        context.insert("add_generation_prompt".to_owned(), Value::from(open));
        let now = self.now;
        let strftime = move |format: Value| clock::strftime(format.as_str().unwrap_or_default(), now);
        context.insert("strftime_now".to_owned(), Value::from_function(strftime));
        for (name, token) in [("bos_token", &self.bos), ("eos_token", &self.eos)] {
            // Templates join these without asking; a token the model lacks adds nothing.
            context.insert(name.to_owned(), Value::from(token.as_deref().unwrap_or_default()));
        }
        let variables = extras.variables.values();
        let size = variables.fold(budget::Size::default(), |size, value| size.with(value));
        let size = size.with(messages).with(&extras.tools);
        let environment = size.environment(&self.environment);
        let render = || {
            let template = environment.get_template("chat").map_err(|error| broken(&error))?;
            let mut out = budget::Capped::new(size);
            match template.render_captured_to(Value::from(context), &mut out).map(drop) {
                Ok(()) => out.text(),
                Err(error) => Err(refused(&error)),
            }
        };
        crate::panics::caught(render).unwrap_or_else(|| Err(unforeseen()))
    }

    /// Pieces of the training text, or with `answered` false, of the prompt. A template that refuses system
    /// messages gets the system text at the head of the first question.
    pub(super) fn pieces(&self, messages: &[ChatMessage], answered: bool) -> Result<Vec<Piece>, Problem> {
        let folded;
        let mut system_length = None;
        let messages = match messages {
            [system, question, ..] if !self.system_ok && system.role == "system" => {
                let content = [system.content.as_str(), FOLD, &question.content].concat();
                system_length = Some(system.content.len());
                folded = [&[super::message("user", &content)], &messages[2..]].concat();
                &folded
            }
            _ => messages,
        };
        spans::pieces(self, messages, answered, system_length)
    }

    /// What the template prints around contents of messages with these roles.
    fn skeleton(&self, roles: Vec<String>) -> Arc<Skeleton> {
        self.skeletons.of(self, roles)
    }

    /// Tokens, of `added` ones, that it writes as marks around turns.
    pub(super) fn written_marks(&self, added: &[String]) -> Vec<String> {
        let system = self.system_ok.then_some("system");
        let roles = system.into_iter().chain(["user", "assistant", "user", "assistant"]).map(str::to_owned);
        let skeleton = self.skeleton(roles.collect());
        let (around, openings) = skeleton.printed();
        shield::turn_marks(added, &around, &openings)
    }

    /// Tokens a turn may end with, and other marks.
    pub(super) fn turn_marks(&self) -> &[String] {
        &self.turn_marks
    }

    pub(super) fn eos(&self) -> Option<&str> {
        self.eos.as_deref()
    }
}

/// Between a system text and the question it is put before.
const FOLD: &str = "\n\n";

fn serialized(json: &serde_json::Value) -> Value {
    Value::from(Serde(json))
}

/// Marks errors raised by the template itself.
const RAISED: &str = "raise_exception: ";

fn raise(words: &Value) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, format!("{RAISED}{}", python::display(words)?)))
}

fn broken(error: &Error) -> Problem {
    let line = error.line().map(|line| format!(" in line {line}")).unwrap_or_default();
    let why = short(error.detail().unwrap_or("it cannot be read"));
    Problem::new(Code::TemplateBroken, format!("The model's chat template does not compile{line}: {why}."))
        .with("why", format!("{why}{line}"))
        .hint("Choose a built-in template for this model.")
}

fn refused(error: &Error) -> Problem {
    if let Some(words) = error.detail().and_then(|detail| detail.strip_prefix(RAISED)) {
        let words = short(words);
        return Problem::new(Code::TemplateRefused, words).with("why", words).hint(
            "The model's chat template refuses this conversation; change it or choose a built-in template.",
        );
    }
    let line = error.line().map(|line| format!(" in line {line}")).unwrap_or_default();
    let why = error.detail().map_or_else(|| error.kind().to_string(), |why| short(why).to_owned());
    Problem::new(Code::TemplateFailed, format!("The model's chat template failed{line}: {why}."))
        .with("why", format!("{why}{line}"))
        .hint("Choose a built-in template for this model.")
}

fn unforeseen() -> Problem {
    let why = "it does something that was not foreseen";
    Problem::new(Code::TemplateFailed, format!("The model's chat template failed: {why}."))
        .with("why", why)
        .hint("Choose a built-in template for this model.")
}

/// At most [`WORDS`] bytes of words that a template chose.
fn short(words: &str) -> &str {
    words.get(..words.floor_char_boundary(WORDS)).unwrap_or(words)
}

/// `{% generation %}` marks answers for transformers and prints nothing; a plain `if` takes its place.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(open) = rest.find("{%") {
        let Some(length) = rest[open..].find("%}") else { break };
        let tag = &rest[open..open + length + 2];
        let inner = tag[2..tag.len() - 2].trim_matches(['-', '+']).trim();
        let instead = match inner {
            "generation" => Some("if true"),
            "endgeneration" => Some("endif"),
            _ => None,
        };
        out.push_str(&rest[..open]);
        match instead {
            Some(words) => out.push_str(&tag.replacen(inner, words, 1)),
            None => out.push_str(tag),
        }
        rest = &rest[open + length + 2..];
    }
    out.push_str(rest);
    out
}
