//! A stand-in for an `ElizaOS` server. The answers have the form of those that were recorded from
//! `@elizaos/server` 1.7.2.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// An agent of the server that sessiond has too: its built-in one.
pub(crate) const ELIZA: &str = "b850bc30-45f8-0041-a00a-83df46d8555d";

/// An agent of the server that sessiond does not have.
pub(crate) const RULES: &str = "bb11a8e3-f871-0e36-a7cd-9d1c615a4e3d";

/// The server's group of channels.
const DEFAULT_SERVER: &str = "00000000-0000-0000-0000-000000000000";

/// The time of the oldest messages.
pub(crate) const START: i64 = 1_796_027_195_000;

/// A channel with its participants and messages.
#[derive(Debug, Clone)]
pub(crate) struct Channel {
    pub(crate) details: Value,
    pub(crate) participants: Vec<String>,
    /// Oldest first.
    pub(crate) messages: Vec<Value>,
}

/// What the server has and does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    pub(crate) channels: Vec<Channel>,
    /// The key that requests need.
    pub(crate) key: Option<&'static str>,
    /// How many requests are refused because there were too many.
    pub(crate) too_many: usize,
    /// The server fails to read the messages of this channel.
    pub(crate) broken: Option<String>,
    /// The server refuses to read the messages of this channel.
    pub(crate) locked: Option<String>,
    /// The server accepts no request for the messages of this channel for 15 minutes.
    pub(crate) busy: Option<String>,
    /// The server does not answer a request for the messages of this channel while it is set.
    pub(crate) held: Option<String>,
    /// The server aborts its answer with the messages of this channel.
    pub(crate) cut_off: Option<String>,
    /// The server answers something else than the messages of this channel.
    pub(crate) garbled: Option<String>,
    /// The server fails to answer requests for this path.
    pub(crate) failing: Option<&'static str>,
    /// The name of its agent that sessiond does not have.
    pub(crate) agent: Option<String>,
}

struct Shared {
    content: Mutex<Content>,
    requests: Mutex<Vec<String>>,
}

/// The stand-in. It ends when it is dropped.
pub(crate) struct ElizaOs {
    pub(crate) url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl ElizaOs {
    pub(crate) async fn start(content: Content) -> Self {
        let shared = Arc::new(Shared {
            content: Mutex::new(content),
            requests: Mutex::default(),
        });
        let router = Router::new()
            .route("/api/agents", get(agents))
            .route("/api/messaging/message-servers", get(message_servers))
            .route(
                "/api/messaging/message-servers/{id}/channels",
                get(channels),
            )
            .route(
                "/api/messaging/channels/{id}/participants",
                get(participants),
            )
            .route("/api/messaging/channels/{id}/messages", get(messages))
            // What it does not know is the page of its client.
            .fallback(async || Html("<!doctype html>\n<html lang=\"en\"></html>"))
            .layer(axum::middleware::from_fn_with_state(
                Arc::clone(&shared),
                admit,
            ))
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves");
        });
        Self {
            url,
            shared,
            serving,
        }
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Content)) {
        change(&mut self.shared.content.lock().expect("no panic"));
    }

    /// Returns the paths that were requested since the last call.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.requests.lock().expect("no panic"))
    }
}

impl Drop for ElizaOs {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Channel {
    /// A channel of a session of the Sessions API, of which only the agent is a participant.
    pub(crate) fn of_session(id: &str, agent: &str, user: &str, metadata: &Value) -> Self {
        let session = "9c06406b-b133-449e-b596-333cba634406";
        let timeouts = json!({
            "autoRenew": false, "timeoutMinutes": 2000, "maxDurationMinutes": 20000,
            "warningThresholdMinutes": 7,
        });
        let mut all = json!({
            "userId": user, "agentId": agent, "sessionId": session, "timeoutConfig": timeouts,
        });
        for (name, value) in metadata.as_object().expect("an object") {
            all[name] = value.clone();
        }
        Self::new(id, &format!("session-{session}"), &[agent], &all)
    }

    pub(crate) fn new(id: &str, name: &str, participants: &[&str], metadata: &Value) -> Self {
        let at = time(START - 1000);
        Self {
            details: json!({
                "id": id, "messageServerId": DEFAULT_SERVER, "name": name, "type": "DM",
                "metadata": metadata, "createdAt": at, "updatedAt": at,
            }),
            participants: participants.iter().map(|&id| id.to_owned()).collect(),
            messages: Vec::new(),
        }
    }

    pub(crate) fn id(&self) -> &str {
        self.details["id"].as_str().expect("an id")
    }

    /// Adds a user's message. Messages of sessions repeat the metadata of their channel.
    pub(crate) fn user(mut self, id: &str, author: &str, at: i64, content: &str) -> Self {
        let mut metadata = self.details["metadata"].clone();
        metadata["user_display_name"] = "Ada".into();
        let message = self.message(id, author, at, content, "user", &metadata);
        self.messages.push(message);
        self
    }

    /// Adds an agent's reply.
    pub(crate) fn reply(mut self, id: &str, agent: &str, at: i64, content: &str, to: &str) -> Self {
        let metadata = json!({
            "isDm": true, "agent_id": agent, "agentName": "Eliza", "channelType": "DM",
            "thought": "A rule fits.", "actions": ["REPLY"],
        });
        let mut message = self.message(id, agent, at, content, "agent_response", &metadata);
        message["inReplyToRootMessageId"] = to.into();
        self.messages.push(message);
        self
    }

    fn message(
        &self,
        id: &str,
        author: &str,
        at: i64,
        content: &str,
        source: &str,
        metadata: &Value,
    ) -> Value {
        let text = time(at);
        json!({
            "id": id, "channelId": self.id(), "authorId": author, "content": content,
            "rawMessage": { "content": content }, "sourceType": source, "metadata": metadata,
            "inReplyToRootMessageId": null, "createdAt": text, "updatedAt": text,
            "created_at": at, "updated_at": at,
        })
    }
}

/// Returns a time as the server writes it.
pub(crate) fn time(millis: i64) -> String {
    sessiond::domain::time::Timestamp(millis).to_string()
}

async fn admit(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    shared
        .requests
        .lock()
        .expect("no panic")
        .push(uri.to_string());
    let (key, is_too_many, fails) = {
        let mut content = shared.content.lock().expect("no panic");
        let is_too_many = content.too_many > 0;
        content.too_many = content.too_many.saturating_sub(1);
        (
            content.key,
            is_too_many,
            content.failing == Some(uri.path()),
        )
    };
    if fails {
        return answer(
            StatusCode::INTERNAL_SERVER_ERROR,
            &json!({ "success": false }),
        );
    }
    if is_too_many {
        return too_many("1");
    }
    let given = headers.get("x-api-key").and_then(|key| key.to_str().ok());
    if key.is_some() && given != key {
        let body = json!({
            "error": "API key required", "message": "Missing or invalid X-API-KEY header",
        });
        return answer(StatusCode::UNAUTHORIZED, &body);
    }
    next.run(request).await
}

/// Returns the answer that there were too many requests, with the seconds to wait.
fn too_many(seconds: &'static str) -> Response {
    let error = json!({ "code": "RATE_LIMIT_EXCEEDED", "message": "Too many requests." });
    let body = json!({ "success": false, "error": error });
    let answer = answer(StatusCode::TOO_MANY_REQUESTS, &body);
    ([("RateLimit-Reset", seconds)], answer).into_response()
}

/// Returns an answer that is aborted.
fn cut_off() -> Response {
    let pieces = [Ok("{"), Err(std::io::Error::other("aborted"))];
    axum::body::Body::from_stream(futures_util::stream::iter(pieces)).into_response()
}

fn data(data: &Value) -> Response {
    answer(StatusCode::OK, &json!({ "success": true, "data": data }))
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let json = [(CONTENT_TYPE, "application/json; charset=utf-8")];
    (status, json, body.to_string()).into_response()
}

async fn agents(State(shared): State<Arc<Shared>>) -> Response {
    let name = shared.content.lock().expect("no panic").agent.clone();
    let name = name.unwrap_or_else(|| "Ru\u{1b}les".to_owned());
    let agent = |id, name: &str| json!({ "id": id, "name": name, "characterName": name, "bio": "", "status": "active" });
    data(&json!({ "agents": [agent(ELIZA, "Eliza"), agent(RULES, &name)] }))
}

async fn message_servers() -> Response {
    data(&json!({ "messageServers": [{
        "id": DEFAULT_SERVER, "name": "Default Server", "sourceType": "eliza_default",
        "createdAt": time(START), "updatedAt": time(START),
    }] }))
}

async fn channels(State(shared): State<Arc<Shared>>) -> Response {
    let content = shared.content.lock().expect("no panic");
    let channels: Vec<_> = content.channels.iter().map(|it| &it.details).collect();
    data(&json!({ "channels": channels }))
}

async fn participants(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    let content = shared.content.lock().expect("no panic");
    let channel = content.channels.iter().find(|it| it.id() == id);
    data(&json!(channel.expect("a channel").participants))
}

#[derive(Deserialize)]
struct Page {
    limit: usize,
    before: Option<i64>,
}

async fn messages(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> Response {
    let is_held = || shared.content.lock().expect("no panic").held.as_ref() == Some(&id);
    while is_held() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let content = shared.content.lock().expect("no panic");
    if content.busy.as_ref() == Some(&id) {
        return too_many("900");
    }
    if content.cut_off.as_ref() == Some(&id) {
        return cut_off();
    }
    if content.garbled.as_ref() == Some(&id) {
        return data(&json!([]));
    }
    if content.broken.as_ref() == Some(&id) {
        let body = json!({ "success": false, "error": "Failed to fetch messages" });
        return answer(StatusCode::INTERNAL_SERVER_ERROR, &body);
    }
    if content.locked.as_ref() == Some(&id) {
        return answer(StatusCode::FORBIDDEN, &json!({ "error": "Forbidden" }));
    }
    let channel = content.channels.iter().find(|it| it.id() == id);
    let newest_first = channel.expect("a channel").messages.iter().rev();
    let before = page.before.unwrap_or(i64::MAX);
    let found = newest_first.filter(|it| it["created_at"].as_i64() < Some(before));
    let found: Vec<_> = found.take(page.limit).collect();
    data(&json!({ "messages": found }))
}
