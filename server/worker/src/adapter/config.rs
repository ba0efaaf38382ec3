//! `adapter_config.json` as PEFT writes it. Which maps an adapter lies on is taken from its tensors, which know it best:
//! the configuration may name them by a list, a pattern or `all-linear`.

use std::collections::BTreeSet;
use std::path::Path;

use contract::Code;
use contract::files;
use contract::problem::Problem;
use model::lora::LoraConfig;
use rundir::chain::ADAPTER_CONFIG;
use serde_json::{Map, Value, json};

use crate::problems::{of_model, of_unread};

/// Longest name of a base that is shown, characters.
const SHOWN: usize = 100;
/// Ways to begin that change the base as well: the adapter means nothing on the base as it is.
const CHANGES_BASE: [&str; 4] = ["pissa", "olora", "corda", "loftq"];
/// Settings that are not supported when they are set.
const UNSUPPORTED: [&str; 3] = ["trainable_token_indices", "alora_invocation_tokens", "arrow_config"];
/// What an adapter may have been trained for.
const TASKS: [&str; 2] = ["CAUSAL_LM", "SEQ_CLS"];

/// A configuration that can be used.
pub(super) struct Parsed {
    /// Shape; every map by its whole name.
    pub(super) lora: LoraConfig,
    /// Revision of the base.
    pub(super) revision: Option<String>,
}

fn fail(why: String) -> Problem {
    Problem::new(Code::LoraConfig, format!("{ADAPTER_CONFIG}: {why}.")).with("why", why).file(ADAPTER_CONFIG)
}

/// Reads the file; it must be a JSON object.
pub(super) fn read(folder: &Path) -> Result<Map<String, Value>, Problem> {
    let path = folder.join(ADAPTER_CONFIG);
    let bytes = files::read_named(&path).map_err(|why| match why.is_missing() {
        true => missing(),
        false => of_unread(&path, &why),
    })?;
    serde_json::from_slice(&bytes).map_err(|why| fail(why.to_string()))
}

fn missing() -> Problem {
    Problem::new(Code::ModelFileMissing, format!("The folder holds no {ADAPTER_CONFIG}."))
        .file(ADAPTER_CONFIG)
        .hint("An adapter is adapter_config.json with adapter_model.safetensors, as PEFT writes them.")
}

/// The base it names: a name of the hub as it stands; of a path on somebody's disk only its last part.
pub(super) fn base(config: &Map<String, Value>) -> Option<String> {
    let written = config.get("base_model_name_or_path")?.as_str()?;
    Some(short(written)).filter(|name| !name.is_empty())
}

fn short(base: &str) -> String {
    let base = base.trim().trim_end_matches(['/', '\\']);
    let is_path = base.starts_with(['/', '.', '~']) || base.contains('\\') || base.matches('/').count() > 1;
    let name = if is_path { base.rsplit(['/', '\\']).next().unwrap_or_default() } else { base };
    name.chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

/// The configuration of an adapter whose tensors lie on these modules and hold these whole tensors.
pub(super) fn parsed(
    mut config: Map<String, Value>,
    modules: &BTreeSet<&str>,
    saved: Vec<String>,
) -> Result<Parsed, Problem> {
    refuse(&config)?;
    // A score trained along is the value head, and whole tensors are those that are there.
    let wanted = match config.get("modules_to_save") {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let heads = ["score", "v_head", "value_head", "classifier"];
    if let Some(lost) = wanted.iter().find(|name| !heads.contains(&name.as_str()) && !saved.contains(name)) {
        return Err(fail(format!("\"modules_to_save\" names \"{lost}\", which the weights do not hold")));
    }
    config.insert("target_modules".to_owned(), json!(modules));
    config.insert("modules_to_save".to_owned(), json!(saved));
    for name in ["layers_to_transform", "layers_pattern", "exclude_modules"] {
        config.remove(name);
    }
    let revision = config.get("revision").and_then(Value::as_str);
    let revision = revision.map(|text| text.chars().filter(|c| !c.is_control()).take(SHOWN).collect());
    let text = serde_json::to_vec(&config).map_err(|why| fail(why.to_string()))?;
    let lora = LoraConfig::from_json(&text).map_err(|why| of_model(why).file(ADAPTER_CONFIG))?;
    Ok(Parsed { lora, revision })
}

/// Settings that change what the tensors mean, by name.
fn refuse(config: &Map<String, Value>) -> Result<(), Problem> {
    let get = |name: &str| config.get(name).filter(|value| !value.is_null());
    let unsupported = |name: &str, value: &Value| {
        let shown: String = value.to_string().chars().take(SHOWN).collect();
        fail(format!("\"{name}\" is {shown}, which is not supported"))
    };
    if let Some(bias) = get("bias").filter(|bias| **bias != json!("none")) {
        return Err(unsupported("bias", bias));
    }
    if let Some(task) = get("task_type").filter(|task| !TASKS.iter().any(|known| **task == json!(known))) {
        return Err(unsupported("task_type", task));
    }
    let begins = get("init_lora_weights")
        .filter(|how| how.as_str().is_some_and(|how| CHANGES_BASE.iter().any(|kind| how.starts_with(kind))));
    if let Some(how) = begins {
        return Err(unsupported("init_lora_weights", how));
    }
    let empty = |value: &Value| *value == json!(false) || *value == json!([]) || *value == json!({});
    for name in UNSUPPORTED {
        if let Some(value) = get(name).filter(|value| !empty(value)) {
            return Err(unsupported(name, value));
        }
    }
    for name in ["rank_pattern", "alpha_pattern"] {
        let keys = get(name).and_then(Value::as_object).into_iter().flat_map(Map::keys);
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
        if let Some(key) = keys.into_iter().find(|key| !key.chars().all(plain)) {
            return Err(unsupported(name, &json!(key)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_named_and_no_path_is_shown() {
        for (written, shown) in [
            ("someone/tiny-base", "someone/tiny-base"),
            ("/home/me/models/llama-7b/", "llama-7b"),
            (r"C:\models\llama-7b", "llama-7b"),
            ("./out/base", "base"),
            ("gpt2", "gpt2"),
        ] {
            assert_eq!(short(written), shown);
        }
        assert_eq!(base(&Map::new()), None);
        assert_eq!(short(&"x".repeat(500)).len(), SHOWN);
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let plain =
            json!({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "bias": "none", "task_type": "CAUSAL_LM"});
        let read = |more: Value| {
            let mut config = plain.as_object().expect("an object").clone();
            config.extend(more.as_object().expect("an object").clone());
            parsed(config, &BTreeSet::from(["model.layers.0.self_attn.q_proj"]), Vec::new())
        };
        read(json!({})).expect("plain");
        read(json!({"target_modules": ".*(q|v)_proj$", "layers_pattern": "blocks"}))
            .expect("the tensors say where");
        read(json!({"modules_to_save": ["score"], "task_type": "SEQ_CLS"})).expect("a reward model");
        for (more, name) in [
            (json!({"peft_type": "LOHA"}), "LOHA"),
            (json!({"bias": "lora_only"}), "bias"),
            (json!({"task_type": "SEQ_2_SEQ_LM"}), "task_type"),
            (json!({"init_lora_weights": "pissa_niter_4"}), "init_lora_weights"),
            (json!({"lora_bias": true}), "lora_bias"),
            (json!({"use_qalora": true}), "use_qalora"),
            (json!({"layer_replication": [[0, 2]]}), "layer_replication"),
            (json!({"target_parameters": ["x"]}), "target_parameters"),
            (json!({"trainable_token_indices": [1]}), "trainable_token_indices"),
            (json!({"alora_invocation_tokens": [1]}), "alora_invocation_tokens"),
            (json!({"fan_in_fan_out": true}), "fan_in_fan_out"),
            (json!({"rank_pattern": {"^model.*q_proj": 2}}), "rank_pattern"),
            (json!({"modules_to_save": ["lm_head"]}), "lm_head"),
            (json!({"r": 0}), "rank"),
            (json!({"r": -1}), "r"),
            (json!({"lora_alpha": "much"}), "lora_alpha"),
            (json!({"lora_dropout": 1.5}), "dropout"),
        ] {
            let problem = read(more).map(|_| ()).expect_err(name);
            assert!(
                problem.code == Code::LoraConfig && problem.params["why"].contains(name),
                "{name}: {problem}"
            );
        }
    }
}
