//! `sessiond export`

use std::io::{BufWriter, Write as _};

use anyhow::bail;

use super::ask::{self, Wanted};
use super::{output, place};
use crate::archive;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::id::SessionId;
use crate::store::Cursor;
use crate::store::file::Look;

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
    if let Some(look) = place::look(config)? {
        return write(&look, id);
    }
    let path = match id {
        None => "/api/admin/export".to_owned(),
        Some(id) => format!("/api/admin/export?session={id}"),
    };
    let mut out = BufWriter::new(std::io::stdout().lock());
    let wanted = Wanted {
        path: &path,
        kind: "application/x-ndjson",
    };
    let mut take = |piece: &[u8]| output::written(out.write_all(piece));
    ask::download(config, &wanted, &mut take)?;
    output::written(out.flush())
}

fn write(look: &Look, id: Option<SessionId>) -> anyhow::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut cursor = id.map_or_else(Cursor::all, Cursor::only);
    let now = Clock::system().now();
    let mut is_empty = true;
    while !cursor.is_done() {
        for item in look.export(&mut cursor, SLICE, now)? {
            output::written(out.write_all(archive::line(&item).as_bytes()))?;
            is_empty = false;
        }
    }
    match id {
        Some(id) if is_empty => bail!("there is no session {id}"),
        _ => output::written(out.flush()),
    }
}
