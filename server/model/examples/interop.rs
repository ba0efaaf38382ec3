//! Writes adapters and merged models of every family, each with the logits it has here, for `make interop` to compare
//! with what PEFT and transformers make of the same files: `interop FOLDER`.

use std::path::Path;

use model::arch::Mode;
use model::config::SUPPORTED;
use model::kernels::Kernels;
use model::lora::LoraConfig;
use model::rng::Rng;
use model::train::{Batch, Method, Normalisation, OptimConfig, Trainer};
use model::{CausalLm, Cpu, ModelConfig, ModelError};
use serde_json::{Value, json};

/// A tiny model of a family, with settings of its own.
fn tiny(kind: &str, changes: &Value) -> model::Result<ModelConfig> {
    let mut config = json!({
        "model_type": kind, "vocab_size": 96, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 4,
        "n_embd": 32, "n_head": 4, "n_layer": 2, "n_inner": 48, "n_positions": 64, "max_position_embeddings": 64,
        "query_pre_attn_scalar": 8, "initializer_range": 0.1, "pad_token_id": 0,
        "bos_token_id": 1, "eos_token_id": 2, "ffn_hidden_size": 48, "no_rope_layer_interval": 2,
        "attention_multiplier": 0.3, "embedding_multiplier": 2.0, "residual_multiplier": 0.7, "logits_scaling": 0.5,
        "attention_bias": kind.starts_with("glm"),
    });
    if kind == "bloom" {
        config["n_inner"] = Value::Null;
    }
    if let (Some(config), Some(changes)) = (config.as_object_mut(), changes.as_object()) {
        config.extend(changes.clone());
    }
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
fn write(folder: &Path, kind: &str, changes: &Value, lora: LoraConfig) -> model::Result<()> {
    let device = Default::default();
    let mut base = CausalLm::<Cpu>::init_random(tiny(kind, changes)?, 7, &device)?;
    unsettle(&mut base);
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

/// Moves norms and biases from their neutral values: what lies in a wrong place would not be noticed.
fn unsettle(model: &mut CausalLm<Cpu>) {
    let (mut rng, device) = (Rng::new(5), *model.device());
    model.visit_mut(|param| {
        if param.shape.len() == 1 {
            let [rows, cols] = param.value.dims();
            let values = Cpu::to_host(&param.value).iter().map(|x| x + rng.normal() as f32 * 0.1).collect();
            param.value = Cpu::from_host(values, rows, cols, &device);
        }
    });
}

fn main() -> model::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_default();
    let folder = Path::new(&folder);
    let plain = || LoraConfig { r: 4, alpha: 8.0, ..LoraConfig::default() };
    let usual = json!({});
    for kind in SUPPORTED {
        write(&folder.join(kind), kind, &usual, plain())?;
    }
    // Kinds of a family.
    let groups = json!({ "new_decoder_architecture": true, "num_kv_heads": 2 });
    let one_norm =
        json!({ "new_decoder_architecture": true, "num_kv_heads": 2, "num_ln_in_parallel_attn": 1 });
    let alibi = json!({ "alibi": true, "bias": true, "multi_query": false, "parallel_attn": false,
        "hidden_size": 48, "num_attention_heads": 12, "head_dim": 4 });
    let thirteen = json!({ "max_position_embeddings": null, "model_max_length": 64 });
    for (name, kind, changes) in [
        ("falcon-groups", "falcon", groups),
        ("falcon-norm", "falcon", one_norm),
        ("falcon-alibi", "falcon", alibi),
        ("baichuan-alibi", "baichuan", thirteen),
    ] {
        write(&folder.join(name), kind, &changes, plain())?;
    }
    let two = vec!["q_proj".to_owned(), "v_proj".to_owned()];
    write(
        &folder.join("llama-rslora"),
        "llama",
        &usual,
        LoraConfig { use_rslora: true, target_modules: two, ..plain() },
    )?;
    // Fused maps, by the names that their families have for them.
    for (name, kind, targets) in [
        ("gpt2-c_attn", "gpt2", &["c_attn"][..]),
        ("gpt2-mixed", "gpt2", &["attn.c_proj", "c_fc"]),
        ("phi3-fused", "phi3", &["qkv_proj", "gate_up_proj"]),
        ("bloom-fused", "bloom", &["query_key_value", "dense"]),
        ("falcon-fused", "falcon", &["query_key_value", "dense_h_to_4h"]),
        ("baichuan-fused", "baichuan", &["W_pack"]),
        ("glm4-fused", "glm4", &["gate_up_proj"]),
    ] {
        let target_modules = targets.iter().map(|name| (*name).to_owned()).collect();
        write(&folder.join(name), kind, &usual, LoraConfig { target_modules, ..plain() })?;
    }
    write(&folder.join("llama-dora"), "llama", &usual, LoraConfig { use_dora: true, ..plain() })?;
    let saved = vec!["lm_head".to_owned()];
    write(&folder.join("llama-head"), "llama", &usual, LoraConfig { modules_to_save: saved, ..plain() })?;
    // The embedding, under the name that a family has for it.
    let saved = vec!["embed_tokens".to_owned()];
    write(&folder.join("bloom-embed"), "bloom", &usual, LoraConfig { modules_to_save: saved, ..plain() })
}
