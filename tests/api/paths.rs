//! Paths, methods and ids.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    ELIZA, RawConnection, SCRIPTED, SESSIONS, Server, UNKNOWN_ID, USER, answer, assert_v7, at,
};

#[tokio::test]
async fn ids_are_accepted_in_any_case_and_returned_in_lower_case() {
    let server = Server::start().await;
    let created = server
        .create(json!({ "agentId": ELIZA.to_uppercase(), "userId": USER.to_uppercase() }))
        .await
        .expect(201)
        .body;
    assert_eq!(created["agentId"], ELIZA);
    assert_eq!(created["userId"], USER);
    let session = created["sessionId"].as_str().unwrap();
    let upper = session.to_uppercase();
    assert_eq!(server.info(&upper).await["sessionId"], session);
    let sent = server
        .send(&upper, json!({ "content": "x", "transport": "http" }))
        .await;
    assert_eq!(sent.expect(201).body["userMessage"]["channelId"], session);
    assert_eq!(server.history(&upper).await.len(), 2);
    server.get(&at(&upper, "/messages")).await.expect(200);
    server
        .post(&at(&upper, "/renew"), json!({}))
        .await
        .expect(200);
    server
        .post(&at(&upper, "/heartbeat"), json!({}))
        .await
        .expect(200);
    server
        .patch(&at(&upper, "/timeout"), json!({}))
        .await
        .expect(200);
    let agent = server
        .get(&format!("/api/agents/{}", ELIZA.to_uppercase()))
        .await;
    assert_eq!(agent.expect(200).body["data"]["id"], ELIZA);
    let filter = format!(
        "{SESSIONS}?userId={}&agentId={}",
        USER.to_uppercase(),
        ELIZA.to_uppercase()
    );
    assert_eq!(server.get(&filter).await.expect(200).body["total"], 1);
    server.delete(&at(&upper, "")).await.expect(200);
    server.get(&at(session, "")).await.expect(404);
    server.stop().await;
}

#[tokio::test]
async fn new_ids_are_time_ordered_with_74_random_bits() {
    let server = Server::start().await;
    let session = server.session().await;
    let mut ids = Vec::new();
    for _ in 0..8 {
        let sent = server
            .send(&session, json!({ "content": "x", "transport": "http" }))
            .await;
        let sent = sent.expect(201).body;
        let session = server.session().await;
        for id in [&json!(session), &sent["id"], &sent["agentResponse"]["id"]] {
            assert_v7(id);
            ids.push(
                uuid::Uuid::parse_str(id.as_str().unwrap())
                    .unwrap()
                    .as_u128(),
            );
        }
    }
    // All in one millisecond. 6 bits are version and variant; each other bit takes both values.
    let (ones, zeros) = ids
        .iter()
        .fold((0, 0), |(ones, zeros), id| (ones | id, zeros | !id));
    let random = ones & zeros;
    assert_eq!(random.count_ones(), 74);
    assert_eq!(random >> 80, 0, "the first 48 bits are the time");
    server.stop().await;
}

#[tokio::test]
async fn a_path_id_that_is_not_a_uuid_is_a_404() {
    let server = Server::start().await;
    for id in [
        "abc-123",
        "%00",
        "%ff",
        "a%2Fb",
        "018cc251f40077dcb51e6f90b16c5089",
        "{x}",
    ] {
        for (method, rest) in [
            (Method::GET, ""),
            (Method::DELETE, ""),
            (Method::GET, "/messages"),
            (Method::POST, "/renew"),
            (Method::POST, "/heartbeat"),
        ] {
            let missing = answer(server.request(method, &at(id, rest))).await;
            missing.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
        }
    }
    let missing = server.get(&at("abc-123", "")).await;
    let details = missing.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    assert_eq!(details, json!({ "sessionId": "abc-123" }));
    let missing = server.get("/api/messaging/channels/abc-123/messages").await;
    missing.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    let missing = server.send("abc-123", json!({ "content": "x" })).await;
    missing.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    let missing = server.patch(&at("abc-123", "/timeout"), json!({})).await;
    missing.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_route_is_a_json_404() {
    let server = Server::start().await;
    let session = server.session().await;
    let below = at(&session, "/nope");
    for path in [
        "/console",
        "/nope",
        "/api",
        "/api/messaging",
        "/api/agents/x/y",
        below.as_str(),
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS] {
            let missing = answer(server.request(method.clone(), path)).await;
            let details = missing.error(404, "NOT_FOUND", "NotFoundError");
            assert_eq!(details, json!({ "method": method.as_str(), "path": path }));
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_method_is_a_json_405_with_allow() {
    let server = Server::start().await;
    let session = server.session().await;
    let transcript = format!("/api/messaging/channels/{session}/messages");
    for (method, path, allowed) in [
        (Method::PUT, SESSIONS.to_owned(), "DELETE,GET,HEAD,POST"),
        (Method::PATCH, SESSIONS.to_owned(), "DELETE,GET,HEAD,POST"),
        (Method::POST, format!("{SESSIONS}/health"), "GET,HEAD"),
        (Method::POST, at(&session, ""), "DELETE,GET,HEAD,PATCH"),
        (Method::PUT, at(&session, ""), "DELETE,GET,HEAD,PATCH"),
        (Method::DELETE, at(&session, "/messages"), "GET,HEAD,POST"),
        (Method::GET, at(&session, "/renew"), "POST"),
        (Method::HEAD, at(&session, "/renew"), "POST"),
        (Method::GET, at(&session, "/heartbeat"), "POST"),
        (Method::POST, at(&session, "/timeout"), "PATCH"),
        (Method::POST, transcript, "GET,HEAD"),
        (Method::POST, "/api/agents".to_owned(), "GET,HEAD"),
        (Method::DELETE, format!("/api/agents/{ELIZA}"), "GET,HEAD"),
        (Method::POST, "/healthz".to_owned(), "GET,HEAD"),
        (Method::POST, "/health".to_owned(), "GET,HEAD"),
    ] {
        let refused = answer(server.request(method.clone(), &path)).await;
        let mut found: Vec<_> = refused.header("allow").split(',').map(str::trim).collect();
        found.sort_unstable();
        assert_eq!(found.join(","), allowed, "{method} {path}");
        assert_eq!(refused.status, 405);
        if method != Method::HEAD {
            let details = refused.error(405, "METHOD_NOT_ALLOWED", "MethodNotAllowedError");
            assert_eq!(details, json!({ "method": method.as_str(), "path": path }));
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_trailing_slash_makes_no_difference() {
    let server = Server::start().await;
    let body = json!({ "agentId": SCRIPTED, "userId": USER });
    let created = server
        .post(&format!("{SESSIONS}/"), body)
        .await
        .expect(201)
        .body;
    let session = created["sessionId"].as_str().unwrap();
    let sent = json!({ "content": "x", "transport": "http" });
    server
        .post(&at(session, "/messages/"), sent)
        .await
        .expect(201);
    for path in [
        format!("{SESSIONS}/"),
        format!("{SESSIONS}/?limit=1"),
        format!("{SESSIONS}/health/"),
        at(session, "/"),
        at(session, "/messages/"),
        at(session, "/messages/?limit=1"),
        format!("/api/messaging/channels/{session}/messages/"),
        "/api/agents/".to_owned(),
        format!("/api/agents/{ELIZA}/"),
        "/healthz/".to_owned(),
        "/health/".to_owned(),
    ] {
        server.get(&path).await.expect(200);
    }
    let page = server
        .get(&at(session, "/messages/?limit=1"))
        .await
        .expect(200)
        .body;
    assert_eq!(
        page["messages"].as_array().unwrap().len(),
        1,
        "the query is preserved"
    );
    server
        .post(&at(session, "/renew/"), json!({}))
        .await
        .expect(200);
    server
        .post(&at(session, "/heartbeat/"), json!({}))
        .await
        .expect(200);
    server
        .patch(&at(session, "/timeout/"), json!({}))
        .await
        .expect(200);
    server.delete(&at(session, "/")).await.expect(200);
    server.get("/nope/").await.expect(404);
    assert!(
        server
            .post("/healthz/", Value::Null)
            .await
            .expect(405)
            .has_header("allow")
    );
    server.stop().await;
}

#[tokio::test]
async fn head_answers_like_get_without_a_body() {
    let server = Server::start().await;
    let session = server.session().await;
    for (path, status) in [
        (at(&session, ""), 200),
        (at(&session, "/messages"), 200),
        (SESSIONS.to_owned(), 200),
        ("/api/agents".to_owned(), 200),
        ("/healthz".to_owned(), 200),
        (at(UNKNOWN_ID, ""), 404),
        ("/nope".to_owned(), 404),
    ] {
        let head = answer(server.request(Method::HEAD, &path))
            .await
            .expect(status);
        assert_eq!(head.body, Value::Null, "{path}");
        assert_eq!(
            head.header("content-type"),
            server.get(&path).await.header("content-type")
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn leading_slashes_are_part_of_the_path() {
    let server = Server::start().await;
    for path in [
        "//healthz",
        "///metrics",
        "//api/agents",
        "//socket.io/?EIO=4&transport=polling",
    ] {
        let mut wire = RawConnection::open(&server).await;
        wire.write(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"))
            .await;
        assert_eq!(wire.reply().await.status, 404, "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn methods_of_a_path_are_shown_only_in_a_405() {
    let server = Server::builder()
        .set("ELIZA_SERVER_AUTH_TOKEN", "t")
        .set("CORS_ORIGIN", "https://chat.example")
        .start()
        .await;
    let put = |name: &'static str, value: &'static str| {
        let request = server.request(Method::PUT, "/api/admin/backup");
        answer(request.header(name, value))
    };
    let stranger = put("x-api-key", "wrong").await.expect(401);
    let foreign = put("origin", "https://evil.example").await.expect(403);
    for refused in [stranger, foreign] {
        assert!(!refused.has_header("allow"));
    }
    assert!(put("x-api-key", "t").await.expect(405).has_header("allow"));
    server.stop().await;
}
