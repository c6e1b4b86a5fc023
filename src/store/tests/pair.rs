//! A store and its [`Reference`], side by side: every call is made on both, and must have the same
//! result.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::command::{
    BeginOutcome, BeginTurn, CancelTurns, DeleteSession, Deleted, Expire, Heartbeat,
    ImportSessions, ParkOutcome, ParkTurn, PatchTimeout, RecordBackup, RecordVerification, Renew,
    SubmitFailure, SubmitReply,
};
use super::reference::{ExportedSession, Outcome, Reference, Submission, Turn, TurnResult};
use super::*;
use crate::events::work::{WorkChange, WorkSubscription};

pub(super) struct Pair {
    pub(super) rig: Rig,
    pub(super) reference: Reference,
    /// Every session that was created.
    pub(super) known: Vec<SessionId>,
    /// What was exported, newest last: the lines of a session, and what they contain.
    exported: Vec<(Vec<String>, ExportedSession)>,
    /// The events of the agents.
    work: Vec<WorkSubscription>,
    /// The turns that wait according to these events.
    waiting: BTreeSet<(AgentId, WaitingPosition)>,
}

pub(super) type Check = std::result::Result<(), TestCaseError>;

impl Pair {
    /// Returns the pair for an empty store.
    pub(super) fn new(rig: Rig) -> Self {
        Self {
            reference: Reference::new(rig.rules, rig.now()),
            known: Vec::new(),
            exported: Vec::new(),
            work: [ELIZA, 7]
                .map(|agent| rig.bus.work().subscribe(AgentId::from(agent)).unwrap())
                .into(),
            waiting: BTreeSet::new(),
            rig,
        }
    }

    // The file

    /// Records a verification, or a backup, with a number.
    pub(super) fn maintain(&mut self, is_backup: bool, number: u64) {
        let at = self.rig.now();
        if is_backup {
            let backup = LastBackup { at, bytes: number };
            self.reference.maintenance.1 = Some(backup);
            self.rig.submit(RecordBackup(backup)).unwrap();
        } else {
            let verified = Verified {
                at,
                damaged_pages: number,
            };
            self.reference.maintenance.0 = Some(verified);
            self.rig.submit(RecordVerification(verified)).unwrap();
        }
    }

    // Sessions

    pub(super) fn create(&mut self, creation: CreateSession) -> Check {
        let id = creation.new.id;
        let expected = self.reference.create(&creation);
        if matches!(expected, Ok((_, false))) {
            self.known.push(id);
        }
        let found = refused(self.rig.submit(creation));
        prop_assert_eq!(
            found.map(|created| (created.session, created.replayed)),
            expected
        );
        Ok(())
    }

    pub(super) fn heartbeat(&mut self, id: SessionId) -> Check {
        let found = refused(self.rig.submit(Heartbeat(id)));
        prop_assert_eq!(found, self.reference.heartbeat(id));
        Ok(())
    }

    pub(super) fn renew(&mut self, id: SessionId) -> Check {
        let found = refused(self.rig.submit(Renew(id)));
        prop_assert_eq!(found, self.reference.renew(id));
        Ok(())
    }

    pub(super) fn patch(&mut self, session_id: SessionId, patch: TimeoutOverrides) -> Check {
        let mut found = refused(self.rig.submit(PatchTimeout { session_id, patch }));
        let expected = self.reference.patch(session_id, patch);
        if let (
            Err(RuleViolation::InvalidTimeout(found)),
            Err(RuleViolation::InvalidTimeout(expected)),
        ) = (&mut found, &expected)
        {
            prop_assert!(!found.reason.is_empty());
            found.reason.clear();
            if expected.field.is_empty() {
                found.field = "";
            }
        }
        prop_assert_eq!(found, expected);
        Ok(())
    }

    pub(super) fn update_metadata(&mut self, session_id: SessionId, patch: &str) -> Check {
        let expected = self.reference.update_metadata(session_id, patch);
        let update = UpdateMetadata {
            session_id,
            patch: patch.into(),
        };
        prop_assert_eq!(refused(self.rig.submit(update)), expected);
        Ok(())
    }

    pub(super) fn delete(&mut self, id: SessionId) -> Check {
        let found = refused(self.rig.submit(DeleteSession(id)));
        let expected = self.reference.delete(id).map(|()| Deleted::default());
        prop_assert_eq!(found, expected);
        Ok(())
    }

    pub(super) fn erase_user(&mut self, user: UserId) -> Check {
        let found = self.rig.erase_user(user);
        prop_assert_eq!(found, self.reference.erase_user(user));
        Ok(())
    }

    /// Exports a session, if there is one, and may delete it then.
    pub(super) fn export(&mut self, id: SessionId, deletes: bool) -> Check {
        if let Some(exported) = self.reference.export(id) {
            let lines = super::archive::export_with(&self.rig, ExportCursor::only(id), 7);
            self.exported.push((lines, exported));
        }
        if deletes { self.delete(id) } else { Ok(()) }
    }

    /// Imports sessions that were exported, selected from the newest on.
    pub(super) fn import(&mut self, indexes: Vec<usize>) -> Check {
        let mut selected = BTreeMap::new();
        for index in indexes {
            if let Some(nth) = self.exported.len().checked_sub(1 + index) {
                let (lines, session) = &self.exported[nth];
                selected.insert(session.id(), (lines.clone(), session.clone()));
            }
        }
        let (lines, sessions): (Vec<_>, Vec<_>) = selected.into_values().unzip();
        let mut keys: Vec<_> = sessions.iter().filter_map(ExportedSession::key).collect();
        keys.sort();
        if keys.windows(2).any(|two| two[0] == two[1]) {
            // No export contains both.
            return Ok(());
        }
        let verified = super::import::verified(&self.rig, &lines.concat());
        let found = refused(self.rig.submit(ImportSessions(verified)));
        let expected = self.reference.import(sessions);
        prop_assert_eq!(found.map(|done| done.with_open_turns), expected);
        Ok(())
    }

    pub(super) fn purge(&mut self) -> Check {
        let (_, found) = self.rig.purge();
        prop_assert_eq!(found, self.reference.purge());
        Ok(())
    }

    // Messages

    pub(super) fn send(&mut self, send: SendMessage) -> Check {
        let expected = self.reference.send(&send);
        let found = refused(self.rig.submit(send)).map(Outcome::from);
        prop_assert_eq!(found, expected);
        Ok(())
    }

    pub(super) fn submit(&mut self, submit: SubmitReply) -> Check {
        let expected = self.reference.submit(&submit);
        let found = refused(self.rig.submit(submit)).map(Submission::from);
        prop_assert_eq!(found, expected);
        Ok(())
    }

    pub(super) fn submit_failure(&mut self, submit: SubmitFailure) -> Check {
        let expected = self.reference.submit_failure(&submit);
        prop_assert_eq!(refused(self.rig.submit(submit)), expected);
        Ok(())
    }

    pub(super) fn cancel(&mut self, cancel: CancelTurns) -> Check {
        let expected = self.reference.cancel(&cancel);
        let found = refused(self.rig.submit(cancel)).map(|cancelled| {
            let turns = cancelled.into_iter();
            turns
                .map(|turn| (turn.message_id, turn.reply.map(Arc::unwrap_or_clone)))
                .collect()
        });
        prop_assert_eq!(found, expected);
        Ok(())
    }

    /// The events of the agents amount to the turns that wait.
    pub(super) fn compare_work(&mut self) -> Check {
        for subscription in &mut self.work {
            while let Some(event) = subscription.try_next().unwrap() {
                let turn = (event.agent_id, event.position);
                match event.change {
                    WorkChange::Waits => prop_assert!(self.waiting.insert(turn)),
                    WorkChange::Closed { .. } => prop_assert!(self.waiting.remove(&turn)),
                }
            }
        }
        let waiting: Vec<_> = self.waiting.iter().copied().collect();
        prop_assert_eq!(waiting, self.reference.waiting());
        Ok(())
    }

    // Turns

    pub(super) fn begin(&mut self, session_id: SessionId, message_at: Timestamp) -> Check {
        let begin = BeginTurn(OpenTurn {
            session_id,
            position: 0,
            message_at,
            begun: false,
            running: false,
            crashes: 0,
            waits_until: None,
        });
        let found = match self.rig.submit(begin).unwrap() {
            BeginOutcome::Now => TurnResult::BeginOutcome,
            BeginOutcome::Closed(failure) => TurnResult::Failed(failure.message),
            BeginOutcome::Gone => TurnResult::Gone,
        };
        prop_assert_eq!(found, self.reference.begin(session_id, message_at));
        Ok(())
    }

    pub(super) fn park(
        &mut self,
        session_id: SessionId,
        message_at: Timestamp,
        span: Millis,
    ) -> Check {
        let until = self.rig.now() + span;
        let park = ParkTurn {
            session_id,
            message_at,
            until,
        };
        let found = match self.rig.submit(park).unwrap() {
            ParkOutcome::Waiting => TurnResult::Waiting,
            ParkOutcome::Gone => TurnResult::Gone,
        };
        prop_assert_eq!(found, self.reference.park(session_id, message_at, until));
        Ok(())
    }

    pub(super) fn close(
        &mut self,
        session_id: SessionId,
        message_at: Timestamp,
        result: std::result::Result<Reply, TurnFailure>,
    ) -> Check {
        let expected = self.reference.close(session_id, message_at, &result);
        let close = CloseTurn {
            partial: None,
            session_id,
            message_at,
            result,
        };
        let found = match self.rig.submit(close).unwrap() {
            CloseOutcome::Replied(reply) => TurnResult::Replied(Arc::unwrap_or_clone(reply)),
            CloseOutcome::Failed(failure) => TurnResult::Failed(failure.message),
            CloseOutcome::Gone => TurnResult::Gone,
        };
        prop_assert_eq!(found, expected);
        Ok(())
    }

    pub(super) fn expire(&mut self, id: SessionId) -> Check {
        let found = self.rig.submit(Expire(id)).unwrap();
        prop_assert_eq!(found, self.reference.expire_turns(id));
        Ok(())
    }

    // The whole

    pub(super) fn set_time(&mut self, time: Timestamp) {
        self.rig.hand.set(time);
        self.reference.now = time;
    }

    pub(super) fn pass(&mut self, span: Millis) {
        self.set_time(self.rig.now() + span);
    }

    /// Checks that exactly what should be stored is stored.
    pub(super) fn compare(&self) -> Check {
        prop_assert_eq!(self.rig.contents(), self.reference.contents());
        prop_assert_eq!(self.rig.row_counts(), self.reference.row_counts());
        let busy = self.rig.sessions_with_turns();
        prop_assert_eq!(busy, self.reference.sessions_with_turns());
        for id in &self.known {
            let next = self.rig.next_turn(*id).map(Turn::from);
            prop_assert_eq!(next, self.reference.next_turn(*id));
            for index in 0..4 {
                let name = format!("m{index}");
                let key = super::key(&name);
                let known = self.rig.store().message_of_key(*id, &key);
                let known = self.rig.query(known).is_some();
                prop_assert_eq!(known, self.reference.knows_key(*id, &name));
            }
        }
        let faults = self.rig.store().check().unwrap();
        prop_assert_eq!(faults, Vec::<String>::new());
        Ok(())
    }
}

fn refused<T>(
    result: std::result::Result<T, SubmitError>,
) -> std::result::Result<T, RuleViolation> {
    match result {
        Ok(output) => Ok(output),
        Err(SubmitError::Refused(refusal)) => Err(refusal),
        Err(other) => panic!("{other}"),
    }
}
