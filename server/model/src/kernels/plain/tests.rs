//! The plain kernels against the fast ones of the CPU.

use burn::backend::{Autodiff, Flex};
use burn::tensor::backend::BackendTypes;

use std::ops::ControlFlow;

use super::Plain;
use crate::arch::{LoadOptions, Mode};
use crate::decode::Generator;
use crate::kernels::{AdamStep, Alibi, Heads, Kernels, Mat, Operand, Rotary, Segment, Targets, Want};
use crate::lora::LoraConfig;
use crate::rng::Rng;
use crate::sample::SamplingConfig;
use crate::train::{Batch, Method, Normalisation, OptimConfig, Trainer};
use crate::weights::gguf::BlockFormat;
use crate::weights::{Blocks, Quant};
use crate::{CausalLm, Cpu, ModelConfig};

/// A backend on the CPU for which only the plain kernels exist.
type Other = Autodiff<Flex>;
impl Plain for Other {}

/// The same random matrix on both backends.
struct Both {
    rng: Rng,
}

impl Both {
    fn mat(&mut self, rows: usize, cols: usize) -> (Mat<Cpu>, Mat<Other>) {
        let values = self.rng.normals(rows * cols, 1.0);
        (put(values.clone(), rows, cols), put(values, rows, cols))
    }
}

fn put<B: Kernels>(values: Vec<f32>, rows: usize, cols: usize) -> Mat<B> {
    B::from_host(values, rows, cols, &<B as BackendTypes>::Device::default())
}

#[track_caller]
fn same(what: &str, fast: &Mat<Cpu>, plain: &Mat<Other>) {
    same_within(2e-5, what, fast, plain);
}

fn same_within(part: f32, what: &str, fast: &Mat<Cpu>, plain: &Mat<Other>) {
    assert_eq!(fast.dims(), plain.dims(), "{what}");
    let (fast, plain) = (Cpu::to_host(fast), Other::to_host(plain));
    let top = fast.iter().fold(1f32, |a, b| a.max(b.abs()));
    for (i, (a, b)) in fast.iter().zip(&plain).enumerate() {
        assert!((a - b).abs() <= part * top, "{what}, element {i}: fast {a}, plain {b}");
    }
}

fn both(seed: u64) -> Both {
    Both { rng: Rng::new(seed) }
}

#[test]
fn affine_norm_and_gate() {
    for (seed, n, d, out) in [(1, 1, 8, 5), (2, 7, 33, 64), (3, 20, 96, 40)] {
        let mut r = both(seed);
        let ((x, px), (w, pw), (b, pb)) = (r.mat(n, d), r.mat(out, d), r.mat(1, out));
        same("affine", &Cpu::affine(&x, &w, Some(&b)), &Other::affine(&px, &pw, Some(&pb)));
        let ((g, pg), (dy, pdy)) = (r.mat(1, d), r.mat(n, d));
        same("rms_norm", &Cpu::rms_norm(&x, &g, 1e-5), &Other::rms_norm(&px, &pg, 1e-5));
        let (fast, plain) = (
            Cpu::rms_norm_backward(&x, &g, 1e-5, &dy, true),
            Other::rms_norm_backward(&px, &pg, 1e-5, &pdy, true),
        );
        same("rms_norm dx", &fast.0, &plain.0);
        same("rms_norm dw", &fast.1.unwrap(), &plain.1.unwrap());
        let (up, pup) = r.mat(n, d);
        same("swiglu", &Cpu::swiglu(&x, &up), &Other::swiglu(&px, &pup));
        let (fast, plain) = (Cpu::swiglu_backward(&x, &up, &dy), Other::swiglu_backward(&px, &pup, &pdy));
        same("swiglu gate", &fast.0, &plain.0);
        same("swiglu up", &fast.1, &plain.1);
    }
}

#[test]
fn rope_turns_and_turns_back() {
    let mut r = both(4);
    let (x, px) = r.mat(6, 3 * 8);
    let rotary = Rotary::new(&[0, 1, 2, 0, 5, 900], &[1.0, 0.3, 0.1, 0.02]);
    for inverse in [false, true] {
        same("rope", &Cpu::rope(x.clone(), &rotary, inverse), &Other::rope(px.clone(), &rotary, inverse));
    }
}

#[test]
fn attention_forward_and_backward() {
    let lists: [&[usize]; 3] = [&[1], &[5, 1, 9], &[17]];
    for (seed, (query, key, dim), (softcap, window), alibi) in [
        (5, (4, 2, 8), (0.0, 0), Alibi::None),
        (6, (3, 3, 16), (0.0, 3), Alibi::None),
        (7, (6, 1, 4), (1.5, 0), Alibi::None),
        (8, (4, 2, 8), (2.0, 4), Alibi::None),
        (9, (4, 4, 8), (0.0, 0), Alibi::Plain),
        (10, (6, 2, 4), (1.5, 3), Alibi::Plain),
        (11, (12, 12, 4), (0.0, 0), Alibi::Rounded),
    ] {
        for lens in lists {
            let mut start = 0;
            let segments: Vec<Segment> = lens
                .iter()
                .map(|&len| {
                    start += len;
                    Segment { start: start - len, len }
                })
                .collect();
            let heads = Heads { query, key, dim, scale: 0.4, softcap, window, alibi };
            let mut r = both(seed);
            let ((q, pq), (k, pk), (v, pv)) =
                (r.mat(start, query * dim), r.mat(start, key * dim), r.mat(start, key * dim));
            let fast = Cpu::causal_attention(&q, &k, &v, heads, &segments);
            let plain = Other::causal_attention(&pq, &pk, &pv, heads, &segments);
            same("out", &fast.out, &plain.out);
            same("lse", &fast.lse, &plain.lse);
            let (d, pd) = r.mat(start, query * dim);
            let fast = Cpu::attention_backward([&q, &k, &v], &fast, &d, heads, &segments);
            let plain = Other::attention_backward([&pq, &pk, &pv], &plain, &pd, heads, &segments);
            for ((what, fast), plain) in ["dq", "dk", "dv"].iter().zip(&fast).zip(&plain) {
                same(what, fast, plain);
            }
        }
    }
}

#[test]
fn cached_attention_grows_beyond_its_room() {
    for (window, alibi) in [(0, Alibi::None), (3, Alibi::None), (0, Alibi::Plain), (3, Alibi::Rounded)] {
        grow(Heads { query: 4, key: 2, dim: 8, scale: 0.3, softcap: 0.0, window, alibi });
    }
}

/// Slopes as the paper has them for 8 heads, as transformers continues them for 12, and as its Falcon rounds them.
#[test]
fn penalties_on_distance_are_those_of_the_originals() {
    let heads = |query, alibi| Heads { query, key: 1, dim: 8, scale: 0.5, softcap: 0.0, window: 0, alibi };
    let slope = |query, alibi, head: usize| heads(query, alibi).slope(head).unwrap();
    for head in 0..8 {
        assert_eq!(slope(8, Alibi::Plain, head).at(3), 3.0 / (2 << head) as f32);
    }
    let between = slope(12, Alibi::Plain, 8).at(1);
    assert!((between - std::f32::consts::FRAC_1_SQRT_2).abs() < 1e-7, "{between}");
    assert!((slope(12, Alibi::Plain, 9).at(1) - 0.353_553_4).abs() < 1e-7);
    // bf16 has 8 bits: 2^-0.5 is 0.70703125 there, 301 becomes 300, and their product 212.1 becomes 212.
    assert_eq!(slope(12, Alibi::Rounded, 8).at(301), 212.0 * 0.5);
    assert!(heads(8, Alibi::None).slope(0).is_none());
}

fn grow(heads: Heads) {
    let mut r = both(8);
    let (mut cache, mut plain) = (Cpu::new_cache(6, heads), Other::new_cache(6, heads));
    for n in [4, 1, 1, 3, 1] {
        let ((q, pq), (k, pk), (v, pv)) = (r.mat(n, 32), r.mat(n, 16), r.mat(n, 16));
        same(
            "cached",
            &Cpu::attention_cached(&q, &k, &v, heads, &mut cache),
            &Other::attention_cached(&pq, &pk, &pv, heads, &mut plain),
        );
    }
    assert_eq!((cache.len(), plain.len(), plain.is_empty()), (10, 10, false));
}

/// What the families are made of beside attention: fused maps by key heads, parts of a layer side by side, pairs of
/// neighbours, layers without positions, norms on embeddings, multipliers.
#[test]
fn families_compute_the_same_with_the_plain_kernels() {
    let more = [
        serde_json::json!({ "model_type": "bloom" }),
        serde_json::json!({ "model_type": "falcon", "new_decoder_architecture": true, "num_kv_heads": 2 }),
        serde_json::json!({ "model_type": "falcon", "multi_query": true }),
        serde_json::json!({ "model_type": "falcon", "alibi": true, "multi_query": false, "bias": true,
            "parallel_attn": false }),
        serde_json::json!({ "model_type": "olmo2" }),
        serde_json::json!({ "model_type": "smollm3", "no_rope_layer_interval": 2 }),
        serde_json::json!({ "model_type": "granite", "residual_multiplier": 0.5, "logits_scaling": 0.5 }),
        serde_json::json!({ "model_type": "glm4", "attention_bias": true }),
    ];
    for changes in more {
        let mut value = serde_json::json!({ "vocab_size": 24, "hidden_size": 16, "intermediate_size": 20,
            "num_hidden_layers": 2, "num_attention_heads": 4, "n_layer": 2, "initializer_range": 0.2 });
        value.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let config = ModelConfig::from_json(value.to_string().as_bytes()).unwrap();
        let batch = Batch::from_rows(&[(vec![1, 5, 9, 2], vec![1, 5, 9, 2]), (vec![3, 20], vec![3, 20])], 0);
        let mut fast = CausalLm::<Cpu>::init_random(config.clone(), 3, &Default::default()).unwrap();
        let mut plain = CausalLm::<Other>::init_random(config, 3, &Default::default()).unwrap();
        fast.set_trainable(|_| true);
        plain.set_trainable(|_| true);
        let weights = vec![0.25; batch.counted()];
        let (nll, grads) = fast.loss_and_grads(batch.pack(), weights.clone(), Mode::default());
        let (other, plain_grads) = plain.loss_and_grads(batch.pack(), weights, Mode::default());
        assert!(nll.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-4), "{changes}: {nll:?} {other:?}");
        for (name, grad) in grads.iter() {
            same(name, grad, plain_grads.get(name).unwrap());
        }
        let decoded = |step: &mut dyn FnMut(&[u32]) -> Vec<f32>| [step(&[1, 5, 9]), step(&[2])].concat();
        let (mut cache, mut other) = (fast.new_cache(4), plain.new_cache(4));
        let one = decoded(&mut |ids| fast.next_logits(ids, &mut cache, Mode::default()));
        let two = decoded(&mut |ids| plain.next_logits(ids, &mut other, Mode::default()));
        assert!(one.iter().zip(&two).all(|(a, b)| (a - b).abs() < 1e-4), "{changes}");
    }
}

#[test]
fn rows_are_gathered_and_scattered() {
    let mut r = both(9);
    let ((table, ptable), (values, pvalues)) = (r.mat(10, 6), r.mat(4, 6));
    let ids = [3, 0, 3, 9];
    same("gather", &Cpu::gather_rows(&table, &ids), &Other::gather_rows(&ptable, &ids));
    same("scatter", &Cpu::scatter_rows(&values, &ids, 10), &Other::scatter_rows(&pvalues, &ids, 10));
}

#[test]
fn cross_entropy_with_every_gradient() {
    let mut r = both(10);
    let ((hidden, phidden), (head, phead)) = (r.mat(9, 12), r.mat(50, 12));
    let targets = Targets {
        ids: (0..9).map(|i| (i * 7) % 50).collect(),
        weights: (0..9).map(|i| 0.1 + i as f32 / 9.0).collect(),
    };
    for want in [Want::Loss, Want::Hidden, Want::HiddenAndHead] {
        let fast = Cpu::cross_entropy(&hidden, &head, &targets, want);
        let plain = Other::cross_entropy(&phidden, &phead, &targets, want);
        for (a, b) in fast.nll.iter().zip(&plain.nll) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
        assert_eq!(fast.nll.len(), plain.nll.len());
        assert_eq!(
            (fast.d_hidden.is_some(), fast.d_head.is_some()),
            (want != Want::Loss, want == Want::HiddenAndHead)
        );
        if let (Some(a), Some(b)) = (&fast.d_hidden, &plain.d_hidden) {
            same("d_hidden", a, b);
        }
        assert_eq!(fast.d_head.is_some(), plain.d_head.is_some());
        if let (Some(a), Some(b)) = (&fast.d_head, &plain.d_head) {
            same("d_head", a, b);
        }
    }
}

#[test]
fn dropout_masks_are_the_same_everywhere() {
    let mut r = both(11);
    let (x, px) = r.mat(50, 40);
    for (p, seed) in [(0.1, 1), (0.5, u64::MAX - 5), (0.9, 0x1234_5678_9abc_def0)] {
        let fast = Cpu::dropout(&x, p, seed);
        same("dropout", &fast, &Other::dropout(&px, p, seed));
        let dropped = Cpu::to_host(&fast).iter().filter(|v| **v == 0.0).count() as f32 / 2000.0;
        assert!((dropped - p).abs() < 0.04, "{dropped} of {p}");
    }
    assert_ne!(Cpu::to_host(&Cpu::dropout(&x, 0.5, 1)), Cpu::to_host(&Cpu::dropout(&x, 0.5, 1 << 40)));
}

#[test]
fn adamw_and_norms() {
    let mut r = both(12);
    let ((mut p, mut pp), (g, pg)) = (r.mat(3, 7), r.mat(3, 7));
    let zeros = || vec![0.0; 21];
    let (mut m, mut v) = (put::<Cpu>(zeros(), 3, 7), put::<Cpu>(zeros(), 3, 7));
    let (mut pm, mut pv) = (put::<Other>(zeros(), 3, 7), put::<Other>(zeros(), 3, 7));
    for t in 1..4 {
        let step =
            AdamStep { lr: 0.01, beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.1, t, grad_scale: 0.5 };
        (p, m, v) = Cpu::adamw(p, &g, (m, v), step);
        (pp, pm, pv) = Other::adamw(pp, &pg, (pm, pv), step);
    }
    same("value", &p, &pp);
    same("first moment", &m, &pm);
    same("second moment", &v, &pv);
    let (fast, plain) =
        (Cpu::total_of_squares([&p, &g].into_iter()), Other::total_of_squares([&pp, &pg].into_iter()));
    assert!((fast - plain).abs() < 1e-5 * fast, "{fast} {plain}");
    assert_eq!(Other::total_of_squares(std::iter::empty()), 0.0);
}

#[test]
fn products_with_a_small_side() {
    for (seed, n, k, m) in [(13, 30, 5, 40), (14, 9, 64, 7), (15, 12, 40, 50), (16, 1, 8, 3), (17, 40, 4, 4)]
    {
        let mut r = both(seed);
        let ((a, pa), (b, pb), (y, py)) = (r.mat(n, k), r.mat(k, m), r.mat(n, m));
        same("product", &Cpu::product(&a, &b), &Other::product(&pa, &pb));
        same("product_transposed", &Cpu::product_transposed(&a, &y), &Other::product_transposed(&pa, &py));
        same("turned", &Cpu::product_transposed(&y, &a), &Other::product_transposed(&py, &pa));
        same("add_product", &Cpu::add_product(y, &a, &b), &Other::add_product(py, &pa, &pb));
        let ((w, pw), (bias, pbias)) = (r.mat(m, k), r.mat(1, m));
        same("affine", &Cpu::affine(&a, &w, Some(&bias)), &Other::affine(&pa, &pw, Some(&pbias)));
    }
}

/// Every stored form: products, rows and cross-entropy as with the same numbers in f32.
#[test]
fn frozen_weights_equal_their_dense_values() {
    let mut rng = Rng::new(20);
    let (rows, cols) = (48, 64);
    let values = rng.normals(rows * cols, 1.0);
    let mut all: Vec<Blocks> = [
        Quant::Int8,
        Quant::Nf4 { double: false },
        Quant::Nf4 { double: true },
        Quant::Fp4 { double: false },
    ]
    .iter()
    .map(|quant| quant.apply(&values, rows, cols).unwrap())
    .collect();
    for format in
        [BlockFormat::F16, BlockFormat::BF16, BlockFormat::Q8_0, BlockFormat::Q4_0, BlockFormat::Q4_1]
    {
        let size = format.bytes((rows * cols) as u64, cols as u64).unwrap() as usize;
        // Every second byte keeps exponents small.
        let bytes = (0..size).map(|i| if i % 2 == 1 { 0x2e } else { rng.next_u64() as u8 }).collect();
        all.push(Blocks::from_file(format, rows, cols, bytes).unwrap());
    }
    // Rows that do not fill blocks of 64.
    all.push(Quant::Nf4 { double: false }.apply(&values, 64, 48).unwrap());
    for blocks in all {
        let ([rows, cols], what) = (blocks.dims(), format!("{:?}", blocks.form()));
        let what = what.get(..40).unwrap_or(&what);
        let (w, device) = (put::<Cpu>(blocks.to_f32(), rows, cols), Default::default());
        let plain = Other::put_blocks(blocks.clone(), &device);
        assert_eq!(Other::blocks_dims(&plain), [rows, cols]);
        let mut r = both(21);
        for n in [1, 2, 20] {
            let ((x, px), (dy, pdy), (bias, pbias)) = (r.mat(n, cols), r.mat(n, rows), r.mat(1, rows));
            let want = Cpu::affine(&x, &w, Some(&bias));
            // Few rows become 16-bit codes on the way.
            let found = Cpu::affine_blocks(&x, &blocks, Some(&bias));
            same_within(1e-4, what, &found, &Other::affine_blocks(&px, &plain, Some(&pbias)));
            same(what, &want, &Other::affine_blocks(&px, &plain, Some(&pbias)));
            let want = Cpu::product(&dy, &w);
            same(what, &want, &Other::product_blocks(&pdy, &plain));
            same(what, &Cpu::product_blocks(&dy, &blocks), &Other::product_blocks(&pdy, &plain));
        }
        let ids = [3, 0, 3, rows as u32 - 1];
        same(what, &Cpu::gather_rows(&w, &ids), &Other::gather_blocks(&plain, &ids));
        same(what, &Cpu::gather_blocks(&blocks, &ids), &Other::gather_blocks(&plain, &ids));
        let (hidden, phidden) = r.mat(8, cols);
        let targets = Targets { ids: ids.repeat(2), weights: vec![0.25; 8] };
        let dense = Cpu::cross_entropy(&hidden, &w, &targets, Want::Hidden);
        let frozen = Cpu::cross_entropy(&hidden, Operand::Blocks(&blocks), &targets, Want::Hidden);
        let other = Other::cross_entropy(&phidden, Operand::Blocks(&plain), &targets, Want::Hidden);
        for ((a, b), c) in dense.nll.iter().zip(&frozen.nll).zip(&other.nll) {
            let far = 1e-4 * a.abs().max(1.0);
            assert!((a - b).abs() < far && (a - c).abs() < far, "{what}: {a} {b} {c}");
        }
        same(what, &frozen.d_hidden.unwrap(), &other.d_hidden.unwrap());
        same(what, &Cpu::blocks_to_dense(&blocks, &device), &Other::blocks_to_dense(&plain, &device));
    }
}

fn tiny() -> ModelConfig {
    let config = serde_json::json!({
        "model_type": "llama", "vocab_size": 96, "hidden_size": 64, "intermediate_size": 128,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-5,
        "max_position_embeddings": 64, "tie_word_embeddings": true, "initializer_range": 0.2,
    });
    ModelConfig::from_json(config.to_string().as_bytes()).unwrap()
}

fn losses<B: Kernels>(quantization: Quant, method: Method) -> (Vec<f64>, Vec<u32>) {
    let device = Default::default();
    let options = LoadOptions { quantization };
    let model = CausalLm::<B>::init_random_with(tiny(), 3, &device, options).unwrap();
    let mut trainer = Trainer::new(model, method, OptimConfig::default(), 5).unwrap();
    let row = |n: usize| -> (Vec<u32>, Vec<i64>) {
        let ids: Vec<u32> = (0..n as u32).map(|i| (i * 37 + 5) % 96).collect();
        (ids.clone(), ids.iter().map(|id| i64::from(*id)).collect())
    };
    let batch = Batch::from_rows(&[row(9), row(4), row(12)], 0);
    let mut all = Vec::new();
    for _ in 0..4 {
        let report =
            trainer.step(std::slice::from_ref(&batch), Normalisation::default(), 1e-2, Some(1.0)).unwrap();
        all.extend([report.loss, report.grad_norm]);
    }
    let model = trainer.into_model();
    let (tokens, _) = Generator::new(&model, Vec::new())
        .generate(&[1, 2, 3], &SamplingConfig::greedy(6), |_| ControlFlow::Continue(()))
        .unwrap();
    (all, tokens)
}

/// A whole training and decoding, the same on the plain kernels.
#[test]
fn training_and_decoding_are_the_same_on_the_plain_kernels() {
    let lora = || Method::Lora(LoraConfig { dropout: 0.0, ..LoraConfig::default() });
    for (quant, method) in [
        (Quant::None, Method::Full),
        (Quant::None, lora()),
        (Quant::Nf4 { double: true }, lora()),
        (Quant::Int8, lora()),
    ] {
        let (fast, fast_tokens) = losses::<Cpu>(quant, method.clone());
        let (plain, plain_tokens) = losses::<Other>(quant, method);
        for (a, b) in fast.iter().zip(&plain) {
            assert!((a - b).abs() <= 2e-4 * a.abs(), "{quant:?}: {fast:?} {plain:?}");
        }
        assert_eq!(fast_tokens, plain_tokens, "{quant:?}");
    }
}

#[test]
fn s_056_only_adapters_train_on_a_quantised_base() {
    let options = LoadOptions { quantization: Quant::Int8 };
    let model = CausalLm::<Cpu>::init_random_with(tiny(), 3, &Default::default(), options).unwrap();
    assert!(model.is_quantised());
    for method in [Method::Full, Method::Freeze(vec!["layers.1.".into()])] {
        let error = Trainer::new(model.clone(), method, OptimConfig::default(), 1).err().unwrap();
        assert!(
            error.to_string().contains("Quantization is only compatible with the LoRA method"),
            "{error}"
        );
    }
}
