//! Sends the activity of running turns to their listeners.

use std::sync::Arc;
use std::time::Duration;

use super::activity::ActivityQueue;
use super::runner::RunnerParts;
use super::session_worker::RunningTurn;
use crate::domain::activity::Activity;
use crate::domain::id::SessionId;
use crate::events::Event;

/// Sending requires the turn's output lock, so that activity and chunks come in order.
impl<S> RunnerParts<S> {
    /// Adds an activity to those that wait, if the turn has listeners.
    pub(super) fn add_activity(&self, session: SessionId, turn: &RunningTurn, activity: Activity) {
        let has_listeners =
            self.events.has_subscribers(session) || self.feeds.has_listeners(session, turn.message);
        if !has_listeners || activity.is_empty() {
            return;
        }
        let dropped = turn.activity.lock().push(activity, self.clock.monotonic());
        self.events.activity_drops().add(dropped);
    }

    /// Sends the activity that is due.
    pub(super) fn send_due_activity(&self, session: SessionId, turn: &RunningTurn) {
        let now = self.clock.monotonic();
        let mut queue = turn.activity.lock();
        if queue.due().is_some_and(|due| due <= now) {
            self.send_activity(session, turn, &mut queue, now);
        }
    }

    /// Sends the activity that waits, before a chunk, as far as the limit allows it. Of the rest,
    /// thinking is dropped.
    pub(super) fn send_activity_before_chunk(&self, session: SessionId, turn: &RunningTurn) {
        let mut queue = turn.activity.lock();
        if queue.due().is_none() {
            return;
        }
        self.send_activity(session, turn, &mut queue, self.clock.monotonic());
        self.events.activity_drops().add(queue.drop_thinking());
    }

    /// Sends all activity that waits, before the end of the reply, so that the last state of each
    /// tool is known. Little enough can wait that the limit does not apply.
    pub(super) fn send_last_activity(&self, session: SessionId, turn: &RunningTurn) {
        let mut queue = turn.activity.lock();
        while let Some(activity) = queue.pop_unlimited() {
            self.publish_activity(session, turn, activity);
        }
    }

    fn send_activity(
        &self,
        session: SessionId,
        turn: &RunningTurn,
        queue: &mut ActivityQueue,
        now: Duration,
    ) {
        while let Some(activity) = queue.pop(now) {
            self.publish_activity(session, turn, activity);
        }
    }

    fn publish_activity(&self, session: SessionId, turn: &RunningTurn, activity: Activity) {
        let activity = Arc::new(activity);
        self.feeds.push_activity(session, turn.message, &activity);
        let event = || Event::Activity {
            reply_id: turn.reply_id,
            agent_id: turn.agent,
            activity: Arc::clone(&activity),
        };
        self.events
            .publish_all(session, std::iter::once_with(event));
    }
}
