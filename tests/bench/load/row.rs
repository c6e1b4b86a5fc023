//! The third limit: a row that redb has on disk, and nothing else.

use std::path::Path;
use std::time::{Duration, Instant};

use redb::{Database, TableDefinition};

use crate::figures::Counter;
use crate::print;

const ROWS: TableDefinition<u64, &[u8]> = TableDefinition::new("rows");

/// As many as there are sessions in the scenario, each as large as one of them.
const COUNT: u64 = 1000;
const BYTES: [u8; 200] = [7; 200];

/// Overwrites a row in a commit that leaves nothing to repair, over and over; prints the figures.
pub(crate) fn run(path: &Path, time: Duration) -> anyhow::Result<()> {
    let database = Database::create(path)?;
    put(&database, 0..COUNT)?;
    let mut tally = Counter::new()?;
    let start = Instant::now();
    for at in (0..COUNT).cycle() {
        if start.elapsed() >= time {
            break;
        }
        let before = Instant::now();
        put(&database, at..at + 1)?;
        tally.good(before.elapsed(), BYTES.len());
    }
    let figures = tally.figures(start.elapsed());
    print::line(&serde_json::to_string(&figures)?)?;
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
