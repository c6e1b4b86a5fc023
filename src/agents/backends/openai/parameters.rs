//! The parts of a request to a model beside the conversation.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::agents::backends::history::ChatMessage;

/// Settings of a model. Those that are `None` are left to its server.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Parameters {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_completion_tokens: Option<u32>,
    /// Other fields. None has the name of a field that is set otherwise.
    #[serde(flatten)]
    pub(super) extra: Map<String, Value>,
    /// Other members of `stream_options` than `include_usage`.
    #[serde(skip)]
    pub(super) stream_options: Map<String, Value>,
}

/// What a stream has beside the reply.
#[derive(Serialize)]
pub(super) struct StreamOptions<'a> {
    include_usage: bool,
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

/// The body of a request.
#[derive(Serialize)]
pub(super) struct Completion<'a> {
    pub(super) messages: &'a [ChatMessage<'a>],
    pub(super) stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stream_options: Option<StreamOptions<'a>>,
    #[serde(flatten)]
    pub(super) parameters: &'a Parameters,
}

impl Parameters {
    /// Adds other fields, except those that are set otherwise.
    pub(super) fn with_extra(self, mut extra: Map<String, Value>) -> Self {
        let stream_options = match extra.shift_remove("stream_options") {
            Some(Value::Object(mut options)) => {
                options.shift_remove("include_usage");
                options
            }
            _ => Map::new(),
        };
        extra.retain(|name, _| {
            let is_set = match name.as_str() {
                "messages" | "stream" => true,
                "model" => self.model.is_some(),
                "temperature" => self.temperature.is_some(),
                "max_tokens" => self.max_tokens.is_some(),
                "max_completion_tokens" => self.max_completion_tokens.is_some(),
                _ => false,
            };
            !is_set
        });
        Self {
            extra,
            stream_options,
            ..self
        }
    }

    /// Returns the options that request the usage.
    pub(super) fn stream_options(&self) -> StreamOptions<'_> {
        StreamOptions {
            include_usage: true,
            extra: &self.stream_options,
        }
    }

    /// Returns the limit of the reply in tokens; 0 without one.
    pub(super) fn reply_tokens(&self) -> u32 {
        let limits = self.max_completion_tokens.or(self.max_tokens);
        limits.unwrap_or_default()
    }
}
