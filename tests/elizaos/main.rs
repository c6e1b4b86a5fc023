//! Agents behind the real `ElizaOS` server: npm's `@elizaos/server`, run by npm's bun with its
//! embedded database, and an agent that answers by rules instead of a model.
//!
//! These tests are skipped unless `SESSIOND_TEST_ELIZAOS` is `1`: they need node with npm, some
//! minutes, and 400 MB of packages, which are installed once into the user's cache directory (or
//! `SESSIOND_ELIZAOS_DIR`). What they measure is printed to standard error.

#![cfg(target_os = "linux")]
#![allow(
    clippy::expect_used,
    reason = "a helper that cannot do its work fails the test"
)]
#![allow(clippy::print_stderr, reason = "prints measurements")]

mod import;
mod process;
#[path = "../support/mod.rs"]
mod support;
mod talk;

use std::env;
use std::fs;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, MutexGuard};

use self::process::ElizaOs;
use self::talk::{HTTP, IDLE, SSE, Session, Talk, setup};

const ENABLED: &str = "SESSIOND_TEST_ELIZAOS";

/// Number of sessions with heartbeats.
const SESSIONS: usize = 50;

/// Two JavaScript servers at once are too much for small machines, and times are measured.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Returns `None` if these tests are not enabled.
async fn turn() -> Option<MutexGuard<'static, ()>> {
    if env::var(ENABLED).is_ok_and(|value| value == "1") {
        return Some(ONE_AT_A_TIME.lock().await);
    }
    eprintln!("test skipped: {ENABLED} is not 1");
    None
}

#[tokio::test]
async fn ten_messages_are_answered_over_each_transport() {
    let Some(_turn) = turn().await else { return };
    let eliza = ElizaOs::start();
    let talk = Talk::start(&eliza);
    for (agent, transport) in [(HTTP, "http"), (SSE, "sse")] {
        let session = talk.session(agent).await;
        let mut times = Vec::new();
        for (message, reply) in [
            ("My name is Ada.", "You said 15 characters."),
            ("What did you say?", "I said: You said 15 characters."),
            ("Two", "You said 3 characters."),
            ("Three", "You said 5 characters."),
            ("Four", "You said 4 characters."),
            ("Five", "You said 4 characters."),
            ("Six", "You said 3 characters."),
            ("Seven", "You said 5 characters."),
            ("Eight", "You said 5 characters."),
            ("What is my name?", "Your name is Ada."),
        ] {
            let (text, time) = talk.ask(&session, message).await;
            assert_eq!(text, reply, "{transport}: {message}");
            times.push(time);
        }
        let first = times[0].as_millis();
        times.sort();
        eprintln!(
            "{transport}: {first} ms for the first message, {} ms in the median, {} ms at most",
            times[times.len() / 2].as_millis(),
            times[times.len() - 1].as_millis()
        );
    }
}

#[tokio::test]
async fn replies_without_actions_or_text_are_answers() {
    let Some(_turn) = turn().await else { return };
    let eliza = ElizaOs::start();
    let talk = Talk::start(&eliza);
    let session = talk.session(HTTP).await;
    for (message, reply) in [
        ("No actions.", "Done without actions."),
        ("Look it up.", "One moment.\n\nIt is 42."),
        ("Count.", ""),
    ] {
        assert_eq!(talk.ask(&session, message).await.0, reply, "{message}");
    }
    assert_eq!(eliza.counted(), 1);

    // Over `sse` the same server sends less, and a stream that never ends delays no one.
    let session = talk.session(SSE).await;
    let start = Instant::now();
    let (status, body) = talk.send(&session, "No actions.").await;
    let waited = start.elapsed();
    assert_eq!(
        (status, body["code"].as_str()),
        (504, Some("AGENT_TIMEOUT"))
    );
    assert!((IDLE..IDLE * 3).contains(&waited), "{waited:?}");
    assert_eq!(talk.ask(&session, "Count.").await.0, "");
    assert_eq!(talk.ask(&session, "Look it up.").await.0, "It is 42.");
    // Long enough for all retries.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(eliza.counted(), 2);
}

#[tokio::test]
async fn the_agent_remembers_the_conversation_after_a_restart() {
    let Some(_turn) = turn().await else { return };
    let mut eliza = ElizaOs::start();
    let talk = Talk::start(&eliza);
    for agent in [HTTP, SSE] {
        let session = talk.session(agent).await;
        talk.ask(&session, "My name is Ada.").await;
        eliza.kill();
        eliza.launch();
        // Sent while it starts.
        let (text, time) = talk.ask(&session, "What is my name?").await;
        assert_eq!(text, "Your name is Ada.");
        eprintln!("answered {} ms after the restart", time.as_millis());
    }
}

#[tokio::test]
async fn messages_beyond_the_servers_limits_are_answered() {
    let Some(_turn) = turn().await else { return };
    let eliza = ElizaOs::start();
    let talk = Talk::start(&eliza);
    let session = talk.session(HTTP).await;
    for (message, reply) in [
        ("\u{1f389}".repeat(4000), "You said 4000 characters."),
        ("a\0b".to_owned(), "You said 2 characters."),
        ("u".repeat(4000), "You said 4000 characters."),
    ] {
        assert_eq!(talk.ask(&session, &message).await.0, reply);
    }
}

#[tokio::test]
async fn deleted_sessions_are_deleted_on_the_server_too() {
    let Some(_turn) = turn().await else { return };
    let eliza = ElizaOs::start();
    let talk = Talk::start(&eliza);
    for agent in [HTTP, SSE] {
        let session = talk.session(agent).await;
        talk.ask(&session, "One").await;
        assert_eq!(talk.theirs(&eliza).await.0, 1);
        talk.delete(&session).await;
        let start = Instant::now();
        while talk.theirs(&eliza).await.0 > 0 {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "the remote session still exists"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let probe = setup(&eliza, &[(HTTP, "http")])
        .arg("agents")
        .arg("--probe");
    let finished = tokio::task::spawn_blocking(move || probe.run());
    let finished = finished.await.expect("a probe");
    assert!(finished.status.success(), "{}", finished.log);
    assert_eq!(talk.theirs(&eliza).await.0, 0);
}

/// The heartbeats of 15 minutes, one every 30 s, sent at once: the server's limit counts requests
/// per time.
#[tokio::test]
async fn heartbeats_leave_most_requests_for_messages() {
    let Some(_turn) = turn().await else { return };
    let eliza = ElizaOs::start();
    let talk = Talk::start(&eliza);
    let sessions = talked(&talk, SESSIONS).await;
    let before = talk.theirs(&eliza).await.1;
    for _ in 0..30 {
        for session in &sessions {
            talk.heartbeat(session).await;
        }
    }
    // The last renewals are in progress.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let used = before - talk.theirs(&eliza).await.1;
    let count = u64::try_from(SESSIONS).expect("a number");
    // One request is this test's own.
    assert!((count..=count + 1).contains(&used), "{used}");
    for session in &sessions {
        talk.ask(session, "Still there?").await;
    }
    let left = talk.theirs(&eliza).await.1;
    eprintln!(
        "{} heartbeats made {used} requests; {left} of 1,000 are left",
        30 * SESSIONS
    );
}

#[tokio::test]
async fn a_frozen_server_costs_nothing() {
    let Some(_turn) = turn().await else { return };
    let eliza = ElizaOs::start();
    let talk = Talk::start(&eliza);
    let sessions = talked(&talk, SESSIONS).await;
    let before = Costs::of(&talk);
    eliza.signal("STOP");
    let mut most = before;
    let start = Instant::now();
    for _ in 0..20 {
        for session in &sessions {
            talk.heartbeat(session).await;
        }
        most = most.max(Costs::of(&talk));
    }
    let span = start.elapsed();
    eprintln!("{before:?} before, {most:?} at most in 1,000 heartbeats ({span:?})");
    assert!(most.files <= before.files + 12, "{before:?} {most:?}");
    assert!(most.resident_kib <= before.resident_kib + 8 * 1024);
    eliza.signal("CONT");
    for session in &sessions[..5] {
        talk.ask(session, "Still there?").await;
    }
}

/// Creates sessions with one message each.
async fn talked(talk: &Talk, count: usize) -> Vec<Session> {
    let mut sessions = Vec::new();
    for _ in 0..count {
        let session = talk.session(HTTP).await;
        talk.ask(&session, "One").await;
        sessions.push(session);
    }
    sessions
}

/// Resources that sessiond uses.
#[derive(Debug, Clone, Copy)]
struct Costs {
    files: usize,
    resident_kib: u64,
}

impl Costs {
    fn of(talk: &Talk) -> Self {
        let process = format!("/proc/{}", talk.server.pid());
        let files = fs::read_dir(format!("{process}/fd")).expect("its open files");
        let status = fs::read_to_string(format!("{process}/status")).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        Self {
            files: files.count(),
            resident_kib: kib.expect("its memory"),
        }
    }

    fn max(self, other: Self) -> Self {
        Self {
            files: self.files.max(other.files),
            resident_kib: self.resident_kib.max(other.resident_kib),
        }
    }
}
