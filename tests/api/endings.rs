//! Turns that end without a reply, or with a truncated one.

use serde_json::{Value, json};

use crate::harness::{
    Answer, HOUR, MINUTE, SCRIPTED, SECOND, Server, USER, at, contents, just_before, names,
};

/// Asserts that the user message in an error's details is the one stored in the session's history.
async fn assert_stored(server: &Server, session: &str, shown: &Value) {
    let history = server.history(session).await;
    let stored = history.iter().find(|message| message["id"] == shown["id"]);
    let stored = stored.expect("it is in the history");
    assert_eq!(shown["channelId"], session);
    assert_eq!(shown["authorId"], USER);
    for field in ["content", "createdAt"] {
        assert_eq!(shown[field], stored[field], "{field}");
    }
}

async fn ask_for_error(server: &Server, session: &str, content: &str) -> Answer {
    let fields = json!({ "content": content, "transport": "http" });
    server.send(session, fields).await
}

#[tokio::test]
async fn a_failing_agent_is_a_502_and_is_recorded_with_the_message() {
    let server = Server::start().await;
    for (content, reason) in [
        ("fail", "internal"),
        ("say some|fail", "invalid_reply"),
        ("end", "invalid_reply"),
        ("say some|end", "invalid_reply"),
        ("panic", "internal"),
        ("say some|panic", "internal"),
    ] {
        let session = server.session().await;
        let failed = ask_for_error(&server, &session, content).await;
        let details = failed.error(502, "AGENT_ERROR", "AgentError");
        assert_eq!(
            names(&details),
            ["agentId", "userMessage", "pending", "reason"],
            "{content}"
        );
        assert_eq!(details["agentId"], SCRIPTED);
        assert_eq!(details["pending"], false);
        assert!(
            !failed.body.to_string().contains("the script says"),
            "the agent's error text is not shown"
        );
        assert_stored(&server, &session, &details["userMessage"]).await;

        let history = server.history(&session).await;
        assert_eq!(contents(&history), [content], "no reply is stored");
        let error = &history[0]["metadata"]["agentError"];
        assert_eq!(names(error), ["code", "message", "reason"]);
        assert_eq!(error["reason"], reason);
        assert_eq!(details["reason"], reason);
        assert_eq!(error["code"], "AGENT_ERROR");
        assert!(!error["message"].as_str().unwrap().is_empty());
        assert_eq!(
            server.ask(&session, "say hello").await,
            "hello",
            "the session continues"
        );
    }
    server.get("/health").await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn a_slow_agent_is_a_504() {
    let server = Server::builder().agent_timeout(MINUTE).start().await;
    let session = server.session().await;
    let waiting = server.wait_for(&session, "hold");
    server.history_of(&session, 1).await;
    server.settle().await;
    server.advance(59 * SECOND);
    server.settle().await;
    assert!(!waiting.is_finished());
    server.advance(SECOND);
    let details = waiting
        .await
        .unwrap()
        .error(504, "AGENT_TIMEOUT", "AgentTimeoutError");
    assert_eq!(
        names(&details),
        ["agentId", "userMessage", "pending", "reason"]
    );
    assert_eq!(details["agentId"], SCRIPTED);
    assert_eq!(details["pending"], false);
    assert_stored(&server, &session, &details["userMessage"]).await;
    let history = server.history(&session).await;
    assert_eq!(history.len(), 1);
    assert_eq!(
        details["userMessage"]["metadata"], history[0]["metadata"],
        "the message shows how its turn ended"
    );
    let error = &history[0]["metadata"]["agentError"];
    assert_eq!(error["code"], "AGENT_TIMEOUT");
    assert_eq!(
        (&error["reason"], &details["reason"]),
        (&"timeout".into(), &"timeout".into())
    );
    assert_eq!(server.ask(&session, "say hello").await, "hello");
    server.stop().await;
}

#[tokio::test]
async fn the_default_agent_timeout_is_ten_minutes() {
    let server = Server::start().await;
    let session = server.session().await;
    let events = server
        .begin(&session, "say some|wait 599999|say more")
        .await;
    server.advance(just_before(10 * MINUTE));
    assert_eq!(events.end("done").await["text"], "somemore");
    let waiting = server.wait_for(&session, "wait 600001");
    server.history_of(&session, 3).await;
    server.settle().await;
    server.advance(10 * MINUTE);
    let late = waiting.await.unwrap();
    late.error(504, "AGENT_TIMEOUT", "AgentTimeoutError");
    server.stop().await;
}

#[tokio::test]
async fn a_wait_ends_a_second_after_the_agents_timeout_and_the_turn_stays_open() {
    let server = Server::builder().agent_timeout(10 * SECOND).start().await;
    let session = server.session().await;
    let running = server.wait_for(&session, "hold");
    server.history_of(&session, 1).await;
    server.settle().await;
    server.advance(5 * SECOND);
    let waiting = server.wait_for(&session, "say so:|wait 8000|history");
    server.history_of(&session, 2).await;
    server.settle().await;
    server.advance(5 * SECOND);
    // The second turn begins only now, with its full timeout.
    let late = running.await.unwrap();
    late.error(504, "AGENT_TIMEOUT", "AgentTimeoutError");
    server.settle().await;
    server.advance(5 * SECOND);
    server.settle().await;
    assert!(
        !waiting.is_finished(),
        "ten seconds have passed, not eleven"
    );
    server.advance(SECOND);
    let details = waiting
        .await
        .unwrap()
        .error(504, "AGENT_TIMEOUT", "AgentTimeoutError");
    assert_eq!(details["pending"], true);
    assert_stored(&server, &session, &details["userMessage"]).await;
    assert_eq!(
        details["userMessage"]["metadata"],
        json!({ "sessionId": session })
    );
    let history = server.history(&session).await;
    assert_eq!(
        history[1]["metadata"],
        json!({ "sessionId": session }),
        "no error: the turn is open"
    );
    server.advance(2 * SECOND);
    let history = server.history_of(&session, 3).await;
    assert_eq!(history[2]["content"], "so:hold > -");
    server.stop().await;
}

#[tokio::test]
async fn a_reply_is_truncated_at_64_kibibytes_on_a_character_boundary() {
    let server = Server::start().await;
    let session = server.session().await;
    for (content, bytes) in [
        ("long 65536", 65_536),
        ("long 65538", 65_536),
        ("long 200000", 65_536),
        ("say a|long 65536", 65_535),
        ("say a|long 200000|say more", 65_535),
        ("say a|long 65532|say bcd", 65_536),
        ("say a|long 65532|say bcde|say f", 65_536),
        ("long 40000|long 40000|fail", 65_536),
        ("long 65536|say x|hold", 65_536),
    ] {
        let events = server.stream(&session, content).await.rest().await;
        let chunks = events.iter().filter(|(name, _)| name == "chunk");
        let streamed: String = chunks
            .map(|(_, chunk)| chunk["chunk"].as_str().unwrap())
            .collect();
        let (last, done) = events.last().unwrap();
        assert_eq!(
            (last.as_str(), streamed.len()),
            ("done", bytes),
            "{content}"
        );
        assert!(!streamed.contains(char::REPLACEMENT_CHARACTER));
        assert_eq!(done["text"], streamed);
        let history = server.history(&session).await;
        assert_eq!(history.last().unwrap()["content"], streamed);
    }
    server.stop().await;
}

#[tokio::test]
async fn deleting_a_session_cancels_its_turns() {
    let server = Server::start().await;
    let session = server.session().await;
    let running = server.begin(&session, "say one|wait 1000").await;
    let over_http = server.wait_for(&session, "say two");
    server.history_of(&session, 2).await;
    let mut over_sse = server.stream(&session, "say three").await;
    over_sse.expect("user_message").await;
    server.settle().await;
    server.delete(&at(&session, "")).await.expect(200);
    let missing = over_http.await.unwrap();
    let details = missing.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    assert_eq!(details, json!({ "sessionId": session }));
    for events in [running, over_sse] {
        assert_eq!(events.end("error").await["code"], "SESSION_NOT_FOUND");
    }
    server.advance(SECOND);
    server.settle().await;
    server
        .get(&format!("/api/messaging/channels/{session}/messages"))
        .await
        .expect(404);
    assert_eq!(server.stop().await, 0);
}

#[tokio::test]
async fn deleting_an_expired_session_cancels_its_running_turn() {
    let server = Server::builder()
        .agent_timeout(HOUR)
        .agent_concurrency(1)
        .start()
        .await;
    let session = server.session().await;
    let running = server.begin(&session, "say one|wait 2400000").await;
    server.advance(31 * MINUTE);
    server.delete(&at(&session, "")).await.expect(200);
    assert_eq!(running.end("error").await["code"], "SESSION_NOT_FOUND");
    let other = server.session().await;
    assert_eq!(
        server.ask(&other, "say hi").await,
        "hi",
        "its slot is free again"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_send_during_a_delete_gets_a_reply_or_a_404() {
    let server = Server::start().await;
    for round in 0..10 {
        let session = server.session().await;
        let asks: Vec<_> = (0..6)
            .map(|_| server.wait_for(&session, "say one|say two"))
            .collect();
        if round % 2 == 0 {
            server.history_of(&session, 1).await;
        }
        let deleted = server.delete(&at(&session, "")).await.expect(200);
        assert_eq!(deleted.body["success"], true);
        for ask in asks {
            let answer = ask.await.unwrap();
            if answer.status == 201 {
                assert_eq!(answer.body["agentResponse"]["text"], "onetwo");
            } else {
                answer.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
            }
        }
        server.get(&at(&session, "")).await.expect(404);
    }
    assert_eq!(server.stop().await, 0);
}
