//! Importing models through the real binary.

use std::path::Path;

use contract::Code;
use contract::model::ModelFacts;
use contract::problem::Problem;
use contract::worker::EXIT_PROBLEM;

use crate::support::{model, text, worker};

fn import(source: &Path, target: &Path) -> Result<ModelFacts, Problem> {
    let output = worker().arg("import").arg(source).arg(target).output().expect("runs");
    match output.status.code() {
        Some(0) => Ok(serde_json::from_slice(&output.stdout).expect("facts")),
        Some(EXIT_PROBLEM) => {
            assert!(!target.exists(), "a failed import leaves nothing");
            Err(serde_json::from_slice(&output.stdout).expect("a problem"))
        }
        _ => panic!("{}", text(&output)),
    }
}

/// A copy of the scratch model with one change.
fn changed(place: &Path, change: impl Fn(&Path)) -> std::path::PathBuf {
    let copy = place.join("source");
    std::fs::create_dir(&copy).expect("a folder");
    for entry in std::fs::read_dir(model()).expect("lists").flatten() {
        std::fs::copy(entry.path(), copy.join(entry.file_name())).expect("copied");
    }
    change(&copy);
    copy
}

fn edit(folder: &Path, name: &str, from: &str, to: &str) {
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path).expect("reads");
    assert!(text.contains(from), "{from} is in {name}");
    std::fs::write(&path, text.replace(from, to)).expect("written");
}

#[test]
fn a_folder_comes_in_with_the_same_weights() {
    let place = tempfile::tempdir().expect("a folder");
    let facts = import(model(), &place.path().join("new")).expect("imported");
    let original: ModelFacts =
        serde_json::from_slice(&std::fs::read(model().join("burnish.json")).expect("reads")).expect("facts");
    assert_eq!(facts, ModelFacts { source: "folder".to_owned(), ..original });
    assert!(facts.has_chat_template && facts.parameters > 500_000 && facts.architecture == "llama");
    let mut again = worker();
    let again = again.arg("import").arg(model()).arg(place.path().join("new")).output().expect("runs");
    let problem: Problem = serde_json::from_slice(&again.stdout).expect("a problem");
    assert_eq!(problem.code, Code::ModelExists);
    assert!(place.path().join("new/burnish.json").is_file(), "the first import stays as it was");
}

#[test]
fn what_cannot_run_is_named() {
    for (name, from, to, code) in [
        ("config.json", "\"llama\"", "\"mamba\"", Code::ConfigArchitecture),
        ("config.json", "\"hidden_size\": 128", "\"hidden_size\": 256", Code::WeightsShape),
        ("tokenizer.json", "{", "", Code::TokenizerBroken),
    ] {
        let place = tempfile::tempdir().expect("a folder");
        let source = changed(place.path(), |folder| edit(folder, name, from, to));
        let problem = import(&source, &place.path().join("new")).expect_err(name);
        assert_eq!(problem.code, code, "{problem}");
    }
    let place = tempfile::tempdir().expect("a folder");
    let source = changed(place.path(), |folder| {
        let path = folder.join("model.safetensors");
        let bytes = std::fs::read(&path).expect("reads");
        std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("cut");
    });
    assert_eq!(import(&source, &place.path().join("new")).expect_err("cut").code, Code::WeightsBroken);
}

fn gguf_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

#[test]
fn broken_gguf_files_are_refused_whole() {
    let place = tempfile::tempdir().expect("a folder");
    let path = place.path().join("m.gguf");
    let code = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("written");
        import(&path, &place.path().join("new")).expect_err("broken").code
    };
    assert_eq!(code(b"hello there"), Code::GgufMagic);
    let mut head = b"GGUF".to_vec();
    head.extend(3_u32.to_le_bytes());
    let mut lying = head.clone();
    lying.extend(u64::MAX.to_le_bytes());
    lying.extend(1_u64.to_le_bytes());
    assert_eq!(code(&lying), Code::GgufBroken);
    let mut unknown = head.clone();
    unknown.extend(0_u64.to_le_bytes());
    unknown.extend(1_u64.to_le_bytes());
    gguf_text(&mut unknown, "general.architecture");
    unknown.extend(8_u32.to_le_bytes());
    gguf_text(&mut unknown, "rwkv");
    for cut in [5, 12, 30, unknown.len() - 1] {
        assert!(code(&unknown[..cut]) == Code::GgufBroken, "cut at {cut}");
    }
    assert_eq!(code(&unknown), Code::ConfigArchitecture);
}

#[test]
fn devices_are_listed_as_json() {
    let output = worker().arg("devices").output().expect("runs");
    let names: Vec<String> = serde_json::from_slice(&output.stdout).expect("a list");
    assert_eq!(names, ["cpu"]);
}

#[test]
fn a_model_needs_texts() {
    let place = tempfile::tempdir().expect("a folder");
    let data = place.path().join("empty.jsonl");
    std::fs::write(&data, "{\"a\":1}\n").expect("written");
    let target = place.path().join("new");
    let mapping = r#"{"format":"alpaca"}"#;
    let mut create = worker();
    create.arg("create").arg(&target).args(["--size", "1m", "--mapping", mapping, "--dataset"]).arg(&data);
    let output = create.output().expect("runs");
    let problem: Problem = serde_json::from_slice(&output.stdout).expect("a problem");
    assert_eq!((output.status.code(), problem.code.as_str()), (Some(EXIT_PROBLEM), "dataset.no_usable_rows"));
    assert!(!target.exists());
}
