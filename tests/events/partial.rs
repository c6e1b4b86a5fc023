//! Joining in the middle of a reply, and what a room receives when a reply is cancelled.

use serde_json::{Value, json};

use crate::reader::{Event, Reader, summaries};
use crate::server::{Server, good};

/// What a client shows of the agent's unfinished and finished replies.
#[derive(Debug, Default)]
struct Screen {
    /// The unfinished reply: its id, its text and the index of the next chunk.
    streaming: Option<(Value, String, u64)>,
    replies: Vec<String>,
}

impl Screen {
    fn apply(&mut self, event: &Event) {
        let data = &event.data;
        match event.name.as_str() {
            "state" => {
                let partial = data.get("partial");
                self.streaming = partial.map(|partial| {
                    let text = partial["text"].as_str().unwrap().to_owned();
                    let next = partial["index"].as_u64().unwrap() + 1;
                    (partial["messageId"].clone(), text, next)
                });
            }
            "messageStreamChunk" => {
                let index = data["index"].as_u64().unwrap();
                if index == 0 {
                    self.streaming = Some((data["messageId"].clone(), String::new(), 0));
                }
                let (id, text, next) = self.streaming.as_mut().expect("a known beginning");
                assert_eq!(
                    (&*id, *next),
                    (&data["messageId"], index),
                    "no gap, no repeat"
                );
                text.push_str(data["chunk"].as_str().unwrap());
                *next += 1;
            }
            "messageBroadcast" if data["source"] == "agent_response" => {
                let text = data["text"].as_str().unwrap().to_owned();
                if let Some((id, streamed, _)) = self.streaming.take() {
                    assert_eq!((&id, &streamed), (&data["id"], &text));
                }
                self.replies.push(text);
            }
            _ => {}
        }
    }
}

async fn cancel(server: &Server, session: &str) {
    good(server.http.post(server.at(session, "/cancel"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_joins_in_the_middle_gets_the_text_so_far_and_then_the_rest() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    let mut first = server.follow_live(&session).await;
    server
        .send(&session, "say One, | say two, | wait 1000 | say three.")
        .await;
    let chunk = first
        .until(|event| event.text("chunk") == "two,")
        .await
        .pop()
        .unwrap();

    let mut late = server.follow(&session).await;
    let state = late.expect("state").await;
    assert_eq!(
        state.data["partial"],
        json!({ "messageId": chunk.data["messageId"], "text": "One,two,", "index": 1 })
    );
    assert_eq!(state.data["inputEnabled"], false);
    server.millis_pass(1000).await;
    let rest = late.until_idle().await;
    assert_eq!(rest[0].data["index"], 2);
    assert_eq!(rest[0].text("chunk"), "three.");

    let mut after = server.follow(&session).await;
    let state = after.expect("state").await;
    assert_eq!(state.data.get("partial"), None);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_without_chunks_so_far_is_not_partial() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    server.send(&session, "hold").await;
    let mut reader = server.follow(&session).await;
    let state = reader.expect("state").await;
    assert_eq!(state.data["inputEnabled"], false);
    assert_eq!(state.data.get("partial"), None);
    server.stop().await;
}

/// Readers that join at any moment of many replies see each whole, without a gap or a repeat.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_join_at_any_moment_miss_and_repeat_nothing() {
    const TURNS: usize = 8;
    const READERS: usize = 60;
    let server = Server::in_real_time(&[]).await;
    let session = server.create_plain().await;
    let script: Vec<_> = (0..60)
        .map(|n| format!("say {n}. | wait {}", n % 3))
        .collect();
    let script = script.join(" | ");
    let writer = async {
        for _ in 0..TURNS {
            server.ask(&session, &script).await;
        }
        good(server.http.delete(server.at(&session, ""))).await;
    };
    let readers = async {
        let mut tasks = Vec::new();
        for number in 0..READERS {
            let mut reader: Reader = server.follow(&session).await;
            tasks.push(tokio::spawn(async move {
                let mut screen = Screen::default();
                while let Some(event) = reader.next().await {
                    screen.apply(&event);
                }
                (number, screen)
            }));
            tokio::time::sleep(std::time::Duration::from_millis(7)).await;
        }
        tasks
    };
    let ((), tasks) = tokio::join!(writer, readers);
    let whole = (0..60)
        .map(|n| format!("{n}."))
        .collect::<Vec<_>>()
        .concat();
    let mut joined_in_the_middle = 0;
    for task in tasks {
        let (number, screen) = task.await.unwrap();
        assert!(
            screen.replies.iter().all(|reply| *reply == whole),
            "{number}"
        );
        joined_in_the_middle += usize::from(screen.replies.len() < TURNS);
    }
    assert!(joined_in_the_middle > READERS / 2, "{joined_in_the_middle}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_receives_the_stored_part_as_a_reply_and_the_input_once() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    let mut reader = server.follow_live(&session).await;
    server.send(&session, "say Half | hold").await;
    reader.until(Event::is_chunk).await;
    server.send(&session, "say never").await;
    reader.until(Event::is_broadcast).await;
    cancel(&server, &session).await;
    let events = reader.until_idle().await;
    assert_eq!(
        summaries(&events),
        [
            "messageBroadcast: Half",
            "messageComplete",
            "messageStreamError",
            "messageComplete",
            "enable_input",
        ]
    );
    assert_eq!(events[0].data["metadata"]["interrupted"], true);
    assert_eq!(events[2].data["reason"], "cancelled");
    assert_eq!(events[2].data.get("partialText"), None);
    cancel(&server, &session).await;
    reader.stays_silent().await;

    let body = json!({ "content": "say Gone | hold" });
    good(server.sending(&session, &body)).await;
    reader.until(Event::is_chunk).await;
    let dropped = json!({ "keepPartial": false });
    good(
        server
            .http
            .post(server.at(&session, "/cancel"))
            .json(&dropped),
    )
    .await;
    let events = reader.until_idle().await;
    assert_eq!(
        summaries(&events),
        ["messageStreamError", "messageComplete", "enable_input"]
    );
    assert_eq!(events[0].data["partialText"], "Gone");
    server.stop().await;
}
