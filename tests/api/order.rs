//! The order of checks: the request itself, then what it names, then limits.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Answer, ELIZA, MINUTE, SCRIPTED, SESSIONS, Server, UNKNOWN_ID, USER, answer, at,
};
use crate::jwt;

const CONTENT: &str = "InvalidContentError";
const PAGINATION: &str = "InvalidPaginationError";
const TIMEOUT: &str = "InvalidTimeoutConfigError";

/// A call of a session, and the type of error that it gets.
struct Case {
    method: Method,
    path: &'static str,
    body: Value,
    kind: &'static str,
}

fn case(method: Method, path: &'static str, body: Value, kind: &'static str) -> Case {
    Case {
        method,
        path,
        body,
        kind,
    }
}

/// Returns malformed requests of every endpoint that names a session and reads more than its path.
fn malformed() -> Vec<Case> {
    let post = |path, body, kind| case(Method::POST, path, body, kind);
    let get = |path, kind| case(Method::GET, path, Value::Null, kind);
    let patch = |body| case(Method::PATCH, "/timeout", body, TIMEOUT);
    vec![
        post("/messages", json!([]), "InvalidBodyError"),
        post("/messages", json!({ "content": "" }), CONTENT),
        post(
            "/messages",
            json!({ "content": "x", "transport": "x" }),
            CONTENT,
        ),
        post(
            "/messages",
            json!({ "content": "x", "clientMessageId": "" }),
            CONTENT,
        ),
        post(
            "/messages",
            json!({ "content": "x", "metadata": 5 }),
            "InvalidMetadataError",
        ),
        post(
            "/messages",
            json!({ "content": "x", "attachments": [5] }),
            CONTENT,
        ),
        post("/messages/stream", json!({}), CONTENT),
        post(
            "/messages/stream",
            json!({ "content": "x", "attachments": {} }),
            CONTENT,
        ),
        patch(json!({ "timeoutMinutes": [] })),
        patch(json!({ "timeoutMinutes": 99_999 })),
        patch(json!({ "autoRenew": 1 })),
        get("/messages?limit=5&before=x", PAGINATION),
        get("/messages?after=x", PAGINATION),
        get("/events?after=x", PAGINATION),
        get("/events?lastEventId=x", PAGINATION),
    ]
}

/// Returns well-formed requests of the same endpoints.
fn well_formed() -> Vec<Case> {
    let none = "";
    vec![
        case(Method::POST, "/messages", json!({ "content": "x" }), none),
        case(
            Method::POST,
            "/messages/stream",
            json!({ "content": "x" }),
            none,
        ),
        case(
            Method::PATCH,
            "/timeout",
            json!({ "timeoutMinutes": 60 }),
            none,
        ),
        case(Method::GET, "/messages?limit=x&before=5", Value::Null, none),
        case(Method::GET, "/events?after=5", Value::Null, none),
    ]
}

async fn call(server: &Server, session: &str, case: &Case) -> Answer {
    let request = server.request(case.method.clone(), &at(session, case.path));
    answer(request.json(&case.body)).await
}

#[tokio::test]
async fn a_malformed_request_is_a_400_whether_or_not_the_session_exists() {
    let server = Server::start().await;
    let active = server.session().await;
    let expired = server
        .session_with(json!({ "timeoutConfig": { "timeoutMinutes": 5 } }))
        .await;
    server.advance(5 * MINUTE);
    for session in [&active, &expired, UNKNOWN_ID, "no-uuid"] {
        for case in malformed() {
            call(&server, session, &case).await.invalid(case.kind);
        }
    }
    for case in well_formed() {
        let missing = call(&server, UNKNOWN_ID, &case).await;
        missing.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
        let gone = call(&server, &expired, &case).await;
        gone.error(410, "SESSION_EXPIRED", "SessionExpiredError");
    }
    assert_eq!(server.history(&active).await, [Value::Null; 0]);
    server.stop().await;
}

#[tokio::test]
async fn a_transcripts_query_is_checked_before_the_session() {
    let server = Server::start().await;
    let path = |query: &str| format!("/api/messaging/channels/{UNKNOWN_ID}/messages{query}");
    server.get(&path("?before=x")).await.invalid(PAGINATION);
    let missing = server.get(&path("?before=5")).await;
    missing.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    server.stop().await;
}

#[tokio::test]
async fn a_malformed_header_is_refused_before_the_session_is_looked_up() {
    let server = Server::start().await;
    let request = server.request(Method::GET, &at(UNKNOWN_ID, "/events"));
    let refused = answer(request.header("last-event-id", "x")).await;
    assert_eq!(refused.invalid(PAGINATION)["parameter"], "Last-Event-ID");
    let request = server.sending(UNKNOWN_ID, &json!({ "content": "x" }));
    let refused = answer(request.header("idempotency-key", "a b")).await;
    refused.invalid("InvalidBodyError");
    server.stop().await;
}

/// Creates a session under a key.
async fn create(server: &Server, fields: Value, key: &str) -> Answer {
    answer(server.creating(&fields).header("idempotency-key", key)).await
}

#[tokio::test]
async fn only_valid_creates_count_against_the_rate_limit() {
    let server = Server::builder()
        .set("RATE_LIMIT_CREATES_PER_MINUTE", "1")
        .start()
        .await;
    let unknown = json!({ "agentId": UNKNOWN_ID });
    // Before and after the limit is reached.
    for is_limited in [false, true] {
        for _ in 0..3 {
            let malformed = server.create(json!({ "metadata": 5 })).await;
            malformed.invalid("InvalidMetadataError");
            let unknown = server.create(unknown.clone()).await;
            unknown.error(404, "AGENT_NOT_FOUND", "AgentNotFoundError");
        }
        if !is_limited {
            create(&server, json!({}), "k").await.expect(201);
        }
    }
    let refused = server.create(json!({})).await;
    refused.error(429, "RATE_LIMIT_EXCEEDED", "RateLimitError");
    // An earlier key is looked up before the agent and the limit.
    let repeated = create(&server, json!({}), "k").await.expect(201);
    assert_eq!(repeated.header("idempotent-replayed"), "true");
    for other in [json!({ "metadata": { "a": 1 } }), unknown] {
        let conflict = create(&server, other, "k").await;
        conflict.error(409, "IDEMPOTENCY_CONFLICT", "IdempotencyConflictError");
    }
    create(&server, json!({}), "l").await.expect(429);
    server.stop().await;
}

#[tokio::test]
async fn a_repeated_create_finds_its_session_after_the_agent_was_removed() {
    let ada = json!({ "id": UNKNOWN_ID, "name": "Ada" });
    let mut server = Server::builder().character("ada.json", &ada).start().await;
    let fields = || json!({ "agentId": UNKNOWN_ID });
    let first = create(&server, fields(), "k").await.expect(201);
    server
        .restart_with(|setup| setup.without_character("ada.json"))
        .await;
    let repeated = create(&server, fields(), "k").await.expect(201);
    assert_eq!(repeated.body["sessionId"], first.body["sessionId"]);
    let refused = create(&server, fields(), "l").await;
    refused.error(404, "AGENT_NOT_FOUND", "AgentNotFoundError");
    // The key ends with its session.
    server.advance(30 * MINUTE);
    let refused = create(&server, fields(), "k").await;
    refused.error(404, "AGENT_NOT_FOUND", "AgentNotFoundError");
    server.stop().await;
}

#[tokio::test]
async fn only_valid_sends_count_against_the_rate_limit() {
    let server = Server::builder()
        .set("RATE_LIMIT_MESSAGES_PER_MINUTE", "1")
        .start()
        .await;
    let session = server.session().await;
    let send = async |content: Value, key: &str| {
        let fields = json!({ "content": content, "transport": "http" });
        let request = server.sending(&session, &fields);
        answer(request.header("idempotency-key", key)).await
    };
    for _ in 0..3 {
        send(json!(""), "k").await.invalid(CONTENT);
    }
    send(json!("say x"), "k").await.expect(201);
    send(json!("say x"), "l").await.expect(429);
    send(json!(5), "l").await.invalid(CONTENT);
    // An earlier key is looked up before the limit.
    let repeated = send(json!("say x"), "k").await.expect(201);
    assert_eq!(repeated.header("idempotent-replayed"), "true");
    let conflict = send(json!("say y"), "k").await;
    conflict.error(409, "IDEMPOTENCY_CONFLICT", "IdempotencyConflictError");
    // The expiry is checked before the limit too.
    server.advance(29 * MINUTE);
    send(json!("say x"), "l").await.expect(201);
    server.advance(30 * MINUTE);
    for _ in 0..3 {
        let expired = send(json!("say x"), "m").await;
        expired.error(410, "SESSION_EXPIRED", "SessionExpiredError");
    }
    send(json!("say x"), "k").await.expect(201);
    server.stop().await;
}

#[tokio::test]
async fn reopening_a_failed_turn_counts_against_the_rate_limit() {
    let server = Server::builder()
        .set("RATE_LIMIT_MESSAGES_PER_MINUTE", "1")
        .start()
        .await;
    let session = server.session().await;
    let send = async || {
        let fields = json!({ "content": "fail", "transport": "http", "clientMessageId": "c" });
        server.send(&session, fields).await
    };
    send().await.expect(502);
    send().await.expect(429);
    server.advance(MINUTE);
    let again = send().await.expect(502);
    assert_eq!(again.header("idempotent-replayed"), "true");
    server.stop().await;
}

#[tokio::test]
async fn a_foreign_user_id_is_refused_after_the_request_and_before_lookups() {
    let server = Server::builder().set("JWT_SECRET", jwt::KEY).start().await;
    let token = jwt::token(USER, crate::harness::START.0 / 1000 + 3600);
    let create = async |fields: Value| {
        let request = server.creating(&fields).bearer_auth(&token);
        answer(request).await
    };
    let other = |metadata: Value| json!({ "userId": UNKNOWN_ID, "agentId": UNKNOWN_ID, "metadata": metadata });
    create(other(json!(5)))
        .await
        .invalid("InvalidMetadataError");
    let refused = create(other(json!({}))).await;
    refused.error(403, "FORBIDDEN", "ForbiddenError");
    let list = async |query: &str| {
        let request = server.request(Method::GET, &format!("{SESSIONS}{query}"));
        answer(request.bearer_auth(&token)).await
    };
    list("?limit=0").await.invalid(PAGINATION);
    list("?cursor=x").await.invalid(PAGINATION);
    let refused = list("?limit=1").await;
    refused.error(403, "FORBIDDEN", "ForbiddenError");
    server.stop().await;
}

#[tokio::test]
async fn a_submit_is_validated_before_its_session_is_looked_up() {
    let server = Server::start().await;
    let session = server.session().await;
    let submit = async |changes: Value| {
        let mut body = json!({ "channel_id": UNKNOWN_ID, "author_id": SCRIPTED, "content": "x" });
        let changes = changes.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(changes);
        server.post("/api/messaging/submit", body).await
    };
    submit(json!({ "metadata": 5 }))
        .await
        .invalid("InvalidMetadataError");
    submit(json!({ "messageId": "" })).await.invalid(CONTENT);
    submit(json!({ "content": 5 })).await.invalid(CONTENT);
    let missing = submit(json!({})).await;
    missing.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    let other = json!({ "channel_id": session, "author_id": ELIZA });
    let foreign = submit(other).await;
    foreign.error(403, "FORBIDDEN", "ForbiddenError");
    server.stop().await;
}
