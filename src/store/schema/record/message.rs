//! The record of a message.

use bincode::{BorrowDecode, Encode};
use uuid::Uuid;

use super::frame::{HEADER_BYTES, RecordError, decode, decode_version, encode, encode_version};
use crate::domain::failure::FailureReason;
use crate::domain::id::{MessageId, SessionId, TurnId};
use crate::domain::message::{Body, Message, Role, Sender, TurnFailure, TurnState};
use crate::domain::time::Timestamp;

/// The version of a message whose turn failed with a reason.
const FAILED_MESSAGE: u8 = 2;

/// The version of a copied message without a turn. Its layout is that of version 1, with an open
/// turn. The checksum does not cover the version, so it differs from the others in two bits.
const COPIED_MESSAGE: u8 = 4;

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

/// Version 2 of a message: a user's message whose turn failed with a reason. All others have
/// version 1.
#[derive(Encode, BorrowDecode)]
struct FailedMessageRecord<'a> {
    message: MessageRecord<'a>,
    reason: ReasonRecord,
}

#[derive(Encode, BorrowDecode, Clone, Copy)]
enum ReasonRecord {
    Unavailable,
    Busy,
    TooLong,
    Refused,
    Misconfigured,
    Timeout,
    InvalidReply,
    Cancelled,
    Expired,
    Internal,
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
                TurnState::Open | TurnState::Copied => TurnRecord::Open,
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
    let record = MessageRecord {
        id: *message.id.0.as_bytes(),
        author: *message.author_id.as_bytes(),
        content: &message.body.content,
        metadata: message.body.metadata.as_deref(),
        attachments: message.body.attachments.as_deref(),
        role,
    };
    match message.turn() {
        Some(TurnState::Failed(TurnFailure {
            reason: Some(reason),
            ..
        })) => encode_version(
            FAILED_MESSAGE,
            &FailedMessageRecord {
                message: record,
                reason: (*reason).into(),
            },
        ),
        Some(TurnState::Copied) => encode_version(COPIED_MESSAGE, &record),
        _ => encode(&record),
    }
}

/// Whether the record of a message seems to have this id. It is not checked for damage.
pub(crate) fn has_message_id(bytes: &[u8], id: MessageId) -> bool {
    // The id is the first field, in a fixed number of bytes.
    let content = bytes.get(HEADER_BYTES..);
    content.is_some_and(|content| content.starts_with(id.0.as_bytes()))
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
    let (record, reason): (MessageRecord<'_>, _) = match bytes.first() {
        Some(&FAILED_MESSAGE) => {
            let record: FailedMessageRecord<'_> = decode_version(FAILED_MESSAGE, bytes)?;
            (record.message, Some(record.reason.into()))
        }
        Some(&COPIED_MESSAGE) => (decode_version(COPIED_MESSAGE, bytes)?, None),
        _ => (decode(bytes)?, None),
    };
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
        role: match role(record.role, reason) {
            Role::User {
                turn_id,
                reply_id,
                sender,
                ..
            } if bytes.first() == Some(&COPIED_MESSAGE) => Role::User {
                turn_id,
                reply_id,
                sender,
                turn: TurnState::Copied,
            },
            role => role,
        },
    })
}

fn role(record: RoleRecord<'_>, reason: Option<FailureReason>) -> Role<&str> {
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
                TurnRecord::Failed { code, message } => TurnState::Failed(TurnFailure {
                    code,
                    message,
                    reason: reason.or_else(|| FailureReason::from_code(code)),
                }),
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

impl From<FailureReason> for ReasonRecord {
    fn from(reason: FailureReason) -> Self {
        match reason {
            FailureReason::Unavailable => Self::Unavailable,
            FailureReason::Busy => Self::Busy,
            FailureReason::TooLong => Self::TooLong,
            FailureReason::Refused => Self::Refused,
            FailureReason::Misconfigured => Self::Misconfigured,
            FailureReason::Timeout => Self::Timeout,
            FailureReason::InvalidReply => Self::InvalidReply,
            FailureReason::Cancelled => Self::Cancelled,
            FailureReason::Expired => Self::Expired,
            FailureReason::Internal => Self::Internal,
        }
    }
}

impl From<ReasonRecord> for FailureReason {
    fn from(reason: ReasonRecord) -> Self {
        match reason {
            ReasonRecord::Unavailable => Self::Unavailable,
            ReasonRecord::Busy => Self::Busy,
            ReasonRecord::TooLong => Self::TooLong,
            ReasonRecord::Refused => Self::Refused,
            ReasonRecord::Misconfigured => Self::Misconfigured,
            ReasonRecord::Timeout => Self::Timeout,
            ReasonRecord::InvalidReply => Self::InvalidReply,
            ReasonRecord::Cancelled => Self::Cancelled,
            ReasonRecord::Expired => Self::Expired,
            ReasonRecord::Internal => Self::Internal,
        }
    }
}
