//! A database with records that cannot be decoded.

use redb::{Database, ReadableTable, TableDefinition};
use serde_json::json;

use crate::harness::{MINUTE, SESSIONS, Server, answer, at, contents, eventually};

/// Tables of the store; see `src/store/schema/tables.rs`.
const SESSION_TABLE: TableDefinition<u128, &[u8]> = TableDefinition::new("sessions");
const MESSAGE_TABLE: TableDefinition<(u128, i64), &[u8]> = TableDefinition::new("messages");
const CREATE_KEY_TABLE: TableDefinition<(u128, &str), &[u8]> = TableDefinition::new("create_keys");

fn id(session: &str) -> u128 {
    uuid::Uuid::parse_str(session).unwrap().as_u128()
}

/// Stops the server, changes its file, and starts it again.
async fn restart_on(server: &mut Server, damage: impl FnOnce(&redb::WriteTransaction)) {
    let ended = server.begin_stop();
    server.finish_stop(ended).await;
    let database = Database::open(server.database()).unwrap();
    let txn = database.begin_write().unwrap();
    damage(&txn);
    txn.commit().unwrap();
    drop(database);
    server.launch_with(|setup| setup).await;
}

fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    bytes
}

fn damage_session(txn: &redb::WriteTransaction, session: &str) {
    let mut table = txn.open_table(SESSION_TABLE).unwrap();
    let bytes = flipped(table.get(id(session)).unwrap().unwrap().value());
    table.insert(id(session), bytes.as_slice()).unwrap();
}

#[tokio::test]
async fn a_damaged_session_is_counted_and_skipped_and_affects_no_other() {
    let mut server = Server::start().await;
    let (whole, damaged) = (server.session().await, server.session().await);
    server.ask(&damaged, "x").await;
    restart_on(&mut server, |txn| damage_session(txn, &damaged)).await;

    for answer in [
        server.get(&at(&damaged, "")).await,
        server.get(&at(&damaged, "/messages")).await,
        server.post(&at(&damaged, "/renew"), json!({})).await,
        server.post(&at(&damaged, "/heartbeat"), json!({})).await,
        server.patch(&at(&damaged, "/timeout"), json!({})).await,
    ] {
        let details = answer.error(500, "INTERNAL_SERVER_ERROR", "InternalServerError");
        assert_eq!(details, json!({}));
    }
    for transport in ["websocket", "http", "sse"] {
        let fields = json!({ "content": "x", "transport": transport });
        let failed = server.send(&damaged, fields).await;
        let details = failed.error(500, "MESSAGE_SEND_FAILED", "MessageSendError");
        assert_eq!(details, json!({}));
    }

    let health = server
        .get(&format!("{SESSIONS}/health"))
        .await
        .expect(200)
        .body;
    assert_eq!(
        (&health["status"], &health["invalidSessions"]),
        (&json!("degraded"), &json!(1))
    );
    let overall = server.get("/health").await.expect(200).body;
    assert_eq!(overall, json!({ "status": "degraded" }));
    for query in [
        "",
        "?limit=10",
        "?userId=11111111-aaaa-0000-0000-000000000001",
    ] {
        let list = server
            .get(&format!("{SESSIONS}{query}"))
            .await
            .expect(200)
            .body;
        assert_eq!(list["sessions"].as_array().unwrap().len(), 1, "{query}");
        assert_eq!(list["sessions"][0]["sessionId"], whole);
    }
    assert_eq!(server.ask(&whole, "say hello").await, "hello");

    // The count survives a restart and ends when the session is erased.
    server.restart().await;
    let health = server.get(&format!("{SESSIONS}/health")).await;
    assert_eq!(health.expect(200).body["invalidSessions"], 1);
    let failed = server.get(&at(&damaged, "")).await;
    failed.error(500, "INTERNAL_SERVER_ERROR", "InternalServerError");
    server.delete(&at(&damaged, "")).await.expect(200);
    server.get(&at(&damaged, "")).await.expect(404);
    let health = server.get("/health").await.expect(200).body;
    assert_eq!(health, json!({ "status": "healthy" }));
    server.advance(31 * MINUTE);
    server.settle().await;
    server.get(&at(&whole, "")).await.expect(410);
    server.session().await;
    // The damaged record is quarantined, and the rest is intact.
    server.stop().await;
}

#[tokio::test]
async fn a_damaged_message_is_left_out_of_its_conversation() {
    let mut server = Server::start().await;
    let session = server.session().await;
    for text in ["one", "two", "three"] {
        server.ask(&session, text).await;
    }
    restart_on(&mut server, |txn| {
        let mut table = txn.open_table(MESSAGE_TABLE).unwrap();
        let third = table.iter().unwrap().nth(2).unwrap().unwrap().0.value();
        let bytes = flipped(table.get(third).unwrap().unwrap().value());
        table.insert(third, bytes.as_slice()).unwrap();
    })
    .await;
    let history = server.history(&session).await;
    assert_eq!(contents(&history), ["one", "one", "two", "three", "three"]);
    assert_eq!(
        server.get("/health").await.expect(200).body["status"],
        "degraded"
    );
    let seen = server.ask(&session, "history").await;
    assert_eq!(seen, "one > one > two; three > three");
    server.stop().await;
}

#[tokio::test]
async fn a_list_shows_the_newest_message_that_is_not_damaged() {
    let mut server = Server::start().await;
    let (session, all) = (server.session().await, server.session().await);
    server.ask(&session, "say reply").await;
    server.ask(&all, "say reply").await;
    restart_on(&mut server, |txn| {
        let mut table = txn.open_table(MESSAGE_TABLE).unwrap();
        let rows = table.iter().unwrap().map(|row| row.unwrap().0.value());
        let rows: Vec<_> = rows.filter(|row| row.0 == id(&session)).skip(1).collect();
        let every = table.iter().unwrap().map(|row| row.unwrap().0.value());
        let every: Vec<_> = every.filter(|row| row.0 == id(&all)).collect();
        for row in [rows, every].concat() {
            let bytes = flipped(table.get(row).unwrap().unwrap().value());
            table.insert(row, bytes.as_slice()).unwrap();
        }
    })
    .await;
    let path = format!("{SESSIONS}?include=lastMessage");
    let page = server.get(&path).await.expect(200).body;
    for shown in page["sessions"].as_array().unwrap() {
        let expected = if shown["sessionId"] == session {
            json!("say reply")
        } else {
            json!(null)
        };
        assert_eq!(shown["lastMessage"]["content"], expected);
    }
    assert_eq!(page["total"], 2);
    server.stop().await;
}

#[tokio::test]
async fn turns_after_a_damaged_message_continue() {
    let mut server = Server::start().await;
    let session = server.session().await;
    for text in ["hold", "say hello"] {
        server
            .send(&session, json!({ "content": text }))
            .await
            .expect(201);
    }
    restart_on(&mut server, |txn| {
        let mut table = txn.open_table(MESSAGE_TABLE).unwrap();
        let first = table.iter().unwrap().next().unwrap().unwrap().0.value();
        let bytes = flipped(table.get(first).unwrap().unwrap().value());
        table.insert(first, bytes.as_slice()).unwrap();
    })
    .await;
    let history = eventually("the reply to the second", async || {
        server.advance(MINUTE / 60);
        let history = server.history(&session).await;
        (history.len() > 1).then_some(history)
    })
    .await;
    assert_eq!(contents(&history), ["say hello", "hello"]);
    server.stop().await;
}

#[tokio::test]
async fn a_damaged_create_key_fails_only_its_own_creates() {
    let mut server = Server::start().await;
    let create = |server: &Server, key: &str| {
        answer(server.creating(&json!({})).header("idempotency-key", key))
    };
    create(&server, "k").await.expect(201);
    restart_on(&mut server, |txn| {
        let mut table = txn.open_table(CREATE_KEY_TABLE).unwrap();
        let first = table.first().unwrap().unwrap();
        let (user, bytes) = (first.0.value().0, flipped(first.1.value()));
        drop(first);
        table.insert((user, "k"), bytes.as_slice()).unwrap();
    })
    .await;
    let failed = create(&server, "k").await;
    let details = failed.error(500, "SESSION_CREATION_FAILED", "SessionCreationError");
    assert_eq!(details, json!({}));
    create(&server, "other").await.expect(201);
    server.session().await;
    // The damaged record is quarantined, and the rest is intact.
    server.stop().await;
}

#[tokio::test]
async fn a_file_that_is_not_a_database_stops_the_start_and_is_not_changed() {
    for bytes in [b"not a database".to_vec(), Vec::new(), vec![0; 8192]] {
        let setup = Server::builder();
        let path = setup.data_dir().join("sessiond.redb");
        std::fs::create_dir_all(setup.data_dir()).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        let error = setup.start_error_with(&path, &bytes).await;
        assert!(error.contains("sessiond.redb"), "{error}");
    }
}
