//! Idempotency keys of creates.

use std::fs;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{
    Answer, ELIZA, HOUR, MINUTE, SESSIONS, START, Server, answer, at, just_before, time,
};

const OTHER: &str = "22222222-0000-0000-0000-000000000002";

async fn create(server: &Server, key: &str, fields: Value) -> Answer {
    let request = server.creating(&fields);
    answer(request.header("idempotency-key", key)).await
}

/// Creates a session, which must be new, and returns its id.
async fn new(server: &Server, key: &str, fields: Value) -> String {
    let created = create(server, key, fields).await.expect(201);
    assert!(
        !created.has_header("idempotent-replayed"),
        "{:#}",
        created.body
    );
    created.body["sessionId"].as_str().unwrap().to_owned()
}

/// Repeats a create, which must be replayed, and returns the session's id.
async fn replayed(server: &Server, key: &str, fields: Value) -> String {
    let created = create(server, key, fields).await.expect(201);
    assert_eq!(created.header("idempotent-replayed"), "true");
    created.body["sessionId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_repeat_returns_the_session_as_it_is_now() {
    let mut server = Server::start().await;
    let fields = json!({ "metadata": { "a": 1 }, "timeoutConfig": { "timeoutMinutes": 40 } });
    let session = new(&server, "k", fields.clone()).await;
    server.advance(10 * MINUTE);
    server
        .post(&at(&session, "/renew"), json!({}))
        .await
        .expect(200);
    let patch = json!({ "timeoutMinutes": 60 });
    server
        .patch(&at(&session, "/timeout"), patch)
        .await
        .expect(200);
    server.advance(MINUTE);
    let present = server.info(&session).await;
    let again = create(&server, "k", fields.clone()).await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.header("location"), at(&session, ""));
    assert_eq!(again.body, present);
    assert_eq!(
        again.body["lastActivity"],
        time(10 * MINUTE),
        "a repeat is not activity"
    );
    server.restart().await;
    assert_eq!(replayed(&server, "k", fields).await, session);
    assert_eq!(server.get(SESSIONS).await.body["total"], 1);
    server.stop().await;
}

#[tokio::test]
async fn keys_of_different_users_are_independent() {
    let server = Server::start().await;
    let session = new(&server, "k", json!({})).await;
    let other = new(&server, "k", json!({ "userId": OTHER })).await;
    assert_ne!(session, other);
    assert_eq!(replayed(&server, "k", json!({})).await, session);
    assert_eq!(
        replayed(&server, "k", json!({ "userId": OTHER })).await,
        other
    );
    new(&server, "K", json!({})).await;
    new(&server, "k2", json!({})).await;
    server.stop().await;
}

#[tokio::test]
async fn another_body_under_the_same_key_is_a_conflict() {
    let server = Server::start().await;
    let fields = json!({ "metadata": { "a": 1, "b": { "c": 2 } },
                         "timeoutConfig": { "timeoutMinutes": 40, "autoRenew": false } });
    let session = new(&server, "k", fields.clone()).await;
    for (field, other) in [
        ("agentId", json!(ELIZA)),
        ("metadata", json!({ "a": 1 })),
        ("metadata", json!({ "a": 1, "b": { "c": 3 } })),
        ("metadata", json!(null)),
        ("timeoutConfig", json!({ "timeoutMinutes": 40 })),
        (
            "timeoutConfig",
            json!({ "timeoutMinutes": 41, "autoRenew": false }),
        ),
        ("timeoutConfig", json!(null)),
    ] {
        let mut changed = fields.clone();
        changed[field] = other.clone();
        let refused = create(&server, "k", changed).await;
        let details = refused.error(409, "IDEMPOTENCY_CONFLICT", "IdempotencyConflictError");
        assert_eq!(details, json!({ "key": "k" }), "{field}: {other}");
    }
    let same = json!({ "timeoutConfig": { "autoRenew": false, "timeoutMinutes": 40 },
                       "metadata": { "b": { "c": 2 }, "a": 1 }, "unknown": true });
    assert_eq!(replayed(&server, "k", same).await, session);
    assert_eq!(server.get(SESSIONS).await.body["total"], 1);
    server.stop().await;
}

#[tokio::test]
async fn a_key_is_valid_for_24_hours() {
    let server = Server::builder()
        .set("SESSION_MAX_TIMEOUT_MINUTES", "10080")
        .start()
        .await;
    let long =
        json!({ "timeoutConfig": { "timeoutMinutes": 10_080, "maxDurationMinutes": 10_080 } });
    let first = new(&server, "k", long.clone()).await;
    server.set_clock(just_before(24 * HOUR));
    assert_eq!(replayed(&server, "k", long.clone()).await, first);
    server.set_clock(24 * HOUR);
    let second = new(&server, "k", long.clone()).await;
    assert_ne!(second, first);
    assert_eq!(replayed(&server, "k", long.clone()).await, second);
    // The key now belongs to the second session, whatever happens to the first.
    server.delete(&at(&first, "")).await.expect(200);
    assert_eq!(replayed(&server, "k", long.clone()).await, second);
    server.set_clock(just_before(48 * HOUR));
    assert_eq!(replayed(&server, "k", long.clone()).await, second);
    server.set_clock(48 * HOUR);
    let other_body = new(&server, "k", json!({})).await;
    assert_ne!(other_body, second, "an expired key blocks nothing");
    server.stop().await;
}

#[tokio::test]
async fn a_key_ends_when_its_session_expires() {
    let server = Server::start().await;
    let first = new(&server, "k", json!({})).await;
    server.set_clock(just_before(30 * MINUTE));
    assert_eq!(replayed(&server, "k", json!({})).await, first);
    server.set_clock(30 * MINUTE);
    let second = new(&server, "k", json!({ "metadata": { "other": true } })).await;
    assert_ne!(second, first);
    server.get(&at(&first, "")).await.expect(410);
    create(&server, "k", json!({})).await.expect(409);
    server.stop().await;
}

#[tokio::test]
async fn a_key_ends_when_its_session_is_deleted() {
    let server = Server::start().await;
    let first = new(&server, "k", json!({})).await;
    server.delete(&at(&first, "")).await.expect(200);
    let second = new(&server, "k", json!({ "agentId": ELIZA })).await;
    assert_ne!(second, first);
    server.delete(&at(&second, "")).await.expect(200);
    new(&server, "k", json!({})).await;
    server.stop().await;
}

#[tokio::test]
async fn a_sweep_removes_the_keys_of_its_sessions() {
    let server = Server::builder()
        .set("SESSION_RETENTION_MINUTES", "0")
        .start()
        .await;
    let first = new(&server, "k", json!({})).await;
    new(&server, "another", json!({ "userId": OTHER })).await;
    server.set_clock(31 * MINUTE);
    let second = new(&server, "k", json!({})).await;
    server.set_clock(41 * MINUTE);
    server.settle().await;
    server.get(&at(&first, "")).await.expect(404);
    assert_eq!(replayed(&server, "k", json!({})).await, second);
    assert_eq!(server.stop().await, 1, "the other sessions are purged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_creates_with_one_key_make_one_session() {
    let server = Server::start().await;
    for round in 0..5 {
        let key = format!("k{round}");
        let creates = (0..20).map(|_| {
            let request = server.creating(&json!({ "metadata": { "round": round } }));
            tokio::spawn(answer(request.header("idempotency-key", &key)))
        });
        let answers: Vec<Answer> = join_all(creates)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let new = answers
            .iter()
            .filter(|answer| !answer.has_header("idempotent-replayed"));
        assert_eq!(new.count(), 1);
        for answer in &answers {
            assert_eq!(answer.clone().expect(201).body, answers[0].body);
        }
    }
    assert_eq!(server.stop().await, 5);
}

/// A file of schema version 2, in which "create-1" stands for a session; see
/// `src/store/tests/golden.rs`.
#[tokio::test]
async fn a_key_of_a_file_of_an_earlier_version_stands_for_its_session() {
    let builder = Server::builder();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v2.redb");
    fs::create_dir_all(builder.data_dir()).unwrap();
    fs::copy(golden, builder.data_dir().join("sessiond.redb")).unwrap();
    let server = builder.start().await;
    // Ten minutes after its creation; it lives for 30 minutes from its last message.
    let created_at = Duration::from_millis(1_705_314_600_000 - u64::try_from(START.0).unwrap());
    server.set_clock(created_at + 10 * MINUTE);
    let fields = |minutes: u32| {
        json!({
            "agentId": "00000000-0000-0000-0000-0000000e112a",
            "userId": "00000000-0000-0000-0000-0000000a11ce",
            "metadata": { "username": "Alice" },
            "timeoutConfig": { "timeoutMinutes": minutes },
        })
    };
    for _ in 0..2 {
        let session = replayed(&server, "create-1", fields(30)).await;
        assert_eq!(session, "00000000-0000-0000-0000-000000000001");
        let conflict = create(&server, "create-1", fields(31)).await;
        let details = conflict.error(409, "IDEMPOTENCY_CONFLICT", "IdempotencyConflictError");
        assert_eq!(details, json!({ "key": "create-1" }));
    }
    assert_eq!(server.get(SESSIONS).await.expect(200).body["total"], 2);
    // Its turns have no agent any more, and the key is free once it has expired.
    server.advance(HOUR);
    let agent = json!({ "userId": "00000000-0000-0000-0000-0000000a11ce" });
    let new = new(&server, "create-1", agent).await;
    assert_ne!(new, "00000000-0000-0000-0000-000000000001");
    server.stop().await;
}
