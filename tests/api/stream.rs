//! Replies as event streams.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Events, MINUTE, SCRIPTED, SECOND, Server, UNKNOWN_ID, USER, at, names, time};

/// Returns the names of events.
fn kinds(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().map(|(name, _)| name.as_str()).collect()
}

#[tokio::test]
async fn the_events_of_a_reply_come_in_order() {
    let server = Server::start().await;
    let session = server.session_with(json!({ "metadata": { "a": 1 } })).await;
    server.advance(SECOND);
    let content = "say Hello,|say Ada|say !|think she is nice|act WAVE";
    let events = server.stream(&session, content).await.rest().await;
    assert_eq!(
        kinds(&events),
        ["user_message", "chunk", "chunk", "chunk", "done"]
    );

    let user_message = &events[0].1;
    let id = &user_message["id"];
    let expected = json!({
        "id": id,
        "channelId": session,
        "content": content,
        "authorId": USER,
        "createdAt": time(SECOND),
        "metadata": { "a": 1, "sessionId": session },
        "sessionStatus": {
            "expiresAt": time(30 * MINUTE + SECOND),
            "renewalCount": 1,
            "wasRenewed": true,
            "isNearExpiration": false,
        },
    });
    assert_eq!(*user_message, expected);

    let done = &events[4].1;
    let reply = &done["id"];
    for (index, text) in ["Hello,", "Ada", "!"].iter().enumerate() {
        let expected = json!({ "messageId": reply, "chunk": text, "index": index });
        assert_eq!(events[index + 1].1, expected);
    }
    let expected = json!({
        "id": reply,
        "text": "Hello,Ada!",
        "thought": "she is nice",
        "actions": ["WAVE"],
        "createdAt": time(SECOND + Duration::from_millis(1)),
        "inReplyTo": id,
        "metadata": { "thought": "she is nice", "actions": ["WAVE"], "sessionId": session },
    });
    assert_eq!(*done, expected);
    let history = server.history(&session).await;
    assert_eq!(done["metadata"], history[1]["metadata"]);
    assert_eq!((&history[0]["id"], &history[1]["id"]), (id, reply));
    server.stop().await;
}

#[tokio::test]
async fn chunks_arrive_while_the_agent_is_still_running() {
    let server = Server::start().await;
    let session = server.session().await;
    let mut events = server
        .stream(&session, "wait 1000|say one|wait 1000|say two|wait 1000")
        .await;
    events.expect("user_message").await;
    server.settle().await;
    server.advance(SECOND);
    assert_eq!(events.expect("chunk").await["chunk"], "one");
    server.settle().await;
    server.advance(SECOND);
    let chunk = events.expect("chunk").await;
    assert_eq!(
        (&chunk["chunk"], &chunk["index"]),
        (&json!("two"), &json!(1))
    );
    assert_eq!(
        server.history(&session).await.len(),
        1,
        "the reply is not stored yet"
    );
    server.settle().await;
    server.advance(SECOND);
    assert_eq!(events.expect("done").await["text"], "onetwo");
    assert!(events.next().await.is_none(), "then the stream ends");
    server.stop().await;
}

#[tokio::test]
async fn a_fast_reply_arrives_in_its_chunks() {
    let server = Server::start().await;
    let session = server.session().await;
    let events = server.stream(&session, "words so it is").await.rest().await;
    assert_eq!(
        kinds(&events),
        ["user_message", "chunk", "chunk", "chunk", "done"]
    );
    for (index, text) in ["so ", "it ", "is"].iter().enumerate() {
        let chunk = &events[index + 1].1;
        assert_eq!(
            (&chunk["chunk"], &chunk["index"]),
            (&json!(text), &json!(index))
        );
    }
    assert_eq!(events[4].1["text"], "so it is");
    server.stop().await;
}

#[tokio::test]
async fn a_reply_of_a_backend_without_streaming_is_one_chunk() {
    let server = Server::start().await;
    let session = server.session().await;
    let events = server.stream(&session, "an echo").await.rest().await;
    assert_eq!(kinds(&events), ["user_message", "chunk", "done"]);
    let (chunk, done) = (&events[1].1, &events[2].1);
    let expected = json!({ "messageId": done["id"], "chunk": "an echo", "index": 0 });
    assert_eq!(*chunk, expected);
    assert_eq!(done["text"], "an echo");
    server.stop().await;
}

#[tokio::test]
async fn any_text_is_transmitted_unchanged() {
    let server = Server::start().await;
    let session = server.session().await;
    for content in [
        "a\nb\r\nc\rd",
        "data: x\n\nevent: done",
        "\u{2028}é𝄞\u{0}",
        ": no comment",
    ] {
        let events = server.stream(&session, content).await.rest().await;
        assert_eq!(kinds(&events), ["user_message", "chunk", "done"]);
        assert_eq!(events[0].1["content"], content);
        assert_eq!(events[1].1["chunk"], content);
        assert_eq!(events[2].1["text"], content);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_failure_is_the_last_event() {
    let server = Server::start().await;
    let session = server.session().await;
    for (content, expected) in [
        ("fail", vec!["user_message", "error"]),
        (
            "say a|say b|fail",
            vec!["user_message", "chunk", "chunk", "error"],
        ),
        ("say a|end", vec!["user_message", "chunk", "error"]),
        ("panic", vec!["user_message", "error"]),
    ] {
        let events = server.stream(&session, content).await.rest().await;
        assert_eq!(kinds(&events), expected, "{content}");
        let error = &events.last().unwrap().1;
        assert_eq!(names(error), ["error", "code", "reason"]);
        assert_eq!(error["code"], "AGENT_ERROR");
        let text = error["error"].as_str().unwrap();
        assert!(
            !text.is_empty() && !text.contains("the script says"),
            "{text}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_timeout_is_the_last_event_too() {
    let server = Server::builder().agent_timeout(MINUTE).start().await;
    let session = server.session().await;
    let mut events = server.stream(&session, "hold").await;
    events.expect("user_message").await;
    server.settle().await;
    server.advance(MINUTE);
    let error = events.end("error").await;
    assert_eq!(error["code"], "AGENT_TIMEOUT");
    server.stop().await;
}

#[tokio::test]
async fn failures_before_the_stream_are_json_errors() {
    let server = Server::start().await;
    let session = server.session().await;
    let sse = json!({ "content": "x", "transport": "sse" });
    let missing = server.send(UNKNOWN_ID, sse.clone()).await;
    missing.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    let wrong = json!({ "content": "", "mode": "stream" });
    server
        .send(&session, wrong)
        .await
        .invalid("InvalidContentError");
    server.advance(30 * MINUTE);
    let expired = server.send(&session, sse).await;
    expired.error(410, "SESSION_EXPIRED", "SessionExpiredError");
    server.stop().await;
}

#[tokio::test]
async fn a_client_message_id_and_attachments_are_in_the_stream() {
    let server = Server::start().await;
    let session = server.session().await;
    let attachments = json!([{ "type": "t", "url": "u" }]);
    let sent = json!({ "content": "x", "transport": "sse", "clientMessageId": "mine-1",
                       "attachments": attachments });
    let request = server.sending(&session, &sent);
    let mut events = Events::open(request).await;
    assert!(!events.headers().contains_key("idempotent-replayed"));
    let user_message = events.expect("user_message").await;
    assert_eq!(user_message["clientMessageId"], "mine-1");
    assert_eq!(user_message["attachments"], attachments);
    events.end("done").await;
    server.stop().await;
}

#[tokio::test]
async fn streams_of_one_session_run_one_after_the_other() {
    let server = Server::start().await;
    let session = server.session().await;
    let first = server.begin(&session, "say one|wait 1000").await;
    let mut second = server.stream(&session, "say two").await;
    second.expect("user_message").await;
    server.settle().await;
    server.advance(SECOND);
    first.end("done").await;
    let done = second.end("done").await;
    assert_eq!(done["text"], "two");
    server.get(&at(&session, "")).await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn activity_comes_between_the_chunks_and_is_not_repeated() {
    let server = Server::start().await;
    let session = server.session().await;
    let body = json!({
        "content": "muse Hm|say Hello|tool web started|wait 1000|tool web failed|say Ada|muse so",
        "transport": "sse", "clientMessageId": "mine",
    });
    let mut first = Events::open(server.sending(&session, &body)).await;
    first.expect("user_message").await;
    let thinking = first.expect("activity").await;
    first.expect("chunk").await;
    let tool = first.expect("activity").await;
    // A repeat joins the reply, but what the agent did before is over.
    let mut repeat = Events::open(server.sending(&session, &body)).await;
    repeat.expect("user_message").await;
    assert_eq!(repeat.expect("chunk").await["chunk"], "Hello");
    server.settle().await;
    server.advance(SECOND);
    let joined = repeat.rest().await;
    assert_eq!(kinds(&joined), ["activity", "chunk", "activity", "done"]);
    assert_eq!(first.rest().await, joined);

    let reply = &joined[3].1["id"];
    let expected = json!({
        "messageId": reply, "agentId": SCRIPTED, "channelId": session, "kind": "thinking",
        "text": "Hm",
    });
    assert_eq!(thinking, expected);
    let expected = json!({
        "messageId": reply, "agentId": SCRIPTED, "channelId": session, "kind": "tool",
        "name": "web", "state": "started",
    });
    assert_eq!(tool, expected);
    assert_eq!(joined[0].1["state"], "failed");
    assert_eq!(joined[2].1["text"], "so");

    // Afterwards a repeat is answered from what is stored.
    let after = Events::open(server.sending(&session, &body))
        .await
        .rest()
        .await;
    assert_eq!(kinds(&after), ["user_message", "chunk", "done"]);
    server.stop().await;
}

#[tokio::test]
async fn thinking_is_sent_while_the_agent_is_silent() {
    let server = Server::start().await;
    let session = server.session().await;
    let mut events = server.stream(&session, "muse one|muse two|hold").await;
    events.expect("user_message").await;
    server.settle().await;
    server.advance(Duration::from_millis(100));
    assert_eq!(events.expect("activity").await["text"], "onetwo");
    server.stop().await;
}
