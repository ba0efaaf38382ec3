//! `/ws/chat`: the first frame asks, the answers stream back; the socket may ask again after each.

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use contract::Code;
use contract::Problem;
use contract::chat::{ChatDelta, ChatRequest};

use crate::generation::Answer;
use crate::services::chat;
use crate::state::AppState;

/// Upgrades to the chat websocket.
pub async fn upgrade(State(state): State<AppState>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.max_message_size(1 << 20).on_upgrade(move |socket| serve(state, socket))
}

async fn serve(state: AppState, mut socket: WebSocket) {
    loop {
        let message = tokio::select! {
            () = state.shutdown.cancelled() => return close(socket).await,
            message = socket.recv() => message,
        };
        let Some(Ok(message)) = message else { return };
        let Message::Text(text) = message else { continue };
        if is_cancel(text.as_str()) {
            continue;
        }
        let going_on = match ask(&state, text.as_str()).await {
            Ok(answer) => stream(&state, &mut socket, answer).await,
            Err(problem) => send(&mut socket, &ChatDelta::Error { problem }).await,
        };
        if !going_on {
            return close(socket).await;
        }
    }
}

async fn ask(state: &AppState, text: &str) -> Result<Answer, Problem> {
    let request: ChatRequest = serde_json::from_str(text).map_err(|why| {
        Problem::new(Code::WireUnknownFrame, format!("The server does not understand this message: {why}."))
            .hint("Reload the page.")
    })?;
    chat::answer(state, request).await.map_err(|fault| {
        let first = fault.into_problems().into_iter().next();
        first.unwrap_or_else(|| Problem::new(Code::ServerFault, "Something went wrong on the server."))
    })
}

/// Forwards an answer; false when the socket is to be closed. Dropping the answer cancels it.
async fn stream(state: &AppState, socket: &mut WebSocket, mut answer: Answer) -> bool {
    loop {
        tokio::select! {
            () = state.shutdown.cancelled() => return false,
            delta = answer.next() => match delta {
                Some(delta) => {
                    if !send(socket, &delta).await {
                        return false;
                    }
                }
                None => return true,
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) if is_cancel(text.as_str()) => answer.cancel(),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return false,
                Some(Ok(_)) => {}
            },
        }
    }
}

async fn send(socket: &mut WebSocket, delta: &ChatDelta) -> bool {
    let text = serde_json::to_string(delta).unwrap_or_default();
    socket.send(Message::Text(text.into())).await.is_ok()
}

async fn close(mut socket: WebSocket) {
    // the browser may have left
    let _ = socket.send(Message::Close(None)).await;
}

fn is_cancel(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok_and(|value| value["type"] == "cancel")
}
