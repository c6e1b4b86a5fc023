//! The record of a message.

use bincode::{BorrowDecode, Encode};
use uuid::Uuid;

use super::frame::{RecordError, decode, encode};
use crate::domain::id::{MessageId, SessionId, TurnId};
use crate::domain::message::{Body, Message, Role, Sender, TurnFailure, TurnState};
use crate::domain::time::Timestamp;

#[derive(Encode, BorrowDecode)]
struct MessageRecord<'a> {
    id: [u8; 16],
    author: [u8; 16],
    content: &'a str,
    metadata: Option<&'a str>,
    attachments: Option<&'a str>,
    role: RoleRecord<'a>,
}

#[derive(Encode, BorrowDecode)]
enum RoleRecord<'a> {
    User {
        turn_id: [u8; 16],
        reply_id: [u8; 16],
        by_socket: bool,
        sender_name: Option<&'a str>,
        turn: TurnRecord<'a>,
    },
    Agent {
        in_reply_to: Option<[u8; 16]>,
        thought: Option<&'a str>,
        actions: Option<&'a str>,
    },
}

#[derive(Encode, BorrowDecode)]
enum TurnRecord<'a> {
    Open,
    Replied(i64),
    Failed { code: &'a str, message: &'a str },
}

pub(crate) fn encode_message(message: &Message) -> Result<Vec<u8>, RecordError> {
    let role = match &message.role {
        Role::User {
            turn_id,
            reply_id,
            sender,
            turn,
        } => RoleRecord::User {
            turn_id: *turn_id.0.as_bytes(),
            reply_id: *reply_id.0.as_bytes(),
            by_socket: sender.by_socket,
            sender_name: sender.name.as_deref(),
            turn: match turn {
                TurnState::Open => TurnRecord::Open,
                TurnState::Replied(at) => TurnRecord::Replied(at.0),
                TurnState::Failed(failure) => TurnRecord::Failed {
                    code: &failure.code,
                    message: &failure.message,
                },
            },
        },
        Role::Agent {
            in_reply_to,
            thought,
            actions,
        } => RoleRecord::Agent {
            in_reply_to: in_reply_to.map(|id| *id.0.as_bytes()),
            thought: thought.as_deref(),
            actions: actions.as_deref(),
        },
    };
    encode(&MessageRecord {
        id: *message.id.0.as_bytes(),
        author: *message.author_id.as_bytes(),
        content: &message.body.content,
        metadata: message.body.metadata.as_deref(),
        attachments: message.body.attachments.as_deref(),
        role,
    })
}

pub(crate) fn decode_message(
    session_id: SessionId,
    created_at: Timestamp,
    bytes: &[u8],
) -> Result<Message, RecordError> {
    Ok(borrow_message(session_id, created_at, bytes)?.into_owned())
}

/// Like [`decode_message`], but the texts borrow from the bytes.
pub(crate) fn borrow_message(
    session_id: SessionId,
    created_at: Timestamp,
    bytes: &[u8],
) -> Result<Message<&str>, RecordError> {
    let record: MessageRecord<'_> = decode(bytes)?;
    Ok(Message {
        id: MessageId(Uuid::from_bytes(record.id)),
        session_id,
        author_id: Uuid::from_bytes(record.author),
        created_at,
        body: Body {
            content: record.content,
            metadata: record.metadata,
            attachments: record.attachments,
        },
        role: role(record.role),
    })
}

fn role(record: RoleRecord<'_>) -> Role<&str> {
    match record {
        RoleRecord::User {
            turn_id,
            reply_id,
            by_socket,
            sender_name,
            turn,
        } => Role::User {
            turn_id: TurnId(Uuid::from_bytes(turn_id)),
            reply_id: MessageId(Uuid::from_bytes(reply_id)),
            sender: Sender {
                by_socket,
                name: sender_name,
            },
            turn: match turn {
                TurnRecord::Open => TurnState::Open,
                TurnRecord::Replied(at) => TurnState::Replied(Timestamp(at)),
                TurnRecord::Failed { code, message } => {
                    TurnState::Failed(TurnFailure { code, message })
                }
            },
        },
        RoleRecord::Agent {
            in_reply_to,
            thought,
            actions,
        } => Role::Agent {
            in_reply_to: in_reply_to.map(|id| MessageId(Uuid::from_bytes(id))),
            thought,
            actions,
        },
    }
}
