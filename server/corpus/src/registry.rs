//! `dataset_info.json`: read in the ancestor's form (S-006), in Alpaca and ShareGPT forms with ranking pairs as its
//! heirs write it, and written again.

use contract::Code;
use contract::dataset::{DataFormat, Mapping};
use contract::label;
use contract::problem::Problem;
use contract::registry::{Finding, Registered, Source};
use serde_json::{Map, Value, json};

/// Keys of an entry that Burnish uses.
const KNOWN: &[&str] =
    &["hf_hub_url", "script_url", "file_name", "file_sha1", "columns", "formatting", "ranking", "tags"];

/// Every entry, in the order of the file.
///
/// # Errors
/// `registry.broken`, naming the entry.
pub fn read(text: &str) -> Result<Vec<Registered>, Problem> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        Problem::new(Code::RegistryBroken, format!("dataset_info.json is not valid JSON: {error}."))
            .with("why", error)
            .hint("Mend the file at that line.")
    })?;
    let Value::Object(entries) = value else {
        return Err(broken("it is not an object of named datasets"));
    };
    entries.iter().map(|(name, entry)| registered(name, entry)).collect()
}

/// The entry of one dataset.
///
/// # Errors
/// `registry.undefined` in the ancestor's words (S-006).
pub fn entry<'r>(entries: &'r [Registered], name: &str) -> Result<&'r Registered, Problem> {
    entries.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let known: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
        Problem::new(Code::RegistryUndefined, format!("Undefined dataset {name} in dataset_info.json."))
            .with("name", name)
            .field("dataset")
            .hint(format!("It names: {}.", known.join(", ")))
    })
}

fn broken(why: &str) -> Problem {
    Problem::new(Code::RegistryBroken, format!("dataset_info.json cannot be used: {why}."))
        .with("why", why)
        .hint("Write {\"name\": {\"file_name\": \"data.json\"}}.")
}

fn registered(name: &str, entry: &Value) -> Result<Registered, Problem> {
    let entry = entry.as_object().ok_or_else(|| broken(&format!("the entry {name} is not an object")))?;
    let mut findings = Vec::new();
    let source = source(name, entry)?;
    if let Source::Script { name } = &source {
        findings.push(Finding::ScriptRefused { name: name.clone() });
    }
    let mapping = mapping(entry, &mut findings);
    let unused = entry.keys().filter(|key| !KNOWN.contains(&key.as_str()));
    findings.extend(unused.map(|key| Finding::Unused { key: key.clone() }));
    Ok(Registered { name: label::cleaned(name, label::MAX_NAME), source, mapping, findings })
}

/// The first of hub, script and file (S-001); later keys are ignored.
fn source(name: &str, entry: &Map<String, Value>) -> Result<Source, Problem> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    if let Some(repo) = text("hf_hub_url") {
        return Ok(Source::HfHub { repo });
    }
    if let Some(name) = text("script_url") {
        return Ok(Source::Script { name });
    }
    let file = text("file_name").ok_or_else(|| {
        broken(&format!("the entry {name} names neither hf_hub_url nor script_url nor file_name"))
    })?;
    if !is_below(&file) {
        return Err(broken(&format!("the file of {name} lies outside the folder of data")).field("file_name"));
    }
    Ok(Source::File { name: file, sha1: text("file_sha1") })
}

/// Whether a name stays below the folder it is looked for in (S6 of the security list).
fn is_below(name: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains([':', '\0']);
    !name.is_empty() && name.replace('\\', "/").split('/').all(plain)
}

/// Columns (S-005): without `columns` the defaults; with it an omitted part is none at all.
fn mapping(entry: &Map<String, Value>, findings: &mut Vec<Finding>) -> Mapping {
    let sharegpt = entry.get("formatting").and_then(Value::as_str) == Some("sharegpt");
    let ranking = entry.get("ranking") == Some(&Value::Bool(true));
    let columns = entry.get("columns").and_then(Value::as_object);
    let named = |part: &str| columns?.get(part)?.as_str().filter(|name| !name.is_empty()).map(str::to_owned);
    let format = match (sharegpt, ranking) {
        (_, true) => DataFormat::Pairs,
        (true, false) => DataFormat::Messages,
        (false, false) => DataFormat::PromptResponse,
    };
    let system = named("system");
    if sharegpt {
        let messages = named("messages").or_else(|| Some("conversations".to_owned()));
        let (chosen, rejected) = (named("chosen"), named("rejected"));
        return Mapping { messages, system, chosen, rejected, ..Mapping::empty(format) };
    }
    let Some(columns) = columns else {
        return Mapping {
            prompt: Some("instruction".to_owned()),
            query: Some("input".to_owned()),
            response: Some("output".to_owned()),
            ..Mapping::empty(format)
        };
    };
    let parts =
        if ranking { vec!["prompt", "query"] } else { vec!["prompt", "query", "response", "history"] };
    let omitted: Vec<String> =
        parts.into_iter().filter(|part| !columns.contains_key(*part)).map(str::to_owned).collect();
    if !omitted.is_empty() {
        findings.push(Finding::ColumnsOmitted { parts: omitted });
    }
    Mapping {
        prompt: named("prompt"),
        query: named("query"),
        response: named("response"),
        history: named("history"),
        system,
        chosen: named("chosen"),
        rejected: named("rejected"),
        ..Mapping::empty(format)
    }
}

/// Writes entries as `dataset_info.json`; [`read`] gives them back, findings aside.
pub fn write(entries: &[Registered]) -> String {
    let all: Map<String, Value> =
        entries.iter().map(|entry| (entry.name.clone(), entry_json(entry))).collect();
    serde_json::to_string_pretty(&Value::Object(all)).unwrap_or_default() + "\n"
}

fn entry_json(entry: &Registered) -> Value {
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    match &entry.source {
        Source::HfHub { repo } => put("hf_hub_url", json!(repo)),
        Source::Script { name } => put("script_url", json!(name)),
        Source::File { name, sha1 } => {
            if let Some(sha1) = sha1 {
                put("file_sha1", json!(sha1));
            }
            put("file_name", json!(name))
        }
    };
    let mapping = &entry.mapping;
    let ranking = mapping.format == DataFormat::Pairs;
    if mapping.messages.is_some() {
        put("formatting", json!("sharegpt"));
    }
    if ranking {
        put("ranking", json!(true));
    }
    let parts = [
        ("prompt", &mapping.prompt),
        ("query", &mapping.query),
        ("response", &mapping.response),
        ("history", &mapping.history),
        ("messages", &mapping.messages),
        ("system", &mapping.system),
        ("chosen", &mapping.chosen),
        ("rejected", &mapping.rejected),
    ];
    let columns = parts.into_iter().filter_map(|(part, name)| Some((part.to_owned(), json!(name.as_ref()?))));
    put("columns", Value::Object(columns.collect()));
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(entry: Value) -> Registered {
        read(&json!({ "d": entry }).to_string()).unwrap().remove(0)
    }

    #[test]
    fn s_001_the_first_source_wins() {
        let all = json!({"hf_hub_url": "o/n", "script_url": "s", "file_name": "f.json"});
        assert_eq!(one(all).source, Source::HfHub { repo: "o/n".into() });
        let two = one(json!({"script_url": "s", "file_name": "f.json"}));
        assert_eq!(two.source, Source::Script { name: "s".into() });
        assert_eq!(two.findings, [Finding::ScriptRefused { name: "s".into() }], "S-072: never run");
    }

    #[test]
    fn s_002_s_003_file_name_is_required_and_the_hash_is_kept() {
        let file = one(json!({"file_name": "f.json", "file_sha1": "ab"}));
        assert_eq!(file.source, Source::File { name: "f.json".into(), sha1: Some("ab".into()) });
        let problem = read(r#"{"d": {"file_sha1": "ab"}}"#).unwrap_err();
        assert!(problem.message.contains("the entry d names neither"), "{problem}");
    }

    #[test]
    fn s_004_the_prefix_of_a_dataset_is_not_read_from_the_registry() {
        let entry = one(json!({"file_name": "f.json", "source_prefix": "x"}));
        assert_eq!(entry.mapping.system, None);
        assert_eq!(entry.findings, [Finding::Unused { key: "source_prefix".into() }]);
    }

    #[test]
    fn s_005_columns_replace_all_four_defaults() {
        let plain = one(json!({"file_name": "f.json"})).mapping;
        let names = [plain.prompt.as_deref(), plain.query.as_deref(), plain.response.as_deref(), None];
        assert_eq!(names, [Some("instruction"), Some("input"), Some("output"), plain.history.as_deref()]);
        let some = one(json!({"file_name": "f.json", "columns": {"prompt": "q", "response": "a"}}));
        assert_eq!((some.mapping.prompt.as_deref(), some.mapping.query.as_deref()), (Some("q"), None));
        let parts = vec!["query".to_owned(), "history".to_owned()];
        assert_eq!(some.findings, [Finding::ColumnsOmitted { parts }]);
    }

    #[test]
    fn s_006_an_unknown_name_is_refused_in_the_old_words() {
        let entries = read(r#"{"a": {"file_name": "a.json"}}"#).unwrap();
        let problem = entry(&entries, "b").unwrap_err();
        assert_eq!(problem.message, "Undefined dataset b in dataset_info.json.");
        assert_eq!(entry(&entries, "a").unwrap().name, "a");
    }

    #[test]
    fn sharegpt_and_ranking_entries_come_back_as_written() {
        let text = json!({
            "chat": {"file_name": "c.json", "formatting": "sharegpt", "columns": {"messages": "talk", "system": "s"}},
            "rank": {"hf_hub_url": "o/r", "ranking": true,
                "columns": {"prompt": "q", "query": "more", "chosen": "good", "rejected": "bad"}},
            "plain": {"file_name": "folder/p.jsonl", "file_sha1": "00",
                "columns": {"prompt": "q", "query": "x", "response": "a", "history": "h"}},
        });
        let entries = read(&text.to_string()).unwrap();
        let formats: Vec<_> = entries.iter().map(|entry| entry.mapping.format).collect();
        assert_eq!(formats, [DataFormat::Messages, DataFormat::Pairs, DataFormat::PromptResponse]);
        assert_eq!(entries[1].mapping.chosen.as_deref(), Some("good"));
        assert_eq!(read(&write(&entries)).unwrap(), entries);
    }

    #[test]
    fn a_ranking_entry_of_messages_reads_the_question_from_them() {
        let entry = one(json!({"file_name": "c.json", "formatting": "sharegpt", "ranking": true,
            "columns": {"messages": "talk", "chosen": "good", "rejected": "bad"}}));
        let says = |text: &str| json!({"from": "gpt", "value": text});
        let row = json!({"talk": [{"from": "human", "value": "Q"}], "good": says("A"), "bad": says("B")});
        let pair = crate::Pair::from_row(&crate::Row::from_json(row).unwrap(), &entry.mapping).unwrap();
        assert_eq!(pair.chosen.turns, [("Q".to_owned(), "A".to_owned())]);
        assert_eq!(pair.rejected, "B");
    }

    #[test]
    fn names_are_labels_without_what_nobody_sees() {
        let name = format!("a\u{202e}\u{0}b {}", "x".repeat(500));
        let text = json!({ name: {"file_name": "x.json"} }).to_string();
        let entries = read(&text).unwrap();
        assert!(entries[0].name.starts_with("ab x"), "{}", entries[0].name);
        assert_eq!(entries[0].name.chars().count(), label::MAX_NAME);
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        for name in
            ["../x.json", "/etc/passwd", "a/../../x", "C:\\x.json", "..\\x", "", "a//b", "a\0b", ".hidden"]
        {
            let text = json!({"d": {"file_name": name}}).to_string();
            assert_eq!(read(&text).unwrap_err().code, Code::RegistryBroken, "{name:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn s27_any_register_is_read_or_refused(
            keys in proptest::collection::vec("(file_name|hf_hub_url|script_url|columns|ranking|formatting|tags|file_sha1|split|prompt|\\PC{0,4})", 0..6),
            values in proptest::collection::vec("(null|true|-?[0-9]{1,30}|\"\\PC{0,6}\"|\\[\\]|\\{\\}|\\{\"prompt\":\"a\"\\}|\\[\\{)", 0..6),
        ) {
            let quoted = |key: &String| serde_json::to_string(key).unwrap();
            let pairs: Vec<_> = keys.iter().zip(&values).map(|(key, value)| format!("{}:{value}", quoted(key))).collect();
            if let Ok(entries) = read(&format!("{{\"d\":{{{}}}}}", pairs.join(","))) {
                proptest::prop_assert_eq!(entries.len(), 1);
                // what is written is read again
                proptest::prop_assert!(read(&write(&entries)).is_ok());
            }
        }
    }
}
