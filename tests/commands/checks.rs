//! `check` and `compact`.

use super::data::{Home, create_conversations};
use super::support::server::Server;

#[tokio::test]
async fn a_check_finds_faults_and_changes_nothing() {
    let mut server = Server::start();
    create_conversations(&server).await;
    // Not stopped cleanly.
    server.kill9();
    let home = Home::with_data_of(&server);
    let before = home.bytes();
    assert!(home.succeeds(&["check"]).contains("sound, 4 sessions"));
    assert!(home.bytes() == before);

    // Pages are copied on write, so some copies of the text may be unused.
    let mut corrupted = before.clone();
    for at in 0..corrupted.len() - 6 {
        if corrupted[at..].starts_with(b"hello ") {
            corrupted[at] ^= 1;
        }
    }
    assert!(corrupted != before);
    std::fs::write(home.database(), &corrupted).expect("a file");
    let output = home.run(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(home.bytes() == corrupted);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!message.contains("panicked"), "{message}");
    let faults = String::from_utf8_lossy(&output.stdout);
    assert!(faults.contains("checksum does not match"), "{faults}");

    for bytes in [b"hello".to_vec(), Vec::new(), before[..8192].to_vec()] {
        std::fs::write(home.database(), &bytes).expect("a file");
        assert!(!home.fails(&["check"]).is_empty());
    }
    std::fs::write(home.database(), &before[..8192]).expect("a file");
    for (command, checks) in [("check", false), ("export", true), ("compact", true)] {
        let message = home.fails(&[command]);
        assert!(
            message.contains("`sessiond restore --force FILE`"),
            "{message}"
        );
        assert_eq!(message.contains("`sessiond check`"), checks, "{message}");
        assert!(message.contains("The file was left as it is"), "{message}");
    }
    let home = Home::new();
    let message = home.fails(&["check"]);
    assert_eq!(message.matches("(os error 2)").count(), 1, "{message}");
    let data_dir = home.path("data").display().to_string();
    assert!(
        message.contains(&format!("starts in {data_dir};")),
        "{message}"
    );
    assert!(message.contains("--data-dir or DATA_DIR"), "{message}");
}

#[tokio::test]
async fn a_database_is_compacted_and_serves_as_before() {
    let mut server = Server::start();
    create_conversations(&server).await;
    assert!(server.terminate().success());
    let home = Home::with_data_of(&server);
    let exported = home.succeeds(&["export"]);
    let before = home.bytes().len();
    let message = home.succeeds(&["compact"]);
    assert!(message.contains(&before.to_string()), "{message}");
    assert!(home.bytes().len() <= before);
    assert!(home.succeeds(&["export"]) == exported);
    assert!(home.succeeds(&["check"]).contains("sound"));
    assert!(!Home::new().fails(&["compact"]).is_empty());
}
