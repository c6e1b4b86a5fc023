//! What the sockets hear comes in its order, however fast it happens.

use std::collections::HashMap;

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{ELIZA, Events, Server, at};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_piece_of_a_reply_comes_before_the_message_that_it_answers() {
    let server = Server::start().await;
    let session = server
        .session_with(json!({ "agentId": ELIZA, "timeoutConfig": { "autoRenew": false } }))
        .await;
    let request = server.request(reqwest::Method::GET, &at(&session, "/events"));
    let mut events = Events::open(request).await;
    events.expect("state").await;
    // What was heard so far, by the number of the event.
    let mut number = 0;
    let mut told = HashMap::new();
    let mut begun = HashMap::new();
    for _ in 0..60 {
        // As one lane is about to leave, the next message comes.
        let sends = (0..3).map(|_| server.tell(&session, "I feel fine."));
        join_all(sends).await;
        loop {
            let (name, data) = events.next().await.expect("there is more");
            number += 1;
            match name.as_str() {
                "messageStreamChunk" => {
                    let reply = data["messageId"].as_str().unwrap().to_owned();
                    begun.entry(reply).or_insert(number);
                }
                "messageBroadcast" => {
                    let id = data["id"].as_str().unwrap().to_owned();
                    if let Some(answered) = data["inReplyTo"].as_str() {
                        assert!(told[answered] < begun[&id], "{data}");
                    }
                    told.insert(id, number);
                }
                "controlMessage" if data["action"] == "enable_input" => break,
                _ => {}
            }
        }
    }
    drop(events);
    server.stop().await;
}
