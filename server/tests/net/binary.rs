//! The program itself: it ends when it is told to, whatever hangs.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::*;

struct Program {
    child: Child,
    address: SocketAddr,
}

impl Drop for Program {
    fn drop(&mut self) {
        // ended already when all went well
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    fn start(place: &Path, site: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_burnish"))
            .args(["serve", "--addr", "127.0.0.1:0"])
            .env("BURNISH_DATA", place.join("data"))
            .env("BURNISH_SITE", site)
            .env("BURNISH_WORKER", worker::stub(place))
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG")
            .env_remove("BURNISH_STARTER")
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let line = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("http://")));
        let line = line.expect("says where it is").expect("text");
        let address =
            line.split("http://").nth(1).expect("an address").split(',').next().expect("an address");
        let address = address.parse().expect("an address");
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    fn terminate(&mut self) -> Duration {
        let begun = Instant::now();
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
        while self.child.try_wait().expect("waits").is_none() {
            assert!(begun.elapsed() < Duration::from_secs(40), "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        begun.elapsed()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn n1_sigterm_ends_the_program_while_a_file_hangs() {
    let place = tempfile::tempdir().expect("a folder");
    let samples = place.path().join("site/samples");
    std::fs::create_dir_all(&samples).expect("made");
    let mut program = Program::start(place.path(), &place.path().join("site"));
    // after the start, which reads every file of the site
    let pipe = samples.join("kettle-and-co.jsonl");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let mut hangs = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(program.address).await.expect("connects");
        let request =
            "POST /api/v1/samples/kettle-and-co HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(request.as_bytes()).await.expect("sent");
        hangs.push(stream);
    }
    let mut first = [0; 1];
    let answered = tokio::time::timeout(Duration::from_millis(500), hangs[0].read(&mut first)).await;
    assert!(answered.is_err(), "it hangs");
    // one client leaves, its thread stays
    hangs.pop();
    let took = tokio::task::spawn_blocking(move || program.terminate()).await.expect("ends");
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_sigterm_ends_the_program_with_silent_clients_and_half_an_upload() {
    let place = tempfile::tempdir().expect("a folder");
    let public = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../public");
    let mut program = Program::start(place.path(), &public);
    let mut open = Vec::new();
    for said in [
        "",
        "GET /heal",
        "POST /api/v1/uploads?name=x.jsonl HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n\r\n{",
    ] {
        let mut stream = TcpStream::connect(program.address).await.expect("connects");
        stream.write_all(said.as_bytes()).await.expect("sent");
        open.push(stream);
    }
    let answer = healthz(program.address).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let took = tokio::task::spawn_blocking(move || program.terminate()).await.expect("ends");
    assert!(took < Duration::from_secs(20), "{took:?}");
}
