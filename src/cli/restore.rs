//! `sessiond restore FILE`

use std::path::Path;

use anyhow::{Context as _, bail};

use super::bar::Bar;
use super::place::Replacement;
use super::{check, place, say};
use crate::clock::Clock;
use crate::config::Config;
use crate::store::file::Look;

/// Puts a copy of a backup in the place of the database.
pub(super) fn run(config: &Config, source: &Path, is_forced: bool) -> anyhow::Result<()> {
    let target = place::database(config);
    if target.try_exists()? && !is_forced {
        bail!(
            "{} exists; with --force the backup takes its place. Nothing was changed",
            target.display()
        );
    }
    let mut look = Look::into(source, config.storage.cache_bytes)
        .with_context(|| format!("{} is not restored, nothing was changed", source.display()))?;
    let faults = check::faults(&mut look, "checking")?;
    if faults > 0 {
        bail!(
            "{} has {faults} faults and is not restored. Nothing was changed",
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
    say(&format!("{}: {sessions} sessions", target.display()));
    Ok(())
}
