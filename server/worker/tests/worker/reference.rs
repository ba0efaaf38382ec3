//! What a person sees in the preview is what the trainer trains on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::dataset::Preview;
use contract::spec::RunSpec;
use contract::stage::Tuning;
use corpus::encode::IGNORED;
use corpus::{Encoder, ModelTokenizer, Template};
use worker::{learner, stages};

use crate::support::{model, spec};

/// The recorded tokenizer; without it the scratch model's own, except in CI, where it must be there.
fn tokenizer_folders() -> Vec<PathBuf> {
    let root = std::env::var_os("BURNISH_REFERENCE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference"),
        PathBuf::from,
    );
    let recorded: Vec<_> = ["qwen2", "llama2"]
        .iter()
        .map(|name| root.join("tokenizers").join(name))
        .filter(|path| path.is_dir())
        .collect();
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!recorded.is_empty() || !ci, "no reference set at {}: set BURNISH_REFERENCE", root.display());
    recorded.into_iter().chain([model().to_owned()]).collect()
}

fn previews(spec: &RunSpec) -> Vec<Preview> {
    let tokenizer = Arc::new(ModelTokenizer::load(Path::new(&spec.model.folder)).expect("loads"));
    let encoder = Encoder {
        template: Template::resolve(&spec.template, &tokenizer).expect("resolves"),
        stage: spec.stage,
        behaviour: contract::dataset::Behaviour::Corrected,
        control_tokens_in_text: false,
        max_source_length: spec.hyper.max_source_length,
        max_target_length: spec.hyper.max_target_length,
        system: Some(spec.system.clone()),
        tokenizer,
    };
    let rows = corpus::source::open(Path::new(&spec.dataset.file), spec.dataset.kind).expect("opens");
    let show = |(index, row)| {
        corpus::preview::preview(&encoder, &row, &spec.dataset.mapping, index as u64 + 1, 24)
            .expect("previewed")
    };
    rows.map(|row| row.expect("a row")).enumerate().map(show).collect()
}

#[test]
fn reference_the_previews_mask_equals_the_trainers_first_batch() {
    let place = tempfile::tempdir().expect("a folder");
    // Limits short enough to cut some rows.
    let values = [("max_source_length", "24"), ("max_target_length", "8"), ("dev_ratio", "0")];
    for (folder, template) in
        tokenizer_folders().iter().flat_map(|folder| [(folder, "model"), (folder, "alpaca")])
    {
        let mut spec = spec(place.path(), Tuning::Lora, &values);
        spec.model.folder = folder.to_string_lossy().into_owned();
        template.clone_into(&mut spec.template);
        let data = stages::encode(&spec, &place.path().join("prepared")).expect("encoded");
        let rows = data.rows(&[0, 1, 2, 3]).expect("prepared");
        let batch = learner::batch(&rows, data.pad_id);
        let mut learned = 0;
        for (row, preview) in previews(&spec)[..4].iter().enumerate() {
            let seen: Vec<_> = preview.tokens.iter().filter(|token| !token.cut).collect();
            let place = |column: usize| row * batch.t + column;
            let padding = batch.t - seen.len();
            assert!(
                (0..padding).all(|column| batch.attention_mask[place(column)] == 0),
                "padded on the left"
            );
            for (column, token) in (padding..batch.t).zip(seen) {
                let label = if token.learned { i64::from(token.id) } else { IGNORED };
                learned += usize::from(token.learned);
                assert_eq!(batch.input_ids[place(column)], i64::from(token.id), "{folder:?} row {row}");
                assert_eq!(
                    batch.labels[place(column)],
                    label,
                    "{folder:?} {template} row {row} {:?}",
                    token.text
                );
            }
        }
        assert!(learned >= 8, "answers are learnt");
    }
}
