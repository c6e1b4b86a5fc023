//! Imports into a database that holds other sessions, online and offline.

use super::super::command::{DeleteSession, ImportSessions, ImportedSessions};
use super::archive::{export, export_with, filled, numbered};
use super::*;
use crate::domain::archive::{Item, Quarantined};
use crate::events::work::{WorkChange, WorkEvent};
use crate::store::error::ImportError;
use crate::store::file::panic_guard::PanicSafe;
use crate::store::maintenance::import::{Imported, VerifiedImport};
use crate::store::maintenance::merge::{self, MergeTarget};
use crate::store::schema::tables::{DAMAGED, MESSAGES, SESSIONS};

/// Imports lines into memory, as the first half of an import does.
pub(super) fn verified(rig: &Rig, lines: &[String]) -> VerifiedImport {
    let mut lines = numbered(lines).into_iter();
    VerifiedImport::in_memory(&mut lines, &rig.rules, rig.now()).unwrap()
}

fn import(rig: &Rig, lines: &[String]) -> Result<ImportedSessions, SubmitError> {
    rig.submit(ImportSessions(verified(rig, lines)))
}

/// Returns the refusal of an import, which stores nothing.
fn refusal(rig: &Rig, lines: &[String]) -> RuleViolation {
    let before = (rig.all_rows(), rig.contents());
    let refusal = rig.refusal(ImportSessions(verified(rig, lines)));
    assert_eq!((rig.all_rows(), rig.contents()), before);
    refusal
}

/// Returns a store at the time of another, whose ids come later.
fn later_than(rig: &Rig) -> Rig {
    let mut other = Rig::new();
    other.hand.set(rig.now());
    other.last_id = rig.last_id + 1_000_000;
    other
}

fn merge_offline(rig: &mut Rig, lines: &[String]) -> Result<Imported, ImportError> {
    rig.close(false);
    merge_closed(rig, lines)
}

fn merge_closed(rig: &Rig, lines: &[String]) -> Result<Imported, ImportError> {
    let target = MergeTarget::open(&rig.path(), CACHE_BYTES)?;
    let scratch = tempfile::tempfile_in(temp_dir()).unwrap();
    let mut lines = numbered(lines).into_iter();
    target.merge(&scratch, &mut lines, &rig.rules, rig.now(), &mut |_| {})
}

#[test]
fn imported_sessions_are_like_the_exported_ones_beside_the_others() {
    let rig = filled();
    let lines = export(&rig, 5);
    let messages = rig.row_counts().messages;
    for is_offline in [false, true] {
        let mut other = later_than(&rig);
        let own = other.create();
        other.send(own.id, "hello");
        let before = export(&other, 5);
        let imported = if is_offline {
            let imported = merge_offline(&mut other, &lines).unwrap();
            other.open();
            imported
        } else {
            let done = import(&other, &lines).unwrap();
            assert_eq!(done.with_open_turns, rig.sessions_with_turns());
            done.imported
        };
        assert_eq!((imported.sessions, imported.messages), (3, messages));
        assert_eq!(export(&other, 5), [lines.clone(), before].concat());
        assert_eq!(other.stats().expired, rig.stats().expired);
        assert_eq!(other.stats().active, rig.stats().active + 1);
        // Its keys are remembered.
        let creation = other.keyed_creation("create");
        assert!(other.submit(creation).unwrap().replayed);
    }
}

#[test]
fn a_session_that_exists_in_any_form_refuses_the_whole_import() {
    let rig = filled();
    let lines = export(&rig, 5);
    let ids = rig.all_sessions();
    let last = ids.first().unwrap().id;
    let exists = RuleViolation::SessionExists(last);
    let theirs = lines.iter().find(|line| line.contains(&last.to_string()));
    let number = lines.iter().position(|line| Some(line) == theirs).unwrap() as u64 + 1;

    let with_last = || {
        let mut other = later_than(&rig);
        let own = export_with(&rig, ExportCursor::only(last), 5);
        import(&other, &own).unwrap();
        other.last_id += 1;
        other
    };
    let assert_refused = |mut other: Rig| {
        assert_eq!(refusal(&other, &lines), exists);
        let before = export(&other, 5);
        match merge_offline(&mut other, &lines) {
            Err(ImportError::Exists {
                number: found,
                session_id,
            }) => assert_eq!((found, session_id), (number, last)),
            other => panic!("{other:?}"),
        }
        other.open();
        assert_eq!(export(&other, 5), before);
    };

    assert_refused(with_last());

    let mut quarantined = with_last();
    quarantined.close(false);
    quarantined.edit(|txn| damage(txn, SESSIONS, u128::from(last)));
    quarantined.open();
    let _ = quarantined.store().read(|reader| reader.session(last));
    quarantined.settle();
    assert_eq!(quarantined.rows(DAMAGED), 1);
    assert_refused(quarantined);

    // Once nothing is left of it, it can be imported.
    let deleted = with_last();
    deleted.submit(DeleteSession(last)).unwrap();
    import(&deleted, &lines).unwrap();

    // A long one is removed in slices.
    let mut deleted = later_than(&rig);
    let session = deleted.create();
    for _ in 0..300 {
        let sent = deleted.ask(session.id, "hello").message;
        deleted.reply(&sent, "well");
    }
    let own = export_with(&deleted, ExportCursor::only(session.id), 700);
    assert!(deleted.submit(DeleteSession(session.id)).unwrap().has_more);
    assert!(deleted.rows(MESSAGES) > 0);
    let found = refusal(&deleted, &own);
    assert_eq!(found, RuleViolation::SessionExists(session.id));
    deleted.purge();
    import(&deleted, &own).unwrap();
    assert_eq!(export(&deleted, 700), own);
}

#[test]
fn a_create_key_that_another_session_holds_refuses_the_import() {
    let mut rig = Rig::new();
    let creation = rig.keyed_creation("k");
    let first = rig.submit(creation).unwrap().session;
    let lines = export(&rig, 5);
    rig.submit(DeleteSession(first.id)).unwrap();
    rig.pass(MINUTE);
    let creation = rig.keyed_creation("k");
    let second = rig.submit(creation).unwrap().session;
    let held = RuleViolation::IdempotencyConflict { key: "k".into() };
    assert_eq!(refusal(&rig, &lines), held);
    let error = merge_offline(&mut rig, &lines).unwrap_err().to_string();
    assert_eq!(error, "line 1: another session has claimed its createKey");
    rig.open();

    // Once the first session has expired, a retry of its creation would not find it either.
    rig.hand.set(first.expires_at);
    import(&rig, &lines).unwrap();
    let again = rig.keyed_creation("k");
    let again = rig.submit(again).unwrap();
    assert!(again.replayed);
    assert_eq!(again.session.id, second.id);
}

#[test]
fn a_forgotten_create_key_does_not_refuse_the_import() {
    let mut rig = Rig::new();
    let creation = rig.keyed_creation("k");
    let old = rig.submit(creation).unwrap().session;
    rig.hand.set(old.expires_at);
    let mut other = later_than(&rig);
    let creation = other.keyed_creation("k");
    let new = other.submit(creation).unwrap().session;
    import(&rig, &export(&other, 5)).unwrap();
    let again = rig.keyed_creation("k");
    assert_eq!(rig.submit(again).unwrap().session.id, new.id);
}

#[test]
fn an_import_publishes_no_events_but_wakes_whoever_waits_for_its_deadlines_and_turns() {
    let mut source = Rig::new();
    let session = source.create();
    submit::wait(&mut source, session.id, "for their agent");
    let lines = export(&source, 5);
    let other = later_than(&source);
    let mut listener = listen(&other.bus, session.id);
    let mut work = other.bus.work().subscribe(AgentId::from(ELIZA)).unwrap();
    let next = other.store().next_deadline();
    next.set(Timestamp::MAX);
    let mut sooner = std::pin::pin!(next.sooner());
    assert!(poke(sooner.as_mut()).is_pending());
    import(&other, &lines).unwrap();
    assert!(poke(sooner).is_ready());
    assert_eq!(heard(&mut listener), Vec::<String>::new());
    let Poll::Ready(Ok(event)) = poke(std::pin::pin!(work.next())) else {
        panic!("their agent is not notified");
    };
    let WorkEvent {
        position, change, ..
    } = event;
    assert_eq!(position.session_id, session.id);
    assert!(matches!(change, WorkChange::Waits), "{change:?}");
}

#[test]
fn quarantined_records_are_imported_and_counted() {
    let mut rig = filled();
    rig.close(false);
    rig.edit(|txn| damage(txn, MESSAGES, (1, START.0)));
    rig.open();
    let lines = export(&rig, 5);
    let _ = rig
        .store()
        .read(|reader| reader.message(SessionId::from(1), START));
    rig.settle();
    let other = later_than(&rig);
    let done = import(&other, &lines).unwrap();
    assert_eq!(done.imported.quarantined, 1);
    assert_eq!(other.store().health().undecodable_sessions, 1);
    assert_eq!(export(&other, 5), lines);
}

/// Returns the line of a quarantined record.
fn quarantined_line(owner: SessionId, location: &str) -> String {
    crate::archive::line(&Item::Quarantined(Quarantined {
        owner,
        location: location.into(),
        reason: "its checksum is wrong".into(),
        found_at: START,
        expires_at: None,
        bytes: vec![0],
    }))
}

#[test]
fn a_key_that_is_used_and_quarantined_is_refused_in_any_order() {
    let mut source = Rig::new();
    let creation = source.keyed_creation("k");
    let session = source.submit(creation).unwrap().session;
    let message = source.keyed_message(session.id, "hello", "m");
    source.submit(message).unwrap();
    let lines = export(&source, 5);
    let unknown = SessionId::from(0);
    let create_key = format!("create_key {} k", session.user_id);
    for (owner, location, places) in [
        (session.id, "message_key m", [1, 2]),
        (unknown, &create_key, [0, 2]),
    ] {
        for place in places {
            let mut lines = lines.clone();
            lines.insert(place, quarantined_line(owner, location));
            let mut lines = numbered(&lines).into_iter();
            let error = VerifiedImport::in_memory(&mut lines, &source.rules, START).unwrap_err();
            assert!(matches!(error, ImportError::Line { .. }), "{error:?}");
        }
    }
    // Neither if the other one is stored already.
    let held = RuleViolation::IdempotencyConflict { key: "k".into() };
    let key = quarantined_line(unknown, &create_key);
    assert_eq!(refusal(&source, std::slice::from_ref(&key)), held);
    let other = later_than(&source);
    import(&other, &[key]).unwrap();
    assert_eq!(refusal(&other, &lines), held);
    assert_eq!(refusal(&other, &lines[..1]), held);
    // Other keys are imported beside it.
    let line = lines[0].replace("\"k\"", "\"l\"");
    import(&other, &[line]).unwrap();
}

#[test]
fn sessions_that_were_deleted_during_the_export_are_not_imported() {
    let mut source = Rig::new();
    let (gone, left) = (source.create(), source.create());
    submit::wait(&mut source, gone.id, "hello");
    let mut lines = export(&source, 5);
    let deleted = crate::archive::line(&Item::Deleted(gone.id));
    lines.insert(2, deleted);
    let other = later_than(&source);
    let mut work = other.bus.work().subscribe(AgentId::from(ELIZA)).unwrap();
    let done = import(&other, &lines).unwrap();
    assert_eq!((done.imported.sessions, done.with_open_turns), (1, vec![]));
    let ids: Vec<_> = other
        .all_sessions()
        .iter()
        .map(|session| session.id)
        .collect();
    assert_eq!(ids, [left.id]);
    assert!(poke(std::pin::pin!(work.next())).is_pending());
}

#[test]
fn an_import_needs_free_space_but_no_quota() {
    let mut source = Rig::new();
    let (one, _) = (source.create(), source.create());
    let lines = export(&source, 5);
    let disk = Disk::default();
    let rig = Rig::on_disk(&disk);
    disk.set_room(Some(1 << 20));
    let refused = import(&rig, &lines);
    assert!(matches!(refused, Err(SubmitError::NoRoom)), "{refused:?}");
    assert_eq!(rig.all_rows(), 0);

    let one_each = Rules {
        max_sessions_per_user: 1,
        ..rules()
    };
    let mut rig = Rig::with_rules(one_each);
    import(&rig, &lines).unwrap();
    assert_eq!(rig.session_count(), 2);
    let creation = rig.creation();
    rig.last_id += 10;
    let another = CreateSession {
        new: NewSession {
            id: SessionId::from(rig.last_id),
            ..creation.new
        },
        ..creation
    };
    assert!(matches!(
        rig.refusal(another),
        RuleViolation::TooManySessions { limit: 1, .. }
    ));
    assert!(rig.session(one.id).is_some());
}

#[test]
fn an_offline_import_keeps_the_record_of_an_unclean_stop() {
    let lines = export(&filled(), 5);
    for is_clean in [true, false] {
        let mut rig = Rig::new();
        rig.last_id = 1_000_000;
        let session = rig.create();
        rig.ask(session.id, "hello");
        if is_clean {
            rig.close(false);
        } else {
            rig.kill();
        }
        merge_closed(&rig, &lines).unwrap();
        assert_eq!(rig.open().clean_stop, Some(is_clean));
        let turn = rig.next_turn(session.id).unwrap();
        assert_eq!(turn.crashes, u8::from(!is_clean));
    }
}

#[test]
fn an_offline_import_changes_nothing_if_a_line_is_invalid() {
    let mut lines = export(&filled(), 5);
    lines.push("{}".into());
    let mut rig = Rig::new();
    rig.last_id = 1_000_000;
    rig.create();
    let before = export(&rig, 5);
    rig.close(false);
    let bytes = rig.bytes();
    let error = merge_closed(&rig, &lines).unwrap_err().to_string();
    assert!(rig.bytes() == bytes, "the file has changed");
    assert_eq!(
        error,
        format!("line {}: missing field `type` at column 2", lines.len())
    );
    assert_eq!(rig.open().clean_stop, Some(true));
    assert_eq!(export(&rig, 5), before);
}

#[test]
fn a_database_that_is_in_use_is_not_merged_into() {
    let lines = export(&filled(), 5);
    let rig = Rig::new();
    let error = merge_closed(&rig, &lines).unwrap_err();
    assert!(
        matches!(error, ImportError::Failed(OpenError::InUse)),
        "{error:?}"
    );
}

/// Merges lines into the database on a disk.
pub(super) fn merge_on(disk: &Disk, lines: &[String]) {
    let mut lines = numbered(lines).into_iter();
    let verified = VerifiedImport::in_memory(&mut lines, &rules(), START).unwrap();
    let database = PanicSafe::new(disk.file().open().unwrap());
    merge::add(&database, verified, &rules(), START).unwrap();
    database.close().unwrap();
}
