//! Begin and end tokens of model folders, and text on its way, on tokenizers of one byte a token.

use std::sync::Arc;

use contract::dataset::Behaviour;
use contract::stage::Stage;
use serde_json::{Value, json};

use super::ModelTokenizer;
use crate::{Encoder, Template};

/// What pre-training encodes with.
fn encoder(tokenizer: ModelTokenizer) -> Encoder {
    let tokenizer = Arc::new(tokenizer);
    Encoder {
        template: Template::resolve("vanilla", &tokenizer).unwrap(),
        tokenizer,
        stage: Stage::Pt,
        max_source_length: 64,
        max_target_length: 64,
        system: None,
        behaviour: Behaviour::Corrected,
        control_tokens_in_text: false,
    }
}

/// `tokenizer.json` of a byte-level vocabulary: a byte's id is the byte, `<s>` is 256, `</s>` 257, `<|end|>` 258; `plain`
/// (259) stands in the vocabulary alone, which no text can write.
fn bytes(post_processor: &Value) -> Value {
    let mut others = 0;
    let letter = |byte: u32| match byte {
        33..=126 | 161..=172 | 174..=255 => char::from_u32(byte),
        _ => {
            others += 1;
            char::from_u32(255 + others)
        }
    };
    let letters: Vec<char> = (0..=255).filter_map(letter).collect();
    let mut vocab: serde_json::Map<String, Value> =
        letters.iter().enumerate().map(|(id, letter)| (letter.to_string(), json!(id))).collect();
    let added: Vec<Value> = ["<s>", "</s>", "<|end|>"]
        .iter()
        .enumerate()
        .map(|(at, text)| {
            json!({"id": 256 + at, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true})
        })
        .collect();
    for (at, text) in ["<s>", "</s>", "<|end|>", "<plain>"].into_iter().enumerate() {
        vocab.insert(text.to_owned(), json!(256 + at));
    }
    let level =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": level, "post_processor": post_processor, "decoder": level,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": []}})
}

/// A tokenizer of sentencepiece's kind: pieces for `▁` and `a`, bytes for everything else (`<0xE2>` is 3 + 0xE2), `<s>`
/// put in front.
fn pieces() -> ModelTokenizer {
    let mut vocab = json!({"<unk>": 0, "<s>": 1, "</s>": 2, "▁": 259, "a": 260});
    for byte in 0..256 {
        vocab[format!("<0x{byte:02X}>")] = json!(byte + 3);
    }
    let special = |id: u32, text: &str| {
        json!({"id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true})
    };
    let made = json!({"version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": null, "post_processor": around(&[("<s>", 1)], &[]),
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
            {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "vocab": vocab, "merges": []}});
    of(&made, &[("tokenizer_config.json", json!({"bos_token": "<s>", "eos_token": "</s>"}))])
}

/// A post processor that writes these tokens around a text.
fn around(before: &[(&str, u32)], after: &[(&str, u32)]) -> Value {
    let special = |(token, _): &(&str, u32)| json!({"SpecialToken": {"id": token, "type_id": 0}});
    let text = json!({"Sequence": {"id": "A", "type_id": 0}});
    let single: Vec<Value> =
        before.iter().map(special).chain([text.clone()]).chain(after.iter().map(special)).collect();
    let known = before
        .iter()
        .chain(after)
        .map(|(token, id)| ((*token).to_owned(), json!({"id": token, "ids": [id], "tokens": [token]})));
    let known: serde_json::Map<String, Value> = known.collect();
    json!({"type": "TemplateProcessing", "single": single, "pair": [text, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": known})
}

fn of(tokenizer: &Value, beside: &[(&str, Value)]) -> ModelTokenizer {
    let find = |name: &str| beside.iter().find(|(file, _)| *file == name);
    let made = ModelTokenizer::from_files(tokenizer.to_string().as_bytes(), |name| {
        find(name).map(|(_, value)| value.to_string())
    });
    made.unwrap()
}

fn with(beside: &[(&str, Value)]) -> ModelTokenizer {
    of(&bytes(&Value::Null), beside)
}

#[test]
fn the_end_token_is_known_from_any_file_of_the_folder() {
    let folders: [&[(&str, Value)]; 9] = [
        &[("tokenizer_config.json", json!({"eos_token": "</s>"}))],
        &[("tokenizer_config.json", json!({"eos_token": {"content": "</s>", "lstrip": false}}))],
        &[("special_tokens_map.json", json!({"eos_token": {"content": "</s>"}}))],
        &[
            ("tokenizer_config.json", json!({"bos_token": null, "eos_token": null})),
            ("special_tokens_map.json", json!({"eos_token": "</s>"})),
        ],
        &[("generation_config.json", json!({"eos_token_id": 257}))],
        &[
            ("generation_config.json", json!({"eos_token_id": null})),
            ("config.json", json!({"eos_token_id": 257})),
        ],
        &[("generation_config.json", json!({"eos_token_id": [-1, 257]}))],
        &[
            ("config.json", json!({"eos_token_id": -1, "text_config": {"eos_token_id": 3}})),
            ("special_tokens_map.json", json!({"eos_token": "</s>"})),
        ],
        &[("config.json", json!({"text_config": {"eos_token_id": 257}}))],
    ];
    for beside in folders {
        let tokenizer = with(beside);
        assert_eq!((tokenizer.eos_id(), tokenizer.eos_token()), (Some(257), Some("</s>")), "{beside:?}");
        for template in ["vanilla", "default", "alpaca", "vicuna"] {
            let template = Template::resolve(template, &tokenizer).unwrap();
            assert_eq!(template.stop_ids(&tokenizer), [257], "{beside:?}");
        }
    }
}

#[test]
fn the_files_of_the_tokenizer_are_trusted_before_those_of_the_model() {
    let tokenizer = with(&[
        ("config.json", json!({"bos_token_id": 0, "eos_token_id": 257, "pad_token_id": -1})),
        (
            "generation_config.json",
            json!({"eos_token_id": [257, 258], "bos_token_id": 256, "pad_token_id": 258}),
        ),
        ("tokenizer_config.json", json!({"eos_token": "<|end|>"})),
    ]);
    assert_eq!((tokenizer.eos_id(), tokenizer.eos_ids()), (Some(258), vec![258, 257]));
    assert_eq!((tokenizer.bos_id(), tokenizer.bos_token()), (Some(256), Some("<s>")));
    assert_eq!(tokenizer.pad_id(), 258);
    let listed = with(&[("config.json", json!({"eos_token_id": [258, 257]}))]);
    assert_eq!((listed.eos_id(), listed.eos_ids()), (Some(258), vec![258, 257]), "the first is written");
    let template = Template::resolve("vanilla", &listed).unwrap();
    assert_eq!(template.stop_ids(&listed), [257, 258], "each of them ends an answer");
}

#[test]
fn what_no_tokenizer_of_this_folder_means_is_no_end_token() {
    for value in [json!(null), json!(-1), json!([]), json!("</s>"), json!(65), json!([65, -1]), json!(99_999)]
    {
        let tokenizer = with(&[("config.json", json!({"eos_token_id": value}))]);
        assert_eq!((tokenizer.eos_id(), tokenizer.eos_ids()), (None, vec![]), "{value}: 65 is the letter A");
    }
    let unknown = with(&[
        ("tokenizer_config.json", json!({"eos_token": "<eot>"})),
        ("config.json", json!({"eos_token_id": 257})),
    ]);
    assert_eq!(unknown.eos_token(), Some("</s>"), "a name outside the vocabulary cannot be written");
    let without_begin = with(&[
        ("tokenizer_config.json", json!({"bos_token": null, "eos_token": "</s>"})),
        ("config.json", json!({"bos_token_id": 256})),
    ]);
    assert_eq!((without_begin.bos_id(), without_begin.add_bos()), (None, false));
}

#[test]
fn an_end_token_of_the_vocabulary_alone_can_be_written() {
    for beside in [
        ("tokenizer_config.json", json!({"eos_token": "<plain>"})),
        ("generation_config.json", json!({"eos_token_id": [259]})),
    ] {
        let tokenizer = with(&[beside]);
        assert_eq!(tokenizer.encode("A<plain>", false).unwrap(), [65, 259]);
        assert_eq!(tokenizer.decode(&[65, 259], true), "A");
        assert!(tokenizer.is_special(259));
    }
}

#[test]
fn the_digest_covers_the_tokens_of_the_configuration_and_nothing_else_of_it() {
    let digest = |value: Value| with(&[("config.json", value)]).digest().to_owned();
    let one = digest(json!({"eos_token_id": 257, "torch_dtype": "float32"}));
    assert_eq!(one, digest(json!({"eos_token_id": 257, "torch_dtype": "bfloat16"})));
    assert_ne!(one, digest(json!({"eos_token_id": 258})));
    assert_ne!(one, digest(json!({"eos_token_id": [257, 258]})));
}

#[test]
fn a_broken_file_is_named() {
    for name in ["tokenizer_config.json", "special_tokens_map.json", "generation_config.json", "config.json"]
    {
        let tokenizer = bytes(&Value::Null).to_string();
        let broken = |asked: &str| (asked == name).then_some(b"{\"eos".as_slice());
        let problem = ModelTokenizer::from_files(tokenizer.as_bytes(), broken).unwrap_err();
        assert_eq!(problem.code, contract::Code::TokenizerBroken);
        assert_eq!(problem.place.unwrap().file.as_deref(), Some(name));
    }
}

#[test]
fn what_stands_around_a_text_is_what_tokenizer_json_says() {
    let (begin, end) = (("<s>", 256), ("</s>", 257));
    let cases: [(Value, Vec<u32>, Vec<u32>); 6] = [
        (Value::Null, vec![], vec![]),
        (
            json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true}),
            vec![],
            vec![],
        ),
        (around(&[begin], &[]), vec![256], vec![]),
        (around(&[], &[end]), vec![], vec![257]),
        (around(&[begin], &[end]), vec![256], vec![257]),
        (around(&[("<|end|>", 258), begin], &[]), vec![258, 256], vec![]),
    ];
    let named = json!({"bos_token": "<s>", "eos_token": "</s>"});
    // What these two settings say was written into tokenizer.json when the folder was saved.
    let settings =
        [json!({}), json!({"add_bos_token": true, "add_eos_token": true}), json!({"add_bos_token": false})];
    for class in
        ["LlamaTokenizerFast", "GemmaTokenizer", "Qwen2Tokenizer", "GPT2Tokenizer", "PreTrainedTokenizerFast"]
    {
        for (processor, before, after) in &cases {
            for setting in &settings {
                let mut config = named.clone();
                config["tokenizer_class"] = json!(class);
                for (key, value) in setting.as_object().unwrap() {
                    config[key] = value.clone();
                }
                let tokenizer = of(&bytes(processor), &[("tokenizer_config.json", config)]);
                assert_eq!(tokenizer.encode("A", true).unwrap(), [before.as_slice(), &[65]].concat());
                assert_eq!(tokenizer.encode_whole("A").unwrap(), [before.as_slice(), &[65], after].concat());
                assert_eq!(tokenizer.encode_whole("").unwrap(), [before.as_slice(), after].concat());
                assert_eq!(tokenizer.encode("A", false).unwrap(), [65]);
                assert_eq!(tokenizer.add_bos(), !before.is_empty());
            }
        }
    }
    assert_eq!(pieces().encode_whole("a").unwrap(), [1, 259, 260]);
}

/// What a stream of these bytes says, and that the whole answer says the same.
fn said(tokenizer: &ModelTokenizer, bytes: &[u8], id: impl Fn(u8) -> u32) -> String {
    let ids: Vec<u32> = bytes.iter().map(|byte| id(*byte)).collect();
    let mut stream = tokenizer.stream(true);
    let mut said: String = ids.iter().filter_map(|id| stream.push(*id)).collect();
    said.push_str(&stream.finish().unwrap_or_default());
    assert_eq!(stream.finish(), None);
    let ended = [ids, tokenizer.eos_ids()].concat();
    assert_eq!(tokenizer.decode_answer(&ended, true), said, "{bytes:?}");
    said
}

#[test]
fn an_answer_ends_with_its_last_whole_character() {
    let level = with(&[("config.json", json!({"eos_token_id": 257}))]);
    let pieces = pieces();
    for text in ["🫖🫖", "ok 🫖", "👩‍💻 done 👩‍💻", "水火", "é", "\u{FFFD}a\u{FFFD}"] {
        for end in 0..=text.len() {
            let whole = &text[..text.floor_char_boundary(end)];
            let bytes = &text.as_bytes()[..end];
            assert_eq!(said(&level, bytes, u32::from), whole, "{end} bytes of {text}");
            assert_eq!(said(&pieces, bytes, |byte| u32::from(byte) + 3), whole, "{end} bytes of {text}");
        }
    }
}

#[test]
fn half_a_character_in_the_middle_stays_visible() {
    let level = with(&[("config.json", json!({"eos_token_id": 257}))]);
    let middle = [b"a\xF0\x9F".as_slice(), "b🫖".as_bytes(), b"\xF0\x9F\xAB"].concat();
    assert_eq!(said(&level, &middle, u32::from), "a\u{FFFD}b🫖");
    let pieces = pieces();
    let mut stream = pieces.stream(true);
    let ids = [0xF0, 0x9F, 0xAB, 0x96, 0xF0, 0x9F].map(|byte| byte + 3);
    let text: String = ids.into_iter().chain([260]).filter_map(|id| stream.push(id)).collect();
    assert_eq!(text, "🫖\u{FFFD}\u{FFFD}a", "what was said whole is not said again");
    assert_eq!(stream.finish(), None);
}

#[test]
fn a_document_has_once_around_it_what_the_tokenizer_puts_there_and_an_end() {
    let named = || ("tokenizer_config.json", json!({"bos_token": "<s>", "eos_token": "</s>"}));
    let (begin, end) = (("<s>", 256), ("</s>", 257));
    for (before, after, wanted) in [
        (vec![], vec![], vec![65, 257]),
        (vec![begin], vec![], vec![256, 65, 257]),
        (vec![], vec![end], vec![65, 257]),
        (vec![begin], vec![end], vec![256, 65, 257]),
        (vec![begin], vec![("<|end|>", 258)], vec![256, 65, 258, 257]),
    ] {
        let tokenizer = of(&bytes(&around(&before, &after)), &[named()]);
        assert_eq!(encoder(tokenizer).line_ids("A", true, true).unwrap(), wanted);
    }
    let text = |tokenizer: ModelTokenizer, text: &str| encoder(tokenizer).line_ids(text, true, true).unwrap();
    assert_eq!(text(with(&[named()]), "A</s>"), [65, 60, 47, 115, 62, 257], "what people write ends nothing");
    let reading = Encoder { control_tokens_in_text: true, ..encoder(with(&[named()])) };
    assert_eq!(reading.line_ids("A</s>", true, true).unwrap(), [65, 257], "it ends with one already");
    assert_eq!(text(with(&[named()]), ""), [257]);
    assert_eq!(text(with(&[]), "A"), [65], "no end is known");
    assert_eq!(text(pieces(), "a"), [1, 259, 260, 2]);
}

#[test]
fn a_line_behind_another_begins_without_what_begins_a_text() {
    let (pieces, level) = (encoder(pieces()), encoder(with(&[])));
    assert_eq!(pieces.tokenizer.encode("a", false).unwrap(), [259, 260]);
    assert_eq!(pieces.text_going_on("a").unwrap(), [260]);
    assert_eq!(level.text_going_on("AB").unwrap(), [65, 66]);
    for encoder in [&pieces, &level] {
        let lines = ["a", "", " a", "a"];
        let ids: Vec<u32> = (0..lines.len())
            .flat_map(|at| encoder.line_ids(lines[at], at == 0, at + 1 == lines.len()).unwrap())
            .collect();
        assert_eq!(ids, encoder.line_ids(&lines.join("\n"), true, true).unwrap());
    }
}
