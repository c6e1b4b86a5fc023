//! The metrics of the store.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::agent_states::AgentStates;
use super::durations::DurationCounters;
use super::families::Families;
use crate::domain::failure::FailureReason;
use crate::domain::id::{AgentId, MessageId, SessionId};
use crate::domain::message::{Role, TurnFailure};
use crate::domain::time::Timestamp;
use crate::events::{Event, SessionEvent};
use crate::json;

/// The outcome of turns that a client cancelled, with a part of the reply or without.
const CANCELLED: &str = "cancelled";

/// The metrics of the writer and of the stored sessions and messages. Clones share their values.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    /// Commands waiting for the writer.
    pub queue: Gauge,
    /// How each agent's turns ended.
    pub agents: AgentStates,
    batch: Histogram,
    commit: Histogram,
    has_room: Gauge,
    created: Counter,
    renewed: Counter,
    deleted: Counter,
    failed_commits: Counter,
    messages: Family<MessageLabels, Counter>,
    turns: Family<TurnLabels, Counter>,
    // The history needs sums, and the library's families and histograms cannot be read.
    pub(super) commands: Counter,
    pub(super) commits: DurationCounters,
    pub(super) stored: Counter,
    pub(super) families: Arc<Families>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MessageLabels {
    agent: AgentId,
    role: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TurnLabels {
    agent: AgentId,
    outcome: &'static str,
    /// Why it failed; empty if it did not.
    reason: &'static str,
}

/// How a turn ended, according to the last event of its session before [`Event::TurnEnded`].
enum TurnResult<'a> {
    Replied,
    /// A client cancelled the turn, and the text that was sent is the reply.
    Interrupted,
    Failed(MessageId, &'a TurnFailure),
}

impl EncodeLabelValue for AgentId {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        write!(encoder, "{self}")
    }
}

impl Default for StoreMetrics {
    fn default() -> Self {
        let mut families = Families::new();
        let has_room: Gauge = families.add(
            "storage_has_room",
            "Whether the last write found enough free space for more than deletions: 1 or 0",
        );
        // Before the first write nothing is known to be full.
        has_room.set(1);
        Self {
            created: families.add("sessions_created", "Sessions created"),
            renewed: families.add(
                "sessions_renewed",
                "Renewals of sessions, by request or by activity",
            ),
            deleted: families.add("sessions_deleted", "Sessions deleted by request"),
            messages: families.add(
                "messages",
                "Messages stored, by the session's agent and the author's role",
            ),
            turns: families.add("turns", "Turns ended, by agent, outcome and reason"),
            agents: AgentStates::default(),
            queue: families.add("writer_queue_commands", "Commands waiting for the writer"),
            batch: families.add_metric(
                "writer_batch_commands",
                "Commands per commit",
                Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            ),
            commit: families.add_duration(
                "writer_commit_duration",
                "Duration of commits, including the disk's confirmation",
            ),
            failed_commits: families.add(
                "writer_failures",
                "Batches that failed, in their commit or before it",
            ),
            has_room,
            commands: Counter::default(),
            commits: DurationCounters::default(),
            stored: Counter::default(),
            families: Arc::new(families),
        }
    }
}

impl StoreMetrics {
    /// Counts the sessions that a commit created.
    pub fn created(&self, sessions: u64) {
        self.created.inc_by(sessions);
    }

    /// Counts open turns that were deleted with their session.
    pub fn turns_deleted(&self, agent: AgentId, turns: u64) {
        let labels = TurnLabels {
            agent,
            outcome: "deleted",
            reason: "",
        };
        self.turns.get_or_create(&labels).inc_by(turns);
        self.agents.closed(agent, turns);
    }

    /// Counts the events of a commit at this time.
    pub fn committed<'a>(&self, now: Timestamp, events: impl Iterator<Item = &'a SessionEvent>) {
        let mut last: Option<(SessionId, AgentId, TurnResult<'_>)> = None;
        for SessionEvent { session_id, event } in events {
            match event {
                Event::MessageStored {
                    session, message, ..
                } => {
                    let agent = session.agent_id;
                    let role = match message.role {
                        Role::User { .. } => "user",
                        Role::Agent { .. } => {
                            let metadata = message.body.metadata.as_deref();
                            let is_interrupted =
                                metadata.is_some_and(|it| json::is_true(it, "interrupted"));
                            let result = if is_interrupted {
                                TurnResult::Interrupted
                            } else {
                                TurnResult::Replied
                            };
                            last = Some((*session_id, agent, result));
                            "agent"
                        }
                    };
                    let labels = MessageLabels { agent, role };
                    self.messages.get_or_create(&labels).inc();
                    self.stored.inc();
                }
                Event::TurnFailed {
                    reply_id,
                    agent_id,
                    failure,
                    ..
                } => {
                    last = Some((
                        *session_id,
                        *agent_id,
                        TurnResult::Failed(*reply_id, failure),
                    ));
                }
                Event::TurnEnded => {
                    if let Some((_, agent, result)) = last.as_ref().filter(|it| it.0 == *session_id)
                    {
                        self.turn_ended(now, *agent, result);
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

    fn turn_ended(&self, now: Timestamp, agent: AgentId, result: &TurnResult<'_>) {
        let (outcome, reason) = match result {
            TurnResult::Replied => {
                self.agents.closed(agent, 1);
                ("replied", "")
            }
            TurnResult::Interrupted => {
                self.agents.closed(agent, 1);
                (CANCELLED, FailureReason::Cancelled.as_str())
            }
            TurnResult::Failed(reply, failure) => {
                self.agents.failed(agent, *reply, now, failure);
                let reason = failure.reason.map_or("", FailureReason::as_str);
                (outcome(&failure.code), reason)
            }
        };
        let labels = TurnLabels {
            agent,
            outcome,
            reason,
        };
        self.turns.get_or_create(&labels).inc();
    }

    /// Counts a batch of commands that share a commit.
    pub fn batched(&self, commands: usize) {
        #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 commands")]
        self.batch.observe(commands as f64);
        self.commands.inc_by(commands as u64);
    }

    /// Counts a commit by its duration, including the disk's confirmation.
    pub fn commit_took(&self, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        self.commit.observe(seconds);
        self.commits.observe(seconds);
    }

    /// Sets whether there is enough free space for more than deletions.
    pub fn set_has_free_space(&self, has_room: bool) {
        self.has_room.set(has_room.into());
    }

    /// Counts a failed commit.
    pub fn failed(&self) {
        self.failed_commits.inc();
    }
}

/// Returns the outcome of a failed turn.
fn outcome(code: &str) -> &'static str {
    match code {
        "AGENT_TIMEOUT" => "timed_out",
        "SESSION_EXPIRED" => "expired",
        "AGENT_NOT_FOUND" => "agent_gone",
        "TURN_CANCELLED" => CANCELLED,
        _ => "failed",
    }
}
