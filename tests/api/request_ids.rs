//! The request id that every response carries.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Answer, Events, SESSIONS, Server, UNKNOWN_ID, answer, at};

const REQUEST_ID: &str = "x-request-id";

/// Returns a response of each kind to requests with this id.
async fn responses(server: &Server, id: &str) -> Vec<(u16, Answer)> {
    let call = |method: Method, path: &str| server.request(method, path).header(REQUEST_ID, id);
    let large = " ".repeat(2 * 1024 * 1024 + 1);
    vec![
        (200, answer(call(Method::GET, SESSIONS)).await),
        (
            201,
            answer(server.creating(&json!({})).header(REQUEST_ID, id)).await,
        ),
        (400, answer(call(Method::POST, SESSIONS).body("{")).await),
        (404, answer(call(Method::GET, &at(UNKNOWN_ID, ""))).await),
        (404, answer(call(Method::GET, "/nope")).await),
        (405, answer(call(Method::PUT, SESSIONS)).await),
        (413, answer(call(Method::POST, SESSIONS).body(large)).await),
        (
            415,
            answer(call(Method::POST, SESSIONS).header("content-type", "text/plain")).await,
        ),
    ]
}

#[tokio::test]
async fn a_valid_request_id_is_returned_on_every_response() {
    let server = Server::start().await;
    let longest = "x".repeat(128);
    for id in [
        "a",
        "Az09._-",
        "018cc251-f400-77dc-b51e-6f90b16c5089",
        &longest,
    ] {
        for (status, response) in responses(&server, id).await {
            assert_eq!(response.status, status);
            assert_eq!(response.header(REQUEST_ID), id, "on a {status}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn an_invalid_request_id_is_replaced() {
    let server = Server::start().await;
    let too_long = "x".repeat(129);
    for id in ["", " ", "a b", "a/b", "a;b", "{a}", "a:b", "ä", &too_long] {
        for (status, response) in responses(&server, id).await {
            assert_eq!(response.status, status);
            let found = response.header(REQUEST_ID);
            assert_ne!(found, id, "on a {status}");
            assert!((1..=128).contains(&found.len()), "{found:?}");
            let is_sane = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            assert!(found.bytes().all(is_sane), "{found:?}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn without_a_request_id_each_response_gets_a_new_one() {
    let server = Server::start().await;
    let mut found = Vec::new();
    for path in ["/healthz", "/healthz", "/nope", "/nope"] {
        found.push(server.get(path).await.header(REQUEST_ID).to_owned());
    }
    let unauthorised = Server::builder()
        .set("ELIZA_SERVER_AUTH_TOKEN", "t")
        .start()
        .await;
    let refused = unauthorised.get(SESSIONS).await.expect(401);
    found.push(refused.header(REQUEST_ID).to_owned());
    let count = found.len();
    found.sort();
    found.dedup();
    assert_eq!(found.len(), count);
    unauthorised.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_valid_request_id_is_returned_on_a_401_and_on_a_stream() {
    let server = Server::builder()
        .set("ELIZA_SERVER_AUTH_TOKEN", "t")
        .start()
        .await;
    let request = server
        .request(Method::GET, SESSIONS)
        .header(REQUEST_ID, "mine");
    assert_eq!(answer(request).await.expect(401).header(REQUEST_ID), "mine");
    server.stop().await;

    let server = Server::start().await;
    let session = server.session().await;
    let sent = json!({ "content": "x", "transport": "sse" });
    let request = server.sending(&session, &sent).header(REQUEST_ID, "mine");
    let events = Events::open(request).await;
    assert_eq!(events.headers()[REQUEST_ID], "mine");
    events.end("done").await;
    server.stop().await;
}
