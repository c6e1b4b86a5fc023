//! The stream of a connection. It holds the slot, also after an upgrade, and fails if the client
//! reads nothing.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::head_timer::HeadTimer;
use crate::connections::ConnectionGuard;

/// How long a write may wait for a client that reads nothing. The Unix socket has no limit.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct ConnectionStream<S> {
    stream: S,
    head_timer: HeadTimer,
    /// Set while a write waits.
    write_timer: Option<Pin<Box<Sleep>>>,
    guard: ConnectionGuard,
}

impl<S> ConnectionStream<S> {
    pub(super) fn new(stream: S, guard: ConnectionGuard, head_timer: HeadTimer) -> Self {
        Self {
            stream,
            head_timer,
            write_timer: None,
            guard,
        }
    }

    /// Makes a write that waits too long fail.
    fn limit_wait<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() || self.guard.connection().is_local() {
            self.write_timer = None;
            return written;
        }
        let timer = self
            .write_timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_TIMEOUT)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ConnectionStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.head_timer.bytes_read();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ConnectionStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.limit_wait(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.limit_wait(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;
    use crate::auth::address::TrustedProxies;
    use crate::connections::Connections;

    async fn stream() -> (ConnectionStream<DuplexStream>, DuplexStream) {
        let (server, client) = duplex(8);
        let connections = Arc::new(Connections::new(1, TrustedProxies::default()));
        let guard = connections
            .admit(std::net::IpAddr::from([127, 0, 0, 1]))
            .await
            .unwrap();
        let stream = ConnectionStream::new(server, guard, HeadTimer::new());
        (stream, client)
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_to_a_client_that_reads_nothing_times_out() {
        let (mut server, _client) = stream().await;
        let error = server.write_all(&[0; 9]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_over_the_unix_socket_may_pause() {
        let (server, mut client) = duplex(8);
        let connections = Arc::new(Connections::new(1, TrustedProxies::default()));
        let guard = connections.admit(None).await.unwrap();
        let mut server = ConnectionStream::new(server, guard, HeadTimer::new());
        let reading = tokio::spawn(async move {
            tokio::time::sleep(WRITE_TIMEOUT * 10).await;
            client.read_exact(&mut [0; 100]).await.unwrap();
        });
        server.write_all(&[0; 100]).await.unwrap();
        reading.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_receives_everything() {
        let (mut server, mut client) = stream().await;
        let reading = tokio::spawn(async move {
            for _ in 0..100 {
                tokio::time::sleep(WRITE_TIMEOUT.mul_f32(0.9)).await;
                client.read_u8().await.unwrap();
            }
        });
        server.write_all(&[0; 100]).await.unwrap();
        reading.await.unwrap();
    }
}
