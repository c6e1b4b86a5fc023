//! `sessiond agents new` with agents that run elsewhere.

use std::fs;

use serde_json::json;

use crate::harness::Server;
use crate::new::{assert_failed, backend, command, file};
use crate::stand_in::{AGENT, OTHER, StandIn, run_beside};
use crate::support::server::Builder;

/// Asserts that a server reads the file, and returns the agent's id.
async fn loads(setup: &Builder, name: &str) -> String {
    let text = fs::read_to_string(file(setup, name)).unwrap();
    let server = Server::builder()
        .without_scripted()
        .character_text(name, &text)
        .start()
        .await;
    let listed = server.get("/api/agents").await.expect(200).body;
    let id = listed["data"]["agents"][1]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    server.stop().await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_an_elizaos_server_is_found() {
    let mut stand_in = StandIn::start().await;
    let url = stand_in.url.clone();
    let ada = json!({ "id": AGENT, "name": "Ada", "characterName": "Ada", "status": "active" });
    let eve = json!({ "id": OTHER, "name": "Eve", "characterName": "Eve", "status": "active" });
    let eve_too = json!({ "id": AGENT, "name": "EVE" });
    for (agents, found) in [
        // The only one, the one of the same name, two of the same name.
        (json!([ada]), Ok(AGENT)),
        (json!([ada, eve]), Ok(OTHER)),
        (
            json!([eve_too, eve]),
            Err((2, "has 2 agents; use the name of one")),
        ),
        (json!([]), Err((1, "has no agents; create one there first"))),
    ] {
        let args = [
            "eve",
            "--backend",
            "elizaos",
            "--base-url",
            &url,
            "--api-key-env",
            "MY_KEY",
        ];
        let setup = command(&args).env("MY_KEY", "secret");
        let answering = async {
            let call = stand_in.next().await;
            assert_eq!((&*call.method, &*call.path), ("GET", "/api/agents"));
            assert_eq!(call.header("x-api-key"), Some("secret"));
            let answer = json!({ "success": true, "data": { "agents": agents } });
            call.answer(200, &answer).await;
        };
        let finished = run_beside(&setup, answering).await;
        match found {
            Ok(id) => {
                assert!(finished.status.success(), "{}", finished.log);
                assert_eq!(
                    backend(&setup, "eve.json"),
                    json!({
                        "type": "elizaos", "baseUrl": url, "agentId": id, "apiKeyEnv": "MY_KEY",
                    })
                );
            }
            Err((code, said)) => assert_failed(&setup, &finished, code, &[said]),
        }
    }
    let setup = command(&["eve", "--backend", "elizaos", "--base-url", &url]);
    let answering = async {
        let call = stand_in.next().await;
        call.answer_with(404, &[], "Cannot GET").await;
    };
    let finished = run_beside(&setup, answering).await;
    assert_failed(
        &setup,
        &finished,
        1,
        &["cannot be listed", "without /api behind it"],
    );
}

#[tokio::test]
async fn a_webhook_needs_no_answer_yet() {
    let url = "http://127.0.0.1:9/reply?key=1";
    let setup = command(&["Hook", "--backend", "webhook", "--base-url", url]);
    let finished = setup.run();
    assert!(finished.status.success(), "{}", finished.log);
    assert!(
        finished
            .log
            .contains("webhook at http://127.0.0.1:9/reply\n"),
        "{}",
        finished.log
    );
    assert_eq!(
        backend(&setup, "hook.json"),
        json!({ "type": "webhook", "url": url })
    );
    loads(&setup, "hook.json").await;
}

#[tokio::test]
async fn an_external_agent_learns_where_its_work_is() {
    let setup = command(&["Support Desk", "--backend", "external"]);
    let finished = setup.run();
    assert!(finished.status.success(), "{}", finished.log);
    assert_eq!(
        backend(&setup, "support-desk.json"),
        json!({ "type": "external" })
    );
    let id = loads(&setup, "support-desk.json").await;
    for said in [
        &*format!("GET /api/agents/{id}/events"),
        &*format!("author_id {id}"),
        "/api/messaging/submit",
        "data/examples",
    ] {
        assert!(finished.log.contains(said), "{said}: {}", finished.log);
    }
}
