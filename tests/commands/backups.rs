//! `backup` and `restore`.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;

use super::data::{Home, command_on, create_conversations, succeeded};
use super::support::server::Server;

#[tokio::test]
async fn a_backup_of_a_running_server_is_restored_whole() {
    let mut server = Server::start();
    create_conversations(&server).await;
    let home = Home::new();
    let file = home.path("backup.redb");
    let path = file.to_str().expect("UTF-8");
    let backup = command_on(&server, &["backup", path])
        .output()
        .expect("it runs");
    assert!(succeeded(&backup).contains("4 sessions"));
    let exported = command_on(&server, &["export"]).output().expect("it runs");
    let exported = succeeded(&exported);
    assert!(server.terminate().success());

    home.succeeds(&["restore", path]);
    assert!(home.succeeds(&["export"]) == exported);
    assert!(home.succeeds(&["check"]).contains("sound"));
    assert_eq!(home.names(), ["sessiond.redb"]);

    // A database without a server is backed up the same way.
    let again = home.path("again.redb");
    home.succeeds(&["backup", again.to_str().expect("UTF-8")]);
    let other = Home::new();
    other.succeeds(&["restore", again.to_str().expect("UTF-8")]);
    assert!(other.succeeds(&["export"]) == exported);
}

#[tokio::test]
async fn refused_commands_change_nothing() {
    let mut server = Server::start();
    create_conversations(&server).await;
    let held = command_on(&server, &["restore", "x"])
        .output()
        .expect("it runs");
    assert_eq!(held.status.code(), Some(1));
    for command in ["check", "compact"] {
        let refused = command_on(&server, &[command]).output().expect("it runs");
        assert_eq!(refused.status.code(), Some(1), "{command}");
        let message = String::from_utf8_lossy(&refused.stderr);
        assert!(message.contains("stop it first"), "{command}: {message}");
        let asks = message.contains("`sessiond backup FILE` asks a running server");
        assert_eq!(asks, command == "compact", "{message}");
    }
    assert!(server.terminate().success());
    let home = Home::with_data_of(&server);
    let file = home.path("backup.redb");
    let path = file.to_str().expect("UTF-8");
    home.succeeds(&["backup", path]);
    assert!(
        home.fails(&["backup", path])
            .contains("a backup never overwrites a file")
    );
    assert!(home.fails(&["restore", path]).contains("--force"));
    let message = home.fails(&["restore", "--force", "/no/such/file"]);
    assert_eq!(message.matches("(os error 2)").count(), 1, "{message}");
    assert!(
        message.contains("name a file that `sessiond backup"),
        "{message}"
    );
    let message = home.fails(&["backup", "/no/such/file"]);
    assert!(
        message.contains("name a file in an existing directory"),
        "{message}"
    );

    // A file that fails its check is not restored.
    let sound = std::fs::read(&file).expect("the backup");
    let mut corrupted = sound.clone();
    let at = corrupted
        .windows(6)
        .rposition(|window| window == b"hello ")
        .expect("a message");
    corrupted[at] ^= 1;
    let cut = sound[..sound.len() / 2].to_vec();
    for (bytes, reason) in [
        (corrupted, "was not restored"),
        (cut, "damaged"),
        (b"SQLite format 3\0".repeat(512), "not a sessiond database"),
        (Vec::new(), "not a sessiond database"),
    ] {
        std::fs::write(&file, bytes).expect("a file");
        let message = home.fails(&["restore", "--force", path]);
        assert!(message.contains(reason), "{message}");
        let is_advice =
            message.contains("choose another backup") || message.contains("name a file");
        assert!(is_advice, "{message}");
        assert!(!message.contains("sessiond check"), "{message}");
        assert!(!message.contains("panicked"), "{message}");
    }

    // With --force a sound backup replaces any file.
    std::fs::write(&file, sound).expect("a file");
    let exported = home.succeeds(&["export"]);
    std::fs::write(home.database(), b"hardly a database").expect("a file");
    home.succeeds(&["restore", "--force", path]);
    assert!(home.succeeds(&["export"]) == exported);
}

#[tokio::test]
async fn the_database_of_a_running_server_is_not_replaced() {
    let server = Server::start();
    create_conversations(&server).await;
    let home = Home::new();
    let file = home.path("backup.redb");
    let path = file.to_str().expect("UTF-8");
    succeeded(
        &command_on(&server, &["backup", path])
            .output()
            .expect("it runs"),
    );
    let before = create_conversations(&server).await;
    let refused = command_on(&server, &["restore", "--force", path])
        .output()
        .expect("it runs");
    let message = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && message.contains("stop it first"),
        "{message}"
    );
    let exported = command_on(&server, &["export"]).output().expect("it runs");
    assert!(succeeded(&exported).contains(&before[0]));
}

/// Returns a directory with a database and a backup of it.
async fn home_with_backup() -> (Home, String) {
    let mut server = Server::start();
    create_conversations(&server).await;
    assert!(server.terminate().success());
    let home = Home::with_data_of(&server);
    let file = home.path("backup.redb");
    let path = file.to_str().expect("UTF-8").to_owned();
    home.succeeds(&["backup", &path]);
    (home, path)
}

#[tokio::test]
async fn a_restored_database_has_the_owner_of_the_present_one() {
    let (home, backup) = home_with_backup().await;
    let owner = |file: &Path| {
        let found = std::fs::metadata(file).expect("a file");
        (found.uid(), found.gid(), found.mode() & 0o777)
    };
    std::fs::set_permissions(home.database(), Permissions::from_mode(0o640)).expect("a mode");
    let mut expected = owner(&home.database());
    if chown(home.database(), Some(4_401), Some(4_402)).is_ok() {
        expected = (4_401, 4_402, 0o640);
    }
    home.succeeds(&["restore", "--force", &backup]);
    assert_eq!(owner(&home.database()), expected);

    // If there is none, the owner is that of the directory, and only the owner has access.
    std::fs::remove_file(home.database()).expect("it was there");
    let mut expected = (expected.0, expected.1, 0o600);
    if chown(home.path("data"), Some(4_403), Some(4_404)).is_ok() {
        (expected.0, expected.1) = (4_403, 4_404);
    }
    home.succeeds(&["restore", &backup]);
    assert_eq!(owner(&home.database()), expected);
}

#[tokio::test]
async fn a_restore_follows_a_link() {
    let (home, backup) = home_with_backup().await;
    let exported = home.succeeds(&["export"]);
    let file = home.path("elsewhere.redb");
    std::fs::remove_file(home.database()).expect("it was there");
    symlink("../elsewhere.redb", home.database()).expect("a link");
    for force in [&["restore", &backup][..], &["restore", "--force", &backup]] {
        home.succeeds(force);
        let is_link = std::fs::symlink_metadata(home.database());
        assert!(is_link.expect("a link").is_symlink());
        assert!(file.is_file());
        assert!(home.succeeds(&["export"]) == exported);
    }
}

#[tokio::test]
async fn the_database_is_not_accepted_as_its_own_backup() {
    let (home, _) = home_with_backup().await;
    let link = home.path("link.redb");
    symlink(home.database(), &link).expect("a link");
    for name in [home.database(), link] {
        let message = home.fails(&["restore", "--force", name.to_str().expect("UTF-8")]);
        assert!(message.contains("is the database itself"), "{message}");
    }
}

#[test]
fn a_pipe_is_refused_as_a_backup_without_waiting() {
    let home = Home::new();
    let pipe = home.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());
    let message = home.fails(&["restore", pipe.to_str().expect("UTF-8")]);
    assert!(message.contains("is not a regular file"), "{message}");
}
