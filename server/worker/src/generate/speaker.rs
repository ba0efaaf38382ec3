//! A loaded model that answers.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use contract::chat::{ChatDelta, ChatMessage};
use contract::checkpoint::Manifest;
use contract::generation::GenerationSettings;
use contract::model::ModelFacts;
use contract::problem::Problem;
use corpus::template::stop::StopFilter;
use corpus::tokenizer::DecodeStream;
use corpus::{ModelTokenizer, Template};
use model::CausalLm;
use model::arch::LoadOptions;
use model::decode::{BeamConfig, Beamed, Finish, Generator};
use model::kernels::Kernels;
use model::sample::SamplingConfig;
use serde::de::DeserializeOwned;

use crate::chain::{self, whole_first};
use crate::device;
use crate::facts::{self, short_digest};
use crate::problems::of_model;

/// A model, its tokenizer and what its weights are called.
pub(super) struct Speaker {
    model: Box<dyn Speaks>,
    tokenizer: ModelTokenizer,
    digest: String,
    stop: Vec<u32>,
}

impl Speaker {
    /// Loads a base model and the checkpoints on top of it, in order: adapters are merged, a whole model that stands
    /// first takes the base's place.
    pub(super) fn load(folder: &Path, chain: &[&Path]) -> Result<Self, Problem> {
        let whole = whole_first(chain);
        let source = whole.unwrap_or(folder);
        let model = device::on(device::choose("auto")?.kind, Load { folder, chain })?;
        let mut digest = short_digest(&digest_of(source)?);
        for adapter in &chain[usize::from(whole.is_some())..] {
            let lora =
                json::<Manifest>(&adapter.join("manifest.json")).map_or_else(String::new, |m| m.digest);
            digest = format!("{digest} + lora {}", short_digest(&lora));
        }
        let tokenizer_folder = whole.filter(|path| path.join("tokenizer.json").exists()).unwrap_or(folder);
        let tokenizer = ModelTokenizer::load(tokenizer_folder)?;
        let mut stop = model.eos().to_vec();
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
        let words = StopFilter::new(&[template.stop_words(), &settings.stop].concat());
        let mut voice = Voice::new(self.tokenizer.stream(true), words, emit);
        let finish = if settings.num_beams > 1 && !settings.do_sample {
            let found = self.model.beam_search(&prompt, stop.clone(), &beams(settings)).map_err(of_model)?;
            let best = found.into_iter().next().map(|best| best.tokens).unwrap_or_default();
            let ended = best.last().is_some_and(|last| stop.contains(last));
            let said = best.iter().filter(|id| !stop.contains(id)).all(|id| voice.say(*id));
            match (said, ended) {
                (false, _) => Finish::Cancelled,
                (true, true) => Finish::Stop,
                (true, false) => Finish::Length,
            }
        } else {
            let mut each = |id| match stop.contains(&id) || !voice.say(id) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            };
            self.model.generate(&prompt, stop.clone(), &sampling(settings), &mut each).map_err(of_model)?
        };
        voice.finish(finish);
        Ok(())
    }
}

/// Turns tokens into text on its way out: whole characters, nothing from a stop text on.
struct Voice<'a> {
    text: DecodeStream<'a>,
    stop: StopFilter,
    emit: &'a mut dyn FnMut(ChatDelta) -> bool,
    tokens: u32,
    begun: Instant,
    first: Option<Instant>,
}

impl<'a> Voice<'a> {
    fn new(text: DecodeStream<'a>, stop: StopFilter, emit: &'a mut dyn FnMut(ChatDelta) -> bool) -> Self {
        Self { text, stop, emit, tokens: 0, begun: Instant::now(), first: None }
    }

    fn out(&mut self, text: String) -> bool {
        text.is_empty() || (self.emit)(ChatDelta::Text { text })
    }

    /// Says a token; false when no more is wanted.
    fn say(&mut self, id: u32) -> bool {
        self.first.get_or_insert_with(Instant::now);
        self.tokens += 1;
        let safe = self.text.push(id).map(|piece| self.stop.push(&piece)).unwrap_or_default();
        self.out(safe) && !self.stop.stopped()
    }

    fn finish(mut self, finish: Finish) {
        let rest = self.text.finish().map(|piece| self.stop.push(&piece)).unwrap_or_default();
        let stopped = self.stop.stopped();
        let held = self.stop.finish();
        let text = rest + &held;
        if !text.is_empty() {
            (self.emit)(ChatDelta::Text { text });
        }
        let reason = match finish {
            _ if stopped => "stop",
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::Cancelled => "cancelled",
        };
        let (tokens, reason) = (self.tokens, reason.to_owned());
        // The clock starts with the first token, so one less was waited for.
        let seconds = self.first.unwrap_or(self.begun).elapsed().as_secs_f64().max(1e-6);
        let tokens_per_second = f64::from(tokens.saturating_sub(1)) / seconds;
        (self.emit)(ChatDelta::Done { tokens, tokens_per_second, reason });
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

/// A model of any backend that continues prompts.
trait Speaks {
    /// Tokens that end a text.
    fn eos(&self) -> &[u32];

    /// See [`Generator::generate`].
    fn generate(
        &self,
        prompt: &[u32],
        stop: Vec<u32>,
        config: &SamplingConfig,
        on_token: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> model::Result<Finish>;

    /// See [`Generator::beam_search`].
    fn beam_search(&self, prompt: &[u32], stop: Vec<u32>, config: &BeamConfig) -> model::Result<Vec<Beamed>>;
}

impl<B: Kernels> Speaks for CausalLm<B> {
    fn eos(&self) -> &[u32] {
        &self.config.eos_token_ids
    }

    fn generate(
        &self,
        prompt: &[u32],
        stop: Vec<u32>,
        config: &SamplingConfig,
        on_token: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> model::Result<Finish> {
        Generator::new(self, stop).generate(prompt, config, on_token).map(|(_, finish)| finish)
    }

    fn beam_search(&self, prompt: &[u32], stop: Vec<u32>, config: &BeamConfig) -> model::Result<Vec<Beamed>> {
        Generator::new(self, stop).beam_search(prompt, config)
    }
}

/// Loads a model and everything on top of it.
struct Load<'a> {
    folder: &'a Path,
    chain: &'a [&'a Path],
}

impl device::Work for Load<'_> {
    type Out = Result<Box<dyn Speaks>, Problem>;

    fn run<B: Kernels>(self, device: B::Device) -> Self::Out {
        // As f32: turning blocks into f32 anew for every token costs more than reading f32. Once everything is
        // merged, an answer costs no more than the base model's.
        let Self { folder, chain } = self;
        let (model, _) = chain::load::<B>(folder, chain, chain.len(), LoadOptions::default(), &device)?;
        Ok(Box::new(model))
    }
}

fn sampling(settings: &GenerationSettings) -> SamplingConfig {
    SamplingConfig {
        temperature: if settings.do_sample { settings.temperature as f32 } else { 0.0 },
        top_k: settings.top_k as usize,
        top_p: settings.top_p as f32,
        min_p: settings.min_p as f32,
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
