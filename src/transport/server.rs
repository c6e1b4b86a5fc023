//! The accept loop and the shutdown of a listener.

use std::io;
use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use super::http::{HttpService, serve_connection};
use crate::connections::Connections;
use crate::telemetry::LogThrottle;

/// How long requests in flight may take during a shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause after a failed accept, most often for lack of a file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The interval in which failed accepts are logged once.
const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(10);

pub(crate) trait Listener {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Accepts a connection. Returns its peer's address too, `None` over the Unix socket.
    fn accept(&mut self)
    -> impl Future<Output = io::Result<(Self::Stream, Option<IpAddr>)>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Option<IpAddr>)> {
        let (stream, peer) = TcpListener::accept(self).await?;
        // Small responses are sent immediately. A failure only delays them.
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
/// Each request carries its `Arc<Connection>` as an extension. Idle connections are closed after
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
                // These concern only that connection.
                Err(error)
                    if matches!(
                        error.kind(),
                        ConnectionAborted | ConnectionRefused | ConnectionReset
                    ) => {}
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
            tracing::debug!("a connection was refused: there are too many");
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
            tracing::warn!(connections, "the drain timed out; closing the connections");
            self.connections.close();
            self.tasks.wait().await;
        }
    }
}
