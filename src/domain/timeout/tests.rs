use super::*;
use proptest::prelude::*;
use rstest::rstest;

const MIN: u32 = 5;
const MAX: u32 = 1440;

/// A policy of different numbers, so that a test can tell them apart.
const POLICY: TimeoutPolicy = TimeoutPolicy {
    min_timeout_minutes: MIN,
    max_timeout_minutes: MAX,
    defaults: config(30, true, 720, 6),
};

/// The timeouts of a session before a PATCH, different from the defaults.
const CURRENT: TimeoutConfig = config(60, false, 600, 10);

const NOTHING: TimeoutOverrides = TimeoutOverrides {
    timeout_minutes: None,
    auto_renew: None,
    max_duration_minutes: None,
    warning_threshold_minutes: None,
};

const fn config(timeout: u32, auto_renew: bool, max: u32, warning: u32) -> TimeoutConfig {
    TimeoutConfig {
        timeout_minutes: timeout,
        auto_renew,
        max_duration_minutes: max,
        warning_threshold_minutes: warning,
    }
}

/// A request for all of `config`.
fn all_of(config: TimeoutConfig) -> TimeoutOverrides {
    TimeoutOverrides {
        timeout_minutes: Some(config.timeout_minutes.into()),
        auto_renew: Some(config.auto_renew),
        max_duration_minutes: Some(config.max_duration_minutes.into()),
        warning_threshold_minutes: Some(config.warning_threshold_minutes.into()),
    }
}

fn timeout(minutes: f64) -> TimeoutOverrides {
    TimeoutOverrides {
        timeout_minutes: Some(minutes),
        ..NOTHING
    }
}

fn max_duration(minutes: f64) -> TimeoutOverrides {
    TimeoutOverrides {
        max_duration_minutes: Some(minutes),
        ..NOTHING
    }
}

fn warning(minutes: f64) -> TimeoutOverrides {
    TimeoutOverrides {
        warning_threshold_minutes: Some(minutes),
        ..NOTHING
    }
}

fn auto_renew(flag: bool) -> TimeoutOverrides {
    TimeoutOverrides {
        auto_renew: Some(flag),
        ..NOTHING
    }
}

/// The timeouts of a new session whose agent sets none.
fn created(request: TimeoutOverrides) -> TimeoutConfig {
    POLICY.resolve(request, NOTHING)
}

/// The timeouts of [`CURRENT`] after a PATCH.
fn patched(patch: TimeoutOverrides) -> Result<TimeoutConfig, InvalidTimeout> {
    POLICY.patch(CURRENT, patch)
}

/// Whether timeouts are within all bounds of `policy`.
fn is_within_bounds(config: TimeoutConfig, policy: &TimeoutPolicy) -> bool {
    let (min, max) = (policy.min_timeout_minutes, policy.max_timeout_minutes);
    (min..=max).contains(&config.timeout_minutes)
        && (config.timeout_minutes..=2 * max).contains(&config.max_duration_minutes)
        && (1..=max).contains(&config.warning_threshold_minutes)
}

// Precedence

#[test]
fn a_request_without_timeouts_gets_the_defaults() {
    assert_eq!(created(NOTHING), POLICY.defaults);
}

#[test]
fn an_agents_setting_overrides_the_default_and_a_request_overrides_both() {
    let (of_agent, asked) = (config(45, false, 500, 7), config(50, true, 400, 8));
    assert_eq!(POLICY.resolve(NOTHING, all_of(of_agent)), of_agent);
    assert_eq!(POLICY.resolve(all_of(asked), all_of(of_agent)), asked);
}

#[test]
fn each_field_falls_back_on_its_own() {
    let of_agent = TimeoutOverrides {
        timeout_minutes: Some(45.0),
        ..max_duration(500.0)
    };
    let asked = TimeoutOverrides {
        auto_renew: Some(false),
        ..timeout(50.0)
    };
    let expected = config(50, false, 500, 6);
    assert_eq!(POLICY.resolve(asked, of_agent), expected);
}

// Bounds

#[rstest]
#[case(-0.0, 5)]
#[case(-1e300, 5)]
#[case(4.0, 5)]
#[case(5.0, 5)]
#[case(1440.0, 1440)]
#[case(1441.0, 1440)]
#[case(4_294_967_326.0, 1440)]
#[case(1e300, 1440)]
fn a_timeout_out_of_bounds_is_clamped_on_create_and_refused_on_patch(
    #[case] minutes: f64,
    #[case] clamped: u32,
) {
    assert_eq!(created(timeout(minutes)).timeout_minutes, clamped);
    let is_within = (5.0..=1440.0).contains(&minutes);
    let patched = patched(timeout(minutes));
    assert_eq!(patched.is_ok(), is_within);
    assert_eq!(POLICY.check(timeout(minutes)).is_ok(), is_within);
}

#[rstest]
#[case(-1.0, 60, 1)]
#[case(0.0, 60, 1)]
#[case(59.0, 60, 59)]
#[case(60.0, 60, 60)]
#[case(1441.0, 1441, 1440)]
#[case(2880.0, 2880, 1440)]
#[case(2881.0, 2880, 1440)]
#[case(1e300, 2880, 1440)]
fn the_other_numbers_are_clamped_on_create_and_on_patch(
    #[case] minutes: f64,
    #[case] max: u32,
    #[case] threshold: u32,
) {
    let asked = TimeoutOverrides {
        timeout_minutes: Some(60.0),
        max_duration_minutes: Some(minutes),
        warning_threshold_minutes: Some(minutes),
        auto_renew: None,
    };
    for clamped in [created(asked), patched(asked).unwrap()] {
        assert_eq!(clamped.max_duration_minutes, max);
        assert_eq!(clamped.warning_threshold_minutes, threshold);
    }
}

#[test]
fn the_longest_duration_is_never_shorter_than_the_timeout() {
    let asked = TimeoutOverrides {
        max_duration_minutes: Some(100.0),
        ..timeout(300.0)
    };
    assert_eq!(created(asked).max_duration_minutes, 300);
    assert_eq!(patched(asked).unwrap().max_duration_minutes, 300);
    assert_eq!(created(timeout(1000.0)).max_duration_minutes, 1000);
}

#[test]
fn the_bounds_apply_to_the_merged_values_not_level_by_level() {
    // The agent's timeout exceeds the default duration, but the request overrides it.
    let config = POLICY.resolve(timeout(50.0), timeout(1000.0));
    assert_eq!(config.timeout_minutes, 50);
    assert_eq!(config.max_duration_minutes, 720);
}

#[test]
fn defaults_out_of_bounds_are_clamped_too() {
    let policy = TimeoutPolicy {
        min_timeout_minutes: 10,
        max_timeout_minutes: 60,
        defaults: config(10_080, false, 20_160, 0),
    };
    let expected = config(60, false, 120, 1);
    assert_eq!(policy.resolve(NOTHING, NOTHING), expected);
}

#[rstest]
#[case::below(4.0, "not 4")]
#[case::above(1441.0, "not 1441")]
#[case::far_below(-30.0, "not -30")]
#[case::far_above(1e300, "not 1e300")]
fn a_patched_timeout_out_of_bounds_is_refused_with_the_allowed_range(
    #[case] minutes: f64,
    #[case] found: &str,
) {
    let error = patched(timeout(minutes)).unwrap_err();
    assert_eq!(error.field, "timeoutMinutes");
    let said = format!("timeoutMinutes must be between 5 and 1440, {found}");
    assert_eq!(error.reason, said);
}

// PATCH

#[rstest]
#[case(NOTHING, CURRENT)]
#[case(timeout(90.0), TimeoutConfig { timeout_minutes: 90, ..CURRENT })]
#[case(auto_renew(true), TimeoutConfig { auto_renew: true, ..CURRENT })]
#[case(max_duration(90.0), TimeoutConfig { max_duration_minutes: 90, ..CURRENT })]
#[case(warning(90.0), TimeoutConfig { warning_threshold_minutes: 90, ..CURRENT })]
fn a_patch_changes_only_the_field_that_it_names(
    #[case] patch: TimeoutOverrides,
    #[case] expected: TimeoutConfig,
) {
    assert_eq!(patched(patch), Ok(expected));
}

#[test]
fn a_larger_timeout_raises_the_longest_duration() {
    for (minutes, max) in [(700.0, 700), (600.0, 600), (5.0, 600)] {
        let patched = patched(timeout(minutes)).unwrap();
        assert_eq!(patched.max_duration_minutes, max);
    }
}

#[test]
fn a_patched_duration_shorter_than_the_current_timeout_becomes_that_timeout() {
    let patched = patched(max_duration(7.0)).unwrap();
    let found = (patched.timeout_minutes, patched.max_duration_minutes);
    assert_eq!(found, (60, 60));
}

#[test]
fn a_patch_clamps_old_values_to_the_current_bounds() {
    let policy = TimeoutPolicy {
        min_timeout_minutes: 10,
        max_timeout_minutes: 100,
        ..POLICY
    };
    let old = config(1000, false, 2000, 500);
    let expected = config(100, true, 200, 100);
    assert_eq!(policy.patch(old, auto_renew(true)), Ok(expected));
}

// Properties of random requests

/// Any policy that the settings can give.
fn any_policy() -> impl Strategy<Value = TimeoutPolicy> {
    let minutes = || 0..=30_000_u32;
    let defaults = (minutes(), any::<bool>(), minutes(), minutes());
    (1..=60_u32, 60..=10_080_u32, defaults).prop_map(|(min, max, defaults)| TimeoutPolicy {
        min_timeout_minutes: min,
        max_timeout_minutes: max,
        defaults: config(defaults.0, defaults.1, defaults.2, defaults.3),
    })
}

/// Any number that a parser can give: finite and truncated.
fn any_minutes() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        Just(None),
        (-100..20_000_i32).prop_map(|minutes| Some(f64::from(minutes))),
        prop::num::f64::NORMAL.prop_map(|minutes| Some(minutes.trunc())),
    ]
}

fn any_overrides() -> impl Strategy<Value = TimeoutOverrides> {
    let minutes = any_minutes;
    let fields = (minutes(), any::<Option<bool>>(), minutes(), minutes());
    fields.prop_map(|(timeout, auto_renew, max, warning)| TimeoutOverrides {
        timeout_minutes: timeout,
        auto_renew,
        max_duration_minutes: max,
        warning_threshold_minutes: warning,
    })
}

proptest! {
    #[test]
    fn every_new_session_is_within_the_bounds(
        policy in any_policy(),
        asked in any_overrides(),
        of_agent in any_overrides(),
    ) {
        let config = policy.resolve(asked, of_agent);
        prop_assert!(is_within_bounds(config, &policy), "{config:?}");
    }

    #[test]
    fn every_patched_session_is_within_the_bounds(
        policy in any_policy(),
        // A session may be older than the policy.
        older in any_policy(),
        patch in any_overrides(),
    ) {
        let present = older.resolve(NOTHING, NOTHING);
        match policy.patch(present, patch) {
            Ok(config) => prop_assert!(is_within_bounds(config, &policy), "{config:?}"),
            Err(error) => {
                let minutes = patch.timeout_minutes.unwrap();
                let allowed = f64::from(policy.min_timeout_minutes)
                    ..=f64::from(policy.max_timeout_minutes);
                prop_assert!(!allowed.contains(&minutes), "{minutes}");
                prop_assert_eq!(error.field, "timeoutMinutes");
            }
        }
    }

    #[test]
    fn the_request_comes_before_the_agent_and_the_agent_before_the_default(
        asked in any_overrides(),
        of_agent in any_overrides(),
    ) {
        let by_level = [asked, of_agent];
        let config = POLICY.resolve(asked, of_agent);

        let pick = |of: fn(&TimeoutOverrides) -> Option<f64>, default: u32| {
            by_level.iter().find_map(of).unwrap_or(f64::from(default))
        };
        let timeout = pick(|level| level.timeout_minutes, 30).clamp(5.0, 1440.0);
        let max = pick(|level| level.max_duration_minutes, 720).clamp(timeout, 2880.0);
        let warning = pick(|level| level.warning_threshold_minutes, 6).clamp(1.0, 1440.0);
        let auto_renew = by_level.iter().find_map(|level| level.auto_renew).unwrap_or(true);
        let expected = TimeoutOverrides {
            timeout_minutes: Some(timeout),
            auto_renew: Some(auto_renew),
            max_duration_minutes: Some(max),
            warning_threshold_minutes: Some(warning),
        };
        prop_assert_eq!(all_of(config), expected);
    }

    #[test]
    fn a_patch_does_not_change_absent_fields(patch in any_overrides()) {
        let Ok(config) = patched(patch) else {
            return Ok(());
        };
        if patch.timeout_minutes.is_none() {
            prop_assert_eq!(config.timeout_minutes, CURRENT.timeout_minutes);
        }
        if patch.auto_renew.is_none() {
            prop_assert_eq!(config.auto_renew, CURRENT.auto_renew);
        }
        if patch.max_duration_minutes.is_none() {
            let raised = CURRENT.max_duration_minutes.max(config.timeout_minutes);
            prop_assert_eq!(config.max_duration_minutes, raised);
        }
        if patch.warning_threshold_minutes.is_none() {
            prop_assert_eq!(config.warning_threshold_minutes, CURRENT.warning_threshold_minutes);
        }
    }

    #[test]
    fn a_patch_is_idempotent(patch in any_overrides()) {
        if let Ok(once) = patched(patch) {
            prop_assert_eq!(POLICY.patch(once, patch), Ok(once));
        }
    }

    #[test]
    fn minutes_within_the_bounds_are_not_changed(
        timeout in MIN..=MAX,
        more in 0..=MAX,
        warning in 1..=MAX,
        auto_renew: bool,
    ) {
        let expected = config(timeout, auto_renew, timeout + more, warning);
        prop_assert_eq!(created(all_of(expected)), expected);
        prop_assert_eq!(patched(all_of(expected)), Ok(expected));
    }
}
