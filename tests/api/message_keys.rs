//! Idempotency keys of messages: form, sources and scope.

use serde_json::{Value, json};

use crate::harness::{Answer, SECOND, Server, answer, at, names};

/// Sends a message with these fields and a key in the header.
async fn send(server: &Server, session: &str, key: &str, fields: Value) -> Answer {
    let request = server.sending(session, &fields);
    answer(request.header("idempotency-key", key)).await
}

#[track_caller]
fn assert_replayed(answer: &Answer) {
    assert_eq!(answer.header("idempotent-replayed"), "true");
}

#[tokio::test]
async fn a_client_message_id_is_a_key_and_is_echoed_only_to_its_sender() {
    let server = Server::start().await;
    let session = server.session().await;
    for transport in ["http", "websocket"] {
        let id = format!("mine-{transport}");
        let fields = json!({ "content": "x", "transport": transport, "clientMessageId": id });
        let first = server.send(&session, fields.clone()).await.expect(201);
        let again = server.send(&session, fields).await.expect(201);
        assert_replayed(&again);
        for answer in [&first, &again] {
            assert_eq!(answer.body["userMessage"]["clientMessageId"], id);
            assert_eq!(answer.body["data"]["userMessage"]["clientMessageId"], id);
            assert_eq!(answer.body["id"], first.body["id"]);
            assert_eq!(answer.body.get("clientMessageId"), None);
        }
    }
    for message in server.history_of(&session, 4).await {
        assert!(!message.to_string().contains("mine-"), "{message}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_header_takes_precedence_and_keys_are_per_session() {
    let server = Server::start().await;
    let (session, other) = (server.session().await, server.session().await);
    let fields = |id: &str| json!({ "content": "x", "clientMessageId": id });
    let first = send(&server, &session, "header", fields("one"))
        .await
        .expect(201);
    assert_eq!(first.body["userMessage"]["clientMessageId"], "one");
    let again = send(&server, &session, "header", fields("two"))
        .await
        .expect(201);
    assert_replayed(&again);
    assert_eq!(again.body["userMessage"]["clientMessageId"], "two");
    assert_eq!(again.body["id"], first.body["id"]);
    let by_field = server.send(&session, fields("header")).await.expect(201);
    assert_replayed(&by_field);
    assert_eq!(by_field.body["id"], first.body["id"]);
    for (session, fields) in [(&session, fields("one")), (&other, fields("header"))] {
        let new = server.send(session, fields).await.expect(201);
        assert!(!new.has_header("idempotent-replayed"));
        assert_ne!(new.body["id"], first.body["id"]);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_key_is_1_to_255_visible_ascii_characters() {
    let server = Server::start().await;
    let session = server.session().await;
    let longest = "~".repeat(255);
    for key in ["!", "a", "~", "a\"b\\c", &longest] {
        let fields = json!({ "content": key, "transport": "http" });
        send(&server, &session, key, fields.clone())
            .await
            .expect(201);
        assert_replayed(
            &send(&server, &session, key, fields.clone())
                .await
                .expect(201),
        );
        let mut by_field = fields;
        by_field["clientMessageId"] = json!(key);
        assert_replayed(&server.send(&session, by_field).await.expect(201));
    }
    let too_long = "a".repeat(256);
    for key in ["", "a b", "a\tb", "ä", &too_long] {
        let refused = send(&server, &session, key, json!({ "content": "x" })).await;
        assert_eq!(
            names(&refused.invalid("InvalidBodyError")),
            ["reason"],
            "{key:?}"
        );
        let created = server.creating(&json!({})).header("idempotency-key", key);
        answer(created).await.invalid("InvalidBodyError");
    }
    for id in [
        json!(""),
        json!("a b"),
        json!("a\nb"),
        json!("ä"),
        json!(too_long),
        json!(5),
        json!(true),
        json!([]),
        json!({}),
    ] {
        let fields = json!({ "content": "x", "clientMessageId": id });
        let refused = server.send(&session, fields).await;
        assert_eq!(
            names(&refused.invalid("InvalidContentError")),
            ["reason"],
            "{id}"
        );
    }
    let absent = json!({ "content": "x", "clientMessageId": null, "transport": "http" });
    for _ in 0..2 {
        let sent = server.send(&session, absent.clone()).await.expect(201);
        assert!(!sent.has_header("idempotent-replayed"));
        assert_eq!(sent.body["userMessage"].get("clientMessageId"), None);
    }
    server.stop().await;
}

#[tokio::test]
async fn another_body_under_the_same_key_is_a_conflict() {
    let server = Server::start().await;
    let session = server.session().await;
    let body = json!({ "content": "x", "metadata": { "a": 1, "b": [2] },
                       "attachments": [{ "type": "t", "url": "u" }] });
    let first = send(&server, &session, "k", body.clone()).await.expect(201);
    server.history_of(&session, 2).await;
    for (field, other) in [
        ("content", json!("y")),
        ("content", json!("X")),
        ("metadata", json!({ "a": 1 })),
        ("metadata", json!({ "a": 1, "b": [2], "c": 3 })),
        ("metadata", json!(null)),
        ("attachments", json!([{ "type": "t", "url": "v" }])),
        ("attachments", json!(null)),
    ] {
        for transport in ["websocket", "http", "sse"] {
            let mut changed = body.clone();
            changed[field] = other.clone();
            changed["transport"] = json!(transport);
            let refused = send(&server, &session, "k", changed).await;
            let details = refused.error(409, "IDEMPOTENCY_CONFLICT", "IdempotencyConflictError");
            assert_eq!(details, json!({ "key": "k" }), "{field}: {other}");
        }
    }
    // An equivalent body; fields that a client cannot set are not compared.
    let same = json!({
        "content": "x",
        "metadata": { "b": [2], "a": 1, "sessionId": "?", "agentError": 5 },
        "attachments": [{ "url": "u", "type": "t" }],
        "transport": "http",
    });
    let again = send(&server, &session, "k", same).await.expect(201);
    assert_replayed(&again);
    assert_eq!(again.body["id"], first.body["id"]);
    assert_eq!(server.history(&session).await.len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn a_key_is_deleted_with_its_session() {
    let server = Server::start().await;
    let session = server.session().await;
    let fields = json!({ "content": "x", "transport": "http" });
    send(&server, &session, "k", fields.clone())
        .await
        .expect(201);
    server.delete(&at(&session, "")).await.expect(200);
    send(&server, &session, "k", fields).await.expect(404);
    server.stop().await;
}

#[tokio::test]
async fn a_refused_call_does_not_consume_its_key() {
    let server = Server::start().await;
    let session = server.session().await;
    let wrong = json!({ "content": "a", "metadata": 5 });
    send(&server, &session, "k", wrong).await.expect(400);
    let running = server.begin(&session, "say x|wait 1000").await;
    for _ in 0..15 {
        server.tell(&session, "x").await;
    }
    send(&server, &session, "k", json!({ "content": "b" }))
        .await
        .expect(429);
    server.advance(SECOND);
    running.end("done").await;
    server.history_of(&session, 32).await;
    let fields = json!({ "content": "c", "transport": "http" });
    let sent = send(&server, &session, "k", fields).await.expect(201);
    assert!(!sent.has_header("idempotent-replayed"));
    server.stop().await;
}

#[tokio::test]
async fn a_repeat_without_a_reply_is_marked_as_replayed() {
    let server = Server::start().await;
    let session = server.session().await;
    let fields = || json!({ "content": "fail", "transport": "http", "clientMessageId": "mine" });
    for is_repeat in [false, true] {
        let failed = server.send(&session, fields()).await.expect(502);
        let details = failed.error(502, "AGENT_ERROR", "AgentError");
        assert_eq!(details["userMessage"]["clientMessageId"], "mine");
        let marked = failed.headers.get("idempotent-replayed");
        assert_eq!(marked.is_some(), is_repeat);
    }
    server.stop().await;
}
