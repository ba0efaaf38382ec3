//! Writes tokenizers of several classes and post processors, each with the ids a text has here, for `make interop` to
//! compare with what transformers' AutoTokenizer gives: `around FOLDER`.

use std::path::Path;

use contract::problem::Problem;
use corpus::tokenizer::gguf::{GgufTokenizer, files_from_gguf};
use corpus::tokenizer::train::train;
use corpus::{ModelTokenizer, TokenizerFiles};
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

/// A vocabulary of SentencePiece's kind.
fn pieces() -> Result<TokenizerFiles, Problem> {
    let mut tokens = ["<unk>", "<s>", "</s>"].map(str::to_owned).to_vec();
    tokens.extend((0..=255).map(|byte| format!("<0x{byte:02X}>")));
    tokens.extend(["▁", "A", "B"].map(str::to_owned));
    let kinds = (0..tokens.len()).map(|id| match id {
        0 => 2,
        1 | 2 => 3,
        3..259 => 6,
        _ => 1,
    });
    files_from_gguf(&GgufTokenizer {
        model: "llama".to_owned(),
        token_types: kinds.collect(),
        scores: vec![0.0; tokens.len()],
        tokens,
        unk: Some(0),
        ..GgufTokenizer::default()
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: around FOLDER")?;
    let (bytes, pieces) = (train([TEXT.to_owned()].into_iter(), 300)?, pieces()?);
    let levels = ("<|im_start|>", "<|im_end|>");
    let classes = [
        ("llama", "LlamaTokenizerFast", &bytes, levels),
        ("gemma2", "GemmaTokenizerFast", &bytes, levels),
        ("qwen2", "Qwen2TokenizerFast", &bytes, levels),
        ("gpt2", "GPT2TokenizerFast", &bytes, levels),
        ("phi3", "PreTrainedTokenizerFast", &bytes, levels),
        ("mistral", "LlamaTokenizerFast", &pieces, ("<s>", "</s>")),
    ];
    for (kind, class, files, (begin, end)) in classes {
        let plain: Value = serde_json::from_slice(&files.tokenizer_json)?;
        let ids = ModelTokenizer::from_bytes(&files.tokenizer_json, None, None, None)?;
        let id = |token: &str| ids.encode(token, false).ok()?.last().copied();
        let around: [(&str, &[&str], &[&str]); 4] =
            [("none", &[], &[]), ("begin", &[begin], &[]), ("end", &[], &[end]), ("both", &[begin], &[end])];
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
