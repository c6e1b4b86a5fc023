//! Webhooks, and replies that they submit later.

use std::time::Duration;

use serde_json::{Value, json};

use crate::stand_in::{StandIn, said, server_with};

pub(crate) fn backend(stand_in: &StandIn) -> Value {
    json!({ "type": "webhook", "url": format!("{}/hook?v=1", stand_in.url) })
}

#[tokio::test]
async fn an_answer_may_have_more_than_text() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let call = stand_in.next().await;
    call.answer(
        200,
        &json!({
            "text": "Hello.", "thought": "a greeting", "actions": ["REPLY"],
            "attachments": [{ "type": "image", "url": "https://example.org/b.png" }],
            "metadata": { "cost": 3, "sessionId": "x" }, "other": 1,
        }),
    )
    .await;
    let answer = asking.await.unwrap().expect(201);
    let reply = &answer.body["agentResponse"];
    assert_eq!(reply["text"], "Hello.");
    assert_eq!(reply["thought"], "a greeting");
    assert_eq!(reply["actions"], json!(["REPLY"]));
    let history = server.history(&session).await;
    assert_eq!(
        history[1]["metadata"],
        json!({ "cost": 3, "thought": "a greeting", "actions": ["REPLY"], "sessionId": session })
    );
    assert_eq!(
        history[1]["attachments"][0]["url"],
        "https://example.org/b.png"
    );

    // Parts that cannot be stored are dropped; the text is stored.
    let asking = server.wait_for(&session, "And?");
    let call = stand_in.next().await;
    let answer = json!({
        "text": "Yes.", "thought": 7, "actions": "REPLY", "attachments": [{ "url": 1 }],
        "metadata": { "long": "x".repeat(20_000) },
    });
    call.answer(200, &answer).await;
    asking.await.unwrap().expect(201);
    let history = server.history(&session).await;
    assert_eq!(history[3]["metadata"], json!({ "sessionId": session }));
    assert_eq!(history[3].get("attachments"), None);

    for wrong in [json!({}), json!([]), json!({ "text": 7 })] {
        let asking = server.wait_for(&session, "And?");
        stand_in.next().await.answer(200, &wrong).await;
        asking.await.unwrap().expect(502);
    }
    let asking = server.wait_for(&session, "And?");
    stand_in.next().await.answer_with(204, &[], "").await;
    asking.await.unwrap().expect(502);
    server.stop().await;
}

#[tokio::test]
async fn an_answer_may_be_streamed() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in);
    settings["historyMessages"] = 2.into();
    let server = server_with(settings).await;
    let session = server.talk().await;
    for (number, history) in [(1, vec![]), (2, vec!["user m1", "agent Well, well."])] {
        let mut events = server.stream(&session, &format!("m{number}")).await;
        events.expect("user_message").await;
        let mut call = stand_in.next().await;
        let asked = call.json();
        let seen: Vec<_> = asked["history"]
            .as_array()
            .unwrap()
            .iter()
            .map(|past| {
                format!(
                    "{} {}",
                    past["role"].as_str().unwrap(),
                    past["content"].as_str().unwrap()
                )
            })
            .collect();
        assert_eq!(seen, history);
        call.open_stream().await;
        call.event("chunk", &json!({ "chunk": "Well, " })).await;
        assert_eq!(events.expect("chunk").await["chunk"], "Well, ");
        call.event("chunk", &json!({ "chunk": "well." })).await;
        assert_eq!(events.expect("chunk").await["chunk"], "well.");
        // The text may be left out after chunks.
        let done = if number == 1 {
            json!({ "text": "Well, well.", "thought": "hm" })
        } else {
            json!({ "thought": "hm" })
        };
        call.event("done", &done).await;
        let done = events.expect("done").await;
        assert_eq!(
            (&done["text"], &done["thought"]),
            (&json!("Well, well."), &json!("hm"))
        );
    }
    // A stream that ends without its last event has failed.
    let mut events = server.stream(&session, "m3").await;
    events.expect("user_message").await;
    let mut call = stand_in.next().await;
    call.open_stream().await;
    call.event("chunk", &json!({ "chunk": "We" })).await;
    drop(call);
    events.expect("chunk").await;
    assert_eq!(events.expect("error").await["code"], "AGENT_ERROR");
    server.stop().await;
}

#[tokio::test]
async fn a_promised_reply_is_submitted_and_occupies_no_slot() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in);
    settings["maxConcurrency"] = 1.into();
    let server = server_with(settings).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    stand_in.next().await.answer_with(202, &[], "").await;
    // The agent's only slot is free for another session.
    let other = server.talk().await;
    let other_asking = server.wait_for(&other, "Me too");
    stand_in
        .next()
        .await
        .answer(200, &json!({ "text": "You too." }))
        .await;
    other_asking.await.unwrap().expect(201);
    // The turns of one session still run one at a time.
    server.tell(&session, "And then?").await;
    stand_in.expect_nothing().await;

    let submitted = server.submit(&session, json!({})).await.expect(201);
    let answer = asking.await.unwrap().expect(201);
    assert_eq!(answer.body["agentResponse"]["text"], "Submitted.");
    assert_eq!(
        answer.body["agentResponse"]["id"],
        submitted.body["data"]["id"]
    );
    let call = stand_in.next().await;
    assert_eq!(call.json()["message"]["content"], "And then?");
    call.answer(200, &json!({ "text": "That is all." })).await;
    server.history_of(&session, 4).await;
    server.stop().await;
}

#[tokio::test]
async fn a_submission_may_precede_the_promise() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let session = server.talk().await;
    let mut events = server.stream(&session, "Hello?").await;
    let message = events.expect("user_message").await["id"].clone();
    let mut call = stand_in.next().await;
    call.open_stream().await;
    call.event("chunk", &json!({ "chunk": "Um" })).await;
    let chunk = events.expect("chunk").await;

    // Without the message's id it does not close the turn.
    let further = server
        .submit(&session, json!({ "content": "Hold on." }))
        .await
        .expect(201);
    assert_ne!(further.body["data"]["id"], chunk["messageId"]);
    assert_eq!(further.body["data"].get("inReplyTo"), None);

    let named = json!({ "in_reply_to_message_id": message });
    let submitted = server.submit(&session, named).await.expect(201);
    assert_eq!(submitted.body["data"]["id"], chunk["messageId"]);
    assert_eq!(submitted.body["data"]["inReplyTo"], message);
    let done = events.expect("done").await;
    assert_eq!(done["text"], "Submitted.");
    // The webhook's answer is dropped, and its connection closed.
    call.event("chunk", &json!({ "chunk": " er" })).await;
    call.event("done", &json!({ "text": "Um er" })).await;
    call.expect_gone().await;
    assert_eq!(
        server.said(&session).await,
        said(&[("Hello?", false), ("Hold on.", true), ("Submitted.", true)])
    );
    server.stop().await;
}

#[tokio::test]
async fn a_promised_reply_has_the_timeout_of_the_turn() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in);
    settings["timeoutSeconds"] = 60.into();
    let mut server = server_with(settings).await;
    let session = server.talk().await;
    let message = server.tell(&session, "Hello?").await;
    let call = stand_in.next().await;
    // The timeout counts from the turn's start, not from the promise.
    server.advance(Duration::from_secs(20));
    call.answer_with(202, &[], "").await;
    server.settle().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.restart().await;
    server.advance(Duration::from_millis(39_999));
    server.settle().await;
    let failed = |history: Vec<Value>| history[0]["metadata"].get("agentError").cloned();
    assert_eq!(failed(server.history(&session).await), None);
    server.advance(Duration::from_millis(1));
    let error = crate::harness::eventually("it times out", async || {
        failed(server.history(&session).await)
    })
    .await;
    assert_eq!(error["code"], "AGENT_TIMEOUT");
    stand_in.expect_nothing().await;

    // A late submission is a further message.
    let named = json!({ "in_reply_to_message_id": message });
    server.submit(&session, named).await.expect(201);
    let history = server.history(&session).await;
    assert_eq!(history.len(), 2);
    assert!(failed(history).is_some());
    server.stop().await;
}
