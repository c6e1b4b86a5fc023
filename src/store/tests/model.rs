//! Any sequence of calls has the same effect on the store as on the [`Reference`].

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::command::{
    AdvanceCounters, CancelTurns, PartialReply, SubmitFailure, SubmitReply,
};
use super::pair::{Check, Pair};
use super::steps::{Index, Named, Query, SessionCall, Step, TurnCall, step};
use super::*;
use crate::domain::waiting::TurnSelector;

/// Returns a store that soon reaches its limit of open turns.
fn pair() -> Pair {
    Pair::new(Rig::with_rules(Rules {
        max_pending_turns: 24,
        ..rules()
    }))
}

impl Pair {
    fn take(&mut self, step: Step) -> Check {
        match step {
            Step::Session(call) => self.call(call)?,
            Step::Turn(session, turn) => self.turn(self.named(session), turn)?,
            Step::Query(query) => self.query(query)?,
            Step::Purge => self.purge()?,
            Step::AdvanceCounters => self.rig.submit(AdvanceCounters).unwrap(),
            Step::Maintain { is_backup, number } => self.maintain(is_backup, number),
            Step::Pass(span) => self.pass(span),
            Step::PassToTheEnd {
                session,
                of_keeping,
                offset,
            } => {
                let keeping = if of_keeping { KEPT } else { Millis(0) };
                if let Some(session) = self.reference.session(self.named(session)) {
                    self.set_time(session.expires_at + keeping + Millis(offset));
                }
            }
            Step::Restart => {
                self.rig.close(false);
                self.reopen(true)?;
            }
            Step::Drop => {
                self.rig.drop_store();
                self.reopen(false)?;
            }
            Step::Kill => {
                self.rig.kill();
                self.reopen(false)?;
            }
        }
        prop_assert_eq!(self.rig.stats(), self.reference.stats());
        Ok(())
    }

    fn call(&mut self, call: SessionCall) -> Check {
        match call {
            SessionCall::Create {
                user,
                key,
                timeout,
                variant,
                from,
            } => {
                let mut creation = self.creation(user, key, timeout, variant);
                if let Some((source, last)) = from {
                    self.continue_from(&mut creation, source, last);
                }
                self.create(creation)?;
            }
            SessionCall::Heartbeat(session) => self.heartbeat(self.named(session))?,
            SessionCall::Renew(session) => self.renew(self.named(session))?,
            SessionCall::Update(session, patch) => {
                self.update_metadata(self.named(session), patch_of(patch))?;
            }
            SessionCall::Patch(session, patch) => self.patch(self.named(session), patch)?,
            SessionCall::Send {
                session,
                body,
                key,
                has_agent,
                beginning,
            } => {
                let mut send = self.rig.message(self.named(session), "");
                send.body = body_of(body);
                send.key = key.map(key_of);
                send.has_agent = has_agent;
                send.beginning = beginning;
                self.send(send)?;
            }
            SessionCall::Burst(session, messages, beginning) => {
                self.burst(self.named(session), messages, beginning)?;
            }
            SessionCall::Submit {
                session,
                awaited,
                retried,
                named,
                reply,
                key,
                by_turn,
                fails,
                closes_turns,
                again,
            } => {
                let id = self.named(session);
                self.burst(id, awaited, TurnStart::Waiting(MINUTE))?;
                if retried {
                    self.retry(id, TurnStart::Waiting(MINUTE))?;
                }
                let in_reply_to = self.named_message(id, named);
                let turn_id = if by_turn {
                    self.named_turn(id, named)
                } else {
                    None
                };
                for (reply, fails) in [Some((reply, fails)), again].into_iter().flatten() {
                    if fails {
                        let submit = SubmitFailure {
                            session_id: id,
                            selector: TurnSelector::new(turn_id, in_reply_to),
                            message: "declined".into(),
                            sent_with: reply_of(reply),
                            key: key.map(key_of),
                            closes_turns,
                        };
                        self.submit_failure(submit)?;
                        continue;
                    }
                    let submit = SubmitReply {
                        session_id: id,
                        turn_id,
                        in_reply_to,
                        message_id: self.rig.next_id(),
                        reply: reply_of(reply),
                        key: key.map(key_of),
                        closes_turns,
                        partly_answered: None,
                    };
                    self.submit(submit)?;
                }
            }
            SessionCall::Delete(session) => self.delete(self.named(session))?,
            SessionCall::EraseUser(user) => self.erase_user(user_of(user))?,
            SessionCall::Export { session, deletes } => {
                self.export(self.named(session), deletes)?;
            }
            SessionCall::Import(first, second) => {
                let indexes = [Some(first), second].into_iter().flatten();
                self.import(indexes.map(usize::from).collect())?;
            }
        }
        Ok(())
    }

    fn burst(&mut self, id: SessionId, messages: u8, beginning: TurnStart) -> Check {
        for _ in 0..messages {
            let name = format!("b{}", self.rig.last_id);
            let mut send = self.rig.keyed_message(id, "burst", &name);
            send.beginning = beginning;
            self.send(send)?;
        }
        Ok(())
    }

    fn turn(&mut self, id: SessionId, call: TurnCall) -> Check {
        match call {
            TurnCall::Begin(message) => self.begin(id, self.message_of(id, message))?,
            TurnCall::Park(message, span) => self.park(id, self.message_of(id, message), span)?,
            TurnCall::Close { message, replies } => {
                let result = if replies {
                    Ok(plain_reply())
                } else {
                    Err(TurnFailure::agent_timeout())
                };
                self.close(id, self.message_of(id, message), result)?;
            }
            TurnCall::Run => {
                if let Some(turn) = self.reference.next_turn(id) {
                    self.begin(id, turn.message_at)?;
                    self.close(id, turn.message_at, Ok(plain_reply()))?;
                }
            }
            TurnCall::CrashIn(times) => {
                for _ in 0..times {
                    if let Some(turn) = self.reference.next_turn(id) {
                        self.begin(id, turn.message_at)?;
                        self.rig.drop_store();
                        self.reopen(false)?;
                    }
                }
            }
            TurnCall::Retry(beginning) => self.retry(id, beginning)?,
            TurnCall::Cancel { named, streamed } => {
                let next = self.reference.next_turn(id);
                let next = next.and_then(|turn| self.reference.message_id(id, turn.message_at));
                let partial = next
                    .zip(streamed)
                    .map(|(message_id, is_stored)| PartialReply {
                        message_id,
                        text: "so far".into(),
                        reply: is_stored.then(interrupted_reply),
                    });
                self.cancel(CancelTurns {
                    session_id: id,
                    message_id: self.named_message(id, named),
                    partial,
                })?;
            }
            TurnCall::Expire => self.expire(id)?,
        }
        Ok(())
    }

    fn retry(&mut self, id: SessionId, beginning: TurnStart) -> Check {
        let Some(turn) = self.reference.next_turn(id) else {
            return Ok(());
        };
        let at = turn.message_at;
        self.close(id, at, Err(TurnFailure::agent_timeout()))?;
        let Some((name, body)) = self.reference.sent_under(id, at) else {
            return Ok(());
        };
        let mut send = self.rig.keyed_message(id, "", &name);
        send.body = body;
        send.beginning = beginning;
        self.send(send)
    }

    fn query(&self, query: Query) -> Check {
        match query {
            Query::List { user, below, limit } => self.list(user, below, limit),
            Query::Page {
                session,
                before,
                after,
                limit,
            } => self.page(session, before, after, limit),
            Query::Before {
                session,
                message,
                limit,
            } => self.messages_before(session, message, limit),
        }
    }

    fn creation(
        &mut self,
        user: Index,
        key: Option<Index>,
        timeout: TimeoutConfig,
        variant: Index,
    ) -> CreateSession {
        let mut creation = self.rig.creation();
        // Not in the order of their creation.
        let number = self.known.len() as u128 + 1;
        creation.new.id = SessionId::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 1_000_003);
        creation.new.user_id = user_of(user);
        creation.new.timeout = timeout;
        creation.new.create_key = key.map(|index| super::key(&format!("c{index}")));
        match variant {
            // The same metadata, written in another way.
            1 => creation.new.metadata = r#"{ "username" : "Alice" }"#.into(),
            2 => creation.new.metadata = "{}".into(),
            3 => creation.new.agent_id = AgentId::from(7),
            4 => creation.requested_timeout.timeout_minutes = Some(9.0),
            _ => {}
        }
        creation
    }

    /// Lets a creation continue a session, mostly one of the same user and agent.
    fn continue_from(&mut self, creation: &mut CreateSession, source: Index, last: Option<Index>) {
        let source = self.named(source);
        if let Some(session) = self.reference.session(source)
            && creation.new.create_key.is_none()
        {
            creation.new.user_id = session.user_id;
            creation.new.agent_id = session.agent_id;
        }
        let up_to = last.map(|index| {
            let at = self.message_of(source, index);
            let id = self.reference.message_id(source, at);
            (id.unwrap_or(MessageId::from(u128::MAX - 1)), at)
        });
        let continuing = self.rig.continuing(source, up_to).continuation;
        creation.continuation = continuing.map(|continuation| Continuation {
            ids: NewIds(Box::new(rig::copy_ids(creation.new.id))),
            ..continuation
        });
    }

    fn list(&self, user: Option<Index>, below: Option<Index>, limit: usize) -> Check {
        let user = user.map(user_of);
        let below = below.map(|index| self.named(index));
        let store = self.rig.store();
        let found = self.rig.query(store.sessions(user, below, limit));
        prop_assert_eq!(found, self.reference.sessions_below(user, below, limit));
        let at_most = limit as u64;
        let active = store.active_session_ids(below, self.rig.now(), at_most);
        let active = self.rig.query(active);
        prop_assert_eq!(active, self.reference.active_below(below, at_most));
        Ok(())
    }

    fn page(
        &self,
        session: Index,
        before: Option<(Index, i64)>,
        after: Option<(Index, i64)>,
        limit: usize,
    ) -> Check {
        let id = self.named(session);
        let place = |place: Option<(Index, i64)>| {
            place.map(|(index, offset)| self.message_of(id, index) + Millis(offset))
        };
        let (before, after) = (place(before), place(after));
        let found = self.rig.page(id, before, after, limit);
        prop_assert_eq!(
            (found.messages, found.has_more),
            self.reference.page(id, before, after, limit)
        );
        Ok(())
    }

    fn messages_before(&self, session: Index, message: Index, limit: usize) -> Check {
        let id = self.named(session);
        let at = self.message_of(id, message);
        let found = self
            .rig
            .read(|reader| reader.messages_before(id, at, limit));
        prop_assert_eq!(found, self.reference.messages_before(id, at, limit));
        Ok(())
    }

    fn reopen(&mut self, stopped_cleanly: bool) -> Check {
        let found = self.rig.open();
        prop_assert_eq!(found.clean_stop, Some(stopped_cleanly));
        prop_assert_eq!(found.sessions, self.reference.session_count());
        self.reference.restart(!stopped_cleanly);
        Ok(())
    }

    fn named(&self, index: Index) -> SessionId {
        let strangers = index == Index::MAX || self.known.is_empty();
        if strangers {
            return SessionId::from(u128::MAX - 1);
        }
        // The newest first, since old ones tend to be deleted.
        let back = usize::from(index) % self.known.len();
        self.known[self.known.len() - 1 - back]
    }

    fn message_of(&self, session: SessionId, index: Index) -> Timestamp {
        let times = self.reference.message_times(session);
        if times.is_empty() {
            return START;
        }
        times[usize::from(index) % times.len()]
    }

    /// Returns the turn that a submit names.
    fn named_turn(&self, session: SessionId, named: Named) -> Option<TurnId> {
        let at = match named {
            Named::Nothing => return None,
            Named::NextTurn => self.reference.next_turn(session)?.message_at,
            Named::Message(index) => self.message_of(session, index),
        };
        let id = self.reference.turn_id(session, at);
        Some(id.unwrap_or(TurnId::from(u128::MAX - 1)))
    }

    /// Returns the message that a submit names.
    fn named_message(&self, session: SessionId, named: Named) -> Option<MessageId> {
        let at = match named {
            Named::Nothing => return None,
            Named::NextTurn => self.reference.next_turn(session)?.message_at,
            Named::Message(Index::MAX) => Timestamp(0),
            Named::Message(index) => self.message_of(session, index),
        };
        let id = self.reference.message_id(session, at);
        Some(id.unwrap_or(MessageId::from(u128::MAX - 1)))
    }
}

fn user_of(index: Index) -> UserId {
    UserId::from([ALICE, BOB][usize::from(index) % 2])
}

/// A few bodies, two of which are equivalent.
fn body_of(index: Index) -> Body {
    let metadata = match index % 4 {
        0 => None,
        1 => Some(r#"{"a":1,"b":[2]}"#),
        2 => Some(r#"{ "b": [2], "a": 1 }"#),
        _ => Some(r#"{"a":2}"#),
    };
    Body {
        content: "hello".into(),
        metadata: metadata.map(str::to_owned),
        attachments: None,
    }
}

/// A few replies: one of them in two spellings, others that differ from it in a single part.
fn reply_of(index: Index) -> Reply {
    if index > 5 {
        return Reply {
            session_metadata: Some(patch_of(index - 6).into()),
            ..plain_reply()
        };
    }
    let (body, thought, actions) = match index {
        0 => (1, "hm", r#"[{"a":1,"b":2}]"#),
        1 => (2, "hm", r#"[ { "b": 2, "a": 1 } ]"#),
        2 => (3, "hm", r#"[{"a":1,"b":2}]"#),
        3 => (1, "oh", r#"[{"a":1,"b":2}]"#),
        4 => (1, "hm", "[]"),
        _ => return plain_reply(),
    };
    Reply {
        body: body_of(body),
        thought: Some(thought.into()),
        actions: Some(actions.into()),
        session_metadata: None,
    }
}

fn plain_reply() -> Reply {
    Reply {
        body: says("a reply"),
        thought: Some("hm".into()),
        actions: None,
        session_metadata: None,
    }
}

/// A few merge patches; the first two have the same meaning.
fn patch_of(index: Index) -> &'static str {
    match index {
        0 => r#"{"topic":{"a":1,"b":null},"title":"One"}"#,
        1 => r#"{ "title": "One", "topic": { "b": null, "a": 1 } }"#,
        2 => r#"{"topic":null}"#,
        3 => r#"{"topic":[1,null],"username":"Bob"}"#,
        4 => r#"{"username":null,"topic":{"c":{"d":null}}}"#,
        _ => "{}",
    }
}

fn interrupted_reply() -> Reply {
    let mut reply = Reply::text("so far".into());
    reply.body.metadata = Some(r#"{"interrupted":true}"#.into());
    reply
}

/// The same few keys for sends and submits, which are independent.
fn key_of(index: Index) -> IdempotencyKey {
    super::key(&format!("m{index}"))
}

/// A short run, unless the environment requests a longer one.
fn cases() -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(64),
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_calls_in_any_order_match_the_contract(steps in vec(step(), 1..100)) {
        let mut pair = pair();
        for variant in 0..2 {
            let creation = pair.creation(variant, None, TIMEOUT, variant);
            pair.create(creation)?;
        }
        for step in steps {
            pair.take(step)?;
        }
        pair.compare()?;
        pair.compare_work()?;
        super::archive::assert_comes_back(&pair.rig);
    }
}
