//! Listeners receive what was committed, in the order of the commits.

use super::super::command::{BeginTurn, DeleteSession, Expire, Heartbeat, PatchTimeout, Renew};
use super::*;

#[test]
fn a_single_turn_publishes_events_from_its_message_to_idle() {
    let mut rig = Rig::new();
    let session = rig.create();
    let mut listener = listen(&rig.bus, session.id);
    let sent = rig.ask(session.id, "hello");
    assert_eq!(heard(&mut listener), ["user: hello", "renewed 1", "busy"]);
    rig.reply(&sent.message, "well");
    assert_eq!(heard(&mut listener), ["agent: well", "ended", "idle"]);
}

#[test]
fn between_the_first_turn_and_the_last_a_session_is_busy_once() {
    let mut rig = Rig::new();
    let session = rig.create_with(TimeoutConfig {
        auto_renew: false,
        ..TIMEOUT
    });
    let mut listener = listen(&rig.bus, session.id);
    let first = rig.send(session.id, "first").message;
    let second = rig.send(session.id, "second").message;
    rig.reply(&first, "re: first");
    rig.fail(&second);
    assert_eq!(
        heard(&mut listener),
        [
            "user: first",
            "busy",
            "user: second",
            "agent: re: first",
            "ended",
            "failed AGENT_ERROR",
            "ended",
            "idle"
        ]
    );
}

#[test]
fn a_repeat_is_published_only_if_it_reopens_its_turn() {
    let mut rig = Rig::new();
    let session = rig.create();
    let message = rig.keyed_message(session.id, "hello", "k");
    let sent = rig.submit(message).unwrap();
    let mut listener = listen(&rig.bus, session.id);
    let repeat = rig.keyed_message(session.id, "hello", "k");
    rig.submit(repeat).unwrap();
    assert_eq!(heard(&mut listener), Vec::<String>::new());
    rig.fail(&sent.message);
    let repeat = rig.keyed_message(session.id, "hello", "k");
    rig.submit(repeat).unwrap();
    assert_eq!(
        heard(&mut listener),
        ["failed AGENT_ERROR", "ended", "idle", "busy"]
    );
    // A repeated close is published once.
    rig.reply(&sent.message, "well");
    rig.reply(&sent.message, "well");
    assert_eq!(heard(&mut listener), ["agent: well", "ended", "idle"]);
}

#[test]
fn only_renewals_are_published_as_such() {
    let mut rig = Rig::new();
    let session = rig.create_with(TimeoutConfig {
        auto_renew: false,
        ..TIMEOUT
    });
    let mut listener = listen(&rig.bus, session.id);
    rig.submit(Heartbeat(session.id)).unwrap();
    assert_eq!(heard(&mut listener), Vec::<String>::new());
    rig.submit(Renew(session.id)).unwrap();
    let patch = |auto_renew, warning: Option<f64>| PatchTimeout {
        session_id: session.id,
        patch: TimeoutOverrides {
            auto_renew,
            warning_threshold_minutes: warning,
            ..TimeoutOverrides::default()
        },
    };
    rig.submit(patch(Some(true), None)).unwrap();
    rig.submit(Heartbeat(session.id)).unwrap();
    assert_eq!(heard(&mut listener), ["renewed 1", "renewed 2"]);

    // A PATCH that moves the expiry within the threshold warns immediately, and only once.
    rig.submit(patch(None, Some(40.0))).unwrap();
    rig.submit(patch(None, Some(41.0))).unwrap();
    assert_eq!(heard(&mut listener), ["near 30"]);
}

#[test]
fn turns_closed_at_the_expiry_and_deletions_are_published() {
    let mut rig = Rig::new();
    let session = rig.create();
    let sent = rig.send(session.id, "first");
    rig.send(session.id, "second");
    let mut listener = listen(&rig.bus, session.id);
    rig.hand.set(sent.session.expires_at);
    assert_eq!(rig.submit(Expire(session.id)).unwrap().len(), 2);
    rig.submit(DeleteSession(session.id)).unwrap();
    assert_eq!(
        heard(&mut listener),
        [
            "failed SESSION_EXPIRED",
            "ended",
            "failed SESSION_EXPIRED",
            "ended",
            "idle",
            "expired",
            "deleted"
        ]
    );
}

#[test]
fn refused_commands_publish_nothing() {
    let mut rig = Rig::new();
    let session = rig.create();
    let mut listener = listen(&rig.bus, session.id);
    rig.hand.set(session.expires_at);
    rig.refusal(Heartbeat(session.id));
    let message = rig.message(session.id, "hello");
    rig.refusal(message);
    assert_eq!(heard(&mut listener), Vec::<String>::new());
}

#[test]
fn commands_of_one_batch_publish_in_their_order() {
    let mut rig = Rig::new();
    let session = rig.create();
    let mut listener = listen(&rig.bus, session.id);
    let messages: Vec<_> = (0..10)
        .map(|number| rig.message(session.id, &number.to_string()))
        .collect();
    rig.wait(futures_util::future::join_all(
        messages
            .into_iter()
            .map(|message| rig.store().submit(message)),
    ));
    let heard = heard(&mut listener);
    let said: Vec<_> = heard
        .iter()
        .filter_map(|event| event.strip_prefix("user: "))
        .collect();
    assert_eq!(said, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
}

#[test]
fn the_end_of_a_turn_that_crashed_too_often_is_published() {
    let mut rig = Rig::new();
    let session = rig.create();
    rig.ask(session.id, "hello");
    for _ in 0..3 {
        rig.kill();
        rig.open();
        let turn = rig.next_turn(session.id).unwrap();
        if turn.crashes < 3 {
            rig.submit(BeginTurn(turn)).unwrap();
        }
    }
    let mut listener = listen(&rig.bus, session.id);
    let turn = rig.next_turn(session.id).unwrap();
    rig.submit(BeginTurn(turn)).unwrap();
    assert_eq!(
        heard(&mut listener),
        ["failed AGENT_ERROR", "ended", "idle"]
    );
}
