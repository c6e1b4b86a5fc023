//! Commands with `--json`: one value on standard output, everything else on standard error.

use std::process::Output;

use serde_json::{Value, json};

use super::data::{Home, command_on, create_conversations, succeeded};
use super::support::server::Server;

fn parsed(text: &str) -> Value {
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(text).expect("JSON")
}

/// Returns what a command that must fail has printed, and its error.
fn failed(output: &Output) -> (Value, String) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    (parsed(&String::from_utf8_lossy(&output.stdout)), error)
}

#[tokio::test]
async fn a_check_a_compaction_and_an_import() {
    let mut server = Server::start();
    create_conversations(&server).await;
    assert!(server.terminate().success());
    let home = Home::with_data_of(&server);
    let lines = home.succeeds(&["export"]);
    let database = home.database().display().to_string();
    let sound = json!({
        "database": database, "sessions": 4, "sound": true, "faults": [], "damaged": [],
    });
    assert_eq!(parsed(&home.succeeds(&["check", "--json"])), sound);
    let before = home.bytes().len();
    let compacted = home.succeeds(&["compact", "--json"]);
    let after = home.bytes().len();
    let expected = json!({ "database": database, "bytesBefore": before, "bytesAfter": after });
    assert_eq!(parsed(&compacted), expected);

    let other = Home::new();
    std::fs::write(other.path("lines"), lines).expect("a file");
    let imported = other.succeeds(&["import", "--json", "lines"]);
    let database = other.database().display().to_string();
    let expected = json!({ "database": database, "sessions": 4, "messages": 20, "damaged": 0 });
    assert_eq!(parsed(&imported), expected);
    for command in ["check", "compact"] {
        let output = Home::new().run(&[command, "--json"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{output:?}"
        );
    }
}

#[tokio::test]
async fn a_check_lists_the_faults() {
    let mut server = Server::start();
    create_conversations(&server).await;
    assert!(server.terminate().success());
    let home = Home::with_data_of(&server);
    let mut bytes = home.bytes();
    for at in 0..bytes.len() - 6 {
        if bytes[at..].starts_with(b"hello ") {
            bytes[at] ^= 1;
        }
    }
    std::fs::write(home.database(), bytes).expect("a file");
    let listed = home.run(&["check"]);
    let listed = String::from_utf8_lossy(&listed.stdout);
    let (found, error) = failed(&home.run(&["check", "--json"]));
    let faults: Vec<_> = listed.lines().collect();
    assert_eq!(found["faults"], json!(faults));
    assert!(!faults.is_empty());
    assert_eq!(found["sound"], false);
    assert!(error.contains("fault"), "{error}");
}

#[test]
fn the_health_of_a_server() {
    let mut server = Server::start();
    let address = server.url().trim_start_matches("http://").to_owned();
    for (arguments, status) in [
        (&["healthcheck", "--json"][..], "healthy"),
        (&["healthcheck", "--json", "--live"], "ok"),
    ] {
        let output = command_on(&server, arguments).output().expect("it runs");
        let expected = json!({ "ok": true, "address": address, "status": status });
        assert_eq!(parsed(&succeeded(&output)), expected);
    }
    let mut command = command_on(&server, &["healthcheck", "--json"]);
    server.kill9();
    let (found, error) = failed(&command.output().expect("it runs"));
    assert_eq!(found["ok"], false);
    assert_eq!(found["address"], json!(address));
    assert_eq!(found["status"], Value::Null);
    let cause = found["cause"].as_str().expect("a cause");
    assert!(cause.contains("no server answers at"), "{cause}");
    assert_eq!(error, format!("sessiond: {cause}\n"));
}
