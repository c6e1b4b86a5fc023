use rstest::rstest;

use super::*;
use crate::domain::continued::ContinueFrom;
use crate::domain::id::{AgentId, MessageId, SessionId};
use crate::domain::timeout::TimeoutOverrides;

/// The examples of RFC 7396, appendix A, whose target and result are objects.
#[rstest]
#[case(r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#)]
#[case(r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#)]
#[case(r#"{"a":"b"}"#, r#"{"a":null}"#, "{}")]
#[case(r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#)]
#[case(r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#)]
#[case(r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#)]
#[case(
    r#"{"a":{"b":"c"}}"#,
    r#"{"a":{"b":"d","c":null}}"#,
    r#"{"a":{"b":"d"}}"#
)]
#[case(r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#)]
#[case(r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#)]
#[case("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#)]
// Nulls in arrays are values.
#[case("{}", r#"{"a":[null,{"b":null}]}"#, r#"{"a":[null,{"b":null}]}"#)]
fn a_patch_is_merged_as_in_rfc_7396(
    #[case] target: &str,
    #[case] patch: &str,
    #[case] expected: &str,
) {
    let merged = merged_metadata(target, patch).unwrap();
    assert_eq!(merged.as_deref(), Some(expected));
}

#[rstest]
#[case("{}", "{}")]
#[case(r#"{"a":1,"b":{"c":2}}"#, r#"{ "b" : {"c" : 2}, "a" : 1 }"#)]
#[case("{}", r#"{"a":null}"#)]
#[case(r#"{"a":{}}"#, r#"{"a":{"b":null}}"#)]
fn a_patch_may_change_nothing(#[case] target: &str, #[case] patch: &str) {
    assert_eq!(merged_metadata(target, patch).unwrap(), None);
}

#[test]
fn the_result_may_have_10240_bytes() {
    let patch = |length: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(length - 8));
    assert!(merged_metadata("{}", &patch(10_240)).is_ok());
    let error = merged_metadata("{}", &patch(10_241)).unwrap_err();
    assert!(error.reason().ends_with("not 10241"), "{error:?}");
    assert!(merged_metadata(r#"{"b":1}"#, &patch(10_240)).is_err());
}

fn of(metadata: &str) -> crate::domain::key::RequestDigest {
    create_digest(
        AgentId::from(1),
        metadata,
        &TimeoutOverrides::default(),
        None,
    )
}

#[rstest]
#[case::order(r#"{"a":1,"b":{"c":2,"d":3}}"#, r#"{"b":{"d":3,"c":2},"a":1}"#)]
#[case::white_space(r#"{"a":[1,2]}"#, "{ \"a\" : [ 1 ,\n2 ] }")]
#[case::numbers(r#"{"a":[1,100,1.5]}"#, r#"{"a":[1.0,1e2,15e-1]}"#)]
#[case::zero(r#"{"a":0}"#, r#"{"a":-0.0}"#)]
#[case::strings(r#"{"é":"\n"}"#, r#"{"\u00e9":"\u000a"}"#)]
#[case::last_of_a_name(r#"{"a":2}"#, r#"{"a":1,"a":2}"#)]
fn spelling_does_not_change_the_digest(#[case] one: &str, #[case] other: &str) {
    assert_eq!(of(one), of(other));
    assert_eq!(metadata_digest(one), metadata_digest(other));
}

#[rstest]
#[case(r#"{"a":1}"#, r#"{"a":"1"}"#)]
#[case(r#"{"a":1}"#, r#"{"a":true}"#)]
#[case(r#"{"a":null}"#, "{}")]
#[case(r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#)]
#[case(r#"{"a":[[1],2]}"#, r#"{"a":[[1,2]]}"#)]
#[case(r#"{"a":"b,c"}"#, r#"{"a":"b","c":1}"#)]
#[case(r#"{"a":9007199254740993}"#, r#"{"a":9007199254740992}"#)]
#[case(r#"{"a":1e300}"#, r#"{"a":1e301}"#)]
fn other_values_change_the_digest(#[case] one: &str, #[case] other: &str) {
    assert_ne!(of(one), of(other));
}

#[test]
fn each_field_of_a_create_changes_the_digest() {
    let (agent, none) = (AgentId::from(1), TimeoutOverrides::default());
    let minutes = |minutes| TimeoutOverrides {
        timeout_minutes: Some(minutes),
        ..none
    };
    let longest = TimeoutOverrides {
        max_duration_minutes: Some(30.0),
        ..none
    };
    let renews = |renews| TimeoutOverrides {
        auto_renew: Some(renews),
        ..none
    };
    let from = |session: u128, up_to: Option<u128>| ContinueFrom {
        session_id: SessionId::from(session),
        up_to: up_to.map(MessageId::from),
    };
    let sources = [
        from(1, None),
        from(2, None),
        from(1, Some(1)),
        from(1, Some(2)),
    ];
    let mut digests = vec![
        of("{}"),
        create_digest(AgentId::from(2), "{}", &none, None),
        create_digest(agent, r#"{"a":1}"#, &none, None),
        create_digest(agent, "{}", &minutes(30.0), None),
        create_digest(agent, "{}", &minutes(31.0), None),
        create_digest(agent, "{}", &longest, None),
        create_digest(agent, "{}", &renews(true), None),
        create_digest(agent, "{}", &renews(false), None),
    ];
    digests.extend(sources.map(|source| create_digest(agent, "{}", &none, Some(&source))));
    for (nth, digest) in digests.iter().enumerate() {
        assert!(!digests[..nth].contains(digest), "{nth}");
    }
    // On disks since version 3 of the schema.
    let known = "1a1053437559777a355a88149e9f7b77b203ce8b6f4a54b35f37237c1fa67a97";
    assert_eq!(hex::encode(of("{}").0), known);
}
