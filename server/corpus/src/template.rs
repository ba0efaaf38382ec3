//! Prompt templates: one object formats for training, preview and the playground.

mod budget;
pub mod builtin;
mod clock;
mod jinja;
mod python;
pub mod stop;

use contract::Code;
use contract::chat::ChatMessage;
use contract::problem::Problem;
use contract::templates::{self, MODEL_TEMPLATE, UserTemplate};

use crate::conversation::Conversation;
use crate::tokenizer::ModelTokenizer;
use builtin::BuiltinTemplate;
pub use jinja::{ChatTemplate, Extras};

/// A piece of the training text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The text; special tokens are written out.
    pub text: String,
    /// Counts in the loss: an answer with its end token.
    pub learn: bool,
    /// Bytes at the end that survive the length limits: the end token of an answer, or what a chat template
    /// writes between a question and its answer.
    pub tail: usize,
}

/// How a conversation becomes text.
#[derive(Clone, Debug)]
pub struct Template {
    name: String,
    key: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Builtin(BuiltinTemplate),
    Chat(ChatTemplate),
}

impl Template {
    /// The template of that key: `model` is the model's own chat template, else a built-in one (S-220) or a user
    /// template ([`UserTemplate::key`]). A model
    /// without a chat template falls back to the built-in `default`; [`Template::name`] then says `default`.
    ///
    /// # Errors
    /// `template.unknown`, or `template.broken` when the model's template does not compile.
    pub fn resolve(key: &str, tokenizer: &ModelTokenizer) -> Result<Self, Problem> {
        if key == MODEL_TEMPLATE {
            if let Some(source) = tokenizer.chat_template() {
                let chat = ChatTemplate::new(source, tokenizer)?;
                let name = MODEL_TEMPLATE.to_owned();
                return Ok(Self { key: name.clone(), name, kind: Kind::Chat(chat) });
            }
            return Self::resolve("default", tokenizer);
        }
        match UserTemplate::of_key(key) {
            Some(Ok(own)) => {
                let builtin = BuiltinTemplate::own(&own, tokenizer.eos_token());
                return Ok(Self { name: own.name, key: key.to_owned(), kind: Kind::Builtin(builtin) });
            }
            Some(Err(mut problems)) => return Err(problems.swap_remove(0)),
            None => {}
        }
        let found = templates::builtin(key).ok_or_else(|| {
            let known: Vec<_> = templates::BUILTIN.iter().map(|template| template.name).collect();
            Problem::new(Code::TemplateUnknown, format!("Template {key} does not exist."))
                .with("name", key)
                .field("template")
                .hint(format!("Choose model or one of {}.", known.join(", ")))
        })?;
        let builtin = BuiltinTemplate::new(found, tokenizer.eos_token());
        Ok(Self { name: key.to_owned(), key: key.to_owned(), kind: Kind::Builtin(builtin) })
    }

    /// Template really used: `model`, a built-in name, or the name of a user template.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Key it can be resolved by again, for the same model.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether it is a built-in one, to which the tokenizer's own begin token is added once in front.
    pub fn is_builtin(&self) -> bool {
        matches!(self.kind, Kind::Builtin(_))
    }

    /// The training text in pieces; exactly the answers and their end tokens are learnt. The text ends with the
    /// end token of the last answer.
    ///
    /// # Errors
    /// `template.refused` with the template's own words.
    pub fn pieces(&self, conversation: &Conversation) -> Result<Vec<Piece>, Problem> {
        match &self.kind {
            Kind::Builtin(builtin) => Ok(builtin.pieces(conversation, true)),
            Kind::Chat(chat) => chat.pieces(&messages_of(conversation), true),
        }
    }

    /// The prompt of a built-in template as the ancestor joined it (S-222); `None` for a chat template.
    pub(crate) fn joined_prompt(&self, conversation: &Conversation) -> Option<String> {
        match &self.kind {
            Kind::Builtin(builtin) => Some(builtin.joined_prompt(conversation)),
            Kind::Chat(_) => None,
        }
    }

    /// The text a model is asked with: a prefix of the training text of the same conversation.
    ///
    /// # Errors
    /// `template.refused`, or `chat.not_a_question` when the messages do not end with the user's.
    pub fn prompt(&self, messages: &[ChatMessage]) -> Result<String, Problem> {
        Ok(self.prompt_pieces(messages)?.into_iter().map(|piece| piece.text).collect())
    }

    /// The prompt in the pieces training would have cut it into.
    ///
    /// # Errors
    /// As [`Template::prompt`].
    pub fn prompt_pieces(&self, messages: &[ChatMessage]) -> Result<Vec<Piece>, Problem> {
        if messages.last().is_none_or(|last| last.role != "user") {
            return Err(Problem::new(Code::ChatNotAQuestion, "The last message must be the user's.")
                .field("messages")
                .hint("Send a question."));
        }
        match &self.kind {
            Kind::Builtin(builtin) => Ok(builtin.pieces(&conversation_of(messages)?, false)),
            Kind::Chat(chat) => chat.pieces(messages, false),
        }
    }

    /// Token ids of the prompt, tokenised piece by piece as in training, the begin token included where the
    /// model wants one.
    ///
    /// # Errors
    /// As [`Template::prompt`], or when the tokenizer fails.
    pub fn prompt_ids(
        &self,
        tokenizer: &ModelTokenizer,
        messages: &[ChatMessage],
    ) -> Result<Vec<u32>, Problem> {
        let mut ids = Vec::new();
        for (index, piece) in self.prompt_pieces(messages)?.iter().enumerate() {
            ids.extend(tokenizer.encode(&piece.text, index == 0 && self.is_builtin())?);
        }
        Ok(ids)
    }

    /// Words at which an answer ends, besides the tokens of [`Template::stop_ids`]; for a [`stop::StopFilter`].
    pub fn stop_words(&self) -> &[String] {
        match &self.kind {
            Kind::Builtin(builtin) => builtin.stop_words(),
            Kind::Chat(_) => &[],
        }
    }

    /// Ids at which an answer ends: the end tokens of the model and the token this template writes after answers.
    pub fn stop_ids(&self, tokenizer: &ModelTokenizer) -> Vec<u32> {
        let mut ids = tokenizer.eos_ids();
        let sample = Conversation { system: None, turns: vec![("q".to_owned(), "a".to_owned())] };
        let pieces = self.pieces(&sample).unwrap_or_default();
        let last = pieces.last().filter(|piece| piece.learn && piece.tail > 0);
        let tail = last.map(|piece| &piece.text[piece.text.len() - piece.tail..]);
        for end in tail.into_iter().chain(self.stop_words().iter().map(String::as_str)) {
            // One of several tokens is found as a stop word; its first token alone may be any text, unless it is one
            // that is never shown.
            match tokenizer.encode(end, false).unwrap_or_default().as_slice() {
                [only] => ids.push(*only),
                [first, ..] if tokenizer.is_special(*first) => ids.push(*first),
                _ => {}
            }
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

fn message(role: &str, content: &str) -> ChatMessage {
    ChatMessage { role: role.to_owned(), content: content.to_owned() }
}

/// Messages of a conversation, the last answer included.
fn messages_of(conversation: &Conversation) -> Vec<ChatMessage> {
    let mut messages = Vec::with_capacity(conversation.turns.len() * 2 + 1);
    messages.extend(conversation.system.as_deref().map(|text| message("system", text)));
    for (question, answer) in &conversation.turns {
        messages.push(message("user", question));
        messages.push(message("assistant", answer));
    }
    messages
}

/// Turns of messages that end with a question; its answer is empty.
fn conversation_of(messages: &[ChatMessage]) -> Result<Conversation, Problem> {
    let mut conversation = Conversation::default();
    let mut rest = messages;
    if let Some((first, others)) = rest.split_first()
        && first.role == "system"
    {
        conversation.system = Some(first.content.clone()).filter(|text| !text.is_empty());
        rest = others;
    }
    for (index, item) in rest.iter().enumerate() {
        let wanted = if index % 2 == 0 { "user" } else { "assistant" };
        if item.role != wanted {
            return Err(Problem::new(
                Code::ChatRolesMustAlternate,
                format!("Message {} is from {} where one from {wanted} is expected.", index + 1, item.role),
            )
            .with("number", index + 1)
            .with("role", &item.role)
            .with("wanted", wanted)
            .field("messages")
            .hint("After an optional system message, user and assistant take turns."));
        }
        match conversation.turns.last_mut() {
            Some(turn) if index % 2 == 1 => turn.1.clone_from(&item.content),
            _ => conversation.turns.push((item.content.clone(), String::new())),
        }
    }
    Ok(conversation)
}
