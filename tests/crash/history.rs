//! Checks that the answers to concurrent clients are linearizable.
//!
//! Some clients call on few sessions and record when each call began, when its answer arrived, and
//! what it was. The calls of a session are then put into an order in which each takes effect at one
//! instant between its beginning and its answer, and in which a simple model of a session gives the
//! same answers. Calls whose answers were lost in a crash may have had their effect or not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::{Api, Lost, answer, number, text};
use super::order::{self, Answer, Call, Event};
use super::rng::{self, Rng};
use super::support::server::Server;

const CLIENTS: u64 = 6;
const SESSIONS: usize = 2;

/// The minimum number of crashes, and the maximum that a slow machine needs for a sufficient
/// history.
const ROUNDS: std::ops::Range<u32> = 4..60;

/// The number of calls per session that make a sufficient history.
const ENOUGH: usize = 30;

/// The time before the server is killed, in milliseconds.
const LONGEST_ROUND: u64 = 120;

/// Few keys, so that sends repeat each other.
const KEYS: u64 = 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_to_concurrent_clients_are_linearizable() {
    let seed = rng::seed();
    eprintln!("{}={seed} makes the same choices again", rng::SEED);
    let mut rng = Rng::new(seed);
    let mut server = Server::start();
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let user = Uuid::new_v4().to_string();
        let api = Api::new(server.url());
        let session = answer(api.create(&user))
            .await
            .expect("the server is running")
            .expect(201);
        let id = text(&session, "sessionId");
        let lines = api.export(&id).await.expect("the server is running");
        sessions.push(Known { id, user, lines });
    }
    let clock = Arc::new(order::Ticks::default());
    let mut histories: Vec<Vec<Event>> = vec![Vec::new(); SESSIONS];
    for round in 0..ROUNDS.end {
        let is_enough = histories.iter().all(|history| history.len() >= ENOUGH);
        if round >= ROUNDS.start && is_enough {
            break;
        }
        let stopped = Arc::new(AtomicBool::new(false));
        let running: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let client = Client {
                    api: Api::new(server.url()),
                    rng: Rng::new(rng.next()),
                    sessions: sessions.clone(),
                    clock: Arc::clone(&clock),
                    seen: Vec::new(),
                    may_erase: is_enough || round + 1 >= ROUNDS.start,
                };
                tokio::spawn(client.run(Arc::clone(&stopped)))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(20 + rng.below(LONGEST_ROUND))).await;
        stopped.store(true, Ordering::SeqCst);
        server.kill9();
        for seen in join_all(running).await {
            for (session, event) in seen.expect("a client received an unexpected answer") {
                histories[session].push(event);
            }
        }
        server.restart();
    }
    // The final state is an answer, too.
    let mut last = Client {
        api: Api::new(server.url()),
        rng: Rng::new(seed),
        sessions: sessions.clone(),
        clock,
        seen: Vec::new(),
        may_erase: false,
    };
    for session in 0..SESSIONS {
        last.call(session, Call::List)
            .await
            .expect("the server is running");
        last.call(session, Call::Show)
            .await
            .expect("the server is running");
    }
    for (session, event) in last.seen {
        histories[session].push(event);
    }
    for history in &histories {
        let unheard = history
            .iter()
            .filter(|event| event.answer.is_none())
            .count();
        let imported = history
            .iter()
            .filter(|event| event.answer == Some(Answer::Imported))
            .count();
        eprintln!(
            "{} calls, {unheard} without an answer, imported {imported} times",
            history.len()
        );
        assert!(history.len() >= ENOUGH, "the history is too short");
        if let Err(stuck) = order::explain(history) {
            panic!("{}={seed}: no order explains it: {stuck}", rng::SEED);
        }
    }
}

/// A session that was created.
#[derive(Clone)]
struct Known {
    id: String,
    user: String,
    /// Its export at that time.
    lines: String,
}

struct Client {
    api: Api,
    rng: Rng,
    sessions: Vec<Known>,
    clock: Arc<order::Ticks>,
    seen: Vec<(usize, Event)>,
    may_erase: bool,
}

impl Client {
    async fn run(mut self, stopped: Arc<AtomicBool>) -> Vec<(usize, Event)> {
        while !stopped.load(Ordering::SeqCst) {
            let session = usize::try_from(self.rng.below(SESSIONS as u64)).expect("a few");
            let call = match self.rng.below(13) {
                0 if self.may_erase && self.rng.below(4) == 0 => Call::EraseUser,
                1 if self.may_erase && self.rng.below(3) == 0 => Call::Import,
                0..5 => Call::Send(self.rng.below(KEYS)),
                5 => Call::Heartbeat,
                6 => Call::Renew,
                7 => Call::Show,
                8 | 9 => Call::Cancel,
                10 => Call::Label(self.clock.next()),
                _ => Call::List,
            };
            if self.call(session, call).await.is_err() {
                break;
            }
        }
        self.seen
    }

    async fn call(&mut self, session: usize, call: Call) -> Result<(), Lost> {
        let began = self.clock.next();
        let heard = self.ask(&self.sessions[session], call).await;
        let event = Event {
            call,
            began,
            ended: self.clock.next(),
            answer: heard.as_ref().ok().cloned(),
        };
        self.seen.push((session, event));
        heard.map(|_| ())
    }

    async fn ask(&self, session: &Known, call: Call) -> Result<Answer, Lost> {
        let Known { id, user, lines } = session;
        let plain = |method, path: &str| self.api.request(method, &format!("/{id}{path}"));
        let request = match call {
            Call::Send(key) => self
                .api
                .post(
                    &format!("/{id}/messages"),
                    &json!({ "content": format!("word {key}") }),
                )
                .header("Idempotency-Key", format!("key-{key}")),
            Call::Heartbeat => plain(Method::POST, "/heartbeat"),
            Call::Renew => plain(Method::POST, "/renew"),
            Call::Cancel => plain(Method::POST, "/cancel"),
            Call::Label(label) => {
                plain(Method::PATCH, "").json(&json!({ "metadata": { "label": label } }))
            }
            Call::Show => plain(Method::GET, ""),
            Call::List => plain(Method::GET, "/messages?limit=100"),
            Call::EraseUser => self.api.request(Method::DELETE, &format!("?userId={user}")),
            Call::Import => self.api.import(lines),
        };
        let answered = answer(request).await?;
        let body = &answered.body;
        Ok(match (answered.status, call) {
            (429, Call::Send(_)) | (503, Call::Import) => Answer::Busy,
            (201, Call::Send(_)) => Answer::Sent {
                id: text(&body["userMessage"], "id"),
                is_replayed: answered.is_replayed,
                renewals: number(&body["sessionStatus"], "renewalCount"),
            },
            (201, Call::Import) => Answer::Imported,
            (409, Call::Import) => Answer::Exists,
            (200, Call::EraseUser) => Answer::Erased(number(body, "deleted")),
            (404, _) => Answer::Gone,
            (200, Call::List) => Answer::Messages(messages(body)),
            (200, Call::Cancel) => Answer::Cancelled(ids(&body["cancelled"])),
            (200, _) => Answer::Session(
                number(body, "renewalCount"),
                body["metadata"]["label"].as_u64().unwrap_or(0),
            ),
            other => panic!("{other:?}: {body}"),
        })
    }
}

fn ids(list: &Value) -> Vec<String> {
    serde_json::from_value(list.clone()).expect("a list of ids")
}

/// Returns the user's messages, oldest first.
fn messages(body: &Value) -> Vec<String> {
    let list = body["messages"].as_array().expect("a list");
    assert_eq!(body["hasMore"], false, "more than a page");
    let own = list.iter().filter(|message| message["isAgent"] == false);
    own.rev().map(|message| text(message, "id")).collect()
}
