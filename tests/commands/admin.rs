//! Backup and export over HTTP.

use reqwest::StatusCode;
use serde_json::Value;

use super::data::{Home, client, create_conversations};
use super::support::server::Server;

#[tokio::test]
async fn a_session_is_exported_by_its_id() {
    let server = Server::start();
    let sessions = create_conversations(&server).await;
    let get = |query: String| {
        client()
            .get(server.at(&format!("/api/admin/export{query}")))
            .send()
    };
    let all = get(String::new()).await.expect("an answer");
    assert_eq!(all.headers()["content-type"], "application/x-ndjson");
    let all = all.text().await.expect("a body");
    assert_eq!(all.lines().count(), 24);
    let one = get(format!("?session={}", sessions[1]))
        .await
        .expect("an answer");
    let one = one.text().await.expect("a body");
    assert_eq!(one.lines().count(), 5);
    for unknown in ["x", "00000000-0000-7000-8000-000000000000"] {
        let none = get(format!("?session={unknown}")).await.expect("an answer");
        assert_eq!(none.status(), StatusCode::NOT_FOUND);
        let body: Value = none.json().await.expect("JSON");
        assert_eq!(body["code"], "SESSION_NOT_FOUND");
    }
}

#[tokio::test]
async fn one_backup_runs_at_a_time_and_leaves_no_file() {
    let server = Server::start();
    create_conversations(&server).await;
    let names = || {
        let entries = std::fs::read_dir(server.data_dir()).expect("the directory");
        entries
            .map(|entry| entry.expect("an entry").file_name())
            // The reserved space may be created at any time.
            .filter(|name| name != "sessiond.reserve")
            .collect::<Vec<_>>()
    };
    let before = names();
    let get = || client().get(server.at("/api/admin/backup")).send();
    let (one, other) = tokio::join!(get(), get());
    let answers = [one.expect("an answer"), other.expect("an answer")];
    for answer in answers {
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            assert!(answer.headers().contains_key("retry-after"));
            continue;
        }
        assert_eq!(answer.status(), StatusCode::OK);
        let length = answer.content_length().expect("a length");
        let bytes = answer.bytes().await.expect("a body");
        assert_eq!(bytes.len() as u64, length);
        let home = Home::new();
        std::fs::create_dir(home.path("data")).expect("a directory");
        std::fs::write(home.database(), &bytes).expect("a file");
        assert!(home.succeeds(&["check"]).contains("sound, 4 sessions"));
    }
    assert_eq!(names(), before);
    let again = get().await.expect("an answer");
    assert_eq!(again.status(), StatusCode::OK);
}
