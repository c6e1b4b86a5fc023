//! `sessiond restore FILE`

use std::path::Path;

use anyhow::bail;

use super::bar::Bar;
use super::given::Given;
use super::place::Replacement;
use super::{check, place, remedy, say};
use crate::clock::Clock;
use crate::config::Config;
use crate::store::file::Look;

/// Puts a copy of a backup in the place of the database.
pub(super) fn run(config: &Config, source: &Path, is_forced: bool) -> anyhow::Result<()> {
    let target = place::database(config);
    if place::is_same_file(source, &target) {
        bail!(
            "{} is the database itself, and a backup is another file. Nothing was changed",
            source.display()
        );
    }
    // Opened, a pipe that nobody writes to would keep the command waiting. What is not there, or may
    // not be looked at, is told by whoever opens it.
    if std::fs::metadata(source).is_ok_and(|found| !found.is_file()) {
        bail!(
            "{} is no file, and a backup is one; write it to a file first. Nothing was changed",
            source.display()
        );
    }
    let exists = target.try_exists();
    if exists.map_err(|error| place::unusable(error, &target))? && !is_forced {
        bail!(
            "{} exists; with --force the backup takes its place. Nothing was changed",
            target.display()
        );
    }
    let mut look = look_into(source, config.storage.cache_bytes)?;
    let faults = check::faults(&mut look, "checking")?;
    if faults > 0 {
        let faults = check::counted(faults, "fault");
        bail!(
            "{} has {faults} and is not restored; choose another backup. Nothing was \
             changed",
            source.display()
        );
    }
    let replacement = Replacement::of(config)?;
    {
        let bar = Bar::rows("copying");
        let now = Clock::system().now();
        look.copy_to(replacement.file(), &config.rules, now, &mut |at| {
            bar.show(at);
        })?;
    }
    let sessions = look.sessions()?;
    replacement.take_place()?;
    say(&format!("{}: {sessions} sessions", target.display()))
}

fn look_into(source: &Path, cache_bytes: usize) -> anyhow::Result<Look> {
    Look::into(source, cache_bytes).map_err(|error| {
        let remedy = match Given::of(source) {
            Given::Lines => Some(remedy::OF_LINES),
            Given::Backup | Given::Other => remedy::of_backup(&error),
        };
        let what = format!("{} is not restored, nothing was changed", source.display());
        // Without the type of the error, which would be taken for one of the database.
        let error = anyhow::anyhow!("{what}: {error}");
        match remedy {
            None => error,
            Some(remedy) => remedy::after(&error, remedy),
        }
    })
}
