//! Sessions: their keys, end, lists and statistics.

use super::super::command::{AdvanceCounters, DeleteSession, Heartbeat, PatchTimeout, Renew};
use super::*;
use crate::domain::session::LifeStage;
use crate::store::schema::deadline::{Deadline, Index, Row};
use crate::store::schema::tables::{DEADLINES, USER_SESSIONS};

/// Timeouts under which a session outlives its create key.
const LONG: TimeoutConfig = TimeoutConfig {
    timeout_minutes: 1440,
    auto_renew: true,
    max_duration_minutes: 2880,
    warning_threshold_minutes: 5,
};

fn keyed(rig: &mut Rig, timeout: TimeoutConfig) -> CreateSession {
    let mut creation = rig.keyed_creation("k");
    creation.new.timeout = timeout;
    creation
}

fn made(rig: &Rig, creation: CreateSession) -> Session {
    let created: Created = rig.submit(creation).unwrap();
    assert!(!created.replayed);
    created.session
}

fn repeated(rig: &Rig, creation: CreateSession) -> Session {
    let created: Created = rig.submit(creation).unwrap();
    assert!(created.replayed);
    created.session
}

#[test]
fn a_create_key_makes_one_session_for_24_hours() {
    let mut rig = Rig::new();
    let creation = keyed(&mut rig, LONG);
    let first = made(&rig, creation);
    rig.pass(Millis(12 * HOUR.0));
    rig.submit(Heartbeat(first.id)).unwrap();

    rig.pass(Millis(12 * HOUR.0 - 1));
    let again = keyed(&mut rig, LONG);
    let found = repeated(&rig, again);
    assert_eq!(found.id, first.id);
    assert_eq!(found.renewal_count, 1, "the repeat answers the present");

    rig.pass(Millis(1));
    let again = keyed(&mut rig, LONG);
    let second = made(&rig, again);
    assert_ne!(second.id, first.id);

    // The key belongs to the second session now, and stays when the first one is deleted.
    rig.submit(DeleteSession(first.id)).unwrap();
    let again = keyed(&mut rig, LONG);
    assert_eq!(repeated(&rig, again).id, second.id);
}

#[test]
fn a_create_key_is_forgotten_when_its_session_expires() {
    let mut rig = Rig::new();
    let creation = keyed(&mut rig, TIMEOUT);
    let first = made(&rig, creation);
    rig.pass(Millis(30 * MINUTE.0 - 1));
    let again = keyed(&mut rig, TIMEOUT);
    assert_eq!(repeated(&rig, again).id, first.id);
    rig.pass(Millis(1));
    let again = keyed(&mut rig, TIMEOUT);
    assert_ne!(made(&rig, again).id, first.id);
}

#[test]
fn a_create_key_is_forgotten_when_its_session_is_deleted() {
    let mut rig = Rig::new();
    let creation = keyed(&mut rig, TIMEOUT);
    let first = made(&rig, creation);
    rig.submit(DeleteSession(first.id)).unwrap();
    assert_eq!(rig.all_rows(), 0);
    let again = keyed(&mut rig, TIMEOUT);
    assert_ne!(made(&rig, again).id, first.id);
}

#[test]
fn a_create_key_with_another_request_is_refused_and_other_users_have_their_own() {
    let mut rig = Rig::new();
    let creation = rig.keyed_creation("k");
    let first = made(&rig, creation);

    let conflict = RuleViolation::IdempotencyConflict { key: "k".into() };
    let mut other = rig.keyed_creation("k");
    other.new.agent_id = AgentId::from(1);
    assert_eq!(rig.refusal(other), conflict);
    let mut other = rig.keyed_creation("k");
    other.new.metadata = "{}".into();
    assert_eq!(rig.refusal(other), conflict);
    let mut other = rig.keyed_creation("k");
    other.requested_timeout.auto_renew = Some(true);
    assert_eq!(rig.refusal(other), conflict);

    let mut other = rig.keyed_creation("k");
    other.new.user_id = UserId::from(BOB);
    assert_ne!(made(&rig, other).id, first.id);
    // The resolved timeouts are not the requested ones.
    let mut same = rig.keyed_creation("k");
    same.new.timeout = LONG;
    assert_eq!(repeated(&rig, same), first);
}

#[test]
fn an_expired_session_is_distinguished_until_its_retention_ends_purged_or_not() {
    let mut rig = Rig::new();
    let session = rig.create();
    let expired = RuleViolation::SessionExpired {
        session_id: session.id,
        expires_at: session.expires_at,
    };
    let gone = RuleViolation::SessionNotFound(session.id);
    let patch = || PatchTimeout {
        session_id: session.id,
        patch: TimeoutOverrides::default(),
    };

    for (at, refusal) in [
        (session.expires_at, &expired),
        (session.expires_at + KEPT - Millis(1), &expired),
        (session.expires_at + KEPT, &gone),
    ] {
        rig.hand.set(at);
        assert_eq!(rig.refusal(Heartbeat(session.id)), *refusal);
        assert_eq!(rig.refusal(Renew(session.id)), *refusal);
        assert_eq!(rig.refusal(patch()), *refusal);
        let message = rig.message(session.id, "hello");
        assert_eq!(rig.refusal(message), *refusal);
    }
    assert_eq!(rig.refusal(DeleteSession(session.id)), gone);
    assert_eq!(rig.session_count(), 1);
}

#[test]
fn an_expired_session_that_is_still_retained_can_be_deleted() {
    let mut rig = Rig::new();
    let session = rig.create();
    rig.send(session.id, "hello");
    rig.hand.set(session.expires_at);
    assert!(!rig.submit(DeleteSession(session.id)).unwrap().has_more);
    assert_eq!(rig.all_rows(), 0);
    let gone = RuleViolation::SessionNotFound(session.id);
    assert_eq!(rig.refusal(DeleteSession(session.id)), gone);
}

#[test]
fn a_sessions_times_do_not_change_while_the_clock_is_behind_them() {
    let mut rig = Rig::new();
    let session = rig.create();
    rig.pass(MINUTE);
    let before = rig.submit(Heartbeat(session.id)).unwrap();
    assert_eq!(before.last_activity, START + MINUTE);

    rig.pass(Millis(-30_000));
    let during = rig.submit(Heartbeat(session.id)).unwrap();
    assert_eq!(during.last_activity, before.last_activity);
    assert_eq!(during.window_start, before.window_start);
    assert_eq!(during.expires_at, before.expires_at);
    assert_eq!(during.renewal_count, 2);

    rig.pass(MINUTE);
    let after = rig.submit(Heartbeat(session.id)).unwrap();
    assert_eq!(after.last_activity, rig.now());
}

#[test]
fn a_refused_patch_changes_nothing() {
    let mut rig = Rig::new();
    let session = rig.create();
    rig.pass(Millis(10 * MINUTE.0));
    for patch in [
        // It would have expired five minutes ago.
        TimeoutOverrides {
            timeout_minutes: Some(5.0),
            ..TimeoutOverrides::default()
        },
        TimeoutOverrides {
            timeout_minutes: Some(1441.0),
            auto_renew: Some(false),
            ..TimeoutOverrides::default()
        },
    ] {
        let refusal = rig.refusal(PatchTimeout {
            session_id: session.id,
            patch,
        });
        assert!(
            matches!(refusal, RuleViolation::InvalidTimeout(_)),
            "{refusal:?}"
        );
        assert_eq!(rig.session(session.id), Some(session.clone()));
    }
}

#[test]
fn lists_are_ordered_from_newest_to_oldest_and_pages_are_complete() {
    let mut rig = Rig::new();
    for number in 0..25 {
        let mut creation = rig.creation();
        creation.new.user_id = UserId::from([ALICE, BOB][number % 2]);
        rig.submit(creation).unwrap();
    }
    let all = |user: Option<UserId>, limit| {
        let mut ids = Vec::new();
        let mut below = None;
        loop {
            let (sessions, next) = rig.query(rig.store().sessions(user, below, limit));
            ids.extend(sessions.iter().map(|session| u128::from(session.id)));
            below = next;
            if below.is_none() {
                return ids;
            }
        }
    };
    let everyone = all(None, 4);
    assert_eq!(everyone, (1..=25).rev().collect::<Vec<_>>());
    let bob = UserId::from(BOB);
    let bobs = all(Some(bob), 5);
    assert_eq!(bobs, (1..=12).rev().map(|n| n * 2).collect::<Vec<_>>());
    assert!(all(Some(UserId::from(1)), 5).is_empty());
}

impl Rig {
    /// The same numbers as [`Rig::stats`], counted one session at a time.
    fn counted(&self) -> Stats {
        let sessions = self.all_sessions();
        let now = self.now();
        let standing = |wanted| move |session: &&Session| session.life_stage(now, KEPT) == wanted;
        let count = |wanted| sessions.iter().filter(standing(wanted)).count() as u64;
        Stats {
            active: count(LifeStage::Active),
            expired: count(LifeStage::Expired),
            near_expiration: sessions
                .iter()
                .filter(|session| session.is_near_expiration(now))
                .count() as u64,
        }
    }
}

#[test]
fn statistics_always_match_a_full_count_wherever_the_clock_goes() {
    let mut rig = Rig::new();
    let mut ids = Vec::new();
    for step in 0..300_u32 {
        // Forward and back by pseudo-random steps, forward on the whole.
        let wild = step.wrapping_mul(2_654_435_761) >> 8;
        let minutes = i64::from(wild % 40) - 15;
        rig.pass(Millis(minutes * MINUTE.0 + i64::from(wild % 3) - 1));
        match wild % 8 {
            0..=2 => {
                let session = rig.create_with(TimeoutConfig {
                    timeout_minutes: 5 + wild % 90,
                    warning_threshold_minutes: 1 + wild % 60,
                    ..TIMEOUT
                });
                ids.push(session.id);
            }
            3 if !ids.is_empty() => {
                let _ = rig.submit(Heartbeat(ids[wild as usize % ids.len()]));
            }
            4 if !ids.is_empty() => {
                let _ = rig.submit(DeleteSession(ids[wild as usize % ids.len()]));
            }
            5 => rig.submit(AdvanceCounters).unwrap(),
            6 => drop(rig.purge()),
            7 if step % 5 == 0 => drop(rig.restart()),
            _ => {}
        }
        assert_eq!(rig.stats(), rig.counted(), "after step {step}");
        assert_eq!(rig.store().check().unwrap(), Vec::<String>::new());
    }
}

#[test]
fn statistics_are_exact_just_before_at_and_just_after_each_deadline() {
    let mut rig = Rig::new();
    let session = rig.create();
    let numbers = |active, near_expiration, expired| Stats {
        active,
        expired,
        near_expiration,
    };
    for walks in [false, true] {
        for (at, expected) in [
            (session.expires_at + KEPT, numbers(0, 0, 0)),
            (session.expires_at + KEPT - Millis(1), numbers(0, 0, 1)),
            (session.expires_at, numbers(0, 0, 1)),
            (session.expires_at - Millis(1), numbers(1, 1, 0)),
            (session.warn_at, numbers(1, 1, 0)),
            (session.warn_at - Millis(1), numbers(1, 0, 0)),
        ] {
            rig.hand.set(at);
            if walks {
                rig.submit(AdvanceCounters).unwrap();
            }
            assert_eq!(rig.stats(), expected, "at {at}");
        }
    }
}

#[test]
fn due_deadlines_are_returned_in_order_and_in_slices() {
    let mut rig = Rig::new();
    let minutes = [20, 10, 30, 10];
    let sessions = minutes.map(|minutes| {
        rig.create_with(TimeoutConfig {
            timeout_minutes: minutes,
            ..TIMEOUT
        })
    });
    let until = START + Millis(20 * MINUTE.0);
    let due = |after, limit| rig.query(rig.store().due_expiries(after, until, limit));
    let place = |index: usize| (sessions[index].expires_at, sessions[index].id);
    assert_eq!(due(None, 10), [place(1), place(3), place(0)]);
    assert_eq!(due(None, 1), [place(1)]);
    assert_eq!(due(Some(place(1)), 10), [place(3), place(0)]);
    assert_eq!(due(Some(place(2)), 10), []);

    let next = |deadline, after| {
        rig.read(|reader| Index::new(&reader.deadlines()?)?.next(deadline, after))
    };
    assert_eq!(next(Deadline::Expiry, START), Some(place(1).0));
    assert_eq!(next(Deadline::Expiry, place(1).0), Some(place(0).0));
    assert_eq!(next(Deadline::Expiry, place(2).0), None);
    assert_eq!(
        next(Deadline::Warning, START),
        Some(START + Millis(5 * MINUTE.0))
    );
}

#[test]
fn only_a_deadline_before_the_next_one_wakes_the_janitor() {
    let mut rig = Rig::new();
    let is_woken = |rig: &Rig| {
        let sooner = std::pin::pin!(rig.store().next_deadline().sooner());
        poke(sooner).is_ready()
    };
    rig.store().next_deadline().set(Timestamp::MAX);
    let session = rig.create();
    assert!(is_woken(&rig));
    assert!(!is_woken(&rig));

    rig.store().next_deadline().set(session.warn_at);
    rig.pass(MINUTE);
    rig.submit(Heartbeat(session.id)).unwrap();
    assert!(!is_woken(&rig), "a renewal puts the deadline off");
    rig.create_with(TimeoutConfig {
        timeout_minutes: 10,
        ..TIMEOUT
    });
    assert!(is_woken(&rig));
}

#[test]
fn deadlines_of_a_batch_are_not_final_before_it_is_on_disk() {
    let disk = Disk::default();
    let mut rig = Rig::on_disk(&disk);
    let session = rig.create();
    disk.set_sync_time(Duration::from_millis(50));
    let (next, began) = (rig.store().next_deadline(), rig.now());
    let later = began + SECOND;
    let is_woken = || poke(std::pin::pin!(next.sooner())).is_ready();
    // No deadline precedes it, and what was written so far has woken it.
    next.set(began);
    is_woken();
    assert_eq!(next.settled(later), later);
    let during = async {
        loop {
            let settled = next.settled(later);
            if settled != later {
                return settled;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let writing = rig.store().submit(Heartbeat(session.id));
    let (written, settled) = rig.wait(async { tokio::join!(writing, during) });
    written.unwrap();
    assert_eq!(settled, began);
    assert_eq!(next.settled(later), later);
    assert!(
        is_woken(),
        "a delayed janitor is woken at the end of the batch"
    );
    rig.submit(Heartbeat(session.id)).unwrap();
    assert!(!is_woken(), "the janitor was not delayed");
}

#[test]
fn an_index_row_without_its_session_is_found() {
    let mut rig = Rig::new();
    let [first, second] = [rig.create(), rig.create()];
    rig.close(false);
    let unknown = SessionId::from(77);
    let moved = Row {
        expires_at: first.expires_at + SECOND,
        ..Row::for_session(&first)
    };
    let orphan = Row {
        session: unknown,
        ..Row::for_session(&second)
    };
    rig.edit(|txn| {
        let mut rows = txn.open_table(DEADLINES).unwrap();
        rows.remove(Row::for_session(&first).key())
            .unwrap()
            .unwrap();
        rows.insert(moved.key(), ()).unwrap();
        rows.insert(orphan.key(), ()).unwrap();
        let mut rows = txn.open_table(USER_SESSIONS).unwrap();
        let user = u128::from(first.user_id);
        rows.remove((user, u128::from(first.id))).unwrap().unwrap();
        rows.insert((user, u128::from(unknown)), ()).unwrap();
    });
    rig.open();
    rig.faults = vec![
        format!(
            "deadlines: session {} has no row at {}",
            first.id, first.expires_at
        ),
        format!(
            "deadlines: the row ({}, {}) has no session",
            moved.expires_at, first.id
        ),
        format!(
            "deadlines: the row ({}, {unknown}) has no session",
            orphan.expires_at
        ),
        format!("user_sessions: session {} has no row", first.id),
        format!("user_sessions: the row of {unknown} has no session"),
    ];
}

#[test]
fn a_session_with_the_largest_id_is_listed_and_deleted_like_any_other() {
    let mut rig = Rig::new();
    let other = rig.create();
    let mut creation = rig.creation();
    creation.new.id = SessionId::from(u128::MAX);
    let largest = rig.submit(creation).unwrap().session.id;
    let message = rig.keyed_message(largest, "hello", "k");
    rig.submit(message).unwrap();

    let ids = |(sessions, _): (Vec<Session>, _)| -> Vec<SessionId> {
        sessions.iter().map(|session| session.id).collect()
    };
    let all = rig.query(rig.store().sessions(None, None, 10));
    assert_eq!(ids(all), [largest, other.id]);
    let user = UserId::from(ALICE);
    let all = rig.query(rig.store().sessions(Some(user), None, 10));
    assert_eq!(ids(all), [largest, other.id]);
    let rest = rig.query(rig.store().sessions(Some(user), Some(largest), 10));
    assert_eq!(ids(rest), [other.id]);

    rig.submit(DeleteSession(largest)).unwrap();
    rig.purge();
    assert_eq!(rig.rows(tables::MESSAGE_KEYS), 0);
}
