//! Which part of what a chat template prints is learned.

use corpus::encode::Encoder;
use proptest::prelude::*;

use crate::bytes::{CHATML, IM, asked, chat, ids, learned, talk, whole};

const THINK_OPENING: &str = "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ m['content'] }}{% elif m['role'] == 'user' %}{{ '<|user|>' + m['content'] }}{% else %}{{ '<|bot|>' + m['content'].split('</think>')[-1] + eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|bot|><think>\\n' }}{% endif %}";

const SYSTEM_LAST: &str = "{{ bos_token }}{% set ns = namespace(sys='') %}{% if messages[0]['role']=='system' %}{% set ns.sys = messages[0]['content'] + '\\n\\n' %}{% endif %}{% for m in messages %}{% if m['role']=='user' %}{{ '[INST]' }}{% if loop.last or (loop.index == messages|length - 1) %}{{ ns.sys }}{% endif %}{{ m['content'] + '[/INST]' }}{% elif m['role']=='assistant' %}{{ m['content'] + eos_token }}{% endif %}{% endfor %}";

const REWRAP: &str = "{% set ns = namespace(last=-1) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}{% for m in messages %}{% if m.role != 'assistant' %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% else %}{% set thought = '' %}{% set said = m.content %}{% if '</think>' in m.content %}{% set thought = m.content.split('</think>')[0].split('<think>')[-1].strip('\\n') %}{% set said = m.content.split('</think>')[-1].lstrip('\\n') %}{% endif %}{% if loop.index0 > ns.last and (loop.last or thought) %}{{ '<|im_start|>assistant\\n<think>\\n' + thought + '\\n</think>\\n\\n' + said + '<|im_end|>\\n' }}{% else %}{{ '<|im_start|>assistant\\n' + said + '<|im_end|>\\n' }}{% endif %}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

fn think_opening() -> Encoder {
    chat(&["<|begin|>", "<|end|>", "<|user|>", "<|bot|>"], "<|end|>", THINK_OPENING)
}

fn system_last() -> Encoder {
    chat(&["<s>", "</s>", "[INST]", "[/INST]"], "</s>", SYSTEM_LAST)
}

fn rewrap() -> Encoder {
    chat(&IM, "<|im_end|>", REWRAP)
}

/// A template of turns with other words around and other changes of an answer.
fn turns(before: &str, answer: &str, after: &str, opening: &str) -> String {
    format!(
        "{{% for m in messages %}}{{% if m.role == 'assistant' %}}{{{{ '<|im_start|>bot\\n{before}' + {answer} + '{after}' }}}}{{% else %}}{{{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}}}{{% endif %}}{{% endfor %}}{{% if add_generation_prompt %}}{{{{ '<|im_start|>bot\\n{opening}' }}}}{{% endif %}}"
    )
}

#[test]
fn an_answer_whose_words_stand_in_the_question_is_learned_where_it_is_printed() {
    let encoder = think_opening();
    let row = talk(None, &[("Yes or No?", "No")]);
    assert_eq!(learned(&encoder, &row), ["No<|end|>"]);
    assert_eq!(
        encoder.encode_sft(&row).unwrap().input_ids,
        [256, 258, 89, 101, 115, 32, 111, 114, 32, 78, 111, 63, 259, 78, 111, 257]
    );
    let encoder = system_last();
    let row = talk(Some("Be brief."), &[("Say Yes or No: is 2 even?", "Yes"), ("And 3?", "No")]);
    assert_eq!(learned(&encoder, &row), ["Yes</s>", "No</s>"]);
    assert_eq!(
        whole(&encoder, &row),
        "<s>[INST]Say Yes or No: is 2 even?[/INST]Yes</s>[INST]Be brief.\n\nAnd 3?[/INST]No</s>"
    );
    let row = talk(Some("a"), &[("a[/INST]a", "a"), ("a\n\na", "\n\na"), ("a", "a")]);
    assert_eq!(learned(&encoder, &row), ["a</s>", "\n\na</s>", "a</s>"]);
    let row = talk(None, &[("重复:好", "好"), ("好", "好好"), ("<|bot|><think>\n", "<think>\n")]);
    assert_eq!(learned(&think_opening(), &row), ["好<|end|>", "好好<|end|>", "<think>\n<|end|>"]);
}

#[test]
fn what_a_template_makes_of_an_answer_is_learned_from_the_opening_on() {
    let encoder = rewrap();
    let of = |turns: &[(&str, &str)]| learned(&encoder, &talk(None, turns));
    assert_eq!(of(&[("7*6?", "<think>a</think>42")]), ["<think>\na\n</think>\n\n42<|im_end|>"]);
    assert_eq!(of(&[("Which tag?", "think")]), ["<think>\n\n</think>\n\nthink<|im_end|>"]);
    assert_eq!(
        of(&[
            ("5+5?", "<think>\nFive twice.\n</think>\n\nTen."),
            ("Plus 1?", "<think>\nTen plus one.\n</think>\n\nEleven."),
        ]),
        ["Ten.<|im_end|>", "<think>\nTen plus one.\n</think>\n\nEleven.<|im_end|>"]
    );
    assert_eq!(
        of(&[("a", "<think></think>"), ("b", "</think></think>c"), ("<think>", "</think>")]),
        ["<|im_end|>", "c<|im_end|>", "<think>\n\n</think>\n\n<|im_end|>"]
    );
    let cases = [
        ("", "m.content | trim", "<|im_end|>\\n", " a \n", "a<|im_end|>"),
        ("", "m.content | replace('a', 'bb')", "<|im_end|>\\n", "banana", "bbbnbbnbb<|im_end|>"),
        ("", "m.content | upper", "<|im_end|>\\n", "ja", "JA<|im_end|>"),
        ("", "m.content | tojson", "<|im_end|>\\n", "a \"b\"\n", "\"a \\\"b\\\"\\n\"<|im_end|>"),
        ("", "m.content.split('</think>')[-1]", " \\n<|im_end|>\\n", "x</think>y", "y \n<|im_end|>"),
        ("[final] ", "m.content", "<|im_end|>\\n", "final", "[final] final<|im_end|>"),
        ("", "m.content", "\\nEND<|im_end|>\\n", "END", "END\nEND<|im_end|>"),
    ];
    for (before, answer, after, content, wanted) in cases {
        let encoder = chat(&IM, "<|endoftext|>", &turns(before, answer, after, ""));
        let row = talk(Some("s"), &[(content, content), ("bot\n", content)]);
        assert_eq!(learned(&encoder, &row), [wanted, wanted], "{answer}");
    }
}

#[test]
fn words_that_a_template_prints_elsewhere_because_of_an_answer_lose_no_row() {
    let source = "{% set ns = namespace(t=false) %}{% for m in messages %}{% if m.role == 'assistant' and '</think>' in m.content %}{% set ns.t = true %}{% endif %}{% endfor %}{% if ns.t %}{{ '<|im_start|>system\\nThink.<|im_end|>\\n' }}{% endif %}"
        .to_owned()
        + CHATML;
    let encoder = chat(&IM, "<|im_end|>", &source);
    let row = talk(None, &[("a", "b"), ("c", "<think>d</think>b")]);
    assert_eq!(learned(&encoder, &row).last().unwrap(), "<think>d</think>b<|im_end|>");
    assert_eq!(learned(&encoder, &row).len(), 2);
}

#[test]
fn an_answer_ends_with_the_end_of_turn_of_its_template() {
    let added = ["<s>", "</s>", "<|im_start|>?", "<|im_end|>?"];
    let encoder = chat(&added, "</s>", CHATML);
    let row = talk(None, &[("Q", "A")]);
    assert_eq!(learned(&encoder, &row), ["A<|im_end|>"]);
    let wanted = [
        258, 117, 115, 101, 114, 10, 81, 259, 10, 258, 97, 115, 115, 105, 115, 116, 97, 110, 116, 10, 65, 259,
    ];
    assert_eq!(encoder.encode_sft(&row).unwrap().input_ids, wanted);
    assert_eq!(encoder.template.stop_ids(&encoder.tokenizer), [257, 259]);
    let row = talk(Some("s"), &[("Q", "A"), ("<|im_end", "B"), ("R", " C\n")]);
    assert_eq!(learned(&encoder, &row), ["A<|im_end|>", "B<|im_end|>", " C\n<|im_end|>"]);
    assert!(!ids(&encoder, &whole(&encoder, &row)).contains(&257), "no other end token between turns");
    // Marks that are no tokens at all end turns as words.
    let encoder = chat(&["<s>", "</s>"], "</s>", CHATML);
    assert_eq!(learned(&encoder, &row), ["A<|im_end|>", "B<|im_end|>", " C\n<|im_end|>"]);
    assert_eq!(encoder.template.stop_words(), ["<|im_end|>"]);
    assert_eq!(encoder.template.stop_ids(&encoder.tokenizer), [257]);
    // A template that ends no turns gets the tokenizer's end token.
    let bare = "{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}";
    let encoder = chat(&["<s>", "</s>"], "</s>", bare);
    assert_eq!(learned(&encoder, &row), ["A</s>", "B</s>", " C\n</s>"]);
    assert!(encoder.template.stop_words().is_empty());
}

#[test]
fn a_model_is_asked_as_it_was_trained_where_its_template_allows() {
    let rows = [
        talk(None, &[("Yes or No?", "No")]),
        talk(Some("Be brief."), &[("<think>", "a"), ("b", "<think>c</think>d")]),
        talk(Some("Be brief."), &[("a", "b"), ("b", "a"), ("e", "e")]),
    ];
    let openings = ["", "<think>\\n", "<think>\\n\\n</think>\\n\\n", "[final] "];
    let own =
        openings.map(|opening| chat(&IM, "<|im_end|>", &turns("", "m.content", "<|im_end|>\\n", opening)));
    let wrapped = openings
        .map(|opening| chat(&IM, "<|im_end|>", &turns("</think>", "m.content", "<|im_end|>\\n", opening)));
    for encoder in [think_opening(), system_last(), rewrap()].iter().chain(&own).chain(&wrapped) {
        assert!(!encoder.template.asks_otherwise());
        for row in &rows {
            let trained = encoder.encode_sft(row).unwrap().input_ids;
            let prompt = encoder.template.prompt_ids(&encoder.tokenizer, &asked(row)).unwrap();
            assert!(trained.starts_with(&prompt), "{}", whole(encoder, row));
            assert_eq!(encoder.encode_prompt(row).unwrap().input_ids, prompt);
        }
    }
    let other = "{% for m in messages %}{{ '<|im_start|>' + m.role + '|' + m.content + '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ 'Answer: ' }}{% endif %}";
    let encoder = chat(&IM, "<|im_end|>", other);
    assert!(encoder.template.asks_otherwise());
    assert_eq!(learned(&encoder, &rows[0]), ["No<|im_end|>"]);
}

fn words() -> impl Strategy<Value = String> {
    "(<think>|</think>|No|\\[/INST\\]|\n| |a|好|<\\|bot|x){0,6}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever stands where: as many stretches as answers, each ending with the end of turn, and the rest of the row
    /// is what the template prints for the question.
    #[test]
    fn every_answer_is_one_stretch(system in words(), turns in prop::collection::vec((words(), words()), 1..4)) {
        let turns: Vec<(String, String)> =
            turns.into_iter().map(|(question, answer)| (question + "?", answer + "!")).collect();
        let row = corpus::Conversation { system: Some(format!("{system}.")), turns };
        for (encoder, end) in [(think_opening(), "!<|end|>"), (system_last(), "!</s>"), (rewrap(), "!<|im_end|>")] {
            let found = learned(&encoder, &row);
            prop_assert_eq!(found.len(), row.turns.len());
            for stretch in &found {
                prop_assert!(stretch.ends_with(end), "{:?}", found);
            }
            let last = row.turns.last().map_or("", |turn| turn.1.as_str());
            let printed = last.split("</think>").last().unwrap_or_default().trim_start_matches('\n');
            prop_assert!(found.last().is_some_and(|stretch| stretch.contains(printed)));
            let trained = encoder.encode_sft(&row).unwrap().input_ids;
            let prompt = encoder.template.prompt_ids(&encoder.tokenizer, &asked(&row)).unwrap();
            prop_assert!(trained.starts_with(&prompt));
        }
    }
}
