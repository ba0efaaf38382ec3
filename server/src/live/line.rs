//! A websocket with its limits: how long it may be silent, how often it may speak, how long it may leave unread what it is
//! sent, and how many there may be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::Extensions;
use axum::response::{IntoResponse, Response};
use contract::{Code, Problem};
use tokio::time::Interval;

use crate::error::Fault;
use crate::net::Client;
use crate::net::crowd::Busy;
use crate::net::rates::Bucket;
use crate::net::shares::Share;
use crate::state::AppState;

/// Close code: the service restarts.
pub const RESTART: u16 = 1012;
/// Close code: the other side does what the rules do not allow.
const POLICY: u16 = 1008;
/// Close code: a message is too long.
const TOO_LONG: u16 = 1009;
/// Close code: what came is no message.
const PROTOCOL: u16 = 1002;

/// How often the other side is asked whether it is there.
const PING: Duration = Duration::from_secs(20);
/// How long it may be silent.
const SILENCE: Duration = Duration::from_secs(70);
/// Messages at once, and a second from then on.
const RATE: (f64, f64) = (200.0, 20.0);
/// How long the last word may take.
const LAST_WORD: Duration = Duration::from_secs(1);

/// A socket that is open.
pub struct Line {
    socket: WebSocket,
    longest: usize,
    unread: Duration,
    rate: Bucket,
    ping: Interval,
    heard: Instant,
    _share: Share,
    _busy: Option<Arc<Busy>>,
}

/// Opens a socket whose messages have `longest` bytes at most and hands it to `serve`.
pub fn open<F: Future<Output = ()> + Send + 'static>(
    state: AppState,
    extensions: &Extensions,
    upgrade: WebSocketUpgrade,
    longest: usize,
    serve: impl FnOnce(AppState, Line) -> F + Send + 'static,
) -> Response {
    let Some(share) = state.net.sockets.take(Client::of(extensions).0) else {
        let problem = Problem::new(Code::ClientTooMany, "Too many pages of this address are open.");
        return Fault::from(problem.hint("Close some of them.")).into_response();
    };
    let busy = extensions.get::<Arc<Busy>>().cloned();
    let unread = state.config.limits.send;
    // a little more than allowed is still read, so that a close code says what was wrong
    let upgrade = upgrade.max_message_size(2 * longest).max_frame_size(2 * longest);
    upgrade.on_upgrade(move |socket| {
        let now = Instant::now();
        let mut ping = tokio::time::interval_at(tokio::time::Instant::now() + PING, PING);
        ping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let rate = Bucket::new(RATE.0, RATE.1, now);
        serve(state, Line { socket, longest, unread, rate, ping, heard: now, _share: share, _busy: busy })
    })
}

impl Line {
    /// The next text; `None` when the line is over, closed with a code where the other side broke a rule. May be dropped
    /// and asked again.
    pub async fn hear(&mut self) -> Option<String> {
        loop {
            let message = tokio::select! {
                message = self.socket.recv() => message?,
                _ = self.ping.tick() => {
                    if self.heard.elapsed() > SILENCE || !self.say(Message::Ping(Vec::new().into())).await {
                        return None;
                    }
                    continue;
                }
            };
            self.heard = Instant::now();
            if !self.rate.take(self.heard) {
                return self.end(POLICY, "too many messages").await;
            }
            match message {
                Ok(Message::Text(text)) if text.len() > self.longest => {
                    return self.end(TOO_LONG, "the message is too long").await;
                }
                Ok(Message::Text(text)) => return Some(text.as_str().to_owned()),
                Ok(Message::Close(_)) => return None,
                Ok(_) => {}
                Err(_) => return self.end(PROTOCOL, "this is no message").await,
            }
        }
    }

    /// Sends; false when the line is over, also because nobody reads.
    pub async fn say(&mut self, message: Message) -> bool {
        match tokio::time::timeout(self.unread, self.socket.send(message)).await {
            Ok(sent) => sent.is_ok(),
            Err(_) => {
                self.close(POLICY, "nothing of what is sent is read").await;
                false
            }
        }
    }

    /// Says why and closes.
    pub async fn close(&mut self, code: u16, reason: &'static str) {
        let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        // the other side may be gone
        let _ = tokio::time::timeout(LAST_WORD, self.socket.send(close)).await;
    }

    async fn end(&mut self, code: u16, reason: &'static str) -> Option<String> {
        self.close(code, reason).await;
        // what was sent before is read, so that the code is not lost with the connection
        let rest = async { while let Some(Ok(_)) = self.socket.recv().await {} };
        let _ = tokio::time::timeout(LAST_WORD, rest).await;
        None
    }
}
