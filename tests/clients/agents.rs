//! The example agents of `data/examples`, while the server and the agents are killed.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::support::process;
use super::support::server::Server;
use super::{ONE_AT_A_TIME, USER, free_port};
use crate::support::node;

/// The agent's id.
const AGENT: &str = "a6e27000-0000-0000-0000-000000000001";

/// How long the agent may take to answer what waits, with a reconnect after a second.
const ANSWER_LIMIT: Duration = Duration::from_mins(1);

const POLL: Duration = Duration::from_millis(20);

/// A server with an external agent, at an address that it keeps.
struct Scene {
    server: Server,
    program: &'static str,
    file: PathBuf,
    agent: Option<Child>,
    runtime: Runtime,
    client: reqwest::Client,
}

impl Scene {
    fn new(program: &'static str, file: &str) -> Self {
        let setup = Server::builder().env("SERVER_PORT", free_port().to_string());
        let agents = setup.data_dir().join("agents");
        std::fs::create_dir_all(&agents).expect("a directory can be created");
        let character = json!({
            "id": AGENT, "name": "Xenia",
            "settings": { "backend": { "type": "external", "timeoutSeconds": 600 } },
        });
        std::fs::write(agents.join("xenia.json"), character.to_string())
            .expect("a file can be written");
        // The client can speak TLS, and requires a provider for it, though no test uses it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            server: setup.start(),
            program,
            file: example(file),
            agent: None,
            runtime: Runtime::new().expect("a runtime"),
            client: reqwest::Client::new(),
        }
    }

    fn start_agent(&mut self) {
        let agent = Command::new(self.program)
            .arg(&self.file)
            .env("SESSIOND_URL", self.server.url())
            .env("SESSIOND_AGENT", AGENT)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.agent = Some(agent.expect("the agent starts"));
    }

    fn kill_agent(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            process::kill(&mut agent);
        }
    }

    fn restart_server(&mut self) {
        self.server.kill9();
        self.server.restart();
    }

    fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        self.runtime.block_on(async {
            let mut request = self.client.request(method, self.server.at(path));
            if let Some(body) = body {
                request = request.json(body);
            }
            let response = request.send().await.expect("an answer");
            assert!(
                response.status().is_success(),
                "{path}: {}",
                response.status()
            );
            response.json().await.expect("JSON")
        })
    }

    fn create(&self) -> String {
        let body = json!({ "agentId": AGENT, "userId": USER });
        let session = self.call(Method::POST, "/api/messaging/sessions", Some(&body));
        session["sessionId"].as_str().expect("an id").to_owned()
    }

    fn send(&self, session: &str, content: &str) {
        let path = format!("/api/messaging/sessions/{session}/messages");
        self.call(Method::POST, &path, Some(&json!({ "content": content })));
    }

    fn history(&self, session: &str) -> Vec<Value> {
        let path = format!("/api/messaging/sessions/{session}/messages?limit=100");
        let page = self.call(Method::GET, &path, None);
        page["messages"].as_array().expect("messages").clone()
    }

    /// Sends a message to a new session, and waits until its turn has failed.
    fn assert_fails(&self, content: &str, words: &str) {
        let session = self.create();
        self.send(&session, content);
        let start = Instant::now();
        loop {
            let message = &self.history(&session)[0];
            if let Some(error) = message["metadata"].get("agentError") {
                assert_eq!(error["message"], words);
                assert_eq!(error["reason"], "refused");
                return;
            }
            assert!(start.elapsed() < ANSWER_LIMIT, "{message:#?}");
            thread::sleep(POLL);
        }
    }

    /// Waits until each message of the user has one reply, and no other message is there.
    fn assert_answered_once(&self, session: &str, asked: usize) {
        let start = Instant::now();
        loop {
            let history = self.history(session);
            let (replies, questions): (Vec<_>, Vec<_>) = history
                .iter()
                .partition(|message| message["isAgent"] == true);
            if questions.len() == asked && replies.len() >= asked {
                let mut texts: HashMap<&str, &str> = HashMap::new();
                for reply in &replies {
                    let to = reply["inReplyTo"].as_str().expect("it is a reply");
                    let text = reply["content"].as_str().expect("a text");
                    assert_eq!(texts.insert(to, text), None, "two replies: {history:#?}");
                }
                for question in questions {
                    let text = format!("You said: {}", question["content"].as_str().unwrap_or(""));
                    let id = question["id"].as_str().expect("an id");
                    assert_eq!(texts.get(id), Some(&text.as_str()));
                }
                return;
            }
            assert!(start.elapsed() < ANSWER_LIMIT, "{history:#?}");
            thread::sleep(POLL);
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.kill_agent();
    }
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data/examples")
        .join(name)
}

#[test]
fn the_python_example_answers_each_turn_once() {
    each_turn_is_answered_once("python3", "agent.py");
}

#[test]
fn the_node_example_answers_each_turn_once() {
    each_turn_is_answered_once("node", "agent.mjs");
}

fn each_turn_is_answered_once(program: &'static str, file: &'static str) {
    let _turn = ONE_AT_A_TIME.lock();
    if let Err(reason) = node::run(Command::new(program).arg("--version"), ANSWER_LIMIT) {
        return node::skip(&reason);
    }
    let mut scene = Scene::new(program, file);
    let session = scene.create();
    // They wait before there is an agent.
    scene.send(&session, "one");
    scene.send(&session, "two");
    scene.start_agent();
    scene.send(&session, "three");
    scene.assert_answered_once(&session, 3);

    // The agent dies, and the server with what waits for it.
    scene.kill_agent();
    scene.send(&session, "four");
    scene.send(&session, "five");
    scene.restart_server();
    scene.start_agent();
    scene.assert_answered_once(&session, 5);

    // The server dies under the agent, which comes back by itself.
    let mut asked = 5;
    for round in 0..3 {
        for number in 0..4 {
            scene.send(&session, &format!("{round}.{number}"));
        }
        asked += 4;
        scene.restart_server();
        if round == 1 {
            scene.kill_agent();
            scene.start_agent();
        }
        scene.assert_answered_once(&session, asked);
    }

    // An error of the agent instead of a reply.
    scene.assert_fails("decline", "I do not discuss this.");
}

#[test]
fn a_python_agent_that_fails_answers_the_next_turn() {
    let condition = r#"    if message["content"] == "decline":"#;
    let failing = r#"    if message["content"] == "fail":
        raise RuntimeError("broken")
    if message["content"] == "nothing":
        return None
"#;
    a_failure_ends_one_turn("python3", "agent.py", condition, failing);
}

#[test]
fn a_node_agent_that_fails_answers_the_next_turn() {
    let condition = "  if (content === 'decline')";
    let failing = "  if (content === 'fail') throw new Error('broken');
  if (content === 'nothing') return undefined;
";
    a_failure_ends_one_turn("node", "agent.mjs", condition, failing);
}

/// Puts lines that fail before a condition of the example's function `answer`.
fn a_failure_ends_one_turn(program: &'static str, file: &str, condition: &str, failing: &str) {
    let _turn = ONE_AT_A_TIME.lock();
    if let Err(reason) = node::run(Command::new(program).arg("--version"), ANSWER_LIMIT) {
        return node::skip(&reason);
    }
    let text = fs::read_to_string(example(file)).expect("the example");
    assert!(text.contains(condition), "{condition}");
    let changed = text.replacen(condition, &format!("{failing}{condition}"), 1);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut scene = Scene::new(program, file);
    scene.file = directory.path().join(file);
    fs::write(&scene.file, changed).expect("a file can be written");
    scene.start_agent();
    for content in ["fail", "nothing"] {
        scene.assert_fails(content, "The agent has failed.");
    }
    let session = scene.create();
    scene.send(&session, "one");
    scene.assert_answered_once(&session, 1);
}

#[test]
fn an_agent_without_an_id_says_what_to_set() {
    for (program, file) in [("python3", "agent.py"), ("node", "agent.mjs")] {
        if let Err(reason) = node::run(Command::new(program).arg("--version"), ANSWER_LIMIT) {
            return node::skip(&reason);
        }
        let mut command = Command::new(program);
        command.arg(example(file)).env_remove("SESSIOND_AGENT");
        let error = node::run(&mut command, Duration::from_secs(10)).expect_err("it fails");
        assert!(error.contains("exit status: 2"), "{error}");
        assert!(error.contains("SESSIOND_AGENT must be the id"), "{error}");
    }
}
