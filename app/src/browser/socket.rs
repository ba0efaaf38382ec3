//! A websocket behind a copyable handle, so that signals and cleanups can hold it.

use std::cell::RefCell;
use std::rc::Rc;

use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{MessageEvent, WebSocket};

use super::handles::Handles;

/// What a socket tells its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It is open.
    Open,
    /// A text frame.
    Text(String),
    /// It closed, from whichever side.
    Closed,
}

/// A handle; dropping it leaves the socket open, [`close`] ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SocketId(u32);

struct Entry {
    socket: WebSocket,
    _message: Closure<dyn FnMut(MessageEvent)>,
    _open: Closure<dyn FnMut()>,
    _close: Closure<dyn FnMut()>,
}

thread_local! {
    static SOCKETS: RefCell<Handles<Entry>> = RefCell::default();
}

/// Opens a socket to a path of this server. `None` when the browser refuses.
pub(crate) fn open(path: &str, hear: impl Fn(Heard) + 'static) -> Option<SocketId> {
    let location = web_sys::window()?.location();
    let scheme = if location.protocol().ok()? == "https:" { "wss" } else { "ws" };
    let socket = WebSocket::new(&format!("{scheme}://{}{path}", location.host().ok()?)).ok()?;
    let hear = Rc::new(hear);
    let (on_open, on_text, on_close) = (hear.clone(), hear.clone(), hear);
    let message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        if let Some(text) = event.data().as_string() {
            on_text(Heard::Text(text));
        }
    });
    let opened = Closure::<dyn FnMut()>::new(move || on_open(Heard::Open));
    let closed = Closure::<dyn FnMut()>::new(move || on_close(Heard::Closed));
    socket.set_onmessage(Some(message.as_ref().unchecked_ref()));
    socket.set_onopen(Some(opened.as_ref().unchecked_ref()));
    socket.set_onclose(Some(closed.as_ref().unchecked_ref()));
    let entry = Entry { socket, _message: message, _open: opened, _close: closed };
    Some(SocketId(SOCKETS.with_borrow_mut(|sockets| sockets.put(entry))))
}

/// Sends a text frame; says whether it could.
pub(crate) fn send(id: SocketId, text: &str) -> bool {
    SOCKETS.with_borrow(|sockets| sockets.get(id.0).is_some_and(|e| e.socket.send_with_str(text).is_ok()))
}

/// Closes a socket; its owner hears nothing more.
pub(crate) fn close(id: SocketId) {
    let Some(entry) = SOCKETS.with_borrow_mut(|sockets| sockets.take(id.0)) else { return };
    entry.socket.set_onmessage(None);
    entry.socket.set_onopen(None);
    entry.socket.set_onclose(None);
    let _ = entry.socket.close();
    // The call may come out of one of these very closures: they are freed after it has returned.
    leptos::task::spawn_local(async move { drop(entry) });
}
