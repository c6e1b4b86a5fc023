//! Retries.

use std::time::Duration;

use serde_json::json;

use crate::failures::{assert_failed, backend};
use crate::harness::SECOND;
use crate::stand_in::{StandIn, server_with};

#[tokio::test]
async fn transient_errors_are_retried() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    for status in [408, 429, 500, 502, 503, 504, 529] {
        let session = server.talk().await;
        let asking = server.wait_for(&session, "Hello?");
        stand_in.next().await.answer(status, &json!({})).await;
        stand_in.expect_nothing().await;
        // A large model takes long to load.
        for _ in 0..5 {
            let call = stand_in.next_in_time(&server).await;
            call.answer(status, &json!({})).await;
        }
        let call = stand_in.next_in_time(&server).await;
        call.complete("At last.").await;
        let answer = asking.await.unwrap().expect(201);
        assert_eq!(answer.body["agentResponse"]["text"], "At last.");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_closes_before_an_answer_is_retried() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    drop(stand_in.next().await);
    let call = stand_in.next_in_time(&server).await;
    call.complete("At last.").await;
    asking.await.unwrap().expect(201);
    server.stop().await;
}

#[tokio::test]
async fn an_error_body_that_never_ends_is_not_awaited() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let mut refused = stand_in.next().await;
    refused
        .write("HTTP/1.1 503 X\r\ncontent-length: 50\r\n\r\nnot")
        .await;
    let call = stand_in.next_in_time(&server).await;
    call.complete("At last.").await;
    asking.await.unwrap().expect(201);
    refused.expect_gone().await;
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_starts_late_is_reached() {
    let stand_in = StandIn::start().await;
    let settings = backend(&stand_in);
    let address = stand_in.url.strip_prefix("http://").unwrap().to_owned();
    drop(stand_in);
    let server = server_with(settings).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    // Twenty seconds, in steps that let each attempt finish.
    for _ in 0..200 {
        server.advance(Duration::from_millis(100));
        server.settle().await;
    }
    let mut stand_in = StandIn::at(&address).await;
    let call = stand_in.next_in_time(&server).await;
    call.complete("At last.").await;
    asking.await.unwrap().expect(201);
    server.stop().await;
}

#[tokio::test]
async fn attempts_take_a_quarter_of_the_timeout_and_are_at_least_three() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in);
    settings["timeoutSeconds"] = 40.into();
    let server = server_with(settings).await;
    // The first attempt may exceed the window of 10 s.
    for (duration, expected) in [(11 * SECOND, 3..=3), (Duration::ZERO, 5..=9)] {
        let session = server.talk().await;
        let asking = server.wait_for(&session, "Hello?");
        let mut attempts = 0;
        loop {
            let call = tokio::select! {
                call = stand_in.next_in_time(&server) => call,
                () = async { while !asking.is_finished() { tokio::task::yield_now().await } } => break,
            };
            attempts += 1;
            server.advance(duration);
            call.answer(503, &json!({})).await;
        }
        assert!(
            expected.contains(&attempts),
            "{attempts} attempts of {duration:?}"
        );
        assert_failed(&server, &session, &asking.await.unwrap(), "AGENT_ERROR").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_turn_that_waits_for_a_retry_occupies_no_slot() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in);
    settings["maxConcurrency"] = 1.into();
    let server = server_with(settings).await;
    let first = server.talk().await;
    let first_asking = server.wait_for(&first, "Hello?");
    let call = stand_in.next().await;
    let second = server.talk().await;
    let second_asking = server.wait_for(&second, "And me?");
    stand_in.expect_nothing().await;
    call.answer_with(503, &[("retry-after", "9")], "").await;
    let call = stand_in.next().await;
    assert_eq!(call.json()["messages"][1]["content"], "And me?");
    // It is retried when a slot is free.
    server.advance(10 * SECOND);
    stand_in.expect_nothing().await;
    call.complete("You, too.").await;
    second_asking.await.unwrap().expect(201);
    stand_in.next().await.complete("Hello.").await;
    first_asking.await.unwrap().expect(201);
    server.stop().await;
}

#[tokio::test]
async fn retry_after_is_respected_up_to_a_limit() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let call = stand_in.next().await;
    call.answer_with(429, &[("retry-after", "7")], "slow down")
        .await;
    stand_in.expect_nothing().await;
    server.advance(Duration::from_millis(6_999));
    stand_in.expect_nothing().await;
    server.advance(Duration::from_millis(300));
    stand_in.next().await.complete("Here.").await;
    asking.await.unwrap().expect(201);

    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let call = stand_in.next().await;
    call.answer_with(429, &[("retry-after", "900")], "slow down")
        .await;
    assert_failed(&server, &session, &asking.await.unwrap(), "AGENT_ERROR").await;
    server.stop().await;
}

#[tokio::test]
async fn attempts_and_pauses_count_towards_the_timeout() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in);
    settings["timeoutSeconds"] = 5.into();
    let server = server_with(settings).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let call = stand_in.next().await;
    call.answer_with(503, &[("retry-after", "4")], "").await;
    // The second attempt gets no answer.
    let call = stand_in.next_in_time(&server).await;
    server.advance(SECOND);
    assert_failed(&server, &session, &asking.await.unwrap(), "AGENT_TIMEOUT").await;
    call.expect_gone().await;
    server.stop().await;
}
