//! `sessiond import`

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::file_kind::FileKind;
use super::output::{print, print_json};
use super::{check, data_dir, import_lines};
use crate::archive::Lines;
use crate::settings::Config;
use crate::store::maintenance::import::Imported;

/// The imported records.
#[derive(Debug, Serialize)]
struct Report {
    database: String,
    sessions: u64,
    messages: u64,
    /// Records in quarantine.
    damaged: u64,
}

/// Imports the lines of a file or of standard input, all or none: into a new database, or, if
/// `merges`, into the present one.
pub(super) fn run(
    config: &Config,
    source: Option<&Path>,
    merges: bool,
    is_json: bool,
) -> anyhow::Result<()> {
    if let Some(path) = source
        && FileKind::detect(path) == FileKind::Backup
    {
        bail!(
            "{} is a backup, not the lines of an export; `sessiond restore FILE` replaces the \
             database with it. Nothing was imported",
            path.display()
        );
    }
    if let Some(path) = source.filter(|path| path.is_dir()) {
        bail!(
            "{} is a directory; expected a file with the lines of an export. Nothing was imported",
            path.display()
        );
    }
    if !merges {
        require_empty(config)?;
    }
    let input: Box<dyn BufRead> = match source {
        None => Box::new(std::io::stdin().lock()),
        Some(path) => {
            let file = File::open(path).with_context(|| path.display().to_string())?;
            Box::new(BufReader::new(file))
        }
    };
    let mut lines = Lines::new(input);
    let imported = if merges {
        import_lines::merge(config, &mut lines)?
    } else {
        import_lines::create(config, &mut lines)?
    };
    report(config, imported, is_json)
}

fn report(config: &Config, imported: Imported, is_json: bool) -> anyhow::Result<()> {
    let database = config.storage.database().display().to_string();
    if is_json {
        return print_json(&Report {
            database,
            sessions: imported.sessions,
            messages: imported.messages,
            damaged: imported.quarantined,
        });
    }
    print(&format!(
        "{database}: {}, {}",
        check::counted(imported.sessions, "session"),
        check::counted(imported.messages, "message")
    ))?;
    if imported.quarantined > 0 {
        print(&check::records(imported.quarantined))?;
    }
    Ok(())
}

/// Returns an error if there is a database with data.
fn require_empty(config: &Config) -> anyhow::Result<()> {
    let target = config.storage.database();
    if import_lines::is_missing(&target)? {
        return Ok(());
    }
    let database = data_dir::require(config)?;
    if !database.is_empty()? {
        bail!(
            "{} contains {} sessions; an import needs an empty database, unless --merge adds to \
             it. Nothing was changed",
            target.display(),
            database.sessions()?
        );
    }
    Ok(())
}
