//! The Web Worker in which a model answers, behind a copyable handle. It and the model's code are loaded only when
//! somebody asks for them.

use std::cell::RefCell;

use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{MessageEvent, Worker};

use super::handles::Handles;
use crate::assets;

/// Its script, among the files of this page's build.
const SCRIPT: &str = "engine/worker.js";
/// Begins to fetch and to load what was described last.
pub(crate) const LOAD: &str = r#"{"type":"load"}"#;
/// Ends the answer being given.
pub(crate) const CANCEL: &str = r#"{"type":"cancel"}"#;
/// Asks what is kept in this browser.
pub(crate) const LIST: &str = r#"{"type":"list"}"#;

/// A handle; [`close`] ends the worker and frees its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EngineId(u32);

struct Entry {
    worker: Worker,
    _message: Closure<dyn FnMut(MessageEvent)>,
    _error: Closure<dyn FnMut()>,
}

thread_local! {
    static ENGINES: RefCell<Handles<Entry>> = RefCell::default();
}

/// Starts a worker. `hear` gets its messages, `None` once its script cannot be run. `None` when the browser refuses.
pub(crate) fn open(hear: impl Fn(Option<String>) + Clone + 'static) -> Option<EngineId> {
    let worker = Worker::new(&assets::address(&assets::build(), SCRIPT)).ok()?;
    let broken = hear.clone();
    let message =
        Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| hear(event.data().as_string()));
    let error = Closure::<dyn FnMut()>::new(move || broken(None));
    worker.set_onmessage(Some(message.as_ref().unchecked_ref()));
    worker.set_onerror(Some(error.as_ref().unchecked_ref()));
    let entry = Entry { worker, _message: message, _error: error };
    Some(EngineId(ENGINES.with_borrow_mut(|engines| engines.put(entry))))
}

/// Asks for the description of what a query names.
pub(crate) fn describe(id: EngineId, query: &str) {
    send(id, &serde_json::json!({ "type": "describe", "query": query }).to_string());
}

/// Asks to forget a kept model.
pub(crate) fn forget(id: EngineId, query: &str) {
    send(id, &serde_json::json!({ "type": "forget", "query": query }).to_string());
}

/// Lets this browser keep the pages that are needed to talk without the server.
pub(crate) fn keep_pages() {
    if let Some(window) = web_sys::window()
        && window.is_secure_context()
    {
        drop(window.navigator().service_worker().register(&format!("/sw.js?build={}", assets::build())));
    }
}

/// Sends a message.
pub(crate) fn send(id: EngineId, text: &str) {
    ENGINES.with_borrow(|engines| {
        if let Some(entry) = engines.get(id.0) {
            let _ = entry.worker.post_message(&text.into());
        }
    });
}

/// Ends a worker, whatever it does; its owner hears nothing more.
pub(crate) fn close(id: EngineId) {
    let Some(entry) = ENGINES.with_borrow_mut(|engines| engines.take(id.0)) else { return };
    entry.worker.set_onmessage(None);
    entry.worker.set_onerror(None);
    entry.worker.terminate();
    // The call may come out of one of these very closures: they are freed after it has returned.
    leptos::task::spawn_local(async move { drop(entry) });
}
