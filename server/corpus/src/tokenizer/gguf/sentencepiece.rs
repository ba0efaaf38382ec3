//! SentencePiece tokenizers ("llama" in GGUF: Llama 2, Mistral, Phi-3, Gemma) as BPE with byte fallback: which pieces
//! join first follows from their scores.

use std::collections::HashMap;

use contract::problem::Problem;
use serde_json::{Map, Value, json};

use super::{GgufTokenizer, gguf_broken};

/// Kinds of tokens in `tokenizer.ggml.token_type`.
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const BYTE: i32 = 6;

/// The `model`, `pre_tokenizer` and `decoder` of `tokenizer.json`.
pub(super) struct Parts {
    pub(super) model: Value,
    pub(super) pre_tokenizer: Value,
    pub(super) decoder: Value,
}

/// Builds the parts.
///
/// # Errors
/// `tokenizer.gguf_broken` when scores or kinds are missing, or a token is there twice.
pub(super) fn parts(source: &GgufTokenizer) -> Result<Parts, Problem> {
    let count = source.tokens.len();
    for (field, have) in [("scores", source.scores.len()), ("token_type", source.token_types.len())] {
        if have != count {
            let why = format!("{count} tokens, but {have} entries in {field}");
            return Err(gguf_broken(why).field(format!("tokenizer.ggml.{field}")));
        }
    }
    let mut ids = HashMap::with_capacity(count);
    let mut vocab = Map::with_capacity(count);
    for (id, token) in source.tokens.iter().enumerate() {
        if ids.insert(token.as_str(), id).is_some() {
            return Err(gguf_broken(format!("token “{token}” is there twice")).field("tokenizer.ggml.tokens"));
        }
        vocab.insert(token.clone(), json!(id));
    }
    let unknown = source.unk.and_then(|id| source.tokens.get(id as usize));
    let unknown = unknown.or_else(|| {
        let at = source.token_types.iter().position(|kind| *kind == UNKNOWN)?;
        source.tokens.get(at)
    });
    let bytes = source.token_types.contains(&BYTE);
    let scheme = if source.no_space_prefix { "never" } else { "first" };
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if !source.no_space_prefix {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    Ok(Parts {
        model: json!({
            "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": bytes, "ignore_merges": false,
            "vocab": vocab, "merges": merges(source, &ids),
        }),
        pre_tokenizer: json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": false}),
        decoder: json!({"type": "Sequence", "decoders": decoders}),
    })
}

/// Every way to put a piece together from two others, the best piece first.
fn merges(source: &GgufTokenizer, ids: &HashMap<&str, usize>) -> Vec<Value> {
    let mut found: Vec<(f32, usize, usize)> = Vec::new();
    for (id, piece) in source.tokens.iter().enumerate() {
        if source.token_types[id] != NORMAL {
            continue;
        }
        let mut splits: Vec<(usize, usize)> = Vec::new();
        for (at, _) in piece.char_indices().skip(1) {
            let (left, right) = piece.split_at(at);
            if let (Some(left), Some(right)) = (ids.get(left), ids.get(right)) {
                splits.push((*left, *right));
            }
        }
        splits.sort_unstable();
        found.extend(splits.into_iter().map(|(left, right)| (source.scores[id], left, right)));
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.into_iter().map(|(_, left, right)| json!([source.tokens[left], source.tokens[right]])).collect()
}

#[cfg(test)]
mod tests {
    use super::super::files_from_gguf;
    use contract::Code;

    use super::*;
    use crate::ModelTokenizer;

    fn small() -> GgufTokenizer {
        let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).to_vec();
        let mut token_types = vec![2, 3, 3];
        for byte in 0..=255u8 {
            tokens.push(format!("<0x{byte:02X}>"));
            token_types.push(6);
        }
        let mut scores = vec![0.0; tokens.len()];
        for (piece, score) in
            [("▁", -9.0), ("a", -9.0), ("b", -9.0), ("▁a", -1.0), ("ab", -2.0), ("▁ab", -3.0), ("bb", -4.0)]
        {
            tokens.push(piece.to_owned());
            token_types.push(1);
            scores.push(score);
        }
        let model = "llama".to_owned();
        GgufTokenizer {
            model,
            tokens,
            token_types,
            scores,
            bos: Some(1),
            eos: Some(2),
            unk: Some(0),
            add_bos: Some(true),
            ..GgufTokenizer::default()
        }
    }

    fn build(source: &GgufTokenizer) -> ModelTokenizer {
        let files = files_from_gguf(source).unwrap();
        ModelTokenizer::from_bytes(&files.tokenizer_json, Some(&files.tokenizer_config_json), None, None)
            .unwrap()
    }

    fn pieces(tokenizer: &ModelTokenizer, text: &str) -> Vec<String> {
        let ids = tokenizer.encode(text, false).unwrap();
        ids.iter().map(|id| tokenizer.token(*id).unwrap()).collect()
    }

    #[test]
    fn the_best_score_joins_first_and_bytes_catch_the_rest() {
        let tokenizer = build(&small());
        assert_eq!(pieces(&tokenizer, "ab"), ["▁ab"]);
        assert_eq!(pieces(&tokenizer, "abb a"), ["▁ab", "b", "▁a"]);
        assert_eq!(pieces(&tokenizer, "aé"), ["▁a", "<0xC3>", "<0xA9>"]);
        let ids = tokenizer.encode("abb é a", true).unwrap();
        assert_eq!((ids[0], tokenizer.decode(&ids, true)), (1, "abb é a".to_owned()));
        assert_eq!(tokenizer.encode("</s>", false).unwrap().last(), Some(&2));
    }

    #[test]
    fn gemma_puts_no_space_in_front() {
        let source = GgufTokenizer { no_space_prefix: true, ..small() };
        let tokenizer = build(&source);
        assert_eq!(pieces(&tokenizer, "ab"), ["ab"]);
        assert_eq!(tokenizer.decode(&tokenizer.encode("ab a", false).unwrap(), true), "ab a");
    }

    #[test]
    fn missing_scores_are_named() {
        let problem = files_from_gguf(&GgufTokenizer { scores: Vec::new(), ..small() }).unwrap_err();
        assert!(problem.code == Code::TokenizerGgufBroken && problem.message.contains("scores"), "{problem}");
    }
}
