//! Any sequence of calls does to the store what it does to the [`Reference`].

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::command::{
    BeginTurn, Begun, DeleteSession, Expire, Heartbeat, PatchTimeout, Renew, WalkTallies,
};
use super::reference::{Fate, Outcome, Reference, Turn};
use super::steps::{Index, Look, SessionCall, Step, TurnCall, step};
use super::*;

/// A store and its reference, side by side.
struct Pair {
    rig: Rig,
    reference: Reference,
    /// Every session that was ever made.
    known: Vec<SessionId>,
}

type Check = std::result::Result<(), TestCaseError>;

impl Pair {
    fn new() -> Self {
        let rules = Rules {
            max_pending_turns: 24,
            ..rules()
        };
        Self {
            rig: Rig::with_rules(rules),
            reference: Reference::new(rules, START),
            known: Vec::new(),
        }
    }

    fn take(&mut self, step: Step) -> Check {
        match step {
            Step::Session(call) => self.call(call)?,
            Step::Turn(session, turn) => self.turn(self.named(session), turn)?,
            Step::Look(look) => self.look(look)?,
            Step::Purge => {
                let (_, found) = self.rig.purge();
                prop_assert_eq!(found, self.reference.purge());
            }
            Step::WalkTallies => self.rig.submit(WalkTallies).unwrap(),
            Step::Pass(span) => self.set_time(self.rig.now() + span),
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
        let stats = self
            .rig
            .read(|reader| reader.stats(self.rig.now(), &self.rig.rules));
        prop_assert_eq!(stats, self.reference.stats());
        Ok(())
    }

    fn call(&mut self, call: SessionCall) -> Check {
        match call {
            SessionCall::Create {
                user,
                key,
                timeout,
                variant,
            } => self.create(user, key, timeout, variant)?,
            SessionCall::Heartbeat(session) => {
                let id = self.named(session);
                let found = refused(self.rig.submit(Heartbeat(id)));
                prop_assert_eq!(found, self.reference.heartbeat(id));
            }
            SessionCall::Renew(session) => {
                let id = self.named(session);
                let found = refused(self.rig.submit(Renew(id)));
                prop_assert_eq!(found, self.reference.renew(id));
            }
            SessionCall::Patch(session, patch) => self.patch(session, patch)?,
            SessionCall::Send {
                session,
                body,
                key,
                has_agent,
                begins_at_once,
            } => {
                let mut send = self.rig.message(self.named(session), "");
                send.body = body_of(body);
                send.key = key.map(|index| super::key(&format!("m{index}")));
                send.has_agent = has_agent;
                if begins_at_once {
                    send.beginning = Beginning::AtOnce;
                }
                self.send(send)?;
            }
            SessionCall::Burst(session, messages) => {
                let id = self.named(session);
                for _ in 0..messages {
                    let send = self.rig.message(id, "burst");
                    self.send(send)?;
                }
            }
            SessionCall::Delete(session) => {
                let id = self.named(session);
                let found = refused(self.rig.submit(DeleteSession(id)));
                prop_assert_eq!(found, self.reference.delete(id).map(|()| false));
            }
        }
        Ok(())
    }

    fn turn(&mut self, id: SessionId, call: TurnCall) -> Check {
        match call {
            TurnCall::Begin(message) => self.begin(id, self.message_of(id, message))?,
            TurnCall::Close { message, replies } => {
                self.close(id, self.message_of(id, message), replies)?;
            }
            TurnCall::Run => {
                if let Some(turn) = self.reference.next_turn(id) {
                    self.begin(id, turn.message_at)?;
                    self.close(id, turn.message_at, true)?;
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
            TurnCall::Expire => {
                let found = self.rig.submit(Expire(id)).unwrap();
                prop_assert_eq!(found, self.reference.expire_turns(id));
            }
        }
        Ok(())
    }

    fn look(&self, look: Look) -> Check {
        match look {
            Look::List { user, below, limit } => self.list(user, below, limit),
            Look::Page {
                session,
                before,
                after,
                limit,
            } => self.page(session, before, after, limit),
            Look::Exchanges {
                session,
                message,
                limit,
            } => self.exchanges(session, message, limit),
        }
    }

    fn create(
        &mut self,
        user: Index,
        key: Option<Index>,
        timeout: TimeoutConfig,
        variant: Index,
    ) -> Check {
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
            4 => creation.asked.timeout.timeout_minutes = Some(9.0),
            _ => {}
        }
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

    fn patch(&mut self, session: Index, patch: TimeoutOverrides) -> Check {
        let session_id = self.named(session);
        let mut found = refused(self.rig.submit(PatchTimeout { session_id, patch }));
        let expected = self.reference.patch(session_id, patch);
        if let (Err(Refusal::InvalidTimeout(found)), Err(Refusal::InvalidTimeout(expected))) =
            (&mut found, &expected)
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

    fn send(&mut self, send: SendMessage) -> Check {
        let expected = self.reference.send(&send);
        let found = refused(self.rig.submit(send)).map(|sent| Outcome {
            session: sent.session,
            message: sent.message,
            renewed: sent.renewed,
            replayed: sent.replayed,
        });
        prop_assert_eq!(found, expected);
        Ok(())
    }

    fn begin(&mut self, session_id: SessionId, message_at: Timestamp) -> Check {
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
            Begun::Now => Fate::Begun,
            Begun::Closed(failure) => Fate::Failed(failure.message),
            Begun::Gone => Fate::Gone,
        };
        prop_assert_eq!(found, self.reference.begin(session_id, message_at));
        Ok(())
    }

    fn close(&mut self, session_id: SessionId, message_at: Timestamp, replies: bool) -> Check {
        let result = if replies {
            Ok(Reply {
                body: says("a reply"),
                thought: Some("hm".into()),
                actions: None,
            })
        } else {
            Err(TurnFailure::agent_timeout())
        };
        let expected = self.reference.close(session_id, message_at, &result);
        let close = CloseTurn {
            partial: None,
            session_id,
            message_at,
            result,
        };
        let found = match self.rig.submit(close).unwrap() {
            Closed::Replied(reply) => Fate::Replied(reply),
            Closed::Failed(failure) => Fate::Failed(failure.message),
            Closed::Gone => Fate::Gone,
        };
        prop_assert_eq!(found, expected);
        Ok(())
    }

    fn list(&self, user: Option<Index>, below: Option<Index>, limit: usize) -> Check {
        let user = user.map(user_of);
        let below = below.map(|index| self.named(index));
        let found = self.rig.read(|reader| match user {
            Some(user) => reader.user_sessions_below(user, below, limit),
            None => reader.sessions_below(below, limit),
        });
        prop_assert_eq!(found, self.reference.sessions_below(user, below, limit));
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

    fn exchanges(&self, session: Index, message: Index, limit: usize) -> Check {
        let id = self.named(session);
        let at = self.message_of(id, message);
        let found = self
            .rig
            .read(|reader| reader.exchanges_before(id, at, limit));
        let found: Vec<_> = found
            .into_iter()
            .map(|exchange| (exchange.message, exchange.reply))
            .collect();
        prop_assert_eq!(found, self.reference.exchanges(id, at, limit));
        Ok(())
    }

    fn reopen(&mut self, stopped_cleanly: bool) -> Check {
        let found = self.rig.open();
        prop_assert_eq!(found.clean_stop, Some(stopped_cleanly));
        prop_assert_eq!(found.sessions, self.reference.session_count());
        self.reference.restart(!stopped_cleanly);
        Ok(())
    }

    fn set_time(&mut self, time: Timestamp) {
        self.rig.hand.set(time);
        self.reference.now = time;
    }

    /// Everything that is stored is what should be, and nothing else is.
    fn compare(&self) -> Check {
        let (sessions, _) = self.rig.read(|reader| reader.sessions_below(None, 1000));
        let (expected, _) = self.reference.sessions_below(None, None, 1000);
        prop_assert_eq!(sessions, expected);
        let busy = self.rig.sessions_with_turns();
        prop_assert_eq!(busy, self.reference.sessions_with_turns());
        for id in &self.known {
            let (messages, _) = self.reference.page(*id, None, None, 1000);
            prop_assert_eq!(self.rig.transcript(*id), messages);
            let turn = self.rig.next_turn(*id).map(|turn| Turn {
                message_at: turn.message_at,
                begun: turn.begun,
                running: turn.running,
                crashes: turn.crashes,
            });
            prop_assert_eq!(turn, self.reference.next_turn(*id));
            for index in 0..4 {
                let name = format!("m{index}");
                let known = self
                    .rig
                    .read(|reader| reader.knows_key(*id, &super::key(&name)));
                prop_assert_eq!(known, self.reference.knows_key(*id, &name));
            }
        }
        let faults = self.rig.store().check().unwrap();
        prop_assert_eq!(faults, Vec::<String>::new());
        Ok(())
    }

    fn named(&self, index: Index) -> SessionId {
        let strangers = index == Index::MAX || self.known.is_empty();
        if strangers {
            return SessionId::from(u128::MAX - 1);
        }
        // The newest first, since old ones tend to be gone.
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
}

fn user_of(index: Index) -> UserId {
    UserId::from([ALICE, BOB][usize::from(index) % 2])
}

/// Few bodies, two of which say the same.
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

fn refused<T>(result: std::result::Result<T, SubmitError>) -> std::result::Result<T, Refusal> {
    match result {
        Ok(output) => Ok(output),
        Err(SubmitError::Refused(refusal)) => Err(refusal),
        Err(other) => panic!("{other}"),
    }
}

/// A quick run, unless the environment asks for a longer one.
fn cases() -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(64),
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_calls_in_any_order_do_what_the_contract_says(steps in vec(step(), 1..100)) {
        let mut pair = Pair::new();
        for variant in 0..2 {
            pair.create(variant, None, TIMEOUT, variant)?;
        }
        for step in steps {
            pair.take(step)?;
        }
        pair.compare()?;
        super::archived::assert_comes_back(&pair.rig);
    }
}
