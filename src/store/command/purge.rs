//! Removing what is past its keeping, in slices.

use super::delete::erase;
use super::sealed::Apply;
use crate::domain::id::SessionId;
use crate::domain::time::Timestamp;
use crate::store::error::CommandError;
use crate::store::txn::{Result, Txn};

/// How many rows one slice removes, so that a live request never waits for more.
const SLICE: usize = 500;

/// Removes a slice of what is past its keeping: messages of deleted sessions first, then sessions
/// in the order of their expiry.
#[derive(Debug, Default)]
pub struct Purge {
    /// Go on after this place in the expiry index, which stepped over a damaged session.
    pub after: Option<(Timestamp, SessionId)>,
}

/// What a slice did.
#[derive(Debug, Default)]
pub struct Purged {
    /// The sessions that are gone.
    pub sessions: Vec<SessionId>,
    /// Where the next slice goes on; none where nothing is left.
    pub next: Option<Purge>,
}

/// Moves the tallies to the present time.
#[derive(Debug)]
pub struct WalkTallies;

impl Apply for Purge {
    type Output = Purged;

    fn apply(self, txn: &mut Txn<'_>) -> Result<Purged> {
        let mut purged = Purged::default();
        let mut removed = carry_on_deletions(txn, SLICE)?;
        let until = txn.now - txn.rules.kept;
        let mut after = self.after;
        while removed < SLICE {
            // What was erased is no longer in the index, so each look begins where it ended.
            let Some(place) = txn.expired_until(until, after, 1)?.first().copied() else {
                return Ok(purged);
            };
            match txn.session(place.1) {
                Ok(Some(session)) => {
                    removed += erase(txn, &session, SLICE - removed)?.0;
                    purged.sessions.push(session.id);
                }
                // Without its record it is unknown which rows belong to it: it stays.
                Ok(None) | Err(CommandError::Record(_)) => after = Some(place),
                Err(error) => return Err(error),
            }
        }
        purged.next = Some(Self { after });
        Ok(purged)
    }
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

impl Apply for WalkTallies {
    type Output = ();

    fn apply(self, txn: &mut Txn<'_>) -> Result<()> {
        txn.walk_tallies()
    }
}
