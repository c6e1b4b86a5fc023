//! A server that is killed while turns are running.

use reqwest::Client;
use serde_json::{Value, json};

use crate::stand_in::{AGENT, StandIn, character, client};
use crate::support::server::Server as Process;

async fn messages(client: &Client, server: &Process, session: &str) -> Vec<Value> {
    let url = server.at(&format!("/api/messaging/sessions/{session}/messages"));
    let page: Value = client.get(url).send().await.unwrap().json().await.unwrap();
    let mut messages = page["messages"].as_array().unwrap().clone();
    messages.reverse();
    messages
}

#[tokio::test(flavor = "multi_thread")]
async fn open_turns_are_answered_once_each_and_in_order() {
    let mut stand_in = StandIn::start().await;
    let backend = json!({ "type": "webhook", "url": stand_in.url });
    let setup = Process::builder();
    let directory = setup.data_dir().join("agents");
    std::fs::create_dir_all(&directory).unwrap();
    let file = character(AGENT, &backend).to_string();
    std::fs::write(directory.join("agent.json"), file).unwrap();
    let mut server = tokio::task::spawn_blocking(|| setup.start()).await.unwrap();

    let client = client();
    let created = client
        .post(server.at("/api/messaging/sessions"))
        .json(&json!({ "agentId": AGENT, "userId": AGENT }))
        .send();
    let created: Value = created.await.unwrap().json().await.unwrap();
    let session = created["sessionId"].as_str().unwrap().to_owned();
    for content in ["one", "two", "three"] {
        let url = server.at(&format!("/api/messaging/sessions/{session}/messages"));
        let sent = client.post(url).json(&json!({ "content": content })).send();
        assert_eq!(sent.await.unwrap().status(), 201);
    }
    let call = stand_in.next().await;
    let turn = call.json()["turnId"].clone();
    tokio::task::block_in_place(|| server.kill9());
    call.expect_gone().await;
    tokio::task::block_in_place(|| server.restart());

    for content in ["one", "two", "three"] {
        let call = stand_in.next().await;
        let asked = call.json();
        assert_eq!(asked["message"]["content"], content);
        assert_eq!(
            asked["turnId"] == turn,
            content == "one",
            "the same turn, the same id"
        );
        stand_in.expect_nothing().await;
        let text = format!("to {content}");
        call.answer(200, &json!({ "text": text })).await;
    }
    let messages = crate::harness::eventually("all are answered", async || {
        let messages = messages(&client, &server, &session).await;
        (messages.len() == 6).then_some(messages)
    })
    .await;
    let said: Vec<_> = messages
        .iter()
        .map(|m| m["content"].as_str().unwrap())
        .collect();
    assert_eq!(
        said,
        ["one", "two", "three", "to one", "to two", "to three"]
    );
    stand_in.expect_nothing().await;
}
