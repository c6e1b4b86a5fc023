//! Renewals: explicit, by a heartbeat, by a message.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Answer, MINUTE, SECOND, Server, at, time};

async fn renew(server: &Server, session: &str) -> Answer {
    server.post(&at(session, "/renew"), json!({})).await
}

async fn heartbeat(server: &Server, session: &str) -> Value {
    let answer = server.post(&at(session, "/heartbeat"), json!({})).await;
    answer.expect(200).body
}

async fn send(server: &Server, session: &str) -> Value {
    server
        .send(session, json!({ "content": "x" }))
        .await
        .expect(201)
        .body
}

#[tokio::test]
async fn a_renewal_restarts_the_timeout() {
    let server = Server::start().await;
    for auto_renew in [true, false] {
        server.set_clock(Duration::ZERO);
        let session = server
            .session_with(json!({ "timeoutConfig": { "autoRenew": auto_renew } }))
            .await;
        server.advance(10 * MINUTE);
        let renewed = renew(&server, &session).await.expect(200).body;
        assert_eq!(renewed["expiresAt"], time(40 * MINUTE));
        assert_eq!(renewed["lastActivity"], time(10 * MINUTE));
        assert_eq!(renewed["renewalCount"], 1);
        assert_eq!(renewed["timeRemaining"], 30 * 60_000);
        assert_eq!(server.info(&session).await, renewed);
        server.advance(MINUTE);
        let renewed = renew(&server, &session).await.expect(200).body;
        assert_eq!(renewed["expiresAt"], time(41 * MINUTE));
        assert_eq!(renewed["renewalCount"], 2);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_renewal_at_the_maximum_duration_is_refused() {
    let server = Server::start().await;
    let config = json!({ "timeoutMinutes": 30, "maxDurationMinutes": 45 });
    let session = server
        .session_with(json!({ "timeoutConfig": config }))
        .await;
    server.advance(20 * MINUTE);
    let renewed = renew(&server, &session).await.expect(200).body;
    assert_eq!(
        renewed["expiresAt"],
        time(45 * MINUTE),
        "up to the maximum duration"
    );
    server.advance(SECOND);
    let before = server.info(&session).await;
    let refused = renew(&server, &session).await;
    let details = refused.error(422, "SESSION_RENEWAL_FAILED", "SessionRenewalError");
    let expected = json!({
        "sessionId": session,
        "reason": details["reason"],
        "maxDurationMinutes": 45,
        "createdAt": time(Duration::ZERO),
        "timeSinceCreation": 20 * 60_000 + 1000,
    });
    assert_eq!(details, expected);
    assert!(details["reason"].is_string());
    assert_eq!(server.info(&session).await, before, "nothing has changed");
    server.stop().await;
}

#[tokio::test]
async fn a_session_with_the_maximum_duration_from_the_start_is_never_renewed() {
    let server = Server::start().await;
    let config = json!({ "timeoutMinutes": 30, "maxDurationMinutes": 30 });
    let session = server
        .session_with(json!({ "timeoutConfig": config }))
        .await;
    renew(&server, &session).await.expect(422);
    server.advance(MINUTE);
    let beaten = heartbeat(&server, &session).await;
    assert_eq!(beaten["lastActivity"], time(MINUTE), "it is still activity");
    assert_eq!(beaten["renewalCount"], 0);
    server.advance(MINUTE);
    let sent = send(&server, &session).await;
    assert_eq!(sent["sessionStatus"]["wasRenewed"], false);
    assert_eq!(
        server.info(&session).await["lastActivity"],
        time(2 * MINUTE)
    );
    assert_eq!(server.info(&session).await["expiresAt"], time(30 * MINUTE));
    server.stop().await;
}

#[tokio::test]
async fn a_heartbeat_is_activity_and_renews_with_auto_renew() {
    let server = Server::start().await;
    let renewing = server.session().await;
    let other = server
        .session_with(json!({ "timeoutConfig": { "autoRenew": false } }))
        .await;
    server.advance(10 * MINUTE);
    let beaten = heartbeat(&server, &renewing).await;
    assert_eq!(beaten["lastActivity"], time(10 * MINUTE));
    assert_eq!(beaten["expiresAt"], time(40 * MINUTE));
    assert_eq!(beaten["renewalCount"], 1);
    let beaten = heartbeat(&server, &other).await;
    assert_eq!(beaten["lastActivity"], time(10 * MINUTE));
    assert_eq!(beaten["expiresAt"], time(30 * MINUTE));
    assert_eq!(beaten["renewalCount"], 0);
    server.stop().await;
}

#[tokio::test]
async fn a_message_is_activity_and_renews_with_auto_renew() {
    let server = Server::start().await;
    let renewing = server.session().await;
    let other = server
        .session_with(json!({ "timeoutConfig": { "autoRenew": false } }))
        .await;
    server.advance(26 * MINUTE);
    let sent = send(&server, &renewing).await;
    let expected = json!({
        "expiresAt": time(56 * MINUTE),
        "renewalCount": 1,
        "wasRenewed": true,
        "isNearExpiration": false,
    });
    assert_eq!(sent["sessionStatus"], expected);
    let sent = send(&server, &other).await;
    let expected = json!({
        "expiresAt": time(30 * MINUTE),
        "renewalCount": 0,
        "wasRenewed": false,
        "isNearExpiration": true,
    });
    assert_eq!(sent["sessionStatus"], expected);
    for session in [&renewing, &other] {
        assert_eq!(
            server.info(session).await["lastActivity"],
            time(26 * MINUTE)
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn automatic_renewal_ends_at_the_maximum_duration() {
    let server = Server::start().await;
    let config = json!({ "timeoutMinutes": 30, "maxDurationMinutes": 70 });
    let session = server
        .session_with(json!({ "timeoutConfig": config }))
        .await;
    for (minute, expires, renewed) in [
        (25, 55, true),
        (50, 70, true),
        (60, 70, false),
        (69, 70, false),
    ] {
        server.set_clock(minute * MINUTE);
        let status = send(&server, &session).await["sessionStatus"].clone();
        assert_eq!(status["expiresAt"], time(expires * MINUTE));
        assert_eq!(status["wasRenewed"], renewed);
    }
    assert_eq!(server.info(&session).await["renewalCount"], 2);
    server.set_clock(70 * MINUTE);
    server.get(&at(&session, "")).await.expect(410);
    server.stop().await;
}

#[tokio::test]
async fn an_agents_message_is_not_activity() {
    let server = Server::start().await;
    let session = server.session().await;
    let reply = server.begin(&session, "say one|wait 60000|say two").await;
    let before = server.info(&session).await;
    server.advance(MINUTE);
    reply.end("done").await;
    let after = server.info(&session).await;
    for field in ["lastActivity", "expiresAt", "renewalCount"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert_eq!(server.history(&session).await[1]["createdAt"], time(MINUTE));
    server.stop().await;
}

#[tokio::test]
async fn a_changed_auto_renew_takes_effect_at_once() {
    let server = Server::start().await;
    let session = server.session().await;
    let off = json!({ "autoRenew": false });
    server
        .patch(&at(&session, "/timeout"), off)
        .await
        .expect(200);
    server.advance(MINUTE);
    assert_eq!(heartbeat(&server, &session).await["renewalCount"], 0);
    let on = json!({ "autoRenew": true });
    server
        .patch(&at(&session, "/timeout"), on)
        .await
        .expect(200);
    assert_eq!(heartbeat(&server, &session).await["renewalCount"], 1);
    server.stop().await;
}

#[tokio::test]
async fn a_sessions_times_never_go_back_with_the_clock() {
    let server = Server::start().await;
    let session = server.session().await;
    server.set_clock(20 * MINUTE);
    let before = heartbeat(&server, &session).await;
    server.ask(&session, "x").await;
    server.set_clock(5 * MINUTE);
    let beaten = heartbeat(&server, &session).await;
    assert_eq!(beaten["lastActivity"], time(20 * MINUTE));
    assert_eq!(beaten["expiresAt"], before["expiresAt"]);
    let renewed = renew(&server, &session).await.expect(200).body;
    assert_eq!(renewed["lastActivity"], time(20 * MINUTE));
    assert_eq!(
        renewed["expiresAt"],
        time(50 * MINUTE),
        "the window is unchanged"
    );
    server.ask(&session, "y").await;
    let times: Vec<_> = server.history(&session).await;
    let times: Vec<_> = times
        .iter()
        .map(|message| message["createdAt"].clone())
        .collect();
    let bumped = |millis| json!(time(20 * MINUTE + Duration::from_millis(millis)));
    assert_eq!(times, [bumped(0), bumped(1), bumped(2), bumped(3)]);
    server.set_clock(21 * MINUTE);
    assert_eq!(
        heartbeat(&server, &session).await["lastActivity"],
        time(21 * MINUTE)
    );
    server.stop().await;
}
