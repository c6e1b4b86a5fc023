//! A disk that is full, and then is not: a limit on the length of files does to the server what a
//! full disk does.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rlimit::Resource;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::api::{Api, answer, text};
use super::support::process;

/// The longest that a file may become, in blocks of 512 bytes: a new database, and not much more.
const BLOCKS: u32 = 6000;

/// A start, or a recovery, that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server whose files may not grow. Dropped, it is killed.
struct Limited {
    child: Child,
    url: String,
    _home: TempDir,
}

impl Limited {
    fn start() -> Self {
        let home = TempDir::with_prefix("sessiond-test-").expect("a temporary directory");
        let log = home.path().join("log");
        let script = format!("trap '' XFSZ; ulimit -S -f {BLOCKS}; exec \"$0\"");
        let child = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_sessiond")])
            .current_dir(home.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("SERVER_PORT", "0")
            .env("LOG_FORMAT", "text")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(File::create(&log).expect("a new file"))
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell can be started");
        let url = listening(&log);
        Self {
            child,
            url,
            _home: home,
        }
    }

    /// The disk has room again.
    fn make_room(&self) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        let all = Some((rlimit::INFINITY, rlimit::INFINITY));
        rlimit::prlimit(pid, Resource::FSIZE, all, None).expect("the limit can be raised");
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        process::kill(&mut self.child);
    }
}

fn listening(log: &Path) -> String {
    let since = Instant::now();
    loop {
        let text = fs::read_to_string(log).unwrap_or_default();
        if let Some((_, rest)) = text.split_once("listening on ") {
            return rest.lines().next().unwrap_or_default().trim().to_owned();
        }
        assert!(since.elapsed() < PATIENCE, "{text}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends until the disk is full; the ids of what was stored, and what the server said then.
async fn fill(api: &Api, session: &str) -> (Vec<String>, u16, Value) {
    let mut stored = Vec::new();
    while stored.len() < 5_000 {
        let (status, body) = send(api, session, stored.len()).await;
        match status {
            201 => stored.push(text(&body["userMessage"], "id")),
            // More wait for their replies than may.
            429 => tokio::time::sleep(Duration::from_millis(5)).await,
            _ => return (stored, status, body),
        }
    }
    panic!("the disk does not get full");
}

async fn send(api: &Api, session: &str, number: usize) -> (u16, Value) {
    let body = json!({ "content": "x".repeat(4000) });
    let request = api
        .post(&format!("/{session}/messages"), &body)
        .header("Idempotency-Key", format!("key-{number}"));
    let answered = answer(request).await.expect("the server lives");
    (answered.status, answered.body)
}

#[tokio::test]
async fn on_a_full_disk_the_server_reads_and_goes_on_by_itself_when_there_is_room() {
    let server = Limited::start();
    let api = Api::new(&server.url);
    let request = api.create(&Uuid::new_v4().to_string());
    let session = answer(request).await.expect("the server lives").expect(201);
    let session = text(&session, "sessionId");
    let (mut stored, status, body) = fill(&api, &session).await;
    let number = stored.len();
    eprintln!("full after {number} messages: {status} {body}");
    match status {
        503 => assert_eq!(body["details"]["reason"], "storage"),
        500 => assert_eq!(body["details"]["outcome"], "unknown"),
        other => panic!("{other}: {body}"),
    }
    // Reading goes on.
    let info = api.get(&format!("/{session}")).await;
    info.expect("the server lives").expect(200);

    server.make_room();
    let since = Instant::now();
    loop {
        let (status, body) = send(&api, &session, number).await;
        if status == 201 {
            stored.push(text(&body["userMessage"], "id"));
            break;
        }
        assert!(since.elapsed() < PATIENCE, "{status} {body}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let health = api.get("/health").await.expect("the server lives");
    assert_eq!(health.expect(200)["status"], "healthy");
    // All of it is there, once, and so is the one that failed, now that it was sent again.
    let messages = api.history(&session).await.expect("the server lives");
    let own = messages
        .iter()
        .filter(|message| message["isAgent"] == false);
    let found: Vec<String> = own.map(|message| text(message, "id")).collect();
    assert_eq!(found, stored);
}
