//! Assembles a model's reply from the objects of its answer.

use super::chunk::{Chunk, Part};
use super::failure::Failure;
use super::thinking::{Split, Splitter};
use super::usage::TokenCounts;
use crate::agents::backend::BackendError;
use crate::agents::client::body::BodyKind;
use crate::agents::client::surrogates::Joiner;
use crate::agents::reply_info::ReplyInfo;
use crate::domain::failure::FailureReason;
use crate::domain::message::MAX_THOUGHT_BYTES;
use crate::domain::turn::Reply;

/// Longer names of models and finish reasons are cut, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// Finish reasons of truncated replies: those of most servers, then Mistral's, and those of
/// gateways to models with other names for them.
const TRUNCATED: [&str; 5] = [
    "length",
    "content_filter",
    "model_length",
    "max_tokens",
    "safety",
];

/// A reply that is being read.
#[derive(Debug, Default)]
pub(super) struct ReplyReader {
    /// The choice that is read.
    index: Option<u64>,
    info: ReplyInfo,
    tokens: TokenCounts,
    text_joiner: Joiner,
    thought_joiner: Joiner,
    splitter: Splitter,
    text: String,
    /// Blanks at the beginning of the text, until something follows.
    lead: String,
    thought: String,
    is_refusal: bool,
    calls_tool: bool,
}

/// What a part of the answer adds.
#[derive(Debug, Default)]
pub(super) struct Added {
    /// To the reply's text.
    pub(super) text: String,
    /// To the model's reasoning, before the text.
    pub(super) thinking: String,
}

impl ReplyReader {
    /// Returns a reader of the reply of a model that was requested by this name.
    pub(super) fn new(model: Option<&str>) -> Self {
        let mut reader = Self::default();
        reader.info.model = model.map(str::to_owned);
        reader
    }

    /// Reads an object of the answer; returns what it adds.
    ///
    /// # Errors
    /// The object reports a failure, or is invalid.
    pub(super) fn read(&mut self, object: &str, kind: BodyKind) -> Result<Added, Failure> {
        let chunk = Chunk::parse(object, kind, &mut self.index)?;
        if let Some(model) = chunk.model {
            self.info.model = Some(name(model));
        }
        if let Some(reason) = chunk.finish_reason {
            let is_truncated = |cut: &&str| reason.eq_ignore_ascii_case(cut);
            self.info.is_truncated = TRUNCATED.iter().any(is_truncated);
            self.info.finish_reason = Some(name(reason));
        }
        self.tokens.update(chunk.tokens);
        self.info.usage = self.tokens.usage();
        self.is_refusal |= chunk.is_refusal;
        self.calls_tool |= chunk.calls_tool;
        let mut added = Added::default();
        for part in chunk.parts {
            match part {
                Part::Text(text) => {
                    let text = self.text_joiner.push(&text);
                    let parts = self.splitter.push(&text);
                    self.take(parts, &mut added);
                }
                Part::Thought(text) => {
                    let text = self.thought_joiner.push(&text);
                    self.think(&text, &mut added);
                }
            }
        }
        Ok(added)
    }

    /// Returns what is known so far about how the reply is made. It has a finish reason once the
    /// model has stopped.
    pub(super) fn info(&self) -> &ReplyInfo {
        &self.info
    }

    /// Ends the answer; returns what was held back.
    pub(super) fn end(&mut self) -> Added {
        let mut added = Added::default();
        let mut parts = Vec::new();
        if let Some(rest) = self.text_joiner.finish() {
            parts.extend(self.splitter.push(&rest));
        }
        parts.extend(self.splitter.finish());
        self.take(parts, &mut added);
        if let Some(rest) = self.thought_joiner.finish() {
            self.think(&rest, &mut added);
        }
        if self.text.is_empty() && self.thought.is_empty() {
            self.text = std::mem::take(&mut self.lead);
            added.text.push_str(&self.text);
        }
        added
    }

    /// Returns the reply, after the end.
    ///
    /// # Errors
    /// There is no text.
    pub(super) fn into_reply(self) -> Result<Reply, BackendError> {
        if self.text.is_empty() {
            return Err(self.no_text());
        }
        let mut reply = Reply::text(self.text);
        let thought = self.thought.trim();
        reply.thought = (!thought.is_empty()).then(|| thought.to_owned());
        self.info.write_to(&mut reply);
        Ok(reply)
    }

    fn no_text(&self) -> BackendError {
        let reason = self.info.finish_reason.as_ref();
        let causes = [
            reason.map(|reason| format!("finish reason {reason:?}")),
            self.is_refusal.then(|| "it refused".into()),
            (!self.thought.is_empty()).then(|| "only reasoning".into()),
            self.calls_tool.then(|| "it called a tool".into()),
        ];
        let causes: Vec<_> = causes.into_iter().flatten().collect();
        let causes = if causes.is_empty() {
            "it gave no reason".into()
        } else {
            causes.join(", ")
        };
        let is_refused = reason.is_some_and(|reason| {
            let refusals = ["content_filter", "safety", "refusal"];
            refusals
                .iter()
                .any(|refusal| reason.eq_ignore_ascii_case(refusal))
        });
        let reason = if self.is_refusal || is_refused {
            FailureReason::Refused
        } else {
            FailureReason::InvalidReply
        };
        BackendError::new(reason, format!("the model gave no text: {causes}"))
    }

    fn take(&mut self, parts: Vec<Split>, added: &mut Added) {
        for part in parts {
            match part {
                Split::Text(text) => self.say(&text, added),
                Split::Thought(text) => self.think(&text, added),
                Split::WasThought => {
                    let thought = std::mem::take(&mut self.text);
                    self.remember(&thought);
                    // Earlier text was sent as text.
                    let unsent = std::mem::take(&mut added.text);
                    added.thinking.push_str(&unsent);
                }
            }
        }
    }

    /// Adds text. Blanks at the beginning belong to it, except those that separate it from
    /// reasoning.
    fn say(&mut self, text: &str, added: &mut Added) {
        let is_beginning = self.text.is_empty();
        if is_beginning && text.trim_start().is_empty() {
            self.lead.push_str(text);
            return;
        }
        let lead = std::mem::take(&mut self.lead);
        let text = match (is_beginning, self.thought.is_empty()) {
            (true, true) => lead + text,
            (true, false) => text.trim_start().to_owned(),
            (false, _) => text.to_owned(),
        };
        self.text.push_str(&text);
        added.text.push_str(&text);
    }

    /// Adds reasoning. Blanks at its beginning say nothing.
    fn think(&mut self, text: &str, added: &mut Added) {
        let is_beginning = self.thought.trim_start().is_empty();
        let shown = if is_beginning {
            text.trim_start()
        } else {
            text
        };
        added.thinking.push_str(shown);
        self.remember(text);
    }

    fn remember(&mut self, text: &str) {
        let left = MAX_THOUGHT_BYTES - self.thought.len();
        self.thought
            .push_str(&text[..text.floor_char_boundary(left)]);
    }
}

fn name(mut name: String) -> String {
    name.truncate(name.floor_char_boundary(MAX_NAME_BYTES));
    name
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::agents::client::redact::Redactor;

    #[test]
    fn an_answer_without_text_names_the_cause() {
        use FailureReason::{InvalidReply, Refused};

        for (message, reason, said, failure) in [
            (json!({}), json!(null), "it gave no reason", InvalidReply),
            (
                json!({ "content": "<think>Hm" }),
                json!("length"),
                "finish reason \"length\", only reasoning",
                InvalidReply,
            ),
            (
                json!({ "refusal": "I cannot." }),
                json!("stop"),
                "finish reason \"stop\", it refused",
                Refused,
            ),
            (
                json!({ "content": "" }),
                json!("refusal"),
                "finish reason \"refusal\"",
                Refused,
            ),
            (
                json!({ "content": null, "tool_calls": [{ "id": "x" }] }),
                json!("tool_calls"),
                "finish reason \"tool_calls\", it called a tool",
                InvalidReply,
            ),
        ] {
            let mut reader = ReplyReader::new(None);
            let object = json!({ "choices": [{ "message": message, "finish_reason": reason }] });
            reader.read(&object.to_string(), BodyKind::Json).unwrap();
            reader.end();
            let error = reader.into_reply().unwrap_err();
            assert_eq!(error.cause, format!("the model gave no text: {said}"));
            assert_eq!(error.reason, failure, "{said}");
        }
    }

    #[test]
    fn a_failure_does_not_repeat_the_models_text() {
        for object in [
            json!({ "choices": [{ "delta": { "content": "secret" }, "error": { "code": 7 } }] }),
            json!({ "choices": [{ "delta": { "content": "secret" }, "finish_reason": "error" }] }),
            json!({ "choices": [{ "delta": { "content": "secret" } }], "error": true }),
            json!({ "object": "error", "text": "secret", "code": 500 }),
        ] {
            let failure = ReplyReader::new(None).read(&object.to_string(), BodyKind::Events);
            let error = failure.unwrap_err().into_error(&Redactor::default());
            let error = error.to_string();
            assert!(error.starts_with("it answered an error: "), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
