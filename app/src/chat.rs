//! One conversation with one model: over `/ws/chat`, or with the engine in this browser.

use contract::Code;
use contract::Problem;
use contract::chat::{ChatDelta, ChatMessage, ChatRequest, ChatTarget};
use contract::generation::GenerationSettings;
use leptos::prelude::*;

use crate::browser::engine::{self, EngineId};
use crate::browser::socket::{self, Heard, SocketId};

/// Where an answer stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The question is on its way.
    #[default]
    Asked,
    /// The model is being loaded.
    Loading,
    /// Words are coming.
    Speaking,
    /// Complete, stopped or broken.
    Over,
}

/// An answer as far as it has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    /// Where it stands.
    pub(crate) phase: Phase,
    /// The text so far.
    pub(crate) text: String,
    /// Whose weights speak.
    pub(crate) digest: Option<String>,
    /// Tokens a second, once complete.
    pub(crate) speed: Option<f64>,
    /// Why it ended: `stop`, `length`, `cancelled`.
    pub(crate) reason: Option<String>,
    /// What went wrong.
    pub(crate) problem: Option<Problem>,
}

impl Answer {
    /// Takes what the server sent.
    pub(crate) fn take(&mut self, delta: ChatDelta) {
        match delta {
            ChatDelta::Loading => self.phase = Phase::Loading,
            ChatDelta::Ready { digest, .. } => {
                self.phase = Phase::Speaking;
                self.digest = Some(digest);
            }
            ChatDelta::Text { text } => {
                self.phase = Phase::Speaking;
                self.text.push_str(&text);
            }
            ChatDelta::Done { tokens_per_second, reason, .. } => {
                self.phase = Phase::Over;
                self.speed = Some(tokens_per_second);
                self.reason = Some(reason);
            }
            ChatDelta::Error { problem } => {
                self.phase = Phase::Over;
                self.problem = Some(problem);
            }
        }
    }
}

/// A question and its answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Turn {
    /// What was asked.
    pub(crate) question: String,
    /// What came back.
    pub(crate) answer: Answer,
}

impl Turn {
    /// Whether its answer is still being given.
    fn goes_on(&self) -> bool {
        self.answer.phase != Phase::Over
    }
}

/// The messages of a request: answered turns, then the question.
fn messages(past: &[Turn], question: &str) -> Vec<ChatMessage> {
    let say = |role: &str, content: &str| ChatMessage { role: role.to_owned(), content: content.to_owned() };
    past.iter()
        .filter(|turn| turn.answer.problem.is_none() && !turn.answer.text.is_empty())
        .flat_map(|turn| [say("user", &turn.question), say("assistant", &turn.answer.text)])
        .chain([say("user", question)])
        .collect()
}

/// What stands around a question.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AskedWith {
    /// Template key; `None`: the model's own.
    pub(crate) template: Option<String>,
    /// System text; `None`: the one it was trained with.
    pub(crate) system: Option<String>,
}

/// A conversation; copyable, its parts are signals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Talk {
    /// Turns that are over.
    pub(crate) past: RwSignal<Vec<Turn>>,
    /// The turn being answered, or the last one.
    pub(crate) current: RwSignal<Option<Turn>>,
    socket: RwSignal<Option<SocketId>>,
    /// The engine that answers in this browser; `None`: the server answers.
    pub(crate) engine: RwSignal<Option<EngineId>>,
}

impl Talk {
    /// An empty conversation.
    pub(crate) fn new() -> Self {
        Self {
            past: RwSignal::default(),
            current: RwSignal::default(),
            socket: RwSignal::new(None),
            engine: RwSignal::new(None),
        }
    }

    /// Whether an answer is being given.
    pub(crate) fn busy(self) -> bool {
        self.current.with(|turn| turn.as_ref().is_some_and(Turn::goes_on))
    }

    /// Asks; the answer grows in [`Talk::current`].
    pub(crate) fn ask(
        self,
        target: ChatTarget,
        with: AskedWith,
        settings: GenerationSettings,
        question: String,
    ) {
        self.hang_up();
        if let Some(turn) = self.current.get_untracked() {
            self.past.update(|past| past.push(turn));
        }
        let mut messages = self.past.with_untracked(|past| messages(past, &question));
        if let Some(content) = with.system {
            messages.insert(0, ChatMessage { role: "system".to_owned(), content });
        }
        self.current.set(Some(Turn { question, answer: Answer::default() }));
        let request = ChatRequest { target, template: with.template, messages, settings };
        let frame = serde_json::to_string(&request).unwrap_or_default();
        if let Some(id) = self.engine.get_untracked() {
            engine::send(id, &frame);
            return;
        }
        let id = socket::open("/ws/chat", move |heard| match heard {
            Heard::Open => {
                if let Some(Some(id)) = self.socket.try_get_untracked() {
                    socket::send(id, &frame);
                }
            }
            Heard::Text(text) => {
                if let Ok(delta) = serde_json::from_str::<ChatDelta>(&text) {
                    self.take(delta);
                }
            }
            Heard::Closed => self.broken(),
        });
        match id {
            Some(id) => self.socket.set(Some(id)),
            None => self.broken(),
        }
    }

    /// Takes what came of an answer.
    pub(crate) fn take(self, delta: ChatDelta) {
        let over = self.current.try_update(|turn| {
            let turn = turn.as_mut()?;
            turn.answer.take(delta);
            Some(!turn.goes_on())
        });
        if over.flatten() == Some(true) {
            self.hang_up();
        }
    }

    fn broken(self) {
        self.end(|answer| {
            answer.problem = Some(Problem::new(
                Code::ChatLost,
                "The connection broke before the answer was complete. Ask again.",
            ))
        });
        self.hang_up();
    }

    /// Asks whoever answers to stop; what was said so far stays.
    pub(crate) fn stop(self) {
        if let Some(id) = self.socket.get_untracked() {
            socket::send(id, r#"{"type":"cancel"}"#);
        }
        if let Some(id) = self.engine.get_untracked() {
            engine::send(id, engine::CANCEL);
        }
        self.end(|answer| answer.reason = Some("cancelled".to_owned()));
        self.hang_up();
    }

    /// The engine in this browser is gone; an answer it was giving ends with what was said so far.
    pub(crate) fn lose_engine(self, why: Option<Problem>) {
        if self.engine.try_get_untracked().flatten().is_none() {
            return;
        }
        self.engine.try_set(None);
        self.end(|answer| match why {
            Some(problem) => answer.problem = Some(problem),
            None => answer.reason = Some("cancelled".to_owned()),
        });
    }

    /// Ends an answer that is being given.
    fn end(self, how: impl FnOnce(&mut Answer)) {
        self.current.try_maybe_update(|turn| {
            let turn = turn.as_mut().filter(|turn| turn.goes_on());
            let spoken = turn.is_some();
            if let Some(turn) = turn {
                turn.answer.phase = Phase::Over;
                how(&mut turn.answer);
            }
            (spoken, ())
        });
    }

    /// Forgets everything said.
    pub(crate) fn clear(self) {
        self.stop();
        self.past.set(Vec::new());
        self.current.set(None);
    }

    /// Closes the connection, if one stands.
    pub(crate) fn hang_up(self) {
        if let Some(Some(id)) = self.socket.try_get_untracked() {
            socket::close(id);
            self.socket.try_set(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(question: &str, text: &str) -> Turn {
        let answer = Answer { phase: Phase::Over, text: text.to_owned(), ..Answer::default() };
        Turn { question: question.to_owned(), answer }
    }

    #[test]
    fn an_answer_grows_and_ends() {
        let mut answer = Answer::default();
        answer.take(ChatDelta::Loading);
        assert_eq!(answer.phase, Phase::Loading);
        answer.take(ChatDelta::Ready { digest: "9f2c".to_owned(), prompt_tokens: 4 });
        answer.take(ChatDelta::Text { text: "Em".to_owned() });
        answer.take(ChatDelta::Text { text: "ber".to_owned() });
        answer.take(ChatDelta::Done { tokens: 2, tokens_per_second: 38.0, reason: "stop".to_owned() });
        assert_eq!((answer.text.as_str(), answer.phase, answer.speed), ("Ember", Phase::Over, Some(38.0)));
    }

    #[test]
    fn a_turn_that_failed_is_not_sent_again() {
        let failed = Turn {
            question: "lost".to_owned(),
            answer: Answer { problem: Some(Problem::new(Code::ServerFault, "y")), ..Answer::default() },
        };
        let sent = messages(&[done("a", "b"), failed], "c");
        let said: Vec<_> = sent.iter().map(|m| (m.role.as_str(), m.content.as_str())).collect();
        assert_eq!(said, [("user", "a"), ("assistant", "b"), ("user", "c")]);
    }
}
