//! Messages: their order, pages, keys and turns.

use super::super::command::{BeginOutcome, BeginTurn, Expire, Heartbeat};
use super::*;

#[test]
fn message_times_increase_strictly_even_if_the_clock_stops_or_is_set_back() {
    let mut rig = Rig::new();
    let session = rig.create();
    for step in [0, 0, -1, -5_000, 0, 1, 2, 10_000, -1] {
        rig.pass(Millis(step));
        let sent = rig.send(session.id, "hello");
        rig.reply(&sent.message, "well");
    }
    let transcript = rig.transcript(session.id);
    assert_eq!(transcript.len(), 18);
    let newest_first = transcript.is_sorted_by(|one, other| one.created_at > other.created_at);
    assert!(newest_first, "{transcript:?}");
}

#[test]
fn a_message_has_the_time_of_its_activity() {
    let mut rig = Rig::new();
    let session = rig.create();
    rig.pass(Millis(7));
    let sent = rig.send(session.id, "hello");
    assert_eq!(sent.message.created_at, START + Millis(7));
    assert_eq!(sent.session.last_activity, sent.message.created_at);

    // The clock is set back to before an activity that was not a message.
    rig.pass(MINUTE);
    let active = rig.submit(Heartbeat(session.id)).unwrap();
    rig.pass(Millis(-30_000));
    let sent = rig.send(session.id, "hello");
    assert_eq!(sent.session.last_activity, active.last_activity);
    assert_eq!(sent.message.created_at, active.last_activity);
}

#[test]
fn paging_in_both_directions_returns_every_message_once() {
    let mut rig = Rig::new();
    let session = rig.create();
    for number in 0..7 {
        let sent = rig.send(session.id, &number.to_string());
        rig.fail(&sent.message);
    }

    let mut back = Vec::new();
    let mut before = None;
    loop {
        let page = rig.page(session.id, before, None, 3);
        back.extend(page.messages.iter().map(|m| m.body.content.clone()));
        before = page.messages.last().map(|message| message.created_at);
        assert_eq!(page.has_more, back.len() < 7);
        if !page.has_more {
            break;
        }
    }
    assert_eq!(back, ["6", "5", "4", "3", "2", "1", "0"]);

    let mut forth = Vec::new();
    let mut after = Some(Timestamp(0));
    loop {
        let page = rig.page(session.id, None, after, 3);
        forth.extend(page.messages.iter().rev().map(|m| m.body.content.clone()));
        after = page.messages.first().map(|message| message.created_at);
        assert_eq!(page.has_more, forth.len() < 7);
        if !page.has_more {
            break;
        }
    }
    assert_eq!(forth, ["0", "1", "2", "3", "4", "5", "6"]);
}

#[test]
fn with_both_cursors_a_page_holds_the_newest_in_between() {
    let mut rig = Rig::new();
    let session = rig.create();
    let mut times = Vec::new();
    for number in 0..6 {
        times.push(rig.send(session.id, &number.to_string()).message.created_at);
    }
    let between = |limit| rig.page(session.id, Some(times[5]), Some(times[0]), limit);
    assert_eq!(contents(&between(2).messages), ["4", "3"]);
    assert!(between(2).has_more);
    assert_eq!(contents(&between(4).messages), ["4", "3", "2", "1"]);
    assert!(!between(4).has_more);
    for (before, after) in [
        (times[2], times[2]),
        (times[2], times[1]),
        (times[0], times[5]),
        (Timestamp::MIN, Timestamp::MAX),
        (Timestamp::MAX, Timestamp::MAX),
    ] {
        let page = rig.page(session.id, Some(before), Some(after), 10);
        assert!(page.messages.is_empty() && !page.has_more);
    }
    let stranger = rig.page(SessionId::from(u128::MAX), None, None, 10);
    assert!(stranger.messages.is_empty() && !stranger.has_more);
}

#[test]
fn a_repeat_stores_nothing_and_renews_nothing() {
    let mut rig = Rig::new();
    let session = rig.create();
    let message = rig.keyed_message(session.id, "hello", "k");
    let first = rig.submit(message).unwrap();
    assert!(first.renewed && !first.replayed);

    rig.pass(MINUTE);
    let repeat = rig.keyed_message(session.id, "hello", "k");
    let again = rig.submit(repeat).unwrap();
    assert!(again.replayed && !again.renewed);
    assert_eq!(
        (again.message, again.session),
        (first.message, first.session)
    );

    let other = rig.keyed_message(session.id, "goodbye", "k");
    let conflict = RuleViolation::IdempotencyConflict { key: "k".into() };
    assert_eq!(rig.refusal(other), conflict);
    assert_eq!(rig.transcript(session.id).len(), 1);
}

#[test]
fn a_key_outlives_the_expiry_but_not_the_session() {
    let mut rig = Rig::new();
    let session = rig.create();
    let message = rig.keyed_message(session.id, "hello", "k");
    let sent = rig.submit(message).unwrap();
    let reply = rig.reply(&sent.message, "well");

    rig.hand.set(sent.session.expires_at);
    let repeat = rig.keyed_message(session.id, "hello", "k");
    let again = rig.submit(repeat).unwrap();
    assert!(again.replayed);
    assert_eq!(
        turn_state(&again.message),
        TurnState::Replied(reply.created_at)
    );

    rig.hand.set(sent.session.expires_at + KEPT);
    let repeat = rig.keyed_message(session.id, "hello", "k");
    let gone = RuleViolation::SessionNotFound(session.id);
    assert_eq!(rig.refusal(repeat), gone);
}

#[test]
fn a_refused_send_does_not_use_its_key() {
    let mut rig = Rig::new();
    let session = rig.create();
    let mut message = rig.keyed_message(session.id, "hello", "k");
    message.has_agent = false;
    let refusal = rig.refusal(message);
    assert_eq!(refusal, RuleViolation::AgentNotFound(session.agent_id));

    for _ in 0..16 {
        rig.send(session.id, "hello");
    }
    let message = rig.keyed_message(session.id, "hello", "k");
    assert_eq!(
        rig.refusal(message),
        RuleViolation::SessionBusy { limit: 16 }
    );
    let known = rig.query(rig.store().message_of_key(session.id, &key("k")));
    assert_eq!(known, None);

    let turn = rig.next_turn(session.id).unwrap();
    let first = rig.read(|reader| reader.message(session.id, turn.message_at));
    rig.reply(&first.unwrap(), "well");
    let message = rig.keyed_message(session.id, "another", "k");
    assert!(!rig.submit(message).unwrap().replayed);
}

#[test]
fn too_many_open_turns_of_the_server_refuse_sends_in_all_sessions() {
    let mut rig = Rig::with_rules(Rules {
        max_pending_turns: 3,
        ..rules()
    });
    let (one, other) = (rig.create(), rig.create());
    for _ in 0..3 {
        rig.send(one.id, "hello");
    }
    let message = rig.message(other.id, "hello");
    assert_eq!(rig.refusal(message), RuleViolation::ServerBusy);
    assert_eq!(rig.session(other.id), Some(other));
}

#[test]
fn a_failed_turn_is_reopened_after_the_open_ones() {
    let mut rig = Rig::new();
    let session = rig.create();
    let message = rig.keyed_message(session.id, "first", "k");
    let first = rig.submit(message).unwrap().message;
    rig.fail(&first);
    let second = rig.send(session.id, "second").message;

    let repeat = rig.keyed_message(session.id, "first", "k");
    let again = rig.submit(repeat).unwrap();
    assert!(again.replayed);
    assert_eq!(turn_state(&again.message), TurnState::Open);
    let next = || rig.next_turn(session.id).unwrap().message_at;
    assert_eq!(next(), second.created_at);
    rig.reply(&second, "well");
    assert_eq!(next(), first.created_at);

    let reply = rig.reply(&first, "at last");
    let Role::User { reply_id, .. } = first.role else {
        unreachable!()
    };
    assert_eq!(reply.id, reply_id, "fixed when the message was stored");
}

#[test]
fn a_failed_turn_is_not_reopened_once_the_session_has_expired() {
    let mut rig = Rig::new();
    let session = rig.create();
    let message = rig.keyed_message(session.id, "hello", "k");
    let sent = rig.submit(message).unwrap();
    rig.fail(&sent.message);
    rig.hand.set(sent.session.expires_at);
    let repeat = rig.keyed_message(session.id, "hello", "k");
    let refusal = rig.refusal(repeat);
    assert!(matches!(refusal, RuleViolation::SessionExpired { .. }));
    assert_eq!(rig.next_turn(session.id), None);
}

#[test]
fn closing_a_turn_repeatedly_stores_its_reply_once() {
    let mut rig = Rig::new();
    let session = rig.create();
    let sent = rig.send(session.id, "hello");
    let reply = rig.reply(&sent.message, "well");
    assert_eq!(rig.reply(&sent.message, "something else"), reply);
    assert!(matches!(rig.fail(&sent.message), CloseOutcome::Replied(same) if same == reply));
    assert_eq!(contents(&rig.transcript(session.id)), ["well", "hello"]);
}

#[test]
fn a_reply_that_is_too_large_is_refused_and_its_turn_stays_open() {
    let mut rig = Rig::new();
    let session = rig.create();
    let sent = rig.send(session.id, "hello");
    let huge = rig.submit(answer(&sent.message, &"x".repeat(2 << 20)));
    assert!(matches!(huge, Err(SubmitError::Record(_))), "{huge:?}");
    assert!(rig.can_commit());
    assert_eq!(turn_state(&rig.stored(&sent.message)), TurnState::Open);
    rig.fail(&sent.message);
    assert_eq!(contents(&rig.transcript(session.id)), ["hello"]);
}

#[test]
fn a_reply_is_not_an_activity() {
    let mut rig = Rig::new();
    let session = rig.create();
    let sent = rig.send(session.id, "hello");
    rig.pass(MINUTE);
    rig.reply(&sent.message, "well");
    assert_eq!(rig.session(session.id), Some(Session::clone(&sent.session)));
}

#[test]
fn turns_that_had_not_begun_when_the_session_expired_are_closed_and_a_running_one_finishes() {
    let mut rig = Rig::new();
    let session = rig.create();
    let running = rig.ask(session.id, "first");
    let waiting = rig.send(session.id, "second");
    assert_eq!(rig.submit(Expire(session.id)).unwrap(), []);

    rig.hand.set(waiting.session.expires_at);
    let late = rig.submit(BeginTurn(OpenTurn {
        session_id: session.id,
        position: 1,
        message_at: waiting.message.created_at,
        begun: false,
        running: false,
        crashes: 0,
        waits_until: None,
    }));
    let expired = TurnFailure::session_expired();
    assert!(matches!(late.unwrap(), BeginOutcome::Closed(failure) if failure == expired));
    assert_eq!(
        turn_state(&rig.stored(&waiting.message)),
        TurnState::Failed(expired)
    );

    assert_eq!(rig.submit(Expire(session.id)).unwrap(), []);
    rig.reply(&running.message, "well");
    assert_eq!(
        contents(&rig.transcript(session.id)),
        ["well", "second", "first"]
    );
    assert_eq!(rig.next_turn(session.id), None);
}

#[test]
fn a_turn_sees_the_conversation_before_its_message_and_nothing_later() {
    let mut rig = Rig::new();
    let session = rig.create();
    let first = rig.send(session.id, "first").message;
    let second = rig.send(session.id, "second").message;
    let third = rig.send(session.id, "third").message;
    rig.reply(&first, "re: first");
    rig.fail(&second);
    rig.send(session.id, "fourth");

    let history = |limit| -> Vec<String> {
        let history =
            rig.read(|reader| reader.messages_before(session.id, third.created_at, limit));
        contents(&history).into_iter().map(str::to_owned).collect()
    };
    assert_eq!(history(10), ["first", "re: first", "second"]);
    assert_eq!(history(2), ["re: first", "second"]);
    assert_eq!(history(1), ["second"]);
    assert!(history(0).is_empty());

    let asked = |limit| -> Vec<String> {
        rig.read(|reader| reader.statements_before(session.id, third.created_at, limit))
    };
    assert_eq!(asked(10), ["first", "second"]);
    assert_eq!(asked(1), ["second"]);
}
