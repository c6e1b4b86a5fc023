use super::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rstest::rstest;

const POLICY: TimeoutPolicy = TimeoutPolicy {
    min_timeout_minutes: 5,
    max_timeout_minutes: 1440,
    defaults: CONFIG,
};

/// 30 minutes at a time, two hours at most, a warning for the last five minutes.
const CONFIG: TimeoutConfig = TimeoutConfig {
    timeout_minutes: 30,
    auto_renew: true,
    max_duration_minutes: 120,
    warning_threshold_minutes: 5,
};

/// 2024-01-15T10:30:00.000Z
const START: Timestamp = Timestamp(1_705_314_600_000);
const MINUTE: i64 = 60_000;
const RETENTION: Millis = Millis(7 * MINUTE);
const REAL: TimeScale = TimeScale::REAL;

fn minute(minutes: i64) -> Timestamp {
    START + Millis(minutes * MINUTE)
}

fn just_before(instant: Timestamp) -> Timestamp {
    instant - Millis(1)
}

fn new_session(timeout: TimeoutConfig) -> NewSession {
    NewSession {
        id: SessionId::from(1),
        agent_id: AgentId::from(2),
        user_id: UserId::from(3),
        timeout,
        metadata: r#"{"username":"Ada"}"#.to_owned(),
        create_key: IdempotencyKey::parse("first"),
    }
}

/// A session that begins at [`START`].
fn session(timeout: TimeoutConfig) -> Session {
    Session::create(new_session(timeout), START, REAL)
}

/// The default session, renewed every 25 minutes as often as that gives it more time.
fn session_at_its_end() -> Session {
    let mut session = session(CONFIG);
    for minutes in [25, 50, 75, 100] {
        session.renew(minute(minutes), REAL).unwrap();
    }
    session
}

fn timeout_of(minutes: u32) -> TimeoutOverrides {
    TimeoutOverrides {
        timeout_minutes: Some(f64::from(minutes)),
        ..TimeoutOverrides::default()
    }
}

fn duration_of(minutes: u32) -> TimeoutOverrides {
    TimeoutOverrides {
        max_duration_minutes: Some(f64::from(minutes)),
        ..TimeoutOverrides::default()
    }
}

fn warning_of(minutes: u32) -> TimeoutOverrides {
    TimeoutOverrides {
        warning_threshold_minutes: Some(f64::from(minutes)),
        ..TimeoutOverrides::default()
    }
}

// Creation

#[test]
fn a_new_session_lives_for_its_timeout() {
    let session = session(CONFIG);
    assert_eq!(session.created_at, START);
    assert_eq!(session.last_activity, START);
    assert_eq!(session.window_start, START);
    assert_eq!(session.scheduled_at, START);
    assert_eq!(session.expires_at, minute(30));
    assert_eq!(session.warn_at, minute(25));
    assert_eq!(session.renewal_count, 0);
}

#[test]
fn a_new_session_has_the_requested_values() {
    let (asked, session) = (new_session(CONFIG), session(CONFIG));
    assert_eq!(session.id, asked.id);
    assert_eq!(session.agent_id, asked.agent_id);
    assert_eq!(session.user_id, asked.user_id);
    assert_eq!(session.timeout, asked.timeout);
    assert_eq!(session.metadata, asked.metadata);
    assert_eq!(session.create_key, asked.create_key);
}

// Renewal

#[test]
fn a_renewal_gives_a_whole_timeout_from_now() {
    let mut session = session(CONFIG);
    session.renew(minute(20), REAL).unwrap();
    assert_eq!(session.last_activity, minute(20));
    assert_eq!(session.window_start, minute(20));
    assert_eq!(session.scheduled_at, minute(20));
    assert_eq!(session.expires_at, minute(50));
    assert_eq!(session.warn_at, minute(45));
    assert_eq!(session.renewal_count, 1);
    assert_eq!(session.created_at, START);
}

#[test]
fn the_last_renewal_gives_only_what_is_left() {
    let session = session_at_its_end();
    assert_eq!(session.window_start, minute(100));
    assert_eq!(session.expires_at, minute(120));
    assert_eq!(session.warn_at, minute(115));
    assert_eq!(session.renewal_count, 4);
}

#[test]
fn a_session_at_its_longest_duration_is_not_renewed() {
    let mut session = session_at_its_end();
    let before = session.clone();
    let refused = session.renew(minute(110), REAL).unwrap_err();
    let expected = RenewalRefused {
        session_id: session.id,
        max_duration_minutes: 120,
        created_at: START,
        age: Millis(110 * MINUTE),
    };
    assert_eq!(refused, expected);
    assert_eq!(session, before);
}

#[test]
fn a_renewal_that_reaches_the_longest_duration_exactly_is_the_last() {
    let mut session = session(CONFIG);
    for minutes in [29, 58, 87] {
        session.renew(minute(minutes), REAL).unwrap();
    }
    session.renew(just_before(minute(90)), REAL).unwrap();
    assert_eq!(session.expires_at, just_before(minute(120)));
    session.renew(minute(90), REAL).unwrap();
    assert_eq!(session.expires_at, minute(120));
    assert!(session.renew(minute(90), REAL).is_err());
}

#[test]
fn a_session_whose_timeout_is_its_longest_duration_is_never_renewed() {
    let mut session = session(TimeoutConfig {
        max_duration_minutes: 30,
        ..CONFIG
    });
    assert_eq!(session.expires_at, minute(30));
    assert!(session.renew(START, REAL).is_err());
    assert!(!session.touch(minute(1), REAL));
    assert_eq!(session.expires_at, minute(30));
}

#[test]
fn a_manual_renewal_works_without_auto_renew() {
    let mut session = session(TimeoutConfig {
        auto_renew: false,
        ..CONFIG
    });
    session.renew(minute(20), REAL).unwrap();
    assert_eq!(session.expires_at, minute(50));
}

// Activity

#[test]
fn with_auto_renew_activity_renews_the_session() {
    let mut session = session(CONFIG);
    let mut renewed = session.clone();
    assert!(session.touch(minute(20), REAL));
    renewed.renew(minute(20), REAL).unwrap();
    assert_eq!(session, renewed);
}

#[test]
fn without_auto_renew_activity_is_only_recorded() {
    let mut session = session(TimeoutConfig {
        auto_renew: false,
        ..CONFIG
    });
    let before = session.clone();
    assert!(!session.touch(minute(20), REAL));
    let noted = Session {
        last_activity: minute(20),
        ..before
    };
    assert_eq!(session, noted);
}

#[test]
fn at_the_longest_duration_activity_is_only_recorded() {
    let mut session = session_at_its_end();
    let before = session.clone();
    assert!(!session.touch(minute(119), REAL));
    let noted = Session {
        last_activity: minute(119),
        ..before
    };
    assert_eq!(session, noted);
}

// PATCH

#[test]
fn a_patched_timeout_counts_from_the_window_not_from_now() {
    let mut session = session(CONFIG);
    session.renew(minute(10), REAL).unwrap();
    session
        .patch(timeout_of(60), &POLICY, minute(20), REAL)
        .unwrap();
    assert_eq!(session.expires_at, minute(70));
    assert_eq!(session.warn_at, minute(65));
    assert_eq!(session.scheduled_at, minute(20));
}

#[test]
fn a_patch_is_neither_activity_nor_a_renewal() {
    let mut session = session(CONFIG);
    session.renew(minute(10), REAL).unwrap();
    session
        .patch(timeout_of(60), &POLICY, minute(20), REAL)
        .unwrap();
    assert_eq!(session.last_activity, minute(10));
    assert_eq!(session.window_start, minute(10));
    assert_eq!(session.renewal_count, 1);
}

#[test]
fn a_patched_timeout_ends_no_later_than_the_longest_duration() {
    let mut session = session(CONFIG);
    session.renew(minute(20), REAL).unwrap();
    session
        .patch(timeout_of(110), &POLICY, minute(20), REAL)
        .unwrap();
    assert_eq!(session.expires_at, minute(120));
}

#[test]
fn a_timeout_larger_than_the_longest_duration_raises_it() {
    let mut session = session(CONFIG);
    session
        .patch(timeout_of(200), &POLICY, minute(20), REAL)
        .unwrap();
    assert_eq!(session.timeout.max_duration_minutes, 200);
    assert_eq!(session.expires_at, minute(200));
}

#[test]
fn a_patch_can_shorten_a_session() {
    let mut session = session(CONFIG);
    session
        .patch(timeout_of(10), &POLICY, minute(7), REAL)
        .unwrap();
    assert_eq!(session.expires_at, minute(10));
}

#[test]
fn a_patch_that_would_end_the_session_is_refused() {
    let mut session = session(CONFIG);
    let before = session.clone();
    for now in [minute(10), minute(20)] {
        let error = session
            .patch(timeout_of(10), &POLICY, now, REAL)
            .unwrap_err();
        assert_eq!(error.field, "timeoutMinutes");
        assert!(
            error.reason.contains("2024-01-15T10:40:00.000Z"),
            "{:?}",
            error.reason
        );
        assert_eq!(session, before);
    }
    session
        .patch(timeout_of(10), &POLICY, just_before(minute(10)), REAL)
        .unwrap();
}

#[test]
fn a_longest_duration_that_is_over_is_refused() {
    let mut session = session(CONFIG);
    session.renew(minute(25), REAL).unwrap();
    let before = session.clone();
    let error = session
        .patch(duration_of(40), &POLICY, minute(40), REAL)
        .unwrap_err();
    assert_eq!(error.field, "maxDurationMinutes");
    assert_eq!(session, before);
    session
        .patch(duration_of(40), &POLICY, just_before(minute(40)), REAL)
        .unwrap();
    assert_eq!(session.expires_at, minute(40));
}

#[test]
fn a_patch_out_of_bounds_changes_nothing() {
    let mut session = session(CONFIG);
    let before = session.clone();
    let patch = TimeoutOverrides {
        auto_renew: Some(false),
        ..timeout_of(1441)
    };
    let error = session.patch(patch, &POLICY, START, REAL).unwrap_err();
    assert_eq!(error.field, "timeoutMinutes");
    assert_eq!(session, before);
}

#[test]
fn a_raised_longest_duration_allows_another_renewal() {
    let mut session = session_at_its_end();
    session
        .patch(duration_of(240), &POLICY, minute(110), REAL)
        .unwrap();
    assert_eq!(session.expires_at, minute(130));
    session.renew(minute(110), REAL).unwrap();
    assert_eq!(session.expires_at, minute(140));
}

#[test]
fn a_session_cut_to_its_longest_duration_is_no_longer_renewed() {
    let mut session = session(CONFIG);
    session.renew(minute(10), REAL).unwrap();
    session
        .patch(duration_of(30), &POLICY, minute(20), REAL)
        .unwrap();
    assert_eq!(session.expires_at, minute(30));
    assert!(session.renew(minute(20), REAL).is_err());
}

#[test]
fn a_patched_warning_moves_only_the_warning() {
    let mut session = session(CONFIG);
    session
        .patch(warning_of(20), &POLICY, minute(9), REAL)
        .unwrap();
    assert_eq!(session.warn_at, minute(10));
    assert_eq!(session.expires_at, minute(30));
    assert!(!session.is_near_expiration(minute(9)));
    assert!(session.is_near_expiration(minute(10)));
}

// The stages of a life

#[test]
fn a_session_expires_and_is_gone_at_exact_instants() {
    let session = session(CONFIG);
    let table = [
        (START, LifeStage::Active),
        (just_before(minute(30)), LifeStage::Active),
        (minute(30), LifeStage::Expired),
        (just_before(minute(37)), LifeStage::Expired),
        (minute(37), LifeStage::Gone),
        (minute(100_000), LifeStage::Gone),
    ];
    for (now, expected) in table {
        assert_eq!(session.life_stage(now, RETENTION), expected, "{now}");
    }
}

#[test]
fn without_retention_a_session_is_gone_when_it_expires() {
    let session = session(CONFIG);
    let standing = |now| session.life_stage(now, Millis(0));
    assert_eq!(standing(just_before(minute(30))), LifeStage::Active);
    assert_eq!(standing(minute(30)), LifeStage::Gone);
}

#[test]
fn an_expired_session_gives_the_time_and_a_gone_one_is_not_found() {
    let session = session(CONFIG);
    assert_eq!(
        session.require_active(just_before(minute(30)), RETENTION),
        Ok(())
    );
    assert_eq!(
        session.require_active(minute(30), RETENTION),
        Err(RuleViolation::SessionExpired {
            session_id: session.id,
            expires_at: minute(30),
        })
    );
    assert_eq!(
        session.require_active(minute(37), RETENTION),
        Err(RuleViolation::SessionNotFound(session.id))
    );
}

#[test]
fn the_time_remaining_runs_down_to_zero_and_stays_there() {
    let session = session(CONFIG);
    assert_eq!(session.time_remaining(START), Millis(30 * MINUTE));
    assert_eq!(session.time_remaining(just_before(minute(30))), Millis(1));
    assert_eq!(session.time_remaining(minute(30)), Millis(0));
    assert_eq!(session.time_remaining(minute(31)), Millis(0));
}

#[test]
fn a_session_is_near_its_expiration_from_the_threshold_to_the_end() {
    let session = session(CONFIG);
    assert!(!session.is_near_expiration(START));
    assert!(!session.is_near_expiration(just_before(minute(25))));
    assert!(session.is_near_expiration(minute(25)));
    assert!(session.is_near_expiration(just_before(minute(30))));
    assert!(!session.is_near_expiration(minute(30)));
    assert!(!session.is_near_expiration(minute(31)));
}

#[test]
fn a_threshold_longer_than_the_timeout_makes_the_whole_life_near() {
    let session = session(TimeoutConfig {
        warning_threshold_minutes: 1440,
        ..CONFIG
    });
    assert!(session.is_near_expiration(START));
    assert!(session.is_near_expiration(just_before(minute(30))));
    assert!(!session.is_near_expiration(minute(30)));
}

// A clock that steps back

#[test]
fn a_clock_that_steps_back_moves_no_time_back() {
    let mut session = session(CONFIG);
    session.renew(minute(20), REAL).unwrap();
    session.renew(minute(10), REAL).unwrap();
    assert_eq!(session.last_activity, minute(20));
    assert_eq!(session.window_start, minute(20));
    assert_eq!(session.expires_at, minute(50));
    assert_eq!(session.renewal_count, 2);

    assert!(session.touch(minute(-60), REAL));
    assert_eq!(session.last_activity, minute(20));
    assert_eq!(session.expires_at, minute(50));
}

#[test]
fn a_patch_under_a_clock_that_stepped_back_still_counts_from_the_window() {
    let mut session = session(CONFIG);
    session.renew(minute(20), REAL).unwrap();
    session
        .patch(timeout_of(5), &POLICY, minute(10), REAL)
        .unwrap();
    assert_eq!(session.expires_at, minute(25));
}

// Other time scales

#[test]
fn at_a_scale_of_600_a_minute_is_a_tenth_of_a_second() {
    let scale = TimeScale::new(600);
    let at = |millis| START + Millis(millis);
    let mut session = Session::create(new_session(CONFIG), START, scale);
    assert_eq!(session.expires_at, at(3_000));
    assert_eq!(session.warn_at, at(2_500));

    session.renew(at(1_000), scale).unwrap();
    assert_eq!(session.expires_at, at(4_000));
    session
        .patch(timeout_of(60), &POLICY, at(1_500), scale)
        .unwrap();
    assert_eq!(session.expires_at, at(7_000));
    session.renew(at(6_999), scale).unwrap();
    assert_eq!(session.expires_at, at(12_000));

    let refused = session.renew(at(7_000), scale).unwrap_err();
    assert_eq!(refused.age, Millis(7_000));
    assert_eq!(refused.max_duration_minutes, 120);
}

#[rstest]
#[case(0, 60_000)]
#[case(1, 60_000)]
#[case(2, 30_000)]
#[case(60_000, 1)]
#[case(60_001, 1)]
#[case(u32::MAX, 1)]
fn a_scale_is_clamped_to_its_bounds(#[case] factor: u32, #[case] millis_of_a_minute: i64) {
    let minute = TimeScale::new(factor).minutes(1);
    assert_eq!(minute, Millis(millis_of_a_minute));
}

// Properties of random lives

/// A random session with the calls on it.
#[derive(Debug, Clone)]
struct Life {
    config: TimeoutConfig,
    time_scale: u32,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    when: When,
    call: Call,
}

#[derive(Debug, Clone, Copy)]
enum When {
    /// This many milliseconds of real time later; earlier if the clock steps back.
    Later(i64),
    /// At the last millisecond of the session's life.
    JustBeforeTheEnd,
    /// At the instant of its expiry.
    AtTheEnd,
}

#[derive(Debug, Clone, Copy)]
enum Call {
    Touch,
    Renew,
    Patch(TimeoutOverrides),
}

/// A step of a life with its outcome.
#[derive(Debug)]
struct Event {
    call: Call,
    now: Timestamp,
    before: Session,
    after: Session,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Touched,
    TouchedAndRenewed,
    Renewed,
    RenewalRefused,
    Patched,
    PatchRefused,
    /// The session had expired, so there was no call.
    Expired,
}

impl Life {
    fn scale(&self) -> TimeScale {
        TimeScale::new(self.time_scale)
    }

    /// The milliseconds that `minutes` take, computed independently.
    fn millis(&self, minutes: u32) -> i64 {
        i64::from(minutes) * MINUTE / i64::from(self.time_scale)
    }

    /// When a session should expire.
    fn end_of(&self, session: &Session) -> Timestamp {
        let window_end = session.window_start.0 + self.millis(session.timeout.timeout_minutes);
        Timestamp(window_end.min(self.longest_end_of(session).0))
    }

    fn longest_end_of(&self, session: &Session) -> Timestamp {
        Timestamp(session.created_at.0 + self.millis(session.timeout.max_duration_minutes))
    }

    fn begin(&self) -> Session {
        Session::create(new_session(self.config), START, self.scale())
    }

    /// Runs the steps and returns their outcomes.
    fn live(&self) -> Vec<Event> {
        let (mut session, mut now) = (self.begin(), START);
        let mut events = Vec::with_capacity(self.steps.len());
        for Step { when, call } in self.steps.iter().copied() {
            now = match when {
                When::Later(millis) => now + Millis(millis / i64::from(self.time_scale)),
                When::JustBeforeTheEnd => just_before(session.expires_at),
                When::AtTheEnd => session.expires_at,
            };
            let before = session.clone();
            let outcome = self.step(&mut session, now, call);
            events.push(Event {
                call,
                now,
                before,
                after: session.clone(),
                outcome,
            });
        }
        events
    }

    fn step(&self, session: &mut Session, now: Timestamp, call: Call) -> Outcome {
        if session.require_active(now, RETENTION).is_err() {
            return Outcome::Expired;
        }
        match call {
            Call::Touch if session.touch(now, self.scale()) => Outcome::TouchedAndRenewed,
            Call::Touch => Outcome::Touched,
            Call::Renew => match session.renew(now, self.scale()) {
                Ok(()) => Outcome::Renewed,
                Err(_) => Outcome::RenewalRefused,
            },
            Call::Patch(patch) => match session.patch(patch, &POLICY, now, self.scale()) {
                Ok(()) => Outcome::Patched,
                Err(_) => Outcome::PatchRefused,
            },
        }
    }
}

impl Event {
    /// A PATCH that moves neither the expiry nor the warning leaves an unpublished warning due.
    fn expected_schedule(&self) -> Timestamp {
        let ends = |session: &Session| (session.expires_at, session.warn_at);
        if self.outcome == Outcome::Patched && ends(&self.before) == ends(&self.after) {
            return self.before.scheduled_at;
        }
        self.now
    }

    fn is_renewal(&self) -> bool {
        matches!(self.outcome, Outcome::Renewed | Outcome::TouchedAndRenewed)
    }

    fn is_refused(&self) -> bool {
        matches!(
            self.outcome,
            Outcome::RenewalRefused | Outcome::PatchRefused | Outcome::Expired
        )
    }
}

fn any_config() -> impl Strategy<Value = TimeoutConfig> {
    let timeout = prop_oneof![5..=60_u32, 5..=1440_u32];
    let more = prop_oneof![Just(0), 0..=120_u32, 0..=1440_u32];
    let warning = prop_oneof![1..=30_u32, 1..=1440_u32];
    (timeout, any::<bool>(), more, warning).prop_map(|(timeout, auto_renew, more, warning)| {
        TimeoutConfig {
            timeout_minutes: timeout,
            auto_renew,
            max_duration_minutes: timeout + more,
            warning_threshold_minutes: warning,
        }
    })
}

/// Any PATCH, including one out of bounds.
fn any_patch() -> impl Strategy<Value = TimeoutOverrides> {
    let minutes = |range: std::ops::Range<i32>| {
        prop::option::of(prop_oneof![0..100_i32, range].prop_map(f64::from))
    };
    (
        minutes(0..1500),
        prop::option::of(any::<bool>()),
        minutes(-10..3000),
        minutes(-10..1500),
    )
        .prop_map(|(timeout, auto_renew, max, warning)| TimeoutOverrides {
            timeout_minutes: timeout,
            auto_renew,
            max_duration_minutes: max,
            warning_threshold_minutes: warning,
        })
}

fn any_step() -> impl Strategy<Value = Step> {
    let when = prop_oneof![
        8 => (0..20 * MINUTE).prop_map(When::Later),
        2 => Just(When::Later(0)),
        2 => (-60 * MINUTE..0).prop_map(When::Later),
        1 => (0..1440 * MINUTE).prop_map(When::Later),
        2 => Just(When::JustBeforeTheEnd),
        1 => Just(When::AtTheEnd),
    ];
    let call = prop_oneof![
        2 => Just(Call::Touch),
        2 => Just(Call::Renew),
        1 => any_patch().prop_map(Call::Patch),
    ];
    (when, call).prop_map(|(when, call)| Step { when, call })
}

fn any_life() -> impl Strategy<Value = Life> {
    let scale = prop_oneof![3 => Just(1), 1 => 1..=1000_u32, 1 => Just(TimeScale::MAX)];
    let steps = prop::collection::vec(any_step(), 0..40);
    (any_config(), scale, steps).prop_map(|(config, time_scale, steps)| Life {
        config,
        time_scale,
        steps,
    })
}

#[test]
fn the_random_lives_cover_all_outcomes() {
    let mut runner = TestRunner::deterministic();
    let mut outcomes = std::collections::BTreeMap::<Outcome, u32>::new();
    let mut renewals_after_a_step_back = 0;
    for _ in 0..256 {
        let life = any_life().new_tree(&mut runner).unwrap().current();
        for event in life.live() {
            *outcomes.entry(event.outcome).or_default() += 1;
            let stepped_back = event.now < event.before.window_start;
            renewals_after_a_step_back += u32::from(stepped_back && event.is_renewal());
        }
    }
    assert_eq!(outcomes.len(), 7, "{outcomes:?}");
    assert!(outcomes.values().all(|times| *times > 50), "{outcomes:?}");
    assert!(renewals_after_a_step_back > 50);
}

proptest! {
    #[test]
    fn no_session_outlives_its_longest_duration(life in any_life()) {
        let begun = life.begin();
        prop_assert!(begun.expires_at <= life.longest_end_of(&begun));
        for event in life.live() {
            prop_assert!(event.after.expires_at <= life.longest_end_of(&event.after), "{event:?}");
        }
    }

    #[test]
    fn a_session_ends_with_its_window_or_its_longest_duration(life in any_life()) {
        let begun = life.begin();
        prop_assert_eq!(begun.expires_at, life.end_of(&begun));
        for event in life.live() {
            prop_assert_eq!(event.after.expires_at, life.end_of(&event.after), "{:?}", event);
        }
    }

    #[test]
    fn only_a_renewal_or_a_patch_moves_the_end(life in any_life()) {
        for event in life.live() {
            let may_move = event.is_renewal() || event.outcome == Outcome::Patched;
            if may_move {
                prop_assert_eq!(event.after.scheduled_at, event.expected_schedule());
            } else {
                prop_assert_eq!(event.after.expires_at, event.before.expires_at);
                prop_assert_eq!(event.after.warn_at, event.before.warn_at);
                prop_assert_eq!(event.after.scheduled_at, event.before.scheduled_at);
            }
        }
    }

    #[test]
    fn a_renewal_never_shortens_a_session(life in any_life()) {
        for event in life.live().iter().filter(|event| event.is_renewal()) {
            prop_assert!(event.after.expires_at >= event.before.expires_at, "{event:?}");
        }
    }

    #[test]
    fn a_refused_call_changes_nothing(life in any_life()) {
        for event in life.live().iter().filter(|event| event.is_refused()) {
            prop_assert_eq!(&event.after, &event.before);
        }
    }

    #[test]
    fn no_time_of_a_session_goes_back(life in any_life()) {
        for Event { before, after, .. } in life.live() {
            prop_assert_eq!(after.created_at, before.created_at);
            prop_assert!(after.last_activity >= before.last_activity);
            prop_assert!(after.window_start >= before.window_start);
            prop_assert!(after.window_start <= after.last_activity);
        }
    }

    #[test]
    fn each_renewal_counts_once_and_nothing_else_does(life in any_life()) {
        for event in life.live() {
            let grown = event.after.renewal_count - event.before.renewal_count;
            prop_assert_eq!(grown, u32::from(event.is_renewal()), "{:?}", event);
        }
    }

    #[test]
    fn a_renewal_is_refused_only_at_the_longest_duration(life in any_life()) {
        for event in life.live() {
            let is_at_its_end = event.before.expires_at == life.longest_end_of(&event.before);
            match event.outcome {
                Outcome::Renewed => prop_assert!(!is_at_its_end, "{event:?}"),
                Outcome::RenewalRefused => prop_assert!(is_at_its_end, "{event:?}"),
                _ => {}
            }
        }
    }

    #[test]
    fn activity_renews_exactly_if_auto_renew_is_set_and_the_limit_allows_it(life in any_life()) {
        for event in life.live() {
            let is_at_its_end = event.before.expires_at == life.longest_end_of(&event.before);
            let renews = event.before.timeout.auto_renew && !is_at_its_end;
            match event.outcome {
                Outcome::TouchedAndRenewed => prop_assert!(renews, "{event:?}"),
                Outcome::Touched => prop_assert!(!renews, "{event:?}"),
                _ => {}
            }
        }
    }

    #[test]
    fn activity_is_recorded_whether_or_not_it_renews(life in any_life()) {
        for event in life.live() {
            let (before, after) = (event.before, event.after);
            match event.outcome {
                Outcome::Touched => {
                    let last_activity = before.last_activity.max(event.now);
                    prop_assert_eq!(after, Session { last_activity, ..before });
                }
                Outcome::TouchedAndRenewed | Outcome::Renewed => {
                    prop_assert_eq!(after.last_activity, before.last_activity.max(event.now));
                    prop_assert_eq!(after.window_start, before.window_start.max(event.now));
                }
                _ => {}
            }
        }
    }

    #[test]
    fn a_renewal_changes_no_timeouts(life in any_life()) {
        for event in life.live().iter().filter(|event| event.is_renewal()) {
            prop_assert_eq!(event.after.timeout, event.before.timeout);
        }
    }

    #[test]
    fn a_patch_changes_only_the_timeouts_and_the_expiry(life in any_life()) {
        for event in life.live() {
            let (Call::Patch(patch), Outcome::Patched) = (event.call, event.outcome) else {
                continue;
            };
            let expected = Session {
                timeout: POLICY.patch(event.before.timeout, patch).unwrap(),
                expires_at: event.after.expires_at,
                warn_at: event.after.warn_at,
                scheduled_at: event.expected_schedule(),
                ..event.before
            };
            prop_assert_eq!(event.after, expected);
        }
    }

    #[test]
    fn a_patch_is_refused_exactly_if_it_is_out_of_bounds_or_ends_the_session(
        life in any_life(),
    ) {
        for event in life.live() {
            let Call::Patch(patch) = event.call else {
                continue;
            };
            let lives_on = POLICY.patch(event.before.timeout, patch).is_ok_and(|timeout| {
                life.end_of(&Session { timeout, ..event.before.clone() }) > event.now
            });
            match event.outcome {
                Outcome::Patched => prop_assert!(lives_on, "{event:?}"),
                Outcome::PatchRefused => prop_assert!(!lives_on, "{event:?}"),
                _ => {}
            }
        }
    }

    #[test]
    fn nothing_changes_the_user_and_the_agent(life in any_life()) {
        let begun = life.begin();
        if let Some(Event { after, .. }) = life.live().pop() {
            prop_assert_eq!(after.id, begun.id);
            prop_assert_eq!(after.agent_id, begun.agent_id);
            prop_assert_eq!(after.user_id, begun.user_id);
            prop_assert_eq!(after.metadata, begun.metadata);
            prop_assert_eq!(after.create_key, begun.create_key);
        }
    }

    #[test]
    fn the_stage_depends_only_on_the_time(
        life in any_life(),
        retention in 0..100 * MINUTE,
        offset in -100 * MINUTE..200 * MINUTE,
    ) {
        let session = life.live().pop().map_or_else(|| life.begin(), |event| event.after);
        let end = session.expires_at.0;
        let gone = end + retention;
        for now in [end - 1, end, end + 1, gone - 1, gone, gone + 1, end + offset] {
            let expected = if now < end {
                LifeStage::Active
            } else if now < end + retention {
                LifeStage::Expired
            } else {
                LifeStage::Gone
            };
            let (now, retention) = (Timestamp(now), Millis(retention));
            prop_assert_eq!(session.life_stage(now, retention), expected);
            let is_active = session.require_active(now, retention).is_ok();
            prop_assert_eq!(is_active, expected == LifeStage::Active);
            prop_assert_eq!(is_active, session.time_remaining(now) > Millis(0));
        }
    }

    #[test]
    fn near_expiration_is_when_the_time_left_is_within_the_threshold(
        life in any_life(),
        offset in -1500 * MINUTE..100 * MINUTE,
    ) {
        let session = life.live().pop().map_or_else(|| life.begin(), |event| event.after);
        let threshold = life.millis(session.timeout.warning_threshold_minutes);
        let end = session.expires_at.0;
        let warning = end - threshold;
        for now in [warning - 1, warning, warning + 1, end - 1, end, end + 1, end + offset] {
            let remaining = (end - now).max(0);
            let now = Timestamp(now);
            prop_assert_eq!(session.time_remaining(now), Millis(remaining));
            let is_near = 0 < remaining && remaining <= threshold;
            prop_assert_eq!(session.is_near_expiration(now), is_near);
        }
    }

    #[test]
    fn a_scaled_life_has_the_same_steps_in_less_time(
        config in any_config(),
        factor in 1..=TimeScale::MAX,
    ) {
        let life = Life { config, time_scale: factor, steps: Vec::new() };
        let session = life.begin();
        let lived = session.expires_at.since(session.created_at);
        prop_assert_eq!(lived, Millis(life.millis(config.timeout_minutes)));
        // In scaled minutes it is as long.
        prop_assert_eq!(
            life.scale().minutes_in(lived),
            i64::from(config.timeout_minutes)
        );
    }
}
