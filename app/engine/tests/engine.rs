//! The engine from outside, as the Web Worker calls it: bytes in, pieces of an answer out.

#![expect(clippy::unwrap_used, reason = "a broken set-up is to fail the test where it breaks")]

use std::path::PathBuf;

use contract::Code;
use contract::chat::{ChatDelta, ChatMessage, ChatRequest, ChatTarget};
use contract::generation::GenerationSettings;
use contract::{ModelId, Problem};
use engine::Engine;

fn data(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../server").join(path)
}

fn put(engine: &mut Engine, name: &str, bytes: &[u8]) {
    engine.begin(name, bytes.len());
    bytes.chunks(1000).for_each(|piece| engine.feed(piece));
    engine.end(None).unwrap();
}

fn filled() -> Engine {
    let mut engine = Engine::new();
    let tokenizer = data("corpus/tests/data/reference/tokenizers/llama2");
    let model = data("model/tests/data/models/llama");
    for (folder, names) in [
        (&model, &["config.json", "generation_config.json", "model.safetensors"][..]),
        (&tokenizer, &["tokenizer.json", "tokenizer_config.json"][..]),
    ] {
        for name in names {
            if let Ok(bytes) = std::fs::read(folder.join(name)) {
                put(&mut engine, name, &bytes);
            }
        }
    }
    engine
}

fn request(question: &str, tokens: u32) -> String {
    let settings =
        GenerationSettings { do_sample: false, max_new_tokens: tokens, ..GenerationSettings::default() };
    let target = ChatTarget { model: ModelId("m".to_owned()), run: None, step: None };
    let message = ChatMessage { role: "user".to_owned(), content: question.to_owned() };
    let request =
        ChatRequest { target, template: Some("vanilla".to_owned()), messages: vec![message], settings };
    serde_json::to_string(&request).unwrap()
}

fn pieces(engine: &mut Engine) -> Vec<ChatDelta> {
    let told = std::iter::from_fn(|| engine.next()).filter(|piece| !piece.is_empty());
    told.map(|piece| serde_json::from_str(&piece).unwrap()).collect()
}

#[test]
fn it_answers_the_same_each_time_and_names_its_weights() {
    let mut engine = filled();
    engine.load("9f2c·41ab").unwrap();
    let mut answers = Vec::new();
    for _ in 0..2 {
        engine.ask(&request("abc", 8)).unwrap();
        let said = pieces(&mut engine);
        assert!(matches!(&said[0], ChatDelta::Ready { digest, .. } if digest == "9f2c·41ab"));
        let Some(ChatDelta::Done { tokens, reason, .. }) = said.last() else { panic!("{said:?}") };
        assert!((1..=8).contains(tokens) && (reason == "length" || reason == "stop"), "{said:?}");
        let text = |piece: &ChatDelta| match piece {
            ChatDelta::Text { text } => Some(text.clone()),
            _ => None,
        };
        answers.push(said.iter().filter_map(text).collect::<String>());
    }
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn an_answer_can_be_ended_between_two_tokens() {
    let mut engine = filled();
    engine.load("x").unwrap();
    engine.ask(&request("abc", 200)).unwrap();
    for _ in 0..3 {
        engine.next().unwrap();
    }
    engine.cancel();
    let rest = pieces(&mut engine);
    assert!(
        matches!(rest.last(), Some(ChatDelta::Done { reason, tokens, .. }) if reason == "cancelled" && *tokens < 200),
        "{rest:?}"
    );
}

#[test]
fn f24_a_search_breathes_between_two_tokens_and_can_be_ended_there() {
    let mut engine = filled();
    engine.load("x").unwrap();
    let mut asked: serde_json::Value = serde_json::from_str(&request("abc", 100)).unwrap();
    asked["settings"]["num_beams"] = 16.into();
    engine.ask(&asked.to_string()).unwrap();
    assert!(engine.next().unwrap().contains("ready"));
    for _ in 0..4 {
        assert_eq!(engine.next().unwrap(), "", "nothing is chosen yet");
    }
    engine.cancel();
    let rest = pieces(&mut engine);
    assert!(
        matches!(rest.last(), Some(ChatDelta::Done { reason, tokens, .. }) if reason == "cancelled" && *tokens <= 4),
        "{rest:?}"
    );
}

#[test]
fn what_is_missing_or_broken_is_one_clear_problem() {
    let problem = |said: Result<(), String>| serde_json::from_str::<Problem>(&said.unwrap_err()).unwrap();
    assert_eq!(problem(Engine::new().load("")).code, Code::ModelFileMissing);
    assert_eq!(problem(Engine::new().ask(&request("a", 1))).code, Code::ChatNothingLoaded);
    assert_eq!(problem(filled().ask("{}")).code, Code::WireUnknownFrame);
    let mut engine = filled();
    put(&mut engine, "model.safetensors", b"GGUF and not much more");
    assert!(problem(engine.load("")).code.as_str().starts_with("weights."));
    let mut engine = filled();
    put(&mut engine, "adapter0/adapter_config.json", b"{}");
    assert!(!problem(engine.load("")).message.is_empty());
}

#[test]
fn a_file_that_was_tampered_with_is_refused() {
    let mut engine = Engine::new();
    let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let mut put = |text: &[u8]| {
        engine.begin("config.json", text.len());
        engine.feed(text);
        engine.end(Some(known.to_owned()))
    };
    put(b"abc").unwrap();
    let problem: Problem = serde_json::from_str(&put(b"abd").unwrap_err()).unwrap();
    assert_eq!((problem.code.as_str(), problem.message.contains("config.json")), ("engine.digest", true));
}
