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
use model::weights::{Quant, TensorSource, Weights};
use model::{CausalLm, Cpu, ModelConfig};
use serde_json::{Value, json};

/// A tiny model of each family; some more than once: Phi-3 with LongRoPE beyond its original context, Falcon in all of
/// its kinds, Baichuan with ALiBi, InternLM beyond the context its base was made for.
fn tiny() -> Vec<(String, ModelConfig)> {
    let base = |kind: &str| {
        json!({ "model_type": kind, "vocab_size": 24, "hidden_size": 16, "intermediate_size": 20,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "sliding_window": 3,
            "n_embd": 16, "n_head": 4, "n_layer": 2, "n_inner": if kind == "bloom" { 64 } else { 20 },
            "n_positions": 32, "ffn_hidden_size": 20,
            "max_position_embeddings": 32, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0,
            "query_pre_attn_scalar": 3, "sliding_window_pattern": 2,
            "attention_bias": matches!(kind, "qwen3" | "glm" | "glm4"), "no_rope_layer_interval": 2,
            "attention_multiplier": 0.7, "embedding_multiplier": 1.5, "residual_multiplier": 0.6,
            "logits_scaling": 0.8, "initializer_range": 0.2 })
    };
    let mut all: Vec<(String, Value)> =
        SUPPORTED.iter().map(|kind| ((*kind).to_owned(), base(kind))).collect();
    let mut long = base("phi3");
    long["original_max_position_embeddings"] = json!(4);
    long["rope_scaling"] =
        json!({ "type": "longrope", "short_factor": [1.0, 1.5], "long_factor": [2.0, 4.0] });
    all.push(("phi3 longrope".to_owned(), long));
    let mut more = |name: &str, changes: Value| {
        let mut value = base(name.split(' ').next().unwrap());
        value.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        all.push((name.to_owned(), value));
    };
    more("falcon groups", json!({ "new_decoder_architecture": true, "num_kv_heads": 2 }));
    more(
        "falcon one norm",
        json!({ "new_decoder_architecture": true, "num_kv_heads": 2, "num_ln_in_parallel_attn": 1 }),
    );
    more(
        "falcon alibi",
        json!({ "alibi": true, "bias": true, "multi_query": false, "parallel_attn": false }),
    );
    more("baichuan alibi", json!({ "max_position_embeddings": null, "model_max_length": 32 }));
    more("internlm dynamic", json!({ "max_position_embeddings": 4, "rotary": { "type": "dynamic" } }));
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
            "bloom",
            &["query_key_value", "dense_h_to_4h"],
            "transformer.h",
            &[("self_attention.query_key_value", 48, 16), ("mlp.dense_h_to_4h", 64, 16)],
        ),
        (
            "falcon",
            &["query_key_value", "dense"],
            "transformer.h",
            &[("self_attention.query_key_value", 24, 16), ("self_attention.dense", 16, 16)],
        ),
        ("baichuan", &["W_pack"], "model.layers", &[("self_attn.W_pack", 48, 16)]),
        ("glm4", &["gate_up_proj"], "model.layers", &[("mlp.gate_up_proj", 40, 16)]),
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
        for foreign in ["c_k", "proj", "lm_head"] {
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

/// Values of all gradients of the batch, adapters' or all.
fn grads_of(model: &CausalLm<Cpu>, mode: Mode) -> Vec<(String, Vec<f32>)> {
    let packed = batch().pack();
    let weights = vec![0.25; packed.target_ids.len()];
    let (_, grads) = model.loss_and_grads(packed, weights, mode);
    grads.iter().map(|(name, grad)| (name.clone(), Cpu::to_host(grad))).collect()
}

#[test]
fn s_111_layers_computed_twice_and_noise_on_embeddings_hold_for_every_family() {
    for (name, config) in tiny() {
        let mut model = model(&config);
        model.set_trainable(|_| true);
        for noise in [0.0, 5.0] {
            let mode = Mode { dropout: Some(7), noise, ..Mode::default() };
            let (once, twice) = (grads_of(&model, mode), grads_of(&model, Mode { recompute: true, ..mode }));
            assert_eq!(once.len(), config.tensors().len(), "{name}");
            assert_eq!(once, twice, "{name}: noise {noise}");
        }
        let calm = grads_of(&model, Mode { dropout: Some(7), ..Mode::default() });
        assert_ne!(
            calm,
            grads_of(&model, Mode { dropout: Some(7), noise: 5.0, ..Mode::default() }),
            "{name}"
        );
    }
}

#[test]
fn s_038_the_last_block_learns_alone_in_every_family() {
    for (name, config) in tiny() {
        for (module, part) in
            [("mlp", config.linears().pop().unwrap().name), ("self_attn", config.linears()[0].name)]
        {
            let parts = model::train::freeze_patterns(2, 1, &[module.to_owned()]).unwrap();
            let mut trainer =
                Trainer::new(model(&config), Method::Freeze(parts), OptimConfig::default(), 1).unwrap();
            let before = trainer.model().clone();
            trainer.step(&[batch()], Normalisation::TokensOfStep, 1e-2, Some(1.0)).unwrap();
            let mut was = std::collections::BTreeMap::new();
            before.visit(|param| {
                was.insert(param.name.clone(), Cpu::to_host(&param.value));
            });
            let mut changed = Vec::new();
            trainer.model().visit(|param| {
                if was[&param.name] != Cpu::to_host(&param.value) {
                    changed.push(param.name.clone());
                }
            });
            let block = format!("{}.1.{}.", config.layers_prefix(), part.split('.').next().unwrap());
            assert!(changed.iter().all(|tensor| tensor.starts_with(&block)), "{name}: {changed:?}");
            assert!(
                changed.contains(&format!("{}.1.{part}.weight", config.layers_prefix())),
                "{name}: {changed:?}"
            );
        }
    }
}

#[test]
fn adapters_learn_on_a_base_of_every_family_in_few_bits() {
    for (name, config) in tiny() {
        for quantization in [Quant::Int8, Quant::Nf4 { double: false }] {
            let options = LoadOptions { quantization };
            let model =
                CausalLm::<Cpu>::init_random_with(config.clone(), 11, &Default::default(), options).unwrap();
            assert!(model.is_quantised());
            let lora = LoraConfig { r: 2, ..LoraConfig::default() };
            let mut trainer = Trainer::new(model, Method::Lora(lora), OptimConfig::default(), 1).unwrap();
            let first = loss(trainer.model());
            for _ in 0..15 {
                trainer.step(&[batch()], Normalisation::TokensOfStep, 2e-2, Some(1.0)).unwrap();
            }
            let last = loss(trainer.model());
            assert!(last < 0.9 * first, "{name} {quantization:?}: {first} -> {last}");
        }
    }
}

#[test]
fn several_answers_at_a_time_are_those_of_each_alone_in_every_family() {
    for (name, config) in tiny() {
        if matches!(config.rope_scaling, model::config::RopeScaling::LongRope { .. }) {
            continue;
        }
        let model = model(&config);
        let prompts: [&[u32]; 3] = [&[1, 5, 9, 13, 2], &[3, 20], &[7]];
        let mut alone: Vec<_> = prompts.iter().map(|_| model.new_cache(16)).collect();
        let mut together: Vec<_> = prompts.iter().map(|_| model.new_cache(16)).collect();
        for (prompt, (one, other)) in prompts.iter().zip(alone.iter_mut().zip(&mut together)) {
            model.next_logits(prompt, one, Mode::default());
            model.next_logits(prompt, other, Mode::default());
        }
        for ids in [[4, 8, 12], [2, 2, 21]] {
            let mut caches: Vec<_> = together.iter_mut().collect();
            let got = model.next_logits_of(&ids, &mut caches, Mode::default());
            for ((id, cache), got) in ids.iter().zip(&mut alone).zip(got) {
                let want = model.next_logits(&[*id], cache, Mode::default());
                let apart = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(apart < 1e-5, "{name}: {apart}");
            }
        }
    }
}

/// Writes the tensors of a folder as bf16 under their names without `transformer.`, as BLOOM was published.
fn publish_bare(folder: &std::path::Path, weights: &dyn TensorSource) {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for name in weights.names() {
        let start = data.len();
        for value in weights.read(&name).unwrap() {
            data.extend_from_slice(&value.to_bits().to_le_bytes()[2..]);
        }
        let bare = name.strip_prefix("transformer.").unwrap_or(&name);
        let shape = weights.shape(&name).unwrap();
        let entry = json!({ "dtype": "BF16", "shape": shape, "data_offsets": [start, data.len()] });
        header.insert(bare.to_owned(), entry);
    }
    let header = Value::Object(header).to_string();
    let size = (header.len() as u64).to_le_bytes();
    std::fs::write(folder.join("model.safetensors"), [&size, header.as_bytes(), &data].concat()).unwrap();
}

#[test]
fn bloom_and_falcon_are_read_without_the_first_part_of_every_name_and_stay_as_stored() {
    for (name, config) in
        tiny().into_iter().filter(|(name, _)| name.starts_with("bloom") || name.starts_with("falcon"))
    {
        let folder = tempfile::tempdir().unwrap();
        model(&config).save_folder(folder.path()).unwrap();
        publish_bare(folder.path(), &Weights::open_folder(folder.path()).unwrap());
        let plain = CausalLm::<Cpu>::open(folder.path(), &Default::default()).unwrap();
        let options = LoadOptions { quantization: Quant::Keep };
        let kept = CausalLm::<Cpu>::open_with(folder.path(), &Default::default(), options).unwrap();
        let mut frozen = 0;
        kept.visit_frozen(|_| frozen += 1);
        assert_eq!(frozen, 1 + 4 * config.num_hidden_layers, "{name}: embedding and linear maps");
        assert!((loss(&plain) - loss(&kept)).abs() < 1e-4, "{name}");
    }
}
