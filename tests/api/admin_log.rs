//! The last lines of the log, for administrators. `tests/hardening` compares them with the output.

use reqwest::Method;
use serde_json::{Value, json};
use sessiond::telemetry::RecentLog;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::harness::{Builder, SCRIPTED, Server, answer, assert_time, at, names};

const LOG: &str = "/api/admin/log";

/// Returns a builder of a server with a log, which exists as long as the guard. The server of a
/// test runs on the test's thread.
fn logging() -> (Builder, DefaultGuard) {
    let log = RecentLog::default();
    let guard = tracing_subscriber::registry()
        .with(log.clone())
        .set_default();
    (Server::builder().recent_log(&log), guard)
}

async fn entries(server: &Server) -> Vec<Value> {
    let log = server.get(LOG).await.expect(200).body;
    assert_eq!(names(&log), ["entries"]);
    let entries = log["entries"].as_array().unwrap().clone();
    for entry in &entries {
        assert_eq!(names(entry), ["at", "level", "message", "fields"]);
        assert_time(&entry["at"]);
    }
    entries
}

/// Returns the levels and the messages.
fn shown(entries: &[Value]) -> Vec<(&str, &str)> {
    entries
        .iter()
        .map(|it| {
            (
                it["level"].as_str().unwrap(),
                it["message"].as_str().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn the_log_of_a_new_server_is_empty() {
    let (builder, _log) = logging();
    let server = builder.start().await;
    for path in [
        LOG,
        "/api/admin/log?limit=-1&level=debug",
        "/api/admin/log/",
    ] {
        assert_eq!(
            server.get(path).await.expect(200).body,
            json!({ "entries": [] })
        );
    }
    let refused = answer(server.request(Method::DELETE, LOG)).await;
    refused.error(405, "METHOD_NOT_ALLOWED", "MethodNotAllowedError");
    server.stop().await;
}

#[tokio::test]
async fn a_failed_turn_is_in_the_log_without_its_conversation() {
    let (builder, _log) = logging();
    let server = builder.start().await;
    let session = server
        .session_with(json!({ "metadata": { "name": "Ada Private" } }))
        .await;
    let body = json!({
        "content": "think Private|fail", "transport": "http", "metadata": { "key": "Private" },
        "clientMessageId": "Private-1",
    });
    let request = server.sending(&session, &body);
    let failed = answer(request.header("x-request-id", "my-request")).await;
    failed.expect(502);
    let entries = entries(&server).await;
    assert_eq!(
        shown(&entries),
        [("WARN", "the agent failed"), ("WARN", "answered")]
    );
    let failure = &entries[0]["fields"];
    assert_eq!(
        *failure,
        json!({
            "session": session, "name": "Scripted", "agent": SCRIPTED, "backend": "scripted",
            "reason": "internal", "cause": "the script says so",
        })
    );
    let mut answered = entries[1]["fields"].clone();
    assert!(answered["elapsed_ms"].take().is_f64());
    assert_eq!(
        answered,
        json!({
            "method": "POST", "route": "/api/messaging/sessions/{sessionId}/messages",
            "path": at(&session, "/messages"), "status": 502, "elapsed_ms": null,
            "request_id": "my-request",
        })
    );
    assert!(
        !json!(entries).to_string().contains("Private"),
        "{entries:#?}"
    );
    server.stop().await;
}

#[tokio::test]
async fn only_the_last_200_warnings_and_errors_are_retained_oldest_first() {
    let (builder, _log) = logging();
    let server = builder.start().await;
    for number in 0..250 {
        tracing::warn!(number, "a warning");
        tracing::info!(number, "not this");
        tracing::debug!(number, "nor this");
    }
    tracing::error!("an error");
    let entries = entries(&server).await;
    assert_eq!(entries.len(), 200);
    for (entry, number) in entries.iter().zip(51..250) {
        assert_eq!(entry["fields"], json!({ "number": number }));
    }
    assert_eq!(shown(&entries)[199], ("ERROR", "an error"));
    server.stop().await;
}

#[tokio::test]
async fn hostile_texts_are_cut_and_remain_json() {
    let (builder, _log) = logging();
    let server = builder.start().await;
    let hostile = "<script>alert(1)</script>\u{1b}[31m\r\n\"\\\0\u{2028}\u{202e}é🦀";
    tracing::warn!(text = hostile, debug = ?"a\nb", nan = f64::NAN, "{hostile}");
    let huge = "🦀".repeat(100_000);
    for _ in 0..200 {
        tracing::warn!(a = huge, b = huge, c = huge, d = huge, e = huge, f = %huge, "{huge}");
    }
    tracing::error!(text = hostile, debug = ?"a\nb", nan = f64::NAN, "{hostile}");
    let entries = entries(&server).await;
    let last = entries.last().unwrap();
    assert_eq!(last["message"], hostile);
    assert_eq!(
        last["fields"],
        json!({ "text": hostile, "debug": "\"a\\nb\"", "nan": "NaN" })
    );
    let cut = &entries[0]["fields"]["a"];
    assert_eq!(*cut, format!("{}…(400000 bytes)", "🦀".repeat(512)));
    let bytes = json!(entries).to_string().len();
    assert!(bytes < 2_000_000, "{bytes}");
    server.stop().await;
}
