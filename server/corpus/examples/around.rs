//! Writes tokenizers of several classes and post processors, each with the ids a text has here, for `make interop` to
//! compare with what transformers' AutoTokenizer gives: `around FOLDER`.

use std::path::Path;

use corpus::ModelTokenizer;
use corpus::tokenizer::train::train;
use serde_json::{Value, json};

/// One token a letter in every vocabulary, so that classes which split words in ways of their own agree on it.
const TEXT: &str = "AB";

/// A post processor that writes these tokens before and behind a text.
fn processor(before: &[&str], after: &[&str], id: impl Fn(&str) -> Option<u32>) -> Value {
    let special = |token: &&str| json!({"SpecialToken": {"id": token, "type_id": 0}});
    let text = |name: &str| json!({"Sequence": {"id": name, "type_id": 0}});
    let around = |name| {
        let single = before.iter().map(special).chain([text(name)]).chain(after.iter().map(special));
        single.collect::<Vec<_>>()
    };
    let known = before
        .iter()
        .chain(after)
        .map(|token| ((*token).to_owned(), json!({"id": token, "ids": [id(token)], "tokens": [token]})));
    let pair = [around("A"), around("B")].concat();
    json!({"type": "TemplateProcessing", "single": around("A"), "pair": pair,
        "special_tokens": known.collect::<serde_json::Map<_, _>>()})
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: around FOLDER")?;
    let trained = train([TEXT.to_owned()].into_iter(), 300)?;
    let plain: Value = serde_json::from_slice(&trained.tokenizer_json)?;
    let ids = ModelTokenizer::from_bytes(&trained.tokenizer_json, None, None, None)?;
    let id = |token: &str| ids.encode(token, false).ok()?.first().copied();
    let (begin, end) = ("<|im_start|>", "<|im_end|>");
    let around: [(&str, &[&str], &[&str]); 4] =
        [("none", &[], &[]), ("begin", &[begin], &[]), ("end", &[], &[end]), ("both", &[begin], &[end])];
    let classes = [
        ("llama", "LlamaTokenizerFast"),
        ("gemma2", "GemmaTokenizerFast"),
        ("qwen2", "Qwen2TokenizerFast"),
        ("gpt2", "GPT2TokenizerFast"),
        ("phi3", "PreTrainedTokenizerFast"),
    ];
    for (kind, class) in classes {
        for (name, before, after) in around {
            for (setting, adds) in [("absent", None), ("on", Some(true)), ("off", Some(false))] {
                let mut tokenizer = plain.clone();
                tokenizer["post_processor"] = processor(before, after, id);
                let mut config = json!({"tokenizer_class": class, "bos_token": begin, "eos_token": end});
                if let Some(adds) = adds {
                    config["add_bos_token"] = json!(adds);
                    config["add_eos_token"] = json!(adds);
                }
                let folder = Path::new(&folder).join(format!("{kind}-{name}-{setting}"));
                std::fs::create_dir_all(&folder)?;
                let write = |name: &str, value: &Value| std::fs::write(folder.join(name), value.to_string());
                write("tokenizer.json", &tokenizer)?;
                write("tokenizer_config.json", &config)?;
                write("config.json", &json!({"model_type": kind}))?;
                let ids = ModelTokenizer::load(&folder)?.encode_whole(TEXT)?;
                write("expected.json", &json!({"text": TEXT, "ids": ids}))?;
            }
        }
    }
    Ok(())
}
