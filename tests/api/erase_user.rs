//! Deleting all sessions of a user.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::{
    Answer, ELIZA, Events, MINUTE, SCRIPTED, SESSIONS, START, Server, UNKNOWN_ID, USER, answer, at,
};
use crate::jwt;

const ADMIN: &str = "the admins' token";

/// Another user.
const OTHER: &str = "22222222-bbbb-0000-0000-000000000002";

fn path(query: &str) -> String {
    format!("{SESSIONS}{query}")
}

fn of(user: &str) -> String {
    path(&format!("?userId={user}"))
}

async fn session_of(server: &Server, user: &str) -> String {
    server
        .session_with(json!({ "agentId": SCRIPTED, "userId": user }))
        .await
}

fn erased(number: u64) -> Value {
    let data = json!({ "success": true, "deleted": number });
    json!({ "success": true, "deleted": number, "data": data })
}

async fn exported(server: &Server, query: &str) -> String {
    server.get_text(&format!("/api/admin/export{query}")).await
}

#[tokio::test]
async fn all_sessions_of_a_user_are_erased_and_no_others() {
    let server = Server::start().await;
    let old = session_of(&server, USER).await;
    server.ask(&old, "say a word of mine").await;
    server.advance(45 * MINUTE);
    let theirs = session_of(&server, OTHER).await;
    server.ask(&theirs, "x").await;
    let fields = json!({ "agentId": ELIZA, "userId": USER, "metadata": { "note": "of mine" } });
    let keyed = || server.creating(&fields).header("Idempotency-Key", "mine");
    let created = answer(keyed()).await.expect(201).body;
    let new = created["sessionId"].as_str().unwrap().to_owned();
    let own = exported(&server, &format!("?userId={USER}")).await;
    assert_eq!(own.lines().count(), 4);
    for id in [&old, &new] {
        assert!(own.contains(id), "{own}");
    }

    let deleted = server.delete(&of(&USER.to_uppercase())).await.expect(200);
    assert_eq!(deleted.body, erased(2));
    for id in [&old, &new] {
        let gone = server.get(&at(id, "")).await;
        gone.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
        let transcript = format!("/api/messaging/channels/{id}/messages");
        server.get(&transcript).await.expect(404);
        server.delete(&at(id, "")).await.expect(404);
        let export = format!("/api/admin/export?session={id}");
        server.get(&export).await.expect(404);
    }
    assert_eq!(exported(&server, &format!("?userId={USER}")).await, "");
    let all = exported(&server, "").await;
    assert_eq!(all, exported(&server, &format!("?userId={OTHER}")).await);
    assert_eq!(all.lines().count(), 3);
    let list = server.get(SESSIONS).await.expect(200).body;
    let stats = json!({ "totalSessions": 1, "activeSessions": 1, "expiredSessions": 0 });
    assert_eq!(list["stats"], stats);
    assert_eq!(list["sessions"][0]["sessionId"], theirs);

    assert_eq!(server.delete(&of(USER)).await.expect(200).body, erased(0));
    // The key of the create is free, too.
    let again = answer(keyed()).await.expect(201);
    assert!(!again.has_header("idempotent-replayed"));
    assert_ne!(again.body["sessionId"], new);
    server.stop().await;
}

#[tokio::test]
async fn a_user_must_be_given_exactly_once_or_nothing_is_erased() {
    let server = Server::start().await;
    session_of(&server, USER).await;
    let missing = json!({ "missingFields": ["userId"] });
    for query in [
        "",
        "?",
        "?userId",
        "?userId=",
        "?userId=%20%09",
        "?userid=x",
        "?user=x",
    ] {
        let refused = server.delete(&path(query)).await;
        assert_eq!(refused.invalid("MissingFieldsError"), missing, "{query}");
    }
    let twice = format!("{USER}, {USER}");
    for (query, value) in [
        ("?userId=ada".to_owned(), "ada".to_owned()),
        (format!("?userId={USER}x"), format!("{USER}x")),
        (format!("?userId={USER}&userId={USER}"), twice),
        (format!("?userId={USER}&x=1&userId="), format!("{USER}, ")),
        ("?userId=&userId=".into(), ", ".into()),
        (format!("?userId%5B%5D={USER}&userId=%2A"), "*".into()),
    ] {
        let refused = server.delete(&path(&query)).await;
        let details = refused.invalid("InvalidUuidError");
        assert_eq!(
            details,
            json!({ "field": "userId", "value": value }),
            "{query}"
        );
    }
    let list = server.get(SESSIONS).await.expect(200).body;
    assert_eq!(list["total"], 1);
    server.stop().await;
}

#[tokio::test]
async fn open_turns_are_cancelled_and_rooms_hear_of_it() {
    let server = Server::start().await;
    let session = session_of(&server, USER).await;
    let events = server.request(Method::GET, &at(&session, "/events"));
    let mut events = Events::open(events).await;
    events.expect("state").await;
    let waiting = server.wait_for(&session, "hold");
    events.expect("messageBroadcast").await;
    server.delete(&of(USER)).await.expect(200);
    let waited = waiting.await.unwrap();
    waited.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    let deleted = loop {
        let (name, data) = events.next().await.expect("not the end");
        if name == "channelDeleted" {
            break data;
        }
    };
    assert_eq!(deleted["sessionId"], session);
    assert!(events.next().await.is_none(), "the stream ends");
    server.stop().await;
}

#[tokio::test]
async fn a_user_erases_itself_and_an_admin_everyone() {
    let server = Server::builder()
        .set("ELIZA_SERVER_AUTH_TOKEN", "the servers' token")
        .set("SESSIOND_ADMIN_TOKEN", ADMIN)
        .set("JWT_SECRET", jwt::KEY)
        .start()
        .await;
    let token = jwt::token(USER, START.0 / 1000 + 24 * 3600);
    let by_user = |request: RequestBuilder| request.bearer_auth(&token);
    let by_admin = |request: RequestBuilder| request.bearer_auth(ADMIN);
    let create = async |user: &str| {
        let fields = json!({ "agentId": SCRIPTED, "userId": user });
        answer(by_admin(server.creating(&fields))).await.expect(201)
    };
    let erase = |path: &str| server.request(Method::DELETE, path);
    let total = async || {
        let list = answer(by_admin(server.request(Method::GET, SESSIONS))).await;
        list.expect(200).body["total"].clone()
    };
    for user in [USER, USER, OTHER, UNKNOWN_ID] {
        create(user).await;
    }
    let refused = answer(by_user(erase(&of(OTHER)))).await;
    refused.error(403, "FORBIDDEN", "ForbiddenError");
    // The request as such is checked first.
    let refused: Answer = answer(by_user(erase(SESSIONS))).await;
    refused.invalid("MissingFieldsError");
    let refused = answer(by_user(erase(&of("x")))).await;
    refused.invalid("InvalidUuidError");
    let as_server = erase(&of(USER)).header("x-api-key", "the servers' token");
    answer(as_server).await.expect(403);
    answer(erase(&of(USER))).await.expect(401);
    assert_eq!(total().await, 4);

    let done = answer(by_user(erase(&of(USER)))).await.expect(200);
    assert_eq!(done.body, erased(2));
    assert_eq!(total().await, 2);
    let done = answer(by_admin(erase(&of(OTHER)))).await.expect(200);
    assert_eq!(done.body, erased(1));
    assert_eq!(total().await, 1);
    server.stop().await;
}

#[tokio::test]
async fn an_export_is_of_a_session_or_of_a_user() {
    let server = Server::start().await;
    let session = session_of(&server, USER).await;
    let both = format!("/api/admin/export?session={session}&userId={USER}");
    let details = server.get(&both).await.invalid("InvalidPaginationError");
    assert_eq!(
        (&details["parameter"], &details["value"]),
        (&json!("userId"), &json!(USER))
    );
    for wrong in ["ada", ""] {
        let refused = server
            .get(&format!("/api/admin/export?userId={wrong}"))
            .await;
        refused.invalid("InvalidUuidError");
    }
    assert_eq!(
        exported(&server, &format!("?userId={UNKNOWN_ID}")).await,
        ""
    );
    server.stop().await;
}
