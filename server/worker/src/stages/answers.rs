//! Answers of the model in training, for measuring and for ppo.

use std::ops::ControlFlow;
use std::path::Path;

use contract::problem::Problem;
use corpus::template::stop::StopFilter;
use corpus::{Encoder, ModelTokenizer};
use model::CausalLm;
use model::decode::Generator;
use model::kernels::Kernels;
use model::sample::SamplingConfig;

use crate::problems::of_model;

/// Longest text of a sample event, characters.
const SHOWN: usize = 2000;

/// A prompt and the seed of its draws.
pub(super) struct Asked<'a> {
    pub(super) prompt: &'a [u32],
    pub(super) seed: u64,
}

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

/// Draws one answer; the stop token or the tokens of the stop word, if one came, are its last.
pub(super) fn answer<B: Kernels>(
    model: &CausalLm<B>,
    tokenizer: &ModelTokenizer,
    asked: &Asked<'_>,
    config: &SamplingConfig,
    stop: &Stop,
) -> Result<Vec<u32>, Problem> {
    let config = SamplingConfig { seed: asked.seed, ..*config };
    let generator = Generator::new(model, stop.ids.clone());
    let (mut text, mut words) = (tokenizer.stream(true), StopFilter::new(&stop.words));
    let answered = generator.generate(asked.prompt, &config, |id| {
        if let Some(piece) = text.push(id).filter(|_| !stop.words.is_empty()) {
            words.push(&piece);
        }
        if words.stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    Ok(answered.map_err(of_model)?.0)
}

/// A text cut for display.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}
