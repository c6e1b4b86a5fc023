//! Fills a database through the store's interface, as a server does, without the HTTP edge.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use futures_util::future::join_all;
use sessiond::clock::{Clock, ClockHand};
use sessiond::domain::id::{AgentId, SessionId, UserId};
use sessiond::domain::rules::Rules;
use sessiond::domain::session::NewSession;
use sessiond::domain::time::{Millis, Timestamp};
use sessiond::domain::timeout::{TimeoutConfig, TimeoutOverrides};
use sessiond::events::EventBus;
use sessiond::store::Store;
use sessiond::store::command::CreateSession;
use uuid::{NoContext, Uuid};

/// Number of creates in a commit.
const BATCH: usize = 1024;

/// A server's default cache size, in bytes.
const CACHE: usize = 256 << 20;

/// A database that is open in this process, with a manual clock.
pub(crate) struct Filler {
    /// The database.
    pub(crate) store: Store,
    /// Moves its clock.
    pub(crate) hand: ClockHand,
    agent: AgentId,
}

/// A created session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SeededSession {
    /// Its id.
    pub(crate) id: SessionId,
    /// Its expiry.
    pub(crate) expires_at: Timestamp,
}

impl Filler {
    /// Opens or creates the database in a server's directory.
    pub(crate) fn open(directory: &Path, rules: Rules, agent: &str) -> anyhow::Result<Self> {
        let data = directory.join("data");
        std::fs::create_dir_all(&data)?;
        let (clock, hand) = Clock::manual(Clock::system().now());
        let path = data.join("sessiond.redb");
        let (store, _) = Store::open(&path, CACHE, rules, clock, EventBus::default())?;
        let agent = AgentId::parse(agent).context("the agent's id is not a UUID")?;
        Ok(Self { store, hand, agent })
    }

    /// Creates sessions, each at its own time, which must not go back. Returns every `keep`th.
    pub(crate) async fn create(
        &self,
        count: usize,
        timeout: TimeoutConfig,
        keep: usize,
        at: impl Fn(usize) -> Timestamp,
        mut step: impl FnMut(usize),
    ) -> anyhow::Result<Vec<SeededSession>> {
        let mut sample = Vec::with_capacity(count / keep + 1);
        for first in (0..count).step_by(BATCH) {
            self.hand.set(at(first));
            let batch = first..count.min(first + BATCH);
            let made = batch.clone().map(|number| self.one(number, timeout));
            for (number, made) in batch.clone().zip(join_all(made).await) {
                let made = made?;
                if number % keep == 0 {
                    sample.push(made);
                }
            }
            step(batch.len());
        }
        Ok(sample)
    }

    async fn one(&self, number: usize, timeout: TimeoutConfig) -> anyhow::Result<SeededSession> {
        let command = CreateSession {
            new: self.new_session(number, timeout),
            requested_timeout: TimeoutOverrides::default(),
            has_agent: true,
            continuation: None,
        };
        let created = self.store.submit(command).await;
        let session = created
            .map_err(|error| anyhow!("a create failed: {error:?}"))?
            .session;
        Ok(SeededSession {
            id: session.id,
            expires_at: session.expires_at,
        })
    }

    fn new_session(&self, number: usize, timeout: TimeoutConfig) -> NewSession {
        NewSession {
            id: SessionId(Uuid::new_v7(uuid::Timestamp::now(NoContext))),
            agent_id: self.agent,
            user_id: UserId(Uuid::from_u128(number as u128)),
            timeout,
            metadata: format!(
                r#"{{"platform":"web","username":"user-{number}","locale":"en-GB","referrer":"https://example.org/a/page/of/some/length","campaign":"autumn","tags":["one","two","three"]}}"#
            ),
            create_key: None,
        }
    }

    /// Records a clean stop and closes the file.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        if !self.store.close(false).await {
            anyhow::bail!("the filled database could not be closed");
        }
        Ok(())
    }
}

/// Returns timeouts of this many minutes, with twice as many as the maximum duration.
pub(crate) fn timeout(minutes: u32) -> TimeoutConfig {
    TimeoutConfig {
        timeout_minutes: minutes,
        auto_renew: true,
        max_duration_minutes: minutes * 2,
        warning_threshold_minutes: 5,
    }
}

/// Returns `count` instants, evenly spread over a span from `start`.
pub(crate) fn spread(start: Timestamp, span: Millis, count: usize) -> impl Fn(usize) -> Timestamp {
    move |number| start + Millis(span.0 * number as i64 / count.max(1) as i64)
}
