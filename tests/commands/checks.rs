//! `check` and `compact`.

use super::data::{Place, talk};
use super::support::server::Server;

#[tokio::test]
async fn a_check_finds_what_is_wrong_and_changes_nothing() {
    let mut server = Server::start();
    talk(&server).await;
    // Whatever state it was left in.
    server.kill9();
    let place = Place::of(&server);
    let before = place.bytes();
    assert!(place.succeeds(&["check"]).contains("sound, 4 sessions"));
    assert!(place.bytes() == before);

    // Pages are copied on write, so that there may be older ones that nobody reads any more.
    let mut spoilt = before.clone();
    for at in 0..spoilt.len() - 6 {
        if spoilt[at..].starts_with(b"hello ") {
            spoilt[at] ^= 1;
        }
    }
    assert!(spoilt != before);
    std::fs::write(place.database(), &spoilt).expect("a file");
    let output = place.run(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(place.bytes() == spoilt);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{said}");
    let faults = String::from_utf8_lossy(&output.stdout);
    assert!(faults.contains("checksum does not match"), "{faults}");

    for bytes in [b"hello".to_vec(), Vec::new(), before[..8192].to_vec()] {
        std::fs::write(place.database(), &bytes).expect("a file");
        assert!(!place.fails(&["check"]).is_empty());
    }
    std::fs::write(place.database(), &before[..8192]).expect("a file");
    for (command, checks) in [("check", false), ("export", true), ("compact", true)] {
        let said = place.fails(&[command]);
        assert!(said.contains("`sessiond restore --force FILE`"), "{said}");
        assert_eq!(said.contains("`sessiond check`"), checks, "{said}");
        assert!(said.contains("The file was left as it is"), "{said}");
    }
    let place = Place::new();
    let said = place.fails(&["check"]);
    assert_eq!(said.matches("(os error 2)").count(), 1, "{said}");
    let folder = place.path("data").display().to_string();
    assert!(said.contains(&format!("starts in {folder};")), "{said}");
    assert!(said.contains("--data-dir or DATA_DIR"), "{said}");
}

#[tokio::test]
async fn a_database_is_compacted_and_serves_as_before() {
    let mut server = Server::start();
    talk(&server).await;
    assert!(server.terminate().success());
    let place = Place::of(&server);
    let exported = place.succeeds(&["export"]);
    let before = place.bytes().len();
    let said = place.succeeds(&["compact"]);
    assert!(said.contains(&before.to_string()), "{said}");
    assert!(place.bytes().len() <= before);
    assert!(place.succeeds(&["export"]) == exported);
    assert!(place.succeeds(&["check"]).contains("sound"));
    assert!(!Place::new().fails(&["compact"]).is_empty());
}
