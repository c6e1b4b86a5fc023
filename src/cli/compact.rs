//! `sessiond compact`

use anyhow::Context as _;

use super::{place, say};
use crate::config::Config;
use crate::server_lock::Mode;
use crate::store::file;

/// Makes the database as small as it can be.
pub(super) fn run(config: &Config) -> anyhow::Result<()> {
    let path = place::database(config);
    let compacted = place::lock_folder(config, Mode::Exclusive)
        .and_then(|_lock| file::compact(&path, config.storage.cache_bytes));
    let (before, after) =
        compacted.with_context(|| format!("{} was not compacted", path.display()))?;
    say(&format!("{}: {before} bytes, now {after}", path.display()))
}
