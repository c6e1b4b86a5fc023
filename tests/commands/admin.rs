//! The same, asked of a running server.

use reqwest::StatusCode;
use serde_json::Value;

use super::data::{Place, beside, client, succeeded, talk};
use super::support::server::Server;

#[tokio::test]
async fn a_session_is_exported_by_its_id() {
    let server = Server::start();
    let sessions = talk(&server).await;
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
async fn one_backup_is_made_at_a_time_and_leaves_nothing_behind() {
    let server = Server::start();
    talk(&server).await;
    let names = || {
        let entries = std::fs::read_dir(server.data_dir()).expect("the folder");
        entries
            .map(|entry| entry.expect("an entry").file_name())
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
        let place = Place::new();
        std::fs::create_dir(place.path("data")).expect("a folder");
        std::fs::write(place.database(), &bytes).expect("a file");
        assert!(place.succeeds(&["check"]).contains("sound, 4 sessions"));
    }
    assert_eq!(names(), before);
    let again = get().await.expect("an answer");
    assert_eq!(again.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_commands_bring_the_token_that_the_server_asks_for() {
    let server = Server::builder()
        .env("ELIZA_SERVER_AUTH_TOKEN", "for-users-of-the-api")
        .env("SESSIOND_ADMIN_TOKEN", "for-the-operator")
        .start();
    let refused = beside(&server, &["export"]).output().expect("it runs");
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("401"), "{said}");
    assert!(said.contains("set SESSIOND_ADMIN_TOKEN"), "{said}");
    let wrong = beside(&server, &["export"])
        .env("ELIZA_SERVER_AUTH_TOKEN", "for-users-of-the-api")
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert!(said.contains("403"), "{said}");
    assert!(said.contains("set SESSIOND_ADMIN_TOKEN"), "{said}");
    let place = Place::new();
    let file = place.path("backup.redb");
    let right = beside(&server, &["backup", file.to_str().expect("UTF-8")])
        .env("SESSIOND_ADMIN_TOKEN", "for-the-operator")
        .output()
        .expect("it runs");
    succeeded(&right);
}

#[tokio::test]
async fn the_commands_read_the_token_from_the_file_that_the_server_reads() {
    let builder = Server::builder()
        .env("SESSIOND_ADMIN_TOKEN_FILE", "admin-token")
        .env("JWT_SECRET_FILE", "jwt-key");
    let keys = [
        ("admin-token", "for-the-operator\n"),
        ("jwt-key", "of-users\n"),
    ];
    for (name, key) in keys {
        std::fs::write(builder.home().join(name), key).expect("a file");
    }
    let server = builder.start();
    let place = Place::new();
    let file = place.path("backup.redb");
    for command in [
        &["healthcheck"][..],
        &["export"],
        &["backup", file.to_str().expect("UTF-8")],
    ] {
        let asked = beside(&server, command)
            .env(
                "SESSIOND_ADMIN_TOKEN_FILE",
                server.home().join("admin-token"),
            )
            .env("JWT_SECRET_FILE", server.home().join("jwt-key"))
            .output()
            .expect("it runs");
        succeeded(&asked);
    }
    let unreadable = beside(&server, &["healthcheck"])
        .env("JWT_SECRET_FILE", "/missing/key")
        .output()
        .expect("it runs");
    assert_eq!(unreadable.status.code(), Some(1));
    let said = String::from_utf8_lossy(&unreadable.stderr);
    assert!(
        said.contains("JWT_SECRET_FILE is \"/missing/key\""),
        "{said}"
    );
}
