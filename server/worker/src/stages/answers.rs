//! Answers of the model in training, for measuring and for ppo.

use std::ops::ControlFlow;
use std::path::Path;

use contract::problem::Problem;
use corpus::template::stop::StopFilter;
use corpus::{Encoder, ModelTokenizer};
use model::CausalLm;
use model::decode::{Asked, BeamConfig, Finish, Generated, Generator, Searched};
use model::kernels::Kernels;
use model::sample::SamplingConfig;

use crate::problems::of_model;

/// Longest text of a sample event, characters.
const SHOWN: usize = 2000;

/// What ends an answer: tokens, and words of several tokens.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop {
    pub(super) ids: Vec<u32>,
    words: Vec<String>,
}

impl Stop {
    /// Of a model in training.
    pub(super) fn of<B: Kernels>(model: &CausalLm<B>, encoder: &Encoder, folder: &str) -> Self {
        let mut ids = model.config.eos_token_ids.clone();
        ids.extend(crate::facts::generation_eos(Path::new(folder)));
        ids.extend(encoder.template.stop_ids(&encoder.tokenizer));
        ids.sort_unstable();
        ids.dedup();
        Self { ids, words: encoder.template.stop_words().to_vec() }
    }

    /// An answer without the word it ended with.
    pub(super) fn cut(&self, text: &str) -> String {
        let mut words = StopFilter::new(&self.words);
        words.push(text) + &words.finish()
    }
}

/// Draws answers side by side; the stop token or the tokens of the stop word, if one came, are the last of each. They
/// break off where they are as soon as `cancelled` says so.
pub(super) fn draw<B: Kernels>(
    model: &CausalLm<B>,
    tokenizer: &ModelTokenizer,
    asked: &[Asked],
    config: &SamplingConfig,
    stop: &Stop,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<Vec<Generated>, Problem> {
    let part = |asked: &[Asked]| {
        let fresh = || (tokenizer.stream(true), StopFilter::new(&stop.words));
        let mut texts: Vec<_> = asked.iter().map(|_| fresh()).collect();
        let drawn = Generator::new(model, stop.ids.clone()).generate_rows(asked, config, |row, id| {
            let (text, words) = &mut texts[row];
            if !stop.words.is_empty()
                && let Some(piece) = text.push(id)
            {
                words.push(&piece);
            }
            if words.stopped() || cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        drawn.map_err(of_model)
    };
    if asked.len() < 2 || !B::splits_batches() {
        return part(asked);
    }
    let (left, right) = asked.split_at(asked.len().div_ceil(2));
    let (left, right) = B::pair(|| part(left), || part(right));
    Ok([left?, right?].concat())
}

/// Searches the likeliest answer to each with beams (S-164), one after the other. They break off as soon as `cancelled`
/// says so.
pub(super) fn search<B: Kernels>(
    model: &CausalLm<B>,
    asked: &[Asked],
    config: &BeamConfig,
    stop: &Stop,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Vec<Generated> {
    let generator = Generator::new(model, stop.ids.clone());
    let one = |asked: &Asked| {
        let mut search = generator.begin_search(asked.prompt, config)?;
        while !cancelled() && generator.search(&mut search)? != Searched::Over {}
        Ok(search.leading().map(|beamed| beamed.tokens).unwrap_or_default())
    };
    let searched = |asked: &Asked| match one(asked) {
        Ok(tokens) => {
            let ended = tokens.last().is_some_and(|last| stop.ids.contains(last));
            Generated { tokens, finish: Ok(if ended { Finish::Stop } else { Finish::Length }) }
        }
        Err(error) => Generated { tokens: Vec::new(), finish: Err(error) },
    };
    asked.iter().map(searched).collect()
}

/// A text cut for display.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}
