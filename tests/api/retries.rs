//! Repeating a send under its idempotency key.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Answer, Events, HOUR, MINUTE, SECOND, Server, answer, at, contents, time};

/// Sends a message with these fields and a key in the header.
async fn send(server: &Server, session: &str, key: &str, fields: Value) -> Answer {
    let request = server.sending(session, &fields);
    answer(request.header("idempotency-key", key)).await
}

async fn stream(server: &Server, session: &str, key: &str, content: &str) -> Events {
    let fields = json!({ "content": content, "transport": "sse" });
    let request = server.sending(session, &fields);
    Events::open(request.header("idempotency-key", key)).await
}

#[track_caller]
fn assert_replayed(answer: &Answer) {
    assert_eq!(answer.header("idempotent-replayed"), "true");
}

#[tokio::test]
async fn a_repeat_stores_nothing_and_renews_nothing() {
    let server = Server::start().await;
    let session = server.session().await;
    let fields = json!({ "content": "say hello", "transport": "http" });
    let first = send(&server, &session, "k", fields.clone())
        .await
        .expect(201);
    assert!(!first.has_header("idempotent-replayed"));
    assert_eq!(first.body["sessionStatus"]["wasRenewed"], true);
    server.advance(MINUTE);
    server
        .post(&at(&session, "/renew"), json!({}))
        .await
        .expect(200);
    server.advance(27 * MINUTE);
    let before = server.info(&session).await;
    let again = send(&server, &session, "k", fields).await.expect(201);
    assert_replayed(&again);
    for field in [
        "id",
        "content",
        "authorId",
        "createdAt",
        "metadata",
        "userMessage",
        "agentResponse",
    ] {
        assert_eq!(again.body[field], first.body[field], "{field}");
    }
    let present = json!({
        "expiresAt": time(31 * MINUTE),
        "renewalCount": 2,
        "wasRenewed": false,
        "isNearExpiration": true,
    });
    assert_eq!(again.body["sessionStatus"], present);
    assert_eq!(again.body["data"]["sessionStatus"], present);
    assert_eq!(server.info(&session).await, before);
    assert_eq!(server.history(&session).await.len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn a_finished_turn_is_replayed_from_the_store_over_every_transport() {
    let mut server = Server::start().await;
    let session = server.session().await;
    let content = "say one|say two|think hm|act WAVE";
    let fields = json!({ "content": content, "transport": "http" });
    let first = send(&server, &session, "k", fields.clone())
        .await
        .expect(201)
        .body;
    server.restart().await;

    let over_http = send(&server, &session, "k", fields).await.expect(201);
    assert_replayed(&over_http);
    assert_eq!(over_http.body["agentResponse"], first["agentResponse"]);

    let by_socket = send(&server, &session, "k", json!({ "content": content }))
        .await
        .expect(201);
    assert_replayed(&by_socket);
    assert_eq!(by_socket.body["userMessage"], first["userMessage"]);
    assert_eq!(by_socket.body.get("agentResponse"), None);

    let mut events = stream(&server, &session, "k", content).await;
    assert_eq!(events.headers()["idempotent-replayed"], "true");
    let mut user_message = events.expect("user_message").await;
    assert_eq!(user_message["sessionStatus"]["wasRenewed"], false);
    user_message
        .as_object_mut()
        .unwrap()
        .remove("sessionStatus");
    assert_eq!(user_message, first["userMessage"]);
    let chunk = events.expect("chunk").await;
    let reply = &first["agentResponse"]["id"];
    assert_eq!(
        chunk,
        json!({ "messageId": reply, "chunk": "onetwo", "index": 0 })
    );
    assert_eq!(events.expect("done").await, first["agentResponse"]);
    assert!(events.next().await.is_none());
    assert_eq!(server.history(&session).await.len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn a_repeat_joins_the_open_turn() {
    let server = Server::start().await;
    let session = server.session().await;
    let content = "say one|say two|wait 1000|say three|say four";
    let mut first = stream(&server, &session, "k", content).await;
    let user_message = first.expect("user_message").await;
    first.expect("chunk").await;
    first.expect("chunk").await;

    let by_socket = send(&server, &session, "k", json!({ "content": content }))
        .await
        .expect(201);
    assert_replayed(&by_socket);
    assert_eq!(by_socket.body["id"], user_message["id"]);

    let mut joined = stream(&server, &session, "k", content).await;
    assert_eq!(joined.headers()["idempotent-replayed"], "true");
    assert_eq!(
        joined.expect("user_message").await["id"],
        user_message["id"]
    );
    let so_far = joined.expect("chunk").await;
    assert_eq!(
        (&so_far["chunk"], &so_far["index"]),
        (&json!("onetwo"), &json!(0))
    );

    let fields = json!({ "content": content, "transport": "http" });
    let request = server
        .sending(&session, &fields)
        .header("idempotency-key", "k");
    let waiting = tokio::spawn(answer(request));
    server.settle().await;
    assert!(!waiting.is_finished(), "it waits for the same reply");
    server.advance(SECOND);

    let over_http = waiting.await.unwrap().expect(201);
    assert_replayed(&over_http);
    let third = joined.expect("chunk").await;
    assert_eq!(
        (&third["chunk"], &third["index"]),
        (&json!("three"), &json!(1))
    );
    let fourth = joined.expect("chunk").await;
    assert_eq!(
        (&fourth["chunk"], &fourth["index"]),
        (&json!("four"), &json!(2))
    );
    let done = joined.end("done").await;
    assert_eq!(done["text"], "onetwothreefour");
    assert_eq!(first.end("done").await, done);
    assert_eq!(over_http.body["agentResponse"], done);
    assert_eq!(over_http.body["id"], user_message["id"]);
    assert_eq!(server.history(&session).await.len(), 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_repeats_make_one_message_with_one_reply() {
    let server = Server::start().await;
    for round in 0..12 {
        let session = server.session().await;
        let fields = json!({ "content": "say one|say two", "transport": "http" });
        let sends = (0..24).map(|_| {
            let request = server.sending(&session, &fields);
            tokio::spawn(answer(request.header("idempotency-key", "k")))
        });
        let answers: Vec<Answer> = join_all(sends)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let first = answers[0].clone().expect(201).body;
        for answer in &answers {
            let body = answer.clone().expect(201).body;
            assert_eq!(body["id"], first["id"], "round {round}");
            assert_eq!(body["agentResponse"], first["agentResponse"]);
        }
        let new = answers
            .iter()
            .filter(|answer| !answer.has_header("idempotent-replayed"));
        assert_eq!(new.count(), 1);
        let history = server.history(&session).await;
        assert_eq!(contents(&history), ["say one|say two", "onetwo"]);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_repeat_is_answered_after_the_session_expired() {
    let server = Server::builder()
        .set("SESSION_RETENTION_MINUTES", "60")
        .start()
        .await;
    let session = server.session().await;
    let fields = json!({ "content": "say hello", "transport": "http" });
    let first = send(&server, &session, "k", fields.clone())
        .await
        .expect(201)
        .body;
    server.advance(HOUR);
    let again = send(&server, &session, "k", fields.clone())
        .await
        .expect(201);
    assert_replayed(&again);
    assert_eq!(again.body["agentResponse"], first["agentResponse"]);
    let present = json!({ "expiresAt": time(30 * MINUTE), "renewalCount": 1, "wasRenewed": false,
                          "isNearExpiration": false });
    assert_eq!(again.body["sessionStatus"], present);
    let events = stream(&server, &session, "k", "say hello").await;
    assert_eq!(events.end("done").await, first["agentResponse"]);
    send(&server, &session, "k", json!({ "content": "other" }))
        .await
        .expect(409);
    send(&server, &session, "new", fields.clone())
        .await
        .expect(410);
    server.send(&session, fields.clone()).await.expect(410);
    send(&server, &session, "k", json!({ "content": "" }))
        .await
        .expect(400);
    server.advance(30 * MINUTE);
    send(&server, &session, "k", fields).await.expect(404);
    server.stop().await;
}
