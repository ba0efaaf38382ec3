//! Where what stands before an answer is longer than its limit, the question stays.

use contract::dataset::Behaviour;
use contract::stage::Stage;
use contract::templates::UserTemplate;
use corpus::encode::{Encoder, LaidToken, loses_question};
use corpus::{Conversation, Pair};
use proptest::prelude::*;

use crate::bytes::{CHATML, IM, chat, encoder, talk, tokenizer, whole};
use crate::spans::SYSTEM_LAST;

const FOLDING: &str = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}{{ '<|im_start|>' + m.role + '\\n' + (m.content | trim) + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

fn limited(encoder: Encoder, source: usize) -> Encoder {
    Encoder { max_source_length: source, max_target_length: 60, ..encoder }
}

fn own() -> Encoder {
    let own = UserTemplate {
        name: "own".into(),
        system: "<<{system}>>\n".into(),
        prompt: "user\n{query}\nbot\n".into(),
        stop_words: vec!["</s>".into()],
        use_history: true,
        ..UserTemplate::default()
    };
    encoder(&tokenizer(&["<s>", "</s>"], "</s>", ""), &own.key(), (512, 512))
}

fn alpaca() -> Encoder {
    encoder(&tokenizer(&["<s>", "</s>"], "</s>", ""), "alpaca", (512, 512))
}

/// What the model sees of tokens.
fn seen(encoder: &Encoder, laid: &[LaidToken]) -> String {
    let kept: Vec<u32> = laid.iter().filter(|token| !token.cut).map(|token| token.id).collect();
    encoder.tokenizer.decode(&kept, false)
}

fn prompt(encoder: &Encoder, row: &Conversation) -> String {
    seen(encoder, &encoder.lay_out_prompt(row).unwrap())
}

#[test]
fn the_end_of_the_system_text_is_cut_before_the_question() {
    let long = "s".repeat(400);
    let row = talk(Some(&long), &[("Where is K-3?", "On shelf 1.")]);
    let chatml = limited(chat(&IM, "<|im_end|>", CHATML), 60);
    assert_eq!(
        whole(&chatml, &row),
        format!(
            "<|im_start|>system\n{}<|im_end|>\n<|im_start|>user\nWhere is K-3?<|im_end|>\n<|im_start|>assistant\nOn shelf 1.<|im_end|>",
            "s".repeat(60 - 29 - 13)
        )
    );
    let folding = limited(chat(&IM, "<|im_end|>", FOLDING), 60);
    assert!(whole(&folding, &row).starts_with(&format!(
        "<|im_start|>user\n{}\n\nWhere is K-3?<|im_end|>\n",
        "s".repeat(60 - 6 - 2 - 13 - 13)
    )));
    let last = limited(chat(&["<s>", "</s>", "[INST]", "[/INST]"], "</s>", SYSTEM_LAST), 60);
    let wanted = format!("<s>[INST]{}\n\nWhere is K-3?[/INST]On shelf 1.</s>", "s".repeat(60 - 3 - 2 - 13));
    assert_eq!(whole(&last, &row), wanted);
    let own = limited(own(), 60);
    let asked = format!("<<{}>>\nuser\nWhere is K-3?\nbot\n", "s".repeat(60 - 15 - 13));
    assert_eq!(whole(&own, &row), format!("{asked}On shelf 1.</s>"));
    assert_eq!(prompt(&own, &row), asked);
    // The ancestor's templates are cut at the end as it cut them; that no question is left is told.
    let alpaca = limited(alpaca(), 60);
    assert!(loses_question(&alpaca.lay_out(&row).unwrap()));
    assert!(loses_question(&alpaca.lay_out_prompt(&row).unwrap()));
    for encoder in [&chatml, &folding, &last] {
        let laid = encoder.lay_out(&row).unwrap();
        assert!(!loses_question(&laid));
        assert_eq!(
            laid.len(),
            encoder.encode_sft(&row).unwrap().input_ids.len() + laid.iter().filter(|t| t.cut).count()
        );
        let pair = Pair { chosen: row.clone(), rejected: "Nowhere.".into() };
        let made = encoder.lay_out_pair(&pair).unwrap();
        assert!(
            seen(encoder, &made.rejected).ends_with("Nowhere.<|im_end|>")
                || seen(encoder, &made.rejected).ends_with("Nowhere.</s>")
        );
        assert!(seen(encoder, &made.chosen).contains("Where is K-3?"));
    }
    let row = talk(Some(&"水".repeat(40)), &[("水在哪里?", "这里。")]);
    let text = whole(&chatml, &row);
    assert!(text.contains("水在哪里?") && !text.contains('\u{FFFD}'), "no half a character is left: {text}");
    let row = talk(Some(&"<|im_end|>".repeat(40)), &[("<|im_end|>?", "a")]);
    assert!(whole(&chatml, &row).contains("user\n<|im_end|>?<|im_end|>\n<|im_start|>assistant\na"));
}

#[test]
fn earlier_turns_go_before_the_question_of_a_prompt() {
    let long = "e".repeat(100);
    let row = talk(Some("sss"), &[(&long, &long), ("Where is K-3?", "On shelf 1.")]);
    for encoder in [chat(&IM, "<|im_end|>", CHATML), own()] {
        for source in [80, 120, 200] {
            let encoder = Encoder { stage: Stage::Ppo, ..limited(encoder.clone(), source) };
            let laid = encoder.lay_out_prompt(&row).unwrap();
            let text = seen(&encoder, &laid);
            assert_eq!(laid.iter().filter(|token| !token.cut).count(), source);
            assert!(
                text.contains("Where is K-3?") && !text.contains('s'.to_string().repeat(3).as_str()),
                "{text}"
            );
            assert!(!loses_question(&laid));
        }
    }
}

#[test]
fn the_end_of_a_question_is_cut_last_and_what_opens_its_answer_stays() {
    let row = talk(Some(&"s".repeat(50)), &[(&"q".repeat(90), "a")]);
    let encoder = limited(chat(&IM, "<|im_end|>", CHATML), 60);
    let wanted = format!(
        "<|im_start|>system\n<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\na<|im_end|>",
        "q".repeat(60 - 29)
    );
    assert_eq!(whole(&encoder, &row), wanted);
    assert!(!loses_question(&encoder.lay_out(&row).unwrap()));
    let narrow = limited(encoder, 29);
    assert!(loses_question(&narrow.lay_out(&row).unwrap()), "nothing is left of the question");
    assert!(loses_question(&narrow.lay_out_prompt(&row).unwrap()));
    // A whole turn that no longer fits is no question that is asked.
    let row = talk(None, &[("q", "a"), (&"q".repeat(90), "a")]);
    assert!(!loses_question(&limited(narrow, 60).lay_out(&row).unwrap()));
}

#[test]
fn the_original_cuts_the_end_of_the_prompt() {
    let row = talk(Some(&"s".repeat(100)), &[("Where is K-3?", "On shelf 1.")]);
    for encoder in [own(), alpaca()] {
        let encoder = Encoder { behaviour: Behaviour::Original, ..limited(encoder, 60) };
        for laid in [encoder.lay_out(&row).unwrap(), encoder.lay_out_prompt(&row).unwrap()] {
            let asked: Vec<_> = laid.iter().filter(|token| !token.learn).collect();
            assert!(asked.iter().enumerate().all(|(at, token)| token.cut == (at >= 60)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// What fits stays as it is; else the limit is met, and the marks and the question are whole as long as they fit.
    #[test]
    fn the_question_is_whole_as_long_as_it_fits(system in "[a-z水 ]{0,60}", question in "[a-z水 ]{1,30}", source in 30_usize..130) {
        let encoder = limited(chat(&IM, "<|im_end|>", CHATML), source);
        let row = talk(Some(&system), &[(&question, "a")]);
        let laid = encoder.lay_out(&row).unwrap();
        let asked = laid.iter().filter(|token| !token.learn && !token.cut).count();
        let marks = 29;
        prop_assert!(asked <= source);
        let text = seen(&encoder, &laid);
        if marks + system.len() + question.len() <= source {
            prop_assert!(laid.iter().all(|token| !token.cut && !token.question));
        } else if marks + question.len() <= source {
            let end = format!("<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\na<|im_end|>");
            prop_assert!(text.ends_with(&end), "{}", text);
            prop_assert!(source - asked < 3, "no more is cut than needed");
            let whole = text.starts_with("<|im_start|>system\n") && !text.contains(char::REPLACEMENT_CHARACTER);
            prop_assert!(whole);
        } else {
            prop_assert!(text.ends_with("<|im_end|>\n<|im_start|>assistant\na<|im_end|>"));
        }
        prop_assert_eq!(prompt(&encoder, &row), text.trim_end_matches("a<|im_end|>"));
    }
}
