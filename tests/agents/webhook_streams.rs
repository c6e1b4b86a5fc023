//! Event streams of webhooks that were not written for this server.

use serde_json::json;

use crate::failures::assert_failed;
use crate::stand_in::{StandIn, said, server_with};

#[tokio::test]
async fn events_without_a_name_are_chunks() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(json!({ "type": "webhook", "url": stand_in.url })).await;
    for (stream, text) in [
        (
            "data: Hello,\n\ndata:  Ada.\n\ndata: [DONE]\n\n",
            "Hello, Ada.",
        ),
        (
            "data: {\"chunk\": \"Hello.\"}\n\ndata: [DONE]\n\n",
            "Hello.",
        ),
        ("data: {\"text\": \"Hello.\"}\n\ndata: [DONE]\n\n", "Hello."),
        (
            "data: {\"content\": \"Hel\"}\n\ndata: {\"content\": \"lo.\"}\n\ndata: [DONE]",
            "Hello.",
        ),
        // Other objects, numbers and quoted strings are chunks as they are.
        (
            "data: {\"a\": 1}\n\ndata: 2\n\ndata: \"b\"\n\ndata: [DONE]\n\n",
            "{\"a\": 1}2\"b\"",
        ),
        ("data: two\ndata: lines\n\ndata: [DONE]\n\n", "two\nlines"),
        ("event: message\ndata: Hello.\n\ndata: [DONE]\n\n", "Hello."),
        ("data: null\n\ndata: [1]\n\ndata: [DONE]\n\n", "null[1]"),
        // The first of the members that is a string.
        (
            "data: {\"chunk\": 7, \"content\": \"c\", \"text\": \"Hello.\"}\n\ndata: [DONE]\n\n",
            "Hello.",
        ),
        // Empty ones.
        (
            "data: He\n\ndata:\n\ndata: {\"chunk\": \"\"}\n\ndata: llo.\n\ndata: [DONE]\n\n",
            "Hello.",
        ),
        // Beside events with a name, of which unknown ones are ignored.
        (
            "event: chunk\ndata: {\"chunk\": \"Hel\"}\n\ndata: lo.\n\nevent: ping\ndata: x\n\n\
             data: [DONE]\n\n",
            "Hello.",
        ),
        // With a `done` event.
        (
            "data: Hello.\n\nevent: done\ndata: {\"thought\": \"hm\"}\n\n",
            "Hello.",
        ),
        // Chunks that split a character.
        (
            "data: {\"chunk\":\"a\\ud83c\"}\n\ndata: {\"chunk\":\"\\udf89\"}\n\ndata: [DONE]\n\n",
            "a🎉",
        ),
        (
            "data: {\"chunk\":\"a\\ud83c\"}\n\ndata: [DONE]\n\n",
            "a\u{fffd}",
        ),
        // An empty error.
        (
            "data: {\"chunk\": \"Hello.\", \"error\": null}\n\ndata: [DONE]\n\n",
            "Hello.",
        ),
    ] {
        let session = server.talk().await;
        let asking = server.wait_for(&session, "Hello?");
        let mut call = stand_in.next().await;
        call.open_stream().await;
        call.write(stream).await;
        drop(call);
        let answer = asking.await.unwrap();
        assert_eq!(answer.status, 201, "{stream:?}");
        assert_eq!(
            server.said(&session).await,
            said(&[("Hello?", false), (text, true)])
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_stream_without_names_and_end_has_failed() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(json!({ "type": "webhook", "url": stand_in.url })).await;
    for stream in [
        "data: Hello,\n\n",
        "data: Hello,\n\nevent: error\ndata: {\"message\": \"no\"}\n\ndata: [DONE]\n\n",
        "data: Hello,\n\ndata: {\"error\": {\"message\": \"no\"}}\n\ndata: [DONE]\n\n",
        "data: [DONE]\n\n",
        "event: chunk\ndata: {\"other\": 1}\n\ndata: [DONE]\n\n",
    ] {
        let session = server.talk().await;
        let asking = server.wait_for(&session, "Hello?");
        let mut call = stand_in.next().await;
        call.open_stream().await;
        call.write(stream).await;
        drop(call);
        assert_failed(&server, &session, &asking.await.unwrap(), "AGENT_ERROR").await;
    }
    stand_in.expect_nothing().await;
    server.stop().await;
}

#[tokio::test]
async fn a_done_event_without_text_is_an_answer() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(json!({ "type": "webhook", "url": stand_in.url })).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let mut call = stand_in.next().await;
    call.open_stream().await;
    call.event("done", &json!({ "actions": ["IGNORE"] })).await;
    let answer = asking.await.unwrap().expect(201);
    assert_eq!(answer.body["agentResponse"]["text"], "");
    assert_eq!(answer.body["agentResponse"]["actions"], json!(["IGNORE"]));
    assert_eq!(
        server.said(&session).await,
        said(&[("Hello?", false), ("", true)])
    );
    stand_in.expect_nothing().await;
    server.stop().await;
}

#[tokio::test]
async fn an_answer_may_have_only_actions() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(json!({ "type": "webhook", "url": stand_in.url })).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let call = stand_in.next().await;
    call.answer(200, &json!({ "actions": ["IGNORE"] })).await;
    let answer = asking.await.unwrap().expect(201);
    assert_eq!(answer.body["agentResponse"]["actions"], json!(["IGNORE"]));
    server.stop().await;
}

#[tokio::test]
async fn the_first_byte_decides_the_format_and_not_the_content_type() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(json!({ "type": "webhook", "url": stand_in.url })).await;
    let stream = "\n: hello\n\nevent: done\ndata: {\"text\": \"Hello.\"}\n\n";
    for (label, body) in [
        ("application/json", stream),
        ("text/plain", stream),
        ("text/event-stream", " \n{\"text\": \"Hello.\"}"),
        ("text/html", "{\"text\": \"Hello.\"}"),
    ] {
        let session = server.talk().await;
        let asking = server.wait_for(&session, "Hello?");
        let call = stand_in.next().await;
        call.answer_with(200, &[("content-type", label)], body)
            .await;
        let answer = asking.await.unwrap();
        assert_eq!(answer.status, 201, "{label}: {body:?}");
        assert_eq!(answer.body["agentResponse"]["text"], "Hello.");
    }
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let call = stand_in.next().await;
    call.answer_with(200, &[], "<!doctype html><p>Welcome")
        .await;
    assert_failed(&server, &session, &asking.await.unwrap(), "AGENT_ERROR").await;
    server.stop().await;
}
