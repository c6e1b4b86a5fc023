//! The history that an agent receives.

use serde_json::{Value, json};

use crate::harness::Server;
use crate::stand_in::{AGENT, StandIn, character, server_with};

/// Returns the conversation that a model received, without the system prompt. Roles alternate.
fn shown(asked: &Value) -> Vec<String> {
    let messages = asked["messages"].as_array().unwrap();
    let text = |message: &Value| message["content"].as_str().unwrap().to_owned();
    assert_eq!(messages[0]["role"], "system");
    for (at, message) in messages[1..].iter().enumerate() {
        let role = if at % 2 == 0 { "user" } else { "assistant" };
        assert_eq!(message["role"], role, "{messages:#?}");
    }
    messages[1..].iter().map(text).collect()
}

/// Runs a turn with this reply, which fails without one; returns what the model received.
async fn turn(
    server: &Server,
    stand_in: &mut StandIn,
    session: &str,
    content: &str,
    answer: Option<&str>,
) -> Vec<String> {
    let asking = server.wait_for(session, content);
    let call = stand_in.next().await;
    let shown = shown(&call.json());
    match answer {
        Some(text) => call.complete(text).await,
        None => {
            call.answer(400, &json!({ "error": "roles must alternate" }))
                .await;
        }
    }
    let answered = asking.await.unwrap();
    assert_eq!(answered.status, if answer.is_some() { 201 } else { 502 });
    shown
}

#[tokio::test]
async fn a_model_receives_alternating_roles() {
    let mut stand_in = StandIn::start().await;
    let backend = json!({ "type": "openai", "baseUrl": stand_in.url });
    let mut server = server_with(backend).await;
    let session = server.talk().await;
    // The agent's opening, and a message between turns.
    let unasked = json!({ "content": "Welcome." });
    server.submit(&session, unasked).await.expect(201);
    let opening = ["[The conversation begins.]", "Welcome."];
    let seen = turn(&server, &mut stand_in, &session, "One?", None).await;
    assert_eq!(seen, [&opening[..], &["One?"]].concat());
    let seen = turn(&server, &mut stand_in, &session, "Two?", None).await;
    assert_eq!(seen, [&opening[..], &["One?\n\nTwo?"]].concat());
    let seen = turn(&server, &mut stand_in, &session, "Three?", Some("Three.")).await;
    let three = [&opening[..], &["One?\n\nTwo?\n\nThree?"]].concat();
    assert_eq!(seen, three);
    let unasked = json!({ "content": "And pi." });
    server.submit(&session, unasked).await.expect(201);

    // A turn that a stop interrupts has the same history when it is resumed.
    let asking = server.wait_for(&session, "Four?");
    let call = stand_in.next().await;
    let four = [&three[..], &["Three.\n\nAnd pi.", "Four?"]].concat();
    assert_eq!(shown(&call.json()), four);
    server.restart().await;
    asking.await.unwrap().expect(503);
    let call = stand_in.next().await;
    assert_eq!(shown(&call.json()), four);
    call.complete("Four.").await;
    server.history_of(&session, 8).await;

    // So has one with later messages before its reply.
    let five = server.wait_for(&session, "Five?");
    let call = stand_in.next().await;
    server.tell(&session, "Six?").await;
    call.complete("Five.").await;
    five.await.unwrap().expect(201);
    let call = stand_in.next().await;
    let six = [&four[..], &["Four.", "Five?", "Five.", "Six?"]].concat();
    assert_eq!(shown(&call.json()), six);
    call.complete("Six.").await;
    server.history_of(&session, 12).await;
    server.stop().await;
}

#[tokio::test]
async fn a_late_reply_of_a_webhook_is_in_its_history() {
    let mut stand_in = StandIn::start().await;
    let backend = json!({ "type": "webhook", "url": stand_in.url, "historyMessages": 10 });
    let server = Server::builder()
        .character("agent.json", &character(AGENT, &backend))
        .start()
        .await;
    let session = server.talk().await;
    server.tell(&session, "One?").await;
    stand_in.next().await.answer_with(202, &[], "").await;
    server.settle().await;
    // The promised reply, and one without an open turn.
    for content in ["One.", "One more."] {
        let reply = json!({ "content": content });
        server.submit(&session, reply).await.expect(201);
    }
    let asking = server.wait_for(&session, "Two?");
    let call = stand_in.next().await;
    let history = call.json()["history"].as_array().unwrap().clone();
    let texts: Vec<_> = history
        .iter()
        .map(|past| format!("{}: {}", past["role"], past["content"]).replace('"', ""))
        .collect();
    assert_eq!(texts, ["user: One?", "agent: One.", "agent: One more."]);
    call.answer(200, &json!({ "text": "Two." })).await;
    asking.await.unwrap().expect(201);
    server.stop().await;
}
