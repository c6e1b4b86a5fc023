//! The invariants of the file, checked completely.
//!
//! The tables are walked side by side, a row at a time, so that checking a large file takes no more
//! memory than checking a small one.

mod messages;
mod sessions;
mod tables;
mod waiting;

use redb::{ReadTransaction, ReadableTable as _};

use self::tables::Tables;
use super::progress::Progress;
use crate::domain::archive::Quarantined;
use crate::domain::id::SessionId;
use crate::store::error::ReadResult;
use crate::store::quarantine;
use crate::store::quarantine::location::{KeyKind, RecordLocation, RecordRef};
use crate::store::schema::record;
use crate::store::schema::tables::{DAMAGED, SCHEMA_VERSION, meta};

/// A violated invariant.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// A description in one line.
    pub(crate) text: String,
    /// The undecodable record, if that is the fault. It can be quarantined.
    pub(crate) record: Option<RecordRef>,
}

/// Reports each violated invariant.
pub(crate) fn check(
    txn: &ReadTransaction,
    progress: &mut dyn FnMut(Progress),
    report: &mut dyn FnMut(Fault),
) -> ReadResult<()> {
    let tables = Tables::open(txn)?;
    let total = tables.rows()?;
    let mut check = Check {
        progress: Progress { done: 0, total },
        tables: &tables,
        report_progress: progress,
        report,
    };
    check.schema()?;
    let indexed = check.sessions()?;
    check.deadlines(indexed)?;
    check.user_sessions(indexed)?;
    check.counters()?;
    check.deletions()?;
    check.messages()?;
    let waiting = check.open_turns()?;
    check.waiting_turns(waiting)?;
    check.keys(KeyKind::Send)?;
    check.keys(KeyKind::Submit)?;
    check.remote_sessions()?;
    check.create_keys()?;
    (check.report_progress)(Progress { done: total, total });
    Ok(())
}

/// Passes each quarantined record to `report`.
pub(crate) fn quarantined(
    txn: &ReadTransaction,
    report: &mut dyn FnMut(Quarantined),
) -> ReadResult<()> {
    for row in txn.open_table(DAMAGED)?.iter()? {
        let (key, bytes) = row?;
        let (owner, place) = key.value();
        report(quarantine::quarantined_row(
            owner.into(),
            place,
            bytes.value(),
        ));
    }
    Ok(())
}

struct Check<'a> {
    tables: &'a Tables,
    progress: Progress,
    report_progress: &'a mut dyn FnMut(Progress),
    report: &'a mut dyn FnMut(Fault),
}

impl Check<'_> {
    fn fault(&mut self, text: String) {
        (self.report)(Fault { text, record: None });
    }

    fn undecodable(&mut self, text: String, owner: SessionId, location: RecordLocation) {
        let record = Some((owner, location));
        (self.report)(Fault { text, record });
    }

    fn step(&mut self) {
        self.progress.step(self.report_progress);
    }

    /// Steps over rows that need no check.
    fn skip(&mut self, rows: u64) {
        self.progress.done += rows;
        (self.report_progress)(self.progress);
    }

    fn schema(&mut self) -> ReadResult<()> {
        let bytes = self.tables.meta.get(meta::SCHEMA)?;
        let version = bytes.map(|bytes| record::decode_number(bytes.value()));
        let version = version.transpose()?;
        if version != Some(SCHEMA_VERSION) {
            self.fault(format!("meta: the schema version is {version:?}"));
        }
        Ok(())
    }
}
