//! Removing sessions past their retention, in slices.

use super::apply::Apply;
use super::create::KEY_LIFE;
use super::delete::{RemoteSession, erase};
use crate::domain::archive::Quarantined;
use crate::domain::id::SessionId;
use crate::domain::waiting::ClosedReason;
use crate::events::Event;
use crate::store::error::{CommandError, CommandResult};
use crate::store::quarantine;
use crate::store::quarantine::location::UNKNOWN_OWNER;
use crate::store::schema::deadline::DueSession;
use crate::store::write::txn::Txn;

/// The number of rows that one slice removes, so that a request never waits for more.
pub(super) const SLICE: usize = 500;

/// The number of quarantined records that are held in memory at once: they may be large.
pub(super) const MAX_QUARANTINED: usize = 16;

/// Removes a slice of what is past its retention: messages of deleted sessions first, then sessions
/// in the order of their expiry, then those whose records are lost.
#[derive(Debug, Default)]
pub struct Purge {
    /// Continues after this deadline, past damaged sessions.
    pub after: Option<DueSession>,
    /// Continues after this key in the table of quarantined records.
    quarantined: Option<(SessionId, String)>,
}

/// The result of a slice.
#[derive(Debug, Default)]
pub struct Purged {
    /// The sessions that were deleted.
    pub sessions: Vec<SessionId>,
    /// The remote sessions that belonged to them.
    pub remotes: Vec<RemoteSession>,
    /// The next slice; none if nothing is left.
    pub next: Option<Purge>,
}

/// Advances the counters to the current time.
#[derive(Debug)]
pub struct AdvanceCounters;

impl Apply for Purge {
    type Output = Purged;

    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<Purged> {
        let mut purged = Purged::default();
        let mut budget =
            SLICE.saturating_sub(continue_deletions(txn, SLICE, SessionId::from(u128::MAX))?);
        let mut rest = self;
        let is_done = purge_expired(txn, &mut rest.after, &mut budget, &mut purged)?
            && purge_damaged(
                txn,
                &mut rest.quarantined,
                &mut budget,
                &mut purged.sessions,
            )?;
        if !is_done {
            purged.next = Some(rest);
        }
        Ok(purged)
    }
}

/// Purges expired sessions; returns whether none are left.
fn purge_expired(
    txn: &mut Txn<'_>,
    after: &mut Option<DueSession>,
    budget: &mut usize,
    purged: &mut Purged,
) -> CommandResult<bool> {
    let until = txn.now - txn.rules.retention;
    while *budget > 0 {
        // Erased sessions are no longer in the index, so each lookup continues where the last
        // ended.
        let due = txn.expired_until(until, *after, *budget)?;
        if due.is_empty() {
            return Ok(true);
        }
        for place in due {
            if *budget == 0 {
                return Ok(false);
            }
            match txn.session(place.1) {
                Ok(Some(session)) => {
                    let erased = erase(
                        txn,
                        session.id,
                        Some(&session),
                        ClosedReason::Expired,
                        *budget,
                    )?;
                    end_turns(txn, session.id, erased.turns);
                    *budget = budget.saturating_sub(erased.rows);
                    purged.sessions.push(session.id);
                    purged.remotes.extend(erased.remote);
                }
                // Its record will be quarantined, and its index rows removed.
                Ok(None) | Err(CommandError::Record(_)) => {
                    *after = Some(place);
                    *budget -= 1;
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(false)
}

/// Purges quarantined records; returns whether none are left.
fn purge_damaged(
    txn: &mut Txn<'_>,
    after: &mut Option<(SessionId, String)>,
    budget: &mut usize,
    gone: &mut Vec<SessionId>,
) -> CommandResult<bool> {
    while *budget > 0 {
        let rows = txn.quarantined_after(after.as_ref(), (*budget).min(MAX_QUARANTINED))?;
        let Some(last) = rows.last() else {
            return Ok(true);
        };
        *after = Some((last.owner, last.location.clone()));
        for row in rows {
            *budget = budget.saturating_sub(1);
            if quarantine::is_session(&row) && has_ended(txn, &row) {
                let erased = erase(
                    txn,
                    row.owner,
                    None,
                    ClosedReason::Expired,
                    (*budget).max(1),
                )?;
                end_turns(txn, row.owner, erased.turns);
                *budget = budget.saturating_sub(erased.rows);
                gone.push(row.owner);
            } else if row.owner == UNKNOWN_OWNER && txn.now.since(row.found_at) >= KEY_LIFE {
                txn.remove_quarantined(&row)?;
            }
        }
    }
    Ok(false)
}

/// Publishes the end of the turns of an expired session, for which listeners may be waiting.
fn end_turns(txn: &mut Txn<'_>, session: SessionId, turns: usize) {
    for _ in 0..turns {
        txn.publish(session, Event::TurnEnded);
    }
    if turns > 0 {
        txn.publish(session, Event::Idle);
    }
}

/// Whether a session whose record is lost is past its retention. If its expiry is lost too, it
/// counts as expired when the damage was found.
fn has_ended(txn: &Txn<'_>, session: &Quarantined) -> bool {
    session.expires_at.unwrap_or(session.found_at) + txn.rules.retention <= txn.now
}

/// Removes messages of deleted sessions, up to the session `last`; returns how many rows were
/// removed, which are less than `budget` if none are left.
pub(super) fn continue_deletions(
    txn: &mut Txn<'_>,
    budget: usize,
    last: SessionId,
) -> CommandResult<usize> {
    let mut removed = 0;
    while removed < budget {
        let next = txn.next_deletion()?;
        let Some(session) = next.filter(|session| *session <= last) else {
            break;
        };
        let left = budget - removed;
        let rows = txn.remove_messages(session, left)?;
        removed += rows;
        if rows < left {
            txn.finish_deletion(session)?;
            removed += 1;
        }
    }
    Ok(removed)
}

impl Apply for AdvanceCounters {
    type Output = ();

    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<()> {
        txn.advance_counters()
    }
}
