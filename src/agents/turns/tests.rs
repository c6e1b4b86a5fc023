//! The lanes, with a turn store that does nothing but count who looks into it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::*;
use crate::agents::backends::scripted::Scripted;
use crate::agents::character::Character;
use crate::agents::registry::Registry;

/// Has no turns. A look into it may be held up.
#[derive(Debug, Clone, Default)]
struct Empty {
    looks: Arc<AtomicUsize>,
    looked: Arc<Notify>,
}

impl TurnStore for Empty {
    async fn next(
        &self,
        _: SessionId,
        _: &(dyn Fn(AgentId) -> Wants + Sync),
    ) -> Result<Option<PendingTurn>, TurnStoreError> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        self.looked.notify_one();
        Ok(None)
    }

    async fn settle(&self) -> Result<(), TurnStoreError> {
        Err(TurnStoreError::Closed)
    }

    async fn begin(&self, _: &OpenTurn) -> Result<Begun, TurnStoreError> {
        Err(TurnStoreError::Closed)
    }

    async fn park(&self, _: &OpenTurn, _: Timestamp) -> Result<Parked, TurnStoreError> {
        Err(TurnStoreError::Closed)
    }

    async fn close(
        &self,
        _: &OpenTurn,
        _: Result<Reply, TurnFailure>,
        _: Option<String>,
    ) -> Result<Closed, TurnStoreError> {
        Err(TurnStoreError::Closed)
    }

    async fn keep_upstream(&self, _: SessionId, _: String) -> Result<(), TurnStoreError> {
        Err(TurnStoreError::Closed)
    }
}

fn agent() -> Agent {
    let text = r#"{"name": "A", "settings": {"backend": {"type": "x", "maxConcurrency": 2}}}"#;
    let character = Character::parse(Path::new("a.json"), text, Timestamp(0)).unwrap();
    let (clock, _hand) = Clock::manual(Timestamp(0));
    Agent::with_backend(character, Box::new(Scripted::new(clock)))
}

fn runner(ledger: &Empty) -> Runner<Empty> {
    let (clock, _hand) = Clock::manual(Timestamp(0));
    Runner::new(Parts {
        ledger: ledger.clone(),
        agents: Arc::new(Agents::new(Registry::new(Vec::new()))),
        feeds: ReplyFeeds::default(),
        events: EventBus::default(),
        clock,
        meters: AgentMeters::default(),
    })
}

/// Lets the lanes do what they have to.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn nobody_looks_for_turns_while_a_lane_is_claimed() {
    let ledger = Empty::default();
    let (runner, agent) = (runner(&ledger), agent());
    let session = SessionId::from(1);
    let claim = runner.claim(session, &agent).unwrap();
    // Somebody else's message of the same session was stored first.
    assert!(runner.claim(session, &agent).is_none());
    runner.wake(session);
    settle().await;
    assert_eq!(ledger.looks.load(Ordering::SeqCst), 0);
    drop(claim);
    ledger.looked.notified().await;
    settle().await;
    // The lane looked, and once more since it was woken, and is gone.
    assert_eq!(ledger.looks.load(Ordering::SeqCst), 2);
    assert!(runner.claim(session, &agent).is_some());
}

#[tokio::test]
async fn a_lane_that_is_open_is_not_claimed_and_costs_no_place() {
    let ledger = Empty::default();
    let (runner, agent) = (runner(&ledger), agent());
    let session = SessionId::from(1);
    runner.wake(session);
    assert!(runner.claim(session, &agent).is_none());
    assert_eq!(agent.places.available_permits(), 2);
    settle().await;
    let claim = runner.claim(session, &agent).unwrap();
    assert_eq!(agent.places.available_permits(), 1);
    drop(claim);
    settle().await;
    assert_eq!(agent.places.available_permits(), 2);
}

#[tokio::test]
async fn without_a_free_place_there_is_no_claim_and_no_lane() {
    let ledger = Empty::default();
    let (runner, agent) = (runner(&ledger), agent());
    let claims: Vec<_> = (1..=3)
        .map(|id| runner.claim(SessionId::from(id), &agent))
        .collect();
    let claimed: Vec<_> = claims.iter().map(Option::is_some).collect();
    assert_eq!(claimed, [true, true, false]);
    // The third session's lane is opened by whoever stores its turn.
    runner.wake(SessionId::from(3));
    ledger.looked.notified().await;
    drop(claims);
}

#[tokio::test]
async fn a_stop_leaves_no_lane_behind_that_was_claimed() {
    let ledger = Empty::default();
    let (runner, agent) = (runner(&ledger), agent());
    let claim = runner.claim(SessionId::from(1), &agent);
    runner.begin_stop();
    assert!(runner.claim(SessionId::from(2), &agent).is_none());
    drop(claim);
    runner.finish_stop().await;
    assert_eq!(ledger.looks.load(Ordering::SeqCst), 0);
    assert_eq!(agent.places.available_permits(), 2);
}
