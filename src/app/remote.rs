//! Sessions that the servers behind the agents have for ours: their renewal and their deletion.
//!
//! Both are best effort. A remote session that was not renewed is created anew by the next message,
//! and one that was not deleted expires there. What they may cost is bounded instead: such a server
//! counts our requests (`ElizaOS` allows 1,000 in 15 minutes), and one that hangs must not hold a
//! task and an open file for each heartbeat.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::App;
use crate::agents::backend::RemoteCall;
use crate::domain::id::SessionId;
use crate::domain::session::Session;
use crate::domain::time::{Millis, Timestamp};
use crate::store::command::RemoteSession;

/// How long a call may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// How many renewals run at once. A heartbeat that finds none free is followed by another one.
const RENEWALS: usize = 8;

/// How many deletions run at once.
const DELETIONS: usize = 8;

/// How many deletions wait or run.
const MAX_QUEUED_DELETIONS: usize = 1024;

/// The time in which `ElizaOS` takes 1,000 requests.
const RATE_WINDOW: Millis = Millis(15 * 60_000);

/// How many renewals begin in [`RATE_WINDOW`], and as many deletions: messages need the rest of
/// what that server allows.
const MAX_PER_WINDOW: u32 = 200;

/// How long a remote session lives where its server does not say; the default of `ElizaOS`.
const ASSUMED_LIFE: Duration = Duration::from_mins(30);

/// A renewal is repeated after this share of the time that it grants.
const RENEWALS_PER_LIFE: u32 = 4;

/// Who expired so long ago has no session left there, since messages and heartbeats that would have
/// renewed it ended before; the longest life that `ElizaOS` grants by default.
const LONGEST_LIFE: Millis = Millis(24 * 60 * 60_000);

/// The schedule is cleaned up when it has at least so many entries.
const MIN_CLEANUP: usize = 1024;

/// What is known of the remote sessions, and how much may be done for them at once.
#[derive(Debug)]
pub(super) struct RemoteSessions {
    schedule: Mutex<Schedule>,
    renewals: Arc<Semaphore>,
    deletions: Arc<Semaphore>,
    queued_deletions: Arc<Semaphore>,
    deletion_allowance: Mutex<Allowance>,
}

impl Default for RemoteSessions {
    fn default() -> Self {
        Self {
            schedule: Mutex::default(),
            renewals: Arc::new(Semaphore::new(RENEWALS)),
            deletions: Arc::new(Semaphore::new(DELETIONS)),
            queued_deletions: Arc::new(Semaphore::new(MAX_QUEUED_DELETIONS)),
            deletion_allowance: Mutex::default(),
        }
    }
}

impl RemoteSessions {
    /// Drops what is known of a session that is gone.
    pub(super) fn forget(&self, session: SessionId) {
        self.schedule().entries.remove(&session);
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        lock(&self.schedule)
    }

    fn may_delete(&self, now: Timestamp) -> bool {
        lock(&self.deletion_allowance).take(now)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code panics with a lock held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many requests may still be made in the present window of time.
#[derive(Debug, Default)]
struct Allowance {
    window_began: Option<Timestamp>,
    used: u32,
}

impl Allowance {
    /// Takes one, where one is left.
    fn take(&mut self, now: Timestamp) -> bool {
        let is_over = self
            .window_began
            // Where the clock was set back, the window tells nothing.
            .is_none_or(|began| now < began || now >= began + RATE_WINDOW);
        if is_over {
            self.window_began = Some(now);
            self.used = 0;
        }
        let is_left = self.used < MAX_PER_WINDOW;
        self.used += u32::from(is_left);
        is_left
    }
}

/// When the remote sessions may be renewed next, by our sessions. One that is not in it may be
/// renewed at once.
#[derive(Debug, Default)]
struct Schedule {
    entries: HashMap<SessionId, Entry>,
    cleanup_at: usize,
    allowance: Allowance,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    renewed_at: Timestamp,
    pause: Millis,
}

impl Entry {
    fn is_due(&self, now: Timestamp) -> bool {
        // Where the clock was set back, the entry tells nothing.
        now < self.renewed_at || now >= self.renewed_at + self.pause
    }
}

impl Schedule {
    fn is_due(&self, session: SessionId, now: Timestamp) -> bool {
        self.entries
            .get(&session)
            .is_none_or(|entry| entry.is_due(now))
    }

    /// Starts a renewal: no other one starts before its pause is over, whatever comes of it. The
    /// pause is longer than [`DEADLINE`], so that one runs at a time.
    fn start(&mut self, session: SessionId, now: Timestamp) -> bool {
        if !self.is_due(session, now) || !self.allowance.take(now) {
            return false;
        }
        self.clean_up(now);
        let pause = pause_for(ASSUMED_LIFE);
        let entry = self.entries.entry(session).or_insert(Entry {
            renewed_at: now,
            pause,
        });
        entry.renewed_at = now;
        true
    }

    /// Notes how long the remote session lives unless it is renewed.
    fn granted(&mut self, session: SessionId, life: Duration) {
        // It may have been deleted meanwhile.
        if let Some(entry) = self.entries.get_mut(&session) {
            entry.pause = pause_for(life);
        }
    }

    /// Drops what is due: the next renewal says again how long the session lives.
    fn clean_up(&mut self, now: Timestamp) {
        if self.entries.len() < self.cleanup_at.max(MIN_CLEANUP) {
            return;
        }
        self.entries.retain(|_, entry| !entry.is_due(now));
        self.cleanup_at = self.entries.len() * 2;
    }
}

fn pause_for(life: Duration) -> Millis {
    let pause = (life / RENEWALS_PER_LIFE).max(DEADLINE * 2);
    Millis(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX))
}

impl App {
    /// Renews the session that the server behind the agent has for this one, in the background.
    /// A message renews it by itself. Where it fails, the next message finds out.
    pub(super) async fn renew_remote(&self, session: &Session) {
        let (id, now) = (session.id, self.clock.now());
        let Some(agent) = self.agents.get(session.agent_id) else {
            return;
        };
        if !agent.backend.wants().upstream || !self.remotes.schedule().is_due(id, now) {
            return;
        }
        let name = self.store.remote_session(id).await;
        let renewal = name
            .ok()
            .flatten()
            .and_then(|name| agent.backend.renew(name));
        let Some(renewal) = renewal else {
            return;
        };
        let Ok(permit) = Arc::clone(&self.remotes.renewals).try_acquire_owned() else {
            tracing::debug!(session = %id, "the remote session is not renewed: too many are");
            return;
        };
        if self.remotes.schedule().start(id, now) {
            self.start_renewal(id, renewal, permit);
        }
    }

    fn start_renewal(
        &self,
        session: SessionId,
        renewal: RemoteCall<Option<Duration>>,
        permit: OwnedSemaphorePermit,
    ) {
        let (clock, remotes) = (self.clock.clone(), Arc::clone(&self.remotes));
        let renewal = async move {
            let _permit = permit;
            match clock.timeout(DEADLINE, renewal).await {
                Some(Ok(Some(life))) => remotes.schedule().granted(session, life),
                Some(Ok(None)) => {}
                Some(Err(error)) => {
                    tracing::debug!(%session, %error, "the remote session was not renewed");
                }
                None => tracing::debug!(%session, "the remote session was not renewed in time"),
            }
        };
        let stopping = self.stopping.clone();
        self.tasks
            .spawn(async move { stopping.run_until_cancelled(renewal).await });
    }

    /// Deletes sessions that the servers behind the agents had for expired ones of ours, unless
    /// they have expired there too.
    pub(super) fn delete_expired_remotes(&self, remotes: Vec<RemoteSession>) {
        if self.store.rules().kept < LONGEST_LIFE {
            self.delete_remotes(remotes);
        }
    }

    /// Deletes sessions that the servers behind the agents had for ours, in the background.
    pub(super) fn delete_remotes(&self, remotes: impl IntoIterator<Item = RemoteSession>) {
        for RemoteSession { agent_id, name } in remotes {
            let agent = self.agents.get(agent_id);
            if let Some(deletion) = agent.and_then(|agent| agent.backend.delete(name)) {
                self.start_deletion(deletion);
            }
        }
    }

    fn start_deletion(&self, deletion: RemoteCall<()>) {
        let queue = &self.remotes.queued_deletions;
        let queued = Arc::clone(queue).try_acquire_owned().ok();
        let Some(queued) = queued.filter(|_| self.remotes.may_delete(self.clock.now())) else {
            tracing::debug!("a remote session is not deleted: too many are");
            return;
        };
        let (clock, running) = (self.clock.clone(), Arc::clone(&self.remotes.deletions));
        let deletion = async move {
            let _queued = queued;
            let _running = running.acquire_owned().await;
            match clock.timeout(DEADLINE, deletion).await {
                Some(Ok(())) => {}
                Some(Err(error)) => tracing::debug!(%error, "a remote session was not deleted"),
                None => tracing::debug!("a remote session was not deleted in time"),
            }
        };
        let stopping = self.stopping.clone();
        self.tasks
            .spawn(async move { stopping.run_until_cancelled(deletion).await });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Millis = Millis(60_000);
    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    #[test]
    fn a_remote_session_is_renewed_once_in_a_quarter_of_its_life() {
        let mut schedule = Schedule::default();
        let session = SessionId::from(1_u128);
        let minutes = |count: i64| NOW + Millis(count * MINUTE.0);
        assert!(schedule.start(session, NOW));
        assert!(!schedule.start(session, minutes(7)), "a quarter of 30 min");
        schedule.granted(session, Duration::from_hours(24));
        assert!(!schedule.start(session, minutes(359)));
        assert!(schedule.start(session, minutes(360)));
        assert!(!schedule.start(session, minutes(719)), "it is remembered");
        assert!(schedule.start(session, minutes(5)), "the clock went back");
    }

    #[test]
    fn the_schedule_holds_what_is_not_due_and_little_more() {
        let mut schedule = Schedule::default();
        for index in 0..10_000_i64 {
            let session = SessionId::from(u128::from(index.unsigned_abs()));
            assert!(schedule.start(session, NOW + Millis(index * MINUTE.0)));
        }
        assert!(schedule.entries.len() <= MIN_CLEANUP);
    }

    #[test]
    fn renewals_leave_most_of_what_the_server_allows_to_messages() {
        let mut schedule = Schedule::default();
        let started = |schedule: &mut Schedule, from: u128, now| {
            let sessions = (from..from + 2_000).map(SessionId::from);
            let started = sessions.filter(|session| schedule.start(*session, now));
            started.count()
        };
        assert_eq!(started(&mut schedule, 0, NOW), 200);
        let later = NOW + RATE_WINDOW;
        let last = later - Millis(1);
        assert_eq!(started(&mut schedule, 5_000, last), 0);
        assert_eq!(started(&mut schedule, 5_000, later), 200);
    }
}
