//! The values of the tables.
//!
//! The structs are the layout of version 1, unless they say otherwise. They are never the types of
//! the wire: a changed layout is a new version, and the old one stays readable.

mod frame;
mod message;
mod submit_key;

use bincode::{BorrowDecode, Encode};
use uuid::Uuid;

pub(crate) use self::frame::RecordError;
use self::frame::{
    HEADER_BYTES, HEADROOM_BYTES, MAX_RECORD_BYTES, decode, decode_version, encode, encode_version,
};
pub(crate) use self::message::{borrow_message, decode_message, encode_message};
pub(crate) use self::submit_key::{
    SubmitClaim, decode_key_time, decode_submit_claim, encode_submitted_error, is_submitted_error,
};
use crate::domain::archive::Quarantined;
use crate::domain::id::{AgentId, SessionId, UserId};
use crate::domain::key::IdempotencyKey;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::timeout::{TimeoutConfig, TimeoutOverrides};
use crate::domain::turn::OpenTurn;

/// The version of an open turn that waits for a submitted reply.
const WAITING_TURN: u8 = 2;

/// The most bytes of a quarantined record; what fits in its own table fits here.
const MAX_QUARANTINED_BYTES: usize = MAX_RECORD_BYTES - 8 * HEADROOM_BYTES;

/// What is stored under the idempotency key of a create.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CreateClaim {
    pub(crate) session_id: SessionId,
    pub(crate) created_at: Timestamp,
    pub(crate) timeout: TimeoutOverrides,
}

/// The number of rows of a time-ordered index at or before a point in time. The same layout serves
/// other pairs of a time and a number, since older versions accept it in `meta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counter {
    pub(crate) point: Timestamp,
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
struct OpenTurnRecord {
    message_at: i64,
    begun: bool,
    running: bool,
    crashes: u8,
}

/// Version 2 of an open turn; a turn that does not wait has version 1.
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
struct QuarantinedRecord<'a> {
    reason: &'a str,
    found_at: i64,
    expires_at: Option<i64>,
    bytes: &'a [u8],
}

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
        create_key: record.create_key.map(key).transpose()?,
    })
}

/// Returns the user of a session whose record may be undecodable otherwise. Every version begins
/// with the agent and the user, 16 bytes each.
pub(crate) fn user_of_session(bytes: &[u8]) -> Option<UserId> {
    let user = bytes.get(HEADER_BYTES + 16..HEADER_BYTES + 32)?;
    Uuid::from_slice(user).ok().map(UserId)
}

fn key(text: &str) -> Result<IdempotencyKey, RecordError> {
    IdempotencyKey::parse(text).ok_or_else(|| RecordError::Layout("not an idempotency key".into()))
}

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

pub(crate) fn encode_quarantined(record: &Quarantined) -> Result<Vec<u8>, RecordError> {
    let retained = record.bytes.len().min(MAX_QUARANTINED_BYTES);
    encode(&QuarantinedRecord {
        reason: &record.reason,
        found_at: record.found_at.0,
        expires_at: record.expires_at.map(|at| at.0),
        bytes: &record.bytes[..retained],
    })
}

pub(crate) fn decode_quarantined(
    owner: SessionId,
    location: &str,
    bytes: &[u8],
) -> Result<Quarantined, RecordError> {
    let record: QuarantinedRecord<'_> = decode(bytes)?;
    Ok(Quarantined {
        owner,
        location: location.to_owned(),
        reason: record.reason.to_owned(),
        found_at: Timestamp(record.found_at),
        expires_at: record.expires_at.map(Timestamp),
        bytes: record.bytes.to_owned(),
    })
}

/// Encodes the row of a message's key: the time of the message.
pub(crate) fn encode_time(time: Timestamp) -> Result<Vec<u8>, RecordError> {
    encode(&time.0)
}

pub(crate) fn decode_time(bytes: &[u8]) -> Result<Timestamp, RecordError> {
    decode(bytes).map(Timestamp)
}

pub(crate) fn encode_remote_session(name: &str) -> Result<Vec<u8>, RecordError> {
    encode(&name)
}

pub(crate) fn decode_remote_session(bytes: &[u8]) -> Result<String, RecordError> {
    decode::<&str>(bytes).map(str::to_owned)
}

pub(crate) fn encode_counter(counter: Counter) -> Result<Vec<u8>, RecordError> {
    encode(&(counter.point.0, counter.rows))
}

pub(crate) fn decode_counter(bytes: &[u8]) -> Result<Counter, RecordError> {
    let (point, rows) = decode(bytes)?;
    Ok(Counter {
        point: Timestamp(point),
        rows,
    })
}

/// Encodes a small number: a schema version, a flag.
pub(crate) fn encode_number(number: u32) -> Result<Vec<u8>, RecordError> {
    encode(&number)
}

pub(crate) fn decode_number(bytes: &[u8]) -> Result<u32, RecordError> {
    decode(bytes)
}

#[cfg(test)]
mod tests;
