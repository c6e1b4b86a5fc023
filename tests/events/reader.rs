//! A client of an event stream.

use std::time::Duration;

use reqwest::Response;
use serde_json::{Value, json};
use tokio::time::timeout;

/// An event that takes longer never comes.
const LIMIT: Duration = Duration::from_secs(20);

/// How long to wait for events that must not come.
const SILENCE: Duration = Duration::from_millis(250);

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) data: Value,
}

impl Event {
    pub(crate) fn is_broadcast(&self) -> bool {
        self.name == "messageBroadcast"
    }

    pub(crate) fn is_chunk(&self) -> bool {
        self.name == "messageStreamChunk"
    }

    /// Returns a string of the payload; empty if absent.
    pub(crate) fn text(&self, field: &str) -> &str {
        self.data[field].as_str().unwrap_or_default()
    }

    /// Returns a summary for tests of the order.
    pub(crate) fn summary(&self) -> String {
        let detail = match self.name.as_str() {
            "messageBroadcast" => self.text("text"),
            "controlMessage" => return self.text("action").to_owned(),
            "messageStreamChunk" => self.text("chunk"),
            "messageActivity" => {
                let fields = ["kind", "name", "state", "text"].map(|field| self.text(field));
                let fields: Vec<_> = fields.into_iter().filter(|it| !it.is_empty()).collect();
                return format!("{}: {}", self.name, fields.join(" "));
            }
            _ => return self.name.clone(),
        };
        format!("{}: {detail}", self.name)
    }
}

/// An open stream. Dropping it closes its connection.
#[derive(Debug)]
pub(crate) struct Reader {
    response: Response,
    unread: Vec<u8>,
    /// The length of the prefix without the end of an event.
    scanned: usize,
}

impl Reader {
    pub(crate) fn new(response: Response) -> Self {
        Self {
            response,
            unread: Vec::new(),
            scanned: 0,
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.response.headers().get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// Returns the next event; `None` if the stream has ended. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        // Comments keep the stream open, but are not events.
        let event = timeout(LIMIT, self.next_without_limit()).await;
        event.expect("an event, or the end, within the limit")
    }

    async fn next_without_limit(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.parse() {
                return Some(event);
            }
            let more = self.response.chunk().await;
            self.unread
                .extend_from_slice(&more.expect("the stream is not cut off")?);
        }
    }

    /// Returns the next event, which must have this name.
    pub(crate) async fn expect(&mut self, name: &str) -> Event {
        let event = self.next().await.expect("the stream stays open");
        assert_eq!(event.name, name, "{event:?}");
        event
    }

    /// Returns all events up to the first match.
    pub(crate) async fn until(&mut self, matches: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            let is_last = matches(&event);
            events.push(event);
            if is_last {
                return events;
            }
        }
        panic!("the stream ended without a match, after {events:?}");
    }

    /// Returns all events until no turn is open.
    pub(crate) async fn until_idle(&mut self) -> Vec<Event> {
        self.until(|event| event.data["action"] == "enable_input")
            .await
    }

    /// Returns all events up to the end of the stream.
    pub(crate) async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }

    /// Checks that no event comes and the stream stays open.
    pub(crate) async fn stays_silent(&mut self) {
        if let Ok(event) = timeout(SILENCE, self.next()).await {
            panic!("unexpected event {event:?}");
        }
    }

    /// Removes a complete event from the buffer.
    fn parse(&mut self) -> Option<Event> {
        loop {
            let mut pairs = self.unread[self.scanned..].windows(2);
            let Some(end) = pairs.position(|two| two == b"\n\n") else {
                self.scanned = self.unread.len().saturating_sub(1);
                return None;
            };
            let block: Vec<u8> = self.unread.drain(..self.scanned + end + 2).collect();
            self.scanned = 0;
            let block = String::from_utf8(block).expect("UTF-8");
            let (mut name, mut id, mut data) = (None, None, None);
            for line in block.lines().filter(|line| !line.is_empty()) {
                let (field, value) = line.split_once(':').expect("a field or a comment");
                let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
                match field {
                    "" => {}
                    "event" => name = Some(value),
                    "id" => id = Some(value),
                    "data" => data = Some(value),
                    other => panic!("the stream has a field {other:?}"),
                }
            }
            // A block with only a comment is not an event.
            if let Some(data) = data {
                return Some(Event {
                    name: name.expect("every event has a name"),
                    id,
                    data: serde_json::from_str(&data).expect("JSON"),
                });
            }
            assert!(name.is_none() && id.is_none(), "an event without data");
        }
    }
}

/// Returns summaries of the events.
pub(crate) fn summaries(events: &[Event]) -> Vec<String> {
    events.iter().map(Event::summary).collect()
}

/// Returns id, time and text of the messages among the events, like [`Server::history`].
///
/// [`Server::history`]: crate::server::Server::history
pub(crate) fn messages_of(events: &[Event]) -> Vec<Value> {
    let broadcasts = events.iter().filter(|event| event.is_broadcast());
    let message = |event: &Event| {
        let at = event.data["createdAt"].as_i64().expect("epoch ms");
        assert_eq!(event.id.as_deref(), Some(at.to_string().as_str()));
        json!({ "id": event.data["id"], "createdAt": at, "text": event.data["text"] })
    };
    broadcasts.map(message).collect()
}
