//! Every error of the API, in one table.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, MINUTE, SESSIONS, Server, UNKNOWN_ID, answer, at, names, time};

/// An error's answer, status, code, type and details.
type Row = (
    Answer,
    u16,
    &'static str,
    &'static str,
    &'static [&'static str],
);

/// Asserts that each answer has the status, code, type and exactly the details of its row.
#[track_caller]
fn assert_rows(server: &Server, rows: Vec<Row>) {
    for (answer, status, code, kind, details) in rows {
        let found = answer.error(status, code, kind);
        assert_eq!(names(&found), details, "{kind}");
        assert_eq!(answer.body["error"]["timestamp"], server.now());
        let members = ["success", "error", "code", "details"];
        assert_eq!(names(&answer.body), members);
    }
}

#[tokio::test]
async fn every_error_has_the_documented_form() {
    let server = Server::start().await;
    let session = server.session().await;
    server.advance(31 * MINUTE);
    let expired = server.get(&at(&session, "")).await.expect(410).body;
    let expected = json!({
        "success": false,
        "error": {
            "code": "SESSION_EXPIRED",
            "type": "SessionExpiredError",
            "message": "Session has expired",
            "details": format!("Session {session} expired at {}", time(30 * MINUTE)),
            "timestamp": time(31 * MINUTE),
        },
        "code": "SESSION_EXPIRED",
        "details": { "sessionId": session, "expiresAt": time(30 * MINUTE) },
    });
    assert_eq!(expired, expected);
    server.stop().await;
}

#[tokio::test]
async fn wrong_input() {
    let server = Server::start().await;
    let session = server.session().await;
    let invalid = "VALIDATION_ERROR";
    let send = async |fields: Value| server.send(&session, fields).await;
    let rows: Vec<Row> = vec![
        (
            server.create(json!({ "userId": "x" })).await,
            400,
            invalid,
            "InvalidUuidError",
            &["field", "value"],
        ),
        (
            server.create(json!({ "userId": 5 })).await,
            400,
            invalid,
            "InvalidUuidError",
            &["field"],
        ),
        (
            server.create(json!({ "userId": "" })).await,
            400,
            invalid,
            "MissingFieldsError",
            &["missingFields"],
        ),
        (
            send(json!({})).await,
            400,
            invalid,
            "InvalidContentError",
            &["reason"],
        ),
        (
            send(json!({ "content": "x", "metadata": 5 })).await,
            400,
            invalid,
            "InvalidMetadataError",
            &["reason", "maxBytes"],
        ),
        (
            server.get(&format!("{SESSIONS}?limit=x")).await,
            400,
            invalid,
            "InvalidPaginationError",
            &["parameter", "value", "reason"],
        ),
        (
            server
                .patch(&at(&session, "/timeout"), json!({ "timeoutMinutes": 1 }))
                .await,
            400,
            invalid,
            "InvalidTimeoutConfigError",
            &["reason", "field"],
        ),
        (
            server.post(SESSIONS, json!([])).await,
            400,
            invalid,
            "InvalidBodyError",
            &["reason"],
        ),
    ];
    assert_rows(&server, rows);
    server.stop().await;
}

#[tokio::test]
async fn missing_and_expired_resources() {
    let server = Server::start().await;
    let session = server.session().await;
    let large = server
        .request(Method::POST, SESSIONS)
        .body(" ".repeat(3 << 20));
    let foreign = server
        .request(Method::POST, SESSIONS)
        .header("content-type", "text/xml");
    let rows: Vec<Row> = vec![
        (
            server.get(&at(UNKNOWN_ID, "")).await,
            404,
            "SESSION_NOT_FOUND",
            "SessionNotFoundError",
            &["sessionId"],
        ),
        (
            server.create(json!({ "agentId": UNKNOWN_ID })).await,
            404,
            "AGENT_NOT_FOUND",
            "AgentNotFoundError",
            &["agentId"],
        ),
        (
            server.get("/nope").await,
            404,
            "NOT_FOUND",
            "NotFoundError",
            &["method", "path"],
        ),
        (
            server.patch(SESSIONS, json!({})).await,
            405,
            "METHOD_NOT_ALLOWED",
            "MethodNotAllowedError",
            &["method", "path"],
        ),
        (
            answer(large).await,
            413,
            "PAYLOAD_TOO_LARGE",
            "PayloadTooLargeError",
            &[],
        ),
        (
            answer(foreign.body("<x/>")).await,
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            "UnsupportedMediaTypeError",
            &[],
        ),
    ];
    assert_rows(&server, rows);
    server.get(&at(&session, "")).await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn refused_by_a_rule() {
    let server = Server::start().await;
    let session = server.session().await;
    let config = json!({ "timeoutMinutes": 30, "maxDurationMinutes": 30 });
    let capped = server
        .session_with(json!({ "timeoutConfig": config }))
        .await;
    let keyed = |content: &str| json!({ "content": content, "clientMessageId": "k" });
    server.send(&session, keyed("x")).await.expect(201);
    let rows: Vec<Row> = vec![
        (
            server.send(&session, keyed("y")).await,
            409,
            "IDEMPOTENCY_CONFLICT",
            "IdempotencyConflictError",
            &["key"],
        ),
        (
            server.post(&at(&capped, "/renew"), json!({})).await,
            422,
            "SESSION_RENEWAL_FAILED",
            "SessionRenewalError",
            &[
                "sessionId",
                "reason",
                "maxDurationMinutes",
                "createdAt",
                "timeSinceCreation",
            ],
        ),
    ];
    assert_rows(&server, rows);
    server.advance(31 * MINUTE);
    let rows: Vec<Row> = vec![(
        server.get(&at(&session, "")).await,
        410,
        "SESSION_EXPIRED",
        "SessionExpiredError",
        &["sessionId", "expiresAt"],
    )];
    assert_rows(&server, rows);
    server.stop().await;
}

#[tokio::test]
async fn failures_of_the_agent_or_the_server() {
    let server = Server::builder()
        .set("MAX_PENDING_TURNS", "17")
        .start()
        .await;
    let (session, other) = (server.session().await, server.session().await);
    let ask = async |session: &str, content: &str| {
        let fields = json!({ "content": content, "transport": "http" });
        server.send(session, fields).await
    };
    let failed = ask(&session, "fail").await;
    let running = server.begin(&session, "say one|hold").await;
    for _ in 0..15 {
        server.tell(&session, "x").await;
    }
    let too_many = ask(&session, "x").await;
    let last = server.begin(&other, "say one|hold").await;
    let overloaded = ask(&other, "x").await;
    let rows: Vec<Row> = vec![
        (
            failed,
            502,
            "AGENT_ERROR",
            "AgentError",
            &["agentId", "userMessage", "pending", "reason"],
        ),
        (
            too_many,
            429,
            "RATE_LIMIT_EXCEEDED",
            "RateLimitError",
            &["retryAfter"],
        ),
        (
            overloaded,
            503,
            "SERVICE_UNAVAILABLE",
            "ServiceUnavailableError",
            &["reason"],
        ),
    ];
    for (answer, status, ..) in &rows {
        assert_eq!(
            answer.has_header("retry-after"),
            [429, 503].contains(status)
        );
    }
    assert_rows(&server, rows);
    drop((running, last));
    server.stop().await;
}
