//! Listing agents, and loading them from character files.

use std::fs::File;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::harness::{Builder, ELIZA, SCRIPTED, START, Server, UNKNOWN_ID, names};

const ADA: &str = "a0a0a0a0-0000-0000-0000-000000000001";

/// Returns a character with a value in every field that `ElizaOS` knows.
fn ada() -> Value {
    json!({
        "id": ADA.to_uppercase(),
        "name": "Ada",
        "username": "countess",
        "bio": ["The first programmer.\nTruly.", "Likes engines."],
        "system": "You are Ada.",
        "adjectives": ["precise"],
        "topics": ["engines"],
        "style": { "all": ["be brief"], "chat": [], "post": [] },
        "messageExamples": [[{ "name": "{{user1}}", "content": { "text": "Hi" } }]],
        "postExamples": ["A post"],
        "plugins": ["@elizaos/plugin-bootstrap"],
        "knowledge": ["TOP-SECRET-knowledge"],
        "secrets": { "KEY": "TOP-SECRET-key" },
        "settings": { "secrets": { "API": "TOP-SECRET-api" }, "SESSION_TIMEOUT_MINUTES": 45,
                      "backend": { "type": "eliza" }, "other": "TOP-SECRET-other" },
        "clients": ["TOP-SECRET-client"],
        "lore": ["TOP-SECRET-lore"],
        "unknown": { "deep": "TOP-SECRET-unknown" },
    })
}

async fn list(server: &Server) -> Vec<Value> {
    let body = server.get("/api/agents").await.expect(200).body;
    assert_eq!(names(&body), ["success", "data"]);
    assert_eq!(body["success"], true);
    assert_eq!(names(&body["data"]), ["agents"]);
    body["data"]["agents"].as_array().unwrap().clone()
}

async fn show(server: &Server, id: &str) -> Value {
    let body = server
        .get(&format!("/api/agents/{id}"))
        .await
        .expect(200)
        .body;
    assert_eq!(names(&body), ["success", "data"]);
    assert_eq!(body["success"], true);
    body["data"].clone()
}

fn summary(id: &str, name: &str, bio: &str, time: i64) -> Value {
    json!({
        "id": id,
        "name": name,
        "characterName": name,
        "bio": bio,
        "status": "active",
        "enabled": true,
        "createdAt": time,
        "updatedAt": time,
    })
}

/// Sets the modification time of a character file.
fn set_modified(setup: &Builder, file: &str, epoch_millis: u64) {
    let path = setup.data_dir().join("agents").join(file);
    let file = File::options().write(true).open(path).unwrap();
    let time = UNIX_EPOCH + Duration::from_millis(epoch_millis);
    file.set_modified(time).unwrap();
}

#[tokio::test]
async fn one_agent_is_built_in() {
    let server = Server::builder().without_scripted().start().await;
    let agents = list(&server).await;
    let bio = agents[0]["bio"].as_str().unwrap();
    assert_eq!(agents, [summary(ELIZA, "Eliza", bio, START.0)]);
    assert!(!bio.is_empty() && !bio.contains('\n'));
    let shown = show(&server, ELIZA).await;
    assert_eq!(shown["name"], "Eliza");
    assert_eq!(shown["bio"][0], bio);
    assert_eq!(shown.get("settings"), None);
    server.stop().await;
}

#[tokio::test]
async fn a_character_file_becomes_an_agent() {
    let setup = Server::builder().character("ada.json", &ada());
    set_modified(&setup, "ada.json", 1_600_000_000_123);
    let server = setup.start().await;
    let agents = list(&server).await;
    let ids: Vec<_> = agents
        .iter()
        .map(|agent| agent["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, [ELIZA, ADA, SCRIPTED]);
    let expected = summary(ADA, "Ada", "The first programmer.", 1_600_000_000_123);
    assert_eq!(agents[1], expected, "the first line of its bio");

    let shown = show(&server, ADA).await;
    let mut expected = expected;
    for field in [
        "bio",
        "username",
        "system",
        "adjectives",
        "topics",
        "style",
        "messageExamples",
        "postExamples",
        "plugins",
    ] {
        expected[field] = ada()[field].clone();
    }
    assert_eq!(shown, expected, "the rest of the file is not shown");
    assert_eq!(show(&server, &ADA.to_uppercase()).await, shown);
    for body in [json!(agents), shown] {
        assert!(!body.to_string().contains("TOP-SECRET"));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_bio_is_a_string_a_list_or_absent() {
    let server = Server::builder()
        .character(
            "a.json",
            &json!({ "name": "A", "bio": "One text\nof two lines" }),
        )
        .character("b.json", &json!({ "name": "B", "bio": ["", "second"] }))
        .character("c.json", &json!({ "name": "C", "bio": [] }))
        .character("d.json", &json!({ "name": "D" }))
        .start()
        .await;
    let agents = list(&server).await;
    let of = |name: &str| agents.iter().find(|agent| agent["name"] == name).unwrap();
    assert_eq!(of("A")["bio"], "One text");
    assert!(of("B")["bio"].is_string());
    assert_eq!(of("C")["bio"], "");
    assert_eq!(of("D")["bio"], "");
    let shown = show(&server, of("A")["id"].as_str().unwrap()).await;
    assert_eq!(shown["bio"], "One text\nof two lines", "both lines");
    server.stop().await;
}

#[tokio::test]
async fn an_agent_without_an_id_gets_the_one_elizaos_derives_from_its_name() {
    let names = [
        // SHA-1 of the name as encodeURIComponent writes it, with its version and variant.
        ("Eliza", ELIZA),
        ("Ada", "5c3cb098-d52d-0b3f-a7e9-7b7fba960c4c"),
        ("Zoë (2)!", "6f7b7043-3bf9-0895-8f2b-f29ffe36f780"),
    ];
    let server = Server::builder()
        .character("ada.json", &json!({ "name": "Ada" }))
        .character("zoe.json", &json!({ "name": "Zoë (2)!" }))
        .start()
        .await;
    let agents = list(&server).await;
    for (name, id) in names {
        let agent = agents.iter().find(|agent| agent["name"] == name).unwrap();
        assert_eq!(agent["id"], id, "{name}");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_agent_from_a_file_replies() {
    let server = Server::builder()
        .character("ada.json", &ada())
        .start()
        .await;
    let session = server.session_with(json!({ "agentId": ADA })).await;
    assert!(!server.ask(&session, "Hello").await.is_empty());
    assert_eq!(server.history(&session).await[1]["authorId"], ADA);
    server.stop().await;
}

#[tokio::test]
async fn a_file_with_the_built_in_agents_id_replaces_it() {
    let server = Server::builder()
        .character("mine.json", &json!({ "name": "Eliza", "bio": "mine" }))
        .start()
        .await;
    let agents = list(&server).await;
    let of_that_id: Vec<_> = agents.iter().filter(|agent| agent["id"] == ELIZA).collect();
    assert_eq!(of_that_id.len(), 1);
    assert_eq!(of_that_id[0]["bio"], "mine");
    server.stop().await;
}

#[tokio::test]
async fn unknown_agents_are_not_found() {
    let server = Server::start().await;
    let long = "x".repeat(36);
    for id in [UNKNOWN_ID, "abc-123", long.as_str(), "Eliza"] {
        let missing = server.get(&format!("/api/agents/{id}")).await;
        let details = missing.error(404, "AGENT_NOT_FOUND", "AgentNotFoundError");
        assert_eq!(details, json!({ "agentId": id }));
    }
    server.stop().await;
}

#[tokio::test]
async fn files_that_are_not_characters_are_ignored() {
    let setup = Server::builder()
        .character_text("notes.txt", "not a character")
        .character_text("old.json.bak", "{")
        .character_text(".hidden", "{");
    let nested = setup.data_dir().join("agents").join("nested.json");
    std::fs::create_dir(&nested).unwrap();
    std::fs::write(nested.join("deep.json"), "{").unwrap();
    let server = setup.start().await;
    assert_eq!(list(&server).await.len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn an_invalid_file_stops_the_start_with_its_path_and_line() {
    for (text, line) in [
        ("{\n  \"name\": \"Ada\",\n}", 3),
        ("{\n\"name\": \"Ada\",\n\"id\": \"abc\" }", 3),
        ("[]", 1),
        ("", 1),
        ("{ \"bio\": \"nameless\" }", 1),
    ] {
        let setup = Server::builder().character_text("ada.json", text);
        let error = setup.start_error().await;
        assert!(
            error.contains(&format!("ada.json:{line}")),
            "{text:?}: {error}"
        );
    }
}

#[tokio::test]
async fn two_files_with_the_same_id_stop_the_start() {
    let error = Server::builder()
        .character("one.json", &json!({ "name": "Ada" }))
        .character("two.json", &json!({ "name": "Ada" }))
        .start_error()
        .await;
    for part in [
        "one.json",
        "two.json",
        "5c3cb098-d52d-0b3f-a7e9-7b7fba960c4c",
    ] {
        assert!(error.contains(part), "{error}");
    }
}
