//! An `ElizaOS` server behind an agent, with what was seen of a real one.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Server, USER, at};
use crate::stand_in::{AGENT, Call, StandIn, character, said, server_with};

const THEIRS: &str = "b850bc30-45f8-0041-a00a-83df46d8555d";
const SESSIONS: &str = "/api/messaging/sessions";

fn backend(stand_in: &StandIn, transport: &str) -> Value {
    json!({
        "type": "elizaos", "baseUrl": stand_in.url, "agentId": THEIRS, "transport": transport,
    })
}

/// Answers a session's creation.
async fn make(stand_in: &mut StandIn, name: &str) -> Value {
    let call = stand_in.next().await;
    assert_eq!(
        (call.method.as_str(), call.path.as_str()),
        ("POST", SESSIONS)
    );
    let asked = call.json();
    call.answer(201, &json!({ "sessionId": name, "agentId": THEIRS }))
        .await;
    asked
}

/// The next message, which must be for this session.
async fn message(stand_in: &mut StandIn, name: &str) -> Call {
    let call = stand_in.next().await;
    assert_eq!(call.path, format!("{SESSIONS}/{name}/messages"));
    call
}

fn reply(text: &str) -> Value {
    json!({
        "success": true, "userMessage": { "id": "x" },
        "agentResponse": { "text": text, "thought": "hm", "actions": ["REPLY"],
                           "providers": ["TIME"], "source": "api" },
        "sessionStatus": {},
    })
}

#[tokio::test]
async fn a_session_there_is_made_when_first_needed_and_kept_with_ours() {
    let mut stand_in = StandIn::start().await;
    let mut server = server_with(backend(&stand_in, "http")).await;
    let session = server
        .session_with(json!({ "agentId": AGENT, "metadata": { "plan": "free" } }))
        .await;
    stand_in.expect_nothing().await;
    let asking = server.wait_for(&session, "One");
    let asked = make(&mut stand_in, "their-1").await;
    assert_eq!(
        asked,
        json!({
            "agentId": THEIRS, "userId": USER, "metadata": { "plan": "free" },
            "timeoutConfig": { "timeoutMinutes": 30, "autoRenew": true,
                               "maxDurationMinutes": 720 },
        })
    );
    let call = message(&mut stand_in, "their-1").await;
    let asked = call.json();
    assert_eq!(
        (&asked["content"], &asked["transport"]),
        (&json!("One"), &json!("http"))
    );
    call.answer(201, &reply("First.")).await;
    let answer = asking.await.unwrap().expect(201);
    let response = &answer.body["agentResponse"];
    assert_eq!(response["text"], "First.");
    assert_eq!(response["thought"], "hm");
    assert_eq!(response["actions"], json!(["REPLY"]));

    server.restart().await;
    let asking = server.wait_for(&session, "Two");
    let call = message(&mut stand_in, "their-1").await;
    // The other form that its versions have.
    call.answer(201, &json!({ "success": true, "data": reply("Second.") }))
        .await;
    asking.await.unwrap().expect(201);

    // Another session has one of its own.
    let other = server.talk().await;
    let asking = server.wait_for(&other, "Three");
    make(&mut stand_in, "their-2").await;
    message(&mut stand_in, "their-2")
        .await
        .answer(201, &reply("Third."))
        .await;
    asking.await.unwrap().expect(201);
    server.stop().await;
}

#[tokio::test]
async fn a_session_that_is_lost_there_is_made_anew() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in, "http");
    settings["apiKeyEnv"] = "ELIZA_KEY".into();
    let server = Server::builder()
        // No header can carry the blanks around a key.
        .set("ELIZA_KEY", " their-key\n")
        .character("agent.json", &character(AGENT, &settings))
        .start()
        .await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "One");
    make(&mut stand_in, "s0").await;
    let call = message(&mut stand_in, "s0").await;
    assert_eq!(call.header("x-api-key"), Some("their-key"));
    call.answer(201, &reply("Yes.")).await;
    asking.await.unwrap().expect(201);
    for (number, status) in [(1, 404), (2, 410)] {
        let asking = server.wait_for(&session, "Again");
        let before = format!("s{}", number - 1);
        let error = json!({ "success": false, "error": { "code": "SESSION_NOT_FOUND" } });
        message(&mut stand_in, &before)
            .await
            .answer(status, &error)
            .await;
        let name = format!("s{number}");
        make(&mut stand_in, &name).await;
        message(&mut stand_in, &name)
            .await
            .answer(201, &reply("Yes."))
            .await;
        asking.await.unwrap().expect(201);
    }
    // One that is lost as soon as it is made is not made over and over.
    let asking = server.wait_for(&session, "Again");
    message(&mut stand_in, "s2")
        .await
        .answer(404, &json!({ "error": "Session not found" }))
        .await;
    make(&mut stand_in, "s3").await;
    message(&mut stand_in, "s3")
        .await
        .answer(404, &json!({ "error": "Agent not found" }))
        .await;
    asking.await.unwrap().expect(502);
    server.stop().await;
}

#[tokio::test]
async fn an_answer_without_a_reply_is_tried_again() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in, "http")).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "One");
    make(&mut stand_in, "s").await;
    let mut nothing = reply("");
    nothing["agentResponse"] = Value::Null;
    message(&mut stand_in, "s")
        .await
        .answer(201, &nothing)
        .await;
    // The session that was made stays.
    let call = stand_in.next_in_time(&server).await;
    assert_eq!(call.path, format!("{SESSIONS}/s/messages"));
    call.answer(201, &nothing).await;
    let call = stand_in.next_in_time(&server).await;
    call.answer(201, &reply("There.")).await;
    let answer = asking.await.unwrap().expect(201);
    assert_eq!(answer.body["agentResponse"]["text"], "There.");
    server.stop().await;
}

#[tokio::test]
async fn a_reply_is_streamed_as_it_comes_from_there() {
    let mut stand_in = StandIn::start().await;
    // Its stream is what is asked for where nothing else is said; its agent has our id.
    let settings = json!({ "type": "elizaos", "baseUrl": format!("{}/", stand_in.url) });
    let server = server_with(settings).await;
    let session = server.talk().await;
    let mut events = server.stream(&session, "One").await;
    events.expect("user_message").await;
    let asked = make(&mut stand_in, "s").await;
    assert_eq!(asked["agentId"], AGENT);
    let mut call = message(&mut stand_in, "s").await;
    assert_eq!(call.json()["transport"], "sse");
    call.open_stream().await;
    call.event("user_message", &json!({ "id": "x" })).await;
    call.event(
        "chunk",
        &json!({ "messageId": "x", "chunk": "Well, ", "index": 0 }),
    )
    .await;
    assert_eq!(events.expect("chunk").await["chunk"], "Well, ");
    call.event(
        "done",
        &json!({ "text": "Well, well.", "thought": "hm", "providers": [] }),
    )
    .await;
    let done = events.expect("done").await;
    assert_eq!(
        (&done["text"], &done["thought"]),
        (&json!("Well, well."), &json!("hm"))
    );

    let mut events = server.stream(&session, "Two").await;
    events.expect("user_message").await;
    let mut call = message(&mut stand_in, "s").await;
    call.open_stream().await;
    call.event("error", &json!({ "error": "model failed" }))
        .await;
    assert_eq!(events.expect("error").await["code"], "AGENT_ERROR");
    server.stop().await;
}

#[tokio::test]
async fn a_stream_that_never_ends_is_caught_by_the_turns_time() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in, "sse")).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "One");
    make(&mut stand_in, "s").await;
    let mut call = message(&mut stand_in, "s").await;
    call.open_stream().await;
    call.event("user_message", &json!({ "id": "x" })).await;
    call.write(": keep-alive\n\n").await;
    server.advance(Duration::from_mins(2));
    asking
        .await
        .unwrap()
        .error(504, "AGENT_TIMEOUT", "AgentTimeoutError");
    call.expect_gone().await;
    assert_eq!(server.said(&session).await, said(&[("One", false)]));
    server.stop().await;
}

#[tokio::test]
async fn its_limit_of_requests_is_not_waited_out() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in, "http")).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "One");
    let call = stand_in.next().await;
    call.answer_with(429, &[("retry-after", "900")], "Too many requests")
        .await;
    asking
        .await
        .unwrap()
        .error(502, "AGENT_ERROR", "AgentError");
    stand_in.expect_nothing().await;
    server.stop().await;
}

#[tokio::test]
async fn renewing_ours_renews_theirs() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in, "http")).await;
    let session = server.talk().await;
    // There is nothing to renew yet.
    server
        .post(&at(&session, "/renew"), json!({}))
        .await
        .expect(200);
    stand_in.expect_nothing().await;
    let asking = server.wait_for(&session, "One");
    make(&mut stand_in, "s").await;
    message(&mut stand_in, "s")
        .await
        .answer(201, &reply("Yes."))
        .await;
    asking.await.unwrap().expect(201);
    for call in ["/renew", "/heartbeat"] {
        server
            .post(&at(&session, call), json!({}))
            .await
            .expect(200);
        let renewal = stand_in.next().await;
        assert_eq!(renewal.path, format!("{SESSIONS}/s/renew"));
        // Whatever comes of it is no trouble of the caller's.
        renewal.answer(422, &json!({ "error": "no" })).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_session_without_a_sane_name_is_none() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in, "http")).await;
    for made in [
        json!({}),
        json!({ "sessionId": "" }),
        json!({ "sessionId": "../agents" }),
        json!({ "sessionId": 7 }),
    ] {
        let session = server.talk().await;
        let asking = server.wait_for(&session, "One");
        stand_in.next().await.answer(201, &made).await;
        asking.await.unwrap().expect(502);
    }
    stand_in.expect_nothing().await;
    server.stop().await;
}
