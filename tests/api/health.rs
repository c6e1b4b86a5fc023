//! Health of the service.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{MINUTE, SESSIONS, Server, at, just_before, names, time};

async fn health(server: &Server) -> Value {
    let path = format!("{SESSIONS}/health");
    server.get(&path).await.expect(200).body
}

#[tokio::test]
async fn all_health_endpoints_report_healthy() {
    let server = Server::start().await;
    let body = health(&server).await;
    let fields = [
        "status",
        "activeSessions",
        "timestamp",
        "expiringSoon",
        "uptime",
    ];
    assert_eq!(names(&body), fields);
    assert_eq!(body["status"], "healthy");
    assert_eq!(body["activeSessions"], 0);
    assert_eq!(body["expiringSoon"], 0);
    assert_eq!(body["timestamp"], time(Duration::ZERO));
    assert!(body["uptime"].is_f64(), "{body}");
    assert!((0.0..60.0).contains(&body["uptime"].as_f64().unwrap()));
    let overall = server.get("/health").await.expect(200);
    assert_eq!(overall.body, json!({ "status": "healthy" }));
    let alive = server.get("/healthz").await.expect(200);
    assert_eq!(alive.body, json!({ "status": "ok" }));
    server.stop().await;
}

#[tokio::test]
async fn health_counts_active_and_soon_expiring_sessions() {
    let mut server = Server::start().await;
    let count = async |server: &Server| {
        let body = health(server).await;
        let number = |name: &str| body[name].as_u64().unwrap();
        (number("activeSessions"), number("expiringSoon"))
    };
    for minutes in [5, 10, 20, 20] {
        let config = json!({ "timeoutMinutes": minutes, "warningThresholdMinutes": 5 });
        server
            .session_with(json!({ "timeoutConfig": config }))
            .await;
    }
    let patient = json!({ "timeoutMinutes": 60, "warningThresholdMinutes": 50 });
    let patient = server
        .session_with(json!({ "timeoutConfig": patient }))
        .await;
    for (now, expected) in [
        (Duration::ZERO, (5, 1)),
        (just_before(5 * MINUTE), (5, 1)),
        (5 * MINUTE, (4, 1)),
        (just_before(10 * MINUTE), (4, 1)),
        (10 * MINUTE, (3, 1)),
        (just_before(15 * MINUTE), (3, 1)),
        (15 * MINUTE, (3, 3)),
        (20 * MINUTE, (1, 1)),
    ] {
        server.set_clock(now);
        assert_eq!(count(&server).await, expected, "{}", server.now());
    }
    server.restart().await;
    assert_eq!(count(&server).await, (1, 1));
    server
        .post(&at(&patient, "/renew"), json!({}))
        .await
        .expect(200);
    assert_eq!(count(&server).await, (1, 0));
    server.set_clock(Duration::ZERO);
    assert_eq!(count(&server).await, (5, 1), "even if the clock steps back");
    server.set_clock(20 * MINUTE);
    server.delete(&at(&patient, "")).await.expect(200);
    assert_eq!(count(&server).await, (0, 0));
    server.stop().await;
}
