//! Chains that fit and chains that do not.

use std::path::{Path, PathBuf};

use contract::checkpoint::{Lineage, LoopState};
use contract::ids::RunId;
use contract::stage::Tuning;

use super::*;
use crate::RunDir;
use crate::testing;

fn safetensors(tensors: &[(&str, [u64; 2])]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut at = 0;
    for (name, shape) in tensors {
        let bytes = 4 * shape[0] * shape[1];
        let entry = serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [at, at + bytes] });
        header.insert((*name).to_owned(), entry);
        at += bytes;
    }
    let text = serde_json::to_vec(&header).expect("writes");
    let mut all = (text.len() as u64).to_le_bytes().to_vec();
    all.extend(&text);
    all.extend(vec![0; usize::try_from(at).expect("small")]);
    all
}

struct Place {
    _folder: tempfile::TempDir,
    root: PathBuf,
    count: u64,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().to_owned();
        let model = root.join("model");
        std::fs::create_dir(&model).expect("a folder");
        std::fs::write(model.join("config.json"), r#"{"hidden_size":64}"#).expect("written");
        Self { _folder: folder, root, count: 0 }
    }

    fn spec(&self, stage: Stage, adapters: &[&CheckpointRef]) -> RunSpec {
        let mut spec = testing::spec();
        spec.stage = stage;
        spec.model.folder = self.root.join("model").to_string_lossy().into_owned();
        spec.model.digest = "base".to_owned();
        spec.hyper.resume_lora_training = false;
        spec.adapters = adapters.iter().map(|one| (*one).clone()).collect();
        spec
    }

    /// A checkpoint of an adapter of some width, trained on a base with some checkpoints merged.
    fn adapter(&mut self, width: u64, base: &str, merged: &[&CheckpointRef], head: bool) -> CheckpointRef {
        self.save(&[("x.q_proj.lora_A.weight", [8, width])], base, merged, head.then_some(width))
    }

    fn save(
        &mut self,
        tensors: &[(&str, [u64; 2])],
        base: &str,
        merged: &[&CheckpointRef],
        head: Option<u64>,
    ) -> CheckpointRef {
        self.count += 1;
        let run = RunDir::create(&self.root.join(format!("run{}", self.count)), &testing::spec());
        let writer = run.expect("created").begin_checkpoint(self.count).expect("begun");
        writer.write(ADAPTER, &safetensors(tensors)).expect("written");
        // Different bytes, different digest.
        writer.write(ADAPTER_CONFIG, br#"{"peft_type":"LORA"}"#).expect("written");
        if let Some(width) = head {
            let head = safetensors(&[("v_head.summary.weight", [1, width])]);
            writer.write(VALUE_HEAD, &head).expect("written");
        }
        let lineage = Lineage {
            stage: Stage::Sft,
            tuning: Tuning::Lora,
            base: base.to_owned(),
            merged: merged.iter().map(|one| one.digest.clone()).collect(),
            hidden_size: 64,
            value_head: head.is_some(),
        };
        let saved = writer.commit_with(ADAPTER, LoopState::default(), Some(lineage)).expect("saved");
        CheckpointRef {
            run: RunId(format!("r{}", self.count)),
            name: format!("run {}", self.count),
            step: self.count,
            folder: saved.path().to_string_lossy().into_owned(),
            digest: format!("digest {}", self.count),
            whole: false,
        }
    }
}

fn names(chain: Vec<CheckpointRef>) -> Vec<String> {
    chain.into_iter().map(|link| link.name).collect()
}

fn codes(spec: &RunSpec) -> Vec<Code> {
    problems(spec).into_iter().map(|problem| problem.code).collect()
}

#[test]
fn s_124_a_chain_in_its_order_fits_and_another_order_does_not() {
    let mut place = Place::new();
    let first = place.adapter(64, "base", &[], false);
    let second = place.adapter(64, "base", &[&first], false);
    assert!(codes(&place.spec(Stage::Sft, &[&first, &second])).is_empty());
    assert_eq!(codes(&place.spec(Stage::Sft, &[&second, &first])), [Code::ChainOrder, Code::ChainOrder]);
    assert_eq!(codes(&place.spec(Stage::Sft, &[&second])), [Code::ChainOrder]);
}

#[test]
fn s_124_a_whole_checkpoint_is_part_of_the_base_and_an_adapter_goes_on() {
    let mut place = Place::new();
    let adapter = place.adapter(64, "base", &[], false);
    let whole = CheckpointRef { whole: true, name: "full".to_owned(), ..adapter.clone() };
    let spec = |adapters: &[&CheckpointRef]| {
        let mut spec = place.spec(Stage::Sft, adapters);
        spec.hyper.resume_lora_training = true;
        spec
    };
    let on_whole = spec(&[&whole]);
    assert_eq!(on_whole.merged_adapters(), 1);
    assert_eq!(names(on_whole.chain_to(adapter.clone())), ["full", "run 1"]);
    let further = spec(&[&whole, &adapter]);
    assert_eq!(further.merged_adapters(), 1);
    assert_eq!(names(further.chain_to(adapter.clone())), ["full", "run 1"]);
    assert_eq!(spec(&[]).merged_adapters(), 0);
}

#[test]
fn s_058_s_126_a_quantised_base_takes_one_adapter_and_trains_it_further() {
    let mut place = Place::new();
    let first = place.adapter(64, "base", &[], false);
    let second = place.adapter(64, "base", &[&first], false);
    let spec = |adapters: &[&CheckpointRef], further, form: &str| {
        let mut spec = place.spec(Stage::Sft, adapters);
        spec.hyper.resume_lora_training = further;
        spec.hyper.quantization_bit = form.to_owned();
        spec
    };
    for form in ["int8", "nf4", "fp4"] {
        assert!(codes(&spec(&[], false, form)).is_empty());
        assert!(codes(&spec(&[&first], true, form)).is_empty(), "{form}: one, trained further");
        let merged = problems(&spec(&[&first], false, form));
        assert_eq!(merged[0].code, Code::FormQuantizedMerge);
        assert_eq!(merged[0].form_key(), Some("resume_lora_training"));
        let chain = problems(&spec(&[&first, &second], true, form));
        assert_eq!(chain[0].code, Code::FormQuantizedSingle);
        assert!(chain[0].message.contains("\"run 1\", \"run 2\""), "{chain:?}");
    }
    for form in ["file", "none"] {
        assert!(codes(&spec(&[&first, &second], false, form)).is_empty(), "{form} is merged into");
    }
}

#[test]
fn s_123_what_is_no_adapter_of_this_base_is_named_at_its_field() {
    let mut place = Place::new();
    let other = place.adapter(64, "another base", &[], false);
    assert_eq!(codes(&place.spec(Stage::Sft, &[&other])), [Code::ChainOtherBase]);
    let wide = place.adapter(128, "", &[], false);
    let problems = problems(&place.spec(Stage::Sft, &[&wide]));
    assert!(problems[0].code == Code::ChainShape && problems[0].message.contains("128"), "{problems:?}");
    assert_eq!(problems[0].form_key(), Some("adapters"));
    std::fs::remove_file(Path::new(&wide.folder).join(ADAPTER_CONFIG)).expect("removed");
    assert_eq!(codes(&place.spec(Stage::Sft, &[&wide])), [Code::ChainNotLora]);
    std::fs::remove_dir_all(&wide.folder).expect("removed");
    assert_eq!(codes(&place.spec(Stage::Sft, &[&wide])), [Code::ChainGone]);
    let good = place.adapter(64, "base", &[], false);
    let mut full = place.spec(Stage::Sft, &[&good]);
    full.tuning = Tuning::Full;
    assert_eq!(codes(&full), [Code::ChainAdapterForFull]);
}

#[test]
fn s_105_a_reward_model_needs_a_head_and_the_same_backbone() {
    let mut place = Place::new();
    let sft = place.adapter(64, "base", &[], false);
    let reward = place.adapter(64, "base", &[&sft], true);
    let ppo = |reward: Option<&CheckpointRef>, adapters: &[&CheckpointRef], place: &Place| {
        let mut spec = place.spec(Stage::Ppo, adapters);
        spec.reward_model = reward.cloned();
        spec
    };
    assert!(codes(&ppo(Some(&reward), &[&sft], &place)).is_empty());
    assert_eq!(codes(&ppo(None, &[&sft], &place)), [Code::FormNoRewardModel]);
    assert_eq!(codes(&ppo(Some(&sft), &[&sft], &place)), [Code::RewardNoHead]);
    assert_eq!(codes(&ppo(Some(&reward), &[], &place)), [Code::RewardOtherBackbone]);
    let mut goes_on = ppo(Some(&reward), &[&sft], &place);
    goes_on.hyper.resume_lora_training = true;
    assert_eq!(codes(&goes_on), [Code::RewardOtherBackbone], "the reference would not be the SFT model");
    let narrow = place.save(&[("x.q_proj.lora_A.weight", [8, 64])], "base", &[&sft], Some(32));
    assert_eq!(codes(&ppo(Some(&narrow), &[&sft], &place)), [Code::RewardHeadWidth]);
    let other = place.adapter(64, "another base", &[&sft], true);
    assert_eq!(codes(&ppo(Some(&other), &[&sft], &place)), [Code::ChainOtherBase]);
}

#[test]
fn torn_files_are_problems_and_no_panics() {
    let mut place = Place::new();
    let good = place.adapter(64, "base", &[], false);
    let path = Path::new(&good.folder).join(ADAPTER);
    let bytes = std::fs::read(&path).expect("reads");
    for cut in [0, 4, 8, 20] {
        std::fs::write(&path, &bytes[..cut]).expect("written");
        assert_eq!(codes(&place.spec(Stage::Sft, &[&good])), [Code::ChainBroken], "{cut} bytes");
    }
    std::fs::write(&path, [0xff; 32]).expect("written");
    assert_eq!(codes(&place.spec(Stage::Sft, &[&good])), [Code::ChainBroken]);
}

#[test]
fn headers_are_read_within_bounds_and_nothing_is_waited_for() {
    let mut place = Place::new();
    let good = place.adapter(64, "base", &[], false);
    let path = Path::new(&good.folder).join(ADAPTER);
    let with = |header: &str| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        std::fs::write(&path, bytes).expect("written");
        codes(&place.spec(Stage::Sft, &[&good]))
    };
    let tensor = |shape: &str| {
        format!(r#"{{"x.q_proj.lora_A.weight":{{"dtype":"F32","shape":{shape},"data_offsets":[0,0]}}}}"#)
    };
    assert!(with(&tensor("[8,64]")).is_empty());
    assert_eq!(with(&tensor("[8,64,1,1,1,1,1,1,1]")), [Code::ChainBroken], "more sizes than any tensor has");
    assert_eq!(with(&" ".repeat((32 << 20) + 1)), [Code::ChainBroken], "longer than any header");
    #[cfg(unix)]
    {
        let reward = place.adapter(64, "base", &[], true);
        let mut spec = place.spec(Stage::Ppo, &[]);
        spec.reward_model = Some(reward.clone());
        assert!(codes(&spec).is_empty());
        let head = Path::new(&reward.folder).join(VALUE_HEAD);
        std::fs::remove_file(&head).expect("removed");
        let made = std::process::Command::new("mkfifo").arg(&head).status().expect("runs");
        assert!(made.success());
        assert_eq!(codes(&spec), [Code::RewardNoHead], "a pipe that nobody writes to");
    }
}

#[test]
fn s_123_fused_maps_tell_the_width_of_their_model_too() {
    let mut place = Place::new();
    for map in ["h.0.attn.c_attn", "h.0.mlp.c_fc", "layers.0.self_attn.qkv_proj", "layers.0.mlp.gate_up_proj"]
    {
        let name = format!("base_model.model.{map}.lora_A.weight");
        let fitting = place.save(&[(&name, [8, 64])], "base", &[], None);
        assert!(codes(&place.spec(Stage::Sft, &[&fitting])).is_empty(), "{map}");
        let wide = place.save(&[(&name, [8, 128])], "", &[], None);
        assert_eq!(codes(&place.spec(Stage::Sft, &[&wide])), [Code::ChainShape], "{map}");
    }
}
