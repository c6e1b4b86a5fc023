//! An `ElizaOS` server that is already there: a session of its own for each of ours.

mod answer;
mod message;
mod session;

use std::sync::Arc;
use std::time::Duration;

use async_stream::try_stream;
use futures_util::future::FutureExt as _;
use futures_util::stream::StreamExt as _;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use self::answer::Sent;
use self::message::Outgoing;
use self::session::Remote;
use super::answer::{Origin, Unnamed, pieces};
use crate::agents::backend::{Backend, BackendError, Piece, RemoteCall, ReplyStream, TurnRequest};
use crate::agents::character::Character;
use crate::agents::client::body::{Body, Kind};
use crate::agents::client::http_client::{self, Repeat};
use crate::agents::client::redact::Redactor;
use crate::agents::registry::BackendContext;
use crate::agents::settings::SettingsFault;
use crate::domain::id::AgentId;
use crate::domain::turn::{WantedHistory, Wants};

/// What a character can say of it.
pub(in crate::agents) const FIELDS: &[&str] = &[
    "baseUrl",
    "agentId",
    "apiKeyEnv",
    "transport",
    "historyMessages",
];

/// How many messages its agent is told of, unless the character says otherwise.
const HISTORY: usize = 40;

/// Its sessions.
const SESSIONS: &str = "/api/messaging/sessions";

/// An agent of another server.
#[derive(Debug, Clone)]
pub(in crate::agents) struct ElizaOs {
    client: Client,
    base: Url,
    agent_id: AgentId,
    key: Option<SecretString>,
    transport: Transport,
    history: usize,
}

/// How the reply is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Transport {
    /// In one piece.
    #[default]
    Http,
    /// As it is made. `ElizaOS` 1.7.2 never ends the stream of a reply whose actions say nothing.
    Sse,
}

impl ElizaOs {
    /// The agent that a character's settings name.
    pub(in crate::agents) fn from_settings(
        character: &Character,
        tools: &BackendContext,
    ) -> Result<Box<dyn Backend>, SettingsFault> {
        let config = &character.backend;
        let agent_id = match config.text("agentId")? {
            // Ids are made of names in the same way here and there.
            None => character.id,
            Some(text) => AgentId::parse(text).ok_or_else(|| {
                config.fault_in(
                    "agentId",
                    format!("settings.backend.agentId is {text:?}, which is not a UUID"),
                )
            })?,
        };
        let transports = [("sse", Transport::Sse), ("http", Transport::Http)];
        Ok(Box::new(Self {
            client: tools.client.clone(),
            base: config.address("baseUrl", config.required("baseUrl")?)?,
            agent_id,
            key: config.header_secret("apiKeyEnv", tools)?,
            transport: config.choice("transport", &transports)?.unwrap_or_default(),
            history: config.history(HISTORY)?,
        }))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = http_client::below(&self.base, &format!("{SESSIONS}{path}"));
        let request = self.client.request(method, url);
        match &self.key {
            Some(key) => request.header("X-API-KEY", key.expose_secret()),
            None => request,
        }
    }

    async fn say(
        &self,
        session: &Remote,
        request: &TurnRequest,
        redactor: &Redactor,
    ) -> Result<Response, BackendError> {
        let (transport, mode) = match self.transport {
            Transport::Http => ("http", "sync"),
            Transport::Sse => ("sse", "stream"),
        };
        let Outgoing {
            content,
            metadata,
            attachments,
        } = Outgoing::of(request, session.is_new)?;
        let mut body = json!({
            "content": content,
            "transport": transport,
            // What its older versions call it.
            "mode": mode,
        });
        if let Some(metadata) = metadata {
            body["metadata"] = metadata.into();
        }
        if let Some(attachments) = attachments {
            body["attachments"] = attachments;
        }
        let path = format!("/{}/messages", session.name);
        let post = self.request(Method::POST, &path).json(&body);
        http_client::send(post, redactor, Repeat::ActsTwice).await
    }
}

impl Backend for ElizaOs {
    fn kind(&self) -> &'static str {
        "elizaos"
    }

    fn wants(&self) -> Wants {
        Wants {
            history: WantedHistory::Messages(self.history),
            upstream: true,
        }
    }

    fn reply(&self, request: Arc<TurnRequest>) -> ReplyStream {
        let server = self.clone();
        let redactor = Redactor::new(self.key.as_ref(), &request, "");
        let origin = Origin::of(&request);
        try_stream! {
            let mut known = request.upstream.as_deref().map(Remote::kept);
            let (mut session, response) = loop {
                let was_known = known.is_some();
                let session = if let Some(session) = known.take() {
                    session
                } else {
                    let session = server.make_session(&request, &redactor).await?;
                    yield Piece::Upstream(session.to_text());
                    session
                };
                let response = server.say(&session, &request, &redactor).await?;
                // It forgets its sessions when it is restarted, and lets them expire.
                if !was_known || !is_lost(response.status()) {
                    break (session, response);
                }
                tracing::info!(
                    session = %request.session.id,
                    "the server behind has lost its session; a new one is made"
                );
            };
            let response = http_client::accept(response, &redactor, Repeat::ActsTwice).await?;
            if session.is_new {
                session.is_new = false;
                yield Piece::Upstream(session.to_text());
            }
            let mut body = Body::new(response, &request.progress, &redactor);
            if body.kind().await? == Kind::Events {
                for await piece in pieces(body, redactor, origin, Unnamed::Ignored) {
                    yield piece?;
                }
                return;
            }
            let sent: Sent = body.json().await?;
            yield Piece::done(sent.into_reply(origin)?);
        }
        .boxed()
    }

    fn renew(&self, remote: String) -> Option<RemoteCall<Option<Duration>>> {
        let server = self.clone();
        Some(async move { server.renew_session(&Remote::kept(&remote)).await }.boxed())
    }

    fn delete(&self, remote: String) -> Option<RemoteCall<()>> {
        let server = self.clone();
        Some(async move { server.delete_session(&Remote::kept(&remote)).await }.boxed())
    }
}

fn is_lost(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE)
}
