//! How bodies are read, and in which order their fields are validated.

mod timeouts;

use rstest::rstest;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::app::error::ValidationError;

fn read<T: DeserializeOwned>(body: Value) -> T {
    serde_json::from_value(body).unwrap()
}

fn create(body: Value) -> Result<crate::app::CreateRequest, ValidationError> {
    read::<CreateSessionRequest>(body).validate(Some("key"))
}

fn send(body: Value) -> Result<(ReplyTransport, crate::app::NewMessage), ValidationError> {
    read::<SendMessageRequest>(body).validate(None)
}

fn submit(body: Value) -> Result<crate::app::Submission, ValidationError> {
    read::<SubmitRequest>(body).validate(None)
}

const ID: &str = "b850bc30-45f8-0041-a00a-83df46d8555d";
const OTHER: &str = "3c90c3cc-0d44-4b50-8888-8dd25736052a";

#[rstest]
#[case(json!(42), "a number")]
#[case(json!(true), "a boolean")]
#[case(json!(["hello"]), "an array")]
#[case(json!({ "text": "hello" }), "an object")]
fn content_must_be_a_string(#[case] value: Value, #[case] found: &str) {
    let reason = send(json!({ "content": value })).unwrap_err().to_string();
    assert_eq!(reason, format!("content must be a string, not {found}"));
}

#[rstest]
#[case(json!({}))]
#[case(json!({ "content": null }))]
fn absent_content_is_required(#[case] body: Value) {
    assert_eq!(send(body).unwrap_err().to_string(), "content is required");
}

#[rstest]
#[case(json!({}), ReplyTransport::Websocket)]
#[case(json!({ "transport": null, "mode": null }), ReplyTransport::Websocket)]
#[case(json!({ "transport": "http" }), ReplyTransport::Http)]
#[case(json!({ "transport": "sse" }), ReplyTransport::Sse)]
#[case(json!({ "mode": "sync" }), ReplyTransport::Http)]
#[case(json!({ "mode": "stream", "transport": null }), ReplyTransport::Sse)]
#[case(json!({ "mode": [], "transport": "websocket" }), ReplyTransport::Websocket)]
fn the_transport_wins_over_the_mode(#[case] mut body: Value, #[case] expected: ReplyTransport) {
    body["content"] = "hi".into();
    assert_eq!(send(body).unwrap().0, expected);
}

#[test]
fn fields_of_a_create_are_validated_in_the_documented_order() {
    let mut body = json!({
        "timeoutConfig": 7, "metadata": [], "userId": "u", "agentId": "a",
    });
    let mut error_of = |field: &str, right: Value| {
        let error = create(body.clone()).unwrap_err();
        body[field] = right;
        error
    };
    let uuid = |field, value: &str| ValidationError::Uuid {
        field,
        value: Some(value.to_owned()),
    };
    assert_eq!(error_of("agentId", ID.into()), uuid("agentId", "a"));
    assert_eq!(error_of("userId", OTHER.into()), uuid("userId", "u"));
    let metadata = error_of("metadata", json!({ "b": 1, "a": 1e2 }));
    assert!(
        matches!(metadata, ValidationError::Metadata(_)),
        "{metadata:?}"
    );
    let timeout = error_of("timeoutConfig", Value::Null);
    assert!(
        matches!(timeout, ValidationError::Timeout(_)),
        "{timeout:?}"
    );
    assert_eq!(create(body).unwrap().metadata, r#"{"b":1,"a":100.0}"#);
}

#[test]
fn all_missing_fields_are_named_before_malformed_ones() {
    let missing = create(json!({ "agentId": "", "metadata": [] })).unwrap_err();
    let names = vec!["agentId", "userId"];
    assert_eq!(missing, ValidationError::MissingFields(names));
    let missing = submit(json!({ "channelId": 7, "content": "" })).unwrap_err();
    let names = vec!["author_id"];
    assert_eq!(missing, ValidationError::MissingFields(names));
}

#[test]
fn the_documented_names_of_a_submission_win() {
    let body = json!({
        "channelId": "x", "channel_id": ID, "agentId": OTHER, "content": "hi",
        "inReplyToMessageId": "x", "in_reply_to_message_id": null,
        "rawMessage": { "thought": "other" },
        "raw_message": { "thought": "own", "actions": [1, { "a": 2 }], "x": [] },
    });
    let submission = submit(body).unwrap();
    assert_eq!(submission.channel.to_string(), ID);
    assert_eq!(submission.author.to_string(), OTHER);
    assert_eq!(submission.in_reply_to, None);
    assert_eq!(submission.reply.thought.as_deref(), Some("own"));
    let actions = submission.reply.actions.as_deref();
    assert_eq!(actions, Some(r#"[1,{"a":2}]"#));
}

#[test]
fn invalid_parts_of_a_raw_message_are_left_out() {
    for raw in [json!(7), json!([]), json!({ "thought": 7, "actions": {} })] {
        let body = json!({
            "channel_id": ID, "author_id": OTHER, "content": "hi", "raw_message": raw,
        });
        let reply = submit(body).unwrap().reply;
        assert_eq!((reply.thought, reply.actions), (None, None), "{raw}");
    }
}
