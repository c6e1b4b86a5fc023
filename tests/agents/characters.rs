//! What a model receives of a character file.

use serde_json::{Value, json};

use crate::harness::Server;
use crate::stand_in::{AGENT, StandIn};
use crate::support::server::Server as Process;

fn character(stand_in: &StandIn, mut backend: Value) -> Value {
    backend["type"] = "openai".into();
    backend["baseUrl"] = stand_in.url.as_str().into();
    json!({
        "id": AGENT, "name": "Ada", "system": "You are {{name}}.", "bio": ["Likes engines."],
        "adjectives": ["precise"], "topics": ["engines"], "style": { "chat": ["be brief"] },
        "lore": ["{{char}} was a countess."],
        "knowledge": ["The engine has a mill.", { "path": "docs/engine.md" }],
        "messageExamples": [[
            { "name": "{{user1}}", "content": { "text": "Hi" } },
            { "name": "Ada", "content": { "text": "Good day, {{user1}}." } },
        ]],
        "settings": { "backend": backend },
    })
}

#[tokio::test]
async fn a_model_receives_the_whole_character_and_the_same_in_each_turn() {
    let mut stand_in = StandIn::start().await;
    let server = Server::builder()
        .character("ada.json", &character(&stand_in, json!({})))
        .start()
        .await;
    for _ in 0..2 {
        let session = server.talk().await;
        for _ in 0..2 {
            let asking = server.wait_for(&session, "Hello?");
            let call = stand_in.next().await;
            assert_eq!(
                call.json()["messages"][0],
                json!({ "role": "system", "content":
                    "You are Ada.\n\nAbout Ada:\nLikes engines.\n\nAda is precise.\n\n\
                     Ada knows about: engines.\n\nHow Ada writes:\n- be brief\n\n\
                     The background of Ada:\n- Ada was a countess.\n\n\
                     What Ada knows:\n\nThe engine has a mill.\n\n\
                     How Ada talks, by example:\n\nUser: Hi\nAda: Good day, User." })
            );
            call.complete("Good day.").await;
            asking.await.unwrap().expect(201);
        }
    }
    // Clients do not see what is only for the model.
    let shown = server.get(&format!("/api/agents/{AGENT}")).await;
    let shown = shown.expect(200).body.to_string();
    for hidden in ["countess", "has a mill", "engine.md"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
    server.stop().await;
}

#[tokio::test]
async fn prompt_fields_limit_what_a_model_receives() {
    let mut stand_in = StandIn::start().await;
    let backend = json!({ "promptFields": ["lore", "system"] });
    let server = Server::builder()
        .character("ada.json", &character(&stand_in, backend))
        .start()
        .await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let call = stand_in.next().await;
    let wanted = "You are Ada.\n\nThe background of Ada:\n- Ada was a countess.";
    assert_eq!(call.json()["messages"][0]["content"], wanted);
    call.complete("Good day.").await;
    asking.await.unwrap().expect(201);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_warns_of_what_does_not_reach_the_model() {
    let stand_in = StandIn::start().await;
    let setup = Process::builder();
    let directory = setup.data_dir().join("agents");
    std::fs::create_dir_all(&directory).unwrap();
    let mut file = character(&stand_in, json!({ "contextTokens": 200 }));
    file["knowledge"] = json!(["A mill. ".repeat(50), { "path": "docs/engine.md" }]);
    std::fs::write(directory.join("ada.json"), file.to_string()).unwrap();
    let server = tokio::task::spawn_blocking(|| setup.start()).await.unwrap();
    let log = server.log();
    for part in ["1 entries without a text", "half of contextTokens"] {
        let line = log.lines().find(|line| line.contains(part));
        let line = line.unwrap_or_else(|| panic!("{part}: {log}"));
        assert!(line.contains(" WARN "), "{line}");
    }
}
