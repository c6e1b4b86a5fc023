//! The activity of a running turn that waits to be sent: joined and limited.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::activity::{Activity, ActivityKind, MAX_ACTIVITY_BYTES};

/// How long a piece of thinking waits for more, so that many small ones are sent as one.
const JOIN_TIME: Duration = Duration::from_millis(100);

/// How many activities of a turn are sent within [`LIMIT_SPAN`].
const MAX_SENT: usize = 20;

const LIMIT_SPAN: Duration = Duration::from_secs(1);

/// How many activities of a turn wait. The oldest ones make way for newer ones.
const MAX_WAITING: usize = 20;

/// The queue of a turn. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct WaitingActivity(Arc<Mutex<ActivityQueue>>);

/// Activity that waits. Times are those of [`Clock::monotonic`](crate::clock::Clock::monotonic).
#[derive(Debug, Default)]
pub(super) struct ActivityQueue {
    waiting: VecDeque<Activity>,
    /// When the first of them is sent, if the limit allows it.
    due: Duration,
    /// When the latest ones were sent.
    sent: VecDeque<Duration>,
}

impl WaitingActivity {
    /// Returns when the next activity is to be sent; `None` if none waits.
    pub(super) fn due(&self) -> Option<Duration> {
        self.lock().due()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, ActivityQueue> {
        // No code panics with the lock held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ActivityQueue {
    /// Adds an activity. Returns how many were dropped or replaced.
    pub(super) fn push(&mut self, activity: Activity, now: Duration) -> u64 {
        let was_empty = self.waiting.is_empty();
        let (due, replaced) = if activity.kind == ActivityKind::Thinking {
            let is_full = self.join(activity);
            (if is_full { now } else { now + JOIN_TIME }, 0)
        } else {
            (now, self.replace(activity))
        };
        self.due = if was_empty { due } else { self.due.min(due) };
        let excess = self.waiting.len().saturating_sub(MAX_WAITING);
        self.waiting.drain(..excess);
        replaced + excess as u64
    }

    /// Appends a piece of thinking to the one that waits. What does not fit is the next one, so
    /// that nothing is lost. Returns whether one is full.
    fn join(&mut self, thinking: Activity) -> bool {
        let Activity {
            kind,
            name,
            state,
            text,
        } = thinking;
        let mut rest = text.as_deref().unwrap_or_default();
        let joins = |it: &&mut Activity| it.kind == kind && it.name == name && it.state == state;
        if let Some(last) = self.waiting.iter_mut().rev().find(joins) {
            if !rest.is_empty() {
                rest = fill(last.text.get_or_insert_default(), rest);
            }
            if rest.is_empty() {
                return false;
            }
        }
        let mut added = 0;
        while added == 0 || !rest.is_empty() {
            let mut text = String::new();
            rest = fill(&mut text, rest);
            self.waiting.push_back(Activity {
                kind,
                name: name.clone(),
                state,
                text: (!text.is_empty()).then_some(text),
            });
            added += 1;
        }
        self.waiting.len() > 1
    }

    /// Puts an activity in the place of the one of the same kind and name. Returns how many it
    /// replaces.
    fn replace(&mut self, mut activity: Activity) -> u64 {
        if let Some(text) = &mut activity.text {
            text.truncate(text.floor_char_boundary(MAX_ACTIVITY_BYTES));
        }
        let is_replaced = |it: &Activity| it.kind == activity.kind && it.name == activity.name;
        let replaced = self.waiting.iter().position(is_replaced);
        if let Some(position) = replaced {
            self.waiting.remove(position);
        }
        self.waiting.push_back(activity);
        replaced.map_or(0, |_| 1)
    }

    /// Returns when the next activity is to be sent; `None` if none waits.
    pub(super) fn due(&self) -> Option<Duration> {
        let is_waiting = !self.waiting.is_empty();
        is_waiting.then(|| self.due.max(self.allowed_at()))
    }

    /// Returns when the limit allows the next activity.
    fn allowed_at(&self) -> Duration {
        let oldest = self.sent.len().checked_sub(MAX_SENT);
        let oldest = oldest.and_then(|index| self.sent.get(index));
        oldest.map_or(Duration::ZERO, |sent| *sent + LIMIT_SPAN)
    }

    /// Drops the thinking that waits, since it must not follow a later chunk; returns how many
    /// there were. The state of a tool is still of use then.
    pub(super) fn drop_thinking(&mut self) -> u64 {
        let before = self.waiting.len();
        self.waiting.retain(|it| it.kind != ActivityKind::Thinking);
        (before - self.waiting.len()) as u64
    }

    /// Removes the next activity, whatever the limit.
    pub(super) fn pop_unlimited(&mut self) -> Option<Activity> {
        self.waiting.pop_front()
    }

    /// Removes the next activity, if the limit allows it to be sent now.
    pub(super) fn pop(&mut self, now: Duration) -> Option<Activity> {
        if self.allowed_at() > now {
            return None;
        }
        let activity = self.waiting.pop_front()?;
        if self.sent.len() == MAX_SENT {
            self.sent.pop_front();
        }
        self.sent.push_back(now);
        Some(activity)
    }
}

/// Appends as much of a text as fits into an activity; returns the rest.
fn fill<'t>(text: &mut String, more: &'t str) -> &'t str {
    let space = MAX_ACTIVITY_BYTES.saturating_sub(text.len());
    let (fitting, rest) = more.split_at(more.floor_char_boundary(space));
    text.push_str(fitting);
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::activity::ActivityState;

    fn thinking(text: &str) -> Activity {
        Activity::thinking(text.to_owned())
    }

    fn tool(name: &str, state: ActivityState) -> Activity {
        Activity::new(ActivityKind::Tool, None)
            .with_name(name.to_owned())
            .with_state(state)
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Returns what is sent at this time.
    fn sent(queue: &mut ActivityQueue, now: Duration) -> Vec<Activity> {
        let is_due = queue.due().is_some_and(|due| due <= now);
        let sent = std::iter::from_fn(|| queue.pop(now).filter(|_| is_due));
        sent.collect()
    }

    #[test]
    fn thinking_of_100_ms_is_one_activity() {
        let mut queue = ActivityQueue::default();
        assert_eq!(queue.due(), None);
        for (text, at) in [("a", 1000), ("b", 1050), ("c", 1099)] {
            assert_eq!(queue.push(thinking(text), millis(at)), 0);
            assert_eq!(queue.due(), Some(millis(1100)));
        }
        assert_eq!(sent(&mut queue, millis(1100)), [thinking("abc")]);
        assert_eq!(queue.due(), None);
        queue.push(thinking("d"), millis(1101));
        assert_eq!(queue.due(), Some(millis(1201)));
    }

    #[test]
    fn a_tool_is_sent_at_once_and_after_earlier_thinking() {
        let mut queue = ActivityQueue::default();
        queue.push(thinking("a"), millis(1000));
        let tool = tool("web", ActivityState::Started);
        queue.push(tool.clone(), millis(1001));
        assert_eq!(sent(&mut queue, millis(1001)), [thinking("a"), tool]);
    }

    #[test]
    fn twenty_are_sent_within_any_second_and_later_ones_are_merged() {
        let mut queue = ActivityQueue::default();
        for count in 0..20 {
            let now = millis(1000 + count * 10);
            queue.push(tool("web", ActivityState::Started), now);
            assert_eq!(sent(&mut queue, now).len(), 1);
        }
        let now = millis(1200);
        assert_eq!(queue.push(tool("web", ActivityState::Done), now), 0);
        assert_eq!(queue.push(thinking("a"), now), 0);
        assert_eq!(queue.push(thinking("b"), now), 0);
        assert_eq!(queue.push(tool("web", ActivityState::Failed), now), 1);
        assert!(queue.pop(now).is_none());
        // The first of the 20 is then a second old.
        assert_eq!(queue.due(), Some(millis(2000)));
        assert_eq!(queue.pop(millis(1999)), None);
        assert_eq!(sent(&mut queue, millis(2000)), [thinking("ab")]);
        assert_eq!(queue.due(), Some(millis(2010)));
        let failed = tool("web", ActivityState::Failed);
        assert_eq!(sent(&mut queue, millis(2010)), [failed]);
    }

    #[test]
    fn only_the_latest_of_a_kind_and_name_waits() {
        let mut queue = ActivityQueue::default();
        let status = Activity::new(ActivityKind::Status, Some("b".into())).with_name("x".into());
        let now = millis(1000);
        assert_eq!(queue.push(tool("x", ActivityState::Started), now), 0);
        assert_eq!(queue.push(tool("y", ActivityState::Started), now), 0);
        assert_eq!(queue.push(status.clone(), now), 0);
        assert_eq!(queue.push(tool("x", ActivityState::Done), now), 1);
        let (x, y) = (ActivityState::Done, ActivityState::Started);
        assert_eq!(sent(&mut queue, now), [tool("y", y), status, tool("x", x)]);
    }

    #[test]
    fn long_thinking_is_split_at_characters_and_other_long_texts_are_cut() {
        let mut queue = ActivityQueue::default();
        let text = format!("x{}", "é".repeat(4096));
        queue.push(thinking("a"), millis(1000));
        assert_eq!(queue.push(thinking(&text), millis(1000)), 0);
        // One is full.
        let pieces = sent(&mut queue, millis(1000));
        let lengths: Vec<_> = pieces.iter().map(Activity::bytes).collect();
        assert_eq!(lengths, [4096, 4096, 2]);
        let joined: String = pieces.into_iter().filter_map(|it| it.text).collect();
        assert_eq!(joined, format!("a{text}"));

        let status = Activity::new(ActivityKind::Status, Some(text));
        queue.push(status, millis(1000));
        let status = sent(&mut queue, millis(1000)).remove(0);
        assert_eq!(status.text.unwrap().len(), 4095);
    }

    #[test]
    fn a_flood_keeps_the_latest_activity_and_counts_the_rest() {
        let mut queue = ActivityQueue::default();
        let now = millis(1000);
        let mut dropped = 0;
        for count in 0..100_000 {
            let name = count.to_string();
            dropped += queue.push(tool(&name, ActivityState::Done), now);
        }
        assert_eq!(dropped, 100_000 - 20);
        for _ in 0..100_000 {
            dropped += queue.push(thinking(&"x".repeat(100)), now);
        }
        assert_eq!(queue.waiting.len(), MAX_WAITING);
        let bytes: usize = queue.waiting.iter().map(Activity::bytes).sum();
        assert!(bytes <= MAX_WAITING * MAX_ACTIVITY_BYTES, "{bytes}");
        assert!(dropped > 100_000 + 2_000, "{dropped}");
    }

    #[test]
    fn states_of_thinking_are_not_joined_with_its_text() {
        let mut queue = ActivityQueue::default();
        let started = Activity::new(ActivityKind::Thinking, None);
        let started = started.with_state(ActivityState::Started);
        let now = millis(1000);
        queue.push(started.clone(), now);
        queue.push(started.clone(), now);
        queue.push(thinking("a"), now);
        assert_eq!(sent(&mut queue, millis(1100)), [started, thinking("a")]);
    }
}
