//! Changes of a session's metadata.

use serde_json::{Value, json};

use crate::reader::summaries;
use crate::server::{Server, good};

async fn update(server: &Server, session: &str, metadata: Value) -> Value {
    let request = server.http.patch(server.at(session, ""));
    good(request.json(&json!({ "metadata": metadata }))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_comes_with_all_of_the_metadata_and_no_change_does_not() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    let mut reader = server.follow_live(&session).await;
    update(
        &server,
        &session,
        json!({ "title": "Tea", "a": { "b": 1 } }),
    )
    .await;
    let event = reader.expect("sessionUpdated").await;
    assert_eq!(event.id, None);
    assert_eq!(
        event.data,
        json!({ "sessionId": session, "metadata": { "title": "Tea", "a": { "b": 1 } } })
    );
    for nothing in [
        json!({}),
        json!({ "a": { "b": 1 } }),
        json!({ "gone": null }),
    ] {
        update(&server, &session, nothing).await;
    }
    update(&server, &session, json!({ "a": null })).await;
    let event = reader.expect("sessionUpdated").await;
    assert_eq!(event.data["metadata"], json!({ "title": "Tea" }));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copied_conversation_is_not_announced_but_can_be_read_again() {
    let server = Server::start().await;
    let source = server.create_plain().await;
    server.ask(&source, "say one").await;
    let original = good(server.http.get(server.at(&source, ""))).await;
    let created = server
        .http
        .post(format!("{}/api/messaging/sessions", server.url));
    let created = created.json(&json!({
        "agentId": original["agentId"], "userId": original["userId"],
        "timeoutConfig": { "autoRenew": false }, "continueFrom": { "sessionId": source },
    }));
    let session = good(created).await["sessionId"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut reader = server.resume(&session, "0").await;
    let replayed = reader.until(|event| event.name == "state").await;
    assert_eq!(
        summaries(&replayed[..2]),
        ["messageBroadcast: say one", "messageBroadcast: one"]
    );
    // Live events begin with the first new message.
    server.send(&session, "say two").await;
    let live = reader.until_idle().await;
    assert_eq!(live[0].summary(), "messageBroadcast: say two");
    server.stop().await;
}
