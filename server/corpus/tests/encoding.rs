//! Encoder and preview on a tokenizer trained here: no downloaded file is needed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use contract::Code;
use contract::chat::ChatMessage;
use contract::dataset::{Behaviour, DataFormat, Mapping};
use contract::stage::Stage;
use corpus::encode::IGNORED;
use corpus::preview::preview;
use corpus::tokenizer::train::train;
use corpus::{Conversation, Encoded, Encoder, ModelTokenizer, Row, Template};
use serde_json::{Value, json};

fn tokenizer() -> Arc<ModelTokenizer> {
    let texts =
        (0..50).map(|n| format!("user\nassistant\nHow do I descale kettle {n}? With vinegar and water."));
    let files = train(texts, 320).unwrap();
    let config = Some(files.tokenizer_config_json.as_slice());
    Arc::new(ModelTokenizer::from_bytes(&files.tokenizer_json, config, None, None).unwrap())
}

fn encoder(template: &str, source: usize, target: usize) -> Encoder {
    let tokenizer = tokenizer();
    Encoder {
        template: Template::resolve(template, &tokenizer).unwrap(),
        tokenizer,
        stage: Stage::Sft,
        behaviour: Behaviour::Corrected,
        control_tokens_in_text: false,
        max_source_length: source,
        max_target_length: target,
        system: None,
    }
}

fn talk(turns: &[(&str, &str)]) -> Conversation {
    Conversation {
        turns: turns.iter().map(|(q, a)| ((*q).to_owned(), (*a).to_owned())).collect(),
        ..Conversation::default()
    }
}

fn learnt(encoder: &Encoder, conversation: &Conversation) -> String {
    let encoded = encoder.encode_sft(conversation).unwrap();
    let ids: Vec<u32> =
        encoded.labels.iter().filter(|label| **label != IGNORED).map(|id| *id as u32).collect();
    encoder.tokenizer.decode(&ids, false)
}

#[test]
fn s_142_exactly_the_answers_and_their_end_tokens_are_learnt() {
    let conversation = talk(&[("How?", "With vinegar."), ("And then?", "Rinse it.")]);
    for template in ["model", "default", "alpaca", "vicuna"] {
        let encoder = encoder(template, 512, 512);
        assert_eq!(
            learnt(&encoder, &conversation),
            "With vinegar.<|im_end|>Rinse it.<|im_end|>",
            "{template}"
        );
        let encoded = encoder.encode_sft(&conversation).unwrap();
        assert_eq!(encoded.input_ids.len(), encoded.labels.len());
        assert_eq!(encoded.input_ids.last().copied(), encoder.tokenizer.eos_id());
        assert_eq!(encoded.cut, 0);
    }
}

#[test]
fn training_ids_begin_with_the_ids_the_playground_asks_with() {
    let conversation = talk(&[("How?", "With vinegar."), ("And then?", "Rinse it.")]);
    let message = |role: &str, content: &str| ChatMessage { role: role.into(), content: content.into() };
    let asked =
        [message("user", "How?"), message("assistant", "With vinegar."), message("user", "And then?")];
    for template in ["model", "default", "alpaca", "baichuan"] {
        let encoder = encoder(template, 512, 512);
        let trained = encoder.encode_sft(&conversation).unwrap().input_ids;
        let prompt = encoder.template.prompt_ids(&encoder.tokenizer, &asked).unwrap();
        assert!(prompt.len() < trained.len() && trained.starts_with(&prompt), "{template}");
    }
}

#[test]
fn s_028_limits_cut_the_end_but_keep_the_end_token_and_the_opening_of_the_answer() {
    let long = "water ".repeat(100);
    let encoder = encoder("model", 24, 12);
    let encoded = encoder.encode_sft(&talk(&[(&long, &long)])).unwrap();
    let text = encoder.tokenizer.decode(&encoded.input_ids, false);
    assert_eq!(encoded.input_ids.len(), 36);
    assert_eq!(encoded.labels.iter().filter(|label| **label != IGNORED).count(), 12);
    assert!(text.contains("<|im_end|>\n<|im_start|>assistant\nwater"), "{text}");
    assert!(text.ends_with("<|im_end|>"), "{text}");
    assert!(encoded.cut > 150, "{}", encoded.cut);
}

#[test]
fn s_142_turns_that_do_not_fit_are_cut_whole() {
    let long = "water ".repeat(10);
    let encoder = encoder("vanilla", 8, 64);
    let default = Encoder { template: Template::resolve("billa", &encoder.tokenizer).unwrap(), ..encoder };
    let conversation =
        talk(&[("How?", &long), ("And?", &long), ("So?", &long), ("Why?", &long), ("Hm?", &long)]);
    let encoded = default.encode_sft(&conversation).unwrap();
    assert!(encoded.input_ids.len() <= 72);
    assert!(encoded.cut > 0);
    assert_eq!(encoded.input_ids.last().copied(), default.tokenizer.eos_id());
}

#[test]
fn s_094_a_model_without_a_pad_token_pads_with_id_0_and_so_does_old_baichuan() {
    let words = json!({ "<unk>": 0, "<old>": 64_000, "<pad>": 2 });
    let model = json!({ "type": "WordLevel", "vocab": words, "unk_token": "<unk>" });
    let tokenizer_json = json!({ "version": "1.0", "added_tokens": [], "model": model }).to_string();
    let pad_id = |config: Value| {
        let config = config.to_string();
        let made = ModelTokenizer::from_bytes(tokenizer_json.as_bytes(), Some(config.as_bytes()), None, None);
        made.unwrap().pad_id()
    };
    assert_eq!(pad_id(json!({ "pad_token": "<pad>" })), 2);
    assert_eq!(pad_id(json!({})), 0);
    assert_eq!(pad_id(json!({ "pad_token": "<old>" })), 0);
}

#[test]
fn an_answer_that_is_not_learned_is_seen_all_the_same() {
    for template in ["model", "default", "vicuna", "vanilla"] {
        let encoder = encoder(template, 512, 512);
        let whole = talk(&[("What?", "This."), ("Which?", "That."), ("Why?", "So.")]);
        let some = Conversation { unlearned: vec![1], ..whole.clone() };
        let (all, kept) = (encoder.encode_sft(&whole).unwrap(), encoder.encode_sft(&some).unwrap());
        assert_eq!(all.input_ids, kept.input_ids, "{template}");
        let text = learnt(&encoder, &some);
        assert!(text.contains("So.") && !text.contains("That."), "{template}: {text}");
        assert_eq!(
            text.contains("This."),
            template != "vanilla",
            "{template}: without history only the last turn is there"
        );
    }
}

#[test]
fn a_system_text_of_the_run_serves_rows_without_their_own() {
    let encoder = Encoder { system: Some("Be brief.".into()), ..encoder("model", 512, 512) };
    let own = Conversation { system: Some("Be long.".into()), ..talk(&[("q", "a")]) };
    let text = |conversation: &Conversation| {
        encoder.tokenizer.decode(&encoder.encode_sft(conversation).unwrap().input_ids, false)
    };
    assert!(text(&talk(&[("q", "a")])).starts_with("<|im_start|>system\nBe brief.<|im_end|>\n"));
    assert!(text(&own).starts_with("<|im_start|>system\nBe long.<|im_end|>\n"));
}

#[test]
fn a_model_without_a_chat_template_falls_back_and_says_so() {
    let files = train(["some text".to_owned()].into_iter(), 300).unwrap();
    let bare = ModelTokenizer::from_bytes(&files.tokenizer_json, None, None, None).unwrap();
    assert_eq!(Template::resolve("model", &bare).unwrap().name(), "default");
}

#[test]
fn template_errors_are_clear() {
    let with = |source: &str| {
        let files = train(["some text".to_owned()].into_iter(), 300).unwrap();
        ModelTokenizer::from_bytes(&files.tokenizer_json, None, None, Some(source.as_bytes())).unwrap()
    };
    let broken = Template::resolve("model", &with("{% for m in messages %}")).unwrap_err();
    assert_eq!(broken.code, Code::TemplateBroken);
    let endless =
        with("{% for a in range(10000) %}{% for b in range(10000) %}{{ a }}{% endfor %}{% endfor %}");
    let problem = Template::resolve("model", &endless).unwrap().pieces(&talk(&[("q", "a")])).unwrap_err();
    assert_eq!(problem.code, Code::TemplateFailed, "fuel ends it: {problem}");
    let silent = Template::resolve("model", &with("nothing")).unwrap();
    assert_eq!(silent.pieces(&talk(&[("q", "a")])).unwrap_err().code, Code::TemplateAnswerLost);
    let last = [ChatMessage { role: "assistant".into(), content: "a".into() }];
    assert_eq!(silent.prompt(&last).unwrap_err().code, Code::ChatNotAQuestion);
}

#[test]
fn s_147_the_preview_shows_what_training_sees() {
    let cells = |value: Value| Row::new(value.as_object().unwrap().clone().into_iter().collect());
    let row = cells(json!({"instruction": "How do I descale it?", "output": "water ".repeat(30)}));
    let mapping = Mapping::empty(DataFormat::Alpaca);
    let encoder = encoder("model", 64, 10);
    let shown = preview(&encoder, &row, &mapping, 3, 9).unwrap();
    let encoded = encoder.encode_sft(&Conversation::from_row(&row, &mapping).unwrap()).unwrap();
    let seen: Vec<u32> = shown.tokens.iter().filter(|token| !token.cut).map(|token| token.id).collect();
    assert_eq!(seen, encoded.input_ids);
    assert_eq!((shown.seen, shown.learned, shown.cut), (encoded.input_ids.len(), 10, encoded.cut));
    assert_eq!((shown.row, shown.rows, shown.left_out), (3, 9, None));
    let text: String = shown.tokens.iter().map(|token| token.text.as_str()).collect();
    assert!(text.contains("How do I descale it?<|im_end|>"), "{text}");
    let empty = preview(&encoder, &cells(json!({"instruction": "q"})), &mapping, 1, 9).unwrap();
    assert_eq!((empty.left_out.map(|why| why.is_empty_answer()), empty.tokens.len()), (Some(true), 0));
}

#[test]
fn s_141_nothing_is_lost_between_blocks_and_at_the_end() {
    let encoder = Encoder { stage: Stage::Pt, ..encoder("model", 16, 16) };
    let texts = || (0..3000).map(|n| Ok(format!("kettle {n} ")));
    let packed = encoder.encode_pt(texts()).unwrap();
    assert_eq!(packed.dropped_tokens, 0);
    let sizes: Vec<usize> = packed.blocks.iter().map(|block| block.input_ids.len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), packed.total_tokens);
    let (last, others) = sizes.split_last().unwrap();
    assert!(others.iter().all(|size| *size == 16) && *last > 0);
    let ends = |block: &Encoded| {
        block.labels.iter().filter(|id| Some(**id as u32) == encoder.tokenizer.eos_id()).count()
    };
    assert_eq!(packed.blocks.iter().map(ends).sum::<usize>(), 3000, "learned behind every text");
    let short = encoder.encode_pt(["kettle".to_owned()].into_iter().map(Ok)).unwrap();
    assert_eq!((short.blocks.len(), short.dropped_tokens), (1, 0));
}

#[test]
fn s_147_the_preview_of_pre_training_shows_where_texts_end() {
    let encoder = Encoder { stage: Stage::Pt, ..encoder("model", 16, 16) };
    let mapping = Mapping { prompt: Some("text".into()), ..Mapping::empty(DataFormat::Text) };
    let row = |text: &str| Row::new(vec![("text".to_owned(), Value::from(text))]);
    let ids = |preview: &contract::dataset::Preview| -> Vec<u32> {
        assert!(preview.left_out.is_none() && preview.tokens.iter().all(|token| token.learned && !token.cut));
        preview.tokens.iter().map(|token| token.id).collect()
    };
    let document = ids(&preview(&encoder, &row("Kettle"), &mapping, 1, 2).unwrap());
    assert_eq!(document, encoder.line_ids("Kettle", true, true).unwrap());
    assert_eq!(document.last().copied(), encoder.tokenizer.eos_id());
}

#[test]
fn a_stream_never_prints_half_a_character_and_loses_nothing() {
    let tokenizer = tokenizer();
    let text = "ok 🚀 水 👩‍💻 done";
    let mut stream = tokenizer.stream(true);
    let mut joined = String::new();
    for id in tokenizer.encode(text, false).unwrap() {
        let piece = stream.push(id).unwrap_or_default();
        assert!(!piece.contains('\u{FFFD}'));
        joined += &piece;
    }
    assert_eq!(joined, text);
    assert_eq!(stream.finish(), None);
    let lead = tokenizer.encode("🚀", false).unwrap()[0];
    let mut broken = tokenizer.stream(true);
    let pieces: Vec<_> = (0..40).filter_map(|_| broken.push(lead)).collect();
    assert!(!pieces.is_empty(), "broken bytes are printed as U+FFFD in the end, not kept for ever");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(40))]
    #[test]
    fn s27_random_tokenizer_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        proptest::prop_assert!(ModelTokenizer::from_bytes(&bytes, None, None, None).is_err());
    }

    #[test]
    fn s_141_blocks_are_the_texts_one_after_the_other(
        texts in proptest::collection::vec("[a-z 水🫖\n]{0,30}", 0..12),
        block in 1_usize..20,
    ) {
        let encoder = Encoder { stage: Stage::Pt, ..encoder("model", block, 16) };
        let packed = encoder.encode_pt(texts.iter().cloned().map(Ok)).unwrap();
        let ids: Vec<u32> = packed.blocks.iter().flat_map(|block| block.input_ids.clone()).collect();
        let wanted: Vec<u32> =
            texts.iter().flat_map(|text| encoder.line_ids(text, true, true).unwrap()).collect();
        proptest::prop_assert_eq!(ids, wanted);
        let full = packed.blocks.iter().rev().skip(1).all(|one| one.input_ids.len() == block);
        proptest::prop_assert!(full && packed.dropped_tokens == 0);
    }

    #[test]
    fn s27_any_messages_become_turns_or_a_reason(text in "\\PC{0,40}", role in "(user|assistant|system|tool|)") {
        let value = json!({"messages": [{"role": role, "content": text}, {"from": "gpt", "value": text}]});
        let row = Row::new(value.as_object().unwrap().clone().into_iter().collect());
        let made = Conversation::from_row(&row, &Mapping::empty(DataFormat::Messages));
        proptest::prop_assert_eq!(made.is_ok(), role == "user" && !text.is_empty());
    }
}
