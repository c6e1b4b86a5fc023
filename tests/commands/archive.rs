//! `export` and `import`.

use std::fs::File;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::data::{Place, beside, succeeded, talk};
use super::support::server::Server;

#[tokio::test]
async fn what_is_exported_imported_and_exported_again_is_the_same_to_the_last_byte() {
    let mut server = Server::start();
    let sessions = talk(&server).await;
    let live = beside(&server, &["export"]).output().expect("it runs");
    let live = succeeded(&live);
    assert!(server.terminate().success());
    let place = Place::of(&server);
    let exported = place.succeeds(&["export"]);
    assert_eq!(exported.lines().count(), 4 + 2 * (1 + 2 + 3 + 4));
    assert!(live == exported, "the server exports the same as the file");

    let lines = place.path("sessions.jsonl");
    std::fs::write(&lines, &exported).expect("a file");
    let other = Place::new();
    let said = other.succeeds(&["import", lines.to_str().expect("UTF-8")]);
    assert!(said.contains("4 sessions, 20 messages"), "{said}");
    assert!(other.succeeds(&["export"]) == exported);
    assert!(other.succeeds(&["check"]).contains("sound, 4 sessions"));
    assert_eq!(other.names(), ["sessiond.redb"]);

    // An editor may have put a byte order mark before it.
    let marked = other.path("marked.jsonl");
    std::fs::write(&marked, format!("\u{feff}{exported}")).expect("a file");
    let again = Place::new();
    again.succeeds(&["import", marked.to_str().expect("UTF-8")]);
    assert!(again.succeeds(&["export"]) == exported);

    // By standard input too.
    let third = Place::new();
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
            .fails(&["export", "--session", "x"])
            .contains("no session's id")
    );
}

#[tokio::test]
async fn an_import_is_whole_or_not_at_all() {
    let mut server = Server::start();
    talk(&server).await;
    assert!(server.terminate().success());
    let place = Place::of(&server);
    let exported = place.succeeds(&["export"]);
    let lines = place.path("sessions.jsonl");
    let path = lines.to_str().expect("UTF-8");
    std::fs::write(&lines, &exported).expect("a file");
    let said = place.fails(&["import", path]);
    assert!(said.contains("an import needs an empty database"), "{said}");

    let other = Place::new();
    for (number, bad) in [(1, "no json"), (7, "{\"type\":\"cat\"}"), (24, "{")] {
        let mut spoilt: Vec<&str> = exported.lines().collect();
        spoilt.insert(number - 1, bad);
        std::fs::write(&lines, spoilt.join("\n")).expect("a file");
        let said = other.fails(&["import", path]);
        let expected = format!("nothing was imported: line {number}: ");
        assert!(said.contains(&expected), "{said}");
    }
    std::fs::write(&lines, [0xff, 0xfe, b'\n']).expect("a file");
    let said = other.fails(&["import", path]);
    assert!(said.contains("line 1: it is not UTF-8"), "{said}");
    assert!(!other.fails(&["import", "/no/such/file"]).is_empty());

    // What failed is in nobody's way, and neither is a database without a session.
    std::fs::write(&lines, &exported).expect("a file");
    let mut empty = Server::start();
    assert!(empty.terminate().success());
    let empty = Place::of(&empty);
    for place in [&other, &empty] {
        place.succeeds(&["import", path]);
        assert!(place.succeeds(&["export"]) == exported);
    }
}

/// An import that waits for its lines, with the name of the file that it makes.
fn waiting_import(place: &Place) -> (Child, String) {
    let before = place.names();
    let mut import = place.command(&["import"]);
    let mut import = import.stdin(Stdio::piped()).spawn().expect("it runs");
    for _ in 0..6000 {
        let names = place.names();
        if let Some(name) = names.into_iter().find(|name| !before.contains(name)) {
            return (import, name);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = import.kill();
    panic!("it makes no file: {:?}", import.wait());
}

#[tokio::test]
async fn what_a_killed_import_leaves_is_removed_and_what_a_living_one_makes_is_not() {
    let mut server = Server::start();
    talk(&server).await;
    assert!(server.terminate().success());
    let exported = Place::of(&server).succeeds(&["export"]);

    let place = Place::new();
    let (mut killed, left) = waiting_import(&place);
    killed.kill().expect("it can be killed");
    killed.wait().expect("it ends");
    assert_eq!(place.names(), [left.as_str()]);
    let (mut living, made) = waiting_import(&place);
    assert_eq!(place.names(), [made.as_str()], "the other one is gone");
    place.fails(&["import", "/dev/null/none"]);
    let mut lines = living.stdin.take().expect("its input");
    lines.write_all(exported.as_bytes()).expect("it reads them");
    drop(lines);
    assert!(living.wait().expect("it ends").success());
    assert_eq!(place.names(), ["sessiond.redb"]);
    assert!(place.succeeds(&["export"]) == exported);
}

#[test]
fn a_command_that_a_signal_ends_leaves_nothing() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let place = Place::new();
        let (mut import, _) = waiting_import(&place);
        // It begins to listen for signals right after.
        std::thread::sleep(Duration::from_millis(300));
        send(signal, &import);
        let status = import.wait().expect("it ends");
        assert_eq!(status.code(), Some(code), "{signal}");
        assert!(place.names().is_empty(), "{:?}", place.names());
    }

    // A backup waits for its server, and its file lies where whoever asked wants it.
    let server = Server::start();
    server.signal("STOP");
    let place = Place::new();
    std::fs::create_dir(place.path("data")).expect("a folder");
    let file = place.path("data/backup.redb");
    let mut backup = beside(&server, &["backup", file.to_str().expect("UTF-8")]);
    let mut backup = backup.spawn().expect("it runs");
    while place.names().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(300));
    send("INT", &backup);
    assert_eq!(backup.wait().expect("it ends").code(), Some(130));
    assert!(place.names().is_empty(), "{:?}", place.names());
    server.signal("CONT");
}

fn send(signal: &str, child: &Child) {
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
async fn what_the_other_command_is_for_is_said() {
    let mut server = Server::start();
    talk(&server).await;
    assert!(server.terminate().success());
    let place = Place::of(&server);
    let lines = place.path("sessions.jsonl");
    std::fs::write(&lines, place.succeeds(&["export"])).expect("a file");
    let path = lines.to_str().expect("UTF-8");
    let said = place.fails(&["restore", "--force", path]);
    assert!(said.contains("the lines of an export"), "{said}");
    assert!(said.contains("`sessiond import FILE`"), "{said}");

    let backup = place.path("backup.redb");
    let path = backup.to_str().expect("UTF-8");
    place.succeeds(&["backup", path]);
    let said = Place::new().fails(&["import", path]);
    assert!(said.contains("is a backup"), "{said}");
    assert!(said.contains("`sessiond restore FILE`"), "{said}");
}

#[test]
fn a_data_folder_that_is_none_is_told_so() {
    let place = Place::new();
    for arguments in [
        &["serve", "--server-port=0"][..],
        &["check"],
        &["compact"],
        &["export"],
        &["backup", "b.redb"],
        &["import"],
    ] {
        let mut command = place.command(arguments);
        let output = command.env("DATA_DIR", "/dev/null").output();
        let output = output.expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("/dev/null is not a directory"), "{said}");
    }
}

#[test]
fn a_start_removes_what_killed_commands_have_left() {
    let builder = Server::builder();
    let left = builder.data_dir().join(".sessiond-x.partial");
    std::fs::create_dir_all(builder.data_dir()).expect("a folder");
    std::fs::write(&left, "half of a database").expect("a file");
    let server = builder.start();
    assert!(!left.exists());
    drop(server);
}
