//! Turns that a crash interrupts continue at the next start.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::api::{Api, answer, text};
use super::scripted::{AGENT, ScriptedServer};
use super::sse::Events;

/// The longest time for a reply. Generous, since a test machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(20);

const USER: &str = "9d3c1a52-6f0e-4b7e-8a55-0c1d2e3f4a5b";

/// Creates a session of the scripted agent.
pub(crate) async fn session(api: &Api) -> String {
    let body = json!({ "agentId": AGENT, "userId": USER });
    let session = answer(api.post("", &body)).await.expect("an answer");
    text(&session.expect(201), "sessionId")
}

/// Returns a message whose key is its script.
pub(crate) fn message(api: &Api, session: &str, script: &str, transport: &str) -> RequestBuilder {
    let body = json!({ "content": script, "transport": transport });
    api.post(&format!("/{session}/messages"), &body)
        .header("Idempotency-Key", script.replace(' ', "_"))
}

/// Sends a message without waiting for its reply; returns its id.
async fn leave(api: &Api, session: &str, script: &str) -> String {
    let sent = answer(message(api, session, script, "websocket")).await;
    text(&sent.expect("an answer").expect(201), "id")
}

/// Sends a message, or joins its turn, and reads its reply to the first chunk. The stream stays
/// open until the result is dropped.
pub(crate) async fn until_chunk(api: &Api, session: &str, script: &str) -> (Events, Value, Value) {
    let mut events = Events::open(message(api, session, script, "sse")).await;
    let stored = events.expect("user_message").await;
    let chunk = events.expect("chunk").await;
    (events, stored, chunk)
}

/// Joins a turn, which must be running and never have been closed: otherwise the one after it would
/// have been answered.
async fn still_runs(api: &Api, session: &str, script: &str) -> Events {
    let (stream, _, _) = until_chunk(api, session, script).await;
    let messages = api.history(session).await.expect("an answer");
    assert_eq!(messages.len(), 2, "{messages:#?}");
    let metadata = &messages[0]["metadata"];
    assert!(metadata.get("agentError").is_none(), "{metadata}");
    stream
}

/// Returns the messages of a session, oldest first, once it has a number of them.
async fn history_of(api: &Api, session: &str, messages: usize) -> Vec<Value> {
    let since = Instant::now();
    loop {
        let found = api.history(session).await.expect("an answer");
        if found.len() >= messages {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "{found:#?}");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test]
async fn a_turn_that_is_interrupted_in_mid_reply_continues_at_the_next_start() {
    const FIRST: &str = "say half|wait 2000|say whole";
    let mut server = ScriptedServer::start();
    let api = Api::new(server.url());
    let session = session(&api).await;
    let (stream, first, chunk) = until_chunk(&api, &session, FIRST).await;
    let first = text(&first, "id");
    let reply = text(&chunk, "messageId");
    let second = leave(&api, &session, "say second").await;
    let third = leave(&api, &session, "history").await;
    server.kill9();
    drop(stream);

    server.restart();
    let api = Api::new(server.url());
    let stored = api.history(&session).await.expect("an answer");
    assert_eq!(
        stored.len(),
        3,
        "the crash preceded the replies: {stored:#?}"
    );
    let mut stream = Events::open(message(&api, &session, FIRST, "sse")).await;
    assert_eq!(text(&stream.expect("user_message").await, "id"), first);
    let streamed = stream.reply().await;
    assert_eq!(
        streamed.id, reply,
        "the reply has the id of its earlier chunks"
    );
    assert_eq!(
        streamed.text, "halfwhole",
        "it is streamed from the beginning"
    );
    assert_eq!(streamed.done["id"], *reply);
    assert_eq!(streamed.done["inReplyTo"], *first);

    let seen = "say half|wait 2000|say whole > halfwhole; say second > second";
    let messages = history_of(&api, &session, 6).await;
    let said: Vec<(&Value, &Value)> = messages
        .iter()
        .map(|message| (&message["content"], &message["inReplyTo"]))
        .collect();
    let none = &Value::Null;
    assert_eq!(
        said,
        [
            (&json!(FIRST), none),
            (&json!("say second"), none),
            (&json!("history"), none),
            (&json!("halfwhole"), &json!(first)),
            (&json!("second"), &json!(second)),
            (&json!(seen), &json!(third)),
        ]
    );
    assert_eq!(messages[3]["id"], *reply);
}

#[tokio::test]
async fn after_the_third_crash_in_the_same_turn_it_is_closed_with_an_error() {
    const SCRIPT: &str = "say on|hold";
    let mut server = ScriptedServer::start();
    let api = Api::new(server.url());
    let session = session(&api).await;
    let (_, sent, _) = until_chunk(&api, &session, SCRIPT).await;
    leave(&api, &session, "history").await;
    for _ in 1..=3 {
        still_runs(&Api::new(server.url()), &session, SCRIPT).await;
        server.kill9();
        server.restart();
    }

    let api = Api::new(server.url());
    let messages = history_of(&api, &session, 3).await;
    assert_eq!(messages[0]["id"], sent["id"]);
    let error = &messages[0]["metadata"]["agentError"];
    assert_eq!(error["code"], "AGENT_ERROR", "{messages:#?}");
    assert!(error["message"].is_string());
    assert!(messages[1]["metadata"].get("agentError").is_none());
    assert_eq!(messages[2]["inReplyTo"], messages[1]["id"]);
    assert_eq!(
        messages[2]["content"],
        format!("{SCRIPT} > -"),
        "the history has only the message of the failed turn"
    );
    assert_eq!(messages.len(), 3);
}

#[tokio::test]
async fn a_stop_during_a_turn_does_not_count_as_a_crash() {
    const SCRIPT: &str = "say on|hold";
    let mut server = ScriptedServer::start();
    let api = Api::new(server.url());
    let session = session(&api).await;
    until_chunk(&api, &session, SCRIPT).await;
    leave(&api, &session, "say next").await;
    for _ in 1..=4 {
        let mut stream = still_runs(&Api::new(server.url()), &session, SCRIPT).await;
        assert!(server.terminate().success(), "{}", server.log());
        let error = stream.expect("error").await;
        assert_eq!(error["code"], "SERVICE_UNAVAILABLE");
        stream.expect_end().await;
        server.restart();
    }
    still_runs(&Api::new(server.url()), &session, SCRIPT).await;
}

#[tokio::test]
async fn a_retried_turn_may_crash_three_more_times() {
    const SCRIPT: &str = "say on|hold";
    let mut server = ScriptedServer::start();
    let session = session(&Api::new(server.url())).await;
    for round in 1..=2 {
        for _ in 1..=3 {
            let api = Api::new(server.url());
            let (_stream, ..) = until_chunk(&api, &session, SCRIPT).await;
            server.kill9();
            server.restart();
        }
        let api = Api::new(server.url());
        let since = Instant::now();
        while api.history(&session).await.expect("an answer")[0]["metadata"]["agentError"].is_null()
        {
            assert!(since.elapsed() < PATIENCE, "in round {round}");
            tokio::time::sleep(POLL).await;
        }
    }
}

#[tokio::test]
async fn a_turn_that_waits_for_a_place_has_not_begun() {
    /// The number of turns that an agent runs at once.
    const PLACES: usize = 8;
    const SESSIONS: usize = 20;
    // A minute is a tenth of a second.
    let server = ScriptedServer::with(&[("SESSION_TIME_SCALE", "600")]);
    let api = Api::new(server.url());
    let body = json!({
        "agentId": AGENT,
        "userId": USER,
        "timeoutConfig": { "timeoutMinutes": 20 },
    });
    let creates = (0..SESSIONS).map(|_| answer(api.post("", &body)));
    let mut sessions = Vec::new();
    for session in join_all(creates).await {
        sessions.push(text(&session.expect("an answer").expect(201), "sessionId"));
    }
    let sends = sessions
        .iter()
        .map(|session| answer(message(&api, session, "hold", "http")));
    let mut unasked: FuturesUnordered<_> = sends.collect();
    for _ in PLACES..SESSIONS {
        let refused = unasked.next().await.expect("not all of them run");
        let refused = refused.expect("an answer").expect(410);
        assert_eq!(refused["code"], "SESSION_EXPIRED", "{refused}");
        assert_eq!(refused["details"]["userMessage"]["content"], "hold");
    }
    let rest = tokio::time::timeout(Duration::from_millis(300), unasked.next()).await;
    assert!(rest.is_err(), "the running ones continue: {rest:?}");
}
