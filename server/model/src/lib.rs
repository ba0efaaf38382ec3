//! Models: shapes, weights, the forward and backward pass, training and decoding. Built on burn;
//! knows nothing of runs, datasets or the web.
//!
//! - [`config`]: a Hugging Face `config.json`.
//! - [`weights`]: safetensors and GGUF in, safetensors out.
//! - [`kernels`]: the differentiable operations, one implementation per backend.
//! - [`arch`]: Llama, Mistral, Qwen 2 and 3, Gemma 2 and 3, Phi-3, GPT-2; one file per family.
//! - [`lora`]: adapters in PEFT's format.
//! - [`train`]: batches, loss, AdamW, schedules, [`train::Trainer`].
//! - [`sample`], [`decode`]: the one decode loop: greedy, drawn, by beams, several rows at a time.

pub mod arch;
pub mod config;
pub mod decode;
pub mod error;
pub mod kernels;
pub mod lora;
pub mod rng;
pub mod sample;
pub mod train;
pub mod weights;

pub use arch::CausalLm;
pub use config::ModelConfig;
pub use error::{Code, ModelError, Result};

/// The CPU backend.
pub type Cpu = burn::backend::Flex;

/// NVIDIA GPUs, f32.
#[cfg(feature = "cuda")]
pub type Cuda = burn::backend::Cuda;
