//! A stand-in for the server behind an agent. It passes each request to the test, which writes the
//! answer byte by byte.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::harness::{SCRIPTED, Server};
use crate::support::server::{Builder as Setup, Finished};

/// Longer waits fail the test.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// How long to wait for something that must not happen.
const QUIET: Duration = Duration::from_millis(150);

/// An agent's id, other than the scripted one's.
pub(crate) const AGENT: &str = "a6e27000-0000-0000-0000-000000000001";

/// Another agent's id.
pub(crate) const OTHER: &str = "a6e27000-0000-0000-0000-000000000002";

pub(crate) struct StandIn {
    pub(crate) url: String,
    calls: mpsc::UnboundedReceiver<Call>,
    accepting: JoinHandle<()>,
}

/// A request with its connection, which is closed on drop.
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    head: String,
    pub(crate) body: Vec<u8>,
    stream: TcpStream,
}

impl StandIn {
    pub(crate) async fn start() -> Self {
        Self::at("127.0.0.1:0").await
    }

    /// Listens on this address.
    pub(crate) async fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, calls) = mpsc::unbounded_channel();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sender = sender.clone();
                tokio::spawn(async move {
                    stream.set_nodelay(true).unwrap();
                    // A client may disconnect before it sends a request.
                    if let Some(call) = Call::read(stream).await {
                        let _ = sender.send(call);
                    }
                });
            }
        });
        Self {
            url,
            calls,
            accepting,
        }
    }

    /// Waits for the next request.
    pub(crate) async fn next(&mut self) -> Call {
        let call = tokio::time::timeout(MAX_WAIT, self.calls.recv()).await;
        call.expect("the stand-in receives a request").unwrap()
    }

    /// Returns the next request if it has arrived.
    pub(crate) fn try_next(&mut self) -> Option<Call> {
        self.calls.try_recv().ok()
    }

    /// Asserts that no request comes.
    pub(crate) async fn expect_nothing(&mut self) {
        let call = tokio::time::timeout(QUIET, self.calls.recv()).await;
        if let Ok(Some(call)) = call {
            panic!("it received a request: {} {}", call.method, call.path);
        }
    }

    /// Returns the next request, while the server's clock is moved in small steps.
    pub(crate) async fn next_in_time(&mut self, server: &Server) -> Call {
        for _ in 0..2000 {
            let call = tokio::time::timeout(Duration::from_millis(5), self.calls.recv()).await;
            if let Ok(Some(call)) = call {
                return call;
            }
            server.advance(Duration::from_millis(20));
        }
        panic!("the stand-in receives no other request");
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Call {
    async fn read(mut stream: TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let mut body = bytes.split_off(end);
        let head = String::from_utf8(bytes).unwrap();
        let length = header_in(&head, "content-length").map_or(0, |text| text.parse().unwrap());
        while body.len() < length {
            if stream.read_buf(&mut body).await.ok()? == 0 {
                return None;
            }
        }
        let mut words = head.split(' ');
        Some(Self {
            method: words.next()?.to_owned(),
            path: words.next()?.to_owned(),
            head,
            body,
            stream,
        })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header_in(&self.head, name)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the request is JSON")
    }

    /// Answers with JSON.
    pub(crate) async fn answer(self, status: u16, body: &Value) {
        self.answer_with(
            status,
            &[("content-type", "application/json")],
            &body.to_string(),
        )
        .await;
    }

    /// Answers with these headers and this body.
    pub(crate) async fn answer_with(mut self, status: u16, headers: &[(&str, &str)], body: &str) {
        let headers = headers.iter().fold(String::new(), |text, (name, value)| {
            text + name + ": " + value + "\r\n"
        });
        let length = body.len();
        self.write(format!(
            "HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        ))
        .await;
    }

    /// Starts an event stream that ends with the connection.
    pub(crate) async fn open_stream(&mut self) {
        self.write(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n",
        )
        .await;
    }

    /// Starts an event stream in chunks, which is incomplete if the connection ends.
    pub(crate) async fn open_chunked_stream(&mut self) {
        self.write(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
        )
        .await;
    }

    /// Writes a chunk of a stream that [`Self::open_chunked_stream`] has started.
    pub(crate) async fn write_chunk(&mut self, text: &str) {
        self.write(format!("{:x}\r\n{text}\r\n", text.len())).await;
    }

    /// Writes a packet.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        // The client may have disconnected.
        let _ = self.stream.write_all(bytes.as_ref()).await;
        let _ = self.stream.flush().await;
    }

    /// Writes an event.
    pub(crate) async fn event(&mut self, name: &str, data: &Value) {
        self.write(format!("event: {name}\ndata: {data}\n\n")).await;
    }

    /// Writes a chunk of a completion.
    pub(crate) async fn delta(&mut self, text: &str) {
        let data = json!({ "choices": [{ "delta": { "content": text }, "finish_reason": null }] });
        self.write(format!("data: {data}\n\n")).await;
    }

    /// Ends a completion.
    pub(crate) async fn done(mut self) {
        self.write("data: [DONE]\n\n").await;
    }

    /// Answers with a whole completion.
    pub(crate) async fn complete(mut self, text: &str) {
        self.open_stream().await;
        self.delta(text).await;
        self.done().await;
    }

    /// Asserts that the client closes the connection.
    pub(crate) async fn expect_gone(mut self) {
        let mut rest = Vec::new();
        let gone = tokio::time::timeout(MAX_WAIT, self.stream.read_to_end(&mut rest)).await;
        // With or without an error.
        let _ = gone.expect("the client disconnects");
    }
}

fn header_in<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// Runs a command to its end while stand-ins answer it.
pub(crate) async fn run_beside(setup: &Setup, answering: impl Future<Output = ()>) -> Finished {
    std::thread::scope(|scope| {
        let running = scope.spawn(|| setup.run());
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(answering));
        running.join().unwrap()
    })
}

/// Returns a client for a server in its own process.
pub(crate) fn client() -> reqwest::Client {
    // The client needs a TLS provider, though no test uses TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// Returns a character with this backend.
pub(crate) fn character(id: &str, backend: &Value) -> Value {
    json!({
        "id": id,
        "name": format!("Agent {}", &id[35..]),
        "bio": "Answers.",
        "settings": { "backend": backend },
    })
}

/// Starts a server with an agent that has this backend.
pub(crate) async fn server_with(backend: Value) -> Server {
    assert_ne!(AGENT, SCRIPTED);
    Server::builder()
        .character("agent.json", &character(AGENT, &backend))
        .start()
        .await
}

impl Server {
    /// Creates a session with the agent [`AGENT`].
    pub(crate) async fn talk(&self) -> String {
        self.talk_to(AGENT).await
    }

    /// Creates a session with an agent. Nothing renews it, so that it has only events of its turns.
    pub(crate) async fn talk_to(&self, agent: &str) -> String {
        let timeouts = json!({ "autoRenew": false });
        self.session_with(json!({ "agentId": agent, "timeoutConfig": timeouts }))
            .await
    }

    /// Submits a reply with these fields beside the usual ones.
    pub(crate) async fn submit(&self, session: &str, fields: Value) -> crate::harness::Answer {
        let mut body = json!({
            "channel_id": session, "author_id": AGENT, "content": "Submitted.",
        });
        body.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        self.post("/api/messaging/submit", body).await
    }

    /// Returns the messages as pairs of content and `isAgent`, oldest first.
    pub(crate) async fn said(&self, session: &str) -> Vec<(String, bool)> {
        let messages = self.history(session).await;
        let said = messages.iter().map(|message| {
            let content = message["content"].as_str().unwrap().to_owned();
            (content, message["isAgent"].as_bool().unwrap())
        });
        said.collect()
    }
}

/// Returns messages to compare with [`Server::said`].
pub(crate) fn said(messages: &[(&str, bool)]) -> Vec<(String, bool)> {
    let owned = messages
        .iter()
        .map(|(content, is_agent)| ((*content).to_owned(), *is_agent));
    owned.collect()
}
