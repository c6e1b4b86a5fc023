//! Golden files of each schema version, read by the current version.
//!
//! They are never regenerated, except for an intended change of the current version before its
//! first release: `SESSIOND_REGENERATE_GOLDEN=1 cargo test --lib golden`.

use std::path::PathBuf;

use rstest::rstest;

use super::super::command::{BeginTurn, DeleteSession, Heartbeat, PatchTimeout};
use super::*;
use crate::domain::failure::FailureReason;
use crate::store::schema::deadline::{Deadline, Index};
use crate::store::schema::tables::{
    CREATE_KEYS, DEADLINES, MESSAGE_KEYS, OPEN_TURNS, SCHEMA_VERSION, SESSIONS,
};

pub(super) fn path(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/v{version}.redb"))
}

/// Stores every kind of record.
fn fill(rig: &mut Rig) {
    let mut creation = rig.keyed_creation("create-1");
    creation.requested_timeout.timeout_minutes = Some(30.0);
    let alice = rig.submit(creation).unwrap().session;
    let mut creation = rig.creation();
    creation.new.user_id = UserId::from(BOB);
    creation.new.metadata = "{}".into();
    creation.new.timeout.auto_renew = false;
    let bob = rig.submit(creation).unwrap().session;
    let deleted = rig.create();

    rig.pass(SECOND);
    let mut message = rig.keyed_message(alice.id, "Grüße", "send-1");
    message.body.metadata = Some(r#"{"mood":"fine"}"#.into());
    message.body.attachments =
        Some(r#"[{"type":"image","url":"https://example.org/a.png"}]"#.into());
    let replied = rig.submit(message).unwrap().message;
    rig.pass(SECOND);
    rig.submit(CloseTurn {
        partial: None,
        session_id: alice.id,
        message_at: replied.created_at,
        result: Ok(Reply {
            body: says("Well met."),
            thought: Some("a greeting".into()),
            actions: Some(r#"["REPLY"]"#.into()),
            session_metadata: None,
        }),
    })
    .unwrap();
    let failed = rig.send(alice.id, "Will this fail?").message;
    rig.fail(&failed);
    rig.send(alice.id, "Are you there?");
    let turn = rig.next_turn(alice.id).unwrap();
    rig.submit(BeginTurn(turn)).unwrap();
    let message = rig.keyed_message(alice.id, "And now?", "send-2");
    rig.submit(message).unwrap();

    rig.submit(Heartbeat(bob.id)).unwrap();
    rig.submit(PatchTimeout {
        session_id: bob.id,
        patch: TimeoutOverrides {
            timeout_minutes: Some(60.0),
            warning_threshold_minutes: Some(7.0),
            ..TimeoutOverrides::default()
        },
    })
    .unwrap();
    rig.send(deleted.id, "What was deleted is not here.");
    rig.submit(DeleteSession(deleted.id)).unwrap();
}

#[test]
fn the_current_golden_file_is_regenerated_on_request() {
    if std::env::var_os("SESSIOND_REGENERATE_GOLDEN").is_none() {
        return;
    }
    let mut rig = Rig::new();
    fill(&mut rig);
    rig.close(false);
    let mut database = Database::open(rig.path()).unwrap();
    database.compact().unwrap();
    drop(database);
    std::fs::copy(rig.path(), path(SCHEMA_VERSION)).unwrap();
}

/// Returns a rig on a copy of a golden file.
fn golden(version: u32) -> Rig {
    let mut rig = Rig::closed(rules());
    std::fs::copy(path(version), rig.path()).unwrap();
    let found = rig.open();
    assert_eq!((found.sessions, found.clean_stop), (2, Some(true)));
    rig
}

#[rstest]
fn a_file_of_any_version_holds_its_sessions(#[values(1, 2, 3)] version: u32) {
    let rig = golden(version);
    let sessions = rig.all_sessions();
    let alice = Session {
        id: SessionId::from(1),
        agent_id: AgentId::from(ELIZA),
        user_id: UserId::from(ALICE),
        created_at: START,
        last_activity: Timestamp(START.0 + 2_000),
        window_start: Timestamp(START.0 + 2_000),
        expires_at: Timestamp(START.0 + 2_000 + 1_800_000),
        warn_at: Timestamp(START.0 + 2_000 + 1_500_000),
        scheduled_at: Timestamp(START.0 + 2_000),
        timeout: TimeoutConfig {
            timeout_minutes: 30,
            auto_renew: true,
            max_duration_minutes: 720,
            warning_threshold_minutes: 5,
        },
        renewal_count: 4,
        metadata: r#"{"username":"Alice"}"#.into(),
        create_key: Some(key("create-1")),
        continued_from: None,
    };
    let bob = Session {
        id: SessionId::from(2),
        agent_id: AgentId::from(ELIZA),
        user_id: UserId::from(BOB),
        created_at: START,
        last_activity: Timestamp(START.0 + 2_000),
        window_start: START,
        expires_at: Timestamp(START.0 + 3_600_000),
        warn_at: Timestamp(START.0 + 3_180_000),
        scheduled_at: Timestamp(START.0 + 2_000),
        timeout: TimeoutConfig {
            timeout_minutes: 60,
            auto_renew: false,
            max_duration_minutes: 720,
            warning_threshold_minutes: 7,
        },
        renewal_count: 0,
        metadata: "{}".into(),
        create_key: None,
        continued_from: None,
    };
    assert_eq!(sessions, [bob, alice]);
}

#[rstest]
fn a_file_of_any_version_holds_its_messages(#[values(1, 2, 3)] version: u32) {
    let rig = golden(version);
    let user = |ids: u128, at, content: &str, turn| Message {
        id: MessageId::from(ids),
        session_id: SessionId::from(1),
        author_id: UserId::from(ALICE).0,
        created_at: Timestamp(START.0 + at),
        body: says(content),
        role: Role::User {
            sender: Sender::default(),
            turn_id: TurnId::from(ids + 1),
            reply_id: MessageId::from(ids + 2),
            turn,
        },
    };
    let replied = TurnState::Replied(Timestamp(START.0 + 2_000));
    let mut first = user(4, 1_000, "Grüße", replied);
    first.body.metadata = Some(r#"{"mood":"fine"}"#.into());
    first.body.attachments = Some(r#"[{"type":"image","url":"https://example.org/a.png"}]"#.into());
    let reply = Message {
        id: MessageId::from(6),
        session_id: SessionId::from(1),
        author_id: AgentId::from(ELIZA).0,
        created_at: Timestamp(START.0 + 2_000),
        body: says("Well met."),
        role: Role::Agent {
            in_reply_to: Some(MessageId::from(4)),
            thought: Some("a greeting".into()),
            actions: Some(r#"["REPLY"]"#.into()),
        },
    };
    let failure = TurnFailure {
        code: "AGENT_ERROR".into(),
        message: "The agent could not answer".into(),
        // Older versions stored none.
        reason: (version > 2).then_some(FailureReason::Internal),
    };
    assert_eq!(
        rig.transcript(SessionId::from(1)),
        [
            user(13, 2_003, "And now?", TurnState::Open),
            user(10, 2_002, "Are you there?", TurnState::Open),
            user(7, 2_001, "Will this fail?", TurnState::Failed(failure)),
            reply,
            first,
        ]
    );
    assert_eq!(rig.transcript(SessionId::from(2)), []);
    assert_eq!(rig.transcript(SessionId::from(3)), []);
}

#[rstest]
fn a_file_of_any_version_holds_its_keys_and_open_turns(#[values(1, 2, 3)] version: u32) {
    let mut rig = golden(version);
    let rows = (
        rig.rows(CREATE_KEYS),
        rig.rows(MESSAGE_KEYS),
        rig.rows(OPEN_TURNS),
    );
    assert_eq!(rows, (1, 2, 2));
    let alice = SessionId::from(1);

    // It had begun when the server stopped cleanly.
    let turn = OpenTurn {
        session_id: alice,
        position: 0,
        message_at: Timestamp(START.0 + 2_002),
        begun: true,
        running: false,
        crashes: 0,
        waits_until: None,
    };
    assert_eq!(rig.next_turn(alice), Some(turn));
    let there = rig.transcript(alice).remove(1);
    rig.reply(&there, "Yes.");
    let turn = OpenTurn {
        session_id: alice,
        position: 1,
        message_at: Timestamp(START.0 + 2_003),
        begun: false,
        running: false,
        crashes: 0,
        waits_until: None,
    };
    assert_eq!(rig.next_turn(alice), Some(turn));

    let repeat = rig.keyed_message(alice, "And now?", "send-2");
    let repeat: Sent = rig.submit(repeat).unwrap();
    assert!(repeat.replayed);
    assert_eq!(repeat.message.id, MessageId::from(13));
    let mut creation = rig.keyed_creation("create-1");
    creation.requested_timeout.timeout_minutes = Some(30.0);
    let repeat: Created = rig.submit(creation).unwrap();
    assert!(repeat.replayed);
    assert_eq!(repeat.session.id, alice);
    let mut creation = rig.keyed_creation("create-1");
    creation.requested_timeout.timeout_minutes = Some(31.0);
    let key = "create-1".into();
    let conflict = RuleViolation::IdempotencyConflict { key };
    assert_eq!(rig.refusal(creation), conflict);
}

#[rstest]
fn a_file_of_any_version_has_its_deadlines_in_one_index(#[values(1, 2, 3)] version: u32) {
    let mut rig = golden(version);
    let [alice, bob] = [1, 2].map(SessionId::from);
    let alice_at = START + Millis(2_000) + Millis(30 * MINUTE.0);
    let bob_at = START + Millis(60 * MINUTE.0);
    let due = |rig: &Rig, deadline| {
        let until = START + Millis(HOUR.0);
        rig.read(|reader| Index::new(&reader.deadlines()?)?.due(deadline, None, until, 10))
    };
    for _ in 0..2 {
        assert_eq!(
            due(&rig, Deadline::Expiry),
            [(alice_at, alice), (bob_at, bob)]
        );
        let spans = [5, 7].map(|minutes| Millis(minutes * MINUTE.0));
        assert_eq!(
            due(&rig, Deadline::Warning),
            [(alice_at - spans[0], alice), (bob_at - spans[1], bob)]
        );
        assert_eq!(rig.rows(DEADLINES), 2);
        rig.restart();
    }
    let stats = |active, expired, near_expiration| Stats {
        active,
        expired,
        near_expiration,
    };
    assert_eq!(rig.stats(), stats(2, 0, 0));
    rig.hand.set(alice_at - MINUTE);
    assert_eq!(rig.stats(), stats(2, 0, 1));
    rig.hand.set(alice_at);
    assert_eq!(rig.stats(), stats(1, 1, 0));
}

#[rstest]
fn the_deadlines_of_a_damaged_record_are_preserved(#[values(1, 2, 3)] version: u32) {
    let mut rig = Rig::closed(rules());
    std::fs::copy(path(version), rig.path()).unwrap();
    rig.edit(|txn| damage(txn, SESSIONS, 2_u128));
    rig.open();
    let bob = SessionId::from(2);
    let _ = rig.wait(rig.store().session(bob));
    rig.settle();
    let aside = rig.quarantined();
    assert_eq!(aside.len(), 1);
    assert_eq!(aside[0].expires_at, Some(START + Millis(60 * MINUTE.0)));
}

#[rstest]
fn a_file_of_any_version_can_be_used_until_it_is_empty(#[values(1, 2, 3)] version: u32) {
    let mut rig = golden(version);
    rig.last_id = 100;
    let session = rig.create();
    let sent = rig.send(session.id, "hello");
    rig.reply(&sent.message, "well");
    rig.pass(Millis(10 * HOUR.0));
    assert_eq!(rig.purge().1.len(), 3);
    assert_eq!(rig.all_rows(), 0);
}
