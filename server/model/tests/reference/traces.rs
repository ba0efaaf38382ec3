//! Twelve optimizer steps, number by number, and the schedules.

use std::path::{Path, PathBuf};

use model::kernels::Kernels;
use model::train::losses;
use model::train::losses::dpo::{Dpo, DpoKind, Pair};
use model::train::{
    Batch, Judged, Method, Normalisation, OptimConfig, Row, Schedule, ScheduleKind, StepReport, Trainer,
    ValueHead, Wants,
};
use model::weights::{HostTensor, TensorSource, Weights};
use model::{CausalLm, Cpu};
use serde_json::Value;

use crate::support::{batch, close, close_where, floats, folders_with, json, open, reference};

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

/// Model, optimiser and learning rates of a trace.
struct Trace {
    trainer: Trainer<Cpu>,
    schedule: Schedule,
    batches: Weights,
}

fn prepare(folder: &Path, case: &Value, root: &Path) -> Trace {
    let mut model = open(&root.join(case["model"].as_str().unwrap()));
    let method = method(folder, case, &mut model).unwrap();
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
    let width = model.config.hidden_size;
    let mut trainer = Trainer::new(model, method, optim, 1).unwrap();
    let head = folder.join("value_head_initial.safetensors");
    if head.is_file() {
        trainer = trainer.with_head(ValueHead::load(&head, "", width, 0.0, &Default::default()).unwrap());
    }
    let batches = Weights::open(&root.join(case["batches_file"].as_str().unwrap())).unwrap();
    Trace { trainer, schedule, batches }
}

fn check_step(what: &str, step: &Value, report: &StepReport, lr: f64) {
    close(&format!("{what} lr"), lr, step["lr"].as_f64().unwrap(), 1e-18, 1e-12);
    close(&format!("{what} loss"), report.loss, step["loss"].as_f64().unwrap(), 2e-5, 1e-4);
    let norm = step["grad_norm_before_clip"].as_f64().unwrap();
    close(&format!("{what} gradient norm"), report.grad_norm, norm, 0.0, 3e-4);
}

fn run_trace(folder: &Path, case: &Value, root: &Path) {
    let Trace { mut trainer, schedule, batches } = prepare(folder, case, root);
    let settings = &case["optimisation"];
    let normalisation = match settings["loss_normalisation"].as_str().unwrap() {
        "tokens_of_step" => Normalisation::TokensOfStep,
        _ => Normalisation::MeanOfMicroBatchMeans,
    };
    for (i, step) in case["steps"].as_array().unwrap().iter().enumerate() {
        let numbers = step["batches"].as_array().unwrap().iter();
        let micro: Vec<Batch> = numbers.map(|k| batch(&batches, &format!("batch{k}."))).collect();
        let lr = schedule.rate(i as u64);
        let report = trainer.step(&micro, normalisation, lr, settings["max_grad_norm"].as_f64()).unwrap();
        let what = format!("{} step {}", folder.display(), i + 1);
        check_step(&what, step, &report, lr);
        for (got, want) in report.micro.iter().zip(step["micro"].as_array().unwrap()) {
            assert_eq!(got.counted as u64, want["tokens"].as_u64().unwrap(), "{what} tokens");
        }
    }
    check_final(folder, case, &trainer.trainable_tensors());
}

/// A trace of pairs: `judge` is the loss of a micro-batch, `check` compares its numbers.
fn run_pairs(
    folder: &Path,
    case: &Value,
    root: &Path,
    judge: impl Fn(&Trainer<Cpu>, &Batch) -> (Wants, Box<dyn FnOnce(&[Row]) -> Judged>),
) {
    let Trace { mut trainer, schedule, batches } = prepare(folder, case, root);
    let clip = case["optimisation"]["max_grad_norm"].as_f64();
    for (i, step) in case["steps"].as_array().unwrap().iter().enumerate() {
        let numbers = step["batches"].as_array().unwrap();
        let lr = schedule.rate(i as u64);
        let what = format!("{} step {}", folder.display(), i + 1);
        let mut report = StepReport::default();
        for (k, want) in numbers.iter().zip(step["micro"].as_array().unwrap()) {
            let batch = batch(&batches, &format!("batch{k}."));
            let (wants, judge) = judge(&trainer, &batch);
            let scale = 1.0 / numbers.len() as f64;
            let judged = trainer.judged_step(&batch, wants, scale, judge).unwrap();
            report.loss += judged.loss * scale;
            for key in ["accuracy", "margin"] {
                if let Some(want) = want[key].as_f64() {
                    close(&format!("{what} {key}"), judged.metrics[key], want, 1e-4, 1e-4);
                }
            }
        }
        report.grad_norm = trainer.optimizer_step(lr, clip);
        check_step(&what, step, &report, lr);
    }
    check_final(folder, case, &trainer.trainable_tensors());
    let head = folder.join("value_head_final.safetensors");
    if let (Some(got), true) = (trainer.head(), head.is_file()) {
        let want = Weights::open(&head).unwrap().read("v_head.summary.weight").unwrap();
        let diff = case["final_tensors"]["v_head.weight"]["f64_rerun_max_abs_diff"].as_f64().unwrap();
        close_where("v_head", &Cpu::to_host(&got.weight.value), &want, &[1], 10.0 * diff as f32 + 2e-5);
    }
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
    let traces = traces(&root, &["sft", "pt"]);
    assert!(traces.len() >= 2, "only {} traces were found", traces.len());
    for (folder, case) in traces {
        run_trace(&folder, &case, &root);
    }
}

/// Traces whose name begins with one of these.
fn traces(root: &Path, kinds: &[&str]) -> Vec<(PathBuf, Value)> {
    let all = folders_with(&root.join("train"), "case.json").into_iter();
    let all = all.map(|folder| (json(&folder.join("case.json")), folder));
    all.filter(|(case, _)| kinds.iter().any(|kind| case["case"].as_str().unwrap().starts_with(kind)))
        .map(|(case, folder)| (folder, case))
        .collect()
}

#[test]
fn reference_s_168_reward_model_traces() {
    let root = reference();
    for (folder, case) in traces(&root, &["rm"]) {
        run_pairs(&folder, &case, &root, |_, _| (losses::reward::WANTS, Box::new(losses::reward::judge)));
    }
}

#[test]
fn reference_dpo_traces() {
    let root = reference();
    for (folder, case) in traces(&root, &["dpo"]) {
        run_pairs(&folder, &case, &root, |trainer, batch| {
            let dpo = Dpo { kind: DpoKind::Sigmoid, beta: 0.1, label_smoothing: 0.0 };
            let reference = trainer.outputs(batch, losses::dpo::WANTS, true).unwrap();
            (losses::dpo::WANTS, Box::new(move |rows| dpo.judge(rows, &reference)))
        });
    }
}

#[test]
fn reference_dpo_blocks() {
    let path = reference().join("train/dpo_blocks.json");
    if !path.is_file() {
        assert!(!crate::support::in_ci(), "no DPO blocks");
        return;
    }
    for case in json(&path)["cases"].as_array().unwrap() {
        let kind = match case["loss_type"].as_str().unwrap() {
            "sigmoid" => DpoKind::Sigmoid,
            "ipo" => DpoKind::Ipo,
            "hinge" => DpoKind::Hinge,
            other => panic!("unknown loss {other}"),
        };
        let number = |key: &str| case[key].as_f64().unwrap();
        let list = |key: &str| floats(&case[key]);
        let pairs: Vec<Pair> = (0..list("policy_chosen_logps").len())
            .map(|i| Pair {
                policy_chosen: list("policy_chosen_logps")[i],
                policy_rejected: list("policy_rejected_logps")[i],
                ref_chosen: list("ref_chosen_logps")[i],
                ref_rejected: list("ref_rejected_logps")[i],
                chosen_tokens: list("chosen_tokens")[i] as usize,
                rejected_tokens: list("rejected_tokens")[i] as usize,
            })
            .collect();
        let dpo = Dpo { kind, beta: number("beta"), label_smoothing: number("label_smoothing") };
        let got = dpo.loss(&pairs);
        close(&format!("{dpo:?}"), got.loss, number("loss"), 1e-12, 1e-9);
        for (got, key) in [
            (&got.per_pair, "loss_per_pair"),
            (&got.d_chosen, "grad_policy_chosen"),
            (&got.d_rejected, "grad_policy_rejected"),
        ] {
            for (got, want) in got.iter().zip(list(key)) {
                close(&format!("{dpo:?} {key}"), *got, want, 1e-12, 1e-9);
            }
        }
    }
}

#[test]
fn reference_s_187_reward_accuracy() {
    let path = reference().join("metrics/reward_accuracy.json");
    if !path.is_file() {
        assert!(!crate::support::in_ci(), "no reward metrics");
        return;
    }
    let file = json(&path);
    for case in file["cases"].as_array().unwrap() {
        let got = losses::reward::pairwise(&floats(&case["accept"]), &floats(&case["reject"]));
        close("accuracy", got.accuracy, case["accuracy"].as_f64().unwrap(), 0.0, 1e-9);
        close("loss", got.loss, case["pairwise_loss"].as_f64().unwrap(), 0.0, 1e-9);
    }
    for case in file["stable_logsigmoid"].as_array().unwrap() {
        let got = losses::minus_log_sigmoid(case["difference"].as_f64().unwrap());
        close("-log sigmoid", got, case["minus_logsigmoid"].as_f64().unwrap(), 0.0, 1e-9);
    }
}

#[test]
fn reference_s_162_perplexity() {
    let path = reference().join("metrics/perplexity.json");
    if !path.is_file() {
        assert!(!crate::support::in_ci(), "no perplexities");
        return;
    }
    for case in json(&path)["cases"].as_array().unwrap() {
        let got = losses::perplexity(case["eval_loss"].as_f64().unwrap());
        match case["perplexity"].as_f64() {
            Some(want) => close("perplexity", got, want, 0.0, 1e-9),
            None => assert!(got.is_infinite(), "{case}"),
        }
    }
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
