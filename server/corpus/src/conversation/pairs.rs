//! Preference rows: one question, a better and a worse answer (S-144).

use contract::dataset::Mapping;
use contract::row_reason::RowReason;
use serde_json::Value;

use super::cell::{list, scalar, text};
use super::{Conversation, from_items, history, question};
use crate::source::Row;

/// A conversation that ends with the better answer, and the worse one to the same last question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Turns, the last answer being the better one.
    pub chosen: Conversation,
    /// The worse answer.
    pub rejected: String,
}

impl Pair {
    /// The same turns, ending with the worse answer.
    pub fn worse(&self) -> Conversation {
        let mut turns = self.chosen.turns.clone();
        if let Some(last) = turns.last_mut() {
            last.1.clone_from(&self.rejected);
        }
        Conversation { system: self.chosen.system.clone(), turns }
    }

    /// Reads a row: columns `chosen` and `rejected` as texts or as whole conversations, else one column that holds a
    /// list of two, the better first.
    ///
    /// # Errors
    /// The reason why the row holds no pair.
    pub fn from_row(row: &Row, mapping: &Mapping) -> Result<Self, RowReason> {
        row.sound()?;
        let has = |name: &'static str| row.get(name).is_some().then_some(name);
        let chosen = mapping
            .chosen
            .as_deref()
            .or_else(|| if mapping.response.is_some() { None } else { has("chosen") });
        let Some(chosen) = chosen else { return from_list(row, mapping) };
        let rejected = mapping.rejected.as_deref().or_else(|| has("rejected"));
        let rejected = rejected.ok_or(RowReason::NoWorseColumn)?;
        match (messages(row, chosen), messages(row, rejected)) {
            (Some(better), Some(worse)) => from_talks(row, mapping, (chosen, &better), (rejected, &worse)),
            _ => {
                let better = text(row, Some(chosen))?
                    .ok_or_else(|| RowReason::EmptyAnswer { column: chosen.to_owned() })?;
                let worse = text(row, Some(rejected))?
                    .ok_or_else(|| RowReason::EmptyAnswer { column: rejected.to_owned() })?;
                let conversation = asked(row, mapping, better)?;
                Ok(Self { chosen: conversation, rejected: worse })
            }
        }
    }
}

/// One column with a list of two.
fn from_list(row: &Row, mapping: &Mapping) -> Result<Pair, RowReason> {
    let column = mapping.response.as_deref().unwrap_or("output");
    let items = list(row.get(column), column)?;
    if items.is_empty() {
        return Err(RowReason::EmptyAnswer { column: column.to_owned() });
    }
    let side = |value: &Value| match value {
        Value::Null => Some(String::new()),
        other => scalar(other),
    };
    match items.as_slice() {
        [better, worse] => {
            let texts = side(better).zip(side(worse));
            let (better, rejected) =
                texts.ok_or_else(|| RowReason::NotTwoTexts { column: column.to_owned() })?;
            Ok(Pair { chosen: asked(row, mapping, better)?, rejected })
        }
        other => Err(RowReason::AnswerCount { column: column.to_owned(), count: other.len() }),
    }
}

/// The turns before, the question, and an answer to it.
fn asked(row: &Row, mapping: &Mapping, answer: String) -> Result<Conversation, RowReason> {
    let prompt = mapping.prompt.as_deref().unwrap_or_else(|| prompt_column(row));
    let question = question(row, mapping, prompt)?;
    let mut turns = match mapping.history.as_deref() {
        Some(column) => history(row.get(column), column)?,
        None => Vec::new(),
    };
    turns.push((question, answer));
    Ok(Conversation { system: text(row, mapping.system.as_deref())?, turns })
}

fn prompt_column(row: &Row) -> &'static str {
    ["prompt", "instruction", "question"].into_iter().find(|name| row.get(name).is_some()).unwrap_or("prompt")
}

/// The cell as a message list, if it is one.
fn messages(row: &Row, column: &str) -> Option<Vec<Value>> {
    let items = list(row.get(column), column).ok()?;
    items.first().is_some_and(Value::is_object).then_some(items)
}

fn from_talks(
    row: &Row,
    mapping: &Mapping,
    (better_name, better): (&str, &[Value]),
    (worse_name, worse): (&str, &[Value]),
) -> Result<Pair, RowReason> {
    let talk = |name: &str, items: &[Value]| -> Result<Conversation, RowReason> {
        if let [only] = items {
            let (_, answer) = super::message(only).ok_or(RowReason::BrokenMessage { number: 1 })?;
            return asked(row, mapping, answer);
        }
        from_items(items, name, text(row, mapping.system.as_deref())?)
    };
    let (chosen, mut other) = (talk(better_name, better)?, talk(worse_name, worse)?);
    let Some((question, rejected)) = other.turns.pop() else {
        return Err(RowReason::EmptyAnswer { column: worse_name.to_owned() });
    };
    let before = chosen.turns.split_last().map(|(last, rest)| (&last.0, rest));
    if before != Some((&question, other.turns.as_slice())) {
        return Err(RowReason::DifferentQuestions {
            better: better_name.to_owned(),
            worse: worse_name.to_owned(),
        });
    }
    Ok(Pair { chosen, rejected })
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::dataset::DataFormat;
    use serde_json::json;

    fn pair(value: Value, mapping: &Mapping) -> Result<Pair, RowReason> {
        Pair::from_row(&Row::from_json(value).unwrap(), mapping)
    }

    fn pairs() -> Mapping {
        Mapping::empty(DataFormat::Pairs)
    }

    #[test]
    fn s_144_a_list_of_two_and_two_columns_give_the_same_pair() {
        let listed = Mapping {
            prompt: Some("q".into()),
            query: Some("more".into()),
            response: Some("output".into()),
            ..pairs()
        };
        let by_list = pair(json!({"q": "Add", "more": "1 2", "output": ["3", "4"]}), &listed).unwrap();
        let columns = Mapping { query: Some("more".into()), ..pairs() };
        let row = json!({"prompt": "Add", "more": "1 2", "chosen": "3", "rejected": "4"});
        assert_eq!(by_list, pair(row, &columns).unwrap());
        assert_eq!(by_list.chosen.turns, [("Add\n1 2".to_owned(), "3".to_owned())]);
        assert_eq!(by_list.worse().turns, [("Add\n1 2".to_owned(), "4".to_owned())]);
    }

    #[test]
    fn whole_conversations_share_their_question() {
        let user = json!({"role": "user", "content": "q"});
        let says = |words: &str| json!({"role": "assistant", "content": words});
        let row = json!({"chosen": [user, says("good")], "rejected": [user, says("bad")]});
        let made = pair(row, &pairs()).unwrap();
        assert_eq!((made.chosen.turns[0].1.as_str(), made.rejected.as_str()), ("good", "bad"));
        let only = json!({"prompt": "q", "chosen": [says("good")], "rejected": [says("bad")]});
        assert_eq!(pair(only, &pairs()).unwrap(), made);
        let other = json!({"role": "user", "content": "another"});
        let row = json!({"chosen": [user, says("good")], "rejected": [other, says("bad")]});
        assert_eq!(
            pair(row, &pairs()).unwrap_err().to_string(),
            "chosen and rejected answer different questions"
        );
    }

    #[test]
    fn rows_without_a_pair_say_why() {
        let listed = Mapping { response: Some("output".into()), ..pairs() };
        let reason = |value: Value, mapping: &Mapping| pair(value, mapping).unwrap_err().to_string();
        assert_eq!(
            reason(json!({"prompt": "q", "output": ["a"]}), &listed),
            "output holds 1 answers where two are needed"
        );
        assert_eq!(reason(json!({"prompt": "q", "output": "a"}), &listed), "output is not a list");
        assert_eq!(
            reason(json!({"prompt": "q", "chosen": "a", "rejected": ""}), &pairs()),
            "rejected is empty"
        );
        assert_eq!(
            reason(json!({"prompt": "q", "chosen": "a"}), &pairs()),
            "no column holds the worse answer"
        );
        assert_eq!(
            reason(json!({"prompt": "", "chosen": "a", "rejected": "b"}), &pairs()),
            "prompt is empty"
        );
    }
}
