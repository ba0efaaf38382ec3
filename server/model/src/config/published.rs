//! Configurations of further families as they were published, and settings of theirs that are refused.

use serde_json::{Value, json};

use super::{Architecture, ModelConfig, RopeScaling, Sequence};
use crate::error::{Code, Result};
use crate::kernels::Alibi;

fn read(value: &Value) -> Result<ModelConfig> {
    ModelConfig::from_json(value.to_string().as_bytes())
}

fn with(mut value: Value, name: &str, other: Value) -> Value {
    value[name] = other;
    value
}

/// What is published survives being written by Burnish.
fn kept(value: &Value) -> ModelConfig {
    let config = read(value).unwrap();
    let dtype = config.dtype.clone().or_else(|| Some("float32".to_owned()));
    assert_eq!(read(&config.to_json()).unwrap(), ModelConfig { dtype, ..config.clone() }, "{value}");
    config
}

fn bloom() -> Value {
    json!({ "apply_residual_connection_post_layernorm": false, "attention_dropout": 0.0,
        "attention_softmax_in_fp32": true, "bias_dropout_fusion": true, "bos_token_id": 1, "eos_token_id": 2,
        "pad_token_id": 3, "unk_token_id": 0, "hidden_dropout": 0.0, "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05, "masked_softmax_fusion": true, "model_type": "bloom", "n_embed": 1024,
        "n_inner": null, "n_layer": 24, "num_attention_heads": 16, "offset_alibi": 100, "pretraining_tp": 1,
        "seq_length": 2048, "skip_bias_add": true, "skip_bias_add_qkv": false, "use_cache": true,
        "vocab_size": 250880 })
}

#[test]
fn bloom_under_both_of_its_spellings() {
    let old = kept(&bloom());
    assert_eq!((old.hidden_size, old.intermediate_size, old.num_hidden_layers), (1024, 4096, 24));
    assert_eq!((old.num_attention_heads, old.num_key_value_heads, old.head_dim), (16, 16, 64));
    assert!(old.tie_word_embeddings && old.alibi == Alibi::Plain && old.max_position_embeddings == 2048);
    let mut other = bloom();
    for (name, value) in [
        ("n_embed", Value::Null),
        ("hidden_size", json!(1024)),
        ("num_attention_heads", Value::Null),
        ("n_head", json!(16)),
    ] {
        other[name] = value;
    }
    assert_eq!(read(&other).unwrap(), old);
    for (name, value) in [("apply_residual_connection_post_layernorm", json!(true)), ("n_inner", json!(2048))]
    {
        let refused = read(&with(bloom(), name, value)).unwrap_err();
        assert_eq!(refused.code, Code::ConfigValue);
        assert!(refused.params.contains(&("name", name.to_owned())), "{refused:?}");
    }
    // 300 tensors and their shapes, as the file of 560M has them.
    let tensors = old.tensors();
    assert_eq!(tensors.len(), 3 + 24 * 12 + 2);
    assert_eq!(tensors.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>(), 559_214_592);
}

/// 7B as it came with code of its own.
fn falcon_7b() -> Value {
    json!({ "alibi": false, "apply_residual_connection_post_layernorm": false, "architectures": ["RWForCausalLM"],
        "attention_dropout": 0.0, "bias": false, "bos_token_id": 11, "eos_token_id": 11, "hidden_dropout": 0.0,
        "hidden_size": 4544, "initializer_range": 0.02, "layer_norm_epsilon": 1e-05,
        "model_type": "RefinedWebModel", "multi_query": true, "n_head": 71, "n_layer": 32, "parallel_attn": true,
        "torch_dtype": "bfloat16", "use_cache": true, "vocab_size": 65024 })
}

#[test]
fn falcon_in_its_kinds_and_spellings() {
    let old = kept(&falcon_7b());
    assert_eq!((old.num_attention_heads, old.num_key_value_heads, old.head_dim), (71, 1, 64));
    assert_eq!((old.sequence, old.alibi, old.intermediate_size), (Sequence::SideBySide, Alibi::None, 18_176));
    assert_eq!(old.linears()[0].outer, 4544 + 2 * 64);
    let new = json!({ "alibi": false, "architectures": ["FalconForCausalLM"], "bias": false,
        "apply_residual_connection_post_layernorm": false, "bos_token_id": 11, "eos_token_id": 11,
        "hidden_size": 4544, "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "model_type": "falcon",
        "multi_query": true, "new_decoder_architecture": false, "num_attention_heads": 71, "num_kv_heads": 71,
        "num_hidden_layers": 32, "parallel_attn": true, "torch_dtype": "bfloat16", "vocab_size": 65024 });
    assert_eq!(read(&new).unwrap(), old);
    // 40B, old: its type alone says that it has groups of heads.
    let large = json!({ "alibi": false, "architectures": ["RWForCausalLM"], "bias": false, "bos_token_id": 11,
        "eos_token_id": 11, "hidden_size": 8192, "layer_norm_epsilon": 1e-05, "model_type": "RefinedWeb",
        "n_head": 128, "n_head_kv": 8, "n_layer": 60, "parallel_attn": true, "vocab_size": 65024 });
    let large = kept(&large);
    assert_eq!((large.num_key_value_heads, large.sequence), (8, Sequence::SideBySideTwoNorms));
    // RW-1B: ALiBi, biases, one part after the other.
    let small = json!({ "alibi": true, "architectures": ["FalconForCausalLM"], "bias": true, "hidden_size": 2048,
        "layer_norm_epsilon": 1e-05, "model_type": "falcon", "multi_query": false, "num_attention_heads": 32,
        "new_decoder_architecture": false, "num_hidden_layers": 24, "parallel_attn": false, "vocab_size": 50304 });
    let small = kept(&small);
    assert_eq!((small.num_key_value_heads, small.sequence), (32, Sequence::OneAfterTheOther));
    assert!(small.alibi == Alibi::Rounded && small.qkv_bias && small.output_bias && small.mlp_bias);
    // 11B: groups of heads with one norm.
    let one = json!({ "model_type": "falcon", "hidden_size": 4096, "num_attention_heads": 32, "num_kv_heads": 8,
        "num_hidden_layers": 60, "new_decoder_architecture": true, "num_ln_in_parallel_attn": 1,
        "parallel_attn": true, "vocab_size": 65024, "rope_theta": 500042, "ffn_hidden_size": 16384 });
    assert_eq!(kept(&one).sequence, Sequence::SideBySide);
    for (value, name) in [
        (
            with(falcon_7b(), "apply_residual_connection_post_layernorm", json!(true)),
            "apply_residual_connection_post_layernorm",
        ),
        (with(falcon_7b(), "num_ln_in_parallel_attn", json!(2)), "num_ln_in_parallel_attn"),
        (with(one.clone(), "num_ln_in_parallel_attn", json!(3)), "num_ln_in_parallel_attn"),
        (with(one, "parallel_attn", json!(false)), "parallel_attn"),
        (with(falcon_7b(), "activation", json!("relu")), "relu"),
    ] {
        let refused = read(&value).unwrap_err();
        assert!(refused.params.iter().any(|(key, value)| *key == "name" && value == name), "{refused:?}");
    }
}

#[test]
fn baichuan_7b_is_rotary_13b_is_not_and_the_second_generation_is_refused() {
    let small = json!({ "architectures": ["BaiChuanForCausalLM"], "bos_token_id": 1, "eos_token_id": 2,
        "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 11008, "max_position_embeddings": 4096,
        "model_type": "baichuan", "num_attention_heads": 32, "num_hidden_layers": 32, "pad_token_id": 0,
        "rms_norm_eps": 1e-06, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 64000 });
    let large = json!({ "architectures": ["BaichuanForCausalLM"], "bos_token_id": 1, "eos_token_id": 2,
        "hidden_act": "silu", "hidden_size": 5120, "intermediate_size": 13696, "model_max_length": 4096,
        "model_type": "baichuan", "num_attention_heads": 40, "num_hidden_layers": 40, "pad_token_id": 0,
        "rms_norm_eps": 1e-06, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 64000 });
    let (seven, thirteen) = (kept(&small), kept(&large));
    assert_eq!((seven.alibi, thirteen.alibi), (Alibi::None, Alibi::Plain));
    assert_eq!((seven.max_position_embeddings, thirteen.max_position_embeddings), (4096, 4096));
    assert_eq!(seven.linear_names(), ["W_pack", "o_proj", "gate_proj", "up_proj", "down_proj"]);
    for (name, value) in [("vocab_size", json!(125_696)), ("z_loss_weight", json!(0))] {
        for model in [&small, &large] {
            let refused = read(&with(model.clone(), name, value.clone())).unwrap_err();
            assert!(refused.params.contains(&("name", name.to_owned())), "{refused:?}");
        }
    }
    let untyped = with(small, "model_type", Value::Null);
    assert_eq!(read(&untyped).unwrap().architecture, Architecture::Baichuan, "by its class");
}

#[test]
fn internlm_names_its_base_and_how_it_grows() {
    let plain = json!({ "architectures": ["InternLMForCausalLM"], "bias": true, "bos_token_id": 1, "eos_token_id": 2,
        "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 11008, "max_position_embeddings": 2048,
        "model_type": "internlm", "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32,
        "pad_token_id": 2, "rms_norm_eps": 1e-06, "tie_word_embeddings": false, "vocab_size": 103168 });
    let config = kept(&plain);
    assert!(config.qkv_bias && config.output_bias && !config.mlp_bias);
    let rotary = |kind: &str| with(plain.clone(), "rotary", json!({ "base": 5000, "type": kind }));
    let dynamic = kept(&rotary("dynamic"));
    assert_eq!((dynamic.rope_theta, dynamic.rope_scaling.clone()), (5000.0, RopeScaling::Dynamic));
    assert_eq!(dynamic.dynamic_frequencies(2048), None);
    // Twice the context: the base times 2^(128 / 126).
    let grown = dynamic.dynamic_frequencies(4096).unwrap();
    let wanted = (5000.0 * 2f64.powf(128.0 / 126.0)).powf(-2.0 / 128.0) as f32;
    assert!((grown[1] - wanted).abs() < 1e-7, "{} {wanted}", grown[1]);
    assert_eq!(kept(&rotary("origin")).rope_scaling, RopeScaling::None);
    assert_eq!(read(&rotary("yarn")).unwrap_err().code, Code::ConfigValue);
}

#[test]
fn dense_ones_of_today() {
    let olmo2 = json!({ "architectures": ["Olmo2ForCausalLM"], "attention_bias": false, "eos_token_id": 100257,
        "hidden_act": "silu", "hidden_size": 2048, "intermediate_size": 8192, "max_position_embeddings": 4096,
        "model_type": "olmo2", "num_attention_heads": 16, "num_hidden_layers": 16, "num_key_value_heads": 16,
        "pad_token_id": 100277, "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 500000,
        "tie_word_embeddings": false, "torch_dtype": "float32", "vocab_size": 100352 });
    // Counted by transformers.
    let count = |config: &ModelConfig| {
        config.tensors().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>()
    };
    assert_eq!(count(&kept(&olmo2)), 1_484_916_736);
    assert_eq!(read(&with(olmo2, "clip_qkv", json!(8.0))).unwrap_err().code, Code::ConfigValue);
    let smollm3 = json!({ "architectures": ["SmolLM3ForCausalLM"], "attention_bias": false, "bos_token_id": null,
        "eos_token_id": 128012, "hidden_act": "silu", "hidden_size": 2048, "intermediate_size": 11008,
        "max_position_embeddings": 65536, "mlp_bias": false, "model_type": "smollm3", "no_rope_layer_interval": 4,
        "num_attention_heads": 16, "num_hidden_layers": 36, "num_key_value_heads": 4, "pad_token_id": 128004,
        "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 5000000.0, "sliding_window": null,
        "use_sliding_window": false, "vocab_size": 128256 });
    let config = kept(&smollm3);
    assert_eq!(count(&config), 3_075_098_624);
    let unrotated: Vec<usize> = (0..36).filter(|layer| !config.rotates(*layer)).collect();
    assert_eq!(unrotated, (0..9).map(|i| 4 * i + 3).collect::<Vec<_>>());
    assert_eq!(
        read(&with(smollm3.clone(), "no_rope_layers", json!([1, 0]))).unwrap_err().code,
        Code::ConfigValue
    );
    let sliding = with(with(smollm3, "use_sliding_window", json!(true)), "sliding_window", json!(8));
    let sliding = kept(&sliding);
    assert_eq!((sliding.window(3), sliding.window(4)), (Some(8), None));
    let granite = json!({ "architectures": ["GraniteForCausalLM"], "attention_bias": false,
        "attention_multiplier": 0.015625, "bos_token_id": 0, "embedding_multiplier": 12.0, "eos_token_id": 0,
        "hidden_act": "silu", "hidden_size": 2048, "intermediate_size": 8192, "logits_scaling": 8.0,
        "max_position_embeddings": 131072, "mlp_bias": false, "model_type": "granite", "num_attention_heads": 32,
        "num_hidden_layers": 40, "num_key_value_heads": 8, "pad_token_id": 0, "residual_multiplier": 0.22,
        "rms_norm_eps": 1e-05, "rope_scaling": null, "rope_theta": 10000000.0, "tie_word_embeddings": true,
        "vocab_size": 49155 });
    let config = kept(&granite);
    assert_eq!((config.score_scale(), config.embedding_multiplier), (0.015_625, 12.0));
    assert_eq!((config.residual_multiplier, config.logits_scaling), (0.22, 8.0));
    let glm4 = json!({ "architectures": ["Glm4ForCausalLM"], "attention_bias": true, "attention_dropout": 0.0,
        "eos_token_id": [151329, 151336, 151338], "head_dim": 128, "hidden_act": "silu", "hidden_size": 4096,
        "initializer_range": 0.02, "intermediate_size": 13696, "max_position_embeddings": 32768,
        "model_type": "glm4", "num_attention_heads": 32, "num_hidden_layers": 40, "num_key_value_heads": 2,
        "pad_token_id": 151329, "partial_rotary_factor": 0.5, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
        "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 151552 });
    let config = kept(&glm4);
    assert_eq!((config.rotary_dim(), config.qkv_bias, config.output_bias), (64, true, false));
    assert_eq!(count(&config), 9_400_279_040);
    let older = with(with(glm4, "model_type", json!("glm")), "architectures", json!(["GlmForCausalLM"]));
    assert_eq!(kept(&older).layer_norms().all().count(), 2);
}
