//! Replies that agents outside this server submit.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::application::App;
use super::error::{AppError, NoReply, NoReplyReason, Unavailable};
use super::send::ending;
use super::session_ref::{Scope, SessionRef};
use crate::agents::backend::ReplySource;
use crate::agents::turns::reply_feed::Ending;
use crate::domain::error::RuleViolation;
use crate::domain::id::{AgentId, MessageId, SessionId, TurnId};
use crate::domain::key::IdempotencyKey;
use crate::domain::message::TurnFailure;
use crate::domain::session::Session;
use crate::domain::turn::Reply;
use crate::domain::waiting::TurnSelector;
use crate::store::command::{FailedTurns, SubmitFailure, SubmitReply, Submitted};
use crate::store::error::{ReadError, SubmitError};

/// How many of a session's latest messages are searched for turns that ended: more than can be
/// open, with a margin for messages stored in between.
const LATEST: usize = 500;

/// The pause before a failed read is retried.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A reply that an agent outside this server submits.
#[derive(Debug)]
pub struct Submission {
    /// The session.
    pub channel: SessionId,
    /// The author, which must be the session's agent.
    pub author: AgentId,
    /// The turn that it closes: exactly this one, or none. It overrides `in_reply_to`.
    pub turn_id: Option<TurnId>,
    /// The user's message that it answers; `None` for all that wait.
    pub in_reply_to: Option<MessageId>,
    /// The reply.
    pub reply: Reply,
    /// The message of an error that is submitted instead of `reply`, which then has no content.
    pub error: Option<String>,
    /// The idempotency key, within the session.
    pub key: Option<IdempotencyKey>,
}

/// The result of a submission.
#[derive(Debug)]
pub enum SubmissionResult {
    /// The reply is stored.
    Reply(Box<Submitted>),
    /// The turns are closed with the error.
    Error(FailedTurns),
}

impl App {
    /// Stores a submitted reply, or closes turns with a submitted error, and sends it to all
    /// clients that wait for it, even if the caller disconnects.
    ///
    /// # Errors
    /// The session is unknown, the author is not its agent, no selected turn waits, or the store
    /// refuses or fails.
    pub async fn submit(
        self: &Arc<Self>,
        submission: Submission,
    ) -> Result<SubmissionResult, AppError> {
        let target = SessionRef {
            name: submission.channel.to_string(),
            scope: Scope::All,
        };
        let session = self.retained_session(self.now(), &target).await?;
        if session.agent_id != submission.author {
            return Err(AppError::Forbidden("author_id must be the session's agent"));
        }
        if self.stopping.is_cancelled() {
            return Err(AppError::Unavailable(Unavailable::ShuttingDown));
        }
        let agent = self.agents.get(submission.author);
        let closes_turns =
            agent.is_some_and(|agent| agent.backend.reply_source() != ReplySource::Backend);
        let app = Arc::clone(self);
        if let Some(message) = submission.error {
            let command = SubmitFailure {
                session_id: session.id,
                selector: TurnSelector::new(submission.turn_id, submission.in_reply_to),
                message,
                sent_with: submission.reply,
                key: submission.key,
                closes_turns,
            };
            let storing = async move { Ok(app.store_failure(command).await?) };
            let failed = self.run_detached(storing).await;
            let failed = failed.map_err(|error| of_cancelled(error, &session))?;
            return Ok(SubmissionResult::Error(failed));
        }
        let command = SubmitReply {
            session_id: session.id,
            turn_id: submission.turn_id,
            in_reply_to: submission.in_reply_to,
            message_id: MessageId(self.new_id()),
            reply: submission.reply,
            key: submission.key,
            closes_turns,
            partly_answered: None,
        };
        let storing = async move { Ok(app.store_submitted(command).await?) };
        let submitted = self.run_detached(storing).await;
        let submitted = submitted.map_err(|error| of_cancelled(error, &session))?;
        Ok(SubmissionResult::Reply(Box::new(submitted)))
    }

    async fn store_failure(
        self: &Arc<Self>,
        command: SubmitFailure,
    ) -> Result<FailedTurns, SubmitError> {
        let session = command.session_id;
        // Until the turns are closed, their backend publishes nothing more.
        let pause = self.runner.pause_output(session).await;
        let failed = self.store.submit(command).await;
        match &failed {
            Ok(failed) if !failed.replayed => {
                for message in &failed.failed {
                    let ending = Ending::Failed(failed.failure.clone());
                    self.feeds.end(session, *message, ending);
                }
                pause.release(&failed.failed);
            }
            Ok(_) => pause.release(&[]),
            Err(error) => {
                pause.release(&[]);
                self.resolve_unknown(session, error);
            }
        }
        failed
    }

    /// Notifies the clients that wait in a session if it is unknown whether their turns were
    /// closed.
    pub(super) fn resolve_unknown(self: &Arc<Self>, session: SessionId, error: &SubmitError) {
        if matches!(error, SubmitError::OutcomeUnknown) {
            let app = Arc::clone(self);
            self.tasks
                .spawn(async move { app.notify_of_outcomes(session).await });
        }
    }

    async fn store_submitted(
        self: &Arc<Self>,
        command: SubmitReply,
    ) -> Result<Submitted, SubmitError> {
        let session = command.session_id;
        // Until the turn is closed, its backend publishes nothing more.
        let pause = self.runner.pause_output(session).await;
        let command = SubmitReply {
            partly_answered: pause.partly_answered(),
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
                pause.release(&submitted.closed);
            }
            Err(error) => {
                pause.release(&[]);
                self.resolve_unknown(session, error);
            }
        }
        submitted
    }

    /// Notifies clients that wait in a session after a commit that may have closed their turns:
    /// nothing else would. Retries until the store can be read.
    async fn notify_of_outcomes(&self, session: SessionId) {
        let notifying = async {
            while self.end_closed_turns(session).await.is_err() {
                self.clock.sleep(RETRY_PAUSE).await;
            }
        };
        let _ = self.stopping.run_until_cancelled(notifying).await;
    }

    async fn end_closed_turns(&self, session: SessionId) -> Result<(), ReadError> {
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

/// Returns the error of a submission to a message whose turn was cancelled with that message.
fn of_cancelled(error: AppError, session: &Session) -> AppError {
    let AppError::Refused(RuleViolation::TurnCancelled(message)) = error else {
        return error;
    };
    AppError::NoReply(Box::new(NoReply {
        agent_id: session.agent_id,
        session: session.clone(),
        message: *message,
        client_message_id: None,
        replayed: false,
        reason: NoReplyReason::Failed(TurnFailure::cancelled()),
    }))
}
