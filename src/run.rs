//! The server's life, from an open file to a clean stop.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::agents::registry::{Agent, Registry};
use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::events::EventBus;
use crate::guard::Guard;
use crate::guard::rate::Limits;
use crate::http::{self, Sockets};
use crate::janitor::Janitor;
use crate::realtime::{self, Realtime};
use crate::store::{Found, Store};

/// The name of the database in the data folder.
const DATABASE: &str = "sessiond.redb";

/// How long the work that goes on without its caller may take at a stop.
const FINISH: Duration = Duration::from_secs(3);

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
    make_folder(folder)?;
    let mut agents = Registry::load(&folder.join("agents"), clock.now())?;
    for agent in more_agents {
        agents.add(agent);
    }
    let path = folder.join(DATABASE);
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
        Arc::new(agents),
        events,
        Limits::new(config.guard.rates, &clock),
        clock.clone(),
    ));
    banner(&path, found, &app);

    let turns = app
        .recover()
        .map_err(|error| anyhow::anyhow!("open turns: {error:?}"))?;
    if turns > 0 {
        tracing::info!(
            sessions = turns,
            "taking up the turns that the last stop cut off"
        );
    }
    let stop = CancellationToken::new();
    let janitor = Janitor::new(Arc::clone(&app), config.cleanup_interval);
    let janitor = tokio::spawn(janitor.run(stop.child_token()));
    tracing::info!("listening on http://{}", listener.local_addr()?);
    let guard = Arc::new(Guard::new(config.guard, clock));
    let realtime = Realtime::new(&app, Arc::clone(&guard));
    let sockets = Sockets {
        path: realtime::PATH,
        router: realtime.router(),
    };
    let parts = http::Parts {
        app: &app,
        guard,
        sockets,
    };
    // Sockets are told of the stop when everybody else is.
    let closing = async {
        app.stopping().cancelled().await;
        realtime.close().await;
    };
    let serving = http::serve(listener, config.server.max_connections, parts, shutdown);
    tokio::join!(serving, closing);

    if tokio::time::timeout(FINISH, app.finish_stop())
        .await
        .is_err()
    {
        tracing::warn!("some work was cut off by the stop");
    }
    stop.cancel();
    // A janitor that panicked has nothing more to do either.
    let _ = janitor.await;
    if !store.close(config.clear_on_shutdown).await {
        bail!("the stop could not be recorded in {}", path.display());
    }
    tracing::info!(cleared = config.clear_on_shutdown, "stopped");
    Ok(())
}

fn make_folder(folder: &Path) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).with_context(|| {
        format!(
            "the data folder {} cannot be made; choose another one with --data-dir",
            folder.display()
        )
    })
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
    for agent in app.agents().iter() {
        tracing::info!(
            name = agent.character.name,
            id = %agent.character.id,
            backend = agent.backend.kind(),
            "agent"
        );
    }
}
