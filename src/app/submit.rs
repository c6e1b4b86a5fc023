//! Replies that come from outside: of agents that run elsewhere.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tracing::Instrument as _;

use super::App;
use super::create::{header_key, require, uuid_field};
use super::error::{AppError, Unavailable, ValidationError};
use super::target::{Scope, Target};
use crate::agents::backend::Answering;
use crate::agents::feed::Ending;
use crate::domain::id::{AgentId, MessageId, SessionId};
use crate::domain::key::IdempotencyKey;
use crate::domain::message::{
    Body, MAX_METADATA_BYTES, Message, Role, TurnState, json_text, message_metadata,
};
use crate::domain::session::Session;
use crate::domain::timeout::kind;
use crate::domain::turn::Reply;
use crate::store::command::{SubmitReply, Submitted};
use crate::store::error::{ReadError, SubmitError};
use crate::store::reader::PageRequest;

/// The longest submitted reply, in bytes.
const MAX_CONTENT_BYTES: usize = 64 * 1024;

/// How many of a session's latest messages may have open turns, with room to spare for what was
/// submitted in between.
const LATEST: usize = 500;

/// How long to wait where the store cannot be read.
const PAUSE: Duration = Duration::from_secs(1);

/// The fields that have to be there.
const REQUIRED: [&str; 3] = ["channel_id", "author_id", "content"];

/// The fields that the published client spells in its own way, by their documented names.
pub const SPELLINGS: [(&str, &str); 4] = [
    ("channel_id", "channelId"),
    ("author_id", "agentId"),
    ("in_reply_to_message_id", "inReplyToMessageId"),
    ("raw_message", "rawMessage"),
];

/// What an agent that runs elsewhere submits.
#[derive(Debug)]
pub struct SubmitRequest {
    /// The body's fields.
    pub fields: Map<String, Value>,
    /// The idempotency key as it was sent beside the body.
    pub key: Option<String>,
}

/// A reply that is stored.
#[derive(Debug)]
pub struct SubmittedReply {
    /// The session.
    pub session: Session,
    /// The reply.
    pub message: Message,
    /// Whether an earlier call with the same key stored it.
    pub replayed: bool,
}

impl App {
    /// Stores a submitted reply, and gives it to all who wait for it, also where the caller goes
    /// away.
    ///
    /// # Errors
    /// The input is invalid, the author is not the session's agent, or the store refuses or fails.
    pub async fn submit(
        self: &Arc<Self>,
        request: SubmitRequest,
    ) -> Result<SubmittedReply, AppError> {
        let fields = snake_case(request.fields);
        require(&fields, &REQUIRED)?;
        let channel = SessionId(uuid_field(&fields, "channel_id")?);
        let author = AgentId(uuid_field(&fields, "author_id")?);
        let in_reply_to = match fields.get("in_reply_to_message_id") {
            None | Some(Value::Null) => None,
            Some(_) => Some(MessageId(uuid_field(&fields, "in_reply_to_message_id")?)),
        };
        let session = self.kept_session(&Target {
            name: channel.to_string(),
            scope: Scope::All,
        })?;
        if session.agent_id != author {
            return Err(AppError::Forbidden("author_id must be the session's agent"));
        }
        let key = key(request.key.as_deref(), fields.get("messageId"))?;
        let reply = reply(&fields)?;
        if self.stopping.is_cancelled() {
            return Err(AppError::Unavailable(Unavailable::ShuttingDown));
        }
        let agent = self.agents.get(author);
        let command = SubmitReply {
            session_id: session.id,
            in_reply_to,
            message_id: MessageId(self.ids.next()),
            reply,
            key,
            closes_turns: agent.is_some_and(|agent| agent.backend.answering() != Answering::Itself),
            tells_chunk: true,
        };
        // A task of its own: who waits is told even if the caller goes away now.
        let app = Arc::clone(self);
        let stored = self
            .tasks
            .spawn(async move { app.store_submitted(command).await }.in_current_span());
        let submitted = stored.await.map_err(|_| AppError::Internal)??;
        Ok(SubmittedReply {
            session: submitted.session,
            message: submitted.message,
            replayed: submitted.replayed,
        })
    }

    async fn store_submitted(
        self: &Arc<Self>,
        command: SubmitReply,
    ) -> Result<Submitted, SubmitError> {
        let session = command.session_id;
        // From here on until the turn is closed, its backend says nothing more.
        let hold = self.runner.hold(session).await;
        let command = SubmitReply {
            tells_chunk: !hold.has_spoken(command.in_reply_to),
            ..command
        };
        let submitted = self.store.submit(command).await;
        match &submitted {
            Ok(submitted) => {
                let reply = Arc::new(submitted.message.clone());
                for message in &submitted.closed {
                    let ending = Ending::Replied(Arc::clone(&reply));
                    self.feeds.end(session, *message, ending);
                }
                hold.release(&submitted.closed);
            }
            Err(error) => {
                hold.release(&[]);
                if matches!(error, SubmitError::OutcomeUnknown) {
                    let app = Arc::clone(self);
                    self.tasks
                        .spawn(async move { app.tell_outcome(session).await });
                }
            }
        }
        submitted
    }

    /// Tells those who wait in a session how their turns ended, where nobody else does: after a
    /// commit that may have closed them or not.
    async fn tell_outcome(&self, session: SessionId) {
        let told = async {
            while self.tell_ended(session).is_err() {
                self.clock.sleep(PAUSE).await;
            }
        };
        let _ = self.stopping.run_until_cancelled(told).await;
    }

    fn tell_ended(&self, session: SessionId) -> Result<(), ReadError> {
        let waited_for: HashSet<_> = self.feeds.open_in(session).into_iter().collect();
        let latest = PageRequest {
            before: None,
            after: None,
            limit: LATEST,
        };
        let endings = self.store.read(|reader| {
            let mut endings = Vec::new();
            for message in reader.messages(session, latest)?.messages {
                let Role::User { turn, .. } = message.role else {
                    continue;
                };
                let ending = match turn {
                    TurnState::Open => continue,
                    TurnState::Replied(at) => reader
                        .message(session, at)?
                        .map_or(Ending::Deleted, |reply| Ending::Replied(Arc::new(reply))),
                    TurnState::Failed(failure) => Ending::Failed(failure),
                };
                endings.push((message.id, ending));
            }
            Ok(endings)
        })?;
        for (message, ending) in endings {
            if waited_for.contains(&message) {
                self.feeds.end(session, message, ending);
            }
        }
        Ok(())
    }
}

/// The fields by their documented names, which beat the others.
fn snake_case(mut fields: Map<String, Value>) -> Map<String, Value> {
    for (name, other) in SPELLINGS {
        if fields.contains_key(name) {
            continue;
        }
        if let Some(value) = fields.shift_remove(other) {
            fields.insert(name.to_owned(), value);
        }
    }
    fields
}

/// The name of a submit: its header's, else its body's.
fn key(
    header: Option<&str>,
    field: Option<&Value>,
) -> Result<Option<IdempotencyKey>, ValidationError> {
    if let Some(header) = header {
        return header_key(header).map(Some);
    }
    let text = match field {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_str(),
    };
    let wrong = || ValidationError::Content {
        field: "messageId",
        reason: "messageId must be 1 to 255 visible ASCII characters".into(),
    };
    text.and_then(IdempotencyKey::parse)
        .map(Some)
        .ok_or_else(wrong)
}

fn reply(fields: &Map<String, Value>) -> Result<Reply, AppError> {
    let content = content(fields.get("content"))?;
    let metadata = message_metadata(fields.get("metadata"))?;
    let raw = fields.get("raw_message");
    let thought = raw.and_then(|raw| raw.get("thought")?.as_str());
    let actions = raw.and_then(|raw| raw.get("actions")?.as_array());
    let thought = thought.map(str::to_owned);
    let actions = actions.map(json_text);
    // All of it is shown as metadata, and so is as long as metadata may be.
    let parts = [&metadata, &thought, &actions];
    let bytes: usize = parts.into_iter().flatten().map(String::len).sum();
    if bytes > MAX_METADATA_BYTES {
        return Err(ValidationError::Metadata(format!(
            "metadata, thought and actions must be at most {MAX_METADATA_BYTES} bytes together, \
             not {bytes}"
        ))
        .into());
    }
    Ok(Reply {
        body: Body {
            content,
            metadata,
            attachments: None,
        },
        thought,
        actions,
    })
}

fn content(value: Option<&Value>) -> Result<String, ValidationError> {
    let text = match value {
        Some(Value::String(text)) => text,
        other => {
            let found = other.map_or("nothing", kind);
            return Err(invalid_content(format!(
                "content must be a string, not {found}"
            )));
        }
    };
    if text.len() > MAX_CONTENT_BYTES {
        return Err(invalid_content(format!(
            "content must be at most {MAX_CONTENT_BYTES} bytes, not {}",
            text.len()
        )));
    }
    Ok(text.clone())
}

fn invalid_content(reason: String) -> ValidationError {
    ValidationError::Content {
        field: "content",
        reason,
    }
}
