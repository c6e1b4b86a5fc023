//! Bytes over a socket, where a well-behaved client would be in the way.

use std::io::ErrorKind;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;

use super::server::Server;

/// What takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection.
pub(crate) struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// A response as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Wire {
    pub(crate) async fn open(server: &Server) -> Self {
        let address = server.url().trim_start_matches("http://");
        let stream = TcpStream::connect(address).await.unwrap();
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// Writes, as far as the server still wants to read.
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
    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        self.write(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"))
            .await;
        self.reply().await
    }

    /// The next response.
    pub(crate) async fn reply(&mut self) -> Reply {
        let head = self.skip_head().await;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = header(&head, "content-length").map_or(0, |text| text.parse().unwrap());
        while self.unread.len() < length {
            assert!(self.read().await, "a body of {length}: {:?}", self.unread);
        }
        let body = self.unread.drain(..length).collect();
        Reply { status, head, body }
    }

    /// The next response's head, in lower case, where no body follows.
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

    /// Asserts that the server closes the connection with nothing more to say.
    pub(crate) async fn expect_close(&mut self) {
        while self.read().await {}
        let rest = String::from_utf8_lossy(&self.unread);
        assert!(rest.is_empty(), "more came: {rest}");
    }

    /// Reads to the end, however long that takes; returns how much came.
    pub(crate) async fn drain_at_leisure(&mut self) -> usize {
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

    /// Reads some more; false at the end, however the connection ended.
    async fn read(&mut self) -> bool {
        let mut bytes = vec![0; 16 * 1024];
        loop {
            let readable = tokio::time::timeout(PATIENCE, self.stream.readable()).await;
            readable.expect("the server does something").unwrap();
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

impl Reply {
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
