//! How the timeouts of requests and character files are read and resolved.

use std::path::Path;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Map, Value, json};

use super::super::TimeoutRequest;
use crate::agents::character::Character;
use crate::domain::time::Timestamp;
use crate::domain::timeout::{InvalidTimeout, TimeoutConfig, TimeoutOverrides, TimeoutPolicy};

const TIMEOUT: &str = "timeoutMinutes";
const AUTO_RENEW: &str = "autoRenew";
const MAX_DURATION: &str = "maxDurationMinutes";
const WARNING: &str = "warningThresholdMinutes";

const MIN: u32 = 5;
const MAX: u32 = 1440;

/// Its numbers are distinct, so that a test can tell which one was used.
const POLICY: TimeoutPolicy = TimeoutPolicy {
    min_timeout_minutes: MIN,
    max_timeout_minutes: MAX,
    defaults: TimeoutConfig {
        timeout_minutes: 30,
        auto_renew: true,
        max_duration_minutes: 720,
        warning_threshold_minutes: 6,
    },
};

/// A session's timeouts before a PATCH. None of them is a default.
const PRESENT: TimeoutConfig = TimeoutConfig {
    timeout_minutes: 60,
    auto_renew: false,
    max_duration_minutes: 600,
    warning_threshold_minutes: 10,
};

const NUMBER_FIELDS: [&str; 3] = [TIMEOUT, MAX_DURATION, WARNING];

/// The fields and their names in a character file.
const AGENT_FIELDS: [(&str, &str); 4] = [
    (TIMEOUT, "SESSION_TIMEOUT_MINUTES"),
    (AUTO_RENEW, "SESSION_AUTO_RENEW"),
    (MAX_DURATION, "SESSION_MAX_DURATION_MINUTES"),
    (WARNING, "SESSION_WARNING_THRESHOLD_MINUTES"),
];

fn read(fields: Value) -> Result<TimeoutOverrides, InvalidTimeout> {
    serde_json::from_value::<TimeoutRequest>(fields)
        .unwrap()
        .validate()
}

fn request(fields: Value) -> TimeoutOverrides {
    read(fields).unwrap()
}

fn refused(fields: Value) -> InvalidTimeout {
    read(fields).unwrap_err()
}

#[allow(clippy::needless_pass_by_value)]
fn agent(settings: Value) -> TimeoutOverrides {
    let file = json!({ "name": "Ada", "settings": settings }).to_string();
    let character = Character::parse(Path::new("ada.json"), &file, Timestamp(0));
    character.unwrap().timeouts
}

/// Returns the timeouts of a session with `fields` and an agent without settings.
fn created(fields: Value) -> TimeoutConfig {
    POLICY.resolve(request(fields), TimeoutOverrides::default())
}

/// Returns the timeouts of [`PRESENT`] after a PATCH of `fields`.
fn patched(fields: Value) -> Result<TimeoutConfig, InvalidTimeout> {
    POLICY.patch(PRESENT, request(fields))
}

#[rstest]
#[case::not_a_number("abc")]
#[case::not_a_number("NaN")]
#[case::infinity("Infinity")]
#[case::minus_infinity("-Infinity")]
#[case::thousands("1,000")]
#[case::two_points("12.34.56")]
#[case::too_large("10e308")]
#[case::with_a_unit("30min")]
fn a_number_that_is_not_finite_falls_back_level_by_level(#[case] text: &str) {
    let asked = request(json!({
        "timeoutMinutes": text,
        "maxDurationMinutes": text,
        "warningThresholdMinutes": text,
    }));
    let clear = agent(json!({
        "SESSION_TIMEOUT_MINUTES": 45,
        "SESSION_MAX_DURATION_MINUTES": 500,
        "SESSION_WARNING_THRESHOLD_MINUTES": 7,
    }));
    let expected = TimeoutConfig {
        timeout_minutes: 45,
        auto_renew: true,
        max_duration_minutes: 500,
        warning_threshold_minutes: 7,
    };
    assert_eq!(POLICY.resolve(asked, clear), expected, "to the agent");

    let unclear = agent(json!({
        "SESSION_TIMEOUT_MINUTES": text,
        "SESSION_MAX_DURATION_MINUTES": text,
        "SESSION_WARNING_THRESHOLD_MINUTES": text,
    }));
    assert_eq!(
        POLICY.resolve(asked, unclear),
        POLICY.defaults,
        "to the default"
    );
    assert_eq!(POLICY.patch(PRESENT, asked), Ok(PRESENT), "to the present");
}

#[rstest]
#[case::null(json!(null))]
#[case::empty(json!(""))]
#[case::blank(json!("  "))]
#[case::other_white_space(json!("\t\n\u{a0}\u{feff}"))]
fn null_and_blank_text_are_absent(#[case] nothing: Value) {
    for field in NUMBER_FIELDS {
        let asked = json!({ field: nothing });
        assert_eq!(
            request(asked.clone()),
            TimeoutOverrides::default(),
            "{field}"
        );
        assert_eq!(created(asked.clone()), POLICY.defaults, "{field}");
        assert_eq!(patched(asked), Ok(PRESENT), "{field}");
    }
}

#[test]
fn a_null_auto_renew_is_absent() {
    let settings = agent(json!({ "SESSION_AUTO_RENEW": false }));
    let asked = request(json!({ "autoRenew": null }));
    assert!(!POLICY.resolve(asked, settings).auto_renew);
    assert_eq!(patched(json!({ "autoRenew": null })), Ok(PRESENT));
}

#[test]
fn unknown_fields_are_ignored() {
    let asked = json!({ "timeout": 99, "TimeoutMinutes": [], "SESSION_TIMEOUT_MINUTES": {} });
    assert_eq!(request(asked), TimeoutOverrides::default());
}

// What JavaScript's Number() makes of a value

/// The result of a `timeoutMinutes`.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    /// It is as good as not there.
    Absent,
    /// It is taken, on create and on PATCH.
    Taken(u32),
    /// It is out of bounds: clamped on create, refused on PATCH.
    Outside(u32),
}
use Outcome::{Absent, Outside, Taken};

#[rstest]
#[case(json!(null), Absent)]
#[case(json!(""), Absent)]
#[case(json!("  "), Absent)]
#[case(json!("1,000"), Absent)]
#[case(json!("12.34.56"), Absent)]
#[case(json!("10e308"), Absent)]
#[case(json!("Infinity"), Absent)]
#[case(json!("-Infinity"), Absent)]
#[case(json!("infinity"), Absent)]
#[case(json!("inf"), Absent)]
#[case(json!("nan"), Absent)]
#[case(json!("1_000"), Absent)]
#[case(json!("1 000"), Absent)]
#[case(json!("60n"), Absent)]
#[case(json!("0x"), Absent)]
#[case(json!("-0x10"), Absent)]
#[case(json!("٣٠"), Absent)]
#[case(json!("0x10"), Taken(16))]
#[case(json!("0XfF"), Taken(255))]
#[case(json!("0o17"), Taken(15))]
#[case(json!("0b1010"), Taken(10))]
#[case(json!("010"), Taken(10))]
#[case(json!("1e2"), Taken(100))]
#[case(json!("1.5E+2"), Taken(150))]
#[case(json!("600e-1"), Taken(60))]
#[case(json!(" 42\n"), Taken(42))]
#[case(json!("+42"), Taken(42))]
#[case(json!("42."), Taken(42))]
#[case(json!(12.9), Taken(12))]
#[case(json!("12.9"), Taken(12))]
#[case(json!(5), Taken(5))]
#[case(json!(5.999), Taken(5))]
#[case(json!(1440), Taken(1440))]
#[case(json!(1440.9), Taken(1440))]
#[case(json!("1440.9"), Taken(1440))]
#[case(json!(4.999), Outside(5))]
#[case(json!(0), Outside(5))]
#[case(json!("0"), Outside(5))]
#[case(json!("-0"), Outside(5))]
#[case(json!(-0.0), Outside(5))]
#[case(json!(".5"), Outside(5))]
#[case(json!(-12.9), Outside(5))]
#[case(json!("-60"), Outside(5))]
#[case(json!(i64::MIN), Outside(5))]
#[case(json!(1441), Outside(1440))]
#[case(json!("1441"), Outside(1440))]
#[case(json!(4_294_967_326_u64), Outside(1440))]
#[case(json!(u64::MAX), Outside(1440))]
#[case(json!(1e300), Outside(1440))]
#[case(json!("1e300"), Outside(1440))]
fn a_timeout_is_read_as_javascript_reads_it(#[case] value: Value, #[case] outcome: Outcome) {
    let asked = json!({ "timeoutMinutes": value });
    let settings = agent(json!({ "SESSION_TIMEOUT_MINUTES": 45 }));
    let on_create = POLICY.resolve(request(asked.clone()), settings);
    let on_patch = patched(asked);
    match outcome {
        Absent => {
            assert_eq!(on_create.timeout_minutes, 45);
            assert_eq!(on_patch, Ok(PRESENT));
        }
        Taken(minutes) => {
            assert_eq!(on_create.timeout_minutes, minutes);
            assert_eq!(on_patch.unwrap().timeout_minutes, minutes);
        }
        Outside(clamped) => {
            assert_eq!(on_create.timeout_minutes, clamped);
            assert_eq!(on_patch.unwrap_err().field, "timeoutMinutes");
        }
    }
}

#[rstest]
#[case(json!(null), None)]
#[case(json!(""), None)]
#[case(json!("  "), None)]
#[case(json!("1,000"), None)]
#[case(json!("12.34.56"), None)]
#[case(json!("10e308"), None)]
#[case(json!("Infinity"), None)]
#[case(json!("0x50"), Some((80, 80)))]
#[case(json!("070"), Some((70, 70)))]
#[case(json!("1e2"), Some((100, 100)))]
#[case(json!(100.9), Some((100, 100)))]
#[case(json!("-0"), Some((60, 1)))]
#[case(json!(0.9), Some((60, 1)))]
#[case(json!(-1), Some((60, 1)))]
#[case(json!(1), Some((60, 1)))]
#[case(json!(59), Some((60, 59)))]
#[case(json!(60), Some((60, 60)))]
#[case(json!(1440), Some((1440, 1440)))]
#[case(json!(1441), Some((1441, 1440)))]
#[case(json!(2880), Some((2880, 1440)))]
#[case(json!(2880.9), Some((2880, 1440)))]
#[case(json!(2881), Some((2880, 1440)))]
#[case(json!(1e300), Some((2880, 1440)))]
fn the_other_numbers_are_clamped_on_create_and_on_patch(
    #[case] value: Value,
    #[case] max_and_warning: Option<(u32, u32)>,
) {
    let asked = |field: &str| json!({ "timeoutMinutes": 60, field: value });

    let on_create = created(asked(MAX_DURATION)).max_duration_minutes;
    assert_eq!(on_create, max_and_warning.map_or(720, |(max, _)| max));
    let on_create = created(asked(WARNING)).warning_threshold_minutes;
    assert_eq!(on_create, max_and_warning.map_or(6, |(_, warning)| warning));

    let on_patch = patched(asked(MAX_DURATION)).unwrap().max_duration_minutes;
    assert_eq!(on_patch, max_and_warning.map_or(600, |(max, _)| max));
    let on_patch = patched(asked(WARNING)).unwrap().warning_threshold_minutes;
    assert_eq!(on_patch, max_and_warning.map_or(10, |(_, warning)| warning));
}

// Wrong JSON types

#[rstest]
fn a_wrong_type_for_a_number_is_refused_by_name(
    #[values(TIMEOUT, MAX_DURATION, WARNING)] field: &'static str,
    #[values(
        (json!(true), "a boolean"),
        (json!(false), "a boolean"),
        (json!([]), "an array"),
        (json!([30]), "an array"),
        (json!({}), "an object"),
        (json!({ "minutes": 30 }), "an object"),
    )]
    wrong: (Value, &str),
) {
    let (value, found) = wrong;
    let error = refused(json!({ field: value }));
    assert_eq!(error.field, field);
    assert!(error.reason.contains(field), "{:?}", error.reason);
    assert!(error.reason.contains(found), "{:?}", error.reason);
}

#[rstest]
#[case(json!("true"), "a string")]
#[case(json!("false"), "a string")]
#[case(json!(""), "a string")]
#[case(json!(1), "a number")]
#[case(json!(0), "a number")]
#[case(json!([true]), "an array")]
#[case(json!({}), "an object")]
fn auto_renew_is_a_boolean_or_null(#[case] value: Value, #[case] found: &str) {
    let error = refused(json!({ "autoRenew": value }));
    assert_eq!(error.field, "autoRenew");
    assert!(error.reason.contains("autoRenew"), "{:?}", error.reason);
    assert!(error.reason.contains(found), "{:?}", error.reason);
}

#[test]
fn of_several_wrong_fields_the_first_documented_one_is_named() {
    let documented = [TIMEOUT, AUTO_RENEW, MAX_DURATION, WARNING];
    // The order of the keys does not matter.
    for reversed in [false, true] {
        for first in 0..documented.len() {
            let mut wrong = documented[first..].to_vec();
            if reversed {
                wrong.reverse();
            }
            let fields: Map<String, Value> = wrong
                .into_iter()
                .map(|field| (field.to_owned(), json!([])))
                .collect();
            assert_eq!(refused(Value::Object(fields)).field, documented[first]);
        }
    }
}

#[test]
fn a_wrong_type_is_named_after_unreadable_numbers() {
    let fields = json!({
        "timeoutMinutes": "abc",
        "autoRenew": null,
        "maxDurationMinutes": "",
        "warningThresholdMinutes": false,
    });
    assert_eq!(refused(fields).field, "warningThresholdMinutes");
}

// Agent settings

#[rstest]
#[case::a_number(json!(45), Some(45.0))]
#[case::a_fraction(json!(45.9), Some(45.0))]
#[case::text(json!("45"), Some(45.0))]
#[case::padded_text(json!(" 45.9 "), Some(45.0))]
#[case::hexadecimal(json!("0x2D"), Some(45.0))]
#[case::null(json!(null), None)]
#[case::blank(json!("  "), None)]
#[case::not_a_number(json!("half an hour"), None)]
#[case::too_large(json!("10e308"), None)]
#[case::a_boolean(json!(true), None)]
#[case::an_array(json!([45]), None)]
#[case::an_object(json!({ "minutes": 45 }), None)]
fn an_agents_number_is_read_if_valid(#[case] value: Value, #[case] read: Option<f64>) {
    assert_eq!(
        agent(json!({ "SESSION_TIMEOUT_MINUTES": value })),
        TimeoutOverrides {
            timeout_minutes: read,
            ..TimeoutOverrides::default()
        }
    );
    assert_eq!(
        agent(json!({ "SESSION_MAX_DURATION_MINUTES": value })),
        TimeoutOverrides {
            max_duration_minutes: read,
            ..TimeoutOverrides::default()
        }
    );
    assert_eq!(
        agent(json!({ "SESSION_WARNING_THRESHOLD_MINUTES": value })),
        TimeoutOverrides {
            warning_threshold_minutes: read,
            ..TimeoutOverrides::default()
        }
    );
}

#[rstest]
#[case(json!(true), Some(true))]
#[case(json!(false), Some(false))]
#[case(json!("true"), Some(true))]
#[case(json!("false"), Some(false))]
#[case(json!(" TRUE "), Some(true))]
#[case(json!("False"), Some(false))]
#[case(json!("1"), Some(true))]
#[case(json!("0"), Some(false))]
#[case(json!(1), Some(true))]
#[case(json!(0), Some(false))]
#[case(json!(2), None)]
#[case(json!(-1), None)]
#[case(json!(0.5), None)]
#[case(json!("perhaps"), None)]
#[case(json!(""), None)]
#[case(json!(null), None)]
#[case(json!([true]), None)]
#[case(json!({}), None)]
fn an_agents_auto_renew_is_read_if_valid(#[case] value: Value, #[case] expected: Option<bool>) {
    let settings = agent(json!({ "SESSION_AUTO_RENEW": value }));
    assert_eq!(settings.auto_renew, expected);
    let resolved = POLICY.resolve(request(json!({})), settings);
    assert_eq!(resolved.auto_renew, expected.unwrap_or(true));
}

#[test]
fn an_invalid_setting_does_not_affect_the_others() {
    let settings = agent(json!({
        "SESSION_TIMEOUT_MINUTES": [],
        "SESSION_AUTO_RENEW": "perhaps",
        "SESSION_MAX_DURATION_MINUTES": "500",
        "SESSION_WARNING_THRESHOLD_MINUTES": {},
        "model": "large",
        "timeoutMinutes": 99,
    }));
    let expected = TimeoutOverrides {
        max_duration_minutes: Some(500.0),
        ..TimeoutOverrides::default()
    };
    assert_eq!(settings, expected);
}

// Arbitrary requests

/// Numbers, numeric strings, and other values.
fn any_number() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        (-100..20_000_i64).prop_map(Value::from),
        (-100.0..20_000.0).prop_map(|number: f64| json!(number)),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-100..20_000_i64).prop_map(|number| json!(number.to_string())),
        (-100.0..20_000.0).prop_map(|number: f64| json!(number.to_string())),
        any::<f64>().prop_map(|number| json!(number.to_string())),
        "[ 0-9.,eExX+-]{0,8}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ]
}

/// Requests without wrong types.
fn any_request() -> impl Strategy<Value = Value> {
    let flag = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from)];
    let fields = (any_number(), flag, any_number(), any_number());
    (fields, any::<[bool; 4]>()).prop_map(|((timeout, flag, max, warning), given)| {
        let fields = [
            (TIMEOUT, timeout),
            (AUTO_RENEW, flag),
            (MAX_DURATION, max),
            (WARNING, warning),
        ];
        fields
            .into_iter()
            .zip(given)
            .filter(|(_, given)| *given)
            .map(|((name, value), _)| (name.to_owned(), value))
            .collect::<Map<_, _>>()
            .into()
    })
}

/// Returns the settings of a character file that correspond to a request.
fn as_settings(request: &Value) -> Value {
    let settings: Map<String, Value> = AGENT_FIELDS
        .into_iter()
        .filter_map(|(field, setting)| Some((setting.to_owned(), request.get(field)?.clone())))
        .collect();
    settings.into()
}

proptest! {
    #[test]
    fn a_number_and_its_string_are_equal(
        number in prop_oneof![prop::num::f64::ANY, -100.0..20_000.0],
    ) {
        let as_number = Value::from(number);
        for field in NUMBER_FIELDS {
            let by_number = request(json!({ field: as_number }));
            // A number that is not finite is null in JSON and "NaN" or "inf" as a string: absent.
            prop_assert_eq!(by_number, request(json!({ field: number.to_string() })));
            prop_assert_eq!(by_number, request(json!({ field: as_number.to_string() })));
        }
    }

    #[test]
    fn an_agents_settings_are_read_like_a_request(fields in any_request()) {
        prop_assert_eq!(agent(as_settings(&fields)), request(fields));
    }

    #[test]
    fn any_json_is_read_or_refused_by_field(values in any_json_values()) {
        let fields: Map<String, Value> = [TIMEOUT, AUTO_RENEW, MAX_DURATION, WARNING]
            .into_iter()
            .map(str::to_owned)
            .zip(values)
            .collect();
        let first_wrong = fields.iter().find(|(name, value)| match value {
            Value::Null => false,
            Value::Bool(_) => *name != AUTO_RENEW,
            Value::Number(_) | Value::String(_) => *name == AUTO_RENEW,
            Value::Array(_) | Value::Object(_) => true,
        });
        let read = read(Value::Object(fields.clone()));
        prop_assert_eq!(
            read.err().map(|error| error.field),
            first_wrong.map(|(name, _)| name.as_str())
        );
    }
}

fn any_json_values() -> impl Strategy<Value = Vec<Value>> {
    let value = prop_oneof![
        3 => any_number(),
        3 => any::<bool>().prop_map(Value::from),
        1 => Just(json!([])),
        1 => Just(json!({})),
    ];
    prop::collection::vec(value, 4)
}
