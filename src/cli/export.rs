//! `sessiond export`

use std::io::{self, BufWriter, Write};

use anyhow::bail;

use super::check;
use super::output::{complete, note};
use super::server_choice::{DataSource, open_or_connect};
use super::server_client::runtime;
use super::usage_error::UsageError;
use crate::archive;
use crate::clock::Clock;
use crate::domain::archive::Item;
use crate::domain::id::{SessionId, UserId};
use crate::settings::Config;
use crate::store::ExportCursor;
use crate::store::error::OpenError;
use crate::store::maintenance::offline::OfflineDatabase;

/// How many rows are read at once.
const BATCH: usize = 1000;

/// What is exported.
#[derive(Debug, Clone, Copy)]
enum Selection {
    All,
    Session(SessionId),
    User(UserId),
}

impl Selection {
    fn parse(session: Option<&str>, user: Option<UserId>) -> anyhow::Result<Self> {
        if let Some(text) = session {
            let id = SessionId::parse(text);
            let id = id.ok_or_else(|| {
                UsageError(format!(
                    "{text:?} is not a session id: expected a UUID; `sessiond sessions list` lists \
                     them"
                ))
            })?;
            return Ok(Self::Session(id));
        }
        Ok(user.map_or(Self::All, Self::User))
    }

    /// Returns the path and query of the same export of a running server.
    fn path(self) -> String {
        let query = match self {
            Self::All => String::new(),
            Self::Session(id) => format!("?session={id}"),
            Self::User(id) => format!("?userId={id}"),
        };
        format!("/api/admin/export{query}")
    }
}

/// Writes all sessions, one, or those of a user to standard output. If a server holds the database,
/// it sends them.
pub(super) fn run(
    config: &Config,
    session: Option<&str>,
    user: Option<UserId>,
) -> anyhow::Result<()> {
    let selection = Selection::parse(session, user)?;
    let server = match open_or_connect(config)? {
        DataSource::Offline(database) => return write(*database, selection),
        DataSource::Server(server) => server,
    };
    let path = selection.path();
    let mut out = BufWriter::new(io::stdout().lock());
    let mut damaged = DamagedLines::default();
    let mut write = |piece: &[u8]| {
        damaged.count(piece);
        complete(out.write_all(piece))
    };
    let downloaded = runtime()?.block_on(server.download(&path, &mut write));
    // A part of the lines is useful even if the rest is missing.
    complete(out.flush())?;
    note_damaged(damaged.number);
    downloaded
}

/// Writes all readable sessions. Returns an error if some are not.
fn write(mut database: OfflineDatabase, selection: Selection) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let damage = match selection {
        Selection::All => page_damage(&mut database)?,
        // For one session or user, the damage found while reading it is enough.
        Selection::Session(_) | Selection::User(_) => None,
    };
    let mut cursor = match (selection, &damage) {
        (Selection::Session(id), _) => ExportCursor::only(id),
        (Selection::User(id), _) => ExportCursor::of_user(id),
        (Selection::All, None) => ExportCursor::all(),
        (Selection::All, Some(_)) => ExportCursor::salvage(),
    };
    let now = Clock::system().now();
    let (mut is_empty, mut damaged, mut lost) = (true, 0, 0_u64);
    while !cursor.is_done() {
        for item in database.export(&mut cursor, BATCH, now)? {
            damaged += u64::from(matches!(item, Item::Quarantined(_)));
            complete(out.write_all(archive::line(&item).as_bytes()))?;
            is_empty = false;
        }
        for place in cursor.take_lost() {
            note(&format!("cannot be read: {place}"));
            lost += 1;
        }
    }
    complete(out.flush())?;
    note_damaged(damaged);
    match (damage, selection) {
        (Some(damage), _) => bail!("{damage}; {lost} places cannot be read. {SAVED}"),
        _ if lost > 0 => bail!("{lost} places of the database cannot be read. {SAVED}"),
        (_, Selection::Session(id)) if is_empty => bail!("there is no session {id}"),
        _ => Ok(()),
    }
}

/// The end of the message about an incomplete export.
const SAVED: &str = "The output contains the rest: `sessiond import` creates a database from it in \
                     an empty directory, which --data-dir or DATA_DIR chooses";

/// Returns the damage of pages. Damage of single records does not count.
fn page_damage(database: &mut OfflineDatabase) -> anyhow::Result<Option<OpenError>> {
    match database.require_sound_pages() {
        Err(error) if error.is_damage() => Ok(Some(error)),
        result => Ok(result.map(|()| None)?),
    }
}

fn note_damaged(records: u64) {
    if records > 0 {
        let records = check::records(records);
        note(&format!(
            "the output contains {records}, in lines of type damaged"
        ));
    }
}

/// The beginning of the line of a damaged record.
const DAMAGED: &[u8] = br#"{"type":"damaged""#;

/// Counts the lines of damaged records in a stream.
#[derive(Default)]
struct DamagedLines {
    /// The beginning of the current line, up to the length of [`DAMAGED`].
    beginning: Vec<u8>,
    number: u64,
}

impl DamagedLines {
    fn count(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let missing = DAMAGED.len() - self.beginning.len();
            self.beginning.extend(part.iter().take(missing));
            if part.ends_with(b"\n") {
                self.number += u64::from(self.beginning == DAMAGED);
                self.beginning.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_lines_are_counted_in_pieces_of_any_size() {
        let text = "{\"type\":\"damaged\",\"x\":1}\n{\"type\":\"message\",\"content\":\
                    \"{\\\"type\\\":\\\"damaged\\\"\"}\n{\"type\":\"dam\"}\n\
                    {\"type\":\"damaged\"}\n";
        for size in 1..text.len() {
            let mut damaged = DamagedLines::default();
            for piece in text.as_bytes().chunks(size) {
                damaged.count(piece);
            }
            assert_eq!(damaged.number, 2, "{size}");
        }
    }
}
