//! R13: an upload goes on where it broke off, over real sockets.

use contract::dataset::DatasetView;
use contract::tus;
use sha2::{Digest, Sha256};

use super::*;

const PART: usize = 256 << 10;

fn head(method: &str, path: &str, more: &str, bytes: usize) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{more}content-length: {bytes}\r\n\r\n"
    )
}

/// A header of an answer.
fn header(answer: &str, name: &str) -> Option<String> {
    answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
}

async fn create(address: SocketAddr, length: usize) -> String {
    let made = says(address, &head("POST", tus::PATH, &format!("upload-length: {length}\r\n"), 0)).await;
    assert!(made.starts_with("HTTP/1.1 201"), "{made}");
    header(&made, "location").expect("a place")
}

async fn offset(address: SocketAddr, place: &str) -> usize {
    let answer = says(address, &head("HEAD", place, "", 0)).await;
    header(&answer, tus::OFFSET).and_then(|offset| offset.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

/// Sends a part from `at`, all of it or `sent` bytes before the connection breaks.
async fn part(address: SocketAddr, place: &str, at: usize, part: &[u8], sent: usize) -> Option<String> {
    let more = format!("upload-offset: {at}\r\ncontent-type: {}\r\n", tus::KIND);
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.write_all(head("PATCH", place, &more, part.len()).as_bytes()).await.expect("sent");
    stream.write_all(&part[..sent]).await.expect("sent");
    if sent < part.len() {
        return None;
    }
    Some(rest(&mut stream).await)
}

fn lines(bytes: usize) -> Vec<u8> {
    let mut all = Vec::new();
    for row in 0.. {
        if all.len() >= bytes {
            break;
        }
        all.extend(
            format!("{{\"prompt\":\"Question {row}?\",\"response\":\"Answer {row}.\"}}\n").into_bytes(),
        );
    }
    all
}

fn roomy(place: &Path) -> Config {
    Config { max_upload: 64 << 20, ..config(place, Limits::default()) }
}

#[tokio::test]
async fn r13_twenty_broken_connections_and_a_new_server_cost_less_than_a_part_each() {
    let place = tempfile::tempdir().expect("a folder");
    let (first, mut address) = serving(roomy(place.path())).await;
    let file = lines(4 << 20);
    let at = create(address, file.len()).await;
    let (mut broken, mut twice, mut there) = (0_usize, 0, 0);
    while there < file.len() {
        let bytes = &file[there..(there + PART).min(file.len())];
        if broken < 20 && there > broken * (file.len() / 24) {
            // anywhere within the part, its first and last byte included
            let sent = (broken * 7919 * 37) % bytes.len();
            part(address, &at, there, bytes, sent).await;
            let now = offset(address, &at).await;
            assert!(now >= there && now <= there + sent, "{there} {now} {sent}");
            (twice, there, broken) = (twice + there + sent - now, now, broken + 1);
            assert!(twice <= broken * PART, "{twice}");
            if broken == 10 {
                first.stop().await;
                address = serving(roomy(place.path())).await.1;
                let now = offset(address, &at).await;
                assert!(now >= there, "what was told to be there is there");
                there = now;
            }
            continue;
        }
        let answer = part(address, &at, there, bytes, bytes.len()).await.expect("an answer");
        if answer.starts_with("HTTP/1.1 409") {
            // what a broken connection had sent was still on its way
            there = offset(address, &at).await;
            continue;
        }
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
        there += bytes.len();
        assert_eq!(header(&answer, tus::OFFSET), Some(there.to_string()));
    }
    assert_eq!(broken, 20);
    let id = at.rsplit('/').next().expect("an id");
    let finish = head("POST", &format!("/api/v1/uploads?name=x.jsonl&resumable={id}"), "", 0);
    let answer = says(address, &finish).await;
    let body = answer.split("\r\n\r\n").nth(1).expect("a body");
    let view: DatasetView = serde_json::from_str(body).unwrap_or_else(|why| panic!("{why}: {answer}"));
    assert_eq!(
        (view.bytes, view.sha256.as_str()),
        (file.len() as u64, format!("{:x}", Sha256::digest(&file)).as_str())
    );
    let again = says(address, &finish).await;
    assert!(again.contains(view.id.as_str()), "whoever lost the answer gets the same: {again}");
}

#[tokio::test]
async fn r13_a_file_that_raises_a_question_is_not_sent_again() {
    let place = tempfile::tempdir().expect("a folder");
    let (_state, address) = serving(roomy(place.path())).await;
    // Cyrillic in a single-byte encoding that two candidates read differently
    let file = b"prompt,response\n\xef\xf0\xe8,\xef\xf0\xe8\n";
    let at = create(address, file.len()).await;
    part(address, &at, 0, file, file.len()).await.expect("an answer");
    let id = at.rsplit('/').next().expect("an id");
    let finish =
        |more: &str| head("POST", &format!("/api/v1/uploads?name=x.csv&resumable={id}{more}"), "", 0);
    let asked = says(address, &finish("")).await;
    assert!(asked.contains("dataset.encoding_unsure"), "{asked}");
    let taken = says(address, &finish("&encoding=windows-1251")).await;
    assert!(taken.starts_with("HTTP/1.1 200"), "{taken}");
}

#[tokio::test]
async fn a_tus_client_is_told_what_is_spoken_and_what_is_wrong() {
    let place = tempfile::tempdir().expect("a folder");
    let (state, address) = serving(roomy(place.path())).await;
    let said = says(address, &head("OPTIONS", tus::PATH, "", 0)).await;
    assert_eq!(header(&said, "tus-max-size"), Some((64_u64 << 20).to_string()), "{said}");
    for (method, path, more, status, code) in [
        ("POST", tus::PATH, "", 422, "upload.bad_header"),
        ("POST", tus::PATH, "upload-length: 99999999999\r\n", 413, "upload.too_large"),
        ("POST", tus::PATH, "upload-length: 9\r\norigin: http://evil.example\r\n", 403, "origin.foreign"),
        ("HEAD", "/api/v1/resumable/none", "", 404, ""),
        ("PATCH", "/api/v1/resumable/none", "upload-offset: 0\r\n", 422, "upload.bad_header"),
        (
            "PATCH",
            "/api/v1/resumable/..%2Fx",
            "upload-offset: 0\r\ncontent-type: application/offset+octet-stream\r\n",
            404,
            "not_found",
        ),
        ("DELETE", "/api/v1/resumable/none", "", 404, "not_found"),
        ("POST", "/api/v1/uploads?name=x.jsonl&resumable=none", "", 404, "not_found"),
    ] {
        let answer = says(address, &head(method, path, more, 0)).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(code),
            "{method} {path}: {answer}"
        );
    }
    let at = create(address, 3).await;
    assert!(part(address, &at, 1, b"ab", 2).await.expect("an answer").contains("upload.offset"));
    assert!(part(address, &at, 0, b"abcd", 4).await.expect("an answer").contains("upload.too_large"));
    assert!(says(address, &head("DELETE", &at, "", 0)).await.starts_with("HTTP/1.1 204"));
    let left = std::fs::read_dir(state.config.folder("resumable")).expect("lists").count();
    assert_eq!(left, 0);
}
