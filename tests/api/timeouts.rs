//! The timeouts of new sessions: precedence and bounds.

use serde_json::{Value, json};

use crate::harness::{Builder, Server, at};

const ADA: &str = "a0a0a0a0-0000-0000-0000-000000000001";

/// Returns the timeouts of a new session that requests these.
async fn resolved(server: &Server, asked: &Value) -> Value {
    let created = server.create(json!({ "timeoutConfig": asked })).await;
    created.expect(201).body["timeoutConfig"].clone()
}

fn with_ada(settings: &Value) -> Builder {
    let ada = json!({ "id": ADA, "name": "Ada", "settings": settings });
    Server::builder().character("ada.json", &ada)
}

async fn resolved_by_ada(server: &Server, asked: &Value) -> Value {
    let created = server
        .create(json!({ "agentId": ADA, "timeoutConfig": asked }))
        .await;
    created.expect(201).body["timeoutConfig"].clone()
}

fn config(timeout: u32, auto_renew: bool, max_duration: u32, warning: u32) -> Value {
    json!({
        "timeoutMinutes": timeout,
        "autoRenew": auto_renew,
        "maxDurationMinutes": max_duration,
        "warningThresholdMinutes": warning,
    })
}

#[tokio::test]
async fn without_a_request_the_defaults_apply() {
    let server = Server::start().await;
    let nulls = json!({ "timeoutMinutes": null, "autoRenew": null, "maxDurationMinutes": null,
                        "warningThresholdMinutes": null });
    let blanks = json!({ "timeoutMinutes": "", "maxDurationMinutes": " \t\n",
                         "warningThresholdMinutes": "  " });
    for asked in [json!(null), json!({}), nulls, blanks] {
        assert_eq!(
            resolved(&server, &asked).await,
            config(30, true, 720, 5),
            "{asked}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn settings_change_the_defaults() {
    let server = Server::builder()
        .set("SESSION_DEFAULT_TIMEOUT_MINUTES", "20")
        .set("SESSION_MAX_DURATION_MINUTES", "90")
        .set("SESSION_WARNING_THRESHOLD_MINUTES", "7")
        .set("SESSION_MIN_TIMEOUT_MINUTES", "10")
        .set("SESSION_MAX_TIMEOUT_MINUTES", "60")
        .start()
        .await;
    assert_eq!(resolved(&server, &json!({})).await, config(20, true, 90, 7));
    let asked = config(9, false, 1000, 61);
    assert_eq!(resolved(&server, &asked).await, config(10, false, 120, 60));
    assert_eq!(
        resolved(&server, &json!({ "timeoutMinutes": 61 })).await["timeoutMinutes"],
        60
    );
    server.stop().await;
}

#[tokio::test]
async fn requested_timeouts_apply() {
    let server = Server::start().await;
    for asked in [
        config(45, false, 300, 10),
        config(5, true, 5, 1),
        config(1440, false, 2880, 1440),
    ] {
        assert_eq!(resolved(&server, &asked).await, asked);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_number_is_converted_like_in_javascript_and_clamped() {
    let server = Server::start().await;
    for (asked, minutes) in [
        (json!(45), 45),
        (json!(45.9), 45),
        (json!(4.5e1), 45),
        (json!("45"), 45),
        (json!("45.9"), 45),
        (json!(" 45\n"), 45),
        (json!("4.5e1"), 45),
        (json!("0x2D"), 45),
        (json!("0b101101"), 45),
        (json!("0o55"), 45),
        (json!("045"), 45),
        (json!("+45"), 45),
        (json!(5), 5),
        (json!(4.99), 5),
        (json!(0), 5),
        (json!("0"), 5),
        (json!(-10), 5),
        (json!("-1e300"), 5),
        (json!(1440), 1440),
        (json!(1440.9), 1440),
        (json!(1441), 1440),
        (json!(1e300), 1440),
        (json!("99999999999999999999"), 1440),
        // Not finite: the next level of precedence applies.
        (json!("abc"), 30),
        (json!("NaN"), 30),
        (json!("Infinity"), 30),
        (json!("-Infinity"), 30),
        (json!("1e400"), 30),
        (json!("1,000"), 30),
        (json!("45 minutes"), 30),
        (json!("1_000"), 30),
        (json!("0x"), 30),
        (json!("-0x2D"), 30),
        (json!("inf"), 30),
    ] {
        let found = resolved(&server, &json!({ "timeoutMinutes": asked })).await;
        assert_eq!(found["timeoutMinutes"], minutes, "{asked}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_maximum_duration_is_clamped_to_the_timeout_and_twice_the_maximum_timeout() {
    let server = Server::start().await;
    for (asked, duration) in [
        (
            json!({ "timeoutMinutes": 60, "maxDurationMinutes": 10 }),
            60,
        ),
        (
            json!({ "timeoutMinutes": 60, "maxDurationMinutes": "-5" }),
            60,
        ),
        (
            json!({ "timeoutMinutes": 60, "maxDurationMinutes": 61.9 }),
            61,
        ),
        (json!({ "maxDurationMinutes": 2880 }), 2880),
        (json!({ "maxDurationMinutes": 2881 }), 2880),
        (json!({ "maxDurationMinutes": "1e99" }), 2880),
        (json!({ "maxDurationMinutes": "Infinity" }), 720),
        // The default is below the requested timeout.
        (json!({ "timeoutMinutes": 1440 }), 1440),
    ] {
        let found = resolved(&server, &asked).await;
        assert_eq!(found["maxDurationMinutes"], duration, "{asked}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_warning_threshold_is_clamped_to_a_minute_and_the_maximum_timeout() {
    let server = Server::start().await;
    for (asked, minutes) in [
        (json!(0), 1),
        (json!(-3), 1),
        (json!("0.9"), 1),
        (json!(1), 1),
        (json!(1440), 1440),
        (json!(1441), 1440),
        (json!("x"), 5),
    ] {
        let found = resolved(&server, &json!({ "warningThresholdMinutes": asked })).await;
        assert_eq!(found["warningThresholdMinutes"], minutes, "{asked}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_type_is_refused_and_the_first_wrong_field_is_named() {
    let server = Server::start().await;
    let refuse = async |asked: Value, field: &str| {
        let refused = server.create(json!({ "timeoutConfig": asked })).await;
        let details = refused.invalid("InvalidTimeoutConfigError");
        assert_eq!(details["field"], field, "{asked}");
        assert!(details["reason"].is_string());
        assert_eq!(details.as_object().unwrap().len(), 2);
    };
    for field in [
        "timeoutMinutes",
        "maxDurationMinutes",
        "warningThresholdMinutes",
    ] {
        for wrong in [
            json!(true),
            json!(false),
            json!([]),
            json!([5]),
            json!({}),
            json!({ "a": 1 }),
        ] {
            refuse(json!({ field: wrong }), field).await;
        }
    }
    for wrong in [
        json!("true"),
        json!(""),
        json!(1),
        json!(0),
        json!([]),
        json!({}),
    ] {
        refuse(json!({ "autoRenew": wrong }), "autoRenew").await;
    }
    for wrong in [
        json!(5),
        json!("30"),
        json!(""),
        json!(true),
        json!(false),
        json!([]),
    ] {
        refuse(wrong, "timeoutConfig").await;
    }
    let all = json!({ "warningThresholdMinutes": [], "maxDurationMinutes": [], "autoRenew": 1,
                      "timeoutMinutes": {} });
    refuse(all, "timeoutMinutes").await;
    let three = json!({ "warningThresholdMinutes": [], "maxDurationMinutes": [], "autoRenew": 1 });
    refuse(three, "autoRenew").await;
    let two = json!({ "warningThresholdMinutes": [], "maxDurationMinutes": [] });
    refuse(two, "maxDurationMinutes").await;
    server.stop().await;
}

#[tokio::test]
async fn an_agents_settings_rank_between_the_request_and_the_defaults() {
    let server = with_ada(&json!({
        "SESSION_TIMEOUT_MINUTES": "45",
        "SESSION_AUTO_RENEW": "false",
        "SESSION_MAX_DURATION_MINUTES": 300.7,
        "SESSION_WARNING_THRESHOLD_MINUTES": 9,
    }))
    .start()
    .await;
    assert_eq!(
        resolved_by_ada(&server, &json!({})).await,
        config(45, false, 300, 9)
    );
    // Each field independently.
    let asked = json!({ "timeoutMinutes": 50 });
    assert_eq!(
        resolved_by_ada(&server, &asked).await,
        config(50, false, 300, 9)
    );
    let asked = json!({ "autoRenew": true, "warningThresholdMinutes": "3" });
    assert_eq!(
        resolved_by_ada(&server, &asked).await,
        config(45, true, 300, 3)
    );
    let asked = config(60, true, 61, 2);
    assert_eq!(resolved_by_ada(&server, &asked).await, asked);
    // A value that is not a number falls back to the agent's.
    let asked = json!({ "timeoutMinutes": "abc", "maxDurationMinutes": null,
                        "warningThresholdMinutes": "" });
    assert_eq!(
        resolved_by_ada(&server, &asked).await,
        config(45, false, 300, 9)
    );
    // Other agents have the defaults.
    assert_eq!(
        resolved(&server, &json!({})).await,
        config(30, true, 720, 5)
    );
    server.stop().await;
}

#[tokio::test]
async fn an_agents_settings_are_clamped_and_invalid_ones_ignored() {
    for (settings, expected) in [
        (
            json!({ "SESSION_TIMEOUT_MINUTES": 2, "SESSION_MAX_DURATION_MINUTES": 1,
                 "SESSION_WARNING_THRESHOLD_MINUTES": 0 }),
            config(5, true, 5, 1),
        ),
        (
            json!({ "SESSION_TIMEOUT_MINUTES": "9999", "SESSION_MAX_DURATION_MINUTES": 99999,
                 "SESSION_WARNING_THRESHOLD_MINUTES": "1e9", "SESSION_AUTO_RENEW": false }),
            config(1440, false, 2880, 1440),
        ),
        (
            json!({ "SESSION_TIMEOUT_MINUTES": "soon", "SESSION_MAX_DURATION_MINUTES": [],
                 "SESSION_WARNING_THRESHOLD_MINUTES": {}, "SESSION_AUTO_RENEW": "perhaps" }),
            config(30, true, 720, 5),
        ),
        (
            json!({ "SESSION_TIMEOUT_MINUTES": null, "SESSION_MAX_DURATION_MINUTES": "",
                 "SESSION_WARNING_THRESHOLD_MINUTES": "NaN", "SESSION_AUTO_RENEW": null }),
            config(30, true, 720, 5),
        ),
        (
            json!({ "SESSION_TIMEOUT_MINUTES": true, "SESSION_AUTO_RENEW": true }),
            config(30, true, 720, 5),
        ),
    ] {
        let server = with_ada(&settings).start().await;
        assert_eq!(
            resolved_by_ada(&server, &json!({})).await,
            expected,
            "{settings}"
        );
        server.stop().await;
    }
}

#[tokio::test]
async fn a_changed_setting_never_moves_an_existing_session() {
    let mut server = with_ada(&json!({ "SESSION_TIMEOUT_MINUTES": 45 }))
        .start()
        .await;
    let session = server.session_with(json!({ "agentId": ADA })).await;
    let before = server.info(&session).await;
    let change = |setup: Builder| {
        setup
            .without_character("ada.json")
            .character("ada.json", &json!({ "id": ADA, "name": "Ada" }))
            .set("SESSION_DEFAULT_TIMEOUT_MINUTES", "10")
            .set("SESSION_MIN_TIMEOUT_MINUTES", "50")
            .set("SESSION_MAX_TIMEOUT_MINUTES", "60")
    };
    server.restart_with(change).await;
    assert_eq!(server.info(&session).await, before);
    // Renewals use the session's own timeouts too.
    server.advance(crate::harness::MINUTE);
    let renewed = server
        .post(&at(&session, "/renew"), json!({}))
        .await
        .expect(200)
        .body;
    assert_eq!(renewed["timeoutConfig"], config(45, true, 720, 5));
    assert_eq!(renewed["expiresAt"], "2024-01-01T00:46:00.000Z");
    server.stop().await;
}

#[tokio::test]
async fn a_session_expires_after_its_timeout_or_maximum_duration() {
    let server = Server::start().await;
    for (asked, expires_at) in [
        (json!({}), "2024-01-01T00:30:00.000Z"),
        (json!({ "timeoutMinutes": 60 }), "2024-01-01T01:00:00.000Z"),
        (
            json!({ "timeoutMinutes": 60, "maxDurationMinutes": 60 }),
            "2024-01-01T01:00:00.000Z",
        ),
        (
            json!({ "timeoutMinutes": 1440 }),
            "2024-01-02T00:00:00.000Z",
        ),
    ] {
        let created = server
            .create(json!({ "timeoutConfig": asked }))
            .await
            .expect(201);
        assert_eq!(created.body["expiresAt"], expires_at, "{asked}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_session_is_near_expiration_from_its_threshold_on() {
    let server = Server::start().await;
    let session = server.session().await;
    let short = server
        .session_with(json!({ "timeoutConfig": { "timeoutMinutes": 5 } }))
        .await;
    assert_eq!(
        server.info(&short).await["isNearExpiration"],
        true,
        "from the creation on"
    );
    server.set_clock(std::time::Duration::from_millis(25 * 60_000 - 1));
    let info = server.info(&session).await;
    assert_eq!(
        (&info["isNearExpiration"], &info["timeRemaining"]),
        (&json!(false), &json!(300_001))
    );
    server.advance(std::time::Duration::from_millis(1));
    let info = server.info(&session).await;
    assert_eq!(
        (&info["isNearExpiration"], &info["timeRemaining"]),
        (&json!(true), &json!(300_000))
    );
    server.set_clock(std::time::Duration::from_millis(30 * 60_000 - 1));
    let info = server.info(&session).await;
    assert_eq!(
        (&info["isNearExpiration"], &info["timeRemaining"]),
        (&json!(true), &json!(1))
    );
    server.stop().await;
}
