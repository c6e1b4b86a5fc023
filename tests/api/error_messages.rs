//! The texts of `error.message` for wrong input: the published client shows nothing else.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::{SESSIONS, Server, UNKNOWN_ID, answer, at};

/// Asserts that a request is refused with this message, and that the details repeat its end.
async fn assert_refused(request: RequestBuilder, message: &str) {
    let refused = answer(request).await.expect(400);
    let error = &refused.body["error"];
    assert_eq!(error["message"], message);
    let details = error["details"].as_str().unwrap();
    assert!(message.ends_with(details), "{details}");
}

#[tokio::test]
async fn errors_of_a_send_name_the_field_and_what_is_allowed() {
    let server = Server::start().await;
    let session = server.session().await;
    for (name, value, message) in [
        (
            "content",
            json!(null),
            "Invalid content: content is required",
        ),
        (
            "content",
            json!("x".repeat(4001)),
            "Invalid content: content must be at most 4000 characters, not 4001",
        ),
        (
            "transport",
            json!("pigeon"),
            "Invalid transport: transport must be \"websocket\", \"http\" or \"sse\"",
        ),
        (
            "mode",
            json!(7),
            "Invalid mode: mode must be \"websocket\", \"sync\" or \"stream\", not a number",
        ),
        (
            "clientMessageId",
            json!("ü"),
            "Invalid clientMessageId: clientMessageId must be 1 to 255 visible ASCII characters",
        ),
        (
            "attachments",
            json!([{ "type": "image" }]),
            "Invalid attachments: attachments[0].url must be a non-empty string",
        ),
        (
            "metadata",
            json!([]),
            "Invalid metadata: metadata must be an object, not an array",
        ),
    ] {
        let mut fields = json!({ "content": "x" });
        fields[name] = value;
        assert_refused(server.sending(&session, &fields), message).await;
    }
    let request = server.sending(&session, &json!({ "content": "x" }));
    assert_refused(
        request.header("idempotency-key", "not a key"),
        "Invalid request: Idempotency-Key must be 1 to 255 visible ASCII characters",
    )
    .await;
    server.stop().await;
}

#[tokio::test]
async fn errors_of_other_calls_name_the_field_and_what_is_allowed() {
    let server = Server::start().await;
    let session = server.session().await;
    let timeout = at(&session, "/timeout");
    let messages = at(&session, &format!("/messages?after={}", "x".repeat(5000)));
    let list = format!("{SESSIONS}?limit=0");
    for (method, path, body, message) in [
        (
            Method::POST,
            SESSIONS,
            json!({ "agentId": "abc", "userId": UNKNOWN_ID }),
            "Invalid UUID format: agentId must be a UUID of 8-4-4-4-12 hex digits",
        ),
        (
            Method::POST,
            SESSIONS,
            json!({}),
            "Missing required fields: agentId, userId",
        ),
        (
            Method::POST,
            SESSIONS,
            json!([]),
            "Invalid request: the body must be a JSON object, not an array",
        ),
        (
            Method::PATCH,
            &timeout,
            json!({ "timeoutMinutes": 1 }),
            "Invalid timeoutMinutes: timeoutMinutes must be between 5 and 1440, not 1",
        ),
        (
            Method::PATCH,
            &timeout,
            json!({ "timeoutMinutes": 1e300 }),
            "Invalid timeoutMinutes: timeoutMinutes must be between 5 and 1440, not 1e300",
        ),
        (
            Method::PATCH,
            &timeout,
            json!({ "autoRenew": "yes" }),
            "Invalid autoRenew: autoRenew must be true or false, not a string",
        ),
        (
            Method::GET,
            &messages,
            Value::Null,
            "Invalid after: after must be an integer of epoch milliseconds or an RFC 3339 time",
        ),
        (
            Method::GET,
            &list,
            Value::Null,
            "Invalid limit: limit must be an integer from 1 to 1000",
        ),
    ] {
        assert_refused(server.request(method, path).json(&body), message).await;
    }
    server.stop().await;
}
