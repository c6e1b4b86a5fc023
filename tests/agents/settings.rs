//! What a character file may say of its backend, and how a wrong one is told of.

use serde_json::json;

use crate::harness::{Builder, Server};

fn with(text: &str) -> Builder {
    Server::builder().character_text("ada.json", text)
}

#[tokio::test]
async fn a_wrong_backend_stops_the_start_with_its_place() {
    let file = |backend: &str| {
        format!("{{\"name\": \"Ada\",\n\"settings\": {{\n\"backend\": {backend}}}}}")
    };
    for (backend, line, reason) in [
        (
            r#"{"type": "gpt"}"#,
            3,
            "allowed is eliza, openai, webhook, elizaos, external",
        ),
        ("{}", 3, "missing field `type`"),
        (r#"{"type": "openai"}"#, 3, "missing field `baseUrl`"),
        (
            "{\"type\": \"openai\",\n\"baseUrl\": 7}",
            4,
            "expected a string",
        ),
        (
            r#"{"type": "openai", "baseUrl": "localhost:11434"}"#,
            3,
            "begins with http",
        ),
        (r#"{"type": "webhook"}"#, 3, "missing field `url`"),
        (
            r#"{"type": "webhook", "url": "/hook"}"#,
            3,
            "begins with http",
        ),
        (
            r#"{"type": "elizaos", "baseUrl": "http://h", "agentId": "x"}"#,
            3,
            "not a UUID",
        ),
        (
            r#"{"type": "elizaos", "baseUrl": "http://h", "transport": "x"}"#,
            3,
            "unknown variant",
        ),
        (
            r#"{"type": "openai", "baseUrl": "http://h", "apiKeyEnv": "ADA_KEY"}"#,
            3,
            "names the variable ADA_KEY, which is not set",
        ),
        (
            r#"{"type": "webhook", "url": "http://h", "secretEnv": "ADA_KEY"}"#,
            3,
            "names the variable ADA_KEY, which is not set",
        ),
        (
            r#"{"type": "openai", "baseUrl": "http://h", "apiKeyEnv": "sk-TOPSECRET"}"#,
            3,
            "the name of a variable",
        ),
    ] {
        let error = with(&file(backend)).start_in_vain().await;
        assert!(
            error.contains(&format!("ada.json:{line}: ")),
            "{backend}: {error}"
        );
        assert!(error.contains(reason), "{backend}: {error}");
        assert!(!error.contains("TOPSECRET"), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_variable_of_elizaos_is_named() {
    let error = Server::builder()
        .set("OPENAI_BASE_URL", "nowhere")
        .character("ada.json", &json!({ "name": "Ada" }))
        .start_in_vain()
        .await;
    assert!(
        error.contains("ada.json:1: OPENAI_BASE_URL must be"),
        "{error}"
    );
}

#[tokio::test]
async fn real_files_of_all_ages_are_read() {
    let older = json!({
        "name": "Older", "clients": ["discord"], "modelProvider": "openai",
        "bio": "One line", "lore": ["x"], "knowledge": ["y"],
        "settings": { "secrets": { "OPENAI_API_KEY": "sk" }, "voice": { "model": "en" },
                      "SESSION_TIMEOUT_MINUTES": "45" },
        "messageExamples": [[{ "user": "{{user1}}", "content": { "text": "Hi" } }]],
    });
    let newer = json!({
        "name": "Newer", "bio": ["One", "Two"], "settings": null, "secrets": {},
        "plugins": ["@elizaos/plugin-sql"], "templates": {}, "topics": [], "adjectives": [],
        "messageExamples": [{ "examples": [{ "name": "u", "content": { "text": "Hi" } }] }],
    });
    let server = Server::builder()
        .character("older.json", &older)
        .character("newer.json", &newer)
        .start()
        .await;
    let listed = server.get("/api/agents").await.expect(200).body;
    for agent in listed["data"]["agents"].as_array().unwrap() {
        if agent["name"] == "Scripted" {
            continue;
        }
        // Without a model of their own, or a variable that names one, the rule engine answers.
        let session = server.talk_to(agent["id"].as_str().unwrap()).await;
        assert!(!server.ask(&session, "Hello").await.is_empty());
    }
    server.stop().await;
}
