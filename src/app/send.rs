//! Sending a message, and waiting for what comes of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument as _;

use super::App;
use super::error::{AppError, NoReply, NoReplyReason, Unavailable, ValidationError};
use super::target::Target;
use super::turn_store::StoredTurns;
use crate::agents::backend::Answering;
use crate::agents::registry::Agent;
use crate::agents::turns::Claim;
use crate::agents::turns::reply_feed::{Ending, ReplyReceiver};
use crate::domain::error::Refusal;
use crate::domain::id::{MessageId, SessionId, TurnId, UserId};
use crate::domain::key::IdempotencyKey;
use crate::domain::message::{Body, Message, Role, Sender, TurnState};
use crate::domain::session::Session;
use crate::domain::time::Millis;
use crate::domain::turn::Beginning;
use crate::events::{ListenerId, SentBy};
use crate::message_json::says_the_same;
use crate::store::TurnOutcome;
use crate::store::command::{SendMessage, Sent};
use crate::store::error::{ReadError, SubmitError};

/// How much longer than the agent's whole time a caller waits.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a client asks for when it sends a message.
#[derive(Debug)]
pub struct SendRequest {
    /// The session.
    pub session: Target,
    /// Where the call comes from. `None` over the Unix socket, to which no rate limits apply.
    pub address: Option<IpAddr>,
    /// The message.
    pub message: NewMessage,
    /// The socket that sends it; none where it comes by HTTP.
    pub socket: Option<SendingSocket>,
}

/// A message that a client wants to send.
#[derive(Debug)]
pub struct NewMessage {
    /// What it says.
    pub body: Body,
    /// The name of the send within its session, as it was sent beside the body.
    pub key: Option<IdempotencyKey>,
    /// What the client calls the message, which names the send where there is no key.
    pub client_message_id: Option<IdempotencyKey>,
}

/// A socket that sends a message.
#[derive(Debug)]
pub struct SendingSocket {
    /// Its listener.
    pub listener: ListenerId,
    /// Who it says is sending.
    pub sender_id: Option<String>,
    /// What the sender calls themselves.
    pub sender_name: Option<String>,
}

/// A message that is stored.
#[derive(Debug)]
pub struct SentMessage {
    /// What the store says of it.
    pub sent: Sent,
    /// The `clientMessageId` that came with it.
    pub client_message_id: Option<String>,
    /// Its turn: to be waited for, or over.
    pub turn: SentTurn,
}

/// The turn of a message that was sent.
#[derive(Debug)]
pub enum SentTurn {
    /// It is open.
    Open(ReplyReceiver),
    /// It is over.
    Ended(Ending),
}

impl App {
    /// Stores a user's message and sees to it that its turn is run, also where the caller goes
    /// away.
    ///
    /// # Errors
    /// There is no such session or agent, the session has expired, or a limit or the store refuses
    /// or fails.
    pub async fn send(self: &Arc<Self>, request: SendRequest) -> Result<SentMessage, AppError> {
        let now = self.clock.now();
        let session = self.kept_session_at(now, &request.session).await?;
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
            session.require_active(now, self.store.rules().kept)?;
            if agent.is_none() {
                return Err(Refusal::AgentNotFound(session.agent_id).into());
            }
            if let Some(address) = request.address {
                self.limits.count_message(session.id, address)?;
            }
        }
        let client_message_id = client_message_id.map(|id| id.as_str().to_owned());
        let listener = request.socket.as_ref().map(|socket| socket.listener);
        let echo = listener.zip(client_message_id.clone());
        let (beginning, claim) = match &agent {
            Some(agent) => self.beginning(session.id, agent),
            None => (Beginning::InTurn, None),
        };
        let command = SendMessage {
            session_id: session.id,
            message_id: MessageId(self.ids.next()),
            turn_id: TurnId(self.ids.next()),
            reply_id: MessageId(self.ids.next()),
            body,
            sender: Sender {
                by_socket: request.socket.is_some(),
                name: request.socket.and_then(|socket| socket.sender_name),
            },
            echo: echo.map(|(listener, client_message_id)| SentBy {
                listener,
                client_message_id,
            }),
            key,
            has_agent: agent.is_some(),
            beginning,
        };
        // A task of its own: the turn is run even if the caller goes away now.
        let app = Arc::clone(self);
        let stored = self
            .tasks
            .spawn(async move { app.store_message(command, claim).await }.in_current_span())
            .await;
        let (sent, turn) = stored.map_err(|_| AppError::Internal)??;
        Ok(SentMessage {
            sent,
            client_message_id,
            turn,
        })
    }

    /// Waits for the reply to a message, as long as its agent may take and a little longer.
    ///
    /// # Errors
    /// There is no reply, or none in time.
    pub async fn reply(&self, message: &mut SentMessage) -> Result<Arc<Message>, AppError> {
        let agent_id = message.sent.session.agent_id;
        let ending = match &mut message.turn {
            SentTurn::Ended(ending) => Some(ending.clone()),
            SentTurn::Open(waiter) => {
                let allowed = self
                    .agents
                    .get(agent_id)
                    .map_or(Duration::ZERO, |agent| agent.character.backend.timeout());
                self.clock
                    .timeout(allowed + PATIENCE, waiter.end())
                    .await
                    .flatten()
            }
        };
        let reason = match ending {
            Some(Ending::Replied(reply)) => return Ok(reply),
            Some(Ending::Failed(failure)) => NoReplyReason::Failed(failure),
            Some(Ending::Stopping) => NoReplyReason::ShuttingDown,
            Some(Ending::Deleted) => {
                return Err(Refusal::SessionNotFound(message.sent.session.id).into());
            }
            None => NoReplyReason::StillPending,
        };
        let session = Session::clone(&message.sent.session);
        // Its expiry may have been moved while the caller waited.
        let present = self.store.session(session.id).await;
        Err(AppError::NoReply(Box::new(NoReply {
            agent_id,
            session: present.ok().flatten().unwrap_or(session),
            message: Message::clone(&message.sent.message),
            client_message_id: message.client_message_id.clone(),
            replayed: message.sent.replayed,
            reason,
        })))
    }

    async fn store_message(
        &self,
        command: SendMessage,
        claim: Option<Claim<StoredTurns>>,
    ) -> Result<(Sent, SentTurn), AppError> {
        let (session, message) = (command.session_id, command.message_id);
        // Waiting begins before the message is stored, so that no piece of the reply is missed.
        let waiter = self.feeds().wait_for(session, message);
        let sent = match self.store.submit(command).await {
            Ok(sent) => sent,
            Err(error) => {
                self.feeds().discard(session, message);
                if matches!(error, SubmitError::OutcomeUnknown) {
                    // Its turn may be open all the same.
                    self.runner.wake(session);
                }
                return Err(error.into());
            }
        };
        if sent.message.id == message {
            self.run_turns(session, claim);
            let turn = if self.stopping.is_cancelled() {
                SentTurn::Ended(Ending::Stopping)
            } else {
                SentTurn::Open(waiter)
            };
            return Ok((sent, turn));
        }
        self.feeds().discard(session, message);
        self.join(sent, claim).await
    }

    /// How the turn of a new message begins, with the lane that it has to itself where it begins
    /// at once: that is stored with it, so it must be certain.
    fn beginning(
        &self,
        session: SessionId,
        agent: &Agent,
    ) -> (Beginning, Option<Claim<StoredTurns>>) {
        if agent.backend.answering() == Answering::BySubmit {
            let span = agent.character.backend.timeout().as_millis();
            let span = Millis(i64::try_from(span).unwrap_or(i64::MAX));
            return (Beginning::Waiting(span), None);
        }
        match self.runner.claim(session, agent) {
            Some(claim) => (Beginning::AtOnce, Some(claim)),
            None => (Beginning::InTurn, None),
        }
    }

    /// Runs the turns of a session, in the lane that was claimed if one was.
    fn run_turns(&self, session: SessionId, claim: Option<Claim<StoredTurns>>) {
        match claim {
            Some(claim) => drop(claim),
            None => self.runner.wake(session),
        }
    }

    /// Joins the turn of a message that was stored before, which may have been opened again.
    async fn join(
        &self,
        sent: Sent,
        claim: Option<Claim<StoredTurns>>,
    ) -> Result<(Sent, SentTurn), AppError> {
        let (session, message) = (sent.session.id, sent.message.id);
        let waiter = self.feeds().wait_for(session, message);
        self.run_turns(session, claim);
        // The turn may have ended before the waiting began: then the feed would never say so.
        let at = sent.message.created_at;
        let outcome = self.store.turn_outcome(session, at).await?;
        match ending(outcome) {
            None if self.stopping.is_cancelled() => Ok((sent, SentTurn::Ended(Ending::Stopping))),
            None => Ok((sent, SentTurn::Open(waiter))),
            Some(ending) => {
                // Whoever else waits hears it too: the runner may not have come to that yet.
                self.feeds().end(session, message, ending.clone());
                Ok((sent, SentTurn::Ended(ending)))
            }
        }
    }

    /// Whether a send opens a turn: not where it repeats one whose turn is open, or replied to, and
    /// not where its key belongs to another body. Both are answered from what is stored.
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
            let has_failed = matches!(
                earlier.role,
                Role::User {
                    turn: TurnState::Failed(_),
                    ..
                }
            );
            has_failed && says_the_same(body, &earlier.body)
        }))
    }
}

impl SentMessage {
    /// The id that the reply has or will have.
    #[must_use]
    pub fn reply_id(&self) -> Option<MessageId> {
        match &self.sent.message.role {
            Role::User { reply_id, .. } => Some(*reply_id),
            Role::Agent { .. } => None,
        }
    }

    /// The session that it is in.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.sent.session.id
    }
}

/// How a turn ended; none while it is open.
pub(super) fn ending(outcome: TurnOutcome) -> Option<Ending> {
    match outcome {
        TurnOutcome::Open => None,
        TurnOutcome::Replied(reply) => Some(Ending::Replied(Arc::new(reply))),
        TurnOutcome::Failed(failure) => Some(Ending::Failed(failure)),
        TurnOutcome::Deleted => Some(Ending::Deleted),
    }
}

/// A socket speaks only as its session's user.
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
