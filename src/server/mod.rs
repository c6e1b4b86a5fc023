//! The life of the server: start, run, stop.

mod agent_source;
mod data_dir;

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::future::OptionFuture;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::util::BoxCloneSyncService;

use self::agent_source::{AgentSource, log_agents, reload_agents};
pub(crate) use self::data_dir::{create_agents_dir, create_data_dir, lock};
use crate::agents::registry::{Agent, Registry};
use crate::api::{self, Sockets};
use crate::app::{App, ScanLimits};
use crate::auth::Authenticator;
use crate::auth::rate::RateLimits;
use crate::clock::Clock;
use crate::connections::Connections;
use crate::domain::time::Timestamp;
use crate::events::EventBus;
use crate::janitor::Janitor;
use crate::metrics_sampler::MetricsSampler;
use crate::process::server_lock::{Mode, ServerLock};
use crate::process::signals;
use crate::realtime::{self, Realtime};
use crate::scheduled_backups;
use crate::settings::Config;
use crate::space;
use crate::store::{OpenReport, Store};
use crate::telemetry::RecentLog;
use crate::transport;
use crate::transport::local_socket::{self, LocalListener};
use crate::verification;

/// How long a stop waits for work that continues without its caller.
const FINISH_LIMIT: Duration = Duration::from_secs(3);

/// The shortest pause between two verifications, for tests with scaled time.
const MIN_VERIFY_INTERVAL: Duration = Duration::from_millis(100);

/// What tests replace or add.
#[derive(Debug)]
pub struct Overrides {
    /// The clock of the server.
    pub clock: Clock,
    /// Agents in addition to those of the character files.
    pub agents: Vec<Agent>,
    /// The log of which operators see the last warnings and errors.
    pub recent_log: RecentLog,
    /// The limits of searches.
    pub scan_limits: ScanLimits,
    /// What greets the person who has started the server, in place of the log's lines about the
    /// start.
    pub greeting: Option<Greeting>,
}

/// Called once, when the server listens.
pub struct Greeting(Box<dyn FnOnce(&Started) + Send + Sync>);

/// A server that listens.
#[derive(Debug)]
pub struct Started {
    /// Its address.
    pub address: SocketAddr,
    /// The state in which its database was.
    pub found: OpenReport,
    /// Its agents.
    pub agents: Arc<Registry>,
}

impl Greeting {
    /// Returns a greeting that calls `greet`.
    pub fn new(greet: impl FnOnce(&Started) + Send + Sync + 'static) -> Self {
        Self(Box::new(greet))
    }
}

impl fmt::Debug for Greeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Greeting")
    }
}

/// Serves on the listener until `shutdown` resolves, then stops cleanly. `log` is the log of which
/// operators see the last warnings and errors; `greeting` replaces its lines about the start.
///
/// # Errors
/// Returns an error if the data or the agents cannot be read, or the stop cannot be recorded.
pub async fn run(
    config: Config,
    log: &RecentLog,
    greeting: Option<Greeting>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let parts = Overrides {
        clock: Clock::system(),
        agents: Vec::new(),
        recent_log: log.clone(),
        scan_limits: ScanLimits::default(),
        greeting,
    };
    run_with(config, parts, listener, shutdown).await
}

/// Does the same as [`run`], with other parts.
///
/// # Errors
/// Returns the same errors as [`run`].
pub async fn run_with(
    mut config: Config,
    parts: Overrides,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    // The system chooses the port if the setting is 0.
    let port = listener.local_addr()?.port();
    config.settings.set_value("SERVER_PORT", port.to_string());
    let server = Server::start(config, parts, "serve")?;
    server.resume().await?;
    let socket = server.bind_socket().inspect_err(|error| {
        tracing::warn!(
            error = format!("{error:#}"),
            "the command socket cannot be created: `sessiond chat`, `sessiond backup` and \
             `sessiond export` need the server stopped"
        );
    });
    server.serve(Some(listener), socket.ok(), shutdown).await
}

/// A server with its data open, which does not listen yet.
pub(crate) struct Server {
    config: Config,
    clock: Clock,
    store: Arc<Store>,
    app: Arc<App>,
    found: OpenReport,
    greeting: Option<Greeting>,
    stop: CancellationToken,
    background: TaskTracker,
    /// Held until the end, so that no other process works on the file at this path.
    _lock: Option<ServerLock>,
}

impl Server {
    /// Opens the data and the agents. `command` is the command of this process, which other
    /// processes name that find the data in use.
    ///
    /// Must be called within the runtime.
    pub(crate) fn start(config: Config, parts: Overrides, command: &str) -> anyhow::Result<Self> {
        let clock = parts.clock;
        if clock.now() < Timestamp(0) {
            // The HTTP library cannot write such a date, and no session would ever expire.
            bail!(
                "the system clock is at {}, before 1970; set it and start again",
                clock.now()
            );
        }
        create_data_dir(&config.storage.data_dir)?;
        let path = config.storage.database();
        let in_database = || format!("the database {}", path.display());
        let lock = lock(&config.storage.data_dir, Mode::Exclusive).with_context(in_database)?;
        let lock = lock.map(|lock| lock.announced(&config.storage.data_dir, command));
        // From here on SIGHUP reloads the agents instead of ending the process.
        let hangups = signals::hangups();
        let mut source = AgentSource::new(&config, clock.clone(), parts.agents)?;
        let agents = source.load()?;
        let opened = open(&config, &path, agents, &clock).with_context(in_database)?;
        let (store, app, found) = opened;
        let is_logged = parts.greeting.is_none();
        if is_logged {
            log_start(&path, found);
        }
        log_agents(&app, &config.environment, is_logged);
        let app = app
            .with_scan_limits(parts.scan_limits)
            .with_settings(config.settings.clone())
            .with_recent_log(parts.recent_log);
        let app = Arc::new(app);
        source.create_directory();
        let stop = CancellationToken::new();
        let background = start_background(&app, &config, &stop);
        let variables = config.environment.clone();
        let reload = reload_agents(Arc::clone(&app), source, hangups, variables);
        background.spawn(stop.clone().run_until_cancelled_owned(reload));
        Ok(Self {
            config,
            clock,
            store,
            app,
            found,
            greeting: parts.greeting,
            stop,
            background,
            _lock: lock,
        })
    }

    /// Resumes the turns that the previous stop interrupted.
    pub(crate) async fn resume(&self) -> anyhow::Result<()> {
        let resumed = self.app.recover().await;
        let sessions = resumed.map_err(|error| anyhow::anyhow!("open turns: {error:?}"))?;
        if sessions > 0 {
            tracing::info!(
                sessions,
                "resuming the turns that the previous stop interrupted"
            );
        }
        Ok(())
    }

    /// Creates the Unix socket.
    pub(crate) fn bind_socket(&self) -> anyhow::Result<LocalListener> {
        let path = local_socket::path(&self.config.storage.database());
        LocalListener::bind(&path).with_context(|| path.display().to_string())
    }

    /// Serves until `shutdown` resolves, then stops cleanly.
    pub(crate) async fn serve(
        self,
        listener: Option<TcpListener>,
        socket: Option<LocalListener>,
        shutdown: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let path = self.config.storage.database();
        let clear = self.config.clear_on_shutdown;
        let config = self.config.clone();
        let announce = |address| {
            announce(address, self.greeting, self.found, &self.app);
            // Their log lines follow the greeting.
            start_upkeep(&self.background, &self.app, &config, &self.stop);
        };
        serve(
            &self.app,
            self.config,
            self.clock,
            listener,
            socket,
            announce,
            shutdown,
        )
        .await?;

        let finished = tokio::time::timeout(FINISH_LIMIT, self.app.finish_stop()).await;
        if finished.is_err() {
            tracing::warn!("the stop interrupted some work");
        }
        self.stop.cancel();
        self.background.close();
        // A task that panicked has ended too.
        self.background.wait().await;
        if !self.store.close(clear).await {
            bail!("the stop could not be recorded in {}", path.display());
        }
        tracing::info!(cleared = clear, "stopped");
        Ok(())
    }
}

/// Greets the person who has started the server, and logs that it listens: programs read the address
/// there.
fn announce(address: SocketAddr, greeting: Option<Greeting>, found: OpenReport, app: &App) {
    if let Some(Greeting(greet)) = greeting {
        let agents = app.agents();
        greet(&Started {
            address,
            found,
            agents,
        });
    }
    tracing::info!("listening on http://{address}");
}

/// Opens the store.
fn open(
    config: &Config,
    path: &Path,
    agents: Registry,
    clock: &Clock,
) -> anyhow::Result<(Arc<Store>, App, OpenReport)> {
    let events = EventBus::default();
    let cache_bytes = config.storage.cache_bytes;
    let (store, found) = Store::open(
        path,
        cache_bytes,
        config.rules,
        clock.clone(),
        events.clone(),
    )?;
    let store = Arc::new(store);
    let limits = RateLimits::new(config.auth.rates, clock);
    let app = App::new(Arc::clone(&store), agents, events, limits, clock.clone());
    Ok((store, app, found))
}

/// Starts the tasks that only the clock drives. They end when `stop` is cancelled.
fn start_background(app: &Arc<App>, config: &Config, stop: &CancellationToken) -> TaskTracker {
    let tasks = TaskTracker::new();
    let janitor = Janitor::new(Arc::clone(app), config.cleanup_interval);
    tasks.spawn(janitor.run(stop.clone()));
    tasks.spawn(MetricsSampler::new(Arc::clone(app)).run(stop.clone()));
    tasks.spawn(space::run(Arc::clone(app), stop.clone()));
    tasks
}

/// Starts the verifications and the backups of a server that serves other processes.
fn start_upkeep(tasks: &TaskTracker, app: &Arc<App>, config: &Config, stop: &CancellationToken) {
    if let Some(interval) = config.verify_interval {
        let interval = interval.to_duration().max(MIN_VERIFY_INTERVAL);
        tasks.spawn(verification::run(Arc::clone(app), interval, stop.clone()));
    }
    if let Some(backups) = &config.backups {
        let (app, schedule) = (Arc::clone(app), backups.clone());
        tasks.spawn(scheduled_backups::run(app, schedule, stop.clone()));
    }
}

/// Serves on the listeners until `shutdown` resolves and the connections are drained.
async fn serve(
    app: &Arc<App>,
    config: Config,
    clock: Clock,
    listener: Option<TcpListener>,
    socket: Option<LocalListener>,
    announce: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let authenticator = Arc::new(Authenticator::new(config.auth, clock));
    let proxies = authenticator.proxies.clone();
    let connections = Arc::new(Connections::new(config.server.max_connections, proxies));
    let realtime = Realtime::new(app, Arc::clone(&authenticator), Arc::clone(&connections));
    let sockets = Sockets {
        path: realtime::PATH,
        max_body: realtime::MAX_MESSAGE,
        router: realtime.router(),
    };
    let service = BoxCloneSyncService::new(api::service(app, &authenticator, sockets));
    let shutdown = async {
        shutdown.await;
        app.begin_stop();
    };
    let closing = async {
        app.stopping().cancelled().await;
        realtime.close();
    };
    let keep_alive = config.server.keep_alive;
    let stopping = || app.stopping().cancelled();
    let commands = socket.map(|it| it.serve(keep_alive, service.clone(), stopping()));
    if let Some(listener) = &listener {
        announce(listener.local_addr()?);
    }
    let clients =
        listener.map(|it| transport::serve(it, connections, keep_alive, service, stopping()));
    let (clients, commands) = (OptionFuture::from(clients), OptionFuture::from(commands));
    tokio::join!(shutdown, clients, commands, closing);
    Ok(())
}

fn log_start(path: &Path, found: OpenReport) {
    let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let last_stop = match found.clean_stop {
        None => "none, the database is new",
        Some(true) => "clean",
        Some(false) => "unclean; recovered, no acknowledged data lost",
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        database = %path.display(),
        bytes,
        sessions = found.sessions,
        last_stop,
        "sessiond"
    );
}
