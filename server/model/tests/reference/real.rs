//! SmolLM2-135M-Instruct: reading its GGUF file, forward, greedy decoding, LoRA steps.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use model::arch::{LoadOptions, Mode};
use model::decode::Generator;
use model::sample::SamplingConfig;
use model::train::{Batch, Method, Normalisation, OptimConfig, Trainer};
use model::weights::{Gguf, Quant, TensorSource, Weights, convert_to_folder};
use model::{CausalLm, Cpu};

use crate::support::{batch, close, floats, ids, in_ci, json, real};

fn starter() -> Option<PathBuf> {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let path = ["BURNISH_STARTER_GGUF", "BURNISH_STARTER"].iter().find_map(std::env::var_os);
    let path = path
        .map_or_else(|| home.join(".cache/burnish/starter/SmolLM2-135M-Instruct.Q4_1.gguf"), PathBuf::from);
    if path.is_file() {
        return Some(path);
    }
    assert!(!in_ci(), "the starter model is missing at {}: run make starter", path.display());
    eprintln!("NOTICE: SKIPPED, the starter model is missing at {}: run make starter", path.display());
    None
}

fn loaded() -> Option<(PathBuf, &'static CausalLm<Cpu>)> {
    static MODEL: OnceLock<CausalLm<Cpu>> = OnceLock::new();
    let (numbers, path) = (real()?, starter()?);
    let load = || {
        let gguf = Gguf::read(&path).unwrap();
        CausalLm::load(gguf.config(), &gguf, &Default::default()).unwrap()
    };
    Some((numbers, MODEL.get_or_init(load)))
}

#[test]
fn reference_real_gguf_tensors_and_configuration() {
    let (Some(numbers), Some(path)) = (real(), starter()) else { return };
    let expected = json(&numbers.join("model.json"));
    let gguf = Gguf::read(&path).unwrap();
    let config = gguf.config().to_json();
    for (name, value) in expected["config"].as_object().unwrap() {
        assert_eq!(&config[name], value, "{name}");
    }
    for (key, value) in
        expected["metadata"].as_object().unwrap().iter().filter(|(key, _)| !key.starts_with("GGUF."))
    {
        let got = &gguf.metadata()[key];
        let same = match value {
            serde_json::Value::String(text) => got.as_str() == Some(text),
            serde_json::Value::Bool(flag) => got.as_bool() == Some(*flag),
            number => got.as_f64() == number.as_f64(),
        };
        assert!(same, "{key}: {got:?}, expected {value}");
    }
    let folder = tempfile::tempdir().unwrap();
    convert_to_folder(&gguf, folder.path()).unwrap();
    let written = Weights::open_folder(folder.path()).unwrap();
    for (name, numbers) in expected["tensors"].as_object().unwrap() {
        let values = written.read(name).unwrap();
        let shape: Vec<usize> = floats(&numbers["shape"]).iter().map(|n| *n as usize).collect();
        assert_eq!(written.shape(name).unwrap(), shape, "{name}");
        let (first, last) = (floats(&numbers["first"]), floats(&numbers["last"]));
        for (got, want) in values.iter().zip(&first) {
            close(name, f64::from(*got), *want, 0.0, 1e-6);
        }
        for (got, want) in values[values.len() - last.len()..].iter().zip(&last) {
            close(name, f64::from(*got), *want, 0.0, 1e-6);
        }
        let sum: f64 = values.iter().map(|x| f64::from(*x)).sum();
        let norm = values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        close(&format!("{name} sum"), sum, numbers["sum"].as_f64().unwrap(), 1e-9, 1e-5);
        close(&format!("{name} norm"), norm, numbers["norm"].as_f64().unwrap(), 0.0, 1e-5);
    }
}

fn mean_nll(model: &CausalLm<Cpu>, ids: &[u32]) -> f64 {
    let labels: Vec<i64> = ids.iter().map(|id| i64::from(*id)).collect();
    let batch = Batch::from_rows(&[(ids.to_vec(), labels)], 0);
    let nll = model.nll(&batch.pack(), Mode::default());
    nll.iter().map(|x| f64::from(*x)).sum::<f64>() / nll.len() as f64
}

#[test]
fn reference_real_forward() {
    let Some((numbers, model)) = loaded() else { return };
    let file = json(&numbers.join("forward.json"));
    let long = &file["long_text"];
    close("long text", mean_nll(model, &ids(&long["ids"])), long["mean_nll"].as_f64().unwrap(), 0.0, 1e-4);
    for case in file["cases"].as_array().unwrap() {
        let ids = ids(&case["ids"]);
        close("mean", mean_nll(model, &ids), case["mean_nll_of_prompt"].as_f64().unwrap(), 0.0, 1e-4);
        let logits = model.next_logits(&ids, &mut model.new_cache(ids.len()), Mode::default());
        for (id, want) in self::ids(&case["last_top8_ids"]).iter().zip(floats(&case["last_top8_logits"])) {
            close("logit", f64::from(logits[*id as usize]), want, 1e-3, 0.0);
        }
        let top = logits.iter().copied().fold(f32::MIN, f32::max);
        let lse = f64::from(top) + logits.iter().map(|x| f64::from(x - top).exp()).sum::<f64>().ln();
        close("log-sum-exp", lse, case["last_logsumexp"].as_f64().unwrap(), 1e-3, 0.0);
    }
}

/// The recorded greedy answers: prompt and answer of each case.
struct Greedy {
    config: SamplingConfig,
    stop: Vec<u32>,
    cases: Vec<(Vec<u32>, Vec<u32>)>,
}

fn greedy(numbers: &Path) -> Greedy {
    let (file, forward) = (json(&numbers.join("greedy.json")), json(&numbers.join("forward.json")));
    let config = SamplingConfig::greedy(file["max_new_tokens"].as_u64().unwrap() as usize);
    let stop = vec![file["eos_id"].as_u64().unwrap() as u32];
    let recorded = |case: &serde_json::Value| {
        // Prompts are recorded as ids beside the forward pass of the same messages.
        let same = |other: &&serde_json::Value| other["messages"] == case["messages"];
        let prompt = forward["cases"].as_array().unwrap().iter().find(same)?;
        Some((ids(&prompt["ids"]), ids(&case["new_ids"])))
    };
    let cases: Vec<_> = file["cases"].as_array().unwrap().iter().filter_map(recorded).collect();
    assert!(!cases.is_empty(), "no prompt was found");
    Greedy { config, stop, cases }
}

#[test]
fn reference_real_greedy_decoding() {
    let Some((numbers, model)) = loaded() else { return };
    let Greedy { config, stop, cases } = greedy(&numbers);
    for (case, (prompt, answer)) in cases.iter().enumerate() {
        let generator = Generator::new(model, stop.clone());
        let (got, _) = generator.generate(prompt, &config, |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(got, *answer, "case {case}");
    }
}

/// Blocks that stay blocks: the logits of every token of an answer, read one by one as when decoding, and the greedy
/// words of the reference.
#[test]
fn reference_real_kept_blocks_say_the_same() {
    let Some((numbers, dense)) = loaded() else { return };
    let gguf = Gguf::read(&starter().unwrap()).unwrap();
    let options = LoadOptions { quantization: Quant::Keep };
    let kept = CausalLm::<Cpu>::load_with(gguf.config(), &gguf, &Default::default(), options).unwrap();
    let Greedy { config, stop, cases } = greedy(&numbers);
    for (case, (prompt, answer)) in cases.into_iter().enumerate() {
        let generator = Generator::new(&kept, stop.clone());
        let (got, _) = generator.generate(&prompt, &config, |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(got, answer, "case {case}");
        let room = prompt.len() + answer.len();
        let mut caches = (dense.new_cache(room), kept.new_cache(room));
        let mut next = prompt;
        for id in answer {
            let want = dense.next_logits(&next, &mut caches.0, Mode::default());
            let got = kept.next_logits(&next, &mut caches.1, Mode::default());
            for (got, want) in got.iter().zip(&want) {
                close("logit", f64::from(*got), f64::from(*want), 2e-3, 0.0);
            }
            next = vec![id];
        }
    }
}

#[test]
fn reference_real_lora_steps() {
    let Some((numbers, model)) = loaded() else { return };
    let folder = numbers.join("lora");
    let trace = json(&folder.join("trace.json"));
    let batches = Weights::open(&folder.join("batches.safetensors")).unwrap();
    let mut model = model.clone();
    model.load_adapter(&folder.join("adapter_initial")).unwrap();
    let mut trainer = Trainer::new(model, Method::LoadedLora, OptimConfig::default(), 1).unwrap();
    for step in trace["steps"].as_array().unwrap() {
        let prefix = format!("batch{}.", step["batch"]);
        let batch = batch(&batches, &prefix);
        let report = trainer.step(&[batch], Normalisation::TokensOfStep, 2e-3, Some(1.0)).unwrap();
        let what = format!("step {}", step["step"]);
        close(&format!("{what} loss"), report.loss, step["loss"].as_f64().unwrap(), 0.0, 1e-4);
        close(
            &format!("{what} norm"),
            report.grad_norm,
            step["grad_norm_before_clip"].as_f64().unwrap(),
            0.0,
            1e-3,
        );
        assert_eq!(report.micro[0].counted as u64, step["counted"].as_u64().unwrap());
    }
    let tensors = trainer.trainable_tensors();
    for (name, numbers) in trace["final_norms_some"].as_object().unwrap() {
        let name = name.replace(".default.", ".");
        let tensor = tensors.iter().find(|tensor| tensor.name == name).unwrap_or_else(|| panic!("no {name}"));
        let norm = tensor.values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        close(&name, norm, numbers["norm"].as_f64().unwrap(), 0.0, 1e-3);
    }
}
