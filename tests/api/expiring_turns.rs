//! Turns of sessions that expire.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{Events, HOUR, MINUTE, Server, answer, at, contents, eventually, names, time};

#[tokio::test]
async fn at_the_expiry_queued_turns_are_closed_and_the_running_one_finishes() {
    let server = Server::builder().agent_timeout(HOUR).start().await;
    let session = server
        .session_with(json!({ "timeoutConfig": { "autoRenew": false } }))
        .await;
    let running = server.begin(&session, "say one|wait 2400000|say two").await;
    let over_http = server.wait_for(&session, "say never http");
    server.history_of(&session, 2).await;
    let mut over_sse = server.stream(&session, "say never sse").await;
    over_sse.expect("user_message").await;
    let keyed = json!({ "content": "say never", "clientMessageId": "k" });
    server.send(&session, keyed.clone()).await.expect(201);
    server.settle().await;

    server.advance(30 * MINUTE);
    let expired = over_http.await.unwrap();
    let details = expired.error(410, "SESSION_EXPIRED", "SessionExpiredError");
    assert_eq!(names(&details), ["sessionId", "expiresAt", "userMessage"]);
    assert_eq!(details["sessionId"], session);
    assert_eq!(details["expiresAt"], time(30 * MINUTE));
    assert_eq!(over_sse.end("error").await["code"], "SESSION_EXPIRED");
    let history = server.history(&session).await;
    assert_eq!(history.len(), 4);
    assert_eq!(details["userMessage"]["id"], history[1]["id"]);
    assert_eq!(
        history[0]["metadata"].get("agentError"),
        None,
        "this turn had begun"
    );
    for message in &history[1..] {
        assert_eq!(message["metadata"]["agentError"]["code"], "SESSION_EXPIRED");
    }
    let again = server.send(&session, keyed).await;
    let details = again.error(410, "SESSION_EXPIRED", "SessionExpiredError");
    assert_eq!(names(&details), ["sessionId", "expiresAt"]);

    server.advance(10 * MINUTE);
    assert_eq!(running.end("done").await["text"], "onetwo");
    let history = server.history(&session).await;
    assert_eq!(
        history[4]["content"], "onetwo",
        "the reply joins the retained transcript"
    );
    assert_eq!(history[4]["createdAt"], time(40 * MINUTE));
    server.stop().await;
}

#[tokio::test]
async fn a_turn_that_waits_for_a_slot_is_closed() {
    let server = Server::builder()
        .agent_concurrency(1)
        .agent_timeout(2 * HOUR)
        .start()
        .await;
    let (busy, other) = (server.session().await, server.session().await);
    let running = server.begin(&busy, "say one|wait 3600000").await;
    let waiting = server.wait_for(&other, "say never");
    server.history_of(&other, 1).await;
    server.settle().await;
    server.advance(30 * MINUTE);
    waiting
        .await
        .unwrap()
        .error(410, "SESSION_EXPIRED", "SessionExpiredError");
    server.advance(30 * MINUTE);
    running.end("done").await;
    server.settle().await;
    let history = server.history(&other).await;
    assert_eq!(contents(&history), ["say never"]);
    assert_eq!(
        history[0]["metadata"]["agentError"]["code"],
        "SESSION_EXPIRED"
    );
    server.stop().await;
}

/// Asserts that exactly one turn of these sessions has begun when they expire. Each turn takes an
/// hour.
async fn assert_one_has_begun(server: &Server, sessions: &[String]) {
    server.settle().await;
    server.advance(30 * MINUTE);
    let last_of = async |session: &String| {
        let history = server.history(session).await;
        let asked = history.into_iter().rfind(|it| it["isAgent"] == false);
        asked.expect("a user message")["metadata"]["agentError"]["code"].clone()
    };
    eventually(
        "all turns but the one with the slot are closed",
        async || {
            let mut closed = 0;
            for session in sessions {
                closed += usize::from(last_of(session).await == "SESSION_EXPIRED");
            }
            assert!(closed < sessions.len());
            (closed + 1 == sessions.len()).then_some(())
        },
    )
    .await;
}

#[tokio::test]
async fn of_turns_that_arrive_together_only_one_begins() {
    let server = Server::builder()
        .agent_concurrency(1)
        .agent_timeout(2 * HOUR)
        .start()
        .await;
    let sessions = join_all((0..6).map(|_| server.session())).await;
    let content = "say one|wait 3600000";
    join_all(sessions.iter().map(|session| server.tell(session, content))).await;
    assert_one_has_begun(&server, &sessions).await;
    server.advance(30 * MINUTE);
    let replies = eventually("the one is answered", async || {
        let mut replies = 0;
        for session in &sessions {
            replies += server.history(session).await.len() - 1;
        }
        (replies > 0).then_some(replies)
    });
    assert_eq!(replies.await, 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_turns_that_arrive_right_after_a_reply_only_one_begins() {
    let server = Server::builder()
        .agent_concurrency(1)
        .agent_timeout(2 * HOUR)
        .start()
        .await;
    for _ in 0..20 {
        let sessions = join_all((0..4).map(|_| server.session())).await;
        server.ask(&sessions[0], "say hello").await;
        let content = "say one|wait 3600000";
        join_all(sessions.iter().map(|session| server.tell(session, content))).await;
        assert_one_has_begun(&server, &sessions).await;
        for session in &sessions {
            server.delete(&at(session, "")).await.expect(200);
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_renewal_postpones_the_closing_of_queued_turns() {
    let server = Server::builder().agent_timeout(5 * HOUR).start().await;
    let session = server.session().await;
    let running = server.begin(&session, "say one|hold").await;
    let waiting = server.wait_for(&session, "say never");
    server.history_of(&session, 2).await;
    server.settle().await;
    server.advance(20 * MINUTE);
    server
        .post(&at(&session, "/renew"), json!({}))
        .await
        .expect(200);
    server.advance(20 * MINUTE);
    server.settle().await;
    assert!(!waiting.is_finished(), "it was renewed");
    server.advance(10 * MINUTE);
    let expired = waiting.await.unwrap();
    let details = expired.error(410, "SESSION_EXPIRED", "SessionExpiredError");
    assert_eq!(details["expiresAt"], time(50 * MINUTE));
    assert!(details["userMessage"].is_object());
    drop(running);
    server.stop().await;
}

#[tokio::test]
async fn an_expiry_does_not_depend_on_the_cleanup_interval() {
    let server = Server::builder()
        .set("SESSION_CLEANUP_INTERVAL_MINUTES", "60")
        .agent_timeout(5 * HOUR)
        .start()
        .await;
    for minutes in [5, 7, 30] {
        let config = json!({ "timeoutMinutes": minutes });
        let session = server
            .session_with(json!({ "timeoutConfig": config }))
            .await;
        let running = server.begin(&session, "say one|hold").await;
        let waiting = server.wait_for(&session, "say never");
        server.history_of(&session, 2).await;
        server.settle().await;
        // One minute at a time: past its warning first, then to its expiry.
        for _ in 0..minutes {
            assert!(!waiting.is_finished());
            server.advance(MINUTE);
            server.settle().await;
        }
        waiting.await.unwrap().expect(410);
        drop(running);
    }
    server.stop().await;
}

#[tokio::test]
async fn an_expiry_brought_forward_by_a_patch_is_on_time() {
    let server = Server::builder().agent_timeout(5 * HOUR).start().await;
    let session = server.session().await;
    let running = server.begin(&session, "say one|hold").await;
    let waiting = server.wait_for(&session, "say never");
    server.history_of(&session, 2).await;
    server.settle().await;
    let patch = json!({ "timeoutMinutes": 5 });
    server
        .patch(&at(&session, "/timeout"), patch)
        .await
        .expect(200);
    server.settle().await;
    server.advance(5 * MINUTE);
    let expired = waiting.await.unwrap();
    let details = expired.error(410, "SESSION_EXPIRED", "SessionExpiredError");
    assert_eq!(details["expiresAt"], time(5 * MINUTE));
    drop(running);
    server.stop().await;
}

#[tokio::test]
async fn a_repeat_joins_a_running_turn_after_the_expiry() {
    let server = Server::builder().agent_timeout(HOUR).start().await;
    let session = server.session().await;
    let content = "say one|wait 2400000";
    let keyed = |transport: &str| {
        json!({
            "content": content, "transport": transport, "clientMessageId": "k",
        })
    };
    let mut first = Events::open(server.sending(&session, &keyed("sse"))).await;
    first.expect("user_message").await;
    first.expect("chunk").await;
    server.advance(31 * MINUTE);
    server
        .send(&session, json!({ "content": content }))
        .await
        .expect(410);
    let joined = tokio::spawn(answer(server.sending(&session, &keyed("http"))));
    server.settle().await;
    server.advance(10 * MINUTE);
    let joined = joined.await.unwrap().expect(201);
    assert_eq!(joined.header("idempotent-replayed"), "true");
    assert_eq!(joined.body["agentResponse"], first.end("done").await);
    server.stop().await;
}

#[tokio::test]
async fn a_turn_that_fails_after_the_expiry_is_recorded_in_the_transcript() {
    let server = Server::builder().agent_timeout(HOUR).start().await;
    let session = server.session().await;
    let running = server.begin(&session, "say one|wait 2400000|fail").await;
    server.advance(40 * MINUTE);
    assert_eq!(running.end("error").await["code"], "AGENT_ERROR");
    let history = server.history(&session).await;
    assert_eq!(history[0]["metadata"]["agentError"]["code"], "AGENT_ERROR");
    server.stop().await;
}

#[tokio::test]
async fn a_sweep_cancels_turns_that_run_past_the_retention() {
    let server = Server::builder()
        .set("SESSION_RETENTION_MINUTES", "0")
        .agent_timeout(10 * HOUR)
        .start()
        .await;
    let session = server.session().await;
    let running = server.begin(&session, "say one|hold").await;
    server.advance(40 * MINUTE);
    assert_eq!(running.end("error").await["code"], "SESSION_NOT_FOUND");
    assert_eq!(server.stop().await, 0);
}

#[tokio::test]
async fn many_sessions_that_expire_at_once_are_all_closed() {
    let server = Server::builder()
        .agent_concurrency(100)
        .agent_timeout(HOUR)
        .start()
        .await;
    let sessions = join_all((0..30).map(|_| server.session())).await;
    for session in &sessions {
        server.tell(session, "say one|wait 2000000").await;
    }
    server.settle().await;
    let waiting: Vec<_> = sessions
        .iter()
        .map(|session| server.wait_for(session, "say never"))
        .collect();
    for session in &sessions {
        server.history_of(session, 2).await;
    }
    server.settle().await;
    server.advance(30 * MINUTE);
    for waiting in waiting {
        waiting.await.unwrap().expect(410);
    }
    server.settle().await;
    server.advance(Duration::from_secs(200));
    for session in &sessions {
        let history = server.history_of(session, 3).await;
        assert_eq!(history[2]["content"], "one");
    }
    eventually("health has counted them", async || {
        let health = server.get("/api/messaging/sessions/health").await.body;
        (health["activeSessions"] == 0).then_some(())
    })
    .await;
    server.stop().await;
}
