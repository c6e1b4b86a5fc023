//! Stores of several sizes, and reads from them.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use divan::Bencher;
use futures_util::future::{FutureExt as _, join_all};
use sessiond::clock::{Clock, ClockHand};
use sessiond::domain::id::{MessageId, SessionId, TurnId};
use sessiond::domain::message::{Message, Sender};
use sessiond::domain::rules::Rules;
use sessiond::domain::session::NewSession;
use sessiond::domain::time::{Millis, TimeScale, Timestamp};
use sessiond::domain::timeout::TimeoutOverrides;
use sessiond::domain::turn::{Reply, TurnStart};
use sessiond::events::EventBus;
use sessiond::store::PageRequest;
use sessiond::store::Store;
use sessiond::store::command::{CloseTurn, CreateSession, SendMessage};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::samples::{LONG, NOW, POLICY, body, id, new_session};

/// Number of commands in a commit while a store is prepared.
const BATCH: usize = 1000;

/// Number of open turns while the longest session is filled.
const TURNS: usize = 10;

/// Number of messages in the longest session.
const MESSAGES: usize = 1000;

/// The rules of the stores.
pub(crate) const RULES: Rules = Rules {
    policy: POLICY,
    scale: TimeScale::REAL,
    retention: Millis(5 * 60 * 1000),
    max_pending_turns: 1_000_000_000,
    max_sessions_per_user: 0,
};

/// A prepared store.
pub(crate) struct Stored {
    pub(crate) store: Store,
    pub(crate) hand: ClockHand,
    pub(crate) runtime: Runtime,
    /// Its sessions; the first one has [`MESSAGES`] messages.
    pub(crate) ids: Vec<SessionId>,
}

/// The stores by size, shared by all benchmarks.
static STORES: LazyLock<Mutex<BTreeMap<usize, &'static Stored>>> = LazyLock::new(Mutex::default);

/// Returns the numbers of sessions to measure with.
pub(crate) fn sizes() -> Vec<usize> {
    let mut sizes = vec![1_000, 100_000];
    if std::env::var_os("BENCH_MILLION").is_some() {
        sizes.push(1_000_000);
    }
    sizes
}

/// Returns the store of a size, creating it on first use.
#[allow(
    clippy::expect_used,
    reason = "a benchmark without its store has nothing to measure"
)]
pub(crate) fn stored(sessions: usize) -> &'static Stored {
    let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    stores.entry(sessions).or_insert_with(|| {
        Box::leak(Box::new(
            Stored::new(sessions).expect("a store can be created"),
        ))
    })
}

impl Stored {
    fn new(sessions: usize) -> anyhow::Result<Self> {
        let directory = TempDir::with_prefix("sessiond-bench-")?;
        let (clock, hand) = Clock::manual(NOW);
        let path = directory.path().join("store.redb");
        let (store, _) = Store::open(&path, 256 << 20, RULES, clock, EventBus::default())?;
        // The file exists while it is open, and needs no cleanup.
        drop(directory);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut stored = Self {
            store,
            hand,
            runtime,
            ids: Vec::with_capacity(sessions),
        };
        while stored.ids.len() < sessions {
            let count = BATCH.min(sessions - stored.ids.len());
            let made = stored.create((0..count).map(|_| new_session(LONG)).collect())?;
            stored.ids.extend(made);
        }
        let first = stored.ids[0];
        for _ in 0..MESSAGES / 2 / TURNS {
            stored.exchange(&[first; TURNS])?;
        }
        Ok(stored)
    }

    /// Creates sessions, usually in one commit.
    pub(crate) fn create(&self, new: Vec<NewSession>) -> anyhow::Result<Vec<SessionId>> {
        let waiting = new.into_iter().map(|new| {
            self.store.submit(CreateSession {
                new,
                requested_timeout: TimeoutOverrides::default(),
                has_agent: true,
                continuation: None,
            })
        });
        let created = self.runtime.block_on(join_all(waiting));
        let ids = created.into_iter().map(|created| Ok(created?.session.id));
        ids.collect::<Result<_, sessiond::store::error::SubmitError>>()
            .map_err(|error| refused(&error))
    }

    /// Stores messages in these sessions and, in another commit, their replies.
    pub(crate) fn exchange(&self, with: &[SessionId]) -> anyhow::Result<()> {
        let sends = with.iter().map(|id| self.store.submit(send_message(*id)));
        let mut closes = Vec::with_capacity(with.len());
        for sent in self.runtime.block_on(join_all(sends)) {
            let sent = sent.map_err(|error| refused(&error))?;
            closes.push(self.store.submit(close_turn(&sent.message)));
        }
        for closed in self.runtime.block_on(join_all(closes)) {
            closed.map_err(|error| refused(&error))?;
        }
        Ok(())
    }
}

fn close_turn(message: &Message) -> CloseTurn {
    CloseTurn {
        session_id: message.session_id,
        message_at: message.created_at,
        result: Ok(Reply::text("Tell me more about your roses.".into())),
        partial: None,
    }
}

fn refused(error: &sessiond::store::error::SubmitError) -> anyhow::Error {
    anyhow::anyhow!("the store refused: {error:?}")
}

fn send_message(session_id: SessionId) -> SendMessage {
    SendMessage {
        session_id,
        message_id: MessageId(id()),
        turn_id: TurnId(id()),
        reply_id: MessageId(id()),
        body: body(),
        sender: Sender::default(),
        sent_by: None,
        key: None,
        has_agent: true,
        beginning: TurnStart::InTurn,
    }
}

#[divan::bench(args = sizes())]
fn session(bencher: Bencher<'_, '_>, sessions: usize) {
    let stored = stored(sessions);
    let mut at = 0;
    bencher.bench_local(|| {
        // A prime step, so that consecutive lookups are far apart in the tree.
        at = (at + 7919) % stored.ids.len();
        stored.store.session(stored.ids[at]).now_or_never()
    });
}

#[divan::bench(args = sizes())]
fn page_of_50_messages(bencher: Bencher<'_, '_>, sessions: usize) {
    let stored = stored(sessions);
    let page = PageRequest::newest(50);
    bencher.bench_local(|| {
        stored
            .store
            .message_page(stored.ids[0], page)
            .now_or_never()
    });
}

#[divan::bench(args = sizes())]
fn page_of_100_sessions(bencher: Bencher<'_, '_>, sessions: usize) {
    let stored = stored(sessions);
    bencher.bench_local(|| stored.store.sessions(None, None, 100).now_or_never());
}

#[divan::bench(args = sizes())]
fn stats(bencher: Bencher<'_, '_>, sessions: usize) {
    let stored = stored(sessions);
    let now = Timestamp(NOW.0 + 1);
    bencher.bench_local(|| stored.store.stats(now).now_or_never());
}
