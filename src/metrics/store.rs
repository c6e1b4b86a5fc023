//! What the store counts.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::histogram::{COMMANDS, DURATIONS, Histogram};
use crate::domain::id::{AgentId, SessionId};
use crate::domain::message::Role;
use crate::events::{Event, Happening};

/// The figures of the writer and of what it stored. A clone is the same figures.
#[derive(Debug, Clone)]
pub struct StoreMeters {
    /// The commands that wait for the writer.
    pub queue: Gauge,
    /// How many commands shared a commit.
    pub batch: Histogram,
    /// How long commits took, the disk's confirmation included.
    pub commit: Histogram,
    has_room: Gauge,
    created: Counter,
    renewed: Counter,
    deleted: Counter,
    failed_commits: Counter,
    messages: Family<MessageLabels, Counter>,
    turns: Family<TurnLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MessageLabels {
    agent: AgentId,
    role: Sender,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Sender {
    User,
    Agent,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TurnLabels {
    agent: AgentId,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Outcome {
    Replied,
    Failed,
    TimedOut,
    Expired,
    AgentGone,
    Deleted,
}

impl EncodeLabelValue for Sender {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        let word = match self {
            Self::User => "user",
            Self::Agent => "agent",
        };
        word.encode(encoder)
    }
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        let word = match self {
            Self::Replied => "replied",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Expired => "expired",
            Self::AgentGone => "agent_gone",
            Self::Deleted => "deleted",
        };
        word.encode(encoder)
    }
}

impl EncodeLabelValue for AgentId {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        EncodeLabelValue::encode(&self.to_string(), encoder)
    }
}

impl Default for StoreMeters {
    fn default() -> Self {
        let has_room = Gauge::default();
        // Until a write has looked, nothing is known to be full.
        has_room.set(1);
        Self {
            queue: Gauge::default(),
            batch: Histogram::of_numbers(COMMANDS),
            commit: Histogram::of_durations(DURATIONS),
            has_room,
            created: Counter::default(),
            renewed: Counter::default(),
            deleted: Counter::default(),
            failed_commits: Counter::default(),
            messages: Family::default(),
            turns: Family::default(),
        }
    }
}

impl StoreMeters {
    /// Counts the sessions that a commit created.
    pub fn created(&self, sessions: u64) {
        self.created.inc_by(sessions);
    }

    /// Counts open turns that were removed with their session.
    pub fn turns_deleted(&self, agent: AgentId, turns: u64) {
        let outcome = Outcome::Deleted;
        let labels = TurnLabels { agent, outcome };
        self.turns.get_or_create(&labels).inc_by(turns);
    }

    /// Counts what a commit told.
    pub fn committed<'a>(&self, happenings: impl Iterator<Item = &'a Happening>) {
        // A turn ends with what was told last in its session.
        let mut last: Option<(SessionId, TurnLabels)> = None;
        for Happening { session_id, event } in happenings {
            match event {
                Event::MessageStored {
                    session, message, ..
                } => {
                    let agent = session.agent_id;
                    let role = match message.role {
                        Role::User { .. } => Sender::User,
                        Role::Agent { .. } => {
                            let outcome = Outcome::Replied;
                            last = Some((*session_id, TurnLabels { agent, outcome }));
                            Sender::Agent
                        }
                    };
                    let labels = MessageLabels { agent, role };
                    self.messages.get_or_create(&labels).inc();
                }
                Event::TurnFailed {
                    agent_id, failure, ..
                } => {
                    let labels = TurnLabels {
                        agent: *agent_id,
                        outcome: outcome(&failure.code),
                    };
                    last = Some((*session_id, labels));
                }
                Event::TurnEnded => {
                    if let Some((_, labels)) = last.as_ref().filter(|(id, _)| id == session_id) {
                        self.turns.get_or_create(labels).inc();
                    }
                }
                Event::Renewed { .. } => {
                    self.renewed.inc();
                }
                Event::Deleted => {
                    self.deleted.inc();
                }
                _ => {}
            }
        }
    }

    /// Notes whether there is room for more than deletions.
    pub fn has_room(&self, has_room: bool) {
        self.has_room.set(has_room.into());
    }

    /// Counts a commit that failed.
    pub fn failed(&self) {
        self.failed_commits.inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "sessions_created",
            "Sessions that were created",
            self.created.clone(),
        );
        registry.register(
            "sessions_renewed",
            "Renewals of sessions, by hand or by activity",
            self.renewed.clone(),
        );
        registry.register(
            "sessions_deleted",
            "Sessions that were deleted",
            self.deleted.clone(),
        );
        registry.register(
            "messages",
            "Messages that were stored, by the session's agent and by who wrote them",
            self.messages.clone(),
        );
        registry.register(
            "turns",
            "Turns that ended, by agent and outcome",
            self.turns.clone(),
        );
        registry.register(
            "writer_queue_commands",
            "Commands that wait for the writer",
            self.queue.clone(),
        );
        registry.register(
            "writer_batch_commands",
            "How many commands shared a commit",
            self.batch.clone(),
        );
        registry.register_with_unit(
            "writer_commit_duration",
            "How long commits took, until the disk had confirmed them",
            Unit::Seconds,
            self.commit.clone(),
        );
        registry.register(
            "storage_has_room",
            "Whether there was room at the last write for more than deletions: 1 or 0",
            self.has_room.clone(),
        );
        registry.register(
            "writer_failures",
            "Batches that failed, in their commit or before it",
            self.failed_commits.clone(),
        );
    }
}

fn outcome(code: &str) -> Outcome {
    match code {
        "AGENT_TIMEOUT" => Outcome::TimedOut,
        "SESSION_EXPIRED" => Outcome::Expired,
        "AGENT_NOT_FOUND" => Outcome::AgentGone,
        _ => Outcome::Failed,
    }
}
