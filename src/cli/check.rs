//! `sessiond check` and `sessiond compact`

use anyhow::{Context as _, bail};

use super::output::{Bar, ROWS, print};
use super::{data_dir, hints};
use crate::process::server_lock::Mode;
use crate::server;
use crate::settings::Config;
use crate::store::maintenance::offline::{self, OfflineDatabase};

/// Checks every page, record, index row and counter of the database, and changes nothing.
pub(super) fn run(config: &Config) -> anyhow::Result<()> {
    let path = config.storage.database();
    let mut database = data_dir::require(config)?;
    let path = path.display();
    let faults = print_faults(&mut database).with_context(|| path.to_string())?;
    let damaged = print_quarantined(&database)?;
    let sessions = database.sessions()?;
    match (faults, damaged) {
        (0, 0) => print(&format!("{path}: sound, {}", counted(sessions, "session"))),
        (0, damaged) => bail!("{} in quarantine; the rest is sound", records(damaged)),
        (faults, damaged) => {
            let mut found = counted(faults, "fault");
            if damaged > 0 {
                found = format!("{found}, and {} in quarantine", records(damaged));
            }
            bail!("{found}; {}", hints::for_damage("check"))
        }
    }
}

/// Reduces the database file to its smallest size, without anything that was deleted.
pub(super) fn compact(config: &Config) -> anyhow::Result<()> {
    let path = config.storage.database();
    let compacted = server::lock(&config.storage.data_dir, Mode::Exclusive).and_then(|_lock| {
        offline::compact(&path, config.storage.cache_bytes, &data_dir::create_partial)
    });
    let path = path.display();
    let (before, after) = compacted.with_context(|| format!("{path} was not compacted"))?;
    print(&format!("{path}: {before} bytes, now {after}"))
}

/// Formats a number of damaged records.
pub(super) fn records(number: u64) -> String {
    counted(number, "damaged record")
}

/// Formats a number of things.
pub(super) fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// Prints a line for each fault. Returns their number.
pub(super) fn print_faults(database: &mut OfflineDatabase) -> anyhow::Result<u64> {
    let bar = Bar::new(ROWS, "checking");
    let mut faults = 0;
    let mut printed = Ok(());
    database.check(&mut |progress| bar.show(progress), &mut |fault| {
        faults += 1;
        if printed.is_ok() {
            printed = bar.print(&fault);
        }
    })?;
    printed.map(|()| faults)
}

/// Prints a line for each record in quarantine. Returns their number.
fn print_quarantined(database: &OfflineDatabase) -> anyhow::Result<u64> {
    let mut damaged = 0;
    let mut printed = Ok(());
    database.quarantined(&mut |record| {
        damaged += 1;
        if printed.is_ok() {
            printed = print(&format!(
                "damaged: {} of {}, in quarantine since {}: {}",
                record.location, record.owner, record.found_at, record.reason
            ));
        }
    })?;
    printed.map(|()| damaged)
}
