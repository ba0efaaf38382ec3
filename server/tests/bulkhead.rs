//! The bulkhead from inside the server: what happens to a process that reads stays there.

#![expect(clippy::expect_used, reason = "a broken set-up is to fail the test where it breaks")]

#[path = "bulkhead/hostile.rs"]
mod hostile;
#[path = "support/processes.rs"]
mod processes;
#[path = "support/worker.rs"]
mod worker;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use axum::body::Body;
use contract::dataset::{FileKind, RowsQuery};
use contract::reading::{PROTOCOL, ReadRegister};
use contract::{Code, Problem};
use processes::{is_alive, started};
use server::readers::{Lane, Readers};
use server::services::uploads::{self, Declared};
use server::services::{launch::launch, rows};
use server::{AppState, config::Config};

/// Readers whose process does what a script in sh says; it notes its number in `pids`.
fn readers(place: &Path, script: &str) -> Readers {
    let ready = format!("{{\"ready\":{{\"protocol\":{PROTOCOL}}}}}");
    let worker = place.join("worker.sh");
    let pids = place.join("pids");
    let text = format!("#!/bin/sh\necho $$ >> {}\nready='{ready}'\n{script}\n", pids.display());
    std::fs::write(&worker, text).expect("written");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&worker, std::fs::Permissions::from_mode(0o755)).expect("made runnable");
    Readers::new(Config::for_testing(place, &worker))
}

async fn ask(readers: &Readers) -> Result<Vec<contract::registry::Registered>, Problem> {
    readers.ask(Lane::Quick, ReadRegister { text: "{}".to_owned() }).await
}

/// Waits until something holds, 10 seconds at most.
async fn until(holds: impl Fn() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        if Instant::now() > end {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    true
}

#[tokio::test]
async fn how_a_process_ends_says_why_the_file_was_refused() {
    for (script, code) in [
        ("echo 'memory allocation of 99 bytes failed' >&2; exit 134", Code::ReadingMemory),
        ("echo \"thread 'x' has overflowed its stack\" >&2; exit 134", Code::ReadingDepth),
        ("echo 'words with /a/path' >&2; exit 1", Code::ReadingCrashed),
        ("kill -9 $$", Code::ReadingCrashed),
        ("echo nonsense; sleep 1000", Code::WorkerOddAnswer),
        ("echo '{\"done\":7}'; sleep 1000", Code::WorkerOddAnswer),
        ("head -c 20000000 /dev/zero | tr '\\0' x; sleep 1000", Code::WorkerOddAnswer),
        (
            "echo '{\"refused\":{\"code\":\"registry.broken\",\"message\":\"x\"}}'; read line",
            Code::RegistryBroken,
        ),
    ] {
        let place = tempfile::tempdir().expect("a folder");
        let script =
            format!("echo \"$ready\"; read line; echo '{{\"working\":{{\"within_ms\":60000}}}}'; {script}");
        let problem = ask(&readers(place.path(), &script)).await.expect_err("no answer");
        assert_eq!(problem.code, code, "{script}");
        assert!(!problem.to_string().contains("/a/path"), "{problem}");
        assert!(until(|| started(place.path()).into_iter().all(|pid| !is_alive(pid))).await, "{script}");
    }
}

#[tokio::test]
async fn a_process_that_speaks_otherwise_or_cannot_limit_itself_is_not_asked() {
    for (script, code) in [
        ("echo '{\"ready\":{\"protocol\":999}}'; read line", Code::WorkerOddAnswer),
        ("exit 3", Code::ReadingCrashed),
        (
            "echo '{\"refused\":{\"code\":\"reading.no_limits\",\"message\":\"x\"}}'; exit 1",
            Code::ReadingNoLimits,
        ),
    ] {
        let place = tempfile::tempdir().expect("a folder");
        assert_eq!(ask(&readers(place.path(), script)).await.expect_err("not asked").code, code, "{script}");
    }
    let nowhere = Readers::new(Config::for_testing(Path::new("/nowhere"), &PathBuf::from("/nowhere/worker")));
    let problem = ask(&nowhere).await.expect_err("none");
    assert_eq!(problem.code, Code::WorkerMissing);
}

#[tokio::test]
async fn a_process_is_used_again_and_one_that_went_meanwhile_is_replaced() {
    let place = tempfile::tempdir().expect("a folder");
    let twice = "echo \"$ready\"; for i in 1 2; do read line && echo '{\"done\":[]}'; done";
    let readers = readers(place.path(), twice);
    for _ in 0..2 {
        assert_eq!(ask(&readers).await.map(|all| all.len()), Ok(0));
    }
    assert_eq!(started(place.path()).len(), 1);
    assert!(until(|| !is_alive(started(place.path())[0])).await);
    assert_eq!(ask(&readers).await.map(|all| all.len()), Ok(0), "nobody notices");
    assert_eq!(started(place.path()).len(), 2);
}

#[tokio::test]
async fn f6_a_dropped_request_ends_its_process_and_floods_stop_at_the_door() {
    let place = tempfile::tempdir().expect("a folder");
    let readers = readers(place.path(), "echo \"$ready\"; read line; exec sleep 1000");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut asking: Vec<_> = (0..600).map(|_| Box::pin(ask(&readers))).collect();
    let (mut refused, mut pending) = (0, 0);
    for one in &mut asking {
        match futures::poll!(one.as_mut()) {
            std::task::Poll::Pending => pending += 1,
            std::task::Poll::Ready(answer) => {
                assert_eq!(answer.expect_err("no room").code, Code::ReadingBusy);
                refused += 1;
            }
        }
    }
    assert_eq!(refused + pending, 600);
    assert!(pending <= cores.div_ceil(2) + 32, "{pending}");
    // another lane does not wait for them
    let launch = readers.ask(Lane::Launch, ReadRegister { text: "{}".to_owned() });
    let launch = tokio::time::timeout(Duration::from_millis(500), launch).await;
    assert!(launch.is_err(), "its own process hangs as well, and none was refused it");
    drop(asking);
    assert!(until(|| !started(place.path()).is_empty()).await);
    assert!(until(|| started(place.path()).into_iter().all(|pid| !is_alive(pid))).await);
}

async fn studio(place: &Path) -> AppState {
    let state = AppState::open(Config::for_testing(place, &worker::stub(place))).await.expect("opens");
    state.start().await.expect("starts");
    state
}

/// Bytes of a Parquet file that is only a footer with this schema (thrift's compact protocol).
fn parquet(levels: usize) -> Vec<u8> {
    let mut elements = vec![b"\x48\x01r\x15\x02\x00".to_vec()];
    elements.extend(std::iter::repeat_n(b"\x35\x00\x18\x01a\x15\x02\x00".to_vec(), levels));
    elements.push(b"\x15\x02\x25\x00\x18\x01a\x00".to_vec());
    let mut count = elements.len();
    let mut meta = b"\x15\x02\x19\xFC".to_vec();
    while count >= 0x80 {
        meta.push(u8::try_from(count & 0x7f).expect("seven bits") | 0x80);
        count >>= 7;
    }
    meta.push(u8::try_from(count).expect("seven bits"));
    meta.extend(elements.concat());
    meta.extend(b"\x16\x00\x19\x0C\x00");
    let length = u32::try_from(meta.len()).expect("small").to_le_bytes();
    [b"PAR1", meta.as_slice(), &length, b"PAR1"].concat()
}

fn memory_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc");
    let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("a line");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("a number")
}

#[tokio::test]
async fn f2_f3_files_that_break_parsers_are_refused_and_the_server_stays() {
    let place = tempfile::tempdir().expect("a folder");
    let config =
        Config { max_upload: 64 << 20, ..Config::for_testing(place.path(), &worker::stub(place.path())) };
    let state = AppState::open(config).await.expect("opens");
    let before = memory_kb();
    let numbers = format!("{{\"prompt\":[{}0],\"response\":\"a\"}}\n", "0,".repeat(2 << 20)).repeat(4);
    for (name, bytes) in [("deep.parquet", parquet(30_000)), ("numbers.jsonl", numbers.into_bytes())] {
        let read = uploads::dataset(&state, name, Declared::default(), Body::from(bytes)).await;
        let refused = match read {
            Ok(view) => view.inspection.usable == 0,
            Err(fault) => !fault.into_problems().is_empty(),
        };
        assert!(refused, "{name}");
    }
    let grown = memory_kb() - before;
    assert!(grown < 128 << 10, "{grown} kB");
    assert_eq!(
        std::fs::read_dir(state.config.folder("uploads")).expect("lists").count(),
        0,
        "nothing is left"
    );
    let rows = Body::from("{\"prompt\":\"a\",\"response\":\"b\"}\n");
    let view = uploads::dataset(&state, "good.jsonl", Declared::default(), rows).await.expect("taken in");
    assert_eq!((view.inspection.kind, view.inspection.usable), (FileKind::Jsonl, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f6_a_file_that_never_answers_takes_nothing_from_a_launch() {
    let place = tempfile::tempdir().expect("a folder");
    let state = studio(place.path()).await;
    let lines = "{\"prompt\":\"a\",\"response\":\"b\"}\n".repeat(3);
    let hung = uploads::dataset(&state, "hung.jsonl", Declared::default(), Body::from(lines.clone())).await;
    let hung = hung.expect("taken in");
    let file = state.config.folder("datasets").join(hung.id.as_str()).join("data.jsonl");
    std::fs::remove_file(&file).expect("removed");
    let made = std::process::Command::new("mkfifo").arg(&file).status().expect("mkfifo");
    assert!(made.success());
    let good =
        uploads::dataset(&state, "good.jsonl", Declared::default(), Body::from(lines)).await.expect("in");
    let model = contract::ModelId("m1".to_owned());
    state.store.add_model(&model, "little", false, 0).await.expect("added");
    let facts = r#"{"architecture":"llama","parameters":1,"vocab_size":1,"layers":1,"hidden_size":1,"context_length":1,
        "digest":"d","has_chat_template":true,"source":"scratch"}"#;
    let facts = serde_json::from_str(facts).expect("facts");
    state.store.end_import(&model, Ok(&facts)).await.expect("ready");

    let query = RowsQuery { start: 1, count: 1, text: "zzz".to_owned(), left_out: false };
    let asking: Vec<_> = (0..530)
        .map(|_| {
            let (state, id, query) = (state.clone(), hung.id.clone(), query.clone());
            tokio::spawn(async move { rows::page(&state, &id, query).await.map(drop) })
        })
        .collect();
    let draft = contract::spec::Draft {
        dataset: good.id.to_string(),
        model: model.to_string(),
        ..serde_json::from_str(
            r#"{"name":"x","dataset":"","model":"","stage":"sft","template":"default","system":"","tuning":"lora",
            "reward_model":""}"#,
        )
        .expect("a draft")
    };
    let began = Instant::now();
    let run = launch(&state, &draft, None).await.expect("launched");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    for one in asking {
        one.abort();
    }
    let mut trains = false;
    for _ in 0..1000 {
        trains = state.store.run(&run).await.expect("read").expect("there").summary.eval_loss.is_some();
        if trains {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(trains);
    let threads = std::fs::read_dir("/proc/self/task").expect("lists").count();
    assert!(threads < 100, "{threads} threads");
    state.stop().await;
}
