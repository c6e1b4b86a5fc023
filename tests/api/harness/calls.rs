//! Calls of the API, as methods of the test server.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::answer::{Answer, answer};
use super::server::{SCRIPTED, SESSIONS, START, Server, UNKNOWN_ID, USER};
use super::sse::Events;

/// Returns a path below a session's.
pub(crate) fn at(session: &str, rest: &str) -> String {
    format!("{SESSIONS}/{session}{rest}")
}

/// Returns the time that long after the start, as the API writes it.
pub(crate) fn time(since_start: Duration) -> String {
    let since_start = i64::try_from(since_start.as_millis()).unwrap();
    sessiond::domain::time::Timestamp(START.0 + since_start).to_string()
}

/// Returns the last millisecond before a time.
pub(crate) fn just_before(time: Duration) -> Duration {
    time.saturating_sub(Duration::from_millis(1))
}

/// Polls until there is a value. Only for what the server does in the background.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..2000 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never happened: {what}");
}

impl Server {
    /// Returns a request to be completed and sent.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client()
            .request(method, format!("{}{path}", self.url()))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    /// Returns the body of a response that is not JSON.
    pub(crate) async fn get_bytes(&self, path: &str) -> Vec<u8> {
        let response = self.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.bytes().await.unwrap().into()
    }

    /// Returns the body of a response as text.
    pub(crate) async fn get_text(&self, path: &str) -> String {
        String::from_utf8(self.get_bytes(path).await).unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Value>) -> Answer {
        answer(self.request(Method::POST, path).json(&body.into())).await
    }

    pub(crate) async fn patch(&self, path: &str, body: impl Into<Value>) -> Answer {
        answer(self.request(Method::PATCH, path).json(&body.into())).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        answer(self.request(Method::DELETE, path)).await
    }

    // Sessions

    /// Returns a create request. The fields are added to the default ones, or replace them.
    pub(crate) fn creating(&self, fields: &Value) -> RequestBuilder {
        let mut body = json!({ "agentId": SCRIPTED, "userId": USER });
        let fields = fields.as_object().expect("fields are an object").clone();
        body.as_object_mut().unwrap().extend(fields);
        self.request(Method::POST, SESSIONS).json(&body)
    }

    /// Creates a session; see [`Self::creating`].
    pub(crate) async fn create(&self, fields: Value) -> Answer {
        answer(self.creating(&fields)).await
    }

    /// Creates a session and returns its id; see [`Self::creating`].
    pub(crate) async fn session_with(&self, fields: Value) -> String {
        let created = self.create(fields).await.expect(201);
        created.body["sessionId"].as_str().unwrap().to_owned()
    }

    /// Creates a session and returns its id.
    pub(crate) async fn session(&self) -> String {
        self.session_with(json!({})).await
    }

    /// Returns the session.
    pub(crate) async fn info(&self, session: &str) -> Value {
        self.get(&at(session, "")).await.expect(200).body
    }

    // Messages

    /// Returns a send request with these fields.
    pub(crate) fn sending(&self, session: &str, fields: &Value) -> RequestBuilder {
        self.request(Method::POST, &at(session, "/messages"))
            .json(fields)
    }

    /// Sends a message with these fields.
    pub(crate) async fn send(&self, session: &str, fields: Value) -> Answer {
        answer(self.sending(session, &fields)).await
    }

    /// Sends a message, waits for the reply and returns its text.
    pub(crate) async fn ask(&self, session: &str, content: &str) -> String {
        let sent = json!({ "content": content, "transport": "http" });
        let answer = self.send(session, sent).await.expect(201);
        let text = answer.body["agentResponse"]["text"].as_str();
        text.expect("a reply").to_owned()
    }

    /// Sends a message without waiting for the reply, and returns the message's id.
    pub(crate) async fn tell(&self, session: &str, content: &str) -> String {
        let sent = self.send(session, json!({ "content": content })).await;
        sent.expect(201).body["id"].as_str().unwrap().to_owned()
    }

    /// Sends a message with the transport `sse`.
    pub(crate) async fn stream(&self, session: &str, content: &str) -> Events {
        let sent = json!({ "content": content, "transport": "sse" });
        Events::open(self.sending(session, &sent)).await
    }

    /// Sends a message with the transport `sse` and returns after the reply's first chunk, so that
    /// the turn has certainly begun.
    pub(crate) async fn begin(&self, session: &str, content: &str) -> Events {
        let mut events = self.stream(session, content).await;
        events.expect("user_message").await;
        events.expect("chunk").await;
        events
    }

    /// Sends a message with the transport `http` in a task of its own; see [`Self::settle`].
    pub(crate) fn wait_for(&self, session: &str, content: &str) -> JoinHandle<Answer> {
        let sent = json!({ "content": content, "transport": "http" });
        tokio::spawn(answer(self.sending(session, &sent)))
    }

    /// Returns all messages of a session that is active or retained, oldest first.
    pub(crate) async fn history(&self, session: &str) -> Vec<Value> {
        let path = format!("/api/messaging/channels/{session}/messages?limit=100");
        let page = self.get(&path).await.expect(200).body;
        assert_eq!(page["hasMore"], false, "the history fits on one page");
        let messages = page["messages"].as_array().unwrap();
        messages.iter().rev().cloned().collect()
    }

    /// As [`Self::history`], once there are this many messages.
    pub(crate) async fn history_of(&self, session: &str, count: usize) -> Vec<Value> {
        eventually(&format!("{count} messages"), async || {
            let messages = self.history(session).await;
            (messages.len() >= count).then_some(messages)
        })
        .await
    }

    /// Waits until the server has processed earlier calls: these calls pass through all of its
    /// queues.
    pub(crate) async fn settle(&self) {
        let path = at(UNKNOWN_ID, "/heartbeat");
        for _ in 0..3 {
            self.post(&path, Value::Null).await.expect(404);
        }
    }
}

/// Returns the contents of messages.
pub(crate) fn contents(messages: &[Value]) -> Vec<&str> {
    let contents = messages.iter().map(|message| &message["content"]);
    contents.map(|content| content.as_str().unwrap()).collect()
}
