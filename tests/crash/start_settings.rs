//! How the real binary reads its settings.

use std::fs;
use std::time::{Duration, Instant};

use chrono::DateTime;
use serde_json::Value;

use super::api::{Api, answer, text};
use super::start::refused;
use super::support::server::Server;

const USER: &str = "3f1d0a52-4d1c-4f6e-9b41-0f6f0f1a2b3c";

#[test]
fn an_unreadable_setting_is_named_with_its_value_and_what_is_allowed() {
    for (name, value, allowed) in [
        ("SESSION_DEFAULT_TIMEOUT_MINUTES", "5m", "1 to 10080"),
        ("SESSION_MIN_TIMEOUT_MINUTES", "1.5", "1 to 60"),
        ("SESSION_MAX_TIMEOUT_MINUTES", "0x10", "60 to 10080"),
        ("SESSION_MAX_DURATION_MINUTES", "1e3", "60 to 20160"),
        ("SESSION_WARNING_THRESHOLD_MINUTES", "five", "1 to 60"),
        ("SESSION_CLEANUP_INTERVAL_MINUTES", "NaN", "1 to 60"),
        ("CLEAR_SESSIONS_ON_SHUTDOWN", "maybe", "true, false, 1 or 0"),
        ("SESSION_RETENTION_MINUTES", "forever", "0 to 5256000"),
        ("SERVER_PORT", "70000", "0 to 65535"),
        ("SERVER_PORT", "-1", "0 to 65535"),
        ("SESSIOND_CACHE_MB", "1GB", "16 to 65536"),
        ("MAX_CONNECTIONS", "many", "1 to 1000000"),
        ("MAX_PENDING_TURNS", "1 000", "1 to 1000000"),
        ("SESSIOND_INSECURE", "yes", "true, false, 1 or 0"),
        ("LOG_FORMAT", "xml", "text or json"),
        ("RUST_LOG", "debgu", "warn, info, debug or trace"),
        ("RUST_LOG", "sessiond::api=loud", "such as sessiond=debug"),
        (
            "RATE_LIMIT_CREATES_PER_MINUTE",
            "-1",
            "0 stands for any number",
        ),
        ("MAX_SESSIONS_PER_USER", "-1", "0 stands for any number"),
        ("CORS_ORIGIN", "*, https://a.example", "it stands alone"),
        ("SESSION_TIME_SCALE", "fast", "a whole number"),
    ] {
        let builder = Server::builder().env(name, value);
        let log = refused(&builder);
        for part in [name, value, allowed] {
            assert!(log.contains(part), "{part} is missing in {log}");
        }
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(
            !builder.data_dir().exists(),
            "a refused start leaves nothing"
        );
    }
    let log = refused(&Server::builder().arg("--server-port=x"));
    assert!(log.contains("SERVER_PORT is \"x\""), "{log}");
}

#[test]
fn a_number_out_of_bounds_is_clamped_with_a_warning() {
    let builder = Server::builder().env("SESSION_MIN_TIMEOUT_MINUTES", "61");
    let server = builder.env("SESSIOND_CACHE_MB", "-5").start();
    let log = server.log();
    for warning in [
        "SESSION_MIN_TIMEOUT_MINUTES is 61, outside 1 to 60; 60 is used",
        "SESSIOND_CACHE_MB is -5, outside 16 to 65536; 16 is used",
    ] {
        assert!(log.contains(warning), "{warning} is missing in {log}");
    }
}

#[test]
fn a_folder_whose_name_is_no_text_is_not_taken_for_another() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    let builder = Server::builder().env("DATA_DIR", OsStr::from_bytes(b"data\xE9"));
    let log = refused(&builder);
    assert!(log.contains("DATA_DIR is not UTF-8 text"), "{log}");
    let files = fs::read_dir(builder.home()).expect("a folder can be read");
    assert_eq!(files.count(), 1, "there is the log alone");
}

#[test]
fn what_a_warning_says_of_a_setting_that_nobody_has_set_is_true() {
    let server = Server::builder()
        .env("SESSION_MAX_TIMEOUT_MINUTES", "60")
        .env("JWT_SECRET", "a key of thirty-two bytes and more")
        .env("ELIZA_SERVER_AUTH_TOKEN", "x")
        .start();
    let log = server.log();
    for warning in [
        "SESSION_MAX_DURATION_MINUTES is 720 by default, more than twice",
        "ELIZA_SERVER_AUTH_TOKEN is shorter than 16 characters",
        "JWT_SECRET is set and SESSIOND_ADMIN_TOKEN is not: nobody can",
    ] {
        assert_eq!(log.matches(warning).count(), 1, "{warning}: {log}");
    }
}

#[test]
fn the_levels_of_the_log_may_stand_in_the_file() {
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
async fn a_flag_beats_the_environment_which_beats_the_file_and_empty_is_unset() {
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
fn a_broken_env_file_stops_the_start_and_keeps_its_secrets() {
    let builder = Server::builder();
    let file = "SERVER_PORT=0\nthis is no setting s3cret\n";
    fs::write(builder.home().join(".env"), file).expect("a file can be written");
    let log = refused(&builder);
    assert!(log.contains(".env, line 2: expected NAME=VALUE"), "{log}");
    assert!(!log.contains("s3cret"), "{log}");

    let file = "SERVER_PORT=0\n\nX=a#s3cret\n";
    fs::write(builder.home().join(".env"), file).expect("a file can be written");
    let log = refused(&builder);
    let place = ".env, line 3: the value of X has a # without a blank before it";
    assert!(log.contains(place), "{log}");
    assert!(log.contains("X='...'"), "{log}");
    assert!(!log.contains("s3cret"), "{log}");
}

#[test]
fn an_env_file_that_is_a_folder_is_told_with_what_to_do() {
    let builder = Server::builder();
    fs::create_dir(builder.home().join(".env")).expect("a folder can be made");
    let log = refused(&builder);
    assert!(log.contains(".env cannot be read: is a dir"), "{log}");
    assert!(log.contains("rename the directory"), "{log}");
}

#[test]
fn a_misspelt_setting_is_warned_of() {
    let builder = Server::builder();
    let file = "SESSION_RETENTION_MINUTE=1\nSESSION_OF_MINE=2\nMY_KEY=s3cret\n";
    fs::write(builder.home().join(".env"), file).expect("a file can be written");
    let log = builder.env("SERVER_PRT", "1").start().log();
    for meant in ["SERVER_PORT", "SESSION_RETENTION_MINUTES"] {
        let question = format!("did you mean {meant}?");
        assert!(log.contains(&question), "{question} is missing in {log}");
    }
    assert_eq!(log.matches("did you mean").count(), 2, "{log}");
}

#[test]
fn the_log_is_json_where_that_is_wanted_and_where_it_is_no_terminal() {
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
async fn in_scaled_time_a_session_lives_and_dies_before_ones_eyes() {
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
    assert_eq!(lives, 500, "the times on the wire are real ones");

    let path = format!("/{}", text(&session, "sessionId"));
    let since = Instant::now();
    let mut seen = Vec::new();
    while seen.last() != Some(&404) {
        assert!(
            since.elapsed() < Duration::from_secs(30),
            "{seen:?} is all there was"
        );
        let before = since.elapsed();
        let found = api.get(&path).await.expect("an answer");
        match found.status {
            // The session was made before the first look.
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
    // A busy machine may miss its half a second of life.
    assert!(seen == [200, 410, 404] || seen == [410, 404], "{seen:?}");

    // It is removed, not only hidden.
    while !server.log().contains("removed sessions past their keeping") {
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

#[test]
fn scaled_time_is_for_loopback_alone() {
    let builder = Server::builder()
        .env("SESSION_TIME_SCALE", "600")
        .env("SERVER_HOST", "0.0.0.0")
        .env("ELIZA_SERVER_AUTH_TOKEN", "t");
    let log = refused(&builder);
    assert!(log.contains("SESSION_TIME_SCALE"), "{log}");
    assert!(log.contains("loopback"), "{log}");
}

fn millis(session: &Value, member: &str) -> i64 {
    let time = DateTime::parse_from_rfc3339(&text(session, member));
    time.expect("a time of RFC 3339").timestamp_millis()
}
