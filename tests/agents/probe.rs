//! Probing an agent of a running server.

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::elizaos::{SESSIONS, backend, make, message, reply};
use crate::harness::{Answer, Server, answer, eventually, names};
use crate::stand_in::{AGENT, OTHER, StandIn, character, server_with};

const KEY: &str = "sk-veryverysecret";
const QUESTION: &str = "Hello! Please answer with one short sentence.";

fn model(stand_in: &StandIn) -> Value {
    json!({
        "type": "openai", "baseUrl": format!("{}/v1?key={KEY}", stand_in.url), "model": "gemma",
        "maxConcurrency": 1,
    })
}

/// Begins a probe of an agent.
fn probe(server: &Server, agent: &str) -> JoinHandle<Answer> {
    let path = format!("/api/admin/agents/{agent}/probe");
    tokio::spawn(answer(server.request(reqwest::Method::POST, &path)))
}

async fn probed(probing: JoinHandle<Answer>) -> Value {
    probing.await.unwrap().expect(200).body
}

async fn state(server: &Server) -> Value {
    let agents = server.get("/api/admin/agents").await.expect(200);
    let agents = agents.body["agents"].as_array().unwrap().clone();
    agents.into_iter().find(|it| it["id"] == AGENT).unwrap()
}

#[tokio::test]
async fn a_probe_waits_for_the_first_chunk_only() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(model(&stand_in)).await;
    let probing = probe(&server, AGENT);
    let mut call = stand_in.next().await;
    let messages = call.json()["messages"].clone();
    assert_eq!(
        messages.as_array().unwrap().last().unwrap()["content"],
        QUESTION
    );
    call.open_stream().await;
    call.delta("I").await;
    let answer = probed(probing).await;
    assert_eq!(names(&answer), ["ok", "firstChunkMs", "model", "address"]);
    assert!(answer["firstChunkMs"].is_u64());
    let shown = (&answer["ok"], &answer["model"], &answer["address"]);
    let address = json!(format!("{}/v1", stand_in.url));
    assert_eq!(shown, (&json!(true), &json!("gemma"), &address));
    // The rest is not waited for.
    call.expect_gone().await;
    server.stop().await;
}

#[tokio::test]
async fn a_failed_probe_has_the_cause_without_secrets_and_is_no_failed_turn() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(model(&stand_in)).await;
    let before = state(&server).await;
    let probing = probe(&server, AGENT);
    let call = stand_in.next().await;
    let error = format!("bad key {KEY} for '{QUESTION}' <b>\u{1b}[0m");
    call.answer(401, &json!({ "error": { "message": error } }))
        .await;
    let answer = probed(probing).await;
    assert_eq!(
        answer,
        json!({
            "ok": false, "model": "gemma", "address": format!("{}/v1", stand_in.url),
            "reason": "misconfigured",
            "cause": "it answered 401 Unauthorized: bad key [query] for '[conversation]' <b> [0m",
        })
    );
    assert_eq!(state(&server).await, before);
    assert_eq!(before["turns"], 0);
    // It is not retried.
    stand_in.expect_nothing().await;
    server.stop().await;
}

#[tokio::test]
async fn an_unreachable_server_fails_the_probe() {
    let stand_in = StandIn::start().await;
    let server = server_with(model(&stand_in)).await;
    drop(stand_in);
    let answer = eventually("nothing listens", async || {
        let answer = probed(probe(&server, AGENT)).await;
        (answer["reason"] == "unavailable").then_some(answer)
    })
    .await;
    let cause = answer["cause"].as_str().unwrap();
    assert!(cause.starts_with("cannot connect: "), "{cause}");
    server.stop().await;
}

#[tokio::test]
async fn an_agent_is_probed_once_at_a_time() {
    let mut stand_in = StandIn::start().await;
    let server = Server::builder()
        .character("a.json", &character(AGENT, &model(&stand_in)))
        .character("b.json", &character(OTHER, &model(&stand_in)))
        .start()
        .await;
    let first = probe(&server, AGENT);
    let call = stand_in.next().await;
    let second = probe(&server, AGENT).await.unwrap();
    let details = second.error(429, "RATE_LIMIT_EXCEEDED", "RateLimitError");
    assert_eq!(details, json!({ "retryAfter": 1 }));
    assert_eq!(second.header("retry-after"), "1");
    // Other agents are not affected.
    let other = probe(&server, OTHER);
    stand_in.next().await.complete("Yes.").await;
    assert_eq!(probed(other).await["ok"], true);

    call.complete("Yes.").await;
    assert_eq!(probed(first).await["ok"], true);
    let third = probe(&server, AGENT);
    stand_in.next().await.complete("Yes.").await;
    assert_eq!(probed(third).await["ok"], true);
    server.stop().await;
}

#[tokio::test]
async fn a_probe_ends_with_its_client() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(model(&stand_in)).await;
    for _ in 0..3 {
        let abandoned = probe(&server, AGENT);
        let call = stand_in.next().await;
        abandoned.abort();
        call.expect_gone().await;
        // The server may notice a little later that the next probe may start.
        eventually("the next probe may start", async || {
            let probing = probe(&server, AGENT);
            let asked = async {
                let call = stand_in.next().await;
                call.complete("Yes.").await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                answer = probing => (answer.unwrap().status == 200).then_some(()),
                () = asked => None,
            }
        })
        .await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_stop_ends_a_probe() {
    let mut stand_in = StandIn::start().await;
    let mut server = server_with(model(&stand_in)).await;
    let probing = probe(&server, AGENT);
    let call = stand_in.next().await;
    let ended = server.begin_stop();
    let refused = probing.await.unwrap();
    let details = refused.error(503, "SERVICE_UNAVAILABLE", "ServiceUnavailableError");
    assert_eq!(details["reason"], "shutting down");
    call.expect_gone().await;
    server.finish_stop(ended).await;
}

#[tokio::test]
async fn a_probe_does_not_wait_for_the_agents_turns() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(model(&stand_in)).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "One");
    let turn = stand_in.next().await;
    let probing = probe(&server, AGENT);
    stand_in.next().await.complete("I am here.").await;
    assert_eq!(probed(probing).await["ok"], true);
    turn.complete("Yes.").await;
    asking.await.unwrap().expect(201);
    assert_eq!(state(&server).await["turns"], 1);
    server.stop().await;
}

#[tokio::test]
async fn a_probe_deletes_its_remote_session_even_if_its_client_leaves() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in, "http")).await;
    for is_abandoned in [false, true] {
        let probing = probe(&server, AGENT);
        make(&mut stand_in, "s").await;
        let call = message(&mut stand_in, "s").await;
        if is_abandoned {
            probing.abort();
            call.expect_gone().await;
        } else {
            call.answer(201, &reply("I am here.")).await;
            // The answer does not wait for the deletion.
            assert_eq!(probed(probing).await["ok"], true);
        }
        let call = stand_in.next().await;
        let path = format!("{SESSIONS}/s");
        assert_eq!((&*call.method, &*call.path), ("DELETE", &*path));
        call.answer(200, &json!({ "success": true })).await;
    }
    server.stop().await;
}
