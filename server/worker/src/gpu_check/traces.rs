//! Recorded training runs: every loss and gradient norm within what f32 on a GPU may differ.

use std::path::{Path, PathBuf};

use contract::Code;
use contract::problem::Problem;
use model::CausalLm;
use model::kernels::Kernels;
use model::train::{Batch, Method, Normalisation, OptimConfig, Trainer};
use model::weights::{TensorSource, Weights};
use serde_json::Value;

use super::json;
use crate::problems::{of_file, of_model};

/// Relative difference allowed in a loss, and in a gradient norm. GPUs multiply f32 with shorter fractions (TF32).
const TOLERANCE: [f64; 2] = [5e-3, 3e-2];

/// Runs every recorded sft and pt run under `folder`; gives their number.
pub(super) fn check<B: Kernels>(
    folder: &Path,
    device: &B::Device,
    say: &mut dyn FnMut(&str),
) -> Result<usize, Problem> {
    let train = folder.join("train");
    let mut found: Vec<PathBuf> = std::fs::read_dir(&train)
        .map_err(|why| of_file(&train, "read", &why))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("case.json").is_file())
        .collect();
    found.sort();
    let mut count = 0;
    for path in found {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let case = json(&path.join("case.json"))?;
        if !(name.starts_with("sft_") || name.starts_with("pt_")) {
            continue;
        }
        let [loss, norm] = run::<B>(&path, &case, folder, device)?;
        say(&format!("{name}: loss within {loss:.1e}, gradient norm within {norm:.1e} of the recorded run"));
        if !(loss <= TOLERANCE[0] && norm <= TOLERANCE[1]) {
            return Err(Problem::new(
                Code::GpuCheckDiffers,
                format!("{name}: loss differs by {loss:.1e} (allowed {:.0e}), gradient norm by {norm:.1e} (allowed {:.0e}).", TOLERANCE[0], TOLERANCE[1]),
            )
            .hint("This device computes something else than the CPU; train on the CPU and report it."));
        }
        count += 1;
    }
    Ok(count)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn method<B: Kernels>(path: &Path, case: &Value, model: &mut CausalLm<B>) -> Result<Method, Problem> {
    match case["finetuning"].as_str() {
        Some("full") => Ok(Method::Full),
        Some("freeze") => {
            let count = case["num_layer_trainable"].as_u64().unwrap_or(1) as usize;
            let part = case["name_module_trainable"].as_str().unwrap_or("mlp");
            let layers = model.config.num_hidden_layers;
            let names = (layers.saturating_sub(count)..layers).map(|i| format!("model.layers.{i}.{part}"));
            Ok(Method::Freeze(names.collect()))
        }
        _ => {
            model.load_adapter(&path.join("adapter_initial")).map_err(of_model)?;
            Ok(Method::LoadedLora)
        }
    }
}

fn batch(tensors: &Weights, index: &Value, with_labels: bool) -> Result<Batch, Problem> {
    let read = |name: &str| tensors.read_integers(&format!("batch{index}.{name}")).map_err(of_model);
    let input_ids = read("input_ids")?;
    let shape = tensors.shape(&format!("batch{index}.input_ids")).unwrap_or_default();
    let labels = if with_labels { read("labels")? } else { input_ids.clone() };
    let [b, t] = shape[..] else {
        return Err(Problem::new(Code::GpuCheckReference, "A recorded batch has not two dimensions."));
    };
    Ok(Batch { attention_mask: read("attention_mask")?, labels, input_ids, b, t })
}

/// Largest relative differences of loss and gradient norm over all steps.
fn run<B: Kernels>(path: &Path, case: &Value, root: &Path, device: &B::Device) -> Result<[f64; 2], Problem> {
    let folder = root.join(case["model"].as_str().unwrap_or_default());
    let mut model = CausalLm::<B>::open(&folder, device).map_err(of_model)?;
    let method = method(path, case, &mut model)?;
    let settings = &case["optimisation"];
    let betas = list(&settings["betas"]);
    let beta = |i: usize| betas.get(i).map_or(f64::NAN, number);
    let optim = OptimConfig {
        beta1: beta(0),
        beta2: beta(1),
        eps: number(&settings["eps"]),
        weight_decay: number(&settings["weight_decay"]),
    };
    let normalisation = match settings["loss_normalisation"].as_str() {
        Some("tokens_of_step") => Normalisation::TokensOfStep,
        _ => Normalisation::MeanOfMicroBatchMeans,
    };
    let batches =
        Weights::open(&root.join(case["batches_file"].as_str().unwrap_or_default())).map_err(of_model)?;
    let with_labels = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("sft"));
    let mut trainer = Trainer::new(model, method, optim, 1).map_err(of_model)?;
    let mut worst = [0f64; 2];
    for step in list(&case["steps"]) {
        let micro = list(&step["batches"]).iter().map(|k| batch(&batches, k, with_labels));
        let micro = micro.collect::<Result<Vec<_>, _>>()?;
        let clip = settings["max_grad_norm"].as_f64();
        let report = trainer.step(&micro, normalisation, number(&step["lr"]), clip).map_err(of_model)?;
        let differs = |got: f64, want: &Value| (got - number(want)).abs() / number(want).abs().max(1e-3);
        worst[0] = worst[0].max(differs(report.loss, &step["loss"]));
        worst[1] = worst[1].max(differs(report.grad_norm, &step["grad_norm_before_clip"]));
        if !(report.loss.is_finite() && report.grad_norm.is_finite()) {
            worst = [f64::INFINITY; 2];
        }
    }
    Ok(worst)
}
