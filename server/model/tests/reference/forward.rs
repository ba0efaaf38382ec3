//! Forward passes and gradients of one batch.

use std::collections::BTreeMap;

use model::arch::Mode;
use model::kernels::{Kernels, Mat};
use model::train::Normalisation;
use model::weights::{TensorSource, Weights};
use model::{CausalLm, Cpu};

use crate::support::{batch, close, close_where, folders_with, json, models, open};

fn check_case(model: &CausalLm<Cpu>, path: &std::path::Path, expected: &serde_json::Value) {
    let what = path.display().to_string();
    let case = Weights::open(path).unwrap();
    let batch = batch(&case, "");
    let mask = &batch.attention_mask;
    let wanted = |name: &str| case.read(name).unwrap();
    if case.shape("logits").is_some() {
        let logits = model.batch_logits(&batch, Mode::default());
        close_where(&format!("{what} logits"), &logits, &wanted("logits"), mask, 1e-4);
    } else {
        let logits = model.batch_logits(&batch, Mode::default());
        close_where(&format!("{what} logits"), &logits, &wanted("logits_f32_compute"), mask, 1e-4);
        return;
    }
    let packed = batch.pack();
    let layers = model.config.num_hidden_layers;
    for (name, depth) in [("hidden_after_layer0", 1), ("last_hidden_state", layers)] {
        if depth == layers && name == "hidden_after_layer0" {
            continue;
        }
        let hidden = Cpu::to_host(&model.hidden(&packed, depth, Mode::default()));
        let hidden = packed.unpack(&hidden, batch.t, batch.b);
        close_where(&format!("{what} {name}"), &hidden, &wanted(name), mask, 1e-4);
    }
    let nll = model.nll(&packed, Mode::default());
    let counted = expected["counted_tokens"].as_u64().unwrap() as usize;
    assert_eq!((nll.len(), batch.counted()), (counted, counted), "{what}");
    let mean = nll.iter().map(|x| f64::from(*x)).sum::<f64>() / counted as f64;
    close(&what, mean, expected["loss_mean"].as_f64().unwrap(), 2e-5, 1e-4);
}

#[test]
fn reference_forward_logits_hidden_states_and_loss() {
    for folder in models() {
        let model = open(&folder);
        for case in json(&folder.join("cases.json"))["cases"].as_array().unwrap() {
            let name = case["name"].as_str().unwrap();
            check_case(&model, &folder.join(format!("case_{name}.safetensors")), case);
        }
    }
}

#[test]
fn reference_incremental_decoding_equals_the_whole_pass() {
    for folder in models().iter().filter(|folder| folder.join("case_incremental.safetensors").is_file()) {
        let model = open(folder);
        let case = Weights::open(&folder.join("case_incremental.safetensors")).unwrap();
        let [b, t] = case.shape("prompt_ids").unwrap()[..] else { panic!("two dimensions") };
        let (prompt, mask) =
            (case.read_integers("prompt_ids").unwrap(), case.read_integers("prompt_mask").unwrap());
        let next = case.read_integers("next_ids").unwrap();
        let want = case.read("logits").unwrap();
        let steps = next.len() / b;
        let vocab = model.config.vocab_size;
        for row in 0..b {
            let real = (row * t..(row + 1) * t).filter(|i| mask[*i] != 0).map(|i| prompt[i] as u32);
            let mut feed: Vec<u32> = real.collect();
            let mut cache = model.new_cache(t + steps);
            for step in 0..=steps {
                let got = model.next_logits(&feed, &mut cache, Mode::default());
                let at = (row * (steps + 1) + step) * vocab;
                close_where(
                    &format!("{} row {row} step {step}", folder.display()),
                    &got,
                    &want[at..at + vocab],
                    &[1],
                    1e-4,
                );
                feed = next.get(row * steps + step).map(|id| vec![*id as u32]).unwrap_or_default();
            }
        }
    }
}

/// A gradient under the names it was recorded by: Baichuan's one matrix was three in the class it ran in.
fn apart(name: &str, grad: &Mat<Cpu>) -> Vec<(String, Mat<Cpu>)> {
    if !name.contains("W_pack") {
        return vec![(name.to_owned(), grad.clone())];
    }
    let rows = grad.dims()[0] / 3;
    let part = |(i, part)| {
        let range = i * rows..(i + 1) * rows;
        (name.replace("W_pack", part), grad.clone().slice([range, 0..grad.dims()[1]]))
    };
    ["q_proj", "k_proj", "v_proj"].into_iter().enumerate().map(part).collect()
}

#[test]
fn reference_gradients_of_one_batch() {
    for folder in models().iter().filter(|folder| folder.join("grads.json").is_file()) {
        let mut model = open(folder);
        model.set_trainable(|_| true);
        let expected = json(&folder.join("grads.json"));
        let case = folder.join(format!("case_{}.safetensors", expected["case"].as_str().unwrap()));
        let batch = batch(&Weights::open(&case).unwrap(), "");
        let weight = Normalisation::TokensOfStep.token_weights(std::slice::from_ref(&batch))[0];
        let weights = vec![weight as f32; batch.counted()];
        let (_, grads) = model.loss_and_grads(batch.pack(), weights, Mode::default());
        let what = folder.display().to_string();
        close(&what, grads.global_norm(), expected["global_norm"].as_f64().unwrap(), 0.0, 3e-4);
        let parameters = expected["per_parameter"].as_object().unwrap();
        let grads: BTreeMap<String, Mat<Cpu>> =
            grads.iter().flat_map(|(name, grad)| apart(name, grad)).collect();
        assert_eq!(grads.len(), parameters.len(), "{what}: number of gradients");
        for (name, numbers) in parameters {
            let grad = grads.get(name).unwrap_or_else(|| panic!("{what}: no gradient of {name}"));
            let norm = Cpu::sum_of_squares(grad).sqrt();
            close(&format!("{what} {name}"), norm, numbers["norm"].as_f64().unwrap(), 1e-6, 1e-3);
        }
        if let Ok(whole) = Weights::open(&folder.join("grads_selected.safetensors")) {
            for name in whole.names() {
                let want = whole.read(&name).unwrap();
                let largest = want.iter().fold(0f32, |a, b| a.max(b.abs()));
                let got = Cpu::to_host(grads.get(&name).unwrap());
                close_where(&format!("{what} {name}"), &got, &want, &[1], 1e-3 * largest);
            }
        }
    }
}

#[test]
fn every_model_of_the_reference_can_be_run() {
    let root = crate::support::reference().join("models");
    let folders = |path: &std::path::Path| folders_with(path, "config.json").len();
    let others: usize = crate::support::other_models().iter().map(|others| folders(others)).sum();
    assert_eq!(models().len(), folders(&root) + others);
}

#[test]
fn the_list_of_tensors_is_what_a_model_holds() {
    for folder in models() {
        let model = open(&folder);
        let mut names = std::collections::BTreeSet::new();
        model.visit(|param| assert!(names.insert(param.name.clone()), "{} twice", param.name));
        let listed = model.config.tensors();
        let weights = Weights::open_folder(&folder).unwrap();
        for (name, shape) in &listed {
            assert!(names.contains(name), "{}: {name}", folder.display());
            assert_eq!(weights.shape(name).as_ref(), Some(shape), "{}: {name}", folder.display());
        }
        assert_eq!(listed.len(), names.len(), "{}", folder.display());
        let told =
            model.config.tensors().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>();
        assert_eq!(told, model.parameter_counts().0);
    }
}
