//! The record of a session.

use bincode::{BorrowDecode, Encode};
use uuid::Uuid;

use super::frame::{RecordError, decode, decode_version, encode, encode_version};
use crate::domain::continued::ContinuedFrom;
use crate::domain::id::{AgentId, MessageId, SessionId, UserId};
use crate::domain::key::IdempotencyKey;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::timeout::TimeoutConfig;

/// The version of a session that continues another.
const CONTINUED: u8 = 2;

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

/// Version 2 of a session, which continues another; one that does not has version 1.
#[derive(Encode, BorrowDecode)]
struct ContinuedSessionRecord<'a> {
    session: SessionRecord<'a>,
    source: [u8; 16],
    message: Option<[u8; 16]>,
    copied: u32,
    complete: bool,
}

pub(crate) fn encode_session(session: &Session) -> Result<Vec<u8>, RecordError> {
    let record = SessionRecord {
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
    };
    let Some(continued) = session.continued_from else {
        return encode(&record);
    };
    encode_version(
        CONTINUED,
        &ContinuedSessionRecord {
            session: record,
            source: *continued.session_id.0.as_bytes(),
            message: continued.message_id.map(|id| *id.0.as_bytes()),
            copied: continued.copied,
            complete: continued.complete,
        },
    )
}

pub(crate) fn decode_session(id: SessionId, bytes: &[u8]) -> Result<Session, RecordError> {
    let (record, continued_from): (SessionRecord<'_>, _) = match bytes.first() {
        Some(&CONTINUED) => {
            let record: ContinuedSessionRecord<'_> = decode_version(CONTINUED, bytes)?;
            let continued = ContinuedFrom {
                session_id: SessionId(Uuid::from_bytes(record.source)),
                message_id: record.message.map(|id| MessageId(Uuid::from_bytes(id))),
                copied: record.copied,
                complete: record.complete,
            };
            (record.session, Some(continued))
        }
        _ => (decode(bytes)?, None),
    };
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
        continued_from,
    })
}

fn key(text: &str) -> Result<IdempotencyKey, RecordError> {
    IdempotencyKey::parse(text).ok_or_else(|| RecordError::Layout("not an idempotency key".into()))
}
