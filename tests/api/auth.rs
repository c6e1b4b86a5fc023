//! Authentication with the server's token.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Builder, ELIZA, SCRIPTED, SESSIONS, Server, UNKNOWN_ID, USER, answer, at};

const TOKEN: &str = "aToken/with=odd.signs";

fn guarded() -> Builder {
    Server::builder().set("ELIZA_SERVER_AUTH_TOKEN", TOKEN)
}

/// Returns the status of a GET with these headers.
async fn status(server: &Server, path: &str, headers: &[(&str, &str)]) -> u16 {
    let mut request = server.request(Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(request).await.status
}

#[tokio::test]
async fn without_a_configured_token_every_call_is_answered() {
    let server = Server::start().await;
    for headers in [
        vec![],
        vec![("x-api-key", "anything")],
        vec![("authorization", "Bearer anything")],
    ] {
        assert_eq!(status(&server, SESSIONS, &headers).await, 200);
    }
    server.stop().await;
}

#[tokio::test]
async fn an_empty_token_counts_as_unset() {
    let server = Server::builder()
        .set("ELIZA_SERVER_AUTH_TOKEN", " ")
        .start()
        .await;
    assert_eq!(status(&server, SESSIONS, &[]).await, 200);
    server.stop().await;
}

#[tokio::test]
async fn the_token_is_accepted_as_api_key_or_bearer() {
    let server = guarded().start().await;
    let bearers = [
        format!("Bearer {TOKEN}"),
        format!("bearer {TOKEN}"),
        format!("BEARER {TOKEN}"),
        format!("BeArEr {TOKEN}"),
    ];
    assert_eq!(
        status(&server, SESSIONS, &[("x-api-key", TOKEN)]).await,
        200
    );
    assert_eq!(
        status(&server, SESSIONS, &[("X-API-KEY", TOKEN)]).await,
        200
    );
    for bearer in &bearers {
        assert_eq!(
            status(&server, SESSIONS, &[("authorization", bearer)]).await,
            200,
            "{bearer}"
        );
    }
    let both = [
        ("x-api-key", "wrong"),
        ("authorization", bearers[0].as_str()),
    ];
    assert_eq!(status(&server, SESSIONS, &both).await, 200);
    server.stop().await;
}

#[tokio::test]
async fn other_credentials_are_refused() {
    let server = guarded().start().await;
    let lower = TOKEN.to_lowercase();
    let longer = format!("{TOKEN}x");
    let shorter = &TOKEN[..TOKEN.len() - 1];
    for wrong in ["", "x", &lower, &longer, shorter, "Bearer"] {
        let bearer = format!("Bearer {wrong}");
        assert_eq!(
            status(&server, SESSIONS, &[("x-api-key", wrong)]).await,
            401,
            "{wrong:?}"
        );
        assert_eq!(
            status(&server, SESSIONS, &[("authorization", &bearer)]).await,
            401,
            "{wrong:?}"
        );
    }
    for wrong in [
        TOKEN.to_owned(),
        format!("Basic {TOKEN}"),
        format!("Token {TOKEN}"),
        format!("Bearer{TOKEN}"),
        "Bearer".to_owned(),
        "ä".to_owned(),
    ] {
        let headers = [("authorization", wrong.as_str())];
        assert_eq!(status(&server, SESSIONS, &headers).await, 401, "{wrong:?}");
    }
    for path in [
        format!("{SESSIONS}?apiKey={TOKEN}&token={TOKEN}"),
        format!("{SESSIONS}?x-api-key={TOKEN}"),
    ] {
        assert_eq!(
            status(&server, &path.replace(' ', "%20"), &[]).await,
            401,
            "a token in a URL does not count"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn every_endpoint_checks_credentials_first() {
    let server = guarded().start().await;
    let create = server.creating(&json!({})).header("x-api-key", TOKEN);
    let created = answer(create).await.expect(201).body;
    let session = created["sessionId"].as_str().unwrap();
    for (method, path) in [
        (Method::POST, SESSIONS.to_owned()),
        (Method::GET, SESSIONS.to_owned()),
        (Method::GET, format!("{SESSIONS}/health")),
        (Method::GET, at(session, "")),
        (Method::GET, at(UNKNOWN_ID, "")),
        (Method::GET, at("abc-123", "")),
        (Method::DELETE, at(session, "")),
        (Method::POST, at(session, "/messages")),
        (Method::GET, at(session, "/messages")),
        (Method::POST, at(session, "/renew")),
        (Method::POST, at(session, "/heartbeat")),
        (Method::PATCH, at(session, "/timeout")),
        (
            Method::GET,
            format!("/api/messaging/channels/{session}/messages"),
        ),
        (Method::GET, "/api/agents".to_owned()),
        (Method::GET, format!("/api/agents/{ELIZA}")),
        (Method::GET, "/nope".to_owned()),
        (Method::PUT, SESSIONS.to_owned()),
    ] {
        let request = server
            .request(method.clone(), &path)
            .header("x-api-key", "wrong");
        let refused = answer(request.header("content-type", "text/plain").body("{")).await;
        let details = refused.error(401, "UNAUTHORIZED", "UnauthorizedError");
        assert_eq!(details, json!({}), "{method} {path}");
        assert!(!refused.body.to_string().contains(TOKEN));
    }
    let head = answer(server.request(Method::HEAD, SESSIONS))
        .await
        .expect(401);
    assert_eq!(head.body, Value::Null);
    server.stop().await;
}

#[tokio::test]
async fn endpoints_without_data_need_no_token() {
    let server = guarded().start().await;
    for headers in [vec![], vec![("x-api-key", "wrong")]] {
        for path in ["/healthz", "/health", "/healthz/", "/health/"] {
            assert_eq!(status(&server, path, &headers).await, 200, "{path}");
        }
    }
    assert_eq!(server.get("/healthz").await.body, json!({ "status": "ok" }));
    assert_eq!(
        server.get("/health").await.body,
        json!({ "status": "healthy" })
    );
    assert_eq!(status(&server, "/healthz/x", &[]).await, 401);
    assert_eq!(status(&server, "/Health", &[]).await, 401);
    server.stop().await;
}

#[tokio::test]
async fn the_token_allows_every_call() {
    let server = guarded().start().await;
    let call = async |method: Method, path: &str, body: Value| {
        let request = server.request(method, path).json(&body);
        answer(request.header("authorization", format!("Bearer {TOKEN}"))).await
    };
    let created = json!({ "agentId": SCRIPTED, "userId": USER });
    let created = call(Method::POST, SESSIONS, created).await.expect(201).body;
    let session = created["sessionId"].as_str().unwrap();
    let sent = json!({ "content": "x", "transport": "http" });
    call(Method::POST, &at(session, "/messages"), sent)
        .await
        .expect(201);
    let transcript = format!("/api/messaging/channels/{session}/messages");
    let health = format!("{SESSIONS}/health");
    for path in [
        SESSIONS,
        &transcript,
        &at(session, "/messages"),
        "/api/agents",
        &health,
    ] {
        call(Method::GET, path, Value::Null).await.expect(200);
    }
    call(Method::GET, "/nope", Value::Null).await.expect(404);
    call(Method::DELETE, &at(session, ""), Value::Null)
        .await
        .expect(200);
    server.stop().await;
}
