//! Idempotency keys, and the ids of remote sessions.

use redb::ReadableTable as _;

use super::lazy::Lazy;
use super::{Bytes, Txn, internal};
use crate::domain::id::{SessionId, UserId};
use crate::domain::key::{IdempotencyKey, RequestDigest};
use crate::domain::message::Message;
use crate::domain::time::Timestamp;
use crate::domain::waiting::SubmittedError;
use crate::store::error::CommandResult;
use crate::store::quarantine::location::{KeyKind, RecordLocation, UNKNOWN_OWNER};
use crate::store::schema::record::{self, CreateClaim, SubmitClaim};

impl<'t> Txn<'t> {
    pub(crate) fn create_claim(
        &self,
        user: UserId,
        key: &IdempotencyKey,
    ) -> CommandResult<Option<CreateClaim>> {
        let location = || RecordLocation::CreateKey(user, key.clone());
        let Some(bytes) = self.create_keys.open()?.get((user.into(), key.as_str()))? else {
            self.require_not_quarantined(UNKNOWN_OWNER, &location())?;
            return Ok(None);
        };
        let claim = record::decode_claim(bytes.value());
        Ok(Some(self.quarantine.inspect(
            UNKNOWN_OWNER,
            location,
            claim,
        )?))
    }

    pub(crate) fn put_create_claim(
        &mut self,
        user: UserId,
        key: &IdempotencyKey,
        claim: &CreateClaim,
    ) -> CommandResult<()> {
        let bytes = internal(record::encode_claim(claim))?;
        let location = RecordLocation::CreateKey(user, key.clone());
        self.put_record(UNKNOWN_OWNER, &location, &bytes)
    }

    /// Returns the message that was stored under a key.
    pub(crate) fn message_of_key(
        &self,
        kind: KeyKind,
        session: SessionId,
        key: &IdempotencyKey,
    ) -> CommandResult<Option<Message>> {
        let location = || RecordLocation::Key(kind, key.clone());
        let Some(bytes) = self
            .keys(kind)
            .open()?
            .get((session.into(), key.as_str()))?
        else {
            self.require_not_quarantined(session, &location())?;
            return Ok(None);
        };
        let at = self
            .quarantine
            .inspect(session, location, record::decode_time(bytes.value()))?;
        self.message(session, at)
    }

    /// Returns what is stored under the key of a submission.
    pub(crate) fn submit_claim(
        &self,
        session: SessionId,
        key: &IdempotencyKey,
    ) -> CommandResult<Option<SubmitClaim>> {
        let location = || RecordLocation::Key(KeyKind::Submit, key.clone());
        let keys = self.submit_keys.open()?;
        let Some(bytes) = keys.get((session.into(), key.as_str()))? else {
            self.require_not_quarantined(session, &location())?;
            return Ok(None);
        };
        let claim = record::decode_submit_claim(key, bytes.value());
        Ok(Some(self.quarantine.inspect(session, location, claim)?))
    }

    /// Stores a submitted error under its key. `at` is the time of the newest message whose turn it
    /// closed.
    pub(crate) fn put_submitted_error(
        &mut self,
        session: SessionId,
        at: Timestamp,
        error: &SubmittedError,
    ) -> CommandResult<()> {
        let bytes = internal(record::encode_submitted_error(at, error))?;
        let location = RecordLocation::Key(KeyKind::Submit, error.key.clone());
        self.put_record(session, &location, &bytes)
    }

    /// Stores the key of a submitted reply, and the digest of the session metadata that came with it.
    pub(crate) fn put_submitted_reply(
        &mut self,
        session: SessionId,
        key: &IdempotencyKey,
        at: Timestamp,
        session_metadata: Option<RequestDigest>,
    ) -> CommandResult<()> {
        let bytes = internal(record::encode_submitted_reply(at, session_metadata))?;
        let location = RecordLocation::Key(KeyKind::Submit, key.clone());
        self.put_record(session, &location, &bytes)
    }

    pub(crate) fn put_key(
        &mut self,
        kind: KeyKind,
        session: SessionId,
        key: &IdempotencyKey,
        at: Timestamp,
    ) -> CommandResult<()> {
        let bytes = internal(record::encode_time(at))?;
        let location = RecordLocation::Key(kind, key.clone());
        self.put_record(session, &location, &bytes)
    }

    pub(super) fn keys(&self, kind: KeyKind) -> &Lazy<'t, (u128, &'static str), Bytes> {
        match kind {
            KeyKind::Send => &self.message_keys,
            KeyKind::Submit => &self.submit_keys,
        }
    }

    pub(super) fn keys_mut(&mut self, kind: KeyKind) -> &mut Lazy<'t, (u128, &'static str), Bytes> {
        match kind {
            KeyKind::Send => &mut self.message_keys,
            KeyKind::Submit => &mut self.submit_keys,
        }
    }

    pub(crate) fn put_remote_session(
        &mut self,
        session: SessionId,
        name: &str,
    ) -> CommandResult<()> {
        let bytes = record::encode_remote_session(name)?;
        self.put_record(session, &RecordLocation::RemoteSession, &bytes)
    }
}
