//! Cancelled turns.

use super::super::command::{BeginTurn, CancelTurns, PartialReply};
use super::submit::submit;
use super::*;

fn cancel(session_id: SessionId) -> CancelTurns {
    CancelTurns {
        session_id,
        message_id: None,
        partial: None,
    }
}

fn partial(message: &Message, is_stored: bool) -> PartialReply {
    let mut reply = Reply::text("so far".into());
    reply.body.metadata = Some(r#"{"interrupted":true}"#.into());
    PartialReply {
        message_id: message.id,
        text: "so far".into(),
        reply: is_stored.then_some(reply),
    }
}

#[test]
fn all_turns_of_a_session_are_closed_in_one_commit() {
    let mut rig = Rig::new();
    let session = rig.create().id;
    let messages = ["one", "two", "three"].map(|content| rig.send(session, content).message);
    let mut listener = listen(&rig.bus, session);
    let command = CancelTurns {
        partial: Some(partial(&messages[0], true)),
        ..cancel(session)
    };
    let cancelled = rig.submit(command).unwrap();
    let closed: Vec<_> = cancelled.iter().map(|turn| turn.message_id).collect();
    assert_eq!(closed, messages.each_ref().map(|message| message.id));
    let replied: Vec<_> = cancelled.iter().map(|turn| turn.reply.is_some()).collect();
    assert_eq!(replied, [true, false, false]);
    assert_eq!(
        heard(&mut listener),
        [
            "agent: so far",
            "ended",
            "failed TURN_CANCELLED",
            "ended",
            "failed TURN_CANCELLED",
            "ended",
            "idle"
        ]
    );
    assert!(rig.submit(cancel(session)).unwrap().is_empty());
    assert!(heard(&mut listener).is_empty());
    assert_eq!(rig.store().check().unwrap(), Vec::<String>::new());
}

#[test]
fn one_turn_among_several_is_closed_and_the_session_stays_busy() {
    let mut rig = Rig::new();
    let session = rig.create().id;
    let first = rig.send(session, "one").message;
    let second = rig.send(session, "two").message;
    let mut listener = listen(&rig.bus, session);
    let command = |message_id| CancelTurns {
        message_id: Some(message_id),
        partial: Some(partial(&first, true)),
        ..cancel(session)
    };
    let cancelled = rig.submit(command(second.id)).unwrap();
    assert_eq!(cancelled.len(), 1);
    assert!(
        cancelled[0].reply.is_none(),
        "the text is that of another turn"
    );
    assert_eq!(heard(&mut listener), ["failed TURN_CANCELLED", "ended"]);
    assert_eq!(rig.open_turns(session).len(), 1);
    let unknown = rig.next_id();
    assert!(rig.submit(command(unknown)).unwrap().is_empty());
}

#[test]
fn whichever_commits_first_wins() {
    let mut rig = Rig::new();
    let session = rig.create().id;
    let first = rig.send(session, "one").message;
    rig.reply(&first, "in time");
    assert!(rig.submit(cancel(session)).unwrap().is_empty());

    let second = rig.send(session, "two").message;
    rig.submit(cancel(session)).unwrap();
    assert!(matches!(
        rig.submit(CloseTurn {
            session_id: session,
            message_at: second.created_at,
            result: Ok(Reply::text("too late".into())),
            partial: None,
        }),
        Ok(CloseOutcome::Failed(failure)) if failure.code == "TURN_CANCELLED"
    ));
    assert_eq!(
        rig.transcript(session).len(),
        3,
        "the late reply is not stored"
    );
}

#[test]
fn a_running_turn_of_an_expired_session_is_not_cancelled() {
    let mut rig = Rig::new();
    let session = rig.create();
    let message = rig.send(session.id, "hello").message;
    let turn = rig.next_turn(session.id).unwrap();
    rig.submit(BeginTurn(turn)).unwrap();
    let now = rig.session(session.id).unwrap();
    rig.hand.set(now.expires_at);
    assert!(matches!(
        rig.refusal(cancel(session.id)),
        RuleViolation::SessionExpired { .. }
    ));
    rig.reply(&message, "well");
    let stranger = SessionId::from(77);
    let unknown = rig.refusal(cancel(stranger));
    assert_eq!(unknown, RuleViolation::SessionNotFound(stranger));
}

#[test]
fn a_submit_to_a_cancelled_message_stores_nothing_until_it_is_sent_again() {
    for kept in [false, true] {
        let mut rig = Rig::new();
        let session = rig.create().id;
        let mut sending = rig.keyed_message(session, "hello", "k");
        sending.beginning = TurnStart::Waiting(MINUTE);
        let message = rig.submit(sending).unwrap().message;
        let command = CancelTurns {
            partial: Some(partial(&message, kept)),
            ..cancel(session)
        };
        assert_eq!(rig.submit(command).unwrap().len(), 1);
        let before = rig.transcript(session);
        let mut late = submit(&mut rig, session, "late");
        late.in_reply_to = Some(message.id);
        let refusal = rig.refusal(late);
        assert!(
            matches!(&refusal, RuleViolation::TurnCancelled(of) if of.id == message.id),
            "{refusal:?}"
        );
        assert_eq!(rig.transcript(session), before);
        let further = submit(&mut rig, session, "by itself");
        assert!(rig.submit(further).unwrap().closed.is_empty());
        if kept {
            continue;
        }
        let mut repeat = rig.keyed_message(session, "hello", "k");
        repeat.beginning = TurnStart::Waiting(MINUTE);
        rig.submit(repeat).unwrap();
        let mut answer = submit(&mut rig, session, "in time");
        answer.in_reply_to = Some(message.id);
        assert_eq!(rig.submit(answer).unwrap().closed, [message.id]);
    }
}
