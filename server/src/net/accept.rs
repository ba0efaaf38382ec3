//! Takes connections in and serves them: no client holds one for long without asking, sending or reading.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::crowd::{Busy, Crowd, Place};
use super::limits::{HEADER_BYTES, Limits};
use super::party;

/// Shortest and longest pause after the system gave no connection.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Bytes of a connection that are held at most in either direction.
const BUFFER: usize = 64 << 10;
/// What a newcomer hears when everybody is being answered.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 5\r\ncontent-length: 0\r\n\r\n";

/// Serves until `shutdown`, then until the last request is answered.
pub async fn serve(listener: TcpListener, app: Router, limits: &Limits, shutdown: CancellationToken) {
    let crowd = Arc::new(Crowd::new(limits));
    let connections = TaskTracker::new();
    let mut pause = PAUSE.0;
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(why) if is_of_one_client(&why) => continue,
            Err(why) => {
                tracing::warn!("no connection can be taken in: {why}");
                crowd.make_room();
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE.1);
                continue;
            }
        };
        pause = PAUSE.0;
        match crowd.enter(party(peer.ip())) {
            Some(place) => {
                let connection =
                    Connection { peer, place: Arc::new(place), app: app.clone(), limits: limits.clone() };
                connections.spawn(connection.serve(stream, shutdown.clone()));
            }
            // what does not fit at once is not waited for
            None => drop(stream.try_write(FULL)),
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Whether an error concerns the one client that is gone already.
fn is_of_one_client(why: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(why.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

struct Connection {
    peer: SocketAddr,
    place: Arc<Place>,
    app: Router,
    limits: Limits,
}

impl Connection {
    async fn serve(self, stream: TcpStream, shutdown: CancellationToken) {
        // small answers are not held back to be joined
        let _ = stream.set_nodelay(true);
        let io = TokioIo::new(Read { stream, limit: self.limits.unread, unread: None });
        let service = hyper::service::service_fn(|request: hyper::Request<Incoming>| {
            let busy = Arc::new(self.place.busy());
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(self.peer));
            // an upgraded connection outlives this one's task
            request.extensions_mut().insert(busy.clone());
            let app = self.app.clone();
            async move {
                app.oneshot(request).await.map(|answer| answer.map(|body| Answered { body, _busy: busy }))
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header)
            .max_header_size(HEADER_BYTES)
            .max_buf_size(BUFFER)
            .serve_connection(io, service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let mut stopping = false;
        loop {
            tokio::select! {
                served = connection.as_mut() => {
                    if let Err(why) = served {
                        tracing::debug!("a connection ended: {why}");
                    }
                    return;
                }
                () = self.place.sent_away() => return,
                () = shutdown.cancelled(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// An answer whose connection is busy until it is sent.
struct Answered {
    body: Body,
    _busy: Arc<Busy>,
}

impl HttpBody for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that breaks when the other side reads nothing of what is sent for `limit`.
struct Read {
    stream: TcpStream,
    limit: Duration,
    unread: Option<Pin<Box<Sleep>>>,
}

impl Read {
    fn watch<T>(&mut self, cx: &mut Context<'_>, sent: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.unread = None;
            return sent;
        }
        let limit = self.limit;
        let unread = self.unread.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        unread.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Read {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Read {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.watch(cx, sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, sent)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
