//! Agents that run elsewhere: they receive messages over sockets and submit their replies.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Events, MINUTE, Server, at, eventually};
use crate::stand_in::{AGENT, character, said, server_with};

async fn external() -> Server {
    server_with(json!({ "type": "external", "maxConcurrency": 1, "timeoutSeconds": 60 })).await
}

fn error_of(message: &Value) -> Option<&str> {
    message["metadata"].get("agentError")?["code"].as_str()
}

#[tokio::test]
async fn one_reply_answers_all_open_messages() {
    let server = external().await;
    let session = server.talk().await;
    let first = server.wait_for(&session, "One");
    server.history_of(&session, 1).await;
    let mut second = server.stream(&session, "Two").await;
    second.expect("user_message").await;
    let third = server.wait_for(&session, "Three");
    let history = server.history_of(&session, 3).await;

    let submitted = server
        .submit(&session, json!({ "content": "All of it." }))
        .await;
    let data = &submitted.expect(201).body["data"];
    assert_eq!(data["inReplyTo"], history[2]["id"], "the newest is named");
    assert_eq!(data["isAgent"], true);
    assert_eq!(data["channelId"], json!(session));
    assert_eq!(data["authorId"], AGENT);
    for asking in [first, third] {
        let answer = asking.await.unwrap().expect(201);
        assert_eq!(answer.body["agentResponse"]["id"], data["id"]);
    }
    let chunk = second.expect("chunk").await;
    assert_eq!(
        (&chunk["messageId"], &chunk["chunk"]),
        (&data["id"], &json!("All of it."))
    );
    assert_eq!(second.expect("done").await["id"], data["id"]);
    assert_eq!(
        server.said(&session).await,
        said(&[
            ("One", false),
            ("Two", false),
            ("Three", false),
            ("All of it.", true)
        ])
    );
    server.stop().await;
}

#[tokio::test]
async fn a_reply_may_answer_one_message_out_of_order() {
    let server = external().await;
    let session = server.talk().await;
    let first = server.wait_for(&session, "One");
    server.history_of(&session, 1).await;
    let second = server.wait_for(&session, "Two");
    let history = server.history_of(&session, 2).await;
    let reply = json!({ "content": "To two.", "in_reply_to_message_id": history[1]["id"] });
    server.submit(&session, reply).await.expect(201);
    let answer = second.await.unwrap().expect(201);
    assert_eq!(answer.body["agentResponse"]["text"], "To two.");
    assert_eq!(answer.body["agentResponse"]["inReplyTo"], history[1]["id"]);
    let reply = json!({ "content": "To one.", "in_reply_to_message_id": history[0]["id"] });
    server.submit(&session, reply).await.expect(201);
    let answer = first.await.unwrap().expect(201);
    assert_eq!(answer.body["agentResponse"]["text"], "To one.");
    // No turn is open: the next submission is a further message.
    let further = server
        .submit(&session, json!({ "content": "Bye." }))
        .await
        .expect(201);
    assert_eq!(further.body["data"].get("inReplyTo"), None);
    server.stop().await;
}

#[tokio::test]
async fn sockets_receive_the_events_in_order() {
    let server = external().await;
    let session = server.talk().await;
    let request = server.request(reqwest::Method::GET, &at(&session, "/events"));
    let mut events = Events::open(request).await;
    events.expect("state").await;
    server.tell(&session, "One").await;
    assert_eq!(events.expect("messageBroadcast").await["text"], "One");
    assert_eq!(
        events.expect("controlMessage").await["action"],
        "disable_input"
    );
    server.tell(&session, "Two").await;
    assert_eq!(events.expect("messageBroadcast").await["text"], "Two");

    let submitted = server.submit(&session, json!({})).await.expect(201);
    let id = &submitted.body["data"]["id"];
    let chunk = events.expect("messageStreamChunk").await;
    assert_eq!(
        (&chunk["messageId"], &chunk["chunk"]),
        (id, &json!("Submitted."))
    );
    let reply = events.expect("messageBroadcast").await;
    assert_eq!(
        (&reply["id"], &reply["source"]),
        (id, &json!("agent_response"))
    );
    events.expect("messageComplete").await;
    events.expect("messageComplete").await;
    assert_eq!(
        events.expect("controlMessage").await["action"],
        "enable_input"
    );

    // A further message is not a turn.
    server
        .submit(&session, json!({ "content": "By the way" }))
        .await
        .expect(201);
    assert_eq!(
        events.expect("messageBroadcast").await["text"],
        "By the way"
    );
    drop(events);
    server.stop().await;
}

#[tokio::test]
async fn each_turn_has_its_own_deadline_which_a_restart_does_not_renew() {
    let mut server = external().await;
    let session = server.talk().await;
    server.tell(&session, "One").await;
    server.advance(Duration::from_secs(30));
    server.tell(&session, "Two").await;
    server.advance(Duration::from_secs(20));
    server.restart().await;
    server.advance(Duration::from_millis(9_999));
    server.settle().await;
    let history = server.history(&session).await;
    assert_eq!(history.iter().find_map(error_of), None);
    server.advance(Duration::from_millis(1));
    let history = eventually("the first is over", async || {
        let history = server.history(&session).await;
        error_of(&history[0]).is_some().then_some(history)
    })
    .await;
    assert_eq!(
        (error_of(&history[0]), error_of(&history[1])),
        (Some("AGENT_TIMEOUT"), None)
    );
    // The second one's reply is still in time.
    let submitted = server.submit(&session, json!({})).await.expect(201);
    assert_eq!(submitted.body["data"]["inReplyTo"], history[1]["id"]);
    server.stop().await;
}

#[tokio::test]
async fn a_deadline_also_passes_while_the_server_is_stopped() {
    let mut server = external().await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "One");
    server.history_of(&session, 1).await;
    let ended = server.begin_stop();
    asking
        .await
        .unwrap()
        .error(503, "SERVICE_UNAVAILABLE", "ServiceUnavailableError");
    server.finish_stop(ended).await;
    server.advance(MINUTE);
    server.launch_with(|setup| setup).await;
    eventually("it is over", async || {
        let history = server.history(&session).await;
        error_of(&history[0]).map(str::to_owned)
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn a_repeat_opens_an_unanswered_turn_again() {
    let server = external().await;
    let session = server.talk().await;
    let sent = json!({ "content": "One", "clientMessageId": "m1" });
    server.send(&session, sent.clone()).await.expect(201);
    server.advance(MINUTE);
    eventually("it is over", async || {
        error_of(&server.history(&session).await[0]).map(str::to_owned)
    })
    .await;
    server.advance(MINUTE);
    let repeat = server.send(&session, sent).await.expect(201);
    assert_eq!(repeat.header("idempotent-replayed"), "true");
    server.advance(Duration::from_secs(59));
    server.settle().await;
    assert_eq!(error_of(&server.history(&session).await[0]), None);
    let submitted = server.submit(&session, json!({})).await.expect(201);
    assert_eq!(submitted.body["data"]["inReplyTo"], repeat.body["id"]);
    server.stop().await;
}

#[tokio::test]
async fn deleting_the_session_ends_all_open_turns() {
    let server = external().await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "One");
    server.history_of(&session, 1).await;
    server.delete(&at(&session, "")).await.expect(200);
    asking
        .await
        .unwrap()
        .error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    let submitted = server.submit(&session, json!({})).await;
    submitted.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    server.stop().await;
}

#[tokio::test]
async fn open_turns_outlive_their_session_and_accept_only_their_replies() {
    let server = server_with(json!({ "type": "external", "timeoutSeconds": 36_000 })).await;
    let session = server.talk().await;
    let asking = server.stream(&session, "One").await;
    server.history_of(&session, 1).await;
    server.advance(31 * MINUTE);
    server.settle().await;
    let submitted = server.submit(&session, json!({})).await.expect(201);
    let done = asking.end("done").await;
    assert_eq!(done["id"], submitted.body["data"]["id"]);
    assert_eq!(
        server.said(&session).await,
        said(&[("One", false), ("Submitted.", true)])
    );
    let late = server.submit(&session, json!({})).await;
    late.error(410, "SESSION_EXPIRED", "SessionExpiredError");
    server.stop().await;
}

#[tokio::test]
async fn at_most_sixteen_turns_are_open() {
    let server = external().await;
    let session = server.talk().await;
    for number in 0..16 {
        server.tell(&session, &number.to_string()).await;
    }
    let refused = server.send(&session, json!({ "content": "x" })).await;
    refused.error(429, "RATE_LIMIT_EXCEEDED", "RateLimitError");
    server.submit(&session, json!({})).await.expect(201);
    server.tell(&session, "x").await;
    server.stop().await;
}

#[tokio::test]
async fn open_turns_run_in_order_after_the_agent_got_another_backend() {
    let mut server = external().await;
    let session = server.talk().await;
    for content in ["One", "Two"] {
        server.tell(&session, content).await;
    }
    let rules = character(AGENT, &json!({ "type": "eliza" }));
    server
        .restart_with(|setup| setup.character("agent.json", &rules))
        .await;
    let history = server.history_of(&session, 4).await;
    assert_eq!(history[2]["inReplyTo"], history[0]["id"]);
    assert_eq!(history[3]["inReplyTo"], history[1]["id"]);
    // And the other way round: turns that have not begun wait for submissions.
    server
        .restart_with(|setup| {
            let external = json!({ "type": "external", "timeoutSeconds": 60 });
            setup.character("agent.json", &character(AGENT, &external))
        })
        .await;
    let asking = server.wait_for(&session, "Three");
    server.history_of(&session, 5).await;
    server.submit(&session, json!({})).await.expect(201);
    asking.await.unwrap().expect(201);
    server.stop().await;
}
