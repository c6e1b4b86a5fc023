//! Removing what is past its keeping, in slices.

use super::create::KEY_LIFE;
use super::delete::{RemoteSession, erase};
use super::sealed::Apply;
use crate::domain::archive::Quarantined;
use crate::domain::id::SessionId;
use crate::events::Event;
use crate::store::error::CommandError;
use crate::store::quarantine;
use crate::store::quarantine::damage::NOBODY;
use crate::store::schema::deadline::Place;
use crate::store::write::txn::{Result, Txn};

/// How many rows one slice removes, so that a live request never waits for more.
const SLICE: usize = 500;

/// How many records that are set aside are held at once: they may be large.
const AT_ONCE: usize = 16;

/// Removes a slice of what is past its keeping: messages of deleted sessions first, then sessions
/// in the order of their expiry, then those whose records were lost.
#[derive(Debug, Default)]
pub struct Purge {
    /// Go on after this place in the expiry index, which stepped over a damaged session.
    pub after: Option<Place>,
    /// Go on after this place in the table of what is set aside.
    aside: Option<(SessionId, String)>,
}

/// What a slice did.
#[derive(Debug, Default)]
pub struct Purged {
    /// The sessions that are gone.
    pub sessions: Vec<SessionId>,
    /// The sessions that the servers behind the agents had for them.
    pub remotes: Vec<RemoteSession>,
    /// Where the next slice goes on; none where nothing is left.
    pub next: Option<Purge>,
}

/// Moves the tallies to the present time.
#[derive(Debug)]
pub struct AdvanceCounters;

impl Apply for Purge {
    type Output = Purged;

    fn apply(self, txn: &mut Txn<'_>) -> Result<Purged> {
        let mut purged = Purged::default();
        let mut budget = SLICE.saturating_sub(carry_on_deletions(txn, SLICE)?);
        let mut rest = self;
        let is_done = purge_expired(txn, &mut rest.after, &mut budget, &mut purged)?
            && purge_damaged(txn, &mut rest.aside, &mut budget, &mut purged.sessions)?;
        if !is_done {
            purged.next = Some(rest);
        }
        Ok(purged)
    }
}

/// Returns whether nothing is left.
fn purge_expired(
    txn: &mut Txn<'_>,
    after: &mut Option<Place>,
    budget: &mut usize,
    purged: &mut Purged,
) -> Result<bool> {
    let until = txn.now - txn.rules.kept;
    while *budget > 0 {
        // What was erased is no longer in the index, so each look begins where the last ended.
        let places = txn.expired_until(until, *after, *budget)?;
        if places.is_empty() {
            return Ok(true);
        }
        for place in places {
            if *budget == 0 {
                return Ok(false);
            }
            match txn.session(place.1) {
                Ok(Some(session)) => {
                    let erased = erase(txn, session.id, Some(&session), *budget)?;
                    end_turns(txn, session.id, erased.turns);
                    *budget = budget.saturating_sub(erased.rows);
                    purged.sessions.push(session.id);
                    purged.remotes.extend(erased.remote);
                }
                // Its record is set aside after this, and its rows with it.
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

/// The same, of what is set aside.
fn purge_damaged(
    txn: &mut Txn<'_>,
    after: &mut Option<(SessionId, String)>,
    budget: &mut usize,
    gone: &mut Vec<SessionId>,
) -> Result<bool> {
    while *budget > 0 {
        let rows = txn.set_aside_after(after.as_ref(), (*budget).min(AT_ONCE))?;
        let Some(last) = rows.last() else {
            return Ok(true);
        };
        *after = Some((last.owner, last.place.clone()));
        for row in rows {
            *budget = budget.saturating_sub(1);
            if quarantine::is_session(&row) && has_ended(txn, &row) {
                let erased = erase(txn, row.owner, None, (*budget).max(1))?;
                end_turns(txn, row.owner, erased.turns);
                *budget = budget.saturating_sub(erased.rows);
                gone.push(row.owner);
            } else if row.owner == NOBODY && txn.now.since(row.found_at) >= KEY_LIFE {
                txn.drop_aside(&row)?;
            }
        }
    }
    Ok(false)
}

/// Tells the listeners of an expired session, who wait for its last turns, that these are over.
fn end_turns(txn: &mut Txn<'_>, session: SessionId, turns: usize) {
    for _ in 0..turns {
        txn.publish(session, Event::TurnEnded);
    }
    if turns > 0 {
        txn.publish(session, Event::Idle);
    }
}

/// Whether a session whose record is lost is past its keeping. Where its expiry is lost too, it
/// is kept as if it had expired when that was found.
fn has_ended(txn: &Txn<'_>, aside: &Quarantined) -> bool {
    aside.expires_at.unwrap_or(aside.found_at) + txn.rules.kept <= txn.now
}

fn carry_on_deletions(txn: &mut Txn<'_>, budget: usize) -> Result<usize> {
    let mut removed = 0;
    while removed < budget {
        let Some(session) = txn.next_deletion()? else {
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

    fn apply(self, txn: &mut Txn<'_>) -> Result<()> {
        txn.walk_tallies()
    }
}
