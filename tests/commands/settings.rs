//! `settings`: what a server would use, and where it was set.

use std::process::Command;

use serde_json::Value;

use super::data::{Home, client, command_on, succeeded};
use super::support::server::Server;

const SECRET: &str = "s3cret, and long enough to be a good one";

fn text(mut command: Command) -> String {
    succeeded(&command.output().expect("it runs"))
}

#[tokio::test]
async fn its_json_is_that_of_the_server() {
    let server = Server::builder()
        .env("SESSIOND_ADMIN_TOKEN", SECRET)
        .env("SESSION_MAX_TIMEOUT_MINUTES", "60")
        .env("SESSION_DEFAULT_TIMEOUT_MINUTES", "90")
        .arg("--keep-alive-seconds=20")
        .start();
    let answer = client()
        .get(server.at("/api/admin/settings"))
        .bearer_auth(SECRET)
        .send();
    let answer = answer.await.expect("an answer");
    let expected: Value = answer.json().await.expect("JSON");
    let mut command = command_on(&server, &["settings", "--json", "--keep-alive-seconds=20"]);
    command
        .env("SESSIOND_ADMIN_TOKEN", SECRET)
        .env("SESSION_MAX_TIMEOUT_MINUTES", "60")
        .env("SESSION_DEFAULT_TIMEOUT_MINUTES", "90")
        .env("LOG_FORMAT", "text");
    let output = command.output().expect("it runs");
    let found: Value = serde_json::from_str(&succeeded(&output)).expect("JSON");
    assert_eq!(found, expected);
    let warnings = String::from_utf8_lossy(&output.stderr);
    assert!(
        warnings.contains("SESSION_DEFAULT_TIMEOUT_MINUTES 90"),
        "{warnings}"
    );
}

#[test]
fn what_is_set_comes_first_with_its_source() {
    let home = Home::new();
    std::fs::write(home.path(".env"), "LOG_FORMAT=json\nJWT_ISSUER=a\x1b[2Jb\n").expect("a file");
    let mut command = home.command(&["settings", "--port=8080"]);
    command.env("JWT_SECRET", SECRET);
    let shown = text(command);
    let mut lines = shown.lines().map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        words.join(" ")
    });
    for expected in [
        "SERVER_PORT 8080 flag default 3000",
        "LOG_FORMAT json .env",
        &format!(
            "DATA_DIR {} environment default data",
            home.path("data").display()
        ),
        "JWT_SECRET (set) environment",
        "JWT_ISSUER a [2Jb .env",
        "SESSION_DEFAULT_TIMEOUT_MINUTES 30 default",
    ] {
        assert_eq!(lines.next().as_deref(), Some(expected), "{shown}");
    }
    assert!(lines.any(|line| line == "CORS_ORIGIN - default"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn what_stops_the_start_is_reported() {
    let home = Home::new();
    for (name, value, expected) in [
        (
            "LOG_FORMAT",
            "xml",
            "invalid LOG_FORMAT \"xml\" (environment): expected",
        ),
        ("SERVER_HOST", "0.0.0.0", "no authentication is configured"),
        ("JWT_SECRET_FILE", "/missing/key", "/missing/key"),
    ] {
        for arguments in [&["settings"][..], &["settings", "--json"]] {
            let mut command = home.command(arguments);
            let output = command.env(name, value).output().expect("it runs");
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            assert!(output.stdout.is_empty(), "{output:?}");
            let message = String::from_utf8_lossy(&output.stderr);
            assert!(message.contains(expected), "{message}");
        }
    }
    assert!(!home.path("data").exists());
}
