//! Clean and unclean stops, and what the next start finds.

use super::super::command::{AdvanceCounters, BeginOutcome, BeginTurn, DeleteSession};
use super::*;

/// Begins the session's next turn.
fn begin(rig: &Rig, session: SessionId) -> BeginOutcome {
    let turn = rig.next_turn(session).unwrap();
    rig.submit(BeginTurn(turn)).unwrap()
}

#[test]
fn a_clean_stop_is_reported_at_the_next_start() {
    let mut rig = Rig::new();
    rig.create();
    let found = rig.restart();
    assert_eq!((found.sessions, found.clean_stop), (1, Some(true)));
    rig.create();
    let found = rig.restart();
    assert_eq!((found.sessions, found.clean_stop), (2, Some(true)));
}

#[test]
fn an_unclean_stop_is_reported_at_the_next_start_and_nothing_acknowledged_is_lost() {
    let mut rig = Rig::new();
    let session = rig.create();
    let message = rig.send(session.id, "hello").message;
    let stops: [fn(&mut Rig); 2] = [Rig::kill, Rig::drop_store];
    for stop in stops {
        stop(&mut rig);
        let found = rig.open();
        assert_eq!((found.sessions, found.clean_stop), (1, Some(false)));
        assert_eq!(rig.transcript(session.id), std::slice::from_ref(&*message));
    }
    // The start after a crash can itself be stopped cleanly.
    assert_eq!(rig.restart().clean_stop, Some(true));
}

#[test]
fn dropping_the_handle_ends_the_writer() {
    let mut rig = Rig::new();
    rig.create();
    let writer = rig.store().writer.lock().unwrap().take().unwrap();
    rig.store = None;
    writer.join().unwrap();
}

#[test]
fn a_stop_with_clear_deletes_everything() {
    let mut rig = Rig::new();
    let secret = "a word that must not linger in the file";
    let content = format!("{secret} ").repeat(100);
    for number in 0..100 {
        let creation = rig.keyed_creation(&format!("k{number}"));
        let session = rig.submit(creation).unwrap().session;
        let mut message = rig.keyed_message(session.id, &content, "k");
        message.beginning = TurnStart::AtOnce;
        rig.submit(message).unwrap();
        if number % 3 == 0 {
            rig.submit(DeleteSession(session.id)).unwrap();
        }
    }
    rig.pass(Millis(31 * MINUTE.0));
    rig.submit(AdvanceCounters).unwrap();
    assert!(rig.rows(tables::OPEN_TURNS) > 0);

    rig.close(true);
    let bytes = rig.bytes();
    let lingers = bytes
        .windows(secret.len())
        .any(|window| window == secret.as_bytes());
    assert!(!lingers);
    let found = rig.open();
    assert_eq!((found.sessions, found.clean_stop), (0, Some(true)));
    assert_eq!(rig.all_rows(), 0);
    let stats = rig.stats();
    assert_eq!((stats.active, stats.expired), (0, 0));
    rig.create();
}

#[test]
fn a_turn_that_was_running_at_three_crashes_is_closed_with_an_error() {
    let mut rig = Rig::new();
    let session = rig.create();
    let message = rig.ask(session.id, "hello").message;
    for crashes in 1..=3 {
        rig.kill();
        rig.open();
        let turn = rig.next_turn(session.id).unwrap();
        assert_eq!(turn.crashes, crashes);
        assert!(turn.begun && !turn.running);
        if crashes < 3 {
            assert!(matches!(begin(&rig, session.id), BeginOutcome::Now));
        }
    }
    let BeginOutcome::Closed(failure) = begin(&rig, session.id) else {
        panic!("tried a fourth time");
    };
    assert_eq!(failure, TurnFailure::crashed_too_often());
    assert_eq!(
        turn_state(&rig.stored(&message)),
        TurnState::Failed(failure)
    );
    assert_eq!(rig.next_turn(session.id), None);
}

#[test]
fn a_clean_stop_does_not_count_as_a_crash_of_the_running_turn() {
    let mut rig = Rig::new();
    let session = rig.create();
    rig.ask(session.id, "hello");
    for _ in 0..5 {
        rig.restart();
        let turn = rig.next_turn(session.id).unwrap();
        assert_eq!((turn.crashes, turn.begun, turn.running), (0, true, false));
        assert!(matches!(begin(&rig, session.id), BeginOutcome::Now));
    }
}

#[test]
fn a_crash_counts_only_against_the_running_turn() {
    let mut rig = Rig::new();
    let session = rig.create();
    rig.ask(session.id, "first");
    let second = rig.send(session.id, "second").message;
    for _ in 0..2 {
        rig.kill();
        rig.open();
        // It does not begin again before the next crash.
        assert_eq!(rig.next_turn(session.id).unwrap().crashes, 1);
    }
    let first = rig.transcript(session.id).pop().unwrap();
    rig.reply(&first, "well");
    let turn = rig.next_turn(session.id).unwrap();
    assert_eq!(turn.message_at, second.created_at);
    assert_eq!((turn.crashes, turn.begun), (0, false));
}

#[test]
fn a_reopened_turn_counts_crashes_from_zero() {
    let mut rig = Rig::new();
    let session = rig.create();
    let mut message = rig.keyed_message(session.id, "hello", "k");
    message.beginning = TurnStart::AtOnce;
    let message = rig.submit(message).unwrap().message;
    rig.kill();
    rig.open();
    rig.fail(&message);
    let repeat = rig.keyed_message(session.id, "hello", "k");
    rig.submit(repeat).unwrap();
    assert_eq!(rig.next_turn(session.id).unwrap().crashes, 0);
}

#[test]
fn a_begun_turn_continues_after_a_crash_although_its_session_has_expired() {
    let mut rig = Rig::new();
    let session = rig.create();
    let sent = rig.ask(session.id, "hello");
    rig.kill();
    rig.hand.set(sent.session.expires_at);
    rig.open();
    assert!(matches!(begin(&rig, session.id), BeginOutcome::Now));
    rig.reply(&sent.message, "well");
    assert_eq!(contents(&rig.transcript(session.id)), ["well", "hello"]);
}

#[test]
fn a_second_store_on_the_same_file_is_refused() {
    let mut rig = Rig::new();
    let session = rig.create();
    let first = rig.store.take().unwrap();
    let error = rig.try_open().unwrap_err();
    assert!(matches!(error, OpenError::InUse), "{error}");
    rig.store = Some(first);
    assert_eq!(rig.session(session.id), Some(session));
}
