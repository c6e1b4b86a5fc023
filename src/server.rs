//! The server's life, from an open file to a clean stop.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::util::BoxCloneSyncService;

use crate::agents::registry::{Agent, BackendContext, Registry};
use crate::api::{self, Sockets};
use crate::app::App;
use crate::auth::Authenticator;
use crate::auth::rate::Limits;
use crate::clock::Clock;
use crate::connections::Connections;
use crate::domain::time::Timestamp;
use crate::events::EventBus;
use crate::janitor::Janitor;
use crate::process::server_lock::{self, ServerLock};
use crate::process::signals::{self, Signals};
use crate::realtime::{self, Realtime};
use crate::settings::Config;
use crate::space;
use crate::store::error::OpenError;
use crate::store::{Found, Store};
use crate::transport::{self, local_socket};
use crate::verification;

/// The name of the database in the data folder.
pub(crate) const DATABASE: &str = "sessiond.redb";

/// How long the work that goes on without its caller may take at a stop.
const FINISH: Duration = Duration::from_secs(3);

/// The shortest pause between two verifications, however fast a test lets time pass.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// What tests put in the place of the real thing.
#[derive(Debug)]
pub struct Parts {
    /// What time it is.
    pub clock: Clock,
    /// More agents.
    pub agents: Vec<Agent>,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            agents: Vec::new(),
        }
    }
}

/// Serves on the listener until `shutdown` is over, and stops cleanly.
///
/// # Errors
/// The data or the agents cannot be read, or the stop could not be recorded.
pub async fn run(
    config: Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    run_with(config, Parts::default(), listener, shutdown).await
}

/// As [`run`], with other parts.
///
/// # Errors
/// As [`run`].
pub async fn run_with(
    config: Config,
    parts: Parts,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let Parts {
        clock,
        agents: more_agents,
    } = parts;
    let folder = &config.storage.data_dir;
    if clock.now() < Timestamp(0) {
        // The HTTP library cannot write such a date, and no session would ever expire.
        bail!(
            "the system clock stands at {}, before 1970; set it and start again",
            clock.now()
        );
    }
    make_folder(folder)?;
    let path = folder.join(DATABASE);
    // Until the end, so that nobody else works on what is at the path.
    let _lock = lock(folder).with_context(|| format!("the database {}", path.display()))?;
    // From here on a signal to read the files again does not end the process.
    let hangups = signals::hangups();
    let mut source = AgentSource::new(&config, clock.clone(), more_agents)?;
    let agents = source.load()?;
    let events = EventBus::default();
    let (store, found) = Store::open(
        &path,
        config.storage.cache_bytes,
        config.rules,
        clock.clone(),
        events.clone(),
    )
    .with_context(|| format!("the database {}", path.display()))?;
    let store = Arc::new(store);
    let app = Arc::new(App::new(
        Arc::clone(&store),
        agents,
        events,
        Limits::new(config.guard.rates, &clock),
        clock.clone(),
    ));
    banner(&path, found, &app);

    let turns = app
        .recover()
        .await
        .map_err(|error| anyhow::anyhow!("open turns: {error:?}"))?;
    if turns > 0 {
        tracing::info!(
            sessions = turns,
            "taking up the turns that the last stop cut off"
        );
    }
    let stop = CancellationToken::new();
    let background = TaskTracker::new();
    let janitor = Janitor::new(Arc::clone(&app), config.cleanup_interval);
    background.spawn(janitor.run(stop.child_token()));
    background.spawn(space::watch(Arc::clone(&app), stop.child_token()));
    if let Some(interval) = config.verify_interval {
        let interval = interval.to_duration().max(SHORTEST_INTERVAL);
        background.spawn(verification::run(
            Arc::clone(&app),
            interval,
            stop.child_token(),
        ));
    }
    let reloader = reload_agents(Arc::clone(&app), source, hangups);
    background.spawn(stop.child_token().run_until_cancelled_owned(reloader));
    let guard = Arc::new(Authenticator::new(config.guard, clock));
    let connections = Connections::new(config.server.max_connections, guard.proxies.clone());
    let connections = Arc::new(connections);
    let realtime = Realtime::new(&app, Arc::clone(&guard), Arc::clone(&connections));
    let sockets = Sockets {
        path: realtime::PATH,
        max_body: realtime::MAX_MESSAGE,
        router: realtime.router(),
    };
    let service = BoxCloneSyncService::new(api::service(&app, &guard, sockets));
    let shutdown = async {
        shutdown.await;
        app.begin_stop();
    };
    // Sockets are told of the stop when everybody else is.
    let closing = async {
        app.stopping().cancelled().await;
        realtime.close();
    };
    let keep_alive = config.server.keep_alive;
    let stopping = app.stopping().cancelled();
    let commands = local_socket::serve(&path, keep_alive, service.clone(), stopping);
    tracing::info!("listening on http://{}", listener.local_addr()?);
    let serving = transport::serve(listener, connections, keep_alive, service, shutdown);
    tokio::join!(serving, commands, closing);

    if tokio::time::timeout(FINISH, app.finish_stop())
        .await
        .is_err()
    {
        tracing::warn!("some work was cut off by the stop");
    }
    stop.cancel();
    background.close();
    // A task that panicked has ended too.
    background.wait().await;
    if !store.close(config.clear_on_shutdown).await {
        bail!("the stop could not be recorded in {}", path.display());
    }
    tracing::info!(cleared = config.clear_on_shutdown, "stopped");
    Ok(())
}

/// Where the agents come from, at the start and whenever their files are read again.
struct AgentSource {
    folder: PathBuf,
    /// Whether the folder was there when it was last read.
    was_there: bool,
    clock: Clock,
    tools: BackendContext,
    /// Those that have no files.
    others: Vec<Arc<Agent>>,
}

impl AgentSource {
    fn new(config: &Config, clock: Clock, others: Vec<Agent>) -> anyhow::Result<Self> {
        Ok(Self {
            folder: agents_folder(config),
            was_there: false,
            clock,
            tools: agent_tools(config)?,
            others: others.into_iter().map(Arc::new).collect(),
        })
    }

    fn load(&mut self) -> anyhow::Result<Registry> {
        let mut agents = Registry::load(&self.folder, self.clock.now(), &self.tools)?;
        let is_there = self.folder.is_dir();
        // Maybe a disk is not mounted. Nobody takes all agents away like this.
        if self.was_there && !is_there {
            bail!(
                "the folder {} is gone; make it again, empty if there are to be no files",
                self.folder.display()
            );
        }
        self.was_there = is_there;
        for agent in &self.others {
            agents.add(Arc::clone(agent));
        }
        Ok(agents)
    }
}

/// The folder of the character files.
#[must_use]
pub fn agents_folder(config: &Config) -> PathBuf {
    config.storage.data_dir.join("agents")
}

/// What the agents' backends are made with.
///
/// # Errors
/// There can be no HTTP client on this machine.
pub fn agent_tools(config: &Config) -> anyhow::Result<BackendContext> {
    Ok(BackendContext::new(config.environment.clone())?)
}

/// Reads the character files again at each signal. Where one is broken, all stays as it is.
async fn reload_agents(app: Arc<App>, mut source: AgentSource, mut hangups: Signals) {
    while hangups.next().await {
        match source.load() {
            Ok(agents) => {
                app.replace_agents(agents);
                tracing::info!("the character files were read again");
                name_agents(&app);
            }
            Err(error) => tracing::error!("the agents stay as they are: {error:#}"),
        }
    }
}

/// Takes the data folder for this server.
fn lock(folder: &Path) -> anyhow::Result<Option<ServerLock>> {
    match ServerLock::take(folder, server_lock::Mode::Exclusive) {
        Ok(Some(lock)) => Ok(Some(lock)),
        Ok(None) => Err(OpenError::InUse.into()),
        Err(error) => {
            tracing::warn!(
                %error,
                folder = %folder.display(),
                "the data folder cannot be locked; the lock of the database file must do"
            );
            Ok(None)
        }
    }
}

pub(crate) fn make_folder(folder: &Path) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(folder)
        .map_err(OpenError::Io)
        .with_context(|| format!("the data folder {} cannot be made", folder.display()))
}

fn banner(path: &Path, found: Found, app: &App) {
    let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let last_stop = match found.clean_stop {
        None => "none, the database is new",
        Some(true) => "clean",
        Some(false) => "not clean, nothing that was acknowledged is lost",
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        database = %path.display(),
        bytes,
        sessions = found.sessions,
        last_stop,
        "sessiond"
    );
    name_agents(app);
}

fn name_agents(app: &App) {
    for agent in app.agents().iter() {
        tracing::info!(
            name = agent.character.name,
            id = %agent.character.id,
            backend = agent.backend.kind(),
            "agent"
        );
    }
}
