//! Copies, exports and imports preserve everything, or fail.

use tokio_util::sync::CancellationToken;

use super::super::command::{BeginTurn, DeleteSession, StoreRemoteSession};
use super::super::error::{CopyError, ImportError};
use super::*;
use crate::archive;
use crate::domain::archive::Item;
use crate::store::maintenance::import::{self, Imported, Line};
use crate::store::maintenance::offline::OfflineDatabase;
use crate::store::schema::deadline::Row;
use crate::store::schema::tables::{DEADLINES, MESSAGES, SESSIONS};

/// Exports everything as lines, in slices of about `rows` rows.
pub(super) fn export(rig: &Rig, rows: usize) -> Vec<String> {
    export_with(rig, ExportCursor::all(), rows)
}

pub(super) fn export_with(rig: &Rig, mut cursor: ExportCursor, rows: usize) -> Vec<String> {
    let mut lines = Vec::new();
    while !cursor.is_done() {
        let items = rig.read(|reader| reader.export(&mut cursor, rows, START));
        assert!(items.len() <= rows + 40, "a slice of {}", items.len());
        lines.extend(items.iter().map(archive::line));
    }
    lines
}

pub(super) fn numbered(lines: &[String]) -> Vec<Line> {
    let parsed = lines.iter().map(|line| archive::parse(line.trim()));
    (1..).zip(parsed).collect()
}

/// Imports lines into a new file.
pub(super) fn import(lines: &[String]) -> Result<(TempDir, Imported), ImportError> {
    let dir = temp_dir();
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(dir.path().join("new.redb"))
        .unwrap();
    let mut lines = numbered(lines).into_iter();
    let imported = import::import(&file, &mut lines, &rules(), START, &mut |_| {})?;
    Ok((dir, imported))
}

pub(super) fn look(dir: &TempDir) -> OfflineDatabase {
    OfflineDatabase::open(&dir.path().join("new.redb"), CACHE_BYTES).unwrap()
}

pub(super) fn export_of(look: &OfflineDatabase) -> Vec<String> {
    let mut cursor = ExportCursor::all();
    let mut lines = Vec::new();
    while !cursor.is_done() {
        let items = look.export(&mut cursor, 7, START).unwrap();
        lines.extend(items.iter().map(archive::line));
    }
    lines
}

pub(super) fn faults_of(look: &mut OfflineDatabase) -> Vec<String> {
    let mut faults = Vec::new();
    look.check(&mut |_| {}, &mut |fault| faults.push(fault))
        .unwrap();
    faults
}

/// A copy and an export of the store hold the same content.
pub(super) fn assert_comes_back(rig: &Rig) {
    let lines = export(rig, 5);
    assert_eq!(lines, export(rig, 10_000));
    let (dir, imported) = import(&lines).unwrap();
    assert_eq!(imported.sessions, rig.session_count());
    let mut imported = look(&dir);
    assert_eq!(export_of(&imported), lines);
    assert_eq!(faults_of(&mut imported), Vec::<String>::new());

    let copy = rig.store().copy(rig.now()).unwrap();
    let dir = temp_dir();
    let path = dir.path().join("new.redb");
    std::io::copy(&mut &copy, &mut File::create(&path).unwrap()).unwrap();
    let mut copy = look(&dir);
    assert_eq!(export_of(&copy), lines);
    assert_eq!(faults_of(&mut copy), Vec::<String>::new());
}

/// Returns a store with every kind of record.
pub(super) fn filled() -> Rig {
    let mut rig = Rig::new();
    let creation = rig.keyed_creation("create");
    let busy = rig.submit(creation).unwrap().session;
    for number in 0..20 {
        let message = rig.keyed_message(busy.id, &format!("message {number}"), &number.to_string());
        let message = rig.submit(message).unwrap().message;
        match number % 4 {
            0 => drop(rig.reply(&message, "well")),
            1 => drop(rig.fail(&message)),
            _ => {}
        }
    }
    let turn = rig.next_turn(busy.id).unwrap();
    rig.submit(BeginTurn(turn)).unwrap();
    submitted(&mut rig);
    let expired = rig.create_with(TimeoutConfig {
        timeout_minutes: 5,
        ..TIMEOUT
    });
    rig.send(expired.id, "late");
    rig.pass(Millis(6 * MINUTE.0));
    rig
}

/// Adds a session of an external agent: a reply to two messages, with a key, a message that waits
/// for another reply, and a remote session.
fn submitted(rig: &mut Rig) {
    let session = rig.create().id;
    submit::wait(rig, session, "one");
    submit::wait(rig, session, "two");
    let mut reply = submit::submit(rig, session, "to both");
    reply.key = IdempotencyKey::parse("their-key");
    rig.submit(reply).unwrap();
    submit::wait(rig, session, "three");
    submit::wait(rig, session, "four");
    let mut error = submit::failure(session, "declined");
    error.key = IdempotencyKey::parse("their-error");
    rig.submit(error).unwrap();
    submit::wait(rig, session, "five");
    rig.submit(StoreRemoteSession {
        session_id: session,
        name: "their-session".into(),
    })
    .unwrap();
}

#[test]
fn a_copy_and_an_export_preserve_everything() {
    let rig = filled();
    assert_comes_back(&rig);
    let lines = export(&rig, 5).concat();
    for word in [
        "\"claim\"",
        "\"windowStart\"",
        "\"open\"",
        "\"failed\"",
        "\"keys\"",
        "\"waitsUntil\"",
        "\"their-key\"",
        "\"upstream\":\"their-session\"",
    ] {
        assert!(lines.contains(word), "{word}");
    }
}

#[test]
fn an_imported_database_works_like_the_exported_one() {
    let rig = filled();
    let (dir, _) = import(&export(&rig, 5)).unwrap();
    let mut other = Rig::closed(rules());
    std::fs::copy(dir.path().join("new.redb"), other.path()).unwrap();
    other.hand.set(rig.now());
    other.last_id = rig.last_id;
    let found = other.open();
    assert_eq!((found.sessions, found.clean_stop), (3, Some(true)));
    let busy = SessionId::from(1);
    assert_eq!(other.transcript(busy), rig.transcript(busy));
    assert_eq!(
        other.next_turn(busy).unwrap().message_at,
        rig.next_turn(busy).unwrap().message_at
    );
    let creation = other.keyed_creation("create");
    let created = other.submit(creation).unwrap();
    assert!(created.replayed && created.session.id == busy);
    let repeat = other.keyed_message(busy, "message 3", "3");
    assert!(other.submit(repeat).unwrap().replayed);
}

#[test]
fn a_reopened_turn_stays_after_the_others() {
    let mut rig = Rig::new();
    let session = rig.create();
    let first = rig.keyed_message(session.id, "first", "k");
    let first = rig.submit(first).unwrap().message;
    let second = rig.send(session.id, "second").message;
    rig.fail(&first);
    let again = rig.keyed_message(session.id, "first", "k");
    rig.submit(again).unwrap();
    assert_eq!(
        rig.next_turn(session.id).unwrap().message_at,
        second.created_at
    );
    assert_comes_back(&rig);
}

#[test]
fn open_turns_without_a_position_come_after_the_others_in_their_order() {
    let mut rig = Rig::new();
    let session = rig.create();
    for content in ["first", "second", "third"] {
        rig.send(session.id, content);
    }
    let mut lines = export(&rig, 100);
    for line in &mut lines[2..] {
        let mut message: serde_json::Value = serde_json::from_str(line).unwrap();
        let turn = message["user"]["turn"].as_object_mut().unwrap();
        turn.remove("open").unwrap();
        *line = message.to_string();
    }
    let (dir, _) = import(&lines).unwrap();
    let lines = export_of(&look(&dir));
    let place = |line: &String| {
        let message: serde_json::Value = serde_json::from_str(line).unwrap();
        message["user"]["turn"]["open"]["position"].as_u64()
    };
    let places: Vec<_> = lines[1..].iter().map(place).collect();
    assert_eq!(places, [Some(0), Some(1), Some(2)]);
}

#[test]
fn changes_during_an_export_are_not_partly_in_it() {
    let mut rig = Rig::new();
    let session = rig.create();
    let messages: Vec<_> = (0..10)
        .map(|n| rig.send(session.id, &n.to_string()).message)
        .collect();
    let before = export(&rig, 100);

    let mut cursor = ExportCursor::all();
    let mut lines = Vec::new();
    let mut take = |rig: &Rig, lines: &mut Vec<String>| {
        let items = rig.read(|reader| reader.export(&mut cursor, 4, START));
        lines.extend(items.iter().map(archive::line));
        cursor.is_done()
    };
    take(&rig, &mut lines);
    rig.reply(&messages[8], "a reply that came later");
    rig.fail(&messages[9]);
    rig.send(session.id, "a message that came later");
    while !take(&rig, &mut lines) {}
    // The failure is known already; the rest is as it was when the export began.
    assert_eq!(lines.len(), before.len());
    assert_eq!(lines[..10], before[..10]);
    import(&lines).unwrap();
}

#[test]
fn a_session_that_is_deleted_during_an_export_is_revoked() {
    let mut rig = Rig::new();
    let (gone, kept) = (rig.create(), rig.create());
    for number in 0..10 {
        let sent = rig.send(gone.id, &number.to_string());
        rig.reply(&sent.message, "well");
    }
    let mut cursor = ExportCursor::all();
    let mut lines: Vec<String> = Vec::new();
    let items = rig.read(|reader| reader.export(&mut cursor, 4, START));
    lines.extend(items.iter().map(archive::line));
    rig.submit(DeleteSession(gone.id)).unwrap();
    while !cursor.is_done() {
        let items = rig.read(|reader| reader.export(&mut cursor, 4, START));
        lines.extend(items.iter().map(archive::line));
    }
    assert!(lines.iter().any(|line| line.contains("\"deleted\"")));
    let (dir, imported) = import(&lines).unwrap();
    assert_eq!(imported.sessions, 1);
    let left = export_of(&look(&dir));
    assert_eq!(left.len(), 1);
    assert!(left[0].contains(&kept.id.to_string()));
}

#[test]
fn an_invalid_line_is_reported_with_its_number() {
    let lines = export(&filled(), 100);
    let without = |index: usize| {
        let mut lines = lines.clone();
        lines.remove(index);
        lines
    };
    let edited = |index: usize, from: &str, to: &str| {
        let mut lines = lines.clone();
        assert!(lines[index].contains(from), "{}", lines[index]);
        lines[index] = lines[index].replacen(from, to, 1);
        lines
    };
    let mut twice = lines.clone();
    twice.push(lines[0].clone());
    let mut again = lines.clone();
    again.insert(1, lines[1].clone());
    let cases: [(Vec<String>, u64, &str); 9] = [
        (without(0), 1, "does not follow its session"),
        (without(2), 2, "its reply does not follow"),
        (twice, lines.len() as u64 + 1, "is there twice"),
        (again, 3, "not later than"),
        (edited(3, "\"content\"", "\"contents\""), 4, "unknown field"),
        (
            edited(3, "\"createdAt\":\"2024", "\"createdAt\":\"20x4"),
            4,
            "createdAt is not a time",
        ),
        (
            edited(3, "\"keys\":[\"1\"]", "\"keys\":[\"0\"]"),
            4,
            "has its key",
        ),
        (
            edited(0, "\"metadata\":{", "\"metadata\":[{"),
            1,
            "expected",
        ),
        (
            edited(0, "\"type\":\"session\"", "\"type\":\"cat\""),
            1,
            "known are",
        ),
    ];
    for (lines, number, reason) in cases {
        match import(&lines) {
            Err(ImportError::Line {
                number: found,
                reason: said,
            }) => {
                assert!(
                    found == number && said.contains(reason),
                    "line {found}: {said}"
                );
            }
            other => panic!("{reason}: {other:?}"),
        }
    }
}

#[test]
fn inconsistent_lines_are_not_reported_as_a_damaged_database() {
    let rig = filled();
    let mut lines = export(&rig, 7);
    let reply = lines.iter_mut().find(|line| line.contains("inReplyTo"));
    let reply = reply.expect("a reply");
    let mut item: serde_json::Value = serde_json::from_str(reply).unwrap();
    item["agent"].as_object_mut().unwrap().remove("inReplyTo");
    *reply = item.to_string();
    let error = import(&lines).unwrap_err().to_string();
    assert!(
        error.starts_with("the lines do not fit together: "),
        "{error}"
    );
}

#[test]
fn damaged_records_are_exported_and_imported() {
    let mut rig = filled();
    rig.close(false);
    rig.edit(|txn| {
        damage(txn, SESSIONS, 1);
        damage(txn, MESSAGES, (1, START.0));
    });
    rig.open();
    // They are exported before and after they are quarantined.
    let lines = export(&rig, 5);
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.contains("\"damaged\""))
            .count(),
        2
    );
    import(&lines).unwrap();
    rig.settle();
    assert_eq!(rig.quarantined().len(), 2);
    let lines = export(&rig, 5);
    let (dir, imported) = import(&lines).unwrap();
    assert_eq!(imported.quarantined, 2);
    let mut imported = look(&dir);
    assert_eq!(export_of(&imported), lines);
    assert_eq!(faults_of(&mut imported), Vec::<String>::new());
}

#[test]
fn a_copy_quarantines_damaged_records_only_in_itself() {
    let mut rig = filled();
    rig.close(false);
    rig.edit(|txn| damage(txn, SESSIONS, 1));
    rig.open();
    let copy = rig.store().copy(rig.now()).unwrap();
    let dir = temp_dir();
    let path = dir.path().join("new.redb");
    std::io::copy(&mut &copy, &mut File::create(&path).unwrap()).unwrap();
    let mut copy = look(&dir);
    assert_eq!(faults_of(&mut copy), Vec::<String>::new());
    let mut quarantined = 0;
    copy.quarantined(&mut |_| quarantined += 1).unwrap();
    assert_eq!(quarantined, 1);
    assert_eq!(rig.quarantined(), []);
    assert_eq!(rig.store().check().unwrap().len(), 1);
    let _ = rig
        .store()
        .read(|reader| reader.session(SessionId::from(1)));
    rig.settle();
}

#[test]
fn an_unsound_database_is_not_copied() {
    let mut rig = filled();
    let sessions = rig.all_sessions();
    let row = Row::for_session(&sessions[1]);
    rig.close(false);
    let sound = rig.bytes();
    rig.edit(|txn| {
        let mut rows = txn.open_table(DEADLINES).unwrap();
        rows.remove(row.key()).unwrap().unwrap();
    });
    rig.open();
    let error = rig.store().copy(rig.now()).unwrap_err();
    assert!(matches!(error, CopyError::Unsound(_)), "{error}");
    assert_eq!(std::fs::read_dir(rig.dir.path()).unwrap().count(), 1);
    rig.drop_store();
    std::fs::write(rig.path(), sound).unwrap();
}

#[test]
fn an_offline_view_never_changes_the_file() {
    let mut rig = filled();
    let lines = export(&rig, 5);
    rig.kill();
    let bytes = rig.bytes();
    let mut look = OfflineDatabase::open(&rig.path(), CACHE_BYTES).unwrap();
    assert_eq!(faults_of(&mut look), Vec::<String>::new());
    assert_eq!(export_of(&look), lines);
    assert_eq!(look.sessions().unwrap(), 3);
    // No server can open it meanwhile.
    let error = rig.try_open().unwrap_err();
    assert!(matches!(error, OpenError::InUse), "{error}");
    drop(look);
    assert!(rig.bytes() == bytes);
    rig.open();
    let error = OfflineDatabase::open(&rig.path(), CACHE_BYTES).unwrap_err();
    assert!(matches!(error, OpenError::InUse), "{error}");
}

#[test]
fn the_golden_file_can_be_opened_offline_and_exported() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1.redb");
    let before = std::fs::read(golden).unwrap();
    let mut look = OfflineDatabase::open(Path::new(golden), CACHE_BYTES).unwrap();
    assert_eq!(faults_of(&mut look), Vec::<String>::new());
    let lines = export_of(&look);
    drop(look);
    assert!(std::fs::read(golden).unwrap() == before);
    assert_eq!(lines.len(), 7);
    let (dir, _) = import(&lines).unwrap();
    assert_eq!(export_of(&self::look(&dir)), lines);
}

#[test]
fn compacting_a_file_preserves_its_content() {
    let mut rig = filled();
    for _ in 0..50 {
        let session = rig.create();
        rig.send(session.id, &"x".repeat(100_000));
        rig.submit(DeleteSession(session.id)).unwrap();
    }
    let lines = export(&rig, 5);
    let path = rig.path();
    let error = super::compact(&path).unwrap_err();
    assert!(matches!(error, OpenError::InUse), "{error}");
    rig.close(false);
    let (before, after) = super::compact(&path).unwrap();
    assert!(after < before, "{before} bytes, now {after}");
    let found = rig.open();
    assert_eq!(found.clean_stop, Some(true));
    assert!(export(&rig, 5) == lines);
}

#[test]
fn every_item_belongs_to_a_session() {
    let line = archive::line(&Item::Deleted(SessionId::from(7)));
    let Err(ImportError::Line { number: 1, .. }) = import(&[line]) else {
        panic!("imported");
    };
}

/// Measures how long a copy and a verification of a larger store take, and how much the file grows
/// under concurrent writes.
///
/// `cargo test --release --lib -- --ignored --nocapture a_copy_is_measured`
#[test]
#[ignore = "a measurement"]
fn a_copy_is_measured() {
    let mut rig = Rig::with_rules(Rules {
        max_pending_turns: 1_000_000,
        ..rules()
    });
    let creations: Vec<_> = (0..8_000).map(|_| rig.creation()).collect();
    for slice in creations.chunks(4_000) {
        let created = slice.iter().map(|creation| {
            let new = creation.new.clone();
            let has_agent = true;
            rig.store().submit(CreateSession {
                new,
                requested_timeout: creation.requested_timeout,
                has_agent,
                continuation: None,
            })
        });
        rig.wait(futures_util::future::join_all(created));
    }
    let sessions = rig.all_sessions();
    for _ in 0..10 {
        for slice in sessions.chunks(4_000) {
            let messages: Vec<_> = slice
                .iter()
                .map(|session| rig.message(session.id, &"hello ".repeat(30)))
                .collect();
            let sent = messages
                .into_iter()
                .map(|message| rig.store().submit(message));
            rig.wait(futures_util::future::join_all(sent));
        }
    }
    let rows = rig.all_rows();
    for verifies in [true, false] {
        let before = std::fs::metadata(rig.path()).unwrap().len();
        let measured = measure_beside_writers(&rig, &sessions, verifies);
        let after = std::fs::metadata(rig.path()).unwrap().len();
        println!("{rows} rows, {before} bytes: {measured}; the file grew to {after}");
    }
}

fn measure_beside_writers(rig: &Rig, sessions: &[Session], verifies: bool) -> String {
    let store = rig.store();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            let mut slowest = Duration::ZERO;
            let mut number = 0;
            while !is_over.load(Ordering::SeqCst) {
                let asked = Instant::now();
                let beats = (0..32).map(|nth| {
                    let session = &sessions[(number * 32 + nth) % sessions.len()];
                    store.submit(super::super::command::Heartbeat(session.id))
                });
                runtime.block_on(futures_util::future::join_all(beats));
                slowest = slowest.max(asked.elapsed());
                number += 1;
            }
            slowest
        });
        let began = Instant::now();
        let done = if verifies {
            let findings = store.verify(&CancellationToken::new()).unwrap();
            assert_eq!(findings.faults, [""; 0]);
            "verified".to_owned()
        } else {
            let copy = store.copy(START).unwrap();
            format!("copied to {} bytes", copy.metadata().unwrap().len())
        };
        let took = began.elapsed();
        is_over.store(true, Ordering::SeqCst);
        let slowest = writer.join().unwrap();
        format!("{done} in {took:?}, the slowest write took {slowest:?}")
    })
}
