//! The disk fails once, at the n-th thing that is done to it, for every n.
//!
//! Whatever fails, and however: nothing that was answered is missing, what was refused is not
//! there, and of what has an unknown outcome a repeat with the same key leaves one.

use super::disk::{Failure, Fault};
use super::*;

/// What a caller heard of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Stored,
    NotStored,
    Unknown,
}

/// Sends some messages, all with keys, and notes what was heard.
fn send_all(rig: &mut Rig, session: SessionId) -> Vec<Heard> {
    (0..4)
        .map(|number| {
            let content = number.to_string().repeat(1 + 3_000 * (number % 3));
            let message = rig.keyed_message(session, &content, &format!("k{number}"));
            match rig.submit(message) {
                Ok(sent) => {
                    assert!(!sent.replayed);
                    Heard::Stored
                }
                Err(SubmitError::Storage) => Heard::NotStored,
                Err(SubmitError::OutcomeUnknown) => Heard::Unknown,
                Err(other) => panic!("{other}"),
            }
        })
        .collect()
}

fn repeat(rig: &mut Rig, session: SessionId, number: usize) -> Sent {
    let content = number.to_string().repeat(1 + 3_000 * (number % 3));
    let message = rig.keyed_message(session, &content, &format!("k{number}"));
    rig.submit(message).unwrap()
}

/// Returns whether the n-th operation was reached.
fn try_with(failure: Failure, nth: usize) -> bool {
    let disk = Disk::default();
    let mut rig = Rig::on_disk(&disk);
    let session = rig.create();
    disk.fail_once(failure, nth);
    let heard = send_all(&mut rig, session.id);
    let was_reached = disk.has_failed();
    disk.forget_failure();
    let what = format!("{failure:?} at {nth}: {heard:?}");
    // Where it failed, it heals by itself.
    rig.wait_until_healthy();

    for (number, heard) in heard.iter().enumerate() {
        let sent = repeat(&mut rig, session.id, number);
        match heard {
            Heard::Stored => assert!(sent.replayed, "lost: {number}, {what}"),
            Heard::NotStored => assert!(!sent.replayed, "stored: {number}, {what}"),
            Heard::Unknown => {}
        }
    }
    assert_eq!(rig.transcript(session.id).len(), 4, "{what}");
    // A crash after that finds the same.
    let bytes = disk.bytes();
    rig.drop_store();
    let mut after = Rig::on_disk(&Disk::with_bytes(bytes));
    after.last_id = 1_000;
    assert_eq!(after.transcript(session.id).len(), 4, "{what}");
    was_reached
}

fn try_every(failure: Failure) {
    let mut nth = 0;
    while try_with(failure, nth) {
        nth += 1;
    }
    println!("{failure:?}: {nth} operations, each failed once");
    assert!(nth > 20, "{nth}");
}

#[test]
fn nothing_answered_is_lost_whichever_write_or_sync_fails() {
    try_every(Failure::Io);
}

#[test]
fn nothing_answered_is_lost_whenever_the_disk_is_full() {
    try_every(Failure::Full);
}

#[test]
fn nothing_answered_is_lost_whichever_write_is_cut_short() {
    try_every(Failure::Short);
}

/// The page cache of a system that has marked what it could not write for written.
#[test]
fn what_was_lost_behind_a_failed_sync_is_found_before_the_next_write() {
    let disk = Disk::default();
    let mut rig = Rig::on_disk(&disk);
    let session = rig.create();
    for number in 0..20 {
        let sent = rig.send(session.id, &number.to_string().repeat(2_000));
        rig.reply(&sent.message, "well");
    }
    // A page of an acknowledged write is gone, and nobody was told but by the failed sync.
    let sound = disk.bytes();
    let mut spoilt = sound.clone();
    // Pages are copied on write, so that there may be older ones that nobody reads any more.
    for block in spoilt.chunks_mut(512) {
        if block.windows(10).any(|window| window == b"1919191919") {
            block.fill(0);
        }
    }
    // Before the sync fails, since the writer looks at the disk as soon as it has.
    disk.set_bytes(spoilt);
    disk.fail(Some(Fault::Syncs));
    let message = rig.keyed_message(session.id, "x", "k");
    rig.submit(message).unwrap_err();
    disk.fail(None);

    // It is read, from what is remembered, and not written.
    for _ in 0..3 {
        let message = rig.message(session.id, "no");
        let error = rig.submit(message).unwrap_err();
        assert!(matches!(error, SubmitError::Storage), "{error}");
        assert!(!rig.store().is_healthy());
        assert_eq!(rig.session(session.id).unwrap().id, session.id);
        std::thread::sleep(Duration::from_millis(20));
    }

    // Where it was but the cache that was wrong, it goes on.
    disk.set_bytes(sound);
    rig.wait_until_healthy();
    rig.send(session.id, "yes");
}
