//! A disk that fails, and recovers.

use super::super::command::{DeleteSession, Heartbeat};
use super::disk::Fault;
use super::*;

/// Returns a store with a session, and its disk.
fn failing_rig() -> (Rig, Disk, Session) {
    let disk = Disk::default();
    let mut rig = Rig::on_disk(&disk);
    let session = rig.create();
    (rig, disk, session)
}

fn assert_works(rig: &mut Rig, session: &Session) {
    assert!(rig.can_commit());
    let sent = rig.send(session.id, "after");
    assert_eq!(rig.stored(&sent.message), *sent.message);
}

#[test]
fn a_failed_write_is_reported_and_the_store_recovers_on_its_own() {
    let (mut rig, disk, session) = failing_rig();
    disk.fail(Some(Fault::Writes));

    let lost = rig.message(session.id, "lost?");
    let error = rig.submit(lost).unwrap_err();
    assert!(
        matches!(error, SubmitError::Storage | SubmitError::OutcomeUnknown),
        "{error:?}"
    );
    assert!(!rig.can_commit());

    disk.fail(None);
    rig.wait_until_healthy();
    assert_works(&mut rig, &session);
}

#[test]
fn the_outcome_of_a_commit_that_fails_at_its_sync_is_unknown() {
    let (mut rig, disk, session) = failing_rig();
    rig.grow_file();
    disk.fail(Some(Fault::Syncs));

    let message = rig.keyed_message(session.id, "once", "k");
    let error = rig.submit(message).unwrap_err();
    assert!(matches!(error, SubmitError::OutcomeUnknown), "{error:?}");
    assert!(!rig.can_commit());

    disk.fail(None);
    rig.wait_until_healthy();
    // Whether it was stored or not: after a repeat with its key, it is stored once.
    let again = rig.keyed_message(session.id, "once", "k");
    rig.submit(again).unwrap();
    assert_eq!(contents(&rig.transcript(session.id)), ["once"]);
    assert_works(&mut rig, &session);
}

#[test]
fn without_a_disk_calls_are_refused_immediately_and_never_lie() {
    let (mut rig, disk, session) = failing_rig();
    disk.fail(Some(Fault::Everything));

    for _ in 0..3 {
        let message = rig.message(session.id, "lost?");
        let error = rig.submit(message).unwrap_err();
        assert!(
            matches!(error, SubmitError::Storage | SubmitError::OutcomeUnknown),
            "{error:?}"
        );
        assert!(!rig.can_commit());
        // Cached pages may still be read.
        let read = rig.wait(rig.store().session(session.id));
        let is_right = matches!(&read, Ok(Some(found)) if *found == session);
        assert!(
            is_right || matches!(read, Err(ReadError::Closed | ReadError::Storage(_))),
            "{read:?}"
        );
    }

    disk.fail(None);
    rig.wait_until_healthy();
    assert_eq!(rig.session(session.id), Some(session.clone()));
    assert_works(&mut rig, &session);
}

#[test]
fn all_callers_of_a_failed_batch_receive_an_error_and_no_events_are_published() {
    let (mut rig, disk, session) = failing_rig();
    let mut listener = listen(&rig.bus, session.id);
    let messages: Vec<_> = (0..5).map(|_| rig.message(session.id, "lost?")).collect();
    disk.fail(Some(Fault::Writes));
    let answers = rig.wait(futures_util::future::join_all(
        messages
            .into_iter()
            .map(|message| rig.store().submit(message)),
    ));
    assert!(answers.iter().all(Result::is_err));
    assert_eq!(heard(&mut listener), Vec::<String>::new());

    disk.fail(None);
    rig.wait_until_healthy();
    assert_works(&mut rig, &session);
}

/// Sends until the disk is full.
fn fill(rig: &mut Rig, session: SessionId) -> SubmitError {
    let content = "x".repeat(64 * 1024);
    for _ in 0..200 {
        let message = rig.message(session, &content);
        let sent = match rig.submit(message) {
            Ok(sent) => sent,
            Err(error) => return error,
        };
        if let Err(error) = rig.submit(failure(&sent.message)) {
            return error;
        }
    }
    panic!("the disk does not get full");
}

#[test]
fn a_full_disk_refuses_what_does_not_fit_and_stores_the_rest() {
    let (mut rig, disk, session) = failing_rig();
    rig.grow_file();
    disk.fail(Some(Fault::Growth));
    let error = fill(&mut rig, session.id);
    assert!(
        matches!(error, SubmitError::Storage | SubmitError::OutcomeUnknown),
        "{error:?}"
    );
    assert!(!rig.can_commit());
    let kept = rig.transcript(session.id).len();

    // A small message fits, and so does the probe.
    rig.submit(Heartbeat(session.id)).unwrap();
    rig.wait_until_healthy();
    assert_eq!(rig.transcript(session.id).len(), kept);

    disk.fail(None);
    assert_works(&mut rig, &session);
}

#[test]
fn a_refusal_does_not_mark_a_failing_store_as_healthy() {
    let (mut rig, disk, session) = failing_rig();
    disk.fail(Some(Fault::Growth));
    fill(&mut rig, session.id);
    assert!(!rig.can_commit());

    // A refusal writes nothing, so it proves nothing.
    let stranger = SessionId::from(u128::MAX - 1);
    let refusal = rig.refusal(Heartbeat(stranger));
    assert_eq!(refusal, RuleViolation::SessionNotFound(stranger));
    assert!(!rig.can_commit());

    disk.fail(None);
    rig.wait_until_healthy();
    assert_works(&mut rig, &session);
}

#[test]
fn a_stop_that_cannot_be_recorded_is_reported() {
    let (mut rig, disk, session) = failing_rig();
    disk.fail(Some(Fault::Writes));
    let store = rig.store.take().unwrap();
    assert!(!rig.wait(store.close(false)));
    drop(store);

    disk.fail(None);
    let found = rig.open();
    assert_eq!(found.clean_stop, Some(false));
    assert_works(&mut rig, &session);
}

#[test]
fn a_store_does_not_open_on_a_failing_disk() {
    let disk = Disk::default();
    disk.fail(Some(Fault::Writes));
    let mut rig = Rig::closed(rules());
    rig.disk = Some(disk.clone());
    let error = rig.try_open().unwrap_err();
    assert!(matches!(error, OpenError::Storage(_)), "{error}");
    disk.fail(None);
}

/// Refused commands write nothing, so they prove nothing; the store must find out on its own.
#[test]
fn endless_refusals_do_not_keep_a_store_from_recovering() {
    let (mut rig, disk, session) = failing_rig();
    disk.fail(Some(Fault::Syncs));
    let message = rig.message(session.id, "lost?");
    rig.submit(message).unwrap_err();
    disk.fail(None);

    let stranger = SessionId::from(u128::MAX - 1);
    let began = std::time::Instant::now();
    while !rig.can_commit() {
        assert!(began.elapsed() < Duration::from_secs(20), "starved");
        let _ = rig.submit(Heartbeat(stranger));
    }
    assert_works(&mut rig, &session);
}

#[test]
fn a_nearly_full_disk_accepts_only_deletions_and_open_turns() {
    let (mut rig, disk, session) = failing_rig();
    let creation = rig.keyed_creation("k");
    let other = rig.submit(creation).unwrap().session;
    let message = rig.keyed_message(session.id, "hello", "k");
    let sent = rig.submit(message).unwrap();
    disk.set_room(Some((8 << 20) - 1));

    let creation = rig.creation();
    let refused = rig.submit(creation);
    assert!(matches!(refused, Err(SubmitError::NoRoom)), "{refused:?}");
    let message = rig.message(session.id, "no");
    let refused = rig.submit(message);
    assert!(matches!(refused, Err(SubmitError::NoRoom)), "{refused:?}");
    let unasked = submit::submit(&mut rig, other.id, "no");
    let refused = rig.submit(unasked);
    assert!(matches!(refused, Err(SubmitError::NoRoom)), "{refused:?}");
    assert!(rig.can_commit(), "nothing has failed");

    // Reads work, turns end, sessions are renewed, and deletions free space.
    let repeat = rig.keyed_message(session.id, "hello", "k");
    assert!(rig.submit(repeat).unwrap().replayed);
    let repeat = rig.keyed_creation("k");
    assert!(rig.submit(repeat).unwrap().replayed);
    rig.reply(&sent.message, "well");
    rig.submit(Heartbeat(session.id)).unwrap();
    rig.submit(DeleteSession(other.id)).unwrap();
    rig.pass(Millis(20 * HOUR.0));
    assert_eq!(rig.purge().1, [session.id]);

    disk.set_room(Some(8 << 20));
    rig.create();
}

#[test]
fn a_database_that_cannot_be_reopened_is_still_read() {
    let (mut rig, disk, session) = failing_rig();
    disk.fail(Some(Fault::Full));
    let message = rig.message(session.id, "no");
    rig.submit(message).unwrap_err();
    for _ in 0..3 {
        assert_eq!(rig.session(session.id), Some(session.clone()));
        let message = rig.message(session.id, "no");
        let error = rig.submit(message).unwrap_err();
        assert!(matches!(error, SubmitError::Storage), "{error}");
    }
    disk.fail(None);
    rig.wait_until_healthy();
    assert_works(&mut rig, &session);
}
