//! Decoding one sequence token by token.

use std::ops::ControlFlow;

use crate::arch::{CausalLm, Mode};
use crate::error::{ModelError, Result};
use crate::kernels::Kernels;
use crate::rng::Rng;
use crate::sample::{SamplingConfig, choose};

/// Prompt tokens fed at a time.
const PROMPT_PIECE: usize = 256;

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

/// Draws tokens from a model.
pub struct Generator<'a, B: Kernels> {
    model: &'a CausalLm<B>,
    stop: Vec<u32>,
    mode: Mode,
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
    /// new tokens. Fails on an empty prompt, an unknown token, a prompt longer than the context or a wrong setting.
    pub fn generate(
        &self,
        prompt: &[u32],
        config: &SamplingConfig,
        mut on_token: impl FnMut(u32) -> ControlFlow<()>,
    ) -> Result<(Vec<u32>, Finish)> {
        config.check()?;
        let context = self.model.config.max_position_embeddings;
        self.check_prompt(prompt, context)?;
        let room = config.max_new_tokens.min(context - prompt.len());
        let mut cache = self.model.new_cache(prompt.len() + room);
        let (body, last) = prompt.split_at(prompt.len() - 1);
        for piece in body.chunks(PROMPT_PIECE) {
            self.model.forward_cached(piece, &mut cache, self.mode);
        }
        let mut history = prompt.to_vec();
        let mut rng = Rng::new(config.seed);
        let mut next = last[0];
        for _ in 0..room {
            let mut logits = self.model.next_logits(&[next], &mut cache, self.mode);
            next = choose(&mut logits, &history, config, &mut rng);
            history.push(next);
            let answer = on_token(next);
            if self.stop.contains(&next) {
                return Ok((history.split_off(prompt.len()), Finish::Stop));
            }
            if answer.is_break() {
                return Ok((history.split_off(prompt.len()), Finish::Cancelled));
            }
        }
        Ok((history.split_off(prompt.len()), Finish::Length))
    }

    fn check_prompt(&self, prompt: &[u32], context: usize) -> Result<()> {
        let fail = |message: String| Err(ModelError::new("generation.prompt", message));
        if prompt.is_empty() {
            return fail("The prompt is empty.".into());
        }
        if prompt.len() >= context {
            return fail(format!(
                "The prompt has {} tokens; the model's context is {context}.",
                prompt.len()
            ));
        }
        match prompt.iter().find(|id| **id as usize >= self.model.config.vocab_size) {
            Some(id) => fail(format!("The prompt holds token {id}, which the model does not know.")),
            None => Ok(()),
        }
    }
}
