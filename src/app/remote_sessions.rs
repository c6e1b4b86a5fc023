//! When remote sessions are renewed, and how much may be done for them at once.
//!
//! A remote session is one that the server behind an agent has for one of ours. Renewing and
//! deleting it is best effort: the next message replaces one that was not renewed, and one that was
//! not deleted expires there. The cost is bounded instead: such a server limits our requests
//! (`ElizaOS` allows 1,000 in 15 minutes), and one that hangs must not occupy a task and an open
//! file per heartbeat.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::domain::id::SessionId;
use crate::domain::time::{Millis, Timestamp};

/// How long a call to a remote server may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// How many renewals run at once. A heartbeat beyond that renews nothing; the next one may.
const RENEWALS: usize = 8;

/// How many deletions run at once.
const DELETIONS: usize = 8;

/// How many deletions run or wait.
const MAX_QUEUED_DELETIONS: usize = 1024;

/// The time in which `ElizaOS` allows 1,000 requests.
const RATE_WINDOW: Millis = Millis(15 * 60_000);

/// How many renewals start per [`RATE_WINDOW`], and as many deletions. Messages need the rest.
const MAX_PER_WINDOW: u32 = 200;

/// How long a remote session lives if its server does not say; the default of `ElizaOS`.
const ASSUMED_LIFE: Duration = Duration::from_mins(30);

/// A renewal is repeated after this fraction of the time that it grants.
const RENEWALS_PER_LIFE: u32 = 4;

/// The schedule of renewals, and the limits of renewals and deletions.
#[derive(Debug)]
pub(super) struct RemoteSessions {
    schedule: Mutex<Schedule>,
    pub(super) renewals: Arc<Semaphore>,
    pub(super) deletions: Arc<Semaphore>,
    pub(super) queued_deletions: Arc<Semaphore>,
}

impl Default for RemoteSessions {
    fn default() -> Self {
        Self {
            schedule: Mutex::default(),
            renewals: Arc::new(Semaphore::new(RENEWALS)),
            deletions: Arc::new(Semaphore::new(DELETIONS)),
            queued_deletions: Arc::new(Semaphore::new(MAX_QUEUED_DELETIONS)),
        }
    }
}

impl RemoteSessions {
    pub(super) fn schedule(&self) -> MutexGuard<'_, Schedule> {
        // No code panics with the lock held.
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the entry of a deleted session.
    pub(super) fn forget(&self, session: SessionId) {
        self.schedule().entries.remove(&session);
    }
}

/// How many requests were started in the current window of time.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    window_began: Option<Timestamp>,
    used: u32,
}

impl Allowance {
    /// Takes one request, if one is left.
    pub(super) fn take(&mut self, now: Timestamp) -> bool {
        let is_over = self
            .window_began
            // If the clock was set back, the start of the window means nothing.
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

/// When remote sessions may be renewed next, by our sessions' ids. One without an entry may be
/// renewed at once.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    entries: HashMap<SessionId, Entry>,
    renewals: Allowance,
    pub(super) deletions: Allowance,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    renewed_at: Timestamp,
    pause: Millis,
}

impl Entry {
    fn is_due(&self, now: Timestamp) -> bool {
        // If the clock was set back, the entry means nothing.
        now < self.renewed_at || now >= self.renewed_at + self.pause
    }
}

impl Schedule {
    pub(super) fn is_due(&self, session: SessionId, now: Timestamp) -> bool {
        let entry = self.entries.get(&session);
        entry.is_none_or(|entry| entry.is_due(now))
    }

    /// Starts a renewal; returns whether it may run. Whatever its outcome, no other one starts
    /// before the pause is over, which is longer than [`DEADLINE`]: one runs at a time.
    pub(super) fn start(&mut self, session: SessionId, now: Timestamp) -> bool {
        if !self.is_due(session, now) || !self.renewals.take(now) {
            return false;
        }
        if self.entries.len() == self.entries.capacity() {
            // Before the map grows, due entries are removed: the next renewal grants a new time.
            self.entries.retain(|_, entry| !entry.is_due(now));
        }
        let entry = self.entries.entry(session).or_insert(Entry {
            renewed_at: now,
            pause: pause_for(ASSUMED_LIFE),
        });
        entry.renewed_at = now;
        true
    }

    /// Stores for how long a renewal was granted.
    pub(super) fn granted(&mut self, session: SessionId, life: Duration) {
        // The session may have been deleted meanwhile.
        if let Some(entry) = self.entries.get_mut(&session) {
            entry.pause = pause_for(life);
        }
    }
}

fn pause_for(life: Duration) -> Millis {
    Millis::from((life / RENEWALS_PER_LIFE).max(DEADLINE * 2))
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
        assert!(
            !schedule.start(session, minutes(719)),
            "the grant is stored"
        );
        assert!(schedule.start(session, minutes(5)), "the clock went back");
    }

    #[test]
    fn due_entries_are_removed_from_the_schedule() {
        let mut schedule = Schedule::default();
        for index in 0..10_000_i64 {
            let session = SessionId::from(u128::from(index.unsigned_abs()));
            assert!(schedule.start(session, NOW + Millis(index * MINUTE.0)));
        }
        assert!(schedule.entries.len() <= 1024);
    }

    #[test]
    fn renewals_leave_most_of_the_rate_limit_to_messages() {
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
