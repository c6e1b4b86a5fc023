//! A webhook into the user's own code.

mod refusal;
mod signature;

use std::sync::Arc;

use async_stream::try_stream;
use futures_util::stream::StreamExt as _;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use secrecy::SecretString;

use self::refusal::refusal;
use self::signature::{InvalidSecret, Signer};
use super::answer::{self, BackendAnswer, ReplyOrigin, Unnamed};
use crate::agents::backend::{Backend, Piece, ReplySource, ReplyStream, TurnRequest};
use crate::agents::backend_context::BackendContext;
use crate::agents::character::Character;
use crate::agents::client::address;
use crate::agents::client::body::{AnswerBody, BodyKind};
use crate::agents::client::http_client::{self, Repeat};
use crate::agents::client::redact::Redactor;
use crate::agents::secrets::BackendSecrets;
use crate::agents::settings::{BackendConfig, SettingsError};
use crate::agents::turn_call::TurnCall;
use crate::domain::turn::{ContextNeeds, HistoryNeeds};
use crate::json;

const ATTEMPT: &str = "X-Sessiond-Attempt";

/// Its fields in `settings.backend`.
pub(crate) const FIELDS: &[&str] = &["url", "secretEnv", "historyMessages"];

/// A webhook.
#[derive(Debug)]
pub(crate) struct Webhook {
    client: Client,
    url: Url,
    agent_name: String,
    /// Signs with the secret.
    signer: Option<Signer>,
    secrets: BackendSecrets,
    history: usize,
}

impl Webhook {
    /// Returns the webhook of a character's settings.
    pub(crate) fn from_settings(
        character: &Character,
        context: &BackendContext,
    ) -> Result<Box<dyn Backend>, SettingsError> {
        let config = &character.backend;
        let url = config.url("url", config.required("url")?)?;
        let secret = config.secret("secretEnv", context)?;
        Ok(Box::new(Self {
            client: context.client.clone(),
            url,
            agent_name: character.name.clone(),
            signer: signer(config, secret.as_ref())?,
            secrets: context.secrets.clone(),
            history: config.history(0)?,
        }))
    }

    fn request(&self, request: &TurnRequest) -> RequestBuilder {
        let TurnRequest {
            turn_id, attempt, ..
        } = *request;
        let body = json::text(&TurnCall::new(
            turn_id,
            &self.agent_name,
            &request.session,
            &request.message,
            &request.history,
            attempt.deadline,
        ));
        let post = request
            .traced(self.client.post(self.url.clone()))
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "text/event-stream, application/json")
            .header(ATTEMPT, attempt.number);
        // The signatures are of exactly these bytes.
        let headers =
            signature::headers(self.signer.as_ref(), turn_id, attempt.at, body.as_bytes());
        let post = headers
            .into_iter()
            .fold(post, |post, (name, value)| post.header(name, value));
        post.body(body)
    }
}

fn signer(
    config: &BackendConfig,
    secret: Option<&SecretString>,
) -> Result<Option<Signer>, SettingsError> {
    let signer = secret.map(Signer::new).transpose();
    signer.map_err(|InvalidSecret| {
        let variable = config.text("secretEnv").ok().flatten().unwrap_or_default();
        let reason = format!(
            "settings.backend.secretEnv names the variable {variable}, whose value begins with \
             whsec_; expected a key in base64 after that"
        );
        config.error_in("secretEnv", reason)
    })
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
        let redactor = Redactor::new(&self.secrets, &request, "")
            .with_query(&self.url)
            .with_hint("is url the address of the webhook?");
        let post = self.request(&request);
        let origin = ReplyOrigin::new(&request).with_session_metadata();
        try_stream! {
            let response = http_client::send(post, &redactor, Repeat::Harmless).await?;
            let response = http_client::check(response).await.map_err(|error| {
                refusal(&error).unwrap_or_else(|| error.into_error(&redactor, Repeat::Harmless))
            })?;
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
            yield Piece::done(answer.into_reply(origin, &redactor)?);
        }
        .boxed()
    }
}
