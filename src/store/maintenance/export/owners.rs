//! Finds the sessions that any table knows of, if no single table can be trusted.

use std::collections::{BTreeSet, HashSet};

use redb::ReadableTable as _;

use super::seek::{damaged, guarded, next_readable};
use crate::domain::id::SessionId;
use crate::store::error::ReadResult;
use crate::store::read::reader::Reader;
use crate::store::schema::deadline::Row;
use crate::store::schema::tables::{DEADLINES, DELETIONS, USER_SESSIONS};

/// The most sessions per search. Each search walks all tables.
const MAX_SESSIONS: usize = 100_000;

/// The most deleted sessions that are recognized.
const MAX_DELETIONS: usize = 100_000;

/// The smallest ids after one.
struct Owners {
    after: Option<SessionId>,
    ids: BTreeSet<SessionId>,
    /// The unreadable places.
    lost: Vec<String>,
}

impl Owners {
    fn add(&mut self, id: SessionId) {
        if Some(id) <= self.after {
            return;
        }
        self.ids.insert(id);
        if self.ids.len() > MAX_SESSIONS {
            self.ids.pop_last();
        }
    }

    fn add_lost(&mut self, location: String) {
        // Later searches find the same places again.
        if self.after.is_none() {
            self.lost.push(location);
        }
    }
}

/// Returns the owner of the first row from an id on.
type First<'a> = &'a dyn Fn(u128) -> ReadResult<Option<u128>>;

impl Reader<'_> {
    /// Returns the next sessions after one, and the owners of quarantined records, as far as any
    /// table can be read. Adds unreadable places to `lost`.
    pub(super) fn owners_after(
        &self,
        after: Option<SessionId>,
        lost: &mut Vec<String>,
    ) -> BTreeSet<SessionId> {
        let mut owners = Owners {
            after,
            ids: BTreeSet::new(),
            lost: Vec::new(),
        };
        let deleted = guarded(|| self.deleted_sessions()).unwrap_or_default();
        let walks: [(&str, First<'_>); 3] = [
            ("sessions", &|from| self.first_session(from)),
            ("messages", &|from| self.first_message(from)),
            ("damaged", &|from| self.first_quarantined(from)),
        ];
        for (name, first) in walks {
            walk(name, first, &mut owners, &deleted);
        }
        // These are in another order, so the walk cannot continue after an unreadable place.
        if let Err(error) = guarded(|| self.walk_users(&mut owners)) {
            owners.add_lost(format!("user_sessions: {error}"));
        }
        if let Err(error) = guarded(|| self.walk_deadlines(&mut owners)) {
            owners.add_lost(format!("deadlines: {error}"));
        }
        lost.append(&mut owners.lost);
        owners.ids
    }

    fn first_session(&self, from: u128) -> ReadResult<Option<u128>> {
        let row = self.snapshot.sessions.range(from..)?.next();
        Ok(row.transpose()?.map(|(id, _)| id.value()))
    }

    fn first_message(&self, from: u128) -> ReadResult<Option<u128>> {
        let row = self.snapshot.messages.range((from, i64::MIN)..)?.next();
        Ok(row.transpose()?.map(|(key, _)| key.value().0))
    }

    fn walk_users(&self, owners: &mut Owners) -> ReadResult<()> {
        for row in self.snapshot.txn.open_table(USER_SESSIONS)?.iter()? {
            owners.add(SessionId::from(row?.0.value().1));
        }
        Ok(())
    }

    fn walk_deadlines(&self, owners: &mut Owners) -> ReadResult<()> {
        for row in self.snapshot.txn.open_table(DEADLINES)?.iter()? {
            owners.add(Row::from_key(row?.0.value()).session);
        }
        Ok(())
    }

    /// Returns the sessions whose messages are being removed.
    fn deleted_sessions(&self) -> ReadResult<HashSet<SessionId>> {
        let rows = self.snapshot.txn.open_table(DELETIONS)?;
        let mut deleted = HashSet::new();
        for row in rows.iter()?.take(MAX_DELETIONS) {
            deleted.insert(SessionId::from(row?.0.value()));
        }
        Ok(deleted)
    }
}

/// Adds the owners of a table's rows.
fn walk(name: &str, first: First<'_>, owners: &mut Owners, deleted: &HashSet<SessionId>) {
    let read = |start| match first(start)? {
        // The walk would never end.
        Some(id) if id < start => Err(damaged("the rows are not in their order")),
        found => Ok(found),
    };
    let mut from = owners
        .after
        .map_or(Some(0), |id| u128::from(id).checked_add(1));
    while let Some(start) = from {
        match guarded(|| read(start)) {
            Ok(None) => return,
            Ok(Some(id)) => {
                from = id.checked_add(1);
                let id = SessionId::from(id);
                if !deleted.contains(&id) {
                    owners.add(id);
                }
                // All further ids are greater.
                if owners.ids.len() == MAX_SESSIONS && owners.ids.last() <= Some(&id) {
                    return;
                }
            }
            Err(error) => {
                owners.add_lost(format!("{name} from {}: {error}", SessionId::from(start)));
                from = next_readable(start, u128::MAX, |id| read(id).map(drop));
            }
        }
    }
}
