//! What a model reads and learns of a conversation, by the token: tokenizers whose ids are bytes, and templates as models
//! bring them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "learned/bytes.rs"]
mod bytes;
#[path = "learned/controls.rs"]
mod controls;
#[path = "learned/spans.rs"]
mod spans;
