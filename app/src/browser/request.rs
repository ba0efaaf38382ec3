//! One request of the page as a future, with progress: what `fetch` does not tell.

use js_sys::{Function, Promise};
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, ProgressEvent, XmlHttpRequest};

/// What a request brought.
pub(crate) struct Answer {
    /// HTTP status; 0: nothing came.
    pub(crate) status: u16,
    pub(crate) body: String,
    request: Option<XmlHttpRequest>,
}

impl Answer {
    /// Nothing came.
    pub(crate) fn none() -> Self {
        Self { status: 0, body: String::new(), request: None }
    }

    /// A header of the answer.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.request.as_ref()?.get_response_header(name).ok()?
    }
}

/// Sends `body` to `url`. `progress` gets the bytes sent so far.
pub(crate) async fn send(
    method: &str,
    url: &str,
    headers: &[(&str, String)],
    body: Option<&Blob>,
    progress: impl Fn(f64) + 'static,
) -> Answer {
    let Ok(request) = XmlHttpRequest::new() else { return Answer::none() };
    if request.open_with_async(method, url, true).is_err() {
        return Answer::none();
    }
    for (name, value) in headers {
        let _ = request.set_request_header(name, value);
    }
    let on_progress =
        Closure::<dyn FnMut(ProgressEvent)>::new(move |event: ProgressEvent| progress(event.loaded()));
    if let Ok(upload) = request.upload() {
        upload.set_onprogress(Some(on_progress.as_ref().unchecked_ref()));
    }
    // `loadend` comes exactly once, after success, error and abort alike.
    let ended = Promise::new(&mut |done: Function, _| request.set_onloadend(Some(&done)));
    let sent = match body {
        Some(body) => request.send_with_opt_blob(Some(body)),
        None => request.send(),
    };
    if sent.is_err() {
        return Answer::none();
    }
    let _ = JsFuture::from(ended).await;
    Answer {
        status: request.status().unwrap_or(0),
        body: request.response_text().ok().flatten().unwrap_or_default(),
        request: Some(request),
    }
}

/// Waits so many milliseconds.
pub(crate) async fn pause(milliseconds: i32) {
    let passed = Promise::new(&mut |done: Function, _| {
        if let Some(window) = web_sys::window() {
            let _ = window.set_timeout_with_callback_and_timeout_and_arguments_0(&done, milliseconds);
        }
    });
    let _ = JsFuture::from(passed).await;
}
