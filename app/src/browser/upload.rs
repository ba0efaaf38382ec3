//! Sends files to the server. A large one goes in parts ([`contract::tus`]): when the connection breaks it goes on from
//! where it was, also after the page was loaded anew and the same file is chosen again.

use contract::problem::Problem;
use contract::{Code, tus};
use serde::Deserialize;
use web_sys::{Blob, File};

use super::request::{Answer, pause, send};
use super::{encode, kept};
use crate::{assets, live};

/// Where a file that is whole becomes something.
pub(super) const UPLOADS: &str = "/api/v1/uploads?";
/// How often in a row a part is tried before it is given up: about ten minutes.
const TRIES: u32 = 45;

/// How an upload goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sent {
    /// The share that was sent; 1: the server reads the file.
    Share(f64),
    /// The server does not answer; the upload goes on when it does.
    Waiting,
}

/// The JSON body of every error of `/api/v1`.
#[derive(Deserialize)]
struct Body {
    problems: Vec<Problem>,
}

/// The problems in an answer's body; one general problem when it is not what was agreed.
pub(crate) fn problems_in(status: u16, body: &str) -> Vec<Problem> {
    match serde_json::from_str::<Body>(body) {
        Ok(body) if !body.problems.is_empty() => body.problems,
        _ if status == 0 => {
            vec![
                Problem::new(Code::ConnectionLost, "The server does not answer.")
                    .hint("Try again in a moment."),
            ]
        }
        _ => vec![Problem::new(Code::ServerFault, format!("The server refused the file (status {status})."))],
    }
}

/// Posts `file` (or nothing) to `url`, which has a query. `done` gets the answer's body.
pub(crate) fn post(
    url: &str,
    file: Option<&File>,
    progress: impl Fn(Sent) + Clone + 'static,
    done: impl FnOnce(Result<String, Vec<Problem>>) + 'static,
) {
    let (url, file) = (url.to_owned(), file.cloned());
    leptos::task::spawn_local(async move {
        let answer = match &file {
            Some(file) if url.starts_with(UPLOADS) && file.size() > tus::PART as f64 => {
                in_parts(&url, file, progress).await
            }
            file => at_once(&url, file.as_ref(), progress).await,
        };
        done(body_of(answer));
    });
}

fn body_of(answer: Answer) -> Result<String, Vec<Problem>> {
    match answer.status {
        200..300 => Ok(answer.body),
        status => Err(problems_in(status, &answer.body)),
    }
}

/// Sends one of several files; where the server cannot take it now, again after a while.
pub(crate) async fn send_file(
    url: &str,
    file: &File,
    progress: impl Fn(Sent) + Clone + 'static,
) -> Result<String, Vec<Problem>> {
    if file.size() > tus::PART as f64 {
        return body_of(in_parts(url, file, progress).await);
    }
    body_of(patiently(url, Some(file), progress).await)
}

/// Asks for what becomes of files that are there; where the server does not answer, again after a while.
pub(super) async fn finish(
    url: &str,
    progress: impl Fn(Sent) + Clone + 'static,
) -> Result<String, Vec<Problem>> {
    body_of(patiently(url, None, progress).await)
}

async fn patiently(url: &str, file: Option<&File>, progress: impl Fn(Sent) + Clone + 'static) -> Answer {
    for tries in 0.. {
        let answer = at_once(url, file, progress.clone()).await;
        if meant(answer.status, &answer.body) != Meant::Later || tries == TRIES {
            return answer;
        }
        progress(Sent::Waiting);
        let wait = live::pause(tries, js_sys::Math::random());
        pause(i32::try_from(wait.as_millis()).unwrap_or(i32::MAX)).await;
    }
    Answer::none()
}

async fn at_once(url: &str, file: Option<&File>, progress: impl Fn(Sent) + 'static) -> Answer {
    let size = file.map_or(0.0, |file| file.size());
    let headers = [build(), ("content-type", "application/octet-stream".to_owned())];
    let step = move |sent: f64| progress(Sent::Share(if size > 0.0 { sent / size } else { 0.0 }));
    send("POST", url, &headers, file.map(AsRef::as_ref), step).await
}

/// What an answer means for an upload.
#[derive(Debug, PartialEq)]
enum Meant {
    Done,
    /// The server has more or less than this page believed, or must be asked.
    Look,
    /// The upload is there no more.
    Gone,
    /// Later it may work.
    Later,
    Refused,
}

fn meant(status: u16, body: &str) -> Meant {
    match status {
        200..300 => Meant::Done,
        409 if problems_in(status, body).iter().any(|problem| problem.code == Code::UploadOffset) => {
            Meant::Look
        }
        404 | 410 => Meant::Gone,
        0 | 408 | 425 | 429 | 500.. => Meant::Later,
        _ => Meant::Refused,
    }
}

/// Sends a file in parts, then asks for what `url` does with it.
async fn in_parts(url: &str, file: &File, progress: impl Fn(Sent) + Clone + 'static) -> Answer {
    let size = file.size();
    let name = format!("upload:{}:{size}:{}", file.name(), file.last_modified());
    let mut place = kept::get(&name);
    // bytes that are there, as far as is known
    let mut offset = None;
    let mut tries = 0;
    loop {
        let answer = match (&place, offset) {
            (None, _) => {
                let answer = send("POST", tus::PATH, &headers(tus::LENGTH, size), None, |_| {}).await;
                if let Some(made) = answer.header("location") {
                    kept::put(&name, &made);
                    (place, offset) = (Some(made), Some(0.0));
                }
                answer
            }
            (Some(place), None) => {
                let answer = send("HEAD", place, &[version()], None, |_| {}).await;
                offset = offset_in(&answer);
                answer
            }
            (Some(place), Some(at)) if at < size => {
                let answer = send_part(place, file, at, progress.clone()).await;
                // an answer without an offset leaves it to a look
                offset = offset_in(&answer);
                answer
            }
            (Some(place), Some(_)) => {
                progress(Sent::Share(1.0));
                let id = place.rsplit('/').next().unwrap_or_default();
                let answer =
                    send("POST", &format!("{url}&resumable={}", encode(id)), &[build()], None, |_| {}).await;
                match meant(answer.status, &answer.body) {
                    Meant::Done => {
                        kept::remove(&name);
                        return answer;
                    }
                    // a question about the file is answered with the same upload
                    Meant::Refused => return answer,
                    Meant::Gone | Meant::Look | Meant::Later => offset = None,
                }
                answer
            }
        };
        match meant(answer.status, &answer.body) {
            Meant::Done => {
                tries = 0;
                continue;
            }
            Meant::Refused => return answer,
            Meant::Look => {}
            Meant::Gone => {
                kept::remove(&name);
                place = None;
            }
            Meant::Later => progress(Sent::Waiting),
        }
        tries += 1;
        if tries > TRIES {
            return answer;
        }
        let wait = live::pause(tries - 1, js_sys::Math::random());
        pause(i32::try_from(wait.as_millis()).unwrap_or(i32::MAX)).await;
    }
}

async fn send_part(place: &str, file: &File, at: f64, progress: impl Fn(Sent) + 'static) -> Answer {
    let size = file.size();
    let blob: &Blob = file.as_ref();
    let end = (at + tus::PART as f64).min(size);
    let Ok(part) = blob.slice_with_f64_and_f64(at, end) else { return Answer::none() };
    let [version, offset] = headers(tus::OFFSET, at);
    let headers = [version, offset, ("content-type", tus::KIND.to_owned())];
    // short of 1: that means that the server has all of it
    let step = move |sent: f64| progress(Sent::Share(((at + sent) / size).min(0.999)));
    send("PATCH", place, &headers, Some(&part), step).await
}

/// Parts of a file are the same for every build of the server; what becomes of it is not.
fn build() -> (&'static str, String) {
    (assets::HEADER, assets::build())
}

fn version() -> (&'static str, String) {
    (tus::RESUMABLE, tus::VERSION.to_owned())
}

fn headers(name: &'static str, bytes: f64) -> [(&'static str, String); 2] {
    [version(), (name, bytes.to_string())]
}

fn offset_in(answer: &Answer) -> Option<f64> {
    answer.header(tus::OFFSET)?.parse().ok()
}

/// The `id` of a JSON answer.
pub(crate) fn id_in(body: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Created {
        id: String,
    }
    serde_json::from_str::<Created>(body).ok().map(|created| created.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_of_the_server_is_kept_word_for_word() {
        let body = r#"{"problems":[{"code":"dataset.json_broken","message":"Not JSON.","place":{"row":3,"byte":9}}]}"#;
        assert_eq!(problems_in(422, body)[0].to_string(), "Not JSON. (row 3, byte 9)");
    }

    #[test]
    fn a_dead_server_is_said_to_be_dead() {
        assert_eq!(problems_in(0, "")[0].code, Code::ConnectionLost);
        assert_eq!(problems_in(502, "<html>")[0].code, Code::ServerFault);
    }

    #[test]
    fn r13_only_what_may_work_later_is_tried_again() {
        for (status, means) in [
            (204, Meant::Done),
            (0, Meant::Later),
            (408, Meant::Later),
            (503, Meant::Later),
            (507, Meant::Later),
            (409, Meant::Refused),
            (404, Meant::Gone),
            (403, Meant::Refused),
            (413, Meant::Refused),
            (422, Meant::Refused),
        ] {
            assert_eq!(meant(status, ""), means, "{status}");
        }
        let offset = r#"{"problems":[{"code":"upload.offset","message":"3 bytes are here."}]}"#;
        assert_eq!(meant(409, offset), Meant::Look);
        let renewed = r#"{"problems":[{"code":"build.changed","message":"Burnish was renewed."}]}"#;
        assert_eq!(meant(409, renewed), Meant::Refused, "the page must be loaded anew; the upload stays");
    }
}
