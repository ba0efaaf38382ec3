//! Rules of the toolkit that hold between the parts: several sets, cuts, stages, templates.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use contract::Code;
use contract::chat::ChatMessage;
use contract::dataset::{Behaviour, DataFormat, Mapping, Mixing, source_prefixes};
use contract::stage::Stage;
use contract::templates::UserTemplate;
use corpus::encode::{EncodedPair, Example, IGNORED, Taken};
use corpus::inspect::inspect;
use corpus::mix::{Part, mixed};
use corpus::preview::preview;
use corpus::sampler::split;
use corpus::source::folder::list;
use corpus::tokenizer::train::train;
use corpus::{Conversation, Encoder, ModelTokenizer, Pair, Row, Template, open};
use proptest::prelude::*;
use serde_json::{Value, json};

fn tokenizer() -> Arc<ModelTokenizer> {
    let texts = (0..50).map(|n| format!("How do I descale kettle {n}? With vinegar and water. 水"));
    let files = train(texts, 340).unwrap();
    let config = Some(files.tokenizer_config_json.as_slice());
    Arc::new(ModelTokenizer::from_bytes(&files.tokenizer_json, config, None, None).unwrap())
}

fn encoder(tokenizer: &Arc<ModelTokenizer>, template: &str, stage: Stage, limits: (usize, usize)) -> Encoder {
    Encoder {
        template: Template::resolve(template, tokenizer).unwrap(),
        tokenizer: Arc::clone(tokenizer),
        stage,
        max_source_length: limits.0,
        max_target_length: limits.1,
        system: None,
        behaviour: Behaviour::Corrected,
        control_tokens_in_text: false,
    }
}

/// The same encoder for another stage.
fn encoder_of(encoder: &Encoder, stage: Stage) -> Encoder {
    Encoder { stage, ..encoder.clone() }
}

fn row(value: Value) -> Row {
    let Value::Object(map) = value else { panic!("an object") };
    Row::new(map.into_iter().collect())
}

fn alpaca() -> Mapping {
    Mapping {
        query: Some("input".into()),
        history: Some("history".into()),
        ..Mapping::empty(DataFormat::Alpaca)
    }
}

fn write(folder: &Path, name: &str, rows: &[Value]) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    path
}

#[test]
fn s_023_s_032_s_035_s_052_s_079_sets_of_one_run_keep_their_columns_and_prefixes() {
    let folder = tempfile::tempdir().unwrap();
    let one = write(folder.path(), "one.jsonl", &[json!({"instruction": "a?", "output": "A."})]);
    let two =
        write(folder.path(), "two.jsonl", &[json!({"q": "b?", "r": "B."}), json!({"q": "c?", "r": "C."})]);
    let prefixes = source_prefixes("Be brief.|Be kind.", 2).unwrap();
    let other = Mapping {
        prompt: Some("q".into()),
        response: Some("r".into()),
        ..Mapping::empty(DataFormat::PromptResponse)
    };
    let part = |(path, mapping, prefix): (&Path, Mapping, &Option<String>)| Part {
        name: path.to_string_lossy().into_owned(),
        files: list(path).unwrap(),
        mapping,
        prefix: prefix.clone(),
        weight: 1.0,
    };
    let parts = [part((&one, alpaca(), &prefixes[0])), part((&two, other, &prefixes[1]))];
    let tokenizer = tokenizer();
    let encoder = encoder(&tokenizer, "default", Stage::Sft, (512, 512));
    let mut texts = Vec::new();
    for found in mixed(&parts, Mixing::Concatenate, 0, 0).unwrap() {
        let found = found.unwrap();
        let part = &parts[found.part];
        let example = encoder.encode_row(&found.row, &part.mapping, part.prefix.as_deref()).unwrap().unwrap();
        let Example::Sequence(encoded) = example else { panic!("{example:?}") };
        texts.push(tokenizer.decode(&encoded.input_ids, true));
    }
    assert_eq!(texts.len(), 3);
    assert!(texts[0].contains("Be brief.") && texts[0].contains("A."), "{texts:?}");
    assert!(
        texts[1].contains("Be kind.") && texts[2].contains("Be kind.") && texts[2].contains("C."),
        "{texts:?}"
    );
}

#[test]
fn s_028_question_and_answer_have_limits_of_their_own() {
    let tokenizer = tokenizer();
    let encoder = encoder(&tokenizer, "vanilla", Stage::Sft, (8, 5));
    let talk =
        Conversation { turns: vec![("water ".repeat(50), "vinegar ".repeat(50))], ..Conversation::default() };
    let encoded = encoder.encode_sft(&talk).unwrap();
    let learnt = encoded.labels.iter().filter(|label| **label != IGNORED).count();
    assert_eq!((encoded.input_ids.len(), learnt), (13, 5));
    assert_eq!(encoded.input_ids.last().copied(), tokenizer.eos_id(), "the end token is within the limit");
}

#[test]
fn s_033_dev_ratio_keeps_rows_apart_by_seed() {
    assert_eq!(split(100, 0.1, 42), split(100, 0.1, 42));
    assert_ne!(split(100, 0.1, 42).1, split(100, 0.1, 43).1);
    assert_eq!(split(100, 0.1, 42).1.len(), 10);
}

#[test]
fn s_034_the_template_named_default_is_there() {
    let template = Template::resolve("default", &tokenizer()).unwrap();
    let asked = [ChatMessage { role: "user".into(), content: "Hi?".into() }];
    assert!(template.prompt(&asked).unwrap().ends_with("\nHuman: Hi?\nAssistant: "));
}

#[test]
fn s_077_s_078_extra_columns_stay_and_missing_ones_are_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "a.jsonl", &[json!({"instruction": "a", "output": "b", "score": 3})]);
    let found = inspect(&path, contract::dataset::FileKind::Jsonl, None).unwrap();
    assert_eq!(found.columns, ["instruction", "output", "score"]);
    let talk = Conversation::from_row(&open(&path, found.kind).unwrap().next().unwrap().unwrap(), &alpaca())
        .unwrap();
    assert_eq!(talk.turns, [("a".to_owned(), "b".to_owned())], "no input, no history: as if they were null");
}

#[test]
fn s_145_each_stage_makes_its_own_kind_of_example() {
    let tokenizer = tokenizer();
    let cells = row(json!({"prompt": "q", "chosen": "good", "rejected": "bad", "text": "plain"}));
    let pairs = Mapping::empty(DataFormat::Pairs);
    let text = Mapping { prompt: Some("text".into()), ..Mapping::empty(DataFormat::Text) };
    let made = |stage, mapping: &Mapping| {
        encoder(&tokenizer, "default", stage, (64, 64)).encode_row(&cells, mapping, None).unwrap().unwrap()
    };
    assert!(matches!(made(Stage::Pt, &text), Example::Text(_)));
    assert!(matches!(made(Stage::Sft, &pairs), Example::Sequence(_)), "the better answer teaches");
    assert!(matches!(made(Stage::Rm, &pairs), Example::Pair(_)));
    assert_eq!(made(Stage::Rm, &pairs), made(Stage::Dpo, &pairs));
    assert!(matches!(made(Stage::Ppo, &pairs), Example::Prompt(_)));
}

#[test]
fn s_143_a_question_is_asked_with_the_tokens_that_were_trained() {
    let tokenizer = tokenizer();
    let turn = |number: usize| (format!("How {number}?"), format!("With vinegar {number}."));
    let plain = Conversation { turns: (0..3).map(turn).collect(), ..Conversation::default() };
    let briefed = Conversation { system: Some("Be brief.".into()), ..plain.clone() };
    for key in ["model", "default", "alpaca", "vicuna", "baichuan", &chatml().key()] {
        for talk in [&plain, &briefed] {
            let encoder = encoder(&tokenizer, key, Stage::Sft, (512, 512));
            let (trained, prompt) = (encoder.encode_sft(talk).unwrap(), encoder.encode_prompt(talk).unwrap());
            let (asked, answer) = trained.input_ids.split_at(prompt.input_ids.len());
            assert_eq!(prompt.input_ids, asked, "{key}");
            assert!(tokenizer.decode(answer, false).starts_with("With vinegar 2."), "{key}");
            let Example::Prompt(ppo) =
                encoder_of(&encoder, Stage::Ppo).encode_taken(&Taken::Talk(talk.clone())).unwrap()
            else {
                panic!("no prompt")
            };
            assert_eq!(ppo, prompt, "{key}: what ppo draws answers to");
            let pair = Pair { chosen: talk.clone(), rejected: "With salt.".into() };
            let pair = encoder.encode_pair(&pair).unwrap();
            assert!(pair.chosen.input_ids.starts_with(asked) && pair.rejected.input_ids.starts_with(asked));
        }
    }
    let mut original = encoder(&tokenizer, "default", Stage::Sft, (512, 512));
    original.behaviour = Behaviour::Original;
    let joined = original.encode_prompt(&plain).unwrap().input_ids;
    assert!(!joined.contains(&tokenizer.eos_id().unwrap()), "the original joined turns without end tokens");
}

#[test]
fn s_140_ppo_needs_no_answer_unless_as_the_original_did() {
    let tokenizer = tokenizer();
    let cells = row(json!({"instruction": "q", "output": ""}));
    let mut ppo = encoder(&tokenizer, "default", Stage::Ppo, (64, 64));
    let Ok(Example::Prompt(prompt)) = ppo.encode_row(&cells, &alpaca(), None).unwrap() else {
        panic!("left out")
    };
    assert!(prompt.reference.is_empty() && !prompt.input_ids.is_empty());
    let text = Mapping { prompt: Some("instruction".into()), ..Mapping::empty(DataFormat::Text) };
    assert!(DataFormat::Text.fits(Stage::Ppo) && !DataFormat::Text.fits(Stage::Sft));
    assert_eq!(ppo.encode_row(&cells, &text, None).unwrap().unwrap(), Example::Prompt(prompt), "a line asks");
    ppo.behaviour = Behaviour::Original;
    assert_eq!(ppo.encode_row(&cells, &alpaca(), None).unwrap().unwrap_err().to_string(), "output is empty");
}

#[test]
fn s_147_the_preview_shows_both_sequences_of_a_pair_and_the_reference_of_ppo() {
    let tokenizer = tokenizer();
    let cells = row(json!({"prompt": "q", "chosen": "water", "rejected": "vinegar"}));
    let pairs = Mapping::empty(DataFormat::Pairs);
    let text = |tokens: &[contract::dataset::PreviewToken]| {
        tokens.iter().filter(|token| token.learned).map(|token| token.text.as_str()).collect::<String>()
    };
    let rm = preview(&encoder(&tokenizer, "default", Stage::Rm, (400, 64)), &cells, &pairs, 1, 1).unwrap();
    assert!(text(&rm.tokens).starts_with("water") && text(&rm.rejected).starts_with("vinegar"), "{rm:?}");
    let Example::Pair(EncodedPair { chosen, rejected }) =
        encoder(&tokenizer, "default", Stage::Rm, (400, 64))
            .encode_row(&cells, &pairs, None)
            .unwrap()
            .unwrap()
    else {
        panic!("no pair")
    };
    let ids =
        |tokens: &[contract::dataset::PreviewToken]| tokens.iter().map(|token| token.id).collect::<Vec<_>>();
    assert_eq!(
        (ids(&rm.tokens), ids(&rm.rejected)),
        (chosen.input_ids, rejected.input_ids),
        "what is shown is trained on"
    );
    let ppo = preview(&encoder(&tokenizer, "default", Stage::Ppo, (400, 64)), &cells, &pairs, 1, 1).unwrap();
    assert!(ppo.rejected.is_empty() && ppo.tokens.iter().all(|token| !token.learned));
    assert_eq!(ppo.reference.iter().map(|token| token.text.as_str()).collect::<String>(), "water");
}

fn chatml() -> UserTemplate {
    UserTemplate {
        name: "mine".into(),
        prefix: "Be brief.".into(),
        system: "<sys>{system}</sys>\n".into(),
        prompt: "<user>{query}</user>\n<bot>".into(),
        sep: "\n".into(),
        use_history: true,
        stop_words: vec!["</bot>".into()],
    }
}

#[test]
fn s_221_s_222_a_template_of_ones_own_formats_training_and_prompts_alike() {
    let tokenizer = tokenizer();
    let template = Template::resolve(&chatml().key(), &tokenizer).unwrap();
    assert_eq!((template.name(), template.key()), ("mine", chatml().key().as_str()));
    let talk = Conversation {
        turns: vec![("a".into(), "A".into()), ("b".into(), "B".into())],
        ..Conversation::default()
    };
    let pieces = template.pieces(&talk).unwrap();
    let whole: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
    assert_eq!(whole, "<sys>Be brief.</sys>\n<user>a</user>\n<bot>A</bot>\n<user>b</user>\n<bot>B</bot>");
    let message = |role: &str, content: &str| ChatMessage { role: role.into(), content: content.into() };
    let asked = [message("user", "a"), message("assistant", "A"), message("user", "b")];
    assert!(whole.starts_with(&template.prompt(&asked).unwrap()));
    assert_eq!(template.stop_words(), ["</bot>"]);
    let broken = UserTemplate { prompt: "no question".into(), ..chatml() };
    assert_eq!(Template::resolve(&broken.key(), &tokenizer).unwrap_err().code, Code::TemplateQueryOnce);
}

fn words() -> impl Strategy<Value = String> {
    "[a-z ?{}%水火\n<|>]{0,30}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Random rows, histories and lengths: never more than the limits, labels only where the ids are, and what is
    /// not cut is the whole.
    #[test]
    fn limits_hold_for_random_conversations(
        turns in prop::collection::vec((words(), words()), 1..6),
        source in 8_usize..60,
        target in 2_usize..40,
        own in any::<bool>(),
    ) {
        let tokenizer = tokenizer();
        let key = if own { chatml().key() } else { "alpaca".to_owned() };
        let encoder = encoder(&tokenizer, &key, Stage::Sft, (source, target));
        let talk = Conversation { turns: turns.clone(), ..Conversation::default() };
        let encoded = encoder.encode_sft(&talk).unwrap();
        prop_assert!(encoded.input_ids.len() <= source + target);
        prop_assert_eq!(encoded.input_ids.len(), encoded.labels.len());
        for (id, label) in encoded.input_ids.iter().zip(&encoded.labels) {
            prop_assert!(*label == IGNORED || *label == i64::from(*id));
        }
        let laid = encoder.lay_out(&talk).unwrap();
        prop_assert_eq!(laid.len(), encoded.input_ids.len() + encoded.cut);
        let prompt = encoder.encode_prompt(&talk).unwrap();
        prop_assert!(prompt.input_ids.len() <= source && prompt.reference.len() <= target);
        let pair = Pair { chosen: talk, rejected: turns[0].0.clone() };
        let EncodedPair { chosen, rejected } = encoder.encode_pair(&pair).unwrap();
        for side in [&chosen, &rejected] {
            prop_assert!(side.input_ids.len() <= source + target);
        }
        let head = |side: &corpus::Encoded| side.labels.iter().take_while(|label| **label == IGNORED).count();
        let shared = head(&chosen).min(head(&rejected));
        prop_assert_eq!(&chosen.input_ids[..shared], &rejected.input_ids[..shared], "one prompt for both");
    }

    /// Any template that is accepted keeps question and answer as they are.
    #[test]
    fn accepted_templates_lose_nothing(
        prefix in words(), before in words(), after in words(), sep in words(), stop in "[a-z<>/]{1,8}",
        question in words(), answer in words(),
    ) {
        let own = UserTemplate {
            name: "x".into(),
            prefix,
            prompt: format!("{before}{{query}}{after}"),
            sep,
            stop_words: vec![stop.clone()],
            ..UserTemplate::default()
        };
        prop_assume!(own.clone().checked().is_ok());
        let template = Template::resolve(&own.key(), &tokenizer()).unwrap();
        let talk = Conversation { turns: vec![(question.clone(), answer.clone())], ..Conversation::default() };
        let pieces = template.pieces(&talk).unwrap();
        prop_assert_eq!(pieces.len(), 2);
        let (asked, answered) = (format!("{before}{question}{after}"), format!("{answer}{stop}"));
        prop_assert!(pieces[0].text.ends_with(&asked));
        prop_assert_eq!(&pieces[1].text, &answered);
    }

    /// Random cells under any mapping give an example or a reason.
    #[test]
    fn random_rows_are_used_or_left_out_with_a_reason(cells in prop::collection::vec(cell(), 6)) {
        let names = ["prompt", "response", "history", "chosen", "rejected", "messages"];
        let row = Row::new(names.iter().map(|name| (*name).to_owned()).zip(cells).collect());
        let tokenizer = tokenizer();
        for format in DataFormat::ALL {
            let mapping = Mapping { history: Some("history".into()), ..Mapping::empty(format) };
            for stage in Stage::ALL {
                let made = encoder(&tokenizer, "default", stage, (32, 32)).encode_row(&row, &mapping, None).unwrap();
                if let Err(reason) = made {
                    let text = reason.to_string();
                    prop_assert!(!text.is_empty() && !text.ends_with('.'));
                }
            }
        }
    }
}

/// Cells as files hold them, nested a little.
fn cell() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        words().prop_map(Value::from),
        Just(json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}])),
        Just(json!([["q", "a"], ["q2", "a2"]])),
        Just(json!(["good", "bad"])),
        Just(json!([{"input": "q", "output": null}])),
        Just(json!({"text": ["a"], "answer_start": [1]})),
        Just(json!("[{'role': 'user', 'content': \"it's\"}]")),
        Just(json!("\n\nHuman: q\n\nAssistant: a")),
        Just(json!("\n\nHuman: q\n\nAssistant:")),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            inner.prop_map(|value| json!({ "content": value })),
        ]
    })
}
