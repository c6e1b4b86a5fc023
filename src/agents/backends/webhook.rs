//! A webhook into the user's own code.

use std::sync::Arc;

use async_stream::try_stream;
use futures_util::stream::StreamExt as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::Sha256;

use super::answer::{self, Answer, Origin, Unnamed};
use crate::agents::backend::{Answering, Backend, Piece, ReplyStream, TurnRequest};
use crate::agents::character::Character;
use crate::agents::client::body::{Body, Kind};
use crate::agents::client::http_client::{self, Repeat};
use crate::agents::client::redact::Redactor;
use crate::agents::registry::BackendContext;
use crate::agents::settings::SettingsFault;
use crate::domain::id::{AgentId, MessageId, SessionId, TurnId, UserId};
use crate::domain::message::Message;
use crate::domain::time::Timestamp;
use crate::domain::turn::{WantedHistory, Wants};
use crate::json;
use crate::message_json;

/// Where the signature stands.
const SIGNATURE: &str = "X-Sessiond-Signature";

/// What a character can say of it.
pub(in crate::agents) const FIELDS: &[&str] = &["url", "secretEnv", "historyMessages"];

/// Somebody's own code.
#[derive(Debug, Clone)]
pub(in crate::agents) struct Webhook {
    client: Client,
    url: Url,
    secret: Option<SecretString>,
    history: usize,
}

/// What is posted.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Call<'a> {
    turn_id: TurnId,
    session_id: SessionId,
    agent_id: AgentId,
    user_id: UserId,
    message: Posted<'a>,
    history: Vec<Past<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted<'a> {
    id: MessageId,
    content: &'a str,
    metadata: Map<String, Value>,
    attachments: Value,
    created_at: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Past<'a> {
    id: MessageId,
    role: &'static str,
    content: &'a str,
    created_at: Timestamp,
}

impl Webhook {
    /// The webhook that a character's settings name.
    pub(in crate::agents) fn from_settings(
        character: &Character,
        tools: &BackendContext,
    ) -> Result<Box<dyn Backend>, SettingsFault> {
        let config = &character.backend;
        Ok(Box::new(Self {
            client: tools.client.clone(),
            url: config.address("url", config.required("url")?)?,
            secret: config.secret("secretEnv", tools)?,
            history: config.history(0)?,
        }))
    }

    fn request(&self, request: &TurnRequest) -> RequestBuilder {
        // The signature is of these very bytes.
        let body = json::text(&Self::call(request));
        let mut post = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json");
        if let Some(secret) = &self.secret {
            post = post.header(SIGNATURE, signature(secret, body.as_bytes()));
        }
        post.body(body)
    }

    fn call(request: &TurnRequest) -> Call<'_> {
        let TurnRequest {
            session, message, ..
        } = request;
        Call {
            turn_id: request.turn_id,
            session_id: session.id,
            agent_id: session.agent_id,
            user_id: session.user_id,
            message: Posted {
                id: message.id,
                content: &message.body.content,
                metadata: message_json::shown(&session.metadata, message),
                attachments: parsed(message.body.attachments.as_deref())
                    .unwrap_or_else(|| Value::Array(Vec::new())),
                created_at: message.created_at,
            },
            history: request.history.messages().iter().map(Past::new).collect(),
        }
    }
}

impl Backend for Webhook {
    fn kind(&self) -> &'static str {
        "webhook"
    }

    fn wants(&self) -> Wants {
        Wants {
            history: WantedHistory::Messages(self.history),
            upstream: false,
        }
    }

    fn answering(&self) -> Answering {
        Answering::Either
    }

    fn reply(&self, request: Arc<TurnRequest>) -> ReplyStream {
        let redactor = Redactor::new(self.secret.as_ref(), &request, "");
        let post = self.request(&request);
        let origin = Origin::of(&request);
        try_stream! {
            let response = http_client::send(post, &redactor, Repeat::Harmless).await?;
            let response = http_client::accept(response, &redactor, Repeat::Harmless).await?;
            if response.status() == StatusCode::ACCEPTED {
                yield Piece::Later;
                return;
            }
            let mut body = Body::new(response, &request.progress, &redactor);
            if body.kind().await? == Kind::Events {
                for await piece in answer::pieces(body, redactor, origin, Unnamed::Chunks) {
                    yield piece?;
                }
                return;
            }
            let answer: Answer = body.json().await?;
            let reply = answer.into_reply(origin);
            yield Piece::done(reply.ok_or_else(answer::no_text)?);
        }
        .boxed()
    }
}

impl<'a> Past<'a> {
    fn new(message: &'a Message) -> Self {
        Self {
            id: message.id,
            role: if message.is_agent() { "agent" } else { "user" },
            content: &message.body.content,
            created_at: message.created_at,
        }
    }
}

fn parsed(text: Option<&str>) -> Option<Value> {
    text.and_then(|text| serde_json::from_str(text).ok())
}

/// `sha256=` and the HMAC of the body in hex.
fn signature(secret: &SecretString, body: &[u8]) -> String {
    use std::fmt::Write as _;

    let mut text = "sha256=".to_owned();
    // HMAC takes a key of any length.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) {
        mac.update(body);
        for byte in mac.finalize().into_bytes() {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_standard() {
        // RFC 4231, test case 2.
        assert_eq!(
            signature(&"Jefe".into(), b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
