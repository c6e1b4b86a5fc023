//! The row of a submission's key: the time of the reply, or a submitted error.

use bincode::{BorrowDecode, Encode};
use uuid::Uuid;

use super::frame::{RecordError, decode, decode_version, encode, encode_version};
use crate::domain::id::MessageId;
use crate::domain::key::{IdempotencyKey, RequestDigest};
use crate::domain::time::Timestamp;
use crate::domain::waiting::SubmittedError;

/// The version of the key of a submitted error.
const SUBMITTED_ERROR: u8 = 2;

/// The version of the key of a reply that came with session metadata. The checksum does not cover
/// the version, so it differs from the others in two bits.
const REPLY_WITH_METADATA: u8 = 4;

/// What is stored under the idempotency key of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SubmitClaim {
    /// A reply, which was stored at this time, and the digest of the session metadata that came
    /// with it.
    Reply(Timestamp, Option<RequestDigest>),
    /// An error that closed turns. The newest of their messages was stored at this time.
    Error(Timestamp, SubmittedError),
}

/// Version 2 of a submission's key; the key of a reply has version 1.
#[derive(Encode, BorrowDecode)]
struct SubmittedErrorRecord<'a> {
    at: i64,
    message: &'a str,
    metadata: Option<&'a str>,
    attachments: Option<&'a str>,
    thought: Option<&'a str>,
    actions: Option<&'a str>,
    session_metadata: Option<[u8; 32]>,
    failed: Vec<[u8; 16]>,
}

/// Version 4 of a submission's key.
#[derive(Encode, BorrowDecode)]
struct ReplyWithMetadataRecord {
    at: i64,
    session_metadata: [u8; 32],
}

/// Encodes the key of a reply that was stored at a time.
pub(crate) fn encode_submitted_reply(
    at: Timestamp,
    session_metadata: Option<RequestDigest>,
) -> Result<Vec<u8>, RecordError> {
    match session_metadata {
        None => encode(&at.0),
        Some(RequestDigest(session_metadata)) => encode_version(
            REPLY_WITH_METADATA,
            &ReplyWithMetadataRecord {
                at: at.0,
                session_metadata,
            },
        ),
    }
}

/// Encodes the key of a submitted error. `at` is the time of the newest message whose turn it
/// closed.
pub(crate) fn encode_submitted_error(
    at: Timestamp,
    error: &SubmittedError,
) -> Result<Vec<u8>, RecordError> {
    let record = SubmittedErrorRecord {
        at: at.0,
        message: &error.message,
        metadata: error.metadata.as_deref(),
        attachments: error.attachments.as_deref(),
        thought: error.thought.as_deref(),
        actions: error.actions.as_deref(),
        session_metadata: error.session_metadata.map(|digest| digest.0),
        failed: error.failed.iter().map(|id| *id.0.as_bytes()).collect(),
    };
    encode_version(SUBMITTED_ERROR, &record)
}

pub(crate) fn decode_submit_claim(
    key: &IdempotencyKey,
    bytes: &[u8],
) -> Result<SubmitClaim, RecordError> {
    if !is_submitted_error(bytes) {
        let (at, session_metadata) = decode_submitted_reply(bytes)?;
        return Ok(SubmitClaim::Reply(at, session_metadata));
    }
    let record: SubmittedErrorRecord<'_> = decode_version(SUBMITTED_ERROR, bytes)?;
    let ids = record.failed.into_iter();
    let error = SubmittedError {
        key: key.clone(),
        message: record.message.to_owned(),
        metadata: record.metadata.map(str::to_owned),
        attachments: record.attachments.map(str::to_owned),
        thought: record.thought.map(str::to_owned),
        actions: record.actions.map(str::to_owned),
        session_metadata: record.session_metadata.map(RequestDigest),
        failed: ids.map(|id| MessageId(Uuid::from_bytes(id))).collect(),
    };
    Ok(SubmitClaim::Error(Timestamp(record.at), error))
}

/// Decodes the key of a reply: when it was stored, and the digest of the session metadata that came
/// with it.
pub(crate) fn decode_submitted_reply(
    bytes: &[u8],
) -> Result<(Timestamp, Option<RequestDigest>), RecordError> {
    if bytes.first() != Some(&REPLY_WITH_METADATA) {
        return Ok((Timestamp(decode(bytes)?), None));
    }
    let record: ReplyWithMetadataRecord = decode_version(REPLY_WITH_METADATA, bytes)?;
    let digest = RequestDigest(record.session_metadata);
    Ok((Timestamp(record.at), Some(digest)))
}

/// Whether the row of a submission's key is that of an error.
pub(crate) fn is_submitted_error(bytes: &[u8]) -> bool {
    bytes.first() == Some(&SUBMITTED_ERROR)
}

/// Decodes the time of the message under any key, sent or submitted.
pub(crate) fn decode_key_time(bytes: &[u8]) -> Result<Timestamp, RecordError> {
    if !is_submitted_error(bytes) {
        return Ok(decode_submitted_reply(bytes)?.0);
    }
    let record: SubmittedErrorRecord<'_> = decode_version(SUBMITTED_ERROR, bytes)?;
    Ok(Timestamp(record.at))
}
