//! The writer's queue: shared commits, refusals, overload.

use super::super::command::apply::Apply;
use super::super::command::{DeleteSession, Heartbeat};
use super::super::error::{CommandError, CommandResult};
use super::*;
use crate::store::write::txn::Txn;

/// Publishes before it is refused, or writes before it fails or panics, which no command should do.
#[derive(Debug)]
enum Misbehave {
    Refuse,
    Panic,
    Fail,
}

impl Apply for Misbehave {
    type Output = ();

    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<()> {
        txn.publish(SessionId::from(1), Event::Deleted);
        if !matches!(self, Self::Refuse) {
            txn.set_clean_stop(true)?;
        }
        match self {
            Self::Refuse => Err(RuleViolation::ServerBusy.into()),
            Self::Panic => panic!("a bug"),
            Self::Fail => {
                let error = redb::StorageError::Corrupted("a test".into());
                Err(CommandError::Storage(Box::new(error.into())))
            }
        }
    }
}

/// Submits while the writer cannot access the database, so that all but the first few commands
/// share its next transaction; then waits for the answers.
fn together<C: Command>(rig: &Rig, commands: Vec<C>) -> Vec<Result<C::Output, SubmitError>> {
    let mut answers: Vec<_> = commands
        .into_iter()
        .map(|command| Box::pin(rig.store().submit(command)))
        .collect();
    let blocked = rig.store().shared.database_mut();
    for answer in &mut answers {
        assert!(poke(answer.as_mut()).is_pending());
    }
    drop(blocked);
    rig.wait(futures_util::future::join_all(answers))
}

#[test]
fn many_callers_share_a_few_commits_and_all_are_answered() {
    let disk = Disk::default();
    let mut rig = Rig::on_disk(&disk);
    // Growing the file takes a sync of its own.
    rig.grow_file();
    let sessions = rig.rows(tables::SESSIONS);
    let creations: Vec<_> = (0..500).map(|_| rig.creation()).collect();
    let before = disk.syncs();
    let answers = together(&rig, creations);
    let syncs = disk.syncs() - before;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(rig.rows(tables::SESSIONS), sessions + 500);
    // The first transaction may have had a single command; two syncs each.
    assert!(syncs <= 4, "{syncs} syncs");
}

#[test]
fn callers_on_many_threads_are_all_answered() {
    let mut rig = Rig::new();
    let session = rig.create();
    let batches: Vec<Vec<SendMessage>> = (0..8)
        .map(|_| (0..50).map(|_| rig.message(session.id, "hello")).collect())
        .collect();
    let store = rig.store();
    std::thread::scope(|scope| {
        for batch in batches {
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .unwrap();
                for message in batch {
                    let sent = runtime.block_on(store.submit(message)).unwrap();
                    runtime
                        .block_on(store.submit(failure(&sent.message)))
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(rig.transcript(session.id).len(), 400);
}

#[test]
fn a_refused_command_fails_no_other_of_its_batch() {
    let mut rig = Rig::new();
    let ids: Vec<SessionId> = (0..50).map(|_| rig.create().id).collect();
    let stranger = SessionId::from(u128::MAX);
    let beats = ids
        .iter()
        .flat_map(|id| [Heartbeat(*id), Heartbeat(stranger)])
        .collect();
    let answers = together(&rig, beats);
    for pair in answers.chunks(2) {
        assert_eq!(pair[0].as_ref().unwrap().renewal_count, 1);
        assert!(matches!(
            pair[1],
            Err(SubmitError::Refused(RuleViolation::SessionNotFound(id))) if id == stranger
        ));
    }
}

#[test]
fn a_refused_command_suppresses_no_events_of_its_batch() {
    let mut rig = Rig::new();
    let session = rig.create();
    let mut listener = listen(&rig.bus, session.id);
    let stranger = SessionId::from(u128::MAX);
    let messages = (0..10)
        .flat_map(|number| {
            let content = number.to_string();
            [
                rig.message(session.id, &content),
                rig.message(stranger, &content),
            ]
        })
        .collect();
    together(&rig, messages);
    let heard = heard(&mut listener);
    let said = heard.iter().filter(|event| event.starts_with("user: "));
    assert_eq!(said.count(), 10, "{heard:?}");
}

#[test]
fn events_of_a_refused_command_are_not_published() {
    let rig = Rig::new();
    let mut listener = listen(&rig.bus, SessionId::from(1));
    assert_eq!(rig.refusal(Misbehave::Refuse), RuleViolation::ServerBusy);
    assert_eq!(heard(&mut listener), Vec::<String>::new());
}

#[test]
fn each_command_of_a_batch_sees_the_effects_of_those_before_it() {
    let mut rig = Rig::new();
    let sends: Vec<_> = {
        let session = rig.create();
        (0..30)
            .map(|_| rig.keyed_message(session.id, "hello", "k"))
            .collect()
    };
    let answers = together(&rig, sends);
    let replays: Vec<bool> = answers
        .into_iter()
        .map(|sent| sent.unwrap().replayed)
        .collect();
    assert!(!replays[0]);
    assert!(replays[1..].iter().all(|replayed| *replayed));
}

#[test]
fn a_command_that_panics_or_fails_fails_its_batch_and_nothing_else() {
    for misbehave in [Misbehave::Panic, Misbehave::Fail] {
        let mut rig = Rig::new();
        let mut listener = listen(&rig.bus, SessionId::from(1));
        let before = rig.create();
        let error = rig.submit(misbehave).unwrap_err();
        assert!(matches!(error, SubmitError::Storage), "{error:?}");
        assert_eq!(heard(&mut listener), Vec::<String>::new());

        assert_eq!(rig.session(before.id), Some(before));
        rig.create();
        assert!(rig.can_commit());
        rig.drop_store();
        assert_eq!(rig.open().clean_stop, Some(false), "undone with its batch");
    }
}

#[test]
fn a_full_queue_refuses_immediately_and_the_rest_is_answered() {
    let rig = Rig::new();
    let store = rig.store();
    let stranger = SessionId::from(u128::MAX);
    let mut waiting = Vec::new();
    let blocked = store.shared.database_mut();
    let refused = loop {
        let mut answer = Box::pin(store.submit(Heartbeat(stranger)));
        match poke(answer.as_mut()) {
            Poll::Pending => waiting.push(answer),
            Poll::Ready(answer) => break answer,
        }
        assert!(waiting.len() <= 2 * QUEUE_COMMANDS, "the queue has no end");
    };
    assert!(matches!(refused, Err(SubmitError::Overloaded)));
    assert!(waiting.len() >= QUEUE_COMMANDS);

    drop(blocked);
    for answer in rig.wait(futures_util::future::join_all(waiting)) {
        assert!(matches!(answer, Err(SubmitError::Refused(_))));
    }
}

#[test]
fn a_stop_waits_until_the_queue_has_capacity() {
    let mut rig = Rig::new();
    let session = rig.create();
    let store = rig.store.take().unwrap();
    let blocked = store.shared.database_mut();
    let mut waiting = Vec::new();
    loop {
        let mut answer = Box::pin(store.submit(Heartbeat(session.id)));
        if poke(answer.as_mut()).is_ready() {
            break;
        }
        waiting.push(answer);
    }
    let stopped = rig.wait(async {
        let mut stop = std::pin::pin!(store.close(false));
        assert!(poke(stop.as_mut()).is_pending());
        drop(blocked);
        stop.await
    });
    assert!(stopped);
    let answers = rig.wait(futures_util::future::join_all(waiting));
    assert!(answers.iter().all(Result::is_ok));
    drop(store);
    assert_eq!(rig.open().clean_stop, Some(true));
}

#[test]
fn commands_queued_before_a_stop_are_carried_out_and_later_ones_are_not() {
    let mut rig = Rig::new();
    let creations: Vec<_> = (0..100).map(|_| rig.creation()).collect();
    let late = rig.creation();
    let store = rig.store.take().unwrap();
    let mut answers: Vec<_> = creations
        .into_iter()
        .map(|creation| Box::pin(store.submit(creation)))
        .collect();
    let blocked = store.shared.database_mut();
    for answer in &mut answers {
        assert!(poke(answer.as_mut()).is_pending());
    }
    let mut stop = Box::pin(store.close(false));
    assert!(poke(stop.as_mut()).is_pending());
    drop(blocked);
    assert!(rig.wait(stop));
    let answers = rig.wait(futures_util::future::join_all(answers));
    assert!(answers.iter().all(Result::is_ok));

    let late = rig.wait(store.submit(late));
    assert!(matches!(late, Err(SubmitError::Closed)));
    let read = store.read(|reader| reader.session(SessionId::from(1)));
    assert!(matches!(read, Err(ReadError::Closed)));
    assert!(!rig.wait(store.close(false)), "there is nothing to close");
    drop(store);
    assert_eq!(rig.open().sessions, 100);
}

#[test]
fn a_command_whose_caller_is_gone_is_carried_out() {
    let mut rig = Rig::new();
    let session = rig.create();
    let mut forgotten = Box::pin(rig.store().submit(DeleteSession(session.id)));
    let blocked = rig.store().shared.database_mut();
    assert!(poke(forgotten.as_mut()).is_pending());
    drop(forgotten);
    drop(blocked);
    let gone = RuleViolation::SessionNotFound(session.id);
    assert_eq!(rig.refusal(DeleteSession(session.id)), gone);
}

#[test]
fn time_is_read_where_a_command_is_applied_not_where_it_was_submitted() {
    let mut rig = Rig::new();
    let session = rig.create();
    let mut late = Box::pin(rig.store().submit(Heartbeat(session.id)));
    let blocked = rig.store().shared.database_mut();
    assert!(poke(late.as_mut()).is_pending());
    rig.hand.set(session.expires_at);
    drop(blocked);
    let answer = rig.wait(late);
    assert!(matches!(
        answer,
        Err(SubmitError::Refused(RuleViolation::SessionExpired { .. }))
    ));
}

#[test]
fn acknowledged_writes_are_read_immediately_under_constant_reads() {
    let mut rig = Rig::new();
    let id = rig.create().id;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    rig.session(id).unwrap();
                }
            });
        }
        for count in 1..=300 {
            rig.submit(Heartbeat(id)).unwrap();
            assert_eq!(rig.session(id).unwrap().renewal_count, count);
        }
        over.store(true, Ordering::Relaxed);
    });
}
