//! A database whose pages are damaged.

use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::data::{Place, beside, talk};
use super::support::server::Server;

/// Flips a bit wherever a text stands in a file, which may be in use.
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

/// What is advised where nothing can be put in order.
fn assert_advised(said: &str) {
    for command in ["restore --force FILE", "export", "import"] {
        let command = format!("`sessiond {command}`");
        assert!(said.contains(&command), "{command}: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[tokio::test]
async fn what_is_damaged_is_not_copied_and_can_be_saved() {
    let mut server = Server::start();
    let sessions = talk(&server).await;
    assert!(server.terminate().success());
    let place = Place::of(&server);
    let whole = place.succeeds(&["export"]);
    // The key of a message: nothing refers to it.
    flip(&place.database(), "send-3");
    let backup = place.path("backup.redb");
    let backup = backup.to_str().expect("UTF-8");
    for arguments in [vec!["check"], vec!["compact"], vec!["backup", backup]] {
        assert_advised(&place.fails(&arguments));
    }
    assert!(!Path::new(backup).exists());

    let exported = place.run(&["export"]);
    assert_eq!(exported.status.code(), Some(1));
    let said = String::from_utf8_lossy(&exported.stderr);
    assert!(said.contains("`sessiond import`"), "{said}");
    let lines = String::from_utf8(exported.stdout).expect("UTF-8");
    assert_eq!(lines.lines().count(), whole.lines().count());
    let file = place.path("saved.jsonl");
    std::fs::write(&file, &lines).expect("a file");
    let other = Place::new();
    other.succeeds(&["import", file.to_str().expect("UTF-8")]);
    assert!(other.succeeds(&["check"]).contains("sound, 4 sessions"));
    let one = place.succeeds(&["export", "--session", &sessions[0]]);
    assert!(whole.contains(&one));
}

#[tokio::test]
async fn a_damaged_record_is_told_by_backup_and_export() {
    let mut server = Server::start();
    talk(&server).await;
    assert!(server.terminate().success());
    let place = Place::of(&server);
    let whole = place.succeeds(&["export"]);
    flip(&place.database(), "hello \u{2713} 3");
    let backup = place.path("backup.redb");
    let output = place.run(&["backup", backup.to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("set aside"),
        "{said}"
    );
    let output = place.run(&["export"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("damaged"),
        "{said}"
    );
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(lines.contains(r#"{"type":"damaged""#));
    assert_eq!(lines.lines().count(), whole.lines().count());
}

#[tokio::test]
async fn a_running_server_does_not_copy_what_is_damaged() {
    let server = Server::start();
    talk(&server).await;
    flip(&server.data_dir().join("sessiond.redb"), "send-3");
    let place = Place::new();
    let backup = place.path("backup.redb");
    let output = beside(&server, &["backup", backup.to_str().expect("UTF-8")]).output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the server's log says why"), "{said}");
    assert!(!backup.exists());
}
