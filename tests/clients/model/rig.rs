//! The model's server, which can be killed and restarted, and a sessiond in front of it.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::super::support::process;
use super::super::support::server::Server;
use super::super::{USER, source};
use super::install::{self, Installed};

const AGENT: &str = "a6e27000-0000-0000-0000-0000000000ee";

/// The longest that the model may take to load, begin or end.
const TIMEOUT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(50);

/// A model behind a server of its own, at a fixed address.
#[derive(Debug)]
pub(super) struct Gemma {
    installed: Installed,
    port: u16,
    context_tokens: u32,
    running: Option<Child>,
    log: TempDir,
    http: Http,
}

impl Gemma {
    /// Prepares a model with a context of this many tokens, without starting it.
    ///
    /// # Errors
    /// Says what is missing.
    pub(super) fn new(context_tokens: u32) -> Result<Self, String> {
        let installed = install::install()?;
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        Ok(Self {
            installed,
            port,
            context_tokens,
            running: None,
            log: tempfile::tempdir().expect("a temporary directory"),
            http: Http::new(),
        })
    }

    /// Starts the server and waits until it has loaded the model.
    pub(super) fn serve(&mut self) {
        self.begin_to_serve();
        self.wait_until("the model is loaded", || {
            let health = self.http.get(&self.at("/health"));
            health.is_some_and(|health| health.status == 200)
        });
    }

    /// Starts the server without waiting.
    pub(super) fn begin_to_serve(&mut self) {
        let log = self.log.path().join("log");
        let log = fs::File::options().create(true).append(true).open(log);
        let log = log.expect("a log file");
        let server = Command::new("python3")
            .arg(source().join("model.py"))
            .arg("serve")
            .arg(&self.installed.file)
            .args([self.port.to_string(), self.context_tokens.to_string()])
            .env("PYTHONPATH", &self.installed.packages)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a file can be cloned"))
            .stderr(log)
            .spawn();
        self.running = Some(server.expect("python3 can be started"));
    }

    /// Ends the server like a crash.
    pub(super) fn kill(&mut self) {
        if let Some(mut server) = self.running.take() {
            process::kill(&mut server);
        }
    }

    /// Returns whether the model is generating.
    pub(super) fn is_busy(&self) -> bool {
        let slots = self.http.get(&self.at("/slots"));
        let slots = slots.expect("the model's server answers").body;
        let slots = slots.as_array().expect("a list of slots");
        slots.iter().any(|slot| slot["is_processing"] == true)
    }

    pub(super) fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(
                start.elapsed() < TIMEOUT,
                "{what}: not within {TIMEOUT:?}; {}",
                self.log()
            );
            thread::sleep(POLL);
        }
    }

    /// Returns the URL of a path.
    pub(super) fn at(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn log(&self) -> String {
        let log = fs::read(self.log.path().join("log")).unwrap_or_default();
        format!("its log:\n{}", String::from_utf8_lossy(&log))
    }
}

impl Drop for Gemma {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A sessiond with an agent that is backed by a model.
#[derive(Debug)]
pub(super) struct Sessions {
    server: Server,
    http: Http,
}

impl Sessions {
    /// Starts one whose character file has these fields besides the model's address.
    pub(super) fn with(gemma: &Gemma, fields: &Value) -> Self {
        let mut backend = json!({
            "type": "openai", "baseUrl": gemma.at("/v1"), "temperature": 0,
        });
        let fields = fields.as_object().expect("an object of fields");
        backend
            .as_object_mut()
            .expect("an object of fields")
            .extend(fields.clone());
        let character = json!({
            "id": AGENT, "name": "Gemma", "system": "Answer in a few words.",
            "settings": { "backend": backend },
        });
        let setup = Server::builder().env("RUST_LOG", "sessiond=debug");
        let agents = setup.data_dir().join("agents");
        fs::create_dir_all(&agents).expect("a directory");
        fs::write(agents.join("gemma.json"), character.to_string()).expect("a file");
        Self {
            server: setup.start(),
            http: Http::new(),
        }
    }

    /// Creates a session and returns its id.
    pub(super) fn create(&self) -> String {
        let body = json!({ "agentId": AGENT, "userId": USER });
        let url = self.server.at("/api/messaging/sessions");
        let created = self.http.call(Method::POST, &url, Some(&body));
        let id = created.expect("an answer").body["sessionId"].clone();
        id.as_str().expect("the session's id").to_owned()
    }

    /// Sends a message and waits for the reply.
    pub(super) fn ask(&self, session: &str, content: &str) -> HttpAnswer {
        let body = json!({ "content": content, "transport": "http" });
        let heard = self
            .http
            .call(Method::POST, &self.of(session, "/messages"), Some(&body));
        heard.expect("an answer")
    }

    /// Deletes a session and returns the status.
    /// Stops all replies of a session.
    pub(super) fn cancel(&self, session: &str) -> HttpAnswer {
        let url = self.of(session, "/cancel");
        self.http.call(Method::POST, &url, None).expect("an answer")
    }

    pub(super) fn delete(&self, session: &str) -> u16 {
        let answer = self.http.call(Method::DELETE, &self.of(session, ""), None);
        answer.expect("an answer").status
    }

    /// Returns the session's messages.
    pub(super) fn history(&self, session: &str) -> Vec<Value> {
        let answer = self.http.get(&self.of(session, "/messages"));
        let body = answer.expect("an answer").body;
        body["messages"].as_array().expect("messages").clone()
    }

    pub(super) fn log(&self) -> String {
        self.server.log()
    }

    fn of(&self, session: &str, path: &str) -> String {
        let path = format!("/api/messaging/sessions/{session}{path}");
        self.server.at(&path)
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct HttpAnswer {
    pub(super) status: u16,
    pub(super) body: Value,
}

/// A blocking HTTP client.
#[derive(Debug)]
struct Http {
    runtime: Runtime,
    client: reqwest::Client,
}

impl Http {
    fn new() -> Self {
        // reqwest requires a TLS provider, although no test uses TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            runtime: Runtime::new().expect("a runtime"),
            client: reqwest::Client::new(),
        }
    }

    fn get(&self, url: &str) -> Option<HttpAnswer> {
        self.call(Method::GET, url, None)
    }

    /// Returns the answer, or `None` if the connection is refused.
    fn call(&self, method: Method, url: &str, body: Option<&Value>) -> Option<HttpAnswer> {
        let request = self.client.request(method, url);
        let request = body.into_iter().fold(request, RequestBuilder::json);
        self.runtime.block_on(async {
            let answer = request.send().await.ok()?;
            let status = answer.status().as_u16();
            let body = answer.json().await.unwrap_or_default();
            Some(HttpAnswer { status, body })
        })
    }
}
