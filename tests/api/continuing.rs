//! Sessions that continue others.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Answer, ELIZA, HOUR, MINUTE, SCRIPTED, SESSIONS, Server, UNKNOWN_ID, USER, answer, at, contents,
};
use crate::jwt;

const OTHER: &str = "22222222-0000-0000-0000-000000000002";

async fn continuing(server: &Server, from: Value) -> Answer {
    server.create(json!({ "continueFrom": from })).await
}

/// Continues a session and returns the new one.
async fn continued(server: &Server, from: Value) -> Value {
    continuing(server, from).await.expect(201).body
}

fn id(session: &Value) -> &str {
    session["sessionId"].as_str().unwrap()
}

#[tokio::test]
async fn a_copy_has_what_was_said_under_new_ids() {
    let mut server = Server::start().await;
    let metadata = json!({ "plan": "free" });
    let source = server.session_with(json!({ "metadata": metadata })).await;
    let sent = json!({
        "content": "think hm | act WAVE | say Hello", "transport": "http",
        "clientMessageId": "k", "metadata": { "mood": "fine" },
        "attachments": [{ "type": "image", "url": "https://example.org/a.png" }],
    });
    server.send(&source, sent.clone()).await.expect(201);
    server
        .send(&source, json!({ "content": "fail", "transport": "http" }))
        .await
        .expect(502);
    let waiting = server.begin(&source, "say a | hold").await;
    let originals = server.history(&source).await;
    server.advance(5 * MINUTE);

    let session = continued(&server, json!({ "sessionId": source })).await;
    assert_eq!(
        session["continuedFrom"],
        json!({ "sessionId": source, "messageId": originals[3]["id"], "copied": 4,
                "complete": true })
    );
    assert_eq!(session["metadata"], json!({}), "the metadata is not copied");
    let copies = server.history(id(&session)).await;
    assert_eq!(copies.len(), 4);
    for (copy, original) in copies.iter().zip(&originals) {
        assert_ne!(copy["id"], original["id"]);
        for field in ["content", "authorId", "isAgent", "createdAt", "attachments"] {
            assert_eq!(copy[field], original[field]);
        }
    }
    assert_eq!(copies[1]["inReplyTo"], copies[0]["id"]);
    assert_eq!(
        copies[0]["metadata"],
        json!({ "mood": "fine", "sessionId": id(&session) })
    );
    assert_eq!(
        copies[1]["metadata"],
        json!({ "thought": "hm", "actions": ["WAVE"], "sessionId": id(&session) })
    );
    let error = &originals[2]["metadata"]["agentError"];
    assert_eq!(copies[2]["metadata"]["agentError"], *error);
    assert!(error.is_object());
    // The open turn was not copied.
    let own = json!({ "sessionId": id(&session) });
    assert_eq!(copies[3]["metadata"], own);
    assert!(copies[0]["createdAt"].as_str() < session["createdAt"].as_str());

    // Nor were the keys: the same one names another message.
    let again = server.send(id(&session), sent).await.expect(201);
    assert!(!again.has_header("idempotent-replayed"));

    // The source does not change, and may go.
    drop(waiting);
    server.delete(&at(&source, "")).await.expect(200);
    server.restart().await;
    let info = server.info(id(&session)).await;
    assert_eq!(info["continuedFrom"], session["continuedFrom"]);
    assert_eq!(server.history(id(&session)).await[..4], copies);
    server.stop().await;
}

#[tokio::test]
async fn the_agent_sees_the_copy_as_history() {
    let server = Server::start().await;
    let source = server.session().await;
    server.ask(&source, "say one").await;
    server.ask(&source, "say two").await;
    let session = continued(&server, json!({ "sessionId": source })).await;
    let seen = server.ask(id(&session), "history").await;
    let original = server.ask(&source, "history").await;
    assert_eq!(seen, original);
    assert!(seen.contains("two"), "{seen}");
    server.stop().await;
}

#[tokio::test]
async fn a_message_is_edited_by_continuing_up_to_the_one_before_it() {
    let server = Server::start().await;
    let source = server.session().await;
    server.ask(&source, "say one").await;
    let reply = server.history(&source).await[1]["id"].clone();
    server.ask(&source, "say two").await;
    let from = json!({ "sessionId": source, "upToMessageId": reply });
    let session = continued(&server, from).await;
    assert_eq!(
        session["continuedFrom"],
        json!({ "sessionId": source, "messageId": reply, "copied": 2, "complete": true })
    );
    server.ask(id(&session), "say three").await;
    let history = server.history(id(&session)).await;
    assert_eq!(contents(&history), ["say one", "one", "say three", "three"]);
    assert_eq!(server.history(&source).await.len(), 4);

    // Up to a message whose reply stays behind: it has none, and no error.
    let first = server.history(&source).await[0]["id"].clone();
    let from = json!({ "sessionId": source, "upToMessageId": first });
    let session = continued(&server, from).await;
    let history = server.history(id(&session)).await;
    assert_eq!(contents(&history), ["say one"]);
    assert_eq!(history[0]["metadata"], json!({ "sessionId": id(&session) }));
    // It is not answered later.
    server.settle().await;
    assert_eq!(server.history(id(&session)).await.len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_session_that_does_not_continue_another_does_not_say_so() {
    let server = Server::start().await;
    let null = server
        .create(json!({ "continueFrom": null }))
        .await
        .expect(201);
    assert!(null.body.get("continuedFrom").is_none());
    let source = server.session().await;
    let session = continued(&server, json!({ "sessionId": source })).await;
    assert_eq!(
        session["continuedFrom"],
        json!({ "sessionId": source, "messageId": null, "copied": 0, "complete": true })
    );
    let listed = server
        .get(&format!("{SESSIONS}?userId={USER}"))
        .await
        .expect(200);
    let listed = listed.body["sessions"].as_array().unwrap();
    assert!(listed.contains(&session));
    server.stop().await;
}

#[tokio::test]
async fn invalid_sources_are_refused() {
    let server = Server::start().await;
    let session = server.session().await;
    for (from, found) in [
        (json!([]), "an array"),
        (json!("x"), "a string"),
        (json!(1), "a number"),
        (json!(false), "a boolean"),
    ] {
        let details = continuing(&server, from).await.invalid("InvalidBodyError");
        let reason = format!("continueFrom must be an object, not {found}");
        assert_eq!(details["reason"], reason);
    }
    for from in [
        json!({}),
        json!({ "sessionId": null }),
        json!({ "sessionId": "" }),
    ] {
        let details = continuing(&server, from)
            .await
            .invalid("MissingFieldsError");
        assert_eq!(details["missingFields"], json!(["continueFrom.sessionId"]));
    }
    for from in [json!({ "sessionId": "abc-123" }), json!({ "sessionId": 7 })] {
        let details = continuing(&server, from).await.invalid("InvalidUuidError");
        assert_eq!(details["field"], "continueFrom.sessionId");
    }
    for last in [json!("abc-123"), json!(7), json!("")] {
        let from = json!({ "sessionId": session, "upToMessageId": last });
        let details = continuing(&server, from).await.invalid("InvalidUuidError");
        assert_eq!(details["field"], "continueFrom.upToMessageId");
    }
    let from = json!({ "sessionId": session, "upToMessageId": null });
    continued(&server, from).await;
    // The fields before it come first.
    let both = json!({ "timeoutConfig": [], "continueFrom": [] });
    server
        .create(both)
        .await
        .invalid("InvalidTimeoutConfigError");
    server.stop().await;
}

#[tokio::test]
async fn the_source_must_be_of_the_same_user_and_agent() {
    let mut server = Server::builder()
        .set("SESSION_RETENTION_MINUTES", "120")
        .start()
        .await;
    let source = server.session().await;
    let last = server.tell(&source, "say x").await;
    let missing = |refused: &Answer, id: &str| {
        let details = refused.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
        assert_eq!(details, json!({ "sessionId": id }));
    };
    let from = json!({ "sessionId": source, "upToMessageId": UNKNOWN_ID });
    for other in [json!({ "userId": OTHER }), json!({ "agentId": ELIZA })] {
        let mut fields = other;
        fields["continueFrom"] = from.clone();
        missing(&server.create(fields).await, &source);
    }
    let unknown = json!({ "sessionId": UNKNOWN_ID, "upToMessageId": last });
    missing(&continuing(&server, unknown).await, UNKNOWN_ID);
    // The agent is checked before the source.
    let fields = json!({ "agentId": UNKNOWN_ID, "continueFrom": from });
    let refused = server.create(fields).await;
    refused.error(404, "AGENT_NOT_FOUND", "AgentNotFoundError");
    // And the message after it.
    let refused = continuing(&server, from).await;
    let details = refused.error(404, "MESSAGE_NOT_FOUND", "MessageNotFoundError");
    assert_eq!(details, json!({ "messageId": UNKNOWN_ID }));
    // A message of another session is not in this one.
    let other = server.session().await;
    let from = json!({ "sessionId": other, "upToMessageId": last });
    let refused = continuing(&server, from).await;
    refused.error(404, "MESSAGE_NOT_FOUND", "MessageNotFoundError");

    // Expired, retained, gone.
    server.history_of(&source, 2).await;
    server.advance(HOUR);
    server.get(&at(&source, "")).await.expect(410);
    let session = continued(&server, json!({ "sessionId": source })).await;
    assert_eq!(session["continuedFrom"]["copied"], 2);
    server.advance(48 * HOUR);
    missing(
        &continuing(&server, json!({ "sessionId": source })).await,
        &source,
    );
    server.restart().await;
    server.stop().await;
}

#[tokio::test]
async fn a_user_continues_only_its_own_sessions() {
    let server = Server::builder().set("JWT_SECRET", jwt::KEY).start().await;
    let create = async |user: &str, mut fields: Value| {
        fields["agentId"] = json!(SCRIPTED);
        fields["userId"] = json!(user);
        let token = jwt::token(user, crate::harness::START.0 / 1000 + 24 * 3600);
        let request = server.request(Method::POST, SESSIONS).json(&fields);
        answer(request.bearer_auth(token)).await
    };
    let source = create(USER, json!({})).await.expect(201).body;
    let from = json!({ "continueFrom": { "sessionId": id(&source) } });
    let refused = create(OTHER, from.clone()).await;
    refused.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    create(USER, from).await.expect(201);
    server.stop().await;
}

#[tokio::test]
async fn a_missing_source_comes_before_limits_and_a_known_key_before_it() {
    let server = Server::builder()
        .set("RATE_LIMIT_CREATES_PER_MINUTE", "2")
        .start()
        .await;
    let source = server.session().await;
    let keyed = async |from: Value| {
        let request = server.creating(&json!({ "continueFrom": from }));
        answer(request.header("idempotency-key", "k")).await
    };
    let from = json!({ "sessionId": source });
    let session = keyed(from.clone()).await.expect(201).body;
    // The limit is reached.
    let unknown = continuing(&server, json!({ "sessionId": UNKNOWN_ID })).await;
    unknown.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    let limited = continuing(&server, from.clone()).await;
    limited.error(429, "RATE_LIMIT_EXCEEDED", "RateLimitError");
    // A repeat answers also when the source is gone, and conflicts with another source.
    server.delete(&at(&source, "")).await.expect(200);
    let repeat = keyed(from.clone()).await.expect(201);
    assert_eq!(repeat.header("idempotent-replayed"), "true");
    assert_eq!(repeat.body, session);
    for other in [
        json!({ "sessionId": UNKNOWN_ID }),
        json!({ "sessionId": source, "upToMessageId": UNKNOWN_ID }),
        Value::Null,
    ] {
        let conflict = keyed(other).await;
        conflict.error(409, "IDEMPOTENCY_CONFLICT", "IdempotencyConflictError");
    }
    server.stop().await;
}
