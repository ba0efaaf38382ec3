//! A model from scratch, a small dataset, and the real binary.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use contract::dataset::{DataFormat, FileKind, Mapping};
use contract::event::{Event, Kind, What};
use contract::ids::{DatasetId, ModelId, RunId};
use contract::params::Hyper;
use contract::spec::{CheckpointRef, DatasetRef, ModelRef, RunSpec};
use contract::stage::{Stage, Tuning};
use rundir::RunDir;

/// The worker's binary with its command line.
pub(crate) fn worker() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_burnish-worker"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn mapping() -> Mapping {
    Mapping {
        prompt: Some("instruction".to_owned()),
        response: Some("output".to_owned()),
        ..Mapping::empty(DataFormat::Alpaca)
    }
}

const THINGS: [&str; 8] = ["kettle", "teapot", "cup", "spoon", "tray", "stove", "saucer", "whistle"];
const COLOURS: [&str; 8] = ["red", "blue", "green", "white", "black", "brass", "grey", "gold"];

/// 24 rows: eight things in three wordings.
pub(crate) fn dataset(folder: &Path) -> PathBuf {
    let mut lines = String::new();
    for (thing, colour) in THINGS.iter().zip(COLOURS) {
        for question in ["What colour is the", "Tell me the colour of the", "Which colour has the"] {
            let row = serde_json::json!({
                "instruction": format!("{question} {thing}?"), "output": format!("The {thing} is {colour}."),
            });
            lines.push_str(&format!("{row}\n"));
        }
    }
    let path = folder.join("kettle.jsonl");
    std::fs::write(&path, lines).expect("written");
    path
}

/// The same questions with a right and a wrong answer.
pub(crate) fn pairs(folder: &Path) -> PathBuf {
    let mut lines = String::new();
    for (index, (thing, colour)) in THINGS.iter().zip(COLOURS).enumerate() {
        let wrong = COLOURS[(index + 3) % COLOURS.len()];
        for question in ["What colour is the", "Tell me the colour of the"] {
            let row = serde_json::json!({
                "instruction": format!("{question} {thing}?"), "chosen": format!("The {thing} is {colour}."),
                "rejected": format!("It may be {wrong}, who knows, or {thing}."),
            });
            lines.push_str(&format!("{row}\n"));
        }
    }
    let path = folder.join("pairs.jsonl");
    std::fs::write(&path, lines).expect("written");
    path
}

/// A model with random weights, made once by the binary.
pub(crate) fn model() -> &'static Path {
    static MODEL: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = MODEL.get_or_init(|| {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("model");
        let mapping = serde_json::to_string(&mapping()).expect("writes");
        let mut create = worker();
        create.arg("create").arg(&path).args(["--size", "1m", "--mapping", &mapping, "--dataset"]);
        let made = create.arg(dataset(place.path())).output().expect("runs");
        assert!(made.status.success(), "{}", text(&made));
        (place, path)
    });
    path
}

pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A specification with some values other than the defaults.
pub(crate) fn spec(folder: &Path, tuning: Tuning, values: &[(&str, &str)]) -> RunSpec {
    spec_of(Stage::Sft, folder, tuning, values)
}

/// The same of any stage; pairs for rm and dpo.
pub(crate) fn spec_of(stage: Stage, folder: &Path, tuning: Tuning, values: &[(&str, &str)]) -> RunSpec {
    let (file, mapping) = if stage.wants_pairs() {
        let chosen = Some("chosen".to_owned());
        let rejected = Some("rejected".to_owned());
        let prompt = Some("instruction".to_owned());
        (pairs(folder), Mapping { prompt, chosen, rejected, ..Mapping::empty(DataFormat::Pairs) })
    } else {
        (dataset(folder), mapping())
    };
    let values: BTreeMap<String, String> =
        values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    RunSpec {
        format: contract::spec::FORMAT,
        run: RunId("r1".to_owned()),
        name: "kettle".to_owned(),
        stage,
        tuning,
        model: ModelRef {
            id: ModelId("m1".to_owned()),
            name: "scratch".to_owned(),
            folder: model().to_string_lossy().into_owned(),
            digest: String::new(),
        },
        dataset: DatasetRef {
            id: DatasetId("d1".to_owned()),
            name: "kettle".to_owned(),
            file: file.to_string_lossy().into_owned(),
            kind: FileKind::Jsonl,
            mapping,
            sha256: String::new(),
            rows: 0,
            texts: Vec::new(),
        },
        more_datasets: Vec::new(),
        prepared: String::new(),
        template: "model".to_owned(),
        system: String::new(),
        hyper: Hyper::read(&values, stage, tuning).expect("valid"),
        adapters: Vec::new(),
        reward_model: None,
        brought: None,
    }
}

pub(crate) fn start(run: &RunDir) -> Child {
    let attempt = run.begin_attempt().expect("begun");
    worker()
        .arg("train")
        .arg(run.path())
        .args(["--attempt", &attempt.number().to_string()])
        .spawn()
        .expect("starts")
}

pub(crate) fn finish(child: Child) -> Output {
    child.wait_with_output().expect("ends")
}

/// Every event of an attempt; their numbers are dense.
pub(crate) fn events(run: &RunDir, attempt: u32) -> Vec<Kind> {
    let events: Vec<Event> = run.attempt(attempt).tail(0).read_new().expect("reads");
    events
        .into_iter()
        .enumerate()
        .map(|(index, event)| {
            assert_eq!(event.seq, index as u64);
            match event.what {
                What::Known(kind) => kind,
                What::Unknown(value) => panic!("unknown event {value}"),
            }
        })
        .collect()
}

/// Waits until the attempt has said something for which `wanted` holds.
pub(crate) fn wait_for(run: &RunDir, attempt: u32, wanted: impl Fn(&Kind) -> bool) {
    let began = Instant::now();
    while !events(run, attempt).iter().any(&wanted) {
        assert!(began.elapsed() < Duration::from_secs(60), "waited in vain: {:?}", events(run, attempt));
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Step, loss and learning rate of every step event.
pub(crate) fn losses(events: &[Kind]) -> Vec<(u64, f64)> {
    let step = |kind: &Kind| match kind {
        Kind::Step { step, loss, .. } => Some((*step, loss.expect("finite"))),
        _ => None,
    };
    events.iter().filter_map(step).collect()
}

/// A finished checkpoint of a run, as another run starts from it.
pub(crate) fn reference(run: &RunDir) -> CheckpointRef {
    let checkpoint = run.checkpoints().expect("lists").into_iter().next().expect("a checkpoint");
    CheckpointRef {
        run: RunId("earlier".to_owned()),
        name: "earlier".to_owned(),
        step: checkpoint.step(),
        folder: checkpoint.path().to_string_lossy().into_owned(),
        digest: checkpoint.manifest().digest.clone(),
        whole: rundir::chain::is_whole(checkpoint.path()),
    }
}

/// Runs a specification to its end.
pub(crate) fn complete(place: &Path, name: &str, spec: &RunSpec) -> RunDir {
    let run = RunDir::create(&place.join(name), spec).expect("created");
    let ended = finish(start(&run));
    assert!(ended.status.success(), "{name}: {}\n{:?}", text(&ended), events(&run, 1).last());
    run
}

/// A number of the stage, step by step.
pub(crate) fn metric(events: &[Kind], name: &str) -> Vec<f64> {
    let of = |kind: &Kind| match kind {
        Kind::Step { metrics, .. } => metrics.get(name).copied(),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}
