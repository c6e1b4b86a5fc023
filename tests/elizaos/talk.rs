//! A sessiond with agents that are backed by the real `ElizaOS` server.

use std::fs;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

use crate::process::{AGENT, ElizaOs};
use crate::support::server::{Builder, Server};

const SESSIONS: &str = "/api/messaging/sessions";

/// The agents of sessiond, one for each transport.
pub(crate) const HTTP: &str = "a6e27000-0000-0000-0000-000000000001";
pub(crate) const SSE: &str = "a6e27000-0000-0000-0000-000000000002";

/// The idle timeout for that server's streams.
pub(crate) const IDLE: Duration = Duration::from_secs(2);

/// A sessiond in front of an `ElizaOS` server.
pub(crate) struct Talk {
    pub(crate) server: Server,
    client: Client,
}

/// A session of sessiond.
#[derive(Clone)]
pub(crate) struct Session(String);

impl Talk {
    pub(crate) fn start(eliza: &ElizaOs) -> Self {
        Self::with(setup(eliza, &[(HTTP, "http"), (SSE, "sse")]))
    }

    /// Starts a sessiond that was set up before.
    pub(crate) fn with(setup: Builder) -> Self {
        // reqwest requires a TLS provider, although no test uses TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            server: setup.start(),
            client: Client::new(),
        }
    }

    pub(crate) async fn session(&self, agent: &str) -> Session {
        let user = uuid::Uuid::new_v4();
        self.create(&json!({ "agentId": agent, "userId": user }))
            .await
    }

    /// Creates a session that continues another one.
    pub(crate) async fn continued(&self, agent: &str, user: &str, from: &str) -> Session {
        let from = json!({ "sessionId": from });
        let body = json!({ "agentId": agent, "userId": user, "continueFrom": from });
        self.create(&body).await
    }

    async fn create(&self, body: &Value) -> Session {
        let response = self.call(Method::POST, SESSIONS, body).await;
        assert_eq!(response.status(), 201);
        let session: Value = response.json().await.expect("a session");
        Session(session["sessionId"].as_str().expect("an id").to_owned())
    }

    /// Sends a message and returns the status and body of the answer.
    pub(crate) async fn send(&self, session: &Session, content: &str) -> (u16, Value) {
        let body = json!({ "content": content, "transport": "http" });
        let path = format!("{SESSIONS}/{}/messages", session.0);
        let response = self.call(Method::POST, &path, &body).await;
        let status = response.status().as_u16();
        (status, response.json().await.expect("a JSON body"))
    }

    /// Sends a message and returns the text of the reply and its latency.
    pub(crate) async fn ask(&self, session: &Session, content: &str) -> (String, Duration) {
        let start = Instant::now();
        let (status, body) = self.send(session, content).await;
        assert_eq!(status, 201, "{body:#}");
        let text = body["agentResponse"]["text"].as_str();
        (text.expect("a text").to_owned(), start.elapsed())
    }

    /// Returns the messages of a session, also of an expired one, oldest first.
    pub(crate) async fn transcript(&self, session: &str) -> Vec<Value> {
        let path = format!("/api/messaging/channels/{session}/messages");
        let response = self.call(Method::GET, &path, &json!({})).await;
        let mut page: Value = response.json().await.expect("a page");
        let messages = page["messages"].as_array_mut().expect("messages");
        messages.reverse();
        std::mem::take(messages)
    }

    pub(crate) async fn heartbeat(&self, session: &Session) {
        let path = format!("{SESSIONS}/{}/heartbeat", session.0);
        let response = self.call(Method::POST, &path, &json!({})).await;
        assert_eq!(response.status(), 200);
    }

    pub(crate) async fn delete(&self, session: &Session) {
        let path = format!("{SESSIONS}/{}", session.0);
        let response = self.call(Method::DELETE, &path, &json!({})).await;
        assert_eq!(response.status(), 200);
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Response {
        let request = self.client.request(method, self.server.at(path));
        request.json(body).send().await.expect("an answer")
    }

    /// Returns the number of sessions on the `ElizaOS` server, and of requests that it still
    /// accepts.
    pub(crate) async fn theirs(&self, eliza: &ElizaOs) -> (u64, u64) {
        let url = format!("{}{SESSIONS}", eliza.url());
        let response = self.client.get(url).send().await.expect("an answer");
        let left = response.headers().get("ratelimit-remaining");
        let left = left.and_then(|left| left.to_str().ok()?.parse().ok());
        let body: Value = response.json().await.expect("its sessions");
        (
            body["total"].as_u64().expect("a count"),
            left.expect("a limit"),
        )
    }
}

/// Sets up a sessiond with an agent for each of these transports.
pub(crate) fn setup(eliza: &ElizaOs, agents: &[(&str, &str)]) -> Builder {
    let setup = Server::builder().env("RUST_LOG", "sessiond=debug");
    let directory = setup.data_dir().join("agents");
    fs::create_dir_all(&directory).expect("a directory can be created");
    for (id, transport) in agents {
        let backend = json!({
            "type": "elizaos", "baseUrl": eliza.url(), "agentId": AGENT, "transport": transport,
            "idleTimeoutSeconds": IDLE.as_secs(), "maxConcurrency": 1,
        });
        let character = json!({
            "id": id, "name": transport, "bio": "Rules.", "settings": { "backend": backend },
        });
        let file = directory.join(format!("{transport}.json"));
        fs::write(file, character.to_string()).expect("a file can be written");
    }
    setup
}
