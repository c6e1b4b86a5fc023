//! HTTP/1.1 on one connection.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use super::head_timer::HeadTimer;
use super::lingering::linger;
use super::stream::ConnectionStream;
use crate::connections::{Connection, ConnectionGuard};

pub(crate) type HttpService = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// The maximum length of a request's head, and of what is read ahead, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// Serves a connection until it ends, is upgraded, or is closed by the server.
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
            // hyper starts it when it begins to wait for a head, so it limits the idle time. The
            // timer shortens it once a head has begun.
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
        // A closed connection must not begin a response that it cannot complete.
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
) -> Result<Response<impl HttpBody<Data = Bytes, Error = axum::Error>>, Infallible> {
    let guard = connection.mark_busy();
    let mut request = linger(request);
    request.extensions_mut().insert(connection);
    let response = service.oneshot(request).await?;
    // The body owns the guard, so that the connection is busy until the body is written.
    let keep_busy = move |error| {
        let _guard = &guard;
        error
    };
    Ok(response.map(|body| body.map_err(keep_busy)))
}
