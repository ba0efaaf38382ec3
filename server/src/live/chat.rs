//! `/ws/chat`: the first frame asks, the answers stream back; the socket may ask again after each.

use axum::extract::State;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::http::Extensions;
use axum::response::Response;
use contract::Code;
use contract::Problem;
use contract::chat::{ChatDelta, ChatRequest};

use super::line::{self, Line, RESTART};
use crate::generation::Answer;
use crate::net::Client;
use crate::services::chat;
use crate::state::AppState;

/// Longest question with all that went before it, bytes.
const LONGEST: usize = 1 << 20;

/// Upgrades to the chat websocket.
pub async fn upgrade(
    State(state): State<AppState>,
    client: Client,
    extensions: Extensions,
    upgrade: WebSocketUpgrade,
) -> Response {
    line::open(state, &extensions, upgrade, LONGEST, move |state, line| serve(state, line, client))
}

async fn serve(state: AppState, mut line: Line, client: Client) {
    loop {
        let heard = tokio::select! {
            () = state.shutdown.cancelled() => return line.close(RESTART, "the server restarts").await,
            heard = line.hear() => heard,
        };
        let Some(text) = heard else { return };
        if is_cancel(&text) {
            continue;
        }
        let Some(_share) = state.net.answers.take(client.0) else {
            let problem = Problem::new(Code::ClientTooMany, "Too many answers are written for this address.")
                .hint("Wait until one is complete.");
            if !send(&mut line, &ChatDelta::Error { problem }).await {
                return;
            }
            continue;
        };
        let goes_on = match ask(&state, &text).await {
            Ok(answer) => stream(&state, &mut line, answer).await,
            Err(problem) => send(&mut line, &ChatDelta::Error { problem }).await,
        };
        if !goes_on {
            return;
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

/// Forwards an answer; false when the line is over. Dropping the answer cancels it.
async fn stream(state: &AppState, line: &mut Line, mut answer: Answer) -> bool {
    loop {
        tokio::select! {
            () = state.shutdown.cancelled() => {
                line.close(RESTART, "the server restarts").await;
                return false;
            }
            delta = answer.next() => match delta {
                Some(delta) => {
                    if !send(line, &delta).await {
                        return false;
                    }
                }
                None => return true,
            },
            heard = line.hear() => match heard {
                Some(text) if is_cancel(&text) => answer.cancel(),
                Some(_) => {}
                None => return false,
            },
        }
    }
}

async fn send(line: &mut Line, delta: &ChatDelta) -> bool {
    let text = serde_json::to_string(delta).unwrap_or_default();
    line.say(Message::Text(text.into())).await
}

fn is_cancel(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok_and(|value| value["type"] == "cancel")
}
