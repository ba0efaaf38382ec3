//! Copying a Hugging Face folder: only the files a model needs, never code.

use std::path::{Path, PathBuf};

use contract::Code;
use contract::problem::Problem;

use crate::facts;
use crate::problems::of_file;

const NEEDED: [&str; 2] = ["config.json", "tokenizer.json"];

/// The only `.gguf` file of a folder that holds no `config.json`.
pub(super) fn single_gguf(source: &Path) -> Result<Option<PathBuf>, Problem> {
    if source.join("config.json").exists() {
        return Ok(None);
    }
    let entries = std::fs::read_dir(source).map_err(|why| of_file(source, "read", &why))?;
    let is_gguf = |path: &PathBuf| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gguf"));
    let mut files = entries.flatten().map(|entry| entry.path()).filter(is_gguf);
    match (files.next(), files.next()) {
        (Some(_), Some(_)) => {
            Err(Problem::new(Code::ModelSeveralGguf, "The folder holds several GGUF files.")
                .hint("Give the path of one of them."))
        }
        (one, _) => Ok(one),
    }
}

/// Copies what a model needs.
pub(super) fn copy(source: &Path, target: &Path) -> Result<(), Problem> {
    for name in NEEDED {
        if !source.join(name).is_file() {
            return Err(missing(name));
        }
        copy_file(source, target, name)?;
    }
    // Before the long copy: what cannot be run need not be copied.
    facts::read_config(target)?;
    for name in weight_files(source)? {
        copy_file(source, target, &name)?;
    }
    let welcome = facts::COMPANIONS.iter().filter(|name| !NEEDED.contains(name)).chain(&["LICENSE"]);
    for name in welcome.filter(|name| source.join(name).is_file()) {
        copy_file(source, target, name)?;
    }
    Ok(())
}

fn weight_files(source: &Path) -> Result<Vec<String>, Problem> {
    if source.join("model.safetensors").is_file() {
        return Ok(vec!["model.safetensors".to_owned()]);
    }
    let index = "model.safetensors.index.json";
    if source.join(index).is_file() {
        let mut names = facts::shards(source)?;
        if let Some(lost) = names.iter().find(|name| !source.join(name).is_file()) {
            return Err(missing(lost));
        }
        names.push(index.to_owned());
        return Ok(names);
    }
    // Names a pickle where there is one, and says what is missing where there is none.
    match model::weights::Weights::open_folder(source) {
        Err(why) => Err(crate::problems::of_model(why)),
        Ok(_) => Err(missing("model.safetensors")),
    }
}

fn missing(name: &str) -> Problem {
    Problem::new(Code::ModelFileMissing, format!("The folder holds no {name}."))
        .file(name)
        .hint("A model folder holds config.json, tokenizer.json and model.safetensors (or its shards with their index).")
}

fn copy_file(source: &Path, target: &Path, name: &str) -> Result<(), Problem> {
    let path = source.join(name);
    std::fs::copy(&path, target.join(name)).map(|_| ()).map_err(|why| of_file(&path, "copy", &why))
}

/// The licence in the front matter of the folder's README.
pub(super) fn license(source: &Path) -> Option<String> {
    let text = std::fs::read_to_string(source.join("README.md")).ok()?;
    let front = text.strip_prefix("---")?.split("\n---").next()?;
    let value = front.lines().find_map(|line| line.strip_prefix("license:"))?;
    let value = value.trim().trim_matches(['"', '\'']);
    (!value.is_empty() && value.len() <= 60).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_092_s_101_pickles_are_refused_with_a_way_out_and_code_is_not_copied() {
        let (source, target) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let write = |name: &str, text: &str| std::fs::write(source.path().join(name), text).expect("written");
        assert_eq!(copy(source.path(), target.path()).expect_err("empty").code, Code::ModelFileMissing);
        let config = serde_json::json!({ "model_type": "llama", "vocab_size": 32, "hidden_size": 8,
            "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2 });
        write("config.json", &config.to_string());
        write("tokenizer.json", "{}");
        write("modeling.py", "import os");
        write("pytorch_model.bin", "PK\x03\x04");
        let problem = copy(source.path(), target.path()).expect_err("a pickle");
        assert!(problem.code == Code::WeightsPickle && problem.hint.is_some(), "{problem}");
        write("model.safetensors", "weights");
        copy(source.path(), target.path()).expect("copied");
        let mut names: Vec<_> =
            std::fs::read_dir(target.path()).expect("lists").flatten().map(|e| e.file_name()).collect();
        names.sort();
        assert_eq!(names, ["config.json", "model.safetensors", "tokenizer.json"]);
    }

    #[test]
    fn the_licence_is_read_from_the_front_matter_only() {
        let place = tempfile::tempdir().expect("a folder");
        let write = |text: &str| std::fs::write(place.path().join("README.md"), text).expect("written");
        write("---\ntags: [a]\nlicense: apache-2.0\n---\ntext");
        assert_eq!(license(place.path()).as_deref(), Some("apache-2.0"));
        write("license: mine");
        assert_eq!(license(place.path()), None);
    }
}
