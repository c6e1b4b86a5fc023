//! `sessiond export`

use std::io::{self, BufWriter, Write};

use anyhow::bail;

use super::{data_dir, note, output, server_client};
use crate::archive;
use crate::clock::Clock;
use crate::domain::archive::Item;
use crate::domain::id::SessionId;
use crate::settings::Config;
use crate::store::Cursor;
use crate::store::error::OpenError;
use crate::store::maintenance::offline::OfflineDatabase;

/// How many rows are read and written at once.
const SLICE: usize = 1000;

/// Writes all sessions, or one, to standard output. Where a server holds the database, that one
/// does.
pub(super) fn run(config: &Config, session: Option<&str>) -> anyhow::Result<()> {
    let id = match session {
        None => None,
        Some(text) => match SessionId::parse(text) {
            Some(id) => Some(id),
            None => bail!("{text:?} is no session's id"),
        },
    };
    if let Some(look) = data_dir::look(config)? {
        return write(look, id);
    }
    let path = match id {
        None => "/api/admin/export".to_owned(),
        Some(id) => format!("/api/admin/export?session={id}"),
    };
    let mut out = Counted::new(BufWriter::new(io::stdout().lock()));
    let mut take = |piece: &[u8]| output::written(out.write_all(piece));
    let downloaded = server_client::download(&data_dir::database(config), &path, &mut take);
    // What has come is of use, whatever becomes of the rest.
    output::written(out.flush())?;
    tell_damaged(out.damaged);
    downloaded
}

/// Writes what can be read. Fails if something cannot.
fn write(mut look: OfflineDatabase, id: Option<SessionId>) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let damage = match id {
        // It is told what is met of it: of one session, that is enough.
        Some(_) => None,
        None => damage_of(&mut look)?,
    };
    let mut cursor = match (id, &damage) {
        (Some(id), _) => Cursor::only(id),
        (None, None) => Cursor::all(),
        (None, Some(_)) => Cursor::salvage(),
    };
    let now = Clock::system().now();
    let (mut is_empty, mut damaged, mut lost) = (true, 0, 0_u64);
    while !cursor.is_done() {
        for item in look.export(&mut cursor, SLICE, now)? {
            damaged += u64::from(matches!(item, Item::Quarantined(_)));
            output::written(out.write_all(archive::line(&item).as_bytes()))?;
            is_empty = false;
        }
        for place in cursor.take_lost() {
            note(&format!("cannot be read: {place}"));
            lost += 1;
        }
    }
    output::written(out.flush())?;
    tell_damaged(damaged);
    if let Some(damage) = damage {
        bail!("{damage}; {lost} places cannot be read. {SAVED}");
    }
    match id {
        _ if lost > 0 => bail!("{lost} places of the database cannot be read. {SAVED}"),
        Some(id) if is_empty => bail!("there is no session {id}"),
        _ => Ok(()),
    }
}

/// The end of the message for an incomplete export.
const SAVED: &str = "What can be is in the output: `sessiond import` makes a database of it in an \
                     empty folder, which --data-dir or DATA_DIR chooses";

/// Returns the damage of pages, if there is any; that of single records does not count.
fn damage_of(look: &mut OfflineDatabase) -> anyhow::Result<Option<OpenError>> {
    match look.require_sound_pages() {
        Ok(()) => Ok(None),
        Err(error) if error.is_damage() => Ok(Some(error)),
        Err(error) => Err(error.into()),
    }
}

fn tell_damaged(records: u64) {
    match records {
        0 => {}
        1 => note("1 damaged record is in the output, as a line of the type damaged"),
        _ => note(&format!(
            "{records} damaged records are in the output, as lines of the type damaged"
        )),
    }
}

/// The beginning of the line of a damaged record.
const DAMAGED: &[u8] = br#"{"type":"damaged""#;

/// An output that counts the lines of damaged records.
struct Counted<W> {
    out: W,
    /// The beginning of the present line, as far as it tells.
    beginning: Vec<u8>,
    damaged: u64,
}

impl<W> Counted<W> {
    fn new(out: W) -> Self {
        Self {
            out,
            beginning: Vec::new(),
            damaged: 0,
        }
    }

    fn count(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let missing = DAMAGED.len() - self.beginning.len();
            self.beginning.extend(part.iter().take(missing));
            if part.ends_with(b"\n") {
                self.damaged += u64::from(self.beginning == DAMAGED);
                self.beginning.clear();
            }
        }
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.count(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_lines_are_counted_however_they_come() {
        let text = "{\"type\":\"damaged\",\"x\":1}\n{\"type\":\"message\",\"content\":\
                    \"{\\\"type\\\":\\\"damaged\\\"\"}\n{\"type\":\"dam\"}\n{\"type\":\"damaged\"}\n";
        for size in 1..text.len() {
            let mut out = Counted::new(Vec::new());
            for piece in text.as_bytes().chunks(size) {
                out.write_all(piece).unwrap();
            }
            assert_eq!(out.damaged, 2, "{size}");
            assert!(out.out == text.as_bytes());
        }
    }
}
