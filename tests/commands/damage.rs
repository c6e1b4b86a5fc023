//! A database whose pages are damaged.

use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::data::{Home, command_on, create_conversations};
use super::support::server::Server;

/// Flips a bit of each occurrence of a text in a file, which may be in use.
fn flip(path: &Path, text: &str) {
    let bytes = std::fs::read(path).expect("the database can be read");
    let file = std::fs::File::options().write(true).open(path);
    let file = file.expect("the database can be written");
    let mut flipped = 0;
    for (at, part) in bytes.windows(text.len()).enumerate() {
        if part == text.as_bytes() {
            file.write_all_at(&[part[0] ^ 1], at as u64).expect("a bit");
            flipped += 1;
        }
    }
    assert!(flipped > 0);
}

/// Asserts that the advice for a damaged database is given.
fn assert_advised(message: &str) {
    for command in ["restore --force FILE", "export", "import"] {
        let command = format!("`sessiond {command}`");
        assert!(message.contains(&command), "{command}: {message}");
    }
    assert!(!message.contains("panicked"), "{message}");
}

#[tokio::test]
async fn a_damaged_database_is_not_copied_and_can_be_exported() {
    let mut server = Server::start();
    let sessions = create_conversations(&server).await;
    assert!(server.terminate().success());
    let home = Home::with_data_of(&server);
    let whole = home.succeeds(&["export"]);
    // The key of a message, which nothing refers to.
    flip(&home.database(), "send-3");
    let backup = home.path("backup.redb");
    let backup = backup.to_str().expect("UTF-8");
    for arguments in [vec!["check"], vec!["compact"], vec!["backup", backup]] {
        assert_advised(&home.fails(&arguments));
    }
    assert!(!Path::new(backup).exists());

    let exported = home.run(&["export"]);
    assert_eq!(exported.status.code(), Some(1));
    let message = String::from_utf8_lossy(&exported.stderr);
    assert!(message.contains("`sessiond import`"), "{message}");
    let lines = String::from_utf8(exported.stdout).expect("UTF-8");
    assert_eq!(lines.lines().count(), whole.lines().count());
    let file = home.path("saved.jsonl");
    std::fs::write(&file, &lines).expect("a file");
    let other = Home::new();
    other.succeeds(&["import", file.to_str().expect("UTF-8")]);
    assert!(other.succeeds(&["check"]).contains("sound, 4 sessions"));
    let one = home.succeeds(&["export", "--session", &sessions[0]]);
    assert!(whole.contains(&one));
}

#[tokio::test]
async fn backup_and_export_report_a_damaged_record() {
    let mut server = Server::start();
    create_conversations(&server).await;
    assert!(server.terminate().success());
    let home = Home::with_data_of(&server);
    let whole = home.succeeds(&["export"]);
    flip(&home.database(), "hello \u{2713} 3");
    let backup = home.path("backup.redb");
    let output = home.run(&["backup", backup.to_str().expect("UTF-8")]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && message.contains("in quarantine"),
        "{message}"
    );
    let output = home.run(&["export"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && message.contains("damaged"),
        "{message}"
    );
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(lines.contains(r#"{"type":"damaged""#));
    assert_eq!(lines.lines().count(), whole.lines().count());
}

#[tokio::test]
async fn a_running_server_does_not_copy_a_damaged_database() {
    let server = Server::start();
    create_conversations(&server).await;
    flip(&server.data_dir().join("sessiond.redb"), "send-3");
    let home = Home::new();
    let backup = home.path("backup.redb");
    let output = command_on(&server, &["backup", backup.to_str().expect("UTF-8")]).output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("the server's log says why"), "{message}");
    assert!(!backup.exists());
}
