use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;

/// A field with this value; absent without one.
fn field<T: serde::de::DeserializeOwned>(value: Option<&Value>) -> Field<T> {
    value.cloned().map_or(Field::Absent, Field::from)
}

fn session_metadata(value: Option<&Value>) -> Result<String, InvalidMessage> {
    super::session_metadata(field(value))
}

fn message_metadata(value: Option<&Value>) -> Result<Option<String>, InvalidMessage> {
    super::message_metadata(field(value))
}

fn attachments(value: Option<&Value>) -> Result<Option<String>, InvalidMessage> {
    super::attachments(field(value))
}

/// A value as a client sends it.
fn sent(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn content_reason(result: Result<impl std::fmt::Debug, InvalidMessage>) -> String {
    match result {
        Err(InvalidMessage::Content { reason, .. }) => reason,
        other => panic!("the content was not refused: {other:?}"),
    }
}

fn metadata_reason(result: Result<impl std::fmt::Debug, InvalidMessage>) -> String {
    match result {
        Err(InvalidMessage::Metadata(reason)) => reason,
        other => panic!("the metadata was not refused: {other:?}"),
    }
}

fn body(content: &str, metadata: Option<&str>, attachments: Option<&str>) -> Body {
    Body {
        content: content.to_owned(),
        metadata: metadata.map(str::to_owned),
        attachments: attachments.map(str::to_owned),
    }
}

// Metadata

/// An object of exactly `bytes` bytes of compact JSON.
fn metadata_of(bytes: usize) -> Value {
    let value = json!({ "k": "x".repeat(bytes - r#"{"k":""}"#.len()) });
    assert_eq!(value.to_string().len(), bytes);
    value
}

#[rstest]
#[case::missing(None)]
#[case::null(Some(json!(null)))]
fn absent_metadata_is_none(#[case] value: Option<Value>) {
    assert_eq!(session_metadata(value.as_ref()), Ok("{}".to_owned()));
    assert_eq!(message_metadata(value.as_ref()), Ok(None));
}

#[rstest]
#[case(json!([]), "an array")]
#[case(json!([{ "username": "Ada" }]), "an array")]
#[case(json!("{}"), "a string")]
#[case(json!(""), "a string")]
#[case(json!(0), "a number")]
#[case(json!(false), "a boolean")]
fn metadata_is_an_object(#[case] value: Value, #[case] found: &str) {
    for reason in [
        metadata_reason(session_metadata(Some(&value))),
        metadata_reason(message_metadata(Some(&value))),
    ] {
        assert!(
            reason.contains("metadata") && reason.contains(found),
            "{reason}"
        );
    }
}

#[test]
fn metadata_is_at_most_10240_bytes() {
    let largest = metadata_of(10_240);
    assert_eq!(session_metadata(Some(&largest)), Ok(largest.to_string()));
    assert_eq!(
        message_metadata(Some(&largest)),
        Ok(Some(largest.to_string()))
    );

    let too_large = metadata_of(10_241);
    for reason in [
        metadata_reason(session_metadata(Some(&too_large))),
        metadata_reason(message_metadata(Some(&too_large))),
    ] {
        assert!(
            reason.contains("10240") && reason.contains("10241"),
            "{reason}"
        );
    }
}

#[test]
fn metadata_is_measured_in_bytes_not_in_characters() {
    let of_emoji = |count| json!({ "k": "🎉".repeat(count) });
    assert_eq!(of_emoji(2558).to_string().len(), 10_240);
    assert!(session_metadata(Some(&of_emoji(2558))).is_ok());
    metadata_reason(session_metadata(Some(&of_emoji(2559))));
}

#[test]
fn whitespace_in_metadata_does_not_count() {
    let compact = metadata_of(10_240).to_string();
    let spread = compact.replace(':', &format!("{}:\n", " ".repeat(5000)));
    assert_eq!(message_metadata(Some(&sent(&spread))), Ok(Some(compact)));
}

#[test]
fn the_object_itself_is_stored_for_a_session() {
    let value = json!({ "sessionId": 1, "agentError": 2 });
    assert_eq!(session_metadata(Some(&value)), Ok(value.to_string()));
}

#[rstest]
#[case::the_id(r#"{"a":1,"sessionId":"other","b":2}"#)]
#[case::an_error(r#"{"a":1,"agentError":{"code":"AGENT_ERROR"},"b":2}"#)]
#[case::both(r#"{"sessionId":null,"a":1,"b":2,"agentError":[]}"#)]
fn members_that_only_the_server_sets_are_dropped_from_a_message(#[case] text: &str) {
    let stored = message_metadata(Some(&sent(text)));
    assert_eq!(stored, Ok(Some(r#"{"a":1,"b":2}"#.to_owned())));
}

#[test]
fn only_members_of_the_top_level_are_dropped() {
    let text = r#"{"sessionID":1,"agent_error":2,"of":{"sessionId":3,"agentError":4}}"#;
    let stored = message_metadata(Some(&sent(text)));
    assert_eq!(stored, Ok(Some(text.to_owned())));
}

#[rstest]
#[case(json!({}))]
#[case(json!({ "sessionId": "other" }))]
#[case(json!({ "sessionId": "other", "agentError": {} }))]
fn metadata_without_members_left_is_none(#[case] value: Value) {
    assert_eq!(message_metadata(Some(&value)), Ok(None));
}

#[test]
fn metadata_keeps_the_clients_order_of_keys() {
    let text = r#"{"zebra":1,"apple":{"y":1,"b":2,"x":3},"10":0,"9":0,"mango":[{"b":1,"a":2}]}"#;
    assert_eq!(session_metadata(Some(&sent(text))), Ok(text.to_owned()));
    assert_eq!(
        message_metadata(Some(&sent(text))),
        Ok(Some(text.to_owned()))
    );
}

#[rstest]
// Without the `float_roundtrip` of serde_json each of these becomes another number.
#[case("0.42238380792923075")]
#[case("1.151207850413046e-184")]
#[case("1.5")]
#[case("-0.1")]
#[case("9007199254740993")]
#[case("18446744073709551615")]
#[case("-9223372036854775808")]
fn numbers_are_stored_as_sent(#[case] number: &str) {
    let text = format!(r#"{{"n":{number}}}"#);
    assert_eq!(message_metadata(Some(&sent(&text))), Ok(Some(text)));
}

// Attachments

fn attachment() -> Value {
    json!({ "type": "image", "url": "https://example.com/a.png" })
}

/// One attachment that is exactly `bytes` bytes of compact JSON, its list included.
fn attachments_of(bytes: usize) -> Value {
    let frame = r#"[{"type":"t","url":""}]"#.len();
    let value = json!([{ "type": "t", "url": "x".repeat(bytes - frame) }]);
    assert_eq!(value.to_string().len(), bytes);
    value
}

#[rstest]
#[case::missing(None)]
#[case::null(Some(json!(null)))]
#[case::empty(Some(json!([])))]
fn absent_attachments_are_none(#[case] value: Option<Value>) {
    assert_eq!(attachments(value.as_ref()), Ok(None));
}

#[rstest]
#[case(json!({}), "an object")]
#[case(attachment(), "an object")]
#[case(json!("https://example.com/a.png"), "a string")]
#[case(json!(1), "a number")]
#[case(json!(false), "a boolean")]
fn attachments_are_an_array(#[case] value: Value, #[case] found: &str) {
    let reason = content_reason(attachments(Some(&value)));
    assert!(
        reason.contains("attachments") && reason.contains(found),
        "{reason}"
    );
}

#[test]
fn attachments_are_at_most_ten() {
    let ten = Value::Array(vec![attachment(); 10]);
    assert_eq!(attachments(Some(&ten)), Ok(Some(ten.to_string())));

    let eleven = Value::Array(vec![attachment(); 11]);
    let reason = content_reason(attachments(Some(&eleven)));
    assert!(reason.contains("10") && reason.contains("11"), "{reason}");
}

#[rstest]
#[case(json!(null), "null")]
#[case(json!("https://example.com/a.png"), "a string")]
#[case(json!([attachment()]), "an array")]
#[case(json!(7), "a number")]
fn an_attachment_is_an_object(#[case] wrong: Value, #[case] found: &str) {
    let reason = content_reason(attachments(Some(&json!([attachment(), wrong]))));
    assert!(
        reason.contains("attachments[1]") && reason.contains(found),
        "{reason}"
    );
}

#[rstest]
#[case::no_type(json!({ "url": "u" }), "type")]
#[case::empty_type(json!({ "type": "", "url": "u" }), "type")]
#[case::null_type(json!({ "type": null, "url": "u" }), "type")]
#[case::number_type(json!({ "type": 1, "url": "u" }), "type")]
#[case::no_url(json!({ "type": "t" }), "url")]
#[case::empty_url(json!({ "type": "t", "url": "" }), "url")]
#[case::null_url(json!({ "type": "t", "url": null }), "url")]
#[case::list_url(json!({ "type": "t", "url": ["u"] }), "url")]
#[case::other_case(json!({ "type": "t", "URL": "u" }), "url")]
#[case::neither(json!({}), "type")]
fn an_attachment_has_a_type_and_a_url(#[case] wrong: Value, #[case] field: &str) {
    let list = json!([attachment(), attachment(), wrong]);
    let reason = content_reason(attachments(Some(&list)));
    assert!(
        reason.contains(&format!("attachments[2].{field}")),
        "{reason}"
    );
}

#[test]
fn attachments_are_at_most_16_kib_in_all() {
    let largest = attachments_of(16_384);
    assert_eq!(attachments(Some(&largest)), Ok(Some(largest.to_string())));

    let reason = content_reason(attachments(Some(&attachments_of(16_385))));
    assert!(
        reason.contains("16384") && reason.contains("16385"),
        "{reason}"
    );

    // Each is small enough; together they are too large.
    let mut one = attachment();
    one["name"] = "n".repeat(2000).into();
    assert!(attachments(Some(&json!([one]))).is_ok());
    content_reason(attachments(Some(&Value::Array(vec![one; 9]))));
}

#[test]
fn whitespace_in_attachments_does_not_count() {
    let compact = attachments_of(16_384).to_string();
    let spread = compact.replace(',', &format!("{},\n", " ".repeat(5000)));
    assert_eq!(attachments(Some(&sent(&spread))), Ok(Some(compact)));
}

#[test]
fn an_attachment_keeps_its_other_fields_and_their_order() {
    let text = concat!(
        r#"[{"url":"u","zoom":1.5,"name":null,"type":"image","alt":{"en":"A","de":"B"}},"#,
        r#"{"type":"file","url":"v","name":"v.pdf"}]"#
    );
    assert_eq!(attachments(Some(&sent(text))), Ok(Some(text.to_owned())));
}

// Comparison of bodies

#[test]
fn bodies_are_equal_however_their_json_is_formatted() {
    let one = body(
        "Hello",
        Some(r#"{"a":{"x":1,"y":[1,2]},"b":"ä"}"#),
        Some(r#"[{"type":"t","url":"u"}]"#),
    );
    let other = body(
        "Hello",
        Some(r#"{ "b": "\u00e4", "a": { "y": [1, 2], "x": 1 } }"#),
        Some(r#"[ { "url": "u", "type": "t" } ]"#),
    );
    assert!(has_same_content(&one, &other));
    assert!(has_same_content(&other, &one));
    assert!(has_same_content(&one, &one));
    assert!(has_same_content(&Body::default(), &Body::default()));
}

#[rstest]
#[case::content(body("hello", Some(r#"{"a":[1,2]}"#), Some(r#"[{"url":"u"}]"#)))]
#[case::space_in_the_content(body("Hello ", Some(r#"{"a":[1,2]}"#), Some(r#"[{"url":"u"}]"#)))]
#[case::a_value(body("Hello", Some(r#"{"a":[1,3]}"#), Some(r#"[{"url":"u"}]"#)))]
#[case::a_type(body("Hello", Some(r#"{"a":["1",2]}"#), Some(r#"[{"url":"u"}]"#)))]
#[case::the_order_of_a_list(body("Hello", Some(r#"{"a":[2,1]}"#), Some(r#"[{"url":"u"}]"#)))]
#[case::one_more_key(body("Hello", Some(r#"{"a":[1,2],"b":null}"#), Some(r#"[{"url":"u"}]"#)))]
#[case::no_metadata(body("Hello", None, Some(r#"[{"url":"u"}]"#)))]
#[case::no_attachments(body("Hello", Some(r#"{"a":[1,2]}"#), None))]
#[case::an_attachment(body("Hello", Some(r#"{"a":[1,2]}"#), Some(r#"[{"url":"v"}]"#)))]
#[case::exchanged(body("Hello", Some(r#"[{"url":"u"}]"#), Some(r#"{"a":[1,2]}"#)))]
fn a_different_body_is_not_equal(#[case] other: Body) {
    let one = body("Hello", Some(r#"{"a":[1,2]}"#), Some(r#"[{"url":"u"}]"#));
    assert!(!has_same_content(&one, &other));
    assert!(!has_same_content(&other, &one));
}

// Properties of random values

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            any_fields(inner).prop_map(Value::from),
        ]
    })
}

/// Objects with keys in any order, sometimes including those of the server.
fn any_fields(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    let key = prop_oneof![
        6 => ".{0,6}",
        1 => Just("sessionId".to_owned()),
        1 => Just("agentError".to_owned()),
    ];
    prop::collection::vec((key, value), 0..6).prop_map(|fields| fields.into_iter().collect())
}

/// The same value with the keys of all objects in reverse order.
fn reversed(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(reversed).collect(),
        Value::Object(fields) => fields
            .iter()
            .rev()
            .map(|(key, value)| (key.clone(), reversed(value)))
            .collect(),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn metadata_is_stored_as_sent(fields in any_fields(any_json())) {
        let value = Value::Object(fields.clone());
        let expected: Map<_, _> = fields
            .into_iter()
            .filter(|(key, _)| key != "sessionId" && key != "agentError")
            .collect();
        let stored = message_metadata(Some(&sent(&value.to_string()))).unwrap();
        if expected.is_empty() {
            prop_assert_eq!(stored, None);
        } else {
            prop_assert_eq!(stored, Some(Value::Object(expected).to_string()));
        }
    }

    #[test]
    fn an_attachment_is_stored_as_sent(mut fields in any_fields(any_json())) {
        fields.entry("type").or_insert("image".into());
        fields.entry("url").or_insert("u".into());
        let list = json!([fields]);
        prop_assert_eq!(attachments(Some(&list)), Ok(Some(list.to_string())));
    }

    #[test]
    fn the_order_of_keys_and_the_formatting_do_not_matter(fields in any_fields(any_json())) {
        let value = Value::Object(fields);
        let list = json!([value]);
        let one = body("Hello", Some(&value.to_string()), Some(&list.to_string()));
        let other = body(
            "Hello",
            Some(&format!("{:#}", reversed(&value))),
            Some(&format!("{:#}", reversed(&list))),
        );
        prop_assert!(has_same_content(&one, &other));
    }

    #[test]
    fn bodies_are_equal_exactly_if_their_values_are(
        one in any_json(),
        other in any_json(),
    ) {
        let with = |value: &Value| body("Hello", Some(&value.to_string()), None);
        prop_assert_eq!(has_same_content(&with(&one), &with(&other)), one == other);
        prop_assert!(has_same_content(&with(&one), &with(&one.clone())));
    }
}
