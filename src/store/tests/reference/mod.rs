//! The contract once more, over plain maps: slow, obvious, and independent of the store's code.
//!
//! It uses the values of the domain, but none of its rules.

mod metadata;
mod turns;

use std::collections::{BTreeMap, HashMap};

use super::super::command::{CancelTurns, FailedTurns, SubmitFailure, SubmitReply, Submitted};
use super::*;
use crate::domain::error::RenewalRefused;
use crate::domain::timeout::InvalidTimeout;
use crate::domain::waiting::{ClosedReason, TurnSelector, WaitingPosition};
use crate::store::quarantine::location::KeyKind;

pub(super) type Result<T> = std::result::Result<T, RuleViolation>;

fn replied_at(message: &Message) -> Option<Timestamp> {
    match message.role {
        Role::User {
            turn: TurnState::Replied(at),
            ..
        } => Some(at),
        _ => None,
    }
}

/// The expected content of the store.
#[derive(Clone)]
pub(super) struct Reference {
    pub(super) now: Timestamp,
    rules: Rules,
    sessions: BTreeMap<SessionId, Kept>,
    create_keys: HashMap<(UserId, String), CreateKeyUse>,
    pub(super) maintenance: Maintenance,
}

/// A session with everything that belongs to it.
#[derive(Clone)]
struct Kept {
    session: Session,
    messages: BTreeMap<Timestamp, Message>,
    /// The keys of sent messages.
    keys: BTreeMap<String, Timestamp>,
    /// The keys of submitted replies and errors.
    submit_keys: BTreeMap<String, Timestamp>,
    /// The session metadata that came with the replies among them.
    submit_metadata: BTreeMap<String, Option<serde_json::Value>>,
    /// The errors among them, with the messages whose turns they closed.
    submit_errors: BTreeMap<String, (String, Reply, Vec<MessageId>)>,
    /// In the order of execution.
    turns: Vec<Turn>,
}

/// A session as it was when it was exported.
#[derive(Clone)]
pub(super) struct ExportedSession {
    kept: Kept,
    claim: Option<(String, CreateKeyUse)>,
}

impl ExportedSession {
    pub(super) fn id(&self) -> SessionId {
        self.kept.session.id
    }

    /// Returns the key that it has claimed.
    pub(super) fn key(&self) -> Option<(UserId, String)> {
        let (name, _) = self.claim.as_ref()?;
        Some((self.kept.session.user_id, name.clone()))
    }
}

#[derive(Clone)]
struct CreateKeyUse {
    session_id: SessionId,
    at: Timestamp,
    /// Agent, metadata, timeouts and source, as sent.
    sent: (
        AgentId,
        serde_json::Value,
        TimeoutOverrides,
        Option<ContinueFrom>,
    ),
}

/// The visible parts of an open turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) message_at: Timestamp,
    pub(super) begun: bool,
    pub(super) running: bool,
    pub(super) crashes: u8,
    pub(super) waits_until: Option<Timestamp>,
}

/// Everything stored about the sessions that is visible from outside.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) sessions: Vec<Session>,
    /// For each session, newest first.
    pub(super) messages: Vec<Vec<Message>>,
    /// For each session, in the order of execution.
    pub(super) turns: Vec<Vec<Turn>>,
    pub(super) keys: Vec<StoredKey>,
    pub(super) submit_keys: Vec<StoredKey>,
    /// The turns that wait for a submitted reply, by agent and the time of the message.
    pub(super) waiting: Vec<(AgentId, WaitingPosition)>,
    pub(super) maintenance: Maintenance,
}

/// The last verification and the last backup.
pub(super) type Maintenance = (Option<Verified>, Option<LastBackup>);

/// An idempotency key of a session, with the time of its message.
pub(super) type StoredKey = (SessionId, String, Timestamp);

/// The result of beginning or closing a turn.
#[allow(clippy::large_enum_variant, reason = "a handful of them live at once")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TurnResult {
    BeginOutcome,
    Waiting,
    Replied(Message),
    Failed(String),
    Gone,
}

/// The result of a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) session: Session,
    pub(super) message: Message,
    pub(super) renewed: bool,
    pub(super) replayed: bool,
}

/// The result of a submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Submission {
    pub(super) session: Session,
    pub(super) message: Message,
    pub(super) replayed: bool,
    /// The user's messages that it answered, newest last.
    pub(super) closed: Vec<MessageId>,
}

impl From<OpenTurn> for Turn {
    fn from(turn: OpenTurn) -> Self {
        Self {
            message_at: turn.message_at,
            begun: turn.begun,
            running: turn.running,
            crashes: turn.crashes,
            waits_until: turn.waits_until,
        }
    }
}

impl From<Sent> for Outcome {
    fn from(sent: Sent) -> Self {
        Self {
            session: Arc::unwrap_or_clone(sent.session),
            message: Arc::unwrap_or_clone(sent.message),
            renewed: sent.renewed,
            replayed: sent.replayed,
        }
    }
}

impl From<Submitted> for Submission {
    fn from(submitted: Submitted) -> Self {
        Self {
            session: submitted.session,
            message: submitted.message,
            replayed: submitted.replayed,
            closed: submitted.closed,
        }
    }
}

impl Reference {
    pub(super) fn new(rules: Rules, now: Timestamp) -> Self {
        Self {
            now,
            rules,
            sessions: BTreeMap::new(),
            create_keys: HashMap::new(),
            maintenance: (None, None),
        }
    }

    // Calls

    pub(super) fn create(&mut self, creation: &CreateSession) -> Result<(Session, bool)> {
        let new = &creation.new;
        let sent = (
            new.agent_id,
            json(&new.metadata),
            creation.requested_timeout,
            creation.continuation.as_ref().map(|it| it.from),
        );
        let name = new.create_key.as_ref().map(|key| key.as_str().to_owned());
        if let Some(name) = &name
            && let Some(earlier) = self.created_under(new.user_id, name)
        {
            let claim = &self.create_keys[&(new.user_id, name.clone())];
            return if claim.sent == sent {
                Ok((earlier, true))
            } else {
                Err(RuleViolation::IdempotencyConflict { key: name.clone() })
            };
        }
        let (messages, continued_from) = match &creation.continuation {
            None => (BTreeMap::new(), None),
            Some(continuation) => {
                let (messages, continued) = self.continued(new, continuation)?;
                (messages, Some(continued))
            }
        };
        let mut session = Session {
            id: new.id,
            agent_id: new.agent_id,
            user_id: new.user_id,
            created_at: self.now,
            last_activity: self.now,
            window_start: self.now,
            expires_at: self.now,
            warn_at: self.now,
            scheduled_at: self.now,
            timeout: new.timeout,
            renewal_count: 0,
            metadata: new.metadata.clone(),
            create_key: new.create_key.clone(),
            continued_from,
        };
        schedule(&mut session, self.now);
        let kept = Kept {
            session: session.clone(),
            messages,
            keys: BTreeMap::new(),
            submit_keys: BTreeMap::new(),
            submit_metadata: BTreeMap::new(),
            submit_errors: BTreeMap::new(),
            turns: Vec::new(),
        };
        self.sessions.insert(session.id, kept);
        if let Some(name) = name {
            let claim = CreateKeyUse {
                session_id: session.id,
                at: self.now,
                sent,
            };
            self.create_keys.insert((session.user_id, name), claim);
        }
        Ok((session, false))
    }

    pub(super) fn heartbeat(&mut self, id: SessionId) -> Result<Session> {
        let now = self.now;
        let kept = self.active(id)?;
        touch(&mut kept.session, now);
        Ok(kept.session.clone())
    }

    pub(super) fn renew(&mut self, id: SessionId) -> Result<Session> {
        let now = self.now;
        let session = &mut self.active(id)?.session;
        if is_at_latest_end(session) {
            return Err(RuleViolation::RenewalRefused(RenewalRefused {
                session_id: id,
                max_duration_minutes: session.timeout.max_duration_minutes,
                created_at: session.created_at,
                age: Millis(now.since(session.created_at).0.max(0)),
            }));
        }
        renew(session, now);
        Ok(session.clone())
    }

    /// A refusal names its field only if the contract says which it is.
    pub(super) fn patch(&mut self, id: SessionId, patch: TimeoutOverrides) -> Result<Session> {
        let now = self.now;
        let policy = self.rules.policy;
        let (min, max) = (policy.min_timeout_minutes, policy.max_timeout_minutes);
        let session = &mut self.active(id)?.session;
        let refused = |field| {
            Err(RuleViolation::InvalidTimeout(InvalidTimeout {
                field,
                reason: String::new(),
            }))
        };
        if let Some(minutes) = patch.timeout_minutes
            && (minutes < f64::from(min) || minutes > f64::from(max))
        {
            return refused("timeoutMinutes");
        }
        let mut patched = session.clone();
        let timeout = &mut patched.timeout;
        timeout.timeout_minutes = whole(patch.timeout_minutes, timeout.timeout_minutes);
        timeout.timeout_minutes = timeout.timeout_minutes.max(min).min(max);
        timeout.max_duration_minutes =
            whole(patch.max_duration_minutes, timeout.max_duration_minutes);
        timeout.max_duration_minutes = timeout
            .max_duration_minutes
            .max(timeout.timeout_minutes)
            .min(2 * max);
        timeout.warning_threshold_minutes = whole(
            patch.warning_threshold_minutes,
            timeout.warning_threshold_minutes,
        );
        timeout.warning_threshold_minutes = timeout.warning_threshold_minutes.max(1).min(max);
        timeout.auto_renew = patch.auto_renew.unwrap_or(timeout.auto_renew);
        schedule(&mut patched, now);
        if (patched.expires_at, patched.warn_at) == (session.expires_at, session.warn_at) {
            patched.scheduled_at = session.scheduled_at;
        }
        if patched.expires_at <= now {
            return refused("");
        }
        *session = patched;
        Ok(session.clone())
    }

    pub(super) fn delete(&mut self, id: SessionId) -> Result<()> {
        self.kept(id)?;
        self.remove(id);
        Ok(())
    }

    /// Removes all sessions of a user; returns them, and how many were active or retained.
    pub(super) fn erase_user(&mut self, user: UserId) -> (Vec<SessionId>, u64) {
        let (now, keeping) = (self.now, self.rules.retention);
        let theirs = self.sessions.values().map(|kept| &kept.session);
        let theirs: Vec<_> = theirs.filter(|session| session.user_id == user).collect();
        let is_retained = |session: &&&Session| now < session.expires_at + keeping;
        let retained = theirs.iter().filter(is_retained).count() as u64;
        let ids: Vec<SessionId> = theirs.iter().map(|session| session.id).collect();
        for id in &ids {
            self.remove(*id);
        }
        self.create_keys.retain(|(owner, _), _| *owner != user);
        (ids, retained)
    }

    pub(super) fn export(&self, id: SessionId) -> Option<ExportedSession> {
        let kept = self.sessions.get(&id)?.clone();
        let claims = self.create_keys.iter();
        let mut claims = claims.filter(|(_, claim)| claim.session_id == id);
        let claim = claims.next();
        Some(ExportedSession {
            kept,
            claim: claim.map(|((_, name), claim)| (name.clone(), claim.clone())),
        })
    }

    /// Imports all of these sessions, or none. Returns those with open turns.
    pub(super) fn import(&mut self, sessions: Vec<ExportedSession>) -> Result<Vec<SessionId>> {
        let mut dropped = Vec::new();
        for exported in &sessions {
            let session = &exported.kept.session;
            if self.sessions.contains_key(&session.id) {
                return Err(RuleViolation::SessionExists(session.id));
            }
            if let Some((key, claim)) = &exported.claim
                && self.created_under(session.user_id, key).is_some()
            {
                let is_fresh = self.now < claim.at + Millis(24 * HOUR.0);
                if is_fresh && self.now < session.expires_at {
                    let key = key.clone();
                    return Err(RuleViolation::IdempotencyConflict { key });
                }
                dropped.push(session.id);
            }
        }
        let mut busy = Vec::new();
        for ExportedSession { mut kept, claim } in sessions {
            let id = kept.session.id;
            for turn in &mut kept.turns {
                turn.running = false;
            }
            if !kept.turns.is_empty() {
                busy.push(id);
            }
            if let Some((name, claim)) = claim
                && !dropped.contains(&id)
            {
                self.create_keys.insert((kept.session.user_id, name), claim);
            }
            self.sessions.insert(id, kept);
        }
        Ok(busy)
    }

    /// Removes purged sessions; returns them in the order of their expiry.
    pub(super) fn purge(&mut self) -> Vec<SessionId> {
        let (now, keeping) = (self.now, self.rules.retention);
        let mut ended: Vec<(Timestamp, SessionId)> = self
            .sessions
            .values()
            .map(|kept| (kept.session.expires_at, kept.session.id))
            .filter(|(expires_at, _)| now >= *expires_at + keeping)
            .collect();
        ended.sort();
        let ids: Vec<SessionId> = ended.into_iter().map(|(_, id)| id).collect();
        for id in &ids {
            self.remove(*id);
        }
        ids
    }

    /// The stop of the server, and its next start.
    pub(super) fn restart(&mut self, after_a_crash: bool) {
        for kept in self.sessions.values_mut() {
            for turn in &mut kept.turns {
                if turn.running && after_a_crash {
                    turn.crashes += 1;
                }
                turn.running = false;
            }
        }
    }

    // Reads

    pub(super) fn session(&self, id: SessionId) -> Option<Session> {
        self.sessions.get(&id).map(|kept| kept.session.clone())
    }

    pub(super) fn session_ids(&self) -> Vec<SessionId> {
        self.sessions.keys().copied().collect()
    }

    pub(super) fn session_count(&self) -> u64 {
        self.sessions.len() as u64
    }

    pub(super) fn row_counts(&self) -> RowCounts {
        let count =
            |of: &dyn Fn(&Kept) -> usize| self.sessions.values().map(of).sum::<usize>() as u64;
        RowCounts {
            sessions: self.session_count(),
            messages: count(&|kept| kept.messages.len()),
            open_turns: count(&|kept| kept.turns.len()),
        }
    }

    pub(super) fn next_turn(&self, id: SessionId) -> Option<Turn> {
        self.sessions.get(&id)?.turns.first().cloned()
    }

    pub(super) fn sessions_with_turns(&self) -> Vec<SessionId> {
        let busy = |kept: &&Kept| !kept.turns.is_empty();
        let kept = self.sessions.values().filter(busy);
        kept.map(|kept| kept.session.id).collect()
    }

    pub(super) fn knows_key(&self, id: SessionId, name: &str) -> bool {
        self.sessions
            .get(&id)
            .is_some_and(|kept| kept.keys.contains_key(name))
    }

    pub(super) fn contents(&self) -> Contents {
        let newest_first = |kept: &Kept| kept.messages.values().rev().cloned().collect();
        // Newest session first, like lists.
        let kept = || self.sessions.values().rev();
        Contents {
            sessions: kept().map(|kept| kept.session.clone()).collect(),
            messages: kept().map(newest_first).collect(),
            turns: kept().map(|kept| kept.turns.clone()).collect(),
            keys: self.keys(KeyKind::Send),
            submit_keys: self.keys(KeyKind::Submit),
            waiting: self.waiting(),
            maintenance: self.maintenance,
        }
    }

    pub(super) fn waiting(&self) -> Vec<(AgentId, WaitingPosition)> {
        let mut waiting = Vec::new();
        for kept in self.sessions.values() {
            let turns = kept.turns.iter().filter(|turn| turn.waits_until.is_some());
            waiting.extend(turns.map(|turn| {
                let position = WaitingPosition {
                    message_at: turn.message_at,
                    session_id: kept.session.id,
                };
                (kept.session.agent_id, position)
            }));
        }
        waiting.sort();
        waiting
    }

    fn keys(&self, of: KeyKind) -> Vec<StoredKey> {
        let mut keys = Vec::new();
        for (id, kept) in &self.sessions {
            let named = match of {
                KeyKind::Send => &kept.keys,
                KeyKind::Submit => &kept.submit_keys,
            };
            keys.extend(named.iter().map(|(name, at)| (*id, name.clone(), *at)));
        }
        keys
    }

    /// Returns the id of the session's message of a time, if there is one.
    pub(super) fn message_id(&self, id: SessionId, at: Timestamp) -> Option<MessageId> {
        let message = self.sessions.get(&id)?.messages.get(&at)?;
        Some(message.id)
    }

    /// Returns the turn of a user's message.
    pub(super) fn turn_id(&self, id: SessionId, at: Timestamp) -> Option<TurnId> {
        match self.sessions.get(&id)?.messages.get(&at)?.role {
            Role::User { turn_id, .. } => Some(turn_id),
            Role::Agent { .. } => None,
        }
    }

    /// Returns the key under which a message was sent, if it has one, and its body.
    pub(super) fn sent_under(&self, id: SessionId, at: Timestamp) -> Option<(String, Body)> {
        let kept = self.sessions.get(&id)?;
        let (name, _) = kept.keys.iter().find(|(_, named)| **named == at)?;
        Some((name.clone(), kept.messages.get(&at)?.body.clone()))
    }

    /// Returns the times of a session's messages.
    pub(super) fn message_times(&self, id: SessionId) -> Vec<Timestamp> {
        self.sessions
            .get(&id)
            .map(|kept| kept.messages.keys().copied().collect())
            .unwrap_or_default()
    }

    pub(super) fn stats(&self) -> Stats {
        let sessions = || self.sessions.values().map(|kept| &kept.session);
        let count = |holds: &dyn Fn(&&Session) -> bool| sessions().filter(holds).count() as u64;
        let (now, keeping) = (self.now, self.rules.retention);
        Stats {
            active: count(&|session| now < session.expires_at),
            expired: count(&|session| {
                session.expires_at <= now && now < session.expires_at + keeping
            }),
            near_expiration: count(&|session| session.warn_at <= now && now < session.expires_at),
        }
    }

    pub(super) fn sessions_below(
        &self,
        user: Option<UserId>,
        below: Option<SessionId>,
        limit: usize,
    ) -> (Vec<Session>, Option<SessionId>) {
        let sessions: Vec<Session> = self
            .sessions
            .values()
            .rev()
            .map(|kept| kept.session.clone())
            .filter(|session| user.is_none_or(|user| session.user_id == user))
            .filter(|session| below.is_none_or(|below| session.id < below))
            .take(limit)
            .collect();
        let last = sessions.last().map(|session| session.id);
        (sessions, last)
    }

    pub(super) fn active_below(
        &self,
        below: Option<SessionId>,
        limit: u64,
    ) -> Option<Vec<SessionId>> {
        let sessions = self.sessions.values().rev().map(|kept| &kept.session);
        let active = sessions.filter(|session| self.now < session.expires_at);
        let mut ids: Vec<_> = active.map(|session| session.id).collect();
        if ids.len() as u64 > limit {
            return None;
        }
        ids.retain(|id| below.is_none_or(|below| *id < below));
        Some(ids)
    }

    pub(super) fn page(
        &self,
        id: SessionId,
        before: Option<Timestamp>,
        after: Option<Timestamp>,
        limit: usize,
    ) -> (Vec<Message>, bool) {
        let Some(kept) = self.sessions.get(&id) else {
            return (Vec::new(), false);
        };
        let mut found: Vec<Message> = kept
            .messages
            .values()
            .filter(|message| before.is_none_or(|before| message.created_at < before))
            .filter(|message| after.is_none_or(|after| message.created_at > after))
            .cloned()
            .collect();
        let has_more = found.len() > limit;
        if after.is_some() && before.is_none() {
            found.truncate(limit);
        } else {
            found.drain(..found.len().saturating_sub(limit));
        }
        found.reverse();
        (found, has_more)
    }

    /// Returns the agent's history before a message.
    pub(super) fn messages_before(
        &self,
        id: SessionId,
        at: Timestamp,
        limit: usize,
    ) -> Vec<Message> {
        let Some(kept) = self.sessions.get(&id) else {
            return Vec::new();
        };
        let earlier = || {
            let messages = kept.messages.values();
            messages.filter(|message| message.created_at < at)
        };
        // If a reply answers several messages, the newest of them.
        let answers: BTreeMap<Timestamp, Timestamp> = earlier()
            .filter_map(|message| Some((replied_at(message)?, message.created_at)))
            .collect();
        let mut history = Vec::new();
        for message in earlier() {
            if message.is_agent() && answers.contains_key(&message.created_at) {
                continue;
            }
            history.push(message.clone());
            let reply = replied_at(message).filter(|at| answers[at] == message.created_at);
            history.extend(reply.map(|at| kept.messages[&at].clone()));
        }
        history.drain(..history.len().saturating_sub(limit));
        history
    }

    // Steps that several calls share

    /// Returns a session that is active, or expired and still retained.
    fn kept(&mut self, id: SessionId) -> Result<&mut Kept> {
        let (now, keeping) = (self.now, self.rules.retention);
        self.sessions
            .get_mut(&id)
            .filter(|kept| now < kept.session.expires_at + keeping)
            .ok_or(RuleViolation::SessionNotFound(id))
    }

    fn active(&mut self, id: SessionId) -> Result<&mut Kept> {
        let now = self.now;
        let kept = self.kept(id)?;
        if now < kept.session.expires_at {
            Ok(kept)
        } else {
            Err(RuleViolation::SessionExpired {
                session_id: id,
                expires_at: kept.session.expires_at,
            })
        }
    }

    /// Returns the session that was created with a key, while the key is remembered.
    fn created_under(&self, user: UserId, name: &str) -> Option<Session> {
        let claim = self.create_keys.get(&(user, name.to_owned()))?;
        let session = &self.sessions.get(&claim.session_id)?.session;
        let is_fresh = self.now < claim.at + Millis(24 * HOUR.0);
        (is_fresh && self.now < session.expires_at).then(|| session.clone())
    }

    fn remove(&mut self, id: SessionId) {
        self.sessions.remove(&id);
        self.create_keys.retain(|_, claim| claim.session_id != id);
    }
}

fn minutes(minutes: u32) -> Millis {
    Millis(i64::from(minutes) * MINUTE.0)
}

fn latest_end(session: &Session) -> Timestamp {
    session.created_at + minutes(session.timeout.max_duration_minutes)
}

fn is_at_latest_end(session: &Session) -> bool {
    session.expires_at >= latest_end(session)
}

fn schedule(session: &mut Session, now: Timestamp) {
    let window_end = session.window_start + minutes(session.timeout.timeout_minutes);
    session.expires_at = window_end.min(latest_end(session));
    session.warn_at = session.expires_at - minutes(session.timeout.warning_threshold_minutes);
    session.scheduled_at = now;
}

fn renew(session: &mut Session, now: Timestamp) {
    session.last_activity = session.last_activity.max(now);
    session.window_start = session.window_start.max(now);
    session.renewal_count += 1;
    schedule(session, now);
}

/// Records activity; returns whether it renewed the session.
fn touch(session: &mut Session, now: Timestamp) -> bool {
    session.last_activity = session.last_activity.max(now);
    let renews = session.timeout.auto_renew && !is_at_latest_end(session);
    if renews {
        renew(session, now);
    }
    renews
}

/// Returns the given minutes, clamped to a `u32`, or the current ones.
fn whole(given: Option<f64>, present: u32) -> u32 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    given.map_or(present, |minutes| minutes as u32)
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}
