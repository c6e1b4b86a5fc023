//! Asks an agent for a reply: within its time, and again where that may help.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};

use super::lanes::{Place, Running};
use super::retry::{self, MIN_ATTEMPTS};
use super::{Inner, PendingTurn, TurnStore};
use crate::agents::about::About;
use crate::agents::backend::{BackendError, Piece, Progress, TurnRequest};
use crate::agents::registry::Agent;
use crate::clock::Clock;
use crate::domain::id::SessionId;
use crate::domain::message::TurnFailure;
use crate::domain::time::{Millis, Timestamp};
use crate::domain::turn::Reply;
use crate::events::Event;

/// A reply is cut off here, in bytes.
const MAX_REPLY_BYTES: usize = 64 * 1024;

/// What an agent answered.
pub(super) enum Answer {
    /// Its reply.
    Reply(Reply),
    /// That the reply is to be submitted, until then.
    Later(Timestamp),
}

/// A turn whose agent is being asked.
pub(super) struct Asking<'a, L> {
    inner: &'a Inner<L>,
    agent: &'a Agent,
    pending: &'a PendingTurn,
    running: &'a Running,
    /// None while it waits to be retried.
    place: Option<Place>,
    streamed: Streamed,
    about: About,
}

/// What was streamed of a reply so far.
#[derive(Debug, Default)]
struct Streamed {
    text: String,
    chunks: u32,
}

impl<'a, L: TurnStore> Asking<'a, L> {
    /// A turn that has its place among those of its agent.
    pub(super) fn new(
        inner: &'a Inner<L>,
        agent: &'a Agent,
        pending: &'a PendingTurn,
        running: &'a Running,
        place: Place,
    ) -> Self {
        Self {
            inner,
            agent,
            pending,
            running,
            place: Some(place),
            streamed: Streamed::default(),
            about: About::default(),
        }
    }

    /// The place, which is to be kept until the answer is stored, and the text that was streamed.
    pub(super) fn into_parts(self) -> (Option<Place>, Option<String>) {
        let partial = Some(self.streamed.text).filter(|text| !text.is_empty());
        (self.place, partial)
    }

    /// Asks the agent, within its time. Where that is over, the text that was streamed is the
    /// reply.
    pub(super) async fn answer(&mut self) -> Result<Answer, TurnFailure> {
        let (session, agent_id) = (self.session(), self.agent.character.id);
        let allowed = self.agent.character.backend.timeout();
        let span = Millis(i64::try_from(allowed.as_millis()).unwrap_or(i64::MAX));
        let clock = &self.inner.clock;
        let until = clock.now() + span;
        let answered = {
            let asking = pin!(self.ask_until_answered(allowed));
            let asking = AssertUnwindSafe(asking).catch_unwind();
            clock.timeout(allowed, asking).await
        };
        match answered {
            Some(Ok(Ok(Some(reply)))) => Ok(Answer::Reply(reply)),
            Some(Ok(Ok(None))) => Ok(Answer::Later(until)),
            Some(Ok(Err(BackendError::TimedOut(error)))) => {
                tracing::warn!(%session, agent = %agent_id, %error, "the agent fell silent");
                self.out_of_time()
            }
            Some(Ok(Err(error))) => {
                tracing::warn!(%session, agent = %agent_id, %error, "the agent failed");
                Err(TurnFailure::agent_error())
            }
            Some(Err(_)) => {
                tracing::error!(%session, agent = %agent_id, "the agent's backend panicked");
                Err(TurnFailure::agent_error())
            }
            None => {
                tracing::warn!(%session, agent = %agent_id, "the agent took too long");
                self.out_of_time()
            }
        }
    }

    /// What was said in time is worth more than nothing.
    fn out_of_time(&self) -> Result<Answer, TurnFailure> {
        if self.streamed.text.trim().is_empty() {
            return Err(TurnFailure::agent_timeout());
        }
        let about = &self.about;
        // Where the model had ended, it only was its server that had not.
        let is_complete = about.finish_reason.is_some() && !about.is_truncated;
        Ok(Answer::Reply(self.so_far(!is_complete)))
    }

    /// Asks the agent, and again where that may help; none where the reply is to be submitted.
    async fn ask_until_answered(
        &mut self,
        allowed: Duration,
    ) -> Result<Option<Reply>, BackendError> {
        let clock = &self.inner.clock;
        let started = clock.monotonic();
        let mut request = Arc::clone(&self.pending.request);
        let mut attempts = 0;
        loop {
            let error = match self.attempt(&mut request).await {
                Err(error) if self.streamed.chunks == 0 => error,
                answer => return answer,
            };
            let BackendError::Transient { retry_after, .. } = &error else {
                return Err(error);
            };
            attempts += 1;
            let elapsed = clock.monotonic().saturating_sub(started);
            if attempts >= MIN_ATTEMPTS && elapsed >= retry::window(allowed) {
                return Err(error);
            }
            // Where the turn's time would be over meanwhile, the cause says more than that.
            let wait = retry::wait(attempts, *retry_after, clock.now())
                .filter(|wait| elapsed + *wait < allowed);
            let Some(wait) = wait else {
                return Err(error);
            };
            let session = self.session();
            let agent = self.agent.character.id;
            tracing::info!(%session, %agent, %error, attempts, ?wait, "the turn is retried");
            self.place = None;
            clock.sleep(wait).await;
            let place = Arc::clone(&self.agent.places).acquire_owned().await;
            // The semaphore is never closed.
            self.place = Some(place.map_err(|_| error)?);
        }
    }

    async fn attempt(
        &mut self,
        request: &mut Arc<TurnRequest>,
    ) -> Result<Option<Reply>, BackendError> {
        let progress = Progress::default();
        Arc::make_mut(request).progress = progress.clone();
        let idle = self.agent.character.backend.idle_timeout();
        let clock = &self.inner.clock;
        tokio::select! {
            biased;
            answer = self.read(request) => answer,
            () = silence(clock, idle, &progress) => Err(BackendError::TimedOut(format!(
                "it sent nothing for {} s in the middle of its answer", idle.as_secs()
            ))),
        }
    }

    async fn read(
        &mut self,
        request: &mut Arc<TurnRequest>,
    ) -> Result<Option<Reply>, BackendError> {
        let mut pieces = self.agent.backend.reply(Arc::clone(request));
        while let Some(piece) = pieces.next().await {
            match piece? {
                Piece::Chunk(mut chunk) => {
                    let left = MAX_REPLY_BYTES - self.streamed.text.len();
                    let is_full = cut_off(&mut chunk, left);
                    self.tell(&chunk, &[chunk.len()]).await;
                    if is_full {
                        return Ok(Some(self.so_far(true)));
                    }
                }
                Piece::Done(reply, ends) => return Ok(Some(self.tell_whole(reply, ends).await)),
                Piece::About(about) => self.about = about,
                Piece::Later => return Ok(None),
                Piece::Upstream(name) => {
                    self.inner.keep_upstream(self.session(), &name).await;
                    Arc::make_mut(request).upstream = Some(name);
                }
            }
        }
        Err(BackendError::Final(
            "the reply ended before it was complete".into(),
        ))
    }

    /// Tells a reply that is there as a whole, in pieces that end at these places and at its own
    /// end, unless it was streamed before; the reply, cut off where it is too long.
    async fn tell_whole(&mut self, mut reply: Reply, mut ends: Vec<usize>) -> Reply {
        let text = &mut reply.body.content;
        let is_cut = cut_off(text, MAX_REPLY_BYTES);
        if self.streamed.chunks == 0 {
            ends.retain(|end| *end < text.len());
            ends.push(text.len());
            self.tell(text, &ends).await;
        }
        if is_cut {
            About::truncated().write_to(&mut reply);
        }
        reply
    }

    /// Tells a text that was said, in pieces that end at these places.
    async fn tell(&mut self, text: &str, ends: &[usize]) {
        if text.is_empty() {
            return;
        }
        let _gate = self.running.gate.lock().await;
        if self.running.over.is_cancelled() {
            // The turn is over, and whoever waits for this is about to be dropped.
            return std::future::pending().await;
        }
        self.running.has_spoken.store(true, Ordering::Release);
        let (session, pending) = (self.session(), self.pending);
        let message = pending.request.message.id;
        self.inner.feeds.push(session, message, pieces(text, ends));
        let first = self.streamed.chunks;
        let chunk = |(index, piece): (u32, &str)| Event::ReplyChunk {
            reply_id: pending.reply_id,
            agent_id: pending.request.session.agent_id,
            index,
            text: piece.into(),
        };
        let chunks = (first..).zip(pieces(text, ends)).map(chunk);
        self.inner.events.publish_all(session, chunks);
        self.streamed.text.push_str(text);
        self.streamed.chunks += u32::try_from(ends.len()).unwrap_or(u32::MAX);
    }

    /// The reply as far as it was streamed.
    fn so_far(&self, is_truncated: bool) -> Reply {
        let mut reply = Reply::text(self.streamed.text.clone());
        let about = About {
            is_truncated,
            ..self.about.clone()
        };
        about.write_to(&mut reply);
        reply
    }

    fn session(&self) -> SessionId {
        self.pending.turn.session_id
    }
}

/// Ends when an answer's body has begun and nothing of it has come for so long.
async fn silence(clock: &Clock, idle: Duration, progress: &Progress) {
    loop {
        progress.next().await;
        while clock.timeout(idle, progress.next()).await.is_some() {}
        if !progress.has_begun_again() {
            return;
        }
    }
}

/// The pieces of a text that end at these places.
fn pieces<'t>(text: &'t str, ends: &[usize]) -> impl Iterator<Item = &'t str> {
    let mut start = 0;
    ends.iter().map(move |end| {
        let piece = text.get(start..*end).unwrap_or_default();
        start = *end;
        piece
    })
}

/// Cuts a text off at a length in bytes, at a character's boundary; returns whether it was cut.
fn cut_off(text: &mut String, max: usize) -> bool {
    if text.len() <= max {
        return false;
    }
    text.truncate(text.floor_char_boundary(max));
    true
}
