//! Several files as one dataset (S-073), digests that are typed (S-070), and registers there and back (S-006).

use axum::http::Request;
use contract::dataset::FileKind;
use contract::reading::Named;
use contract::registry::Registered;
use contract::{DatasetId, Problem};
use http_body_util::BodyExt;
use server::error::Fault;
use server::services::sets;
use server::services::uploads::Incoming;
use tower::ServiceExt;

use super::*;

/// Asks as a program does.
async fn ask(state: &AppState, method: &str, path: &str, body: impl Into<Body>) -> (u16, Vec<u8>) {
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    let response = server::build(state).oneshot(request.body(body.into()).expect("a request")).await;
    let response = response.expect("an answer");
    let status = response.status().as_u16();
    (status, response.into_body().collect().await.expect("a body").to_bytes().to_vec())
}

async fn part(state: &AppState, name: &str, body: &[u8]) -> Result<(), Problem> {
    let path = format!("/api/v1/uploads?kind=part&upload=s1&name={}", encoded(name));
    let (status, answer) = ask(state, "POST", &path, body.to_vec()).await;
    if status == 200 { Ok(()) } else { Err(problem(&answer)) }
}

async fn set(state: &AppState, more: &str) -> Result<DatasetView, Problem> {
    let (status, answer) = ask(state, "POST", &format!("/api/v1/uploads?kind=set&upload=s1{more}"), "").await;
    if status == 200 {
        Ok(serde_json::from_slice(&answer).expect("a dataset"))
    } else {
        Err(problem(&answer))
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn problem(answer: &[u8]) -> Problem {
    let mut answer: serde_json::Value = serde_json::from_slice(answer).expect("JSON");
    serde_json::from_value(answer["problems"][0].take()).expect("a problem")
}

fn of_fault(fault: Fault) -> Problem {
    fault.into_problems().remove(0)
}

fn left(state: &AppState) -> usize {
    std::fs::read_dir(state.config.folder("uploads")).expect("lists").count()
}

const ONE: &[u8] = b"{\"prompt\":\"a\",\"response\":\"b\"}\n{\"prompt\":\"c\",\"response\":\"\"}\n";
const TWO: &[u8] = b"{\"prompt\":\"d\",\"response\":\"e\"}\n{\"prompt\":\"f\",\"response\":\"g\"}";

#[tokio::test]
async fn s_073_files_of_one_kind_become_one_dataset_whose_rows_name_their_file() {
    let place = tempfile::tempdir().expect("a folder");
    let state = studio(place.path()).await;
    part(&state, "tea/part-10.jsonl", TWO).await.expect("taken");
    part(&state, "tea/part-9.jsonl", ONE).await.expect("taken");
    part(&state, "tea/.DS_Store", b"x").await.expect("passed over");
    part(&state, "tea/part-9.jsonl", ONE).await.expect("the same again, for an answer was lost");
    let (_, there) = ask(&state, "POST", "/api/v1/uploads?kind=there&upload=s1", "").await;
    let there: serde_json::Value = serde_json::from_slice(&there).expect("JSON");
    assert_eq!(there["files"].as_array().map(Vec::len), Some(2));
    let view = set(&state, "").await.expect("one dataset");
    assert_eq!((view.name.as_str(), view.files, view.inspection.rows), ("part", 2, 4));
    assert_eq!((view.inspection.kind, view.inspection.usable), (FileKind::Jsonl, 3));
    assert_eq!(set(&state, "").await.expect("whoever lost the answer asks again").id, view.id);
    assert_eq!(left(&state), 0, "what was sent is not kept twice");
    let service = Datasets(state.clone());
    let from = |page: contract::dataset::RowsPage| -> Vec<_> {
        let from = page.rows.into_iter().map(|row| row.from.map(|from| (from.file, from.row)));
        from.collect()
    };
    let rows = from(service.rows(view.id.clone(), find("", false)).await.expect("read"));
    let wanted = |file: &str, row| Some((format!("tea/{file}"), row));
    assert_eq!(rows[1..3], [wanted("part-9.jsonl", 2), wanted("part-10.jsonl", 1)]);
    let files = service.files(view.id.clone()).await.expect("listed");
    assert_eq!(
        files.iter().map(|file| (file.rows, file.bytes)).collect::<Vec<_>>(),
        [(2, ONE.len() as u64), (2, TWO.len() as u64)]
    );
    let removed = service.edit(view.id.clone(), RowEdit { row: 1, cells: None }).await.expect("edited");
    let rows = from(service.rows(removed.id, find("", false)).await.expect("read"));
    assert_eq!(rows, [wanted("part-9.jsonl", 1), wanted("part-10.jsonl", 1), wanted("part-10.jsonl", 2)]);
    let found = service.rows(view.id.clone(), find("f", false)).await.expect("read");
    assert_eq!(from(found).last(), Some(&wanted("part-10.jsonl", 2)), "what is found is placed as well");
    service.delete(view.id).await.expect("deleted");
}

#[tokio::test]
async fn s_073_what_cannot_be_one_dataset_is_refused_by_names_and_leaves_nothing() {
    let place = tempfile::tempdir().expect("a folder");
    let state = studio(place.path()).await;
    for bad in ["../a.csv", "a/../../b.csv", "/etc/a.csv", "a\\b.csv", "", "a//b.csv"] {
        assert_eq!(part(&state, bad, ONE).await.expect_err(bad).code, Code::UploadBadName);
    }
    let zip = part(&state, "a.zip", b"PK").await.expect_err("an archive");
    assert_eq!(zip.code, Code::DatasetUnknownKind);
    assert_eq!(set(&state, "").await.expect_err("no files").code, Code::FormMissing);
    let (status, _) = ask(&state, "POST", "/api/v1/uploads?kind=part&upload=../x&name=a.csv", "x").await;
    assert_eq!((status, left(&state)), (422, 0));
    part(&state, "a.jsonl", ONE).await.expect("taken");
    let twice = part(&state, "a.jsonl", TWO).await.expect_err("another file of that name");
    assert_eq!(twice.code, Code::UploadNameTwice);
    part(&state, "b.csv", b"prompt,response\nx,y\n").await.expect("taken");
    let mixed = set(&state, "").await.expect_err("two kinds");
    assert_eq!((mixed.code, mixed.params["one"].as_str()), (Code::DatasetMixedKinds, "a.jsonl"));
    assert_eq!((mixed.params["other"].as_str(), left(&state)), ("b.csv", 0));
    part(&state, "a.jsonl", ONE).await.expect("taken");
    part(&state, "b.jsonl", b"{\"q\":\"x\",\"a\":\"y\"}\n").await.expect("taken");
    let other = set(&state, "").await.expect_err("other columns");
    assert_eq!(other.code, Code::DatasetOtherColumns);
    assert_eq!(other.place.and_then(|place| place.file).as_deref(), Some("b.jsonl"));
    part(&state, "a.jsonl", ONE).await.expect("taken");
    part(&state, "b.jsonl", b"{\"prompt\":\"x\",\"response\":\"\xff\"}\n").await.expect("taken");
    let broken = set(&state, "").await.expect_err("no text");
    assert_eq!(broken.place.and_then(|place| place.file).as_deref(), Some("b.jsonl"));
    let large = vec![b'x'; 700 << 10];
    part(&state, "a.txt", &large).await.expect("taken");
    part(&state, "b.txt", &[b'y'; 400 << 10]).await.expect("taken");
    assert_eq!(set(&state, "").await.expect_err("together above the limit").code, Code::UploadTooLarge);
    assert!(Datasets(state.clone()).all().await.expect("listed").is_empty());
    assert_eq!(left(&state), 0);
}

#[tokio::test]
async fn s_073_a_question_about_one_file_is_answered_without_sending_any_again() {
    let place = tempfile::tempdir().expect("a folder");
    let state = studio(place.path()).await;
    // Cyrillic in a single-byte encoding that two candidates read differently
    let file = b"prompt,response\n\xef\xf0\xe8,\xef\xf0\xe8\n";
    state.resumable.create("u1".to_owned(), file.len() as u64).expect("opened");
    state.resumable.append("u1", 0, Body::from(&file[..])).await.expect("written");
    sets::take(&state, "s1", "1.csv", Incoming::Upload("u1".to_owned())).await.expect("a resumable part");
    part(&state, "2.csv", "prompt,response\n壶,好\n".as_bytes()).await.expect("taken");
    let asked = set(&state, "&ask=true").await.expect_err("a question");
    assert_eq!(asked.code, Code::DatasetEncodingUnsure);
    assert_eq!(asked.place.as_ref().and_then(|place| place.file.as_deref()), Some("1.csv"));
    let view = set(&state, "&encoding=windows-1251&title=Both").await.expect("read");
    assert_eq!((view.name.as_str(), view.inspection.rows), ("Both", 2));
    assert_eq!(view.findings, [Finding::Converted { encoding: "windows-1251".to_owned() }]);
    let rows = Datasets(state.clone()).rows(view.id, find("", false)).await.expect("read").rows;
    assert_eq!((rows[0].cells[0].as_str(), rows[1].cells[0].as_str()), ("при", "壶"));
    assert_eq!(left(&state), 0);
}

#[tokio::test]
async fn s_073_a_set_of_one_file_is_that_file_and_texts_are_told_apart() {
    let place = tempfile::tempdir().expect("a folder");
    let state = studio(place.path()).await;
    part(&state, "tea/only.csv", b"prompt,response\na,b\n").await.expect("taken");
    let one = set(&state, "&title=%20").await.expect("one file");
    assert_eq!((one.file_name.as_str(), one.files, one.inspection.kind), ("only.csv", 1, FileKind::Csv));
    let texts = [("tea-b.txt", "three\n"), ("tea-a.txt", "one\ntwo")];
    let mut files = Vec::new();
    for (name, text) in texts {
        let path = place.path().join(name);
        std::fs::write(&path, text).expect("written");
        files.push(Named { path: path.to_string_lossy().into_owned(), name: name.to_owned() });
    }
    let view = sets::gather(&state, files, 13, Declared::default()).await.expect("texts");
    let row = server::services::datasets::find(&state, &view.id).await.expect("there");
    assert_eq!(server::services::datasets::texts(&row), [2, 1], "pre-training begins each anew");
    assert_eq!((view.inspection.kind, view.inspection.rows, view.name.as_str()), (FileKind::Txt, 3, "tea"));
}

#[tokio::test]
async fn s_073_ten_thousand_small_files_are_one_dataset_and_more_are_refused() {
    const FILES: u64 = 10_000;
    let place = tempfile::tempdir().expect("a folder");
    let state = studio(place.path()).await;
    let named = |number: u64| {
        let name = format!("row-{number}.jsonl");
        let path = place.path().join(&name);
        std::fs::write(&path, format!("{{\"prompt\":\"{number}?\",\"response\":\"{number}\"}}"))
            .expect("written");
        Named { path: path.to_string_lossy().into_owned(), name }
    };
    let mut files: Vec<Named> = (0..FILES).rev().map(named).collect();
    std::fs::write(&files[77].path, "").expect("emptied");
    let view = sets::gather(&state, files.clone(), 1, Declared::default()).await.expect("one dataset");
    assert_eq!((view.files, view.inspection.rows), (FILES - 1, FILES - 1));
    assert!(matches!(view.findings[..], [Finding::EmptyFiles { files: 1, .. }]), "{:?}", view.findings);
    let service = Datasets(state.clone());
    let query = RowsQuery { start: 9_000, ..find("", false) };
    let rows = service.rows(view.id.clone(), query).await.expect("read").rows;
    assert_eq!(rows[0].cells[0], "8999?", "in the order in which people count");
    assert!(service.files(view.id).await.expect("listed").len() < 1_000, "not all of many are told");
    let one_more = Named { name: "z.jsonl".to_owned(), ..files[0].clone() };
    files.push(one_more);
    let refused = of_fault(sets::gather(&state, files, 1, Declared::default()).await.expect_err("more"));
    assert_eq!(refused.code, Code::DatasetTooManyFiles);
}

#[tokio::test]
async fn s_070_a_typed_digest_is_compared_and_only_ever_marks() {
    let place = tempfile::tempdir().expect("a folder");
    let state = studio(place.path()).await;
    let service = Datasets(state.clone());
    let (sha1, sha256) = {
        let view = uploaded(&state, Declared::default()).await;
        let files = service.files(view.id).await.expect("listed");
        (files[0].sha1.clone(), files[0].sha256.clone())
    };
    let upload = |digest: String| {
        let state = state.clone();
        async move { ask(&state, "POST", &format!("/api/v1/uploads?name=tea.jsonl&digest={digest}"), ROWS).await }
    };
    for (digest, marks) in [
        (sha1.to_uppercase(), Finding::Sha1Matches { sha1: sha1.clone() }),
        (sha256.clone(), Finding::Sha256Matches { sha256: sha256.clone() }),
        ("0".repeat(64), Finding::Sha256Differs { wanted: "0".repeat(64), found: sha256.clone() }),
    ] {
        let (status, body) = upload(digest).await;
        let view: DatasetView = serde_json::from_slice(&body).expect("a dataset");
        assert_eq!((status, view.findings), (200, vec![marks]));
    }
    let (status, body) = upload(format!("{}g", "0".repeat(39))).await;
    let refused = problem(&body);
    assert_eq!((status, refused.code, refused.form_key()), (422, Code::DatasetBadDigest, Some("digest")));
    assert_eq!(refused.place.and_then(|place| place.byte), Some(39));
    let id = uploaded(&state, Declared::default()).await.id;
    let compare = |id: DatasetId, digest: String| {
        let service = Datasets(state.clone());
        async move { service.compare(id, digest).await.map(|view| view.findings) }
    };
    let differs = Finding::Sha1Differs { wanted: "1".repeat(40), found: sha1.clone() };
    assert_eq!(compare(id.clone(), "1".repeat(40)).await.expect("compared"), [differs]);
    let matches = Finding::Sha1Matches { sha1 };
    assert_eq!(compare(id.clone(), format!(" {} ", sha256)).await.expect("compared").len(), 1);
    let back = compare(id.clone(), service.files(id.clone()).await.expect("listed")[0].sha1.clone()).await;
    assert_eq!(back.expect("compared"), [matches], "the last one counts");
    let kept = service.get(id.clone()).await.expect("there").findings;
    assert_eq!(kept.len(), 1, "and is kept: {kept:?}");
    let bad = compare(id.clone(), "x".to_owned()).await.expect_err("no digest");
    assert_eq!(bad.0[0].code, Code::DatasetBadDigest);
    let edited = service.edit(id, set_cell()).await.expect("edited");
    let found = compare(edited.id, edited.sha256.clone()).await.expect("compared");
    assert_eq!(found, [Finding::Sha256Matches { sha256: edited.sha256 }], "a version is its own file");
    part(&state, "1.jsonl", ONE).await.expect("taken");
    part(&state, "2.jsonl", TWO).await.expect("taken");
    let several = super::several::set(&state, &format!("&digest={sha256}")).await.expect("one dataset");
    assert_eq!(several.findings, [Finding::Sha1Unchecked { files: 2 }]);
    assert_eq!(compare(several.id, sha256).await.expect("compared"), [Finding::Sha1Unchecked { files: 2 }]);
}

fn set_cell() -> RowEdit {
    super::set(2, "response", "Here.")
}

/// Takes an entry in with the file it names, as the page does.
async fn taken_in(state: &AppState, entry: &Registered, file: Vec<u8>) -> DatasetView {
    let contract::registry::Source::File { name, sha1 } = &entry.source else { panic!("no file") };
    let mapping = serde_json::to_string(&entry.mapping).expect("JSON");
    let mapping = match entry.mapping.names_nothing() {
        true => String::new(),
        false => format!("&mapping={}", encoded(&mapping)),
    };
    let (title, name) = (encoded(&entry.name), encoded(name));
    let sha1 = sha1.as_deref().unwrap_or_default();
    let path =
        format!("/api/v1/uploads?name={name}&title={title}&digest={sha1}&open={}{mapping}", entry.open);
    let (status, body) = ask(state, "POST", &path, file).await;
    assert_eq!(status, 200, "{}: {}", entry.name, String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).expect("a dataset")
}

#[tokio::test]
async fn s_006_an_entry_without_ranking_or_with_a_prompt_alone_is_taken_in_as_its_file_shows() {
    let place = tempfile::tempdir().expect("a folder");
    let state = studio(place.path()).await;
    let cases = [
        (r#""columns": {"prompt": "text"}"#, "c.txt", "one\ntwo\n", DataFormat::Text, 2),
        (r#""columns": {"prompt": "body"}"#, "c.jsonl", "{\"body\":\"one\",\"id\":1}\n", DataFormat::Text, 1),
        (
            r#""columns": {"prompt": "q", "chosen": "good", "rejected": "bad"}"#,
            "p.jsonl",
            "{\"q\":\"Q\",\"good\":\"a\",\"bad\":\"b\"}\n",
            DataFormat::Pairs,
            1,
        ),
        (
            r#""columns": {"prompt": "q", "response": "answers"}"#,
            "l.json",
            "[{\"q\":\"Q\",\"answers\":[\"a\",\"b\"]},{\"q\":\"R\",\"answers\":[\"c\",\"d\"]}]",
            DataFormat::Pairs,
            2,
        ),
        (
            r#""columns": {"prompt": "q", "response": "a"}"#,
            "s.json",
            "[{\"q\":\"Q\",\"a\":\"A\"}]",
            DataFormat::PromptResponse,
            1,
        ),
        (
            r#""file_sha1": """#,
            "d.json",
            "[{\"instruction\":\"Q\",\"output\":[\"a\",\"b\"]}]",
            DataFormat::Pairs,
            1,
        ),
        (
            r#""ranking": true"#,
            "r.json",
            "[{\"prompt\":\"Q\",\"chosen\":\"a\",\"rejected\":\"b\"}]",
            DataFormat::Pairs,
            1,
        ),
    ];
    for (says, file, text, format, usable) in cases {
        let register = format!("{{\"d\": {{\"file_name\": \"{file}\", {says}}}}}");
        let entry = registry::read(&state, register.as_bytes()).await.expect("read").remove(0);
        if entry.mapping.format == DataFormat::Pairs && says.contains("ranking") {
            // The default columns are none of this file's: what is said is held against it.
            continue;
        }
        let view = taken_in(&state, &entry, text.into()).await;
        assert_eq!(
            (view.inspection.mapping.format, view.inspection.usable),
            (format, usable),
            "{says} {file}"
        );
    }
}

/// A dataset of every kind: file, what is in it, and the mapping it is read by (`None`: the suggested one).
fn every_kind() -> Vec<(&'static str, String, Option<Mapping>)> {
    let talk = |who: &str, says: &str| {
        format!(
            "{{\"t\":[{{\"{who}\":\"user\",\"{says}\":\"Q\"}},{{\"{who}\":\"assistant\",\"{says}\":\"A\"}}],\"s\":\"Be kind.\",\"tools\":[]}}\n"
        )
    };
    let chat = Mapping {
        messages: Some("t".into()),
        system: Some("s".into()),
        ..Mapping::empty(DataFormat::Messages)
    };
    vec![
        ("alpaca.json", "[{\"instruction\":\"q\",\"input\":\"i\",\"output\":\"a\"}]".into(), None),
        (
            "history.jsonl",
            "{\"q\":\"q\",\"a\":\"a\",\"h\":[[\"x\",\"y\"]],\"s\":\"Be brief.\"}\n".into(),
            Some(Mapping {
                prompt: Some("q".into()),
                response: Some("a".into()),
                history: Some("h".into()),
                system: Some("s".into()),
                ..Mapping::empty(DataFormat::PromptResponse)
            }),
        ),
        ("story.txt", "one\n\ntwo\n".into(), None),
        ("texts.jsonl", "{\"text\":\"one\"}\n".into(), None),
        ("pairs.csv", "prompt,chosen,rejected\nq,a,b\n".into(), None),
        ("lists.jsonl", "{\"prompt\":\"q\",\"response\":[\"a\",\"b\"]}\n".into(), None),
        (
            "answers.jsonl",
            "{\"question\":\"q\",\"answers\":[\"a\",\"b\"]}\n".into(),
            Some(Mapping {
                prompt: Some("question".into()),
                response: Some("answers".into()),
                ..Mapping::empty(DataFormat::PromptResponse)
            }),
        ),
        ("chat.jsonl", talk("role", "content"), Some(chat.clone())),
        ("sharegpt.jsonl", talk("from", "value"), Some(chat)),
        ("unknown.jsonl", "{\"one\":\"x\",\"two\":\"y\"}\n".into(), None),
        ("a:b {x}\"'.jsonl", "{\"prompt\":\"壶\",\"response\":\"a\"}\n".into(), None),
        (".hidden.jsonl", "{\"prompt\":\"p\",\"response\":\"a\"}\n".into(), None),
        ("alpaca.json", "[{\"instruction\":\"other\",\"output\":\"a\"}]".into(), None),
    ]
}

#[tokio::test]
async fn s_006_what_was_exported_can_be_taken_in_again_unchanged() {
    let place = tempfile::tempdir().expect("a folder");
    let state = studio(place.path()).await;
    for (file, text, mapping) in every_kind() {
        let view = uploads::dataset(&state, file, Declared::default(), Body::from(text)).await.expect(file);
        if let Some(mapping) = mapping {
            Datasets(state.clone()).remap(view.id, mapping).await.expect(file);
        }
    }
    part(&state, "1.csv", b"prompt,response\na,b\n").await.expect("taken");
    part(&state, "2.csv", b"prompt,response\nc,d\n").await.expect("taken");
    set(&state, "&title=%E5%A3%B6%20%22x%22").await.expect("several");
    let all = contract::listed::readable(Datasets(state.clone()).all().await.expect("listed"));
    let (status, register) = ask(&state, "GET", "/api/v1/dataset_info.json", "").await;
    assert_eq!(status, 200);
    let text = String::from_utf8(register.clone()).expect("UTF-8");
    assert!(text.contains("role_tag"), "other toolkits are told what messages look like: {text}");
    let entries = registry::read(&state, &register).await.expect("read again");
    assert_eq!(entries.len(), all.len());
    let names: std::collections::BTreeSet<_> =
        entries.iter().map(|entry| format!("{:?}", entry.source)).collect();
    assert_eq!(names.len(), entries.len(), "every file has a name of its own");
    let second = studio(&place.path().join("second")).await;
    for (entry, before) in entries.iter().zip(&all) {
        let (_, file) = ask(&state, "GET", &format!("/api/v1/datasets/{}/file", before.id), "").await;
        let after = taken_in(&second, entry, file).await;
        let what = &before.file_name;
        assert_eq!(after.inspection.mapping, before.inspection.mapping, "{what}");
        assert_eq!((after.sha256.as_str(), after.bytes), (before.sha256.as_str(), before.bytes), "{what}");
        let counted = |view: &DatasetView| (view.inspection.rows, view.inspection.usable);
        assert_eq!(counted(&after), counted(before), "{what}");
        assert!(matches!(after.findings[..], [Finding::Sha1Matches { .. }]), "{what}: {:?}", after.findings);
        assert!(after.name.starts_with(&before.name), "{what}: {} {}", after.name, before.name);
    }
    let (_, twice) = ask(&second, "GET", "/api/v1/dataset_info.json", "").await;
    let again = registry::read(&second, &twice).await.expect("read again");
    assert_eq!(again.len(), entries.len());
}
