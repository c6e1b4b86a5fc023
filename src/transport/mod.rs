//! The TCP side of the server: the accept loop, connection limits, timeouts and the drain.

mod head_timer;
#[cfg(test)]
mod hyper_tests;
mod lengths;
mod lingering;
mod stream;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
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
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt as _};

use self::head_timer::HeadTimer;
use self::lingering::linger;
use self::stream::Counted;
use crate::guard::connections::{Admission, Connections, Order, UnderWay};
use crate::telemetry::LogThrottle;

/// The most bytes of a request's head, and the most that is read ahead.
const MAX_HEAD: usize = 64 * 1024;

/// How long requests under way may take at a stop.
const DRAIN: Duration = Duration::from_secs(5);

/// How long to wait where the system has no room for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often failed accepts are logged.
const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Serves HTTP/1.1 on a listener until `shutdown` resolves, then answers the requests in flight.
///
/// Each request carries its `Arc<Connection>` as an extension. An idle connection is closed after
/// `keep_alive`.
pub(crate) async fn serve<S>(
    listener: TcpListener,
    connections: Arc<Connections>,
    keep_alive: Duration,
    service: S,
    shutdown: impl Future<Output = ()>,
) where
    S: HttpService,
{
    let server = Server {
        connections,
        keep_alive,
        service,
        tasks: TaskTracker::new(),
    };
    tokio::select! {
        () = server.accept(&listener) => {}
        () = shutdown => {}
    }
    drop(listener);
    server.drain().await;
}

/// What answers the requests of all connections.
pub(crate) trait HttpService:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
    + Clone
    + Send
    + 'static
{
}

impl<S> HttpService for S where
    S: Service<
            Request<Body>,
            Response = Response<Body>,
            Error = Infallible,
            Future: Send + 'static,
        > + Clone
        + Send
        + 'static
{
}

struct Server<S> {
    service: S,
    connections: Arc<Connections>,
    keep_alive: Duration,
    tasks: TaskTracker,
}

impl<S: HttpService> Server<S> {
    async fn accept(&self, listener: &TcpListener) {
        let mut throttle = LogThrottle::new(ACCEPT_LOG_INTERVAL);
        loop {
            self.connections.settled().await;
            match listener.accept().await {
                Ok((stream, peer)) => self.serve(stream, peer),
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => {
                    if let Some(times) = throttle.record() {
                        tracing::warn!(%error, times, "a connection cannot be accepted");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        let Ok(admission) = self.connections.admit(peer.ip()) else {
            tracing::debug!("a connection is turned away: there are too many");
            return;
        };
        // Answers are small and are to leave at once. A failure costs some delay, no more.
        let _ = stream.set_nodelay(true);
        let service = self.service.clone();
        let serving = serve_connection(stream, service, admission, self.keep_alive);
        self.tasks.spawn(serving);
    }

    async fn drain(self) {
        self.connections.tell(Order::Drain);
        self.tasks.close();
        if tokio::time::timeout(DRAIN, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                connections = self.tasks.len(),
                "the drain is over, connections are cut"
            );
            self.connections.tell(Order::Close);
            self.tasks.wait().await;
        }
    }
}

async fn serve_connection<S: HttpService>(
    stream: TcpStream,
    service: S,
    admission: Admission,
    keep_alive: Duration,
) {
    let connection = Arc::clone(&admission.connection);
    let of_task = Arc::clone(&connection);
    let service = service_fn(move |request: Request<Incoming>| {
        let under_way = connection.begin();
        let mut request = linger(request);
        request.extensions_mut().insert(Arc::clone(&connection));
        let answering = service.clone().oneshot(request);
        async move {
            let response = answering.await?;
            Ok::<_, Infallible>(response.map(|body| Answer {
                body,
                _under_way: under_way,
            }))
        }
    });
    let head_timer = HeadTimer::new();
    let stream = Counted::new(stream, admission, head_timer.reads());
    let http = http1::Builder::new()
        .timer(head_timer)
        // It begins with the wait for a head, so that it is the time of an idle connection; the
        // timer shortens it once a head has begun.
        .header_read_timeout(keep_alive)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(http);
    let mut is_draining = false;
    // Polled by hand: two more futures in a `select!`, which are polled with every piece that is
    // read, cost more than to look at what the connection is told.
    let ended = poll_fn(|cx| {
        match of_task.told(cx) {
            Order::Close => return Poll::Ready(Ok(())),
            Order::Drain if !is_draining => {
                is_draining = true;
                http.as_mut().graceful_shutdown();
            }
            Order::Drain | Order::Serve => {}
        }
        http.as_mut().poll(cx)
    });
    let ended = ended.await;
    of_task.served();
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Whether an accept failed because of that one connection.
fn is_of_the_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};

    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// A response's body, during which its request is under way.
struct Answer {
    body: Body,
    _under_way: UnderWay,
}

impl http_body::Body for Answer {
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
