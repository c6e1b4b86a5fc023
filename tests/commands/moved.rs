//! A database file that is moved, replaced or removed while a server has it open.

use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sessiond::agents::character::ELIZA_ID;

use super::data::{Home, USER, client, command_on, create_conversations, succeeded};
use super::support::server::Server;

/// A longer wait is a failure. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

fn database(server: &Server) -> PathBuf {
    server.data_dir().join("sessiond.redb")
}

/// Creates a session. Returns the status and the body.
async fn create(server: &Server) -> (u16, Value) {
    let body = json!({ "agentId": ELIZA_ID.to_string(), "userId": USER });
    let request = client()
        .post(server.at("/api/messaging/sessions"))
        .json(&body);
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.expect("JSON"))
}

async fn get(server: &Server, path: &str) -> (u16, Value) {
    let answer = client().get(server.at(path)).send().await;
    let answer = answer.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.expect("JSON"))
}

/// Waits, without a write, until the server reports this health.
async fn wait_for_status(server: &Server, status: &str) {
    let since = Instant::now();
    while get(server, "/health").await.1["status"] != status {
        assert!(since.elapsed() < PATIENCE, "{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn assert_writes_are_refused(server: &Server) {
    let (status, body) = create(server).await;
    assert_eq!(
        (status, &body["details"]["reason"]),
        (503, &json!("storage"))
    );
    let (status, body) = get(server, "/health").await;
    assert_eq!((status, &body["status"]), (503, &json!("unhealthy")));
    let (status, body) = get(server, "/api/messaging/sessions/health").await;
    assert_eq!((status, &body["reasons"]), (503, &json!(["file_replaced"])));
    let (status, _) = get(server, "/healthz").await;
    assert_eq!(status, 200);
    for (arguments, code) in [(&["healthcheck", "--live"][..], 0), (&["healthcheck"], 1)] {
        let asked = command_on(server, arguments).output().expect("it runs");
        assert_eq!(asked.status.code(), Some(code), "{asked:?}");
    }
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

#[tokio::test]
async fn no_write_to_a_removed_file_is_acknowledged() {
    let mut server = Server::start();
    let sessions = create_conversations(&server).await;
    fs::remove_file(database(&server)).expect("it can be removed");
    // Immediately, not at the next check of the file.
    assert_writes_are_refused(&server).await;
    let (status, _) = get(&server, &format!("/api/messaging/sessions/{}", sessions[0])).await;
    assert_eq!(status, 200, "reads continue");
    let log = server.log();
    let reported = log
        .lines()
        .filter(|line| line.contains("is not the one at its path"));
    assert_eq!(reported.count(), 1, "{log}");

    // No process creates a new database beside it.
    let second = command_on(&server, &["serve", "--server-port=0"]).output();
    assert!(refused(&second.expect("it runs")).contains("another process has the database open"));
    for command in [&["check"][..], &["compact"], &["import", "/dev/null"]] {
        let output = command_on(&server, command).output().expect("it runs");
        assert!(
            refused(&output).contains("stop it first"),
            "{command:?}: {output:?}"
        );
    }
    assert!(!database(&server).exists());

    // Its data can be saved.
    let home = Home::new();
    let file = home.path("saved.redb");
    let file = file.to_str().expect("UTF-8");
    let saved = command_on(&server, &["backup", file])
        .output()
        .expect("it runs");
    assert!(succeeded(&saved).contains("4 sessions"));
    let restored = command_on(&server, &["restore", "--force", file]).output();
    assert!(refused(&restored.expect("it runs")).contains("stop it first"));
    assert!(!server.terminate().success(), "the stop was not recorded");
    succeeded(
        &command_on(&server, &["restore", file])
            .output()
            .expect("it runs"),
    );
    server.restart();
    for session in sessions {
        let (status, _) = get(&server, &format!("/api/messaging/sessions/{session}")).await;
        assert_eq!(status, 200);
    }
}

#[tokio::test]
async fn writes_resume_when_the_file_is_back() {
    let server = Server::start();
    let away = server.home().join("away.redb");
    fs::rename(database(&server), &away).expect("it can be moved");
    // Even without writes.
    wait_for_status(&server, "unhealthy").await;
    assert_writes_are_refused(&server).await;

    fs::copy(&away, database(&server)).expect("it can be copied");
    assert_writes_are_refused(&server).await;

    fs::rename(&away, database(&server)).expect("it can be moved back");
    wait_for_status(&server, "healthy").await;
    let (status, body) = create(&server).await;
    assert_eq!(status, 201, "{body}");
    assert!(
        server.log().contains("is at its path again"),
        "{}",
        server.log()
    );
}

#[tokio::test]
async fn a_moved_data_directory_is_noticed_and_a_link_to_it_has_the_same_lock() {
    let mut server = Server::start();
    create_conversations(&server).await;
    let (directory, moved) = (server.data_dir(), server.home().join("moved"));
    let link = server.home().join("link");
    std::os::unix::fs::symlink(&directory, &link).expect("a link");
    let second = command_on(&server, &["serve", "--server-port=0"])
        .env("DATA_DIR", &link)
        .output();
    assert!(refused(&second.expect("it runs")).contains("another process has the database open"));

    fs::rename(&directory, &moved).expect("it can be moved");
    assert_writes_are_refused(&server).await;
    let second = command_on(&server, &["serve", "--server-port=0"])
        .env("DATA_DIR", &moved)
        .output();
    assert!(refused(&second.expect("it runs")).contains("another process has the database open"));
    fs::rename(&moved, &directory).expect("it can be moved back");
    wait_for_status(&server, "healthy").await;

    // A lock ends with its process.
    server.kill9();
    server.restart();
    assert_eq!(create(&server).await.0, 201);
}

#[tokio::test]
async fn writes_acknowledged_around_a_replacement_are_in_the_open_file() {
    let mut server = Server::start();
    let path = database(&server);
    let away = server.home().join("away.redb");
    let mut acknowledged = Vec::new();
    let mut refused_at = None;
    for number in 0..200 {
        if number == 50 {
            fs::copy(&path, server.home().join("other.redb")).expect("a copy");
            fs::hard_link(&path, &away).expect("a second name");
            fs::rename(server.home().join("other.redb"), &path).expect("it is replaced");
        }
        match create(&server).await {
            (201, body) => acknowledged.push(body["sessionId"].as_str().expect("an id").to_owned()),
            (503 | 500, _) => {
                refused_at.get_or_insert(number);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(refused_at, Some(50));
    assert_eq!(acknowledged.len(), 50);
    server.kill9();
    fs::rename(&away, &path).expect("it is put back");
    server.restart();
    for session in acknowledged {
        let (status, _) = get(&server, &format!("/api/messaging/sessions/{session}")).await;
        assert_eq!(status, 200, "{session}");
    }
}
