//! Any server that speaks the chat completions of `OpenAI`: Ollama, llama.cpp, vLLM, LM Studio, or
//! a hosted model.

mod chunk;
mod failure;
mod headers;
mod parameters;
mod reader;
mod settings;
mod thinking;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_stream::try_stream;
use futures_util::stream::{Stream, StreamExt as _};
use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder, Url};
use secrecy::{ExposeSecret as _, SecretString};

use self::chunk::Form;
use self::failure::Failure;
use self::parameters::Parameters;
use self::reader::Reader;
use super::history::{Said, Window};
use super::prompt;
use crate::agents::about::About;
use crate::agents::backend::{Backend, BackendError, Piece, Progress, ReplyStream, TurnRequest};
use crate::agents::character::Character;
use crate::agents::client::body::{Body, Kind};
use crate::agents::client::http_client::{self, Repeat};
use crate::agents::client::redact::Redactor;
use crate::agents::client::sse::Event;
use crate::agents::registry::BackendContext;
use crate::domain::turn::{WantedHistory, Wants};

/// What a character can say of it.
pub(in crate::agents) const FIELDS: &[&str] = &[
    "baseUrl",
    "model",
    "apiKeyEnv",
    "historyMessages",
    "contextTokens",
    "temperature",
    "maxTokens",
    "maxCompletionTokens",
    "headers",
    "extraBody",
];

/// About as many characters are a token, in most languages and models.
const CHARACTERS_OF_A_TOKEN: u64 = 4;

/// How long the stream of a model that has given a finish reason may send no event until it counts as
/// ended: some servers end nothing.
const GRACE: Duration = Duration::from_millis(250);

/// What stands in a stream's last event.
const LAST: &str = "[DONE]";

/// A model.
#[derive(Debug, Clone)]
pub(in crate::agents) struct OpenAi {
    client: Client,
    url: Url,
    key: Option<SecretString>,
    headers: HeaderMap,
    parameters: Parameters,
    history: usize,
    /// How many tokens the model's context holds, where that is known.
    context_tokens: Option<u32>,
    system: String,
}

impl OpenAi {
    fn at(base: &Url, character: &Character, tools: &BackendContext) -> Self {
        Self {
            client: tools.client.clone(),
            url: http_client::below(base, "/chat/completions"),
            key: None,
            headers: HeaderMap::new(),
            parameters: Parameters::default(),
            history: prompt::HISTORY,
            context_tokens: None,
            system: prompt::system(character),
        }
    }

    /// As much of the history as the model is to be shown.
    fn window<'a>(&self, request: &'a TurnRequest) -> Window<'a> {
        let window = Window::of(request, self.history);
        let Some(tokens) = self.context_tokens else {
            return window;
        };
        let reply = self.parameters.reply_tokens().min(tokens / 2);
        let room = u64::from(tokens - reply) * CHARACTERS_OF_A_TOKEN;
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let message = &request.message.body.content;
        let used = self.system.chars().count() + message.chars().count();
        window.within(room.saturating_sub(used))
    }

    fn request(&self, request: &TurnRequest, window: Window<'_>) -> RequestBuilder {
        let mut messages = vec![Said {
            role: "system",
            content: self.system.as_str().into(),
        }];
        messages.extend(window.up_to(&request.message));
        let post = self.client.post(self.url.clone());
        let post = post.headers(self.headers.clone());
        let post = post.json(&self.parameters.with(&messages));
        match &self.key {
            Some(key) => post.bearer_auth(key.expose_secret()),
            None => post,
        }
    }
}

impl Backend for OpenAi {
    fn kind(&self) -> &'static str {
        "openai"
    }

    fn wants(&self) -> Wants {
        Wants {
            history: WantedHistory::Messages(self.history),
            upstream: false,
        }
    }

    fn reply(&self, request: Arc<TurnRequest>) -> ReplyStream {
        let redactor =
            Redactor::new(self.key.as_ref(), &request, &self.system).hiding(&self.headers);
        let model = self.clone();
        try_stream! {
            let mut window = model.window(&request);
            loop {
                let post = model.request(&request, window);
                let reader = Reader::new(model.parameters.model.as_deref());
                let mut answer = pin!(answer(post, reader, &request.progress, &redactor));
                let mut has_begun = false;
                let failure = loop {
                    match answer.next().await {
                        Some(Ok(piece)) => {
                            has_begun |= !matches!(piece, Piece::About(_));
                            yield piece;
                        }
                        Some(Err(failure)) => break failure,
                        None => return,
                    }
                };
                if has_begun || !failure.is_context_full() {
                    Err(failure.into_error(&redactor))?;
                    return;
                }
                let Some(half) = window.halved() else {
                    Err(failure.of_message_alone(&redactor))?;
                    return;
                };
                let (session, error) = (request.session.id, failure.into_error(&redactor));
                tracing::info!(
                    %session, %error,
                    "the model's context is full; retrying with half of the history \
                     (contextTokens in the character file avoids this)"
                );
                window = half;
                request.progress.begin_again();
            }
        }
        .boxed()
    }
}

/// The pieces of the answer to a request.
fn answer(
    post: RequestBuilder,
    mut reader: Reader,
    progress: &Progress,
    redactor: &Redactor,
) -> impl Stream<Item = Result<Piece, Failure>> {
    try_stream! {
        let response = http_client::send(post, redactor, Repeat::Harmless).await?;
        let response = http_client::check(response).await.map_err(Failure::Refused)?;
        let mut body = Body::new(response, progress, redactor);
        if body.kind().await? == Kind::Json {
            reader.read(&body.text().await?, Form::Whole)?;
            reader.end();
            yield Piece::done(reader.into_reply()?);
            return;
        }
        let mut told = About::default();
        let mut events = pin!(body.events());
        while let Some(event) = next_event(&mut events, reader.is_finished()).await? {
            let text = read_event(&event, &mut reader)?;
            let about = reader.about();
            if about != told {
                told = about.clone();
                yield Piece::About(about);
            }
            if !text.is_empty() {
                yield Piece::Chunk(text);
            }
        }
        let rest = reader.end();
        if !rest.is_empty() {
            yield Piece::Chunk(rest);
        }
        yield Piece::done(reader.into_reply()?);
    }
}

/// The next event; none after the last one. Some servers give a finish reason with every event, so
/// it only says that an end without a last event is sound.
async fn next_event(
    events: &mut (impl Stream<Item = Result<Event, BackendError>> + Unpin),
    is_finished: bool,
) -> Result<Option<Event>, BackendError> {
    let next = if is_finished {
        let next = tokio::time::timeout(GRACE, events.next()).await;
        next.ok().flatten()
    } else {
        Some(events.next().await.ok_or_else(cut_off)?)
    };
    let event = next.transpose()?;
    Ok(event.filter(|event| event.data.trim() != LAST))
}

/// The text that an event adds to the reply.
fn read_event(event: &Event, reader: &mut Reader) -> Result<String, Failure> {
    if event.name == "error" {
        return Err(Failure::Told(event.data.clone()));
    }
    if event.data.trim().is_empty() {
        return Ok(String::new());
    }
    reader.read(&event.data, Form::Streamed)
}

fn cut_off() -> BackendError {
    BackendError::Final("the stream ended before the reply did".into())
}
