//! Rows of a run: prepared beside training, kept, counted, and taken from several datasets.

use std::path::Path;
use std::time::{Duration, Instant};

use contract::event::Kind;
use contract::spec::RunSpec;
use contract::stage::{Stage, Tuning};
use corpus::ModelTokenizer;
use rundir::RunDir;
use worker::stages;

use crate::support::{complete, events, finish, losses, model, pairs, spec, spec_of, start, text};

fn logs(events: &[Kind]) -> Vec<String> {
    let line = |kind: &Kind| if let Kind::Log { text, .. } = kind { Some(text.clone()) } else { None };
    events.iter().filter_map(line).collect()
}

/// Waits until the first attempt has said something for which `wanted` holds.
fn wait_long(run: &RunDir, wanted: impl Fn(&Kind) -> bool) {
    let began = Instant::now();
    while !events(run, 1).iter().any(&wanted) {
        assert!(began.elapsed() < Duration::from_secs(180), "{:?}", logs(&events(run, 1)));
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// Rows trained on, held out and left out.
fn counted(events: &[Kind]) -> (u64, u64, u64) {
    let found = events.iter().find_map(|kind| match kind {
        Kind::Started { train_rows, eval_rows, dropped_rows, .. } => {
            Some((*train_rows, *eval_rows, *dropped_rows))
        }
        _ => None,
    });
    found.expect("it started")
}

/// The scratch model with a template that refuses rows about the kettle.
fn picky(place: &Path) -> String {
    let folder = place.join("picky");
    std::fs::create_dir_all(&folder).expect("made");
    for entry in std::fs::read_dir(model()).expect("lists").flatten() {
        std::fs::copy(entry.path(), folder.join(entry.file_name())).expect("copied");
    }
    let source = "{% for m in messages %}{% if 'kettle' in m.content %}{{ raise_exception('no kettles') }}{% endif %}\
        {{ m.role + ': ' + m.content + '\\n' }}{% endfor %}";
    std::fs::write(folder.join("chat_template.jinja"), source).expect("written");
    folder.to_string_lossy().into_owned()
}

#[test]
fn rows_that_the_template_refuses_are_counted_and_the_others_learnt() {
    let place = tempfile::tempdir().expect("a folder");
    let mut spec = spec(place.path(), Tuning::Lora, &[("max_steps", "2"), ("dev_ratio", "0.1")]);
    spec.model.folder = picky(place.path());
    let run = complete(place.path(), "run", &spec);
    let events = events(&run, 1);
    assert_eq!(counted(&events), (18, 3, 3));
    let said = logs(&events).join("\n");
    assert!(said.contains("3 rows are left out (3 of them refused by the template)"), "{said}");
    assert!(said.contains("no kettles"), "{said}");
}

#[test]
fn a_large_set_begins_before_it_is_counted_through_and_gives_refused_rows_turns_to_others() {
    let place = tempfile::tempdir().expect("a folder");
    let values = [("num_train_epochs", "2"), ("dev_ratio", "0.1"), ("per_device_train_batch_size", "3")];
    let mut spec = spec(place.path(), Tuning::Lora, &values);
    spec.model.folder = picky(place.path());
    spec.dataset.rows = stages::LARGE;
    spec.prepared = place.path().join("prepared").to_string_lossy().into_owned();
    let (first, second) = (complete(place.path(), "first", &spec), complete(place.path(), "second", &spec));
    let said = |run: &RunDir| logs(&events(run, 1)).join("\n");
    assert!(said(&first).contains("24 of 24 rows can teach; they are prepared beside training."));
    assert!(said(&second).contains("Rows are found prepared: 21 examples"), "{}", said(&second));
    let steps = losses(&events(&first, 1));
    assert_eq!(steps.len(), 14, "21 places in batches of 3, twice");
    assert_eq!(steps, losses(&events(&second, 1)), "found or made, the rows are the same");
    let measured = |kind: &Kind| matches!(kind, Kind::Eval { step: 0, .. });
    assert!(!events(&first, 1).iter().any(measured), "the first step does not wait for held-out rows");
}

#[test]
fn several_datasets_each_with_its_system_text() {
    let place = tempfile::tempdir().expect("a folder");
    let other = tempfile::tempdir().expect("a folder");
    let values = [("source_prefix", "First voice.|Second voice."), ("dev_ratio", "0"), ("max_samples", "20")];
    let mut spec = spec(place.path(), Tuning::Lora, &values);
    spec.template = "default".to_owned();
    let mut second = spec_of(Stage::Dpo, other.path(), Tuning::Lora, &[]).dataset;
    assert_eq!(second.file, pairs(other.path()).to_string_lossy());
    second.name = "pairs".to_owned();
    spec.more_datasets = vec![second];
    let tokenizer = ModelTokenizer::load(model()).expect("loads");
    let read = |spec: &RunSpec, rows: u32| -> Vec<String> {
        let data = stages::encode(spec, &place.path().join("prepared")).expect("encoded");
        let rows = data.rows(&(0..rows).collect::<Vec<_>>()).expect("prepared");
        rows.iter().map(|row| tokenizer.decode(&row.input_ids, true)).collect()
    };
    let rows = read(&spec, 36);
    assert!(rows[..20].iter().all(|row| row.contains("First voice.")), "{}", rows[0]);
    assert!(rows[20..].iter().all(|row| row.contains("Second voice.")), "{}", rows[20]);
    spec.hyper.mixing = "until_longest".to_owned();
    spec.hyper.mixing_weights = "1,3".to_owned();
    let rows = read(&spec, 40);
    let second = rows.iter().filter(|row| row.contains("Second voice.")).count();
    assert!((22..=38).contains(&second), "drawn three times as often: {second} of 40");
    spec.hyper.max_samples = 0;
    let run = complete(place.path(), "run", &{
        spec.hyper.max_steps = 2;
        spec.hyper.mixing = "concatenate".to_owned();
        spec
    });
    assert_eq!(counted(&events(&run, 1)), (40, 0, 0));
}

#[test]
fn the_first_step_over_a_million_rows_comes_within_seconds_and_memory_stays_small() {
    const ROWS: u64 = 1_000_000;
    let place = tempfile::tempdir().expect("a folder");
    let values = [
        ("max_steps", "1000000"),
        ("dev_ratio", "0"),
        ("max_source_length", "32"),
        ("save_steps", "1000000"),
    ];
    let mut spec = spec(place.path(), Tuning::Lora, &values);
    spec.template = "vanilla".to_owned();
    let line =
        |row: u64| format!("{{\"instruction\":\"Cup {row}?\",\"output\":\"It is cup {}.\"}}\n", row % 997);
    let lines: String = (0..ROWS).map(line).collect();
    std::fs::write(&spec.dataset.file, lines).expect("written");
    spec.dataset.rows = ROWS;
    spec.prepared = place.path().join("prepared").to_string_lossy().into_owned();
    let begin = |name: &str| {
        let run = RunDir::create(&place.path().join(name), &spec).expect("created");
        let (began, child) = (Instant::now(), start(&run));
        wait_long(&run, |kind| matches!(kind, Kind::Step { .. } | Kind::Failed { .. }));
        (run, child, began.elapsed())
    };
    let (run, mut child, first) = begin("first");
    let prepared =
        |kind: &Kind| matches!(kind, Kind::Log { text, .. } if text.starts_with("Rows are prepared"));
    assert!(!events(&run, 1).iter().any(prepared), "it trains while rows are prepared");
    wait_long(&run, prepared);
    let memory = events(&run, 1).iter().fold(0, |most, kind| match kind {
        Kind::Step { memory_bytes, .. } => most.max(*memory_bytes),
        _ => most,
    });
    child.kill().expect("killed");
    finish(child);
    let (again, mut child, second) = begin("second");
    child.kill().expect("killed");
    finish(child);
    eprintln!("first step after {first:?}, of the second run after {second:?}; {} MiB", memory >> 20);
    assert!(
        logs(&events(&run, 1)).iter().any(|line| line.starts_with("Preparing rows: ")),
        "progress is told"
    );
    assert!(logs(&events(&again, 1)).iter().any(|line| line.starts_with("Rows are found prepared: 1000000")));
    assert!(first < Duration::from_secs(30), "{first:?}");
    assert!(second < first, "{second:?}");
    assert!(memory < 256 << 20, "{} MiB, the model included", memory >> 20);
}

#[test]
fn a_large_set_whose_file_breaks_off_says_where() {
    let place = tempfile::tempdir().expect("a folder");
    let mut spec = spec(place.path(), Tuning::Lora, &[("max_steps", "2")]);
    let mut lines = std::fs::read(&spec.dataset.file).expect("reads");
    lines.extend(b"{\"instruction\":\"\xFF");
    std::fs::write(&spec.dataset.file, lines).expect("written");
    spec.dataset.rows = stages::LARGE;
    let run = RunDir::create(&place.path().join("run"), &spec).expect("created");
    let ended = finish(start(&run));
    assert!(!ended.status.success(), "{}", text(&ended));
    match events(&run, 1).last() {
        Some(Kind::Failed { problem, .. }) => {
            assert_eq!(problem.place.clone().and_then(|place| place.row), Some(25))
        }
        other => panic!("did not fail: {other:?}"),
    }
}
