//! Whole datasets: the health pass and prepared rows.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use contract::checkup::Holdout;
use contract::dataset::{Behaviour, DataFormat, FileKind, Mapping, Mixing};
use contract::health::HeldOut;
use contract::sizes::Sizes;
use contract::stage::Stage;
use contract::{Code, RowReason};
use corpus::block::{Wanted, block};
use corpus::encode::{Example, PtPacker};
use corpus::health::{health, health_within};
use corpus::inspect::inspect;
use corpus::job::Job;
use corpus::mix::Part;
use corpus::prepared::Prepared;
use corpus::preview::preview;
use corpus::sampler::split;
use corpus::source::folder::list;
use corpus::tokenizer::train::train;
use corpus::{Encoder, ModelTokenizer, Template, open};

fn tokenizer() -> Arc<ModelTokenizer> {
    trained((0..50).map(|n| format!("How do I descale kettle {n}? With vinegar and water.")), 320)
}

fn trained(texts: impl Iterator<Item = String> + Send, size: usize) -> Arc<ModelTokenizer> {
    let files = train(texts, size).unwrap();
    let config = Some(files.tokenizer_config_json.as_slice());
    Arc::new(ModelTokenizer::from_bytes(&files.tokenizer_json, config, None, None).unwrap())
}

fn job(path: &Path, mapping: Mapping, stage: Stage) -> Job {
    let tokenizer = tokenizer();
    Job {
        encoder: Encoder {
            template: Template::resolve("default", &tokenizer).unwrap(),
            tokenizer,
            stage,
            max_source_length: 400,
            max_target_length: 16,
            system: None,
            behaviour: Behaviour::Corrected,
            control_tokens_in_text: false,
        },
        parts: vec![Part {
            name: "set".into(),
            files: list(path).unwrap(),
            mapping,
            prefix: None,
            weight: 1.0,
        }],
        mixing: Mixing::Concatenate,
        max_samples: 0,
        seed: 1,
        total: 0,
    }
}

fn alpaca() -> Mapping {
    Mapping {
        prompt: Some("q".into()),
        response: Some("a".into()),
        ..Mapping::empty(DataFormat::PromptResponse)
    }
}

fn rows(folder: &Path, count: usize) -> std::path::PathBuf {
    let path = folder.join("rows.jsonl");
    let row = |n: usize| match n % 10 {
        3 => format!("{{\"q\":\"Question {n}?\",\"a\":\"\"}}\n"),
        4 => "{\"q\":\"The same?\",\"a\":\"Yes.\"}\n".to_owned(),
        5 => format!("{{\"q\":\"Long {n}?\",\"a\":\"{}\"}}\n", "word ".repeat(40)),
        _ => format!("{{\"q\":\"Question {n}?\",\"a\":\"Answer {n}.\"}}\n"),
    };
    std::fs::write(&path, (0..count).map(row).collect::<String>()).unwrap();
    path
}

#[test]
fn an_empty_answer_is_counted_in_whatever_form_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let count = |name: &str, format, stage, lines: &[&str]| {
        let path = folder.path().join(name);
        std::fs::write(&path, lines.join("\n")).unwrap();
        let job = job(&path, Mapping::empty(format), stage);
        let report = health(&job, 1, &mut |_| ControlFlow::Continue(())).unwrap();
        (report.left_out.len(), report.empty_answers.first)
    };
    let talks = [
        r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":""}]}"#,
        r#"{"messages":[{"role":"user","content":"q"}]}"#,
        r#"{"messages":[{"role":"user","content":""}]}"#,
    ];
    assert_eq!(count("talks.jsonl", DataFormat::Messages, Stage::Sft, &talks), (3, vec![1, 2]));
    let pairs =
        [r#"{"prompt":"q","chosen":"a","rejected":""}"#, r#"{"prompt":"","chosen":"a","rejected":"b"}"#];
    assert_eq!(count("pairs.jsonl", DataFormat::Pairs, Stage::Rm, &pairs), (2, vec![1]));
}

/// Files of every format, each with rows that some stage leaves out.
const MIXED: [(&str, &str); 8] = [
    (
        "alpaca.jsonl",
        "{\"instruction\":\"q\",\"output\":0}\n{\"instruction\":\"q\",\"output\":\"\"}\n{\"output\":\"a\"}",
    ),
    ("prompts.jsonl", "{\"instruction\":\"q\",\"output\":\"\"}\n{\"instruction\":\"\",\"output\":\"\"}"),
    ("table.csv", "question,answer\nq,false\nq,\n,a\n"),
    (
        "talks.jsonl",
        r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}
{"messages":[{"role":"user","content":"q"}]}
{"messages":[{"role":"assistant","content":"a"}]}"#,
    ),
    ("asked.jsonl", r#"{"messages":[{"role":"user","content":"q"}]}"#),
    (
        "pairs.json",
        r#"[{"prompt":"q","chosen":"a","rejected":"b"},{"prompt":"q","chosen":"a"},{"prompt":"","chosen":"a","rejected":"b"}]"#,
    ),
    ("lists.json", r#"[{"prompt":"q","output":["a","b"]},{"prompt":"q","output":[false,0]}]"#),
    ("lines.txt", "one\n\ntwo\n"),
];

#[test]
fn upload_preview_health_count_and_run_use_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in MIXED {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let kind = FileKind::of_name(name).unwrap();
        let found = inspect(&path, kind, None).unwrap();
        assert!(found.usable > 0, "{name}");
        assert_eq!(found.usable, found.usable_in(found.suited()), "{name}");
        for stage in Stage::ALL {
            let what = format!("{name} in {stage:?}");
            let job = job(&path, found.mapping.clone(), stage);
            let usable = found.usable_in(stage);
            assert_eq!(job.count().unwrap().usable, usable, "{what}");
            assert_eq!(health(&job, 1, &mut |_| ControlFlow::Continue(())).unwrap().used, usable, "{what}");
            let shown = open(&path, kind).unwrap().zip(1..).filter(|(row, number)| {
                let row = row.as_ref().unwrap();
                let shown = match stage {
                    Stage::Pt => block(&job, Wanted::OfRow(*number), found.rows),
                    _ => preview(&job.encoder, row, &found.mapping, *number, found.rows),
                };
                shown.unwrap().left_out.is_none()
            });
            assert_eq!(shown.count() as u64, usable, "{what}");
            let key = job.fingerprint(&["data".into()]);
            let prepared = Prepared::start(&folder.path().join("store"), &key, job).unwrap();
            let summary = prepared.wait().unwrap();
            assert_eq!(summary.rows - summary.dropped_rows, usable, "{what}");
        }
    }
}

#[test]
fn health_counts_what_is_used_lost_and_cut() {
    let folder = tempfile::tempdir().unwrap();
    let job = job(&rows(folder.path(), 5000), alpaca(), Stage::Sft);
    let mut seen = Vec::new();
    let report = health(&job, 1, &mut |progress| {
        seen.push(progress.rows);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!((report.rows, report.used, report.examples), (5000, 4500, 4500));
    assert_eq!(report.left_out.len(), 1);
    let reason = RowReason::EmptyAnswer { column: "a".to_owned() };
    assert_eq!((&report.left_out[0].reason, report.left_out[0].rows.count), (&reason, 500));
    assert_eq!(report.left_out[0].rows.first[..3], [4, 14, 24]);
    assert_eq!(report.left_out[0].rows.first.len(), contract::health::ROWS_KEPT);
    assert_eq!(report.empty_answers.count, 500);
    assert_eq!(
        (report.duplicates.count, report.duplicates.first[0]),
        (499, 15),
        "the first one is no duplicate"
    );
    assert_eq!((report.truncated.rows.count, report.truncated.rows.first[0]), (500, 6));
    assert!(report.truncated.answer_tokens > 500 && report.truncated.question_tokens == 0);
    assert_eq!(report.lengths.counted(), 4500);
    assert!(report.lengths.total > report.tokens && report.tokens > report.learned_tokens);
    assert_eq!(
        report.steps(0.1, 4, 2, 2.0),
        1014,
        "450 rows held out, 4050 in 1013 batches, 507 steps a round"
    );
    assert!(seen.len() >= 3 && seen.windows(2).all(|pair| pair[0] < pair[1]), "progress moves: {seen:?}");
    assert_eq!(seen.last(), Some(&5000));
}

#[test]
fn some_rows_of_many_tell_the_sizes_of_all() {
    let folder = tempfile::tempdir().unwrap();
    let job = job(&rows(folder.path(), 5000), alpaca(), Stage::Sft);
    let go = &mut |_: contract::health::Progress| ControlFlow::Continue(());
    let (all, some) = (health(&job, 1, go).unwrap(), health(&job, 7, go).unwrap());
    assert_eq!((all.every, some.every, some.rows), (1, 7, 715), "rows 1, 8, 15 and so on");
    assert_eq!(some.left_out[0].rows.first[..2], [64, 134], "by their numbers in the file");
    assert_eq!(
        (all.sizes.count, all.sizes.tokens, all.sizes.learned),
        (4500, all.tokens, all.learned_tokens)
    );
    let ratio = some.sizes.mean() / all.sizes.mean();
    assert!((0.98..1.02).contains(&ratio), "{ratio}");
    let store = Prepared::start(&folder.path().join("store"), "k", job).unwrap();
    let examples = store.wait().unwrap().examples;
    let mut read = Sizes::default();
    for index in 0..examples {
        let (tokens, learned) = store.get(index).unwrap().unwrap().size();
        read.add(tokens, learned);
    }
    assert_eq!(read, all.sizes, "as a run finds them");
}

#[test]
fn a_million_rows_are_checked_whole_and_progress_is_told() {
    const ROWS: u64 = 1_000_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("million.jsonl");
    let mut file = BufWriter::new(File::create(&path).unwrap());
    for n in 0..ROWS {
        let steps = "Rinse it and let it stand. ".repeat((n % 4) as usize);
        writeln!(file, "{{\"q\":\"How do I descale kettle {n}?\",\"a\":\"{steps}With vinegar.\"}}").unwrap();
    }
    file.flush().unwrap();
    let mut job = Job { total: ROWS, ..job(&path, alpaca(), Stage::Sft) };
    // The other tests' vocabulary is so small that it cuts a row into four times as many tokens as a real one.
    let words = ["How do I descale kettle 12? Rinse it and let it stand. With vinegar.".to_owned()];
    job.encoder.tokenizer = trained(words.into_iter().cycle().take(200), 600);
    job.encoder.template = Template::resolve("vanilla", &job.encoder.tokenizer).unwrap();
    let (began, mut notes) = (Instant::now(), 0);
    let report = health(&job, 1, &mut |progress| {
        notes += 1;
        assert!(progress.rows <= progress.total && progress.total == ROWS);
        ControlFlow::Continue(())
    })
    .unwrap();
    let took = began.elapsed();
    eprintln!("{ROWS} rows, {} tokens in {took:?}, {notes} notes of progress", report.tokens);
    assert_eq!((report.rows, report.used), (ROWS, ROWS));
    assert!(notes >= 100, "{notes}");
}

#[test]
fn health_stops_when_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let job = job(&rows(folder.path(), 5000), alpaca(), Stage::Sft);
    let problem = health(&job, 1, &mut |_| ControlFlow::Break(())).unwrap_err();
    assert_eq!(problem.code, Code::DataCancelled);
}

#[test]
fn health_of_pairs_and_texts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.jsonl");
    let pair = |n: usize| {
        format!(
            "{{\"prompt\":\"q {n}\",\"chosen\":\"good {n}\",\"rejected\":\"{}\"}}\n",
            if n == 2 { "good 2" } else { "bad" }
        )
    };
    std::fs::write(&path, (0..10).map(pair).collect::<String>()).unwrap();
    let pairs = job(&path, Mapping::empty(DataFormat::Pairs), Stage::Dpo);
    let report = health(&pairs, 1, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((report.used, report.lengths.counted()), (10, 20), "two sequences a row");
    assert_eq!((report.sizes.count, report.sizes.tokens), (10, report.tokens), "one example");
    assert_eq!(report.equal_pairs.first, [3]);
    let path = folder.path().join("texts.txt");
    std::fs::write(&path, "one two three four five six seven\n".repeat(100)).unwrap();
    let mapping = Mapping { prompt: Some("text".into()), ..Mapping::empty(DataFormat::Text) };
    let mut texts = job(&path, mapping, Stage::Pt);
    texts.encoder.max_source_length = 32;
    let report = health(&texts, 1, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((report.used, report.duplicates.count), (100, 99));
    assert_eq!(report.lengths.counted(), 1, "a text file is one text");
    assert_eq!((report.tokens, report.dropped_tokens), (report.lengths.total, 0));
    assert_eq!(report.examples, report.lengths.total.div_ceil(32), "the last block is a shorter one");
    assert_eq!((report.sizes.count, report.sizes.longest[0]), (report.examples, 32));
}

#[test]
fn a_broken_row_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = rows(folder.path(), 3000);
    let mut text = std::fs::read_to_string(&path).unwrap();
    // Which of the two is meant, nobody can tell.
    text.push_str("{\"q\":1,\"q\":2}\n");
    std::fs::write(&path, text).unwrap();
    let job = job(&path, alpaca(), Stage::Sft);
    let problem = health(&job, 1, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert_eq!(problem.place.unwrap().row, Some(3001));
    let store = folder.path().join("store");
    let problem = Prepared::start(&store, "k", job).unwrap().wait().unwrap_err();
    assert_eq!(problem.place.unwrap().row, Some(3001));
    assert_eq!(std::fs::read_dir(&store).unwrap().count(), 0, "nothing half made is left");
}

#[test]
fn prepared_rows_are_read_while_they_are_made_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = rows(folder.path(), 5000);
    let job = job(&path, alpaca(), Stage::Sft);
    let mut wanted = Vec::new();
    for row in corpus::open(&path, job.parts[0].files.kind).unwrap() {
        if let Ok(example) = job.encoder.encode_row(&row.unwrap(), &job.parts[0].mapping, None).unwrap() {
            wanted.push(example);
        }
    }
    let store = folder.path().join("store");
    let key = job.fingerprint(&["d".to_owned()]);
    assert!(Prepared::open(&store, &key).is_none());
    let growing = Prepared::start(&store, &key, job.clone()).unwrap();
    assert_eq!(growing.get(0).unwrap().as_ref(), wanted.first(), "waits for the first rows only");
    assert_eq!(growing.get(4499).unwrap().as_ref(), wanted.last());
    assert_eq!(growing.get(4500).unwrap(), None);
    let summary = growing.wait().unwrap();
    assert_eq!(
        (summary.examples, summary.rows, summary.dropped_rows, summary.cut_rows),
        (4500, 5000, 500, 500)
    );
    assert_eq!(summary.first_dropped, Some((4, RowReason::EmptyAnswer { column: "a".to_owned() })));

    let again = Prepared::open(&store, &key).expect("found again");
    for (index, example) in wanted.iter().enumerate() {
        assert_eq!(again.get(index as u64).unwrap().as_ref(), Some(example));
    }
    assert_eq!(again.wait().unwrap(), summary);
}

#[test]
fn s_026_a_store_is_named_by_everything_that_decides_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let job = job(&rows(folder.path(), 10), alpaca(), Stage::Sft);
    let digests = ["d".to_owned()];
    let first = job.fingerprint(&digests);
    assert_eq!(first, job.clone().fingerprint(&digests));
    let changed = |change: fn(&mut Job)| {
        let mut other = job.clone();
        change(&mut other);
        other.fingerprint(&digests)
    };
    let others = [
        job.fingerprint(&["e".to_owned()]),
        changed(|job| job.encoder.max_source_length += 1),
        changed(|job| job.encoder.max_target_length += 1),
        changed(|job| job.encoder.system = Some("x".into())),
        changed(|job| job.encoder.stage = Stage::Ppo),
        changed(|job| job.encoder.behaviour = Behaviour::Original),
        changed(|job| job.encoder.template = Template::resolve("alpaca", &job.encoder.tokenizer).unwrap()),
        changed(|job| job.parts[0].mapping.query = Some("z".into())),
        changed(|job| job.parts[0].prefix = Some("z".into())),
        changed(|job| job.max_samples = 5),
        changed(|job| job.mixing = Mixing::UntilShortest),
    ];
    let mut all: Vec<_> = others.iter().chain([&first]).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), others.len() + 1);
    let mut seeded = job.clone();
    seeded.seed = 2;
    assert_eq!(first, seeded.fingerprint(&digests), "without mixing the seed decides nothing");
}

#[test]
fn a_damaged_store_is_made_anew_and_a_dropped_one_stops() {
    let folder = tempfile::tempdir().unwrap();
    let job = job(&rows(folder.path(), 100), alpaca(), Stage::Sft);
    let store = folder.path().join("store");
    Prepared::start(&store, "k", job.clone()).unwrap().wait().unwrap();
    assert!(Prepared::open(&store, "k").is_some() && Prepared::open(&store, "other").is_none());
    let file = std::fs::OpenOptions::new().write(true).open(store.join("k.rows")).unwrap();
    file.set_len(10).unwrap();
    assert!(Prepared::open(&store, "k").is_none(), "sizes do not fit");
}

#[test]
fn blocks_of_texts_are_those_of_the_packer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("texts.txt");
    let texts: Vec<String> = (0..3000).map(|n| format!("text number {n} of many")).collect();
    std::fs::write(&path, texts.join("\n")).unwrap();
    let mapping = Mapping { prompt: Some("text".into()), ..Mapping::empty(DataFormat::Text) };
    for behaviour in Behaviour::ALL {
        let mut job = job(&path, mapping.clone(), Stage::Pt);
        job.encoder.behaviour = behaviour;
        let mut packer = PtPacker::new(&job.encoder.tokenizer, 400).behaving(behaviour);
        match behaviour {
            Behaviour::Corrected => packer.push(&texts.join("\n")).unwrap(),
            Behaviour::Original => texts.iter().for_each(|text| packer.push(text).unwrap()),
        }
        let wanted = packer.finish().blocks;
        let prepared = Prepared::start(&folder.path().join(behaviour.key()), "k", job.clone()).unwrap();
        assert_eq!(prepared.wait().unwrap().examples, wanted.len() as u64);
        for (index, block) in wanted.into_iter().enumerate() {
            assert_eq!(prepared.get(index as u64).unwrap(), Some(Example::Sequence(block)));
        }
    }
}

#[test]
fn s_141_every_document_ends_with_the_end_token_whatever_file_it_is_in() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("two.jsonl", "{\"text\":\"Kettle\"}\n{\"text\":\"水\\nand tea\"}\n"),
        ("two.json", "[{\"text\":\"Kettle\"},{\"text\":\"水\\nand tea\"}]"),
        ("two.csv", "text\nKettle\n\"水\nand tea\"\n"),
    ];
    let mapping = Mapping { prompt: Some("text".into()), ..Mapping::empty(DataFormat::Text) };
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let mut job = job(&path, mapping.clone(), Stage::Pt);
        let tokenizer = Arc::clone(&job.encoder.tokenizer);
        let (end, mut wanted) = (tokenizer.eos_id().unwrap(), Vec::new());
        for text in ["Kettle", "水\nand tea"] {
            wanted.extend(tokenizer.encode(text, false).unwrap());
            wanted.push(end);
        }
        job.encoder.max_source_length = 4;
        let store = Prepared::start(&folder.path().join(name.replace('.', "-")), "k", job.clone()).unwrap();
        let examples = store.wait().unwrap().examples;
        let mut ids = Vec::new();
        for index in 0..examples {
            let Some(Example::Sequence(block)) = store.get(index).unwrap() else { panic!("a block") };
            assert!(block.labels.iter().zip(&block.input_ids).all(|(label, id)| *label == i64::from(*id)));
            ids.extend(block.input_ids);
        }
        assert_eq!(ids, wanted, "{name}");
        let count = |job: &Job| health(job, 1, &mut |_| ControlFlow::Continue(())).unwrap();
        let report = count(&job);
        assert_eq!((report.tokens, report.learned_tokens), (wanted.len() as u64, wanted.len() as u64));
        assert_eq!((report.examples, report.dropped_tokens, report.no_end_token.count), (examples, 0, 0));
        job.encoder.behaviour = Behaviour::Original;
        let original = count(&job);
        let texts = wanted.len() as u64 - 2;
        assert_eq!((original.tokens, original.dropped_tokens), (texts / 4 * 4, texts % 4), "{name}");
        let store = Prepared::start(&folder.path().join(name.replace('.', "-")), "o", job).unwrap();
        assert_eq!(store.wait().unwrap().dropped_tokens, texts % 4);
    }
}

#[test]
fn s_141_a_text_file_keeps_its_lines_and_ends_once() {
    let folder = tempfile::tempdir().unwrap();
    let mapping = Mapping { prompt: Some("text".into()), ..Mapping::empty(DataFormat::Text) };
    let files = [
        ("plain.txt", "Kettle\nTea", "Kettle\nTea"),
        ("last.txt", "Kettle\nTea\n", "Kettle\nTea"),
        ("windows.txt", "Kettle\r\nTea\r\n", "Kettle\nTea"),
        ("blank.txt", "\nKettle\n\n\n  Tea 水\n\n", "\nKettle\n\n\n  Tea 水\n"),
        ("one.txt", "Kettle", "Kettle"),
    ];
    for (name, content, text) in files {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let job = job(&path, mapping.clone(), Stage::Pt);
        let wanted = job.encoder.line_ids(text, true, true).unwrap();
        assert_eq!(wanted.last().copied(), job.encoder.tokenizer.eos_id());
        let store = Prepared::start(&folder.path().join(name.replace('.', "-")), "k", job.clone()).unwrap();
        let summary = store.wait().unwrap();
        assert_eq!((summary.examples, summary.rows), (1, text.split('\n').count() as u64), "{name}");
        assert_eq!(summary.dropped_rows, 0, "a blank line is a blank line");
        let Some(Example::Sequence(block)) = store.get(0).unwrap() else { panic!("a block") };
        assert_eq!(block.input_ids, wanted, "{name}");
        let report = health(&job, 1, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!((report.rows, report.used, report.tokens), (summary.rows, summary.rows, summary.tokens));
        assert_eq!(job.count().unwrap().usable, summary.rows);
    }
    let poems = folder.path().join("poems");
    std::fs::create_dir(&poems).unwrap();
    std::fs::write(poems.join("1.txt"), "Kettle\nTea").unwrap();
    std::fs::write(poems.join("2.txt"), "Water\n").unwrap();
    let report = health(&job(&poems, mapping, Stage::Pt), 1, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((report.rows, report.lengths.counted()), (3, 2), "each file of a folder is a text");
}

#[test]
fn what_teaches_no_end_is_a_finding_in_every_stage() {
    let folder = tempfile::tempdir().unwrap();
    let files = train(["Kettle and tea".to_owned()].into_iter(), 300).unwrap();
    let bare = Arc::new(ModelTokenizer::from_bytes(&files.tokenizer_json, None, None, None).unwrap());
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let talks = write("talks.jsonl", "{\"q\":\"a\",\"a\":\"\"}\n{\"q\":\"a\",\"a\":\"b\"}\n");
    let texts = write("texts.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\"}\n");
    let pairs = write("pairs.jsonl", "{\"prompt\":\"q\",\"chosen\":\"a\",\"rejected\":\"b\"}\n");
    let cases = [
        (&talks, alpaca(), Stage::Sft, vec![2]),
        (
            &texts,
            Mapping { prompt: Some("text".into()), ..Mapping::empty(DataFormat::Text) },
            Stage::Pt,
            vec![1, 2],
        ),
        (&pairs, Mapping::empty(DataFormat::Pairs), Stage::Dpo, vec![1]),
        (&pairs, Mapping::empty(DataFormat::Pairs), Stage::Rm, vec![1]),
    ];
    for (path, mapping, stage, rows) in cases {
        let known = job(path, mapping, stage);
        let mut unknown = known.clone();
        unknown.encoder.tokenizer = Arc::clone(&bare);
        unknown.encoder.template = Template::resolve("default", &bare).unwrap();
        let found =
            |job: &Job| health(job, 1, &mut |_| ControlFlow::Continue(())).unwrap().no_end_token.first;
        assert_eq!((found(&known), found(&unknown)), (vec![], rows), "{stage:?}");
    }
}

#[test]
fn rows_beyond_the_positions_of_a_model_are_found_after_cutting() {
    let folder = tempfile::tempdir().unwrap();
    let path = rows(folder.path(), 20);
    let beyond = |job: &Job, positions| {
        let report = health_within(job, positions, None, 1, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(report.positions, positions);
        (report.beyond_positions.first, report.lengths.longest, report.sizes.longest[0])
    };
    let sft = job(&path, alpaca(), Stage::Sft);
    let (none, before, kept) = beyond(&sft, None);
    assert!(none.is_empty() && kept < before, "rows 6 and 16 are cut");
    assert_eq!(beyond(&sft, Some(kept)).0, [] as [u64; 0], "as many as there are is not beyond");
    assert_eq!(beyond(&sft, Some(kept - 1)).0, [16]);
    assert_eq!(beyond(&sft, Some(kept - 2)).0, [6, 16], "its number is one digit shorter");
    let pairs = folder.path().join("pairs.jsonl");
    let long = "tea ".repeat(30);
    let pair = |prompt: &str, chosen: &str, rejected: &str| {
        format!("{{\"prompt\":\"{prompt}\",\"chosen\":\"{chosen}\",\"rejected\":\"{rejected}\"}}\n")
    };
    let lines = [pair("q", "a", "b"), pair(&long, "a", "b"), pair("q", "a", &long)];
    std::fs::write(&pairs, lines.concat()).unwrap();
    let dpo = job(&pairs, Mapping::empty(DataFormat::Pairs), Stage::Dpo);
    let short = health(&dpo, 1, &mut |_| ControlFlow::Continue(())).unwrap().lengths.shortest;
    assert_eq!(beyond(&dpo, Some(short + 1)).0, [2, 3], "either answer counts");
    let ppo = job(&path, alpaca(), Stage::Ppo);
    let prompt = beyond(&ppo, None).2;
    assert_eq!(beyond(&ppo, Some(prompt + 15)).0, [] as [u64; 0], "the answer that is written counts");
    assert!(!beyond(&ppo, Some(prompt + 14)).0.is_empty());
    let texts = folder.path().join("texts.jsonl");
    std::fs::write(&texts, format!("{{\"text\":\"tea\"}}\n{{\"text\":\"{long}\"}}\n")).unwrap();
    let mapping = Mapping { prompt: Some("text".into()), ..Mapping::empty(DataFormat::Text) };
    let mut pt = job(&texts, mapping, Stage::Pt);
    pt.encoder.max_source_length = 16;
    assert_eq!((beyond(&pt, Some(16)).0, beyond(&pt, Some(15)).0), (vec![], vec![2]));
}

#[test]
fn pairs_that_differ_only_in_what_is_cut_are_a_finding_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.jsonl");
    let same = "tea ".repeat(40);
    let pair = |chosen: &str, rejected: &str| {
        format!("{{\"prompt\":\"q\",\"chosen\":\"{chosen}\",\"rejected\":\"{rejected}\"}}\n")
    };
    let lines = [
        pair("a", "b"),
        pair("a", "a"),
        pair(&format!("{same}good"), &format!("{same}bad")),
        pair(&format!("good {same}"), &format!("bad {same}")),
    ];
    std::fs::write(&path, lines.concat()).unwrap();
    for stage in [Stage::Dpo, Stage::Rm] {
        let job = job(&path, Mapping::empty(DataFormat::Pairs), stage);
        let report = health(&job, 1, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!((report.equal_pairs.first, report.equal_when_cut.first), (vec![2], vec![3]));
        let mut whole = job.clone();
        whole.encoder.max_target_length = 400;
        let report = health(&whole, 1, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(report.equal_when_cut.count, 0);
    }
}

/// Forty-eight rows, of which every other pair says the same; as a file of this kind.
fn twice(folder: &Path, name: &str) -> (std::path::PathBuf, Mapping) {
    // In pre-training far apart: what stands side by side lies in one block, and so on one side.
    let apart = matches!(name, "lines.txt" | "rows.csv");
    let same = move |row: usize| {
        if apart { row.is_multiple_of(3).then_some(row % 24) } else { (row % 4 < 2).then_some(row / 4) }
    };
    let numbers = || (0..48).map(|row: usize| same(row).unwrap_or(100 + row));
    let (text, mapping) = match name.rsplit('.').next().unwrap() {
        "jsonl" => (
            numbers()
                .map(|n| format!("{{\"q\":\"Question {n}?\",\"a\":\"Answer {n}.\"}}\n"))
                .collect::<String>(),
            alpaca(),
        ),
        "csv" => (
            "q,a\n".to_owned()
                + &numbers().map(|n| format!("Question {n}?,Answer {n}.\n")).collect::<String>(),
            alpaca(),
        ),
        "json" => {
            let pair = |n| serde_json::json!({"prompt": format!("q {n}"), "chosen": format!("good {n}"), "rejected": "bad"});
            let rows: serde_json::Value = numbers().map(pair).collect();
            (rows.to_string(), Mapping::empty(DataFormat::Pairs))
        }
        _ => {
            let text = numbers().map(|n| format!("Kettle {n} is descaled with vinegar.\n")).collect();
            (text, Mapping { prompt: Some("text".into()), ..Mapping::empty(DataFormat::Text) })
        }
    };
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    (path, mapping)
}

const HOLDOUT: Holdout = Holdout { dev_ratio: 0.25, seed: 11 };

fn held_out(job: &Job, holdout: Holdout, every: u64) -> Option<HeldOut> {
    health_within(job, None, Some(holdout), every, &mut |_| ControlFlow::Continue(())).unwrap().held_out
}

#[test]
fn rows_held_out_that_are_learnt_as_well_are_found_as_the_run_splits() {
    let folder = tempfile::tempdir().unwrap();
    for (name, stage) in
        [("a.jsonl", Stage::Sft), ("a.csv", Stage::Sft), ("a.json", Stage::Dpo), ("a.json", Stage::Rm)]
    {
        let (path, mapping) = twice(folder.path(), name);
        let job = job(&path, mapping, stage);
        let store =
            Prepared::start(&folder.path().join("store"), &format!("{name}{stage:?}"), job.clone()).unwrap();
        let examples = u32::try_from(store.wait().unwrap().examples).unwrap();
        let (train, eval) = split(examples, HOLDOUT.dev_ratio, HOLDOUT.seed);
        let example = |at: &u32| store.get(u64::from(*at)).unwrap().unwrap();
        let learned: Vec<_> = train.iter().map(example).collect();
        let both: Vec<u64> =
            eval.iter().filter(|at| learned.contains(&example(at))).map(|at| u64::from(*at) + 1).collect();
        let found = held_out(&job, HOLDOUT, 1).unwrap();
        assert!(!both.is_empty() && both.len() < eval.len(), "{both:?}");
        assert_eq!((found.rows, found.learned.count), (12, both.len() as u64), "{name}");
        assert_eq!(found.learned.first, both, "{name}");
        assert_eq!(held_out(&job, Holdout { dev_ratio: 0.0, ..HOLDOUT }, 1), None);
        assert_eq!(held_out(&job, HOLDOUT, 2), None, "of some rows nobody knows");
    }
}

#[test]
fn in_pre_training_a_row_is_held_out_with_the_block_it_begins_in() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["lines.txt", "rows.csv"] {
        let (path, mapping) = twice(folder.path(), name);
        let mapping = if name == "rows.csv" {
            Mapping { format: DataFormat::Text, prompt: Some("q".into()), ..mapping }
        } else {
            mapping
        };
        let mut job = job(&path, mapping.clone(), Stage::Pt);
        job.encoder.max_source_length = 24;
        let report = health_within(&job, None, Some(HOLDOUT), 1, &mut |_| ControlFlow::Continue(())).unwrap();
        let texts: Vec<String> = corpus::open(&path, FileKind::of_name(name).unwrap())
            .unwrap()
            .map(|row| row.unwrap().cells[0].1.as_str().unwrap().to_owned())
            .collect();
        // Where each begins, from everything before it.
        let mut packer = PtPacker::new(&job.encoder.tokenizer, 24);
        let starts: Vec<usize> = (0..texts.len())
            .map(|row| {
                if name == "lines.txt" {
                    let before: String = texts[..row].iter().map(|line| format!("{line}\n")).collect();
                    return job.encoder.text_ids(&before, false).unwrap().len();
                }
                packer.end_text();
                let start = packer.total_tokens();
                packer.push_ids(&job.encoder.text_ids(&texts[row], false).unwrap());
                start
            })
            .collect();
        let (_, eval) = split(u32::try_from(report.examples).unwrap(), HOLDOUT.dev_ratio, HOLDOUT.seed);
        let is_held = |row: usize| eval.contains(&u32::try_from(starts[row] / 24).unwrap());
        let held: Vec<usize> = (0..texts.len()).filter(|row| is_held(*row)).collect();
        let both: Vec<u64> = held
            .iter()
            .filter(|row| (0..texts.len()).any(|other| !is_held(other) && texts[other] == texts[**row]))
            .map(|row| *row as u64 + 1)
            .collect();
        let found = report.held_out.unwrap();
        assert!(!both.is_empty(), "{name}");
        assert_eq!((found.rows, found.learned.first), (held.len() as u64, both), "{name}");
    }
}
