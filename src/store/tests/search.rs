//! The search of messages.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;

use proptest::prelude::*;

use super::super::command::DeleteSession;
use super::*;
use crate::domain::search::{MessageFilter, SearchPosition, SearchText};
use crate::store::schema::tables::{MESSAGES, SESSIONS};

/// More than any page.
const ALL: usize = 100_000;

fn searched(text: &str) -> MessageFilter {
    MessageFilter {
        text: Some(SearchText::new(text)),
        ..MessageFilter::default()
    }
}

impl Rig {
    /// Returns a slice with at most `limit` matches, for which `is_over` decides about the time.
    fn slice(
        &self,
        filter: &MessageFilter,
        after: Option<SearchPosition>,
        limit: usize,
        is_over: &(dyn Fn() -> bool + Sync),
    ) -> SearchSlice {
        let mut matcher = filter.text.as_ref().map(SearchText::matcher);
        self.query(self.store().search(SearchRequest {
            filter,
            matcher: &mut matcher,
            after,
            limit,
            max_bytes: usize::MAX,
            now: self.now(),
            is_over,
        }))
    }

    /// Returns the contents of all matches.
    fn found(&self, filter: &MessageFilter) -> Vec<String> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let slice = self.slice(filter, after, ALL, &|| false);
            found.extend(slice.found.into_iter().map(|it| it.message.body.content));
            after = slice.next;
            if after.is_none() {
                return found;
            }
        }
    }

    /// Sends a message whose turn fails, so that another one can follow.
    fn say(&mut self, session: SessionId, content: &str) -> Message {
        let sent = self.send(session, content);
        self.fail(&sent.message);
        Message::clone(&sent.message)
    }
}

#[test]
fn matches_come_session_by_session_newest_first() {
    let mut rig = Rig::new();
    let [older, newer] = [(); 2].map(|()| rig.create());
    for content in ["a one", "b two", "a three"] {
        rig.say(older.id, content);
    }
    let sent = rig.ask(newer.id, "A four");
    rig.reply(&sent.message, "reply with an a");
    rig.create();
    rig.say(older.id, "last a");
    let found = rig.found(&searched("A"));
    assert_eq!(
        found,
        ["reply with an a", "A four", "last a", "a three", "a one"]
    );
    let all = rig.found(&MessageFilter::default());
    assert_eq!(all.len(), 6);
    assert_eq!(all[4], "b two");
    assert!(rig.found(&searched("missing")).is_empty());
}

#[test]
fn each_condition_limits_the_search() {
    let mut rig = Rig::new();
    let alice = rig.create();
    let mut creation = rig.creation();
    creation.new.user_id = UserId::from(BOB);
    creation.new.agent_id = AgentId::from(7);
    let bob = rig.submit(creation).unwrap().session;
    let first = rig.say(alice.id, "x1");
    rig.pass(SECOND);
    let second = rig.ask(alice.id, "x2").message;
    rig.pass(SECOND);
    let third = rig.reply(&second, "x3");
    rig.say(bob.id, "x4");
    let found = |change: &dyn Fn(&mut MessageFilter)| {
        let mut filter = searched("x");
        change(&mut filter);
        rig.found(&filter)
    };
    assert_eq!(found(&|_| {}), ["x4", "x3", "x2", "x1"]);
    assert_eq!(found(&|it| it.session = Some(alice.id)), ["x3", "x2", "x1"]);
    assert_eq!(found(&|it| it.user = Some(bob.user_id)), ["x4"]);
    assert_eq!(found(&|it| it.agent = Some(bob.agent_id)), ["x4"]);
    assert_eq!(
        found(&|it| it.agent = Some(alice.agent_id)),
        ["x3", "x2", "x1"]
    );
    assert_eq!(found(&|it| it.author = Some(third.author_id)), ["x3"]);
    assert_eq!(found(&|it| it.author = Some(alice.user_id.0)), ["x2", "x1"]);
    let (from, to) = (second.created_at, second.created_at);
    assert_eq!(found(&|it| it.from = Some(from)), ["x4", "x3", "x2"]);
    assert_eq!(found(&|it| it.to = Some(to)), ["x2", "x1"]);
    assert_eq!(
        found(&|it| (it.from, it.to) = (Some(from), Some(to))),
        ["x2"]
    );
    assert_eq!(
        found(&|it| (it.from, it.to) = (Some(from.next()), Some(to))),
        [""; 0]
    );
    let others = |it: &mut MessageFilter| {
        (it.session, it.user) = (Some(alice.id), Some(bob.user_id));
    };
    assert_eq!(found(&others), [""; 0]);
    assert_eq!(found(&|it| it.to = Some(first.created_at)), ["x1"]);
}

#[test]
fn retained_sessions_are_searched_and_ended_ones_are_not() {
    let mut rig = Rig::new();
    let [deleted, expired] = [(); 2].map(|()| rig.create());
    rig.say(deleted.id, "gone");
    let last = rig.say(expired.id, "retained");
    rig.submit(DeleteSession(deleted.id)).unwrap();
    rig.pass(MINUTE);
    assert_eq!(rig.found(&MessageFilter::default()), ["retained"]);
    let expires_at = rig
        .query(rig.store().session(expired.id))
        .unwrap()
        .expires_at;
    let end = (expires_at + KEPT).since(rig.now());
    rig.pass(Millis(end.0 - 1));
    assert_eq!(rig.found(&MessageFilter::default()), ["retained"]);
    rig.pass(Millis(1));
    assert_eq!(rig.found(&MessageFilter::default()), [""; 0]);
    assert_eq!(rig.stored(&last).body.content, "retained", "not purged yet");
}

#[test]
fn damaged_records_are_skipped_and_quarantined() {
    let mut rig = Rig::new();
    let [bad, good] = [(); 2].map(|()| rig.create());
    rig.say(bad.id, "of a damaged session");
    rig.say(good.id, "one");
    let damaged = rig.say(good.id, "two");
    rig.say(good.id, "three");
    rig.close(false);
    rig.edit(|txn| {
        damage(txn, SESSIONS, u128::from(bad.id));
        damage(txn, MESSAGES, (u128::from(good.id), damaged.created_at.0));
    });
    rig.open();
    assert_eq!(rig.found(&MessageFilter::default()), ["three", "one"]);
    assert_eq!(rig.store().health().undecodable_sessions, 2);
    rig.settle();
    assert_eq!(rig.quarantined().len(), 2);
    assert_eq!(rig.found(&MessageFilter::default()), ["three", "one"]);
}

#[test]
fn a_slice_is_bounded_and_asks_for_the_time_within_it() {
    let mut rig = Rig::new();
    let session = rig.create();
    for _ in 0..70 {
        let sent = rig.ask(session.id, "?");
        rig.reply(&sent.message, &"y".repeat(64 * 1024));
    }
    let filter = searched("z");
    let asked = AtomicUsize::new(0);
    let whole = rig.slice(&filter, None, ALL, &|| {
        asked.fetch_add(1, Ordering::Relaxed);
        false
    });
    assert!(whole.next.is_some(), "a slice holds its snapshot briefly");
    assert!(!whole.is_over);
    assert!(asked.into_inner() >= 60, "about once per long text");

    // Over at once, each slice makes progress, and a long text is enough for one.
    let (mut slices, mut after) = (0, None);
    loop {
        let slice = rig.slice(&filter, after, ALL, &|| true);
        slices += 1;
        if slice.next.is_none() {
            break;
        }
        assert!(slice.is_over);
        assert_ne!(slice.next, after);
        after = slice.next;
    }
    assert!((60..=75).contains(&slices), "{slices}");

    let mut matcher = None;
    let few = rig.query(rig.store().search(SearchRequest {
        filter: &MessageFilter::default(),
        matcher: &mut matcher,
        after: None,
        limit: ALL,
        max_bytes: 200_000,
        now: rig.now(),
        is_over: &|| false,
    }));
    let bytes: usize = few
        .found
        .iter()
        .map(|it| it.message.body.content.len())
        .sum();
    assert!((200_000..300_000).contains(&bytes), "{bytes}");
    assert!(few.bytes >= bytes);
}

#[test]
fn a_full_page_that_is_the_last_one_ends_the_search() {
    let mut rig = Rig::new();
    let session = rig.create();
    for content in ["1", "2", "3"] {
        rig.say(session.id, content);
    }
    let filter = MessageFilter::default();
    let page = rig.slice(&filter, None, 2, &|| false);
    assert_eq!(page.found.len(), 2);
    let rest = rig.slice(&filter, page.next, 1, &|| false);
    assert_eq!(rest.found[0].message.body.content, "1");
    assert_eq!(rest.next, None);
}

/// What happens between two pages.
#[derive(Debug, Clone, Copy)]
enum Between {
    /// A session is created, anywhere in the order, with a message.
    Create(u16),
    /// A message is stored in a session.
    Send(u16, bool),
    /// A session is deleted.
    Delete(u16),
}

fn between() -> impl Strategy<Value = Vec<Between>> {
    let one = prop_oneof![
        2 => any::<u16>().prop_map(Between::Create),
        4 => (any::<u16>(), any::<bool>()).prop_map(|(session, matches)| Between::Send(session, matches)),
        1 => any::<u16>().prop_map(Between::Delete),
    ];
    prop::collection::vec(one, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn each_earlier_message_is_found_exactly_once_while_others_are_written(
        before in prop::collection::vec((0..6_u16, any::<bool>()), 0..40),
        limit in 1..6_usize,
        of_alice in any::<bool>(),
        is_slow in any::<bool>(),
        steps in prop::collection::vec(between(), 40),
    ) {
        let mut rig = Rig::new();
        let mut sessions: Vec<SessionId> = Vec::new();
        let mut number = 0_u128;
        let mut create = |rig: &mut Rig, sessions: &mut Vec<SessionId>, seed: u16| {
            number += 1;
            let mut creation = rig.creation();
            creation.new.id = SessionId::from((u128::from(seed) << 64) + number);
            let user = if seed.is_multiple_of(4) { BOB } else { ALICE };
            creation.new.user_id = UserId::from(user);
            sessions.push(rig.submit(creation).unwrap().session.id);
        };
        for seed in [9, 1, 12, 5, 40_000, 3] {
            create(&mut rig, &mut sessions, seed);
        }
        let content = |matches| if matches { "Needle in hay" } else { "hay" };
        for (session, matches) in before {
            rig.say(sessions[usize::from(session)], content(matches));
        }
        let filter = MessageFilter {
            user: of_alice.then(|| UserId::from(ALICE)),
            ..searched("needle")
        };
        let matching = |rig: &Rig| -> Vec<MessageId> {
            let all = rig.all_sessions().into_iter();
            let all = all.filter(|it| !of_alice || it.user_id == UserId::from(ALICE));
            let messages = all.flat_map(|session| rig.transcript(session.id));
            messages.filter(|it| it.body.content.contains("Needle")).map(|it| it.id).collect()
        };
        let mut expected = matching(&rig);
        let mut found: BTreeMap<MessageId, usize> = BTreeMap::new();
        let (mut after, mut order, mut steps) = (None, Vec::new(), steps.into_iter());
        loop {
            let page = rig.slice(&filter, after, limit, &|| is_slow);
            prop_assert!(page.found.len() <= limit);
            for one in &page.found {
                *found.entry(one.message.id).or_default() += 1;
                order.push((one.session.id, one.message.created_at));
            }
            after = page.next;
            if after.is_none() {
                break;
            }
            for step in steps.next().into_iter().flatten() {
                let pick = |seed: u16| sessions[usize::from(seed) % sessions.len()];
                match step {
                    Between::Create(seed) => {
                        create(&mut rig, &mut sessions, seed);
                        let session = *sessions.last().unwrap();
                        rig.say(session, content(true));
                    }
                    Between::Send(seed, matches) => {
                        let session = pick(seed);
                        rig.say(session, content(matches));
                    }
                    Between::Delete(_) if sessions.len() == 1 => {}
                    Between::Delete(seed) => {
                        let session = pick(seed);
                        rig.submit(DeleteSession(session)).unwrap();
                        sessions.retain(|id| *id != session);
                    }
                }
            }
        }
        // What was erased meanwhile may have been found before.
        let stored = matching(&rig);
        expected.retain(|id| stored.contains(id));
        for id in &expected {
            prop_assert_eq!(found.get(id), Some(&1), "{}", id);
        }
        prop_assert!(found.values().all(|count| *count == 1));
        prop_assert!(order.is_sorted_by(|one, next| one > next), "{:?}", order);
    }
}
