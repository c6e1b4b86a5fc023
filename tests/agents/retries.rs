//! Asking a server again that could not answer.

use std::time::Duration;

use serde_json::json;

use crate::failures::{assert_failed, backend};
use crate::harness::SECOND;
use crate::stand_in::{StandIn, server_with};

#[tokio::test]
async fn what_may_pass_is_tried_again_until_it_has_passed() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    for status in [408, 429, 500, 502, 503, 504, 529] {
        let session = server.talk().await;
        let asking = server.wait_for(&session, "Hello?");
        stand_in.next().await.answer(status, &json!({})).await;
        stand_in.expect_nothing().await;
        // A model of some gigabytes takes its time to load.
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
async fn a_connection_that_closes_before_an_answer_is_tried_again() {
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
async fn a_refusal_that_never_ends_is_one_all_the_same() {
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
async fn a_server_that_is_not_there_yet_is_waited_for() {
    let stand_in = StandIn::start().await;
    let settings = backend(&stand_in);
    let address = stand_in.url.strip_prefix("http://").unwrap().to_owned();
    drop(stand_in);
    let server = server_with(settings).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    // Twenty seconds, in steps that let each try come to its end.
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
async fn a_quarter_of_a_turns_time_goes_into_tries_and_three_are_made_at_least() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in);
    settings["timeoutSeconds"] = 40.into();
    let server = server_with(settings).await;
    // However long a try takes: the window of 10 s is over with the first one.
    for (try_takes, tries) in [(11 * SECOND, 3..=3), (Duration::ZERO, 5..=9)] {
        let session = server.talk().await;
        let asking = server.wait_for(&session, "Hello?");
        let mut made = 0;
        loop {
            let call = tokio::select! {
                call = stand_in.next_in_time(&server) => call,
                () = async { while !asking.is_finished() { tokio::task::yield_now().await } } => break,
            };
            made += 1;
            server.advance(try_takes);
            call.answer(503, &json!({})).await;
        }
        assert!(tries.contains(&made), "{made} tries of {try_takes:?}");
        assert_failed(&server, &session, &asking.await.unwrap(), "AGENT_ERROR").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_turn_that_waits_to_be_tried_again_holds_no_place_of_its_agent() {
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
    // It is asked again when there is a place for it.
    server.advance(10 * SECOND);
    stand_in.expect_nothing().await;
    call.complete("You, too.").await;
    second_asking.await.unwrap().expect(201);
    stand_in.next().await.complete("Hello.").await;
    first_asking.await.unwrap().expect(201);
    server.stop().await;
}

#[tokio::test]
async fn a_server_is_given_the_time_that_it_asks_for_but_not_any() {
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
async fn tries_and_waits_count_among_the_time_of_the_turn() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in);
    settings["timeoutSeconds"] = 5.into();
    let server = server_with(settings).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let call = stand_in.next().await;
    call.answer_with(503, &[("retry-after", "4")], "").await;
    // The second try is answered by silence.
    let call = stand_in.next_in_time(&server).await;
    server.advance(SECOND);
    assert_failed(&server, &session, &asking.await.unwrap(), "AGENT_TIMEOUT").await;
    call.expect_gone().await;
    server.stop().await;
}
