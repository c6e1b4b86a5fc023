//! How each agent's turns ended since the start.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::failure::FailureReason;
use crate::domain::id::{AgentId, MessageId};
use crate::domain::message::TurnFailure;
use crate::domain::time::Timestamp;

/// How each agent's turns ended since the start. There is an entry for each agent that had a turn,
/// so operators' files bound their number. Clones share the values.
#[derive(Debug, Clone, Default)]
pub struct AgentStates(Arc<Mutex<States>>);

#[derive(Debug, Default)]
struct States {
    agents: HashMap<AgentId, AgentState>,
    /// The causes of turns that are about to be closed, by the ids of their replies.
    causes: HashMap<MessageId, String>,
}

/// How the turns of an agent ended since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentState {
    /// How many were closed, the failed ones included.
    pub turns: u64,
    /// How many were closed with an error. A turn that a client cancels or deletes has none.
    pub failures: u64,
    /// The last of the failures.
    pub last_failure: Option<LastFailure>,
}

/// Why an agent did not reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastFailure {
    /// When the turn was closed.
    pub at: Timestamp,
    /// The reason that clients received.
    pub reason: Option<FailureReason>,
    /// The cause, for operators only. It contains neither secrets nor parts of the conversation.
    pub cause: String,
}

/// The cause of a turn that is about to be closed. Dropping it removes the cause.
#[derive(Debug)]
pub struct CauseNote {
    states: AgentStates,
    reply: MessageId,
}

impl AgentStates {
    /// Returns the state of an agent.
    #[must_use]
    pub fn get(&self, agent: AgentId) -> AgentState {
        let states = self.lock();
        states.agents.get(&agent).cloned().unwrap_or_default()
    }

    /// Returns the number of failures of all agents.
    pub(super) fn failures(&self) -> u64 {
        let states = self.lock();
        states.agents.values().map(|state| state.failures).sum()
    }

    /// Notes the cause of a failure before its turn is closed, for as long as the result lives. The
    /// store does not know causes.
    #[must_use]
    pub fn note_cause(&self, reply: MessageId, cause: String) -> CauseNote {
        self.lock().causes.insert(reply, cause);
        CauseNote {
            states: self.clone(),
            reply,
        }
    }

    /// Counts turns that were closed without an error.
    pub(super) fn closed(&self, agent: AgentId, turns: u64) {
        self.lock().agents.entry(agent).or_default().turns += turns;
    }

    /// Counts a turn that was closed with an error. `reply` is the id that the reply would have
    /// had.
    pub(super) fn failed(
        &self,
        agent: AgentId,
        reply: MessageId,
        at: Timestamp,
        failure: &TurnFailure,
    ) {
        let mut states = self.lock();
        let cause = states.causes.remove(&reply);
        let state = states.agents.entry(agent).or_default();
        state.turns += 1;
        if failure.reason == Some(FailureReason::Cancelled) {
            return;
        }
        state.failures += 1;
        state.last_failure = Some(LastFailure {
            at,
            reason: failure.reason,
            cause: cause.unwrap_or_else(|| known_cause(failure)),
        });
    }

    fn lock(&self) -> MutexGuard<'_, States> {
        // No code panics with the lock held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for CauseNote {
    fn drop(&mut self) {
        self.states.lock().causes.remove(&self.reply);
    }
}

/// Returns the cause of a failure without a note.
fn known_cause(failure: &TurnFailure) -> String {
    match failure.reason {
        // The message is the agent's own, and may repeat the conversation.
        Some(FailureReason::Refused) => "it submitted an error for the user".to_owned(),
        _ => failure.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_failures_and_the_last_cause_are_counted() {
        let states = AgentStates::default();
        let (agent, reply) = (AgentId::from(1), MessageId::from(2));
        states.closed(agent, 2);
        let note = states.note_cause(reply, "it answered 401".into());
        let failure = TurnFailure::agent_error(FailureReason::Misconfigured);
        states.failed(agent, reply, Timestamp(7), &failure);
        drop(note);
        let state = states.get(agent);
        assert_eq!((state.turns, state.failures), (3, 1));
        let last = LastFailure {
            at: Timestamp(7),
            reason: Some(FailureReason::Misconfigured),
            cause: "it answered 401".into(),
        };
        assert_eq!(state.last_failure, Some(last.clone()));

        let mut failure = TurnFailure::agent_error(FailureReason::Cancelled);
        states.failed(agent, reply, Timestamp(8), &failure);
        let state = states.get(agent);
        assert_eq!((state.turns, state.failures), (4, 1));
        assert_eq!(state.last_failure, Some(last));

        // What an agent says to the user may repeat the conversation.
        failure.reason = Some(FailureReason::Refused);
        failure.message = "About your illness: no".into();
        states.failed(agent, reply, Timestamp(9), &failure);
        let last = states.get(agent).last_failure.unwrap();
        assert_eq!(last.cause, "it submitted an error for the user");
        assert_eq!(states.get(AgentId::from(9)), AgentState::default());
    }

    #[test]
    fn a_note_ends_with_its_turn() {
        let states = AgentStates::default();
        let note = states.note_cause(MessageId::from(1), "x".into());
        drop(note);
        assert!(states.lock().causes.is_empty());
    }
}
