//! Streams a file to the server with progress.

use std::cell::RefCell;
use std::rc::Rc;

use contract::Code;
use contract::Problem;
use serde::Deserialize;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{ProgressEvent, XmlHttpRequest};

use crate::assets;

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

/// Posts `file` (or nothing) to `url`. `progress` gets bytes sent and bytes in all; `done` the answer's body.
pub(crate) fn post(
    url: &str,
    file: Option<&web_sys::File>,
    progress: impl Fn(f64, f64) + 'static,
    done: impl FnOnce(Result<String, Vec<Problem>>) + 'static,
) {
    let Ok(request) = XmlHttpRequest::new() else { return };
    if request.open_with_async("POST", url, true).is_err() {
        return;
    }
    let _ = request.set_request_header("content-type", "application/octet-stream");
    let _ = request.set_request_header(assets::HEADER, &assets::build());
    let on_progress = Closure::<dyn FnMut(ProgressEvent)>::new(move |event: ProgressEvent| {
        progress(event.loaded(), event.total());
    });
    if let Ok(upload) = request.upload() {
        upload.set_onprogress(Some(on_progress.as_ref().unchecked_ref()));
    }
    let done = Rc::new(RefCell::new(Some(done)));
    let finished = request.clone();
    // `loadend` comes exactly once, after success, error and abort alike.
    let on_end = Closure::once_into_js(move || {
        drop(on_progress);
        let status = finished.status().unwrap_or(0);
        let body = finished.response_text().ok().flatten().unwrap_or_default();
        let answer = if (200..300).contains(&status) { Ok(body) } else { Err(problems_in(status, &body)) };
        if let Some(done) = done.borrow_mut().take() {
            done(answer);
        }
    });
    request.set_onloadend(Some(on_end.unchecked_ref()));
    let _ = match file {
        Some(file) => request.send_with_opt_blob(Some(file)),
        None => request.send(),
    };
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
}
