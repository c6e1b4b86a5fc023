//! Requests to an `ElizaOS` server.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::super::connection::next_piece;
use super::super::output::note;
use super::super::server_client::root_cause;
use super::wire::{
    Channel, ChannelMessage, Channels, Enveloped, MessageServers, Messages, ServerAgent,
    ServerAgents,
};
use crate::agents::client::address::without_secrets;
use crate::agents::client::http_client;
use crate::json;

/// A server that takes longer for an answer, or pauses for longer within it, does not respond.
const PATIENCE: Duration = Duration::from_mins(1);

/// The longest time for a complete answer. The longest one arrives at half a MiB per second.
const MAX_DURATION: Duration = Duration::from_mins(2);

/// The longest answer, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// The server's limit counts the requests of 15 minutes.
const MAX_WAIT: Duration = Duration::from_mins(15);

/// How long to wait if the server does not say it.
const DEFAULT_WAIT: Duration = Duration::from_mins(1);

/// How often in succession the server may ask to wait.
const MAX_WAITS: usize = 3;

/// Where the number of requests is limited: seconds until more are accepted.
const RATE_LIMIT_RESET: &str = "ratelimit-reset";

/// The path of the first request, which only `ElizaOS` answers.
const MESSAGE_SERVERS: &str = "/api/messaging/message-servers";

/// Reads from an `ElizaOS` server.
pub(super) struct ElizaOsReader {
    client: Client,
    base: Url,
    key: Option<SecretString>,
    /// The variable that holds the key.
    variable: Option<String>,
    max_duration: Duration,
    /// Notified when the server accepts no more requests for now.
    waiting: Notify,
}

/// A request failed.
#[derive(Debug)]
pub(super) enum ElizaOsError {
    /// The server answers, but not with what can be imported. The same request would fail again;
    /// others may succeed.
    Answer(String),
    /// The answer has another form than that of `ElizaOS`.
    Unreadable(String),
    /// The server reports a failure of its own. The same request may succeed later.
    ServerError(String),
    /// The server refuses to answer.
    Refused { status: StatusCode, path: String },
    /// Other requests would fail too.
    Failed(anyhow::Error),
}

impl ElizaOsReader {
    pub(super) fn new(
        base: Url,
        key: Option<SecretString>,
        variable: Option<String>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            client: http_client::client()?,
            base,
            key,
            variable,
            max_duration: MAX_DURATION,
            waiting: Notify::new(),
        })
    }

    /// Returns the address of the server.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// Returns the variable that holds the key.
    pub(super) fn variable(&self) -> Option<&str> {
        self.variable.as_deref()
    }

    /// Returns all channels. It is the first request, so an answer of another kind means that the
    /// address is not that of an `ElizaOS` server.
    pub(super) async fn channels(&self) -> anyhow::Result<Vec<Channel>> {
        let servers: MessageServers = self.required(MESSAGE_SERVERS).await?;
        let mut channels = Vec::new();
        for server in servers.message_servers {
            // It becomes part of a path.
            let id = Uuid::try_parse(&server.id);
            let id = id.map_err(|_| self.not_elizaos("a message server's id is not a UUID"))?;
            let path = format!("{MESSAGE_SERVERS}/{id}/channels");
            let found: Channels = self.required(&path).await?;
            channels.extend(found.channels);
        }
        Ok(channels)
    }

    /// Returns the agents of the server.
    pub(super) async fn agents(&self) -> anyhow::Result<Vec<ServerAgent>> {
        let found: ServerAgents = self.required("/api/agents").await?;
        Ok(found.agents)
    }

    /// Returns the ids of the participants of a channel.
    pub(super) async fn participants(&self, channel: Uuid) -> Result<Vec<String>, ElizaOsError> {
        let path = format!("/api/messaging/channels/{channel}/participants");
        self.get(&path, &[]).await
    }

    /// Returns the newest messages of a channel, newest first; only those before a time in
    /// milliseconds, if there is one.
    pub(super) async fn messages(
        &self,
        channel: Uuid,
        limit: usize,
        before: Option<i64>,
    ) -> Result<Vec<ChannelMessage>, ElizaOsError> {
        let path = format!("/api/messaging/channels/{channel}/messages");
        let mut query = vec![("limit", limit.to_string())];
        query.extend(before.map(|before| ("before", before.to_string())));
        let page: Messages = self.get(&path, &query).await?;
        Ok(page.messages)
    }

    async fn required<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.get(path, &[]).await.map_err(|error| match error {
            ElizaOsError::Answer(reason) | ElizaOsError::Unreadable(reason) => {
                self.not_elizaos(&reason)
            }
            ElizaOsError::ServerError(reason) => anyhow::anyhow!(
                "{}: {reason}; its log says why",
                without_secrets(&self.base)
            ),
            ElizaOsError::Refused { status, .. } => self.refused(status),
            ElizaOsError::Failed(error) => error,
        })
    }

    fn not_elizaos(&self, reason: &str) -> anyhow::Error {
        anyhow::anyhow!(
            "{} is not an ElizaOS 1.x server: {reason}; expected the address of one, without /api \
             behind it, such as http://127.0.0.1:3000",
            without_secrets(&self.base)
        )
    }

    /// Returns the data of an answer. If the server accepts no more requests for now, waits.
    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, ElizaOsError> {
        for _ in 0..MAX_WAITS {
            let answering = timeout(self.max_duration, self.answer(path, query)).await;
            let (status, headers, body) = answering
                .with_context(|| format!("no complete answer within {:?}", self.max_duration))
                .flatten()
                .map_err(|error| ElizaOsError::Failed(self.unavailable(&error)))?;
            if status == StatusCode::TOO_MANY_REQUESTS {
                self.wait(&headers).await;
                continue;
            }
            let Some(body) = body else {
                let mebibytes = MAX_ANSWER >> 20;
                let reason = format!("it answers more than {mebibytes} MiB to GET {path}");
                return Err(ElizaOsError::Answer(reason));
            };
            return data(path, status, &body);
        }
        let server = without_secrets(&self.base);
        let error = anyhow::anyhow!("{server} accepts no more requests (429); try again later");
        Err(ElizaOsError::Failed(error))
    }

    /// Sends a request, and returns the status, the headers and the body of its answer; no body if
    /// that is too long.
    async fn answer(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> anyhow::Result<(StatusCode, HeaderMap, Option<Vec<u8>>)> {
        let mut url = http_client::append_path(&self.base, path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.client.get(url);
        let request = match &self.key {
            Some(key) => request.header("X-API-KEY", key.expose_secret()),
            None => request,
        };
        let response = timeout(PATIENCE, request.send()).await;
        let response = response
            .with_context(|| format!("no answer within {} s", PATIENCE.as_secs()))?
            .map_err(root_cause)?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok((status, headers, body(response).await?))
    }

    /// Waits until the server accepts no more requests for now.
    pub(super) async fn waiting(&self) {
        self.waiting.notified().await;
    }

    /// Waits until the server accepts requests again.
    async fn wait(&self, headers: &HeaderMap) {
        let seconds = [RETRY_AFTER.as_str(), RATE_LIMIT_RESET]
            .into_iter()
            .find_map(|name| headers.get(name)?.to_str().ok()?.parse().ok());
        let wait = seconds.map_or(DEFAULT_WAIT, Duration::from_secs);
        let wait = wait.clamp(Duration::from_secs(1), MAX_WAIT);
        note(&format!(
            "{} accepts no more requests for now (429); waiting for {} s",
            without_secrets(&self.base),
            wait.as_secs()
        ));
        self.waiting.notify_one();
        sleep(wait).await;
    }

    fn unavailable(&self, error: &anyhow::Error) -> anyhow::Error {
        anyhow::anyhow!(
            "{} cannot be read: {error:#}; is that server running, and is the address right?",
            without_secrets(&self.base)
        )
    }

    fn refused(&self, status: StatusCode) -> anyhow::Error {
        let server = without_secrets(&self.base);
        let status = status.as_u16();
        match &self.variable {
            None => anyhow::anyhow!(
                "{server} wants a key ({status}): name the variable that holds its \
                 ELIZA_SERVER_AUTH_TOKEN with --api-key-env; it is sent as X-API-KEY"
            ),
            Some(variable) => anyhow::anyhow!(
                "{server} refuses the key in {variable} ({status}), which is sent as X-API-KEY: it \
                 must be that server's ELIZA_SERVER_AUTH_TOKEN"
            ),
        }
    }
}

/// Returns the data of an answer.
fn data<T: DeserializeOwned>(
    path: &str,
    status: StatusCode,
    body: &[u8],
) -> Result<T, ElizaOsError> {
    if let StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN = status {
        let path = path.to_owned();
        return Err(ElizaOsError::Refused { status, path });
    }
    if status.is_server_error() {
        let status = status.as_u16();
        let reason = format!("the server failed ({status}) at GET {path}");
        return Err(ElizaOsError::ServerError(reason));
    }
    if status != StatusCode::OK {
        let status = status.as_u16();
        let reason = format!("it answers {status} to GET {path}");
        return Err(ElizaOsError::Answer(reason));
    }
    if body.trim_ascii_start().starts_with(b"<") {
        let reason = format!("it answers a web page to GET {path}");
        return Err(ElizaOsError::Unreadable(reason));
    }
    json::from_js(body)
        .map(|answer: Enveloped<T>| answer.data)
        .map_err(|_| {
            let reason = format!("it answers something else to GET {path}");
            ElizaOsError::Unreadable(reason)
        })
}

/// Reads a body; `None` if it is too long.
async fn body(mut response: Response) -> anyhow::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    while let Some(piece) = next_piece(&mut response, PATIENCE).await? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MAX_ANSWER {
            return Ok(None);
        }
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_body_that_arrives_too_slowly_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let dripping = tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            assert!(connection.read(&mut request).await.unwrap() > 0);
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
            connection.write_all(head).await.unwrap();
            while connection.write_all(b" ").await.is_ok() {
                sleep(Duration::from_millis(10)).await;
            }
        });
        let base = format!("http://{address}").parse().unwrap();
        let reader = ElizaOsReader {
            max_duration: Duration::from_millis(300),
            ..ElizaOsReader::new(base, None, None).unwrap()
        };
        let error = reader.channels().await.unwrap_err().to_string();
        assert!(error.contains("no complete answer within 300ms"), "{error}");
        dripping.abort();
    }
}
