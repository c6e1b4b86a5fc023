//! Request bodies: content type, size, form.

use reqwest::Method;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::json;
use sessiond::api::endpoints;

use crate::harness::{Answer, SCRIPTED, SESSIONS, Server, UNKNOWN_ID, USER, answer, at, names};

const MAX_BODY: usize = 2 * 1024 * 1024;

/// Returns the body of a create, of exactly this many bytes.
fn create_of(bytes: usize) -> String {
    let body = json!({ "agentId": SCRIPTED, "userId": USER }).to_string();
    body.clone() + &" ".repeat(bytes - body.len())
}

async fn post_text(server: &Server, path: &str, body: impl Into<reqwest::Body>) -> Answer {
    answer(server.request(Method::POST, path).body(body)).await
}

#[tokio::test]
async fn a_body_without_a_content_type_is_read_as_json() {
    let server = Server::start().await;
    let created = post_text(&server, SESSIONS, create_of(200)).await;
    assert!(!created.expect(201).body["sessionId"].is_null());
    let session = server.session().await;
    let sent = post_text(&server, &at(&session, "/messages"), r#"{"content":"x"}"#).await;
    sent.expect(201);
    let patch = server.request(Method::PATCH, &at(&session, "/timeout"));
    answer(patch.body("{}")).await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn a_json_content_type_may_have_any_case_and_parameters() {
    let server = Server::start().await;
    for content_type in [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=\"UTF-8\"; x=y",
        "Application/JSON",
    ] {
        let request = server.request(Method::POST, SESSIONS);
        let request = request.header(CONTENT_TYPE, content_type);
        answer(request.body(create_of(200))).await.expect(201);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_content_type_other_than_json_is_refused() {
    let server = Server::start().await;
    let session = server.session().await;
    let calls = [
        (Method::POST, SESSIONS.to_owned()),
        (Method::POST, at(&session, "/messages")),
        (Method::PATCH, at(&session, "/timeout")),
    ];
    for (method, path) in calls {
        for content_type in [
            "text/plain",
            "text/html; charset=utf-8",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/jsonp",
            "json",
        ] {
            let request = server.request(method.clone(), &path);
            let request = request.header(CONTENT_TYPE, content_type).body("{}");
            let refused = answer(request).await;
            let details = refused.error(415, "UNSUPPORTED_MEDIA_TYPE", "UnsupportedMediaTypeError");
            assert_eq!(details, json!({}), "{content_type}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_content_encoding_is_refused_and_named() {
    let server = Server::start().await;
    let session = server.session().await;
    for (method, path) in [
        (Method::POST, SESSIONS.to_owned()),
        (Method::POST, at(&session, "/messages")),
        (Method::PATCH, at(&session, "/timeout")),
        (Method::POST, "/api/messaging/submit".to_owned()),
    ] {
        for coding in ["gzip", "br", "deflate, gzip"] {
            let request = server.request(method.clone(), &path);
            let request = request.header(CONTENT_ENCODING, coding).body("\x1f\u{8b}");
            let refused = answer(request).await;
            let details = refused.error(415, "UNSUPPORTED_MEDIA_TYPE", "UnsupportedMediaTypeError");
            assert_eq!(details, json!({}), "{coding}");
            let message = refused.body["error"]["message"].as_str().unwrap();
            assert!(message.contains(coding), "{message}");
        }
    }
    let request = server.request(Method::POST, SESSIONS);
    let request = request.header(CONTENT_ENCODING, "Identity");
    answer(request.body(create_of(200))).await.expect(201);
    server.stop().await;
}

#[tokio::test]
async fn a_body_of_two_mebibytes_is_read_and_a_larger_one_is_refused() {
    let server = Server::start().await;
    post_text(&server, SESSIONS, create_of(MAX_BODY))
        .await
        .expect(201);
    let session = server.session().await;
    for path in [SESSIONS.to_owned(), at(&session, "/messages")] {
        let refused = post_text(&server, &path, create_of(MAX_BODY + 1)).await;
        let details = refused.error(413, "PAYLOAD_TOO_LARGE", "PayloadTooLargeError");
        assert_eq!(details, json!({}));
    }
    let request = server.request(Method::PATCH, &at(&session, "/timeout"));
    let refused = answer(request.body(create_of(MAX_BODY + 1))).await;
    refused.error(413, "PAYLOAD_TOO_LARGE", "PayloadTooLargeError");
    assert!(server.history(&session).await.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_is_not_a_json_object_is_refused_with_a_reason() {
    let server = Server::start().await;
    let session = server.session().await;
    let bodies: [&[u8]; 11] = [
        b"",
        b"{",
        b"{\"agentId\":",
        b"not json",
        b"{} {}",
        b"{'a':1}",
        b"{\"a\":\"\xff\"}",
        b"[]",
        b"\"text\"",
        b"null",
        b"5",
    ];
    for body in bodies {
        let shown = String::from_utf8_lossy(body);
        for (method, path) in [
            (Method::POST, SESSIONS.to_owned()),
            (Method::POST, at(&session, "/messages")),
            (Method::PATCH, at(&session, "/timeout")),
        ] {
            let request = server.request(method, &path).body(body);
            let refused = answer(request).await;
            let details = refused.invalid("InvalidBodyError");
            assert_eq!(names(&details), ["reason"], "{shown}");
            assert!(details["reason"].is_string(), "{shown}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn renew_and_heartbeat_need_no_body_and_ignore_one() {
    let server = Server::start().await;
    let session = server.session().await;
    for rest in ["/renew", "/heartbeat"] {
        let path = at(&session, rest);
        answer(server.request(Method::POST, &path))
            .await
            .expect(200);
        for (content_type, body) in [
            ("text/plain", "not json"),
            ("application/json", "{"),
            ("application/json", "[1]"),
        ] {
            let request = server.request(Method::POST, &path);
            let request = request.header(CONTENT_TYPE, content_type).body(body);
            answer(request).await.expect(200);
        }
    }
    assert_eq!(server.info(&session).await["renewalCount"], 8);
    server.stop().await;
}

#[tokio::test]
async fn unknown_fields_are_ignored() {
    let server = Server::start().await;
    let session = server
        .session_with(json!({ "colour": "blue", "timeoutConfig": { "hours": 3 } }))
        .await;
    let sent = server
        .send(
            &session,
            json!({ "content": "x", "sessionId": UNKNOWN_ID, "role": [] }),
        )
        .await;
    sent.expect(201);
    let patched = server
        .patch(&at(&session, "/timeout"), json!({ "hours": [] }))
        .await;
    patched.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn every_endpoint_that_reads_a_body_limits_its_size() {
    /// These need no body and ignore one.
    const WITHOUT: [&str; 4] = ["/renew", "/heartbeat", "/verify", "/probe"];

    let server = Server::start().await;
    for endpoint in endpoints() {
        let path = endpoint.path.replace("{sessionId}", UNKNOWN_ID);
        let reads = matches!(endpoint.method.as_str(), "POST" | "PATCH");
        // It has a limit of its own.
        let is_import = path == "/api/admin/import";
        if !reads || is_import || WITHOUT.iter().any(|end| path.ends_with(end)) {
            continue;
        }
        let chunks = [" ".repeat(MAX_BODY), " ".repeat(2)].map(Ok::<_, std::io::Error>);
        let chunked = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
        for body in [" ".repeat(MAX_BODY + 1).into(), chunked] {
            let request = server.request(endpoint.method.clone(), &path);
            let refused = answer(request.body(body)).await;
            refused.error(413, "PAYLOAD_TOO_LARGE", "PayloadTooLargeError");
        }
    }
    server.stop().await;
}
