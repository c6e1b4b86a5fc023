//! The disk fails once, at its n-th operation, for every n.
//!
//! For every failure: nothing that was acknowledged is missing, nothing that was refused is stored,
//! and after an unknown outcome a repeat with the same key stores the message once.

use super::super::command::SubmitReply;
use super::disk::{Failure, Fault};
use super::pair::{Check, Pair};
use super::reference::{Outcome, Reference, Submission};
use super::*;

/// Two waiting messages, a reply to both, and a reply to none.
#[derive(Debug, Clone, Copy)]
enum Ask {
    Send(usize),
    Submit(usize),
}

const ASKED: [Ask; 4] = [Ask::Send(0), Ask::Send(1), Ask::Submit(2), Ask::Submit(3)];

/// Content of one page, and of several.
fn content(number: usize) -> String {
    number.to_string().repeat(1 + 3_000 * (number % 3))
}

fn message(rig: &mut Rig, session: SessionId, number: usize) -> SendMessage {
    let mut message = rig.keyed_message(session, &content(number), &format!("k{number}"));
    message.beginning = TurnStart::Waiting(MINUTE);
    message
}

fn submit(rig: &mut Rig, session: SessionId, number: usize) -> SubmitReply {
    let mut submit = super::submit::submit(rig, session, &content(number));
    submit.key = Some(key(&format!("k{number}")));
    submit
}

/// The possible contents according to the answers.
struct Possible(Vec<Reference>);

impl Possible {
    /// The answer of each possibility to a command, and its content afterwards.
    fn try_all<T>(&self, ask: impl Fn(&mut Reference) -> T) -> Vec<(T, Reference)> {
        let after = |reference: &Reference| {
            let mut after = reference.clone();
            (ask(&mut after), after)
        };
        self.0.iter().map(after).collect()
    }

    fn heard<T: PartialEq + std::fmt::Debug>(
        &mut self,
        said: Vec<(T, Reference)>,
        heard: Result<T, SubmitError>,
    ) {
        match heard {
            Ok(heard) => {
                let agrees = |(said, after)| (said == heard).then_some(after);
                self.0 = said.into_iter().filter_map(agrees).collect();
                assert!(!self.0.is_empty(), "not what any says: {heard:?}");
            }
            Err(SubmitError::Storage) => {}
            Err(SubmitError::OutcomeUnknown) => {
                self.0.extend(said.into_iter().map(|(_, after)| after));
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn ask(&mut self, rig: &mut Rig, session: SessionId, ask: Ask) {
        match ask {
            Ask::Send(number) => {
                let message = message(rig, session, number);
                let said = self.try_all(|reference| reference.send(&message).unwrap());
                self.heard(said, rig.submit(message).map(Outcome::from));
            }
            Ask::Submit(number) => {
                let submit = submit(rig, session, number);
                let said = self.try_all(|reference| reference.submit(&submit).unwrap());
                self.heard(said, rig.submit(submit).map(Submission::from));
            }
        }
    }

    /// Returns the possibility that matches the store.
    fn matching(self, rig: &Rig) -> Option<Reference> {
        let found = rig.contents();
        let mut possible = self.0.into_iter();
        possible.find(|reference| reference.contents() == found)
    }
}

fn repeat(pair: &mut Pair, session: SessionId, ask: Ask) -> Check {
    match ask {
        Ask::Send(number) => {
            let message = message(&mut pair.rig, session, number);
            pair.send(message)
        }
        Ask::Submit(number) => {
            let submit = submit(&mut pair.rig, session, number);
            pair.submit(submit)
        }
    }
}

/// Returns whether the n-th operation was reached.
fn try_with(failure: Failure, nth: usize) -> bool {
    let disk = Disk::default();
    let mut pair = Pair::new(Rig::on_disk(&disk));
    let creation = pair.rig.creation();
    let session = creation.new.id;
    pair.create(creation).unwrap();
    disk.fail_once(failure, nth);
    let mut possible = Possible(vec![pair.reference]);
    for ask in ASKED {
        possible.ask(&mut pair.rig, session, ask);
    }
    let was_reached = disk.has_failed();
    disk.forget_failure();
    let what = format!("{failure:?} at {nth}");
    // After the failure, it recovers on its own.
    pair.rig.wait_until_healthy();

    let Some(reference) = possible.matching(&pair.rig) else {
        panic!("{what}: {:?}", pair.rig.contents());
    };
    pair.reference = reference;
    for ask in ASKED {
        repeat(&mut pair, session, ask).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    assert_eq!(pair.rig.transcript(session).len(), 4, "{what}");
    pair.compare().unwrap();
    // A crash after that leaves the same content.
    let bytes = disk.bytes();
    pair.rig.drop_store();
    let after = Rig::on_disk(&Disk::with_bytes(bytes));
    pair.reference.restart(true);
    assert_eq!(after.contents(), pair.reference.contents(), "{what}");
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
fn nothing_acknowledged_is_lost_if_any_write_or_sync_fails() {
    try_every(Failure::Io);
}

#[test]
fn nothing_acknowledged_is_lost_if_the_disk_is_full_at_any_time() {
    try_every(Failure::Full);
}

#[test]
fn nothing_acknowledged_is_lost_if_any_write_is_short() {
    try_every(Failure::Short);
}

/// Simulates a page cache that has marked pages as written although their write failed.
#[test]
fn writes_lost_by_a_failed_sync_are_found_before_the_next_write() {
    let disk = Disk::default();
    let mut rig = Rig::on_disk(&disk);
    let session = rig.create();
    for number in 0..20 {
        let sent = rig.send(session.id, &number.to_string().repeat(2_000));
        rig.reply(&sent.message, "well");
    }
    // A page of an acknowledged write is lost, and only the failed sync reported it.
    let sound = disk.bytes();
    let mut lossy = sound.clone();
    // Pages are copied on write, so there may be older ones that are no longer read.
    for block in lossy.chunks_mut(512) {
        if block.windows(10).any(|window| window == b"1919191919") {
            block.fill(0);
        }
    }
    // Before the sync fails, since the writer checks the disk right after it.
    disk.set_bytes(lossy);
    disk.fail(Some(Fault::Syncs));
    let message = rig.keyed_message(session.id, "x", "k");
    rig.submit(message).unwrap_err();
    disk.fail(None);

    // It is read from the cache, and not written.
    for _ in 0..3 {
        let message = rig.message(session.id, "no");
        let error = rig.submit(message).unwrap_err();
        assert!(matches!(error, SubmitError::Storage), "{error}");
        assert!(!rig.can_commit());
        assert_eq!(rig.session(session.id).unwrap().id, session.id);
        std::thread::sleep(Duration::from_millis(20));
    }

    // If only the cache was wrong, the store continues.
    disk.set_bytes(sound);
    rig.wait_until_healthy();
    rig.send(session.id, "yes");
}
