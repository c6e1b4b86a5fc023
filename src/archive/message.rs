//! The line of a message.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::fields::{array, digest, id, key, object, raw, time};
use crate::domain::archive::{ArchivedKey, ArchivedMessage};
use crate::domain::failure::FailureReason;
use crate::domain::id::SessionId;
use crate::domain::message::{Body, Message, Role, Sender, TurnFailure, TurnState};
use crate::domain::time::Timestamp;
use crate::domain::turn::OpenTurn;
use crate::domain::waiting::SubmittedError;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct MessageLine {
    r#type: String,
    session_id: String,
    id: String,
    author_id: String,
    created_at: String,
    content: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachments: Option<Box<RawValue>>,
    /// Only for a user's message.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserPart>,
    /// Only for an agent's message.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<AgentPart>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keys: Vec<KeyPart>,
    /// Only for a user's message: the submitted errors that closed its turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ErrorPart>,
}

/// An idempotency key.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum KeyPart {
    Plain(String),
    Submitted(SubmittedKeyPart),
}

/// The key of a reply that was submitted with session metadata, and the digest of that.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SubmittedKeyPart {
    key: String,
    session_metadata: String,
}

/// A submitted error, and the key that retains it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ErrorPart {
    key: String,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attachments: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    thought: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actions: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_metadata: Option<String>,
    failed: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct UserPart {
    turn_id: String,
    reply_id: String,
    by_socket: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_name: Option<String>,
    turn: TurnPart,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct AgentPart {
    #[serde(skip_serializing_if = "Option::is_none")]
    in_reply_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thought: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actions: Option<Box<RawValue>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct TurnPart {
    state: State,
    /// When the reply was stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    replied_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailurePart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    open: Option<OpenPart>,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "camelCase")]
enum State {
    Open,
    Replied,
    Failed,
    /// The message is a copy without a turn.
    Copied,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FailurePart {
    code: String,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct OpenPart {
    position: u32,
    begun: bool,
    crashes: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_until: Option<String>,
}

impl MessageLine {
    pub(super) fn new(archived: &ArchivedMessage) -> Self {
        let ArchivedMessage {
            message,
            keys,
            turn: open,
            errors,
        } = archived;
        let (mut user, mut agent) = (None, None);
        match &message.role {
            Role::User {
                turn_id,
                reply_id,
                sender,
                turn,
            } => {
                user = Some(UserPart {
                    turn_id: turn_id.to_string(),
                    reply_id: reply_id.to_string(),
                    by_socket: sender.by_socket,
                    sender_name: sender.name.clone(),
                    turn: TurnPart::new(turn, open.as_ref()),
                });
            }
            Role::Agent {
                in_reply_to,
                thought,
                actions,
            } => {
                agent = Some(AgentPart {
                    in_reply_to: in_reply_to.map(|id| id.to_string()),
                    thought: thought.clone(),
                    actions: actions.as_deref().map(raw),
                });
            }
        }
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
            keys: keys.iter().map(KeyPart::new).collect(),
            errors: errors.iter().map(ErrorPart::new).collect(),
        }
    }

    pub(super) fn into_item(self) -> Result<ArchivedMessage, String> {
        let session_id = id("sessionId", &self.session_id)?;
        let created_at = time("createdAt", &self.created_at)?;
        let (role, turn) = match (self.user, self.agent) {
            (Some(user), None) => user.into_role(session_id, created_at)?,
            (None, Some(agent)) => (agent.into_role()?, None),
            _ => return Err("it must have either user or agent".into()),
        };
        let errors: Vec<_> = self.errors.into_iter().map(ErrorPart::into_error).collect();
        if !errors.is_empty() && matches!(role, Role::Agent { .. }) {
            return Err("only a user's message has errors".into());
        }
        let metadata = self.metadata.map(|raw| object("metadata", &raw));
        let attachments = self.attachments.map(|raw| array("attachments", &raw));
        let keys = self.keys.into_iter().map(KeyPart::into_key);
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        if keys.iter().any(|key| key.session_metadata.is_some())
            && matches!(role, Role::User { .. })
        {
            return Err("only the keys of an agent's message have sessionMetadata".into());
        }
        Ok(ArchivedMessage {
            message: Message {
                id: id("id", &self.id)?,
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
            keys,
            turn,
            errors: errors.into_iter().collect::<Result<_, _>>()?,
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
            (State::Copied, None, None) => TurnState::Copied,
            (State::Replied, Some(at), None) => TurnState::Replied(time("turn.repliedAt", &at)?),
            (State::Failed, None, Some(failure)) => TurnState::Failed(failure.into_failure()?),
            _ => return Err("the state of its turn contradicts repliedAt or failure".into()),
        };
        let open = part.open.map(|open| open.into_turn(session_id, message_at));
        let role = Role::User {
            turn_id: id("user.turnId", &self.turn_id)?,
            reply_id: id("user.replyId", &self.reply_id)?,
            sender: Sender {
                by_socket: self.by_socket,
                name: self.sender_name,
            },
            turn: state,
        };
        Ok((role, open.transpose()?))
    }
}

impl KeyPart {
    fn new(archived: &ArchivedKey) -> Self {
        let key = archived.key.as_str().to_owned();
        match archived.session_metadata {
            None => Self::Plain(key),
            Some(digest) => Self::Submitted(SubmittedKeyPart {
                key,
                session_metadata: hex::encode(digest.0),
            }),
        }
    }

    fn into_key(self) -> Result<ArchivedKey, String> {
        let (text, session_metadata) = match self {
            Self::Plain(key) => (key, None),
            Self::Submitted(part) => (part.key, Some(part.session_metadata)),
        };
        let session_metadata = session_metadata.map(|it| digest("keys.sessionMetadata", &it));
        Ok(ArchivedKey {
            key: key("one of its keys", &text)?,
            session_metadata: session_metadata.transpose()?,
        })
    }
}

impl ErrorPart {
    fn new(error: &SubmittedError) -> Self {
        Self {
            key: error.key.as_str().to_owned(),
            message: error.message.clone(),
            metadata: error.metadata.as_deref().map(raw),
            attachments: error.attachments.as_deref().map(raw),
            thought: error.thought.clone(),
            actions: error.actions.as_deref().map(raw),
            session_metadata: error.session_metadata.map(|it| hex::encode(it.0)),
            failed: error.failed.iter().map(ToString::to_string).collect(),
        }
    }

    fn into_error(self) -> Result<SubmittedError, String> {
        let metadata = self.metadata.map(|text| object("errors.metadata", &text));
        let attachments = self.attachments;
        let attachments = attachments.map(|text| array("errors.attachments", &text));
        let actions = self.actions.map(|text| array("errors.actions", &text));
        let session_metadata = self.session_metadata;
        let session_metadata = session_metadata.map(|text| digest("errors.sessionMetadata", &text));
        let failed = self.failed.iter().map(|text| id("errors.failed", text));
        Ok(SubmittedError {
            key: key("errors.key", &self.key)?,
            message: self.message,
            metadata: metadata.transpose()?,
            attachments: attachments.transpose()?,
            thought: self.thought,
            actions: actions.transpose()?,
            session_metadata: session_metadata.transpose()?,
            failed: failed.collect::<Result<_, _>>()?,
        })
    }
}

impl FailurePart {
    fn new(failure: &TurnFailure) -> Self {
        Self {
            code: failure.code.clone(),
            message: failure.message.clone(),
            reason: failure.reason.map(|reason| reason.as_str().to_owned()),
        }
    }

    fn into_failure(self) -> Result<TurnFailure, String> {
        let reason = match self.reason.as_deref() {
            // Older versions exported none.
            None => FailureReason::from_code(&self.code),
            Some(name) => Some(FailureReason::parse(name).ok_or_else(unknown_reason)?),
        };
        Ok(TurnFailure {
            code: self.code,
            message: self.message,
            reason,
        })
    }
}

fn unknown_reason() -> String {
    let names = FailureReason::ALL.map(FailureReason::as_str);
    format!(
        "user.turn.failure.reason must be one of {}",
        names.join(", ")
    )
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
            // The importing server is not asking the agent.
            running: false,
            crashes: self.crashes,
            waits_until: waits_until.transpose()?,
        })
    }
}

impl AgentPart {
    fn into_role(self) -> Result<Role, String> {
        let in_reply_to = self.in_reply_to.map(|text| id("agent.inReplyTo", &text));
        let actions = self.actions.map(|raw| array("agent.actions", &raw));
        Ok(Role::Agent {
            in_reply_to: in_reply_to.transpose()?,
            thought: self.thought,
            actions: actions.transpose()?,
        })
    }
}

impl TurnPart {
    fn new(turn: &TurnState, open: Option<&OpenTurn>) -> Self {
        let (state, replied_at, failure) = match turn {
            TurnState::Open => (State::Open, None, None),
            TurnState::Copied => (State::Copied, None, None),
            TurnState::Replied(at) => (State::Replied, Some(at.to_string()), None),
            TurnState::Failed(failure) => (State::Failed, None, Some(FailurePart::new(failure))),
        };
        Self {
            state,
            replied_at,
            failure,
            open: open.map(|open| OpenPart {
                position: open.position,
                begun: open.begun,
                crashes: open.crashes,
                waits_until: open.waits_until.map(|until| until.to_string()),
            }),
        }
    }
}
