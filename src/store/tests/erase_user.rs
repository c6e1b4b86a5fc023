//! Erasing everything of a user.

use super::super::command::{DeleteSession, EraseUser, RemoteSession, StoreRemoteSession};
use super::*;
use crate::archive;
use crate::domain::key::RequestDigest;
use crate::domain::session::LifeStage::{Active, Expired, Gone};
use crate::domain::waiting::ClosedReason;
use crate::events::work::WorkChange;
use crate::store::ExportCursor;
use crate::store::schema::record::CreateClaim;
use crate::store::schema::tables::{CREATE_KEYS, DELETIONS, MESSAGES, SESSIONS};

/// The most rows that one slice may remove: 500, and the few of the last session that it reaches.
const MOST_PER_SLICE: u64 = 540;

const WORD: &str = "a word that must not linger in the file";

fn alice() -> UserId {
    UserId::from(ALICE)
}

/// Creates a session of a user, under a key, with a message under a key, and its reply.
fn conversation(rig: &mut Rig, user: u128, name: &str, word: &str) -> Session {
    let mut creation = rig.keyed_creation(name);
    creation.new.user_id = UserId::from(user);
    creation.new.metadata = format!(r#"{{"note":"{word}"}}"#);
    let session = rig.submit(creation).unwrap().session;
    let mut message = rig.keyed_message(session.id, word, name);
    message.beginning = TurnStart::AtOnce;
    let message = rig.submit(message).unwrap().message;
    rig.reply(&message, word);
    session
}

fn exported(rig: &Rig, mut cursor: ExportCursor) -> Vec<String> {
    let mut lines = Vec::new();
    while !cursor.is_done() {
        let items = rig.read(|reader| reader.export(&mut cursor, 3, START));
        lines.extend(items.iter().map(archive::line));
    }
    assert!(cursor.take_lost().is_empty());
    lines
}

fn of_user(rig: &Rig, user: u128) -> Vec<String> {
    exported(rig, ExportCursor::of_user(UserId::from(user)))
}

/// Whether the closed file contains a text.
fn lingers(rig: &Rig, text: &str) -> bool {
    let bytes = rig.bytes();
    memchr::memmem::find(&bytes, text.as_bytes()).is_some()
}

#[test]
fn everything_of_a_user_is_erased_and_nothing_of_others() {
    let mut rig = Rig::new();
    let gone = conversation(&mut rig, ALICE, "gone", WORD);
    rig.pass(Millis(30 * MINUTE.0));
    let expired = conversation(&mut rig, ALICE, "expired", WORD);
    rig.hand.set(gone.expires_at + KEPT);
    let others = conversation(&mut rig, BOB, "theirs", "hello");
    rig.pass(MINUTE);
    let active = conversation(&mut rig, ALICE, "active", WORD);
    let waiting = rig.create();
    let remote = "their-session".to_owned();
    rig.submit(StoreRemoteSession {
        session_id: active.id,
        name: remote.clone(),
    })
    .unwrap();
    let mut message = rig.message(waiting.id, WORD);
    message.beginning = TurnStart::Waiting(HOUR);
    let waits = rig.submit(message).unwrap().message;
    rig.send(waiting.id, WORD);
    let stages = [&gone, &expired, &active].map(|it| it.life_stage(rig.now(), KEPT));
    assert_eq!(stages, [Gone, Expired, Active]);
    let before = rig.transcript(others.id);
    assert_eq!(of_user(&rig, ALICE).len(), 4 + 6 + 2);

    let mut listener = listen(&rig.bus, waiting.id);
    let mut work = rig.bus.work().subscribe(AgentId::from(ELIZA)).unwrap();
    let erased = rig.submit(EraseUser::new(alice())).unwrap();
    assert!(erased.next.is_none());
    let all = [gone.id, expired.id, active.id, waiting.id];
    assert_eq!(erased.sessions, all);
    assert_eq!(erased.deleted, 3, "one was past its retention");
    let agent_id = AgentId::from(ELIZA);
    let name = remote;
    assert_eq!(erased.remotes, [RemoteSession { agent_id, name }]);
    assert_eq!(heard(&mut listener), ["deleted"]);
    let WorkChange::Closed {
        message_id, reason, ..
    } = work.try_next().unwrap().unwrap().change
    else {
        panic!("it does not wait any more");
    };
    assert_eq!((message_id, reason), (waits.id, ClosedReason::Deleted));

    for id in all {
        assert_eq!(rig.session(id), None);
        assert!(rig.transcript(id).is_empty());
        let gone = RuleViolation::SessionNotFound(id);
        assert_eq!(rig.refusal(DeleteSession(id)), gone);
    }
    assert_eq!(of_user(&rig, ALICE), [""; 0]);
    assert_eq!(rig.transcript(others.id), before);
    assert_eq!(exported(&rig, ExportCursor::all()), of_user(&rig, BOB));
    // The other user's session with two index rows, two messages and two keys.
    assert_eq!(rig.all_rows(), 3 + 2 + 2);
    let again = rig.erase_user(alice());
    assert_eq!(again, (Vec::new(), 0));
    // The key is free again.
    let creation = rig.keyed_creation("active");
    assert!(!rig.submit(creation).unwrap().replayed);
}

#[test]
fn nothing_of_an_erased_user_lingers_in_a_compacted_file() {
    let mut rig = Rig::new();
    for number in 0..60 {
        let name = format!("{WORD} {number}").replace(' ', "-");
        conversation(&mut rig, ALICE, &name, WORD);
        conversation(&mut rig, BOB, &format!("k{number}"), "hello");
    }
    let long = conversation(&mut rig, ALICE, "long", WORD);
    for _ in 0..20 {
        let sent = rig.send(long.id, &format!("{WORD} ").repeat(200));
        rig.fail(&sent.message);
    }
    let lost = conversation(&mut rig, ALICE, "lost", WORD);
    rig.close(false);
    rig.edit(|txn| {
        damage(txn, SESSIONS, u128::from(lost.id));
        damage(txn, MESSAGES, (u128::from(long.id), long.created_at.0));
        damage(txn, CREATE_KEYS, (ALICE, "lost"));
    });
    rig.open();
    rig.all_sessions();
    let _ = rig.wait(rig.store().session(lost.id));
    rig.transcript(long.id);
    let creation = rig.keyed_creation("lost");
    let _ = rig.submit(creation);
    rig.settle();
    assert_eq!(rig.quarantined().len(), 3);

    assert_eq!(rig.erase_user(alice()).1, 62);
    assert_eq!(rig.store().health().undecodable_sessions, 0);
    assert!(rig.quarantined().is_empty());
    let rows = rig.all_rows();
    rig.close(false);
    super::compact(&rig.path()).unwrap();
    assert!(!lingers(&rig, "must not linger"));
    assert!(!lingers(&rig, "must-not-linger"));
    assert!(lingers(&rig, "hello"));
    for id in [ALICE.to_be_bytes(), ALICE.to_le_bytes()] {
        assert!(memchr::memmem::find(&rig.bytes(), &id).is_none());
    }
    rig.open();
    assert_eq!(rig.all_rows(), rows);
}

#[test]
fn many_sessions_are_erased_in_slices_and_those_created_meanwhile_stay() {
    let mut rig = Rig::new();
    for number in 0..300 {
        conversation(&mut rig, ALICE, &format!("k{number}"), WORD);
    }
    let long = rig.create();
    for _ in 0..700 {
        let sent = rig.send(long.id, "hello");
        rig.fail(&sent.message);
    }
    let mut created = Vec::new();
    let mut slices = 0;
    let (mut gone, mut deleted) = (Vec::new(), 0);
    let mut next = Some(EraseUser::new(alice()));
    while let Some(slice) = next {
        let before = rig.all_rows();
        let erased = rig.submit(slice).unwrap();
        let removed = before - rig.all_rows();
        assert!(removed <= MOST_PER_SLICE, "{removed}");
        assert_eq!(rig.store().check().unwrap(), Vec::<String>::new());
        gone.extend(erased.sessions);
        deleted += erased.deleted;
        next = erased.next;
        slices += 1;
        if next.is_some() {
            let meanwhile = format!("meanwhile-{slices}");
            created.push(conversation(&mut rig, ALICE, &meanwhile, "hello"));
        }
    }
    assert!(slices > 4, "{slices}");
    assert_eq!((gone.len(), deleted), (301, 301));
    assert_eq!(rig.rows(DELETIONS), 0);
    created.reverse();
    let left: Vec<_> = rig.all_sessions().iter().map(|it| it.id).collect();
    let expected: Vec<_> = created.iter().map(|it| it.id).collect();
    assert_eq!(left, expected);
    let repeat = rig.keyed_creation("meanwhile-1");
    let repeat = rig.submit(CreateSession {
        new: NewSession {
            metadata: r#"{"note":"hello"}"#.into(),
            ..repeat.new
        },
        ..repeat
    });
    assert!(repeat.unwrap().replayed, "its key stays, too");
}

#[test]
fn an_erasure_that_a_crash_cuts_off_can_be_repeated() {
    let mut rig = Rig::new();
    let long = rig.create();
    for _ in 0..700 {
        let sent = rig.send(long.id, WORD);
        rig.fail(&sent.message);
    }
    for number in 0..120 {
        conversation(&mut rig, ALICE, &format!("k{number}"), WORD);
    }
    let first = rig.submit(EraseUser::new(alice())).unwrap();
    assert!(first.next.is_some());
    rig.kill();
    rig.open();
    let (_, deleted) = rig.erase_user(alice());
    assert_eq!(first.deleted + deleted, 121);
    assert_eq!(rig.all_rows(), 0, "also the messages that were left");
}

#[test]
fn damaged_records_of_a_user_are_erased_quarantined_or_not() {
    for is_settled in [false, true] {
        let mut rig = Rig::new();
        let lost = conversation(&mut rig, ALICE, "lost", WORD);
        let sound = conversation(&mut rig, ALICE, "sound", WORD);
        let theirs = conversation(&mut rig, BOB, "theirs", "hello");
        rig.close(false);
        rig.edit(|txn| {
            damage(txn, SESSIONS, u128::from(lost.id));
            damage(txn, SESSIONS, u128::from(theirs.id));
            damage(txn, MESSAGES, (u128::from(sound.id), sound.created_at.0));
            damage(txn, CREATE_KEYS, (ALICE, "sound"));
            damage(txn, CREATE_KEYS, (BOB, "theirs"));
            // A key whose session is gone.
            let claim = CreateClaim {
                session_id: SessionId::from(7_000_000),
                created_at: START,
                digest: RequestDigest([0; 32]),
            };
            let mut keys = txn.open_table(CREATE_KEYS).unwrap();
            let bytes = record::encode_claim(&claim).unwrap();
            keys.insert((ALICE, "stray"), bytes.as_slice()).unwrap();
        });
        rig.open();
        if is_settled {
            rig.all_sessions();
            rig.transcript(sound.id);
            for (user, name) in [(ALICE, "sound"), (BOB, "theirs")] {
                let mut creation = rig.keyed_creation(name);
                creation.new.user_id = UserId::from(user);
                assert!(rig.submit(creation).is_err());
            }
            rig.settle();
            let locations: Vec<_> = rig
                .quarantined()
                .into_iter()
                .map(|it| it.location)
                .collect();
            assert_eq!(locations.len(), 5, "{locations:?}");
            let lines = of_user(&rig, ALICE);
            assert!(lines.iter().any(|line| line.contains(&lost.id.to_string())));
            assert!(!lines.concat().contains(&theirs.id.to_string()));
        }
        let (mut sessions, deleted) = rig.erase_user(alice());
        sessions.sort();
        assert_eq!((sessions, deleted), (vec![lost.id, sound.id], 2));
        assert_eq!(of_user(&rig, ALICE), [""; 0]);
        let keys = rig.read(|reader| {
            let mut users = Vec::new();
            for row in reader.snapshot.txn.open_table(CREATE_KEYS)?.iter()? {
                users.push(row?.0.value().0);
            }
            Ok(users)
        });
        assert!(!keys.contains(&ALICE));
        rig.settle();
        let owners: Vec<_> = rig
            .quarantined()
            .into_iter()
            .map(|it| it.location)
            .collect();
        let bob = UserId::from(BOB);
        let mut theirs = Vec::new();
        if is_settled {
            theirs = vec![format!("create_key {bob} theirs"), "session".into()];
        }
        assert_eq!(owners, theirs);
        rig.erase_user(bob);
        rig.settle();
        assert_eq!(rig.all_rows(), 0);
        assert_eq!(rig.store().health().undecodable_sessions, 0);
    }
}
