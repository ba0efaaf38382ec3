//! Filters, greedy decoding and beams.

use std::ops::ControlFlow;

use model::decode::{BeamConfig, EarlyStopping, Generator};
use model::sample::{SamplingConfig, filter, softmax};
use model::train::Batch;
use model::weights::{TensorSource, Weights};
use model::{CausalLm, Cpu};
use serde_json::Value;

use crate::support::{close, floats, ids, json, open, reference};

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

/// Cases of a search whose model is there.
fn searches(wanted: impl Fn(u64) -> bool) -> Vec<(CausalLm<Cpu>, Value)> {
    let root = reference();
    let cases = json(&root.join("generate/search.json"))["cases"].as_array().unwrap().clone();
    let beams = |case: &Value| case["num_beams"].as_u64().unwrap_or(1);
    let folder = |case: &Value| root.join(case["model"].as_str().unwrap());
    let there = cases.into_iter().filter(|case| wanted(beams(case)) && folder(case).is_dir());
    there.map(|case| (open(&folder(&case)), case)).collect()
}

fn stop_of(case: &Value) -> Vec<u32> {
    case["eos_id"].as_u64().into_iter().map(|id| id as u32).collect()
}

/// Whether a row is the recorded one, which is filled up after a stop token.
fn same(got: &[u32], want: &[u32], stop: &[u32]) -> bool {
    want.get(..got.len()) == Some(got)
        && (got.len() == want.len() || got.last().is_some_and(|last| stop.contains(last)))
}

fn rows(value: &Value) -> Vec<Vec<u32>> {
    value.as_array().unwrap().iter().map(ids).collect()
}

#[test]
fn reference_greedy_search_in_padded_batches() {
    let mut ran = 0;
    for (model, case) in searches(|beams| beams <= 1) {
        let stop = stop_of(&case);
        let mut config = SamplingConfig::greedy(case["max_new_tokens"].as_u64().unwrap() as usize);
        config.repetition_penalty = case["repetition_penalty"].as_f64().unwrap_or(1.0) as f32;
        let unsure = case["smallest_top1_top2_gap"].as_f64().unwrap() < 1e-3;
        let prompts = rows(&case["prompt_ids"]);
        let unlabelled = |ids: &Vec<u32>| (ids.clone(), vec![-100; ids.len()]);
        let pad = case["pad_id"].as_u64().unwrap() as u32;
        let batch = Batch::from_rows(&prompts.iter().map(unlabelled).collect::<Vec<_>>(), pad);
        let generator = Generator::new(&model, stop.clone());
        let got = generator.generate_batch(&batch, &config).unwrap();
        for ((got, want), prompt) in got.iter().zip(rows(&case["new_ids"])).zip(&prompts) {
            let right = same(&got.tokens, &want, &stop);
            assert!(right || unsure, "{}: {:?}, expected {want:?}", case["case"], got.tokens);
            let (alone, _) = generator.generate(prompt, &config, |_| ControlFlow::Continue(())).unwrap();
            assert_eq!(alone, got.tokens, "{}: alone and in a batch", case["case"]);
            ran += usize::from(right);
        }
    }
    assert!(ran >= 3, "only {ran} greedy rows agreed");
}

#[test]
fn reference_beam_search() {
    let mut ran = 0;
    for (model, case) in searches(|beams| beams > 1) {
        let (stop, what) = (stop_of(&case), format!("{} {}", case["model"], case["case"]));
        let config = BeamConfig {
            num_beams: case["num_beams"].as_u64().unwrap() as usize,
            length_penalty: case["length_penalty"].as_f64().unwrap_or(1.0) as f32,
            early_stopping: match &case["early_stopping"] {
                Value::Bool(true) => EarlyStopping::Yes,
                Value::String(never) if never == "never" => EarlyStopping::Never,
                _ => EarlyStopping::Likely,
            },
            num_return: case["num_return_sequences"].as_u64().unwrap_or(1) as usize,
            repetition_penalty: case["repetition_penalty"].as_f64().unwrap_or(1.0) as f32,
            max_new_tokens: case["max_new_tokens"].as_u64().unwrap() as usize,
        };
        let generator = Generator::new(&model, stop.clone());
        let found: Vec<_> = rows(&case["prompt_ids"])
            .iter()
            .flat_map(|prompt| generator.beam_search(prompt, &config).unwrap())
            .collect();
        let (want, scores) = (rows(&case["new_ids"]), floats(&case["sequences_scores"]));
        assert_eq!(found.len(), want.len(), "{what}");
        for ((found, want), score) in found.iter().zip(want).zip(scores) {
            assert!(same(&found.tokens, &want, &stop), "{what}: {:?}, expected {want:?}", found.tokens);
            close(&what, f64::from(found.score), score, 1e-4, 1e-4);
            ran += 1;
        }
    }
    assert!(ran >= 3, "only {ran} beams were searched");
}
