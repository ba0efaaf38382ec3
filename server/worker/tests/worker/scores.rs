//! Scores of answers against the recorded ones.

use std::path::{Path, PathBuf};

use serde_json::Value;

fn recorded() -> Option<Value> {
    let root = std::env::var_os("BURNISH_REFERENCE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference"),
        PathBuf::from,
    );
    let path = root.join("metrics/rouge_bleu.json");
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).expect("JSON")),
        Err(why) => {
            assert!(!ci, "no recorded scores at {}: {why}", path.display());
            eprintln!("NOTICE: SKIPPED, no recorded scores at {}", path.display());
            None
        }
    }
}

#[test]
fn reference_s_189_rouge_and_bleu() {
    let Some(file) = recorded() else { return };
    let mut all = Vec::new();
    for pair in file["pairs"].as_array().expect("a list") {
        let text = |key: &str| pair[key].as_str().expect("a text").to_owned();
        let got = worker::scores::scores(&text("prediction"), &text("label"));
        for (name, score) in &got {
            let want = pair["scores"][name].as_f64().expect("a number");
            assert!((score - want).abs() < 1.5e-4, "{name} of {pair}: {score}");
        }
        let words: Vec<String> = serde_json::from_value(pair["prediction_words"].clone()).expect("words");
        assert_eq!(worker::scores::words(&text("prediction")), words);
        all.push(got);
    }
    let means = worker::scores::means(&all);
    assert_eq!(means.len(), worker::scores::NAMES.len());
    for (name, mean) in means {
        let want = file["mean"][&name].as_f64().expect("a number");
        assert!((mean - want).abs() < 1e-4, "{name}: {mean}, expected {want}");
    }
}
