use std::sync::Arc;

use contract::dataset::{Behaviour, Mixing};
use contract::registry::{Finding, Source};
use contract::stage::Stage;
use corpus::collate::{collate_labels, collate_pairs, collate_prompts, label_pad};
use corpus::encode::{Encoded, EncodedPair, EncodedPrompt, Encoder, Example, PtPacker, Taken};
use corpus::mix::{Mixed, Part, mixed};
use corpus::source::folder::{check_digest, digests_of, list};
use corpus::{Template, registry};
use serde_json::Value;

use crate::folders::{cases, ids, json, numbers, reference, text, tokenizer};

const PARTS: [&str; 4] = ["prompt", "query", "response", "history"];

fn entries() -> Vec<contract::registry::Registered> {
    let info = std::fs::read_to_string(reference().join("preprocess/data/dataset_info.json")).unwrap();
    registry::read(&info).unwrap()
}

/// A dataset as `dataset_info.json` declares it (S-070 to S-078).
fn part(name: &str, prefix: &Value) -> Part {
    let entries = entries();
    let entry = registry::entry(&entries, name).unwrap();
    let Source::File { name: file, .. } = &entry.source else { panic!("{name} is not a file") };
    Part {
        name: name.to_owned(),
        files: list(&reference().join("preprocess/data").join(file)).unwrap(),
        mapping: entry.mapping.clone(),
        prefix: prefix.as_str().map(str::to_owned),
        weight: 1.0,
    }
}

fn rows(parts: &[Part], max_samples: &Value) -> Vec<Mixed> {
    let most = max_samples.as_u64().unwrap_or(0);
    mixed(parts, Mixing::Concatenate, most, 0).unwrap().map(Result::unwrap).collect()
}

fn encoder(case: &Value, stage: Stage, behaviour: Behaviour) -> Encoder {
    let tokenizer = Arc::new(tokenizer(text(&case["tokenizer"])));
    let length = |key: &str| case[key].as_u64().unwrap() as usize;
    Encoder {
        template: Template::resolve(text(&case["template"]), &tokenizer).unwrap(),
        tokenizer,
        stage,
        max_source_length: length("max_source_length"),
        max_target_length: length("max_target_length"),
        system: None,
        behaviour,
        control_tokens_in_text: false,
    }
}

/// What a stage makes of a dataset: row (from 0) and example, and the rows dropped.
fn encoded(case: &Value, stage: Stage, behaviour: Behaviour) -> (Vec<(i64, Example)>, Vec<i64>) {
    let encoder = encoder(case, stage, behaviour);
    let parts = [part(text(&case["dataset"]), &case["source_prefix"])];
    let (mut examples, mut dropped) = (Vec::new(), Vec::new());
    for Mixed { number, row, .. } in rows(&parts, &Value::Null) {
        let index = number as i64 - 1;
        match encoder.encode_row(&row, &parts[0].mapping, parts[0].prefix.as_deref()).unwrap() {
            Ok(example) => examples.push((index, example)),
            Err(_) => dropped.push(index),
        }
    }
    (examples, dropped)
}

fn what(case: &Value, row: i64) -> String {
    format!("{} {} {} row {row}", case["tokenizer"], case["dataset"], case["template"])
}

/// Rows are equal after renaming: cells under their parts, the prefix repeated (S-078, S-079).
fn same_rows(rows: &[Mixed], parts: &[Part], wanted: &Value, what: &Value) {
    let wanted = wanted.as_array().unwrap();
    assert_eq!(rows.len(), wanted.len(), "{what}");
    for (row, wanted) in rows.iter().zip(wanted) {
        let Part { mapping, prefix, .. } = &parts[row.part];
        let columns = [&mapping.prompt, &mapping.query, &mapping.response, &mapping.history];
        for (part, column) in PARTS.iter().zip(columns) {
            let cell = column.as_deref().and_then(|column| row.row.get(column)).unwrap_or(&Value::Null);
            assert_eq!(cell, &wanted[part], "{what} {part}");
        }
        assert_eq!(prefix.as_deref(), wanted["prefix"].as_str(), "{what}");
    }
}

#[test]
fn reference_s_078_column_mapping() {
    for case in cases(&json(&reference().join("preprocess/column_mapping.json"))) {
        let parts = [part(text(&case["dataset"]), &case["source_prefix"])];
        same_rows(&rows(&parts, &case["max_samples"]), &parts, &case["rows"], &case["dataset"]);
    }
}

#[test]
fn reference_s_080_datasets_follow_one_another() {
    for case in cases(&json(&reference().join("preprocess/concat.json"))) {
        let (names, prefixes) =
            (case["datasets"].as_array().unwrap(), case["source_prefix_each"].as_array().unwrap());
        let parts: Vec<Part> =
            names.iter().zip(prefixes).map(|(name, prefix)| part(text(name), prefix)).collect();
        same_rows(&rows(&parts, &case["max_samples"]), &parts, &case["rows"], &case["datasets"]);
    }
}

#[test]
fn reference_s_070_s_076_a_hash_is_checked_for_one_file() {
    let mut differing = 0;
    for entry in entries() {
        let Source::File { name, sha1 } = &entry.source else { continue };
        let files = list(&reference().join("preprocess/data").join(name)).unwrap();
        let digests: Vec<_> = files.paths.iter().map(|path| digests_of(path).unwrap()).collect();
        match check_digest(&digests, sha1.as_deref()) {
            Some(Finding::Sha1Matches { sha1: found }) => assert_eq!(Some(found), *sha1),
            Some(Finding::Sha1Differs { wanted, found }) => {
                assert_ne!(wanted, found);
                differing += 1;
            }
            other => assert!(sha1.is_none() && other.is_none(), "{name}: {other:?}"),
        }
    }
    assert_eq!(differing, 1, "one entry has a wrong hash on purpose");
}

fn same_sequences(case: &Value, examples: &[(i64, Example)], wanted: &Value) {
    let wanted = wanted.as_array().unwrap();
    assert_eq!(examples.len(), wanted.len());
    for ((row, example), wanted) in examples.iter().zip(wanted) {
        let what = what(case, *row);
        let Example::Sequence(got) = example else { panic!("{what}: {example:?}") };
        assert_eq!(got.input_ids, ids(&wanted["input_ids"]), "{what}");
        assert_eq!(got.labels, numbers(&wanted["labels"]), "{what}");
        if let (Some(kept), Some(total)) = (wanted["turns_kept"].as_i64(), wanted["turns_total"].as_i64()) {
            assert!(kept == total || got.cut > 0, "{what}: left-out turns are counted as cut");
        }
    }
}

#[test]
fn reference_s_140_s_142_sft_fixed() {
    for case in cases(&json(&reference().join("preprocess/sft_and_unsupervised.json"))) {
        let (examples, dropped) = encoded(case, Stage::Sft, Behaviour::Corrected);
        assert_eq!(dropped, numbers(&case["dropped_rows"]));
        assert_eq!((examples.len() + dropped.len()) as u64, case["rows_in"].as_u64().unwrap());
        same_sequences(case, &examples, &case["sft_fixed"]);
    }
}

#[test]
fn reference_s_142_sft_original() {
    let mut differing = 0;
    for case in cases(&json(&reference().join("preprocess/sft_and_unsupervised.json"))) {
        let same = case["sft_original"].as_str().is_some();
        let wanted = if same { &case["sft_fixed"] } else { &case["sft_original"] };
        let (examples, _) = encoded(case, Stage::Sft, Behaviour::Original);
        same_sequences(case, &examples, wanted);
        differing += usize::from(!same);
    }
    assert!(differing > 0, "no case shows the difference");
}

#[test]
fn reference_s_143_unsupervised() {
    for case in cases(&json(&reference().join("preprocess/sft_and_unsupervised.json"))) {
        let (examples, dropped) = encoded(case, Stage::Ppo, Behaviour::Original);
        assert_eq!(dropped, numbers(&case["dropped_rows"]));
        let wanted = case["unsupervised"].as_array().unwrap();
        assert_eq!(examples.len(), wanted.len());
        for ((row, example), wanted) in examples.iter().zip(wanted) {
            let what = what(case, *row);
            let Example::Prompt(got) = example else { panic!("{what}: {example:?}") };
            assert_eq!(got.input_ids, ids(&wanted["input_ids"]), "{what}");
            assert_eq!(got.reference, ids(&wanted["labels"]), "{what}");
        }
        let (corrected, dropped) = encoded(case, Stage::Ppo, Behaviour::Corrected);
        assert!(corrected.len() >= examples.len(), "ppo needs no answer");
        assert_eq!((corrected.len() + dropped.len()) as u64, case["rows_in"].as_u64().unwrap());
    }
}

#[test]
fn reference_s_144_rm_pairs() {
    for case in cases(&json(&reference().join("preprocess/rm.json"))) {
        let (examples, _) = encoded(case, Stage::Rm, Behaviour::Original);
        let (corrected, _) = encoded(case, Stage::Rm, Behaviour::Corrected);
        assert_eq!(corrected.len(), examples.len(), "turns are joined in another way, rows are the same");
        let wanted = case["rm"].as_array().unwrap();
        assert_eq!(examples.len(), wanted.len());
        for ((row, example), wanted) in examples.iter().zip(wanted) {
            let what = what(case, *row);
            let Example::Pair(EncodedPair { chosen, rejected }) = example else {
                panic!("{what}: {example:?}")
            };
            assert_eq!(Some(*row), wanted["row"].as_i64());
            assert_eq!(chosen.input_ids, ids(&wanted["accept_ids"]), "{what}");
            assert_eq!(rejected.input_ids, ids(&wanted["reject_ids"]), "{what}");
            for side in [chosen, rejected] {
                let learnt: Vec<i64> = side.labels.iter().copied().filter(|label| *label >= 0).collect();
                let end: Vec<i64> = side.input_ids.iter().map(|id| i64::from(*id)).collect();
                assert!(!learnt.is_empty() && end.ends_with(&learnt), "{what}: the answer alone is counted");
            }
        }
    }
}

#[test]
fn reference_s_141_pt_blocks() {
    for case in cases(&json(&reference().join("preprocess/pt.json"))) {
        let tokenizer = tokenizer(text(&case["tokenizer"]));
        let length = case["max_source_length"].as_u64().unwrap() as usize;
        let parts = [part(text(&case["dataset"]), &Value::Null)];
        let mut original = PtPacker::new(&tokenizer, length).behaving(Behaviour::Original);
        let mut packer = PtPacker::new(&tokenizer, length);
        for Mixed { row, .. } in rows(&parts, &Value::Null) {
            let taken = Taken::from_row(&row, &parts[0].mapping, Stage::Pt, Behaviour::Corrected);
            if let Ok(Taken::Text(text)) = taken {
                original.push(&text).unwrap();
                packer.push(&text).unwrap();
            }
        }
        let packed = original.finish();
        assert_eq!(packed.total_tokens as u64, case["total_tokens"].as_u64().unwrap());
        assert_eq!(packed.dropped_tokens as u64, case["dropped_tokens"].as_u64().unwrap());
        let wanted = case["examples"].as_array().unwrap();
        assert_eq!(packed.blocks.len(), wanted.len());
        for (block, wanted) in packed.blocks.iter().zip(wanted) {
            assert_eq!(block.input_ids, ids(&wanted["input_ids"]));
            assert_eq!(block.labels, numbers(&wanted["labels"]));
        }
        let carried = packer.finish();
        let sizes: Vec<usize> = carried.blocks.iter().map(|block| block.input_ids.len()).collect();
        assert_eq!((sizes.iter().sum(), carried.dropped_tokens), (carried.total_tokens, 0));
        assert!(carried.total_tokens > packed.total_tokens, "texts begin and end");
        assert!(sizes.iter().rev().skip(1).all(|size| *size == length));
    }
}

#[test]
fn reference_s_150_to_s_155_collate() {
    for case in cases(&json(&reference().join("collate/cases.json"))) {
        let pad = u32::try_from(case["pad_id"].as_u64().unwrap()).unwrap();
        let ignored = case.get("ignore_pad_token_for_loss") != Some(&Value::Bool(false));
        let features = case["features"].as_array().unwrap();
        let row = |ids_key: &str, feature: &Value| Encoded {
            input_ids: ids(&feature[ids_key]),
            labels: feature.get("labels").map(numbers).unwrap_or_default(),
            cut: 0,
        };
        let padded = if features[0].get("accept_ids").is_some() {
            let pair = |feature: &Value| EncodedPair {
                chosen: row("accept_ids", feature),
                rejected: row("reject_ids", feature),
            };
            collate_pairs(&features.iter().map(pair).collect::<Vec<_>>(), pad)
        } else {
            let rows: Vec<Encoded> = features.iter().map(|feature| row("input_ids", feature)).collect();
            collate_labels(&rows, pad, label_pad(pad, ignored))
        };
        let flat = |key: &str| -> Vec<i64> {
            let rows = case["expected"].get(key).and_then(Value::as_array);
            rows.into_iter().flatten().flat_map(numbers).collect()
        };
        assert_eq!(padded.input_ids, flat("input_ids"), "{}", case["case"]);
        assert_eq!(padded.attention_mask, flat("attention_mask"), "{}", case["case"]);
        assert_eq!(padded.labels, flat("labels"), "{}", case["case"]);
        if text(&case["case"]).starts_with("predict") {
            let prompt = |feature: &Value| EncodedPrompt {
                input_ids: ids(&feature["input_ids"]),
                reference: ids(&feature["labels"]),
                cut: 0,
            };
            let prompts: Vec<_> = features.iter().map(prompt).collect();
            assert_eq!(collate_prompts(&prompts, pad), padded, "{}", case["case"]);
        }
    }
}
