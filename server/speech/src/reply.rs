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
use crate::writer::{Speaks, Writes};

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

/// An answer: what [`contract::chat`] says of it, one piece a call. It does the work of about one token between two
/// pieces, so whoever iterates may look for a wish to stop in between.
pub struct Reply {
    plan: Plan,
    state: State,
    text: DecodeStream<Rc<ModelTokenizer>>,
    words: StopFilter,
    clock: fn() -> f64,
    /// When the first token came.
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

    /// Ends it here; what was said so far stays, and its last piece still comes.
    pub fn cancel(&mut self) {
        if !matches!(self.state, State::Over) {
            self.end(Finish::Cancelled);
        }
    }

    /// Does the next token's work.
    fn work(&mut self) -> Result<(), Problem> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Over => {}
            State::Planned(model) if self.plan.settings.num_beams > 1 && !self.plan.settings.do_sample => {
                self.search(&*model)?;
            }
            State::Planned(model) => {
                let config = sampling(&self.plan.settings, self.plan.seed);
                let begun = model.begin(&self.plan.prompt, self.plan.stop.clone(), &config);
                self.state = State::Writing(begun.map_err(of_model)?);
            }
            State::Writing(mut writer) => match writer.next() {
                None => self.end(writer.finish().unwrap_or(Finish::Length)),
                Some(token) => {
                    let token = token.map_err(of_model)?;
                    if self.plan.stop.contains(&token) {
                        self.end(Finish::Stop);
                    } else if self.say(token) {
                        self.state = State::Writing(writer);
                    } else {
                        self.end(Finish::Stop);
                    }
                }
            },
        }
        Ok(())
    }

    /// Beams are found as a whole.
    fn search(&mut self, model: &dyn Speaks) -> Result<(), Problem> {
        let (plan, stop) = (&self.plan, self.plan.stop.clone());
        let found =
            model.beam_search(&plan.prompt, stop.clone(), &beams(&plan.settings)).map_err(of_model)?;
        let best = found.into_iter().next().map(|best| best.tokens).unwrap_or_default();
        let ended = best.last().is_some_and(|last| stop.contains(last));
        let whole = best.iter().filter(|id| !stop.contains(id)).all(|id| self.say(*id));
        self.end(if whole && !ended { Finish::Length } else { Finish::Stop });
        Ok(())
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
            _ if stopped => "stop",
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::Cancelled => "cancelled",
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
    type Item = Result<ChatDelta, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Some(Ok(piece));
            }
            if matches!(self.state, State::Over) {
                return None;
            }
            if let Err(problem) = self.work() {
                return Some(Err(problem));
            }
        }
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
