//! A run as a file of settings under the names of the original and of transformers: written for people to keep, and read
//! to make the same run again (S-050). Models, datasets and checkpoints stand by name and by digest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::code::Code;
use crate::params::{PARAMS, param};
use crate::problem::Problem;
use crate::spec::{CheckpointRef, DatasetRef, Draft, RunSpec};
use crate::stage::Tuning;

/// A setting as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its name.
    pub key: String,
    /// Its text; `None`: the default.
    pub value: Option<String>,
    /// Line, from 1; 0: not known.
    pub line: u64,
}

/// A model or a dataset as a file names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Label.
    pub name: String,
    /// SHA-256, hex; empty: not said.
    pub digest: String,
}

/// What a file asks for, before models and datasets are looked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    /// Everything but model and datasets.
    pub draft: Draft,
    /// The model.
    pub model: Named,
    /// The datasets, in order.
    pub datasets: Vec<Named>,
    /// Settings of the original that play no part here.
    pub passed_over: Vec<String>,
}

/// What became of a file that was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SpecificationRead {
    /// The form it fills in.
    pub draft: Draft,
    /// Settings of the original that play no part here.
    pub passed_over: Vec<String>,
    /// What is not here: the form shows it where it is to be chosen.
    pub missing: Vec<Problem>,
}

/// Settings of the original's four groups that play no part here, each for a reason of the README's table.
const PASSED_OVER: &[&str] = &[
    "bf16",
    "cache_dir",
    "compute_dtype",
    "dataset_dir",
    "ddp_find_unused_parameters",
    "ddp_timeout",
    "do_sample",
    "evaluation_strategy",
    "eval_strategy",
    "fp16",
    "generation_max_length",
    "ignore_pad_token_for_loss",
    "length_penalty",
    "local_rank",
    "log_level",
    "log_on_each_node",
    "logging_dir",
    "logging_steps",
    "logging_strategy",
    "max_length",
    "max_new_tokens",
    "model_revision",
    "no_cuda",
    "num_beams",
    "num_hidden_layers",
    "optim",
    "output_dir",
    "overwrite_cache",
    "overwrite_output_dir",
    "padding_side",
    "plot_loss",
    "preprocessing_num_workers",
    "remove_unused_columns",
    "repetition_penalty",
    "report_to",
    "resume_from_checkpoint",
    "save_safetensors",
    "save_strategy",
    "split",
    "temperature",
    "top_k",
    "top_p",
    "use_auth_token",
    "use_cache",
    "use_fast_tokenizer",
];

/// Reads settings. Every problem is named: a setting nobody knows, one that stands twice.
///
/// # Errors
/// All of them.
pub fn understand(settings: &[Setting]) -> Result<Wanted, Vec<Problem>> {
    let (mut wanted, mut problems) = (Wanted::default(), Vec::new());
    let (mut by_key, mut digests) = (BTreeMap::new(), Vec::new());
    for setting in settings {
        if by_key.insert(setting.key.as_str(), setting.value.as_deref()).is_some() {
            let message = format!("{} stands in the specification twice.", setting.key);
            problems.push(about(Code::SpecTwice, setting, message).hint("Keep one of the two lines."));
        }
    }
    for setting in settings {
        let Some(value) = setting.value.as_deref() else {
            if !is_known(&setting.key) {
                problems.push(unknown(setting));
            }
            continue;
        };
        let draft = &mut wanted.draft;
        match setting.key.as_str() {
            "run_name" => draft.name = value.to_owned(),
            "stage" => draft.stage = value.to_owned(),
            "finetuning_type" => draft.tuning = value.to_owned(),
            "model_name_or_path" => wanted.model.name = value.to_owned(),
            "model_digest" => wanted.model.digest = value.to_owned(),
            "dataset" => {
                wanted.datasets = listed(value).map(|name| Named { name, ..Named::default() }).collect()
            }
            "dataset_sha256" => digests = listed(value).collect(),
            "prompt_template" | "template" => draft.template = value.to_owned(),
            "system" => draft.system = value.to_owned(),
            "checkpoint_dir" => draft.adapters = value.to_owned(),
            "reward_model" => draft.reward_model = value.to_owned(),
            // What they decide is taken up below, or by those above.
            "do_train" | "do_eval" | "do_predict" | "quantization_type" | "per_device_eval_batch_size" => {}
            "quantization_bit" => {
                draft.values.insert("quantization_bit".to_owned(), bits(value, &by_key));
            }
            key if param(key).is_some() => {
                draft.values.insert(key.to_owned(), value.to_owned());
            }
            key if PASSED_OVER.contains(&key) => wanted.passed_over.push(key.to_owned()),
            _ => problems.push(unknown(setting)),
        }
    }
    for (dataset, digest) in wanted.datasets.iter_mut().zip(digests) {
        dataset.digest = digest;
    }
    only_measures(&mut wanted.draft, &by_key);
    for (said, default) in [
        (&mut wanted.draft.stage, DEFAULTS[0]),
        (&mut wanted.draft.tuning, DEFAULTS[1]),
        (&mut wanted.draft.template, DEFAULTS[2]),
    ] {
        if said.is_empty() {
            default.clone_into(said);
        }
    }
    if problems.is_empty() { Ok(wanted) } else { Err(problems) }
}

/// Stage, tuning method and template where a file does not say: the original has a program for each stage, of which
/// fine-tuning is meant most often, and these defaults of the two others (S-034, S-036).
const DEFAULTS: [&str; 3] = ["sft", "lora", "default"];

/// The original measures without training where it is not told to train.
fn only_measures(draft: &mut Draft, settings: &BTreeMap<&str, Option<&str>>) {
    let says = |key: &str, text: &str| settings.get(key).is_some_and(|value| *value == Some(text));
    let measured = says("do_eval", "true") || says("do_predict", "true");
    if says("do_train", "false") || (measured && !says("do_train", "true")) {
        draft.tuning = Tuning::None.key().to_owned();
        // There it is the size of the batches that are measured.
        if let Some(Some(rows)) = settings.get("per_device_eval_batch_size") {
            draft.values.entry("per_device_train_batch_size".to_owned()).or_insert((*rows).to_owned());
        }
    }
}

/// Bits as the original has them, 4 or 8 and their type apart (S-015, S-016).
fn bits(value: &str, settings: &BTreeMap<&str, Option<&str>>) -> String {
    let kind = settings.get("quantization_type").copied().flatten();
    match value {
        "8" => "int8".to_owned(),
        "4" => kind.unwrap_or("nf4").to_owned(),
        other => other.to_owned(),
    }
}

fn listed(text: &str) -> impl Iterator<Item = String> {
    text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty())
}

/// Names beside the hyperparameters that mean something here.
const OWN: &[&str] = &[
    "run_name",
    "stage",
    "finetuning_type",
    "model_name_or_path",
    "model_digest",
    "dataset",
    "dataset_sha256",
    "prompt_template",
    "template",
    "system",
    "checkpoint_dir",
    "reward_model",
    "do_train",
    "do_eval",
    "do_predict",
    "quantization_type",
    "per_device_eval_batch_size",
];

fn is_known(key: &str) -> bool {
    OWN.contains(&key) || PASSED_OVER.contains(&key) || param(key).is_some()
}

fn about(code: Code, setting: &Setting, message: String) -> Problem {
    Problem::new(code, message).with("key", &setting.key).with("line", setting.line)
}

fn unknown(setting: &Setting) -> Problem {
    let line = if setting.line > 0 { format!(" (line {})", setting.line) } else { String::new() };
    about(Code::SpecUnknownKey, setting, format!("There is no setting called {}{line}.", setting.key))
        .hint("Correct its name or take it out.")
}

/// The settings of a run in the order in which a form asks for them; those alone that play a part in it.
pub fn settings(spec: &RunSpec) -> Vec<(String, Value)> {
    let learns = spec.tuning.learns();
    let names = |part: fn(&DatasetRef) -> &str| {
        json!(spec.datasets().map(part).map(str::to_owned).collect::<Vec<_>>().join(","))
    };
    let checkpoints =
        |all: &[CheckpointRef]| json!(all.iter().map(|one| one.key().text()).collect::<Vec<_>>().join(","));
    let mut all = vec![
        ("run_name", json!(spec.name)),
        ("stage", json!(spec.stage.key())),
        ("do_train", json!(learns)),
        ("finetuning_type", json!(spec.tuning.key())),
        ("model_name_or_path", json!(spec.model.name)),
        ("model_digest", json!(spec.model.digest)),
        ("dataset", names(|dataset| &dataset.name)),
        ("dataset_sha256", names(|dataset| &dataset.sha256)),
        ("prompt_template", json!(spec.template)),
        ("system", json!(spec.system)),
    ];
    if !spec.adapters.is_empty() {
        all.push(("checkpoint_dir", checkpoints(&spec.adapters)));
    }
    if let Some(reward) = &spec.reward_model {
        all.push(("reward_model", checkpoints(std::slice::from_ref(reward))));
    }
    let values = serde_json::to_value(&spec.hyper).unwrap_or_default();
    let applies = PARAMS.iter().filter(|param| (param.applies)(spec.stage, spec.tuning));
    let hyper = applies.filter_map(|param| Some((param.key, said(values.get(param.key)?))));
    all.into_iter().chain(hyper).map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A list as the text that forms and the original have; an empty one is `none`.
fn said(value: &Value) -> Value {
    match value.as_array() {
        Some(list) if list.is_empty() => json!("none"),
        Some(list) => json!(list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")),
        None => value.clone(),
    }
}

/// The settings as YAML: a line each, texts in double quotes.
pub fn yaml(settings: &[(String, Value)]) -> String {
    settings.iter().map(|(key, value)| format!("{key}: {value}\n")).collect()
}

/// The settings as one JSON object.
pub fn to_json(settings: &[(String, Value)]) -> String {
    let lines: Vec<_> = settings.iter().map(|(key, value)| format!("  {}: {value}", json!(key))).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings_of(pairs: &[(&str, &str)]) -> Vec<Setting> {
        let setting = |(at, (key, value)): (usize, &(&str, &str))| Setting {
            key: (*key).to_owned(),
            value: (!value.is_empty()).then(|| (*value).to_owned()),
            line: at as u64 + 1,
        };
        pairs.iter().enumerate().map(setting).collect()
    }

    #[test]
    fn s_050_settings_of_the_original_are_understood() {
        let wanted = understand(&settings_of(&[
            ("model_name_or_path", "llama-7b"),
            ("do_train", "true"),
            ("dataset", "alpaca_zh, oaast"),
            ("dataset_sha256", "ab,cd"),
            ("prompt_template", "alpaca"),
            ("finetuning_type", "lora"),
            ("output_dir", "out"),
            ("quantization_bit", "4"),
            ("quantization_type", "fp4"),
            ("learning_rate", "5e-5"),
            ("max_samples", ""),
        ]))
        .expect("understood");
        let names: Vec<_> =
            wanted.datasets.iter().map(|one| (one.name.as_str(), one.digest.as_str())).collect();
        assert_eq!(names, [("alpaca_zh", "ab"), ("oaast", "cd")]);
        assert_eq!((wanted.model.name.as_str(), wanted.draft.tuning.as_str()), ("llama-7b", "lora"));
        assert_eq!(wanted.draft.values["quantization_bit"], "fp4");
        assert_eq!(wanted.draft.values["learning_rate"], "5e-5");
        assert!(!wanted.draft.values.contains_key("max_samples"));
        assert_eq!(wanted.passed_over, ["output_dir"]);
        assert_eq!(wanted.draft.stage, "sft", "the original's files do not say");
        let draft = understand(&[]).expect("an empty file").draft;
        assert_eq!([draft.stage, draft.tuning, draft.template], DEFAULTS);
    }

    #[test]
    fn s_050_what_is_not_told_to_train_measures() {
        let tuning =
            |pairs: &[(&str, &str)]| understand(&settings_of(pairs)).expect("understood").draft.tuning;
        assert_eq!(tuning(&[("finetuning_type", "lora"), ("do_predict", "true")]), "none");
        assert_eq!(tuning(&[("finetuning_type", "lora"), ("do_train", "false")]), "none");
        assert_eq!(tuning(&[("finetuning_type", "lora"), ("do_train", "true"), ("do_eval", "true")]), "lora");
        let eval = [("do_eval", "true"), ("per_device_eval_batch_size", "8")];
        let values = understand(&settings_of(&eval)).expect("understood").draft.values;
        assert_eq!(values["per_device_train_batch_size"], "8");
    }

    #[test]
    fn s_050_unknown_and_repeated_settings_are_all_named() {
        let problems = understand(&settings_of(&[
            ("stage", "sft"),
            ("learning_rat", "1"),
            ("stage", "pt"),
            ("warmup", ""),
        ]))
        .expect_err("three faults");
        let found: Vec<_> = problems
            .iter()
            .map(|one| (one.code, one.params["key"].as_str(), one.params["line"].as_str()))
            .collect();
        let unknown = Code::SpecUnknownKey;
        assert_eq!(
            found,
            [(Code::SpecTwice, "stage", "3"), (unknown, "learning_rat", "2"), (unknown, "warmup", "4")]
        );
        for key in OWN.iter().chain(PASSED_OVER) {
            assert!(param(key).is_none(), "{key} is a hyperparameter");
        }
    }
}
