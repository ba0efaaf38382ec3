//! A chat as it grows: turns with their answers, then perhaps a question that waits for one.

use contract::row_reason::{RowReason, Side};

use super::Conversation;
use super::message::{Message, Role};

/// A conversation under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Talk {
    answered: Conversation,
    /// The question without an answer, if it ends with one.
    open: Option<String>,
    /// The message that answers it with nothing.
    silent: Option<usize>,
}

impl Talk {
    /// A conversation after these turns.
    pub(super) fn after(system: Option<String>, turns: Vec<(String, String)>) -> Self {
        let answered = Conversation { system, turns, ..Conversation::default() };
        Self { answered, ..Self::default() }
    }

    /// Asks.
    pub(super) fn ask(self, question: String) -> Self {
        Self { open: Some(question), ..self }
    }

    /// A conversation whose answer is messages: they go on from the prompt where they begin with an answer or the
    /// prompt ends with one, else they are the whole conversation, its prompt included. `system` is for these.
    ///
    /// # Errors
    /// The reason why there is no prompt where one is needed; as [`Talk::extend`].
    pub(super) fn followed(
        prompt: Result<Self, RowReason>,
        system: Option<String>,
        messages: &[Message],
    ) -> Result<Self, RowReason> {
        if messages.first().is_some_and(|first| first.role == Role::Assistant) {
            return prompt?.extend(messages);
        }
        let whole = Self::after(system, Vec::new()).extend(messages)?;
        match prompt {
            Ok(talk) if talk.open.is_none() && !whole.answered.turns.starts_with(&talk.answered.turns) => {
                talk.extend(messages)
            }
            _ => Ok(whole),
        }
    }

    /// Appends to the question on a new line (S-140).
    pub(super) fn append(&mut self, more: &str) {
        if let Some(question) = &mut self.open {
            question.push('\n');
            question.push_str(more);
        }
    }

    /// Goes on with messages: a system text at the very beginning, then questions and answers in turn.
    ///
    /// # Errors
    /// The first message that is out of turn or empty. An empty answer at the very end is none.
    pub(super) fn extend(mut self, messages: &[Message]) -> Result<Self, RowReason> {
        for (index, message) in messages.iter().enumerate() {
            let number = index + 1;
            let empty = message.content.is_empty();
            match (&message.role, self.open.take()) {
                (Role::System, None) if index == 0 && self.answered.turns.is_empty() => {
                    let own = Some(message.content.clone()).filter(|_| !empty);
                    self.answered.system = own.or(self.answered.system);
                }
                (Role::User, None) if empty => {
                    return Err(RowReason::EmptyMessage { number, side: Side::User });
                }
                (Role::User, None) => self.open = Some(message.content.clone()),
                (Role::Assistant, Some(asked)) if empty => {
                    if number < messages.len() {
                        return Err(RowReason::EmptyMessage { number, side: Side::Assistant });
                    }
                    (self.open, self.silent) = (Some(asked), Some(number));
                }
                (Role::Assistant, Some(asked)) => {
                    if !message.learn {
                        self.answered.unlearned.push(self.answered.turns.len());
                    }
                    self.answered.turns.push((asked, message.content.clone()));
                }
                (role, waiting) => {
                    let wanted = if waiting.is_some() { Side::Assistant } else { Side::User };
                    return Err(RowReason::WrongRole { number, role: name(role), wanted });
                }
            }
        }
        Ok(self)
    }

    /// The answer to its question.
    ///
    /// # Errors
    /// When it ends with no question; `column` holds it.
    pub(super) fn answer(mut self, answer: String, column: &str) -> Result<Self, RowReason> {
        let asked = self.open.take().ok_or_else(|| RowReason::NoQuestion { column: column.to_owned() })?;
        self.answered.turns.push((asked, answer));
        Ok(self)
    }

    /// What is answered; a question left at the end teaches nothing.
    ///
    /// # Errors
    /// When nothing is answered, or the last answer is empty; `column` holds the answers.
    pub(super) fn answered(self, column: &str) -> Result<Conversation, RowReason> {
        if let Some(number) = self.silent {
            return Err(RowReason::EmptyMessage { number, side: Side::Assistant });
        }
        if self.answered.turns.is_empty() {
            return Err(RowReason::NoAnswer { column: column.to_owned() });
        }
        Ok(self.answered)
    }

    /// Everything up to the last question, its answer empty where it has none.
    ///
    /// # Errors
    /// When nothing is asked; `column` holds the questions.
    pub(super) fn asked(mut self, column: &str) -> Result<Conversation, RowReason> {
        if let Some(question) = self.open.take() {
            self.answered.turns.push((question, String::new()));
        }
        if self.answered.turns.is_empty() {
            return Err(RowReason::NoQuestion { column: column.to_owned() });
        }
        Ok(self.answered)
    }
}

fn name(role: &Role) -> String {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Other(name) => name,
    }
    .to_owned()
}
