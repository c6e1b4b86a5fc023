//! Reasoning of models, and answers that are only reasoning.

use serde_json::{Value, json};

use crate::stand_in::{StandIn, said, server_with};

fn backend(stand_in: &StandIn) -> Value {
    json!({ "type": "openai", "baseUrl": stand_in.url })
}

#[tokio::test]
async fn reasoning_in_the_text_becomes_the_thought() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let session = server.talk().await;
    let mut events = server.stream(&session, "One?").await;
    events.expect("user_message").await;
    let mut call = stand_in.next().await;
    call.open_stream().await;
    for text in ["\n<th", "ink>\nHm, a ", "secret. </thi", "nk>\n", "\nYe"] {
        call.delta(text).await;
    }
    assert_eq!(events.expect("activity").await["text"], "Hm, a secret. ");
    assert_eq!(events.expect("chunk").await["chunk"], "Ye");
    // Text outside tags is not held back.
    call.delta("s <").await;
    assert_eq!(events.expect("chunk").await["chunk"], "s ");
    call.delta("3").await;
    assert_eq!(events.expect("chunk").await["chunk"], "<3");
    call.done().await;
    assert_eq!(events.expect("done").await["text"], "Yes <3");
    let history = server.history(&session).await;
    assert_eq!(history[1]["metadata"]["thought"], "Hm, a secret.");

    let asking = server.wait_for(&session, "Two?");
    let call = stand_in.next().await;
    let asked = call.json().to_string();
    assert!(asked.contains("Yes <3"), "{asked}");
    assert!(!asked.contains("secret"), "{asked}");
    // The template may contain the opening tag, so that the answer has only the closing one; and an
    // answer may end inside its reasoning.
    let message = json!({ "content": "Hm.\n</think>\n\nAgain.\n<think>Or n" });
    call.answer(200, &json!({ "choices": [{ "message": message }] }))
        .await;
    asking.await.unwrap().expect(201);
    let history = server.history(&session).await;
    assert_eq!(history[3]["content"], "Again.\n");
    assert_eq!(history[3]["metadata"]["thought"], "Hm.\nOr n");
    server.stop().await;
}

#[tokio::test]
async fn a_closing_tag_without_an_opening_one_makes_earlier_text_a_thought() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let mut call = stand_in.next().await;
    call.open_stream().await;
    call.delta("Hm.\n").await;
    call.delta("</think>").await;
    call.delta("Yes.").await;
    call.done().await;
    asking.await.unwrap().expect(201);
    let wanted = said(&[("Hello?", false), ("Yes.", true)]);
    assert_eq!(server.said(&session).await, wanted);
    let history = server.history(&session).await;
    assert_eq!(history[1]["metadata"]["thought"], "Hm.");
    server.stop().await;
}

#[tokio::test]
async fn a_long_thought_is_cut_at_16_kib() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let mut call = stand_in.next().await;
    call.open_stream().await;
    for _ in 0..2 {
        // An odd length, so that the limit is inside a character.
        let delta = json!({ "reasoning_content": format!("x{}", "é".repeat(5000)) });
        let data = json!({ "choices": [{ "delta": delta }] });
        call.write(format!("data: {data}\n\n")).await;
    }
    call.delta("Yes.").await;
    call.done().await;
    asking.await.unwrap().expect(201);
    let history = server.history(&session).await;
    let thought = history[1]["metadata"]["thought"].as_str().unwrap();
    assert_eq!(thought.len(), 16 * 1024);
    server.stop().await;
}

#[tokio::test]
async fn an_answer_without_text_fails_and_nothing_is_stored() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    for message in [
        json!({ "content": "" }),
        json!({ "content": null, "reasoning_content": "Hm." }),
        json!({ "content": "<think>Hm." }),
        json!({ "content": null, "refusal": "I cannot." }),
        json!({ "content": null, "tool_calls": [{ "id": "x" }] }),
        json!({ "content": [] }),
    ] {
        for name in ["message", "delta"] {
            let session = server.talk().await;
            let asking = server.wait_for(&session, "Hello?");
            let call = stand_in.next().await;
            let body = json!({ "choices": [{ name: message, "finish_reason": "length" }] });
            if name == "message" {
                call.answer(200, &body).await;
            } else {
                let kind = [("content-type", "text/event-stream")];
                let body = format!("data: {body}\n\ndata: [DONE]\n\n");
                call.answer_with(200, &kind, &body).await;
            }
            let answer = asking.await.unwrap();
            assert_eq!(answer.status, 502, "{message}: {:#}", answer.body);
            assert_eq!(server.said(&session).await, said(&[("Hello?", false)]));
        }
    }
    server.stop().await;
}
