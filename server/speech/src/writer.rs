//! A model of any backend, seen as something that writes tokens.

use std::rc::Rc;

use model::CausalLm;
use model::decode::{BeamConfig, Beamed, Finish, Generator, Writing};
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

    /// See [`Generator::beam_search`].
    fn beam_search(&self, prompt: &[u32], stop: Vec<u32>, config: &BeamConfig) -> model::Result<Vec<Beamed>>;
}

/// A text that grows by a token a call.
pub(crate) trait Writes {
    /// See [`Generator::next`].
    fn next(&mut self) -> Option<model::Result<u32>>;

    /// Why it ended, once it has.
    fn finish(&self) -> Option<Finish>;
}

struct Writer<B: Kernels> {
    model: Rc<CausalLm<B>>,
    stop: Vec<u32>,
    writing: Writing<B>,
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

    fn beam_search(&self, prompt: &[u32], stop: Vec<u32>, config: &BeamConfig) -> model::Result<Vec<Beamed>> {
        Generator::new(self, stop).beam_search(prompt, config)
    }
}

impl<B: Kernels> Writes for Writer<B> {
    fn next(&mut self) -> Option<model::Result<u32>> {
        Generator::new(&self.model, self.stop.clone()).next(&mut self.writing)
    }

    fn finish(&self) -> Option<Finish> {
        self.writing.finish()
    }
}
