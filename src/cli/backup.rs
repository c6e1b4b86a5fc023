//! `sessiond backup FILE`

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::ask::{self, Wanted};
use super::bar::Bar;
use super::{check, note, place, remedy, say};
use crate::clock::Clock;
use crate::config::Config;
use crate::partial;
use crate::store::file::Look;

/// Writes a checked copy of the database to a file that is not there yet. Where a server holds
/// the database, that one makes the copy.
pub(super) fn run(config: &Config, target: &Path) -> anyhow::Result<()> {
    let exists = target.try_exists();
    if exists.with_context(|| target.display().to_string())? {
        bail!("{} exists; a backup replaces nothing", target.display());
    }
    let mut file = place::beside(target)
        .with_context(|| place::no_file_in(partial::folder_of(target)))
        .map_err(|error| remedy::after(&error, remedy::OF_NO_FILE))?;
    if let Some(mut look) = place::look(config)? {
        let bar = Bar::rows("copying");
        let now = Clock::system().now();
        look.copy_to(file.as_file(), &config.rules, now, &mut |at| bar.show(at))?;
    } else {
        let bar = Bar::bytes("the server sends");
        let wanted = Wanted {
            path: "/api/admin/backup",
            kind: "application/octet-stream",
        };
        ask::download(config, &wanted, &mut |piece| {
            bar.add(piece.len() as u64);
            Ok(file.write_all(piece)?)
        })?;
        file.flush()?;
        file.as_file().sync_all()?;
    }
    // From here on whoever looks into it holds it.
    let _ = file.as_file().unlock();
    let copy = Look::into(file.path(), config.storage.cache_bytes);
    // Without the type of the error, which would be taken for one of the database.
    let mut copy = copy.map_err(|error| {
        anyhow::anyhow!("the copy is no database that can be used, and was thrown away: {error}")
    })?;
    let faults = check::faults(&mut copy, "checking")?;
    let sessions = copy.sessions()?;
    let mut damaged = 0_u64;
    copy.set_aside(&mut |_| damaged += 1)?;
    drop(copy);
    if faults > 0 {
        bail!(
            "the copy has {} and was thrown away; {}",
            check::counted(faults, "fault"),
            remedy::of_a_damaged_database("backup")
        );
    }
    file.persist_noclobber(target)
        .map_err(|error| error.error)
        .with_context(|| target.display().to_string())?;
    partial::sync_folder(target)?;
    say(&format!("{}: {sessions} sessions", target.display()))?;
    if damaged > 0 {
        let damaged = check::records(damaged);
        note(&format!("{damaged} set aside in it"));
    }
    Ok(())
}
