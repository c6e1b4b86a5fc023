//! The order and number of turns.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{ELIZA, MINUTE, SECOND, Server, at, contents, eventually};

#[tokio::test]
async fn a_turn_sees_earlier_messages_with_their_replies() {
    let server = Server::start().await;
    let session = server.session().await;
    assert_eq!(server.ask(&session, "say x|history").await, "x");
    assert_eq!(server.ask(&session, "say one").await, "one");
    let seen = server.ask(&session, "history").await;
    assert_eq!(seen, "say x|history > x; say one > one");
    server.stop().await;
}

#[tokio::test]
async fn a_failed_turn_is_seen_as_its_message_only() {
    let server = Server::start().await;
    let session = server.session().await;
    server.ask(&session, "say one").await;
    let fields = json!({ "content": "fail", "transport": "http" });
    server.send(&session, fields).await.expect(502);
    let seen = server.ask(&session, "history").await;
    assert_eq!(seen, "say one > one; fail > -");
    server.stop().await;
}

#[tokio::test]
async fn turns_of_a_session_run_in_message_order_over_any_transport() {
    let server = Server::start().await;
    let session = server.session().await;
    let running = server.begin(&session, "say one|wait 1000").await;
    server.tell(&session, "say two").await;
    let third = server.wait_for(&session, "history");
    server.history_of(&session, 3).await;
    let mut fourth = server.stream(&session, "history").await;
    fourth.expect("user_message").await;
    server.settle().await;
    assert_eq!(server.history(&session).await.len(), 4, "no reply yet");
    assert!(!third.is_finished());

    server.advance(SECOND);
    let first_seen = "say one|wait 1000 > one; say two > two";
    let third = third.await.unwrap().expect(201).body;
    assert_eq!(third["agentResponse"]["text"], first_seen);
    let fourth = fourth.end("done").await;
    assert_eq!(
        fourth["text"],
        format!("{first_seen}; history > {first_seen}")
    );
    running.end("done").await;
    let history = server.history(&session).await;
    let replies: Vec<_> = contents(&history)[4..].to_vec();
    assert_eq!(
        replies,
        ["one", "two", first_seen, fourth["text"].as_str().unwrap()]
    );
    server.stop().await;
}

#[tokio::test]
async fn a_turn_sees_nothing_later_than_its_own_message() {
    let server = Server::start().await;
    let session = server.session().await;
    server.ask(&session, "say zero").await;
    let running = server.begin(&session, "say so:|wait 1000|history").await;
    server.tell(&session, "say later").await;
    server.settle().await;
    server.advance(SECOND);
    assert_eq!(running.end("done").await["text"], "so:say zero > zero");
    server.history_of(&session, 6).await;
    server.stop().await;
}

#[tokio::test]
async fn sessions_do_not_wait_for_each_other() {
    let server = Server::start().await;
    let slow = server.session().await;
    let running = server.begin(&slow, "say one|wait 1000").await;
    let quick = join_all((0..10).map(|_| server.session())).await;
    let replies = join_all(quick.iter().map(|session| server.ask(session, "say hi"))).await;
    assert_eq!(replies, vec!["hi"; 10]);
    assert_eq!(server.history(&slow).await.len(), 1);
    server.advance(SECOND);
    running.end("done").await;
    server.stop().await;
}

#[tokio::test]
async fn a_session_has_at_most_16_open_turns() {
    let server = Server::start().await;
    let session = server.session().await;
    let running = server.begin(&session, "say one|wait 1000").await;
    for index in 0..15 {
        let fields = json!({ "content": "x", "clientMessageId": format!("k{index}") });
        server.send(&session, fields).await.expect(201);
    }
    let before = server.info(&session).await;
    for transport in ["websocket", "http", "sse"] {
        let fields = json!({ "content": "x", "transport": transport });
        let refused = server.send(&session, fields).await;
        let details = refused.error(429, "RATE_LIMIT_EXCEEDED", "RateLimitError");
        let seconds = details["retryAfter"].as_u64().unwrap();
        assert!(seconds >= 1);
        assert_eq!(details, json!({ "retryAfter": seconds }));
        assert_eq!(refused.header("retry-after"), seconds.to_string());
    }
    assert_eq!(
        server.info(&session).await,
        before,
        "nothing more is stored"
    );
    assert_eq!(server.history(&session).await.len(), 16);
    let known = json!({ "content": "x", "clientMessageId": "k7" });
    server.send(&session, known).await.expect(201);
    let other = server.session().await;
    server.ask(&other, "x").await;

    server.advance(SECOND);
    running.end("done").await;
    server.history_of(&session, 32).await;
    server.ask(&session, "x").await;
    server.stop().await;
}

#[tokio::test]
async fn max_pending_turns_limits_the_open_turns_of_the_server() {
    let server = Server::builder()
        .set("MAX_PENDING_TURNS", "3")
        .start()
        .await;
    let sessions = join_all((0..4).map(|_| server.session())).await;
    let running = server.begin(&sessions[0], "say one|wait 1000").await;
    let other = server.begin(&sessions[1], "say one|wait 2000").await;
    let queued = json!({ "content": "say two", "clientMessageId": "k" });
    server.send(&sessions[1], queued.clone()).await.expect(201);
    for session in &sessions {
        let refused = server.send(session, json!({ "content": "x" })).await;
        let details = refused.error(503, "SERVICE_UNAVAILABLE", "ServiceUnavailableError");
        assert_eq!(details, json!({ "reason": "overloaded" }));
        assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
    }
    assert!(server.history(&sessions[2]).await.is_empty());
    assert_eq!(server.info(&sessions[2]).await["renewalCount"], 0);
    server.send(&sessions[1], queued).await.expect(201);
    server.advance(SECOND);
    running.end("done").await;
    assert_eq!(server.ask(&sessions[2], "say hi").await, "hi");
    server.advance(SECOND);
    other.end("done").await;
    server.history_of(&sessions[1], 4).await;
    server.stop().await;
}

#[tokio::test]
async fn max_concurrency_limits_the_turns_of_an_agent() {
    let server = Server::builder().agent_concurrency(2).start().await;
    let sessions = join_all((0..4).map(|_| server.session())).await;
    let one = server.begin(&sessions[0], "say one|wait 1000").await;
    let two = server.begin(&sessions[1], "say two|wait 2000").await;
    let mut three = server.stream(&sessions[2], "say three|wait 5000").await;
    three.expect("user_message").await;
    let four = server.wait_for(&sessions[3], "say four");
    server.history_of(&sessions[3], 1).await;
    // Other agents have their own limits.
    let other = server.session_with(json!({ "agentId": ELIZA })).await;
    server.ask(&other, "Hello").await;
    assert!(!four.is_finished());

    server.advance(SECOND);
    one.end("done").await;
    assert_eq!(three.expect("chunk").await["chunk"], "three");
    server.settle().await;
    assert!(!four.is_finished(), "only two turns may run");
    server.advance(SECOND);
    two.end("done").await;
    let four = four.await.unwrap().expect(201);
    assert_eq!(four.body["agentResponse"]["text"], "four");
    server.settle().await;
    server.advance(4 * SECOND);
    three.end("done").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_sessions_lose_nothing() {
    let server = Server::start().await;
    let sessions = join_all((0..20).map(|_| server.session())).await;
    let asks = sessions.iter().map(|session| {
        let server = &server;
        async move {
            for index in 0..5 {
                let text = format!("reply {index}");
                assert_eq!(server.ask(session, &format!("say {text}")).await, text);
            }
        }
    });
    join_all(asks).await;
    for session in &sessions {
        let history = server.history(session).await;
        assert_eq!(history.len(), 10);
        let times: Vec<_> = history.iter().map(|it| it["createdAt"].as_str()).collect();
        assert!(times.is_sorted_by(|a, b| a < b));
    }
    server.stop().await;
}

#[tokio::test]
async fn turns_of_a_session_continue_in_order_after_a_restart() {
    let mut server = Server::start().await;
    let session = server.session().await;
    let running = server.begin(&session, "say one|wait 1000").await;
    for content in ["say two", "fail", "history"] {
        server.tell(&session, content).await;
    }
    drop(running);
    server.restart().await;
    server.settle().await;
    server.advance(SECOND);
    let history = server.history_of(&session, 7).await;
    let seen = "say one|wait 1000 > one; say two > two; fail > -";
    assert_eq!(contents(&history)[4..], ["one", "two", seen]);
    server.stop().await;
}

#[tokio::test]
async fn the_limit_of_open_turns_counts_those_from_before_a_restart() {
    let mut server = Server::start().await;
    let session = server.session().await;
    for _ in 0..16 {
        server.tell(&session, "say x|wait 1000").await;
    }
    server.restart().await;
    server
        .send(&session, json!({ "content": "x" }))
        .await
        .expect(429);
    let finished = eventually("all are answered", async || {
        server.advance(SECOND);
        let history = server.history(&session).await;
        (history.len() == 32).then_some(history)
    })
    .await;
    let answered: Vec<&Value> = finished[16..]
        .iter()
        .map(|reply| &reply["inReplyTo"])
        .collect();
    let asked: Vec<&Value> = finished[..16]
        .iter()
        .map(|message| &message["id"])
        .collect();
    assert_eq!(answered, asked);
    assert!(
        server.info(&session).await["timeRemaining"]
            .as_u64()
            .unwrap()
            > 0
    );
    server.get(&at(&session, "")).await.expect(200);
    server.advance(MINUTE);
    server.stop().await;
}
