//! Files that are opened, created, or refused and left unchanged.

use super::super::command::{AdvanceCounters, DeleteSession};
use super::*;
use crate::store::file::database::begin_write;
use crate::store::schema::tables::{META, SCHEMA_VERSION, SESSIONS, meta};

/// Returns a stopped store with some content.
fn sample() -> (Rig, Session) {
    let mut rig = Rig::new();
    let session = rig.create();
    for _ in 0..5 {
        let sent = rig.send(session.id, &"hello ".repeat(500));
        rig.reply(&sent.message, &"well ".repeat(500));
    }
    rig.close(false);
    (rig, session)
}

/// Tries to open a file of these bytes; returns the error, after which the file is unchanged.
fn refused(bytes: &[u8]) -> OpenError {
    let mut rig = Rig::closed(rules());
    std::fs::write(rig.path(), bytes).unwrap();
    let error = rig.try_open().unwrap_err();
    assert!(rig.bytes() == bytes, "changed, though refused: {error}");
    std::fs::remove_file(rig.path()).unwrap();
    error
}

/// Returns a redb database that this program did not create.
fn redb_file(fill: impl FnOnce(&WriteTransaction)) -> Vec<u8> {
    let dir = temp_dir();
    let path = dir.path().join("other.redb");
    drop(Database::create(&path).unwrap());
    edit(&path, fill);
    std::fs::read(path).unwrap()
}

fn write_schema(txn: &WriteTransaction, version: &[u8]) {
    let mut table = txn.open_table(META).unwrap();
    table.insert(meta::SCHEMA, version).unwrap();
}

#[test]
fn a_file_of_a_newer_schema_is_refused_and_left_unchanged() {
    let (rig, _) = sample();
    let sound = rig.bytes();
    let newer = [SCHEMA_VERSION + 1, SCHEMA_VERSION + 2, u32::MAX];
    let mut versions = newer.map(|version| record::encode_number(version).unwrap());
    for version in &versions {
        rig.edit(|txn| write_schema(txn, version));
        let error = refused(&rig.bytes());
        assert!(
            matches!(error, OpenError::Newer { found, known: SCHEMA_VERSION } if found > SCHEMA_VERSION),
            "{error:?}"
        );
        let text = error.to_string();
        assert!(text.contains("newer") && text.contains("Nothing was changed"));
    }

    // A later version may have another layout even for the version's own row.
    versions[0][0] = 9;
    rig.edit(|txn| write_schema(txn, &versions[0]));
    let error = refused(&rig.bytes());
    assert!(
        matches!(error, OpenError::Newer { found: 9, .. }),
        "{error:?}"
    );
    std::fs::write(rig.path(), sound).unwrap();
}

#[test]
fn a_file_of_a_newer_schema_is_refused_after_a_crash_too() {
    let mut rig = Rig::new();
    rig.create();
    let store = rig.store.take().unwrap();
    {
        let database = store.shared.database();
        let txn = begin_write(&database.as_ref().unwrap().database).unwrap();
        write_schema(&txn, &record::encode_number(SCHEMA_VERSION + 1).unwrap());
        txn.commit().unwrap();
    }
    let crashed = rig.bytes();
    drop_and_wait(store);
    std::fs::write(rig.path(), crashed).unwrap();
    // Not byte by byte the same: redb cannot read it before it has repaired it.
    let error = rig.try_open().unwrap_err();
    assert!(
        matches!(error, OpenError::Newer { found, .. } if found == SCHEMA_VERSION + 1),
        "{error:?}"
    );
    rig.edit(|txn| write_schema(txn, &record::encode_number(SCHEMA_VERSION).unwrap()));
}

#[test]
fn a_file_whose_schema_version_is_damaged_is_refused() {
    let (rig, _) = sample();
    let sound = rig.bytes();
    rig.edit(|txn| damage(txn, META, meta::SCHEMA));
    let error = refused(&rig.bytes());
    assert!(matches!(error, OpenError::Damaged(_)), "{error:?}");
    std::fs::write(rig.path(), &sound).unwrap();

    rig.edit(|txn| write_schema(txn, &record::encode_number(0).unwrap()));
    let error = refused(&rig.bytes());
    assert!(matches!(error, OpenError::Damaged(_)), "{error:?}");
    std::fs::write(rig.path(), sound).unwrap();
}

#[test]
fn a_database_of_another_program_is_refused() {
    let other: TableDefinition<u64, &str> = TableDefinition::new("other");
    let unversioned: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
    let mistyped: TableDefinition<u64, u64> = TableDefinition::new("meta");
    for bytes in [
        redb_file(|txn| drop(txn.open_table(other).unwrap().insert(1, "x"))),
        redb_file(|txn| drop(txn.open_table(unversioned))),
        redb_file(|txn| drop(txn.open_table(mistyped))),
    ] {
        let error = refused(&bytes);
        assert!(matches!(error, OpenError::Foreign(_)), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("not a sessiond database"), "{text}");
    }
}

#[test]
fn a_file_that_is_not_a_database_is_refused() {
    let mut zeros = vec![0; 4096];
    let mut hardly_anything = vec![0; 8192];
    hardly_anything[5000] = 1;
    for bytes in [
        b"hello".to_vec(),
        b"h".to_vec(),
        "A text of some length. ".repeat(1000).into_bytes(),
        b"SQLite format 3\0".repeat(512),
        hardly_anything,
        zeros.clone(),
        vec![0; 1 << 20],
        vec![0; 1],
        Vec::new(),
    ] {
        let error = refused(&bytes);
        assert!(
            matches!(error, OpenError::Foreign(_) | OpenError::Damaged(_)),
            "{error:?}"
        );
    }
    // redb's magic number, and nothing else.
    zeros[..9].copy_from_slice(b"redb\x1a\x0a\xa9\x0d\x0a");
    let error = refused(&zeros);
    assert!(matches!(error, OpenError::Damaged(_)), "{error:?}");
}

#[test]
fn an_interrupted_creation_is_never_found_under_the_real_name() {
    // redb sets the length of the file, writes a header, and its magic number last.
    let disk = Disk::default();
    disk.begin_log();
    drop(disk.file().open().unwrap());
    let mut bytes = Vec::new();
    let mut unfinished = 0;
    for done in disk.log() {
        done.redo(&mut bytes);
        let is_finished = bytes.starts_with(b"redb");
        if !is_finished {
            unfinished += 1;
            let error = refused(&bytes);
            assert!(matches!(error, OpenError::Foreign(_)), "{error:?}");
        }
    }
    assert!(unfinished >= 2, "its length, and its header");

    // So it has another name until it is complete.
    let mut rig = Rig::closed(rules());
    let left = rig.dir.path().join(".sessiond-left.partial");
    std::fs::write(&left, &bytes[..100]).unwrap();
    rig.open();
    assert!(!left.exists());
    assert_eq!(std::fs::read_dir(rig.dir.path()).unwrap().count(), 1);
}

#[test]
fn a_dangling_link_points_to_the_new_file() {
    let mut rig = Rig::closed(rules());
    let file = rig.dir.path().join("elsewhere.redb");
    std::os::unix::fs::symlink("elsewhere.redb", rig.path()).unwrap();
    rig.open();
    assert!(file.is_file());
    assert!(std::fs::symlink_metadata(rig.path()).unwrap().is_symlink());
    rig.create();
    assert_eq!(rig.restart().sessions, 1);
}

#[test]
fn an_empty_database_becomes_a_new_one() {
    // The file of a first start that was interrupted before its first commit.
    let mut rig = Rig::closed(rules());
    drop(Database::create(rig.path()).unwrap());
    let found = rig.open();
    assert_eq!((found.sessions, found.clean_stop), (0, None));
    rig.create();
    assert_eq!(rig.restart().sessions, 1);
}

#[test]
fn a_new_file_is_accessible_only_to_its_owner() {
    use std::os::unix::fs::PermissionsExt as _;

    let rig = Rig::new();
    let mode = std::fs::metadata(rig.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_truncated_file_is_refused_or_read_without_a_crash() {
    let (rig, session) = sample();
    let whole = rig.bytes();
    let pages = whole.len() / 4096;
    let lengths = (0..pages)
        .step_by(pages / 16)
        .flat_map(|page| [page * 4096, page * 4096 + 100])
        .chain([1, 8, 9, 64, 320, 4095, 4097])
        .chain([whole.len() - 4096, whole.len() - 1]);
    for length in lengths.filter(|length| *length > 0) {
        let cut = &whole[..length];
        let mut other = Rig::closed(rules());
        std::fs::write(other.path(), cut).unwrap();
        match other.try_open() {
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert!(
                    matches!(error, OpenError::Damaged(_) | OpenError::Foreign(_)),
                    "{length} bytes: {error:?}"
                );
                assert!(
                    other.bytes() == cut,
                    "{length} bytes: changed, though refused"
                );
                std::fs::remove_file(other.path()).unwrap();
            }
            // The truncated part was empty.
            Ok(found) => {
                assert_eq!(found.sessions, 1);
                assert_eq!(other.transcript(session.id), {
                    let mut sound = Rig::closed(rules());
                    std::fs::write(sound.path(), &whole).unwrap();
                    sound.open();
                    sound.transcript(session.id)
                });
            }
        }
    }
}

#[test]
fn a_directory_instead_of_the_file_is_refused() {
    let mut rig = Rig::closed(rules());
    std::fs::create_dir(rig.path()).unwrap();
    std::fs::write(rig.path().join("within"), b"x").unwrap();
    let error = rig.try_open().unwrap_err();
    assert!(error.to_string().contains("directory"), "{error}");
    assert_eq!(std::fs::read(rig.path().join("within")).unwrap(), b"x");
    std::fs::remove_dir_all(rig.path()).unwrap();
}

#[test]
fn a_file_in_a_missing_directory_is_refused() {
    let mut rig = Rig::closed(rules());
    let path = rig.dir.path().join("no/such/sessiond.redb");
    let clock = rig.clock.clone();
    let error = Store::open(&path, CACHE_BYTES, rig.rules, clock, rig.bus.clone()).unwrap_err();
    assert!(matches!(error, OpenError::Io(_)), "{error:?}");
    rig.open();
}

/// Opens a file of these bytes and uses it, ignoring errors.
fn misuse(bytes: &[u8], session: SessionId) {
    let mut rig = Rig::closed(rules());
    std::fs::write(rig.path(), bytes).unwrap();
    if rig.try_open().is_ok() {
        // redb verifies no page when it reads, so any result is possible, but the writer must
        // survive.
        let _ = rig.store().check();
        let request = PageRequest {
            before: None,
            after: None,
            limit: 100,
        };
        let _ = rig.wait(rig.store().message_page(session, request));
        for _ in 0..3 {
            let message = rig.message(session, &"hello ".repeat(2000));
            let _ = rig.submit(message);
            let _ = rig.submit(DeleteSession(SessionId::from(u128::MAX)));
            let _ = rig.submit(AdvanceCounters);
        }
        let _ = rig.submit(DeleteSession(session));
        let _ = rig.submit(Purge::default());
        let store = rig.store.take().unwrap();
        let _ = rig.wait(store.close(false));
    }
    std::fs::remove_file(rig.path()).unwrap();
}

#[test]
fn a_file_with_damaged_pages_crashes_nothing() {
    let (rig, session) = sample();
    let whole = rig.bytes();
    let damages: [fn(&mut [u8]); 4] = [
        |page| page.iter_mut().step_by(97).for_each(|byte| *byte = !*byte),
        |page| page.fill(0),
        |page| page[..64].fill(0xff),
        |page| page[2000..].fill(0x55),
    ];
    // The first page is the header, without which nothing can be opened.
    for page in 1..whole.len() / 4096 {
        let place = page * 4096..(page + 1) * 4096;
        if whole[place.clone()].iter().all(|byte| *byte == 0) {
            continue;
        }
        for damage in damages {
            let mut bytes = whole.clone();
            damage(&mut bytes[place.clone()]);
            misuse(&bytes, session.id);
        }
    }
}

#[test]
fn an_older_file_without_a_table_gets_it() {
    let (mut rig, session) = sample();
    rig.edit(|txn| {
        txn.delete_table(tables::DELETIONS).unwrap();
    });
    rig.open();
    assert_eq!(rig.session(session.id).unwrap().id, session.id);
    assert_eq!(rig.rows(SESSIONS), 1);
}
