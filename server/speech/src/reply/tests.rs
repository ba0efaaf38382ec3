use std::path::Path;

use contract::chat::ChatMessage;
use model::decode::PROMPT_PIECE;
use model::{CausalLm, Cpu, ModelConfig};

use super::*;
use crate::{Question, Speaker};

fn speaker() -> Speaker {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/tests/data/reference/tokenizers/llama2");
    let tokenizer = ModelTokenizer::load(&folder).expect("a tokenizer");
    let config = ModelConfig {
        vocab_size: tokenizer.vocab_size(),
        initializer_range: 0.3,
        max_position_embeddings: 2048,
        ..ModelConfig::default()
    };
    let model = CausalLm::<Cpu>::init_random(config, 5, &Default::default()).expect("a model");
    Speaker::new(model, tokenizer, "d".to_owned(), vec![])
}

fn ask(speaker: &Speaker, question: &str, num_beams: u32, max_new_tokens: u32) -> Reply {
    let settings = GenerationSettings { num_beams, max_new_tokens, ..GenerationSettings::greedy() };
    let messages = [ChatMessage { role: "user".to_owned(), content: question.to_owned() }];
    let question =
        Question { template: "vanilla", messages: &messages, settings: &settings, seed: 0, clock: || 0.0 };
    speaker.ask(&question).expect("asked")
}

/// Steps until something is told, and what.
fn told(reply: &mut Reply) -> (usize, Option<ChatDelta>) {
    let mut silent = 0;
    loop {
        match reply.next().map(|piece| piece.expect("no problem")) {
            Some(Piece::Silent) => silent += 1,
            Some(Piece::Said(delta)) => return (silent, Some(delta)),
            None => return (silent, None),
        }
    }
}

/// Prompt tokens of a reply of which nothing was heard.
fn prompt_tokens(reply: &mut Reply) -> usize {
    match told(reply) {
        (0, Some(ChatDelta::Ready { prompt_tokens, .. })) => prompt_tokens as usize,
        other => panic!("it begins with {other:?}"),
    }
}

/// Text, tokens and reason of the rest of an answer, and the silent steps in it.
fn rest(reply: &mut Reply) -> (String, u32, String, usize) {
    let (mut text, mut all) = (String::new(), 0);
    loop {
        let (silent, delta) = told(reply);
        all += silent;
        match delta.expect("it has an end") {
            ChatDelta::Text { text: piece } => text.push_str(&piece),
            ChatDelta::Done { tokens, reason, .. } => return (text, tokens, reason, all),
            other => panic!("unexpected: {other:?}"),
        }
    }
}

#[test]
fn f24_a_search_is_broken_off_between_two_tokens_and_says_the_best_so_far() {
    let speaker = speaker();
    for (steps, tokens) in [(0, 0), (1, 0), (2, 0), (3, 1), (9, 7)] {
        let mut reply = ask(&speaker, "abc", 4, 1000);
        prompt_tokens(&mut reply);
        for _ in 0..steps {
            // it begins, reads its short prompt, and goes on a token a step
            assert_eq!(reply.next(), Some(Ok(Piece::Silent)));
        }
        reply.cancel();
        let (text, said, reason, silent) = rest(&mut reply);
        assert_eq!((reason.as_str(), silent), (ChatDelta::CANCELLED, 0), "after {steps} steps");
        assert!(reply.next().is_none());
        let whole = match tokens {
            0 => (String::new(), 0),
            _ => {
                let mut shorter = ask(&speaker, "abc", 4, tokens);
                prompt_tokens(&mut shorter);
                let (text, said, ..) = rest(&mut shorter);
                (text, said)
            }
        };
        assert_eq!((text, said), whole, "after {steps} steps");
    }
}

#[test]
fn f24_reading_a_long_prompt_is_broken_off_between_two_pieces() {
    let speaker = speaker();
    let question = "a b c d e f ".repeat(120);
    for beams in [1, 3] {
        let mut reply = ask(&speaker, &question, beams, 2);
        let prompt = prompt_tokens(&mut reply);
        let pieces = (prompt - 1).div_ceil(PROMPT_PIECE);
        assert!(pieces >= 3, "{prompt} tokens");
        let (_, tokens, reason, silent) = rest(&mut reply);
        assert!(reason != ChatDelta::CANCELLED && (1..=2).contains(&tokens), "{tokens} {reason}");
        assert!(silent > pieces, "{silent} steps before the end");

        let mut reply = ask(&speaker, &question, beams, 2);
        prompt_tokens(&mut reply);
        for _ in 0..2 {
            assert_eq!(reply.next(), Some(Ok(Piece::Silent)), "it begins, and reads the first piece");
        }
        reply.cancel();
        let expected = (String::new(), 0, ChatDelta::CANCELLED.to_owned(), 0);
        assert_eq!(rest(&mut reply), expected);
        assert!(reply.next().is_none());
    }
}
