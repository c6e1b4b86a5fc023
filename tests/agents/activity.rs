//! What agents do before and between the words of their replies.

use serde_json::{Value, json};

use crate::harness::{Events, Server};
use crate::stand_in::{AGENT, Call, StandIn, server_with};

async fn webhook(stand_in: &StandIn) -> Server {
    server_with(json!({ "type": "webhook", "url": stand_in.url })).await
}

async fn model(stand_in: &StandIn) -> Server {
    server_with(json!({ "type": "openai", "baseUrl": stand_in.url })).await
}

/// Asks over an event stream; returns it with the call of the agent's server.
async fn ask(server: &Server, session: &str, stand_in: &mut StandIn) -> (Events, Call) {
    let mut events = server.stream(session, "Hello?").await;
    events.expect("user_message").await;
    let mut call = stand_in.next().await;
    call.open_stream().await;
    (events, call)
}

async fn delta(call: &mut Call, delta: Value) {
    let data = json!({ "choices": [{ "delta": delta }] });
    call.write(format!("data: {data}\n\n")).await;
}

/// Returns an activity without its ids, which are checked.
fn fields(mut activity: Value, session: &str) -> Value {
    let fields = activity.as_object_mut().unwrap();
    assert_eq!(fields.remove("agentId"), Some(json!(AGENT)));
    assert_eq!(fields.remove("channelId"), Some(json!(session)));
    assert!(fields.remove("messageId").is_some());
    activity
}

#[tokio::test]
async fn the_reasoning_of_a_model_is_activity_and_thought() {
    let mut stand_in = StandIn::start().await;
    let server = model(&stand_in).await;
    for (first, second) in [
        (
            json!({ "reasoning_content": "\n\nHm, " }),
            json!({ "reasoning_content": "well." }),
        ),
        (
            json!({ "reasoning": "Hm, " }),
            json!({ "reasoning": "well.", "content": "" }),
        ),
        (
            json!({ "content": [{ "type": "thinking", "thinking": "Hm, " }] }),
            json!({ "content": [{ "type": "thinking", "thinking": [{ "text": "well." }] }] }),
        ),
        (
            json!({ "content": "<think>Hm, " }),
            json!({ "content": "well.</think>" }),
        ),
    ] {
        let session = server.talk().await;
        let (mut events, mut call) = ask(&server, &session, &mut stand_in).await;
        delta(&mut call, first).await;
        delta(&mut call, second).await;
        delta(&mut call, json!({ "content": "Yes." })).await;
        let activity = events.expect("activity").await;
        let expected = json!({ "kind": "thinking", "text": "Hm, well." });
        assert_eq!(fields(activity, &session), expected);
        assert_eq!(events.expect("chunk").await["chunk"], "Yes.");
        call.done().await;
        let done = events.expect("done").await;
        assert_eq!(
            (&done["text"], &done["thought"]),
            (&json!("Yes."), &json!("Hm, well."))
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn text_that_turns_out_to_be_thought_is_not_sent_twice() {
    let mut stand_in = StandIn::start().await;
    let server = model(&stand_in).await;
    let session = server.talk().await;
    let (mut events, mut call) = ask(&server, &session, &mut stand_in).await;
    delta(&mut call, json!({ "content": "Sent, " })).await;
    assert_eq!(events.expect("chunk").await["chunk"], "Sent, ");
    delta(&mut call, json!({ "content": "unsent\n</think>Yes." })).await;
    assert_eq!(events.expect("activity").await["text"], "unsent\n");
    assert_eq!(events.expect("chunk").await["chunk"], "Yes.");
    call.done().await;
    assert_eq!(events.expect("done").await["thought"], "Sent, unsent");
    server.stop().await;
}

#[tokio::test]
async fn reasoning_of_an_answer_that_is_not_streamed_comes_before_it() {
    let mut stand_in = StandIn::start().await;
    let server = model(&stand_in).await;
    let session = server.talk().await;
    let mut events = server.stream(&session, "Hello?").await;
    events.expect("user_message").await;
    let message = json!({ "reasoning_content": "Hm.", "content": "Yes." });
    let answer = json!({ "choices": [{ "message": message }] });
    stand_in.next().await.answer(200, &answer).await;
    assert_eq!(events.expect("activity").await["text"], "Hm.");
    assert_eq!(events.expect("chunk").await["chunk"], "Yes.");
    events.expect("done").await;
    server.stop().await;
}

#[tokio::test]
async fn a_webhook_reports_activity_of_all_kinds() {
    let mut stand_in = StandIn::start().await;
    let server = webhook(&stand_in).await;
    let session = server.talk().await;
    let (mut events, mut call) = ask(&server, &session, &mut stand_in).await;
    for activity in [
        json!({ "kind": "status", "name": "queue", "text": "waiting" }),
        json!({ "kind": "tool", "name": "web", "state": "started", "text": "Searching" }),
        json!({ "kind": "tool", "name": "web", "state": "done" }),
        json!({ "kind": "tool", "name": "db", "state": "failed" }),
        json!({ "kind": "thinking", "state": "started" }),
    ] {
        call.event("activity", &activity).await;
        if activity["kind"] == "thinking" {
            server.settle().await;
            server.advance(std::time::Duration::from_millis(100));
        }
        assert_eq!(fields(events.expect("activity").await, &session), activity);
    }
    call.event("activity", &json!({ "kind": "thinking", "text": "Hm" }))
        .await;
    call.event("chunk", &json!({ "chunk": "Yes." })).await;
    assert_eq!(events.expect("activity").await["text"], "Hm");
    events.expect("chunk").await;
    call.event("activity", &json!({ "kind": "thinking", "text": "Enough" }))
        .await;
    call.event("done", &json!({})).await;
    assert_eq!(events.expect("activity").await["text"], "Enough");
    assert_eq!(events.expect("done").await["text"], "Yes.");
    let stored = server.history(&session).await;
    assert!(!json!(stored).to_string().contains("Enough"), "{stored:#?}");
    server.stop().await;
}

#[tokio::test]
async fn invalid_activity_of_a_webhook_is_dropped_and_long_activity_is_cut() {
    let mut stand_in = StandIn::start().await;
    let server = webhook(&stand_in).await;
    let session = server.talk().await;
    let (mut events, mut call) = ask(&server, &session, &mut stand_in).await;
    for data in [
        "{\"kind\": \"dream\", \"text\": \"x\"}",
        "{\"text\": \"x\"}",
        "{\"kind\": \"tool\", \"state\": \"half\"}",
        "{\"kind\": \"tool\", \"text\": {}}",
        "[]",
        "not JSON",
    ] {
        call.write(format!("event: activity\ndata: {data}\n\n"))
            .await;
    }
    let long = format!("x{}", "é".repeat(5000));
    let status = json!({ "kind": "status", "text": long });
    call.event("activity", &status).await;
    assert_eq!(events.expect("activity").await["text"], long[..4095]);
    // Thinking is split, so that none of it is lost.
    call.event("activity", &json!({ "kind": "thinking", "text": long }))
        .await;
    let mut thinking = String::new();
    while thinking.len() < long.len() {
        let activity = events.expect("activity").await;
        let text = activity["text"].as_str().unwrap();
        assert!(text.len() <= 4096);
        thinking.push_str(text);
    }
    assert_eq!(thinking, long);
    call.event("done", &json!({ "text": "Yes." })).await;
    events.expect("chunk").await;
    assert_eq!(events.expect("done").await["text"], "Yes.");
    server.stop().await;
}

#[tokio::test]
async fn retries_are_a_status_without_the_words_of_the_server() {
    let mut stand_in = StandIn::start().await;
    let server = webhook(&stand_in).await;
    let session = server.talk().await;
    let mut events = server.stream(&session, "Hello?").await;
    events.expect("user_message").await;
    let secret = json!({ "error": "of the server" });
    stand_in.next().await.answer(503, &secret).await;
    for text in ["retry 1 in 1 s", "retry 2 in 2 s"] {
        let started = json!({
            "kind": "status", "name": "retry", "state": "started", "text": text,
        });
        assert_eq!(fields(events.expect("activity").await, &session), started);
        let call = stand_in.next_in_time(&server).await;
        let done = json!({ "kind": "status", "name": "retry", "state": "done" });
        assert_eq!(fields(events.expect("activity").await, &session), done);
        if text.starts_with("retry 1") {
            call.answer(503, &secret).await;
        } else {
            call.answer(200, &json!({ "text": "At last." })).await;
        }
    }
    assert_eq!(events.expect("chunk").await["chunk"], "At last.");
    events.expect("done").await;
    server.stop().await;
}

#[tokio::test]
async fn activity_that_waits_precedes_a_submitted_reply() {
    let mut stand_in = StandIn::start().await;
    let server = webhook(&stand_in).await;
    let session = server.talk().await;
    let (mut events, mut call) = ask(&server, &session, &mut stand_in).await;
    let message = call.json()["message"]["id"].clone();
    for number in 0..20 {
        let tool = json!({ "kind": "tool", "name": number.to_string(), "state": "started" });
        call.event("activity", &tool).await;
        events.expect("activity").await;
    }
    // The end of the turn does not wait for the limit, and loses nothing to it.
    for state in ["started", "done"] {
        let tool = json!({ "kind": "tool", "name": "19", "state": state });
        call.event("activity", &tool).await;
    }
    call.event("activity", &json!({ "kind": "thinking", "text": "Hm" }))
        .await;
    server.settle().await;
    let fields = json!({ "in_reply_to_message_id": message });
    server.submit(&session, fields).await.expect(201);
    assert_eq!(events.expect("activity").await["state"], "done");
    assert_eq!(events.expect("activity").await["text"], "Hm");
    events.expect("chunk").await;
    assert_eq!(events.expect("done").await["text"], "Submitted.");
    server.stop().await;
}
