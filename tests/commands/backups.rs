//! `backup` and `restore`.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;

use super::data::{Place, beside, succeeded, talk};
use super::support::server::Server;

#[tokio::test]
async fn a_backup_of_a_running_server_is_restored_whole() {
    let mut server = Server::start();
    talk(&server).await;
    let place = Place::new();
    let file = place.path("backup.redb");
    let path = file.to_str().expect("UTF-8");
    let backup = beside(&server, &["backup", path])
        .output()
        .expect("it runs");
    assert!(succeeded(&backup).contains("4 sessions"));
    let exported = beside(&server, &["export"]).output().expect("it runs");
    let exported = succeeded(&exported);
    assert!(server.terminate().success());

    place.succeeds(&["restore", path]);
    assert!(place.succeeds(&["export"]) == exported);
    assert!(place.succeeds(&["check"]).contains("sound"));
    assert_eq!(place.names(), ["sessiond.redb"]);

    // Of a database that no server holds, it is the same.
    let again = place.path("again.redb");
    place.succeeds(&["backup", again.to_str().expect("UTF-8")]);
    let other = Place::new();
    other.succeeds(&["restore", again.to_str().expect("UTF-8")]);
    assert!(other.succeeds(&["export"]) == exported);
}

#[tokio::test]
async fn refusals_leave_everything_as_it_was() {
    let mut server = Server::start();
    talk(&server).await;
    let held = beside(&server, &["restore", "x"])
        .output()
        .expect("it runs");
    assert_eq!(held.status.code(), Some(1));
    for command in ["check", "compact"] {
        let refused = beside(&server, &[command]).output().expect("it runs");
        assert_eq!(refused.status.code(), Some(1), "{command}");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains("stop it first"), "{command}: {said}");
        let asks = said.contains("`sessiond backup FILE` asks a running server");
        assert_eq!(asks, command == "compact", "{said}");
    }
    assert!(server.terminate().success());
    let place = Place::of(&server);
    let file = place.path("backup.redb");
    let path = file.to_str().expect("UTF-8");
    place.succeeds(&["backup", path]);
    assert!(
        place
            .fails(&["backup", path])
            .contains("a backup replaces nothing")
    );
    assert!(place.fails(&["restore", path]).contains("--force"));
    let said = place.fails(&["restore", "--force", "/no/such/file"]);
    assert_eq!(said.matches("(os error 2)").count(), 1, "{said}");
    assert!(said.contains("name a file that `sessiond backup"), "{said}");
    let said = place.fails(&["backup", "/no/such/file"]);
    assert!(said.contains("name a file in a folder"), "{said}");

    // A file that fails its check is no backup.
    let sound = std::fs::read(&file).expect("the backup");
    let mut spoilt = sound.clone();
    let place_of_text = spoilt
        .windows(6)
        .rposition(|window| window == b"hello ")
        .expect("a message");
    spoilt[place_of_text] ^= 1;
    let cut = sound[..sound.len() / 2].to_vec();
    for (bytes, reason) in [
        (spoilt, "is not restored"),
        (cut, "damaged"),
        (b"SQLite format 3\0".repeat(512), "not a sessiond database"),
        (Vec::new(), "not a sessiond database"),
    ] {
        std::fs::write(&file, bytes).expect("a file");
        let said = place.fails(&["restore", "--force", path]);
        assert!(said.contains(reason), "{said}");
        let is_advice = said.contains("choose another backup") || said.contains("name a file");
        assert!(is_advice, "{said}");
        assert!(!said.contains("sessiond check"), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }

    // With --force a sound one takes the place of what is there.
    std::fs::write(&file, sound).expect("a file");
    let exported = place.succeeds(&["export"]);
    std::fs::write(place.database(), b"hardly a database").expect("a file");
    place.succeeds(&["restore", "--force", path]);
    assert!(place.succeeds(&["export"]) == exported);
}

#[tokio::test]
async fn a_server_that_holds_the_database_is_not_replaced() {
    let server = Server::start();
    talk(&server).await;
    let place = Place::new();
    let file = place.path("backup.redb");
    let path = file.to_str().expect("UTF-8");
    succeeded(
        &beside(&server, &["backup", path])
            .output()
            .expect("it runs"),
    );
    let before = talk(&server).await;
    let refused = beside(&server, &["restore", "--force", path])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("stop it first"),
        "{said}"
    );
    let exported = beside(&server, &["export"]).output().expect("it runs");
    assert!(succeeded(&exported).contains(&before[0]));
}

/// A place with a database, stopped, and a backup of it.
async fn place_with_backup() -> (Place, String) {
    let mut server = Server::start();
    talk(&server).await;
    assert!(server.terminate().success());
    let place = Place::of(&server);
    let file = place.path("backup.redb");
    let path = file.to_str().expect("UTF-8").to_owned();
    place.succeeds(&["backup", &path]);
    (place, path)
}

#[tokio::test]
async fn what_is_restored_belongs_to_whom_the_database_belonged() {
    let (place, backup) = place_with_backup().await;
    let owner = |file: &Path| {
        let found = std::fs::metadata(file).expect("a file");
        (found.uid(), found.gid(), found.mode() & 0o777)
    };
    std::fs::set_permissions(place.database(), Permissions::from_mode(0o640)).expect("a mode");
    let mut expected = owner(&place.database());
    if chown(place.database(), Some(4_401), Some(4_402)).is_ok() {
        expected = (4_401, 4_402, 0o640);
    }
    place.succeeds(&["restore", "--force", &backup]);
    assert_eq!(owner(&place.database()), expected);

    // Where there was none, the folder says whose it is to be, and it is for its owner alone.
    std::fs::remove_file(place.database()).expect("it was there");
    let mut expected = (expected.0, expected.1, 0o600);
    if chown(place.path("data"), Some(4_403), Some(4_404)).is_ok() {
        (expected.0, expected.1) = (4_403, 4_404);
    }
    place.succeeds(&["restore", &backup]);
    assert_eq!(owner(&place.database()), expected);
}

#[tokio::test]
async fn what_is_restored_goes_through_a_link() {
    let (place, backup) = place_with_backup().await;
    let exported = place.succeeds(&["export"]);
    let file = place.path("elsewhere.redb");
    std::fs::remove_file(place.database()).expect("it was there");
    symlink("../elsewhere.redb", place.database()).expect("a link");
    for force in [&["restore", &backup][..], &["restore", "--force", &backup]] {
        place.succeeds(force);
        let is_link = std::fs::symlink_metadata(place.database());
        assert!(is_link.expect("a link").is_symlink());
        assert!(file.is_file());
        assert!(place.succeeds(&["export"]) == exported);
    }
}

#[tokio::test]
async fn the_database_is_no_backup_of_itself() {
    let (place, _) = place_with_backup().await;
    let link = place.path("link.redb");
    symlink(place.database(), &link).expect("a link");
    for name in [place.database(), link] {
        let said = place.fails(&["restore", "--force", name.to_str().expect("UTF-8")]);
        assert!(said.contains("is the database itself"), "{said}");
    }
}

#[test]
fn a_pipe_is_no_backup_and_keeps_no_command_waiting() {
    let place = Place::new();
    let pipe = place.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());
    let said = place.fails(&["restore", pipe.to_str().expect("UTF-8")]);
    assert!(said.contains("is no file, and a backup is one"), "{said}");
}
