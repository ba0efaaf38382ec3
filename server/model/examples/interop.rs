//! Writes adapters and merged models of every family, each with the logits it has here, for `make interop` to compare
//! with what PEFT and transformers make of the same files: `interop FOLDER`.

use std::path::Path;

use model::arch::Mode;
use model::config::SUPPORTED;
use model::lora::LoraConfig;
use model::train::{Batch, Method, Normalisation, OptimConfig, Trainer};
use model::{CausalLm, Cpu, ModelConfig, ModelError};
use serde_json::json;

/// A tiny model of a family.
fn tiny(kind: &str) -> model::Result<ModelConfig> {
    let config = json!({
        "model_type": kind, "vocab_size": 96, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 4,
        "n_embd": 32, "n_head": 4, "n_layer": 2, "n_inner": 48, "n_positions": 64, "max_position_embeddings": 64,
        "query_pre_attn_scalar": 8, "initializer_range": 0.1, "pad_token_id": 0,
        "bos_token_id": 1, "eos_token_id": 2,
    });
    ModelConfig::from_json(config.to_string().as_bytes())
}

fn rows() -> Vec<Vec<u32>> {
    (0..2).map(|row| (0..12).map(|at| (row * 31 + at * 17 + 3) % 96).collect()).collect()
}

fn batch() -> Batch {
    let row = |ids: Vec<u32>| (ids.clone(), ids.iter().map(|id| i64::from(*id)).collect::<Vec<i64>>());
    Batch::from_rows(&rows().into_iter().map(row).collect::<Vec<_>>(), 0)
}

/// Trains a few steps, then writes base, adapter, merged model and logits.
fn write(folder: &Path, kind: &str, lora: LoraConfig) -> model::Result<()> {
    let device = Default::default();
    let base = CausalLm::<Cpu>::init_random(tiny(kind)?, 7, &device)?;
    base.save_folder(&folder.join("base"))?;
    let mut trainer = Trainer::new(base, Method::Lora(lora), OptimConfig::default(), 3)?;
    for _ in 0..5 {
        trainer.step(&[batch()], Normalisation::TokensOfStep, 2e-2, Some(1.0))?;
    }
    trainer.save_adapter(&folder.join("adapter"), &folder.join("base").to_string_lossy())?;
    let mut model = trainer.into_model();
    let logits = model.batch_logits(&batch(), Mode::default());
    model.merge_adapter();
    model.save_folder(&folder.join("merged"))?;
    let text = json!({ "ids": rows(), "logits": logits }).to_string();
    let path = folder.join("expected.json");
    std::fs::write(&path, text).map_err(|error| ModelError::io(&path, &error))
}

fn main() -> model::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_default();
    let folder = Path::new(&folder);
    let plain = || LoraConfig { r: 4, alpha: 8.0, ..LoraConfig::default() };
    for kind in SUPPORTED {
        write(&folder.join(kind), kind, plain())?;
    }
    let two = vec!["q_proj".to_owned(), "v_proj".to_owned()];
    write(
        &folder.join("llama-rslora"),
        "llama",
        LoraConfig { use_rslora: true, target_modules: two, ..plain() },
    )?;
    // Fused maps, by the names that their families have for them.
    for (name, kind, targets) in [
        ("gpt2-c_attn", "gpt2", &["c_attn"][..]),
        ("gpt2-mixed", "gpt2", &["attn.c_proj", "c_fc"]),
        ("phi3-fused", "phi3", &["qkv_proj", "gate_up_proj"]),
    ] {
        let target_modules = targets.iter().map(|name| (*name).to_owned()).collect();
        write(&folder.join(name), kind, LoraConfig { target_modules, ..plain() })?;
    }
    write(&folder.join("llama-dora"), "llama", LoraConfig { use_dora: true, ..plain() })?;
    let saved = vec!["lm_head".to_owned()];
    write(&folder.join("llama-head"), "llama", LoraConfig { modules_to_save: saved, ..plain() })
}
