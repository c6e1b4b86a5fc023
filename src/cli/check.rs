//! `sessiond check` and `sessiond compact`

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::output::{Bar, ROWS, print, print_json};
use super::{data_dir, hints};
use crate::domain::time::Timestamp;
use crate::process::server_lock::Mode;
use crate::server;
use crate::settings::Config;
use crate::store::maintenance::offline::{self, OfflineDatabase};

/// What a check has found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Checked {
    database: String,
    sessions: u64,
    /// Whether there are neither faults nor damaged records.
    sound: bool,
    faults: Vec<String>,
    damaged: Vec<DamagedRecord>,
}

/// A record in quarantine, with the names of the lines of an export.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DamagedRecord {
    session_id: String,
    record: String,
    reason: String,
    found_at: Timestamp,
}

/// What a compaction has changed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Compacted {
    database: String,
    bytes_before: u64,
    bytes_after: u64,
}

/// Checks every page, record, index row and counter of the database, and changes nothing.
pub(super) fn run(config: &Config, is_json: bool) -> anyhow::Result<()> {
    let path = config.storage.database();
    let mut database = data_dir::require(config)?;
    let path = path.display().to_string();
    let mut faults = Vec::new();
    let mut report = |fault: String, bar: &Bar| {
        if is_json {
            faults.push(fault);
            return Ok(());
        }
        bar.print(&fault)
    };
    let number = find_faults(&mut database, &mut report).with_context(|| path.clone())?;
    let damaged = find_quarantined(&database)?;
    let sessions = database.sessions()?;
    let records = damaged.len() as u64;
    if is_json {
        print_json(&Checked {
            database: path.clone(),
            sessions,
            sound: number == 0 && damaged.is_empty(),
            faults,
            damaged,
        })?;
    } else {
        print_quarantined(&damaged)?;
    }
    match (number, records) {
        (0, 0) if is_json => Ok(()),
        (0, 0) => print(&format!("{path}: sound, {}", counted(sessions, "session"))),
        (0, damaged) => bail!(
            "{} in quarantine; the rest is sound",
            self::records(damaged)
        ),
        (faults, damaged) => {
            let mut found = counted(faults, "fault");
            if damaged > 0 {
                found = format!("{found}, and {} in quarantine", self::records(damaged));
            }
            bail!("{found}; {}", hints::for_damage("check"))
        }
    }
}

/// Reduces the database file to its smallest size, without anything that was deleted.
pub(super) fn compact(config: &Config, is_json: bool) -> anyhow::Result<()> {
    let path = config.storage.database();
    let compacted = server::lock(&config.storage.data_dir, Mode::Exclusive).and_then(|_lock| {
        offline::compact(&path, config.storage.cache_bytes, &data_dir::create_partial)
    });
    let database = path.display().to_string();
    let (bytes_before, bytes_after) =
        compacted.with_context(|| format!("{database} was not compacted"))?;
    if is_json {
        return print_json(&Compacted {
            database,
            bytes_before,
            bytes_after,
        });
    }
    print(&format!(
        "{database}: {bytes_before} bytes, now {bytes_after}"
    ))
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
    find_faults(database, &mut |fault, bar| bar.print(&fault))
}

/// Passes each fault to `report`, with the bar of the progress. Returns their number.
fn find_faults(
    database: &mut OfflineDatabase,
    report: &mut dyn FnMut(String, &Bar) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let bar = Bar::new(ROWS, "checking");
    let mut faults = 0;
    let mut reported = Ok(());
    database.check(&mut |progress| bar.show(progress), &mut |fault| {
        faults += 1;
        if reported.is_ok() {
            reported = report(fault, &bar);
        }
    })?;
    reported.map(|()| faults)
}

/// Returns the records in quarantine.
fn find_quarantined(database: &OfflineDatabase) -> anyhow::Result<Vec<DamagedRecord>> {
    let mut damaged = Vec::new();
    database.quarantined(&mut |record| {
        damaged.push(DamagedRecord {
            session_id: record.owner.to_string(),
            record: record.location,
            reason: record.reason,
            found_at: record.found_at,
        });
    })?;
    Ok(damaged)
}

/// Prints a line for each record in quarantine.
fn print_quarantined(damaged: &[DamagedRecord]) -> anyhow::Result<()> {
    damaged.iter().try_for_each(|it| {
        print(&format!(
            "damaged: {} of {}, in quarantine since {}: {}",
            it.record, it.session_id, it.found_at, it.reason
        ))
    })
}
