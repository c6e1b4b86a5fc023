//! Deleting a session.

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{MINUTE, SESSIONS, Server, UNKNOWN_ID, at};

#[tokio::test]
async fn a_deleted_session_is_gone_with_its_messages() {
    let server = Server::start().await;
    let session = server.session().await;
    server.ask(&session, "x").await;
    let deleted = server.delete(&at(&session, "")).await.expect(200);
    let message = format!("Session {session} deleted successfully");
    let expected = json!({
        "success": true,
        "message": message,
        "data": { "success": true, "message": message },
    });
    assert_eq!(deleted.body, expected);

    let transcript = format!("/api/messaging/channels/{session}/messages");
    for answer in [
        server.get(&at(&session, "")).await,
        server.get(&at(&session, "/messages")).await,
        server.get(&transcript).await,
        server.send(&session, json!({ "content": "x" })).await,
        server.post(&at(&session, "/renew"), json!({})).await,
        server.post(&at(&session, "/heartbeat"), json!({})).await,
        server.patch(&at(&session, "/timeout"), json!({})).await,
        server.delete(&at(&session, "")).await,
    ] {
        let details = answer.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
        assert_eq!(details, json!({ "sessionId": session }));
    }
    let list = server.get(SESSIONS).await.expect(200).body;
    let none = json!({ "totalSessions": 0, "activeSessions": 0, "expiredSessions": 0 });
    assert_eq!(list, json!({ "sessions": [], "total": 0, "stats": none }));
    assert_eq!(server.stop().await, 0);
}

#[tokio::test]
async fn an_expired_session_can_be_deleted_while_it_is_retained() {
    let server = Server::start().await;
    let session = server.session().await;
    server.advance(31 * MINUTE);
    let list = server.get(SESSIONS).await.expect(200).body;
    assert_eq!(list["stats"]["expiredSessions"], 1);
    server
        .delete(&at(&session.to_uppercase(), ""))
        .await
        .expect(200);
    server.delete(&at(&session, "")).await.expect(404);
    let list = server.get(SESSIONS).await.expect(200).body;
    assert_eq!(list["stats"]["expiredSessions"], 0);
    assert_eq!(server.stop().await, 0);
}

#[tokio::test]
async fn deleting_an_unknown_session_is_a_404() {
    let server = Server::start().await;
    for id in [UNKNOWN_ID, "abc-123"] {
        let missing = server.delete(&at(id, "")).await;
        let details = missing.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
        assert_eq!(details, json!({ "sessionId": id }));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_deleted_long_conversation_is_gone_at_once_and_erased_in_slices() {
    let server = Server::start().await;
    let (long, other) = (server.session().await, server.session().await);
    server.ask(&other, "x").await;
    for batch in 0..12 {
        let sends = (0..15).map(|index| {
            let key = format!("key-{batch}-{index}");
            let sent = json!({ "content": "x", "transport": "http", "clientMessageId": key });
            server.send(&long, sent)
        });
        for sent in join_all(sends).await {
            sent.expect(201);
        }
    }
    server.delete(&at(&long, "")).await.expect(200);
    let transcript = format!("/api/messaging/channels/{long}/messages");
    server.get(&transcript).await.expect(404);
    assert_eq!(server.history(&other).await.len(), 2);
    assert_eq!(server.stop().await, 1);
}

#[tokio::test]
async fn a_deleted_session_stays_deleted_after_a_restart() {
    let mut server = Server::start().await;
    let session = server.session().await;
    server.ask(&session, "x").await;
    server.delete(&at(&session, "")).await.expect(200);
    server.restart().await;
    server.get(&at(&session, "")).await.expect(404);
    server.stop().await;
}
