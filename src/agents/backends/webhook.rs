//! A webhook into the user's own code.

use std::sync::Arc;

use async_stream::try_stream;
use futures_util::stream::StreamExt as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use super::answer::{self, BackendAnswer, ReplyOrigin, Unnamed};
use crate::agents::backend::{Backend, Piece, ReplySource, ReplyStream, TurnRequest};
use crate::agents::backend_context::BackendContext;
use crate::agents::character::Character;
use crate::agents::client::address;
use crate::agents::client::body::{AnswerBody, BodyKind};
use crate::agents::client::http_client::{self, Repeat};
use crate::agents::client::redact::Redactor;
use crate::agents::settings::SettingsError;
use crate::agents::turn_call::TurnCall;
use crate::domain::turn::{ContextNeeds, HistoryNeeds};
use crate::json;

const SIGNATURE: &str = "X-Sessiond-Signature";

/// Its fields in `settings.backend`.
pub(crate) const FIELDS: &[&str] = &["url", "secretEnv", "historyMessages"];

/// A webhook.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    client: Client,
    url: Url,
    secret: Option<SecretString>,
    history: usize,
}

impl Webhook {
    /// Returns the webhook of a character's settings.
    pub(crate) fn from_settings(
        character: &Character,
        context: &BackendContext,
    ) -> Result<Box<dyn Backend>, SettingsError> {
        let config = &character.backend;
        Ok(Box::new(Self {
            client: context.client.clone(),
            url: config.url("url", config.required("url")?)?,
            secret: config.secret("secretEnv", context)?,
            history: config.history(0)?,
        }))
    }

    fn request(&self, request: &TurnRequest) -> RequestBuilder {
        // The signature is of exactly these bytes.
        let body = json::text(&TurnCall::new(
            request.turn_id,
            &request.session,
            &request.message,
            &request.history,
            None,
        ));
        let mut post = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json");
        if let Some(secret) = &self.secret {
            post = post.header(SIGNATURE, signature(secret, body.as_bytes()));
        }
        post.body(body)
    }
}

impl Backend for Webhook {
    fn kind(&self) -> &'static str {
        "webhook"
    }

    fn address(&self) -> Option<String> {
        Some(address::without_secrets(&self.url))
    }

    fn context_needs(&self) -> ContextNeeds {
        ContextNeeds {
            history: HistoryNeeds::Messages(self.history),
            remote_session: false,
        }
    }

    fn reply_source(&self) -> ReplySource {
        ReplySource::Either
    }

    fn reply(&self, request: Arc<TurnRequest>) -> ReplyStream {
        let redactor = Redactor::new(self.secret.as_ref(), &request, "");
        let post = self.request(&request);
        let origin = ReplyOrigin::new(&request);
        try_stream! {
            let response = http_client::send(post, &redactor, Repeat::Harmless).await?;
            let response = http_client::accept(response, &redactor, Repeat::Harmless).await?;
            if response.status() == StatusCode::ACCEPTED {
                yield Piece::Later;
                return;
            }
            let mut body = AnswerBody::new(response, &request.progress, &redactor);
            if body.kind().await? == BodyKind::Events {
                for await piece in answer::pieces(body, redactor, origin, Unnamed::Chunks) {
                    yield piece?;
                }
                return;
            }
            let answer: BackendAnswer = body.json().await?;
            let reply = answer.into_reply(origin);
            yield Piece::done(reply.ok_or_else(answer::no_text)?);
        }
        .boxed()
    }
}

/// Returns `sha256=` and the HMAC of the body in hex.
fn signature(secret: &SecretString, body: &[u8]) -> String {
    // HMAC accepts keys of any length.
    let hmac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes());
    let digest = hmac.map(|hmac| hmac.chain_update(body).finalize().into_bytes());
    format!("sha256={}", digest.map(hex::encode).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_matches_rfc_4231() {
        // RFC 4231, test case 2.
        assert_eq!(
            signature(&"Jefe".into(), b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
