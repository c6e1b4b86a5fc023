//! The server that holds the data of this machine: in another process, or in this one.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::embedded::{Embedded, EmbeddedStart};
use super::server_client::{find_server, in_use};
use crate::process::atomic_file;
use crate::process::server_lock::{Holder, MAX_WAIT, ServerLock, WAIT_INTERVAL};

/// The server that holds the data. If it is the one within a chat, and that ends, this process takes
/// over. It never does so for `sessiond serve`, which could not be started again then.
pub(super) struct LocalServer {
    start: EmbeddedStart,
    database: PathBuf,
    /// Whether the server belonged to a chat when this process last connected.
    is_of_chat: AtomicBool,
    /// The server within this process.
    embedded: Mutex<Option<Embedded>>,
}

impl LocalServer {
    /// Finds the server of a database, or starts one within this process, which only listens on the
    /// Unix socket.
    pub(super) async fn new(database: &Path, start: EmbeddedStart) -> anyhow::Result<Self> {
        let embedded = find_or_start(database, &start).await?;
        let server = Self {
            start,
            database: database.to_owned(),
            is_of_chat: AtomicBool::new(false),
            embedded: Mutex::new(embedded),
        };
        server.note_holder();
        Ok(server)
    }

    /// Remembers whose server this process is connected to.
    pub(super) fn note_holder(&self) {
        // Without a holder, the server has ended meanwhile.
        let is_chat = holder(&self.database).is_none_or(|holder| holder.is_chat());
        self.is_of_chat.store(is_chat, Ordering::Relaxed);
    }

    /// Whether the server is within this process.
    pub(super) async fn is_embedded(&self) -> bool {
        self.embedded.lock().await.is_some()
    }

    /// Takes over from a chat whose server no longer answers, unless another process was quicker.
    /// Returns whether there may be a server now.
    pub(super) async fn take_over(&self) -> anyhow::Result<bool> {
        let mut embedded = self.embedded.lock().await;
        if embedded.is_some() || !self.is_of_chat.load(Ordering::Relaxed) {
            return Ok(false);
        }
        *embedded = find_or_start(&self.database, &self.start).await?;
        self.note_holder();
        Ok(true)
    }

    /// Stops the server if it is within this process.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        match self.embedded.into_inner() {
            Some(embedded) => embedded.stop().await,
            None => Ok(()),
        }
    }
}

/// Starts a server, unless there is one to connect to. Waits for commands that are about to end.
async fn find_or_start(database: &Path, start: &EmbeddedStart) -> anyhow::Result<Option<Embedded>> {
    let deadline = Instant::now() + MAX_WAIT;
    loop {
        // It may have begun or ended meanwhile.
        let is_brief = || holder(database).is_some_and(|holder| holder.is_brief());
        if !is_brief() && find_server(database)? && !is_brief() {
            return Ok(None);
        }
        if let Some(embedded) = start.start().await? {
            return Ok(Some(embedded));
        }
        if Instant::now() > deadline {
            return Err(in_use(database));
        }
        sleep(WAIT_INTERVAL).await;
    }
}

/// Returns the process that holds a database.
fn holder(database: &Path) -> Option<Holder> {
    ServerLock::holder(atomic_file::parent_dir(database))
}
