//! What can be recovered from a damaged file, and how the rest is reported.

use super::super::command::AdvanceCounters;
use super::super::error::CopyError;
use super::archive::{export_of, faults_of, filled, import, look as look_at};
use super::*;
use crate::store::maintenance::offline::OfflineDatabase;
use crate::store::schema::tables::{
    CREATE_KEYS, MESSAGE_KEYS, MESSAGES, META, OPEN_TURNS, REMOTE_SESSIONS, SESSIONS, SUBMIT_KEYS,
    meta,
};

/// A record to damage, and its name in the quarantine; no name for a counter, which is counted
/// anew.
type DamagedRecord = (&'static str, Box<dyn Fn(&WriteTransaction)>);

/// Returns the keys of a table's rows.
fn keys_of<K: redb::Key + 'static>(
    rig: &Rig,
    table: TableDefinition<K, &'static [u8]>,
) -> Vec<Vec<u8>> {
    rig.read(|reader| {
        let mut keys = Vec::new();
        for row in reader.snapshot.txn.open_table(table)?.iter()? {
            keys.push(K::as_bytes(&row?.0.value()).as_ref().to_vec());
        }
        Ok(keys)
    })
}

/// Returns each record of a table.
fn records_of<K: redb::Key + 'static>(
    rig: &Rig,
    table: TableDefinition<'static, K, &'static [u8]>,
    name: &'static str,
) -> impl Iterator<Item = DamagedRecord> {
    keys_of(rig, table)
        .into_iter()
        .map(move |key| -> DamagedRecord {
            let damage_and_reopen =
                move |txn: &WriteTransaction| damage(txn, table, K::from_bytes(&key));
            (name, Box::new(damage_and_reopen))
        })
}

/// Returns every record of a store.
fn all_records(rig: &Rig) -> Vec<DamagedRecord> {
    let counters = [meta::EXPIRED, meta::WARNED, meta::ENDED];
    let counter = |name| -> DamagedRecord { ("", Box::new(move |txn| damage(txn, META, name))) };
    records_of(rig, SESSIONS, "session")
        .chain(records_of(rig, MESSAGES, "message "))
        .chain(records_of(rig, CREATE_KEYS, "create_key "))
        .chain(records_of(rig, MESSAGE_KEYS, "message_key "))
        .chain(records_of(rig, SUBMIT_KEYS, "submit_key "))
        .chain(records_of(rig, OPEN_TURNS, "turn "))
        .chain(records_of(rig, REMOTE_SESSIONS, "upstream"))
        .chain(counters.map(counter))
        .collect()
}

/// Returns a closed store with every kind of record, its records, and its bytes.
fn sound() -> (Rig, Vec<DamagedRecord>, Vec<u8>) {
    let mut rig = filled();
    rig.submit(AdvanceCounters).unwrap();
    let records = all_records(&rig);
    assert!(records.len() > 50, "{}", records.len());
    rig.close(false);
    let sound = rig.bytes();
    (rig, records, sound)
}

fn look(path: &Path) -> OfflineDatabase {
    OfflineDatabase::open(path, CACHE_BYTES).unwrap()
}

/// Copies an offline file; returns the copy.
fn copy_of(rig: &Rig) -> Result<OfflineDatabase, CopyError> {
    let copy = rig.dir.path().join("copy.redb");
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&copy)
        .unwrap();
    let mut source = OfflineDatabase::open(&rig.path(), CACHE_BYTES)?;
    source.copy_to(&file, &rig.rules, rig.now(), &mut |_| {})?;
    drop(file);
    Ok(look(&copy))
}

/// Copies an offline file; returns the quarantined records of the copy, which must be sound.
fn copied(rig: &Rig) -> Vec<String> {
    let mut copy = copy_of(rig).unwrap();
    assert_eq!(faults_of(&mut copy), Vec::<String>::new());
    let mut quarantined = Vec::new();
    copy.quarantined(&mut |found| quarantined.push(found.location))
        .unwrap();
    quarantined
}

#[test]
fn a_copy_quarantines_any_single_damaged_record() {
    let (rig, records, sound) = sound();
    for (name, damage_and_reopen) in &records {
        std::fs::write(rig.path(), &sound).unwrap();
        rig.edit(|txn| damage_and_reopen(txn));
        let quarantined = copied(&rig);
        assert_eq!(quarantined.len(), usize::from(!name.is_empty()), "{name}");
        assert!(
            quarantined.iter().all(|place| place.starts_with(name)),
            "{name}"
        );
    }
    std::fs::write(rig.path(), sound).unwrap();
}

/// Returns a store with a session whose only reply is damaged, and the time of the reply.
fn with_damaged_reply() -> (Rig, SessionId, Timestamp) {
    let mut rig = Rig::new();
    let session = rig.create().id;
    let message = rig.send(session, "hello").message;
    let reply_at = rig.reply(&message, "well").created_at;
    rig.close(false);
    let place = (u128::from(session), reply_at.0);
    rig.edit(|txn| damage(txn, MESSAGES, place));
    rig.open();
    (rig, session, reply_at)
}

#[test]
fn a_running_store_is_copied_with_a_damaged_reply() {
    let (rig, session, reply_at) = with_damaged_reply();
    let fault = format!("messages: ({session}, {reply_at}): the record's checksum does not match");
    assert_eq!(rig.store().check().unwrap(), [fault]);
    rig.store().copy(rig.now()).unwrap();
    // In the store itself it is unchanged, until it is read.
    assert_eq!(contents(&rig.transcript(session)), ["hello"]);
    rig.settle();
}

#[test]
fn an_export_contains_any_single_damaged_record_and_can_be_imported() {
    let (rig, records, sound) = sound();
    for (name, damage_and_reopen) in &records {
        std::fs::write(rig.path(), &sound).unwrap();
        rig.edit(|txn| damage_and_reopen(txn));
        let lines = export_of(&look(&rig.path()));
        let damaged: Vec<_> = lines
            .iter()
            .filter(|line| line.starts_with(r#"{"type":"damaged""#))
            .collect();
        assert_eq!(damaged.len(), usize::from(!name.is_empty()), "{name}");
        let record = format!(r#""record":"{name}"#);
        assert!(damaged.iter().all(|line| line.contains(&record)), "{name}");
        let (dir, imported) = import(&lines).unwrap();
        assert_eq!(imported.quarantined, damaged.len() as u64, "{name}");
        assert_eq!(
            faults_of(&mut look_at(&dir)),
            Vec::<String>::new(),
            "{name}"
        );
    }
    std::fs::write(rig.path(), sound).unwrap();
}

#[test]
fn a_reply_that_is_quarantined_during_an_export_is_in_it() {
    let (rig, session, _) = with_damaged_reply();
    let mut cursor = ExportCursor::all();
    let mut lines = Vec::new();
    while !cursor.is_done() {
        let items = rig.read(|reader| reader.export(&mut cursor, 1, START));
        lines.extend(items.iter().map(crate::archive::line));
        // Another reader finds it between two slices.
        rig.transcript(session);
        rig.settle();
    }
    assert_eq!(cursor.take_lost(), Vec::<String>::new());
    assert_eq!(lines.len(), 3);
    import(&lines).unwrap();
}

/// Returns a closed store with enough sessions for several levels of pages, and its bytes.
fn many() -> (Rig, Vec<u8>) {
    let mut rig = Rig::new();
    for number in 0..60_u8 {
        let mut creation = rig.keyed_creation(&format!("create-{number}"));
        // In random order, as in practice.
        creation.new.id = SessionId::from(u128::from(number) << 80 | 7);
        let session = rig.submit(creation).unwrap().session;
        for said in ["first", "second"] {
            let message = rig.keyed_message(session.id, said, &format!("key-{said}"));
            let message = rig.submit(message).unwrap().message;
            if said == "first" {
                rig.reply(&message, "well");
            }
        }
    }
    rig.close(false);
    let bytes = rig.bytes();
    (rig, bytes)
}

/// Returns the bits of a file to flip: bytes at intervals, and some keys.
fn flips(bytes: &[u8]) -> impl Iterator<Item = (usize, u8)> + '_ {
    let every = std::env::var("SESSIOND_FLIP_EVERY").ok();
    let every = every.and_then(|every| every.parse().ok()).unwrap_or(2999);
    let keys = bytes.windows(10).enumerate();
    let keys = keys.filter(|(_, part)| *part == b"key-second").step_by(20);
    (0..bytes.len())
        .step_by(every)
        .map(move |at| (at, 1 << (at / every % 8)))
        .chain(keys.map(|(at, part)| (at + part.len() - 1, 1)))
}

/// Returns what is exported from a file, and whether it is reported as incomplete; none if the file
/// cannot be opened.
fn salvaged(path: &Path) -> Option<(Vec<String>, bool)> {
    let mut look = OfflineDatabase::open(path, CACHE_BYTES).ok()?;
    let is_damaged = look.require_sound_pages().is_err();
    let mut cursor = if is_damaged {
        ExportCursor::salvage()
    } else {
        ExportCursor::all()
    };
    let mut lines = Vec::new();
    while !cursor.is_done() {
        let items = look.export(&mut cursor, 7, START).unwrap();
        lines.extend(items.iter().map(crate::archive::line));
        assert!(lines.len() < 1000, "it goes round");
    }
    let has_lost = !cursor.take_lost().is_empty();
    Some((lines, is_damaged || has_lost))
}

#[test]
fn with_any_flipped_bit_nearly_everything_is_exported_and_can_be_imported() {
    let (rig, sound) = many();
    let (all, is_reported) = salvaged(&rig.path()).unwrap();
    assert!(!is_reported);
    let mut looked = 0;
    for (at, bit) in flips(&sound) {
        let mut bytes = sound.clone();
        bytes[at] ^= bit;
        std::fs::write(rig.path(), &bytes).unwrap();
        let Some((lines, is_reported)) = salvaged(&rig.path()) else {
            continue;
        };
        looked += 1;
        // No more is lost than the content of a page.
        let lost = all.len().saturating_sub(lines.len());
        assert!(lost <= 10, "{at} {bit}: {lost} lines are lost");
        assert!(
            lost == 0 || is_reported,
            "{at} {bit}: the loss is not reported"
        );
        import(&lines).unwrap_or_else(|error| panic!("{at} {bit}: {error}"));
    }
    assert!(looked > 50, "{looked}");
    std::fs::write(rig.path(), sound).unwrap();
}

#[test]
fn with_any_flipped_bit_a_copy_is_complete_or_refused() {
    let (rig, sound) = many();
    let (all, _) = salvaged(&rig.path()).unwrap();
    let (mut copies, mut refusals) = (0, 0);
    for (at, bit) in flips(&sound) {
        let mut bytes = sound.clone();
        bytes[at] ^= bit;
        std::fs::write(rig.path(), &bytes).unwrap();
        match copy_of(&rig) {
            Err(CopyError::Failed(error)) => {
                assert!(
                    error.is_damage() || matches!(error, OpenError::Foreign(_)),
                    "{at}: {error}"
                );
                refusals += 1;
            }
            Err(error) => panic!("{at} {bit}: {error}"),
            Ok(copy) => {
                let lines = export_of(&copy);
                // A damaged record of a key is exported beside its message.
                let has_damaged = lines.iter().any(|line| line.contains("\"damaged\""));
                assert!(has_damaged || lines == all, "{at} {bit}: it is another");
                assert!(
                    lines.len() >= all.len(),
                    "{at} {bit}: {} lines",
                    lines.len()
                );
                copies += 1;
            }
        }
    }
    assert!(copies > 0 && refusals > 0);
    std::fs::write(rig.path(), sound).unwrap();
}

#[test]
fn a_running_store_is_copied_unless_its_pages_are_damaged() {
    let (mut rig, sound) = many();
    let path = rig.path();
    let flip = |text: &[u8]| {
        let mut bytes = sound.clone();
        let mut at = 0;
        while let Some(found) = bytes[at..]
            .windows(text.len())
            .position(|part| part == text)
        {
            // The last byte, so that the keys stay in order.
            at += found + text.len();
            bytes[at - 1] ^= 1;
        }
        assert!(bytes != sound);
        std::fs::write(&path, bytes).unwrap();
    };
    // In a record, and in a key, too.
    for (text, is_copied) in [("well", true), ("key-second", false)] {
        flip(text.as_bytes());
        rig.open();
        match rig.store().copy(rig.now()) {
            Ok(_) => assert!(is_copied, "{text}"),
            Err(CopyError::Failed(error)) => {
                assert!(!is_copied && error.is_damage(), "{text}: {error}");
            }
            Err(error) => panic!("{text}: {error}"),
        }
        rig.drop_store();
    }
    std::fs::write(rig.path(), &sound).unwrap();
}

#[test]
fn concurrent_writes_do_not_make_a_copy_look_damaged() {
    let rounds = std::env::var("SESSIOND_COPIES").ok();
    let rounds = rounds.and_then(|rounds| rounds.parse().ok()).unwrap_or(30);
    let mut rig = Rig::new();
    let sessions: Vec<_> = (0..100).map(|_| rig.create()).collect();
    for session in &sessions {
        for _ in 0..10 {
            let sent = rig.send(session.id, &"hello ".repeat(50));
            rig.fail(&sent.message);
        }
    }
    let store = rig.store();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            while !is_over.load(Ordering::SeqCst) {
                for session in &sessions {
                    let beat = super::super::command::Heartbeat(session.id);
                    runtime.block_on(store.submit(beat)).unwrap();
                }
            }
        });
        for _ in 0..rounds {
            let copy = store.copy(START);
            // Otherwise the other thread would never end.
            is_over.store(copy.is_err(), Ordering::SeqCst);
            copy.unwrap();
        }
        is_over.store(true, Ordering::SeqCst);
    });
}
