//! What all clients of a server share, and its Unix socket.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Limited};
use reqwest::{Client, ClientBuilder, Response, redirect};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, connect, socket};
use tokio::runtime::{self, Runtime};
use tokio::time::timeout;

use crate::process::atomic_file;
use crate::process::server_lock::ServerLock;
use crate::transport::local_socket;

/// A server that takes longer for a short response does not respond.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest response that is not written to a file, in bytes.
const MAX_TEXT: usize = 64 * 1024;

/// Connects to the socket of a database without waiting for space in its queue.
pub(super) fn try_connect(database: &Path) -> rustix::io::Result<()> {
    let address = SocketAddrUnix::new(local_socket::path(database))?;
    let socket = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    ioctl_fionbio(&socket, true)?;
    connect(&socket, &address)
}

/// Whether there is a server that holds a database and has a socket for this user.
pub(super) fn find_server(database: &Path) -> anyhow::Result<bool> {
    let shown = database.display();
    match try_connect(database) {
        Ok(()) => Ok(true),
        Err(Errno::ACCESS | Errno::PERM) if !is_accessible(database) => bail!(
            "{shown} cannot be accessed: the user that runs sessiond must be allowed to enter its \
             directory"
        ),
        Err(Errno::ACCESS | Errno::PERM) => bail!(
            "a server holds {shown}, and only answers its own user and root: run the command as \
             one of them"
        ),
        Err(Errno::AGAIN) => bail!(
            "the server that holds {shown} does not answer, and its queue of connections is full"
        ),
        Err(_) => Ok(false),
    }
}

/// Whether this user may enter the directory of a database.
fn is_accessible(database: &Path) -> bool {
    let found = fs::metadata(local_socket::path(database));
    !found.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// Returns the error of a command that cannot run while another process holds the database.
pub(super) fn in_use(database: &Path) -> anyhow::Error {
    let path = database.display();
    let holder = ServerLock::holder(atomic_file::parent_dir(database));
    let has_socket = matches!(
        try_connect(database),
        Ok(()) | Err(Errno::ACCESS | Errno::PERM | Errno::AGAIN)
    );
    match (holder, has_socket) {
        (Some(holder), true) => anyhow::anyhow!("{holder} holds {path}; stop it first"),
        (None, true) => anyhow::anyhow!("a server holds {path}; stop it first"),
        (Some(holder), false) => anyhow::anyhow!(
            "{holder} holds {path} without a socket for commands, as its log says; stop it first"
        ),
        // There is no socket, or a crash has left it.
        (None, false) => anyhow::anyhow!(
            "another process holds {path}: a command of sessiond that has not ended yet, or a \
             server without a socket for commands, whose log says why; wait until the command has \
             ended, or stop the server"
        ),
    }
}

/// Returns a runtime on the current thread.
pub(super) fn runtime() -> std::io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}

/// Returns the common part of all clients of a server: without TLS and proxies.
pub(super) fn builder() -> ClientBuilder {
    // Required even without TLS. It fails if there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder().tls_certs_only([]).no_proxy();
    builder.redirect(redirect::Policy::none())
}

/// Returns an error without the contexts of the client, which repeat it.
pub(super) fn root_cause(error: reqwest::Error) -> anyhow::Error {
    anyhow::anyhow!("{}", anyhow::Error::new(error).root_cause())
}

/// Returns the body of a short response.
pub(super) async fn text(response: Response) -> anyhow::Result<String> {
    let body = Limited::new(reqwest::Body::from(response), MAX_TEXT);
    let body = timeout(PATIENCE, body.collect()).await;
    let body = body.context("the response does not end")?;
    let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::connection::ServerConnection;
    use super::*;

    #[test]
    fn a_server_with_a_full_queue_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("sessiond.redb");
        let path = local_socket::path(&database);
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        // No one accepts them, and the queue is bounded.
        let waiting: Vec<_> = (0..10_000)
            .map_while(|_| match try_connect(&database) {
                Ok(()) => Some(()),
                Err(error) => {
                    assert_eq!(error, Errno::AGAIN);
                    None
                }
            })
            .collect();
        assert!(!waiting.is_empty() && waiting.len() < 10_000);
        let message = in_use(&database).to_string();
        assert!(message.contains("a server holds"), "{message}");
        let connected = ServerConnection::running(&database).map(|_| ());
        let message = connected.unwrap_err().to_string();
        assert!(message.contains("does not answer"), "{message}");
    }

    #[test]
    fn a_socket_left_by_a_crash_is_not_a_server() {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("sessiond.redb");
        let path = local_socket::path(&database);
        let stop_first = || in_use(&database).to_string().contains("a server holds");
        assert!(!stop_first());
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(stop_first());
        drop(listener);
        assert!(path.exists() && !stop_first());
    }
}
