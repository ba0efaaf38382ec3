//! Forms in which people write chats, pairs and prompts.

use contract::dataset::{Behaviour, DataFormat, FileKind, Mapping};
use contract::row_reason::{RowReason, Side};
use contract::stage::Stage;
use serde_json::{Value, json};

use super::Conversation;
use crate::encode::Taken;
use crate::inspect::inspect;
use crate::source::{Row, open};

fn taken(row: &Value, mapping: &Mapping, stage: Stage) -> Result<Taken, RowReason> {
    Taken::from_row(&Row::from_json(row.clone()).unwrap(), mapping, stage, Behaviour::Corrected)
}

fn chat(row: &Value, stage: Stage) -> Result<Conversation, RowReason> {
    match taken(row, &Mapping::empty(DataFormat::Messages), stage)? {
        Taken::Talk(talk) => Ok(talk),
        other => panic!("{other:?}"),
    }
}

fn talk(system: Option<&str>, turns: &[(&str, &str)]) -> Conversation {
    let turns = turns.iter().map(|(question, answer)| ((*question).to_owned(), (*answer).to_owned()));
    Conversation { system: system.map(str::to_owned), turns: turns.collect(), ..Conversation::default() }
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn says(text: &str) -> Value {
    json!({"role": "assistant", "content": text})
}

/// What every row of a file is in a stage, its columns guessed.
fn read(name: &str, text: &str, stage: Stage) -> Vec<Result<Taken, RowReason>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    let kind = FileKind::of_name(name).unwrap();
    let mapping = inspect(&path, kind, None).unwrap().mapping;
    let rows = open(&path, kind).unwrap();
    rows.map(|row| Taken::from_row(&row.unwrap(), &mapping, stage, Behaviour::Corrected)).collect()
}

fn cell(value: &Value) -> String {
    format!("\"{}\"", value.to_string().replace('"', "\"\""))
}

#[test]
fn a_key_of_a_message_that_is_null_counts_as_absent() {
    let wanted = talk(None, &[("Q", "A")]);
    for messages in [
        json!([{"role": null, "content": null, "from": "human", "value": "Q"},
            {"role": null, "content": null, "from": "gpt", "value": "A"}]),
        json!([{"role": "user", "content": "Q", "from": null, "value": null, "tool_calls": null, "name": null},
            {"role": "assistant", "content": "A", "tool_calls": [], "function_call": null, "weight": null}]),
        json!([{"speaker": "USER", "text": "Q", "role": null}, {"speaker": " Assistant ", "text": "A", "id": 7}]),
        json!([{"input": "Q", "output": "A"}]),
        json!([{"system": null, "input": "Q", "output": "A", "turn": 1}]),
        json!([{"from": "Human", "content": null, "value": "Q"}, {"role": "model", "value": "A", "tool_calls": {"name": null}}]),
    ] {
        assert_eq!(chat(&json!({ "messages": messages }), Stage::Sft).as_ref(), Ok(&wanted), "{messages}");
    }
    let turns =
        json!({"conversation": [{"system": "S", "input": "Q", "output": "A"}, {"input": "R", "output": 0}]});
    assert_eq!(chat(&turns, Stage::Sft), Ok(talk(Some("S"), &[("Q", "A"), ("R", "0")])));
    let developer =
        json!({"messages": [{"role": "developer", "content": "Be brief."}, user("Q"), says("A")]});
    assert_eq!(chat(&developer, Stage::Sft), Ok(talk(Some("Be brief."), &[("Q", "A")])));
}

#[test]
fn tools_and_empty_answers_are_named() {
    let call = json!([{"id": "1", "function": {"name": "f", "arguments": "{}"}}]);
    let reason = |row: Value| chat(&row, Stage::Sft).unwrap_err();
    let silent = json!({"role": "assistant", "content": null, "tool_calls": call});
    let rows = [
        json!({"messages": [user("Q"), silent]}),
        json!({"messages": [user("Q"), {"role": "assistant", "content": null, "function_call": {"name": "f"}}]}),
        json!({"conversations": [user("Q"), {"from": "function_call", "value": "{}"}]}),
    ];
    for row in rows {
        assert_eq!(reason(row), RowReason::ToolMessage { number: 2 });
    }
    let row = json!({"messages": [user("Q"), says("A"), {"role": "Tool", "content": "4"}]});
    assert_eq!(reason(row), RowReason::ToolMessage { number: 3 });
    for (name, tools) in
        [("tools", call.clone()), ("functions", call.clone()), ("tools", json!(call.to_string()))]
    {
        let mut row = json!({"messages": [user("Q"), says("A")]});
        row[name] = tools;
        assert_eq!(reason(row), RowReason::ToolColumn { column: name.into() });
    }
    for none in [json!(null), json!([]), json!("[]"), json!(""), json!("none")] {
        assert!(chat(&json!({"messages": [user("Q"), says("A")], "tools": none}), Stage::Sft).is_ok());
    }
    let row = json!({"messages": [user("Q"), {"role": "assistant", "content": null}]});
    assert_eq!(reason(row), RowReason::EmptyMessage { number: 2, side: Side::Assistant });
}

#[test]
fn an_answer_of_weight_zero_is_read_but_not_learned() {
    let messages = json!([user("Q"), {"role": "assistant", "content": "A", "weight": 0},
        user("R"), {"role": "assistant", "content": "B", "weight": 1}]);
    let made = chat(&json!({ "messages": messages }), Stage::Sft).unwrap();
    assert_eq!(made.unlearned, [0]);
    assert_eq!(Conversation { unlearned: Vec::new(), ..made }, talk(None, &[("Q", "A"), ("R", "B")]));
    let row = json!({"messages": [user("Q"), {"role": "assistant", "content": "A", "weight": 0.0}]});
    assert_eq!(chat(&row, Stage::Sft), Err(RowReason::NothingLearned));
    assert!(chat(&row, Stage::Ppo).is_ok(), "its question is asked all the same");
}

#[test]
fn explicit_and_implicit_prompts_give_the_same_pair_in_every_file_kind() {
    let (q, a, b) = (user("Q"), says("A"), says("B"));
    let forms = [
        json!({"prompt": [q], "chosen": [a], "rejected": [b]}),
        json!({"prompt": "Q", "chosen": [a], "rejected": [b]}),
        json!({"prompt": [q], "chosen": "A", "rejected": "B"}),
        json!({"prompt": "Q", "chosen": a, "rejected": b}),
        json!({"chosen": [q, a], "rejected": [q, b]}),
        json!({"prompt": "Q", "chosen": [q, a], "rejected": [q, b]}),
        json!({"prompt": [q], "chosen": [q, a], "rejected": [q, b]}),
        json!({"question": "Q", "chosen": "A", "rejected": "B"}),
        json!({"input": {"messages": [q], "tools": [], "parallel_tool_calls": true},
            "preferred_output": [a], "non_preferred_output": [b]}),
        json!({"conversations": [{"from": "human", "value": "Q"}], "chosen": {"from": "gpt", "value": "A"},
            "rejected": {"from": "gpt", "value": "B"}}),
        json!({"messages": [q, a], "chosen": [q, a], "rejected": [q, b]}),
        json!({"chosen": "\n\nHuman: Q\n\nAssistant: A", "rejected": "\n\nHuman: Q\n\nAssistant: B"}),
        json!({"prompt": "\n\nHuman: Q\n\nAssistant:", "chosen": " A", "rejected": " B"}),
    ];
    for form in forms {
        let (names, cells): (Vec<_>, Vec<_>) = form.as_object().unwrap().iter().unzip();
        let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
        let as_cell =
            |value: &&Value| value.as_str().map_or_else(|| cell(value), |text| format!("\"{text}\""));
        let cells: Vec<String> = cells.iter().map(as_cell).collect();
        let table = format!("{}\n{}\n", names.join(","), cells.join(","));
        for (name, text) in [("a.jsonl", form.to_string()), ("a.json", format!("[{form}]")), ("a.csv", table)]
        {
            for stage in Stage::ALL {
                let made =
                    read(name, &text, stage).remove(0).unwrap_or_else(|why| panic!("{form} {name}: {why}"));
                match made {
                    Taken::Pair(pair) => {
                        assert_eq!((&pair.chosen, pair.rejected.as_str()), (&talk(None, &[("Q", "A")]), "B"));
                    }
                    Taken::Talk(made) => assert_eq!(made, talk(None, &[("Q", "A")]), "{form}"),
                    Taken::Text(text) => assert_eq!(text, "Q\nA", "{form}"),
                }
            }
        }
    }
}

#[test]
fn earlier_turns_and_system_texts_belong_to_the_prompt() {
    let pairs = Mapping { prompt: Some("prompt".into()), ..Mapping::empty(DataFormat::Pairs) };
    let before = [json!({"role": "system", "content": "S"}), user("Q1"), says("A1"), user("Q2")];
    let wanted = talk(Some("S"), &[("Q1", "A1"), ("Q2", "A")]);
    let whole = |last: &str| before.iter().cloned().chain([says(last)]).collect::<Value>();
    for row in [
        json!({"prompt": before, "chosen": [says("A")], "rejected": [says("B")]}),
        json!({"prompt": before[..3], "chosen": [user("Q2"), says("A")], "rejected": [user("Q2"), says("B")]}),
        json!({"prompt": null, "chosen": whole("A"), "rejected": whole("B")}),
    ] {
        let Ok(Taken::Pair(pair)) = taken(&row, &pairs, Stage::Dpo) else { panic!("{row}") };
        assert_eq!((pair.chosen, pair.rejected.as_str()), (wanted.clone(), "B"), "{row}");
    }
}

#[test]
fn prompt_and_completion_are_texts_or_messages() {
    let wanted = Taken::Talk(talk(None, &[("Q", "A")]));
    for row in [
        json!({"prompt": [user("Q")], "completion": [says("A")]}),
        json!({"prompt": [user("Q")], "completion": "A"}),
        json!({"prompt": "Q", "completion": [says("A")]}),
        json!({"prompt": "Q", "completion": "A"}),
        json!({"prompt": user("Q"), "completion": says("A")}),
        json!({"prompt": [user("Q")], "completion": [user("Q"), says("A")]}),
        json!({"messages": [user("Q"), says("A")]}),
    ] {
        assert_eq!(read("a.jsonl", &row.to_string(), Stage::Sft), [Ok(wanted.clone())], "{row}");
    }
    let row = json!({"prompt": [user("Q"), says("A")], "completion": [says("B")]});
    let reason = RowReason::WrongRole { number: 1, role: "assistant".into(), wanted: Side::User };
    let mapping =
        Mapping { response: Some("completion".into()), ..Mapping::empty(DataFormat::PromptResponse) };
    assert_eq!(taken(&row, &mapping, Stage::Sft), Err(reason));
}

#[test]
fn lists_written_by_python_are_read_as_lists() {
    let wanted = Taken::Talk(talk(None, &[("it's", "A")]));
    for list in [
        r#"[{'role': 'user', 'content': "it's"}, {'role': 'assistant', 'content': 'A'}]"#,
        r#"array([{'content': "it's", 'role': 'user'}, {'content': 'A', 'role': 'assistant'}], dtype=object)"#,
        "[{'from': 'human', 'value': \"it's\"}\n {'from': 'gpt', 'value': 'A'}]",
    ] {
        let table = format!("id,messages\n1,\"{}\"\n", list.replace('"', "\"\""));
        assert_eq!(read("a.csv", &table, Stage::Sft), [Ok(wanted.clone())], "{list}");
    }
    let text = json!({"prompt": "Q", "response": "[{'a': 1}]"});
    let made = read("a.jsonl", &text.to_string(), Stage::Sft);
    assert_eq!(
        made,
        [Ok(Taken::Talk(talk(None, &[("Q", "[{'a': 1}]")])))],
        "a text that is no chat stays a text"
    );
}

#[test]
fn transcripts_that_differ_before_their_last_answer_are_left_out() {
    let row = |chosen: &str, rejected: &str| json!({"chosen": chosen, "rejected": rejected}).to_string();
    let long = row(
        "\n\nHuman: Q1\n\nAssistant: A1\n\nHuman: Q2\n\nAssistant: A\n",
        "\n\nHuman: Q1\n\nAssistant: A1\n\nHuman: Q2\n\nAssistant:  B",
    );
    let Ok(Taken::Pair(pair)) = read("a.jsonl", &long, Stage::Rm).remove(0) else { panic!("left out") };
    assert_eq!((pair.chosen, pair.rejected.as_str()), (talk(None, &[("Q1", "A1"), ("Q2", "A")]), "B"));
    let other = row("Human: Q\n\nAssistant: A", "Human: R\n\nAssistant: B");
    let reason = RowReason::DifferentQuestions { better: "chosen".into(), worse: "rejected".into() };
    assert_eq!(read("a.jsonl", &other, Stage::Dpo), [Err(reason)]);
    let empty = row("Human: Q\n\nAssistant: A", "Human: Q\n\nAssistant: ");
    assert!(read("a.jsonl", &empty, Stage::Dpo)[0].as_ref().is_err_and(RowReason::is_empty_answer));
    let plain = row("An answer.", "Human: Q\n\nAssistant: B");
    let reason = RowReason::EmptyQuestion { column: "prompt".into() };
    assert_eq!(read("a.jsonl", &plain, Stage::Dpo), [Err(reason)]);
}

#[test]
fn s_140_whatever_ends_with_a_question_is_a_prompt_for_ppo() {
    for (row, turns) in [
        (json!({"messages": [user("Q")]}), vec![("Q", "")]),
        (json!({"messages": [user("H"), says("I"), user("Q")]}), vec![("H", "I"), ("Q", "")]),
        (json!({"messages": [user("Q"), says("")]}), vec![("Q", "")]),
        (json!({"messages": [user("Q"), says("A")]}), vec![("Q", "A")]),
        (json!({"conversations": [{"from": "human", "value": "Q"}]}), vec![("Q", "")]),
        (json!({"prompt": [user("H"), says("I"), user("Q")]}), vec![("H", "I"), ("Q", "")]),
        (json!({"prompt": "Q"}), vec![("Q", "")]),
        (json!({"prompt": "Q", "completion": null}), vec![("Q", "")]),
        (json!({"instruction": "Q", "output": ""}), vec![("Q", "")]),
        (json!({"question": "Q", "answer": []}), vec![("Q", "")]),
        (json!({"prompt": "Q", "chosen": "", "rejected": ""}), vec![("Q", "")]),
        (json!({"prompt": "Q", "chosen": "A", "rejected": "B"}), vec![("Q", "A")]),
        (json!({"text": "Q"}), vec![("Q", "")]),
    ] {
        assert_eq!(
            read("a.jsonl", &row.to_string(), Stage::Ppo),
            [Ok(Taken::Talk(talk(None, &turns)))],
            "{row}"
        );
    }
    let reason = chat(&json!({"messages": [{"role": "system", "content": "S"}]}), Stage::Ppo).unwrap_err();
    assert_eq!(reason, RowReason::NoQuestion { column: "messages".into() });
}

#[test]
fn s_141_every_form_is_text_for_pre_training_and_the_original_reads_one_column() {
    for (row, text) in [
        (
            json!({"messages": [{"role": "system", "content": "S"}, user("Q"), says("A"), user("R")]}),
            "S\nQ\nA\nR",
        ),
        (json!({"instruction": "Q", "input": "more", "output": "A"}), "Q\nmore\nA"),
        (json!({"prompt": "Q", "chosen": "A", "rejected": "B"}), "Q\nA"),
        (json!({"text": "T"}), "T"),
    ] {
        assert_eq!(read("a.jsonl", &row.to_string(), Stage::Pt), [Ok(Taken::Text(text.into()))], "{row}");
    }
    let row = Row::from_json(json!({"instruction": "Q", "output": "A"})).unwrap();
    let mapping = Mapping { prompt: Some("instruction".into()), ..Mapping::empty(DataFormat::Alpaca) };
    let original = Taken::from_row(&row, &mapping, Stage::Pt, Behaviour::Original);
    assert_eq!(original, Ok(Taken::Text("Q".into())));
}

#[test]
fn s_144_a_form_without_a_worse_answer_says_so() {
    for row in [
        json!({"messages": [user("Q"), says("A")]}),
        json!({"question": "Q", "answer": "A"}),
        json!({"text": "T"}),
    ] {
        assert_eq!(read("a.jsonl", &row.to_string(), Stage::Dpo), [Err(RowReason::NoWorseColumn)], "{row}");
    }
}
