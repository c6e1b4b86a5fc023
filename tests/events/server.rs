//! A server in the test's own process.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use sessiond::agents::backends::scripted::Scripted;
use sessiond::agents::character::Character;
use sessiond::agents::registry::Agent;
use sessiond::clock::{Clock, ClockHand};
use sessiond::domain::time::Timestamp;
use sessiond::server::{Parts, run_with};
use sessiond::settings::{Config, Layers};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::reader::Reader;

/// When a clock that stands still was set.
pub(crate) const START: i64 = 1_700_000_000_000;

const BASE: &str = "/api/messaging/sessions";
const USER: &str = "11111111-2222-4333-8444-555555555555";

/// How long something that a test cannot see may take, such as a script's step to its next wait.
const SETTLE: Duration = Duration::from_millis(150);

/// No call takes this long, and no stream is silent for so long: comments keep it open.
const CALL_LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) http: Client,
    hand: Option<ClockHand>,
    agent: String,
    shutdown: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
    _folder: TempDir,
}

impl Server {
    /// A server whose clock stands still until it is moved.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// The same with settings.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        let (clock, hand) = Clock::manual(Timestamp(START));
        Self::launch(settings, clock, Some(hand)).await
    }

    /// A server by the system's clock.
    pub(crate) async fn in_real_time(settings: &[(&str, &str)]) -> Self {
        Self::launch(settings, Clock::system(), None).await
    }

    async fn launch(settings: &[(&str, &str)], clock: Clock, hand: Option<ClockHand>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().to_str().unwrap();
        let variables = [("DATA_DIR", data_dir), ("SESSIOND_CACHE_MB", "16")];
        let variables = variables.iter().chain(settings).copied();
        let config = Config::read(Layers::from_variables(variables)).unwrap();
        let agent = scripted_agent(clock.clone());
        let id = agent.character.id.to_string();
        let parts = Parts {
            clock,
            agents: vec![agent],
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let running = tokio::spawn(run_with(config, parts, listener, async move {
            stop.cancelled().await;
        }));
        // The client can speak TLS, and wants to be told by what means, though no test does.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            url,
            http: Client::builder().read_timeout(CALL_LIMIT).build().unwrap(),
            hand,
            agent: id,
            shutdown,
            running,
            _folder: folder,
        }
    }

    /// Stops the server and waits until it has.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.unwrap().unwrap();
    }

    /// Begins to stop the server.
    pub(crate) fn begin_stop(&self) {
        self.shutdown.cancel();
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let address = self.url.strip_prefix("http://").unwrap();
        address.parse().unwrap()
    }

    /// Moves the clock on, to a little after the instant, once all has settled.
    pub(crate) async fn minutes_pass(&self, minutes: u64) {
        self.millis_pass(minutes * 60_000 + 100).await;
    }

    /// Moves the clock on by exactly so much, once all has settled.
    pub(crate) async fn millis_pass(&self, millis: u64) {
        tokio::time::sleep(SETTLE).await;
        let hand = self.hand.as_ref().expect("a clock that can be moved");
        hand.advance(Duration::from_millis(millis));
    }

    pub(crate) fn at(&self, session: &str, rest: &str) -> String {
        format!("{}{BASE}/{session}{rest}", self.url)
    }

    /// A session with these timeouts.
    pub(crate) async fn create(&self, timeouts: Value) -> String {
        let body = json!({ "agentId": self.agent, "userId": USER, "timeoutConfig": timeouts });
        let request = self.http.post(format!("{}{BASE}", self.url)).json(&body);
        let created = good(request).await;
        created["sessionId"].as_str().unwrap().to_owned()
    }

    /// A session that does not renew itself, so that its turns are all that happens in it.
    pub(crate) async fn create_plain(&self) -> String {
        self.create(json!({ "autoRenew": false })).await
    }

    /// Sends a message whose reply comes by the stream; the answer is the stored message.
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

    /// The history, oldest first: id, time in epoch ms, and text.
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

    /// Follows a session from now on.
    pub(crate) async fn follow(&self, session: &str) -> Reader {
        open(self.following(session, "")).await
    }

    /// Follows a session from now on and has read how it stands.
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

/// The body of a call that succeeds.
pub(crate) async fn good(request: RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    let status = response.status();
    let body = response.text().await.unwrap();
    assert!(status.is_success(), "{status}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// Status, type and outer details of a call that is refused.
pub(crate) async fn refusal(request: RequestBuilder) -> (u16, String, Value) {
    let response: Response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let kind = response.headers()["content-type"].clone();
    let body: Value = response.json().await.unwrap();
    assert_eq!(kind, "application/json", "{body}");
    let name = body["error"]["type"].as_str().unwrap().to_owned();
    (status, name, body["details"].clone())
}

/// An RFC 3339 time in epoch ms.
pub(crate) fn epoch(time: &Value) -> i64 {
    let time = chrono::DateTime::parse_from_rfc3339(time.as_str().unwrap()).unwrap();
    time.timestamp_millis()
}

/// Its turns may outlast any session here.
fn scripted_agent(clock: Clock) -> Agent {
    let backend = json!({ "type": "eliza", "timeoutSeconds": 1_000_000, "maxConcurrency": 100 });
    let file = json!({ "name": "Scripted", "settings": { "backend": backend } });
    let path = Path::new("scripted.json");
    let character = Character::parse(path, &file.to_string(), Timestamp(START)).unwrap();
    Agent::with_backend(character, Box::new(Scripted::new(clock)))
}
