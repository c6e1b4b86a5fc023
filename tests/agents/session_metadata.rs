//! Session metadata that comes with a reply.

use serde_json::{Value, json};

use crate::harness::{Server, UNKNOWN_ID};
use crate::stand_in::{AGENT, StandIn, server_with};

async fn metadata(server: &Server, session: &str) -> Value {
    server.info(session).await["metadata"].clone()
}

/// Asks an agent behind a webhook, which answers like this.
async fn answered(server: &Server, stand_in: &mut StandIn, session: &str, answer: &Value) {
    let asking = server.wait_for(session, "Hello?");
    stand_in.next().await.answer(200, answer).await;
    let answered = asking.await.unwrap().expect(201).body;
    assert_eq!(answered["agentResponse"]["text"], answer["text"]);
}

#[tokio::test]
async fn a_webhook_changes_the_metadata_with_its_reply() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(json!({ "type": "webhook", "url": stand_in.url })).await;
    let fields = json!({ "agentId": AGENT, "metadata": { "plan": "free" } });
    let session = server.session_with(fields).await;
    let answer = json!({ "text": "Hi.", "sessionMetadata": { "title": "Tea", "plan": null } });
    answered(&server, &mut stand_in, &session, &answer).await;
    assert_eq!(metadata(&server, &session).await, json!({ "title": "Tea" }));
    // It is not part of the message.
    let reply = &server.history(&session).await[1];
    assert_eq!(reply["metadata"], json!({ "sessionId": session }));

    // What cannot be merged is left out; the reply is stored.
    for wrong in [json!([1]), json!("x"), json!({ "a": "x".repeat(10_240) })] {
        let answer = json!({ "text": "Still here.", "sessionMetadata": wrong });
        answered(&server, &mut stand_in, &session, &answer).await;
        assert_eq!(metadata(&server, &session).await, json!({ "title": "Tea" }));
    }

    // Of a stream too.
    let asking = server.wait_for(&session, "And?");
    let mut call = stand_in.next().await;
    call.open_stream().await;
    call.event("chunk", &json!({ "chunk": "Yes." })).await;
    let done = json!({ "text": "Yes.", "sessionMetadata": { "topic": { "a": 1 } } });
    call.event("done", &done).await;
    call.done().await;
    asking.await.unwrap().expect(201);
    let expected = json!({ "title": "Tea", "topic": { "a": 1 } });
    assert_eq!(metadata(&server, &session).await, expected);
    server.stop().await;
}

#[tokio::test]
async fn a_submit_changes_the_metadata_with_its_reply() {
    let server = server_with(json!({ "type": "external" })).await;
    let session = server.talk().await;
    server.tell(&session, "Hello?").await;
    let refused = server
        .submit(&session, json!({ "sessionMetadata": [] }))
        .await;
    let details = refused.invalid("InvalidMetadataError");
    let reason = "sessionMetadata must be an object, not an array";
    assert_eq!(details, json!({ "reason": reason, "maxBytes": 10_240 }));
    let large = json!({ "sessionMetadata": { "a": "x".repeat(10_240) } });
    let refused = server.submit(&session, large).await;
    refused.invalid("InvalidMetadataError");
    assert_eq!(server.history(&session).await.len(), 1, "nothing is stored");

    let fields = json!({ "messageId": "k", "sessionMetadata": { "title": "Tea", "n": 1e2 } });
    let submitted = server.submit(&session, fields).await.expect(201);
    assert!(submitted.body["data"]["metadata"].get("title").is_none());
    let expected = json!({ "title": "Tea", "n": 100.0 });
    assert_eq!(metadata(&server, &session).await, expected);
    server.stop().await;
}

#[tokio::test]
async fn a_submit_key_compares_session_metadata() {
    let mut server = server_with(json!({ "type": "external" })).await;
    let session = server.talk().await;
    server.tell(&session, "Hello?").await;
    let fields = |metadata: Value| json!({ "messageId": "k", "sessionMetadata": metadata });
    let first = server
        .submit(&session, fields(json!({ "a": 1, "b": 2 })))
        .await;
    first.expect(201);
    server.restart().await;
    let same = server
        .submit(&session, fields(json!({ "b": 2.0, "a": 1 })))
        .await;
    assert_eq!(same.expect(201).header("idempotent-replayed"), "true");
    for other in [json!({ "a": 1 }), json!({ "a": 1, "b": 3 }), Value::Null] {
        let conflict = server.submit(&session, fields(other)).await;
        conflict.error(409, "IDEMPOTENCY_CONFLICT", "IdempotencyConflictError");
    }

    // With an error it changes nothing, but its key compares it.
    server.tell(&session, "And?").await;
    let failing = |metadata: Value| {
        json!({ "messageId": "e", "content": null, "error": { "message": "No." },
                "sessionMetadata": metadata })
    };
    let before = metadata(&server, &session).await;
    server
        .submit(&session, failing(json!({ "c": 1 })))
        .await
        .expect(201);
    assert_eq!(metadata(&server, &session).await, before);
    let same = server.submit(&session, failing(json!({ "c": 1.0 }))).await;
    assert_eq!(same.expect(201).header("idempotent-replayed"), "true");
    let conflict = server.submit(&session, failing(json!({ "c": 2 }))).await;
    conflict.error(409, "IDEMPOTENCY_CONFLICT", "IdempotencyConflictError");
    let unknown = server.submit(UNKNOWN_ID, fields(json!({}))).await;
    unknown.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    server.stop().await;
}
