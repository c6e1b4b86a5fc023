//! What is left of a request's body once its answer is known.
//!
//! A refusal may be known before the body has arrived: by the head alone, or because the body is
//! too large. Where a connection is closed with bytes unread, the kernel resets it, and the client
//! may lose the answer; a reverse proxy makes a 502 of it. So the rest is read and thrown away for
//! a while, as nginx does with its `lingering_close`.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Request, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::runtime::Handle;

/// How long the rest of a body may take in all.
const LONGEST: Duration = Duration::from_secs(10);

/// How long to wait for the next bytes of it.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A body whose rest is discarded when it is dropped before its end.
struct Lingering(Option<Incoming>);

/// The request with a body that lingers. Where there is no body, nothing is allocated for it.
pub(super) fn linger(request: Request<Incoming>) -> Request<Body> {
    // Such a client sends nothing before it is asked to, so that there is nothing to lose.
    let waits = request.headers().contains_key(header::EXPECT);
    request.map(|body| match body.is_end_stream() {
        true => Body::empty(),
        false if waits => Body::new(body),
        false => Body::new(Lingering(Some(body))),
    })
}

impl http_body::Body for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .as_ref()
            .map_or_else(SizeHint::default, Incoming::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let rest = self.0.take().filter(|body| !body.is_end_stream());
        // At the end of the process there is no runtime, and nobody to answer.
        if let (Some(rest), Ok(runtime)) = (rest, Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(LONGEST, discard(rest)));
        }
    }
}

/// Reads a body to its end, or until it fails or pauses for too long. It fails at once where its
/// connection is closed.
async fn discard(mut body: Incoming) {
    while let Ok(Some(Ok(_))) = tokio::time::timeout(LONGEST_PAUSE, body.frame()).await {}
}
