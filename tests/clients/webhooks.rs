//! The webhooks of `docs/agents.md`, which verify their calls with the published libraries of the
//! Standard Webhooks specification.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use sessiond::clock::Clock;
use sessiond::domain::time::Millis;
use sha2::Sha256;
use tokio::runtime::Runtime;

use super::support::process;
use super::support::server::Server;
use super::{ONE_AT_A_TIME, USER, free_port, install_python};
use crate::support::node;

/// A secret that holds its key in base64, and one that is the key.
const SECRETS: [(&str, &[u8]); 2] = [
    ("whsec_a2V5IG9mIHRoZSBjYWxscw==", b"key of the calls"),
    (
        "Schlüssel of the calls",
        "Schlüssel of the calls".as_bytes(),
    ),
];

/// How long a webhook may take to start.
const START_LIMIT: Duration = Duration::from_mins(1);

const POLL: Duration = Duration::from_millis(20);

/// A webhook, and the agent that calls it.
struct Webhook {
    process: Child,
    agent: String,
    url: String,
    key: &'static [u8],
}

impl Drop for Webhook {
    fn drop(&mut self) {
        process::kill(&mut self.process);
    }
}

/// A client of the server and of the webhooks.
struct Caller {
    runtime: Runtime,
    client: reqwest::Client,
}

impl Caller {
    fn new() -> Self {
        // The client can speak TLS, and requires a provider for it, though no test uses it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            runtime: Runtime::new().expect("a runtime"),
            client: reqwest::Client::new(),
        }
    }

    fn send(&self, request: RequestBuilder) -> Option<(u16, Value)> {
        self.runtime.block_on(async {
            let response = request.send().await.ok()?;
            let status = response.status().as_u16();
            Some((status, response.json().await.ok()?))
        })
    }

    fn post(&self, url: &str, body: &Value) -> (u16, Value) {
        let answer = self.send(self.client.post(url).json(body));
        answer.expect("an answer")
    }

    /// Sends a message to a webhook's agent and returns the answer.
    fn ask(&self, server: &Server, webhook: &Webhook, content: &str) -> (u16, Value) {
        let sessions = server.at("/api/messaging/sessions");
        let create = json!({ "agentId": webhook.agent, "userId": USER });
        let (_, session) = self.post(&sessions, &create);
        let session = session["sessionId"].as_str().expect("an id");
        let message = json!({ "content": content, "transport": "http" });
        self.post(&format!("{sessions}/{session}/messages"), &message)
    }

    /// Calls a webhook with a signed body, of which `change` changes a part before it is sent.
    fn call(
        &self,
        webhook: &Webhook,
        age: Duration,
        change: impl FnOnce(&mut [String; 3]),
    ) -> Option<u16> {
        let sent_at = Clock::system().now() - Millis::from(age);
        let turn = json!({ "message": { "content": "Hello." } });
        let (id, time) = ("turn-1".to_owned(), (sent_at.0 / 1000).to_string());
        let mut parts = [id, time, turn.to_string()];
        let mut mac = Hmac::<Sha256>::new_from_slice(webhook.key).expect("a key");
        mac.update(parts.join(".").as_bytes());
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        change(&mut parts);
        let [id, time, body] = parts;
        let call = self.client.post(&webhook.url).body(body);
        let call = call
            .header("webhook-id", id)
            .header("webhook-timestamp", time);
        let call = call.header("webhook-signature", format!("v1,{signature}"));
        Some(self.send(call)?.0)
    }

    fn wait_for(&self, webhook: &Webhook) {
        let start = Instant::now();
        while self.call(webhook, Duration::ZERO, |_| {}) != Some(200) {
            assert!(
                start.elapsed() < START_LIMIT,
                "{} does not start",
                webhook.url
            );
            thread::sleep(POLL);
        }
    }
}

#[test]
fn a_node_webhook_verifies_its_calls() {
    let _turn = ONE_AT_A_TIME.lock();
    let directory = match node::prepare("clients") {
        Ok(directory) => directory,
        Err(reason) => return node::skip(&reason),
    };
    let script = write_example(directory.path(), "webhook.mjs");
    calls_are_verified(|| {
        let mut command = Command::new("node");
        command.arg(&script);
        command
    });
}

#[test]
fn a_python_webhook_verifies_its_calls() {
    let _turn = ONE_AT_A_TIME.lock();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let packages = match install_python(directory.path(), "python-webhooks.txt") {
        Ok(packages) => packages,
        Err(reason) => return node::skip(&reason),
    };
    let script = write_example(directory.path(), "webhook.py");
    calls_are_verified(|| {
        let mut command = Command::new("python3");
        command
            .arg(&script)
            .env("PYTHONPATH", &packages)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    });
}

/// Writes the code block of `docs/agents.md` that begins with a comment of this name.
fn write_example(directory: &Path, name: &str) -> PathBuf {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/agents.md");
    let document = fs::read_to_string(document).expect("the document can be read");
    let mut blocks = document.split("\n```").skip(1).step_by(2);
    let example = blocks.find_map(|block| {
        let (_, code) = block.split_once('\n')?;
        code.lines().next()?.contains(name).then_some(code)
    });
    let path = directory.join(name);
    fs::write(&path, example.expect("the example")).expect("a file can be written");
    path
}

fn calls_are_verified(command: impl Fn() -> Command) {
    let mut setup = Server::builder().env("SERVER_PORT", free_port().to_string());
    let agents = setup.data_dir().join("agents");
    fs::create_dir_all(&agents).expect("a directory can be created");
    let ports = SECRETS.map(|_| free_port());
    for (index, ((secret, _), port)) in SECRETS.into_iter().zip(ports).enumerate() {
        let variable = format!("SECRET_{index}");
        let character = json!({
            "id": agent(index), "name": format!("Hook {index}"),
            "settings": { "backend": {
                "type": "webhook", "url": url(port), "secretEnv": variable,
            } },
        });
        let file = agents.join(format!("{index}.json"));
        fs::write(file, character.to_string()).expect("a file can be written");
        setup = setup.env(variable, secret);
    }
    let server = setup.start();
    let webhooks = [0, 1].map(|index| {
        let (secret, key) = SECRETS[index];
        let mut command = command();
        let process = command
            .env("WEBHOOK_SECRET", secret)
            .env("PORT", ports[index].to_string())
            .env("SESSIOND_URL", server.url())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Webhook {
            process: process.expect("the webhook starts"),
            agent: agent(index),
            url: url(ports[index]),
            key,
        }
    });
    let caller = Caller::new();
    for webhook in &webhooks {
        caller.wait_for(webhook);
        assert_verifies(&caller, &server, webhook);
    }
    assert_answers(&caller, &server, &webhooks[0]);
}

/// Asserts that a webhook accepts the server's calls and refuses those that were tampered with.
fn assert_verifies(caller: &Caller, server: &Server, webhook: &Webhook) {
    let (status, answer) = caller.ask(server, webhook, "Grüße, 🎉");
    assert_eq!(status, 201, "{answer:#}");
    assert_eq!(answer["agentResponse"]["text"], "You said: Grüße, 🎉");

    let now = Duration::ZERO;
    for part in 0..3 {
        let tampered = caller.call(webhook, now, |parts| {
            parts[part] = parts[part].replacen(['1', 'H'], "2", 1);
        });
        assert_eq!(tampered, Some(401), "part {part}");
    }
    let old = caller.call(webhook, Duration::from_mins(10), |_| {});
    assert_eq!(old, Some(401));
}

/// Asserts that each kind of answer in the example has its effect.
fn assert_answers(caller: &Caller, server: &Server, webhook: &Webhook) {
    let (status, refused) = caller.ask(server, webhook, "refuse");
    assert_eq!(status, 502, "{refused:#}");
    assert_eq!(refused["details"]["reason"], "refused");
    assert_eq!(refused["error"]["details"], "I do not discuss this.");
    for (content, text) in [("busy", "You said: busy"), ("later", "Here it is.")] {
        let (status, answer) = caller.ask(server, webhook, content);
        assert_eq!(status, 201, "{answer:#}");
        assert_eq!(answer["agentResponse"]["text"], text);
    }
}

fn agent(index: usize) -> String {
    format!("a6e27000-0000-0000-0000-00000000000{index}")
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}/reply")
}
