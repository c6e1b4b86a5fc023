//! Moving undecodable records out of their tables, and repairing what refers to them.
//!
//! A record goes into a table of its own, with the reason. The rest becomes consistent again: every
//! index row has its record, and the rest of the session stays usable.

pub(crate) mod location;
pub(crate) mod registry;

use std::collections::{HashMap, HashSet};

use self::location::{RecordLocation, RecordRef, UNKNOWN_OWNER};
use super::error::CommandResult;
use super::schema::record::{self, RecordError};
use super::write::txn::Txn;
use crate::domain::archive::Quarantined;
use crate::domain::id::SessionId;
use crate::domain::time::Timestamp;
use crate::domain::turn::OpenTurn;
use crate::domain::waiting::ClosedReason;

/// Quarantines those of the records that still cannot be decoded.
pub(super) fn quarantine_records(txn: &mut Txn<'_>, records: &[RecordRef]) -> CommandResult<()> {
    let mut damaged = Vec::new();
    for (owner, location) in records {
        let Some(bytes) = txn.record_bytes(*owner, location)? else {
            txn.note_sound(*owner)?;
            continue;
        };
        if let Some(reason) = decode_error(*owner, location, &bytes) {
            damaged.push((*owner, location, reason, bytes));
        } else {
            // Rewriting repairs a record that is damaged only on the disk.
            txn.put_record(*owner, location, &bytes)?;
            txn.note_sound(*owner)?;
        }
    }
    // Turns in their order, so that each finds its own message.
    damaged.sort_by_key(|(owner, location, ..)| match location {
        RecordLocation::Turn(position) => (*owner, *position),
        _ => (*owner, 0),
    });
    let is_session = |location: &RecordLocation| *location == RecordLocation::Session;
    let sessions = damaged.iter().filter(|record| is_session(record.1));
    let sessions: HashSet<SessionId> = sessions.map(|record| record.0).collect();
    let expiries = if sessions.is_empty() {
        HashMap::new()
    } else {
        txn.remove_index_rows(&sessions)?
    };
    let owners: HashSet<SessionId> = damaged.iter().map(|(owner, ..)| *owner).collect();
    for (owner, location, reason, bytes) in damaged {
        txn.remove_record(owner, location)?;
        let expiry = expiries.get(&owner).copied();
        txn.put_quarantined(&Quarantined {
            owner,
            location: location.to_string(),
            reason: reason.to_string(),
            found_at: txn.now,
            expires_at: expiry.filter(|_| is_session(location)),
            bytes,
        })?;
        repair(txn, owner, location, sessions.contains(&owner))?;
    }
    if owners.is_empty() {
        return Ok(());
    }
    txn.repair_waiting_turns(&owners)
}

/// Returns why a record cannot be decoded, if it cannot.
fn decode_error(owner: SessionId, location: &RecordLocation, bytes: &[u8]) -> Option<RecordError> {
    match location {
        RecordLocation::Session => record::decode_session(owner, bytes).err(),
        RecordLocation::Message(at) => record::borrow_message(owner, *at, bytes).err(),
        RecordLocation::Turn(position) => record::decode_turn(owner, *position, bytes).err(),
        RecordLocation::Key(..) => record::decode_key_time(bytes).err(),
        RecordLocation::RemoteSession => record::decode_remote_session(bytes).err(),
        RecordLocation::CreateKey(..) => record::decode_claim(bytes).err(),
    }
}

/// Repairs what referred to a record that is gone.
fn repair(
    txn: &mut Txn<'_>,
    owner: SessionId,
    location: &RecordLocation,
    session_is_lost: bool,
) -> CommandResult<()> {
    match location {
        // No agent can be asked for them, and no client can receive an answer.
        RecordLocation::Session => drop(txn.remove_turns(owner, ClosedReason::Deleted)?),
        RecordLocation::Message(at) => {
            txn.remove_keys_of(owner, *at)?;
            end_turn_of(txn, owner, *at)?;
        }
        RecordLocation::Turn(position) if !session_is_lost => {
            restore_turn(txn, owner, *position)?;
        }
        RecordLocation::Turn(_)
        | RecordLocation::Key(..)
        | RecordLocation::RemoteSession
        | RecordLocation::CreateKey(..) => {}
    }
    Ok(())
}

/// Ends the turn of a lost message, so that later turns do not wait for it forever.
fn end_turn_of(txn: &mut Txn<'_>, session: SessionId, at: Timestamp) -> CommandResult<()> {
    let turns = txn.open_turns(session)?;
    let Some(turn) = turns.iter().find(|turn| turn.message_at == at) else {
        return Ok(());
    };
    txn.end_turn(turn, turns.len() == 1, ClosedReason::Cancelled)
}

/// Restores the row of an open turn from its message, which says that the turn is open.
fn restore_turn(txn: &mut Txn<'_>, session: SessionId, position: u32) -> CommandResult<()> {
    let turns = txn.open_turns(session)?;
    let known: HashSet<Timestamp> = turns.iter().map(|turn| turn.message_at).collect();
    let open = txn.messages_with_open_turns(session)?;
    let Some(message_at) = open.into_iter().find(|at| !known.contains(at)) else {
        return Ok(());
    };
    txn.put_turn(&OpenTurn {
        session_id: session,
        position,
        message_at,
        // The agent may have been asked, so the turn outlives the session's expiry.
        begun: true,
        running: false,
        crashes: 0,
        waits_until: None,
    })
}

/// Decodes a row of the table of quarantined records; a row that is itself damaged is returned as
/// is.
pub(super) fn quarantined_row(owner: SessionId, location: &str, bytes: &[u8]) -> Quarantined {
    record::decode_quarantined(owner, location, bytes).unwrap_or_else(|error| Quarantined {
        owner,
        location: location.to_owned(),
        reason: format!("its own note is damaged too: {error}"),
        found_at: Timestamp(0),
        expires_at: None,
        bytes: bytes.to_vec(),
    })
}

/// Whether a quarantined record is that of a whole session.
pub(super) fn is_session(quarantined: &Quarantined) -> bool {
    quarantined.owner != UNKNOWN_OWNER
        && quarantined.location == RecordLocation::Session.to_string()
}
