//! Answers of models as different servers send them.

mod servers;

use serde_json::{Value, json};

use self::servers::{SERVERS, body};
use crate::harness::{Answer, Server, contents};
use crate::stand_in::{StandIn, server_with};

/// The answer to a message, and the stored reply.
struct Heard {
    answer: Answer,
    stored: Option<Value>,
    history: Vec<Value>,
}

/// A server with an agent, and the server of its model.
struct Pair {
    server: Server,
    model: StandIn,
}

impl Pair {
    async fn start() -> Self {
        let model = StandIn::start().await;
        let backend = json!({ "type": "openai", "baseUrl": model.url, "model": "asked-for" });
        let server = server_with(backend).await;
        Self { server, model }
    }

    /// Sends a message, answers with this body, and returns the result.
    async fn heard(&mut self, kind: &str, body: &str) -> Heard {
        let session = self.server.talk().await;
        let asking = self.server.wait_for(&session, "Hello?");
        let call = self.model.next().await;
        call.answer_with(200, &[("content-type", kind)], body).await;
        let answer = asking.await.unwrap();
        let history = self.server.history(&session).await;
        Heard {
            answer,
            stored: history.get(1).cloned(),
            history,
        }
    }

    async fn stream(&mut self, body: &str) -> Heard {
        self.heard("text/event-stream", body).await
    }

    async fn whole(&mut self, body: &Value) -> Heard {
        self.heard("application/json", &body.to_string()).await
    }
}

impl Heard {
    /// Asserts that a reply with this text is stored; returns it.
    #[track_caller]
    fn said(&self, text: &str) -> &Value {
        assert_eq!(self.answer.status, 201, "{:#}", self.answer.body);
        assert_eq!(self.answer.body["agentResponse"]["text"], text);
        let stored = self.stored.as_ref().expect("a reply is stored");
        assert_eq!(stored["content"], text);
        stored
    }

    /// Asserts that the turn has failed and no reply is stored.
    #[track_caller]
    fn failed(&self, why: &str) {
        assert_eq!(self.answer.status, 502, "{why}: {:#}", self.answer.body);
        assert_eq!(self.answer.body["code"], "AGENT_ERROR", "{why}");
        assert_eq!(contents(&self.history), ["Hello?"], "{why}");
    }
}

/// Returns events with these data.
fn events(data: &[&str]) -> String {
    data.iter()
        .map(|data| format!("data: {data}\n\n"))
        .collect::<Vec<_>>()
        .concat()
}

/// Returns an event with this text.
fn delta(text: &str) -> String {
    let delta = json!({ "choices": [{ "index": 0, "delta": { "content": text },
                                      "finish_reason": null }] });
    format!("data: {delta}\n\n")
}

const DONE: &str = "data: [DONE]\n\n";

#[tokio::test]
async fn the_answers_of_many_servers_are_read() {
    let mut pair = Pair::start().await;
    for (name, text, metadata) in SERVERS {
        let metadata: Value = metadata.parse().unwrap();
        for (form, kind) in [("sse", "text/event-stream"), ("json", "application/json")] {
            let heard = pair.heard(kind, &body(name, form)).await;
            let stored = reply_info(heard.said(text));
            assert_eq!(stored, metadata, "{name}, {form}");
        }
    }
    // Keep-alive comments of OpenRouter and DeepSeek.
    let body = format!(
        ": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n{}: keep-alive\n\n{}{DONE}",
        delta("Ye"),
        delta("s.")
    );
    let heard = pair.stream(&body).await;
    assert_eq!(
        reply_info(heard.said("Yes.")),
        json!({ "model": "asked-for" })
    );
    pair.server.stop().await;
}

/// Returns the stored metadata about the reply.
fn reply_info(stored: &Value) -> Value {
    let mut about = stored["metadata"].clone();
    let names = ["thought", "model", "finishReason", "usage", "truncated"];
    about
        .as_object_mut()
        .unwrap()
        .retain(|name, _| names.contains(&name.as_str()));
    about
}

#[tokio::test]
async fn reasons_for_a_cut_text_are_known_by_the_names_of_many_servers() {
    let mut pair = Pair::start().await;
    for (reason, is_truncated) in [
        ("length", true),
        ("model_length", true),
        ("max_tokens", true),
        ("content_filter", true),
        ("SAFETY", true),
        ("stop", false),
        ("eos", false),
    ] {
        let choice = json!({ "message": { "content": "Yes." }, "finish_reason": reason });
        let heard = pair.whole(&json!({ "choices": [choice] })).await;
        let stored = heard.said("Yes.");
        assert_eq!(stored["metadata"]["finishReason"], reason);
        let truncated = stored["metadata"].get("truncated");
        assert_eq!(truncated, is_truncated.then_some(&json!(true)), "{reason}");
    }
    pair.server.stop().await;
}

#[tokio::test]
async fn a_finish_reason_with_every_event_does_not_end_the_stream() {
    let mut pair = Pair::start().await;
    let every: String = ["One ", "two ", "three."]
        .map(|text| {
            let data = json!({ "choices": [{ "delta": { "content": text },
                                             "finish_reason": "stop" }] });
            format!("data: {data}\n\n")
        })
        .concat();
    for end in [DONE, ""] {
        let heard = pair.stream(&format!("{every}{end}")).await;
        heard.said("One two three.");
    }

    // Nor does the stream end while events arrive, however long it takes.
    let session = pair.server.talk().await;
    let asking = pair.server.wait_for(&session, "Hello?");
    let mut call = pair.model.next().await;
    call.open_stream().await;
    call.write(&every).await;
    for _ in 0..4 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        call.write(events(&[r#"{"choices":[]}"#])).await;
    }
    call.write(delta(" Four.")).await;
    // The connection stays open, and the last event is missing.
    let answer = asking.await.unwrap().expect(201);
    assert_eq!(answer.body["agentResponse"]["text"], "One two three. Four.");
    drop(call);
    pair.server.stop().await;
}

#[tokio::test]
async fn errors_with_a_success_status_fail_the_turn() {
    let mut pair = Pair::start().await;
    let half = delta("Half of a");
    let ends = [
        // vLLM, LiteLLM, Ollama.
        events(&[
            r#"{"error":{"message":"out of memory","type":"server_error","param":null,"code":500}}"#,
        ]),
        events(&[r#"{"error":"out of memory"}"#]),
        events(&[r#"{"error":true,"choices":[]}"#]),
        // OpenRouter: beside the choice, and in it.
        events(&[
            r#"{"id":"gen-x","object":"chat.completion.chunk","created":1764400000,"model":"openai/gpt-4o","provider":"openai","error":{"code":502,"message":"Provider disconnected unexpectedly"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}"#,
        ]),
        events(&[
            r#"{"choices":[{"index":0,"delta":{"content":"x"},"error":{"code":502,"message":"no"}}]}"#,
        ]),
        events(&[r#"{"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}"#]),
        // DeepSeek, vLLM.
        events(&[
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"insufficient_system_resource"}]}"#,
        ]),
        events(&[r#"{"choices":[{"index":0,"delta":{},"finish_reason":"abort"}]}"#]),
        // LM Studio.
        "event: error\ndata: {\"error\":{\"message\":\"The model has crashed\"}}\n\n".to_owned(),
        "event: error\ndata: The model has crashed\n\n".to_owned(),
        // llama.cpp before October 2025.
        "error: {\"code\":500,\"message\":\"x\",\"type\":\"server_error\"}\n\n".to_owned(),
        // vLLM and Mistral.
        events(&[
            r#"{"object":"error","message":"x","type":"InternalServerError","param":null,"code":500}"#,
        ]),
        // FastAPI and others.
        events(&[r#"{"detail":"Internal Server Error"}"#]),
        events(&[r#"{"detail":[{"loc":["body"],"msg":"x"}]}"#]),
        events(&[r#"{"message":"x","request_id":"y"}"#]),
        events(&[r#"{"error_code":17,"choices":null}"#]),
        events(&["Internal Server Error"]),
        events(&[r#""Internal Server Error""#]),
        events(&[r#"{"choices":"x"}"#]),
    ];
    for end in &ends {
        pair.stream(&format!("{half}{end}{DONE}")).await.failed(end);
        // Also after a finish reason.
        let finish = events(&[r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#]);
        let late = format!("{half}{finish}{end}{DONE}");
        pair.stream(&late).await.failed(&late);
    }
    for body in [
        json!({ "error": { "message": "no", "code": 400 } }),
        json!([{ "error": { "code": 400, "message": "no", "status": "INVALID_ARGUMENT" } }]),
        json!({ "object": "error", "message": "no" }),
        json!({ "choices": [{ "message": { "content": "Half" }, "finish_reason": "error" }] }),
        json!({ "detail": "no" }),
        json!({}),
        json!([]),
        json!("no"),
    ] {
        pair.whole(&body).await.failed(&body.to_string());
    }
    pair.server.stop().await;
}

#[tokio::test]
async fn a_connection_error_after_a_finish_reason_fails_the_turn() {
    let mut pair = Pair::start().await;
    let session = pair.server.talk().await;
    let asking = pair.server.wait_for(&session, "Hello?");
    let mut call = pair.model.next().await;
    call.open_chunked_stream().await;
    let every = r#"{"choices":[{"delta":{"content":"One of "},"finish_reason":"stop"}]}"#;
    call.write_chunk(&events(&[every])).await;
    drop(call);
    assert_eq!(asking.await.unwrap().status, 502);
    let history = pair.server.history(&session).await;
    assert_eq!(contents(&history), ["Hello?"]);
    pair.server.stop().await;
}

#[tokio::test]
async fn empty_error_fields_are_not_errors() {
    let mut pair = Pair::start().await;
    for error in [json!(""), json!(false), json!({}), json!(null), json!([])] {
        let data = json!({
            "error": error, "message": "", "choices": [{ "delta": { "content": "Yes." }, "error": error }],
        });
        let body = format!("data: {data}\n\n{DONE}");
        pair.stream(&body).await.said("Yes.");
        let body = json!({
            "error": error, "detail": error, "choices": [{ "message": { "content": "Yes." } }],
        });
        pair.whole(&body).await.said("Yes.");
    }
    let message = json!({ "message": "fine", "detail": "fine", "choices": [{ "delta": { "content": "Yes." } }] });
    pair.stream(&format!("data: {message}\n\n{DONE}"))
        .await
        .said("Yes.");
    pair.server.stop().await;
}

#[tokio::test]
async fn an_invalid_field_fails_no_stream() {
    let mut pair = Pair::start().await;
    let good = delta("Yes");
    for odd in [
        r#"{"choices":[]}"#,
        r#"{"choices":null}"#,
        r#"{"choices":[null]}"#,
        r#"{"choices":[7,{"delta":7}]}"#,
        r#"{"choices":[{"delta":{"content":7}}]}"#,
        r#"{"choices":[{"delta":{"content":{"a":1}}}]}"#,
        r#"{"choices":[{"delta":{"content":[7,{"type":7},{"type":"image_url","image_url":{}},[]]}}]}"#,
        r#"{"choices":[{"delta":null,"finish_reason":7,"index":"x","logprobs":1e999}]}"#,
        r#"{"model":7,"created":1e999,"\ud83c":"\ud83c","choices":[{"delta":{"role":7}}]}"#,
        r#"{"choices":[{"index":1,"delta":{"content":"the second choice"}}]}"#,
        "{}",
        "",
    ] {
        let odd_event = events(&[odd]);
        let body = format!("{good}{odd_event}{}{DONE}", delta("."));
        pair.stream(&body).await.said("Yes.");
    }
    // The finish reason "null" does not end the stream.
    let none = r#"{"choices":[{"delta":{"content":"Yes"},"finish_reason":"null"}]}"#;
    pair.stream(&events(&[none])).await.failed(none);
    // Of several choices the first one counts, in any order.
    let choices = json!([
        { "index": 1, "message": { "content": "No." }, "finish_reason": "stop" },
        { "index": 0, "message": { "content": "Yes." }, "finish_reason": "stop" },
    ]);
    pair.whole(&json!({ "choices": choices }))
        .await
        .said("Yes.");
    // Whole answers may have arrays of parts too.
    let parts = json!([
        { "type": "thinking", "thinking": [{ "type": "text", "text": "Hm." }] },
        { "type": "text", "text": "Yes" },
        { "type": "audio", "data": "x" },
        { "type": "text", "text": "." },
    ]);
    let body = json!({ "model": 7, "choices": [{ "message": { "content": parts } }] });
    let heard = pair.whole(&body).await;
    let wanted = json!({ "thought": "Hm.", "model": "asked-for" });
    assert_eq!(reply_info(heard.said("Yes.")), wanted);
    pair.server.stop().await;
}

#[tokio::test]
async fn the_first_byte_decides_the_format_and_not_the_content_type() {
    let mut pair = Pair::start().await;
    let streamed = format!("{}{DONE}", delta("Yes."));
    let whole = json!({ "choices": [{ "message": { "content": "Yes." } }] }).to_string();
    for label in ["application/json", "text/event-stream", "text/plain", ""] {
        for body in [
            &streamed,
            &whole,
            &format!(" \r\n{whole}"),
            &format!("\n\n{streamed}"),
        ] {
            pair.heard(label, body).await.said("Yes.");
        }
        pair.heard(label, "<html>Welcome</html>")
            .await
            .failed(label);
    }
    pair.server.stop().await;
}

#[tokio::test]
async fn chunks_may_split_a_character() {
    let mut pair = Pair::start().await;
    let halves = [
        r#"{"choices":[{"delta":{"content":"Party \ud83c"}}]}"#,
        r#"{"choices":[{"delta":{"content":""}}]}"#,
        r#"{"choices":[{"delta":{"content":"\udf89! \ud83c"}}]}"#,
        "[DONE]",
    ];
    pair.stream(&events(&halves))
        .await
        .said("Party 🎉! \u{fffd}");
    let parts = r#"{"choices":[{"message":{"content":[{"text":"Party \ud83c"},{"text":"\udf89 \udf89"}]}}]}"#;
    let heard = pair.heard("application/json", parts).await;
    heard.said("Party 🎉 \u{fffd}");
    pair.server.stop().await;
}
