//! Comparison with recorded values of transformers, datasets and llama.cpp. The folders come from
//! `BURNISH_REFERENCE`, `BURNISH_REAL` and `BURNISH_STARTER_GGUF`; see the crate's README.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "reference/folders.rs"]
mod folders;
#[path = "reference/gguf_metadata.rs"]
mod gguf_metadata;
#[path = "reference/preprocess.rs"]
mod preprocess;
#[path = "reference/real.rs"]
mod real;
#[path = "reference/templates.rs"]
mod templates;
#[path = "reference/tokenizers.rs"]
mod tokenizers;
