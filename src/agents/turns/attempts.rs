//! Asks an agent for a reply, within its time limits, with retries.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::MutexGuard;

use super::failed_turn::FailedTurn;
use super::retry::{self, MIN_ATTEMPTS};
use super::runner::RunnerParts;
use super::session_worker::{RunningTurn, Slot};
use super::turn_store::{PendingTurn, TurnStore};
use crate::agents::backend::{
    Attempt, BackendError, BodyProgress, Piece, ReplyStream, Retry, TurnRequest,
};
use crate::agents::registry::Agent;
use crate::agents::reply_info::{ReplyInfo, Usage};
use crate::clock::Clock;
use crate::domain::activity::Activity;
use crate::domain::failure::FailureReason;
use crate::domain::id::SessionId;
use crate::domain::time::Timestamp;
use crate::domain::trace::TraceParent;
use crate::domain::turn::Reply;
use crate::events::Event;

/// Longer replies are cut.
const MAX_REPLY_BYTES: usize = 64 * 1024;

/// What an agent answered.
pub(super) enum Outcome {
    Reply(Reply),
    /// The reply will be submitted before this time.
    Later(Timestamp),
}

/// The attempts to get a reply in a turn.
pub(super) struct Attempts<'a, S> {
    parts: &'a RunnerParts<S>,
    agent: &'a Agent,
    pending: &'a PendingTurn,
    running: &'a RunningTurn,
    trace: Option<TraceParent>,
    /// `None` during the pause before a retry.
    slot: Option<Slot>,
    /// The text of the chunks that were sent, and their number.
    sent: String,
    chunks: u32,
    info: ReplyInfo,
    /// The tokens of the current attempt that the metrics have.
    counted: Usage,
}

impl<'a, S: TurnStore> Attempts<'a, S> {
    pub(super) fn new(
        parts: &'a RunnerParts<S>,
        agent: &'a Agent,
        pending: &'a PendingTurn,
        running: &'a RunningTurn,
        trace: Option<TraceParent>,
        slot: Slot,
    ) -> Self {
        Self {
            parts,
            agent,
            pending,
            running,
            trace,
            slot: Some(slot),
            sent: String::new(),
            chunks: 0,
            info: ReplyInfo::default(),
            counted: Usage::default(),
        }
    }

    /// Returns the slot, to be released after the reply is stored, and the text that was sent.
    pub(super) fn into_parts(self) -> (Option<Slot>, Option<String>) {
        let partial = Some(self.sent).filter(|text| !text.is_empty());
        (self.slot, partial)
    }

    /// Asks the agent within its timeout. After that, the text that was sent is the reply.
    pub(super) async fn run(&mut self) -> Result<Outcome, FailedTurn> {
        let timeout = self.agent.character.backend.timeout();
        let clock = &self.parts.clock;
        let first = Attempt::first(clock.now(), timeout);
        let answered = {
            let asking = pin!(self.ask_with_retries(timeout, first));
            let asking = AssertUnwindSafe(asking).catch_unwind();
            clock.timeout(timeout, asking).await
        };
        self.send_last_activity().await;
        let failed = match answered {
            Some(Ok(Ok(Some(reply)))) => return Ok(Outcome::Reply(reply)),
            Some(Ok(Ok(None))) => return Ok(Outcome::Later(first.deadline)),
            Some(Ok(Err(error))) if error.reason == FailureReason::Timeout => {
                FailedTurn::timeout(error.cause)
            }
            Some(Ok(Err(error))) => FailedTurn::from_backend(error, self.chunks),
            Some(Err(_)) => FailedTurn::new(FailureReason::Internal, "its backend panicked".into()),
            None => {
                let seconds = timeout.as_secs();
                FailedTurn::timeout(format!("it did not complete its answer within {seconds} s"))
            }
        };
        let is_timeout = failed.failure.reason == Some(FailureReason::Timeout);
        if let Some(reply) = is_timeout.then(|| self.timed_out()).flatten() {
            let (session, character) = (self.session(), &self.agent.character);
            tracing::warn!(
                %session,
                name = character.name,
                agent = %character.id,
                cause = failed.cause,
                "the agent's reply is incomplete"
            );
            return Ok(Outcome::Reply(reply));
        }
        failed.log(self.agent, self.session());
        Err(failed)
    }

    /// Returns the text that was sent, if any: it is better than a failure.
    fn timed_out(&self) -> Option<Reply> {
        if self.sent.trim().is_empty() {
            return None;
        }
        // The model may have stopped without its server ending the stream.
        let is_complete = self.info.finish_reason.is_some() && !self.info.is_truncated;
        Some(self.sent_reply(!is_complete))
    }

    /// Asks the agent until a retry would not help; `None` if the reply will be submitted.
    async fn ask_with_retries(
        &mut self,
        timeout: Duration,
        first: Attempt,
    ) -> Result<Option<Reply>, BackendError> {
        let clock = &self.parts.clock;
        let started = clock.monotonic();
        let mut request = Arc::clone(&self.pending.request);
        Arc::make_mut(&mut request).trace = self.trace;
        let mut attempts = 0;
        loop {
            attempts += 1;
            Arc::make_mut(&mut request).attempt = Attempt {
                number: attempts,
                at: clock.now(),
                ..first
            };
            let error = match self.attempt(&mut request).await {
                Err(error) if self.chunks == 0 => error,
                answer => return answer,
            };
            let Retry::Possible(retry_after) = error.retry else {
                return Err(error);
            };
            let elapsed = clock.monotonic().saturating_sub(started);
            if attempts >= MIN_ATTEMPTS && elapsed >= retry::window(timeout) {
                return Err(error);
            }
            // If the turn would time out meanwhile, the cause is the better error.
            let pause = retry::pause(attempts, retry_after, clock.now());
            let Some(pause) = pause.filter(|pause| elapsed + *pause < timeout) else {
                return Err(error);
            };
            let (session, name) = (self.session(), &self.agent.character.name);
            let reason = error.reason.as_str();
            tracing::info!(%session, name, reason, %error, attempts, ?pause, "the turn is retried");
            self.slot = None;
            self.act(retry::announcement(attempts, pause)).await;
            clock.sleep(pause).await;
            let slot = Arc::clone(&self.agent.slots).acquire_owned().await;
            // The semaphore is never closed.
            self.slot = Some(slot.map_err(|_| error)?);
            self.act(retry::announcement_done()).await;
        }
    }

    async fn attempt(
        &mut self,
        request: &mut Arc<TurnRequest>,
    ) -> Result<Option<Reply>, BackendError> {
        let progress = BodyProgress::default();
        Arc::make_mut(request).progress = progress.clone();
        let idle = self.agent.character.backend.idle_timeout;
        let clock = &self.parts.clock;
        tokio::select! {
            biased;
            answer = self.read(request) => answer,
            () = stalled(clock, idle, &progress) => Err(BackendError::new(
                FailureReason::Timeout,
                format!("it sent nothing for {} s in the middle of its answer", idle.as_secs()),
            )),
        }
    }

    async fn read(
        &mut self,
        request: &mut Arc<TurnRequest>,
    ) -> Result<Option<Reply>, BackendError> {
        (self.info, self.counted) = (ReplyInfo::default(), Usage::default());
        let mut pieces = self.agent.backend.reply(Arc::clone(request));
        while let Some(piece) = self.next_piece(&mut pieces).await {
            match piece? {
                Piece::Chunk(mut chunk) => {
                    let is_full = cut(&mut chunk, MAX_REPLY_BYTES - self.sent.len());
                    self.send(&chunk, &[chunk.len()]).await;
                    if is_full {
                        return Ok(Some(self.sent_reply(true)));
                    }
                }
                Piece::Done(reply, ends) => return Ok(Some(self.complete(reply, ends).await)),
                Piece::Info(info) => {
                    self.note_info(info);
                    self.count_tokens();
                }
                Piece::Activity(activity) => self.act(activity).await,
                Piece::Later => return Ok(None),
                Piece::RemoteSession(id) => {
                    self.store_remote_session(&id).await;
                    Arc::make_mut(request).remote_session = Some(id);
                }
            }
        }
        Err(BackendError::new(
            FailureReason::InvalidReply,
            "the reply ended before it was complete",
        ))
    }

    /// Returns the next piece. While the backend is silent, sends the activity that is due.
    async fn next_piece(&self, pieces: &mut ReplyStream) -> Option<Result<Piece, BackendError>> {
        let clock = &self.parts.clock;
        while let Some(due) = self.running.activity.due() {
            let pause = due.saturating_sub(clock.monotonic());
            if let Some(piece) = clock.timeout(pause, pieces.next()).await {
                return piece;
            }
            self.send_due_activity().await;
        }
        pieces.next().await
    }

    /// Sends an activity, at once or a little later.
    async fn act(&self, activity: Activity) {
        self.parts
            .add_activity(self.session(), self.running, activity);
        self.send_due_activity().await;
    }

    async fn send_due_activity(&self) {
        let due = self.running.activity.due();
        if due.is_some_and(|due| due <= self.parts.clock.monotonic()) {
            let _output = self.output().await;
            self.parts.send_due_activity(self.session(), self.running);
        }
    }

    async fn send_last_activity(&self) {
        if self.running.activity.due().is_some() {
            let _output = self.output().await;
            self.parts.send_last_activity(self.session(), self.running);
        }
    }

    /// Waits until the turn may publish; no one else does meanwhile.
    async fn output(&self) -> MutexGuard<'a, ()> {
        let running = self.running;
        let output = running.output.lock().await;
        if running.over.is_cancelled() {
            // The turn is over, and this future is about to be dropped.
            return std::future::pending().await;
        }
        output
    }

    fn note_info(&mut self, info: ReplyInfo) {
        // No code panics with the lock held.
        let shared = self.running.info.lock();
        *shared.unwrap_or_else(PoisonError::into_inner) = info.clone();
        self.info = info;
    }

    /// Counts the tokens that are new since the last call. They are paid for whatever becomes of
    /// the reply.
    fn count_tokens(&mut self) {
        let Some(usage) = self.info.usage else {
            return;
        };
        let new = |now: u64, counted: &mut u64| {
            let new = now.saturating_sub(*counted);
            *counted += new;
            new
        };
        let input = new(usage.input_tokens, &mut self.counted.input_tokens);
        let output = new(usage.output_tokens, &mut self.counted.output_tokens);
        let agent = self.agent.character.id;
        self.parts.meters.used(agent, input, output);
    }

    /// Stores the id of the remote session. If that fails, the next turn creates another one.
    async fn store_remote_session(&self, id: &str) {
        let session = self.session();
        let stored = self
            .parts
            .turn_store
            .store_remote_session(session, id.to_owned());
        if let Err(error) = stored.await {
            tracing::warn!(%session, ?error, "the id of the remote session was not stored");
        }
    }

    /// Cuts a complete reply, and sends its text unless chunks were sent before.
    async fn complete(&mut self, mut reply: Reply, mut ends: Vec<usize>) -> Reply {
        let text = &mut reply.body.content;
        let is_truncated = cut(text, MAX_REPLY_BYTES);
        if self.chunks == 0 {
            ends.retain(|end| *end < text.len());
            ends.push(text.len());
            self.send(text, &ends).await;
        }
        let info = ReplyInfo {
            is_truncated,
            ..ReplyInfo::default()
        };
        info.write_to(&mut reply);
        reply
    }

    /// Sends a text in chunks that end at these positions.
    async fn send(&mut self, text: &str, ends: &[usize]) {
        if text.is_empty() {
            return;
        }
        let _output = self.output().await;
        self.running.has_sent_chunk.store(true, Ordering::Release);
        let (session, pending) = (self.session(), self.pending);
        self.parts.send_activity_before_chunk(session, self.running);
        let message = pending.request.message.id;
        let chunks = || chunks(text, ends);
        self.parts.feeds.push(session, message, chunks());
        let chunk = |(index, chunk): (u32, &str)| Event::ReplyChunk {
            reply_id: pending.reply_id,
            agent_id: pending.request.session.agent_id,
            index,
            text: chunk.into(),
        };
        let events = (self.chunks..).zip(chunks()).map(chunk);
        self.parts.events.publish_all(session, events);
        self.sent.push_str(text);
        self.chunks += u32::try_from(ends.len()).unwrap_or(u32::MAX);
    }

    /// Returns the text that was sent as a reply.
    fn sent_reply(&self, is_truncated: bool) -> Reply {
        let mut reply = Reply::text(self.sent.clone());
        let info = ReplyInfo {
            is_truncated,
            ..self.info.clone()
        };
        info.write_to(&mut reply);
        reply
    }

    fn session(&self) -> SessionId {
        self.pending.turn.session_id
    }
}

/// Waits until an answer's body has begun and then sends nothing for the idle timeout.
async fn stalled(clock: &Clock, idle: Duration, progress: &BodyProgress) {
    loop {
        progress.next().await;
        while clock.timeout(idle, progress.next()).await.is_some() {}
        if !progress.is_restarted() {
            return;
        }
    }
}

/// Splits a text at these positions.
fn chunks<'t>(text: &'t str, ends: &[usize]) -> impl Iterator<Item = &'t str> {
    let mut start = 0;
    ends.iter().map(move |end| {
        let chunk = text.get(start..*end).unwrap_or_default();
        start = *end;
        chunk
    })
}

/// Cuts a text to at most `max` bytes, at a character boundary; returns whether it was longer.
fn cut(text: &mut String, max: usize) -> bool {
    let is_longer = text.len() > max;
    text.truncate(text.floor_char_boundary(max));
    is_longer
}
