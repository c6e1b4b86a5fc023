//! `POST …/messages/stream`: a send whose answer is always an event stream.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Events, MINUTE, Server, UNKNOWN_ID, answer, at};

impl Server {
    fn streaming(&self, session: &str, fields: &Value) -> reqwest::RequestBuilder {
        self.request(Method::POST, &at(session, "/messages/stream"))
            .json(fields)
    }

    async fn refused(&self, session: &str, fields: Value) -> Answer {
        answer(self.streaming(session, &fields)).await
    }
}

#[tokio::test]
async fn the_answer_is_a_stream_for_any_transport() {
    let server = Server::start().await;
    let session = server.session().await;
    for fields in [
        json!({ "content": "say Hello" }),
        json!({ "content": "say Hello", "transport": "http" }),
        json!({ "content": "say Hello", "transport": "carrier pigeon", "mode": 5 }),
    ] {
        let events = Events::open(server.streaming(&session, &fields)).await;
        let events = events.rest().await;
        let names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["user_message", "chunk", "done"], "{fields}");
        assert_eq!(events[2].1["text"], "Hello");
    }
    assert_eq!(server.history_of(&session, 6).await.len(), 6);
    server.stop().await;
}

#[tokio::test]
async fn keys_are_shared_with_the_other_send_endpoint() {
    let server = Server::start().await;
    let session = server.session().await;
    let fields = json!({ "content": "say Hello", "clientMessageId": "m-1" });
    let events = Events::open(server.streaming(&session, &fields)).await;
    let first = events.end("done").await;

    let repeat = json!({ "content": "say Hello", "clientMessageId": "m-1", "transport": "http" });
    let repeated = server.send(&session, repeat).await.expect(201);
    assert_eq!(repeated.header("idempotent-replayed"), "true");
    assert_eq!(repeated.body["agentResponse"]["id"], first["id"]);

    let events = Events::open(server.streaming(&session, &fields)).await;
    assert_eq!(events.headers()["idempotent-replayed"], "true");
    assert_eq!(events.end("done").await["id"], first["id"]);

    let other = json!({ "content": "say Bye", "clientMessageId": "m-1" });
    let refused = server.refused(&session, other).await;
    refused.error(409, "IDEMPOTENCY_CONFLICT", "IdempotencyConflictError");
    assert_eq!(server.history(&session).await.len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn refusals_before_the_stream_are_json() {
    let server = Server::start().await;
    let session = server.session().await;
    let hello = || json!({ "content": "say Hello" });
    let refused = server.refused(&session, json!({ "content": "" })).await;
    refused.invalid("InvalidContentError");
    let refused = server.refused(&session, json!([])).await;
    refused.invalid("InvalidBodyError");
    let refused = server.refused(UNKNOWN_ID, hello()).await;
    refused.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    server.advance(30 * MINUTE);
    let refused = server.refused(&session, hello()).await;
    refused.error(410, "SESSION_EXPIRED", "SessionExpiredError");
    let wrong_method = server.get(&at(&session, "/messages/stream")).await;
    wrong_method.error(405, "METHOD_NOT_ALLOWED", "MethodNotAllowedError");
    server.stop().await;
}
