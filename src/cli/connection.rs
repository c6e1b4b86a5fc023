//! The connection of a command to a server: to the one that holds the data, to one within this
//! process if there is none, or to one elsewhere.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method, Request, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::embedded::EmbeddedStart;
use super::hints;
use super::local_server::LocalServer;
use super::output::one_line;
use super::server_client::{builder, find_server, root_cause, text};
use crate::agents::client::address::without_secrets;
use crate::agents::client::http_client;
use crate::json;
use crate::process::server_lock::MAX_WAIT;
use crate::settings::Config;
use crate::transport::local_socket;

/// A server that takes longer for a cheap request does not respond.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that pauses for longer within a response does not respond.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// The longest response that is parsed, in bytes.
const MAX_JSON: usize = 64 << 20;

/// A connection to a server.
pub(super) struct ServerConnection {
    client: Client,
    /// What paths are appended to.
    base: String,
    token: Option<SecretString>,
    place: Place,
}

/// Where the server is.
enum Place {
    /// In the process that holds the data.
    Running,
    /// In the process that holds the data, which may be this one.
    Local(Box<LocalServer>),
    Elsewhere,
}

/// An error response of the API.
#[derive(Debug, thiserror::Error)]
#[error("the server refused ({status}): {message}")]
pub(super) struct ApiRefusal {
    pub(super) status: StatusCode,
    /// The code of the error, such as `SESSION_NOT_FOUND`.
    pub(super) code: String,
    /// For people, with what they can do about it.
    message: String,
}

impl ApiRefusal {
    /// Whether the same request would be refused again. Other responses come from a proxy whose
    /// server is away, and from a server that is stopping.
    pub(super) fn is_final(&self) -> bool {
        !matches!(
            self.status,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        )
    }
}

impl ServerConnection {
    /// Connects to the server that holds the data, for a conversation. If there is none, starts one
    /// within this process, which resumes the turns that the previous stop interrupted.
    pub(super) async fn for_chat(config: &Config) -> anyhow::Result<Self> {
        Self::open(config, EmbeddedStart::new(config, "chat", true)).await
    }

    /// Connects to the server that holds the data, for single requests. If there is none, starts one
    /// within this process.
    pub(super) async fn for_requests(config: &Config) -> anyhow::Result<Self> {
        Self::open(config, EmbeddedStart::new(config, "sessions", false)).await
    }

    async fn open(config: &Config, start: EmbeddedStart) -> anyhow::Result<Self> {
        let database = config.storage.database();
        let server = LocalServer::new(&database, start).await?;
        Self::local(&database, Place::Local(Box::new(server)))
    }

    /// Connects to the server that holds a database. Returns `None` if there is none, or if it has no
    /// socket.
    pub(super) fn running(database: &Path) -> anyhow::Result<Option<Self>> {
        if !find_server(database)? {
            return Ok(None);
        }
        Self::local(database, Place::Running).map(Some)
    }

    fn local(database: &Path, place: Place) -> anyhow::Result<Self> {
        let client = builder().unix_socket(local_socket::path(database)).build();
        Ok(Self {
            client: client.with_context(|| database.display().to_string())?,
            base: "http://localhost".to_owned(),
            token: None,
            place,
        })
    }

    /// Returns a connection to a server elsewhere, with a token if it asks for one.
    pub(super) fn remote(url: &Url, token: Option<SecretString>) -> anyhow::Result<Self> {
        Ok(Self {
            client: http_client::client()?,
            base: without_secrets(url),
            token,
            place: Place::Elsewhere,
        })
    }

    /// Ends the server within this process, if there is one.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        match self.place {
            Place::Local(server) => server.close().await,
            Place::Running | Place::Elsewhere => Ok(()),
        }
    }

    /// Whether the server is within this process.
    pub(super) async fn is_embedded(&self) -> bool {
        match &self.place {
            Place::Local(server) => server.is_embedded().await,
            Place::Running | Place::Elsewhere => false,
        }
    }

    /// Sends a request and returns its response, whose body may still be on its way.
    ///
    /// # Errors
    /// The error is an [`ApiRefusal`] if the server answers with another status than success.
    pub(super) async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Response> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(body);
        }
        self.send(request).await
    }

    /// Sends a request to create something and returns the JSON of its response. A repeat with the
    /// same key creates nothing.
    pub(super) async fn create(
        &self,
        path: &str,
        body: &Value,
        key: Uuid,
    ) -> anyhow::Result<Value> {
        let request = self.client.post(format!("{}{path}", self.base)).json(body);
        let request = request.header("Idempotency-Key", key.to_string());
        parsed(self.send(request).await?).await
    }

    /// Sends the lines of an export, whose sessions the server adds to its own, all or none.
    pub(super) async fn import(&self, lines: String) -> anyhow::Result<Value> {
        let request = self.client.post(format!("{}/api/admin/import", self.base));
        let request = request.header(CONTENT_TYPE, "application/x-ndjson");
        parsed(self.send(request.body(lines)).await?).await
    }

    /// Returns the user that the token is for; `None` if it is another role's.
    pub(super) async fn user(&self) -> anyhow::Result<Option<String>> {
        let me = self.json(Method::GET, "/api/auth/me", None).await?;
        if !me["role"].is_string() {
            bail!("{} is not sessiond", self.name());
        }
        let user = me["userId"].as_str();
        Ok(user.filter(|_| me["role"] == "user").map(str::to_owned))
    }

    /// Requests the events of a stream, after the one with the id `after`.
    pub(super) async fn events(&self, path: &str, after: Option<&str>) -> anyhow::Result<Response> {
        let request = self.client.get(format!("{}{path}", self.base));
        let request = match after {
            Some(id) => request.header("Last-Event-ID", id),
            None => request,
        };
        let response = self.send(request).await?;
        if let Place::Local(server) = &self.place {
            server.note_holder();
        }
        Ok(response)
    }

    /// Sends a request and returns the JSON of its response.
    ///
    /// # Errors
    /// Returns the same errors as [`Self::request`].
    pub(super) async fn json(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        parsed(self.request(method, path, body).await?).await
    }

    /// Requests a path, and passes the body of the response to `write`, piece by piece.
    pub(super) async fn download(
        &self,
        path: &str,
        write: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut response = self.request(Method::GET, path, None).await?;
        while let Some(piece) = next_piece(&mut response, MAX_PAUSE).await? {
            write(&piece)?;
        }
        Ok(())
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        };
        let mut request = request.build().map_err(root_cause)?;
        let deadline = Instant::now() + MAX_WAIT;
        loop {
            let again = request.try_clone();
            let error = match self.execute(request).await? {
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response) => return Err(self.refused(response).await),
                Err(error) => error,
            };
            // The server that takes over may be about to end, too.
            let Some(again) = again.filter(|_| Instant::now() < deadline) else {
                return Err(self.unanswered(error));
            };
            if !self.can_repeat(&error, &again).await? {
                return Err(self.unanswered(error));
            }
            request = again;
        }
    }

    async fn execute(&self, request: Request) -> anyhow::Result<reqwest::Result<Response>> {
        self.while_alive(self.client.execute(request)).await
    }

    /// Whether a request that got no response has had no effect, and another server has taken over
    /// since.
    async fn can_repeat(&self, error: &reqwest::Error, request: &Request) -> anyhow::Result<bool> {
        let is_safe = error.is_connect() || request.method() == Method::GET;
        match &self.place {
            Place::Local(server) if is_safe => Box::pin(server.take_over()).await,
            _ => Ok(false),
        }
    }

    /// Waits for a slow response, such as a copy of a large database, for as long as the server
    /// answers other requests.
    async fn while_alive<T>(&self, response: impl Future<Output = T>) -> anyhow::Result<T> {
        let mut response = std::pin::pin!(response);
        loop {
            if let Ok(done) = timeout(PATIENCE, &mut response).await {
                return Ok(done);
            }
            let asked = self.client.get(format!("{}/healthz", self.base)).send();
            let answered = timeout(PATIENCE, asked).await;
            let answered = answered.with_context(|| {
                let seconds = PATIENCE.as_secs();
                format!("{} did not answer within {seconds} s", self.name())
            })?;
            answered.map_err(|error| self.unanswered(error))?;
        }
    }

    fn unanswered(&self, error: reqwest::Error) -> anyhow::Error {
        root_cause(error).context(format!("{} does not answer", self.name()))
    }

    /// Returns the server as messages name it.
    fn name(&self) -> String {
        match self.place {
            Place::Running | Place::Local(_) => "the server".to_owned(),
            Place::Elsewhere => format!("the server at {}", self.base),
        }
    }

    async fn refused(&self, response: Response) -> anyhow::Error {
        let status = response.status();
        let body = text(response).await.unwrap_or_default();
        let body: Value = json::from_js(body.as_bytes()).unwrap_or_default();
        let Some(code) = body["code"].as_str() else {
            return anyhow::anyhow!("{} is not sessiond (it answers {status})", self.name());
        };
        let reason = &body["error"];
        let reason = reason["details"].as_str().or(reason["message"].as_str());
        let reason = one_line(reason.unwrap_or(code));
        let message = match self.hint(status) {
            Some(hint) => format!("{reason}; {hint}"),
            None => reason,
        };
        let code = code.to_owned();
        anyhow::Error::new(ApiRefusal {
            status,
            code,
            message,
        })
    }

    fn hint(&self, status: StatusCode) -> Option<&'static str> {
        match (status, &self.token) {
            (StatusCode::UNAUTHORIZED, None) => {
                Some("set SESSIOND_TOKEN to a token of that server, or to a user's JWT")
            }
            (StatusCode::UNAUTHORIZED, Some(_)) => {
                Some("the token is not, or no longer, valid: check SESSIOND_TOKEN")
            }
            (StatusCode::FORBIDDEN, Some(_)) => {
                Some("use a token that permits it, such as the server's SESSIOND_ADMIN_TOKEN")
            }
            (StatusCode::INTERNAL_SERVER_ERROR, _) => Some(hints::SERVER_LOG),
            _ => None,
        }
    }
}

/// Returns the JSON of a response.
async fn parsed(mut response: Response) -> anyhow::Result<Value> {
    let mut bytes = Vec::new();
    while let Some(piece) = next_piece(&mut response, MAX_PAUSE).await? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MAX_JSON {
            bail!("the server's response is too long");
        }
    }
    json::from_js(&bytes).context("the server's response is not JSON")
}

/// Returns the next piece of a body; `None` at its end.
pub(super) async fn next_piece(
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixListener;

    use super::*;

    const BEGINNING: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";

    #[tokio::test]
    async fn a_server_that_pauses_within_its_response_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("sessiond.redb");
        let listener = UnixListener::bind(local_socket::path(&database)).unwrap();
        let answering = async {
            // The first connection is the attempt.
            let (_attempt, _) = listener.accept().await.unwrap();
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = [0; 512];
            assert!(connection.read(&mut request).await.unwrap() > 0);
            connection.write_all(BEGINNING).await.unwrap();
            connection
        };
        let client = ServerConnection::running(&database).unwrap().unwrap();
        let sending = client.request(Method::GET, "/", None);
        let (response, connection) = tokio::join!(sending, answering);
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
}
