//! Slow and silent clients. tokio's clock is paused: when every task is waiting, it jumps to the
//! next timeout.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::harness::{Builder, RawConnection, SCRIPTED, SESSIONS, Server, USER};

/// Returns the time until the server closes the connection.
async fn time_to_close(wire: &mut RawConnection) -> Duration {
    let start = Instant::now();
    wire.drain().await;
    start.elapsed()
}

/// Lets time pass without any traffic.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

async fn server_and_wire() -> (Server, RawConnection) {
    wire_to(Server::builder()).await
}

async fn wire_to(server: Builder) -> (Server, RawConnection) {
    let server = server.start().await;
    let wire = RawConnection::open(&server).await;
    // The server has accepted the connection.
    server.settle().await;
    (server, wire)
}

fn assert_about(found: Duration, seconds: u64) {
    let expected = Duration::from_secs(seconds);
    let margin = Duration::from_secs(1);
    assert!(
        (expected.saturating_sub(margin)..=expected + margin).contains(&found),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let (server, mut wire) = server_and_wire().await;
    tokio::time::pause();
    assert_about(time_to_close(&mut wire).await, 15);
    tokio::time::resume();
    server.stop().await;
}

#[tokio::test]
async fn a_connection_with_an_incomplete_head_is_closed() {
    let (server, mut wire) = server_and_wire().await;
    wire.write("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-a: ")
        .await;
    server.settle().await;
    tokio::time::pause();
    assert_about(time_to_close(&mut wire).await, 15);
    tokio::time::resume();
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_sends_its_head_slowly_is_closed() {
    let (server, mut wire) = server_and_wire().await;
    pass(10).await;
    for byte in ["G", "E"] {
        wire.write(byte).await;
        server.settle().await;
        pass(10).await;
    }
    wire.expect_close().await;
    server.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_keep_alive() {
    for (setting, seconds) in [(None, 75), (Some("5"), 5), (Some("3600"), 3600)] {
        let mut server = Server::builder();
        if let Some(setting) = setting {
            server = server.set("KEEP_ALIVE_SECONDS", setting);
        }
        let (server, mut wire) = wire_to(server).await;
        for _ in 0..2 {
            assert_eq!(wire.get("/healthz").await.status, 200);
            pass(seconds - 2).await;
        }
        tokio::time::pause();
        assert_about(time_to_close(&mut wire).await, 2);
        tokio::time::resume();
        server.stop().await;
    }
}

#[tokio::test]
async fn each_head_has_its_own_timeout() {
    for keep_alive in ["5", "3600"] {
        let server = Server::builder().set("KEEP_ALIVE_SECONDS", keep_alive);
        let (server, mut wire) = wire_to(server).await;
        assert_eq!(wire.get("/healthz").await.status, 200);
        pass(4).await;
        wire.write("GET /healthz HTTP/1.1\r\n").await;
        server.settle().await;
        pass(12).await;
        wire.write("host: localhost\r\n\r\n").await;
        assert_eq!(wire.reply().await.status, 200, "the head was in time");
        wire.write("GET /healthz HTTP/1.1\r\n").await;
        server.settle().await;
        pass(12).await;
        wire.write("host: localhost\r\n").await;
        server.settle().await;
        tokio::time::pause();
        assert_about(time_to_close(&mut wire).await, 3);
        tokio::time::resume();
        server.stop().await;
    }
}

#[tokio::test]
async fn a_request_longer_than_the_keep_alive_is_not_interrupted() {
    let server = Server::builder().set("KEEP_ALIVE_SECONDS", "5");
    let (server, mut wire) = wire_to(server).await;
    let session = server.session().await;
    let body = json!({ "content": "wait 60000|say late", "transport": "http" }).to_string();
    let head = format!("POST {SESSIONS}/{session}/messages HTTP/1.1\r\nhost: localhost");
    let length = body.len();
    wire.write(format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}"))
        .await;
    server.settle().await;
    pass(20).await;
    server.advance(Duration::from_mins(1));
    assert_eq!(wire.reply().await.status, 201);
    tokio::time::pause();
    assert_about(time_to_close(&mut wire).await, 5);
    tokio::time::resume();
    server.stop().await;
}

#[tokio::test]
async fn the_longest_idle_connection_is_closed_for_a_new_one() {
    let server = Server::builder()
        .set("MAX_CONNECTIONS", "3")
        .set("KEEP_ALIVE_SECONDS", "3600");
    let (server, mut idle) = wire_to(server).await;
    assert_eq!(idle.get("/healthz").await.status, 200);
    pass(600).await;
    assert_eq!(idle.get("/healthz").await.status, 200, "still open");
    pass(600).await;
    let mut others = Vec::new();
    for _ in 0..3 {
        let mut other = RawConnection::open(&server).await;
        assert_eq!(other.get("/healthz").await.status, 200);
        others.push(other);
    }
    idle.expect_close().await;
    for mut other in others {
        assert_eq!(other.get("/healthz").await.status, 200);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_connection_whose_body_never_arrives_is_closed() {
    let (server, mut wire) = server_and_wire().await;
    wire.write(format!(
        "POST {SESSIONS} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{{"
    ))
    .await;
    server.settle().await;
    tokio::time::pause();
    assert_about(time_to_close(&mut wire).await, 30);
    tokio::time::resume();
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_never_reads_is_closed() {
    let server = Server::start().await;
    let session = server.session().await;
    for _ in 0..15 {
        let content = "ä".repeat(4000);
        let fields = json!({ "content": content, "metadata": { "x": "y".repeat(9000) } });
        server.send(&session, fields).await.expect(201);
        server.settle().await;
        server.history_of(&session, 1).await;
    }
    let page = server.get(&format!("{SESSIONS}/{session}/messages")).await;
    let size = page.expect(200).body.to_string().len();
    let mut wire = RawConnection::open(&server).await;
    // More than the buffers in between can hold.
    let asked = 400;
    let request = format!("GET {SESSIONS}/{session}/messages HTTP/1.1\r\nhost: localhost\r\n\r\n");
    wire.write(request.repeat(asked)).await;
    server.settle().await;
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(40)).await;
    tokio::time::resume();
    let read = wire.drain().await;
    assert!(
        read > 0 && read < size * asked,
        "{read} of {}",
        size * asked
    );
    server.stop().await;
}

#[tokio::test]
async fn two_lengths_cannot_smuggle_a_request() {
    let server = Server::start().await;
    let smuggled = "DELETE /api/agents HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let head = format!("POST {SESSIONS} HTTP/1.1\r\nhost: localhost\r\n");
    for (lengths, body) in [
        (
            "content-length: 4\r\ntransfer-encoding: chunked\r\n",
            "0\r\n\r\n",
        ),
        (
            "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
            "0\r\n\r\n",
        ),
        ("content-length: 0\r\ncontent-length: 10\r\n", ""),
        ("content-length: 0, 10\r\n", ""),
        ("content-length: +0\r\n", ""),
        ("content-length: 0x0\r\n", ""),
        ("content-length : 0\r\n", ""),
        ("transfer-encoding: xchunked\r\n", "0\r\n\r\n"),
        ("transfer-encoding: chunked, identity\r\n", "0\r\n\r\n"),
        ("transfer-encoding:\u{b}chunked\r\n", "0\r\n\r\n"),
        ("transfer-encoding : chunked\r\n", "0\r\n\r\n"),
        ("transfer-encoding: chunked\r\n", "1;\nx\r\n0\r\n\r\n"),
        ("transfer-encoding: chunked\r\n", "0x1\r\nx\r\n0\r\n\r\n"),
        ("transfer-encoding: chunked\r\n", "-1\r\nx\r\n0\r\n\r\n"),
        ("transfer-encoding: chunked\r\n", "fffffffffffffffff\r\nx"),
        ("transfer-encoding: chunked\r\n", "2\r\n{}0\r\n\r\n"),
    ] {
        let mut wire = RawConnection::open(&server).await;
        wire.write(format!("{head}{lengths}\r\n{body}{smuggled}"))
            .await;
        let reply = wire.reply().await;
        assert_eq!(reply.status, 400, "{lengths:?} {body:?} {}", reply.head);
        wire.expect_close().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_request_with_both_lengths_is_chunked_and_the_last_on_its_connection() {
    let server = Server::start().await;
    let body = json!({ "agentId": SCRIPTED, "userId": USER }).to_string();
    let chunked = "transfer-encoding: chunked\r\n";
    let length = format!("content-length: {}\r\n", body.len());
    let padded = format!("content-length: {}{}\r\n", "0".repeat(300), body.len());
    let head = format!(
        "POST {SESSIONS} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    );
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for lengths in [
        format!("{chunked}{length}"),
        format!("{length}{chunked}"),
        format!("{padded}{chunked}"),
        format!("{chunked}{padded}"),
    ] {
        let mut wire = RawConnection::open(&server).await;
        let another = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
        wire.write(format!("{another}{head}{lengths}\r\n{chunks}{another}"))
            .await;
        assert_eq!(wire.reply().await.status, 200);
        let reply = wire.reply().await;
        assert_eq!(reply.status, 201, "{lengths:?} {}", reply.head);
        wire.expect_close().await;
    }
    server.stop().await;
}
