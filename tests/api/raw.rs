//! Requests that a well-behaved client cannot send.

use serde_json::json;

use crate::harness::{RawConnection, SCRIPTED, SESSIONS, Server, USER, at};

fn create() -> String {
    json!({ "agentId": SCRIPTED, "userId": USER }).to_string()
}

/// Returns the head of a create that ends with these lines.
fn head(lines: &str) -> String {
    format!("POST {SESSIONS} HTTP/1.1\r\nhost: localhost\r\n{lines}\r\n\r\n")
}

#[tokio::test]
async fn bytes_that_are_not_http_get_a_bare_400_and_a_close() {
    let server = Server::start().await;
    for garbage in [
        "garbage\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nno colon\r\n\r\n",
        "GET /healthz HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}",
    ] {
        let mut wire = RawConnection::open(&server).await;
        wire.write(garbage).await;
        let reply = wire.reply().await;
        assert_eq!(reply.status, 400, "{garbage:?}: {}", reply.head);
        assert!(reply.body.is_empty());
        assert_eq!(reply.header("server"), None);
        wire.expect_close().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_is_too_long_gets_a_bare_error_and_a_close() {
    let server = Server::start().await;
    let long_path = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000));
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200));
    for (request, status) in [(long_path, 414), (many_headers, 431)] {
        let mut wire = RawConnection::open(&server).await;
        wire.write(&request).await;
        let reply = wire.reply().await;
        assert_eq!(reply.status, status);
        assert!(reply.body.is_empty());
        wire.expect_close().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_connection_serves_requests_one_after_the_other() {
    let server = Server::start().await;
    let mut wire = RawConnection::open(&server).await;
    for _ in 0..3 {
        assert_eq!(wire.get("/healthz").await.json(), json!({ "status": "ok" }));
        assert_eq!(wire.get("/nope").await.json()["code"], "NOT_FOUND");
    }
    // Pipelined requests are answered in order.
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let paths = ["/healthz", "/nope", "/health", SESSIONS];
    wire.write(paths.map(request).concat()).await;
    assert_eq!(wire.reply().await.json()["status"], "ok");
    assert_eq!(wire.reply().await.json()["code"], "NOT_FOUND");
    assert_eq!(wire.reply().await.json()["status"], "healthy");
    server.stop().await;
}

#[tokio::test]
async fn a_head_response_has_no_body_on_the_wire() {
    let server = Server::start().await;
    let mut wire = RawConnection::open(&server).await;
    for path in ["/healthz", "/nope", SESSIONS] {
        wire.write(format!("HEAD {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"))
            .await;
        wire.skip_head().await;
        assert_eq!(wire.get("/healthz").await.json(), json!({ "status": "ok" }));
    }
    server.stop().await;
}

#[tokio::test]
async fn every_response_has_the_same_headers_and_no_banner() {
    let server = Server::start().await;
    let mut wire = RawConnection::open(&server).await;
    for path in ["/healthz", "/nope", SESSIONS, "/api/agents"] {
        wire.write(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"))
            .await;
        let head = wire.skip_head().await;
        for line in [
            "content-type: application/json\r\n",
            "x-content-type-options: nosniff\r\n",
            "x-request-id: ",
        ] {
            assert_eq!(head.matches(line).count(), 1, "{line:?}: {head}");
        }
        assert!(!head.contains("\r\nserver:"), "{head}");
        wire = RawConnection::open(&server).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_body_may_be_chunked_and_wait_for_continue() {
    let server = Server::start().await;
    let mut wire = RawConnection::open(&server).await;
    let body = create();
    let (one, two) = body.split_at(20);
    wire.write(head("transfer-encoding: chunked")).await;
    for part in [one, two] {
        wire.write(format!("{:x}\r\n{part}\r\n", part.len())).await;
        server.settle().await;
    }
    wire.write("0\r\n\r\n").await;
    assert_eq!(wire.reply().await.status, 201);

    let expecting = format!("content-length: {}\r\nexpect: 100-continue", body.len());
    wire.write(head(&expecting)).await;
    assert_eq!(wire.reply().await.status, 100);
    wire.write(&body).await;
    let created = wire.reply().await;
    assert_eq!(created.status, 201);
    let session = created.json()["sessionId"].as_str().unwrap().to_owned();
    assert_eq!(created.header("location"), Some(at(&session, "").as_str()));
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_arrives() {
    let server = Server::start().await;
    let mut wire = RawConnection::open(&server).await;
    wire.write(head("content-length: 2097153")).await;
    let refused = wire.reply().await;
    assert_eq!(refused.status, 413);
    assert_eq!(refused.json()["code"], "PAYLOAD_TOO_LARGE");
    assert!(refused.header("x-request-id").is_some());

    // Without a length, as soon as it exceeds the limit.
    let mut wire = RawConnection::open(&server).await;
    wire.write(head("transfer-encoding: chunked")).await;
    let chunk = " ".repeat(1024 * 1024);
    for _ in 0..3 {
        wire.write(format!("{:x}\r\n{chunk}\r\n", chunk.len()))
            .await;
    }
    let refused = wire.reply().await;
    assert_eq!(refused.status, 413);
    assert_eq!(refused.json()["error"]["type"], "PayloadTooLargeError");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_disconnects_in_its_body_creates_nothing() {
    let server = Server::start().await;
    let mut wire = RawConnection::open(&server).await;
    wire.write(head("content-length: 500")).await;
    wire.write(create()).await;
    server.settle().await;
    drop(wire);
    server.settle().await;
    assert_eq!(server.get(SESSIONS).await.expect(200).body["total"], 0);
    server.stop().await;
}

#[tokio::test]
async fn at_the_limit_the_longest_idle_connection_is_closed() {
    let server = Server::builder().set("MAX_CONNECTIONS", "3").start().await;
    let session = server.session().await;
    // The test's own client has the first connection, with a request in progress.
    let events = server.begin(&session, "say one|wait 1000").await;
    let mut first = RawConnection::open(&server).await;
    first.get("/healthz").await;
    let mut second = RawConnection::open(&server).await;
    second.get("/healthz").await;
    let mut third = RawConnection::open(&server).await;
    assert_eq!(third.get("/healthz").await.status, 200);
    first.expect_close().await;
    assert_eq!(second.get("/healthz").await.status, 200);
    assert_eq!(third.get("/healthz").await.status, 200);
    server.advance(crate::harness::SECOND);
    assert_eq!(
        events.end("done").await["text"],
        "one",
        "the busy connection is untouched"
    );
    server.stop().await;
}
