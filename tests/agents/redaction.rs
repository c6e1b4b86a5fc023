//! Operators read why an agent failed, but nothing of what users and agents said.

use serde_json::{Value, json};

use crate::harness::Server;
use crate::stand_in::{AGENT, Call, StandIn, server_with};

/// Returns the cause of the last failure.
async fn last_cause(server: &Server) -> String {
    let agents = server.get("/api/admin/agents").await.expect(200);
    let agents = agents.body["agents"].as_array().unwrap();
    let state = agents.iter().find(|it| it["id"] == AGENT).unwrap();
    state["lastFailure"]["cause"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_echo_of_a_webhooks_request_shows_no_metadata() {
    let mut stand_in = StandIn::start().await;
    let backend = json!({ "type": "webhook", "url": stand_in.url, "historyMessages": 5 });
    let server = server_with(backend).await;
    let session = json!({
        "agentId": AGENT,
        "metadata": { "name": "Ada", "illness": "flu", "in": { "deep": ["c\"est", 80_331] } },
    });
    let session = server.session_with(session).await;
    let earlier = json!({ "content": "First.", "metadata": { "phone": "030 1234" } });
    server.send(&session, earlier).await.expect(201);
    let first = stand_in.next().await;
    first.answer(200, &json!({ "text": "Yes." })).await;
    server.history_of(&session, 2).await;
    for pretty in [false, true] {
        let message = json!({
            "content": "Second.", "transport": "http", "metadata": { "mail": "a@b.example" },
        });
        let answering = async {
            let call = stand_in.next().await;
            let body = call.json();
            let echo = if pretty {
                format!("{body:#}")
            } else {
                body.to_string()
            };
            // What is shown of a long message are its edges.
            let at = echo.find("\"session\"").unwrap();
            let error = format!("bad body {} near message {}", &echo[at..], body["message"]);
            call.answer(403, &json!({ "error": error })).await;
        };
        let (answer, ()) = tokio::join!(server.send(&session, message), answering);
        answer.expect(502);
        let cause = last_cause(&server).await;
        assert!(cause.contains("bad body "), "{cause}");
        for hidden in [
            "Ada", "flu", "c\\\"est", "80331", "a@b", "030 1234", "Second",
        ] {
            assert!(!cause.contains(hidden), "{hidden}: {cause}");
        }
    }
    server.stop().await;
}

/// Streams reasoning and text, each in pieces, and then an error that repeats both.
async fn fail_with_own_words(mut call: Call, kind: &str) {
    call.open_stream().await;
    let (thought, text) = (["The patient ", "has"], ["You should ", "rest"]);
    for thought in thought {
        if kind == "openai" {
            let delta = json!({ "choices": [{ "delta": { "reasoning_content": thought } }] });
            call.write(format!("data: {delta}\n\n")).await;
        } else {
            let activity = json!({ "kind": "thinking", "text": thought });
            call.event("activity", &activity).await;
        }
    }
    for text in text {
        if kind == "openai" {
            call.delta(text).await;
        } else {
            call.event("chunk", &json!({ "chunk": text })).await;
        }
    }
    let said = format!("{}</think>{}", thought.concat(), text.concat());
    let error = json!({ "error": {
        "message": format!("Failed to parse input at pos 0: {said}"), "type": "server_error",
    } });
    if kind == "openai" {
        call.write(format!("data: {error}\n\n")).await;
    } else {
        call.event("error", &error).await;
    }
}

#[tokio::test]
async fn an_error_in_a_stream_does_not_repeat_what_the_agent_said_before() {
    for (kind, address) in [("openai", "baseUrl"), ("webhook", "url")] {
        let mut stand_in = StandIn::start().await;
        let server = server_with(json!({ "type": kind, address: stand_in.url })).await;
        let session = server.talk().await;
        let asking = server.wait_for(&session, "Hello?");
        fail_with_own_words(stand_in.next().await, kind).await;
        asking.await.unwrap().expect(502);
        assert_eq!(
            last_cause(&server).await,
            "it answered an error: Failed to parse input at pos 0: \
             [conversation]</think>[conversation] (type server_error)",
            "{kind}"
        );
        server.stop().await;
    }
}

/// A webhook's answer with the status 200, and the reason and the end of the cause.
const ANSWERS: [(&str, &str, &str); 5] = [
    (
        r#"{"error": "out of memory"}"#,
        "unavailable",
        "it answered an error: out of memory",
    ),
    (
        r#"{"error": {"message": "slow down", "code": "rate_limit_exceeded"}, "text": ""}"#,
        "busy",
        "it answered an error: slow down (code rate_limit_exceeded)",
    ),
    (
        r#"{"error": {}}"#,
        "invalid_reply",
        "its answer has no text",
    ),
    (
        r#"{"error": ""}"#,
        "invalid_reply",
        "its answer has no text",
    ),
    (
        r#"{"error": null}"#,
        "invalid_reply",
        "its answer has no text",
    ),
];

#[tokio::test]
async fn a_webhooks_whole_answer_may_report_an_error() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(json!({ "type": "webhook", "url": stand_in.url })).await;
    for (body, reason, cause) in ANSWERS {
        let session = server.talk().await;
        let asking = server.wait_for(&session, "Hello?");
        let headers = [("content-type", "application/json")];
        stand_in.next().await.answer_with(200, &headers, body).await;
        let failed = asking.await.unwrap().expect(502);
        assert_eq!(failed.body["details"]["reason"], reason, "{body}");
        assert_eq!(last_cause(&server).await, cause, "{body}");
    }
    for error in [json!(null), json!(false), json!(""), json!({}), json!("x")] {
        let session = server.talk().await;
        let asking = server.wait_for(&session, "Hello?");
        let body: Value = json!({ "text": "Yes.", "error": error });
        stand_in.next().await.answer(200, &body).await;
        let answer = asking.await.unwrap().expect(201);
        assert_eq!(answer.body["agentResponse"]["text"], "Yes.", "{body}");
    }
    server.stop().await;
}
