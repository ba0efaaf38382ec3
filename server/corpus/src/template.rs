//! Prompt templates: one object formats for training, preview and the playground.

mod budget;
pub mod builtin;
mod clock;
mod jinja;
mod limits;
mod python;
mod shield;
pub mod stop;

use std::ops::Range;
use std::sync::Arc;

use contract::Code;
use contract::chat::ChatMessage;
use contract::problem::Problem;
use contract::templates::{self, MODEL_TEMPLATE, UserTemplate};

use crate::conversation::{self, Conversation};
use crate::tokenizer::ModelTokenizer;
use crate::tokenizer::plain::ControlWords;
use builtin::BuiltinTemplate;
pub use jinja::{ChatTemplate, Extras};
use shield::Shield;

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
    /// Places inside words of control tokens that people wrote: those words are plain text. Ascending, in bytes.
    pub broken: Vec<usize>,
    /// Where texts stand that are cut before the question, in this order: system text, earlier text. In bytes.
    pub spare: Vec<Range<usize>>,
    /// Where the words of the question stand, if that is known. In bytes.
    pub question: Option<Range<usize>>,
}

impl Piece {
    /// Text before an answer of which nothing survives cutting in particular.
    fn asked(text: String) -> Self {
        Self { text, learn: false, tail: 0, broken: Vec::new(), spare: Vec::new(), question: None }
    }

    /// Bytes that are tokenised together: all of them, but for what ends an answer, which is tokenised by itself, so
    /// that an answer has its tokens whatever ends it.
    pub(crate) fn head(&self) -> usize {
        self.text.len() - if self.learn { self.tail } else { 0 }
    }

    /// An answer whose last bytes end its turn.
    fn answer(text: String, tail: usize) -> Self {
        Self { learn: true, tail, ..Self::asked(text) }
    }
}

/// How a conversation becomes text.
#[derive(Clone, Debug)]
pub struct Template {
    name: String,
    key: String,
    kind: Kind,
    stop_words: Vec<String>,
    controls: Arc<ControlWords>,
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
                let mut found = Self::new(MODEL_TEMPLATE, MODEL_TEMPLATE, Kind::Chat(chat), tokenizer);
                found.stop_words.extend(found.end_of_turn().filter(|end| is_word(end, tokenizer)));
                return Ok(found);
            }
            return Self::resolve("default", tokenizer);
        }
        match UserTemplate::of_key(key) {
            Some(Ok(own)) => {
                let builtin = BuiltinTemplate::own(&own, tokenizer.eos_token());
                let made = Self::new(&own.name, key, Kind::Builtin(builtin), tokenizer);
                return Ok(Self { stop_words: own.stop_words, ..made });
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
        Ok(Self::new(key, key, Kind::Builtin(builtin), tokenizer))
    }

    fn new(name: &str, key: &str, kind: Kind, tokenizer: &ModelTokenizer) -> Self {
        let added = tokenizer.added_tokens();
        let marks = match &kind {
            _ if added.is_empty() => Vec::new(),
            Kind::Builtin(builtin) => builtin.turn_marks(&added),
            Kind::Chat(chat) => chat.written_marks(&added),
        };
        let controls = Arc::new(ControlWords::new(tokenizer, &marks));
        Self { name: name.to_owned(), key: key.to_owned(), kind, stop_words: Vec::new(), controls }
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
    /// end token of the last answer. Words of control tokens in the conversation are plain text.
    ///
    /// # Errors
    /// `template.refused` with the template's own words.
    pub fn pieces(&self, conversation: &Conversation) -> Result<Vec<Piece>, Problem> {
        let Some(shield) = Shield::of(&self.controls, conversation::texts(conversation)) else {
            return self.pieces_as_written(conversation);
        };
        let pieces = self.pieces_as_written(&shield.conversation(conversation))?;
        Ok(pieces.into_iter().map(|piece| shield.lifted(piece)).collect())
    }

    /// The same with words of control tokens in the conversation as the tokens.
    ///
    /// # Errors
    /// As [`Template::pieces`].
    pub fn pieces_as_written(&self, conversation: &Conversation) -> Result<Vec<Piece>, Problem> {
        match &self.kind {
            Kind::Builtin(builtin) => Ok(builtin.pieces(conversation, true)),
            Kind::Chat(chat) => chat.pieces(&messages_of(conversation), true),
        }
    }

    /// The prompt of a built-in template as the ancestor joined it (S-222), words of control tokens in the conversation
    /// as the tokens; `None` for a chat template.
    pub(crate) fn joined_prompt(&self, conversation: &Conversation) -> Option<Piece> {
        match &self.kind {
            Kind::Builtin(builtin) => Some(builtin.joined_prompt(conversation)),
            Kind::Chat(_) => None,
        }
    }

    /// Words that are control tokens where this template writes them, and plain text where people do: all special
    /// tokens, and marks around its turns.
    pub fn control_words(&self) -> &ControlWords {
        &self.controls
    }

    /// Ids of a part of a piece, the begin token included with `first` where the model wants one.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub(crate) fn ids(
        &self,
        tokenizer: &ModelTokenizer,
        piece: &Piece,
        part: Range<usize>,
        first: bool,
    ) -> Result<Vec<u32>, Problem> {
        let within = piece.broken.iter().filter(|place| part.contains(place));
        let broken: Vec<usize> = within.map(|place| place - part.start).collect();
        tokenizer.encode_broken(&piece.text[part], &broken, &self.controls, first)
    }

    /// Ids of a whole piece, as training makes them. `first`: nothing stands before it.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub(crate) fn piece_ids(
        &self,
        tokenizer: &ModelTokenizer,
        piece: &Piece,
        first: bool,
    ) -> Result<Vec<u32>, Problem> {
        let (head, end) = (piece.head(), piece.text.len());
        let mut ids = self.ids(tokenizer, piece, 0..head, first && self.is_builtin())?;
        if head < end {
            ids.extend(self.ids(tokenizer, piece, head..end, false)?);
        }
        Ok(ids)
    }

    /// The same, with the bytes that each id is for; those of an answer's end are all for the whole of it.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub(crate) fn piece_places(
        &self,
        tokenizer: &ModelTokenizer,
        piece: &Piece,
        first: bool,
    ) -> Result<Vec<(u32, Range<usize>)>, Problem> {
        let (head, end) = (piece.head(), piece.text.len());
        let mut places = self.places(tokenizer, piece, head, first && self.is_builtin())?;
        if head < end {
            let tail = self.ids(tokenizer, piece, head..end, false)?;
            places.extend(tail.into_iter().map(|id| (id, head..end)));
        }
        Ok(places)
    }

    /// Ids of the first `end` bytes of a piece, with the bytes that each id is for.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub(crate) fn places(
        &self,
        tokenizer: &ModelTokenizer,
        piece: &Piece,
        end: usize,
        first: bool,
    ) -> Result<Vec<(u32, Range<usize>)>, Problem> {
        let within = piece.broken.partition_point(|place| *place < end);
        tokenizer.encode_places(&piece.text[..end], &piece.broken[..within], &self.controls, first)
    }

    /// Ids of a text of people that no template stands around; words of control tokens are plain.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn text_ids(&self, tokenizer: &ModelTokenizer, text: &str, first: bool) -> Result<Vec<u32>, Problem> {
        tokenizer.encode_broken(text, &self.controls.breaks(text), &self.controls, first)
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
        let texts = messages.iter().map(|message| message.content.as_str());
        let Some(shield) = Shield::of(&self.controls, texts) else { return self.prompt_as_written(messages) };
        let pieces = self.prompt_as_written(&shield.messages(messages))?;
        Ok(pieces.into_iter().map(|piece| shield.lifted(piece)).collect())
    }

    /// The pieces before the last answer of a conversation, as they are asked for. With `as_written`, words of control
    /// tokens in them are the tokens.
    ///
    /// # Errors
    /// As [`Template::prompt`].
    pub(crate) fn asked_pieces(
        &self,
        conversation: &Conversation,
        as_written: bool,
    ) -> Result<Vec<Piece>, Problem> {
        let mut messages = messages_of(conversation);
        messages.pop();
        if as_written { self.prompt_as_written(&messages) } else { self.prompt_pieces(&messages) }
    }

    fn prompt_as_written(&self, messages: &[ChatMessage]) -> Result<Vec<Piece>, Problem> {
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
            ids.extend(self.piece_ids(tokenizer, piece, index == 0)?);
        }
        Ok(ids)
    }

    /// Words at which an answer ends, besides the tokens of [`Template::stop_ids`]; for a [`stop::StopFilter`].
    pub fn stop_words(&self) -> &[String] {
        &self.stop_words
    }

    /// What this template writes behind an answer to end its turn; nothing for a template without any.
    fn end_of_turn(&self) -> Option<String> {
        let pieces = self.pieces(&sample()).unwrap_or_default();
        let last = pieces.last().filter(|piece| piece.learn && piece.tail > 0)?;
        Some(last.text[last.text.len() - last.tail..].to_owned())
    }

    /// Whether a model is asked otherwise than it is trained: what opens an answer when one is asked for is not how
    /// the template begins the answers it prints, and cannot be made so.
    pub fn asks_otherwise(&self) -> bool {
        let trained = self.pieces(&sample()).unwrap_or_default();
        let trained: String = trained.into_iter().map(|piece| piece.text).collect();
        let asked = self.prompt(&[message("user", "q")]).unwrap_or_default();
        !trained.starts_with(&asked)
    }

    /// Ids at which an answer ends: the end tokens of the model and the token this template writes after answers.
    pub fn stop_ids(&self, tokenizer: &ModelTokenizer) -> Vec<u32> {
        let mut ids = tokenizer.eos_ids();
        for end in self.end_of_turn().iter().chain(&self.stop_words) {
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

/// Tries the chat template of a model on a conversation and a question, within the limits of every rendering: what ends
/// a preview or a run is found when a model is imported. A model without one, or whose template refuses these in its own
/// words, has no fault.
///
/// # Errors
/// `template.broken`, `template.failed`, or when the tokenizer fails.
pub fn probe(tokenizer: &ModelTokenizer) -> Result<(), Problem> {
    if tokenizer.chat_template().is_none() {
        return Ok(());
    }
    let template = Template::resolve(MODEL_TEMPLATE, tokenizer)?;
    let turn = || ("q".to_owned(), "a".to_owned());
    let talk =
        Conversation { system: Some("s".to_owned()), turns: vec![turn(), turn()], ..Conversation::default() };
    for tried in [template.pieces(&talk), template.prompt_pieces(&[message("user", "q")])] {
        match tried {
            Ok(pieces) => {
                for piece in &pieces {
                    template.ids(tokenizer, piece, 0..piece.text.len(), false)?;
                }
            }
            Err(problem) if problem.code == Code::TemplateFailed => return Err(problem),
            Err(_) => {}
        }
    }
    Ok(())
}

/// A turn that shows what the template writes around it.
fn sample() -> Conversation {
    Conversation { turns: vec![("q".to_owned(), "a".to_owned())], ..Conversation::default() }
}

/// Whether an end of turn is several tokens, none of which ends an answer alone.
fn is_word(end: &str, tokenizer: &ModelTokenizer) -> bool {
    let ids = tokenizer.encode(end, false).unwrap_or_default();
    ids.len() > 1 && !tokenizer.is_special(ids[0])
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
