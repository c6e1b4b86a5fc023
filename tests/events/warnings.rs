//! Warnings of the expiry.

use serde_json::{Value, json};

use crate::reader::Reader;
use crate::server::Server;

/// Creates a session without `autoRenew`.
async fn session(server: &Server, timeout: u32, threshold: u32) -> String {
    server.create(timeouts(timeout, threshold)).await
}

fn timeouts(timeout: u32, threshold: u32) -> Value {
    json!({
        "timeoutMinutes": timeout, "warningThresholdMinutes": threshold, "autoRenew": false,
    })
}

async fn is_warned(reader: &mut Reader, session: &str, minutes: u32, expires_at: &Value) {
    let warning = reader.expect("sessionExpirationWarning").await;
    assert_eq!(
        warning.data,
        json!({ "sessionId": session, "minutesRemaining": minutes, "expiresAt": expires_at })
    );
    assert_eq!(warning.id, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_has_one_warning_at_the_threshold_and_one_after_each_renewal() {
    let server = Server::start().await;
    let session = session(&server, 10, 3).await;
    let mut reader = server.follow_live(&session).await;
    let expires_at = server.patch(&session, json!({})).await["expiresAt"].clone();
    server.minutes_pass(6).await;
    reader.stays_silent().await;
    server.minutes_pass(1).await;
    is_warned(&mut reader, &session, 3, &expires_at).await;
    server.minutes_pass(1).await;
    server.post(&session, "/heartbeat").await;
    server.send(&session, "say hi").await;
    let events = reader.until_idle().await;
    assert!(
        !events.iter().any(|event| event.name.starts_with("session")),
        "{events:?}"
    );
    reader.stays_silent().await;

    let renewed = server.post(&session, "/renew").await;
    reader.expect("sessionRenewed").await;
    server.minutes_pass(6).await;
    reader.stays_silent().await;
    server.minutes_pass(1).await;
    is_warned(&mut reader, &session, 3, &renewed["expiresAt"]).await;
    server.minutes_pass(3).await;
    let names: Vec<_> = reader.rest().await.into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["sessionExpired"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_created_or_renewed_within_the_threshold_has_no_warning() {
    let server = Server::start().await;
    for (timeout, threshold) in [(5, 5), (5, 30)] {
        let session = session(&server, timeout, threshold).await;
        let mut reader = server.follow(&session).await;
        let state = reader.expect("state").await;
        assert_eq!(state.data["isNearExpiration"], true);
        server.minutes_pass(2).await;
        reader.stays_silent().await;
        server.post(&session, "/renew").await;
        reader.expect("sessionRenewed").await;
        server.minutes_pass(4).await;
        reader.stays_silent().await;
        server.minutes_pass(1).await;
        reader.expect("sessionExpired").await;
        assert_eq!(reader.rest().await, []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeout_shortened_into_the_threshold_sends_a_warning_at_once() {
    let server = Server::start().await;
    let session = session(&server, 30, 5).await;
    let mut reader = server.follow_live(&session).await;
    server.minutes_pass(2).await;
    let patched = server.patch(&session, json!({ "timeoutMinutes": 7 })).await;
    is_warned(&mut reader, &session, 5, &patched["expiresAt"]).await;
    server.patch(&session, json!({ "timeoutMinutes": 6 })).await;
    server.minutes_pass(1).await;
    reader.stays_silent().await;

    // A longer timeout leaves the threshold, so that there is another warning.
    let patched = server
        .patch(&session, json!({ "timeoutMinutes": 20 }))
        .await;
    reader.stays_silent().await;
    server.minutes_pass(12).await;
    is_warned(&mut reader, &session, 5, &patched["expiresAt"]).await;
    reader.stays_silent().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_threshold_raised_above_the_time_left_sends_a_warning_at_once() {
    let server = Server::start().await;
    let session = session(&server, 30, 5).await;
    let mut reader = server.follow_live(&session).await;
    let raised = json!({ "warningThresholdMinutes": 60 });
    let patched = server.patch(&session, raised.clone()).await;
    is_warned(&mut reader, &session, 30, &patched["expiresAt"]).await;
    server.patch(&session, raised).await;
    server.minutes_pass(26).await;
    reader.stays_silent().await;
    server.minutes_pass(4).await;
    reader.expect("sessionExpired").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_minutes_of_a_warning_are_rounded_up() {
    let server = Server::start().await;
    let session = session(&server, 10, 5).await;
    let mut reader = server.follow_live(&session).await;
    let expires_at = server.patch(&session, json!({})).await["expiresAt"].clone();
    // The clock jumps over the threshold: a little more than a minute is left.
    server.minutes_pass(8).await;
    is_warned(&mut reader, &session, 2, &expires_at).await;
    reader.stays_silent().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_just_before_the_warning_does_not_suppress_it() {
    let server = Server::start().await;
    let session = session(&server, 10, 3).await;
    let mut reader = server.follow_live(&session).await;
    // The server handles close deadlines together, so it is a little late here.
    server.millis_pass(239_990).await;
    let patched = server.patch(&session, json!({ "timeoutMinutes": 7 })).await;
    server.millis_pass(15).await;
    server.patch(&session, json!({ "autoRenew": false })).await;
    server.millis_pass(1000).await;
    is_warned(&mut reader, &session, 3, &patched["expiresAt"]).await;
    reader.stays_silent().await;
}
