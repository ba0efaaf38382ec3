//! A loaded model that answers: template, tokenizer, decode loop and stop words in one place, for the worker process
//! and for the visitor's own browser. No files, threads, clocks or chance of its own: these come as arguments.

mod problems;
mod reply;
mod writer;

use std::rc::Rc;

use contract::chat::ChatMessage;
use contract::generation::GenerationSettings;
use contract::problem::Problem;
use corpus::{ModelTokenizer, Template};
use model::CausalLm;
use model::kernels::Kernels;

pub use problems::of_model;
use reply::Plan;
pub use reply::{Piece, Reply};
use writer::Speaks;

/// A model, its tokenizer and what its weights are called.
pub struct Speaker {
    model: Box<dyn Speaks>,
    tokenizer: Rc<ModelTokenizer>,
    digest: String,
    stop: Vec<u32>,
}

/// What a conversation is to be answered with.
pub struct Question<'a> {
    /// Template key; see [`contract::templates`].
    pub template: &'a str,
    /// The conversation; the last message is the user's.
    pub messages: &'a [ChatMessage],
    /// How tokens are chosen.
    pub settings: &'a GenerationSettings,
    /// Used where the settings name no seed.
    pub seed: u64,
    /// Seconds since any fixed moment.
    pub clock: fn() -> f64,
}

impl Speaker {
    /// A speaker; `stop` are end tokens beside those of the model's configuration.
    pub fn new<B: Kernels>(
        model: CausalLm<B>,
        tokenizer: ModelTokenizer,
        digest: String,
        mut stop: Vec<u32>,
    ) -> Self {
        stop.extend(&model.config.eos_token_ids);
        Self { model: Box::new(Rc::new(model)), tokenizer: Rc::new(tokenizer), digest, stop }
    }

    /// What its weights are called: `9f2c·41ab`, or `9f2c·41ab + lora 77d0·e3c8`.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Formats a conversation; the answer comes by iterating over the reply.
    ///
    /// # Errors
    /// A setting that does not hold, an unknown template, or a conversation the template refuses.
    pub fn ask(&self, question: &Question<'_>) -> Result<Reply, Problem> {
        if let Some(problem) = question.settings.problems().into_iter().next() {
            return Err(problem);
        }
        let template = Template::resolve(question.template, &self.tokenizer)?;
        let prompt = template.prompt_ids(&self.tokenizer, question.messages)?;
        let mut stop = self.stop.clone();
        stop.extend(template.stop_ids(&self.tokenizer));
        let words = [template.stop_words(), &question.settings.stop].concat();
        let plan = Plan { prompt, stop, settings: question.settings.clone(), seed: question.seed };
        Ok(Reply::new(
            self.model.share(),
            Rc::clone(&self.tokenizer),
            plan,
            &words,
            &self.digest,
            question.clock,
        ))
    }
}
