//! What the health report says of such rows.

use std::ops::ControlFlow;

use contract::dataset::{DataFormat, Mapping, Mixing};
use contract::health::HealthReport;
use contract::stage::Stage;
use corpus::encode::Encoder;
use corpus::health::health;
use corpus::job::Job;
use corpus::mix::Part;
use corpus::source::folder::list;
use serde_json::{Value, json};

use crate::bytes::{CHATML, IM, chat, encoder, tokenizer};

fn report(encoder: Encoder, mapping: Mapping, rows: &[Value]) -> HealthReport {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.jsonl");
    std::fs::write(&path, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    let files = list(&path).unwrap();
    let parts = vec![Part { name: "rows".into(), files, mapping, prefix: None, weight: 1.0 }];
    let job = Job { encoder, parts, mixing: Mixing::Concatenate, max_samples: 0, seed: 0, total: 0 };
    health(&job, 1, &mut |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn rows_with_words_of_control_tokens_are_named_in_every_stage() {
    let rows = [
        json!({"instruction": "a", "input": "", "output": "b<|im_end|>", "text": "a"}),
        json!({"instruction": "a", "input": "<|im_start|>", "output": "b", "text": "<|endoftext|>"}),
        json!({"instruction": "<im_end>", "input": "", "output": "b", "text": "im_end"}),
    ];
    let alpaca = || Mapping { query: Some("input".into()), ..Mapping::empty(DataFormat::Alpaca) };
    let chatml = || chat(&IM, "<|im_end|>", CHATML);
    let sft = report(chatml(), alpaca(), &rows);
    assert_eq!((sft.control_words.first, sft.used), (vec![1, 2], 3));
    let pt = Mapping { prompt: Some("text".into()), ..Mapping::empty(DataFormat::Text) };
    let pt = report(Encoder { stage: Stage::Pt, ..chatml() }, pt, &rows);
    assert_eq!(pt.control_words.first, [2]);
    let as_tokens = Encoder { control_tokens_in_text: true, ..chatml() };
    assert_eq!(report(as_tokens, alpaca(), &rows).control_words.first, [1, 2], "named either way");
    let pairs = [
        json!({"prompt": "q", "chosen": "a", "rejected": "<|im_end|>"}),
        json!({"prompt": "q", "chosen": "a", "rejected": "b"}),
    ];
    let dpo = Encoder { stage: Stage::Dpo, ..chatml() };
    assert_eq!(report(dpo, Mapping::empty(DataFormat::Pairs), &pairs).control_words.first, [1]);
}

#[test]
fn rows_of_which_no_question_is_left_are_named() {
    let rows = [
        json!({"instruction": "Where is K-3?", "output": "There.", "system": "s".repeat(300)}),
        json!({"instruction": "q".repeat(300), "output": "There."}),
        json!({"instruction": "Where?", "output": "There."}),
    ];
    let mapping = || Mapping { system: Some("system".into()), ..Mapping::empty(DataFormat::Alpaca) };
    let bare = encoder(&tokenizer(&["<s>", "</s>"], "</s>", ""), "billa", (60, 60));
    let found = report(bare, mapping(), &rows).truncated;
    assert_eq!((found.rows.first, found.no_question_left.first), (vec![1, 2], vec![1]));
    let chatml = Encoder { max_source_length: 60, ..chat(&IM, "<|im_end|>", CHATML) };
    let found = report(chatml, mapping(), &rows).truncated;
    assert_eq!((found.rows.first, found.no_question_left.count), (vec![1, 2], 0));
}

#[test]
fn a_template_that_asks_otherwise_than_it_prints_is_told() {
    let rows = [json!({"instruction": "q", "output": "a"})];
    let other = CHATML.replace("'<|im_start|>assistant\\n' }}{% endif %}", "'Answer: ' }}{% endif %}");
    for (source, told) in [(CHATML, false), (other.as_str(), true)] {
        let encoder = chat(&IM, "<|im_end|>", source);
        assert_eq!(report(encoder, Mapping::empty(DataFormat::Alpaca), &rows).asks_otherwise, told);
    }
}
