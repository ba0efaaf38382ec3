//! Bodies as they come in: what a handler leaves is read to its end, so that a client that is still sending gets the
//! answer, and an upload that stands still ends.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::EXPECT;
use axum::middleware::Next;
use axum::response::Response;
use futures::StreamExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::limits::{LINGER, LINGER_BYTES, PROGRESS};

type Polled = Poll<Option<Result<Frame<Bytes>, axum::Error>>>;

/// Reads what handlers leave of a body.
pub async fn linger(request: Request, next: Next) -> Response {
    // who waits for a word before sending has nothing on the way
    let waits = request.headers().contains_key(EXPECT);
    let request = request.map(|body| match body.is_end_stream() || waits {
        true => body,
        false => Body::new(Lingering(Some(body))),
    });
    next.run(request).await
}

/// A body that is read to its end by somebody.
struct Lingering(Option<Body>);

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or(SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if let Some(body) = self.0.take().filter(|body| !body.is_end_stream())
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(tokio::time::timeout(LINGER, throw_away(body)));
        }
    }
}

async fn throw_away(body: Body) {
    let (mut chunks, mut seen) = (body.into_data_stream(), 0);
    while let Some(Ok(chunk)) = chunks.next().await {
        seen += chunk.len() as u64;
        if seen > LINGER_BYTES {
            return;
        }
    }
}

/// Whether a body stood still for too long.
#[derive(Clone, Debug, Default)]
pub struct Stalled(Arc<AtomicBool>);

impl Stalled {
    /// Whether it did.
    pub fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A body that ends with an error when [`PROGRESS`] bytes do not come within `limit`. Time in which nobody waits for it
/// does not count.
pub fn moving(body: Body, limit: Duration) -> (Body, Stalled) {
    let stalled = Stalled::default();
    let moving =
        Moving { body, limit, waited: Duration::ZERO, came: 0, waits: None, stalled: stalled.clone() };
    (Body::new(moving), stalled)
}

struct Moving {
    body: Body,
    limit: Duration,
    /// Time waited and bytes that came since the last progress.
    waited: Duration,
    came: usize,
    waits: Option<(Instant, Pin<Box<Sleep>>)>,
    stalled: Stalled,
}

impl HttpBody for Moving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if let Poll::Ready(frame) = polled {
            if let Some((since, _)) = this.waits.take() {
                this.waited += since.elapsed();
            }
            if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
                this.came += data.len();
            }
            if this.came >= PROGRESS {
                (this.came, this.waited) = (0, Duration::ZERO);
            }
            return Poll::Ready(frame);
        }
        let left = this.limit.saturating_sub(this.waited);
        let (_, sleep) =
            this.waits.get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(left))));
        match sleep.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                this.stalled.0.store(true, Ordering::Relaxed);
                Poll::Ready(Some(Err(axum::Error::new(std::io::Error::from(std::io::ErrorKind::TimedOut)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chunk of so many bytes every `pause`.
    fn drip(bytes: usize, pause: Duration, count: usize) -> Body {
        Body::from_stream(futures::stream::iter(0..count).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, std::io::Error>(vec![b'x'; bytes])
        }))
    }

    async fn comes(body: Body, limit: Duration) -> (Option<usize>, bool) {
        let (body, stalled) = moving(body, limit);
        let got = axum::body::to_bytes(body, usize::MAX).await.ok().map(|bytes| bytes.len());
        (got, stalled.is())
    }

    #[tokio::test]
    async fn a_body_that_stands_still_or_drips_ends_and_a_slow_one_does_not() {
        let (short, patient) = (Duration::from_millis(5), Duration::from_secs(5));
        assert_eq!(comes(drip(PROGRESS, short, 5), patient).await, (Some(5 * PROGRESS), false));
        assert_eq!(comes(drip(4, short, 2), patient).await, (Some(8), false), "a short one that ends");
        assert_eq!(comes(drip(PROGRESS, patient, 2), short).await, (None, true));
        let impatient = Duration::from_millis(200);
        assert_eq!(comes(drip(1, short, PROGRESS), impatient).await, (None, true), "a byte at a time");
    }

    #[tokio::test]
    async fn time_in_which_nobody_reads_does_not_count() {
        let (body, stalled) = moving(drip(600, Duration::from_millis(5), 4), Duration::from_secs(1));
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            assert_eq!(chunk.expect("a chunk").len(), 600);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert!(!stalled.is());
    }
}
