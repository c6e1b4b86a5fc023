//! The rights of each role at every endpoint.

#![allow(clippy::match_same_arms, reason = "a line for each thing that is said")]

use reqwest::Method;
use serde_json::json;
use sessiond::api::endpoints;
use sessiond::auth::access::Access;

use crate::harness::{Answer, ELIZA, SESSIONS, START, Server, UNKNOWN_ID, USER, answer};
use crate::jwt;

const SERVER: &str = "the server's token";
const ADMIN: &str = "the admins' token";

/// Every endpoint with its access rule. A new endpoint needs a row here.
const TABLE: &[(&str, &str, Access)] = &[
    ("GET", "/api/messaging/sessions", Access::SessionList),
    ("DELETE", "/api/messaging/sessions", Access::SessionList),
    ("POST", "/api/messaging/sessions", Access::Authenticated),
    (
        "GET",
        "/api/messaging/sessions/health",
        Access::Authenticated,
    ),
    (
        "GET",
        "/api/messaging/sessions/{sessionId}",
        Access::Authenticated,
    ),
    (
        "DELETE",
        "/api/messaging/sessions/{sessionId}",
        Access::Authenticated,
    ),
    (
        "PATCH",
        "/api/messaging/sessions/{sessionId}",
        Access::Authenticated,
    ),
    (
        "GET",
        "/api/messaging/sessions/{sessionId}/messages",
        Access::Authenticated,
    ),
    (
        "POST",
        "/api/messaging/sessions/{sessionId}/messages",
        Access::Authenticated,
    ),
    (
        "POST",
        "/api/messaging/sessions/{sessionId}/messages/stream",
        Access::Authenticated,
    ),
    (
        "POST",
        "/api/messaging/sessions/{sessionId}/renew",
        Access::Authenticated,
    ),
    (
        "PATCH",
        "/api/messaging/sessions/{sessionId}/timeout",
        Access::Authenticated,
    ),
    (
        "POST",
        "/api/messaging/sessions/{sessionId}/heartbeat",
        Access::Authenticated,
    ),
    (
        "POST",
        "/api/messaging/sessions/{sessionId}/cancel",
        Access::Authenticated,
    ),
    (
        "GET",
        "/api/messaging/sessions/{sessionId}/events",
        Access::Authenticated,
    ),
    (
        "GET",
        "/api/messaging/channels/{channelId}/messages",
        Access::SessionList,
    ),
    (
        "POST",
        "/api/messaging/messages/search",
        Access::SessionList,
    ),
    ("POST", "/api/messaging/submit", Access::Agent),
    ("GET", "/api/auth/me", Access::Authenticated),
    ("GET", "/api/agents", Access::Authenticated),
    ("GET", "/api/agents/{agentId}", Access::Authenticated),
    ("GET", "/api/agents/{agentId}/turns", Access::Agent),
    ("GET", "/api/agents/{agentId}/events", Access::Agent),
    ("GET", "/metrics", Access::Admin),
    ("GET", "/", Access::Public),
    ("GET", "/docs", Access::Public),
    ("GET", "/console/{file}", Access::Public),
    ("GET", "/client.js", Access::Public),
    ("GET", "/client.d.ts", Access::Public),
    ("GET", "/chat-transport.js", Access::Public),
    ("GET", "/chat-transport.d.ts", Access::Public),
    ("GET", "/openapi.json", Access::Public),
    ("GET", "/api/admin/backup", Access::Admin),
    ("GET", "/api/admin/export", Access::Admin),
    ("POST", "/api/admin/import", Access::Admin),
    ("GET", "/api/admin/storage", Access::Admin),
    ("POST", "/api/admin/storage/verify", Access::Admin),
    ("GET", "/api/admin/log", Access::Admin),
    ("GET", "/api/admin/agents", Access::Admin),
    ("POST", "/api/admin/agents/{agentId}/probe", Access::Admin),
    ("GET", "/api/admin/settings", Access::Admin),
    ("GET", "/api/admin/metrics/history", Access::Admin),
    ("GET", "/healthz", Access::Public),
    ("GET", "/health", Access::Public),
];

#[test]
fn every_endpoint_has_a_stated_rule() {
    let found: Vec<_> = endpoints()
        .into_iter()
        .map(|it| (it.method.to_string(), it.path, it.access))
        .collect();
    let stated: Vec<_> = TABLE
        .iter()
        .map(|(method, path, access)| ((*method).to_owned(), (*path).to_owned(), *access))
        .collect();
    assert_eq!(found, stated);
}

/// A client with these credentials.
struct Caller {
    name: &'static str,
    header: Option<(&'static str, String)>,
}

fn caller(name: &'static str, header: Option<(&'static str, String)>) -> Caller {
    Caller { name, header }
}

fn callers() -> Vec<Caller> {
    let user = jwt::token(USER, START.0 / 1000 + 3600);
    vec![
        caller("anonymous", None),
        caller("wrong key", Some(("x-api-key", "wrong".into()))),
        caller(
            "wrong bearer",
            Some(("authorization", "Bearer wrong".into())),
        ),
        caller("server", Some(("x-api-key", SERVER.into()))),
        caller("user", Some(("authorization", format!("Bearer {user}")))),
        caller("admin", Some(("authorization", format!("Bearer {ADMIN}")))),
    ]
}

async fn call(server: &Server, method: &str, path: &str, by: &Caller) -> Answer {
    answer(request(server, method, path, by)).await
}

#[tokio::test]
async fn a_submit_is_refused_by_role_before_its_body_is_read() {
    let server = Server::builder()
        .set("SESSIOND_ADMIN_TOKEN", ADMIN)
        .set("JWT_SECRET", jwt::KEY)
        .start()
        .await;
    let callers = callers();
    let user = callers.iter().find(|by| by.name == "user").unwrap();
    let submit = async |body: &'static str| {
        let request = request(&server, "POST", "/api/messaging/submit", user);
        answer(request.body(body)).await
    };
    for body in ["{", "{}"] {
        submit(body).await.error(403, "FORBIDDEN", "ForbiddenError");
    }
    server.stop().await;
}

/// As [`call`], for answers of any form.
async fn status(server: &Server, method: &str, path: &str, by: &Caller) -> u16 {
    let answered = request(server, method, path, by).send().await;
    answered.unwrap().status().as_u16()
}

fn request(server: &Server, method: &str, path: &str, by: &Caller) -> reqwest::RequestBuilder {
    // An unknown id, so that a permitted call answers with a 404 or the like.
    let id = if path.starts_with("/api/agents") {
        ELIZA
    } else {
        UNKNOWN_ID
    };
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let names = ["{sessionId}", "{channelId}", "{agentId}", "{file}"];
    let path = names
        .iter()
        .fold(path.to_owned(), |path, name| path.replace(name, id));
    let request = server.request(method, &path);
    match &by.header {
        Some((name, value)) => request.header(*name, value),
        None => request,
    }
}

/// Asserts the outcome of every call by every caller.
async fn assert_matrix(server: &Server, expected: impl Fn(&str, Access) -> u16) {
    for (method, path, access) in TABLE {
        for by in callers() {
            let status = status(server, method, path, &by).await;
            let wanted = match by.name {
                "user"
                    if *path == SESSIONS && *method == "GET" && expected("user", *access) == 0 =>
                {
                    403
                }
                name => expected(name, *access),
            };
            let found = if [401, 403].contains(&status) {
                status
            } else {
                0
            };
            assert_eq!(found, wanted, "{method} {path} by {}", by.name);
        }
    }
}

#[tokio::test]
async fn with_all_three_secrets_each_role_has_its_own() {
    let server = Server::builder()
        .set("ELIZA_SERVER_AUTH_TOKEN", SERVER)
        .set("SESSIOND_ADMIN_TOKEN", ADMIN)
        .set("JWT_SECRET", jwt::KEY)
        .start()
        .await;
    assert_matrix(&server, |name, access| match (name, access) {
        (_, Access::Public) | ("admin", _) => 0,
        ("anonymous" | "wrong key" | "wrong bearer", _) => 401,
        ("server", Access::SessionList | Access::Admin) => 403,
        ("user", Access::Admin | Access::Agent) => 403,
        _ => 0,
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn with_only_the_servers_token_it_is_for_everything() {
    let server = Server::builder()
        .set("ELIZA_SERVER_AUTH_TOKEN", SERVER)
        .start()
        .await;
    assert_matrix(&server, |name, access| match (name, access) {
        (_, Access::Public) | ("server", _) => 0,
        _ => 401,
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn with_users_and_no_admin_token_no_one_is_admin() {
    let server = Server::builder()
        .set("ELIZA_SERVER_AUTH_TOKEN", SERVER)
        .set("JWT_SECRET", jwt::KEY)
        .start()
        .await;
    assert_matrix(&server, |name, access| match (name, access) {
        (_, Access::Public) => 0,
        ("server", Access::SessionList | Access::Admin) => 403,
        ("user", Access::Admin | Access::Agent) => 403,
        ("server" | "user", _) => 0,
        _ => 401,
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn with_only_an_admin_token_everything_requires_it() {
    let server = Server::builder()
        .set("SESSIOND_ADMIN_TOKEN", ADMIN)
        .start()
        .await;
    assert_matrix(&server, |name, access| match (name, access) {
        (_, Access::Public) | ("admin", _) => 0,
        _ => 401,
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn without_any_secret_every_call_is_allowed() {
    let server = Server::start().await;
    for by in callers().iter().filter(|by| by.name != "no credentials") {
        for (method, path, _) in TABLE {
            let status = status(&server, method, path, by).await;
            assert!(![401, 403].contains(&status), "{method} {path} {}", by.name);
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_403_has_the_error_form() {
    let server = Server::builder()
        .set("ELIZA_SERVER_AUTH_TOKEN", SERVER)
        .set("SESSIOND_ADMIN_TOKEN", ADMIN)
        .start()
        .await;
    let by = caller("server", Some(("x-api-key", SERVER.into())));
    let refused = call(&server, "GET", SESSIONS, &by).await;
    let details = refused.error(403, "FORBIDDEN", "ForbiddenError");
    assert_eq!(details, json!({}));
    let by = caller("anonymous", None);
    let refused = call(&server, "GET", SESSIONS, &by).await;
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    server.stop().await;
}

#[tokio::test]
async fn one_valid_credential_of_two_is_enough() {
    let server = Server::builder()
        .set("ELIZA_SERVER_AUTH_TOKEN", SERVER)
        .set("SESSIOND_ADMIN_TOKEN", ADMIN)
        .start()
        .await;
    for (key, bearer, status) in [
        ("wrong", ADMIN, 200),
        (ADMIN, "wrong", 200),
        (SERVER, ADMIN, 403),
        (ADMIN, SERVER, 200),
        ("wrong", "wrong", 401),
    ] {
        let request = server
            .request(Method::GET, SESSIONS)
            .header("x-api-key", key)
            .header("authorization", format!("Bearer {bearer}"));
        assert_eq!(answer(request).await.status, status, "{key} {bearer}");
    }
    server.stop().await;
}
