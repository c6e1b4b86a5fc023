//! The tokens of replies, in their metadata and in the metrics.

use serde_json::{Value, json};

use crate::harness::{SECOND, Server};
use crate::stand_in::{AGENT, Call, StandIn, server_with};

fn backend(stand_in: &StandIn) -> Value {
    json!({ "type": "openai", "baseUrl": stand_in.url, "model": "m" })
}

fn tokens(input: u64, output: u64) -> Value {
    json!({ "inputTokens": input, "outputTokens": output })
}

async fn event(call: &mut Call, data: &Value) {
    call.write(format!("data: {data}\n\n")).await;
}

/// Returns the usage in an event of a stream.
fn usage(input: u64, output: u64) -> Value {
    let usage = json!({ "prompt_tokens": input, "completion_tokens": output });
    json!({ "choices": [], "usage": usage })
}

/// Returns the numbers of the metric, input first.
async fn counted(server: &Server) -> [u64; 2] {
    let metrics = server.get_text("/metrics").await;
    ["input", "output"].map(|direction| {
        let name =
            format!("sessiond_agent_tokens_total{{agent=\"{AGENT}\",direction=\"{direction}\"}} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
        value.map_or(0, |value| value.parse().unwrap())
    })
}

#[tokio::test]
async fn usage_after_the_finish_reason_is_stored_and_counted() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let session = server.talk().await;
    for turn in 1..=2 {
        let asking = server.wait_for(&session, "Hello?");
        let mut call = stand_in.next().await;
        call.open_stream().await;
        call.delta("Yes.").await;
        let stop = json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] });
        event(&mut call, &stop).await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        event(&mut call, &usage(9, 2)).await;
        // Neither the last event nor the end of the connection follows.
        let answer = asking.await.unwrap().expect(201);
        let metadata = json!({
            "model": "m", "finishReason": "stop", "usage": tokens(9, 2), "sessionId": session,
        });
        assert_eq!(answer.body["agentResponse"]["metadata"], metadata);
        let history = server.history(&session).await;
        assert_eq!(history[2 * turn - 1]["metadata"], metadata);
        let turn = turn as u64;
        assert_eq!(counted(&server).await, [9 * turn, 2 * turn]);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_truncated_reply_has_the_usage_so_far() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in);
    settings["timeoutSeconds"] = 30.into();
    settings["extraBody"] = json!({
        "stream_options": { "include_usage": false, "continuous_usage_stats": true },
    });
    let server = server_with(settings).await;
    let session = server.talk().await;
    let mut events = server.stream(&session, "Hello?").await;
    events.expect("user_message").await;
    let mut call = stand_in.next().await;
    let options = json!({ "include_usage": true, "continuous_usage_stats": true });
    assert_eq!(call.json()["stream_options"], options);
    call.open_stream().await;
    for (number, word) in ["One ", "two "].into_iter().enumerate() {
        let mut data = usage(9, number as u64 + 1);
        data["choices"] = json!([{ "delta": { "content": word } }]);
        event(&mut call, &data).await;
        events.expect("chunk").await;
    }
    server.advance(30 * SECOND);
    let done = events.expect("done").await;
    assert_eq!(done["text"], "One two ");
    assert_eq!(done["metadata"]["truncated"], true);
    assert_eq!(done["metadata"]["usage"], tokens(9, 2));
    assert_eq!(counted(&server).await, [9, 2]);
    server.stop().await;
}

#[tokio::test]
async fn tokens_of_a_failed_turn_are_counted() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let mut call = stand_in.next().await;
    call.open_stream().await;
    call.delta("Half of").await;
    event(&mut call, &usage(9, 2)).await;
    event(
        &mut call,
        &json!({ "error": { "message": "out of memory" } }),
    )
    .await;
    asking.await.unwrap().expect(502);
    assert_eq!(counted(&server).await, [9, 2]);

    let asking = server.wait_for(&session, "Hello?");
    let message = json!({ "content": "Yes." });
    let usage = json!({ "prompt_tokens": "many", "completion_tokens": -1 });
    let whole = json!({ "choices": [{ "message": message }], "usage": usage });
    stand_in.next().await.answer(200, &whole).await;
    let answer = asking.await.unwrap().expect(201);
    let metadata = &answer.body["agentResponse"]["metadata"];
    assert_eq!(metadata.get("usage"), None, "{metadata}");
    assert_eq!(counted(&server).await, [9, 2]);
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_refuses_stream_options_gets_none_from_then_on() {
    let mut stand_in = StandIn::start().await;
    for (status, body) in [
        // Mistral.
        (
            422,
            r#"{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","stream_options","include_usage"],"msg":"Extra inputs are not permitted","input":true}]},"type":"invalid_request_error","param":null,"code":null}"#,
        ),
        // Azure, with data of its own.
        (
            400,
            r#"{"error":{"requestid":"x","code":400,"message":"Validation error at #/stream_options: Extra inputs are not permitted"}}"#,
        ),
        // Mistral in Azure's catalogue.
        (
            422,
            r#"{"error":{"code":"Invalid input","message":"{\"detail\":[{\"type\":\"extra_forbidden\",\"loc\":[\"body\",\"stream_options\",\"include_usage\"]}]}","status":422}}"#,
        ),
        // Servers that do not name the field.
        (400, r#"{"error":"json: unknown field"}"#),
        (422, r#"{"detail":"Extra inputs are not permitted"}"#),
    ] {
        let server = server_with(backend(&stand_in)).await;
        let session = server.talk().await;
        let asking = server.wait_for(&session, "One?");
        let call = stand_in.next().await;
        assert!(call.json()["stream_options"].is_object());
        let kind = [("content-type", "application/json")];
        call.answer_with(status, &kind, body).await;
        complete_without_options(stand_in.next().await).await;
        asking.await.unwrap().expect(201);
        let asking = server.wait_for(&session, "Two?");
        complete_without_options(stand_in.next().await).await;
        asking.await.unwrap().expect(201);
        let history = server.history(&session).await;
        assert_eq!(history.len(), 4);
        assert_eq!(history[1]["metadata"]["usage"], tokens(9, 2), "{body}");
        server.stop().await;
    }
}

/// Answers a request without options with a reply and its usage, as some servers do unasked.
async fn complete_without_options(mut call: Call) {
    assert_eq!(call.json().get("stream_options"), None);
    call.open_stream().await;
    call.delta("Yes.").await;
    let last = json!({
        "choices": [{ "delta": {}, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 9, "completion_tokens": 2 },
    });
    event(&mut call, &last).await;
    call.done().await;
}

#[tokio::test]
async fn other_refusals_are_not_repeated() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let session = server.talk().await;
    for (status, said) in [
        (400, "invalid temperature"),
        (422, "no"),
        (404, "stream_options"),
    ] {
        let asking = server.wait_for(&session, "Hello?");
        let body = json!({ "error": { "message": said } });
        stand_in.next().await.answer(status, &body).await;
        asking.await.unwrap().expect(502);
        stand_in.expect_nothing().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn what_the_server_sets_overrides_what_an_agent_sends_and_the_rest_stays() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(json!({ "type": "webhook", "url": stand_in.url })).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let own = json!({ "model": "mine", "usage": tokens(1, 2), "truncated": false, "mood": "good" });
    let answer = json!({ "text": "x".repeat(70_000), "metadata": own });
    stand_in.next().await.answer(200, &answer).await;
    let answer = asking.await.unwrap().expect(201);
    let mut wanted = own;
    wanted["truncated"] = true.into();
    wanted["sessionId"] = session.into();
    assert_eq!(answer.body["agentResponse"]["metadata"], wanted);
    // Only what a model's server reports is counted.
    assert_eq!(counted(&server).await, [0, 0]);
    server.stop().await;
}
