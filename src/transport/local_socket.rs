//! The Unix socket in the data folder, by which the commands of this machine call the server as an
//! admin.
//!
//! Only the server's own user and root are answered: whoever runs as one of them can read the database
//! anyway. It is created by the process that holds the server lock, so that a socket which is there
//! before was left by a crash.

use std::fs::{self, Permissions};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixSocket, UnixStream};

use super::{HttpService, Listener};
use crate::auth::address::TrustedProxies;
use crate::connections::Connections;
use crate::process::atomic_file;
use crate::telemetry::LogThrottle;

/// The most connections.
const MAX_CONNECTIONS: usize = 64;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 128;

/// How often refused peers are logged.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

const ROOT: u32 = 0;

/// The name of the socket in the data folder.
const NAME: &str = "sessiond.sock";

/// Returns the path of the socket of a database: in the data folder, also where the database in it is a
/// link to another place.
pub(crate) fn path(database: &Path) -> PathBuf {
    database.with_file_name(NAME)
}

/// Creates the socket of a database, and serves the commands until `shutdown` resolves. Its connections
/// are counted apart, so that those of clients do not use them up. Where there can be no socket, the
/// server does without.
///
/// Must be called within the runtime and with the server lock held. The socket is there on return.
pub(crate) fn serve(
    database: &Path,
    keep_alive: Duration,
    service: HttpService,
    shutdown: impl Future<Output = ()>,
) -> impl Future<Output = ()> {
    let path = path(database);
    // In this file, older versions named the server of a database.
    let _ = fs::remove_file(atomic_file::behind_links(database).with_extension("instance"));
    let listener = LocalListener::bind(&path).inspect_err(|error| {
        tracing::warn!(
            socket = %path.display(),
            %error,
            "there is no socket for commands: `sessiond backup` and `sessiond export` need the \
             server stopped"
        );
    });
    async move {
        if let Ok(listener) = listener {
            let connections = Connections::new(MAX_CONNECTIONS, TrustedProxies::default());
            super::serve(
                listener,
                Arc::new(connections),
                keep_alive,
                service,
                shutdown,
            )
            .await;
        }
    }
}

/// Accepts the connections of the server's own user and of root. Removes the socket when dropped.
#[derive(Debug)]
struct LocalListener {
    listener: UnixListener,
    own_uid: u32,
    throttle: LogThrottle,
    _file: SocketFile,
}

impl LocalListener {
    /// Creates the socket, with mode 0600. Replaces one that is there.
    ///
    /// # Errors
    /// There can be no socket at the path, with the reason in words.
    fn bind(path: &Path) -> io::Result<Self> {
        let socket = UnixSocket::new_stream()?;
        let file = SocketFile::bind(&socket, path).map_err(explain)?;
        // Before it listens, so that nobody connects to it with other rights.
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(Self {
            listener: socket.listen(BACKLOG)?,
            own_uid: rustix::process::geteuid().as_raw(),
            throttle: LogThrottle::new(LOG_INTERVAL),
            _file: file,
        })
    }
}

impl Listener for LocalListener {
    type Stream = UnixStream;

    async fn accept(&mut self) -> io::Result<(UnixStream, Option<IpAddr>)> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            let uid = stream.peer_cred()?.uid();
            if is_allowed(uid, self.own_uid) {
                return Ok((stream, None));
            }
            if let Some(times) = self.throttle.record() {
                tracing::warn!(
                    uid,
                    times,
                    "a connection to the socket for commands is refused: only the server's own \
                     user and root are answered"
                );
            }
        }
    }
}

fn is_allowed(peer: u32, own: u32) -> bool {
    peer == own || peer == ROOT
}

/// The socket in the file system.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    id: (u64, u64),
}

impl SocketFile {
    fn bind(socket: &UnixSocket, path: &Path) -> io::Result<Self> {
        let is_socket = |found: fs::Metadata| found.file_type().is_socket();
        if fs::symlink_metadata(path).is_ok_and(is_socket) {
            fs::remove_file(path)?;
        }
        socket.bind(path)?;
        Ok(Self {
            path: path.to_owned(),
            id: identity(path)?,
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Where the folder was moved, the socket at the path may be that of another server.
        if identity(&self.path).is_ok_and(|id| id == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Returns what a file is known by, whatever its names.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Says what the system does not say in words that help.
fn explain(error: io::Error) -> io::Error {
    let reason = match error.kind() {
        io::ErrorKind::InvalidInput => "the path is too long for a Unix socket",
        io::ErrorKind::AddrInUse => "something that is not a socket is in its place",
        _ => return error,
    };
    io::Error::new(error.kind(), reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    fn reason(path: &Path) -> String {
        LocalListener::bind(path).unwrap_err().to_string()
    }

    #[test]
    fn only_the_own_user_and_root_are_answered() {
        assert!(is_allowed(1000, 1000) && is_allowed(ROOT, 1000));
        assert!(!is_allowed(1001, 1000) && !is_allowed(1000, ROOT));
    }

    #[tokio::test]
    async fn it_is_for_its_owner_alone_and_gone_when_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(&folder.path().join("sessiond.redb"));
        let mut listener = LocalListener::bind(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        let client = UnixStream::connect(&path).await.unwrap();
        let (_, address) = listener.accept().await.unwrap();
        assert_eq!(address, None);
        drop((listener, client));
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_anything_else_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessiond.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a crash leaves it");
        assert!(UnixStream::connect(&path).await.is_err());
        let listener = LocalListener::bind(&path).unwrap();
        UnixStream::connect(&path).await.unwrap();
        drop(listener);

        fs::write(&path, "a file").unwrap();
        assert!(reason(&path).contains("not a socket"));
        assert_eq!(fs::read(&path).unwrap(), b"a file");
    }

    #[tokio::test]
    async fn the_socket_of_another_server_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessiond.sock");
        let first = LocalListener::bind(&path).unwrap();
        fs::rename(&path, folder.path().join("moved.sock")).unwrap();
        let _second = LocalListener::bind(&path).unwrap();
        drop(first);
        UnixStream::connect(&path).await.unwrap();
    }

    #[tokio::test]
    async fn where_there_can_be_no_socket_the_reason_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("x".repeat(120)).join("sessiond.sock");
        assert!(reason(&long).contains("too long"));
        // Nobody creates anything there, whoever they are.
        let none = reason(Path::new("/proc/sessiond.sock"));
        assert!(none.contains("os error"), "{none}");
    }
}
