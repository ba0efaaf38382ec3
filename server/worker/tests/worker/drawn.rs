//! Runs with settings drawn by a seed: what is foreseen of each, as the form does it, and what it took.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use contract::cost::{Cost, Planned, seconds};
use contract::dataset::{Behaviour, DataFormat, FileKind, Mapping, Mixing};
use contract::event::{Kind, What};
use contract::ids::{DatasetId, ModelId, RunId};
use contract::params::Hyper;
use contract::plan::{Examples, Plan};
use contract::spec::{CheckpointRef, DatasetRef, ModelRef, RunSpec};
use contract::stage::{Stage, Tuning};
use contract::templates::MODEL_TEMPLATE;
use corpus::job::Job;
use corpus::mix::Part;
use corpus::source::folder::Files;
use corpus::{Encoder, ModelTokenizer, Template};
use model::rng::Rng;
use rundir::RunDir;

/// What is varied.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) size: &'static str,
    pub(crate) stage: Stage,
    pub(crate) tuning: Tuning,
    pub(crate) values: BTreeMap<String, String>,
    /// Rows of the dataset.
    rows: usize,
    /// Words of a row on average.
    words: usize,
    seed: u64,
}

/// What became of it.
pub(crate) struct Outcome {
    pub(crate) foreseen: Cost,
    /// Seconds foreseen on a machine of some speed.
    pub(crate) seconds: f64,
    /// Highest resident memory of the worker's process, bytes.
    pub(crate) peak: u64,
    /// Seconds the attempt took.
    pub(crate) took: f64,
}

/// Words are made of these: so many different ones that a tokenizer learns as many tokens as it may.
const SYLLABLES: [&str; 24] = [
    "ket", "tle", "tea", "pot", "cup", "spoo", "na", "tray", "sto", "ve", "sau", "cer", "whi", "stle", "re",
    "blu", "gree", "ni", "bra", "ssy", "go", "ldo", "ri", "ver",
];

fn one_of<T: Copy>(rng: &mut Rng, all: &[T]) -> T {
    all[(rng.uniform() * all.len() as f64) as usize % all.len()]
}

/// Settings over stage, tuning, batch, lengths, model size, bits of the base and accumulation.
pub(crate) fn draw(seed: u64, count: usize) -> Vec<Setting> {
    let mut rng = Rng::new(seed);
    let first = (rng.uniform() * 5.0) as usize;
    let one = |at: usize| {
        // Every stage takes its turn, from one that is drawn.
        let stage = Stage::OFFERED[(first + at) % 5];
        let size = one_of(&mut rng, &["1m", "5m", "20m"]);
        let drawn = one_of(&mut rng, &Tuning::ALL);
        let tuning = if stage.wants_lora() { Tuning::Lora } else { drawn };
        let batch: usize = one_of(&mut rng, &[1, 2, 4, 8, 16]);
        // A large batch of long rows would take minutes.
        let most = match size {
            "1m" => 2400,
            "5m" => 800,
            _ => 100,
        };
        let words = one_of(&mut rng, &[10, 40, 120, 300]).min(most / batch);
        let mut values = BTreeMap::new();
        let mut set = |key: &str, value: &str| drop(values.insert(key.to_owned(), value.to_owned()));
        set("per_device_train_batch_size", &batch.to_string());
        set("max_source_length", one_of(&mut rng, &["64", "256", "1024"]));
        set(
            "max_target_length",
            one_of(&mut rng, if stage == Stage::Ppo { &["16", "48"] } else { &["64", "512"] }),
        );
        set("gradient_accumulation_steps", one_of(&mut rng, &["1", "1", "2"]));
        set("max_steps", if stage == Stage::Ppo { "2" } else { "3" });
        set("dev_ratio", "0");
        set("learning_rate", "1e-4");
        if tuning == Tuning::Lora {
            set("quantization_bit", one_of(&mut rng, &["none", "file", "int8", "nf4"]));
            set("lora_rank", one_of(&mut rng, &["4", "8", "32"]));
        }
        if one_of(&mut rng, &[false, false, false, true]) {
            set("gradient_checkpointing", "true");
        }
        let rows = one_of(&mut rng, &[batch, 2 * batch, 6 * batch]).max(4);
        Setting { size, stage, tuning, values, rows, words, seed: rng.next_u64() }
    };
    (0..count).map(one).collect()
}

/// Where models and runs lie.
pub(crate) struct Place {
    worker: PathBuf,
    folder: PathBuf,
}

impl Place {
    pub(crate) fn new(worker: &Path, folder: &Path) -> Self {
        Self { worker: worker.to_owned(), folder: folder.to_owned() }
    }

    /// The worker as the server starts it.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.worker);
        command.env("MIMALLOC_PURGE_DELAY", "50").stdin(Stdio::null());
        command
    }

    /// Floating-point operations a second, as the worker times them.
    pub(crate) fn speed(&self) -> f64 {
        let said = self.command().arg("speed").output().expect("runs");
        serde_json::from_slice(&said.stdout).expect("a number")
    }

    fn model(&self, size: &str) -> PathBuf {
        let (target, data) = (self.folder.join(size), self.folder.join("words.jsonl"));
        if !target.exists() {
            write_rows(&data, Stage::Sft, 1500, 30, 1);
            let mapping = serde_json::to_string(&mapping(Stage::Sft)).expect("writes");
            let mut create = self.command();
            create.arg("create").arg(&target).args(["--size", size, "--mapping", &mapping, "--dataset"]);
            let made = create.arg(&data).output().expect("runs");
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        target
    }

    fn spec(&self, setting: &Setting, data: &Path) -> RunSpec {
        let Setting { stage, tuning, .. } = *setting;
        let reward_model = (stage == Stage::Ppo).then(|| self.judge(setting.size));
        RunSpec {
            format: contract::spec::FORMAT,
            run: RunId("r1".to_owned()),
            name: "drawn".to_owned(),
            stage,
            tuning,
            model: ModelRef {
                id: ModelId("m1".to_owned()),
                name: "scratch".to_owned(),
                folder: self.model(setting.size).to_string_lossy().into_owned(),
                digest: String::new(),
            },
            dataset: DatasetRef {
                id: DatasetId("d1".to_owned()),
                name: "words".to_owned(),
                file: data.to_string_lossy().into_owned(),
                kind: FileKind::Jsonl,
                mapping: mapping(stage),
                sha256: String::new(),
                rows: 0,
                texts: Vec::new(),
            },
            more_datasets: Vec::new(),
            prepared: String::new(),
            template: MODEL_TEMPLATE.to_owned(),
            system: String::new(),
            hyper: Hyper::read(&setting.values, stage, tuning).expect("valid"),
            adapters: Vec::new(),
            reward_model,
            brought: None,
        }
    }

    /// A reward model for ppo, trained for a step.
    fn judge(&self, size: &'static str) -> CheckpointRef {
        let folder = self.folder.join(format!("judge-{size}"));
        if !folder.exists() {
            let values = BTreeMap::from(
                [("max_steps", "1"), ("dev_ratio", "0")].map(|(k, v)| (k.to_owned(), v.to_owned())),
            );
            let setting =
                Setting { size, stage: Stage::Rm, tuning: Tuning::Lora, values, rows: 4, words: 10, seed: 3 };
            let data = self.folder.join(format!("judge-{size}.jsonl"));
            write_rows(&data, Stage::Rm, setting.rows, setting.words, setting.seed);
            self.train(&folder, &self.spec(&setting, &data));
        }
        let run = RunDir::open(&folder).expect("opens");
        let checkpoint = run.checkpoints().expect("lists").into_iter().next().expect("a checkpoint");
        CheckpointRef {
            run: RunId("judge".to_owned()),
            name: "judge".to_owned(),
            step: checkpoint.step(),
            folder: checkpoint.path().to_string_lossy().into_owned(),
            digest: checkpoint.manifest().digest.clone(),
            whole: false,
        }
    }

    /// Peak memory, bytes, and seconds of a run to its end.
    fn train(&self, folder: &Path, spec: &RunSpec) -> (u64, f64) {
        let run = RunDir::create(folder, spec).expect("created");
        let attempt = run.begin_attempt().expect("begun");
        let mut train = self.command();
        train.arg("train").arg(run.path()).args(["--attempt", &attempt.number().to_string()]);
        let ended = train.output().expect("runs");
        let events = attempt.tail(0).read_new().expect("reads");
        match events.last().map(|event| &event.what) {
            Some(What::Known(Kind::Finished { peak_memory_bytes, seconds, .. })) => {
                (*peak_memory_bytes, *seconds)
            }
            other => panic!("{spec:?}: {other:?} {}", String::from_utf8_lossy(&ended.stderr)),
        }
    }

    /// Foresees a run and makes it.
    pub(crate) fn try_out(&self, name: &str, setting: &Setting, speed: f64) -> Outcome {
        let data = self.folder.join(format!("{name}.jsonl"));
        write_rows(&data, setting.stage, setting.rows, setting.words, setting.seed);
        let spec = self.spec(setting, &data);
        let report =
            corpus::health::health(&job(&spec), 1, &mut |_| ControlFlow::Continue(())).expect("counts");
        let hyper = &spec.hyper;
        let examples = Examples::of([&report], hyper);
        let plan = Plan::of(&[report.used], hyper, spec.stage).over(&examples, hyper, spec.stage);
        let facts = worker::facts::read(Path::new(&spec.model.folder)).expect("facts");
        let planned = Planned {
            facts: &facts,
            stage: spec.stage,
            tuning: spec.tuning,
            hyper,
            sizes: &examples.sizes,
            rows: plan.rows,
            held: plan.held,
        };
        let foreseen = planned.cost().expect("a shape");
        let seconds = seconds(&planned, speed).expect("a shape");
        let (peak, took) = self.train(&self.folder.join(name), &spec);
        Outcome { foreseen, seconds, peak, took }
    }
}

fn job(spec: &RunSpec) -> Job {
    let tokenizer = Arc::new(ModelTokenizer::load(Path::new(&spec.model.folder)).expect("a tokenizer"));
    Job {
        encoder: Encoder {
            template: Template::resolve(&spec.template, &tokenizer).expect("a template"),
            tokenizer,
            stage: spec.stage,
            behaviour: Behaviour::Corrected,
            control_tokens_in_text: false,
            max_source_length: spec.hyper.max_source_length,
            max_target_length: spec.hyper.max_target_length,
            system: None,
        },
        parts: vec![Part {
            name: "words".to_owned(),
            files: Files::one(PathBuf::from(&spec.dataset.file), FileKind::Jsonl),
            mapping: spec.dataset.mapping.clone(),
            prefix: None,
            weight: 1.0,
        }],
        mixing: Mixing::Concatenate,
        max_samples: 0,
        seed: 0,
        total: 0,
    }
}

fn mapping(stage: Stage) -> Mapping {
    let name = |name: &str| Some(name.to_owned());
    match stage {
        Stage::Pt => Mapping { prompt: name("text"), ..Mapping::empty(DataFormat::Text) },
        Stage::Rm | Stage::Dpo => Mapping {
            prompt: name("question"),
            chosen: name("chosen"),
            rejected: name("rejected"),
            ..Mapping::empty(DataFormat::Pairs)
        },
        Stage::Sft | Stage::Ppo => Mapping {
            prompt: name("question"),
            response: name("answer"),
            ..Mapping::empty(DataFormat::PromptResponse)
        },
    }
}

/// Rows of two fifths to eight fifths of `words` words.
fn write_rows(path: &Path, stage: Stage, rows: usize, words: usize, seed: u64) {
    let mut rng = Rng::new(seed);
    let mut lines = String::new();
    for _ in 0..rows {
        let count = ((0.4 + 1.2 * rng.uniform()) * words as f64) as usize;
        let mut word = |_| -> String {
            let syllables = one_of(&mut rng, &[1, 2, 2, 3]);
            (0..syllables).map(|_| one_of(&mut rng, &SYLLABLES)).collect()
        };
        let mut text = |words: usize| (0..words.max(1)).map(&mut word).collect::<Vec<_>>().join(" ");
        let row = match stage {
            Stage::Pt => serde_json::json!({"text": text(count)}),
            Stage::Rm | Stage::Dpo => serde_json::json!({
                "question": text(count / 2), "chosen": text(count / 2), "rejected": text(count / 2),
            }),
            Stage::Sft | Stage::Ppo => {
                serde_json::json!({"question": text(count / 2), "answer": text(count / 2)})
            }
        };
        lines.push_str(&format!("{row}\n"));
    }
    std::fs::write(path, lines).expect("written");
}
