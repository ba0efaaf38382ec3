#![doc = include_str!("../README.md")]

pub mod collate;
pub mod conversation;
pub mod encode;
pub mod inspect;
pub mod preview;
pub mod sampler;
pub mod source;
pub mod template;
pub mod tokenizer;

pub use collate::{Padded, collate};
pub use conversation::{Conversation, Pair};
pub use encode::{Encoded, EncodedPair, EncodedPrompt, Encoder};
pub use source::{Row, Rows, open};
pub use template::{Piece, Template};
pub use tokenizer::{DecodeStream, ModelTokenizer, TokenizerFiles};
