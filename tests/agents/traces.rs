//! The trace that a message belongs to.

use serde_json::{Value, json};

use crate::elizaos;
use crate::harness::{Server, answer};
use crate::stand_in::{StandIn, server_with};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0b7902c1-01";

/// Sends a message with this trace. The answer is waited for in the background.
fn send(server: &Server, session: &str, trace: Option<&str>) {
    let message = json!({ "content": "Hello?", "transport": "http" });
    let mut sending = server.sending(session, &message);
    if let Some(trace) = trace {
        sending = sending.header("traceparent", trace);
    }
    tokio::spawn(answer(sending));
}

fn completion() -> Value {
    json!({ "choices": [{ "message": { "content": "Hello." }, "finish_reason": "stop" }] })
}

#[tokio::test]
async fn each_backend_receives_the_trace_in_every_attempt() {
    let mut stand_in = StandIn::start().await;
    let url = stand_in.url.clone();
    for (backend, reply) in [
        (
            json!({ "type": "webhook", "url": url }),
            json!({ "text": "Hello." }),
        ),
        (
            json!({ "type": "openai", "baseUrl": url, "model": "m" }),
            completion(),
        ),
    ] {
        let server = server_with(backend).await;
        let session = server.talk().await;
        send(&server, &session, Some(TRACE));
        let call = stand_in.next().await;
        assert_eq!(call.header("traceparent"), Some(TRACE));
        call.answer_with(503, &[("retry-after", "1")], "{}").await;
        let call = stand_in.next_in_time(&server).await;
        assert_eq!(call.header("traceparent"), Some(TRACE));
        call.answer(200, &reply).await;
        server.stop().await;
    }
    let server = server_with(elizaos::backend(&stand_in, "http")).await;
    let session = server.talk().await;
    send(&server, &session, Some(TRACE));
    elizaos::make(&mut stand_in, "s").await;
    let call = elizaos::message(&mut stand_in, "s").await;
    assert_eq!(call.header("traceparent"), Some(TRACE));
    call.answer(201, &elizaos::reply("Yes.")).await;
    server.stop().await;
}

#[tokio::test]
async fn an_invalid_trace_is_ignored() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(json!({ "type": "webhook", "url": stand_in.url })).await;
    let session = server.talk().await;
    for trace in [None, Some("00-0-0-01"), Some("x")] {
        send(&server, &session, trace);
        let call = stand_in.next().await;
        assert_eq!(call.header("traceparent"), None);
        call.answer(200, &json!({ "text": "Hello." })).await;
    }
    server.stop().await;
}
