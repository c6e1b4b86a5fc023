//! Timeouts of agents, and replies that are incomplete by then.

use std::time::Duration;

use serde_json::{Value, json};

use crate::failures::{assert_failed, backend};
use crate::harness::{SECOND, Server};
use crate::stand_in::{StandIn, said, server_with};

/// Asserts that the stored reply has this text and is marked as truncated; returns it.
async fn assert_truncated(server: &Server, session: &str, text: &str) -> Value {
    let history = server.history(session).await;
    assert_eq!(
        server.said(session).await,
        said(&[("Hello?", false), (text, true)])
    );
    let reply = &history[1]["metadata"];
    assert_eq!(reply["truncated"], true, "{reply:#}");
    assert_eq!(history[0]["metadata"].get("agentError"), None);
    history[1].clone()
}

#[tokio::test]
async fn a_turn_has_a_timeout() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in);
    settings["timeoutSeconds"] = 30.into();
    let server = server_with(settings).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let call = stand_in.next().await;
    server.advance(Duration::from_millis(29_999));
    server.settle().await;
    assert!(!asking.is_finished());
    server.advance(Duration::from_millis(1));
    assert_failed(&server, &session, &asking.await.unwrap(), "AGENT_TIMEOUT").await;
    call.expect_gone().await;
    server.stop().await;
}

#[tokio::test]
async fn text_of_a_slow_model_is_stored_at_the_timeout() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in);
    settings["timeoutSeconds"] = 90.into();
    let server = server_with(settings).await;
    let session = server.talk().await;
    let mut events = server.stream(&session, "Hello?").await;
    events.expect("user_message").await;
    let mut call = stand_in.next().await;
    call.open_stream().await;
    let first = json!({ "model": "slow-1", "choices": [{ "delta": { "role": "assistant" } }] });
    call.write(format!("data: {first}\n\n")).await;
    // It is slow, but never silent for a minute.
    for (word, span) in [
        ("One ", 50 * SECOND),
        ("two ", 39 * SECOND),
        ("three", SECOND),
    ] {
        call.delta(word).await;
        events.expect("chunk").await;
        server.advance(span);
    }
    let done = events.expect("done").await;
    assert_eq!(done["text"], "One two three");
    assert_eq!(done["metadata"]["truncated"], true, "{done:#}");
    assert_eq!(done["metadata"]["model"], "slow-1");
    assert_truncated(&server, &session, "One two three").await;
    call.expect_gone().await;
    server.stop().await;
}

#[tokio::test]
async fn a_reply_with_a_finish_reason_is_complete_at_the_timeout() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in);
    settings["timeoutSeconds"] = 20.into();
    let server = server_with(settings).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let mut call = stand_in.next().await;
    call.open_stream().await;
    let choices = json!([{ "delta": { "content": "Yes." }, "finish_reason": "stop" }]);
    call.write(format!("data: {}\n\n", json!({ "choices": choices })))
        .await;
    let empty = format!("data: {}\n\n", json!({ "choices": [{ "delta": {} }] }));
    while !asking.is_finished() {
        call.write(&empty).await;
        server.advance(SECOND);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let answer = asking.await.unwrap().expect(201);
    let metadata = &answer.body["agentResponse"]["metadata"];
    assert_eq!(metadata["finishReason"], "stop");
    assert_eq!(metadata.get("truncated"), None, "{metadata}");
    server.stop().await;
}

#[tokio::test]
async fn text_of_a_stalled_answer_is_stored() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let mut call = stand_in.next().await;
    // Before its beginning an answer may take longer.
    server.advance(300 * SECOND);
    call.open_stream().await;
    call.delta("Well").await;
    // All bytes count, such as the comments of proxies.
    for _ in 0..3 {
        server.settle().await;
        server.advance(59 * SECOND);
        call.write(": still there\n\n").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.advance(Duration::from_millis(59_999));
    server.settle().await;
    assert!(!asking.is_finished());
    server.advance(Duration::from_millis(1));
    let answer = asking.await.unwrap().expect(201);
    assert_eq!(answer.body["agentResponse"]["text"], "Well");
    assert_eq!(answer.body["agentResponse"]["metadata"]["truncated"], true);
    assert_truncated(&server, &session, "Well").await;
    call.expect_gone().await;
    server.stop().await;
}

#[tokio::test]
async fn a_stalled_answer_without_text_is_a_timeout() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in);
    settings["idleTimeoutSeconds"] = 5.into();
    settings["maxConcurrency"] = 1.into();
    let server = server_with(settings).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let mut call = stand_in.next().await;
    call.open_stream().await;
    call.write(": one moment\n\n").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.advance(5 * SECOND);
    assert_failed(&server, &session, &asking.await.unwrap(), "AGENT_TIMEOUT").await;
    call.expect_gone().await;
    // Its slot is free again.
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    stand_in.next().await.complete("Hello.").await;
    asking.await.unwrap().expect(201);
    server.stop().await;
}

#[tokio::test]
async fn a_truncated_reply_is_marked() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let most = "é".repeat(32 * 1024);
    for is_streamed in [true, false] {
        let session = server.talk().await;
        let asking = server.wait_for(&session, "Hello?");
        let mut call = stand_in.next().await;
        if is_streamed {
            call.open_stream().await;
            call.delta("x").await;
            call.delta(&most).await;
            asking.await.unwrap().expect(201);
            let stored = format!("x{}", "é".repeat(32 * 1024 - 1));
            assert_truncated(&server, &session, &stored).await;
        } else {
            let text = format!("{most}.");
            let choices = json!([{ "message": { "content": text }, "finish_reason": "stop" }]);
            call.answer(200, &json!({ "choices": choices })).await;
            asking.await.unwrap().expect(201);
            assert_truncated(&server, &session, &most).await;
        }
    }
    server.stop().await;
}
