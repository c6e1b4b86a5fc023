//! Changing the timeouts of a session.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Builder, MINUTE, Server, UNKNOWN_ID, answer, at, time};

async fn patch(server: &Server, session: &str, fields: Value) -> Value {
    let patched = server.patch(&at(session, "/timeout"), fields).await;
    patched.expect(200).body
}

/// Asserts that a PATCH is refused because of this field, and changes nothing.
async fn refuse(server: &Server, session: &str, fields: Value, field: &str) {
    let before = server.info(session).await;
    let refused = server.patch(&at(session, "/timeout"), fields.clone()).await;
    let details = refused.invalid("InvalidTimeoutConfigError");
    assert_eq!(details["field"], field, "{fields}");
    assert!(details["reason"].is_string());
    assert_eq!(details.as_object().unwrap().len(), 2);
    assert_eq!(server.info(session).await, before, "{fields}");
}

#[tokio::test]
async fn absent_fields_keep_their_values() {
    let server = Server::start().await;
    let config = json!({ "timeoutMinutes": 40, "autoRenew": false, "maxDurationMinutes": 300,
                         "warningThresholdMinutes": 9 });
    let session = server
        .session_with(json!({ "timeoutConfig": config }))
        .await;
    let before = server.info(&session).await;
    assert_eq!(patch(&server, &session, json!({})).await, before);
    let others = json!({ "metadata": { "a": 1 }, "userId": UNKNOWN_ID, "expiresAt": "never" });
    assert_eq!(patch(&server, &session, others).await, before);
    let nothing = json!({ "timeoutMinutes": null, "autoRenew": null, "maxDurationMinutes": " ",
                          "warningThresholdMinutes": "" });
    assert_eq!(patch(&server, &session, nothing).await, before);
    let unreadable = json!({ "timeoutMinutes": "abc", "maxDurationMinutes": "NaN",
                             "warningThresholdMinutes": "Infinity" });
    assert_eq!(patch(&server, &session, unreadable).await, before);

    let mut expected = before;
    for (field, value) in [
        ("autoRenew", json!(true)),
        ("warningThresholdMinutes", json!(3)),
        ("maxDurationMinutes", json!(200)),
    ] {
        expected["timeoutConfig"][field] = value.clone();
        assert_eq!(
            patch(&server, &session, json!({ field: value })).await,
            expected
        );
    }
    expected["timeoutConfig"]["timeoutMinutes"] = json!(50);
    expected["expiresAt"] = json!("2024-01-01T00:50:00.000Z");
    expected["timeRemaining"] = json!(50 * 60_000);
    assert_eq!(
        patch(&server, &session, json!({ "timeoutMinutes": "50.9" })).await,
        expected
    );
    assert_eq!(server.info(&session).await, expected);
    server.stop().await;
}

#[tokio::test]
async fn the_maximum_duration_is_raised_to_a_larger_timeout() {
    let server = Server::start().await;
    let config = json!({ "timeoutMinutes": 30, "maxDurationMinutes": 60 });
    let session = server
        .session_with(json!({ "timeoutConfig": config }))
        .await;
    let patched = patch(&server, &session, json!({ "timeoutMinutes": 90 })).await;
    assert_eq!(patched["timeoutConfig"]["maxDurationMinutes"], 90);
    assert_eq!(patched["expiresAt"], "2024-01-01T01:30:00.000Z");
    let patched = patch(&server, &session, json!({ "timeoutMinutes": 30 })).await;
    assert_eq!(
        patched["timeoutConfig"]["maxDurationMinutes"], 90,
        "it stays raised"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_timeout_out_of_bounds_is_refused_and_other_fields_are_clamped() {
    let server = Server::start().await;
    let session = server.session().await;
    for wrong in [
        json!(4),
        json!(4.99),
        json!("4"),
        json!(0),
        json!(-5),
        json!(1441),
        json!("1e9"),
        json!(1e300),
    ] {
        refuse(
            &server,
            &session,
            json!({ "timeoutMinutes": wrong }),
            "timeoutMinutes",
        )
        .await;
    }
    for (fields, field, value) in [
        (json!({ "timeoutMinutes": 5 }), "timeoutMinutes", 5),
        (json!({ "timeoutMinutes": 1440.9 }), "timeoutMinutes", 1440),
        (
            json!({ "timeoutMinutes": 30, "maxDurationMinutes": 1 }),
            "maxDurationMinutes",
            30,
        ),
        (
            json!({ "maxDurationMinutes": 99_999 }),
            "maxDurationMinutes",
            2880,
        ),
        (
            json!({ "warningThresholdMinutes": 0 }),
            "warningThresholdMinutes",
            1,
        ),
        (
            json!({ "warningThresholdMinutes": 99_999 }),
            "warningThresholdMinutes",
            1440,
        ),
    ] {
        let patched = patch(&server, &session, fields).await;
        assert_eq!(patched["timeoutConfig"][field], value);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_type_is_refused() {
    let server = Server::start().await;
    let session = server.session().await;
    for field in [
        "timeoutMinutes",
        "maxDurationMinutes",
        "warningThresholdMinutes",
    ] {
        for wrong in [json!(true), json!([5]), json!({})] {
            refuse(&server, &session, json!({ field: wrong }), field).await;
        }
    }
    for wrong in [json!("true"), json!(1), json!([])] {
        refuse(
            &server,
            &session,
            json!({ "autoRenew": wrong }),
            "autoRenew",
        )
        .await;
    }
    let both = json!({ "warningThresholdMinutes": [], "timeoutMinutes": 50, "autoRenew": 5 });
    refuse(&server, &session, both, "autoRenew").await;
    server.stop().await;
}

#[tokio::test]
async fn the_body_is_validated_before_the_session_is_looked_up() {
    let server = Server::start().await;
    let session = server.session().await;
    for path in [at(UNKNOWN_ID, "/timeout"), at(&session, "/timeout")] {
        for body in ["[]", "null", "5", "\"x\"", "{"] {
            let request = server.request(Method::PATCH, &path).body(body);
            answer(request).await.invalid("InvalidBodyError");
        }
    }
    server.advance(30 * MINUTE);
    for path in [at(UNKNOWN_ID, "/timeout"), at(&session, "/timeout")] {
        // Of a wrong type, and out of bounds.
        for wrong in [json!([]), json!(1441)] {
            let refused = server.patch(&path, json!({ "timeoutMinutes": wrong }));
            refused.await.invalid("InvalidTimeoutConfigError");
        }
    }
    let right = json!({ "timeoutMinutes": 60 });
    let missing = server
        .patch(&at(UNKNOWN_ID, "/timeout"), right.clone())
        .await;
    missing.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    let expired = server.patch(&at(&session, "/timeout"), right).await;
    expired.error(410, "SESSION_EXPIRED", "SessionExpiredError");
    server.stop().await;
}

#[tokio::test]
async fn a_patch_is_neither_activity_nor_a_renewal() {
    let server = Server::start().await;
    let session = server.session().await;
    server.advance(10 * MINUTE);
    let patched = patch(&server, &session, json!({ "timeoutMinutes": 60 })).await;
    assert_eq!(patched["lastActivity"], time(Duration::ZERO));
    assert_eq!(patched["renewalCount"], 0);
    assert_eq!(patched["expiresAt"], time(60 * MINUTE), "from the creation");
    server
        .post(&at(&session, "/renew"), json!({}))
        .await
        .expect(200);
    server.advance(5 * MINUTE);
    let patched = patch(&server, &session, json!({ "timeoutMinutes": 20 })).await;
    assert_eq!(patched["lastActivity"], time(10 * MINUTE));
    assert_eq!(patched["renewalCount"], 1);
    assert_eq!(
        patched["expiresAt"],
        time(30 * MINUTE),
        "from the last renewal"
    );
    let patched = patch(&server, &session, json!({ "maxDurationMinutes": 25 })).await;
    assert_eq!(
        patched["expiresAt"],
        time(25 * MINUTE),
        "but not beyond the maximum duration"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_patch_cannot_expire_a_session() {
    let server = Server::start().await;
    let session = server.session().await;
    server.advance(10 * MINUTE);
    refuse(
        &server,
        &session,
        json!({ "timeoutMinutes": 9 }),
        "timeoutMinutes",
    )
    .await;
    refuse(
        &server,
        &session,
        json!({ "timeoutMinutes": 10 }),
        "timeoutMinutes",
    )
    .await;
    let patched = patch(&server, &session, json!({ "timeoutMinutes": 11 })).await;
    assert_eq!(patched["timeRemaining"], 60_000);
    let renewed = server
        .post(&at(&session, "/renew"), json!({}))
        .await
        .expect(200)
        .body;
    assert_eq!(renewed["expiresAt"], time(21 * MINUTE));
    let dead = json!({ "timeoutMinutes": 5, "maxDurationMinutes": 10 });
    refuse(&server, &session, dead, "maxDurationMinutes").await;
    server.stop().await;
}

#[tokio::test]
async fn the_running_servers_bounds_apply() {
    let mut server = Server::start().await;
    let session = server.session().await;
    server
        .restart_with(|setup: Builder| {
            setup
                .set("SESSION_MIN_TIMEOUT_MINUTES", "40")
                .set("SESSION_MAX_TIMEOUT_MINUTES", "60")
        })
        .await;
    refuse(
        &server,
        &session,
        json!({ "timeoutMinutes": 39 }),
        "timeoutMinutes",
    )
    .await;
    refuse(
        &server,
        &session,
        json!({ "timeoutMinutes": 61 }),
        "timeoutMinutes",
    )
    .await;
    let patched = patch(&server, &session, json!({ "timeoutMinutes": 50 })).await;
    assert_eq!(patched["expiresAt"], time(50 * MINUTE));
    assert_eq!(patched["timeoutConfig"]["maxDurationMinutes"], 120);
    server.stop().await;
}

#[tokio::test]
async fn a_longer_timeout_postpones_the_expiry() {
    let server = Server::start().await;
    let session = server.session().await;
    patch(&server, &session, json!({ "timeoutMinutes": 60 })).await;
    server.advance(59 * MINUTE);
    assert_eq!(server.info(&session).await["timeRemaining"], 60_000);
    server.advance(MINUTE);
    server.get(&at(&session, "")).await.expect(410);
    server.stop().await;
}
