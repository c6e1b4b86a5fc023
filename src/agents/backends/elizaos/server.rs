//! The requests to an `ElizaOS` server.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::message::{Outgoing, object};
use super::session::{ElizaSession, MAX_DURATION_MINUTES, TIMEOUT_MINUTES, lifetime};
use crate::agents::backend::{BackendError, BodyProgress, TurnRequest};
use crate::agents::client::body::AnswerBody;
use crate::agents::client::http_client::{self, Repeat};
use crate::agents::client::redact::Redactor;
use crate::agents::secrets::BackendSecrets;
use crate::domain::failure::FailureReason;
use crate::domain::id::AgentId;

/// The path of the sessions API.
const SESSIONS: &str = "/api/messaging/sessions";

/// An agent of an `ElizaOS` server.
#[derive(Debug, Clone)]
pub(crate) struct ElizaOs {
    pub(super) client: Client,
    pub(super) base: Url,
    pub(super) agent_id: AgentId,
    pub(super) key: Option<SecretString>,
    pub(super) secrets: BackendSecrets,
    pub(super) transport: ReplyTransport,
    /// How many earlier messages the agent receives.
    pub(super) history: usize,
}

/// How the reply arrives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum ReplyTransport {
    /// At once.
    #[default]
    Http,
    /// As a stream. `ElizaOS` 1.7.2 never ends the stream of a reply whose actions say nothing.
    Sse,
}

impl ElizaOs {
    pub(super) async fn send_message(
        &self,
        session: &ElizaSession,
        request: &TurnRequest,
        redactor: &Redactor,
    ) -> Result<Response, BackendError> {
        // Older versions call the transport `mode`.
        let (transport, mode) = match self.transport {
            ReplyTransport::Http => ("http", "sync"),
            ReplyTransport::Sse => ("sse", "stream"),
        };
        let message = Outgoing::new(request, session.is_new)?;
        let mut body = json!({ "content": message.content, "transport": transport, "mode": mode });
        if let Some(metadata) = message.metadata {
            body["metadata"] = metadata.into();
        }
        if let Some(attachments) = message.attachments {
            body["attachments"] = attachments;
        }
        let path = format!("/{}/messages", session.id);
        let post = self.request(Method::POST, &path).json(&body);
        http_client::send(request.traced(post), redactor, Repeat::ActsTwice).await
    }

    pub(super) async fn create_session(
        &self,
        request: &TurnRequest,
        redactor: &Redactor,
    ) -> Result<ElizaSession, BackendError> {
        let body = json!({
            "agentId": self.agent_id,
            "userId": request.session.user_id,
            "metadata": object(&request.session.metadata),
            "timeoutConfig": {
                "timeoutMinutes": TIMEOUT_MINUTES,
                "autoRenew": true,
                "maxDurationMinutes": MAX_DURATION_MINUTES,
            },
        });
        let created = self.post_session("", &body, redactor).await?;
        ElizaSession::created(&created).ok_or_else(|| {
            BackendError::new(
                FailureReason::InvalidReply,
                "it created a session without an id",
            )
        })
    }

    /// Returns how long the session lives without another message.
    pub(super) async fn renew_session(
        &self,
        session: &ElizaSession,
    ) -> Result<Option<Duration>, BackendError> {
        let redactor = self.redactor(Redactor::for_secrets(&self.secrets));
        let path = format!("/{}/renew", session.id);
        let renewed = self.post_session(&path, &json!({}), &redactor).await?;
        Ok(lifetime(&renewed))
    }

    /// Deletes a session, which may be lost already.
    pub(super) async fn delete_session(&self, session: &ElizaSession) -> Result<(), BackendError> {
        let redactor = self.redactor(Redactor::for_secrets(&self.secrets));
        let delete = self.request(Method::DELETE, &format!("/{}", session.id));
        let response = http_client::send(delete, &redactor, Repeat::ActsTwice).await?;
        if is_lost(response.status()) {
            return Ok(());
        }
        let accepted = http_client::accept(response, &redactor, Repeat::ActsTwice).await;
        accepted.map(drop)
    }

    /// Adds to a redactor what it needs to know of the address.
    pub(super) fn redactor(&self, redactor: Redactor) -> Redactor {
        redactor
            .with_query(&self.base)
            .with_hint("is baseUrl the address of an ElizaOS server?")
    }

    /// Posts to the sessions API and returns the answer, which is a session.
    async fn post_session(
        &self,
        path: &str,
        body: &Value,
        redactor: &Redactor,
    ) -> Result<Value, BackendError> {
        let post = self.request(Method::POST, path).json(body);
        let response = http_client::send(post, redactor, Repeat::ActsTwice).await?;
        let response = http_client::accept(response, redactor, Repeat::ActsTwice).await?;
        // The idle timeout is about the answer to the message, not this one.
        let mut body = AnswerBody::new(response, &BodyProgress::default(), redactor);
        // Another kind of content has a better cause than invalid JSON.
        body.kind().await?;
        body.json().await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = http_client::append_path(&self.base, &format!("{SESSIONS}{path}"));
        let request = self.client.request(method, url);
        match &self.key {
            Some(key) => request.header("X-API-KEY", key.expose_secret()),
            None => request,
        }
    }
}

/// Returns whether a response means that the server has lost the session.
pub(super) fn is_lost(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE)
}
