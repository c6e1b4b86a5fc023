//! Creating and reading a session.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Answer, ELIZA, MINUTE, SCRIPTED, SESSIONS, Server, UNKNOWN_ID, USER, answer, assert_v7, at,
};

/// Returns metadata of exactly this many bytes as compact JSON.
fn metadata_of(bytes: usize) -> Value {
    let empty = json!({ "text": "" }).to_string().len();
    let text = "é".repeat((bytes - empty) / 2) + &"x".repeat((bytes - empty) % 2);
    let metadata = json!({ "text": text });
    assert_eq!(metadata.to_string().len(), bytes);
    metadata
}

#[tokio::test]
async fn creating_a_session_returns_all_of_its_fields() {
    let server = Server::start().await;
    let metadata = json!({ "username": "Ada", "z": [1, 2.5, null, { "é": "∞" }], "a": true });
    let created = server
        .create(json!({ "metadata": metadata }))
        .await
        .expect(201);
    let session = created.body["sessionId"].clone();
    assert_v7(&session);
    let expected = json!({
        "sessionId": session,
        "channelId": session,
        "agentId": SCRIPTED,
        "userId": USER,
        "createdAt": "2024-01-01T00:00:00.000Z",
        "lastActivity": "2024-01-01T00:00:00.000Z",
        "expiresAt": "2024-01-01T00:30:00.000Z",
        "timeoutConfig": {
            "timeoutMinutes": 30,
            "autoRenew": true,
            "maxDurationMinutes": 720,
            "warningThresholdMinutes": 5,
        },
        "renewalCount": 0,
        "timeRemaining": 1_800_000,
        "isNearExpiration": false,
        "status": "active",
        "metadata": metadata,
    });
    assert_eq!(created.body, expected);
    assert_eq!(created.body["metadata"].to_string(), metadata.to_string());
    let session = session.as_str().unwrap();
    assert_eq!(created.header("location"), at(session, ""));
    let shown = server.get(created.header("location")).await.expect(200);
    assert_eq!(shown.body, expected);
    assert!(!created.has_header("idempotent-replayed"));
    server.stop().await;
}

#[tokio::test]
async fn reading_a_session_is_not_activity() {
    let server = Server::start().await;
    let session = server.session().await;
    let before = server.info(&session).await;
    server.advance(MINUTE);
    let after = server.info(&session).await;
    assert_eq!(after["timeRemaining"], 29 * 60_000);
    for field in ["lastActivity", "expiresAt", "renewalCount", "createdAt"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    server.get(&at(&session, "/messages")).await.expect(200);
    server.get(SESSIONS).await.expect(200);
    assert_eq!(server.info(&session).await, after);
    server.stop().await;
}

#[tokio::test]
async fn fields_are_checked_in_order() {
    let server = Server::start().await;
    let mut body = json!({ "metadata": 5, "timeoutConfig": 5 });
    let mut key = "not a key";
    let request = server
        .request(Method::POST, SESSIONS)
        .header("idempotency-key", key);
    answer(request.body("[]")).await.invalid("InvalidBodyError");

    let try_again = async |body: &Value, key: &str| -> Answer {
        let request = server.request(Method::POST, SESSIONS).json(body);
        answer(request.header("idempotency-key", key)).await
    };
    let missing = try_again(&body, key).await.invalid("MissingFieldsError");
    assert_eq!(missing, json!({ "missingFields": ["agentId", "userId"] }));
    body["agentId"] = json!("no uuid");
    let missing = try_again(&body, key).await.invalid("MissingFieldsError");
    assert_eq!(missing, json!({ "missingFields": ["userId"] }));
    body["userId"] = json!("no uuid either");
    let wrong = try_again(&body, key).await.invalid("InvalidUuidError");
    assert_eq!(wrong, json!({ "field": "agentId", "value": "no uuid" }));
    body["agentId"] = json!(UNKNOWN_ID);
    let wrong = try_again(&body, key).await.invalid("InvalidUuidError");
    assert_eq!(
        wrong,
        json!({ "field": "userId", "value": "no uuid either" })
    );
    body["userId"] = json!(USER);
    try_again(&body, key).await.invalid("InvalidBodyError");
    key = "k";
    try_again(&body, key).await.invalid("InvalidMetadataError");
    body["metadata"] = json!({});
    try_again(&body, key)
        .await
        .invalid("InvalidTimeoutConfigError");
    body["timeoutConfig"] = json!({});
    let unknown = try_again(&body, key).await;
    let details = unknown.error(404, "AGENT_NOT_FOUND", "AgentNotFoundError");
    assert_eq!(details, json!({ "agentId": UNKNOWN_ID }));
    assert_eq!(server.get(SESSIONS).await.body["total"], 0);
    body["agentId"] = json!(SCRIPTED);
    let created = try_again(&body, key).await.expect(201);
    assert!(
        !created.has_header("idempotent-replayed"),
        "refused calls do not consume the key"
    );
    server.stop().await;
}

#[tokio::test]
async fn an_absent_null_or_empty_field_is_missing() {
    let server = Server::start().await;
    let bodies = [
        (json!({}), json!(["agentId", "userId"])),
        (
            json!({ "agentId": null, "userId": "" }),
            json!(["agentId", "userId"]),
        ),
        (json!({ "agentId": SCRIPTED }), json!(["userId"])),
        (
            json!({ "agentId": SCRIPTED, "userId": null }),
            json!(["userId"]),
        ),
        (json!({ "agentId": "", "userId": USER }), json!(["agentId"])),
        (json!({ "agentId": "", "userId": 5 }), json!(["agentId"])),
    ];
    for (body, missing) in bodies {
        let refused = server.post(SESSIONS, body).await;
        let details = refused.invalid("MissingFieldsError");
        assert_eq!(details, json!({ "missingFields": missing }));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_malformed_uuid_is_returned_in_the_details_cut_at_100_characters() {
    let server = Server::start().await;
    let long = "ä".repeat(150);
    for wrong in [
        "abc",
        " ",
        "b850bc3045f80041a00a83df46d8555d",
        "{b850bc30-45f8-0041-a00a-83df46d8555d}",
        "urn:uuid:b850bc30-45f8-0041-a00a-83df46d8555d",
        "b850bc30-45f8-0041-a00a-83df46d8555g",
        "b850bc3-045f8-0041-a00a-83df46d8555d",
        " b850bc30-45f8-0041-a00a-83df46d8555d",
        "b850bc30-45f8-0041-a00a-83df46d8555d\n",
        long.as_str(),
    ] {
        for field in ["agentId", "userId"] {
            let details = server
                .create(json!({ field: wrong }))
                .await
                .invalid("InvalidUuidError");
            let value: String = wrong.chars().take(100).collect();
            assert_eq!(details, json!({ "field": field, "value": value }));
        }
    }
    let exact = "x".repeat(100);
    let details = server
        .create(json!({ "userId": exact }))
        .await
        .invalid("InvalidUuidError");
    assert_eq!(details["value"], exact);
    server.stop().await;
}

#[tokio::test]
async fn a_value_of_another_type_is_left_out_of_the_details() {
    let server = Server::start().await;
    for wrong in [
        json!(5),
        json!(0),
        json!(true),
        json!(false),
        json!([]),
        json!({ "a": 1 }),
    ] {
        for field in ["agentId", "userId"] {
            let details = server
                .create(json!({ field: wrong }))
                .await
                .invalid("InvalidUuidError");
            assert_eq!(details, json!({ "field": field }), "{wrong}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn uuids_of_any_version_are_accepted() {
    let server = Server::start().await;
    for user in [
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "b850bc30-45f8-0041-a00a-83df46d8555d",
    ] {
        let created = server
            .create(json!({ "agentId": ELIZA, "userId": user }))
            .await;
        assert_eq!(created.expect(201).body["userId"], user);
    }
    server.stop().await;
}

#[tokio::test]
async fn metadata_is_an_object_of_at_most_10240_bytes() {
    let server = Server::start().await;
    for accepted in [
        json!(null),
        json!({}),
        json!({ "a": null }),
        metadata_of(10_240),
    ] {
        let created = server
            .create(json!({ "metadata": accepted }))
            .await
            .expect(201);
        let expected = if accepted.is_null() {
            json!({})
        } else {
            accepted
        };
        assert_eq!(created.body["metadata"], expected);
    }
    assert_eq!(
        server.create(json!({})).await.expect(201).body["metadata"],
        json!({})
    );
    for wrong in [
        metadata_of(10_241),
        json!([]),
        json!("text"),
        json!(""),
        json!(5),
        json!(true),
        json!(false),
    ] {
        let details = server
            .create(json!({ "metadata": wrong }))
            .await
            .invalid("InvalidMetadataError");
        assert!(details["reason"].is_string());
        assert_eq!(details["maxBytes"], 10_240);
        assert_eq!(details.as_object().unwrap().len(), 2);
    }
    server.stop().await;
}

#[tokio::test]
async fn the_size_of_metadata_is_that_of_compact_json() {
    let server = Server::start().await;
    let spread = format!(
        r#"{{ "agentId": "{SCRIPTED}", "userId": "{USER}", "metadata": {{ {} "a": "\u0078" }} }}"#,
        " ".repeat(20_000)
    );
    let request = server.request(Method::POST, SESSIONS).body(spread);
    let created = answer(request).await.expect(201);
    assert_eq!(created.body["metadata"], json!({ "a": "x" }));
    server.stop().await;
}

#[tokio::test]
async fn a_session_with_an_unknown_agent_is_not_created() {
    let server = Server::start().await;
    let refused = server.create(json!({ "agentId": UNKNOWN_ID })).await;
    let details = refused.error(404, "AGENT_NOT_FOUND", "AgentNotFoundError");
    assert_eq!(details, json!({ "agentId": UNKNOWN_ID }));
    assert_eq!(server.get(SESSIONS).await.body["total"], 0);
    server.stop().await;
}

#[tokio::test]
async fn a_session_is_unchanged_after_a_restart() {
    let mut server = Server::start().await;
    let session = server
        .session_with(json!({ "metadata": { "a": 1 }, "timeoutConfig": { "timeoutMinutes": 45 } }))
        .await;
    server
        .post(&at(&session, "/renew"), json!({}))
        .await
        .expect(200);
    server.ask(&session, "say hello").await;
    let before = (server.info(&session).await, server.history(&session).await);
    server.restart().await;
    let after = (server.info(&session).await, server.history(&session).await);
    assert_eq!(after, before);
    server.stop().await;
}
