//! The example files, each with a stand-in for its server.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::Server;
use crate::stand_in::StandIn;

fn example(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data/agents/examples")
        .join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[tokio::test]
async fn each_example_is_a_working_agent() {
    let mut stand_in = StandIn::start().await;
    for name in [
        "openai.json",
        "hosted.json",
        "webhook.json",
        "elizaos.json",
        "external.json",
    ] {
        let mut file = example(name);
        // With another address.
        let backend = file["settings"]["backend"].as_object_mut().unwrap();
        for field in ["baseUrl", "url"] {
            if backend.contains_key(field) {
                backend[field] = stand_in.url.clone().into();
            }
        }
        let server = Server::builder()
            .set("MODEL_API_KEY", "sk-example")
            .set("WEBHOOK_SECRET", "an example")
            .without_scripted()
            .character(name, &file)
            .start()
            .await;
        let listed = server.get("/api/agents").await.expect(200).body;
        let id = listed["data"]["agents"][1]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let session = server.talk_to(&id).await;
        let asking = server.wait_for(&session, "Hello?");
        match name {
            "openai.json" | "hosted.json" => stand_in.next().await.complete("Hi.").await,
            "webhook.json" => {
                let call = stand_in.next().await;
                assert!(call.header("x-sessiond-signature").is_some());
                call.answer(200, &json!({ "text": "Hi." })).await;
            }
            "elizaos.json" => {
                let call = stand_in.next().await;
                call.answer(201, &json!({ "sessionId": "s" })).await;
                let mut call = stand_in.next().await;
                call.open_stream().await;
                call.event("done", &json!({ "text": "Hi." })).await;
            }
            _ => {
                server.history_of(&session, 1).await;
                let body = json!({ "channel_id": session, "author_id": id, "content": "Hi." });
                server.post("/api/messaging/submit", body).await.expect(201);
            }
        }
        let answer = asking.await.unwrap().expect(201);
        assert_eq!(answer.body["agentResponse"]["text"], "Hi.", "{name}");
        server.stop().await;
    }
}

#[tokio::test]
async fn all_examples_are_valid() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/agents/examples");
    let mut server = Server::builder()
        .set("MODEL_API_KEY", "sk-example")
        .set("WEBHOOK_SECRET", "an example")
        .without_scripted();
    let mut count = 1;
    for entry in fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        server = server.character(&name, &example(&name));
        count += 1;
    }
    let server = server.start().await;
    let listed = server.get("/api/agents").await.expect(200).body;
    assert_eq!(listed["data"]["agents"].as_array().unwrap().len(), count);
    server.stop().await;
}

#[test]
fn there_is_an_example_for_every_backend() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/agents/examples");
    let mut kinds: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let kind = &example(&name)["settings"]["backend"]["type"];
            kind.as_str().unwrap().to_owned()
        })
        .collect();
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds, ["eliza", "elizaos", "external", "openai", "webhook"]);
}
