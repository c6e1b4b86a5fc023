//! Tests of the store on real files, and what they share.
//!
//! Every test uses a [`Rig`], which checks the whole file when the test ends.

use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use redb::{Database, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use self::disk::Disk;
use self::rig::Rig;
use super::command::{
    CloseOutcome, CloseTurn, Command, Continuation, CreateSession, Created, NewIds, Purge, Reply,
    SendMessage, Sent, UpdateMetadata,
};
use super::error::{OpenError, ReadError, ReadResult, SubmitError};
use super::handle::QUEUE_COMMANDS;
use super::maintenance::check;
use super::read::reader::Reader;
use super::*;
use crate::clock::{Clock, ClockHand};
use crate::domain::continued::{ContinueFrom, ContinuedFrom};
use crate::domain::error::RuleViolation;
use crate::domain::id::{AgentId, MessageId, SessionId, TurnId, UserId};
use crate::domain::key::IdempotencyKey;
use crate::domain::message::{Body, Message, Role, Sender, TurnFailure, TurnState};
use crate::domain::rules::Rules;
use crate::domain::session::{NewSession, Session};
use crate::domain::time::{Millis, TimeScale, Timestamp};
use crate::domain::timeout::{TimeoutConfig, TimeoutOverrides, TimeoutPolicy};
use crate::domain::turn::{OpenTurn, TurnStart};
use crate::domain::waiting::WaitingPosition;
use crate::events::{Event, EventBus, Subscriber};
use crate::store::schema::{record, tables};

mod archive;
mod cancel;
mod continuing;
mod crashes;
mod damage;
mod disk;
mod erase_user;
mod events;
mod fault_points;
mod faults;
mod files;
mod golden;
mod import;
mod messages;
mod metadata;
mod model;
mod month;
mod overload;
mod pair;
mod power_cut;
mod purge;
mod queue;
mod reference;
mod rig;
mod salvage;
mod scrub;
mod search;
mod sessions;
mod steps;
mod submit;
mod waiting;

const CACHE_BYTES: usize = 1 << 20;

/// The time at which the tests begin: 2024-01-15T10:30:00.000Z.
const START: Timestamp = Timestamp(1_705_314_600_000);

const SECOND: Millis = Millis(1_000);
const MINUTE: Millis = Millis(60_000);
const HOUR: Millis = Millis(3_600_000);

const ALICE: u128 = 0xa11ce;
const BOB: u128 = 0xb0b;
const ELIZA: u128 = 0xe112a;

/// The retention of the rig's sessions after their expiry.
const KEPT: Millis = HOUR;

/// The timeouts of the rig's sessions, unless a test says otherwise.
const TIMEOUT: TimeoutConfig = TimeoutConfig {
    timeout_minutes: 30,
    auto_renew: true,
    max_duration_minutes: 720,
    warning_threshold_minutes: 5,
};

fn rules() -> Rules {
    Rules {
        policy: TimeoutPolicy {
            min_timeout_minutes: 5,
            max_timeout_minutes: 1440,
            defaults: TIMEOUT,
        },
        scale: TimeScale::REAL,
        retention: KEPT,
        max_pending_turns: 10_000,
        max_sessions_per_user: 0,
    }
}

/// Returns a directory in memory if the system has one: the tests commit thousands of times.
fn temp_dir() -> TempDir {
    let in_memory = Path::new("/dev/shm");
    if in_memory.is_dir()
        && let Ok(dir) = tempfile::tempdir_in(in_memory)
    {
        return dir;
    }
    tempfile::tempdir().unwrap()
}

/// Drops the handle and waits until the file is closed.
fn drop_and_wait(store: Store) {
    let writer = store.writer.lock().unwrap().take();
    drop(store);
    writer.unwrap().join().unwrap();
}

/// Edits a closed file.
fn edit(path: &Path, change: impl FnOnce(&WriteTransaction)) {
    let database = Database::open(path).unwrap();
    let txn = database.begin_write().unwrap();
    change(&txn);
    txn.commit().unwrap();
}

/// Flips a bit in the value of a row.
fn damage<'k, K: redb::Key + 'static>(
    txn: &WriteTransaction,
    definition: TableDefinition<K, &'static [u8]>,
    key: impl std::borrow::Borrow<K::SelfType<'k>>,
) {
    let mut table = txn.open_table(definition).unwrap();
    let mut bytes = table.get(key.borrow()).unwrap().unwrap().value().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    table.insert(key.borrow(), bytes.as_slice()).unwrap();
}

/// Compacts a closed file.
fn compact(path: &Path) -> Result<(u64, u64), OpenError> {
    let create = &crate::process::atomic_file::create_partial;
    super::maintenance::offline::compact(path, CACHE_BYTES, create)
}

/// Polls a future once.
fn poke<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::parse(text).unwrap()
}

fn says(content: &str) -> Body {
    Body {
        content: content.into(),
        ..Body::default()
    }
}

fn answer(message: &Message, content: &str) -> CloseTurn {
    CloseTurn {
        partial: None,
        session_id: message.session_id,
        message_at: message.created_at,
        result: Ok(Reply {
            body: says(content),
            ..Reply::default()
        }),
    }
}

fn failure(message: &Message) -> CloseTurn {
    CloseTurn {
        partial: None,
        session_id: message.session_id,
        message_at: message.created_at,
        result: Err(TurnFailure::agent_error(
            crate::domain::failure::FailureReason::Internal,
        )),
    }
}

fn turn_state(message: &Message) -> TurnState {
    match &message.role {
        Role::User { turn, .. } => turn.clone(),
        Role::Agent { .. } => panic!("the agent's message has no turn"),
    }
}

fn contents(messages: &[Message]) -> Vec<&str> {
    messages
        .iter()
        .map(|message| message.body.content.as_str())
        .collect()
}

/// Returns a listener of one session.
fn listen(bus: &EventBus, session: SessionId) -> Subscriber {
    let mut listener = bus.subscriber();
    listener.join(session);
    listener
}

/// Returns the events that a listener has received since the last call, a word or two for each.
fn heard(listener: &mut Subscriber) -> Vec<String> {
    let mut heard = Vec::new();
    loop {
        let next = std::pin::pin!(listener.next());
        let Poll::Ready(Ok(event)) = poke(next) else {
            return heard;
        };
        heard.push(match &event.event {
            Event::MessageStored { message, .. } => {
                let who = if message.is_agent() { "agent" } else { "user" };
                format!("{who}: {}", message.body.content)
            }
            Event::Renewed { session } => format!("renewed {}", session.renewal_count),
            Event::Updated { session } => format!("updated {}", session.metadata),
            Event::Busy => "busy".into(),
            Event::Idle => "idle".into(),
            Event::ReplyChunk { text, .. } => format!("chunk: {text}"),
            Event::Activity { .. } => "activity".into(),
            Event::TurnFailed { failure, .. } => format!("failed {}", failure.code),
            Event::TurnEnded => "ended".into(),
            Event::NearExpiration {
                minutes_remaining, ..
            } => format!("near {minutes_remaining}"),
            Event::Expired { .. } => "expired".into(),
            Event::Deleted => "deleted".into(),
        });
    }
}
