//! Durable writes to stores of several sizes.

use divan::Bencher;
use divan::counter::ItemsCount;
use futures_util::future::join_all;
use sessiond::domain::time::{Millis, Timestamp};
use sessiond::domain::timeout::TimeoutConfig;
use sessiond::store::command::{Heartbeat, Purge};

use crate::samples::{LONG, NOW, new_session};
use crate::stored::{Stored, sizes, stored};

/// Number of callers that share a commit.
const TOGETHER: usize = 64;

/// Number of sessions that a slice of a purge removes.
const SLICE: usize = 500;

#[divan::bench(args = sizes(), max_time = 2)]
fn create(bencher: Bencher<'_, '_>, sessions: usize) {
    let stored = stored(sessions);
    bencher
        .with_inputs(|| vec![new_session(LONG)])
        .bench_local_values(|new| stored.create(new).is_ok());
}

#[divan::bench(args = sizes(), max_time = 2)]
fn create_64_together(bencher: Bencher<'_, '_>, sessions: usize) {
    let stored = stored(sessions);
    bencher
        .counter(ItemsCount::new(TOGETHER))
        .with_inputs(|| (0..TOGETHER).map(|_| new_session(LONG)).collect())
        .bench_local_values(|new| stored.create(new).is_ok());
}

#[divan::bench(args = sizes(), max_time = 2)]
fn heartbeat(bencher: Bencher<'_, '_>, sessions: usize) {
    let mut beats = Heartbeats::of(sessions);
    bencher.bench_local(|| beats.beat(1));
}

#[divan::bench(args = sizes(), max_time = 2)]
fn heartbeat_64_together(bencher: Bencher<'_, '_>, sessions: usize) {
    let mut beats = Heartbeats::of(sessions);
    bencher
        .counter(ItemsCount::new(TOGETHER))
        .bench_local(|| beats.beat(TOGETHER));
}

#[divan::bench(args = sizes(), max_time = 2)]
fn message_and_reply(bencher: Bencher<'_, '_>, sessions: usize) {
    let stored = stored(sessions);
    let mut at = 0;
    bencher.bench_local(|| {
        at = (at + 7919) % stored.ids.len();
        stored.exchange(&[stored.ids[at]]).is_ok()
    });
}

#[divan::bench(args = sizes(), max_time = 2)]
fn purge_500(bencher: Bencher<'_, '_>, sessions: usize) {
    let stored = stored(sessions);
    bencher
        .counter(ItemsCount::new(SLICE))
        .with_inputs(|| create_purgeable(stored))
        .bench_local_values(|()| {
            let purge = stored.store.submit(Purge::default());
            let purged = stored.runtime.block_on(purge);
            stored.hand.set(NOW);
            purged.map(|purged| purged.sessions.len()).ok()
        });
}

/// Creates sessions, and moves the clock past their retention.
fn create_purgeable(stored: &Stored) {
    let short = TimeoutConfig {
        timeout_minutes: 5,
        max_duration_minutes: 5,
        ..LONG
    };
    // If this fails, the purge finds nothing, which shows in its time.
    let _ = stored.create((0..SLICE).map(|_| new_session(short)).collect());
    stored.hand.set(NOW + Millis(11 * 60 * 1000));
}

/// Heartbeats spread over a store, each a millisecond after the last.
struct Heartbeats {
    stored: &'static Stored,
    at: usize,
    now: Timestamp,
}

impl Heartbeats {
    fn of(sessions: usize) -> Self {
        Self {
            stored: stored(sessions),
            at: 0,
            now: NOW,
        }
    }

    fn beat(&mut self, count: usize) -> bool {
        let Self { stored, at, now } = self;
        *now = now.next();
        stored.hand.set(*now);
        let beats = (0..count).map(|_| {
            *at = (*at + 7919) % stored.ids.len();
            stored.store.submit(Heartbeat(stored.ids[*at]))
        });
        let done = stored.runtime.block_on(join_all(beats));
        done.iter().all(Result::is_ok)
    }
}
