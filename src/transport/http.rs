//! HTTP/1.1 on one connection.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::ServiceExt as _;

use super::head_timer::HeadTimer;
use super::lingering::linger;
use super::{ConnectionStream, HttpService};
use crate::connections::{BusyGuard, Connection, ConnectionGuard};

/// The most bytes of a request's head, and the most that are read ahead.
const MAX_HEAD: usize = 64 * 1024;

/// Serves a connection until it ends, is upgraded, or is closed from outside.
pub(super) async fn serve_connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    guard: ConnectionGuard,
    service: HttpService,
    keep_alive: Duration,
) {
    let connection = Arc::clone(guard.connection());
    let respond = service_fn(|request| respond(service.clone(), Arc::clone(&connection), request));
    let head_timer = HeadTimer::new();
    let stream = ConnectionStream::new(stream, guard, head_timer.clone());
    let mut http = pin!(
        http1::Builder::new()
            .timer(head_timer)
            // hyper starts it when it begins to wait for a head, so that it limits how long a
            // connection is idle. The timer shortens it once a head has begun.
            .header_read_timeout(keep_alive)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), respond)
            .with_upgrades()
    );
    let serving = async {
        tokio::select! {
            ended = http.as_mut() => return ended,
            () = connection.draining() => http.as_mut().graceful_shutdown(),
        }
        http.await
    };
    tokio::select! {
        // One that is closed begins no answer that nobody would get whole.
        biased;
        () = connection.closed() => {}
        ended = serving => if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

async fn respond(
    service: HttpService,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<BusyBody>, Infallible> {
    let guard = connection.mark_busy();
    let mut request = linger(request);
    request.extensions_mut().insert(connection);
    let response = service.oneshot(request).await?;
    Ok(response.map(|body| BusyBody {
        body,
        _guard: guard,
    }))
}

/// The body of a response, which keeps its connection busy.
struct BusyBody {
    body: Body,
    _guard: BusyGuard,
}

impl http_body::Body for BusyBody {
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
