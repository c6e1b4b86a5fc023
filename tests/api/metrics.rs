//! The values of the metrics at `/metrics`.

use std::time::Duration;

use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::harness::{MINUTE, SCRIPTED, SESSIONS, Server, UNKNOWN_ID, at, eventually};

/// A scrape in the text format: lines of `name{labels}` and a value.
struct Metrics(String);

impl Metrics {
    async fn of(server: &Server) -> Self {
        let response = server
            .request(Method::GET, "/metrics")
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap();
        assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
        Self(response.text().await.unwrap())
    }

    /// Returns the value of a sample; 0 if it is absent.
    fn get(&self, name: &str) -> f64 {
        let value = self.0.lines().find_map(|line| {
            let (found, value) = line.rsplit_once(' ')?;
            (found == name).then(|| value.parse().unwrap())
        });
        value.unwrap_or_default()
    }

    #[track_caller]
    fn assert(&self, expected: &[(&str, f64)]) {
        for (name, value) in expected {
            let found = self.get(name);
            assert!(
                (found - value).abs() < 1e-9,
                "{name} is {found}, not {value}"
            );
        }
    }
}

fn of_agent(name: &str, rest: &str) -> String {
    format!("{name}{{agent=\"{SCRIPTED}\",{rest}}}")
}

#[tokio::test]
async fn sessions_messages_and_turns_are_counted() {
    let server = Server::start().await;
    let session = server.session().await;
    let short = server
        .session_with(json!({ "timeoutConfig": { "timeoutMinutes": 5, "autoRenew": false } }))
        .await;
    let deleted = server.session().await;
    server.ask(&session, "say hello").await;
    let failed = json!({ "content": "fail", "transport": "http" });
    server.send(&session, failed).await.expect(502);
    server
        .post(&at(&session, "/renew"), Value::Null)
        .await
        .expect(200);
    server.delete(&at(&deleted, "")).await.expect(200);

    let metrics = Metrics::of(&server).await;
    metrics.assert(&[
        ("sessiond_sessions_created_total", 3.0),
        // By two messages and one explicit renewal.
        ("sessiond_sessions_renewed_total", 3.0),
        ("sessiond_sessions_deleted_total", 1.0),
        ("sessiond_sessions_active", 2.0),
        ("sessiond_sessions_expiring_soon", 1.0),
        ("sessiond_sessions_kept", 0.0),
        ("sessiond_messages_stored", 3.0),
        ("sessiond_turns_open", 0.0),
        ("sessiond_healthy", 1.0),
        ("sessiond_storage_has_room", 1.0),
        ("sessiond_writer_failures_total", 0.0),
        ("sessiond_writer_queue_commands", 0.0),
        (&of_agent("sessiond_messages_total", "role=\"user\""), 2.0),
        (&of_agent("sessiond_messages_total", "role=\"agent\""), 1.0),
        (
            &of_agent("sessiond_turns_total", "outcome=\"replied\",reason=\"\""),
            1.0,
        ),
        (
            &of_agent(
                "sessiond_turns_total",
                "outcome=\"failed\",reason=\"internal\"",
            ),
            1.0,
        ),
        (
            &format!("sessiond_agent_answer_duration_seconds_count{{agent=\"{SCRIPTED}\"}}"),
            2.0,
        ),
    ]);
    assert!(metrics.get("sessiond_database_size_bytes") > 1000.0);
    let commits = metrics.get("sessiond_writer_commit_duration_seconds_count");
    let batches = metrics.get("sessiond_writer_batch_commands_count");
    assert!(
        0.0 < commits && commits <= batches,
        "{commits} of {batches}"
    );
    assert!(metrics.get("sessiond_writer_batch_commands_sum") >= batches);

    server.advance(5 * MINUTE);
    let metrics = eventually("the expiry", async || {
        let metrics = Metrics::of(&server).await;
        (metrics.get("sessiond_sessions_expired_total") > 0.0).then_some(metrics)
    })
    .await;
    metrics.assert(&[
        ("sessiond_sessions_expired_total", 1.0),
        ("sessiond_sessions_active", 1.0),
        ("sessiond_sessions_kept", 1.0),
        ("sessiond_expiry_lag_seconds_count", 1.0),
    ]);
    server.get(&at(&short, "")).await.expect(410);

    // Past their retention.
    server.advance(8 * 24 * 60 * MINUTE);
    let metrics = eventually("the purge", async || {
        // Deadlines that are close together are processed together.
        server.advance(MINUTE);
        let metrics = Metrics::of(&server).await;
        (metrics.get("sessiond_sessions_purged_total") > 1.0).then_some(metrics)
    })
    .await;
    metrics.assert(&[("sessiond_sessions_purged_total", 2.0)]);
    assert!(metrics.get("sessiond_sweep_duration_seconds_count") > 1.0);
    server.stop().await;
}

#[tokio::test]
async fn cancelled_turns_and_disconnected_clients_are_counted() {
    let server = Server::start().await;
    let session = server.session().await;
    let asking = json!({ "content": "hold", "transport": "http" });
    let asked = server
        .sending(&session, &asking)
        .timeout(Duration::from_millis(300));
    assert!(asked.send().await.unwrap_err().is_timeout());
    let gone = format!(
        "sessiond_http_request_duration_seconds_count{{method=\"POST\",route=\"{SESSIONS}/\
         {{sessionId}}/messages\",status=\"499\"}}"
    );
    eventually("the client that went away", async || {
        (Metrics::of(&server).await.get(&gone) > 0.0).then_some(())
    })
    .await;
    server.delete(&at(&session, "")).await.expect(200);
    let deleted = of_agent("sessiond_turns_total", "outcome=\"deleted\",reason=\"\"");
    let metrics = Metrics::of(&server).await;
    metrics.assert(&[(&deleted, 1.0), ("sessiond_turns_open", 0.0)]);
    server.stop().await;
}

#[tokio::test]
async fn the_format_is_negotiated() {
    let server = Server::start().await;
    server.session().await;
    let plain = Metrics::of(&server).await.0;
    let accept = "application/openmetrics-text; version=1.0.0, text/plain; q=0.5";
    let asked = server
        .request(Method::GET, "/metrics")
        .header(header::ACCEPT, accept);
    let response = asked.send().await.unwrap();
    let kind = response.headers()[header::CONTENT_TYPE]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        kind.starts_with("application/openmetrics-text; version=1.0.0"),
        "{kind}"
    );
    let open = response.text().await.unwrap();
    for (text, name) in [
        (&plain, "sessions_created_total"),
        (&open, "sessions_created"),
    ] {
        assert!(
            text.contains(&format!("# TYPE sessiond_{name} counter\n")),
            "{text}"
        );
        assert!(
            text.contains("\nsessiond_sessions_created_total 1\n"),
            "{text}"
        );
        assert!(
            text.contains("# TYPE sessiond_database_size_bytes gauge\n"),
            "{text}"
        );
        assert!(
            text.contains("\nsessiond_log_lines_dropped_total "),
            "{text}"
        );
    }
    assert!(
        open.ends_with("# EOF\n") && open.contains("# UNIT "),
        "{open}"
    );
    assert!(
        !plain.contains("# EOF") && !plain.contains("# UNIT"),
        "{plain}"
    );
    let comments = plain.lines().filter(|line| line.starts_with('#'));
    for line in comments {
        assert!(
            line.starts_with("# HELP ") || line.starts_with("# TYPE "),
            "{line}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn free_pages_are_measured_at_the_start_and_at_intervals() {
    let server = Server::start().await;
    // The file grows and shrinks on its own, so the value is compared with its length.
    let used = async |is_expected: &dyn Fn(f64) -> bool| {
        eventually("a measurement", async || {
            let metrics = Metrics::of(&server).await;
            let free = metrics.get("sessiond_database_free_pages");
            let all = metrics.get("sessiond_database_size_bytes") / 4096.0;
            let used = all - free;
            (is_expected(used) && (0.0..all).contains(&free)).then_some(used)
        })
        .await
    };
    let at_first = used(&|_| true).await;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        let session = server.session_with(json!({ "metadata": { "x": "y".repeat(9000) } }));
        sessions.push(session.await);
    }
    server.advance(60 * MINUTE);
    let filled = used(&|used| used > at_first + 40.0).await;
    for session in sessions {
        server.delete(&at(&session, "")).await.expect(200);
    }
    server.advance(60 * MINUTE);
    used(&|used| used < filled - 40.0).await;
    server.stop().await;
}

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_client_text() {
    let server = Server::start().await;
    for path in ["/wp-login.php", "/.env", "/api/messaging/sessionsx"] {
        server.get(path).await.expect(404);
    }
    for id in [UNKNOWN_ID, "abc"] {
        server.get(&at(id, "")).await.expect(404);
    }
    server.get(SESSIONS).await.expect(200);
    let metrics = Metrics::of(&server).await;
    let count = |method: &str, route: &str, status: u16| {
        metrics.get(&format!(
            "sessiond_http_request_duration_seconds_count{{method=\"{method}\",route=\"{route}\",\
             status=\"{status}\"}}"
        ))
    };
    assert!((count("GET", "unknown", 404) - 3.0).abs() < 1e-9);
    assert!((count("GET", "/api/messaging/sessions/{sessionId}", 404) - 2.0).abs() < 1e-9);
    assert!((count("GET", "/api/messaging/sessions", 200) - 1.0).abs() < 1e-9);
    assert!(!metrics.0.contains("wp-login"), "{}", metrics.0);
    server.stop().await;
}

#[tokio::test]
async fn open_streams_are_counted_while_they_are_open() {
    let server = Server::start().await;
    let session = server.session().await;
    let streams = async |name: &str, count: f64| {
        eventually(&format!("{name} is {count}"), async || {
            let open = Metrics::of(&server).await.get(name);
            ((open - count).abs() < 1e-9).then_some(())
        })
        .await;
    };
    let reply = server.begin(&session, "say hello|hold").await;
    let events = server.request(Method::GET, &at(&session, "/events"));
    let events = events.send().await.unwrap();
    streams("sessiond_reply_streams_open", 1.0).await;
    streams("sessiond_event_streams_open", 1.0).await;
    streams("sessiond_turns_open", 1.0).await;
    drop((reply, events));
    // A disconnected client is noticed when something is sent to it.
    server.delete(&at(&session, "")).await.expect(200);
    streams("sessiond_reply_streams_open", 0.0).await;
    streams("sessiond_event_streams_open", 0.0).await;
    server.stop().await;
}

#[tokio::test]
async fn metrics_are_for_admins_and_pages_are_public() {
    let server = Server::builder()
        .set("ELIZA_SERVER_AUTH_TOKEN", "server-token")
        .set("SESSIOND_ADMIN_TOKEN", "admin-token")
        .start()
        .await;
    let status = async |path: &str, token: Option<&str>| {
        let mut request = server
            .request(Method::GET, path)
            .timeout(Duration::from_secs(10));
        if let Some(token) = token {
            request = request.header("X-API-KEY", token);
        }
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status("/metrics", None).await, 401);
    assert_eq!(status("/metrics", Some("server-token")).await, 403);
    assert_eq!(status("/metrics", Some("admin-token")).await, 200);
    for path in ["/", "/docs", "/openapi.json", "/console/app.js"] {
        assert_eq!(status(path, None).await, 200, "{path}");
    }
    assert_eq!(status("/console/nothing.js", None).await, 404);
    server.stop().await;
}
