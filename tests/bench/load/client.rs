//! A minimal HTTP/1.1 client with one keep-alive connection: it shares the cores with the server
//! that it measures.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::ops::Range;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The longest head of an answer, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// A connection, between two requests.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    body: Vec<u8>,
}

/// How the end of a body is found.
enum Length {
    Bytes(usize),
    Chunked,
    None,
}

/// The parsed head of an answer.
struct Head {
    status: u16,
    length: Length,
    end: usize,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(16 * 1024),
            body: Vec::new(),
        })
    }

    /// Sends a request, reads the whole answer, and returns its status and body.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = self.head().await?;
        match head.length {
            Length::Bytes(bytes) => {
                let body = self.exactly(head.end..head.end + bytes).await?;
                Ok((head.status, &self.buffer[body]))
            }
            Length::Chunked => {
                self.chunks(head.end).await?;
                Ok((head.status, &self.body))
            }
            Length::None => Err(malformed("an answer has neither a length nor chunks")),
        }
    }

    /// Sends a request and passes what arrives to `heard`, until that returns false or the server
    /// closes.
    pub(crate) async fn follow(
        &mut self,
        request: &[u8],
        mut heard: impl FnMut(&[u8]) -> bool,
    ) -> Result<()> {
        self.stream.write_all(request).await?;
        loop {
            self.buffer.clear();
            if self.stream.read_buf(&mut self.buffer).await? == 0 || !heard(&self.buffer) {
                return Ok(());
            }
        }
    }

    async fn head(&mut self) -> Result<Head> {
        let mut searched = 0;
        loop {
            if let Some(end) = find(&self.buffer[searched..], b"\r\n\r\n") {
                return parse(&self.buffer[..searched + end + 2]);
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(malformed("the head of an answer does not end"));
            }
            searched = self.buffer.len().saturating_sub(3);
            self.more().await?;
        }
    }

    async fn chunks(&mut self, mut at: usize) -> Result<()> {
        self.body.clear();
        loop {
            let line = loop {
                if let Some(length) = find(&self.buffer[at..], b"\r\n") {
                    break at..at + length;
                }
                self.more().await?;
            };
            let start = line.end + 2;
            let size = std::str::from_utf8(&self.buffer[line])
                .ok()
                .and_then(|text| usize::from_str_radix(text.trim(), 16).ok())
                .ok_or_else(|| malformed("a chunk has no size"))?;
            let chunk = self.exactly(start..start + size).await?;
            self.exactly(start + size..start + size + 2).await?;
            if size == 0 {
                return Ok(());
            }
            self.body.extend_from_slice(&self.buffer[chunk]);
            at = start + size + 2;
        }
    }

    async fn exactly(&mut self, part: Range<usize>) -> Result<Range<usize>> {
        while self.buffer.len() < part.end {
            self.more().await?;
        }
        Ok(part)
    }

    async fn more(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

fn parse(head: &[u8]) -> Result<Head> {
    let status = head
        .get(9..12)
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| malformed("an answer has no status: is this HTTP?"))?;
    let mut length = if status == 204 {
        Length::Bytes(0)
    } else {
        Length::None
    };
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        if let Some(value) = value_of(line, b"content-length:") {
            let bytes = std::str::from_utf8(value)
                .ok()
                .and_then(|text| text.trim().parse().ok());
            length = Length::Bytes(
                bytes.ok_or_else(|| malformed("an answer's length is not a number"))?,
            );
        } else if value_of(line, b"transfer-encoding:").is_some() {
            length = Length::Chunked;
        }
    }
    Ok(Head {
        status,
        length,
        end: head.len() + 2,
    })
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn malformed(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}
