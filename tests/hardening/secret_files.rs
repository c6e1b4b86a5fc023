//! Secrets in files.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use reqwest::StatusCode;

use crate::client;
use crate::support::server::{Builder, Server};

const SERVER_TOKEN: &str = "of-the-server's-clients $1 #2";
const ADMIN_TOKEN: &str = "of-the-administrators";

fn write(directory: &Path, name: &str, content: &str, mode: u32) {
    let path = directory.join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
}

async fn status(server: &Server, path: &str, token: Option<&str>) -> StatusCode {
    let request = client().get(server.at(path));
    let request = match token {
        Some(token) => request.header("X-API-KEY", token),
        None => request,
    };
    request.send().await.unwrap().status()
}

/// Returns the log of a start that must be refused.
fn refused(builder: &Builder) -> String {
    let finished = builder.run();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.log);
    assert!(!finished.log.contains("listening on"), "{}", finished.log);
    finished.log
}

#[tokio::test]
async fn tokens_are_read_from_the_files_of_variables_and_flags() {
    let builder = Server::builder()
        .env("ELIZA_SERVER_AUTH_TOKEN_FILE", "server-token")
        .arg("--sessiond-admin-token-file=admin-token");
    write(
        builder.home(),
        "server-token",
        &format!("{SERVER_TOKEN}\r\n"),
        0o600,
    );
    write(
        builder.home(),
        "admin-token",
        &format!("{ADMIN_TOKEN}\n"),
        0o644,
    );
    let server = builder.start();
    for (path, token, expected) in [
        ("/api/agents", None, StatusCode::UNAUTHORIZED),
        ("/api/agents", Some(SERVER_TOKEN), StatusCode::OK),
        (
            "/api/messaging/sessions",
            Some(SERVER_TOKEN),
            StatusCode::FORBIDDEN,
        ),
        ("/api/messaging/sessions", Some(ADMIN_TOKEN), StatusCode::OK),
    ] {
        assert_eq!(
            status(&server, path, token).await,
            expected,
            "{path} {token:?}"
        );
    }
    let log = server.log();
    assert_eq!(
        log.matches("users other than its owner may read").count(),
        1,
        "{log}"
    );
    assert!(
        log.contains(
            "SESSIOND_ADMIN_TOKEN_FILE \"admin-token\" (flag --sessiond-admin-token-file): users"
        ),
        "{log}"
    );
    assert!(
        !log.contains(ADMIN_TOKEN) && !log.contains(SERVER_TOKEN),
        "{log}"
    );
}

#[test]
fn a_file_without_a_secret_stops_the_start() {
    let with_file = |path: &str| Server::builder().env("JWT_SECRET_FILE", path);
    let builder = with_file("pipe");
    let made = Command::new("mkfifo")
        .arg(builder.home().join("pipe"))
        .status();
    assert!(made.unwrap().success());
    let log = refused(&builder);
    assert!(
        log.contains("JWT_SECRET_FILE \"pipe\" (environment): cannot be read: it is a pipe"),
        "{log}"
    );

    let log = refused(&with_file("."));
    assert!(
        log.contains("JWT_SECRET_FILE \".\" (environment): cannot be read: is a directory"),
        "{log}"
    );

    let builder = with_file("empty");
    write(builder.home(), "empty", "\n", 0o600);
    let log = refused(&builder);
    assert!(
        log.contains("JWT_SECRET_FILE \"empty\" (environment): the file is empty"),
        "{log}"
    );

    let log = refused(&with_file("/missing/key"));
    assert!(
        log.contains("\"/missing/key\" (environment): cannot be read: No such file"),
        "{log}"
    );

    let log = refused(&with_file("s3cret-key"));
    assert!(
        log.contains("JWT_SECRET_FILE (environment): no such file"),
        "{log}"
    );
    assert!(!log.contains("s3cret"), "{log}");
}

#[test]
fn a_secret_and_its_file_together_stop_the_start() {
    let builder = Server::builder()
        .env("ELIZA_SERVER_AUTH_TOKEN", SERVER_TOKEN)
        .env("ELIZA_SERVER_AUTH_TOKEN_FILE", "server-token");
    write(builder.home(), "server-token", SERVER_TOKEN, 0o600);
    let log = refused(&builder);
    let both = "ELIZA_SERVER_AUTH_TOKEN (environment) and ELIZA_SERVER_AUTH_TOKEN_FILE \
                (environment) are both set";
    assert!(log.contains(both), "{log}");
    assert!(!log.contains(SERVER_TOKEN), "{log}");
}
