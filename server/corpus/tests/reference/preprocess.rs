use std::path::PathBuf;
use std::sync::Arc;

use contract::dataset::{DataFormat, FileKind, Mapping};
use contract::stage::Stage;
use corpus::collate::collate_labels;
use corpus::conversation::text_of;
use corpus::encode::{Encoded, Encoder, PtPacker};
use corpus::{Conversation, Row, Template, source};
use serde_json::Value;

use crate::folders::{cases, ids, json, numbers, reference, text, tokenizer};

const PARTS: [&str; 4] = ["prompt", "query", "response", "history"];

/// The files and mapping of a dataset as `dataset_info.json` declares them (S-070 to S-078).
fn dataset(name: &str) -> (Vec<PathBuf>, Mapping) {
    let data = reference().join("preprocess/data");
    let info = json(&data.join("dataset_info.json"))[name].clone();
    let path = data.join(text(&info["file_name"]));
    let mut files = vec![path.clone()];
    if path.is_dir() {
        files = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
    }
    let column = |part: &str| match info.get("columns") {
        Some(columns) => columns.get(part).and_then(Value::as_str).map(str::to_owned),
        None => match part {
            "prompt" => Some("instruction".to_owned()),
            "query" => Some("input".to_owned()),
            "response" => Some("output".to_owned()),
            _ => None,
        },
    };
    let mapping = Mapping {
        prompt: column(PARTS[0]),
        query: column(PARTS[1]),
        response: column(PARTS[2]),
        history: column(PARTS[3]),
        ..Mapping::empty(DataFormat::PromptResponse)
    };
    (files, mapping)
}

fn rows(files: &[PathBuf]) -> Vec<Row> {
    let kind = |path: &PathBuf| FileKind::of_name(&path.to_string_lossy()).unwrap();
    files.iter().flat_map(|path| source::open(path, kind(path)).unwrap()).map(Result::unwrap).collect()
}

/// Rows are equal after renaming: cells under their parts, the prefix repeated (S-078, S-079).
fn same_rows(rows: &[(Row, Mapping, Value)], wanted: &Value, what: &Value) {
    let wanted = wanted.as_array().unwrap();
    assert_eq!(rows.len(), wanted.len(), "{what}");
    for ((row, mapping, prefix), wanted) in rows.iter().zip(wanted) {
        let columns = [&mapping.prompt, &mapping.query, &mapping.response, &mapping.history];
        for (part, column) in PARTS.iter().zip(columns) {
            let cell = column.as_deref().and_then(|column| row.get(column)).unwrap_or(&Value::Null);
            assert_eq!(cell, &wanted[part], "{what} {part}");
        }
        assert_eq!(prefix, &wanted["prefix"], "{what}");
    }
}

/// The first `max_samples` rows of a dataset (S-029).
fn mapped(name: &str, max_samples: &Value, prefix: &Value) -> Vec<(Row, Mapping, Value)> {
    let (files, mapping) = dataset(name);
    let most = max_samples.as_u64().map_or(usize::MAX, |most| most as usize);
    rows(&files).into_iter().take(most).map(|row| (row, mapping.clone(), prefix.clone())).collect()
}

#[test]
fn reference_s_078_column_mapping() {
    for case in cases(&json(&reference().join("preprocess/column_mapping.json"))) {
        let rows = mapped(text(&case["dataset"]), &case["max_samples"], &case["source_prefix"]);
        same_rows(&rows, &case["rows"], &case["dataset"]);
    }
}

#[test]
fn reference_s_080_datasets_follow_one_another() {
    for case in cases(&json(&reference().join("preprocess/concat.json"))) {
        let (names, prefixes) =
            (case["datasets"].as_array().unwrap(), case["source_prefix_each"].as_array().unwrap());
        let each = names.iter().zip(prefixes);
        let rows: Vec<_> =
            each.flat_map(|(name, prefix)| mapped(text(name), &case["max_samples"], prefix)).collect();
        same_rows(&rows, &case["rows"], &case["datasets"]);
    }
}

#[test]
fn reference_s_140_s_142_sft_fixed() {
    let document = json(&reference().join("preprocess/sft_and_unsupervised.json"));
    for case in cases(&document) {
        let tokenizer = Arc::new(tokenizer(text(&case["tokenizer"])));
        let length = |key: &str| case[key].as_u64().unwrap() as usize;
        let encoder = Encoder {
            template: Template::resolve(text(&case["template"]), &tokenizer).unwrap(),
            tokenizer,
            stage: Stage::Sft,
            max_source_length: length("max_source_length"),
            max_target_length: length("max_target_length"),
            system: case["source_prefix"].as_str().map(str::to_owned),
        };
        let (files, mapping) = dataset(text(&case["dataset"]));
        let rows = rows(&files);
        assert_eq!(rows.len() as u64, case["rows_in"].as_u64().unwrap());
        let (mut dropped, mut encoded) = (Vec::new(), Vec::new());
        for (index, row) in rows.iter().enumerate() {
            match Conversation::from_row(row, &mapping) {
                Ok(conversation) => encoded.push((index, encoder.encode_sft(&conversation).unwrap())),
                Err(_) => dropped.push(index as i64),
            }
        }
        assert_eq!(dropped, numbers(&case["dropped_rows"]));
        let wanted = case["sft_fixed"].as_array().unwrap();
        assert_eq!(encoded.len(), wanted.len());
        for ((index, got), wanted) in encoded.iter().zip(wanted) {
            let what = format!("{} {} {} row {index}", case["tokenizer"], case["dataset"], case["template"]);
            assert_eq!(got.input_ids, ids(&wanted["input_ids"]), "{what}");
            assert_eq!(got.labels, numbers(&wanted["labels"]), "{what}");
            let whole = wanted["turns_kept"] == wanted["turns_total"];
            assert!(whole || got.cut > 0, "{what}: left-out turns are counted as cut");
        }
    }
}

#[test]
fn reference_s_141_pt_blocks() {
    for case in cases(&json(&reference().join("preprocess/pt.json"))) {
        let tokenizer = tokenizer(text(&case["tokenizer"]));
        let length = case["max_source_length"].as_u64().unwrap() as usize;
        let (files, mapping) = dataset(text(&case["dataset"]));
        let mut original = PtPacker::new(&tokenizer, length).original();
        let mut packer = PtPacker::new(&tokenizer, length);
        for row in rows(&files) {
            let text = text_of(&row, &mapping).unwrap_or_default();
            original.push(&text).unwrap();
            packer.push(&text).unwrap();
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
        assert_eq!(carried.blocks.len(), wanted.len().max(1), "a short corpus still gives one block");
    }
}

#[test]
fn reference_s_150_to_s_155_collate() {
    for case in cases(&json(&reference().join("collate/cases.json"))) {
        let pad = u32::try_from(case["pad_id"].as_u64().unwrap()).unwrap();
        let off = case.get("ignore_pad_token_for_loss") == Some(&Value::Bool(false));
        let label_pad = if off { i64::from(pad) } else { -100 };
        let features = case["features"].as_array().unwrap();
        let row = |ids_key: &str, feature: &Value| Encoded {
            input_ids: ids(&feature[ids_key]),
            labels: feature.get("labels").map(numbers).unwrap_or_default(),
            cut: 0,
        };
        let rows: Vec<Encoded> = if features[0].get("accept_ids").is_some() {
            // S-155: chosen rows first, then rejected ones.
            let side = |key: &'static str| features.iter().map(move |feature| row(key, feature));
            side("accept_ids").chain(side("reject_ids")).collect()
        } else {
            features.iter().map(|feature| row("input_ids", feature)).collect()
        };
        let padded = collate_labels(&rows, pad, label_pad);
        let flat = |key: &str| -> Vec<i64> {
            let rows = case["expected"].get(key).and_then(Value::as_array);
            rows.into_iter().flatten().flat_map(numbers).collect()
        };
        assert_eq!(padded.input_ids, flat("input_ids"), "{}", case["case"]);
        assert_eq!(padded.attention_mask, flat("attention_mask"), "{}", case["case"]);
        assert_eq!(padded.labels, flat("labels"), "{}", case["case"]);
    }
}
