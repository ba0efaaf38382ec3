//! `dataset_info.json`: read in the ancestor's form (S-006), in Alpaca and ShareGPT forms with ranking pairs as its
//! heirs write it, and written again.

use std::collections::BTreeMap;

use contract::Code;
use contract::dataset::{DataFormat, Mapping};
use contract::digest::Digest;
use contract::label;
use contract::problem::Problem;
use contract::registry::{Finding, Registered, Source};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value, json};

use crate::conversation::{CONTENTS, ROLES, knows_role};

/// Column of messages where an entry of that format names none.
const MESSAGES: &str = "conversations";

/// Keys of an entry that Burnish uses.
const KNOWN: &[&str] =
    &["hf_hub_url", "script_url", "file_name", "file_sha1", "columns", "formatting", "ranking", "tags"];

/// Every entry, in the order of the file.
///
/// # Errors
/// `registry.broken`, naming the entry.
pub fn read(text: &str) -> Result<Vec<Registered>, Problem> {
    let Entries(entries) = serde_json::from_str(text).map_err(|error| {
        if error.is_data() {
            return broken("it is not an object of named datasets");
        }
        Problem::new(Code::RegistryBroken, format!("dataset_info.json is not valid JSON: {error}."))
            .with("why", error)
            .hint("Mend the file at that line.")
    })?;
    entries.iter().map(|(name, entry)| registered(name, entry)).collect()
}

/// Named entries in the order of the file. Of two of one name both count: neither is lost without a word.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Named;
        impl<'de> Visitor<'de> for Named {
            type Value = Entries;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of named datasets")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Named)
    }
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
    match &source {
        Source::Script { name } => findings.push(Finding::ScriptRefused { name: name.clone() }),
        // S-070: a digest that is none is never a reason to leave the file out.
        Source::File { sha1: Some(sha1), .. } if Digest::parse(sha1).is_err() => {
            findings.push(Finding::Unused { key: "file_sha1".to_owned() });
        }
        _ => {}
    }
    let mapping = mapping(entry, &mut findings);
    let answered = matches!(mapping.format, DataFormat::Alpaca | DataFormat::PromptResponse);
    let open = answered && (!entry.contains_key("ranking") || !entry.contains_key("columns"));
    let tags = tags(entry);
    if mapping.format == DataFormat::Messages && !tags.iter().all(|(tag, name)| is_read(tag, name)) {
        findings.push(Finding::Unused { key: "tags".to_owned() });
    }
    let unused = entry.keys().filter(|key| !KNOWN.contains(&key.as_str()));
    findings.extend(unused.map(|key| Finding::Unused { key: key.clone() }));
    let name = label::cleaned(name, label::MAX_NAME);
    Ok(Registered { name, source, mapping, open, tags, findings })
}

/// What an entry calls the fields and the roles of its messages.
fn tags(entry: &Map<String, Value>) -> BTreeMap<String, String> {
    let tags = entry.get("tags").and_then(Value::as_object).into_iter().flatten();
    tags.filter_map(|(tag, name)| Some((tag.clone(), name.as_str()?.to_owned()))).collect()
}

/// Whether messages whose field or role has this name are read.
fn is_read(tag: &str, name: &str) -> bool {
    match tag {
        "role_tag" => ROLES.contains(&name),
        "content_tag" => CONTENTS.contains(&name),
        _ => knows_role(name),
    }
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

/// Columns (S-005): without `columns` the defaults; with it an omitted part is none at all. A prompt alone is text for
/// pre-training, and a better and a worse answer are pairs whether or not `ranking` says so (S-006).
fn mapping(entry: &Map<String, Value>, findings: &mut Vec<Finding>) -> Mapping {
    let formatting = entry.get("formatting").and_then(Value::as_str);
    let sharegpt = formatting == Some("sharegpt");
    let columns = entry.get("columns").and_then(Value::as_object);
    let named = |part: &str| columns?.get(part)?.as_str().filter(|name| !name.is_empty()).map(str::to_owned);
    let (chosen, rejected) = (named("chosen"), named("rejected"));
    let compares = chosen.is_some() && rejected.is_some();
    let ranking = entry.get("ranking").and_then(Value::as_bool).unwrap_or(compares);
    let (response, history) = (named("response"), named("history"));
    let alone = response.is_none() && history.is_none() && chosen.is_none() && rejected.is_none();
    let format = match (sharegpt, ranking) {
        (_, true) => DataFormat::Pairs,
        (true, false) => DataFormat::Messages,
        (false, false) if alone && named("prompt").is_some() => DataFormat::Text,
        (false, false) if formatting == Some("alpaca") => DataFormat::Alpaca,
        (false, false) => DataFormat::PromptResponse,
    };
    let Some(columns) = columns else {
        let plain = !sharegpt;
        let default = |name: &str| plain.then(|| name.to_owned());
        return Mapping {
            prompt: default("instruction"),
            query: default("input"),
            response: default("output"),
            messages: sharegpt.then(|| MESSAGES.to_owned()),
            ..Mapping::empty(format)
        };
    };
    // A file of texts needs no other part, and one of messages holds them all.
    let parts: &[&str] = match format {
        DataFormat::Text | DataFormat::Messages => &[],
        DataFormat::Pairs if sharegpt => &[],
        DataFormat::Pairs => &["prompt", "query"],
        DataFormat::Alpaca | DataFormat::PromptResponse => &["prompt", "query", "response", "history"],
    };
    let omitted: Vec<String> =
        parts.iter().filter(|part| !columns.contains_key(**part)).map(|part| (*part).to_owned()).collect();
    if !omitted.is_empty() {
        findings.push(Finding::ColumnsOmitted { parts: omitted });
    }
    let messages = match columns.get("messages") {
        None => sharegpt.then(|| MESSAGES.to_owned()),
        Some(_) => named("messages"),
    };
    Mapping {
        prompt: named("prompt"),
        query: named("query"),
        system: named("system"),
        messages,
        response,
        history,
        chosen,
        rejected,
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
    let sharegpt = mapping.format == DataFormat::Messages || mapping.messages.is_some();
    match mapping.format {
        _ if sharegpt => put("formatting", json!("sharegpt")),
        DataFormat::Alpaca => put("formatting", json!("alpaca")),
        _ => None,
    };
    // Without it an entry says nothing of what its answers are, or that two of them are compared.
    let answered = matches!(mapping.format, DataFormat::Alpaca | DataFormat::PromptResponse) && !entry.open;
    let compares = mapping.chosen.is_some() && mapping.rejected.is_some();
    match mapping.format {
        DataFormat::Pairs => put("ranking", json!(true)),
        _ if answered || compares => put("ranking", json!(false)),
        _ => None,
    };
    if !entry.tags.is_empty() {
        put("tags", json!(entry.tags));
    }
    let named = mapping.parts().into_iter().filter_map(|(part, name)| Some((part.to_owned(), json!(name?))));
    let mut columns: Map<String, Value> = named.collect();
    // Two formats read columns of these names where none is named, and say it here, where a missing one is none.
    let usual: &[(&str, &str)] = match mapping.format {
        DataFormat::Alpaca => &[("prompt", "instruction"), ("response", "output")],
        DataFormat::Text => &[("prompt", "text")],
        _ => &[],
    };
    for (part, name) in usual {
        columns.entry(*part).or_insert_with(|| json!(name));
    }
    if sharegpt {
        columns.entry("messages").or_insert(Value::Null);
    }
    put("columns", Value::Object(columns));
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
        let file = one(json!({"file_name": "f.json", "file_sha1": "ab".repeat(20)}));
        assert_eq!(file.source, Source::File { name: "f.json".into(), sha1: Some("ab".repeat(20)) });
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
            "plain": {"file_name": "folder/p.jsonl", "file_sha1": "00".repeat(20), "ranking": false,
                "columns": {"prompt": "q", "query": "x", "response": "a", "history": "h"}},
        });
        let entries = read(&text.to_string()).unwrap();
        let formats: Vec<_> = entries.iter().map(|entry| entry.mapping.format).collect();
        assert_eq!(formats, [DataFormat::Messages, DataFormat::Pairs, DataFormat::PromptResponse]);
        assert_eq!(entries[1].mapping.chosen.as_deref(), Some("good"));
        assert_eq!(read(&write(&entries)).unwrap(), entries);
    }

    #[test]
    fn s_006_a_prompt_alone_is_text_and_two_answers_are_pairs_without_a_word_of_ranking() {
        let format = |entry: Value| {
            let entry = one(entry);
            (entry.mapping.format, entry.open, entry.findings.len())
        };
        let text = json!({"file_name": "c.txt", "columns": {"prompt": "text"}});
        assert_eq!(format(text), (DataFormat::Text, false, 0), "nothing is missing");
        let pairs = json!({"file_name": "p.json", "columns": {"prompt": "q", "query": "i", "chosen": "a", "rejected": "b"}});
        assert_eq!(format(pairs), (DataFormat::Pairs, false, 0));
        let talks = json!({"file_name": "p.json", "formatting": "sharegpt",
            "columns": {"messages": "m", "chosen": "a", "rejected": "b"}});
        assert_eq!(format(talks), (DataFormat::Pairs, false, 0));
        let told = json!({"file_name": "p.json", "ranking": false, "columns": {"prompt": "q", "response": "r",
            "query": "i", "history": "h", "chosen": "a", "rejected": "b"}});
        assert_eq!(format(told), (DataFormat::PromptResponse, false, 0), "what is said holds");
        let left = json!({"file_name": "p.json", "columns": {"prompt": "q", "response": "r", "query": "i", "history": "h"}});
        assert_eq!(format(left), (DataFormat::PromptResponse, true, 0), "the file shows it");
        assert!(one(json!({"file_name": "f.json"})).open);
    }

    #[test]
    fn s_006_entries_of_one_name_are_all_read_and_a_digest_that_is_none_is_said() {
        let entries =
            read(r#"{"a": {"file_name": "a.json", "file_sha1": "xyz"}, "a": {"file_name": "b.json"}}"#)
                .unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].findings, [Finding::Unused { key: "file_sha1".into() }]);
        assert_eq!(read("[]").unwrap_err().code, Code::RegistryBroken);
    }

    #[test]
    fn s_006_tags_come_back_and_are_said_where_messages_of_theirs_are_not_read() {
        let entry = |role: &str, user: &str| {
            one(
                json!({"file_name": "c.json", "formatting": "sharegpt", "tags": {"role_tag": role, "user_tag": user}}),
            )
        };
        let known = entry("role", "user");
        assert_eq!(known.findings, []);
        assert_eq!(read(&write(std::slice::from_ref(&known))).unwrap(), [known]);
        for (role, user) in [("who", "user"), ("role", "customer")] {
            assert_eq!(entry(role, user).findings, [Finding::Unused { key: "tags".into() }]);
        }
    }

    proptest::proptest! {
        #[test]
        fn s_006_every_mapping_comes_back_unchanged(
            format in proptest::sample::select(DataFormat::ALL.to_vec()),
            names in proptest::collection::vec(proptest::option::of("[a-zA-Z壶\\. _-]{1,5}"), 8),
            name in "\\PC{1,20}",
        ) {
            let mut mapping = Mapping {
                prompt: names[0].clone(),
                query: names[1].clone(),
                response: names[2].clone(),
                history: names[3].clone(),
                system: names[4].clone(),
                messages: names[5].clone(),
                chosen: names[6].clone(),
                rejected: names[7].clone(),
                ..Mapping::empty(format)
            };
            // What a format does not read says nothing.
            match format {
                DataFormat::Text => mapping = Mapping { prompt: mapping.prompt.or(Some("text".into())), ..Mapping::empty(format) },
                DataFormat::Alpaca => {
                    mapping.prompt.get_or_insert("instruction".into());
                    mapping.response.get_or_insert("output".into());
                }
                DataFormat::PromptResponse => {
                    mapping.prompt.get_or_insert("q".into());
                    mapping.response.get_or_insert("a".into());
                }
                DataFormat::Messages | DataFormat::Pairs => {}
            }
            if matches!(format, DataFormat::Alpaca | DataFormat::PromptResponse) {
                mapping.messages = None;
            }
            let source = Source::File { name: "f.json".into(), sha1: None };
            let name = label::cleaned(&name, label::MAX_NAME);
            let tags = BTreeMap::new();
            let entry = Registered { name, source, mapping, open: false, tags, findings: Vec::new() };
            let mut back = read(&write(std::slice::from_ref(&entry))).unwrap();
            back[0].findings.clear();
            proptest::prop_assert_eq!(back, [entry]);
        }
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
