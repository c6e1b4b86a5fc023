//! `sessiond serve`

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;

use super::{greeting, hints};
use crate::process::{atomic_file, open_files, signals};
use crate::server::{self, Greeting};
use crate::settings::Config;
use crate::telemetry::{self, Terminal};

/// Serves until a signal stops it.
pub(super) fn run(config: &Config) -> anyhow::Result<()> {
    // Dropped last, so that the whole log is written, even if the start fails.
    let (log, terminal) = telemetry::start(config.log_format, config.log_filter.as_deref());
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let mut config = config.clone();
    // First of all, since the limit may allow hardly any open files.
    let connections = open_files::connections(config.server.max_connections)?;
    config.server.max_connections = connections;
    let shown = connections.to_string();
    config.settings.set_value("MAX_CONNECTIONS", shown);
    let database = atomic_file::resolve_links(&config.storage.database());
    atomic_file::remove_abandoned(atomic_file::parent_dir(&database));
    let runtime = Runtime::new()?;
    let ended = runtime.block_on(async {
        let stop = signals::stop_signal();
        let listener = listen(&config)?;
        let greeting = terminal.map(|terminal| greet(&config, terminal));
        server::run(config, log.recent(), greeting, listener, stop).await
    });
    // A thread may still be blocked in a system call; the data is on disk.
    runtime.shutdown_background();
    ended
}

/// Returns what greets the person at the terminal.
fn greet(config: &Config, mut terminal: Terminal) -> Greeting {
    let config = config.clone();
    Greeting::new(move |started| terminal.print(&greeting::text(&config, started)))
}

/// Connections that may wait to be accepted. With fewer, clients that all reconnect after a restart
/// wait for a second or more, since the system drops their packets.
const BACKLOG: u32 = 4096;

fn listen(config: &Config) -> anyhow::Result<TcpListener> {
    let addresses = &config.server.addresses;
    let mut bound = Err(io::ErrorKind::AddrNotAvailable.into());
    for address in addresses {
        bound = bound.or_else(|_: io::Error| bind(*address));
    }
    bound.map_err(|error| {
        let port = addresses.first().map_or(0, SocketAddr::port);
        let host = &config.server.host;
        let hint = hints::for_address(error.kind());
        let error = anyhow::Error::new(error).context(format!("cannot listen on {host}:{port}"));
        hints::append(&error, hint)
    })
}

/// Must be called within the runtime.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Lets a restart use the address while the system still remembers old connections. On systems
    // other than Unix it would let two servers share the address.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
