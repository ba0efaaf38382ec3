//! A loaded model that answers.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use contract::chat::{ChatDelta, ChatMessage};
use contract::checkpoint::Manifest;
use contract::generation::GenerationSettings;
use contract::model::ModelFacts;
use contract::problem::Problem;
use corpus::{ModelTokenizer, Template};
use model::decode::{Finish, Generator};
use model::sample::SamplingConfig;
use model::{CausalLm, Cpu};
use serde::de::DeserializeOwned;

use crate::facts::{self, short_digest};
use crate::problems::of_model;

/// A model, its tokenizer and what its weights are called.
pub(super) struct Speaker {
    model: CausalLm<Cpu>,
    tokenizer: ModelTokenizer,
    digest: String,
    stop: Vec<u32>,
}

impl Speaker {
    /// Loads a base model and, if given, a checkpoint: a PEFT adapter or a whole model.
    pub(super) fn load(folder: &Path, checkpoint: Option<&Path>) -> Result<Self, Problem> {
        let device = Default::default();
        let whole = checkpoint.filter(|path| !path.join("adapter_config.json").exists());
        let source = whole.unwrap_or(folder);
        let mut model = CausalLm::<Cpu>::open(source, &device).map_err(of_model)?;
        let mut digest = short_digest(&digest_of(source)?);
        if let Some(adapter) = checkpoint.filter(|_| whole.is_none()) {
            model.load_adapter(adapter).map_err(of_model)?;
            let lora =
                json::<Manifest>(&adapter.join("manifest.json")).map_or_else(String::new, |m| m.digest);
            digest = format!("{digest} + lora {}", short_digest(&lora));
            // Once merged, an answer costs no more than the base model's.
            model.merge_adapter();
        }
        let tokenizer_folder = whole.filter(|path| path.join("tokenizer.json").exists()).unwrap_or(folder);
        let tokenizer = ModelTokenizer::load(tokenizer_folder)?;
        let mut stop = model.config.eos_token_ids.clone();
        stop.extend(facts::generation_eos(source));
        Ok(Self { model, tokenizer, digest, stop })
    }

    /// What its weights are called: `9f2c·41ab`, or `9f2c·41ab + lora 77d0·e3c8`.
    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    /// Answers a conversation piece by piece; `emit` returns false once the answer is no longer wanted.
    pub(super) fn answer(
        &self,
        template: &str,
        messages: &[ChatMessage],
        settings: &GenerationSettings,
        emit: &mut dyn FnMut(ChatDelta) -> bool,
    ) -> Result<(), Problem> {
        if let Some(problem) = settings.problems().into_iter().next() {
            return Err(problem);
        }
        let template = Template::resolve(template, &self.tokenizer)?;
        let prompt = template.prompt_ids(&self.tokenizer, messages)?;
        let prompt_tokens = u32::try_from(prompt.len()).unwrap_or(u32::MAX);
        if !emit(ChatDelta::Ready { digest: self.digest.clone(), prompt_tokens }) {
            emit(ChatDelta::Done { tokens: 0, tokens_per_second: 0.0, reason: "cancelled".to_owned() });
            return Ok(());
        }
        let mut stop = self.stop.clone();
        stop.extend(template.stop_ids(&self.tokenizer));
        let mut text = self.tokenizer.stream(true);
        let (mut tokens, mut first) = (0_u32, Instant::now());
        let generator = Generator::new(&self.model, stop.clone());
        let (_, finish) = generator
            .generate(&prompt, &sampling(settings), |id| {
                if tokens == 0 {
                    first = Instant::now();
                }
                if stop.contains(&id) {
                    return ControlFlow::Break(());
                }
                tokens += 1;
                let wanted = text.push(id).is_none_or(|text| emit(ChatDelta::Text { text }));
                if wanted { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })
            .map_err(of_model)?;
        if let Some(text) = text.finish() {
            emit(ChatDelta::Text { text });
        }
        let seconds = first.elapsed().as_secs_f64().max(1e-6);
        let reason = match finish {
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::Cancelled => "cancelled",
        };
        // The clock starts with the first token, so one less was waited for.
        let tokens_per_second = f64::from(tokens.saturating_sub(1)) / seconds;
        emit(ChatDelta::Done { tokens, tokens_per_second, reason: reason.to_owned() });
        Ok(())
    }
}

fn sampling(settings: &GenerationSettings) -> SamplingConfig {
    SamplingConfig {
        temperature: if settings.do_sample { settings.temperature as f32 } else { 0.0 },
        top_k: settings.top_k as usize,
        top_p: settings.top_p as f32,
        min_p: 0.0,
        repetition_penalty: settings.repetition_penalty as f32,
        seed: settings.seed.unwrap_or_else(|| u64::from_ne_bytes(rundir::now_ms().to_ne_bytes())),
        max_new_tokens: settings.max_new_tokens as usize,
    }
}

/// The digest that stands in the folder, or a fresh one.
fn digest_of(folder: &Path) -> Result<String, Problem> {
    let facts = json::<ModelFacts>(&folder.join(facts::FILE)).map(|facts| facts.digest);
    let manifest = || json::<Manifest>(&folder.join("manifest.json")).map(|manifest| manifest.digest);
    facts.or_else(manifest).map_or_else(|| facts::digest(folder), Ok)
}

fn json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}
