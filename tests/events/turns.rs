//! The events of a turn.

use serde_json::json;

use crate::reader::{Event, summaries};
use crate::server::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_comes_in_the_documented_order_with_the_documented_payloads() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    let mut reader = server.follow_live(&session).await;
    let body = json!({
        "content": "think hm | act WAVE | say Hello | say , you",
        "attachments": [{ "type": "image", "url": "http://example.org/a.png" }],
        "metadata": { "secret": "of the client" },
        "clientMessageId": "mine-1",
    });
    let sent = server.sending(&session, &body).send().await.unwrap();
    let sent: serde_json::Value = sent.json().await.unwrap();
    let events = reader.until_idle().await;
    assert_eq!(
        summaries(&events),
        [
            "messageBroadcast: think hm | act WAVE | say Hello | say , you",
            "disable_input",
            "messageStreamChunk: Hello",
            "messageStreamChunk: , you",
            "messageBroadcast: Hello, you",
            "messageComplete",
            "enable_input",
        ]
    );
    let nil = "00000000-0000-0000-0000-000000000000";
    let (agent, reply) = (&events[4].data["senderId"], &events[4].data["id"]);
    let times = [0, 4].map(|at: usize| events[at].data["createdAt"].as_i64().unwrap());
    assert_eq!(
        events[0].data,
        json!({
            "id": sent["id"], "senderId": sent["authorId"], "senderName": "User",
            "text": body["content"], "channelId": session, "roomId": session,
            "sessionId": session, "serverId": nil, "messageServerId": nil,
            "createdAt": times[0], "source": "user", "attachments": body["attachments"],
            "metadata": sent["metadata"],
        })
    );
    assert_eq!(
        events[1].data,
        json!({ "action": "disable_input", "channelId": session, "roomId": session })
    );
    for (index, text) in ["Hello", ", you"].into_iter().enumerate() {
        assert_eq!(
            events[2 + index].data,
            json!({
                "messageId": reply, "chunk": text, "index": index, "agentId": agent,
                "channelId": session,
            })
        );
    }
    assert_eq!(
        events[4].data,
        json!({
            "id": reply, "senderId": agent, "senderName": "Scripted", "text": "Hello, you",
            "channelId": session, "roomId": session, "sessionId": session, "serverId": nil,
            "messageServerId": nil, "createdAt": times[1], "source": "agent_response",
            "thought": "hm", "actions": ["WAVE"], "inReplyTo": sent["id"],
            "metadata": { "thought": "hm", "actions": ["WAVE"], "sessionId": session },
        })
    );
    assert_eq!(
        events[5].data,
        json!({ "channelId": session, "sessionId": session })
    );
    for event in &events {
        let time = event.data["createdAt"].as_i64().map(|at| at.to_string());
        assert_eq!(event.id, time, "only messages have ids: {event:?}");
    }
    assert!(times[0] < times[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_is_not_streamed_comes_as_one_chunk() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    let mut reader = server.follow_live(&session).await;
    server.send(&session, "plain").await;
    assert_eq!(
        summaries(&reader.until_idle().await),
        [
            "messageBroadcast: plain",
            "disable_input",
            "messageStreamChunk: plain",
            "messageBroadcast: plain",
            "messageComplete",
            "enable_input",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_turn_ends_with_an_error_and_enables_the_input() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    let mut reader = server.follow_live(&session).await;
    server
        .send(&session, "say half | say of it | fail badly")
        .await;
    let events = reader.until_idle().await;
    assert_eq!(
        summaries(&events)[1..],
        [
            "disable_input",
            "messageStreamChunk: half",
            "messageStreamChunk: of it",
            "messageStreamError",
            "messageComplete",
            "enable_input",
        ]
    );
    let (chunk, error) = (&events[2].data, &events[4].data);
    assert_eq!(error["messageId"], chunk["messageId"]);
    assert_eq!(error["agentId"], chunk["agentId"]);
    assert_eq!(error["channelId"], session);
    assert_eq!(error["partialText"], "halfof it");
    let reason = error["error"].as_str().unwrap();
    assert!(
        !reason.is_empty() && !reason.contains("badly"),
        "details of the backend belong in the log only: {reason}"
    );

    for script in ["fail at once", "end", "panic"] {
        server.send(&session, script).await;
        let events = reader.until_idle().await;
        let shown = [
            &format!("messageBroadcast: {script}"),
            "disable_input",
            "messageStreamError",
            "messageComplete",
            "enable_input",
        ];
        assert_eq!(summaries(&events), shown);
        assert_eq!(events[2].data.get("partialText"), None, "{script}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_of_a_failed_message_disables_the_input_again() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    let mut reader = server.follow_live(&session).await;
    let body = json!({ "content": "fail", "clientMessageId": "again" });
    server.sending(&session, &body).send().await.unwrap();
    reader.until_idle().await;
    server.sending(&session, &body).send().await.unwrap();
    assert_eq!(
        summaries(&reader.until_idle().await),
        [
            "disable_input",
            "messageStreamError",
            "messageComplete",
            "enable_input",
        ],
        "the message is stored once, so it is sent once"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_messages_disable_and_enable_the_input_once() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    let mut reader = server.follow_live(&session).await;
    server
        .send(&session, "say one | wait 60000 | say and half")
        .await;
    let mut events = reader.until(Event::is_chunk).await;
    server.send(&session, "fail").await;
    server.send(&session, "say three").await;
    server.minutes_pass(1).await;
    events.extend(reader.until_idle().await);
    assert_eq!(
        summaries(&events),
        [
            "messageBroadcast: say one | wait 60000 | say and half",
            "disable_input",
            "messageStreamChunk: one",
            "messageBroadcast: fail",
            "messageBroadcast: say three",
            "messageStreamChunk: and half",
            "messageBroadcast: oneand half",
            "messageComplete",
            "messageStreamError",
            "messageComplete",
            "messageStreamChunk: three",
            "messageBroadcast: three",
            "messageComplete",
            "enable_input",
        ]
    );
    reader.stays_silent().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_renews_its_session_sends_an_event() {
    let server = Server::start().await;
    let session = server.create(json!({ "timeoutMinutes": 30 })).await;
    let mut reader = server.follow_live(&session).await;
    server.minutes_pass(10).await;
    let sent = server.send(&session, "say hi").await;
    let mut events = reader.until_idle().await;
    let renewed = events
        .iter()
        .position(|event| event.name == "sessionRenewed");
    let renewed = events.remove(renewed.expect("it was renewed"));
    assert_eq!(
        renewed.data,
        json!({
            "sessionId": session, "expiresAt": sent["sessionStatus"]["expiresAt"],
            "renewalCount": 1,
        })
    );
    assert_eq!(
        summaries(&events),
        [
            "messageBroadcast: say hi",
            "disable_input",
            "messageStreamChunk: hi",
            "messageBroadcast: hi",
            "messageComplete",
            "enable_input",
        ]
    );
    for (call, count) in [("/heartbeat", 2), ("/renew", 3)] {
        let info = server.post(&session, call).await;
        let renewed = reader.expect("sessionRenewed").await;
        assert_eq!(renewed.data["renewalCount"], count);
        assert_eq!(renewed.data["expiresAt"], info["expiresAt"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_has_only_the_events_of_its_session() {
    let server = Server::start().await;
    let (session, other) = (server.create_plain().await, server.create_plain().await);
    let mut reader = server.follow_live(&session).await;
    server.ask(&other, "say psst").await;
    server.delete(&other).await;
    reader.stays_silent().await;
}
