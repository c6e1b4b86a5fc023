//! `sessiond import`

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context as _, bail};

use super::check::records;
use super::data_dir::{self, Replacement};
use super::file_kind::FileKind;
use super::jsonl::Lines;
use super::output::Bar;
use super::say;
use super::server_client::held;
use crate::clock::Clock;
use crate::config::Config;
use crate::store::file::Look;
use crate::store::import;

/// Makes a database of the lines of a file, or of standard input, where there is none or an empty
/// one: of all lines, or of none.
pub(super) fn run(config: &Config, source: Option<&Path>) -> anyhow::Result<()> {
    let target = data_dir::database(config);
    if let Some(path) = source
        && FileKind::of(path) == FileKind::Backup
    {
        bail!(
            "{} is a backup and not the lines of an export; `sessiond restore FILE` puts it in \
             the place of the database. Nothing was imported",
            path.display()
        );
    }
    refuse_filled(config, &target)?;
    let input: Box<dyn BufRead + Send> = match source {
        None => Box::new(BufReader::new(std::io::stdin())),
        Some(path) => Box::new(BufReader::new(
            File::open(path).with_context(|| path.display().to_string())?,
        )),
    };
    let replacement = Replacement::new(config)?;
    let bar = Bar::lines("importing");
    let checking = Bar::rows("checking");
    let mut lines = Lines::new(input)?.inspect(|_| bar.add(1));
    let imported = import::import(
        replacement.file(),
        &mut lines,
        &config.rules,
        Clock::system().now(),
        &mut |progress| checking.show(progress),
    )
    .context("nothing was imported")?;
    drop((bar, checking));
    replacement.take_place()?;
    say(&format!(
        "{}: {} sessions, {} messages",
        target.display(),
        imported.sessions,
        imported.messages
    ))?;
    if imported.set_aside > 0 {
        say(&records(imported.set_aside))?;
    }
    Ok(())
}

/// Lets pass where there is nothing that an import would replace.
fn refuse_filled(config: &Config, target: &Path) -> anyhow::Result<()> {
    match std::fs::metadata(target) {
        Ok(found) if found.len() == 0 => return Ok(()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(data_dir::unusable(error, target)),
    }
    let Some(look) = data_dir::look(config)? else {
        return Err(held(target));
    };
    if !Look::is_empty(&look)? {
        bail!(
            "{} holds {} sessions; an import needs an empty database. Nothing was changed",
            target.display(),
            look.sessions()?
        );
    }
    Ok(())
}
