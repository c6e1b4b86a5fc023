//! A disk that is full, and later is not: with a limit on the length of files, which has the same
//! effect on the server, and with a small disk of its own.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::api::{Api, answer, text};
use super::support::{node, process};

/// The maximum length of a file, in blocks of 512 bytes: a new database, and not much more.
const BLOCKS: u32 = 6000;

/// The longest time for a start, or a recovery.
const PATIENCE: Duration = Duration::from_secs(30);

/// The size of the small disk. 8 MiB of it are reserved for deletions.
const DISK: &str = "12m";

/// The time after which the server has measured its free space again.
const AWHILE: Duration = Duration::from_secs(3);

/// A server with little disk space. It is killed when this is dropped.
struct Limited {
    child: Child,
    url: String,
    _home: TempDir,
}

impl Limited {
    /// The length of its files is limited.
    fn in_short_files() -> Self {
        let script = format!("trap '' XFSZ; ulimit -S -f {BLOCKS}; exec \"$0\"");
        Self::start(Command::new("sh").args(["-c", &script]))
    }

    /// Its data is on a small disk in a mount namespace of its own; none if this machine does not
    /// allow that.
    fn on_small_disk() -> Option<Self> {
        let mount = format!("mkdir data && mount -t tmpfs -o size={DISK} none data");
        let own = |script: &str| {
            let mut command = Command::new("unshare");
            command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
            command
        };
        let home = TempDir::with_prefix("sessiond-test-").expect("a temporary directory");
        let tried = own(&mount).current_dir(home.path()).output();
        if !tried.is_ok_and(|tried| tried.status.success()) {
            return None;
        }
        let script = format!("{mount} && exec \"$0\"");
        Some(Self::start(&mut own(&script)))
    }

    /// Starts it by a shell command that receives the name of the binary.
    fn start(command: &mut Command) -> Self {
        let home = TempDir::with_prefix("sessiond-test-").expect("a temporary directory");
        let log = home.path().join("log");
        let child = command
            .arg(env!("CARGO_BIN_EXE_sessiond"))
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

    /// Returns the file of another program on the small disk, which is visible only in the server's
    /// namespace.
    fn filler(&self) -> PathBuf {
        format!("/proc/{}/cwd/data/filler", self.child.id()).into()
    }

    /// Another program fills the small disk to the last byte.
    fn fill_disk(&self) {
        let mut filler = File::create(self.filler()).expect("a file on the small disk");
        for size in [1 << 16, 1] {
            while filler.write_all(&vec![1; size]).is_ok() {}
        }
    }

    /// Frees disk space again.
    fn make_room(&self) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        let unlimited = Rlimit {
            current: None,
            maximum: None,
        };
        prlimit(Pid::from_raw(pid), Resource::Fsize, unlimited).expect("the limit can be raised");
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

/// Sends until the disk is full; returns the ids of the stored messages, and the last answer of the
/// server.
async fn fill(api: &Api, session: &str) -> (Vec<String>, u16, Value) {
    let mut stored = Vec::new();
    let mut refused_since = None;
    while stored.len() < 5_000 {
        let (status, body) = send(api, session, stored.len()).await;
        match status {
            201 => {
                stored.push(text(&body["userMessage"], "id"));
                refused_since = None;
            }
            // The server may be about to find more free space inside the file.
            503 if refused_since.get_or_insert_with(Instant::now).elapsed() < AWHILE => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            // Too many messages wait for their replies.
            429 => tokio::time::sleep(Duration::from_millis(5)).await,
            _ => return (stored, status, body),
        }
    }
    panic!("the disk does not get full");
}

/// Creates a session, if there is free space for one.
async fn create(api: &Api) -> Option<String> {
    let request = api.create(&Uuid::new_v4().to_string());
    let created = answer(request).await.expect("the server is running");
    if created.status == 503 {
        assert_eq!(created.body["details"]["reason"], "storage");
        return None;
    }
    Some(text(&created.expect(201), "sessionId"))
}

async fn send(api: &Api, session: &str, number: usize) -> (u16, Value) {
    let body = json!({ "content": "x".repeat(4000), "metadata": { "more": "y".repeat(9000) } });
    let request = api
        .post(&format!("/{session}/messages"), &body)
        .header("Idempotency-Key", format!("key-{number}"));
    let answered = answer(request).await.expect("the server is running");
    (answered.status, answered.body)
}

#[tokio::test]
async fn a_server_on_a_full_disk_still_reads_and_recovers_when_there_is_free_space() {
    let server = Limited::in_short_files();
    let api = Api::new(&server.url);
    let session = create(&api)
        .await
        .expect("there is free space for a session");
    let (mut stored, status, body) = fill(&api, &session).await;
    let number = stored.len();
    eprintln!("full after {number} messages: {status} {body}");
    match status {
        503 => assert_eq!(body["details"]["reason"], "storage"),
        500 => assert_eq!(body["details"]["outcome"], "unknown"),
        other => panic!("{other}: {body}"),
    }
    // Reads still work.
    let info = api.get(&format!("/{session}")).await;
    info.expect("the server is running").expect(200);

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
    let health = api.get("/health").await.expect("the server is running");
    assert_eq!(health.expect(200)["status"], "healthy");
    // Everything is stored once, and so is the message that failed, now that it was retried.
    let messages = api.history(&session).await.expect("the server is running");
    let own = messages
        .iter()
        .filter(|message| message["isAgent"] == false);
    let found: Vec<String> = own.map(|message| text(message, "id")).collect();
    assert_eq!(found, stored);
}

#[tokio::test]
async fn a_deletion_on_a_full_disk_frees_space_inside_the_file() {
    let Some(server) = Limited::on_small_disk() else {
        node::skip("this machine does not allow mount namespaces (unshare --user --mount)");
        return;
    };
    let api = Api::new(&server.url);
    let mut session = create(&api)
        .await
        .expect("there is free space for a session");
    let mut taken = Vec::new();
    for _ in 0..2 {
        let (stored, status, body) = fill(&api, &session).await;
        eprintln!("full after {} messages: {status} {body}", stored.len());
        assert_eq!(
            (status, &body["details"]["reason"]),
            (503, &json!("storage"))
        );
        let said = body.to_string();
        assert!(said.contains("no free space"), "{said}");
        taken.push(stored.len());
        assert_eq!(create(&api).await, None);
        let found = api.history(&session).await.expect("the server is running");
        assert!(found.len() >= stored.len(), "reads still work");
        let heartbeat = api.post(&format!("/{session}/heartbeat"), &json!({}));
        let heartbeat = answer(heartbeat).await.expect("the server is running");
        heartbeat.expect(200);

        let deleted = api.delete(&session).await.expect("the server is running");
        deleted.expect(200);
        let since = Instant::now();
        session = loop {
            if let Some(session) = create(&api).await {
                break session;
            }
            assert!(since.elapsed() < PATIENCE, "free space does not return");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
    }
    assert!(taken[0] > 50, "{taken:?}");
    assert!(
        taken.iter().all(|again| again * 2 > taken[0]),
        "freed space is reused: {taken:?}"
    );
}

/// Waits, without writing anything, for a health status.
async fn wait_for_health(api: &Api, status: u16) -> Value {
    let since = Instant::now();
    loop {
        let health = api.get("/health").await.expect("the server is running");
        if health.status == status {
            return health.body;
        }
        assert!(since.elapsed() < PATIENCE, "{}", health.body);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn without_a_free_byte_sessions_can_be_deleted_and_health_reports_the_reason() {
    let Some(server) = Limited::on_small_disk() else {
        node::skip("this machine does not allow mount namespaces (unshare --user --mount)");
        return;
    };
    let api = Api::new(&server.url);
    let mut sessions = Vec::new();
    for number in 0..250 {
        let session = create(&api)
            .await
            .expect("there is free space for a session");
        if number % 10 == 0 {
            let (status, body) = send(&api, &session, number).await;
            assert_eq!(status, 201, "{body}");
        }
        sessions.push(session);
    }
    // The server was idle for a moment.
    tokio::time::sleep(AWHILE).await;
    server.fill_disk();
    let health = wait_for_health(&api, 503).await;
    assert_eq!(health["reasons"], json!(["no_space"]));
    assert_eq!(create(&api).await, None);

    let (deleted, kept) = sessions.split_at(200);
    let (one_by_one, at_once) = deleted.split_at(100);
    let delete = async |session: &String| {
        let deleted = api.delete(session).await.expect("the server is running");
        deleted.expect(200);
    };
    for session in one_by_one {
        delete(session).await;
    }
    futures_util::future::join_all(at_once.iter().map(delete)).await;
    for session in kept {
        api.get(&format!("/{session}"))
            .await
            .expect("the server is running")
            .expect(200);
    }
    fs::remove_file(server.filler()).expect("the file can be removed");
    let health = wait_for_health(&api, 200).await;
    assert_eq!(health["status"], "healthy");
    assert!(create(&api).await.is_some());
}
