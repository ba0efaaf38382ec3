use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::error::{Code, Result};

fn base(kind: &str) -> Value {
    json!({ "model_type": kind, "vocab_size": 32, "hidden_size": 8, "intermediate_size": 16,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "dtype": "bfloat16",
        "n_embd": 8, "n_head": 2, "n_layer": 2, "n_positions": 16, "sliding_window": 4,
        "eos_token_id": [3, 4] })
}

fn read(value: &Value) -> Result<ModelConfig> {
    ModelConfig::from_json(value.to_string().as_bytes())
}

#[test]
fn every_family_survives_a_round_trip() {
    assert_eq!(Architecture::ALL.map(Architecture::name), SUPPORTED);
    for kind in SUPPORTED {
        let config = read(&base(kind)).unwrap();
        assert_eq!((config.head_dim, config.eos_token_ids.as_slice()), (4, &[3, 4][..]), "{kind}");
        assert_eq!(read(&config.to_json()).unwrap(), config, "{kind}");
    }
    let written = read(&base("gemma2")).unwrap().to_json();
    assert!(written["query_pre_attn_scalar"].is_i64(), "transformers takes no 8.0");
}

#[test]
fn families_differ_where_they_should() {
    let of = |kind: &str| read(&base(kind)).unwrap();
    assert!(of("qwen2").qkv_bias && !of("qwen2").output_bias && !of("llama").qkv_bias);
    assert_eq!((of("llama").window(0), of("mistral").window(1)), (None, Some(4)));
    assert_eq!((of("gemma2").window(0), of("gemma2").window(1)), (Some(4), None));
    assert!(of("gemma2").tie_word_embeddings && of("gpt2").tie_word_embeddings);
    let gpt2 = of("gpt2");
    assert_eq!((gpt2.intermediate_size, gpt2.num_key_value_heads), (32, 2));
    assert_eq!(gpt2.linear_names(), ["c_attn", "c_proj", "c_fc"]);
    assert_eq!(of("phi3").linear_names(), ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]);
}

#[test]
fn old_and_new_files_say_the_same_about_rotary_positions() {
    let stretched = json!({ "rope_type": "linear", "factor": 2.0 });
    for kind in SUPPORTED {
        let (mut old, mut new) = (base(kind), base(kind));
        old["rope_theta"] = json!(5000.0);
        old["rope_scaling"] = stretched.clone();
        new["rope_parameters"] = stretched.clone();
        new["rope_parameters"]["rope_theta"] = json!(5000.0);
        if kind == "gemma3_text" {
            let local = json!({ "rope_type": "default", "rope_theta": 10_000.0 });
            new["rope_parameters"] =
                json!({ "full_attention": new["rope_parameters"], "sliding_attention": local });
        }
        let config = read(&old).unwrap();
        assert_eq!(config, read(&new).unwrap(), "{kind}");
        assert_eq!(config.rope_theta, 5000.0, "{kind}");
        let rotary = !["gpt2", "bloom"].contains(&kind);
        assert_eq!(config.rope_scaling != RopeScaling::None, rotary, "{kind}");
    }
    let mut partly = base("glm4");
    assert_eq!(read(&partly).unwrap().rotary_dim(), 2, "half of a head unless the file says otherwise");
    partly["partial_rotary_factor"] = json!(1.0);
    let config = read(&partly).unwrap();
    assert_eq!(config.rotary_dim(), 4);
    partly["partial_rotary_factor"] = Value::Null;
    partly["rope_parameters"] = json!({ "partial_rotary_factor": 1.0 });
    assert_eq!(read(&partly).unwrap(), config);
    for wrong in [0.1, 0.75, 1.5] {
        partly["rope_parameters"]["partial_rotary_factor"] = json!(wrong);
        assert_eq!(read(&partly).unwrap_err().code, Code::ConfigValue, "{wrong}");
    }
}

#[test]
fn names_what_is_wrong() {
    let mut value = base("mamba");
    let error = read(&value).unwrap_err().to_string();
    assert!(error.contains("mamba") && error.contains("llama, mistral, qwen2"), "{error}");
    value = base("gpt2");
    value["n_embd"] = json!(-1);
    assert!(read(&value).unwrap_err().to_string().contains("n_embd"));
    value = base("qwen2");
    value["num_key_value_heads"] = json!(3);
    assert_eq!(read(&value).unwrap_err().code, Code::ConfigHeads);
    value = base("llama");
    value["rope_scaling"] = json!({ "type": "yarn", "factor": 2.0 });
    assert!(read(&value).unwrap_err().to_string().contains("yarn"));
    value = base("gemma3_text");
    value["layer_types"] = json!(["full_attention"]);
    assert!(read(&value).unwrap_err().to_string().contains("layer_types"));
    value = base("phi3");
    value["partial_rotary_factor"] = json!(0.5);
    assert!(read(&value).unwrap_err().to_string().contains("partial_rotary_factor"));
    value = base("gemma2");
    value["hidden_activation"] = json!("gelu");
    assert!(read(&value).unwrap_err().to_string().contains("hidden_activation"));
    assert_eq!(ModelConfig::from_json(b"[").unwrap_err().code, Code::ConfigBroken);
}

#[test]
fn longrope_divides_each_frequency_and_changes_beyond_the_original_context() {
    let mut value = base("phi3");
    value["max_position_embeddings"] = json!(64);
    value["original_max_position_embeddings"] = json!(16);
    value["rope_scaling"] =
        json!({ "type": "longrope", "short_factor": [1.0, 2.0], "long_factor": [4.0, 8.0] });
    let config = read(&value).unwrap();
    let plain = ModelConfig { rope_scaling: RopeScaling::None, ..config.clone() }.rope_frequencies();
    let (short, long) = (config.rope_frequencies(), config.long_frequencies().unwrap());
    assert_eq!([short[0], short[1]], [plain[0], plain[1] / 2.0]);
    assert_eq!([long[0], long[1]], [plain[0] / 4.0, plain[1] / 8.0]);
    let RopeScaling::LongRope { original, attention_factor, .. } = config.rope_scaling else {
        panic!("longrope")
    };
    assert!(original == 16.0 && (attention_factor - 1.5f64.sqrt()).abs() < 1e-12);
    value["rope_scaling"]["long_factor"] = json!([1.0]);
    assert!(read(&value).unwrap_err().to_string().contains("long_factor"));
}

#[test]
fn n16_every_size_has_a_limit_that_is_named() {
    for (kind, name, own) in [
        ("llama", "num_hidden_layers", "num_hidden_layers"),
        ("gpt2", "num_hidden_layers", "n_layer"),
        ("llama", "hidden_size", "hidden_size"),
        ("llama", "intermediate_size", "intermediate_size"),
        ("llama", "num_attention_heads", "num_attention_heads"),
        ("llama", "num_key_value_heads", "num_key_value_heads"),
        ("llama", "head_dim", "head_dim"),
        ("llama", "vocab_size", "vocab_size"),
        ("llama", "max_position_embeddings", "max_position_embeddings"),
        ("mistral", "sliding_window", "sliding_window"),
        ("gemma3_text", "sliding_window_pattern", "sliding_window_pattern"),
    ] {
        let most = most_of(name);
        for above in [most + 1, 1 << 40, u64::MAX] {
            let mut value = base(kind);
            value[own] = json!(above);
            let error = read(&value).unwrap_err();
            assert_eq!(error.code, Code::ConfigLimit, "{kind}: {own}");
            assert!(error.params.contains(&("name", own.to_owned())), "{error:?}");
            assert!(error.params.contains(&("most", most.to_string())), "{error:?}");
        }
        for odd in [json!(0), json!(-1), json!(1.5), json!(1e300), json!("12"), json!([])] {
            let mut value = base(kind);
            value[own] = odd;
            assert_eq!(read(&value).unwrap_err().code, Code::ConfigValue, "{kind}: {own}");
        }
    }
}

#[test]
fn stretching_that_gives_no_number_is_refused() {
    for original in [1.0, 0.5] {
        let mut value = base("phi3");
        value["max_position_embeddings"] = json!(64);
        value["original_max_position_embeddings"] = json!(original);
        value["rope_scaling"] =
            json!({ "type": "longrope", "short_factor": [1.0, 2.0], "long_factor": [4.0, 8.0] });
        assert_eq!(read(&value).unwrap_err().code, Code::ConfigValue, "{original}");
    }
}

#[test]
fn r12_every_truncation_is_an_error() {
    for kind in SUPPORTED {
        let whole = base(kind).to_string();
        for len in 0..whole.len() {
            let error = ModelConfig::from_json(&whole.as_bytes()[..len]).unwrap_err();
            assert_eq!(error.code, Code::ConfigBroken, "{kind}: {len} bytes");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]
    #[test]
    fn r12_mutations_never_panic(
        kind in 0..SUPPORTED.len(),
        at in 0usize..10_000,
        byte: u8,
        second in 0usize..10_000,
        digit in b'0'..=b'9',
    ) {
        let mut bytes = base(SUPPORTED[kind]).to_string().into_bytes();
        let len = bytes.len();
        bytes[at % len] = byte;
        bytes[second % len] = digit;
        if let Ok(config) = ModelConfig::from_json(&bytes) {
            prop_assert!(config.tensors().len() < 32 * config.num_hidden_layers + 32);
            prop_assert_eq!(config.rope_frequencies().len(), config.rotary_dim() / 2);
            prop_assert!(ModelConfig::from_json(config.to_json().to_string().as_bytes()).is_ok());
        }
    }
}
