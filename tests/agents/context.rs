//! Requests to a model: the conversation as far as it fits into the context, and the fields that a
//! character adds.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{SECOND, Server};
use crate::stand_in::{AGENT, Call, StandIn, character, said, server_with};

fn backend(stand_in: &StandIn) -> Value {
    json!({ "type": "openai", "baseUrl": stand_in.url })
}

/// Returns the messages of a request without the system prompt.
fn shown(call: &Call) -> Vec<String> {
    let asked = call.json();
    let messages = asked["messages"].as_array().unwrap().iter().skip(1);
    let contents = messages.map(|message| message["content"].as_str().unwrap().to_owned());
    contents.collect()
}

/// Creates a session with this number of turns: q1, a1, q2, a2 …
async fn conversation(server: &Server, stand_in: &mut StandIn, turns: usize) -> String {
    let session = server.talk().await;
    for number in 1..=turns {
        let asking = server.wait_for(&session, &format!("q{number}"));
        let call = stand_in.next().await;
        call.complete(&format!("a{number}")).await;
        asking.await.unwrap().expect(201);
    }
    session
}

#[tokio::test]
async fn a_full_context_is_retried_with_half_of_the_history() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    for (status, body) in [
        // llama.cpp.
        (
            400,
            r#"{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_prompt_tokens":5092,"n_ctx":1024}}"#,
        ),
        // OpenAI.
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens. Please reduce the length of the messages.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
        ),
        // vLLM, two versions.
        (
            400,
            r#"{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens in the messages, Please reduce the length of the messages.","type":"BadRequestError","param":null,"code":400}"#,
        ),
        (
            400,
            r#"{"error":{"message":"The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure that `max_model_len` is no smaller than the number of text tokens.","type":"BadRequestError","param":null,"code":400}}"#,
        ),
        // LiteLLM.
        (
            400,
            r#"{"error":{"message":"litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException - x","type":null,"param":null,"code":"400"}}"#,
        ),
        // LM Studio.
        (
            400,
            r#"{"error":"Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough."}"#,
        ),
        // Ollama.
        (
            400,
            r#"{"error":{"message":"prompt too long; exceeded max context length by 904 tokens","type":"invalid_request_error","param":null,"code":null}}"#,
        ),
        // Mistral.
        (
            422,
            r#"{"object":"error","message":"Prompt contains 36533 tokens and 0 draft tokens, too large for model with 32768 maximum context length","type":"invalid_request_prompt","param":null,"code":"3051"}"#,
        ),
        // OpenRouter.
        (
            400,
            r#"{"error":{"message":"This endpoint's maximum context length is 131072 tokens. However, you requested about 140000 tokens (140000 of text input). Please reduce the length of either one, or use the \"middle-out\" transform to compress your prompt automatically.","code":400}}"#,
        ),
        // Gemini.
        (
            400,
            r#"[{"error":{"code":400,"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}]"#,
        ),
        (413, "Payload Too Large"),
        // With a success status, whole and as an event.
        (
            200,
            r#"{"error":{"code":400,"message":"x","type":"exceed_context_size_error"}}"#,
        ),
        (
            200,
            "event: error\ndata: {\"error\":{\"message\":\"Reached context length of 4096 tokens\"}}\n\n",
        ),
        (
            200,
            "error: {\"code\":400,\"message\":\"x\",\"type\":\"exceed_context_size_error\"}\n\n",
        ),
    ] {
        let session = conversation(&server, &mut stand_in, 2).await;
        let asking = server.wait_for(&session, "q3");
        for wanted in [&["q1", "a1", "q2", "a2", "q3"][..], &["q2", "a2", "q3"]] {
            let call = stand_in.next().await;
            assert_eq!(shown(&call), wanted, "{body}");
            call.answer_with(status, &[], body).await;
        }
        // Half of it again is a reply without its message.
        let call = stand_in.next().await;
        assert_eq!(shown(&call), ["q3"], "{body}");
        call.complete("a3").await;
        let answer = asking.await.unwrap().expect(201);
        assert_eq!(answer.body["agentResponse"]["text"], "a3");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_message_that_exceeds_the_context_fails_and_the_next_one_is_answered() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let session = conversation(&server, &mut stand_in, 1).await;
    let asking = server.wait_for(&session, "Too long.");
    let full = json!({ "error": { "code": "context_length_exceeded" } });
    for _ in 0..3 {
        stand_in.next().await.answer(400, &full).await;
    }
    let answer = asking.await.unwrap();
    assert_eq!(
        (answer.status, &answer.body["code"]),
        (502, &json!("AGENT_ERROR"))
    );
    stand_in.expect_nothing().await;

    let asking = server.wait_for(&session, "Short.");
    stand_in.next().await.complete("Yes.").await;
    asking.await.unwrap().expect(201);
    server.stop().await;
}

#[tokio::test]
async fn other_errors_are_not_retried_with_less() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let session = conversation(&server, &mut stand_in, 1).await;
    let full = json!({ "error": { "code": "context_length_exceeded" } });
    let other = json!({ "error": { "message": "unknown model", "input": "context length" } });
    for (status, body) in [(400, other), (401, full.clone()), (404, full.clone())] {
        let asking = server.wait_for(&session, "q2");
        stand_in.next().await.answer(status, &body).await;
        assert_eq!(asking.await.unwrap().status, 502);
        stand_in.expect_nothing().await;
    }
    // Chunks cannot be taken back.
    let asking = server.wait_for(&session, "q2");
    let mut call = stand_in.next().await;
    call.open_stream().await;
    call.delta("Half").await;
    call.event("error", &full).await;
    assert_eq!(asking.await.unwrap().status, 502);
    stand_in.expect_nothing().await;
    server.stop().await;
}

#[tokio::test]
async fn the_idle_timeout_starts_anew_with_a_second_request() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in);
    settings["idleTimeoutSeconds"] = 5.into();
    let server = server_with(settings).await;
    let session = conversation(&server, &mut stand_in, 1).await;
    let asking = server.wait_for(&session, "q2");
    // The first answer has a body that says that the context is full.
    let full = json!({ "error": { "code": "context_length_exceeded" } });
    stand_in.next().await.answer(200, &full).await;
    let mut call = stand_in.next().await;
    server.settle().await;
    server.advance(60 * SECOND);
    server.settle().await;
    call.open_stream().await;
    call.delta("a2").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    // Once it has begun, the idle timeout applies.
    server.advance(6 * SECOND);
    let answer = asking.await.unwrap().expect(201);
    assert_eq!(answer.body["agentResponse"]["text"], "a2");
    let history = server.history(&session).await;
    assert_eq!(history[3]["metadata"]["truncated"], true);
    server.stop().await;
}

#[tokio::test]
async fn the_history_is_limited_to_the_tokens_of_the_context() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in);
    // 200 characters, of which 40 are for the reply. The system prompt has 26.
    settings["contextTokens"] = 50.into();
    settings["maxCompletionTokens"] = 10.into();
    let server = server_with(settings).await;
    let session = server.talk().await;
    let long = |letter: &str| letter.repeat(40);
    for (question, wanted) in [
        ("a", vec!["a"]),
        ("b", vec!["a", "A", "b"]),
        // A message is left out with its reply if both do not fit.
        ("c", vec!["b", "B", "c"]),
    ] {
        let asking = server.wait_for(&session, &long(question));
        let call = stand_in.next().await;
        let wanted: Vec<_> = wanted.into_iter().map(long).collect();
        assert_eq!(shown(&call), wanted);
        let asked = call.json();
        assert_eq!(asked["max_completion_tokens"], 10);
        assert_eq!(asked.get("max_tokens"), None);
        call.complete(&long(&question.to_uppercase())).await;
        asking.await.unwrap().expect(201);
    }
    // A message is sent whatever its length.
    let asking = server.wait_for(&session, &"x".repeat(1000));
    let call = stand_in.next().await;
    assert_eq!(shown(&call), ["x".repeat(1000)]);
    call.complete("Yes.").await;
    asking.await.unwrap().expect(201);
    server.stop().await;
}

#[tokio::test]
async fn a_character_adds_headers_and_fields_without_replacing_any() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in);
    settings["model"] = "m".into();
    settings["apiKeyEnv"] = "MY_KEY".into();
    settings["headers"] =
        json!({ "X-Title": " My app ", "api-key": "hk-SECRET", "User-Agent": "mine" });
    settings["extraBody"] = json!({
        "model": "other", "messages": [], "stream": false, "top_k": 40, "temperature": 0.25,
        "chat_template_kwargs": { "enable_thinking": false }, "seed": null,
    });
    let server = Server::builder()
        .set("MY_KEY", "sk-mine")
        .character("agent.json", &character(AGENT, &settings))
        .start()
        .await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let call = stand_in.next().await;
    assert_eq!(call.header("x-title"), Some("My app"));
    assert_eq!(call.header("api-key"), Some("hk-SECRET"));
    assert_eq!(call.header("user-agent"), Some("mine"));
    assert_eq!(call.header("authorization"), Some("Bearer sk-mine"));
    assert_eq!(call.header("content-type"), Some("application/json"));
    let mut asked = call.json();
    assert_eq!(asked["messages"].as_array_mut().unwrap().len(), 2);
    asked.as_object_mut().unwrap().remove("messages");
    assert_eq!(
        asked,
        json!({
            "model": "m", "stream": true, "top_k": 40, "temperature": 0.25,
            "chat_template_kwargs": { "enable_thinking": false }, "seed": null,
            "stream_options": { "include_usage": true },
        })
    );
    call.complete("Yes.").await;
    asking.await.unwrap().expect(201);
    assert_eq!(
        server.said(&session).await,
        said(&[("Hello?", false), ("Yes.", true)])
    );
    server.stop().await;
}
