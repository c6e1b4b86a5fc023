//! The Unix socket in the data directory, over which the command line calls the server as an admin.
//!
//! Only the server's own user and root are admitted, who can read the database anyway. The holder
//! of the server lock creates the socket, so an existing one was left by a crash.

use std::fs::{self, Permissions};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixSocket, UnixStream};

use super::http::HttpService;
use super::server::{self, Listener};
use crate::auth::address::TrustedProxies;
use crate::connections::Connections;
use crate::process::owned_file::OwnedFile;
use crate::telemetry::LogThrottle;

const MAX_CONNECTIONS: usize = 64;

const BACKLOG: u32 = 128;

/// The interval in which refused peers are logged once.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

const ROOT: u32 = 0;

const FILE_NAME: &str = "sessiond.sock";

/// Returns the path of the socket: beside the database, also if that is a symbolic link.
pub(crate) fn path(database: &Path) -> PathBuf {
    database.with_file_name(FILE_NAME)
}

/// The socket, which is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct LocalListener {
    listener: UnixListener,
    own_uid: u32,
    throttle: LogThrottle,
    _file: OwnedFile,
}

impl LocalListener {
    /// Creates the socket with mode 0600. Replaces an existing one.
    ///
    /// Must be called within the runtime and with the server lock held.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        // Older versions created this file.
        let _ = fs::remove_file(path.with_extension("instance"));
        let socket = UnixSocket::new_stream()?;
        let file = bind(&socket, path).map_err(explain)?;
        // The mode is set before anyone can connect.
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(Self {
            listener: socket.listen(BACKLOG)?,
            own_uid: rustix::process::geteuid().as_raw(),
            throttle: LogThrottle::new(LOG_INTERVAL),
            _file: file,
        })
    }

    /// Serves until `shutdown` resolves. The connections do not count against those of TCP.
    pub(crate) async fn serve(
        self,
        keep_alive: Duration,
        service: HttpService,
        shutdown: impl Future<Output = ()>,
    ) {
        let connections = Connections::new(MAX_CONNECTIONS, TrustedProxies::default());
        server::serve(self, Arc::new(connections), keep_alive, service, shutdown).await;
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
                    "a connection to the command socket was refused: only the server's own user \
                     and root are admitted"
                );
            }
        }
    }
}

fn is_allowed(peer: u32, own: u32) -> bool {
    peer == own || peer == ROOT
}

/// Binds the socket to its path, in the place of one that a crash has left.
fn bind(socket: &UnixSocket, path: &Path) -> io::Result<OwnedFile> {
    let is_socket = |found: fs::Metadata| found.file_type().is_socket();
    if fs::symlink_metadata(path).is_ok_and(is_socket) {
        fs::remove_file(path)?;
    }
    socket.bind(path)?;
    OwnedFile::new(path)
}

fn explain(error: io::Error) -> io::Error {
    let reason = match error.kind() {
        io::ErrorKind::InvalidInput => "the path is too long for a Unix socket",
        io::ErrorKind::AddrInUse => "a file that is not a socket is at the path",
        _ => return error,
    };
    io::Error::new(error.kind(), reason)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    fn reason(path: &Path) -> String {
        LocalListener::bind(path).unwrap_err().to_string()
    }

    #[test]
    fn only_the_own_user_and_root_are_admitted() {
        assert!(is_allowed(1000, 1000) && is_allowed(ROOT, 1000));
        assert!(!is_allowed(1001, 1000) && !is_allowed(1000, ROOT));
    }

    #[tokio::test]
    async fn the_socket_is_private_and_removed_when_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = path(&directory.path().join("sessiond.redb"));
        let mut listener = LocalListener::bind(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        let client = UnixStream::connect(&path).await.unwrap();
        let (_, address) = listener.accept().await.unwrap();
        assert_eq!(address, None);
        drop((listener, client));
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn only_a_stale_socket_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessiond.sock");
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
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessiond.sock");
        let first = LocalListener::bind(&path).unwrap();
        fs::rename(&path, directory.path().join("moved.sock")).unwrap();
        let _second = LocalListener::bind(&path).unwrap();
        drop(first);
        UnixStream::connect(&path).await.unwrap();
    }

    #[tokio::test]
    async fn the_reason_is_given_if_the_socket_cannot_be_created() {
        let directory = tempfile::tempdir().unwrap();
        let long = directory.path().join("x".repeat(120)).join("sessiond.sock");
        assert!(reason(&long).contains("too long"));
        // No user can create files there.
        let none = reason(Path::new("/proc/sessiond.sock"));
        assert!(none.contains("os error"), "{none}");
    }
}
