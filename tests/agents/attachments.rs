//! Attachments in the format of `ElizaOS`'s `Media`, and those that are dropped.

use serde_json::{Value, json};

use crate::stand_in::{AGENT, StandIn, character, client, server_with};
use crate::support::server::Server as Process;

const MEDIA: &str = r#"[{"id": "1", "url": "https://h/cat.png", "title": "A cat",
                         "contentType": "image", "source": "gallery"},
                        {"url": "https://h/a.pdf", "mimeType": "application/pdf"},
                        {"url": "https://h/raw"}, {"id": "2", "title": "lost"}]"#;

/// The same in the API's format, without the one that has no URL.
fn stored_media() -> Value {
    json!([
        { "id": "1", "url": "https://h/cat.png", "source": "gallery", "type": "image",
          "name": "A cat" },
        { "url": "https://h/a.pdf", "type": "application/pdf" },
        { "url": "https://h/raw", "type": "file" },
    ])
}

#[tokio::test]
async fn media_are_stored_in_the_format_of_the_api_over_every_transport() {
    let mut stand_in = StandIn::start().await;
    let media: Value = serde_json::from_str(MEDIA).unwrap();
    let reply = json!({ "text": "Here.", "attachments": media });
    for transport in ["http", "sse"] {
        let server = server_with(json!({
            "type": "elizaos", "baseUrl": stand_in.url, "transport": transport,
        }))
        .await;
        let session = server.talk().await;
        let asking = server.wait_for(&session, "A cat, please");
        let made = json!({ "sessionId": "theirs" });
        stand_in.next().await.answer(201, &made).await;
        let mut call = stand_in.next().await;
        if transport == "http" {
            let sent = json!({ "success": true, "agentResponse": reply });
            call.answer(201, &sent).await;
        } else {
            call.open_stream().await;
            call.event("done", &reply).await;
        }
        asking.await.unwrap().expect(201);
        let history = server.history(&session).await;
        assert_eq!(history[1]["content"], "Here.");
        assert_eq!(history[1]["attachments"], stored_media(), "{transport}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_attachment_is_logged_with_its_agent_and_session() {
    let mut stand_in = StandIn::start().await;
    let backend = json!({ "type": "webhook", "url": stand_in.url });
    let setup = Process::builder().env("LOG_FORMAT", "json");
    let directory = setup.data_dir().join("agents");
    std::fs::create_dir_all(&directory).unwrap();
    let file = character(AGENT, &backend).to_string();
    std::fs::write(directory.join("agent.json"), file).unwrap();
    let server = tokio::task::spawn_blocking(|| setup.start()).await.unwrap();

    let client = client();
    let sessions = server.at("/api/messaging/sessions");
    let create = client
        .post(&sessions)
        .json(&json!({ "agentId": AGENT, "userId": AGENT }));
    let created: Value = create.send().await.unwrap().json().await.unwrap();
    let session = created["sessionId"].as_str().unwrap().to_owned();
    let send = client
        .post(format!("{sessions}/{session}/messages"))
        .json(&json!({ "content": "A cat, please", "transport": "http" }))
        .send();
    let answering = async {
        let media: Value = serde_json::from_str(MEDIA).unwrap();
        let answer = json!({ "text": "Here.", "attachments": media });
        stand_in.next().await.answer(200, &answer).await;
    };
    let (answer, ()) = tokio::join!(send, answering);
    assert_eq!(answer.unwrap().status(), 201);
    let page = client.get(format!("{sessions}/{session}/messages")).send();
    let page: Value = page.await.unwrap().json().await.unwrap();
    assert_eq!(page["messages"][0]["attachments"], stored_media());

    let log = server.log();
    let line = log.lines().find(|line| line.contains("is dropped"));
    let line: Value = serde_json::from_str(line.expect("a line of the log")).unwrap();
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["session"], session);
    assert_eq!(line["agent"], AGENT);
    assert_eq!(line["part"], "attachments (1 of them)");
    assert_eq!(
        line["reason"],
        "attachments[3].url must be a non-empty string"
    );
}
