//! How the agents are doing, for administrators.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{ELIZA, HOUR, MINUTE, SCRIPTED, Server, at, eventually, time};

const OTHER: &str = "a6e27000-0000-0000-0000-000000000002";

async fn state(server: &Server, agent: &str) -> Option<Value> {
    let states = server.get("/api/admin/agents").await.expect(200);
    let states = states.body["agents"].as_array().unwrap();
    states.iter().find(|state| state["id"] == agent).cloned()
}

/// Expects this many closed and failed turns of an agent, and the reason and cause of the last
/// failure.
async fn expect(
    server: &Server,
    agent: &str,
    turns: u64,
    failures: u64,
    last: Option<(&str, &str)>,
) {
    let found = eventually("the turns are counted", async || {
        let state = state(server, agent).await?;
        (state["turns"] == turns).then_some(state)
    })
    .await;
    assert_eq!(found["failures"], failures, "{found:#}");
    let failure = &found["lastFailure"];
    match last {
        None => assert_eq!(*failure, Value::Null),
        Some((reason, cause)) => {
            let last = (&failure["reason"], &failure["cause"]);
            assert_eq!(last, (&json!(reason), &json!(cause)));
        }
    }
}

#[tokio::test]
async fn every_way_in_which_a_turn_closes_is_counted() {
    let server = Server::builder()
        .agent_concurrency(1)
        .agent_timeout(HOUR)
        .start()
        .await;
    assert_eq!(
        state(&server, ELIZA).await.unwrap(),
        json!({
            "id": ELIZA, "name": "Eliza", "backend": "eliza", "model": null, "address": null,
            "turns": 0, "failures": 0, "lastFailure": null,
        })
    );
    // Replies, failures, panics.
    let session = server
        .session_with(json!({ "timeoutConfig": { "timeoutMinutes": 30, "autoRenew": false } }))
        .await;
    server.ask(&session, "say hello").await;
    expect(&server, SCRIPTED, 1, 0, None).await;
    let send = async |session: &str, content: &str| {
        let body = json!({ "content": content, "transport": "http" });
        server.send(session, body).await
    };
    send(&session, "fail").await.expect(502);
    let said = Some(("internal", "the script says so"));
    expect(&server, SCRIPTED, 2, 1, said).await;
    let failed = state(&server, SCRIPTED).await.unwrap();
    assert_eq!(failed["lastFailure"]["at"], time(Duration::ZERO));
    send(&session, "end").await.expect(502);
    let ended = "the reply ended before it was complete";
    expect(&server, SCRIPTED, 3, 2, Some(("invalid_reply", ended))).await;
    send(&session, "panic").await.expect(502);
    expect(
        &server,
        SCRIPTED,
        4,
        3,
        Some(("internal", "its backend panicked")),
    )
    .await;

    // Deleted with its session.
    let deleted = server.session().await;
    let waiting = server.wait_for(&deleted, "hold");
    server.history_of(&deleted, 1).await;
    server.delete(&at(&deleted, "")).await.expect(200);
    waiting.await.unwrap().expect(404);
    let panicked = Some(("internal", "its backend panicked"));
    expect(&server, SCRIPTED, 5, 3, panicked).await;

    // An expiry.
    let running = server.session().await;
    server
        .send(&running, json!({ "content": "hold" }))
        .await
        .expect(201);
    server.history_of(&running, 1).await;
    server.settle().await;
    server
        .send(&session, json!({ "content": "say never" }))
        .await
        .expect(201);
    server.advance(31 * MINUTE);
    let found = eventually("the expiry", async || {
        let state = state(&server, SCRIPTED).await?;
        (state["lastFailure"]["reason"] == "expired").then_some(state)
    })
    .await;
    assert_eq!(
        found["lastFailure"]["cause"],
        "The session expired before the agent was asked"
    );
    server.stop().await;
}

#[tokio::test]
async fn submitted_replies_and_errors_are_counted() {
    let external = json!({
        "id": OTHER, "name": "Outside", "settings": { "backend": { "type": "external" } },
    });
    let server = Server::builder()
        .character("other.json", &external)
        .start()
        .await;
    let outside = server.session_with(json!({ "agentId": OTHER })).await;
    let submit = async |fields: Value| {
        let mut body = json!({ "channel_id": outside, "author_id": OTHER });
        let fields = fields.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(fields);
        server.post("/api/messaging/submit", body).await.expect(201);
    };
    // The text of an error is only for the user.
    for (turns, fields, failures, last) in [
        (1, json!({ "content": "Yes." }), 0, None),
        (
            2,
            json!({ "error": { "message": "Not about your illness." } }),
            1,
            Some(("refused", "it submitted an error for the user")),
        ),
    ] {
        server
            .send(&outside, json!({ "content": "Hello?" }))
            .await
            .expect(201);
        submit(fields).await;
        expect(&server, OTHER, turns, failures, last).await;
    }
    server.stop().await;
}
