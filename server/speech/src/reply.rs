//! An answer on its way: tokens become text, whole characters only and nothing from a stop word on.

use std::collections::VecDeque;
use std::rc::Rc;

use contract::chat::ChatDelta;
use contract::generation::GenerationSettings;
use contract::problem::Problem;
use corpus::template::stop::StopFilter;
use corpus::{DecodeStream, ModelTokenizer};
use model::decode::{BeamConfig, Finish};
use model::sample::SamplingConfig;

use crate::of_model;
use crate::writer::{Speaks, Step, Writes};

/// What is to be written.
pub(crate) struct Plan {
    pub(crate) prompt: Vec<u32>,
    pub(crate) stop: Vec<u32>,
    pub(crate) settings: GenerationSettings,
    pub(crate) seed: u64,
}

enum State {
    /// The prompt has not been read yet.
    Planned(Box<dyn Speaks>),
    Writing(Box<dyn Writes>),
    Over,
}

/// What a step of an answer brought.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Something to pass on.
    Said(ChatDelta),
    /// Work was done of which there is nothing to tell: a piece of the prompt was read, or a search went on.
    Silent,
}

/// An answer: what [`contract::chat`] says of it, one piece a call. A call does the work of about one token, of one
/// token of every beam, or of [`model::decode::PROMPT_PIECE`] tokens of the prompt, so whoever iterates may look for a
/// wish to stop in between.
pub struct Reply {
    plan: Plan,
    state: State,
    text: DecodeStream<Rc<ModelTokenizer>>,
    words: StopFilter,
    clock: fn() -> f64,
    /// When the first token was there.
    first: Option<f64>,
    tokens: u32,
    pieces: VecDeque<ChatDelta>,
}

impl Reply {
    pub(crate) fn new(
        model: Box<dyn Speaks>,
        tokenizer: Rc<ModelTokenizer>,
        plan: Plan,
        words: &[String],
        digest: &str,
        clock: fn() -> f64,
    ) -> Self {
        let prompt_tokens = u32::try_from(plan.prompt.len()).unwrap_or(u32::MAX);
        let ready = ChatDelta::Ready { digest: digest.to_owned(), prompt_tokens };
        Self {
            plan,
            state: State::Planned(model),
            text: DecodeStream::new(tokenizer, true),
            words: StopFilter::new(words),
            clock,
            first: None,
            tokens: 0,
            pieces: VecDeque::from([ready]),
        }
    }

    /// Ends it here, and its last piece still comes. What was said so far stays; of a search the best sequence so far
    /// is said.
    pub fn cancel(&mut self) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Over => return,
            State::Planned(_) => {}
            State::Writing(writer) => {
                self.say_all(&writer.leading());
            }
        }
        self.end(Finish::Cancelled);
    }

    /// Does the next step's work.
    fn work(&mut self) -> Result<(), Problem> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Over => {}
            State::Planned(model) => self.state = State::Writing(self.plan.begin(&*model)?),
            State::Writing(mut writer) => match writer.step().map_err(of_model)? {
                Step::Read => self.state = State::Writing(writer),
                Step::Searched => {
                    self.first.get_or_insert_with(self.clock);
                    self.state = State::Writing(writer);
                }
                Step::Token(token) => {
                    if !self.plan.stop.contains(&token) && self.say(token) {
                        self.state = State::Writing(writer);
                    } else {
                        self.end(Finish::Stop);
                    }
                }
                Step::Whole(tokens) => {
                    let ended = tokens.last().is_some_and(|last| self.plan.stop.contains(last));
                    let whole = self.say_all(&tokens);
                    self.end(if whole && !ended { Finish::Length } else { Finish::Stop });
                }
                Step::End(finish) => self.end(finish),
            },
        }
        Ok(())
    }

    /// Says tokens, stop tokens left out; false once a stop word was met.
    fn say_all(&mut self, ids: &[u32]) -> bool {
        let spoken: Vec<u32> = ids.iter().copied().filter(|id| !self.plan.stop.contains(id)).collect();
        spoken.into_iter().all(|id| self.say(id))
    }

    /// Says a token; false once a stop word was met.
    fn say(&mut self, id: u32) -> bool {
        self.first.get_or_insert_with(self.clock);
        self.tokens += 1;
        let safe = self.text.push(id).map(|piece| self.words.push(&piece)).unwrap_or_default();
        self.out(safe);
        !self.words.stopped()
    }

    fn out(&mut self, text: String) {
        if !text.is_empty() {
            self.pieces.push_back(ChatDelta::Text { text });
        }
    }

    fn end(&mut self, finish: Finish) {
        self.state = State::Over;
        let rest = self.text.finish().map(|piece| self.words.push(&piece)).unwrap_or_default();
        let stopped = self.words.stopped();
        let held = self.words.finish();
        self.out(rest + &held);
        let reason = match finish {
            Finish::Cancelled => ChatDelta::CANCELLED,
            _ if stopped => "stop",
            Finish::Stop => "stop",
            Finish::Length => "length",
        };
        // The clock starts with the first token, so one less was waited for.
        let seconds = self.first.map_or(0.0, |first| (self.clock)() - first).max(1e-6);
        let tokens_per_second = f64::from(self.tokens.saturating_sub(1)) / seconds;
        self.pieces.push_back(ChatDelta::Done {
            tokens: self.tokens,
            tokens_per_second,
            reason: reason.to_owned(),
        });
    }
}

impl Iterator for Reply {
    type Item = Result<Piece, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.pieces.is_empty()
            && !matches!(self.state, State::Over)
            && let Err(problem) = self.work()
        {
            return Some(Err(problem));
        }
        match self.pieces.pop_front() {
            Some(said) => Some(Ok(Piece::Said(said))),
            None if matches!(self.state, State::Over) => None,
            None => Some(Ok(Piece::Silent)),
        }
    }
}

impl Plan {
    /// Begins what is planned: a search where several beams are wanted and nothing is drawn.
    fn begin(&self, model: &dyn Speaks) -> Result<Box<dyn Writes>, Problem> {
        let (settings, stop) = (&self.settings, self.stop.clone());
        let begun = if settings.num_beams > 1 && !settings.do_sample {
            model.begin_search(&self.prompt, stop, &beams(settings))
        } else {
            model.begin(&self.prompt, stop, &sampling(settings, self.seed))
        };
        begun.map_err(of_model)
    }
}

fn sampling(settings: &GenerationSettings, seed: u64) -> SamplingConfig {
    SamplingConfig {
        temperature: if settings.do_sample { settings.temperature as f32 } else { 0.0 },
        top_k: settings.top_k as usize,
        top_p: settings.top_p as f32,
        min_p: settings.min_p as f32,
        repetition_penalty: settings.repetition_penalty as f32,
        seed: settings.seed.unwrap_or(seed),
        max_new_tokens: settings.max_new_tokens as usize,
    }
}

fn beams(settings: &GenerationSettings) -> BeamConfig {
    BeamConfig {
        num_beams: settings.num_beams as usize,
        length_penalty: settings.length_penalty as f32,
        repetition_penalty: settings.repetition_penalty as f32,
        max_new_tokens: settings.max_new_tokens as usize,
        ..BeamConfig::default()
    }
}

#[cfg(test)]
mod tests;
