//! PEFT folders: the adapter's effect, its merge, and writing it back.

use model::arch::Mode;
use model::kernels::Kernels;
use model::weights::{TensorSource, Weights};
use model::{CausalLm, Cpu};

use crate::support::{batch, close_where, open, reference};

fn value(model: &CausalLm<Cpu>, wanted: &str) -> Vec<f32> {
    let mut found = None;
    model.visit(|param| {
        if param.name == wanted {
            found = Some(Cpu::to_host(&param.value));
        }
    });
    found.unwrap_or_else(|| panic!("no {wanted}"))
}

#[test]
fn reference_peft_adapters() {
    let root = reference();
    let Ok(text) = std::fs::read(root.join("peft/cases.json")) else {
        assert!(!crate::support::in_ci(), "no peft cases");
        return;
    };
    let cases: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let mut ran = 0;
    for case in cases["cases"].as_array().unwrap() {
        let name = case["case"].as_str().unwrap();
        let folder = root.join("peft").join(name);
        if !folder.join("adapter").is_dir() {
            continue;
        }
        let mut model = open(&root.join(case["base"].as_str().unwrap()));
        model.load_adapter(&folder.join("adapter")).unwrap();
        let tensors = Weights::open(&folder.join("case.safetensors")).unwrap();
        let batch = batch(&tensors, "");
        let check = |what: &str, model: &CausalLm<Cpu>, mode: Mode| {
            let want = tensors.read(&format!("logits_{what}")).unwrap();
            let got = model.batch_logits(&batch, mode);
            close_where(&format!("{name} {what}"), &got, &want, &batch.attention_mask, 1e-4);
        };
        check("adapter", &model, Mode::default());
        check("base", &model, Mode { without_adapter: true, ..Mode::default() });
        let count = |key: &str| case[key].as_u64().unwrap() as usize;
        assert_eq!(
            model.parameter_counts(),
            (count("all_params"), count("trainable_params")),
            "{name}: S-107"
        );
        let copy = tempfile::tempdir().unwrap();
        model.save_adapter(copy.path(), "base").unwrap();
        let mut again = open(&root.join(case["base"].as_str().unwrap()));
        again.load_adapter(copy.path()).unwrap();
        assert_eq!(again.adapter_tensors(), model.adapter_tensors(), "{name}: written and read back");
        model.merge_adapter();
        check("merged", &model, Mode::default());
        let merged = Weights::open(&folder.join("merged_layer0.safetensors")).unwrap();
        for tensor in merged.names() {
            close_where(
                &format!("{name} {tensor}"),
                &value(&model, &tensor),
                &merged.read(&tensor).unwrap(),
                &[1],
                1e-5,
            );
        }
        ran += 1;
    }
    assert!(ran >= 2, "only {ran} adapters were found");
}

#[test]
fn reference_s_124_stacked_adapters_merge_in_order() {
    let root = reference().join("peft");
    let Ok(text) = std::fs::read(root.join("cases.json")) else { return };
    let cases: serde_json::Value = serde_json::from_slice(&text).unwrap();
    for case in cases["cases"].as_array().unwrap().iter().filter(|case| case["order"].is_array()) {
        let folder = root.join(case["case"].as_str().unwrap());
        let mut model = open(&reference().join(case["base"].as_str().unwrap()));
        let tensors = Weights::open(&folder.join("case.safetensors")).unwrap();
        let batch = batch(&tensors, "");
        for (i, adapter) in case["order"].as_array().unwrap().iter().enumerate() {
            let close = |what: String, model: &CausalLm<Cpu>| {
                let got = model.batch_logits(&batch, Mode::default());
                close_where(&what, &got, &tensors.read(&what).unwrap(), &batch.attention_mask, 1e-4);
            };
            model.load_adapter(&folder.join(adapter.as_str().unwrap())).unwrap();
            close(format!("logits_adapter{}_active", i + 1), &model);
            model.merge_adapter();
            close(format!("logits_merged{}", i + 1), &model);
        }
        let merged = Weights::open(&folder.join("merged_both_selected.safetensors")).unwrap();
        for tensor in merged.names() {
            let want = merged.read(&tensor).unwrap();
            close_where(&tensor, &value(&model, &tensor), &want, &[1], 1e-5);
        }
    }
}

#[test]
fn reference_a_saved_model_is_the_same_model() {
    for folder in crate::support::models() {
        let model = open(&folder);
        let copy = tempfile::tempdir().unwrap();
        model.save_folder(copy.path()).unwrap();
        let again = open(copy.path());
        assert_eq!(again.config.to_json()["rope_scaling"], model.config.to_json()["rope_scaling"]);
        model.visit(|param| {
            assert_eq!(value(&again, &param.name), Cpu::to_host(&param.value), "{}", param.name)
        });
    }
}
