//! `sessiond import`

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;

use anyhow::{Context as _, bail};

use super::bar::Bar;
use super::place::Replacement;
use super::{place, say};
use crate::archive::{self, MAX_LINE};
use crate::clock::Clock;
use crate::config::Config;
use crate::store::file::Look;
use crate::store::import::{self, Line};

/// Makes a database of the lines of a file, or of standard input, where there is none or an empty
/// one: of all lines, or of none.
pub(super) fn run(config: &Config, source: Option<&Path>) -> anyhow::Result<()> {
    let target = place::database(config);
    refuse_filled(config, &target)?;
    let mut input: Box<dyn BufRead> = match source {
        None => Box::new(std::io::stdin().lock()),
        Some(path) => Box::new(BufReader::new(
            File::open(path).with_context(|| path.display().to_string())?,
        )),
    };
    let replacement = Replacement::of(config)?;
    let bar = Bar::lines("importing");
    let checking = Bar::rows("checking");
    let mut lines = Lines::of(&mut input).inspect(|_| bar.add(1));
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
    ));
    if imported.set_aside > 0 {
        say(&format!("{} damaged records", imported.set_aside));
    }
    Ok(())
}

/// Lets pass where there is nothing that an import would replace.
fn refuse_filled(config: &Config, target: &Path) -> anyhow::Result<()> {
    match std::fs::metadata(target) {
        Ok(found) if found.len() == 0 => return Ok(()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(place::unusable(error, target)),
    }
    let Some(look) = place::look(config)? else {
        return Err(place::held(target));
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

/// The items of an input, each with its line's number. Empty lines are none.
struct Lines<'a> {
    input: &'a mut dyn BufRead,
    number: u64,
    is_over: bool,
}

impl<'a> Lines<'a> {
    fn of(input: &'a mut dyn BufRead) -> Self {
        Self {
            input,
            number: 0,
            is_over: false,
        }
    }

    fn read(&mut self) -> Result<Option<String>, String> {
        let mut bytes = Vec::new();
        let mut input = (&mut *self.input).take(MAX_LINE as u64 + 1);
        let read = input.read_until(b'\n', &mut bytes);
        if read.map_err(|error| error.to_string())? == 0 {
            return Ok(None);
        }
        if bytes.len() > MAX_LINE {
            return Err(format!("it is longer than {MAX_LINE} bytes"));
        }
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| "it is no UTF-8".to_owned())
    }
}

impl Iterator for Lines<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        while !self.is_over {
            self.number += 1;
            let item = match self.read() {
                Ok(None) => break,
                Ok(Some(line)) if line.trim().is_empty() => continue,
                Ok(Some(line)) => archive::parse(line.trim()),
                Err(reason) => Err(reason),
            };
            self.is_over = item.is_err();
            return Some((self.number, item));
        }
        None
    }
}
