//! A table that is opened when it is first asked for: to open one, and to look at the end whether
//! it has changed, costs as much as to read a row, and most transactions need few.

use std::cell::OnceCell;

use redb::{Key, Table, TableDefinition, Value, WriteTransaction};

use super::Result;
use crate::store::error::CommandError;

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

    /// The table, to read.
    pub(super) fn open(&self) -> Result<&Table<'t, K, V>> {
        if let Some(table) = self.table.get() {
            return Ok(table);
        }
        let table = self.txn.open_table(self.definition)?;
        Ok(self.table.get_or_init(|| table))
    }

    /// The table, to write.
    pub(super) fn open_mut(&mut self) -> Result<&mut Table<'t, K, V>> {
        self.open()?;
        // It is there by now, but the cell cannot say so.
        let table = self.table.get_mut();
        table.ok_or_else(|| CommandError::Storage(Box::new(redb::Error::DatabaseClosed)))
    }
}
