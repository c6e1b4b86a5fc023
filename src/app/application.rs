//! [`App`]: the running server, independent of how it is called.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use uuid::{NoContext, Uuid};

use super::effective_settings::EffectiveSettings;
use super::error::AppError;
use super::remote_sessions::RemoteSessions;
use super::running_probes::RunningProbes;
use super::scan_limits::{ScanLimits, Scans};
use super::turn_store::StoredTurns;
use crate::agents::registry::{Agents, Registry};
use crate::agents::turns::reply_feed::{Ending, ReplyFeeds};
use crate::agents::turns::{Runner, RunnerParts};
use crate::auth::rate::RateLimits;
use crate::clock::Clock;
use crate::domain::id::{MessageId, SessionId};
use crate::domain::message::TurnFailure;
use crate::domain::time::Timestamp;
use crate::events::EventBus;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::store::command::NewIds;
use crate::telemetry::{LogLine, RecentLog};

/// The running server.
#[derive(Debug)]
pub struct App {
    pub(super) store: Arc<Store>,
    pub(super) agents: Arc<Agents>,
    pub(super) runner: Runner<StoredTurns>,
    pub(super) feeds: ReplyFeeds,
    pub(super) events: EventBus,
    pub(super) clock: Clock,
    pub(super) limits: RateLimits,
    /// Work that completes even if its caller disconnects.
    pub(super) tasks: TaskTracker,
    pub(super) stopping: CancellationToken,
    pub(super) started: Instant,
    pub(super) metrics: Metrics,
    /// One permit: backups run one at a time.
    pub(super) backups: Arc<Semaphore>,
    /// One permit: imports run one at a time.
    pub(super) imports: Arc<Semaphore>,
    /// When the running verification of the database file began.
    pub(super) verification: Arc<Mutex<Option<Timestamp>>>,
    pub(super) probes: RunningProbes,
    pub(super) remotes: Arc<RemoteSessions>,
    pub(super) scans: Scans,
    pub(super) settings: EffectiveSettings,
    recent_log: RecentLog,
}

impl App {
    /// Creates the server over an open store. [`Self::recover`] resumes interrupted turns.
    #[must_use]
    pub fn new(
        store: Arc<Store>,
        agents: Registry,
        events: EventBus,
        limits: RateLimits,
        clock: Clock,
    ) -> Self {
        let agents = Arc::new(Agents::new(agents));
        let feeds = ReplyFeeds::new(events.activity_drops());
        let metrics = Metrics::new(store.meters().clone(), events.activity_drops());
        let runner = Runner::new(RunnerParts {
            turn_store: StoredTurns(Arc::clone(&store)),
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
            clock,
            limits,
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            started: Instant::now(),
            metrics,
            backups: Arc::new(Semaphore::new(1)),
            imports: Arc::new(Semaphore::new(1)),
            verification: Arc::default(),
            probes: RunningProbes::default(),
            remotes: Arc::default(),
            settings: EffectiveSettings::default(),
            recent_log: RecentLog::default(),
            scans: Scans::new(ScanLimits::default()),
        }
    }

    /// Replaces the limits of scans, for tests.
    #[must_use]
    pub fn with_scan_limits(mut self, limits: ScanLimits) -> Self {
        self.scans = Scans::new(limits);
        self
    }

    /// Sets the settings that operators see.
    #[must_use]
    pub fn with_settings(mut self, settings: EffectiveSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Returns the settings.
    #[must_use]
    pub fn settings(&self) -> &EffectiveSettings {
        &self.settings
    }

    /// Sets the log of which operators see the last warnings and errors.
    #[must_use]
    pub fn with_recent_log(mut self, log: RecentLog) -> Self {
        self.recent_log = log;
        self
    }

    /// Resumes the turns that the last stop interrupted. Returns in how many sessions.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn recover(&self) -> Result<usize, AppError> {
        let sessions = self.store.sessions_with_open_turns().await?;
        for session in &sessions {
            self.runner.wake(*session);
        }
        Ok(sessions.len())
    }

    /// Returns the current agents.
    #[must_use]
    pub fn agents(&self) -> Arc<Registry> {
        self.agents.now()
    }

    /// Replaces the agents, from the next turn on. Open turns of removed agents are closed.
    pub fn replace_agents(&self, agents: Registry) {
        self.agents.replace(agents);
        self.runner.wake_all();
    }

    /// Returns the metrics.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Returns the last warnings and errors of the log, oldest first.
    #[must_use]
    pub fn recent_log_lines(&self) -> Vec<Arc<LogLine>> {
        self.recent_log.lines()
    }

    /// Returns the bus of session events.
    #[must_use]
    pub fn events(&self) -> &EventBus {
        &self.events
    }

    /// Returns the current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns the token that is cancelled once the server is stopping.
    #[must_use]
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Starts to stop: notifies clients that wait for turns and begins no new turn. Queued writes
    /// complete.
    pub fn begin_stop(&self) {
        self.stopping.cancel();
        self.runner.begin_stop();
    }

    /// Waits until all turns and detached work have ended.
    pub async fn finish_stop(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.runner.finish_stop().await;
    }

    /// Stops the turns of deleted sessions and drops what is cached about them.
    pub(super) fn forget(&self, sessions: &[SessionId]) {
        for session in sessions {
            self.runner.forget(*session);
            self.remotes.forget(*session);
        }
    }

    /// Notifies clients that wait for turns which the session's expiry closed.
    pub(crate) fn end_expired_turns(&self, session: SessionId, messages: &[MessageId]) {
        for message in messages {
            let ending = Ending::Failed(TurnFailure::session_expired());
            self.feeds.end(session, *message, ending);
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Returns a new `UUIDv7`. Its 74 random bits are fresh, so that a neighbour's id cannot be
    /// guessed; its time keeps B-tree inserts together.
    pub(super) fn new_id(&self) -> Uuid {
        new_id(&self.clock)
    }

    /// Returns a source of new ids that the store can call.
    pub(super) fn new_ids(&self) -> NewIds {
        let clock = self.clock.clone();
        NewIds(Box::new(move || new_id(&clock)))
    }

    /// Runs `work` to its end, even if the caller disconnects.
    pub(super) async fn run_detached<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, AppError>> + Send + 'static,
    ) -> Result<T, AppError> {
        let done = self.tasks.spawn(work.in_current_span()).await;
        done.map_err(|_| AppError::Internal)?
    }
}

fn new_id(clock: &Clock) -> Uuid {
    let now = u64::try_from(clock.now().0).unwrap_or(0);
    // The remainder is below 1000, so its nanoseconds fit.
    let nanos = u32::try_from(now % 1000).unwrap_or(0) * 1_000_000;
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, now / 1000, nanos))
}
