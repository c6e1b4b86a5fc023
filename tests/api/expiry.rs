//! Expired sessions: their instant, their retention, their removal.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Answer, Builder, MINUTE, SESSIONS, Server, answer, at, contents, eventually, just_before, time,
};

const MILLISECOND: Duration = Duration::from_millis(1);

fn transcript(session: &str) -> String {
    format!("/api/messaging/channels/{session}/messages")
}

/// Makes every call that is refused for an expired session.
async fn refused_calls(server: &Server, session: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    for (method, rest, body) in [
        (Method::GET, "", Value::Null),
        (Method::GET, "/messages", Value::Null),
        (Method::POST, "/messages", json!({ "content": "x" })),
        (
            Method::POST,
            "/messages",
            json!({ "content": "x", "transport": "http" }),
        ),
        (
            Method::POST,
            "/messages",
            json!({ "content": "x", "transport": "sse" }),
        ),
        (
            Method::POST,
            "/messages",
            json!({ "content": "x", "clientMessageId": "new" }),
        ),
        (Method::POST, "/renew", Value::Null),
        (Method::POST, "/heartbeat", Value::Null),
        (Method::PATCH, "/timeout", json!({ "timeoutMinutes": 600 })),
    ] {
        let request = server.request(method, &at(session, rest)).json(&body);
        answers.push(answer(request).await);
    }
    answers
}

async fn expect_expired(server: &Server, session: &str, expires_at: &str) {
    for refused in refused_calls(server, session).await {
        let details = refused.error(410, "SESSION_EXPIRED", "SessionExpiredError");
        assert_eq!(
            details,
            json!({ "sessionId": session, "expiresAt": expires_at })
        );
        assert_eq!(refused.body["error"]["message"], "Session has expired");
    }
    server.get(&transcript(session)).await.expect(200);
}

async fn expect_gone(server: &Server, session: &str) {
    let mut answers = refused_calls(server, session).await;
    answers.push(server.get(&transcript(session)).await);
    answers.push(server.delete(&at(session, "")).await);
    for refused in answers {
        let details = refused.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
        assert_eq!(details, json!({ "sessionId": session }));
        assert_eq!(refused.body["error"]["message"], "Session not found");
    }
}

#[tokio::test]
async fn a_session_expires_at_the_exact_instant() {
    let server = Server::start().await;
    let session = server.session().await;
    server.set_clock(just_before(30 * MINUTE));
    assert_eq!(server.info(&session).await["timeRemaining"], 1);
    server.advance(MILLISECOND);
    expect_expired(&server, &session, &time(30 * MINUTE)).await;
    server.stop().await;
}

#[tokio::test]
async fn a_message_or_heartbeat_in_the_last_millisecond_renews() {
    let server = Server::start().await;
    let (one, two) = (server.session().await, server.session().await);
    server.set_clock(just_before(30 * MINUTE));
    server.tell(&one, "x").await;
    server
        .post(&at(&two, "/heartbeat"), json!({}))
        .await
        .expect(200);
    server.advance(MILLISECOND);
    for session in [&one, &two] {
        assert_eq!(server.info(session).await["renewalCount"], 1);
    }
    server.stop().await;
}

#[tokio::test]
async fn expired_sessions_answer_410_and_their_transcript_stays_readable() {
    let server = Server::start().await;
    let session = server.session().await;
    server.ask(&session, "say hello").await;
    let live = server
        .get(&at(&session, "/messages"))
        .await
        .expect(200)
        .body;
    assert_eq!(
        server.get(&transcript(&session)).await.expect(200).body,
        live
    );
    server.advance(31 * MINUTE);
    expect_expired(&server, &session, &time(30 * MINUTE)).await;
    let kept = server.get(&transcript(&session)).await.expect(200).body;
    assert_eq!(kept, live, "the same query and response as the list");
    let page = format!("{}?limit=1&before=9007199254740992", transcript(&session));
    let page = server.get(&page).await.expect(200).body;
    assert_eq!(contents(page["messages"].as_array().unwrap()), ["hello"]);
    assert_eq!(page["hasMore"], true);
    let wrong = format!("{}?after=yesterday", transcript(&session));
    server.get(&wrong).await.invalid("InvalidPaginationError");
    server.stop().await;
}

#[tokio::test]
async fn after_its_retention_a_session_is_not_found() {
    let server = Server::builder()
        .set("SESSION_RETENTION_MINUTES", "60")
        .start()
        .await;
    let session = server.session().await;
    server.ask(&session, "x").await;
    server.set_clock(just_before(90 * MINUTE));
    expect_expired(&server, &session, &time(30 * MINUTE)).await;
    server.advance(MILLISECOND);
    expect_gone(&server, &session).await;
    server.advance(6 * MINUTE);
    server.settle().await;
    expect_gone(&server, &session).await;
    assert_eq!(server.stop().await, 0, "it is no longer stored");
}

#[tokio::test]
async fn after_its_retention_a_session_is_not_found_even_without_a_sweep() {
    let server = Server::builder()
        .set("SESSION_RETENTION_MINUTES", "60")
        .set("SESSION_CLEANUP_INTERVAL_MINUTES", "60")
        .start()
        .await;
    server.set_clock(MINUTE);
    let config = json!({ "timeoutMinutes": 5 });
    let session = server
        .session_with(json!({ "timeoutConfig": config }))
        .await;
    server.ask(&session, "x").await;
    // Sweeps run on the hour, and this session's retention ends at six minutes past one.
    server.set_clock(just_before(66 * MINUTE));
    server.settle().await;
    expect_expired(&server, &session, &time(6 * MINUTE)).await;
    server.advance(MILLISECOND);
    expect_gone(&server, &session).await;
    assert_eq!(server.get(SESSIONS).await.body["stats"]["totalSessions"], 0);
    assert_eq!(server.stop().await, 1, "it is still stored");
}

#[tokio::test]
async fn the_retention_is_at_least_a_cleanup_interval() {
    let server = Server::builder()
        .set("SESSION_RETENTION_MINUTES", "0")
        .set("SESSION_CLEANUP_INTERVAL_MINUTES", "10")
        .start()
        .await;
    let session = server.session().await;
    server.set_clock(just_before(40 * MINUTE));
    expect_expired(&server, &session, &time(30 * MINUTE)).await;
    server.advance(MILLISECOND);
    expect_gone(&server, &session).await;
    server.stop().await;
}

#[tokio::test]
async fn the_running_servers_retention_applies() {
    let mut server = Server::builder()
        .set("SESSION_RETENTION_MINUTES", "60")
        .start()
        .await;
    let session = server.session().await;
    server.set_clock(50 * MINUTE);
    expect_expired(&server, &session, &time(30 * MINUTE)).await;
    let retain = |minutes: &'static str| {
        move |setup: Builder| setup.set("SESSION_RETENTION_MINUTES", minutes)
    };
    server.restart_with(retain("600")).await;
    server.set_clock(120 * MINUTE);
    expect_expired(&server, &session, &time(30 * MINUTE)).await;
    server.restart_with(retain("30")).await;
    expect_gone(&server, &session).await;
    server.settle().await;
    assert_eq!(server.stop().await, 0);
}

#[tokio::test]
async fn a_session_that_expires_during_downtime_is_expired_at_the_start() {
    let mut server = Server::start().await;
    let session = server.session().await;
    let ended = server.begin_stop();
    server.finish_stop(ended).await;
    server.advance(30 * MINUTE);
    server.launch_with(|setup| setup).await;
    expect_expired(&server, &session, &time(30 * MINUTE)).await;
    server.stop().await;
}

#[tokio::test]
async fn a_clock_that_steps_back_reactivates_an_expired_session() {
    let server = Server::start().await;
    let session = server.session().await;
    server.set_clock(31 * MINUTE);
    server.get(&at(&session, "")).await.expect(410);
    server.set_clock(29 * MINUTE);
    assert_eq!(server.info(&session).await["timeRemaining"], 60_000);
    server.stop().await;
}

#[tokio::test]
async fn a_sweep_removes_only_expired_sessions() {
    let server = Server::builder()
        .set("SESSION_RETENTION_MINUTES", "0")
        .start()
        .await;
    let mut kept = Vec::new();
    for index in 0..20 {
        let minutes = if index % 2 == 0 { 5 } else { 120 };
        let session = server
            .session_with(json!({ "timeoutConfig": { "timeoutMinutes": minutes } }))
            .await;
        server.ask(&session, "x").await;
        if index % 2 == 1 {
            kept.push(session);
        }
    }
    server.set_clock(11 * MINUTE);
    server.settle().await;
    let stats = eventually("the expired are gone", async || {
        let stats = server.get(SESSIONS).await.expect(200).body["stats"].clone();
        (stats["expiredSessions"] == 0).then_some(stats)
    })
    .await;
    assert_eq!(
        stats,
        json!({ "totalSessions": 10, "activeSessions": 10, "expiredSessions": 0 })
    );
    for session in &kept {
        assert_eq!(server.history(session).await.len(), 2);
    }
    server.set_clock(15 * MINUTE);
    server.settle().await;
    assert_eq!(server.stop().await, 10);
}

#[tokio::test]
async fn the_length_of_a_minute_can_be_scaled_for_sessions_only() {
    let server = Server::builder()
        .set("SESSION_TIME_SCALE", "60")
        .set("SESSION_RETENTION_MINUTES", "60")
        .start()
        .await;
    let session = server.session().await;
    let info = server.info(&session).await;
    assert_eq!(info["timeoutConfig"]["timeoutMinutes"], 30);
    assert_eq!(info["expiresAt"], time(Duration::from_secs(30)));
    server.set_clock(Duration::from_secs(25));
    assert_eq!(server.info(&session).await["isNearExpiration"], true);
    let running = server.begin(&session, "say one|wait 40000|say two").await;
    assert_eq!(
        server.info(&session).await["expiresAt"],
        time(Duration::from_secs(55))
    );
    server.set_clock(Duration::from_secs(55));
    expect_expired(&server, &session, &time(Duration::from_secs(55))).await;
    server.set_clock(Duration::from_secs(65));
    assert_eq!(
        running.end("done").await["text"],
        "onetwo",
        "an agent's timeout is not scaled"
    );
    server.set_clock(Duration::from_secs(115));
    expect_gone(&server, &session).await;
    server.stop().await;
}
