//! Strangers who want the server's memory, or its connections: whatever they begin has a bound, and
//! others are answered meanwhile.

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

/// How long an attack lasts at most.
const ATTACK: Duration = Duration::from_secs(4);

/// How long a handshake of Engine.IO may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How soon memory is given back.
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

/// Waits until the server has given back what it took. Its allocator does that when it is used, on
/// the thread and for the sizes that it is used for.
async fn returns_to(server: &Server, limit: usize) {
    let begun = Instant::now();
    while resident(server) > limit {
        let uses = (0..4).map(|_| has_room(server));
        assert!(
            futures_util::future::join_all(uses)
                .await
                .into_iter()
                .all(|it| it)
        );
        let resident = resident(server) / MIB;
        assert!(begun.elapsed() < SOON, "{resident} MiB are not given back");
        sleep(Duration::from_millis(100)).await;
    }
}

/// Runs an attack, while a well-behaved client is answered within a second. On a busy machine one
/// answer in ten may take longer.
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
    assert!(!waits.is_empty(), "nobody was answered");
    let most = waits[waits.len() * 9 / 10];
    assert!(most < Duration::from_secs(1), "{waits:?}");
}

async fn post(server: &Server, path: &str, body: &Value) -> Value {
    // The client can speak TLS, and wants to be told by what means, though no test does.
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
    returns_to(&server, before + 64 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_of_too_many_handshakes_gives_way() {
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
        // A CONNECT without credentials is answered, where there is a session.
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
async fn sockets_that_say_nothing_keep_nobody_out() {
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

/// Where nobody is asked who they are, a socket is idle until it is in a room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_that_join_no_room_give_way_and_those_in_one_do_not() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let server = Arc::new(server().start());
    let session = create(&server).await;
    let attack = async {
        let mut listener = Raw::open(&server).await;
        assert!(listener.upgrade().await && listener.connect().await);
        let join = format!("42{}", json!(["join", { "roomId": session }]));
        assert!(listener.text(&join).await);
        let joined = listener.read_until(|text| text.contains("room_joined"));
        assert!(joined.await.is_some());
        let mut sockets = Vec::new();
        for _ in 0..MAX_CONNECTIONS + 50 {
            let mut socket = Raw::open(&server).await;
            assert!(socket.upgrade().await && socket.connect().await);
            sockets.push(socket);
        }
        assert!(sockets[0].ends_within(Duration::from_secs(5)).await);
        assert!(!listener.ends_within(Duration::from_secs(1)).await);
    };
    unharmed(&server, attack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_is_not_completed_ends_after_ten_seconds_and_a_connected_socket_stays() {
    let server = guarded().start();
    let open = self::server().start();
    let mut silent = Raw::open(&server).await;
    assert!(silent.upgrade().await);
    let mut refused = Raw::open(&server).await;
    assert!(refused.upgrade().await && refused.text("40").await);
    let told = refused.read_until(|text| text.contains("Credentials are missing or wrong"));
    assert!(told.await.is_some());
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
async fn sockets_that_never_read_take_bounded_memory_and_give_it_back() {
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
    returns_to(&server, before + 40 * MIB).await;
    drop(sockets);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_do_not_end_take_bounded_memory_and_others_are_told_why() {
    /// A few more than there is room for.
    const SENDERS: usize = 70;
    const SENT: usize = 2 * MIB - 1;

    // So many that no connection gives way.
    let _turn = ONE_AT_A_TIME.lock().await;
    let server = server().env("MAX_CONNECTIONS", "400");
    let server = Arc::new(server.start());
    let before = resident(&server);
    let announced = format!("content-length: {}\r\n", SENT + 1);
    let attack = async {
        // Who announces much and sends little takes little from others.
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
        while senders.len() < SENDERS || has_room(&server).await {
            assert!(begun.elapsed() < SOON, "there is no bound");
            let mut sender = Raw::open(&server).await;
            sender.head(&format!("POST {SESSIONS}"), &announced).await;
            sender.send(&part).await;
            senders.push(sender);
            // What was sent is read a little later; two who come at once may both find no room.
            sleep(Duration::from_millis(50)).await;
        }
        drop(senders);
    };
    unharmed(&server, attack).await;
    let peak = peak(&server) - before;
    assert!(peak < (128 + 80) * MIB, "{} MiB", peak / MIB);
    returns_to(&server, before + 96 * MIB).await;
    create(&server).await;
}

/// Whether a body of nearly the greatest size is read; where it is not, its sender is told why.
async fn has_room(server: &Server) -> bool {
    let session = json!({ "agentId": ELIZA, "userId": USER });
    let body = format!("{session}{}", " ".repeat(2 * MIB - 1024));
    let _ = rustls::crypto::ring::default_provider().install_default();
    let request = reqwest::Client::new().post(server.at(SESSIONS)).body(body);
    let Ok(response) = request.send().await else {
        // It is hung up on while it sends.
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
