//! Promises that hold for every call alike: other sites do nothing here, a file is what it says, a panic is one answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use leptos::server_fn::axum::server_fn_paths;
use server::clock::{Clock, SystemClock, SystemIds};

use super::*;

/// Every call that may change something: method and path.
fn mutations() -> Vec<(String, String)> {
    let functions = server_fn_paths().map(|(path, method)| (method.to_string(), path.to_owned()));
    let rest = [
        ("POST", "/api/v1/uploads?name=x.jsonl"),
        ("POST", "/api/v1/datasets?name=x.jsonl"),
        ("POST", "/api/v1/samples/kettle-and-co"),
        ("POST", "/api/v1/registry"),
        ("POST", "/api/v1/specifications"),
        ("POST", "/api/v1/runs"),
        ("POST", "/api/v1/resumable"),
        ("PATCH", "/api/v1/resumable/x"),
        ("DELETE", "/api/v1/resumable/x"),
    ];
    functions.chain(rest.map(|(method, path)| (method.to_owned(), path.to_owned()))).collect()
}

#[tokio::test]
async fn s4_no_other_site_changes_anything() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path(), Limits::default())).await.expect("opens");
    // makes the list of server functions complete
    drop(server::build(&state));
    let all = mutations();
    assert!(all.len() > 35, "{all:?}");
    let json = ("content-type", "application/json");
    for (method, path) in all {
        for from in [
            vec![json, ("origin", "http://evil.example")],
            vec![json, ("origin", "null")],
            vec![json, ("sec-fetch-site", "cross-site")],
            vec![json, ("sec-fetch-site", "same-site")],
            vec![json, ("origin", "http://localhost.evil.example"), ("sec-fetch-site", "none")],
        ] {
            let (status, text) = ask(&state, &method, &path, &from, "{}").await;
            assert!(status == 403 && text.contains("origin.foreign"), "{method} {path} {from:?}: {status}");
        }
        if method != "POST" || path.starts_with("/api/v1/") {
            continue;
        }
        let form = ("content-type", "application/x-www-form-urlencoded");
        let (status, _) = ask(&state, "POST", &path, &[form], "id=1&draft=1&new=1").await;
        assert!((400..500).contains(&status), "a form to {path}: {status}");
        let (status, _) = ask(&state, "GET", &path, &[], "").await;
        assert!((400..500).contains(&status), "GET {path}: {status}");
    }
}

#[tokio::test]
async fn s9_s10_a_file_is_taken_for_nothing_but_what_it_is() {
    let place = tempfile::tempdir().expect("a folder");
    let config = Config { max_upload: 1 << 20, ..config(place.path(), Limits::default()) };
    let state = AppState::open(config).await.expect("opens");
    let zip = "PK\u{3}\u{4}\u{14}\0\0\0\u{8}\0data.pkl";
    for (name, bytes) in [
        ("x.jsonl", "PAR1\u{15}\0PAR1"),
        ("x.csv", "PAR1\u{15}\0PAR1"),
        ("x.json", zip),
        ("x.txt", zip),
        ("x.jsonl", "\u{1f}\u{8b}\u{8}\0"),
        ("x.json", "%PDF-1.7\n"),
        ("x.parquet", "{\"prompt\":\"a\",\"response\":\"b\"}\n"),
        ("x.parquet", "<html><script>1</script></html>"),
        ("x.xlsx", zip),
        ("x.xlsx", "<table><tr><td>prompt</td></tr></table>"),
        ("x.json", "<html><script>1</script></html>"),
        ("x.jsonl", "<svg onload=alert(1)>\n"),
    ] {
        let (status, text) = ask(&state, "POST", &format!("/api/v1/uploads?name={name}"), &[], bytes).await;
        assert_eq!(status, 422, "{name} {bytes:?}: {text}");
    }
    for ending in ["bin", "pt", "pth", "ckpt", "pkl", "pickle", "npy", "npz", "joblib", "dill"] {
        for name in [format!("m.{ending}"), format!("M.{}", ending.to_uppercase())] {
            let path = format!("/api/v1/uploads?kind=model&upload=u1&name={name}");
            let (status, text) = ask(&state, "POST", &path, &[], "x").await;
            assert!(status == 422 && text.contains("upload.pickle"), "{name}: {text}");
        }
    }
    for ending in ["py", "sh", "so", "dll", "exe", "js", "ipynb", "pyc"] {
        let path = format!("/api/v1/uploads?kind=model&upload=u1&name=m.{ending}");
        let (status, text) = ask(&state, "POST", &path, &[], "x").await;
        assert!(status == 422 && text.contains("upload.program"), "S-11 {ending}: {text}");
    }
    assert!(state.store.datasets().await.expect("reads").is_empty());
    for kind in ["uploads", "datasets", "resumable"] {
        assert_eq!(std::fs::read_dir(state.config.folder(kind)).expect("lists").count(), 0, "{kind}");
    }
}

/// Panics once it is armed, one time.
struct Faulty(AtomicBool);

impl Clock for Faulty {
    fn now_ms(&self) -> i64 {
        assert!(!self.0.swap(false, Ordering::SeqCst), "injected words");
        SystemClock.now_ms()
    }
}

#[tokio::test]
async fn r30_a_panic_is_one_answer_with_a_number_and_the_next_call_works() {
    let place = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(Faulty(AtomicBool::new(false)));
    let config = config(place.path(), Limits::default());
    let state = AppState::with(config, clock.clone(), Arc::new(SystemIds)).await.expect("opens");
    let (path, row) = ("/api/v1/uploads?name=x.jsonl", "{\"prompt\":\"a\",\"response\":\"b\"}");
    for _ in 0..3 {
        clock.0.store(true, Ordering::SeqCst);
        let (status, text) = ask(&state, "POST", path, &[], row).await;
        assert!(status == 500 && text.contains("(fault "), "{status} {text}");
        assert!(!text.contains("injected") && !text.contains(".rs"), "{text}");
        let (status, text) = ask(&state, "POST", path, &[], row).await;
        assert_eq!(status, 200, "{text}");
        assert_eq!(ask(&state, "GET", "/healthz", &[], "").await.0, 200);
    }
    assert_eq!(
        std::fs::read_dir(state.config.folder("uploads")).expect("lists").count(),
        0,
        "nothing is left"
    );
}
