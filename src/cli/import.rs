//! `sessiond import`

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::check;
use super::data_dir::{self, Replacement};
use super::file_kind::FileKind;
use super::output::{Bar, LINES, ROWS, print, print_json};
use crate::archive::{self, MAX_LINE};
use crate::clock::Clock;
use crate::settings::Config;
use crate::store::maintenance::import::{self, Line};

/// The new database.
#[derive(Debug, Serialize)]
struct Created {
    database: String,
    sessions: u64,
    messages: u64,
    /// Records in quarantine.
    damaged: u64,
}

/// Creates a database from the lines of a file or of standard input, if there is none or an empty
/// one. Imports all lines or none.
pub(super) fn run(config: &Config, source: Option<&Path>, is_json: bool) -> anyhow::Result<()> {
    let target = config.storage.database();
    if let Some(path) = source
        && FileKind::detect(path) == FileKind::Backup
    {
        bail!(
            "{} is a backup, not the lines of an export; `sessiond restore FILE` replaces the \
             database with it. Nothing was imported",
            path.display()
        );
    }
    require_empty(config, &target)?;
    let input: Box<dyn BufRead> = match source {
        None => Box::new(std::io::stdin().lock()),
        Some(path) => {
            let file = File::open(path).with_context(|| path.display().to_string())?;
            Box::new(BufReader::new(file))
        }
    };
    let replacement = Replacement::new(config)?;
    let bar = Bar::new(LINES, "importing");
    let checking = Bar::new(ROWS, "checking");
    let mut lines = Lines::new(input).inspect(|_| bar.add(1));
    let now = Clock::system().now();
    let progress = &mut |progress| checking.show(progress);
    let file = replacement.file();
    let imported = import::import(file, &mut lines, &config.rules, now, progress);
    let imported = imported.context("nothing was imported")?;
    drop((bar, checking));
    replacement.persist()?;
    let database = target.display().to_string();
    if is_json {
        return print_json(&Created {
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
fn require_empty(config: &Config, target: &Path) -> anyhow::Result<()> {
    match std::fs::metadata(target) {
        Ok(found) if found.len() == 0 => return Ok(()),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(data_dir::io_error(error, target)),
    }
    let database = data_dir::require(config)?;
    if !database.is_empty()? {
        bail!(
            "{} contains {} sessions; an import needs an empty database. Nothing was changed",
            target.display(),
            database.sessions()?
        );
    }
    Ok(())
}

/// Parses JSON Lines into items with their line numbers. Skips blank lines, and ends after the
/// first invalid one.
struct Lines<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
    is_over: bool,
}

impl<R: BufRead> Lines<R> {
    fn new(input: R) -> Self {
        Self {
            input,
            line: Vec::new(),
            number: 0,
            is_over: false,
        }
    }

    /// Reads the next line. Returns `None` at the end.
    fn read(&mut self) -> Result<Option<&str>, String> {
        self.line.clear();
        self.number += 1;
        let mut input = (&mut self.input).take(MAX_LINE as u64 + 1);
        let read = input.read_until(b'\n', &mut self.line);
        if read.map_err(|error| error.to_string())? == 0 {
            return Ok(None);
        }
        if self.line.len() > MAX_LINE {
            return Err(format!("it is longer than {MAX_LINE} bytes"));
        }
        let text = str::from_utf8(&self.line).map_err(|_| "it is not UTF-8")?;
        // Some programs write a byte order mark before the first line.
        Ok(Some(text.strip_prefix('\u{FEFF}').unwrap_or(text).trim()))
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        while !self.is_over {
            let item = match self.read() {
                Ok(Some("")) => continue,
                Ok(Some(text)) => Some(archive::parse(text)),
                Ok(None) => None,
                Err(reason) => Some(Err(reason)),
            };
            self.is_over = !matches!(item, Some(Ok(_)));
            return Some((self.number, item?));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELETED: &str =
        r#"{"type":"deleted","sessionId":"018d0d2e-5a83-7c3e-9f5b-3c90c3cc0d44"}"#;

    fn lines(text: &str) -> Lines<&[u8]> {
        Lines::new(text.as_bytes())
    }

    #[test]
    fn lines_are_numbered_and_end_after_the_first_invalid_one() {
        let good = format!("{DELETED}\n\n").repeat(2);
        let numbers = |text: &str| -> Vec<u64> { lines(text).map(|(number, _)| number).collect() };
        assert_eq!(numbers(&good), [1, 3]);
        for bad in ["not an item".into(), "x".repeat(MAX_LINE + 1)] {
            assert_eq!(numbers(&format!("{good}{bad}\n{DELETED}")), [1, 3, 5]);
        }
        let mut bad = Lines::new(&b"\xff\n"[..]);
        let (number, item) = bad.next().unwrap();
        assert_eq!((number, item.unwrap_err().as_str()), (1, "it is not UTF-8"));
        assert!(bad.next().is_none());
    }

    #[test]
    fn a_byte_order_mark_before_the_first_line_is_skipped() {
        for text in [
            format!("\u{feff}{DELETED}\n"),
            format!("\u{feff}\r\n\u{feff}{DELETED}\r\n"),
        ] {
            let mut lines = lines(&text);
            let (_, item) = lines.next().unwrap();
            assert!(item.is_ok(), "{text:?}: {item:?}");
            assert!(lines.next().is_none());
        }
        assert!(lines("\u{feff}\n").next().is_none());
    }
}
