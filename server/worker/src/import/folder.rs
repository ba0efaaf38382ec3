//! Copying a Hugging Face folder: only the files a model needs, never code.

use std::path::{Path, PathBuf};

use contract::Code;
use contract::files::{self, Unread};
use contract::problem::Problem;
use model::weights::Weights;

use crate::facts;
use crate::problems::{of_file, of_model, of_unread};

/// Longest name of a licence that is kept, bytes.
pub(super) const MAX_LICENSE: usize = 60;

const NEEDED: [&str; 2] = ["config.json", "tokenizer.json"];

/// The only `.gguf` file of a folder that holds no `config.json`.
pub(super) fn single_gguf(source: &Path) -> Result<Option<PathBuf>, Problem> {
    if size(source, "config.json")?.is_some() {
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

/// Copies what a model needs. Every file is looked at before the first is copied: what cannot be run, or is no file at
/// all, costs nothing.
pub(super) fn copy(source: &Path, target: &Path) -> Result<(), Problem> {
    for name in look(source)? {
        let path = source.join(&name);
        files::copy(&path, &target.join(&name)).map_err(|why| of_unread(&path, &why))?;
    }
    Ok(())
}

/// Names of the files that a model needs, as they lie in a folder whose weights fit its configuration.
fn look(source: &Path) -> Result<Vec<String>, Problem> {
    let welcome = facts::COMPANIONS.iter().filter(|name| !NEEDED.contains(name)).chain(&["LICENSE"]);
    let mut names = Vec::new();
    for name in NEEDED.iter().chain(welcome) {
        match size(source, name)? {
            Some(bytes) if bytes > files::limit(name) => {
                let too_large = Unread::TooLarge { most: files::limit(name) };
                return Err(too_large.problem(&source.join(name)));
            }
            Some(_) => names.push((*name).to_owned()),
            None if NEEDED.contains(name) => return Err(missing(name)),
            None => {}
        }
    }
    let config = facts::read_config(source)?;
    names.extend(weight_files(source)?);
    let weights = Weights::open_folder(source).map_err(of_model)?;
    facts::check_shapes(&config, &weights)?;
    Ok(names)
}

/// Bytes of a file of the folder; `None` where there is none of that name.
fn size(source: &Path, name: &str) -> Result<Option<u64>, Problem> {
    let path = source.join(name);
    match files::regular(&path) {
        Ok(found) => Ok(Some(found.len())),
        Err(why) if why.is_missing() => Ok(None),
        Err(why) => Err(of_unread(&path, &why)),
    }
}

fn weight_files(source: &Path) -> Result<Vec<String>, Problem> {
    if size(source, "model.safetensors")?.is_some() {
        return Ok(vec!["model.safetensors".to_owned()]);
    }
    let index = "model.safetensors.index.json";
    if size(source, index)?.is_some() {
        let mut names = facts::shards(source)?;
        for name in &names {
            if size(source, name)?.is_none() {
                return Err(missing(name));
            }
        }
        names.push(index.to_owned());
        return Ok(names);
    }
    // Names a pickle where there is one, and says what is missing where there is none.
    match Weights::open_folder(source) {
        Err(why) => Err(of_model(why)),
        Ok(_) => Err(missing("model.safetensors")),
    }
}

fn missing(name: &str) -> Problem {
    Problem::new(Code::ModelFileMissing, format!("The folder holds no {name}."))
        .file(name)
        .hint("A model folder holds config.json, tokenizer.json and model.safetensors (or its shards with their index).")
}

/// The licence in the front matter of the folder's README.
pub(super) fn license(source: &Path) -> Option<String> {
    let text = String::from_utf8(files::read_named(&source.join("README.md")).ok()?).ok()?;
    let front = text.strip_prefix("---")?.split("\n---").next()?;
    let value = front.lines().find_map(|line| line.strip_prefix("license:"))?;
    let value = value.trim().trim_matches(['"', '\'']);
    (!value.is_empty() && value.len() <= MAX_LICENSE).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::weights::{HostTensor, write_safetensors};

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
        let problem = copy(source.path(), target.path()).expect_err("no weights");
        assert!(
            problem.code == Code::WeightsBroken
                && std::fs::read_dir(target.path()).expect("lists").count() == 0
        );
        let config = facts::read_config(source.path()).expect("a shape");
        let tensors: Vec<HostTensor> = (config.tensors().into_iter())
            .map(|(name, shape)| HostTensor { name, values: vec![0.0; shape.iter().product()], shape })
            .collect();
        write_safetensors(&source.path().join("model.safetensors"), &tensors).expect("written");
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
