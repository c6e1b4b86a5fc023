//! Erasing everything of a user, which takes several transactions, and crashes between them.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;
use serde_json::json;
use uuid::Uuid;

use super::api::{Answer, Api, Lost, answer, text};
use super::client::Client;
use super::durability::{audit, check_file, clients};
use super::rng::{self, Rng};
use super::support::server::Server;

/// The number of the user's sessions: at least five transactions.
const SESSIONS: usize = 400;

/// Each of this many sessions has a message.
const WITH_MESSAGE: usize = 20;

/// The number of other clients.
const OTHERS: u32 = 2;

/// How many calls fill the user's sessions at once.
const CONCURRENCY: usize = 40;

/// The minimum number of crashes, and the maximum until one has interrupted the erasure half-way.
const ROUNDS: Range<u32> = 3..30;

/// The user whose data is erased, and what the server acknowledged of it.
struct Person {
    user: String,
    sessions: Vec<Stored>,
    /// The number of keys that were used.
    keys: usize,
}

struct Stored {
    id: String,
    key: String,
    /// The content of its message.
    message: Option<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_erasure_of_a_user_is_completed_by_its_repeat() {
    let seed = rng::seed();
    eprintln!("{}={seed} makes the same choices again", rng::SEED);
    let mut rng = Rng::new(seed);
    let mut server = Server::start();
    let mut others = clients(&server, seed, OTHERS).await;
    let mut person = Person {
        user: Uuid::new_v4().to_string(),
        sessions: Vec::new(),
        keys: 0,
    };
    let (mut longest, mut partial) = (100, 0);
    for round in 0..ROUNDS.end {
        if round >= ROUNDS.start && partial > 0 {
            break;
        }
        person.fill(&Api::new(server.url())).await;
        let killed_after = Duration::from_millis(rng.below(longest));
        let answered;
        (others, answered) = interrupt(&mut server, others, &person.user, killed_after).await;
        server.restart();

        let api = Api::new(server.url());
        let all = person.sessions.len();
        let left = person.left(&api).await;
        eprintln!("killed after {killed_after:?}: answered {answered:?}, {left} of {all} left");
        match &answered {
            Some((deleted, elapsed)) => {
                assert_eq!((*deleted, left), (all, 0), "it was answered");
                longest = u64::try_from(elapsed.as_millis()).unwrap_or(longest).max(4);
            }
            // It was hardly begun.
            None if left == all => longest *= 2,
            None => partial += u32::from(left > 0),
        }
        if left < all {
            person.repeat(&api, left).await;
        }
        audit(&mut others, &api).await;
    }
    assert!(partial > 0, "no crash interrupted the erasure half-way");

    let api = Api::new(server.url());
    person.repeat(&api, person.sessions.len()).await;
    let found = audit(&mut others, &api).await;
    assert!(server.terminate().success(), "{}", server.log());
    check_file(&server, found.sessions + person.sessions.len() as u64).await;
}

/// Kills the server that long after an erasure began, while the other clients call. Returns them,
/// and the answer, if there was one: the number of erased sessions, and how long it took.
async fn interrupt(
    server: &mut Server,
    others: Vec<Client>,
    user: &str,
    after: Duration,
) -> (Vec<Client>, Option<(usize, Duration)>) {
    let api = Api::new(server.url());
    let killed = Arc::new(AtomicBool::new(false));
    let others: Vec<_> = others
        .into_iter()
        .map(|client| tokio::spawn(client.run(api.clone(), Arc::clone(&killed))))
        .collect();
    let user = user.to_owned();
    let erasure = tokio::spawn(async move {
        let since = Instant::now();
        (api.erase_user(&user).await, since.elapsed())
    });
    tokio::time::sleep(after).await;
    killed.store(true, Ordering::SeqCst);
    server.kill9();
    let (erased, elapsed) = erasure.await.expect("the call ends");
    let others = join_all(others).await.into_iter();
    let others = others.map(|client| client.expect("a client received an unexpected answer"));
    let deleted = erased.ok().map(deleted);
    (others.collect(), deleted.map(|deleted| (deleted, elapsed)))
}

fn deleted(erased: Answer) -> usize {
    let body = erased.expect(200);
    let deleted = body["deleted"].as_u64().expect("a number");
    usize::try_from(deleted).expect("a few")
}

impl Person {
    /// Creates the missing sessions, some of them with a message.
    async fn fill(&mut self, api: &Api) {
        let missing = SESSIONS.saturating_sub(self.sessions.len());
        let numbers = self.keys..self.keys + missing;
        self.keys += missing;
        let user = &self.user;
        let created: Vec<_> = stream::iter(numbers)
            .map(|number| create(api, user, number))
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        let created = created.into_iter();
        self.sessions
            .extend(created.map(|it| it.expect("the server is running")));
    }

    /// Checks that each session is there completely or gone, and forgets those that are gone.
    /// Returns how many are left.
    async fn left(&mut self, api: &Api) -> usize {
        let live = "the server is running";
        let mut listed = HashSet::new();
        let path = format!("?userId={}&status=all&limit=1000", self.user);
        let page = api.get(&path).await.expect(live).expect(200);
        for session in page["sessions"].as_array().expect("a list") {
            listed.insert(text(session, "sessionId"));
        }
        assert_eq!(page["total"], listed.len());
        let sessions = std::mem::take(&mut self.sessions);
        for session in sessions {
            let is_listed = listed.remove(&session.id);
            let history = api.get(&format!("/{}/messages", session.id)).await;
            let history = history.expect(live);
            if !is_listed {
                assert_eq!(history.status, 404, "{} was erased", session.id);
                continue;
            }
            let history = history.expect(200);
            let messages = history["messages"].as_array().expect("a list");
            let first = messages.last().map(|it| text(it, "content"));
            assert_eq!(first, session.message, "{}", session.id);
            self.sessions.push(session);
        }
        assert!(listed.is_empty(), "no client created {listed:?}");
        self.sessions.len()
    }

    /// Erases what is left, and checks that nothing is.
    async fn repeat(&mut self, api: &Api, left: usize) {
        let live = "the server is running";
        let erased = api.erase_user(&self.user).await.expect(live);
        assert_eq!(deleted(erased), left);
        let key = self.sessions.first().map(|session| session.key.clone());
        assert_eq!(self.left(api).await, 0);
        let erased = api.erase_user(&self.user).await.expect(live);
        assert_eq!(deleted(erased), 0);
        // A key of an erased session is free again.
        if let Some(key) = key {
            let request = api.create(&self.user).header("Idempotency-Key", &key);
            let created = answer(request).await.expect(live);
            assert!(!created.is_replayed);
            let id = text(&created.expect(201), "sessionId");
            let message = None;
            self.sessions.push(Stored { id, key, message });
        }
    }
}

async fn create(api: &Api, user: &str, number: usize) -> Result<Stored, Lost> {
    let key = format!("create-{number}");
    let request = api.create(user).header("Idempotency-Key", &key);
    let id = text(&answer(request).await?.expect(201), "sessionId");
    let has_message = number.is_multiple_of(WITH_MESSAGE);
    let message = has_message.then(|| format!("message {number}"));
    if let Some(content) = &message {
        let body = json!({ "content": content, "transport": "http" });
        answer(api.post(&format!("/{id}/messages"), &body))
            .await?
            .expect(201);
    }
    Ok(Stored { id, key, message })
}
