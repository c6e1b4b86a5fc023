//! The byte stream of a WebSocket: counts bytes, and fails when its connection is closed.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::session::EngineSession;
use crate::connections::Connection;

/// An upgraded connection and the session that it serves. Dropping it ends the session.
pub(super) struct SocketStream<S = TokioIo<Upgraded>> {
    stream: S,
    session: Arc<EngineSession>,
    /// Wakes the task that reads when the connection is closed.
    closed_to_reader: Closed,
    /// Wakes the task that writes when the connection is closed.
    closed_to_writer: Closed,
    frames: Frames,
}

type Closed = Pin<Box<WaitForCancellationFutureOwned>>;

impl<S> SocketStream<S> {
    pub(super) fn new(stream: S, connection: &Connection, session: Arc<EngineSession>) -> Self {
        Self {
            stream,
            session,
            closed_to_reader: Box::pin(connection.closed_owned()),
            closed_to_writer: Box::pin(connection.closed_owned()),
            frames: Frames::default(),
        }
    }
}

impl<S> Drop for SocketStream<S> {
    fn drop(&mut self) {
        self.session.end();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for SocketStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.closed_to_reader.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        let is_allowed = self.session.receive(read);
        Poll::Ready(is_allowed.map_err(|_| io::ErrorKind::OutOfMemory.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for SocketStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.closed_to_writer.as_mut().poll(cx).is_ready() {
            // Discarded: the WebSocket library would buffer what it cannot write, and reading fails
            // anyway.
            return Poll::Ready(Ok(buf.len()));
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        let text = self.frames.text_in(&buf[..written]);
        self.session.client.outbox.sent(text);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Parses the frames that are written (RFC 6455, 5.2), which are well formed. Only text counts as
/// sent: a client must not seem to read its messages because its pings are answered.
#[derive(Debug, Default)]
struct Frames {
    /// The bytes of the current frame's header so far.
    header: [u8; 10],
    header_length: usize,
    is_text: bool,
    /// The number of bytes left of the current frame's payload.
    payload: u64,
}

impl Frames {
    /// Returns how many of these bytes are payload of text frames.
    fn text_in(&mut self, mut bytes: &[u8]) -> usize {
        let mut text = 0;
        while let Some(byte) = bytes.first() {
            if self.payload == 0 {
                self.header_byte(*byte);
                bytes = &bytes[1..];
                continue;
            }
            let length =
                usize::try_from(self.payload).map_or(bytes.len(), |it| it.min(bytes.len()));
            if self.is_text {
                text += length;
            }
            self.payload -= length as u64;
            bytes = &bytes[length..];
        }
        text
    }

    fn header_byte(&mut self, byte: u8) {
        const TEXT: u8 = 0x1;

        self.header[self.header_length] = byte;
        self.header_length += 1;
        let [first, length, rest @ ..] = &self.header;
        let expected = match length & 0x7f {
            _ if self.header_length < 2 => return,
            126 => 4,
            127 => 10,
            _ => 2,
        };
        if self.header_length < expected {
            return;
        }
        self.is_text = first & 0x0f == TEXT;
        self.payload = match expected {
            2 => u64::from(length & 0x7f),
            more => rest[..more - 2]
                .iter()
                .fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        self.header_length = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode];
        match length {
            0..126 => frame.push(u8::try_from(length).unwrap()),
            126..0x1_0000 => {
                frame.push(126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        // Payloads that look like headers.
        frame.extend(std::iter::repeat_n(0x81, length));
        frame
    }

    #[test]
    fn text_is_counted_however_it_is_split_into_writes() {
        let lengths = [0, 1, 125, 126, 0xffff, 0x1_0000, 3];
        let written: Vec<_> = lengths
            .iter()
            .flat_map(|length| [frame(0x1, *length), frame(0xa, 100), frame(0x9, 0)].concat())
            .collect();
        for piece in [1, 7, 4096, written.len()] {
            let mut frames = Frames::default();
            let text: usize = written.chunks(piece).map(|it| frames.text_in(it)).sum();
            assert_eq!(text, lengths.iter().sum::<usize>(), "pieces of {piece}");
        }
    }
}
