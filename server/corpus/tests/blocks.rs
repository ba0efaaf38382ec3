//! The blocks of pre-training as the preview shows them, and several texts in one file.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use contract::Code;
use contract::dataset::{Behaviour, DataFormat, FileKind, Mapping, Mixing};
use contract::stage::Stage;
use corpus::block::{Wanted, block};
use corpus::encode::Example;
use corpus::job::Job;
use corpus::mix::Part;
use corpus::prepared::Prepared;
use corpus::source::folder::Files;
use corpus::tokenizer::train::train;
use corpus::{Encoder, ModelTokenizer, Template};

fn job(path: &Path, texts: Vec<u64>, block: usize, behaviour: Behaviour) -> Job {
    let files =
        train((0..50).map(|n| format!("How do I descale kettle {n}? With vinegar, 水")), 320).unwrap();
    let config = Some(files.tokenizer_config_json.as_slice());
    let tokenizer = Arc::new(ModelTokenizer::from_bytes(&files.tokenizer_json, config, None, None).unwrap());
    let kind = FileKind::of_name(&path.to_string_lossy()).unwrap();
    Job {
        encoder: Encoder {
            template: Template::resolve("default", &tokenizer).unwrap(),
            tokenizer,
            stage: Stage::Pt,
            max_source_length: block,
            max_target_length: 16,
            system: None,
            behaviour,
            control_tokens_in_text: false,
        },
        parts: vec![Part {
            name: "set".into(),
            files: Files::of_texts(path.to_owned(), kind, texts),
            mapping: Mapping { prompt: Some("text".into()), ..Mapping::empty(DataFormat::Text) },
            prefix: None,
            weight: 1.0,
        }],
        mixing: Mixing::Concatenate,
        max_samples: 0,
        seed: 1,
        total: 0,
    }
}

/// What training reads.
fn prepared(folder: &Path, job: &Job) -> Vec<Vec<u32>> {
    let key = job.fingerprint(&["data".into()]);
    let store = Prepared::start(&folder.join("store"), &key, job.clone()).unwrap();
    let count = store.wait().unwrap().examples;
    let ids = |at| match store.get(at).unwrap().unwrap() {
        Example::Sequence(block) => block.input_ids,
        other => panic!("{other:?}"),
    };
    (0..count).map(ids).collect()
}

fn lines(count: usize, kind: FileKind) -> String {
    let text = |n: usize| match n % 7 {
        3 => String::new(),
        n => format!("Kettle {n} 水 {}", "tea with vinegar ".repeat(n * n)),
    };
    (0..count)
        .map(|n| match kind {
            FileKind::Txt => text(n) + "\n",
            _ => serde_json::json!({ "text": text(n) }).to_string() + "\n",
        })
        .collect()
}

#[test]
fn s_147_every_block_is_shown_as_it_is_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    for (name, count) in [("lines.jsonl", 90), ("lines.txt", 40), ("short.txt", 1)] {
        let path = folder.path().join(name);
        std::fs::write(&path, lines(count, FileKind::of_name(name).unwrap())).unwrap();
        for behaviour in [Behaviour::Corrected, Behaviour::Original] {
            let job = job(&path, Vec::new(), 48, behaviour);
            let trained = prepared(folder.path(), &job);
            let (mut rows, total) = (Vec::new(), count as u64);
            for (index, wanted) in trained.iter().enumerate() {
                let shown = block(&job, Wanted::Number(index as u64 + 1), total).unwrap();
                let what = format!("{name} {behaviour:?} {index}");
                assert_eq!(&shown.tokens.iter().map(|token| token.id).collect::<Vec<_>>(), wanted, "{what}");
                assert!(shown.tokens.iter().all(|token| token.learned && !token.cut));
                let place = shown.block.unwrap();
                assert_eq!(
                    (place.number, place.last),
                    (index as u64 + 1, index + 1 == trained.len()),
                    "{what}"
                );
                assert!(place.first_row <= place.last_row && place.last_row <= total, "{what} {place:?}");
                rows.push((place.first_row, place.last_row));
            }
            assert!(rows.is_sorted(), "{rows:?}");
            for next in rows.windows(2).filter(|_| behaviour == Behaviour::Corrected) {
                assert!(
                    next[1].0 <= next[0].1 + 2,
                    "no row is between two blocks, blank ones aside: {rows:?}"
                );
            }
            let past = block(&job, Wanted::Number(1 << 40), total).unwrap();
            assert_eq!(past.block.map(|block| block.number), Some(trained.len() as u64).filter(|n| *n > 0));
        }
    }
}

#[test]
fn s_147_the_block_of_a_row_holds_it_and_blocks_run_over_row_ends() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["lines.jsonl", "lines.txt"] {
        let path = folder.path().join(name);
        let kind = FileKind::of_name(name).unwrap();
        std::fs::write(&path, lines(60, kind)).unwrap();
        let job = job(&path, Vec::new(), 64, Behaviour::Corrected);
        let mut several = 0;
        for row in 1..=60 {
            let shown = block(&job, Wanted::OfRow(row), 60).unwrap();
            let Some(place) = shown.block else {
                assert!(kind == FileKind::Jsonl && shown.left_out.is_some(), "{name} {row}");
                continue;
            };
            assert!((place.first_row..=place.last_row).contains(&row), "{name} {row} {place:?}");
            several += u32::from(place.first_row < place.last_row);
        }
        assert!(several > 5, "{name}: {several}");
        let gone = block(&job, Wanted::OfRow(61), 60).unwrap_err();
        assert_eq!(gone.code, Code::DatasetNoSuchRow);
    }
}

#[test]
fn s_073_s_141_each_of_several_texts_in_one_file_begins_and_ends_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("texts.txt");
    std::fs::write(&path, "Kettle one\nand tea\nKettle two\n\nKettle three\n").unwrap();
    let several = job(&path, vec![2, 2, 1], 16, Behaviour::Corrected);
    let one = job(&path, Vec::new(), 16, Behaviour::Corrected);
    let end = several.encoder.tokenizer.eos_id().unwrap();
    let ends = |job: &Job| prepared(folder.path(), job).concat().iter().filter(|id| **id == end).count();
    assert_eq!((ends(&several), ends(&one)), (3, 1));
    let (mut rest, all) = (prepared(folder.path(), &several).concat(), &several.encoder);
    for text in ["Kettle one\nand tea", "Kettle two\n", "Kettle three"] {
        let ids = all.line_ids(text, true, true).unwrap();
        assert_eq!(rest.drain(..ids.len()).collect::<Vec<_>>(), ids, "{text}");
    }
    assert!(rest.is_empty());
    assert_ne!(several.fingerprint(&["data".into()]), one.fingerprint(&["data".into()]));
    let shown = block(&several, Wanted::OfRow(3), 5).unwrap();
    assert!(shown.tokens.iter().any(|token| token.id == end));
}
