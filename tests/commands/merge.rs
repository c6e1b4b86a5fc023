//! `import --merge`.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use super::data::{Home, command_on, create_conversations, succeeded};
use super::support::server::Server;

/// Returns a directory with conversations, their export, and the ids of the sessions.
async fn conversations() -> (Home, String, Vec<String>) {
    let mut server = Server::start();
    let sessions = create_conversations(&server).await;
    assert!(server.terminate().success());
    let home = Home::with_data_of(&server);
    let exported = home.succeeds(&["export"]);
    (home, exported, sessions)
}

/// Returns the export of another server. Its sessions were created under other keys.
async fn others() -> String {
    let (_, exported, _) = conversations().await;
    let mut lines = String::new();
    for line in exported.lines() {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        if line.get("createKey").is_some() {
            line["createKey"] = line["sessionId"].clone();
        }
        writeln!(lines, "{line}").expect("a string");
    }
    lines
}

fn saved(home: &Home, lines: &str) -> String {
    let path = home.path("sessions.jsonl");
    std::fs::write(&path, lines).expect("a file");
    path.to_str().expect("UTF-8").to_owned()
}

#[tokio::test]
async fn the_sessions_of_two_servers_are_merged() {
    let (home, own, _) = conversations().await;
    let others = others().await;
    let path = saved(&home, &others);
    let message = home.succeeds(&["import", "--merge", &path]);
    assert!(message.contains("4 sessions, 20 messages"), "{message}");
    let merged = home.succeeds(&["export"]);
    for lines in [&own, &others] {
        assert!(merged.contains(lines.as_str()));
    }
    assert_eq!(merged.len(), own.len() + others.len());
    assert!(home.succeeds(&["check"]).contains("sound, 8 sessions"));
    assert_eq!(home.names(), ["sessiond.redb"]);

    // From standard input too, with the numbers as JSON.
    let third = self::others().await;
    let path = saved(&home, &third);
    let mut command = home.command(&["import", "--merge", "--json"]);
    command.stdin(File::open(&path).expect("the file"));
    let printed = succeeded(&command.output().expect("it runs"));
    let printed: Value = serde_json::from_str(&printed).expect("JSON");
    let wanted = json!({
        "database": home.database(), "sessions": 4, "messages": 20, "damaged": 0,
    });
    assert_eq!(printed, wanted);
    assert!(home.succeeds(&["check"]).contains("sound, 12 sessions"));
}

#[tokio::test]
async fn a_merge_without_a_database_creates_one() {
    let (_, exported, _) = conversations().await;
    let home = Home::new();
    let path = saved(&home, &exported);
    home.succeeds(&["import", "--merge", &path]);
    assert!(home.succeeds(&["export"]) == exported);

    let empty = Home::new();
    std::fs::create_dir(empty.path("data")).expect("a directory");
    File::create(empty.database()).expect("a file");
    let path = saved(&empty, &exported);
    empty.succeeds(&["import", "--merge", &path]);
    assert!(empty.succeeds(&["export"]) == exported);
}

#[tokio::test]
async fn a_merge_is_complete_or_changes_nothing() {
    let (home, own, sessions) = conversations().await;
    let others = others().await;
    let mut bad: Vec<&str> = others.lines().collect();
    bad.insert(7, "{");
    let path = saved(&home, &bad.join("\n"));
    let message = home.fails(&["import", "--merge", &path]);
    assert!(
        message.contains("nothing was imported: line 8: "),
        "{message}"
    );

    // The values must be within the bounds of the API.
    let edited = others.replacen("\"timeoutMinutes\":", "\"timeoutMinutes\":999", 1);
    let path = saved(&home, &edited);
    let message = home.fails(&["import", "--merge", &path]);
    let wanted = "line 1: timeoutConfig.timeoutMinutes must be between 1 and 10080";
    assert!(message.contains(wanted), "{message}");

    // The third session exists.
    let theirs: Vec<&str> = others.lines().collect();
    let mut third = own.lines().filter(|line| line.contains(&sessions[2]));
    let lines = [&theirs[..3], &[third.next().expect("a session")]].concat();
    let path = saved(&home, &lines.join("\n"));
    let message = home.fails(&["import", "--merge", &path]);
    let wanted = format!("line 4: session {} exists already", sessions[2]);
    assert!(message.contains(&wanted), "{message}");

    home.fails(&["import", "--merge", "/no/such/file"]);
    assert!(home.succeeds(&["export"]) == own);
    assert_eq!(home.run(&["import", "--merged"]).status.code(), Some(2));
}

#[tokio::test]
async fn a_running_server_is_named_with_what_works() {
    let (home, exported, _) = conversations().await;
    let path = saved(&home, &exported);
    let server = Server::start();
    let output = command_on(&server, &["import", "--merge", &path]).output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("stop it first"), "{message}");
    assert!(message.contains("POST /api/admin/import"), "{message}");
    let live = command_on(&server, &["export"]).output().expect("it runs");
    assert_eq!(succeeded(&live), "");
}

#[tokio::test]
async fn a_killed_merge_leaves_the_old_sessions() {
    let (home, own, _) = conversations().await;
    let others = others().await;
    let mut merge = home.command(&["import", "--merge"]);
    let mut merge = merge.stdin(Stdio::piped()).spawn().expect("it runs");
    while home.names().len() < 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut lines = merge.stdin.take().expect("its input");
    lines.write_all(others.as_bytes()).expect("it reads them");
    merge.kill().expect("it can be killed");
    merge.wait().expect("it ends");
    assert!(home.succeeds(&["export"]) == own);
    let path = saved(&home, &others);
    home.succeeds(&["import", "--merge", &path]);
    assert!(home.succeeds(&["check"]).contains("sound, 8 sessions"));
}
