//! The listeners of the server, TCP and the Unix socket: the accept loop, timeouts and the shutdown.
//!
//! The life of a connection:
//!
//! 1. The accept loop takes it and asks `Connections` for a slot; without one it is closed.
//! 2. A task of its own serves it, until it fails, ends or is closed. Its `ConnectionStream` holds
//!    the slot, counts the time of heads and of writes, and refuses requests whose length is in
//!    doubt. hyper reads HTTP/1.1 from it.
//! 3. Each request gets its `Arc<Connection>` as an extension, and a body whose rest is read and
//!    discarded if nobody wants it. The connection is busy until the response is written.
//! 4. Between requests it is idle. It is closed after `keep_alive`, or when it is evicted.
//! 5. An upgrade to a WebSocket takes the stream, and the slot with it, out of the task.
//! 6. At a stop, requests in flight have `DRAIN_TIMEOUT`; then all connections are closed.

mod head_timer;
mod http;
#[cfg(test)]
mod hyper_tests;
mod lingering;
pub(crate) mod local_socket;
mod stream;

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;
use tower::util::BoxCloneSyncService;

use self::http::serve_connection;
use self::stream::ConnectionStream;
use crate::connections::Connections;
use crate::telemetry::LogThrottle;

/// How long requests in flight may take at a stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause after a failed accept, which most often lacks a file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often failed accepts are logged.
const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Answers the requests of all connections.
pub(crate) type HttpService = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// Accepts connections of one kind.
pub(crate) trait Listener {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Accepts a connection. Returns the address of its peer too, `None` over the Unix socket.
    fn accept(&mut self)
    -> impl Future<Output = io::Result<(Self::Stream, Option<IpAddr>)>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Option<IpAddr>)> {
        let (stream, peer) = TcpListener::accept(self).await?;
        // Responses are small and should leave at once. A failure only delays them.
        let _ = stream.set_nodelay(true);
        Ok((stream, Some(peer.ip())))
    }
}

struct Server {
    service: HttpService,
    connections: Arc<Connections>,
    keep_alive: Duration,
    tasks: TaskTracker,
}

/// Serves HTTP/1.1 on a listener until `shutdown` resolves, then answers the requests in flight.
///
/// Each request carries its `Arc<Connection>` as an extension. An idle connection is closed after
/// `keep_alive`.
pub(crate) async fn serve(
    mut listener: impl Listener,
    connections: Arc<Connections>,
    keep_alive: Duration,
    service: HttpService,
    shutdown: impl Future<Output = ()>,
) {
    let server = Server {
        service,
        connections,
        keep_alive,
        tasks: TaskTracker::new(),
    };
    tokio::select! {
        () = server.accept(&mut listener) => {}
        () = shutdown => {}
    }
    drop(listener);
    server.drain().await;
}

impl Server {
    async fn accept(&self, listener: &mut impl Listener) {
        let mut throttle = LogThrottle::new(ACCEPT_LOG_INTERVAL);
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.serve(stream, peer).await,
                Err(error) if is_connection_error(&error) => {}
                Err(error) => {
                    if let Some(times) = throttle.record() {
                        tracing::warn!(%error, times, "a connection cannot be accepted");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Option<IpAddr>,
    ) {
        let Ok(guard) = self.connections.admit(peer).await else {
            tracing::debug!("a connection is refused: there are too many");
            return;
        };
        let serving = serve_connection(stream, guard, self.service.clone(), self.keep_alive);
        self.tasks.spawn(serving);
    }

    async fn drain(self) {
        self.connections.drain();
        self.tasks.close();
        let drained = tokio::time::timeout(DRAIN_TIMEOUT, self.tasks.wait());
        if drained.await.is_err() {
            let connections = self.tasks.len();
            tracing::warn!(connections, "the drain is over, connections are cut");
            self.connections.close();
            self.tasks.wait().await;
        }
    }
}

/// Whether accepting failed because of that one connection.
fn is_connection_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};

    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
