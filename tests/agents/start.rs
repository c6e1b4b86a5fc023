//! What a start says of its agents.

use std::fs;

use serde_json::{Value, json};

use crate::harness::ELIZA;
use crate::stand_in::{AGENT, OTHER, StandIn, character, client};
use crate::support::server::{Builder, Server as Process};

async fn start(setup: Builder) -> Process {
    tokio::task::spawn_blocking(|| setup.start()).await.unwrap()
}

async fn post(server: &Process, path: &str, body: Value) -> Value {
    let url = server.at(&format!("/api/messaging/sessions{path}"));
    let answer = client().post(url).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    answer.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_is_enough_for_a_model_to_answer() {
    let mut stand_in = StandIn::start().await;
    let setup = Process::builder().env("OLLAMA_API_ENDPOINT", &stand_in.url);
    let server = start(setup).await;
    assert!(server.data_dir().join("agents").is_dir());
    let log = server.log();
    let listed = format!(
        "name=\"Eliza\" id={ELIZA} backend=\"openai\" model=\"gemma3:latest\" address=\"{}/v1\"",
        stand_in.url
    );
    assert!(log.contains(&listed), "{log}");
    assert!(!log.contains(" WARN "), "{log}");

    let session = post(&server, "", json!({ "agentId": ELIZA, "userId": AGENT })).await;
    let path = format!("/{}/messages", session["sessionId"].as_str().unwrap());
    let asking = post(
        &server,
        &path,
        json!({ "content": "Hi", "transport": "http" }),
    );
    let answering = async {
        let call = stand_in.next().await;
        assert_eq!(call.path, "/v1/chat/completions");
        let request = call.json();
        assert_eq!(request["model"], "gemma3:latest");
        // It is not to play the rule engine.
        let prompt = request["messages"][0]["content"].as_str().unwrap();
        assert!(
            prompt.starts_with("You are Eliza, a helpful assistant."),
            "{prompt}"
        );
        call.complete("Hello from the model.").await;
    };
    let (answer, ()) = tokio::join!(asking, answering);
    assert_eq!(answer["agentResponse"]["text"], "Hello from the model.");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_without_effect_cause_a_warning() {
    let setup = Process::builder().env("OPENAI_API_KEY", "sk-secret");
    let directory = setup.data_dir().join("agents");
    fs::create_dir_all(&directory).unwrap();
    let write = |name: &str, file: &Value| {
        fs::write(directory.join(name), file.to_string()).unwrap();
    };
    let base = "http://127.0.0.1:9";
    write(
        "a.json",
        &character(AGENT, &json!({ "type": "openai", "baseUrl": base })),
    );
    let mut other = character(OTHER, &json!({ "type": "external" }));
    other["name"] = "Agent 1".into();
    write("b.json", &other);
    let server = start(setup).await;
    let log = server.log();
    for said in [
        "OPENAI_API_KEY is set, but no agent uses it",
        "http://127.0.0.1:9, has no path; should baseUrl end in /v1?",
        "have the same name",
    ] {
        let mut lines = log.lines().filter(|line| line.contains(said));
        let line = lines.next().unwrap_or_else(|| panic!("{said}: {log}"));
        assert!(line.contains(" WARN "), "{line}");
        assert_eq!(lines.next(), None, "{log}");
    }
    assert!(!log.contains("sk-secret"), "{log}");
    drop(server);

    let setup = Process::builder();
    fs::create_dir_all(setup.data_dir().join("agents")).unwrap();
    let named = json!({ "name": "Ada", "plugins": ["@elizaos/plugin-openai"] });
    let path = setup.data_dir().join("agents/ada.json");
    fs::write(path, named.to_string()).unwrap();
    let log = start(setup).await.log();
    let said = "ada.json names plugins, but the built-in rule engine answers for \"Ada\"";
    assert!(log.contains(said), "{log}");
}
