//! Answers of the model in training, for measuring and for ppo.

use std::ops::ControlFlow;
use std::path::Path;

use contract::problem::Problem;
use corpus::Encoder;
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

/// Tokens that end an answer.
pub(super) fn stop_ids<B: Kernels>(model: &CausalLm<B>, encoder: &Encoder, folder: &str) -> Vec<u32> {
    let mut stop = model.config.eos_token_ids.clone();
    stop.extend(crate::facts::generation_eos(Path::new(folder)));
    stop.extend(encoder.template.stop_ids(&encoder.tokenizer));
    stop.extend(encoder.tokenizer.eos_id());
    stop.sort_unstable();
    stop.dedup();
    stop
}

/// Draws one answer; the stop token, if one came, is its last.
pub(super) fn answer<B: Kernels>(
    model: &CausalLm<B>,
    asked: &Asked<'_>,
    config: &SamplingConfig,
    stop: &[u32],
) -> Result<Vec<u32>, Problem> {
    let config = SamplingConfig { seed: asked.seed, ..*config };
    let generator = Generator::new(model, stop.to_vec());
    let answered = generator.generate(asked.prompt, &config, |_| ControlFlow::Continue(()));
    Ok(answered.map_err(of_model)?.0)
}

/// A text cut for display.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}
