//! Validation of a message's content, metadata and attachments.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{MINUTE, Server, UNKNOWN_ID, answer, at, names};

const ADA: &str = "a0a0a0a0-0000-0000-0000-000000000001";

async fn refuse(server: &Server, session: &str, fields: Value, kind: &str) -> Value {
    let details = server.send(session, fields).await.invalid(kind);
    assert!(details["reason"].is_string());
    details
}

/// Returns an attachment of exactly this many bytes as compact JSON.
fn attachment_of(bytes: usize) -> Value {
    let empty = json!({ "type": "file", "url": "" }).to_string().len();
    json!({ "type": "file", "url": "x".repeat(bytes - empty) })
}

#[tokio::test]
async fn content_is_a_string_of_1_to_4000_characters() {
    let server = Server::start().await;
    let session = server.session().await;
    for content in [
        "x",
        " ",
        "\n",
        "\u{0}",
        &"x".repeat(4000),
        &"é".repeat(4000),
        &"𝄞".repeat(4000),
    ] {
        let sent = json!({ "content": content, "transport": "http" });
        let answer = server.send(&session, sent).await.expect(201).body;
        assert_eq!(answer["content"], content);
        assert_eq!(answer["userMessage"]["content"], content);
    }
    assert_eq!(server.history(&session).await.len(), 14);
    for wrong in [
        json!({}),
        json!({ "content": null }),
        json!({ "content": "" }),
        json!({ "content": "x".repeat(4001) }),
        json!({ "content": "𝄞".repeat(4001) }),
        json!({ "content": 5 }),
        json!({ "content": true }),
        json!({ "content": false }),
        json!({ "content": ["x"] }),
        json!({ "content": { "text": "x" } }),
    ] {
        for transport in ["websocket", "http", "sse"] {
            let mut fields = wrong.clone();
            fields["transport"] = json!(transport);
            let details = refuse(&server, &session, fields, "InvalidContentError").await;
            assert_eq!(names(&details), ["reason"]);
        }
    }
    assert_eq!(server.history(&session).await.len(), 14);
    server.stop().await;
}

#[tokio::test]
async fn a_messages_metadata_is_an_object_of_at_most_10240_bytes() {
    let server = Server::start().await;
    let session = server.session().await;
    let of =
        |bytes: usize| json!({ "a": "x".repeat(bytes - json!({ "a": "" }).to_string().len()) });
    server
        .send(&session, json!({ "content": "x", "metadata": of(10_240) }))
        .await
        .expect(201);
    for wrong in [
        of(10_241),
        json!([]),
        json!("x"),
        json!(""),
        json!(5),
        json!(false),
    ] {
        let fields = json!({ "content": "x", "metadata": wrong });
        let details = refuse(&server, &session, fields, "InvalidMetadataError").await;
        assert_eq!(names(&details), ["reason", "maxBytes"]);
        assert_eq!(details["maxBytes"], 10_240);
    }
    server.stop().await;
}

#[tokio::test]
async fn attachments_are_at_most_ten_of_at_most_16_kibibytes_in_all() {
    let server = Server::start().await;
    let session = server.session().await;
    let one = json!({ "type": "t", "url": "u" });
    let largest = json!([attachment_of(16 * 1024 - 2)]);
    assert_eq!(largest.to_string().len(), 16 * 1024);
    for accepted in [json!([]), json!([one]), json!(vec![&one; 10]), largest] {
        let fields = json!({ "content": "x", "attachments": accepted, "transport": "http" });
        server.send(&session, fields).await.expect(201);
    }
    let count = server.history(&session).await.len();
    for wrong in [
        json!(vec![&one; 11]),
        json!([attachment_of(16 * 1024 - 1)]),
        json!([attachment_of(9000), attachment_of(9000)]),
        json!({}),
        json!("x"),
        json!(5),
        json!(false),
        json!([5]),
        json!([null]),
        json!(["x"]),
        json!([[]]),
        json!([{}]),
        json!([{ "type": "t" }]),
        json!([{ "url": "u" }]),
        json!([{ "type": "", "url": "u" }]),
        json!([{ "type": "t", "url": "" }]),
        json!([{ "type": 5, "url": "u" }]),
        json!([{ "type": "t", "url": null }]),
        json!([one, { "type": "t" }]),
    ] {
        let fields = json!({ "content": "x", "attachments": wrong });
        let details = refuse(&server, &session, fields, "InvalidContentError").await;
        assert_eq!(names(&details), ["reason"]);
    }
    assert_eq!(server.history(&session).await.len(), count);
    server.stop().await;
}

#[tokio::test]
async fn fields_are_checked_in_order() {
    let ada = json!({ "id": ADA, "name": "Ada" });
    let mut server = Server::builder().character("ada.json", &ada).start().await;
    let session = server.session_with(json!({ "agentId": ADA })).await;
    server
        .restart_with(|setup| setup.without_character("ada.json"))
        .await;

    let send = async |session: &str, key: &str, fields: &Value| {
        let request = server
            .sending(session, fields)
            .header("idempotency-key", key);
        answer(request).await
    };
    let request = server
        .request(Method::POST, &at(UNKNOWN_ID, "/messages"))
        .body("[]");
    let request = request.header("idempotency-key", "not a key");
    answer(request).await.invalid("InvalidBodyError");
    let mut fields =
        json!({ "transport": 5, "clientMessageId": 5, "metadata": 5, "attachments": 5 });
    let details = send(UNKNOWN_ID, "not a key", &fields)
        .await
        .invalid("InvalidContentError");
    assert!(
        details["reason"].as_str().unwrap().contains("transport"),
        "{details}"
    );
    fields["transport"] = json!("http");
    send(UNKNOWN_ID, "not a key", &fields)
        .await
        .invalid("InvalidBodyError");
    let details = send(UNKNOWN_ID, "k", &fields)
        .await
        .invalid("InvalidContentError");
    assert!(
        details["reason"]
            .as_str()
            .unwrap()
            .contains("clientMessageId"),
        "{details}"
    );
    fields["clientMessageId"] = json!("c");
    let details = send(UNKNOWN_ID, "k", &fields)
        .await
        .invalid("InvalidContentError");
    assert!(
        details["reason"].as_str().unwrap().contains("content"),
        "{details}"
    );
    fields["content"] = json!("x");
    send(UNKNOWN_ID, "k", &fields)
        .await
        .invalid("InvalidMetadataError");
    fields["metadata"] = json!({});
    let details = send(UNKNOWN_ID, "k", &fields)
        .await
        .invalid("InvalidContentError");
    assert!(
        details["reason"].as_str().unwrap().contains("attachments"),
        "{details}"
    );
    fields["attachments"] = json!([]);
    let missing = send(UNKNOWN_ID, "k", &fields).await;
    missing.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    let refused = send(&session, "k", &fields).await;
    let details = refused.error(404, "AGENT_NOT_FOUND", "AgentNotFoundError");
    assert_eq!(details, json!({ "agentId": ADA }));

    server.advance(30 * MINUTE);
    let expired = send(&session, "k", &fields).await;
    expired.error(410, "SESSION_EXPIRED", "SessionExpiredError");
    server.stop().await;
}

#[tokio::test]
async fn a_session_whose_agent_was_removed_accepts_everything_but_messages() {
    let ada = json!({ "id": ADA, "name": "Ada" });
    let mut server = Server::builder().character("ada.json", &ada).start().await;
    let session = server.session_with(json!({ "agentId": ADA })).await;
    let keyed = json!({ "content": "Hello", "transport": "http", "clientMessageId": "k" });
    let sent = server.send(&session, keyed.clone()).await.expect(201).body;
    server
        .restart_with(|setup| setup.without_character("ada.json"))
        .await;

    let before = server.info(&session).await;
    server.advance(MINUTE);
    for transport in ["websocket", "http", "sse"] {
        let fields = json!({ "content": "x", "transport": transport, "clientMessageId": "new" });
        let refused = server.send(&session, fields).await;
        let details = refused.error(404, "AGENT_NOT_FOUND", "AgentNotFoundError");
        assert_eq!(details, json!({ "agentId": ADA }));
    }
    assert_eq!(
        server.info(&session).await["lastActivity"],
        before["lastActivity"]
    );
    assert_eq!(
        server.info(&session).await["renewalCount"],
        before["renewalCount"]
    );
    assert_eq!(server.history(&session).await.len(), 2);
    let replayed = server.send(&session, keyed).await.expect(201);
    assert_eq!(
        replayed.body["agentResponse"], sent["agentResponse"],
        "a stored answer is replayed"
    );
    server
        .post(&at(&session, "/renew"), json!({}))
        .await
        .expect(200);
    server
        .post(&at(&session, "/heartbeat"), json!({}))
        .await
        .expect(200);

    server
        .restart_with(|setup| setup.character("ada.json", &ada))
        .await;
    let fields = json!({ "content": "x", "transport": "http", "clientMessageId": "new" });
    let sent = server.send(&session, fields).await.expect(201);
    assert!(
        !sent.has_header("idempotent-replayed"),
        "refused calls do not consume the key"
    );
    server.stop().await;
}
