//! Probing an agent. `tests/agents` has the probes of agents with servers behind them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, ELIZA, SCRIPTED, SESSIONS, Server, UNKNOWN_ID, answer, names};

const OUTSIDE: &str = "a6e27000-0000-0000-0000-000000000002";

async fn probe(server: &Server, agent: &str) -> Answer {
    let path = format!("/api/admin/agents/{agent}/probe");
    answer(server.request(Method::POST, &path)).await
}

async fn agents(server: &Server) -> Value {
    server.get("/api/admin/agents").await.expect(200).body
}

#[tokio::test]
async fn an_agent_that_replies_is_ok() {
    let server = Server::start().await;
    for agent in [ELIZA, SCRIPTED, &ELIZA.to_uppercase()] {
        let probed = probe(&server, agent).await.expect(200).body;
        assert_eq!(names(&probed), ["ok", "firstChunkMs"]);
        assert_eq!(probed["ok"], true);
        assert!(probed["firstChunkMs"].is_u64(), "{probed}");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_agent_whose_replies_are_submitted_is_ok_without_a_time() {
    let external = json!({
        "id": OUTSIDE, "name": "Outside", "settings": { "backend": { "type": "external" } },
    });
    let server = Server::builder()
        .character("outside.json", &external)
        .start()
        .await;
    let probed = probe(&server, OUTSIDE).await.expect(200);
    assert_eq!(probed.body, json!({ "ok": true }));
    // Nothing is put into its inbox.
    let turns = server.get(&format!("/api/agents/{OUTSIDE}/turns")).await;
    assert_eq!(turns.expect(200).body, json!({ "turns": [] }));
    server.stop().await;
}

#[tokio::test]
async fn a_probe_is_neither_stored_nor_counted() {
    let server = Server::start().await;
    let before = agents(&server).await;
    for _ in 0..3 {
        probe(&server, SCRIPTED).await.expect(200);
    }
    assert_eq!(agents(&server).await, before);
    let sessions = server.get(&format!("{SESSIONS}?status=all")).await;
    assert_eq!(sessions.expect(200).body["total"], 0);
    let metrics = server.get_text("/metrics").await;
    assert!(
        metrics.contains("sessiond_messages_stored 0\n"),
        "{metrics}"
    );
    let turns = metrics
        .lines()
        .filter(|it| it.starts_with("sessiond_turns_total{"));
    assert_eq!(turns.count(), 0, "{metrics}");
    assert_eq!(server.stop().await, 0);
}

#[tokio::test]
async fn an_id_of_no_agent_is_404() {
    let server = Server::start().await;
    let long = "x".repeat(5000);
    for (path, value) in [
        ("abc-123", "abc-123"),
        ("%3Cscript%3E", "<script>"),
        ("..%2F..%2Fetc", "../../etc"),
        ("%00%0A", "\0\n"),
        ("%FF", "(not UTF-8)"),
        (&*long, &long[..100]),
        (&ELIZA.replace('-', ""), &*ELIZA.replace('-', "")),
        (&format!("{ELIZA}0"), &format!("{ELIZA}0")),
        (&format!("{{{ELIZA}}}"), &format!("{{{ELIZA}}}")),
        (UNKNOWN_ID, UNKNOWN_ID),
    ] {
        let refused = probe(&server, path).await;
        let details = refused.error(404, "AGENT_NOT_FOUND", "AgentNotFoundError");
        assert_eq!(details, json!({ "agentId": value }));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_body_is_ignored_and_other_methods_are_405() {
    let server = Server::start().await;
    let path = format!("/api/admin/agents/{ELIZA}/probe");
    for (kind, body) in [
        ("application/json", "{"),
        ("application/json", r#"{"ok":false,"agentId":7}"#),
        ("text/plain", "Hello?"),
    ] {
        let request = server.request(Method::POST, &path);
        let probed = answer(request.header("content-type", kind).body(body)).await;
        assert_eq!(probed.expect(200).body["ok"], true);
    }
    let refused = server.get(&path).await;
    refused.error(405, "METHOD_NOT_ALLOWED", "MethodNotAllowedError");
    assert_eq!(refused.header("allow"), "POST");
    server.stop().await;
}
