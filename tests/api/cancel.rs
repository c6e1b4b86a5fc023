//! Cancelled turns.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Answer, MINUTE, SCRIPTED, Server, UNKNOWN_ID, at, contents, names};

async fn cancel(server: &Server, session: &str, body: Value) -> Answer {
    server.post(&at(session, "/cancel"), body).await
}

/// Cancels, and returns the messages whose turns were closed.
async fn cancelled(server: &Server, session: &str, body: Value) -> Vec<String> {
    let answer = cancel(server, session, body).await.expect(200).body;
    assert_eq!(names(&answer), ["success", "cancelled", "data"]);
    assert_eq!(answer["success"], true);
    let same = json!({ "success": true, "cancelled": answer["cancelled"] });
    assert_eq!(answer["data"], same);
    serde_json::from_value(answer["cancelled"].clone()).unwrap()
}

#[tokio::test]
async fn what_was_streamed_becomes_the_reply() {
    let server = Server::start().await;
    let session = server.session().await;
    let mut events = server.begin(&session, "say Half a|say  reply|hold").await;
    assert_eq!(events.expect("chunk").await["chunk"], " reply");
    let before = server.info(&session).await;
    server.advance(MINUTE);
    let closed = cancelled(&server, &session, json!({})).await;

    let done = events.end("done").await;
    assert_eq!(done["text"], "Half a reply");
    let history = server.history(&session).await;
    assert_eq!(contents(&history)[1], "Half a reply");
    assert_eq!(history[1]["id"], done["id"]);
    assert_eq!(history[1]["metadata"]["interrupted"], true);
    assert_eq!(history[1]["inReplyTo"], json!(closed[0]));
    assert_eq!(history[0]["id"], json!(closed[0]));
    assert!(history[0]["metadata"].get("agentError").is_none());
    for field in ["lastActivity", "expiresAt", "renewalCount"] {
        let now = server.info(&session).await;
        assert_eq!(now[field], before[field], "cancelling is not activity");
    }

    assert!(cancelled(&server, &session, json!({})).await.is_empty());
    assert_eq!(server.ask(&session, "say hello").await, "hello");
    server.stop().await;
}

#[tokio::test]
async fn without_text_or_if_it_is_not_wanted_there_is_no_reply() {
    let server = Server::start().await;
    for (script, body) in [
        ("hold", json!({ "keepPartial": true, "messageId": null })),
        ("say some|hold", json!({ "keepPartial": false })),
    ] {
        let session = server.session().await;
        let waiting = server.wait_for(&session, script);
        server.history_of(&session, 1).await;
        server.settle().await;
        let closed = cancelled(&server, &session, body).await;
        let failed = waiting.await.unwrap();
        let details = failed.error(409, "TURN_CANCELLED", "TurnCancelledError");
        assert_eq!(names(&details), ["agentId", "userMessage", "reason"]);
        assert_eq!(details["agentId"], SCRIPTED);
        assert_eq!(details["userMessage"]["id"], json!(closed[0]));
        let history = server.history(&session).await;
        assert_eq!(history.len(), 1, "{script}");
        let error = &history[0]["metadata"]["agentError"];
        assert_eq!(error["code"], "TURN_CANCELLED");
        assert_eq!(error["reason"], "cancelled");
        assert_eq!(details["userMessage"]["metadata"], history[0]["metadata"]);
    }
    server.stop().await;
}

#[tokio::test]
async fn turns_that_run_and_wait_in_line_are_closed_oldest_first() {
    let server = Server::start().await;
    let session = server.session().await;
    let mut sent = Vec::new();
    for content in ["hold", "say two", "say three"] {
        sent.push(server.tell(&session, content).await);
    }
    let third = json!({ "messageId": sent[2].to_uppercase() });
    assert_eq!(
        cancelled(&server, &session, third.clone()).await,
        [sent[2].clone()]
    );
    assert!(cancelled(&server, &session, third).await.is_empty());
    let unknown = json!({ "messageId": UNKNOWN_ID });
    assert!(cancelled(&server, &session, unknown).await.is_empty());
    assert_eq!(cancelled(&server, &session, json!({})).await, sent[..2]);
    assert_eq!(server.ask(&session, "say four").await, "four");
    assert_eq!(
        contents(&server.history(&session).await),
        ["hold", "say two", "say three", "say four", "four"]
    );
    server.stop().await;
}

#[tokio::test]
async fn a_repeat_of_the_message_opens_its_turn_again() {
    let server = Server::start().await;
    let session = server.session().await;
    let message = |key| json!({ "content": "say so|hold", "clientMessageId": key });
    let send = async |key| {
        let answer = server.send(&session, message(key)).await.expect(201);
        answer.body["id"].as_str().unwrap().to_owned()
    };
    let id = send("m-1").await;
    server.settle().await;
    let dropped = json!({ "keepPartial": false });
    assert_eq!(
        cancelled(&server, &session, dropped).await,
        std::slice::from_ref(&id)
    );
    assert_eq!(send("m-1").await, id);
    assert_eq!(
        server.history(&session).await[0]["metadata"].get("agentError"),
        None
    );
    server.settle().await;
    assert_eq!(cancelled(&server, &session, json!({})).await, [id]);

    let mut repeat = message("m-1");
    repeat["transport"] = "http".into();
    let repeated = server.send(&session, repeat).await.expect(201);
    assert_eq!(repeated.header("idempotent-replayed"), "true");
    assert_eq!(
        repeated.body["agentResponse"]["text"], "so",
        "the kept part"
    );
    server.stop().await;
}

#[tokio::test]
async fn bad_input_and_unknown_sessions_are_refused() {
    let server = Server::start().await;
    let session = server.session().await;
    for id in [json!("abc"), json!(""), json!(7), json!({})] {
        let body = json!({ "messageId": id });
        let details = cancel(&server, &session, body)
            .await
            .invalid("InvalidUuidError");
        assert_eq!(details["field"], "messageId");
    }
    for keep in [json!("true"), json!(1), json!([])] {
        let body = json!({ "keepPartial": keep });
        let refused = cancel(&server, &session, body).await;
        let details = refused.invalid("InvalidBodyError");
        let reason = details["reason"].as_str().unwrap();
        assert!(
            reason.contains("keepPartial must be true or false"),
            "{reason}"
        );
    }
    for (body, id) in [
        (json!({ "messageId": "abc" }), UNKNOWN_ID),
        (json!([]), "abc"),
    ] {
        let refused = cancel(&server, id, body).await;
        assert_eq!(refused.status, 400, "the request is checked first");
    }
    for id in [UNKNOWN_ID, "abc"] {
        let unknown = cancel(&server, id, json!({})).await;
        unknown.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    }
    server.tell(&session, "hold").await;
    server.advance(31 * MINUTE);
    let expired = cancel(&server, &session, json!({})).await;
    expired.error(410, "SESSION_EXPIRED", "SessionExpiredError");
    server.stop().await;
}

#[tokio::test]
async fn a_body_is_optional_and_must_be_json() {
    let server = Server::start().await;
    let session = server.session().await;
    let post = |kind: Option<&'static str>, body: &'static str| {
        let request = server.request(reqwest::Method::POST, &at(&session, "/cancel"));
        let request = request.body(body);
        let request = match kind {
            Some(kind) => request.header("content-type", kind),
            None => request,
        };
        async { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(post(None, "").await, 200);
    assert_eq!(
        post(Some("application/x-www-form-urlencoded"), "").await,
        200
    );
    assert_eq!(post(None, "{}").await, 200);
    assert_eq!(post(Some("text/plain"), "{}").await, 415);
    assert_eq!(post(None, "{").await, 400);
    server.stop().await;
}

#[tokio::test]
async fn a_cancelled_turn_frees_its_slot() {
    let server = Server::builder().agent_concurrency(1).start().await;
    let (one, two) = (server.session().await, server.session().await);
    server.tell(&one, "hold").await;
    server.settle().await;
    let waiting = server.wait_for(&two, "say at last");
    server.history_of(&two, 1).await;
    server.settle().await;
    assert!(!waiting.is_finished());
    assert_eq!(cancelled(&server, &one, json!({})).await.len(), 1);
    let answer = tokio::time::timeout(Duration::from_secs(5), waiting).await;
    let answer = answer.expect("the slot is free").unwrap().expect(201);
    assert_eq!(answer.body["agentResponse"]["text"], "at last");
    server.stop().await;
}

#[tokio::test]
async fn a_cancelled_turn_stays_closed_after_a_restart() {
    let mut server = Server::start().await;
    let session = server.session().await;
    server.tell(&session, "hold").await;
    server.settle().await;
    cancelled(&server, &session, json!({})).await;
    server.restart().await;
    server.settle().await;
    let history = server.history(&session).await;
    assert_eq!(history.len(), 1);
    assert_eq!(
        history[0]["metadata"]["agentError"]["code"],
        "TURN_CANCELLED"
    );
    assert_eq!(server.ask(&session, "say hello").await, "hello");
    server.stop().await;
}
