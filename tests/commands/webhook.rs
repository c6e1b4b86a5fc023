//! An agent whose replies the test writes, piece by piece.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde_json::{Value, json};

/// Longer waits fail the test.
const LIMIT: Duration = Duration::from_mins(1);

/// The server behind the agent.
#[derive(Debug)]
pub(crate) struct Webhook {
    url: String,
    calls: Receiver<Call>,
}

/// A message that waits for its reply. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct Call {
    /// What the user said.
    pub(crate) said: String,
    stream: TcpStream,
}

impl Webhook {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (sender, calls) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let call = Call::read(stream.expect("a connection"));
                if call.is_some_and(|call| sender.send(call).is_err()) {
                    break;
                }
            }
        });
        Self { url, calls }
    }

    /// Writes the character file of an agent that this answers for.
    pub(crate) fn write_character(&self, data_dir: &Path, name: &str) {
        let directory = data_dir.join("agents");
        std::fs::create_dir_all(&directory).expect("a directory");
        let backend = json!({ "type": "webhook", "url": self.url });
        let character = json!({ "name": name, "settings": { "backend": backend } });
        let path = directory.join(format!("{name}.json"));
        std::fs::write(path, character.to_string()).expect("a file");
    }

    /// Waits for the next message.
    pub(crate) fn next(&self) -> Call {
        self.calls.recv_timeout(LIMIT).expect("a message")
    }
}

impl Call {
    fn read(stream: TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim().to_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let body: Value = serde_json::from_slice(&body).ok()?;
        let said = body["message"]["content"].as_str()?.to_owned();
        Some(Self { said, stream })
    }

    fn write(&mut self, text: &str) {
        // The server may have closed the connection.
        let _ = self.stream.write_all(text.as_bytes());
    }

    /// Begins a reply that is streamed.
    pub(crate) fn begin(mut self) -> Self {
        self.write(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n",
        );
        self
    }

    /// Says the next words.
    pub(crate) fn say(&mut self, text: &str) {
        self.event("chunk", &json!({ "chunk": text }));
    }

    pub(crate) fn event(&mut self, name: &str, data: &Value) {
        self.write(&format!("event: {name}\ndata: {data}\n\n"));
    }

    /// Ends a reply that was begun.
    pub(crate) fn end(mut self) {
        self.write("data: [DONE]\n\n");
    }

    /// Refuses to reply.
    pub(crate) fn refuse(self, reason: &str) {
        self.respond(422, &json!({ "error": { "message": reason } }));
    }

    /// Replies at once.
    pub(crate) fn answer(self, reply: &Value) {
        self.respond(200, reply);
    }

    fn respond(mut self, status: u16, body: &Value) {
        let body = body.to_string();
        let length = body.len();
        self.write(&format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n{body}"
        ));
    }
}
