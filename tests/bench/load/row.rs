//! The third limit of the machine: a durable commit of one row by redb.

use std::path::Path;
use std::time::{Duration, Instant};

use redb::{Database, TableDefinition};

use crate::measurement::Counter;
use crate::print;

const ROWS: TableDefinition<u64, &[u8]> = TableDefinition::new("rows");

/// As many rows as the scenario has sessions, each as large as a session.
const COUNT: u64 = 1000;
const BYTES: [u8; 200] = [7; 200];

/// Repeatedly overwrites a row in a commit that needs no repair after a crash, and prints the
/// numbers.
pub(crate) fn run(path: &Path, time: Duration) -> anyhow::Result<()> {
    let database = Database::create(path)?;
    put(&database, 0..COUNT)?;
    let mut counter = Counter::new()?;
    let start = Instant::now();
    for at in (0..COUNT).cycle() {
        if start.elapsed() >= time {
            break;
        }
        let before = Instant::now();
        put(&database, at..at + 1)?;
        counter.good(before.elapsed(), BYTES.len());
    }
    let measurement = counter.measurement(start.elapsed());
    print::line(&serde_json::to_string(&measurement)?)?;
    Ok(())
}

fn put(database: &Database, rows: std::ops::Range<u64>) -> anyhow::Result<()> {
    let mut txn = database.begin_write()?;
    txn.set_quick_repair(true);
    let mut table = txn.open_table(ROWS)?;
    for at in rows {
        table.insert(at, BYTES.as_slice())?;
    }
    drop(table);
    txn.commit()?;
    Ok(())
}
