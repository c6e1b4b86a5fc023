//! A server that is killed while turns are running.

use reqwest::Client;
use serde_json::{Value, json};

use crate::stand_in::{AGENT, StandIn, character, client};
use crate::support::server::Server as Process;

async fn messages(client: &Client, server: &Process, session: &str) -> Vec<Value> {
    let url = server.at(&format!(
        "/api/messaging/sessions/{session}/messages?limit=100"
    ));
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

/// Starts a process with an agent of this backend.
async fn start_with(backend: &Value) -> Process {
    let setup = Process::builder();
    let directory = setup.data_dir().join("agents");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(
        directory.join("agent.json"),
        character(AGENT, backend).to_string(),
    )
    .unwrap();
    tokio::task::spawn_blocking(|| setup.start()).await.unwrap()
}

/// Returns the turns that wait, as the agent finds them.
async fn waiting(client: &Client, server: &Process) -> Vec<Value> {
    let url = server.at(&format!("/api/agents/{AGENT}/turns"));
    let page: Value = client.get(url).send().await.unwrap().json().await.unwrap();
    page["turns"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_the_turns_that_wait_are_those_without_a_reply() {
    let mut server = start_with(&json!({ "type": "external" })).await;
    let client = client();
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let body = json!({ "agentId": AGENT, "userId": AGENT });
        let created = client
            .post(server.at("/api/messaging/sessions"))
            .json(&body)
            .send();
        let created: Value = created.await.unwrap().json().await.unwrap();
        sessions.push(created["sessionId"].as_str().unwrap().to_owned());
    }
    for round in 0..4 {
        // Workers answer while users write, until the server is gone.
        let writing = sessions.iter().cloned().map(|session| {
            let (client, url) = (client.clone(), server.at(""));
            tokio::spawn(async move {
                for number in 0..16 {
                    let path = format!("{url}/api/messaging/sessions/{session}/messages");
                    let body = json!({ "content": format!("{round}.{number}") });
                    if client.post(path).json(&body).send().await.is_err() {
                        return;
                    }
                }
            })
        });
        let writing: Vec<_> = writing.collect();
        for turn in 0..6 {
            let found = waiting(&client, &server).await;
            let Some(work) = found.get(turn % 2) else {
                continue;
            };
            let mut body = json!({
                "channel_id": work["sessionId"], "author_id": AGENT, "turnId": work["turnId"],
                "messageId": work["turnId"],
            });
            if turn % 3 == 0 {
                body["error"] = json!({ "message": "No." });
            } else {
                body["content"] = "Yes.".into();
            }
            let sent = client
                .post(server.at("/api/messaging/submit"))
                .json(&body)
                .send();
            assert_eq!(sent.await.unwrap().status(), 201);
        }
        tokio::task::block_in_place(|| server.kill9());
        for task in writing {
            task.await.unwrap();
        }
        tokio::task::block_in_place(|| server.restart());

        let found = waiting(&client, &server).await;
        let mut open = Vec::new();
        for session in &sessions {
            let messages = messages(&client, &server, session).await;
            let answered: Vec<_> = messages.iter().map(|m| m["inReplyTo"].clone()).collect();
            open.extend(messages.into_iter().filter(|message| {
                let has_failed = message["metadata"].get("agentError").is_some();
                message["isAgent"] == false && !has_failed && !answered.contains(&message["id"])
            }));
        }
        let text = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
        let asked = found.iter().map(|turn| &turn["message"]);
        let times: Vec<_> = asked
            .clone()
            .map(|message| text(message, "createdAt"))
            .collect();
        assert!(times.is_sorted(), "the oldest first: {times:?}");
        let mut found: Vec<_> = asked.map(|message| text(message, "id")).collect();
        let mut open: Vec<_> = open.iter().map(|message| text(message, "id")).collect();
        found.sort();
        open.sort();
        assert_eq!(found, open, "round {round}");
    }
}
