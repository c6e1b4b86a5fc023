//! A stream that keeps its connection counted, also after it was upgraded to a WebSocket, that
//! fails when its client takes nothing of what it is sent, and that hands on no head which has
//! both a `Content-Length` and a `Transfer-Encoding`.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::head_timer::Reads;
use super::lengths::LengthHeaders;
use crate::guard::connections::Admission;

/// How long a client may take nothing while there is something for it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Stands for the rest of a head that is refused, and of all that comes behind it: no head may have
/// such a byte, so that hyper answers 400 and closes the connection.
const REFUSED: &[u8] = b"\0\r\n\r\n";

pub(super) struct Counted<S = TcpStream> {
    stream: S,
    lengths: LengthHeaders,
    /// What is left to be read of [`REFUSED`], once a head is refused.
    refused: Option<&'static [u8]>,
    reads: Reads,
    /// Runs while a write waits.
    patience: Option<Pin<Box<Sleep>>>,
    _admission: Admission,
}

impl<S> Counted<S> {
    pub(super) fn new(stream: S, admission: Admission, reads: Reads) -> Self {
        Self {
            stream,
            lengths: LengthHeaders::default(),
            refused: None,
            reads,
            patience: None,
            _admission: admission,
        }
    }

    /// What becomes of a write: one that waits too long fails.
    fn patiently<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.patience = None;
            return written;
        }
        let patience = self
            .patience
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_TIMEOUT)));
        ready!(patience.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Hands out as many bytes as there is room for.
fn hand_out(bytes: &mut &'static [u8], buf: &mut ReadBuf<'_>) {
    let (now, later) = bytes.split_at(bytes.len().min(buf.remaining()));
    buf.put_slice(now);
    *bytes = later;
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(rest) = &mut self.refused {
            hand_out(rest, buf);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.reads.arrived();
        }
        if let Some(at) = self.lengths.conflict(&buf.filled()[before..]) {
            buf.set_filled(before + at);
            hand_out(self.refused.insert(REFUSED), buf);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.patiently(cx, written)
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
        self.patiently(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::super::head_timer::HeadTimer;
    use super::*;
    use crate::guard::address::TrustedProxies;
    use crate::guard::connections::Connections;

    fn stream() -> (Counted<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (server, client) = tokio::io::duplex(8);
        let connections = Connections::new(1, TrustedProxies::default());
        let admission = Arc::new(connections).admit([127, 0, 0, 1].into()).unwrap();
        let reads = HeadTimer::new().reads();
        (Counted::new(server, admission, reads), client)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (mut server, _client) = stream();
        let error = server.write_all(&[0; 9]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_a_little_now_and_then_is_served_to_the_end() {
        let (mut server, mut client) = stream();
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
