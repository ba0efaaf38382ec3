//! Which column plays which part, from names and a sample of rows.

use std::collections::HashMap;

use contract::dataset::{DataFormat, FileKind, Mapping};
use serde_json::Value;

use super::names::{
    CHOICES, CHOSEN, CONTEXTS, INPUTS, INSTRUCTIONS, PROMPTS, REJECTED, RESPONSES, SUBJECTS, SYSTEMS, TEXTS,
    VERDICTS,
};
use super::{MESSAGE_COLUMNS, check_row};
use crate::conversation::is_chat;
use crate::source::Row;

/// Characters from which a text is more than a name.
const SENTENCE: usize = 20;

/// A mapping that fits the columns; the person may choose another. Where it cannot be known, no column is named and a
/// person has to choose.
pub(super) fn suggest(columns: &[String], sample: &[Row], kind: FileKind) -> Mapping {
    if kind == FileKind::Txt {
        return Mapping { prompt: columns.first().cloned(), ..Mapping::empty(DataFormat::Text) };
    }
    let table = Table::new(columns, sample, kind);
    if let Some(named) = table.pairs().or_else(|| table.messages()) {
        return named;
    }
    let answered = table.listed_pairs().or_else(|| table.answered()).or_else(|| table.judged());
    let guess = answered.or_else(|| table.asked()).or_else(|| table.text());
    guess.filter(|mapping| table.teaches(mapping)).unwrap_or(Mapping::empty(DataFormat::PromptResponse))
}

/// Whether every answer of the sample is a list of two, the better first (S-144).
pub(super) fn answers_are_pairs(mapping: &Mapping, sample: &[Row]) -> bool {
    let answered = matches!(mapping.format, DataFormat::Alpaca | DataFormat::PromptResponse);
    let Some(column) = mapping.response.as_deref().filter(|_| answered) else { return false };
    let values = || sample.iter().filter_map(|row| row.get(column));
    values().all(is_pair) && values().any(Value::is_array)
}

/// Whether a value is two answers, or none.
fn is_pair(value: &Value) -> bool {
    match value {
        Value::Array(items) => {
            items.len() == 2 && items.iter().all(|item| !item.is_array() && !item.is_object())
        }
        other => other.is_null(),
    }
}

struct Table<'t> {
    columns: &'t [String],
    /// Columns by their names in small letters; the first of several.
    named: HashMap<String, &'t String>,
    /// What the rows of the sample hold in each column.
    values: HashMap<&'t str, Vec<&'t Value>>,
    sample: &'t [Row],
    kind: FileKind,
}

impl<'t> Table<'t> {
    fn new(columns: &'t [String], sample: &'t [Row], kind: FileKind) -> Self {
        let (mut named, mut values) = (HashMap::new(), HashMap::<_, Vec<_>>::new());
        for column in columns {
            named.entry(column.trim().to_lowercase()).or_insert(column);
        }
        for (name, value) in sample.iter().flat_map(|row| &row.cells) {
            values.entry(name.as_str()).or_default().push(value);
        }
        Self { columns, named, values, sample, kind }
    }

    /// What the rows hold in a column.
    fn values(&self, column: &str) -> impl Iterator<Item = &'t Value> {
        self.values.get(column).into_iter().flatten().copied()
    }

    /// Whether half of the rows that can be read can teach as they are, or in another stage if only their answers are
    /// missing.
    fn teaches(&self, mapping: &Mapping) -> bool {
        let [best, others @ ..] = mapping.format.suits() else { return false };
        let usable = |row: &&Row| match check_row(row, self.kind, (mapping, *best)) {
            Ok(()) => true,
            Err(reason) => {
                reason.is_empty_answer()
                    && others.iter().any(|stage| check_row(row, self.kind, (mapping, *stage)).is_ok())
            }
        };
        let read = self.sample.iter().filter(|row| row.fault.is_none());
        self.sample.iter().filter(usable).count() * 2 >= read.count()
    }

    fn find(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.named.get(*name).map(|column| (*column).clone()))
    }

    /// The column of these names that is not the one named already.
    fn other(&self, names: &[&str], than: &str) -> Option<String> {
        let names: Vec<&str> =
            names.iter().copied().filter(|name| *name != than.trim().to_lowercase()).collect();
        self.find(&names)
    }

    fn mapping(&self, format: DataFormat) -> Mapping {
        Mapping { history: self.find(&["history"]), system: self.find(SYSTEMS), ..Mapping::empty(format) }
    }

    /// What is appended to a question: the input of an instruction, or the text it is about.
    fn query(&self, prompt: &str) -> Option<String> {
        let instructs = INSTRUCTIONS.contains(&prompt.trim().to_lowercase().as_str());
        let input = self.other(INPUTS, prompt).filter(|_| instructs);
        input.or_else(|| self.other(CONTEXTS, prompt)).or_else(|| self.other(&["query"], prompt))
    }

    fn pairs(&self) -> Option<Mapping> {
        let (chosen, rejected) = (self.find(CHOSEN)?, self.find(REJECTED)?);
        let prompt = self.find(PROMPTS);
        let query = prompt.as_deref().and_then(|prompt| match prompt {
            // Beside a whole prompt, an input is part of it.
            "prompt" => self.find(INPUTS).or_else(|| self.query(prompt)),
            _ => self.query(prompt),
        });
        let (chosen, rejected) = (Some(chosen), Some(rejected));
        let alone = Mapping { prompt, query, chosen, rejected, ..self.mapping(DataFormat::Pairs) };
        // Messages beside pairs are what is asked, or one of the answers once more.
        let beside = self.find(MESSAGE_COLUMNS).filter(|_| alone.prompt.is_none());
        let asked = beside.map(|column| Mapping { prompt: Some(column), ..alone.clone() });
        Some(asked.filter(|asked| !self.teaches(&alone) && self.teaches(asked)).unwrap_or(alone))
    }

    fn messages(&self) -> Option<Mapping> {
        let column = self.find(MESSAGE_COLUMNS).filter(|column| self.any(column, is_chat))?;
        let system = self.find(&["system"]);
        Some(Mapping { messages: Some(column), system, ..Mapping::empty(DataFormat::Messages) })
    }

    /// One column of answers, each a better and a worse one.
    fn listed_pairs(&self) -> Option<Mapping> {
        let (prompt, response) = (self.find(PROMPTS)?, self.find(RESPONSES)?);
        let all = self.values(&response).all(is_pair);
        if !all || !self.any(&response, Value::is_array) || response.eq_ignore_ascii_case("answers") {
            return None;
        }
        let query = self.query(&prompt);
        Some(Mapping {
            query,
            prompt: Some(prompt),
            response: Some(response),
            ..self.mapping(DataFormat::Pairs)
        })
    }

    fn answered(&self) -> Option<Mapping> {
        let (prompt, response) = (self.find(PROMPTS)?, self.find(RESPONSES)?);
        let alpaca = self.find(&["instruction"]).zip(self.find(&["output"]));
        // Answers marked as good or bad are not all to be taught.
        let marked = self.find(&["label"]).is_some_and(|column| self.any(&column, is_mark));
        if marked || self.find(CHOICES).is_some() {
            return None;
        }
        if let Some((prompt, response)) = alpaca {
            let query = self.query(&prompt);
            let (prompt, response) = (Some(prompt), Some(response));
            return Some(Mapping { prompt, query, response, ..self.mapping(DataFormat::Alpaca) });
        }
        let query = self.query(&prompt);
        let (prompt, response) = (Some(prompt), Some(response));
        Some(Mapping { prompt, query, response, ..self.mapping(DataFormat::PromptResponse) })
    }

    /// Questions alone.
    fn asked(&self) -> Option<Mapping> {
        let answered = self.find(CHOICES).or_else(|| self.find(RESPONSES));
        let prompt = self.find(PROMPTS).filter(|_| answered.is_none())?;
        if self.any(&prompt, is_chat) {
            return Some(Mapping { messages: Some(prompt), ..Mapping::empty(DataFormat::Messages) });
        }
        Some(Mapping { prompt: Some(prompt), ..Mapping::empty(DataFormat::Text) })
    }

    /// A text and what is said of it: a summary, a class.
    fn judged(&self) -> Option<Mapping> {
        let response = self.find(VERDICTS).or_else(|| self.find(RESPONSES))?;
        let prompt = self.other(SUBJECTS, &response)?;
        let (prompt, response) = (Some(prompt), Some(response));
        Some(Mapping { prompt, response, ..self.mapping(DataFormat::PromptResponse) })
    }

    /// Plain text: under a usual name, the only column, or the only texts among numbers. Names of kinds or places beside
    /// numbers are no texts to learn.
    fn text(&self) -> Option<Mapping> {
        let only = || {
            let mut words = self.columns.iter().filter(|column| self.any(column, |value| !is_number(value)));
            words
                .next()
                .filter(|column| words.next().is_none() && self.any(column, Value::is_string))
                .filter(|column| self.columns.len() == 1 || self.mean_length(column) >= SENTENCE)
                .cloned()
        };
        let prompt = self.find(TEXTS).or_else(only)?;
        Some(Mapping { prompt: Some(prompt), ..Mapping::empty(DataFormat::Text) })
    }

    /// Characters of a text of this column on average.
    fn mean_length(&self, column: &str) -> usize {
        let texts = || self.values(column).filter_map(Value::as_str);
        texts().map(|text| text.chars().count()).sum::<usize>() / texts().count().max(1)
    }

    fn any(&self, column: &str, holds: impl Fn(&Value) -> bool) -> bool {
        self.values(column).any(holds)
    }
}

/// Whether a value says yes or no.
fn is_mark(value: &Value) -> bool {
    match value {
        Value::Bool(_) => true,
        Value::String(text) => ["true", "false"].contains(&text.to_lowercase().as_str()),
        _ => false,
    }
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(_) | Value::Number(_))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn guess(row: &Value) -> Mapping {
        let row = Row::from_json(row.clone()).unwrap();
        let columns: Vec<String> = row.cells.iter().map(|(name, _)| name.clone()).collect();
        suggest(&columns, &[row], FileKind::Jsonl)
    }

    fn parts(mapping: &Mapping) -> [Option<&str>; 3] {
        [mapping.prompt.as_deref(), mapping.query.as_deref(), mapping.response.as_deref()]
    }

    #[test]
    fn tables_of_questions_about_texts_name_the_question() {
        let starts = json!({"text": ["A", "B"], "answer_start": [0, 4]});
        let listed = json!([{"text": "A", "answer_start": 0}, {"text": "B", "answer_start": 4}]);
        for (row, context, answer) in [
            (
                json!({"id": "1", "title": "T", "context": "C", "question": "Q", "answers": starts}),
                "context",
                "answers",
            ),
            (json!({"id": "1", "context": "C", "question": "Q", "answers": listed}), "context", "answers"),
            (json!({"passage": "C", "question": "Q", "answer": true}), "passage", "answer"),
            (json!({"answer": "A", "context": "C", "question": "Q"}), "context", "answer"),
            (json!({"answer": ["A"], "context": "C", "question": "Q"}), "context", "answer"),
        ] {
            let mapping = guess(&row);
            assert_eq!(parts(&mapping), [Some("question"), Some(context), Some(answer)], "{row}");
            let row = Row::from_json(row).unwrap();
            let talk = crate::Conversation::from_row(&row, &mapping).unwrap();
            assert_eq!(talk.turns[0].0, "Q\nC");
            assert!(["A", "True"].contains(&talk.turns[0].1.as_str()), "{talk:?}");
        }
    }

    #[test]
    fn usual_names_of_many_languages_are_known() {
        for (prompt, response) in [
            ("prompt", "completion"),
            ("input", "output"),
            ("Q", "A"),
            ("Frage", "Antwort"),
            ("Question", "Réponse"),
            ("pregunta", "respuesta"),
            ("Вопрос", "Ответ"),
            ("问题", "回答"),
            ("질문", "답변"),
            ("質問", "回答"),
            ("user", "assistant"),
            ("text", "label"),
            ("sentence", "label"),
            ("document", "summary"),
            ("article", "highlights"),
            ("source", "target"),
            ("Context", "Response"),
        ] {
            let mapping = guess(&json!({prompt: "x", response: "y", "id": "z"}));
            assert_eq!(parts(&mapping), [Some(prompt), None, Some(response)], "{prompt}");
        }
        for (prompt, query, response) in [
            ("instruction", "input", "output"),
            ("instruction", "input", "response"),
            ("instruction", "context", "response"),
            ("지시문", "입력", "출력"),
        ] {
            let mapping = guess(&json!({response: "y", query: "w", prompt: "x"}));
            assert_eq!(parts(&mapping), [Some(prompt), Some(query), Some(response)], "{prompt}");
        }
    }

    #[test]
    fn where_it_cannot_be_known_nothing_is_guessed() {
        for row in [
            json!({"translation": {"en": "tea", "fr": "thé"}}),
            json!({"id": "7", "translation": {"en": "tea", "fr": "thé"}}),
            json!({"en": "tea", "fr": "thé"}),
            json!({"prompt": "Q", "completion": "A", "label": false}),
            json!({"prompt": [{"role": "user", "content": "Q"}], "completion": "A", "label": "True"}),
            json!({"premise": "P", "hypothesis": "H", "label": 0}),
            json!({"question": "Q", "choices": ["a", "b"], "answer": 1}),
            json!({"question": "Q", "answers": ["a", "b"]}),
            json!({"question": ["Q"], "answer": {"kind": "x"}}),
            json!({"messages": ["a", "b"]}),
            json!({"one": "x", "two": "y"}),
        ] {
            assert_eq!(guess(&row), Mapping::empty(DataFormat::PromptResponse), "{row}");
        }
    }

    #[test]
    fn plain_texts_and_prompts_are_known() {
        for (row, column) in [
            (json!({"text": "x", "url": "u"}), "text"),
            (json!({"story": "Once a kettle sang to itself.", "stars": 4}), "story"),
            (json!({"prompt": "Q", "id": "1"}), "prompt"),
        ] {
            let mapping = guess(&row);
            assert_eq!(
                (mapping.format, mapping.prompt.as_deref()),
                (DataFormat::Text, Some(column)),
                "{row}"
            );
        }
        let mapping = guess(&json!({"prompt": [{"role": "user", "content": "Q"}]}));
        assert_eq!((mapping.format, mapping.messages.as_deref()), (DataFormat::Messages, Some("prompt")));
    }
}
