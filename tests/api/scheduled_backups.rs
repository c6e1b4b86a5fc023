//! Backups that the server makes by itself.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sessiond::store::maintenance::offline::OfflineDatabase;

use crate::harness::{HOUR, MINUTE, Server, eventually};

const CACHE_BYTES: usize = 1 << 20;

async fn last_backup(server: &Server) -> Option<String> {
    let storage = server.get("/api/admin/storage").await.expect(200).body;
    storage["lastBackup"]["at"].as_str().map(str::to_owned)
}

async fn failures(server: &Server) -> u64 {
    let text = server.get_text("/metrics").await;
    let mut lines = text.lines();
    let line = lines.find_map(|it| it.strip_prefix("sessiond_backup_failures_total "));
    line.unwrap().parse().unwrap()
}

/// Waits for a backup made at the present time.
async fn made(server: &Server) {
    eventually("a backup", async || {
        (last_backup(server).await? == server.now()).then_some(())
    })
    .await;
}

/// Moves the time until the next backup is made. It may still be preparing to wait for it.
async fn next(server: &Server, hours: u32) {
    let earlier = last_backup(server).await;
    server.advance(HOUR * hours);
    eventually("the next backup", async || {
        server.advance(MINUTE);
        (last_backup(server).await != earlier).then_some(())
    })
    .await;
}

fn directory(server: &Server) -> PathBuf {
    server.database().with_file_name("backups")
}

fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// Checks a backup completely, and returns the number of sessions in it.
fn sessions_in(file: &Path) -> u64 {
    let mut database = OfflineDatabase::open(file, CACHE_BYTES).unwrap();
    let mut faults = Vec::new();
    let checked = database.check(&mut |_| {}, &mut |fault| faults.push(fault));
    checked.unwrap();
    assert_eq!(faults, Vec::<String>::new());
    database.sessions().unwrap()
}

#[tokio::test]
async fn a_month_leaves_the_last_seven_verified_backups() {
    let mut server = Server::builder()
        .set("BACKUP_EVERY_HOURS", "24")
        .set("SESSION_VERIFY_INTERVAL_HOURS", "0")
        .start()
        .await;
    made(&server).await;
    let directory = directory(&server);
    let first = files(&directory);
    assert_eq!(first, ["sessiond-20240101T000000.000Z.redb"]);
    let foreign = [
        "notes.txt",
        "sessiond-20240101T000000.000Z.redb.gz",
        "sessiond-old.redb",
    ];
    for name in foreign {
        fs::write(directory.join(name), "not a backup").unwrap();
    }
    let mut expected = Vec::new();
    for day in 1..=30 {
        if day == 15 {
            // A restart neither delays the next one nor makes one at once.
            server.advance(HOUR * 12);
            let earlier = last_backup(&server).await;
            server.restart().await;
            server.settle().await;
            assert_eq!(last_backup(&server).await, earlier);
        }
        server.session().await;
        next(&server, if day == 15 { 11 } else { 23 }).await;
        expected.push(
            files(&directory)
                .into_iter()
                .rfind(|it| it.ends_with("Z.redb"))
                .unwrap(),
        );
    }
    let mut left = files(&directory);
    left.retain(|name| !foreign.contains(&name.as_str()));
    assert_eq!(left, expected[23..]);
    assert!(foreign.iter().all(|name| directory.join(name).exists()));
    assert!(last_backup(&server).await.unwrap().as_str() >= "2024-01-30");
    for name in &left {
        assert!(sessions_in(&directory.join(name)) >= 1, "{name}");
    }
    assert_eq!(failures(&server).await, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_missing_directory_is_reported_and_tried_again() {
    let other = tempfile::tempdir().unwrap();
    let directory = other.path().join("disk");
    let server = Server::builder()
        .set("BACKUP_EVERY_HOURS", "24")
        .set("BACKUP_DIR", directory.to_str().unwrap())
        .set("BACKUP_KEEP", "1")
        .set("SESSION_VERIFY_INTERVAL_HOURS", "0")
        .start()
        .await;
    server.session().await;
    eventually("the failure", async || {
        (failures(&server).await == 1).then_some(())
    })
    .await;
    // A disk that is not mounted there must not fill the one below.
    assert!(!directory.exists());
    assert_eq!(last_backup(&server).await, None);

    fs::create_dir(&directory).unwrap();
    fs::write(
        directory.join("sessiond-20230101T000000.000Z.redb"),
        "an older one",
    )
    .unwrap();
    next(&server, 0).await;
    let left = files(&directory);
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(sessions_in(&directory.join(&left[0])), 1);
    assert_eq!(failures(&server).await, 1);
    server.stop().await;
}

#[tokio::test]
async fn without_the_setting_there_are_no_backups() {
    let server = Server::start().await;
    server.advance(HOUR * 200);
    server.settle().await;
    assert!(!directory(&server).exists());
    let storage = server.get("/api/admin/storage").await.expect(200).body;
    assert_eq!(storage["lastBackup"], Value::Null);
    server.stop().await;
}
