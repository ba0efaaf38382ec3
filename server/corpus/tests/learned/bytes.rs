use std::sync::Arc;

use contract::chat::ChatMessage;
use contract::dataset::Behaviour;
use contract::stage::Stage;
use corpus::encode::{Encoded, IGNORED};
use corpus::{Conversation, Encoder, ModelTokenizer, Template};
use serde_json::{Value, json};

/// Special tokens of a chatml tokenizer.
pub(crate) const IM: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

/// The chatml template.
pub(crate) const CHATML: &str = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// The character a byte is written as in a byte-level vocabulary.
fn written(byte: u8) -> char {
    let plain = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if plain(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|other| !plain(*other)).count();
    char::from_u32(256 + before as u32).unwrap()
}

/// A tokenizer whose ids are bytes. Added tokens follow from 256 on; those whose name ends with `?` are not special.
pub(crate) fn tokenizer(added: &[&str], eos: &str, template: &str) -> Arc<ModelTokenizer> {
    let mut vocab: serde_json::Map<String, Value> =
        (0..=255).map(|byte| (written(byte).to_string(), json!(byte))).collect();
    let mut tokens = Vec::new();
    for (id, name) in (256..).zip(added) {
        let content = name.strip_suffix('?').unwrap_or(name);
        vocab.insert(content.to_owned(), json!(id));
        tokens.push(json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": content == *name,
        }));
    }
    let level =
        json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
    let model = json!({
        "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": [],
    });
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": tokens, "normalizer": null,
        "pre_tokenizer": level, "post_processor": null, "decoder": level, "model": model,
    });
    let bos = added.iter().find(|name| **name == "<s>" || **name == "<|begin|>");
    let config = json!({ "bos_token": bos, "eos_token": eos, "chat_template": template }).to_string();
    let made = ModelTokenizer::from_bytes(file.to_string().as_bytes(), Some(config.as_bytes()), None, None);
    Arc::new(made.unwrap())
}

/// An encoder for a model's own template.
pub(crate) fn encoder(tokenizer: &Arc<ModelTokenizer>, template: &str, limits: (usize, usize)) -> Encoder {
    Encoder {
        template: Template::resolve(template, tokenizer).unwrap(),
        tokenizer: Arc::clone(tokenizer),
        stage: Stage::Sft,
        max_source_length: limits.0,
        max_target_length: limits.1,
        system: None,
        behaviour: Behaviour::Corrected,
        control_tokens_in_text: false,
    }
}

/// An encoder for the chat template of a tokenizer of bytes, with room for everything.
pub(crate) fn chat(added: &[&str], eos: &str, template: &str) -> Encoder {
    encoder(&tokenizer(added, eos, template), "model", (4096, 4096))
}

pub(crate) fn talk(system: Option<&str>, turns: &[(&str, &str)]) -> Conversation {
    let turns = turns.iter().map(|(question, answer)| ((*question).to_owned(), (*answer).to_owned()));
    Conversation { system: system.map(str::to_owned), turns: turns.collect() }
}

/// The messages that ask for the last answer of a conversation.
pub(crate) fn asked(conversation: &Conversation) -> Vec<ChatMessage> {
    let message = |role: &str, content: &str| ChatMessage { role: role.into(), content: content.into() };
    let mut messages: Vec<_> = conversation.system.iter().map(|text| message("system", text)).collect();
    for (question, answer) in &conversation.turns {
        messages.extend([message("user", question), message("assistant", answer)]);
    }
    messages.pop();
    messages
}

/// Learned stretches as ids.
pub(crate) fn learned_ids(row: &Encoded) -> Vec<Vec<u32>> {
    let mut stretches: Vec<Vec<u32>> = Vec::new();
    let mut before = IGNORED;
    for (id, label) in row.input_ids.iter().zip(&row.labels) {
        match stretches.last_mut() {
            Some(stretch) if *label != IGNORED && before != IGNORED => stretch.push(*id),
            _ if *label != IGNORED => stretches.push(vec![*id]),
            _ => {}
        }
        before = *label;
    }
    stretches
}

/// Learned stretches as text.
pub(crate) fn learned(encoder: &Encoder, conversation: &Conversation) -> Vec<String> {
    let row = encoder.encode_sft(conversation).unwrap();
    learned_ids(&row).iter().map(|ids| encoder.tokenizer.decode(ids, false)).collect()
}

/// All of a row as text.
pub(crate) fn whole(encoder: &Encoder, conversation: &Conversation) -> String {
    encoder.tokenizer.decode(&encoder.encode_sft(conversation).unwrap().input_ids, false)
}

/// Ids of a text in which added tokens are their ids.
pub(crate) fn ids(encoder: &Encoder, text: &str) -> Vec<u32> {
    encoder.tokenizer.encode(text, false).unwrap()
}
