//! A running `ElizaOS` server, with a remote session for each of ours.

mod answer;
mod message;
mod server;
mod session;

use std::sync::Arc;
use std::time::Duration;

use async_stream::try_stream;
use futures_util::future::FutureExt as _;
use futures_util::stream::StreamExt as _;

use self::answer::HttpAnswer;
pub(crate) use self::server::ElizaOs;
use self::server::{ReplyTransport, is_lost};
use self::session::ElizaSession;
use super::answer::{ReplyOrigin, Unnamed, pieces};
use crate::agents::backend::{Backend, Piece, RemoteCall, ReplyStream, TurnRequest};
use crate::agents::backend_context::BackendContext;
use crate::agents::character::Character;
use crate::agents::client::address;
use crate::agents::client::body::{AnswerBody, BodyKind};
use crate::agents::client::http_client::{self, Repeat};
use crate::agents::client::redact::Redactor;
use crate::agents::settings::SettingsError;
use crate::domain::id::AgentId;
use crate::domain::turn::{ContextNeeds, HistoryNeeds};

/// Its fields in `settings.backend`.
pub(crate) const FIELDS: &[&str] = &[
    "baseUrl",
    "agentId",
    "apiKeyEnv",
    "transport",
    "historyMessages",
];

/// The default number of earlier messages that the agent receives.
const HISTORY: usize = 40;

impl ElizaOs {
    /// Returns the agent of a character's settings.
    pub(crate) fn from_settings(
        character: &Character,
        context: &BackendContext,
    ) -> Result<Box<dyn Backend>, SettingsError> {
        let config = &character.backend;
        let agent_id = match config.text("agentId")? {
            // Both servers derive the same id from a name.
            None => character.id,
            Some(text) => AgentId::parse(text).ok_or_else(|| {
                let reason =
                    format!("invalid settings.backend.agentId: expected a UUID, found {text:?}");
                config.error_in("agentId", reason)
            })?,
        };
        let transports = [("sse", ReplyTransport::Sse), ("http", ReplyTransport::Http)];
        Ok(Box::new(Self {
            client: context.client.clone(),
            base: config.url("baseUrl", config.required("baseUrl")?)?,
            agent_id,
            key: config.header_secret("apiKeyEnv", context)?,
            secrets: context.secrets.clone(),
            transport: config.choice("transport", &transports)?.unwrap_or_default(),
            history: config.history(HISTORY)?,
        }))
    }
}

impl Backend for ElizaOs {
    fn kind(&self) -> &'static str {
        "elizaos"
    }

    fn address(&self) -> Option<String> {
        Some(address::without_secrets(&self.base))
    }

    fn context_needs(&self) -> ContextNeeds {
        ContextNeeds {
            history: HistoryNeeds::Messages(self.history),
            remote_session: true,
        }
    }

    fn reply(&self, request: Arc<TurnRequest>) -> ReplyStream {
        let server = self.clone();
        let redactor = server.redactor(Redactor::new(&self.secrets, &request, ""));
        let origin = ReplyOrigin::new(&request);
        try_stream! {
            let mut stored = request.remote_session.as_deref().map(ElizaSession::parse);
            let (mut session, response) = loop {
                let was_stored = stored.is_some();
                let session = if let Some(session) = stored.take() {
                    session
                } else {
                    let session = server.create_session(&request, &redactor).await?;
                    yield Piece::RemoteSession(session.to_text());
                    session
                };
                let response = server.send_message(&session, &request, &redactor).await?;
                // A restarted server has lost its sessions, and others have expired.
                if !was_stored || !is_lost(response.status()) {
                    break (session, response);
                }
                tracing::info!(
                    session = %request.session.id,
                    "the agent's server has lost the remote session; creating a new one"
                );
            };
            let response = http_client::accept(response, &redactor, Repeat::ActsTwice).await?;
            if session.is_new {
                session.is_new = false;
                yield Piece::RemoteSession(session.to_text());
            }
            let mut body = AnswerBody::new(response, &request.progress, &redactor);
            if body.kind().await? == BodyKind::Events {
                for await piece in pieces(body, redactor, origin, Unnamed::Ignored) {
                    yield piece?;
                }
                return;
            }
            let answer: HttpAnswer = body.json().await?;
            yield Piece::done(answer.into_reply(origin, &redactor)?);
        }
        .boxed()
    }

    fn renew(&self, remote: String) -> Option<RemoteCall<Option<Duration>>> {
        let server = self.clone();
        let session = ElizaSession::parse(&remote);
        Some(async move { server.renew_session(&session).await }.boxed())
    }

    fn delete(&self, remote: String) -> Option<RemoteCall<()>> {
        let server = self.clone();
        let session = ElizaSession::parse(&remote);
        Some(async move { server.delete_session(&session).await }.boxed())
    }
}
