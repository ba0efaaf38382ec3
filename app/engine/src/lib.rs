//! A model that answers inside the visitor's browser: bytes in, pieces of text out. It is a package of its own, so that
//! the pages do not grow by it; a Web Worker loads it when somebody asks for it. What it says is what the server's
//! worker says, because both run the crate `speech`.

mod files;

use contract::Code;
use contract::chat::{ChatDelta, ChatRequest};
use contract::problem::Problem;
use speech::{Piece, Question, Reply, Speaker};
use wasm_bindgen::prelude::*;

pub use files::{Files, load};

/// A loaded model and the answer it is giving.
#[wasm_bindgen]
#[derive(Default)]
pub struct Engine {
    files: Files,
    speaker: Option<Speaker>,
    reply: Option<Reply>,
}

#[wasm_bindgen]
impl Engine {
    /// An engine without a model.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a file of the model's folder, or of an adapter ([`contract::carry::adapter_prefix`]).
    pub fn begin(&mut self, name: &str, bytes: usize) {
        self.files.begin(name, bytes);
    }

    /// Takes the file's next piece.
    pub fn feed(&mut self, piece: &[u8]) {
        self.files.feed(piece);
    }

    /// Ends the file, whose SHA-256 (hex) may be known.
    ///
    /// # Errors
    /// A problem as JSON when the file is not what it should be.
    pub fn end(&mut self, sha256: Option<String>) -> Result<(), String> {
        self.files.end(sha256.as_deref()).map_err(|problem| json(&problem))
    }

    /// Makes the model from the files that came in, which are given up. `digest` is what its weights are called.
    ///
    /// # Errors
    /// A problem as JSON: a file that is missing, broken or of no known architecture.
    pub fn load(&mut self, digest: &str) -> Result<(), String> {
        let loaded =
            files::load(std::mem::take(&mut self.files), digest).map_err(|problem| json(&problem))?;
        self.speaker = Some(loaded);
        Ok(())
    }

    /// Takes a [`ChatRequest`] as JSON; the answer comes by [`Engine::next`].
    ///
    /// # Errors
    /// A problem as JSON.
    pub fn ask(&mut self, request: &str) -> Result<(), String> {
        self.answer(request).map_err(|problem| json(&problem))
    }

    /// The next piece of the answer, a [`ChatDelta`] as JSON; empty where there is nothing to tell yet, so that a wish
    /// to stop is heard in between; nothing once it is over.
    #[expect(clippy::should_implement_trait, reason = "JavaScript knows no traits")]
    pub fn next(&mut self) -> Option<String> {
        let piece = self.reply.as_mut()?.next();
        if !matches!(piece, Some(Ok(_))) {
            self.reply = None;
        }
        Some(match piece? {
            Ok(Piece::Said(delta)) => json(&delta),
            Ok(Piece::Silent) => String::new(),
            Err(problem) => json(&ChatDelta::Error { problem }),
        })
    }

    /// Ends the answer; its last piece still comes.
    pub fn cancel(&mut self) {
        if let Some(reply) = &mut self.reply {
            reply.cancel();
        }
    }

    fn answer(&mut self, request: &str) -> Result<(), Problem> {
        let request: ChatRequest = serde_json::from_str(request).map_err(|why| {
            Problem::new(Code::WireUnknownFrame, format!("This question cannot be read: {why}."))
        })?;
        let speaker = self
            .speaker
            .as_ref()
            .ok_or_else(|| Problem::new(Code::ChatNothingLoaded, "No model is loaded."))?;
        let template = request.template.as_deref().unwrap_or(contract::templates::MODEL_TEMPLATE);
        let question = Question {
            template,
            messages: &request.messages,
            settings: &request.settings,
            seed: clock().to_bits(),
            clock,
        };
        self.reply = Some(speaker.ask(&question)?);
        Ok(())
    }
}

/// Seconds since 1970.
fn clock() -> f64 {
    #[cfg(target_arch = "wasm32")]
    return js_sys::Date::now() / 1000.0;
    #[cfg(not(target_arch = "wasm32"))]
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
