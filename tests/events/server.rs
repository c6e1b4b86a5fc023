//! A server in the test's process.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use sessiond::agents::character::Character;
use sessiond::agents::registry::Agent;
use sessiond::app::ScanLimits;
use sessiond::clock::{Clock, ClockHand};
use sessiond::domain::time::Timestamp;
use sessiond::server::{Overrides, run_with};
use sessiond::settings::{Config, Layers};
use sessiond::telemetry::RecentLog;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::reader::Reader;
use crate::scripted_backend::Scripted;

/// The initial time of a manual clock.
pub(crate) const START: i64 = 1_700_000_000_000;

const BASE: &str = "/api/messaging/sessions";
const USER: &str = "11111111-2222-4333-8444-555555555555";

/// How long a step that a test cannot observe may take, such as a script's step to its next wait.
const SETTLE: Duration = Duration::from_millis(150);

/// The timeout of a call, and of a stream's silence: comments keep it open.
const CALL_LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) http: Client,
    hand: Option<ClockHand>,
    agent: String,
    shutdown: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
    _directory: TempDir,
}

impl Server {
    /// Starts a server with a manual clock.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts a server with a manual clock and settings.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        let (clock, hand) = Clock::manual(Timestamp(START));
        Self::launch(settings, clock, Some(hand)).await
    }

    /// Starts a server with the system's clock.
    pub(crate) async fn in_real_time(settings: &[(&str, &str)]) -> Self {
        Self::launch(settings, Clock::system(), None).await
    }

    async fn launch(settings: &[(&str, &str)], clock: Clock, hand: Option<ClockHand>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().to_str().unwrap();
        let variables = [("DATA_DIR", data_dir), ("SESSIOND_CACHE_MB", "16")];
        let variables = variables.iter().chain(settings).copied();
        let config = Config::read(Layers::from_variables(variables)).unwrap();
        let agent = scripted_agent(clock.clone());
        let id = agent.character.id.to_string();
        let parts = Overrides {
            clock,
            agents: vec![agent],
            recent_log: RecentLog::default(),
            scan_limits: ScanLimits::default(),
            greeting: None,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let running = tokio::spawn(run_with(config, parts, listener, async move {
            stop.cancelled().await;
        }));
        // The client requires a TLS provider, though no test uses TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            url,
            http: Client::builder().read_timeout(CALL_LIMIT).build().unwrap(),
            hand,
            agent: id,
            shutdown,
            running,
            _directory: directory,
        }
    }

    /// Stops the server and waits for its end.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.unwrap().unwrap();
    }

    /// Starts to stop the server.
    pub(crate) fn begin_stop(&self) {
        self.shutdown.cancel();
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let address = self.url.strip_prefix("http://").unwrap();
        address.parse().unwrap()
    }

    /// Moves the clock to just after the instant, once the server is idle.
    pub(crate) async fn minutes_pass(&self, minutes: u64) {
        self.millis_pass(minutes * 60_000 + 100).await;
    }

    /// Moves the clock by exactly this much, once the server is idle.
    pub(crate) async fn millis_pass(&self, millis: u64) {
        tokio::time::sleep(SETTLE).await;
        let hand = self.hand.as_ref().expect("a clock that can be moved");
        hand.advance(Duration::from_millis(millis));
    }

    pub(crate) fn at(&self, session: &str, rest: &str) -> String {
        format!("{}{BASE}/{session}{rest}", self.url)
    }

    /// Creates a session with these timeouts.
    pub(crate) async fn create(&self, timeouts: Value) -> String {
        let body = json!({ "agentId": self.agent, "userId": USER, "timeoutConfig": timeouts });
        let request = self.http.post(format!("{}{BASE}", self.url)).json(&body);
        let created = good(request).await;
        created["sessionId"].as_str().unwrap().to_owned()
    }

    /// Creates a session without `autoRenew`, so that its turns are its only events.
    pub(crate) async fn create_plain(&self) -> String {
        self.create(json!({ "autoRenew": false })).await
    }

    /// Sends a message without waiting for the reply. Returns the stored message.
    pub(crate) async fn send(&self, session: &str, content: &str) -> Value {
        good(self.sending(session, &json!({ "content": content }))).await
    }

    /// Sends a message and waits for the reply.
    pub(crate) async fn ask(&self, session: &str, content: &str) -> Value {
        let body = json!({ "content": content, "transport": "http" });
        good(self.sending(session, &body)).await
    }

    pub(crate) fn sending(&self, session: &str, body: &Value) -> RequestBuilder {
        self.http.post(self.at(session, "/messages")).json(body)
    }

    pub(crate) async fn post(&self, session: &str, rest: &str) -> Value {
        good(self.http.post(self.at(session, rest))).await
    }

    pub(crate) async fn patch(&self, session: &str, timeouts: Value) -> Value {
        let request = self.http.patch(self.at(session, "/timeout"));
        good(request.json(&timeouts)).await
    }

    pub(crate) async fn delete(&self, session: &str) {
        good(self.http.delete(self.at(session, ""))).await;
    }

    /// Returns the history, oldest first: id, time in epoch ms, and text.
    pub(crate) async fn history(&self, session: &str) -> Vec<Value> {
        let mut messages = Vec::new();
        let mut after = 0;
        loop {
            let path = format!("/messages?limit=100&after={after}");
            let page = good(self.http.get(self.at(session, &path))).await;
            let items = page["messages"].as_array().unwrap();
            messages.extend(items.iter().rev().map(|item| {
                let at = epoch(&item["createdAt"]);
                json!({ "id": item["id"], "createdAt": at, "text": item["content"] })
            }));
            if page["hasMore"] == false {
                return messages;
            }
            after = page["cursors"]["after"].as_i64().unwrap();
        }
    }

    pub(crate) fn following(&self, session: &str, query: &str) -> RequestBuilder {
        self.http
            .get(self.at(session, &format!("/events{query}")))
            .header("accept", "text/event-stream")
    }

    /// Subscribes to a session.
    pub(crate) async fn follow(&self, session: &str) -> Reader {
        open(self.following(session, "")).await
    }

    /// Subscribes to a session and reads the state.
    pub(crate) async fn follow_live(&self, session: &str) -> Reader {
        let mut reader = self.follow(session).await;
        reader.expect("state").await;
        reader
    }

    /// Resumes after an event.
    pub(crate) async fn resume(&self, session: &str, last_event: &str) -> Reader {
        let request = self.following(session, "");
        open(request.header("last-event-id", last_event)).await
    }
}

/// Opens a stream.
pub(crate) async fn open(request: RequestBuilder) -> Reader {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200, "{:?}", response.text().await);
    Reader::new(response)
}

/// Returns the body of a successful call.
pub(crate) async fn good(request: RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    let status = response.status();
    let body = response.text().await.unwrap();
    assert!(status.is_success(), "{status}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// Returns status, type and details of a refused call.
pub(crate) async fn refusal(request: RequestBuilder) -> (u16, String, Value) {
    let response: Response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let kind = response.headers()["content-type"].clone();
    let body: Value = response.json().await.unwrap();
    assert_eq!(kind, "application/json", "{body}");
    let name = body["error"]["type"].as_str().unwrap().to_owned();
    (status, name, body["details"].clone())
}

/// Converts an RFC 3339 time to epoch ms.
pub(crate) fn epoch(time: &Value) -> i64 {
    let time = chrono::DateTime::parse_from_rfc3339(time.as_str().unwrap()).unwrap();
    time.timestamp_millis()
}

/// Creates an agent whose turns can outlast any session here.
fn scripted_agent(clock: Clock) -> Agent {
    let backend = json!({ "type": "eliza", "timeoutSeconds": 1_000_000, "maxConcurrency": 100 });
    let file = json!({ "name": "Scripted", "settings": { "backend": backend } });
    let path = Path::new("scripted.json");
    let character = Character::parse(path, &file.to_string(), Timestamp(START)).unwrap();
    Agent::with_backend(character, Box::new(Scripted::new(clock)))
}
