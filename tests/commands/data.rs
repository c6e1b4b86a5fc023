//! Data directories, and commands that work on them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use sessiond::agents::character::ELIZA_ID;
use tempfile::TempDir;

use super::support::server::Server;

pub(crate) const USER: &str = "3c90c3cc-0d44-4b50-8888-8dd25736052a";

/// A directory in which commands run.
#[derive(Debug)]
pub(crate) struct Home {
    directory: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            directory: TempDir::with_prefix("sessiond-test-").expect("a temporary directory"),
        }
    }

    /// Creates a directory with a copy of a server's database.
    pub(crate) fn with_data_of(server: &Server) -> Self {
        let home = Self::new();
        std::fs::create_dir(home.directory.path().join("data")).expect("a new directory");
        let from = server.data_dir().join("sessiond.redb");
        std::fs::copy(from, home.database()).expect("the database can be copied");
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path("data/sessiond.redb")
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.database()).expect("the database can be read")
    }

    /// Returns the names in the data directory.
    pub(crate) fn names(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path("data")) else {
            return Vec::new();
        };
        entries
            .map(|entry| entry.expect("an entry").file_name().into_string())
            .map(|name| name.expect("a name"))
            .collect()
    }

    /// Runs a command until it ends.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary runs")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = sessiond(self.directory.path(), arguments);
        command.env("DATA_DIR", self.path("data"));
        command
    }

    /// Returns the output of a command that must succeed.
    pub(crate) fn succeeds(&self, arguments: &[&str]) -> String {
        succeeded(&self.run(arguments))
    }

    /// Returns the error of a command that must fail and change nothing.
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        self.ends_with(1, arguments)
    }

    /// Does the same for a wrong command line.
    pub(crate) fn refuses(&self, arguments: &[&str]) -> String {
        self.ends_with(2, arguments)
    }

    fn ends_with(&self, code: i32, arguments: &[&str]) -> String {
        let before = std::fs::read(self.database()).ok();
        let names = self.names();
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(
            std::fs::read(self.database()).ok() == before,
            "the database changed"
        );
        assert_eq!(self.names(), names, "a file was left");
        String::from_utf8(output.stderr).expect("UTF-8")
    }
}

/// Returns a command of the binary, with an empty environment.
pub(crate) fn sessiond(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sessiond"));
    command
        .args(arguments)
        .current_dir(home)
        .env_clear()
        .stdin(Stdio::null());
    command
}

pub(crate) fn succeeded(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// Returns a command on the data of a running server.
pub(crate) fn command_on(server: &Server, arguments: &[&str]) -> Command {
    let mut command = sessiond(server.home(), arguments);
    let (_, port) = server.url().rsplit_once(':').expect("a port");
    command
        .env("DATA_DIR", server.data_dir())
        .env("SERVER_PORT", port);
    command
}

/// Creates some conversations, with a reply to each message. Returns the ids of the sessions.
pub(crate) async fn create_conversations(server: &Server) -> Vec<String> {
    let http = client();
    let mut sessions = Vec::new();
    for number in 0..4 {
        let body = json!({
            "agentId": ELIZA_ID.to_string(), "userId": USER,
            "metadata": { "number": number, "half": 0.5 },
        });
        let session: Value = http
            .post(server.at("/api/messaging/sessions"))
            .header("Idempotency-Key", format!("create-{number}"))
            .json(&body)
            .send()
            .await
            .expect("an answer")
            .json()
            .await
            .expect("JSON");
        let id = session["sessionId"].as_str().expect("an id").to_owned();
        for turn in 0..=number {
            let body = json!({ "content": format!("hello ✓ {turn}"), "transport": "http" });
            let path = format!("/api/messaging/sessions/{id}/messages");
            let sent = http
                .post(server.at(&path))
                .header("Idempotency-Key", format!("send-{turn}"))
                .json(&body)
                .send()
                .await
                .expect("an answer");
            assert_eq!(sent.status(), 201);
        }
        sessions.push(id);
    }
    sessions
}

pub(crate) fn client() -> reqwest::Client {
    // Fails if another test has installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
}
