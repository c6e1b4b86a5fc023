//! The activity of an agent during a turn.

use serde_json::json;

use crate::reader::{Event, summaries};
use crate::server::{Server, good};

fn is_activity(event: &Event) -> bool {
    event.name == "messageActivity"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn activity_comes_in_order_with_the_chunks_and_the_end() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    let mut reader = server.follow_live(&session).await;
    server
        .send(
            &session,
            "muse Hm | muse , well | wait 1000 | muse so | say Hello | tool web started \
             | tool web done | say you | muse enough",
        )
        .await;
    reader.expect("messageBroadcast").await;
    reader.expect("controlMessage").await;
    // Pieces wait 100 ms for more of them.
    reader.stays_silent().await;
    server.millis_pass(100).await;
    let first = reader.expect("messageActivity").await;
    server.millis_pass(900).await;
    let events = reader.until_idle().await;
    assert_eq!(
        summaries(&events),
        [
            "messageActivity: thinking so",
            "messageStreamChunk: Hello",
            "messageActivity: tool web started",
            "messageActivity: tool web done",
            "messageStreamChunk: you",
            "messageActivity: thinking enough",
            "messageBroadcast: Helloyou",
            "messageComplete",
            "enable_input",
        ]
    );
    let broadcast = &events[6].data;
    let (reply, agent) = (&broadcast["id"], &broadcast["senderId"]);
    assert_eq!(
        first.data,
        json!({
            "messageId": reply, "agentId": agent, "channelId": session, "kind": "thinking",
            "text": "Hm, well",
        })
    );
    assert_eq!(
        events[2].data,
        json!({
            "messageId": reply, "agentId": agent, "channelId": session, "kind": "tool",
            "name": "web", "state": "started",
        })
    );
    // Nothing of it is stored; the word is in the user's message.
    let path = server.at(&session, "/messages");
    let stored = good(server.http.get(path)).await.to_string();
    assert_eq!(stored.matches("enough").count(), 1, "{stored}");
    assert_eq!(broadcast["thought"], json!(null));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn activity_that_waits_precedes_a_failure_too() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    let mut reader = server.follow_live(&session).await;
    for end in ["fail", "panic", "end"] {
        server.send(&session, &format!("muse Hm | {end}")).await;
        assert_eq!(
            summaries(&reader.until_idle().await)[1..],
            [
                "disable_input",
                "messageActivity: thinking Hm",
                "messageStreamError",
                "messageComplete",
                "enable_input",
            ],
            "{end}"
        );
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_joins_or_resumes_gets_no_earlier_activity() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    let mut early = server.follow_live(&session).await;
    let sent = server
        .send(
            &session,
            "tool web started | wait 1000 | tool web done | say Hello",
        )
        .await;
    early.until(is_activity).await;
    let mut late = server.follow_live(&session).await;
    let id = crate::server::epoch(&sent["createdAt"]).to_string();
    let mut resumed = server.resume(&session, &id).await;
    resumed.expect("state").await;
    server.millis_pass(1000).await;
    for reader in [&mut late, &mut resumed] {
        assert_eq!(
            summaries(&reader.until_idle().await)[..2],
            [
                "messageActivity: tool web done",
                "messageStreamChunk: Hello"
            ]
        );
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_state_of_a_tool_exceeds_the_limit_before_the_end_of_the_turn() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    let mut reader = server.follow_live(&session).await;
    let tools: Vec<_> = (0..20)
        .map(|tool| format!("tool {tool} started | "))
        .collect();
    let beyond = "tool a started | tool a done | tool b started | muse lost";
    for (end, ended) in [
        ("say Hello", "messageBroadcast: Hello"),
        ("fail", "messageStreamError"),
    ] {
        let script = format!("{}{beyond} | {end}", tools.concat());
        server.send(&session, &script).await;
        let events = summaries(&reader.until_idle().await);
        let (_, rest) = events.split_at(2 + tools.len());
        let rest: Vec<_> = rest.iter().map(String::as_str).collect();
        let (done, started) = (
            "messageActivity: tool a done",
            "messageActivity: tool b started",
        );
        let mut wanted = if end == "fail" {
            vec![done, started, "messageActivity: thinking lost"]
        } else {
            // Thinking must not follow the chunk.
            vec!["messageStreamChunk: Hello", done, started]
        };
        wanted.extend([ended, "messageComplete", "enable_input"]);
        assert_eq!(rest, wanted);
    }
    // Between chunks, the limit applies.
    let script = format!(
        "{}{beyond} | say Hello | wait 1000 | say you",
        tools.concat()
    );
    server.send(&session, &script).await;
    reader.until(Event::is_chunk).await;
    reader.stays_silent().await;
    server.millis_pass(1000).await;
    assert_eq!(
        summaries(&reader.until_idle().await)[..3],
        [
            "messageActivity: tool a done",
            "messageActivity: tool b started",
            "messageStreamChunk: you",
        ]
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_activity_is_limited_and_what_is_dropped_is_counted() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    let mut reader = server.follow_live(&session).await;
    let dropped = async || {
        let text = server.http.get(format!("{}/metrics", server.url)).send();
        let text = text.await.unwrap().text().await.unwrap();
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix("sessiond_activity_dropped_total "));
        value.unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(dropped().await, 0);
    // 1 MB: what is sent within a second, and what waits, are 80 KiB each.
    let flood = "flood 50000 | tool web started | flood 50000 | say Hello";
    server.send(&session, flood).await;
    let events = reader.until_idle().await;
    let activities: Vec<_> = events.iter().filter(|event| is_activity(event)).collect();
    assert_eq!(activities.len(), 20);
    for activity in &activities {
        assert!(activity.text("text").len() <= 4096, "{activity:?}");
    }
    let last: Vec<_> = summaries(&events).into_iter().rev().take(4).collect();
    let end = [
        "enable_input",
        "messageComplete",
        "messageBroadcast: Hello",
        "messageStreamChunk: Hello",
    ];
    assert_eq!(last, end);
    assert!(dropped().await > 200, "{}", dropped().await);
    server.stop().await;
}
