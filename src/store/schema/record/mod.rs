//! The values of the tables.
//!
//! The structs are the layout of version 1, unless they say otherwise. They are never the types of
//! the wire: a changed layout is a new version, and the old one stays readable.

mod create_key;
mod frame;
mod message;
mod session;
mod submit_key;

use bincode::{BorrowDecode, Encode};
use uuid::Uuid;

pub(crate) use self::create_key::{CreateClaim, decode_claim, decode_old_claim, encode_claim};
pub(crate) use self::frame::RecordError;
use self::frame::{
    HEADER_BYTES, HEADROOM_BYTES, MAX_RECORD_BYTES, decode, decode_version, encode, encode_version,
};
pub(crate) use self::message::{borrow_message, decode_message, encode_message, has_message_id};
pub(crate) use self::session::{decode_session, encode_session};
pub(crate) use self::submit_key::{
    SubmitClaim, decode_key_time, decode_submit_claim, decode_submitted_reply,
    encode_submitted_error, encode_submitted_reply, is_submitted_error,
};
use crate::domain::archive::Quarantined;
use crate::domain::id::{SessionId, UserId};
use crate::domain::time::Timestamp;
use crate::domain::turn::OpenTurn;

/// The version of an open turn that waits for a submitted reply.
const WAITING_TURN: u8 = 2;

/// The most bytes of a quarantined record; what fits in its own table fits here.
const MAX_QUARANTINED_BYTES: usize = MAX_RECORD_BYTES - 8 * HEADROOM_BYTES;

/// The number of rows of a time-ordered index at or before a point in time. The same layout serves
/// other pairs of a time and a number, since older versions accept it in `meta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counter {
    pub(crate) point: Timestamp,
    pub(crate) rows: u64,
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
struct QuarantinedRecord<'a> {
    reason: &'a str,
    found_at: i64,
    expires_at: Option<i64>,
    bytes: &'a [u8],
}

/// Returns the user of a session whose record may be undecodable otherwise. Every version begins
/// with the agent and the user, 16 bytes each.
pub(crate) fn user_of_session(bytes: &[u8]) -> Option<UserId> {
    let user = bytes.get(HEADER_BYTES + 16..HEADER_BYTES + 32)?;
    Uuid::from_slice(user).ok().map(UserId)
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
