//! Answers of JavaScript programs.

use serde_json::{Value, json};

use crate::harness::Answer;
use crate::stand_in::{StandIn, server_with};

fn webhook(stand_in: &StandIn) -> Value {
    json!({ "type": "webhook", "url": stand_in.url })
}

/// Returns the reply to an answer with this content type and body.
async fn answered_with(kind: &str, body: &str) -> (Answer, Value) {
    let mut stand_in = StandIn::start().await;
    let server = server_with(webhook(&stand_in)).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let call = stand_in.next().await;
    call.answer_with(200, &[("content-type", kind)], body).await;
    let answer = asking.await.unwrap();
    let history = server.history(&session).await;
    server.stop().await;
    (answer, history.get(1).cloned().unwrap_or_default())
}

#[tokio::test]
async fn a_webhook_may_send_cut_characters_and_a_byte_order_mark() {
    let body = r#"{"text": "old", "text": "Great news \ud83c", "thought": "\udf89",
                   "actions": ["\ud800"], "metadata": {"\ud83c": "\ud83c", "a": 1, "a": 2},
                   "attachments": [{"type": "\udfff", "url": "u"}]}"#;
    let (answer, stored) = answered_with("application/json", &format!("\u{feff}{body}")).await;
    let reply = answer.expect(201).body["agentResponse"].clone();
    assert_eq!(reply["text"], "Great news \u{fffd}");
    assert_eq!(stored["content"], "Great news \u{fffd}");
    assert_eq!(stored["metadata"]["thought"], "\u{fffd}");
    assert_eq!(stored["metadata"]["actions"], json!(["\u{fffd}"]));
    assert_eq!(stored["metadata"]["\u{fffd}"], "\u{fffd}");
    assert_eq!(stored["metadata"]["a"], 2);
    assert_eq!(
        stored["attachments"],
        json!([{ "type": "\u{fffd}", "url": "u" }])
    );
}

#[tokio::test]
async fn a_stream_may_begin_with_a_byte_order_mark_and_have_cut_characters() {
    let stream = "\u{feff}event: chunk\ndata: {\"chunk\": \"Great \\ud83c\", \"text\": \"?\"}\n\n\
                  event: chunk\ndata: \u{feff}{\"text\": \"?\", \"text\": \"news\"}\n\n\
                  event: done\ndata: {\"thought\": \"?\", \"thought\": \"\\ud83c\"}\n\n";
    let (answer, stored) = answered_with("text/event-stream", stream).await;
    let reply = answer.expect(201).body["agentResponse"].clone();
    assert_eq!(reply["text"], "Great \u{fffd}news");
    assert_eq!(stored["metadata"]["thought"], "\u{fffd}");
}

#[tokio::test]
async fn chunks_may_split_a_character() {
    let mut stand_in = StandIn::start().await;
    for backend in [
        webhook(&stand_in),
        json!({ "type": "elizaos", "baseUrl": stand_in.url, "transport": "sse" }),
    ] {
        let is_elizaos = backend["type"] == "elizaos";
        let server = server_with(backend).await;
        let session = server.talk().await;
        let mut events = server.stream(&session, "Hello?").await;
        if is_elizaos {
            let made = json!({ "sessionId": "theirs" });
            stand_in.next().await.answer(201, &made).await;
        }
        let mut call = stand_in.next().await;
        call.open_stream().await;
        call.write("event: chunk\ndata: {\"chunk\": \"Party \\ud83c\"}\n\n")
            .await;
        events.expect("user_message").await;
        assert_eq!(events.expect("chunk").await["chunk"], "Party ");
        call.write("event: chunk\ndata: {\"chunk\": \"\\udf89! \\ud83c\"}\n\n")
            .await;
        assert_eq!(events.expect("chunk").await["chunk"], "🎉! ");
        call.write("event: done\ndata: {}\n\n").await;
        assert_eq!(events.expect("chunk").await["chunk"], "\u{fffd}");
        let done = events.expect("done").await;
        assert_eq!(done["text"], "Party 🎉! \u{fffd}");
        server.stop().await;
    }
}

#[tokio::test]
async fn an_answer_that_is_nested_too_deeply_fails_only_its_turn() {
    let deep = "[".repeat(400_000) + &"]".repeat(400_000);
    for body in [
        format!("{{\"text\": \"x\", \"metadata\": {{\"a\": {deep}}}}}"),
        format!("{{\"text\": \"x\", \"other\": {deep}"),
        deep,
    ] {
        let (answer, stored) = answered_with("application/json", &body).await;
        answer.expect(502);
        assert_eq!(stored, Value::Null);
    }
}

#[tokio::test]
async fn a_model_may_send_cut_characters_and_a_byte_order_mark() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(json!({ "type": "openai", "baseUrl": stand_in.url })).await;
    let session = server.talk().await;
    let whole = "\u{feff}{\"choices\": [], \"choices\": [{\"message\": {\"content\": \"?\", \
                 \"content\": \"Great \\ud83c\"}}]}";
    let streamed = "\u{feff}data: {\"choices\": [{\"delta\": {\"content\": \"Great \\ud83c\"}}]}\n\n\
                    data: [DONE]\n\n";
    for (kind, body) in [("application/json", whole), ("text/event-stream", streamed)] {
        let asking = server.wait_for(&session, "Hello?");
        let call = stand_in.next().await;
        call.answer_with(200, &[("content-type", kind)], body).await;
        let answer = asking.await.unwrap().expect(201);
        assert_eq!(answer.body["agentResponse"]["text"], "Great \u{fffd}");
    }
    server.stop().await;
}

#[tokio::test]
async fn elizaos_may_send_cut_characters_and_a_byte_order_mark() {
    let mut stand_in = StandIn::start().await;
    for transport in ["http", "sse"] {
        let server = server_with(json!({
            "type": "elizaos", "baseUrl": stand_in.url, "transport": transport,
        }))
        .await;
        let session = server.talk().await;
        let asking = server.wait_for(&session, "Hello?");
        let made = "\u{feff}{\"sessionId\": \"old\", \"sessionId\": \"new\"}";
        let json = [("content-type", "application/json")];
        stand_in.next().await.answer_with(201, &json, made).await;
        let call = stand_in.next().await;
        assert!(call.path.ends_with("/new/messages"), "{}", call.path);
        let reply = r#"{"text": "?", "text": "Here \ud83c"}"#;
        if transport == "http" {
            let body = format!("\u{feff}{{\"success\": true, \"agentResponse\": {reply}}}");
            call.answer_with(201, &json, &body).await;
        } else {
            let stream = format!("\u{feff}event: done\ndata: {reply}\n\n");
            let kind = [("content-type", "text/event-stream")];
            call.answer_with(200, &kind, &stream).await;
        }
        let answer = asking.await.unwrap().expect(201);
        assert_eq!(answer.body["agentResponse"]["text"], "Here \u{fffd}");
        server.stop().await;
    }
}
