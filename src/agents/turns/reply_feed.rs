//! Delivers a turn's chunks and end to any number of receivers.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::domain::id::{MessageId, SessionId};
use crate::domain::message::{Message, TurnFailure};

type OpenFeeds = BTreeMap<(SessionId, MessageId), watch::Sender<Progress>>;

/// The feeds of the turns that run or have receivers.
#[derive(Debug, Clone, Default)]
pub struct ReplyFeeds {
    open: Arc<Mutex<OpenFeeds>>,
}

/// The state of a turn.
#[derive(Debug, Default)]
struct Progress {
    /// The text of all chunks, and where each of them ends.
    text: String,
    ends: Vec<usize>,
    ending: Option<Ending>,
    /// Whether a receiver waits for chunks. Without one, no receiver is woken for them.
    wants_chunks: AtomicBool,
}

/// How a turn ended for its receivers.
#[derive(Debug, Clone)]
pub enum Ending {
    /// With this reply.
    Replied(Arc<Message>),
    /// Without a reply.
    Failed(TurnFailure),
    /// The session was deleted.
    Deleted,
    /// The server is stopping; its next start resumes the turn.
    Stopping,
}

/// Receives the chunks and the end of a turn.
#[derive(Debug)]
pub struct ReplyReceiver {
    progress: watch::Receiver<Progress>,
    /// How many chunks were sent before the receiver was created.
    missed: usize,
    /// How many chunks it has received.
    seen: usize,
}

/// What a receiver receives.
#[derive(Debug, Clone)]
pub enum ReplyEvent {
    /// The next text of the reply.
    Chunk(String),
    /// The end.
    End(Ending),
}

impl ReplyFeeds {
    /// Returns a receiver of the turn of a message. Chunks that were sent before are received as
    /// one.
    #[must_use]
    pub fn subscribe(&self, session: SessionId, message: MessageId) -> ReplyReceiver {
        let progress = self.open(session, message).subscribe();
        let missed = progress.borrow().ends.len();
        ReplyReceiver {
            progress,
            missed,
            seen: 0,
        }
    }

    /// Sends chunks of a reply.
    pub fn push<'a>(
        &self,
        session: SessionId,
        message: MessageId,
        chunks: impl Iterator<Item = &'a str>,
    ) {
        self.open(session, message).send_if_modified(|progress| {
            for chunk in chunks {
                progress.text.push_str(chunk);
                progress.ends.push(progress.text.len());
            }
            progress.wants_chunks.load(Ordering::Relaxed)
        });
    }

    /// Ends a turn.
    pub fn end(&self, session: SessionId, message: MessageId, ending: Ending) {
        if let Some(feed) = self.lock().remove(&(session, message)) {
            feed.send_modify(|progress| progress.ending = Some(ending));
        }
    }

    /// Returns the messages of a session whose turns run or have receivers.
    #[must_use]
    pub fn open_in(&self, session: SessionId) -> Vec<MessageId> {
        let range = (session, MessageId::from(0))..=(session, MessageId::from(u128::MAX));
        self.lock().range(range).map(|(key, _)| key.1).collect()
    }

    /// Ends all turns of a session.
    pub fn end_session(&self, session: SessionId, ending: &Ending) {
        for message in self.open_in(session) {
            self.end(session, message, ending.clone());
        }
    }

    /// Ends all turns.
    pub fn end_all(&self, ending: &Ending) {
        for (_, feed) in std::mem::take(&mut *self.lock()) {
            feed.send_modify(|progress| progress.ending = Some(ending.clone()));
        }
    }

    /// Removes the feed of a message that was not stored.
    pub fn discard(&self, session: SessionId, message: MessageId) {
        self.lock().remove(&(session, message));
    }

    fn open(&self, session: SessionId, message: MessageId) -> watch::Sender<Progress> {
        self.lock().entry((session, message)).or_default().clone()
    }

    fn lock(&self) -> MutexGuard<'_, OpenFeeds> {
        // No code panics with the lock held.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    /// Returns the text of some of the chunks.
    fn text_of(&self, chunks: Range<usize>) -> String {
        let position = |count: usize| match count.checked_sub(1) {
            None => Some(0),
            Some(last) => self.ends.get(last).copied(),
        };
        let range = position(chunks.start).zip(position(chunks.end));
        let text = range.and_then(|(start, end)| self.text.get(start..end));
        text.unwrap_or_default().to_owned()
    }
}

impl ReplyReceiver {
    /// Returns the next event; `None` after the end.
    pub async fn next(&mut self) -> Option<ReplyEvent> {
        // Earlier chunks are not missed: the mark is set and the state read under the same lock.
        self.progress
            .borrow()
            .wants_chunks
            .store(true, Ordering::Relaxed);
        loop {
            if let Some(event) = self.next_ready() {
                return Some(event);
            }
            if self.progress.changed().await.is_err() {
                // The feed is gone; its last events may not have been received.
                return self.next_ready();
            }
        }
    }

    /// Waits for the end. Chunks do not wake it unless another receiver waits for them.
    pub async fn end(&mut self) -> Option<Ending> {
        let ended = self.progress.wait_for(|progress| progress.ending.is_some());
        ended.await.ok()?.ending.clone()
    }

    fn next_ready(&mut self) -> Option<ReplyEvent> {
        let progress = self.progress.borrow_and_update();
        if self.seen >= progress.ends.len() {
            return progress.ending.clone().map(ReplyEvent::End);
        }
        let next = self.seen..self.missed.max(self.seen + 1);
        self.seen = next.end;
        Some(ReplyEvent::Chunk(progress.text_of(next)))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Wake, Waker};

    use super::*;

    #[tokio::test]
    async fn a_late_receiver_gets_the_earlier_chunks_as_one() {
        let feeds = ReplyFeeds::default();
        let (session, message) = (SessionId::from(1), MessageId::from(2));
        feeds.push(session, message, ["Hello, ", "world"].into_iter());
        let mut receiver = feeds.subscribe(session, message);
        assert!(
            matches!(receiver.next().await, Some(ReplyEvent::Chunk(text)) if text == "Hello, world")
        );
        feeds.push(session, message, std::iter::once("!"));
        feeds.end(session, message, Ending::Deleted);
        assert!(matches!(receiver.next().await, Some(ReplyEvent::Chunk(text)) if text == "!"));
        assert!(matches!(
            receiver.next().await,
            Some(ReplyEvent::End(Ending::Deleted))
        ));
        assert!(feeds.lock().is_empty());
    }

    /// Records a wake.
    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn poll<T>(future: impl Future<Output = T>, woken: &Arc<Woken>) -> Poll<T> {
        let waker = Waker::from(Arc::clone(woken));
        pin!(future).poll(&mut Context::from_waker(&waker))
    }

    #[test]
    fn receivers_are_woken_for_chunks_only_once_one_waits_for_them() {
        let feeds = ReplyFeeds::default();
        let (session, message) = (SessionId::from(1), MessageId::from(2));
        let mut for_end = feeds.subscribe(session, message);
        let mut for_chunks = feeds.subscribe(session, message);
        let woken = Arc::new(Woken::default());
        let was_woken = || woken.0.swap(false, Ordering::Relaxed);

        let mut end = pin!(for_end.end());
        assert!(poll(end.as_mut(), &woken).is_pending());
        feeds.push(session, message, ["one ", "two "].into_iter());
        assert!(!was_woken());
        for sent in ["one ", "two "] {
            let event = poll(for_chunks.next(), &woken);
            assert!(matches!(event, Poll::Ready(Some(ReplyEvent::Chunk(text))) if text == sent));
        }

        let other = Arc::new(Woken::default());
        {
            let mut next = pin!(for_chunks.next());
            assert!(poll(next.as_mut(), &other).is_pending());
            feeds.push(session, message, std::iter::once("three"));
            assert!(other.0.swap(false, Ordering::Relaxed));
            let event = poll(next, &other);
            assert!(matches!(event, Poll::Ready(Some(ReplyEvent::Chunk(text))) if text == "three"));
        }

        assert!(poll(end.as_mut(), &woken).is_pending());
        was_woken();
        feeds.end(session, message, Ending::Deleted);
        assert!(was_woken());
        let ended = poll(end, &woken);
        assert!(matches!(ended, Poll::Ready(Some(Ending::Deleted))));
    }
}
