//! Erasing everything of a user, in slices.

use std::mem;

use super::apply::Apply;
use super::delete::{OWN_ROWS, RemoteSession, erase};
use super::purge::{MAX_QUARANTINED, SLICE, continue_deletions};
use crate::domain::id::{SessionId, UserId};
use crate::domain::session::LifeStage;
use crate::domain::waiting::ClosedReason;
use crate::events::Event;
use crate::store::error::{CommandError, CommandResult};
use crate::store::quarantine;
use crate::store::quarantine::location::RecordLocation;
use crate::store::schema::record;
use crate::store::write::txn::Txn;

/// Erases a slice of what is stored of a user: all sessions that exist when the first slice is
/// applied, as [`DeleteSession`](super::DeleteSession) does, then the create keys, the quarantined
/// records, and the messages that earlier deletions have left for later.
///
/// Sessions that are created between two slices stay, with their keys: their ids are larger than
/// those of the sessions that existed before.
#[derive(Debug)]
pub struct EraseUser {
    user: UserId,
    /// The user's newest session when the first slice was applied.
    newest: Option<SessionId>,
    stage: Stage,
}

/// What is erased next.
#[derive(Debug)]
enum Stage {
    Start,
    /// Sessions after this one.
    Sessions(Option<SessionId>),
    /// Create keys after this one.
    CreateKeys(Option<String>),
    QuarantinedKeys,
    /// Sessions with quarantined records, after this key in the table of those.
    Quarantined(Option<(SessionId, String)>),
    /// Messages of deleted sessions, up to this session.
    Messages(SessionId),
    Done,
}

/// The result of a slice.
#[derive(Debug, Default)]
pub struct ErasedUser {
    /// The sessions that no longer exist.
    pub sessions: Vec<SessionId>,
    /// How many of them were active or retained.
    pub deleted: u64,
    /// The remote sessions that belonged to them.
    pub remotes: Vec<RemoteSession>,
    /// The next slice; none if nothing is left.
    pub next: Option<EraseUser>,
}

impl EraseUser {
    /// Starts to erase what is stored of a user.
    #[must_use]
    pub fn new(user: UserId) -> Self {
        Self {
            user,
            newest: None,
            stage: Stage::Start,
        }
    }
}

impl Apply for EraseUser {
    type Output = ErasedUser;

    fn apply(mut self, txn: &mut Txn<'_>) -> CommandResult<ErasedUser> {
        let mut erased = ErasedUser::default();
        let mut budget = SLICE;
        while budget > 0 {
            let stage = mem::replace(&mut self.stage, Stage::Done);
            self.stage = match stage {
                Stage::Start => {
                    self.newest = txn.newest_session_of(self.user)?;
                    Stage::Sessions(None)
                }
                Stage::Sessions(after) => self.sessions(txn, after, &mut budget, &mut erased)?,
                Stage::CreateKeys(after) => self.create_keys(txn, after.as_deref(), &mut budget)?,
                Stage::QuarantinedKeys => self.quarantined_keys(txn, &mut budget)?,
                Stage::Quarantined(after) => {
                    self.quarantined(txn, after, &mut budget, &mut erased)?
                }
                Stage::Messages(last) => messages(txn, last, &mut budget)?,
                Stage::Done => return Ok(erased),
            };
        }
        erased.next = Some(self);
        Ok(erased)
    }
}

impl EraseUser {
    fn sessions(
        &self,
        txn: &mut Txn<'_>,
        mut after: Option<SessionId>,
        budget: &mut usize,
        erased: &mut ErasedUser,
    ) -> CommandResult<Stage> {
        let Some(newest) = self.newest else {
            return Ok(Stage::CreateKeys(None));
        };
        let limit = (*budget / OWN_ROWS).max(1);
        let ids = txn.sessions_of(self.user, after, newest, limit)?;
        if ids.is_empty() {
            return Ok(Stage::CreateKeys(None));
        }
        let undecodable = quarantine_sessions(txn, &ids)?;
        for id in ids {
            if *budget == 0 {
                break;
            }
            after = Some(id);
            if undecodable.contains(&id) {
                erase_lost(txn, id, budget, erased)?;
                continue;
            }
            let Some(session) = txn.session(id)? else {
                *budget -= 1;
                continue;
            };
            let stage = session.life_stage(txn.now, txn.rules.retention);
            erased.deleted += u64::from(stage != LifeStage::Gone);
            let removed = erase(txn, id, Some(&session), ClosedReason::Deleted, *budget)?;
            txn.publish(id, Event::Deleted);
            *budget = budget.saturating_sub(removed.rows);
            erased.sessions.push(id);
            erased.remotes.extend(removed.remote);
        }
        Ok(Stage::Sessions(after))
    }

    /// Removes the keys whose sessions are gone; those of erased sessions went with them.
    fn create_keys(
        &self,
        txn: &mut Txn<'_>,
        after: Option<&str>,
        budget: &mut usize,
    ) -> CommandResult<Stage> {
        let claims = txn.create_claims_of(self.user, after, *budget)?;
        let Some((last, _)) = claims.last() else {
            return Ok(Stage::QuarantinedKeys);
        };
        let after = Some(last.clone());
        *budget = budget.saturating_sub(claims.len());
        for (key, session) in claims {
            let is_newer = |id| Some(id) > self.newest;
            let exists = match session.filter(|id| is_newer(*id)) {
                // Also if its record cannot be decoded.
                Some(id) => !matches!(txn.session(id), Ok(None)),
                None => false,
            };
            if !exists {
                txn.remove_create_key(self.user, &key)?;
            }
        }
        Ok(Stage::CreateKeys(after))
    }

    fn quarantined_keys(&self, txn: &mut Txn<'_>, budget: &mut usize) -> CommandResult<Stage> {
        let removed = txn.remove_quarantined_keys_of(self.user, *budget)?;
        *budget -= removed;
        Ok(match *budget {
            0 => Stage::QuarantinedKeys,
            _ => Stage::Quarantined(None),
        })
    }

    /// Erases the sessions whose records are quarantined. They are in no index, so all quarantined
    /// records are read.
    fn quarantined(
        &self,
        txn: &mut Txn<'_>,
        mut after: Option<(SessionId, String)>,
        budget: &mut usize,
        erased: &mut ErasedUser,
    ) -> CommandResult<Stage> {
        let rows = txn.quarantined_after(after.as_ref(), (*budget).min(MAX_QUARANTINED))?;
        if rows.is_empty() {
            let last = txn.last_deletion()?;
            return Ok(last.map_or(Stage::Done, Stage::Messages));
        }
        for row in rows {
            *budget = budget.saturating_sub(1);
            let is_theirs = quarantine::is_session(&row)
                && record::user_of_session(&row.bytes) == Some(self.user);
            after = Some((row.owner, row.location));
            if is_theirs {
                erase_lost(txn, row.owner, budget, erased)?;
            }
        }
        Ok(Stage::Quarantined(after))
    }
}

/// Quarantines those of the sessions whose records cannot be decoded, and returns them.
fn quarantine_sessions(txn: &mut Txn<'_>, ids: &[SessionId]) -> CommandResult<Vec<SessionId>> {
    let mut undecodable = Vec::new();
    for id in ids {
        match txn.session(*id) {
            Ok(_) => {}
            Err(CommandError::Record(_)) => undecodable.push(*id),
            Err(error) => return Err(error),
        }
    }
    if !undecodable.is_empty() {
        let records = undecodable.iter().map(|id| (*id, RecordLocation::Session));
        let records: Vec<_> = records.collect();
        quarantine::quarantine_records(txn, &records)?;
    }
    Ok(undecodable)
}

/// Erases a session whose record is quarantined.
fn erase_lost(
    txn: &mut Txn<'_>,
    id: SessionId,
    budget: &mut usize,
    erased: &mut ErasedUser,
) -> CommandResult<()> {
    let removed = erase(txn, id, None, ClosedReason::Deleted, (*budget).max(1))?;
    txn.publish(id, Event::Deleted);
    *budget = budget.saturating_sub(removed.rows.max(1));
    erased.sessions.push(id);
    erased.deleted += 1;
    Ok(())
}

fn messages(txn: &mut Txn<'_>, last: SessionId, budget: &mut usize) -> CommandResult<Stage> {
    let removed = continue_deletions(txn, *budget, last)?;
    *budget = budget.saturating_sub(removed);
    Ok(match *budget {
        0 => Stage::Messages(last),
        _ => Stage::Done,
    })
}
