//! Idempotency keys, and the names that other servers have for sessions.

use redb::ReadableTable as _;

use super::lazy::Lazy;
use super::{Bytes, Result, Txn, whole};
use crate::domain::id::{SessionId, UserId};
use crate::domain::key::IdempotencyKey;
use crate::domain::message::Message;
use crate::domain::time::Timestamp;
use crate::store::quarantine::damage::{KeyKind, NOBODY, RecordLocation};
use crate::store::schema::record::{self, CreateClaim};

impl<'t> Txn<'t> {
    pub(in crate::store) fn create_claim(
        &self,
        user: UserId,
        key: &IdempotencyKey,
    ) -> Result<Option<CreateClaim>> {
        let spot = || RecordLocation::CreateKey(user, key.clone());
        let Some(bytes) = self.create_keys.open()?.get((user.into(), key.as_str()))? else {
            self.refuse_set_aside(NOBODY, &spot())?;
            return Ok(None);
        };
        let claim = record::decode_claim(bytes.value());
        Ok(Some(self.noted(NOBODY, spot, claim)?))
    }

    pub(in crate::store) fn put_create_claim(
        &mut self,
        user: UserId,
        key: &IdempotencyKey,
        claim: &CreateClaim,
    ) -> Result<()> {
        let bytes = whole(record::encode_claim(claim))?;
        self.writes(&bytes);
        self.create_keys
            .open_mut()?
            .insert((user.into(), key.as_str()), bytes.as_slice())?;
        Ok(())
    }

    /// The message that a key was used for.
    pub(in crate::store) fn message_of_key(
        &self,
        of: KeyKind,
        session: SessionId,
        key: &IdempotencyKey,
    ) -> Result<Option<Message>> {
        let spot = || RecordLocation::Key(of, key.clone());
        let Some(bytes) = self.keys(of).open()?.get((session.into(), key.as_str()))? else {
            self.refuse_set_aside(session, &spot())?;
            return Ok(None);
        };
        let at = self.noted(session, spot, record::decode_time(bytes.value()))?;
        self.message(session, at)
    }

    pub(in crate::store) fn put_key(
        &mut self,
        of: KeyKind,
        session: SessionId,
        key: &IdempotencyKey,
        at: Timestamp,
    ) -> Result<()> {
        let bytes = whole(record::encode_time(at))?;
        self.writes(&bytes);
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

    pub(in crate::store) fn put_upstream(&mut self, session: SessionId, name: &str) -> Result<()> {
        let bytes = record::encode_upstream(name)?;
        self.writes(&bytes);
        self.upstreams
            .open_mut()?
            .insert(u128::from(session), bytes.as_slice())?;
        Ok(())
    }
}
