//! Valid and invalid requests of `POST /api/messaging/submit`.

use serde_json::{Value, json};

use crate::harness::{MINUTE, SCRIPTED, Server, UNKNOWN_ID, answer, contents};
use crate::stand_in::{AGENT, server_with};

const SUBMIT: &str = "/api/messaging/submit";

async fn external() -> Server {
    server_with(json!({ "type": "external" })).await
}

#[tokio::test]
async fn input_is_checked_in_the_documented_order() {
    let server = external().await;
    let session = server.talk().await;
    let right = json!({
        "channel_id": session, "author_id": AGENT, "content": "Hi", "messageId": "k",
        "metadata": {}, "in_reply_to_message_id": null,
    });
    let with = |changes: Value| {
        let mut body = right.clone();
        body.as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        body
    };
    // From the last check to the first: each error hides those before it.
    let mut wrong = json!({ "author_id": SCRIPTED });
    let add = |wrong: &mut Value, more: Value| {
        wrong
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
    };
    server
        .post(SUBMIT, with(wrong.clone()))
        .await
        .error(403, "FORBIDDEN", "ForbiddenError");
    add(&mut wrong, json!({ "channel_id": UNKNOWN_ID }));
    let found = server.post(SUBMIT, with(wrong.clone())).await;
    found.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    add(&mut wrong, json!({ "metadata": [] }));
    let found = server.post(SUBMIT, with(wrong.clone())).await;
    found.invalid("InvalidMetadataError");
    add(&mut wrong, json!({ "messageId": "no spaces" }));
    let details = server
        .post(SUBMIT, with(wrong.clone()))
        .await
        .invalid("InvalidContentError");
    assert!(
        details["reason"].as_str().unwrap().contains("messageId"),
        "{details}"
    );
    add(&mut wrong, json!({ "content": 7 }));
    let details = server
        .post(SUBMIT, with(wrong.clone()))
        .await
        .invalid("InvalidContentError");
    assert!(
        details["reason"].as_str().unwrap().contains("content"),
        "{details}"
    );
    add(&mut wrong, json!({ "turnId": "x" }));
    let details = server
        .post(SUBMIT, with(wrong.clone()))
        .await
        .invalid("InvalidUuidError");
    assert_eq!(details["field"], "turnId");
    add(&mut wrong, json!({ "in_reply_to_message_id": "x" }));
    let details = server
        .post(SUBMIT, with(wrong.clone()))
        .await
        .invalid("InvalidUuidError");
    assert_eq!(details["field"], "in_reply_to_message_id");
    add(&mut wrong, json!({ "channel_id": "x" }));
    let details = server
        .post(SUBMIT, with(wrong.clone()))
        .await
        .invalid("InvalidUuidError");
    assert_eq!(details["field"], "channel_id");
    add(&mut wrong, json!({ "author_id": "", "content": null }));
    let details = server
        .post(SUBMIT, with(wrong))
        .await
        .invalid("MissingFieldsError");
    assert_eq!(details["missingFields"], json!(["author_id"]));
    server
        .post(SUBMIT, json!([]))
        .await
        .invalid("InvalidBodyError");
    let request = server.request(reqwest::Method::POST, SUBMIT).json(&right);
    let found = answer(request.header("idempotency-key", "no spaces")).await;
    found.invalid("InvalidBodyError");

    assert_eq!(server.history(&session).await.len(), 0);
    server.post(SUBMIT, right).await.expect(201);
    server.stop().await;
}

#[tokio::test]
async fn the_field_names_of_the_published_client_are_accepted() {
    let server = external().await;
    let session = server.talk().await;
    let message = server.tell(&session, "Hello?").await;
    let body = json!({
        "channelId": session, "agentId": AGENT.to_uppercase(), "content": "Hi",
        "inReplyToMessageId": message, "metadata": { "a": 1, "sessionId": "x" },
        "rawMessage": { "thought": "hm", "actions": ["REPLY"], "other": 1 },
    });
    let submitted = server.post(SUBMIT, body).await.expect(201);
    assert_eq!(submitted.body["success"], true);
    let data = &submitted.body["data"];
    assert_eq!(data["inReplyTo"], message);
    assert_eq!(
        data["metadata"],
        json!({ "a": 1, "thought": "hm", "actions": ["REPLY"], "sessionId": session })
    );
    let mut listed = server.history(&session).await.remove(1);
    listed["channelId"] = session.clone().into();
    assert_eq!(*data, listed, "an item of the message list, plus channelId");
    server.stop().await;
}

#[tokio::test]
async fn a_repeat_stores_nothing_and_another_body_is_a_conflict() {
    let mut server = external().await;
    let session = server.talk().await;
    server.tell(&session, "One").await;
    let first = json!({ "messageId": "k1", "metadata": { "a": 1, "b": 2 } });
    let stored = server.submit(&session, first.clone()).await.expect(201);
    assert!(!stored.has_header("idempotent-replayed"));
    server.tell(&session, "Two").await;
    server.restart().await;

    let again = json!({ "messageId": "k1", "metadata": { "b": 2, "a": 1 } });
    let repeat = server.submit(&session, again).await.expect(201);
    assert_eq!(repeat.header("idempotent-replayed"), "true");
    assert_eq!(repeat.body, stored.body);
    for other in [
        json!({ "messageId": "k1", "metadata": { "a": 1 } }),
        json!({ "messageId": "k1", "metadata": { "a": 1, "b": 2 }, "content": "Other" }),
        json!({ "messageId": "k1", "metadata": { "a": 1, "b": 2 },
                "raw_message": { "thought": "hm" } }),
    ] {
        let conflict = server.submit(&session, other).await;
        let details = conflict.error(409, "IDEMPOTENCY_CONFLICT", "IdempotencyConflictError");
        assert_eq!(details["key"], "k1");
    }
    assert_eq!(
        contents(&server.history(&session).await),
        ["One", "Submitted.", "Two"]
    );

    // Keys of sends are separate, and the header wins.
    let sent = json!({ "content": "Three", "clientMessageId": "k1" });
    assert_eq!(
        server.send(&session, sent).await.expect(201).body["content"],
        "Three"
    );
    let body = json!({ "channel_id": session, "author_id": AGENT, "content": "Both",
                       "messageId": "k1" });
    let keyed = server.request(reqwest::Method::POST, SUBMIT).json(&body);
    answer(keyed.header("idempotency-key", "k2"))
        .await
        .expect(201);
    assert_eq!(server.history(&session).await.len(), 5);

    // A known key is answered after the session's end, an unknown one is not.
    server.advance(31 * MINUTE);
    let repeat = server.submit(&session, first).await.expect(201);
    assert_eq!(repeat.body, stored.body);
    let late = server.submit(&session, json!({ "messageId": "k3" })).await;
    late.error(410, "SESSION_EXPIRED", "SessionExpiredError");
    server.stop().await;
}

#[tokio::test]
async fn a_submission_of_an_agent_with_a_backend_closes_no_turn() {
    let server = external().await;
    let session = server.session().await;
    let events = server.begin(&session, "say One | hold").await;
    let message = server.history(&session).await[0]["id"].clone();
    for named in [Value::Null, message, UNKNOWN_ID.into()] {
        let body = json!({
            "channel_id": session, "author_id": SCRIPTED, "content": "By the way",
            "in_reply_to_message_id": named,
        });
        server.post(SUBMIT, body).await.expect(201);
    }
    let history = server.history(&session).await;
    assert_eq!(history.len(), 4);
    let ids: std::collections::HashSet<_> = history.iter().map(|m| m["id"].to_string()).collect();
    assert_eq!(ids.len(), 4);
    assert_eq!(history[0]["metadata"].get("agentError"), None);
    drop(events);
    server.stop().await;
}

#[tokio::test]
async fn a_reply_and_its_metadata_have_limits() {
    let server = external().await;
    let session = server.talk().await;
    let long = json!({ "content": "é".repeat(32 * 1024) });
    let stored = server.submit(&session, long).await.expect(201);
    assert_eq!(
        stored.body["data"]["content"].as_str().unwrap().len(),
        65_536
    );
    let longer = json!({ "content": "x".repeat(65_537) });
    server
        .submit(&session, longer)
        .await
        .invalid("InvalidContentError");
    let thought = json!({ "raw_message": { "thought": "x".repeat(10_241) } });
    let details = server
        .submit(&session, thought)
        .await
        .invalid("InvalidMetadataError");
    assert_eq!(details["maxBytes"], 10_240);
    // Values of other types are ignored.
    for raw in [
        json!("x"),
        json!({ "thought": 7, "actions": {} }),
        json!(null),
    ] {
        let stored = server
            .submit(&session, json!({ "raw_message": raw }))
            .await
            .expect(201);
        assert_eq!(
            stored.body["data"]["metadata"],
            json!({ "sessionId": session })
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_submission_is_not_activity() {
    let server = external().await;
    let session = server.talk().await;
    let before = server.info(&session).await["lastActivity"].clone();
    server.advance(MINUTE);
    server.submit(&session, json!({})).await.expect(201);
    assert_eq!(server.info(&session).await["lastActivity"], before);
    server.stop().await;
}

#[tokio::test]
async fn a_submission_needs_the_servers_token() {
    let server = Server::builder()
        .set("ELIZA_SERVER_AUTH_TOKEN", "s3cret")
        .start()
        .await;
    let body = json!({ "channel_id": UNKNOWN_ID, "author_id": AGENT, "content": "Hi" });
    let request = || server.request(reqwest::Method::POST, SUBMIT).json(&body);
    answer(request())
        .await
        .error(401, "UNAUTHORIZED", "UnauthorizedError");
    let known = answer(request().header("x-api-key", "s3cret")).await;
    known.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    server.stop().await;
}
