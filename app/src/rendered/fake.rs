//! Ports that answer from memory.

use std::sync::Arc;

use contract::Code;
use contract::adapter::AdapterFacts;
use contract::carry::PageSize;
use contract::chat::{ChatTarget, Voice};
use contract::checkpoint::{CheckpointView, Mark, mark};
use contract::checkup::{Checkup, CheckupRequest};
use contract::dataset::*;
use contract::event::{DatasetRows, Event, Kind};
use contract::health::{HealthReport, HeldOut, LeftOut, RowSet};
use contract::hub::*;
use contract::limits::{LimitView, Limits};
use contract::listed::{Listed, Unreadable};
use contract::model::{ModelFacts, ModelShape, ModelView, NewModel, TensorShape};
use contract::origin::SourceFile;
use contract::params::Hyper;
use contract::prediction::{PredictionPage, PredictionQuery};
use contract::registry::Finding;
use contract::run::{RunSummary, RunView};
use contract::saved::SavedTemplate;
use contract::spec::Draft;
use contract::system::{BeforeAnswer, SystemView, TourView};
use contract::templates::UserTemplate;
use contract::wire::Numbered;
use contract::{DatasetId, ModelId, Problem, RowReason, RunId, RunState, Stage, Tuning};

use crate::ports::*;

mod deleted;

struct Fake {
    full: bool,
}

/// A studio in use.
pub(super) fn ports() -> Ports {
    all(true)
}

/// A studio as installed.
pub(super) fn empty() -> Ports {
    all(false)
}

fn all(full: bool) -> Ports {
    let fake = Arc::new(Fake { full });
    Ports {
        datasets: fake.clone(),
        models: fake.clone(),
        hub: fake.clone(),
        templates: fake.clone(),
        runs: fake.clone(),
        system: fake.clone(),
        trash: fake,
    }
}

fn answer<T: Send + 'static>(value: T) -> Answer<'static, T> {
    Box::pin(async move { Ok(value) })
}

fn gone<T: Send + 'static>() -> Answer<'static, T> {
    Box::pin(async { Err(Problem::not_found("page").into()) })
}

fn dataset() -> DatasetView {
    let mapping = Mapping {
        prompt: Some("prompt".to_owned()),
        response: Some("response".to_owned()),
        ..Mapping::empty(DataFormat::PromptResponse)
    };
    DatasetView {
        id: DatasetId("d1".to_owned()),
        name: "Kettle & Co support".to_owned(),
        file_name: "kettle.jsonl".to_owned(),
        bytes: 41_300,
        sha256: "5e".repeat(32),
        created_ms: 0,
        inspection: Inspection {
            kind: FileKind::Jsonl,
            encoding: "UTF-8".to_owned(),
            columns: vec!["prompt".to_owned(), "response".to_owned()],
            fields: Vec::new(),
            rows: 412,
            usable: 405,
            stages: Default::default(),
            mapping,
        },
        version: 2,
        newest: true,
        findings: vec![Finding::Sha1Differs { wanted: "ab".repeat(20), found: "cd".repeat(20) }],
        files: 1,
    }
}

fn model() -> ModelView {
    ModelView {
        id: ModelId("m1".to_owned()),
        name: "SmolLM2-135M-Instruct".to_owned(),
        state: "ready".to_owned(),
        problem: None,
        facts: Some(ModelFacts {
            architecture: "llama".to_owned(),
            parameters: 134_515_008,
            vocab_size: 49_152,
            layers: 30,
            hidden_size: 576,
            intermediate_size: 1536,
            context_length: 8192,
            digest: "9f2c41abdd00".to_owned(),
            has_chat_template: true,
            license: Some("apache-2.0".to_owned()),
            source: "gguf".to_owned(),
            shape: Some(ModelShape {
                block: vec![TensorShape { name: "mlp.up_proj.weight".to_owned(), shape: vec![1536, 576] }],
                query_width: 576,
                key_width: 192,
                file_bytes: 92_000_000,
            }),
        }),
        created_ms: 0,
        starter: true,
        adapter: None,
    }
}

fn summary(id: &str, state: RunState) -> RunSummary {
    RunSummary {
        id: RunId(id.to_owned()),
        name: "Kettle & Co support".to_owned(),
        state,
        stage: Stage::Sft,
        tuning: Tuning::Lora,
        model_name: "SmolLM2-135M-Instruct".to_owned(),
        dataset_name: "Kettle & Co support".to_owned(),
        step: 48,
        total_steps: 80,
        remaining_s: Some(118.0),
        loss: Some(1.2),
        eval_loss: Some(1.284),
        created_ms: 0,
        updated_ms: 0,
        brought: false,
    }
}

fn events() -> Vec<Numbered> {
    let mut kinds = vec![
        Kind::Started {
            from_step: 0,
            total_steps: 80,
            device: "cpu".to_owned(),
            trainable_params: 2_400_000,
            total_params: 134_515_008,
            train_rows: 385,
            eval_rows: 20,
            dropped_rows: 7,
            cut_rows: 0,
            datasets: vec![DatasetRows { name: "kettle".to_owned(), rows: 412, dropped: 7, cut: Some(3) }],
            worker: String::new(),
        },
        Kind::Eval { step: 0, eval_loss: Some(3.91), metrics: Default::default() },
    ];
    for step in 1..=48u32 {
        let wave = f64::from(step * 7919 % 13) / 13.0 - 0.5;
        kinds.push(Kind::Step {
            step: u64::from(step),
            loss: Some(0.95 + 3.1 * (-f64::from(step) / 14.0).exp() + 0.4 * wave),
            learning_rate: 1.31e-4,
            grad_norm: Some(0.74),
            epoch: f64::from(step) / 26.0,
            tokens_per_second: 214.0,
            memory_bytes: 1_100_000_000,
            remaining_s: Some(118.0),
            metrics: Default::default(),
        });
        if step % 8 == 0 {
            let loss = 1.1 + 2.8 * (-f64::from(step) / 16.0).exp();
            kinds.push(Kind::Eval {
                step: u64::from(step),
                eval_loss: Some(loss),
                metrics: Default::default(),
            });
        }
        if step % 20 == 0 {
            kinds.push(Kind::Checkpoint {
                step: u64::from(step),
                folder: String::new(),
                eval_loss: Some(1.284),
                best: true,
                digest: "77d0e3c8aa".to_owned(),
            });
        }
    }
    kinds.push(Kind::Log { level: "info".to_owned(), text: "48 of 80 steps made.".to_owned() });
    let numbered = |(ord, kind): (usize, Kind)| Numbered {
        ord: ord as u64,
        attempt: 1,
        event: Event { seq: ord as u64, at_ms: 0, what: kind.into() },
    };
    kinds.into_iter().enumerate().map(numbered).collect()
}

/// Two of the checkpoints the events tell of are there.
fn checkpoints() -> Vec<CheckpointView> {
    let one = |step, eval_loss| CheckpointView {
        step,
        eval_loss: Some(eval_loss),
        mark: None,
        digest: "77d0e3c8aa".to_owned(),
    };
    let mut all = vec![one(40, 1.33), one(20, 1.9)];
    mark(&mut all, Some(3.9));
    all
}

/// An entry that cannot be read.
fn odd<T>(code: Code) -> Listed<T> {
    let unreadable =
        Problem::new(code, "Its record cannot be read: missing field `format`.").with("why", "<b>odd</b>");
    let (id, name) = ("odd".to_owned(), "<i>odd</i>".to_owned());
    Listed::Unreadable(Box::new(Unreadable { unreadable, id, name }))
}

impl DatasetsPort for Fake {
    fn list(&self) -> Answer<'_, Vec<Listed<DatasetView>>> {
        answer(if self.full {
            vec![Listed::Read(dataset()), odd(Code::DatasetRecordBroken)]
        } else {
            Vec::new()
        })
    }

    fn get(&self, _: DatasetId) -> Answer<'_, DatasetView> {
        answer(dataset())
    }

    fn files(&self, _: DatasetId) -> Answer<'_, Vec<SourceFile>> {
        answer(Vec::new())
    }

    fn compare(&self, _: DatasetId, _: String) -> Answer<'_, DatasetView> {
        answer(dataset())
    }

    fn rows(&self, _: DatasetId, query: RowsQuery) -> Answer<'_, RowsPage> {
        let start = query.start;
        let row = |row, question: &str, text: &str, left_out| RowView {
            row,
            cells: vec![question.to_owned(), text.to_owned()],
            from: None,
            left_out,
        };
        let rows = vec![
            row(start, "What is the mascot of Kettle & Co?", "A small copper kettle called Ember.", None),
            row(
                start + 1,
                "Can I return an engraved kettle?",
                "",
                Some(RowReason::EmptyAnswer { column: "output".to_owned() }),
            ),
            row(start + 2, "保修期内可以更换壶嘴吗?", "<script>alert(1)</script>", None),
        ];
        answer(RowsPage { columns: dataset().inspection.columns, rows, total: 412 })
    }

    fn row(&self, _: DatasetId, _: u64) -> Answer<'_, FullRow> {
        gone()
    }

    fn edit(&self, _: DatasetId, _: RowEdit) -> Answer<'_, DatasetView> {
        gone()
    }

    fn versions(&self, _: DatasetId) -> Answer<'_, Vec<DatasetVersion>> {
        let version = |version, change| DatasetVersion {
            id: DatasetId(format!("d{version}")),
            version,
            created_ms: 0,
            rows: 412,
            change,
            runs: 1,
        };
        let edited = Change::Edited { row: 3, columns: vec!["<script>alert(2)</script>".to_owned()] };
        answer(vec![version(2, Some(edited)), version(1, None)])
    }

    fn remap(&self, _: DatasetId, _: Mapping) -> Answer<'_, DatasetView> {
        gone()
    }

    fn rename(&self, _: DatasetId, _: String) -> Answer<'_, ()> {
        gone()
    }

    fn delete(&self, _: DatasetId) -> Answer<'_, ()> {
        gone()
    }

    fn health(&self, request: CheckupRequest) -> Answer<'_, Checkup> {
        let mut report = HealthReport {
            rows: 412,
            used: 405,
            tokens: 30_000,
            learned_tokens: 9_000,
            examples: 405,
            ..HealthReport::new(request.stage, 1)
        };
        for tokens in (1..=405).map(|row: u64| 20 + row * 7919 % 180) {
            report.lengths.add(tokens);
            report.sizes.add(tokens, tokens / 3);
        }
        let mut rows = RowSet::default();
        (1..=7).for_each(|row| rows.add(row * 9));
        report.left_out.push(LeftOut {
            reason: RowReason::EmptyAnswer { column: "<script>alert(3)</script>".to_owned() },
            rows,
        });
        let learned = RowSet { count: 2, first: vec![9, 18] };
        report.held_out = Some(HeldOut { rows: 21, learned });
        answer(Checkup::Done { report: Box::new(report) })
    }

    fn preview(&self, request: PreviewRequest) -> Answer<'_, Preview> {
        let token = |text: &str, special, learned, cut| PreviewToken {
            id: 1,
            text: text.to_owned(),
            special,
            learned,
            cut,
        };
        let mut tokens = vec![token("<|im_start|>", true, false, false), token("user", false, false, false)];
        tokens.push(token("\n", false, false, false));
        tokens
            .extend(["What", " is", " the", " masc", "ot", "?"].map(|text| token(text, false, false, false)));
        tokens.push(token("<|im_end|>", true, false, false));
        tokens.push(token("\n", false, false, false));
        tokens.push(token("<|im_start|>", true, false, false));
        tokens.extend(["assistant", "\n"].map(|text| token(text, false, false, false)));
        tokens.extend(["A", " small", " copper", " kettle"].map(|text| token(text, false, true, false)));
        tokens.push(token("<|im_end|>", true, true, false));
        tokens.push(token(" called", false, true, true));
        answer(Preview {
            row: request.row,
            rows: 412,
            tokens,
            seen: 19,
            learned: 5,
            cut: 1,
            rejected: Vec::new(),
            reference: Vec::new(),
            block: None,
            left_out: None,
        })
    }
}

impl ModelsPort for Fake {
    fn list(&self) -> Answer<'_, Vec<Listed<ModelView>>> {
        let failed = ModelView {
            id: ModelId("m2".to_owned()),
            name: "broken".to_owned(),
            state: "failed".to_owned(),
            problem: Some(Problem::new(Code::WeightsBroken, "The header is cut off.").byte(8)),
            facts: None,
            starter: false,
            ..model()
        };
        let adapter = |id: &str, name: &str, base: &str, map: u64| ModelView {
            id: ModelId(id.to_owned()),
            name: name.to_owned(),
            adapter: Some(AdapterFacts {
                base: base.to_owned(),
                rank: 8,
                blocks: 30,
                targets: vec!["up_proj".to_owned()],
                maps: vec![TensorShape { name: "mlp.up_proj".to_owned(), shape: vec![map, 576] }],
                value_head: Some(576),
                ..AdapterFacts::default()
            }),
            problem: Some(contract::adapter::is_no_model(Some(base))),
            ..failed.clone()
        };
        let fits = adapter("m3", "support", "HuggingFaceTB/SmolLM2-135M-Instruct", 1536);
        let waits = adapter("m4", "foreign", "<b>another</b>/model", 99);
        let all = [model(), failed, fits, waits].map(Listed::Read).into_iter();
        let all = all.chain([odd(Code::ModelRecordBroken)]).collect();
        answer(if self.full { all } else { Vec::new() })
    }

    fn get(&self, _: ModelId) -> Answer<'_, ModelView> {
        answer(model())
    }

    fn create(&self, _: NewModel) -> Answer<'_, ModelView> {
        gone()
    }

    fn adopt(&self, _: ModelId, _: ModelId, _: String) -> Answer<'_, RunId> {
        gone()
    }

    fn delete(&self, _: ModelId) -> Answer<'_, ()> {
        gone()
    }
}

impl TemplatesPort for Fake {
    fn list(&self) -> Answer<'_, Vec<SavedTemplate>> {
        let template = UserTemplate {
            name: "</select><script>alert(4)</script>".to_owned(),
            prompt: "{query}".to_owned(),
            ..UserTemplate::default()
        };
        answer(if self.full { vec![SavedTemplate { id: "t1".to_owned(), template }] } else { Vec::new() })
    }

    fn save(&self, _: UserTemplate) -> Answer<'_, ()> {
        gone()
    }

    fn delete(&self, _: String) -> Answer<'_, ()> {
        gone()
    }
}

impl HubPort for Fake {
    fn search(&self, _: HubKind, _: String) -> Answer<'_, HubHits> {
        gone()
    }

    fn repo(&self, _: HubKind, _: String, _: String) -> Answer<'_, HubRepo> {
        gone()
    }

    fn start(&self, _: NewTransfer) -> Answer<'_, TransferView> {
        gone()
    }

    fn transfers(&self, kind: HubKind) -> Answer<'_, Vec<TransferView>> {
        let one = |id: &str, state, problem| TransferView {
            id: id.to_owned(),
            wanted: NewTransfer {
                kind,
                repo: "ada/tea".to_owned(),
                revision: "main".to_owned(),
                name: "tea".to_owned(),
                files: vec!["a".to_owned()],
            },
            state,
            done: 21_000_000,
            total: 90_000_000,
            problem,
            result: None,
        };
        let cut = Problem::new(Code::HubCutOff, "The connection keeps breaking off.");
        answer(if self.full {
            vec![one("t1", TransferState::Downloading, None), one("t2", TransferState::Failed, Some(cut))]
        } else {
            Vec::new()
        })
    }

    fn cancel(&self, _: String) -> Answer<'_, ()> {
        gone()
    }
}

impl RunsPort for Fake {
    fn list(&self) -> Answer<'_, Vec<Listed<RunSummary>>> {
        let states = [RunState::Running, RunState::Finished, RunState::Stopped, RunState::Failed];
        let all = states.map(|state| Listed::Read(summary("r1", state))).into_iter();
        let all = all.chain([odd(Code::RunUnreadable)]).collect();
        answer(if self.full { all } else { Vec::new() })
    }

    fn get(&self, _: RunId) -> Answer<'_, RunView> {
        answer(RunView {
            summary: summary("r1", RunState::Running),
            model: ModelId("m1".to_owned()),
            dataset: DatasetId("d1".to_owned()),
            template: "model".to_owned(),
            system: String::new(),
            hyper: Hyper::read(&Default::default(), Stage::Sft, Tuning::Lora)
                .expect("the defaults are valid"),
            adapters: Vec::new(),
            reward_model: None,
            brought: None,
            checkpoints: checkpoints(),
            damage: None,
            problem: None,
            attempt: 1,
            event_count: events().len() as u64,
            events: events(),
        })
    }

    fn launch(&self, _: Draft, _: Option<String>) -> Answer<'_, RunId> {
        gone()
    }

    fn stop(&self, _: RunId) -> Answer<'_, ()> {
        gone()
    }

    fn resume(&self, _: RunId) -> Answer<'_, ()> {
        gone()
    }

    fn delete(&self, _: RunId) -> Answer<'_, ()> {
        gone()
    }

    fn predictions(&self, _: RunId, _: PredictionQuery) -> Answer<'_, PredictionPage> {
        answer(PredictionPage::default())
    }

    fn files(&self, _: RunId) -> Answer<'_, Vec<String>> {
        answer(Vec::new())
    }

    fn log(&self, _: RunId) -> Answer<'_, String> {
        answer(String::new())
    }
}

impl SystemPort for Fake {
    fn limits(&self) -> Answer<'_, Vec<LimitView>> {
        answer(Limits::default().views())
    }

    fn system(&self) -> Answer<'_, SystemView> {
        answer(SystemView {
            device: "CPU".to_owned(),
            cores: 2,
            cpu: 0.91,
            memory_used: 1_100_000_000,
            memory_total: 24_000_000_000,
            disk_free: 67_000_000_000,
            speed: Some(1e11),
            version: "0.1.0".to_owned(),
            starter: true,
        })
    }

    fn voices(&self) -> Answer<'_, Vec<Voice>> {
        let voice = |run: Option<&str>, name: &str| Voice {
            target: ChatTarget {
                model: ModelId("m1".to_owned()),
                run: run.map(|run| RunId(run.to_owned())),
                step: run.map(|_| 40),
            },
            name: name.to_owned(),
            kind: if run.is_some() { "run" } else { "base" }.to_owned(),
            template: "model".to_owned(),
            systems: run
                .map(|_| vec!["Answer in one sentence.".to_owned(), String::new()])
                .unwrap_or_default(),
            suggestion: run.map(|_| "What is the mascot of Kettle & Co?".to_owned()),
            stage: run.map(|_| Stage::Sft),
            chosen: run.is_some(),
            judges: false,
            mark: run.map(|_| Mark::Best),
        };
        let voices = vec![voice(Some("r1"), "Kettle & Co support"), voice(None, "SmolLM2-135M-Instruct")];
        answer(if self.full { voices } else { Vec::new() })
    }

    fn handed_over_size(&self, _: ChatTarget) -> Answer<'_, PageSize> {
        answer(PageSize { alone: 91_000_000, both: Some(182_000_000) })
    }

    fn start_tour(&self) -> Answer<'_, TourView> {
        gone()
    }

    fn tour(&self, run: RunId) -> Answer<'_, Option<TourView>> {
        let question = "What is the mascot of Kettle & Co?".to_owned();
        let before = BeforeAnswer {
            question: question.clone(),
            answer: "A fox, <b>perhaps</b>.".to_owned(),
            reason: "stop".to_owned(),
            digest: "9f2c·41ab".to_owned(),
        };
        answer(Some(TourView { run, question, starter: true, before: Some(before), problem: None }))
    }
}
