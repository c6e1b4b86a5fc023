//! Idempotency keys, and the ids of remote sessions.

use redb::ReadableTable as _;

use super::lazy::Lazy;
use super::{Bytes, Txn, internal};
use crate::domain::id::{SessionId, UserId};
use crate::domain::key::IdempotencyKey;
use crate::domain::message::Message;
use crate::domain::time::Timestamp;
use crate::store::error::CommandResult;
use crate::store::quarantine::location::{KeyKind, RecordLocation, UNKNOWN_OWNER};
use crate::store::schema::record::{self, CreateClaim};

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
        self.count_write(&bytes);
        self.create_keys
            .open_mut()?
            .insert((user.into(), key.as_str()), bytes.as_slice())?;
        Ok(())
    }

    /// Returns the message that was stored under a key.
    pub(crate) fn message_of_key(
        &self,
        of: KeyKind,
        session: SessionId,
        key: &IdempotencyKey,
    ) -> CommandResult<Option<Message>> {
        let location = || RecordLocation::Key(of, key.clone());
        let Some(bytes) = self.keys(of).open()?.get((session.into(), key.as_str()))? else {
            self.require_not_quarantined(session, &location())?;
            return Ok(None);
        };
        let at = self
            .quarantine
            .inspect(session, location, record::decode_time(bytes.value()))?;
        self.message(session, at)
    }

    pub(crate) fn put_key(
        &mut self,
        of: KeyKind,
        session: SessionId,
        key: &IdempotencyKey,
        at: Timestamp,
    ) -> CommandResult<()> {
        let bytes = internal(record::encode_time(at))?;
        self.count_write(&bytes);
        self.keys_mut(of)
            .open_mut()?
            .insert((session.into(), key.as_str()), bytes.as_slice())?;
        Ok(())
    }

    pub(super) fn keys(&self, of: KeyKind) -> &Lazy<'t, (u128, &'static str), Bytes> {
        match of {
            KeyKind::Send => &self.message_keys,
            KeyKind::Submit => &self.submit_keys,
        }
    }

    pub(super) fn keys_mut(&mut self, of: KeyKind) -> &mut Lazy<'t, (u128, &'static str), Bytes> {
        match of {
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
        self.count_write(&bytes);
        self.remote_sessions
            .open_mut()?
            .insert(u128::from(session), bytes.as_slice())?;
        Ok(())
    }
}
