//! Replies that agents outside this server submit.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::application::App;
use super::error::{AppError, Unavailable};
use super::send::ending;
use super::session_ref::{Scope, SessionRef};
use crate::agents::backend::ReplySource;
use crate::agents::turns::reply_feed::Ending;
use crate::domain::id::{AgentId, MessageId, SessionId};
use crate::domain::key::IdempotencyKey;
use crate::domain::turn::Reply;
use crate::store::command::{SubmitReply, Submitted};
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
    /// The user's message that it answers; `None` for all that wait.
    pub in_reply_to: Option<MessageId>,
    /// The reply.
    pub reply: Reply,
    /// The idempotency key, within the session.
    pub key: Option<IdempotencyKey>,
}

impl App {
    /// Stores a submitted reply and sends it to all clients that wait for it, even if the caller
    /// disconnects.
    ///
    /// # Errors
    /// The session is unknown, the author is not its agent, or the store refuses or fails.
    pub async fn submit(self: &Arc<Self>, submission: Submission) -> Result<Submitted, AppError> {
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
        let command = SubmitReply {
            session_id: session.id,
            in_reply_to: submission.in_reply_to,
            message_id: MessageId(self.new_id()),
            reply: submission.reply,
            key: submission.key,
            closes_turns: agent
                .is_some_and(|agent| agent.backend.reply_source() != ReplySource::Backend),
            publishes_chunk: true,
        };
        let app = Arc::clone(self);
        self.run_detached(async move { Ok(app.store_submitted(command).await?) })
            .await
    }

    async fn store_submitted(
        self: &Arc<Self>,
        command: SubmitReply,
    ) -> Result<Submitted, SubmitError> {
        let session = command.session_id;
        // Until the turn is closed, its backend publishes nothing more.
        let pause = self.runner.pause_output(session).await;
        let command = SubmitReply {
            publishes_chunk: !pause.has_sent_chunk(command.in_reply_to),
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
                if matches!(error, SubmitError::OutcomeUnknown) {
                    let app = Arc::clone(self);
                    self.tasks
                        .spawn(async move { app.notify_of_outcomes(session).await });
                }
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
