#![doc = include_str!("../README.md")]

#[cfg(not(target_arch = "wasm32"))]
mod batches;
#[cfg(not(target_arch = "wasm32"))]
pub mod block;
pub mod collate;
pub mod conversation;
pub mod encode;
#[cfg(not(target_arch = "wasm32"))]
pub mod health;
pub mod inspect;
#[cfg(not(target_arch = "wasm32"))]
pub mod job;
pub mod mix;
mod panics;
#[cfg(not(target_arch = "wasm32"))]
pub mod prepared;
pub mod preview;
pub mod registry;
pub mod sampler;
pub mod source;
pub mod template;
pub mod tokenizer;

pub use collate::{Padded, collate};
pub use conversation::{Conversation, Pair};
pub use encode::{Encoded, EncodedPair, EncodedPrompt, Encoder, Example};
pub use source::{Row, Rows, open};
pub use template::{Piece, Template};
pub use tokenizer::{DecodeStream, ModelTokenizer, TokenizerFiles};
