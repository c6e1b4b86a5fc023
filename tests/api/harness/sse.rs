//! Server-sent events, read as they arrive.

use reqwest::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap};
use reqwest::{RequestBuilder, Response};
use serde_json::Value;

use super::answer::check_headers;

/// A stream of events. Dropping it disconnects the client.
pub(crate) struct Events {
    response: Response,
    unread: Vec<u8>,
}

impl Events {
    /// Opens a stream and checks its status and headers.
    pub(crate) async fn open(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("the server answers");
        assert_eq!(response.status(), 200, "a stream");
        let headers = response.headers();
        check_headers(headers);
        assert_eq!(headers[CONTENT_TYPE], "text/event-stream");
        assert_eq!(headers[CACHE_CONTROL], "no-cache");
        assert_eq!(headers["x-accel-buffering"], "no");
        Self {
            response,
            unread: Vec::new(),
        }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Returns the name and data of the next event, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            while let Some(end) = self.unread.windows(2).position(|bytes| bytes == b"\n\n") {
                let event: Vec<u8> = self.unread.drain(..end + 2).collect();
                if let Some(event) = parse(std::str::from_utf8(&event).expect("UTF-8")) {
                    return Some(event);
                }
            }
            let Some(bytes) = self.response.chunk().await.expect("the stream is intact") else {
                assert!(
                    self.unread.is_empty(),
                    "the stream ends with a complete event"
                );
                return None;
            };
            self.unread.extend(bytes);
        }
    }

    /// Returns the data of the next event, which must have this name.
    #[track_caller]
    pub(crate) fn expect(&mut self, name: &str) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        async move {
            match self.next().await {
                Some((found, data)) if found == name => data,
                other => panic!("{caller}: expected {name}, got {other:?}"),
            }
        }
    }

    /// Returns all events until the end.
    pub(crate) async fn rest(mut self) -> Vec<(String, Value)> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }

    /// Returns the data of the last event, which must have this name. Only the user's message,
    /// activity and chunks may precede it.
    pub(crate) async fn end(self, name: &str) -> Value {
        let mut events = self.rest().await;
        let (found, data) = events.pop().expect("a last event");
        assert_eq!(found, name, "{data:#}");
        let is_expected = |name: &str| ["user_message", "activity", "chunk"].contains(&name);
        assert!(
            events.iter().all(|(name, _)| is_expected(name)),
            "{events:#?}"
        );
        data
    }
}

/// Parses an event; `None` for a comment.
fn parse(text: &str) -> Option<(String, Value)> {
    let mut name = None;
    let (mut id, mut data) = (None, None);
    for line in text.trim_end().lines() {
        match line.split_once(": ") {
            Some(("event", value)) => name = Some(value.to_owned()),
            Some(("id", value)) => id = Some(value),
            Some(("data", value)) => data = Some(serde_json::from_str(value).expect("JSON")),
            _ => assert!(line.starts_with(':'), "{line:?} is a comment"),
        }
    }
    let (name, data): (String, Value) = (name?, data?);
    if let Some(id) = id {
        let is_known = id.parse::<i64>().is_ok() || data["turnId"] == id;
        assert!(is_known, "{id} is a time or a turn's id");
    }
    Some((name, data))
}
