//! Failures behind an agent, as its user sees them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Answer, SECOND, Server, at, eventually};
use crate::stand_in::{AGENT, OTHER, StandIn, character, said, server_with};

pub(crate) fn backend(stand_in: &StandIn) -> Value {
    json!({ "type": "openai", "baseUrl": stand_in.url })
}

/// Asserts that the message was stored, and its turn closed with this error.
pub(crate) async fn assert_failed(server: &Server, session: &str, answer: &Answer, code: &str) {
    let status = if code == "AGENT_TIMEOUT" { 504 } else { 502 };
    assert_eq!(answer.status, status, "{:#}", answer.body);
    assert_eq!(answer.body["code"], code);
    assert_eq!(answer.body["details"]["pending"], false);
    assert_eq!(answer.body["details"]["userMessage"]["content"], "Hello?");
    let history = server.history(session).await;
    assert_eq!(history.len(), 1, "nothing half is stored: {history:#?}");
    assert_eq!(history[0]["metadata"]["agentError"]["code"], code);
}

#[tokio::test]
async fn a_failed_stream_ends_with_an_error_and_stores_nothing() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let error = json!({ "error": { "message": "out of memory", "type": "server_error" } });
    let ends = [
        format!("data: {error}\n\n"),
        "data: {\"choices\": [\n\n".to_owned(),
        "data: \u{0}\n\n".to_owned(),
        String::new(),
    ];
    for end in ends {
        let session = server.talk().await;
        let mut events = server.stream(&session, "Hello?").await;
        events.expect("user_message").await;
        let mut call = stand_in.next().await;
        call.open_stream().await;
        call.delta("Half of a").await;
        assert_eq!(events.expect("chunk").await["chunk"], "Half of a");
        call.write(&end).await;
        drop(call);
        let error = events.expect("error").await;
        assert_eq!(
            error,
            json!({
                "error": "The agent could not answer", "code": "AGENT_ERROR",
                "reason": "invalid_reply",
            })
        );
        assert!(events.next().await.is_none());
        let history = server.history(&session).await;
        assert_eq!(history.len(), 1, "after {end:?}: {history:#?}");
        assert_eq!(
            history[0]["metadata"]["agentError"],
            json!({
                "code": "AGENT_ERROR", "message": "The agent could not answer",
                "reason": "invalid_reply",
            })
        );
    }
    // The chunks are not repeated.
    stand_in.expect_nothing().await;
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_closes_during_the_answer_fails_the_turn() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let mut call = stand_in.next().await;
    call.open_chunked_stream().await;
    let piece = json!({ "choices": [{ "delta": { "content": "Half" } }] });
    call.write_chunk(&format!("data: {piece}\n\n")).await;
    drop(call);
    assert_failed(&server, &session, &asking.await.unwrap(), "AGENT_ERROR").await;
    server.stop().await;
}

#[tokio::test]
async fn permanent_errors_are_not_retried() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    for status in [400, 401, 404, 501, 302] {
        let session = server.talk().await;
        let asking = server.wait_for(&session, "Hello?");
        let call = stand_in.next().await;
        call.answer(status, &json!({ "error": "no" })).await;
        assert_failed(&server, &session, &asking.await.unwrap(), "AGENT_ERROR").await;
    }
    server.advance(10 * SECOND);
    stand_in.expect_nothing().await;
    server.stop().await;
}

#[tokio::test]
async fn a_refused_connection_is_retried() {
    let stand_in = StandIn::start().await;
    let address = stand_in.url.trim_start_matches("http://").to_owned();
    let server = server_with(backend(&stand_in)).await;
    drop(stand_in);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut stand_in = StandIn::at(&address).await;
    let call = stand_in.next_in_time(&server).await;
    call.complete("Good morning.").await;
    let answer = asking.await.unwrap().expect(201);
    assert_eq!(answer.body["agentResponse"]["text"], "Good morning.");

    drop(stand_in);
    let session = server.talk().await;
    let mut asking = Some(server.wait_for(&session, "Hello?"));
    let answer = eventually("it fails", async || {
        server.advance(Duration::from_millis(50));
        if asking
            .as_ref()
            .is_some_and(tokio::task::JoinHandle::is_finished)
        {
            return Some(asking.take()?.await.unwrap());
        }
        None
    })
    .await;
    assert_failed(&server, &session, &answer, "AGENT_ERROR").await;
    server.stop().await;
}

#[tokio::test]
async fn deleting_a_session_cancels_its_turn() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let mut call = stand_in.next().await;
    call.open_stream().await;
    call.delta("Well").await;
    server.delete(&at(&session, "")).await.expect(200);
    asking
        .await
        .unwrap()
        .error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    call.expect_gone().await;
    server.stop().await;
}

#[tokio::test]
async fn a_stop_cancels_a_turn_and_the_next_start_runs_it_again() {
    let mut stand_in = StandIn::start().await;
    let mut server = server_with(backend(&stand_in)).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let call = stand_in.next().await;
    server.restart().await;
    asking.await.unwrap().expect(503);
    call.expect_gone().await;
    stand_in.next().await.complete("Good morning.").await;
    server.history_of(&session, 2).await;
    assert_eq!(
        server.said(&session).await,
        said(&[("Hello?", false), ("Good morning.", true)])
    );
    server.stop().await;
}

#[tokio::test]
async fn an_agent_that_hangs_does_not_block_others() {
    let mut stuck = StandIn::start().await;
    let mut well = StandIn::start().await;
    let mut settings = backend(&stuck);
    settings["maxConcurrency"] = 1.into();
    let server = Server::builder()
        .character("stuck.json", &character(AGENT, &settings))
        .character("well.json", &character(OTHER, &backend(&well)))
        .start()
        .await;
    let first = server.talk().await;
    let first_asking = server.wait_for(&first, "Hello?");
    let call = stuck.next().await;
    let second = server.talk().await;
    let second_asking = server.wait_for(&second, "Hello?");
    // Its only slot is occupied; the other agent has its own.
    stuck.expect_nothing().await;
    let other = server.talk_to(OTHER).await;
    let other_asking = server.wait_for(&other, "Hello?");
    well.next().await.complete("Hi.").await;
    other_asking.await.unwrap().expect(201);
    call.complete("One.").await;
    first_asking.await.unwrap().expect(201);
    stuck.next().await.complete("Two.").await;
    second_asking.await.unwrap().expect(201);
    server.stop().await;
}

#[tokio::test]
async fn https_to_a_server_without_tls_fails_the_turn() {
    let stand_in = StandIn::start().await;
    let base = stand_in.url.replace("http://", "https://");
    let server = server_with(json!({ "type": "openai", "baseUrl": base })).await;
    let session = server.talk().await;
    let mut asking = Some(server.wait_for(&session, "Hello?"));
    // The stand-in waits for the end of a request that never comes, and is dropped meanwhile.
    drop(stand_in);
    let answer = eventually("it fails", async || {
        server.advance(Duration::from_millis(500));
        if asking
            .as_ref()
            .is_some_and(tokio::task::JoinHandle::is_finished)
        {
            return Some(asking.take()?.await.unwrap());
        }
        None
    })
    .await;
    assert!([502, 504].contains(&answer.status), "{:#}", answer.body);
    server.stop().await;
}

#[tokio::test]
async fn an_invalid_stream_fails_only_its_turn() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let endless = vec![b'x'; 2 << 20];
    let not_utf8 = b"data: \xff\xfe\n\n".to_vec();
    let not_ours = b"data: {\"choices\": 7}\n\n".to_vec();
    for bytes in [endless, not_utf8, not_ours] {
        let session = server.talk().await;
        let asking = server.wait_for(&session, "Hello?");
        let mut call = stand_in.next().await;
        call.open_stream().await;
        call.write(&bytes).await;
        assert_failed(&server, &session, &asking.await.unwrap(), "AGENT_ERROR").await;
    }
    // A whole answer has a limit too.
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let call = stand_in.next().await;
    let json = [("content-type", "application/json")];
    call.answer_with(200, &json, &" ".repeat(5 << 20)).await;
    assert_failed(&server, &session, &asking.await.unwrap(), "AGENT_ERROR").await;
    server.stop().await;
}
