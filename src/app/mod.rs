//! The use cases: load, let the domain decide, have the store commit, tell the waiters.
//!
//! HTTP and sockets meet the same rules here and nowhere else.

mod active_sessions;
mod admin;
mod create;
pub mod error;
mod ids;
mod messages;
mod remote;
mod send;
mod sessions;
mod storage;
mod submit;
mod subscription;
mod target;
mod turn_store;

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::active_sessions::ActiveSessionScan;
pub use self::admin::{Backup, Export};
pub use self::create::CreateRequest;
use self::ids::Ids;
use self::remote::RemoteSessions;
pub use self::send::{NewMessage, SendRequest, SendingSocket, SentMessage, SentTurn};
pub use self::sessions::{Health, Reason, SessionFilter, Status};
use self::storage::Verification;
pub use self::submit::{Submission, SubmittedReply};
pub use self::subscription::{Followed, SessionState, SessionSubscription};
pub use self::target::{Scope, Target};
use self::turn_store::StoredTurns;
pub use crate::agents::character::Character;
pub use crate::agents::registry::Agent;
use crate::agents::registry::{Agents, Registry};
use crate::agents::turns::reply_feed::ReplyFeeds;
pub use crate::agents::turns::reply_feed::{Ending, ReplyEvent, ReplyReceiver};
use crate::agents::turns::{Parts, Runner};
use crate::auth::rate::Limits;
use crate::clock::Clock;
use crate::domain::id::{MessageId, SessionId};
use crate::domain::message::TurnFailure;
use crate::domain::time::Timestamp;
use crate::events::EventBus;
use crate::metrics::Metrics;
use crate::store::Store;
pub use crate::store::{LastBackup, Page, PageRequest, Stats, StorageInfo, Verified};

/// The running server, whatever it is spoken to by.
#[derive(Debug)]
pub struct App {
    store: Arc<Store>,
    agents: Arc<Agents>,
    runner: Runner<StoredTurns>,
    feeds: ReplyFeeds,
    events: EventBus,
    clock: Clock,
    limits: Limits,
    ids: Ids,
    /// Work that goes on when the caller has gone away.
    tasks: TaskTracker,
    stopping: CancellationToken,
    started: Instant,
    metrics: Metrics,
    /// A backup is made one at a time.
    backups: Arc<Semaphore>,
    verification: Verification,
    remotes: Arc<RemoteSessions>,
}

impl App {
    /// The server over an open store. Turns that were cut off are taken up by [`Self::recover`].
    #[must_use]
    pub fn new(
        store: Arc<Store>,
        agents: Registry,
        events: EventBus,
        limits: Limits,
        clock: Clock,
    ) -> Self {
        let agents = Arc::new(Agents::new(agents));
        let feeds = ReplyFeeds::default();
        let ledger = StoredTurns::new(Arc::clone(&store));
        let metrics = Metrics::new(store.meters().clone());
        let runner = Runner::new(Parts {
            ledger,
            agents: Arc::clone(&agents),
            feeds: feeds.clone(),
            events: events.clone(),
            clock: clock.clone(),
            meters: metrics.agents.clone(),
        });
        Self {
            store,
            agents,
            runner,
            feeds,
            events,
            limits,
            ids: Ids::new(clock.clone()),
            clock,
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            started: Instant::now(),
            metrics,
            backups: Arc::new(Semaphore::new(1)),
            verification: Verification::default(),
            remotes: Arc::default(),
        }
    }

    /// Takes up the turns that the last stop cut off.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn recover(&self) -> Result<usize, error::AppError> {
        let sessions = self.store.sessions_with_open_turns().await?;
        for session in &sessions {
            self.runner.wake(*session);
        }
        Ok(sessions.len())
    }

    /// The agents as they are now.
    #[must_use]
    pub fn agents(&self) -> Arc<Registry> {
        self.agents.now()
    }

    /// Puts other agents in the place of those that are there. They answer from the next turn on;
    /// the open turns of one that is gone are closed.
    pub fn replace_agents(&self, agents: Registry) {
        self.agents.replace(agents);
        self.runner.look_again();
    }

    /// Returns the metrics.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What happens in the sessions.
    #[must_use]
    pub fn events(&self) -> &EventBus {
        &self.events
    }

    /// The present time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Cancelled once the server is stopping.
    #[must_use]
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Begins to stop: whoever waits for a turn is told, and no new turn is begun. What is being
    /// written is still written.
    pub fn begin_stop(&self) {
        self.stopping.cancel();
        self.runner.begin_stop();
    }

    /// Ends the turns and what goes on without its caller.
    pub async fn finish_stop(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.runner.finish_stop().await;
    }

    /// Ends whatever is going on for sessions that are no more.
    pub(crate) fn forget(&self, sessions: &[SessionId]) {
        for session in sessions {
            self.runner.forget(*session);
            self.remotes.forget(*session);
        }
    }

    /// Tells those who wait for turns that were closed because their session expired.
    pub(crate) fn end_unasked(&self, session: SessionId, messages: &[MessageId]) {
        for message in messages {
            let ending = Ending::Failed(TurnFailure::session_expired());
            self.feeds.end(session, *message, ending);
        }
    }

    pub(crate) fn feeds(&self) -> &ReplyFeeds {
        &self.feeds
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }
}
