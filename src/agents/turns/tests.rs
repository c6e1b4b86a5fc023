//! The session workers, with an empty turn store that counts how often it is read.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::reply_feed::ReplyFeeds;
use super::*;
use crate::agents::backends::external::External;
use crate::agents::character::Character;
use crate::agents::registry::{Agent, Agents, Registry};
use crate::clock::Clock;
use crate::domain::id::{AgentId, SessionId};
use crate::domain::message::TurnFailure;
use crate::domain::time::Timestamp;
use crate::domain::turn::{BeginOutcome, CloseOutcome, ContextNeeds, OpenTurn, ParkOutcome, Reply};
use crate::events::EventBus;
use crate::metrics::{AgentMetrics, AgentStates};

/// Has no turns.
#[derive(Debug, Clone, Default)]
struct Empty {
    reads: Arc<AtomicUsize>,
    was_read: Arc<Notify>,
}

impl TurnStore for Empty {
    async fn next(
        &self,
        _: SessionId,
        _: &(dyn Fn(AgentId) -> ContextNeeds + Sync),
    ) -> Result<Option<PendingTurn>, TurnStoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.was_read.notify_one();
        Ok(None)
    }

    async fn wait_for_quarantine(&self) -> Result<(), TurnStoreError> {
        Err(TurnStoreError::Closed)
    }

    async fn begin(&self, _: &OpenTurn) -> Result<BeginOutcome, TurnStoreError> {
        Err(TurnStoreError::Closed)
    }

    async fn park(&self, _: &OpenTurn, _: Timestamp) -> Result<ParkOutcome, TurnStoreError> {
        Err(TurnStoreError::Closed)
    }

    async fn close(
        &self,
        _: &OpenTurn,
        _: Result<Reply, TurnFailure>,
        _: Option<String>,
    ) -> Result<CloseOutcome, TurnStoreError> {
        Err(TurnStoreError::Closed)
    }

    async fn store_remote_session(&self, _: SessionId, _: String) -> Result<(), TurnStoreError> {
        Err(TurnStoreError::Closed)
    }
}

fn agent() -> Agent {
    let text = r#"{"name": "A", "settings": {"backend": {"type": "x", "maxConcurrency": 2}}}"#;
    let character = Character::parse(Path::new("a.json"), text, Timestamp(0)).unwrap();
    Agent::with_backend(character, Box::<External>::default())
}

fn runner(store: &Empty) -> Runner<Empty> {
    let (clock, _hand) = Clock::manual(Timestamp(0));
    Runner::new(RunnerParts {
        turn_store: store.clone(),
        agents: Arc::new(Agents::new(Registry::new(Vec::new()))),
        feeds: ReplyFeeds::default(),
        events: EventBus::default(),
        clock,
        meters: AgentMetrics::new(AgentStates::default()),
    })
}

/// Lets the workers run.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_reserved_worker_starts_when_the_reservation_is_dropped() {
    let store = Empty::default();
    let (runner, agent) = (runner(&store), agent());
    let session = SessionId::from(1);
    let reservation = runner.reserve(session, &agent).unwrap();
    // Another message of the session was stored first.
    assert!(runner.reserve(session, &agent).is_none());
    runner.wake(session);
    settle().await;
    assert_eq!(store.reads.load(Ordering::SeqCst), 0);
    drop(reservation);
    store.was_read.notified().await;
    settle().await;
    // The worker read twice, since it was woken, and has ended.
    assert_eq!(store.reads.load(Ordering::SeqCst), 2);
    assert!(runner.reserve(session, &agent).is_some());
}

#[tokio::test]
async fn a_running_worker_cannot_be_reserved_and_occupies_no_slot() {
    let store = Empty::default();
    let (runner, agent) = (runner(&store), agent());
    let session = SessionId::from(1);
    runner.wake(session);
    assert!(runner.reserve(session, &agent).is_none());
    assert_eq!(agent.slots.available_permits(), 2);
    settle().await;
    let reservation = runner.reserve(session, &agent).unwrap();
    assert_eq!(agent.slots.available_permits(), 1);
    drop(reservation);
    settle().await;
    assert_eq!(agent.slots.available_permits(), 2);
}

#[tokio::test]
async fn without_a_free_slot_nothing_is_reserved() {
    let store = Empty::default();
    let (runner, agent) = (runner(&store), agent());
    let reservations: Vec<_> = (1..=3)
        .map(|id| runner.reserve(SessionId::from(id), &agent))
        .collect();
    let reserved: Vec<_> = reservations.iter().map(Option::is_some).collect();
    assert_eq!(reserved, [true, true, false]);
    // The third session's worker starts once its turn is stored.
    runner.wake(SessionId::from(3));
    store.was_read.notified().await;
    drop(reservations);
}

#[tokio::test]
async fn a_stop_ends_reserved_workers() {
    let store = Empty::default();
    let (runner, agent) = (runner(&store), agent());
    let reservation = runner.reserve(SessionId::from(1), &agent);
    runner.begin_stop();
    assert!(runner.reserve(SessionId::from(2), &agent).is_none());
    drop(reservation);
    runner.finish_stop().await;
    assert_eq!(store.reads.load(Ordering::SeqCst), 0);
    assert_eq!(agent.slots.available_permits(), 2);
}
