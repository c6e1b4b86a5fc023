//! Reads a stream of server-sent events.

use reqwest::{RequestBuilder, Response};
use serde_json::Value;

use super::api::{Lost, text};

/// A stream of events.
#[derive(Debug)]
pub(crate) struct Events {
    response: Response,
    unread: Vec<u8>,
}

/// An event of a stream.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// A completely streamed reply.
#[derive(Debug)]
pub(crate) struct Streamed {
    /// The id in its chunks.
    pub(crate) id: String,
    /// The concatenated chunks.
    pub(crate) text: String,
    /// The event `done`.
    pub(crate) done: Value,
}

impl Events {
    pub(crate) async fn open(request: RequestBuilder) -> Self {
        let opened = Self::try_open(request).await.expect("an answer");
        opened.expect("a stream").0
    }

    /// Opens a stream; returns it, and whether its message was stored before; none if too many
    /// messages wait.
    pub(crate) async fn try_open(request: RequestBuilder) -> Result<Option<(Self, bool)>, Lost> {
        let response = request.send().await?;
        let is_replayed = response.headers().contains_key("idempotent-replayed");
        match response.status().as_u16() {
            429 => return Ok(None),
            status => assert_eq!(status, 200),
        }
        let events = Self {
            response,
            unread: Vec::new(),
        };
        Ok(Some((events, is_replayed)))
    }

    /// Returns the next event; none at the end of the stream. Comments are skipped.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Lost> {
        loop {
            while let Some(block) = self.block() {
                if let Some(event) = parse(&block) {
                    return Ok(Some(event));
                }
            }
            match self.response.chunk().await? {
                Some(bytes) => self.unread.extend_from_slice(&bytes),
                None => return Ok(None),
            }
        }
    }

    /// Returns the next event, which must have this name.
    pub(crate) async fn expect(&mut self, name: &str) -> Value {
        match self.next().await.expect("the stream continues") {
            Some(event) if event.name == name => event.data,
            other => panic!("expected {name}, not {other:?}"),
        }
    }

    /// Reads a reply to the end of the stream.
    pub(crate) async fn reply(&mut self) -> Streamed {
        let (mut id, mut so_far) = (String::new(), String::new());
        let mut index = 0;
        loop {
            let event = self.next().await.expect("the stream continues");
            let event = event.expect("the stream has not ended");
            match event.name.as_str() {
                "chunk" => {
                    assert_eq!(event.data["index"], index, "{event:?}");
                    index += 1;
                    let chunk_of = text(&event.data, "messageId");
                    assert!(id.is_empty() || id == chunk_of, "{event:?}");
                    id = chunk_of;
                    so_far += &text(&event.data, "chunk");
                }
                "done" => {
                    self.expect_end().await;
                    return Streamed {
                        id,
                        text: so_far,
                        done: event.data,
                    };
                }
                _ => panic!("expected the reply, not {event:?}"),
            }
        }
    }

    pub(crate) async fn expect_end(&mut self) {
        let event = self.next().await.expect("the stream ends");
        assert!(event.is_none(), "{event:?} follows the end");
    }

    /// Returns the text before the next empty line.
    fn block(&mut self) -> Option<String> {
        let end = self.unread.windows(2).position(|two| two == b"\n\n")?;
        let block = self.unread.drain(..end + 2).collect();
        Some(String::from_utf8(block).expect("a stream is UTF-8"))
    }
}

fn parse(block: &str) -> Option<Event> {
    let field = |name| block.lines().find_map(|line| line.strip_prefix(name));
    let name = field("event: ")?;
    let data = field("data: ").expect("an event has data");
    Some(Event {
        name: name.to_owned(),
        data: serde_json::from_str(data).expect("an event's data is JSON"),
    })
}
