//! Checks that a backend replies.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;

use super::backend::{Attempt, BackendError, BodyProgress, Piece, TurnRequest};
use super::registry::Agent;
use crate::domain::failure::FailureReason;
use crate::domain::id::{MessageId, SessionId, TurnId, UserId};
use crate::domain::message::{Body, Message, Role, Sender, TurnState};
use crate::domain::session::{NewSession, Session};
use crate::domain::time::{TimeScale, Timestamp};
use crate::domain::timeout::TimeoutConfig;
use crate::domain::turn::History;

const QUESTION: &str = "Hello! Please answer with one short sentence.";

/// Limits the wait for a reply where the agent's own timeout is longer.
const MAX_WAIT: Duration = Duration::from_secs(30);

const DELETION_TIMEOUT: Duration = Duration::from_secs(10);

/// The result of a successful probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeResult {
    /// The backend replies. The first piece of text came after this time.
    Answer(Duration),
    /// The reply would be submitted later.
    Later,
}

/// Sends a short question to an agent, without retries, and waits for the first piece of the reply.
/// Deletes the remote session that its server creates for it.
///
/// # Errors
/// The agent does not reply. A probe waits for at most 30 s.
pub async fn probe(
    agent: &Agent,
    now: Timestamp,
    ids: [u128; 5],
) -> Result<ProbeResult, BackendError> {
    let mut remote = None;
    let found = ask(agent, question(agent, now, ids), &mut remote).await;
    if let Some(deletion) = remote.and_then(|id| agent.backend.delete(id)) {
        match tokio::time::timeout(DELETION_TIMEOUT, deletion).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the probe's remote session was not deleted"),
            Err(_) => tracing::debug!("the probe's remote session was not deleted in time"),
        }
    }
    found
}

async fn ask(
    agent: &Agent,
    question: TurnRequest,
    remote: &mut Option<String>,
) -> Result<ProbeResult, BackendError> {
    let allowed = allowed_time(agent);
    let started = Instant::now();
    let mut pieces = agent.backend.reply(Arc::new(question));
    let answer = async {
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(Piece::Chunk(_) | Piece::Activity(_) | Piece::Done(..)) => {
                    return Ok(ProbeResult::Answer(started.elapsed()));
                }
                Ok(Piece::Later) => return Ok(ProbeResult::Later),
                Ok(Piece::RemoteSession(id)) => *remote = Some(id),
                Ok(Piece::Info(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let cause = "the reply ended before it was complete";
        Err(BackendError::new(FailureReason::InvalidReply, cause))
    };
    tokio::time::timeout(allowed, answer)
        .await
        .unwrap_or_else(|_| {
            let cause = format!("no answer within {} s", allowed.as_secs());
            Err(BackendError::new(FailureReason::Timeout, cause))
        })
}

fn allowed_time(agent: &Agent) -> Duration {
    agent.character.backend.timeout().min(MAX_WAIT)
}

fn question(agent: &Agent, now: Timestamp, ids: [u128; 5]) -> TurnRequest {
    let [session, user, message, turn, reply] = ids;
    let new = NewSession {
        id: SessionId::from(session),
        agent_id: agent.character.id,
        user_id: UserId::from(user),
        timeout: TimeoutConfig {
            timeout_minutes: 5,
            auto_renew: false,
            max_duration_minutes: 5,
            warning_threshold_minutes: 1,
        },
        metadata: "{}".into(),
        create_key: None,
    };
    let session = Session::create(new, now, TimeScale::REAL);
    let message = Message {
        id: MessageId::from(message),
        session_id: session.id,
        author_id: session.user_id.0,
        created_at: now,
        body: Body {
            content: QUESTION.into(),
            ..Body::default()
        },
        role: Role::User {
            turn_id: TurnId::from(turn),
            reply_id: MessageId::from(reply),
            sender: Sender::default(),
            turn: TurnState::Open,
        },
    };
    TurnRequest {
        turn_id: TurnId::from(turn),
        session,
        history: History::Messages(Vec::new()),
        message,
        remote_session: None,
        progress: BodyProgress::default(),
        attempt: Attempt::first(now, allowed_time(agent)),
    }
}
