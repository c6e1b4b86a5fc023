//! Whether a backend answers at all.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;

use super::backend::{Piece, Progress, TurnRequest};
use super::registry::Agent;
use crate::domain::id::{MessageId, SessionId, TurnId, UserId};
use crate::domain::message::{Body, Message, Role, Sender, TurnState};
use crate::domain::session::{NewSession, Session};
use crate::domain::time::{TimeScale, Timestamp};
use crate::domain::timeout::TimeoutConfig;
use crate::domain::turn::History;

/// What is asked.
const QUESTION: &str = "Hello! Please answer with one short sentence.";

/// How long a probe waits, where the agent may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the deletion of what a probe made elsewhere may take.
const CLEANUP_PATIENCE: Duration = Duration::from_secs(10);

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It answers.
    Answer,
    /// It will answer by a submit.
    Later,
}

/// Asks an agent one short question, once; why it did not answer is for the operator. A session
/// that the server behind the agent made for it is deleted.
///
/// # Errors
/// It does not answer.
pub async fn probe(agent: &Agent, now: Timestamp, ids: [u128; 5]) -> Result<Found, String> {
    let mut remote = None;
    let found = ask(agent, question(agent, now, ids), &mut remote).await;
    if let Some(deletion) = remote.and_then(|name| agent.backend.delete(name)) {
        match tokio::time::timeout(CLEANUP_PATIENCE, deletion).await {
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
) -> Result<Found, String> {
    let allowed = agent.character.backend.timeout().min(PATIENCE);
    let mut pieces = agent.backend.reply(Arc::new(question));
    let answer = async {
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(Piece::Done(..)) => return Ok(Found::Answer),
                Ok(Piece::Later) => return Ok(Found::Later),
                Ok(Piece::Upstream(name)) => *remote = Some(name),
                Ok(Piece::Chunk(_) | Piece::About(_)) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Err("the reply ended before it was complete".into())
    };
    tokio::time::timeout(allowed, answer)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", allowed.as_secs())))
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
    let session = Session::create(new, now, TimeScale::new(1));
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
        upstream: None,
        progress: Progress::default(),
    }
}
