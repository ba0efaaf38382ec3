//! Runs that start from other runs, from inside the server: what does not fit is refused at launch, and a checkpoint
//! speaks with everything it stands on.

#![expect(clippy::expect_used, reason = "a broken set-up is to fail the test where it breaks")]

#[path = "support/worker.rs"]
#[expect(dead_code, reason = "its worker is a script of its own")]
mod worker;

#[path = "support/adapters.rs"]
mod adapters;

#[path = "chain/taken_away.rs"]
mod taken_away;

use std::path::{Path, PathBuf};

use app::ports::SystemPort;
use axum::body::Body;
use contract::Code;
use contract::carry::MOST_BYTES;
use contract::chat::{ChatMessage, ChatRequest, ChatTarget};
use contract::checkpoint::{Lineage, LoopState};
use contract::dataset::DatasetView;
use contract::event::{Event, Kind};
use contract::model::ModelFacts;
use contract::params::Hyper;
use contract::run::RunSummary;
use contract::spec::{CheckpointKey, CheckpointRef, DatasetRef, Draft, FORMAT, ModelRef, RunSpec};
use contract::worker::GenerateCommand;
use contract::{ModelId, Problem, RunId, RunState, Stage, Tuning};
use rundir::RunDir;
use rundir::chain::{ADAPTER, ADAPTER_CONFIG, VALUE_HEAD};
use server::services::launch::launch;
use server::services::system::System;
use server::services::uploads::{self, Declared};
use server::services::{carry, chat};
use server::store::runs::RunRow;
use server::{AppState, config::Config};

const ROWS: &str =
    "{\"prompt\":\"Who?\",\"response\":\"Ember.\"}\n{\"prompt\":\"Where?\",\"response\":\"Here.\"}\n";
/// Width of the model.
const WIDTH: u64 = 64;

/// A safetensors file of one tensor of zeros.
fn safetensors(name: &str, shape: [u64; 2]) -> Vec<u8> {
    let bytes = 4 * shape[0] * shape[1];
    let header = format!(r#"{{"{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[0,{bytes}]}}}}"#);
    let mut all = (header.len() as u64).to_le_bytes().to_vec();
    all.extend(header.as_bytes());
    all.extend(vec![0; usize::try_from(bytes).expect("small")]);
    all
}

/// A server with a model and a dataset. Its worker writes down what it is told.
struct Studio {
    place: tempfile::TempDir,
    state: AppState,
    told: PathBuf,
    model: ModelId,
    dataset: DatasetView,
}

/// An adapter of a run: its width, the base it was trained on, what was merged, the width of its value head.
struct Saved<'a> {
    width: u64,
    base: &'a str,
    merged: &'a [&'a CheckpointRef],
    head: Option<u64>,
}

const FITTING: Saved<'static> = Saved { width: WIDTH, base: "base", merged: &[], head: None };

impl Studio {
    async fn open() -> Self {
        let place = tempfile::tempdir().expect("a folder");
        let told = place.path().join("told");
        let script = format!(
            "here={}\ncase \"$1\" in\nimport) mkdir -p \"$3\"; cat \"$2/answer\";;\n\
             import-adapter) cp -r \"$here/prepared\" \"$3/checkpoints/step-00000000\" || exit 1; cat \"$here/facts\";;\n\
             *) while read line; do echo \"$line\" >> \"$here/told\"; done;;\nesac",
            place.path().display()
        );
        let worker = worker::scripted(place.path(), &script);
        let state = AppState::open(Config::for_testing(place.path(), &worker)).await.expect("opens");
        let model = ModelId("m1".to_owned());
        let folder = state.model_folder(&model);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("config.json"), format!(r#"{{"hidden_size":{WIDTH}}}"#)).expect("written");
        state.store.add_model(&model, "little", false, 0).await.expect("added");
        let facts: ModelFacts = serde_json::from_str(
            r#"{"architecture":"llama","parameters":1,"vocab_size":1,"layers":1,"hidden_size":64,"context_length":64,
                "digest":"base","has_chat_template":true,"source":"scratch"}"#,
        )
        .expect("facts");
        state.store.end_import(&model, Ok(&facts)).await.expect("ready");
        let rows = Body::from(ROWS);
        let dataset =
            uploads::dataset(&state, "tea.jsonl", Declared::default(), rows).await.expect("taken in");
        Self { place, state, told, model, dataset }
    }

    /// A finished run with one checkpoint a step; `best` is the one of the lowest eval loss.
    async fn run(
        &self,
        id: &str,
        stage: Stage,
        saved: &Saved<'_>,
        steps: &[u64],
        best: Option<u64>,
    ) -> CheckpointRef {
        let view = &self.dataset;
        let mut hyper = Hyper::read(&Default::default(), stage, Tuning::Lora).expect("defaults");
        hyper.resume_lora_training = false;
        let spec = RunSpec {
            format: FORMAT,
            run: RunId(id.to_owned()),
            name: id.to_owned(),
            stage,
            tuning: Tuning::Lora,
            model: ModelRef {
                id: self.model.clone(),
                name: "little".to_owned(),
                folder: self.state.model_folder(&self.model).to_string_lossy().into_owned(),
                digest: "base".to_owned(),
            },
            dataset: DatasetRef {
                id: view.id.clone(),
                name: view.name.clone(),
                file: String::new(),
                kind: view.inspection.kind,
                mapping: view.inspection.mapping.clone(),
                sha256: view.sha256.clone(),
                rows: 2,
                texts: Vec::new(),
            },
            more_datasets: Vec::new(),
            prepared: String::new(),
            template: "alpaca".to_owned(),
            system: String::new(),
            hyper,
            adapters: saved.merged.iter().map(|link| (*link).clone()).collect(),
            reward_model: None,
            brought: None,
        };
        let folder = RunDir::create(&self.state.run_folder(&spec.run), &spec).expect("created");
        let summary = RunSummary {
            id: spec.run.clone(),
            name: id.to_owned(),
            state: RunState::Finished,
            stage,
            tuning: Tuning::Lora,
            model_name: "little".to_owned(),
            dataset_name: view.name.clone(),
            step: 0,
            total_steps: 0,
            remaining_s: None,
            loss: None,
            eval_loss: None,
            created_ms: 0,
            updated_ms: 0,
            brought: false,
        };
        let (model, dataset) = (self.model.clone(), view.id.clone());
        let row = RunRow {
            summary,
            model,
            dataset,
            spec,
            suggestion: None,
            tour: false,
            attempt: 0,
            problem: None,
        };
        self.state.store.launch(&row, None).await.expect("added").expect("all is there");
        let (mut newest, mut events) = (None, Vec::new());
        for step in steps {
            let writer = folder.begin_checkpoint(*step).expect("begun");
            let name = format!("x.{id}{step}.q_proj.lora_A.weight");
            writer.write(ADAPTER, &safetensors(&name, [8, saved.width])).expect("written");
            writer.write(ADAPTER_CONFIG, br#"{"peft_type":"LORA"}"#).expect("written");
            if let Some(width) = saved.head {
                writer.write(VALUE_HEAD, &safetensors("v_head.summary.weight", [1, width])).expect("written");
            }
            let lineage = Lineage {
                stage,
                tuning: Tuning::Lora,
                base: saved.base.to_owned(),
                merged: saved.merged.iter().map(|link| link.digest.clone()).collect(),
                hidden_size: 64,
                value_head: saved.head.is_some(),
            };
            let state = LoopState { best_step: best, ..LoopState::default() };
            newest = Some(writer.commit_with(ADAPTER, state, Some(lineage)).expect("saved"));
            let what = Kind::Checkpoint {
                step: *step,
                folder: format!("step-{step:08}"),
                eval_loss: best.map(|best| if best == *step { 1.0 } else { 2.0 }),
                best: best == Some(*step),
                digest: String::new(),
            };
            events.push(Event { seq: events.len() as u64, at_ms: 0, what: what.into() });
        }
        let mut tx = self.state.store.begin().await.expect("begun");
        self.state.store.add_events(&mut tx, &row.summary.id, 1, events).await.expect("told");
        tx.commit().await.expect("kept");
        let newest = newest.expect("a step");
        CheckpointRef {
            run: RunId(id.to_owned()),
            name: id.to_owned(),
            step: newest.step(),
            folder: newest.path().to_string_lossy().into_owned(),
            digest: newest.manifest().digest.clone(),
            whole: false,
        }
    }

    /// A draft on the studio's model and dataset.
    fn draft(&self, stage: &str, tuning: &str, adapters: &str, values: &[(&str, &str)]) -> Draft {
        Draft {
            dataset: self.dataset.id.0.clone(),
            model: self.model.0.clone(),
            template: "alpaca".to_owned(),
            stage: stage.to_owned(),
            tuning: tuning.to_owned(),
            adapters: adapters.to_owned(),
            values: values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            ..Draft::default()
        }
    }

    /// Code and field of the one problem a launch has.
    async fn refused(
        &self,
        stage: &str,
        adapters: &str,
        reward: &str,
        values: &[(&str, &str)],
    ) -> Option<(Code, String)> {
        let draft = Draft { reward_model: reward.to_owned(), ..self.draft(stage, "lora", adapters, values) };
        match launch(&self.state, &draft, None).await {
            Ok(_) => None,
            Err(fault) => {
                let problems: Vec<Problem> = fault.into_problems();
                assert_eq!(problems.len(), 1, "{problems:?}");
                let field = problems[0].form_key().unwrap_or_default().to_owned();
                Some((problems[0].code, field))
            }
        }
    }

    /// What the worker was told to load last.
    async fn loaded(&self) -> Vec<String> {
        for _ in 0..200 {
            let text = std::fs::read_to_string(&self.told).unwrap_or_default();
            let mut loads = text.lines().filter_map(|line| match serde_json::from_str(line) {
                Ok(GenerateCommand::Load { chain, .. }) => Some(chain),
                _ => None,
            });
            if let Some(chain) = loads.next_back() {
                return chain;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("nothing was loaded");
    }
}

fn key(checkpoint: &CheckpointRef) -> String {
    let CheckpointRef { run, step, .. } = checkpoint;
    format!("{run}:{step}")
}

fn said(code: Code, field: &str) -> Option<(Code, String)> {
    Some((code, field.to_owned()))
}

#[tokio::test]
async fn s_105_s_123_what_does_not_fit_the_base_is_refused_at_launch_at_its_field() {
    let studio = Studio::open().await;
    let sft = studio.run("sft", Stage::Sft, &FITTING, &[5], None).await;
    let wide = studio.run("wide", Stage::Sft, &Saved { width: 128, ..FITTING }, &[5], None).await;
    let other = studio.run("other", Stage::Sft, &Saved { base: "another", ..FITTING }, &[5], None).await;
    let judge = |base, merged, head| Saved { width: WIDTH, base, merged, head };
    let (on_sft, none) = (&[&sft][..], &[][..]);
    let fine = studio.run("fine", Stage::Rm, &judge("base", on_sft, Some(WIDTH)), &[5], None).await;
    let narrow = studio.run("narrow", Stage::Rm, &judge("base", on_sft, Some(32)), &[5], None).await;
    let foreign = studio.run("foreign", Stage::Rm, &judge("another", on_sft, Some(WIDTH)), &[5], None).await;
    let beside = studio.run("beside", Stage::Rm, &judge("base", none, Some(WIDTH)), &[5], None).await;
    for (adapter, code) in [(&wide, Code::ChainShape), (&other, Code::ChainOtherBase)] {
        assert_eq!(studio.refused("sft", &key(adapter), "", &[]).await, said(code, "adapters"));
    }
    for (reward, code) in [
        (&sft, Code::RewardNoHead),
        (&narrow, Code::RewardHeadWidth),
        (&foreign, Code::ChainOtherBase),
        (&beside, Code::RewardOtherBackbone),
    ] {
        let refused = studio.refused("ppo", &key(&sft), &key(reward), &[]).await;
        assert_eq!(refused, said(code, "reward_model"), "{}", reward.name);
    }
    assert_eq!(studio.refused("ppo", &key(&sft), "sft:6", &[]).await, said(Code::NotFound, "reward_model"));
    assert_eq!(studio.refused("ppo", &key(&sft), &key(&fine), &[]).await, None);
}

#[tokio::test]
async fn s_058_s_126_a_chain_on_a_quantised_base_is_refused_at_launch() {
    let studio = Studio::open().await;
    let first = studio.run("first", Stage::Sft, &FITTING, &[5], None).await;
    let merged = Saved { merged: &[&first], ..FITTING };
    let second = studio.run("second", Stage::Sft, &merged, &[5], None).await;
    let few = |further| [("quantization_bit", "nf4"), ("resume_lora_training", further)];
    let refused = studio.refused("sft", &key(&second), "", &few("true")).await;
    assert_eq!(refused, said(Code::FormQuantizedSingle, "adapters"), "what a checkpoint stands on counts");
    let refused = studio.refused("sft", &key(&first), "", &few("false")).await;
    assert_eq!(refused, said(Code::FormQuantizedMerge, "resume_lora_training"));
    assert_eq!(studio.refused("sft", &key(&first), "", &few("true")).await, None);
}

#[tokio::test]
async fn s_124_s_182_a_run_speaks_by_its_best_checkpoint_and_with_what_it_stands_on() {
    let studio = Studio::open().await;
    let sft = studio.run("sft", Stage::Sft, &FITTING, &[5], None).await;
    let merged = Saved { merged: &[&sft], ..FITTING };
    studio.run("dpo", Stage::Dpo, &merged, &[10, 20, 30], Some(20)).await;
    let voices = System(studio.state.clone()).voices().await.expect("listed");
    let chosen: Vec<_> = voices
        .iter()
        .filter(|voice| voice.chosen)
        .map(|voice| (voice.name.as_str(), voice.target.step))
        .collect();
    assert_eq!(chosen, [("sft", Some(5)), ("dpo", Some(20))]);
    let target = ChatTarget { model: studio.model.clone(), run: Some(RunId("dpo".to_owned())), step: None };
    let messages = vec![ChatMessage { role: "user".to_owned(), content: "Who?".to_owned() }];
    let request = ChatRequest { target, template: None, messages, settings: Default::default() };
    let answer = chat::answer(&studio.state, request.clone()).await.expect("asked");
    let best = studio.state.run_folder(&RunId("dpo".to_owned())).join("checkpoints/step-00000020");
    assert_eq!(studio.loaded().await, [sft.folder.clone(), best.to_string_lossy().into_owned()]);
    drop(answer);
    std::fs::remove_dir_all(Path::new(&sft.folder)).expect("removed");
    let gone = chat::answer(&studio.state, request).await.err().expect("refused").into_problems();
    assert_eq!(gone[0].code, Code::ChainGone);
    let absent = CheckpointKey { run: RunId("dpo".to_owned()), step: 21 };
    let target = ChatTarget { model: studio.model.clone(), run: Some(absent.run), step: Some(absent.step) };
    let messages = vec![ChatMessage { role: "user".to_owned(), content: "Who?".to_owned() }];
    let request = ChatRequest { target, template: None, messages, settings: Default::default() };
    let absent = chat::answer(&studio.state, request).await.err().expect("refused").into_problems();
    assert_eq!(absent[0].code, Code::RunNoSuchCheckpoint);
}

#[tokio::test]
async fn a_browser_gets_the_base_and_every_adapter_in_order_and_no_other_file() {
    let studio = Studio::open().await;
    let sft = studio.run("sft", Stage::Sft, &FITTING, &[5], None).await;
    let merged = Saved { merged: &[&sft], ..FITTING };
    studio.run("dpo", Stage::Dpo, &merged, &[10], None).await;
    let target = ChatTarget { model: studio.model.clone(), run: Some(RunId("dpo".to_owned())), step: None };
    let problem = async |target: &ChatTarget| match carry::parcel(&studio.state, target).await {
        Ok(parcel) => panic!("{parcel:?}"),
        Err(fault) => fault.into_problems().remove(0).code,
    };
    assert_eq!(problem(&target).await, Code::EngineShards, "there are no weights in one file");
    let folder = studio.state.model_folder(&studio.model);
    std::fs::write(folder.join("model.safetensors"), safetensors("x", [2, 2])).expect("written");
    let parcel = carry::parcel(&studio.state, &target).await.expect("described");
    let names: Vec<_> = parcel.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "model.safetensors",
            "config.json",
            "adapter0/adapter_config.json",
            "adapter0/adapter_model.safetensors",
            "adapter1/adapter_config.json",
            "adapter1/adapter_model.safetensors",
        ]
    );
    assert!(parcel.files[2..].iter().all(|file| file.sha256.is_some()), "a manifest knows its files");
    let path =
        carry::file(&studio.state, &target, "adapter0/adapter_model.safetensors").await.expect("found");
    assert_eq!(path, Path::new(&sft.folder).join(ADAPTER));
    for strange in ["../burnish.db", "/etc/passwd", "manifest.json", ""] {
        assert!(carry::file(&studio.state, &target, strange).await.is_err(), "{strange}");
    }
    // A file with a hole takes no room on the disk.
    std::fs::File::create(folder.join("model.safetensors"))
        .and_then(|file| file.set_len(MOST_BYTES + 1))
        .expect("a large file");
    assert_eq!(problem(&target).await, Code::EngineTooLarge);
}
