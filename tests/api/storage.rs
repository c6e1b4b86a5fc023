//! The database file: size, verification, damage.

use std::fs;

use serde_json::{Value, json};
use sessiond::domain::time::Timestamp;

use crate::harness::{HOUR, SESSIONS, Server, USER, eventually};

const STORAGE: &str = "/api/admin/storage";
const VERIFY: &str = "/api/admin/storage/verify";

async fn storage(server: &Server) -> Value {
    server.get(STORAGE).await.expect(200).body
}

async fn health(server: &Server) -> Value {
    server
        .get(&format!("{SESSIONS}/health"))
        .await
        .expect(200)
        .body
}

async fn metric(server: &Server, name: &str) -> String {
    let text = server.get_text("/metrics").await;
    let mut lines = text.lines();
    let line = lines.find(|line| line.starts_with(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name}"))[name.len() + 1..].to_owned()
}

/// Starts a verification and waits until one that began afterwards has ended.
async fn verify(server: &Server) -> Value {
    server.advance(std::time::Duration::from_millis(1));
    let called = server.now();
    eventually("a pass that began after the call", async || {
        let started = server.post(VERIFY, json!({})).await.expect(202).body;
        (started["startedAt"].as_str().unwrap() >= called.as_str()).then_some(())
    })
    .await;
    eventually("the end of the pass", async || {
        let storage = storage(server).await;
        let at = storage["verifiedAt"].as_str()?;
        (at >= called.as_str()).then_some(storage)
    })
    .await
}

/// Flips a bit of a key in the index of users in a stopped server's file. Only the page's checksum
/// reveals it.
fn flip(server: &Server, session: &str) {
    let number = |id: &str| uuid::Uuid::parse_str(id).unwrap().as_u128().to_le_bytes();
    let key = [number(USER), number(session)].concat();
    let mut bytes = fs::read(server.database()).unwrap();
    let places: Vec<_> = bytes
        .windows(key.len())
        .enumerate()
        .filter_map(|(at, window)| (window == key).then_some(at))
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at + 20] ^= 4;
    }
    fs::write(server.database(), bytes).unwrap();
}

/// Returns the id in the flipped key.
fn flipped(session: &str) -> String {
    let mut bytes = uuid::Uuid::parse_str(session)
        .unwrap()
        .as_u128()
        .to_le_bytes();
    bytes[4] ^= 4;
    uuid::Uuid::from_u128(u128::from_le_bytes(bytes)).to_string()
}

#[tokio::test]
async fn the_file_is_verified_at_the_start_at_intervals_and_on_request() {
    let server = Server::builder()
        .set("SESSION_VERIFY_INTERVAL_HOURS", "2")
        .start()
        .await;
    let at_start = eventually("the pass at the start", async || {
        let storage = storage(&server).await;
        storage["verifiedAt"].is_string().then_some(storage)
    })
    .await;
    assert_eq!(at_start["verifiedAt"], server.now());
    assert_eq!(at_start["damagedPages"], 0);
    assert_eq!(at_start["lastBackup"], Value::Null);
    assert_eq!(at_start["path"], server.database().to_str().unwrap());
    assert_eq!(
        at_start["bytes"],
        fs::metadata(server.database()).unwrap().len()
    );
    assert!(at_start["freeOnDisk"].as_u64().unwrap() > 0, "{at_start}");

    // The interval counts from the end of the previous verification.
    eventually("the next pass", async || {
        server.advance(HOUR);
        (storage(&server).await["verifiedAt"] != at_start["verifiedAt"]).then_some(())
    })
    .await;
    assert!(server.now().as_str() > at_start["verifiedAt"].as_str().unwrap());

    let asked = verify(&server).await;
    assert_eq!(asked["damagedPages"], 0);
    assert_eq!(
        metric(&server, "sessiond_database_damaged_pages").await,
        "0"
    );
    let seconds = metric(&server, "sessiond_database_verified_timestamp_seconds").await;
    assert!(seconds.parse::<f64>().unwrap() > 1.7e9, "{seconds}");
    server.stop().await;
}

#[tokio::test]
async fn damage_degrades_health_until_a_verification_finds_none() {
    let mut server = Server::builder()
        .set("SESSION_VERIFY_INTERVAL_HOURS", "0")
        .start()
        .await;
    let session = server.session().await;
    assert_eq!(storage(&server).await["verifiedAt"], Value::Null);
    let ended = server.begin_stop();
    server.finish_stop(ended).await;
    flip(&server, &session);
    server.launch_with(|setup| setup).await;
    assert_eq!(
        health(&server).await["status"],
        "healthy",
        "not verified yet"
    );

    assert!(verify(&server).await["damagedPages"].as_u64().unwrap() > 0);
    for _ in 0..2 {
        let body = health(&server).await;
        assert_eq!(body["status"], "degraded");
        assert_eq!(body["reasons"], json!(["damaged_pages"]));
        let overall = server.get("/health").await.expect(200).body;
        assert_eq!(overall, json!({ "status": "degraded" }));
        assert_ne!(
            metric(&server, "sessiond_database_damaged_pages").await,
            "0"
        );
        // Reads are served, backups refused.
        server.get("/api/admin/backup").await.expect(500);
        let ended = server.begin_stop();
        ended.await.unwrap().unwrap();
        server.launch_with(|setup| setup).await;
    }

    let ended = server.begin_stop();
    ended.await.unwrap().unwrap();
    flip(&server, &flipped(&session));
    server.launch_with(|setup| setup).await;
    assert_eq!(
        health(&server).await["status"],
        "degraded",
        "not verified again yet"
    );
    assert_eq!(verify(&server).await["damagedPages"], 0);
    let body = health(&server).await;
    assert_eq!(
        (&body["status"], &body["reasons"]),
        (&json!("healthy"), &Value::Null)
    );
    server.stop().await;
}

#[tokio::test]
async fn the_last_backup_survives_a_restart() {
    let mut server = Server::start().await;
    server.session().await;
    server.advance(HOUR);
    let bytes = server.get_bytes("/api/admin/backup").await.len();
    let expected = json!({ "at": server.now(), "bytes": bytes });
    assert_eq!(storage(&server).await["lastBackup"], expected);
    server.restart().await;
    assert_eq!(storage(&server).await["lastBackup"], expected);
    server.stop().await;
}

#[tokio::test]
async fn a_clock_before_1970_stops_the_start() {
    let error = Server::builder().start_error_at(Timestamp(-1)).await;
    assert!(
        error.contains("1969-12-31T23:59:59.999Z, before 1970"),
        "{error}"
    );
}
