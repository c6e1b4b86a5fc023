//! How the real server reads a `.env` file.

use std::fs;
use std::process::Command;

use reqwest::StatusCode;
use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};

use crate::client;
use crate::support::server::{Builder, Server};

/// Returns a server with this file.
fn with_file(content: impl AsRef<[u8]>) -> Builder {
    let builder = Server::builder();
    fs::write(builder.home().join(".env"), content).unwrap();
    builder
}

/// Creates a session, without or with a token. Returns the response.
async fn create(server: &Server, token: Option<&str>) -> (StatusCode, Value) {
    let client = client();
    let request = client
        .post(server.at("/api/messaging/sessions"))
        .json(&json!({
            "agentId": "b850bc30-45f8-0041-a00a-83df46d8555d",
            "userId": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
        }));
    let request = match token {
        Some(token) => request.header("X-API-KEY", token),
        None => request,
    };
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

#[tokio::test]
async fn apostrophes_in_comments_hide_no_line() {
    let server = with_file(
        "LOG_FORMAT=json  # that's for the log\n\
         ELIZA_SERVER_AUTH_TOKEN=0123456789abcdef0123\n\
         SESSION_DEFAULT_TIMEOUT_MINUTES=45  # that's long\n",
    )
    .env("LOG_FORMAT", "")
    .start();
    let (status, body) = create(&server, None).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
    let (status, session) = create(&server, Some("0123456789abcdef0123")).await;
    assert_eq!(status, StatusCode::CREATED, "{session}");
    assert_eq!(session["timeoutConfig"]["timeoutMinutes"], 45);
    let log = server.log();
    let is_json = |line: &str| serde_json::from_str::<Value>(line).is_ok();
    assert!(!log.is_empty() && log.lines().all(is_json), "{log}");
}

#[tokio::test]
async fn a_dollar_in_a_token_is_literal() {
    for token in [
        "$uperlongtoken0123456789",
        "Tr0ub4dor$Horse-Battery",
        "${PATH}$(id)$$\\$x0123456789",
    ] {
        let server = with_file(format!("ELIZA_SERVER_AUTH_TOKEN={token}\n")).start();
        let list = |token: Option<&'static str>| {
            let request = client().get(server.at("/api/agents"));
            let request = match token {
                Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
                None => request,
            };
            async { request.send().await.unwrap().status() }
        };
        assert_eq!(list(None).await, StatusCode::UNAUTHORIZED, "{token}");
        assert_eq!(
            list(Some("Tr0ub4dor-Battery")).await,
            StatusCode::UNAUTHORIZED
        );
        assert_eq!(list(Some(token)).await, StatusCode::OK, "{token}");
        assert!(!server.log().contains(token));
    }
}

#[test]
fn a_line_that_dotenv_would_lose_stops_the_start() {
    for (line, reason) in [
        (
            "ELIZA_SERVER_AUTH_TOKEN: s3cret",
            "write ELIZA_SERVER_AUTH_TOKEN=VALUE",
        ),
        (
            "ELIZA_SERVER_AUTH_TOKEN=abc#s3cret",
            "ELIZA_SERVER_AUTH_TOKEN='...'",
        ),
        ("ELIZA_SERVER_AUTH_TOKEN='s3cret", "is not closed; close it"),
        (
            "ELIZA_SERVER_AUTH_TOKEN=\"a\" s3cret",
            "put the whole value in quotes",
        ),
        ("ELIZA_SERVER_AUTH_TOKEN s3cret", "expected NAME=VALUE"),
    ] {
        let builder = with_file(format!("# Mine\r\n\r\n{line}\r\nSERVER_PORT=0\r\n"));
        let refused = builder.run();
        assert_eq!(refused.status.code(), Some(1), "{}", refused.log);
        for part in [".env, line 3: ", reason] {
            assert!(
                refused.log.contains(part),
                "{part} is missing in {}",
                refused.log
            );
        }
        assert!(!refused.log.contains("s3cret"), "{}", refused.log);
        assert!(
            !builder.data_dir().exists(),
            "a refused start leaves nothing"
        );
    }
}

#[test]
fn an_empty_token_is_warned_about_with_its_line() {
    let server = with_file("# To be filled in\nELIZA_SERVER_AUTH_TOKEN=\n").start();
    let warning =
        "ELIZA_SERVER_AUTH_TOKEN (line 2 of .env) is set but empty, so it counts as unset";
    let log = server.log();
    let line = log.lines().find(|line| line.contains(warning));
    assert!(line.is_some_and(|line| line.contains("WARN")), "{log}");
}

#[test]
fn a_setting_within_the_quotes_of_another_value_is_warned_about() {
    let server = with_file("NOTE='what\nELIZA_SERVER_AUTH_TOKEN=abc\nI mean'\n").start();
    let warning = ".env, line 2: ELIZA_SERVER_AUTH_TOKEN is not set here, since the line is part \
                   of the value whose quotes open in line 1";
    assert!(server.log().contains(warning), "{}", server.log());
}

#[test]
fn a_pipe_instead_of_the_file_is_not_waited_for() {
    let builder = Server::builder();
    let pipe = builder.home().join(".env");
    assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    let refused = builder.run();
    assert_eq!(refused.status.code(), Some(1), "{}", refused.log);
    assert!(
        refused.log.contains(".env cannot be read: it is a pipe"),
        "{}",
        refused.log
    );
}
