//! The program itself: it ends when it is told to, whatever hangs.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::*;

struct Program {
    child: Child,
    address: SocketAddr,
    /// What it wrote to its log so far.
    log: Arc<Mutex<String>>,
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
        Self::started(Command::new(env!("CARGO_BIN_EXE_burnish")), place, site)
    }

    /// With at most so many open files.
    fn with_files(files: usize, place: &Path, site: &Path) -> Self {
        let mut limited = Command::new("prlimit");
        limited.args([&format!("--nofile={files}:{files}"), env!("CARGO_BIN_EXE_burnish")]);
        Self::started(limited, place, site)
    }

    fn started(command: Command, place: &Path, site: &Path) -> Self {
        Self::working(command, place, site, &worker::stub(place))
    }

    fn working(mut command: Command, place: &Path, site: &Path, worker: &Path) -> Self {
        let mut child = command
            .args(["serve", "--addr", "127.0.0.1:0"])
            .env("BURNISH_DATA", place.join("data"))
            .env("BURNISH_SITE", site)
            .env("BURNISH_WORKER", worker)
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG")
            .env_remove("BURNISH_STARTER")
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let log = Arc::new(Mutex::new(String::new()));
        let noted = log.clone();
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
        let mut lines = lines.inspect(move |line| noted.lock().expect("whole").push_str(line));
        let line = lines.find(|line| line.contains("http://")).expect("says where it is");
        let address =
            line.split("http://").nth(1).expect("an address").split(',').next().expect("an address");
        let address = address.parse().expect("an address");
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address, log }
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

#[tokio::test(flavor = "multi_thread")]
async fn f17_eleven_hundred_silent_connections_leave_room_for_one_that_asks() {
    let place = tempfile::tempdir().expect("a folder");
    let public = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../public");
    server::net::limits::raise_descriptors();
    let program = Program::with_files(1024, place.path(), &public);
    let mut silent = Vec::new();
    for _ in 0..1100 {
        silent.push(TcpStream::connect(program.address).await.expect("connects"));
    }
    let asked = tokio::time::timeout(Duration::from_secs(5), healthz(program.address));
    let answer = asked.await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_the_program_does_not_listen_where_others_reach_it() {
    let place = tempfile::tempdir().expect("a folder");
    let ended = Command::new(env!("CARGO_BIN_EXE_burnish"))
        .args(["serve", "--addr", "0.0.0.0:0"])
        .env("BURNISH_DATA", place.path().join("data"))
        .env_remove("BURNISH_ALLOW_ANYONE")
        .output()
        .expect("starts");
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("--allow-anyone"));
    assert!(!place.path().join("data").exists(), "nothing was made");
}

/// Every byte of every file below a folder.
fn bytes_below(folder: &Path, all: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).expect("lists").flatten() {
        let path = entry.path();
        if path.is_dir() {
            bytes_below(&path, all);
        } else {
            all.extend(std::fs::read(&path).unwrap_or_default());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s17_secrets_stay_in_the_server() {
    const SECRETS: [(&str, &str); 8] = [
        ("HF_TOKEN", "hf_canary_one"),
        ("HUGGING_FACE_HUB_TOKEN", "hf_canary_two"),
        ("AWS_SECRET_ACCESS_KEY", "canary-three"),
        ("AWS_SESSION_TOKEN", "canary-four"),
        ("DATABASE_URL", "postgres://u:canary-five@localhost/x"),
        ("SLURM_JWT", "canary-six"),
        ("GITHUB_TOKEN", "canary-seven"),
        ("OPENAI_API_KEY", "canary-eight"),
    ];
    let place = tempfile::tempdir().expect("a folder");
    let public = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../public");
    let seen = place.path().join("seen");
    // what a worker could read: its environment, its words, and those of the server as any process may
    let script = format!(
        "{{ env; echo \"$@\"; tr '\\0' ' ' < /proc/$PPID/cmdline; }} >> '{}'; exit 1",
        seen.display()
    );
    let worker = worker::scripted(place.path(), &script);
    let mut command = Command::new(env!("CARGO_BIN_EXE_burnish"));
    command.envs(SECRETS).env("HF_ENDPOINT", "http://127.0.0.1:9").env("HF_HOME", place.path().join("hub"));
    let program = Program::working(command, place.path(), &public, &worker);
    let mut all = Vec::new();
    for (method, path, body) in [
        ("GET", "/", ""),
        ("GET", "/settings", ""),
        ("GET", "/models", ""),
        ("GET", "/datasets", ""),
        ("GET", "/help", ""),
        ("POST", "/api/v1/uploads?name=x.jsonl", "{\"prompt\":\"a\",\"response\":\"b\"}"),
        ("POST", "/api/list_limits", "{}"),
        ("POST", "/api/read_system", "{}"),
        ("POST", "/api/hub_search", "{\"kind\":\"model\",\"text\":\"tiny\"}"),
        (
            "POST",
            "/api/create_model",
            "{\"new\":{\"from\":\"path\",\"name\":\"x\",\"path\":\"/etc/passwd\"}}",
        ),
    ] {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        all.extend(says(program.address, &head).await.into_bytes());
    }
    let noted = tokio::time::timeout(LONG, async {
        while !std::fs::read_to_string(&seen).unwrap_or_default().contains("import") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    noted.await.expect("the worker ran");
    bytes_below(place.path(), &mut all);
    all.extend(program.log.lock().expect("whole").bytes());
    let all = String::from_utf8_lossy(&all);
    assert!(all.contains("burnish"), "something was looked at");
    for (name, secret) in SECRETS {
        let hidden = secret.rsplit_once('@').map_or(secret, |(before, _)| before);
        assert!(!all.contains(hidden), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f11_a_second_server_on_the_same_data_ends_at_once_and_takes_nothing() {
    let place = tempfile::tempdir().expect("a folder");
    let public = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../public");
    let program = Program::start(place.path(), &public);
    let body = "{\"prompt\":\"a\",\"response\":\"b\"}\n";
    let mut upload = TcpStream::connect(program.address).await.expect("connects");
    let head = format!(
        "POST /api/v1/uploads?name=x.jsonl HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    upload.write_all(head.as_bytes()).await.expect("sent");
    upload.write_all(&body.as_bytes()[..9]).await.expect("half of it");
    for command in ["serve", "migrate"] {
        let mut second = Command::new(env!("CARGO_BIN_EXE_burnish"));
        second.arg(command).env("BURNISH_DATA", place.path().join("data")).env("BURNISH_SITE", &public);
        let ended = second.args(["--addr", "127.0.0.1:0"]).output().expect("runs");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(
            !ended.status.success() && said.contains(&program.child.id().to_string()),
            "{command}: {said}"
        );
    }
    upload.write_all(&body.as_bytes()[9..]).await.expect("the rest");
    let answer = rest(&mut upload).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn n7_doctor_looks_and_changes_nothing() {
    use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
    let place = tempfile::tempdir().expect("a folder");
    let doctor = |data: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_burnish"));
        command.arg("doctor").env("BURNISH_DATA", data).env("BURNISH_WORKER", worker::stub(place.path()));
        let said = command.output().expect("runs").stdout;
        let line =
            |text: &str| text.lines().find(|line| line.contains("database")).unwrap_or_default().to_owned();
        line(&String::from_utf8_lossy(&said))
    };
    let listed = |data: &Path| -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = std::fs::read_dir(data)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| {
                let bytes = std::fs::read(entry.path()).unwrap_or_default();
                (entry.file_name().to_string_lossy().into_owned(), bytes)
            })
            .collect();
        files.sort();
        files
    };
    let none = place.path().join("none");
    assert!(doctor(&none).starts_with("ok"), "it will be made");
    assert!(!none.exists());
    let foreign = place.path().join("foreign");
    std::fs::create_dir(&foreign).expect("a folder");
    let config = Config { data_dir: foreign.clone(), ..config(place.path(), Limits::default()) };
    let file = SqliteConnectOptions::new().filename(config.database()).create_if_missing(true);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(file).await.expect("made");
    sqlx::query("CREATE TABLE others (x INTEGER)").execute(&pool).await.expect("made");
    pool.close().await;
    let before = listed(&foreign);
    assert!(doctor(&foreign).starts_with("MISS"), "{}", doctor(&foreign));
    assert_eq!(listed(&foreign), before);
    let own = place.path().join("own");
    let config = Config { data_dir: own.clone(), ..config };
    config.make_folders().expect("made");
    server::store::Store::open(&config.database()).await.expect("made").close().await;
    let before = listed(&own);
    assert!(doctor(&own).starts_with("ok"), "{}", doctor(&own));
    assert_eq!(listed(&own), before);
}
