//! Rate limits by address, and quotas of users.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::harness::{
    Answer, MINUTE, SCRIPTED, SECOND, SESSIONS, Server, UNKNOWN_ID, USER, answer,
};

/// Creates a session with this `X-Forwarded-For`.
async fn create_from(server: &Server, forwarded: &str) -> Answer {
    let request = server
        .creating(&json!({}))
        .header("x-forwarded-for", forwarded);
    answer(request).await
}

#[tokio::test]
async fn creates_are_limited_by_address() {
    let server = Server::builder()
        .set("RATE_LIMIT_CREATES_PER_MINUTE", "3")
        .start()
        .await;
    for _ in 0..3 {
        server.create(json!({})).await.expect(201);
    }
    let refused = server.create(json!({})).await;
    let details = refused.error(429, "RATE_LIMIT_EXCEEDED", "RateLimitError");
    assert_eq!(details, json!({ "retryAfter": 20 }));
    assert_eq!(refused.header("retry-after"), "20");
    // `X-Forwarded-For` of an untrusted client is ignored.
    create_from(&server, "1.2.3.4").await.expect(429);
    server.advance(20 * SECOND);
    server.create(json!({})).await.expect(201);
    server.create(json!({})).await.expect(429);
    server.get(SESSIONS).await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_have_their_own_limits() {
    let server = Server::builder()
        .set("RATE_LIMIT_CREATES_PER_MINUTE", "1")
        .set("TRUSTED_PROXIES", "127.0.0.0/8, 10.0.0.0/8")
        .start()
        .await;
    create_from(&server, "1.2.3.4").await.expect(201);
    create_from(&server, "1.2.3.4").await.expect(429);
    create_from(&server, "6.6.6.6, 1.2.3.4, 10.1.1.1")
        .await
        .expect(429);
    create_from(&server, "::ffff:1.2.3.4").await.expect(429);
    create_from(&server, "1.2.3.5").await.expect(201);
    create_from(&server, "2001:db8::1").await.expect(201);
    server.stop().await;
}

#[tokio::test]
async fn messages_are_limited_by_address_and_session() {
    let server = Server::builder()
        .set("RATE_LIMIT_MESSAGES_PER_MINUTE", "2")
        .start()
        .await;
    let (first, second) = (server.session().await, server.session().await);
    let send = async |session: &str| {
        let fields = json!({ "content": "say x", "transport": "http" });
        server.send(session, fields).await
    };
    send(&first).await.expect(201);
    send(&first).await.expect(201);
    let refused = send(&first).await;
    let details = refused.error(429, "RATE_LIMIT_EXCEEDED", "RateLimitError");
    assert_eq!(details, json!({ "retryAfter": 30 }));
    assert_eq!(server.history(&first).await.len(), 4, "nothing is stored");
    send(&second).await.expect(201);
    for _ in 0..5 {
        send(UNKNOWN_ID).await.expect(404);
    }
    server.advance(MINUTE / 2);
    send(&first).await.expect(201);
    send(&first).await.expect(429);
    server.stop().await;
}

#[tokio::test]
async fn the_quota_of_a_user_holds_under_concurrent_creates() {
    let server = Server::builder()
        .set("MAX_SESSIONS_PER_USER", "3")
        .start()
        .await;
    let created = join_all((0..20).map(|_| server.create(json!({})))).await;
    let (made, refused): (Vec<_>, Vec<_>) = created.iter().partition(|it| it.status == 201);
    assert_eq!((made.len(), refused.len()), (3, 17));
    let details = refused[0].error(429, "RATE_LIMIT_EXCEEDED", "RateLimitError");
    assert_eq!(details, json!({ "retryAfter": 1800 }));
    assert_eq!(refused[0].header("retry-after"), "1800");

    // Other users are not affected.
    let other = json!({ "agentId": SCRIPTED, "userId": UNKNOWN_ID });
    server.create(other).await.expect(201);
    // Deleted and expired sessions do not count; `Retry-After` is the time until the next expiry.
    let session = made[0].body["sessionId"].as_str().unwrap();
    server
        .delete(&crate::harness::at(session, ""))
        .await
        .expect(200);
    let short = json!({ "timeoutConfig": { "timeoutMinutes": 5 } });
    server.create(short).await.expect(201);
    let refused = server.create(json!({})).await;
    assert_eq!(refused.header("retry-after"), "300");
    server.advance(5 * MINUTE);
    server.create(json!({})).await.expect(201);
    server.create(json!({})).await.expect(429);
    server.stop().await;
}

#[tokio::test]
async fn a_repeated_create_does_not_count_against_the_quota() {
    let server = Server::builder()
        .set("MAX_SESSIONS_PER_USER", "1")
        .start()
        .await;
    let create = async |key: &str| {
        let request = server.creating(&json!({})).header("idempotency-key", key);
        answer(request).await
    };
    let first = create("a").await.expect(201).body;
    let repeated = create("a").await.expect(201);
    assert_eq!(repeated.body["sessionId"], first["sessionId"]);
    assert_eq!(repeated.header("idempotent-replayed"), "true");
    create("b").await.expect(429);
    // A refused create does not consume its key.
    let session = first["sessionId"].as_str().unwrap();
    server
        .delete(&crate::harness::at(session, ""))
        .await
        .expect(200);
    let made = create("b").await.expect(201);
    assert!(!made.has_header("idempotent-replayed"));
    assert_eq!(made.body["userId"], USER);
    let list = answer(server.request(Method::GET, SESSIONS)).await;
    assert_eq!(list.body["total"], 1);
    server.stop().await;
}

#[tokio::test]
async fn the_quota_ignores_expired_sessions() {
    let server = Server::builder()
        .set("MAX_SESSIONS_PER_USER", "3")
        .start()
        .await;
    let long = || json!({ "timeoutConfig": { "timeoutMinutes": 720 } });
    let short = || json!({ "timeoutConfig": { "timeoutMinutes": 5 } });
    server.create(long()).await.expect(201);
    for _ in 0..70 {
        let other = json!({ "agentId": SCRIPTED, "userId": UNKNOWN_ID });
        server.create(other).await;
        server.create(short()).await.expect(201);
        server.create(short()).await.expect(201);
        server.create(short()).await.expect(429);
        server.advance(5 * MINUTE);
    }
    // The very first session is still active, and is the next to expire.
    server.create(long()).await.expect(201);
    server.create(long()).await.expect(201);
    let refused = server.create(long()).await.expect(429);
    let left = 720 - 70 * 5;
    assert_eq!(refused.header("retry-after"), (left * 60).to_string());
    server.stop().await;
}
