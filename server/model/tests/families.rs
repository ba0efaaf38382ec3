//! Every family by itself: gradients against finite differences, adapters on all linear maps, learning, files.

#![expect(clippy::unwrap_used, reason = "what cannot be built is to fail the test where it happens")]

use std::ops::ControlFlow;

use model::Code;
use model::arch::{LoadOptions, Mode};
use model::config::SUPPORTED;
use model::decode::Generator;
use model::kernels::Kernels;
use model::lora::LoraConfig;
use model::sample::SamplingConfig;
use model::train::{Batch, Method, Normalisation, OptimConfig, Trainer};
use model::weights::Quant;
use model::{CausalLm, Cpu, ModelConfig};
use serde_json::{Value, json};

/// A tiny model of each family, and Phi-3 once more with LongRoPE beyond its original context.
fn tiny() -> Vec<(String, ModelConfig)> {
    let base = |kind: &str| {
        json!({ "model_type": kind, "vocab_size": 24, "hidden_size": 16, "intermediate_size": 20,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "sliding_window": 3,
            "n_embd": 16, "n_head": 4, "n_layer": 2, "n_inner": 20, "n_positions": 32,
            "max_position_embeddings": 32, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0,
            "query_pre_attn_scalar": 3, "sliding_window_pattern": 2, "attention_bias": kind == "qwen3",
            "initializer_range": 0.2 })
    };
    let mut all: Vec<(String, Value)> =
        SUPPORTED.iter().map(|kind| ((*kind).to_owned(), base(kind))).collect();
    let mut long = base("phi3");
    long["original_max_position_embeddings"] = json!(4);
    long["rope_scaling"] =
        json!({ "type": "longrope", "short_factor": [1.0, 1.5], "long_factor": [2.0, 4.0] });
    all.push(("phi3 longrope".to_owned(), long));
    let read = |value: &Value| ModelConfig::from_json(value.to_string().as_bytes()).unwrap();
    all.iter().map(|(name, value)| (name.clone(), read(value))).collect()
}

fn batch() -> Batch {
    let row = |ids: Vec<u32>| (ids.clone(), ids.iter().map(|id| i64::from(*id)).collect::<Vec<i64>>());
    Batch::from_rows(&[row(vec![1, 5, 9, 13, 2, 7]), row(vec![3, 3, 20])], 0)
}

/// Random vectors too, so that norms and biases are not at their neutral values.
fn model(config: &ModelConfig) -> CausalLm<Cpu> {
    let mut model = CausalLm::<Cpu>::init_random(config.clone(), 11, &Default::default()).unwrap();
    let mut rng = model::rng::Rng::new(4);
    model.visit_mut(|param| {
        if param.shape.len() == 1 {
            let [rows, cols] = param.value.dims();
            let values = Cpu::to_host(&param.value).iter().map(|x| x + rng.normal() as f32 * 0.1).collect();
            param.value = Cpu::from_host(values, rows, cols, &Default::default());
        }
    });
    model
}

fn loss(model: &CausalLm<Cpu>) -> f64 {
    model.nll(&batch().pack(), Mode::default()).iter().map(|x| f64::from(*x)).sum()
}

/// The loss along each gradient: its slope must be the gradient's length.
fn check_slopes(name: &str, model: &CausalLm<Cpu>) -> usize {
    let packed = batch().pack();
    let weights = vec![1.0; packed.target_ids.len()];
    let (_, grads) = model.loss_and_grads(packed, weights, Mode::default());
    let mut checked = 0;
    for (tensor, grad) in grads.iter() {
        let length = Cpu::sum_of_squares(grad).sqrt();
        if length < 1e-2 {
            continue;
        }
        // Small enough that curvature does not matter, large enough that rounding does not.
        let step = (0.05 / length).min(2e-2);
        let moved = |sign: f64| {
            let mut moved = model.clone();
            let along = grad.clone().mul_scalar((sign * step / length) as f32);
            moved.visit_mut(|param| {
                if param.name == *tensor {
                    param.value = param.value.clone() + along.clone().reshape(param.value.dims());
                }
            });
            loss(&moved)
        };
        let slope = (moved(1.0) - moved(-1.0)) / (2.0 * step);
        assert!(
            (slope - length).abs() <= 0.03 * length + 2e-3,
            "{name} {tensor}: slope {slope}, gradient {length}"
        );
        checked += 1;
    }
    checked
}

#[test]
fn gradients_agree_with_finite_differences() {
    for (name, config) in tiny() {
        let mut model = model(&config);
        model.set_trainable(|_| true);
        let tensors = config.tensors().len();
        let checked = check_slopes(&name, &model);
        assert!(
            checked * 10 >= tensors * 8,
            "{name}: only {checked} of {tensors} gradients were large enough"
        );
    }
}

#[test]
fn all_linear_resolves_from_the_model_and_its_gradients_pass_a_frozen_base() {
    for (name, config) in tiny() {
        let mut model = model(&config);
        model.attach_adapter(&LoraConfig { r: 2, ..LoraConfig::default() }, 3).unwrap();
        let mut rng = model::rng::Rng::new(9);
        model.visit_mut(|param| {
            if param.name.contains(".lora_B.") {
                let [rows, cols] = param.value.dims();
                param.value = Cpu::from_host(rng.normals(rows * cols, 0.1), rows, cols, &Default::default());
            }
        });
        assert_eq!(model.adapter().unwrap().target_modules, config.linear_names(), "{name}");
        let maps = config.linears().len() * config.num_hidden_layers;
        assert!(check_slopes(&name, &model) > maps, "{name}");
        let places = batch().pack().ids.len() * config.vocab_size;
        let before = model.batch_logits(&batch(), Mode::default());
        let folder = tempfile::tempdir().unwrap();
        model.save_adapter(folder.path(), "base").unwrap();
        let mut again = model.clone();
        again.load_adapter(folder.path()).unwrap();
        model.merge_adapter();
        for other in
            [again.batch_logits(&batch(), Mode::default()), model.batch_logits(&batch(), Mode::default())]
        {
            let apart = before.iter().zip(&other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 2e-4 && places > 0, "{name}: {apart}");
        }
        let foreign = LoraConfig { target_modules: vec!["lm_attn".into()], ..LoraConfig::default() };
        assert!(model.attach_adapter(&foreign, 1).is_err());
    }
}

#[test]
fn s_040_an_adapter_on_fused_maps_has_their_names_and_shapes_and_others_are_refused() {
    let targets = |names: &[&str]| LoraConfig {
        r: 2,
        target_modules: names.iter().map(|name| (*name).to_owned()).collect(),
        ..LoraConfig::default()
    };
    // Widths of these models: 16, feed-forward 20; two key heads of four for Phi-3.
    for (kind, names, prefix, maps) in [
        ("gpt2", &["c_attn"][..], "transformer.h", &[("attn.c_attn", 48, 16)][..]),
        ("gpt2", &["c_proj"], "transformer.h", &[("attn.c_proj", 16, 16), ("mlp.c_proj", 16, 20)]),
        ("gpt2", &["attn.c_proj", "c_fc"], "transformer.h", &[("attn.c_proj", 16, 16), ("mlp.c_fc", 20, 16)]),
        (
            "phi3",
            &["qkv_proj", "gate_up_proj"],
            "model.layers",
            &[("self_attn.qkv_proj", 32, 16), ("mlp.gate_up_proj", 40, 16)],
        ),
    ] {
        let config = tiny().into_iter().find(|(name, _)| name == kind).unwrap().1;
        let mut model = model(&config);
        model.attach_adapter(&targets(names), 3).unwrap();
        let mut expected: Vec<(String, Vec<usize>)> = Vec::new();
        for layer in 0..2 {
            for (map, outer, inner) in maps {
                let at = format!("base_model.model.{prefix}.{layer}.{map}");
                expected.push((format!("{at}.lora_A.weight"), vec![2, *inner]));
                expected.push((format!("{at}.lora_B.weight"), vec![*outer, 2]));
            }
        }
        let mut found: Vec<_> = model.adapter_tensors().into_iter().map(|t| (t.name, t.shape)).collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{kind} {names:?}");
        for foreign in ["q_proj", "proj", "lm_head"] {
            let refused = model.attach_adapter(&targets(&[names[0], foreign]), 3).unwrap_err();
            assert_eq!(refused.code, Code::LoraConfig, "{kind} {foreign}");
        }
    }
}

#[test]
fn every_family_learns_is_saved_and_decodes_as_it_reads() {
    for (name, config) in tiny() {
        let mut trainer = Trainer::new(model(&config), Method::Full, OptimConfig::default(), 1).unwrap();
        let first = loss(trainer.model());
        for _ in 0..15 {
            trainer.step(&[batch()], Normalisation::TokensOfStep, 1e-2, Some(1.0)).unwrap();
        }
        assert!(loss(trainer.model()) < 0.7 * first, "{name}: {first} -> {}", loss(trainer.model()));
        let folder = tempfile::tempdir().unwrap();
        trainer.save_full(folder.path()).unwrap();
        let model = CausalLm::<Cpu>::open(folder.path(), &Default::default()).unwrap();
        assert!((loss(&model) - loss(trainer.model())).abs() < 1e-4, "{name}");
        if config.rope_scaling != model::config::RopeScaling::None {
            continue;
        }
        let generator = Generator::new(&model, vec![]);
        let (tokens, _) = generator
            .generate(&[1, 5, 9], &SamplingConfig::greedy(5), |_| ControlFlow::Continue(()))
            .unwrap();
        let whole: Vec<u32> = [1, 5, 9].into_iter().chain(tokens.iter().copied()).collect();
        let batch = Batch::from_rows(&[(whole.clone(), vec![-100; whole.len()])], 0);
        let logits = model.batch_logits(&batch, Mode::default());
        for (place, token) in tokens.iter().enumerate() {
            let row = &logits[(place + 2) * config.vocab_size..][..config.vocab_size];
            assert_eq!(model::sample::arg_max(row), *token, "{name} at {place}");
        }
    }
}

#[test]
fn a_row_longer_than_the_learned_positions_is_refused_by_its_number() {
    let (_, config) = tiny().remove(SUPPORTED.iter().position(|kind| *kind == "gpt2").unwrap());
    let model = model(&config);
    let long = Batch::from_rows(&[(vec![1], vec![1]), (vec![1; 33], vec![1; 33])], 0);
    let error = model.check(&long).unwrap_err();
    assert!(error.code == Code::BatchTooLong && error.message.contains("Row 2"), "{error}");
    assert!(model.check(&batch()).is_ok());
}

#[test]
fn a_base_in_few_bits_holds_no_linear_map_as_f32() {
    let config = ModelConfig { num_hidden_layers: 1, ..ModelConfig::default() };
    for (quantization, most) in [
        (Quant::Int8, 0.27),
        (Quant::Nf4 { double: true }, 0.14),
        (Quant::Fp4 { double: true }, 0.14),
        (Quant::Nf4 { double: false }, 0.16),
    ] {
        let options = LoadOptions { quantization };
        let model =
            CausalLm::<Cpu>::init_random_with(config.clone(), 3, &Default::default(), options).unwrap();
        model.visit(|param| {
            let table = param.name.contains("embed") || param.name.contains("lm_head");
            assert!(param.shape.len() == 1 || table, "{} is f32", param.name);
        });
        let (mut bytes, mut numbers) = (0, 0);
        model.visit_frozen(|frozen| {
            bytes += frozen.blocks.bytes();
            numbers += frozen.shape.iter().product::<usize>();
        });
        let linear: usize = config.linears().iter().map(|linear| linear.outer * linear.inner).sum();
        assert_eq!(numbers, linear);
        assert!((bytes as f64) < most * 4.0 * linear as f64, "{quantization:?}: {bytes} bytes");
    }
}
