//! The sessions that an `ElizaOS` server has for ours: what its agent is told, and what becomes of
//! them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::elizaos::{SESSIONS, backend, make, message, reply, talked};
use crate::harness::{SECOND, Server, answer, at, eventually};
use crate::stand_in::{AGENT, Call, StandIn, character, server_with};

const MINUTE: Duration = Duration::from_mins(1);

/// What a message was sent as.
fn content(call: &Call) -> String {
    call.json()["content"].as_str().unwrap().to_owned()
}

/// Asks within a session that is known there; returns what was sent.
async fn ask(server: &Server, stand_in: &mut StandIn, session: &str, text: &str) -> String {
    let asking = server.wait_for(session, text);
    let call = message(stand_in, "s").await;
    let sent = content(&call);
    call.answer(201, &reply(&format!("To {text}."))).await;
    asking.await.unwrap().expect(201);
    sent
}

async fn heartbeat(server: &Server, session: &str) {
    let path = at(session, "/heartbeat");
    server.post(&path, json!({})).await.expect(200);
}

fn renewed(minutes: u32) -> Value {
    json!({ "sessionId": "s", "timeoutConfig": { "timeoutMinutes": minutes, "autoRenew": true } })
}

#[tokio::test]
async fn its_agent_is_told_what_it_said_itself() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in, "http")).await;
    let session = talked(&server, &mut stand_in).await;
    // It keeps what the user says and not what its agent says.
    assert_eq!(
        ask(&server, &mut stand_in, &session, "Two").await,
        "[Earlier in this conversation]\nYou: Yes.\n[The user now says]\nTwo"
    );
    // Nor is it sure to know of a message that it did not answer, or what was said unasked.
    let asking = server.wait_for(&session, "Three");
    let call = message(&mut stand_in, "s").await;
    call.answer(500, &json!({ "success": false, "error": "no" }))
        .await;
    asking.await.unwrap().expect(502);
    server.submit(&session, json!({ "content": "Psst." })).await;
    assert_eq!(
        ask(&server, &mut stand_in, &session, "Four").await,
        "[Earlier in this conversation]\nYou: To Two.\nUser: Three\nYou: Psst.\n\
         [The user now says]\nFour"
    );
    server.stop().await;
}

#[tokio::test]
async fn an_agent_that_has_forgotten_all_is_told_the_conversation() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in, "http")).await;
    let session = talked(&server, &mut stand_in).await;
    ask(&server, &mut stand_in, &session, "Two").await;
    let all = "[Earlier in this conversation]\nUser: One\nYou: Yes.\nUser: Two\nYou: To Two.\n\
               [The user now says]\nThree";

    let asking = server.wait_for(&session, "Three");
    let lost = json!({ "error": { "code": "SESSION_NOT_FOUND" } });
    message(&mut stand_in, "s").await.answer(404, &lost).await;
    make(&mut stand_in, "s").await;
    let call = message(&mut stand_in, "s").await;
    assert_eq!(content(&call), all);
    // It is told again until it has taken it.
    let busy = [("retry-after", "0")];
    call.answer_with(503, &busy, "busy").await;
    let call = stand_in.next_in_time(&server).await;
    assert_eq!(content(&call), all);
    call.answer(201, &reply("Yes.")).await;
    asking.await.unwrap().expect(201);
    let sent = ask(&server, &mut stand_in, &session, "Four").await;
    assert_eq!(
        sent,
        "[Earlier in this conversation]\nYou: Yes.\n[The user now says]\nFour"
    );
    server.stop().await;
}

#[tokio::test]
async fn what_an_agent_is_told_is_bounded() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in, "http");
    settings["historyMessages"] = 3.into();
    let mut server = server_with(settings).await;
    let session = talked(&server, &mut stand_in).await;
    ask(&server, &mut stand_in, &session, &"n".repeat(3900)).await;
    let lost = json!({ "error": { "code": "SESSION_EXPIRED" } });
    for (text, told) in [
        // A beginning of the user's message, the reply to it, and no more.
        ("Three", true),
        // There is no room at all.
        (&*"u".repeat(3970), false),
    ] {
        let asking = server.wait_for(&session, text);
        message(&mut stand_in, "s").await.answer(410, &lost).await;
        make(&mut stand_in, "s").await;
        let call = message(&mut stand_in, "s").await;
        let sent = content(&call);
        assert!(sent.encode_utf16().count() <= 4000);
        assert!(sent.ends_with(text));
        assert_eq!(sent.contains("[Earlier"), told, "{sent}");
        assert!(!sent.contains("User: One"));
        call.answer(201, &reply("Yes.")).await;
        asking.await.unwrap().expect(201);
    }
    // And it may be nothing.
    let mut settings = backend(&stand_in, "http");
    settings["historyMessages"] = 0.into();
    let agent = character(AGENT, &settings);
    server
        .restart_with(|builder| builder.character("agent.json", &agent))
        .await;
    assert_eq!(ask(&server, &mut stand_in, &session, "Five").await, "Five");
    server.stop().await;
}

#[tokio::test]
async fn a_message_is_made_fit_for_its_limits() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in, "http")).await;
    // It counts UTF-16 code units, of which each of these has two; no text in its database has a NUL.
    let long = "\u{1f389}".repeat(3999) + "\0";
    let session = server.talk().await;
    let sent = json!({
        "content": long, "transport": "http", "metadata": { "a\u{0}": ["b\u{0}c", 1] },
    });
    let sending = server.sending(&session, &sent);
    let asking = tokio::spawn(answer(sending));
    make(&mut stand_in, "s").await;
    let call = message(&mut stand_in, "s").await;
    let asked = call.json();
    assert_eq!(asked["content"], "\u{1f389}".repeat(2000));
    assert_eq!(
        asked["metadata"],
        json!({ "a": ["bc", 1], "truncated": true })
    );
    call.answer(201, &reply("Yes.")).await;
    asking.await.unwrap().expect(201);
    // What the user said is kept as it was said.
    assert_eq!(server.said(&session).await[0].0, long);

    // Nothing is left of it.
    let session = server.talk().await;
    let asking = server.wait_for(&session, "\0\0");
    make(&mut stand_in, "s2").await;
    asking
        .await
        .unwrap()
        .error(502, "AGENT_ERROR", "AgentError");
    stand_in.expect_nothing().await;
    server.stop().await;
}

#[tokio::test]
async fn a_session_there_is_renewed_once_in_a_quarter_of_its_life() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in, "http")).await;
    let session = server.session_with(json!({ "agentId": AGENT })).await;
    // There is nothing to renew yet.
    heartbeat(&server, &session).await;
    stand_in.expect_nothing().await;
    let asking = server.wait_for(&session, "One");
    make(&mut stand_in, "s").await;
    let call = message(&mut stand_in, "s").await;
    call.answer(201, &reply("Yes.")).await;
    asking.await.unwrap().expect(201);

    let path = at(&session, "/renew");
    server.post(&path, json!({})).await.expect(200);
    let renewal = stand_in.next().await;
    assert_eq!(renewal.path, format!("{SESSIONS}/s/renew"));
    renewal.answer(200, &renewed(80)).await;
    server.settle().await;
    for _ in 0..19 {
        server.advance(MINUTE);
        heartbeat(&server, &session).await;
    }
    stand_in.expect_nothing().await;
    server.advance(MINUTE);
    heartbeat(&server, &session).await;
    let renewal = stand_in.next().await;
    // Whatever comes of it is no trouble of the caller's, and it is not repeated either.
    renewal.answer(400, &json!({ "error": "no" })).await;
    for _ in 0..10 {
        server.advance(MINUTE);
        heartbeat(&server, &session).await;
    }
    stand_in.expect_nothing().await;
    server.stop().await;
}

#[tokio::test]
async fn renewals_that_hang_are_few_and_given_up() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in, "http")).await;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(talked(&server, &mut stand_in).await);
    }
    let mut hanging = Vec::new();
    for _ in 0..5 {
        for session in &sessions {
            heartbeat(&server, session).await;
        }
    }
    for _ in 0..8 {
        hanging.push(stand_in.next().await);
    }
    stand_in.expect_nothing().await;
    server.advance(10 * SECOND);
    for call in hanging {
        call.expect_gone().await;
    }
    // Then others have their turn.
    let again = eventually("a renewal", async || {
        for session in &sessions {
            heartbeat(&server, session).await;
        }
        stand_in.try_next()
    });
    assert_eq!(again.await.path, format!("{SESSIONS}/s/renew"));
    server.stop().await;
}

#[tokio::test]
async fn a_session_there_is_deleted_with_ours() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in, "http")).await;
    let session = talked(&server, &mut stand_in).await;
    server.delete(&at(&session, "")).await.expect(200);
    let call = stand_in.next().await;
    assert_eq!(call.method, "DELETE");
    assert_eq!(call.path, format!("{SESSIONS}/s"));
    let deleted = json!({ "success": true, "message": "Session s deleted successfully" });
    call.answer(200, &deleted).await;

    // Nobody waits for it, and it is deleted also where its first message is under way.
    let session = server.talk().await;
    let asking = server.wait_for(&session, "One");
    make(&mut stand_in, "s").await;
    let call = message(&mut stand_in, "s").await;
    server.delete(&at(&session, "")).await.expect(200);
    let deletion = stand_in.next().await;
    assert_eq!(
        (deletion.method.as_str(), deletion.path.as_str()),
        ("DELETE", &*format!("{SESSIONS}/s"))
    );
    call.expect_gone().await;
    asking.await.unwrap();
    server.advance(10 * SECOND);
    deletion.expect_gone().await;

    // Where there is none, there is nothing to delete.
    let session = server.talk().await;
    server.delete(&at(&session, "")).await.expect(200);
    stand_in.expect_nothing().await;
    server.stop().await;
}

#[tokio::test]
async fn a_session_there_is_deleted_when_ours_is_purged_unless_it_has_expired_there_too() {
    for (kept, is_deleted) in [("60", true), ("10080", false)] {
        let mut stand_in = StandIn::start().await;
        let settings = backend(&stand_in, "http");
        let server = Server::builder()
            .character("agent.json", &character(AGENT, &settings))
            .set("SESSION_RETENTION_MINUTES", kept)
            .start()
            .await;
        let session = talked(&server, &mut stand_in).await;
        let minutes: u32 = kept.parse().unwrap();
        server.advance(MINUTE * (minutes + 60));
        eventually("the purge", async || {
            let answer = server.get(&at(&session, "")).await;
            (answer.status == 404).then_some(())
        })
        .await;
        if is_deleted {
            let call = stand_in.next().await;
            assert_eq!(
                (&*call.method, &*call.path),
                ("DELETE", &*format!("{SESSIONS}/s"))
            );
        }
        stand_in.expect_nothing().await;
        server.stop().await;
    }
}
