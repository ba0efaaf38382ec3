//! Models whose files are made to end whoever reads them: tokenizers that make a text longer over and over, never end,
//! or are no files; chat templates that an import finds; conversations of thousands of turns.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::Code;
use contract::dataset::{Behaviour, DataFormat, Mapping};
use contract::problem::Problem;
use contract::stage::Stage;
use corpus::template::probe;
use corpus::tokenizer::train::train;
use corpus::{Conversation, Encoder, Example, ModelTokenizer, Row, Template};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What is wanted is a second, on a free machine and in an optimised build.
const FAR_TOO_LONG: Duration = Duration::from_secs(10);

fn small() -> Value {
    let texts = (0..50).map(|n| format!("How do I write a line {n}? <|im_start|>user\nHow<|im_end|>"));
    serde_json::from_slice(&train(texts, 400).unwrap().tokenizer_json).unwrap()
}

fn loaded(tokenizer: &Value) -> Result<ModelTokenizer, Problem> {
    ModelTokenizer::from_bytes(tokenizer.to_string().as_bytes(), None, None, None)
}

/// What an import makes of a tokenizer.
fn taken_in(tokenizer: &Value) -> Result<ModelTokenizer, Problem> {
    let loaded = loaded(tokenizer)?;
    loaded.try_out()?;
    Ok(loaded)
}

fn changed(key: &str, part: Value) -> Value {
    let mut tokenizer = small();
    tokenizer[key] = part;
    tokenizer
}

fn file_of(problem: &Problem) -> Option<&str> {
    problem.place.as_ref()?.file.as_deref()
}

fn replace(pattern: Value, content: &str) -> Value {
    json!({"type": "Replace", "pattern": pattern, "content": content})
}

fn split(regex: &str) -> Value {
    json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false})
}

#[test]
fn n9_tokenizers_that_grow_texts_or_never_end_are_refused() {
    let twice = || replace(json!({"String": "a"}), "aa");
    let repeated = json!({"type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {}});
    let around = json!({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "x", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"x": {"id": "x", "ids": vec![1; 5000], "tokens": vec!["a"; 5000]}}});
    let mut normalized = changed("normalizer", json!({"type": "Sequence", "normalizers": vec![twice(); 50]}));
    normalized["added_tokens"].as_array_mut().unwrap().push(json!({"id": 5000, "content": "aaa",
        "single_word": false, "lstrip": false, "rstrip": false, "normalized": true, "special": false}));
    let many: Vec<Value> = (0..7_000_000).map(|_| json!(0)).collect();
    for (name, tokenizer) in [
        (
            "a character becomes many",
            changed("normalizer", replace(json!({"String": "a"}), &"a".repeat(5000))),
        ),
        (
            "doubled over and over",
            changed("normalizer", json!({"type": "Sequence", "normalizers": vec![twice(); 50]})),
        ),
        ("doubled when it is loaded", normalized),
        ("the empty pattern", changed("normalizer", replace(json!({"String": ""}), &"b".repeat(5000)))),
        (
            "a pattern that finds nothing",
            changed("normalizer", replace(json!({"Regex": "x*"}), &"b".repeat(5000))),
        ),
        ("prepended", changed("normalizer", json!({"type": "Prepend", "prepend": "b".repeat(5000)}))),
        (
            "a long replacement",
            changed(
                "pre_tokenizer",
                json!({"type": "Metaspace", "replacement": "b".repeat(50), "prepend_scheme": "always", "split": true}),
            ),
        ),
        (
            "bytes of bytes",
            changed(
                "pre_tokenizer",
                json!({"type": "Sequence", "pretokenizers":
            vec![json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}); 40]}),
            ),
        ),
        ("a text twice", changed("post_processor", repeated.clone())),
        (
            "a text twice, over and over",
            changed("post_processor", json!({"type": "Sequence", "processors": vec![repeated; 40]})),
        ),
        ("many tokens around", changed("post_processor", around)),
        (
            "decoded twice as long",
            changed("decoder", json!({"type": "Sequence", "decoders": vec![twice(); 50]})),
        ),
        ("far too many values", changed("junk", json!(many))),
        (
            "far too deep",
            changed(
                "normalizer",
                (0..200).fold(
                    json!({"type": "NFC"}),
                    |inner, _| json!({"type": "Sequence", "normalizers": [inner]}),
                ),
            ),
        ),
    ] {
        let began = Instant::now();
        let problem = taken_in(&tokenizer).map(|_| ()).expect_err(name);
        assert_eq!(problem.code, Code::TokenizerBroken, "{name}: {problem}");
        assert!(began.elapsed() < FAR_TOO_LONG, "{name}");
    }
    taken_in(&small()).unwrap();
}

/// A pattern that tries everything over and over is found when it comes in, or gives up on a text.
#[test]
fn n9_patterns_that_look_at_a_text_over_and_over_end() {
    for regex in [r"(a|aa|aaa)+\1\1(?=b)c", r"((?=a)a|a|aa)+(?!a)b", r"(?=(a+)+$)b", r"(a*)*\1b"] {
        let began = Instant::now();
        let outcome = taken_in(&changed("pre_tokenizer", split(regex)));
        let problem = match outcome.and_then(|tokenizer| tokenizer.encode(&"a".repeat(5000), false)) {
            Ok(_) => None,
            Err(problem) => Some(problem.code),
        };
        eprintln!("{regex}: {problem:?} after {:?}", began.elapsed());
        assert!(began.elapsed() < FAR_TOO_LONG, "{regex}");
    }
}

#[test]
fn n19_a_tokenizer_that_encodes_nothing_is_refused() {
    let nothing = json!({"type": "WordLevel", "vocab": {}, "unk_token": "<unk>"});
    let mut empty = changed("model", nothing);
    empty["added_tokens"] = json!([]);
    assert_eq!(loaded(&empty).unwrap_err().code, Code::TokenizerBroken);
    let strips = replace(json!({"Regex": "(?s)."}), "");
    assert_eq!(loaded(&changed("normalizer", strips)).unwrap_err().code, Code::TokenizerBroken);
}

#[test]
fn n9_files_of_a_tokenizer_are_regular_and_of_bounded_size() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = folder.path().join("tokenizer.json");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let load = || ModelTokenizer::load(folder.path());
    assert_eq!(load().unwrap_err().code, Code::TokenizerMissing);
    write("tokenizer.json", small().to_string().as_bytes());
    load().unwrap();
    for name in ["config.json", "generation_config.json", "special_tokens_map.json"] {
        write(name, format!("{{\"junk\": \"{}\"}}", "x".repeat(2 << 20)).as_bytes());
        let problem = load().unwrap_err();
        assert_eq!((problem.code, file_of(&problem)), (Code::TokenizerBroken, Some(name)));
        write(name, b"{}");
    }
    let many = format!("{{\"junk\": [0{}]}}", ",0".repeat(1_100_000));
    write("tokenizer_config.json", many.as_bytes());
    assert_eq!(load().unwrap_err().code, Code::TokenizerBroken);
    write("tokenizer_config.json", b"{}");
    // Far larger than memory, and takes no room on the disk.
    std::fs::File::create(&tokenizer).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(load().unwrap_err().code, Code::TokenizerBroken);
    std::fs::remove_file(&tokenizer).unwrap();
    std::fs::create_dir(&tokenizer).unwrap();
    assert_eq!(load().unwrap_err().code, Code::TokenizerBroken);
    std::fs::remove_dir(&tokenizer).unwrap();
}

#[cfg(unix)]
#[test]
fn n9_pipes_and_devices_are_no_files_of_a_tokenizer() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, of: &Path| std::os::unix::fs::symlink(of, folder.path().join(name)).unwrap();
    put("tokenizer.json", Path::new("/dev/zero"));
    assert_eq!(ModelTokenizer::load(folder.path()).unwrap_err().code, Code::TokenizerBroken);
    std::fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), small().to_string()).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(folder.path().join("config.json")).status().unwrap();
    assert!(pipe.success());
    let problem = ModelTokenizer::load(folder.path()).unwrap_err();
    assert_eq!((problem.code, file_of(&problem)), (Code::TokenizerBroken, Some("config.json")));
    std::fs::remove_file(folder.path().join("config.json")).unwrap();
    ModelTokenizer::load(folder.path()).unwrap();
    // What the system makes up while it is read has a size that means nothing.
    if Path::new("/proc/self/comm").exists() {
        put("chat_template.jinja", Path::new("/proc/self/comm"));
        let problem = ModelTokenizer::load(folder.path()).unwrap_err();
        assert_eq!((problem.code, file_of(&problem)), (Code::TokenizerBroken, Some("chat_template.jinja")));
    }
}

fn encoder(tokenizer: &Arc<ModelTokenizer>, stage: Stage) -> Encoder {
    Encoder {
        tokenizer: Arc::clone(tokenizer),
        template: Template::resolve("vicuna", tokenizer).unwrap(),
        stage,
        max_source_length: 500,
        max_target_length: 500,
        system: None,
        behaviour: Behaviour::Corrected,
        control_tokens_in_text: false,
    }
}

/// A token that the model has no row for, and that its tokenizer finds in any text: no text of people becomes it.
#[test]
fn words_of_tokens_beyond_the_rows_of_the_model_are_plain_text() {
    let mut tokenizer = small();
    let plain = loaded(&tokenizer).unwrap();
    let rows = plain.vocab_size();
    let token = |id: usize, content: &str| {
        json!({"id": id, "content": content, "single_word": false,
        "lstrip": false, "rstrip": false, "normalized": false, "special": false})
    };
    let added = tokenizer["added_tokens"].as_array_mut().unwrap();
    added.extend([token(rows, "<inside>"), token(rows + 1, "<beyond>"), token(rows + 2, "<beyond more>")]);
    let bytes = tokenizer.to_string();
    for config in [json!({"vocab_size": rows + 1}), json!({"text_config": {"vocab_size": rows + 1}})] {
        let config = config.to_string();
        let made =
            ModelTokenizer::from_files(bytes.as_bytes(), |name| (name == "config.json").then_some(&config));
        let made = Arc::new(made.unwrap());
        assert_eq!(made.encode("<inside><beyond>", false).unwrap(), [rows as u32, rows as u32 + 1]);
        let talk = |system: &str, question: &str, answer: &str| json!({"system": system, "prompt": question, "response": answer});
        for (said, row) in [
            ("system", talk("s <beyond>", "q", "a")),
            ("question", talk("s", "q <beyond more>", "a")),
            ("answer", talk("s", "q", "a<beyond>")),
        ] {
            let mapping =
                Mapping { system: Some("system".into()), ..Mapping::empty(DataFormat::PromptResponse) };
            let row = Row::new(row.as_object().unwrap().clone().into_iter().collect());
            let encoder = encoder(&made, Stage::Sft);
            let Ok(Example::Sequence(row)) = encoder.encode_row(&row, &mapping, None).unwrap() else {
                panic!("a sequence")
            };
            assert!(row.input_ids.iter().all(|id| (*id as usize) <= rows), "{said}");
            assert!(made.decode(&row.input_ids, false).contains("<beyond"), "{said}");
        }
        let ids = encoder(&made, Stage::Pt).text_ids("a <beyond> b <inside> c <beyond more>", false).unwrap();
        assert!(ids.iter().all(|id| (*id as usize) <= rows) && ids.contains(&(rows as u32)));
        assert_eq!(made.decode(&ids, false), "a <beyond> b <inside> c <beyond more>");
    }
}

fn with_template(source: &str) -> ModelTokenizer {
    ModelTokenizer::from_bytes(small().to_string().as_bytes(), None, None, Some(source.as_bytes())).unwrap()
}

const CHATML: &str = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

#[test]
fn n5_an_import_finds_a_template_that_cannot_be_rendered() {
    let deep = "{% set n = namespace(x=[]) %}{% for i in range(9000) %}{% set n.x = [n.x] %}{% endfor %}";
    let problem = probe(&with_template(&format!("{deep}{{{{ n.x | string }}}}"))).unwrap_err();
    assert_eq!(problem.code, Code::TemplateFailed);
    let chain = format!("{{{{ a{} }}}}", "+a".repeat(40_000));
    assert_eq!(probe(&with_template(&chain)).unwrap_err().code, Code::TemplateBroken);
    probe(&with_template(CHATML)).unwrap();
    probe(&with_template("{{ raise_exception('never') }}")).unwrap();
    probe(&loaded(&small()).unwrap()).unwrap();
}

fn long_talk(turns: usize) -> Conversation {
    let turn = |n: usize| (format!("{n} {}", "x".repeat(100)), format!("{n} {}", "y".repeat(100)));
    Conversation { turns: (0..turns).map(turn).collect(), ..Conversation::default() }
}

/// Four times as many turns take four times as long, not sixteen times.
#[test]
fn f14_n14_time_of_a_conversation_follows_its_length() {
    let tokenizer = Arc::new(with_template(CHATML));
    let quickest = |turns: usize| {
        let talk = long_talk(turns);
        let took = (0..3).map(|_| {
            let template = Template::resolve("model", &tokenizer).unwrap();
            let began = Instant::now();
            assert_eq!(template.pieces(&talk).unwrap().len(), 2 * turns);
            began.elapsed()
        });
        took.min().unwrap()
    };
    let (quarter, whole) = (quickest(800), quickest(3200));
    eprintln!("800 turns: {quarter:?}, 3,200 turns: {whole:?}");
    assert!(whole < quarter * 9, "{quarter:?} and {whole:?}");
}

/// A template that changes what answers say is asked for each of them apart, as far as that is bearable.
#[test]
fn f14_answers_that_a_template_changes_are_not_looked_for_without_end() {
    let loud = CHATML.replace("m['content']", "m['content'].replace('y', 'z')");
    let template = Template::resolve("model", &with_template(&loud)).unwrap();
    assert_eq!(template.pieces(&long_talk(20)).unwrap().len(), 40);
    let began = Instant::now();
    assert_eq!(template.pieces(&long_talk(3200)).unwrap_err().code, Code::TemplateFailed);
    assert!(began.elapsed() < FAR_TOO_LONG);
}

#[test]
fn what_stands_around_answers_is_the_same_in_a_long_conversation_as_in_a_short_one() {
    let template = Template::resolve("model", &with_template(CHATML)).unwrap();
    let (short, long) = (template.pieces(&long_talk(4)).unwrap(), template.pieces(&long_talk(100)).unwrap());
    assert_eq!(short[..8], long[..8]);
    assert!(long.iter().skip(1).step_by(2).all(|piece| piece.learn && piece.text.ends_with("<|im_end|>")));
    assert!(
        long.iter().step_by(2).all(|piece| piece.text.ends_with("<|im_start|>assistant\n") && piece.tail > 0)
    );
}

/// Parts of tokenizers that are put where others stand.
fn parts() -> Vec<Value> {
    vec![
        json!(null),
        json!(0),
        json!(-1),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!("a"),
        json!("\u{6c34}"),
        json!([]),
        json!({}),
        json!([["a", "b"]]),
        json!(["a b", "ab c"]),
        json!({"a": 0, "b": 1, "ab": 2}),
        json!(true),
        json!({"type": "NFKC"}),
        json!({"type": "Lowercase"}),
        json!({"type": "BertNormalizer", "clean_text": true,
            "handle_chinese_chars": true, "strip_accents": null, "lowercase": true}),
        replace(json!({"String": ""}), "x"),
        replace(json!({"Regex": "(?=a)"}), "b"),
        replace(json!({"String": "a"}), ""),
        split(""),
        split("(?=x)|"),
        json!({"type": "Whitespace"}),
        json!({"type": "Metaspace", "replacement": "_", "prepend_scheme": "first", "split": true}),
        json!({"type": "Unigram", "unk_id": 7, "vocab": [["a", -1.0]], "byte_fallback": false}),
        json!({"type": "Unigram", "unk_id": 0, "vocab": [["", 0.0], ["a", f64::MAX]], "byte_fallback": true}),
        json!({"type": "WordPiece", "unk_token": "u", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {"a": 0}}),
        json!({"type": "WordLevel", "unk_token": "u", "vocab": {"a": 4_294_967_295_u32}}),
        json!({"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 9, "stop": 9}]}),
        json!({"type": "CTC", "pad_token": "", "word_delimiter_token": "", "cleanup": true}),
        json!([{"id": 0, "content": "", "single_word": false, "lstrip": true, "rstrip": true, "normalized": true, "special": true}]),
        json!([{"id": 9, "content": "a", "single_word": true, "lstrip": true, "rstrip": true, "normalized": true, "special": false}]),
        json!({"type": "BertProcessing", "sep": ["a", 1], "cls": ["b", 2]}),
        json!({"type": "Precompiled", "precompiled_charsmap": ""}),
        json!({"type": "Precompiled", "precompiled_charsmap": "AAAAAA=="}),
    ]
}

const PLACES: &[&str] = &[
    "/normalizer",
    "/pre_tokenizer",
    "/post_processor",
    "/decoder",
    "/model",
    "/added_tokens",
    "/truncation",
    "/padding",
    "/version",
    "/model/vocab",
    "/model/merges",
    "/model/unk_token",
    "/model/dropout",
    "/model/byte_fallback",
    "/model/fuse_unk",
    "/model/end_of_word_suffix",
    "/model/continuing_subword_prefix",
    "/model/type",
    "/model/ignore_merges",
    "/added_tokens/0/id",
    "/added_tokens/0/content",
    "/added_tokens/0/normalized",
    "/pre_tokenizer/type",
    "/decoder/type",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// S27: whatever stands in a `tokenizer.json`, it is loaded and encodes, or has a problem.
    #[test]
    fn s27_any_parts_of_a_tokenizer_end_well(
        changes in prop::collection::vec((prop::sample::select(PLACES), prop::sample::select(parts())), 1..4),
        text in "(a|b| |\u{6c34}|<\\|im_end\\|>|H|\n){0,40}",
    ) {
        let mut tokenizer = small();
        for (place, part) in changes {
            if let Some(slot) = tokenizer.pointer_mut(place) {
                *slot = part;
            }
        }
        let began = Instant::now();
        if let Ok(loaded) = loaded(&tokenizer) {
            if let Ok(ids) = loaded.encode(&text, true) {
                loaded.decode(&ids, false);
            }
            let _ = Template::resolve("alpaca", &loaded).and_then(|template| template.text_ids(&loaded, &text, true));
        }
        prop_assert!(began.elapsed() < FAR_TOO_LONG);
    }

    /// S27: any byte of it changed, or its end lost.
    #[test]
    fn s27_any_damage_to_a_tokenizer_ends_well(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = small().to_string().into_bytes();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        if let Ok(loaded) = ModelTokenizer::from_bytes(&bytes, None, None, None) {
            let _ = loaded.encode("How do I <|im_end|>", true).map(|ids| loaded.decode(&ids, false));
        }
    }
}
