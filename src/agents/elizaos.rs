//! An `ElizaOS` server that is already there: a session of its own for each of ours.

use std::sync::Arc;

use async_stream::try_stream;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::StreamExt as _;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{self, Answer, Origin, Unnamed};
use super::backend::{
    Backend, BackendError, Piece, ReplyStream, TurnRequest, WantedHistory, Wants,
};
use super::body::{Body, Kind};
use super::character::Character;
use super::registry::Tools;
use super::scrub::Scrub;
use super::settings::SettingsFault;
use super::upstream::{self, Repeat};
use crate::domain::id::AgentId;
use crate::domain::turn::Reply;

/// What a character can say of it.
pub(super) const FIELDS: &[&str] = &["baseUrl", "agentId", "apiKeyEnv", "transport"];

/// Its sessions.
const SESSIONS: &str = "/api/messaging/sessions";

/// The longest name of a session that is taken from it; its own have 36 characters.
const MAX_NAME: usize = 255;

/// An agent of another server.
#[derive(Debug, Clone)]
pub(super) struct ElizaOs {
    client: Client,
    base: Url,
    agent_id: AgentId,
    key: Option<SecretString>,
    transport: Transport,
}

/// How the reply is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Transport {
    /// In one piece.
    Http,
    /// As it is made.
    #[default]
    Sse,
}

/// An answer to a message, in either of the forms that its versions have.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    #[serde(default)]
    agent_response: Option<Value>,
    #[serde(default)]
    data: Option<Inner>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inner {
    #[serde(default)]
    agent_response: Option<Value>,
}

impl ElizaOs {
    /// The agent that a character's settings name.
    pub(super) fn from_settings(
        character: &Character,
        tools: &Tools,
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
        }))
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        let url = upstream::below(&self.base, &format!("{SESSIONS}{path}"));
        let post = self.client.post(url).json(body);
        match &self.key {
            Some(key) => post.header("X-API-KEY", key.expose_secret()),
            None => post,
        }
    }

    /// Makes a session there; its name.
    async fn make_session(
        &self,
        request: &TurnRequest,
        scrub: &Scrub,
    ) -> Result<String, BackendError> {
        let timeout = request.session.timeout;
        let body = json!({
            "agentId": self.agent_id,
            "userId": request.session.user_id,
            "metadata": object(Some(&request.session.metadata)),
            // Ours decides how long the conversation lasts.
            "timeoutConfig": {
                "timeoutMinutes": timeout.timeout_minutes,
                "autoRenew": true,
                "maxDurationMinutes": timeout.max_duration_minutes,
            },
        });
        let response = upstream::send(self.post("", &body), scrub, Repeat::ActsTwice).await?;
        let response = upstream::accept(response, scrub, Repeat::ActsTwice).await?;
        let made = Body::new(response, &request.progress, scrub);
        let made: Value = made.json().await?;
        let name = made.get("sessionId").or_else(|| {
            let data = made.get("data")?;
            data.get("sessionId")
        });
        match name.and_then(Value::as_str) {
            Some(name) if is_name(name) => Ok(name.to_owned()),
            _ => Err(BackendError::Final(
                "it made a session without an id".into(),
            )),
        }
    }

    async fn say(
        &self,
        session: &str,
        request: &TurnRequest,
        scrub: &Scrub,
    ) -> Result<Response, BackendError> {
        let (transport, mode) = match self.transport {
            Transport::Http => ("http", "sync"),
            Transport::Sse => ("sse", "stream"),
        };
        let message = &request.message.body;
        let mut body = json!({
            "content": message.content,
            "transport": transport,
            // What its older versions call it.
            "mode": mode,
        });
        if let Some(metadata) = &message.metadata {
            body["metadata"] = object(Some(metadata)).into();
        }
        if let Some(attachments) = &message.attachments {
            body["attachments"] = serde_json::from_str(attachments).unwrap_or_default();
        }
        let path = format!("/{session}/messages");
        upstream::send(self.post(&path, &body), scrub, Repeat::ActsTwice).await
    }
}

impl Backend for ElizaOs {
    fn kind(&self) -> &'static str {
        "elizaos"
    }

    fn wants(&self) -> Wants {
        Wants {
            // That server keeps the conversation itself.
            history: WantedHistory::Statements(0),
            upstream: true,
        }
    }

    fn reply(&self, request: Arc<TurnRequest>) -> ReplyStream {
        let server = self.clone();
        let scrub = Scrub::new(self.key.as_ref(), &request, "");
        let origin = Origin::of(&request);
        try_stream! {
            let mut known = request.upstream.clone();
            let response = loop {
                let is_new = known.is_none();
                let session = if let Some(session) = known.take() {
                    session
                } else {
                    let session = server.make_session(&request, &scrub).await?;
                    yield Piece::Upstream(session.clone());
                    session
                };
                let response = server.say(&session, &request, &scrub).await?;
                // It forgets its sessions when it is restarted, and lets them expire.
                if is_new || !is_lost(response.status()) {
                    break upstream::accept(response, &scrub, Repeat::ActsTwice).await?;
                }
                tracing::info!(
                    session = %request.session.id,
                    "the server behind has lost its session; a new one is made"
                );
            };
            let mut body = Body::new(response, &request.progress, &scrub);
            if body.kind().await? == Kind::Events {
                for await piece in answer::pieces(body, scrub, origin, Unnamed::Ignored) {
                    yield piece?;
                }
                return;
            }
            let sent: Sent = body.json().await?;
            yield Piece::done(reply_of(sent, origin)?);
        }
        .boxed()
    }

    fn renew(&self, session: String) -> Option<BoxFuture<'static, Result<(), BackendError>>> {
        let server = self.clone();
        Some(
            async move {
                let scrub = Scrub::of_key(server.key.as_ref());
                let path = format!("/{session}/renew");
                let response =
                    upstream::send(server.post(&path, &json!({})), &scrub, Repeat::ActsTwice)
                        .await?;
                upstream::accept(response, &scrub, Repeat::ActsTwice)
                    .await
                    .map(drop)
            }
            .boxed(),
        )
    }
}

/// The reply in an answer. There is none where that server dropped the turn for a later one.
fn reply_of(sent: Sent, origin: Origin) -> Result<Reply, BackendError> {
    let inner = sent.data.and_then(|data| data.agent_response);
    let response = sent.agent_response.or(inner);
    let answer = match response {
        None | Some(Value::Null) => return Err(superseded()),
        Some(Value::String(text)) => Answer::of_text(text),
        Some(other) => serde_json::from_value(other)
            .map_err(|_| BackendError::Final("its agentResponse is no reply".into()))?,
    };
    answer.into_reply(origin).ok_or_else(superseded)
}

fn superseded() -> BackendError {
    BackendError::Transient {
        detail: "it answered without a reply".into(),
        retry_after: None,
    }
}

fn is_lost(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE)
}

/// Whether a session's name can stand in a path as it is.
fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_allowed)
}

fn object(text: Option<&str>) -> Map<String, Value> {
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}
