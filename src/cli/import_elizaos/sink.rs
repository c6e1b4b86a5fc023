//! Where the sessions go: to the running server, or into the database if there is none.

use std::collections::HashSet;
use std::mem;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use tokio::runtime::Runtime;
use tokio::time::sleep;

use super::super::connection::{ApiRefusal, ServerConnection};
use super::super::data_dir;
use super::super::import_lines;
use super::conversation::ArchivedConversation;
use super::pages::Limits;
use crate::domain::id::SessionId;
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
    Running(ServerConnection, &'a Runtime),
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

type Results = Vec<(ArchivedConversation, ImportOutcome)>;

impl<'a> Sink<'a> {
    /// Opens the place for sessions with some of these ids.
    pub(super) fn open(
        config: &'a Config,
        runtime: &'a Runtime,
        ids: &[SessionId],
    ) -> anyhow::Result<Self> {
        if let Some(server) = ServerConnection::running(&config.storage.database())? {
            return Ok(Self::Running(server, runtime));
        }
        Ok(Self::Offline(Database {
            config,
            stored: stored(config, ids)?,
            batch: Vec::new(),
        }))
    }

    pub(super) fn limits(&self) -> Limits {
        match self {
            Self::Running(..) => ONLINE,
            Self::Offline(_) => OFFLINE,
        }
    }

    /// Whether a session exists.
    pub(super) fn has(&self, id: SessionId) -> anyhow::Result<bool> {
        let (server, runtime) = match self {
            Self::Running(server, runtime) => (server, runtime),
            Self::Offline(database) => return Ok(database.stored.contains(&id)),
        };
        let path = format!("/api/messaging/sessions/{id}");
        let Err(error) = runtime.block_on(server.json(Method::GET, &path, None)) else {
            return Ok(true);
        };
        match error.downcast_ref::<ApiRefusal>().map(|it| it.status) {
            Some(StatusCode::GONE) => Ok(true),
            Some(StatusCode::NOT_FOUND) => Ok(false),
            _ => Err(error),
        }
    }

    /// Stores a conversation, at once or with later ones. Returns what became of those that are done.
    pub(super) fn add(&mut self, conversation: ArchivedConversation) -> anyhow::Result<Results> {
        match self {
            Self::Running(server, runtime) => {
                let outcome = runtime.block_on(send(server, &conversation))?;
                Ok(vec![(conversation, outcome)])
            }
            Self::Offline(database) => {
                database.batch.push(conversation);
                if database.is_full() {
                    return database.write();
                }
                Ok(Vec::new())
            }
        }
    }

    /// Stores the rest.
    pub(super) fn finish(&mut self) -> anyhow::Result<Results> {
        match self {
            Self::Running(..) => Ok(Vec::new()),
            Self::Offline(database) => database.write(),
        }
    }
}

/// Returns which of these sessions are in the database.
fn stored(config: &Config, ids: &[SessionId]) -> anyhow::Result<HashSet<SessionId>> {
    if import_lines::is_missing(&config.storage.database())? {
        return Ok(HashSet::new());
    }
    let database = data_dir::require(config)?;
    let mut stored = HashSet::new();
    for id in ids {
        if database.has_session(*id)? {
            stored.insert(*id);
        }
    }
    Ok(stored)
}

/// Sends a conversation to the running server, whole or not at all.
async fn send(
    server: &ServerConnection,
    conversation: &ArchivedConversation,
) -> anyhow::Result<ImportOutcome> {
    let lines = conversation.lines();
    if lines.len() > MAX_REQUEST_BYTES {
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

    /// Writes the batch in one transaction, without the conversations that cannot be stored.
    fn write(&mut self) -> anyhow::Result<Results> {
        let mut results = Vec::new();
        let mut batch = mem::take(&mut self.batch);
        while !batch.is_empty() {
            let items = batch.iter().flat_map(|it| &it.items);
            let mut lines = (1..).zip(items.map(|item| Ok(item.clone())));
            let Err(error) = import_lines::merge(self.config, &mut lines) else {
                break;
            };
            let (at, outcome) = match error.downcast_ref() {
                Some(ImportError::Exists { number, .. }) => {
                    (position(&batch, *number), ImportOutcome::Exists)
                }
                Some(ImportError::Line { number, reason }) => (
                    position(&batch, *number),
                    ImportOutcome::Refused(reason.clone()),
                ),
                _ => (None, ImportOutcome::Exists),
            };
            let Some(at) = at else {
                return Err(error);
            };
            results.push((batch.remove(at), outcome));
        }
        results.extend(
            batch
                .into_iter()
                .map(|stored| (stored, ImportOutcome::Stored)),
        );
        Ok(results)
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
