//! Bodies that stand still, and refusals that come before a body was read.

use super::*;

fn head(path: &str, more: &str, bytes: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{more}content-length: {bytes}\r\n\r\n"
    )
}

#[tokio::test]
async fn f17_an_upload_without_progress_ends_in_408() {
    assert!(Limits::default().stalled <= Duration::from_secs(60));
    let place = tempfile::tempdir().expect("a folder");
    let limits = Limits { stalled: Duration::from_millis(300), ..Limits::default() };
    let (state, address) = listening(place.path(), limits).await;
    for path in [
        "/api/v1/uploads?name=x.jsonl",
        "/api/v1/datasets?name=x.jsonl",
        "/api/v1/uploads?kind=model&upload=u1&name=a.gguf",
    ] {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        stream.write_all(format!("{}{{\"a\"", head(path, "", 1000)).as_bytes()).await.expect("sent");
        let mut answer = String::new();
        while !answer.contains("upload.stalled") {
            let mut part = [0; 4096];
            let count =
                tokio::time::timeout(LONG, stream.read(&mut part)).await.expect("in time").expect("read");
            assert!(count > 0, "{answer}");
            answer.push_str(&String::from_utf8_lossy(&part[..count]));
        }
        assert!(answer.starts_with("HTTP/1.1 408"), "{path}: {answer}");
        let left = std::fs::read_dir(state.config.folder("uploads")).expect("lists").count();
        assert_eq!(left, 0, "{path}");
    }
}

#[tokio::test]
async fn n17_a_refusal_reaches_a_client_that_is_still_sending() {
    let place = tempfile::tempdir().expect("a folder");
    let (_, address) = listening(place.path(), Limits::default()).await;
    let body = vec![b'x'; 24 << 20];
    let json = "content-type: application/json\r\n";
    for (path, more, status, code) in [
        ("/api/v1/uploads?name=notes.docx", "", "422", "dataset.unknown_kind"),
        ("/api/v1/uploads?name=x.jsonl", "", "413", "upload.too_large"),
        ("/api/v1/uploads?name=x.jsonl", "origin: http://evil.example\r\n", "403", "origin.foreign"),
        ("/api/v1/nothing", "", "404", "not_found"),
        ("/api/v1/registry", "", "413", ""),
        ("/api/get_run", json, "4", ""),
    ] {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        stream.write_all(head(path, more, body.len()).as_bytes()).await.expect("sent");
        // a client that reads only when it has sent all
        stream.write_all(&body).await.expect(path);
        let answer = rest(&mut stream).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(code),
            "{path}: {answer}"
        );
    }
}

#[tokio::test]
async fn s20_uploads_of_one_address_are_counted() {
    let place = tempfile::tempdir().expect("a folder");
    let limits = Limits { uploads_per_address: 1, ..Limits::default() };
    let (state, address) = listening(place.path(), limits).await;
    let path = "/api/v1/uploads?name=x.jsonl";
    let row = r#"{"prompt":"a","response":"b"}"#;
    let mut first = TcpStream::connect(address).await.expect("connects");
    first.write_all(head(path, "", row.len()).as_bytes()).await.expect("sent");
    while state.net.uploads.count() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let refused = says(address, &format!("{}{row}", head(path, "", row.len()))).await;
    assert!(refused.starts_with("HTTP/1.1 429") && refused.contains("client.too_many"), "{refused}");
    first.write_all(row.as_bytes()).await.expect("sent");
    let taken = rest(&mut first).await;
    assert!(taken.starts_with("HTTP/1.1 200"), "{taken}");
}
