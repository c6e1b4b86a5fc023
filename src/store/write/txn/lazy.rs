//! A table that is opened on first use. Opening a table, and checking at the end whether it has
//! changed, costs as much as reading a row, and most transactions need few tables.

use std::cell::OnceCell;

use redb::{Key, Table, TableDefinition, Value, WriteTransaction};

use crate::store::error::CommandResult;

/// A table of a transaction.
pub(super) struct Lazy<'t, K: Key + 'static, V: Value + 'static> {
    txn: &'t WriteTransaction,
    definition: TableDefinition<'static, K, V>,
    table: OnceCell<Table<'t, K, V>>,
}

impl<'t, K: Key + 'static, V: Value + 'static> Lazy<'t, K, V> {
    pub(super) fn new(
        txn: &'t WriteTransaction,
        definition: TableDefinition<'static, K, V>,
    ) -> Self {
        Self {
            txn,
            definition,
            table: OnceCell::new(),
        }
    }

    /// Returns the table for reading.
    pub(super) fn open(&self) -> CommandResult<&Table<'t, K, V>> {
        if let Some(table) = self.table.get() {
            return Ok(table);
        }
        let table = self.txn.open_table(self.definition)?;
        Ok(self.table.get_or_init(|| table))
    }

    /// Returns the table for writing.
    pub(super) fn open_mut(&mut self) -> CommandResult<&mut Table<'t, K, V>> {
        self.open()?;
        // It is open by now, but the types cannot express that.
        Ok(self.table.get_mut().ok_or(redb::Error::DatabaseClosed)?)
    }
}
