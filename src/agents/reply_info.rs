//! How a reply was made, which its metadata shows.

use serde_json::{Map, Value, json};

use crate::domain::turn::Reply;
use crate::json;

/// Facts about a reply. They override what an agent sends under the same names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplyInfo {
    /// The model as the answer names it, else as it was requested.
    pub model: Option<String>,
    /// Why the model stopped, as its server says it.
    pub finish_reason: Option<String>,
    /// The tokens that the model has read and written.
    pub usage: Option<Usage>,
    /// Whether the text is incomplete.
    pub is_truncated: bool,
    /// Whether a client cancelled the rest of the text.
    pub is_interrupted: bool,
}

/// The tokens of a reply, as the model's server counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Those of the prompt and the conversation.
    pub input_tokens: u64,
    /// Those that the model has generated, reasoning included.
    pub output_tokens: u64,
}

impl ReplyInfo {
    /// Writes the known facts into a reply's metadata.
    pub(super) fn write_to(self, reply: &mut Reply) {
        if self == Self::default() {
            return;
        }
        let metadata = &mut reply.body.metadata;
        let own = metadata.as_deref().map(serde_json::from_str);
        let mut all: Map<String, Value> = own.and_then(Result::ok).unwrap_or_default();
        if let Some(model) = self.model {
            all.insert("model".into(), model.into());
        }
        if let Some(reason) = self.finish_reason {
            all.insert("finishReason".into(), reason.into());
        }
        if let Some(usage) = self.usage {
            let (input, output) = (usage.input_tokens, usage.output_tokens);
            let usage = json!({ "inputTokens": input, "outputTokens": output });
            all.insert("usage".into(), usage);
        }
        if self.is_truncated {
            all.insert("truncated".into(), true.into());
        }
        if self.is_interrupted {
            all.insert("interrupted".into(), true.into());
        }
        *metadata = Some(json::text(&all));
    }

    /// Returns a reply whose rest a client has cancelled.
    #[must_use]
    pub fn interrupted(self, text: String) -> Reply {
        let mut reply = Reply::text(text);
        let info = Self {
            is_interrupted: true,
            ..self
        };
        info.write_to(&mut reply);
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_override_the_metadata_of_the_agent() {
        let mut reply = Reply::text("Hello.".into());
        reply.body.metadata = Some(r#"{"mood":"good","model":"mine","usage":7}"#.into());
        let info = ReplyInfo {
            model: Some("gemma3".into()),
            finish_reason: Some("length".into()),
            usage: Some(Usage {
                input_tokens: 9,
                output_tokens: 2,
            }),
            is_truncated: true,
            is_interrupted: false,
        };
        info.write_to(&mut reply);
        let metadata: Value = serde_json::from_str(&reply.body.metadata.unwrap()).unwrap();
        let wanted = json!({
            "mood": "good", "model": "gemma3", "finishReason": "length", "truncated": true,
            "usage": { "inputTokens": 9, "outputTokens": 2 },
        });
        assert_eq!(metadata, wanted);
    }

    #[test]
    fn without_facts_the_metadata_stays_as_it_is() {
        let mut reply = Reply::text("Hello.".into());
        ReplyInfo::default().write_to(&mut reply);
        assert_eq!(reply.body.metadata, None);
    }
}
