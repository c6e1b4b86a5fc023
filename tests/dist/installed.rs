//! What the packages install, from files, without a network and without a Rust toolchain: a server
//! with which one can talk within a minute.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::files::Files;
use super::install_script::PROGRAMS;
use super::support::node::run;
use super::support::server::Server;
use super::{VERSION, find, npm_platform, packages, path_with, source, target};

const INSTALL_LIMIT: Duration = Duration::from_mins(1);

/// From an empty directory to the reply.
const TALK_LIMIT: Duration = Duration::from_mins(1);

/// What the machine has beside the programs that `install.sh` uses.
const RUNTIMES: [&str; 3] = ["node", "npm", "python3"];

/// A machine with an empty home directory.
struct Machine {
    home: TempDir,
    path: PathBuf,
    start: Instant,
}

impl Machine {
    fn new() -> Self {
        let home = TempDir::with_prefix("sessiond-machine-").expect("a temporary directory");
        let path = path_with(home.path(), &[&PROGRAMS[..], &RUNTIMES].concat());
        let start = Instant::now();
        Self { home, path, start }
    }

    fn home(&self) -> &Path {
        self.home.path()
    }

    /// Returns a command in the home directory.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(find(program).expect("the program is installed"));
        command.current_dir(self.home()).env_clear();
        command.env("PATH", &self.path).env("HOME", self.home());
        command
    }

    /// Starts the installed server, talks with the built-in agent over HTTP and from the terminal,
    /// and stops the server.
    async fn talk(&self, program: &str) {
        let program = self.home().join(program);
        let mut server = Server::builder()
            .program(program.clone())
            .env("PATH", &self.path)
            .start();
        let answer = converse(&server).await;
        let chat = self.chat(&program, &server);
        let elapsed = self.start.elapsed();
        // Before anything else can fail: a kill would end the launcher, and not the server.
        let status = server.terminate();
        assert!(status.success(), "the signal reaches the server: {status}");
        let answer = answer.expect("answers");
        let reply = answer["agentResponse"]["text"].as_str();
        let is_right = reply.is_some_and(|reply| reply.contains("Ada"));
        assert!(is_right, "{answer}");
        let reply = String::from_utf8(chat.expect("it runs").stdout).expect("UTF-8");
        assert!(reply.contains("Ada"), "{reply}");
        assert!(elapsed < TALK_LIMIT, "after {elapsed:?}");
    }
    /// Says something with the chat of the program.
    fn chat(&self, program: &Path, server: &Server) -> std::io::Result<Output> {
        let mut chat = Command::new(program);
        chat.arg("chat").env_clear().env("PATH", &self.path);
        chat.env("HOME", self.home())
            .env("DATA_DIR", server.data_dir());
        chat.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut chat = chat.spawn()?;
        if let Some(mut input) = chat.stdin.take() {
            input.write_all(b"Hi, my name is Ada.\n")?;
        }
        chat.wait_with_output()
    }
}

/// Creates a session, sends a message, and returns the answer with the reply.
async fn converse(server: &Server) -> reqwest::Result<Value> {
    // The client can speak TLS, and requires a provider for it, though no test uses it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let sessions = server.at("/api/messaging/sessions");
    let create = json!({
        "agentId": "b850bc30-45f8-0041-a00a-83df46d8555d",
        "userId": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
    });
    let session = client.post(&sessions).json(&create).send().await?;
    let session: Value = session.json().await?;
    let id = session["sessionId"].as_str().unwrap_or_default();
    let message = json!({ "content": "Hi, my name is Ada.", "transport": "http" });
    let messages = format!("{sessions}/{id}/messages");
    let answer = client.post(messages).json(&message).send().await?;
    answer.json().await
}

#[tokio::test]
async fn the_npm_packages_install_a_server() {
    let Some(packages) = packages() else { return };
    let machine = Machine::new();
    let mut npm = machine.command("npm");
    npm.args(["install", "--offline", "--no-audit", "--no-fund"]);
    for rest in [String::new(), format!("{}-", npm_platform())] {
        npm.arg(packages.join(format!("sessiond-{rest}{VERSION}.tgz")));
    }
    run(&mut npm, INSTALL_LIMIT).expect("npm installs the packages");
    let mut npx = machine.command("npm");
    npx.args(["exec", "--offline", "--no", "--", "sessiond", "--version"]);
    let version = run(&mut npx, INSTALL_LIMIT).expect("npx finds it");
    assert_eq!(version, format!("sessiond {VERSION}\n"));
    machine.talk("node_modules/.bin/sessiond").await;
}

#[tokio::test]
async fn the_wheel_installs_a_server() {
    let Some(packages) = packages() else { return };
    let machine = Machine::new();
    let mut pip = machine.command("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--no-index",
        "--disable-pip-version-check",
    ]);
    pip.args(["--find-links"])
        .arg(&packages)
        .args(["--target", "packages"]);
    pip.arg(format!("sessiond=={VERSION}"));
    run(&mut pip, INSTALL_LIMIT).expect("pip installs the wheel");
    machine.talk("packages/bin/sessiond").await;
}

#[tokio::test]
async fn install_sh_installs_a_server() {
    let Some(packages) = packages() else { return };
    let machine = Machine::new();
    let tarball = format!("sessiond-{VERSION}-{}.tar.gz", target());
    let contents = [tarball, "SHA256SUMS".to_owned()].map(|name| {
        let content = std::fs::read(packages.join(&name)).expect("a file of the release");
        (name, content)
    });
    let files = Files {
        contents: contents.into(),
        ..Files::default()
    };
    let mut script = machine.command("sh");
    script.arg(packages.join("install.sh"));
    script.env("SESSIOND_DOWNLOAD_URL", files.serve());
    run(&mut script, INSTALL_LIMIT).expect("the script installs the tarball");
    machine.talk(".local/bin/sessiond").await;
}

#[test]
fn the_script_of_the_release_is_that_of_the_sources() {
    let Some(packages) = packages() else { return };
    let script = std::fs::read(packages.join("install.sh")).expect("the script");
    let source = std::fs::read(source("data/dist/install.sh")).expect("the script");
    assert_eq!(script, source);
}
