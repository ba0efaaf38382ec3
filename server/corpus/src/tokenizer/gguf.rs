//! A tokenizer from the metadata of a GGUF file, written as Hugging Face files.

mod rules;
mod sentencepiece;

use contract::Code;
use contract::problem::Problem;
use serde_json::{Map, Value, json};

use super::TokenizerFiles;
use rules::Rule;

/// `tokenizer.ggml.*` of a GGUF file, as plain data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GgufTokenizer {
    /// `tokenizer.ggml.model`: `gpt2` (byte-level BPE) or `llama` (SentencePiece).
    pub model: String,
    /// `tokenizer.ggml.pre`, for example `smollm`; empty where absent.
    pub pre: String,
    /// `tokenizer.ggml.tokens`; the index is the id.
    pub tokens: Vec<String>,
    /// `tokenizer.ggml.merges`, two parts with a space between.
    pub merges: Vec<String>,
    /// `tokenizer.ggml.token_type`: 1 normal, 2 unknown, 3 control (special), 4 user-defined, 6 byte; may
    /// be empty with `gpt2`.
    pub token_types: Vec<i32>,
    /// `tokenizer.ggml.scores`; needed with `llama`.
    pub scores: Vec<f32>,
    /// `tokenizer.ggml.add_space_prefix` is false (Gemma).
    pub no_space_prefix: bool,
    /// `tokenizer.ggml.bos_token_id`.
    pub bos: Option<u32>,
    /// `tokenizer.ggml.eos_token_id`.
    pub eos: Option<u32>,
    /// `tokenizer.ggml.unknown_token_id`.
    pub unk: Option<u32>,
    /// `tokenizer.ggml.padding_token_id`.
    pub pad: Option<u32>,
    /// `tokenizer.ggml.add_bos_token`; `None`: as files of its kind are read.
    pub add_bos: Option<bool>,
    /// `tokenizer.chat_template`.
    pub chat_template: Option<String>,
}

/// Builds `tokenizer.json` and `tokenizer_config.json`.
///
/// # Errors
/// `tokenizer.gguf_unsupported` for another kind than byte-level BPE or an unknown pre-tokenizer;
/// `tokenizer.gguf_broken` for a merge without two parts or an id outside the vocabulary.
pub fn files_from_gguf(source: &GgufTokenizer) -> Result<TokenizerFiles, Problem> {
    // Writers of these files have -1 for a token that is not there.
    let there = |id: Option<u32>| id.filter(|id| *id != u32::MAX);
    let (bos, eos, unk, pad) = (there(source.bos), there(source.eos), there(source.unk), there(source.pad));
    let sentencepiece = match source.model.as_str() {
        "gpt2" => None,
        "llama" => Some(sentencepiece::parts(source)?),
        other => {
            return Err(Problem::new(
            Code::TokenizerGgufUnsupported,
            format!(
                "This GGUF file has a tokenizer of kind “{other}”; Burnish reads “gpt2” (byte-level BPE) and “llama” (SentencePiece)."
            ),
        )
        .with("kind", other)
        .field("tokenizer.ggml.model")
        .hint("Import the same model as a Hugging Face folder with its tokenizer.json."));
        }
    };
    let token = |id: u32, field: &str| {
        source.tokens.get(id as usize).cloned().ok_or_else(|| {
            gguf_broken(format!("id {id} is outside the vocabulary of {}", source.tokens.len())).field(field)
        })
    };
    let rule = if sentencepiece.is_some() { Rule::Unnamed } else { Rule::named(&source.pre)? };
    let add_bos = source.add_bos.unwrap_or(sentencepiece.is_some() || rule.begins());
    let post_processor = match bos.filter(|_| add_bos) {
        Some(id) => bos_first(&token(id, "tokenizer.ggml.bos_token_id")?, id),
        None if sentencepiece.is_some() => Value::Null,
        None => {
            json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true})
        }
    };
    let byte_level = |regex: bool| json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": regex});
    let sentencepiece::Parts { model, pre_tokenizer, decoder } = match sentencepiece {
        Some(parts) => parts,
        None => sentencepiece::Parts {
            model: bpe(source, rule)?,
            pre_tokenizer: rule.pre_tokenizer(),
            decoder: byte_level(true),
        },
    };
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": added_tokens(source),
        "normalizer": rule.normalizer(),
        "pre_tokenizer": pre_tokenizer,
        "post_processor": post_processor,
        "decoder": decoder,
        "model": model,
    });
    let mut config = Map::new();
    config.insert("tokenizer_class".into(), json!("PreTrainedTokenizerFast"));
    config.insert("add_bos_token".into(), json!(add_bos));
    config.insert("clean_up_tokenization_spaces".into(), json!(false));
    for (name, id) in [("bos_token", bos), ("eos_token", eos), ("unk_token", unk), ("pad_token", pad)] {
        let text = id.map(|id| token(id, name)).transpose()?;
        config.insert(name.into(), json!(text));
    }
    config.insert("chat_template".into(), json!(source.chat_template));
    Ok(TokenizerFiles {
        tokenizer_json: to_bytes(&tokenizer)?,
        tokenizer_config_json: to_bytes(&Value::Object(config))?,
    })
}

fn to_bytes(value: &Value) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value).map_err(|error| gguf_broken(error.to_string()))
}

fn gguf_broken(why: String) -> Problem {
    Problem::new(Code::TokenizerGgufBroken, format!("The tokenizer in this GGUF file is broken: {why}."))
        .with("why", why)
        .hint("Download the file again.")
}

fn bpe(source: &GgufTokenizer, rule: Rule) -> Result<Value, Problem> {
    let mut vocab = Map::with_capacity(source.tokens.len());
    for (id, token) in source.tokens.iter().enumerate() {
        if vocab.insert(token.clone(), json!(id)).is_some() {
            return Err(gguf_broken(format!("token “{token}” is there twice")).field("tokenizer.ggml.tokens"));
        }
    }
    let mut merges = Vec::with_capacity(source.merges.len());
    for (index, merge) in source.merges.iter().enumerate() {
        // A part may be a space only in name: byte-level BPE writes it as Ġ, so the first space separates.
        let (left, right) = merge
            .split_once(' ')
            .filter(|(left, right)| !left.is_empty() && !right.is_empty())
            .ok_or_else(|| {
                gguf_broken(format!("merge {} has not two parts", index + 1)).field("tokenizer.ggml.merges")
            })?;
        merges.push(json!([left, right]));
    }
    Ok(json!({
        "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
        "ignore_merges": rule.ignores_merges(), "vocab": vocab, "merges": merges,
    }))
}

fn added_tokens(source: &GgufTokenizer) -> Vec<Value> {
    let kinds = source.token_types.iter().zip(&source.tokens).enumerate();
    let unknown = source.model == "llama";
    let added = kinds.filter(|(_, (kind, _))| matches!(kind, 3 | 4) || unknown && **kind == 2);
    added
        .map(|(id, (kind, token))| {
            json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": *kind != 4})
        })
        .collect()
}

fn bos_first(token: &str, id: u32) -> Value {
    let special = json!({"SpecialToken": {"id": token, "type_id": 0}});
    let sequence = |name: &str, kind: u32| json!({"Sequence": {"id": name, "type_id": kind}});
    json!({"type": "TemplateProcessing", "single": [special, sequence("A", 0)],
        "pair": [special, sequence("A", 0), special, sequence("B", 1)],
        "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]}}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelTokenizer;

    fn small() -> GgufTokenizer {
        GgufTokenizer {
            model: "gpt2".to_owned(),
            pre: "gpt-2".to_owned(),
            tokens: ["a", "b", "<s>", "</s>"].map(str::to_owned).to_vec(),
            token_types: vec![1, 1, 3, 1],
            ..GgufTokenizer::default()
        }
    }

    fn read(source: &GgufTokenizer) -> ModelTokenizer {
        let files = files_from_gguf(source).unwrap();
        let config = Some(files.tokenizer_config_json.as_slice());
        ModelTokenizer::from_bytes(&files.tokenizer_json, config, None, None).unwrap()
    }

    #[test]
    fn minus_one_is_no_token() {
        let none = Some(u32::MAX);
        let tokenizer = read(&GgufTokenizer {
            bos: none,
            eos: Some(3),
            unk: none,
            pad: none,
            add_bos: Some(true),
            ..small()
        });
        assert_eq!((tokenizer.bos_id(), tokenizer.eos_id(), tokenizer.pad_id()), (None, Some(3), 0));
        assert_eq!(tokenizer.encode("ab", true).unwrap(), [0, 1]);
        let outside = files_from_gguf(&GgufTokenizer { eos: Some(4), ..small() }).unwrap_err();
        assert_eq!(outside.code, Code::TokenizerGgufBroken);
    }

    #[test]
    fn an_end_token_that_the_file_calls_normal_is_written_all_the_same() {
        let tokenizer = read(&GgufTokenizer { bos: Some(2), eos: Some(3), add_bos: Some(true), ..small() });
        assert_eq!(tokenizer.encode("ab</s>", true).unwrap(), [2, 0, 1, 3]);
        assert_eq!(tokenizer.decode_answer(&[0, 3], true), "a");
    }
}
