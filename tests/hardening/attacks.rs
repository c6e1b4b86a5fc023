//! Attacks on the server's memory and connections: each is bounded, and other clients are answered
//! meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::raw::Raw;
use crate::support::server::{Builder, Server};

const MIB: usize = 1024 * 1024;

const MAX_CONNECTIONS: usize = 200;

const ELIZA: &str = "b850bc30-45f8-0041-a00a-83df46d8555d";
const USER: &str = "3c90c3cc-0d44-4b50-8888-8dd25736052a";
const SESSIONS: &str = "/api/messaging/sessions";

/// The longest duration of an attack.
const ATTACK: Duration = Duration::from_secs(4);

/// The longest duration of an Engine.IO handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How soon memory is released.
const SOON: Duration = Duration::from_secs(20);

/// Each attack keeps the machine busy.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

fn server() -> Builder {
    Server::builder().env("MAX_CONNECTIONS", MAX_CONNECTIONS.to_string())
}

fn guarded() -> Builder {
    server().env("SESSIOND_ADMIN_TOKEN", "an-admin-token-of-the-tests")
}

/// A line of `/proc/PID/status`, in bytes.
fn memory(server: &Server, name: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let kibibytes: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kibibytes * 1024
}

fn peak(server: &Server) -> usize {
    memory(server, "VmHWM:")
}

fn resident(server: &Server) -> usize {
    memory(server, "VmRSS:")
}

/// Waits until the server has released its memory. The allocator does that when it is used, for the
/// thread and the sizes of that use.
async fn shrinks_to(server: &Server, limit: usize) {
    let begun = Instant::now();
    while resident(server) > limit {
        let uses = (0..4).map(|_| accepts_large_body(server));
        assert!(
            futures_util::future::join_all(uses)
                .await
                .into_iter()
                .all(|it| it)
        );
        let resident = resident(server) / MIB;
        assert!(begun.elapsed() < SOON, "{resident} MiB are not released");
        sleep(Duration::from_millis(100)).await;
    }
}

/// Runs an attack, while a well-behaved client gets its responses within a second. On a busy
/// machine one in ten may take longer.
async fn unharmed(server: &Arc<Server>, attack: impl Future<Output = ()>) {
    let mut waits = Vec::new();
    let asking = async {
        loop {
            let begun = Instant::now();
            let mut client = Raw::open(server).await;
            let answer = client.get("/healthz", "connection: close\r\n").await;
            let answer = answer.expect("it is answered");
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            waits.push(begun.elapsed());
            sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = attack => {}
        () = asking => {}
    }
    waits.sort();
    assert!(!waits.is_empty(), "no request was answered");
    let most = waits[waits.len() * 9 / 10];
    assert!(most < Duration::from_secs(1), "{waits:?}");
}

async fn post(server: &Server, path: &str, body: &Value) -> Value {
    // Required by the TLS support, which no test uses.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let request = reqwest::Client::new().post(server.at(path)).json(body);
    let response = request.send().await.expect("the server answers");
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status, 201, "{text}");
    serde_json::from_str(&text).unwrap()
}

async fn create(server: &Server) -> String {
    let body = json!({ "agentId": ELIZA, "userId": USER });
    let session = post(server, SESSIONS, &body).await;
    session["sessionId"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_by_polling_take_bounded_memory() {
    const CLIENTS: usize = 20;
    const HANDSHAKES: usize = 500;

    let _turn = ONE_AT_A_TIME.lock().await;
    let server = Arc::new(guarded().start());
    let before = resident(&server);
    let header = format!("x-header: {}\r\n", "x".repeat(60_000));
    let attack = async {
        let mut attackers = JoinSet::new();
        for _ in 0..CLIENTS {
            let (server, header) = (Arc::clone(&server), header.clone());
            attackers.spawn(async move {
                let begun = Instant::now();
                let mut client = Raw::open(&server).await;
                for _ in 0..HANDSHAKES {
                    let path = "/socket.io/?EIO=4&transport=polling";
                    let opened = client.get(path, &header).await.expect("it is answered");
                    assert!(opened.starts_with("HTTP/1.1 200 "), "{opened}");
                    if begun.elapsed() > ATTACK {
                        break;
                    }
                }
            });
        }
        attackers.join_all().await;
    };
    unharmed(&server, attack).await;
    let peak = peak(&server) - before;
    assert!(peak < 96 * MIB, "{} MiB", peak / MIB);
    shrinks_to(&server, before + 64 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_of_too_many_handshakes_is_evicted() {
    let server = guarded().start();
    let mut client = Raw::open(&server).await;
    let mut sids = Vec::new();
    for _ in 0..=MAX_CONNECTIONS / 4 {
        let path = "/socket.io/?EIO=4&transport=polling";
        let opened = client.get(path, "").await.unwrap();
        let (_, sid) = opened.split_once("\"sid\":\"").unwrap();
        sids.push(sid[..16].to_owned());
    }
    let poll = async |sid: &str| {
        let mut client = Raw::open(&server).await;
        // A CONNECT without credentials is answered if the session exists.
        let path = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
        let body = "content-length: 2\r\n\r\n40";
        client.head(&format!("POST {path}"), body).await;
        let answer = client.read_until(|text| text.contains("\r\n\r\n")).await;
        answer.unwrap()
    };
    assert!(poll(&sids[0]).await.starts_with("HTTP/1.1 400 "));
    for sid in &sids[1..] {
        assert!(poll(sid).await.starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_sockets_lock_no_one_out() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let server = Arc::new(guarded().start());
    let attack = async {
        let mut sockets = Vec::new();
        for _ in 0..MAX_CONNECTIONS + 50 {
            let mut socket = Raw::open(&server).await;
            assert!(socket.upgrade().await, "it is upgraded");
            sockets.push(socket);
        }
        assert!(sockets[0].ends_within(Duration::from_secs(5)).await);
        let youngest = sockets.last_mut().unwrap();
        assert!(!youngest.ends_within(Duration::from_secs(1)).await);
    };
    unharmed(&server, attack).await;
}

/// Without authentication, a socket is idle until it joins a room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_sockets_outside_of_rooms_are_evicted() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let server = Arc::new(server().start());
    let session = create(&server).await;
    let attack = async {
        let mut member = Raw::open(&server).await;
        assert!(member.upgrade().await && member.connect().await);
        let join = format!("42{}", json!(["join", { "roomId": session }]));
        assert!(member.text(&join).await);
        let joined = member.read_until(|text| text.contains("room_joined"));
        assert!(joined.await.is_some());
        let mut sockets = Vec::new();
        for _ in 0..MAX_CONNECTIONS + 50 {
            let mut socket = Raw::open(&server).await;
            assert!(socket.upgrade().await && socket.connect().await);
            sockets.push(socket);
        }
        assert!(sockets[0].ends_within(Duration::from_secs(5)).await);
        assert!(!member.ends_within(Duration::from_secs(1)).await);
    };
    unharmed(&server, attack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incomplete_handshake_ends_after_ten_seconds_and_a_connected_socket_stays() {
    let server = guarded().start();
    let open = self::server().start();
    let mut silent = Raw::open(&server).await;
    assert!(silent.upgrade().await);
    let mut refused = Raw::open(&server).await;
    assert!(refused.upgrade().await && refused.text("40").await);
    let notified = refused.read_until(|text| text.contains("Credentials are missing or wrong"));
    assert!(notified.await.is_some());
    let mut idle = Raw::open(&open).await;
    assert!(idle.upgrade().await && idle.connect().await);
    let begun = Instant::now();
    assert!(silent.ends_within(HANDSHAKE * 3 / 2).await);
    assert!(begun.elapsed() > HANDSHAKE / 2);
    assert!(refused.ends_within(HANDSHAKE).await);
    assert!(
        !idle.ends_within(Duration::from_secs(2)).await,
        "it is connected"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_that_never_read_take_bounded_memory_and_release_it() {
    const SOCKETS: usize = 60;
    const MESSAGES: usize = 160;

    let _turn = ONE_AT_A_TIME.lock().await;
    let server = Arc::new(server().start());
    let session = create(&server).await;
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        let mut socket = Raw::open(&server).await;
        assert!(socket.upgrade().await && socket.connect().await);
        let join = format!("42{}", json!(["join", { "roomId": session }]));
        assert!(socket.text(&join).await);
        let joined = socket.read_until(|text| text.contains("room_joined"));
        assert!(joined.await.is_some());
        sockets.push(socket);
    }
    let before = resident(&server);
    let content = "x".repeat(60_000);
    let attack = async {
        for _ in 0..MESSAGES {
            let reply = json!({ "channel_id": session, "author_id": ELIZA, "content": content });
            post(&server, "/api/messaging/submit", &reply).await;
        }
    };
    unharmed(&server, attack).await;
    let peak = peak(&server) - before;
    assert!(peak < (SOCKETS + 40) * MIB, "{} MiB", peak / MIB);
    shrinks_to(&server, before + 40 * MIB).await;
    drop(sockets);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_bodies_take_bounded_memory_and_others_get_the_reason() {
    /// A few more than fit.
    const SENDERS: usize = 70;
    const SENT: usize = 2 * MIB - 1;

    // Enough that no connection is evicted.
    let _turn = ONE_AT_A_TIME.lock().await;
    let server = server().env("MAX_CONNECTIONS", "400");
    let server = Arc::new(server.start());
    let before = resident(&server);
    let announced = format!("content-length: {}\r\n", SENT + 1);
    let attack = async {
        // A sender that announces much but sends little reserves little.
        let mut silent = Vec::new();
        for _ in 0..SENDERS {
            let mut sender = Raw::open(&server).await;
            assert!(sender.head(&format!("POST {SESSIONS}"), &announced).await);
            assert!(sender.send(b"{").await);
            silent.push(sender);
        }
        create(&server).await;
        let part = vec![b' '; SENT];
        let mut senders = Vec::new();
        let begun = Instant::now();
        while senders.len() < SENDERS || accepts_large_body(&server).await {
            assert!(begun.elapsed() < SOON, "memory is not bounded");
            let mut sender = Raw::open(&server).await;
            sender.head(&format!("POST {SESSIONS}"), &announced).await;
            sender.send(&part).await;
            senders.push(sender);
            // The server reads a little later; two senders at once may both be refused.
            sleep(Duration::from_millis(50)).await;
        }
        drop(senders);
    };
    unharmed(&server, attack).await;
    let peak = peak(&server) - before;
    assert!(peak < (128 + 80) * MIB, "{} MiB", peak / MIB);
    shrinks_to(&server, before + 96 * MIB).await;
    create(&server).await;
}

/// Whether the server accepts a body of nearly the maximum size. If not, its response has the
/// reason.
async fn accepts_large_body(server: &Server) -> bool {
    let session = json!({ "agentId": ELIZA, "userId": USER });
    let body = format!("{session}{}", " ".repeat(2 * MIB - 1024));
    let _ = rustls::crypto::ring::default_provider().install_default();
    let request = reqwest::Client::new().post(server.at(SESSIONS)).body(body);
    let Ok(response) = request.send().await else {
        // The server closed the connection while the client was sending.
        return false;
    };
    if response.status() == 201 {
        return true;
    }
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    let refusal: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(refusal["code"], "SERVICE_UNAVAILABLE");
    assert_eq!(refusal["details"]["reason"], "overloaded");
    false
}
