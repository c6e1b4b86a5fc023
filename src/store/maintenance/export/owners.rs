//! The sessions that any table knows of, for where one alone cannot be trusted.

use std::collections::{BTreeSet, HashSet};

use redb::ReadableTable as _;

use super::Result;
use super::seek::{damaged, guarded, next_readable};
use crate::domain::id::SessionId;
use crate::store::read::reader::Reader;
use crate::store::schema::deadline::Row;
use crate::store::schema::tables::{DAMAGED, DEADLINES, DELETIONS, USER_SESSIONS};

/// How many sessions are looked for at once. For each so many all tables are walked through.
const AT_ONCE: usize = 100_000;

/// More deletions than this do not go on at once.
const MAX_DELETIONS: usize = 100_000;

/// The least ids that were met after one.
struct Met {
    after: Option<SessionId>,
    ids: BTreeSet<SessionId>,
    /// What could not be read.
    lost: Vec<String>,
}

impl Met {
    fn note(&mut self, id: SessionId) {
        if Some(id) <= self.after {
            return;
        }
        self.ids.insert(id);
        if self.ids.len() > AT_ONCE {
            self.ids.pop_last();
        }
    }

    fn tell(&mut self, lost: String) {
        // Each table is walked through again for the sessions after these.
        if self.after.is_none() {
            self.lost.push(lost);
        }
    }
}

/// The owner of the first row from an id on.
type First<'a> = &'a dyn Fn(u128) -> Result<Option<u128>>;

impl Reader<'_> {
    /// The next sessions after one, and the owners of what is set aside, as far as any table can be
    /// read; tells of the stretches that cannot be.
    pub(super) fn owners_after(
        &self,
        after: Option<SessionId>,
        lost: &mut Vec<String>,
    ) -> BTreeSet<SessionId> {
        let mut met = Met {
            after,
            ids: BTreeSet::new(),
            lost: Vec::new(),
        };
        let leaving = guarded(|| self.leaving()).unwrap_or_default();
        let walks: [(&str, First<'_>); 3] = [
            ("sessions", &|from| self.first_session(from)),
            ("messages", &|from| self.first_message(from)),
            ("damaged", &|from| self.first_set_aside(from)),
        ];
        for (name, first) in walks {
            walk(name, first, &mut met, &leaving);
        }
        // These are in another order, so that there is no going on behind what cannot be read.
        let walked = guarded(|| self.walk_users(&mut met));
        if let Err(error) = walked {
            met.tell(format!("user_sessions: {error}"));
        }
        let walked = guarded(|| self.walk_deadlines(&mut met));
        if let Err(error) = walked {
            met.tell(format!("deadlines: {error}"));
        }
        lost.append(&mut met.lost);
        met.ids
    }

    fn first_session(&self, from: u128) -> Result<Option<u128>> {
        let row = self.snapshot.sessions.range(from..)?.next();
        Ok(row.transpose()?.map(|(id, _)| id.value()))
    }

    fn first_message(&self, from: u128) -> Result<Option<u128>> {
        let row = self.snapshot.messages.range((from, i64::MIN)..)?.next();
        Ok(row.transpose()?.map(|(key, _)| key.value().0))
    }

    fn first_set_aside(&self, from: u128) -> Result<Option<u128>> {
        let rows = self.snapshot.txn.open_table(DAMAGED)?;
        let row = rows.range((from, "")..)?.next();
        Ok(row.transpose()?.map(|(key, _)| key.value().0))
    }

    fn walk_users(&self, met: &mut Met) -> Result<()> {
        for row in self.snapshot.txn.open_table(USER_SESSIONS)?.iter()? {
            met.note(SessionId::from(row?.0.value().1));
        }
        Ok(())
    }

    fn walk_deadlines(&self, met: &mut Met) -> Result<()> {
        for row in self.snapshot.txn.open_table(DEADLINES)?.iter()? {
            met.note(Row::from_key(row?.0.value()).session);
        }
        Ok(())
    }

    /// The sessions whose messages are being removed.
    fn leaving(&self) -> Result<HashSet<SessionId>> {
        let rows = self.snapshot.txn.open_table(DELETIONS)?;
        let mut leaving = HashSet::new();
        for row in rows.iter()?.take(MAX_DELETIONS) {
            leaving.insert(SessionId::from(row?.0.value()));
        }
        Ok(leaving)
    }
}

/// Notes the owners of a table's rows.
fn walk(name: &str, first: First<'_>, met: &mut Met, leaving: &HashSet<SessionId>) {
    let read = |start| match first(start)? {
        // It would be met for ever.
        Some(id) if id < start => Err(damaged("the rows are not in their order")),
        found => Ok(found),
    };
    let mut from = met
        .after
        .map_or(Some(0), |id| u128::from(id).checked_add(1));
    while let Some(start) = from {
        match guarded(|| read(start)) {
            Ok(None) => return,
            Ok(Some(id)) => {
                from = id.checked_add(1);
                let id = SessionId::from(id);
                if !leaving.contains(&id) {
                    met.note(id);
                }
                // All that follow are greater.
                if met.ids.len() == AT_ONCE && met.ids.last() <= Some(&id) {
                    return;
                }
            }
            Err(error) => {
                met.tell(format!("{name} from {}: {error}", SessionId::from(start)));
                from = next_readable(start, u128::MAX, |place| read(place).map(drop));
            }
        }
    }
}
