//! Storing a user's message, which opens a turn.

use std::sync::Arc;

use super::apply::{Apply, conflict};
use crate::domain::error::RuleViolation;
use crate::domain::id::{MessageId, SessionId, TurnId};
use crate::domain::key::IdempotencyKey;
use crate::domain::message::{Body, Message, Role, Sender, TurnState};
use crate::domain::session::Session;
use crate::domain::turn::{MAX_OPEN_TURNS, OpenTurn, TurnStart};
use crate::events::{Event, SentBy};
use crate::message_json;
use crate::store::error::CommandResult;
use crate::store::quarantine::location::KeyKind;
use crate::store::write::txn::Txn;

/// Stores a user's message and opens its turn, or finds the message that has the same key.
#[derive(Debug)]
pub struct SendMessage {
    /// The session.
    pub session_id: SessionId,
    /// The id of the message, if it is new.
    pub message_id: MessageId,
    /// The id of its turn.
    pub turn_id: TurnId,
    /// The id of its future reply.
    pub reply_id: MessageId,
    /// The content.
    pub body: Body,
    /// How it was sent.
    pub sender: Sender,
    /// The listener that sent it, and its own name for the message.
    pub sent_by: Option<SentBy>,
    /// The idempotency key within the session.
    pub key: Option<IdempotencyKey>,
    /// Whether the session's agent exists.
    pub has_agent: bool,
    /// How its turn begins.
    pub beginning: TurnStart,
}

/// A message that was stored, now or before.
#[derive(Debug)]
pub struct Sent {
    /// The session.
    pub session: Arc<Session>,
    /// The message.
    pub message: Arc<Message>,
    /// Whether the message renewed the session.
    pub renewed: bool,
    /// Whether an earlier command with the same key stored it.
    pub replayed: bool,
}

impl Apply for SendMessage {
    type Output = Sent;

    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<Sent> {
        let session = txn.retained_session(self.session_id)?;
        if let Some(key) = &self.key
            && let Some(earlier) = txn.message_of_key(KeyKind::Send, session.id, key)?
        {
            if !message_json::has_same_content(&self.body, &earlier.body) {
                return Err(conflict(key));
            }
            return self.repeat(txn, session, earlier);
        }
        session.require_active(txn.now, txn.rules.retention)?;
        let slot = self.turn_slot(txn, &session)?;
        self.store(txn, &session, slot)
    }
}

impl SendMessage {
    fn store(self, txn: &mut Txn<'_>, before: &Session, slot: TurnSlot) -> CommandResult<Sent> {
        let mut session = before.clone();
        let renewed = session.touch(txn.now, txn.rules.scale);
        // The time of the activity, even if the clock has been set back since the last one.
        let created_at = txn.next_message_at(session.id)?.max(session.last_activity);
        let message = Arc::new(Message {
            id: self.message_id,
            session_id: session.id,
            author_id: session.user_id.0,
            created_at,
            body: self.body,
            role: Role::User {
                turn_id: self.turn_id,
                reply_id: self.reply_id,
                sender: self.sender,
                turn: TurnState::Open,
            },
        });
        txn.put_message(&message)?;
        txn.update_session(before, &session)?;
        if let Some(key) = &self.key {
            txn.put_key(KeyKind::Send, session.id, key, message.created_at)?;
        }
        open_turn(txn, &message, self.beginning, slot)?;

        let session = Arc::new(session);
        let stored = Event::MessageStored {
            session: Arc::clone(&session),
            message: Arc::clone(&message),
            sent_by: self.sent_by,
        };
        txn.publish(session.id, stored);
        if renewed {
            let session = Arc::clone(&session);
            txn.publish(session.id, Event::Renewed { session });
        }
        if slot.is_first {
            txn.publish(session.id, Event::Busy);
        }
        Ok(Sent {
            session,
            message,
            renewed,
            replayed: false,
        })
    }

    /// Answers a repeated command from the stored message, and reopens a failed turn.
    fn repeat(
        self,
        txn: &mut Txn<'_>,
        session: Session,
        mut message: Message,
    ) -> CommandResult<Sent> {
        if let Role::User {
            turn: turn @ TurnState::Failed(_),
            ..
        } = &mut message.role
        {
            session.require_active(txn.now, txn.rules.retention)?;
            let slot = self.turn_slot(txn, &session)?;
            *turn = TurnState::Open;
            txn.put_message(&message)?;
            open_turn(txn, &message, self.beginning, slot)?;
            if slot.is_first {
                txn.publish(session.id, Event::Busy);
            }
        }
        Ok(Sent {
            session: Arc::new(session),
            message: Arc::new(message),
            renewed: false,
            replayed: true,
        })
    }

    /// Returns the position after the session's open turns, if one more is allowed.
    fn turn_slot(&self, txn: &Txn<'_>, session: &Session) -> CommandResult<TurnSlot> {
        if !self.has_agent {
            return Err(RuleViolation::AgentNotFound(session.agent_id).into());
        }
        let (turns, position) = txn.open_turns_and_next(session.id)?;
        if turns.len() >= MAX_OPEN_TURNS {
            return Err(RuleViolation::SessionBusy {
                limit: MAX_OPEN_TURNS,
            }
            .into());
        }
        if txn.open_turn_count()? >= txn.rules.max_pending_turns {
            return Err(RuleViolation::ServerBusy.into());
        }
        txn.require_free_space()?;
        Ok(TurnSlot {
            position,
            is_first: turns.is_empty(),
        })
    }
}

/// The position of a new turn.
#[derive(Clone, Copy)]
struct TurnSlot {
    position: u32,
    /// Whether no other turn is open.
    is_first: bool,
}

/// Opens a turn after those that are open.
fn open_turn(
    txn: &mut Txn<'_>,
    message: &Message,
    beginning: TurnStart,
    slot: TurnSlot,
) -> CommandResult<()> {
    let runs = beginning == TurnStart::AtOnce && slot.is_first;
    let waits_until = match beginning {
        TurnStart::Waiting(span) => Some(txn.now + span),
        TurnStart::InTurn | TurnStart::AtOnce => None,
    };
    txn.put_turn(&OpenTurn {
        session_id: message.session_id,
        position: slot.position,
        message_at: message.created_at,
        begun: runs || waits_until.is_some(),
        running: runs,
        crashes: 0,
        waits_until,
    })
}
