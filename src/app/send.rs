//! Sending a message, and waiting for its reply.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::application::App;
use super::error::{AppError, NoReply, NoReplyReason, Unavailable, ValidationError};
use super::session_ref::SessionRef;
use super::turn_store::StoredTurns;
use crate::agents::backend::ReplySource;
use crate::agents::registry::Agent;
use crate::agents::turns::Reservation;
use crate::agents::turns::reply_feed::{Ending, ReplyReceiver};
use crate::domain::error::RuleViolation;
use crate::domain::id::{MessageId, SessionId, TurnId, UserId};
use crate::domain::key::IdempotencyKey;
use crate::domain::message::{Body, Message, Role, Sender, TurnState};
use crate::domain::session::Session;
use crate::domain::time::Millis;
use crate::domain::trace::TraceParent;
use crate::domain::turn::TurnStart;
use crate::events::{SentBy, SubscriberId};
use crate::message_json::has_same_content;
use crate::store::TurnOutcome;
use crate::store::command::{SendMessage, Sent};
use crate::store::error::{ReadError, SubmitError};

/// How much longer than the agent's total timeout a caller waits for a reply.
const WAIT_MARGIN: Duration = Duration::from_secs(1);

/// A request to send a message.
#[derive(Debug)]
pub struct SendRequest {
    /// The session.
    pub session: SessionRef,
    /// The address that rate limits count by. `None` over the Unix socket, which has none.
    pub address: Option<IpAddr>,
    /// The trace that it belongs to. It is passed on to the agent's backend.
    pub trace: Option<TraceParent>,
    /// The message.
    pub message: NewMessage,
    /// The socket that sends it; `None` over HTTP.
    pub socket: Option<SendingSocket>,
    /// Whether the caller reads the reply's chunks and the agent's activity.
    pub is_streamed: bool,
}

/// A message to store.
#[derive(Debug)]
pub struct NewMessage {
    /// The content.
    pub body: Body,
    /// The idempotency key, within the session, that was sent beside the body.
    pub key: Option<IdempotencyKey>,
    /// The client's own id of the message, which is the key if there is no other.
    pub client_message_id: Option<IdempotencyKey>,
}

/// A socket that sends a message.
#[derive(Debug)]
pub struct SendingSocket {
    /// Its subscriber.
    pub subscriber: SubscriberId,
    /// The id of the sender, as sent.
    pub sender_id: Option<String>,
    /// The display name of the sender.
    pub sender_name: Option<String>,
}

/// A stored message.
#[derive(Debug)]
pub struct SentMessage {
    /// The message and its session.
    pub sent: Sent,
    /// The `clientMessageId` that came with it.
    pub client_message_id: Option<String>,
    /// Its turn.
    pub turn: SentTurn,
}

/// The turn of a sent message.
#[derive(Debug)]
pub enum SentTurn {
    /// The turn is open.
    Open(ReplyReceiver),
    /// The turn has ended.
    Ended(Ending),
}

impl App {
    /// Stores a user's message and runs its turn, even if the caller disconnects.
    ///
    /// # Errors
    /// The session or its agent is unknown, the session has expired, a limit is reached, or the
    /// store refuses or fails.
    pub async fn send(self: &Arc<Self>, request: SendRequest) -> Result<SentMessage, AppError> {
        let now = self.now();
        let session = self.retained_session(now, &request.session).await?;
        if let Some(socket) = &request.socket {
            require_own(socket, &session)?;
        }
        let NewMessage {
            body,
            key,
            client_message_id,
        } = request.message;
        let key = key.or_else(|| client_message_id.clone());
        let agent = self.agents.get(session.agent_id);
        if self.stopping.is_cancelled() {
            return Err(AppError::Unavailable(Unavailable::ShuttingDown));
        }
        if self.opens_a_turn(&session, &body, key.as_ref()).await? {
            session.require_active(now, self.store.rules().retention)?;
            if agent.is_none() {
                return Err(RuleViolation::AgentNotFound(session.agent_id).into());
            }
            if let Some(address) = request.address {
                self.limits.count_message(session.id, address)?;
            }
        }
        let client_message_id = client_message_id.map(|id| id.as_str().to_owned());
        let sent_by = request.socket.as_ref().zip(client_message_id.clone());
        let (beginning, reservation) = match &agent {
            Some(agent) => self.beginning(session.id, agent),
            None => (TurnStart::InTurn, None),
        };
        let command = SendMessage {
            session_id: session.id,
            message_id: MessageId(self.new_id()),
            turn_id: TurnId(self.new_id()),
            reply_id: MessageId(self.new_id()),
            body,
            sent_by: sent_by.map(|(socket, client_message_id)| SentBy {
                subscriber: socket.subscriber,
                client_message_id,
            }),
            sender: Sender {
                by_socket: request.socket.is_some(),
                name: request.socket.and_then(|socket| socket.sender_name),
            },
            key,
            has_agent: agent.is_some(),
            beginning,
        };
        let app = Arc::clone(self);
        let (is_streamed, trace) = (request.is_streamed, request.trace);
        let storing = async move {
            app.store_message(command, reservation, is_streamed, trace)
                .await
        };
        let (sent, turn) = self.run_detached(storing).await?;
        Ok(SentMessage {
            sent,
            client_message_id,
            turn,
        })
    }

    /// Waits for the reply to a message, a little longer than its agent may take.
    ///
    /// # Errors
    /// The turn ended without a reply, or has not ended in time.
    pub async fn reply(&self, message: &mut SentMessage) -> Result<Arc<Message>, AppError> {
        let agent_id = message.sent.session.agent_id;
        let ending = match &mut message.turn {
            SentTurn::Ended(ending) => Some(ending.clone()),
            SentTurn::Open(receiver) => {
                let agent = self.agents.get(agent_id);
                let timeout = agent.map(|agent| agent.character.backend.timeout());
                let timeout = timeout.unwrap_or_default() + WAIT_MARGIN;
                self.clock.timeout(timeout, receiver.end()).await.flatten()
            }
        };
        let reason = match ending {
            Some(Ending::Replied(reply)) => return Ok(reply),
            Some(Ending::Failed(failure)) => NoReplyReason::Failed(failure),
            Some(Ending::Stopping) => NoReplyReason::ShuttingDown,
            Some(Ending::Deleted) => {
                return Err(RuleViolation::SessionNotFound(message.sent.session.id).into());
            }
            None => NoReplyReason::StillPending,
        };
        let session = Session::clone(&message.sent.session);
        // Its expiry may have moved while the caller waited.
        let current = self.store.session(session.id).await;
        Err(AppError::NoReply(Box::new(NoReply {
            agent_id,
            session: current.ok().flatten().unwrap_or(session),
            message: Message::clone(&message.sent.message),
            client_message_id: message.client_message_id.clone(),
            replayed: message.sent.replayed,
            reason,
        })))
    }

    async fn store_message(
        &self,
        command: SendMessage,
        reservation: Option<Reservation<StoredTurns>>,
        is_streamed: bool,
        trace: Option<TraceParent>,
    ) -> Result<(Sent, SentTurn), AppError> {
        let (session, message) = (command.session_id, command.message_id);
        // Waiting begins before the message is stored, so that nothing of the reply is missed.
        let receiver = self.feeds.subscribe(session, message);
        if is_streamed {
            receiver.want_chunks();
        }
        if let Some(trace) = trace {
            self.feeds.set_trace(session, message, trace);
        }
        let sent = match self.store.submit(command).await {
            Ok(sent) => sent,
            Err(error) => {
                self.feeds.discard(session, message);
                if matches!(error, SubmitError::OutcomeUnknown) {
                    // Its turn may be open all the same.
                    self.runner.wake(session);
                }
                return Err(error.into());
            }
        };
        if sent.message.id != message {
            self.feeds.discard(session, message);
            return self.join(sent, reservation).await;
        }
        self.run_turns(session, reservation);
        Ok((sent, self.open_turn(receiver)))
    }

    /// Returns how the turn of a new message begins. A turn that begins at once is stored as
    /// running, so its session's worker is reserved before.
    fn beginning(
        &self,
        session: SessionId,
        agent: &Agent,
    ) -> (TurnStart, Option<Reservation<StoredTurns>>) {
        if agent.backend.reply_source() == ReplySource::Submission {
            let timeout = Millis::from(agent.character.backend.timeout());
            return (TurnStart::Waiting(timeout), None);
        }
        match self.runner.reserve(session, agent) {
            Some(reservation) => (TurnStart::AtOnce, Some(reservation)),
            None => (TurnStart::InTurn, None),
        }
    }

    /// Runs the turns of a session, in its reserved worker if there is one.
    fn run_turns(&self, session: SessionId, reservation: Option<Reservation<StoredTurns>>) {
        match reservation {
            Some(reservation) => drop(reservation),
            None => self.runner.wake(session),
        }
    }

    fn open_turn(&self, receiver: ReplyReceiver) -> SentTurn {
        if self.stopping.is_cancelled() {
            SentTurn::Ended(Ending::Stopping)
        } else {
            SentTurn::Open(receiver)
        }
    }

    /// Joins the turn of a message that was stored before. The retry may have reopened it.
    async fn join(
        &self,
        sent: Sent,
        reservation: Option<Reservation<StoredTurns>>,
    ) -> Result<(Sent, SentTurn), AppError> {
        let (session, message) = (sent.session.id, sent.message.id);
        let receiver = self.feeds.subscribe(session, message);
        self.run_turns(session, reservation);
        // A turn that ended before the waiting began never ends the feed.
        let at = sent.message.created_at;
        let outcome = self.store.turn_outcome(session, at).await?;
        let Some(ending) = ending(outcome) else {
            return Ok((sent, self.open_turn(receiver)));
        };
        // Other receivers are notified too: the runner may not have done so yet.
        self.feeds.end(session, message, ending.clone());
        Ok((sent, SentTurn::Ended(ending)))
    }

    /// Returns whether a message opens a turn. A retry does only if its turn failed, and a key that
    /// was used with another body does not: both are answered from the store.
    async fn opens_a_turn(
        &self,
        session: &Session,
        body: &Body,
        key: Option<&IdempotencyKey>,
    ) -> Result<bool, ReadError> {
        let Some(key) = key else {
            return Ok(true);
        };
        let earlier = self.store.message_of_key(session.id, key).await?;
        Ok(earlier.is_none_or(|earlier| {
            matches!(earlier.turn(), Some(TurnState::Failed(_)))
                && has_same_content(body, &earlier.body)
        }))
    }
}

impl SentMessage {
    /// Returns the id that the reply has or will have.
    #[must_use]
    pub fn reply_id(&self) -> Option<MessageId> {
        match &self.sent.message.role {
            Role::User { reply_id, .. } => Some(*reply_id),
            Role::Agent { .. } => None,
        }
    }
}

/// Returns how a turn ended; `None` while it is open.
pub(super) fn ending(outcome: TurnOutcome) -> Option<Ending> {
    match outcome {
        TurnOutcome::Open => None,
        TurnOutcome::Replied(reply) => Some(Ending::Replied(Arc::new(reply))),
        TurnOutcome::Failed(failure) => Some(Ending::Failed(failure)),
        TurnOutcome::Deleted => Some(Ending::Deleted),
    }
}

/// Checks that a socket sends as its session's user.
fn require_own(socket: &SendingSocket, session: &Session) -> Result<(), ValidationError> {
    let sender = socket.sender_id.as_deref().and_then(UserId::parse);
    if sender == Some(session.user_id) {
        return Ok(());
    }
    Err(ValidationError::Content {
        field: "senderId",
        reason: "senderId must be the session's user".into(),
    })
}
