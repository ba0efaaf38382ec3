//! Where the recorded values lie.

use std::path::{Path, PathBuf};

use corpus::ModelTokenizer;
use serde_json::Value;

/// A folder named by a variable, else the shared one, else the checked-in copy; with `CI=true` no copy.
fn folder(variable: &str, name: &str) -> PathBuf {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = std::env::var_os(variable).map(PathBuf::from);
    let chosen = named.unwrap_or_else(|| home.join("../../../shared").join(name));
    if chosen.is_dir() {
        return chosen;
    }
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci, "{variable}: {} is not there, and CI=true forbids the small copy", chosen.display());
    home.join("tests/data").join(name)
}

pub(crate) fn reference() -> PathBuf {
    folder("BURNISH_REFERENCE", "reference")
}

pub(crate) fn real() -> PathBuf {
    folder("BURNISH_REAL", "real")
}

pub(crate) fn json(path: &Path) -> Value {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Sub-folders, sorted; at least one.
pub(crate) fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    found.sort();
    assert!(!found.is_empty(), "{} holds no folders", folder.display());
    found
}

/// The tokenizer of that name.
pub(crate) fn tokenizer(name: &str) -> ModelTokenizer {
    ModelTokenizer::load(&reference().join("tokenizers").join(name)).unwrap()
}

pub(crate) fn cases(document: &Value) -> &Vec<Value> {
    let cases = document["cases"].as_array().expect("cases");
    assert!(!cases.is_empty());
    cases
}

pub(crate) fn ids(value: &Value) -> Vec<u32> {
    value.as_array().expect("ids").iter().map(|id| u32::try_from(id.as_u64().unwrap()).unwrap()).collect()
}

pub(crate) fn numbers(value: &Value) -> Vec<i64> {
    value.as_array().expect("numbers").iter().map(|id| id.as_i64().unwrap()).collect()
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}
