//! Any server with `OpenAI`'s chat completions: Ollama, llama.cpp, vLLM, LM Studio, or a hosted
//! model.

mod adaptation;
mod chunk;
mod failure;
mod headers;
mod parameters;
mod reader;
mod settings;
mod thinking;
mod usage;
mod variables;

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_stream::try_stream;
use futures_util::stream::{Stream, StreamExt as _};
use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder, Url};
use secrecy::{ExposeSecret as _, SecretString};

use self::adaptation::{Change, RequestShape};
use self::failure::Failure;
use self::parameters::{Completion, Parameters};
use self::reader::{Added, ReplyReader};
pub(crate) use self::variables::{Provider, VariableModel};
use super::history::{ChatMessage, Window};
use super::media::ModelInput;
use super::prompt::{self, SystemPrompt};
use crate::agents::backend::{
    Backend, BackendError, BodyProgress, Piece, ReplyStream, TurnRequest,
};
use crate::agents::backend_context::BackendContext;
use crate::agents::character::Character;
use crate::agents::client::address;
use crate::agents::client::body::{AnswerBody, BodyKind};
use crate::agents::client::http_client::{self, Repeat};
use crate::agents::client::redact::Redactor;
use crate::agents::client::sse::SseEvent;
use crate::agents::reply_info::ReplyInfo;
use crate::agents::secrets::BackendSecrets;
use crate::domain::activity::Activity;
use crate::domain::failure::FailureReason;
use crate::domain::id::{AgentId, SessionId};
use crate::domain::turn::{ContextNeeds, HistoryNeeds};

/// Its fields in `settings.backend`.
pub(crate) const FIELDS: &[&str] = &[
    "baseUrl",
    "model",
    "apiKeyEnv",
    "historyMessages",
    "contextTokens",
    "temperature",
    "maxTokens",
    "maxCompletionTokens",
    "vision",
    "promptFields",
    "headers",
    "extraBody",
];

/// The average length of a token in most languages and models, in characters.
const CHARACTERS_PER_TOKEN: usize = 4;

/// What most models use for an image, in tokens.
const TOKENS_PER_IMAGE: usize = 1000;

/// After a finish reason, a stream without another event for this time has ended: some servers
/// never close it.
const GRACE: Duration = Duration::from_millis(250);

/// The last event of a stream.
const DONE: &str = "[DONE]";

/// A model.
#[derive(Debug, Clone)]
pub(crate) struct OpenAi {
    /// The agent's name and id, for the log.
    name: String,
    agent: AgentId,
    client: Client,
    url: Url,
    /// `baseUrl` as operators see it.
    address: String,
    key: Option<SecretString>,
    secrets: BackendSecrets,
    headers: HeaderMap,
    parameters: Parameters,
    /// How many earlier messages the model receives.
    history: usize,
    /// The size of the model's context, if known.
    context_tokens: Option<u32>,
    /// The system prompt, the same in each turn: servers cache what it begins with.
    system: SystemPrompt,
    /// Whether the model receives images.
    vision: bool,
    /// Whether the server has refused to be asked for the usage.
    refuses_usage: Arc<AtomicBool>,
}

impl OpenAi {
    fn new(
        base: &Url,
        character: &Character,
        system: SystemPrompt,
        context: &BackendContext,
    ) -> Self {
        Self {
            name: character.name.clone(),
            agent: character.id,
            client: context.client.clone(),
            url: http_client::append_path(base, "/chat/completions"),
            address: address::without_secrets(base),
            key: None,
            secrets: context.secrets.clone(),
            headers: HeaderMap::new(),
            parameters: Parameters::default(),
            history: prompt::HISTORY,
            context_tokens: None,
            system,
            vision: true,
            refuses_usage: Arc::default(),
        }
    }

    /// Returns the shape of the first request of a turn.
    fn shape<'a>(&self, request: &'a TurnRequest) -> RequestShape<'a> {
        let input = ModelInput::with_images(&request.message);
        let with_images = self.vision && !input.images.is_empty();
        let images = if with_images { input.images.len() } else { 0 };
        RequestShape {
            window: self.window(request, &input.text, images),
            with_usage: !self.refuses_usage.load(Ordering::Relaxed),
            with_images,
        }
    }

    /// Returns as much of the history as probably fits into the context.
    fn window<'a>(&self, request: &'a TurnRequest, message: &str, images: usize) -> Window<'a> {
        let window = Window::new(request, self.history);
        let Some(tokens) = self.context_tokens else {
            return window;
        };
        let reply = self.parameters.reply_tokens().min(tokens / 2);
        let available = characters_of(tokens - reply);
        let images = images * TOKENS_PER_IMAGE * CHARACTERS_PER_TOKEN;
        let used = self.system.text.chars().count() + message.chars().count() + images;
        window.limited_to(available.saturating_sub(used))
    }

    fn request(&self, request: &TurnRequest, shape: RequestShape<'_>) -> RequestBuilder {
        let mut messages = vec![ChatMessage {
            role: "system",
            content: Cow::from(&self.system.text).into(),
        }];
        let conversation = shape.window;
        messages.extend(conversation.conversation(&request.message, shape.with_images));
        let post = request.traced(self.client.post(self.url.clone()));
        let post = post.headers(self.headers.clone()).json(&Completion {
            messages: &messages,
            stream: true,
            stream_options: shape.with_usage.then(|| self.parameters.stream_options()),
            parameters: &self.parameters,
        });
        match &self.key {
            Some(key) => post.bearer_auth(key.expose_secret()),
            None => post,
        }
    }

    /// Logs why a request is repeated, and how.
    fn log_change(&self, change: Change, session: SessionId, error: &BackendError) {
        let Self { name, agent, .. } = self;
        match change {
            Change::HalfOfHistory => tracing::info!(
                %session, name, %agent, %error,
                "the model's context is full; retrying with half of the history \
                 (contextTokens in the character file avoids this)"
            ),
            Change::WithoutUsage => tracing::info!(
                name, %agent, %error,
                "the model's server does not accept stream_options; retrying without it, also in \
                 later turns (replies have no usage unless the server sends it anyway)"
            ),
            Change::WithoutImages => tracing::warn!(
                %session, name, %agent, %error,
                "the model's server refused a request with images; retrying with their names only \
                 (\"vision\": false in settings.backend sends no images to this model)"
            ),
        }
    }
}

/// Returns how many characters are about as long as these tokens.
fn characters_of(tokens: u32) -> usize {
    usize::try_from(tokens)
        .unwrap_or(usize::MAX)
        .saturating_mul(CHARACTERS_PER_TOKEN)
}

impl Backend for OpenAi {
    fn kind(&self) -> &'static str {
        "openai"
    }

    fn address(&self) -> Option<String> {
        Some(self.address.clone())
    }

    fn model(&self) -> Option<&str> {
        self.parameters.model.as_deref()
    }

    fn warnings(&self) -> &[String] {
        &self.system.warnings
    }

    fn context_needs(&self) -> ContextNeeds {
        ContextNeeds {
            history: HistoryNeeds::Messages(self.history),
            remote_session: false,
        }
    }

    fn reply(&self, request: Arc<TurnRequest>) -> ReplyStream {
        let redactor = Redactor::new(&self.secrets, &request, &self.system.text)
            .with_headers(&self.headers)
            .with_query(&self.url)
            .with_hint(failure::hint(&self.address));
        let model = self.clone();
        try_stream! {
            let mut shape = model.shape(&request);
            loop {
                let post = model.request(&request, shape);
                let reader = ReplyReader::new(model.parameters.model.as_deref());
                let mut answer = pin!(answer(post, reader, &request.progress, &redactor));
                let mut has_begun = false;
                let failure = loop {
                    match answer.next().await {
                        Some(Ok(piece)) => {
                            has_begun |= !matches!(piece, Piece::Info(_) | Piece::Activity(_));
                            yield piece;
                        }
                        Some(Err(failure)) => break failure,
                        None => return,
                    }
                };
                if has_begun {
                    Err(failure.into_error(&redactor))?;
                    return;
                }
                let Some((next, change)) = shape.after(&failure) else {
                    Err(failure.into_final_error(&redactor))?;
                    return;
                };
                if change == Change::WithoutUsage {
                    model.refuses_usage.store(true, Ordering::Relaxed);
                }
                let error = failure.into_error(&redactor);
                model.log_change(change, request.session.id, &error);
                shape = next;
                request.progress.restart();
            }
        }
        .boxed()
    }
}

/// Returns the pieces of the answer to a request.
fn answer(
    post: RequestBuilder,
    mut reader: ReplyReader,
    progress: &BodyProgress,
    redactor: &Redactor,
) -> impl Stream<Item = Result<Piece, Failure>> {
    try_stream! {
        let response = http_client::send(post, redactor, Repeat::Harmless).await?;
        let response = http_client::check(response).await.map_err(Failure::Refused)?;
        let mut body = AnswerBody::new(response, progress, redactor);
        if body.kind().await? == BodyKind::Json {
            let mut added = reader.read(&body.text().await?, BodyKind::Json)?;
            added.thinking.push_str(&reader.end().thinking);
            // The complete reply has the text.
            added.text.clear();
            for piece in pieces(added, redactor) {
                yield piece;
            }
            yield Piece::Info(reader.info().clone());
            yield Piece::done(reader.into_reply()?);
            return;
        }
        let mut sent = ReplyInfo::default();
        let mut events = pin!(body.events());
        loop {
            let is_finished = reader.info().finish_reason.is_some();
            let Some(event) = next_event(&mut events, is_finished).await? else {
                break;
            };
            let added = read_event(&event, &mut reader)?;
            if *reader.info() != sent {
                sent = reader.info().clone();
                yield Piece::Info(sent.clone());
            }
            for piece in pieces(added, redactor) {
                yield piece;
            }
        }
        for piece in pieces(reader.end(), redactor) {
            yield piece;
        }
        yield Piece::done(reader.into_reply()?);
    }
}

/// Returns what was added as pieces, which no later error repeats.
fn pieces(added: Added, redactor: &Redactor) -> impl Iterator<Item = Piece> {
    let Added { text, thinking } = added;
    let thinking = Some(thinking).filter(|thinking| !thinking.is_empty());
    let text = Some(text).filter(|text| !text.is_empty());
    let thinking = thinking.map(|thinking| Piece::Activity(Activity::thinking(thinking)));
    let pieces = thinking.into_iter().chain(text.map(Piece::Chunk));
    pieces.inspect(|piece| redactor.note(piece))
}

/// Returns the next event; `None` after the last one. Some servers send a finish reason with every
/// event, so it does not end the stream; it only makes an end without a last event valid.
async fn next_event(
    events: &mut (impl Stream<Item = Result<SseEvent, BackendError>> + Unpin),
    is_finished: bool,
) -> Result<Option<SseEvent>, BackendError> {
    let next = if is_finished {
        let next = tokio::time::timeout(GRACE, events.next()).await;
        next.ok().flatten()
    } else {
        let cause = "the stream ended before the reply did";
        let ended = || BackendError::new(FailureReason::InvalidReply, cause);
        Some(events.next().await.ok_or_else(ended)?)
    };
    let event = next.transpose()?;
    Ok(event.filter(|event| event.data.trim() != DONE))
}

/// Returns what an event adds to the reply.
fn read_event(event: &SseEvent, reader: &mut ReplyReader) -> Result<Added, Failure> {
    if event.name == "error" {
        return Err(Failure::Reported(event.data.clone()));
    }
    if event.data.trim().is_empty() {
        return Ok(Added::default());
    }
    reader.read(&event.data, BodyKind::Events)
}
