//! The one decode loop: token by token, several sequences at a time, greedy, drawn or by beams.
//!
//! Sequences are never padded: each has a cache of its own, and one pass feeds the newest token of all of them. The
//! playground, evaluation, PPO and the browser go through [`Generator`].

mod beam;

use std::ops::ControlFlow;

use crate::arch::{CausalLm, KvCache, Mode};
use crate::error::Code;
use crate::error::{ModelError, Result};
use crate::kernels::Kernels;
use crate::rng::{Rng, splitmix};
use crate::sample::{SamplingConfig, choose};
use crate::train::Batch;
pub use beam::{BeamConfig, BeamSearch, Beamed, EarlyStopping, Searched};

/// Prompt tokens fed at a time.
pub const PROMPT_PIECE: usize = 256;

/// Why generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// A stop token came (it is the last of the tokens given out).
    Stop,
    /// `max_new_tokens` or the model's context was reached.
    Length,
    /// The receiver asked for it.
    Cancelled,
}

/// A row of a batch: its prompt and the seed of its draws.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Token ids.
    pub prompt: &'a [u32],
    /// Takes the place of [`SamplingConfig::seed`].
    pub seed: u64,
}

/// What became of one row of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    /// New tokens.
    pub tokens: Vec<u32>,
    /// Why it ended, or what went wrong with this row alone (S-191).
    pub finish: Result<Finish>,
}

/// A sequence on its way.
struct Sequence<B: Kernels> {
    history: Vec<u32>,
    prompt: usize,
    cache: KvCache<B>,
    room: usize,
    rng: Rng,
    finish: Option<Result<Finish>>,
}

impl<B: Kernels> Sequence<B> {
    fn newest(&self) -> u32 {
        self.history.last().copied().unwrap_or(0)
    }
}

impl Generated {
    fn of<B: Kernels>(row: Result<Sequence<B>>) -> Self {
        match row {
            Ok(mut row) => {
                let tokens = row.history.split_off(row.prompt);
                Self { tokens, finish: row.finish.unwrap_or(Ok(Finish::Length)) }
            }
            Err(error) => Self { tokens: Vec::new(), finish: Err(error) },
        }
    }
}

/// A text being written, one token a call of [`Generator::next`]; it borrows nothing, so whoever holds it may do other
/// things between two tokens, and between two pieces of a long prompt ([`Generator::read`]).
pub struct Writing<B: Kernels> {
    sequence: Sequence<B>,
    config: SamplingConfig,
}

impl<B: Kernels> Writing<B> {
    /// Why it ended, once it has.
    pub fn finish(&self) -> Option<Finish> {
        self.sequence.finish.as_ref().and_then(|finish| finish.as_ref().ok().copied())
    }
}

/// Draws tokens from a model.
pub struct Generator<'a, B: Kernels> {
    model: &'a CausalLm<B>,
    stop: Vec<u32>,
    mode: Mode,
}

/// Scores that are no numbers end a row instead of turning into some token (S-191).
fn check_scores(logits: &[f32], step: usize) -> Result<()> {
    match logits.iter().find(|score| !score.is_finite()) {
        None => Ok(()),
        Some(score) => Err(ModelError::new(
            Code::GenerationScores,
            format!("The model's scores for new token {} are not numbers ({score}).", step + 1),
        )
        .hint(
            "Its weights have diverged: take an earlier checkpoint, or train with a smaller learning rate.",
        )),
    }
}

impl<'a, B: Kernels> Generator<'a, B> {
    /// A generator that stops at any of these tokens.
    pub fn new(model: &'a CausalLm<B>, stop: Vec<u32>) -> Self {
        Self { model, stop, mode: Mode::default() }
    }

    /// Leaves the adapter out, so that the base model answers.
    #[must_use]
    pub fn without_adapter(mut self) -> Self {
        self.mode.without_adapter = true;
        self
    }

    /// Generates after a prompt; each token is handed to `on_token` as it comes, which may break off. Returns all
    /// new tokens. Fails on an empty prompt, an unknown token, a prompt longer than the context, a wrong setting, or
    /// scores that are no numbers.
    pub fn generate(
        &self,
        prompt: &[u32],
        config: &SamplingConfig,
        mut on_token: impl FnMut(u32) -> ControlFlow<()>,
    ) -> Result<(Vec<u32>, Finish)> {
        let mut writing = self.begin(prompt, config)?;
        let mut tokens = Vec::new();
        while let Some(token) = self.next(&mut writing) {
            let token = token?;
            tokens.push(token);
            if on_token(token).is_break() && writing.finish() != Some(Finish::Stop) {
                return Ok((tokens, Finish::Cancelled));
            }
        }
        Ok((tokens, writing.finish().unwrap_or(Finish::Length)))
    }

    /// Begins to write after a prompt, of which nothing is read yet. Fails as [`Generator::generate`] does.
    pub fn begin(&self, prompt: &[u32], config: &SamplingConfig) -> Result<Writing<B>> {
        config.check()?;
        let sequence = self.place(prompt, config.max_new_tokens, config.seed)?;
        Ok(Writing { sequence, config: *config })
    }

    /// Reads the next piece of the prompt, at most [`PROMPT_PIECE`] tokens; false when none was left to read.
    pub fn read(&self, writing: &mut Writing<B>) -> bool {
        writing.sequence.finish.is_none() && self.read_piece(&mut writing.sequence)
    }

    /// The next token, after what is left of the prompt; `None` once the text has ended.
    pub fn next(&self, writing: &mut Writing<B>) -> Option<Result<u32>> {
        let Writing { sequence, config } = writing;
        if sequence.finish.is_some() {
            return None;
        }
        while self.read_piece(sequence) {}
        let mut scores = self.step(&mut [sequence]).pop()?;
        sequence.finish = self.advance(sequence, &mut scores, config, |_| ControlFlow::Continue(()));
        match &sequence.finish {
            Some(Err(error)) => Some(Err(error.clone())),
            _ => Some(Ok(sequence.newest())),
        }
    }

    /// Generates after each row of a padded batch (S-188: prompts are cut off); see [`Generator::generate_rows`].
    pub fn generate_batch(&self, batch: &Batch, config: &SamplingConfig) -> Result<Vec<Generated>> {
        batch.check(self.model.config.vocab_size)?;
        let row = |row: usize| {
            let places = row * batch.t..(row + 1) * batch.t;
            let real = places.filter(|i| batch.attention_mask[*i] != 0);
            real.map(|i| batch.input_ids[i] as u32).collect::<Vec<u32>>()
        };
        let prompts: Vec<Vec<u32>> = (0..batch.b).map(row).collect();
        let asked = prompts.iter().enumerate().map(|(i, prompt)| {
            let seed = if i == 0 { config.seed } else { splitmix(config.seed ^ i as u64) };
            Asked { prompt, seed }
        });
        self.generate_rows(&asked.collect::<Vec<_>>(), config, |_, _| ControlFlow::Continue(()))
    }

    /// Generates after several prompts at a time; `on_token` gets row and token and may break that row off. A row
    /// gives the same tokens whatever stands beside it. Fails when a setting is wrong; a row whose prompt is wrong or
    /// whose scores are no numbers fails alone.
    pub fn generate_rows(
        &self,
        asked: &[Asked],
        config: &SamplingConfig,
        mut on_token: impl FnMut(usize, u32) -> ControlFlow<()>,
    ) -> Result<Vec<Generated>> {
        config.check()?;
        let start = |row: &Asked| self.start(row.prompt, config.max_new_tokens, row.seed);
        let mut rows: Vec<Result<Sequence<B>>> = asked.iter().map(start).collect();
        loop {
            let going = rows.iter_mut().enumerate().filter_map(|(number, row)| {
                let row = row.as_mut().ok().filter(|row| row.finish.is_none())?;
                Some((number, row))
            });
            let (numbers, mut going): (Vec<usize>, Vec<_>) = going.unzip();
            if going.is_empty() {
                return Ok(rows.into_iter().map(Generated::of).collect());
            }
            let scores = self.step(&mut going);
            for ((number, row), mut scores) in numbers.into_iter().zip(going).zip(scores) {
                row.finish = self.advance(row, &mut scores, config, |token| on_token(number, token));
            }
        }
    }

    /// The next token of a row; why the row ends, if it does.
    fn advance(
        &self,
        row: &mut Sequence<B>,
        scores: &mut [f32],
        config: &SamplingConfig,
        on_token: impl FnOnce(u32) -> ControlFlow<()>,
    ) -> Option<Result<Finish>> {
        let made = row.history.len() - row.prompt;
        if let Err(error) = check_scores(scores, made) {
            return Some(Err(error));
        }
        let token = choose(scores, &row.history, config, &mut row.rng);
        row.history.push(token);
        let answer = on_token(token);
        if self.stop.contains(&token) {
            Some(Ok(Finish::Stop))
        } else if answer.is_break() {
            Some(Ok(Finish::Cancelled))
        } else {
            (made + 1 >= row.room).then_some(Ok(Finish::Length))
        }
    }

    /// Scores after the newest token of each sequence.
    fn step(&self, rows: &mut [&mut Sequence<B>]) -> Vec<Vec<f32>> {
        let ids: Vec<u32> = rows.iter().map(|row| row.newest()).collect();
        let mut caches: Vec<&mut KvCache<B>> = rows.iter_mut().map(|row| &mut row.cache).collect();
        self.model.next_logits_of(&ids, &mut caches, self.mode)
    }

    /// A sequence that has read its prompt but for the last token.
    fn start(&self, prompt: &[u32], max_new_tokens: usize, seed: u64) -> Result<Sequence<B>> {
        let mut sequence = self.place(prompt, max_new_tokens, seed)?;
        while self.read_piece(&mut sequence) {}
        Ok(sequence)
    }

    /// A sequence that has read nothing yet.
    fn place(&self, prompt: &[u32], max_new_tokens: usize, seed: u64) -> Result<Sequence<B>> {
        let context = self.model.config.max_position_embeddings;
        self.check_prompt(prompt, context)?;
        let room = max_new_tokens.min(context - prompt.len());
        let cache = self.model.new_cache(prompt.len() + room);
        let finish = (room == 0).then_some(Ok(Finish::Length));
        let (history, rng) = (prompt.to_vec(), Rng::new(seed));
        Ok(Sequence { history, prompt: prompt.len(), cache, room, rng, finish })
    }

    /// Reads a piece of the prompt but for its last token, which [`Generator::step`] feeds; false when none is left.
    fn read_piece(&self, row: &mut Sequence<B>) -> bool {
        let read = row.cache.len();
        let end = row.prompt.saturating_sub(1).min(read + PROMPT_PIECE);
        if read >= end {
            return false;
        }
        self.model.forward_cached(&row.history[read..end], &mut row.cache, self.mode);
        true
    }

    fn check_prompt(&self, prompt: &[u32], context: usize) -> Result<()> {
        let fail = |message: String| Err(ModelError::new(Code::GenerationPrompt, message));
        if prompt.is_empty() {
            return fail("The prompt is empty.".into());
        }
        if prompt.len() >= context {
            let message =
                format!("The prompt has {} tokens; the model's context is {context}.", prompt.len());
            return Err(ModelError::new(Code::GenerationPromptTooLong, message)
                .with("tokens", prompt.len())
                .with("context", context));
        }
        match prompt.iter().find(|id| **id as usize >= self.model.config.vocab_size) {
            Some(id) => fail(format!("The prompt holds token {id}, which the model does not know.")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
