//! Importing lines into the database in `DATA_DIR`.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;

use super::data_dir::{self, Replacement};
use super::output::{Bar, LINES, ROWS};
use super::server_client::in_use;
use crate::archive;
use crate::clock::Clock;
use crate::process::atomic_file;
use crate::process::server_lock::Mode;
use crate::server::lock;
use crate::settings::Config;
use crate::store::error::OpenError;
use crate::store::maintenance::import::{self, Imported, Line};
use crate::store::maintenance::merge::MergeTarget;

/// Begins the message of every error of the lines.
const NOTHING: &str = "nothing was imported";

/// Creates the database from the lines, or replaces an empty one: with all of them, or not at all.
pub(super) fn create(
    config: &Config,
    lines: &mut dyn Iterator<Item = Line>,
) -> anyhow::Result<Imported> {
    let replacement = Replacement::new(config)?;
    let bars = Bars::new();
    let mut lines = lines.inspect(|_| bars.lines.add(1));
    let now = Clock::system().now();
    let progress = &mut |progress| bars.rows.show(progress);
    let imported = import::import(replacement.file(), &mut lines, &config.rules, now, progress);
    let imported = imported.context(NOTHING)?;
    replacement.persist()?;
    Ok(imported)
}

/// Adds the lines to the database in one transaction, or changes nothing; creates a database if
/// there is none. Values must be within the bounds of the API.
///
/// # Errors
/// The sources of an error include `ImportError::Exists` if a session exists.
pub(super) fn merge(
    config: &Config,
    lines: &mut dyn Iterator<Item = Line>,
) -> anyhow::Result<Imported> {
    let now = Clock::system().now();
    let mut lines = archive::within_bounds(lines, now);
    let database = config.storage.database();
    if is_missing(&database)? {
        return create(config, &mut lines);
    }
    let target = atomic_file::resolve_links(&database);
    let opened = lock(&config.storage.data_dir, Mode::Exclusive).and_then(|lock| {
        let target = MergeTarget::open(&target, config.storage.cache_bytes)?;
        Ok((lock, target))
    });
    let (_lock, database) = match opened {
        Err(OpenError::InUse) => return Err(held(&database)),
        opened => opened.with_context(|| format!("the database {}", database.display()))?,
    };
    let scratch = data_dir::create_partial(&target).map_err(|error| {
        let directory = atomic_file::parent_dir(&target);
        anyhow::Error::new(OpenError::Io(error)).context(data_dir::no_file_in(directory))
    })?;
    let bars = Bars::new();
    let mut lines = lines.inspect(|_| bars.lines.add(1));
    let progress = &mut |progress| bars.rows.show(progress);
    let merged = database.merge(scratch.as_file(), &mut lines, &config.rules, now, progress);
    merged.context(NOTHING)
}

/// Whether there is no database, or an empty file in its place.
pub(super) fn is_missing(database: &Path) -> anyhow::Result<bool> {
    match std::fs::metadata(database) {
        Ok(found) => Ok(found.len() == 0),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(data_dir::io_error(error, database)),
    }
}

/// Returns the error of a merge while another process holds the database.
fn held(database: &Path) -> anyhow::Error {
    anyhow::anyhow!(
        "{}. A running server imports the lines itself, with POST /api/admin/import",
        in_use(database)
    )
}

/// The progress bars of an import.
struct Bars {
    lines: Bar,
    rows: Bar,
}

impl Bars {
    fn new() -> Self {
        Self {
            lines: Bar::new(LINES, "importing"),
            rows: Bar::new(ROWS, "checking"),
        }
    }
}
