//! Any server that speaks the chat completions of `OpenAI`: Ollama, llama.cpp, vLLM, LM Studio, or
//! a hosted model.

mod chunk;
mod failure;
mod reader;
mod settings;
mod thinking;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_stream::try_stream;
use futures_util::stream::{Stream, StreamExt as _};
use reqwest::{Client, RequestBuilder, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use self::chunk::Form;
use self::failure::Failure;
use self::reader::Reader;
use super::backend::{
    Backend, BackendError, Piece, Progress, ReplyStream, TurnRequest, WantedHistory, Wants,
};
use super::body::{Body, Kind};
use super::character::Character;
use super::history::{Said, Window};
use super::prompt;
use super::registry::Tools;
use super::scrub::Scrub;
use super::sse::Event;
use super::upstream::{self, Repeat};

/// What a character can say of it.
pub(super) const FIELDS: &[&str] = &[
    "baseUrl",
    "model",
    "apiKeyEnv",
    "historyMessages",
    "temperature",
    "maxTokens",
];

/// How long the stream of a model that has given a finish reason may send no event until it counts as
/// ended: some servers end nothing.
const GRACE: Duration = Duration::from_millis(250);

/// What stands in a stream's last event.
const LAST: &str = "[DONE]";

/// A model.
#[derive(Debug, Clone)]
pub(super) struct OpenAi {
    client: Client,
    url: Url,
    key: Option<SecretString>,
    model: Option<String>,
    temperature: Option<f64>,
    max_tokens: Option<u32>,
    history: usize,
    system: String,
}

/// A request as the protocol has it.
#[derive(Serialize)]
struct Completion<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    messages: Vec<Said<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
}

impl OpenAi {
    fn at(base: &Url, character: &Character, tools: &Tools) -> Self {
        Self {
            client: tools.client.clone(),
            url: upstream::below(base, "/chat/completions"),
            key: None,
            model: None,
            temperature: None,
            max_tokens: None,
            history: prompt::HISTORY,
            system: prompt::system(character),
        }
    }

    fn request(&self, request: &TurnRequest) -> RequestBuilder {
        let mut messages = vec![Said {
            role: "system",
            content: self.system.as_str().into(),
        }];
        messages.extend(Window::of(request, self.history).up_to(&request.message));
        let body = Completion {
            model: self.model.as_deref(),
            messages,
            stream: true,
            temperature: self.temperature,
            max_tokens: self.max_tokens,
        };
        let post = self.client.post(self.url.clone()).json(&body);
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
        let scrub = Scrub::new(self.key.as_ref(), &request, &self.system);
        let post = self.request(&request);
        let reader = Reader::new(self.model.as_deref());
        try_stream! {
            let mut answer = pin!(answer(post, reader, &request.progress, &scrub));
            while let Some(piece) = answer.next().await {
                yield piece.map_err(|failure| failure.into_error(&scrub))?;
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
    scrub: &Scrub,
) -> impl Stream<Item = Result<Piece, Failure>> {
    try_stream! {
        let response = upstream::send(post, scrub, Repeat::Harmless).await?;
        let response = upstream::check(response).await.map_err(Failure::Refused)?;
        let mut body = Body::new(response, progress, scrub);
        if body.kind().await? == Kind::Json {
            reader.read(&body.text().await?, Form::Whole)?;
            reader.end();
            yield Piece::done(reader.into_reply()?);
            return;
        }
        let mut events = pin!(body.events());
        while let Some(event) = next_event(&mut events, reader.is_finished()).await? {
            let text = read_event(&event, &mut reader)?;
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
