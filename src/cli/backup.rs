//! `sessiond backup FILE` and `sessiond restore FILE`

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::data_dir::Replacement;
use super::file_kind::FileKind;
use super::output::{BYTES, Bar, note, print};
use super::server_choice::{DataSource, open_or_connect};
use super::server_client::runtime;
use super::{check, data_dir, hints};
use crate::process::atomic_file;
use crate::settings::Config;
use crate::store::maintenance::offline::OfflineDatabase;

/// Writes a checked copy of the database to a new file. If a server holds the database, it sends
/// the copy.
pub(super) fn run(config: &Config, target: &Path) -> anyhow::Result<()> {
    let shown = || target.display().to_string();
    if target.try_exists().with_context(shown)? {
        bail!("{} exists; a backup never overwrites a file", shown());
    }
    let mut file = data_dir::create_partial(target)
        .with_context(|| data_dir::no_file_in(atomic_file::parent_dir(target)))
        .map_err(|error| hints::append(&error, hints::NO_FILE))?;
    match open_or_connect(config)? {
        DataSource::Offline(mut database) => data_dir::copy(&mut database, file.as_file(), config)?,
        DataSource::Server(server) => {
            let bar = Bar::new(BYTES, "receiving");
            let mut write = |piece: &[u8]| {
                bar.add(piece.len() as u64);
                Ok(file.write_all(piece)?)
            };
            runtime()?.block_on(server.download("/api/admin/backup", &mut write))?;
            file.as_file().sync_all()?;
        }
    }
    // Opening the copy locks it.
    let _ = file.as_file().unlock();
    let copy = OfflineDatabase::open(file.path(), config.storage.cache_bytes);
    // Without the type of the error, so that hints do not take it for one of the database.
    let mut copy = copy.map_err(|error| {
        anyhow::anyhow!("the copy is not a usable database, and was discarded: {error}")
    })?;
    let faults = check::print_faults(&mut copy)?;
    if faults > 0 {
        bail!(
            "the copy has {} and was discarded; {}",
            check::counted(faults, "fault"),
            hints::for_damage("backup")
        );
    }
    let sessions = copy.sessions()?;
    let mut damaged = 0_u64;
    copy.quarantined(&mut |_| damaged += 1)?;
    drop(copy);
    let persisted = file.persist_noclobber(target);
    persisted.map_err(|error| error.error).with_context(shown)?;
    atomic_file::sync_parent_dir(target)?;
    print(&format!(
        "{}: {}",
        shown(),
        check::counted(sessions, "session")
    ))?;
    if damaged > 0 {
        note(&format!("{} in quarantine in it", check::records(damaged)));
    }
    Ok(())
}

/// Replaces the database with a copy of a backup.
pub(super) fn restore(config: &Config, source: &Path, is_forced: bool) -> anyhow::Result<()> {
    let target = config.storage.database();
    let (from, to) = (source.display(), target.display());
    if data_dir::is_same_file(source, &target) {
        bail!("{from} is the database itself, not a backup of it. Nothing was changed");
    }
    // Opening a pipe would wait for its writer. Other errors are reported when it is opened.
    if std::fs::metadata(source).is_ok_and(|found| !found.is_file()) {
        bail!(
            "{from} is not a regular file; write the backup to a file first. Nothing was changed"
        );
    }
    let exists = target.try_exists();
    if exists.map_err(|error| data_dir::io_error(error, &target))? && !is_forced {
        bail!("{to} exists; with --force the backup replaces it. Nothing was changed");
    }
    let mut backup = open(source, config.storage.cache_bytes)?;
    let faults = check::print_faults(&mut backup)?;
    if faults > 0 {
        let faults = check::counted(faults, "fault");
        bail!(
            "{from} has {faults} and was not restored; choose another backup. Nothing was changed"
        );
    }
    let replacement = Replacement::new(config)?;
    data_dir::copy(&mut backup, replacement.file(), config)?;
    let sessions = backup.sessions()?;
    replacement.persist()?;
    print(&format!("{to}: {}", check::counted(sessions, "session")))
}

fn open(source: &Path, cache_bytes: usize) -> anyhow::Result<OfflineDatabase> {
    OfflineDatabase::open(source, cache_bytes).map_err(|error| {
        let hint = match FileKind::detect(source) {
            FileKind::Lines => Some(hints::LINES),
            FileKind::Backup | FileKind::Other => hints::for_backup(&error),
        };
        let source = source.display();
        // Without the type of the error, so that hints do not take it for one of the database.
        let error = anyhow::anyhow!("{source} was not restored, nothing was changed: {error}");
        match hint {
            None => error,
            Some(hint) => hints::append(&error, hint),
        }
    })
}
