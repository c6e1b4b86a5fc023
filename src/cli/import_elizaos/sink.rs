//! Where the sessions go: to the running server, or into the database if there is none.

use std::collections::HashSet;
use std::mem;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use tokio::time::{Instant, sleep};

use super::super::connection::{ApiRefusal, ServerConnection};
use super::super::data_dir;
use super::super::import_lines;
use super::super::output::note;
use super::super::server_client::in_use;
use super::conversation::ArchivedConversation;
use super::pages::Limits;
use crate::domain::id::SessionId;
use crate::process::server_lock::{MAX_WAIT, ServerLock, WAIT_INTERVAL};
use crate::settings::Config;
use crate::store::error::ImportError;

/// What the server imports in one request.
const MAX_REQUEST_LINES: usize = 10_000;
const MAX_REQUEST_BYTES: usize = 32 << 20;

/// The limits of a channel for a running server. The first line is the session's.
const ONLINE: Limits = Limits {
    messages: MAX_REQUEST_LINES - 1,
    bytes: MAX_REQUEST_BYTES,
    advice: ", the most that a running server takes; stop the server, and run the command again",
};

/// The limits of a channel for the database: the memory that one may use.
const OFFLINE: Limits = Limits {
    messages: 200_000,
    bytes: 256 << 20,
    advice: "",
};

/// What is collected before it is written: each write checks and syncs the file.
const MAX_BATCH_ITEMS: usize = 20_000;
const MAX_BATCH_BYTES: usize = 32 << 20;

/// The code of the refusal of a session that exists.
const EXISTS: &str = "SESSION_EXISTS";

/// How often and after which time a request is sent to a server that is busy with another import.
const ATTEMPTS: u32 = 30;
const BUSY_WAIT: Duration = Duration::from_secs(1);

/// Stores conversations.
pub(super) enum Sink<'a> {
    Running(ServerConnection),
    Offline(Database<'a>),
}

/// The database, and the conversations that are not in it yet.
pub(super) struct Database<'a> {
    config: &'a Config,
    /// The sessions that it had at the start, among those of the channels.
    stored: HashSet<SessionId>,
    batch: Vec<ArchivedConversation>,
}

/// What became of a conversation.
#[derive(Debug)]
pub(super) enum ImportOutcome {
    Stored,
    /// A session of its id exists.
    Exists,
    /// It cannot be stored, for this reason.
    Refused(String),
}

pub(super) type Results = Vec<(ArchivedConversation, ImportOutcome)>;

impl<'a> Sink<'a> {
    /// Opens the place for sessions. Returns an error if they could not be written there.
    pub(super) fn open(config: &'a Config) -> anyhow::Result<Self> {
        if let Some(server) = running(config)? {
            return Ok(Self::Running(server));
        }
        data_dir::require_writable(config)?;
        Ok(Self::Offline(Database {
            config,
            stored: HashSet::new(),
            batch: Vec::new(),
        }))
    }

    /// Finds out which of these sessions are in the database.
    pub(super) fn find(&mut self, ids: &[SessionId]) -> anyhow::Result<()> {
        let Self::Offline(database) = self else {
            return Ok(());
        };
        let config = database.config;
        let path = config.storage.database();
        if import_lines::is_missing(&path)? {
            return Ok(());
        }
        let Some(opened) = data_dir::open(config)? else {
            let server = running(config)?.ok_or_else(|| in_use(&path))?;
            *self = Self::Running(server);
            return Ok(());
        };
        for id in ids {
            if opened.has_session(*id)? {
                database.stored.insert(*id);
            }
        }
        Ok(())
    }

    pub(super) fn limits(&self) -> Limits {
        match self {
            Self::Running(_) => ONLINE,
            Self::Offline(_) => OFFLINE,
        }
    }

    /// Whether a session exists.
    pub(super) async fn has(&self, id: SessionId) -> anyhow::Result<bool> {
        let server = match self {
            Self::Running(server) => server,
            Self::Offline(database) => return Ok(database.stored.contains(&id)),
        };
        let path = format!("/api/messaging/sessions/{id}");
        let Err(error) = server.json(Method::GET, &path, None).await else {
            return Ok(true);
        };
        match error.downcast_ref::<ApiRefusal>().map(|it| it.status) {
            Some(StatusCode::GONE) => Ok(true),
            Some(StatusCode::NOT_FOUND) => Ok(false),
            _ => Err(error),
        }
    }

    /// Stores a conversation, at once or with later ones. Appends to `done` what became of those
    /// that are done.
    pub(super) async fn add(
        &mut self,
        conversation: ArchivedConversation,
        done: &mut Results,
    ) -> anyhow::Result<()> {
        match self {
            Self::Running(server) => {
                let outcome = send(server, &conversation).await?;
                done.push((conversation, outcome));
                Ok(())
            }
            Self::Offline(database) => {
                database.batch.push(conversation);
                if database.is_full() {
                    return self.flush(done).await;
                }
                Ok(())
            }
        }
    }

    /// Stores what was collected. If a server has started meanwhile, it receives this and the rest.
    pub(super) async fn flush(&mut self, done: &mut Results) -> anyhow::Result<()> {
        let Self::Offline(database) = self else {
            return Ok(());
        };
        if database.batch.is_empty() {
            return Ok(());
        }
        let Some(server) = database.write_or_find_server(done).await? else {
            return Ok(());
        };
        note("a server has started meanwhile, and receives the sessions");
        for conversation in mem::take(&mut database.batch) {
            let outcome = send(&server, &conversation).await?;
            done.push((conversation, outcome));
        }
        *self = Self::Running(server);
        Ok(())
    }
}

/// Connects to the server that holds the data, unless it is about to end.
fn running(config: &Config) -> anyhow::Result<Option<ServerConnection>> {
    let holder = ServerLock::holder(&config.storage.data_dir);
    if holder.is_some_and(|holder| holder.is_brief()) {
        return Ok(None);
    }
    ServerConnection::running(&config.storage.database())
}

/// Sends a conversation to the running server, whole or not at all.
async fn send(
    server: &ServerConnection,
    conversation: &ArchivedConversation,
) -> anyhow::Result<ImportOutcome> {
    let lines = conversation.lines();
    if lines.len() > MAX_REQUEST_BYTES || conversation.items.len() > MAX_REQUEST_LINES {
        return Ok(ImportOutcome::Refused(ONLINE.exceeded()));
    }
    for attempt in 1.. {
        let Err(error) = server.import(lines.clone()).await else {
            break;
        };
        let refused = error.downcast_ref::<ApiRefusal>();
        match refused.map(|refused| (refused.status, refused)) {
            Some((StatusCode::CONFLICT, refused)) if refused.code == EXISTS => {
                return Ok(ImportOutcome::Exists);
            }
            Some((StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE, refused)) => {
                return Ok(ImportOutcome::Refused(refused.to_string()));
            }
            Some((StatusCode::SERVICE_UNAVAILABLE, _)) if attempt < ATTEMPTS => {
                sleep(BUSY_WAIT).await;
            }
            _ => return Err(error),
        }
    }
    Ok(ImportOutcome::Stored)
}

impl Database<'_> {
    fn is_full(&self) -> bool {
        let items: usize = self.batch.iter().map(|it| it.items.len()).sum();
        let bytes: usize = self.batch.iter().map(|it| it.bytes).sum();
        items >= MAX_BATCH_ITEMS || bytes >= MAX_BATCH_BYTES
    }

    /// Writes the batch. Returns a server instead if one has started meanwhile.
    async fn write_or_find_server(
        &mut self,
        done: &mut Results,
    ) -> anyhow::Result<Option<ServerConnection>> {
        let deadline = Instant::now() + MAX_WAIT;
        loop {
            if let Some(server) = running(self.config)? {
                return Ok(Some(server));
            }
            match self.write(done) {
                // A server that starts has locked the data before it listens.
                Err(_) if data_dir::is_held(self.config) => {
                    if Instant::now() > deadline {
                        return Err(in_use(&self.config.storage.database()));
                    }
                    sleep(WAIT_INTERVAL).await;
                }
                written => return written.map(|()| None),
            }
        }
    }

    /// Writes the batch in one transaction, without the conversations that cannot be stored.
    fn write(&mut self, done: &mut Results) -> anyhow::Result<()> {
        while !self.batch.is_empty() {
            let items = self.batch.iter().flat_map(|it| &it.items);
            let mut lines = (1..).zip(items.map(|item| Ok(item.clone())));
            let Err(error) = import_lines::merge(self.config, &mut lines) else {
                break;
            };
            let (number, outcome) = match error.downcast_ref() {
                Some(ImportError::Exists { number, .. }) => (*number, ImportOutcome::Exists),
                Some(ImportError::Line { number, reason }) => {
                    (*number, ImportOutcome::Refused(reason.clone()))
                }
                _ => return Err(error),
            };
            let at = position(&self.batch, number).ok_or(error)?;
            done.push((self.batch.remove(at), outcome));
        }
        let stored = self.batch.drain(..);
        done.extend(stored.map(|stored| (stored, ImportOutcome::Stored)));
        Ok(())
    }
}

/// Returns the position of the conversation that the line of this number belongs to.
fn position(batch: &[ArchivedConversation], number: u64) -> Option<usize> {
    let mut last = 0;
    batch.iter().position(|conversation| {
        last += conversation.items.len() as u64;
        number <= last
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::archive::Item;

    #[test]
    fn a_line_belongs_to_the_conversation_that_contains_it() {
        let conversation = |items| ArchivedConversation {
            id: SessionId::from(items as u128),
            name: String::new(),
            items: vec![Item::Deleted(SessionId::from(1)); items],
            unanswered: 0,
            bytes: 0,
        };
        let batch = [conversation(2), conversation(1), conversation(3)];
        let positions: Vec<_> = (1..=7).map(|number| position(&batch, number)).collect();
        let first = [Some(0), Some(0), Some(1)];
        let second = [Some(2), Some(2), Some(2), None];
        assert_eq!(positions, [&first[..], &second].concat());
    }
}
