//! Bringing a file of an older schema to the present one.
//!
//! It happens in the transaction that opens the file, so that a crash leaves one schema or the
//! other. A file of version 1 is kept among the tests (`tests/golden`).

use std::collections::HashMap;

use redb::{ReadableTable as _, ReadableTableMetadata as _, TableDefinition, WriteTransaction};

use super::deadline::Row;
use super::record;
use super::tables::{DEADLINES, META, SCHEMA_VERSION, meta};
use crate::domain::time::Timestamp;
use crate::store::error::CommandError;

/// Of version 1: (`expires_at`, session)
const EXPIRY: TableDefinition<(i64, u128), ()> = TableDefinition::new("expiry");

/// Of version 1: (`warn_at`, session)
const WARNINGS: TableDefinition<(i64, u128), ()> = TableDefinition::new("warnings");

/// Brings a file to the present schema, whatever older one it has, and notes that.
pub(in crate::store) fn migrate(txn: &WriteTransaction, from: u32) -> Result<(), CommandError> {
    if from < 2 {
        join_deadlines(txn)?;
    }
    let version = record::encode_number(SCHEMA_VERSION)?;
    txn.open_table(META)?
        .insert(meta::SCHEMA, version.as_slice())?;
    Ok(())
}

/// Version 1 had an index for each of a session's two instants. They are joined by themselves,
/// without the records: of a record that is damaged the rows are all that is left.
fn join_deadlines(txn: &WriteTransaction) -> Result<(), CommandError> {
    let expiry = txn.open_table(EXPIRY)?;
    let sessions = expiry.len()?;
    tracing::info!(sessions, "bringing the database to a newer schema");
    let mut warnings = HashMap::new();
    for row in txn.open_table(WARNINGS)?.iter()? {
        let (warn_at, session) = row?.0.value();
        warnings.insert(session, warn_at);
    }
    let mut deadlines = txn.open_table(DEADLINES)?;
    for row in expiry.iter()? {
        let (expires_at, session) = row?.0.value();
        // A row without its fellow is a fault, and stays one: it fits no session.
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
