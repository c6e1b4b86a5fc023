//! Reads and discards the unread rest of a request's body.
//!
//! A request may be refused before its body has arrived. If the connection were closed with unread
//! bytes, the kernel would reset it and the client could lose the response; a reverse proxy would
//! answer 502. nginx does the same with `lingering_close`.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Request, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::runtime::Handle;

/// How long discarding a body may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long the next bytes may take.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// A body whose rest is discarded if it is dropped before its end.
struct Lingering(Option<Incoming>);

/// Replaces the body of a request by one that lingers.
pub(super) fn linger(request: Request<Incoming>) -> Request<Body> {
    // Such a client waits for permission before it sends the body.
    let is_held_back = request.headers().contains_key(header::EXPECT);
    request.map(|body| match body.is_end_stream() {
        true => Body::empty(),
        false if is_held_back => Body::new(body),
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
        // At the end of the process there is no runtime.
        if let (Some(rest), Ok(runtime)) = (rest, Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(TIMEOUT, discard(rest)));
        }
    }
}

/// Reads a body until it ends, fails with its connection, or its next bytes take too long.
async fn discard(mut body: Incoming) {
    while let Ok(Some(Ok(_))) = tokio::time::timeout(READ_TIMEOUT, body.frame()).await {}
}
