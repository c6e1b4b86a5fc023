//! HTTP as bytes over a socket, for requests that a well-behaved client cannot send.

use std::io::ErrorKind;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;

use super::server::Server;

/// The longest that a read may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A TCP connection to the server.
pub(crate) struct RawConnection {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// A response as received.
#[derive(Debug)]
pub(crate) struct RawResponse {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl RawConnection {
    pub(crate) async fn open(server: &Server) -> Self {
        let address = server.url().trim_start_matches("http://");
        let stream = TcpStream::connect(address).await.unwrap();
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// Writes bytes; stops without an error if the server closes the connection.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let mut bytes = bytes.as_ref();
        while !bytes.is_empty() {
            self.stream.writable().await.unwrap();
            match self.stream.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    /// Sends a request without a body and reads the response.
    pub(crate) async fn get(&mut self, path: &str) -> RawResponse {
        self.write(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"))
            .await;
        self.reply().await
    }

    /// Reads the next response.
    pub(crate) async fn reply(&mut self) -> RawResponse {
        let head = self.skip_head().await;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = header(&head, "content-length").map_or(0, |text| text.parse().unwrap());
        while self.unread.len() < length {
            assert!(self.read().await, "a body of {length}: {:?}", self.unread);
        }
        let body = self.unread.drain(..length).collect();
        RawResponse { status, head, body }
    }

    /// Reads the head of a response without a body, and returns it in lower case.
    pub(crate) async fn skip_head(&mut self) -> String {
        let end = loop {
            let end = self
                .unread
                .windows(4)
                .position(|bytes| bytes == b"\r\n\r\n");
            match end {
                Some(end) => break end + 4,
                None => assert!(self.read().await, "no response: {:?}", self.unread),
            }
        };
        let head: Vec<u8> = self.unread.drain(..end).collect();
        String::from_utf8(head).unwrap().to_ascii_lowercase()
    }

    /// Asserts that the server closes the connection without sending more.
    pub(crate) async fn expect_close(&mut self) {
        while self.read().await {}
        let rest = String::from_utf8_lossy(&self.unread);
        assert!(rest.is_empty(), "unexpected bytes: {rest}");
    }

    /// Reads to the end without a time limit, and returns the number of bytes.
    pub(crate) async fn drain(&mut self) -> usize {
        let mut bytes = vec![0; 64 * 1024];
        let mut count = 0;
        loop {
            if self.stream.readable().await.is_err() {
                return count;
            }
            match self.stream.try_read(&mut bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return count,
                Ok(read) => count += read,
            }
        }
    }

    /// Reads more; returns false at the end or when the connection was reset.
    async fn read(&mut self) -> bool {
        let mut bytes = vec![0; 16 * 1024];
        loop {
            let readable = tokio::time::timeout(TIMEOUT, self.stream.readable()).await;
            readable
                .expect("the server sends or closes in time")
                .unwrap();
            match self.stream.try_read(&mut bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => {
                    let count = read.unwrap_or(0);
                    self.unread.extend(&bytes[..count]);
                    return count > 0;
                }
            }
        }
    }
}

impl RawResponse {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}
