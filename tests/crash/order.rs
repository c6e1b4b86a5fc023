//! Finds an order of calls that explains the answers.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

/// A point in time: each is later than the one before.
#[derive(Debug, Default)]
pub(crate) struct Ticks(AtomicU64);

impl Ticks {
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// Sends a message under a numbered key.
    Send(u64),
    Heartbeat,
    Renew,
    /// Cancels all open turns.
    Cancel,
    /// Writes a label, which no other call has, into the metadata.
    Label(u64),
    Show,
    List,
    /// Erases everything of the session's user, who has no other session.
    EraseUser,
    /// Imports the session as it was when it was created.
    Import,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Sent {
        id: String,
        is_replayed: bool,
        renewals: u64,
    },
    /// Too many messages wait for a reply, or another import runs; the model does not count them.
    Busy,
    /// The number of renewals, and the label.
    Session(u64, u64),
    /// The ids of the user's messages, oldest first.
    Messages(Vec<String>),
    /// The ids of the messages whose turns were cancelled, oldest first.
    Cancelled(Vec<String>),
    /// The number of sessions that were erased.
    Erased(u64),
    /// There is no such session.
    Gone,
    /// The session was imported.
    Imported,
    /// The session exists, so it was not imported.
    Exists,
}

/// A call and its answer.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) call: Call,
    pub(crate) began: u64,
    pub(crate) ended: u64,
    /// None if the answer was lost.
    pub(crate) answer: Option<Answer>,
}

/// The model of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Session {
    renewals: u64,
    label: u64,
    /// The key of each message, and its id if it is known.
    messages: Vec<(u64, Option<String>)>,
    /// The messages whose turns were cancelled and not opened again.
    cancelled: BTreeSet<String>,
    is_gone: bool,
}

impl Session {
    /// Returns the session after a call with this answer; none if the answer is impossible.
    fn after(&self, event: &Event) -> Option<Self> {
        let mut next = self.clone();
        let may_be = |answer| event.answer.as_ref().is_none_or(|it| *it == answer);
        if event.call == Call::EraseUser {
            next.is_gone = true;
            return may_be(Answer::Erased(u64::from(!self.is_gone))).then_some(next);
        }
        if event.call == Call::Import {
            return match (&event.answer, self.is_gone) {
                (Some(Answer::Imported) | None, true) => Some(Self::default()),
                (Some(Answer::Exists) | None, false) | (Some(Answer::Busy), _) => Some(next),
                _ => None,
            };
        }
        if self.is_gone {
            return may_be(Answer::Gone).then_some(next);
        }
        match (event.call, &event.answer) {
            (Call::Send(_), Some(Answer::Busy))
            | (Call::Show | Call::List | Call::Cancel, None) => {}
            (Call::Send(key), answer) => next.send(key, answer.as_ref())?,
            (Call::Heartbeat | Call::Renew | Call::Label(_) | Call::Show, answer) => {
                match event.call {
                    Call::Label(label) => next.label = label,
                    Call::Show => {}
                    _ => next.renewals += 1,
                }
                let expected = Answer::Session(next.renewals, next.label);
                (answer.as_ref().is_none_or(|answer| *answer == expected)).then_some(())?;
            }
            (Call::List, Some(Answer::Messages(ids))) => next.list(ids)?,
            (Call::Cancel, Some(Answer::Cancelled(ids))) => next.cancel(ids)?,
            (Call::List | Call::Cancel, Some(_)) | (Call::EraseUser | Call::Import, _) => {
                return None;
            }
        }
        Some(next)
    }

    fn send(&mut self, key: u64, answer: Option<&Answer>) -> Option<()> {
        let known = self.messages.iter_mut().find(|(other, _)| *other == key);
        let was_there = known.is_some();
        let id = if let Some((_, id)) = known {
            id
        } else {
            self.renewals += 1;
            self.messages.push((key, None));
            &mut self.messages.last_mut()?.1
        };
        let Some(answer) = answer else {
            return Some(());
        };
        let Answer::Sent {
            id: said,
            is_replayed,
            renewals,
        } = answer
        else {
            return None;
        };
        let is_same = id.get_or_insert_with(|| said.clone()) == said;
        self.cancelled.remove(said);
        let fits = is_same && *is_replayed == was_there && *renewals == self.renewals;
        fits.then_some(())
    }

    /// Whether a turn is still open when it is cancelled is up to its agent.
    fn cancel(&mut self, ids: &[String]) -> Option<()> {
        let known: Vec<_> = self
            .messages
            .iter()
            .filter_map(|it| it.1.as_ref())
            .collect();
        let is_known = |id: &&String| known.contains(id);
        let unknown = ids.iter().filter(|id| !is_known(id)).count();
        let in_order = known.iter().filter(|id| ids.contains(id));
        let is_sorted = in_order.copied().eq(ids.iter().filter(is_known));
        let is_first = ids.iter().all(|id| self.cancelled.insert(id.clone()));
        let fits = unknown <= self.messages.len() - known.len() && is_sorted && is_first;
        fits.then_some(())
    }

    fn list(&mut self, ids: &[String]) -> Option<()> {
        if ids.len() != self.messages.len() {
            return None;
        }
        for ((_, known), id) in self.messages.iter_mut().zip(ids) {
            if known.get_or_insert_with(|| id.clone()) != id {
                return None;
            }
        }
        Some(())
    }
}

/// Finds an order of the calls; if there is none, returns how far the search came.
pub(crate) fn explain(history: &[Event]) -> Result<(), String> {
    // Sorted by their beginnings, so that the next candidates are near the front.
    let mut events: Vec<&Event> = history.iter().collect();
    events.sort_by_key(|event| event.began);
    let mut search = Search {
        events,
        seen: HashSet::new(),
        furthest: 0,
        stuck: String::new(),
    };
    let left: BTreeSet<usize> = (0..search.events.len()).collect();
    if search.go(left, Session::default()) {
        return Ok(());
    }
    Err(search.stuck)
}

struct Search<'a> {
    events: Vec<&'a Event>,
    /// The visited states: the remaining calls, and the session.
    seen: HashSet<(Vec<usize>, Session)>,
    furthest: usize,
    stuck: String,
}

impl Search<'_> {
    fn go(&mut self, left: BTreeSet<usize>, session: Session) -> bool {
        // Depth first, without recursion, since histories may exceed the stack.
        let mut stack = vec![(left, session)];
        while let Some((left, session)) = stack.pop() {
            if left
                .iter()
                .all(|index| self.events[*index].answer.is_none())
            {
                return true;
            }
            let names: Vec<usize> = left.iter().copied().collect();
            if !self.seen.insert((names, session.clone())) {
                continue;
            }
            self.note(&left, &session);
            let candidates = self.candidates(&left);
            for index in candidates.into_iter().rev() {
                if let Some(next) = session.after(self.events[index]) {
                    let mut rest = left.clone();
                    rest.remove(&index);
                    stack.push((rest, next));
                }
            }
        }
        false
    }

    /// The calls that may come next: no remaining call was answered before they began.
    fn candidates(&self, left: &BTreeSet<usize>) -> Vec<usize> {
        let answered = left
            .iter()
            .filter(|index| self.events[**index].answer.is_some());
        let first_end = answered.map(|index| self.events[*index].ended).min();
        let first_end = first_end.unwrap_or(u64::MAX);
        let may_be = left
            .iter()
            .copied()
            .filter(|index| self.events[*index].began < first_end);
        // Unanswered calls are tried last: most had no effect.
        let (heard, unheard): (Vec<_>, Vec<_>) =
            may_be.partition(|index| self.events[*index].answer.is_some());
        heard.into_iter().chain(unheard).collect()
    }

    fn note(&mut self, left: &BTreeSet<usize>, session: &Session) {
        let done = self.events.len() - left.len();
        if done >= self.furthest {
            self.furthest = done;
            let next: Vec<&&Event> = self
                .candidates(left)
                .into_iter()
                .map(|index| &self.events[index])
                .collect();
            self.stuck = format!("after {done} calls {session:?}; next {next:#?}");
        }
    }
}

fn event(call: Call, began: u64, ended: u64, answer: Option<Answer>) -> Event {
    Event {
        call,
        began,
        ended,
        answer,
    }
}

fn sent(id: &str, is_replayed: bool, renewals: u64) -> Answer {
    Answer::Sent {
        id: id.to_owned(),
        is_replayed,
        renewals,
    }
}

#[test]
fn an_existing_order_is_found() {
    let history = [
        event(Call::Show, 0, 9, Some(Answer::Session(2, 0))),
        event(Call::Heartbeat, 1, 8, Some(Answer::Session(1, 0))),
        event(Call::Send(1), 2, 7, Some(sent("a", false, 2))),
        event(Call::Send(1), 10, 11, Some(sent("a", true, 2))),
        event(Call::Renew, 12, 13, None),
        event(Call::Show, 20, 21, Some(Answer::Session(3, 0))),
        event(Call::Heartbeat, 22, 23, None),
        event(Call::Label(7), 23, 27, Some(Answer::Session(3, 7))),
        event(Call::Show, 24, 25, Some(Answer::Session(3, 0))),
        event(Call::Show, 28, 29, Some(Answer::Session(3, 7))),
        event(
            Call::Cancel,
            30,
            31,
            Some(Answer::Cancelled(vec!["a".into()])),
        ),
        event(Call::Send(1), 32, 33, Some(sent("a", true, 3))),
        event(
            Call::Cancel,
            34,
            35,
            Some(Answer::Cancelled(vec!["a".into()])),
        ),
        event(Call::EraseUser, 36, 37, Some(Answer::Erased(1))),
        event(Call::EraseUser, 38, 39, Some(Answer::Erased(0))),
        event(Call::Show, 40, 41, Some(Answer::Gone)),
        event(Call::Import, 42, 45, Some(Answer::Imported)),
        event(Call::Import, 43, 44, Some(Answer::Busy)),
        event(Call::Import, 46, 47, Some(Answer::Exists)),
        event(Call::Send(1), 48, 49, Some(sent("b", false, 1))),
    ];
    explain(&history).unwrap_or_else(|stuck| panic!("{stuck}"));
}

#[test]
fn an_impossible_history_has_no_order() {
    let lost = [
        event(Call::Send(1), 0, 1, Some(sent("a", false, 1))),
        event(Call::List, 2, 3, Some(Answer::Messages(Vec::new()))),
    ];
    let twice = [
        event(Call::Send(1), 0, 1, Some(sent("a", false, 1))),
        event(Call::Send(1), 2, 3, Some(sent("b", false, 2))),
    ];
    let back = [
        event(Call::Heartbeat, 0, 1, Some(Answer::Session(1, 0))),
        event(Call::Show, 2, 3, Some(Answer::Session(0, 0))),
    ];
    let unlabelled = [
        event(Call::Label(7), 0, 1, Some(Answer::Session(0, 7))),
        event(Call::Show, 2, 3, Some(Answer::Session(0, 0))),
    ];
    let swapped = [
        event(Call::Send(1), 0, 1, Some(sent("a", false, 1))),
        event(Call::Send(2), 2, 3, Some(sent("b", false, 2))),
        event(
            Call::List,
            4,
            5,
            Some(Answer::Messages(vec!["b".into(), "a".into()])),
        ),
    ];
    let cancelled = |ids: &[&str]| {
        let ids = ids.iter().map(ToString::to_string);
        Some(Answer::Cancelled(ids.collect()))
    };
    let cancelled_twice = [
        event(Call::Send(1), 0, 1, Some(sent("a", false, 1))),
        event(Call::Cancel, 2, 3, cancelled(&["a"])),
        event(Call::Cancel, 4, 5, cancelled(&["a"])),
    ];
    let cancelled_before = [
        event(Call::Cancel, 0, 1, cancelled(&["a"])),
        event(Call::Send(1), 2, 3, Some(sent("a", false, 1))),
    ];
    let risen = [
        event(Call::EraseUser, 0, 1, Some(Answer::Erased(1))),
        event(Call::Show, 2, 3, Some(Answer::Session(0, 0))),
    ];
    let imported_over = [
        event(Call::Heartbeat, 0, 1, Some(Answer::Session(1, 0))),
        event(Call::Import, 2, 3, Some(Answer::Imported)),
    ];
    let import_lost = [
        event(Call::EraseUser, 0, 1, Some(Answer::Erased(1))),
        event(Call::Import, 2, 3, Some(Answer::Imported)),
        event(Call::Show, 4, 5, Some(Answer::Gone)),
    ];
    let erased_twice = [
        event(Call::EraseUser, 0, 1, Some(Answer::Erased(1))),
        event(Call::EraseUser, 2, 3, Some(Answer::Erased(1))),
    ];
    for history in [
        &lost[..],
        &twice,
        &back,
        &unlabelled,
        &swapped,
        &cancelled_twice,
        &cancelled_before,
        &risen,
        &imported_over,
        &import_lost,
        &erased_twice,
    ] {
        assert!(explain(history).is_err(), "{history:?}");
    }
}
