//! The contents of the log.

use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

#[path = "../support/jwt.rs"]
mod jwt;

use crate::support::server::{Builder, Server};

const ELIZA: &str = "b850bc30-45f8-0041-a00a-83df46d8555d";
const USER: &str = "3c90c3cc-0d44-4b50-8888-8dd25736052a";
const SESSIONS: &str = "/api/messaging/sessions";

/// Every private text begins with this.
const PRIVATE: &str = "PRIVATE";
const SERVER: &str = "PRIVATE-server-token";
const ADMIN: &str = "PRIVATE-admin-token";
const WRONG: &str = "PRIVATE-wrong-token";

fn guarded() -> Builder {
    Server::builder()
        .env("ELIZA_SERVER_AUTH_TOKEN", SERVER)
        .env("SESSIOND_ADMIN_TOKEN", ADMIN)
        .env("JWT_SECRET", jwt::KEY)
}

/// Makes a request, and reads the whole response.
async fn call(
    server: &Server,
    method: Method,
    path: &str,
    token: &str,
    body: &Value,
) -> (StatusCode, String) {
    // Required by the TLS support, which no test uses.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let response = Client::new()
        .request(method, server.at(path))
        .bearer_auth(token)
        .header(
            "idempotency-key",
            format!("{PRIVATE}-key-{}", body.to_string().len()),
        )
        .json(body)
        .send()
        .await
        .expect("the server answers");
    let status = response.status();
    (status, response.text().await.unwrap())
}

async fn session(server: &Server, token: &str) -> String {
    let metadata = json!({ "PRIVATE-name": "PRIVATE-value", "username": "PRIVATE-user" });
    let body = json!({ "agentId": ELIZA, "userId": USER, "metadata": metadata });
    let (status, answer) = call(server, Method::POST, SESSIONS, token, &body).await;
    assert_eq!(status, 201, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer["sessionId"].as_str().unwrap().to_owned()
}

/// Makes valid and invalid requests of all kinds, with private text wherever there can be any.
async fn traffic(server: &Server, token: &str) {
    let session = session(server, token).await;
    let at = |rest: &str| format!("{SESSIONS}/{session}{rest}");
    let attachments = json!([{ "type": "image", "url": "https://PRIVATE.example/x" }]);
    for transport in ["http", "sse", "websocket"] {
        let body = json!({
            "content": format!("PRIVATE words by {transport}"), "transport": transport,
            "metadata": { "PRIVATE-name": "PRIVATE-value" }, "attachments": attachments,
        });
        let (status, answer) = call(server, Method::POST, &at("/messages"), token, &body).await;
        assert!(status.is_success(), "{answer}");
    }
    for (method, rest, body) in [
        (Method::GET, "", json!({})),
        (Method::GET, "/messages?limit=PRIVATE", json!({})),
        (Method::GET, "/messages?before=PRIVATE", json!({})),
        (Method::POST, "/messages", json!({ "content": ["PRIVATE"] })),
        (
            Method::POST,
            "/messages",
            json!({ "content": "PRIVATE", "transport": "PRIVATE" }),
        ),
        (
            Method::POST,
            "/messages",
            json!({ "content": "PRIVATE", "metadata": "PRIVATE" }),
        ),
        (Method::POST, "/messages", json!("PRIVATE")),
        (
            Method::PATCH,
            "/timeout",
            json!({ "timeoutMinutes": "PRIVATE" }),
        ),
        (Method::PATCH, "/timeout", json!({ "autoRenew": "PRIVATE" })),
        (Method::POST, "/renew", json!({ "x": "PRIVATE" })),
        (Method::POST, "/heartbeat", json!({ "x": "PRIVATE" })),
    ] {
        call(server, method, &at(rest), token, &body).await;
    }
    for path in [
        SESSIONS,
        "/api/agents",
        &format!("{SESSIONS}?cursor=PRIVATE"),
    ] {
        call(server, Method::GET, path, token, &json!({})).await;
    }
    let create = json!({ "agentId": "PRIVATE", "userId": "PRIVATE", "metadata": "PRIVATE" });
    call(server, Method::POST, SESSIONS, token, &create).await;
    call(server, Method::DELETE, &at(""), token, &json!({})).await;
}

#[tokio::test]
async fn the_log_contains_nothing_private_at_any_level() {
    let mut server = guarded().env("RUST_LOG", "trace").start();
    let user = jwt::token(USER, i64::from(u32::MAX));
    for token in [SERVER, ADMIN, WRONG, &user] {
        if token != WRONG {
            traffic(&server, token).await;
        }
        call(&server, Method::GET, SESSIONS, token, &json!({})).await;
    }
    assert!(server.terminate().success());
    let log = server.log();
    assert!(
        log.contains("TRACE") || log.contains("DEBUG"),
        "the log is at its most verbose"
    );
    let signature = user.rsplit('.').next().unwrap();
    for private in [PRIVATE, jwt::KEY, &user, signature] {
        let line = log.lines().find(|line| line.contains(private));
        assert_eq!(line, None, "{private} is in the log");
    }
}

#[tokio::test]
async fn admin_requests_and_refusals_are_audited() {
    let mut server = guarded().env("LOG_FORMAT", "json").start();
    let user = jwt::token(USER, i64::from(u32::MAX));
    let own = session(&server, &user).await;
    let transcript = format!("/api/messaging/channels/{own}/messages");
    let transcripts = "/api/messaging/channels/{channelId}/messages";
    let name = format!("user {USER}");
    let probe = format!("/api/admin/agents/{ELIZA}/probe");
    let probes = "/api/admin/agents/{agentId}/probe";
    let recent = "/api/admin/log";
    let calls = [
        (Method::GET, SESSIONS, ADMIN, "admin", SESSIONS, 200),
        (Method::POST, &*probe, ADMIN, "admin", probes, 200),
        (Method::POST, &*probe, SERVER, "server", probes, 403),
        (Method::GET, recent, ADMIN, "admin", recent, 200),
        (Method::GET, recent, &user, &name, recent, 403),
        (Method::GET, &transcript, ADMIN, "admin", transcripts, 200),
        (Method::GET, &transcript, SERVER, "server", transcripts, 403),
        (Method::GET, &transcript, &user, &name, transcripts, 200),
        (Method::GET, SESSIONS, &user, &name, SESSIONS, 403),
        (Method::GET, SESSIONS, WRONG, "unknown", SESSIONS, 401),
        (Method::GET, "/nope", "", "unknown", "unknown", 401),
    ];
    for (method, path, token, ..) in &calls {
        call(&server, method.clone(), path, token, &json!({})).await;
    }
    // Other requests are not audited.
    call(&server, Method::GET, "/api/agents", &user, &json!({})).await;
    assert!(server.terminate().success());
    let lines: Vec<Value> = server
        .log()
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line["target"] == "sessiond::audit")
        .collect();
    assert_eq!(lines.len(), calls.len(), "{lines:#?}");
    for (line, (method, path, _, who, route, status)) in lines.iter().zip(calls) {
        let found = (
            &line["method"],
            &line["path"],
            &line["who"],
            &line["route"],
            &line["status"],
        );
        let wanted = (
            &json!(method.as_str()),
            &json!(path),
            &json!(who),
            &json!(route),
            &json!(status),
        );
        assert_eq!(found, wanted);
        assert_eq!(line["address"], "127.0.0.1");
        assert_eq!(line["level"], "INFO");
    }
}

/// Returns the lines of a log in JSON that administrators should see, in the form in which they see
/// them, without the time.
fn warnings(log: &str) -> Vec<Value> {
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let lines = lines.filter(|line: &Value| line["level"] == "WARN" || line["level"] == "ERROR");
    let entries = lines.map(|mut line| {
        let mut line = std::mem::take(line.as_object_mut().unwrap());
        let mut take = |name| line.remove(name).unwrap_or_default();
        let (level, message, mut span) = (take("level"), take("message"), take("span"));
        for name in ["timestamp", "target", "spans"] {
            take(name);
        }
        if let Some(span) = span.as_object_mut() {
            span.remove("name");
            line.append(span);
        }
        json!({ "level": level, "message": message, "fields": line })
    });
    entries.collect()
}

async fn recent(server: &Server) -> Vec<Value> {
    let (status, log) = call(server, Method::GET, "/api/admin/log", ADMIN, &json!({})).await;
    assert_eq!(status, 200, "{log}");
    let log: Value = serde_json::from_str(&log).unwrap();
    let mut entries = log["entries"].as_array().unwrap().clone();
    for entry in &mut entries {
        assert!(entry.as_object_mut().unwrap().remove("at").is_some());
    }
    entries
}

#[tokio::test]
async fn administrators_see_the_warnings_and_errors_of_the_log() {
    // The first one hides warnings, but not the address of the server.
    for (filter, levels) in [
        ("error,sessiond::server=info", &["ERROR"][..]),
        ("debug", &["WARN", "ERROR"]),
    ] {
        let mut server = guarded()
            .env("LOG_FORMAT", "json")
            .env("RUST_LOG", filter)
            .env("SESSION_CLEANUP_INTERVAL_MINUTES", "99")
            .start();
        std::fs::write(server.data_dir().join("agents/broken.json"), "{").unwrap();
        server.signal("HUP");
        let mut entries = Vec::new();
        for _ in 0..500 {
            entries = recent(&server).await;
            if entries.len() >= levels.len() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(server.terminate().success());
        let found: Vec<_> = entries.iter().map(|it| &it["level"]).collect();
        assert_eq!(found, levels, "{entries:#?}");
        assert_eq!(entries, warnings(&server.log()));
        let last = entries.last().unwrap()["message"].as_str().unwrap();
        assert!(last.starts_with("the agents were not reloaded: "), "{last}");
    }
}

#[tokio::test]
async fn audit_lines_have_their_target_in_the_text_format_too() {
    let mut server = guarded().start();
    call(&server, Method::GET, SESSIONS, WRONG, &json!({})).await;
    assert!(server.terminate().success());
    let log = server.log();
    let audit: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("sessiond::audit"))
        .collect();
    assert_eq!(audit.len(), 1, "{log}");
    assert!(audit[0].contains("status=401"), "{log}");
    assert!(!log.contains("sessiond::server"), "{log}");
}
