//! Adapters that leave the studio and come back, and those that PEFT wrote, through the real binary.

use std::path::{Path, PathBuf};

use contract::Code;
use contract::adapter::{AdapterFacts, Imported};
use contract::cost::Planned;
use contract::event::Kind;
use contract::model::ModelFacts;
use contract::problem::Problem;
use contract::sizes::Sizes;
use contract::spec::{DatasetRef, RunSpec};
use contract::stage::{Stage, Tuning};
use contract::worker::EXIT_PROBLEM;
use model::CausalLm;
use model::weights::{HostTensor, TensorSource, Weights, write_safetensors};
use rundir::RunDir;
use serde_json::{Value, json};

use crate::generate::Talk;
use crate::support::{complete, events, finish, model, reference, spec_of, start, text, worker};

const SHORT: [(&str, &str); 6] = [
    ("max_source_length", "48"),
    ("max_target_length", "8"),
    ("per_device_train_batch_size", "4"),
    ("lora_rank", "4"),
    ("learning_rate", "3e-3"),
    ("max_steps", "4"),
];
const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";

fn ask<T: serde::de::DeserializeOwned>(command: &str, from: &Path, to: &Path) -> Result<T, Problem> {
    let output = worker().arg(command).arg(from).arg(to).output().expect("runs");
    match output.status.code() {
        Some(0) => Ok(serde_json::from_slice(&output.stdout).expect("an answer")),
        Some(EXIT_PROBLEM) => Err(serde_json::from_slice(&output.stdout).expect("a problem")),
        _ => panic!("{}", text(&output)),
    }
}

/// What an import makes of a source, and what it takes it for.
fn comes_in(source: &Path, target: &Path) -> Result<AdapterFacts, Problem> {
    match ask("import", source, target)? {
        Imported::Adapter { adapter } => Ok(*adapter),
        Imported::Model(facts) => panic!("taken for a model: {facts:?}"),
    }
}

/// A run on this base that is to hold an adapter from elsewhere.
fn empty_run(place: &Path, name: &str, base: &Path) -> RunDir {
    let made = spec_of(Stage::Sft, place, Tuning::Lora, &SHORT);
    let mut spec = RunSpec { dataset: DatasetRef::none(), brought: Some(AdapterFacts::default()), ..made };
    spec.model.folder = base.to_string_lossy().into_owned();
    RunDir::create(&place.join(name), &spec).expect("created")
}

fn brought(folder: &Path, run: &RunDir) -> Result<AdapterFacts, Problem> {
    ask("import-adapter", folder, run.path())
}

/// The files of a checkpoint that PEFT and TRL would know, in a folder of their own.
fn exported(run: &RunDir, target: &Path) -> PathBuf {
    let checkpoint = run.checkpoints().expect("lists").into_iter().next().expect("a checkpoint");
    std::fs::create_dir_all(target).expect("a folder");
    for name in [CONFIG, WEIGHTS, "value_head.safetensors"] {
        if checkpoint.path().join(name).is_file() {
            std::fs::copy(checkpoint.path().join(name), target.join(name)).expect("copied");
        }
    }
    target.to_owned()
}

fn edit(folder: &Path, change: impl FnOnce(&mut Value)) {
    let path = folder.join(CONFIG);
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).expect("reads")).expect("JSON");
    change(&mut config);
    std::fs::write(&path, config.to_string()).expect("written");
}

/// Writes the weights anew, tensor by tensor.
fn rewrite(folder: &Path, change: impl Fn(HostTensor) -> HostTensor) {
    let path = folder.join(WEIGHTS);
    let weights = Weights::open(&path).expect("opens");
    let read = |name: String| {
        let (shape, values) = (weights.shape(&name).expect("there"), weights.read(&name).expect("reads"));
        change(HostTensor { name, shape, values })
    };
    let tensors: Vec<_> = weights.names().into_iter().map(read).collect();
    write_safetensors(&path, &tensors).expect("written");
}

fn answer(chain: &[&Path]) -> String {
    let mut talk = Talk::open();
    talk.load(chain);
    talk.ask(1, 12);
    let (said, ..) = talk.answer(1);
    talk.close();
    said
}

#[test]
fn s_019_what_leaves_the_studio_comes_back_and_answers_the_same() {
    let place = tempfile::tempdir().expect("a folder");
    let place = place.path();
    let run = complete(place, "run", &spec_of(Stage::Sft, place, Tuning::Lora, &SHORT));
    let source = exported(&run, &place.join("source"));
    let facts = comes_in(&source, &place.join("kept")).expect("an adapter");
    assert_eq!((facts.base.as_str(), facts.rank, facts.value_head), ("scratch", 4, None));
    let back = empty_run(place, "back", model());
    assert_eq!(brought(&place.join("kept"), &back).expect("fits"), facts);
    let checkpoint = back.checkpoint(0).expect("lists").expect("made");
    checkpoint.verify().expect("whole");
    let before = reference(&run);
    let said = answer(&[Path::new(&before.folder)]);
    assert!(!said.is_empty() && said != answer(&[]), "{said}");
    assert_eq!(answer(&[checkpoint.path()]), said);

    // Older names, a pattern for the maps: the same adapter.
    let old = exported(&run, &place.join("old"));
    rewrite(&old, |tensor| HostTensor { name: tensor.name.replace(".weight", ".default.weight"), ..tensor });
    edit(&old, |config| config["target_modules"] = json!(".*(proj)$"));
    let older = empty_run(place, "older", model());
    brought(&old, &older).expect("the same adapter");
    assert_eq!(reference(&older).digest, reference(&back).digest);

    let mut spec = spec_of(Stage::Sft, place, Tuning::Lora, &SHORT);
    spec.adapters = vec![reference(&back)];
    complete(place, "further", &spec);
}

#[test]
fn s_020_s_103_an_adapter_with_a_value_head_judges_and_is_trained_further() {
    let place = tempfile::tempdir().expect("a folder");
    let place = place.path();
    let rm = complete(place, "rm", &spec_of(Stage::Rm, place, Tuning::Lora, &SHORT));
    let source = exported(&rm, &place.join("source"));
    // As TRL has it: beside the maps, without a bias of its own.
    let head = Weights::open(&source.join("value_head.safetensors")).expect("opens");
    let facts = comes_in(&source, &place.join("kept")).expect("an adapter");
    assert_eq!(facts.value_head, head.shape("v_head.summary.weight").map(|shape| shape[1] as u64));
    let back = empty_run(place, "back", model());
    brought(&place.join("kept"), &back).expect("fits");
    let kept = back.checkpoint(0).expect("lists").expect("made");
    let again = Weights::open(&kept.path().join("value_head.safetensors")).expect("opens");
    for name in ["v_head.summary.weight", "v_head.summary.bias"] {
        assert_eq!(again.read(name).expect("reads"), head.read(name).expect("reads"), "{name}");
    }
    assert!(kept.manifest().lineage.as_ref().expect("written").value_head);
    let mut ppo = spec_of(Stage::Ppo, place, Tuning::Lora, &SHORT);
    ppo.reward_model = Some(reference(&back));
    complete(place, "ppo", &ppo);
    let mut judge = spec_of(Stage::Rm, place, Tuning::Lora, &SHORT);
    judge.adapters = vec![reference(&back)];
    judge.hyper.resume_lora_training = true;
    complete(place, "judge", &judge);
}

#[test]
fn an_adapter_that_does_not_fit_makes_no_checkpoint() {
    let place = tempfile::tempdir().expect("a folder");
    let place = place.path();
    let run = complete(place, "run", &spec_of(Stage::Sft, place, Tuning::Lora, &SHORT));
    let wrong = |name: &str, change: &dyn Fn(&Path)| {
        let source = exported(&run, &place.join(name));
        change(&source);
        let target = empty_run(place, &format!("{name}-run"), model());
        let problem = brought(&source, &target).expect_err(name);
        assert!(target.checkpoints().expect("lists").is_empty(), "{name}");
        let halves = std::fs::read_dir(target.path().join("checkpoints")).expect("lists").count();
        assert_eq!(halves, 0, "{name}");
        assert!(!problem.to_string().contains(&*place.to_string_lossy()), "{problem}");
        problem.code
    };
    let renamed = |from: &'static str, to: &'static str| {
        move |folder: &Path| {
            rewrite(folder, |tensor| HostTensor { name: tensor.name.replace(from, to), ..tensor })
        }
    };
    assert_eq!(wrong("deeper", &renamed("layers.0.", "layers.99.")), Code::AdapterTensor);
    assert_eq!(wrong("elsewhere", &renamed("model.layers.", "transformer.h.")), Code::AdapterTensor);
    assert_eq!(
        wrong("wider", &|folder| rewrite(folder, |tensor| match tensor.name.contains("lora_A") {
            true => HostTensor { shape: vec![4, 8], values: vec![0.0; 32], ..tensor },
            false => tensor,
        })),
        Code::AdapterShape
    );
    assert_eq!(
        wrong("numbers", &|folder| rewrite(folder, |mut tensor| {
            tensor.values[0] = f32::NAN;
            tensor
        })),
        Code::WeightsBroken
    );
    assert_eq!(wrong("rank", &|folder| edit(folder, |config| config["r"] = json!(5))), Code::AdapterShape);
    assert_eq!(
        wrong("dora", &|folder| edit(folder, |config| config["use_dora"] = json!(true))),
        Code::AdapterTensor
    );
    let head = |folder: &Path| {
        let tensor =
            HostTensor { name: "v_head.summary.weight".to_owned(), shape: vec![1, 8], values: vec![0.0; 8] };
        write_safetensors(&folder.join("value_head.safetensors"), &[tensor]).expect("written");
    };
    assert_eq!(wrong("head", &head), Code::ValueHeadWidth);
}

#[test]
fn reference_adapters_that_peft_wrote_come_in_with_the_same_numbers() {
    let root = std::env::var_os("BURNISH_REFERENCE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference"),
        PathBuf::from,
    );
    let Ok(cases) = std::fs::read_dir(root.join("peft")) else {
        assert!(
            !std::env::var("CI").is_ok_and(|value| value == "true"),
            "no reference set: set BURNISH_REFERENCE"
        );
        return eprintln!("no reference set at {}: skipped", root.display());
    };
    let place = tempfile::tempdir().expect("a folder");
    let mut seen = 0;
    for case in cases.flatten().filter(|case| case.path().join("adapter").join(CONFIG).is_file()) {
        let name = case.file_name().to_string_lossy().into_owned();
        let source = case.path().join("adapter");
        let family = if name.starts_with("qwen2") { "qwen2" } else { "llama" };
        let base = place.path().join(format!("base-{name}"));
        std::fs::create_dir(&base).expect("a folder");
        for file in ["config.json", "model.safetensors"] {
            std::fs::copy(root.join("models").join(family).join(file), base.join(file)).expect("copied");
        }
        std::fs::copy(model().join("burnish.json"), base.join("burnish.json")).expect("copied");
        let facts = comes_in(&source, &place.path().join(format!("kept-{name}"))).expect("an adapter");
        assert_eq!(facts.base, format!("models/{family}"), "{name}");
        let run = empty_run(place.path(), &format!("run-{name}"), &base);
        brought(&place.path().join(format!("kept-{name}")), &run).expect("fits");
        let mut one = CausalLm::<model::Cpu>::open(&base, &Default::default()).expect("opens");
        one.load_adapter(&source).expect("as PEFT wrote it");
        let mut other = CausalLm::<model::Cpu>::open(&base, &Default::default()).expect("opens");
        other.load_adapter(run.checkpoint(0).expect("lists").expect("made").path()).expect("as it came in");
        assert_eq!(one.adapter_tensors(), other.adapter_tensors(), "{name}");
        seen += 1;
    }
    assert!(seen >= 6, "{seen} cases");
}

/// A model of another family with random weights and the tokenizer of the scratch model, as an import leaves it.
fn of_family(place: &Path, kind: &str) -> (PathBuf, ModelFacts) {
    let scratch: Value =
        serde_json::from_slice(&std::fs::read(model().join("config.json")).expect("reads")).expect("JSON");
    let mut config = json!({
        "model_type": kind, "vocab_size": scratch["vocab_size"], "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "n_embd": 32, "n_head": 4,
        "n_layer": 2, "n_inner": 48, "n_positions": 64, "max_position_embeddings": 64, "ffn_hidden_size": 48,
    });
    if kind == "bloom" {
        // Four times the width, always.
        config["n_inner"] = Value::Null;
    }
    let config = model::ModelConfig::from_json(config.to_string().as_bytes()).expect("a configuration");
    let (source, target) = (place.join(format!("{kind}-source")), place.join(kind));
    let made = CausalLm::<model::Cpu>::init_random(config, 7, &Default::default()).expect("made");
    made.save_folder(&source).expect("written");
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(model().join(name), source.join(name)).expect("copied");
    }
    match ask("import", &source, &target).expect("imported") {
        Imported::Model(facts) => (target, *facts),
        Imported::Adapter { .. } => panic!("taken for an adapter"),
    }
}

/// A run on a model with these settings, in its shortest form.
fn on(place: &Path, base: &Path, tuning: Tuning, more: &[(&str, &str)]) -> RunSpec {
    let values: Vec<_> = SHORT.iter().chain(&[("dev_ratio", "0")]).chain(more).copied().collect();
    let mut spec = spec_of(Stage::Sft, place, tuning, &values);
    spec.model.folder = base.to_string_lossy().into_owned();
    spec
}

#[test]
fn s_040_fused_maps_are_trained_under_their_names_and_the_adapter_comes_back() {
    let place = tempfile::tempdir().expect("a folder");
    for (kind, typed, targets, fused) in [
        ("gpt2", "c_attn", json!(["c_attn"]), ("transformer.h.0.attn.c_attn", 96)),
        ("gpt2", "self_attn", json!(["c_attn", "attn.c_proj"]), ("transformer.h.1.attn.c_attn", 96)),
        (
            "phi3",
            "gate_up_proj,qkv_proj",
            json!(["qkv_proj", "gate_up_proj"]),
            ("model.layers.1.mlp.gate_up_proj", 96),
        ),
        (
            "bloom",
            "query_key_value,mlp",
            json!(["query_key_value", "dense_h_to_4h", "dense_4h_to_h"]),
            ("transformer.h.1.self_attention.query_key_value", 96),
        ),
        (
            "falcon",
            "all-linear",
            json!(["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"]),
            ("transformer.h.0.self_attention.query_key_value", 48),
        ),
        ("baichuan", "W_pack", json!(["W_pack"]), ("model.layers.0.self_attn.W_pack", 96)),
        ("glm4", "gate_up_proj", json!(["gate_up_proj"]), ("model.layers.1.mlp.gate_up_proj", 96)),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let (base, facts) = of_family(folder.path(), kind);
        let spec = on(folder.path(), &base, Tuning::Lora, &[("lora_target", typed)]);
        let run = complete(folder.path(), "run", &spec);
        let out = exported(&run, &place.path().join(format!("{kind}-{typed}")));
        let config: Value =
            serde_json::from_slice(&std::fs::read(out.join(CONFIG)).expect("reads")).expect("JSON");
        assert_eq!(config["target_modules"], targets, "{kind} {typed}");
        assert_eq!(
            config["fan_in_fan_out"],
            kind == "gpt2",
            "as PEFT has it for what is stored the other way"
        );
        let weights = Weights::open(&out.join(WEIGHTS)).expect("opens");
        let name = format!("base_model.model.{}.lora_B.weight", fused.0);
        assert_eq!(weights.shape(&name), Some(vec![fused.1, 4]), "{kind} {typed}");
        let hyper = &spec.hyper;
        let (sizes, tuning) = (&Sizes::default(), Tuning::Lora);
        let planned = Planned { facts: &facts, stage: Stage::Sft, tuning, hyper, sizes, rows: 24, held: 0 };
        let learns = events(&run, 1).into_iter().find_map(|kind| match kind {
            Kind::Started { trainable_params, .. } => Some(trainable_params),
            _ => None,
        });
        assert_eq!(learns, Some(planned.cost().expect("a shape").trainable()), "{kind} {typed}");
        let back = empty_run(folder.path(), "back", &base);
        let brought = brought(&out, &back).expect("it fits its base");
        assert_eq!(Some(brought.parameters), learns);
    }
}

#[test]
fn s_039_s_040_what_a_model_does_not_have_is_refused_and_its_attention_learns_by_any_name() {
    let place = tempfile::tempdir().expect("a folder");
    let (base, _) = of_family(place.path(), "gpt2");
    let refused = on(place.path(), &base, Tuning::Lora, &[("lora_target", "c_attn,q_proj")]);
    let run = RunDir::create(&place.path().join("refused"), &refused).expect("created");
    assert!(!finish(start(&run)).status.success());
    match events(&run, 1).last() {
        Some(Kind::Failed { problem, .. }) => {
            assert_eq!((problem.code, problem.form_key()), (Code::FormNoSuchLayer, Some("lora_target")));
            assert_eq!(
                (&*problem.params["name"], &*problem.params["known"]),
                ("q_proj", "c_attn, c_proj, c_fc")
            );
        }
        other => panic!("did not fail: {other:?}"),
    }
    let values = [("name_module_trainable", "self_attn"), ("num_layer_trainable", "2")];
    let attention = on(place.path(), &base, Tuning::Freeze, &values);
    let run = complete(place.path(), "freeze", &attention);
    let learns = events(&run, 1).into_iter().find_map(|kind| match kind {
        Kind::Started { trainable_params, .. } => Some(trainable_params),
        _ => None,
    });
    // c_attn and c_proj of both blocks, with their biases.
    assert_eq!(learns, Some(2 * (32 * 96 + 96 + 32 * 32 + 32)));
}
