//! An `ElizaOS` server behind an agent; its answers were recorded from a real one.

use serde_json::{Value, json};

use crate::harness::{SECOND, Server, USER};
use crate::stand_in::{AGENT, Call, StandIn, character, said, server_with};

pub(crate) const THEIRS: &str = "b850bc30-45f8-0041-a00a-83df46d8555d";
pub(crate) const SESSIONS: &str = "/api/messaging/sessions";

pub(crate) fn backend(stand_in: &StandIn, transport: &str) -> Value {
    json!({
        "type": "elizaos", "baseUrl": stand_in.url, "agentId": THEIRS, "transport": transport,
    })
}

/// Answers the creation of a remote session.
pub(crate) async fn make(stand_in: &mut StandIn, name: &str) -> Value {
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

/// Returns the next message, which must be for this remote session.
pub(crate) async fn message(stand_in: &mut StandIn, name: &str) -> Call {
    let call = stand_in.next().await;
    assert_eq!(call.path, format!("{SESSIONS}/{name}/messages"));
    call
}

pub(crate) fn reply(text: &str) -> Value {
    json!({
        "success": true, "userMessage": { "id": "e07d8917-8a02-42b2-a96f-82098b94dbb0" },
        "agentResponse": { "thought": "hm", "actions": ["REPLY"], "text": text, "providers": [],
                           "simple": true, "responseId": "9002b380-80fd-4c71-9adb-61852eeb6ca4",
                           "inReplyTo": "d1c88e9b-2f2f-020f-84be-28c32eddf9bb" },
        "sessionStatus": { "expiresAt": "2026-11-30T08:11:02.194Z", "renewalCount": 1,
                           "wasRenewed": true, "isNearExpiration": false },
    })
}

/// Creates a session with one answered message.
pub(crate) async fn talked(server: &Server, stand_in: &mut StandIn) -> String {
    let session = server.talk().await;
    let asking = server.wait_for(&session, "One");
    make(stand_in, "s").await;
    message(stand_in, "s")
        .await
        .answer(201, &reply("Yes."))
        .await;
    asking.await.unwrap().expect(201);
    session
}

#[tokio::test]
async fn a_reply_may_begin_after_the_idle_timeout() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in, "http")).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "One");
    make(&mut stand_in, "s").await;
    let call = message(&mut stand_in, "s").await;
    server.advance(300 * SECOND);
    server.settle().await;
    call.answer(201, &reply("Yes.")).await;
    asking.await.unwrap().expect(201);
    server.stop().await;
}

#[tokio::test]
async fn a_remote_session_is_created_when_needed_and_reused() {
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
            // The highest limit that the server can have; it grants less if its limit is lower.
            "timeoutConfig": { "timeoutMinutes": 10_080, "autoRenew": true,
                               "maxDurationMinutes": 20_160 },
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
    // The format of older versions.
    call.answer(201, &json!({ "success": true, "data": reply("Second.") }))
        .await;
    asking.await.unwrap().expect(201);

    // Another session has its own remote session.
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
async fn a_lost_remote_session_is_created_anew() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in, "http");
    settings["apiKeyEnv"] = "ELIZA_KEY".into();
    let server = Server::builder()
        // No header can have the blanks around a key.
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
    // A new one that is lost at once is not created repeatedly.
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
async fn an_answer_without_a_reply_is_retried() {
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
    // The remote session stays.
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
async fn a_reply_is_streamed() {
    let mut stand_in = StandIn::start().await;
    // By default its agent has the same id.
    let settings = json!({
        "type": "elizaos", "baseUrl": format!("{}/", stand_in.url), "transport": "sse",
    });
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
async fn by_default_a_reply_is_one_chunk() {
    let mut stand_in = StandIn::start().await;
    let settings = json!({ "type": "elizaos", "baseUrl": stand_in.url });
    let server = server_with(settings).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "One");
    make(&mut stand_in, "s").await;
    let call = message(&mut stand_in, "s").await;
    assert_eq!(call.json()["transport"], "http");
    call.answer(201, &reply("Yes.")).await;
    asking.await.unwrap().expect(201);
    server.stop().await;
}

#[tokio::test]
async fn a_stream_that_never_ends_times_out_after_a_minute() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in, "sse");
    settings["maxConcurrency"] = 1.into();
    let server = server_with(settings).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "One");
    make(&mut stand_in, "s").await;
    let mut call = message(&mut stand_in, "s").await;
    call.open_stream().await;
    // The whole stream of a reply whose actions are NONE.
    call.event("user_message", &json!({ "id": "x" })).await;
    server.settle().await;
    server.advance(59 * SECOND);
    server.settle().await;
    assert!(!asking.is_finished());
    server.advance(SECOND);
    asking
        .await
        .unwrap()
        .error(504, "AGENT_TIMEOUT", "AgentTimeoutError");
    call.expect_gone().await;
    assert_eq!(server.said(&session).await, said(&[("One", false)]));

    // Its slot is free.
    let other = server.talk().await;
    let asking = server.wait_for(&other, "Two");
    make(&mut stand_in, "s2").await;
    let mut call = message(&mut stand_in, "s2").await;
    call.open_stream().await;
    call.event("done", &json!({ "text": "Yes." })).await;
    asking.await.unwrap().expect(201);
    server.stop().await;
}

#[tokio::test]
async fn a_reply_without_a_text_is_not_retried() {
    let mut stand_in = StandIn::start().await;
    let done = json!({
        "thought": "It is counted.", "actions": ["COUNT"],
        "responseId": "3224ed6b-7891-4d8d-9306-4768ba0a0fd4",
    });
    for transport in ["sse", "http"] {
        let server = server_with(backend(&stand_in, transport)).await;
        let session = server.talk().await;
        let asking = server.wait_for(&session, "Count.");
        make(&mut stand_in, "s").await;
        let mut call = message(&mut stand_in, "s").await;
        if transport == "sse" {
            call.open_stream().await;
            call.event("user_message", &json!({ "id": "x" })).await;
            call.event("done", &done).await;
        } else {
            let answer = json!({ "success": true, "agentResponse": done });
            call.answer(201, &answer).await;
        }
        let answer = asking.await.unwrap().expect(201);
        let response = &answer.body["agentResponse"];
        assert_eq!(
            (&response["text"], &response["actions"]),
            (&json!(""), &json!(["COUNT"]))
        );
        server.advance(60 * SECOND);
        stand_in.expect_nothing().await;
        let stored = server.said(&session).await;
        assert_eq!(stored, said(&[("Count.", false), ("", true)]));
        server.stop().await;
    }
}

#[tokio::test]
async fn texts_of_actions_are_part_of_the_reply() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in, "http")).await;
    let media = |url: &str| json!({ "id": "m", "url": url, "contentType": "image" });
    // The first one is the format of 1.7.2.
    for (text, callbacks, said) in [
        (
            "One moment.",
            json!({ "text": "It is 42.", "actions": ["LOOK_UP"], "responseId": "a9280645" }),
            "One moment.\n\nIt is 42.",
        ),
        (
            "",
            json!([{ "text": "Here." }, { "actions": [] }, { "text": "There." }, 7]),
            "Here.\n\nThere.",
        ),
        ("Here.", json!({ "text": "Here." }), "Here."),
        ("Here.", json!("There."), "Here."),
    ] {
        let session = server.talk().await;
        let asking = server.wait_for(&session, "One");
        make(&mut stand_in, "s").await;
        let mut answer = reply(text);
        answer["agentResponse"]["actionCallbacks"] = callbacks;
        message(&mut stand_in, "s").await.answer(201, &answer).await;
        let answer = asking.await.unwrap().expect(201);
        assert_eq!(answer.body["agentResponse"]["text"], said);
    }
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Paint.");
    make(&mut stand_in, "s").await;
    let mut answer = reply("Two.");
    answer["agentResponse"]["attachments"] = json!([media("http://localhost/1.png")]);
    answer["agentResponse"]["actionCallbacks"] =
        json!({ "text": "", "attachments": [media("http://localhost/2.png")] });
    message(&mut stand_in, "s").await.answer(201, &answer).await;
    asking.await.unwrap().expect(201);
    let history = server.history(&session).await;
    let attachments = history[1]["attachments"].as_array();
    let urls = attachments.unwrap().iter().map(|media| &media["url"]);
    assert_eq!(
        urls.collect::<Vec<_>>(),
        ["http://localhost/1.png", "http://localhost/2.png"]
    );
    server.stop().await;
}

#[tokio::test]
async fn a_long_retry_after_fails_the_turn() {
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
async fn an_invalid_remote_session_id_fails_the_turn() {
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
