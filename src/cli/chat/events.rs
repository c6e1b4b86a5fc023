//! The events of a session, without a gap over lost connections.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::Response;
use serde_json::Value;

use super::super::connection::{ApiRefusal, ServerConnection, next_piece};
use super::sessions::session_path;
use crate::agents::client::sse::{Parser, SseEvent};

/// The server sends a comment every 15 s: a connection that is silent for longer is lost.
const MAX_SILENCE: Duration = Duration::from_secs(45);

/// The pause before an attempt to connect, by the number of failures before it.
const PAUSES: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
];

/// What happens in a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StreamedEvent {
    /// A message was stored.
    Message(StreamedMessage),
    /// A piece of a reply. Index 0 begins the reply anew.
    Chunk {
        message_id: String,
        text: String,
        index: u64,
    },
    /// What the agent does beside its words.
    Activity(StreamedActivity),
    /// A turn ended without a reply.
    Failed { error: String, reason: String },
    /// No turn is open any more.
    Idle,
    /// The state at the moment at which the live events begin.
    State {
        is_idle: bool,
        /// The reply that is being streamed: its id and its text so far.
        partial: Option<(String, String)>,
    },
    /// The session has expired or was deleted.
    Ended(&'static str),
    /// The connection is lost. It is being restored.
    Lost,
}

/// A stored message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StreamedMessage {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) is_agent: bool,
    pub(super) in_reply_to: Option<String>,
    /// Whether it is the beginning of a reply that was stopped.
    pub(super) is_interrupted: bool,
    /// Whether it is the beginning of a longer reply.
    pub(super) is_truncated: bool,
    /// The names or addresses of its attachments.
    pub(super) attachments: Vec<String>,
}

/// What an agent does before and between the words of its reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StreamedActivity {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) state: String,
    pub(super) text: String,
}

/// The stream of a session's events.
pub(super) struct Events<'a> {
    connection: &'a ServerConnection,
    path: String,
    /// The id of the newest message that was received.
    last_id: Option<String>,
    stream: Option<(Response, Parser)>,
    received: VecDeque<StreamedEvent>,
    is_live: bool,
    failures: usize,
}

impl<'a> Events<'a> {
    pub(super) fn new(connection: &'a ServerConnection, session: &str) -> Self {
        Self {
            connection,
            path: format!("{}/events", session_path(session)),
            last_id: None,
            stream: None,
            received: VecDeque::new(),
            is_live: false,
            failures: 0,
        }
    }

    /// Whether all events up to now were returned or are about to be.
    pub(super) fn is_live(&self) -> bool {
        self.is_live
    }

    /// Returns the next event. Waits for it for as long as it takes, also while the server is away.
    /// No event is lost if the future is dropped, but an attempt to connect begins anew.
    ///
    /// # Errors
    /// The server refuses the stream.
    pub(super) async fn next(&mut self) -> anyhow::Result<StreamedEvent> {
        loop {
            if let Some(event) = self.received.pop_front() {
                match event {
                    StreamedEvent::State { .. } => self.is_live = true,
                    StreamedEvent::Lost | StreamedEvent::Ended(_) => self.is_live = false,
                    _ => {}
                }
                return Ok(event);
            }
            let Some((response, parser)) = &mut self.stream else {
                self.connect().await?;
                continue;
            };
            let piece = next_piece(response, MAX_SILENCE).await.ok().flatten();
            let Some(events) = piece.and_then(|piece| parser.feed(&piece).ok()) else {
                self.stream = None;
                self.received.push_back(StreamedEvent::Lost);
                continue;
            };
            for event in events {
                self.receive(event);
            }
        }
    }

    async fn connect(&mut self) -> anyhow::Result<()> {
        let pause = PAUSES[self.failures.min(PAUSES.len() - 1)];
        tokio::time::sleep(pause).await;
        let after = self.last_id.as_deref();
        match self.connection.events(&self.path, after).await {
            Ok(response) => {
                self.stream = Some((response, Parser::default()));
                self.failures = 0;
            }
            Err(error) if error.downcast_ref().is_some_and(ApiRefusal::is_final) => {
                return Err(error);
            }
            Err(_) => {
                self.failures += 1;
                self.received.push_back(StreamedEvent::Lost);
            }
        }
        Ok(())
    }

    fn receive(&mut self, event: SseEvent) {
        if event.id.is_some() {
            self.last_id = event.id;
        }
        let data = serde_json::from_str(&event.data).unwrap_or_default();
        self.received.extend(parse(&event.name, &data));
    }
}

/// Returns an event, if it is one that a chat shows.
fn parse(name: &str, data: &Value) -> Option<StreamedEvent> {
    let text = |field: &str| data[field].as_str().unwrap_or_default().to_owned();
    Some(match name {
        "messageBroadcast" => StreamedEvent::Message(StreamedMessage {
            id: text("id"),
            text: text("text"),
            is_agent: data["source"] == "agent_response",
            in_reply_to: data["inReplyTo"].as_str().map(str::to_owned),
            is_interrupted: data["metadata"]["interrupted"] == true,
            is_truncated: data["metadata"]["truncated"] == true,
            attachments: attachments(&data["attachments"]),
        }),
        "messageStreamChunk" => StreamedEvent::Chunk {
            message_id: text("messageId"),
            text: text("chunk"),
            index: data["index"].as_u64().unwrap_or_default(),
        },
        "messageActivity" => StreamedEvent::Activity(StreamedActivity {
            kind: text("kind"),
            name: text("name"),
            state: text("state"),
            text: text("text"),
        }),
        "messageStreamError" => StreamedEvent::Failed {
            error: text("error"),
            reason: text("reason"),
        },
        "controlMessage" if data["action"] == "enable_input" => StreamedEvent::Idle,
        "state" => StreamedEvent::State {
            is_idle: data["inputEnabled"] == true,
            partial: data.get("partial").map(|partial| {
                let text = |field: &str| partial[field].as_str().unwrap_or_default().to_owned();
                (text("messageId"), text("text"))
            }),
        },
        "sessionExpired" => StreamedEvent::Ended("the session has expired"),
        "channelDeleted" => StreamedEvent::Ended("the session was deleted"),
        _ => return None,
    })
}

/// Returns the name or type, and the address, of each attachment.
fn attachments(value: &Value) -> Vec<String> {
    let attachments = value.as_array().map_or(&[][..], Vec::as_slice);
    let described = attachments.iter().map(|attachment| {
        let text = |field: &str| attachment[field].as_str();
        let name = ["name", "type"];
        let name = name.into_iter().find_map(text);
        // A data URL is the content itself.
        let url = text("url").filter(|url| !url.starts_with("data:"));
        let parts: Vec<_> = name.into_iter().chain(url).collect();
        parts.join(", ")
    });
    described.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_events_of_a_turn_are_read() {
        let chunk = json!({ "messageId": "r", "chunk": "Hi", "index": 1 });
        let state = json!({ "inputEnabled": false, "partial": { "messageId": "r", "text": "H" } });
        let reply = json!({
            "id": "r", "text": "Hi", "source": "agent_response", "inReplyTo": "m",
            "metadata": { "interrupted": true },
            "attachments": [
                { "type": "file", "name": "A plan", "url": "https://h/plan.pdf" },
                { "type": "image", "url": "data:image/png;base64,AA" },
            ],
        });
        for (name, data, expected) in [
            (
                "messageStreamChunk",
                chunk,
                StreamedEvent::Chunk {
                    message_id: "r".into(),
                    text: "Hi".into(),
                    index: 1,
                },
            ),
            (
                "state",
                state,
                StreamedEvent::State {
                    is_idle: false,
                    partial: Some(("r".into(), "H".into())),
                },
            ),
            (
                "messageBroadcast",
                reply,
                StreamedEvent::Message(StreamedMessage {
                    id: "r".into(),
                    text: "Hi".into(),
                    is_agent: true,
                    in_reply_to: Some("m".into()),
                    is_interrupted: true,
                    is_truncated: false,
                    attachments: vec!["A plan, https://h/plan.pdf".into(), "image".into()],
                }),
            ),
            (
                "controlMessage",
                json!({ "action": "enable_input" }),
                StreamedEvent::Idle,
            ),
        ] {
            assert_eq!(parse(name, &data), Some(expected), "{name}");
        }
        let disabled = json!({ "action": "disable_input" });
        assert_eq!(parse("controlMessage", &disabled), None);
        assert_eq!(parse("sessionRenewed", &json!({})), None);
    }
}
