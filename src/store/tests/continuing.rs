//! Sessions that begin with a copy of another one's messages.

use rstest::rstest;

use super::super::command::DeleteSession;
use super::submit::{submit, wait};
use super::*;
use crate::store::schema::tables::{MESSAGE_KEYS, OPEN_TURNS, SUBMIT_KEYS};

/// Returns the created session and its messages, oldest first.
fn continued(rig: &mut Rig, source: SessionId, last: Option<&Message>) -> (Session, Vec<Message>) {
    let last = last.map(|message| (message.id, message.created_at));
    let creation = rig.continuing(source, last);
    let session = rig.submit(creation).unwrap().session;
    let messages = oldest_first(rig, session.id);
    (session, messages)
}

fn oldest_first(rig: &Rig, session: SessionId) -> Vec<Message> {
    let mut messages = rig.transcript(session);
    messages.reverse();
    messages
}

/// Returns who said what when, without ids.
fn said(messages: &[Message]) -> Vec<(Timestamp, Body, bool)> {
    let said = |it: &Message| (it.created_at, it.body.clone(), it.is_agent());
    messages.iter().map(said).collect()
}

#[test]
fn a_copy_has_the_messages_under_new_ids_and_no_keys_and_no_open_turns() {
    let mut rig = Rig::new();
    let source = rig.create().id;
    let mut first = rig.keyed_message(source, "one", "k1");
    first.body.metadata = Some(r#"{"mood":"fine"}"#.into());
    first.body.attachments = Some(r#"[{"type":"a","url":"b"}]"#.into());
    let first = rig.submit(first).unwrap().message;
    rig.reply(&first, "well");
    let failed = rig.send(source, "two").message;
    rig.fail(&failed);
    rig.send(source, "three");
    let originals = oldest_first(&rig, source);
    let keys = (rig.rows(MESSAGE_KEYS), rig.rows(SUBMIT_KEYS));
    let mut listener = listen(&rig.bus, SessionId::from(rig.last_id + 1));
    rig.pass(HOUR);

    let (session, copies) = continued(&mut rig, source, None);
    assert_eq!(heard(&mut listener), [""; 0]);
    assert_eq!(said(&copies), said(&originals));
    for (copy, original) in copies.iter().zip(&originals) {
        assert_ne!(copy.id, original.id);
        assert_eq!(copy.session_id, session.id);
        assert_eq!(copy.author_id, original.author_id);
    }
    let Role::Agent { in_reply_to, .. } = copies[1].role else {
        panic!("{copies:?}");
    };
    assert_eq!(in_reply_to, Some(copies[0].id));
    assert_eq!(
        turn_state(&copies[0]),
        TurnState::Replied(copies[1].created_at)
    );
    assert_eq!(turn_state(&copies[2]), turn_state(&rig.stored(&failed)));
    assert_eq!(turn_state(&copies[3]), TurnState::Copied);
    let expected = ContinuedFrom {
        session_id: source,
        message_id: Some(originals[3].id),
        copied: 4,
        complete: true,
    };
    assert_eq!(session.continued_from, Some(expected));
    assert_eq!((rig.rows(MESSAGE_KEYS), rig.rows(SUBMIT_KEYS)), keys);
    assert_eq!(rig.rows(OPEN_TURNS), 1, "of the source");
    assert!(copies[3].created_at < session.created_at);

    // Also after a restart, and after the source is gone.
    rig.submit(DeleteSession(source)).unwrap();
    rig.restart();
    assert_eq!(rig.session(session.id), Some(session.clone()));
    assert_eq!(oldest_first(&rig, session.id), copies);
    let next = rig.send(session.id, "four").message;
    assert_eq!(next.created_at, rig.now());
}

#[test]
fn the_copy_ends_with_the_requested_message() {
    let mut rig = Rig::new();
    let source = rig.create().id;
    let one = rig.send(source, "one").message;
    rig.reply(&one, "well");
    let two = rig.send(source, "two").message;
    rig.reply(&two, "good");
    for (last, expected) in [
        (one.as_ref(), &["one"] as &[_]),
        (&oldest_first(&rig, source)[1], &["one", "well"]),
        (two.as_ref(), &["one", "well", "two"]),
    ] {
        let (session, copies) = continued(&mut rig, source, Some(last));
        let texts: Vec<_> = copies.iter().map(|it| it.body.content.as_str()).collect();
        assert_eq!(texts, expected);
        let found = session.continued_from.unwrap();
        assert_eq!(found.message_id, Some(last.id));
        assert!(found.complete);
        // A message whose reply was left out has none.
        let state = copies.last().unwrap().turn().cloned();
        assert!(matches!(state, None | Some(TurnState::Copied)), "{state:?}");
    }
}

#[test]
fn a_session_without_messages_can_be_continued() {
    let mut rig = Rig::new();
    let source = rig.create().id;
    let (session, copies) = continued(&mut rig, source, None);
    assert_eq!(copies, []);
    let expected = ContinuedFrom {
        session_id: source,
        message_id: None,
        copied: 0,
        complete: true,
    };
    assert_eq!(session.continued_from, Some(expected));
}

#[test]
fn a_reply_to_several_messages_stays_that_of_all_that_are_copied() {
    let mut rig = Rig::new();
    let source = rig.create().id;
    wait(&mut rig, source, "one");
    wait(&mut rig, source, "two");
    let command = submit(&mut rig, source, "both");
    rig.submit(command).unwrap();
    let (_, copies) = continued(&mut rig, source, None);
    let reply_at = copies[2].created_at;
    for copy in &copies[..2] {
        assert_eq!(turn_state(copy), TurnState::Replied(reply_at));
    }
    // The rig checks the file when it is dropped.
    super::archive::assert_comes_back(&rig);
}

#[test]
fn a_retained_session_can_be_continued_and_one_that_is_gone_cannot() {
    let mut rig = Rig::new();
    let source = rig.create();
    rig.hand.set(source.expires_at + KEPT - Millis(1));
    continued(&mut rig, source.id, None);
    rig.pass(Millis(1));
    let creation = rig.continuing(source.id, None);
    let missing = RuleViolation::SessionNotFound(source.id);
    assert_eq!(rig.refusal(creation), missing);
}

#[rstest]
#[case::user(true)]
#[case::agent(false)]
fn a_session_of_another_is_not_found(#[case] other_user: bool) {
    let mut rig = Rig::new();
    let source = rig.create().id;
    let mut creation = rig.continuing(source, None);
    if other_user {
        creation.new.user_id = UserId::from(BOB);
    } else {
        creation.new.agent_id = AgentId::from(7);
    }
    let sessions = rig.session_count();
    assert_eq!(
        rig.refusal(creation),
        RuleViolation::SessionNotFound(source)
    );
    assert_eq!(rig.session_count(), sessions);
}

#[test]
fn the_source_is_checked_before_the_message_and_both_before_the_quota() {
    let mut rig = Rig::with_rules(Rules {
        max_sessions_per_user: 1,
        ..rules()
    });
    let source = rig.create().id;
    let message = MessageId::from(99);
    let unknown = SessionId::from(98);
    let creation = rig.continuing(unknown, Some((message, START)));
    assert_eq!(
        rig.refusal(creation),
        RuleViolation::SessionNotFound(unknown)
    );
    let creation = rig.continuing(source, Some((message, START)));
    assert_eq!(
        rig.refusal(creation),
        RuleViolation::MessageNotFound(message)
    );
    let creation = rig.continuing(source, None);
    assert!(matches!(
        rig.refusal(creation),
        RuleViolation::TooManySessions { .. }
    ));
}

#[test]
fn a_create_key_compares_the_source() {
    let mut rig = Rig::new();
    let source = rig.create().id;
    let message = rig.send(source, "one").message;
    let last = Some((message.id, message.created_at));
    let keyed = |rig: &mut Rig, last| {
        let mut creation = rig.continuing(source, last);
        creation.new.create_key = Some(key("k"));
        creation
    };
    let creation = keyed(&mut rig, last);
    let session = rig.submit(creation).unwrap().session;
    // Also when the source is gone.
    rig.submit(DeleteSession(source)).unwrap();
    let creation = keyed(&mut rig, last);
    let repeat = rig.submit(creation).unwrap();
    assert_eq!((repeat.session, repeat.replayed), (session, true));
    let conflict = RuleViolation::IdempotencyConflict { key: "k".into() };
    let creation = keyed(&mut rig, None);
    assert_eq!(rig.refusal(creation), conflict);
    let creation = rig.keyed_creation("k");
    assert_eq!(rig.refusal(creation), conflict);
}

/// Stores messages of the agent, which need no turns.
fn fill(rig: &mut Rig, session: SessionId, messages: usize, content: &str) {
    rig.close(false);
    rig.edit(|txn| {
        let mut table = txn.open_table(tables::MESSAGES).unwrap();
        for number in 0..messages {
            let at = Timestamp(START.0 + 1 + i64::try_from(number).unwrap());
            let message = Message {
                id: MessageId::from(1_000_000 + number as u128),
                session_id: session,
                author_id: AgentId::from(ELIZA).0,
                created_at: at,
                body: says(content),
                role: Role::Agent {
                    in_reply_to: None,
                    thought: None,
                    actions: None,
                },
            };
            let bytes = record::encode_message(&message).unwrap();
            table
                .insert((u128::from(session), at.0), bytes.as_slice())
                .unwrap();
        }
    });
    rig.open();
}

#[rstest]
#[case::all(1_000, "x", 1_000, true)]
#[case::one_too_many(1_001, "x", 1_000, false)]
#[case::as_many_bytes_as_fit(32, &"x".repeat(65_536), 32, true)]
#[case::too_many_bytes(33, &"x".repeat(65_536), 32, false)]
fn a_copy_has_at_most_1000_messages_and_2_mib(
    #[case] stored: usize,
    #[case] content: &str,
    #[case] copied: u32,
    #[case] complete: bool,
) {
    let mut rig = Rig::new();
    let source = rig.create().id;
    fill(&mut rig, source, stored, content);
    let creation = rig.continuing(source, None);
    let began = Instant::now();
    let session = rig.submit(creation).unwrap().session;
    println!("{copied} messages copied in {:?}", began.elapsed());
    let expected = ContinuedFrom {
        session_id: source,
        message_id: Some(MessageId::from(1_000_000 + stored as u128 - 1)),
        copied,
        complete,
    };
    assert_eq!(session.continued_from, Some(expected));
    let messages = rig.page(session.id, None, None, 2_000).messages;
    assert_eq!(messages.len(), copied as usize);
}

#[test]
fn a_message_is_found_by_its_id_in_slices() {
    let mut rig = Rig::new();
    let source = rig.create().id;
    fill(&mut rig, source, 1_200, "x");
    let search = |id: u128| {
        let mut before = Timestamp::MAX;
        for slice in 1.. {
            let found = rig
                .store()
                .search_message(source, MessageId::from(id), before, 500);
            match rig.query(found) {
                MessageTimeSearch::NotFrom(at) => before = at,
                end => return (slice, end),
            }
        }
        unreachable!("it ends")
    };
    let at = |number: i64| MessageTimeSearch::Found(START + Millis(1 + number));
    assert_eq!(search(1_001_199), (1, at(1_199)));
    assert_eq!(search(1_000_000), (3, at(0)));
    assert_eq!(search(7), (4, MessageTimeSearch::Missing));
}

#[test]
fn a_damaged_message_is_left_out_and_the_copy_says_so() {
    let mut rig = Rig::new();
    let source = rig.create().id;
    let one = rig.send(source, "one").message;
    let reply = rig.reply(&one, "well");
    rig.send(source, "two");
    rig.close(false);
    rig.edit(|txn| {
        damage(
            txn,
            tables::MESSAGES,
            (u128::from(source), reply.created_at.0),
        );
    });
    rig.open();
    let (session, copies) = continued(&mut rig, source, None);
    let texts: Vec<_> = copies.iter().map(|it| it.body.content.as_str()).collect();
    assert_eq!(texts, ["one", "two"]);
    assert_eq!(turn_state(&copies[0]), TurnState::Copied);
    let continued = session.continued_from.unwrap();
    assert_eq!((continued.copied, continued.complete), (2, false));
    rig.settle();
}
