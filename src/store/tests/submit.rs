//! Submitted replies, and the turns that wait for them.

use super::super::command::{
    BeginOutcome, BeginTurn, DeleteSession, ParkOutcome, ParkTurn, StoreRemoteSession,
    SubmitFailure, SubmitReply, Submitted,
};
use super::*;
use crate::domain::waiting::TurnSelector;
use crate::store::schema::tables::{OPEN_TURNS, REMOTE_SESSIONS, SUBMIT_KEYS};

/// Returns a submit that closes all waiting turns.
pub(super) fn submit(rig: &mut Rig, session: SessionId, content: &str) -> SubmitReply {
    SubmitReply {
        session_id: session,
        turn_id: None,
        in_reply_to: None,
        message_id: rig.next_id(),
        reply: Reply {
            body: says(content),
            ..Reply::default()
        },
        key: None,
        closes_turns: true,
        partly_answered: None,
    }
}

/// Returns an error that closes all waiting turns.
pub(super) fn failure(session: SessionId, message: &str) -> SubmitFailure {
    SubmitFailure {
        session_id: session,
        selector: TurnSelector::Waiting,
        message: message.into(),
        sent_with: Reply::default(),
        key: None,
        closes_turns: true,
    }
}

/// Sends a message whose turn waits for a minute.
pub(super) fn wait(rig: &mut Rig, session: SessionId, content: &str) -> Arc<Message> {
    let mut message = rig.message(session, content);
    message.beginning = TurnStart::Waiting(MINUTE);
    rig.submit(message).unwrap().message
}

#[test]
fn one_reply_closes_exactly_the_waiting_turns() {
    let mut rig = Rig::new();
    let session = rig.create().id;
    let mut listener = listen(&rig.bus, session);
    let one = wait(&mut rig, session, "one");
    let two = wait(&mut rig, session, "two");
    let later = rig.send(session, "not begun").message;
    heard(&mut listener);
    let command = submit(&mut rig, session, "both");
    let Submitted {
        message, closed, ..
    } = rig.submit(command).unwrap();
    assert_eq!(closed, [one.id, two.id]);
    let Role::User { reply_id, .. } = two.role else {
        panic!("the user's")
    };
    assert_eq!(message.id, reply_id);
    for asked in [&one, &two] {
        let state = turn_state(&rig.stored(asked));
        assert_eq!(state, TurnState::Replied(message.created_at));
    }
    assert_eq!(
        heard(&mut listener),
        ["chunk: both", "agent: both", "ended", "ended"]
    );
    assert_eq!(rig.open_turns(session).len(), 1);
    // The history of the next turn has it once, after the newest of them.
    let next = rig.send(session, "next").message;
    let history = rig.read(|reader| reader.messages_before(session, next.created_at, 10));
    let history: Vec<_> = history.iter().map(|message| message.id).collect();
    assert_eq!(history, [one.id, two.id, message.id, later.id]);
}

#[test]
fn a_named_message_is_answered_if_its_turn_waits_or_runs_but_not_before_it_begins() {
    let mut rig = Rig::new();
    let session = rig.create().id;
    let running = rig.ask(session, "running").message;
    let later = rig.send(session, "later").message;
    for (named, closes) in [(&later, false), (&running, true), (&running, false)] {
        let mut command = submit(&mut rig, session, "well");
        command.in_reply_to = Some(named.id);
        let submitted = rig.submit(command).unwrap();
        let closed: &[MessageId] = if closes { &[named.id] } else { &[] };
        assert_eq!(submitted.closed, closed);
    }
    // A later answer of the backend is dropped.
    let stored = rig.submit(answer(&running, "too late")).unwrap();
    assert!(matches!(stored, CloseOutcome::Replied(reply) if reply.body.content == "well"));
    let parked = rig.submit(ParkTurn {
        session_id: session,
        message_at: running.created_at,
        until: rig.now() + MINUTE,
    });
    assert_eq!(parked.unwrap(), ParkOutcome::Gone);

    // If the backend answers for the agent, nothing is closed.
    let turn = rig.next_turn(session).unwrap();
    assert!(matches!(
        rig.submit(BeginTurn(turn)).unwrap(),
        BeginOutcome::Now
    ));
    let mut command = submit(&mut rig, session, "well");
    command.in_reply_to = Some(later.id);
    command.closes_turns = false;
    assert!(rig.submit(command).unwrap().closed.is_empty());
}

#[test]
fn a_wait_survives_stops_and_crashes_which_do_not_count_against_it() {
    let mut rig = Rig::new();
    let session = rig.create().id;
    let until = rig.now() + MINUTE;
    wait(&mut rig, session, "one");
    let parked = rig.create().id;
    let message = rig.ask(parked, "two").message;
    rig.submit(ParkTurn {
        session_id: parked,
        message_at: message.created_at,
        until,
    })
    .unwrap();
    for _ in 0..4 {
        rig.pass(SECOND);
        rig.kill();
        rig.open();
        rig.restart();
    }
    for id in [session, parked] {
        let turn = rig.next_turn(id).unwrap();
        assert!(turn.begun && !turn.running);
        assert_eq!((turn.waits_until, turn.crashes), (Some(until), 0));
    }
    // A turn that is begun after all no longer waits.
    let turn = rig.next_turn(session).unwrap();
    assert!(matches!(
        rig.submit(BeginTurn(turn)).unwrap(),
        BeginOutcome::Now
    ));
    let turn = rig.next_turn(session).unwrap();
    assert_eq!((turn.running, turn.waits_until), (true, None));
}

#[test]
fn keys_of_submits_and_sends_are_independent() {
    let mut rig = Rig::new();
    let session = rig.create().id;
    let message = rig.keyed_message(session, "sent", "k");
    rig.submit(message).unwrap();
    let keyed = |rig: &mut Rig, content: &str| {
        let mut command = submit(rig, session, content);
        command.key = Some(key("k"));
        command
    };
    let first = keyed(&mut rig, "submitted");
    let first = rig.submit(first).unwrap();
    let repeat = keyed(&mut rig, "submitted");
    let repeat = rig.submit(repeat).unwrap();
    assert!(repeat.replayed && !first.replayed);
    assert_eq!(repeat.message, first.message);
    let other = keyed(&mut rig, "other");
    let refusal = rig.refusal(other);
    assert_eq!(
        refusal,
        RuleViolation::IdempotencyConflict { key: "k".into() }
    );
    assert_eq!(rig.transcript(session).len(), 2);
}

#[test]
fn nothing_is_left_of_a_deleted_session() {
    let mut rig = Rig::new();
    for many in [false, true] {
        let session = rig.create().id;
        wait(&mut rig, session, "one");
        let replies = if many { 400 } else { 1 };
        for number in 0..replies {
            let mut command = submit(&mut rig, session, "well");
            command.key = Some(key(&format!("k{number}")));
            rig.submit(command).unwrap();
        }
        let name = "their-session".to_owned();
        rig.submit(StoreRemoteSession {
            session_id: session,
            name,
        })
        .unwrap();
        assert_eq!(rig.rows(SUBMIT_KEYS), replies);
        assert_eq!(rig.rows(REMOTE_SESSIONS), 1);
        let deleted = rig.submit(DeleteSession(session)).unwrap();
        assert_eq!(deleted.has_more, many);
        // The deletion returns the remote session to delete.
        let remote = deleted.remote.map(|remote| remote.name);
        assert_eq!(remote.as_deref(), Some("their-session"));
        rig.purge();
        assert_eq!(rig.all_rows(), 0);
        // The session does not exist, so nothing is stored.
        let name = "too-late".to_owned();
        rig.submit(StoreRemoteSession {
            session_id: session,
            name,
        })
        .unwrap();
        assert_eq!(rig.rows(REMOTE_SESSIONS), 0);
    }
}

#[test]
fn the_id_of_a_remote_session_is_stored_and_replaced() {
    let mut rig = Rig::new();
    let session = rig.create().id;
    assert_eq!(rig.query(rig.store().remote_session(session)), None);
    for name in ["one", "two"] {
        rig.submit(StoreRemoteSession {
            session_id: session,
            name: name.to_owned(),
        })
        .unwrap();
        rig.restart();
        let kept = rig.query(rig.store().remote_session(session));
        assert_eq!(kept.as_deref(), Some(name));
    }
}

#[test]
fn inconsistent_records_are_found() {
    let mut rig = Rig::new();
    let session = rig.create().id;
    let one = wait(&mut rig, session, "one");
    let command = submit(&mut rig, session, "well");
    rig.submit(command).unwrap();
    wait(&mut rig, session, "two");
    rig.close(false);
    let id = u128::from(session);
    rig.edit(|txn| {
        let mut keys = txn.open_table(SUBMIT_KEYS).unwrap();
        let at = crate::store::schema::record::encode_time(one.created_at).unwrap();
        keys.insert((id, "k"), at.as_slice()).unwrap();
        let mut names = txn.open_table(REMOTE_SESSIONS).unwrap();
        let name = crate::store::schema::record::encode_remote_session("x").unwrap();
        names.insert(77, name.as_slice()).unwrap();
        names.insert(id, b"damaged".as_slice()).unwrap();
        let mut turns = txn.open_table(OPEN_TURNS).unwrap();
        let turn = crate::store::schema::record::decode_turn(
            session,
            0,
            turns.get((id, 0)).unwrap().unwrap().value(),
        );
        let turn = OpenTurn {
            begun: false,
            ..turn.unwrap()
        };
        let bytes = crate::store::schema::record::encode_turn(&turn).unwrap();
        turns.insert((id, 0), bytes.as_slice()).unwrap();
    });
    rig.open();
    let unknown = SessionId::from(77);
    let at = one.created_at;
    rig.faults = vec![
        format!("submit_keys: there is no reply ({session}, {at})"),
        format!("upstreams: {unknown} is not a session"),
        format!("upstreams: {session}: the record has the unknown version 100"),
        format!("open_turns: ({session}, 0) waits, but runs or has not begun"),
    ];
}
