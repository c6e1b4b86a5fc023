//! What can be saved of a file that is damaged, and what is said of the rest.

use super::super::command::WalkTallies;
use super::super::file::Look;
use super::super::tables::{
    CREATE_KEYS, MESSAGE_KEYS, MESSAGES, META, OPEN_TURNS, SESSIONS, SUBMIT_KEYS, UPSTREAMS, meta,
};
use super::archived::{export_of, faults_of, filled, import, look as look_at};
use super::*;

/// A record that is spoilt, and what it is called where it is set aside; nothing of a tally, which
/// is counted anew.
type Spoilt = (&'static str, Box<dyn Fn(&WriteTransaction)>);

/// The keys of a table's rows.
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

/// Each record of a table, to be spoilt.
fn records_of<K: redb::Key + 'static>(
    rig: &Rig,
    table: TableDefinition<'static, K, &'static [u8]>,
    name: &'static str,
) -> impl Iterator<Item = Spoilt> {
    keys_of(rig, table).into_iter().map(move |key| -> Spoilt {
        let spoil = move |txn: &WriteTransaction| damage(txn, table, K::from_bytes(&key));
        (name, Box::new(spoil))
    })
}

/// Every single record of a store.
fn all_records(rig: &Rig) -> Vec<Spoilt> {
    let tallies = [meta::EXPIRED, meta::WARNED, meta::ENDED];
    let tally = |name| -> Spoilt { ("", Box::new(move |txn| damage(txn, META, name))) };
    records_of(rig, SESSIONS, "session")
        .chain(records_of(rig, MESSAGES, "message "))
        .chain(records_of(rig, CREATE_KEYS, "create_key "))
        .chain(records_of(rig, MESSAGE_KEYS, "message_key "))
        .chain(records_of(rig, SUBMIT_KEYS, "submit_key "))
        .chain(records_of(rig, OPEN_TURNS, "turn "))
        .chain(records_of(rig, UPSTREAMS, "upstream"))
        .chain(tallies.map(tally))
        .collect()
}

/// A closed store with something of everything, each of its records, and its bytes.
fn sound() -> (Rig, Vec<Spoilt>, Vec<u8>) {
    let mut rig = filled();
    rig.submit(WalkTallies).unwrap();
    let records = all_records(&rig);
    assert!(records.len() > 50, "{}", records.len());
    rig.close(false);
    let sound = rig.bytes();
    (rig, records, sound)
}

fn look(path: &Path) -> Look {
    Look::into(path, CACHE_BYTES).unwrap()
}

/// Copies a file that no server holds; the copy is sound, and these are what it has set aside.
fn copied(rig: &Rig) -> Vec<String> {
    let copy = rig.dir.path().join("copy.redb");
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&copy)
        .unwrap();
    look(&rig.path())
        .copy_to(&file, &rig.rules, rig.now(), &mut |_| {})
        .unwrap();
    drop(file);
    let mut copy = look(&copy);
    assert_eq!(faults_of(&mut copy), Vec::<String>::new());
    let mut aside = Vec::new();
    copy.set_aside(&mut |found| aside.push(found.place))
        .unwrap();
    aside
}

#[test]
fn whichever_single_record_is_damaged_a_copy_is_made_and_sets_it_aside() {
    let (rig, records, sound) = sound();
    for (name, spoil) in &records {
        std::fs::write(rig.path(), &sound).unwrap();
        rig.edit(|txn| spoil(txn));
        let aside = copied(&rig);
        assert_eq!(aside.len(), usize::from(!name.is_empty()), "{name}");
        assert!(aside.iter().all(|place| place.starts_with(name)), "{name}");
    }
    std::fs::write(rig.path(), sound).unwrap();
}

#[test]
fn a_running_store_is_copied_with_a_damaged_reply() {
    let mut rig = Rig::new();
    let session = rig.create();
    let message = rig.send(session.id, "hello").message;
    let reply = rig.reply(&message, "well");
    rig.close(false);
    let place = (u128::from(session.id), reply.created_at.0);
    rig.edit(|txn| damage(txn, MESSAGES, place));
    rig.open();
    let fault = format!(
        "messages: ({}, {}): the record's checksum does not match",
        session.id, reply.created_at
    );
    assert_eq!(rig.store().check().unwrap(), [fault]);
    rig.store().copy(rig.now()).unwrap();
    // In the store itself it is where it was, until somebody meets it.
    assert_eq!(contents(&rig.transcript(session.id)), ["hello"]);
    rig.settle();
}

#[test]
fn whichever_single_record_is_damaged_an_export_shows_it_and_comes_back() {
    let (rig, records, sound) = sound();
    for (name, spoil) in &records {
        std::fs::write(rig.path(), &sound).unwrap();
        rig.edit(|txn| spoil(txn));
        let lines = export_of(&look(&rig.path()));
        let damaged: Vec<_> = lines
            .iter()
            .filter(|line| line.starts_with(r#"{"type":"damaged""#))
            .collect();
        assert_eq!(damaged.len(), usize::from(!name.is_empty()), "{name}");
        let record = format!(r#""record":"{name}"#);
        assert!(damaged.iter().all(|line| line.contains(&record)), "{name}");
        let (dir, imported) = import(&lines).unwrap();
        assert_eq!(imported.set_aside, damaged.len() as u64, "{name}");
        assert_eq!(
            faults_of(&mut look_at(&dir)),
            Vec::<String>::new(),
            "{name}"
        );
    }
    std::fs::write(rig.path(), sound).unwrap();
}

#[test]
fn a_reply_that_is_set_aside_during_an_export_is_in_it() {
    let mut rig = Rig::new();
    let session = rig.create();
    let message = rig.send(session.id, "hello").message;
    let reply = rig.reply(&message, "well");
    rig.close(false);
    let place = (u128::from(session.id), reply.created_at.0);
    rig.edit(|txn| damage(txn, MESSAGES, place));
    rig.open();
    let mut cursor = Cursor::all();
    let mut lines = Vec::new();
    while !cursor.is_done() {
        let items = rig.read(|reader| reader.export(&mut cursor, 1, START));
        lines.extend(items.iter().map(crate::archive::line));
        // Somebody else meets it between two slices.
        rig.transcript(session.id);
        rig.settle();
    }
    assert_eq!(cursor.take_lost(), Vec::<String>::new());
    assert_eq!(lines.len(), 3);
    import(&lines).unwrap();
}
