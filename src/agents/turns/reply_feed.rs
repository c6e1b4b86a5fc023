//! What waits for a turn: the reply as it comes, for any number of waiters.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::domain::id::{MessageId, SessionId};
use crate::domain::message::{Message, TurnFailure};

type OpenFeeds = BTreeMap<(SessionId, MessageId), watch::Sender<Progress>>;

/// The feeds of the turns that are waited for or running.
#[derive(Debug, Clone, Default)]
pub struct ReplyFeeds {
    open: Arc<Mutex<OpenFeeds>>,
}

/// How far a turn has come.
#[derive(Debug, Default)]
struct Progress {
    /// What was said of the reply, and where each piece of it ends.
    text: String,
    ends: Vec<usize>,
    ending: Option<Ending>,
    /// Whether anybody waits for the pieces. Nobody is woken for them before; they are kept for
    /// those who come later.
    is_followed: AtomicBool,
}

/// How a turn ended for those who wait.
#[derive(Debug, Clone)]
pub enum Ending {
    /// With this reply.
    Replied(Arc<Message>),
    /// Without one.
    Failed(TurnFailure),
    /// The session was deleted.
    Deleted,
    /// The server is stopping; the turn goes on at its next start.
    Stopping,
}

/// One waiter's view of a turn.
#[derive(Debug)]
pub struct ReplyReceiver {
    progress: watch::Receiver<Progress>,
    /// How many chunks there were when the waiting began.
    missed: usize,
    seen: usize,
}

/// What a waiter hears.
#[derive(Debug, Clone)]
pub enum ReplyEvent {
    /// More of the reply.
    Chunk(String),
    /// The end.
    End(Ending),
}

impl ReplyFeeds {
    /// Waits for the turn of a message, from the beginning of its reply.
    ///
    /// A waiter that comes while the reply is being streamed gets what was streamed so far as its
    /// first chunk.
    #[must_use]
    pub fn wait_for(&self, session: SessionId, message: MessageId) -> ReplyReceiver {
        let progress = self.open(session, message).subscribe();
        let missed = progress.borrow().ends.len();
        ReplyReceiver {
            progress,
            missed,
            seen: 0,
        }
    }

    /// Adds pieces of a reply.
    pub fn push<'a>(
        &self,
        session: SessionId,
        message: MessageId,
        pieces: impl Iterator<Item = &'a str>,
    ) {
        self.open(session, message).send_if_modified(|progress| {
            for piece in pieces {
                progress.text.push_str(piece);
                progress.ends.push(progress.text.len());
            }
            progress.is_followed.load(Ordering::Relaxed)
        });
    }

    /// Ends a turn for all who wait.
    pub fn end(&self, session: SessionId, message: MessageId, ending: Ending) {
        if let Some(feed) = self.lock().remove(&(session, message)) {
            feed.send_modify(|progress| progress.ending = Some(ending));
        }
    }

    /// The messages of a session whose turns are waited for or running.
    #[must_use]
    pub fn open_in(&self, session: SessionId) -> Vec<MessageId> {
        let range = (session, MessageId::from(0))..=(session, MessageId::from(u128::MAX));
        self.lock().range(range).map(|(key, _)| key.1).collect()
    }

    /// Ends all turns of a session.
    pub fn end_session(&self, session: SessionId, ending: &Ending) {
        let mut open = self.lock();
        let range = (session, MessageId::from(0))..=(session, MessageId::from(u128::MAX));
        let keys: Vec<_> = open.range(range).map(|(key, _)| *key).collect();
        for key in keys {
            if let Some(feed) = open.remove(&key) {
                feed.send_modify(|progress| progress.ending = Some(ending.clone()));
            }
        }
    }

    /// Ends all turns.
    pub fn end_all(&self, ending: &Ending) {
        for (_, feed) in std::mem::take(&mut *self.lock()) {
            feed.send_modify(|progress| progress.ending = Some(ending.clone()));
        }
    }

    /// Forgets the feed of a message that was not stored.
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
    /// The text of some of the pieces.
    fn said(&self, pieces: Range<usize>) -> &str {
        let place = |count: usize| match count.checked_sub(1) {
            None => Some(0),
            Some(last) => self.ends.get(last).copied(),
        };
        let range = place(pieces.start).zip(place(pieces.end));
        range
            .and_then(|(start, end)| self.text.get(start..end))
            .unwrap_or_default()
    }
}

impl ReplyReceiver {
    /// The next news; none after the end.
    pub async fn next(&mut self) -> Option<ReplyEvent> {
        self.follow();
        loop {
            if let Some(news) = self.news() {
                return Some(news);
            }
            if self.progress.changed().await.is_err() {
                // The feed is gone. What it said last may not have been seen.
                return self.news();
            }
        }
    }

    /// Waits for the end alone, which is the only thing that wakes it unless others follow.
    pub async fn end(&mut self) -> Option<Ending> {
        let ended = self.progress.wait_for(|progress| progress.ending.is_some());
        ended.await.ok()?.ending.clone()
    }

    /// Is to be woken for the pieces that are said from here on. Those before are there to be
    /// seen, since the mark is made and looked at with the progress locked.
    fn follow(&self) {
        let progress = self.progress.borrow();
        progress.is_followed.store(true, Ordering::Relaxed);
    }

    fn news(&mut self) -> Option<ReplyEvent> {
        let progress = self.progress.borrow_and_update();
        if self.seen < self.missed {
            self.seen = self.missed;
            return Some(ReplyEvent::Chunk(progress.said(0..self.missed).to_owned()));
        }
        if self.seen < progress.ends.len() {
            let next = self.seen..self.seen + 1;
            self.seen = next.end;
            return Some(ReplyEvent::Chunk(progress.said(next).to_owned()));
        }
        progress.ending.clone().map(ReplyEvent::End)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Wake, Waker};

    use super::*;

    #[tokio::test]
    async fn a_late_waiter_gets_what_was_said_so_far_in_one_piece() {
        let feeds = ReplyFeeds::default();
        let (session, message) = (SessionId::from(1), MessageId::from(2));
        feeds.push(session, message, ["Hello, ", "world"].into_iter());
        let mut waiter = feeds.wait_for(session, message);
        assert!(
            matches!(waiter.next().await, Some(ReplyEvent::Chunk(text)) if text == "Hello, world")
        );
        feeds.push(session, message, std::iter::once("!"));
        feeds.end(session, message, Ending::Deleted);
        assert!(matches!(waiter.next().await, Some(ReplyEvent::Chunk(text)) if text == "!"));
        assert!(matches!(
            waiter.next().await,
            Some(ReplyEvent::End(Ending::Deleted))
        ));
        assert!(feeds.lock().is_empty());
    }

    /// Whether a waiter was woken.
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
    fn a_waiter_is_woken_for_the_end_and_for_pieces_once_somebody_follows() {
        let feeds = ReplyFeeds::default();
        let (session, message) = (SessionId::from(1), MessageId::from(2));
        let mut waits = feeds.wait_for(session, message);
        let mut follows = feeds.wait_for(session, message);
        let woken = Arc::new(Woken::default());
        let was_woken = || woken.0.swap(false, Ordering::Relaxed);

        let mut end = pin!(waits.end());
        assert!(poll(end.as_mut(), &woken).is_pending());
        feeds.push(session, message, ["one ", "two "].into_iter());
        assert!(!was_woken());
        for said in ["one ", "two "] {
            let news = poll(follows.next(), &woken);
            assert!(matches!(news, Poll::Ready(Some(ReplyEvent::Chunk(text))) if text == said));
        }

        let follower = Arc::new(Woken::default());
        {
            let mut next = pin!(follows.next());
            assert!(poll(next.as_mut(), &follower).is_pending());
            feeds.push(session, message, std::iter::once("three"));
            assert!(follower.0.swap(false, Ordering::Relaxed));
            let news = poll(next, &follower);
            assert!(matches!(news, Poll::Ready(Some(ReplyEvent::Chunk(text))) if text == "three"));
        }

        assert!(poll(end.as_mut(), &woken).is_pending());
        was_woken();
        feeds.end(session, message, Ending::Deleted);
        assert!(was_woken());
        let ended = poll(end, &woken);
        assert!(matches!(ended, Poll::Ready(Some(Ending::Deleted))));
    }
}
