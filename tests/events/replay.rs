//! The transition from replayed to live events loses and duplicates nothing.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::reader::{Event, Reader, messages_of};
use crate::server::{Server, open};

const WRITING: Duration = Duration::from_millis(1500);
const READERS: u64 = 6;

/// Returns the seed of the run: `EVENTS_SEED`, else a new one.
fn seed() -> u64 {
    let given = std::env::var("EVENTS_SEED").ok();
    given.map_or_else(
        || RandomState::new().hash_one(0),
        |text| text.parse().expect("EVENTS_SEED is a number"),
    )
}

/// A random number generator (xorshift64*).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

/// How a client sends its last event id.
#[derive(Debug, Clone, Copy)]
enum Resume {
    Header,
    Parameter,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_that_drop_their_connections_at_random_get_every_message_once() {
    let seed = seed();
    println!("EVENTS_SEED={seed}");
    let server = Arc::new(Server::in_real_time(&[]).await);
    let session: Arc<str> = server.create_plain().await.into();
    let finished = CancellationToken::new();

    let steady = server.follow_live(&session).await;
    let steady = tokio::spawn(listen_until(steady, finished.clone()));
    let readers: Vec<_> = (0..READERS)
        .map(|number| {
            let server = Arc::clone(&server);
            let (session, finished) = (Arc::clone(&session), finished.clone());
            let random = Random::new(seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            let resume = match number % 2 {
                0 => Resume::Header,
                _ => Resume::Parameter,
            };
            tokio::spawn(async move {
                drop_and_resume(&server, &session, finished, random, resume).await
            })
        })
        .collect();

    let sent = write(&server, &session).await;
    let history = wait_for_replies(&server, &session, sent).await;
    finished.cancel();
    for (number, reader) in readers.into_iter().enumerate() {
        let (messages, connections) = reader.await.unwrap();
        assert_same(&messages, &history, &format!("reader {number}"));
        assert!(
            connections > 5,
            "reader {number} had {connections} connections"
        );
    }
    let events = steady.await.unwrap();
    assert_same(&messages_of(&events), &history, "the steady reader");
    assert_in_order(&events);
}

/// Sends messages concurrently. Returns how many were accepted.
async fn write(server: &Arc<Server>, session: &Arc<str>) -> usize {
    let start = Instant::now();
    let writers = (0..3).map(|writer| {
        let (server, session) = (Arc::clone(server), Arc::clone(session));
        tokio::spawn(async move {
            let mut sent = 0;
            for number in 0.. {
                if start.elapsed() > WRITING {
                    break;
                }
                let content = match number % 4 {
                    0 => format!("{writer}/{number}"),
                    1 => format!("say {writer} | say /{number}"),
                    2 => "say some | fail".to_owned(),
                    _ => format!("wait 1 | say {writer}/{number}"),
                };
                let response = server.sending(&session, &json!({ "content": content }));
                let response = response.send().await.unwrap();
                match response.status().as_u16() {
                    201 => sent += 1,
                    // The session has the most open turns.
                    429 => tokio::time::sleep(Duration::from_millis(5)).await,
                    other => panic!("{other}: {:?}", response.text().await),
                }
            }
            sent
        })
    });
    let mut sent = 0;
    for writer in writers.collect::<Vec<_>>() {
        sent += writer.await.unwrap();
    }
    assert!(sent > 20, "only {sent} messages were sent");
    sent
}

/// Returns the history once the session is idle.
async fn wait_for_replies(server: &Server, session: &str, sent: usize) -> Vec<Value> {
    for _ in 0..1000 {
        let state = server.follow(session).await.expect("state").await;
        if state.data["inputEnabled"] == true {
            let history = server.history(session).await;
            assert!(history.len() > sent && history.len() <= 2 * sent);
            return history;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the turns did not end");
}

/// Returns all events of one connection until the run is finished.
async fn listen_until(mut reader: Reader, finished: CancellationToken) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(event) = finished.run_until_cancelled(reader.next()).await {
        events.push(event.expect("the stream stays open"));
    }
    // Events that are still buffered.
    while let Ok(event) = timeout(Duration::from_millis(500), reader.next()).await {
        events.push(event.expect("the stream stays open"));
    }
    events
}

/// Reads for random times with a new connection each. Returns all messages and the number of
/// connections.
async fn drop_and_resume(
    server: &Server,
    session: &str,
    finished: CancellationToken,
    mut random: Random,
    resume: Resume,
) -> (Vec<Value>, usize) {
    let mut last_id = "0".to_owned();
    let mut messages = Vec::new();
    for connection in 1.. {
        let is_last = finished.is_cancelled();
        let request = match resume {
            Resume::Header => server
                .following(session, "")
                .header("last-event-id", &last_id),
            Resume::Parameter => server.following(session, &format!("?after={last_id}")),
        };
        let mut reader = open(request).await;
        let mut states = 0;
        let limit = Duration::from_millis(random.below(90));
        let mut events_left = random.below(60);
        // The last connection reads the replay of the rest, up to the state.
        while if is_last {
            states == 0
        } else {
            events_left > 0
        } {
            let next = async {
                if is_last {
                    return Ok(reader.next().await);
                }
                timeout(limit, reader.next()).await
            };
            let Ok(event) = next.await else { break };
            let event = event.expect("the stream stays open");
            if event.is_broadcast() {
                messages.extend(messages_of(std::slice::from_ref(&event)));
            } else if states == 0 {
                assert_eq!(event.name, "state", "the replay comes before the state");
            }
            if event.name == "state" {
                states += 1;
                assert_eq!(states, 1, "one state");
                // A browser resumes from this id, so it must not skip a message.
                assert_eq!(event.id.as_ref(), Some(&last_event(&event, &messages)));
            }
            if let Some(id) = event.id {
                last_id = id;
            }
            events_left = events_left.saturating_sub(1);
        }
        drop(reader);
        if is_last {
            return (messages, connection);
        }
        tokio::time::sleep(Duration::from_millis(random.below(30))).await;
    }
    unreachable!("connections are endless");
}

/// Returns the id that the state must have: that of the newest message.
fn last_event(state: &Event, received: &[Value]) -> String {
    assert!(state.data["expiresAt"].is_string());
    let newest = received
        .last()
        .map_or(json!(0), |message| message["createdAt"].clone());
    newest.to_string()
}

fn assert_same(received: &[Value], history: &[Value], who: &str) {
    let ids: HashSet<_> = received
        .iter()
        .map(|message| message["id"].to_string())
        .collect();
    assert_eq!(ids.len(), received.len(), "{who} received messages twice");
    let lost = |message: &&Value| !ids.contains(&message["id"].to_string());
    let lost: Vec<_> = history.iter().filter(lost).collect();
    assert!(lost.is_empty(), "{who} did not receive {lost:?}");
    assert_eq!(received, history, "{who}");
}

/// Checks the order of the events of each turn.
fn assert_in_order(events: &[Event]) {
    let mut input_enabled = true;
    let mut open: Vec<&str> = Vec::new();
    let mut chunks: HashMap<&str, String> = HashMap::new();
    let mut running = None;
    let mut ended = false;
    for event in events {
        let was_ended = std::mem::take(&mut ended);
        assert_eq!(was_ended, event.name == "messageComplete", "{event:?}");
        match event.name.as_str() {
            "messageBroadcast" if event.text("source") == "user" => open.push(event.text("id")),
            "messageBroadcast" => {
                assert_eq!(open.remove(0), event.text("inReplyTo"), "in order");
                let id = running.take();
                assert_eq!(
                    id,
                    Some(event.text("id")),
                    "chunks come before their message"
                );
                let streamed = chunks.remove(event.text("id"));
                assert_eq!(streamed.as_deref(), Some(event.text("text")));
                ended = true;
            }
            "messageStreamChunk" => {
                assert!(
                    !input_enabled && !open.is_empty(),
                    "a chunk came before its message"
                );
                let id = *running.get_or_insert(event.text("messageId"));
                assert_eq!(id, event.text("messageId"), "one turn at a time");
                chunks.entry(id).or_default().push_str(event.text("chunk"));
            }
            "messageStreamError" => {
                open.remove(0);
                let id = running.take().unwrap_or_default();
                assert_eq!(
                    chunks.remove(id).as_deref(),
                    event.data["partialText"].as_str()
                );
                ended = true;
            }
            "messageComplete" => {}
            "controlMessage" => {
                input_enabled = event.text("action") == "enable_input";
                assert_eq!(open.is_empty(), input_enabled, "{event:?}");
            }
            other => panic!("unexpected {other}"),
        }
    }
    assert!(input_enabled && open.is_empty());
}
