//! Exporting and erasing a person, and what is left in the file.

use reqwest::Method;
use serde_json::{Value, json};
use sessiond::agents::character::ELIZA_ID;

use super::data::{Home, USER, client, command_on, create_conversations, succeeded};
use super::support::server::Server;

const PERSON: &str = "0badcafe-1111-4222-8333-444455556666";

/// It is in the content, the metadata and the keys of the person's sessions.
const WORD: &str = "Xanthippe";

async fn converse(server: &Server) {
    let sessions = server.at("/api/messaging/sessions");
    for number in 0..12 {
        let body = json!({
            "agentId": ELIZA_ID.to_string(), "userId": PERSON, "metadata": { "name": WORD },
        });
        let create = client().post(&sessions).json(&body);
        let create = create.header("Idempotency-Key", format!("create-{WORD}-{number}"));
        let created: Value = create
            .send()
            .await
            .expect("it works")
            .json()
            .await
            .expect("it works");
        let id = created["sessionId"].as_str().expect("it works");
        for turn in 0..4 {
            let body = json!({ "content": format!("I am {WORD}"), "transport": "http" });
            let sent = client()
                .post(format!("{sessions}/{id}/messages"))
                .header("Idempotency-Key", format!("send-{WORD}-{turn}"))
                .json(&body);
            assert_eq!(sent.send().await.expect("it works").status(), 201);
        }
    }
}

fn contains(home: &Home, text: &[u8]) -> bool {
    home.bytes().windows(text.len()).any(|bytes| bytes == text)
}

#[tokio::test]
async fn nothing_of_an_erased_person_is_left_after_a_compaction() {
    let mut server = Server::start();
    create_conversations(&server).await;
    converse(&server).await;
    create_conversations(&server).await;
    let export = |user: &str| {
        let output = command_on(&server, &["export", "--user", user]).output();
        succeeded(&output.expect("it works"))
    };
    let theirs = export(USER);
    let own = export(PERSON);
    assert_eq!(own.lines().count(), 12 * (1 + 8));
    assert!(own.contains(WORD));
    assert!(!theirs.contains(WORD));

    let path = format!("/api/messaging/sessions?userId={PERSON}");
    let erase = client().request(Method::DELETE, server.at(&path));
    let erased: Value = erase
        .send()
        .await
        .expect("it works")
        .json()
        .await
        .expect("it works");
    assert_eq!(erased["deleted"], 12);
    assert_eq!(export(PERSON), "");
    assert_eq!(export(USER), theirs);
    let all = command_on(&server, &["export"]).output().expect("it works");
    assert_eq!(succeeded(&all), theirs);

    assert!(server.terminate().success());
    let home = Home::with_data_of(&server);
    home.succeeds(&["compact"]);
    let id = uuid::Uuid::parse_str(PERSON).expect("it works").as_u128();
    for left in [WORD.as_bytes(), &id.to_le_bytes(), &id.to_be_bytes()] {
        assert!(!contains(&home, left), "{left:?}");
    }
    assert!(home.succeeds(&["check"]).contains("sound"));
    assert_eq!(home.succeeds(&["export", "--user", USER]), theirs);
    assert_eq!(home.succeeds(&["export", "--user", PERSON]), "");
}

#[test]
fn an_export_of_a_user_requires_a_user() {
    let home = Home::new();
    let blank = home.run(&["export", "--user", " "]);
    assert_eq!(blank.status.code(), Some(2));
    let message = String::from_utf8_lossy(&blank.stderr);
    assert!(message.contains("expected a UUID, or a name"), "{message}");
    let both = home.run(&["export", "--user", PERSON, "--session", PERSON]);
    assert_eq!(both.status.code(), Some(2));
}
