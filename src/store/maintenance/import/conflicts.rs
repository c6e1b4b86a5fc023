//! Conflicts of imported items with what a database contains.

use crate::domain::archive::{ArchivedSession, Item};
use crate::domain::error::RuleViolation;
use crate::domain::id::{SessionId, UserId};
use crate::domain::key::IdempotencyKey;
use crate::store::command::{is_remembered, remembered_claim};
use crate::store::error::{CommandError, CommandResult};
use crate::store::quarantine::location::{RecordLocation, UNKNOWN_OWNER};
use crate::store::schema::record::CreateClaim;
use crate::store::write::txn::Txn;

/// What becomes of an imported claim to a create key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClaimOutcome {
    /// It is stored; an older claim is forgotten.
    Stored,
    /// Another session has claimed the key since, so it is left out.
    Outdated,
    /// A retry of either creation would have to find its session.
    Conflict,
}

/// Refuses an item whose session id, or whose create key, is in use.
pub(crate) fn require_none(txn: &Txn<'_>, item: &Item) -> CommandResult<()> {
    match item {
        Item::Session(archived) => {
            require_unused(txn, archived.session.id)?;
            match (claim_outcome(txn, archived)?, &archived.session.create_key) {
                (ClaimOutcome::Conflict, Some(key)) => {
                    let key = key.as_str().to_owned();
                    Err(RuleViolation::IdempotencyConflict { key }.into())
                }
                _ => Ok(()),
            }
        }
        Item::Quarantined(record) if record.owner != UNKNOWN_OWNER => {
            require_unused(txn, record.owner)
        }
        Item::Quarantined(record) => match RecordLocation::parse_key(&record.location) {
            Some(RecordLocation::CreateKey(user, key)) => require_unclaimed(txn, user, key),
            _ => Ok(()),
        },
        Item::Message(_) | Item::Deleted(_) => Ok(()),
    }
}

/// Refuses a quarantined create key that a session has claimed.
fn require_unclaimed(txn: &Txn<'_>, user: UserId, key: IdempotencyKey) -> CommandResult<()> {
    let name = key.as_str().to_owned();
    let location = RecordLocation::CreateKey(user, key);
    if txn.record_bytes(UNKNOWN_OWNER, &location)?.is_some() {
        return Err(RuleViolation::IdempotencyConflict { key: name }.into());
    }
    Ok(())
}

fn require_unused(txn: &Txn<'_>, id: SessionId) -> CommandResult<()> {
    if txn.is_session_id_used(id)? {
        return Err(RuleViolation::SessionExists(id).into());
    }
    Ok(())
}

/// Returns what becomes of the claim of a session that is not stored yet.
pub(super) fn claim_outcome(
    txn: &Txn<'_>,
    archived: &ArchivedSession,
) -> CommandResult<ClaimOutcome> {
    let session = &archived.session;
    let (Some(key), Some(imported)) = (&session.create_key, &archived.create_key_use) else {
        return Ok(ClaimOutcome::Stored);
    };
    match remembered_claim(txn, session.user_id, key) {
        Ok(None) => return Ok(ClaimOutcome::Stored),
        Ok(Some(_)) => {}
        // Whether the key is remembered is unknown.
        Err(CommandError::Record(_)) => return Ok(ClaimOutcome::Conflict),
        Err(error) => return Err(error),
    }
    let imported = CreateClaim {
        session_id: session.id,
        created_at: imported.created_at,
        digest: imported.digest,
    };
    if is_remembered(&imported, session, txn.now, txn.rules.retention) {
        Ok(ClaimOutcome::Conflict)
    } else {
        Ok(ClaimOutcome::Outdated)
    }
}
