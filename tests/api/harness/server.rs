//! A server in this process, with settings, a data directory and an address.
//!
//! ```ignore
//! let mut server = Server::builder().set("MAX_PENDING_TURNS", "2").start().await;
//! let session = server.session().await;
//! server.advance(MINUTE);
//! server.restart().await; // the same directory, settings and clock
//! server.stop().await; // cleanly, with a full check of the database
//! ```

use std::collections::HashMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use sessiond::agents::character::Character;
use sessiond::agents::registry::Agent;
use sessiond::app::ScanLimits;
use sessiond::clock::{Clock, ClockHand};
use sessiond::domain::time::Timestamp;
use sessiond::events::EventBus;
use sessiond::server::{Overrides, run_with};
use sessiond::settings::{Config, Layers};
use sessiond::store::Store;
use sessiond::telemetry::RecentLog;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::scripted_backend::Scripted;

/// The time at which every test begins: 2024-01-01T00:00:00Z.
pub(crate) const START: Timestamp = Timestamp(1_704_067_200_000);

/// The id of the built-in agent.
pub(crate) const ELIZA: &str = "b850bc30-45f8-0041-a00a-83df46d8555d";

/// The id of the agent that does what a message says; see [`super::scripted_backend`].
pub(crate) const SCRIPTED: &str = "5c819ed0-0000-0000-0000-000000000001";

/// The id of a user.
pub(crate) const USER: &str = "11111111-aaaa-0000-0000-000000000001";

/// A UUID that names nothing.
pub(crate) const UNKNOWN_ID: &str = "99999999-0000-0000-0000-000000000009";

pub(crate) const SESSIONS: &str = "/api/messaging/sessions";

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_mins(1);
pub(crate) const HOUR: Duration = Duration::from_hours(1);

/// The prefix of the names of temporary directories.
const PREFIX: &str = "sessiond-api-";

/// The longest that anything may take. Generous, since a test machine may be busy.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Sets up a server before its start.
pub(crate) struct Builder {
    settings: HashMap<String, String>,
    scripted: Value,
    directory: TempDir,
    recent_log: RecentLog,
    scan_limits: ScanLimits,
}

/// A running server.
pub(crate) struct Server {
    setup: Option<Builder>,
    run: Option<Running>,
    clock: Clock,
    hand: ClockHand,
    client: Client,
}

struct Running {
    url: String,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<anyhow::Result<()>>,
}

impl Builder {
    /// Sets a setting.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets the timeout of the scripted agent.
    pub(crate) fn agent_timeout(mut self, span: Duration) -> Self {
        self.scripted["settings"]["backend"]["timeoutSeconds"] = span.as_secs().into();
        self
    }

    /// Sets how many turns the scripted agent runs at once.
    pub(crate) fn agent_concurrency(mut self, places: u32) -> Self {
        self.scripted["settings"]["backend"]["maxConcurrency"] = places.into();
        self
    }

    /// Sets how long a search may take. The clock stands still during a call, so that it is over
    /// at once, or never.
    pub(crate) fn scan_budget(mut self, span: Duration) -> Self {
        self.scan_limits.budget = span;
        self
    }

    /// Sets how many searches run at once. Without any, they wait until their clients disconnect.
    pub(crate) fn scans_at_once(mut self, number: usize) -> Self {
        self.scan_limits.running = number;
        self
    }

    /// Sets the log of which administrators see the last lines.
    pub(crate) fn recent_log(mut self, log: &RecentLog) -> Self {
        self.recent_log = log.clone();
        self
    }

    /// Writes a character file into the agents' directory.
    pub(crate) fn character(self, file: &str, character: &Value) -> Self {
        self.character_text(file, &character.to_string())
    }

    /// As [`Self::character`], from text.
    pub(crate) fn character_text(self, file: &str, text: &str) -> Self {
        let directory = self.data_dir().join("agents");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(file), text).unwrap();
        self
    }

    /// Removes a character file.
    pub(crate) fn without_character(self, file: &str) -> Self {
        fs::remove_file(self.data_dir().join("agents").join(file)).unwrap();
        self
    }

    /// Starts without the scripted agent.
    pub(crate) fn without_scripted(mut self) -> Self {
        self.scripted = Value::Null;
        self
    }

    /// Returns the data directory.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Starts the server.
    pub(crate) async fn start(self) -> Server {
        let (clock, hand) = Clock::manual(START);
        // reqwest requires a TLS provider, although no test uses TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().timeout(TIMEOUT).build().unwrap();
        let mut server = Server {
            setup: Some(self),
            run: None,
            clock,
            hand,
            client,
        };
        server.launch().await;
        server
    }

    /// Starts the server, which must fail, and returns the error.
    pub(crate) async fn start_error(self) -> String {
        self.start_error_at(START).await
    }

    /// As [`Self::start_error`], at another time.
    pub(crate) async fn start_error_at(self, now: Timestamp) -> String {
        let (clock, _hand) = Clock::manual(now);
        self.run_error(&clock).await
    }

    /// As [`Self::start_error`], with a file that must not be changed.
    pub(crate) async fn start_error_with(self, path: &Path, bytes: &[u8]) -> String {
        let (clock, _hand) = Clock::manual(START);
        let error = self.run_error(&clock).await;
        assert_eq!(fs::read(path).unwrap(), bytes, "the file is unchanged");
        error
    }

    async fn run_error(&self, clock: &Clock) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let parts = self.parts(clock);
        let run = run_with(self.config(), parts, listener, std::future::pending());
        let ended = tokio::time::timeout(TIMEOUT, run).await;
        let error = ended.expect("the start fails").expect_err("an error");
        format!("{error:#}")
    }

    fn config(&self) -> Config {
        Config::read(Layers::from_variables(self.settings.clone())).unwrap()
    }

    fn parts(&self, clock: &Clock) -> Overrides {
        let mut agents = Vec::new();
        if self.scripted.is_object() {
            let path = Path::new("scripted.json");
            let character = Character::parse(path, &self.scripted.to_string(), START).unwrap();
            let backend = Box::new(Scripted::new(clock.clone()));
            agents.push(Agent::with_backend(character, backend));
        }
        Overrides {
            clock: clock.clone(),
            agents,
            recent_log: self.recent_log.clone(),
            scan_limits: self.scan_limits,
            greeting: None,
        }
    }
}

impl Server {
    /// Returns a builder with the defaults of the tests.
    pub(crate) fn builder() -> Builder {
        let directory = temporary_directory();
        let scripted = json!({
            "id": SCRIPTED,
            "name": "Scripted",
            "settings": { "backend": { "type": "eliza" } },
        });
        let builder = Builder {
            settings: HashMap::new(),
            scripted,
            directory,
            recent_log: RecentLog::default(),
            scan_limits: ScanLimits::default(),
        };
        let data_dir = builder.data_dir();
        builder.set("DATA_DIR", data_dir.to_str().unwrap())
    }

    /// Starts a server with default settings.
    pub(crate) async fn start() -> Self {
        Self::builder().start().await
    }

    async fn launch(&mut self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let parts = self.setup().parts(&self.clock);
        let ended = tokio::spawn(run_with(self.setup().config(), parts, listener, shutdown));
        self.run = Some(Running { url, stop, ended });
        self.get("/healthz").await.expect(200);
    }

    // Life cycle

    /// Begins a stop. Answers to calls in progress can still be read.
    pub(crate) fn begin_stop(&mut self) -> JoinHandle<anyhow::Result<()>> {
        let run = self.run.take().expect("the server runs");
        let _ = run.stop.send(());
        run.ended
    }

    /// Waits for the end of a stop, checks the database in full, and returns the number of stored
    /// sessions.
    pub(crate) async fn finish_stop(&self, ended: JoinHandle<anyhow::Result<()>>) -> u64 {
        Self::finish(ended).await;
        let (sessions, faults) = self.inspect().await;
        assert!(faults.is_empty(), "after the stop: {faults:#?}");
        sessions
    }

    /// Stops the server cleanly, checks the database in full, and returns the number of stored
    /// sessions.
    pub(crate) async fn stop(mut self) -> u64 {
        let ended = self.begin_stop();
        self.finish_stop(ended).await
    }

    /// Stops the server cleanly and starts it again on the same directory.
    pub(crate) async fn restart(&mut self) {
        self.restart_with(|setup| setup).await;
    }

    /// As [`Self::restart`], with a change in between.
    pub(crate) async fn restart_with(&mut self, change: impl FnOnce(Builder) -> Builder) {
        let ended = self.begin_stop();
        self.finish_stop(ended).await;
        self.launch_with(change).await;
    }

    /// Starts a server that was stopped.
    pub(crate) async fn launch_with(&mut self, change: impl FnOnce(Builder) -> Builder) {
        let setup = self.setup.take().expect("only a start takes it");
        self.setup = Some(change(setup));
        self.launch().await;
    }

    /// Starts another server on the same directory, which must fail, and returns the error.
    pub(crate) async fn second_start_error(&self) -> String {
        self.setup().run_error(&self.clock).await
    }

    async fn finish(ended: JoinHandle<anyhow::Result<()>>) {
        let ended = tokio::time::timeout(TIMEOUT, ended).await;
        let result = ended.expect("the server stops").expect("without a panic");
        result.expect("the server stops cleanly");
    }

    /// Returns the number of sessions in a stopped server's database, and the faults that a full
    /// check finds.
    async fn inspect(&self) -> (u64, Vec<String>) {
        let config = self.setup().config();
        let (store, found) = Store::open(
            &self.database(),
            config.storage.cache_bytes,
            config.rules,
            self.clock.clone(),
            EventBus::default(),
        )
        .expect("the database can be opened again");
        assert_eq!(found.clean_stop, Some(true), "the stop was clean");
        let faults = store.check().expect("the database can be read");
        assert!(store.close(false).await, "the database can be closed");
        (found.sessions, faults)
    }

    fn setup(&self) -> &Builder {
        self.setup.as_ref().expect("only a start takes it")
    }

    /// Returns the path of the database file.
    pub(crate) fn database(&self) -> PathBuf {
        self.setup().data_dir().join("sessiond.redb")
    }

    // Clock

    /// Moves the clock forward.
    pub(crate) fn advance(&self, span: Duration) {
        self.hand.advance(span);
    }

    /// Sets the clock to that long after the start.
    pub(crate) fn set_clock(&self, since_start: Duration) {
        let since_start = i64::try_from(since_start.as_millis()).unwrap();
        self.hand.set(Timestamp(START.0 + since_start));
    }

    /// Returns the time, as the API writes it.
    pub(crate) fn now(&self) -> String {
        self.clock.now().to_string()
    }

    /// Returns the server's address, without a trailing slash.
    pub(crate) fn url(&self) -> &str {
        let run = self.run.as_ref().expect("the server runs");
        &run.url
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let is_over = self.run.is_none() || std::thread::panicking();
        assert!(is_over, "the test did not stop its server");
    }
}

/// Creates a temporary directory, in memory if the system has a place for that: these tests do not
/// cut the power, and syncs on a busy disk would take most of their time. `TMPDIR` overrides it.
fn temporary_directory() -> TempDir {
    let in_memory = match env::var_os("TMPDIR") {
        None => TempDir::with_prefix_in(PREFIX, "/dev/shm").ok(),
        Some(_) => None,
    };
    in_memory.unwrap_or_else(|| TempDir::with_prefix(PREFIX).unwrap())
}
