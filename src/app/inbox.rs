//! The turns of an agent that wait for a submitted reply, for the agent itself.

use std::collections::VecDeque;
use std::sync::Arc;

use super::App;
use super::error::AppError;
use crate::domain::error::RuleViolation;
use crate::domain::id::{AgentId, MessageId, SessionId, TurnId};
use crate::domain::turn::ContextNeeds;
use crate::domain::waiting::{ClosedReason, WaitingPosition};
use crate::events::work::{
    MAX_SUBSCRIPTIONS, MissedEvents, WorkChange, WorkEvent, WorkSubscription,
};
use crate::store::{StoredTurn, WaitingRequest, WaitingTurns};

/// How many turns a stream reads at once.
const SLICE: usize = 16;

/// A slice ends with the turn whose texts bring it to this many bytes.
const SLICE_BYTES: usize = 256 * 1024;

/// The same limit for a page.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// An event for an agent.
#[derive(Debug)]
pub enum InboxEvent {
    /// A turn waits for its reply.
    Turn(Box<StoredTurn>),
    /// A turn no longer waits.
    Closed(ClosedTurn),
}

/// A turn that was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedTurn {
    /// Its id.
    pub turn_id: TurnId,
    /// The session.
    pub session_id: SessionId,
    /// The user's message.
    pub message_id: MessageId,
    /// Why it was closed.
    pub reason: ClosedReason,
}

/// The work of an agent: every turn that waits, the oldest message first, then the changes.
///
/// The subscription begins before the first turn is read, so no turn is missed. At most a slice of
/// turns and the backlog of the subscription are in memory.
#[derive(Debug)]
pub struct AgentInbox {
    app: Arc<App>,
    agent_id: AgentId,
    subscription: WorkSubscription,
    phase: Phase,
    ready: VecDeque<Ready>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// The waiting turns are read. Those up to a position were passed on.
    Backlog(Option<WaitingPosition>),
    /// All turns were read, and changes are passed on.
    Live,
}

/// An event that is passed on next.
#[derive(Debug)]
enum Ready {
    Loaded(Box<StoredTurn>),
    /// A turn that is read when it is passed on.
    Stored(WaitingPosition),
    Closed(ClosedTurn),
}

impl App {
    /// Returns a page of the turns of an agent that wait for a submitted reply, the oldest message
    /// first. It is short if the texts are long.
    ///
    /// # Errors
    /// The agent is unknown, or the store fails.
    pub async fn waiting_turns(
        &self,
        agent_id: AgentId,
        after: Option<WaitingPosition>,
        limit: usize,
    ) -> Result<WaitingTurns, AppError> {
        let request = WaitingRequest {
            agent_id,
            after,
            limit,
            max_bytes: PAGE_BYTES,
            wants: self.context_needs(agent_id)?,
        };
        Ok(self.store.waiting_turns(request).await?)
    }

    /// Opens a stream of an agent's work.
    ///
    /// # Errors
    /// The agent is unknown, or has as many streams as an agent may have.
    pub fn agent_inbox(self: &Arc<Self>, agent_id: AgentId) -> Result<AgentInbox, AppError> {
        self.context_needs(agent_id)?;
        let subscription = self.events.work().subscribe(agent_id);
        let subscription = subscription.ok_or(RuleViolation::TooManyStreams {
            limit: MAX_SUBSCRIPTIONS,
        })?;
        Ok(AgentInbox {
            app: Arc::clone(self),
            agent_id,
            subscription,
            phase: Phase::Backlog(None),
            ready: VecDeque::new(),
        })
    }

    /// Returns what an agent needs with its turns.
    fn context_needs(&self, agent_id: AgentId) -> Result<ContextNeeds, RuleViolation> {
        let agent = self.agents.get(agent_id);
        let agent = agent.ok_or(RuleViolation::AgentNotFound(agent_id))?;
        Ok(agent.backend.context_needs())
    }
}

impl AgentInbox {
    /// Returns the next event; `None` if the client has to reconnect: the server stops, the agent is
    /// gone, the client is too slow, or the store fails.
    pub async fn next(&mut self) -> Option<InboxEvent> {
        loop {
            match self.ready.pop_front() {
                Some(Ready::Loaded(turn)) => return Some(InboxEvent::Turn(turn)),
                Some(Ready::Closed(closed)) => return Some(InboxEvent::Closed(closed)),
                Some(Ready::Stored(position)) => {
                    let wants = self.app.context_needs(self.agent_id).ok()?;
                    let turn = self.app.store.waiting_turn(position, wants).await.ok()?;
                    // It may have been closed meanwhile.
                    if let Some(turn) = turn {
                        return Some(InboxEvent::Turn(Box::new(turn)));
                    }
                }
                None => self.read().await?,
            }
        }
    }

    async fn read(&mut self) -> Option<()> {
        match self.phase {
            Phase::Backlog(after) => self.read_slice(after).await,
            Phase::Live => {
                let stopping = self.app.stopping.clone();
                let next = self.subscription.next();
                let event = stopping.run_until_cancelled(next).await?.ok()?;
                self.ready.push_back(ready(event));
                Some(())
            }
        }
    }

    async fn read_slice(&mut self, after: Option<WaitingPosition>) -> Option<()> {
        if self.app.stopping.is_cancelled() {
            return None;
        }
        self.take_changes(after).ok()?;
        let request = WaitingRequest {
            agent_id: self.agent_id,
            after,
            limit: SLICE,
            max_bytes: SLICE_BYTES,
            wants: self.app.context_needs(self.agent_id).ok()?,
        };
        let slice = self.app.store.waiting_turns(request).await.ok()?;
        let turns = slice.turns.into_iter().map(Box::new);
        self.ready.extend(turns.map(Ready::Loaded));
        self.phase = match slice.next {
            Some(next) => Phase::Backlog(Some(next)),
            None => Phase::Live,
        };
        // The store answers at once: other tasks run between two slices.
        tokio::task::yield_now().await;
        Some(())
    }

    /// Takes the changes that have arrived. Those after the last turn that was read are dropped: the
    /// next slices will contain them.
    fn take_changes(&mut self, read_until: Option<WaitingPosition>) -> Result<(), MissedEvents> {
        while let Some(event) = self.subscription.try_next()? {
            if Some(event.position) <= read_until {
                self.ready.push_back(ready(event));
            }
        }
        Ok(())
    }
}

fn ready(event: WorkEvent) -> Ready {
    match event.change {
        WorkChange::Waits => Ready::Stored(event.position),
        WorkChange::Closed {
            turn_id,
            message_id,
            reason,
        } => Ready::Closed(ClosedTurn {
            turn_id,
            session_id: event.position.session_id,
            message_id,
            reason,
        }),
    }
}
