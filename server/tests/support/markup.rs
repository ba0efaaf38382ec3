//! Text of people in pages and in what is handed out: it is never markup, and never a page of this server.

use axum::http::{HeaderMap, Request};

use super::*;

const ROW: &str = "{\"prompt\":\"a\",\"response\":\"b\"}";

/// Headers and body of what a path is answered with.
async fn get(state: &AppState, path: &str) -> (HeaderMap, String) {
    let request = Request::builder().uri(path).header("host", "localhost");
    let request = request.body(axum::body::Body::empty()).expect("a request");
    let answer = server::build(state).oneshot(request).await.expect("an answer");
    let (head, body) = answer.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    (head.headers, String::from_utf8_lossy(&bytes).into_owned())
}

fn says<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().expect("text"))
}

/// Takes a row in as a dataset; gives its id.
async fn dataset(state: &AppState, name: &str, title: &str) -> String {
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let at = format!("/api/v1/uploads?name={}&title={}", encode(name), encode(title));
    let (status, text) = ask(state, "POST", &at, &[], ROW).await;
    assert_eq!(status, 200, "{text}");
    let view: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    view["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_name_never_becomes_markup_not_even_in_the_title() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    let name = "</title><meta http-equiv=refresh content=\"0;url=https://example.com\"><style>&lt;";
    let id = dataset(&state, "x.jsonl", name).await;
    for path in [format!("/datasets/{id}"), format!("/datasets/{id}/health"), "/datasets".to_owned()] {
        let (_, page) = get(&state, &path).await;
        let found = ["<meta http-equiv", "<style", "</title><m"].map(|text| page.find(text));
        let around = found.iter().flatten().next().and_then(|at| page.get(at.saturating_sub(80)..at + 80));
        assert_eq!(around, None, "{path}");
    }
    let (_, page) = get(&state, &format!("/datasets/{id}")).await;
    let title = page.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next());
    let title = title.expect("a title");
    assert!(title.starts_with("&lt;/title>&lt;meta ") && title.contains("&lt;style>&amp;lt;"), "{title}");
}

#[tokio::test]
async fn every_answer_is_closed_to_other_sites_and_a_page_to_inline_style() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    for path in ["/", "/no-such-page", "/favicon.svg", "/api/v1/datasets", "/api/v1/nothing", "/healthz"] {
        let (headers, _) = get(&state, path).await;
        assert_eq!(says(&headers, "cross-origin-resource-policy"), "same-origin", "{path}");
        assert_eq!(says(&headers, "cross-origin-opener-policy"), "same-origin", "{path}");
        assert_eq!(says(&headers, "x-content-type-options"), "nosniff", "{path}");
        assert_eq!(says(&headers, "referrer-policy"), "same-origin", "{path}");
        let features = says(&headers, "permissions-policy");
        assert!(
            features.split(", ").all(|one| one.ends_with("=()")) && features.contains("camera=()"),
            "{path}"
        );
        let policy = says(&headers, "content-security-policy");
        assert!(
            policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe-inline"),
            "{path}: {policy}"
        );
        assert_eq!(
            policy.starts_with("sandbox;"),
            !matches!(path, "/" | "/no-such-page"),
            "{path}: {policy}"
        );
    }
}

#[tokio::test]
async fn what_people_supplied_is_a_file_to_keep_and_never_a_page() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    dataset(&state, "x.jsonl", "<script>").await;
    let id = contract::ModelId("m1".to_owned());
    state.store.add_model(&id, "m", false, 1).await.expect("added");
    let facts = r#"{"architecture":"llama","parameters":1,"vocab_size":1,"layers":1,"hidden_size":1,"intermediate_size":1,
        "context_length":1,"digest":"d","has_chat_template":false,"source":"folder"}"#;
    let facts = serde_json::from_str(facts).expect("facts");
    state.store.end_import(&id, Ok(&facts)).await.expect("ended");
    let folder = state.model_folder(&id);
    std::fs::create_dir_all(&folder).expect("made");
    for name in ["model.safetensors", "tokenizer.json", "chat_template.jinja"] {
        std::fs::write(folder.join(name), "<script>alert(1)</script>").expect("written");
    }
    let of = |name: &str| format!("/api/v1/weights/file?model=m1&name={name}");
    for (path, name) in [
        ("/api/v1/dataset_info.json".to_owned(), "dataset_info.json"),
        (of("model.safetensors"), "model.safetensors"),
        (of("tokenizer.json"), "tokenizer.json"),
        (of("chat_template.jinja"), "chat_template.jinja"),
    ] {
        let (headers, text) = get(&state, &path).await;
        assert!(text.contains("<script>"), "{path}: {text}");
        assert_eq!(says(&headers, "content-disposition"), format!("attachment; filename=\"{name}\""));
        assert_eq!(says(&headers, "x-content-type-options"), "nosniff", "{path}");
        let policy = says(&headers, "content-security-policy");
        assert!(policy.starts_with("sandbox; default-src 'none'"), "{path}: {policy}");
        assert!(!says(&headers, "content-type").starts_with("text/html"), "{path}");
    }
    let path = "/api/v1/weights/file?model=m1&name=config.json";
    assert_eq!(ask(&state, "GET", path, &[], "").await.0, 404, "what is not there is nobody's file");
}

#[tokio::test]
async fn ids_that_would_leave_their_folder_are_not_even_looked_for() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    let json = [("content-type", "application/json")];
    for bad in ["../../../../etc", "..", "a/b", ""] {
        for (name, key) in
            [("get_run", "id"), ("get_dataset", "id"), ("get_tour", "run"), ("delete_model", "id")]
        {
            let body = serde_json::json!({ key: bad }).to_string();
            let (status, text) = ask(&state, "POST", &format!("/api/{name}"), &json, &body).await;
            assert!(status == 422 && text.contains("wire.unreadable"), "{name} {bad}: {status} {text}");
        }
    }
    assert_eq!(ask(&state, "GET", "/api/v1/weights?model=..%2F..%2Fetc", &[], "").await.0, 400);
}

#[tokio::test]
async fn a_typed_name_holds_no_character_that_nobody_sees() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    let id = dataset(&state, "a\u{202e}b\0.jsonl", "Tea\u{202e} \u{7}pot").await;
    let found = call(&state, "get_dataset", &format!(r#"{{"id":"{id}"}}"#)).await;
    assert_eq!((&found["name"], &found["file_name"]), (&"Tea pot".into(), &"ab.jsonl".into()));
    let json = [("content-type", "application/json")];
    for bad in ["a\u{202e}b", "a\0b", "a\u{7}b", "\u{2066}a", "a\u{200f}"] {
        let draft = serde_json::json!({ "name": bad, "dataset": id, "model": "m1", "stage": "sft", "template": "default",
            "system": "", "tuning": "lora", "values": {}, "reward_model": "" });
        let template = serde_json::json!({ "name": bad, "prompt": "{query}" });
        for (name, body) in [
            ("rename_dataset", serde_json::json!({ "id": id, "name": bad })),
            ("launch_run", serde_json::json!({ "draft": draft })),
            ("save_template", serde_json::json!({ "template": template })),
            (
                "create_model",
                serde_json::json!({ "new": { "from": "scratch", "name": bad, "size": "1m", "dataset": id } }),
            ),
        ] {
            let (status, text) = ask(&state, "POST", &format!("/api/{name}"), &json, &body.to_string()).await;
            assert!(status == 422 && text.contains("form.unseen"), "{name} {bad:?}: {status} {text}");
        }
    }
}

#[tokio::test]
async fn a_refusal_is_short_however_long_the_request_was() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    let id = dataset(&state, "x.jsonl", "x").await;
    let json = [("content-type", "application/json")];
    let long = "long/".repeat(100_000);
    let mapping = serde_json::json!({ "format": "prompt_response", "prompt": long, "response": long });
    for (name, body) in [
        ("create_model", serde_json::json!({ "new": { "from": "path", "name": "x", "path": long } })),
        ("remap_dataset", serde_json::json!({ "id": id, "mapping": mapping })),
        ("create_model", serde_json::json!({ "new": { "from": long } })),
        ("launch_run", serde_json::json!({ "draft": { "template": long, "adapters": long, "stage": long } })),
    ] {
        let (status, text) = ask(&state, "POST", &format!("/api/{name}"), &json, &body.to_string()).await;
        assert!(status == 422 && text.len() < 12_000, "{name}: {status}, {} bytes", text.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_problem_tells_where_the_server_keeps_its_data() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    state.start().await.expect("starts");
    let run = tour(&state).await;
    reaches(&state, &run, "running").await;
    call(&state, "stop_run", &format!(r#"{{"id":"{run}"}}"#)).await;
    reaches(&state, &run, "stopped").await;
    let id = contract::RunId(run.clone());
    // A file where the folder of attempts should be.
    let attempts = state.run_folder(&id).join("attempts");
    std::fs::remove_dir_all(&attempts).expect("removed");
    std::fs::write(&attempts, "").expect("damaged");
    let dataset = dataset(&state, "x.jsonl", "x").await;
    let row =
        state.store.dataset(&contract::DatasetId(dataset.clone())).await.expect("reads").expect("there");
    std::fs::remove_file(state.config.data_dir.join(&row.file)).expect("removed");

    call(&state, "resume_run", &format!(r#"{{"id":"{run}"}}"#)).await;
    let mut told = vec![reaches(&state, &run, "failed").await["problem"].to_string()];
    assert!(told[0].contains("disk.io") || told[0].contains("server.fault"), "{told:?}");
    let model = call(&state, "list_models", "{}").await[0]["id"].clone();
    let draft = serde_json::json!({ "name": "x", "dataset": dataset, "model": model, "stage": "sft", "template": "default",
        "system": "", "tuning": "full", "values": {}, "reward_model": "" });
    let json = [("content-type", "application/json")];
    for (name, body) in [
        (
            "dataset_rows",
            serde_json::json!({ "id": dataset, "query": { "start": 1, "count": 1, "text": "", "left_out": false } }),
        ),
        ("dataset_row", serde_json::json!({ "id": dataset, "row": 1 })),
        ("launch_run", serde_json::json!({ "draft": draft })),
        ("list_voices", serde_json::json!({})),
    ] {
        let (status, text) = ask(&state, "POST", &format!("/api/{name}"), &json, &body.to_string()).await;
        assert!(status != 200 || name == "list_voices", "{name}: {text}");
        told.push(text);
    }
    let (_, text) = ask(&state, "GET", "/api/v1/dataset_info.json", &[], "").await;
    told.push(text);
    let folder = place.path().to_string_lossy().into_owned();
    for text in told {
        assert!(!text.contains(&folder), "{text}");
    }
    state.stop().await;
}

#[tokio::test]
async fn a_page_holds_no_nul_character_whatever_its_rows_hold() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    let row = r#"{"prompt":"\u0000","response":"a\u0000b"}"#;
    let (status, text) = ask(&state, "POST", "/api/v1/uploads?name=x.jsonl", &[], row).await;
    assert_eq!(status, 200, "{text}");
    let view: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let (_, page) = get(&state, &format!("/datasets/{}", view["id"].as_str().expect("an id"))).await;
    assert!(!page.contains('\0') && page.contains("\u{fffd}</td>") && page.contains("a\u{fffd}b"), "{page}");
}

/// Names that would be paths, devices or something else than they look like: sixty.
fn odd_names() -> Vec<String> {
    let plain = [
        "..",
        "../",
        "../../../../etc/passwd",
        "..\\..\\windows\\win.ini",
        "/etc/passwd",
        "/",
        "//",
        "\\",
        "./",
        "~",
        "~root",
        "a/b",
        "a\\b",
        "a/../b",
        "a/./b",
        "....//....//etc",
        "..;/etc",
        "..%2f..%2fetc",
        "%2e%2e%2f",
        "%252e%252e%252f",
        "..%c0%af",
        "..%5c",
        "%00",
        "a\0b",
        "\0",
        "C:\\x",
        "C:x",
        "\\\\server\\share",
        "\\\\?\\C:\\x",
        "file:///etc/passwd",
        "CON",
        "con.txt",
        "NUL",
        "AUX",
        "PRN",
        "COM1",
        "LPT1.txt",
        "CONIN$",
        "aux.",
        "x::$DATA",
        "trailing.",
        "trailing ",
        " leading",
        ".hidden",
        ".git",
        "-rf",
        "--help",
        "$(id)",
        "`id`",
        ";id",
        "\u{202e}gpj.exe",
        "\u{2066}a\u{2069}",
        "\u{200b}",
        "\u{feff}a",
        "‥/‥",
        "．．／",
        "a\r\nb",
        "\u{1b}[31m",
    ];
    let long = ["x".repeat(300), "字/".repeat(300)];
    plain.into_iter().map(str::to_owned).chain(long).collect()
}

/// Every file and folder below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .flat_map(|path| if path.is_dir() { [vec![path.clone()], below(&path)].concat() } else { vec![path] })
        .collect()
}

#[tokio::test]
async fn s6_no_name_becomes_a_path_and_every_label_can_be_seen() {
    let names = odd_names();
    assert_eq!(names.len(), 60);
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    let json = [("content-type", "application/json")];
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let first = dataset(&state, "x.jsonl", "x").await;
    for name in &names {
        for (file, title) in [
            (format!("{name}.jsonl"), String::new()),
            (name.clone(), name.clone()),
            ("x.jsonl".to_owned(), name.clone()),
        ] {
            let at = format!("/api/v1/uploads?name={}&title={}", encode(&file), encode(&title));
            let status = ask(&state, "POST", &at, &[], ROW).await.0;
            assert!(matches!(status, 200 | 422), "{name:?}: {status}");
        }
        let at = format!("/api/v1/uploads?kind=model&upload=u1&name={}", encode(name));
        let kept = ask(&state, "POST", &at, &[], "x").await.0 == 200;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        assert!(!kept || name.chars().all(plain), "{name:?}");
        let at = format!("/api/v1/uploads?kind=model&upload={}&name=config.json", encode(name));
        let status = ask(&state, "POST", &at, &[], "x").await.0;
        let is_id = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') && name.len() <= 64;
        assert_eq!(status, if is_id { 200 } else { 422 }, "{name:?}");
        let draft = serde_json::json!({ "name": name, "dataset": first, "model": "m1", "stage": "sft", "template": "default",
            "system": "", "tuning": "lora", "values": {}, "reward_model": "" });
        for (act, body) in [
            ("rename_dataset", serde_json::json!({ "id": first, "name": name })),
            ("save_template", serde_json::json!({ "template": { "name": name, "prompt": "{query}" } })),
            (
                "create_model",
                serde_json::json!({ "new": { "from": "scratch", "name": name, "size": "1m", "dataset": "gone" } }),
            ),
            ("create_model", serde_json::json!({ "new": { "from": "upload", "name": "x", "upload": name } })),
            ("launch_run", serde_json::json!({ "draft": draft })),
            ("get_dataset", serde_json::json!({ "id": name })),
            ("hub_repo", serde_json::json!({ "kind": "model", "repo": name, "revision": name })),
        ] {
            let (status, text) = ask(&state, "POST", &format!("/api/{act}"), &json, &body.to_string()).await;
            assert!(matches!(status, 200 | 404 | 409 | 422), "{act} {name:?}: {status} {text}");
        }
        let found = call(&state, "get_dataset", &serde_json::json!({ "id": first }).to_string()).await;
        let kept = found["name"].as_str().expect("a name");
        assert_eq!(contract::label::required(kept).expect("a label"), kept);
    }
    let rows = state.store.datasets().await.expect("reads");
    assert!(rows.len() > names.len());
    for row in rows {
        let stored = format!("datasets/{}/data.{}", row.view.id, row.view.inspection.kind.extension());
        assert_eq!(row.file, stored, "{:?}", row.view.file_name);
        for name in [&row.view.name, &row.view.file_name] {
            assert_eq!(contract::label::cleaned(name, 200), *name);
        }
        assert!(!row.view.file_name.contains(['/', '\\']), "{:?}", row.view.file_name);
    }
    let outside: Vec<_> = below(place.path())
        .into_iter()
        .filter(|path| !path.starts_with(&state.config.data_dir) && *path != state.config.worker)
        .collect();
    assert!(outside.is_empty(), "{outside:?}");
    let odd: Vec<_> = below(&state.config.data_dir)
        .into_iter()
        .filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
        .filter(|name| !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')))
        .collect();
    assert!(odd.is_empty(), "{odd:?}");
}
