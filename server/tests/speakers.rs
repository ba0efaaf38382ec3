//! Processes that hold a model: what is taken back ends at once, what nobody waits for is not loaded.

#![expect(clippy::expect_used, reason = "a broken set-up is to fail the test where it breaks")]

#[path = "support/processes.rs"]
mod processes;
#[expect(dead_code, reason = "all workers here are scripts of their own")]
#[path = "support/worker.rs"]
mod worker;

use std::path::Path;
use std::time::{Duration, Instant};

use contract::Code;
use contract::chat::{ChatDelta, ChatMessage};
use processes::{is_alive, started};
use server::config::Config;
use server::generation::{Answer, Pool, Refused, Weights};

/// How soon nothing is left of what everybody left.
const SOON: Duration = Duration::from_secs(2);
/// How long anything may take.
const LONG: Duration = Duration::from_secs(20);

/// A process that loads, and whatever a script in sh says then; it notes its number in `pids`. `say` tells a delta of
/// a request.
fn pool(place: &Path, script: &str) -> Pool {
    let pids = place.join("pids");
    let begin = "say() { echo \"{\\\"request\\\":$1,\\\"delta\\\":{\\\"type\\\":\\\"$2\\\"$3}}\"; }\n\
                 ready() { say $1 ready ',\"digest\":\"d\",\"prompt_tokens\":1'; }\n\
                 text() { say $1 text \",\\\"text\\\":\\\"$2\\\"\"; }\n\
                 done_of() { say $1 done \",\\\"tokens\\\":$2,\\\"tokens_per_second\\\":1.0,\\\"reason\\\":\\\"$3\\\"\"; }";
    let script = format!("{begin}\necho $$ >> '{}'\nread -r load\n{script}\n", pids.display());
    Pool::new(Config::for_testing(place, &worker::scripted(place, &script)))
}

fn weights(place: &Path) -> Weights {
    Weights { model: place.to_owned(), chain: Vec::new() }
}

fn question() -> Vec<ChatMessage> {
    vec![ChatMessage { role: "user".to_owned(), content: "a".to_owned() }]
}

fn ask(pool: &Pool, place: &Path) -> Answer {
    pool.ask(&weights(place), "default", &question(), &Default::default()).expect("asked")
}

/// The next delta, which does not keep anybody waiting.
async fn next(answer: &mut Answer) -> Option<ChatDelta> {
    tokio::time::timeout(LONG, answer.next()).await.expect("a delta in time")
}

/// Looks until something holds, which is to be within `most`.
async fn until(most: Duration, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < most, "not within {most:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn f24_a_model_for_which_nobody_waits_is_not_loaded_further() {
    let place = tempfile::tempdir().expect("a folder");
    let (place, pool) = (place.path(), pool(place.path(), "exec sleep 1000"));
    for round in 1..=3 {
        let mut first = ask(&pool, place);
        let second = ask(&pool, place);
        until(LONG, || started(place).len() == round).await;
        let pid = started(place)[round - 1];
        assert_eq!(next(&mut first).await, Some(ChatDelta::Loading));
        first.cancel();
        assert_eq!(next(&mut first).await, Some(ChatDelta::taken_back()));
        assert_eq!(next(&mut first).await, None);
        drop(first);
        assert!(is_alive(pid), "somebody waits");
        let mut third = ask(&pool, place);
        drop(second);
        assert!(is_alive(pid) && started(place).len() == round, "somebody waits");
        // the last to leave takes the question back, or simply goes
        if round == 1 {
            third.cancel();
            assert_eq!(next(&mut third).await, Some(ChatDelta::Loading));
            assert_eq!(next(&mut third).await, Some(ChatDelta::taken_back()));
        } else {
            drop(third);
        }
        until(SOON, || !is_alive(pid)).await;
    }
}

#[tokio::test]
async fn f24_who_asks_while_the_last_one_leaves_gets_a_new_process() {
    let place = tempfile::tempdir().expect("a folder");
    let (place, pool) =
        (place.path(), pool(place.path(), "ready 0; read -r generate; ready 1; done_of 1 1 stop"));
    let speaker = pool.speaker(&weights(place)).expect("starts");
    drop(speaker.ask("default".to_owned(), question(), Default::default()).expect("asked"));
    assert!(speaker.is_gone());
    let refused = speaker.ask("default".to_owned(), question(), Default::default());
    assert!(matches!(refused, Err(Refused::Left)));
    let mut answer = ask(&pool, place);
    assert_eq!(next(&mut answer).await, Some(ChatDelta::Loading));
    assert!(matches!(next(&mut answer).await, Some(ChatDelta::Ready { .. })));
    assert!(matches!(next(&mut answer).await, Some(ChatDelta::Done { tokens: 1, .. })));
}

#[tokio::test]
async fn f24_a_question_that_waits_is_taken_back_at_once_and_others_go_on() {
    let place = tempfile::tempdir().expect("a folder");
    let script = "ready 0; read -r first; ready 1; text 1 a; read -r second; read -r cancel\n\
                  case \"$cancel\" in *cancel*2*) text 1 b;; esac\n\
                  done_of 1 2 stop; done_of 2 0 cancelled\n\
                  read -r third; ready 3; read -r cancel; text 3 c; done_of 3 7 cancelled; read -r line";
    let (place, pool) = (place.path(), pool(place.path(), script));
    let mut first = ask(&pool, place);
    assert_eq!(next(&mut first).await, Some(ChatDelta::Loading));
    assert!(matches!(next(&mut first).await, Some(ChatDelta::Ready { .. })));
    assert_eq!(next(&mut first).await, Some(ChatDelta::Text { text: "a".to_owned() }));

    let mut second = ask(&pool, place);
    second.cancel();
    assert_eq!((next(&mut second).await, next(&mut second).await), (Some(ChatDelta::taken_back()), None));
    assert_eq!(next(&mut first).await, Some(ChatDelta::Text { text: "b".to_owned() }));
    assert!(matches!(next(&mut first).await, Some(ChatDelta::Done { tokens: 2, .. })));

    // what was begun ends as the process says
    let mut third = ask(&pool, place);
    assert!(matches!(next(&mut third).await, Some(ChatDelta::Ready { .. })));
    third.cancel();
    assert_eq!(next(&mut third).await, Some(ChatDelta::Text { text: "c".to_owned() }));
    assert!(matches!(next(&mut third).await, Some(ChatDelta::Done { tokens: 7, .. })));
    assert_eq!(started(place).len(), 1);
}

#[tokio::test]
async fn f24_a_line_without_end_breaks_its_process_off() {
    let place = tempfile::tempdir().expect("a folder");
    let script = "ready 0; read -r generate; head -c 20000000 /dev/zero | tr '\\0' x; exec sleep 1000";
    let (place, pool) = (place.path(), pool(place.path(), script));
    for round in 1..=2 {
        let mut answer = ask(&pool, place);
        assert_eq!(next(&mut answer).await, Some(ChatDelta::Loading));
        let Some(ChatDelta::Error { problem }) = next(&mut answer).await else { panic!("an answer") };
        assert_eq!((problem.code, next(&mut answer).await), (Code::WorkerOddAnswer, None));
        assert_eq!(started(place).len(), round);
        until(LONG, || !is_alive(started(place)[round - 1])).await;
    }
}
