//! Bodies that are written while they are sent.

use std::io::{self, BufWriter, Write};

use axum::body::{Body, Bytes};
use tokio::sync::mpsc;

/// Bytes that are gathered before they are sent.
const PIECE: usize = 1 << 18;

/// A body that `write` makes, on a thread that may block.
pub fn streamed(write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static) -> Body {
    let (out, mut pieces) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let mut out = BufWriter::with_capacity(PIECE, Out(out));
        if let Err(why) = write(&mut out).and_then(|()| out.flush()) {
            tracing::warn!("an answer was not sent to its end: {why}");
            // An ended body would pass for a whole file.
            let _ = out.get_ref().0.blocking_send(Err(why));
        }
    });
    Body::from_stream(futures::stream::poll_fn(move |cx| pieces.poll_recv(cx)))
}

/// Hands what is written to the answer's body.
struct Out(mpsc::Sender<io::Result<Bytes>>);

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
