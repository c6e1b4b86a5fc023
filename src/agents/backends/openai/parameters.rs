//! What a request to a model says beside the conversation.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::agents::backends::history::Said;

/// Settings of a model; those that are not set are left to its server.
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
    /// Fields of the character's own. None has the name of another field of the request.
    #[serde(flatten)]
    pub(super) extra: Map<String, Value>,
}

/// A request as the protocol has it.
#[derive(Serialize)]
pub(super) struct Completion<'a> {
    messages: &'a [Said<'a>],
    stream: bool,
    #[serde(flatten)]
    parameters: &'a Parameters,
}

impl Parameters {
    /// The same with fields of the character's own, except those that are set otherwise.
    pub(super) fn and(self, mut extra: Map<String, Value>) -> Self {
        let taken = [
            ("messages", true),
            ("stream", true),
            ("model", self.model.is_some()),
            ("temperature", self.temperature.is_some()),
            ("max_tokens", self.max_tokens.is_some()),
            (
                "max_completion_tokens",
                self.max_completion_tokens.is_some(),
            ),
        ];
        extra.retain(|name, _| !taken.contains(&(name.as_str(), true)));
        Self { extra, ..self }
    }

    /// How many tokens the reply may have, where that is set.
    pub(super) fn reply_tokens(&self) -> u32 {
        let limits = self.max_completion_tokens.or(self.max_tokens);
        limits.unwrap_or_default()
    }

    /// The request for a reply to a conversation.
    pub(super) fn with<'a>(&'a self, messages: &'a [Said<'a>]) -> Completion<'a> {
        Completion {
            messages,
            stream: true,
            parameters: self,
        }
    }
}
