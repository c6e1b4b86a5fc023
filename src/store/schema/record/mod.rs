//! What the values of the tables hold, and how they are framed.
//!
//! This file alone knows bincode. A value is `[version: 1 byte][crc32 of the rest: 4 bytes, little
//! endian][bincode]`: the version, because bincode cannot tell an old layout from a new one; the
//! checksum, because redb does not verify pages when it reads them. Decoding is limited in size,
//! since a damaged length would otherwise ask for exabytes.
//!
//! The structs are the layout of version 1, but where they say otherwise. They are never the
//! wire's types: a change here is a new version, and the old one stays readable.

use bincode::{BorrowDecode, Encode};
use uuid::Uuid;

use crate::domain::archive::Quarantined;
use crate::domain::id::{AgentId, MessageId, SessionId, TurnId, UserId};
use crate::domain::key::IdempotencyKey;
use crate::domain::message::{Body, Message, Role, Sender, TurnFailure, TurnState};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::timeout::{TimeoutConfig, TimeoutOverrides};
use crate::domain::turn::OpenTurn;

const VERSION: u8 = 1;

/// The version of an open turn that waits for a reply to be submitted.
const WAITING_TURN: u8 = 2;

const HEADER: usize = 5;

/// The largest record: a reply of 64 KiB and its metadata fit many times over.
const MAX_RECORD_BYTES: usize = 1 << 20;

/// The decoder counts a number at its full width, not at that which it has in the record.
const HEADROOM: usize = 1024;

const CONFIG: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<MAX_RECORD_BYTES>,
> = bincode::config::standard().with_limit::<MAX_RECORD_BYTES>();

/// Why stored bytes are not the record that they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The value is shorter than its frame.
    #[error("the record is cut off after {0} bytes")]
    TooShort(usize),
    /// The version is not one that this build reads.
    #[error("the record has the unknown version {0}")]
    UnknownVersion(u8),
    /// The checksum does not fit the content.
    #[error("the record's checksum does not match")]
    Checksum,
    /// The content is not of the layout.
    #[error("the record cannot be decoded: {0}")]
    Layout(String),
    /// It was one of these when it was met first, and lies elsewhere since.
    #[error("the record was damaged and is set aside")]
    Quarantined,
}

/// The most bytes of a record that is set aside; what fits its own table fits here.
const MAX_ASIDE_BYTES: usize = MAX_RECORD_BYTES - 8 * HEADROOM;

/// A claim of an idempotency key on a create.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CreateClaim {
    /// The session that the key made.
    pub(crate) session_id: SessionId,
    /// When.
    pub(crate) created_at: Timestamp,
    /// The timeouts that the request asked for.
    pub(crate) timeout: TimeoutOverrides,
}

/// How many rows of a time-ordered index lie at or before a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counter {
    /// The point.
    pub(crate) point: Timestamp,
    /// The number of rows.
    pub(crate) rows: u64,
}

#[derive(Encode, BorrowDecode)]
struct SessionRecord<'a> {
    agent: [u8; 16],
    user: [u8; 16],
    created_at: i64,
    last_activity: i64,
    window_start: i64,
    expires_at: i64,
    warn_at: i64,
    scheduled_at: i64,
    timeout_minutes: u32,
    auto_renew: bool,
    max_duration_minutes: u32,
    warning_threshold_minutes: u32,
    renewal_count: u32,
    metadata: &'a str,
    create_key: Option<&'a str>,
}

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

#[derive(Encode, BorrowDecode)]
struct OpenTurnRecord {
    message_at: i64,
    begun: bool,
    running: bool,
    crashes: u8,
}

/// Version 2 of an open turn; one that does not wait has version 1.
#[derive(Encode, BorrowDecode)]
struct WaitingTurnRecord {
    turn: OpenTurnRecord,
    waits_until: i64,
}

#[derive(Encode, BorrowDecode)]
struct CreateKeyRecord {
    session: [u8; 16],
    created_at: i64,
    timeout_minutes: Option<f64>,
    auto_renew: Option<bool>,
    max_duration_minutes: Option<f64>,
    warning_threshold_minutes: Option<f64>,
}

#[derive(Encode, BorrowDecode)]
struct SetAsideRecord<'a> {
    reason: &'a str,
    found_at: i64,
    expires_at: Option<i64>,
    bytes: &'a [u8],
}

/// The bytes of a session.
pub(crate) fn encode_session(session: &Session) -> Result<Vec<u8>, RecordError> {
    encode(&SessionRecord {
        agent: *session.agent_id.0.as_bytes(),
        user: *session.user_id.0.as_bytes(),
        created_at: session.created_at.0,
        last_activity: session.last_activity.0,
        window_start: session.window_start.0,
        expires_at: session.expires_at.0,
        warn_at: session.warn_at.0,
        scheduled_at: session.scheduled_at.0,
        timeout_minutes: session.timeout.timeout_minutes,
        auto_renew: session.timeout.auto_renew,
        max_duration_minutes: session.timeout.max_duration_minutes,
        warning_threshold_minutes: session.timeout.warning_threshold_minutes,
        renewal_count: session.renewal_count,
        metadata: &session.metadata,
        create_key: session.create_key.as_ref().map(IdempotencyKey::as_str),
    })
}

/// The session of an id, from its bytes.
pub(crate) fn decode_session(id: SessionId, bytes: &[u8]) -> Result<Session, RecordError> {
    let record: SessionRecord<'_> = decode(bytes)?;
    Ok(Session {
        id,
        agent_id: AgentId(Uuid::from_bytes(record.agent)),
        user_id: UserId(Uuid::from_bytes(record.user)),
        created_at: Timestamp(record.created_at),
        last_activity: Timestamp(record.last_activity),
        window_start: Timestamp(record.window_start),
        expires_at: Timestamp(record.expires_at),
        warn_at: Timestamp(record.warn_at),
        scheduled_at: Timestamp(record.scheduled_at),
        timeout: TimeoutConfig {
            timeout_minutes: record.timeout_minutes,
            auto_renew: record.auto_renew,
            max_duration_minutes: record.max_duration_minutes,
            warning_threshold_minutes: record.warning_threshold_minutes,
        },
        renewal_count: record.renewal_count,
        metadata: record.metadata.to_owned(),
        create_key: match record.create_key {
            None => None,
            Some(key) => Some(
                IdempotencyKey::parse(key)
                    .ok_or_else(|| RecordError::Layout("not an idempotency key".into()))?,
            ),
        },
    })
}

/// The bytes of a message.
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

/// The message of a session and time, from its bytes.
pub(crate) fn decode_message(
    session_id: SessionId,
    created_at: Timestamp,
    bytes: &[u8],
) -> Result<Message, RecordError> {
    Ok(borrow_message(session_id, created_at, bytes)?.into_owned())
}

/// The same, whose texts are lent by the bytes.
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

/// The bytes of an open turn.
pub(crate) fn encode_turn(turn: &OpenTurn) -> Result<Vec<u8>, RecordError> {
    let record = OpenTurnRecord {
        message_at: turn.message_at.0,
        begun: turn.begun,
        running: turn.running,
        crashes: turn.crashes,
    };
    match turn.waits_until {
        None => encode(&record),
        Some(until) => encode_version(
            WAITING_TURN,
            &WaitingTurnRecord {
                turn: record,
                waits_until: until.0,
            },
        ),
    }
}

/// The open turn at a position of a session, from its bytes.
pub(crate) fn decode_turn(
    session_id: SessionId,
    position: u32,
    bytes: &[u8],
) -> Result<OpenTurn, RecordError> {
    let (record, waits_until): (OpenTurnRecord, _) = match bytes.first() {
        Some(&WAITING_TURN) => {
            let record: WaitingTurnRecord = decode_version(WAITING_TURN, bytes)?;
            (record.turn, Some(Timestamp(record.waits_until)))
        }
        _ => (decode(bytes)?, None),
    };
    Ok(OpenTurn {
        session_id,
        position,
        message_at: Timestamp(record.message_at),
        begun: record.begun,
        running: record.running,
        crashes: record.crashes,
        waits_until,
    })
}

/// The bytes of a create key's row.
pub(crate) fn encode_claim(claim: &CreateClaim) -> Result<Vec<u8>, RecordError> {
    encode(&CreateKeyRecord {
        session: *claim.session_id.0.as_bytes(),
        created_at: claim.created_at.0,
        timeout_minutes: claim.timeout.timeout_minutes,
        auto_renew: claim.timeout.auto_renew,
        max_duration_minutes: claim.timeout.max_duration_minutes,
        warning_threshold_minutes: claim.timeout.warning_threshold_minutes,
    })
}

/// A create key's row from its bytes.
pub(crate) fn decode_claim(bytes: &[u8]) -> Result<CreateClaim, RecordError> {
    let record: CreateKeyRecord = decode(bytes)?;
    Ok(CreateClaim {
        session_id: SessionId(Uuid::from_bytes(record.session)),
        created_at: Timestamp(record.created_at),
        timeout: TimeoutOverrides {
            timeout_minutes: record.timeout_minutes,
            auto_renew: record.auto_renew,
            max_duration_minutes: record.max_duration_minutes,
            warning_threshold_minutes: record.warning_threshold_minutes,
        },
    })
}

/// The bytes of a record that is set aside.
pub(crate) fn encode_set_aside(aside: &Quarantined) -> Result<Vec<u8>, RecordError> {
    let kept = aside.bytes.len().min(MAX_ASIDE_BYTES);
    encode(&SetAsideRecord {
        reason: &aside.reason,
        found_at: aside.found_at.0,
        expires_at: aside.expires_at.map(|at| at.0),
        bytes: &aside.bytes[..kept],
    })
}

/// A record that is set aside, from its own row's bytes.
pub(crate) fn decode_set_aside(
    owner: SessionId,
    place: &str,
    bytes: &[u8],
) -> Result<Quarantined, RecordError> {
    let record: SetAsideRecord<'_> = decode(bytes)?;
    Ok(Quarantined {
        owner,
        place: place.to_owned(),
        reason: record.reason.to_owned(),
        found_at: Timestamp(record.found_at),
        expires_at: record.expires_at.map(Timestamp),
        bytes: record.bytes.to_owned(),
    })
}

/// The bytes of a message key's row: the time of the message that it names.
pub(crate) fn encode_time(time: Timestamp) -> Result<Vec<u8>, RecordError> {
    encode(&time.0)
}

/// A time from its bytes.
pub(crate) fn decode_time(bytes: &[u8]) -> Result<Timestamp, RecordError> {
    decode(bytes).map(Timestamp)
}

/// The bytes of the name that another server has for a session.
pub(crate) fn encode_upstream(name: &str) -> Result<Vec<u8>, RecordError> {
    encode(&name)
}

/// The name that another server has for a session, from its bytes.
pub(crate) fn decode_upstream(bytes: &[u8]) -> Result<String, RecordError> {
    decode::<&str>(bytes).map(str::to_owned)
}

/// The bytes of a tally.
pub(crate) fn encode_tally(tally: Counter) -> Result<Vec<u8>, RecordError> {
    encode(&(tally.point.0, tally.rows))
}

/// A tally from its bytes.
pub(crate) fn decode_tally(bytes: &[u8]) -> Result<Counter, RecordError> {
    let (point, rows) = decode(bytes)?;
    Ok(Counter {
        point: Timestamp(point),
        rows,
    })
}

/// The bytes of a small number: a schema version, a flag.
pub(crate) fn encode_number(number: u32) -> Result<Vec<u8>, RecordError> {
    encode(&number)
}

/// A small number from its bytes.
pub(crate) fn decode_number(bytes: &[u8]) -> Result<u32, RecordError> {
    decode(bytes)
}

fn encode<T: Encode>(record: &T) -> Result<Vec<u8>, RecordError> {
    encode_version(VERSION, record)
}

fn encode_version<T: Encode>(version: u8, record: &T) -> Result<Vec<u8>, RecordError> {
    let mut bytes = vec![0; HEADER];
    bincode::encode_into_std_write(record, &mut bytes, CONFIG)
        .map_err(|error| RecordError::Layout(error.to_string()))?;
    // bincode holds a decoder to its limit, but not an encoder.
    if bytes.len() > MAX_RECORD_BYTES - HEADROOM {
        let found = bytes.len();
        return Err(RecordError::Layout(format!("{found} bytes are too many")));
    }
    let crc = crc32fast::hash(&bytes[HEADER..]);
    bytes[0] = version;
    bytes[1..HEADER].copy_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}

fn decode<'a, T: BorrowDecode<'a, ()>>(bytes: &'a [u8]) -> Result<T, RecordError> {
    decode_version(VERSION, bytes)
}

fn decode_version<'a, T: BorrowDecode<'a, ()>>(
    wanted: u8,
    bytes: &'a [u8],
) -> Result<T, RecordError> {
    let Some((header, content)) = bytes.split_first_chunk::<HEADER>() else {
        return Err(RecordError::TooShort(bytes.len()));
    };
    let [version, crc @ ..] = *header;
    if version != wanted {
        return Err(RecordError::UnknownVersion(version));
    }
    if crc32fast::hash(content) != u32::from_le_bytes(crc) {
        return Err(RecordError::Checksum);
    }
    let (record, read) = bincode::borrow_decode_from_slice(content, CONFIG)
        .map_err(|error| RecordError::Layout(error.to_string()))?;
    if read != content.len() {
        let left = content.len() - read;
        return Err(RecordError::Layout(format!("{left} bytes are left over")));
    }
    Ok(record)
}

#[cfg(test)]
mod tests;
