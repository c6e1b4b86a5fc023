//! Undecodable records are quarantined and counted, and affect no other record.

use super::super::command::{AdvanceCounters, BeginTurn, DeleteSession, Expire, Heartbeat};
use super::*;
use crate::store::schema::tables::{
    CREATE_KEYS, MESSAGE_KEYS, MESSAGES, META, OPEN_TURNS, SESSIONS, meta,
};

/// Damages a record while the store is closed, and reopens it.
fn damage_and_reopen(rig: &mut Rig, change: impl FnOnce(&WriteTransaction)) -> OpenReport {
    rig.close(false);
    rig.edit(change);
    rig.open()
}

fn is_damaged<T>(result: &Result<T, SubmitError>) -> bool {
    matches!(result, Err(SubmitError::Record(_)))
}

#[test]
fn a_damaged_session_is_quarantined_and_counted_from_then_on() {
    let mut rig = Rig::new();
    let sessions = [(); 3].map(|()| rig.create());
    let [before, bad, after] = &sessions;
    let sent = rig.send(bad.id, "what was said is still there");
    let found = damage_and_reopen(&mut rig, |txn| {
        damage(txn, SESSIONS, u128::from(bad.id));
    });
    assert_eq!((found.sessions, found.clean_stop), (3, Some(true)));
    let fault = format!("sessions: {}: the record's checksum does not match", bad.id);
    assert_eq!(rig.store().check().unwrap(), [fault]);
    assert_eq!(rig.store().health().undecodable_sessions, 0);

    let list = rig.query(rig.store().sessions(None, None, 10));
    assert_eq!(list, (vec![after.clone(), before.clone()], Some(before.id)));
    assert_eq!(rig.store().health().undecodable_sessions, 1);
    rig.settle();

    assert_eq!(rig.store().check().unwrap(), Vec::<String>::new());
    let aside = rig.quarantined();
    assert_eq!(aside.len(), 1);
    assert_eq!(
        (aside[0].owner, aside[0].location.as_str()),
        (bad.id, "session")
    );
    assert_eq!(aside[0].expires_at, Some(sent.session.expires_at));
    assert_eq!(aside[0].reason, "the record's checksum does not match");
    let stats = rig.stats();
    assert_eq!(stats.active, 2);
    let alice = UserId::from(ALICE);
    let list = rig.query(rig.store().sessions(Some(alice), None, 10));
    assert_eq!(list, (vec![after.clone(), before.clone()], Some(before.id)));

    // It is not reported as unknown, and not counted twice.
    let read = rig.wait(rig.store().session(bad.id));
    assert!(matches!(read, Err(ReadError::Record(_))), "{read:?}");
    assert!(is_damaged(&rig.submit(Heartbeat(bad.id))));
    let message = rig.message(bad.id, "hello");
    assert!(is_damaged(&rig.submit(message)));
    assert_eq!(rig.store().health().undecodable_sessions, 1);
    assert_eq!(contents(&rig.transcript(bad.id)).len(), 1);

    // The count survives a restart, and the other sessions stay usable.
    rig.restart();
    assert_eq!(rig.store().health().undecodable_sessions, 1);
    rig.submit(Heartbeat(before.id)).unwrap();
    rig.send(after.id, "hello");

    // It is purged when its retention ends.
    rig.pass(Millis(10 * HOUR.0));
    let (_, gone) = rig.purge();
    assert_eq!(gone, [before.id, after.id, bad.id]);
    assert_eq!(rig.all_rows(), 0);
    assert_eq!(rig.store().health().undecodable_sessions, 0);
}

#[test]
fn a_damaged_session_can_be_deleted_before_and_after_it_is_quarantined() {
    for is_settled in [false, true] {
        let mut rig = Rig::new();
        let creation = rig.keyed_creation("k");
        let session = rig.submit(creation).unwrap().session;
        let message = rig.keyed_message(session.id, "hello", "k");
        rig.submit(message).unwrap();
        damage_and_reopen(&mut rig, |txn| {
            damage(txn, SESSIONS, u128::from(session.id));
        });
        if is_settled {
            let _ = rig.wait(rig.store().session(session.id));
            rig.settle();
            assert_eq!(rig.quarantined().len(), 1);
        }
        let deleted = rig.submit(DeleteSession(session.id)).unwrap();
        assert!(!deleted.has_more);
        rig.settle();
        assert_eq!(rig.all_rows(), 0);
        assert_eq!(rig.store().health().undecodable_sessions, 0);
        let refusal = rig.refusal(DeleteSession(session.id));
        assert_eq!(refusal, RuleViolation::SessionNotFound(session.id));
    }
}

#[test]
fn many_damaged_sessions_do_not_stop_a_purge() {
    let mut rig = Rig::new();
    let sessions: Vec<Session> = (0..1_200).map(|_| rig.create()).collect();
    damage_and_reopen(&mut rig, |txn| {
        for session in sessions.iter().step_by(2) {
            damage(txn, SESSIONS, u128::from(session.id));
        }
    });
    rig.pass(Millis(10 * HOUR.0));
    let (_, mut gone) = rig.purge();
    // The sessions that were read have been quarantined, and are removed by the next purge at the
    // latest.
    rig.settle();
    rig.pass(KEPT);
    gone.extend(rig.purge().1);
    gone.sort();
    let all: Vec<_> = sessions.iter().map(|session| session.id).collect();
    assert_eq!(gone, all);
    assert_eq!(rig.all_rows(), 0);
    assert_eq!(rig.store().health().undecodable_sessions, 0);
}

#[test]
fn pages_skip_damaged_messages_and_still_report_if_there_are_more() {
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
    damage_and_reopen(&mut rig, |txn| {
        damage(txn, MESSAGES, (id, times[0].0));
        damage(txn, MESSAGES, (id, times[3].0));
    });
    let fault = |at| {
        format!(
            "messages: ({}, {at}): the record's checksum does not match",
            session.id
        )
    };
    assert_eq!(
        rig.store().check().unwrap(),
        [fault(times[0]), fault(times[3])]
    );

    let page = rig.page(session.id, None, None, 2);
    assert_eq!(contents(&page.messages), ["4", "2"]);
    assert!(page.has_more);
    let page = rig.page(session.id, Some(times[2]), None, 1);
    assert_eq!(contents(&page.messages), ["1"]);
    assert!(!page.has_more, "the damaged one is not more");
    let page = rig.page(session.id, None, Some(times[1]), 1);
    assert_eq!(contents(&page.messages), ["2"]);
    assert!(page.has_more);
    assert_eq!(rig.store().health().undecodable_sessions, 1);

    // The next message is later than a damaged one, too.
    let sent = rig.send(session.id, "5");
    assert!(sent.message.created_at > times[4]);
    let seen = rig.read(|reader| reader.messages_before(session.id, sent.message.created_at, 10));
    assert_eq!(seen.len(), 3);
    rig.fail(&sent.message);
    rig.settle();
    assert_eq!(rig.quarantined().len(), 2);
    assert_eq!(rig.store().check().unwrap(), Vec::<String>::new());
    rig.submit(DeleteSession(session.id)).unwrap();
    assert_eq!(rig.all_rows(), 0);
}

#[test]
fn a_page_is_full_however_many_messages_are_damaged() {
    let mut rig = Rig::new();
    let session = rig.create();
    let mut sound = Vec::new();
    let mut bad = Vec::new();
    for number in 0..40 {
        let sent = rig.send(session.id, &number.to_string()).message;
        rig.fail(&sent);
        if number % 8 < 5 || (10..25).contains(&number) {
            bad.push(sent.created_at.0);
        } else {
            sound.insert(0, sent.body.content.clone());
        }
    }
    damage_and_reopen(&mut rig, |txn| {
        for at in bad {
            damage(txn, MESSAGES, (u128::from(session.id), at));
        }
    });

    // In one snapshot, in which none of them is quarantined.
    rig.read(|reader| {
        for limit in 0..=sound.len() + 1 {
            let newest = PageRequest {
                before: None,
                after: None,
                limit,
            };
            let oldest = PageRequest {
                after: Some(Timestamp::MIN),
                ..newest
            };
            let taken = limit.min(sound.len());
            let (first, last) = (&sound[..taken], &sound[sound.len() - taken..]);
            for (request, expected) in [(newest, first), (oldest, last)] {
                let page = reader.messages(session.id, request)?;
                assert_eq!(contents(&page.messages), expected);
                assert_eq!(page.has_more, limit < sound.len(), "{limit}");
            }
        }
        Ok(())
    });
    rig.settle();
}

#[test]
fn a_turn_whose_message_is_damaged_ends_and_the_next_one_runs() {
    let mut rig = Rig::new();
    let session = rig.create();
    let bad = rig.keyed_message(session.id, "bad", "k");
    let bad = rig.submit(bad).unwrap().message;
    let good = rig.send(session.id, "good").message;
    damage_and_reopen(&mut rig, |txn| {
        damage(txn, MESSAGES, (u128::from(session.id), bad.created_at.0));
    });
    let mut listener = listen(&rig.bus, session.id);

    let turn = rig.next_turn(session.id).unwrap();
    rig.submit(BeginTurn(turn)).unwrap();
    let closed = rig.submit(answer(&bad, "well")).unwrap();
    assert!(matches!(closed, CloseOutcome::Gone), "{closed:?}");
    let turn = rig.next_turn(session.id).unwrap();
    assert_eq!(turn.message_at, good.created_at);
    rig.reply(&good, "well");
    assert_eq!(
        heard(&mut listener),
        ["ended", "agent: well", "ended", "idle"]
    );
    assert_eq!(contents(&rig.transcript(session.id)), ["well", "good"]);

    // The message is lost, so its key is free: a client that still has the message can send it
    // again.
    rig.settle();
    let again = rig.keyed_message(session.id, "bad", "k");
    assert!(!rig.submit(again).unwrap().replayed);
}

#[test]
fn a_damaged_message_ends_its_turn_when_it_is_read() {
    let mut rig = Rig::new();
    let session = rig.create();
    let bad = rig.ask(session.id, "bad").message;
    let good = rig.send(session.id, "good").message;
    damage_and_reopen(&mut rig, |txn| {
        damage(txn, MESSAGES, (u128::from(session.id), bad.created_at.0));
    });
    let mut listener = listen(&rig.bus, session.id);
    assert_eq!(contents(&rig.transcript(session.id)), ["good"]);
    rig.settle();
    assert_eq!(heard(&mut listener), ["ended"]);
    let turn = rig.next_turn(session.id).unwrap();
    assert_eq!(turn.message_at, good.created_at);
}

#[test]
fn a_damaged_reply_affects_no_other_message() {
    let mut rig = Rig::new();
    let session = rig.create();
    let message = rig.send(session.id, "hello").message;
    let reply = rig.reply(&message, "well");
    damage_and_reopen(&mut rig, |txn| {
        damage(txn, MESSAGES, (u128::from(session.id), reply.created_at.0));
    });
    assert_eq!(contents(&rig.transcript(session.id)), ["hello"]);
    rig.settle();
    assert_eq!(rig.quarantined().len(), 1);
    assert_eq!(rig.store().check().unwrap(), Vec::<String>::new());
}

#[test]
fn turns_of_damaged_messages_are_closed_at_the_expiry_like_others() {
    let mut rig = Rig::new();
    let session = rig.create();
    let bad = rig.send(session.id, "bad").message;
    let good = rig.send(session.id, "good").message;
    damage_and_reopen(&mut rig, |txn| {
        damage(txn, MESSAGES, (u128::from(session.id), bad.created_at.0));
    });
    rig.pass(HOUR);
    let closed = rig.submit(Expire(session.id)).unwrap();
    assert_eq!(closed, [good.id]);
    assert_eq!(rig.next_turn(session.id), None);
    rig.settle();
}

#[test]
fn a_damaged_turn_is_restored_from_its_message() {
    let mut rig = Rig::new();
    let session = rig.create();
    let messages = ["first", "second", "third"].map(|text| rig.send(session.id, text).message);
    damage_and_reopen(&mut rig, |txn| {
        damage(txn, OPEN_TURNS, (u128::from(session.id), 0));
        damage(txn, OPEN_TURNS, (u128::from(session.id), 1));
    });
    assert_eq!(rig.store().health().undecodable_sessions, 1);
    assert_eq!(rig.quarantined().len(), 2);
    for message in &messages {
        let turn = rig.next_turn(session.id).unwrap();
        assert_eq!(turn.message_at, message.created_at);
        rig.submit(BeginTurn(turn)).unwrap();
        rig.reply(message, "well");
    }
    assert_eq!(rig.next_turn(session.id), None);

    rig.pass(Millis(20 * HOUR.0));
    assert_eq!(rig.purge().1, [session.id]);
    assert_eq!(rig.all_rows(), 0);
}

#[test]
fn a_damaged_turn_does_not_stop_a_deletion() {
    let mut rig = Rig::new();
    let session = rig.create();
    rig.send(session.id, "hello");
    damage_and_reopen(&mut rig, |txn| {
        damage(txn, OPEN_TURNS, (u128::from(session.id), 0));
    });
    rig.submit(DeleteSession(session.id)).unwrap();
    assert_eq!(rig.all_rows(), 0);
}

#[test]
fn a_damaged_last_turn_is_not_overwritten() {
    let mut rig = Rig::new();
    let session = rig.create();
    rig.send(session.id, "good");
    rig.send(session.id, "bad");
    damage_and_reopen(&mut rig, |txn| {
        damage(txn, OPEN_TURNS, (u128::from(session.id), 1));
    });
    assert_eq!(rig.quarantined().len(), 1);
    assert_eq!(rig.store().check().unwrap(), Vec::<String>::new());
    rig.send(session.id, "another");
    assert_eq!(rig.rows(OPEN_TURNS), 3);
    rig.settle();
    assert_eq!(rig.rows(OPEN_TURNS), 3);
}

#[test]
fn a_damaged_create_key_blocks_neither_a_deletion_nor_a_purge() {
    for purges in [false, true] {
        let mut rig = Rig::new();
        let creation = rig.keyed_creation("k");
        let session = rig.submit(creation).unwrap().session;
        rig.send(session.id, "hello");
        damage_and_reopen(&mut rig, |txn| {
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
fn a_damaged_create_key_refuses_repeats_until_it_would_be_forgotten() {
    let mut rig = Rig::new();
    let creation = rig.keyed_creation("k");
    rig.submit(creation).unwrap();
    damage_and_reopen(&mut rig, |txn| {
        damage(txn, CREATE_KEYS, (ALICE, "k"));
    });
    for _ in 0..2 {
        let repeat = rig.keyed_creation("k");
        assert!(is_damaged(&rig.submit(repeat)));
        rig.settle();
    }
    assert_eq!(rig.quarantined().len(), 1);
    assert_eq!(rig.store().health().undecodable_sessions, 1);
    rig.pass(Millis(24 * HOUR.0));
    rig.purge();
    assert_eq!(rig.store().health().undecodable_sessions, 0);
    let creation = rig.keyed_creation("k");
    assert!(!rig.submit(creation).unwrap().replayed);
}

#[test]
fn a_damaged_message_key_affects_only_its_repeats() {
    let mut rig = Rig::new();
    let session = rig.create();
    let message = rig.keyed_message(session.id, "hello", "k");
    rig.submit(message).unwrap();
    damage_and_reopen(&mut rig, |txn| {
        damage(txn, MESSAGE_KEYS, (u128::from(session.id), "k"));
    });
    for _ in 0..2 {
        // Nothing is stored twice, although the stored content is unknown.
        let repeat = rig.keyed_message(session.id, "hello", "k");
        assert!(is_damaged(&rig.submit(repeat)));
        rig.settle();
    }
    assert_eq!(rig.quarantined().len(), 1);
    rig.send(session.id, "another");
    rig.submit(DeleteSession(session.id)).unwrap();
    assert_eq!(rig.all_rows(), 0);
}

#[test]
fn damaged_counters_are_counted_anew() {
    for name in [meta::EXPIRED, meta::WARNED, meta::ENDED] {
        let mut rig = Rig::new();
        rig.create();
        rig.pass(Millis(10 * HOUR.0));
        rig.create();
        rig.submit(AdvanceCounters).unwrap();
        let found = damage_and_reopen(&mut rig, |txn| damage(txn, META, name));
        assert_eq!(found.sessions, 2);
        let stats = rig.stats();
        assert_eq!((stats.active, stats.expired), (1, 0));
    }
}

#[test]
fn a_damaged_stop_record_counts_as_a_crash() {
    let mut rig = Rig::new();
    let found = damage_and_reopen(&mut rig, |txn| damage(txn, META, meta::CLEAN_STOP));
    assert_eq!(found.clean_stop, Some(false));
}

type Damage = Box<dyn Fn(&WriteTransaction)>;

/// Damages every record of a small file in turn. Whichever it is, the store opens, another session
/// stays usable, and in the end the purge removes everything that can be read.
#[test]
fn no_damaged_record_affects_another_session() {
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
    let mut damages: Vec<Damage> = vec![
        Box::new(move |txn| damage(txn, SESSIONS, id)),
        Box::new(|txn| damage(txn, CREATE_KEYS, (ALICE, "k"))),
        Box::new(move |txn| damage(txn, MESSAGE_KEYS, (id, "k"))),
    ];
    for position in [0, 1] {
        damages.push(Box::new(move |txn| damage(txn, OPEN_TURNS, (id, position))));
    }
    for offset in 0..4 {
        let at = START.0 + offset;
        damages.push(Box::new(move |txn| damage(txn, MESSAGES, (id, at))));
    }
    for (nth, damage) in damages.iter().enumerate() {
        std::fs::write(rig.path(), &sound).unwrap();
        rig.hand.set(START);
        rig.edit(|txn| damage(txn));
        rig.open();
        let faults = rig.store().check().unwrap();
        let is_seen = !faults.is_empty() || !rig.quarantined().is_empty();
        assert!(is_seen, "damage {nth} is not seen");

        // These may fail, but must not hang or panic.
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
                result: Err(TurnFailure::agent_error(
                    crate::domain::failure::FailureReason::Internal,
                )),
            };
            let _ = rig.submit(late);
        }
        let _ = rig.transcript(victim.id);

        let sent = rig.ask(bystander.id, "hello");
        rig.reply(&sent.message, "well");
        assert_eq!(contents(&rig.transcript(bystander.id)), ["well", "hello"]);
        assert!(rig.can_commit(), "damage {nth}");

        rig.pass(Millis(20 * HOUR.0));
        let _ = rig.submit(Expire(victim.id));
        let (_, gone) = rig.purge();
        assert!(gone.contains(&bystander.id), "damage {nth}");
        let mut gone = gone;
        rig.settle();
        gone.extend(rig.purge().1);
        assert!(gone.contains(&victim.id), "damage {nth}");
        rig.close(true);
    }
}
