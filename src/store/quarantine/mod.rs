//! Moving records aside that cannot be decoded, and mending what hangs on them.
//!
//! The record goes into a table of its own with the reason. What is left is whole again: every
//! index row has its record, and the rest of the session stays usable.

pub(in crate::store) mod damage;

use std::collections::{HashMap, HashSet};

use self::damage::{NOBODY, Place, RecordLocation};
use super::schema::record::{self, RecordError};
use super::write::txn::{Result, Txn};
use crate::domain::archive::Quarantined;
use crate::domain::id::SessionId;
use crate::domain::time::Timestamp;
use crate::domain::turn::OpenTurn;
use crate::events::Event;

/// Moves those of the records aside that still cannot be decoded.
pub(super) fn set_aside(txn: &mut Txn<'_>, places: &[Place]) -> Result<()> {
    let mut damaged = Vec::new();
    for (owner, spot) in places {
        let Some(bytes) = txn.bytes_at(*owner, spot)? else {
            txn.is_sound_after_all(*owner)?;
            continue;
        };
        if let Some(reason) = why(*owner, spot, &bytes) {
            damaged.push((*owner, spot, reason, bytes));
        } else {
            txn.rewrite(*owner, spot, &bytes)?;
            txn.is_sound_after_all(*owner)?;
        }
    }
    // Turns in their order, so that each finds its own message.
    damaged.sort_by_key(|(owner, spot, ..)| match spot {
        RecordLocation::Turn(position) => (*owner, *position),
        _ => (*owner, 0),
    });
    let sessions: HashSet<SessionId> = damaged
        .iter()
        .filter(|(_, spot, ..)| **spot == RecordLocation::Session)
        .map(|(owner, ..)| *owner)
        .collect();
    let expiries = if sessions.is_empty() {
        HashMap::new()
    } else {
        txn.remove_index_rows(&sessions)?
    };
    for (owner, spot, reason, bytes) in damaged {
        txn.take_out(owner, spot)?;
        txn.put_aside(&Quarantined {
            owner,
            place: spot.to_string(),
            reason: reason.to_string(),
            found_at: txn.now,
            expires_at: expiries
                .get(&owner)
                .copied()
                .filter(|_| *spot == RecordLocation::Session),
            bytes,
        })?;
        mend(txn, owner, spot, sessions.contains(&owner))?;
    }
    Ok(())
}

/// Why a record cannot be decoded, if it cannot.
fn why(owner: SessionId, spot: &RecordLocation, bytes: &[u8]) -> Option<RecordError> {
    match spot {
        RecordLocation::Session => record::decode_session(owner, bytes).err(),
        RecordLocation::Message(at) => record::decode_message(owner, *at, bytes).err(),
        RecordLocation::Turn(position) => record::decode_turn(owner, *position, bytes).err(),
        RecordLocation::Key(..) => record::decode_time(bytes).err(),
        RecordLocation::Upstream => record::decode_upstream(bytes).err(),
        RecordLocation::CreateKey(..) => record::decode_claim(bytes).err(),
    }
}

/// Puts in order what belonged to a record that is gone.
fn mend(txn: &mut Txn<'_>, owner: SessionId, spot: &RecordLocation, is_lost: bool) -> Result<()> {
    match spot {
        // Nobody can be asked any more, and nobody be told.
        RecordLocation::Session => drop(txn.remove_turns(owner)?),
        RecordLocation::Message(at) => {
            txn.remove_keys_of(owner, *at)?;
            end_turn_of(txn, owner, *at)?;
        }
        RecordLocation::Turn(position) if !is_lost => open_again(txn, owner, *position)?,
        RecordLocation::Turn(_)
        | RecordLocation::Key(..)
        | RecordLocation::Upstream
        | RecordLocation::CreateKey(..) => {}
    }
    Ok(())
}

/// Ends the turn of a message that is lost, so that those behind it do not wait for ever.
fn end_turn_of(txn: &mut Txn<'_>, session: SessionId, at: Timestamp) -> Result<()> {
    let turns = txn.open_turns(session)?;
    let Some(turn) = turns.iter().find(|turn| turn.message_at == at) else {
        return Ok(());
    };
    txn.remove_turn(turn)?;
    txn.publish(session, Event::TurnEnded);
    if turns.len() == 1 {
        txn.publish(session, Event::Idle);
    }
    Ok(())
}

/// Writes the row of an open turn anew: its message says that it is open.
fn open_again(txn: &mut Txn<'_>, session: SessionId, position: u32) -> Result<()> {
    let known: HashSet<Timestamp> = txn
        .open_turns(session)?
        .iter()
        .map(|turn| turn.message_at)
        .collect();
    let open = txn.messages_with_open_turns(session)?;
    let Some(message_at) = open.into_iter().find(|at| !known.contains(at)) else {
        return Ok(());
    };
    txn.put_turn(&OpenTurn {
        session_id: session,
        position,
        message_at,
        // It may have been asked, so it outlives the session's expiry.
        begun: true,
        running: false,
        crashes: 0,
        waits_until: None,
    })
}

/// A row of the table of what is set aside; one that is itself damaged is shown as it is.
pub(super) fn of_row(owner: SessionId, place: &str, bytes: &[u8]) -> Quarantined {
    record::decode_set_aside(owner, place, bytes).unwrap_or_else(|error| Quarantined {
        owner,
        place: place.to_owned(),
        reason: format!("its own note is damaged too: {error}"),
        found_at: Timestamp(0),
        expires_at: None,
        bytes: bytes.to_vec(),
    })
}

/// Whether a record is that of a whole session.
pub(super) fn is_session(aside: &Quarantined) -> bool {
    aside.owner != NOBODY && aside.place == RecordLocation::Session.to_string()
}
