//! Importing models through the real binary.

use std::path::Path;
use std::process::Output;

use contract::Code;
use contract::adapter::Imported;
use contract::model::ModelFacts;
use contract::problem::Problem;
use contract::worker::EXIT_PROBLEM;
use model::ModelConfig;
use model::weights::{HostTensor, TensorSource, Weights, write_safetensors};
use serde_json::{Value, json};

use crate::hostile;
use crate::support::{model, text, worker};

fn import(source: &Path, target: &Path) -> Result<ModelFacts, Problem> {
    let output = worker().arg("import").arg(source).arg(target).output().expect("runs");
    match output.status.code() {
        Some(0) => serde_json::from_slice::<Imported>(&output.stdout).expect("facts").model(),
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

/// Changes a JSON file of a folder.
fn rewrite(folder: &Path, name: &str, change: impl Fn(&mut Value)) {
    let path = folder.join(name);
    let mut value = serde_json::from_slice(&std::fs::read(&path).expect("reads")).expect("JSON");
    change(&mut value);
    std::fs::write(&path, value.to_string()).expect("written");
}

#[test]
fn ids_that_name_no_token_do_not_keep_a_model_out() {
    for ids in [json!(-1), json!(null), json!([]), json!([-1]), json!([0, -1, null])] {
        let place = tempfile::tempdir().expect("a folder");
        let source = changed(place.path(), |folder| {
            rewrite(folder, "config.json", |config| {
                for name in ["bos_token_id", "eos_token_id", "pad_token_id"] {
                    config[name] = ids.clone();
                }
            });
            std::fs::write(folder.join("generation_config.json"), json!({"eos_token_id": ids}).to_string())
                .expect("written");
        });
        import(&source, &place.path().join("new")).expect("imported");
    }
    let place = tempfile::tempdir().expect("a folder");
    let source = changed(place.path(), |folder| {
        rewrite(folder, "config.json", |config| config["eos_token_id"] = json!("two"));
    });
    let problem = import(&source, &place.path().join("new")).expect_err("no id");
    assert_eq!(problem.code, Code::ConfigValue);
}

#[test]
fn a_tokenizer_may_add_tokens_that_the_embedding_lacks_but_not_bring_a_larger_vocabulary() {
    let place = tempfile::tempdir().expect("a folder");
    let rows = import(model(), &place.path().join("plain")).expect("imported").vocab_size;
    let source = changed(place.path(), |folder| {
        rewrite(folder, "tokenizer.json", |tokenizer| {
            let added = tokenizer["added_tokens"].as_array_mut().expect("a list");
            for (at, special) in [(0, true), (1, false)] {
                added.push(json!({"id": rows + at, "content": format!("<extra_{at}>"), "single_word": false,
                    "lstrip": false, "rstrip": false, "normalized": false, "special": special}));
            }
        });
    });
    assert_eq!(import(&source, &place.path().join("new")).expect("imported").vocab_size, rows);
    rewrite(&source, "tokenizer.json", |tokenizer| {
        tokenizer["added_tokens"].as_array_mut().expect("a list").retain(|token| token["id"] != json!(rows));
        tokenizer["model"]["vocab"]["one more"] = json!(rows);
    });
    let problem = import(&source, &place.path().join("larger")).expect_err("too large");
    assert_eq!(problem.code, Code::ModelTokenizerTooLarge);
}

#[test]
fn an_adapter_is_named_as_one_with_its_base_and_no_path_of_this_machine() {
    let place = tempfile::tempdir().expect("a folder");
    let source = changed(place.path(), |folder| {
        let config = json!({"peft_type": "LORA", "base_model_name_or_path": "someone/base"});
        std::fs::write(folder.join("adapter_config.json"), config.to_string()).expect("written");
    });
    let problem = import(&source, &place.path().join("new")).expect_err("an adapter beside a model");
    assert_eq!((problem.code, problem.params["base"].as_str()), (Code::ModelIsAdapter, "someone/base"));
    for name in ["config.json", "tokenizer.json"] {
        std::fs::remove_file(source.join(name)).expect("removed");
    }
    let problem = import(&source, &place.path().join("new")).expect_err("an adapter");
    assert_eq!(problem.code, Code::ModelIsAdapter);
    std::fs::remove_file(source.join("adapter_config.json")).expect("removed");
    let problem = import(&source, &place.path().join("new")).expect_err("half a model");
    assert_eq!(problem.code, Code::ModelFileMissing);
    assert!(!problem.to_string().contains(&*place.path().to_string_lossy()), "{problem}");
}

#[test]
fn a_head_that_differs_from_the_embedding_is_what_answers() {
    let read = Weights::open_folder(model()).expect("weights");
    let config =
        ModelConfig::from_json(&std::fs::read(model().join("config.json")).expect("reads")).expect("a shape");
    let embedding = config.tensors()[0].0.clone();
    let (mut counts, mut head) = (Vec::new(), 0);
    for (change, tied) in [(0.0, true), (0.5, false)] {
        let place = tempfile::tempdir().expect("a folder");
        let source = changed(place.path(), |folder| {
            rewrite(folder, "config.json", |config| config["tie_word_embeddings"] = json!(true));
            let mut tensors: Vec<HostTensor> = read
                .names()
                .into_iter()
                .filter(|name| name != "lm_head.weight")
                .map(|name| HostTensor {
                    shape: read.shape(&name).expect("a shape"),
                    values: read.read(&name).expect("reads"),
                    name,
                })
                .collect();
            let rows = tensors.iter().find(|tensor| tensor.name == embedding).expect("an embedding");
            let values = rows.values.iter().map(|value| value + change).collect();
            let head = HostTensor { name: "lm_head.weight".to_owned(), shape: rows.shape.clone(), values };
            tensors.push(head);
            write_safetensors(&folder.join("model.safetensors"), &tensors).expect("written");
        });
        let target = place.path().join("new");
        let facts = import(&source, &target).expect("imported");
        let written = std::fs::read(target.join("config.json")).expect("reads");
        let config = ModelConfig::from_json(&written).expect("a shape");
        assert_eq!(config.tie_word_embeddings, tied, "the head is off by {change}");
        counts.push(facts.parameters);
        head = config.vocab_size as u64 * facts.hidden_size;
    }
    assert_eq!(counts[1], counts[0] + head);
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

/// Highest memory of a worker that imports something hostile, kB. It is 20,000 with nothing to do.
const MOST_MEMORY: u64 = 200_000;

/// Runs an import to its end. Gives its output and, as far as could be seen while it ran, its highest memory, kB.
fn watched(source: &Path, target: &Path) -> (Output, u64) {
    let child = worker().arg("import").arg(source).arg(target).spawn().expect("starts");
    let status = format!("/proc/{}/status", child.id());
    let ended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = std::sync::Arc::clone(&ended);
    let watcher = std::thread::spawn(move || {
        let mut peak = 0;
        while !seen.load(std::sync::atomic::Ordering::Relaxed) {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let now = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
            peak = peak.max(now.unwrap_or(0));
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        peak
    });
    let output = child.wait_with_output().expect("ends");
    ended.store(true, std::sync::atomic::Ordering::Relaxed);
    (output, watcher.join().expect("watched"))
}

#[test]
fn f15_f16_n16_n19_n20_hostile_models_are_refused_by_name_and_take_little_memory() {
    let place = tempfile::tempdir().expect("a folder");
    let all = hostile::make(place.path(), model());
    assert!(all.len() >= 60, "{}", all.len());
    let target = place.path().join("new");
    let mut wrong = Vec::new();
    for case in &all {
        let (output, peak) = watched(&case.path, &target);
        let code = match output.status.code() {
            Some(0) => "ready".to_owned(),
            Some(EXIT_PROBLEM) => {
                let problem: Problem = serde_json::from_slice(&output.stdout).expect("a problem");
                let said = problem.to_string();
                if said.contains(&*place.path().to_string_lossy()) || said.len() > 1000 {
                    wrong.push(format!("{}: {said}", case.name));
                }
                problem.code.to_string()
            }
            _ => text(&output),
        };
        let expected =
            if case.codes.is_empty() { code == "ready" } else { case.codes.contains(&code.as_str()) };
        if !expected || peak > MOST_MEMORY {
            wrong.push(format!("{}: {code}, {peak} kB", case.name));
        }
        let left = [target.clone(), contract::worker::half_made(&target)];
        if code == "ready" {
            let _ = std::fs::remove_dir_all(&target);
        } else if left.iter().any(|left| left.exists()) {
            wrong.push(format!("{}: leaves something", case.name));
        }
    }
    assert!(wrong.is_empty(), "of {}:\n{}", all.len(), wrong.join("\n"));
}
