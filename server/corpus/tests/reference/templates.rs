use std::sync::Arc;

use contract::Code;
use contract::chat::ChatMessage;
use contract::dataset::Behaviour;
use contract::stage::Stage;
use contract::templates::{BUILTIN, builtin};
use corpus::template::builtin::{get_dialog, get_prompt};
use corpus::template::{ChatTemplate, Extras};
use corpus::{Conversation, Encoder, ModelTokenizer, Template};
use serde_json::Value;

use crate::folders::{cases, json, reference, text, tokenizer};

fn pairs(value: &Value) -> Vec<(String, String)> {
    serde_json::from_value::<Option<_>>(value.clone()).unwrap().unwrap_or_default()
}

#[test]
fn reference_s_220_builtin_templates_word_for_word() {
    let recorded = json(&reference().join("templates/builtin_templates.json"));
    let recorded = recorded.as_array().unwrap();
    assert_eq!(recorded.len(), BUILTIN.len());
    for template in recorded {
        let ours = builtin(text(&template["name"])).unwrap();
        assert_eq!(
            (ours.prefix, ours.prompt, ours.sep, Some(ours.use_history)),
            (
                text(&template["prefix"]),
                text(&template["prompt"]),
                text(&template["sep"]),
                template["use_history"].as_bool()
            )
        );
    }
}

#[test]
fn reference_s_221_s_222_builtin_rendered() {
    let document = json(&reference().join("templates/builtin_rendered.json"));
    let unknown = Template::resolve("nope", &tokenizer("llama2")).unwrap_err();
    assert_eq!(unknown.message, text(&document["unknown_name_error"]));
    for case in cases(&document) {
        let words = &builtin(text(&case["template"])).unwrap().into();
        let (query, answer, prefix) = (text(&case["query"]), text(&case["answer"]), case["prefix"].as_str());
        let history = pairs(&case["history"]);
        assert_eq!(get_prompt(words, query, &history, prefix), text(&case["get_prompt"]));
        let dialog = get_dialog(words, query, answer, &history, prefix);
        assert_eq!(serde_json::to_value(dialog).unwrap(), case["get_dialog"]);
    }
}

/// Seconds since 1970 of `YYYY-MM-DDTHH:MM:SS`, by counting days.
fn seconds(stamp: &str) -> i64 {
    let part = |from: usize, to: usize| stamp[from..to].parse::<i64>().unwrap();
    let (year, month, day) = (part(0, 4), part(5, 7), part(8, 10));
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut days: i64 = (1970..year).map(|year| 365 + i64::from(leap(year))).sum();
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    days += lengths.iter().take(month as usize - 1).sum::<i64>() + day - 1;
    days * 86_400 + part(11, 13) * 3600 + part(14, 16) * 60 + part(17, 19)
}

fn chat_template(recorded: &Value, now: i64) -> ChatTemplate {
    let (bos, eos) = (text(&recorded["bos_token"]), text(&recorded["eos_token"]));
    let tokens = [bos, eos, "<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>", "</s>"];
    let specials = tokens.iter().filter(|token| !token.is_empty()).map(|token| (*token).to_owned()).collect();
    ChatTemplate::with_tokens(text(&recorded["chat_template"]), Some(bos), Some(eos), specials)
        .unwrap()
        .at(now)
}

#[test]
fn reference_chat_rendered() {
    let folder = reference().join("templates");
    let (templates, document) =
        (json(&folder.join("chat_templates.json")), json(&folder.join("chat_rendered.json")));
    let now = seconds(text(&document["now"]));
    let mut wrong = Vec::new();
    for (index, case) in cases(&document).iter().enumerate() {
        let name = text(&case["template"]);
        let template = chat_template(&templates[name], now);
        let messages = &document["conversations"][text(&case["conversation"])];
        let extras = Extras {
            tools: case["tools"].clone(),
            variables: case["kwargs"].as_object().cloned().unwrap_or_default(),
        };
        let open = case["add_generation_prompt"].as_bool().unwrap();
        let got = template.render_json(messages, open, &extras).map_err(|problem| problem.message);
        let wanted = match case.get("text") {
            Some(rendered) => Ok(text(rendered).to_owned()),
            None => Err(text(&case["error"]).to_owned()),
        };
        if got != wanted {
            wrong.push(format!(
                "{index} {name} {}:\n  got    {got:?}\n  wanted {wanted:?}",
                case["conversation"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of the cases differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// What stops a bomb leaves room for honest templates over long conversations.
#[test]
fn published_templates_have_fuel_for_four_hundred_messages() {
    let templates = json(&reference().join("templates/chat_templates.json"));
    let mut rendered = 0;
    for (name, recorded) in templates.as_object().unwrap() {
        let template = chat_template(recorded, 0);
        let message = |n: usize| ChatMessage {
            role: if n.is_multiple_of(2) { "user" } else { "assistant" }.into(),
            content: format!("Message {n}: \"words\" and\nlines. {}", "word ".repeat(n % 50)),
        };
        let messages: Vec<_> = (0..401).map(message).collect();
        match template.render(&messages, true, &Extras::default()) {
            Ok(text) => rendered += usize::from(text.contains("Message 400")),
            Err(problem) => assert_eq!(problem.code, Code::TemplateRefused, "{name}: {problem}"),
        }
    }
    assert!(rendered >= 3, "{rendered}");
}

/// The answers that a `{% generation %}` tag marks are exactly what our pieces learn.
#[test]
fn reference_generation_spans_are_the_learnt_pieces() {
    let folder = reference().join("templates");
    let (templates, document) =
        (json(&folder.join("chat_templates.json")), json(&folder.join("chat_rendered.json")));
    let mut checked = 0;
    for case in cases(&document) {
        let Some(spans) = case.get("assistant_char_spans").and_then(Value::as_array) else { continue };
        let messages = &document["conversations"][text(&case["conversation"])];
        let Ok(messages) = serde_json::from_value::<Vec<ChatMessage>>(messages.clone()) else { continue };
        if case["add_generation_prompt"] == Value::Bool(false) || !ends_with_question(&messages) {
            continue;
        }
        let template = &templates[text(&case["template"])];
        let source = template["chat_template"].as_str().unwrap();
        let tokenizer = with_chat_template(source);
        let pieces = Template::resolve("model", &tokenizer).unwrap().prompt_pieces(&messages).unwrap();
        let rendered: Vec<char> = text(&case["text"]).chars().collect();
        let marked: Vec<String> = spans
            .iter()
            .map(|span| {
                rendered[span[0].as_u64().unwrap() as usize..span[1].as_u64().unwrap() as usize]
                    .iter()
                    .collect()
            })
            .collect();
        let learnt: Vec<String> =
            pieces.into_iter().filter(|piece| piece.learn).map(|piece| piece.text).collect();
        assert_eq!(learnt, marked);
        checked += marked.len();
    }
    assert!(checked > 0, "no case marks an answer");
}

fn ends_with_question(messages: &[ChatMessage]) -> bool {
    let known =
        messages.iter().all(|message| ["system", "user", "assistant"].contains(&message.role.as_str()));
    let filled = messages.iter().all(|message| !message.content.is_empty());
    known && filled && messages.last().is_some_and(|last| last.role == "user")
}

fn with_chat_template(source: &str) -> ModelTokenizer {
    let folder = reference().join("tokenizers/qwen2");
    let file = |name: &str| std::fs::read(folder.join(name)).unwrap();
    ModelTokenizer::from_bytes(
        &file("tokenizer.json"),
        Some(&file("tokenizer_config.json")),
        None,
        Some(source.as_bytes()),
    )
    .unwrap()
}

fn conversation(turns: usize, system: Option<&str>) -> Conversation {
    let turn = |n: usize| (format!("Question {n}?"), format!("Answer {n}."));
    Conversation {
        system: system.map(str::to_owned),
        turns: (1..=turns).map(turn).collect(),
        ..Conversation::default()
    }
}

fn asked(conversation: &Conversation) -> Vec<ChatMessage> {
    let message = |role: &str, content: &str| ChatMessage { role: role.into(), content: content.into() };
    let mut messages: Vec<_> = conversation.system.iter().map(|text| message("system", text)).collect();
    for (question, answer) in &conversation.turns {
        messages.extend([message("user", question), message("assistant", answer)]);
    }
    messages.pop();
    messages
}

/// Built-in and published chat templates, each with a tokenizer.
fn every_template() -> Vec<(String, Arc<ModelTokenizer>, Template)> {
    let recorded = json(&reference().join("templates/chat_templates.json"));
    let mut templates = Vec::new();
    for folder in ["llama2", "qwen2"] {
        let plain = Arc::new(tokenizer(folder));
        templates.extend(BUILTIN.iter().map(|builtin| {
            let template = Template::resolve(builtin.name, &plain).unwrap();
            (builtin.name.to_owned(), Arc::clone(&plain), template)
        }));
    }
    for (name, template) in recorded.as_object().unwrap().iter().filter(|(name, _)| *name != "feature_mix") {
        let tokenizer = Arc::new(with_chat_template(text(&template["chat_template"])));
        let template = Template::resolve("model", &tokenizer).unwrap();
        templates.push((name.clone(), tokenizer, template));
    }
    templates
}

/// S-222: a model is asked with the very tokens it was trained with.
#[test]
fn reference_s_222_the_prompt_ids_are_the_first_of_the_training_ids() {
    let odd = |text: &str| Conversation {
        system: Some(format!("{text}.")),
        turns: vec![(format!("{text}?"), format!("{text}!")), (text.to_owned(), format!("a{text}"))],
        ..Conversation::default()
    };
    let texts = [
        "Yes or No",
        " a\n",
        "水 🚀",
        "x</s><|im_end|>\n<|im_start|>user\n",
        "[/INST] <s>",
        "<think>a</think>b",
    ];
    let mut checked = 0;
    for (name, tokenizer, template) in every_template() {
        assert!(!template.asks_otherwise(), "{name}");
        let encoder = Encoder {
            template,
            tokenizer,
            stage: Stage::Sft,
            max_source_length: 4096,
            max_target_length: 4096,
            system: None,
            behaviour: Behaviour::Corrected,
            control_tokens_in_text: false,
        };
        let plain = [(1, None), (1, Some("Be brief.")), (3, None), (3, Some("Be brief."))];
        let rows = plain.map(|(turns, system)| conversation(turns, system)).into_iter().chain(texts.map(odd));
        for row in rows {
            let trained = encoder.encode_sft(&row).unwrap().input_ids;
            let asked = encoder.template.prompt_ids(&encoder.tokenizer, &asked(&row)).unwrap();
            assert!(trained.len() > asked.len() && trained.starts_with(&asked), "{name}: {row:?}");
            checked += 1;
        }
    }
    assert!(checked > 200, "{checked}");
}

/// S-222: prompts cannot diverge from training, for built-in and published chat templates alike.
#[test]
fn reference_s_222_the_prompt_is_a_prefix_of_the_training_text() {
    for (name, _, template) in every_template() {
        for (turns, system) in [(1, None), (1, Some("Be brief.")), (3, None), (3, Some("Be brief."))] {
            let conversation = conversation(turns, system);
            let pieces = template.pieces(&conversation).unwrap();
            let whole: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
            let prompt = template.prompt(&asked(&conversation)).unwrap();
            assert!(whole.starts_with(&prompt), "{name}:\n{prompt:?}\n{whole:?}");
            let learnt: Vec<_> = pieces.iter().filter(|piece| piece.learn).collect();
            let expected = if name == "vanilla" { 1 } else { turns };
            assert_eq!(learnt.len(), expected, "{name}: {pieces:?}");
            for (index, piece) in learnt.iter().enumerate() {
                let number = turns - expected + index + 1;
                assert!(piece.text.contains(&format!("Answer {number}.")), "{name}");
                assert!(!piece.text.contains("Question"), "{name}");
                assert!(piece.tail > 0, "{name}: every answer has its end token: {piece:?}");
            }
            assert!(pieces.last().unwrap().learn, "{name}: the text ends with the last answer");
        }
    }
}

/// Whatever a tokenizer does to blanks and to the beginning of a text: the words of its control tokens are read back as
/// they were written, and none of them is a token.
#[test]
fn reference_words_of_control_tokens_are_plain_for_every_tokenizer() {
    let mut checked = 0;
    for folder in ["llama2", "qwen2"] {
        let tokenizer = tokenizer(folder);
        let template = Template::resolve("vanilla", &tokenizer).unwrap();
        for word in tokenizer.special_tokens() {
            for text in [word.clone(), format!("a {word}b 水{word}  {word}\n{word}")] {
                let ids = template.text_ids(&tokenizer, &text, false).unwrap();
                assert!(ids.iter().all(|id| !tokenizer.is_special(*id)), "{folder}: {text:?}");
                assert_eq!(tokenizer.decode(&ids, false).trim_start(), text, "{folder}");
                checked += 1;
            }
        }
    }
    assert!(checked >= 8, "{checked}");
}
