//! Remote sessions of an `ElizaOS` server: what its agent receives, renewal and deletion.

use std::time::Duration;

use serde_json::{Value, json};

use crate::elizaos::{SESSIONS, backend, make, message, reply, talked};
use crate::harness::{SECOND, Server, answer, at, eventually};
use crate::stand_in::{AGENT, Call, StandIn, character, server_with};

const MINUTE: Duration = Duration::from_mins(1);

/// Returns the text of a message as it was sent.
fn content(call: &Call) -> String {
    call.json()["content"].as_str().unwrap().to_owned()
}

/// Sends a message in an existing remote session; returns its text as it was sent.
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
async fn the_agent_receives_its_own_earlier_replies() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in, "http")).await;
    let session = talked(&server, &mut stand_in).await;
    // The server stores the user's messages but not its agent's replies.
    assert_eq!(
        ask(&server, &mut stand_in, &session, "Two").await,
        "[Earlier in this conversation]\nYou: Yes.\n[The user now says]\nTwo"
    );
    // It may also lack messages that it did not answer, and submitted ones.
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
async fn a_new_remote_session_receives_the_conversation() {
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
    // The conversation is sent again until a message is accepted.
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
async fn the_conversation_in_a_message_is_limited() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in, "http");
    settings["historyMessages"] = 3.into();
    let mut server = server_with(settings).await;
    let session = talked(&server, &mut stand_in).await;
    ask(&server, &mut stand_in, &session, &"n".repeat(3900)).await;
    let lost = json!({ "error": { "code": "SESSION_EXPIRED" } });
    for (text, has_earlier) in [
        // The beginning of the user's message and the reply to it fit.
        ("Three", true),
        // Nothing fits.
        (&*"u".repeat(3970), false),
    ] {
        let asking = server.wait_for(&session, text);
        message(&mut stand_in, "s").await.answer(410, &lost).await;
        make(&mut stand_in, "s").await;
        let call = message(&mut stand_in, "s").await;
        let sent = content(&call);
        assert!(sent.encode_utf16().count() <= 4000);
        assert!(sent.ends_with(text));
        assert_eq!(sent.contains("[Earlier"), has_earlier, "{sent}");
        assert!(!sent.contains("User: One"));
        call.answer(201, &reply("Yes.")).await;
        asking.await.unwrap().expect(201);
    }
    // The limit may be 0.
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
async fn a_message_is_adapted_to_the_limits_of_the_server() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in, "http")).await;
    // The server counts UTF-16 code units, two per emoji; its database cannot store NUL.
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
    // The stored message is complete.
    assert_eq!(server.said(&session).await[0].0, long);

    // A text of NULs only.
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
async fn a_remote_session_is_renewed_once_per_quarter_of_its_lifetime() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in, "http")).await;
    let session = server.session_with(json!({ "agentId": AGENT })).await;
    // There is no remote session yet.
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
    // A failure does not affect the caller, and is not retried.
    renewal.answer(400, &json!({ "error": "no" })).await;
    for _ in 0..10 {
        server.advance(MINUTE);
        heartbeat(&server, &session).await;
    }
    stand_in.expect_nothing().await;
    server.stop().await;
}

#[tokio::test]
async fn renewals_that_hang_are_limited_and_time_out() {
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
    // Then others are renewed.
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
async fn a_remote_session_is_deleted_with_ours() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in, "http")).await;
    let session = talked(&server, &mut stand_in).await;
    server.delete(&at(&session, "")).await.expect(200);
    let call = stand_in.next().await;
    assert_eq!(call.method, "DELETE");
    assert_eq!(call.path, format!("{SESSIONS}/s"));
    let deleted = json!({ "success": true, "message": "Session s deleted successfully" });
    call.answer(200, &deleted).await;

    // The call does not wait for it, and it is deleted also during its first message.
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

    // Without a remote session nothing is deleted.
    let session = server.talk().await;
    server.delete(&at(&session, "")).await.expect(200);
    stand_in.expect_nothing().await;
    server.stop().await;
}

#[tokio::test]
async fn a_purge_deletes_the_remote_session_unless_it_has_expired() {
    for (retention, is_deleted) in [("60", true), ("10080", false)] {
        let mut stand_in = StandIn::start().await;
        let settings = backend(&stand_in, "http");
        let server = Server::builder()
            .character("agent.json", &character(AGENT, &settings))
            .set("SESSION_RETENTION_MINUTES", retention)
            .start()
            .await;
        let session = talked(&server, &mut stand_in).await;
        let minutes: u32 = retention.parse().unwrap();
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
