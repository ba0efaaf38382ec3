use contract::chat::ChatMessage;
use corpus::template::ChatTemplate;
use corpus::tokenizer::gguf::{GgufTokenizer, files_from_gguf};
use corpus::{ModelTokenizer, Template};
use serde_json::Value;

use crate::folders::{cases, ids, json, reference, subfolders, text};

fn each(run: impl Fn(&ModelTokenizer, &std::path::Path)) {
    for folder in subfolders(&reference().join("tokenizers")) {
        run(&ModelTokenizer::load(&folder).unwrap(), &folder);
    }
}

#[test]
fn reference_encode_cases() {
    each(|tokenizer, folder| {
        let document = json(&folder.join("encode_cases.json"));
        let id = |key: &str| document[key].as_u64().map(|id| id as u32);
        assert_eq!(tokenizer.vocab_size() as u64, document["vocab_size"].as_u64().unwrap());
        assert_eq!((tokenizer.bos_id(), tokenizer.eos_id()), (id("bos_id"), id("eos_id")));
        assert_eq!(Some(tokenizer.pad_id()), id("pad_id_effective"), "S-094");
        for case in cases(&document) {
            let input = text(&case["text"]);
            assert_eq!(tokenizer.encode(input, true).unwrap(), ids(&case["ids"]), "{input:?}");
            let plain = tokenizer.encode(input, false).unwrap();
            assert_eq!(plain, ids(&case["ids_no_special"]), "{input:?}");
            let tokens: Vec<Value> =
                plain.iter().map(|id| Value::from(tokenizer.token(*id).unwrap())).collect();
            assert_eq!(tokens, *case["tokens"].as_array().unwrap());
            let whole = ids(&case["ids"]);
            assert_eq!(tokenizer.decode(&whole, false), text(&case["decoded"]));
            assert_eq!(tokenizer.decode(&whole, true), text(&case["decoded_skip_special"]));
        }
    });
}

#[test]
fn reference_stream_cases() {
    each(|tokenizer, folder| {
        for case in cases(&json(&folder.join("stream_cases.json"))) {
            let skip = case["skip_special_tokens"].as_bool().unwrap();
            let mut stream = tokenizer.stream(skip);
            let chunks: Vec<Option<String>> =
                ids(&case["ids"]).into_iter().map(|id| stream.push(id)).collect();
            let wanted: Vec<Option<String>> = case["chunks"]
                .as_array()
                .unwrap()
                .iter()
                .map(|chunk| chunk.as_str().map(str::to_owned))
                .collect();
            if case["stream_raised"] == Value::Bool(true) {
                assert!(chunks.iter().flatten().all(|chunk| !chunk.is_empty()));
                continue;
            }
            assert_eq!(chunks, wanted, "{}", case["text"]);
            let joined: String = chunks.into_iter().flatten().collect();
            assert_eq!(joined, text(&case["joined_chunks"]));
            let last = case["prefix_decodes"].as_array().unwrap().last().map_or("", text);
            // Python shows half a character at the end as well.
            let whole = last.trim_end_matches('\u{FFFD}');
            assert_eq!(joined + &stream.finish().unwrap_or_default(), whole);
        }
    });
}

#[test]
fn reference_chat_cases() {
    each(|tokenizer, folder| {
        let template = ChatTemplate::new(tokenizer.chat_template().unwrap(), tokenizer).unwrap();
        for case in cases(&json(&folder.join("chat_cases.json"))) {
            let open = case["add_generation_prompt"].as_bool().unwrap();
            let rendered = template.render_json(&case["messages"], open, &Default::default()).unwrap();
            assert_eq!(rendered, text(&case["text"]));
            assert_eq!(tokenizer.encode(&rendered, false).unwrap(), ids(&case["ids"]));
            let messages: Vec<ChatMessage> = serde_json::from_value(case["messages"].clone()).unwrap();
            if open && messages.last().is_some_and(|last| last.role == "user") {
                let resolved = Template::resolve("model", tokenizer).unwrap();
                assert_eq!(resolved.prompt(&messages).unwrap(), rendered);
                assert_eq!(resolved.prompt_ids(tokenizer, &messages).unwrap(), ids(&case["ids"]));
            }
        }
    });
}

/// A SentencePiece vocabulary as GGUF files hold it: pieces, scores and kinds, no list of merges.
#[test]
fn reference_a_sentencepiece_vocabulary_from_gguf_gives_the_same_ids() {
    let mut ran = 0;
    for folder in subfolders(&reference().join("tokenizers")) {
        let whole = json(&folder.join("tokenizer.json"));
        if whole["model"]["byte_fallback"] != Value::Bool(true) {
            continue;
        }
        let vocab = whole["model"]["vocab"].as_object().unwrap();
        let mut tokens = vec![String::new(); vocab.len()];
        for (token, id) in vocab {
            tokens[id.as_u64().unwrap() as usize] = token.clone();
        }
        let mut scores = vec![-1e6f32; tokens.len()];
        for (rank, pair) in whole["model"]["merges"].as_array().unwrap().iter().enumerate() {
            let joined: String = pair.as_array().unwrap().iter().map(text).collect();
            scores[vocab[&joined].as_u64().unwrap() as usize] = -(rank as f32);
        }
        let special: Vec<&str> =
            whole["added_tokens"].as_array().unwrap().iter().map(|token| text(&token["content"])).collect();
        let kind = |token: &String| match token.as_str() {
            "<unk>" => 2,
            token if special.contains(&token) => 3,
            token if token.starts_with("<0x") && token.ends_with('>') => 6,
            _ => 1,
        };
        let document = json(&folder.join("encode_cases.json"));
        let id = |key: &str| document[key].as_u64().map(|id| id as u32);
        let source = GgufTokenizer {
            model: "llama".to_owned(),
            token_types: tokens.iter().map(kind).collect(),
            unk: tokens.iter().position(|token| token == "<unk>").map(|at| at as u32),
            tokens,
            scores,
            bos: id("bos_id"),
            eos: id("eos_id"),
            add_bos: Some(true),
            ..GgufTokenizer::default()
        };
        let files = files_from_gguf(&source).unwrap();
        let config = Some(files.tokenizer_config_json.as_slice());
        let tokenizer = ModelTokenizer::from_bytes(&files.tokenizer_json, config, None, None).unwrap();
        for case in cases(&document) {
            let input = text(&case["text"]);
            let got = tokenizer.encode(input, true).unwrap();
            assert_eq!(got, ids(&case["ids"]), "{input:?}");
            assert_eq!(tokenizer.decode(&got, true), text(&case["decoded_skip_special"]));
            ran += 1;
        }
    }
    assert!(ran > 0, "no tokenizer with byte fallback");
}
