//! Beam search as transformers (since 4.50) defines it: the likeliest continuations of all beams go on, finished ones
//! are ranked by `sum of log-probabilities / length ^ penalty`. A search goes step by step, so that it can be broken off.

use super::{Generator, Sequence, check_scores};
use crate::error::Code;
use crate::error::{ModelError, Result};
use crate::kernels::Kernels;
use crate::sample::{log_softmax, penalise};

/// Stands for impossible in sums of log-probabilities.
const NEVER: f32 = -1e9;

/// When a search may end before the longest length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EarlyStopping {
    /// As soon as there are as many finished sequences as beams.
    Yes,
    /// When the best beam, were it to end now, would not be better than the worst finished one.
    #[default]
    Likely,
    /// When no beam can become better than the worst finished one.
    Never,
}

/// How beams are searched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BeamConfig {
    /// Sequences kept at a time.
    pub num_beams: usize,
    /// Exponent on the length that divides the score: above 0 longer answers are favoured.
    pub length_penalty: f32,
    /// When the search ends.
    pub early_stopping: EarlyStopping,
    /// Sequences given back, at most `num_beams`.
    pub num_return: usize,
    /// As in [`crate::sample::SamplingConfig`]; it works on log-probabilities.
    pub repetition_penalty: f32,
    /// Most tokens generated.
    pub max_new_tokens: usize,
}

impl Default for BeamConfig {
    fn default() -> Self {
        Self {
            num_beams: 4,
            length_penalty: 1.0,
            early_stopping: EarlyStopping::Likely,
            num_return: 1,
            repetition_penalty: 1.0,
            max_new_tokens: 512,
        }
    }
}

impl BeamConfig {
    /// Checks every field; names the one that is wrong.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: &str| Err(ModelError::new(Code::GenerationSetting, what.to_owned()));
        if !(1..=64).contains(&self.num_beams) {
            return wrong("num_beams must be between 1 and 64.");
        }
        if self.num_return == 0 || self.num_return > self.num_beams {
            return wrong("The number of returned sequences must be between 1 and num_beams.");
        }
        if !self.length_penalty.is_finite() {
            return wrong("length_penalty must be a number.");
        }
        if !(self.repetition_penalty.is_finite() && self.repetition_penalty > 0.0) {
            return wrong("repetition_penalty must be above 0.");
        }
        Ok(())
    }
}

/// A sequence that beam search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Beamed {
    /// New tokens; the stop token, where one came, is the last.
    pub tokens: Vec<u32>,
    /// Sum of log-probabilities over length to the power of the penalty.
    pub score: f32,
}

/// A continuation: beam, token, sum of log-probabilities, whether it ends there.
#[derive(Clone, Copy)]
struct Candidate {
    beam: usize,
    token: u32,
    sum: f32,
    ends: bool,
}

/// The `count` best of all continuations; of equals the first.
fn best(sums: &[Vec<f32>], count: usize) -> Vec<(usize, u32, f32)> {
    let mut top: Vec<(usize, u32, f32)> = Vec::with_capacity(count + 1);
    for (beam, sums) in sums.iter().enumerate() {
        for (token, sum) in sums.iter().enumerate() {
            if top.len() == count && *sum <= top[count - 1].2 {
                continue;
            }
            let at = top.partition_point(|(.., other)| other >= sum);
            top.insert(at, (beam, token as u32, *sum));
            top.truncate(count);
        }
    }
    top
}

/// A search on its way, one step a call of [`Generator::search`]; it borrows nothing, so whoever holds it may do other
/// things between two steps, or leave it.
pub struct BeamSearch<B: Kernels> {
    config: BeamConfig,
    /// The likeliest first; none once the search is over.
    beams: Vec<Sequence<B>>,
    /// Sum of log-probabilities of each beam.
    sums: Vec<f32>,
    /// The best first, at most as many as beams.
    finished: Vec<Beamed>,
    /// Tokens that each beam has.
    made: usize,
    /// Most tokens that a beam may have.
    room: usize,
}

/// What a step of a search did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Searched {
    /// A piece of the prompt was read.
    Prompt,
    /// Every beam went one token further.
    Token,
    /// Nothing: the search is over.
    Over,
}

impl<B: Kernels> Generator<'_, B> {
    /// Searches the likeliest sequences after a prompt, the best first. Fails on a wrong prompt or setting and on
    /// scores that are no numbers.
    pub fn beam_search(&self, prompt: &[u32], config: &BeamConfig) -> Result<Vec<Beamed>> {
        let mut search = self.begin_search(prompt, config)?;
        while self.search(&mut search)? != Searched::Over {}
        Ok(search.found())
    }

    /// Begins a search after a prompt, of which nothing is read yet. Fails on a wrong prompt or setting.
    pub fn begin_search(&self, prompt: &[u32], config: &BeamConfig) -> Result<BeamSearch<B>> {
        config.check()?;
        let first = self.place(prompt, config.max_new_tokens, 0)?;
        let room = first.room;
        let beams = Vec::from_iter((room > 0).then_some(first));
        Ok(BeamSearch { config: *config, beams, sums: vec![0.0], finished: Vec::new(), made: 0, room })
    }

    /// Takes a search one step further: a piece of the prompt, or a token of every beam. Fails on scores that are no
    /// numbers.
    pub fn search(&self, search: &mut BeamSearch<B>) -> Result<Searched> {
        let Some(first) = search.beams.first_mut() else { return Ok(Searched::Over) };
        if self.read_piece(first) {
            return Ok(Searched::Prompt);
        }
        let scores = self.step(&mut search.beams.iter_mut().collect::<Vec<_>>());
        search.advance(scores, &self.stop)?;
        Ok(Searched::Token)
    }
}

impl<B: Kernels> BeamSearch<B> {
    /// The finished sequences, the best first, at most [`BeamConfig::num_return`].
    pub fn found(mut self) -> Vec<Beamed> {
        self.finished.truncate(self.config.num_return);
        self.finished
    }

    /// The best sequence so far, finished or not; `None` before the first token.
    pub fn leading(&self) -> Option<Beamed> {
        let going = self.beams.first().zip(self.sums.first()).filter(|_| self.made > 0);
        let going = going.map(|(beam, sum)| Beamed {
            tokens: beam.history[beam.prompt..].to_vec(),
            score: sum / self.norm(self.made),
        });
        match (self.finished.first(), going) {
            (Some(finished), Some(going)) if going.score > finished.score => Some(going),
            (Some(finished), _) => Some(finished.clone()),
            (None, going) => going,
        }
    }

    fn norm(&self, length: usize) -> f32 {
        (length as f32).powf(self.config.length_penalty)
    }

    /// One token further; no beams are left when the search is over.
    fn advance(&mut self, scores: Vec<Vec<f32>>, stop: &[u32]) -> Result<()> {
        let (wide, length) = (self.config.num_beams, self.made + 1);
        let mut all = Vec::with_capacity(scores.len());
        for ((beam, sum), scores) in self.beams.iter().zip(&self.sums).zip(scores) {
            check_scores(&scores, self.made)?;
            let mut logs = log_softmax(&scores);
            penalise(&mut logs, &beam.history, self.config.repetition_penalty);
            logs.iter_mut().for_each(|x| *x += sum);
            all.push(logs);
        }
        let keep = wide * 2.max(1 + stop.len());
        let candidates: Vec<Candidate> = best(&all, keep)
            .into_iter()
            .map(|(beam, token, sum)| Candidate {
                beam,
                token,
                sum,
                ends: length >= self.room || stop.contains(&token),
            })
            .collect();
        // Only what stands among the best may finish.
        for candidate in candidates.iter().take(wide).filter(|candidate| candidate.ends) {
            self.finish(*candidate, length);
        }
        let mut going: Vec<Candidate> = candidates.iter().filter(|c| !c.ends).take(wide).copied().collect();
        if !self.can_improve(&going, length) {
            going.clear();
        }
        self.go_on(&going);
        self.made = length;
        Ok(())
    }

    fn finish(&mut self, candidate: Candidate, length: usize) {
        let full = self.finished.len() == self.config.num_beams;
        if full && self.config.early_stopping == EarlyStopping::Yes {
            return;
        }
        let beam = &self.beams[candidate.beam];
        let mut tokens = beam.history[beam.prompt..].to_vec();
        tokens.push(candidate.token);
        let score = candidate.sum / self.norm(length);
        let at = self.finished.partition_point(|other| other.score >= score);
        self.finished.insert(at, Beamed { tokens, score });
        self.finished.truncate(self.config.num_beams);
    }

    fn can_improve(&self, going: &[Candidate], length: usize) -> bool {
        if self.finished.len() < self.config.num_beams {
            return true;
        }
        let longest = match self.config.early_stopping {
            EarlyStopping::Yes => return false,
            EarlyStopping::Never if self.config.length_penalty > 0.0 => self.room,
            _ => length,
        };
        let best = going.first().map_or(NEVER, |candidate| candidate.sum) / self.norm(longest);
        self.finished.last().is_none_or(|worst| best > worst.score)
    }

    /// The chosen continuations become the beams. A cache is moved where it is used once, else copied.
    fn go_on(&mut self, going: &[Candidate]) {
        let mut uses = vec![0; self.beams.len()];
        going.iter().for_each(|candidate| uses[candidate.beam] += 1);
        let mut old: Vec<Option<Sequence<B>>> = self.beams.drain(..).map(Some).collect();
        for candidate in going {
            uses[candidate.beam] -= 1;
            let slot = &mut old[candidate.beam];
            let beam =
                if uses[candidate.beam] == 0 { slot.take() } else { slot.as_ref().map(Sequence::copy) };
            let Some(mut beam) = beam else { continue };
            beam.history.push(candidate.token);
            self.beams.push(beam);
        }
        self.sums = going.iter().map(|candidate| candidate.sum).collect();
    }
}

impl<B: Kernels> Sequence<B> {
    fn copy(&self) -> Self {
        let (history, cache) = (self.history.clone(), self.cache.clone());
        Self { history, prompt: self.prompt, cache, room: self.room, rng: self.rng.clone(), finish: None }
    }
}
