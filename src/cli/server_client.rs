//! The client of a running server, over its Unix socket.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Limited};
use reqwest::{Client, ClientBuilder, Response, StatusCode, redirect};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, connect, socket};
use tokio::runtime::{self, Runtime};
use tokio::time::timeout;

use super::hints;
use crate::json;
use crate::transport::local_socket;

/// A server that takes longer for a cheap request does not respond.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that pauses for longer within a response does not respond.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// The longest response that is not written to a file, in bytes.
const MAX_TEXT: usize = 64 * 1024;

/// Connects to the socket of a database without waiting for space in its queue.
fn try_connect(database: &Path) -> rustix::io::Result<()> {
    let address = SocketAddrUnix::new(local_socket::path(database))?;
    let socket = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    ioctl_fionbio(&socket, true)?;
    connect(&socket, &address)
}

/// Returns the error of a command that cannot run while another process holds the database.
pub(super) fn in_use(database: &Path) -> anyhow::Error {
    let path = database.display();
    match try_connect(database) {
        Ok(()) | Err(Errno::ACCESS | Errno::PERM | Errno::AGAIN) => {
            anyhow::anyhow!("a server holds {path}; stop it first")
        }
        // There is no socket, or a crash has left it.
        Err(_) => anyhow::anyhow!(
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

/// Requests a path from the server that holds the database, and passes the body to `write`, piece
/// by piece.
pub(super) fn download(
    database: &Path,
    path: &str,
    write: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let shown = database.display();
    match try_connect(database) {
        Ok(()) => {}
        Err(Errno::ACCESS | Errno::PERM) => bail!(
            "a server holds {shown}, and only answers its own user and root: run the command as \
             one of them"
        ),
        Err(Errno::AGAIN) => bail!(
            "the server that holds {shown} does not answer, and its queue of connections is full"
        ),
        Err(_) => return Err(in_use(database)),
    }
    let client = client(database)?;
    runtime()?.block_on(async {
        let mut response = get(&client, path).await?;
        while let Some(piece) = next_piece(&mut response, MAX_PAUSE).await? {
            write(&piece)?;
        }
        Ok(())
    })
}

/// Returns a client of the socket of a database.
fn client(database: &Path) -> anyhow::Result<Client> {
    let client = builder().unix_socket(local_socket::path(database)).build();
    client.with_context(|| database.display().to_string())
}

async fn get(client: &Client, path: &str) -> anyhow::Result<Response> {
    let response = while_alive(client, send(client, path)).await??;
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

async fn send(client: &Client, path: &str) -> anyhow::Result<Response> {
    let sent = client.get(format!("http://localhost{path}")).send().await;
    sent.map_err(|error| root_cause(error).context("the server does not answer"))
}

/// Waits for a slow response, such as a copy of a large database, for as long as the server answers
/// other requests.
async fn while_alive<T>(client: &Client, response: impl Future<Output = T>) -> anyhow::Result<T> {
    let mut response = std::pin::pin!(response);
    loop {
        let answered = timeout(PATIENCE, send(client, "/healthz")).await;
        let seconds = PATIENCE.as_secs();
        answered.with_context(|| format!("the server did not answer within {seconds} s"))??;
        if let Ok(done) = timeout(PATIENCE, &mut response).await {
            return Ok(done);
        }
    }
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

/// Returns the next piece of a body; `None` at its end.
async fn next_piece(
    response: &mut Response,
    max_pause: Duration,
) -> anyhow::Result<Option<hyper::body::Bytes>> {
    let piece = timeout(max_pause, response.chunk()).await;
    let seconds = max_pause.as_secs();
    let piece = piece.with_context(|| {
        format!("the server paused for {seconds} s before the end of its response")
    })?;
    piece
        .map_err(root_cause)
        .with_context(|| format!("the server aborted its response; {}", hints::SERVER_LOG))
}

/// Returns the message of an error response.
async fn reason(response: Response) -> String {
    let text = text(response).await.unwrap_or_default();
    let body: serde_json::Value = json::from_js(text.as_bytes()).unwrap_or_default();
    let details = body["error"]["details"].as_str().map(str::to_owned);
    details.unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixListener;

    use super::*;

    const BEGINNING: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";

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
        let downloaded = download(&database, "/healthz", &mut |_| Ok(()));
        let message = downloaded.unwrap_err().to_string();
        assert!(message.contains("does not answer"), "{message}");
    }

    #[tokio::test]
    async fn a_server_that_pauses_within_its_response_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("sessiond.redb");
        let listener = UnixListener::bind(local_socket::path(&database)).unwrap();
        let answering = async {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = [0; 512];
            assert!(connection.read(&mut request).await.unwrap() > 0);
            connection.write_all(BEGINNING).await.unwrap();
            connection
        };
        let client = client(&database).unwrap();
        let (response, connection) = tokio::join!(send(&client, "/"), answering);
        let mut response = response.unwrap();
        let pause = Duration::from_millis(50);
        let piece = next_piece(&mut response, pause).await.unwrap();
        assert_eq!(piece.as_deref(), Some(&b"half"[..]));
        let started = Instant::now();
        let error = next_piece(&mut response, pause).await.unwrap_err();
        assert!(error.to_string().contains("before the end"), "{error}");
        assert!(started.elapsed() < MAX_PAUSE);

        drop(connection);
        let error = next_piece(&mut response, pause).await.unwrap_err();
        assert!(error.to_string().contains("aborted"), "{error}");
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
