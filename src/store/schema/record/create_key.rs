//! The row of a create's idempotency key.

use bincode::{BorrowDecode, Encode};
use uuid::Uuid;

use super::frame::{RecordError, decode, decode_version, encode_version};
use crate::domain::id::SessionId;
use crate::domain::key::RequestDigest;
use crate::domain::time::Timestamp;
use crate::domain::timeout::TimeoutOverrides;

/// The version that has the digest of the request.
const DIGEST: u8 = 2;

/// What is stored under the idempotency key of a create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CreateClaim {
    pub(crate) session_id: SessionId,
    pub(crate) created_at: Timestamp,
    /// The digest of the request.
    pub(crate) digest: RequestDigest,
}

/// What schemas before version 3 stored: a part of the request. The rest is in the session's
/// record, which those versions never changed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OldCreateClaim {
    pub(crate) session_id: SessionId,
    pub(crate) created_at: Timestamp,
    pub(crate) timeout: TimeoutOverrides,
}

/// Version 1. The migration to schema 3 replaces it.
#[derive(Encode, BorrowDecode)]
struct CreateKeyRecord {
    session: [u8; 16],
    created_at: i64,
    timeout_minutes: Option<f64>,
    auto_renew: Option<bool>,
    max_duration_minutes: Option<f64>,
    warning_threshold_minutes: Option<f64>,
}

/// Version 2.
#[derive(Encode, BorrowDecode)]
struct DigestedCreateKeyRecord {
    session: [u8; 16],
    created_at: i64,
    digest: [u8; 32],
}

pub(crate) fn encode_claim(claim: &CreateClaim) -> Result<Vec<u8>, RecordError> {
    let record = DigestedCreateKeyRecord {
        session: *claim.session_id.0.as_bytes(),
        created_at: claim.created_at.0,
        digest: claim.digest.0,
    };
    encode_version(DIGEST, &record)
}

pub(crate) fn decode_claim(bytes: &[u8]) -> Result<CreateClaim, RecordError> {
    let record: DigestedCreateKeyRecord = decode_version(DIGEST, bytes)?;
    Ok(CreateClaim {
        session_id: SessionId(Uuid::from_bytes(record.session)),
        created_at: Timestamp(record.created_at),
        digest: RequestDigest(record.digest),
    })
}

/// Decodes version 1.
pub(crate) fn decode_old_claim(bytes: &[u8]) -> Result<OldCreateClaim, RecordError> {
    let record: CreateKeyRecord = decode(bytes)?;
    Ok(OldCreateClaim {
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
