//! Migration of older schemas.
//!
//! It runs in the transaction that opens the file, so a crash leaves one schema or the other. The
//! tests hold a file of each version (`tests/golden`).

use std::collections::HashMap;
use std::ops::Bound;

use redb::{ReadableTable as _, ReadableTableMetadata as _, TableDefinition, WriteTransaction};

use super::deadline::Row;
use super::record::{self, CreateClaim};
use super::tables::{
    CREATE_KEYS, DEADLINES, META, OPEN_TURNS, SCHEMA_VERSION, SESSIONS, WAITING_TURNS, meta,
};
use crate::domain::key::RequestDigest;
use crate::domain::time::Timestamp;
use crate::session_json::create_digest;
use crate::store::error::CommandResult;

/// Version 1: (`expires_at`, session)
const EXPIRY: TableDefinition<(i64, u128), ()> = TableDefinition::new("expiry");

/// Version 1: (`warn_at`, session)
const WARNINGS: TableDefinition<(i64, u128), ()> = TableDefinition::new("warnings");

/// How many keys of creates are migrated at once.
const KEYS_AT_ONCE: usize = 1_000;

/// Migrates a file from schema version `from` and records the current version.
pub(crate) fn migrate(txn: &WriteTransaction, from: u32) -> CommandResult<()> {
    if from < 2 {
        join_deadlines(txn)?;
    }
    if from < 3 {
        index_waiting_turns(txn)?;
        digest_create_keys(txn)?;
    }
    let version = record::encode_number(SCHEMA_VERSION)?;
    txn.open_table(META)?
        .insert(meta::SCHEMA, version.as_slice())?;
    Ok(())
}

/// Version 1 had one index per deadline of a session. They are joined without reading the records,
/// since the rows are all that is left of a damaged record.
fn join_deadlines(txn: &WriteTransaction) -> CommandResult<()> {
    let expiry = txn.open_table(EXPIRY)?;
    let sessions = expiry.len()?;
    tracing::info!(sessions, "migrating the database to a newer schema");
    let mut warnings = HashMap::new();
    for row in txn.open_table(WARNINGS)?.iter()? {
        let (warn_at, session) = row?.0.value();
        warnings.insert(session, warn_at);
    }
    let mut deadlines = txn.open_table(DEADLINES)?;
    for row in expiry.iter()? {
        let (expires_at, session) = row?.0.value();
        // A row without its counterpart is a fault and stays one: it matches no session.
        let warn_at = warnings.get(&session).unwrap_or(&expires_at);
        let row = Row {
            expires_at: Timestamp(expires_at),
            warn_at: Timestamp(*warn_at),
            session: session.into(),
        };
        deadlines.insert(row.key(), ())?;
    }
    drop((expiry, deadlines));
    txn.delete_table(EXPIRY)?;
    txn.delete_table(WARNINGS)?;
    Ok(())
}

/// Version 2 had no index of the turns that wait for a submitted reply. Damaged records get no row:
/// their turns are reopened when the records are quarantined.
fn index_waiting_turns(txn: &WriteTransaction) -> CommandResult<()> {
    let sessions = txn.open_table(SESSIONS)?;
    let mut waiting_turns = txn.open_table(WAITING_TURNS)?;
    for row in txn.open_table(OPEN_TURNS)?.iter()? {
        let (key, bytes) = row?;
        let (id, position) = key.value();
        let Ok(turn) = record::decode_turn(id.into(), position, bytes.value()) else {
            continue;
        };
        if turn.waits_until.is_none() {
            continue;
        }
        let Some(bytes) = sessions.get(id)? else {
            continue;
        };
        if let Ok(session) = record::decode_session(id.into(), bytes.value()) {
            let key = (session.agent_id.into(), turn.message_at.0, id);
            waiting_turns.insert(key, ())?;
        }
    }
    Ok(())
}

/// Before version 3, a create was compared with its session's record and the requested timeouts,
/// which the key's row held. Now that metadata can change, the row holds a digest of the request.
/// Damaged rows stay as they are, and are quarantined when they are read.
fn digest_create_keys(txn: &WriteTransaction) -> CommandResult<()> {
    let sessions = txn.open_table(SESSIONS)?;
    let mut keys = txn.open_table(CREATE_KEYS)?;
    let mut last: Option<(u128, String)> = None;
    loop {
        let start = last.as_ref().map_or(Bound::Unbounded, |(user, key)| {
            Bound::Excluded((*user, key.as_str()))
        });
        let mut rows = Vec::new();
        for row in keys
            .range::<(u128, &str)>((start, Bound::Unbounded))?
            .take(KEYS_AT_ONCE)
        {
            let (key, bytes) = row?;
            let (user, name) = key.value();
            rows.push(((user, name.to_owned()), bytes.value().to_vec()));
        }
        for ((user, name), bytes) in &rows {
            let Ok(claim) = record::decode_old_claim(bytes) else {
                continue;
            };
            let session = sessions.get(u128::from(claim.session_id))?;
            let session = session
                .map(|bytes| record::decode_session(claim.session_id, bytes.value()))
                .transpose();
            let digest = match session {
                Ok(Some(it)) => create_digest(it.agent_id, &it.metadata, &claim.timeout, None),
                // Nothing can be replayed under the key of a session that is lost.
                _ => RequestDigest([0; 32]),
            };
            let claim = record::encode_claim(&CreateClaim {
                session_id: claim.session_id,
                created_at: claim.created_at,
                digest,
            })?;
            keys.insert((*user, name.as_str()), claim.as_slice())?;
        }
        match rows.pop() {
            Some((key, _)) => last = Some(key),
            None => return Ok(()),
        }
    }
}
