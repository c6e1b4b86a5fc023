//! Sending messages over each transport.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{
    ELIZA, MINUTE, SCRIPTED, SECOND, Server, UNKNOWN_ID, USER, assert_v7, at, contents, eventually,
    names, time,
};

#[tokio::test]
async fn over_http_the_answer_has_the_reply() {
    let server = Server::start().await;
    let session = server.session_with(json!({ "metadata": { "a": 1 } })).await;
    server.advance(SECOND);
    let content = "say Hello,|say Ada|think she is nice|act WAVE|act SMILE";
    let sent = json!({ "content": content, "transport": "http", "metadata": { "b": 2 } });
    let answer = server.send(&session, sent).await.expect(201).body;

    let (id, reply) = (&answer["id"], &answer["agentResponse"]["id"]);
    assert_v7(id);
    assert_v7(reply);
    let metadata = json!({ "a": 1, "b": 2, "sessionId": session });
    let user_message = json!({
        "id": id,
        "channelId": session,
        "content": content,
        "authorId": USER,
        "createdAt": time(SECOND),
        "metadata": metadata,
    });
    let agent_response = json!({
        "id": reply,
        "text": "Hello,Ada",
        "thought": "she is nice",
        "actions": ["WAVE", "SMILE"],
        "createdAt": time(SECOND + Duration::from_millis(1)),
        "inReplyTo": id,
        "metadata": {
            "thought": "she is nice", "actions": ["WAVE", "SMILE"], "sessionId": session,
        },
    });
    let status = json!({
        "expiresAt": time(30 * MINUTE + SECOND),
        "renewalCount": 1,
        "wasRenewed": true,
        "isNearExpiration": false,
    });
    let expected = json!({
        "success": true,
        "id": id,
        "content": content,
        "authorId": USER,
        "createdAt": time(SECOND),
        "metadata": metadata,
        "userMessage": user_message,
        "agentResponse": agent_response,
        "sessionStatus": status,
        "data": {
            "success": true,
            "userMessage": user_message,
            "agentResponse": agent_response,
            "sessionStatus": status,
        },
    });
    assert_eq!(answer, expected);

    let history = server.history(&session).await;
    let expected = json!([
        { "id": id, "content": content, "authorId": USER, "isAgent": false,
          "createdAt": time(SECOND), "metadata": metadata },
        { "id": reply, "content": "Hello,Ada", "authorId": SCRIPTED, "isAgent": true,
          "createdAt": time(SECOND + Duration::from_millis(1)), "inReplyTo": id,
          "metadata": { "thought": "she is nice", "actions": ["WAVE", "SMILE"],
                        "sessionId": session } },
    ]);
    assert_eq!(json!(history), expected);
    server.stop().await;
}

#[tokio::test]
async fn over_websocket_the_answer_comes_before_the_reply() {
    let server = Server::start().await;
    let session = server.session().await;
    for (index, fields) in [
        json!({}),
        json!({ "transport": "websocket" }),
        json!({ "mode": "websocket" }),
        json!({ "transport": null }),
        json!({ "transport": null, "mode": null }),
    ]
    .into_iter()
    .enumerate()
    {
        let mut sent = json!({ "content": "say hello" });
        sent.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        let answer = server.send(&session, sent).await.expect(201).body;
        let fields = [
            "success",
            "id",
            "content",
            "authorId",
            "createdAt",
            "metadata",
            "userMessage",
            "sessionStatus",
            "data",
        ];
        assert_eq!(names(&answer), fields);
        assert_eq!(
            names(&answer["data"]),
            ["success", "userMessage", "sessionStatus"]
        );
        let history = server.history_of(&session, 2 * (index + 1)).await;
        let reply = &history[2 * index + 1];
        assert_eq!(reply["content"], "hello");
        assert_eq!(reply["inReplyTo"], answer["id"]);
    }
    server.stop().await;
}

#[tokio::test]
async fn mode_is_accepted_and_transport_takes_precedence() {
    let server = Server::start().await;
    let session = server.session().await;
    for (fields, kind) in [
        (json!({ "mode": "sync" }), "http"),
        (json!({ "mode": "stream" }), "sse"),
        (json!({ "transport": null, "mode": "sync" }), "http"),
        (json!({ "transport": "http", "mode": "stream" }), "http"),
        (json!({ "transport": "sse", "mode": "sync" }), "sse"),
        (
            json!({ "transport": "websocket", "mode": "sync" }),
            "websocket",
        ),
        (json!({ "transport": "http", "mode": null }), "http"),
    ] {
        let mut sent = json!({ "content": "x" });
        sent.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        let response = server.sending(&session, &sent).send().await.unwrap();
        let content_type = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        let text = response.text().await.unwrap();
        let found = match content_type.as_str() {
            "text/event-stream" => "sse",
            _ if text.contains("agentResponse") => "http",
            _ => "websocket",
        };
        assert_eq!(found, kind, "{fields}");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_transport_is_refused_and_nothing_is_stored() {
    let server = Server::start().await;
    let session = server.session().await;
    for fields in [
        json!({ "transport": "HTTP" }),
        json!({ "transport": "sync" }),
        json!({ "transport": "stream" }),
        json!({ "transport": "" }),
        json!({ "transport": 5 }),
        json!({ "transport": true }),
        json!({ "transport": [] }),
        json!({ "transport": {} }),
        json!({ "transport": "ws", "mode": "sync" }),
        json!({ "mode": "http" }),
        json!({ "mode": "sse" }),
        json!({ "mode": "" }),
        json!({ "mode": 1 }),
    ] {
        let mut sent = json!({ "content": "x" });
        sent.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        let refused = server.send(&session, sent).await;
        let details = refused.invalid("InvalidContentError");
        assert_eq!(names(&details), ["reason"], "{fields}");
    }
    server.settle().await;
    assert!(server.history(&session).await.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn the_built_in_agent_replies_over_every_transport() {
    let server = Server::start().await;
    let session = server.session_with(json!({ "agentId": ELIZA })).await;
    let text = server.ask(&session, "Hello, I am sad today").await;
    assert!(!text.is_empty());
    let streamed = server
        .stream(&session, "My mother worries me")
        .await
        .rest()
        .await;
    let (last, done) = streamed.last().unwrap();
    assert_eq!(last, "done");
    let chunks = streamed.iter().filter(|(name, _)| name == "chunk");
    let text: String = chunks
        .map(|(_, chunk)| chunk["chunk"].as_str().unwrap())
        .collect();
    assert_eq!(done["text"], text);
    server.tell(&session, "Goodbye").await;
    let history = server.history_of(&session, 6).await;
    let authors: Vec<_> = history.iter().map(|message| &message["authorId"]).collect();
    assert_eq!(authors, [USER, ELIZA, USER, ELIZA, USER, ELIZA]);
    assert_eq!(history[3]["content"], text);
    server.stop().await;
}

#[tokio::test]
async fn a_messages_metadata_merges_the_sessions_its_own_and_the_id() {
    let server = Server::start().await;
    let of_session = json!({ "a": "session", "b": "session", "sessionId": UNKNOWN_ID,
                             "agentError": { "code": "X" } });
    let session = server.session_with(json!({ "metadata": of_session })).await;
    let own = json!({ "b": "own", "c": { "d": [1] }, "sessionId": "mine", "agentError": "mine" });
    let sent = json!({ "content": "x", "metadata": own, "transport": "http" });
    let answer = server.send(&session, sent).await.expect(201).body;
    let expected = json!({ "a": "session", "b": "own", "c": { "d": [1] }, "sessionId": session });
    assert_eq!(answer["metadata"], expected);
    assert_eq!(answer["userMessage"]["metadata"], expected);
    let history = server.history(&session).await;
    assert_eq!(history[0]["metadata"], expected);
    assert_eq!(
        history[1]["metadata"],
        json!({ "sessionId": session }),
        "the agent's message has its own metadata"
    );
    assert_eq!(
        server.info(&session).await["metadata"],
        of_session,
        "the session's metadata is unchanged"
    );
    for absent in [json!(null), json!({})] {
        let sent = json!({ "content": "x", "metadata": absent });
        let answer = server.send(&session, sent).await.expect(201).body;
        let inherited = json!({ "a": "session", "b": "session", "sessionId": session });
        assert_eq!(answer["metadata"], inherited);
    }
    server.stop().await;
}

#[tokio::test]
async fn attachments_are_returned_as_sent() {
    let server = Server::start().await;
    let session = server.session().await;
    let attachments = json!([
        { "type": "image", "url": "https://example.org/é.png", "name": "é", "size": 1.5,
          "more": { "a": [null] } },
        { "url": "data:,x", "type": "file" },
    ]);
    let sent = json!({ "content": "x", "attachments": attachments, "transport": "http" });
    let answer = server.send(&session, sent).await.expect(201).body;
    assert_eq!(answer["userMessage"]["attachments"], attachments);
    let history = server.history(&session).await;
    assert_eq!(history[0]["attachments"], attachments);
    assert_eq!(
        history[0]["attachments"].to_string(),
        attachments.to_string()
    );
    assert_eq!(history[1].get("attachments"), None);
    for none in [json!(null), json!([])] {
        let sent = json!({ "content": "x", "attachments": none });
        let answer = server.send(&session, sent).await.expect(201).body;
        let attachments = &answer["userMessage"]["attachments"];
        assert!(
            attachments.is_null() || *attachments == json!([]),
            "{attachments}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn messages_of_one_millisecond_get_distinct_times() {
    let server = Server::start().await;
    let session = server.session().await;
    for _ in 0..5 {
        server.ask(&session, "x").await;
    }
    let history = server.history(&session).await;
    let times: Vec<_> = history
        .iter()
        .map(|message| &message["createdAt"])
        .collect();
    let expected: Vec<_> = (0..10)
        .map(|millis| json!(time(Duration::from_millis(millis))))
        .collect();
    assert_eq!(times, expected.iter().collect::<Vec<_>>());
    assert_eq!(
        server.info(&session).await["lastActivity"],
        time(Duration::ZERO)
    );
    server.advance(MINUTE);
    server.ask(&session, "y").await;
    let first_of_its_time = server.history(&session).await[10]["createdAt"].clone();
    assert_eq!(first_of_its_time, time(MINUTE));
    assert_eq!(
        server.info(&session).await["lastActivity"],
        first_of_its_time
    );
    server.stop().await;
}

#[tokio::test]
async fn a_reply_is_stored_after_the_client_disconnects() {
    let server = Server::start().await;
    let over_sse = server.session().await;
    let events = server.begin(&over_sse, "say one|wait 1000|say two").await;
    drop(events);

    let over_http = server.session().await;
    let waiting = server.wait_for(&over_http, "say one|wait 1000|say two");
    server.history_of(&over_http, 1).await;
    waiting.abort();
    server.settle().await;
    server.advance(SECOND);
    for session in [&over_sse, &over_http] {
        let history = server.history_of(session, 2).await;
        assert_eq!(contents(&history)[1], "onetwo");
    }
    server.stop().await;
}

#[tokio::test]
async fn concurrent_sends_are_stored_once_each_in_one_order() {
    let server = Server::start().await;
    let session = server.session().await;
    let asks = (0..12).map(|index| {
        let (server, session) = (&server, &session);
        async move { server.ask(session, &format!("say reply {index}")).await }
    });
    let replies = futures_util::future::join_all(asks).await;
    for (index, reply) in replies.iter().enumerate() {
        assert_eq!(
            *reply,
            format!("reply {index}"),
            "each caller gets its own reply"
        );
    }
    let history = server.history(&session).await;
    assert_eq!(history.len(), 24);
    let times: Vec<_> = history
        .iter()
        .map(|message| message["createdAt"].as_str())
        .collect();
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    // Replies are in the order of the messages.
    let of = |is_agent: bool| history.iter().filter(move |it| it["isAgent"] == is_agent);
    let asked: Vec<&Value> = of(false).map(|message| &message["id"]).collect();
    let answered: Vec<&Value> = of(true).map(|reply| &reply["inReplyTo"]).collect();
    assert_eq!(asked, answered);
    server.stop().await;
}

#[tokio::test]
async fn the_transport_is_not_stored_with_the_session() {
    let server = Server::start().await;
    let session = server.session().await;
    server.ask(&session, "say a").await;
    server.stream(&session, "say b").await.end("done").await;
    server.tell(&session, "say c").await;
    let history = eventually("all three", async || {
        let history = server.history(&session).await;
        (history.len() == 6).then_some(history)
    })
    .await;
    for message in history.iter().filter(|message| message["isAgent"] == false) {
        let fields = [
            "id",
            "content",
            "authorId",
            "isAgent",
            "createdAt",
            "metadata",
        ];
        assert_eq!(names(message), fields);
        assert_eq!(message["metadata"], json!({ "sessionId": session }));
    }
    server.get(&at(&session, "")).await.expect(200);
    server.stop().await;
}
