//! `sessiond check` and `sessiond compact`

use anyhow::{Context as _, bail};

use super::output::Bar;
use super::server_client::held;
use super::{data_dir, hints, say};
use crate::process::server_lock::Mode;
use crate::settings::Config;
use crate::store::maintenance::offline::{self, OfflineDatabase};

/// Checks every page, record, index row and counter of the database, and changes nothing.
pub(super) fn run(config: &Config) -> anyhow::Result<()> {
    let path = data_dir::database(config);
    let Some(mut look) = data_dir::look(config)? else {
        return Err(held(&path));
    };
    let faults = faults(&mut look, "checking").with_context(|| path.display().to_string())?;
    let damaged = list_damaged(&look)?;
    let sessions = look.sessions()?;
    match (faults, damaged) {
        (0, 0) => say(&format!("{}: sound, {sessions} sessions", path.display())),
        (0, damaged) => bail!("{} set aside; the rest is sound", records(damaged)),
        (faults, damaged) => {
            let mut found = counted(faults, "fault");
            if damaged > 0 {
                found = format!("{found}, and {} set aside", records(damaged));
            }
            bail!("{found}; {}", hints::for_damage("check"))
        }
    }
}

/// Makes the database as small as it can be.
pub(super) fn compact(config: &Config) -> anyhow::Result<()> {
    let path = data_dir::database(config);
    let compacted = data_dir::lock_folder(config, Mode::Exclusive)
        .and_then(|_lock| offline::compact(&path, config.storage.cache_bytes));
    let (before, after) =
        compacted.with_context(|| format!("{} was not compacted", path.display()))?;
    say(&format!("{}: {before} bytes, now {after}", path.display()))
}

/// Returns the number of damaged records in words.
pub(super) fn records(number: u64) -> String {
    counted(number, "damaged record")
}

/// Returns a number of things in words.
pub(super) fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// Prints a line for each fault. Returns how many there are.
pub(super) fn faults(look: &mut OfflineDatabase, doing: &'static str) -> anyhow::Result<u64> {
    let bar = Bar::rows(doing);
    let mut faults = 0;
    let mut told = Ok(());
    look.check(&mut |progress| bar.show(progress), &mut |fault| {
        faults += 1;
        if told.is_ok() {
            told = bar.line(&fault);
        }
    })?;
    told.and(Ok(faults))
}

fn list_damaged(look: &OfflineDatabase) -> anyhow::Result<u64> {
    let mut damaged = 0;
    let mut told = Ok(());
    look.set_aside(&mut |aside| {
        damaged += 1;
        if told.is_ok() {
            told = say(&format!(
                "damaged: {} of {}, set aside at {}: {}",
                aside.place, aside.owner, aside.found_at, aside.reason
            ));
        }
    })?;
    told.and(Ok(damaged))
}
