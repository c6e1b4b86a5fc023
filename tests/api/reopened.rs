//! Failed turns that are reopened by a repeat of their message.

use serde_json::json;

use crate::harness::{Answer, Events, HOUR, MINUTE, SECOND, Server, at, contents};

/// Takes longer than an agent's timeout of two minutes.
const SLOW: &str = "wait 200000|say so:|history";

/// Returns a key made of the message's text.
fn key_of(content: &str) -> String {
    content
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect()
}

async fn send(server: &Server, session: &str, content: &str, transport: &str) -> Answer {
    let key = key_of(content);
    let fields = json!({ "content": content, "transport": transport, "clientMessageId": key });
    server.send(session, fields).await
}

/// Returns a server whose agent timed out on [`SLOW`] and now has a longer timeout. The session has
/// one turn before it and one after it.
async fn after_a_failure() -> (Server, String) {
    let builder = Server::builder().agent_timeout(2 * MINUTE);
    let mut server = builder.start().await;
    let config = json!({ "timeoutMinutes": 60, "autoRenew": false });
    let session = server
        .session_with(json!({ "timeoutConfig": config }))
        .await;
    server.ask(&session, "say zero").await;
    send(&server, &session, SLOW, "websocket").await.expect(201);
    server.settle().await;
    server.advance(2 * MINUTE);
    assert_eq!(server.ask(&session, "say two").await, "two");
    let failed = server.history(&session).await[2].clone();
    assert_eq!(failed["metadata"]["agentError"]["code"], "AGENT_TIMEOUT");
    server.restart_with(|setup| setup.agent_timeout(HOUR)).await;
    (server, session)
}

#[tokio::test]
async fn a_reopened_turn_is_answered_and_its_error_removed() {
    let (server, session) = after_a_failure().await;
    let before = server.info(&session).await;
    let repeat = send(&server, &session, SLOW, "websocket").await.expect(201);
    assert_eq!(repeat.header("idempotent-replayed"), "true");
    assert_eq!(repeat.body["sessionStatus"]["wasRenewed"], false);
    assert_eq!(repeat.body["metadata"].get("agentError"), None, "at once");
    let failed = &server.history(&session).await[2];
    assert_eq!(failed["id"], repeat.body["id"]);
    assert_eq!(failed["metadata"], json!({ "sessionId": session }));
    server.settle().await;
    server.advance(MINUTE * 4);
    let history = server.history_of(&session, 6).await;
    let reply = &history[5];
    assert_eq!(reply["inReplyTo"], repeat.body["id"]);
    assert_eq!(
        reply["content"], "so:say zero > zero",
        "it sees only the turns before its own"
    );
    assert_eq!(history[2]["metadata"], json!({ "sessionId": session }));
    assert_eq!(
        server.info(&session).await["lastActivity"],
        before["lastActivity"]
    );
    assert_eq!(
        server.info(&session).await["expiresAt"],
        before["expiresAt"]
    );

    let again = send(&server, &session, SLOW, "http").await.expect(201);
    assert_eq!(again.body["agentResponse"]["id"], reply["id"]);
    let asked = server.ask(&session, "history").await;
    assert_eq!(
        asked,
        format!("say zero > zero; {SLOW} > so:say zero > zero; say two > two")
    );
    server.stop().await;
}

#[tokio::test]
async fn a_reopened_turn_is_streamed_under_the_original_reply_id() {
    let (server, session) = after_a_failure().await;
    let fields = json!({ "content": SLOW, "transport": "sse", "clientMessageId": key_of(SLOW) });
    let request = server.sending(&session, &fields);
    let mut events = Events::open(request).await;
    assert_eq!(events.headers()["idempotent-replayed"], "true");
    events.expect("user_message").await;
    server.settle().await;
    server.advance(4 * MINUTE);
    let chunk = events.expect("chunk").await;
    assert_eq!(
        (&chunk["chunk"], &chunk["index"]),
        (&json!("so:"), &json!(0))
    );
    let done = events.end("done").await;
    assert_eq!(done["id"], chunk["messageId"]);
    server.stop().await;
}

#[tokio::test]
async fn a_reopened_turn_waits_behind_open_turns() {
    let (server, session) = after_a_failure().await;
    let running = server.begin(&session, "say x|wait 1000").await;
    let repeat = send(&server, &session, SLOW, "websocket").await.expect(201);
    server.settle().await;
    server.advance(SECOND);
    running.end("done").await;
    server.settle().await;
    server.advance(4 * MINUTE);
    let history = server.history_of(&session, 8).await;
    assert_eq!(contents(&history[6..]), ["x", "so:say zero > zero"]);
    assert_eq!(history[7]["inReplyTo"], repeat.body["id"]);
    server.stop().await;
}

#[tokio::test]
async fn a_reopened_turn_counts_against_the_limit_of_open_turns() {
    let (server, session) = after_a_failure().await;
    let running = server.begin(&session, "say x|wait 1000").await;
    for _ in 0..15 {
        server.tell(&session, "say y").await;
    }
    let refused = send(&server, &session, SLOW, "http").await;
    refused.error(429, "RATE_LIMIT_EXCEEDED", "RateLimitError");
    assert_eq!(refused.header("retry-after"), "1");
    let failed = &server.history(&session).await[2];
    assert_eq!(
        failed["metadata"]["agentError"]["code"], "AGENT_TIMEOUT",
        "nothing has changed"
    );
    server.advance(SECOND);
    running.end("done").await;
    server.stop().await;
}

#[tokio::test]
async fn a_reopened_turn_can_fail_again() {
    let server = Server::start().await;
    let session = server.session().await;
    for round in 0..3 {
        let failed = send(&server, &session, "fail", "http").await;
        let details = failed.error(502, "AGENT_ERROR", "AgentError");
        assert_eq!(details["pending"], false);
        assert_eq!(server.history(&session).await.len(), 1, "round {round}");
    }
    let error = server.history(&session).await[0]["metadata"]["agentError"].clone();
    assert_eq!(error["code"], "AGENT_ERROR");
    server.stop().await;
}

#[tokio::test]
async fn a_turn_of_an_expired_session_is_not_reopened() {
    let (server, session) = after_a_failure().await;
    server.advance(HOUR);
    for transport in ["websocket", "http", "sse"] {
        let expired = send(&server, &session, SLOW, transport).await;
        let details = expired.error(410, "SESSION_EXPIRED", "SessionExpiredError");
        assert_eq!(details["sessionId"], session);
    }
    let failed = &server.history(&session).await[2];
    assert_eq!(failed["metadata"]["agentError"]["code"], "AGENT_TIMEOUT");
    server.get(&at(&session, "")).await.expect(410);
    server.stop().await;
}

#[tokio::test]
async fn a_repeat_with_another_body_is_a_conflict() {
    let (server, session) = after_a_failure().await;
    let fields = json!({ "content": "other", "clientMessageId": key_of(SLOW) });
    server.send(&session, fields).await.expect(409);
    let failed = &server.history(&session).await[2];
    assert_eq!(failed["metadata"]["agentError"]["code"], "AGENT_TIMEOUT");
    server.stop().await;
}
