//! Adapters that come in place of a model: they are named as what they are, with the base they belong to.

use std::path::{Path, PathBuf};

use contract::Code;
use contract::problem::Problem;
use serde_json::Value;

/// File that PEFT writes beside the weights of an adapter.
const CONFIG: &str = "adapter_config.json";
/// Longest name of a base that is shown, characters.
const SHOWN: usize = 100;

/// Refuses a folder that holds an adapter, and a file that is the weights of one. A model may lie beside it: which of
/// the two is meant cannot be told.
pub(super) fn refuse(source: &Path) -> Result<(), Problem> {
    let Some(config) = config_of(source).filter(|path| path.is_file()) else { return Ok(()) };
    let read: Value =
        std::fs::read(config).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    Err(refusal(read.get("base_model_name_or_path").and_then(Value::as_str)))
}

/// Where the configuration of an adapter would lie.
fn config_of(source: &Path) -> Option<PathBuf> {
    if source.is_dir() {
        return Some(source.join(CONFIG));
    }
    let name = source.file_name()?.to_string_lossy().into_owned();
    name.starts_with("adapter_model").then(|| source.with_file_name(CONFIG))
}

/// The problem of an adapter on a base of that name.
fn refusal(base: Option<&str>) -> Problem {
    let base = base.map(short).filter(|name| !name.is_empty());
    let problem = Problem::new(
        Code::ModelIsAdapter,
        match &base {
            Some(base) => format!("This is an adapter for the model {base}, not a model of its own."),
            None => "This is an adapter, not a model of its own.".to_owned(),
        },
    );
    let merge = "or merge the adapter into it (merge_and_unload of PEFT) and import the result";
    match base {
        Some(base) => {
            problem.with("base", &base).hint(format!("Import {base} and train on it here, {merge}."))
        }
        None => problem.with("base", "?").hint(format!("Import the model it was trained on, {merge}.")),
    }
}

/// A name of the hub as it stands; of a path on somebody's disk only its last part.
fn short(base: &str) -> String {
    let base = base.trim().trim_end_matches(['/', '\\']);
    let is_path = base.starts_with(['/', '.', '~']) || base.contains('\\') || base.matches('/').count() > 1;
    let name = if is_path { base.rsplit(['/', '\\']).next().unwrap_or_default() } else { base };
    name.chars().filter(|c| !c.is_control()).take(SHOWN).collect()
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
            let problem = refusal(Some(written));
            assert_eq!(problem.code, Code::ModelIsAdapter);
            assert!(problem.message.contains(shown) && !problem.to_string().contains("/home"), "{problem}");
        }
        assert_eq!(refusal(Some(" ")).code, Code::ModelIsAdapter);
    }

    #[test]
    fn a_folder_or_file_of_an_adapter_is_refused_and_a_model_is_not() {
        let place = tempfile::tempdir().expect("a folder");
        refuse(place.path()).expect("nothing is here");
        let weights = place.path().join("adapter_model.safetensors");
        for (config, base) in
            [(r#"{"base_model_name_or_path": "a/b"}"#, Some("a/b")), ("{}", None), ("no JSON", None)]
        {
            std::fs::write(place.path().join(CONFIG), config).expect("written");
            for source in [place.path(), &weights] {
                let problem = refuse(source).expect_err("an adapter");
                assert_eq!(problem.code, Code::ModelIsAdapter);
                assert!(base.is_none_or(|base| problem.message.contains(base)), "{problem}");
            }
        }
        refuse(&place.path().join("model.gguf")).expect("another file of the folder");
    }
}
