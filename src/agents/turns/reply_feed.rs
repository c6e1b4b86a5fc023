//! Delivers a turn's chunks and end to any number of receivers.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::activity_log::ActivityLog;
use crate::domain::activity::Activity;
use crate::domain::id::{MessageId, SessionId};
use crate::domain::message::{Message, TurnFailure};
use crate::domain::trace::TraceParent;
use crate::events::DropCounter;

type OpenFeeds = BTreeMap<(SessionId, MessageId), watch::Sender<Progress>>;

/// The feeds of the turns that run or have receivers.
#[derive(Debug, Clone, Default)]
pub struct ReplyFeeds {
    open: Arc<Mutex<OpenFeeds>>,
    activity_drops: DropCounter,
}

/// The state of a turn.
#[derive(Debug, Default)]
struct Progress {
    /// The text of all chunks, and where each of them ends.
    text: String,
    ends: Vec<usize>,
    ending: Option<Ending>,
    activity: ActivityLog,
    /// The trace of the request that opened the turn.
    trace: Option<TraceParent>,
    /// Whether a receiver waits for chunks. Without one, no receiver is woken for them, and there
    /// is no activity.
    wants_chunks: AtomicBool,
}

/// The text of an unfinished reply that was sent in chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamedText {
    /// The user's message that it answers.
    pub message_id: MessageId,
    /// The text of all chunks.
    pub text: String,
    /// The index of the last chunk.
    pub index: u32,
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
    /// The number of the next activity.
    next_activity: u64,
    activity_drops: DropCounter,
}

/// What a receiver receives.
#[derive(Debug, Clone)]
pub enum ReplyEvent {
    /// The next text of the reply.
    Chunk(String),
    /// Something that the agent does.
    Activity(Arc<Activity>),
    /// The end.
    End(Ending),
}

impl ReplyFeeds {
    /// Returns no feeds, with a counter of the activities that receivers miss.
    #[must_use]
    pub fn new(activity_drops: &DropCounter) -> Self {
        Self {
            activity_drops: activity_drops.clone(),
            ..Self::default()
        }
    }

    /// Returns a receiver of the turn of a message. Chunks that were sent before are received as
    /// one, and earlier activity is not received.
    #[must_use]
    pub fn subscribe(&self, session: SessionId, message: MessageId) -> ReplyReceiver {
        let progress = self.open(session, message).subscribe();
        let (missed, next_activity) = {
            let progress = progress.borrow();
            (progress.ends.len(), progress.activity.next_number())
        };
        ReplyReceiver {
            progress,
            missed,
            seen: 0,
            next_activity,
            activity_drops: self.activity_drops.clone(),
        }
    }

    /// Sets the trace that the turn of a message belongs to.
    pub fn set_trace(&self, session: SessionId, message: MessageId, trace: TraceParent) {
        self.open(session, message).send_if_modified(|progress| {
            progress.trace = Some(trace);
            false
        });
    }

    /// Returns the trace that the turn of a message belongs to, if any. A restart forgets it.
    #[must_use]
    pub fn trace(&self, session: SessionId, message: MessageId) -> Option<TraceParent> {
        let open = self.lock();
        let feed = open.get(&(session, message))?;
        feed.borrow().trace
    }

    /// Returns whether a receiver of a turn waits for its chunks and activity.
    #[must_use]
    pub fn has_listeners(&self, session: SessionId, message: MessageId) -> bool {
        let feeds = self.lock();
        let feed = feeds.get(&(session, message));
        feed.is_some_and(|feed| {
            let wants_chunks = || feed.borrow().wants_chunks.load(Ordering::Relaxed);
            !feed.is_closed() && wants_chunks()
        })
    }

    /// Sends an activity. It is received after the chunks that were sent before.
    pub fn push_activity(&self, session: SessionId, message: MessageId, activity: &Arc<Activity>) {
        let feed = self.lock().get(&(session, message)).cloned();
        let Some(feed) = feed else {
            return;
        };
        feed.send_if_modified(|progress| {
            let has_listeners = progress.wants_chunks.load(Ordering::Relaxed);
            if has_listeners {
                let chunks = progress.ends.len();
                progress.activity.push(chunks, Arc::clone(activity));
            }
            has_listeners
        });
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

    /// Returns what was sent of the unfinished reply in a session, if anything. One turn of a
    /// session at most sends chunks at a time.
    #[must_use]
    pub fn streamed(&self, session: SessionId) -> Option<StreamedText> {
        let open = self.lock();
        open.range(turns_of(session)).find_map(|(key, feed)| {
            let progress = feed.borrow();
            let last = progress.ends.len().checked_sub(1)?;
            Some(StreamedText {
                message_id: key.1,
                text: progress.text.clone(),
                index: u32::try_from(last).unwrap_or(u32::MAX),
            })
        })
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
        let open = self.lock();
        open.range(turns_of(session))
            .map(|(key, _)| key.1)
            .collect()
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

/// Returns the keys of the feeds of a session.
fn turns_of(session: SessionId) -> RangeInclusive<(SessionId, MessageId)> {
    (session, MessageId::from(0))..=(session, MessageId::from(u128::MAX))
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
    /// Makes the receiver one that waits for chunks and activity, before [`Self::next`] does.
    pub fn want_chunks(&self) {
        self.progress
            .borrow()
            .wants_chunks
            .store(true, Ordering::Relaxed);
    }

    /// Returns the next event; `None` after the end.
    pub async fn next(&mut self) -> Option<ReplyEvent> {
        // Earlier chunks are not missed: the mark is set and the state read under the same lock.
        self.want_chunks();
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
        let missed = progress.activity.skip_dropped(&mut self.next_activity);
        if missed > 0 {
            self.activity_drops.add(missed);
        }
        if let Some(activity) = progress.activity.get(self.next_activity, self.seen) {
            self.next_activity += 1;
            return Some(ReplyEvent::Activity(activity));
        }
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

    fn thinking(text: &str) -> Arc<Activity> {
        Arc::new(Activity::thinking(text.into()))
    }

    #[tokio::test]
    async fn activity_comes_in_order_with_the_chunks_and_never_late() {
        let feeds = ReplyFeeds::default();
        let (session, message) = (SessionId::from(1), MessageId::from(2));
        let mut receiver = feeds.subscribe(session, message);
        receiver.want_chunks();
        assert!(feeds.has_listeners(session, message));
        feeds.push_activity(session, message, &thinking("one"));
        feeds.push(session, message, std::iter::once("two "));
        let mut late = feeds.subscribe(session, message);
        feeds.push_activity(session, message, &thinking("three"));
        feeds.push(session, message, std::iter::once("four"));
        feeds.push_activity(session, message, &thinking("five"));
        feeds.end(session, message, Ending::Deleted);
        let mut texts = Vec::new();
        for receiver in [&mut receiver, &mut late] {
            while let Some(event) = receiver.next().await {
                texts.push(match event {
                    ReplyEvent::Chunk(text) => text,
                    ReplyEvent::Activity(activity) => {
                        format!("({})", activity.text.as_ref().unwrap())
                    }
                    ReplyEvent::End(_) => break,
                });
            }
        }
        let all = ["(one)", "two ", "(three)", "four", "(five)"];
        assert_eq!(texts[..5], all);
        assert_eq!(texts[5..], all[1..]);
    }

    #[tokio::test]
    async fn a_slow_receiver_misses_old_activity_and_no_chunk() {
        let drops = DropCounter::default();
        let feeds = ReplyFeeds::new(&drops);
        let (session, message) = (SessionId::from(1), MessageId::from(2));
        let mut receiver = feeds.subscribe(session, message);
        receiver.want_chunks();
        for _ in 0..100_000 {
            feeds.push_activity(session, message, &thinking(&"x".repeat(4096)));
        }
        feeds.push(session, message, std::iter::once("text"));
        feeds.end(session, message, Ending::Deleted);
        let mut activities = 0;
        while let Some(ReplyEvent::Activity(_)) = receiver.next().await {
            activities += 1;
        }
        assert_eq!((activities, drops.get()), (16, 100_000 - 16));
    }

    #[test]
    fn receivers_of_the_end_are_not_woken_for_activity_and_do_not_hold_it() {
        let feeds = ReplyFeeds::default();
        let (session, message) = (SessionId::from(1), MessageId::from(2));
        // Without a turn.
        feeds.push_activity(session, message, &thinking("a"));
        assert!(feeds.lock().is_empty() && !feeds.has_listeners(session, message));

        let mut for_end = feeds.subscribe(session, message);
        let woken = Arc::new(Woken::default());
        {
            let mut end = pin!(for_end.end());
            assert!(poll(end.as_mut(), &woken).is_pending());
            assert!(!feeds.has_listeners(session, message));
            feeds.push_activity(session, message, &thinking("a"));
            assert!(!woken.0.load(Ordering::Relaxed));
        }
        let number = for_end.progress.borrow().activity.next_number();
        assert_eq!(number, 0);

        // A listener that is gone.
        drop(for_end);
        feeds.subscribe(session, message).want_chunks();
        assert!(!feeds.has_listeners(session, message));
    }
}
