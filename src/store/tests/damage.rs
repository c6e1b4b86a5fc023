//! Records that cannot be decoded: counted, stepped over, and in nobody else's way.

use super::super::command::{BeginTurn, DeleteSession, Expire, Heartbeat, WalkTallies};
use super::super::tables::{CREATE_KEYS, MESSAGE_KEYS, MESSAGES, META, OPEN_TURNS, SESSIONS, meta};
use super::*;

/// Spoils a record while the store is closed, and opens it again.
fn spoil(rig: &mut Rig, change: impl FnOnce(&WriteTransaction)) -> Found {
    rig.close(false);
    rig.edit(change);
    rig.open()
}

fn is_damaged<T>(result: &Result<T, SubmitError>) -> bool {
    matches!(result, Err(SubmitError::Record(_)))
}

#[test]
fn a_damaged_session_is_counted_and_skipped_and_stays() {
    let mut rig = Rig::new();
    let sessions = [(); 3].map(|()| rig.create());
    let [before, bad, after] = &sessions;
    let found = spoil(&mut rig, |txn| {
        damage(txn, SESSIONS, u128::from(bad.id));
    });
    assert_eq!((found.sessions, found.clean_stop), (3, Some(true)));
    let fault = format!("sessions: {}: the record's checksum does not match", bad.id);
    rig.expect_faults(&[&fault]);
    assert_eq!(rig.store().damaged_sessions(), 0);

    let list = rig.read(|reader| reader.sessions_below(None, 10));
    assert_eq!(list, (vec![after.clone(), before.clone()], Some(before.id)));
    let alice = UserId::from(ALICE);
    let list = rig.read(|reader| reader.user_sessions_below(alice, None, 10));
    assert_eq!(list, (vec![after.clone(), before.clone()], Some(before.id)));
    let read = rig.store().read(|reader| reader.session(bad.id));
    assert!(matches!(read, Err(ReadError::Record(_))), "{read:?}");
    assert_eq!(rig.store().damaged_sessions(), 1, "each counts once");

    assert!(is_damaged(&rig.submit(Heartbeat(bad.id))));
    assert!(is_damaged(&rig.submit(DeleteSession(bad.id))));
    let message = rig.message(bad.id, "hello");
    assert!(is_damaged(&rig.submit(message)));
    rig.submit(Heartbeat(before.id)).unwrap();
    rig.send(after.id, "hello");

    // A purge steps over it, and takes those behind it.
    rig.pass(Millis(10 * HOUR.0));
    let (_, gone) = rig.purge();
    assert_eq!(gone, [before.id, after.id]);
    assert_eq!(rig.session_count(), 1);
}

#[test]
fn many_damaged_sessions_do_not_stop_a_purge() {
    let mut rig = Rig::new();
    let sessions: Vec<Session> = (0..1_200).map(|_| rig.create()).collect();
    spoil(&mut rig, |txn| {
        for session in sessions.iter().step_by(2) {
            damage(txn, SESSIONS, u128::from(session.id));
        }
    });
    rig.pass(Millis(10 * HOUR.0));
    let (slices, gone) = rig.purge();
    assert!((2..10).contains(&slices), "{slices}");
    let sound: Vec<_> = sessions.iter().skip(1).step_by(2).map(|s| s.id).collect();
    assert_eq!(gone, sound);
    let faults: Vec<String> = sessions
        .iter()
        .step_by(2)
        .map(|bad| format!("sessions: {}: the record's checksum does not match", bad.id))
        .collect();
    rig.faults = faults;
}

#[test]
fn a_damaged_message_is_skipped_in_pages_which_still_know_if_there_is_more() {
    let mut rig = Rig::new();
    let session = rig.create();
    let times: Vec<Timestamp> = (0..5)
        .map(|number| {
            let sent = rig.send(session.id, &number.to_string());
            rig.fail(&sent.message);
            sent.message.created_at
        })
        .collect();
    let id = u128::from(session.id);
    spoil(&mut rig, |txn| {
        damage(txn, MESSAGES, (id, times[0].0));
        damage(txn, MESSAGES, (id, times[3].0));
    });
    let fault = |at| {
        format!(
            "messages: ({}, {at}): the record's checksum does not match",
            session.id
        )
    };
    rig.expect_faults(&[&fault(times[0]), &fault(times[3])]);

    let page = rig.page(session.id, None, None, 2);
    assert_eq!(contents(&page.messages), ["4", "2"]);
    assert!(page.has_more);
    let page = rig.page(session.id, Some(times[2]), None, 1);
    assert_eq!(contents(&page.messages), ["1"]);
    assert!(!page.has_more, "the damaged one is not more");
    let page = rig.page(session.id, None, Some(times[1]), 1);
    assert_eq!(contents(&page.messages), ["2"]);
    assert!(page.has_more);
    assert_eq!(rig.store().damaged_sessions(), 1);

    // The next message is later than a damaged one, too.
    let sent = rig.send(session.id, "5");
    assert!(sent.message.created_at > times[4]);
    let seen = rig.read(|reader| reader.exchanges_before(session.id, sent.message.created_at, 10));
    assert_eq!(seen.len(), 3);
    rig.fail(&sent.message);
    rig.faults.clear();
    rig.submit(DeleteSession(session.id)).unwrap();
    assert_eq!(rig.all_rows(), 0);
}

#[test]
fn a_turn_whose_message_is_damaged_ends_and_the_next_one_runs() {
    let mut rig = Rig::new();
    let session = rig.create();
    let bad = rig.ask(session.id, "bad").message;
    let good = rig.send(session.id, "good").message;
    spoil(&mut rig, |txn| {
        damage(txn, MESSAGES, (u128::from(session.id), bad.created_at.0));
    });
    let fault = format!(
        "messages: ({}, {}): the record's checksum does not match",
        session.id, bad.created_at
    );
    rig.expect_faults(&[&fault]);
    let mut listener = listen(&rig.bus, session.id);

    let turn = rig.next_turn(session.id).unwrap();
    rig.submit(BeginTurn(turn)).unwrap();
    let closed = rig.submit(answer(&bad, "well")).unwrap();
    assert!(matches!(closed, Closed::Gone), "{closed:?}");
    let turn = rig.next_turn(session.id).unwrap();
    assert_eq!(turn.message_at, good.created_at);
    rig.reply(&good, "well");
    assert_eq!(
        heard(&mut listener),
        ["ended", "agent: well", "ended", "idle"]
    );
    assert_eq!(contents(&rig.transcript(session.id)), ["well", "good"]);
}

#[test]
fn turns_of_damaged_messages_are_closed_at_the_expiry_with_the_others() {
    let mut rig = Rig::new();
    let session = rig.create();
    let bad = rig.send(session.id, "bad").message;
    let good = rig.send(session.id, "good").message;
    spoil(&mut rig, |txn| {
        damage(txn, MESSAGES, (u128::from(session.id), bad.created_at.0));
    });
    let fault = format!(
        "messages: ({}, {}): the record's checksum does not match",
        session.id, bad.created_at
    );
    rig.expect_faults(&[&fault]);
    rig.pass(HOUR);
    let closed = rig.submit(Expire(session.id)).unwrap();
    assert_eq!(closed, [good.id]);
    assert_eq!(rig.next_turn(session.id), None);
}

#[test]
fn a_damaged_turn_stops_neither_its_session_nor_a_purge() {
    let mut rig = Rig::new();
    let session = rig.create();
    rig.send(session.id, "bad");
    let good = rig.send(session.id, "good").message;
    spoil(&mut rig, |txn| {
        damage(txn, OPEN_TURNS, (u128::from(session.id), 0));
    });
    rig.send(session.id, "another");
    let turn = rig.next_turn(session.id).unwrap();
    assert_eq!(turn.message_at, good.created_at);
    assert_eq!(rig.store().damaged_sessions(), 1);
    rig.submit(BeginTurn(turn)).unwrap();
    rig.reply(&good, "well");

    rig.pass(Millis(10 * HOUR.0));
    rig.submit(Expire(session.id)).unwrap();
    assert_eq!(rig.next_turn(session.id), None);
    assert_eq!(rig.purge().1, [session.id]);
    assert_eq!(rig.all_rows(), 0);
}

#[test]
fn a_damaged_turn_does_not_stop_a_deletion() {
    let mut rig = Rig::new();
    let session = rig.create();
    rig.send(session.id, "hello");
    spoil(&mut rig, |txn| {
        damage(txn, OPEN_TURNS, (u128::from(session.id), 0));
    });
    rig.submit(DeleteSession(session.id)).unwrap();
    assert_eq!(rig.all_rows(), 0);
}

#[test]
fn a_damaged_turn_at_the_end_is_not_written_over() {
    let mut rig = Rig::new();
    let session = rig.create();
    rig.send(session.id, "good");
    let bad = rig.send(session.id, "bad").message;
    spoil(&mut rig, |txn| {
        damage(txn, OPEN_TURNS, (u128::from(session.id), 1));
    });
    let faults = [
        format!(
            "open_turns: ({}, 1): the record's checksum does not match",
            session.id
        ),
        format!(
            "open_turns: ({}, {}) has no row",
            session.id, bad.created_at
        ),
    ];
    rig.expect_faults(&faults.each_ref().map(String::as_str));
    rig.send(session.id, "another");
    assert_eq!(rig.rows(OPEN_TURNS), 3);
}

#[test]
fn a_damaged_create_key_stops_neither_a_deletion_nor_a_purge() {
    for purges in [false, true] {
        let mut rig = Rig::new();
        let creation = rig.keyed_creation("k");
        let session = rig.submit(creation).unwrap().session;
        rig.send(session.id, "hello");
        spoil(&mut rig, |txn| {
            damage(txn, CREATE_KEYS, (ALICE, "k"));
        });
        if purges {
            rig.pass(Millis(10 * HOUR.0));
            assert_eq!(rig.purge().1, [session.id]);
        } else {
            rig.submit(DeleteSession(session.id)).unwrap();
        }
        assert_eq!(rig.all_rows(), 0);
    }
}

#[test]
fn a_damaged_message_key_is_the_trouble_of_its_repeat_alone() {
    let mut rig = Rig::new();
    let session = rig.create();
    let message = rig.keyed_message(session.id, "hello", "k");
    rig.submit(message).unwrap();
    spoil(&mut rig, |txn| {
        damage(txn, MESSAGE_KEYS, (u128::from(session.id), "k"));
    });
    let repeat = rig.keyed_message(session.id, "hello", "k");
    assert!(is_damaged(&rig.submit(repeat)));
    rig.send(session.id, "another");
    rig.submit(DeleteSession(session.id)).unwrap();
    assert_eq!(rig.all_rows(), 0);
}

#[test]
fn damaged_tallies_are_counted_anew() {
    for name in [meta::EXPIRED, meta::WARNED, meta::ENDED] {
        let mut rig = Rig::new();
        rig.create();
        rig.pass(Millis(10 * HOUR.0));
        rig.create();
        rig.submit(WalkTallies).unwrap();
        let found = spoil(&mut rig, |txn| damage(txn, META, name));
        assert_eq!(found.sessions, 2);
        let stats = rig.read(|reader| reader.stats(rig.now(), &rig.rules));
        assert_eq!((stats.active, stats.expired), (1, 0));
    }
}

#[test]
fn a_damaged_note_of_the_stop_is_a_crash() {
    let mut rig = Rig::new();
    let found = spoil(&mut rig, |txn| damage(txn, META, meta::CLEAN_STOP));
    assert_eq!(found.clean_stop, Some(false));
}

type Spoil = Box<dyn Fn(&WriteTransaction)>;

/// Every record of a small file is spoilt in turn. Whatever it is, the store opens, another
/// session lives on, and in the end the purge takes all that it can read.
#[test]
fn no_damaged_record_is_in_the_way_of_another_session() {
    let mut rig = Rig::new();
    let creation = rig.keyed_creation("k");
    let victim = rig.submit(creation).unwrap().session;
    let message = rig.keyed_message(victim.id, "first", "k");
    let first = rig.submit(message).unwrap().message;
    rig.reply(&first, "well");
    rig.ask(victim.id, "second");
    rig.send(victim.id, "third");
    let bystander = rig.create();
    rig.close(false);
    let sound = rig.bytes();

    let id = u128::from(victim.id);
    let mut spoils: Vec<Spoil> = vec![
        Box::new(move |txn| damage(txn, SESSIONS, id)),
        Box::new(|txn| damage(txn, CREATE_KEYS, (ALICE, "k"))),
        Box::new(move |txn| damage(txn, MESSAGE_KEYS, (id, "k"))),
    ];
    for position in [0, 1] {
        spoils.push(Box::new(move |txn| damage(txn, OPEN_TURNS, (id, position))));
    }
    for offset in 0..4 {
        let at = START.0 + offset;
        spoils.push(Box::new(move |txn| damage(txn, MESSAGES, (id, at))));
    }
    for (nth, spoil) in spoils.iter().enumerate() {
        std::fs::write(rig.path(), &sound).unwrap();
        rig.hand.set(START);
        rig.edit(|txn| spoil(txn));
        rig.open();
        let faults = rig.store().check().unwrap();
        assert!(!faults.is_empty(), "spoil {nth} is not seen");

        // Whatever comes of these, nothing hangs or panics.
        let _ = rig.submit(Heartbeat(victim.id));
        let message = rig.message(victim.id, "fourth");
        let _ = rig.submit(message);
        let repeat = rig.keyed_message(victim.id, "first", "k");
        let _ = rig.submit(repeat);
        let again = rig.keyed_creation("k");
        let _ = rig.submit(again);
        for offset in 0..4 {
            let late = CloseTurn {
                partial: None,
                session_id: victim.id,
                message_at: START + Millis(offset),
                result: Err(TurnFailure::agent_error()),
            };
            let _ = rig.submit(late);
        }
        let _ = rig.transcript(victim.id);

        let sent = rig.ask(bystander.id, "hello");
        rig.reply(&sent.message, "well");
        assert_eq!(contents(&rig.transcript(bystander.id)), ["well", "hello"]);
        assert!(rig.store().is_healthy(), "spoil {nth}");

        rig.pass(Millis(20 * HOUR.0));
        let _ = rig.submit(Expire(victim.id));
        let (_, gone) = rig.purge();
        assert!(gone.contains(&bystander.id), "spoil {nth}");
        assert_eq!(gone.contains(&victim.id), nth != 0, "spoil {nth}");
        rig.close(true);
    }
}
