//! Turns that wait for a submitted reply: how their agent finds them and is notified of their end.

use super::super::command::{BeginTurn, DeleteSession, FailedTurns, SubmitFailure};
use super::submit::{failure as submitted_error, submit, wait};
use super::*;
use crate::domain::failure::FailureReason;
use crate::domain::turn::ContextNeeds;
use crate::domain::waiting::{ClosedReason, TurnSelector};
use crate::events::work::{WorkChange, WorkSubscription};
use crate::store::schema::tables::{META, OPEN_TURNS, SESSIONS, SUBMIT_KEYS, WAITING_TURNS, meta};

fn subscribe(rig: &Rig) -> WorkSubscription {
    rig.bus.work().subscribe(AgentId::from(ELIZA)).unwrap()
}

/// Returns the changes since the last call: the content of the message, and why its turn was
/// closed.
fn changes(
    subscription: &mut WorkSubscription,
    messages: &[&Message],
) -> Vec<(String, Option<ClosedReason>)> {
    let mut changes = Vec::new();
    while let Some(event) = subscription.try_next().unwrap() {
        let message = messages.iter().find(|message| {
            message.created_at == event.position.message_at
                && message.session_id == event.position.session_id
        });
        let message = message.expect("one of the messages");
        let reason = match event.change {
            WorkChange::Waits => None,
            WorkChange::Closed {
                turn_id,
                message_id,
                reason,
            } => {
                assert_eq!((message_id, turn_id), (message.id, turn_of(message)));
                Some(reason)
            }
        };
        changes.push((message.body.content.clone(), reason));
    }
    changes
}

fn turn_of(message: &Message) -> TurnId {
    match message.role {
        Role::User { turn_id, .. } => turn_id,
        Role::Agent { .. } => panic!("the user's"),
    }
}

/// Returns pages of the waiting turns of an agent, as the contents of their messages.
fn pages(rig: &Rig, limit: usize, max_bytes: usize) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let request = WaitingRequest {
            agent_id: AgentId::from(ELIZA),
            after,
            limit,
            max_bytes,
            wants: ContextNeeds::default(),
        };
        let page = rig.wait(rig.store().waiting_turns(request)).unwrap();
        let contents = page
            .turns
            .iter()
            .map(|turn| turn.message.body.content.clone());
        pages.push(contents.collect());
        after = page.next;
        if after.is_none() {
            return pages;
        }
    }
}

fn stored_failure(rig: &Rig, message: &Message) -> TurnFailure {
    match turn_state(&rig.stored(message)) {
        TurnState::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_agent_finds_its_turns_across_sessions_the_oldest_first() {
    let mut rig = Rig::new();
    let sessions = [(); 3].map(|()| rig.create().id);
    assert_eq!(pages(&rig, 10, usize::MAX), [[""; 0]]);
    for (number, session) in [2, 0, 1, 0].into_iter().enumerate() {
        rig.pass(SECOND);
        wait(&mut rig, sessions[session], &number.to_string());
    }
    // Turns that the server runs itself, and those of another agent, are not among them.
    rig.send(sessions[0], "not asked yet");
    let mut creation = rig.creation();
    creation.new.agent_id = AgentId::from(7);
    let other = rig.submit(creation).unwrap().session.id;
    wait(&mut rig, other, "of another agent");

    assert_eq!(pages(&rig, 10, usize::MAX), [["0", "1", "2", "3"]]);
    let two = [["0", "1"], ["2", "3"]];
    assert_eq!(pages(&rig, 2, usize::MAX), two);
    assert_eq!(pages(&rig, 3, usize::MAX).last().unwrap(), &["3"]);
    // A page ends early if its texts are long.
    assert_eq!(pages(&rig, 10, 1).len(), 4);
    rig.restart();
    assert_eq!(pages(&rig, 2, usize::MAX), two);

    let command = submit(&mut rig, sessions[0], "to one and three");
    rig.submit(command).unwrap();
    assert_eq!(pages(&rig, 10, usize::MAX), [["0", "2"]]);
}

#[test]
fn an_agent_hears_how_each_turn_was_closed() {
    let mut rig = Rig::new();
    let mut subscription = subscribe(&rig);
    let ids = [(); 5].map(|()| rig.create().id);
    let names = ["answered", "failed", "late", "deleted", "expired"];
    let mut messages = Vec::new();
    for (session, name) in ids.into_iter().zip(names) {
        messages.push(wait(&mut rig, session, name));
    }
    let messages: Vec<&Message> = messages.iter().map(AsRef::as_ref).collect();
    let waits = names.map(|name| (name.to_owned(), None));
    assert_eq!(changes(&mut subscription, &messages), waits);

    let command = submit(&mut rig, ids[0], "well");
    rig.submit(command).unwrap();
    rig.submit(submitted_error(ids[1], "no")).unwrap();
    let mut late = super::failure(messages[2]);
    late.result = Err(TurnFailure::agent_timeout());
    rig.submit(late).unwrap();
    rig.submit(DeleteSession(ids[3])).unwrap();
    rig.pass(Millis(20 * HOUR.0));
    rig.purge();
    let reasons = [
        ClosedReason::Answered,
        ClosedReason::Answered,
        ClosedReason::Timeout,
        ClosedReason::Deleted,
        ClosedReason::Expired,
    ];
    let closed: Vec<_> = names
        .map(str::to_owned)
        .into_iter()
        .zip(reasons.map(Some))
        .collect();
    assert_eq!(changes(&mut subscription, &messages), closed);
    assert_eq!(rig.all_rows(), 0);

    // If the server asks the agent itself, the turn is no longer for workers.
    let session = rig.create().id;
    let message = wait(&mut rig, session, "one");
    let turn = rig.next_turn(session).unwrap();
    rig.submit(BeginTurn(turn)).unwrap();
    let expected = [
        ("one".into(), None),
        ("one".into(), Some(ClosedReason::Cancelled)),
    ];
    assert_eq!(changes(&mut subscription, &[&message]), expected);
}

#[test]
fn a_submit_that_names_a_turn_closes_exactly_that_one_or_nothing() {
    let mut rig = Rig::new();
    let session = rig.create().id;
    let [one, two, three] = ["one", "two", "three"].map(|text| wait(&mut rig, session, text));
    let by_turn = |rig: &mut Rig, turn_id| {
        let mut command = submit(rig, session, "well");
        command.turn_id = Some(turn_id);
        // The turn overrides the message.
        command.in_reply_to = Some(three.id);
        command
    };
    let closed = |turn_id, reason| RuleViolation::TurnClosed {
        turn_id: Some(turn_id),
        reason,
    };
    let command = by_turn(&mut rig, turn_of(&two));
    let submitted = rig.submit(command).unwrap();
    assert_eq!(submitted.closed, [two.id]);
    let command = by_turn(&mut rig, turn_of(&two));
    let refusal = closed(turn_of(&two), ClosedReason::Answered);
    assert_eq!(rig.refusal(command), refusal);
    // The same for a turn that failed, and for one that never existed.
    let mut late = super::failure(&one);
    late.result = Err(TurnFailure::agent_timeout());
    rig.submit(late).unwrap();
    let command = by_turn(&mut rig, turn_of(&one));
    let refusal = closed(turn_of(&one), ClosedReason::Timeout);
    assert_eq!(rig.refusal(command), refusal);
    let stranger = TurnId::from(u128::MAX - 1);
    let command = by_turn(&mut rig, stranger);
    assert_eq!(
        rig.refusal(command),
        closed(stranger, ClosedReason::Deleted)
    );
    // None is accepted if the server asks the agent itself.
    let mut command = by_turn(&mut rig, turn_of(&three));
    command.closes_turns = false;
    let refusal = closed(turn_of(&three), ClosedReason::Cancelled);
    assert_eq!(rig.refusal(command), refusal);
    assert_eq!(rig.transcript(session).len(), 4);
    assert_eq!(rig.open_turns(session).len(), 1);
}

#[test]
fn an_error_closes_turns_and_is_retained_with_its_key() {
    let mut rig = Rig::new();
    let session = rig.create().id;
    let none = |reason| RuleViolation::TurnClosed {
        turn_id: None,
        reason,
    };
    let refusal = rig.refusal(submitted_error(session, "no"));
    assert_eq!(refusal, none(ClosedReason::Deleted));
    let [one, two] = ["one", "two"].map(|text| wait(&mut rig, session, text));
    let mut listener = listen(&rig.bus, session);
    let error = |message: &str| {
        let mut error = submitted_error(session, message);
        error.key = Some(key("k"));
        error.sent_with.body.metadata = Some(r#"{"a":1,"b":2}"#.into());
        error
    };
    let failed = FailedTurns {
        failed: vec![one.id, two.id],
        failure: TurnFailure::refused("I may not".into()),
        replayed: false,
    };
    assert_eq!(rig.submit(error("I may not")).unwrap(), failed);
    assert_eq!(
        heard(&mut listener),
        [
            "failed AGENT_ERROR",
            "ended",
            "failed AGENT_ERROR",
            "ended",
            "idle"
        ]
    );
    for message in [&one, &two] {
        let failure = stored_failure(&rig, message);
        assert_eq!(failure.message, "I may not");
        assert_eq!(failure.reason, Some(FailureReason::Refused));
    }
    assert_eq!(
        rig.refusal(submitted_error(session, "no")),
        none(ClosedReason::Answered)
    );

    rig.restart();
    // However its JSON is written.
    let mut repeat = error("I may not");
    repeat.sent_with.body.metadata = Some(r#"{ "b": 2, "a": 1 }"#.into());
    let replayed = FailedTurns {
        replayed: true,
        ..failed
    };
    assert_eq!(rig.submit(repeat).unwrap(), replayed);
    let mut without = error("I may not");
    without.sent_with = Reply::default();
    let conflict = RuleViolation::IdempotencyConflict { key: "k".into() };
    for other in [error("I cannot"), without] {
        assert_eq!(rig.refusal(other), conflict);
    }
    let mut reply = submit(&mut rig, session, "well");
    reply.key = Some(key("k"));
    assert_eq!(rig.refusal(reply), conflict);
    // And the other way round.
    let mut reply = submit(&mut rig, session, "well");
    reply.key = Some(key("r"));
    rig.submit(reply).unwrap();
    let mut other = submitted_error(session, "well");
    other.key = Some(key("r"));
    assert_eq!(
        rig.refusal(other),
        RuleViolation::IdempotencyConflict { key: "r".into() }
    );

    rig.submit(DeleteSession(session)).unwrap();
    assert_eq!(rig.all_rows(), 0);
}

#[test]
fn one_turn_of_several_fails_by_its_id() {
    let mut rig = Rig::new();
    let session = rig.create().id;
    let [one, two] = ["one", "two"].map(|text| wait(&mut rig, session, text));
    let command = SubmitFailure {
        selector: TurnSelector::Turn(turn_of(&one)),
        ..submitted_error(session, "no")
    };
    assert_eq!(rig.submit(command).unwrap().failed, [one.id]);
    assert_eq!(rig.stored(&two), *two);
    let command = SubmitFailure {
        selector: TurnSelector::Turn(turn_of(&one)),
        ..submitted_error(session, "no")
    };
    let refusal = RuleViolation::TurnClosed {
        turn_id: Some(turn_of(&one)),
        reason: ClosedReason::Answered,
    };
    assert_eq!(rig.refusal(command), refusal);
}

#[test]
fn a_file_of_an_older_version_gets_its_index() {
    let mut rig = Rig::new();
    for number in 0..3 {
        let session = rig.create().id;
        wait(&mut rig, session, &number.to_string());
        rig.send(session, "not asked yet");
    }
    let before = rig.contents();
    assert_eq!(before.waiting.len(), 3);
    rig.close(false);
    rig.edit(|txn| {
        txn.delete_table(WAITING_TURNS).unwrap();
        let version = record::encode_number(2).unwrap();
        let mut names = txn.open_table(META).unwrap();
        names.insert(meta::SCHEMA, version.as_slice()).unwrap();
    });
    rig.open();
    assert_eq!(rig.contents(), before);
}

#[test]
fn an_index_that_does_not_fit_is_found() {
    let mut rig = Rig::new();
    let session = rig.create().id;
    let message = wait(&mut rig, session, "one");
    rig.close(false);
    let sound = rig.bytes();
    let id = u128::from(session);
    let at = message.created_at;
    rig.edit(|txn| {
        let mut index = txn.open_table(WAITING_TURNS).unwrap();
        index.remove((ELIZA, at.0, id)).unwrap();
    });
    rig.open();
    let no_row = format!("waiting_turns: ({session}, {at}) has no row");
    assert_eq!(rig.store().check().unwrap(), [no_row]);
    rig.close(false);
    for (agent, offset) in [(ELIZA, 1), (7, 0)] {
        std::fs::write(rig.path(), &sound).unwrap();
        rig.edit(|txn| {
            let mut index = txn.open_table(WAITING_TURNS).unwrap();
            index.insert((agent, at.0 + offset, id), ()).unwrap();
        });
        rig.open();
        let at = at + Millis(offset);
        let no_turn = format!("waiting_turns: the row ({session}, {at}) has no turn");
        assert_eq!(rig.store().check().unwrap(), [no_turn]);
        rig.close(false);
    }
    std::fs::write(rig.path(), &sound).unwrap();
    rig.open();
}

type Damage = Box<dyn Fn(&WriteTransaction)>;

/// Every record of a waiting turn is damaged in turn; the index follows what is left of it, whether
/// the session lives on, is deleted or purged.
#[test]
fn no_damaged_record_leaves_a_row_behind() {
    let mut rig = Rig::new();
    let session = rig.create().id;
    let message = wait(&mut rig, session, "one");
    wait(&mut rig, session, "two");
    let mut error = submitted_error(session, "no");
    error.selector = TurnSelector::Message(message.id);
    error.key = Some(key("k"));
    rig.submit(error).unwrap();
    let id = u128::from(session);
    rig.close(false);
    let sound = rig.bytes();
    let damages: [Damage; 5] = [
        Box::new(move |txn| damage(txn, SESSIONS, id)),
        Box::new(move |txn| damage(txn, OPEN_TURNS, (id, 1))),
        Box::new(move |txn| damage(txn, tables::MESSAGES, (id, START.0 + 1))),
        Box::new(move |txn| damage(txn, SUBMIT_KEYS, (id, "k"))),
        Box::new(move |txn| {
            damage(txn, OPEN_TURNS, (id, 1));
            damage(txn, tables::MESSAGES, (id, START.0 + 1));
        }),
    ];
    for (nth, damage_it) in damages.iter().enumerate() {
        for end in ["nothing", "delete", "purge"] {
            std::fs::write(rig.path(), &sound).unwrap();
            rig.hand.set(START);
            rig.edit(|txn| damage_it(txn));
            rig.open();
            if end == "delete" {
                // Before anything else finds the damage.
                rig.submit(DeleteSession(session)).unwrap();
            }
            let _ = pages(&rig, 10, usize::MAX);
            let _ = rig.transcript(session);
            let mut reply = submit(&mut rig, session, "well");
            reply.key = Some(key("k"));
            let _ = rig.submit(reply);
            rig.settle();
            assert_eq!(
                rig.store().check().unwrap(),
                Vec::<String>::new(),
                "{nth} {end}"
            );
            if end != "nothing" {
                rig.pass(Millis(20 * HOUR.0));
                rig.purge();
                rig.settle();
                rig.purge();
                assert_eq!(rig.rows(WAITING_TURNS), 0, "{nth} {end}");
            }
            rig.close(false);
        }
    }
    std::fs::write(rig.path(), &sound).unwrap();
    rig.open();
}
