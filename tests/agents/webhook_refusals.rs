//! Webhooks that refuse, with words for the user.

use serde_json::{Value, json};

use crate::stand_in::{StandIn, server_with};
use crate::webhook::backend;

#[tokio::test]
async fn a_refusal_reaches_the_user_in_its_own_words() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let words = "Not today.\u{7}\n".to_owned() + &"ü".repeat(600);
    let shown = "Not today.".to_owned() + &"ü".repeat(490);
    for status in [400, 402, 409, 422, 451] {
        let session = server.talk().await;
        let asking = server.wait_for(&session, "Hello?");
        let mut events = server.stream(&server.talk().await, "Hello?").await;
        for _ in 0..2 {
            let call = stand_in.next().await;
            let refusal = json!({ "error": { "message": words, "code": "QUOTA" } });
            call.answer(status, &refusal).await;
        }
        let answer = asking.await.unwrap();
        let details = answer.error(502, "AGENT_ERROR", "AgentError");
        assert_eq!(details["reason"], "refused", "{status}");
        assert_eq!(answer.body["error"]["details"], shown);
        events.expect("user_message").await;
        assert_eq!(
            events.expect("error").await,
            json!({ "code": "AGENT_ERROR", "error": shown, "reason": "refused" })
        );
        let history = server.history(&session).await;
        assert_eq!(
            history[0]["metadata"]["agentError"],
            json!({ "code": "AGENT_ERROR", "message": shown, "reason": "refused" })
        );
    }
    // It is an answer, and is not retried.
    stand_in.expect_nothing().await;
    server.stop().await;
}

#[tokio::test]
async fn other_statuses_and_bodies_are_failures() {
    let refusal = || json!({ "error": { "message": "My words." } });
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    for (status, body, reason) in [
        (401, refusal(), "misconfigured"),
        (403, refusal(), "misconfigured"),
        (404, refusal(), "misconfigured"),
        (413, refusal(), "too_long"),
        (501, refusal(), "unavailable"),
        (422, json!({ "message": "My words." }), "misconfigured"),
        (400, json!({ "error": "My words." }), "misconfigured"),
        (409, json!({ "error": { "message": 7 } }), "unavailable"),
        (451, json!({ "error": { "message": "\n" } }), "refused"),
        (402, Value::Null, "misconfigured"),
        // An error without a code.
        (200, refusal(), "unavailable"),
    ] {
        let session = server.talk().await;
        let asking = server.wait_for(&session, "Hello?");
        stand_in.next().await.answer(status, &body).await;
        let answer = asking.await.unwrap();
        let details = answer.error(502, "AGENT_ERROR", "AgentError");
        assert_eq!(details["reason"], reason, "{status} {body}");
        let shown = &answer.body["error"]["details"];
        assert_eq!(shown, "The agent could not answer", "{status} {body}");
    }
    server.stop().await;
}
