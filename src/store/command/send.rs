//! Storing a user's message, which opens a turn.

use std::sync::Arc;

use super::sealed::Apply;
use crate::domain::error::Refusal;
use crate::domain::id::{MessageId, SessionId, TurnId};
use crate::domain::key::IdempotencyKey;
use crate::domain::message::{Body, Message, Role, Sender, TurnState};
use crate::domain::session::Session;
use crate::domain::turn::{Beginning, MAX_OPEN_TURNS, OpenTurn};
use crate::events::{Event, SentBy};
use crate::message_json;
use crate::store::quarantine::damage::KeyKind;
use crate::store::write::txn::{Result, Txn};

/// Stores a user's message and opens its turn, or finds the one that the same key stored.
#[derive(Debug)]
pub struct SendMessage {
    /// The session.
    pub session_id: SessionId,
    /// The message's id, if it is new.
    pub message_id: MessageId,
    /// Its turn's id.
    pub turn_id: TurnId,
    /// The id of the reply to come.
    pub reply_id: MessageId,
    /// What it says.
    pub body: Body,
    /// How it was sent.
    pub sender: Sender,
    /// Which listener sent it, and what it called it.
    pub echo: Option<SentBy>,
    /// The name of this send within its session.
    pub key: Option<IdempotencyKey>,
    /// Whether the session's agent is there to be asked.
    pub has_agent: bool,
    /// How its turn begins.
    pub beginning: Beginning,
}

/// A message that is stored, now or before.
#[derive(Debug)]
pub struct Sent {
    /// The session as it is.
    pub session: Arc<Session>,
    /// The message as it is.
    pub message: Arc<Message>,
    /// Whether it renewed the session.
    pub renewed: bool,
    /// Whether an earlier call with the same key stored it.
    pub replayed: bool,
}

impl Apply for SendMessage {
    type Output = Sent;

    fn apply(self, txn: &mut Txn<'_>) -> Result<Sent> {
        let session = txn.kept_session(self.session_id)?;
        if let Some(key) = &self.key
            && let Some(earlier) = txn.message_of_key(KeyKind::Send, session.id, key)?
        {
            return self.repeat(txn, session, earlier);
        }
        session.require_active(txn.now, txn.rules.kept)?;
        let place = self.place_for_a_turn(txn, &session)?;
        self.store(txn, &session, place)
    }
}

impl SendMessage {
    fn store(self, txn: &mut Txn<'_>, before: &Session, place: TurnPlace) -> Result<Sent> {
        let mut session = before.clone();
        let renewed = session.touch(txn.now, txn.rules.scale);
        // The activity's own instant, where the clock has stepped back since the last one too.
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
        open_turn(txn, &message, self.beginning, place)?;

        let session = Arc::new(session);
        let stored = Event::MessageStored {
            session: Arc::clone(&session),
            message: Arc::clone(&message),
            echo: self.echo,
        };
        txn.publish(session.id, stored);
        if renewed {
            let session = Arc::clone(&session);
            txn.publish(session.id, Event::Renewed { session });
        }
        if place.is_first {
            txn.publish(session.id, Event::Busy);
        }
        Ok(Sent {
            session,
            message,
            renewed,
            replayed: false,
        })
    }

    /// Answers a repeat from what is stored, and opens a failed turn again.
    fn repeat(self, txn: &mut Txn<'_>, session: Session, mut message: Message) -> Result<Sent> {
        if !message_json::says_the_same(&self.body, &message.body) {
            let key = self
                .key
                .map_or_else(String::new, |key| key.as_str().to_owned());
            return Err(Refusal::IdempotencyConflict { key }.into());
        }
        if let Role::User {
            turn: turn @ TurnState::Failed(_),
            ..
        } = &mut message.role
        {
            session.require_active(txn.now, txn.rules.kept)?;
            let place = self.place_for_a_turn(txn, &session)?;
            *turn = TurnState::Open;
            txn.put_message(&message)?;
            open_turn(txn, &message, self.beginning, place)?;
            if place.is_first {
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

    /// The place behind the session's open turns, if one more is allowed.
    fn place_for_a_turn(&self, txn: &Txn<'_>, session: &Session) -> Result<TurnPlace> {
        if !self.has_agent {
            return Err(Refusal::AgentNotFound(session.agent_id).into());
        }
        let (turns, position) = txn.open_turns_and_next(session.id)?;
        if turns.len() >= MAX_OPEN_TURNS {
            return Err(Refusal::SessionBusy {
                limit: MAX_OPEN_TURNS,
            }
            .into());
        }
        if txn.open_turn_count()? >= txn.rules.max_pending_turns {
            return Err(Refusal::ServerBusy.into());
        }
        txn.require_room()?;
        Ok(TurnPlace {
            position,
            is_first: turns.is_empty(),
        })
    }
}

/// Where a new turn is put.
#[derive(Clone, Copy)]
struct TurnPlace {
    position: u32,
    /// Whether no turn is open before it.
    is_first: bool,
}

/// Opens a turn behind those that are open now.
fn open_turn(
    txn: &mut Txn<'_>,
    message: &Message,
    beginning: Beginning,
    place: TurnPlace,
) -> Result<()> {
    let runs = beginning == Beginning::AtOnce && place.is_first;
    let waits_until = match beginning {
        Beginning::Waiting(span) => Some(txn.now + span),
        Beginning::InTurn | Beginning::AtOnce => None,
    };
    txn.put_turn(&OpenTurn {
        session_id: message.session_id,
        position: place.position,
        message_at: message.created_at,
        begun: runs || waits_until.is_some(),
        running: runs,
        crashes: 0,
        waits_until,
    })
}
