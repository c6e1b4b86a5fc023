//! Deletions and purges leave nothing behind, and block no other caller for long.

use super::super::command::apply::Apply;
use super::super::command::{DeleteSession, RemoteSession, StoreRemoteSession};
use super::super::error::CommandResult;
use super::*;
use crate::store::quarantine::location::KeyKind;
use crate::store::schema::tables::{DELETIONS, MESSAGES};
use crate::store::write::txn::Txn;

/// The most rows that one slice may remove: 500, and the few of the last session that it reaches.
const MOST_PER_SLICE: u64 = 540;

/// Fills a session with a number of messages, half of them the agent's replies, with a key for each
/// of the user's.
#[derive(Debug)]
struct Fill(SessionId, u32);

impl Apply for Fill {
    type Output = ();

    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<()> {
        let Self(session_id, messages) = self;
        for number in 0..messages / 2 {
            let at = Timestamp(START.0 + 2 * i64::from(number));
            let id = MessageId::from(u128::from(number));
            let message = |id, created_at, role| Message {
                id,
                session_id,
                author_id: id.0,
                created_at,
                body: says("hello"),
                role,
            };
            let user = Role::User {
                sender: Sender::default(),
                turn_id: TurnId::from(u128::from(number)),
                reply_id: id,
                turn: TurnState::Replied(at.next()),
            };
            let agent = Role::Agent {
                in_reply_to: Some(MessageId::from(7)),
                thought: None,
                actions: None,
            };
            txn.put_message(&message(MessageId::from(7), at, user))?;
            txn.put_message(&message(id, at.next(), agent))?;
            txn.put_key(KeyKind::Send, session_id, &key(&format!("k{number}")), at)?;
        }
        Ok(())
    }
}

/// Submits one purge after the other; returns the rows that each slice removed, and the deleted
/// sessions.
fn slices(rig: &Rig) -> (Vec<u64>, Vec<SessionId>) {
    let mut removed = Vec::new();
    let mut gone = Vec::new();
    let mut next = Some(Purge::default());
    while let Some(purge) = next {
        let before = rig.all_rows();
        let purged = rig.submit(purge).unwrap();
        removed.push(before.saturating_sub(rig.all_rows()));
        gone.extend(purged.sessions);
        next = purged.next;
        assert_eq!(rig.store().check().unwrap(), Vec::<String>::new());
    }
    (removed, gone)
}

#[test]
fn a_deleted_session_with_2000_messages_is_gone_at_once_and_its_rows_in_slices() {
    let mut rig = Rig::new();
    let session = rig.create();
    let bystander = rig.create();
    rig.submit(Fill(bystander.id, 10)).unwrap();
    let before = rig.all_rows();
    rig.submit(Fill(session.id, 2000)).unwrap();
    rig.ask(session.id, "the last one");

    let deleted = rig.submit(DeleteSession(session.id)).unwrap();
    assert!(deleted.has_more);
    assert_eq!(rig.session(session.id), None);
    let gone = RuleViolation::SessionNotFound(session.id);
    assert_eq!(rig.refusal(DeleteSession(session.id)), gone);
    let repeat = rig.keyed_message(session.id, "hello", "k1");
    assert_eq!(rig.refusal(repeat), gone);
    assert_eq!(rig.rows(MESSAGES), 10 + 2001 - 500);
    assert_eq!(rig.store().check().unwrap(), Vec::<String>::new());

    let (removed, purged) = slices(&rig);
    assert!(purged.is_empty(), "a deleted session is not purged again");
    assert!(
        removed.iter().all(|rows| *rows <= MOST_PER_SLICE),
        "{removed:?}"
    );
    assert_eq!(rig.rows(DELETIONS), 0);
    // All removed rows, but the session's own three, were there before it was filled.
    assert_eq!(rig.all_rows(), before - 3);
    assert_eq!(rig.transcript(bystander.id).len(), 10);
}

#[test]
fn a_deletion_continues_after_a_crash() {
    let mut rig = Rig::new();
    let session = rig.create();
    rig.submit(Fill(session.id, 1500)).unwrap();
    assert!(rig.submit(DeleteSession(session.id)).unwrap().has_more);
    rig.kill();
    assert_eq!(rig.open().sessions, 0);
    let purged = rig.submit(Purge::default()).unwrap();
    assert!(purged.next.is_some());
    rig.restart();
    slices(&rig);
    assert_eq!(rig.all_rows(), 0);
}

#[test]
fn sessions_of_exactly_one_slice_are_removed_completely() {
    for messages in [332, 334, 336, 498, 500, 502, 666, 668] {
        let mut rig = Rig::new();
        let session = rig.create();
        rig.submit(Fill(session.id, messages)).unwrap();
        let deleted = rig.submit(DeleteSession(session.id)).unwrap();
        assert_eq!(
            deleted.has_more,
            rig.rows(DELETIONS) == 1,
            "{messages} messages"
        );
        slices(&rig);
        assert_eq!(rig.all_rows(), 0, "{messages} messages");
    }
}

#[test]
fn a_purge_returns_the_remote_sessions() {
    let mut rig = Rig::new();
    let session = rig.create();
    rig.create();
    rig.submit(StoreRemoteSession {
        session_id: session.id,
        name: "their-session".to_owned(),
    })
    .unwrap();
    rig.hand.set(session.expires_at + KEPT + HOUR);
    let purged = rig.submit(Purge::default()).unwrap();
    assert_eq!(purged.sessions.len(), 2);
    let remote = RemoteSession {
        agent_id: session.agent_id,
        name: "their-session".to_owned(),
    };
    assert_eq!(purged.remotes, [remote]);
}

#[test]
fn sessions_past_their_retention_are_purged_in_slices_in_the_order_of_expiry() {
    let mut rig = Rig::new();
    let mut expected = Vec::new();
    for number in 0..40_u32 {
        let session = rig.create_with(TimeoutConfig {
            timeout_minutes: 40 - number % 20,
            ..TIMEOUT
        });
        // Up to 999 rows, so that one session can fill a slice, and the next session another one.
        rig.submit(Fill(session.id, number * 37 % 332 * 2)).unwrap();
        expected.push((session.expires_at, session.id));
    }
    let alive = rig.create_with(TimeoutConfig {
        timeout_minutes: 120,
        ..TIMEOUT
    });
    rig.submit(Fill(alive.id, 10)).unwrap();
    expected.sort();

    rig.pass(Millis(100 * MINUTE.0));
    let (removed, gone) = slices(&rig);
    let expected: Vec<_> = expected.into_iter().map(|(_, id)| id).collect();
    assert_eq!(gone, expected);
    assert!(
        removed.iter().all(|rows| *rows <= MOST_PER_SLICE),
        "{removed:?}"
    );
    assert_eq!(rig.rows(MESSAGES), 10);
    assert_eq!(rig.rows(DELETIONS), 0);
    assert_eq!(rig.session(alive.id), Some(alive));
}

#[test]
fn a_session_is_retained_to_the_last_millisecond() {
    let mut rig = Rig::new();
    let session = rig.create();
    rig.hand.set(session.expires_at + KEPT - Millis(1));
    assert_eq!(slices(&rig).1, []);
    rig.pass(Millis(1));
    assert_eq!(slices(&rig).1, [session.id]);
    assert_eq!(rig.all_rows(), 0);
}

#[test]
fn a_shorter_retention_applies_to_stored_sessions() {
    let mut rig = Rig::new();
    let session = rig.create();
    rig.hand.set(session.expires_at + MINUTE);
    rig.close(false);
    rig.rules.retention = MINUTE;
    rig.open();
    let stats = rig.stats();
    assert_eq!((stats.active, stats.expired), (0, 0));
    assert_eq!(slices(&rig).1, [session.id]);
}

#[test]
fn a_purge_removes_keys_and_open_turns() {
    let mut rig = Rig::new();
    let creation = rig.keyed_creation("k");
    let session = rig.submit(creation).unwrap().session;
    let message = rig.keyed_message(session.id, "hello", "k");
    let sent = rig.submit(message).unwrap();
    rig.ask(session.id, "again");
    rig.hand.set(sent.session.expires_at + KEPT);
    assert_eq!(slices(&rig).1, [session.id]);
    assert_eq!(rig.all_rows(), 0);
    // A late result of the turn runner finds nothing.
    let late = rig.submit(answer(&sent.message, "late")).unwrap();
    assert!(matches!(late, CloseOutcome::Gone));
    assert_eq!(rig.all_rows(), 0);
}

#[test]
fn an_empty_purge_writes_nothing() {
    let disk = Disk::default();
    let mut rig = Rig::on_disk(&disk);
    rig.create();
    let syncs = disk.syncs();
    assert_eq!(rig.purge(), (1, Vec::new()));
    assert_eq!(disk.syncs(), syncs);
}
