//! `export` and `import`.

use std::fs::File;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::data::{Home, command_on, create_conversations, succeeded};
use super::support::server::Server;

#[tokio::test]
async fn an_export_survives_an_import_byte_for_byte() {
    let mut server = Server::start();
    let sessions = create_conversations(&server).await;
    let live = command_on(&server, &["export"]).output().expect("it runs");
    let live = succeeded(&live);
    assert!(server.terminate().success());
    let home = Home::with_data_of(&server);
    let exported = home.succeeds(&["export"]);
    assert_eq!(exported.lines().count(), 4 + 2 * (1 + 2 + 3 + 4));
    assert!(
        live == exported,
        "the server exports the same as the command"
    );

    let lines = home.path("sessions.jsonl");
    std::fs::write(&lines, &exported).expect("a file");
    let other = Home::new();
    let message = other.succeeds(&["import", lines.to_str().expect("UTF-8")]);
    assert!(message.contains("4 sessions, 20 messages"), "{message}");
    assert!(other.succeeds(&["export"]) == exported);
    assert!(other.succeeds(&["check"]).contains("sound, 4 sessions"));
    assert_eq!(other.names(), ["sessiond.redb"]);

    // An editor may have added a byte order mark.
    let marked = other.path("marked.jsonl");
    std::fs::write(&marked, format!("\u{feff}{exported}")).expect("a file");
    let again = Home::new();
    again.succeeds(&["import", marked.to_str().expect("UTF-8")]);
    assert!(again.succeeds(&["export"]) == exported);

    // From standard input too.
    let third = Home::new();
    let mut import = third.command(&["import"]);
    import.stdin(File::open(&lines).expect("the file"));
    succeeded(&import.output().expect("it runs"));
    assert!(third.succeeds(&["export"]) == exported);

    let one = other.succeeds(&["export", "--session", &sessions[2]]);
    assert_eq!(one.lines().count(), 1 + 2 * 3);
    assert!(exported.contains(&one));
    let none = "00000000-0000-7000-8000-000000000000";
    assert!(
        other
            .fails(&["export", "--session", none])
            .contains("there is no session")
    );
    assert!(
        other
            .refuses(&["export", "--session", "x"])
            .contains("is not a session id")
    );
}

#[tokio::test]
async fn an_import_is_complete_or_changes_nothing() {
    let mut server = Server::start();
    create_conversations(&server).await;
    assert!(server.terminate().success());
    let home = Home::with_data_of(&server);
    let exported = home.succeeds(&["export"]);
    let lines = home.path("sessions.jsonl");
    let path = lines.to_str().expect("UTF-8");
    std::fs::write(&lines, &exported).expect("a file");
    let message = home.fails(&["import", path]);
    assert!(
        message.contains("an import needs an empty database"),
        "{message}"
    );

    let other = Home::new();
    for (number, bad) in [(1, "not JSON"), (7, "{\"type\":\"cat\"}"), (24, "{")] {
        let mut corrupted: Vec<&str> = exported.lines().collect();
        corrupted.insert(number - 1, bad);
        std::fs::write(&lines, corrupted.join("\n")).expect("a file");
        let message = other.fails(&["import", path]);
        let expected = format!("nothing was imported: line {number}: ");
        assert!(message.contains(&expected), "{message}");
    }
    std::fs::write(&lines, [0xff, 0xfe, b'\n']).expect("a file");
    let message = other.fails(&["import", path]);
    assert!(message.contains("line 1: it is not UTF-8"), "{message}");
    assert!(!other.fails(&["import", "/no/such/file"]).is_empty());

    // Neither a failed import nor a database without sessions prevents another import.
    std::fs::write(&lines, &exported).expect("a file");
    let mut empty = Server::start();
    assert!(empty.terminate().success());
    let empty = Home::with_data_of(&empty);
    for home in [&other, &empty] {
        home.succeeds(&["import", path]);
        assert!(home.succeeds(&["export"]) == exported);
    }
}

/// Starts an import that waits for its lines. Returns it with the name of its incomplete file.
fn waiting_import(home: &Home) -> (Child, String) {
    let before = home.names();
    let mut import = home.command(&["import"]);
    let mut import = import.stdin(Stdio::piped()).spawn().expect("it runs");
    for _ in 0..6000 {
        let names = home.names();
        if let Some(name) = names.into_iter().find(|name| !before.contains(name)) {
            return (import, name);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = import.kill();
    panic!("it creates no file: {:?}", import.wait());
}

#[tokio::test]
async fn the_file_of_a_killed_import_is_removed_and_that_of_a_running_one_is_not() {
    let mut server = Server::start();
    create_conversations(&server).await;
    assert!(server.terminate().success());
    let exported = Home::with_data_of(&server).succeeds(&["export"]);

    let home = Home::new();
    let (mut killed, left) = waiting_import(&home);
    killed.kill().expect("it can be killed");
    killed.wait().expect("it ends");
    assert_eq!(home.names(), [left.as_str()]);
    let (mut living, made) = waiting_import(&home);
    assert_eq!(home.names(), [made.as_str()], "the other one was removed");
    home.fails(&["import", "/dev/null/none"]);
    let mut lines = living.stdin.take().expect("its input");
    lines.write_all(exported.as_bytes()).expect("it reads them");
    drop(lines);
    assert!(living.wait().expect("it ends").success());
    assert_eq!(home.names(), ["sessiond.redb"]);
    assert!(home.succeeds(&["export"]) == exported);
}

#[test]
fn a_command_ended_by_a_signal_leaves_no_file() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let home = Home::new();
        let (mut import, _) = waiting_import(&home);
        // It starts to listen for signals right after that.
        std::thread::sleep(Duration::from_millis(300));
        send(signal, &import);
        let status = import.wait().expect("it ends");
        assert_eq!(status.code(), Some(code), "{signal}");
        assert!(home.names().is_empty(), "{:?}", home.names());
    }

    // A backup waits for its server, and its file is in the directory of its target.
    let server = Server::start();
    server.signal("STOP");
    let home = Home::new();
    std::fs::create_dir(home.path("data")).expect("a directory");
    let file = home.path("data/backup.redb");
    let mut backup = command_on(&server, &["backup", file.to_str().expect("UTF-8")]);
    let mut backup = backup.spawn().expect("it runs");
    while home.names().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(300));
    send("INT", &backup);
    assert_eq!(backup.wait().expect("it ends").code(), Some(130));
    assert!(home.names().is_empty(), "{:?}", home.names());
    server.signal("CONT");
}

/// Sends a signal by its short name, such as `TERM`, to a child.
pub(crate) fn send(signal: &str, child: &Child) {
    let sent = Command::new("sh")
        .args([
            "-c",
            r#"kill -s "$0" "$1""#,
            signal,
            &child.id().to_string(),
        ])
        .status();
    assert!(sent.expect("a shell").success());
}

#[tokio::test]
async fn a_file_of_the_wrong_kind_is_explained() {
    let mut server = Server::start();
    create_conversations(&server).await;
    assert!(server.terminate().success());
    let home = Home::with_data_of(&server);
    let lines = home.path("sessions.jsonl");
    std::fs::write(&lines, home.succeeds(&["export"])).expect("a file");
    let path = lines.to_str().expect("UTF-8");
    let message = home.fails(&["restore", "--force", path]);
    assert!(message.contains("the lines of an export"), "{message}");
    assert!(message.contains("`sessiond import FILE`"), "{message}");

    let backup = home.path("backup.redb");
    let path = backup.to_str().expect("UTF-8");
    home.succeeds(&["backup", path]);
    let message = Home::new().fails(&["import", path]);
    assert!(message.contains("is a backup"), "{message}");
    assert!(message.contains("`sessiond restore FILE`"), "{message}");
}

#[test]
fn a_data_directory_that_is_a_file_is_explained() {
    let home = Home::new();
    for arguments in [
        &["serve", "--server-port=0"][..],
        &["check"],
        &["compact"],
        &["export"],
        &["backup", "b.redb"],
        &["import"],
    ] {
        let mut command = home.command(arguments);
        let output = command.env("DATA_DIR", "/dev/null").output();
        let output = output.expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(
            message.contains("/dev/null is not a directory"),
            "{message}"
        );
    }
}

#[test]
fn a_start_removes_the_files_of_killed_commands() {
    let builder = Server::builder();
    let left = builder.data_dir().join(".sessiond-x.partial");
    std::fs::create_dir_all(builder.data_dir()).expect("a directory");
    std::fs::write(&left, "half of a database").expect("a file");
    let server = builder.start();
    assert!(!left.exists());
    drop(server);
}
