use std::path::PathBuf;

use contract::chat::ChatMessage;
use corpus::tokenizer::gguf::files_from_gguf;
use corpus::{ModelTokenizer, Template};

use crate::folders::{cases, ids, json, real, text};
use crate::gguf_metadata;

/// The starter model's file; `None` where it is not downloaded, which `CI=true` forbids.
fn starter() -> Option<PathBuf> {
    let named = std::env::var_os("BURNISH_STARTER_GGUF").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let usual = home.join(".cache/burnish/starter/SmolLM2-135M-Instruct.Q4_1.gguf");
    let path = named.unwrap_or(usual);
    if path.is_file() {
        return Some(path);
    }
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci, "{} is not there; run `make starter`", path.display());
    None
}

fn tokenizer() -> Option<ModelTokenizer> {
    let files = files_from_gguf(&gguf_metadata::tokenizer(&starter()?)).unwrap();
    let config = Some(files.tokenizer_config_json.as_slice());
    Some(ModelTokenizer::from_bytes(&files.tokenizer_json, config, None, None).unwrap())
}

#[test]
fn reference_real_tokenizer_cases() {
    let Some(tokenizer) = tokenizer() else { return };
    for case in cases(&json(&real().join("smollm2-135m/tokenizer_cases.json"))) {
        let input = text(&case["text"]);
        let encoded = tokenizer.encode(input, true).unwrap();
        assert_eq!(encoded, ids(&case["ids"]), "{input:?}");
        assert_eq!(tokenizer.decode(&encoded, false), text(&case["decoded"]));
    }
    assert!(!tokenizer.add_bos());
}

#[test]
fn reference_real_chat_prompts() {
    let Some(tokenizer) = tokenizer() else { return };
    let template = Template::resolve("model", &tokenizer).unwrap();
    assert_eq!(template.name(), "model");
    assert_eq!(template.stop_ids(&tokenizer), [2]);
    let forward = json(&real().join("smollm2-135m/forward.json"));
    let mut checked = 0;
    for case in cases(&forward) {
        let Ok(messages) = serde_json::from_value::<Vec<ChatMessage>>(case["messages"].clone()) else {
            continue;
        };
        assert_eq!(template.prompt_ids(&tokenizer, &messages).unwrap(), ids(&case["ids"]));
        checked += 1;
    }
    assert!(checked > 0);
}
