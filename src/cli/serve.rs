//! `sessiond serve`

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use super::{data_dir, hints};
use crate::process::{atomic_file, open_files, signals};
use crate::settings::Config;
use crate::{server, telemetry};

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
    let database = atomic_file::behind_links(&data_dir::database(&config));
    atomic_file::remove_abandoned(atomic_file::folder_of(&database));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        let stop = signals::signal();
        let listener = listen(&config)?;
        server::run(config, listener, stop).await
    });
    // What is left is blocked in a system call at worst; the data is on disk.
    runtime.shutdown_background();
    ended
}

/// Connections that wait to be accepted. With fewer, clients that all come back at once after a
/// restart wait for a second or more, since the system drops their packets.
const BACKLOG: u32 = 4096;

fn listen(config: &Config) -> anyhow::Result<TcpListener> {
    let addresses = config.server.addresses.as_slice();
    let mut bound = Err(std::io::ErrorKind::AddrNotAvailable.into());
    for address in addresses {
        bound = bind(*address);
        if bound.is_ok() {
            break;
        }
    }
    bound.map_err(|error| {
        let port = addresses.first().map_or(0, std::net::SocketAddr::port);
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
    // A restart need not wait until the system has forgotten the old connections. Elsewhere the
    // option would let two servers share the address.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
