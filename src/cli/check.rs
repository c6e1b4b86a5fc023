//! `sessiond check`

use anyhow::{Context as _, bail};

use super::bar::Bar;
use super::{place, say};
use crate::config::Config;
use crate::store::file::Look;

/// Checks every page, record, index row and tally of the database, and changes nothing.
pub(super) fn run(config: &Config) -> anyhow::Result<()> {
    let path = place::database(config);
    let Some(mut look) = place::look(config)? else {
        return Err(place::held(&path));
    };
    let faults = faults(&mut look, "checking").with_context(|| path.display().to_string())?;
    let damaged = list_damaged(&look)?;
    let sessions = look.sessions()?;
    match (faults, damaged) {
        (0, 0) => say(&format!("{}: sound, {sessions} sessions", path.display())),
        (0, damaged) => bail!("{damaged} damaged records are set aside; the rest is sound"),
        (faults, damaged) => bail!("{faults} faults, and {damaged} damaged records set aside"),
    }
    Ok(())
}

/// Prints a line for each fault; returns how many there are.
pub(super) fn faults(look: &mut Look, doing: &'static str) -> anyhow::Result<u64> {
    let bar = Bar::rows(doing);
    let mut faults = 0;
    look.check(&mut |progress| bar.show(progress), &mut |fault| {
        bar.line(&fault);
        faults += 1;
    })?;
    Ok(faults)
}

fn list_damaged(look: &Look) -> anyhow::Result<u64> {
    let mut damaged = 0;
    look.set_aside(&mut |aside| {
        damaged += 1;
        say(&format!(
            "damaged: {} of {}, set aside at {}: {}",
            aside.place, aside.owner, aside.found_at, aside.reason
        ));
    })?;
    Ok(damaged)
}
