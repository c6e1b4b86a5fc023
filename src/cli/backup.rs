//! `sessiond backup FILE` and `sessiond restore FILE`

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::data_dir::Replacement;
use super::file_kind::FileKind;
use super::output::Bar;
use super::{check, data_dir, hints, note, say, server_client};
use crate::clock::Clock;
use crate::process::atomic_file;
use crate::settings::Config;
use crate::store::maintenance::offline::OfflineDatabase;

/// Writes a checked copy of the database to a new file. If a server holds the database, it makes the
/// copy.
pub(super) fn run(config: &Config, target: &Path) -> anyhow::Result<()> {
    let exists = target.try_exists();
    if exists.with_context(|| target.display().to_string())? {
        bail!("{} exists; a backup replaces nothing", target.display());
    }
    let mut file = data_dir::beside(target)
        .with_context(|| data_dir::no_file_in(atomic_file::folder_of(target)))
        .map_err(|error| hints::append(&error, hints::NO_FILE))?;
    if let Some(mut look) = data_dir::look(config)? {
        let bar = Bar::rows("copying");
        let now = Clock::system().now();
        look.copy_to(file.as_file(), &config.rules, now, &mut |at| bar.show(at))?;
    } else {
        let bar = Bar::bytes("the server sends");
        server_client::download(
            &data_dir::database(config),
            "/api/admin/backup",
            &mut |piece| {
                bar.add(piece.len() as u64);
                Ok(file.write_all(piece)?)
            },
        )?;
        file.flush()?;
        file.as_file().sync_all()?;
    }
    // From here on whoever looks into it holds it.
    let _ = file.as_file().unlock();
    let copy = OfflineDatabase::into(file.path(), config.storage.cache_bytes);
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
            hints::for_damage("backup")
        );
    }
    file.persist_noclobber(target)
        .map_err(|error| error.error)
        .with_context(|| target.display().to_string())?;
    atomic_file::sync_folder(target)?;
    say(&format!("{}: {sessions} sessions", target.display()))?;
    if damaged > 0 {
        let damaged = check::records(damaged);
        note(&format!("{damaged} set aside in it"));
    }
    Ok(())
}

/// Replaces the database by a copy of a backup.
pub(super) fn restore(config: &Config, source: &Path, is_forced: bool) -> anyhow::Result<()> {
    let target = data_dir::database(config);
    if data_dir::is_same_file(source, &target) {
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
    if exists.map_err(|error| data_dir::unusable(error, &target))? && !is_forced {
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
    let replacement = Replacement::new(config)?;
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

fn look_into(source: &Path, cache_bytes: usize) -> anyhow::Result<OfflineDatabase> {
    OfflineDatabase::into(source, cache_bytes).map_err(|error| {
        let hint = match FileKind::of(source) {
            FileKind::Lines => Some(hints::LINES),
            FileKind::Backup | FileKind::Other => hints::for_backup(&error),
        };
        let what = format!("{} is not restored, nothing was changed", source.display());
        // Without the type of the error, which would be taken for one of the database.
        let error = anyhow::anyhow!("{what}: {error}");
        match hint {
            None => error,
            Some(hint) => hints::append(&error, hint),
        }
    })
}
