//! Changing the metadata of a session.

use serde_json::{Value, json};

use crate::harness::{Answer, HOUR, MINUTE, Server, UNKNOWN_ID, answer, at};

async fn update(server: &Server, session: &str, metadata: Value) -> Answer {
    let body = json!({ "metadata": metadata });
    server.patch(&at(session, ""), body).await
}

#[tokio::test]
async fn a_merge_patch_changes_the_metadata_and_nothing_else() {
    let mut server = Server::start().await;
    let metadata = json!({ "a": 1, "b": { "c": 2, "d": 3 }, "e": [1] });
    let session = server.session_with(json!({ "metadata": metadata })).await;
    let mut expected = server.info(&session).await;
    server.advance(MINUTE);
    let patch = json!({ "a": null, "b": { "c": null, "x": 9 }, "e": [null], "f": { "g": null } });
    let changed = update(&server, &session, patch).await.expect(200).body;
    expected["metadata"] = json!({ "b": { "d": 3, "x": 9 }, "e": [null], "f": {} });
    expected["timeRemaining"] = json!(29 * 60_000);
    assert_eq!(changed, expected);
    assert_eq!(server.info(&session).await, expected);
    server.restart().await;
    assert_eq!(server.info(&session).await, expected);
    server.stop().await;
}

#[tokio::test]
async fn input_is_checked_before_the_session() {
    let server = Server::start().await;
    let session = server.session().await;
    for id in [&session, UNKNOWN_ID] {
        let path = at(id, "");
        let missing = server.patch(&path, json!({})).await;
        let details = missing.invalid("MissingFieldsError");
        assert_eq!(details["missingFields"], json!(["metadata"]));
        for (metadata, found) in [
            (Value::Null, "null"),
            (json!([]), "an array"),
            (json!("{}"), "a string"),
            (json!(1), "a number"),
            (json!(true), "a boolean"),
        ] {
            let refused = update(&server, id, metadata).await;
            let details = refused.invalid("InvalidMetadataError");
            let reason = format!("metadata must be an object, not {found}");
            assert_eq!(details, json!({ "reason": reason, "maxBytes": 10_240 }));
        }
        let array = server.patch(&path, json!([])).await;
        array.invalid("InvalidBodyError");
    }
    let unknown = update(&server, UNKNOWN_ID, json!({ "a": 1 })).await;
    unknown.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    let unknown = update(&server, "abc-123", json!({ "a": 1 })).await;
    unknown.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    server.advance(HOUR);
    let expired = update(&server, &session, json!({ "a": 1 })).await;
    expired.error(410, "SESSION_EXPIRED", "SessionExpiredError");
    server.stop().await;
}

#[tokio::test]
async fn the_result_has_at_most_10240_bytes() {
    let server = Server::start().await;
    let metadata = json!({ "b": 1 });
    let session = server.session_with(json!({ "metadata": metadata })).await;
    let patch = |bytes: usize| {
        let rest = json!({ "b": 1, "a": "" }).to_string().len();
        json!({ "a": "x".repeat(bytes - rest) })
    };
    let before = server.info(&session).await;
    let refused = update(&server, &session, patch(10_241)).await;
    let details = refused.invalid("InvalidMetadataError");
    let reason = "metadata must be at most 10240 bytes as compact JSON, not 10241";
    assert_eq!(details, json!({ "reason": reason, "maxBytes": 10_240 }));
    assert_eq!(server.info(&session).await, before);
    update(&server, &session, patch(10_240)).await.expect(200);
    // An expired session is gone before its metadata is too large.
    server.advance(HOUR);
    let expired = update(&server, &session, patch(10_241)).await;
    expired.error(410, "SESSION_EXPIRED", "SessionExpiredError");
    server.stop().await;
}

#[tokio::test]
async fn earlier_messages_show_the_change_but_not_the_title() {
    let server = Server::start().await;
    let metadata = json!({ "title": "First", "plan": "free" });
    let session = server.session_with(json!({ "metadata": metadata })).await;
    let sent = json!({ "content": "say x", "transport": "http", "metadata": { "mood": "fine" } });
    let answer = server.send(&session, sent).await.expect(201).body;
    let expected = json!({ "plan": "free", "mood": "fine", "sessionId": session });
    assert_eq!(answer["metadata"], expected);
    let patch = json!({ "title": "Second", "plan": "paid", "mood": "session's" });
    update(&server, &session, patch).await.expect(200);
    let history = server.history(&session).await;
    assert_eq!(
        history[0]["metadata"],
        json!({ "plan": "paid", "mood": "fine", "sessionId": session })
    );
    assert_eq!(history[1]["metadata"], json!({ "sessionId": session }));
    // A message's own title is its own.
    let sent = json!({ "content": "say y", "metadata": { "title": "mine" } });
    let own = server.send(&session, sent).await.expect(201).body;
    assert_eq!(own["metadata"]["title"], "mine");
    assert_eq!(server.info(&session).await["metadata"]["title"], "Second");
    server.stop().await;
}

#[tokio::test]
async fn a_create_key_compares_what_was_sent_at_the_create() {
    let mut server = Server::start().await;
    let create = async |server: &Server, metadata: Value| {
        let request = server.creating(&json!({ "metadata": metadata }));
        answer(request.header("idempotency-key", "k")).await
    };
    let created = create(&server, json!({ "a": 1, "b": 2 })).await.expect(201);
    let session = created.body["sessionId"].as_str().unwrap().to_owned();
    update(&server, &session, json!({ "a": 7 }))
        .await
        .expect(200);
    server.restart().await;
    let repeat = create(&server, json!({ "b": 2.0, "a": 1 }))
        .await
        .expect(201);
    assert_eq!(repeat.header("idempotent-replayed"), "true");
    assert_eq!(repeat.body["sessionId"], session);
    assert_eq!(repeat.body["metadata"], json!({ "a": 7, "b": 2 }));
    let present = create(&server, json!({ "a": 7, "b": 2 })).await;
    present.error(409, "IDEMPOTENCY_CONFLICT", "IdempotencyConflictError");
    server.stop().await;
}

#[tokio::test]
async fn messages_without_metadata_of_their_own_do_not_inherit_the_title() {
    let server = Server::start().await;
    let metadata = json!({ "title": "Tea", "plan": "free" });
    let session = server.session_with(json!({ "metadata": metadata })).await;
    let sent = json!({ "content": "say x", "transport": "http" });
    let sent = server.send(&session, sent).await.expect(201).body;
    let expected = json!({ "plan": "free", "sessionId": session });
    assert_eq!(sent["userMessage"]["metadata"], expected);
    let page = server.get(&at(&session, "/messages")).await.expect(200);
    assert_eq!(page.body["messages"][1]["metadata"], expected);
    let path = format!("/api/messaging/channels/{session}/messages");
    let transcript = server.get(&path).await.expect(200);
    assert_eq!(transcript.body["messages"][1]["metadata"], expected);
    server.stop().await;
}
