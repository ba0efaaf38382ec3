//! Websockets: how many, how large, how often, and what they are told at the end.

use contract::RunId;
use contract::event::{Event, Kind};
use futures::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::*;

type Socket = tokio_tungstenite::WebSocketStream<TcpStream>;

async fn socket(address: SocketAddr, path: &str) -> Result<Socket, Error> {
    let stream = TcpStream::connect(address).await.expect("connects");
    let opened = tokio_tungstenite::client_async(format!("ws://{address}{path}"), stream).await;
    opened.map(|(socket, _)| socket)
}

/// The code a socket is closed with.
async fn code(socket: &mut Socket) -> Option<u16> {
    loop {
        let message = tokio::time::timeout(LONG, socket.next()).await.expect("it ends")?;
        if let Message::Close(frame) = message.expect("a close frame") {
            return frame.map(|frame| frame.code.into());
        }
    }
}

#[tokio::test]
async fn r20_every_socket_hears_that_the_server_restarts() {
    let place = tempfile::tempdir().expect("a folder");
    let (state, address) = listening(place.path(), Limits::default()).await;
    let mut open = Vec::new();
    for path in ["/ws", "/ws/chat"] {
        open.push((path, socket(address, path).await.expect("opens")));
    }
    while state.net.sockets.count() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    state.shutdown.cancel();
    for (path, socket) in &mut open {
        assert_eq!(code(socket).await, Some(1012), "{path}");
    }
}

#[tokio::test]
async fn s5_sockets_are_counted_and_other_sites_open_none() {
    let place = tempfile::tempdir().expect("a folder");
    let limits = Limits { sockets_per_address: 2, ..Limits::default() };
    let (state, address) = listening(place.path(), limits).await;
    let first = socket(address, "/ws").await.expect("opens");
    let _second = socket(address, "/ws/chat").await.expect("opens");
    for path in ["/ws", "/ws/chat"] {
        let Err(Error::Http(refused)) = socket(address, path).await else { panic!("a third socket") };
        assert_eq!(refused.status().as_u16(), 429);
    }
    drop(first);
    while state.net.sockets.count() > 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    socket(address, "/ws").await.expect("there is a place again");
    for (key, value) in
        [("origin", "http://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")]
    {
        let request = format!(
            "GET /ws HTTP/1.1\r\nhost: {address}\r\n{key}: {value}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        let mut stream = TcpStream::connect(address).await.expect("connects");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.expect("an answer");
        assert_eq!(&start, b"HTTP/1.1 403", "{key}: {value}");
    }
}

#[tokio::test]
async fn s5_a_socket_that_sends_too_much_is_closed_with_a_code() {
    let place = tempfile::tempdir().expect("a folder");
    let (state, address) = listening(place.path(), Limits::default()).await;
    for (path, longest) in [("/ws", 64 << 10), ("/ws/chat", 1 << 20)] {
        let mut large = socket(address, path).await.expect("opens");
        let text = "x".repeat(longest + 1);
        large.send(Message::Text(text.into())).await.expect("sent");
        assert_eq!(code(&mut large).await, Some(1009), "{path}");

        let mut flood = socket(address, path).await.expect("opens");
        for _ in 0..1000 {
            // the server may have closed already
            if flood.send(Message::Text(r#"{"type":"cancel"}"#.into())).await.is_err() {
                break;
            }
        }
        assert_eq!(code(&mut flood).await, Some(1008), "{path}");
    }
    while state.net.sockets.count() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn f24_questions_that_wait_for_a_model_are_counted() {
    let place = tempfile::tempdir().expect("a folder");
    let mut config = config(place.path(), Limits::default());
    // reads nothing of what it is asked
    config.worker = place.path().join("deaf.sh");
    std::fs::write(&config.worker, "#!/bin/sh\nexec sleep 60\n").expect("written");
    let runs = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&config.worker, runs).expect("may be run");
    let state = AppState::open(config).await.expect("opens");
    let weights = server::generation::Weights { model: place.path().to_owned(), chain: Vec::new() };
    let content = "x".repeat(1 << 20);
    let messages = [contract::chat::ChatMessage { role: "user".to_owned(), content }];
    let asks = || state.pool.ask(&weights, "default", &messages, &Default::default());
    // stays, and so does the process
    let _first = asks().expect("asked");
    let mut waiting = 0;
    let problem = loop {
        match asks() {
            // who leaves takes the question back, but it was put already
            Ok(answer) => drop(answer),
            Err(problem) => break problem,
        }
        waiting += 1;
        assert!(waiting < 100, "there is no end");
        tokio::task::yield_now().await;
    };
    assert_eq!(problem.code, contract::Code::ChatSeatsBusy);
    state.pool.clear();
}

#[tokio::test(flavor = "multi_thread")]
async fn s5_a_page_that_does_not_read_is_closed() {
    let place = tempfile::tempdir().expect("a folder");
    let limits = Limits { send: Duration::from_millis(300), ..Limits::default() };
    let (state, address) = listening(place.path(), limits).await;
    state.start().await.expect("starts");
    let json = [("content-type", "application/json")];
    let (_, tour) = ask(&state, "POST", "/api/start_tour", &json, "{}").await;
    let tour: serde_json::Value = serde_json::from_str(&tour).expect("a tour");
    let run = RunId(tour["run"].as_str().expect("an id").to_owned());
    let event = |seq: u64| Event {
        seq,
        at_ms: 1,
        what: Kind::Eval { step: seq, eval_loss: Some(1.0), metrics: Default::default() }.into(),
    };
    let mut tx = state.store.begin().await.expect("begins");
    state.store.add_events(&mut tx, &run, 2, (0..20_000).map(event).collect()).await.expect("stored");
    tx.commit().await.expect("commits");
    let mut page = socket(address, "/ws").await.expect("opens");
    let subscribe = format!(r#"{{"type":"subscribe","run":"{run}","from":0}}"#);
    let gone = tokio::time::timeout(LONG, async {
        // each asks for all of it again
        while state.net.sockets.count() > 0 {
            let _ = page.send(Message::Text(subscribe.clone().into())).await;
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    });
    gone.await.expect("closed");
    state.stop().await;
}
