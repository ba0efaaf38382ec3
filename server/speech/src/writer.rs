//! A model of any backend, seen as something that writes tokens.

use std::rc::Rc;

use model::CausalLm;
use model::decode::{BeamConfig, BeamSearch, Finish, Generator, Searched, Writing};
use model::kernels::Kernels;
use model::sample::SamplingConfig;

/// A model of any backend that continues prompts.
pub(crate) trait Speaks {
    /// The same model once more; nothing is copied.
    fn share(&self) -> Box<dyn Speaks>;

    /// See [`Generator::begin`].
    fn begin(
        &self,
        prompt: &[u32],
        stop: Vec<u32>,
        config: &SamplingConfig,
    ) -> model::Result<Box<dyn Writes>>;

    /// See [`Generator::begin_search`].
    fn begin_search(
        &self,
        prompt: &[u32],
        stop: Vec<u32>,
        config: &BeamConfig,
    ) -> model::Result<Box<dyn Writes>>;
}

/// A text that grows step by step.
pub(crate) trait Writes {
    /// The next step, which is at most a token of every sequence or a piece of the prompt. Fails on scores that are no
    /// numbers.
    fn step(&mut self) -> model::Result<Step>;

    /// The best there is when it is broken off, of what no step has given out.
    fn leading(&self) -> Vec<u32>;
}

/// What a step brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A piece of the prompt was read.
    Read,
    /// Sequences became longer, and none is chosen yet.
    Searched,
    /// A token.
    Token(u32),
    /// All tokens at once: nothing more comes.
    Whole(Vec<u32>),
    /// Nothing more comes.
    End(Finish),
}

/// Token by token.
struct Writer<B: Kernels> {
    model: Rc<CausalLm<B>>,
    stop: Vec<u32>,
    writing: Writing<B>,
}

/// By beams.
struct Searcher<B: Kernels> {
    model: Rc<CausalLm<B>>,
    stop: Vec<u32>,
    search: BeamSearch<B>,
}

impl<B: Kernels> Speaks for Rc<CausalLm<B>> {
    fn share(&self) -> Box<dyn Speaks> {
        Box::new(Rc::clone(self))
    }

    fn begin(
        &self,
        prompt: &[u32],
        stop: Vec<u32>,
        config: &SamplingConfig,
    ) -> model::Result<Box<dyn Writes>> {
        let writing = Generator::new(self, stop.clone()).begin(prompt, config)?;
        Ok(Box::new(Writer { model: Rc::clone(self), stop, writing }))
    }

    fn begin_search(
        &self,
        prompt: &[u32],
        stop: Vec<u32>,
        config: &BeamConfig,
    ) -> model::Result<Box<dyn Writes>> {
        let search = Generator::new(self, stop.clone()).begin_search(prompt, config)?;
        Ok(Box::new(Searcher { model: Rc::clone(self), stop, search }))
    }
}

impl<B: Kernels> Writes for Writer<B> {
    fn step(&mut self) -> model::Result<Step> {
        let generator = Generator::new(&self.model, self.stop.clone());
        if generator.read(&mut self.writing) {
            return Ok(Step::Read);
        }
        match generator.next(&mut self.writing) {
            Some(token) => Ok(Step::Token(token?)),
            None => Ok(Step::End(self.writing.finish().unwrap_or(Finish::Length))),
        }
    }

    fn leading(&self) -> Vec<u32> {
        Vec::new()
    }
}

impl<B: Kernels> Writes for Searcher<B> {
    fn step(&mut self) -> model::Result<Step> {
        let generator = Generator::new(&self.model, self.stop.clone());
        Ok(match generator.search(&mut self.search)? {
            Searched::Prompt => Step::Read,
            Searched::Token => Step::Searched,
            // of a search that is over the best finished one leads
            Searched::Over => Step::Whole(self.leading()),
        })
    }

    fn leading(&self) -> Vec<u32> {
        self.search.leading().map(|best| best.tokens).unwrap_or_default()
    }
}
