//! The steps of the [`model`](super::model) test.

use proptest::option;
use proptest::prelude::*;

use super::*;

/// Selects a session, a message or a body: an index into the existing ones, so that it shrinks.
pub(super) type Index = u8;

#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Session(SessionCall),
    /// A step that concerns the turns of a session.
    Turn(Index, TurnCall),
    Query(Query),
    Purge,
    AdvanceCounters,
    Maintain {
        is_backup: bool,
        number: u64,
    },
    Pass(Millis),
    /// Moves the clock to just before, or after, a session's expiry or the end of its retention.
    PassToTheEnd {
        session: Index,
        of_keeping: bool,
        offset: i64,
    },
    Restart,
    Drop,
    Kill,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum SessionCall {
    Create {
        user: Index,
        key: Option<Index>,
        timeout: TimeoutConfig,
        /// Agent, metadata and asked-for timeouts: what a key is compared by.
        variant: Index,
        /// The session that it continues, and its last message, if one is named.
        from: Option<(Index, Option<Index>)>,
    },
    /// Changes the metadata by one of a few patches.
    Update(Index, Index),
    Heartbeat(Index),
    Renew(Index),
    Patch(Index, TimeoutOverrides),
    Send {
        session: Index,
        body: Index,
        key: Option<Index>,
        has_agent: bool,
        beginning: TurnStart,
    },
    /// Sends a number of messages in one batch.
    Burst(Index, u8, TurnStart),
    /// A submitted reply.
    Submit {
        session: Index,
        /// The number of messages to send first whose turns wait for it, since few do otherwise.
        awaited: u8,
        /// Whether the first turn then fails, and is reopened after the others.
        retried: bool,
        named: Named,
        reply: Index,
        key: Option<Index>,
        /// Whether it names the turn instead of the message.
        by_turn: bool,
        /// Whether it submits an error instead of a reply.
        fails: bool,
        closes_turns: bool,
        /// The reply of an immediate repeat under the same key, and whether it is an error, as after
        /// a lost answer.
        again: Option<(Index, bool)>,
    },
    Delete(Index),
    /// Erases everything of a user.
    EraseUser(Index),
    /// Exports a session, and may delete it then.
    Export {
        session: Index,
        deletes: bool,
    },
    /// Imports what earlier calls have exported: one session, or two.
    Import(Index, Option<Index>),
}

/// The message that a submit names.
#[derive(Debug, Clone, Copy)]
pub(super) enum Named {
    /// None, for all waiting messages.
    Nothing,
    /// The message of the next turn, if there is one.
    NextTurn,
    /// Any message, also the agent's, or one that does not exist.
    Message(Index),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum TurnCall {
    Begin(Index),
    /// Waits for a submitted reply for that time.
    Park(Index, Millis),
    Close {
        message: Index,
        replies: bool,
    },
    /// Begins and answers the next turn.
    Run,
    /// Begins the next turn and interrupts it by a crash, that many times.
    CrashIn(u8),
    /// Fails the next turn and reopens it by a repeat of its message.
    Retry(TurnStart),
    /// Cancels the turns of the named messages.
    Cancel {
        named: Named,
        /// Whether text was sent for the next turn, and whether that is kept.
        streamed: Option<bool>,
    },
    Expire,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Query {
    List {
        user: Option<Index>,
        below: Option<Index>,
        limit: usize,
    },
    Page {
        session: Index,
        before: Option<(Index, i64)>,
        after: Option<(Index, i64)>,
        limit: usize,
    },
    Before {
        session: Index,
        message: Index,
        limit: usize,
    },
}

fn index() -> impl Strategy<Value = Index> {
    prop_oneof![16 => 0..3_u8, 1 => any::<u8>()]
}

fn timeout() -> impl Strategy<Value = TimeoutConfig> {
    (5..90_u32, any::<bool>(), 0..400_u32, 1..60_u32).prop_map(
        |(timeout_minutes, auto_renew, more, warning_threshold_minutes)| TimeoutConfig {
            timeout_minutes,
            auto_renew,
            max_duration_minutes: timeout_minutes + more,
            warning_threshold_minutes,
        },
    )
}

fn minutes() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (0..100_i32).prop_map(f64::from),
        1 => prop::sample::select(vec![-1.0, 4.0, 5.0, 1440.0, 1441.0, 2880.0, 2881.0, 1e300]),
    ]
}

prop_compose! {
    fn overrides()(
        timeout_minutes in option::of(minutes()),
        auto_renew: Option<bool>,
        max_duration_minutes in option::of(minutes()),
        warning_threshold_minutes in option::of(minutes()),
    ) -> TimeoutOverrides {
        TimeoutOverrides {
            timeout_minutes,
            auto_renew,
            max_duration_minutes,
            warning_threshold_minutes,
        }
    }
}

fn span() -> impl Strategy<Value = Millis> {
    prop_oneof![
        3 => 0..5_i64,
        2 => -5..0_i64,
        1 => -20_000..0_i64,
        5 => (1..20_i64).prop_map(|minutes| minutes * MINUTE.0),
        1 => (20..200_i64).prop_map(|minutes| minutes * MINUTE.0),
    ]
    .prop_map(Millis)
}

fn place() -> impl Strategy<Value = Option<(Index, i64)>> {
    option::of((any::<u8>(), -1..=1_i64))
}

prop_compose! {
    fn create()(
        user in index(),
        key in option::of(0..2_u8),
        timeout in timeout(),
        variant in index(),
        from in option::weighted(0.3, (index(), option::of(any::<u8>()))),
    ) -> SessionCall {
        SessionCall::Create { user, key, timeout, variant, from }
    }
}

prop_compose! {
    fn send()(
        session in index(),
        body in prop_oneof![4 => 0..3_u8, 1 => any::<u8>()],
        key in option::weighted(0.7, 0..3_u8),
        has_agent in prop::bool::weighted(0.95),
        beginning in beginning(),
    ) -> SessionCall {
        SessionCall::Send { session, body, key, has_agent, beginning }
    }
}

/// A wait may end long before anything else happens, which ends no turn.
fn wait() -> impl Strategy<Value = Millis> {
    (-1..60_i64).prop_map(|minutes| Millis(minutes * MINUTE.0))
}

fn beginning() -> impl Strategy<Value = TurnStart> {
    prop_oneof![
        Just(TurnStart::InTurn),
        Just(TurnStart::AtOnce),
        wait().prop_map(TurnStart::Waiting),
    ]
}

fn named() -> impl Strategy<Value = Named> {
    prop_oneof![
        3 => Just(Named::Nothing),
        1 => Just(Named::NextTurn),
        2 => any::<u8>().prop_map(Named::Message),
        1 => Just(Named::Message(Index::MAX)),
    ]
}

/// Mostly one that has two spellings.
fn reply() -> impl Strategy<Value = Index> {
    prop_oneof![3 => 0..2_u8, 2 => 2..9_u8]
}

prop_compose! {
    fn submit()(
        session in index(),
        awaited in prop_oneof![Just(0), 0..3_u8],
        retried in prop::bool::weighted(0.3),
        named in named(),
        reply in reply(),
        key in option::weighted(0.7, 0..3_u8),
        by_turn in prop::bool::weighted(0.3),
        fails in prop::bool::weighted(0.3),
        closes_turns in prop::bool::weighted(0.9),
        again in option::of((reply(), prop::bool::weighted(0.3))),
    ) -> SessionCall {
        SessionCall::Submit {
            session, awaited, retried, named, reply, key, by_turn, fails, closes_turns, again,
        }
    }
}

fn session_call() -> impl Strategy<Value = SessionCall> {
    prop_oneof![
        7 => create(),
        3 => index().prop_map(SessionCall::Heartbeat),
        3 => index().prop_map(SessionCall::Renew),
        4 => (index(), overrides())
            .prop_map(|(session, patch)| SessionCall::Patch(session, patch)),
        4 => (index(), 0..6_u8).prop_map(|(session, patch)| SessionCall::Update(session, patch)),
        14 => send(),
        4 => (index(), 1..20_u8, beginning()).prop_map(|(session, messages, beginning)| {
            SessionCall::Burst(session, messages, beginning)
        }),
        14 => submit(),
        2 => index().prop_map(SessionCall::Delete),
        1 => index().prop_map(SessionCall::EraseUser),
        4 => (index(), any::<bool>())
            .prop_map(|(session, deletes)| SessionCall::Export { session, deletes }),
        4 => (0..4_u8, option::weighted(0.3, 0..4_u8))
            .prop_map(|(first, second)| SessionCall::Import(first, second)),
    ]
}

fn turn_call() -> impl Strategy<Value = TurnCall> {
    prop_oneof![
        4 => any::<u8>().prop_map(TurnCall::Begin),
        2 => (any::<u8>(), wait()).prop_map(|(message, span)| TurnCall::Park(message, span)),
        4 => (any::<u8>(), any::<bool>())
            .prop_map(|(message, replies)| TurnCall::Close { message, replies }),
        8 => Just(TurnCall::Run),
        2 => (1..5_u8).prop_map(TurnCall::CrashIn),
        2 => beginning().prop_map(TurnCall::Retry),
        4 => (named(), option::of(any::<bool>()))
            .prop_map(|(named, streamed)| TurnCall::Cancel { named, streamed }),
        3 => Just(TurnCall::Expire),
    ]
}

prop_compose! {
    fn list()(
        user in option::of(index()),
        below in option::of(index()),
        limit in 1..5_usize,
    ) -> Query {
        Query::List { user, below, limit }
    }
}

prop_compose! {
    fn page()(
        session in index(),
        before in place(),
        after in place(),
        limit in 1..6_usize,
    ) -> Query {
        Query::Page { session, before, after, limit }
    }
}

prop_compose! {
    fn before()(session in index(), message: u8, limit in 0..6_usize) -> Query {
        Query::Before { session, message, limit }
    }
}

prop_compose! {
    fn end()(session in index(), of_keeping: bool, offset in -1..=1_i64) -> Step {
        Step::PassToTheEnd { session, of_keeping, offset }
    }
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let query = prop_oneof![3 => list(), 4 => page(), 2 => before()];
    prop_oneof![
        48 => session_call().prop_map(Step::Session),
        21 => (index(), turn_call()).prop_map(|(session, turn)| Step::Turn(session, turn)),
        9 => query.prop_map(Step::Query),
        3 => Just(Step::Purge),
        2 => Just(Step::AdvanceCounters),
        2 => (any::<bool>(), any::<u64>())
            .prop_map(|(is_backup, number)| Step::Maintain { is_backup, number }),
        10 => span().prop_map(Step::Pass),
        3 => end(),
        2 => Just(Step::Restart),
        2 => Just(Step::Drop),
        2 => Just(Step::Kill),
    ]
}
