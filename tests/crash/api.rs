//! A client of the API that distinguishes answers from lost ones.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use sessiond::agents::character::ELIZA_ID;

/// An answer that takes longer is lost. Generous, since a test machine may be busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// No answer was received, or only a part of it.
#[derive(Debug)]
pub(crate) struct Lost;

impl From<reqwest::Error> for Lost {
    fn from(_: reqwest::Error) -> Self {
        Self
    }
}

/// The API of a running server.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    http: Client,
    server: String,
    base: String,
}

/// An answer of the server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether an earlier call with the same key had this effect.
    pub(crate) is_replayed: bool,
    pub(crate) body: Value,
}

impl Api {
    pub(crate) fn new(server: &str) -> Self {
        // The client supports TLS and needs a provider for it, although no test uses it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .expect("a client can be created");
        Self {
            http,
            server: server.to_owned(),
            base: format!("{server}/api/messaging/sessions"),
        }
    }

    /// Returns a request to a path below that of the sessions.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.request(Method::POST, path).json(body)
    }

    /// Creates a session of the built-in agent.
    pub(crate) fn create(&self, user: &str) -> RequestBuilder {
        self.post(
            "",
            &serde_json::json!({ "agentId": ELIZA_ID.to_string(), "userId": user }),
        )
    }

    /// Creates a session of the built-in agent that continues another.
    pub(crate) fn continuing(&self, user: &str, source: &str) -> RequestBuilder {
        let from = serde_json::json!({ "sessionId": source });
        let agent = ELIZA_ID.to_string();
        self.post(
            "",
            &serde_json::json!({ "agentId": agent, "userId": user, "continueFrom": from }),
        )
    }

    /// Returns the lines of a session.
    pub(crate) async fn export(&self, session: &str) -> Result<String, Lost> {
        let url = format!("{}/api/admin/export?session={session}", self.server);
        let answer = self.http.get(url).send().await?.error_for_status()?;
        Ok(answer.text().await?)
    }

    /// Imports lines.
    pub(crate) fn import(&self, lines: &str) -> RequestBuilder {
        let url = format!("{}/api/admin/import", self.server);
        let request = self.http.post(url).body(lines.to_owned());
        request.header("Content-Type", "application/x-ndjson")
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer, Lost> {
        answer(self.request(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, session: &str) -> Result<Answer, Lost> {
        answer(self.request(Method::DELETE, &format!("/{session}"))).await
    }

    pub(crate) async fn erase_user(&self, user: &str) -> Result<Answer, Lost> {
        answer(self.request(Method::DELETE, &format!("?userId={user}"))).await
    }

    /// Returns all messages of a session, oldest first.
    pub(crate) async fn history(&self, session: &str) -> Result<Vec<Value>, Lost> {
        let mut messages = Vec::new();
        let mut before = String::new();
        loop {
            let path = format!("/{session}/messages?limit=100{before}");
            let page = self.get(&path).await?.expect(200);
            let items = page["messages"].as_array().expect("a list of messages");
            messages.extend(items.iter().cloned());
            if page["hasMore"] == false {
                messages.reverse();
                return Ok(messages);
            }
            before = format!("&before={}", page["cursors"]["before"]);
        }
    }
}

impl Answer {
    /// Returns the body of an answer, which must have this status.
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }
}

/// Sends a request and reads the whole answer.
pub(crate) async fn answer(request: RequestBuilder) -> Result<Answer, Lost> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let is_replayed = response.headers().contains_key("idempotent-replayed");
    let body = response.bytes().await?;
    Ok(Answer {
        status,
        is_replayed,
        body: serde_json::from_slice(&body).expect("every answer is JSON"),
    })
}

/// Returns a member, which must be a string.
pub(crate) fn text(value: &Value, member: &str) -> String {
    match value[member].as_str() {
        Some(text) => text.to_owned(),
        None => panic!("{member} is not a string in {value}"),
    }
}

/// Returns a member, which must be a number.
pub(crate) fn number(value: &Value, member: &str) -> u64 {
    match value[member].as_u64() {
        Some(number) => number,
        None => panic!("{member} is not a number in {value}"),
    }
}
