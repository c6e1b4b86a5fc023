//! Settings of the real binary.

use std::fs;
use std::time::{Duration, Instant};

use chrono::DateTime;
use serde_json::Value;

use super::api::{Api, answer, text};
use super::start::refused;
use super::support::server::Server;

const USER: &str = "3f1d0a52-4d1c-4f6e-9b41-0f6f0f1a2b3c";

#[test]
fn a_refused_start_leaves_nothing() {
    for (name, value) in [
        ("SESSION_DEFAULT_TIMEOUT_MINUTES", "5m"),
        ("SERVER_PORT", "70000"),
        ("RUST_LOG", "debgu"),
        ("JWT_SECRET_FILE", "/missing"),
    ] {
        let builder = Server::builder().env(name, value);
        let log = refused(&builder);
        assert!(log.contains(name) && log.contains(value), "{log}");
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(!builder.data_dir().exists(), "{log}");
    }
}

#[test]
fn a_flag_or_variable_that_is_overridden_need_not_be_valid() {
    let builder = Server::builder()
        .env("KEEP_ALIVE_SECONDS", "long")
        .arg("--max-connections=many")
        .arg("serve")
        .arg("--max-connections=7")
        .arg("--keep-alive-seconds=60")
        .arg("--host=127.0.0.1");
    fs::write(builder.home().join(".env"), "MAX_CONNECTIONS=few\n").expect("a file");
    let mut server = builder.start();
    assert!(server.terminate().success());
    assert!(!server.log().contains("WARN"), "{}", server.log());
}

#[test]
fn a_directory_whose_name_is_not_unicode_is_not_confused_with_another() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    let builder = Server::builder().env("DATA_DIR", OsStr::from_bytes(b"data\xE9"));
    let log = refused(&builder);
    assert!(
        log.contains("invalid DATA_DIR (environment): not UTF-8 text"),
        "{log}"
    );
    let files = fs::read_dir(builder.home()).expect("a directory can be read");
    assert_eq!(files.count(), 1, "there is only the log");
}

#[test]
fn log_levels_can_be_set_in_the_file() {
    let builder = Server::builder();
    fs::write(builder.home().join(".env"), "RUST_LOG=sessiond=debug\n").expect("a file");
    let mut server = builder.start();
    assert!(server.terminate().success());
    assert!(server.log().contains("DEBUG"), "{}", server.log());

    let builder = Server::builder().env("RUST_LOG", "info");
    fs::write(builder.home().join(".env"), "RUST_LOG=sessiond=debug\n").expect("a file");
    let mut server = builder.start();
    assert!(server.terminate().success());
    assert!(!server.log().contains("DEBUG"), "{}", server.log());
}

#[tokio::test]
async fn flags_override_the_environment_which_overrides_the_file_and_empty_is_unset() {
    let builder = Server::builder()
        .env("SESSION_DEFAULT_TIMEOUT_MINUTES", "42")
        .env("SESSION_WARNING_THRESHOLD_MINUTES", "8")
        .env("SESSION_MAX_DURATION_MINUTES", "")
        .env("SESSIOND_CACHE_MB", "")
        .arg("--session-default-timeout-minutes")
        .arg("43");
    let file = "\u{FEFF}# of the working directory\n\
                SESSION_DEFAULT_TIMEOUT_MINUTES=41\n\
                SESSION_WARNING_THRESHOLD_MINUTES=\"7\"\n\
                export SESSION_MAX_DURATION_MINUTES=601 # so it is\n\
                OF_ANOTHER_PROGRAM=x\n";
    fs::write(builder.home().join(".env"), file).expect("a file can be written");
    let server = builder.start();
    let session = answer(Api::new(server.url()).create(USER)).await;
    let timeout = &session.expect("an answer").expect(201)["timeoutConfig"];
    assert_eq!(timeout["timeoutMinutes"], 43, "the flag's");
    assert_eq!(timeout["warningThresholdMinutes"], 8, "the environment's");
    assert_eq!(timeout["maxDurationMinutes"], 601, "the file's");
}

#[test]
fn the_log_is_json_on_request_and_if_it_is_not_a_terminal() {
    for format in ["json", ""] {
        let mut server = Server::builder().env("LOG_FORMAT", format).start();
        assert!(server.terminate().success());
        for line in server.log().lines() {
            let entry: Value = match serde_json::from_str(line) {
                Ok(entry) => entry,
                Err(error) => panic!("{line}: {error}"),
            };
            assert!(entry["timestamp"].is_string(), "{line}");
            assert!(entry["message"].is_string(), "{line}");
        }
    }
}

#[tokio::test]
async fn in_scaled_time_a_session_expires_quickly() {
    // A minute is a tenth of a second.
    let server = Server::builder()
        .env("SESSION_TIME_SCALE", "600")
        .env("SESSION_RETENTION_MINUTES", "25")
        .env("SESSION_CLEANUP_INTERVAL_MINUTES", "1")
        .start();
    let api = Api::new(server.url());
    let body = serde_json::json!({
        "agentId": sessiond::agents::character::ELIZA_ID.to_string(),
        "userId": USER,
        "timeoutConfig": { "timeoutMinutes": 5 },
    });
    let session = answer(api.post("", &body)).await.expect("an answer");
    let session = session.expect(201);
    let lives = millis(&session, "expiresAt") - millis(&session, "createdAt");
    assert_eq!(lives, 500, "the times in answers are not scaled");

    let path = format!("/{}", text(&session, "sessionId"));
    let since = Instant::now();
    let mut seen = Vec::new();
    while seen.last() != Some(&404) {
        assert!(
            since.elapsed() < Duration::from_secs(30),
            "only {seen:?} was seen"
        );
        let before = since.elapsed();
        let found = api.get(&path).await.expect("an answer");
        match found.status {
            // The session was created before the first read.
            410 => {
                assert!(since.elapsed() < Duration::from_secs(4), "or it is purged");
                let expires_at = &found.body["details"]["expiresAt"];
                assert_eq!(*expires_at, session["expiresAt"], "{}", found.body);
            }
            200 => assert!(before < Duration::from_millis(500), "it has expired"),
            _ => {}
        }
        if seen.last() != Some(&found.status) {
            seen.push(found.status);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // A busy machine may miss the half second of its life.
    assert!(seen == [200, 410, 404] || seen == [410, 404], "{seen:?}");

    // It is removed, not only hidden.
    while !server
        .log()
        .contains("purged sessions whose retention is over")
    {
        assert!(
            since.elapsed() < Duration::from_secs(30),
            "{}",
            server.log()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let list = api.get("").await.expect("an answer").expect(200);
    assert_eq!(list["stats"]["totalSessions"], 0, "{list}");
}

fn millis(session: &Value, member: &str) -> i64 {
    let time = DateTime::parse_from_rfc3339(&text(session, member));
    time.expect("a time of RFC 3339").timestamp_millis()
}
