//! Checks that a backend replies.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

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
    /// The backend replies. The first piece of text came after this time, or the first activity if
    /// there was no text within 30 s.
    Answer(Duration),
    /// The reply would be submitted later.
    Later,
}

/// The remote session that an agent's server creates for a probe. Dropping it deletes that session,
/// in a task of its own, so that a probe that is dropped leaves nothing behind.
struct ProbeSession<'a> {
    agent: &'a Agent,
    id: Option<String>,
    deletions: &'a TaskTracker,
}

/// Sends a short question to an agent, without retries, and waits for the first piece of the reply.
/// Dropping the probe cancels the request. The remote session that the agent's server creates for
/// it is deleted in a task among `deletions`, if its id has arrived.
///
/// # Errors
/// The agent does not reply. A probe waits for at most 30 s; an agent with a longer timeout that has
/// reported activity until then, such as reasoning, counts as replying.
pub async fn probe(
    agent: &Agent,
    now: Timestamp,
    ids: [u128; 5],
    deletions: &TaskTracker,
) -> Result<ProbeResult, BackendError> {
    let mut session = ProbeSession {
        agent,
        id: None,
        deletions,
    };
    let answer = ask(agent, question(agent, now, ids), &mut session.id);
    let answer = AssertUnwindSafe(answer).catch_unwind().await;
    answer.unwrap_or_else(|_| {
        let cause = "its backend panicked";
        Err(BackendError::new(FailureReason::Internal, cause))
    })
}

impl Drop for ProbeSession<'_> {
    fn drop(&mut self) {
        let deletion = self.id.take().and_then(|id| self.agent.backend.delete(id));
        let Some(deletion) = deletion else {
            return;
        };
        self.deletions.spawn(async {
            match tokio::time::timeout(DELETION_TIMEOUT, deletion).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!(%error, "the probe's remote session was not deleted");
                }
                Err(_) => tracing::debug!("the probe's remote session was not deleted in time"),
            }
        });
    }
}

async fn ask(
    agent: &Agent,
    question: TurnRequest,
    remote: &mut Option<String>,
) -> Result<ProbeResult, BackendError> {
    let allowed = allowed_time(agent);
    let started = Instant::now();
    let mut first_activity = None;
    let mut pieces = agent.backend.reply(Arc::new(question));
    let answer = async {
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(Piece::Chunk(_) | Piece::Done(..)) => {
                    return Ok(ProbeResult::Answer(started.elapsed()));
                }
                Ok(Piece::Activity(_)) => {
                    first_activity.get_or_insert_with(|| started.elapsed());
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
    if let Ok(answer) = tokio::time::timeout(allowed, answer).await {
        return answer;
    }
    // A turn would go on: slow reasoning is not a failure.
    let goes_on = agent.character.backend.timeout() > allowed;
    let cause = format!("no answer within {} s", allowed.as_secs());
    let timeout = BackendError::new(FailureReason::Timeout, cause);
    let activity = first_activity.filter(|_| goes_on);
    activity.map(ProbeResult::Answer).ok_or(timeout)
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
        trace: None,
        turn_id: TurnId::from(turn),
        session,
        history: History::Messages(Vec::new()),
        message,
        remote_session: None,
        progress: BodyProgress::default(),
        attempt: Attempt::first(now, allowed_time(agent)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use futures_util::stream;
    use rstest::rstest;

    use super::*;
    use crate::agents::backend::{Backend, ReplyStream};
    use crate::agents::character::Character;
    use crate::domain::activity::Activity;

    /// Reasons after 1 s, goes on after this many seconds, and ends in this way.
    #[derive(Debug, Clone, Copy)]
    struct Reasoner(u64, Result<(), FailureReason>);

    impl Backend for Reasoner {
        fn kind(&self) -> &'static str {
            "reasoner"
        }

        fn reply(&self, _: Arc<TurnRequest>) -> ReplyStream {
            let Self(pause, end) = *self;
            let pieces = stream::iter([1, pause]).then(move |pause| async move {
                tokio::time::sleep(Duration::from_secs(pause)).await;
                if pause == 1 {
                    return Ok(Piece::Activity(Activity::thinking("Hm".into())));
                }
                let end = end.map(|()| Piece::Chunk("Yes.".into()));
                end.map_err(|reason| BackendError::new(reason, "it failed"))
            });
            pieces.boxed()
        }
    }

    /// Panics when it is asked.
    #[derive(Debug)]
    struct Broken;

    impl Backend for Broken {
        fn kind(&self) -> &'static str {
            "broken"
        }

        fn reply(&self, _: Arc<TurnRequest>) -> ReplyStream {
            stream::once(async { panic!("a fault") }).boxed()
        }
    }

    #[tokio::test]
    async fn a_panic_is_a_failure() {
        let character = Character::parse(Path::new("a.json"), r#"{"name": "A"}"#, Timestamp(0));
        let agent = Agent::with_backend(character.unwrap(), Box::new(Broken));
        let found = probe(&agent, Timestamp(0), [1, 2, 3, 4, 5], &TaskTracker::new()).await;
        let wanted = BackendError::new(FailureReason::Internal, "its backend panicked");
        assert_eq!(found, Err(wanted));
    }

    #[rstest]
    #[case::reply(600, Reasoner(5, Ok(())), Ok(6))]
    #[case::failure_after_reasoning(600, Reasoner(5, Err(FailureReason::Busy)), Err("it failed"))]
    #[case::slow_reasoning(600, Reasoner(60, Ok(())), Ok(1))]
    #[case::shorter_timeout(20, Reasoner(60, Ok(())), Err("no answer within 20 s"))]
    #[tokio::test(start_paused = true)]
    async fn reasoning_alone_is_an_answer_only_at_the_limit(
        #[case] timeout: u64,
        #[case] reasoner: Reasoner,
        #[case] wanted: Result<u64, &str>,
    ) {
        let text = format!(
            r#"{{"name": "A", "settings": {{"backend": {{"type": "x", "timeoutSeconds": {timeout}}}}}}}"#
        );
        let character = Character::parse(Path::new("a.json"), &text, Timestamp(0)).unwrap();
        let agent = Agent::with_backend(character, Box::new(reasoner));
        let found = probe(&agent, Timestamp(0), [1, 2, 3, 4, 5], &TaskTracker::new()).await;
        let wanted = wanted.map(|seconds| ProbeResult::Answer(Duration::from_secs(seconds)));
        assert_eq!(
            found.map_err(|error| error.cause),
            wanted.map_err(str::to_owned)
        );
    }
}
