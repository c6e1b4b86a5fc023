//! A server in this process, as its users meet it: settings, a folder, an address.
//!
//! ```ignore
//! let mut server = Server::builder().set("MAX_PENDING_TURNS", "2").start().await;
//! let session = server.session().await;
//! server.advance(MINUTE);
//! server.restart().await; // the same folder, settings and clock
//! server.stop().await; // cleanly, and nothing in the database contradicts itself
//! ```

use std::collections::HashMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use sessiond::agents::backends::scripted::Scripted;
use sessiond::agents::character::Character;
use sessiond::agents::registry::Agent;
use sessiond::clock::{Clock, ClockHand};
use sessiond::domain::time::Timestamp;
use sessiond::events::EventBus;
use sessiond::server::{Parts, run_with};
use sessiond::settings::{Config, Layers};
use sessiond::store::Store;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// When every test begins: 2024-01-01T00:00:00Z.
pub(crate) const START: Timestamp = Timestamp(1_704_067_200_000);

/// The agent that is built in.
pub(crate) const ELIZA: &str = "b850bc30-45f8-0041-a00a-83df46d8555d";

/// The agent that does what a message says; see [`sessiond::agents::backends::scripted`].
pub(crate) const SCRIPTED: &str = "5c819ed0-0000-0000-0000-000000000001";

/// A user.
pub(crate) const USER: &str = "11111111-aaaa-0000-0000-000000000001";

/// A UUID that names nothing.
pub(crate) const NOBODY: &str = "99999999-0000-0000-0000-000000000009";

pub(crate) const SESSIONS: &str = "/api/messaging/sessions";

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_mins(1);
pub(crate) const HOUR: Duration = Duration::from_hours(1);

/// How the names of temporary folders begin.
const PREFIX: &str = "sessiond-api-";

/// What takes longer has failed. Generous: a test machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that has not been started yet.
pub(crate) struct Builder {
    settings: HashMap<String, String>,
    scripted: Value,
    folder: TempDir,
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
    /// Sets a variable of the server's configuration.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// How long the scripted agent may take.
    pub(crate) fn agent_timeout(mut self, span: Duration) -> Self {
        self.scripted["settings"]["backend"]["timeoutSeconds"] = span.as_secs().into();
        self
    }

    /// How many turns the scripted agent runs at once.
    pub(crate) fn agent_places(mut self, places: u32) -> Self {
        self.scripted["settings"]["backend"]["maxConcurrency"] = places.into();
        self
    }

    /// Puts a character file into the agents' folder.
    pub(crate) fn character(self, file: &str, character: &Value) -> Self {
        self.character_text(file, &character.to_string())
    }

    /// As [`Self::character`], as text.
    pub(crate) fn character_text(self, file: &str, text: &str) -> Self {
        let folder = self.data_dir().join("agents");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(file), text).unwrap();
        self
    }

    /// Takes a character file away.
    pub(crate) fn without_character(self, file: &str) -> Self {
        fs::remove_file(self.data_dir().join("agents").join(file)).unwrap();
        self
    }

    /// Leaves the scripted agent out.
    pub(crate) fn without_scripted(mut self) -> Self {
        self.scripted = Value::Null;
        self
    }

    /// The data folder.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts the server.
    pub(crate) async fn start(self) -> Server {
        let (clock, hand) = Clock::manual(START);
        // The client can speak TLS, and wants to be told by what means, though no test does.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().timeout(PATIENCE).build().unwrap();
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

    /// Starts the server, which must fail; says why it did.
    pub(crate) async fn start_in_vain(self) -> String {
        self.start_in_vain_at(START).await
    }

    /// As [`Self::start_in_vain`], at another time.
    pub(crate) async fn start_in_vain_at(self, now: Timestamp) -> String {
        let (clock, _hand) = Clock::manual(now);
        self.run_in_vain(&clock).await
    }

    /// As [`Self::start_in_vain`], where a file has to be left as it is.
    pub(crate) async fn start_in_vain_on(self, path: &Path, bytes: &[u8]) -> String {
        let (clock, _hand) = Clock::manual(START);
        let error = self.run_in_vain(&clock).await;
        assert_eq!(fs::read(path).unwrap(), bytes, "it is left as it was");
        error
    }

    async fn run_in_vain(&self, clock: &Clock) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let parts = self.parts(clock);
        let run = run_with(self.config(), parts, listener, std::future::pending());
        let ended = tokio::time::timeout(PATIENCE, run).await;
        let error = ended.expect("the start fails").expect_err("it fails");
        format!("{error:#}")
    }

    fn config(&self) -> Config {
        Config::read(Layers::from_variables(self.settings.clone())).unwrap()
    }

    fn parts(&self, clock: &Clock) -> Parts {
        let mut agents = Vec::new();
        if self.scripted.is_object() {
            let path = Path::new("scripted.json");
            let character = Character::parse(path, &self.scripted.to_string(), START).unwrap();
            let backend = Box::new(Scripted::new(clock.clone()));
            agents.push(Agent::with_backend(character, backend));
        }
        Parts {
            clock: clock.clone(),
            agents,
        }
    }
}

impl Server {
    /// A server to be set up first.
    pub(crate) fn builder() -> Builder {
        let folder = temporary_folder();
        let scripted = json!({
            "id": SCRIPTED,
            "name": "Scripted",
            "settings": { "backend": { "type": "eliza" } },
        });
        let builder = Builder {
            settings: HashMap::new(),
            scripted,
            folder,
        };
        let data_dir = builder.data_dir();
        builder.set("DATA_DIR", data_dir.to_str().unwrap())
    }

    /// A server with nothing but defaults.
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

    // Its life

    /// Asks the server to stop; what it answers meanwhile can still be read.
    pub(crate) fn begin_stop(&mut self) -> JoinHandle<anyhow::Result<()>> {
        let run = self.run.take().expect("the server runs");
        let _ = run.stop.send(());
        run.ended
    }

    /// Waits for the end of a stop, and checks the database in full; returns how many sessions
    /// are stored.
    pub(crate) async fn finish_stop(&self, ended: JoinHandle<anyhow::Result<()>>) -> u64 {
        Self::finish(ended).await;
        let (sessions, faults) = self.inspect().await;
        assert!(faults.is_empty(), "after the stop: {faults:#?}");
        sessions
    }

    /// Stops the server cleanly, and checks the database in full; returns how many sessions are
    /// stored.
    pub(crate) async fn stop(mut self) -> u64 {
        let ended = self.begin_stop();
        self.finish_stop(ended).await
    }

    /// Stops the server cleanly and starts it again on the same folder.
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
        let setup = self.setup.take().expect("only a start takes it away");
        self.setup = Some(change(setup));
        self.launch().await;
    }

    /// Starts a server beside this one on the same folder, which must fail; says why it did.
    pub(crate) async fn start_another_in_vain(&self) -> String {
        self.setup().run_in_vain(&self.clock).await
    }

    async fn finish(ended: JoinHandle<anyhow::Result<()>>) {
        let ended = tokio::time::timeout(PATIENCE, ended).await;
        let result = ended.expect("the server stops").expect("without a panic");
        result.expect("the server stops cleanly");
    }

    /// What a stopped server left: how many sessions, and what contradicts itself.
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
        self.setup.as_ref().expect("only a start takes it away")
    }

    /// The database file.
    pub(crate) fn database(&self) -> PathBuf {
        self.setup().data_dir().join("sessiond.redb")
    }

    // Its clock

    /// Moves the clock on.
    pub(crate) fn advance(&self, span: Duration) {
        self.hand.advance(span);
    }

    /// Sets the clock to so long after the start.
    pub(crate) fn set_clock(&self, since_start: Duration) {
        let since_start = i64::try_from(since_start.as_millis()).unwrap();
        self.hand.set(Timestamp(START.0 + since_start));
    }

    /// What time it is, as it is written on the wire.
    pub(crate) fn now(&self) -> String {
        self.clock.now().to_string()
    }

    /// Where the server listens, without a slash at the end.
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
        assert!(is_over, "the test ends without a stop of its server");
    }
}

/// A folder in memory, where the system has a place for that: nothing here pulls the plug, and
/// the syncs of a busy disk would take most of the time. `TMPDIR` says otherwise.
fn temporary_folder() -> TempDir {
    let in_memory = match env::var_os("TMPDIR") {
        None => TempDir::with_prefix_in(PREFIX, "/dev/shm").ok(),
        Some(_) => None,
    };
    in_memory.unwrap_or_else(|| TempDir::with_prefix(PREFIX).unwrap())
}
