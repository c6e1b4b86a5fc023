//! `sessiond serve`

use tokio::net::TcpListener;

use super::{place, remedy};
use crate::config::Config;
use crate::{open_files, partial, run, shutdown, telemetry};

/// Serves until a signal says to stop.
pub(super) fn run(config: &Config) -> anyhow::Result<()> {
    // Dropped last: all that was logged is to be written, also where the start has failed.
    let _log = telemetry::start(config.log_format, config.log_levels.as_deref());
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let mut config = config.clone();
    // Before anything is opened: there may be room for next to nothing.
    config.server.max_connections = open_files::connections(config.server.max_connections)?;
    let database = partial::behind_links(&place::database(&config));
    partial::remove_abandoned(partial::folder_of(&database));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        let stop = shutdown::signal();
        let listener = listen(&config).await?;
        run::run(config, listener, stop).await
    });
    // What is left is blocked in a system call at worst; the data is on disk.
    runtime.shutdown_background();
    ended
}

async fn listen(config: &Config) -> anyhow::Result<TcpListener> {
    let addresses = config.server.addresses.as_slice();
    TcpListener::bind(addresses).await.map_err(|error| {
        let port = addresses.first().map_or(0, std::net::SocketAddr::port);
        let host = &config.server.host;
        let remedy = remedy::of_address(error.kind());
        let error = anyhow::Error::new(error).context(format!("cannot listen on {host}:{port}"));
        remedy::after(&error, remedy)
    })
}
