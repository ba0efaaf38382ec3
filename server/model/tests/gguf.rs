//! A model of each family written the way llama.cpp writes it, and read back: the same logits.

#![expect(clippy::unwrap_used, reason = "what cannot be built is to fail the test where it happens")]

use model::Code;
use model::arch::Mode;
use model::kernels::Kernels;
use model::train::Batch;
use model::weights::{Gguf, TensorSource, Weights, convert_to_folder};
use model::{CausalLm, Cpu, ModelConfig};
use serde_json::{Value, json};

/// Parts of a GGUF file: key and value pairs in bytes, tensors with dimensions innermost first.
#[derive(Default)]
struct File {
    pairs: Vec<Vec<u8>>,
    tensors: Vec<(String, Vec<u64>, Vec<f32>)>,
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

impl File {
    fn pair(&mut self, key: &str, kind: u32, value: &[u8]) {
        let mut out = Vec::new();
        text(&mut out, key);
        out.extend(kind.to_le_bytes());
        out.extend(value);
        self.pairs.push(out);
    }

    fn word(&mut self, key: &str, value: &str) {
        let mut out = Vec::new();
        text(&mut out, value);
        self.pair(key, 8, &out);
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.pairs.len() as u64).to_le_bytes());
        out.extend(self.pairs.concat());
        let mut offset = 0u64;
        for (name, dims, values) in &self.tensors {
            text(&mut out, name);
            out.extend((dims.len() as u32).to_le_bytes());
            dims.iter().for_each(|n| out.extend(n.to_le_bytes()));
            out.extend(0u32.to_le_bytes());
            out.extend(offset.to_le_bytes());
            offset += (4 * values.len() as u64).next_multiple_of(32);
        }
        for (.., values) in &self.tensors {
            out.resize(out.len().next_multiple_of(32), 0);
            values.iter().for_each(|x| out.extend(x.to_le_bytes()));
        }
        out
    }
}

/// llama.cpp's name of a transformers tensor (from its table of tensor names).
fn theirs(kind: &str, name: &str) -> String {
    let after = kind.starts_with("gemma") || kind == "olmo2";
    let name = name.replace("model.layers.", "blk.").replace("transformer.h.", "blk.");
    let pairs = [
        ("model.embed_tokens", "token_embd"),
        ("transformer.wte", "token_embd"),
        ("transformer.wpe", "position_embd"),
        ("transformer.ln_f", "output_norm"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("self_attn.qkv_proj", "attn_qkv"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("attn.c_attn", "attn_qkv"),
        ("attn.c_proj", "attn_output"),
        ("mlp.c_fc", "ffn_up"),
        ("mlp.c_proj", "ffn_down"),
        ("mlp.gate_up_proj", "ffn_up"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
        ("input_layernorm", "attn_norm"),
        ("pre_feedforward_layernorm", "ffn_norm"),
        ("post_feedforward_layernorm", "post_ffw_norm"),
        ("post_attention_layernorm", if after { "post_attention_norm" } else { "ffn_norm" }),
        ("ln_1", "attn_norm"),
        ("ln_2", "ffn_norm"),
    ];
    let (ours, theirs) =
        pairs.iter().find(|(ours, _)| name.contains(ours)).unwrap_or_else(|| panic!("{name}"));
    name.replace(ours, theirs)
}

/// Rows of each head as llama.cpp's rotary form wants them: the two halves interleaved.
fn interleaved(values: &[f32], heads: usize, cols: usize) -> Vec<f32> {
    let dim = values.len() / cols / heads;
    let row = |head: usize, i: usize| {
        let from = head * dim + i / 2 + i % 2 * dim / 2;
        values[from * cols..(from + 1) * cols].to_vec()
    };
    (0..heads).flat_map(|head| (0..dim).flat_map(move |i| row(head, i))).collect()
}

fn file(kind: &str, config: &ModelConfig, weights: &Weights) -> File {
    let mut file = File::default();
    file.word("general.architecture", kind);
    let sizes = [
        ("embedding_length", config.hidden_size),
        ("feed_forward_length", config.intermediate_size),
        ("block_count", config.num_hidden_layers),
        ("context_length", config.max_position_embeddings),
        ("attention.head_count", config.num_attention_heads),
        ("attention.head_count_kv", config.num_key_value_heads),
        ("attention.key_length", config.head_dim),
        ("attention.sliding_window", config.sliding_window.unwrap_or(0)),
    ];
    for (key, value) in sizes {
        file.pair(&format!("{kind}.{key}"), 4, &(value as u32).to_le_bytes());
    }
    let eps =
        if kind == "gpt2" { "attention.layer_norm_epsilon" } else { "attention.layer_norm_rms_epsilon" };
    let numbers = [
        (eps, config.rms_norm_eps),
        ("rope.freq_base", config.rope_theta),
        ("attn_logit_softcapping", config.attention_softcap.unwrap_or(0.0)),
        ("final_logit_softcapping", config.final_softcap.unwrap_or(0.0)),
    ];
    let scales = [
        ("attention.scale", config.score_scale()),
        ("embedding_scale", config.embedding_multiplier),
        ("residual_scale", config.residual_multiplier),
        ("logit_scale", config.logits_scaling),
    ];
    for (key, value) in numbers.into_iter().chain(scales.into_iter().filter(|_| kind == "granite")) {
        file.pair(&format!("{kind}.{key}"), 6, &(value as f32).to_le_bytes());
    }
    for name in weights.names() {
        let (mut shape, mut values) = (weights.shape(&name).unwrap(), weights.read(&name).unwrap());
        if kind == "gpt2" && name.contains(".c_") && shape.len() == 2 {
            values = (0..shape[1])
                .flat_map(|c| (0..shape[0]).map(move |r| (r, c)))
                .map(|(r, c)| values[r * shape[1] + c])
                .collect();
            shape.reverse();
        }
        if kind.starts_with("gemma") && name.ends_with("norm.weight") {
            values.iter_mut().for_each(|x| *x += 1.0);
        }
        for (part, heads) in [("q_proj", config.num_attention_heads), ("k_proj", config.num_key_value_heads)]
        {
            if ["llama", "granite", "smollm3"].contains(&kind) && name.contains(part) {
                values = interleaved(&values, heads, values.len() / shape[0]);
            }
        }
        let dims = shape.iter().rev().map(|n| *n as u64).collect();
        file.tensors.push((theirs(kind, &name), dims, values));
    }
    file
}

fn tiny(kind: &str) -> ModelConfig {
    let value = json!({ "model_type": if kind == "gemma3" { "gemma3_text" } else { kind }, "vocab_size": 24,
        "hidden_size": 16, "intermediate_size": 20, "num_hidden_layers": if kind == "smollm3" { 4 } else { 2 },
        "attention_multiplier": 0.7, "embedding_multiplier": 1.5, "residual_multiplier": 0.6,
        "logits_scaling": 0.8, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4, "sliding_window": 3, "n_embd": 16, "n_head": 4, "n_layer": 2,
        "n_inner": 20, "n_positions": 32, "max_position_embeddings": 32, "attn_logit_softcapping": 2.0,
        "final_logit_softcapping": 3.0, "query_pre_attn_scalar": 4, "rope_theta": 5000.0, "initializer_range": 0.2,
        "rms_norm_eps": 1e-5 });
    ModelConfig::from_json(value.to_string().as_bytes()).unwrap()
}

fn logits(model: &CausalLm<Cpu>) -> Vec<f32> {
    let batch =
        Batch::from_rows(&[(vec![1, 5, 9, 13, 2, 7], vec![-100; 6]), (vec![3, 3, 20], vec![-100; 3])], 0);
    model.batch_logits(&batch, Mode::default())
}

#[test]
fn every_family_comes_back_from_gguf() {
    for kind in ["llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "gpt2", "olmo2", "smollm3", "granite"]
    {
        let mut model = CausalLm::<Cpu>::init_random(tiny(kind), 7, &Default::default()).unwrap();
        let mut rng = model::rng::Rng::new(2);
        model.visit_mut(|param| {
            if param.shape.len() == 1 {
                let [rows, cols] = param.value.dims();
                let values =
                    Cpu::to_host(&param.value).iter().map(|x| x + rng.normal() as f32 * 0.1).collect();
                param.value = Cpu::from_host(values, rows, cols, &Default::default());
            }
        });
        let folder = tempfile::tempdir().unwrap();
        model.save_folder(folder.path()).unwrap();
        let written = file(kind, &model.config, &Weights::open_folder(folder.path()).unwrap());
        let gguf = Gguf::from_bytes(written.bytes()).unwrap();
        let want = logits(&model);
        let direct = CausalLm::<Cpu>::load(gguf.config(), &gguf, &Default::default()).unwrap();
        let imported = tempfile::tempdir().unwrap();
        convert_to_folder(&gguf, imported.path()).unwrap();
        let imported = CausalLm::<Cpu>::open(imported.path(), &Default::default()).unwrap();
        for (how, got) in [("direct", logits(&direct)), ("imported", logits(&imported))] {
            let apart = want.iter().zip(&got).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 1e-4, "{kind} {how}: {apart}");
        }
    }
}

#[test]
fn llama3_divisors_are_recognised_and_others_refused() {
    let mut value = json!({ "model_type": "llama", "vocab_size": 24, "hidden_size": 16, "intermediate_size": 20,
        "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1, "rope_theta": 500000.0,
        "max_position_embeddings": 131072 });
    let plain = ModelConfig::from_json(value.to_string().as_bytes()).unwrap();
    value["rope_scaling"] = json!({ "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 8192 });
    let stretched = ModelConfig::from_json(value.to_string().as_bytes()).unwrap();
    let model = CausalLm::<Cpu>::init_random(plain.clone(), 7, &Default::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    model.save_folder(folder.path()).unwrap();
    let weights = Weights::open_folder(folder.path()).unwrap();
    let with = |divisors: Vec<f32>| {
        let mut written = file("llama", &plain, &weights);
        written.tensors.push(("rope_freqs.weight".into(), vec![divisors.len() as u64], divisors));
        Gguf::from_bytes(written.bytes())
    };
    let pairs = plain.rope_frequencies().into_iter().zip(stretched.rope_frequencies());
    let gguf = with(pairs.map(|(plain, stretched)| plain / stretched).collect()).unwrap();
    assert_eq!(gguf.config().rope_scaling, stretched.rope_scaling);
    assert_eq!(with(vec![2.0; 8]).unwrap_err().code, Code::ConfigRopeScaling);
    let value: Value = with(vec![1.0; 8]).unwrap().config().to_json();
    assert!(value["rope_scaling"].is_null());
}
