//! A client that sends arbitrary bytes: HTTP and WebSocket by hand.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::support::server::Server;

/// A longer wait is a failure. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// A receive buffer that is quickly full, in bytes.
const SMALL_BUFFER: u32 = 4096;

/// A connection to a server.
pub(crate) struct Raw {
    stream: TcpStream,
    host: String,
}

impl Raw {
    pub(crate) async fn open(server: &Server) -> Self {
        Self::try_open(server).await.expect("the server accepts")
    }

    /// Connects, if the server accepts.
    pub(crate) async fn try_open(server: &Server) -> Option<Self> {
        let host = server.url().trim_start_matches("http://").to_owned();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(SMALL_BUFFER).unwrap();
        let connecting = socket.connect(host.parse().unwrap());
        let stream = timeout(PATIENCE, connecting).await.ok()?.ok()?;
        Some(Self { stream, host })
    }

    /// Sends bytes. Returns whether the server accepted all of them.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        let sent = timeout(PATIENCE, self.stream.write_all(bytes)).await;
        sent.is_ok_and(|sent| sent.is_ok())
    }

    /// Sends the head of a request.
    pub(crate) async fn head(&mut self, line: &str, more: &str) -> bool {
        let head = format!("{line} HTTP/1.1\r\nhost: {}\r\n{more}\r\n", self.host);
        self.send(head.as_bytes()).await
    }

    /// Reads until the response so far passes a check. Returns `None` if it never does.
    pub(crate) async fn read_until(&mut self, found: impl Fn(&str) -> bool) -> Option<String> {
        let mut read = Vec::new();
        let reading = async {
            loop {
                let text = String::from_utf8_lossy(&read).into_owned();
                if found(&text) {
                    return Some(text);
                }
                match self.stream.read_buf(&mut read).await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        };
        timeout(PATIENCE, reading).await.ok()?
    }

    /// Requests a path, and reads the response.
    pub(crate) async fn get(&mut self, path: &str, more: &str) -> Option<String> {
        let line = format!("GET {path}");
        if !self.head(&line, more).await {
            return None;
        }
        self.read_until(is_complete).await
    }

    /// Upgrades to an Engine.IO WebSocket, not authenticated yet.
    pub(crate) async fn upgrade(&mut self) -> bool {
        let more = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let target = "GET /socket.io/?EIO=4&transport=websocket";
        if !self.head(target, more).await {
            return false;
        }
        let opened = self.read_until(|text| text.contains("\"sid\"")).await;
        opened.is_some_and(|text| text.starts_with("HTTP/1.1 101 "))
    }

    /// Sends a text frame.
    pub(crate) async fn text(&mut self, text: &str) -> bool {
        let length = u16::try_from(text.len()).unwrap();
        // Masked, with 16 bits of length; a mask of zeros leaves the text as it is.
        let mut frame = vec![0x81, 0xfe];
        frame.extend(length.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        self.send(&frame).await
    }

    /// Connects to Socket.IO.
    pub(crate) async fn connect(&mut self) -> bool {
        self.text("40").await
            && self
                .read_until(|text| text.contains("connection_established"))
                .await
                .is_some()
    }

    /// Whether the server ends the connection within this time.
    pub(crate) async fn ends_within(&mut self, limit: Duration) -> bool {
        let mut rest = [0; 4096];
        let ended = async { while !matches!(self.stream.read(&mut rest).await, Ok(0) | Err(_)) {} };
        timeout(limit, ended).await.is_ok()
    }
}

/// Whether a response is complete: its head, and its body if that has a length.
fn is_complete(response: &str) -> bool {
    let Some((head, body)) = response.split_once("\r\n\r\n") else {
        return false;
    };
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| body.len() >= length.parse().unwrap())
}
