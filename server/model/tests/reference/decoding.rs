//! Filters and greedy decoding.

use std::ops::ControlFlow;

use model::decode::Generator;
use model::sample::{SamplingConfig, filter, softmax};
use model::weights::{TensorSource, Weights};

use crate::support::{ids, json, open, reference};

#[test]
fn reference_filters() {
    let root = reference().join("generate");
    let tensors = Weights::open(&root.join("filters.safetensors")).unwrap();
    let [rows, vocab] = tensors.shape("logits").unwrap()[..] else { panic!("two dimensions") };
    let (logits, history) = (tensors.read("logits").unwrap(), tensors.read_integers("history_ids").unwrap());
    let past = history.len() / rows;
    for case in json(&root.join("filters.json"))["cases"].as_array().unwrap() {
        let (index, spec) = (&case["index"], &case["spec"]);
        let number = |name: &str, off: f64| spec[name].as_f64().unwrap_or(off) as f32;
        let config = SamplingConfig {
            temperature: number("temperature", 1.0),
            top_k: spec["top_k"].as_u64().unwrap_or(0) as usize,
            top_p: number("top_p", 1.0),
            min_p: number("min_p", 0.0),
            repetition_penalty: number("repetition_penalty", 1.0),
            ..SamplingConfig::default()
        };
        let (want, probs) =
            (tensors.read(&format!("out{index}")).unwrap(), tensors.read(&format!("probs{index}")).unwrap());
        for row in 0..rows {
            let range = row * vocab..(row + 1) * vocab;
            let mut got = logits[range.clone()].to_vec();
            let seen: Vec<u32> = history[row * past..(row + 1) * past].iter().map(|id| *id as u32).collect();
            filter(&mut got, &seen, &config);
            for (i, (got, want)) in got.iter().zip(&want[range.clone()]).enumerate() {
                let same = got == want || (got - want).abs() <= 1e-4;
                assert!(same, "filter {index} {spec}, row {row}, token {i}: {got}, expected {want}");
            }
            for (got, want) in softmax(&got).iter().zip(&probs[range]) {
                assert!((got - want).abs() <= 1e-4, "filter {index}: probability {got}, expected {want}");
            }
        }
    }
}

#[test]
fn reference_greedy_search() {
    let root = reference();
    let mut ran = 0;
    for case in json(&root.join("generate/search.json"))["cases"].as_array().unwrap() {
        let folder = root.join(case["model"].as_str().unwrap());
        if case["num_beams"].as_u64().is_some_and(|beams| beams > 1) || !folder.is_dir() {
            continue;
        }
        let model = open(&folder);
        let stop: Vec<u32> = case["eos_id"].as_u64().into_iter().map(|id| id as u32).collect();
        let mut config = SamplingConfig::greedy(case["max_new_tokens"].as_u64().unwrap() as usize);
        config.repetition_penalty = case["repetition_penalty"].as_f64().unwrap_or(1.0) as f32;
        let unsure = case["smallest_top1_top2_gap"].as_f64().unwrap() < 1e-3;
        let rows = case["prompt_ids"].as_array().unwrap().iter().zip(case["new_ids"].as_array().unwrap());
        for (prompt, want) in rows {
            let generator = Generator::new(&model, stop.clone());
            let (got, _) = generator.generate(&ids(prompt), &config, |_| ControlFlow::Continue(())).unwrap();
            let want = &ids(want)[..];
            // After a stop token the recorded row is filled with padding.
            let same = got[..] == want[..got.len()]
                && (got.len() == want.len() || stop.contains(&got[got.len() - 1]));
            assert!(same || unsure, "{}: {got:?}, expected {want:?}", case["case"]);
            ran += usize::from(same);
        }
    }
    assert!(ran >= 3, "only {ran} greedy rows agreed");
}
