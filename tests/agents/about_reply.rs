//! What comes with a reply, in every place that has one.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Events, Server, at};
use crate::stand_in::{AGENT, StandIn, server_with};

/// The longest thought, in bytes.
const MAX_THOUGHT_BYTES: usize = 16 * 1024;

fn attachments() -> Value {
    json!([{ "type": "image", "url": "https://h/cat.png", "name": "A cat" }])
}

/// Returns the answer of a webhook, whose thought is too long.
fn answer() -> Value {
    json!({
        "text": "Here.",
        "thought": "x".repeat(MAX_THOUGHT_BYTES + 1),
        "actions": ["SHOW"],
        "attachments": attachments(),
        "metadata": { "model": "mine", "big": "y".repeat(10_000) },
    })
}

fn metadata(session: &str) -> Value {
    json!({
        "model": "mine", "big": "y".repeat(10_000), "thought": "x".repeat(MAX_THOUGHT_BYTES),
        "actions": ["SHOW"], "sessionId": session,
    })
}

#[tokio::test]
async fn metadata_and_attachments_are_the_same_everywhere() {
    let mut stand_in = StandIn::start().await;
    let mut server = server_with(json!({ "type": "webhook", "url": stand_in.url })).await;
    let of_session = json!({ "plan": "free", "lang": "en" });
    let session = server
        .session_with(json!({ "agentId": AGENT, "metadata": of_session }))
        .await;
    let room = server.request(Method::GET, &at(&session, "/events"));
    let mut room = Events::open(room).await;
    room.expect("state").await;

    for transport in ["http", "sse"] {
        let sent = json!({
            "content": "A cat", "transport": transport, "metadata": { "lang": "de" },
            "attachments": [{ "type": "audio", "url": "https://h/a.mp3" }],
        });
        let reply = if transport == "http" {
            let asking = server.send(&session, sent);
            let answering = async { stand_in.next().await.answer(200, &answer()).await };
            let (answered, ()) = tokio::join!(asking, answering);
            answered.expect(201).body["agentResponse"].clone()
        } else {
            let mut events = Events::open(server.sending(&session, &sent)).await;
            stand_in.next().await.answer(200, &answer()).await;
            events.expect("user_message").await;
            events.expect("chunk").await;
            events.expect("done").await
        };
        assert_eq!(reply["metadata"], metadata(&session), "{transport}");
        assert_eq!(reply["attachments"], attachments(), "{transport}");
        assert_eq!(reply["thought"], metadata(&session)["thought"]);

        let of_user = room_message(&mut room).await;
        let wanted = json!({ "plan": "free", "lang": "de", "sessionId": session });
        assert_eq!(of_user["metadata"], wanted);
        assert_eq!(of_user["attachments"][0]["type"], "audio");
        let of_agent = room_message(&mut room).await;
        assert_eq!(of_agent["metadata"], metadata(&session));
        assert_eq!(of_agent["attachments"], attachments());
    }
    assert_listed(&server, &session).await;
    drop(room);
    server.restart().await;
    assert_listed(&server, &session).await;
    server.stop().await;
}

/// Returns the next stored message in the room.
async fn room_message(room: &mut Events) -> Value {
    loop {
        let (name, data) = room.next().await.expect("an event");
        if name == "messageBroadcast" {
            return data;
        }
    }
}

async fn assert_listed(server: &Server, session: &str) {
    let history = server.history(session).await;
    assert_eq!(history.len(), 4);
    for reply in [&history[1], &history[3]] {
        assert_eq!(reply["metadata"], metadata(session));
        assert_eq!(reply["attachments"], attachments());
    }
}
