//! What waits for a turn: the reply as it comes, for any number of waiters.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::domain::id::{MessageId, SessionId};
use crate::domain::message::{Message, TurnFailure};

type OpenFeeds = BTreeMap<(SessionId, MessageId), watch::Sender<Progress>>;

/// The feeds of the turns that are waited for or running.
#[derive(Debug, Clone, Default)]
pub struct Feeds {
    open: Arc<Mutex<OpenFeeds>>,
}

/// How far a turn has come.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    chunks: Vec<Arc<str>>,
    ending: Option<Ending>,
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
pub struct Waiter {
    progress: watch::Receiver<Progress>,
    /// How many chunks there were when the waiting began.
    missed: usize,
    seen: usize,
}

/// What a waiter hears.
#[derive(Debug, Clone)]
pub enum News {
    /// More of the reply.
    Chunk(Arc<str>),
    /// The end.
    End(Ending),
}

impl Feeds {
    /// Waits for the turn of a message, from the beginning of its reply.
    ///
    /// A waiter that comes while the reply is being streamed gets what was streamed so far as its
    /// first chunk.
    #[must_use]
    pub fn wait_for(&self, session: SessionId, message: MessageId) -> Waiter {
        let progress = self.open(session, message).subscribe();
        let missed = progress.borrow().chunks.len();
        Waiter {
            progress,
            missed,
            seen: 0,
        }
    }

    /// Adds a piece of a reply.
    pub fn push(&self, session: SessionId, message: MessageId, chunk: Arc<str>) {
        self.open(session, message)
            .send_modify(|progress| progress.chunks.push(chunk));
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

impl Waiter {
    /// The next news; none after the end.
    pub async fn next(&mut self) -> Option<News> {
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

    /// Waits for the end.
    pub async fn end(&mut self) -> Option<Ending> {
        while let Some(news) = self.next().await {
            if let News::End(ending) = news {
                return Some(ending);
            }
        }
        None
    }

    fn news(&mut self) -> Option<News> {
        let progress = self.progress.borrow_and_update();
        if self.seen < self.missed {
            self.seen = self.missed;
            return Some(News::Chunk(progress.chunks[..self.missed].concat().into()));
        }
        if let Some(chunk) = progress.chunks.get(self.seen) {
            self.seen += 1;
            return Some(News::Chunk(Arc::clone(chunk)));
        }
        progress.ending.clone().map(News::End)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_late_waiter_gets_what_was_said_so_far_in_one_piece() {
        let feeds = Feeds::default();
        let (session, message) = (SessionId::from(1), MessageId::from(2));
        feeds.push(session, message, "Hello, ".into());
        feeds.push(session, message, "world".into());
        let mut waiter = feeds.wait_for(session, message);
        assert!(matches!(waiter.next().await, Some(News::Chunk(text)) if &*text == "Hello, world"));
        feeds.push(session, message, "!".into());
        feeds.end(session, message, Ending::Deleted);
        assert!(matches!(waiter.next().await, Some(News::Chunk(text)) if &*text == "!"));
        assert!(matches!(
            waiter.next().await,
            Some(News::End(Ending::Deleted))
        ));
        assert!(feeds.lock().is_empty());
    }
}
