//! Replies that come from outside: of agents that run elsewhere.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument as _;

use super::App;
use super::error::{AppError, Unavailable};
use super::send::ending;
use super::target::{Scope, Target};
use crate::agents::backend::Answering;
use crate::agents::turns::reply_feed::Ending;
use crate::domain::id::{AgentId, MessageId, SessionId};
use crate::domain::key::IdempotencyKey;
use crate::domain::message::Message;
use crate::domain::session::Session;
use crate::domain::turn::Reply;
use crate::store::command::{SubmitReply, Submitted};
use crate::store::error::{ReadError, SubmitError};

/// How many of a session's latest messages may have open turns, with room to spare for what was
/// submitted in between.
const LATEST: usize = 500;

/// How long to wait where the store cannot be read.
const PAUSE: Duration = Duration::from_secs(1);

/// What an agent that runs elsewhere submits.
#[derive(Debug)]
pub struct Submission {
    /// The session.
    pub channel: SessionId,
    /// Who says it: the session's agent.
    pub author: AgentId,
    /// The user's message that it answers; none for all that wait.
    pub in_reply_to: Option<MessageId>,
    /// What it says.
    pub reply: Reply,
    /// The name of the submit within its session.
    pub key: Option<IdempotencyKey>,
}

/// A reply that is stored.
#[derive(Debug)]
pub struct SubmittedReply {
    /// The session.
    pub session: Session,
    /// The reply.
    pub message: Message,
    /// Whether an earlier call with the same key stored it.
    pub replayed: bool,
}

impl App {
    /// Stores a submitted reply, and gives it to all who wait for it, also where the caller goes
    /// away.
    ///
    /// # Errors
    /// There is no such session, the author is not its agent, or the store refuses or fails.
    pub async fn submit(
        self: &Arc<Self>,
        submission: Submission,
    ) -> Result<SubmittedReply, AppError> {
        let Submission {
            channel,
            author,
            in_reply_to,
            reply,
            key,
        } = submission;
        let target = Target {
            name: channel.to_string(),
            scope: Scope::All,
        };
        let session = self.kept_session(&target).await?;
        if session.agent_id != author {
            return Err(AppError::Forbidden("author_id must be the session's agent"));
        }
        if self.stopping.is_cancelled() {
            return Err(AppError::Unavailable(Unavailable::ShuttingDown));
        }
        let agent = self.agents.get(author);
        let command = SubmitReply {
            session_id: session.id,
            in_reply_to,
            message_id: MessageId(self.ids.next()),
            reply,
            key,
            closes_turns: agent.is_some_and(|agent| agent.backend.answering() != Answering::Itself),
            tells_chunk: true,
        };
        // A task of its own: who waits is told even if the caller goes away now.
        let app = Arc::clone(self);
        let stored = self
            .tasks
            .spawn(async move { app.store_submitted(command).await }.in_current_span());
        let submitted = stored.await.map_err(|_| AppError::Internal)??;
        Ok(SubmittedReply {
            session: submitted.session,
            message: submitted.message,
            replayed: submitted.replayed,
        })
    }

    async fn store_submitted(
        self: &Arc<Self>,
        command: SubmitReply,
    ) -> Result<Submitted, SubmitError> {
        let session = command.session_id;
        // From here on until the turn is closed, its backend says nothing more.
        let hold = self.runner.hold(session).await;
        let command = SubmitReply {
            tells_chunk: !hold.has_spoken(command.in_reply_to),
            ..command
        };
        let submitted = self.store.submit(command).await;
        match &submitted {
            Ok(submitted) => {
                let reply = Arc::new(submitted.message.clone());
                for message in &submitted.closed {
                    let ending = Ending::Replied(Arc::clone(&reply));
                    self.feeds.end(session, *message, ending);
                }
                hold.release(&submitted.closed);
            }
            Err(error) => {
                hold.release(&[]);
                if matches!(error, SubmitError::OutcomeUnknown) {
                    let app = Arc::clone(self);
                    self.tasks
                        .spawn(async move { app.tell_outcome(session).await });
                }
            }
        }
        submitted
    }

    /// Tells those who wait in a session how their turns ended, where nobody else does: after a
    /// commit that may have closed them or not.
    async fn tell_outcome(&self, session: SessionId) {
        let told = async {
            while self.tell_ended(session).await.is_err() {
                self.clock.sleep(PAUSE).await;
            }
        };
        let _ = self.stopping.run_until_cancelled(told).await;
    }

    async fn tell_ended(&self, session: SessionId) -> Result<(), ReadError> {
        let waited_for: HashSet<_> = self.feeds.open_in(session).into_iter().collect();
        for (message, outcome) in self.store.newest_turn_outcomes(session, LATEST).await? {
            if let Some(ending) = ending(outcome)
                && waited_for.contains(&message)
            {
                self.feeds.end(session, message, ending);
            }
        }
        Ok(())
    }
}
