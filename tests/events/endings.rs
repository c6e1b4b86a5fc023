//! The ends of streams.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::reader::{Event, summaries};
use crate::server::{Server, epoch, good, open, refusal};
use crate::slow_client::{follow_paused, open_paused};

/// Turns of 120 KB each.
const LONG_TURNS: usize = 40;

/// A session of five minutes.
async fn short_session(server: &Server) -> String {
    let timeouts = json!({
        "timeoutMinutes": 5, "warningThresholdMinutes": 5, "autoRenew": false,
    });
    server.create(timeouts).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_expiry_of_an_idle_session_ends_its_streams() {
    let server = Server::start().await;
    let session = short_session(&server).await;
    let info = good(server.http.get(server.at(&session, ""))).await;
    let readers = [
        server.follow_live(&session).await,
        server.follow_live(&session).await,
    ];
    server.minutes_pass(5).await;
    for reader in readers {
        let events = reader.rest().await;
        assert_eq!(summaries(&events), ["sessionExpired"]);
        assert_eq!(
            events[0].data,
            json!({ "sessionId": session, "expiredAt": info["expiresAt"] })
        );
    }
    let (status, kind, details) = refusal(server.following(&session, "")).await;
    assert_eq!((status, kind.as_str()), (410, "SessionExpiredError"));
    assert_eq!(details["expiresAt"], info["expiresAt"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_runs_at_the_expiry_is_streamed_to_its_end() {
    let server = Server::start().await;
    let session = short_session(&server).await;
    let mut reader = server.follow_live(&session).await;
    let running = "say begun | wait 360000 | say done";
    server.send(&session, running).await;
    reader.until(Event::is_chunk).await;
    server.send(&session, "say never").await;
    server.send(&session, "say neither").await;
    reader
        .until(|event| event.text("text") == "say neither")
        .await;
    server.minutes_pass(5).await;
    let events = reader.until(|event| event.name == "sessionExpired").await;
    assert_eq!(
        summaries(&events),
        [
            "messageStreamError",
            "messageComplete",
            "messageStreamError",
            "messageComplete",
            "sessionExpired",
        ]
    );
    reader.stays_silent().await;
    server.minutes_pass(1).await;
    assert_eq!(
        summaries(&reader.rest().await),
        [
            "messageStreamChunk: done",
            "messageBroadcast: begundone",
            "messageComplete",
            "enable_input",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_fails_after_the_expiry_ends_the_stream_too() {
    let server = Server::start().await;
    let session = short_session(&server).await;
    let mut reader = server.follow_live(&session).await;
    server
        .send(&session, "say begun | wait 360000 | fail")
        .await;
    reader.until(Event::is_chunk).await;
    server.minutes_pass(5).await;
    reader.expect("sessionExpired").await;
    server.minutes_pass(1).await;
    assert_eq!(
        summaries(&reader.rest().await),
        ["messageStreamError", "messageComplete", "enable_input"]
    );
}

/// The stream lags as far behind as its client makes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_ran_at_the_expiry_is_streamed_to_a_slow_client_too() {
    let server = Server::start().await;
    let session = short_session(&server).await;
    let (slow, wake) = follow_paused(&server, &session).await;
    let mut quick = server.follow_live(&session).await;
    let mut received = Vec::new();
    // More than the socket buffers hold, and fewer events than the server buffers for a client.
    for _ in 0..LONG_TURNS {
        server.send(&session, "long 60000").await;
        received.extend(quick.until_idle().await);
    }
    let script = "say begun | wait 360000 | say done";
    server.send(&session, script).await;
    received.extend(quick.until(Event::is_chunk).await);
    server.minutes_pass(5).await;
    received.push(quick.expect("sessionExpired").await);
    server.minutes_pass(1).await;
    received.extend(quick.rest().await);
    wake.cancel();
    let shown = summaries(&slow.rest().await[LONG_TURNS * 6..]);
    assert_eq!(shown, summaries(&received[LONG_TURNS * 6..]));
    assert_eq!(shown.last().unwrap(), "enable_input");
}

/// They have no subscribers left when their session is purged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turns_that_outlive_the_retention_of_their_session_end_with_it() {
    // Retention is at least the cleanup interval, five minutes.
    let server = Server::with(&[("SESSION_RETENTION_MINUTES", "0")]).await;
    let session = short_session(&server).await;
    let mut readers = [
        server.follow_live(&session).await,
        server.follow_live(&session).await,
    ];
    server.send(&session, "say begun | hold").await;
    for reader in &mut readers {
        reader.until(Event::is_chunk).await;
    }
    server.minutes_pass(5).await;
    for reader in &mut readers {
        reader.expect("sessionExpired").await;
        reader.stays_silent().await;
    }
    server.minutes_pass(6).await;
    for reader in readers {
        let events = reader.rest().await;
        assert_eq!(summaries(&events), ["messageComplete", "enable_input"]);
    }
}

/// A client that still receives the replay gets the last event of the session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ends_during_a_replay_sends_its_last_event() {
    for (is_deleted, end) in [(true, "channelDeleted"), (false, "sessionExpired")] {
        let server = Server::start().await;
        let session = short_session(&server).await;
        let mut quick = server.follow_live(&session).await;
        // Far more than all buffers hold.
        let turns = LONG_TURNS * 2;
        for _ in 0..turns {
            server.send(&session, "long 60000").await;
            quick.until_idle().await;
        }
        let (slow, wake) = open_paused(&server, &session, "?after=0").await;
        if is_deleted {
            server.delete(&session).await;
        } else {
            server.minutes_pass(5).await;
        }
        quick.expect(end).await;
        wake.cancel();
        let events = slow.rest().await;
        let (last, missed) = events.split_last().unwrap();
        assert_eq!(last.name, end);
        // Messages that were deleted before the replay read them are not sent.
        assert!(is_deleted || missed.len() == turns * 2);
        assert!(missed.iter().all(|event| event.name == "messageBroadcast"));
    }
}

/// The reply and the expiry come in any order, but both come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_ends_at_the_instant_of_the_expiry_is_not_lost() {
    let server = Server::start().await;
    for _ in 0..4 {
        let mut readers = Vec::new();
        for _ in 0..40 {
            let session = short_session(&server).await;
            let mut reader = server.follow_live(&session).await;
            server
                .send(&session, "say begun | wait 300000 | say done")
                .await;
            reader.until(Event::is_chunk).await;
            readers.push(reader);
        }
        server.minutes_pass(5).await;
        for reader in readers {
            let mut shown = summaries(&reader.rest().await);
            let expired = shown.iter().position(|name| name == "sessionExpired");
            shown.remove(expired.expect("the expiry is sent"));
            assert_eq!(
                shown,
                [
                    "messageStreamChunk: done",
                    "messageBroadcast: begundone",
                    "messageComplete",
                    "enable_input",
                ],
                "the expiry was number {expired:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deletion_of_a_session_ends_its_streams_even_during_a_turn() {
    let server = Server::start().await;
    for script in [None, Some("say begun | hold")] {
        let session = server.create_plain().await;
        let mut reader = server.follow_live(&session).await;
        if let Some(script) = script {
            server.send(&session, script).await;
            reader.until(Event::is_chunk).await;
        }
        server.delete(&session).await;
        let events = reader.rest().await;
        assert_eq!(summaries(&events), ["channelDeleted"]);
        assert_eq!(
            events[0].data,
            json!({ "channelId": session, "roomId": session, "sessionId": session })
        );
        let (status, kind, _) = refusal(server.following(&session, "?after=0")).await;
        assert_eq!((status, kind.as_str()), (404, "SessionNotFoundError"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_and_expired_sessions_cannot_be_subscribed_to() {
    let retention = [("SESSION_RETENTION_MINUTES", "0")];
    let server = Server::with(&retention).await;
    let unknown = "0196c7a0-0000-7000-8000-000000000001";
    for id in [unknown, "abc-123", "%20"] {
        let (status, kind, _) = refusal(server.following(id, "")).await;
        assert_eq!(
            (status, kind.as_str()),
            (404, "SessionNotFoundError"),
            "{id}"
        );
    }
    let session = short_session(&server).await;
    let reader = server.follow_live(&session).await;
    server.minutes_pass(5).await;
    reader.rest().await;
    assert_eq!(refusal(server.following(&session, "")).await.0, 410);
    server.minutes_pass(5).await;
    assert_eq!(refusal(server.following(&session, "")).await.0, 404);
    let request = server.http.post(server.at(&session, "/events"));
    assert_eq!(refusal(request).await.0, 405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_requires_the_token_if_one_is_set() {
    let server = Server::with(&[("ELIZA_SERVER_AUTH_TOKEN", "s3cret")]).await;
    let any = "0196c7a0-0000-7000-8000-000000000001";
    for query in [
        "",
        "?after=0",
        "?token=s3cret",
        "?apiKey=s3cret",
        "?after=bad",
    ] {
        let (status, kind, _) = refusal(server.following(any, query)).await;
        assert_eq!(
            (status, kind.as_str()),
            (401, "UnauthorizedError"),
            "{query}"
        );
    }
    let wrong = server.following(any, "").header("x-api-key", "s3cre");
    assert_eq!(refusal(wrong).await.0, 401);
    for (name, value) in [("x-api-key", "s3cret"), ("authorization", "Bearer s3cret")] {
        let request = server.following(any, "").header(name, value);
        assert_eq!(refusal(request).await.0, 404);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_of_the_server_ends_the_streams_at_once() {
    let server = Server::start().await;
    let mut readers = Vec::new();
    for number in 0..20 {
        let session = server.create_plain().await;
        if number % 2 == 0 {
            server.send(&session, "say begun | hold").await;
        }
        readers.push(server.follow_live(&session).await);
    }
    let start = Instant::now();
    server.begin_stop();
    for reader in readers {
        reader.rest().await;
    }
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    server.stop().await;
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_resumes_after_a_renewal_has_the_new_state() {
    let server = Server::start().await;
    let session = short_session(&server).await;
    let mut reader = server.follow_live(&session).await;
    let sent = server.send(&session, "say one").await;
    reader.until_idle().await;
    drop(reader);
    server.minutes_pass(4).await;
    let renewed = server.post(&session, "/renew").await;
    let after = epoch(&sent["createdAt"]);
    let mut reader = open(server.following(&session, &format!("?after={after}"))).await;
    reader.expect("messageBroadcast").await;
    let state = reader.expect("state").await;
    assert_eq!(state.data["renewalCount"], 1);
    assert_eq!(state.data["expiresAt"], renewed["expiresAt"]);
}
