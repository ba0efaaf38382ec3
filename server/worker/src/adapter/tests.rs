//! Adapters with broken, foreign and hostile parts.

use model::weights::{HostTensor, write_safetensors};
use serde_json::{Value, json};

use super::*;

const MODULE: &str = "base_model.model.model.layers.0.self_attn.q_proj";

fn zeros(name: &str, shape: &[usize]) -> HostTensor {
    HostTensor { name: name.to_owned(), shape: shape.to_vec(), values: vec![0.0; shape.iter().product()] }
}

/// A folder with an adapter of rank 2 on one map of width 8.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        folder.config(json!({}));
        folder.weights(ADAPTER, &pair());
        folder
    }

    fn config(&self, more: Value) {
        let mut config = json!({"peft_type": "LORA", "base_model_name_or_path": "/home/me/tiny-base", "r": 2,
            "lora_alpha": 4, "target_modules": ["q_proj"], "bias": "none", "revision": "main"});
        config.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        self.write(ADAPTER_CONFIG, config.to_string().as_bytes());
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.0.path().join(name), bytes).expect("written");
    }

    fn weights(&self, name: &str, tensors: &[HostTensor]) {
        write_safetensors(&self.0.path().join(name), tensors).expect("written");
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.0.path().join(name)).expect("removed");
    }

    fn look(&self) -> Result<AdapterFacts, Problem> {
        look(self.0.path()).map(|found| found.expect("an adapter").facts)
    }

    fn code(&self) -> Code {
        let problem = self.look().expect_err("refused");
        assert!(!problem.to_string().contains("/home"), "{problem}");
        problem.code
    }
}

fn pair() -> Vec<HostTensor> {
    vec![
        zeros(&format!("{MODULE}.lora_A.weight"), &[2, 8]),
        zeros(&format!("{MODULE}.lora_B.weight"), &[16, 2]),
    ]
}

#[test]
fn a_folder_says_whose_adapter_it_is_and_where_it_lies() {
    let folder = Folder::new();
    let facts = folder.look().expect("an adapter");
    assert_eq!((facts.base.as_str(), facts.revision.as_deref()), ("tiny-base", Some("main")));
    assert_eq!((facts.rank, facts.alpha, facts.blocks, facts.parameters), (2, 4.0, 1, 48));
    assert_eq!((facts.targets, facts.value_head), (vec!["q_proj".to_owned()], None));
    assert_eq!(facts.maps, [TensorShape { name: "self_attn.q_proj".to_owned(), shape: vec![16, 8] }]);
    let file = look(&folder.0.path().join(ADAPTER)).expect("its weights name it").expect("an adapter");
    assert_eq!(file.facts.rank, 2);
    folder.remove(ADAPTER_CONFIG);
    assert_eq!(folder.code(), Code::ModelFileMissing);
    folder.remove(ADAPTER);
    assert!(look(folder.0.path()).expect("no adapter").is_none());
}

#[test]
fn s_131_a_value_head_is_found_in_every_form_and_another_is_refused() {
    let folder = Folder::new();
    for names in [
        ["v_head.summary.weight", "v_head.summary.bias"],
        ["value_head.weight", "value_head.bias"],
        ["summary.weight", "summary.bias"],
    ] {
        folder.weights(VALUE_HEAD, &[zeros(names[0], &[1, 8]), zeros(names[1], &[1])]);
        assert_eq!(folder.look().expect("a head").value_head, Some(8), "{names:?}");
    }
    for (tensors, code) in [
        (vec![zeros("v_head.summary.weight", &[2, 8])], Code::AdapterShape),
        (vec![zeros("v_head.summary.bias", &[1])], Code::ValueHeadMissing),
        (
            vec![zeros("v_head.summary.weight", &[1, 8]), zeros("v_head.other.weight", &[1, 8])],
            Code::AdapterTensor,
        ),
        (
            vec![zeros("v_head.summary.weight", &[1, 8]), zeros("v_head.summary.bias", &[2])],
            Code::AdapterShape,
        ),
    ] {
        folder.weights(VALUE_HEAD, &tensors);
        assert_eq!(folder.code(), code);
    }
    folder.remove(VALUE_HEAD);
    let mut within = pair();
    within.push(zeros("base_model.model.score.weight", &[1, 8]));
    folder.weights(ADAPTER, &within);
    assert_eq!(folder.look().expect("a score").value_head, Some(8));
}

#[test]
fn pickles_are_refused_with_a_way_out() {
    let folder = Folder::new();
    folder.write("value_head.bin", b"PK\x03\x04");
    assert_eq!(folder.code(), Code::WeightsPickle);
    folder.remove("value_head.bin");
    folder.remove(ADAPTER);
    folder.write("adapter_model.bin", b"PK\x03\x04");
    let problem = folder.look().expect_err("a pickle");
    assert!(problem.code == Code::WeightsPickle && problem.hint.is_some_and(|hint| hint.contains(ADAPTER)));
    folder.remove("adapter_model.bin");
    assert_eq!(folder.code(), Code::ModelIsAdapter);
}

#[test]
fn tensors_without_place_partner_or_shape_are_named() {
    let folder = Folder::new();
    let with = |change: &dyn Fn(&mut Vec<HostTensor>)| {
        let mut tensors = pair();
        change(&mut tensors);
        folder.weights(ADAPTER, &tensors);
        folder.code()
    };
    let rename = |tensors: &mut Vec<HostTensor>, at: usize, name: &str| tensors[at].name = name.to_owned();
    assert_eq!(
        with(&|all| {
            all.pop();
        }),
        Code::AdapterTensor
    );
    assert_eq!(with(&|all| all.push(zeros("left.over", &[1]))), Code::AdapterTensor);
    assert_eq!(
        with(&|all| all.push(zeros(&format!("{MODULE}.lora_A.default.weight"), &[2, 8]))),
        Code::AdapterTensor
    );
    assert_eq!(
        with(&|all| rename(all, 0, "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight")),
        Code::AdapterTensor
    );
    assert_eq!(
        with(&|all| rename(all, 0, "base_model.model.model.norm.lora_A.weight")),
        Code::LoraConfig,
        "no linear map"
    );
    assert_eq!(with(&|all| all[0] = zeros(&format!("{MODULE}.lora_A.weight"), &[3, 8])), Code::AdapterShape);
    assert_eq!(with(&|all| all[0] = zeros(&format!("{MODULE}.lora_A.weight"), &[16])), Code::AdapterShape);
    assert_eq!(
        with(&|all| all.push(zeros(&format!("{MODULE}.lora_magnitude_vector.x.y"), &[8]))),
        Code::AdapterTensor
    );
    assert_eq!(with(&Vec::clear), Code::LoraConfig);
}

#[test]
fn settings_and_files_that_cannot_be_used_are_refused() {
    let folder = Folder::new();
    for more in [json!({"peft_type": "IA3"}), json!({"bias": "all"}), json!({"r": 1e300})] {
        folder.config(more);
        assert_eq!(folder.code(), Code::LoraConfig);
    }
    for text in ["", "[]", "no JSON", &"[".repeat(100_000)] {
        folder.write(ADAPTER_CONFIG, text.as_bytes());
        assert_eq!(folder.code(), Code::LoraConfig);
    }
    folder.write(ADAPTER_CONFIG, &vec![b' '; (1 << 20) + 1]);
    assert_eq!(folder.code(), Code::ModelFileTooLarge, "by the limit of every file of that name");
    folder.remove(ADAPTER_CONFIG);
    assert_eq!(folder.code(), Code::ModelFileMissing);
    std::fs::create_dir(folder.0.path().join(ADAPTER_CONFIG)).expect("a folder");
    assert_eq!(folder.code(), Code::ModelNotAFile);
    std::fs::remove_dir(folder.0.path().join(ADAPTER_CONFIG)).expect("removed");
    folder.config(json!({}));
    folder.write(ADAPTER, b"");
    assert_eq!(folder.code(), Code::WeightsBroken);
    let many: Vec<String> = (0..8)
        .map(|at| {
            format!(r#""model.layers.{at}.self_attn.q_proj.lora_A.weight":{{"dtype":"F32","shape":[2,800],"data_offsets":[0,6400]}}"#)
        })
        .collect();
    let header = format!("{{{}}}", many.join(","));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(vec![0; 6400]);
    folder.write(ADAPTER, &bytes);
    assert_eq!(folder.code(), Code::WeightsBroken, "many tensors of the same bytes");
}

#[cfg(unix)]
#[test]
fn a_pipe_is_no_file() {
    let folder = Folder::new();
    for name in [ADAPTER_CONFIG, ADAPTER] {
        folder.remove(name);
        let made =
            std::process::Command::new("mkfifo").arg(folder.0.path().join(name)).status().expect("runs");
        assert!(made.success());
    }
    assert!(look(folder.0.path()).expect("nothing that can be read").is_none());
}
