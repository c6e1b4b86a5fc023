//! A message's line.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{id, time};
use crate::domain::archive::ArchivedMessage;
use crate::domain::id::{MessageId, SessionId, TurnId};
use crate::domain::key::IdempotencyKey;
use crate::domain::message::{Body, Message, Role, Sender, TurnFailure, TurnState};
use crate::domain::time::Timestamp;
use crate::domain::turn::OpenTurn;
use crate::json;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct MessageLine {
    r#type: String,
    session_id: String,
    id: String,
    author_id: String,
    created_at: String,
    content: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attachments: Option<Box<RawValue>>,
    /// Of a user's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<UserPart>,
    /// Of an agent's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<AgentPart>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keys: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct UserPart {
    turn_id: String,
    reply_id: String,
    by_socket: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sender_name: Option<String>,
    turn: TurnPart,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct AgentPart {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    in_reply_to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    thought: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actions: Option<Box<RawValue>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct TurnPart {
    state: State,
    /// When the reply was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replied_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<FailurePart>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open: Option<OpenPart>,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "camelCase")]
enum State {
    Open,
    Replied,
    Failed,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FailurePart {
    code: String,
    message: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct OpenPart {
    position: u32,
    begun: bool,
    crashes: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waits_until: Option<String>,
}

impl MessageLine {
    pub(super) fn of(archived: &ArchivedMessage) -> Self {
        let ArchivedMessage {
            message,
            keys,
            turn: open,
        } = archived;
        let (user, agent) = match &message.role {
            Role::User {
                turn_id,
                reply_id,
                sender,
                turn,
            } => {
                let part = UserPart {
                    turn_id: turn_id.to_string(),
                    reply_id: reply_id.to_string(),
                    by_socket: sender.by_socket,
                    sender_name: sender.name.clone(),
                    turn: TurnPart::of(turn, open.as_ref()),
                };
                (Some(part), None)
            }
            Role::Agent {
                in_reply_to,
                thought,
                actions,
            } => {
                let part = AgentPart {
                    in_reply_to: in_reply_to.map(|id| id.to_string()),
                    thought: thought.clone(),
                    actions: actions.as_deref().map(raw),
                };
                (None, Some(part))
            }
        };
        Self {
            r#type: "message".into(),
            session_id: message.session_id.to_string(),
            id: message.id.to_string(),
            author_id: message.author_id.to_string(),
            created_at: message.created_at.to_string(),
            content: message.body.content.clone(),
            metadata: message.body.metadata.as_deref().map(raw),
            attachments: message.body.attachments.as_deref().map(raw),
            user,
            agent,
            keys: keys.iter().map(|key| key.as_str().to_owned()).collect(),
        }
    }

    pub(super) fn into_item(self) -> Result<ArchivedMessage, String> {
        let session_id = SessionId::from(id("sessionId", &self.session_id)?);
        let created_at = time("createdAt", &self.created_at)?;
        let (role, turn) = match (self.user, self.agent) {
            (Some(user), None) => user.into_role(session_id, created_at)?,
            (None, Some(agent)) => (agent.into_role()?, None),
            _ => return Err("it must have either user or agent".into()),
        };
        let metadata = self.metadata.map(|text| object(&text, "metadata"));
        let attachments = self.attachments.map(|text| array(&text, "attachments"));
        let keys = self.keys.iter().map(|key| {
            IdempotencyKey::parse(key).ok_or_else(|| "one of its keys is no key".to_owned())
        });
        Ok(ArchivedMessage {
            message: Message {
                id: MessageId::from(id("id", &self.id)?),
                session_id,
                author_id: uuid::Uuid::from_u128(id("authorId", &self.author_id)?),
                created_at,
                body: Body {
                    content: self.content,
                    metadata: metadata.transpose()?,
                    attachments: attachments.transpose()?,
                },
                role,
            },
            keys: keys.collect::<Result<_, _>>()?,
            turn,
        })
    }
}

impl UserPart {
    fn into_role(
        self,
        session_id: SessionId,
        message_at: Timestamp,
    ) -> Result<(Role, Option<OpenTurn>), String> {
        let part = self.turn;
        let state = match (part.state, part.replied_at, part.failure) {
            (State::Open, None, None) => TurnState::Open,
            (State::Replied, Some(at), None) => TurnState::Replied(time("turn.repliedAt", &at)?),
            (State::Failed, None, Some(failure)) => TurnState::Failed(TurnFailure {
                code: failure.code,
                message: failure.message,
            }),
            _ => return Err("its turn's state does not fit what else is said of it".into()),
        };
        let open = part.open.map(|open| open.into_turn(session_id, message_at));
        let role = Role::User {
            turn_id: TurnId::from(id("user.turnId", &self.turn_id)?),
            reply_id: MessageId::from(id("user.replyId", &self.reply_id)?),
            sender: Sender {
                by_socket: self.by_socket,
                name: self.sender_name,
            },
            turn: state,
        };
        Ok((role, open.transpose()?))
    }
}

impl OpenPart {
    fn into_turn(self, session_id: SessionId, message_at: Timestamp) -> Result<OpenTurn, String> {
        let waits_until = self
            .waits_until
            .map(|until| time("turn.open.waitsUntil", &until));
        Ok(OpenTurn {
            session_id,
            position: self.position,
            message_at,
            begun: self.begun,
            // Nobody is being asked by whoever reads the line.
            running: false,
            crashes: self.crashes,
            waits_until: waits_until.transpose()?,
        })
    }
}

impl AgentPart {
    fn into_role(self) -> Result<Role, String> {
        let in_reply_to = self.in_reply_to.map(|text| id("agent.inReplyTo", &text));
        let actions = self.actions.map(|text| array(&text, "agent.actions"));
        Ok(Role::Agent {
            in_reply_to: in_reply_to.transpose()?.map(MessageId::from),
            thought: self.thought,
            actions: actions.transpose()?,
        })
    }
}

impl TurnPart {
    fn of(turn: &TurnState, open: Option<&OpenTurn>) -> Self {
        let mut part = Self {
            state: State::Open,
            replied_at: None,
            failure: None,
            open: open.map(|open| OpenPart {
                position: open.position,
                begun: open.begun,
                crashes: open.crashes,
                waits_until: open.waits_until.map(|until| until.to_string()),
            }),
        };
        match turn {
            TurnState::Open => {}
            TurnState::Replied(at) => {
                part.state = State::Replied;
                part.replied_at = Some(at.to_string());
            }
            TurnState::Failed(failure) => {
                part.state = State::Failed;
                part.failure = Some(FailurePart {
                    code: failure.code.clone(),
                    message: failure.message.clone(),
                });
            }
        }
        part
    }
}

/// Stored JSON as it is; what is none, which only a bug can store, becomes a string.
pub(super) fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap_or_else(|_| {
        let text = serde_json::to_string(text).unwrap_or_default();
        RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
    })
}

/// The text of a JSON object as it stands in the line.
pub(super) fn object(raw: &RawValue, field: &str) -> Result<String, String> {
    read::<Map<String, Value>>(raw, field, "object")
}

/// The text of a JSON array as it stands in the line.
fn array(raw: &RawValue, field: &str) -> Result<String, String> {
    read::<Vec<Value>>(raw, field, "array")
}

/// The line's reader has checked the syntax alone. What is too deep, or has a number beyond the
/// range of a double, would be stored and never read again.
fn read<T: DeserializeOwned>(raw: &RawValue, field: &str, kind: &str) -> Result<String, String> {
    let text = raw.get();
    match serde_json::from_str::<T>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) if error.is_data() => Err(format!("{field} is no JSON {kind}")),
        Err(error) => Err(format!("{field}: {}", json::explain(&error))),
    }
}
