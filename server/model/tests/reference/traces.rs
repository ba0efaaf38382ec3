//! Twelve optimizer steps, number by number, and the schedules.

use std::path::Path;

use model::train::{Batch, Method, Normalisation, OptimConfig, Schedule, ScheduleKind, Trainer};
use model::weights::{HostTensor, TensorSource, Weights};
use model::{CausalLm, Cpu};
use serde_json::Value;

use crate::support::{batch, close, floats, folders_with, json, open, reference};

fn method(folder: &Path, case: &Value, model: &mut CausalLm<Cpu>) -> Option<Method> {
    match case["finetuning"].as_str()? {
        "full" => Some(Method::Full),
        "freeze" => {
            let (count, part) =
                (case["num_layer_trainable"].as_u64()?, case["name_module_trainable"].as_str()?);
            let layers = model.config.num_hidden_layers as u64;
            let name = |layer| format!("model.layers.{layer}.{part}");
            Some(Method::Freeze((layers - count..layers).map(name).collect()))
        }
        _ => {
            model.load_adapter(&folder.join("adapter_initial")).unwrap();
            Some(Method::LoadedLora)
        }
    }
}

fn schedule(kind: &str, case: &Value) -> ScheduleKind {
    match kind {
        "linear" => ScheduleKind::Linear,
        "cosine" => ScheduleKind::Cosine,
        "constant" | "constant_with_warmup" => ScheduleKind::Constant,
        "cosine_with_restarts" => {
            ScheduleKind::CosineWithRestarts { cycles: case["num_cycles"].as_u64().unwrap() as u32 }
        }
        "polynomial" => ScheduleKind::Polynomial {
            power: case["power"].as_f64().unwrap(),
            end: case["lr_end"].as_f64().unwrap(),
        },
        other => panic!("unknown schedule {other}"),
    }
}

fn run_trace(folder: &Path, case: &Value, root: &Path) -> bool {
    let what = folder.display().to_string();
    let mut model = open(&root.join(case["model"].as_str().unwrap()));
    let Some(method) = method(folder, case, &mut model) else { return false };
    let settings = &case["optimisation"];
    let number = |name: &str| settings[name].as_f64().unwrap();
    let betas = floats(&settings["betas"]);
    let optim = OptimConfig {
        beta1: betas[0],
        beta2: betas[1],
        eps: number("eps"),
        weight_decay: number("weight_decay"),
    };
    let schedule = Schedule {
        kind: schedule(settings["schedule"].as_str().unwrap(), settings),
        learning_rate: number("learning_rate"),
        warmup_steps: number("warmup_steps") as u64,
        total_steps: number("steps") as u64,
    };
    let normalisation = match settings["loss_normalisation"].as_str().unwrap() {
        "tokens_of_step" => Normalisation::TokensOfStep,
        _ => Normalisation::MeanOfMicroBatchMeans,
    };
    let batches = Weights::open(&root.join(case["batches_file"].as_str().unwrap())).unwrap();
    let mut trainer = Trainer::new(model, method, optim, 1).unwrap();
    for (i, step) in case["steps"].as_array().unwrap().iter().enumerate() {
        let numbers = step["batches"].as_array().unwrap().iter();
        let micro: Vec<Batch> = numbers.map(|k| batch(&batches, &format!("batch{k}."))).collect();
        let lr = schedule.rate(i as u64);
        let report = trainer.step(&micro, normalisation, lr, settings["max_grad_norm"].as_f64()).unwrap();
        let what = format!("{what} step {}", i + 1);
        close(&format!("{what} lr"), lr, step["lr"].as_f64().unwrap(), 1e-18, 1e-12);
        close(&format!("{what} loss"), report.loss, step["loss"].as_f64().unwrap(), 2e-5, 1e-4);
        let norm = step["grad_norm_before_clip"].as_f64().unwrap();
        close(&format!("{what} gradient norm"), report.grad_norm, norm, 0.0, 3e-4);
        for (got, want) in report.micro.iter().zip(step["micro"].as_array().unwrap()) {
            assert_eq!(got.counted as u64, want["tokens"].as_u64().unwrap(), "{what} tokens");
        }
    }
    check_final(folder, case, &trainer.trainable_tensors());
    true
}

fn check_final(folder: &Path, case: &Value, tensors: &[HostTensor]) {
    let skipped = case["do_not_compare"].as_array().unwrap();
    // PEFT calls a DoRA length `….weight` in memory and without it in files.
    let same = |tensor: &&HostTensor, name: &str| {
        tensor.name == name || name.strip_suffix(".weight").is_some_and(|name| tensor.name == name)
    };
    let find =
        |name: &str| tensors.iter().find(|tensor| same(tensor, name)).unwrap_or_else(|| panic!("no {name}"));
    for (name, numbers) in case["final_tensors"].as_object().unwrap() {
        if skipped.iter().any(|skip| skip.as_str() == Some(name)) {
            continue;
        }
        let norm = find(name).values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        close(
            &format!("{} {name} norm", folder.display()),
            norm,
            numbers["norm"].as_f64().unwrap(),
            0.0,
            1e-4,
        );
    }
    for file in ["final_selected.safetensors", "adapter_final/adapter_model.safetensors"] {
        let Ok(whole) = Weights::open(&folder.join(file)) else { continue };
        for name in whole.names() {
            if skipped.iter().any(|skip| skip.as_str() == Some(&name)) {
                continue;
            }
            let numbers = &case["final_tensors"];
            let numbers = numbers.get(&name).unwrap_or_else(|| &numbers[format!("{name}.weight")]);
            let diff = numbers["f64_rerun_max_abs_diff"].as_f64().unwrap();
            for (got, want) in find(&name).values.iter().zip(whole.read(&name).unwrap()) {
                let what = format!("{} {name}", folder.display());
                close(&what, f64::from(*got), f64::from(want), 10.0 * diff + 2e-5, 0.0);
            }
        }
    }
}

#[test]
fn reference_training_traces() {
    let root = reference();
    let mut ran = 0;
    for folder in folders_with(&root.join("train"), "case.json") {
        let case = json(&folder.join("case.json"));
        let name = case["case"].as_str().unwrap();
        if name.starts_with("sft") || name.starts_with("pt") {
            ran += usize::from(run_trace(&folder, &case, &root));
        }
    }
    assert!(ran >= 2, "only {ran} traces were found");
}

#[test]
fn reference_a_resumed_trace_goes_on_bit_by_bit() {
    let root = reference();
    let case = folders_with(&root.join("train"), "case.json")
        .into_iter()
        .find(|folder| folder.join("adapter_initial").is_dir());
    let folder = case.expect("a LoRA trace");
    let case = json(&folder.join("case.json"));
    let batches = Weights::open(&root.join(case["batches_file"].as_str().unwrap())).unwrap();
    let start = || {
        let mut model = open(&root.join(case["model"].as_str().unwrap()));
        model.load_adapter(&folder.join("adapter_initial")).unwrap();
        Trainer::new(model, Method::LoadedLora, OptimConfig::default(), 1).unwrap()
    };
    let step = |trainer: &mut Trainer<Cpu>, k: usize| {
        let mut batch = batch(&batches, &format!("batch{k}."));
        batch.labels = batch.input_ids.clone();
        trainer.step(&[batch], Normalisation::TokensOfStep, 1e-3, Some(1.0)).unwrap()
    };
    let mut straight = start();
    step(&mut straight, 0);
    let (tensors, (steps, state)) = (straight.trainable_tensors(), straight.optimizer_state());
    let mut resumed = start();
    resumed.load_trainable_tensors(&tensors).unwrap();
    resumed.load_optimizer_state(steps, state).unwrap();
    for k in [1, 2, 0] {
        assert_eq!(step(&mut straight, k), step(&mut resumed, k));
    }
    assert_eq!(straight.trainable_tensors(), resumed.trainable_tensors());
}

#[test]
fn reference_schedules() {
    for case in json(&reference().join("train/schedules.json"))["cases"].as_array().unwrap() {
        let kind = schedule(case["schedule"].as_str().unwrap(), case);
        let schedule = Schedule {
            kind,
            learning_rate: case["learning_rate"].as_f64().unwrap(),
            warmup_steps: case["warmup_steps"].as_u64().unwrap(),
            total_steps: case["total_steps"].as_u64().unwrap(),
        };
        for (step, want) in floats(&case["lr_used_at_step"]).into_iter().enumerate() {
            close(&format!("{schedule:?} step {step}"), schedule.rate(step as u64), want, 1e-18, 1e-12);
        }
    }
}
