//! How hyper handles requests with an ambiguous length. The server relies on it.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Answers after reading the body, with 400 if that fails.
async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let status = match request.into_body().collect().await {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::BAD_REQUEST,
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    Ok(response)
}

/// Sends a request with these headers and this body, followed by another one. Returns the statuses
/// of the responses, and whether the connection is closed after them.
async fn answers(version: &str, headers: &str, body: &str) -> (Vec<u16>, bool) {
    let (server, mut client) = tokio::io::duplex(64 * 1024);
    let serving = http1::Builder::new().serve_connection(TokioIo::new(server), service_fn(answer));
    let asking = async {
        let second = "GET /second HTTP/1.1\r\nhost: a\r\n\r\n";
        let request = format!("POST / {version}\r\nhost: a\r\n{headers}\r\n{body}{second}");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answers = Vec::new();
        let reading = client.read_to_end(&mut answers);
        // Paused time makes this immediate.
        let is_closed = tokio::time::timeout(Duration::from_secs(1), reading).await;
        let answers = String::from_utf8(answers).unwrap();
        let statuses = answers.split("HTTP/1.").skip(1);
        let statuses = statuses.map(|it| it[2..5].parse().unwrap()).collect();
        drop(client);
        (statuses, is_closed.is_ok())
    };
    let (_, found) = tokio::join!(serving, asking);
    found
}

#[tokio::test(start_paused = true)]
async fn hyper_handles_a_request_with_both_length_headers_and_closes_after_it() {
    let padded = format!("content-length: {}4\r\n", "0".repeat(300));
    let chunked = "transfer-encoding: chunked\r\n";
    for headers in [
        format!("content-length: 4\r\n{chunked}"),
        format!("{chunked}content-length: 4\r\n"),
        format!("{padded}{chunked}"),
        format!("{chunked}{padded}"),
        format!("{chunked}content-length: x\r\n"),
    ] {
        let found = answers("HTTP/1.1", &headers, "0\r\n\r\n").await;
        assert_eq!(found, (vec![200], true), "{headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn hyper_refuses_ambiguous_lengths_and_closes_after_them() {
    for (headers, body) in [
        ("content-length: 2\r\ncontent-length: 3\r\n", "{}"),
        ("content-length: 2, 2\r\n", "{}"),
        ("content-length: +2\r\n", "{}"),
        ("content-length: 0x2\r\n", "{}"),
        ("content-length:\r\n", ""),
        ("content-length : 2\r\n", "{}"),
        ("transfer-encoding : chunked\r\n", "0\r\n\r\n"),
        ("transfer-encoding: chunked, identity\r\n", "0\r\n\r\n"),
        ("transfer-encoding: identity\r\n", ""),
        ("transfer-encoding:\r\n", ""),
        (
            "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
            "0\r\n\r\n",
        ),
    ] {
        let found = answers("HTTP/1.1", headers, body).await;
        assert_eq!(found, (vec![400], true), "{headers:?}");
    }
    let found = answers("HTTP/1.0", "transfer-encoding: chunked\r\n", "0\r\n\r\n").await;
    assert_eq!(found, (vec![400], true));
}

#[tokio::test(start_paused = true)]
async fn hyper_refuses_ambiguous_chunks_and_closes_after_them() {
    for body in [
        "\r\n\r\n",
        "x\r\n\r\n",
        "0x1\r\nx\r\n0\r\n\r\n",
        "-1\r\nx\r\n0\r\n\r\n",
        "+1\r\nx\r\n0\r\n\r\n",
        " 1\r\nx\r\n0\r\n\r\n",
        "1 1\r\nx\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nx\r\n0\r\n\r\n",
        "1;\nx\r\n0\r\n\r\n",
        // Line feeds without a carriage return.
        "1\nx\r\n0\r\n\r\n",
        "1\r\nx\n0\r\n\r\n",
        "2\r\nx\r\n0\r\n\r\n",
        "0\n\r\n",
    ] {
        let found = answers("HTTP/1.1", "transfer-encoding: chunked\r\n", body).await;
        assert_eq!(found, (vec![400], true), "{body:?}");
    }
}

/// A proxy that ends a request at a bare line feed sees one request more than hyper, which gets no
/// response. The reverse, a request that only hyper sees, does not happen.
#[tokio::test(start_paused = true)]
async fn hyper_reads_bytes_after_a_bare_line_feed_as_trailers_and_not_as_a_request() {
    for body in ["0\r\n\n", "0\r\na: b\n\n", "0\r\na: b\n\r\n"] {
        let found = answers("HTTP/1.1", "transfer-encoding: chunked\r\n", body).await;
        assert_eq!(found.0.len(), 1, "{body:?} {found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn hyper_answers_the_request_after_an_unambiguous_one() {
    let chunked = "transfer-encoding: chunked\r\n";
    for (headers, body) in [
        ("", ""),
        ("content-length: 2\r\n", "{}"),
        ("content-length: 2\r\ncontent-length: 2\r\n", "{}"),
        (chunked, "0\r\n\r\n"),
        (
            chunked,
            "0001 ;a=b\r\nx\r\n00\r\na: b\r\ncontent-length: 9\r\n\r\n",
        ),
    ] {
        let found = answers("HTTP/1.1", headers, body).await;
        assert_eq!(found, (vec![200, 200], false), "{headers:?} {body:?}");
    }
}
