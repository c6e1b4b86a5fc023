//! An agent that runs elsewhere finds its work: by the stream of its turns, and by pages of them.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Events, MINUTE, Server, UNKNOWN_ID, answer, contents};
use crate::stand_in::{AGENT, OTHER, StandIn, character, server_with};

async fn external() -> Server {
    server_with(json!({ "type": "external", "timeoutSeconds": 60, "historyMessages": 5 })).await
}

fn events_path(agent: &str) -> String {
    format!("/api/agents/{agent}/events")
}

async fn work(server: &Server) -> Events {
    Events::open(server.request(Method::GET, &events_path(AGENT))).await
}

async fn turns(server: &Server, query: &str) -> Value {
    let path = format!("/api/agents/{AGENT}/turns{query}");
    server.get(&path).await.expect(200).body
}

/// Returns a submission with these fields that names a turn.
fn by_turn(turn: &Value, mut fields: Value) -> Value {
    fields["turnId"] = turn["turnId"].clone();
    fields
}

fn cancelled(turn: &Value, reason: &str) -> Value {
    json!({
        "turnId": turn["turnId"], "sessionId": turn["sessionId"],
        "messageId": turn["message"]["id"], "reason": reason,
    })
}

/// Returns the error of a worker, which has no content.
fn declined(message: &str) -> Value {
    json!({ "content": null, "error": { "message": message } })
}

#[tokio::test]
async fn the_stream_begins_with_what_waits_and_goes_on_with_what_comes() {
    let mut server = external().await;
    let sessions = [server.talk().await, server.talk().await];
    for (session, content) in [(0, "One"), (1, "Two")] {
        server.advance(Duration::from_secs(1));
        server.tell(&sessions[session], content).await;
    }
    let mut stream = work(&server).await;
    let one = stream.expect("turn").await;
    let history = server.history(&sessions[0]).await;
    let info = server.info(&sessions[0]).await;
    assert_eq!(
        one,
        json!({
            "turnId": one["turnId"], "sessionId": sessions[0], "agentId": AGENT,
            "userId": one["userId"],
            "agent": { "id": AGENT, "name": "Agent 1" },
            "session": {
                "createdAt": info["createdAt"], "expiresAt": info["expiresAt"], "metadata": {},
            },
            "message": {
                "id": history[0]["id"], "content": "One", "attachments": [],
                "metadata": { "sessionId": sessions[0] }, "createdAt": history[0]["createdAt"],
            },
            "history": [],
            "deadline": "2024-01-01T00:01:01.000Z",
        })
    );
    let two = stream.expect("turn").await;
    assert_eq!(two["message"]["content"], "Two");
    server.advance(Duration::from_secs(1));
    server.tell(&sessions[0], "Three").await;
    let three = stream.expect("turn").await;
    // The earlier messages are included, as many as the agent wants.
    assert_eq!(contents(three["history"].as_array().unwrap()), ["One"]);

    server
        .submit(&sessions[0], by_turn(&one, json!({})))
        .await
        .expect(201);
    assert_eq!(
        stream.expect("turnCancelled").await,
        cancelled(&one, "answered")
    );

    // A reconnect begins with what is open, whatever the client has seen, and so does a restart,
    // which moves no deadline.
    drop(stream);
    server.restart().await;
    let again = server.request(Method::GET, &events_path(AGENT));
    let last = three["turnId"].as_str().unwrap();
    let mut stream = Events::open(again.header("last-event-id", last)).await;
    assert_eq!(stream.expect("turn").await, two);
    let three_again = stream.expect("turn").await;
    assert_eq!(three_again["turnId"], three["turnId"]);
    assert_eq!(three_again["deadline"], three["deadline"]);
    let earlier = contents(three_again["history"].as_array().unwrap()).len();
    assert_eq!(earlier, 2, "the reply to the first one is known by now");
    drop(stream);
    server.stop().await;
}

#[tokio::test]
async fn of_two_workers_one_answers() {
    let server = external().await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "One");
    let (mut first, mut second) = (work(&server).await, work(&server).await);
    let turn = first.expect("turn").await;
    assert_eq!(second.expect("turn").await, turn);
    let stored = server
        .submit(&session, by_turn(&turn, json!({ "content": "Mine." })))
        .await
        .expect(201);
    assert_eq!(stored.body["data"]["inReplyTo"], turn["message"]["id"]);
    for stream in [&mut first, &mut second] {
        assert_eq!(
            stream.expect("turnCancelled").await,
            cancelled(&turn, "answered")
        );
    }
    for late in [json!({ "content": "No, mine." }), declined("No.")] {
        let refused = server.submit(&session, by_turn(&turn, late)).await;
        let details = refused.error(409, "TURN_CLOSED", "TurnClosedError");
        assert_eq!(
            details,
            json!({ "turnId": turn["turnId"], "reason": "answered" })
        );
    }
    let answered = asking.await.unwrap().expect(201);
    assert_eq!(answered.body["agentResponse"]["text"], "Mine.");
    assert_eq!(
        server.history(&session).await.len(),
        2,
        "nothing else is stored"
    );
    // A turn that never existed counts as closed.
    let refused = server
        .submit(&session, json!({ "turnId": UNKNOWN_ID }))
        .await;
    let details = refused.error(409, "TURN_CLOSED", "TurnClosedError");
    assert_eq!(
        details,
        json!({ "turnId": UNKNOWN_ID, "reason": "deleted" })
    );
    drop((first, second));
    server.stop().await;
}

#[tokio::test]
async fn a_turn_that_is_closed_otherwise_is_cancelled() {
    let server = external().await;
    let mut stream = work(&server).await;
    let session = server.talk().await;
    server.tell(&session, "Late").await;
    let late = stream.expect("turn").await;
    server.settle().await;
    server.advance(MINUTE);
    assert_eq!(
        stream.expect("turnCancelled").await,
        cancelled(&late, "timeout")
    );
    let refused = server.submit(&session, by_turn(&late, json!({}))).await;
    assert_eq!(
        refused.error(409, "TURN_CLOSED", "TurnClosedError")["reason"],
        "timeout"
    );

    let session = server.talk().await;
    server.tell(&session, "Gone").await;
    let gone = stream.expect("turn").await;
    server
        .delete(&format!("/api/messaging/sessions/{session}"))
        .await
        .expect(200);
    assert_eq!(
        stream.expect("turnCancelled").await,
        cancelled(&gone, "deleted")
    );
    server
        .submit(&session, by_turn(&gone, json!({})))
        .await
        .error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    drop(stream);
    server.stop().await;
}

#[tokio::test]
async fn an_error_in_the_place_of_a_reply_is_the_users_to_read() {
    let mut server = external().await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "One");
    server.history_of(&session, 1).await;
    let mut streaming = server.stream(&session, "Two").await;
    streaming.expect("user_message").await;
    let history = server.history(&session).await;
    let with_key = |message: &str| {
        let mut body = declined(message);
        body["messageId"] = "k".into();
        body
    };
    let failed = server
        .submit(&session, with_key("I do\n\u{1b} not\u{0} know."))
        .await
        .expect(201);
    let ids = json!([history[0]["id"], history[1]["id"]]);
    assert_eq!(
        failed.body,
        json!({ "success": true, "data": { "failed": ids } })
    );

    let error = json!({
        "code": "AGENT_ERROR", "message": "I do not know.", "reason": "refused",
    });
    let details = asking
        .await
        .unwrap()
        .error(502, "AGENT_ERROR", "AgentError");
    assert_eq!(
        (&details["reason"], &details["pending"]),
        (&json!("refused"), &json!(false))
    );
    assert_eq!(
        streaming.expect("error").await,
        json!({ "code": "AGENT_ERROR", "error": "I do not know.", "reason": "refused" })
    );
    for message in server.history(&session).await {
        assert_eq!(message["metadata"]["agentError"], error);
    }

    // The key is retained over a restart, and compares.
    server.restart().await;
    let repeat = server
        .submit(&session, with_key("I do not know."))
        .await
        .expect(201);
    assert_eq!(repeat.header("idempotent-replayed"), "true");
    assert_eq!(repeat.body, failed.body);
    for other in [with_key("I do."), json!({ "messageId": "k" })] {
        let conflict = server.submit(&session, other).await;
        conflict.error(409, "IDEMPOTENCY_CONFLICT", "IdempotencyConflictError");
    }
    // No turn is left.
    let refused = server.submit(&session, declined("Again.")).await;
    let details = refused.error(409, "TURN_CLOSED", "TurnClosedError");
    assert_eq!(details, json!({ "turnId": null, "reason": "answered" }));
    server.stop().await;
}

#[tokio::test]
async fn either_content_or_an_error_is_submitted_with_attachments_as_in_a_message() {
    let server = external().await;
    let session = server.talk().await;
    server.tell(&session, "One").await;
    for wrong in [
        json!({ "content": null }),
        json!({ "content": "" }),
        json!({ "error": { "message": "No." } }),
        json!({ "content": null, "error": "No." }),
        json!({ "content": null, "error": {} }),
        json!({ "content": null, "error": { "message": 7 } }),
        json!({ "content": null, "error": { "message": "" } }),
        json!({ "content": null, "error": { "message": " \n\u{0}\t" } }),
        json!({ "content": null, "error": { "message": "x".repeat(501) } }),
        json!({ "attachments": {} }),
        json!({ "attachments": [{ "type": "image" }] }),
    ] {
        let refused = server.submit(&session, wrong.clone()).await;
        let details = refused.invalid("InvalidContentError");
        assert!(details["reason"].is_string(), "{wrong}: {details}");
    }
    let picture = json!([{ "type": "image", "url": "https://example.org/a.png", "n": 1 }]);
    let reply = json!({ "attachments": picture, "messageId": "k" });
    let stored = server.submit(&session, reply.clone()).await.expect(201);
    assert_eq!(stored.body["data"]["attachments"], picture);
    assert_eq!(server.history(&session).await[1]["attachments"], picture);
    server.submit(&session, reply).await.expect(201);
    let without = server.submit(&session, json!({ "messageId": "k" })).await;
    without.error(409, "IDEMPOTENCY_CONFLICT", "IdempotencyConflictError");
    let longest = server.tell(&session, "Two").await;
    let failed = server
        .submit(&session, declined(&"é".repeat(500)))
        .await
        .expect(201);
    assert_eq!(failed.body["data"]["failed"], json!([longest]));
    server.stop().await;
}

#[tokio::test]
async fn pages_show_what_waits_the_oldest_first() {
    let server = external().await;
    assert_eq!(turns(&server, "").await, json!({ "turns": [] }));
    let sessions = [server.talk().await, server.talk().await];
    for number in 0..5 {
        server.advance(Duration::from_secs(1));
        server
            .tell(&sessions[number % 2], &number.to_string())
            .await;
    }
    let mut seen = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = turns(&server, &query).await;
        for turn in page["turns"].as_array().unwrap() {
            seen.push(turn["message"]["content"].as_str().unwrap().to_owned());
        }
        let Some(cursor) = page["nextCursor"].as_str() else {
            break;
        };
        query = format!("?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ["0", "1", "2", "3", "4"]);
    let whole = turns(&server, "").await;
    let mut stream = work(&server).await;
    assert_eq!(
        stream.expect("turn").await,
        whole["turns"][0],
        "a page shows what a stream sends"
    );
    drop(stream);

    for (wrong, parameter) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=1.x", "cursor"),
    ] {
        let path = format!("/api/agents/{AGENT}/turns?{wrong}");
        let details = server.get(&path).await.invalid("InvalidPaginationError");
        assert_eq!(details["parameter"], parameter);
    }
    for path in ["turns", "events"] {
        for agent in [UNKNOWN_ID, "x"] {
            let missing = server.get(&format!("/api/agents/{agent}/{path}")).await;
            let details = missing.error(404, "AGENT_NOT_FOUND", "AgentNotFoundError");
            assert_eq!(details["agentId"], agent);
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn an_agent_has_sixteen_streams_at_most() {
    let server = external().await;
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(work(&server).await);
    }
    let refused = answer(server.request(Method::GET, &events_path(AGENT))).await;
    let details = refused.error(429, "RATE_LIMIT_EXCEEDED", "RateLimitError");
    assert_eq!(details["retryAfter"], 1);
    assert_eq!(refused.header("retry-after"), "1");
    let metrics = server.get_text("/metrics").await;
    assert!(
        metrics.contains("sessiond_agent_inbox_streams_open 16"),
        "{metrics}"
    );
    streams.pop();
    crate::harness::eventually("there is a place again", async || {
        let request = server.request(Method::GET, &events_path(AGENT));
        let response = request.send().await.unwrap();
        (response.status() == 200).then_some(())
    })
    .await;
    drop(streams);
    server.stop().await;
}

#[tokio::test]
async fn a_webhooks_turns_are_there_once_it_has_put_them_off() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(json!({ "type": "webhook", "url": stand_in.url })).await;
    let session = server.talk().await;
    let mut stream = work(&server).await;
    let asking = server.wait_for(&session, "One");
    let call = stand_in.next().await;
    let posted = call.json();
    assert_eq!(turns(&server, "").await, json!({ "turns": [] }));
    call.answer(202, &json!({})).await;
    let turn = stream.expect("turn").await;
    assert!(turn["deadline"].is_string());
    for field in [
        "turnId",
        "sessionId",
        "agentId",
        "userId",
        "message",
        "history",
    ] {
        assert_eq!(turn[field], posted[field], "{field}");
    }
    server
        .submit(&session, by_turn(&turn, json!({})))
        .await
        .expect(201);
    assert_eq!(
        stream.expect("turnCancelled").await,
        cancelled(&turn, "answered")
    );
    asking.await.unwrap().expect(201);

    // The turn of an agent that is being asked can be closed too; what it answers then is dropped.
    let mut streaming = server.stream(&session, "Two").await;
    streaming.expect("user_message").await;
    let mut call = stand_in.next().await;
    call.open_stream().await;
    call.event("chunk", &json!({ "chunk": "Half of a" })).await;
    assert_eq!(streaming.expect("chunk").await["chunk"], "Half of a");
    let turn = call.json();
    let reply = by_turn(&turn, json!({ "content": "The whole." }));
    server.submit(&session, reply).await.expect(201);
    assert_eq!(streaming.expect("done").await["text"], "The whole.");
    drop((call, stream));
    server.stop().await;
}

#[tokio::test]
async fn a_turn_whose_agent_is_taken_away_is_cancelled() {
    let mut server = external().await;
    let session = server.talk().await;
    server.tell(&session, "One").await;
    let turn = turns(&server, "").await["turns"][0].clone();
    server
        .restart_with(|setup| {
            let other = json!({ "type": "external", "timeoutSeconds": 60 });
            setup.character("agent.json", &character(OTHER, &other))
        })
        .await;
    let history = crate::harness::eventually("its turn is closed", async || {
        let history = server.history(&session).await;
        history[0]["metadata"]
            .get("agentError")
            .is_some()
            .then_some(history)
    })
    .await;
    assert_eq!(
        history[0]["metadata"]["agentError"],
        json!({
            "code": "AGENT_NOT_FOUND", "message": "The session's agent no longer exists",
            "reason": "misconfigured",
        })
    );
    let submitted = server.submit(&session, by_turn(&turn, json!({}))).await;
    let details = submitted.error(409, "TURN_CLOSED", "TurnClosedError");
    assert_eq!(details["reason"], "cancelled");
    server.stop().await;
}
