//! Asks the server that holds the database, over its Unix socket.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Limited};
use reqwest::{Client, ClientBuilder, Response, StatusCode, redirect};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, connect, socket};
use tokio::time::timeout;

use super::hints;
use crate::json;
use crate::transport::local_socket;

/// What costs a server nothing takes no longer than this, or it has stopped.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that sends nothing for so long in the middle of its answer has stopped.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The longest answer that is not written to a file, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Who holds a database that is locked.
enum Holder {
    /// A server that answers this user.
    Server,
    /// A server that does not.
    ForeignServer,
    /// A server that has stopped taking calls: many wait for it.
    SilentServer,
    /// A command, or a server without a socket.
    Unknown,
}

fn holder(database: &Path) -> Holder {
    match try_connect(&local_socket::path(database)) {
        Ok(()) => Holder::Server,
        Err(Errno::ACCESS | Errno::PERM) => Holder::ForeignServer,
        Err(Errno::AGAIN) => Holder::SilentServer,
        // There is none, or one that a crash has left.
        Err(_) => Holder::Unknown,
    }
}

/// Connects to a socket, without waiting until there is room in its queue.
fn try_connect(path: &Path) -> rustix::io::Result<()> {
    let address = SocketAddrUnix::new(path)?;
    let socket = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    ioctl_fionbio(&socket, true)?;
    connect(&socket, &address)
}

/// Returns the error of a command that cannot go on while the database is held.
pub(super) fn held(database: &Path) -> anyhow::Error {
    match holder(database) {
        Holder::Unknown => held_by_unknown(database),
        Holder::Server | Holder::ForeignServer | Holder::SilentServer => {
            anyhow::anyhow!("a server holds {}; stop it first", database.display())
        }
    }
}

fn held_by_unknown(database: &Path) -> anyhow::Error {
    anyhow::anyhow!(
        "another process holds {}: a command of sessiond that has not ended yet, or a server without \
         a socket for commands, whose log says why; wait until the command has ended, or stop the \
         server",
        database.display()
    )
}

/// Requests a path of the server that holds the database, and hands on the body of the answer, piece
/// by piece as it comes.
///
/// # Errors
/// No server can be asked, it refuses or breaks off, or `take` fails.
pub(super) fn download(
    database: &Path,
    path: &str,
    take: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    match holder(database) {
        Holder::Server => {}
        Holder::ForeignServer => bail!(
            "a server holds {}, and answers its own user and root only: run the command as one of \
             them",
            database.display()
        ),
        Holder::SilentServer => bail!(
            "the server that holds {} does not answer, and many calls wait for it",
            database.display()
        ),
        Holder::Unknown => return Err(held_by_unknown(database)),
    }
    let server = Server::new(database)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut response = server.get(path).await?;
        while let Some(piece) = next_piece(&mut response, LONGEST_PAUSE).await? {
            take(&piece)?;
        }
        Ok(())
    })
}

/// The server at a socket.
struct Server(Client);

impl Server {
    fn new(database: &Path) -> anyhow::Result<Self> {
        let builder = builder().unix_socket(local_socket::path(database));
        let client = builder.build();
        client
            .map(Self)
            .with_context(|| database.display().to_string())
    }

    async fn get(&self, path: &str) -> anyhow::Result<Response> {
        let response = self.while_alive(self.send(path)).await??;
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(response);
        }
        let refused = format!("the server refused ({status}): {}", reason(response).await);
        match status {
            StatusCode::INTERNAL_SERVER_ERROR => bail!("{refused}; {}", hints::SERVER_LOG),
            _ => bail!(refused),
        }
    }

    async fn send(&self, path: &str) -> anyhow::Result<Response> {
        let sent = self.0.get(format!("http://localhost{path}")).send().await;
        sent.map_err(|error| root_cause(error).context("the server does not answer"))
    }

    /// Waits for what may take long, such as the copy of a large database, for as long as the server
    /// answers other requests.
    async fn while_alive<T>(&self, waited_for: impl Future<Output = T>) -> anyhow::Result<T> {
        let mut waited_for = std::pin::pin!(waited_for);
        loop {
            let answered = timeout(PATIENCE, self.send("/healthz")).await;
            answered.with_context(|| {
                let seconds = PATIENCE.as_secs();
                format!("the server did not answer within {seconds} s")
            })??;
            if let Ok(done) = timeout(PATIENCE, &mut waited_for).await {
                return Ok(done);
            }
        }
    }
}

/// Returns what all clients of a server have in common: they are for this machine, without TLS.
pub(super) fn builder() -> ClientBuilder {
    // It needs one, even where it does not use it. One that was installed before does as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .tls_certs_only([])
        .redirect(redirect::Policy::none())
        .no_proxy()
}

/// Returns an error without the layers of the client, which repeat it.
pub(super) fn root_cause(error: reqwest::Error) -> anyhow::Error {
    anyhow::anyhow!("{}", anyhow::Error::new(error).root_cause())
}

/// Returns the short text of an answer.
pub(super) async fn text(response: Response) -> anyhow::Result<String> {
    let body = Limited::new(reqwest::Body::from(response), MAX_ANSWER);
    let body = timeout(PATIENCE, body.collect()).await;
    let body = body.context("the answer does not end")?;
    let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Returns the next piece of a body; `None` after the last.
async fn next_piece(
    response: &mut Response,
    longest_pause: Duration,
) -> anyhow::Result<Option<hyper::body::Bytes>> {
    let piece = timeout(longest_pause, response.chunk()).await;
    let piece = piece.with_context(|| {
        let seconds = longest_pause.as_secs();
        format!("the server has sent nothing for {seconds} s, and not yet all")
    })?;
    piece
        .map_err(root_cause)
        .with_context(|| format!("the server broke off; {}", hints::SERVER_LOG))
}

/// Returns what an error says.
async fn reason(response: Response) -> String {
    let text = text(response).await.unwrap_or_default();
    let error: Option<serde_json::Value> = json::from_js(text.as_bytes()).ok();
    let details = error
        .as_ref()
        .and_then(|error| error["error"]["details"].as_str());
    details.map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixListener;

    use super::*;

    const BEGINNING: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";

    #[test]
    fn a_server_that_has_stopped_taking_calls_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("sessiond.redb");
        let path = local_socket::path(&database);
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        // Nobody accepts them, and the queue has an end.
        let waiting: Vec<_> = (0..10_000)
            .map_while(|_| match try_connect(&path) {
                Ok(()) => Some(()),
                Err(error) => {
                    assert_eq!(error, Errno::AGAIN);
                    None
                }
            })
            .collect();
        assert!(!waiting.is_empty() && waiting.len() < 10_000);
        let said = held(&database).to_string();
        assert!(said.contains("a server holds"), "{said}");
        let asked = download(&database, "/healthz", &mut |_| Ok(()));
        let said = asked.unwrap_err().to_string();
        assert!(said.contains("does not answer"), "{said}");
    }

    #[tokio::test]
    async fn a_server_that_stops_in_the_middle_of_its_answer_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("sessiond.redb");
        let listener = UnixListener::bind(local_socket::path(&database)).unwrap();
        let answering = async {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = [0; 512];
            assert!(connection.read(&mut request).await.unwrap() > 0);
            connection.write_all(BEGINNING).await.unwrap();
            connection
        };
        let server = Server::new(&database).unwrap();
        let (response, connection) = tokio::join!(server.send("/"), answering);
        let mut response = response.unwrap();
        let pause = Duration::from_millis(50);
        let piece = next_piece(&mut response, pause).await.unwrap();
        assert_eq!(piece.as_deref(), Some(&b"half"[..]));
        let started = Instant::now();
        let error = next_piece(&mut response, pause).await.unwrap_err();
        assert!(error.to_string().contains("not yet all"), "{error}");
        assert!(started.elapsed() < LONGEST_PAUSE);

        drop(connection);
        let error = next_piece(&mut response, pause).await.unwrap_err();
        assert!(error.to_string().contains("broke off"), "{error}");
    }

    #[test]
    fn a_socket_that_a_crash_left_is_no_server() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("sessiond.redb");
        let path = local_socket::path(&database);
        let stop_first = || held(&database).to_string().contains("a server holds");
        assert!(!stop_first());
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(stop_first());
        drop(listener);
        assert!(path.exists() && !stop_first());
    }
}
