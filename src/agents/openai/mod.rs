//! Any server that speaks the chat completions of `OpenAI`: Ollama, llama.cpp, vLLM, LM Studio, or
//! a hosted model.

use std::ops::RangeInclusive;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_stream::try_stream;
use futures_util::stream::{Stream, StreamExt as _};
use reqwest::{Client, RequestBuilder, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::backend::{
    Backend, BackendError, Piece, ReplyStream, TurnRequest, WantedHistory, Wants,
};
use super::body::{Body, Kind};
use super::character::Character;
use super::history::{Said, Window};
use super::prompt;
use super::registry::Tools;
use super::scrub::Scrub;
use super::settings::SettingsFault;
use super::sse::Event;
use super::upstream::{self, Repeat};
use crate::domain::turn::Reply;

/// What a character can say of it.
pub(super) const FIELDS: &[&str] = &[
    "baseUrl",
    "model",
    "apiKeyEnv",
    "historyMessages",
    "temperature",
    "maxTokens",
];

/// What the protocol allows.
const TEMPERATURES: RangeInclusive<f64> = 0.0..=2.0;

/// More than any model gives.
const MAX_TOKENS: u32 = 1_000_000;

/// How long a stream may take to end once the model has finished, so that the connection can be
/// used again.
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

/// An answer, or a piece of one. What else there is (usage, timings) is ignored.
#[derive(Debug, Deserialize)]
struct Part {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    /// Of a stream.
    #[serde(default)]
    delta: Option<Text>,
    /// Of an answer in one piece.
    #[serde(default)]
    message: Option<Text>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Text {
    #[serde(default)]
    content: Option<String>,
}

impl OpenAi {
    /// The model that a character's settings name.
    pub(super) fn from_settings(
        character: &Character,
        tools: &Tools,
    ) -> Result<Box<dyn Backend>, SettingsFault> {
        let config = &character.backend;
        let base = config.address("baseUrl", config.required("baseUrl")?)?;
        let model = Self {
            key: config.header_secret("apiKeyEnv", tools)?,
            model: config.text("model")?.map(str::to_owned),
            temperature: config.number("temperature", &TEMPERATURES)?,
            max_tokens: config.whole("maxTokens", &(1..=MAX_TOKENS))?,
            history: config.history(prompt::HISTORY)?,
            ..Self::at(&base, character, tools)
        };
        Ok(Box::new(model))
    }

    /// The model that `ElizaOS`'s own variables name, if they name one.
    pub(super) fn from_variables(
        character: &Character,
        tools: &Tools,
    ) -> Result<Option<Box<dyn Backend>>, SettingsFault> {
        let variable = |name| {
            let value = tools.variables.get(name);
            value.map(|value| value.expose_secret().trim().to_owned())
        };
        let key = variable("OPENAI_API_KEY").map(SecretString::from);
        let base = variable("OPENAI_BASE_URL");
        let (name, base, key, model) = if key.is_some() || base.is_some() {
            let base = base.unwrap_or_else(|| "https://api.openai.com/v1".into());
            let model = variable("OPENAI_LARGE_MODEL").unwrap_or_else(|| "gpt-4o".into());
            ("OPENAI_BASE_URL", base, key, model)
        } else if let Some(endpoint) = variable("OLLAMA_API_ENDPOINT") {
            let model = variable("OLLAMA_LARGE_MODEL").unwrap_or_else(|| "gemma3:latest".into());
            ("OLLAMA_API_ENDPOINT", ollama_base(&endpoint), None, model)
        } else {
            return Ok(None);
        };
        let base = character.backend.address(name, &base)?;
        Ok(Some(Box::new(Self {
            key,
            model: Some(model),
            ..Self::at(&base, character, tools)
        })))
    }

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
        try_stream! {
            let response = upstream::send(post, &scrub, Repeat::Harmless).await?;
            let response = upstream::accept(response, &scrub, Repeat::Harmless).await?;
            let mut body = Body::new(response, &request.progress, &scrub);
            if body.kind().await? == Kind::Json {
                let part: Part = body.json().await?;
                yield Piece::done(Reply::text(whole(part, &scrub)?));
                return;
            }
            for await piece in pieces(body, scrub) {
                yield piece?;
            }
        }
        .boxed()
    }
}

/// The pieces of an answer that is streamed.
fn pieces(body: Body, scrub: Scrub) -> impl Stream<Item = Result<Piece, BackendError>> {
    try_stream! {
        let mut said = String::new();
        let mut events = Box::pin(body.events());
        loop {
            let event = events.next().await.ok_or_else(cut_off)??;
            match event.data.trim() {
                LAST => break,
                "" => continue,
                _ => {}
            }
            let (text, ends) = delta(upstream::data(&event)?, &scrub)?;
            if !text.is_empty() {
                said.push_str(&text);
                yield Piece::Chunk(text);
            }
            if ends {
                // Nothing that matters comes any more, and some servers end nothing.
                let _ = tokio::time::timeout(GRACE, skip_to_the_end(events)).await;
                break;
            }
        }
        yield Piece::done(Reply::text(some_text(said)?));
    }
}

/// Reads what comes after the reply, so that the connection can be used again.
async fn skip_to_the_end(events: impl Stream<Item = Result<Event, BackendError>>) {
    let mut events = pin!(events);
    while let Some(Ok(event)) = events.next().await {
        if event.data.trim() == LAST {
            return;
        }
    }
}

fn cut_off() -> BackendError {
    BackendError::Final("the stream ended before the reply did".into())
}

/// What a piece of a stream says, and whether it is the last.
fn delta(part: Part, scrub: &Scrub) -> Result<(String, bool), BackendError> {
    let Some(choice) = choice(part, scrub)? else {
        return Ok((String::new(), false));
    };
    let text = choice.delta.or(choice.message);
    let text = text.and_then(|text| text.content).unwrap_or_default();
    let ends = choice
        .finish_reason
        .is_some_and(|reason| !reason.is_empty());
    Ok((text, ends))
}

/// What an answer in one piece says.
fn whole(part: Part, scrub: &Scrub) -> Result<String, BackendError> {
    let text = choice(part, scrub)?.and_then(|choice| choice.message.or(choice.delta));
    some_text(text.and_then(|text| text.content).unwrap_or_default())
}

fn choice(part: Part, scrub: &Scrub) -> Result<Option<Choice>, BackendError> {
    if let Some(error) = part.error.filter(|error| !error.is_null()) {
        let said = upstream::error_in(&error).unwrap_or_else(|| error.to_string());
        let said = scrub.clean(&said);
        return Err(BackendError::Final(format!("it answered an error: {said}")));
    }
    Ok(part.choices.and_then(|choices| choices.into_iter().next()))
}

/// A model that was cut off while it was still thinking has said nothing.
fn some_text(text: String) -> Result<String, BackendError> {
    if text.is_empty() {
        return Err(BackendError::Final("the model gave no text".into()));
    }
    Ok(text)
}

/// Where Ollama speaks this protocol, from where it speaks its own.
fn ollama_base(endpoint: &str) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    let base = endpoint.strip_suffix("/api").unwrap_or(endpoint);
    if base.ends_with("/v1") {
        return base.to_owned();
    }
    format!("{base}/v1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ollama_is_found_from_either_of_its_addresses() {
        for endpoint in [
            "http://h:1/api",
            "http://h:1/api/",
            "http://h:1",
            "http://h:1/v1",
        ] {
            assert_eq!(ollama_base(endpoint), "http://h:1/v1", "{endpoint}");
        }
    }
}
