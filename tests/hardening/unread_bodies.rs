//! Refused requests whose bodies the server does not read to the end.

use crate::raw::Raw;
use crate::support::server::Server;

/// More bytes than the buffers of both ends hold.
const BODY: usize = 8 * 1024 * 1024;

/// Sends a request with its whole body, and returns the status line of the response.
async fn answer(server: &Server, target: &str, more: &str) -> Option<String> {
    let mut client = Raw::open(server).await;
    let head = format!("content-length: {BODY}\r\ncontent-type: application/json\r\n{more}");
    assert!(client.head(target, &head).await);
    assert!(
        client.send(&vec![b' '; BODY]).await,
        "the whole body is read"
    );
    let text = client.read_until(|text| text.contains("\r\n")).await?;
    Some(text.lines().next().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_all_of_a_refused_body_reads_the_refusal() {
    let server = Server::builder()
        .env("ELIZA_SERVER_AUTH_TOKEN", "a-token-of-the-tests")
        .start();
    let create = "POST /api/messaging/sessions";
    let token = "x-api-key: a-token-of-the-tests\r\n";
    for (target, more, status) in [
        (create, token, "HTTP/1.1 413 Payload Too Large"),
        (create, "", "HTTP/1.1 401 Unauthorized"),
        ("POST /nowhere", token, "HTTP/1.1 404 Not Found"),
    ] {
        let answer = answer(&server, target, more).await;
        assert_eq!(answer.as_deref(), Some(status), "{target} {more}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_remains_usable_after_a_refused_body() {
    let server = Server::start();
    let mut client = Raw::open(&server).await;
    let head = "content-length: 3000000\r\n";
    assert!(client.head("POST /api/messaging/sessions", head).await);
    assert!(client.send(&vec![b' '; 3_000_000]).await);
    let refused = client.read_until(|text| text.contains("PayloadTooLargeError"));
    assert!(refused.await.is_some());
    // The rest of the refusal precedes it.
    let alive = client.get("/healthz", "").await;
    assert!(alive.is_some_and(|text| text.contains("HTTP/1.1 200 ")));
}
