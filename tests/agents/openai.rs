//! Models with chat completions.

use serde_json::{Value, json};

use crate::harness::{Server, contents};
use crate::stand_in::{AGENT, StandIn, character, server_with};

fn backend(stand_in: &StandIn) -> Value {
    json!({ "type": "openai", "baseUrl": format!("{}/v1", stand_in.url), "model": "m" })
}

#[tokio::test]
async fn a_reply_is_streamed_whatever_comes_between_its_chunks() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let session = server.talk().await;
    let mut events = server.stream(&session, "Hello?").await;
    events.expect("user_message").await;

    let mut call = stand_in.next().await;
    assert_eq!(
        (call.method.as_str(), call.path.as_str()),
        ("POST", "/v1/chat/completions")
    );
    assert_eq!(call.header("authorization"), None);
    let asked = call.json();
    assert_eq!(asked["model"], "m");
    assert_eq!(asked["stream"], true);
    assert_eq!(
        asked["messages"],
        json!([
            { "role": "system", "content": "You are Agent 1.\n\nAnswers." },
            { "role": "user", "content": "Hello?" },
        ])
    );
    assert_eq!(asked["stream_options"], json!({ "include_usage": true }));
    assert_eq!(asked.as_object().unwrap().len(), 4, "{asked}");

    call.open_stream().await;
    call.write(": keep-alive\n\n").await;
    let role = json!({ "choices": [{ "delta": { "role": "assistant", "content": null } }] });
    call.write(format!("data: {role}\r\n\r\n")).await;
    // A character of four bytes in two packets.
    let piece = json!({ "choices": [{ "delta": { "content": "Gr😀" } }] });
    let piece = format!("data: {piece}\n\n");
    let middle = piece.find('😀').unwrap() + 2;
    call.write(&piece.as_bytes()[..middle]).await;
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    call.write(&piece.as_bytes()[middle..]).await;
    let chunk = events.expect("chunk").await;
    assert_eq!(
        (&chunk["chunk"], &chunk["index"]),
        (&json!("Gr😀"), &json!(0))
    );

    call.write(": still there\n\n").await;
    call.delta("üße").await;
    assert_eq!(events.expect("chunk").await["chunk"], "üße");
    let usage = json!({ "choices": [], "usage": { "total_tokens": 7 }, "error": null });
    call.write(format!("data: {usage}\n\n")).await;
    call.done().await;
    let done = events.expect("done").await;
    assert_eq!(done["text"], "Gr😀üße");
    assert_eq!(chunk["messageId"], done["id"]);
    let history = server.history(&session).await;
    assert_eq!(contents(&history), ["Hello?", "Gr😀üße"]);
    server.stop().await;
}

#[tokio::test]
async fn packets_may_split_a_stream_anywhere() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let mut call = stand_in.next().await;
    call.open_stream().await;
    let one = json!({ "choices": [{ "delta": { "content": "Zoë " } }] });
    let two = json!({ "choices": [{ "delta": { "content": "says 日本" } }] });
    let stream = format!("data: {one}\r\n\r\n:x\r\ndata:{two}\r\n\r\ndata: [DONE]\r\n\r\n");
    for byte in stream.bytes() {
        call.write([byte]).await;
        tokio::task::yield_now().await;
    }
    let answer = asking.await.unwrap().expect(201);
    assert_eq!(answer.body["agentResponse"]["text"], "Zoë says 日本");
    server.stop().await;
}

#[tokio::test]
async fn a_whole_answer_is_one_chunk() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let session = server.talk().await;
    let mut events = server.stream(&session, "Hello?").await;
    let call = stand_in.next().await;
    let body = json!({
        "choices": [{ "message": { "role": "assistant", "content": "At once." },
                      "finish_reason": "stop" }],
        "usage": { "total_tokens": 7 },
    });
    call.answer(200, &body).await;
    events.expect("user_message").await;
    assert_eq!(events.expect("chunk").await["chunk"], "At once.");
    assert_eq!(events.expect("done").await["text"], "At once.");
    server.stop().await;
}

#[tokio::test]
async fn a_finish_reason_ends_a_reply_without_the_last_line() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let mut call = stand_in.next().await;
    call.open_stream().await;
    call.delta("Well").await;
    let last = json!({ "choices": [{ "delta": {}, "finish_reason": "length" }] });
    // Also without an empty line after it, and with an open connection.
    call.write(format!("data: {last}\n\n")).await;
    let answer = asking.await.unwrap().expect(201);
    assert_eq!(answer.body["agentResponse"]["text"], "Well");
    drop(call);
    server.stop().await;
}

#[tokio::test]
async fn the_history_is_bounded_and_begins_with_the_user() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in);
    settings["historyMessages"] = 3.into();
    settings["temperature"] = 0.5.into();
    settings["maxTokens"] = 99.into();
    let server = server_with(settings).await;
    let session = server.talk().await;
    let turns = |asked: &Value| -> Vec<String> {
        let turns = asked["messages"].as_array().unwrap().iter().skip(1);
        turns
            .map(|said| {
                format!(
                    "{}: {}",
                    said["role"].as_str().unwrap(),
                    said["content"].as_str().unwrap()
                )
            })
            .collect()
    };
    for (number, seen) in [
        (1, vec!["user: q1"]),
        (2, vec!["user: q1", "assistant: a1", "user: q2"]),
        // The oldest of four messages is left out, and then the reply that would come first.
        (3, vec!["user: q2", "assistant: a2", "user: q3"]),
    ] {
        let asking = server.wait_for(&session, &format!("q{number}"));
        let call = stand_in.next().await;
        let asked = call.json();
        assert_eq!(turns(&asked), seen);
        assert_eq!(asked["temperature"], 0.5);
        assert_eq!(asked["max_tokens"], 99);
        call.complete(&format!("a{number}")).await;
        asking.await.unwrap().expect(201);
    }
    // The message of a failed turn is merged with the next one.
    let asking = server.wait_for(&session, "q4");
    stand_in.next().await.answer(400, &json!({})).await;
    asking.await.unwrap().expect(502);
    let asking = server.wait_for(&session, "q5");
    let call = stand_in.next().await;
    assert_eq!(
        turns(&call.json()),
        ["user: q3", "assistant: a3", "user: q4\n\nq5"]
    );
    call.complete("a5").await;
    asking.await.unwrap().expect(201);
    server.stop().await;
}

#[tokio::test]
async fn a_reply_is_cut_at_64_kib() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let mut call = stand_in.next().await;
    call.open_stream().await;
    // 65,535 bytes, so that the limit is inside a character.
    call.delta(&"x".repeat(65_535)).await;
    call.delta("éééé").await;
    let answer = asking.await.unwrap().expect(201);
    let text = answer.body["agentResponse"]["text"].as_str().unwrap();
    assert_eq!(text.len(), 65_535);
    // The connection is closed.
    call.expect_gone().await;
    server.stop().await;
}

#[tokio::test]
async fn elizaos_variables_name_the_model_of_files_without_a_backend() {
    let mut stand_in = StandIn::start().await;
    let plain = json!({ "id": AGENT, "name": "Plain" });
    let base = format!("{}/v1/", stand_in.url);
    let setup = Server::builder()
        .set("OPENAI_API_KEY", "sk-secret")
        .set("OPENAI_BASE_URL", &base)
        .set("OLLAMA_API_ENDPOINT", "http://127.0.0.1:9/api")
        .character("plain.json", &plain)
        .character(
            "eliza.json",
            &json!({
                "name": "Eliza 2", "settings": { "backend": { "type": "eliza" } },
            }),
        );
    let server = setup.start().await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let call = stand_in.next().await;
    assert_eq!(call.path, "/v1/chat/completions");
    assert_eq!(call.header("authorization"), Some("Bearer sk-secret"));
    assert_eq!(call.json()["model"], "gpt-4o");
    call.complete("Hi.").await;
    asking.await.unwrap().expect(201);
    // The built-in agent keeps its backend.
    let session = server.talk_to(crate::harness::ELIZA).await;
    assert!(!server.ask(&session, "Hello").await.is_empty());
    server.stop().await;

    let endpoint = format!("{}/api", stand_in.url);
    let setup = Server::builder()
        .set("OLLAMA_API_ENDPOINT", &endpoint)
        .set("OLLAMA_LARGE_MODEL", "llama")
        .character("plain.json", &plain);
    let server = setup.start().await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let call = stand_in.next().await;
    assert_eq!(call.path, "/v1/chat/completions");
    assert_eq!(call.json()["model"], "llama");
    call.complete("Hi.").await;
    asking.await.unwrap().expect(201);
    server.stop().await;
}

#[tokio::test]
async fn a_key_is_sent_only_to_its_server() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in);
    settings["apiKeyEnv"] = "MY_KEY".into();
    let server = Server::builder()
        .set("MY_KEY", "sk-mine")
        .character("agent.json", &character(AGENT, &settings))
        .start()
        .await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let call = stand_in.next().await;
    assert_eq!(call.header("authorization"), Some("Bearer sk-mine"));
    // A redirect would send it elsewhere.
    let elsewhere = StandIn::start().await;
    let location = format!("{}/v1/chat/completions", elsewhere.url);
    call.answer_with(307, &[("location", &location)], "").await;
    asking.await.unwrap().expect(502);
    let mut elsewhere = elsewhere;
    elsewhere.expect_nothing().await;
    server.stop().await;
}
